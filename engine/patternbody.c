/* What the results of bodies depend on: their nodes are looked through with the sets of what stands in the place of the
 * inputs. */
#include "shelf.h"
#include "tracing.h"

/* A body, with a copy of its graph that belongs to this trace alone. */
struct cr__traced {
  cr__traced *next;
  const cr_body *body;
  cr_allocator allocator;
  uint32_t *end;
  tracing inside;
  uint32_t chunk;     /* where the memory of one run begins */
  size_t used;
};

static size_t end_bytes(const cr_body *b) { return (size_t)(b->n + b->m + 1) * sizeof(uint32_t); }

void cr__traced_free(cr__traced *b) {
  while (b) {
    cr__traced *next = b->next;
    cr_allocator allocator = b->allocator;
    cr__traced_free(b->inside.bodies);
    cr__arena_free(&b->inside.memory);
    cr_free(b->inside.t);
    cr__resize(&allocator, b->end, b->end ? end_bytes(b->body) : 0, 0);
    cr__resize(&allocator, b, sizeof *b, 0);
    b = next;
  }
}

/* The graph that the passes left, where constants are known and nothing else is. */
static cr_tape *copy_graph(const cr_body *b, const cr_allocator *allocator, uint32_t *end) {
  cr_body *body = (cr_body *)(uintptr_t)b;
  uint32_t count = b->f->graph.tape->count, *order = cr__resize(allocator, NULL, 0, count * sizeof *order);
  if (!order) return NULL;
  memcpy(end, b->f->graph.end, (size_t)(b->n + b->m) * sizeof *end);
  for (uint32_t k = 1; k < count; k++) order[k - 1] = k;
  pthread_mutex_lock(&body->lock);
  cr_tape *copy = cr__ordered(b->f, count - 1, order, end);
  pthread_mutex_unlock(&body->lock);
  cr__resize(allocator, order, count * sizeof *order, 0);
  return copy;
}

static bool prepare(tracing *p, cr__traced *b) {
  tracing *q = &b->inside;
  b->end = cr__resize(&b->allocator, NULL, 0, end_bytes(b->body));
  q->t = b->end ? copy_graph(b->body, &b->allocator, b->end) : NULL;
  if (!q->t) return false;
  uint32_t count = q->t->count;
  q->sets = p->sets;
  q->slopes = p->slopes;
  cr__arena_init(&q->memory, &b->allocator);
  q->of = cr__trace_take(q, count * sizeof *q->of);
  q->one = cr__trace_take(q, count * sizeof *q->one);
  q->needed = cr__trace_take(q, 2 * (size_t)count);
  if (!q->of || !q->one || !q->needed) return false;
  q->varies = q->needed + count;
  cr__mark_needed(q->t, b->body->m, b->end + b->body->n, q->needed);
  for (uint32_t id = 0; id < count; id++) q->varies[id] = cr__op_number(q->t, id) != CR__CONST;
  b->chunk = q->memory.current;
  b->used = q->memory.used;
  return true;
}

static cr__traced *traced(tracing *p, const cr_body *body) {
  for (cr__traced *b = p->bodies; b; b = b->next)
    if (b->body == body) return b;
  cr__traced *b = cr__resize(&p->t->base, NULL, 0, sizeof *b);
  if (!b) return cr__out_of_memory(p->t), NULL;
  *b = (cr__traced){.next = p->bodies, .body = body, .allocator = p->t->base};
  p->bodies = b;
  if (prepare(p, b)) return b;
  cr__out_of_memory(p->t);
  return NULL;
}

static uint32_t set_at(const cr_array *a, int64_t k) {
  return (uint32_t)((const double *)a->data)[cr_array_offset(a, k)];
}

/* The sets of the elements that input k of the body stands for. */
static bool put_input(cr_depend *c, cr__traced *b, int k, cr_depend_part from) {
  const tracing *p = c->inside;
  tracing *q = &b->inside;
  uint32_t id = b->end[k];
  cr_array like = cr__array_of(q->t, id), a;
  if (from.operand == -2 || like.dtype < CR_FLOAT32) return true;
  if (from.operand >= 0) a = cr__trace_sets(p, p->in[from.operand]);
  else cr_array_init(&a, CR_FLOAT64, 1, &c->out->count), a.data = p->out;
  if (like.count == 1) {
    q->one[id] = set_at(&a, from.at);
    return true;
  }
  double *sets = cr__trace_take(q, (size_t)like.count * sizeof *sets);
  for (int64_t i = 0; sets && i < like.count; i++) sets[i] = set_at(&a, from.at + i);
  return (q->of[id] = sets) != NULL;
}

static bool run(cr_depend *c, cr__traced *b, const cr_depend_part *in, const int64_t *out) {
  tracing *p = c->inside, *q = &b->inside;
  const cr_body *body = b->body;
  cr__arena_reset(&q->memory, b->chunk, b->used);
  q->list = NULL;
  q->list_size = 0;
  for (uint32_t id = 0; id < q->t->count; id++) q->of[id] = NULL, q->one[id] = 0;
  for (int k = 0; k < body->n; k++)
    if (!put_input(c, b, k, in[k])) return false;
  for (uint32_t id = 1; id < q->t->count; id++)
    if (q->needed[id] && !cr__trace_node(q, id)) return false;
  for (int k = 0; k < body->m; k++) {
    cr_array a = cr__trace_sets(q, b->end[body->n + k]);
    for (int64_t i = 0; i < a.count; i++)
      p->out[out[k] + i] = cr__set_union(p->sets, (uint32_t)p->out[out[k] + i], set_at(&a, i));
  }
  return true;
}

void cr_depend_body(cr_depend *c, const cr_body *body, const cr_depend_part *in, const int64_t *out) {
  tracing *p = c->inside;
  cr__traced *b = p->t->error == CR_OK && cr__trace_begun(c) ? traced(p, body) : NULL;
  if (!b || run(c, b, in, out)) return;
  const cr_tape *t = b->inside.t;
  if (t->error) cr_fail(p->t, t->error, "%s", t->error_text);
  else cr__out_of_memory(p->t);
}
