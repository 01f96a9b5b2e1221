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


/* Whether bias has a number for each position of axis 1 of x; and the sums of x over all other axes. */
cr_status cr__bias_fits(cr_tape *t, const cr_array *x, const cr_array *bias);
cr_var cr__sums_of_channels(cr_var x);

/* pool.c's windows over the last axes. */
typedef struct cr__windows {
  int64_t rank, adaptive; /* adaptive: equal parts of the input, which may overlap by one element */
  int64_t kernel[CR_MAX_SPATIAL], stride[CR_MAX_SPATIAL], padding[CR_MAX_SPATIAL], dilation[CR_MAX_SPATIAL],
      out[CR_MAX_SPATIAL];
} cr__windows;

/* largest.c: the largest element of each window, and its position unless index is NULL. */
cr_var cr__largest_in(cr_var x, const cr__windows *a, cr_var *index);
extern const cr_op cr__largest_at_op;

/* planes.c: elements of the last axes, flat, at positions of dtype int32. */
cr_var cr__take_of_planes(cr_var x, cr_var at, int64_t rank);
extern const cr_op cr__plane_take_op, cr__plane_add_op;

static inline int64_t cr__volume(const int64_t *dims, int64_t n) {
  int64_t all = 1;
  for (int64_t i = 0; i < n; i++) all *= dims[i];
  return all;
}

/* Planes for one thread at a time. */
static inline int64_t cr__some_planes(int64_t elements) { return 1 + (1 << 14) / (elements + 1); }

#endif
