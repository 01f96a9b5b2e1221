/* Norms of gradients, and clipping. Sums are over lanes in a fixed order, so that the bits depend on the numbers
 * alone. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <emit.h>
#include <op.h>

#include "descent.h"

enum { LANES = 32 };

/* The squares of whole groups of lanes; how far that went. */
#define ADD_SQUARES(name, T)                                                           \
  static int64_t name(const T *restrict x, int64_t n, double *restrict lane) {         \
    for (int64_t k = 0; k + LANES <= n; k += LANES)                                    \
      for (int j = 0; j < LANES; j++) lane[j] += (double)x[k + j] * (double)x[k + j];  \
    return n / LANES * LANES;                                                          \
  }
ADD_SQUARES(add_floats, float)
ADD_SQUARES(add_doubles, double)

/* The same bits: a float's square is exact in double, so that fusing the sum with it changes nothing. */
#if defined(__x86_64__)
__attribute__((target("avx512f"))) static int64_t add_floats_widely(const float *x, int64_t n, double *lane) {
  enum { EACH = 8 };
  __m512d sum[LANES / EACH];
  for (int j = 0; j < LANES / EACH; j++) sum[j] = _mm512_loadu_pd(lane + j * EACH);
  for (int64_t k = 0; k + LANES <= n; k += LANES)
    for (int j = 0; j < LANES / EACH; j++) {
      __m512d wide = _mm512_cvtps_pd(_mm256_loadu_ps(x + k + j * EACH));
      sum[j] = _mm512_fmadd_pd(wide, wide, sum[j]);
    }
  for (int j = 0; j < LANES / EACH; j++) _mm512_storeu_pd(lane + j * EACH, sum[j]);
  return n / LANES * LANES;
}
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
  for (int j = 0; j < LANES && j < a->count; j++) sum += lane[j];
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

/* As operations: the squares of each gradient are summed while it is in the cache. */

static int is_finite(const cr_array *a) {
  for (int64_t k = 0; k < a->count; k++)
    if (!isfinite(cr_array_get(a, k))) return 0;
  return 1;
}

static cr_status squares_infer(cr_infer *c) {
  cr_array_init(c->out, CR_FLOAT64, 0, NULL);
  return CR_OK;
}

/* NaN where a number is not finite; infinite squares of finite numbers stay infinite. */
static cr_status squares_eval(cr_eval *c) {
  double sum = sum_of_squares(&c->in[0]);
  *(double *)c->out->data = isfinite(sum) || is_finite(&c->in[0]) ? sum : (double)NAN;
  return CR_OK;
}

static cr_status norms_infer(cr_infer *c) {
  int64_t n = c->n;
  cr_array_init(c->out, CR_FLOAT64, 1, &n);
  return CR_OK;
}

static cr_status norms_eval(cr_eval *c) {
  double sum = 0, *out = c->out->data;
  if (!is_finite(&c->in[0])) return CR_NOT_FINITE;
  for (int k = 1; k < c->n; k++) {
    double squares = cr_array_get(&c->in[k], 0);
    if (isnan(squares)) return CR_NOT_FINITE;
    sum += squares;
    out[k - 1] = sqrt(squares);
  }
  out[c->n - 1] = sqrt(sum);
  return CR_OK;
}

/* The same within a compiled function; a number that is not finite is left to the kernels. */
static int squares_small(cr_emit_context *c) {
  enum { MOST = 1 << 12 };
  const cr_array *a = &c->in[0].array;
  if (c->in[0].number || !a->contiguous || a->count > MOST || a->dtype < CR_FLOAT32) return 0;
  const int level = cr_emit_level(c);
  const long long n = a->count, whole = n / LANES * LANES;
  cr_emit_line(c, "const %s *x = %s;", cr_emit_type((cr_dtype)a->dtype), cr_emit_pointer(c, &c->in[0], level));
  cr_emit_line(c, "double sum = 0;");
  if (a->dtype == CR_FLOAT32 && !cr_emit_exact(c)) {
    cr_emit_line(c, "_Pragma(\"omp simd reduction(+ : sum)\")");
    cr_emit_line(c, "for (int i = 0; i < %lld; i++) sum += (double)x[i] * (double)x[i];", n);
  } else {
    cr_emit_line(c, "double lane[%d] = {0};", LANES);
    cr_emit_line(c, "for (int i = 0; i < %lld; i += %d)", whole, LANES);
    cr_emit_line(c, "  for (int j = 0; j < %d; j++) lane[j] += (double)x[i + j] * (double)x[i + j];", LANES);
    cr_emit_line(c, "for (int j = 0; j < %lld; j++) lane[j] += (double)x[%lld + j] * (double)x[%lld + j];", n - whole, whole,
                 whole);
    cr_emit_line(c, "for (int j = 0; j < %lld; j++) sum += lane[j];", whole ? LANES : n);
  }
  cr_emit_line(c, "if (!isfinite(sum)) return 1;");
  cr_emit_store(c, &c->out, level, CR_FLOAT64, "sum");
  return 1;
}

static int norms_small(cr_emit_context *c) {
  const int level = cr_emit_level(c);
  if (c->in[0].array.count != 1) return 0;
  cr_emit_line(c, "const double loss = (double)%s;", cr_emit_at(c, &c->in[0], level));
  cr_emit_line(c, "double all = 0, *norm = %s;", cr_emit_pointer(c, &c->out, level));
  for (int k = 1; k < c->n; k++)
    cr_emit_line(c, "all += %s, norm[%d] = sqrt(%s);", cr_emit_at(c, &c->in[k], level), k - 1,
                 cr_emit_at(c, &c->in[k], level));
  cr_emit_line(c, "if (!isfinite(loss + 0 * all)) return 1;");
  cr_emit_line(c, "norm[%d] = sqrt(all);", c->n - 1);
  return 1;
}

static const cr_op squares_op = {
  .name = "sum_of_squares", .arity = 1, .infer = squares_infer, .eval = squares_eval, .small = squares_small};
static const cr_op norms_op = {
  .name = "norms", .arity = CR_VARIADIC, .infer = norms_infer, .eval = norms_eval, .small = norms_small};

cr_var cr_norms(int n, const cr_var *g) {
  cr_tape *t = g[0].tape;
  cr_var *of = malloc((size_t)n * sizeof *of);
  if (!of) {
    cr_fail(t, CR_NO_MEMORY, "out of memory");
    return cr_poison(t);
  }
  of[0] = g[0];
  for (int k = 1; k < n; k++) of[k] = cr_record(t, &squares_op, 1, &g[k], NULL);
  cr_var norms = cr_record(t, &norms_op, n, of, NULL);
  free(of);
  return norms;
}

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
