/* What each node becomes in emitted C: a parameter, a number, a table, another view, a line of a loop, or statements; and
 * which nodes equal others. */
#include <limits.h>

#include "emitting.h"

static bool depends_on_constants(const cr_emitter *e, uint32_t id) {
  int n;
  const uint32_t *in = cr__operands(e->t, id, &n);
  for (int k = 0; k < n; k++)
    if (e->item[in[k]].kind != CR__LITERAL && e->item[in[k]].kind != CR__TABLE) return false;
  return true;
}

static bool is_uniform(const cr_array *a) {
  double first = a->count ? cr_array_get(a, 0) : 0;
  for (int64_t k = 1; k < a->count; k++) {
    double x = cr_array_get(a, k);
    if (memcmp(&x, &first, sizeof x)) return false;
  }
  return a->count > 0;
}

static void make_constant(cr_emitter *e, uint32_t id) {
  cr__item *x = &e->item[id];
  cr_array a = cr__array_of(e->t, id);
  x->root = id;
  x->kind = is_uniform(&a) ? CR__LITERAL : CR__TABLE;
  if (x->kind == CR__LITERAL) {
    x->name = cr__literal(e, cr_array_get(&a, 0), (cr_dtype)a.dtype);
    return;
  }
  const char *name = e->number ? NULL : cr_name_of(cr__handle(e->t, id)); /* of the whole source */
  x->name = name ? cr__identifier(e, name) : cr__format(e, "c%d", ++e->bodies->n_tables);
}

static const char *unnamed(cr_emitter *e) { return cr__format(e, "v%d", ++e->n_names); }

static void make_view(cr_emitter *e, uint32_t id, uint32_t of) {
  cr__item *x = &e->item[id];
  const cr_array to = cr__array_of(e->t, id), from = cr__array_of(e->t, of);
  x->kind = CR__VIEW_OF;
  x->root = e->item[of].root;
  x->offset = e->item[of].offset;
  if (cr__is_record(e->t, of) && to.count)
    x->offset += ((intptr_t)to.data - (intptr_t)from.data) / (intptr_t)cr_dtype_size((cr_dtype)to.dtype);
}

/* Nodes that equal others: products with one, and the same op on the same operands. */

static void make_equal(cr_emitter *e, uint32_t id, uint32_t other) {
  cr__item *x = &e->item[id], *y = &e->item[other];
  x->kind = CR__VIEW_OF;
  x->root = y->root;
  x->like = y->like;
  x->offset = y->offset;
}

/* The first operand's guard is known to let it through where it is a one. */
static bool is_product_with_one(const cr_emitter *e, const cr_row *row, const uint32_t *in, int k) {
  const cr__item *one = &e->item[in[k]];
  bool product = !strcmp(row->value_text, "a * b") || (k == 0 && !strcmp(row->value_text, "a == 0 ? 0 : a * b"));
  return product && one->kind == CR__LITERAL && (!strcmp(one->name, "1.0") || !strcmp(one->name, "1.0f"));
}

static bool same_operand(const cr_emitter *e, uint32_t a, uint32_t b) {
  const cr__item *x = &e->item[a], *y = &e->item[b];
  if (x->kind != CR__LITERAL || y->kind != CR__LITERAL) return x->like == y->like;
  cr_array p = cr__array_of(e->t, a), q = cr__array_of(e->t, b);
  return p.dtype == q.dtype && cr__same_shape_as(&p, &q) && !strcmp(x->name, y->name);
}

static bool same_node(const cr_emitter *e, uint32_t a, uint32_t b) {
  const cr_op *op = e->t->op[cr__op_number(e->t, a)];
  int n, m;
  const uint32_t *in = cr__operands(e->t, a, &n), *other = cr__operands(e->t, b, &m);
  if (op != e->t->op[cr__op_number(e->t, b)] || n != m) return false;
  for (int k = 0; k < n; k++)
    if (!same_operand(e, in[k], other[k])) return false;
  cr_array p = cr__array_of(e->t, a), q = cr__array_of(e->t, b);
  return p.dtype == q.dtype && cr__same_shape_as(&p, &q) &&
         (!op->attr_size || !memcmp(cr__attr_of(e->t, a), cr__attr_of(e->t, b), op->attr_size));
}

static uint32_t hash_of(const cr_emitter *e, uint32_t id) {
  int n;
  const uint32_t *in = cr__operands(e->t, id, &n);
  uint64_t hash = cr__op_number(e->t, id);
  for (int k = 0; k < n; k++) {
    const cr__item *x = &e->item[in[k]];
    uint64_t part = x->kind == CR__LITERAL ? 1 : x->like;
    if (x->kind == CR__LITERAL)
      for (const char *p = x->name; *p; p++) part = part * 31 + (unsigned char)*p;
    hash = (hash ^ part) * 0x9E3779B97F4A7C15u;
    hash ^= hash >> 29;
  }
  return (uint32_t)(hash >> 32);
}

/* An earlier node that the node equals, else 0; e->seen is an open-addressing table of nodes. */
static uint32_t earlier(cr_emitter *e, uint32_t id) {
  const cr_op *op = e->t->op[cr__op_number(e->t, id)];
  int n;
  const uint32_t *in = cr__operands(e->t, id, &n);
  cr_array a = cr__array_of(e->t, id);
  for (int k = 0; op->row && k < n && n == 2; k++) {
    cr_array b = cr__array_of(e->t, e->item[in[1 - k]].like);
    if (!b.contiguous) continue; /* views of the product are laid out densely */
    if (is_product_with_one(e, op->row, in, k) && cr__same_shape_as(&a, &b) && a.dtype == b.dtype) return in[1 - k];
  }
  uint32_t at = hash_of(e, id) & (e->seen_size - 1);
  for (; e->seen[at]; at = (at + 1) & (e->seen_size - 1))
    if (same_node(e, id, e->seen[at])) return e->seen[at];
  e->seen[at] = id;
  return 0;
}

static cr_status no_emit(cr_emitter *e, const cr_op *op) {
  cr_fail(e->t, CR_BAD_ARGUMENT, "emit: %s has no form in C", op->name);
  return e->t->error;
}

static bool make_item(cr_emitter *e, uint32_t id) {
  cr_tape *t = e->t;
  const cr_op *op = t->op[cr__op_number(t, id)];
  cr__item *x = &e->item[id];
  cr_array a = cr__array_of(t, id);
  int n;
  const uint32_t *in = cr__operands(t, id, &n);
  if (a.count > INT_MAX) return cr_fail(t, CR_OVER_LIMIT, "emit: %lld elements", (long long)a.count), false;
  if (!op || (!t->lazy && depends_on_constants(e, id))) return make_constant(e, id), true;
  uint32_t other = earlier(e, id);
  if (other) return make_equal(e, id, other), true;
  const char *name = cr_name_of(cr__handle(t, id));
  if (cr__is_record(t, id) && t->slot[id].tensor->view) return make_view(e, id, in[0]), true;
  if (!op->row && !op->emit) return no_emit(e, op), false;
  x->kind = op->row || op->pointwise ? CR__POINTWISE : CR__STATEMENTS;
  x->root = id;
  x->name = name ? cr__identifier(e, name) : unnamed(e);
  for (int k = 0; k < n; k++) e->item[e->item[in[k]].root].uses++;
  return true;
}

/* Ids that the pieces depend on; inputs stop the search. */
static void mark_needed(cr_emitter *e, unsigned char *needed, uint32_t top) {
  for (int k = 0; k < e->n_pieces; k++) needed[e->piece[k].v.id] = 1;
  for (uint32_t id = top; id > 0; id--) {
    int n;
    if (!needed[id] || e->item[id].kind == CR__PARAMETER) continue;
    const uint32_t *in = cr__operands(e->t, id, &n);
    for (int k = 0; k < n; k++) needed[in[k]] = 1;
  }
}

bool cr__make_parameters(cr_emitter *e) {
  for (int k = 0; k < e->n_in; k++) {
    cr_var v = e->in[k];
    const char *name = cr_name_of(v);
    if (cr_op_of(v) || cr_is_poison(v)) return cr_fail(e->t, CR_BAD_ARGUMENT, "emit: input %d is no leaf", k), false;
    cr__item *x = &e->item[v.id];
    if (x->kind) return cr_fail(e->t, CR_BAD_ARGUMENT, "emit: input %d is given twice", k), false;
    *x = (cr__item){.kind = CR__PARAMETER, .root = v.id, .like = v.id, .part = -1, .used_in = -1, .output = -1};
    x->name = cr__identifier(e, name ? name : cr__format(e, "x%d", k + 1));
  }
  return cr__make_seeds(e);
}

/* The piece is all of its node's root, in its order. */
bool cr__is_whole(const cr_emitter *e, const cr__piece *p) {
  const cr__item *x = &e->item[p->v.id];
  cr_array a = cr__array_of(e->t, x->like), root = cr__array_of(e->t, x->root);
  return p->step == 1 && a.contiguous && !x->offset && a.count > 1 && a.count == root.count;
}

/* Whole arrays are computed where the caller wants them. */
static void place_outputs(cr_emitter *e) {
  for (int k = 0; k < e->n_pieces; k++) {
    const cr__piece *p = &e->piece[k];
    cr__item *x = &e->item[e->item[p->v.id].root];
    bool computed = x->kind == CR__POINTWISE || x->kind == CR__STATEMENTS;
    if (computed && x->output < 0 && cr__is_whole(e, p)) {
      x->output = p->out;
      x->output_at = p->at;
    } else {
      x->uses++;
    }
  }
}

bool cr__make_items(cr_emitter *e) {
  uint32_t top = 0;
  for (int k = 0; k < e->n_pieces; k++)
    if (e->piece[k].v.id > top) top = e->piece[k].v.id;
  unsigned char *needed = cr__alloc(e->t, (size_t)e->n_items);
  if (!needed) return false;
  memset(needed, 0, e->n_items);
  for (e->seen_size = 64; e->seen_size < 2 * e->n_items;) e->seen_size *= 2;
  e->seen = cr__alloc(e->t, e->seen_size * sizeof *e->seen);
  if (!e->seen) return false;
  memset(e->seen, 0, e->seen_size * sizeof *e->seen);
  mark_needed(e, needed, top);
  for (uint32_t id = 1; id <= top; id++) {
    cr__item *x = &e->item[id];
    if (x->kind == CR__PARAMETER || !needed[id]) continue;
    *x = (cr__item){.like = id, .part = -1, .used_in = -1, .output = -1};
    if (!make_item(e, id)) return false;
    int n;
    const uint32_t *in = cr__operands(e->t, id, &n);
    for (int k = 0; k < n; k++) x->swept = x->swept || e->item[in[k]].swept;
  }
  place_outputs(e);
  return e->t->error == CR_OK;
}
