/* From a tape to a trace: which nodes matter, what they are called, their values, adjoints and what they pass back. */
#include "trace.h"

#include <check.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE = 40, MOST_WHOLE = 160, FEW_CONSTANTS = 12 };

/* What trace_make works with until the trace is done. */
typedef struct builder {
  trace *t;
  cr_tape *tape;
  cr_var y;
  int n;
  const cr_var *x;
  cr_sweep *sweep;
  int *index; /* by id: the node's place in the trace, or -1 */
  int next_number;
} builder;

static bool is_float(cr_var v) { return cr_dtype_of(v) >= CR_FLOAT32; }

/* Numbers */

static trace_numbers numbers(builder *b, cr_var v) {
  trace_numbers x = {.rank = cr_rank(v), .count = cr_count(v)};
  for (int i = 0; i < x.rank; i++) x.dim[i] = cr_dim(v, i);
  double *data = pool_take(&b->t->pool, (size_t)x.count * sizeof *data);
  if (cr_read(v, data, x.count) == CR_OK) x.data = data;
  return x;
}

static trace_numbers adjoint_of(builder *b, cr_sweep *s, cr_var v) {
  trace_numbers x = numbers(b, v);
  double *data = pool_take(&b->t->pool, (size_t)x.count * sizeof *data);
  x.data = cr_adjoint_read(s, v, data, x.count) == CR_OK ? data : NULL;
  return x;
}

/* Selection */

/* A constant that formulas write as a number, also when it was spread over a shape. */
static bool is_inline(cr_var v) {
  while (cr_op_of(v) && !strcmp(cr_op_of(v)->name, "broadcast_to") && !cr_name_of(v)) {
    v = cr_operand(v, 0);
    if (cr_count(v) != 1) return false;
  }
  return cr_is_const(v) && !cr_name_of(v) && cr_count(v) <= FEW_CONSTANTS;
}

static bool is_wanted(const builder *b, cr_var v) {
  for (int k = 0; k < b->n; k++)
    if (b->x[k].id == v.id) return true;
  return false;
}

static void select_nodes(builder *b) {
  trace *t = b->t;
  uint32_t count = b->y.id + 1;
  char *needed = pool_take(&t->pool, count);
  b->index = pool_take(&t->pool, count * sizeof *b->index);
  needed[b->y.id] = 1;
  int n = 0;
  for (uint32_t id = b->y.id; id >= 1; id--) {
    b->index[id] = -1;
    if (!needed[id]) continue;
    cr_var v = cr_node_at(b->tape, id);
    if (id != b->y.id && is_inline(v)) continue;
    bool cut = is_wanted(b, v); /* an intermediate that is asked for is a leaf of this story */
    for (int k = 0; !cut && k < cr_operand_count(v); k++) needed[cr_operand(v, k).id] = 1;
    n++;
  }
  t->node = pool_take(&t->pool, (size_t)n * sizeof *t->node);
  for (uint32_t id = 1; id < count; id++) {
    cr_var v = cr_node_at(b->tape, id);
    if (!needed[id] || (id != b->y.id && is_inline(v))) continue;
    b->index[id] = t->n_nodes;
    trace_node *node = &t->node[t->n_nodes++];
    const cr_op *op = cr_op_of(v);
    bool leaf = !op || (is_wanted(b, v) && id != b->y.id);
    *node = (trace_node){.var = v, .kind = !leaf ? TRACE_OPERATION : cr_is_const(v) ? TRACE_CONSTANT : TRACE_INPUT};
    node->op = op ? op->name : "";
    node->wanted = is_wanted(b, v);
    node->active = node->wanted;
    node->shown = true;
    node->n_in = leaf ? 0 : cr_operand_count(v);
    node->in = pool_take(&t->pool, (size_t)(node->n_in + 1) * sizeof *node->in);
    for (int k = 0; k < node->n_in; k++) {
      node->in[k] = b->index[cr_operand(v, k).id];
      if (node->in[k] >= 0 && is_float(v)) node->active |= t->node[node->in[k]].active;
    }
    node->value = numbers(b, v);
  }
}

/* Names */

static bool taken(const builder *b, int upto, const char *name) {
  for (int i = 0; i < upto; i++)
    if (b->t->node[i].name && !strcmp(b->t->node[i].name, name)) return true;
  return false;
}

static const char *fresh(builder *b, const char *prefix) {
  const char *name;
  do name = pool_text(&b->t->pool, "%s%d", prefix, ++b->next_number);
  while (!cr_is_poison(cr_find(b->tape, name)));
  return name;
}

static const char *result_name(builder *b) {
  static const char *const likely[] = {"y", "f", "F", "result"};
  for (size_t i = 0; i < sizeof likely / sizeof *likely; i++)
    if (cr_is_poison(cr_find(b->tape, likely[i]))) return likely[i];
  return fresh(b, "result_");
}

/* Several nodes may bear one name, when it was assigned again: the later ones get a number. */
static void name_nodes(builder *b) {
  trace *t = b->t;
  for (int i = 0; i < t->n_nodes; i++) {
    trace_node *n = &t->node[i];
    const char *name = cr_name_of(n->var);
    n->named = name != NULL;
    n->name = name ? pool_text(&t->pool, "%s", name) : i == t->n_nodes - 1 ? result_name(b) : NULL;
    for (int k = 2; name && taken(b, i, n->name); k++) n->name = pool_text(&t->pool, "%s_%d", name, k);
    if (!n->name) n->name = fresh(b, n->kind == TRACE_OPERATION ? "v" : "c");
    if (!name || strcmp(name, n->name)) cr_name(n->var, n->name);
  }
}

/* Formulas */

static tree formula(builder *b, const trace_node *n) {
  cr_buffer text = {.tape = b->tape};
  cr_print_infix(&text, n->var, 1);
  tree s = text.failed || !text.text ? tree_name(&b->t->pool, "...") : tree_parse(&b->t->pool, b->tape, text.text);
  cr_buffer_free(&text);
  return trace_plain(b->t, n, s);
}

/* With the formulas of all that the user did not name in the place of v1, v2, ..., as long as one can read it. */
static tree unfold(builder *b, const trace_node *n) {
  trace *t = b->t;
  int count = 0;
  tree_binding *with = pool_take(&t->pool, (size_t)(n->n_in + 1) * sizeof *with);
  for (int k = 0; k < n->n_in; k++) {
    const trace_node *in = n->in[k] < 0 ? NULL : &t->node[n->in[k]];
    if (in && !in->named && in->whole) with[count++] = (tree_binding){in->name, in->whole};
  }
  bool moves_only = !strcmp(n->op, "broadcast_to") && count + (n->in[0] >= 0) > 0; /* shapes broadcast by themselves */
  tree s = tree_replace(&t->pool, moves_only ? trace_reference(t, n, 0) : n->formula, count, with);
  return tree_size(s) <= MOST_WHOLE ? s : NULL;
}

static double rounded(const trace *t, double x) {
  char text[40];
  return strtod(trace_number(t, x, text), NULL);
}

/* Numbers in the place of the names of scalars; NULL when a name stands for more. */
static tree with_figures(builder *b, const trace_node *n, tree s) {
  trace *t = b->t;
  int count = 0;
  tree_binding *with = pool_take(&t->pool, (size_t)(n->n_in + 1) * sizeof *with);
  for (int k = -1; k < n->n_in; k++) {
    const trace_node *in = k < 0 ? n : n->in[k] < 0 ? NULL : &t->node[n->in[k]];
    if (!in) continue;
    if (!trace_is_scalar(&in->value)) return NULL;
    with[count++] = (tree_binding){in->name, tree_number(&t->pool, rounded(t, in->value.data[0]))};
  }
  return tree_replace(&t->pool, s, count, with);
}

/* A constant with one value, alone or at every element. */
static bool is_uniform(cr_var v, double *value) {
  cr_array a = cr_view(v);
  for (int64_t i = 0; i < a.count; i++)
    if (cr_array_get(&a, i) != cr_array_get(&a, 0)) return false;
  *value = a.count ? cr_array_get(&a, 0) : 0;
  return a.count > 0;
}

tree trace_reference(trace *t, const trace_node *user, int k) {
  double value;
  if (user->in[k] >= 0) return tree_name(&t->pool, t->node[user->in[k]].name);
  if (is_uniform(cr_operand(user->var, k), &value)) return tree_number(&t->pool, value);
  return tree_name(&t->pool, "c");
}

/* The printer shows a spread constant by the name that it gets here: its number. */
static void name_spread_constants(builder *b) {
  char text[40];
  double value;
  for (int i = 0; i < b->t->n_nodes; i++)
    for (int k = 0; k < b->t->node[i].n_in; k++) {
      cr_var v = cr_operand(b->t->node[i].var, k);
      if (b->t->node[i].in[k] >= 0 || !cr_op_of(v) || !is_uniform(v, &value)) continue;
      cr_name(v, pool_text(&b->t->pool, value < 0 ? "(%s)" : "%s", cr_number_text(value, 0, text)));
    }
}

static void write_formulas(builder *b) {
  trace *t = b->t;
  name_nodes(b);
  name_spread_constants(b);
  for (int i = 0; i < t->n_nodes; i++) {
    trace_node *n = &t->node[i];
    if (n->kind != TRACE_OPERATION) continue;
    n->formula = formula(b, n);
    n->whole = unfold(b, n);
    n->figures = with_figures(b, n, n->formula);
    trace_rules(t, n);
  }
}

/* Terms */

/* A local derivative as one works it out by hand: its formula, every step rounded. */
static double slope_by_hand(builder *b, const trace_node *user, tree local) {
  cr_mark mark = cr_mark_here(b->tape);
  cr_program *p = cr_program_new(b->tape, CR_FLOAT64);
  double slope = (double)NAN;
  if (p) {
    for (int k = -1; k < user->n_in; k++) {
      const trace_node *in = k < 0 ? user : user->in[k] < 0 ? NULL : &b->t->node[user->in[k]];
      if (in) cr_program_bind(p, in->name, cr_const(b->tape, in->value.data[0]));
    }
    cr_var v = cr_program_eval(p, local);
    if (!cr_is_poison(v)) slope = cr_value(v);
  }
  cr_reset(b->tape, mark);
  return slope;
}

/* A row's partial, at every element. */
static void row_slope(builder *b, const trace_node *user, trace_term *term) {
  const cr_row *row = cr_op_of(user->var)->row;
  trace_numbers in[2] = {{0}}, slope = user->value, share = user->value;
  for (int k = 0; k < 2; k++) in[k] = numbers(b, cr_operand(user->var, k < user->n_in ? k : 0));
  if (!user->adjoint.data || !in[0].data || in[0].count != slope.count || in[1].count != slope.count) return;
  double *d = pool_take(&b->t->pool, (size_t)slope.count * sizeof *d),
         *c = pool_take(&b->t->pool, (size_t)slope.count * sizeof *c);
  bool hand = b->t->options.decimals && slope.count == 1 && term->local;
  for (int64_t i = 0; i < slope.count; i++) {
    double g = user->adjoint.data[i];
    d[i] = row->partial[term->operand](in[0].data[i], in[1].data[i], user->value.data[i]);
    if (hand) d[i] = slope_by_hand(b, user, term->local);
    d[i] = trace_by_hand(b->t, d[i]);
    c[i] = g == 0 ? 0 : trace_by_hand(b->t, g * d[i]);
  }
  slope.data = d;
  share.data = c;
  term->slope = slope;
  term->share = share;
}

/* Any other op: the engine's own sweep over a copy of this one node, whose operands are leaves of their own. */
static void rule_share(builder *b, const trace_node *user, trace_term *term, int n_uses) {
  if (n_uses == 1) {
    term->share = b->t->node[term->to].adjoint;
    return;
  }
  cr_mark mark = cr_mark_here(b->tape);
  cr_var *leaf = pool_take(&b->t->pool, (size_t)user->n_in * sizeof *leaf);
  for (int k = 0; k < user->n_in; k++) {
    cr_array a = cr_view(cr_operand(user->var, k)), to;
    cr_array_init(&to, (cr_dtype)a.dtype, a.rank, a.dim);
    to.data = pool_take(&b->t->pool, (size_t)a.count * cr_dtype_size((cr_dtype)a.dtype));
    cr_array_copy(&to, &a);
    leaf[k] = cr_tensor_of(b->tape, (cr_dtype)a.dtype, a.rank, a.dim, to.data);
  }
  cr_var again = cr_record_like(user->var, user->n_in, leaf);
  cr_sweep *s = cr_is_poison(again) ? NULL : cr_backward_from(again, cr_adjoint_var(b->sweep, user->var));
  if (s) term->share = adjoint_of(b, s, leaf[term->operand]);
  cr_reset(b->tape, mark);
}

static bool passes_back(const trace *t, const trace_node *user, int k) {
  return user->active && user->kind == TRACE_OPERATION && user->in[k] >= 0 && t->node[user->in[k]].active;
}

static void fill_term(builder *b, trace_term *term, int n_uses) {
  trace *t = b->t;
  const trace_node *user = &t->node[term->user];
  const cr_op *op = cr_op_of(user->var);
  if (!op->row) {
    term->rule = op->rule ? op->rule : "by its own rule";
    rule_share(b, user, term, n_uses);
    trace_matrix_rule(t, term);
    return;
  }
  term->local = trace_partial(t, user, term->operand);
  if (term->local) {
    term->local_figures = with_figures(b, user, term->local);
    term->pulled = tree_binary(&t->pool, "*", tree_name(&t->pool, TRACE_ADJOINT), term->local);
  }
  row_slope(b, user, term);
}

/* In lecture arithmetic the adjoint is the rounded sum of rounded terms, else what the sweep found. */
static void add_up(builder *b, trace_node *n) {
  if (!b->t->options.decimals || n->value.count != 1 || !n->n_terms) return;
  double *sum = pool_take(&b->t->pool, sizeof *sum);
  for (int i = 0; i < n->n_terms; i++) {
    if (!n->term[i].share.data || n->term[i].share.count != 1) return;
    *sum = trace_by_hand(b->t, *sum + n->term[i].share.data[0]);
  }
  n->adjoint.data = sum;
}

/* Edges into each node, those of the latest user first: first[i] to first[i + 1]. */
typedef struct edges {
  int *first;
  trace_term *term;
} edges;

static edges collect_edges(builder *b) {
  trace *t = b->t;
  edges e = {.first = pool_take(&t->pool, (size_t)(t->n_nodes + 2) * sizeof *e.first)};
  for (int u = 0; u < t->n_nodes; u++)
    for (int k = 0; k < t->node[u].n_in; k++)
      if (passes_back(t, &t->node[u], k)) e.first[t->node[u].in[k] + 2]++;
  for (int i = 0; i < t->n_nodes; i++) e.first[i + 2] += e.first[i + 1];
  e.term = pool_take(&t->pool, (size_t)(e.first[t->n_nodes + 1] + 1) * sizeof *e.term);
  for (int u = t->n_nodes - 1; u >= 0; u--) /* first[i + 1] is where the next edge into i goes; in the end, where they end */
    for (int k = 0; k < t->node[u].n_in; k++)
      if (passes_back(t, &t->node[u], k))
        e.term[e.first[t->node[u].in[k] + 1]++] = (trace_term){.user = u, .operand = k, .to = t->node[u].in[k]};
  return e;
}

/* From y down: when a node's turn comes, all its users have passed on what they had. */
static void go_back(builder *b) {
  trace *t = b->t;
  edges e = collect_edges(b);
  for (int i = t->n_nodes - 1; i >= 0; i--) {
    trace_node *n = &t->node[i];
    if (!n->active && i != t->n_nodes - 1) continue;
    n->adjoint = adjoint_of(b, b->sweep, n->var);
    n->n_terms = e.first[i + 1] - e.first[i];
    n->term = e.term + e.first[i];
    for (int k = 0; k < n->n_terms; k++) fill_term(b, &e.term[e.first[i] + k], n->n_terms);
    add_up(b, n);
  }
}

/* Folding */

static void fold_below(trace *t, int depth) {
  int *level = pool_take(&t->pool, (size_t)t->n_nodes * sizeof *level);
  for (int i = 0; i < t->n_nodes; i++) level[i] = i == t->n_nodes - 1 ? 0 : 1 << 30;
  for (int i = t->n_nodes - 1; i >= 0; i--)
    for (int k = 0; k < t->node[i].n_in; k++) {
      int in = t->node[i].in[k];
      if (in >= 0 && level[i] + 1 < level[in]) level[in] = level[i] + 1;
    }
  for (int i = 0; i < t->n_nodes; i++) t->node[i].shown = level[i] <= depth || t->node[i].wanted;
}

static int count_shown(const trace *t) {
  int n = 0;
  for (int i = 0; i < t->n_nodes; i++) n += t->node[i].shown && t->node[i].kind == TRACE_OPERATION;
  return n;
}

/* What lies between the node of that name and y: it depends on the node. */
static bool focus_on(builder *b, const char *name) {
  trace *t = b->t;
  bool found = false;
  for (int i = 0; i < t->n_nodes; i++) {
    trace_node *n = &t->node[i];
    bool here = !strcmp(n->name, name), above = here;
    for (int k = 0; k < n->n_in; k++) above |= n->in[k] >= 0 && t->node[n->in[k]].shown && t->node[n->in[k]].active;
    n->shown = above && n->active;
    found |= here;
  }
  if (!found) cr_fail(b->tape, CR_UNKNOWN_NAME, "%s has no part in the result", name);
  return found;
}

static bool fold(builder *b) {
  trace *t = b->t;
  if (t->options.focus && !focus_on(b, t->options.focus)) return false;
  if (t->options.depth) fold_below(t, t->options.depth);
  for (int depth = 64; !t->options.depth && !t->options.focus && depth > 1 && count_shown(t) > PAGE; depth--)
    fold_below(t, depth);
  for (int i = 0; i < t->n_nodes; i++) t->n_folded += t->node[i].kind == TRACE_OPERATION && !t->node[i].shown;
  return true;
}

/* Check by differences */

static void run_check(builder *b) {
  trace *t = b->t;
  cr_report *r = NULL;
  cr_check_options o = {.struct_size = sizeof o, .order = 1, .directions = -1, .max_coordinates = 12};
  cr_status status = cr_check(b->y, b->n, b->x, &o, &r);
  if ((status != CR_OK && status != CR_MISMATCH) || !r) {
    cr_clear_error(b->tape);
    return;
  }
  if (status == CR_MISMATCH) cr_clear_error(b->tape);
  t->check = pool_take(&t->pool, (size_t)(r->n_entries + 1) * sizeof *t->check);
  for (int k = 0; k < r->n_entries; k++) {
    const cr_check_entry *e = &r->entry[k];
    t->check[t->n_checks++] = (trace_check){.label = pool_text(&t->pool, "%s", e->label),
                                            .analytic = e->analytic,
                                            .numeric = e->numeric,
                                            .error = e->error,
                                            .digits = e->digits,
                                            .left = e->left,
                                            .right = e->right,
                                            .verdict = cr_verdict_text(e->verdict),
                                            .note = pool_text(&t->pool, "%s", e->note)};
  }
}

/* All of it */

static void list_inputs(builder *b) {
  trace *t = b->t;
  t->input = pool_take(&t->pool, (size_t)(b->n + 1) * sizeof *t->input);
  t->n_inputs = b->n;
  for (int k = 0; k < b->n; k++) {
    trace_input *in = &t->input[k];
    const char *name = cr_name_of(b->x[k]);
    in->node = b->x[k].id <= b->y.id ? b->index[b->x[k].id] : -1;
    in->name = in->node >= 0 ? t->node[in->node].name : pool_text(&t->pool, "%s", name ? name : "x");
    in->value = numbers(b, b->x[k]);
    in->adjoint = in->node >= 0 ? t->node[in->node].adjoint : adjoint_of(b, b->sweep, b->x[k]);
  }
}

static bool build(builder *b) {
  trace *t = b->t;
  jmp_buf out_of_memory;
  t->pool.out_of_memory = &out_of_memory;
  if (setjmp(out_of_memory)) {
    cr_fail(b->tape, CR_NO_MEMORY, "out of memory");
    return false;
  }
  b->sweep = cr_backward(b->y);
  if (!b->sweep) return false;
  select_nodes(b);
  write_formulas(b);
  go_back(b);
  list_inputs(b);
  t->partial = t->n_inputs == 1 ? "d" : "\\partial ";
  trace_gradients(t);
  trace_warnings(t);
  if (t->options.check && !t->options.decimals) run_check(b);
  return fold(b);
}

trace *trace_make(cr_var y, int n, const cr_var *x, const trace_options *options) {
  cr_tape *tape = y.tape;
  if (cr_is_poison(y)) return NULL;
  trace *t = calloc(1, sizeof *t);
  if (!t) return NULL;
  t->tape = tape;
  t->options = *options;
  cr_mark mark = cr_mark_here(tape);
  builder b = {.t = t, .tape = tape, .y = y, .n = n, .x = x};
  bool good = build(&b);
  cr_reset(tape, mark);
  t->pool.out_of_memory = NULL;
  if (good && cr_error(tape) == CR_OK) return t;
  trace_free(t);
  return NULL;
}

void trace_free(trace *t) {
  if (!t) return;
  pool_free(&t->pool);
  free(t);
}
