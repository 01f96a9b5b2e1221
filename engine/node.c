/* What a node is: accessors that hide whether it is an inline scalar or a record. */
#include "internal.h"

const uint32_t *cr__operands(const cr_tape *t, uint32_t id, int *n) {
  const cr_op *op = t->op[cr__op_number(t, id)];
  if (op && op->arity == CR_VARIADIC) {
    *n = (int)t->slot[id].tensor->n_operands;
    return t->slot[id].tensor->operand;
  }
  *n = op ? op->arity : 0;
  return t->node[id].in;
}

cr_array cr__array_of(const cr_tape *t, uint32_t id) {
  if (cr__is_record(t, id)) return cr__lying(t->slot[id].tensor->like, t->slot[id].tensor->data);
  return cr__lying(&cr__scalar_layout.array, &t->slot[id].num);
}

const void *cr__attr_of(const cr_tape *t, uint32_t id) {
  const cr_op *op = t->op[cr__op_number(t, id)];
  return op && op->attr_size ? t->slot[id].tensor->attr : NULL;
}

static bool live(cr_var v) { return v.tape && cr__valid(v.tape, v); }

cr_array cr_view(cr_var v) {
  cr_array a = cr__array_of(v.tape, live(v) ? v.id : 0);
  if (v.tape->lazy && cr__is_promised(v.tape, v.id)) a.data = NULL;
  return a;
}

double cr_value(cr_var v) {
  if (!live(v)) return (double)NAN;
  if (!cr__is_record(v.tape, v.id)) return v.tape->slot[v.id].num;
  cr_array a = cr__array_of(v.tape, v.id);
  if (v.tape->lazy && !cr_knows(v)) return (double)NAN;
  if (a.count == 1) return cr_array_get(&a, 0);
  char shape[200];
  cr_fail(v.tape, CR_BAD_SHAPE, "cr_value: the node has shape %s, not one element", cr_shape_text(&a, shape, sizeof shape));
  return (double)NAN;
}

cr_status cr_read(cr_var v, double *out, int64_t n) {
  if (!live(v)) return v.tape ? v.tape->error : CR_WRONG_TAPE;
  cr_array a = cr__array_of(v.tape, v.id), to;
  if (a.count != n) {
    cr_fail(v.tape, CR_BAD_SHAPE, "cr_read: the node has %lld elements, not %lld", (long long)a.count, (long long)n);
    return CR_BAD_SHAPE;
  }
  if (v.tape->lazy && !cr_knows(v)) return v.tape->error;
  cr_array_init(&to, CR_FLOAT64, a.rank, a.dim);
  to.data = out;
  cr_array_copy(&to, &a);
  return CR_OK;
}

int cr_rank(cr_var v) { return cr_view(v).rank; }
int64_t cr_count(cr_var v) { return cr_view(v).count; }
cr_dtype cr_dtype_of(cr_var v) { return (cr_dtype)cr_view(v).dtype; }

int64_t cr_dim(cr_var v, int axis) {
  cr_array a = cr_view(v);
  int k = cr_axis(axis, a.rank);
  if (k >= 0) return a.dim[k];
  if (v.tape) cr_fail(v.tape, CR_BAD_ARGUMENT, "cr_dim: axis %d of a tensor of rank %d", axis, a.rank);
  return 0;
}

uint32_t cr_node_count(const cr_tape *t) { return t->count; }
cr_var cr_node_at(cr_tape *t, uint32_t id) { return id < t->count ? cr__handle(t, id) : cr_poison(t); }
const cr_op *cr_op_of(cr_var v) { return live(v) ? v.tape->op[cr__op_number(v.tape, v.id)] : NULL; }
int cr_is_input(cr_var v) { return live(v) && cr__op_number(v.tape, v.id) == CR__INPUT; }
int cr_is_const(cr_var v) { return live(v) && cr__op_number(v.tape, v.id) == CR__CONST; }

int cr_operand_count(cr_var v) {
  int n = 0;
  if (live(v)) cr__operands(v.tape, v.id, &n);
  return n;
}

cr_var cr_operand(cr_var v, int k) {
  if (!live(v)) return (cr_var){v.tape, 0, 0};
  int n;
  const uint32_t *in = cr__operands(v.tape, v.id, &n);
  return k >= 0 && k < n ? cr__handle(v.tape, in[k]) : cr_poison(v.tape);
}

const void *cr_attributes(cr_var v) { return live(v) ? cr__attr_of(v.tape, v.id) : NULL; }

const char *cr_node_site(cr_var v, int *line) {
  if (!live(v) || v.id >= v.tape->sites_capacity) return NULL;
  if (line) *line = v.tape->site[v.id].line;
  return v.tape->site[v.id].file;
}

static cr_status cannot_set(cr_var leaf) {
  if (!live(leaf)) return leaf.tape ? leaf.tape->error : CR_WRONG_TAPE;
  if (!leaf.id || leaf.tape->op[cr__op_number(leaf.tape, leaf.id)]) {
    cr_fail(leaf.tape, CR_BAD_ARGUMENT, "only a leaf can be set: v%u is computed", leaf.id);
    return CR_BAD_ARGUMENT;
  }
  return CR_OK;
}

cr_status cr_set_value(cr_var leaf, double value) {
  cr_status status = cannot_set(leaf);
  if (status != CR_OK) return status;
  cr_array a = cr__array_of(leaf.tape, leaf.id);
  for (int64_t k = 0; k < a.count; k++) cr_array_set(&a, k, value);
  return CR_OK;
}

cr_status cr_set_data(cr_var leaf, const void *data) {
  cr_status status = cannot_set(leaf);
  if (status != CR_OK) return status;
  cr_array a = cr__array_of(leaf.tape, leaf.id);
  if (a.count) memcpy(a.data, data, (size_t)a.count * cr_dtype_size((cr_dtype)a.dtype));
  return CR_OK;
}
