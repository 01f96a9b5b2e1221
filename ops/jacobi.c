/* Eigenvalues and singular values by Jacobi rotations: slow for large matrices, accurate to the last digits. */
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "dense.h"

enum { STRICT_SWEEPS = 12, MAX_SWEEPS = 60 };

static bool all_finite(int64_t n, const double *a) {
  for (int64_t i = 0; i < n; i++)
    if (!isfinite(a[i])) return false;
  return true;
}

static void fill_nan(double *a, int64_t n) {
  for (int64_t i = 0; i < n; i++) a[i] = (double)NAN;
}

/* Two vectors with a stride, turned by the angle of cosine c and sine s. */
static void rotate(int64_t n, double *x, double *y, int64_t step, double c, double s) {
  for (int64_t i = 0; i < n; i++) {
    double p = x[i * step], q = y[i * step];
    x[i * step] = c * p - s * q;
    y[i * step] = s * p + c * q;
  }
}

/* Tangent of the smaller angle that makes the off-diagonal of [[p, off], [off, q]] zero. */
static double rotation(double p, double q, double off) {
  double theta = (q - p) / (2 * off);
  return copysign(1, theta) / (fabs(theta) + hypot(1, theta));
}

/* Turns rows and columns p, q so that a_pq vanishes; false when it is negligible already: at first next to the smaller of
 * the two diagonal elements, for small eigenvalues keep digits so, and if that does not end next to the larger. */
static bool eliminate(int64_t n, double *a, double *v, int64_t p, int64_t q, bool strict) {
  double off = a[p * n + q], app = a[p * n + p], aqq = a[q * n + q];
  double size = strict ? fmin(fabs(app), fabs(aqq)) : fmax(fabs(app), fabs(aqq));
  if (fabs(off) <= 0.25 * DBL_EPSILON * size || fabs(off) <= DBL_MIN) {
    a[p * n + q] = a[q * n + p] = 0;
    return false;
  }
  double t = rotation(app, aqq, off), c = 1 / hypot(1, t), s = t * c;
  rotate(n, a + p * n, a + q * n, 1, c, s);
  rotate(n, a + p, a + q, n, c, s);
  rotate(n, v + p, v + q, n, c, s);
  a[p * n + p] = app - t * off;
  a[q * n + q] = aqq + t * off;
  a[p * n + q] = a[q * n + p] = 0;
  return true;
}

void cr__eigh(int64_t n, double *a, double *w, double *v) {
  if (!all_finite(n * n, a)) {
    fill_nan(w, n);
    fill_nan(v, n * n);
    return;
  }
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j <= i; j++) {
      a[i * n + j] = a[j * n + i] = 0.5 * a[i * n + j] + 0.5 * a[j * n + i];
      v[i * n + j] = v[j * n + i] = i == j;
    }
  bool turned = true;
  for (int sweep = 0; turned && sweep < MAX_SWEEPS; sweep++) {
    turned = false;
    for (int64_t p = 0; p < n; p++)
      for (int64_t q = p + 1; q < n; q++) turned = eliminate(n, a, v, p, q, sweep < STRICT_SWEEPS) || turned;
  }
  for (int64_t k = 0; k < n; k++) w[k] = a[k * n + k];
  for (int64_t k = 0; k < n; k++) {
    int64_t least = k;
    for (int64_t i = k + 1; i < n; i++)
      if (w[i] < w[least]) least = i;
    double x = w[k];
    w[k] = w[least], w[least] = x;
    if (least != k) rotate(n, v + k, v + least, n, 0, -1); /* exchanges the columns, one with its sign changed */
  }
}

static double dot(int64_t n, const double *x, const double *y) {
  double s = 0;
  for (int64_t i = 0; i < n; i++) s += x[i] * y[i];
  return s;
}

/* Makes rows p and q of u (rows of length m) orthogonal, and turns those of v alike; false when they are so already. */
static bool orthogonalise(int64_t m, int64_t n, double *u, double *v, int64_t p, int64_t q) {
  double *x = u + p * m, *y = u + q * m, xx = dot(m, x, x), yy = dot(m, y, y), xy = dot(m, x, y);
  if (!(fabs(xy) > 0.5 * DBL_EPSILON * sqrt((double)m) * sqrt(xx) * sqrt(yy)) || fabs(xy) <= DBL_MIN) return false;
  double t = rotation(xx, yy, xy), c = 1 / hypot(1, t), s = t * c;
  rotate(m, x, y, 1, c, s);
  rotate(n, v + p * n, v + q * n, 1, c, s);
  return true;
}

/* Row k of u becomes a unit vector orthogonal to the rows before it. */
static void complete(int64_t m, int64_t k, double *u) {
  double *x = u + k * m;
  for (int64_t axis = 0; axis < m; axis++) {
    for (int64_t i = 0; i < m; i++) x[i] = i == axis;
    for (int twice = 0; twice < 2; twice++)
      for (int64_t j = 0; j < k; j++) {
        double s = dot(m, x, u + j * m);
        for (int64_t i = 0; i < m; i++) x[i] -= s * u[j * m + i];
      }
    double length = sqrt(dot(m, x, x));
    if (length < 0.5 / sqrt((double)m)) continue; /* one axis at least is further than this from the rows' span */
    for (int64_t i = 0; i < m; i++) x[i] /= length;
    return;
  }
}

/* The rows of u (n rows of length m >= n) become orthonormal up to their lengths s, descending. */
static void one_sided(int64_t m, int64_t n, double *u, double *s, double *v) {
  for (int64_t i = 0; i < n * n; i++) v[i] = i % (n + 1) == 0;
  bool turned = true;
  for (int sweep = 0; turned && sweep < MAX_SWEEPS; sweep++) {
    turned = false;
    for (int64_t p = 0; p < n; p++)
      for (int64_t q = p + 1; q < n; q++) turned = orthogonalise(m, n, u, v, p, q) || turned;
  }
  for (int64_t k = 0; k < n; k++) s[k] = sqrt(dot(m, u + k * m, u + k * m));
  for (int64_t k = 0; k < n; k++) {
    int64_t most = k;
    for (int64_t i = k + 1; i < n; i++)
      if (s[i] > s[most]) most = i;
    double x = s[k];
    s[k] = s[most], s[most] = x;
    if (most == k) continue;
    rotate(m, u + k * m, u + most * m, 1, 0, -1);
    rotate(n, v + k * n, v + most * n, 1, 0, -1);
  }
  for (int64_t k = 0; k < n; k++) {
    if (s[k] <= DBL_MIN) complete(m, k, u);
    else
      for (int64_t i = 0; i < m; i++) u[k * m + i] /= s[k];
  }
}

void cr__svd(int64_t m, int64_t n, const double *a, double *u, double *s, double *v, double *room) {
  int64_t larger = m > n ? m : n, k = m > n ? n : m;
  double largest = 0, *rows = room, *turns = room + m * n;
  if (!all_finite(m * n, a)) {
    fill_nan(u, m * k), fill_nan(s, k), fill_nan(v, n * k);
    return;
  }
  if (m >= n) cr__transpose(m, n, a, rows);
  else memcpy(rows, a, (size_t)(m * n) * sizeof *a);
  for (int64_t i = 0; i < m * n; i++) largest = fmax(largest, fabs(rows[i]));
  int exponent = 0; /* a power of two keeps the squares in range */
  if (largest > 0) frexp(largest, &exponent);
  for (int64_t i = 0; i < m * n; i++) rows[i] = ldexp(rows[i], -exponent);
  one_sided(larger, k, rows, s, turns);
  for (int64_t i = 0; i < k; i++) s[i] = ldexp(s[i], exponent);
  cr__transpose(k, larger, rows, m >= n ? u : v);
  cr__transpose(k, k, turns, m >= n ? v : u);
}
