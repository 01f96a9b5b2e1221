/* The rows of elementwise.def over dense float32 arrays, by the processor's vectors. */
#ifndef CR_VECTORS_H
#define CR_VECTORS_H

#include <stdbool.h>
#include <stdint.h>

#include "op.h"

/* Whether this processor has the vectors that vectors.c was built for. */
bool cr__has_vectors(void);
/* Row number row (from 0, in the order of the table; the guarded product has a value only): its value, and its partial by
 * operand k times g, 0 where g is 0. */
void cr__vector_loop(int row, int64_t n, const float *a, int64_t sa, const float *b, int64_t sb, float *out);
void cr__vector_pull(int row, int k, int64_t n, const float *a, int64_t sa, const float *b, int64_t sb, const float *y,
                     int64_t sy, const float *g, int64_t sg, float *out);

/* By row, for wider vectors than those of vectors.c; NULL where there are none. */
const cr_row_loops *cr__wide_rows(void);
/* The loops themselves, which take float32 and n a multiple of 16; NULL for other numbers. */
const cr_row_loops *cr__loops(int row, cr_dtype dtype, int64_t n);

/* To double and back, rounded. */
void cr__vector_widen(int64_t n, const float *x, double *out);
void cr__vector_narrow(int64_t n, const double *x, float *out);
/* The largest of at least one number; NaN when there is one. */
double cr__vector_largest(int64_t n, const double *x);
/* x = exp(x - top), within the rounding of float32 only. */
void cr__vector_exp(int64_t n, double *x, double top);

enum { CR__PHILOX_LANES = 16 };
/* Blocks of Philox-4x32-10 from the first-th: random.c. */
void cr__vector_philox(uint64_t first, uint64_t seed, uint64_t bits[2 * CR__PHILOX_LANES]);

#endif
