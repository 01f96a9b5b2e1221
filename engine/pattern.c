/* The pattern of a Jacobian: for every element of every node, the set of input elements that it depends on. A set is a
 * number (sets.c), held as a float64, so that ops which move elements carry sets with the kernel that moves numbers. */
#include "tracing.h"

void *cr__trace_take(tracing *p, size_t bytes) {
  void *memory = cr__arena_take(&p->memory, bytes ? bytes : 1, 64);
  if (!memory) cr__out_of_memory(p->t);
  return memory;
}

static bool is_float(const tracing *p, uint32_t id) { return cr__array_of(p->t, id).dtype >= CR_FLOAT32; }

/* The sets of a node's elements as an array of its shape. */
cr_array cr__trace_sets(const tracing *p, uint32_t id) {
  cr_array like = cr__array_of(p->t, id), a;
  cr_array_init(&a, CR_FLOAT64, like.rank, like.dim);
  a.data = p->of[id] ? p->of[id] : &p->one[id];
  if (p->of[id] || a.count == 1) return a;
  memset(a.stride, 0, sizeof a.stride);
  a.contiguous = a.count == 0;
  return a;
}

static uint32_t set_at(const cr_array *a, int64_t k) { return (uint32_t)((const double *)a->data)[cr_array_offset(a, k)]; }
static uint32_t joined(tracing *p, uint32_t a, uint32_t b) { return cr__set_union(p->sets, a, b); }

static uint32_t *list_of(tracing *p, int64_t n) {
  if (n > p->list_size) p->list = cr__trace_take(p, (size_t)(p->list_size = 2 * n) * sizeof *p->list);
  return p->list;
}

static uint32_t all_of(tracing *p, const cr_array *a) {
  if (!a->contiguous && a->count) return set_at(a, 0);
  uint32_t *list = list_of(p, a->count);
  for (int64_t k = 0; list && k < a->count; k++) list[k] = set_at(a, k);
  return list ? cr__set_union_of(p->sets, a->count, list) : 0;
}

/* Elementwise */

static bool matters(const tracing *p, uint32_t id, int k, uint32_t operand) {
  uint32_t row = cr__op_number(p->t, id) - CR__FIRST_ROW;
  if (!is_float(p, operand) || (!p->of[operand] && p->one[operand] == 0)) return false;
  return row >= (uint32_t)p->slopes.n || p->slopes.of[row][k] != CR__ZERO;
}

static bool own_sets(tracing *p, int64_t count) {
  p->out = cr__trace_take(p, (size_t)count * sizeof *p->out);
  for (int64_t k = 0; p->out && k < count; k++) p->out[k] = 0;
  return p->out != NULL;
}

static bool add_operand(tracing *p, int64_t count, uint32_t operand) {
  cr_array a = cr__trace_sets(p, operand);
  bool first = !p->of[p->id] && p->one[p->id] == 0;
  if (a.count != 1 && a.count != count) return cr_fail(p->t, CR_INTERNAL, "sparse: operands of two shapes"), false;
  if (!p->of[operand] && !p->of[p->id]) {
    p->one[p->id] = joined(p, (uint32_t)p->one[p->id], (uint32_t)p->one[operand]);
  } else if (first && p->of[operand] && a.count == count) {
    p->of[p->id] = p->of[operand];
  } else {
    cr_array have = cr__trace_sets(p, p->id);
    if (!own_sets(p, count)) return false;
    for (int64_t k = 0; k < count; k++) p->out[k] = joined(p, set_at(&have, k), set_at(&a, a.count == 1 ? 0 : k));
    p->of[p->id] = p->out;
  }
  return true;
}

static bool elementwise(tracing *p, int n) {
  int64_t count = cr__array_of(p->t, p->id).count;
  for (int k = 0; k < n; k++)
    if (matters(p, p->id, k, p->in[k]) && !add_operand(p, count, p->in[k])) return false;
  return p->t->error == CR_OK;
}

/* What ops tell */

/* All elements on all elements of float operands. */
static void on_all(tracing *p, int n) {
  uint32_t set = 0;
  for (int k = 0; k < n; k++) {
    if (!is_float(p, p->in[k])) continue;
    cr_array a = cr__trace_sets(p, p->in[k]);
    set = joined(p, set, all_of(p, &a));
  }
  p->one[p->id] = set;
}

static cr_array operand_sets(const tracing *p, uint32_t id) {
  return is_float(p, id) ? cr__trace_sets(p, id) : cr__array_of(p->t, id);
}

/* Looks through the op at the operands' sets: at a view of them, or at what its kernel makes of them. */
static cr_status look(tracing *p, const cr_op *op, int n, const cr_array *in, cr_array *out) {
  cr_tape *t = p->t;
  const void *attr = cr__attr_of(t, p->id);
  cr_infer c = {t, op, n, in, attr, out};
  cr_status status = op->infer(&c);
  if (status != CR_OK) return status;
  if (!own_sets(p, out->count)) return CR_NO_MEMORY;
  if (out->data) {
    for (int64_t k = 0; k < out->count; k++) p->out[k] = set_at(out, k);
    return CR_OK;
  }
  out->data = p->out;
  return op->eval(&(cr_eval){t, op, n, in, attr, out, NULL});
}

void cr_depend_all(cr_depend *c) { on_all(c->inside, c->n); }

int cr_depend_moves(const cr_depend *c, int k) { return c->inside->varies[c->inside->in[k]]; }

/* An index that moves lets any element be any other. */
static bool has_moving_index(const cr_depend *c) {
  for (int k = 0; k < c->n; k++)
    if (!is_float(c->inside, c->inside->in[k]) && cr_depend_moves(c, k)) return true;
  return false;
}

void cr_depend_selection(cr_depend *c) {
  tracing *p = c->inside;
  if (has_moving_index(c)) {
    on_all(p, c->n);
    return;
  }
  cr_tape *t = p->t;
  uint32_t chunk = t->arena.current;
  size_t used = t->arena.used;
  cr_array few[8], out = {0}, *in = c->n > 8 ? cr__alloc(t, (size_t)c->n * sizeof *in) : few;
  if (!in) return;
  for (int k = 0; k < c->n; k++) in[k] = operand_sets(p, p->in[k]);
  cr_status status = look(p, t->op[cr__op_number(t, p->id)], c->n, in, &out);
  cr__arena_reset(&t->arena, chunk, used);
  if (status != CR_OK && t->error == CR_OK) cr_fail(t, status, "sparse: %s", cr_status_text(status));
}

bool cr__trace_begun(cr_depend *c) { return c->inside->out || own_sets(c->inside, c->out->count); }

void cr_depend_on(cr_depend *c, int64_t element, int k, int64_t of) {
  tracing *p = c->inside;
  cr_array a = cr__trace_sets(p, p->in[k]);
  if (cr__trace_begun(c)) p->out[element] = joined(p, (uint32_t)p->out[element], set_at(&a, of));
}

void cr_depend_as(cr_depend *c, int64_t element, int64_t earlier) {
  tracing *p = c->inside;
  if (cr__trace_begun(c)) p->out[element] = joined(p, (uint32_t)p->out[element], (uint32_t)p->out[earlier]);
}

/* The operand's sets, united along the axes without a place in the result; strided over the result's shape. */
static bool reduced(tracing *p, const cr_array *a, const int *axis, const cr_array *out, cr_array *r) {
  cr_array kept = {.rank = 0, .count = 1}, rest = {.rank = 0, .count = 1};
  *r = *out;
  r->dtype = CR_FLOAT64;
  r->contiguous = 0;
  memset(r->stride, 0, sizeof r->stride);
  for (int i = 0; i < a->rank; i++) {
    cr_array *to = axis[i] < 0 ? &rest : &kept;
    to->stride[to->rank] = a->stride[i];
    to->count *= to->dim[to->rank++] = a->dim[i];
  }
  double *sets = r->data = cr__trace_take(p, (size_t)kept.count * sizeof *sets);
  uint32_t *list = sets ? list_of(p, rest.count) : NULL;
  int64_t step = kept.count;
  for (int i = 0; i < a->rank; i++) {
    if (axis[i] < 0 || !a->dim[i]) continue;
    step /= a->dim[i];
    if (a->dim[i] > 1) r->stride[axis[i]] = step;
  }
  for (int64_t k = 0; list && k < kept.count; k++) {
    const double *from = (const double *)a->data + cr_array_offset(&kept, k);
    for (int64_t j = 0; j < rest.count; j++) list[j] = (uint32_t)from[cr_array_offset(&rest, j)];
    sets[k] = cr__set_union_of(p->sets, rest.count, list);
  }
  return list != NULL;
}

void cr_depend_along(cr_depend *c, int k, const int *axis) {
  tracing *p = c->inside;
  cr_array a = cr__trace_sets(p, p->in[k]), r;
  if (!cr__trace_begun(c)) return;
  if (!p->of[p->in[k]]) {
    r = *c->out;
    r.data = &p->one[p->in[k]];
    r.contiguous = 0;
    memset(r.stride, 0, sizeof r.stride);
  } else if (!reduced(p, &a, axis, c->out, &r)) {
    return;
  }
  for (int64_t i = 0; i < c->out->count; i++) p->out[i] = joined(p, (uint32_t)p->out[i], set_at(&r, i));
}

static void ask(tracing *p, const cr_op *op, int n) {
  cr_tape *t = p->t;
  uint32_t chunk = t->arena.current;
  size_t used = t->arena.used;
  cr_array few[8], *in = n > 8 ? cr__alloc(t, (size_t)n * sizeof *in) : few, out = cr__array_of(t, p->id);
  if (!in) return;
  for (int k = 0; k < n; k++) in[k] = cr__array_of(t, p->in[k]);
  cr_depend c = {n, in, &out, cr__attr_of(t, p->id), p};
  if (!op->depend) cr_depend_selection(&c); /* a view */
  else op->depend(&c);
  cr__arena_reset(&t->arena, chunk, used);
  p->of[p->id] = p->out;
}

bool cr__trace_node(tracing *p, uint32_t id) {
  cr_tape *t = p->t;
  const cr_op *op = t->op[cr__op_number(t, id)];
  bool view = cr__is_record(t, id) && t->slot[id].tensor->view, any = false;
  int n;
  p->id = id;
  p->in = cr__operands(t, id, &n);
  p->out = NULL;
  if (!op || op->kind == CR_PIECEWISE_CONSTANT || !is_float(p, id)) return true;
  for (int k = 0; k < n; k++) any = any || (is_float(p, p->in[k]) && (p->of[p->in[k]] || p->one[p->in[k]] != 0));
  if (!any) return true;
  if (op->row || op->pointwise) return elementwise(p, n);
  if (view && n == 1 ? !p->of[p->in[0]] : !op->depend) on_all(p, n);
  else ask(p, op, n);
  return t->error == CR_OK;
}

/* Before and after */

static bool mark(tracing *p, int m, const cr_var *y) {
  cr_tape *t = p->t;
  memset(p->needed, 0, 2 * (size_t)t->count);
  for (int k = 0; k < m; k++) p->needed[y[k].id] = 1;
  for (uint32_t id = t->count - 1; id > 0; id--) {
    int n;
    const uint32_t *in = cr__operands(t, id, &n);
    for (int k = 0; k < n && p->needed[id]; k++) p->needed[in[k]] = 1;
  }
  for (uint32_t id = 1; id < t->count; id++) {
    int n;
    const uint32_t *in = cr__operands(t, id, &n);
    p->varies[id] = cr__op_bits(&t->node[id]) != CR__CONST && !t->op[cr__op_number(t, id)] && is_float(p, id);
    for (int k = 0; k < n && !p->varies[id]; k++) p->varies[id] = p->varies[in[k]];
  }
  return true;
}

static bool seed(tracing *p, int n, const cr_var *x) {
  int64_t column = 0;
  for (int k = 0; k < n; k++) {
    int64_t count = cr__array_of(p->t, x[k].id).count;
    if (count == 1) {
      p->one[x[k].id] = cr__set_of(p->sets, column++);
      continue;
    }
    if (!own_sets(p, count)) return false;
    for (int64_t i = 0; i < count; i++) p->out[i] = cr__set_of(p->sets, column++);
    p->of[x[k].id] = p->out;
  }
  return p->t->error == CR_OK;
}

static bool room_for(cr_tape *t, cr__pattern *p, int64_t nonzeros) {
  if (nonzeros <= p->room) return true;
  int64_t room = p->room ? 2 * p->room : 256;
  while (room < nonzeros) room *= 2;
  int32_t *column = cr__resize_on(t, p->column, (size_t)p->room * sizeof *column, (size_t)room * sizeof *column);
  if (!column) return false;
  p->column = column;
  p->room = room;
  return true;
}

static bool write_rows(tracing *p, int m, const cr_var *y, cr__pattern *out) {
  int64_t row = 0;
  for (int k = 0; k < m; k++) {
    cr_array a = cr__trace_sets(p, y[k].id);
    const int32_t *columns = NULL;
    for (int64_t i = 0; i < a.count; i++, row++) {
      int64_t at = out->start[row], n = cr__set_columns(p->sets, set_at(&a, i), &columns);
      if (n < 0 || !room_for(p->t, out, at + n)) return false;
      if (n) memcpy(out->column + at, columns, (size_t)n * sizeof *columns);
      out->start[row + 1] = at + n;
    }
  }
  return true;
}

static bool trace(tracing *p, int m, const cr_var *y, int n, const cr_var *x, cr__pattern *out) {
  uint32_t count = p->t->count;
  p->of = cr__trace_take(p, count * sizeof *p->of);
  p->one = cr__trace_take(p, count * sizeof *p->one);
  p->needed = cr__trace_take(p, 2 * (size_t)count);
  if (!p->of || !p->one || !p->needed || !cr__slopes_make(p->t, &p->slopes)) return false;
  p->varies = p->needed + count;
  for (uint32_t id = 0; id < count; id++) p->of[id] = NULL, p->one[id] = 0;
  if (!mark(p, m, y) || !seed(p, n, x)) return false;
  for (uint32_t id = 1; id < count; id++)
    if (p->needed[id] && !cr__trace_node(p, id)) return false;
  return write_rows(p, m, y, out);
}

void cr__pattern_free(cr_tape *t, cr__pattern *p) {
  cr__resize(&t->counted, p->start, p->start ? (size_t)(p->rows + 1) * sizeof *p->start : 0, 0);
  cr__resize(&t->counted, p->column, (size_t)p->room * sizeof *p->column, 0);
  *p = (cr__pattern){0};
}

static bool new_pattern(cr_tape *t, cr__pattern *p, int64_t rows, int64_t columns, int64_t nonzeros) {
  *p = (cr__pattern){.columns = columns};
  p->start = cr__resize_on(t, NULL, 0, (size_t)(rows + 1) * sizeof *p->start);
  if (!p->start) return false;
  p->rows = rows;
  memset(p->start, 0, (size_t)(rows + 1) * sizeof *p->start);
  if (room_for(t, p, nonzeros ? nonzeros : 1)) return true;
  cr__pattern_free(t, p);
  return false;
}

static int64_t elements(const cr_tape *t, int n, const cr_var *v) {
  int64_t count = 0;
  for (int k = 0; k < n; k++) count += cr__array_of(t, v[k].id).count;
  return count;
}

bool cr__pattern_make(cr_tape *t, int m, const cr_var *y, int n, const cr_var *x, cr__pattern *out) {
  int64_t rows = elements(t, m, y), columns = elements(t, n, x);
  *out = (cr__pattern){0};
  if (t->lazy) return cr_fail(t, CR_BAD_ARGUMENT, "sparse: shapes alone are recorded (CR_LAZY)"), false;
  if (rows > INT32_MAX || columns > INT32_MAX)
    return cr_fail(t, CR_OVER_LIMIT, "a sparse matrix of %lld rows and %lld columns", (long long)rows, (long long)columns),
           false;
  if (!new_pattern(t, out, rows, columns, 1)) return false;
  tracing p = {.t = t, .sets = cr__sets_new(t, columns)};
  cr__arena_init(&p.memory, &t->counted);
  bool good = p.sets && trace(&p, m, y, n, x, out) && t->error == CR_OK;
  if (p.slopes.of) cr__slopes_free(t, &p.slopes);
  cr__traced_free(p.bodies);
  cr__arena_free(&p.memory);
  cr__sets_free(p.sets);
  if (!good) cr__pattern_free(t, out);
  return good;
}

/* Transposes */

bool cr__pattern_transposed(cr_tape *t, const cr__pattern *p, cr__pattern *q) {
  int64_t nonzeros = p->start[p->rows];
  if (!new_pattern(t, q, p->columns, p->rows, nonzeros)) return false;
  for (int64_t k = 0; k < nonzeros; k++) q->start[p->column[k] + 1]++;
  for (int64_t j = 0; j < q->rows; j++) q->start[j + 1] += q->start[j];
  for (int64_t i = 0; i < p->rows; i++)
    for (int64_t k = p->start[i]; k < p->start[i + 1]; k++) q->column[q->start[p->column[k]]++] = (int32_t)i;
  for (int64_t j = q->rows; j > 0; j--) q->start[j] = q->start[j - 1];
  q->start[0] = 0;
  return true;
}

static bool united(cr_tape *t, const cr__pattern *p, const cr__pattern *q, cr__pattern *both) {
  if (!new_pattern(t, both, p->rows, p->columns, p->start[p->rows] + q->start[q->rows])) return false;
  int64_t at = 0;
  for (int64_t i = 0; i < p->rows; i++) {
    int64_t a = p->start[i], b = q->start[i];
    while (a < p->start[i + 1] || b < q->start[i + 1]) {
      int32_t c = a < p->start[i + 1] ? p->column[a] : INT32_MAX, d = b < q->start[i + 1] ? q->column[b] : INT32_MAX;
      both->column[at++] = c < d ? c : d;
      a += c <= d;
      b += d <= c;
    }
    both->start[i + 1] = at;
  }
  return true;
}

bool cr__pattern_symmetrize(cr_tape *t, cr__pattern *p) {
  cr__pattern q, both;
  if (!cr__pattern_transposed(t, p, &q)) return false;
  int64_t n = p->start[p->rows];
  bool good = true;
  if (memcmp(p->start, q.start, (size_t)(p->rows + 1) * sizeof *p->start) ||
      memcmp(p->column, q.column, (size_t)n * sizeof *p->column)) {
    good = united(t, p, &q, &both);
    if (good) {
      cr__pattern_free(t, p);
      *p = both;
    }
  }
  cr__pattern_free(t, &q);
  return good;
}
