/* What a reader should know about the numbers: saturation, cancellation, kinks, paths that are cut, overflow. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "trace.h"

enum { MOST_WARNINGS = 12 };
static const double FLAT = 1e-3, LOST = 1e-4, HUGE_VALUE = 1e150;

static void warn(trace *t, const char *text) {
  if (t->n_warnings < MOST_WARNINGS) t->warning[t->n_warnings++] = text;
}

static bool is_zero(tree s) { return s && tree_is_number(s, 0); }

/* Elements of a local derivative that let (almost) nothing through although the function is smooth there. */
static int64_t flat_elements(const trace_numbers *slope) {
  int64_t n = 0;
  for (int64_t i = 0; i < slope->count; i++) n += fabs(slope->data[i]) < FLAT;
  return n;
}

/* "a | relu'(0) = 0": is there an expression in front, whose sign is the branch taken? */
static bool decides(const cr_row *row) {
  const char *s = row->decision;
  return s && s[strspn(s, " ")] && s[strspn(s, " ")] != '|';
}

static void look_for_saturation(trace *t, const trace_term *term) {
  const trace_node *user = &t->node[term->user], *to = &t->node[term->to];
  const cr_row *row = cr_op_of(user->var)->row;
  char slope[40], value[40];
  if (!row || decides(row) || user->n_in != 1 || !term->slope.data || is_zero(term->local)) return;
  int64_t n = flat_elements(&term->slope);
  if (!n) return;
  if (term->slope.count == 1)
    warn(t, pool_text(
                &t->pool, "saturation: %s is flat at %s = %s; its derivative there is %s, so hardly anything passes back",
                user->op, to->name, trace_number(t, to->value.data[0], value), trace_number(t, term->slope.data[0], slope)));
  else
    warn(t, pool_text(&t->pool, "saturation: %s is flat at %lld of %lld elements of %s; hardly anything passes back there",
                      user->op, (long long)n, (long long)term->slope.count, to->name));
}

/* A difference much smaller than its operands has lost their leading digits. */
static void look_for_cancellation(trace *t, const trace_node *n) {
  const cr_op *op = cr_op_of(n->var);
  if (!op->infix || (strcmp(op->infix, "a + b") && strcmp(op->infix, "a - b")) || n->n_in != 2) return;
  double worst = 0;
  for (int64_t i = 0; i < n->value.count; i++) {
    double size = 0, result = fabs(n->value.data[i]);
    for (int k = 0; k < 2; k++) {
      cr_array a = cr_view(cr_operand(n->var, k));
      if (a.count == n->value.count) size = fmax(size, fabs(cr_array_get(&a, i)));
    }
    if (result > 0 && result < LOST * size) worst = fmax(worst, log10(size / result));
  }
  if (worst > 0)
    warn(t,
         pool_text(&t->pool, "cancellation: %s is %.0f digits smaller than what it is made of, and as many digits are lost",
                   n->name, floor(worst)));
}

/* Is the deciding expression 0 here? */
static bool on_kink(trace *t, const trace_node *n, const char *decision) {
  cr_mark mark = cr_mark_here(t->tape);
  cr_var a = cr_operand(n->var, 0), b = cr_operand(n->var, n->n_in > 1);
  cr_var d = cr_formula(t->tape, decision, "a", a, "b", b);
  bool here = false;
  if (!cr_is_poison(d)) {
    cr_array x = cr_view(d);
    for (int64_t i = 0; i < x.count; i++) here |= fabs(cr_array_get(&x, i)) < 1e-12;
  }
  cr_clear_error(t->tape);
  cr_reset(t->tape, mark);
  return here;
}

static void look_for_kinks(trace *t, const trace_node *n) {
  const cr_row *row = cr_op_of(n->var)->row;
  if (!row || !decides(row) || !n->active) return;
  const char *bar = strchr(row->decision, '|'), *text = bar ? bar + 1 + strspn(bar + 1, " ") : "the slope of one side";
  const char *decision =
      pool_text(&t->pool, "%.*s", (int)(bar ? bar - row->decision : (long)strlen(row->decision)), row->decision);
  if (on_kink(t, n, decision))
    warn(t, pool_text(&t->pool, "kink: %s has no derivative exactly here; convention: %s",
                      tree_text(&t->pool, t->tape, n->formula), text));
}

static void look_for_overflow(trace *t, const trace_node *n) {
  char text[40];
  for (int64_t i = 0; i < n->value.count; i++)
    if (!isfinite(n->value.data[i]) || fabs(n->value.data[i]) > HUGE_VALUE) {
      warn(t, pool_text(&t->pool, isfinite(n->value.data[i]) ? "overflow is near: %s is %s" : "not finite: %s is %s",
                        n->name, trace_number(t, n->value.data[i], text)));
      return;
    }
}

/* Losses are computed from logits so that this does not happen. */
static void look_for_log_of_zero(trace *t, const trace_node *n) {
  const trace_node *a = n->n_in == 1 && n->in[0] >= 0 ? &t->node[n->in[0]] : NULL;
  if (!a || !a->value.data || strcmp(n->op, "log")) return;
  for (int64_t k = 0; k < a->value.count; k++) {
    if (a->value.data[k] != 0) continue;
    warn(t, pool_text(&t->pool,
                      "log(0): %s is 0. If it is a probability, take the loss from the logits in its place: cross_entropy "
                      "and binary_cross_entropy_with_logits are finite there",
                      a->name));
    return;
  }
}

/* Why nothing comes back to an input. */
static const char *where_cut(trace *t, int i) {
  const trace_node *n = &t->node[i];
  for (int u = i + 1; !n->n_terms && u < t->n_nodes; u++)
    for (int k = 0; k < t->node[u].n_in; k++)
      if (t->node[u].in[k] == i)
        return pool_text(&t->pool, "%s goes into %s alone, whose derivative is 0 everywhere: nothing will learn", n->name,
                         tree_text(&t->pool, t->tape, t->node[u].formula));
  for (int k = 0; k < n->n_terms; k++) {
    const trace_term *term = &n->term[k];
    const trace_node *user = &t->node[term->user];
    char value[40];
    if (is_zero(term->local))
      return pool_text(&t->pool, "%s is constant between its jumps: its derivative is 0 everywhere, and nothing will learn",
                       user->op);
    if (term->slope.data && term->slope.count == 1 && term->slope.data[0] == 0)
      return pool_text(&t->pool, "%s has the derivative 0 at %s = %s", user->op, n->name,
                       trace_number(t, n->value.data[0], value));
    if (!term->local && cr_op_of(user->var)->kind == CR_PIECEWISE_CONSTANT)
      return pool_text(&t->pool, "%s passes nothing back", user->op);
    const char *above = where_cut(t, term->user);
    if (above) return above;
  }
  return NULL;
}

static void look_for_dead_paths(trace *t, const trace_input *in) {
  const char *y = t->node[t->n_nodes - 1].name;
  for (int64_t i = 0; i < in->adjoint.count; i++)
    if (!in->adjoint.data || in->adjoint.data[i] != 0) return;
  if (in->node < 0) {
    warn(t, pool_text(&t->pool, "dead path: d%s/d%s is 0 because %s does not depend on %s", y, in->name, y, in->name));
    return;
  }
  const char *why = where_cut(t, in->node);
  warn(t, pool_text(&t->pool, "dead path: d%s/d%s is 0%s%s", y, in->name, why ? " because " : ": the contributions cancel",
                    why ? why : ""));
}

void trace_warnings(trace *t) {
  t->warning = pool_take(&t->pool, MOST_WARNINGS * sizeof *t->warning);
  for (int i = 0; i < t->n_nodes; i++) {
    const trace_node *n = &t->node[i];
    if (!n->value.data) continue;
    look_for_overflow(t, n);
    if (n->kind != TRACE_OPERATION) continue;
    look_for_log_of_zero(t, n);
    look_for_cancellation(t, n);
    look_for_kinks(t, n);
  }
  for (int i = 0; i < t->n_nodes; i++)
    for (int k = 0; k < t->node[i].n_terms; k++) look_for_saturation(t, &t->node[i].term[k]);
  for (int k = 0; k < t->n_inputs; k++) look_for_dead_paths(t, &t->input[k]);
}
