/* Writing C for ops that work row by row. */
#ifndef CR_EMITROWS_H
#define CR_EMITROWS_H

#include "emit.h"
#include "reduce.h"

typedef enum cr__row_result { CR__ONE_NUMBER, CR__WHOLE_ROW } cr__row_result;

/* Loops over the rows of operand 0 along the axes of mask, copies each to a buffer $0 of the dtype (that of operand 1 to $1,
 * if there are two) and evaluates the call: for one number, an expression that becomes the element of the result that is
 * left of the row; for a whole row, a statement that computes it in $0. $2 is the row's length, $3 space for another row, $4
 * the element of operand 1 that the row has, if that is smaller. Rows are doubles or int64. */
void cr__emit_rows(cr_emit_context *c, unsigned mask, cr_dtype dtype, cr__row_result result, const char *call);

/* Loops over the rows: opens them, and gives the shape of what stays and of a row. */
int cr__emit_kept(cr_emit_context *c, unsigned mask);

/* For each matrix of a batch, the call: $0 and $1 are the matrices of the operands as rows of doubles, of which the last
 * becomes the result; $2 rows, $3 columns of the last; $4 and $5 space like $0 and $1, $6 for pivots. */
void cr__emit_matrices(cr_emit_context *c, const char *call);

#endif
