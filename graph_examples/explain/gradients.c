/* Gradients as formulas, and the paths from an input to y with their products. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "trace.h"

enum { MOST_FORMULA = 240, MOST_PATHS = 8, MOST_STEPS = 64 };

/* The local derivative with everything unfolded that the user did not name. */
static tree unfolded(trace *t, const trace_node *user, tree local) {
  tree_binding *with = pool_take(&t->pool, (size_t)(user->n_in + 2) * sizeof *with);
  int n = 0;
  for (int k = -1; k < user->n_in; k++) {
    const trace_node *in = k < 0 ? user : user->in[k] < 0 ? NULL : &t->node[user->in[k]];
    if (in && !in->named && in->whole) with[n++] = (tree_binding){in->name, in->whole};
  }
  return tree_replace(&t->pool, local, n, with);
}

/* Does the formula stand for one number? Matrix rules need their operands in full. */
static bool is_scalar(const trace *t, tree s) {
  for (int i = 0; i < t->n_nodes; i++)
    if (t->node[i].value.rank && tree_mentions(s, t->node[i].name)) return false;
  return true;
}

/* One term with the formula of the user's adjoint put in; NULL when that cannot be written down. */
static tree chain_term(trace *t, const trace_term *term, tree above) {
  if (!above || !term->pulled) return NULL;
  if (term->shapes && t->node[term->user].value.rank && is_scalar(t, above)) return NULL;
  tree pulled = unfolded(t, &t->node[term->user], term->pulled);
  return tree_replace(&t->pool, pulled, 1, &(tree_binding){TRACE_ADJOINT, above});
}

/* d y / d node for every node, from y down: sums over uses of the user's formula times the local derivative. The formula of
 * a node is NULL when a rule has no symbols or it grows beyond what one can read. */
static void chain_formulas(trace *t, tree *formula) {
  int last = t->n_nodes - 1;
  formula[last] = tree_number(&t->pool, 1);
  for (int i = last - 1; i >= 0; i--) {
    const trace_node *n = &t->node[i];
    tree sum = NULL;
    if (!n->active) continue;
    for (int k = 0; k < n->n_terms; k++) {
      tree product = chain_term(t, &n->term[k], formula[n->term[k].user]);
      if (!product || tree_size(product) > 4 * MOST_FORMULA) {
        sum = NULL;
        break;
      }
      sum = sum ? tree_binary(&t->pool, "+", sum, product) : product;
    }
    if (sum) formula[i] = tree_simplify(&t->pool, sum);
    if (formula[i] && tree_size(formula[i]) > MOST_FORMULA) formula[i] = NULL;
  }
}

/* For tensors, the symbolic gradient that the engine records, read back. */
static void recorded_formulas(trace *t) {
  cr_mark mark = cr_mark_here(t->tape);
  cr_var *x = pool_take(&t->pool, (size_t)(t->n_inputs + 1) * sizeof *x),
         *g = pool_take(&t->pool, (size_t)(t->n_inputs + 1) * sizeof *g);
  int n = 0;
  for (int k = 0; k < t->n_inputs; k++)
    if (t->input[k].node >= 0) x[n++] = t->node[t->input[k].node].var;
  if (cr_grad(t->node[t->n_nodes - 1].var, n, x, g) == CR_OK)
    for (int k = 0, j = 0; k < t->n_inputs; k++) {
      if (t->input[k].node < 0) continue;
      cr_buffer b = {.tape = t->tape};
      cr_print_infix(&b, g[j++], 0);
      if (!t->input[k].gradient && b.text && !b.failed && b.length < 4 * MOST_FORMULA) {
        tree s = tree_simplify(&t->pool, tree_products(&t->pool, tree_parse(&t->pool, t->tape, b.text)));
        if (tree_size(s) <= MOST_FORMULA / 2) t->input[k].gradient = s;
      }
      cr_buffer_free(&b);
    }
  cr_clear_error(t->tape);
  cr_reset(t->tape, mark);
}

/* Paths */

typedef struct walk {
  trace *t;
  trace_input *input;
  trace_path *path;
  int n, node[MOST_STEPS];
  double slope[MOST_STEPS];
} walk;

static void keep_path(walk *w) {
  trace *t = w->t;
  trace_path *p = &w->path[w->input->n_listed++];
  p->n = w->n;
  p->node = pool_take(&t->pool, (size_t)w->n * sizeof *p->node);
  double *slope = pool_take(&t->pool, (size_t)w->n * sizeof *slope);
  p->product = 1;
  for (int i = 0; i < w->n; i++) {
    p->node[i] = w->node[i];
    if (i) slope[i - 1] = w->slope[i];
  }
  for (int i = w->n - 2; i >= 0; i--) p->product = trace_by_hand(t, p->product * slope[i]);
  p->slope = slope;
}

static void follow(walk *w, int i) {
  const trace_node *n = &w->t->node[i];
  if (w->n == MOST_STEPS) return;
  w->node[w->n++] = i;
  if (i == w->t->n_nodes - 1) keep_path(w);
  for (int k = n->n_terms - 1; k >= 0; k--) {
    w->slope[w->n] = n->term[k].slope.data[0];
    follow(w, n->term[k].user);
  }
  w->n--;
}

/* How many paths lead from each node to y, and how long the longest is; -1 paths where a slope is not one number. */
static void list_paths(trace *t) {
  double *count = pool_take(&t->pool, (size_t)t->n_nodes * sizeof *count);
  int *longest = pool_take(&t->pool, (size_t)t->n_nodes * sizeof *longest);
  for (int i = t->n_nodes - 1; i >= 0; i--) {
    const trace_node *n = &t->node[i];
    count[i] = i == t->n_nodes - 1 && trace_is_scalar(&n->value);
    for (int k = 0; k < n->n_terms; k++) {
      const trace_term *term = &n->term[k];
      bool one = term->slope.data && trace_is_scalar(&term->slope) && count[term->user] >= 0 && count[i] >= 0;
      count[i] = one ? count[i] + count[term->user] : -1;
      if (longest[term->user] + 1 > longest[i]) longest[i] = longest[term->user] + 1;
    }
  }
  for (int k = 0; k < t->n_inputs; k++) {
    trace_input *in = &t->input[k];
    if (in->node < 0) continue;
    in->n_paths = count[in->node];
    if (in->n_paths < 1 || in->n_paths > MOST_PATHS || longest[in->node] >= MOST_STEPS) continue;
    walk w = {.t = t, .input = in, .path = pool_take(&t->pool, (MOST_PATHS + 1) * sizeof(trace_path))};
    follow(&w, in->node);
    in->path = w.path;
  }
}

void trace_gradients(trace *t) {
  tree *formula = pool_take(&t->pool, (size_t)t->n_nodes * sizeof *formula);
  bool missing = false;
  chain_formulas(t, formula);
  for (int k = 0; k < t->n_inputs; k++) {
    trace_input *in = &t->input[k];
    in->gradient = in->node < 0 ? tree_number(&t->pool, 0) : formula[in->node];
    missing |= !in->gradient;
  }
  if (missing) recorded_formulas(t);
  list_paths(t);
}
