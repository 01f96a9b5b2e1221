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
  {"a + b", "sum rule"}, {"a - b", "sum rule"}, {"a * b", "product rule"}, {"a / b", "quotient rule"}, {"a @ b", "matrix product"},
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
  else if (!op->row && op->kind == CR_LINEAR) n->rule = "linear";
  else n->rule = pool_text(&t->pool, inner ? "chain rule" : "derivative of %s", op->name);
}

/* Local derivatives */

/* The table writes some derivatives so that they keep their digits; here is the form that is taught. Both are the same
 * function of a, and explain_test.c compares them. */
static const struct {
  const char *table, *taught;
} forms[] = {
  {"sigmoid(a) * sigmoid(-a)", "y * (1 - y)"},
  {"4 * sigmoid(2 * a) * sigmoid(-2 * a)", "1 - y^2"},
  {"0.6931471805599453 * y", "log(2) * y"},
  {"1.4426950408889634 / a", "1 / (a * log(2))"},
  {"0.4342944819032518 / a", "1 / (a * log(10))"},
  {"1 / sqrt((1 - a) * (1 + a))", "1 / sqrt(1 - a^2)"},
  {"-1 / sqrt((1 - a) * (1 + a))", "-1 / sqrt(1 - a^2)"},
  {"1 / hypot(1, a)", "1 / sqrt(1 + a^2)"},
  {"1 / (sqrt(a - 1) * sqrt(a + 1))", "1 / sqrt(a^2 - 1)"},
  {"1 / ((1 - a) * (1 + a))", "1 / (1 - a^2)"},
  {"sigmoid(a) * (1 + a * sigmoid(-a))", "sigmoid(a) * (1 + a * (1 - sigmoid(a)))"},
  {"1.1283791670955126 * gauss(a)", "2 / sqrt(pi) * exp(-a^2)"},
  {"-1.1283791670955126 * gauss(a)", "-2 / sqrt(pi) * exp(-a^2)"},
};

/* Conditions on constants are decided: with b = 2, "b == 0 ? 0 : b * pow(a, b - 1)" is 2*a. */
tree trace_partial(trace *t, const trace_node *user, int k) {
  const cr_row *row = cr_op_of(user->var)->row;
  const char *text = row ? row->partial_text[k] : NULL;
  if (!text) return NULL;
  for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
    if (!strcmp(text, forms[i].table)) text = forms[i].taught;
  tree_binding with[3] = {{"a", NULL}, {"b", NULL}, {"y", NULL}};
  for (int i = 0; i < user->n_in && i < 2; i++) with[i].value = trace_reference(t, user, i);
  with[2].value = user->named ? tree_name(&t->pool, user->name) : user->formula;
  return tree_simplify(&t->pool, tree_replace(&t->pool, tree_parse(&t->pool, t->tape, text), 3, with));
}

/* Matrices and indices */

static const char letters[] = "ijklmnpq";

/* "_ij" for two axes from the first letter on. */
static const char *indices(trace *t, const trace_numbers *x, int from) {
  return x->rank ? pool_text(&t->pool, "_%.*s", x->rank < 8 - from ? x->rank : 8 - from, letters + from) : "";
}

static const char *shape(trace *t, const trace_numbers *x) {
  char text[200];
  return pool_text(&t->pool, "%s", trace_shape(x, text, sizeof text));
}

/* Y = A B: dA = dY B^T, dB = A^T dY. */
static void matrix_product(trace *t, trace_term *term) {
  const trace_node *user = &t->node[term->user], *to = &t->node[term->to];
  const char *y = t->node[t->n_nodes - 1].name;
  cr_var other = cr_operand(user->var, 1 - term->operand);
  bool flat = cr_rank(other) == 2 && to->value.rank == 2 && user->value.rank == 2;
  if (!flat) return;
  const char *name = user->in[1 - term->operand] >= 0 ? t->node[user->in[1 - term->operand]].name : "C";
  trace_numbers o = {.rank = 2, .dim = {cr_dim(other, 0), cr_dim(other, 1)}};
  trace_numbers turned = {.rank = 2, .dim = {o.dim[1], o.dim[0]}};
  if (term->operand == 0) {
    term->matrix = pool_text(&t->pool, "d%s/d%s = d%s/d%s %s^T   %s = %s %s", y, to->name, y, user->name, name, shape(t, &to->value),
                             shape(t, &user->value), shape(t, &turned));
    term->index = pool_text(&t->pool, "d%s/d%s_ij = sum over k of d%s/d%s_ik %s_jk", y, to->name, y, user->name, name);
  } else {
    term->matrix = pool_text(&t->pool, "d%s/d%s = %s^T d%s/d%s   %s = %s %s", y, to->name, name, y, user->name, shape(t, &to->value),
                             shape(t, &turned), shape(t, &user->value));
    term->index = pool_text(&t->pool, "d%s/d%s_ij = sum over k of %s_ki d%s/d%s_kj", y, to->name, name, y, user->name);
  }
}

/* A value that was spread over new or longer axes collects what comes back from all its copies. */
static void broadcast(trace *t, trace_term *term) {
  const trace_node *user = &t->node[term->user], *to = &t->node[term->to];
  const char *y = t->node[t->n_nodes - 1].name;
  int lead = user->value.rank - to->value.rank;
  char summed[16] = "", kept[16] = "";
  for (int i = 0; i < user->value.rank && i < 8; i++) {
    bool spread = i < lead || to->value.dim[i - lead] != user->value.dim[i];
    strncat(spread ? summed : kept, &letters[i], 1);
  }
  const char *own = kept[0] ? pool_text(&t->pool, "_%s", kept) : "";
  term->matrix = pool_text(&t->pool, "d%s/d%s = d%s/d%s summed over what the broadcast repeated   %s from %s", y, to->name, y,
                           user->name, shape(t, &to->value), shape(t, &user->value));
  term->index = pool_text(&t->pool, "d%s/d%s%s = sum over %s of d%s/d%s%s", y, to->name, own, summed[0] ? summed : "nothing", y, user->name,
                          indices(t, &user->value, 0));
}

/* A sum's every summand counts once: what comes back is spread over all of them. */
static void spread(trace *t, trace_term *term) {
  const trace_node *user = &t->node[term->user], *to = &t->node[term->to];
  const char *y = t->node[t->n_nodes - 1].name;
  term->matrix = pool_text(&t->pool, "d%s/d%s = d%s/d%s, the same for every summand   %s from %s", y, to->name, y, user->name,
                           shape(t, &to->value), shape(t, &user->value));
  if (!user->value.rank)
    term->index = pool_text(&t->pool, "d%s/d%s%s = d%s/d%s", y, to->name, indices(t, &to->value, 0), y, user->name);
}

static void transpose(trace *t, trace_term *term) {
  const trace_node *user = &t->node[term->user], *to = &t->node[term->to];
  const char *y = t->node[t->n_nodes - 1].name;
  if (to->value.rank != 2) return;
  term->matrix = pool_text(&t->pool, "d%s/d%s = (d%s/d%s)^T   %s from %s", y, to->name, y, user->name, shape(t, &to->value),
                           shape(t, &user->value));
  term->index = pool_text(&t->pool, "d%s/d%s_ij = d%s/d%s_ji", y, to->name, y, user->name);
}

static const struct {
  const char *op;
  void (*write)(trace *t, trace_term *term);
} matrix_rules[] = {{"matmul", matrix_product}, {"broadcast_to", broadcast}, {"sum", spread}, {"permute", transpose}};

void trace_matrix_rule(trace *t, trace_term *term) {
  for (size_t i = 0; i < sizeof matrix_rules / sizeof *matrix_rules; i++)
    if (!strcmp(matrix_rules[i].op, t->node[term->user].op)) matrix_rules[i].write(t, term);
}
