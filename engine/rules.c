/* The derivatives of rows, which are texts: parsed once, and recorded. */
#include "evaluate.h"

static const cr_syntax *partial_tree(cr_tape *t, cr__language *l, const cr_op *op, int k) {
  uint32_t number = cr__number_of(t, op);
  if (!number) return NULL;
  if (number >= l->n_rules) {
    uint32_t n = t->n_ops > 256 ? 2 * t->n_ops : 256;
    struct cr__rule(*rule)[2] = cr__take(t, &t->lasting, n * sizeof *rule);
    if (!rule) return NULL;
    memset(rule, 0, n * sizeof *rule);
    if (l->n_rules) memcpy(rule, l->rule, l->n_rules * sizeof *rule);
    l->rule = rule;
    l->n_rules = n;
  }
  const cr_syntax **tree = &l->rule[number][k].tree;
  if (*tree) return *tree;
  const char *text = op->row->partial_text[k];
  cr_syntax_error error;
  if (!text) text = "0";
  const cr_syntax *s = cr__parse(t, &t->lasting, text, strlen(text), false, &error);
  if (s && s->first && !s->first->next) return *tree = s->first;
  cr_fail(t, CR_INTERNAL, "derivative of %s: '%s' is no expression: %s", op->name, text, error.message);
  return NULL;
}

/* A constant scalar is its number, so that b == 0 ? 0 : b * a^(b - 1) is decided here and not on the tape. */
static cr__value operand_value(const cr_tape *t, cr_var v) {
  if (!v.id) return (cr__value){0};
  if (cr__op_bits(&t->node[v.id]) == CR__CONST) return cr__number(t->slot[v.id].num, false);
  return (cr__value){.kind = CR__NODE, .as.node = v};
}

cr_var cr__row_partial(cr_tape *t, const cr_op *op, int k, cr_var a, cr_var b, cr_var y, double *literal) {
  static const cr__param names[] = {{"a", NULL}, {"b", NULL}, {"y", NULL}};
  static const cr_function rule = {.signature = "rule"};
  cr__evaluator e = cr__evaluator_on(t, NULL, NULL, NULL);
  *literal = (double)NAN;
  const cr_syntax *s = e.language ? partial_tree(t, e.language, op, k) : NULL;
  if (!s) return cr_poison(t);
  const cr__callable of = {
    .name = op->name, .function = &rule, .read = true, .n_params = 3, .n_names = 3, .param = names};
  cr__value value[3] = {operand_value(t, a), operand_value(t, b), operand_value(t, y)};
  const cr__scope scope = {&of, value};
  e.scope = &scope;
  e.inside = &of;
  if (y.id && cr_dtype_of(y) == CR_FLOAT32) e.dtype = CR_FLOAT32;
  cr__spot spot = cr__spot_of(&e.language->scratch);
  uint64_t work = e.language->work; /* of the program that asks for the gradient */
  e.language->work = 0;
  cr__value v = cr__evaluate(&e, s);
  e.language->work = work;
  cr_var result = cr_poison(t);
  if (!e.failed && cr__is_numeric(&v) && !isnan(v.as.number)) *literal = v.as.number; /* a NaN is no structural zero */
  else if (!e.failed) result = cr__to_node(&e, &v, s);
  cr__back_to(&e.language->scratch, spot);
  return result;
}
