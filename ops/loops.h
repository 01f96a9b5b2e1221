/* The node of a loop (loops.c), for those who record one. */
#ifndef CR_LOOPS_H
#define CR_LOOPS_H

#include "bodies.h"

/* Its attribute. Operands: the first carries, the sequences, the constants, and for a counted loop the number of steps. */
typedef struct cr__scan {
  cr_body *body;
  int64_t steps;
  int32_t n_carry, n_xs, n_const, n_ys, n_sums;
  int16_t reverse, counted;
} cr__scan;

extern const cr_op cr__scan_op;
/* The parts of the result, or of its cotangent: carries after each step, results, sums. */
void cr__loop_parts(const cr__scan *l, cr_var v, cr_var *part);
/* The element of a stack of carries at the place of the last step, or the first carry where none was run. */
cr_var cr__last_carry(const cr__scan *l, cr_var stack, cr_var first, cr_var count);

#endif
