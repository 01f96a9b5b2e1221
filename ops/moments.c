/* Deviations from the mean, variance, standard deviation, norms. */
#include <math.h>
#include <stdio.h>

#include "emitrows.h"

/* center: x minus its mean over the axes. Linear and its own transpose. Differences to one element come first, so that a
 * large common offset costs no digits and rows of two are exactly opposite. */

typedef struct center_job {
  cr__rows_view from, to;
} center_job;

static void center_row(void *context, int64_t k, double *x) {
  const center_job *j = context;
  int64_t n = j->from.row.count;
  cr__row_get(&j->from, k, x);
  double reference = x[0];
  for (int64_t i = 0; i < n; i++) x[i] -= reference;
  double mean = cr__sum_of(x, n) / (double)n;
  for (int64_t i = 0; i < n; i++) x[i] -= mean;
  cr__row_put(&j->to, k, x);
}
static cr_status center_eval(cr_eval *c) {
  unsigned mask = ((const cr__axes *)c->attr)->mask;
  center_job j = {cr__rows_of(&c->in[0], mask), cr__rows_of(c->out, mask)};
  return c->out->count ? cr__each_row(c, j.from.kept.count, j.from.row.count, center_row, &j) : CR_OK;
}
static cr_var center(cr_var x, const cr__axes *a);
static void center_emit(cr_emit_context *c) {
  cr__emit_rows(c, ((const cr__axes *)c->attr)->mask, CR_FLOAT64, CR__WHOLE_ROW, "center_row($0, $2)");
}
static void center_vjp(cr_vjp_rule *c) { c->d[0] = center(c->g, c->attr); }
static const cr_op center_op = {
  .name = "center", .check = cr__check_floats, .arity = 1, .kind = CR_LINEAR, .attr_size = sizeof(cr__axes),
  .fields = cr__axes_fields, .prepare = cr__prepare_float,
  .infer = cr__same_shape, .eval = center_eval, .depend = cr__rows_depend, .emit = center_emit, .vjp = center_vjp,
  .show = cr__axes_show,
  .latex = "\\left(%a - \\overline{%a}\\right)",
  .rule = "the cotangent minus its mean"};

static cr_var center(cr_var x, const cr__axes *a) { return cr_record(x.tape, &center_op, 1, &x, &(cr__axes){a->mask, 1}); }

cr_var cr_center(cr_var x, int n_axes, const int *axes) {
  cr__axes a;
  return cr__axes_of(x, "center", n_axes, axes, &a) ? center(x, &a) : cr_poison(x.tape);
}

/* norm: (sum |x|^p)^(1/p), scaled by the largest element so that no power overflows. p is neither 0 nor infinite. */

typedef struct norm_attr {
  cr__axes axes;
  double p;
} norm_attr;

static const cr_field norm_fields[] = {
  CR_FIELD(norm_attr, axes.mask, CR_FIELD_AXES, "axes"),
  CR_FIELD(norm_attr, axes.keepdim, CR_FIELD_FLAG, "keepdim"),
  CR_FIELD(norm_attr, p, CR_FIELD_REAL, "p"),
  {.name = NULL}};

static void norm_show(char *text, size_t size, const void *attr) {
  const norm_attr *a = attr;
  char axes[200];
  cr__axes_show(axes, sizeof axes, &a->axes);
  snprintf(text, size, "ord=%g, %s", a->p, axes);
}

static cr_status norm_infer(cr_infer *c) {
  cr__reduced_shape(&c->in[0], &((const norm_attr *)c->attr)->axes, (cr_dtype)c->in[0].dtype, c->out);
  return CR_OK;
}

/* Overwrites x. The scale is a power of two, which rounds nothing. */
static double norm_of(double *x, int64_t n, double p) {
  double largest = 0, least = (double)INFINITY;
  for (int64_t i = 0; i < n; i++) {
    x[i] = fabs(x[i]);
    if (isnan(x[i])) return x[i];
    if (x[i] > largest) largest = x[i];
    if (x[i] < least) least = x[i];
  }
  double lead = p < 0 ? least : largest;
  if (!n) return p < 0 ? (double)INFINITY : 0;
  if (lead == 0 || isinf(lead)) return lead;
  int e;
  frexp(lead, &e);
  double half = ldexp(1, -e / 2), rest = ldexp(1, -(e - e / 2)); /* in two steps, as 2^-e may be no number */
  for (int64_t i = 0; i < n; i++) {
    double v = x[i] * half * rest;
    x[i] = p == 2 ? v * v : p == 1 ? v : pow(v, p);
  }
  double sum = cr__sum_of(x, n);
  return ldexp(p == 2 ? sqrt(sum) : p == 1 ? sum : pow(sum, 1 / p), e);
}

static cr_status norm_eval(cr_eval *c) {
  const norm_attr *a = c->attr;
  cr__rows_view v = cr__rows_of(&c->in[0], a->axes.mask);
  double *x = cr_scratch(c, (size_t)v.row.count * sizeof *x);
  if (!x) return CR_NO_MEMORY;
  for (int64_t k = 0; k < c->out->count; k++) {
    cr__row_get(&v, k, x);
    cr_array_set(c->out, k, norm_of(x, v.row.count, a->p));
  }
  return CR_OK;
}

static void norm_emit(cr_emit_context *c) {
  const norm_attr *a = c->attr;
  cr__emit_rows(c, a->axes.mask, CR_FLOAT64, CR__ONE_NUMBER, cr_emit_text(c, "norm_row($0, $2, %.17g)", a->p));
}

/* The gradient sign(x) |x / y|^(p - 1), and 0 where the norm y or x is 0. */
static cr_var norm_gradient(cr_var x, cr_var y, const norm_attr *a) {
  cr_var zero = cr_const(x.tape, 0), over = cr__spread(y, x, &a->axes);
  if (a->p == 1) return cr_sign(x);
  cr_var ratio = cr_where(cr_eq(over, zero), zero, cr_div(x, over));
  if (a->p == 2) return ratio;
  cr_var power = cr_pow(cr_abs(ratio), cr_const(x.tape, a->p - 1));
  return cr_where(cr_eq(ratio, zero), zero, cr_mul(cr_sign(ratio), power));
}
static void norm_vjp(cr_vjp_rule *c) {
  const norm_attr *a = c->attr;
  c->d[0] = cr_guarded_mul(cr__spread(c->g, c->in[0], &a->axes), norm_gradient(c->in[0], c->out, a));
}
static cr_var norm_jvp(cr_jvp_rule *c) {
  const norm_attr *a = c->attr;
  cr_var terms = cr_guarded_mul(c->dot[0], norm_gradient(c->in[0], c->out, a));
  int axes[CR_MAX_RANK], n = 0;
  for (int i = 0; i < CR_MAX_RANK; i++)
    if (a->axes.mask >> i & 1) axes[n++] = i;
  return cr_sum(terms, n, axes, a->axes.keepdim);
}
static const cr_op norm_op = {
  .name = "vector_norm", .check = cr__check_floats, .arity = 1, .attr_size = sizeof(norm_attr), .fields = norm_fields,
  .prepare = cr__prepare_float, .infer = norm_infer,
  .eval = norm_eval, .depend = cr__rows_depend, .emit = norm_emit, .vjp = norm_vjp, .jvp = norm_jvp, .show = norm_show,
  .latex = "\\left\\|%a\\right\\|",
  .rule = "sign(x) |x / y|^(p - 1), 0 at 0"};

cr_var cr_vector_norm(cr_var x, double p, int n_axes, const int *axes, int keepdim) {
  norm_attr a = {{0, keepdim}, p};
  if (!cr__axes_of(x, "vector_norm", n_axes, axes, &a.axes)) return cr_poison(x.tape);
  cr_dtype dtype = cr_dtype_of(x) < CR_FLOAT32 ? CR_FLOAT64 : cr_dtype_of(x);
  if (isnan(p)) return cr_fail(x.tape, CR_BAD_ARGUMENT, "vector_norm: ord is NaN");
  if (p == 0) return cr_sum(cr_cast(cr_ne(x, cr_const(x.tape, 0)), dtype), n_axes, axes, keepdim);
  if (isinf(p)) {
    cr_var size = cr_abs(cr_cast(x, dtype));
    return p > 0 ? cr_amax(size, n_axes, axes, keepdim) : cr_amin(size, n_axes, axes, keepdim);
  }
  return cr_record(x.tape, &norm_op, 1, &x, &a);
}

/* var, std: where no degrees of freedom are left, NaN with a gradient of NaN, by a factor that is not folded away */

static double freedom(cr_var x, const cr__axes *a, double correction) {
  cr_array shape = cr_view(x);
  double left = (double)cr__axes_count(&shape, a->mask) - correction;
  return left > 0 ? left : (double)NAN;
}
static cr_var undefined(cr_var x, int n_axes, const int *axes, int keepdim) {
  cr_var nan = cr_full(x.tape, cr_dtype_of(x) < CR_FLOAT32 ? CR_FLOAT64 : cr_dtype_of(x), 0, NULL, (double)NAN);
  return cr_add(cr_sum(cr_mul(x, nan), n_axes, axes, keepdim), nan); /* the second for a sum of nothing */
}

cr_var cr_variance(cr_var x, int n_axes, const int *axes, double correction, int keepdim) {
  cr__axes a;
  if (!cr__axes_of(x, "var", n_axes, axes, &a)) return cr_poison(x.tape);
  double left = freedom(x, &a, correction);
  if (isnan(left)) return undefined(x, n_axes, axes, keepdim);
  cr_var d = center(x, &a);
  return cr_div(cr_sum(cr_square(d), n_axes, axes, keepdim), cr_const(x.tape, left));
}

cr_var cr_std(cr_var x, int n_axes, const int *axes, double correction, int keepdim) {
  cr__axes a;
  if (!cr__axes_of(x, "std", n_axes, axes, &a)) return cr_poison(x.tape);
  double left = freedom(x, &a, correction);
  if (isnan(left)) return undefined(x, n_axes, axes, keepdim);
  cr_var d = center(x, &a);
  return cr_div(cr_vector_norm(d, 2, n_axes, axes, keepdim), cr_const(x.tape, sqrt(left)));
}

/* Names in the expression language */

/* unbiased=True or False is the older name of correction 1 or 0. */
static double arg_correction(cr_call *c) { return cr_arg_given(c, 4) ? cr_arg_bool(c, 4) : cr_arg_number(c, 2); }

static void call_var(cr_call *c) {
  int axes[CR_MAX_RANK], n = cr__arg_reduced(c, 1, axes);
  if (n >= -1) cr_return(c, cr_variance(cr_arg_var(c, 0), n, axes, arg_correction(c), cr_arg_bool(c, 3)));
}
static void call_std(cr_call *c) {
  int axes[CR_MAX_RANK], n = cr__arg_reduced(c, 1, axes);
  if (n >= -1) cr_return(c, cr_std(cr_arg_var(c, 0), n, axes, arg_correction(c), cr_arg_bool(c, 3)));
}
static void call_vector_norm(cr_call *c) {
  int axes[CR_MAX_RANK], n = cr__arg_reduced(c, 2, axes);
  cr_var x = cr_arg_var(c, 0);
  if (n < -1 || cr_is_poison(x)) return;
  if (cr_arg_given(c, 4)) {
    int dtype = cr_dtype_of_name(cr_arg_text(c, 4));
    if (dtype < 0) cr_fail(x.tape, CR_BAD_DTYPE, "unknown dtype '%s'", cr_arg_text(c, 4));
    x = dtype < 0 ? cr_poison(x.tape) : cr_cast(x, (cr_dtype)dtype);
  }
  cr_return(c, cr_vector_norm(x, cr_arg_number(c, 1), n, axes, cr_arg_bool(c, 3)));
}

static const cr_op *const recorded[] = {&center_op, &norm_op, NULL};

const cr_function cr__moment_functions[] = {
  {.ops = recorded, .signature = "var(input, dim=None, *, correction=1, keepdim=False, unbiased=None)", .call = call_var,
   .family = "reduction",
   .doc = "Variance: squared deviations from the mean over n - correction; NaN when that is not positive.",
   .derivative = "2 (x - mean) / (n - correction)",
   .samples = "var(x:(4)); var(x:(2,3), dim=1, correction=0); var(x:(4), unbiased=False); "
              "var(x:(2,3,2), dim=(0,-1), keepdim=True)"},
  {.signature = "std(input, dim=None, *, correction=1, keepdim=False, unbiased=None)", .call = call_std,
   .family = "reduction",
   .doc = "Standard deviation, the root of var.", .derivative = "(x - mean) / ((n - correction) std)",
   .kinks = "derivative 0 where std is 0",
   .samples = "std(x:(4)); std(x:(2,3), dim=1, correction=0); std(x:(2,3,2), dim=(0,-1), keepdim=True)"},
  {.signature = "vector_norm(x, ord=2, dim=None, keepdim=False, *, dtype=None)", .call = call_vector_norm,
   .family = "reduction",
   .doc = "The p-norm of all elements, or of each row along dim: any ord, inf, -inf; 0 counts what is not 0. No power "
          "overflows.",
   .derivative = "sign(x) |x / y|^(p - 1)", .kinks = "derivative 0 at 0; ord = inf: even split at a tie",
   .samples = "vector_norm(x:(4)); vector_norm(x:(2,3), 3, dim=1); vector_norm(x:(3), 1); vector_norm(x:(2,3), inf, "
              "dim=0, keepdim=True); "
              "vector_norm(x:(3)>0, -1.5)"},
  {.signature = "norm(input, ord=None, dim=None, keepdim=False)", .family = "reduction",
   .formula = "vector_norm(input, ord == None || ord == 'fro' ? 2 : ord, dim, keepdim)",
   .doc = "vector_norm of all elements or along dim; norms of operators are matrix_norm.",
   .samples = "norm(x:(4)); norm(x:(2,3), 1, dim=1)"},
  {.signature = NULL}};
