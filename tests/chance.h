/* What tests of random shapes share: whole numbers and tensors by chance, the same in every run of a program. */
#ifndef CR_CHANCE_H
#define CR_CHANCE_H

#include <stdint.h>

#include "ops.h"

static uint64_t seed = 1;

/* From lo to hi, both included. */
static inline int64_t between(int64_t lo, int64_t hi) {
  seed = seed * 6364136223846793005u + 1442695040888963407u;
  return lo + (int64_t)((seed >> 33) % (uint64_t)(hi - lo + 1));
}

/* A leaf of normal numbers. */
static inline cr_var numbers(cr_tape *t, cr_dtype dtype, int rank, const int64_t *dims) {
  cr_var v = cr_randn(t, dtype, rank, dims, seed++);
  return cr_tensor_of(t, dtype, rank, dims, cr_view(v).data);
}

#endif
