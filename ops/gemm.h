/* Products of real matrices: kernels for whatever vectors the processor has, and threads over parts of the result. */
#ifndef CR_GEMM_H
#define CR_GEMM_H

#include <stdint.h>

#include "engine.h"

/* A block of C that is complete: rows x cols numbers from C[row][col] on, which lies at c, rows c_row apart. Each number is
 * in one block; blocks come in any order and from several threads, and are still in the cache. */
typedef void cr__finish(void *context, int64_t row, int64_t col, int64_t rows, int64_t cols, void *c, int64_t c_row);

/* C = A B, or C += A B, of m x k and k x n matrices, float64 or float32, by strides in elements; rows of C are dense. */
typedef struct cr__product {
  int64_t m, n, k;
  const void *a, *b;
  int64_t a_row, a_col, b_row, b_col;
  void *c;
  int64_t c_row;
  int add;
  const void *bias;   /* NULL, or n numbers side by side, added to each row when its sums are complete */
  cr__finish *finish; /* NULL, or called for every block, after bias */
  void *context;
  const void *packed; /* NULL, or what cr__gemm_pack made of B, which is not read then */
  int64_t shares;     /* threads that are to share the parts; 0: one */
} cr__product;

/* The product is cut into parts, each computed by itself. An element is summed along the inner axis with fused multiply-adds
 * in blocks whose length depends on k alone, so the same bits come out however it is cut and by whatever threads. */
int64_t cr__gemm_parts(cr_dtype dtype, const cr__product *p);
void cr__gemm_part(cr_dtype dtype, const cr__product *p, int64_t part);
/* All parts, one after the other. */
void cr__gemm(cr_dtype dtype, const cr__product *p);
/* B packed once for many products with other rows: of so many bytes, aligned to 64. Only n, k and B's part of p are read. */
size_t cr__gemm_packed_bytes(cr_dtype dtype, const cr__product *p);
void cr__gemm_pack(cr_dtype dtype, const cr__product *p, void *to);
/* Adds bias to a block of C and calls finish. */
void cr__finish_block(cr_dtype dtype, const cr__product *p, int64_t row, int64_t col, int64_t rows, int64_t cols);

/* matmul.c: out = a b over the last two axes, of one dtype and with the same leading axes, shared among the tape's threads.
 * epilogue: NULL, or bias, finish and context, of which each matrix of a batch gets the same; its place in out is c's. */
void cr__matrix_product(cr_tape *t, const cr_array *a, const cr_array *b, cr_array *out, const cr__product *epilogue);

#endif
