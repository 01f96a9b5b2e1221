/* Softmax, log_softmax, logsumexp over axes, fused: shifted by the largest element, with log1p of the other terms, so that
 * values and derivatives keep their digits also where one term dominates. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "emitrows.h"
#include "vectors.h"

typedef struct softmax_attr {
  unsigned mask;
  int empty_is_zero; /* of a row of -inf only: 0 instead of NaN */
} softmax_attr;

static const cr_field softmax_fields[] = {
  CR_FIELD(softmax_attr, mask, CR_FIELD_AXES, "axes"),
  CR_FIELD(softmax_attr, empty_is_zero, CR_FIELD_FLAG, "empty_is_zero"),
  {.name = NULL}};

static void softmax_show(char *text, size_t size, const void *attr) {
  const softmax_attr *s = attr;
  cr__axes_show(text, size, &(cr__axes){s->mask, 0});
}

/* The first largest element; NaN counts as larger than all. */
static int64_t largest(const double *x, int64_t n) {
  int64_t i = 0;
  double top = x[0];
  if (cr__has_vectors()) top = cr__vector_largest(n, x);
  else
    for (; i < n; i++) top = x[i] > top || isnan(x[i]) ? x[i] : top;
  for (i = 0; isnan(top) && !isnan(x[i]); i++) continue;
  for (; !isnan(top) && x[i] != top; i++) continue;
  return i;
}

/* Runs a kernel over the rows of operand 0, and of operand 1 beside them, if there is one. */
typedef struct row_kernel {
  void (*row)(double *x, double *y, int64_t n, const struct row_kernel *kernel);
  int empty_is_zero;
  cr__rows_view from, beside, to;
  int64_t n;
  bool pair;
} row_kernel;

static void run_kernel(void *context, int64_t k, double *x) {
  const row_kernel *r = context;
  double *y = x + r->n;
  cr__row_get(&r->from, k, x);
  if (r->pair) cr__row_get(&r->beside, k, y);
  r->row(x, y, r->n, r);
  cr__row_put(&r->to, k, x);
}

static cr_status over_rows(cr_eval *c, unsigned mask, row_kernel kernel) {
  kernel.from = cr__rows_of(&c->in[0], mask);
  kernel.to = cr__rows_of(c->out, mask);
  kernel.beside = cr__rows_of(&c->in[c->n - 1], mask);
  kernel.n = kernel.from.row.count;
  kernel.pair = c->n > 1;
  return kernel.n ? cr__each_row(c, kernel.from.kept.count, 2 * kernel.n, run_kernel, &kernel) : CR_OK;
}

static void fill(double *x, int64_t n, double value) {
  for (int64_t i = 0; i < n; i++) x[i] = value;
}

static void exponentials(double *x, int64_t n, double top) {
  if (cr__has_vectors()) cr__vector_exp(n, x, top);
  else
    for (int64_t i = 0; i < n; i++) x[i] = exp(x[i] - top);
}

static void softmax_row(double *x, double *unused, int64_t n, const row_kernel *kernel) {
  (void)unused;
  double top = x[largest(x, n)];
  if (top == -(double)INFINITY && kernel->empty_is_zero) {
    fill(x, n, 0);
  } else if (top == (double)INFINITY && kernel->empty_is_zero) { /* logsumexp's gradient: only infinite terms are in doubt */
    for (int64_t i = 0; i < n; i++) x[i] = isinf(x[i]) && x[i] > 0 ? (double)NAN : 0;
  } else if (!isfinite(top)) {
    fill(x, n, (double)NAN);
  } else {
    exponentials(x, n, top);
    double sum = cr__sum_of(x, n);
    for (int64_t i = 0; i < n; i++) x[i] /= sum;
  }
}

/* log of the sum of exp(x - x[at]), where exp(0) = 1 is x[at]'s own term. */
static double log_rest(const double *x, int64_t n, int64_t at, double *terms) {
  memcpy(terms, x, (size_t)n * sizeof *terms);
  exponentials(terms, n, x[at]);
  terms[at] = 0;
  return log1p(cr__sum_of(terms, n));
}

static cr_status softmax_eval(cr_eval *c) {
  const softmax_attr *s = c->attr;
  return over_rows(c, s->mask, (row_kernel){.row = softmax_row, .empty_is_zero = s->empty_is_zero});
}

static void log_softmax_row(double *x, double *terms, int64_t n, const row_kernel *kernel) {
  (void)kernel;
  int64_t at = largest(x, n);
  double top = x[at], rest = log_rest(x, n, at, terms);
  if (isfinite(top))
    for (int64_t i = 0; i < n; i++) x[i] = (x[i] - top) - rest;
  else
    fill(x, n, (double)NAN);
}
static cr_status log_softmax_eval(cr_eval *c) {
  return over_rows(c, ((const softmax_attr *)c->attr)->mask, (row_kernel){.row = log_softmax_row});
}

typedef struct sum_job {
  cr__rows_view v;
  cr_array *out;
} sum_job;

static void logsumexp_row(void *context, int64_t k, double *x) {
  const sum_job *j = context;
  int64_t n = j->v.row.count;
  cr__row_get(&j->v, k, x);
  int64_t at = n ? largest(x, n) : 0;
  double top = n ? x[at] : -(double)INFINITY;
  cr_array_set(j->out, k, isfinite(top) ? top + log_rest(x, n, at, x + n) : top);
}
static cr_status logsumexp_eval(cr_eval *c) {
  sum_job j = {cr__rows_of(&c->in[0], ((const cr__axes *)c->attr)->mask), c->out};
  return cr__each_row(c, c->out->count, 2 * j.v.row.count, logsumexp_row, &j);
}

/* deviate(v, p): v minus its mean under weights p that sum to 1; and its transpose in v, v - p sum(v). These are the
 * Jacobian of log_softmax both ways, and p times the first is that of softmax. What is subtracted is taken relative to the
 * element of the largest weight, where it would cancel. Derivatives in p are along changes that leave its sum alone. */

static void deviate_row(double *v, double *p, int64_t n, const row_kernel *unused) {
  (void)unused;
  double reference = v[largest(p, n)];
  for (int64_t i = 0; i < n; i++) {
    v[i] -= reference;
    p[i] = p[i] == 0 || v[i] == 0 ? 0 : p[i] * v[i]; /* a zero cotangent stays zero where the weights are NaN */
  }
  double mean = cr__sum_of(p, n);
  for (int64_t i = 0; i < n; i++) v[i] -= mean;
}

static void deviate_transposed_row(double *v, double *p, int64_t n, const row_kernel *unused) {
  (void)unused;
  int64_t at = largest(p, n);
  double own = v[at], weight = p[at];
  v[at] = p[at] = 0;
  double other_weights = cr__sum_of(p, n), others = cr__sum_of(v, n), all = own + others;
  for (int64_t i = 0; i < n; i++) v[i] -= p[i] == 0 ? 0 : p[i] * all;
  v[at] = weight == 0 ? own : own * other_weights - weight * others;
}

static cr_status deviate_eval(cr_eval *c) {
  return over_rows(c, ((const softmax_attr *)c->attr)->mask, (row_kernel){.row = deviate_row});
}
static cr_status deviate_transposed_eval(cr_eval *c) {
  return over_rows(c, ((const softmax_attr *)c->attr)->mask, (row_kernel){.row = deviate_transposed_row});
}

static int axes_in(unsigned mask, int *axes) {
  int n = 0;
  for (int i = 0; i < CR_MAX_RANK; i++)
    if (mask >> i & 1) axes[n++] = i;
  return n;
}
static cr_var row_sum(cr_var x, unsigned mask) {
  int axes[CR_MAX_RANK], n = axes_in(mask, axes);
  return cr_sum(x, n, axes, 1);
}

static cr_var deviate(cr_var v, cr_var p, unsigned mask);
static cr_var deviate_transposed(cr_var v, cr_var p, unsigned mask);

static void deviate_vjp(cr_vjp_rule *c) {
  unsigned mask = ((const softmax_attr *)c->attr)->mask;
  if (c->wanted[0]) c->d[0] = deviate_transposed(c->g, c->in[1], mask);
  if (c->wanted[1]) c->d[1] = cr_neg(cr_mul(row_sum(c->g, mask), c->out));
}
static cr_var deviate_jvp(cr_jvp_rule *c) {
  unsigned mask = ((const softmax_attr *)c->attr)->mask;
  cr_var moved = cr_absent(c->dot[0]) ? c->dot[0] : deviate(c->dot[0], c->in[1], mask);
  if (cr_absent(c->dot[1])) return moved;
  cr_var turned = cr_neg(row_sum(cr_mul(c->dot[1], c->out), mask));
  cr_array a = cr_view(c->out);
  return cr_absent(moved) ? cr_broadcast_to(turned, a.rank, a.dim) : cr_add(moved, turned);
}
static void deviate_transposed_vjp(cr_vjp_rule *c) {
  unsigned mask = ((const softmax_attr *)c->attr)->mask;
  cr_var back = deviate(c->g, c->in[1], mask);
  if (c->wanted[0]) c->d[0] = back;
  if (c->wanted[1]) c->d[1] = cr_neg(cr_mul(row_sum(c->in[0], mask), back));
}
static cr_var deviate_transposed_jvp(cr_jvp_rule *c) {
  unsigned mask = ((const softmax_attr *)c->attr)->mask;
  cr_var moved = cr_absent(c->dot[0]) ? c->dot[0] : deviate_transposed(c->dot[0], c->in[1], mask);
  if (cr_absent(c->dot[1])) return moved;
  cr_var turned = cr_mul(c->dot[1], row_sum(c->in[0], mask));
  return cr_absent(moved) ? cr_neg(turned) : cr_sub(moved, turned);
}

static void emit_row(cr_emit_context *c, cr__row_result result, const char *call) {
  cr__emit_rows(c, ((const softmax_attr *)c->attr)->mask, CR_FLOAT64, result, call);
}
static void deviate_emit(cr_emit_context *c) { emit_row(c, CR__WHOLE_ROW, "deviate_row($0, $2, $1)"); }
static void deviate_transposed_emit(cr_emit_context *c) { emit_row(c, CR__WHOLE_ROW, "deviate_transposed_row($0, $2, $1)"); }
static void softmax_emit(cr_emit_context *c) {
  emit_row(c, CR__WHOLE_ROW,
           ((const softmax_attr *)c->attr)->empty_is_zero ? "softmax_row($0, $2, 1)" : "softmax_row($0, $2, 0)");
}
static void log_softmax_emit(cr_emit_context *c) { emit_row(c, CR__WHOLE_ROW, "log_softmax_row($0, $2, $3)"); }
static void logsumexp_emit(cr_emit_context *c) {
  cr__emit_rows(c, ((const cr__axes *)c->attr)->mask, CR_FLOAT64, CR__ONE_NUMBER, "logsumexp_row($0, $2, $3)");
}

static const cr_op deviate_op = {
  .name = "deviate", .check = cr__check_alike, .arity = 2, .attr_size = sizeof(softmax_attr), .fields = softmax_fields,
  .infer = cr__same_shape, .eval = deviate_eval, .depend = cr__rows_depend, .emit = deviate_emit,
  .vjp = deviate_vjp, .jvp = deviate_jvp, .show = softmax_show, .latex = "\\left(%a - \\langle %b, %a\\rangle\\right)"};
static const cr_op deviate_transposed_op = {
  .name = "deviate_transposed", .check = cr__check_alike, .arity = 2, .attr_size = sizeof(softmax_attr),
  .fields = softmax_fields, .infer = cr__same_shape,
  .eval = deviate_transposed_eval, .depend = cr__rows_depend, .emit = deviate_transposed_emit,
  .vjp = deviate_transposed_vjp, .jvp = deviate_transposed_jvp, .show = softmax_show,
  .latex = "\\left(%a - %b \\sum %a\\right)"};

static cr_var deviate(cr_var v, cr_var p, unsigned mask) {
  return cr_record(v.tape, &deviate_op, 2, (cr_var[]){v, p}, &(softmax_attr){mask, 0});
}
static cr_var deviate_transposed(cr_var v, cr_var p, unsigned mask) {
  return cr_record(v.tape, &deviate_transposed_op, 2, (cr_var[]){v, p}, &(softmax_attr){mask, 0});
}

/* softmax: the Jacobian diag(p) - p p^T is symmetric, so both rules are one */

static cr_var softmax_through(cr_var p, cr_var v, const softmax_attr *s) {
  return cr_guarded_mul(deviate(v, p, s->mask), p);
}
static void softmax_vjp(cr_vjp_rule *c) { c->d[0] = softmax_through(c->out, c->g, c->attr); }
static cr_var softmax_jvp(cr_jvp_rule *c) { return softmax_through(c->out, c->dot[0], c->attr); }
static const cr_op softmax_op = {
  .name = "softmax", .check = cr__check_floats, .arity = 1, .attr_size = sizeof(softmax_attr), .fields = softmax_fields,
  .prepare = cr__prepare_float, .infer = cr__same_shape,
  .eval = softmax_eval, .depend = cr__rows_depend, .emit = softmax_emit, .vjp = softmax_vjp, .jvp = softmax_jvp,
  .show = softmax_show,
  .latex = "\\operatorname{softmax}\\left(%a\\right)",
  .rule = "y (g - sum(y g))"};

static cr_var softmax_over(cr_var x, unsigned mask, int empty_is_zero) {
  return cr_record(x.tape, &softmax_op, 1, &x, &(softmax_attr){mask, empty_is_zero});
}

static void log_softmax_vjp(cr_vjp_rule *c) {
  unsigned mask = ((const softmax_attr *)c->attr)->mask;
  c->d[0] = deviate_transposed(c->g, softmax_over(c->in[0], mask, 0), mask);
}
static cr_var log_softmax_jvp(cr_jvp_rule *c) {
  unsigned mask = ((const softmax_attr *)c->attr)->mask;
  return deviate(c->dot[0], softmax_over(c->in[0], mask, 0), mask);
}
static const cr_op log_softmax_op = {
  .name = "log_softmax", .check = cr__check_floats, .arity = 1, .attr_size = sizeof(softmax_attr),
  .fields = softmax_fields, .prepare = cr__prepare_float,
  .infer = cr__same_shape,
  .eval = log_softmax_eval, .depend = cr__rows_depend, .emit = log_softmax_emit, .vjp = log_softmax_vjp,
  .jvp = log_softmax_jvp, .show = softmax_show,
  .latex = "\\ln\\operatorname{softmax}\\left(%a\\right)", .rule = "g - exp(y) sum(g)"};

static cr_status logsumexp_infer(cr_infer *c) {
  cr__reduced_shape(&c->in[0], c->attr, (cr_dtype)c->in[0].dtype, c->out);
  return CR_OK;
}
static void logsumexp_vjp(cr_vjp_rule *c) {
  const cr__axes *a = c->attr;
  c->d[0] = cr_guarded_mul(softmax_over(c->in[0], a->mask, 1), cr__spread(c->g, c->in[0], a));
}
static cr_var logsumexp_jvp(cr_jvp_rule *c) {
  const cr__axes *a = c->attr;
  int axes[CR_MAX_RANK], n = axes_in(a->mask, axes);
  return cr_sum(cr_guarded_mul(softmax_over(c->in[0], a->mask, 1), c->dot[0]), n, axes, a->keepdim);
}
static const cr_op logsumexp_op = {
  .name = "logsumexp", .check = cr__check_floats, .arity = 1, .attr_size = sizeof(cr__axes), .fields = cr__axes_fields,
  .prepare = cr__prepare_float, .infer = logsumexp_infer,
  .eval = logsumexp_eval, .depend = cr__rows_depend, .emit = logsumexp_emit, .vjp = logsumexp_vjp, .jvp = logsumexp_jvp,
  .show = cr__axes_show, .latex = "\\ln\\sum e^{%a}",
  .rule = "the softmax of x"};

/* Constructors */

static cr_var record_softmax(cr_var x, const cr_op *op, int axis, int empty_is_zero) {
  cr__axes a;
  if (!cr__axes_of(x, op->name, 1, &axis, &a)) return cr_poison(x.tape);
  return cr_record(x.tape, op, 1, &x, &(softmax_attr){a.mask, empty_is_zero});
}
cr_var cr_softmax(cr_var x, int axis) { return record_softmax(x, &softmax_op, axis, 0); }
cr_var cr_safe_softmax(cr_var x, int axis) { return record_softmax(x, &softmax_op, axis, 1); }
cr_var cr_log_softmax(cr_var x, int axis) { return record_softmax(x, &log_softmax_op, axis, 0); }

cr_var cr_logsumexp(cr_var x, int n_axes, const int *axes, int keepdim) {
  cr__axes a = {0, keepdim};
  return cr__axes_of(x, "logsumexp", n_axes, axes, &a) ? cr_record(x.tape, &logsumexp_op, 1, &x, &a) : cr_poison(x.tape);
}
cr_var cr_logmeanexp(cr_var x, int n_axes, const int *axes, int keepdim) {
  cr__axes a;
  if (!cr__axes_of(x, "logmeanexp", n_axes, axes, &a)) return cr_poison(x.tape);
  cr_array shape = cr_view(x);
  /* log1p as in the kernel, so that equal elements give exactly themselves */
  cr_var log_n = cr_const(x.tape, log1p((double)cr__axes_count(&shape, a.mask) - 1));
  return cr_sub(cr_logsumexp(x, n_axes, axes, keepdim), log_n);
}

/* Names in the expression language */

static void call_softmax_like(cr_call *c, cr_var (*f)(cr_var x, int axis)) {
  cr_var x = cr_arg_var(c, 0);
  int64_t axis = cr_arg_int(c, 1);
  if (cr_arg_given(c, 2) && !cr_is_poison(x)) {
    int dtype = cr_dtype_of_name(cr_arg_text(c, 2));
    if (dtype < 0) cr_fail(x.tape, CR_BAD_DTYPE, "unknown dtype '%s'", cr_arg_text(c, 2));
    x = dtype < 0 ? cr_poison(x.tape) : cr_cast(x, (cr_dtype)dtype);
  }
  cr_return(c, f(x, axis < -CR_MAX_RANK || axis > CR_MAX_RANK ? CR_MAX_RANK : (int)axis));
}
static void call_softmax(cr_call *c) { call_softmax_like(c, cr_softmax); }
static void call_log_softmax(cr_call *c) { call_softmax_like(c, cr_log_softmax); }

static void call_over(cr_call *c, cr_var (*f)(cr_var x, int n_axes, const int *axes, int keepdim)) {
  int axes[CR_MAX_RANK], n = cr__arg_reduced(c, 1, axes);
  if (n >= -1) cr_return(c, f(cr_arg_var(c, 0), n, axes, cr_arg_bool(c, 2)));
}
static void call_logsumexp(cr_call *c) { call_over(c, cr_logsumexp); }
static void call_logmeanexp(cr_call *c) { call_over(c, cr_logmeanexp); }

static const cr_op *const recorded[] = {&softmax_op, &log_softmax_op,        &logsumexp_op,
                                        &deviate_op, &deviate_transposed_op, NULL};

const cr_function cr__softmax_functions[] = {
  {.ops = recorded, .signature = "softmax(input, dim=-1, *, dtype=None)", .call = call_softmax, .family = "activation",
   .doc = "exp(x) over its sum along an axis; a row of -inf gives NaN.", .derivative = "y (g - sum(y g))",
   .samples = "softmax(x:(2,3)); softmax(x:(2,3), dim=0)"},
  {.signature = "log_softmax(input, dim=-1, *, dtype=None)", .call = call_log_softmax, .family = "activation",
   .doc = "log of softmax, without its rounding.", .derivative = "g - softmax(x) sum(g)",
   .samples = "log_softmax(x:(2,3)); log_softmax(x:(2,3), dim=0)"},
  {.signature = "softmin(input, dim=-1)", .formula = "softmax(-input, dim)", .family = "activation", .doc = "softmax of -x.",
   .samples = "softmin(x:(2,3))"},
  {.signature = "logsumexp(input, dim=None, keepdim=False)", .call = call_logsumexp, .family = "reduction",
   .doc = "log of the sum of exponentials over axes (None: all); a row of -inf gives -inf.", .derivative = "softmax(x)",
   .kinks = "derivative 0 on a row of -inf",
   .samples = "logsumexp(x:(2,3), 1); logsumexp(x:(2,3), None); logsumexp(x:(2,3,2), (0,2), keepdim=True)"},
  {.signature = "logmeanexp(input, dim=None, keepdim=False)", .call = call_logmeanexp, .family = "reduction",
   .doc = "log of the mean of exponentials over axes (None: all).", .derivative = "softmax(x)",
   .samples = "logmeanexp(x:(2,3), 1); logmeanexp(x:(2,3), None)"},
  {.signature = NULL}};
