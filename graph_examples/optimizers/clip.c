/* Norms of gradients, and clipping. Sums are over lanes in a fixed order, so that the bits depend on the numbers
 * alone. */
#include <math.h>
#include <string.h>

#include <op.h>

#include "descent.h"

enum { LANES = 32 };

/* The squares of whole groups of lanes; how far that went. For every processor alike, and with vectors. */
#define ADD_SQUARES(name, TARGET, T)                                                                                        \
  TARGET static int64_t name(const T *x, int64_t n, double *lane) {                                                         \
    double sum[LANES] = {0};                                                                                                \
    for (int64_t k = 0; k + LANES <= n; k += LANES)                                                                         \
      for (int j = 0; j < LANES; j++) sum[j] += (double)x[k + j] * (double)x[k + j];                                        \
    for (int j = 0; j < LANES; j++) lane[j] = sum[j];                                                                       \
    return n / LANES * LANES;                                                                                               \
  }
ADD_SQUARES(add_floats, , float)
ADD_SQUARES(add_doubles, , double)
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
ADD_SQUARES(add_floats_widely, __attribute__((target("avx512f"), optimize("O3"))), float)
#define ADD_FLOATS(x, n, lane) (__builtin_cpu_supports("avx512f") ? add_floats_widely : add_floats)(x, n, lane)
#else
#define ADD_FLOATS add_floats
#endif

/* Of elements that lie apart, row by row; k: how many there were before. How many there are then. */
static int64_t add_apart(const cr_array *a, int64_t k, double *lane) {
  enum { SOME = 512 };
  double x[SOME];
  cr_array part = *a, dense;
  if (a->count > SOME) {
    int64_t step = a->stride[0] * (int64_t)cr_dtype_size((cr_dtype)a->dtype);
    part.rank--, part.count /= a->dim[0], part.contiguous = 0;
    memmove(part.dim, a->dim + 1, part.rank * sizeof *part.dim);
    memmove(part.stride, a->stride + 1, part.rank * sizeof *part.stride);
    for (int64_t i = 0; i < a->dim[0]; i++, part.data = (char *)part.data + step) k = add_apart(&part, k, lane);
    return k;
  }
  cr_array_init(&dense, CR_FLOAT64, a->rank, a->dim);
  dense.data = x;
  cr_array_copy(&dense, a);
  for (int64_t i = 0; i < a->count; i++, k++) lane[k % LANES] += x[i] * x[i];
  return k;
}

static double sum_of_squares(const cr_array *a) {
  double lane[LANES] = {0}, sum = 0;
  int64_t k = 0;
  if (a->contiguous && a->dtype == CR_FLOAT32) k = ADD_FLOATS(a->data, a->count, lane);
  else if (a->contiguous && a->dtype == CR_FLOAT64) k = add_doubles(a->data, a->count, lane);
  else if (a->count) k = add_apart(a, 0, lane);
  const int floats = a->contiguous && a->dtype == CR_FLOAT32;
  for (; k < a->count; k++) {
    const double x = floats ? (double)((const float *)a->data)[k] : cr_array_get(a, k);
    lane[k % LANES] += x * x;
  }
  for (int j = 0; j < LANES; j++) sum += lane[j];
  return sum;
}

static int counts(const cr_parameter *q) { return q->trainable && q->gradient.data; }

double cr_gradient_norm(const cr_model *m, int k) {
  double sum = 0;
  for (int i = 0; i < cr_model_count(m); i++) {
    const cr_parameter *q = cr_model_parameter(m, i);
    if ((k < 0 || i == k) && counts(q)) sum += sum_of_squares(&q->gradient);
  }
  return sqrt(sum);
}

/* A finite sum of squares has finite terms; an infinite one may still have them, and is looked at term by term. */
cr_status cr_gradients_finite(const cr_model *m, double *norm, cr_problem *p) {
  double sum = 0;
  for (int i = 0; i < cr_model_count(m); i++) {
    const cr_parameter *q = cr_model_parameter(m, i);
    double squares = counts(q) ? sum_of_squares(&q->gradient) : 0;
    sum += squares;
    if (isfinite(squares)) continue;
    for (int64_t k = 0; k < q->gradient.count; k++)
      if (!isfinite(cr_array_get(&q->gradient, k)))
        return cr_refuse(p, CR_NOT_FINITE, "the gradient of '%s' is %g at element %lld; no step is taken", q->name,
                         cr_array_get(&q->gradient, k), (long long)k);
  }
  *norm = sqrt(sum);
  return CR_OK;
}

/* As an operation */

static cr_status norms_infer(cr_infer *c) {
  int64_t n = c->n;
  cr_array_init(c->out, CR_FLOAT64, 1, &n);
  return CR_OK;
}

static int is_finite(const cr_array *a) {
  for (int64_t k = 0; k < a->count; k++)
    if (!isfinite(cr_array_get(a, k))) return 0;
  return 1;
}

static cr_status norms_eval(cr_eval *c) {
  double sum = 0, *out = c->out->data;
  if (!is_finite(&c->in[0])) return CR_NOT_FINITE;
  for (int k = 1; k < c->n; k++) {
    double squares = sum_of_squares(&c->in[k]);
    if (!isfinite(squares) && !is_finite(&c->in[k])) return CR_NOT_FINITE;
    sum += squares;
    out[k - 1] = sqrt(squares);
  }
  out[c->n - 1] = sqrt(sum);
  return CR_OK;
}

static const cr_op norms_op = {.name = "norms", .arity = CR_VARIADIC, .infer = norms_infer, .eval = norms_eval};

cr_var cr_norms(int n, const cr_var *g) { return cr_record(g[0].tape, &norms_op, n, g, NULL); }

/* Every number x of every gradient becomes f(x, number), in memory of its own: two gradients may be views of the same
 * numbers. */
static void change(cr_model *m, double (*f)(double x, double number), double number) {
  for (int i = 0; i < cr_model_count(m); i++) {
    cr_parameter *q = cr_model_parameter(m, i);
    if (!counts(q)) continue;
    cr_var own = cr_tensor_of(cr_model_tape(m), (cr_dtype)q->gradient.dtype, q->gradient.rank, q->gradient.dim, NULL);
    if (cr_is_poison(own)) return;
    cr_array to = cr_view(own);
    for (int64_t k = 0; k < to.count; k++) cr_array_set(&to, k, f(cr_array_get(&q->gradient, k), number));
    q->gradient = to;
  }
}

static double scaled(double x, double factor) { return x * factor; }
static double bounded(double x, double largest) { return x > largest ? largest : x < -largest ? -largest : x; }

double cr_clip_norm(cr_model *m, double largest) {
  double norm = cr_gradient_norm(m, -1), factor = largest / (norm + 1e-6);
  if (factor < 1) change(m, scaled, factor);
  return norm;
}

double cr_clip_value(cr_model *m, double largest) {
  double norm = cr_gradient_norm(m, -1);
  change(m, bounded, largest);
  return norm;
}
