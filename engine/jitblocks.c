/* The C of a block: a loop over its elements, and a function that calls it with the arrays. */
#include <stdio.h>

#include "jitwriting.h"

enum { MOST_LINES = 1000, LANES = 16 };

/* What a block's C function is given, and how its lines are written. */
typedef struct block {
  const cr__blocks *b;
  cr__code *code;
  int n_buffers;
  bool padded;         /* numbers beyond the last are computed too, so that all go through whole vectors */
  uint32_t source[64]; /* by slot of the space: the node that is in it */
  uint32_t step, mark; /* of the plan; step + 1: seen has it for nodes whose numbers are locals */
} block;

static const char *type_of(const cr_tape *t, uint32_t id) { return cr_emit_type((cr_dtype)cr__array_of(t, id).dtype); }

static int add_array(block *k, uint32_t id, int32_t slot, int32_t step) {
  cr__code *c = k->code;
  for (int i = 0; i < c->n_arrays && slot < 0 && step >= 0; i++)
    if (c->array[i].id == id && c->array[i].slot < 0 && c->array[i].step == step) return i;
  if (c->n_arrays == CR__MOST_ARRAYS) return -1;
  c->array[c->n_arrays] = (cr__feed){id, slot, step};
  return c->n_arrays++;
}

/* An operand that lies unevenly is gathered once for all its lines. */
static int add_operand(block *k, const cr__feed *f) {
  if (f->step >= 0) return add_array(k, f->id, -1, f->step);
  for (int i = 0; i < k->code->n_arrays; i++)
    if (k->code->array[i].id == f->id && k->code->array[i].step < 0) return i;
  return add_array(k, f->id, k->n_buffers++, -1);
}

static uint32_t root_of(const cr_tape *t, uint32_t id) {
  while (cr__is_record(t, id) && t->slot[id].tensor->view && cr__is_record(t, t->node[id].in[0])) id = t->node[id].in[0];
  return id;
}

/* The constant of which the node is a view; 0: there is none. */
static uint32_t constant_of(const cr_tape *t, uint32_t id) {
  while (id && t->op[cr__op_number(t, id)] && cr__is_record(t, id) && t->slot[id].tensor->view) id = t->node[id].in[0];
  return cr__op_number(t, id) == CR__CONST ? id : 0;
}

static bool lies_flat(const cr_tape *t, uint32_t view, uint32_t of) {
  cr_array a = cr__array_of(t, view), b = cr__array_of(t, of);
  return view == of || (a.contiguous && b.contiguous && a.count == b.count && a.data == b.data);
}

/* The node of this block whose number the operand is; 0: it comes from an array. seen has the block's step, above all
 * functions. */
static uint32_t inside(const cr__writer *w, const block *k, const cr__feed *f) {
  if (f->slot >= 0 && f->step > 0) return k->source[f->slot];
  uint32_t root = root_of(w->t, f->id);
  return w->seen[root] == k->mark && f->step > 0 && lies_flat(w->t, f->id, root) ? root : 0;
}

static bool is_plain_row(cr__writer *w, const cr__line *l) {
  return l->op->row && !strstr(cr__row_text(w, l->id, CR__ROW_EXACT), "(double)\1");
}

static bool is_single(const cr__writer *w, const cr__line *l) {
  return l->op->row && l->dtype == CR_FLOAT32 && (!w->exact || cr__is_native(w, l->op->row));
}

/* Whether the line has a form in C that gives the bits, or is as near, as asked. */
static bool can_write(cr__writer *w, const cr__line *l) {
  if (l->fold >= 0) return true;
  const int32_t *at;
  if (!l->op->row) return l->op->emit || *cr__pull_text(w, l, &at);
  if (l->dtype != CR_FLOAT32 || is_plain_row(w, l)) return true;
  return is_single(w, l) && *cr__template_of(w, l->id, CR__ROW_SINGLE);
}

/* Calls of vector functions may be in it. */
static bool is_vector(cr__writer *w, const cr__line *l) {
  if (l->fold >= 0 || l->dtype != CR_FLOAT32) return false;
  if (l->op->row) return !cr__is_native(w, l->op->row) && !is_plain_row(w, l);
  int k;
  const int32_t *at;
  const cr_op *pulled = l->op->emit ? NULL : cr__pull_of(l->op, cr__attr_of(w->t, l->id), &k, &at);
  return pulled && !cr__is_native(w, pulled->row);
}

static const char *operand_name(cr__writer *w, block *k, const cr__feed *f, char *name) {
  uint32_t own = inside(w, k, f);
  if (own) {
    snprintf(name, CR__NAME, "v%u", own);
    return name;
  }
  const uint32_t one = f->step ? 0 : constant_of(w->t, f->id);
  if (one) { /* the compiler may know what comes of it */
    const cr_array a = cr__array_of(w->t, one);
    snprintf(name, CR__NAME, "%s", cr__literal(&w->e, cr_array_get(&a, 0), (cr_dtype)a.dtype));
    return name;
  }
  int at = add_operand(k, f);
  if (at < 0) w->failed = true;
  snprintf(name, CR__NAME, f->step ? "x%d[i]" : "x%d", at);
  return name;
}

static const char *pointwise_text(cr__writer *w, const cr__line *l, const char *const *operand) {
  cr_emit_view in[3];
  for (int k = 0; k < l->n; k++)
    in[k] = (cr_emit_view){.array = cr__array_of(w->t, l->in[k].id), .base = operand[k], .number = 1};
  cr_emit_context c = {.tape = w->t, .op = l->op, .n = l->n, .in = in, .attr = cr__attr_of(w->t, l->id), .emitter = &w->e};
  c.out.array = cr__array_of(w->t, l->id);
  w->e.in_block = true;
  l->op->emit(&c);
  w->e.in_block = false;
  return w->e.expression;
}

/* A sum of float32 is taken in the loop; other folds read an array after it. */
static bool is_summed(const cr__writer *w, const cr__line *l) {
  return !w->exact && l->fold >= 0 && l->op->fold->sums && l->dtype == CR_FLOAT32;
}

static void put_fold(cr__writer *w, block *k, const cr__line *l, const char *operand) {
  const cr__feed *f = &l->in[0];
  k->code->fold[l->fold] = -1;
  if (is_summed(w, l)) {
    cr_put(&w->body, k->padded ? "    f%d += i < m ? (double)%s : 0;\n" : "    f%d += (double)%s;\n", l->fold, operand);
    return;
  }
  if (!inside(w, k, f) && f->step) {
    k->code->fold[l->fold] = add_operand(k, f);
    return;
  }
  int at = add_array(k, f->id, k->n_buffers++, 1);
  if (at < 0) {
    w->failed = true;
    return;
  }
  k->code->fold[l->fold] = at;
  cr_put(&w->body, "    x%d[i] = %s;\n", at, operand);
}

static void put_line(cr__writer *w, block *k, const cr__line *l) {
  char name[3][CR__NAME] = {"", "", ""};
  const char *operand[3] = {name[0], name[1], name[2]};
  for (int i = 0; i < l->n; i++) operand_name(w, k, &l->in[i], name[i]);
  if (l->fold >= 0) {
    put_fold(w, k, l, operand[0]);
    return;
  }
  bool single = is_single(w, l) && !is_plain_row(w, l);
  const int32_t *places = NULL;
  const char *text = l->op->row     ? cr__template_of(w, l->id, single ? CR__ROW_SINGLE : CR__ROW_EXACT)
                     : !l->op->emit ? cr__pull_text(w, l, &places)
                                    : pointwise_text(w, l, operand);
  const char *named[4] = {operand[0], operand[l->n > 1 ? 1 : 0], "", operand[0]};
  for (int i = 0; places && i < 3; i++) named[i] = operand[places[i]];
  cr_put(&w->body, "    const %s v%u = ", l->out_dtype == CR_BOOL ? "_Bool" : cr_emit_type(l->out_dtype), l->id);
  cr__put_template(&w->body, text, named);
  cr_put(&w->body, ";\n");
  w->seen[l->id] = k->mark;
  if (l->slot >= 0) {
    k->source[l->slot] = l->id;
    return;
  }
  int at = add_array(k, l->id, -1, 1);
  if (at < 0) w->failed = true;
  else k->code->written[at] = true, cr_put(&w->body, "    x%d[i] = v%u;\n", at, l->id);
}

static bool is_output(const cr__code *c, int k) { return c->written[k] || (c->array[k].slot >= 0 && c->array[k].step > 0); }

static void put_parameters(cr__writer *w, const block *k) {
  for (int i = 0; i < k->code->n_arrays; i++) {
    const cr__feed *a = &k->code->array[i];
    const char *type = type_of(w->t, a->id);
    if (!a->step) cr_put(&w->body, ", const %s x%d", type, i);
    else cr_put(&w->body, ", %s%s *x%d", is_output(k->code, i) ? "" : "const ", type, i);
  }
}

/* The call of the loop over all of n, or, padded, over whole vectors; then over the rest in a copy. */
static void put_call(cr__writer *w, const block *k, const char *n, const char *m, bool copied) {
  cr_put(&w->body, "step%u_loop(%s, %s, part", k->step, n, m);
  for (int i = 0; i < k->code->n_arrays; i++) {
    const cr__feed *a = &k->code->array[i];
    if (!a->step) cr_put(&w->body, ", *(const %s *)p[%d]", type_of(w->t, a->id), i);
    else cr_put(&w->body, copied ? ", r%d" : ", p[%d]", i);
  }
  cr_put(&w->body, ");\n");
}

static void put_rest(cr__writer *w, const block *k) {
  const cr__code *c = k->code;
  cr_put(&w->body, "  if (!rest) return;\n");
  for (int i = 0; i < c->n_arrays; i++) {
    const char *type = type_of(w->t, c->array[i].id);
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
      cr_put(&w->body, "  for (int i = 0; i < rest; i++) ((%s *)p[%d])[even + i] = r%d[i];\n", type_of(w->t, c->array[i].id),
             i, i);
}

static void put_block_function(cr__writer *w, const block *k) {
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

static void put_loop(cr__writer *w, block *k) {
  const cr__blocks *b = k->b;
  cr_tape *t = w->t;
  cr_buffer lines = {.tape = t}, all = w->body;
  uint32_t chunk = t->arena.current;
  size_t used = t->arena.used;
  w->body = lines;
  for (int i = 0; i < b->n_lines; i++) {
    put_line(w, k, &b->line[i]);
    cr__arena_reset(&t->arena, chunk, used);
  }
  lines = w->body, w->body = all;
  cr_put(&w->body, "\nstatic __attribute__((noinline)) void step%u_loop(int n, int m, double *part", k->step);
  put_parameters(w, k);
  cr_put(&w->body, ") {\n  (void)m, (void)part;\n");
  if (k->padded) cr_put(&w->body, "  n &= ~%d;\n", LANES - 1);
  const char *sums = "";
  for (int i = 0; i < b->n_lines; i++) {
    const cr__line *l = &b->line[i];
    if (!is_summed(w, l)) continue;
    cr_put(&w->body, "  double f%d = 0;\n", l->fold);
    sums = cr__format(&w->e, "%s%sf%d", sums, *sums ? ", " : " reduction(+ : ", l->fold);
  }
  cr_put(&w->body, "#pragma omp simd%s%s\n  for (int i = 0; i < n; i++) {\n%s  }\n", sums, *sums ? ")" : "",
         lines.text ? lines.text : "");
  for (int i = 0; i < b->n_lines; i++)
    if (is_summed(w, &b->line[i])) cr_put(&w->body, "  part[%d] += f%d;\n", b->line[i].fold, b->line[i].fold);
  cr_put(&w->body, "}\n");
  if (lines.failed) w->body.failed = true;
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
  block k = {.b = b, .step = step, .mark = step + 1};
  bool can = b->n_lines <= MOST_LINES && b->n_folds <= CR__MOST_FOLDS;
  for (int i = 0; can && i < b->n_lines; i++) {
    can = can_write(w, &b->line[i]);
    k.padded = k.padded || is_vector(w, &b->line[i]);
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
