/* Whose rule is wrong: each op of a graph checked alone, at the values that it had there. */
#include <stdio.h>

#include "checking.h"

/* Op id of the copy, recorded again on leaves with its operands' values. x receives the operands that have a derivative. */
static cr_var alone(cr__replica *r, uint32_t id, cr_var *x, int *n_x) {
  cr_tape *t = r->tape;
  const cr_op *op = t->op[cr__op_number(t, id)];
  int n;
  const uint32_t *in = cr__operands(t, id, &n);
  cr_var *operand = cr__alloc(t, (size_t)(n ? n : 1) * sizeof *operand);
  *n_x = 0;
  if (!operand || n > 8) return cr_poison(t);
  for (int k = 0; k < n; k++) {
    cr_array a = cr__array_of(t, in[k]), to;
    bool constant = a.dtype < CR_FLOAT32 || !cr__differentiable(t, in[k]);
    if (!cr__is_record(t, in[k])) {
      operand[k] = constant ? cr_const(t, t->slot[in[k]].num) : cr_input(t, t->slot[in[k]].num);
    } else {
      operand[k] = constant ? cr_constant_of(t, (cr_dtype)a.dtype, a.rank, a.dim, NULL)
                            : cr_tensor_of(t, (cr_dtype)a.dtype, a.rank, a.dim, NULL);
      if (!operand[k].id) return operand[k];
      to = cr_view(operand[k]);
      cr_array_copy(&to, &a);
    }
    in = cr__operands(t, id, &n);
    if (!constant) x[(*n_x)++] = operand[k];
  }
  return cr_record(t, op, n, operand, cr__attr_of(t, id));
}

static const char *factor_of(double claimed, double truth) {
  static const struct {
    double factor;
    const char *words;
  } usual[] = {{-1, "it has the wrong sign"}, {2, "it is twice too large"}, {0.5, "it is half of what it should be"}};
  for (int k = 0; k < 3; k++)
    if (fabs(claimed - usual[k].factor * truth) <= 1e-6 * fabs(claimed)) return usual[k].words;
  return NULL;
}

/* What a row's wrong derivative is, given the operands a, b and the value y beside it. */
static const char *slip_of(double claimed, double truth, double a, double b, double y) {
  const struct {
    double value;
    const char *words;
  } slips[] = {{1, "it is 1: the factor is missing"},
               {y, "it is the value of the op"},
               {1 - y, "it is one minus the value of the op"},
               {a, "it is the first operand"},
               {b, "it is the second operand"},
               {0, "it is 0"},
               {truth * truth, "the right factor is squared"},
               {1 / truth, "it is one over the right factor"}};
  for (int k = 0; k < 8; k++)
    if (fabs(claimed - slips[k].value) <= 1e-6 * fabs(claimed)) return slips[k].words;
  return NULL;
}

typedef const char *(*guess)(const cr_report *r, int k, const cr_var *x, cr_var y);

static const char *guess_factor(const cr_report *r, int k, const cr_var *x, cr_var y) {
  (void)x, (void)y;
  return factor_of(r->entry[k].analytic, r->entry[k].numeric);
}

static double element(cr_var v, int64_t k) {
  cr_array a = cr_view(v);
  return a.count == 1 ? cr_array_get(&a, 0) : k < a.count ? cr_array_get(&a, k) : (double)NAN;
}

static const char *guess_slip(const cr_report *r, int k, const cr_var *x, cr_var y) {
  const cr_check_entry *e = &r->entry[k];
  cr_var a = cr_operand(y, 0), b = cr_operand(y, cr_operand_count(y) - 1);
  (void)x;
  return slip_of(e->analytic, e->numeric, element(a, e->index), element(b, e->index), element(y, e->index));
}

/* The guess that holds for all wrong coordinates. */
static const char *common(const cr_report *r, const cr_var *x, cr_var y, guess of) {
  const char *words = NULL;
  for (int k = 0; k < r->n_entries; k++) {
    if (r->entry[k].input < 0 || r->entry[k].verdict != CR_DISAGREE) continue;
    const char *one = of(r, k, x, y);
    if (!one || (words && words != one)) return NULL;
    words = one;
  }
  return words;
}

/* Is the derivative of one matrix the transpose of what it should be? */
static bool transposed(const cr_report *r, int input, cr_var x) {
  cr_array a = cr_view(x);
  const cr_check_entry *e = NULL;
  for (int k = 0; k < r->n_entries && !e; k++)
    if (r->entry[k].input == input) e = &r->entry[k];
  if (!e || a.rank != 2 || a.count > 64 || a.count < 2) return false;
  for (int64_t i = 0; i < a.dim[0]; i++)
    for (int64_t j = 0; j < a.dim[1]; j++) {
      double have = e[j * a.dim[0] + i].analytic, need = e[i * a.dim[1] + j].numeric;
      if (fabs(have - need) > 1e-6 * fmax(fabs(have), fabs(need))) return false;
    }
  return true;
}

static const char *describe(cr__checker *c, uint32_t id, const cr_report *r, const cr_var *x, cr_var y, bool elementwise) {
  char text[256];
  const char *name = cr_op_of(y)->name, *words = NULL,
             *node = cr__node_text(c->replica->user, c->replica->origin[id], text, sizeof text);
  int wrong = -1;
  for (int k = 0; k < r->n_entries; k++)
    if (r->entry[k].verdict == CR_DISAGREE && r->entry[k].input >= 0) {
      wrong = r->entry[k].input;
      break;
    }
  if (wrong < 0) {
    for (int k = 0; k < r->n_tests && !words; k++)
      if (!r->test[k].passed) words = r->test[k].name;
    return cr__keep_text(c->tape, "%s: the rules of %s are wrong: they fail the test \"%s\"", node, name,
                         words ? words : "directions");
  }
  words = common(r, x, y, guess_factor);
  if (!words && elementwise) words = common(r, x, y, guess_slip);
  if (!words && transposed(r, wrong, x[wrong])) words = "it is transposed";
  const cr_check_entry *e = r->entry;
  while (e->input < 0 || e->verdict != CR_DISAGREE) e++;
  char have[40], need[40];
  return cr__keep_text(c->tape, "%s: the rule of %s is wrong for operand %d%s%s (it gives %s where differences give %s)",
                       node, name, wrong, words ? ": " : "", words ? words : "", cr_number_text(e->analytic, 6, have),
                       cr_number_text(e->numeric, 6, need));
}

static const char *check_node(cr__checker *c, uint32_t id, int order) {
  cr_tape *t = c->replica->tape;
  cr_var x[8];
  int n;
  const char *text = NULL;
  cr_mark mark = cr_mark_here(t);
  cr_var y = alone(c->replica, id, x, &n);
  cr_report *r = NULL;
  if (y.id && n && cr_dtype_of(y) >= CR_FLOAT32) {
    cr_check_options o = {.struct_size = sizeof o, .order = order, .seed = c->o.seed, .weighted = 1};
    cr__check_graph(y, n, x, &o, false, &r);
    bool wrong = r && r->verdict == CR_DISAGREE, elementwise = true;
    for (int k = 0; k < n; k++) elementwise = elementwise && cr_count(x[k]) == cr_count(y);
    if (wrong && elementwise) { /* with weights 1 the local derivatives themselves show */
      cr_report *plain = NULL;
      o.weighted = 0;
      cr__check_graph(y, n, x, &o, false, &plain);
      if (plain && plain->verdict == CR_DISAGREE) r = plain;
    }
    if (wrong) text = describe(c, id, r, x, y, elementwise);
  }
  cr__rewind(t, mark);
  cr_clear_error(t);
  return text;
}

const char *cr__diagnose_rules(cr__checker *c) {
  enum { MOST_NODES = 3000 };
  cr__replica *r = c->replica;
  cr__replica_move(r, r->point);
  for (int order = 1; order <= c->o.order; order++)
    for (uint32_t k = 0; k < r->n_values && k < MOST_NODES; k++) {
      const char *text = check_node(c, r->moving[k], order);
      if (text) return text;
    }
  for (int k = 0; k < c->report->n_entries; k++)
    if (c->entry[k].verdict == CR_DISAGREE && *c->entry[k].note)
      return "each op is right by itself, but where several kinks meet their conventions do not make up a derivative";
  return "each op's rules agree with differences when it is checked alone";
}
