/* Planning: the order of steps, what runs in blocks, and how long results live. */
#include <stdlib.h>

#include "planning.h"

bool cr__is_pointwise(const cr_op *op) { return op->row || op->pointwise; }

bool cr__is_flat_same(const cr_tape *t, uint32_t view, uint32_t of) {
  cr_array a = cr__array_of(t, view), b = cr__array_of(t, of);
  return a.contiguous && b.contiguous && a.count == b.count && a.data == b.data && a.dtype == b.dtype;
}

/* Roles and levels */

static void classify(cr__planning *p, uint32_t id) {
  const cr_tape *t = p->t;
  const cr_op *op = t->op[cr__op_number(t, id)];
  cr__fact *f = &p->fact[id];
  int n;
  const uint32_t *in = cr__operands(t, id, &n);
  f->root = id;
  if (!op) return;
  if (!cr__is_record(t, id)) {
    f->role = CR__SCALAR;
    return;
  }
  const cr__fact *first = &p->fact[n ? in[0] : 0];
  cr_array a = cr__array_of(t, id);
  if (t->slot[id].tensor->view && cr__is_record(t, in[0])) {
    f->root = first->root;
    f->level = first->level;
    f->role = cr__in_block(first->role) && cr__is_flat_same(t, id, in[0]) ? CR__ALIAS : CR__VIEW;
    return;
  }
  bool blocks = p->f->passes & CR_FN_BLOCK && a.count > 0;
  bool tree = op->fold && op->fold->most <= CR__SHORTEST_BLOCK && a.count == 1 && a.dtype >= CR_FLOAT32;
  if (blocks && tree && cr__in_block(first->role) && cr__array_of(t, in[0]).contiguous) {
    f->role = CR__FOLD;
    f->level = first->level;
    return;
  }
  f->role = blocks && n > 0 && n <= 3 && cr__is_pointwise(op) ? CR__MEMBER : CR__KERNEL;
  for (int k = 0; k < n; k++) {
    const cr__fact *o = &p->fact[in[k]];
    bool together = f->role == CR__MEMBER && cr__in_block(o->role) && cr__array_of(t, in[k]).count == a.count;
    uint32_t level = o->level + !(together || t->slot[id].tensor->view); /* views of inline scalars, which come first */
    f->level = level > f->level ? level : f->level;
  }
  uint32_t after = p->f->after ? p->f->after[id] : 0;
  if (after && p->fact[after].level >= f->level) f->level = p->fact[after].level + 1;
}

/* Members that lead to nothing but assigned values move to the end, where inputs may be overwritten in place. */
static void sink(cr__planning *p) {
  const cr_tape *t = p->t;
  const cr__graph *g = &p->f->graph;
  uint32_t last = 0;
  unsigned char *live = p->mark, *sinks = live + p->count;
  cr__mark_needed(t, g->n_ends, g->end, live);
  for (uint32_t id = 1; id < p->count; id++) {
    if (live[id] && p->fact[id].level > last) last = p->fact[id].level;
    sinks[id] = live[id] && cr__in_block(p->fact[id].role);
  }
  for (int k = g->n_in; k < g->n_in + p->f->n_out; k++) sinks[g->end[k]] = 0;
  for (uint32_t id = p->count - 1; id > 0; id--) {
    int n;
    const uint32_t *in = cr__operands(t, id, &n);
    if (sinks[id]) p->fact[id].level = last + 1;
    for (int k = 0; k < n && live[id] && !sinks[id]; k++) sinks[in[k]] = 0;
  }
  for (uint32_t id = 1; id < p->count; id++) { /* an alias without its member is a view */
    cr__fact *f = &p->fact[id];
    const cr__fact *of = &p->fact[t->node[id].in[0]];
    if (f->role == CR__ALIAS && (!cr__in_block(of->role) || of->level != f->level)) f->role = CR__VIEW, f->level = of->level;
  }
}

/* Sorting into levels: leaves and scalars, kernels, blocks by size, views */

typedef struct place_in_order {
  uint32_t level, rank, after, part, id; /* after: the kernel that it is or follows, part by part; the chain of a member */
  int64_t count;
} place_in_order;

static int compare(const void *x, const void *y) {
  const place_in_order *a = x, *b = y;
  if (a->level != b->level) return a->level < b->level ? -1 : 1;
  if (a->rank != b->rank) return a->rank < b->rank ? -1 : 1;
  if (a->count != b->count) return a->count < b->count ? -1 : 1;
  if (a->after != b->after) return a->after < b->after ? -1 : 1;
  if (a->part != b->part) return a->part < b->part ? -1 : 1;
  return a->id < b->id ? -1 : a->id > b->id;
}

int64_t cr__block_count(const cr__planning *p, uint32_t id) {
  uint32_t in = p->fact[id].role == CR__FOLD ? p->t->node[id].in[0] : id;
  return cr__array_of(p->t, in).count;
}

/* What nodes wait for, by their ids in the new order. */
static bool renumber(cr__planning *p, uint32_t n, const uint32_t *ids, uint32_t *map) {
  const cr__graph *g = &p->f->graph;
  uint32_t next = (uint32_t)g->n_in + 1, *after = cr__fn_take(p->f, (next + n) * sizeof *after);
  if (!after) return false;
  memset(after, 0, (next + n) * sizeof *after);
  memset(map, 0, p->count * sizeof *map);
  for (int k = 0; k < g->n_in; k++) map[g->end[k]] = (uint32_t)k + 1;
  for (uint32_t k = 0; k < n; k++) {
    if (cr__op_number(p->t, ids[k]) == CR__INPUT) continue;
    map[ids[k]] = next;
    after[next++] = map[p->f->after[ids[k]]];
  }
  p->f->after = after;
  return true;
}

/* Views of leaves come with them; those of kernels, and tails, right behind these. */
static place_in_order place_of(const cr__planning *p, uint32_t id) {
  static const uint32_t rank[] = {
      [CR__LEAF] = 0, [CR__SCALAR] = 1, [CR__KERNEL] = 2, [CR__MEMBER] = 3, [CR__ALIAS] = 3, [CR__FOLD] = 3, [CR__VIEW] = 4};
  const cr__fact *f = &p->fact[id], *root = &p->fact[f->root];
  const uint32_t kernel = rank[CR__KERNEL];
  if (f->tail) return (place_in_order){p->fact[f->tail].level, kernel, f->tail, 2, id, 0};
  if (f->role == CR__KERNEL) return (place_in_order){f->level, kernel, id, 0, id, 0};
  if (f->role == CR__VIEW && root->role == CR__KERNEL) return (place_in_order){f->level, kernel, f->root, 1, id, 0};
  if (f->role == CR__VIEW && root->role == CR__LEAF) return (place_in_order){f->level, rank[CR__LEAF], 0, 0, id, 0};
  const bool shares = rank[f->role] == 3 && !f->chain; /* blocks of their own stay in the order of recording */
  return (place_in_order){f->level, rank[f->role], f->chain, 0, id, shares ? cr__block_count(p, id) : 0};
}

static bool order(cr__planning *p) {
  size_t bytes = p->count * (sizeof(place_in_order) + sizeof(uint32_t));
  place_in_order *o = cr__resize_on(p->t, NULL, 0, bytes);
  uint32_t n = 0, *ids = (uint32_t *)(o + p->count);
  if (!o) return false;
  unsigned char *needed = (unsigned char *)ids; /* before the ids are written */
  cr__mark_needed(p->t, p->f->graph.n_ends, p->f->graph.end, needed);
  bool blocks = p->f->passes & CR_FN_BLOCK;
  bool sorted = true; /* as it is where all are scalars, behind the leaves */
  for (int leaves = blocks; leaves >= 0; leaves--)
    for (uint32_t id = 1; id < p->count; id++) {
      if (!needed[id] || (blocks && (p->fact[id].role == CR__LEAF) != leaves)) continue;
      o[n] = blocks ? place_of(p, id) : (place_in_order){.id = id};
      sorted = sorted && (!blocks || !n || compare(&o[n - 1], &o[n]) < 0);
      n++;
    }
  if (!sorted) qsort(o, n, sizeof *o, compare);
  for (uint32_t k = 0; k < n; k++) ids[k] = o[k].id;
  cr_tape *t = p->t;
  bool ok = !p->f->after || renumber(p, n, ids, (uint32_t *)o);
  ok = ok && cr__reorder(p->f, n, ids);
  cr_allocator allocator = p->f->allocator;
  if (ok) cr__resize(&allocator, o, bytes, 0); /* the old tape, which counted it, is gone */
  else cr__resize(&t->counted, o, bytes, 0);
  return ok;
}

/* Steps */

static bool begins_step(const cr__planning *p, uint32_t id) {
  const cr__fact *f = &p->fact[id], *before = &p->fact[id - 1];
  if (f->role == CR__LEAF || f->role == CR__VIEW) return false;
  if (f->role == CR__KERNEL || id == 1) return true;
  if (f->role == CR__SCALAR) return before->role != CR__SCALAR;
  bool block = cr__in_block(before->role) || before->role == CR__FOLD;
  if (!block || before->level != f->level || before->tail != f->tail || before->chain != f->chain) return true;
  return cr__block_count(p, id) != cr__block_count(p, id - 1);
}

static bool make_steps(cr__planning *p) {
  cr__plan *plan = &p->f->plan;
  for (uint32_t id = 1; id < p->count; id++) plan->n_steps += begins_step(p, id);
  plan->step = cr__fn_take(p->f, plan->n_steps * sizeof *plan->step);
  if (!plan->step) return false;
  uint32_t n = 0;
  for (uint32_t id = 1; id < p->count; id++) {
    cr__fact *f = &p->fact[id];
    bool idle = f->role == CR__LEAF || f->role == CR__VIEW;
    cr__role role = f->role == CR__ALIAS || f->role == CR__FOLD ? CR__MEMBER : f->role;
    if (begins_step(p, id)) plan->step[n++] = (cr__step){.role = role, .tail = f->tail != 0, .from = id, .to = id + 1};
    else if (!idle) plan->step[n - 1].to = id + 1;
    f->step = n ? n - 1 : 0;
    if (f->role == CR__KERNEL) p->last_kernel = n;
  }
  return true;
}

/* Lives: who reads what, last when */

static void live_until(cr__fact *root, uint32_t step) {
  if (root->dies != CR__NEVER && step > root->dies) root->dies = step;
}

static void read_by(cr__planning *p, uint32_t id, uint32_t reader) {
  const cr__fact *r = &p->fact[reader];
  cr__fact *root = &p->fact[p->fact[id].root];
  live_until(root, r->step);
  bool inside =
      (r->role == CR__MEMBER || r->role == CR__FOLD) && cr__in_block(p->fact[id].role) && r->step == p->fact[id].step;
  if (!inside) root->stored = true;
}

static void find_lives(cr__planning *p) {
  const cr__graph *g = &p->f->graph;
  for (uint32_t id = 1; id < p->count; id++) {
    cr__fact *f = &p->fact[id];
    int n;
    const uint32_t *in = cr__operands(p->t, id, &n);
    f->dies = f->step;
    if (f->role != CR__MEMBER) f->stored = true;
    if (f->role == CR__SCALAR || f->role == CR__VIEW || f->role == CR__ALIAS) continue; /* views read nothing themselves */
    for (int k = 0; k < n; k++) read_by(p, in[k], id);
    if (!f->tail) continue;
    in = cr__operands(p->t, f->tail, &n);
    for (int k = 0; k < n; k++) live_until(&p->fact[p->fact[in[k]].root], f->step);
  }
  for (int k = g->n_in; k < g->n_ends; k++) {
    cr__fact *root = &p->fact[p->fact[g->end[k]].root];
    root->dies = CR__NEVER;
    root->stored = true;
  }
}

/* The whole plan */

static bool note_moving(cr__planning *p) {
  cr__plan *plan = &p->f->plan;
  plan->moving = cr__fn_take(p->f, p->count * sizeof *plan->moving);
  if (!plan->moving) return false;
  for (uint32_t id = 1; id < p->count; id++) {
    cr__home home = plan->place[id].home;
    if (home == CR__AT_INPUT || home == CR__AT_OUTPUT) plan->moving[plan->n_moving++] = id;
  }
  return true;
}

static bool plan_ordered(cr__planning *p) {
  cr__plan *plan = &p->f->plan;
  plan->place = cr__fn_take(p->f, p->count * sizeof *plan->place);
  if (!plan->place) return false;
  memset(plan->place, 0, p->count * sizeof *plan->place);
  if (!make_steps(p)) return false;
  find_lives(p);
  cr__spill(p);
  if (!cr__place_all(p)) return false;
  for (uint32_t k = 0; k < plan->n_steps; k++) {
    cr__step *s = &plan->step[k];
    if (s->role == CR__MEMBER && !cr__make_blocks(p, s)) return false;
    p->f->stats.tails += s->tail;
    if (s->role == CR__SCALAR && !cr__make_strips(p, s)) return false;
  }
  p->f->stats.steps = plan->n_steps - p->f->stats.tails;
  p->f->stats.nodes = p->count - 1;
  p->f->stats.bytes = p->f->stats.bytes_stored = plan->bytes;
  return note_moving(p);
}

static size_t fact_bytes(const cr__planning *p) { return p->count * (sizeof *p->fact + 2); }

static bool take_facts(cr__planning *p) {
  p->t = p->f->graph.tape;
  p->count = p->t->count;
  p->fact = cr__resize_on(p->t, NULL, 0, fact_bytes(p));
  if (!p->fact) return false;
  memset(p->fact, 0, fact_bytes(p));
  p->mark = (unsigned char *)(p->fact + p->count);
  for (uint32_t id = 1; id < p->count; id++) classify(p, id);
  if (p->f->passes & CR_FN_BLOCK) sink(p);
  if (p->f->passes & CR_FN_BLOCK) cr__find_chains(p);
  return true;
}

bool cr__make_plan(cr_fn *f) {
  cr__planning p = {.f = f};
  bool ok = take_facts(&p) && order(&p);
  cr_allocator allocator = f->allocator;
  if (p.fact) cr__resize(&allocator, p.fact, fact_bytes(&p), 0);
  p = (cr__planning){.f = f};
  ok = ok && take_facts(&p) && plan_ordered(&p);
  if (p.fact) cr__resize(&allocator, p.fact, fact_bytes(&p), 0);
  return ok;
}
