/* Derivatives built from the two modes: Hessian-vector products, dense Jacobians and Hessians. */
#include "internal.h"

cr_status cr_hvp(cr_var y, cr_var cotangent, int n, const cr_var *x, const cr_var *tangent, cr_var *out) {
  cr_tape *t = y.tape;
  if (n < 1) return CR_BAD_ARGUMENT;
  cr_var *gradient = cr__resize_on(t, NULL, 0, (size_t)n * sizeof *gradient);
  if (!gradient) return t->error;
  cr_status status = cr_vjp(y, cotangent, n, x, gradient);
  if (status == CR_OK) status = cr_jvp(n, gradient, n, x, tangent, out);
  cr__resize(&t->counted, gradient, (size_t)n * sizeof *gradient, 0);
  return status;
}

/* A constant of v's shape that is 1 at element k and 0 elsewhere. */
static cr_var one_hot_like(cr_tape *t, cr_var v, int64_t k) {
  cr_array a = cr_view(v);
  if (!cr__is_record(t, v.id)) return cr_const(t, 1);
  cr_var e = cr_constant_of(t, (cr_dtype)a.dtype, a.rank, a.dim, NULL);
  if (e.id) {
    cr_array view = cr_view(e);
    cr_array_set(&view, k, 1);
  }
  return e;
}

static cr_status jacobian_by_rows(cr_var y, cr_var x, int64_t m, int64_t n, double *out) {
  cr_tape *t = y.tape;
  for (int64_t i = 0; i < m; i++) {
    cr_mark mark = cr_mark_here(t);
    cr_var e = one_hot_like(t, y, i);
    cr_sweep *s = e.id ? cr_backward_from(y, e) : NULL;
    if (s) cr_adjoint_read(s, x, out + i * n, n);
    cr__rewind(t, mark);
    if (t->error != CR_OK) return t->error;
  }
  return CR_OK;
}

static cr_status jacobian_by_columns(cr_var y, cr_var x, int64_t m, int64_t n, double *out) {
  cr_tape *t = y.tape;
  for (int64_t j = 0; j < n; j++) {
    cr_mark mark = cr_mark_here(t);
    cr_var e = one_hot_like(t, x, j), column = {0};
    if (e.id && cr_jvp(1, &y, 1, &x, &e, &column) == CR_OK) {
      cr_array a = cr_view(column);
      for (int64_t i = 0; i < m; i++) out[i * n + j] = cr_array_get(&a, i);
    }
    cr__rewind(t, mark);
    if (t->error != CR_OK) return t->error;
  }
  return CR_OK;
}

cr_status cr_jacobian(cr_var y, cr_var x, double *out) {
  cr_tape *t = y.tape;
  if (!t || !cr__valid(t, y) || !cr__valid(t, x)) return t ? t->error : CR_WRONG_TAPE;
  int64_t m = cr_count(y), n = cr_count(x);
  if (cr_dtype_of(x) < CR_FLOAT32) {
    cr_fail(t, CR_NOT_DIFFERENTIABLE, "no Jacobian with respect to %s: only float64 and float32 have derivatives",
            cr_dtype_name(cr_dtype_of(x)));
    return t->error;
  }
  for (int64_t k = 0; k < m * n; k++) out[k] = 0;
  if (cr_dtype_of(y) < CR_FLOAT32) return CR_OK;
  return m <= n ? jacobian_by_rows(y, x, m, n, out) : jacobian_by_columns(y, x, m, n, out);
}

cr_status cr_hessian_block(cr_var y, cr_var a, cr_var b, double *out) {
  cr_tape *t = y.tape;
  if (!t) return CR_WRONG_TAPE;
  cr_mark mark = cr_mark_here(t);
  cr_var gradient;
  cr_status status = cr_grad(y, 1, &a, &gradient);
  if (status == CR_OK) status = cr_jacobian(gradient, b, out);
  cr__rewind(t, mark);
  return status;
}

cr_status cr_hessian(cr_var y, cr_var x, double *out) { return cr_hessian_block(y, x, x, out); }
