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
  bool pulls, dense;         /* dense: the elements of rows lie side by side */
  bool in_order;             /* row k of the result is elements k n to k n + n - 1 of it */
} norm_job;

enum { LANES = 8, BLOCK = 128 };

/* The sum of terms over the tree of cr__sum_of, in double; before a part of the row is summed, step is done to it. */
#define SUM(f, TARGET, T, STEP, TERM)                                                                  \
  TARGET static double f(const T *from, double *restrict x, double *restrict g, int64_t at, int64_t n, \
                         double a, double b) {                                                         \
    if (n > BLOCK) return f(from, x, g, at, n / 2, a, b) + f(from, x, g, at + n / 2, n - n / 2, a, b); \
    double s[LANES] = {0};                                                                             \
    const int64_t whole = at + n / LANES * LANES;                                                      \
    for (int64_t k = at; k < at + n; k++) STEP(k);                                                     \
    for (int64_t k = at; k < whole; k += LANES)                                                        \
      for (int l = 0; l < LANES; l++) s[l] += TERM(k + l);                                             \
    for (int64_t k = whole; k < at + n; k++) s[k - whole] += TERM(k);                                  \
    (void)from, (void)g, (void)a, (void)b;                                                             \
    return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));                          \
  }
#define SHIFT(k) x[k] = (double)from[k] - a
#define SHIFTED(k) x[k]
#define CENTER(k) x[k] -= a
#define SQUARE(k) x[k] * x[k]
#define SCALE(k) g[k] -= a, x[k] *= b
#define PRODUCT(k) g[k] * x[k]

/* A row x, or its pull by the row g, into out; with room for two rows. Differences to one element come first, so that a
 * large common offset costs no digits. */
#define ROW(name, TARGET, T)                                                                                            \
  SUM(shifted_##name, TARGET, T, SHIFT, SHIFTED)                                                                        \
  SUM(squares_##name, TARGET, T, CENTER, SQUARE)                                                                        \
  SUM(products_##name, TARGET, T, SCALE, PRODUCT)                                                                       \
  TARGET static void row_##name(const T *of_x, const T *of_g, int64_t n, double eps, double *restrict x, T *out) {      \
    double *restrict g = x + n;                                                                                         \
    double mean = shifted_##name(of_x, x, NULL, 0, n, (double)of_x[0], 0) / (double)n;                                  \
    const double scale = 1 / sqrt(squares_##name(NULL, x, NULL, 0, n, mean, 0) / (double)n + eps);                      \
    if (of_g) {                                                                                                         \
      mean = shifted_##name(of_g, g, NULL, 0, n, (double)of_g[0], 0) / (double)n;                                       \
      mean = products_##name(NULL, x, g, 0, n, mean, scale) / (double)n;                                                \
      for (int64_t i = 0; i < n; i++) out[i] = (T)((g[i] - x[i] * mean) * scale);                                       \
    } else {                                                                                                            \
      for (int64_t i = 0; i < n; i++) out[i] = (T)(x[i] * scale);                                                       \
    }                                                                                                                   \
  }
ROW(float, , float)
ROW(wide_float, CR__WIDE, float)
ROW(widest_float, CR__WIDEST, float)
ROW(double, , double)
ROW(wide_double, CR__WIDE, double)
ROW(widest_double, CR__WIDEST, double)

#define VERSION(f, T) (cr__version() == 2 ? f##_widest_##T : cr__version() == 1 ? f##_wide_##T : f##_##T)

static bool is_dense(const cr__rows_view *v) { return v->row.rank == 1 && v->row.stride[0] == 1; }
static void *row_at(const cr__rows_view *v, int64_t k) {
  return v->data + cr_array_offset(&v->kept, k) * (int64_t)cr_dtype_size((cr_dtype)v->row.dtype);
}

/* Rows whose elements lie apart are copied. */
static void copied_row(const norm_job *j, int64_t k, double *room) {
  double *x = room + 2 * j->x.row.count, *g = x + j->x.row.count;
  cr__row_get(&j->x, k, x);
  if (j->pulls) cr__row_get(&j->g, k, g);
  VERSION(row, double)(x, j->pulls ? g : NULL, j->x.row.count, j->eps, room, x);
  cr__row_put(&j->out, k, x);
}

/* The next row, while this one is computed: it may be far off in memory. */
static void ask_for(const norm_job *j, int64_t k) {
  const int64_t bytes = j->x.row.count * (int64_t)cr_dtype_size((cr_dtype)j->x.row.dtype);
  if (k >= j->x.kept.count) return;
  const char *x = row_at(&j->x, k), *g = row_at(&j->g, k);
  for (int64_t at = 0; at < bytes; at += 64) {
    __builtin_prefetch(x + at);
    if (j->pulls) __builtin_prefetch(g + at);
  }
}

static void one_row(void *context, int64_t k, double *room) {
  const norm_job *j = context;
  const int64_t n = j->x.row.count;
  void *x = row_at(&j->x, k), *g = j->pulls ? row_at(&j->g, k) : NULL, *out = row_at(&j->out, k);
  if (!j->dense) {
    copied_row(j, k, room);
  } else {
    ask_for(j, k + 1);
    if (j->x.row.dtype == CR_FLOAT32) VERSION(row, float)(x, g, n, j->eps, room, out);
    else VERSION(row, double)(x, g, n, j->eps, room, out);
  }
  if (j->in_order) cr_ready(j->c, k * n, n);
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
                cr__rows_of(c->out, a->axes.mask), a->eps, c->n > 1, false, are_last(c->out, a->axes.mask)};
  if (!c->out->count) return CR_OK;
  j.dense = is_dense(&j.x) && is_dense(&j.g) && is_dense(&j.out);
  cr_status status = cr__each_row(c, j.x.kept.count, 4 * j.x.row.count, one_row, &j);
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
