/* The node of a loop (loops.c), for those who record one. */
#ifndef CR_LOOPS_H
#define CR_LOOPS_H

#include "bodies.h"

/* Its attribute. Operands: the first carries, the sequences, the constants, and for a counted loop the number of steps. */
typedef struct cr__scan {
  cr_body *body;
  int64_t steps;
  int32_t n_carry, n_xs, n_const, n_ys, n_sums;
  int32_t reverse, counted;
} cr__scan;

extern const cr_op cr__scan_op;
/* Whether steps are run in blocks, at most so many, with sums of their own. */
enum { CR__LOOP_BLOCKS = 16 };
bool cr__loop_in_blocks(const cr__scan *l);
int cr__check_scan(const cr_infer *c);
/* The parts of the result, or of its cotangent: carries after each step, results, sums. */
void cr__loop_parts(const cr__scan *l, cr_var v, cr_var *part);
/* The element of a stack of carries at the place of the last step, or the first carry where none was run. */
cr_var cr__last_carry(const cr__scan *l, cr_var stack, cr_var first, cr_var count);

#endif
