/* The functions that the engine itself brings into the language: derivatives, as nodes. */
#include "evaluate.h"

enum { MAX_INPUTS = 256 };

static void give(cr_call *c, cr_status status, int n, const cr_var *out) {
  for (int k = 0; k < n; k++) cr_return(c, status == CR_OK ? out[k] : cr_poison(cr_call_tape(c)));
}

/* The inputs, argument 1, and as many tensors of argument k if there is one; how many, or 0 after a failure. For an
 * input that stands alone a list is one tensor. */
static int inputs(cr_call *c, cr_var *x, int k, cr_var *with) {
  const cr__value *given = &c->arg[1];
  bool several = (given->kind == CR__LIST_VALUE || given->kind == CR__TUPLE_VALUE) && !given->cell;
  int n = cr_arg_vars(c, 1, MAX_INPUTS, x), m = 1;
  if (n <= 0 || !k) return n < 0 ? 0 : n;
  if (several) m = cr_arg_vars(c, k, MAX_INPUTS, with);
  else with[0] = cr_arg_var(c, k);
  if (m >= 0 && m != n) cr_fail(cr_call_tape(c), CR_BAD_ARGUMENT, "%d inputs, but %d tensors to go with them", n, m);
  return m == n ? n : 0;
}

static void grad_call(cr_call *c) {
  cr_var y = cr_arg_var(c, 0), x[MAX_INPUTS], out[MAX_INPUTS];
  int n = inputs(c, x, 0, NULL);
  if (n) give(c, cr_grad(y, n, x, out), n, out);
}

static void vjp_call(cr_call *c) {
  cr_var y = cr_arg_var(c, 0), x[MAX_INPUTS], out[MAX_INPUTS], g = cr_arg_var(c, 2);
  int n = inputs(c, x, 0, NULL);
  if (n) give(c, cr_vjp(y, g, n, x, out), n, out);
}

static void jvp_call(cr_call *c) {
  cr_var y = cr_arg_var(c, 0), x[MAX_INPUTS], dot[MAX_INPUTS], out;
  int n = inputs(c, x, 2, dot);
  if (n) give(c, cr_jvp(1, &y, n, x, dot, &out), 1, &out);
}

static void hvp_call(cr_call *c) {
  cr_var y = cr_arg_var(c, 0), x[MAX_INPUTS], v[MAX_INPUTS], out[MAX_INPUTS];
  int n = inputs(c, x, 2, v);
  if (n) give(c, cr_hvp(y, cr_poison(cr_call_tape(c)), n, x, v, out), n, out);
}

/* One row for each element of y: the VJP of a one-hot cotangent. */
static bool rows(cr_tape *t, cr_var y, cr_var x, int64_t n, cr_var *row) {
  cr_array shape = cr_view(y), hot;
  cr_array_init(&hot, (cr_dtype)shape.dtype, shape.rank, shape.dim);
  for (int64_t k = 0; k < n; k++) {
    cr_var g = cr_constant_of(t, (cr_dtype)hot.dtype, hot.rank, hot.dim, NULL);
    if (!g.id) return false;
    cr_array data = cr_view(g);
    cr_array_set(&data, k, 1);
    if (cr_vjp(y, g, 1, &x, &row[k]) != CR_OK || !row[k].id) return false;
  }
  return true;
}

/* Shape of y followed by shape of x: the rows stacked along one axis of y after the other, from the last. */
static cr_var jacobian(cr_tape *t, cr_var y, cr_var x) {
  if (!y.id || !x.id) return cr_poison(t);
  int64_t n = cr_count(y);
  int rank = cr_rank(y);
  if (rank + cr_rank(x) > CR_MAX_RANK)
    return cr_fail(t, CR_BAD_SHAPE, "the Jacobian would have more than %d axes", CR_MAX_RANK);
  if (n > 1 << 20) return cr_fail(t, CR_OVER_LIMIT, "a Jacobian of %lld rows is too large", (long long)n);
  size_t size = (size_t)n * sizeof(cr_var);
  cr_var *row = size ? cr__resize_on(t, NULL, 0, size) : NULL, result = cr_poison(t);
  if (!row) return n ? result : cr_fail(t, CR_BAD_SHAPE, "the Jacobian of an empty tensor");
  bool ok = rows(t, y, x, n, row);
  for (int axis = rank - 1; ok && axis >= 0; axis--) {
    int64_t length = cr_dim(y, axis);
    n /= length;
    for (int64_t k = 0; ok && k < n; k++) {
      row[k] = t->table->list(t, (int)length, row + k * length);
      ok = row[k].id != 0;
    }
  }
  if (ok) result = row[0];
  cr__resize_on(t, row, size, 0);
  return result;
}

static void jacobian_call(cr_call *c) {
  cr_var y = cr_arg_var(c, 0), x = cr_arg_var(c, 1);
  cr_return(c, jacobian(cr_call_tape(c), y, x));
}

static void hessian_call(cr_call *c) {
  cr_var y = cr_arg_var(c, 0), x = cr_arg_var(c, 1), g = cr_poison(cr_call_tape(c));
  if (y.id && x.id) cr_grad(y, 1, &x, &g);
  cr_return(c, jacobian(cr_call_tape(c), g, x));
}

const cr_function cr__builtin_functions[] = {
  {.ops = cr__pull_ops, .signature = "grad(y, x)", .call = grad_call, .family = "derivatives", .samples = "grad(x:(3)^3, x)",
   .doc = "Gradient of sum(y) with respect to x; a tuple of gradients when x is a list or tuple."},
  {.signature = "vjp(y, x, cotangent)", .call = vjp_call, .family = "derivatives", .samples = "vjp(x:(2)^3, x, [1, 2])",
   .doc = "Cotangent of x for a cotangent of y: the transposed Jacobian times it."},
  {.signature = "jvp(y, x, tangent)", .call = jvp_call, .family = "derivatives", .samples = "jvp(x:(2)^3, x, [1, 2])",
   .doc = "Tangent of y for a tangent of x: the Jacobian times it, by forward mode."},
  {.signature = "hvp(y, x, v)", .call = hvp_call, .family = "derivatives", .samples = "hvp(x:(2)^4, x, [1, 2])",
   .doc = "The Hessian of sum(y) times v, forward over reverse."},
  {.signature = "jacobian(y, x)", .call = jacobian_call, .family = "derivatives", .samples = "jacobian(x:(2)^3, x)",
   .doc = "All derivatives of y with respect to x, of the shape of y followed by the shape of x."},
  {.signature = "hessian(y, x)", .call = hessian_call, .family = "derivatives", .samples = "hessian(x:(2)^4, x)",
   .doc = "Second derivatives of sum(y) with respect to x, of the shape of x twice."},
  {.signature = NULL}};
