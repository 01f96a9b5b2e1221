/* Dense numerical linear algebra on row-major arrays of doubles. Nothing here allocates: callers bring the room.
 * A singular or indefinite matrix gives NaN, and NaN or infinity going in comes out as NaN. */
#ifndef CR_DENSE_H
#define CR_DENSE_H

#include <stddef.h>
#include <stdint.h>

/* Exchanges rows and columns: b (cols x rows) is the transpose of a (rows x cols). */
void cr__transpose(int64_t rows, int64_t cols, const double *a, double *b);
/* c (m x n) = a (m x k) b (k x n). */
void cr__multiply(int64_t m, int64_t k, int64_t n, const double *a, const double *b, double *c);

/* P A = L U with partial pivoting, in place; L has a unit diagonal. The sign of P, or 0 when a pivot is 0 or NaN. */
int cr__lu(int64_t n, double *a, int64_t *pivot);
/* Solves A X = B for n x m B, which becomes X; room and residual hold n*n and n*m numbers. One step of iterative
 * refinement makes X accurate to the last digits for small matrices that are not close to singular. */
void cr__solve(int64_t n, int64_t m, const double *a, double *b, double *room, double *residual, int64_t *pivot);
/* Solves T X = B in place, T lower or upper triangular. */
void cr__solve_triangular(int64_t n, int64_t m, const double *t, int upper, int unit, double *b);
/* A = L L^T of the symmetric part of A, in place with zeros above the diagonal. */
void cr__cholesky(int64_t n, double *a);
/* The determinant is the result times 2^*exponent; a is overwritten. Up to 4 x 4 by cofactors, exact for small integers. */
double cr__det(int64_t n, double *a, int64_t *pivot, int64_t *exponent);
/* Solution of least squares (m >= n) or of least norm (m < n) of A X = B, for full rank; b (m x k), x (n x k).
 * room: m n + max(m, n) (k + 1) + m k numbers. */
void cr__least_squares(int64_t m, int64_t n, int64_t k, const double *a, const double *b, double *x, double *room);

/* Eigenvalues w, ascending, and eigenvectors, the columns of v, of the symmetric part of a, which is overwritten. */
void cr__eigh(int64_t n, double *a, double *w, double *v);
/* A = U diag(s) V^T of an m x n matrix, s descending, thin: k = min(m, n) columns in u and v. room: m n + k k numbers. */
void cr__svd(int64_t m, int64_t n, const double *a, double *u, double *s, double *v, double *room);

#endif
