/* What the ops that hold bodies (body.h) share: all results of a body in one node. One result is the node's own; several lie
 * one after the other in a vector. */
#ifndef CR_BODIES_H
#define CR_BODIES_H

#include <stdbool.h>

#include "body.h"
#include "ops.h"

/* checkpoint: its inputs, one body. cond: a condition, then the inputs of both. */
typedef struct cr__branches {
  cr_body *body[2];
} cr__branches;

/* f takes (x, constants..), slope those and a tangent of x. */
typedef struct cr__root {
  cr_body *f, *slope;
} cr__root;
extern const cr_op cr__checkpoint_op, cr__cond_op, cr__root_op;
extern const cr_field cr__branches_fields[], cr__scan_fields[], cr__root_fields[];
int cr__check_branches(const cr_infer *c);
int cr__check_root(const cr_infer *c);

enum { CR__MOST_ITERATIONS = 100, CR__MOST_HALVINGS = 30 };

/* What an op over bodies is, in a file that has these functions. */
#define CR__OVER_BODIES(type)                                                                                          \
  .arity = CR_VARIADIC, .attr_size = sizeof(type), .infer = infer, .eval = eval, .vjp = vjp, .jvp = jvp, .show = show, \
  .hold = hold, .release = release, .widen = widen

/* The array at the leading size lead (0: none): its shape, data NULL. */
cr_array cr__stacked(const cr_array *a, int64_t lead);
bool cr__like(const cr_array *a, const cr_array *b); /* shape and dtype */
/* Records that operand k of an op does not fit a body's input of that name; false. */
bool cr__fits_body(cr_infer *c, int k, const char *what, const cr_array *need);
void cr__vector_of(cr_array *out, cr_dtype dtype, int64_t count);

/* The part of a flat vector from *at on in this shape; *at moves on. A node of that size is the whole. */
cr_var cr__piece(cr_var flat, int64_t *at, const cr_array *shape);
/* a with the data of x, dense and in a's dtype; data NULL when memory runs out. */
cr_array cr__bound(cr_eval *c, cr_array a, const cr_array *x);
static inline bool cr__is_float(const cr_array *a) { return a->dtype >= CR_FLOAT32; }

/* One node that runs a body (branches.c), or a body for each element of the first n_xs inputs (loops.c), whose results get a
 * leading axis. False on failure. */
bool cr__run_body(cr_tape *t, cr_body *b, const cr_var *in, cr_var *out);
bool cr__run_each(cr_tape *t, cr_body *b, int64_t steps, int n_xs, const cr_var *in, cr_var *out);

#endif
