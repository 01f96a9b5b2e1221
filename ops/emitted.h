/* What emitted C calls for the kernels of ops, beside the functions of rows: the same steps, on rows of doubles. */
#ifndef CR_EMITTED_H
#define CR_EMITTED_H

#include <math.h>
#include <stdint.h>

/* As array elements convert: INT64_MIN and INT32_MIN where there is no integer value. */
static inline int64_t real_to_int64(double x) {
  return x >= -9.2233720368547758e18 && x < 9.2233720368547758e18 ? (int64_t)x : INT64_MIN;
}
static inline int32_t real_to_int32(double x) { return x >= -2147483648.0 && x < 2147483648.0 ? (int32_t)x : INT32_MIN; }

/* Sums over a fixed tree of blocks of eight lanes. */
static inline double lane_sum(const double *s) { return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7])); }
static inline double sum_double(const double *x, int64_t n, int64_t step) {
  double s[8] = {0};
  if (n > 128) return sum_double(x, n / 2, step) + sum_double(x + n / 2 * step, n - n / 2, step);
  for (int64_t i = 0; i < n; i++) s[i % 8] += x[i * step];
  return lane_sum(s);
}
static inline double sum_float(const float *x, int64_t n, int64_t step) {
  double s[8] = {0};
  if (n > 128) return sum_float(x, n / 2, step) + sum_float(x + n / 2 * step, n - n / 2, step);
  for (int64_t i = 0; i < n; i++) s[i % 8] += (double)x[i * step];
  return lane_sum(s);
}

/* Scalar products in the same way. */
static inline double dot_double(const double *a, int64_t step_a, const double *b, int64_t step_b, int64_t n) {
  double s[8] = {0};
  int64_t half = n / 2;
  if (n > 256)
    return dot_double(a, step_a, b, step_b, half) +
           dot_double(a + half * step_a, step_a, b + half * step_b, step_b, n - half);
  for (int64_t i = 0; i < n; i++) s[i % 8] += a[i * step_a] * b[i * step_b];
  return lane_sum(s);
}
static inline double dot_float(const float *a, int64_t step_a, const float *b, int64_t step_b, int64_t n) {
  double s[8] = {0};
  int64_t half = n / 2;
  if (n > 256)
    return dot_float(a, step_a, b, step_b, half) + dot_float(a + half * step_a, step_a, b + half * step_b, step_b, n - half);
  for (int64_t i = 0; i < n; i++) s[i % 8] += (double)a[i * step_a] * (double)b[i * step_b];
  return lane_sum(s);
}

static inline double product_double(const double *x, int64_t n) {
  double product = 1;
  for (int64_t i = 0; i < n; i++) product *= x[i];
  return product;
}
static inline int64_t sum_int64(const int64_t *x, int64_t n) {
  int64_t sum = 0;
  for (int64_t i = 0; i < n; i++) sum += x[i];
  return sum;
}
static inline int64_t product_int64(const int64_t *x, int64_t n) {
  int64_t product = 1;
  for (int64_t i = 0; i < n; i++) product *= x[i];
  return product;
}
static inline int64_t count_row(const double *x, int64_t n) {
  int64_t count = 0;
  for (int64_t i = 0; i < n; i++) count += x[i] != 0;
  return count;
}

/* The first largest and the first smallest element; NaN exceeds all. */
static inline int64_t argmax_row(const double *x, int64_t n) {
  int64_t best = 0;
  for (int64_t i = 1; i < n && !isnan(x[best]); i++)
    if (isnan(x[i]) || x[i] > x[best]) best = i;
  return best;
}
static inline int64_t argmin_row(const double *x, int64_t n) {
  int64_t best = 0;
  for (int64_t i = 1; i < n && !isnan(x[best]); i++)
    if (isnan(x[i]) || x[i] < x[best]) best = i;
  return best;
}

/* An even share to each of the elements that equal the extreme y. */
static inline void shares_row(double *x, int64_t n, double y) {
  double m = 0;
  for (int64_t i = 0; i < n; i++) m += x[i] = x[i] == y || (isnan(x[i]) && isnan(y)) ? 1 : 0;
  for (int64_t i = 0; i < n; i++) x[i] /= m;
}

static inline void fill_row(double *x, int64_t n, double value) {
  for (int64_t i = 0; i < n; i++) x[i] = value;
}

/* Softmax in place; of a row of -inf only: 0 if empty_is_zero, else NaN. */
static inline void softmax_row(double *x, int64_t n, int empty_is_zero) {
  double top = x[argmax_row(x, n)];
  if (isfinite(top)) {
    for (int64_t i = 0; i < n; i++) x[i] = exp(x[i] - top);
    double sum = sum_double(x, n, 1);
    for (int64_t i = 0; i < n; i++) x[i] /= sum;
  } else if (top < 0 && empty_is_zero) {
    fill_row(x, n, 0);
  } else if (top > 0 && empty_is_zero) {
    for (int64_t i = 0; i < n; i++) x[i] = isinf(x[i]) && x[i] > 0 ? (double)NAN : 0;
  } else {
    fill_row(x, n, (double)NAN);
  }
}

/* log of the sum of exp(x - x[at]), where exp(0) = 1 is x[at]'s own term; terms is space for n numbers. */
static inline double log_rest(const double *x, int64_t n, int64_t at, double *terms) {
  for (int64_t i = 0; i < n; i++) terms[i] = i == at ? 0 : exp(x[i] - x[at]);
  return log1p(sum_double(terms, n, 1));
}
static inline void log_softmax_row(double *x, int64_t n, double *terms) {
  int64_t at = argmax_row(x, n);
  double top = x[at], rest = log_rest(x, n, at, terms);
  if (!isfinite(top)) fill_row(x, n, (double)NAN);
  else
    for (int64_t i = 0; i < n; i++) x[i] = (x[i] - top) - rest;
}
static inline double logsumexp_row(const double *x, int64_t n, double *terms) {
  int64_t at = n ? argmax_row(x, n) : 0;
  double top = n ? x[at] : -(double)INFINITY;
  return isfinite(top) ? top + log_rest(x, n, at, terms) : top;
}

/* v minus its mean under the weights p, which is space afterwards; and the transpose, v - p sum(v). */
static inline void deviate_row(double *v, int64_t n, double *p) {
  double reference = v[argmax_row(p, n)];
  for (int64_t i = 0; i < n; i++) {
    v[i] -= reference;
    p[i] = p[i] == 0 || v[i] == 0 ? 0 : p[i] * v[i];
  }
  double mean = sum_double(p, n, 1);
  for (int64_t i = 0; i < n; i++) v[i] -= mean;
}
static inline void deviate_transposed_row(double *v, int64_t n, double *p) {
  int64_t at = argmax_row(p, n);
  double own = v[at], weight = p[at];
  v[at] = p[at] = 0;
  double other_weights = sum_double(p, n, 1), others = sum_double(v, n, 1), all = own + others;
  for (int64_t i = 0; i < n; i++) v[i] -= p[i] == 0 ? 0 : p[i] * all;
  v[at] = weight == 0 ? own : own * other_weights - weight * others;
}

/* Less the mean; differences to one element come first. */
static inline void center_row(double *x, int64_t n) {
  double reference = x[0];
  for (int64_t i = 0; i < n; i++) x[i] -= reference;
  double mean = sum_double(x, n, 1) / (double)n;
  for (int64_t i = 0; i < n; i++) x[i] -= mean;
}

/* (x - mean) s, s = 1 / sqrt(mean((x - mean)^2) + eps), which it returns; and its transpose applied to g. */
static inline double standardize_row(double *x, int64_t n, double eps, double *room) {
  center_row(x, n);
  for (int64_t i = 0; i < n; i++) room[i] = x[i] * x[i];
  double scale = 1 / sqrt(sum_double(room, n, 1) / (double)n + eps);
  for (int64_t i = 0; i < n; i++) x[i] *= scale;
  return scale;
}
static inline void standardize_pull_row(double *g, double *x, int64_t n, double eps, double *room) {
  double scale = standardize_row(x, n, eps, room);
  center_row(g, n);
  for (int64_t i = 0; i < n; i++) room[i] = g[i] * x[i];
  double mean = sum_double(room, n, 1) / (double)n;
  for (int64_t i = 0; i < n; i++) g[i] = (g[i] - x[i] * mean) * scale;
}

/* (sum |x|^p)^(1/p), scaled by a power of two so that nothing overflows; overwrites x. */
static inline double norm_row(double *x, int64_t n, double p) {
  double largest = 0, least = (double)INFINITY;
  for (int64_t i = 0; i < n; i++) {
    x[i] = fabs(x[i]);
    if (isnan(x[i])) return x[i];
    if (x[i] > largest) largest = x[i];
    if (x[i] < least) least = x[i];
  }
  double lead = p < 0 ? least : largest;
  if (!n) return p < 0 ? (double)INFINITY : 0;
  if (lead == 0 || isinf(lead)) return lead;
  int e;
  frexp(lead, &e);
  double half = ldexp(1, -e / 2), rest = ldexp(1, -(e - e / 2));
  for (int64_t i = 0; i < n; i++) {
    double v = x[i] * half * rest;
    x[i] = p == 2 ? v * v : p == 1 ? v : pow(v, p);
  }
  double sum = sum_double(x, n, 1);
  return ldexp(p == 2 ? sqrt(sum) : p == 1 ? sum : pow(sum, 1 / p), e);
}

/* s_t = a_t s_{t-1} + b_t from nothing, into a; from the end if reverse. */
static inline void scan_double(double *a, const double *b, int64_t n, int reverse) {
  double s = 0;
  for (int64_t i = 0; i < n; i++) {
    int64_t k = reverse ? n - 1 - i : i;
    a[k] = s = i ? a[k] * s + b[k] : b[k];
  }
}
static inline void scan_int64(int64_t *a, const int64_t *b, int64_t n, int reverse) {
  int64_t s = 0;
  for (int64_t i = 0; i < n; i++) {
    int64_t k = reverse ? n - 1 - i : i;
    a[k] = s = i ? a[k] * s + b[k] : b[k];
  }
}

/* Loops: how many steps of a count, the least of two, where one of n blocks of the steps begins. */
static inline int steps_of(int64_t count, int most) { return count < 0 ? 0 : count < most ? (int)count : most; }
static inline int least_of(int a, int b) { return a < b ? a : b; }
static inline int block_start(int block, int steps, int n) { return (int)((int64_t)block * steps / n); }

/* The largest magnitude, or NaN. */
static inline double largest_of(const double *x, int64_t n) {
  double m = 0;
  for (int64_t i = 0; i < n && !isnan(m); i++)
    if (fabs(x[i]) > m || isnan(x[i])) m = fabs(x[i]);
  return m;
}

/* A position on an axis of n elements, negative ones counted from the end. */
static inline int64_t wrapped(int64_t i, int64_t n) { return i < 0 ? i + n : i; }

#endif
