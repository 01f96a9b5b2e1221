/* Forward over nodes: the kernel of one node, replay of all, and the options that look at every value. */
#include <stdio.h>

#include "internal.h"

cr_status cr__run_kernel(cr_tape *t, const cr_op *op, int n, const cr_array *in, const cr_tensor *r) {
  cr_array out = cr__lying(r->like, r->data);
  uint32_t chunk = t->arena.current;
  size_t used = t->arena.used; /* scratch that the kernel takes goes back when it returns */
  cr_eval c = {t, op, n, in, op->attr_size ? r->attr : NULL, &out, NULL};
  cr_status status = op->eval(&c);
  cr__arena_reset(&t->arena, chunk, used);
  return status != CR_OK ? status : t->error;
}

void *cr_scratch(cr_eval *c, size_t bytes) { return cr__alloc(c->tape, bytes); }

static void eval_inline(cr_tape *t, uint32_t id) {
  const cr_node *n = &t->node[id];
  t->slot[id].num = t->op[cr__op_bits(n)]->row->value(t->slot[n->in[0]].num, t->slot[n->in[1]].num);
}

enum { FEW = 16 };

cr_status cr__eval_node(cr_tape *t, uint32_t id) {
  const cr_op *op = t->op[cr__op_number(t, id)];
  if (!op) return CR_OK;
  if (!cr__is_record(t, id)) {
    eval_inline(t, id);
    return CR_OK;
  }
  cr_tensor *r = t->slot[id].tensor;
  int n;
  const uint32_t *in = cr__operands(t, id, &n);
  if (r->view) {
    if (n && r->like->count && !cr__is_record(t, in[0])) *(double *)r->data = t->slot[in[0]].num;
    return CR_OK;
  }
  uint32_t chunk = t->arena.current;
  size_t used = t->arena.used;
  cr_array few[FEW], *array = n > FEW ? cr__alloc(t, (size_t)n * sizeof *array) : few;
  if (!array) return CR_NO_MEMORY;
  for (int k = 0; k < n; k++) array[k] = cr__array_of(t, in[k]);
  cr_status status = cr__run_kernel(t, op, n, array, r);
  cr__arena_reset(&t->arena, chunk, used);
  return status;
}

cr_status cr_replay(cr_tape *t) {
  if (t->lazy) return cr_fail(t, CR_BAD_ARGUMENT, "cr_replay: shapes alone are recorded (CR_LAZY)"), t->error;
  for (uint32_t id = 1; id < t->count; id++) {
    cr_status status = cr__eval_node(t, id);
    if (status != CR_OK) return status;
    if (t->slow && t->op[cr__op_number(t, id)]) cr__after_eval(t, id);
  }
  return t->error;
}

/* Half away from zero, as one rounds by hand; the decimal nearest to x decides, so 2.675 is not pulled down to 2.67. */
static double round_to(double x, int64_t digits) {
  if (!isfinite(x) || digits > 15) return x;
  double scale = pow(10, (double)digits), scaled = fabs(x) * scale;
  return copysign(floor(scaled + 0.5 + scaled * 4e-16) / scale, x);
}

static void round_array(cr_array *a, int64_t digits) {
  if (a->dtype != CR_FLOAT64 && a->dtype != CR_FLOAT32) return;
  for (int64_t k = 0; k < a->count; k++) cr_array_set(a, k, round_to(cr_array_get(a, k), digits));
}

static void report_nonfinite(cr_tape *t, uint32_t id, const cr_array *a) {
  for (int64_t k = 0; k < a->count; k++) {
    double x = cr_array_get(a, k);
    if (isfinite(x)) continue;
    int n;
    const uint32_t *in = cr__operands(t, id, &n);
    cr_var operand[3];
    for (int j = 0; j < n && j < 3; j++) operand[j] = cr__handle(t, in[j]);
    const cr_op *outer = t->doing;
    const cr_var *outer_in = t->doing_in;
    int outer_n = t->doing_n;
    t->doing = t->op[cr__op_number(t, id)], t->doing_in = operand, t->doing_n = n < 3 ? n : 3;
    cr_fail(t, CR_NOT_FINITE, "element %lld of the result v%u is %g", (long long)k, id, x);
    t->doing = outer, t->doing_in = outer_in, t->doing_n = outer_n;
    return;
  }
}

void cr__after_eval(cr_tape *t, uint32_t id) {
  if (t->lazy) return;
  cr_array a = cr__array_of(t, id);
  bool view = cr__is_record(t, id) && t->slot[id].tensor->view; /* its numbers are those of an operand */
  if (t->option[CR_ROUND_DIGITS] && !view) round_array(&a, t->option[CR_ROUND_DIGITS]);
  if (t->option[CR_FIND_NONFINITE] && (a.dtype == CR_FLOAT64 || a.dtype == CR_FLOAT32)) report_nonfinite(t, id, &a);
}
