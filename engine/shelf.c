/* See shelf.h. */
#include "shelf.h"

enum { PLACES = 64 };

struct cr_shelf {
  cr_body *body[PLACES];
  uint32_t next;
};

static bool same_bytes(const void *a, const void *b, size_t n) { return !n || !memcmp(a, b, n); }

static bool same_leaf(const cr_array *x, const cr_array *y) {
  return x->contiguous && y->contiguous &&
         same_bytes(x->data, y->data, (size_t)x->count * cr_dtype_size((cr_dtype)x->dtype));
}

/* Attributes that hold bodies are the same when the bodies are. */
static bool same_node(const cr_tape *a, const cr_tape *b, uint32_t id) {
  const cr_op *op = a->op[cr__op_number(a, id)];
  cr_array x = cr__array_of(a, id), y = cr__array_of(b, id);
  if (op != b->op[cr__op_number(b, id)] || cr__is_record(a, id) != cr__is_record(b, id)) return false;
  if (x.dtype != y.dtype || x.rank != y.rank || !same_bytes(x.dim, y.dim, x.rank * sizeof *x.dim)) return false;
  if (!op) return cr__op_number(a, id) == cr__op_number(b, id) && (cr__op_number(a, id) == CR__INPUT || same_leaf(&x, &y));
  int n, m;
  const uint32_t *in = cr__operands(a, id, &n), *other = cr__operands(b, id, &m);
  const void *p = cr__attr_of(a, id), *q = cr__attr_of(b, id);
  return n == m && same_bytes(in, other, (size_t)n * sizeof *in) && !p == !q && (!p || same_bytes(p, q, op->attr_size));
}

static bool same_graph(const cr_body *a, const cr_body *b) {
  if (a->hash != b->hash || a->n != b->n || a->m != b->m || a->source->count != b->source->count) return false;
  if (!same_bytes(a->end, b->end, (size_t)(a->n + a->m) * sizeof *a->end)) return false;
  for (uint32_t id = 1; id < a->source->count; id++)
    if (!same_node(a->source, b->source, id)) return false;
  return true;
}

cr_body *cr__shelf_find(const cr_tape *t, const cr_body *like) {
  for (int k = 0; t->shelf && k < PLACES; k++)
    if (t->shelf->body[k] && same_graph(t->shelf->body[k], like)) return t->shelf->body[k];
  return NULL;
}

struct cr_shelf *cr__shelf_of(cr_tape *t) {
  if (t->shelf) return t->shelf;
  t->shelf = cr__resize(&t->counted, NULL, 0, sizeof *t->shelf);
  if (t->shelf) memset(t->shelf, 0, sizeof *t->shelf);
  return t->shelf;
}

void cr__shelf_put(cr_tape *t, cr_body *b) {
  if (!cr__shelf_of(t)) return;
  cr_body **place = &t->shelf->body[t->shelf->next++ % PLACES];
  cr_body_release(*place);
  cr_body_hold(b);
  *place = b;
}

void cr__shelf_free(cr_tape *t) {
  for (int k = 0; t->shelf && k < PLACES; k++) cr_body_release(t->shelf->body[k]);
  cr__resize(&t->counted, t->shelf, t->shelf ? sizeof *t->shelf : 0, 0);
  t->shelf = NULL;
}
