/* The chain of the benchmarks: y = sum(sigmoid(a x + b) tanh(x) - log1p(exp(-x^2))) over float32 with its gradient by x, a
 * and b, by hand as one loop in float with the vector functions of the C library, and in double; built for this machine,
 * with its widest vectors. */
#ifndef CR_CHAIN_H
#define CR_CHAIN_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "function.h"

#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
#define SIMD __attribute__((simd("notinbranch"), const))
extern SIMD float expf(float);
extern SIMD float log1pf(float);
extern SIMD double exp(double);
extern SIMD double log1p(double);
#pragma GCC optimize("O3", "no-math-errno", "associative-math", "no-signed-zeros", "no-trapping-math")
#endif

static inline double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static inline int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}
static inline double median(int n, double *x) {
  qsort(x, (size_t)n, sizeof *x, by_value);
  return x[n / 2];
}

/* Seconds that a run takes, or one of cr_fn_backward, as the median; of 0 rounds, the first run; 0 without memory. */
static inline double run_for(int rounds, const cr_fn *f, const cr_array *from, const cr_array *to, double *gradient) {
  cr_workspace *w = f ? cr_workspace_new(f) : NULL;
  double time[64] = {0};
  for (int r = rounds ? -1 : 0; w && r < (rounds ? rounds : 1); r++) {
    const int runs = rounds ? 10 : 1;
    double start = now();
    for (int k = 0; k < runs; k++) {
      if (gradient) cr_fn_backward(f, w, from, to, NULL, gradient);
      else cr_fn_run(f, w, from, to);
    }
    if (r >= 0) time[r] = (now() - start) / runs;
  }
  cr_workspace_free(w);
  return w ? median(rounds ? rounds : 1, time) : 0;
}

/* Exponentials of -|u| and -2|x|, so that nothing overflows. */
#define BY_HAND(name, T, EXP, LOG1P, ABS)                                                                   \
  static inline double name(int64_t n, const float *x, T a, T b, float *dx, double *da, double *db) {       \
    double y = 0, sa = 0, sb = 0;                                                                           \
    for (int64_t i = 0; i < n; i++) {                                                                       \
      T v = (T)x[i], u = a * v + b;                                                                         \
      T eu = EXP(-ABS(u)), s = (u >= 0 ? 1 : eu) / (1 + eu), ds = eu / ((1 + eu) * (1 + eu));               \
      T ev = EXP(-2 * ABS(v)), t = (v >= 0 ? 1 - ev : ev - 1) / (1 + ev), dt = 4 * ev / ((1 + ev) * (1 + ev)); \
      T e = EXP(-v * v), g = ds * t;                                                                        \
      y += (double)(s * t - LOG1P(e));                                                                      \
      dx[i] = (float)(g * a + s * dt + 2 * v * e / (1 + e));                                                \
      sa += (double)(g * v);                                                                                \
      sb += (double)g;                                                                                      \
    }                                                                                                       \
    *da = sa, *db = sb;                                                                                     \
    return y;                                                                                               \
  }
BY_HAND(hand_float, float, expf, log1pf, fabsf)
BY_HAND(hand_double, double, exp, log1p, fabs)

#endif
