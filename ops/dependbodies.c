/* What the results of nodes with bodies depend on: their bodies, run with sets of elements in place of numbers. */
#include <string.h>

#include "emitbodies.h"
#include "loops.h"

/* Inputs are operands from first on; the results lie one after the other. */
static void run_once(cr_depend *c, const cr_body *b, int first, cr_depend_part *in, int64_t *out) {
  int64_t at = 0;
  for (int k = 0; k < cr_body_inputs(b); k++) in[k] = (cr_depend_part){first + k, 0};
  for (int k = 0; k < cr_body_outputs(b); k++) {
    out[k] = at;
    at += cr_body_output(b, k).count;
  }
  cr_depend_body(c, b, in, out);
}

enum { MOST_PARTS = 256 };

void cr__depend_branches(cr_depend *c) {
  const cr__branches *b = c->attr;
  cr_depend_part in[MOST_PARTS];
  int64_t out[MOST_PARTS];
  int first = b->body[1] != NULL;
  if (c->n > MOST_PARTS || cr_body_outputs(b->body[0]) > MOST_PARTS) {
    cr_depend_all(c);
    return;
  }
  for (int k = 0; k < 1 + first; k++) run_once(c, b->body[k], first, in, out);
}

/* Every step, whatever the count, which may be another. */
static void run_step(cr_depend *c, int64_t i, bool begins, cr_depend_part *in, int64_t *out) {
  const cr__scan *l = c->attr;
  int m = cr_body_outputs(l->body), stacks = l->n_carry + l->n_ys;
  int64_t at = 0, before = l->reverse ? i + 1 : i - 1;
  for (int k = 0; k < cr_body_inputs(l->body); k++) {
    bool moves = k >= l->n_carry && k < l->n_carry + l->n_xs;
    in[k] = (cr_depend_part){k, moves ? i * cr_body_input(l->body, k).count : 0};
  }
  for (int k = 0; k < m; k++) {
    int64_t n = cr_body_output(l->body, k).count;
    out[k] = at + (k < stacks ? i * n : 0);
    if (k < l->n_carry && !begins) in[k] = (cr_depend_part){-1, at + before * n};
    at += k < stacks ? l->steps * n : n;
  }
  cr_depend_body(c, l->body, in, out);
}

void cr__depend_scan(cr_depend *c) {
  const cr__scan *l = c->attr;
  cr_depend_part in[MOST_PARTS];
  int64_t out[MOST_PARTS];
  if (c->n > MOST_PARTS || cr_body_outputs(l->body) > MOST_PARTS) {
    cr_depend_all(c);
    return;
  }
  for (int64_t s = 0; s < l->steps; s++) {
    int64_t i = l->reverse ? l->steps - 1 - s : s;
    if (s) run_step(c, i, false, in, out);
    if (!s || (l->reverse && l->counted)) run_step(c, i, true, in, out); /* by the count, any may be the first */
  }
}

/* What f depends on through its constants, for all unknowns: they may be coupled. */
void cr__depend_root(cr_depend *c) {
  const cr__root *r = c->attr;
  cr_depend_part in[MOST_PARTS];
  int64_t out[1] = {0}, n = c->out->count;
  if (c->n > MOST_PARTS) {
    cr_depend_all(c);
    return;
  }
  for (int k = 0; k < c->n; k++) in[k] = (cr_depend_part){k ? k : -2, 0};
  cr_depend_body(c, r->f, in, out);
  for (int64_t k = 1; k < n; k++) cr_depend_as(c, 0, k);
  for (int64_t k = 1; k < n; k++) cr_depend_as(c, k, 0);
}
