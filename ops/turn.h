/* Matrices turned in registers, square by square, for the products of compiled functions. */
#ifndef CR_TURN_H
#define CR_TURN_H

#include <stdint.h>

/* Of n vectors, each s-th pair exchanges the halves of its groups of 2 s lanes. */
#define EXCHANGE(n, s, first, second)                                       \
  _Pragma("GCC unroll 16") for (int i = 0; i < n; i++) if (!(i & s)) {      \
    const lanes a = m[i], b = m[i + s];                                     \
    m[i] = __builtin_shufflevector(a, b, first);                            \
    m[i + s] = __builtin_shufflevector(a, b, second);                       \
  }
#define LIST(...) __VA_ARGS__

static inline void turn_square_float(const float *x, int64_t row, float *y, int64_t to) {
  typedef float lanes __attribute__((vector_size(64), aligned(4), may_alias));
  lanes m[16];
  _Pragma("GCC unroll 16") for (int i = 0; i < 16; i++) m[i] = *(const lanes *)(x + i * row);
  EXCHANGE(16, 1, LIST(0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30),
           LIST(1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31))
  EXCHANGE(16, 2, LIST(0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29),
           LIST(2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31))
  EXCHANGE(16, 4, LIST(0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27),
           LIST(4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31))
  EXCHANGE(16, 8, LIST(0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23),
           LIST(8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31))
  _Pragma("GCC unroll 16") for (int i = 0; i < 16; i++) *(lanes *)(y + i * to) = m[i];
}
static inline void turn_square_double(const double *x, int64_t row, double *y, int64_t to) {
  typedef double lanes __attribute__((vector_size(64), aligned(8), may_alias));
  lanes m[8];
  _Pragma("GCC unroll 16") for (int i = 0; i < 8; i++) m[i] = *(const lanes *)(x + i * row);
  EXCHANGE(8, 1, LIST(0, 8, 2, 10, 4, 12, 6, 14), LIST(1, 9, 3, 11, 5, 13, 7, 15))
  EXCHANGE(8, 2, LIST(0, 1, 8, 9, 4, 5, 12, 13), LIST(2, 3, 10, 11, 6, 7, 14, 15))
  EXCHANGE(8, 4, LIST(0, 1, 2, 3, 8, 9, 10, 11), LIST(4, 5, 6, 7, 12, 13, 14, 15))
  _Pragma("GCC unroll 16") for (int i = 0; i < 8; i++) *(lanes *)(y + i * to) = m[i];
}

/* y[j][i] = x[i][j]; rows of x lie row numbers apart, those of y side by side. */
static inline void turn_float(const float *x, int64_t row, int64_t rows, int64_t cols, float *y) {
  const int64_t n = rows / 16 * 16, k = cols / 16 * 16;
  for (int64_t i = 0; i < n; i += 16)
    for (int64_t j = 0; j < k; j += 16) turn_square_float(x + i * row + j, row, y + j * rows + i, rows);
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = i < n ? k : 0; j < cols; j++) y[j * rows + i] = x[i * row + j];
}
static inline void turn_double(const double *x, int64_t row, int64_t rows, int64_t cols, double *y) {
  const int64_t n = rows / 8 * 8, k = cols / 8 * 8;
  for (int64_t i = 0; i < n; i += 8)
    for (int64_t j = 0; j < k; j += 8) turn_square_double(x + i * row + j, row, y + j * rows + i, rows);
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = i < n ? k : 0; j < cols; j++) y[j * rows + i] = x[i * row + j];
}

#endif
