/* Tapes: new, free, growth, marks, leaves, recording, the first error. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "internal.h"

#ifdef CR_HOSTILE
enum { FIRST_CAPACITY = 2 };
#else
enum { FIRST_CAPACITY = 1 << 10 };
#endif

const char *cr_version(void) { return CR_VERSION; }

const char *cr_status_text(cr_status status) {
  static const char *const texts[] = {
#define CR__ROW(code, text) [code] = text,
    CR_STATUS_TABLE(CR__ROW)
#undef CR__ROW
  };
  return (unsigned)status < sizeof texts / sizeof *texts ? texts[status] : "unknown status";
}

/* Memory */

static void *counted_reallocate(void *user, void *p, size_t old_size, size_t new_size) {
  cr_tape *t = user;
  size_t limit = (size_t)t->option[CR_MAX_BYTES] << 20;
  t->over_limit = limit && new_size > old_size && t->bytes + (new_size - old_size) > limit;
  if (t->over_limit) return NULL;
  void *q = t->base.reallocate(t->base.user, p, old_size, new_size);
  if (q || !new_size) t->bytes = t->bytes - old_size + new_size;
  return q;
}

void cr__out_of_memory(cr_tape *t) {
  if (t->over_limit)
    cr_fail(t, CR_OVER_LIMIT, "the tape's memory limit of %lld MiB is reached", (long long)t->option[CR_MAX_BYTES]);
  else
    cr_fail(t, CR_NO_MEMORY, "out of memory");
}

void *cr__resize_on(cr_tape *t, void *p, size_t old_size, size_t new_size) {
  void *q = cr__resize(&t->counted, p, old_size, new_size);
  if (!q && new_size) cr__out_of_memory(t);
  return q;
}

void *cr__alloc(cr_tape *t, size_t bytes) {
  void *p = cr__arena_take(&t->arena, bytes ? bytes : 1, 64);
  if (!p) cr__out_of_memory(t);
  return p;
}

bool cr__reserve(cr_tape *t) {
  if (CR__LIKELY(t->count < t->capacity)) return true;
  if (t->capacity >= UINT32_MAX / 2) {
    cr_fail(t, CR_OVER_LIMIT, "a tape holds at most 2^31 nodes");
    return false;
  }
  uint32_t old = t->capacity, capacity = old ? 2 * old : FIRST_CAPACITY;
  if (t->node_capacity < capacity) { /* the node table may have grown before the slots failed to */
    cr_node *node = cr__resize_on(t, t->node, t->node_capacity * sizeof *node, capacity * sizeof *node);
    if (!node) return false;
    t->node = node;
    t->node_capacity = capacity;
  }
  cr_slot *slot = cr__resize_on(t, t->slot, old * sizeof *slot, capacity * sizeof *slot);
  if (!slot) return false;
  t->slot = slot;
  t->capacity = capacity;
  t->fast_limit = t->slow ? 0 : capacity;
  return true;
}

/* Ops */

static uint32_t *op_place(const cr_tape *t, const cr_op *op) {
  uint32_t mask = t->op_hash_size - 1;
  uint32_t h = (uint32_t)(((uintptr_t)op >> 4) * 0x9E3779B1u) & mask;
  while (t->op_hash[h] && t->op[t->op_hash[h]] != op) h = (h + 1) & mask;
  return &t->op_hash[h];
}

static bool grow_ops(cr_tape *t) {
  uint32_t old = t->ops_capacity, capacity = old ? 2 * old : 256;
  const cr_op **op = cr__resize_on(t, (void *)t->op, old * sizeof *op, capacity * sizeof *op);
  if (!op) return false;
  t->op = op;
  uint32_t *hash = cr__resize_on(t, NULL, 0, 2 * capacity * sizeof *hash);
  if (!hash) {
    t->ops_capacity = capacity;
    return t->n_ops < t->op_hash_size;
  }
  cr__resize(&t->counted, t->op_hash, t->op_hash_size * sizeof *hash, 0);
  memset(hash, 0, 2 * capacity * sizeof *hash);
  t->op_hash = hash;
  t->op_hash_size = 2 * capacity;
  t->ops_capacity = capacity;
  for (uint32_t k = CR__FIRST_ROW; k < t->n_ops; k++) *op_place(t, t->op[k]) = k;
  return true;
}

uint32_t cr__number_of(cr_tape *t, const cr_op *op) {
  uint32_t *place = op_place(t, op);
  if (CR__LIKELY(*place)) return *place;
  if (t->n_ops == CR__RECORD) {
    cr_fail(t, CR_OVER_LIMIT, "a tape knows at most %d ops", CR__RECORD);
    return 0;
  }
  if (t->n_ops == t->ops_capacity && !grow_ops(t)) return 0;
  t->op[t->n_ops] = op;
  *op_place(t, op) = t->n_ops;
  return t->n_ops++;
}

/* New and free */

static bool make_poison(cr_tape *t) {
  cr_tensor *r = cr__alloc(t, sizeof *r);
  double *nan = cr__alloc(t, sizeof *nan);
  if (!r || !nan || !cr__reserve(t)) return false;
  memset(r, 0, sizeof *r);
  *nan = (double)NAN;
  cr_array_init(&r->array, CR_FLOAT64, 0, NULL);
  r->array.data = nan;
  t->node[0] = (cr_node){CR__CONST | CR__RECORD, {0, 0, 0}};
  t->slot[0].tensor = r;
  t->count = 1;
  return true;
}

cr_tape *cr_new_with(const cr_op_table *table, const cr_allocator *allocator) {
  if (!allocator) allocator = &cr__default_allocator;
  cr_tape *t = allocator->reallocate(allocator->user, NULL, 0, sizeof *t);
  if (!t) return NULL;
  memset(t, 0, sizeof *t);
  t->base = *allocator;
  t->counted = (cr_allocator){counted_reallocate, t};
  t->table = table;
  t->option[CR_THREADS] = 1;
  cr__arena_init(&t->arena, &t->counted);
  cr__arena_init(&t->lasting, &t->counted);
  bool ok = grow_ops(t);
  t->n_ops = CR__FIRST_ROW;
  if (ok) t->op[CR__CONST] = t->op[CR__INPUT] = NULL;
  for (int k = 0; ok && k < *table->n_rows; k++) ok = cr__number_of(t, table->rows[k]) == (uint32_t)(CR__FIRST_ROW + k);
  if (ok && make_poison(t)) return t;
  cr_free(t);
  return NULL;
}

static void destroy_owned(cr_tape *t, uint64_t serial) {
  while (t->owned && t->owned->serial >= serial) {
    cr_owned *o = t->owned;
    t->owned = o->next;
    o->destroy(t, o);
  }
}

void cr__own(cr_tape *t, cr_owned *o, void (*destroy)(cr_tape *, cr_owned *)) {
  o->serial = t->serial++;
  o->destroy = destroy;
  o->next = t->owned;
  t->owned = o;
}

void cr_free(cr_tape *t) {
  if (!t) return;
  destroy_owned(t, 0);
  cr__sweep_free(t, t->spare_sweep);
  cr__shelf_free(t);
  cr__names_free(t);
  cr__crew_free(t);
  cr__resize(&t->counted, t->node, t->node_capacity * sizeof *t->node, 0);
  cr__resize(&t->counted, t->slot, t->capacity * sizeof *t->slot, 0);
  cr__resize(&t->counted, (void *)t->op, t->ops_capacity * sizeof *t->op, 0);
  cr__resize(&t->counted, t->op_hash, t->op_hash_size * sizeof *t->op_hash, 0);
  cr__resize(&t->counted, t->site, t->sites_capacity * sizeof *t->site, 0);
  cr__arena_free(&t->arena);
  cr__arena_free(&t->lasting);
  cr_allocator base = t->base;
  base.reallocate(base.user, t, sizeof *t, 0);
}

cr_mark cr_mark_here(const cr_tape *t) { return (cr_mark){t->count, t->n_names, t->arena.current, t->arena.used, t->serial}; }

void cr_reset(cr_tape *t, cr_mark mark) {
  if (mark.nodes < 1 || mark.nodes > t->count) {
    cr_fail(t, CR_BAD_ARGUMENT, "cr_reset: the mark (node %u) lies beyond the tape's %u nodes", mark.nodes, t->count);
    return;
  }
  cr__rewind(t, mark);
  t->stamp++;
}

void cr__rewind(cr_tape *t, cr_mark mark) {
  destroy_owned(t, mark.serial);
  cr__names_drop(t, mark.names);
  t->count = mark.nodes;
  cr__arena_reset(&t->arena, mark.chunk, mark.used);
}

void cr_set(cr_tape *t, cr_option option, int64_t value) {
  if (option == CR_THREADS) cr__crew_free(t);
  t->option[option] = value;
  if (option == CR_LAZY) t->lazy = value != 0, t->lazy_from = t->count;
  t->slow = t->option[CR_TRACK_SITES] || t->option[CR_FIND_NONFINITE] || t->option[CR_ROUND_DIGITS];
  t->fast_limit = t->slow ? 0 : t->capacity;
}
int64_t cr_get(const cr_tape *t, cr_option option) { return t->option[option]; }

cr_stats cr_stats_of(const cr_tape *t) {
  size_t used = t->count * (sizeof *t->node + sizeof *t->slot) + cr__arena_used(&t->arena) + cr__arena_used(&t->lasting);
  return (cr_stats){t->count, t->bytes, used};
}

/* Errors */

cr_status cr_error(const cr_tape *t) { return t->error; }
const char *cr_error_text(const cr_tape *t) { return t->error_text; }

void cr_clear_error(cr_tape *t) {
  t->error = CR_OK;
  t->error_text[0] = 0;
}

cr_var cr_poison(cr_tape *t) { return (cr_var){t, 0, 0}; }
int cr_is_poison(cr_var v) { return v.id == 0; }

const char *cr__describe(cr_tape *t, cr_var v, char *text, size_t size) {
  char shape[200];
  const char *name = NULL;
  if (v.tape != t || !cr__is_live(t, v)) {
    snprintf(text, size, "a stale handle");
    return text;
  }
  name = cr_name_of(v);
  cr_array a = cr__array_of(t, v.id);
  snprintf(text, size, "%s%s%s %s", name ? name : "", name ? ": " : "", cr_dtype_name((cr_dtype)a.dtype),
           cr_shape_text(&a, shape, sizeof shape));
  return text;
}

static size_t put_operands(cr_tape *t, char *text, size_t size) {
  size_t n = (size_t)snprintf(text, size, "%s(", t->doing->name);
  for (int k = 0; k < t->doing_n && n < size; k++) {
    char one[256];
    n += (size_t)snprintf(text + n, size - n, "%s%s", k ? ", " : "", cr__describe(t, t->doing_in[k], one, sizeof one));
  }
  if (n < size) n += (size_t)snprintf(text + n, size - n, "): ");
  return n < size ? n : size - 1;
}

cr_var cr_fail(cr_tape *t, cr_status status, const char *format, ...) {
  if (t->error != CR_OK) return cr_poison(t);
  t->error = status;
  size_t size = sizeof t->error_text, n = t->doing ? put_operands(t, t->error_text, size / 2) : 0;
  va_list args;
  va_start(args, format);
  int more = vsnprintf(t->error_text + n, size - n, format, args);
  va_end(args);
  n = more < 0 ? n : n + (size_t)more;
  if (t->place && t->place->file && n + 1 < size)
    snprintf(t->error_text + n, size - n, " [%s:%d]", t->place->file, t->place->line);
  return cr_poison(t);
}

void cr_site(cr_tape *t, const char *file, int line) {
  t->given = (cr_place){file, line};
  t->place = &t->given;
}

bool cr__valid(cr_tape *t, cr_var v) {
  if (CR__LIKELY(v.tape == t && cr__is_live(t, v))) return true;
  if (v.tape == t && v.id == 0) return true;
  if (v.tape != t)
    cr_fail(t, CR_WRONG_TAPE, v.tape ? "operand belongs to another tape" : "operand is an empty handle");
  else
    cr_fail(t, CR_STALE, "operand v%u was taken back by a reset", v.id);
  return false;
}

/* Recording */

static bool track_site(cr_tape *t, uint32_t id) {
  if (id >= t->sites_capacity) {
    uint32_t old = t->sites_capacity, capacity = t->capacity;
    cr_place *site = cr__resize_on(t, t->site, old * sizeof *site, capacity * sizeof *site);
    if (!site) return false;
    memset(site + old, 0, (capacity - old) * sizeof *site);
    t->site = site;
    t->sites_capacity = capacity;
  }
  t->site[id] = t->place ? *t->place : (cr_place){NULL, 0};
  return true;
}

cr_var cr__push(cr_tape *t, uint32_t op, int n, const cr_var *in, cr_slot slot) {
  if (!cr__reserve(t)) return cr_poison(t);
  uint32_t id = t->count;
  cr_node node = {cr__head(t, op), {0, 0, 0}};
  for (int k = 0; k < n && k < 3; k++) node.in[k] = in[k].id;
  t->node[id] = node;
  t->slot[id] = slot;
  if (t->slow && t->option[CR_TRACK_SITES] && !track_site(t, id)) return cr_poison(t);
  t->count++;
  return (cr_var){t, id, node.head};
}

static cr_var push_leaf(cr_tape *t, uint32_t op, double value) {
  if (!cr__reserve(t)) return cr_poison(t);
  return cr__push(t, op, 0, NULL, (cr_slot){.num = value});
}
cr_var cr_input(cr_tape *t, double value) { return push_leaf(t, CR__INPUT, value); }
cr_var cr_const(cr_tape *t, double value) { return push_leaf(t, CR__CONST, value); }

static bool check_shape(cr_tape *t, int rank, const int64_t *dims) {
  if (rank < 0 || rank > CR_MAX_RANK) {
    cr_fail(t, CR_BAD_SHAPE, "rank %d: a tensor has 0 to %d axes", rank, CR_MAX_RANK);
    return false;
  }
  int64_t count = 1;
  for (int i = 0; i < rank; i++) {
    if (dims[i] < 0) {
      cr_fail(t, CR_BAD_SHAPE, "axis %d has negative size %lld", i, (long long)dims[i]);
      return false;
    }
    if (dims[i] && count > ((int64_t)1 << 48) / dims[i]) {
      cr_fail(t, CR_OVER_LIMIT, "a tensor has at most 2^48 elements");
      return false;
    }
    count *= dims[i];
  }
  return true;
}

static cr_tensor *new_record(cr_tape *t, const cr_array *array) {
  cr_tensor *r = cr__alloc(t, sizeof *r);
  if (!r) return NULL;
  r->array = *array;
  r->attr = NULL;
  r->operand = NULL;
  r->n_operands = 0;
  r->view = false;
  r->differentiable = false;
  return r;
}

static cr_var leaf_tensor(cr_tape *t, uint32_t op, cr_dtype dtype, int rank, const int64_t *dims, const void *data,
                          void *over) {
  if (!cr_dtype_size(dtype)) return cr_fail(t, CR_BAD_DTYPE, "unknown dtype %d", (int)dtype);
  if (!check_shape(t, rank, dims)) return cr_poison(t);
  cr_array a;
  cr_array_init(&a, dtype, rank, dims);
  cr_tensor *r = new_record(t, &a);
  if (!r) return cr_poison(t);
  size_t bytes = (size_t)a.count * cr_dtype_size(dtype);
  r->array.data = over ? over : cr__alloc(t, bytes);
  if (!r->array.data) return cr_poison(t);
  if (!over && data && bytes) memcpy(r->array.data, data, bytes);
  else if (!over) memset(r->array.data, 0, bytes);
  r->differentiable = op == CR__INPUT && dtype >= CR_FLOAT32;
  return cr__push(t, op | CR__RECORD, 0, NULL, (cr_slot){.tensor = r});
}

cr_var cr_tensor_of(cr_tape *t, cr_dtype dtype, int rank, const int64_t *dims, const void *data) {
  return leaf_tensor(t, CR__INPUT, dtype, rank, dims, data, NULL);
}
cr_var cr_constant_of(cr_tape *t, cr_dtype dtype, int rank, const int64_t *dims, const void *data) {
  return leaf_tensor(t, CR__CONST, dtype, rank, dims, data, NULL);
}
cr_var cr_tensor_over(cr_tape *t, cr_dtype dtype, int rank, const int64_t *dims, void *data) {
  if (!data) return cr_fail(t, CR_BAD_ARGUMENT, "cr_tensor_over: no memory given");
  return leaf_tensor(t, CR__INPUT, dtype, rank, dims, NULL, data);
}

cr_var cr__view_leaf(cr_tape *t, const cr_array *a, bool constant) {
  cr_tensor *r = new_record(t, a);
  if (!r) return cr_poison(t);
  r->view = true;
  r->differentiable = !constant && a->dtype >= CR_FLOAT32;
  return cr__push(t, (constant ? CR__CONST : CR__INPUT) | CR__RECORD, 0, NULL, (cr_slot){.tensor = r});
}

void *cr__promise(cr_tape *t, size_t bytes) {
  t->promised = (t->promised + 127) & ~(uintptr_t)63;
  uintptr_t address = t->promised;
  t->promised += bytes;
  return (void *)address;
}

static uint32_t root_of(const cr_tape *t, uint32_t id) {
  while (cr__is_record(t, id) && t->slot[id].tensor->view && t->op[cr__op_number(t, id)]) id = t->node[id].in[0];
  return id;
}

bool cr__is_promised(const cr_tape *t, uint32_t id) {
  if (!t->option[CR_LAZY] || !cr__is_record(t, id)) return false;
  uint32_t root = root_of(t, id);
  return cr__is_record(t, root) && root >= t->lazy_from && t->op[cr__op_number(t, root)];
}

bool cr__is_fixed(const cr_tape *t, uint32_t id) {
  if (!t->option[CR_LAZY] || !cr__is_record(t, id)) return true;
  uint32_t root = root_of(t, id);
  return !cr__is_record(t, root) || (root >= t->lazy_from && cr__op_number(t, root) == CR__CONST);
}

int cr_knows(cr_var v) {
  if (!v.tape || !cr__is_live(v.tape, v) || cr__is_fixed(v.tape, v.id)) return 1;
  cr_fail(v.tape, CR_BAD_ARGUMENT, "the values of v%u are asked for while shapes alone are recorded (CR_LAZY)", v.id);
  return 0;
}

/* A leaf has no operands: its first place is free for this. */
void cr_filled_from(cr_var constant, cr_var source) {
  if (cr__is_live(constant.tape, constant) && constant.id) constant.tape->node[constant.id].in[0] = source.id;
}

/* Inline scalars in, inline scalar out: the slow twin of the constructors' fast path. */
static cr_var record_inline(cr_tape *t, uint32_t number, const cr_op *op, int n, const cr_var *in) {
  double a = t->slot[in[0].id].num, b = n > 1 ? t->slot[in[1].id].num : 0;
  cr_var v = cr__push(t, number, n, in, (cr_slot){.num = op->row->value(a, b)});
  if (v.id && t->slow) cr__after_eval(t, v.id);
  return v;
}

/* Slots move when the table grows: a view of an inline scalar looks at a copy, which cr__eval_node keeps up to date. */
static bool view_of_slot(cr_tape *t, int n, const cr_var *in, cr_tensor *r) {
  if (n < 1 || cr__is_record(t, in[0].id)) return true;
  double *copy = cr__alloc(t, sizeof *copy);
  if (!copy) return false;
  *copy = t->slot[in[0].id].num;
  r->array.data = copy;
  return true;
}

/* Attributes with holders: a copy that the tape owns. */
typedef struct held {
  cr_owned owned;
  const cr_op *op;
} held;

static void let_go(cr_tape *t, cr_owned *self) {
  held *h = (held *)(void *)self;
  h->op->release(h + 1);
  cr__resize(&t->counted, h, sizeof *h + h->op->attr_size, 0);
}

static void *keep_attr(cr_tape *t, const cr_op *op, const void *attr) {
  held *h = op->hold ? cr__resize_on(t, NULL, 0, sizeof *h + op->attr_size) : NULL;
  void *copy = op->hold ? (h ? h + 1 : NULL) : cr__alloc(t, op->attr_size);
  if (!copy) return NULL;
  memcpy(copy, attr, op->attr_size);
  if (!h) return copy;
  h->op = op;
  op->hold(copy);
  cr__own(t, &h->owned, let_go);
  return copy;
}

static cr_tensor *infer_and_eval(cr_tape *t, const cr_op *op, int n, const cr_var *in, const cr_array *array,
                                 const void *attr) {
  cr_array out;
  memset(&out, 0, sizeof out);
  cr_infer inference = {t, op, n, array, attr, &out};
  if (op->infer(&inference) != CR_OK || t->error != CR_OK) {
    cr_fail(t, CR_BAD_SHAPE, "operands do not fit");
    return NULL;
  }
  cr_tensor *r = new_record(t, &out);
  if (!r) return NULL;
  if (op->attr_size) {
    r->attr = keep_attr(t, op, attr);
    if (!r->attr) return NULL;
  }
  if (op->arity == CR_VARIADIC) {
    uint32_t *operand = cr__alloc(t, (size_t)n * sizeof *operand);
    if (!operand) return NULL;
    for (int k = 0; k < n; k++) operand[k] = in[k].id;
    r->operand = operand;
    r->n_operands = (uint32_t)n;
  }
  for (int k = 0; k < n && out.dtype >= CR_FLOAT32; k++) r->differentiable |= cr__differentiable(t, in[k].id);
  if (!check_shape(t, out.rank, out.dim)) return NULL;
  if (out.data) {
    r->view = true;
    return view_of_slot(t, n, in, r) ? r : NULL;
  }
  size_t bytes = (size_t)out.count * cr_dtype_size((cr_dtype)out.dtype);
  if (t->lazy) {
    r->array.data = cr__promise(t, bytes);
    return r;
  }
  r->array.data = cr__alloc(t, bytes);
  if (!r->array.data) return NULL;
  return cr__run_kernel(t, op, n, array, r) == CR_OK ? r : NULL;
}

enum { FEW = 16 };

cr_var cr_record(cr_tape *t, const cr_op *op, int n, const cr_var *in, const void *attr) {
  if (!t) return (cr_var){0};
  cr_var few[FEW], *operand = few;
  cr_array few_arrays[FEW], *array = few_arrays;
  const cr_op *outer = t->doing; /* rules record ops while an op is being recorded */
  const cr_var *outer_in = t->doing_in;
  int outer_n = t->doing_n;
  cr_var result = cr_poison(t);
  if (op->arity >= 0 && n != op->arity)
    return cr_fail(t, CR_BAD_ARGUMENT, "%s takes %d operands, not %d", op->name, op->arity, n);
  if (n > FEW) {
    operand = cr__alloc(t, (size_t)n * sizeof *operand);
    array = cr__alloc(t, (size_t)n * sizeof *array);
    if (!operand || !array) return result;
  }
  if (n) memcpy(operand, in, (size_t)n * sizeof *operand);
  t->doing = op, t->doing_in = operand, t->doing_n = n;
  bool poisoned = false, all_inline = op->row != NULL;
  for (int k = 0; k < n; k++) {
    if (!cr__valid(t, operand[k])) goto done;
    poisoned = poisoned || operand[k].id == 0;
    all_inline = all_inline && !cr__is_record(t, operand[k].id);
  }
  if (poisoned) {
    cr_fail(t, CR_POISONED, "an operand is the poison node");
    goto done;
  }
  uint32_t number = cr__number_of(t, op);
  if (!number) goto done;
  bool standard = number < CR__FIRST_ROW + (uint32_t)*t->table->n_rows; /* the scalar sweep knows these alone */
  if (all_inline && standard && op->row->result != 'b') {
    result = record_inline(t, number, op, n, operand);
    goto done;
  }
  if (op->prepare && op->prepare(t, n, operand) != CR_OK) goto done;
  for (int k = 0; k < n; k++) {
    if (!operand[k].id) goto done;
    array[k] = cr__array_of(t, operand[k].id);
  }
  cr_tensor *r = infer_and_eval(t, op, n, operand, array, attr);
  if (!r) goto done;
  result = cr__push(t, number | CR__RECORD, op->arity == CR_VARIADIC ? 0 : n, operand, (cr_slot){.tensor = r});
  if (result.id && t->slow) cr__after_eval(t, result.id);
done:
  t->doing = outer, t->doing_in = outer_in, t->doing_n = outer_n;
  return result;
}

cr_var cr_record_like(cr_var v, int n, const cr_var *in) {
  const cr_op *op = cr_op_of(v);
  if (!op) return cr_fail(v.tape, CR_BAD_ARGUMENT, "a leaf has no op to record again");
  return cr_record(v.tape, op, n, in, cr_attributes(v));
}
