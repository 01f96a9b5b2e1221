/* Numeric reverse sweep: the adjoints of one output with respect to every node, as numbers. */
#include "internal.h"
#include "parallel.h"

typedef struct total {
  cr_array array;
  bool shared;       /* its numbers are also those of another adjoint, or not all its own: not to be written */
} total;

typedef union adjoint {
  double num;        /* of inline nodes */
  total *sum;    /* of records; NULL where zero */
} adjoint;

struct cr_sweep {
  cr_owned owned;
  cr_tape *tape;
  adjoint *of;       /* by id */
  uint32_t count, capacity;
  cr_arena arena;    /* arrays of the records' adjoints */
  bool lent;         /* nodes of the tape look at them */
};

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

static cr_sweep *new_sweep(cr_tape *t, uint32_t count) {
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

/* Room for the node's adjoint, not yet filled in. */
static total *new_adjoint(cr_sweep *s, uint32_t id) {
  const size_t head = (sizeof(total) + 63) / 64 * 64;
  const cr_array *like = &s->tape->slot[id].tensor->array;
  total *c = cr__arena_take(&s->arena, head + (size_t)like->count * cr_dtype_size((cr_dtype)like->dtype), 64);
  if (!c) {
    cr__out_of_memory(s->tape);
    return NULL;
  }
  cr__dense_like(&c->array, like);
  c->array.data = (char *)c + head;
  c->shared = false;
  return c;
}

static cr_status copy_in(cr_sweep *s, uint32_t id, const cr_array *c) {
  total *first = s->of[id].sum = new_adjoint(s, id);
  if (!first) return CR_NO_MEMORY;
  cr_array_copy(&first->array, c);
  return CR_OK;
}

/* The first contribution where it lies, when it lies in the sweep's memory; else copied. Leaves' are contiguous. */
static cr_status adopt(cr_sweep *s, uint32_t id, const cr_array *c, bool shared) {
  bool stays = cr__arena_holds(&s->arena, c->data) && (c->contiguous || s->tape->op[cr__op_number(s->tape, id)]);
  total *first = stays ? cr__arena_take(&s->arena, sizeof *first, 64) : NULL;
  if (!first) return copy_in(s, id, c);
  cr_array like = cr__array_of(s->tape, id);
  *first = (total){*c, shared || !c->contiguous};
  if (c->contiguous) {
    cr_array_init(&first->array, (cr_dtype)like.dtype, like.rank, like.dim);
    first->array.data = c->data;
  }
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

/* A contiguous array of the numbers of a. */
static bool make_contiguous(cr_sweep *s, cr_array *a) {
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
  total *old = s->of[id].sum, *sum = old->shared ? new_adjoint(s, id) : old;
  cr_array x = old->array, y = *c;
  if (!sum || !make_contiguous(s, &x) || !make_contiguous(s, &y)) return CR_NO_MEMORY;
  cr__parallel(s->tape, x.count, CR__BLOCK, add_block, &(addition){&sum->array, &x, &y});
  s->of[id].sum = sum;
  return CR_OK;
}

/* Adds a contribution to a node's adjoint. A rule's is in the sweep's memory; shared: also elsewhere. */
static cr_status add_to(cr_sweep *s, uint32_t id, const cr_array *c, const cr_op *op, bool shared) {
  cr_tape *t = s->tape;
  if (!cr__is_record(t, id)) {
    if (c->count == 1) s->of[id].num += cr_array_get(c, 0);
    return CR_OK;
  }
  const cr_array *node = &t->slot[id].tensor->array;
  if (node->dtype < CR_FLOAT32) return CR_OK;
  if (c->count != node->count || c->dtype != node->dtype) {
    cr_fail(t, CR_INTERNAL, "the reverse rule of %s returned a cotangent that does not fit its operand", op->name);
    return CR_INTERNAL;
  }
  return s->of[id].sum ? add_more(s, id, c) : adopt(s, id, c, shared);
}

bool cr__differentiable(const cr_tape *t, uint32_t id) {
  if (!cr__is_record(t, id)) return cr__op_number(t, id) != CR__CONST;
  return t->slot[id].tensor->differentiable;
}

enum { SMALL = 64 };
#define ADD_TO(T) for (int64_t i = 0; i < to->count; i++) ((T *)to->data)[i] += ((const T *)from)[i];

static void add_small(const cr_array *to, const void *from) {
  if (to->dtype == CR_FLOAT64) ADD_TO(double) else ADD_TO(float)
}

/* An adjoint that looks at the dense numbers of another one. */
static total *new_look(cr_sweep *s, const cr_array *of) {
  total *c = cr__arena_take(&s->arena, sizeof *c, 64);
  if (!c) {
    cr__out_of_memory(s->tape);
    return NULL;
  }
  cr__dense_like(&c->array, of);
  c->array.data = of->data;
  c->shared = true;
  return c;
}

/* pull_row for a few dense numbers, without views of them. */
static cr_status pull_small(cr_sweep *s, uint32_t id, const cr_op *op) {
  cr_tape *t = s->tape;
  const uint32_t *in = t->node[id].in;
  const cr_array *y = &t->slot[id].tensor->array, *g = &s->of[id].sum->array, *a = &t->slot[in[0]].tensor->array;
  const cr_array *b = op->arity > 1 ? &t->slot[in[1]].tensor->array : a;
  double buffer[SMALL];
  for (int k = 0; k < op->arity; k++) {
    if (!t->slot[in[k]].tensor->differentiable) continue;
    total *old = s->of[in[k]].sum;
    bool same = op->row->partial_text[k][0] == '1' && !op->row->partial_text[k][1];
    total *own = old && !old->shared ? old : same && !old ? new_look(s, g) : new_adjoint(s, in[k]);
    if (!own) return CR_NO_MEMORY;
    s->of[in[k]].sum = own;
    if (!same)
      op->row->pull[k]((cr_dtype)y->dtype, y->count, a->data, 1, b->data, 1, y->data, 1, g->data, 1,
                       old ? buffer : own->array.data);
    if (old && own != old) cr_array_copy(&own->array, &old->array);
    if (old) add_small(&own->array, same ? g->data : buffer);
  }
  return CR_OK;
}

static bool is_small(const cr_sweep *s, uint32_t id, const cr_op *op) {
  const cr_tape *t = s->tape;
  const cr_array *y = &t->slot[id].tensor->array;
  if (y->count > SMALL || !s->of[id].sum->array.contiguous) return false;
  for (int k = 0; k < op->arity; k++)
    if (!cr__is_record(t, t->node[id].in[k]) || !t->slot[t->node[id].in[k]].tensor->array.contiguous) return false;
  return true;
}

/* An elementwise node: g * partial, operand by operand; g itself where the partial is 1. */
static cr_status pull_row(cr_sweep *s, uint32_t id, const cr_op *op) {
  cr_tape *t = s->tape;
  const cr_array *g = &s->of[id].sum->array;
  if (is_small(s, id, op)) return pull_small(s, id, op);
  cr_array y = cr__array_of(t, id), in[2];
  for (int k = 0; k < op->arity; k++) in[k] = cr__array_of(t, t->node[id].in[k]);
  if (op->arity == 1) in[1] = in[0];
  for (int k = 0; k < op->arity; k++) {
    uint32_t operand = t->node[id].in[k], chunk = s->arena.current;
    size_t used = s->arena.used;
    if (!cr__differentiable(t, operand)) continue;
    total *old = cr__is_record(t, operand) ? s->of[operand].sum : NULL, *c = NULL;
    bool same = !strcmp(op->row->partial_text[k], "1"), added = !cr__is_record(t, operand) || (old && !old->shared);
    if (!same) {
      if (!(c = new_adjoint(s, id))) return CR_NO_MEMORY;
      cr__row_pull(t, op->row, k, &in[0], &in[1], &y, g, &c->array);
    }
    cr_status status = add_to(s, operand, c ? &c->array : g, op, same);
    if (status != CR_OK) return status;
    if (added) cr__arena_reset(&s->arena, chunk, used);
  }
  return CR_OK;
}

/* The node's adjoint as memory that may be written: made of zeros, or copied when it is also another's. */
static total *own_adjoint(cr_sweep *s, uint32_t id) {
  total *old = s->of[id].sum, *own = old && !old->shared ? old : new_adjoint(s, id);
  if (!own || own == old) return own;
  if (old) cr_array_copy(&own->array, &old->array);
  else memset(own->array.data, 0, (size_t)own->array.count * cr_dtype_size((cr_dtype)own->array.dtype));
  return s->of[id].sum = own;
}

/* Does a slice look at a contiguous operand? */
static bool is_window(const cr_tape *t, uint32_t id, const cr_op *op) {
  const cr_tensor *y = t->slot[id].tensor;
  const uint32_t from = t->node[id].in[0];
  if (!op->window || !y->view || !cr__is_record(t, from)) return false;
  const cr_array *x = &t->slot[from].tensor->array;
  return x->contiguous && y->array.count < x->count && x->dtype == y->array.dtype;
}

#define ADD_ROW(T) for (int64_t k = 0; k < n; k++) ((T *)to.data)[at + k * step] += ((const T *)g.data)[row + k];

/* The adjoint of a part is added to that part of the operand's: a loop over slices costs no more than the whole. */
static cr_status pull_window(cr_sweep *s, uint32_t id) {
  cr_tape *t = s->tape;
  const uint32_t operand = t->node[id].in[0];
  const cr_array *x = &t->slot[operand].tensor->array;
  cr_array to = t->slot[id].tensor->array, g = s->of[id].sum->array;
  if (!cr__differentiable(t, operand) || !to.count) return CR_OK;
  total *sum = own_adjoint(s, operand);
  if (!sum || !make_contiguous(s, &g)) return CR_NO_MEMORY;
  to.data = (char *)sum->array.data + ((const char *)to.data - (const char *)x->data);
  int64_t n = to.rank ? to.dim[to.rank - 1] : 1, step = to.rank ? to.stride[to.rank - 1] : 1;
  for (int64_t row = 0; row < to.count; row += n) {
    int64_t at = cr_array_offset(&to, row);
    if (to.dtype == CR_FLOAT64) ADD_ROW(double) else ADD_ROW(float)
  }
  return CR_OK;
}

enum { FEW = 16 };

/* The numbers of contribution k may be those of another one too. */
static bool is_shared(const cr_tape *t, int n, const cr_var *d, int k) {
  for (int j = 0; j < n; j++)
    if (d[j].id && ((j != k && d[j].id == d[k].id) || (cr__is_record(t, d[j].id) && t->slot[d[j].id].tensor->view)))
      return true;
  return false;
}

/* The contributions are added where they lie. Memory of the rule that no adjoint has taken over goes back. */
static cr_status add_all(cr_sweep *s, uint32_t id, const cr_op *op, int n, const cr_var *d, uint32_t chunk, size_t used) {
  cr_tape *t = s->tape;
  bool taken = false;
  for (int k = 0; k < n; k++) {
    if (!d[k].id) continue;
    uint32_t operand = cr__operands(t, id, &n)[k];
    const total *old = cr__is_record(t, operand) ? s->of[operand].sum : NULL;
    cr_array c = cr__array_of(t, d[k].id);
    taken = taken || (cr__is_record(t, operand) && (!old || old->shared));
    cr_status status = add_to(s, operand, &c, op, is_shared(t, n, d, k));
    if (status != CR_OK) return status;
  }
  if (!taken) cr__arena_reset(&s->arena, chunk, used);
  return CR_OK;
}

/* Any other node: its rule records nodes above a private mark, with numbers in the sweep's memory; the nodes are taken
 * back. */
static cr_status pull_rule(cr_sweep *s, uint32_t id, const cr_op *op) {
  cr_tape *t = s->tape;
  int n;
  const uint32_t *in = cr__operands(t, id, &n);
  cr_mark mark = cr_mark_here(t);
  cr_var few[FEW], *d = n > FEW ? cr__alloc(t, (size_t)n * sizeof *d) : few;
  unsigned char few_wanted[FEW], *wanted = n > FEW ? cr__alloc(t, (size_t)n) : few_wanted;
  if (!d || !wanted) return CR_NO_MEMORY;
  for (int k = 0; k < n; k++) wanted[k] = cr__differentiable(t, in[k]);
  cr_arena own = t->arena;
  uint32_t chunk = s->arena.current;
  size_t used = s->arena.used;
  t->arena = s->arena;
  cr_var g = cr__view_leaf(t, &s->of[id].sum->array, true);
  cr_status status = g.id ? cr__apply_vjp(t, id, g, wanted, d) : t->error;
  s->arena = t->arena;
  t->arena = own;
  if (status == CR_OK) status = add_all(s, id, op, n, d, chunk, used);
  cr__rewind(t, mark);
  return status;
}

static uint32_t generic_scalar_sweep(cr_tape *t, double *bar, uint32_t from, uint32_t to) {
  for (uint32_t id = from; id >= to; id--) {
    const cr_node *n = &t->node[id];
    uint32_t number = cr__op_bits(n);
    if (number & CR__RECORD) return id;
    double g = bar[id];
    if (number < CR__FIRST_ROW || g == 0) continue;
    const cr_op *op = t->op[number];
    double a = t->slot[n->in[0]].num, b = t->slot[n->in[1]].num, y = t->slot[id].num;
    for (int k = 0; k < op->arity; k++) bar[n->in[k]] += g * op->row->partial[k](a, b, y);
  }
  return to - 1;
}

static cr_status sweep_down(cr_sweep *s) {
  cr_tape *t = s->tape;
  uint32_t (*scalars)(cr_tape *, double *, uint32_t, uint32_t) = t->table->scalar_sweep;
  if (!scalars) scalars = generic_scalar_sweep;
  for (uint32_t id = s->count - 1; id >= 1; id--) {
    if (!cr__is_record(t, id)) {
      id = scalars(t, &s->of[0].num, id, 1);
      if (id < 1) break;
    }
    const cr_op *op = t->op[cr__op_number(t, id)];
    if (!op || !s->of[id].sum || !t->slot[id].tensor->differentiable) continue;
    cr_status status = op->row ? pull_row(s, id, op) : is_window(t, id, op) ? pull_window(s, id) : pull_rule(s, id, op);
    if (status == CR_OK && t->option[CR_FIND_NONFINITE]) status = cr__check_adjoints(s, id);
    if (status != CR_OK) return status;
  }
  return CR_OK;
}

static bool seed(cr_sweep *s, cr_var y, cr_var cotangent) {
  cr_tape *t = s->tape;
  cr_array a = cr__array_of(t, y.id);
  if (a.dtype < CR_FLOAT32) return true; /* integers carry no derivative: all adjoints are zero */
  if (!cotangent.id) {
    if (!cr__is_record(t, y.id)) {
      s->of[y.id].num = 1;
      return true;
    }
    total *bar = s->of[y.id].sum = new_adjoint(s, y.id);
    for (int64_t k = 0; bar && k < bar->array.count; k++) cr_array_set(&bar->array, k, 1);
    return bar != NULL;
  }
  cr_array c = cr__array_of(t, cotangent.id);
  if (c.count != a.count || c.dtype != a.dtype) {
    char have[200], need[200];
    cr_fail(t, CR_BAD_SHAPE, "the cotangent is %s %s but the output is %s %s", cr_dtype_name((cr_dtype)c.dtype),
            cr_shape_text(&c, have, sizeof have), cr_dtype_name((cr_dtype)a.dtype), cr_shape_text(&a, need, sizeof need));
    return false;
  }
  return add_to(s, y.id, &c, NULL, true) == CR_OK;
}

cr_sweep *cr_backward_from(cr_var y, cr_var cotangent) {
  cr_tape *t = y.tape;
  if (!t || !cr__valid(t, y) || (cotangent.id && !cr__valid(t, cotangent))) return NULL;
  if (!y.id) {
    cr_fail(t, CR_POISONED, "cr_backward: the output is the poison node");
    return NULL;
  }
  if (t->lazy) {
    cr_fail(t, CR_BAD_ARGUMENT, "cr_backward: shapes alone are recorded (CR_LAZY)");
    return NULL;
  }
  cr_sweep *s = new_sweep(t, y.id + 1);
  if (!s) return NULL;
  if (seed(s, y, cotangent) && sweep_down(s) == CR_OK) return s;
  cr_sweep_release(s);
  return NULL;
}

cr_sweep *cr_backward(cr_var y) { return cr_backward_from(y, (cr_var){y.tape, 0, 0}); }

/* Reading */

/* Of a record; NULL when it is zero. */
static const cr_array *adjoint_of(const cr_sweep *s, uint32_t id) { return s->of[id].sum ? &s->of[id].sum->array : NULL; }

static bool in_sweep(const cr_sweep *s, cr_var x) { return s && cr__valid(s->tape, x) && x.id < s->count; }

double cr_adjoint(const cr_sweep *s, cr_var x) {
  if (!in_sweep(s, x)) return s && x.tape == s->tape && x.id < s->tape->count ? 0 : (double)NAN;
  if (!cr__is_record(s->tape, x.id)) return s->of[x.id].num;
  const cr_array *a = adjoint_of(s, x.id);
  if (!a) return 0;
  if (a->count == 1) return cr_array_get(a, 0);
  cr_fail(s->tape, CR_BAD_SHAPE, "cr_adjoint: the node is a tensor; read it with cr_adjoint_read");
  return (double)NAN;
}

cr_status cr_adjoint_read(const cr_sweep *s, cr_var x, double *out, int64_t n) {
  if (!s || !cr__valid(s->tape, x)) return CR_STALE;
  cr_array node = cr__array_of(s->tape, x.id);
  if (node.count != n) {
    cr_fail(s->tape, CR_BAD_SHAPE, "cr_adjoint_read: the node has %lld elements, not %lld", (long long)node.count, (long long)n);
    return CR_BAD_SHAPE;
  }
  bool record = cr__is_record(s->tape, x.id);
  const cr_array *a = in_sweep(s, x) && record ? adjoint_of(s, x.id) : NULL;
  for (int64_t k = 0; k < n; k++) out[k] = a ? cr_array_get(a, k) : record || !in_sweep(s, x) ? 0 : s->of[x.id].num;
  return CR_OK;
}

cr_var cr_adjoint_var(cr_sweep *s, cr_var x) {
  if (!s || !cr__valid(s->tape, x)) return (cr_var){x.tape, 0, 0};
  cr_tape *t = s->tape;
  if (!cr__is_record(t, x.id)) return cr_const(t, cr_adjoint(s, x));
  const cr_array *a = in_sweep(s, x) ? adjoint_of(s, x.id) : NULL;
  if (a && a->contiguous) {
    s->lent = true;
    return cr__view_leaf(t, a, true);
  }
  cr_array node = cr__array_of(t, x.id);
  cr_var copy = cr_constant_of(t, (cr_dtype)node.dtype, node.rank, node.dim, NULL);
  if (!copy.id || !a) return copy;
  node = cr__array_of(t, copy.id);
  cr_array_copy(&node, a);
  return copy;
}

cr_array cr_adjoint_view(const cr_sweep *s, cr_var x) {
  cr_array none = {.dtype = CR_FLOAT64, .contiguous = 1}, one;
  if (!in_sweep(s, x)) return none;
  if (cr__is_record(s->tape, x.id)) return s->of[x.id].sum ? s->of[x.id].sum->array : none;
  cr_array_init(&one, CR_FLOAT64, 0, NULL);
  union { const double *in; void *view; } number = {&s->of[x.id].num};
  one.data = number.view;
  return one;
}

/* CR_FIND_NONFINITE: called right after node id handed its cotangent on, so the first bad operand is the origin. */
cr_status cr__check_adjoints(cr_sweep *s, uint32_t id) {
  cr_tape *t = s->tape;
  int n;
  const uint32_t *in = cr__operands(t, id, &n);
  for (int j = 0; j < n; j++) {
    cr_array one = cr__array_of(t, in[j]);
    const cr_array *a = cr__is_record(t, in[j]) ? adjoint_of(s, in[j]) : &one;
    if (a == &one) one.data = &s->of[in[j]].num;
    for (int64_t k = 0; a && k < a->count; k++)
      if (!isfinite(cr_array_get(a, k))) {
        char what[256];
        cr_fail(t, CR_NOT_FINITE, "backward through v%u = %s: element %lld of the adjoint of operand %d (%s) is %g", id,
                t->op[cr__op_number(t, id)]->name, (long long)k, j, cr__describe(t, cr__handle(t, in[j]), what, sizeof what),
                cr_array_get(a, k));
        return CR_NOT_FINITE;
      }
  }
  return CR_OK;
}
