/* Functions as arguments of the expression language, called on tapes of bodies. */
#include "bodyfields.h"
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
 * another tape. Calls nest across tapes. */
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
  e->language->calls = a->call->evaluator->language->calls;
  return cr__call(e, &nowhere, f, arg, name, (uint32_t)n, (uint32_t)n);
}

static int count_of(const cr__value *v) {
  return v->kind == CR__TUPLE_VALUE ? (int)v->n : v->kind != CR__UNSET && v->kind != CR__NONE_VALUE;
}

/* What the function recorded, without values, on a tape that shares the shelf of its caller's. */
struct cr_argument_graph {
  cr_tape *tape;
  int n, m;
  uint32_t *end; /* inputs, results */
};

void cr_record_argument(cr_tape *t, void *user, int n, const cr_var *in, int m, cr_var *out) {
  const cr_function_argument *f = user;
  if (f->graph) {
    cr__copy_graph(f->graph->tape, n, m, f->graph->end, t, in, out);
    return;
  }
  cr_program p = {.tape = t};
  cr__evaluator e = cr__evaluator_on(t, &p, NULL, NULL);
  if (!e.language) return;
  cr__spot spot = cr__spot_of(&e.language->scratch);
  cr__value v = apply(&e, &p, f, n, in);
  if (t->error == CR_OK && count_of(&v) != m)
    cr_fail(t, CR_BAD_ARGUMENT, "the function has %d results, not %d", count_of(&v), m);
  for (int k = 0; k < m && t->error == CR_OK; k++)
    out[k] = cr__to_node(&e, v.kind == CR__TUPLE_VALUE ? &v.as.item[k] : &v, &nowhere);
  cr__back_to(&e.language->scratch, spot);
}

static bool record_graph(struct cr_argument_graph *g, const cr_function_argument *f, const cr_array *like) {
  cr_tape *t = g->tape, *outer = f->call->evaluator->tape;
  cr_program p = {.tape = t};
  cr_var *in = cr__alloc(t, (size_t)(g->n + 1) * sizeof *in);
  cr__evaluator e = cr__evaluator_on(t, &p, NULL, NULL);
  if (!in || !e.language) return false;
  for (int k = 0; k < g->n; k++)
    in[k] = !like[k].rank && like[k].dtype == CR_FLOAT64
                ? cr_input(t, 0)
                : cr_tensor_of(t, (cr_dtype)like[k].dtype, like[k].rank, like[k].dim, NULL);
  if (t->error) return false;
  cr__value v = apply(&e, &p, f, g->n, in);
  g->m = t->error ? 0 : count_of(&v);
  g->end = cr__alloc(outer, (size_t)(g->n + g->m + 1) * sizeof *g->end);
  for (int k = 0; g->end && k < g->n; k++) g->end[k] = in[k].id;
  for (int k = 0; g->end && k < g->m; k++)
    g->end[g->n + k] = cr__to_node(&e, v.kind == CR__TUPLE_VALUE ? &v.as.item[k] : &v, &nowhere).id;
  return g->end && t->error == CR_OK;
}

int cr_argument_results(cr_function_argument *f, int n, const cr_array *like) {
  cr_tape *outer = f->call->evaluator->tape;
  struct cr_argument_graph *g = cr__alloc(outer, sizeof *g);
  if (!g) return 0;
  *g = (struct cr_argument_graph){.tape = cr_new_with(outer->table, &outer->base), .n = n};
  if (!g->tape) return cr__out_of_memory(outer), 0;
  f->graph = g;
  cr_set(g->tape, CR_LAZY, 1);
  g->tape->shelf = cr__shelf_of(outer);
  if (record_graph(g, f, like)) return g->m;
  if (g->tape->error) cr_fail(outer, g->tape->error, "%s", g->tape->error_text);
  cr_argument_done(f);
  return 0;
}

void cr_argument_done(cr_function_argument *f) {
  if (!f->graph) return;
  if (f->graph->tape->shelf == f->call->evaluator->tape->shelf) f->graph->tape->shelf = NULL; /* else it made its own */
  cr_free(f->graph->tape);
  f->graph = NULL;
}
