/* Factorisations and solutions: LU, triangular, Cholesky, determinant, Householder QR. */
#include "dense.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

static void fill(double *a, int64_t n, double x) {
  for (int64_t i = 0; i < n; i++) a[i] = x;
}

static void swap_rows(int64_t n, double *a, int64_t i, int64_t j) {
  for (int64_t k = 0; k < n; k++) {
    double x = a[i * n + k];
    a[i * n + k] = a[j * n + k];
    a[j * n + k] = x;
  }
}

/* y -= f x */
static void subtract_row(int64_t n, double *y, double f, const double *x) {
  for (int64_t j = 0; j < n; j++) y[j] -= f * x[j];
}

void cr__transpose(int64_t rows, int64_t cols, const double *a, double *b) {
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < cols; j++) b[j * rows + i] = a[i * cols + j];
}

void cr__multiply(int64_t m, int64_t k, int64_t n, const double *a, const double *b, double *c) {
  fill(c, m * n, 0);
  for (int64_t i = 0; i < m; i++)
    for (int64_t l = 0; l < k; l++) subtract_row(n, c + i * n, -a[i * k + l], b + l * n);
}

int cr__lu(int64_t n, double *a, int64_t *pivot) {
  int sign = 1;
  for (int64_t k = 0; k < n; k++) {
    int64_t p = k;
    for (int64_t i = k + 1; i < n; i++)
      if (fabs(a[i * n + k]) > fabs(a[p * n + k])) p = i;
    pivot[k] = p;
    if (p != k) {
      swap_rows(n, a, k, p);
      sign = -sign;
    }
    double d = a[k * n + k];
    if (!(fabs(d) > 0)) return 0;
    for (int64_t i = k + 1; i < n; i++) {
      double f = a[i * n + k] /= d;
      if (f != 0) subtract_row(n - k - 1, a + i * n + k + 1, f, a + k * n + k + 1);
    }
  }
  return sign;
}

void cr__solve_triangular(int64_t n, int64_t m, const double *t, int upper, int unit, double *b) {
  for (int64_t step = 0; step < n; step++) {
    int64_t i = upper ? n - 1 - step : step, from = upper ? i + 1 : 0, to = upper ? n : i;
    for (int64_t j = from; j < to; j++) subtract_row(m, b + i * m, t[i * n + j], b + j * m);
    for (int64_t j = 0; !unit && j < m; j++) b[i * m + j] /= t[i * n + i];
  }
}

static void lu_solve(int64_t n, int64_t m, const double *lu, const int64_t *pivot, double *b) {
  for (int64_t k = 0; k < n; k++)
    if (pivot[k] != k) swap_rows(m, b, k, pivot[k]);
  cr__solve_triangular(n, m, lu, 0, 1, b);
  cr__solve_triangular(n, m, lu, 1, 0, b);
}

/* b - row . x in twice the precision: the errors of products and sums are kept and added at the end. */
static double residual_of(int64_t n, const double *row, const double *x, int64_t step, double b) {
  double sum = b, error = 0;
  for (int64_t j = 0; j < n; j++) {
    double p = -row[j] * x[j * step], p_error = fma(-row[j], x[j * step], -p);
    double next = sum + p, back = next - sum;
    error += (sum - (next - back)) + (p - back) + p_error;
    sum = next;
  }
  return sum + error;
}

/* r = b - a x, or false where it is not finite. */
static bool residual(int64_t m, int64_t n, int64_t k, const double *a, const double *x, const double *b, double *r) {
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < k; j++) {
      r[i * k + j] = residual_of(n, a + i * n, x + j, k, b[i * k + j]);
      if (!isfinite(r[i * k + j])) return false;
    }
  return true;
}

enum { REFINED = 64 }; /* larger systems would pay more for the residual than they gain */

void cr__solve(int64_t n, int64_t m, const double *a, double *b, double *room, double *right, int64_t *pivot) {
  memcpy(room, a, (size_t)(n * n) * sizeof *room);
  if (!cr__lu(n, room, pivot)) {
    fill(b, n * m, (double)NAN);
    return;
  }
  /* right keeps B, then becomes the correction; the residual needs rows of A against columns of X, so goes row by row */
  memcpy(right, b, (size_t)(n * m) * sizeof *b);
  lu_solve(n, m, room, pivot, b);
  if (n > REFINED || !residual(n, n, m, a, b, right, right)) return;
  lu_solve(n, m, room, pivot, right);
  for (int64_t k = 0; k < n * m; k++)
    if (isfinite(right[k])) b[k] += right[k];
}

void cr__cholesky(int64_t n, double *a) {
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < i; j++) a[i * n + j] = 0.5 * a[i * n + j] + 0.5 * a[j * n + i];
  for (int64_t i = 0; i < n; i++) {
    for (int64_t j = 0; j <= i; j++) {
      double s = a[i * n + j];
      for (int64_t k = 0; k < j; k++) s -= a[i * n + k] * a[j * n + k];
      if (j < i) a[i * n + j] = s / a[j * n + j];
      else if (s > 0) a[i * n + i] = sqrt(s);
      else {
        fill(a, n * n, (double)NAN);
        return;
      }
    }
    fill(a + i * n + i + 1, n - i - 1, 0);
  }
}

static double minor(int64_t n, const double *a, int64_t i, int64_t p, int64_t q) {
  return a[i * n + p] * a[(i + 1) * n + q] - a[i * n + q] * a[(i + 1) * n + p];
}

/* Closed forms, exact where products and sums are. */
static double small_det(int64_t n, const double *a) {
  switch (n) {
    case 0: return 1;
    case 1: return a[0];
    case 2: return minor(2, a, 0, 0, 1);
    case 3: return a[0] * minor(3, a, 1, 1, 2) - a[1] * minor(3, a, 1, 0, 2) + a[2] * minor(3, a, 1, 0, 1);
    default:
      return minor(4, a, 0, 0, 1) * minor(4, a, 2, 2, 3) - minor(4, a, 0, 0, 2) * minor(4, a, 2, 1, 3) +
             minor(4, a, 0, 0, 3) * minor(4, a, 2, 1, 2) + minor(4, a, 0, 1, 2) * minor(4, a, 2, 0, 3) -
             minor(4, a, 0, 1, 3) * minor(4, a, 2, 0, 2) + minor(4, a, 0, 2, 3) * minor(4, a, 2, 0, 1);
  }
}

/* Scales every row to about 1 by a power of two, so that no product over- or underflows on the way. */
static int64_t scale_rows(int64_t n, double *a) {
  int64_t exponent = 0;
  for (int64_t i = 0; i < n; i++) {
    double largest = 0;
    int e = 0;
    for (int64_t j = 0; j < n; j++) largest = fmax(largest, fabs(a[i * n + j]));
    if (!(largest > 0) || !isfinite(largest)) continue;
    frexp(largest, &e);
    for (int64_t j = 0; j < n; j++) a[i * n + j] = ldexp(a[i * n + j], -e);
    exponent += e;
  }
  return exponent;
}

double cr__det(int64_t n, double *a, int64_t *pivot, int64_t *exponent) {
  *exponent = scale_rows(n, a);
  if (n <= 4) return small_det(n, a);
  double product = cr__lu(n, a, pivot);
  for (int64_t k = 0; k < n; k++) {
    int e = 0;
    product = frexp(product * a[k * n + k], &e);
    *exponent += e;
  }
  return product;
}

/* Householder QR of a (m x n, m >= n) in place: column k holds reflector k from the diagonal down, diagonal[k] is R_kk, 0
 * when the column depends on those before it up to rounding. */
static void reflectors(int64_t m, int64_t n, double *a, double *diagonal) {
  for (int64_t k = 0; k < n; k++) {
    double length = 0, above = 0;
    for (int64_t i = 0; i < k; i++) above = hypot(above, a[i * n + k]);
    for (int64_t i = k; i < m; i++) length = hypot(length, a[i * n + k]);
    if (length <= 4 * DBL_EPSILON * (double)m * above) length = 0;
    double lead = a[k * n + k], beta = lead > 0 ? -length : length;
    diagonal[k] = beta;
    if (!(length > 0)) continue; /* the right side will be divided by 0, or NaN is there already */
    /* v = (lead - beta, rest) / (lead - beta); H = I - tau v v^T with tau = (beta - lead) / beta, kept at v's first place */
    for (int64_t i = k + 1; i < m; i++) a[i * n + k] /= lead - beta;
    double tau = (beta - lead) / beta;
    a[k * n + k] = tau;
    for (int64_t j = k + 1; j < n; j++) {
      double s = a[k * n + j];
      for (int64_t i = k + 1; i < m; i++) s += a[i * n + k] * a[i * n + j];
      a[k * n + j] -= tau * s;
      for (int64_t i = k + 1; i < m; i++) a[i * n + j] -= tau * s * a[i * n + k];
    }
  }
}

/* b (m x k) becomes H_j b for reflector j. */
static void reflect(int64_t m, int64_t n, const double *a, int64_t j, int64_t k, double *b) {
  for (int64_t c = 0; c < k; c++) {
    double s = b[j * k + c], tau = a[j * n + j];
    for (int64_t i = j + 1; i < m; i++) s += a[i * n + j] * b[i * k + c];
    b[j * k + c] -= tau * s;
    for (int64_t i = j + 1; i < m; i++) b[i * k + c] -= tau * s * a[i * n + j];
  }
}

/* Solves R x = b or R^T x = b over the first n rows of b. */
static void solve_r(int64_t n, const double *qr, const double *diagonal, bool transposed, int64_t k, double *b) {
  for (int64_t step = 0; step < n; step++) {
    int64_t i = transposed ? step : n - 1 - step, from = transposed ? 0 : i + 1, to = transposed ? i : n;
    for (int64_t j = from; j < to; j++) subtract_row(k, b + i * k, transposed ? qr[j * n + i] : qr[i * n + j], b + j * k);
    for (int64_t c = 0; c < k; c++) b[i * k + c] = diagonal[i] != 0 ? b[i * k + c] / diagonal[i] : (double)NAN;
  }
}

/* b has max(m, n) rows of k: the right side in the first m of them, the solution in the first n afterwards. */
static void qr_solve(int64_t m, int64_t n, const double *qr, const double *diagonal, int64_t k, double *b) {
  if (m >= n) {
    for (int64_t j = 0; j < n; j++) reflect(m, n, qr, j, k, b);
    solve_r(n, qr, diagonal, false, k, b);
  } else { /* A^T = Q R, so the shortest solution of R^T Q^T x = b is Q R^-T b */
    solve_r(m, qr, diagonal, true, k, b);
    fill(b + m * k, (n - m) * k, 0);
    for (int64_t j = m - 1; j >= 0; j--) reflect(n, m, qr, j, k, b);
  }
}

void cr__least_squares(int64_t m, int64_t n, int64_t k, const double *a, const double *b, double *x, double *room) {
  int64_t larger = m > n ? m : n, smaller = m > n ? n : m;
  double *qr = room, *work = room + m * n, *diagonal = work + larger * k, *right = diagonal + larger;
  if (m >= n) memcpy(qr, a, (size_t)(m * n) * sizeof *a);
  else cr__transpose(m, n, a, qr);
  reflectors(larger, smaller, qr, diagonal);
  memcpy(work, b, (size_t)(m * k) * sizeof *b);
  qr_solve(m, n, qr, diagonal, k, work);
  memcpy(x, work, (size_t)(n * k) * sizeof *x);
  if (larger > REFINED || !residual(m, n, k, a, x, b, right)) return;
  memcpy(work, right, (size_t)(m * k) * sizeof *work);
  qr_solve(m, n, qr, diagonal, k, work);
  for (int64_t i = 0; i < n * k; i++) x[i] += work[i];
}
