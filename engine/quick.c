/* Elementwise operations on dense tensors of one shape, with the least ado: for graphs of many small tensors. */
#include "internal.h"
#include "parallel.h"

static bool same_shape(const cr_array *a, const cr_array *b) {
  bool same = a->rank == b->rank && a->dtype == b->dtype && a->contiguous && b->contiguous;
  for (int i = 0; same && i < a->rank; i++) same = a->dim[i] == b->dim[i];
  return same;
}

void cr__dense_like(cr_array *to, const cr_array *from) {
  int64_t step = 1;
  to->count = from->count;
  to->rank = from->rank, to->dtype = from->dtype, to->contiguous = 1;
  for (int i = from->rank - 1; i >= 0; step *= from->dim[i--]) to->dim[i] = from->dim[i], to->stride[i] = step;
}

static bool is_record(const cr_tape *t, cr_var v) { return v.tape == t && v.stamp & CR__RECORD && cr__is_live(t, v); }

cr_var cr__record_row(cr_tape *t, uint32_t number, cr_var x, cr_var y) {
  const size_t head = (sizeof(cr_tensor) + 63) / 64 * 64;
  cr_var no = {t, 0, 0};
  if (!t || t->lazy || t->count >= t->fast_limit || !is_record(t, x) || !is_record(t, y)) return no;
  const cr_tensor *a = t->slot[x.id].tensor, *b = t->slot[y.id].tensor;
  const int64_t n = a->array.count;
  if (!x.id || !y.id || a->array.dtype < CR_FLOAT32 || n > CR__BLOCK || !same_shape(&a->array, &b->array)) return no;
  cr_tensor *r = cr__arena_take(&t->arena, head + (size_t)n * (a->array.dtype == CR_FLOAT64 ? 8 : 4), 64);
  if (!r) return no;
  cr__dense_like(&r->array, &a->array);
  r->array.data = (char *)r + head;
  r->attr = NULL;
  r->operand = NULL;
  r->n_operands = 0;
  r->view = false;
  r->differentiable = a->differentiable || b->differentiable;
  t->op[number]->row->loop((cr_dtype)a->array.dtype, n, a->array.data, 1, b->array.data, 1, r->array.data);
  const uint32_t id = t->count++, stamp = cr__head(t, number | CR__RECORD);
  t->node[id] = (cr_node){stamp, {x.id, t->op[number]->arity > 1 ? y.id : 0, 0}};
  t->slot[id].tensor = r;
  return (cr_var){t, id, stamp};
}
