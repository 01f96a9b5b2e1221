/* The rows by vectors of 512 bits, where the compiler and the processor have them. */
#include <stddef.h>
#include <string.h>

#include "vectorlibm.h"

#include "rowmath.h"
#include "vectors.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#pragma GCC target("avx512f,avx512dq,avx512vl,avx512bw,fma,prefer-vector-width=512")
#include "vectorrows.h"

const cr_row_loops *cr__wide_rows(void) {
  bool has = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
             __builtin_cpu_supports("avx512bw");
  return has ? rows : NULL;
}
#else
const cr_row_loops *cr__wide_rows(void) { return NULL; }
#endif
