/* See vectors.h. Most rows are computed in float (singlemath.h), the others in double and rounded once, by branch-free forms
 * of what rowmath.h has, which compilers turn into vectors, and by the vector functions of the C library: their errors of a
 * few ulp of a double are far below the rounding to float. */
#include "vectors.h"

#include <stddef.h>
#include <string.h>

#include "vectorlibm.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "rowmath.h"

#if defined(__x86_64__) && defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#elif defined(__x86_64__)
#pragma GCC target("avx2,fma")
#endif

bool cr__has_vectors(void) {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
  return true;
#endif
}

#include "vectorrows.h"

void cr__vector_widen(int64_t n, const float *x, double *out) {
  for (int64_t i = 0; i < n; i++) out[i] = (double)x[i];
}
void cr__vector_narrow(int64_t n, const double *x, float *out) {
  for (int64_t i = 0; i < n; i++) out[i] = (float)x[i];
}

void cr__vector_exp(int64_t n, double *x, double top) {
  for (int64_t i = 0; i < n; i++) x[i] = exp(x[i] - top);
}

double cr__vector_largest(int64_t n, const double *x) {
  enum { LANES = 4, CHAINS = 4 };
  typedef double lanes __attribute__((vector_size(LANES * sizeof(double)), aligned(sizeof(double)), may_alias));
  typedef int64_t bits __attribute__((vector_size(LANES * sizeof(double))));
  double top = x[0];
  int64_t i = 0;
  lanes most[CHAINS];
  for (int c = 0; c < CHAINS; c++) most[c] = (lanes){top, top, top, top};
  for (; i + LANES * CHAINS <= n; i += LANES * CHAINS)
    for (int c = 0; c < CHAINS; c++) {
      lanes next = *(const lanes *)(x + i + c * LANES);
      bits take = (bits)(next > most[c]) | (bits)(next != next);
      most[c] = (lanes)(((bits)next & take) | ((bits)most[c] & ~take));
    }
  for (; i < n; i++) top = x[i] > top || isnan(x[i]) ? x[i] : top;
  for (int c = 0; c < CHAINS; c++)
    for (int j = 0; j < LANES; j++) top = most[c][j] > top || isnan(most[c][j]) ? most[c][j] : top;
  return top;
}

/* The rounds on words in the low halves of 64 bits; what the high halves hold does not matter until the end. */
void cr__vector_philox(uint64_t first, uint64_t seed, uint64_t bits[2 * CR__PHILOX_LANES]) {
  enum { WIDE = 4, VECTORS = CR__PHILOX_LANES / WIDE };
  typedef uint64_t words __attribute__((vector_size(WIDE * sizeof(uint64_t))));
#if defined(__x86_64__)
#define LOW_PRODUCT(x, m) ((words)_mm256_mul_epu32((__m256i)(x), _mm256_set1_epi64x(m)))
#else
#define LOW_PRODUCT(x, m) (((x) & 0xFFFFFFFFu) * (m))
#endif
  words c[4][VECTORS];
  uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
  for (uint64_t v = 0; v < VECTORS; v++) {
    c[0][v] = (words){0, 1, 2, 3} + (first + WIDE * v);
    c[1][v] = c[0][v] >> 32;
    c[2][v] = c[3][v] = (words){0};
  }
  for (int round = 0; round < 10; round++, key[0] += 0x9E3779B9u, key[1] += 0xBB67AE85u)
    for (int v = 0; v < VECTORS; v++) {
      words p = LOW_PRODUCT(c[0][v], 0xD2511F53), q = LOW_PRODUCT(c[2][v], 0xCD9E8D57);
      c[0][v] = (q >> 32) ^ c[1][v] ^ (uint64_t)key[0];
      c[1][v] = q;
      c[2][v] = (p >> 32) ^ c[3][v] ^ (uint64_t)key[1];
      c[3][v] = p;
    }
  for (int v = 0; v < VECTORS; v++) {
    words low = c[1][v] << 32 | (c[0][v] & 0xFFFFFFFFu), high = c[3][v] << 32 | (c[2][v] & 0xFFFFFFFFu);
    for (int l = 0; l < WIDE; l++) {
      bits[2 * (WIDE * v + l)] = low[l];
      bits[2 * (WIDE * v + l) + 1] = high[l];
    }
  }
}

enum { WHOLE = 16 };         /* numbers of a vector */

static const cr_row_loops *widest(int row) {
  const cr_row_loops *wide = cr__wide_rows();
  return wide ? &wide[row] : &rows[row];
}

const cr_row_loops *cr__loops(int row, cr_dtype dtype, int64_t n) {
  return dtype == CR_FLOAT32 && n % WHOLE == 0 && cr__has_vectors() ? widest(row) : NULL;
}

/* Operands that do not lie densely come in blocks through buffers. */
enum { BLOCK = 512 };

static const float *dense(const float *x, int64_t step, int64_t at, int64_t n, float *buffer) {
  if (step == 1) return x + at;
  for (int64_t i = 0; i < n && !step && !at; i++) buffer[i] = *x;
  if (step)
    for (int64_t i = 0; i < n; i++) buffer[i] = x[(at + i) * step];
  return buffer;
}

/* Every element goes through the vectors' code, wherever its block ends: the last ones together with those before them, kept
 * aside at first because out may be an operand, or, of a few, filled up to a vector. */
typedef struct whole {
  float x[WHOLE];
} whole;

static const float *filled(int64_t n, const float *x, int64_t step, whole *room) {
  if (!step) return x;
  memcpy(room->x, x, (size_t)n * sizeof *x);
  return room->x;
}

/* Operands go on by their steps of 0 or 1. */
static void loop_whole(cr_row_loop *f, int64_t n, const float *a, int64_t sa, const float *b, int64_t sb, float *out) {
  const int64_t even = n & ~(int64_t)(WHOLE - 1), last = n - WHOLE;
  whole aside;
  if (even == n) {
    if (n) f(n, a, b, out);
  } else if (even) {
    f(WHOLE, a + sa * last, b + sb * last, aside.x);
    f(even, a, b, out);
    memcpy(out + last, &aside, sizeof aside);
  } else {
    whole in[2] = {{{0}}, {{0}}};
    f(WHOLE, filled(n, a, sa, &in[0]), filled(n, b, sb, &in[1]), aside.x);
    memcpy(out, &aside, (size_t)n * sizeof *out);
  }
}

static void pull_dense(int row, int k, int64_t n, const float *a, const float *b, const float *y, const float *g,
                       float *out) {
  const int64_t even = n & ~(int64_t)(WHOLE - 1), last = n - WHOLE;
  cr_row_pull *pull = widest(row)->pull[k];
  whole aside;
  if (even == n) {
    if (n) pull(n, a, b, y, g, out);
  } else if (even) {
    pull(WHOLE, a + last, b + last, y + last, g + last, aside.x);
    pull(even, a, b, y, g, out);
    memcpy(out + last, &aside, sizeof aside);
  } else {
    whole in[4] = {{{0}}, {{0}}, {{0}}, {{0}}};
    pull(WHOLE, filled(n, a, 1, &in[0]), filled(n, b, 1, &in[1]), filled(n, y, 1, &in[2]), filled(n, g, 1, &in[3]), aside.x);
    memcpy(out, &aside, (size_t)n * sizeof *out);
  }
}

void cr__vector_loop(int row, int64_t n, const float *a, int64_t sa, const float *b, int64_t sb, float *out) {
  const cr_row_loops *r = widest(row);
  float buffer[2][BLOCK];
  cr_row_loop *with_one = !sa && sb == 1 ? r->with_one[0] : sa == 1 && !sb ? r->with_one[1] : NULL;
  if (with_one || (sa == 1 && sb == 1)) {
    loop_whole(with_one ? with_one : r->loop, n, a, sa, b, sb, out);
    return;
  }
  for (int64_t at = 0; at < n; at += BLOCK) {
    int64_t m = n - at < BLOCK ? n - at : BLOCK;
    loop_whole(r->loop, m, dense(a, sa, at, m, buffer[0]), 1, dense(b, sb, at, m, buffer[1]), 1, out + at);
  }
}

void cr__vector_pull(int row, int k, int64_t n, const float *a, int64_t sa, const float *b, int64_t sb, const float *y,
                     int64_t sy, const float *g, int64_t sg, float *out) {
  float buffer[4][BLOCK];
  if (sa == 1 && sb == 1 && sy == 1 && sg == 1) {
    pull_dense(row, k, n, a, b, y, g, out);
    return;
  }
  for (int64_t at = 0; at < n; at += BLOCK) {
    int64_t m = n - at < BLOCK ? n - at : BLOCK;
    pull_dense(row, k, m, dense(a, sa, at, m, buffer[0]), dense(b, sb, at, m, buffer[1]), dense(y, sy, at, m, buffer[2]),
                      dense(g, sg, at, m, buffer[3]), out + at);
  }
}

#if defined(__x86_64__) && defined(__clang__)
#pragma clang attribute pop
#endif
