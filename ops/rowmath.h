/* The names that the rows of elementwise.def use, as C. In the expression language they are functions of the same name. */
#ifndef CR_ROWMATH_H
#define CR_ROWMATH_H

#include <math.h>

#include "special.h"

/* exp(-x^2) with the rounding error of x*x put back: without it the error grows as x^2 ulp. */
static inline double gauss(double x) {
  double square = x * x, error = fma(x, x, -square);
  return isfinite(square) ? exp(-square) * (1 - error) : exp(-square);
}

/* exp(x^2) i^n erfc(x): the recurrence 2n f_n = f_{n-2} - 2x f_{n-1} (DLMF 7.18.7) adds for x < 0 and cancels for x > 0,
 * where the ratios f_n / f_{n-1} are had from above instead. */
static inline double ierfcx(double n, double x) {
  enum { START = 400 };
  if (!(n >= 0 && n <= 100) || n != floor(n)) return NAN;
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

#define abs(a) fabs((double)(a))
#define inf ((double)INFINITY)
#define nan ((double)NAN)
#define pi 3.141592653589793
#define sign(a) ((a) > 0 ? 1.0 : (a) < 0 ? -1.0 : (a))
#define remainder(a, b) floor_remainder(a, b)
#define sigmoid(a) cr__sigmoid(a)
#define softplus(a) cr__softplus(a)
#define logaddexp(a, b) cr__logaddexp(a, b)
#define log1mexp(a) cr__log1mexp(a)
#define lgamma(a) cr__lgamma(a)
#define digamma(a) cr__digamma(a)
#define polygamma(n, a) cr__polygamma(n, a)
#define betaln(a, b) cr__betaln(a, b)
#define zeta(a, b) cr__zeta(a, b)
#define gammainc(a, b) cr__gammainc(a, b)
#define gammaincc(a, b) cr__gammaincc(a, b)
#define gammainc_da(a, b) cr__gammainc_da(a, b)
#define bessel_in(n, a) cr__bessel_in(n, a)
#define bessel_ine(n, a) cr__bessel_ine(n, a)
#define spherical_jn(n, a) cr__spherical_jn(n, a)
#define erfcx(a) cr__erfcx(a)
#define erfinv(a) cr__erfinv(a)
#define ndtr(a) cr__ndtr(a)
#define log_ndtr(a) cr__log_ndtr(a)
#define ndtri(a) cr__ndtri(a)

#endif
