/* Products of matrices of which the left one is read through tables of offsets: what convolutions are, with no copy of
 * their patches. */
#ifndef CR_INDIRECT_H
#define CR_INDIRECT_H

#include <stdint.h>

#include "engine.h"

/* C[r] = sum over l < steps of x[row[r] + step[l]] y[l], or C[r] += that, for r < rows, float64 or float32. Row l of y is
 * some vectors of cr__indirect_lanes numbers, from y + l y_row on and y_next apart; that of C from c + to[r] on and c_next
 * apart. Sums run along l with fused multiply-adds, in blocks that depend on steps and vectors alone. */
typedef struct cr__indirect {
  int64_t rows, steps, vectors;
  const void *x, *y;
  void *c;
  const int32_t *row, *step, *to;
  int64_t y_row, y_next, c_next;
  int add;
} cr__indirect;

void cr__indirect_product(cr_dtype dtype, const cr__indirect *p);
int64_t cr__indirect_lanes(cr_dtype dtype);
/* How long the blocks of so many steps are, the last one may be shorter; and the most steps that are one block. */
int64_t cr__indirect_block(cr_dtype dtype, int64_t vectors, int64_t steps);
int64_t cr__indirect_depth(cr_dtype dtype, int64_t vectors);

/* to[j to_row + i] = from[i from_row + j] for i < rows and j < cols. */
void cr__transposed(cr_dtype dtype, int64_t rows, int64_t cols, const void *from, int64_t from_row, void *to,
                    int64_t to_row);

#endif
