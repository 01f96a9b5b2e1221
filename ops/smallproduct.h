/* Products of matrices in C (cr_op.emit), and of small ones in compiled functions (cr_op.small). */
#ifndef CR_SMALLPRODUCT_H
#define CR_SMALLPRODUCT_H

#include "emit.h"

/* The product of in[0] and in[1] over their last two axes, behind so many others, with k terms to each sum: as scalar
 * products, or as rows of in[1] times numbers of in[0], so that the innermost loop runs along the result. */
void cr__emit_dots(cr_emit_context *c, int lead, int64_t k);
void cr__emit_product(cr_emit_context *c, int lead, int64_t k);
/* The same as the kernels of gemm.h take it; 0: it is not small. */
int cr__small_product(cr_emit_context *c, int lead);

#endif
