/* The adjoints of a sweep: their memory, the sums of what comes to them, and reading them. */
#include "parallel.h"
#include "sweep.h"

static void destroy(cr_tape *t, cr_owned *self) {
  cr_sweep *s = (cr_sweep *)(void *)self;
  if (!t->spare_sweep) { /* touched memory is worth keeping: the next sweep takes it */
    cr__arena_reset(&s->arena, 0, 0);
    t->spare_sweep = s;
    return;
  }
  cr__sweep_free(t, s);
}

void cr__sweep_free(cr_tape *t, cr_sweep *s) {
  if (!s) return;
  cr__arena_free(&s->arena);
  cr__resize(&t->counted, s->of, s->capacity * sizeof *s->of, 0);
  cr__resize(&t->counted, s, sizeof *s, 0);
}

void cr_sweep_release(cr_sweep *s) {
  if (!s || s->lent) return;
  for (cr_owned **o = &s->tape->owned; *o; o = &(*o)->next)
    if (*o == &s->owned) {
      *o = s->owned.next;
      destroy(s->tape, &s->owned);
      return;
    }
}

cr_sweep *cr__new_sweep(cr_tape *t, uint32_t count) {
  cr_sweep *s = t->spare_sweep;
  t->spare_sweep = NULL;
  if (!s) {
    s = cr__resize_on(t, NULL, 0, sizeof *s);
    if (!s) return NULL;
    memset(s, 0, sizeof *s);
    s->tape = t;
    cr__arena_init(&s->arena, &t->counted);
  }
  cr__own(t, &s->owned, destroy);
  s->lent = false;
  if (count > s->capacity) {
    uint32_t capacity = t->capacity > count ? t->capacity : count;
    cr__resize(&t->counted, s->of, s->capacity * sizeof *s->of, 0);
    s->capacity = 0;
    s->of = cr__resize_on(t, NULL, 0, capacity * sizeof *s->of);
    if (!s->of) {
      cr_sweep_release(s);
      return NULL;
    }
    s->capacity = capacity;
  }
  s->count = count;
  memset(s->of, 0, count * sizeof *s->of);
  return s;
}

cr__total *cr__new_adjoint(cr_sweep *s, uint32_t id) {
  const cr_array *like = cr__dense_layout(s->tape, &s->arena, s->tape->slot[id].tensor->like);
  const size_t head = 64, bytes = like ? (size_t)like->count * cr_dtype_size((cr_dtype)like->dtype) : 0;
  cr__total *c = like ? cr__arena_take(&s->arena, head + bytes, 64) : NULL;
  if (c) *c = (cr__total){(char *)c + head, like, false};
  else cr__out_of_memory(s->tape);
  return c;
}

static cr_status copy_in(cr_sweep *s, uint32_t id, const cr_array *c) {
  cr__total *first = s->of[id].sum = cr__new_adjoint(s, id);
  if (!first) return CR_NO_MEMORY;
  cr_array to = cr__total_array(first);
  cr_array_copy(&to, c);
  return CR_OK;
}

/* The first contribution where it lies, when it lies in the sweep's memory; else copied. Leaves' are contiguous. */
static cr_status adopt(cr_sweep *s, uint32_t id, const cr_array *c, bool shared) {
  cr_tape *t = s->tape;
  bool stays = cr__arena_holds(&s->arena, c->data) && (c->contiguous || t->op[cr__op_number(t, id)]);
  if (!stays) return copy_in(s, id, c);
  const cr_array *node = t->slot[id].tensor->like;
  const cr_array *like = c->contiguous ? cr__dense_layout(t, &s->arena, node) : cr__layout(t, &s->arena, c);
  cr__total *first = like ? cr__arena_take(&s->arena, sizeof *first, CR__GRAIN) : NULL;
  if (!first) return cr__out_of_memory(t), CR_NO_MEMORY;
  *first = (cr__total){c->data, like, shared || !c->contiguous};
  s->of[id].sum = first;
  return CR_OK;
}

typedef struct addition {
  cr_array *to;
  const cr_array *x, *y;
} addition;

#define ADD(T)                                                            \
  {                                                                       \
    T *to = (T *)a->to->data;                                             \
    const T *x = (const T *)a->x->data, *y = (const T *)a->y->data;       \
    for (int64_t k = from; k < end; k++) to[k] = x[k] + y[k];             \
  }
static void add_block(void *context, int64_t from, int64_t end) {
  const addition *a = context;
  if (a->to->dtype == CR_FLOAT64) ADD(double) else ADD(float)
}

bool cr__make_contiguous(cr_sweep *s, cr_array *a) {
  if (a->contiguous) return true;
  cr_array copy;
  cr_array_init(&copy, (cr_dtype)a->dtype, a->rank, a->dim);
  copy.data = cr__arena_take(&s->arena, (size_t)a->count * cr_dtype_size((cr_dtype)a->dtype) + 1, 64);
  if (copy.data) cr_array_copy(&copy, a);
  else cr__out_of_memory(s->tape);
  *a = copy;
  return copy.data != NULL;
}

static cr_status add_more(cr_sweep *s, uint32_t id, const cr_array *c) {
  cr__total *old = s->of[id].sum, *sum = old->shared ? cr__new_adjoint(s, id) : old;
  cr_array x = cr__total_array(old), y = *c;
  if (!sum || !cr__make_contiguous(s, &x) || !cr__make_contiguous(s, &y)) return CR_NO_MEMORY;
  cr_array to = cr__total_array(sum);
  cr__parallel(s->tape, x.count, CR__BLOCK, add_block, &(addition){&to, &x, &y});
  s->of[id].sum = sum;
  return CR_OK;
}

cr_status cr__add_to(cr_sweep *s, uint32_t id, const cr_array *c, const cr_op *op, bool shared) {
  cr_tape *t = s->tape;
  if (!cr__is_record(t, id)) {
    if (c->count == 1) s->of[id].num += cr_array_get(c, 0);
    return CR_OK;
  }
  const cr_array *node = t->slot[id].tensor->like;
  if (node->dtype < CR_FLOAT32) return CR_OK;
  if (c->count != node->count || c->dtype != node->dtype) {
    cr_fail(t, CR_INTERNAL, "the reverse rule of %s returned a cotangent that does not fit its operand", op->name);
    return CR_INTERNAL;
  }
  return s->of[id].sum ? add_more(s, id, c) : adopt(s, id, c, shared);
}

cr__total *cr__own_adjoint(cr_sweep *s, uint32_t id) {
  cr__total *old = s->of[id].sum, *own = old && !old->shared ? old : cr__new_adjoint(s, id);
  if (!own || own == old) return own;
  cr_array to = cr__total_array(own);
  if (old) {
    const cr_array from = cr__total_array(old);
    cr_array_copy(&to, &from);
  } else {
    memset(to.data, 0, (size_t)to.count * cr_dtype_size((cr_dtype)to.dtype));
  }
  return s->of[id].sum = own;
}

/* Reading */

/* Data NULL where it is a zero that nobody wrote. */
static cr_array adjoint_of(const cr_sweep *s, uint32_t id) {
  union { const double *in; void *view; } number = {&s->of[id].num};
  if (!cr__is_record(s->tape, id)) return cr__lying(&cr__scalar_layout.array, number.view);
  return s->of[id].sum ? cr__total_array(s->of[id].sum) : (cr_array){.dtype = CR_FLOAT64, .contiguous = 1};
}

static bool in_sweep(const cr_sweep *s, cr_var x) { return s && cr__valid(s->tape, x) && x.id < s->count; }

cr_array cr_adjoint_view(const cr_sweep *s, cr_var x) {
  return in_sweep(s, x) ? adjoint_of(s, x.id) : (cr_array){.dtype = CR_FLOAT64, .contiguous = 1};
}

double cr_adjoint(const cr_sweep *s, cr_var x) {
  if (!in_sweep(s, x)) return s && x.tape == s->tape && x.id < s->tape->count ? 0 : (double)NAN;
  cr_array a = adjoint_of(s, x.id);
  if (!a.data) return 0;
  if (a.count == 1) return cr_array_get(&a, 0);
  cr_fail(s->tape, CR_BAD_SHAPE, "cr_adjoint: the node is a tensor; read it with cr_adjoint_read");
  return (double)NAN;
}

cr_status cr_adjoint_read(const cr_sweep *s, cr_var x, double *out, int64_t n) {
  if (!s || !cr__valid(s->tape, x)) return CR_STALE;
  const int64_t count = cr__array_of(s->tape, x.id).count;
  if (count != n) {
    cr_fail(s->tape, CR_BAD_SHAPE, "cr_adjoint_read: the node has %lld elements, not %lld", (long long)count, (long long)n);
    return CR_BAD_SHAPE;
  }
  cr_array a = cr_adjoint_view(s, x);
  for (int64_t k = 0; k < n; k++) out[k] = a.data ? cr_array_get(&a, k) : 0;
  return CR_OK;
}

cr_var cr_adjoint_var(cr_sweep *s, cr_var x) {
  if (!s || !cr__valid(s->tape, x)) return (cr_var){x.tape, 0, 0};
  cr_tape *t = s->tape;
  if (!cr__is_record(t, x.id)) return cr_const(t, cr_adjoint(s, x));
  cr_array a = cr_adjoint_view(s, x);
  if (a.data && a.contiguous) {
    s->lent = true;
    return cr__view_leaf(t, &a, true);
  }
  cr_array node = cr__array_of(t, x.id);
  cr_var copy = cr_constant_of(t, (cr_dtype)node.dtype, node.rank, node.dim, NULL);
  if (!copy.id || !a.data) return copy;
  node = cr__array_of(t, copy.id);
  cr_array_copy(&node, &a);
  return copy;
}
