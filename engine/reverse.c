/* Numeric reverse sweep: the adjoints of one output with respect to every node, as numbers. */
#include "sweep.h"

bool cr__differentiable(const cr_tape *t, uint32_t id) {
  if (!cr__is_record(t, id)) return cr__op_number(t, id) != CR__CONST;
  return t->slot[id].tensor->differentiable;
}

/* An elementwise node: g * partial, operand by operand; g itself where the partial is 1. */
static cr_status pull_row(cr_sweep *s, uint32_t id, const cr_op *op) {
  cr_tape *t = s->tape;
  cr_array g = cr__total_array(s->of[id].sum), y = cr__array_of(t, id), in[2];
  for (int k = 0; k < op->arity; k++) in[k] = cr__array_of(t, t->node[id].in[k]);
  if (op->arity == 1) in[1] = in[0];
  for (int k = 0; k < op->arity; k++) {
    uint32_t operand = t->node[id].in[k], chunk = s->arena.current;
    size_t used = s->arena.used;
    if (!cr__differentiable(t, operand)) continue;
    const cr__total *old = cr__is_record(t, operand) ? s->of[operand].sum : NULL, *c = NULL;
    bool same = op->row->same[k], added = !cr__is_record(t, operand) || (old && !old->shared);
    cr_array term = g;
    if (!same) {
      if (!(c = cr__new_adjoint(s, id))) return CR_NO_MEMORY;
      term = cr__total_array(c);
      cr__row_pull(t, op->row, k, &in[0], &in[1], &y, &g, &term);
    }
    cr_status status = cr__add_to(s, operand, &term, op, same);
    if (status != CR_OK) return status;
    if (added) cr__arena_reset(&s->arena, chunk, used);
  }
  return CR_OK;
}

/* Does a slice look at a contiguous operand? */
static bool is_window(const cr_tape *t, uint32_t id, const cr_op *op) {
  const cr_tensor *y = t->slot[id].tensor;
  const uint32_t from = t->node[id].in[0];
  if (!op->window || !y->view || !cr__is_record(t, from)) return false;
  const cr_array *x = t->slot[from].tensor->like;
  return x->contiguous && y->like->count < x->count && x->dtype == y->like->dtype;
}

#define ADD_ROW(T) for (int64_t k = 0; k < n; k++) ((T *)to.data)[at + k * step] += ((const T *)g.data)[row + k];

/* The adjoint of a part is added to that part of the operand's: a loop over slices costs no more than the whole. */
static cr_status pull_window(cr_sweep *s, uint32_t id) {
  cr_tape *t = s->tape;
  const uint32_t operand = t->node[id].in[0];
  const void *x = cr__array_of(t, operand).data;
  cr_array to = cr__array_of(t, id), g = cr__total_array(s->of[id].sum);
  if (!cr__differentiable(t, operand) || !to.count) return CR_OK;
  cr__total *sum = cr__own_adjoint(s, operand);
  if (!sum || !cr__make_contiguous(s, &g)) return CR_NO_MEMORY;
  to.data = (char *)sum->data + ((const char *)to.data - (const char *)x);
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
    const cr__total *old = cr__is_record(t, operand) ? s->of[operand].sum : NULL;
    cr_array c = cr__array_of(t, d[k].id);
    taken = taken || (cr__is_record(t, operand) && (!old || old->shared));
    cr_status status = cr__add_to(s, operand, &c, op, is_shared(t, n, d, k));
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
  const cr_array bar = cr__total_array(s->of[id].sum);
  cr_var g = cr__view_leaf(t, &bar, true);
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

static cr_status pull(cr_sweep *s, uint32_t id) {
  cr_tape *t = s->tape;
  const cr_op *op = t->op[cr__op_number(t, id)];
  if (!op || !s->of[id].sum || !t->slot[id].tensor->differentiable) return CR_OK;
  cr_status status = op->row ? pull_row(s, id, op) : is_window(t, id, op) ? pull_window(s, id) : pull_rule(s, id, op);
  return status == CR_OK && t->option[CR_FIND_NONFINITE] ? cr__check_adjoints(s, id) : status;
}

static cr_status sweep_down(cr_sweep *s) {
  cr_tape *t = s->tape;
  uint32_t (*scalars)(cr_tape *, double *, uint32_t, uint32_t) = t->table->scalar_sweep;
  if (!scalars) scalars = generic_scalar_sweep;
  cr_status status = CR_OK;
  for (uint32_t id = s->count - 1; id >= 1 && status == CR_OK;) {
    if (!cr__is_record(t, id)) {
      id = scalars(t, &s->of[0].num, id, 1);
      continue;
    }
    uint32_t next = t->option[CR_FIND_NONFINITE] ? id : cr__sweep_quick(s, id, &status);
    if (next == id) status = pull(s, id), next--;
    id = next;
  }
  return status;
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
    cr__total *bar = s->of[y.id].sum = cr__new_adjoint(s, y.id);
    if (!bar) return false;
    cr_array ones = cr__total_array(bar);
    for (int64_t k = 0; k < ones.count; k++) cr_array_set(&ones, k, 1);
    return true;
  }
  cr_array c = cr__array_of(t, cotangent.id);
  if (c.count != a.count || c.dtype != a.dtype) {
    char have[200], need[200];
    cr_fail(t, CR_BAD_SHAPE, "the cotangent is %s %s but the output is %s %s", cr_dtype_name((cr_dtype)c.dtype),
            cr_shape_text(&c, have, sizeof have), cr_dtype_name((cr_dtype)a.dtype), cr_shape_text(&a, need, sizeof need));
    return false;
  }
  return cr__add_to(s, y.id, &c, NULL, true) == CR_OK;
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
  cr_sweep *s = cr__new_sweep(t, y.id + 1);
  if (!s) return NULL;
  if (seed(s, y, cotangent) && sweep_down(s) == CR_OK) return s;
  cr_sweep_release(s);
  return NULL;
}

cr_sweep *cr_backward(cr_var y) { return cr_backward_from(y, (cr_var){y.tape, 0, 0}); }

/* CR_FIND_NONFINITE: called right after node id handed its cotangent on, so the first bad operand is the origin. */
cr_status cr__check_adjoints(cr_sweep *s, uint32_t id) {
  cr_tape *t = s->tape;
  int n;
  const uint32_t *in = cr__operands(t, id, &n);
  for (int j = 0; j < n; j++) {
    const cr_array a = cr_adjoint_view(s, cr__handle(t, in[j]));
    for (int64_t k = 0; a.data && k < a.count; k++)
      if (!isfinite(cr_array_get(&a, k))) {
        char what[256];
        cr_fail(t, CR_NOT_FINITE, "backward through v%u = %s: element %lld of the adjoint of operand %d (%s) is %g", id,
                t->op[cr__op_number(t, id)]->name, (long long)k, j, cr__describe(t, cr__handle(t, in[j]), what, sizeof what),
                cr_array_get(&a, k));
        return CR_NOT_FINITE;
      }
  }
  return CR_OK;
}
