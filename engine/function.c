/* Capturing: what lies between leaves and results, copied to a graph of its own. */
#include "graph.h"

void *cr__fn_take(cr_fn *f, size_t bytes) {
  void *p = cr__arena_take(&f->memory, bytes ? bytes : 1, 64);
  if (!p) cr__out_of_memory(f->graph.tape);
  return p;
}

cr_tape *cr__lazy_tape(const cr_fn *f, const cr_op_table *table) {
  cr_tape *t = cr_new_with(table, &f->allocator);
  if (t) t->lazy = true;
  return t;
}

/* Copying nodes */

/* Constants move into the function's memory once; later copies look at them there. */
static uint32_t copy_constant(cr_fn *f, const cr_array *from, cr_tape *to) {
  cr_array a;
  if (cr__arena_holds(&f->memory, from->data)) return cr__view_leaf(to, from, true).id;
  cr_array_init(&a, (cr_dtype)from->dtype, from->rank, from->dim);
  a.data = cr__fn_take(f, (size_t)a.count * cr_dtype_size((cr_dtype)a.dtype));
  if (!a.data) return cr_fail(to, CR_NO_MEMORY, "out of memory").id;
  cr_array_copy(&a, from);
  return cr__view_leaf(to, &a, true).id;
}

uint32_t cr__copy_leaf(cr_fn *f, const cr_tape *from, uint32_t id, cr_tape *to) {
  cr_array a = cr__array_of(from, id);
  if (!cr__is_record(from, id)) return cr_const(to, from->slot[id].num).id;
  return copy_constant(f, &a, to);
}

/* An input of the graph: its numbers come with a run. */
static uint32_t copy_input(const cr_tape *from, uint32_t id, cr_tape *to) {
  cr_array a, like = cr__array_of(from, id);
  if (!cr__is_record(from, id)) return cr_input(to, (double)NAN).id;
  cr_array_init(&a, (cr_dtype)like.dtype, like.rank, like.dim);
  a.data = cr__promise(to, (size_t)a.count * cr_dtype_size((cr_dtype)a.dtype));
  return cr__view_leaf(to, &a, false).id;
}

/* A scalar on a graph, where nobody reads its number; 0: it is none, or there is no room. Rows have the same number on all
 * tapes of a table. */
static uint32_t copy_scalar(const cr_tape *from, uint32_t id, const uint32_t *map, cr_tape *to) {
  const cr_node *node = &from->node[id];
  if (node->head & CR__RECORD || !to->lazy || to->count >= to->fast_limit || from->table != to->table) return 0;
  const bool two = from->op[cr__op_number(from, id)]->arity > 1;
  const uint32_t a = map[node->in[0]], b = two ? map[node->in[1]] : 0;
  if (cr__is_record(to, a) || (two && cr__is_record(to, b))) return 0;
  return cr__push_inline(to, cr__op_number(from, id), a, b, (double)NAN).id;
}

enum { FEW = 16 };

uint32_t cr__copy_node(const cr_tape *from, uint32_t id, const uint32_t *map, cr_tape *to) {
  int n;
  const uint32_t *in = cr__operands(from, id, &n), scalar = copy_scalar(from, id, map, to);
  if (scalar) return scalar;
  const cr_op *op = from->op[cr__op_number(from, id)];
  cr_var few[FEW], *operand = n > FEW ? cr__alloc(to, (size_t)n * sizeof *operand) : few;
  if (!operand) return 0;
  for (int k = 0; k < n; k++) operand[k] = cr__handle(to, map[in[k]]);
  return cr_record(to, op, n, operand, cr__attr_of(from, id)).id;
}

void cr__mark_needed(const cr_tape *t, int n, const uint32_t *end, unsigned char *needed) {
  uint32_t last = 0;
  memset(needed, 0, t->count);
  for (int k = 0; k < n; k++) {
    needed[end[k]] = 1;
    last = end[k] > last ? end[k] : last;
  }
  for (uint32_t id = last; id > 0; id--) {
    int m;
    const uint32_t *in = cr__operands(t, id, &m);
    for (int k = 0; k < m && needed[id]; k++) needed[in[k]] = 1;
  }
}

cr_tape *cr__ordered(cr_fn *f, uint32_t n, const uint32_t *order, uint32_t *end) {
  cr_tape *from = f->graph.tape, *to = cr__lazy_tape(f, from->table);
  uint32_t *map = cr__resize_on(from, NULL, 0, from->count * sizeof *map);
  bool ok = to && map;
  for (int k = 0; ok && k < f->graph.n_in; k++) {
    uint32_t id = f->graph.end[k];
    ok = (map[id] = copy_input(from, id, to)) != 0;
    const char *name = cr_name_of(cr__handle(from, id));
    if (ok && name) cr_name(cr__handle(to, map[id]), name);
  }
  for (uint32_t k = 0; ok && k < n; k++) {
    uint32_t id = order[k];
    if (cr__op_number(from, id) == CR__INPUT) continue;
    map[id] = from->op[cr__op_number(from, id)] ? cr__copy_node(from, id, map, to) : cr__copy_leaf(f, from, id, to);
    ok = map[id] != 0;
  }
  for (int k = 0; ok && k < f->graph.n_ends; k++) end[k] = map[end[k]];
  cr__resize(&from->counted, map, map ? from->count * sizeof *map : 0, 0);
  if (ok) return to;
  cr_fail(from, to && to->error ? to->error : CR_NO_MEMORY, "%s", to && to->error ? to->error_text : "out of memory");
  cr_free(to);
  return NULL;
}

bool cr__reorder(cr_fn *f, uint32_t n, const uint32_t *order) {
  cr_tape *to = cr__ordered(f, n, order, f->graph.end);
  if (!to) return false;
  cr_free(f->graph.tape);
  f->graph.tape = to;
  return true;
}

/* Checks of the arguments */

typedef struct capture {
  cr_tape *t;
  int n_in, n_out, n_assign;
  const cr_var *in, *out;
  const cr_assign *assign;
  size_t bound;              /* of bytes; 0: none */
} capture;

static bool refuse(cr_tape *t, cr_status status, const char *what, int k, const char *why) {
  cr_fail(t, status, "cr_capture: %s %d %s", what, k, why);
  return false;
}

static bool check_nodes(const capture *c, const char *what, int n, const cr_var *v) {
  for (int k = 0; k < n; k++) {
    if (!cr__valid(c->t, v[k])) return false;
    if (!v[k].id) return refuse(c->t, CR_POISONED, what, k, "is the poison node");
  }
  return true;
}

static bool check_inputs(const capture *c) {
  if (c->n_in < 0 || c->n_out < 0 || c->n_assign < 0) {
    cr_fail(c->t, CR_BAD_ARGUMENT, "cr_capture: %d inputs, %d results, %d assignments", c->n_in, c->n_out, c->n_assign);
    return false;
  }
  if (!check_nodes(c, "input", c->n_in, c->in) || !check_nodes(c, "result", c->n_out, c->out)) return false;
  for (int k = 0; k < c->n_in; k++) {
    uint32_t id = c->in[k].id;
    if (c->t->op[cr__op_number(c->t, id)])
      return refuse(c->t, CR_BAD_ARGUMENT, "input", k, "is computed: inputs are leaves");
    if (cr__op_bits(&c->t->node[id]) == CR__CONST)
      return refuse(c->t, CR_BAD_ARGUMENT, "input", k, "is a number made by cr_const, which others have already taken over");
  }
  return true;
}

static int input_of(const capture *c, cr_var v) {
  for (int k = 0; k < c->n_in; k++)
    if (c->in[k].id == v.id) return k;
  return -1;
}

static bool same_shape(const cr_array *a, const cr_array *b) {
  bool same = a->rank == b->rank && a->dtype == b->dtype;
  for (int i = 0; same && i < a->rank; i++) same = a->dim[i] == b->dim[i];
  return same;
}

static bool check_assigns(const capture *c, int *to) {
  for (int k = 0; k < c->n_assign; k++) {
    cr_var pair[2] = {c->assign[k].to, c->assign[k].from};
    if (!check_nodes(c, "assignment", 1, pair) || !check_nodes(c, "assignment", 1, pair + 1)) return false;
    to[k] = input_of(c, pair[0]);
    if (to[k] < 0) return refuse(c->t, CR_BAD_ARGUMENT, "assignment", k, "goes to a node that is no input");
    for (int j = 0; j < k; j++)
      if (to[j] == to[k]) return refuse(c->t, CR_BAD_ARGUMENT, "assignment", k, "goes to the input of an earlier one");
    cr_array a = cr__array_of(c->t, pair[0].id), b = cr__array_of(c->t, pair[1].id);
    if (!same_shape(&a, &b)) {
      char input[256], value[256];
      cr_fail(c->t, CR_BAD_SHAPE, "cr_capture: assignment %d of %s to %s", k,
              cr__describe(c->t, pair[1], value, sizeof value), cr__describe(c->t, pair[0], input, sizeof input));
      return false;
    }
  }
  return true;
}

/* No needed constant may have been filled from what depends on an input. */
static bool check_constants(const capture *c, const unsigned char *needed, unsigned char *depends) {
  cr_tape *t = c->t;
  memset(depends, 0, t->count);
  for (int k = 0; k < c->n_in; k++) {
    if (depends[c->in[k].id]++) return refuse(t, CR_BAD_ARGUMENT, "input", k, "is an earlier input again");
  }
  for (uint32_t id = 1; id < t->count; id++) {
    int n;
    const uint32_t *in = cr__operands(t, id, &n);
    for (int k = 0; k < n && !depends[id]; k++) depends[id] = depends[in[k]];
    uint32_t source = cr__op_number(t, id) == CR__CONST ? t->node[id].in[0] : 0;
    if (!source || !needed[id] || !depends[source] || depends[id]) continue;
    const cr_op *op = t->op[cr__op_number(t, source)];
    cr_fail(t, CR_BAD_SHAPE,
            "cr_capture: the positions where v%u%s%s%s is true were read when it was recorded, and their number cannot "
            "follow the inputs: use where instead of an index by a mask",
            source, op ? " = " : "", op ? op->name : "", op ? "(...)" : "");
    return false;
  }
  return true;
}

/* The graph between the ends, still on the source tape, as an order of nodes; inputs are copied by themselves. */
static bool copy_between(const capture *c, cr_fn *f, const unsigned char *needed, uint32_t *map) {
  cr_tape *to = f->graph.tape, *from = c->t;
  memset(map, 0, from->count * sizeof *map);
  for (int k = 0; k < c->n_in; k++) {
    uint32_t id = c->in[k].id;
    if (!(map[id] = copy_input(from, id, to))) return false;
    if (cr_name_of(c->in[k])) cr_name(cr__handle(to, map[id]), cr_name_of(c->in[k]));
  }
  for (uint32_t id = 1; id < from->count; id++) {
    if (!needed[id]) continue;
    f->stats.recorded++;
    const cr_op *op = from->op[cr__op_number(from, id)];
    if (op && cr__is_record(from, id) && !from->slot[id].tensor->view)
      f->stats.bytes_recorded +=
          (size_t)cr__array_of(from, id).count * cr_dtype_size((cr_dtype)cr__array_of(from, id).dtype);
    if (op && !cr__is_record(from, id)) f->stats.bytes_recorded += sizeof(double);
    if (map[id]) continue;
    map[id] = op ? cr__copy_node(from, id, map, to) : cr__copy_leaf(f, from, id, to);
    if (!map[id]) return false;
  }
  for (int k = 0; k < f->graph.n_ends; k++) f->graph.end[k] = map[f->graph.end[k]];
  return true;
}

static bool copy_graph(const capture *c, cr_fn *f) {
  cr_tape *t = c->t;
  uint32_t *map = cr__resize_on(t, NULL, 0, t->count * (sizeof *map + 2));
  if (!map) return false;
  unsigned char *needed = (unsigned char *)(map + t->count);
  cr__mark_needed(t, f->graph.n_ends - f->graph.n_in, f->graph.end + f->graph.n_in, needed);
  bool ok = check_constants(c, needed, needed + t->count) && copy_between(c, f, needed, map);
  cr__resize(&t->counted, map, t->count * (sizeof *map + 2), 0);
  return ok;
}

static bool fill(const capture *c, cr_fn *f) {
  f->graph.n_in = c->n_in, f->n_out = c->n_out, f->n_assign = c->n_assign;
  f->graph.n_ends = c->n_in + c->n_out + c->n_assign;
  f->graph.tape = cr__lazy_tape(f, c->t->table);
  if (!f->graph.tape) return false;
  uint32_t *end = f->graph.end = cr__fn_take(f, (size_t)f->graph.n_ends * sizeof *end);
  f->to = cr__fn_take(f, (size_t)c->n_assign * sizeof *f->to);
  if (!end || !f->to || !check_assigns(c, f->to)) return false;
  for (int k = 0; k < c->n_in; k++) *end++ = c->in[k].id;
  for (int k = 0; k < c->n_out; k++) *end++ = c->out[k].id;
  for (int k = 0; k < c->n_assign; k++) *end++ = c->assign[k].from.id;
  return copy_graph(c, f) && cr__rewrite(f) && (c->bound ? cr__plan_within(f, c->bound) : cr__make_plan(f));
}

cr_fn *cr_capture(cr_tape *t, int n_in, const cr_var *in, int n_out, const cr_var *out, int n_assign,
                  const cr_assign *assign, unsigned passes) {
  return cr_capture_within(t, n_in, in, n_out, out, n_assign, assign, passes, 0);
}

cr_fn *cr_capture_within(cr_tape *t, int n_in, const cr_var *in, int n_out, const cr_var *out, int n_assign,
                         const cr_assign *assign, unsigned passes, size_t bytes) {
  capture c = {t, n_in, n_out, n_assign, in, out, assign, bytes};
  if (t->error != CR_OK || !check_inputs(&c)) return NULL;
  cr_fn *f = cr__resize(&t->base, NULL, 0, sizeof *f);
  if (!f) {
    cr_fail(t, CR_NO_MEMORY, "out of memory");
    return NULL;
  }
  memset(f, 0, sizeof *f);
  f->allocator = t->base;
  cr__arena_init(&f->memory, &f->allocator);
  f->threads = t->option[CR_THREADS];
  f->passes = passes;
  pthread_mutex_init(&f->lock, NULL);
  if (fill(&c, f)) return f;
  const cr_tape *g = f->graph.tape;
  if (g && g->error) cr_fail(t, g->error, "cr_capture: %s", g->error_text);
  else cr_fail(t, CR_NO_MEMORY, "out of memory");
  cr_fn_free(f);
  return NULL;
}

void cr_fn_free(cr_fn *f) {
  if (!f) return;
  cr__unload(f->unit);
  cr__drop_codes(f);
  pthread_mutex_destroy(&f->lock);
  cr_free(f->graph.tape);
  cr__arena_free(&f->memory);
  cr_allocator allocator = f->allocator;
  cr__resize(&allocator, f, sizeof *f, 0);
}

static cr_array end_shape(const cr_fn *f, int k) {
  cr_array a, like = cr__array_of(f->graph.tape, f->graph.end[k]);
  cr_array_init(&a, (cr_dtype)like.dtype, like.rank, like.dim);
  return a;
}
cr_array cr_fn_input(const cr_fn *f, int k) { return end_shape(f, k >= 0 && k < f->graph.n_in ? k : 0); }
cr_array cr_fn_output(const cr_fn *f, int k) { return end_shape(f, f->graph.n_in + (k >= 0 && k < f->n_out ? k : 0)); }
cr_fn_stats cr_fn_stats_of(const cr_fn *f) { return f->stats; }
