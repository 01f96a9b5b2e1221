/* See indirect.h. Vectors are the compilers', as in gemm.c; on x86-64 the widest that it has are chosen as the program
 * runs. */
#include "indirect.h"

#include <stdbool.h>

/* One rounding for each multiply-add: here every path is this one, so nothing else has to agree with it. */
#if defined(__clang__)
#pragma clang fp contract(fast)
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=fast")
#endif

/* Half of the first-level cache of most processors, for a block of y. */
enum { BLOCK = 24 << 10, MOST_VECTORS = 3 };

int64_t cr__indirect_depth(cr_dtype dtype, int64_t vectors) {
  const int64_t across = vectors < MOST_VECTORS ? vectors : MOST_VECTORS;
  return BLOCK / (int64_t)cr_dtype_size(dtype) / cr__indirect_lanes(dtype) / across;
}

int64_t cr__indirect_block(cr_dtype dtype, int64_t vectors, int64_t steps) {
  int64_t most = cr__indirect_depth(dtype, vectors), blocks = (steps + most - 1) / most;
  return blocks > 1 ? (steps + blocks - 1) / blocks : steps;
}

#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)

#define TARGET
#define NAME(x) JOIN(float_any, x)
#define REAL float
#define LANES 4
#define ROWS 4
#define VECTORS 2
#include "indirectkernel.h"
#define TARGET
#define NAME(x) JOIN(double_any, x)
#define REAL double
#define LANES 2
#define ROWS 4
#define VECTORS 2
#include "indirectkernel.h"

#if defined(__x86_64__)
#define TARGET __attribute__((target("avx2,fma")))
#define NAME(x) JOIN(float_avx2, x)
#define REAL float
#define LANES 8
#define ROWS 4
#define VECTORS 3
#include "indirectkernel.h"
#define TARGET __attribute__((target("avx2,fma")))
#define NAME(x) JOIN(double_avx2, x)
#define REAL double
#define LANES 4
#define ROWS 4
#define VECTORS 3
#include "indirectkernel.h"
#define TARGET __attribute__((target("avx512f")))
#define NAME(x) JOIN(float_avx512, x)
#define REAL float
#define LANES 16
#define ROWS 8
#define VECTORS 3
#include "indirectkernel.h"
#define TARGET __attribute__((target("avx512f")))
#define NAME(x) JOIN(double_avx512, x)
#define REAL double
#define LANES 8
#define ROWS 8
#define VECTORS 3
#include "indirectkernel.h"
#endif

typedef struct kernel {
  void (*product)(const cr__indirect *p);
  int64_t lanes;
} kernel;

static kernel kernel_for(cr_dtype dtype) {
  const bool wide = dtype == CR_FLOAT64;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f"))
    return wide ? (kernel){double_avx512_product, 8} : (kernel){float_avx512_product, 16};
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    return wide ? (kernel){double_avx2_product, 4} : (kernel){float_avx2_product, 8};
#endif
  return wide ? (kernel){double_any_product, 2} : (kernel){float_any_product, 4};
}

int64_t cr__indirect_lanes(cr_dtype dtype) { return kernel_for(dtype).lanes; }
void cr__indirect_product(cr_dtype dtype, const cr__indirect *p) { kernel_for(dtype).product(p); }

/* In blocks of 4 x 4, lines of the cache one after the other. */
enum { LINE = 16 };
#define TRANSPOSED(T)                                                                                                       \
  typedef T four_##T __attribute__((vector_size(4 * sizeof(T)), aligned(sizeof(T)), may_alias));                           \
  static inline void turn_##T(const T *from, int64_t from_row, T *to, int64_t to_row) {                                    \
    const four_##T m0 = *(const four_##T *)from, m1 = *(const four_##T *)(from + from_row),                                 \
                   m2 = *(const four_##T *)(from + 2 * from_row), m3 = *(const four_##T *)(from + 3 * from_row);            \
    const four_##T a = __builtin_shufflevector(m0, m1, 0, 4, 1, 5), b = __builtin_shufflevector(m0, m1, 2, 6, 3, 7);        \
    const four_##T c = __builtin_shufflevector(m2, m3, 0, 4, 1, 5), d = __builtin_shufflevector(m2, m3, 2, 6, 3, 7);        \
    *(four_##T *)to = __builtin_shufflevector(a, c, 0, 1, 4, 5);                                                            \
    *(four_##T *)(to + to_row) = __builtin_shufflevector(a, c, 2, 3, 6, 7);                                                 \
    *(four_##T *)(to + 2 * to_row) = __builtin_shufflevector(b, d, 0, 1, 4, 5);                                             \
    *(four_##T *)(to + 3 * to_row) = __builtin_shufflevector(b, d, 2, 3, 6, 7);                                             \
  }                                                                                                                         \
  static void transposed_##T(int64_t rows, int64_t cols, const T *from, int64_t from_row, T *to, int64_t to_row) {         \
    const int64_t whole = cols - cols % 4, even = rows - rows % 4;                                                          \
    for (int64_t i = 0, end; i < even; i = end) {                                                                           \
      end = i + LINE < even ? i + LINE : even;                                                                              \
      for (int64_t j = 0; j < whole; j += 4)                                                                                \
        for (int64_t r = i; r < end; r += 4) turn_##T(from + r * from_row + j, from_row, to + j * to_row + r, to_row);      \
      for (int64_t j = whole; j < cols; j++)                                                                                \
        for (int64_t r = i; r < end; r++) to[j * to_row + r] = from[r * from_row + j];                                      \
    }                                                                                                                       \
    for (int64_t i = even; i < rows; i++)                                                                                   \
      for (int64_t j = 0; j < cols; j++) to[j * to_row + i] = from[i * from_row + j];                                       \
  }
TRANSPOSED(float)
TRANSPOSED(double)

void cr__transposed(cr_dtype dtype, int64_t rows, int64_t cols, const void *from, int64_t from_row, void *to,
                    int64_t to_row) {
  if (dtype == CR_FLOAT32) transposed_float(rows, cols, from, from_row, to, to_row);
  else transposed_double(rows, cols, from, from_row, to, to_row);
}
