/* Shared by the files on matrices: the last two axes of an array as a batch of matrices, taken one at a time in double. */
#ifndef CR_MATRIX_H
#define CR_MATRIX_H

#include "ops.h"

typedef struct cr__batch {
  cr_array lead, one; /* the leading axes; one matrix, whose data is that of the first */
  int64_t rows, cols;
} cr__batch;

/* The matrices of an array of rank 2 or more. */
cr__batch cr__batch_of(const cr_array *a);
/* The data of matrix k. */
void *cr__batch_at(const cr__batch *b, int64_t k);
/* Copies matrix k to and from a row-major array of doubles. */
void cr__batch_load(const cr__batch *b, int64_t k, double *to);
void cr__batch_store(const cr__batch *b, int64_t k, const double *from);

/* One dtype and one batch shape for all operands, whose last axes are left alone: a prepare function's work. */
cr_status cr__prepare_matrices(cr_tape *t, int n, cr_var *in, char result, int last_axes);
/* Records and returns what is wrong with an operand that is to be a matrix, or a square one. */
cr_status cr__check_matrix(cr_infer *c, int k, int square);

/* depend: matrices on whole matrices of the same place in the batch. */
void cr__matrices_depend(cr_depend *c);

cr_var cr__identity_like(cr_var x, int64_t n);         /* the n x n identity in x's dtype */
cr_var cr__scale(cr_var x, double factor);             /* by a constant */
cr_var cr__sum_last(cr_var x, int n_axes, int keepdim); /* over the last axes */
cr_var cr__insert_axes(cr_var x, int at, int n);       /* n axes of size 1 before axis at; at -1 means after the last */
cr_var cr__plus(cr_var x, cr_var y);                   /* the sum, where poison stands for zero */

#endif
