/* Numeric reverse sweep: the adjoints of one output with respect to every node, as numbers. */
#include "internal.h"

typedef union adjoint {
  double num;        /* of inline nodes */
  cr_array *array;   /* of records; NULL where zero */
} adjoint;

struct cr_sweep {
  cr_owned owned;
  cr_tape *tape;
  adjoint *of;       /* by id */
  uint32_t count, capacity;
  cr_arena arena;    /* arrays of the records' adjoints */
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
  if (!s) return;
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

/* A zeroed array of the node's shape for its adjoint. */
static cr_array *new_adjoint(cr_sweep *s, uint32_t id) {
  cr_array like = cr__array_of(s->tape, id), *a = cr__arena_take(&s->arena, sizeof *a, 64);
  if (a) {
    cr_array_init(a, (cr_dtype)like.dtype, like.rank, like.dim);
    size_t bytes = (size_t)a->count * cr_dtype_size((cr_dtype)a->dtype);
    a->data = cr__arena_take(&s->arena, bytes ? bytes : 1, 64);
    if (a->data) {
      memset(a->data, 0, bytes);
      return a;
    }
  }
  cr__out_of_memory(s->tape);
  return NULL;
}

static void add_contiguous(cr_array *to, const cr_array *from) {
  if (to->dtype == CR_FLOAT64) {
    double *p = to->data;
    const double *q = from->data;
    for (int64_t k = 0; k < to->count; k++) p[k] += q[k];
  } else {
    float *p = to->data;
    const float *q = from->data;
    for (int64_t k = 0; k < to->count; k++) p[k] += q[k];
  }
}

static cr_status add_to(cr_sweep *s, uint32_t id, const cr_array *c, const cr_op *op) {
  cr_tape *t = s->tape;
  if (!cr__is_record(t, id)) {
    if (c->count == 1) s->of[id].num += cr_array_get(c, 0);
    return CR_OK;
  }
  cr_array node = cr__array_of(t, id);
  if (node.dtype < CR_FLOAT32) return CR_OK;
  if (c->count != node.count || c->dtype != node.dtype) {
    cr_fail(t, CR_INTERNAL, "the reverse rule of %s returned a cotangent that does not fit its operand", op->name);
    return CR_INTERNAL;
  }
  bool first = !s->of[id].array;
  if (first && !(s->of[id].array = new_adjoint(s, id))) return CR_NO_MEMORY;
  cr_array *to = s->of[id].array;
  if (first)
    cr_array_copy(to, c);
  else if (c->contiguous)
    add_contiguous(to, c);
  else
    for (int64_t k = 0; k < c->count; k++) cr_array_set(to, k, cr_array_get(to, k) + cr_array_get(c, k));
  return CR_OK;
}

bool cr__differentiable(const cr_tape *t, uint32_t id) {
  if (!cr__is_record(t, id)) return cr__op_number(t, id) != CR__CONST;
  return t->slot[id].tensor->differentiable;
}

/* An elementwise node: g * partial into a buffer, operand by operand. */
static cr_status pull_row(cr_sweep *s, uint32_t id, const cr_op *op) {
  cr_tape *t = s->tape;
  const cr_array *g = s->of[id].array;
  cr_array y = cr__array_of(t, id), in[2];
  for (int k = 0; k < op->arity; k++) in[k] = cr__array_of(t, t->node[id].in[k]);
  if (op->arity == 1) in[1] = in[0];
  for (int k = 0; k < op->arity; k++) {
    uint32_t operand = t->node[id].in[k];
    if (!cr__differentiable(t, operand)) continue;
    uint32_t chunk = t->arena.current;
    size_t used = t->arena.used;
    cr_array c;
    cr_array_init(&c, (cr_dtype)y.dtype, y.rank, y.dim);
    c.data = cr__alloc(t, (size_t)c.count * cr_dtype_size((cr_dtype)c.dtype));
    if (!c.data) return CR_NO_MEMORY;
    cr__row_pull(op->row, k, &in[0], &in[1], &y, g, &c);
    cr_status status = add_to(s, operand, &c, op);
    cr__arena_reset(&t->arena, chunk, used);
    if (status != CR_OK) return status;
  }
  return CR_OK;
}

enum { FEW = 16 };

/* Any other node: its rule records nodes above a private mark; their numbers are added up and the nodes taken back. */
static cr_status pull_rule(cr_sweep *s, uint32_t id, const cr_op *op) {
  cr_tape *t = s->tape;
  int n;
  const uint32_t *in = cr__operands(t, id, &n);
  cr_mark mark = cr_mark_here(t);
  cr_var few[FEW], *d = n > FEW ? cr__alloc(t, (size_t)n * sizeof *d) : few;
  unsigned char few_wanted[FEW], *wanted = n > FEW ? cr__alloc(t, (size_t)n) : few_wanted;
  cr_status status = d && wanted ? CR_OK : CR_NO_MEMORY;
  if (status == CR_OK) {
    for (int k = 0; k < n; k++) wanted[k] = cr__differentiable(t, in[k]);
    cr_var g = cr__view_leaf(t, s->of[id].array, true);
    status = g.id ? cr__apply_vjp(t, id, g, wanted, d) : t->error;
  }
  in = cr__operands(t, id, &n); /* the node table may have moved */
  for (int k = 0; status == CR_OK && k < n; k++)
    if (d[k].id) {
      cr_array c = cr__array_of(t, d[k].id);
      status = add_to(s, cr__operands(t, id, &n)[k], &c, op);
    }
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
    if (!op || !s->of[id].array || !t->slot[id].tensor->differentiable) continue;
    cr_status status = op->row ? pull_row(s, id, op) : pull_rule(s, id, op);
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
    cr_array *bar = s->of[y.id].array = new_adjoint(s, y.id);
    for (int64_t k = 0; bar && k < bar->count; k++) cr_array_set(bar, k, 1);
    return bar != NULL;
  }
  cr_array c = cr__array_of(t, cotangent.id);
  if (c.count != a.count || c.dtype != a.dtype) {
    char have[200], need[200];
    cr_fail(t, CR_BAD_SHAPE, "the cotangent is %s %s but the output is %s %s", cr_dtype_name((cr_dtype)c.dtype),
            cr_shape_text(&c, have, sizeof have), cr_dtype_name((cr_dtype)a.dtype), cr_shape_text(&a, need, sizeof need));
    return false;
  }
  return add_to(s, y.id, &c, NULL) == CR_OK;
}

cr_sweep *cr_backward_from(cr_var y, cr_var cotangent) {
  cr_tape *t = y.tape;
  if (!t || !cr__valid(t, y) || (cotangent.id && !cr__valid(t, cotangent))) return NULL;
  if (!y.id) {
    cr_fail(t, CR_POISONED, "cr_backward: the output is the poison node");
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

static bool in_sweep(const cr_sweep *s, cr_var x) { return s && cr__valid(s->tape, x) && x.id < s->count; }

double cr_adjoint(const cr_sweep *s, cr_var x) {
  if (!in_sweep(s, x)) return s && x.tape == s->tape && x.id < s->tape->count ? 0 : (double)NAN;
  if (!cr__is_record(s->tape, x.id)) return s->of[x.id].num;
  const cr_array *a = s->of[x.id].array;
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
  const cr_array *a = in_sweep(s, x) && record ? s->of[x.id].array : NULL;
  for (int64_t k = 0; k < n; k++) out[k] = a ? cr_array_get(a, k) : record || !in_sweep(s, x) ? 0 : s->of[x.id].num;
  return CR_OK;
}

cr_var cr_adjoint_var(cr_sweep *s, cr_var x) {
  if (!s || !cr__valid(s->tape, x)) return (cr_var){x.tape, 0, 0};
  cr_tape *t = s->tape;
  if (!cr__is_record(t, x.id)) return cr_const(t, cr_adjoint(s, x));
  cr_array node = cr__array_of(t, x.id);
  const cr_array *a = in_sweep(s, x) ? s->of[x.id].array : NULL;
  return cr_constant_of(t, (cr_dtype)node.dtype, node.rank, node.dim, a ? a->data : NULL);
}

/* CR_FIND_NONFINITE: called right after node id handed its cotangent on, so the first bad operand is the origin. */
cr_status cr__check_adjoints(cr_sweep *s, uint32_t id) {
  cr_tape *t = s->tape;
  int n;
  const uint32_t *in = cr__operands(t, id, &n);
  for (int j = 0; j < n; j++) {
    cr_array one = cr__array_of(t, in[j]);
    const cr_array *a = cr__is_record(t, in[j]) ? s->of[in[j]].array : &one;
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
