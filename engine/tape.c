/* Tapes: new, free, growth, marks, options, the first error. */
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
  *nan = (double)NAN;
  *r = (cr_tensor){.data = nan, .like = &cr__scalar_layout.array};
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
  t->few = table->few ? table->few() : NULL;
  t->option[CR_THREADS] = 1;
  t->quick = &cr__no_layout;
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
  cr__layouts_free(t);
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

cr_mark cr_mark_here(const cr_tape *t) {
  return (cr_mark){t->count, t->n_names, t->arena.current, t->arena.used, t->serial};
}

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
  t->quick = &cr__no_layout;
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
