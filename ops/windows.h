/* What convolution and pooling share: arguments that are a number for each spatial axis, and batches of one. */
#ifndef CR_WINDOWS_H
#define CR_WINDOWS_H

#include <stdbool.h>

#include "ops.h"

/* Argument k, an int for all n axes or a list of n, each at least least; None leaves out alone. False after a failure. */
bool cr__arg_sides(cr_call *c, int k, const char *name, int n, int64_t least, int64_t *out);
/* (N, C, L...) with n spatial axes; of (C, L...) a batch of one, and *alone says so. False after a failure. */
bool cr__arg_images(cr_call *c, int n, cr_var *x, bool *alone);
/* The result of a batch of one without its batch axis. */
cr_var cr__alone(cr_var y, bool alone);
/* The convolution with the weight (C, O / groups, K...) turned round and its first axes exchanged. */
cr_var cr__convolve_transposed(cr_var x, cr_var weight, const cr_conv *c);

#endif
