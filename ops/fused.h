/* Fused ops: one kernel for what is otherwise a composition of public ops, which remains their rule for derivatives of
 * higher order, where speed matters less. */
#ifndef CR_FUSED_H
#define CR_FUSED_H

#include "ops.h"

enum { CR__MOST_FUSED = 8 };

/* The op's result from its operands by other ops. */
typedef cr_var cr__composition(int n, const cr_var *in, const void *attr);

void cr__composed_vjp(cr_vjp_rule *c, cr__composition *f);
cr_var cr__composed_jvp(cr_jvp_rule *c, cr__composition *f);
/* For the composition of a pull: the VJP of f at in[0..n-1] by the cotangent in[n] into out, n results. 0 on failure. */
int cr__composed_pull(int n, const cr_var *in, const void *attr, cr__composition *f, cr_var *out);

/* log(sum exp(x)) - x[t] for each row of logits (rows, n > 0) and its class: (rows). */
cr_var cr__class_entropy(cr_var logits, cr_var class);

#endif
