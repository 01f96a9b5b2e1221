/* What the rewrites of captured graphs know of single ops. */
#ifndef CR_PATTERNS_H
#define CR_PATTERNS_H

#include "ops.h"

/* x + y, where this is a sum of pads by 0 along one axis whose parts cover all of it side by side, as the cotangent of what
 * was split: the parts joined, + 0; else poison. pad.c */
cr_var cr__sum_of_windows(cr_var x, cr_var y);

/* The three parts of an attention_pull as its packed result, where that is how they would be joined along axis 2; else
 * poison. attention.c */
cr_var cr__packed_cotangents(const cr_var *part);

#endif
