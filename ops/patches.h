/* What convolution moves: elements of a plane (the spatial axes of one channel) taken along two positions at once. */
#ifndef CR_PATCHES_H
#define CR_PATCHES_H

#include "ops.h"

/* For row u and column v, both positions of as many axes as the plane has, the element of the plane is
 *     t = (u * row_step + v * col_step - shift) / divisor        (axis by axis)
 * where that is a whole number within the plane, else there is none. col_step and divisor are positive. */
typedef struct cr__patches {
  int64_t from, to;        /* the columns in use, counted row-major */
  struct cr__patch *plan;  /* for each row, where its columns are in the plane; NULL: found out each time */
  int64_t rows[CR_MAX_SPATIAL], cols[CR_MAX_SPATIAL], size[CR_MAX_SPATIAL];
  int64_t row_step[CR_MAX_SPATIAL], col_step[CR_MAX_SPATIAL], shift[CR_MAX_SPATIAL], divisor[CR_MAX_SPATIAL];
} cr__patches;

/* Patches over axes of size 1, to be filled in. */
cr__patches cr__patches_of_one(void);
/* The bytes of a plan, a multiple of 64; and the memory for it. */
size_t cr__patches_bytes(const cr__patches *p);
void cr__patches_place(cr__patches *p, void *memory);
/* Columns from <= v < to are meant from now on. */
void cr__patches_aim(cr__patches *p, int64_t from, int64_t to);
/* out[v - from] = plane[t], or 0 where there is no t, for row u. */
void cr__patches_take(const cr__patches *p, cr_dtype dtype, const void *plane, int64_t u, void *out);
/* plane[t] += in[v - from], where there is a t. */
void cr__patches_add(const cr__patches *p, cr_dtype dtype, void *plane, int64_t u, const void *in);

/* convways.c: the kernel of convolution. */
cr_status cr__convolution(cr_eval *c, const cr_conv *how);

#endif
