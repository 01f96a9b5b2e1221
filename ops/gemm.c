/* See gemm.h. Vectors are the compilers', so that one source serves every processor; on x86-64 the widest that it has are
 * chosen as the program runs. */
#include "gemm.h"

#include <stdbool.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* One rounding for each multiply-add: here every path is this one, so nothing else has to agree with it. */
#if defined(__clang__)
#pragma clang fp contract(fast)
#pragma clang diagnostic ignored "-Wpsabi" /* vectors are passed to functions of this file only */
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=fast")
#pragma GCC diagnostic ignored "-Wpsabi"
#endif

/* The left operand's rows of a part (half as many of float64) and the longest block of the inner axis: packed, they stay in
 * the second-level cache. Packing rows for up to REUSE panels takes longer than it saves; a panel in NEAR bytes
 * whose rows are whole vectors is as good as packed. ACROSS: columns of a part that is written across. */
enum { PART_ROWS = 256, DEPTH = 400, REUSE = 4, NEAR = 1 << 14, ACROSS = 96 };

/* A part of the product: some rows of x times some panels of y. Either x is A and y is B, or all are transposed. */
typedef struct part_of {
  const void *x, *y, *packed; /* packed: panels made beforehand, or NULL */
  void *c;
  int64_t rows, cols, k, x_row, x_step, y_col, y_step, c_row, c_col;
  bool add;
} part_of;

static int64_t ceiling(int64_t n, int64_t size) { return (n + size - 1) / size; }

/* The inner axis in blocks of one length. */
static int64_t block_length(int64_t k) {
  int64_t blocks = k > DEPTH ? ceiling(k, DEPTH) : 1;
  return ceiling(ceiling(k, blocks), 4) * 4;
}

#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)

#define TARGET
#define NAME(x) JOIN(float_any, x)
#define REAL float
#define LANES 4
#define ROWS 4
#define VECTORS 2
#define MASKS 0
#include "gemmkernel.h"
#define TARGET
#define NAME(x) JOIN(double_any, x)
#define REAL double
#define LANES 4
#define ROWS 4
#define VECTORS 1
#define MASKS 0
#include "gemmkernel.h"

#if defined(__x86_64__)
#define TARGET __attribute__((target("avx2,fma")))
#define NAME(x) JOIN(float_avx2, x)
#define REAL float
#define LANES 8
#define ROWS 4
#define VECTORS 3
#define MASKS 0
#include "gemmkernel.h"
#define TARGET __attribute__((target("avx2,fma")))
#define NAME(x) JOIN(double_avx2, x)
#define REAL double
#define LANES 4
#define ROWS 4
#define VECTORS 3
#define MASKS 0
#include "gemmkernel.h"
#define TARGET __attribute__((target("avx512f")))
#define NAME(x) JOIN(float_avx512, x)
#define REAL float
#define LANES 16
#define ROWS 8
#define VECTORS 3
#define MASKS 1
#define LOAD_MASKED(mask, from) _mm512_maskz_loadu_ps((__mmask16)(mask), from)
#define STORE_MASKED(to, mask, v) _mm512_mask_storeu_ps(to, (__mmask16)(mask), (__m512)(v))
#include "gemmkernel.h"
#define TARGET __attribute__((target("avx512f")))
#define NAME(x) JOIN(double_avx512, x)
#define REAL double
#define LANES 8
#define ROWS 8
#define VECTORS 3
#define MASKS 1
#define LOAD_MASKED(mask, from) _mm512_maskz_loadu_pd((__mmask8)(mask), from)
#define STORE_MASKED(to, mask, v) _mm512_mask_storeu_pd(to, (__mmask8)(mask), (__m512d)(v))
#include "gemmkernel.h"
#endif

typedef struct kernel {
  void (*part)(const part_of *p), (*small)(const cr__product *p), (*prepare)(const part_of *p, void *to);
  int64_t width;
} kernel;

#define KERNEL(name) {name##_part, name##_small, name##_prepare, name##_width}
static const kernel any[] = {KERNEL(float_any), KERNEL(double_any)};
#if defined(__x86_64__)
static const kernel avx2[] = {KERNEL(float_avx2), KERNEL(double_avx2)};
static const kernel avx512[] = {KERNEL(float_avx512), KERNEL(double_avx512)};
#endif
static const kernel *kernel_for(cr_dtype dtype) {
  const kernel *of = any;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) of = avx512;
  else if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) of = avx2;
#endif
  return of + (dtype == CR_FLOAT64);
}

/* Panels are packed from B, or from A where that moves fewer numbers, counting those of C that are then written across. */
static bool is_transposed(const cr__product *p) {
  if (p->packed) return false;
  if (p->b_col == 1) return p->a_row == 1 && p->n <= 8 && p->m >= 64; /* few columns would leave most of a vector idle */
  int64_t across = 4 * p->m * p->n;
  return across + p->m * p->k * ceiling(p->n, PART_ROWS) < p->n * p->k * ceiling(p->m, PART_ROWS);
}

/* One block is enough, and nothing is gained by packing. */
static bool is_small(const cr__product *p) {
  enum { MOST = 1 << 16 };
  return !p->packed && p->k <= DEPTH && p->m <= MOST && p->n <= MOST && p->m * p->n * p->k <= MOST;
}

/* Rows and columns of the product, of which one side may be turned, and of a part; how many parts there are each way. */
typedef struct cut {
  bool transposed;
  int64_t rows, cols, row, col, down, across;
} cut;

static cut cut_of(cr_dtype dtype, const cr__product *p) {
  enum { TILES = 16, EVEN = 4 };
  int64_t width = kernel_for(dtype)->width, shares = p->shares > 1 ? p->shares : 1;
  cut c = {.transposed = is_transposed(p)};
  c.rows = c.transposed ? p->n : p->m, c.cols = c.transposed ? p->m : p->n;
  c.down = ceiling(c.rows, dtype == CR_FLOAT64 ? PART_ROWS / 2 : PART_ROWS);
  c.across = c.transposed ? ceiling(c.cols, ACROSS / width * width) : 1;
  if (p->packed) shares = 1;
  while (c.down * c.across < EVEN * shares && c.down * c.across % shares && c.across < ceiling(c.cols, width)) c.across++;
  while (c.down * c.across < shares && c.down < ceiling(c.rows, TILES)) c.down++;
  c.row = ceiling(ceiling(c.rows, c.down), TILES) * TILES, c.col = ceiling(ceiling(c.cols, c.across), width) * width;
  c.down = ceiling(c.rows, c.row), c.across = ceiling(c.cols, c.col);
  return c;
}

int64_t cr__gemm_parts(cr_dtype dtype, const cr__product *p) {
  if (is_small(p)) return 1;
  cut c = cut_of(dtype, p);
  return c.down * c.across;
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

static void small_product(cr_dtype dtype, const cr__product *p) {
  kernel_for(dtype)->small(p);
  if (p->bias || p->finish) cr__finish_block(dtype, p, 0, 0, p->m, p->n);
}

void cr__gemm_part(cr_dtype dtype, const cr__product *p, int64_t part) {
  if (is_small(p)) {
    small_product(dtype, p);
    return;
  }
  cut of = cut_of(dtype, p);
  bool transposed = of.transposed;
  part_of q = {.k = p->k, .x_row = transposed ? p->b_col : p->a_row, .x_step = transposed ? p->b_row : p->a_col,
               .y_col = transposed ? p->a_row : p->b_col, .y_step = transposed ? p->a_col : p->b_row,
               .c_row = transposed ? 1 : p->c_row, .c_col = transposed ? p->c_row : 1, .add = p->add != 0,
               .packed = p->packed};
  int64_t row = part / of.across * of.row, col = part % of.across * of.col, size = (int64_t)cr_dtype_size(dtype);
  q.rows = of.rows - row < of.row ? of.rows - row : of.row;
  q.cols = of.cols - col < of.col ? of.cols - col : of.col;
  q.x = (const char *)(transposed ? p->b : p->a) + row * q.x_row * size;
  q.y = p->packed ? p->packed : (const char *)(transposed ? p->a : p->b) + col * q.y_col * size;
  q.c = (char *)p->c + (row * q.c_row + col * q.c_col) * size;
  kernel_for(dtype)->part(&q);
  if (!p->bias && !p->finish) return;
  if (transposed) cr__finish_block(dtype, p, col, row, q.cols, q.rows);
  else cr__finish_block(dtype, p, row, col, q.rows, q.cols);
}

size_t cr__gemm_packed_bytes(cr_dtype dtype, const cr__product *p) {
  int64_t width = kernel_for(dtype)->width; /* a narrow panel takes as much room as a wide one, and one more may be needed */
  return (size_t)((ceiling(p->n, width) + 1) * width * p->k) * cr_dtype_size(dtype);
}

void cr__gemm_pack(cr_dtype dtype, const cr__product *p, void *to) {
  part_of all = {.y = p->b, .cols = p->n, .k = p->k, .y_col = p->b_col, .y_step = p->b_row};
  kernel_for(dtype)->prepare(&all, to);
}

void cr__gemm(cr_dtype dtype, const cr__product *p) {
  if (is_small(p)) small_product(dtype, p);
  else
    for (int64_t part = 0, n = cr__gemm_parts(dtype, p); part < n; part++) cr__gemm_part(dtype, p, part);
}
