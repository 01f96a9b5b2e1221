/* Where results are kept: one piece of memory, used again, and the caller's own. */
#include "planning.h"

/* Offsets in one piece, those given back first */

typedef struct hole {
  size_t offset, size;
} hole;

typedef struct heap {
  hole *hole;
  uint32_t n;
  size_t top;
} heap;

static size_t take(heap *h, size_t size) {
  uint32_t best = h->n;
  for (uint32_t k = 0; k < h->n; k++)
    if (h->hole[k].size >= size && (best == h->n || h->hole[k].size < h->hole[best].size)) best = k;
  size_t offset = h->top;
  if (best < h->n) {
    hole *b = &h->hole[best];
    offset = b->offset;
    b->offset += size, b->size -= size;
    if (!b->size) *b = h->hole[--h->n];
    return offset;
  }
  for (uint32_t k = 0; k < h->n; k++) /* a hole at the end grows */
    if (h->hole[k].offset + h->hole[k].size == h->top) {
      offset = h->hole[k].offset;
      h->hole[k] = h->hole[--h->n];
      break;
    }
  h->top = offset + size;
  return offset;
}

static void give(heap *h, size_t offset, size_t size) {
  for (uint32_t k = 0; k < h->n;) {
    hole *b = &h->hole[k];
    if (b->offset + b->size == offset || offset + size == b->offset) {
      offset = offset < b->offset ? offset : b->offset;
      size += b->size;
      *b = h->hole[--h->n];
      k = 0;
    } else {
      k++;
    }
  }
  h->hole[h->n++] = (hole){offset, size};
}

static size_t size_of(const cr_tape *t, uint32_t id) {
  cr_array a = cr__array_of(t, id);
  if (t->slot[id].tensor->view) return 64; /* of an inline scalar, which it copies */
  return ((size_t)a.count * cr_dtype_size((cr_dtype)a.dtype) + 63) & ~(size_t)63;
}

/* Operand u of the line of id may give its memory to the result: nobody reads it at a later line or step, and both go
 * through it element by element. */
static bool dies_here(const cr__planning *p, uint32_t u, uint32_t id, uint32_t step) {
  const cr__fact *f = &p->fact[u];
  cr_array a = cr__array_of(p->t, u), b = cr__array_of(p->t, id);
  return f->stored && !f->taken && !f->gathered && f->dies == step && f->last_line <= id && a.contiguous &&
         a.count == b.count && cr_dtype_size((cr_dtype)a.dtype) == cr_dtype_size((cr_dtype)b.dtype);
}

/* An assigned value that may be written to its input at once: no step that may fail follows, nor anything that reads the
 * input. */
static bool place_at_input(cr__planning *p, uint32_t id, uint32_t step) {
  const cr_fn *f = p->f;
  if (p->fact[id].tail) return false; /* a kernel is running */
  for (int k = 0; k < f->n_assign; k++) {
    if (f->graph.end[f->graph.n_in + f->n_out + k] != id) continue;
    uint32_t input = f->graph.end[f->to[k]];
    cr__fact *to = &p->fact[input];
    bool read_later = to->dies == CR__NEVER || to->dies > step || (to->dies == step && (to->last_line > id || to->gathered));
    if (step < p->last_kernel || read_later || to->taken || !cr__is_record(p->t, input)) continue;
    to->taken = true;
    p->f->plan.place[id] = (cr__place){CR__AT_INPUT, f->to[k], 0};
    return true;
  }
  return false;
}

static bool place_at_output(cr__planning *p, uint32_t id) {
  const cr__graph *g = &p->f->graph;
  for (int k = 0; k < p->f->n_out; k++)
    if (g->end[g->n_in + k] == id) {
      p->f->plan.place[id] = (cr__place){CR__AT_OUTPUT, k, 0};
      return true;
    }
  return false;
}

static void place_root(cr__planning *p, heap *h, uint32_t id, uint32_t step, bool reuse) {
  cr__place *place = p->f->plan.place;
  const cr__fact *f = &p->fact[id];
  if (!f->stored) {
    place[id] = (cr__place){CR__NOWHERE, 0, 0};
    return;
  }
  bool member = f->role == CR__MEMBER;
  if (place_at_output(p, id) || (member && place_at_input(p, id, step))) return;
  int n;
  const uint32_t *in = cr__operands(p->t, id, &n);
  for (int k = 0; k < n && member && reuse; k++) {
    uint32_t u = p->fact[in[k]].root;
    if (place[u].home != CR__MEMORY || !dies_here(p, u, id, step)) continue;
    p->fact[u].taken = true;
    place[id] = place[u];
    return;
  }
  place[id] = (cr__place){CR__MEMORY, 0, take(h, size_of(p->t, id))};
}

/* Where views of roots, leaves and inline nodes are. */
static void place_rest(cr__planning *p, uint32_t id) {
  cr__place *place = &p->f->plan.place[id];
  const cr__fact *f = &p->fact[id];
  if (!cr__is_record(p->t, id)) place->home = CR__SLOT;
  else if (f->role == CR__LEAF && cr__op_number(p->t, id) == CR__CONST) place->home = CR__GIVEN;
  else if (f->role == CR__LEAF) *place = (cr__place){CR__AT_INPUT, (int)id - 1, 0};
  else if (f->root != id) {
    const char *root = cr__array_of(p->t, f->root).data, *here = cr__array_of(p->t, id).data;
    *place = p->f->plan.place[f->root];
    place->offset += (size_t)(here - root);
  }
}

/* Roots by the step after which their memory is free again, as lists. */
bool cr__place_all(cr__planning *p) {
  cr__plan *plan = &p->f->plan;
  bool reuse = p->f->passes & CR_FN_REUSE;
  size_t bytes = (p->count + 1) * (2 * sizeof(uint32_t) + sizeof(hole));
  hole *holes = cr__resize_on(p->t, NULL, 0, bytes);
  if (!holes) return false;
  uint32_t *head = (uint32_t *)(holes + p->count + 1), *next = head + p->count + 1;
  heap h = {holes, 0, 0};
  memset(head, 0, (p->count + 1) * sizeof *head);
  for (uint32_t id = 1; id < p->count; id++) {
    const cr__fact *f = &p->fact[id];
    if (f->root != id || f->dies == CR__NEVER || !f->stored || f->role == CR__LEAF || f->role == CR__SCALAR) continue;
    next[id] = head[f->dies];
    head[f->dies] = id;
  }
  for (uint32_t id = 1; id < p->count; id++) place_rest(p, id);
  for (uint32_t s = 0; s < plan->n_steps; s++) {
    const cr__step *step = &plan->step[s];
    if (step->role == CR__SCALAR) continue;
    if (step->role == CR__MEMBER) cr__note_lines(p, step);
    for (uint32_t id = step->from; id < step->to; id++)
      if (p->fact[id].root == id) place_root(p, &h, id, s, reuse);
    for (uint32_t id = head[s]; id && reuse; id = next[id])
      if (plan->place[id].home == CR__MEMORY && !p->fact[id].taken) give(&h, plan->place[id].offset, size_of(p->t, id));
  }
  for (uint32_t id = 1; id < p->count; id++) place_rest(p, id);
  plan->bytes = h.top;
  cr__resize(&p->t->counted, holes, bytes, 0);
  return true;
}
