/* Running a captured function: a workspace is a tape of its own over the graph's nodes, with records in planned memory. */
#include <stdio.h>

#include "graph.h"

struct cr_workspace {
  const cr_fn *f;
  cr_allocator allocator;
  cr_tape *t;
  char *memory, *block;      /* planned; as it came from the allocator, of that many bytes */
  size_t bytes;
  cr__cell **cells;          /* by step; NULL where it is no block */
  struct moving_cell {
    cr__cell *cell;
    uint32_t id;
  } *moving;                 /* whose memory the caller gives */
  uint32_t n_moving;
  double *adjoint;           /* by node; NULL before the first cr_fn_backward */
  double *space;             /* of scalars as code, then a number for each result and input; NULL before they run */
  uint32_t space_size;
  cr_array *staged;          /* by assignment: a copy of a value that lies in an input; data NULL: it does not */
};

/* Making one */

static bool take_nodes(cr_tape *t, uint32_t count) {
  cr_node *node = cr__resize_on(t, t->node, t->node_capacity * sizeof *node, count * sizeof *node);
  if (!node) return false;
  t->node = node;
  t->node_capacity = count;
  cr_slot *slot = cr__resize_on(t, t->slot, t->capacity * sizeof *slot, count * sizeof *slot);
  if (!slot) return false;
  t->slot = slot;
  t->capacity = t->fast_limit = count;
  return true;
}

static void *at_home(const cr_workspace *w, uint32_t id) {
  const cr__place *p = &w->f->plan.place[id];
  if (p->home == CR__MEMORY) return w->memory + p->offset;
  return p->home == CR__GIVEN ? w->f->graph.tape->slot[id].tensor->data : NULL;
}

static bool copy_nodes(cr_workspace *w) {
  const cr_tape *g = w->f->graph.tape;
  cr_tape *t = w->t;
  uint32_t records = 0;
  for (uint32_t k = CR__FIRST_ROW; k < g->n_ops; k++)
    if (cr__number_of(t, g->op[k]) != k) return false;
  if (g->count > t->capacity && !take_nodes(t, g->count)) return false;
  for (uint32_t id = 1; id < g->count; id++) records += cr__is_record(g, id);
  cr_tensor *r = cr__alloc(t, records * sizeof *r);
  if (!r) return false;
  memcpy(t->node + 1, g->node + 1, (g->count - 1) * sizeof *t->node);
  for (uint32_t id = 1; id < g->count; id++) {
    t->slot[id] = g->slot[id];
    if (!cr__is_record(g, id)) continue;
    *r = *g->slot[id].tensor;
    r->data = at_home(w, id);
    t->slot[id].tensor = r++;
  }
  t->count = g->count;
  return true;
}

/* A value to be assigned that lies in an input that is assigned itself must be read before any is written. */
static bool stage(cr_workspace *w) {
  const cr_fn *f = w->f;
  w->staged = cr__alloc(w->t, (size_t)f->n_assign * sizeof *w->staged);
  if (!w->staged) return false;
  memset(w->staged, 0, (size_t)f->n_assign * sizeof *w->staged);
  for (int k = 0; k < f->n_assign; k++) {
    uint32_t id = f->graph.end[f->graph.n_in + f->n_out + k];
    const cr__place *p = &f->plan.place[id];
    cr_array a = cr__array_of(w->t, id), *copy = &w->staged[k];
    if (p->home != CR__AT_INPUT || (p->which == f->to[k] && p->offset == 0 && a.contiguous)) continue;
    cr_array_init(copy, (cr_dtype)a.dtype, a.rank, a.dim);
    copy->data = cr__alloc(w->t, (size_t)a.count * cr_dtype_size((cr_dtype)a.dtype));
    if (!copy->data) return false;
  }
  return true;
}

/* Notes where operand or result k of a line moves with the caller's memory; moving NULL: counts only. */
static void note_cells(cr_workspace *w, const cr__blocks *b, cr__cell *cells) {
  for (int i = 0; i < b->n_lines; i++)
    for (int k = 0; k < CR__CELLS; k++) {
      const cr__line *l = &b->line[i];
      cr__cell *c = cells + (ptrdiff_t)i * CR__CELLS + k;
      uint32_t id = k == CR__CELLS - 1 ? l->id : l->in[k < l->n ? k : 0].id;
      cr__home home = w->f->plan.place[id].home;
      if (c->mask || (home != CR__AT_INPUT && home != CR__AT_OUTPUT)) continue;
      if (w->moving) w->moving[w->n_moving] = (struct moving_cell){c, id};
      w->n_moving++;
    }
}

static bool make_cells(cr_workspace *w) {
  const cr__plan *plan = &w->f->plan;
  w->cells = cr__alloc(w->t, plan->n_steps * sizeof *w->cells);
  if (!w->cells) return false;
  for (uint32_t k = 0; k < plan->n_steps; k++) {
    const cr__blocks *b = plan->step[k].blocks;
    w->cells[k] = b ? cr__make_cells(w->t, b) : NULL;
    if (b && !w->cells[k]) return false;
    if (b) note_cells(w, b, w->cells[k]);
  }
  w->moving = cr__alloc(w->t, w->n_moving * sizeof *w->moving);
  w->n_moving = 0;
  for (uint32_t k = 0; w->moving && k < plan->n_steps; k++)
    if (plan->step[k].blocks) note_cells(w, plan->step[k].blocks, w->cells[k]);
  return w->moving != NULL;
}

cr_workspace *cr_workspace_new(const cr_fn *f) { return cr__workspace_on(f, &f->allocator); }
cr_tape *cr__workspace_tape(const cr_workspace *w) { return w->t; }

cr_workspace *cr__workspace_on(const cr_fn *f, const cr_allocator *allocator) {
  cr_workspace *w = cr__resize(allocator, NULL, 0, sizeof *w);
  if (!w) return NULL;
  *w = (cr_workspace){.f = f, .allocator = *allocator, .bytes = f->plan.bytes + 64};
  w->t = cr_new_with(f->graph.tape->table, allocator);
  w->block = cr__resize(allocator, NULL, 0, w->bytes);
  w->memory = (char *)(((uintptr_t)w->block + 63) & ~(uintptr_t)63);
  if (w->t && w->block) {
    cr_set(w->t, CR_THREADS, f->threads);
    if (copy_nodes(w) && stage(w) && make_cells(w)) return w;
  }
  cr_workspace_free(w);
  return NULL;
}

void cr_workspace_free(cr_workspace *w) {
  if (!w) return;
  cr_free(w->t);
  cr_allocator allocator = w->allocator;
  cr__resize(&allocator, w->block, w->block ? w->bytes : 0, 0);
  cr__resize(&allocator, w, sizeof *w, 0);
}

void cr_workspace_threads(cr_workspace *w, int threads) { cr_set(w->t, CR_THREADS, threads); }

const char *cr_workspace_error(const cr_workspace *w) { return w->t->error_text; }

/* Arguments */

static bool fits(const cr_array *a, const cr_array *b) {
  bool same = a->rank == b->rank && a->dtype == b->dtype;
  for (int i = 0; same && i < a->rank; i++) same = a->dim[i] == b->dim[i];
  return same;
}

static const char *describe(const cr_array *a, char *text, size_t size) {
  char shape[200];
  snprintf(text, size, "%s %s", cr_dtype_name((cr_dtype)a->dtype), cr_shape_text(a, shape, sizeof shape));
  return text;
}

static cr_status check(cr_workspace *w, const char *what, int k, uint32_t id, const cr_array *given) {
  cr_array need = cr__array_of(w->f->graph.tape, id);
  const char *name = cr_name_of(cr__handle(w->f->graph.tape, id));
  if (!fits(&need, given)) {
    char is[256], wants[256];
    cr_fail(w->t, CR_BAD_SHAPE, "cr_fn_run: %s %d%s%s%s is %s, not %s", what, k, name ? " (" : "", name ? name : "",
            name ? ")" : "", describe(given, is, sizeof is), describe(&need, wants, sizeof wants));
  } else if (!given->contiguous || (!given->data && given->count)) {
    cr_fail(w->t, CR_BAD_ARGUMENT, "cr_fn_run: %s %d%s%s%s %s", what, k, name ? " (" : "", name ? name : "", name ? ")" : "",
            given->data ? "is not contiguous" : "has no memory");
  }
  return w->t->error;
}

typedef struct span {
  uintptr_t from, to;
} span;

static span span_of(const cr_array *a) {
  uintptr_t from = (uintptr_t)a->data;
  return (span){from, from + (size_t)a->count * cr_dtype_size((cr_dtype)a->dtype)};
}

static bool overlap(span a, span b) { return a.from < b.to && b.from < a.to; }

static void grow(span *all, span one) {
  if (one.from < all->from) all->from = one.from;
  if (one.to > all->to) all->to = one.to;
}

static cr_status check_overlap(cr_workspace *w, const cr_array *in, const cr_array *out) {
  span inputs = {UINTPTR_MAX, 0}, before = {UINTPTR_MAX, 0};
  const cr_fn *f = w->f;
  for (int k = 0; k < f->graph.n_in; k++) grow(&inputs, span_of(&in[k]));
  for (int k = 0; k < f->n_out; k++) {
    span one = span_of(&out[k]);
    for (int j = 0; overlap(one, inputs) && j < f->graph.n_in; j++)
      if (overlap(one, span_of(&in[j]))) cr_fail(w->t, CR_BAD_ARGUMENT, "cr_fn_run: result %d overlaps input %d", k, j);
    for (int j = 0; overlap(one, before) && j < k; j++)
      if (overlap(one, span_of(&out[j]))) cr_fail(w->t, CR_BAD_ARGUMENT, "cr_fn_run: result %d overlaps result %d", k, j);
    grow(&before, one);
  }
  return w->t->error;
}

static cr_status check_all(cr_workspace *w, const cr_array *in, const cr_array *out) {
  const cr_fn *f = w->f;
  const uint32_t *end = f->graph.end;
  for (int k = 0; k < f->graph.n_in; k++)
    if (check(w, "input", k, end[k], &in[k]) != CR_OK) return w->t->error;
  for (int k = 0; k < f->n_out; k++)
    if (check(w, "result", k, end[f->graph.n_in + k], &out[k]) != CR_OK) return w->t->error;
  return check_overlap(w, in, out);
}

static cr_status bind(cr_workspace *w, const cr_array *in, const cr_array *out) {
  const cr_fn *f = w->f;
  const cr__plan *plan = &f->plan;
  const uint32_t *end = f->graph.end;
  for (int k = 0; k < f->graph.n_in; k++)
    if (!cr__is_record(w->t, end[k])) w->t->slot[end[k]].num = *(const double *)in[k].data;
  for (uint32_t k = 0; k < plan->n_moving; k++) {
    const cr__place *p = &plan->place[plan->moving[k]];
    char *base = p->home == CR__AT_INPUT ? in[p->which].data : out[p->which].data;
    w->t->slot[plan->moving[k]].tensor->data = base + p->offset;
  }
  for (uint32_t k = 0; k < w->n_moving; k++)
    w->moving[k].cell->at = (uintptr_t)w->t->slot[w->moving[k].id].tensor->data;
  return CR_OK;
}

/* Running */

static void run_scalars(cr_tape *t, const cr__step *s) {
  if (s->strips) t->table->scalar_strips(t, s->strips);
  else if (t->table->scalar_run) t->table->scalar_run(t, s->from, s->to);
  else
    for (uint32_t id = s->from; id < s->to; id++) cr__eval_node(t, id);
}

static double *space_of(cr_workspace *w) {
  const cr_fn *f = w->f;
  uint32_t size = f->space + (uint32_t)(f->n_out + f->graph.n_in);
  if (w->space && w->space_size >= size) return w->space;
  w->space = cr__alloc(w->t, size * sizeof *w->space);
  w->space_size = w->space ? size : 0;
  return w->space;
}

static cr_status run_scalar_code(cr_workspace *w, const cr__step *s) {
  double *space = space_of(w);
  if (space) s->code(&w->t->slot->num, space, NULL); /* which leaves out what nobody reads */
  return w->t->error;
}

static cr_status run_step(cr_workspace *w, uint32_t k) {
  cr_tape *t = w->t;
  const cr__plan *plan = &w->f->plan;
  const cr__step *s = &plan->step[k];
  if (s->tail) return CR_OK;
  if (s->role == CR__SCALAR && s->code) return run_scalar_code(w, s);
  if (s->role == CR__SCALAR) run_scalars(t, s);
  if (s->role == CR__MEMBER) return cr__run_blocks(t, s->blocks, w->cells[k], w->memory);
  if (s->role != CR__KERNEL) return CR_OK;
  t->doing = t->op[cr__op_number(t, s->from)];
  const bool followed = k + 1 < plan->n_steps && plan->step[k + 1].tail;
  const struct cr_tail tail = {t, followed ? plan->step[k + 1].blocks : NULL, followed ? w->cells[k + 1] : NULL};
  t->tail = followed ? &tail : NULL;
  cr_status status = cr__eval_node(t, s->from);
  t->tail = NULL;
  if (status != CR_OK) cr_fail(t, status, "%s", cr_status_text(status));
  t->doing = NULL;
  return status;
}

static void copy_out(const cr_workspace *w, uint32_t id, const cr_array *to) {
  cr_array from = cr__array_of(w->t, id), target = *to;
  if (from.data != target.data || !from.contiguous) cr_array_copy(&target, &from);
}

static void finish(cr_workspace *w, const cr_array *in, const cr_array *out) {
  const cr_fn *f = w->f;
  const uint32_t *result = f->graph.end + f->graph.n_in, *value = result + f->n_out;
  for (int k = 0; k < f->n_out; k++) copy_out(w, result[k], &out[k]);
  for (int k = 0; k < f->n_assign; k++)
    if (w->staged[k].data) copy_out(w, value[k], &w->staged[k]);
  for (int k = 0; k < f->n_assign; k++) {
    cr_array to = in[f->to[k]];
    if (w->staged[k].data) cr_array_copy(&to, &w->staged[k]);
    else copy_out(w, value[k], &to);
  }
}

static cr_status start(const cr_fn *f, cr_workspace *w, const cr_array *in, const cr_array *out) {
  cr_clear_error(w->t);
  if (w->f == f) return check_all(w, in, out) == CR_OK ? bind(w, in, out) : w->t->error;
  cr_fail(w->t, CR_BAD_ARGUMENT, "cr_fn_run: the workspace belongs to another function");
  return CR_BAD_ARGUMENT;
}

static cr_status run_steps(const cr_fn *f, cr_workspace *w, const cr_array *in, const cr_array *out) {
  for (uint32_t k = 0; k < f->plan.n_steps; k++) {
    cr_status status = run_step(w, k);
    if (status != CR_OK) return status;
  }
  finish(w, in, out);
  return w->t->error;
}

cr_status cr_fn_run(const cr_fn *f, cr_workspace *w, const cr_array *in, const cr_array *out) {
  if (start(f, w, in, out) != CR_OK) return w->t->error;
  return run_steps(f, w, in, out);
}

cr_status cr__workspace_run(cr_workspace *w, const cr_array *in, const cr_array *out) {
  cr_clear_error(w->t);
  bind(w, in, out);
  return run_steps(w->f, w, in, out);
}

/* The reverse sweep as numbers */

static bool is_scalar(const cr_fn *f) {
  const cr_tape *g = f->graph.tape;
  for (uint32_t id = 1; id < g->count; id++)
    if (cr__is_record(g, id)) return false;
  return true;
}

static cr_status ready_for_sweep(const cr_fn *f, cr_workspace *w) {
  cr_tape *t = w->t;
  if (w->adjoint) return CR_OK;
  if (!is_scalar(f))
    cr_fail(t, CR_BAD_ARGUMENT, "cr_fn_backward: the function has tensors: capture the nodes of cr_grad among its results");
  else if (!t->table->scalar_sweep)
    cr_fail(t, CR_NOT_DIFFERENTIABLE, "cr_fn_backward: the table of operations has no sweep over scalars");
  else
    w->adjoint = cr__alloc(t, t->count * sizeof *w->adjoint);
  return t->error;
}

static void sweep(cr_workspace *w, const cr__step *s) {
  if (s->strips) w->t->table->scalar_strips_back(w->t, w->adjoint, s->strips);
  else w->t->table->scalar_sweep(w->t, w->adjoint, s->to - 1, s->from);
}

/* The same, compiled. It leaves out no product with an adjoint that is 0, so that 0 * inf may have made a gradient NaN:
 * false. */
static bool sweep_as_code(cr_workspace *w, const double *cotangent, double *gradient) {
  const cr_fn *f = w->f;
  const uint32_t *result = f->graph.end + f->graph.n_in;
  double *space = f->back ? space_of(w) : NULL;
  if (!space) return false;
  double *ends = space + f->space;
  for (int k = 0; k < f->n_out; k++) w->adjoint[result[k]] = 0;
  for (int k = 0; k < f->n_out; k++) w->adjoint[result[k]] += cotangent ? cotangent[k] : 1;
  for (int k = 0; k < f->n_out; k++) ends[k] = w->adjoint[result[k]];
  f->back(&w->t->slot->num, space, ends);
  for (int k = 0; k < f->graph.n_in; k++)
    if (isnan(gradient[k] = ends[f->n_out + k])) return false;
  return true;
}

static void sweep_nodes(cr_workspace *w, const double *cotangent, double *gradient) {
  const cr_fn *f = w->f;
  const uint32_t *result = f->graph.end + f->graph.n_in;
  for (uint32_t k = 0; k < f->plan.n_steps; k++) run_scalars(w->t, &f->plan.step[k]);
  memset(w->adjoint, 0, w->t->count * sizeof *w->adjoint);
  for (int k = 0; k < f->n_out; k++) w->adjoint[result[k]] += cotangent ? cotangent[k] : 1;
  for (uint32_t k = f->plan.n_steps; k-- > 0;) sweep(w, &f->plan.step[k]);
  for (int k = 0; k < f->graph.n_in; k++) gradient[k] = w->adjoint[f->graph.end[k]];
}

cr_status cr_fn_backward(const cr_fn *f, cr_workspace *w, const cr_array *in, const cr_array *out, const double *cotangent,
                         double *gradient) {
  if (start(f, w, in, out) != CR_OK || ready_for_sweep(f, w) != CR_OK) return w->t->error;
  if (!sweep_as_code(w, cotangent, gradient)) sweep_nodes(w, cotangent, gradient);
  finish(w, in, out);
  return w->t->error;
}
