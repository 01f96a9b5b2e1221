/* See gemm.h. Small products go to BLAS where there is one, the others to kernels of our own: vectors are the compilers',
 * so that one source serves every processor; on x86-64 the widest that it has are chosen as the program runs. */
#include "gemm.h"

#include <limits.h>
#include <stdbool.h>
#include <string.h>

#include "cr_config.h"
#if CR_HAVE_BLAS
#include <cblas.h>
#endif

/* One rounding for each multiply-add: here every path is this one, so nothing else has to agree with it. */
#if defined(__clang__)
#pragma clang fp contract(fast)
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=fast")
#endif

/* Rows of the left operand that share a packed panel, and its length along the inner axis: both stay in the cache. PANELS
 * are packed together. Beside FEW_TILES of rows, packing a panel by itself would take long; one whose rows lie in NEAR bytes
 * is as good as packed. */
enum { PART_ROWS = 256, DEPTH = 192, FEW_TILES = 8, PANELS = 8, NEAR = 1 << 14 };

/* A part of the product: some rows of x times some panels of y. Either x is A and y is B, or all are transposed. */
typedef struct part_of {
  const void *x, *y;
  void *c;
  int64_t rows, cols, k, x_row, x_step, y_col, y_step, c_row, c_col;
  bool add;
} part_of;

#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)

#define TARGET
#define NAME(x) JOIN(float_any, x)
#define REAL float
#define LANES 4
#define ROWS 4
#define VECTORS 2
#include "gemmkernel.h"
#define TARGET
#define NAME(x) JOIN(double_any, x)
#define REAL double
#define LANES 4
#define ROWS 4
#define VECTORS 1
#include "gemmkernel.h"

#if defined(__x86_64__)
#define TARGET __attribute__((target("avx2,fma")))
#define NAME(x) JOIN(float_avx2, x)
#define REAL float
#define LANES 8
#define ROWS 4
#define VECTORS 3
#include "gemmkernel.h"
#define TARGET __attribute__((target("avx2,fma")))
#define NAME(x) JOIN(double_avx2, x)
#define REAL double
#define LANES 4
#define ROWS 4
#define VECTORS 3
#include "gemmkernel.h"
#define TARGET __attribute__((target("avx512f")))
#define NAME(x) JOIN(float_avx512, x)
#define REAL float
#define LANES 16
#define ROWS 8
#define VECTORS 3
#include "gemmkernel.h"
#define TARGET __attribute__((target("avx512f")))
#define NAME(x) JOIN(double_avx512, x)
#define REAL double
#define LANES 8
#define ROWS 8
#define VECTORS 3
#include "gemmkernel.h"
#endif

typedef struct kernel {
  void (*part)(const part_of *p);
  int64_t width;
} kernel;

static kernel kernel_for(cr_dtype dtype) {
  bool wide = dtype == CR_FLOAT64;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f"))
    return wide ? (kernel){double_avx512_part, double_avx512_width} : (kernel){float_avx512_part, float_avx512_width};
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    return wide ? (kernel){double_avx2_part, double_avx2_width} : (kernel){float_avx2_part, float_avx2_width};
#endif
  return wide ? (kernel){double_any_part, double_any_width} : (kernel){float_any_part, float_any_width};
}

static int64_t ceiling(int64_t n, int64_t size) { return (n + size - 1) / size; }

/* Panels are packed from B, or from A where that moves fewer numbers, counting those of C that are then written across. */
static bool is_transposed(const cr__product *p) {
  if (p->b_col == 1) return false;
  int64_t across = 4 * p->m * p->n * ceiling(p->k, DEPTH);
  return across + p->m * p->k * ceiling(p->n, PART_ROWS) < p->n * p->k * ceiling(p->m, PART_ROWS);
}

/* Columns of a part: several panels where the block of x does not stay in the cache by itself, or has to be packed. */
static int64_t part_cols(int64_t width, int64_t rows, int64_t x_row, int64_t x_step) {
  return rows >= PART_ROWS || (x_row == 1 && x_step > 1) ? PANELS * width : width;
}

#if CR_HAVE_BLAS
/* The larger stride of a matrix one of whose strides is 1, as BLAS wants it; 0 where it has none. */
static int64_t leading(int64_t rows, int64_t cols, int64_t row, int64_t col, CBLAS_TRANSPOSE *how) {
  bool by_rows = (col == 1 || cols == 1) && (row >= cols || rows == 1);
  bool by_cols = (row == 1 || rows == 1) && (col >= rows || cols == 1);
  *how = by_rows ? CblasNoTrans : CblasTrans;
  return by_rows ? (rows == 1 ? cols : row) : by_cols ? (cols == 1 ? rows : col) : 0;
}

typedef struct blas_call {
  CBLAS_TRANSPOSE how_a, how_b;
  int64_t lda, ldb;
} blas_call;

/* A threaded BLAS rounds otherwise for another number of threads, but keeps to one up to 2^18 multiply-adds. Where B is
 * transposed our own kernels are faster. */
static bool is_for_blas(const cr__product *p, blas_call *b) {
  enum { MOST = 1 << 18 };
  if (p->m > MOST || p->n > MOST || p->k > MOST || !p->k || p->m * p->n > MOST / p->k || p->c_row > INT_MAX) return false;
  b->lda = leading(p->m, p->k, p->a_row, p->a_col, &b->how_a);
  b->ldb = leading(p->k, p->n, p->b_row, p->b_col, &b->how_b);
  return b->lda > 0 && b->ldb > 0 && b->how_b == CblasNoTrans && b->lda <= INT_MAX && b->ldb <= INT_MAX && p->c_row >= p->n;
}

static bool by_blas(cr_dtype dtype, const cr__product *p) {
  blas_call b;
  if (!is_for_blas(p, &b)) return false;
  int m = (int)p->m, n = (int)p->n, k = (int)p->k, lda = (int)b.lda, ldb = (int)b.ldb, ldc = (int)p->c_row;
  if (dtype == CR_FLOAT64)
    cblas_dgemm(CblasRowMajor, b.how_a, b.how_b, m, n, k, 1, p->a, lda, p->b, ldb, p->add != 0, p->c, ldc);
  else
    cblas_sgemm(CblasRowMajor, b.how_a, b.how_b, m, n, k, 1, p->a, lda, p->b, ldb, p->add ? 1 : 0, p->c, ldc);
  return true;
}
static bool is_one_call(const cr__product *p) { return is_for_blas(p, &(blas_call){CblasNoTrans, CblasNoTrans, 0, 0}); }
#else
static bool by_blas(cr_dtype dtype, const cr__product *p) { return (void)dtype, (void)p, false; }
static bool is_one_call(const cr__product *p) { return (void)p, false; }
#endif

int64_t cr__gemm_parts(cr_dtype dtype, const cr__product *p) {
  if (is_one_call(p)) return 1;
  int64_t width = kernel_for(dtype).width;
  if (is_transposed(p)) return ceiling(p->n, PART_ROWS) * ceiling(p->m, part_cols(width, p->n, p->b_col, p->b_row));
  return ceiling(p->m, PART_ROWS) * ceiling(p->n, part_cols(width, p->m, p->a_row, p->a_col));
}

#define ADD_BIAS(T)                                                                                                   \
  static void add_bias_##T(int64_t rows, int64_t cols, const T *restrict bias, T *restrict c, int64_t c_row) {         \
    for (int64_t i = 0; i < rows; i++, c += c_row)                                                                     \
      for (int64_t j = 0; j < cols; j++) c[j] += bias[j];                                                              \
  }
ADD_BIAS(float)
ADD_BIAS(double)

void cr__finish_block(cr_dtype dtype, const cr__product *p, int64_t row, int64_t col, int64_t rows, int64_t cols) {
  char *c = (char *)p->c + (size_t)(row * p->c_row + col) * cr_dtype_size(dtype);
  if (p->bias && dtype == CR_FLOAT64)
    add_bias_double(rows, cols, (const double *)p->bias + col, (double *)(void *)c, p->c_row);
  else if (p->bias)
    add_bias_float(rows, cols, (const float *)p->bias + col, (float *)(void *)c, p->c_row);
  if (p->finish) p->finish(p->context, row, col, rows, cols, c, p->c_row);
}

void cr__gemm_part(cr_dtype dtype, const cr__product *p, int64_t part) {
  bool finishes = p->bias || p->finish;
  if (by_blas(dtype, p)) {
    if (finishes) cr__finish_block(dtype, p, 0, 0, p->m, p->n);
    return;
  }
  kernel with = kernel_for(dtype);
  bool transposed = is_transposed(p);
  part_of q = {.k = p->k, .x_row = transposed ? p->b_col : p->a_row, .x_step = transposed ? p->b_row : p->a_col,
               .y_col = transposed ? p->a_row : p->b_col, .y_step = transposed ? p->a_col : p->b_row,
               .c_row = transposed ? 1 : p->c_row, .c_col = transposed ? p->c_row : 1, .add = p->add != 0};
  int64_t rows = transposed ? p->n : p->m, cols = transposed ? p->m : p->n, size = (int64_t)cr_dtype_size(dtype);
  int64_t wide = part_cols(with.width, rows, q.x_row, q.x_step), across = ceiling(cols, wide);
  int64_t row = part / across * PART_ROWS, col = part % across * wide;
  q.rows = rows - row < PART_ROWS ? rows - row : PART_ROWS;
  q.cols = cols - col < wide ? cols - col : wide;
  q.x = (const char *)(transposed ? p->b : p->a) + row * q.x_row * size;
  q.y = (const char *)(transposed ? p->a : p->b) + col * q.y_col * size;
  q.c = (char *)p->c + (row * q.c_row + col * q.c_col) * size;
  with.part(&q);
  if (finishes && transposed) cr__finish_block(dtype, p, col, row, q.cols, q.rows);
  else if (finishes) cr__finish_block(dtype, p, row, col, q.rows, q.cols);
}

void cr__gemm(cr_dtype dtype, const cr__product *p) {
  for (int64_t part = 0, n = cr__gemm_parts(dtype, p); part < n; part++) cr__gemm_part(dtype, p, part);
}
