/* Normalisation over rows. */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>

#include "emitrows.h"
#include "flatmath.h"

/* standardize: y = (x - mean) s over rows, s = 1 / sqrt(mean((x - mean)^2) + eps). Its Jacobian is symmetric;
 * standardize_pull applies it to g: s (g - mean(g) - y mean(g y)). Fused, because a transformer spends a tenth of its time
 * here when the sums are nodes of their own. */

typedef struct norm_attr {
  cr__axes axes;
  double eps;
} norm_attr;

static const cr_field norm_fields[] = {
  CR_FIELD(norm_attr, axes.mask, CR_FIELD_AXES, "axes"),
  CR_FIELD(norm_attr, axes.keepdim, CR_FIELD_FLAG, "keepdim"),
  CR_FIELD(norm_attr, eps, CR_FIELD_REAL, "eps"),
  {.name = NULL}};

static void norm_show(char *text, size_t size, const void *attr) {
  const norm_attr *a = attr;
  char axes[200];
  cr__axes_show(axes, sizeof axes, &a->axes);
  snprintf(text, size, "%s, eps=%g", axes, a->eps);
}

typedef struct norm_job {
  const cr_eval *c;
  cr__rows_view x, g, out;
  double eps;
  bool in_order;             /* row k of the result is elements k n to k n + n - 1 of it */
} norm_job;

/* Loops over a row, in double, which compilers turn into vectors; sums over the tree of cr__sum_of. center: differences to
 * one element come first, so that a large common offset costs no digits. standardize: of the centred row x, with room for as
 * many; returns s. pull: of the centred g and the standardized x. */
#define ROW_LOOPS(name, TARGET)                                                            \
  TARGET static double sum_##name(const double *x, int64_t n) {                            \
    enum { LANES = 8, BLOCK = 128 };                                                       \
    if (n > BLOCK) return sum_##name(x, n / 2) + sum_##name(x + n / 2, n - n / 2);         \
    double s[LANES] = {0};                                                                 \
    int64_t i = 0;                                                                         \
    for (; i + LANES <= n; i += LANES)                                                     \
      for (int l = 0; l < LANES; l++) s[l] += x[i + l];                                    \
    for (; i < n; i++) s[i % LANES] += x[i];                                               \
    return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));              \
  }                                                                                        \
  TARGET static void center_##name(double *x, int64_t n) {                                 \
    const double reference = x[0];                                                         \
    for (int64_t i = 0; i < n; i++) x[i] -= reference;                                     \
    const double mean = sum_##name(x, n) / (double)n;                                      \
    for (int64_t i = 0; i < n; i++) x[i] -= mean;                                          \
  }                                                                                        \
  TARGET static double standardize_##name(double *restrict x, int64_t n, double eps, double *restrict room) { \
    for (int64_t i = 0; i < n; i++) room[i] = x[i] * x[i];                                 \
    const double scale = 1 / sqrt(sum_##name(room, n) / (double)n + eps);                  \
    for (int64_t i = 0; i < n; i++) x[i] *= scale;                                         \
    return scale;                                                                          \
  }                                                                                        \
  TARGET static void pull_##name(double *restrict g, const double *restrict x, int64_t n, double scale,     \
                                 double *restrict room) {                                  \
    for (int64_t i = 0; i < n; i++) room[i] = g[i] * x[i];                                 \
    const double mean = sum_##name(room, n) / (double)n;                                   \
    for (int64_t i = 0; i < n; i++) g[i] = (g[i] - x[i] * mean) * scale;                   \
  }                                                                                        \
  TARGET static void widen_##name(const float *restrict x, int64_t n, double *restrict to) {  \
    for (int64_t i = 0; i < n; i++) to[i] = (double)x[i];                                  \
  }                                                                                        \
  TARGET static void narrow_##name(const double *restrict x, int64_t n, float *restrict to) { \
    for (int64_t i = 0; i < n; i++) to[i] = (float)x[i];                                   \
  }
ROW_LOOPS(any, )
ROW_LOOPS(wide, CR__WIDE)
ROW_LOOPS(widest, CR__WIDEST)

#define VERSION(f) (cr__version() == 2 ? f##_widest : cr__version() == 1 ? f##_wide : f##_any)

static void get_row(const cr__rows_view *v, int64_t k, double *row) {
  cr_array a = cr__row_at(v, k);
  if (a.dtype == CR_FLOAT32 && a.rank == 1 && a.stride[0] == 1) VERSION(widen)(a.data, a.count, row);
  else cr__row_get(v, k, row);
}
static void put_row(const norm_job *j, int64_t k, const double *row) {
  cr_array a = cr__row_at(&j->out, k);
  if (a.dtype == CR_FLOAT32 && a.rank == 1 && a.stride[0] == 1) VERSION(narrow)(row, a.count, a.data);
  else cr__row_put(&j->out, k, row);
  if (j->in_order) cr_ready(j->c, k * a.count, a.count);
}

static void standardize_one(void *context, int64_t k, double *x) {
  const norm_job *j = context;
  int64_t n = j->x.row.count;
  get_row(&j->x, k, x);
  VERSION(center)(x, n);
  VERSION(standardize)(x, n, j->eps, x + n);
  put_row(j, k, x);
}
static void pull_one(void *context, int64_t k, double *x) {
  const norm_job *j = context;
  int64_t n = j->x.row.count;
  double *g = x + n, *room = g + n;
  get_row(&j->x, k, x);
  get_row(&j->g, k, g);
  VERSION(center)(x, n);
  double scale = VERSION(standardize)(x, n, j->eps, room);
  VERSION(center)(g, n);
  VERSION(pull)(g, x, n, scale, room);
  put_row(j, k, g);
}

/* The last axes go: rows lie one behind the other. */
static bool are_last(const cr_array *x, unsigned mask) {
  int first = 0;
  while (first < x->rank && !(mask >> first & 1)) first++;
  return mask >> first == (1u << (x->rank - first)) - 1;
}

/* Operands: x, or g and x. */
static cr_status norm_eval(cr_eval *c) {
  const norm_attr *a = c->attr;
  norm_job j = {c, cr__rows_of(&c->in[c->n - 1], a->axes.mask), cr__rows_of(&c->in[0], a->axes.mask),
                cr__rows_of(c->out, a->axes.mask), a->eps, false};
  if (!c->out->count) return CR_OK;
  j.in_order = are_last(c->out, a->axes.mask);
  cr_status status = cr__each_row(c, j.x.kept.count, 3 * j.x.row.count, c->n > 1 ? pull_one : standardize_one, &j);
  if (!j.in_order && status == CR_OK) cr_ready(c, 0, c->out->count);
  return status;
}

static void norm_emit(cr_emit_context *c) {
  const norm_attr *a = c->attr;
  cr__emit_rows(c, a->axes.mask, CR_FLOAT64, CR__WHOLE_ROW,
                cr_emit_text(c,
                             c->n > 1 ? "standardize_pull_row($0, $1, $2, %.17g, $3)" : "standardize_row($0, $2, %.17g, $3)",
                             a->eps));
}

static cr_var pull(cr_var g, cr_var x, const norm_attr *a);
static cr_var mean_over(cr_var x, const norm_attr *a) {
  int axes[CR_MAX_RANK], n = 0;
  for (int i = 0; i < CR_MAX_RANK; i++)
    if (a->axes.mask >> i & 1) axes[n++] = i;
  return cr_mean(x, n, axes, 1);
}
static cr_var standardize(cr_var x, const norm_attr *a);

/* The derivative of h . pull(g, x) by x, a form symmetric in h and g: with a = mean(h y), b = mean(g y), h and g centred,
 * it is -s^2 (y (mean(h g) - 3 a b) + b h + a g). */
static cr_var twice(cr_var h, cr_var g, cr_var x, const norm_attr *attr) {
  cr_tape *t = x.tape;
  cr_var y = standardize(x, attr), c = cr_sub(x, mean_over(x, attr));
  cr_var variance = cr_add(mean_over(cr_square(c), attr), cr_const(t, attr->eps));
  h = cr_sub(h, mean_over(h, attr));
  g = cr_sub(g, mean_over(g, attr));
  cr_var a = mean_over(cr_mul(h, y), attr), b = mean_over(cr_mul(g, y), attr);
  cr_var both = cr_sub(mean_over(cr_mul(h, g), attr), cr_mul(cr_const(t, 3), cr_mul(a, b)));
  return cr_neg(cr_div(cr_add(cr_mul(y, both), cr_add(cr_mul(b, h), cr_mul(a, g))), variance));
}

static void standardize_vjp(cr_vjp_rule *c) { c->d[0] = pull(c->g, c->in[0], c->attr); }
static cr_var standardize_jvp(cr_jvp_rule *c) { return pull(c->dot[0], c->in[0], c->attr); }
static void pull_vjp(cr_vjp_rule *c) {
  if (c->wanted[0]) c->d[0] = pull(c->g, c->in[1], c->attr);
  if (c->wanted[1]) c->d[1] = twice(c->g, c->in[0], c->in[1], c->attr);
}
static cr_var pull_jvp(cr_jvp_rule *c) {
  cr_var moved = cr_absent(c->dot[0]) ? c->dot[0] : pull(c->dot[0], c->in[1], c->attr);
  if (cr_absent(c->dot[1])) return moved;
  cr_var turned = twice(c->dot[1], c->in[0], c->in[1], c->attr);
  return cr_absent(moved) ? turned : cr_add(moved, turned);
}

static const cr_op standardize_op = {
  .name = "standardize", .check = cr__check_floats, .arity = 1, .attr_size = sizeof(norm_attr), .fields = norm_fields,
  .prepare = cr__prepare_float, .infer = cr__same_shape,
  .eval = norm_eval, .tails = 1, .depend = cr__rows_depend, .emit = norm_emit, .vjp = standardize_vjp,
  .jvp = standardize_jvp,
  .show = norm_show,
  .latex = "\\operatorname{standardize}\\left(%a\\right)", .rule = "s (g - mean(g) - y mean(g y)), s = 1 / sqrt(var + eps)"};
static const cr_op pull_op = {
  .name = "standardize_pull", .check = cr__check_alike, .arity = 2, .attr_size = sizeof(norm_attr),
  .fields = norm_fields, .prepare = cr__prepare_float,
  .infer = cr__same_shape, .eval = norm_eval, .tails = 1, .depend = cr__rows_depend, .emit = norm_emit, .vjp = pull_vjp,
  .jvp = pull_jvp, .show = norm_show};

static cr_var standardize(cr_var x, const norm_attr *a) { return cr_record(x.tape, &standardize_op, 1, &x, a); }
static cr_var pull(cr_var g, cr_var x, const norm_attr *a) { return cr_record(x.tape, &pull_op, 2, (cr_var[]){g, x}, a); }

cr_var cr_standardize(cr_var x, int n_axes, const int *axes, double eps) {
  norm_attr a = {{0, 1}, eps};
  return cr__axes_of(x, "standardize", n_axes, axes, &a.axes) ? standardize(x, &a) : cr_poison(x.tape);
}

/* y weight + bias, either of which may be poison: none. */
static cr_var scaled(cr_var y, cr_var weight, cr_var bias) {
  if (!cr_absent(weight)) y = cr_mul(y, weight);
  return cr_absent(bias) ? y : cr_add(y, bias);
}

static cr_var arg_optional(cr_call *c, int k) { return cr_arg_given(c, k) ? cr_arg_var(c, k) : cr_poison(cr_call_tape(c)); }

/* A vector along axis 1 of x. */
static cr_var along_channels(cr_var v, cr_var x) {
  int64_t dims[CR_MAX_RANK];
  if (cr_absent(v)) return v;
  for (int i = 0; i < cr_rank(x); i++) dims[i] = i == 1 ? cr_count(v) : 1;
  return cr_reshape(v, cr_rank(x), dims);
}
static bool has_channels(cr_var x, const char *name, int least) {
  if (cr_is_poison(x)) return false;
  if (cr_rank(x) >= least) return true;
  cr_fail(x.tape, CR_BAD_SHAPE, "%s: rank %d; batch, channels, ... make at least %d", name, cr_rank(x), least);
  return false;
}

/* The axes from first to the last. */
static int axes_from(cr_var x, int first, int *axes) {
  int n = 0;
  for (int i = first; i < cr_rank(x); i++) axes[n++] = i;
  return n;
}

/* normalized_shape names the last axes of x by their sizes; how many, or -1 after recording what is wrong. */
static int normalized_axes(cr_call *c, cr_var x, const char *name, int *axes) {
  int64_t dims[CR_MAX_RANK];
  int n = cr_arg_ints(c, 1, CR_MAX_RANK, dims), rank = cr_rank(x);
  if (n < 0 || cr_is_poison(x)) return -1;
  bool fits = n > 0 && n <= rank;
  for (int i = 0; fits && i < n; i++) fits = cr_dim(x, rank - n + i) == dims[i];
  if (!fits) cr_fail(x.tape, CR_BAD_SHAPE, "%s: normalized_shape must be the sizes of the last axes of input", name);
  return fits ? axes_from(x, rank - n, axes) : -1;
}

static void call_layer_norm(cr_call *c) {
  int axes[CR_MAX_RANK];
  cr_var x = cr_arg_var(c, 0), weight = arg_optional(c, 2), bias = arg_optional(c, 3);
  int n = normalized_axes(c, x, "layer_norm", axes);
  if (n > 0) cr_return(c, scaled(cr_standardize(x, n, axes, cr_arg_number(c, 4)), weight, bias));
}

static void call_rms_norm(cr_call *c) {
  int axes[CR_MAX_RANK];
  cr_var x = cr_arg_var(c, 0), weight = arg_optional(c, 2);
  int n = normalized_axes(c, x, "rms_norm", axes);
  if (n < 0) return;
  double eps = cr_arg_given(c, 3) ? cr_arg_number(c, 3) : cr_dtype_of(x) == CR_FLOAT32 ? 0x1p-23 : 0x1p-52;
  cr_var size = cr_rsqrt(cr_add(cr_mean(cr_square(x), n, axes, 1), cr_const(x.tape, eps)));
  cr_return(c, scaled(cr_mul(x, size), weight, cr_poison(x.tape)));
}

/* By the statistics given: (x - mean) / sqrt(var + eps) per channel. */
static cr_var by_running(cr_var x, cr_var mean, cr_var var, double eps) {
  if (cr_absent(mean) || cr_absent(var))
    return cr_fail(x.tape, CR_BAD_ARGUMENT, "running_mean and running_var are needed here");
  cr_var scale = cr_rsqrt(cr_add(along_channels(var, x), cr_const(x.tape, eps)));
  return cr_mul(cr_sub(x, along_channels(mean, x)), scale);
}

static void call_batch_norm(cr_call *c) {
  cr_var x = cr_arg_var(c, 0), weight = arg_optional(c, 3), bias = arg_optional(c, 4), y;
  if (!has_channels(x, "batch_norm", 2)) return;
  int axes[CR_MAX_RANK] = {0}, n = axes_from(x, 2, axes + 1) + 1;
  double eps = cr_arg_number(c, 7);
  if (cr_arg_bool(c, 5)) y = cr_standardize(x, n, axes, eps);
  else y = by_running(x, arg_optional(c, 1), arg_optional(c, 2), eps);
  cr_return(c, scaled(y, along_channels(weight, x), along_channels(bias, x)));
}

static void call_group_norm(cr_call *c) {
  cr_var x = cr_arg_var(c, 0), weight = arg_optional(c, 2), bias = arg_optional(c, 3);
  if (!has_channels(x, "group_norm", 2)) return;
  cr_array a = cr_view(x);
  int64_t groups = cr_arg_int(c, 1);
  if (groups < 1 || a.dim[1] % groups) {
    cr_fail(x.tape, CR_BAD_SHAPE, "group_norm: %lld channels do not split into %lld groups", (long long)a.dim[1],
            (long long)groups);
    return;
  }
  int last = 2;
  int64_t each = a.count ? a.count / (a.dim[0] * groups) : 0;
  cr_var y = cr_standardize(cr_reshape(x, 3, (int64_t[]){a.dim[0], groups, each}), 1, &last, cr_arg_number(c, 4));
  cr_return(c, scaled(cr_reshape(y, a.rank, a.dim), along_channels(weight, x), along_channels(bias, x)));
}

static void call_instance_norm(cr_call *c) {
  cr_var x = cr_arg_var(c, 0), weight = arg_optional(c, 3), bias = arg_optional(c, 4), y;
  if (!has_channels(x, "instance_norm", 3)) return;
  int axes[CR_MAX_RANK], n = axes_from(x, 2, axes);
  double eps = cr_arg_number(c, 7);
  if (cr_arg_bool(c, 5)) y = cr_standardize(x, n, axes, eps);
  else y = by_running(x, arg_optional(c, 1), arg_optional(c, 2), eps);
  cr_return(c, scaled(y, along_channels(weight, x), along_channels(bias, x)));
}

#define NORMALISATION .family = "normalisation"

static const cr_op *const recorded[] = {&standardize_op, &pull_op, NULL};

const cr_function cr__norm_functions[] = {
  {.ops = recorded, .signature = "layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-5)",
   .call = call_layer_norm,
   NORMALISATION,
   .doc = "Mean 0 and variance 1 over the last axes, whose sizes are normalized_shape; then weight and bias.",
   .samples = "layer_norm(x:(2,3), [3]); layer_norm(x:(2,2,2), [2,2], w:(2,2), b:(2,2))"},
  {.signature = "rms_norm(input, normalized_shape, weight=None, eps=None)", .call = call_rms_norm, NORMALISATION,
   .doc = "Over the root of the mean square of the last axes; eps None is the dtype's epsilon.",
   .samples = "rms_norm(x:(2,3), [3], w:(3))"},
  {.signature = "batch_norm(input, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, "
                "eps=1e-5)",
   .call = call_batch_norm, NORMALISATION,
   .doc = "Per channel, axis 1: by the running statistics, or in training by those of the batch. momentum has no effect "
          "on the result.",
   .samples = "batch_norm(x:(3,2), m:(2), v:(2)>0, w:(2), b:(2)); batch_norm(x:(3,2,2), None, None, w:(2), b:(2), "
              "training=True)"},
  {.signature = "group_norm(input, num_groups, weight=None, bias=None, eps=1e-5)", .call = call_group_norm, NORMALISATION,
   .doc = "Mean 0 and variance 1 over each group of channels.", .samples = "group_norm(x:(2,4,3), 2, w:(4), b:(4))"},
  {.signature = "instance_norm(input, running_mean=None, running_var=None, weight=None, bias=None, "
                "use_input_stats=True, momentum=0.1, eps=1e-5)",
   .call = call_instance_norm, NORMALISATION, .doc = "Mean 0 and variance 1 over each channel of each sample.",
   .samples = "instance_norm(x:(2,2,3), weight=w:(2), bias=b:(2))"},
  {.signature = "normalize(input, p=2.0, dim=1, eps=1e-12)",
   .formula = "input / clamp(vector_norm(input, p, dim, True), eps)", NORMALISATION,
   .doc = "Vectors along an axis brought to p-norm 1; shorter ones than eps are divided by eps.",
   .samples = "normalize(x:(2,3)); normalize(x:(3), 1.0, 0)"},
  {.signature = NULL}};
