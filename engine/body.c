/* See body.h. The graph is kept as it was recorded, on a lazy tape: derivatives are taken of it, not of what the passes
 * made. */
#include "shelf.h"

#include <xxhash.h>

#include "parallel.h"

static size_t end_bytes(const cr_body *b) { return (size_t)(b->n + b->m + 1) * sizeof *b->end; }

/* Lives */

void cr_body_hold(cr_body *b) { atomic_fetch_add_explicit(&b->holders, 1, memory_order_relaxed); }

void cr_body_release(cr_body *b) {
  if (!b || atomic_fetch_sub_explicit(&b->holders, 1, memory_order_acq_rel) > 1) return;
  cr_allocator allocator = b->allocator;
  while (b->derived) {
    cr__derived *d = b->derived;
    b->derived = d->next;
    cr_body_release(d->body);
    cr__resize(&allocator, d, sizeof *d + d->bytes, 0);
  }
  cr_fn_free(b->f);
  cr_free(b->source);
  pthread_mutex_destroy(&b->lock);
  cr__resize(&allocator, b->end, b->end ? end_bytes(b) : 0, 0);
  cr__resize(&allocator, b, sizeof *b, 0);
}

static cr_body *new_body(cr_tape *t, int n, int m) {
  cr_body *b = cr__resize(&t->base, NULL, 0, sizeof *b);
  if (!b) return NULL;
  *b = (cr_body){.allocator = t->base, .n = n, .m = m};
  atomic_init(&b->holders, 1);
  pthread_mutex_init(&b->lock, NULL);
  b->end = cr__resize(&t->base, NULL, 0, end_bytes(b));
  if (b->end && (b->source = cr_new_with(t->table, &t->base))) {
    b->source->lazy = true;
    return b;
  }
  cr_body_release(b);
  return NULL;
}

/* What it is */

static cr_array end_shape(const cr_body *b, int k) {
  cr_array a, like = cr__array_of(b->source, b->end[k]);
  cr_array_init(&a, (cr_dtype)like.dtype, like.rank, like.dim);
  return a;
}
int cr_body_inputs(const cr_body *b) { return b->n; }
int cr_body_outputs(const cr_body *b) { return b->m; }
cr_array cr_body_input(const cr_body *b, int k) { return end_shape(b, k); }
cr_array cr_body_output(const cr_body *b, int k) { return end_shape(b, b->n + k); }
cr_tape *cr_body_graph(const cr_body *b) { return b->source; }
cr_var cr_body_input_node(const cr_body *b, int k) { return cr__handle(b->source, b->end[k]); }
cr_var cr_body_output_node(const cr_body *b, int k) { return cr__handle(b->source, b->end[b->n + k]); }
uint64_t cr_body_hash(const cr_body *b) { return b->hash; }

static uint64_t hash_node(const cr_tape *t, uint32_t id, const uint64_t *of) {
  cr_array a = cr__array_of(t, id);
  const cr_op *op = t->op[cr__op_number(t, id)];
  int n;
  const uint32_t *in = cr__operands(t, id, &n);
  uint64_t h = XXH3_64bits_withSeed(a.dim, a.rank * sizeof *a.dim, a.dtype);
  if (!op && cr__op_number(t, id) == CR__CONST)
    return XXH3_64bits_withSeed(a.data, (size_t)a.count * cr_dtype_size((cr_dtype)a.dtype), h);
  if (!op) return h + id;
  h = XXH3_64bits_withSeed(op->name, strlen(op->name), h);
  for (int k = 0; k < n; k++) h = XXH3_64bits_withSeed(&of[in[k]], sizeof *of, h);
  char text[512] = "";
  if (op->show && cr__attr_of(t, id)) op->show(text, sizeof text, cr__attr_of(t, id));
  return XXH3_64bits_withSeed(text, strlen(text), h);
}

static bool find_hash(cr_body *b) {
  size_t bytes = b->source->count * sizeof(uint64_t);
  uint64_t *of = cr__resize_on(b->source, NULL, 0, bytes);
  if (!of) return false;
  for (uint32_t id = 0; id < b->source->count; id++) of[id] = id ? hash_node(b->source, id, of) : 0;
  for (int k = 0; k < b->m; k++) b->hash = XXH3_64bits_withSeed(&of[b->end[b->n + k]], sizeof *of, b->hash + (uint64_t)b->n);
  cr__resize_on(b->source, of, bytes, 0);
  return true;
}

/* Copying a graph from tape to tape */

static uint32_t copy_leaf(const cr_tape *from, uint32_t id, cr_tape *to) {
  cr_array a = cr__array_of(from, id);
  if (!cr__is_record(from, id)) return cr_const(to, from->slot[id].num).id;
  cr_var v = cr_constant_of(to, (cr_dtype)a.dtype, a.rank, a.dim, NULL);
  cr_array copy = cr_view(v);
  if (v.id) cr_array_copy(&copy, &a);
  return v.id;
}

bool cr__copy_graph(const cr_tape *from, int n, int m, const uint32_t *end, cr_tape *to, const cr_var *in, cr_var *out) {
  size_t bytes = from->count * (sizeof(uint32_t) + 1);
  uint32_t *map = cr__resize_on(to, NULL, 0, bytes);
  if (!map) return false;
  unsigned char *needed = (unsigned char *)(map + from->count);
  bool ok = true;
  cr__mark_needed(from, m, end + n, needed);
  memset(map, 0, from->count * sizeof *map);
  for (int k = 0; k < n; k++) map[end[k]] = in[k].id;
  for (uint32_t id = 1; ok && id < from->count; id++) {
    if (!needed[id] || map[id]) continue;
    map[id] = from->op[cr__op_number(from, id)] ? cr__copy_node(from, id, map, to) : copy_leaf(from, id, to);
    ok = map[id] != 0;
  }
  for (int k = 0; ok && k < m; k++) out[k] = cr__handle(to, map[end[n + k]]);
  cr__resize_on(to, map, bytes, 0);
  return ok;
}

int cr_body_inline(const cr_body *b, cr_tape *t, const cr_var *in, cr_var *out) {
  return cr__copy_graph(b->source, b->n, b->m, b->end, t, in, out);
}

/* Recording */

typedef struct recording {
  cr_tape *t;         /* that gets the errors */
  const char *what;
  cr_body_record record;
  void *user;
  const cr_array *like;
  cr_var *in, *out;
} recording;

static cr_var leaf_like(cr_tape *t, const cr_array *like) {
  if (!like->rank && like->dtype == CR_FLOAT64) return cr_input(t, like->data && !t->lazy ? cr_array_get(like, 0) : 0);
  if (!t->lazy && !like->data) return cr_tensor_of(t, (cr_dtype)like->dtype, like->rank, like->dim, NULL);
  cr_array a = *like;
  if (!t->lazy) return cr__view_leaf(t, &a, false);
  cr_array_init(&a, (cr_dtype)like->dtype, like->rank, like->dim);
  a.data = cr__promise(t, (size_t)a.count * cr_dtype_size((cr_dtype)a.dtype));
  return cr__view_leaf(t, &a, false);
}

static bool check_results(const recording *r, cr_tape *on, int m) {
  for (int k = 0; k < m; k++) {
    if (!cr__valid(on, r->out[k])) return false;
    if (!r->out[k].id) cr_fail(on, CR_POISONED, "result %d is the poison node", k);
    else if (cr_dtype_of(r->out[k]) != cr_dtype_of(r->out[0]))
      cr_fail(on, CR_BAD_DTYPE, "result %d is %s, but result 0 is %s: all results of a body have one dtype", k,
              cr_dtype_name(cr_dtype_of(r->out[k])), cr_dtype_name(cr_dtype_of(r->out[0])));
    if (on->error) return false;
  }
  return true;
}

static bool record_on(recording *r, cr_tape *on, int n, int m) {
  for (int k = 0; k < n; k++)
    if (!(r->in[k] = leaf_like(on, &r->like[k])).id) return false;
  for (int k = 0; k < m; k++) r->out[k] = (cr_var){on, 0, 0};
  r->record(on, r->user, n, r->in, m, r->out);
  return on->error == CR_OK && r->t->error == CR_OK && check_results(r, on, m);
}

/* A constant that was filled from a node's values: whether it may be captured shows on this tape alone. */
static bool has_filled(const cr_tape *t) {
  for (uint32_t id = 1; id < t->count; id++)
    if (cr__op_number(t, id) == CR__CONST && t->node[id].in[0]) return true;
  return false;
}

/* On a tape that computes, for records that look at values; its graph is then copied. It shares the shelf. */
static bool record_eagerly(recording *r, cr_body *b, bool *filled) {
  cr_tape *e = cr_new_with(b->source->table, &b->allocator), *s = b->source;
  if (!e) return false;
  e->option[CR_THREADS] = r->t->option[CR_THREADS];
  e->option[CR_MAX_BYTES] = r->t->option[CR_MAX_BYTES];
  e->shelf = cr__shelf_of(r->t);
  cr_set(e, CR_LAZY, r->t->lazy);
  bool ok = record_on(r, e, b->n, b->m);
  *filled = ok && has_filled(e);
  if (*filled) ok = (b->f = cr_capture(e, b->n, r->in, b->m, r->out, 0, NULL, CR_FN_EXACT)) != NULL;
  for (int k = 0; k < b->n + b->m; k++) b->end[k] = k < b->n ? r->in[k].id : r->out[k - b->n].id;
  for (int k = 0; ok && k < b->n; k++) ok = (r->in[k] = leaf_like(s, &r->like[k])).id != 0;
  ok = ok && cr__copy_graph(e, b->n, b->m, b->end, s, r->in, r->out);
  if (e->error && !s->error) cr_fail(s, e->error, "%s", e->error_text);
  if (e->shelf == r->t->shelf) e->shelf = NULL; /* else it made its own */
  cr_free(e);
  return ok;
}

/* Into b; or what the shelf has. */
static cr_body *fill(recording *r, cr_body *b, bool eager) {
  size_t bytes = (size_t)(b->n + b->m + 1) * sizeof *r->in;
  bool filled = false;
  r->in = cr__resize(&b->allocator, NULL, 0, bytes);
  if (!r->in) return NULL;
  r->out = r->in + b->n;
  bool ok = eager ? record_eagerly(r, b, &filled) : record_on(r, b->source, b->n, b->m);
  for (int k = 0; ok && k < b->n; k++) b->end[k] = r->in[k].id;
  for (int k = 0; ok && k < b->m; k++) b->end[b->n + k] = r->out[k].id;
  ok = ok && find_hash(b);
  cr_body *known = ok && eager && !filled ? cr__shelf_find(r->t, b) : NULL;
  if (ok && !known && !b->f) ok = (b->f = cr_capture(b->source, b->n, r->in, b->m, r->out, 0, NULL, CR_FN_EXACT)) != NULL;
  if (ok && !known && eager && !filled) cr__shelf_put(r->t, b);
  cr__resize(&b->allocator, r->in, bytes, 0);
  return known ? known : ok ? b : NULL;
}

static cr_body *make(recording *r, int n, int m, bool eager) {
  cr_body *b = new_body(r->t, n, m), *made = b ? fill(r, b, eager) : NULL;
  const cr_tape *s = b ? b->source : NULL;
  if (made == b && b) return b;
  if (made) cr_body_hold(made);
  else if (s && s->error && !strncmp(s->error_text, r->what, strlen(r->what))) cr_fail(r->t, s->error, "%s", s->error_text);
  else if (s && s->error) cr_fail(r->t, s->error, "%s: %s", r->what, s->error_text);
  else cr_fail(r->t, CR_NO_MEMORY, "out of memory");
  cr_body_release(b);
  return made;
}

cr_body *cr_body_new(cr_tape *t, const char *what, cr_body_record record, void *user, int n, const cr_array *like, int m) {
  recording r = {.t = t, .what = what, .record = record, .user = user, .like = like};
  if (t->error) return NULL;
  return make(&r, n, m, true);
}

cr_body *cr__body_lazily(cr_tape *t, const char *what, cr_body_record record, void *user, int n, const cr_array *like,
                         int m) {
  recording r = {.t = t, .what = what, .record = record, .user = user, .like = like};
  return t->error ? NULL : make(&r, n, m, false);
}

cr_body *cr__body_copy(const cr_body *b) {
  cr_tape *from = b->source;
  cr_body *c = new_body(from, b->n, b->m);
  if (!c) return NULL;
  size_t bytes = (size_t)(b->n + b->m + 1) * sizeof(cr_var);
  cr_var *end = cr__resize(&b->allocator, NULL, 0, bytes);
  bool ok = end != NULL;
  for (int k = 0; ok && k < b->n; k++) {
    cr_array like = end_shape(b, k);
    ok = (end[k] = leaf_like(c->source, &like)).id != 0;
  }
  ok = ok && cr__copy_graph(from, b->n, b->m, b->end, c->source, end, end + b->n);
  for (int k = 0; ok && k < b->n + b->m; k++) c->end[k] = end[k].id;
  ok = ok && (c->f = cr_capture(c->source, b->n, end, b->m, end + b->n, 0, NULL, CR_FN_EXACT)) != NULL;
  c->hash = b->hash;
  cr__resize(&b->allocator, end, end ? bytes : 0, 0);
  if (ok) return c;
  cr_body_release(c);
  return NULL;
}

/* Derivatives */

static cr_body *find(const cr_body *b, const char *kind, size_t bytes, const void *mask) {
  for (const cr__derived *d = b->derived; d; d = d->next)
    if (!strcmp(d->kind, kind) && d->bytes == bytes && (!bytes || !memcmp(d + 1, mask, bytes))) return d->body;
  return NULL;
}

cr_body *cr_body_derived(cr_tape *t, cr_body *b, const char *kind, size_t bytes, const void *mask, cr_body_record record,
                         void *user, int n, const cr_array *like, int m) {
  if (t->error) return NULL;
  pthread_mutex_lock(&b->lock);
  cr_body *found = find(b, kind, bytes, mask);
  pthread_mutex_unlock(&b->lock);
  if (found) return found;
  recording r = {.t = t, .what = kind, .record = record, .user = user, .like = like};
  cr__derived *d = cr__resize(&b->allocator, NULL, 0, sizeof *d + bytes);
  if (!d) cr_fail(t, CR_NO_MEMORY, "out of memory");
  cr_body *made = d ? make(&r, n, m, false) : NULL;
  pthread_mutex_lock(&b->lock);
  found = made ? find(b, kind, bytes, mask) : NULL; /* another thread may have been faster */
  if (made && !found) {
    *d = (cr__derived){b->derived, made, kind, bytes};
    if (bytes) memcpy(d + 1, mask, bytes);
    b->derived = d;
  }
  pthread_mutex_unlock(&b->lock);
  if (made && !found) return made;
  if (d) cr__resize(&b->allocator, d, sizeof *d + bytes, 0);
  cr_body_release(made);
  return found;
}

/* What the records of derivatives are given. Their inputs: those of the body, then cotangents or tangents. */
typedef struct derivation {
  cr_body *of;
  const unsigned char *mask;
  cr_var *y, *x, *moved;     /* room for as many as the body has results and inputs */
} derivation;

static int pick(const derivation *d, const cr_var *in, cr_var *out) {
  int n = 0;
  for (int k = 0; k < d->of->n; k++)
    if (d->mask[k]) out[n++] = in[k];
  return n;
}

static void record_vjp(cr_tape *t, void *user, int n, const cr_var *in, int m, cr_var *out) {
  derivation *d = user;
  (void)n, (void)m;
  if (!cr_body_inline(d->of, t, in, d->y)) return;
  cr_vjp_many(d->of->m, d->y, in + d->of->n, pick(d, in, d->x), d->x, out);
}

static void record_jvp(cr_tape *t, void *user, int n, const cr_var *in, int m, cr_var *out) {
  derivation *d = user;
  (void)n, (void)m;
  if (!cr_body_inline(d->of, t, in, d->y)) return;
  cr_jvp(d->of->m, d->y, pick(d, in, d->x), d->x, in + d->of->n, out);
}

static cr_body *derive(cr_tape *t, cr_body *b, const unsigned char *mask, bool reverse) {
  int marked = 0, n = b->n, m = b->m;
  for (int k = 0; k < n; k++) marked += mask[k] != 0;
  size_t handles = (size_t)(m + 2 * n + 1) * sizeof(cr_var), bytes = handles + (size_t)(2 * n + m + 1) * sizeof(cr_array);
  cr_var *room = cr__resize_on(t, NULL, 0, bytes);
  if (!room) return NULL;
  cr_array *like = (cr_array *)(void *)((char *)room + handles);
  derivation d = {b, mask, room, room + m, room + m + n};
  int more = 0;
  for (int k = 0; k < n; k++) like[k] = end_shape(b, k);
  for (int k = 0; reverse && k < m; k++) like[n + more++] = end_shape(b, n + k);
  for (int k = 0; !reverse && k < n; k++)
    if (mask[k]) like[n + more++] = end_shape(b, k);
  cr_body *made = cr_body_derived(t, b, reverse ? "vjp" : "jvp", (size_t)n, mask, reverse ? record_vjp : record_jvp, &d,
                                  n + more, like, reverse ? marked : m);
  cr__resize_on(t, room, bytes, 0);
  return made;
}

cr_body *cr_body_vjp(cr_tape *t, cr_body *b, const unsigned char *wanted) { return derive(t, b, wanted, true); }
cr_body *cr_body_jvp(cr_tape *t, cr_body *b, const unsigned char *moves) { return derive(t, b, moves, false); }

static bool widen_node(const cr_tape *from, uint32_t id, cr_tape *to, const cr_op *cast, const uint32_t *map, cr_var *out) {
  const cr_op *op = from->op[cr__op_number(from, id)];
  bool narrow = cr__array_of(from, id).dtype == CR_FLOAT32;
  int n;
  const uint32_t *in = cr__operands(from, id, &n);
  cr_var *operand = cr__alloc(to, (size_t)(n + 1) * sizeof *operand);
  if (!operand) return false;
  for (int k = 0; k < n; k++) operand[k] = cr__handle(to, map[in[k]]);
  if (op && narrow && op == cast) *out = to->table->cast(operand[0], CR_FLOAT64);
  else *out = op ? cr__record_wide(to, op, n, operand, cr__attr_of(from, id)) : cr__handle(to, copy_leaf(from, id, to));
  if (narrow && out->id && cr_dtype_of(*out) == CR_FLOAT32) *out = to->table->cast(*out, CR_FLOAT64);
  return out->id != 0;
}

static void record_wide(cr_tape *t, void *user, int n, const cr_var *in, int m, cr_var *out) {
  const cr_body *b = user;
  const cr_tape *from = b->source;
  const cr_op *cast = cr__cast_op(t);
  uint32_t *map = cr__alloc(t, from->count * sizeof *map);
  unsigned char *needed = cr__alloc(t, from->count);
  if (!map || !needed) return;
  memset(map, 0, from->count * sizeof *map);
  cr__mark_needed(from, m, b->end + n, needed);
  for (int k = 0; k < n; k++) map[b->end[k]] = in[k].id;
  for (uint32_t id = 1; id < from->count; id++) {
    cr_var v;
    if (!needed[id] || map[id]) continue;
    if (!widen_node(from, id, t, cast, map, &v)) return;
    map[id] = v.id;
  }
  for (int k = 0; k < m; k++) out[k] = cr__handle(t, map[b->end[n + k]]);
}

cr_body *cr_body_wide(cr_tape *t, cr_body *b) {
  cr_array *like = cr__alloc(t, (size_t)(b->n + 1) * sizeof *like);
  if (!like) return NULL;
  for (int k = 0; k < b->n; k++) {
    like[k] = end_shape(b, k);
    if (like[k].dtype == CR_FLOAT32) like[k].dtype = CR_FLOAT64;
  }
  return cr_body_derived(t, b, "float64", 0, NULL, record_wide, b, b->n, like, b->m);
}

void *cr_body_room(cr_tape *t, size_t bytes) { return cr__alloc(t, bytes); }

/* Running in a kernel: what the workspaces take is scratch memory, and goes back with it. */

enum { SCRATCH_CHUNK = 1 << 16 };

struct cr_body_runs {
  cr_tape *t;
  const cr_body *body;
  pthread_mutex_t lock;      /* of the scratch memory, when workers need more */
  cr_allocator scratch;
  int n;
  cr_workspace *worker[];
};

static void *take_scratch(void *user, void *p, size_t old_size, size_t new_size) {
  cr_body_runs *r = user;
  if (!new_size) return NULL;
  pthread_mutex_lock(&r->lock);
  void *q = cr__arena_take(&r->t->arena, new_size, 64);
  pthread_mutex_unlock(&r->lock);
  if (q && p) memcpy(q, p, old_size < new_size ? old_size : new_size);
  return q;
}

static void do_nothing(void *context, int64_t from, int64_t to) { (void)context, (void)from, (void)to; }

cr_body_runs *cr_body_start(cr_eval *c, const cr_body *b, int workers) {
  cr_tape *t = c->tape;
  cr_body_runs *r = cr__alloc(t, sizeof *r + (size_t)workers * sizeof *r->worker);
  if (!r) return NULL;
  *r = (cr_body_runs){.t = t, .body = b, .scratch = {take_scratch, r}};
  pthread_mutex_init(&r->lock, NULL);
  if (workers == 1 && t->option[CR_THREADS] != 1) cr__parallel(t, 2, 1, do_nothing, NULL); /* makes the threads */
  for (; r->n < workers; r->n++) {
    cr_workspace *w = r->worker[r->n] = cr__workspace_on(b->f, &r->scratch);
    if (!w) {
      cr__out_of_memory(t);
      cr_body_stop(r);
      return NULL;
    }
    cr_tape *inner = cr__workspace_tape(w);
    inner->arena.largest = SCRATCH_CHUNK;
    inner->crew = workers == 1 ? t->crew : NULL; /* lent */
    inner->option[CR_THREADS] = inner->crew ? t->option[CR_THREADS] : 1;
  }
  return r;
}

cr_status cr_body_run(cr_body_runs *r, int worker, const cr_array *in, const cr_array *out) {
  return cr__workspace_run(r->worker[worker], in, out);
}

cr_status cr_body_stop(cr_body_runs *r) {
  for (int k = 0; k < r->n; k++) {
    cr_tape *inner = cr__workspace_tape(r->worker[k]);
    if (inner->error) cr_fail(r->t, inner->error, "%s", inner->error_text);
    inner->crew = NULL;
    cr_workspace_free(r->worker[k]);
  }
  pthread_mutex_destroy(&r->lock);
  return r->t->error;
}
