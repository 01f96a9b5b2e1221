/* The names that the rows of elementwise.def use, as C. In the expression language they are functions of the same name. */
#ifndef CR_ROWMATH_H
#define CR_ROWMATH_H

#include <math.h>
#include <stdint.h>

#include "special.h"

/* exp(-x^2) with the rounding error of x*x put back: without it the error grows as x^2 ulp. */
static inline double gauss(double x) {
  double square = x * x, error = fma(x, x, -square);
  return isfinite(square) ? exp(-square) * (1 - error) : exp(-square);
}

/* 1 / cosh(x)^2 without overflow. */
static inline double sech2(double x) {
  double e = exp(-2 * fabs(x));
  return 4 * e / ((1 + e) * (1 + e));
}

/* exp(x^2) i^n erfc(x): the recurrence 2n f_n = f_{n-2} - 2x f_{n-1} (DLMF 7.18.7) adds for x < 0 and cancels for x > 0,
 * where the ratios f_n / f_{n-1} are had from above instead. */
static inline double ierfcx(double n, double x) {
  enum { START = 400 };
  if (!(n >= 0 && n <= 100) || n != floor(n)) return (double)NAN;
  double before = 1.1283791670955126, now = cr__erfcx(x);
  if (x < 1) {
    for (int k = 1; k <= (int)n; k++) {
      double next = (before - 2 * x * now) / (2 * k);
      before = now;
      now = next;
    }
    return now;
  }
  double ratio = 0, product = now;
  for (int k = START; k >= 1; k--) {
    ratio = 1 / (2 * (k + 1) * ratio + 2 * x);
    if (k <= (int)n) product *= ratio;
  }
  return product;
}

/* Remainder with the sign of b, exact as fmod is. */
static inline double floor_remainder(double a, double b) {
  double r = fmod(a, b);
  return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

/* exp(-x^2 / 2) / sqrt(2 pi), with the rounding error of x*x put back. */
static inline double normal_pdf(double x) {
  double square = x * x, error = fma(x, x, -square), e = 0.3989422804014327 * exp(-0.5 * square);
  return isfinite(square) ? e * (1 - 0.5 * error) : e;
}

/* x - tanh(x) from the continued fraction of tanh, where the difference would cancel. */
static inline double tanhshrink(double x) {
  if (!(fabs(x) < 1)) return x - tanh(x);
  double square = x * x, tail = 0;
  for (int k = 21; k >= 3; k -= 2) tail = square / (k + tail);
  return x * tail / (1 + tail);
}

static inline double square(double x) { return x * x; }
static inline double direction(double a, double b) {
  return a == 0 ? 0 : isinf(a) && isfinite(b) ? copysign(1, a) : a / hypot(a, b);
}

/* In the tails the inverse of the hazard rate: the rounding of y, magnified by y in exp(y^2 / 2), hardly moves erfcx. */
static inline double ndtri_slope(double p) {
  double y = fabs(cr__ndtri(p));
  if (y < 2 || isinf(y)) return 2.5066282746310002 * exp(0.5 * y * y);
  return 1.2533141373155003 * cr__erfcx(0.7071067811865476 * y) / (p < 0.5 ? p : 1 - p);
}

static inline double silu_slope(double x) {
  return isinf(x) ? x > 0 : cr__sigmoid(x) * (1 + x * cr__sigmoid(-x));
}
static inline double gelu_slope(double x) { return isinf(x) ? x > 0 : cr__ndtr(x) + x * normal_pdf(x); }
static inline double quick_gelu_slope(double x) { return silu_slope(1.702 * x); }
static inline double mish_slope(double x) {
  double u = cr__softplus(x);
  return tanh(u) + x * sech2(u) * cr__sigmoid(x);
}

static inline double log_cosh(double x) {
  double half = sinh(0.5 * x), size = fabs(x);
  return size < 1 ? log1p(2 * half * half) : size + log1p(exp(-2 * size)) - 0.6931471805599453;
}

static inline double log_odds(double p) { return p > 0.25 && p < 0.75 ? 2 * atanh(2 * p - 1) : log(p) - log1p(-p); }

static inline double logaddexp2(double a, double b) {
  double big = a > b || a != a ? a : b;
  return isinf(big) || isnan(big) ? big : big + 1.4426950408889634 * log1p(exp2(-fabs(a - b)));
}

/* The same names on integers. What has no integer value is INT64_MIN, as in a cast. */
static inline int64_t integer_same(int64_t a) { return a; }
static inline int64_t integer_fmod(int64_t a, int64_t b) { return b == 0 ? INT64_MIN : b == -1 ? 0 : a % b; }
static inline int64_t integer_remainder(int64_t a, int64_t b) {
  int64_t r = integer_fmod(a, b);
  return b != 0 && r != 0 && (r < 0) != (b < 0) ? r + b : r;
}
static inline int64_t integer_floor_divide(int64_t a, int64_t b) {
  if (b == 0) return INT64_MIN;
  return b == -1 ? -a : (a - integer_remainder(a, b)) / b;
}
static inline int64_t integer_pow(int64_t a, int64_t n) {
  int64_t power = 1;
  if (n < 0) return a == 1 || (a == -1 && n % 2 == 0) ? 1 : a == -1 ? -1 : a == 0 ? INT64_MIN : 0;
  for (; n; n >>= 1, a *= a)
    if (n & 1) power *= a;
  return power;
}
static inline double real_floor_divide(double a, double b) { return floor(a / b); }

#define floor(a) _Generic((a), int64_t: integer_same, default: floor)(a)
#define ceil(a) _Generic((a), int64_t: integer_same, default: ceil)(a)
#define rint(a) _Generic((a), int64_t: integer_same, default: rint)(a)
#define trunc(a) _Generic((a), int64_t: integer_same, default: trunc)(a)
#define fmod(a, b) _Generic((a), int64_t: integer_fmod, default: fmod)(a, b)
#define remainder(a, b) _Generic((a), int64_t: integer_remainder, default: floor_remainder)(a, b)
#define floor_divide(a, b) _Generic((a), int64_t: integer_floor_divide, default: real_floor_divide)(a, b)
#define pow(a, b) _Generic((a), int64_t: integer_pow, default: pow)(a, b)
#define abs(a) fabs((double)(a))
#define inf ((double)INFINITY)
#define nan ((double)NAN)
#define pi 3.141592653589793
#define sign(a) ((a) > 0 ? 1.0 : (a) < 0 ? -1.0 : (a))
#define sigmoid(a) cr__sigmoid(a)
#define softplus(a) cr__softplus(a)
#define log1pexp(a) cr__softplus(a)
#define logaddexp(a, b) cr__logaddexp(a, b)
#define log1mexp(a) cr__log1mexp(a)
#define lgamma(a) cr__lgamma(a)
#define digamma(a) cr__digamma(a)
#define polygamma(n, a) cr__polygamma(n, a)
#define digamma_step(a, b) cr__digamma_step(a, b)
#define betaln(a, b) cr__betaln(a, b)
#define zeta(a, b) cr__zeta(a, b)
#define gammainc(a, b) cr__gammainc(a, b)
#define gammaincc(a, b) cr__gammaincc(a, b)
#define gammainc_da(a, b) cr__gammainc_da(a, b)
#define gamma_pdf(a, b) cr__gamma_pdf(a, b)
#define bessel_in(n, a) cr__bessel_in(n, a)
#define bessel_ine(n, a) cr__bessel_ine(n, a)
#define bessel_moment(n, a) cr__bessel_moment(n, a)
#define spherical_jn(n, a) cr__spherical_jn(n, a)
#define spherical_jn_pi(n, a) cr__spherical_jn_pi(n, a)
#define sinc(a) cr__sinc(a)
#define erfcx(a) cr__erfcx(a)
#define erfinv(a) cr__erfinv(a)
#define ndtr(a) cr__ndtr(a)
#define log_ndtr(a) cr__log_ndtr(a)
#define ndtri(a) cr__ndtri(a)

#endif
