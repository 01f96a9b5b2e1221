/* Sparse Jacobians and Hessians: which elements can be nonzero, and their values from few sweeps.
 *
 * A plan finds the pattern by sets of columns carried over the tape, element by element, colours its columns or rows so that
 * those of one colour share a sweep, and compiles that sweep. Then it is evaluated any number of times, at whatever values
 * the leaves have:
 *
 *     cr_sparse_plan *p = cr_sparse_hessian(y, 1, &x);
 *     cr_sparse_pattern s = cr_sparse_pattern_of(p);
 *     ... values[s.nonzeros] ...
 *     cr_sparse_evaluate(p, values);
 *
 * The matrix is that of all outputs and inputs laid end to end, each in row-major order. A plan belongs to the tape and goes
 * with the next reset to a mark before it. Integer leaves stay as they were when it was made. */
#ifndef CR_SPARSE_H
#define CR_SPARSE_H

#include "formula.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cr_sparse_plan cr_sparse_plan;

/* Of the float outputs y by the input leaves x. Elements that are not in the pattern are 0 at all values of the leaves. NULL
 * on failure, see cr_error. */
CR_API cr_sparse_plan *cr_sparse_jacobian(int m, const cr_var *y, int n, const cr_var *x);
/* Second derivatives of sum(y) by x, both triangles. For scalars the gradient stays recorded on the tape. */
CR_API cr_sparse_plan *cr_sparse_hessian(cr_var y, int n, const cr_var *x);

/* Compressed sparse rows: the columns of row i are column[start[i]] to column[start[i + 1] - 1], ascending. They live as
 * long as the plan. */
typedef struct cr_sparse_pattern {
  int64_t rows, columns, nonzeros;
  const int64_t *start;
  const int32_t *column;
  int colours;   /* sweeps of an evaluation */
  int reverse;   /* sweeps back from groups of rows, not forward from groups of columns */
  int symmetric; /* a Hessian */
} cr_sparse_pattern;
CR_API cr_sparse_pattern cr_sparse_pattern_of(const cr_sparse_plan *p);

/* The values in the pattern's order, at the present values of the leaves: after cr_set_value and cr_set_data no cr_replay is
 * needed. */
CR_API cr_status cr_sparse_evaluate(cr_sparse_plan *p, double *values);

/* The pattern's indices as CR_INT32 or CR_INT64, in memory of the caller. CSR: rows + 1 starts and the columns; COO: row and
 * column of each nonzero. CR_OVER_LIMIT where int32 is too small. */
CR_API cr_status cr_sparse_csr(const cr_sparse_plan *p, cr_dtype dtype, void *starts, void *columns);
CR_API cr_status cr_sparse_coo(const cr_sparse_plan *p, cr_dtype dtype, void *rows, void *columns);
/* Appends the matrix in Matrix Market's coordinate format; a Hessian as its lower triangle, "symmetric". */
CR_API cr_status cr_sparse_write_mm(const cr_sparse_plan *p, const double *values, cr_buffer *b);

#ifdef __cplusplus
}
#endif
#endif
