/* Sparse Jacobians and Hessians in emitted C: a sweep for each colour, its nonzeros picked from it, and the pattern as
 * tables. */
#include "emitting.h"
#include "sparsity.h"

/* Sweeps as a loop, for tensors: one recording, from seeds that lie in the workspace. */
struct cr__sweeps {
  cr__compression c;
  int n_seeds, n_results, out;
  cr_var *of, *seed, *result; /* what is seeded, its seeds; what is read */
  int64_t *first;             /* by seed: number of its first element among all */
};

typedef struct work {
  cr_emitter *e;
  const cr__compression *c;
  int m, n;
  const cr_var *y, *x;
  cr_var *some, *seed, *result; /* what is seeded in one sweep; room for all of y or x */
} work;

/* A constant like v with ones where the colour has seeds, which are counted from first; poison without an error: nowhere. */
static cr_var seed_of(cr_var v, const int32_t *seed, int64_t n, int64_t first) {
  cr_array a = cr_view(v);
  cr_var one = cr_poison(v.tape);
  for (int64_t k = 0; k < n; k++) {
    if (seed[k] < first || seed[k] >= first + a.count) continue;
    if (!cr__is_record(v.tape, v.id)) return cr_const(v.tape, 1);
    if (cr_is_poison(one)) one = cr_constant_of(v.tape, (cr_dtype)a.dtype, a.rank, a.dim, NULL);
    if (cr_is_poison(one)) return one;
    cr_array to = cr_view(one);
    cr_array_set(&to, seed[k] - first, 1);
  }
  return one;
}

/* Records the product of a colour's seeds; false on failure. */
static bool sweep(work *w, int colour) {
  const cr__compression *c = w->c;
  int n_seeded = 0, all = c->reverse ? w->m : w->n;
  const cr_var *v = c->reverse ? w->y : w->x;
  int64_t first = 0, from = c->seed_start[colour], count = c->seed_start[colour + 1] - from;
  for (int k = 0; k < all; k++) {
    cr_var seed = seed_of(v[k], c->seed + from, count, first);
    if (w->e->t->error != CR_OK) return false;
    first += cr_count(v[k]);
    if (cr_is_poison(seed)) continue;
    w->some[n_seeded] = v[k];
    w->seed[n_seeded++] = seed;
  }
  cr_status status = c->reverse ? cr_vjp_many(n_seeded, w->some, w->seed, w->n, w->x, w->result)
                                : cr_jvp(w->m, w->y, n_seeded, w->some, w->seed, w->result);
  return status == CR_OK;
}

/* Which nonzeros of the colour are elements of its k-th result, counted from first. */
static bool pick(work *w, int colour, int k, int64_t first, int out) {
  const cr__compression *c = w->c;
  int64_t count = cr_count(w->result[k]), n = 0;
  for (int64_t i = c->start[colour]; i < c->start[colour + 1]; i++) n += c->from[i] >= first && c->from[i] < first + count;
  if (!n) return true;
  int64_t *picked = cr__alloc(w->e->t, 2 * (size_t)n * sizeof *picked), *p = picked;
  if (!picked) return false;
  for (int64_t i = c->start[colour]; i < c->start[colour + 1]; i++) {
    if (c->from[i] < first || c->from[i] >= first + count) continue;
    *p++ = c->from[i] - first;
    *p++ = c->at[i];
  }
  return cr__add_piece(w->e, (cr__piece){.v = w->result[k], .out = out, .n_picked = n, .picked = picked});
}

static void put_numbers(cr_buffer *b, const char *name, const char *what, int64_t n, const int64_t *wide,
                        const int32_t *narrow) {
  cr_put(b, "const int %s_%s[%lld] = {", name, what, (long long)(n ? n : 1));
  for (int64_t k = 0; k < n; k++)
    cr_put(b, "%s%lld", k % 16 ? ", " : k ? ",\n  " : "\n  ", (long long)(wide ? wide[k] : narrow[k]));
  cr_put(b, n ? "\n};\n" : "0};\n");
}

static bool put_pattern(cr_emitter *e, const cr__pattern *p) {
  if (p->start[p->rows] > INT32_MAX)
    return cr_fail(e->t, CR_OVER_LIMIT, "emit: %lld nonzeros", (long long)p->start[p->rows]), false;
  put_numbers(&e->pattern, e->name, "start", p->rows + 1, p->start, NULL);
  put_numbers(&e->pattern, e->name, "column", p->start[p->rows], NULL, p->column);
  return !e->pattern.failed;
}

static int add_nonzeros(work *w, const char *name, cr_dtype dtype) {
  const cr__compression *c = w->c;
  const char *own = w->e->name, *of = c->symmetric ? "Hessian" : "Jacobian";
  const char *meaning =
      cr__format(w->e, "nonzeros of the %s, %lld by %lld: those of row i from %s_start[i] on, in the columns %s_column", of,
                 (long long)c->pattern.rows, (long long)c->pattern.columns, own, own);
  return cr__add_out(w->e, name, meaning, dtype, 1, &c->pattern.start[c->pattern.rows]);
}

static bool add_sweeps(work *w, int out) {
  const cr__compression *c = w->c;
  cr_emitter *e = w->e;
  int results = c->reverse ? w->n : w->m, room = w->m > w->n ? w->m : w->n;
  w->some = cr__alloc(e->t, 3 * (size_t)room * sizeof *w->some);
  if (!w->some) return false;
  w->seed = w->some + room, w->result = w->seed + room;
  for (int colour = 0; colour < c->colours; colour++) {
    int64_t first = 0;
    if (!sweep(w, colour)) return false;
    for (int k = 0; k < results; k++) {
      if (!pick(w, colour, k, first, out)) return false;
      first += cr_count(w->result[k]);
    }
  }
  return true;
}

/* How many seeds are elements first to first + count. */
static int64_t seeds_within(const cr__compression *c, int64_t first, int64_t count) {
  int64_t n = 0;
  for (int64_t k = 0; k < c->seed_start[c->colours]; k++) n += c->seed[k] >= first && c->seed[k] < first + count;
  return n;
}

/* Is an element from first to first + count of a sweep's results one of the nonzeros? A symmetric matrix has others, too. */
static bool is_read(const cr__compression *c, int64_t first, int64_t count) {
  for (int64_t k = 0; k < c->start[c->colours]; k++)
    if (c->from[k] >= first && c->from[k] < first + count) return true;
  return false;
}

static bool add_loop(work *w, int out) {
  const cr__compression *c = w->c;
  cr_emitter *e = w->e;
  int all = c->reverse ? w->m : w->n, results = c->reverse ? w->n : w->m;
  struct cr__sweeps *s = e->sweeps;
  s->of = cr__alloc(e->t, (size_t)(2 * all + results) * sizeof *s->of);
  s->first = cr__alloc(e->t, (size_t)all * sizeof *s->first);
  if (!s->of || !s->first) return false;
  s->seed = s->of + all, s->result = s->seed + all, s->n_results = results, s->out = out;
  int64_t first = 0;
  for (int k = 0; k < all; k++) {
    cr_var v = c->reverse ? w->y[k] : w->x[k], seed;
    cr_array a = cr_view(v);
    first += a.count;
    if (!seeds_within(c, first - a.count, a.count)) continue;
    seed = cr__is_record(e->t, v.id) ? cr_tensor_of(e->t, (cr_dtype)a.dtype, a.rank, a.dim, NULL) : cr_input(e->t, 0);
    s->of[s->n_seeds] = v, s->seed[s->n_seeds] = seed, s->first[s->n_seeds++] = first - a.count;
  }
  cr_status status = e->t->error;
  if (status == CR_OK)
    status = c->reverse ? cr_vjp_many(s->n_seeds, s->of, s->seed, w->n, w->x, s->result)
                        : cr_jvp(w->m, w->y, s->n_seeds, s->of, s->seed, s->result);
  first = 0;
  for (int k = 0; status == CR_OK && k < results; k++) {
    int64_t count = cr_count(s->result[k]);
    if (is_read(c, first, count) && !cr__add_piece(e, (cr__piece){.v = s->result[k], .out = CR__IN_LOOP})) return false;
    first += count;
  }
  return status == CR_OK;
}

static bool are_numbers(const cr_tape *t, int n, const cr_var *v) {
  for (int k = 0; k < n; k++)
    if (cr__is_record(t, v[k].id)) return false;
  return true;
}

bool cr__add_sparse(cr_emitter *e, const char *name, cr_dtype dtype, int m, const cr_var *y, int n, const cr_var *x,
                    bool symmetric) {
  cr__pattern p;
  struct cr__sweeps *s = cr__alloc(e->t, sizeof *s);
  if (!s) return false;
  *s = (struct cr__sweeps){.out = -1};
  e->sweeps = s;
  if (!cr__pattern_make(e->t, m, y, n, x, &p)) return false;
  bool good = (!symmetric || cr__pattern_symmetrize(e->t, &p)) && cr__compress(e->t, &s->c, &p, symmetric);
  cr__pattern_free(e->t, &p);
  if (!good || !put_pattern(e, &s->c.pattern)) return false;
  work w = {.e = e, .c = &s->c, .m = m, .n = n, .y = y, .x = x};
  int out = add_nonzeros(&w, name, dtype);
  if (s->c.colours > 1 && !(are_numbers(e->t, m, y) && are_numbers(e->t, n, x))) return add_loop(&w, out);
  good = add_sweeps(&w, out);
  cr__free_sweeps(e);
  return good;
}

void cr__free_sweeps(cr_emitter *e) {
  if (e->sweeps) cr__compression_free(e->t, &e->sweeps->c);
  e->sweeps = NULL;
}

/* Writing what was picked: a loop where both sides advance evenly from every q-th pair to the next, else a table of pairs.
 */

enum { LONGEST_PERIOD = 8, FEW = 4 };

/* How many periods of q pairs follow each other by the same steps. */
static int64_t periods(const int64_t *picked, int64_t n, int64_t q) {
  int64_t k = q;
  if (n < 2 * q) return n >= q;
  while (k < n && picked[2 * k] - picked[2 * (k - q)] == picked[2 * (k % q + q)] - picked[2 * (k % q)] &&
         picked[2 * k + 1] - picked[2 * (k - q) + 1] == picked[2 * (k % q + q) + 1] - picked[2 * (k % q) + 1])
    k++;
  return k / q;
}

/* The period that takes most pairs into a loop, by what its lines cost. */
static int64_t best_period(const int64_t *picked, int64_t n) {
  int64_t best = 1, most = periods(picked, n, 1) - 1;
  for (int64_t q = 2; q <= LONGEST_PERIOD; q++) {
    int64_t saved = (periods(picked, n, q) - 1) * q;
    if (saved > most) best = q, most = saved;
  }
  return best;
}

static bool is_regular(const int64_t *picked, int64_t n) {
  int64_t lines = 0;
  for (int64_t k = 0, q; k < n; k += q * periods(picked + 2 * k, n - k, q), lines += q)
    q = best_period(picked + 2 * k, n - k);
  return lines * FEW <= n || n <= FEW;
}

static void put_pairs(cr_emitter *e, cr_emit_context *c, const cr__out *o, const cr_emit_view *v, const int64_t *picked,
                      int64_t n) {
  const char *table = cr__format(e, "%s_pairs%d", e->name, ++e->n_pairs);
  cr_put(&e->tables, "static const int %s[%lld][2] = {", table, (long long)n);
  for (int64_t k = 0; k < n; k++)
    cr_put(&e->tables, "%s{%lld, %lld}",
           k % 8 ? ", "
           : k   ? ",\n  "
                 : "\n  ",
           (long long)picked[2 * k], (long long)picked[2 * k + 1]);
  cr_put(&e->tables, "\n};\n");
  cr_emit_loops(c, 1, &n);
  const char *i = e->variable[e->level - 1];
  cr_emit_line(c, "%s[%s[%s][1]] = %s[%s[%s][0]];", o->name, table, i, v->base, table, i);
  cr_emit_close(c, 1);
}

static void put_periods(cr_emit_context *c, const cr__out *o, const cr_emit_view *v, const int64_t *picked, int64_t n,
                        int64_t q) {
  int level = cr_emit_level(c);
  cr_emit_loops(c, 1, &n);
  for (int64_t k = 0; k < q; k++, picked += 2) {
    int64_t step[2] = {n > 1 ? picked[2 * q] - picked[0] : 0, n > 1 ? picked[2 * q + 1] - picked[1] : 0};
    const char *to = cr_emit_index(c, 1, &step[1], picked[1], level),
               *from = cr_emit_index(c, 1, &step[0], picked[0], level);
    if (v->number) cr_emit_line(c, "%s[%s] = %s;", o->name, to, v->base);
    else cr_emit_line(c, "%s[%s] = %s[%s];", o->name, to, v->base, from);
  }
  cr_emit_close(c, 1);
}

void cr__put_picked(cr_emitter *e, const cr__piece *p) {
  cr__out *o = &e->out[p->out];
  cr_emit_view v = cr__view_of(e, p->v.id);
  cr_emit_context c = {.tape = e->t, .emitter = e};
  o->used_in = e->part;
  if (o->shape.count == 1) {
    int64_t at = v.offset + cr_array_offset(&v.array, p->picked[0]);
    if (v.number) cr_emit_line(&c, "*%s = %s;", o->name, v.base);
    else cr_emit_line(&c, "*%s = %s[%lld];", o->name, v.base, (long long)at);
    return;
  }
  int64_t *picked = cr__alloc(e->t, 2 * (size_t)p->n_picked * sizeof *picked);
  for (int64_t k = 0; picked && k < p->n_picked; k++) {
    picked[2 * k] = v.number ? 0 : v.offset + cr_array_offset(&v.array, p->picked[2 * k]);
    picked[2 * k + 1] = p->picked[2 * k + 1];
  }
  if (!picked) return;
  if (!v.number && !is_regular(picked, p->n_picked)) {
    put_pairs(e, &c, o, &v, picked, p->n_picked);
    return;
  }
  for (int64_t k = 0; k < p->n_picked;) {
    int64_t *rest = picked + 2 * k, left = p->n_picked - k, q = best_period(rest, left), n = periods(rest, left, q);
    if (n < 3) n = q = 1;
    put_periods(&c, o, &v, rest, n, q);
    k += n * q;
  }
}

/* The loop */

bool cr__make_seeds(cr_emitter *e) {
  for (int k = 0; e->sweeps && k < e->sweeps->n_seeds; k++) {
    uint32_t id = e->sweeps->seed[k].id;
    e->item[id] =
        (cr__item){.kind = CR__PARAMETER, .root = id, .like = id, .part = -1, .used_in = -1, .output = -1, .swept = true};
    e->item[id].name = cr__format(e, "ws->seed%d", k + 1);
  }
  return e->t->error == CR_OK;
}

/* static const int NAME[colours + 1], where the items of each colour begin: those between low and high. */
static void put_starts(cr_emitter *e, const char *name, const int64_t *start, const int32_t *item, int64_t low,
                       int64_t high) {
  const cr__compression *c = &e->sweeps->c;
  cr_buffer *b = &e->tables;
  int64_t n = 0;
  cr_put(b, "static const int %s[%d] = {", name, c->colours + 1);
  for (int k = 0; k <= c->colours; k++) {
    cr_put(b, "%s%lld", k % 16 ? ", " : k ? ",\n  " : "\n  ", (long long)n);
    for (int64_t i = start[k]; k < c->colours && i < start[k + 1]; i++) n += item[i] >= low && item[i] < high;
  }
  cr_put(b, "\n};\n");
}

static void put_seeds(cr_emitter *e, cr_emit_context *c, int k, const char *colour) {
  const struct cr__sweeps *s = e->sweeps;
  cr_array a = cr_view(s->seed[k]);
  int64_t first = s->first[k], written = 0;
  const char *name = cr__format(e, "%s_seeds%d", e->name, k + 1), *starts = cr__format(e, "%s_starts", name);
  cr__add_member(e, cr__format(e, "seed%d", k + 1), (cr_dtype)a.dtype, a.count == 1 ? 0 : a.count);
  if (a.count == 1) {
    int of = 0;
    for (int i = 0; i < s->c.colours; i++)
      for (int64_t j = s->c.seed_start[i]; j < s->c.seed_start[i + 1]; j++) of = s->c.seed[j] == first ? i : of;
    cr_emit_line(c, "ws->seed%d = %s == %d;", k + 1, colour, of);
    return;
  }
  put_starts(e, starts, s->c.seed_start, s->c.seed, first, first + a.count);
  cr_put(&e->tables, "static const int %s[%lld] = {", name, (long long)seeds_within(&s->c, first, a.count));
  for (int64_t i = 0; i < s->c.seed_start[s->c.colours]; i++)
    if (s->c.seed[i] >= first && s->c.seed[i] < first + a.count) {
      cr_put(&e->tables, "%s%lld", written % 16 ? ", " : written ? ",\n  " : "\n  ", (long long)(s->c.seed[i] - first));
      written++;
    }
  cr_put(&e->tables, "\n};\n");
  cr_emit_line(c, "for (int j = 0; j < %lld; j++) ws->seed%d[j] = 0;", (long long)a.count, k + 1);
  cr_emit_line(c, "for (int j = %s[%s]; j < %s[%s + 1]; j++) ws->seed%d[%s[j]] = 1;", starts, colour, starts, colour, k + 1,
               name);
}

void cr__open_sweeps(cr_emitter *e) {
  cr_emit_context c = {.tape = e->t, .emitter = e};
  e->uses_workspace = true;
  cr_emit_line(&c, "/* a sweep for each colour of the %s */", e->sweeps->c.reverse ? "rows" : "columns");
  cr_emit_loops(&c, 1, &(int64_t){e->sweeps->c.colours});
  for (int k = 0; k < e->sweeps->n_seeds; k++) put_seeds(e, &c, k, e->variable[e->level - 1]);
}

static void put_reading(cr_emitter *e, cr_emit_context *c, int k, int64_t first, const char *colour) {
  const cr__compression *m = &e->sweeps->c;
  cr_array a = cr_view(e->sweeps->result[k]);
  if (!is_read(m, first, a.count)) return;
  cr_emit_view v = cr__view_of(e, e->sweeps->result[k].id);
  const char *name = cr__format(e, "%s_places%d", e->name, k + 1), *starts = cr__format(e, "%s_starts", name);
  int64_t written = 0, nonzeros = m->start[m->colours];
  for (int64_t i = 0; i < nonzeros; i++) {
    if (m->from[i] < first || m->from[i] >= first + a.count) continue;
    if (!written)
      cr_put(&e->tables, "static const int %s[][2] = { /* in the result of a sweep, among the nonzeros */", name);
    int64_t from = v.number ? 0 : v.offset + cr_array_offset(&v.array, m->from[i] - first);
    cr_put(&e->tables, "%s{%lld, %lld}",
           written % 8 ? ", "
           : written   ? ",\n  "
                       : "\n  ",
           (long long)from, (long long)m->at[i]);
    written++;
  }
  cr_put(&e->tables, "\n};\n");
  put_starts(e, starts, m->start, m->from, first, first + a.count);
  cr_emit_line(c, "for (int j = %s[%s]; j < %s[%s + 1]; j++) %s[%s[j][1]] = %s%s;", starts, colour, starts, colour,
               e->out[e->sweeps->out].name, name, v.base, v.number ? "" : cr__format(e, "[%s[j][0]]", name));
}

void cr__close_sweeps(cr_emitter *e) {
  cr_emit_context c = {.tape = e->t, .emitter = e};
  int64_t first = 0;
  e->out[e->sweeps->out].used_in = e->part;
  for (int k = 0; k < e->sweeps->n_results; k++) {
    put_reading(e, &c, k, first, e->variable[e->level - 1]);
    first += cr_count(e->sweeps->result[k]);
  }
  cr_emit_close(&c, 1);
}
