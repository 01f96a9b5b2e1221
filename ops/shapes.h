/* Attributes that have a number for each axis, for the ops and for those who look at them or change them. */
#ifndef CR_SHAPES_H
#define CR_SHAPES_H

#include "ops.h"

/* The numbers of a shape, or a list of axes: reshape, broadcast_to, permute (movement.c), ravel_index, one_hot (index.c). */
typedef struct dims_attr {
  int rank;
  int64_t dim[CR_MAX_RANK];
} dims_attr;

/* slice.c: axis i of the result is start[i], start[i] + step[i], ..., dim[i] numbers. */
typedef struct slice_attr {
  int rank;
  int64_t start[CR_MAX_RANK], step[CR_MAX_RANK], dim[CR_MAX_RANK];
} slice_attr;

/* pad.c: elements before, behind and between those of an axis; where negative, so many are cut off. */
typedef struct pad_attr {
  int rank;
  int64_t lo[CR_MAX_RANK], hi[CR_MAX_RANK], interior[CR_MAX_RANK];
} pad_attr;

#endif
