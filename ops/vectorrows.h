/* The rows of elementwise.def as loops over dense float32 arrays, for the vectors of the file that includes this: see vectors.c. */
/* exp of a double, within 2e-12 of itself and without a table: enough for what is rounded to float. It is 0 or infinite
 * beyond +-200, where floats are long. exp(x) = 2^n exp(r), |r| <= ln(2) / 2; the polynomial is the best of its degree with
 * 1 + r at its beginning, so that 1 - exp(x) keeps its accuracy near 0. */
static inline double short_exp(double x) {
  double shifted = x * 1.4426950408889634 + 6755399441055744.0, n = shifted - 6755399441055744.0; /* rounded by the addition */
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

/* Forms without branches. */
#undef sigmoid
#undef softplus
#undef log1pexp
#undef ndtr
static inline double sigmoid(double x) {
  double e = exp(-fabs(x)), top = x >= 0 ? 1 : e;
  return top / (1 + e);
}
static inline double log1pexp(double x) { return (x > 0 ? x : 0) + log1p(exp(-fabs(x))); }
#define softplus(x) log1pexp(x)
static inline double ndtr(double x) { return 0.5 * erfc(-0.70710678118654752 * x); }
static inline double flat_sech2(double x) {
  double e = exp(-2 * fabs(x));
  return 4 * e / ((1 + e) * (1 + e));
}
static inline double flat_normal_pdf(double x) { return 0.3989422804014327 * exp(-0.5 * x * x); }
static inline double flat_gauss(double x) { return exp(-x * x); }
static inline double flat_silu_slope(double x) {
  double e = exp(-fabs(x)), top = x >= 0 ? 1 : e, other = x >= 0 ? e : 1, y = top / (1 + e) * (1 + x * (other / (1 + e)));
  return fabs(x) > 1e4 ? x > 0 : y;
}
static inline double flat_gelu_slope(double x) {
  double y = ndtr(x) + x * flat_normal_pdf(x);
  return fabs(x) > 1e4 ? x > 0 : y;
}
static inline double flat_tanh(double x) {
  double e = exp(-2 * fabs(x)), y = copysign((1 - e) / (1 + e), x);
  return fabs(x) < 1e-3 ? x * (1 - x * x / 3) : y;
}
#define tanh(x) flat_tanh(x)
#define sech2(x) flat_sech2(x)
#define normal_pdf(x) flat_normal_pdf(x)
#define gauss(x) flat_gauss(x)
#define silu_slope(x) flat_silu_slope(x)
#define quick_gelu_slope(x) flat_silu_slope(1.702 * (x))
#define gelu_slope(x) flat_gelu_slope(x)

#define INT_UNARY UNARY
#define INT_BINARY BINARY
#define LOOP(name, value)                                                              \
  __attribute__((unused)) static void name##_loop(int64_t n, const float *p, const float *q, float *out) {     \
    for (int64_t i = 0; i < n; i++) {                                                  \
      const double a = (double)p[i], b = (double)q[i];                                 \
      (void)a, (void)b;                                                                \
      out[i] = (float)(value);                                                         \
    }                                                                                  \
  }
#define PULL(name, k, partial)                                                                                              \
  static void name##_by_##k(int64_t n, const float *p, const float *q, const float *r, const float *s, float *out) {        \
    for (int64_t i = 0; i < n; i++) {                                                                                       \
      const double a = (double)p[i], b = (double)q[i], y = (double)r[i], g = (double)s[i];                          \
      const double d = (double)(partial), x = g * d;                                                                        \
      (void)a, (void)b, (void)y;                                                                                            \
      out[i] = (float)(g == 0 ? 0 : x);                                                                                     \
    }                                                                                                                       \
  }
#define UNARY(name, value, da, ...) LOOP(name, value) PULL(name, a, da)
#define BINARY(name, infix, value, da, db, ...) LOOP(name, value) PULL(name, a, da) PULL(name, b, db)
#define COMPARE(...)
#define COMPARE1(...)
#include "elementwise.def"
LOOP(guarded_mul, a == 0 ? 0 : a * b)
#undef UNARY
#undef BINARY

/* A sum, difference, product, quotient or root of floats that is rounded to double and then to float is the one rounded to
 * float at once. */
#define SINGLE(name, value)                                                            \
  static void name##_single(int64_t n, const float *p, const float *q, float *out) {   \
    for (int64_t i = 0; i < n; i++) {                                                  \
      const float a = p[i], b = q[i];                                                  \
      (void)a, (void)b;                                                                \
      out[i] = (value);                                                                \
    }                                                                                  \
  }
SINGLE(neg, -a)
SINGLE(add, a + b)
SINGLE(sub, a - b)
SINGLE(mul, a * b)
SINGLE(div, a / b)
SINGLE(square, a * a)
SINGLE(sqrt, sqrtf(a))
SINGLE(relu, a <= 0 ? 0 : a)
SINGLE(guarded_mul, a == 0 ? 0 : a * b)
#define neg_loop neg_single
#define add_loop add_single
#define sub_loop sub_single
#define mul_loop mul_single
#define div_loop div_single
#define square_loop square_single
#define sqrt_loop sqrt_single
#define relu_loop relu_single
#define guarded_mul_loop guarded_mul_single

static const cr__vector_row rows[] = {
#define UNARY(name, ...) {name##_loop, {name##_by_a, NULL}},
#define BINARY(name, ...) {name##_loop, {name##_by_a, name##_by_b}},
#undef COMPARE
#undef COMPARE1
#define COMPARE(...) {NULL, {NULL, NULL}},
#define COMPARE1(...) {NULL, {NULL, NULL}},
#include "elementwise.def"
  {guarded_mul_loop, {NULL, NULL}}
};
#undef exp
