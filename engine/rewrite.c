/* Passes over a captured graph: constants folded, ops simplified, equal nodes merged, dead nodes left behind. Old tape to
 * new. */
#include <xxhash.h>

#include "graph.h"

/* One forward pass. Every node is recorded on the new tape over what its operands became, unless something cheaper does. */
typedef struct rewriting {
  cr_fn *f;
  cr_tape *from, *to;
  uint32_t *map;             /* from old ids to new */
  uint32_t *table, size;     /* new ids by key, open addressing; 0 is empty */
  uint64_t *rules;           /* by op number of the new tape: bits of the rewrites for it; bit 63: known */
  uint32_t n_rules;
} rewriting;

/* Merging: keys are Merkle hashes, because equal operands have one id already */

static bool same_bytes(const void *a, const void *b, size_t n) { return n == 0 || !memcmp(a, b, n); }

static size_t bytes_of(const cr_array *a) { return (size_t)a->count * cr_dtype_size((cr_dtype)a->dtype); }

static uint64_t key_of(const cr_tape *t, uint32_t id) {
  int n;
  const uint32_t *in = cr__operands(t, id, &n);
  const cr_op *op = t->op[cr__op_number(t, id)];
  uint32_t head = cr__op_bits(&t->node[id]);
  if (op && !cr__is_record(t, id)) return XXH3_64bits_withSeed(in, (size_t)n * sizeof *in, head);
  uint64_t key = XXH3_64bits(&head, sizeof head);
  if (op) {
    key = XXH3_64bits_withSeed(in, (size_t)n * sizeof *in, key);
    return op->attr_size && cr__attr_of(t, id) ? XXH3_64bits_withSeed(cr__attr_of(t, id), op->attr_size, key) : key;
  }
  cr_array a = cr__array_of(t, id);
  key = XXH3_64bits_withSeed(a.dim, a.rank * sizeof *a.dim, key + a.dtype);
  return a.contiguous ? XXH3_64bits_withSeed(a.data, bytes_of(&a), key) : key;
}

static bool same_leaf(const cr_tape *t, uint32_t a, uint32_t b) {
  cr_array x = cr__array_of(t, a), y = cr__array_of(t, b);
  bool same = x.contiguous && y.contiguous && x.dtype == y.dtype && x.rank == y.rank && x.count == y.count;
  return same && same_bytes(x.dim, y.dim, x.rank * sizeof *x.dim) && same_bytes(x.data, y.data, bytes_of(&x));
}

static bool same_node(const cr_tape *t, uint32_t a, uint32_t b) {
  int n, m;
  const cr_op *op = t->op[cr__op_number(t, a)];
  if (cr__op_bits(&t->node[a]) != cr__op_bits(&t->node[b])) return false;
  if (!op) return cr__op_number(t, a) == CR__CONST && same_leaf(t, a, b);
  const uint32_t *in = cr__operands(t, a, &n), *other = cr__operands(t, b, &m);
  const void *x = cr__attr_of(t, a), *y = cr__attr_of(t, b);
  return n == m && same_bytes(in, other, (size_t)n * sizeof *in) && !x == !y && (!x || same_bytes(x, y, op->attr_size));
}

/* An equal node recorded before, or this one, which is then known. */
static uint32_t merge(rewriting *r, uint32_t id) {
  uint32_t mask = r->size - 1, h = (uint32_t)key_of(r->to, id) & mask;
  for (; r->table[h]; h = (h + 1) & mask) {
    if (r->table[h] == id) return id;
    if (!same_node(r->to, r->table[h], id)) continue;
    r->f->stats.merged++;
    return r->table[h];
  }
  r->table[h] = id;
  return id;
}

/* Folding */

static bool is_constant(const cr_tape *t, uint32_t id) {
  while (cr__is_record(t, id) && t->slot[id].tensor->view && t->op[cr__op_number(t, id)]) id = t->node[id].in[0];
  return cr__op_number(t, id) == CR__CONST;
}

enum { SMALL = 1 << 12 };

/* Worth keeping: no much larger than what it is made of. Views cost nothing as they are. */
static bool foldable(const rewriting *r, uint32_t id) {
  const cr_tape *t = r->from;
  int n;
  const uint32_t *in = cr__operands(t, id, &n);
  if (cr__is_record(t, id) && t->slot[id].tensor->view) return false;
  for (int k = 0; k < n; k++)
    if (!is_constant(r->to, r->map[in[k]])) return false;
  int64_t count = cr__array_of(t, id).count, largest = SMALL;
  for (int k = 0; k < n; k++) {
    int64_t c = cr__array_of(r->to, r->map[in[k]]).contiguous ? cr__array_of(r->to, r->map[in[k]]).count : 0;
    largest = c > largest ? c : largest;
  }
  return n > 0 && count <= largest;
}

static uint32_t fold(rewriting *r, uint32_t id) {
  cr_mark mark = cr_mark_here(r->to);
  r->to->lazy = false;
  uint32_t computed = cr__copy_node(r->from, id, r->map, r->to);
  r->to->lazy = true;
  if (!computed) { /* its failure, such as an index out of range, comes when it is run */
    cr_clear_error(r->to);
    cr__rewind(r->to, mark);
    return cr__copy_node(r->from, id, r->map, r->to);
  }
  r->f->stats.folded++;
  uint32_t constant = cr__copy_leaf(r->f, r->to, computed, r->to);
  return constant;
}

/* Simplifying */

static uint64_t rules_for(rewriting *r, const cr_op *op) {
  const cr_rewrite *rule = r->to->table->rewrites;
  uint32_t number = cr__number_of(r->to, op);
  if (!rule || !number || number >= r->n_rules) return 0;
  if (!r->rules[number]) {
    r->rules[number] = (uint64_t)1 << 63;
    for (int k = 0; rule[k].op && k < 63; k++)
      if (rule[k].pass & r->f->passes && !strcmp(rule[k].op, op->name)) r->rules[number] |= (uint64_t)1 << k;
  }
  return r->rules[number] & ~((uint64_t)1 << 63);
}

static bool same_shape(const cr_array *a, const cr_array *b) {
  bool same = a->rank == b->rank && a->dtype == b->dtype;
  for (int i = 0; same && i < a->rank; i++) same = a->dim[i] == b->dim[i];
  return same;
}

/* What a rule makes of the node; 0: no rule applies. */
static uint32_t simplify(rewriting *r, uint32_t id) {
  int n;
  const uint32_t *in = cr__operands(r->from, id, &n);
  const cr_op *op = r->from->op[cr__op_number(r->from, id)];
  uint64_t rules = rules_for(r, op);
  cr_var operand[3];
  if (!rules || n > 3) return 0;
  for (int k = 0; k < n; k++) operand[k] = cr__handle(r->to, r->map[in[k]]);
  for (int k = 0; rules; k++, rules >>= 1) {
    if (!(rules & 1)) continue;
    const cr_rewrite *rule = &r->to->table->rewrites[k];
    cr_var v = rule->apply(r->to, n, operand, cr__attr_of(r->from, id));
    cr_array a = cr__array_of(r->from, id), b = cr__array_of(r->to, v.id);
    if (!v.id || !same_shape(&a, &b)) continue;
    if (rule->pass == CR_FN_STABLE) r->f->stats.stabilized++;
    else r->f->stats.simplified++;
    return v.id;
  }
  return 0;
}

/* A pointwise op on views that repeat one number computes one number, and that is repeated. */
static uint32_t shrink(rewriting *r, uint32_t id) {
  int n;
  const uint32_t *in = cr__operands(r->from, id, &n);
  const cr_op *op = r->from->op[cr__op_number(r->from, id)];
  cr_tape *t = r->to;
  cr_var number[3];
  bool constant = (r->f->passes & CR_FN_FOLD) != 0;
  if (!cr__is_record(r->from, id) || !cr__is_pointwise(op) || n < 1 || n > 3) return 0;
  if (cr__array_of(r->from, id).count <= 1) return 0;
  for (int k = 0; k < n; k++) {
    uint32_t view = r->map[in[k]], of = cr__is_record(t, view) && t->op[cr__op_number(t, view)] ? t->node[view].in[0] : 0;
    if (!of || !t->slot[view].tensor->view || cr__array_of(t, of).count != 1) return 0;
    if (cr__array_of(t, of).rank != cr__array_of(t, k ? number[0].id : of).rank) return 0;
    number[k] = cr__handle(t, of);
    constant = constant && is_constant(t, of);
  }
  t->lazy = !constant;
  cr_var v = cr_record(t, op, n, number, cr__attr_of(r->from, id));
  t->lazy = true;
  if (constant && v.id) v = cr__handle(t, cr__copy_leaf(r->f, t, v.id, t));
  if (!v.id) return 0;
  if (r->table) v = cr__handle(t, merge(r, v.id));
  uint32_t view = r->map[in[0]];
  r->f->stats.simplified++;
  return cr_record(t, t->op[cr__op_number(t, view)], 1, &v, cr__attr_of(t, view)).id;
}

static uint32_t rewritten(rewriting *r, uint32_t id) {
  unsigned passes = r->f->passes;
  if (!r->from->op[cr__op_number(r->from, id)]) return cr__copy_leaf(r->f, r->from, id, r->to);
  if (passes & CR_FN_FOLD && foldable(r, id)) return fold(r, id);
  uint32_t simpler = passes & CR_FN_SIMPLIFY ? shrink(r, id) : 0;
  if (!simpler && !r->to->error && passes & (CR_FN_SIMPLIFY | CR_FN_STABLE)) simpler = simplify(r, id);
  return simpler || r->to->error ? simpler : cr__copy_node(r->from, id, r->map, r->to);
}

/* Rules may record several nodes for one: they are looked up when they turn up as operands, so the table has room for all.
 */
static bool make_room(rewriting *r) {
  uint32_t size = 64;
  while (size < 4 * r->from->count) size *= 2;
  if (r->f->passes & CR_FN_MERGE) {
    r->table = cr__resize_on(r->from, NULL, 0, size * sizeof *r->table);
    if (!r->table) return false;
    memset(r->table, 0, size * sizeof *r->table);
    r->size = size;
  }
  r->n_rules = r->from->n_ops + 64;
  r->rules = cr__resize_on(r->from, NULL, 0, r->n_rules * sizeof *r->rules);
  r->map = cr__resize_on(r->from, NULL, 0, r->from->count * sizeof *r->map);
  if (!r->rules || !r->map) return false;
  memset(r->rules, 0, r->n_rules * sizeof *r->rules);
  memset(r->map, 0, r->from->count * sizeof *r->map);
  return true;
}

static void give_back(rewriting *r) {
  cr__resize(&r->from->counted, r->table, r->table ? r->size * sizeof *r->table : 0, 0);
  cr__resize(&r->from->counted, r->rules, r->rules ? r->n_rules * sizeof *r->rules : 0, 0);
  cr__resize(&r->from->counted, r->map, r->map ? r->from->count * sizeof *r->map : 0, 0);
}

static bool forward(rewriting *r) {
  cr__graph *g = &r->f->graph;
  for (uint32_t id = 1; id < r->from->count; id++) {
    if (id <= (uint32_t)g->n_in) { /* inputs come first, in order */
      cr_array a = cr__array_of(r->from, id);
      const char *name = cr_name_of(cr__handle(r->from, id));
      if (cr__is_record(r->from, id)) a.data = cr__promise(r->to, bytes_of(&a));
      cr_var v = cr__is_record(r->from, id) ? cr__view_leaf(r->to, &a, false) : cr_input(r->to, (double)NAN);
      if (!(r->map[id] = v.id)) return false;
      if (name) cr_name(v, name);
      continue;
    }
    uint32_t was = r->to->count, now = rewritten(r, id);
    if (!now) return false;
    r->map[id] = r->table && now >= was ? merge(r, now) : now;
  }
  for (int k = 0; k < g->n_ends; k++) g->end[k] = r->map[g->end[k]];
  return true;
}

bool cr__rewrite(cr_fn *f) {
  rewriting r = {.f = f, .from = f->graph.tape};
  if (!(f->passes & (CR_FN_FOLD | CR_FN_MERGE | CR_FN_SIMPLIFY | CR_FN_STABLE))) return true;
  r.to = cr__lazy_tape(f, r.from->table);
  bool ok = r.to && make_room(&r) && forward(&r);
  if (!ok && r.to && r.to->error) cr_fail(r.from, r.to->error, "%s", r.to->error_text);
  give_back(&r);
  cr_free(ok ? r.from : r.to);
  if (ok) f->graph.tape = r.to;
  return ok;
}
