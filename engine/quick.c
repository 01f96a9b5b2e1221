/* Elementwise operations on dense tensors of one layout, with the least ado: for graphs of many small tensors. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-tree-slp-vectorize")
#endif
#include "sweep.h"

static inline void *numbers_of(void *record, const cr_layout *q) {
  return (void *)(((uintptr_t)record + q->reach) & q->mask);
}

/* Recording */

static inline bool is_record(const cr_tape *t, cr_var v) {
  return v.tape == t && v.stamp & CR__RECORD && cr__is_live(t, v);
}

/* Was the arena's chunk at its end, and is the next one in use now? */
static bool make_room(cr_arena *a, size_t bytes) {
  const char *p = a->used + bytes > a->size ? cr__arena_next(a, bytes, CR__GRAIN) : NULL;
  if (p) a->used = (size_t)(p - a->base);
  return p != NULL;
}

/* Are x and y records of one layout, and is it, after this, the latest quick one, with room for a record? */
static bool look_again(cr_tape *t, cr_var x, cr_var y) {
  if (t->lazy || t->count >= t->fast_limit || !is_record(t, x) || !is_record(t, y)) return false;
  const cr_array *like = t->slot[x.id].tensor->like;
  if (like != t->slot[y.id].tensor->like || !cr__layout_of(like)->quick) return false;
  if (like == &t->quick->array) return make_room(&t->arena, t->quick->bytes);
  t->quick = cr__layout_of(like);
  return true;
}

static inline cr_var push(cr_tape *t, const cr_tensor *a, const cr_tensor *b, cr_node n, uint32_t number) {
  const cr_layout *q = t->quick;
  cr_tensor *r = cr__arena_bump(&t->arena, q->bytes);
  if (!r) return (cr_var){t, 0, 0};
  const uint32_t id = t->count++;
  r->data = numbers_of(r, q);
  r->like = &q->array;
  r->view = false;
  r->differentiable = a->differentiable || b->differentiable ? CR__QUICK : 0;
  t->node[id] = n;
  t->slot[id].tensor = r;
  const cr_few *few = &t->few[number - CR__FIRST_ROW].of[q->kernels];
  if (CR__LIKELY(few->loop != NULL)) few->loop(q->array.count, a->data, b->data, r->data);
  else t->op[number]->row->loop((cr_dtype)q->array.dtype, q->array.count, a->data, 1, b->data, 1, r->data);
  return (cr_var){t, id, n.head};
}

static __attribute__((noinline)) cr_var record1(cr_var x, uint32_t number) {
  if (!x.tape) return (cr_var){0};
  return look_again(x.tape, x, x) ? cr__record_row1(x, number) : cr_record(x.tape, x.tape->op[number], 1, &x, NULL);
}

cr_var cr__record_row1(cr_var x, uint32_t number) {
  cr_tape *t = x.tape;
  if (CR__LIKELY(t && !t->lazy && t->count < t->fast_limit && is_record(t, x))) {
    const cr_tensor *a = t->slot[x.id].tensor;
    if (CR__LIKELY(a->like == &t->quick->array)) {
      cr_var v = push(t, a, a, (cr_node){cr__head(t, number | CR__RECORD), {x.id, 0, 0}}, number);
      if (CR__LIKELY(v.id)) return v;
    }
  }
  return record1(x, number);
}

static __attribute__((noinline)) cr_var record2(cr_var x, cr_var y, uint32_t number) {
  if (!x.tape) return (cr_var){0};
  if (look_again(x.tape, x, y)) return cr__record_row2(x, y, number);
  return cr_record(x.tape, x.tape->op[number], 2, (cr_var[]){x, y}, NULL);
}

cr_var cr__record_row2(cr_var x, cr_var y, uint32_t number) {
  cr_tape *t = x.tape;
  if (CR__LIKELY(t && !t->lazy && t->count < t->fast_limit && is_record(t, x) && is_record(t, y))) {
    const cr_tensor *a = t->slot[x.id].tensor, *b = t->slot[y.id].tensor;
    if (CR__LIKELY(a->like == &t->quick->array && b->like == a->like)) {
      cr_var v = push(t, a, b, (cr_node){cr__head(t, number | CR__RECORD), {x.id, y.id, 0}}, number);
      if (CR__LIKELY(v.id)) return v;
    }
  }
  return record2(x, y, number);
}

/* The reverse sweep */

#define ADD(T) for (int64_t i = 0; i < q->count; i++) ((T *)to)[i] += ((const T *)from)[i];

/* Operand k's part of the step of node id, a row that has no kernel for few numbers. */
static __attribute__((noinline)) void pull_other(const cr_sweep *s, uint32_t id, int k, void *to, bool add) {
  const cr_tape *t = s->tape;
  const cr_node *n = &t->node[id];
  const cr_tensor *y = t->slot[id].tensor, *a = t->slot[n->in[0]].tensor, *b = n->in[1] ? t->slot[n->in[1]].tensor : a;
  const cr_array *q = y->like;
  const cr_dtype dtype = (cr_dtype)q->dtype;
  double from[CR__FEW_NUMBERS];
  t->op[cr__op_number(t, id)]->row->pull[k](dtype, q->count, a->data, 1, b->data, 1, y->data, 1, s->of[id].sum->data, 1,
                                            add ? from : to);
  if (!add) return;
  if (dtype == CR_FLOAT64) ADD(double) else ADD(float)
}

/* Room for what comes to a node's adjoint first. */
static inline cr__total *new_total(cr_sweep *s, uint32_t id, const cr_layout *q) {
  cr__total *sum = cr__arena_bump(&s->arena, q->bytes);
  if (!sum) return cr__new_adjoint(s, id);
  *sum = (cr__total){numbers_of(sum, q), &q->array, false};
  return sum;
}

uint32_t cr__sweep_quick(cr_sweep *s, uint32_t from, cr_status *status) {
  const cr_tape *t = s->tape;
  for (uint32_t id = from; id >= 1; id--) {
    const cr_node *n = &t->node[id];
    const cr__total *g = s->of[id].sum;
    if (!(n->head & CR__RECORD)) return id;
    if (!g) continue;
    const cr_tensor *y = t->slot[id].tensor;
    const cr_layout *q = cr__layout_of(y->like);
    if (y->differentiable != CR__QUICK || g->like != y->like || q->kernels == CR__MANY) return id;
    /* Operand 1 of a row with one operand is the poison node, a constant, of which kernels may not read as many numbers. */
    const cr_tensor *operand[2] = {t->slot[n->in[0]].tensor, t->slot[n->in[1]].tensor};
    const void *a = operand[0]->data, *b = n->in[1] ? operand[1]->data : a;
    const cr_few *few = &t->few[(n->head & (CR__RECORD - 1)) - CR__FIRST_ROW].of[q->kernels];
#pragma GCC unroll 2
    for (int k = 0; k < 2; k++) {
      if (!operand[k]->differentiable) continue;
      cr__adjoint *of = &s->of[n->in[k]];
      const bool add = of->sum != NULL;
      if (!add) of->sum = new_total(s, n->in[k], q);
      if (!of->sum || (of->sum->shared && !cr__own_adjoint(s, n->in[k]))) return *status = CR_NO_MEMORY, 0;
      if (!CR__LIKELY(few->pull[k][add] != NULL)) pull_other(s, id, k, of->sum->data, add);
      else few->pull[k][add](q->array.count, a, b, y->data, g->data, of->sum->data);
    }
  }
  return 0;
}
