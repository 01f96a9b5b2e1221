/* A plan within a bound on memory: what is computed early and read late is forgotten, and computed again before it is read.
 *
 * At the turn, the moment at which most numbers live, the results that are still to be read are cut into segments of equal
 * bytes, in the order in which they were computed. Of a segment only what later segments start from is kept; the rest is
 * computed again, from what was kept, when the first of it is read after the turn. With s segments of n results about
 * s + n / s live at a time, so that the least memory is of the order of sqrt(n) (Griewank and Walther 2008, ch. 12). The
 * same operations on the same numbers give the same bits. */
#include "planning.h"

typedef struct recomputing {
  cr_fn *f;
  cr_tape *base;             /* the graph as it was, */
  uint32_t *end;             /* with its ends */
  uint32_t count, turn;
  uint32_t *root, *last;     /* of each node: whose numbers it shows; of a root: its last reader */
  uint32_t *segment, *after;
  unsigned char *needed, *late, *kept, *again;
  uint32_t *order, n_order;
  size_t late_bytes;
} recomputing;

static bool is_computed(const recomputing *r, uint32_t id) {
  return r->needed[id] && cr__is_record(r->base, id) && r->base->op[cr__op_number(r->base, id)];
}

static size_t bytes_of(const recomputing *r, uint32_t id) {
  if (r->root[id] != id || !is_computed(r, id)) return 0;
  cr_array a = cr__array_of(r->base, id);
  return (size_t)a.count * cr_dtype_size((cr_dtype)a.dtype);
}

/* What is known once */

static void find_readers(recomputing *r) {
  const cr_tape *t = r->base;
  const cr__graph *g = &r->f->graph;
  cr__mark_needed(t, g->n_ends, r->end, r->needed);
  for (uint32_t id = 1; id < r->count; id++) {
    int n;
    const uint32_t *in = cr__operands(t, id, &n);
    bool view = is_computed(r, id) && t->slot[id].tensor->view && cr__is_record(t, in[0]);
    r->root[id] = view ? r->root[in[0]] : id;
    r->last[id] = id;
    for (int k = 0; k < n && r->needed[id] && !view; k++) r->last[r->root[in[k]]] = id;
  }
  for (int k = g->n_in; k < g->n_ends; k++) r->last[r->root[r->end[k]]] = CR__NEVER;
}

static void find_turn(recomputing *r, size_t *change) {
  size_t now = 0, most = 0;
  memset(change, 0, (r->count + 1) * sizeof *change);
  for (uint32_t id = 1; id < r->count; id++) {
    size_t bytes = r->last[id] == CR__NEVER ? 0 : bytes_of(r, id);
    now += bytes;
    if (bytes) change[r->last[id]] += bytes;
    if (now > most) most = now, r->turn = id;
    now -= change[id];
  }
  for (uint32_t id = r->turn + 1; id < r->count; id++) {
    int n;
    const uint32_t *in = cr__operands(r->base, id, &n);
    for (int k = 0; k < n && r->needed[id]; k++)
      if (in[k] <= r->turn) r->late[in[k]] = 1;
  }
  r->late_bytes = 0;
  for (uint32_t id = 1; id <= r->turn; id++)
    if (r->last[id] > r->turn && r->last[id] != CR__NEVER) r->late_bytes += bytes_of(r, id);
}

/* What is kept, and what computed again, with n segments. The last of them is kept: it is read next. */
static void choose(recomputing *r, uint32_t n) {
  size_t sum = 0;
  memset(r->again, 0, r->count);
  for (uint32_t id = 1; id < r->count; id++) {
    r->kept[id] = r->last[id] == CR__NEVER || !is_computed(r, id);
    r->segment[id] = id > r->turn ? n - 1 : (uint32_t)(sum * n / (r->late_bytes + 1));
    if (id <= r->turn && r->last[id] > r->turn && !r->kept[id]) sum += bytes_of(r, id);
  }
  for (uint32_t id = r->turn; id > 0; id--) { /* late says "wanted" from here on: again by what is computed again */
    int m;
    const uint32_t *in = cr__operands(r->base, id, &m);
    bool wanted = r->late[id] || r->again[id];
    r->again[id] = wanted && r->segment[id] + 1 < n && !r->kept[id] && !r->kept[r->root[id]];
    for (int k = 0; k < m && r->again[id]; k++) {
      if (r->segment[in[k]] == r->segment[id]) r->again[in[k]] = 1;
      else r->kept[r->root[in[k]]] = 1;
    }
  }
}

/* The new order: a node that comes twice is found, from then on, where it came last. New ids count from the inputs. */

static void put(recomputing *r, uint32_t id, uint32_t after) {
  r->order[r->n_order] = id;
  r->after[(uint32_t)r->f->graph.n_in + 1 + r->n_order++] = after;
}

static void put_segment(recomputing *r, uint32_t segment, uint32_t after) {
  for (uint32_t id = 1; id <= r->turn; id++) {
    if (!r->again[id] || r->segment[id] != segment) continue;
    r->again[id] = 0;
    r->f->stats.recomputed++;
    put(r, id, after);
  }
}

static void arrange(recomputing *r, bool waits) {
  const cr_tape *t = r->base;
  const uint32_t first = (uint32_t)r->f->graph.n_in + 1;
  uint32_t latest = 0; /* new id of what was computed last: after the turn, what reads early numbers alone waits for it */
  r->n_order = 0;
  memset(r->after, 0, first * sizeof *r->after);
  for (uint32_t id = 1; id < r->count; id++) {
    int n;
    const uint32_t *in = cr__operands(t, id, &n);
    bool early = id > r->turn && is_computed(r, id) && !t->slot[id].tensor->view;
    if (!r->needed[id] || cr__op_number(t, id) == CR__INPUT) continue;
    for (int k = 0; k < n && id > r->turn; k++) {
      if (in[k] <= r->turn && r->again[in[k]]) put_segment(r, r->segment[in[k]], latest);
      early = early && in[k] <= r->turn;
    }
    put(r, id, early && waits ? latest : 0);
    if (is_computed(r, id) && !t->slot[id].tensor->view) latest = first + r->n_order - 1;
  }
}

/* Attempts */

typedef struct attempt {
  uint32_t chunk, segments;
  size_t used;               /* of the function's memory, before a plan */
  cr_fn_stats stats;
} attempt;

static void undo(recomputing *r, const attempt *a) {
  cr_fn *f = r->f;
  if (f->graph.tape != r->base) cr_free(f->graph.tape);
  f->graph.tape = r->base;
  memcpy(f->graph.end, r->end, (size_t)f->graph.n_ends * sizeof *r->end);
  memset(&f->plan, 0, sizeof f->plan);
  f->stats = a->stats;
  cr__arena_reset(&f->memory, a->chunk, a->used);
}

static bool try(recomputing *r, const attempt *a, uint32_t segments) {
  cr_fn *f = r->f;
  undo(r, a);
  choose(r, segments);
  arrange(r, segments > 1);
  cr_tape *copy = cr__ordered(f, r->n_order, r->order, f->graph.end);
  if (!copy) return false;
  f->graph.tape = copy;
  f->after = copy->count == (uint32_t)f->graph.n_in + 1 + r->n_order ? r->after : NULL;
  bool ok = cr__make_plan(f);
  f->after = NULL;
  if (!ok) {
    cr_fail(r->base, f->graph.tape->error ? f->graph.tape->error : CR_NO_MEMORY, "%s",
            f->graph.tape->error ? f->graph.tape->error_text : "out of memory");
    undo(r, a);
  }
  return ok;
}

/* Of the plans within the bound that which computes least again; else the smallest. */
static bool search(recomputing *r, size_t bound, const attempt *a) {
  uint32_t best = 1, most = 2 * r->turn;
  size_t bytes = 0, stored = 0;
  uint32_t cost = 0;
  for (uint32_t n = 1; n <= most; n = n < 4 ? n + 1 : n + n / 3) {
    if (!try(r, a, n)) return false;
    const cr_fn_stats *s = &r->f->stats;
    if (n == 1) stored = bytes = s->bytes;
    bool within = s->bytes <= bound, was = bytes <= bound;
    if (n > 1 && (within != was ? within : within ? s->recomputed < cost : s->bytes < bytes))
      best = n, bytes = s->bytes, cost = s->recomputed;
    if (n == 1 && within) return true;
    if (n > 4 * best && best > 1) break;
  }
  bool ok = try(r, a, best);
  r->f->stats.bytes_stored = stored;
  return ok;
}

static size_t room(const recomputing *r) {
  const cr__graph *g = &r->f->graph;
  return r->count * (sizeof(size_t) + 9 * sizeof(uint32_t) + 4) + (size_t)(g->n_ends + g->n_in + 8) * sizeof(uint32_t) + 16;
}

bool cr__plan_within(cr_fn *f, size_t bound) {
  recomputing r = {.f = f, .base = f->graph.tape, .count = f->graph.tape->count};
  const attempt a = {f->memory.current, 0, f->memory.used, f->stats};
  size_t *change = cr__resize_on(r.base, NULL, 0, room(&r));
  if (!change) return false;
  r.end = (uint32_t *)(change + r.count + 1);
  r.root = r.end + f->graph.n_ends;
  r.last = r.root + r.count;
  r.segment = r.last + r.count;
  r.order = r.segment + r.count;                                   /* twice as many */
  r.after = r.order + 2 * r.count;                                 /* and behind the inputs */
  r.needed = (unsigned char *)(r.after + 2 * r.count + (uint32_t)f->graph.n_in + 1);
  r.late = r.needed + r.count, r.kept = r.late + r.count, r.again = r.kept + r.count;
  memcpy(r.end, f->graph.end, (size_t)f->graph.n_ends * sizeof *r.end);
  memset(r.late, 0, r.count);
  find_readers(&r);
  find_turn(&r, change);
  size_t bytes = room(&r);
  bool ok = search(&r, bound, &a);
  cr__resize(&r.base->counted, change, bytes, 0);
  if (ok) cr_free(r.base);
  return ok;
}
