/* The op numbers of the rows of elementwise.def, fixed by their order. */
#ifndef CR_ROWNUMBERS_H
#define CR_ROWNUMBERS_H

#include "internal.h"

enum {
  BEFORE_ROWS = CR__FIRST_ROW - 1,
#define UNARY(name, ...) ROW_##name,
#define BINARY(name, ...) ROW_##name,
#define INT_UNARY(name, ...) ROW_##name,
#define INT_BINARY(name, ...) ROW_##name,
#define COMPARE(name, ...) ROW_##name,
#define COMPARE1(name, ...) ROW_##name,
#include "elementwise.def"
#undef UNARY
#undef BINARY
#undef INT_UNARY
#undef INT_BINARY
#undef COMPARE
#undef COMPARE1
  ROW_guarded_mul,
  AFTER_ROWS
};

/* Rows of operations that IEEE 754 fixes to the bit: vectors and single elements agree. */
#define IS_FIXED(row)                                                                                             \
  ((row) == ROW_neg || (row) == ROW_add || (row) == ROW_sub || (row) == ROW_mul || (row) == ROW_div ||            \
   (row) == ROW_square || (row) == ROW_reciprocal || (row) == ROW_sqrt || (row) == ROW_abs || (row) == ROW_relu || \
   (row) == ROW_maximum || (row) == ROW_minimum || (row) == ROW_guarded_mul)

/* Whether the text of a partial is 1. */
#define IS_ONE(text) (sizeof(text) == 2 && (text)[0] == '1')

#endif
