/* Functions as arguments of the expression language, called on tapes of bodies. */
#include "body.h"
#include "evaluate.h"

static const cr_syntax nowhere = {.kind = CR_NAME};

/* The function on this tape: a definition of the program, or the tape's own function of that name. */
static cr__callable *callable_on(cr_tape *t, const cr_call *c, int k) {
  const cr__value *v = &c->arg[k];
  if (v->kind != CR__FUNCTION) {
    char text[300];
    cr_fail(t, CR_BAD_ARGUMENT, "argument '%s' is %s, not a function", c->of->param[k].name,
            cr__value_text(c->evaluator, v, text, sizeof text));
    return NULL;
  }
  cr__callable *f = v->as.function;
  if (!f->function && !f->row) return f;
  cr__callable *own = cr__callable_named(t, f->name);
  if (!own) cr_fail(t, CR_UNKNOWN_NAME, "the function '%s' of one tape is not known on others", f->name);
  return own;
}

/* The result as a value in the evaluator's scratch memory. Definitions see each other, but no variables: those are nodes of
 * another tape. */
static cr__value apply(cr__evaluator *e, cr_program *p, const cr_function_argument *a, int n, const cr_var *in) {
  cr_tape *t = e->tape;
  cr__callable *f = callable_on(t, a->call, a->k);
  const cr_program *outer = a->call->evaluator->program;
  cr__value *arg = cr__take(t, &e->language->scratch, (size_t)(n + 1) * sizeof *arg), none = {0};
  const char **name = cr__take(t, &e->language->scratch, (size_t)(n + 1) * sizeof *name);
  if (!f || !arg || !name) return none;
  if (outer) p->functions = outer->functions, p->trusts = outer->trusts;
  e->dtype = p->dtype = a->call->evaluator->dtype;
  for (int k = 0; k < n; k++) {
    arg[k] = (cr__value){.kind = CR__NODE, .as.node = in[k]};
    name[k] = NULL;
  }
  return cr__call(e, &nowhere, f, arg, name, (uint32_t)n, (uint32_t)n);
}

static int count_of(const cr__value *v) {
  return v->kind == CR__TUPLE_VALUE ? (int)v->n : v->kind != CR__UNSET && v->kind != CR__NONE_VALUE;
}

void cr_record_argument(cr_tape *t, void *user, int n, const cr_var *in, int m, cr_var *out) {
  cr_program p = {.tape = t};
  cr__evaluator e = cr__evaluator_on(t, &p, NULL, NULL);
  if (!e.language) return;
  cr__spot spot = cr__spot_of(&e.language->scratch);
  cr__value v = apply(&e, &p, user, n, in);
  if (t->error == CR_OK && count_of(&v) != m)
    cr_fail(t, CR_BAD_ARGUMENT, "the function has %d results, not %d", count_of(&v), m);
  for (int k = 0; k < m && t->error == CR_OK; k++)
    out[k] = cr__to_node(&e, v.kind == CR__TUPLE_VALUE ? &v.as.item[k] : &v, &nowhere);
  cr__back_to(&e.language->scratch, spot);
}

int cr_argument_results(const cr_function_argument *f, int n, const cr_array *like) {
  cr_tape *outer = f->call->evaluator->tape, *t = cr_new_with(outer->table, &outer->base);
  cr_var *in = cr__alloc(outer, (size_t)(n + 1) * sizeof *in);
  int results = 0;
  if (!t) cr__out_of_memory(outer);
  if (t && in) {
    cr_program p = {.tape = t};
    cr_set(t, CR_LAZY, 1);
    for (int k = 0; k < n; k++)
      in[k] = !like[k].rank && like[k].dtype == CR_FLOAT64
                  ? cr_input(t, 0)
                  : cr_tensor_of(t, (cr_dtype)like[k].dtype, like[k].rank, like[k].dim, NULL);
    cr__evaluator e = cr__evaluator_on(t, &p, NULL, NULL);
    if (e.language && t->error == CR_OK) {
      cr__value v = apply(&e, &p, f, n, in);
      results = t->error == CR_OK ? count_of(&v) : 0;
    }
    if (t->error) cr_fail(outer, t->error, "%s", t->error_text);
  }
  cr_free(t);
  return results;
}
