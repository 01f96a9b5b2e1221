/* Products of real matrices: kernels for whatever vectors the processor has, and threads over parts of the result. */
#ifndef CR_GEMM_H
#define CR_GEMM_H

#include <stdint.h>

#include "engine.h"

/* C = A B, or C += A B, of m x k and k x n matrices, float64 or float32, by strides in elements; rows of C are dense. */
typedef struct cr__product {
  int64_t m, n, k;
  const void *a, *b;
  int64_t a_row, a_col, b_row, b_col;
  void *c;
  int64_t c_row;
  int add;
} cr__product;

/* The product is cut into parts that depend on its shape alone; each part is computed by itself, so that the same bits come
 * out in whatever order and by whatever threads. An element is summed along the inner axis with fused multiply-adds, in
 * blocks of fixed length. */
int64_t cr__gemm_parts(cr_dtype dtype, const cr__product *p);
void cr__gemm_part(cr_dtype dtype, const cr__product *p, int64_t part);
/* All parts, one after the other. */
void cr__gemm(cr_dtype dtype, const cr__product *p);

#endif
