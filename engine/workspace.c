/* Running a captured function: a workspace is a tape of its own over the graph's nodes, with records in planned memory. */
#include <stdio.h>

#include "graph.h"

struct cr_workspace {
  const cr_fn *f;
  cr_allocator allocator;
  cr_tape *t;
  char *memory, *block;      /* planned; as it came from the allocator, of that many bytes */
  size_t bytes;
  cr__ready ready;           /* the steps */
  double *adjoint;           /* by node; NULL before the first cr_fn_backward */
  double *space;             /* of scalars as code, then a number for each result and input; NULL before they run */
  uint32_t space_size;
  char **at;                 /* of the whole function (cr__whole), so many; NULL before it runs */
  void **given;              /* whose constants are in it */
  uint32_t n_at;
  unsigned made;             /* bits of cr__part: scalars as code are there, if they can be */
  cr_array *staged;          /* by assignment: a copy of a value that lies in an input; data NULL: it does not */
  int *copied, n_copied;     /* results, and from n_out on assignments, whose values lie elsewhere when they are computed */
  cr_array *known;           /* inputs and results of the latest run, which were found to fit */
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

/* Whether result or, from n_out on, assigned value k is computed where it belongs. */
static bool is_in_place(const cr_workspace *w, int k) {
  const cr_fn *f = w->f;
  const uint32_t id = f->graph.end[f->graph.n_in + k];
  const cr__place *p = &f->plan.place[id];
  const int which = k < f->n_out ? k : f->to[k - f->n_out];
  return p->home == (k < f->n_out ? CR__AT_OUTPUT : CR__AT_INPUT) && p->which == which && p->offset == 0 &&
         cr__array_of(w->t, id).contiguous;
}

/* Where assigned value k is to be copied to when it lies in an input, which may be assigned itself before it is read. */
static bool stage(cr_workspace *w, int k) {
  const uint32_t id = w->f->graph.end[w->f->graph.n_in + w->f->n_out + k];
  cr_array a = cr__array_of(w->t, id), *copy = &w->staged[k];
  if (w->f->plan.place[id].home != CR__AT_INPUT) return true;
  cr_array_init(copy, (cr_dtype)a.dtype, a.rank, a.dim);
  copy->data = cr__alloc(w->t, (size_t)a.count * cr_dtype_size((cr_dtype)a.dtype));
  return copy->data != NULL;
}

static bool look_at_ends(cr_workspace *w) {
  const cr_fn *f = w->f;
  const size_t ends = (size_t)(f->n_out + f->n_assign), arrays = (size_t)(f->graph.n_in + f->n_out);
  w->copied = cr__alloc(w->t, ends * sizeof *w->copied);
  w->staged = cr__alloc(w->t, (size_t)f->n_assign * sizeof *w->staged);
  w->known = cr__alloc(w->t, arrays * sizeof *w->known);
  if (!w->copied || !w->staged || !w->known) return false;
  memset(w->staged, 0, (size_t)f->n_assign * sizeof *w->staged);
  memset(w->known, 0xFF, arrays * sizeof *w->known); /* no array is like that */
  for (int k = 0; k < f->n_out + f->n_assign; k++) {
    if (is_in_place(w, k)) continue;
    w->copied[w->n_copied++] = k;
    if (k >= f->n_out && !stage(w, k - f->n_out)) return false;
  }
  return true;
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
    if (copy_nodes(w) && look_at_ends(w) && cr__make_ready(f, w->t, &w->ready)) return w;
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

static bool is_same(const cr_array *a, const cr_array *b) {
  return a->data == b->data && a->count == b->count && a->contiguous == b->contiguous && fits(a, b);
}

/* The arrays of the run before, for which all is in place. */
static bool is_known(const cr_workspace *w, const cr_array *in, const cr_array *out) {
  bool known = true;
  for (int k = 0; known && k < w->f->graph.n_in; k++) known = is_same(&in[k], &w->known[k]);
  for (int k = 0; known && k < w->f->n_out; k++) known = is_same(&out[k], &w->known[w->f->graph.n_in + k]);
  return known;
}

/* Pointers into the caller's memory. */
static void bind(cr_workspace *w, const cr_array *in, const cr_array *out) {
  const cr_fn *f = w->f;
  const cr__plan *plan = &f->plan;
  if (f->graph.n_in) memcpy(w->known, in, (size_t)f->graph.n_in * sizeof *in);
  if (f->n_out) memcpy(w->known + f->graph.n_in, out, (size_t)f->n_out * sizeof *out);
  for (uint32_t k = 0; k < plan->n_moving; k++) {
    const cr__place *p = &plan->place[plan->moving[k]];
    char *base = p->home == CR__AT_INPUT ? in[p->which].data : out[p->which].data;
    w->t->slot[plan->moving[k]].tensor->data = base + p->offset;
  }
  for (uint32_t k = 0; k < w->ready.n_moving; k++)
    memcpy(w->ready.moving[k].at, &w->t->slot[w->ready.moving[k].id].tensor->data, sizeof(void *));
}

static void take_scalars(cr_workspace *w, const cr_array *in) {
  const uint32_t *end = w->f->graph.end;
  for (int k = 0; k < w->f->graph.n_in; k++)
    if (!cr__is_record(w->t, end[k])) w->t->slot[end[k]].num = *(const double *)in[k].data;
}

/* Running */

static void run_scalars(cr_tape *t, const cr__step *s) {
  if (s->strips) t->table->scalar_strips(t, s->strips);
  else if (t->table->scalar_run) t->table->scalar_run(t, s->from, s->to);
  else
    for (uint32_t id = s->from; id < s->to; id++) cr__eval_node(t, id);
}

static double *space_of(cr_workspace *w, uint32_t size) {
  if (w->space && w->space_size >= size) return w->space;
  w->space = cr__alloc(w->t, size * sizeof *w->space);
  w->space_size = w->space ? size : 0;
  return w->space;
}

static cr_status run_scalar_code(cr_workspace *w, const cr__step *s) {
  double *space = space_of(w, w->f->space);
  if (space) s->code(&w->t->slot->num, space, NULL); /* which leaves out what nobody reads */
  return w->t->error;
}

static cr_status run_step(cr_workspace *w, uint32_t k) {
  cr_tape *t = w->t;
  const cr__plan *plan = &w->f->plan;
  const cr__step *s = &plan->step[k];
  const cr__ready_step *r = &w->ready.step[k];
  if (r->kernel) return cr__run_ready(t, r->kernel);
  if (r->call && !s->blocks->code) {
    for (const cr__call *c = r->call; c < r->end; c++) c->run(c);
    return CR_OK;
  }
  if (s->tail && s->blocks->n_blocks > 1) return CR_OK; /* run within the kernel */
  if (s->role == CR__SCALAR && s->code) return run_scalar_code(w, s);
  if (s->role == CR__SCALAR) run_scalars(t, s);
  if (s->role == CR__MEMBER) return cr__run_blocks(t, s->blocks, r->cells, w->memory);
  return s->role == CR__KERNEL ? cr__eval_node(t, s->from) : CR_OK;
}

static void copy_out(const cr_workspace *w, uint32_t id, const cr_array *to) {
  cr_array from = cr__array_of(w->t, id), target = *to;
  if (from.data != target.data || !from.contiguous) cr_array_copy(&target, &from);
}

static void finish(cr_workspace *w, const cr_array *in, const cr_array *out) {
  const cr_fn *f = w->f;
  const uint32_t *end = f->graph.end + f->graph.n_in;
  for (int i = 0; i < w->n_copied; i++) {
    const int k = w->copied[i], to = k - f->n_out;
    if (to < 0) copy_out(w, end[k], &out[k]);
    else if (w->staged[to].data) copy_out(w, end[k], &w->staged[to]);
  }
  for (int i = 0; i < w->n_copied; i++) {
    const int k = w->copied[i], to = k - f->n_out;
    if (to < 0) continue;
    cr_array target = in[f->to[to]];
    if (w->staged[to].data) cr_array_copy(&target, &w->staged[to]);
    else copy_out(w, end[k], &target);
  }
}

static cr_status start(const cr_fn *f, cr_workspace *w, const cr_array *in, const cr_array *out) {
  cr_clear_error(w->t);
  if (w->f != f) cr_fail(w->t, CR_BAD_ARGUMENT, "cr_fn_run: the workspace belongs to another function");
  else if (!is_known(w, in, out) && check_all(w, in, out) == CR_OK) bind(w, in, out);
  if (w->t->error == CR_OK) take_scalars(w, in);
  return w->t->error;
}

static void make_code(cr_workspace *w, cr__part part) {
  if (!(w->made & part)) cr__make_code(w->f, w->t, part);
  w->made |= part;
}

static cr_status run_steps(const cr_fn *f, cr_workspace *w, const cr_array *in, const cr_array *out) {
  make_code(w, CR__VALUES);
  for (uint32_t k = 0; k < f->plan.n_steps; k++) {
    cr_status status = run_step(w, k);
    if (status != CR_OK) return status;
  }
  finish(w, in, out);
  return w->t->error;
}

/* What the whole function is given; the workspace's own does not change. */
static char **addresses_of(cr_workspace *w) {
  const cr_fn *f = w->f;
  const uint32_t slots = 1 + (uint32_t)(f->graph.n_in + f->n_out), n = slots + 1 + f->whole.n_given;
  if (w->n_at == n && w->given == f->whole.given) return w->at;
  w->at = cr__alloc(w->t, n * sizeof *w->at);
  w->n_at = w->at ? n : 0, w->given = f->whole.given;
  for (uint32_t k = 0; w->at && k < f->whole.n_given; k++) w->at[slots + 1 + k] = f->whole.given[k];
  if (w->at) w->at[0] = w->memory, w->at[slots] = (char *)w->t->slot;
  return w->at;
}

/* Also a block that is told to run within a kernel, which was no kernel then. */
static int call_step(void *run, unsigned k) {
  cr_workspace *w = run;
  const cr__step *s = &w->f->plan.step[k];
  return (s->tail ? cr__run_blocks(w->t, s->blocks, w->ready.step[k].cells, w->memory) : run_step(w, k)) != CR_OK;
}

/* All steps as compiled code; false: they have to run one by one. */
static bool run_whole(const cr_fn *f, cr_workspace *w, const cr_array *in, const cr_array *out) {
  const cr__whole *c = &f->whole;
  char **at = c->run ? addresses_of(w) : NULL;
  if (!at) return false;
  for (int k = 0; k < f->graph.n_in; k++) at[1 + k] = in[k].data;
  for (int k = 0; k < f->n_out; k++) at[1 + f->graph.n_in + k] = out[k].data;
  make_code(w, CR__VALUES); /* of scalars, which are called */
  if (c->run(at, call_step, w)) {
    cr_clear_error(w->t);
    return false;
  }
  finish(w, in, out);
  return true;
}

cr_status cr_fn_run(const cr_fn *f, cr_workspace *w, const cr_array *in, const cr_array *out) {
  if (start(f, w, in, out) != CR_OK || run_whole(f, w, in, out)) return w->t->error;
  return run_steps(f, w, in, out);
}

cr_status cr__workspace_run(cr_workspace *w, const cr_array *in, const cr_array *out) {
  cr_clear_error(w->t);
  if (!is_known(w, in, out)) bind(w, in, out);
  take_scalars(w, in);
  return run_whole(w->f, w, in, out) ? w->t->error : run_steps(w->f, w, in, out);
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
  double *space = NULL;
  make_code(w, CR__SWEEP);
  if (f->back) space = space_of(w, f->back_space + (uint32_t)(f->n_out + f->graph.n_in));
  if (!space) return false;
  double *ends = space + f->back_space;
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
