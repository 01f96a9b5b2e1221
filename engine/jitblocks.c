/* The loops of a block in C: a function that is called with the arrays; or loops within the function of the whole, where
 * sizes and strides are constants. */
#include <stdio.h>

#include "jitwriting.h"

enum { MOST_LINES = 1000, LANES = 16 };

static bool is_output(const cr__code *c, int k) { return c->written[k] || (c->array[k].slot >= 0 && c->array[k].step > 0); }

static void put_parameters(cr__writer *w, const cr__loop *k) {
  for (int i = 0; i < k->code->n_arrays; i++) {
    const cr__feed *a = &k->code->array[i];
    const char *type = cr__type_name(w, a->id);
    if (!a->step) cr_put(&w->body, ", const %s x%d", type, i);
    else cr_put(&w->body, ", %s%s *x%d", is_output(k->code, i) ? "" : "const ", type, i);
  }
}

/* The call of the loop over all of n, or, padded, over whole vectors; then over the rest in a copy. */
static void put_call(cr__writer *w, const cr__loop *k, const char *n, const char *m, bool copied) {
  cr_put(&w->body, "step%u_loop(%s, %s, part", k->step, n, m);
  for (int i = 0; i < k->code->n_arrays; i++) {
    const cr__feed *a = &k->code->array[i];
    if (!a->step) cr_put(&w->body, ", *(const %s *)p[%d]", cr__type_name(w, a->id), i);
    else cr_put(&w->body, copied ? ", r%d" : ", p[%d]", i);
  }
  cr_put(&w->body, ");\n");
}

static void put_rest(cr__writer *w, const cr__loop *k) {
  const cr__code *c = k->code;
  cr_put(&w->body, "  if (!rest) return;\n");
  for (int i = 0; i < c->n_arrays; i++) {
    const char *type = cr__type_name(w, c->array[i].id);
    if (!c->array[i].step) continue;
    cr_put(&w->body, "  %s r%d[%d];\n", type, i, LANES);
    if (!is_output(c, i) || c->array[i].step < 0)
      cr_put(&w->body, "  for (int i = 0; i < %d; i++) r%d[i] = ((const %s *)p[%d])[even + (i < rest ? i : rest - 1)];\n",
             LANES, i, type, i);
  }
  char lanes[16];
  snprintf(lanes, sizeof lanes, "%d", LANES);
  cr_put(&w->body, "  ");
  put_call(w, k, lanes, "rest", true);
  for (int i = 0; i < c->n_arrays; i++)
    if (c->array[i].step && is_output(c, i))
      cr_put(&w->body, "  for (int i = 0; i < rest; i++) ((%s *)p[%d])[even + i] = r%d[i];\n",
             cr__type_name(w, c->array[i].id), i, i);
}

static void put_block_function(cr__writer *w, const cr__loop *k) {
  const cr__blocks *b = k->b;
  cr_put(&w->body, "\nstatic void step%u(void *const *p, int n, double *part) {\n", k->step);
  for (int f = 0; f < b->n_folds; f++) cr_put(&w->body, "  part[%d] = 0;\n", f);
  if (!k->padded) {
    cr_put(&w->body, "  ");
    put_call(w, k, "n", "n", false);
  } else {
    cr_put(&w->body, "  const int even = n & ~%d, rest = n - even;\n  if (even) ", LANES - 1);
    put_call(w, k, "even", "even", false);
    put_rest(w, k);
  }
  cr_put(&w->body, "}\n");
}

static void put_loop(cr__writer *w, cr__loop *k) {
  const cr__blocks *b = k->b;
  cr_tape *t = w->t;
  uint32_t chunk = t->arena.current;
  size_t used = t->arena.used;
  cr_buffer lines = cr__lines_of(w, k);
  cr_put(&w->body, "\nstatic __attribute__((noinline)) void step%u_loop(int n, int m, double *part", k->step);
  put_parameters(w, k);
  cr_put(&w->body, ") {\n  (void)m, (void)part;\n");
  if (k->padded) cr_put(&w->body, "  n &= ~%d;\n", LANES - 1);
  const char *sums = cr__put_sums(w, k);
  cr_put(&w->body, "#pragma omp simd%s\n  for (int i = 0; i < n; i++) {\n%s  }\n", sums, lines.text ? lines.text : "");
  for (int i = 0; i < b->n_lines; i++)
    if (cr__is_summed(w, &b->line[i])) cr_put(&w->body, "  part[%d] += f%d;\n", b->line[i].fold, b->line[i].fold);
  cr_put(&w->body, "}\n");
  cr_buffer_free(&lines);
  cr__arena_reset(&t->arena, chunk, used);
}

static cr__code *take_code(cr__writer *w, const cr__blocks *b) {
  cr__code *c = cr__fn_take(w->f, sizeof *c);
  if (!c) return NULL;
  *c = (cr__code){.array = cr__fn_take(w->f, CR__MOST_ARRAYS * sizeof *c->array),
                  .fold = cr__fn_take(w->f, CR__MOST_FOLDS * sizeof *c->fold),
                  .written = cr__fn_take(w->f, CR__MOST_ARRAYS)};
  if (!c->array || !c->fold || !c->written) return NULL;
  memset(c->written, 0, CR__MOST_ARRAYS);
  (void)b;
  return c;
}

/* Whether the block was written; what was begun is taken back. */
bool cr__put_block(cr__writer *w, uint32_t step) {
  const cr__blocks *b = w->f->plan.step[step].blocks;
  cr_tape *t = w->t;
  uint32_t chunk = t->arena.current;
  size_t used = t->arena.used, length = w->body.length;
  cr__loop k = {.b = b, .step = step, .mark = step + 1};
  bool can = b->n_lines <= MOST_LINES && b->n_folds <= CR__MOST_FOLDS;
  for (int i = 0; can && i < b->n_lines; i++) {
    can = cr__can_write(w, &b->line[i]);
    k.padded = k.padded || cr__is_vector(w, &b->line[i]);
    cr__arena_reset(&t->arena, chunk, used);
  }
  if (!can || w->failed) return false;
  k.code = take_code(w, b);
  if (!k.code) return w->failed = true, false;
  put_loop(w, &k);
  if (!w->failed && (size_t)k.n_buffers * b->slot_bytes <= CR__BLOCK_SPACE) {
    put_block_function(w, &k);
    k.code->whole = k.n_buffers ? 1 : LANES;
    for (int i = 0; i < b->n_folds; i++)
      if (k.code->fold[i] >= 0) k.code->whole = 1;
    w->u->code[w->u->n_steps] = k.code;
    w->u->work += b->count * b->n_lines;
    return true;
  }
  if (!w->body.failed && t->error == CR_OK) w->failed = false; /* more arrays than a call takes */
  w->body.length = length;
  if (w->body.text) w->body.text[length] = 0;
  return false;
}

/* Within the function of the whole */

/* The operands that lie unevenly have one shape, but for axes of size 1. */
static bool add_strided(cr__writer *w, cr__nest *n, uint32_t id) {
  cr_array a = cr__array_of(w->t, id);
  cr_emit_view v = {.array = a};
  v.array.rank = 0;
  for (int i = 0; i < a.rank; i++) {
    if (a.dim[i] == 1) continue;
    v.array.dim[v.array.rank] = a.dim[i];
    v.array.stride[v.array.rank++] = a.stride[i];
  }
  bool same = !n->n || (n->rank == v.array.rank && !memcmp(n->dim, v.array.dim, (size_t)n->rank * sizeof *n->dim));
  if (n->n == CR__MOST_STRIDED || !same) return false;
  n->rank = v.array.rank;
  memcpy(n->dim, v.array.dim, sizeof n->dim);
  n->id[n->n] = id, n->view[n->n++] = v;
  return true;
}

static bool make_nest(cr__writer *w, const cr__blocks *b, cr__nest *n) {
  cr_emit_view *v[CR__MOST_STRIDED];
  for (int i = 0; i < b->n_lines; i++)
    for (int k = 0; k < b->line[i].n; k++) {
      const cr__feed *f = &b->line[i].in[k];
      bool known = f->step >= 0;
      for (int j = 0; j < n->n; j++) known = known || n->id[j] == f->id;
      if (!known && !add_strided(w, n, f->id)) return false;
    }
  for (int k = 0; k < n->n; k++) v[k] = &n->view[k];
  if (n->n) n->rank = cr__merge_axes(n->rank, n->dim, n->n, v);
  if (!n->rank) n->dim[n->rank++] = b->count;
  return true;
}

static bool can_write_inline(cr__writer *w, const cr__blocks *b) {
  enum { MOST_INLINE = 200, MOST_WORK = 1 << 15 };
  cr_tape *t = w->t;
  bool can = b->n_lines <= MOST_INLINE && b->n_folds <= CR__MOST_FOLDS && b->count * b->n_lines <= MOST_WORK;
  uint32_t chunk = t->arena.current;
  size_t used = t->arena.used;
  for (int i = 0; can && i < b->n_lines; i++) {
    const cr__line *l = &b->line[i];
    can = l->fold < 0 || cr__is_summed(w, l) || l->op->fold->helper;
    can = can && cr__can_write(w, l) && !cr__is_vector(w, l);
    cr__arena_reset(&t->arena, chunk, used);
  }
  return can;
}

static void put_arrays(cr__writer *w, const cr__loop *k) {
  for (int i = 0; i < k->code->n_arrays; i++) {
    const cr__feed *a = &k->code->array[i];
    const char *type = cr__type_name(w, a->id), *constant = is_output(k->code, i) ? "" : "const ";
    if (a->slot >= 0) cr_put(&w->body, "    %s x%d[%lld];\n", type, i, (long long)k->b->count);
    else if (!a->step) cr_put(&w->body, "    const %s x%d = *%s;\n", type, i, cr__place_text(w, a->id));
    else cr_put(&w->body, "    %s%s *x%d = %s;\n", constant, type, i, cr__place_text(w, a->id));
  }
}

static void put_nest(cr__writer *w, const cr__nest *n, const char *sums, const char *lines) {
  const int last = n->rank - 1;
  for (int i = 0; i < last; i++)
    cr_put(&w->body, "    for (int o%d = 0; o%d < %lld; o%d++)\n", i, i, (long long)n->dim[i], i);
  cr_put(&w->body, "#pragma omp simd%s\n    for (int i = 0; i < %lld; i++) {\n%s    }\n", sums, (long long)n->dim[last],
         lines);
}

static void put_results(cr__writer *w, const cr__loop *k) {
  for (int i = 0; i < k->b->n_lines; i++) {
    const cr__line *l = &k->b->line[i];
    if (l->fold < 0) continue;
    const char *type = cr__type_name(w, l->id);
    cr_put(&w->body, "    *%s = (%s)", cr__place_text(w, l->id), type);
    if (cr__is_summed(w, l)) cr_put(&w->body, "f%d;\n", l->fold);
    else
      cr_put(&w->body, "%s_%s(x%d, %lld, 1);\n", l->op->fold->helper, cr_emit_type(l->dtype), k->code->fold[l->fold],
             (long long)k->b->count);
  }
}

bool cr__put_block_inline(cr__writer *w, uint32_t step) {
  const cr__blocks *b = w->f->plan.step[step].blocks;
  cr__feed array[CR__MOST_ARRAYS];
  bool written[CR__MOST_ARRAYS] = {false};
  int fold[CR__MOST_FOLDS];
  cr__code code = {.array = array, .written = written, .fold = fold};
  cr__nest n = {0};
  cr__loop k = {.b = b, .code = &code, .step = step, .mark = step + 1, .nest = &n};
  const size_t length = w->body.length;
  if (w->failed || !can_write_inline(w, b) || !make_nest(w, b, &n)) return false;
  cr_buffer lines = cr__lines_of(w, &k);
  const bool good = !w->failed;
  if (good) {
    cr_put(&w->body, "  {\n");
    put_arrays(w, &k);
    const char *sums = cr__put_sums(w, &k);
    put_nest(w, &n, sums, lines.text ? lines.text : "");
    put_results(w, &k);
    cr_put(&w->body, "  }\n");
  } else if (!w->body.failed && w->t->error == CR_OK) { /* more arrays than there is room for */
    w->failed = false;
    for (int i = 0; i < b->n_lines; i++) w->seen[b->line[i].id] = 0;
    w->body.length = length;
  }
  cr_buffer_free(&lines);
  return good;
}
