/* The rules of differentiation: which one an op calls for, its local derivatives as textbooks write them, and for tensors
 * the same in matrices and with indices. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "trace.h"

/* Which rule */

static const struct {
  const char *infix, *rule;
} by_infix[] = {
    {"a + b", "sum rule"},      {"a - b", "sum rule"},       {"a * b", "product rule"},
    {"a / b", "quotient rule"}, {"a @ b", "matrix product"},
};

static const char *of_power(const trace *t, const trace_node *n) {
  bool base = n->in[0] >= 0 && t->node[n->in[0]].active, exponent = n->in[1] >= 0 && t->node[n->in[1]].active;
  return !exponent ? "power rule" : !base ? "exponential rule" : "power rule, exponential rule";
}

static bool moves(const trace *t, const trace_node *n, int k) { return n->in[k] >= 0 && t->node[n->in[k]].active; }

/* Of a product or quotient one side of which stands still, just the factor remains. */
static const char *of_pair(const trace *t, const trace_node *n, const char *rule) {
  if (!strcmp(rule, "sum rule") || (moves(t, n, 0) && moves(t, n, 1))) return rule;
  if (!strcmp(rule, "matrix product")) return rule;
  return !strcmp(rule, "quotient rule") && moves(t, n, 1) ? "power rule" : "constant factor";
}

void trace_rules(trace *t, trace_node *n) {
  const cr_op *op = cr_op_of(n->var);
  const char *value = op->row && op->row->value_text ? op->row->value_text : "";
  bool inner = n->n_in && n->in[0] >= 0 && t->node[n->in[0]].kind == TRACE_OPERATION && moves(t, n, 0);
  n->rule = NULL;
  for (size_t i = 0; op->infix && n->n_in == 2 && i < sizeof by_infix / sizeof *by_infix; i++)
    if (!strcmp(op->infix, by_infix[i].infix)) n->rule = of_pair(t, n, by_infix[i].rule);
  if (!n->active) n->rule = "constant";
  else if (n->rule) return;
  else if (op->infix && !strcmp(op->infix, "a ^ b")) n->rule = of_power(t, n);
  else if (!strcmp(value, "a * a") || !strcmp(value, "1 / a")) n->rule = "power rule";
  else if (!strcmp(value, "-a")) n->rule = "constant factor";
  else if (op->kind == CR_PIECEWISE_CONSTANT) n->rule = "no derivative";
  else if (!strcmp(op->name, "sum")) n->rule = "sum rule";
  else if (!strcmp(op->name, "broadcast_to")) n->rule = "broadcast";
  else if (!op->row && op->kind == CR_LINEAR) n->rule = "linear";
  else n->rule = pool_text(&t->pool, inner ? "chain rule" : "derivative of %s", op->name);
}

/* Local derivatives */

/* The table writes some derivatives so that they keep their digits; here is the form that is taught, over operands a, b and
 * result y. Both are the same function of a, and explain_test.c compares them. */
static const trace_form forms[] = {
    {"sigmoid", "y * (1 - y)"},
    {"tanh", "1 - y^2"},
    {"silu", "sigmoid(a) * (1 + a * (1 - sigmoid(a)))"},
    {"exp2", "log(2) * y"},
    {"log2", "1 / (a * log(2))"},
    {"log10", "1 / (a * log(10))"},
    {"asin", "1 / sqrt(1 - a^2)"},
    {"acos", "-1 / sqrt(1 - a^2)"},
    {"asinh", "1 / sqrt(1 + a^2)"},
    {"acosh", "1 / sqrt(a^2 - 1)"},
    {"atanh", "1 / (1 - a^2)"},
    {"erf", "2 / sqrt(pi) * exp(-a^2)"},
    {"erfc", "-2 / sqrt(pi) * exp(-a^2)"},
    {NULL, NULL},
};
const trace_form *trace_forms(void) { return forms; }

/* Conditions on constants are decided: with b = 2, "b == 0 ? 0 : b * pow(a, b - 1)" is 2*a. */
tree trace_partial(trace *t, const trace_node *user, int k) {
  const cr_row *row = cr_op_of(user->var)->row;
  const char *text = row ? row->partial_text[k] : NULL;
  if (!text) return NULL;
  for (const trace_form *f = forms; f->op; f++)
    if (!strcmp(user->op, f->op)) text = f->taught;
  tree_binding with[3] = {{"a", NULL}, {"b", NULL}, {"y", NULL}};
  for (int i = 0; i < user->n_in && i < 2; i++) with[i].value = trace_reference(t, user, i);
  with[2].value = user->named ? tree_name(&t->pool, user->name) : user->formula;
  return tree_simplify(&t->pool, tree_replace(&t->pool, tree_parse(&t->pool, t->tape, text), 3, with));
}

/* Without what only moves numbers about: sum(v, dim=(0, 1)) of all axes is sum(v), permute(A, (1, 0)) is A.T. */
tree trace_plain(trace *t, const trace_node *n, tree s) {
  if (s->kind != CR_CALL || !s->first) return s;
  if (!strcmp(n->op, "sum") && !n->value.rank) return tree_call(&t->pool, s->text, s->first);
  if (!strcmp(n->op, "permute") && n->value.rank == 2) return tree_transpose(&t->pool, s->first);
  return s;
}

/* Matrices and indices */

static const char letters[] = "ijklmnpq";

static const char *indices(trace *t, int rank) { return pool_text(&t->pool, "%.*s", rank < 8 ? rank : 8, letters); }
static tree adjoint(trace *t) { return tree_name(&t->pool, TRACE_ADJOINT); }

static const char *shape(trace *t, const trace_numbers *x) {
  char text[200];
  return pool_text(&t->pool, "%s", trace_shape(x, text, sizeof text));
}

static trace_index *index_form(trace *t, trace_term *term, const char *left, const char *over) {
  trace_index *x = pool_take(&t->pool, sizeof *x);
  *x = (trace_index){.left = left, .over = over};
  term->index = x;
  return x;
}

static void index_factor(trace_index *x, const char *name, const char *at) {
  x->factor[x->n].name = name;
  x->factor[x->n++].at = at;
}

/* Y = A B: dA = dY B^T, dB = A^T dY. */
static void matrix_product(trace *t, trace_term *term) {
  const trace_node *user = &t->node[term->user], *to = &t->node[term->to];
  cr_var other = cr_operand(user->var, 1 - term->operand);
  if (cr_rank(other) != 2 || to->value.rank != 2 || user->value.rank != 2) return;
  tree factor = trace_reference(t, user, 1 - term->operand), turned = tree_transpose(&t->pool, factor);
  const char *name = factor->kind == CR_NAME ? factor->text : "C";
  trace_numbers back = {.rank = 2, .dim = {cr_dim(other, 1), cr_dim(other, 0)}};
  const char *left = shape(t, &user->value), *right = shape(t, &back), *result = shape(t, &to->value);
  trace_index *x = index_form(t, term, "ij", "k");
  if (term->operand == 0) {
    term->pulled = tree_binary(&t->pool, "@", adjoint(t), turned);
    term->shapes = pool_text(&t->pool, "%s = %s %s", result, left, right);
    index_factor(x, NULL, "ik");
    index_factor(x, name, "jk");
  } else {
    term->pulled = tree_binary(&t->pool, "@", turned, adjoint(t));
    term->shapes = pool_text(&t->pool, "%s = %s %s", result, right, left);
    index_factor(x, name, "ki");
    index_factor(x, NULL, "kj");
  }
}

/* A value that was spread over new or longer axes collects what comes back from all its copies. */
static void broadcast(trace *t, trace_term *term) {
  const trace_node *user = &t->node[term->user], *to = &t->node[term->to];
  int lead = user->value.rank - to->value.rank, n = 0;
  char *summed = pool_take(&t->pool, 16), *kept = pool_take(&t->pool, 16);
  tree axes = NULL;
  for (int i = 0; i < user->value.rank && i < 8; i++) {
    bool spread = i < lead || to->value.dim[i - lead] != user->value.dim[i];
    (spread ? summed : kept)[strlen(spread ? summed : kept)] = letters[i];
    if (spread && i >= lead) return;
    if (spread) axes = tree_number(&t->pool, i), n++;
  }
  index_factor(index_form(t, term, kept, summed), NULL, indices(t, user->value.rank));
  term->shapes = pool_text(&t->pool, "%s from %s", shape(t, &to->value), shape(t, &user->value));
  if (n == user->value.rank) term->pulled = tree_call(&t->pool, "sum", adjoint(t));
  else if (n == 1) term->pulled = tree_call_with(&t->pool, "sum", adjoint(t), "dim", axes);
}

/* A sum's every summand counts once: what comes back is spread over all of them. */
static void spread(trace *t, trace_term *term) {
  const trace_node *user = &t->node[term->user], *to = &t->node[term->to];
  if (user->value.rank) return;
  term->pulled = adjoint(t);
  term->shapes = pool_text(&t->pool, "%s from %s", shape(t, &to->value), shape(t, &user->value));
  index_factor(index_form(t, term, indices(t, to->value.rank), ""), NULL, "");
}

static void transpose(trace *t, trace_term *term) {
  const trace_node *user = &t->node[term->user], *to = &t->node[term->to];
  if (to->value.rank != 2) return;
  term->pulled = tree_transpose(&t->pool, adjoint(t));
  term->shapes = pool_text(&t->pool, "%s from %s", shape(t, &to->value), shape(t, &user->value));
  index_factor(index_form(t, term, "ij", ""), NULL, "ji");
}

static const struct {
  const char *op;
  void (*write)(trace *t, trace_term *term);
} matrix_rules[] = {{"matmul", matrix_product}, {"broadcast_to", broadcast}, {"sum", spread}, {"permute", transpose}};

void trace_matrix_rule(trace *t, trace_term *term) {
  for (size_t i = 0; i < sizeof matrix_rules / sizeof *matrix_rules; i++)
    if (!strcmp(matrix_rules[i].op, t->node[term->user].op)) matrix_rules[i].write(t, term);
}

/* Terms with an adjoint put in */

void put_with_adjoint(cr_buffer *b, tree s, void (*put)(cr_buffer *, tree), const char *with) {
  jmp_buf out_of_memory;
  pool p = {.out_of_memory = &out_of_memory};
  cr_buffer mark = {.tape = b->tape}, all = {.tape = b->tape};
  if (setjmp(out_of_memory)) b->failed = 1;
  else {
    put(&mark, tree_name(&p, TRACE_ADJOINT));
    put(&all, s);
    if (mark.failed || all.failed || !mark.text || !all.text) b->failed = 1;
    for (const char *c = all.text; !b->failed && *c;) {
      bool here = !strncmp(c, mark.text, mark.length);
      cr_put(b, here ? "%s" : "%.1s", here ? with : c);
      c += here ? mark.length : 1;
    }
  }
  cr_buffer_free(&mark);
  cr_buffer_free(&all);
  pool_free(&p);
}
