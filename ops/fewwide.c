/* Rows over a few numbers by the instructions of vectors.c, so that all rows computed in float have its bits. */
#include "ops.h"
#include "rowmath.h"
#include "rownumbers.h"
#include "singlemath.h"
#include "vectors.h"

#if defined(__x86_64__) && defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#elif defined(__x86_64__)
#pragma GCC target("avx2,fma")
#endif

#define HAS_FEW_float(row) true
#define HAS_FEW_double(row) IS_FIXED(row)
#include "fewrows.h"

const cr_few_row *cr__wide_few(void) { return cr__has_vectors() ? rows : NULL; }

#if defined(__x86_64__) && defined(__clang__)
#pragma clang attribute pop
#endif
