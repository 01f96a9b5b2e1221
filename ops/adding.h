/* Sums of terms at positions that may repeat: what index_add and scatter_add have in common. */
#ifndef CR_ADDING_H
#define CR_ADDING_H

#include "ops.h"

/* The result as (outer, positions, run); terms for so many places, (outer, places, run). */
typedef struct cr__adding {
  int64_t positions, run, outer, places;
} cr__adding;

/* The result becomes operand 0, with the terms, operand 2, at [o, k] added at [o, at[k]]: floats in double, integers in
 * int64, in ascending order of places, rounded to the dtype at the end. */
cr_status cr__add_at(cr_eval *c, const int64_t *at, cr__adding a);

#endif
