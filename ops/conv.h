/* What the files of convolution's kernel share. */
#ifndef CR_CONV_H
#define CR_CONV_H

#include <stdbool.h>

#include "patches.h"

/* Everything a kernel needs to know. Planes of x and w are dense; strides are those of batch (or output) and channel. */
typedef struct cr__conv_work {
  cr_eval *c;
  cr_dtype dtype;
  size_t size;
  int rank;
  const cr_conv *how;
  int64_t batch, groups, in, out; /* in and out: channels of one group */
  int64_t p, k, t;                /* positions of the result, the kernel and the input */
  const char *x, *w;
  char *y;
  const void *bias;               /* NULL: none */
  int64_t x_batch, x_channel, w_out, w_channel;
  int64_t p_dim[CR_MAX_SPATIAL], k_dim[CR_MAX_SPATIAL], t_dim[CR_MAX_SPATIAL]; /* the last axes; those before are 1 */
  int64_t stride[CR_MAX_SPATIAL], dilation[CR_MAX_SPATIAL], input_dilation[CR_MAX_SPATIAL], pad_lo[CR_MAX_SPATIAL];
} cr__conv_work;

/* Results from to before from + n of some planes, (image, channel), are complete but for the bias. */
void cr__convolved(const cr__conv_work *s, int64_t plane, int64_t planes, int64_t from, int64_t n);

/* convrows.c: with the channels of the result side by side. False if that does not suit; *status is what came of it. */
bool cr__convolve_rows(const cr__conv_work *s, cr_status *status);
bool cr__convolve_scattered(const cr__conv_work *s, cr_status *status);

#endif
