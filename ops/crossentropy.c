/* The cross-entropy of rows of logits against classes, log(sum exp(x)) - x[t], fused: softmax and logarithms of many classes
 * would go through memory several times. */
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "flatmath.h"
#include "fused.h"

/* Rows of few classes go side by side, so that all loops are over whole vectors; others in lanes, and in blocks. */
enum { FEW = 64, SIDE = 32, LANES = 64, BLOCK = 8 * LANES };
static int64_t side_of(int64_t n) { return n <= FEW ? SIDE : 1; }

/* With top the largest of a row: e = exp(x - top), and their sum, less 1 for top itself, which is left out so that no digit
 * is lost where it dominates. */
#define ROWS_OF(name, TARGET, T, EXP)                                                                                       \
  TARGET static void side_by_side_##name(const T *x, int64_t n, int64_t rows, T *restrict e, T *restrict top,               \
                                         double *restrict others) {                                                         \
    T sum[SIDE] = {0}, ties[SIDE] = {0};                                                                                    \
    for (int64_t l = 0; l < SIDE; l++) top[l] = -(T)INFINITY;                                                               \
    for (int64_t l = 0; l < SIDE; l++)                                                                                      \
      for (int64_t i = 0; i < n; i++) e[i * SIDE + l] = x[(l < rows ? l : 0) * n + i];                                      \
    for (T *z = e, *end = e + n * SIDE; z < end; z += SIDE)                                                                 \
      for (int l = 0; l < SIDE; l++) top[l] = z[l] > top[l] ? z[l] : top[l];                                                \
    for (T *z = e, *end = e + n * SIDE; z < end; z += SIDE) {                                                               \
      for (int l = 0; l < SIDE; l++) ties[l] += z[l] == top[l] ? 1 : 0;                                                     \
      T y[SIDE];                                                                                                            \
      for (int l = 0; l < SIDE; l++) y[l] = EXP(z[l] - top[l]);                                                             \
      for (int l = 0; l < SIDE; l++) sum[l] += z[l] == top[l] ? 0 : y[l];                                                   \
      for (int l = 0; l < SIDE; l++) z[l] = y[l];                                                                           \
    }                                                                                                                       \
    for (int l = 0; l < SIDE; l++) others[l] = isfinite(top[l]) ? (double)(ties[l] - 1) + (double)sum[l] : (double)NAN;     \
  }                                                                                                                         \
  /* One row; e goes on by step from block to block. Sums of blocks are taken in double. */                                 \
  TARGET static void in_lanes_##name(const T *x, int64_t n, T *restrict e, int64_t step, T *largest, double *others) {      \
    T top[LANES], most; /* so many lanes that compilers make vectors of the loops over them */                              \
    double sums = -1;                                                                                                       \
    int64_t whole = n - n % LANES;                                                                                          \
    for (int l = 0; l < LANES; l++) top[l] = -(T)INFINITY;                                                                  \
    for (int64_t i = 0; i < whole; i += LANES)                                                                              \
      for (int l = 0; l < LANES; l++) top[l] = x[i + l] > top[l] ? x[i + l] : top[l];                                       \
    for (int64_t i = whole; i < n; i++) top[i - whole] = x[i] > top[i - whole] ? x[i] : top[i - whole];                     \
    for (int w = LANES / 2; w; w /= 2)                                                                                      \
      for (int l = 0; l < w; l++) top[l] = top[l + w] > top[l] ? top[l + w] : top[l];                                       \
    *largest = most = top[0];                                                                                               \
    for (int64_t from = 0; from < n; from += BLOCK, e += step) {                                                            \
      T sum[LANES] = {0};                                                                                                   \
      int64_t m = n - from < BLOCK ? n - from : BLOCK, even = m - m % LANES;                                                \
      int32_t ties = 0;                                                                                                     \
      const T *restrict z = x + from;                                                                                       \
      for (int64_t i = 0; i < m; i++) e[i] = EXP(z[i] - most);                                                              \
      for (int64_t i = 0; i < m; i++) ties += z[i] == most;                                                                 \
      for (int64_t i = 0; i < even; i += LANES)                                                                             \
        for (int l = 0; l < LANES; l++) sum[l] += z[i + l] == most ? 0 : e[i + l];                                          \
      for (int64_t i = even; i < m; i++) sum[i - even] += z[i] == most ? 0 : e[i];                                          \
      for (int w = LANES / 2; w; w /= 2)                                                                                    \
        for (int l = 0; l < w; l++) sum[l] += sum[l + w];                                                                   \
      sums += (double)ties + (double)sum[0];                                                                                \
    }                                                                                                                       \
    *others = isfinite(most) ? sums : (double)NAN;                                                                          \
  }                                                                                                                         \
  TARGET static void loss_##name(const void *logits, const int64_t *class, const void *g, int64_t n, int64_t from,          \
                                 int64_t to, void *out) {                                                                   \
    T e[FEW * SIDE], top[SIDE], *loss = out;                                                                                \
    double others[SIDE];                                                                                                    \
    (void)g;                                                                                                                \
    for (int64_t r = from, side = side_of(n); r < to; r += side) {                                                          \
      const T *x = (const T *)logits + r * n;                                                                               \
      int64_t rows = to - r < side ? to - r : side;                                                                         \
      if (side > 1) side_by_side_##name(x, n, rows, e, top, others);                                                        \
      else in_lanes_##name(x, n, e, 0, top, others);                                                                        \
      for (int64_t l = 0; l < rows; l++)                                                                                    \
        loss[r + l] = (T)((double)top[l] - (double)x[l * n + class[r + l]] + log1p(others[l]));                             \
    }                                                                                                                       \
  }                                                                                                                         \
  /* g (softmax - 1 at the class) */                                                                                        \
  TARGET static void pull_##name(const void *logits, const int64_t *class, const void *g, int64_t n, int64_t from,          \
                                 int64_t to, void *out) {                                                                   \
    T beside[FEW * SIDE], top[SIDE];                                                                                        \
    double others[SIDE];                                                                                                    \
    for (int64_t r = from, side = side_of(n); r < to; r += side) {                                                          \
      const T *x = (const T *)logits + r * n, *by = (const T *)g + r;                                                       \
      T *d = (T *)out + r * n, *e = side > 1 ? beside : d;                                                                  \
      int64_t rows = to - r < side ? to - r : side;                                                                         \
      if (side > 1) side_by_side_##name(x, n, rows, e, top, others);                                                        \
      else in_lanes_##name(x, n, e, BLOCK, top, others);                                                                    \
      for (int64_t l = 0; l < rows; l++, d += n) {                                                                          \
        const int64_t t = class[r + l];                                                                                     \
        const T factor = (T)((double)by[l] / (1 + others[l]));                                                              \
        const double of_class = x[l * n + t] == top[l] ? -others[l] : (double)e[t * side + l] - (1 + others[l]);            \
        for (int64_t i = 0; side > 1 && i < n; i++) d[i] = factor * e[i * SIDE + l];                                        \
        for (int64_t i = 0; side == 1 && i < n; i++) d[i] *= factor;                                                        \
        d[t] = (T)((double)by[l] * (of_class / (1 + others[l])));                                                           \
        if (by[l] == 0) memset(d, 0, (size_t)n * sizeof *d);                                                                \
      }                                                                                                                     \
    }                                                                                                                       \
  }
ROWS_OF(float, , float, flat_expf)
ROWS_OF(wide_float, CR__WIDE, float, flat_expf)
ROWS_OF(widest_float, CR__WIDEST, float, flat_expf)
ROWS_OF(double, , double, flat_exp)
ROWS_OF(wide_double, CR__WIDE, double, flat_exp)
ROWS_OF(widest_double, CR__WIDEST, double, flat_exp)

typedef void rows_rule(const void *logits, const int64_t *class, const void *g, int64_t n, int64_t from, int64_t to,
                       void *out);
#define VERSIONS(f) {{f##_float, f##_wide_float, f##_widest_float}, {f##_double, f##_wide_double, f##_widest_double}}
static rows_rule *const losses[2][3] = VERSIONS(loss), *const pulls[2][3] = VERSIONS(pull);

typedef struct work {
  rows_rule *rule;
  const void *logits, *g;
  const int64_t *class;
  int64_t n;
  void *out;
} work;

static void run_rows(void *context, int64_t from, int64_t to) {
  const work *w = context;
  w->rule(w->logits, w->class, w->g, w->n, from, to, w->out);
}

/* Operands: logits (rows, n), classes (rows) and, for the pull, g (rows). */
static cr_status eval(cr_eval *c) {
  enum { SOME = 1 << 14 };
  cr_dtype dtype = (cr_dtype)c->out->dtype;
  work w = {.logits = cr__dense(c, &c->in[0], dtype), .class = cr__dense(c, &c->in[1], CR_INT64), .n = c->in[0].dim[1],
            .out = c->out->data};
  if (c->n > 2) w.g = cr__dense(c, &c->in[2], dtype);
  if (!w.logits || !w.class || (c->n > 2 && !w.g)) return CR_NO_MEMORY;
  for (int64_t r = 0; r < c->in[1].count; r++)
    if (w.class[r] < 0 || w.class[r] >= w.n) {
      cr_fail(c->tape, CR_BAD_INDEX, "target %lld at position %lld, there are %lld classes", (long long)w.class[r],
              (long long)r, (long long)w.n);
      return CR_BAD_INDEX;
    }
  w.rule = (c->n > 2 ? pulls : losses)[dtype == CR_FLOAT64][cr__version()];
  cr_parallel(c->tape, c->in[1].count, 1 + SOME / (w.n + 1), run_rows, &w);
  return CR_OK;
}

static int check(const cr_infer *c) {
  const cr_array *x = &c->in[0], *t = &c->in[1], *g = &c->in[c->n - 1];
  if (x->rank != 2 || x->dtype < CR_FLOAT32 || t->rank != 1 || t->dim[0] != x->dim[0]) return 0;
  return (t->dtype == CR_INT64 || t->dtype == CR_INT32) &&
         (c->n < 3 || (g->rank == 1 && g->dim[0] == x->dim[0] && g->dtype == x->dtype));
}
static cr_status loss_infer(cr_infer *c) {
  cr_array_init(c->out, (cr_dtype)c->in[0].dtype, 1, c->in[1].dim);
  return CR_OK;
}
static cr_status pull_infer(cr_infer *c) {
  cr_array_init(c->out, (cr_dtype)c->in[0].dtype, 2, c->in[0].dim);
  return CR_OK;
}

static cr_var composed(int n, const cr_var *in, const void *attr) {
  (void)n, (void)attr;
  return cr_neg(cr_squeeze(cr_gather(cr_log_softmax(in[0], 1), 1, cr_unsqueeze(in[1], 1)), 1, (int[]){1}));
}
static cr_var pull_composed(int n, const cr_var *in, const void *attr) {
  (void)n, (void)attr;
  cr_var hot = cr_cast(cr_one_hot(in[1], cr_dim(in[0], 1)), cr_dtype_of(in[0]));
  return cr_mul(cr_unsqueeze(in[2], 1), cr_sub(cr_softmax(in[0], 1), hot));
}

static void pull_vjp(cr_vjp_rule *c) { cr__composed_vjp(c, pull_composed); }
static cr_var pull_jvp(cr_jvp_rule *c) { return cr__composed_jvp(c, pull_composed); }
/* Logits and classes by row; the cotangent, too. */
static void class_entropy_depend(cr_depend *c) {
  int axis[CR_MAX_RANK], last = c->in[0].rank - 1;
  for (int i = 0; i <= last; i++) axis[i] = i < last ? i : -1;
  cr_depend_along(c, 0, axis);
  if (c->n > 2) cr_depend_along(c, 2, axis);
}
static const cr_op pull_op = {.name = "class_entropy_pull", .check = check, .arity = 3, .infer = pull_infer, .eval = eval,
                               .depend = class_entropy_depend, .vjp = pull_vjp,
                              .jvp = pull_jvp, .rule = "as of g (softmax(x) - one_hot(t))"};
static void loss_vjp(cr_vjp_rule *c) {
  if (c->wanted[0]) c->d[0] = cr_record(c->tape, &pull_op, 3, (cr_var[]){c->in[0], c->in[1], c->g}, NULL);
}
static cr_var loss_jvp(cr_jvp_rule *c) { return cr__composed_jvp(c, composed); }
static const cr_op loss_op = {.name = "class_entropy", .check = check, .arity = 2, .infer = loss_infer, .eval = eval,
                              .depend = class_entropy_depend, .vjp = loss_vjp,
                              .jvp = loss_jvp, .rule = "g (softmax(x) - one_hot(t))"};

cr_var cr__class_entropy(cr_var logits, cr_var class) {
  return cr_record(logits.tape, &loss_op, 2, (cr_var[]){logits, class}, NULL);
}

const cr_op *const cr__crossentropy_ops[] = {&loss_op, &pull_op, NULL};
