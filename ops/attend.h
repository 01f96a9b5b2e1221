/* The kernels of attention, softmax(scale q k^T) v over the last two axes, and of its cotangents. */
#ifndef CR_ATTEND_H
#define CR_ATTEND_H

#include "ops.h"

typedef struct cr__attention {
  double scale;
  int64_t causal; /* query t looks at keys 0 to t */
  int64_t packed; /* of the pull: its result is (batch, time, 3, heads, width), not a vector */
} cr__attention;

/* Operands q, k, v. */
cr_status cr__attention_eval(cr_eval *c);
/* And the cotangent g of the result: the cotangents of q, k, v, one after the other in a vector; packed, as where they are
 * parts of one projection. They are sums that begin at 0, so no element is -0. */
cr_status cr__attention_pull_eval(cr_eval *c);

#endif
