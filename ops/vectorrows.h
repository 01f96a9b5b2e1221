/* The rows of elementwise.def as loops over dense float32 arrays, for the vectors of the file that includes this: see
 * vectors.c. */
#include "singlemath.h"

/* exp of a double, within 2e-12 of itself and without a table: enough for what is rounded to float. It is 0 or infinite
 * beyond +-200, where floats are long. exp(x) = 2^n exp(r), |r| <= ln(2) / 2; the polynomial is the best of its degree with
 * 1 + r at its beginning, so that 1 - exp(x) keeps its accuracy near 0. */
static inline double short_exp(double x) {
  double shifted = x * 1.4426950408889634 + 6755399441055744.0, n = shifted - 6755399441055744.0; /* rounded by the sum */
  double r = x - n * 0.6931471805599453, square = r * r;
  double low = 0.5000000000427163 + 0.16666666784511885 * r, middle = 0.04166666440365736 + 0.008333281787558506 * r;
  double high = 0.0013889197263587207 + 0.00019908952453736808 * r + 2.4708265223572482e-05 * square;
  double p = 1 + (r + square * (low + square * (middle + square * high)));
  uint64_t bits;
  double scale;
  memcpy(&bits, &shifted, sizeof bits);
  bits = (bits << 52) + 0x3FF0000000000000u;
  memcpy(&scale, &bits, sizeof scale);
  double y = p * scale;
  y = x > 200 ? (double)INFINITY : y;
  return x < -200 ? 0 : y;
}
#define exp(x) short_exp(x)

/* Forms without branches of what rows in double call. */
#undef sigmoid
#undef ndtr
static inline double sigmoid(double x) {
  double e = exp(-fabs(x)), top = x >= 0 ? 1 : e;
  return top / (1 + e);
}
static inline double ndtr(double x) { return 0.5 * erfc(-0.70710678118654752 * x); }
static inline double flat_normal_pdf(double x) { return 0.3989422804014327 * exp(-0.5 * x * x); }
static inline double flat_gauss(double x) { return exp(-x * x); }
static inline double flat_quick_gelu_slope(double x) {
  double z = 1.702 * x, e = exp(-fabs(z)), top = z >= 0 ? 1 : e, other = z >= 0 ? e : 1;
  double y = top / (1 + e) * (1 + z * (other / (1 + e)));
  return fabs(z) > 1e4 ? z > 0 : y;
}
static inline double flat_tanh(double x) {
  double e = exp(-2 * fabs(x)), y = copysign((1 - e) / (1 + e), x);
  return fabs(x) < 1e-3 ? x * (1 - x * x / 3) : y;
}
#define tanh(x) flat_tanh(x)
#define normal_pdf(x) flat_normal_pdf(x)
#define gauss(x) flat_gauss(x)
#define quick_gelu_slope(x) flat_quick_gelu_slope(x)

/* Numbers become T and results float. */
#define LOOP(T, name, value)                                                           \
  static void name##_loop(int64_t n, const void *pa, const void *pb, void *py) {       \
    const float *p = pa, *q = pb;                                                      \
    float *out = py;                                                                   \
    for (int64_t i = 0; i < n; i++) {                                                  \
      const T a = (T)p[i], b = (T)q[i];                                                \
      (void)a, (void)b;                                                                \
      out[i] = (float)(value);                                                         \
    }                                                                                  \
  }
#define LOOP_WITH_ONE(name, k, p_at, q_at, value)                                      \
  static void name##_with_##k(int64_t n, const void *pa, const void *pb, void *py) {   \
    const float *p = pa, *q = pb;                                                      \
    float *out = py;                                                                   \
    const float p0 = *p, q0 = *q;                                                      \
    (void)p0, (void)q0;                                                                \
    for (int64_t i = 0; i < n; i++) {                                                  \
      const float a = p_at, b = q_at;                                                  \
      out[i] = (float)(value);                                                         \
    }                                                                                  \
  }
#define PULL(T, name, k, partial)                                                                                           \
  static void name##_by_##k(int64_t n, const void *pa, const void *pb, const void *py, const void *pg, void *to) {          \
    const float *p = pa, *q = pb, *r = py, *s = pg;                                                                         \
    float *out = to;                                                                                                        \
    for (int64_t i = 0; i < n; i++) {                                                                                       \
      const T a = (T)p[i], b = (T)q[i], y = (T)r[i], g = (T)s[i], d = (T)(partial), x = g * d;                              \
      (void)a, (void)b, (void)y;                                                                                            \
      out[i] = (float)(g == 0 ? 0 : x);                                                                                     \
    }                                                                                                                       \
  }
#define SINGLE_UNARY(name, value, da) LOOP(float, name, value) PULL(float, name, a, da)
#define SINGLE_LOOPS(name, value) \
  LOOP(float, name, value) LOOP_WITH_ONE(name, a, p0, q[i], value) LOOP_WITH_ONE(name, b, p[i], q0, value)
#define SINGLE_BINARY(name, value, da, db) SINGLE_LOOPS(name, value) PULL(float, name, a, da) PULL(float, name, b, db)
#define DOUBLE_UNARY(name, value, da) LOOP(double, name, value) PULL(double, name, a, da)
#define DOUBLE_BINARY(name, value, da, db) LOOP(double, name, value) PULL(double, name, a, da) PULL(double, name, b, db)
#include "singlerows.h"
SINGLE_LOOPS(guarded_mul, a == 0 ? 0 : a * b)
#undef SINGLE_UNARY
#undef SINGLE_BINARY
#undef DOUBLE_UNARY
#undef DOUBLE_BINARY
#undef COMPARISON

static const cr_row_loops rows[] = {
#define SINGLE_UNARY(name, ...) {name##_loop, {NULL, NULL}, {name##_by_a, NULL}},
#define SINGLE_BINARY(name, ...) {name##_loop, {name##_with_a, name##_with_b}, {name##_by_a, name##_by_b}},
#define DOUBLE_UNARY(name, ...) {name##_loop, {NULL, NULL}, {name##_by_a, NULL}},
#define DOUBLE_BINARY(name, ...) {name##_loop, {NULL, NULL}, {name##_by_a, name##_by_b}},
#define COMPARISON(name) {NULL, {NULL, NULL}, {NULL, NULL}},
#include "singlerows.h"
  {guarded_mul_loop, {guarded_mul_with_a, guarded_mul_with_b}, {NULL, NULL}}
};
#undef exp
