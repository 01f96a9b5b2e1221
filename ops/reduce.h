/* What ops over axes share: the axes as an attribute, shapes, and rows of numbers. */
#ifndef CR_REDUCE_H
#define CR_REDUCE_H

#include <stdbool.h>

#include "ops.h"

/* Which axes are taken together, as a bit mask, and whether a reduction leaves them with size 1. */
typedef struct cr__axes {
  unsigned mask;
  int keepdim;
} cr__axes;

extern const cr_field cr__axes_fields[];
void cr__axes_show(char *text, size_t size, const void *attr);
/* Axes as given by a caller; n_axes < 0 means all. A scalar has an axis 0. False after recording what is wrong. */
bool cr__axes_of(cr_var x, const char *name, int n_axes, const int *axes, cr__axes *out);
/* An argument dim: None and the empty list are -1, all axes; -2 after a failure. */
int cr__arg_reduced(cr_call *c, int k, int *axes);
/* How many elements of x share a row, by name of what goes wrong with none. */
int64_t cr__axes_count(const cr_array *x, unsigned mask);
/* The shape of a reduction of x. */
void cr__reduced_shape(const cr_array *x, const cr__axes *axes, cr_dtype dtype, cr_array *out);
/* A reduction's result or cotangent over the shape of x. */
cr_var cr__spread(cr_var g, cr_var x, const cr__axes *axes);
/* x with the axes made one, the last; and back to the shape of like. */
cr_var cr__axes_last(cr_var x, unsigned mask);
cr_var cr__axes_back(cr_var x, cr_var like, unsigned mask);

/* A tensor seen as rows: one for every position along the axes that stay, running over the axes that are taken together. */
typedef struct cr__rows_view {
  cr_array kept, row;
  char *data;
} cr__rows_view;

cr__rows_view cr__rows_of(const cr_array *x, unsigned mask);
/* Row k, as a view, as copied numbers, and written back. */
cr_array cr__row_at(const cr__rows_view *v, int64_t k);
void cr__row_get(const cr__rows_view *v, int64_t k, double *row);
void cr__row_put(const cr__rows_view *v, int64_t k, const double *row);

/* Calls body for each of the rows, in threads for many; its buffer holds size doubles and may be used until it returns. */
cr_status cr__each_row(cr_eval *c, int64_t rows, int64_t size, void (*body)(void *context, int64_t k, double *buffer),
                       void *context);

/* The sum of n numbers over a fixed tree: its error grows as log n and it depends on nothing but the numbers. */
double cr__sum_of(const double *x, int64_t n);

/* Along an axis: x moved to the next position (reverse: the previous), zero where it came from; and x, of size 1 along it,
 * at the first of n positions (reverse: the last), zeros elsewhere. */
cr_var cr__shift(cr_var x, int axis, int reverse);
cr_var cr__at_edge(cr_var x, int axis, int64_t n, int reverse);

/* Operands of reductions: integers become float64. */
cr_status cr__prepare_float(cr_tape *t, int n, cr_var *in);
/* The rules of what has no derivative. */
void cr__no_vjp(cr_vjp_rule *c);
cr_var cr__no_jvp(cr_jvp_rule *c);
/* depend: on whole rows; the attribute begins with the mask of the axes taken together. */
void cr__rows_depend(cr_depend *c);
/* infer: the shape and dtype of operand 0. */
cr_status cr__same_shape(cr_infer *c);

#endif
