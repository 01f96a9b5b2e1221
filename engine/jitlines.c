/* The lines of a block in C: what each computes from operands in locals, in arrays and in constants. */
#include <stdio.h>

#include "jitwriting.h"

static int add_array(cr__loop *k, uint32_t id, int32_t slot, int32_t step) {
  cr__code *c = k->code;
  for (int i = 0; i < c->n_arrays && slot < 0 && step >= 0; i++)
    if (c->array[i].id == id && c->array[i].slot < 0 && c->array[i].step == step) return i;
  if (c->n_arrays == CR__MOST_ARRAYS) return -1;
  c->array[c->n_arrays] = (cr__feed){id, slot, step};
  return c->n_arrays++;
}

/* An operand that lies unevenly is gathered once for all its lines. */
static int add_operand(cr__loop *k, const cr__feed *f) {
  if (f->step >= 0) return add_array(k, f->id, -1, f->step);
  for (int i = 0; i < k->code->n_arrays; i++)
    if (k->code->array[i].id == f->id && k->code->array[i].step < 0) return i;
  return add_array(k, f->id, k->nest ? -1 : k->n_buffers++, -1);
}

/* "16 * o0 + i": the loops' variables times the strides. */
static const char *index_of(cr__writer *w, int rank, const int64_t *stride) {
  const char *text = "";
  for (int i = 0; i < rank; i++) {
    const char *plus = *text ? " + " : "";
    if (stride[i] && i == rank - 1) text = cr__format(&w->e, "%s%s%lld * i", text, plus, (long long)stride[i]);
    else if (stride[i]) text = cr__format(&w->e, "%s%s%lld * o%d", text, plus, (long long)stride[i], i);
  }
  return *text ? text : "0";
}

/* The element of an array at the loops' place. */
static void put_element(cr__writer *w, const cr__loop *k, int at, char *name) {
  const cr__feed *f = &k->code->array[at];
  const cr__nest *n = k->nest;
  const char *index = "i";
  if (n) {
    int64_t stride[CR_MAX_RANK], step = 1;
    for (int i = n->rank - 1; i >= 0; step *= n->dim[i--]) stride[i] = step;
    for (int i = 0; i < n->n && f->step < 0; i++)
      if (n->id[i] == f->id) memcpy(stride, n->view[i].array.stride, sizeof stride);
    index = index_of(w, n->rank, stride);
  }
  if (snprintf(name, CR__NAME, "x%d[%s]", at, index) >= CR__NAME) w->failed = true;
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
static uint32_t inside(const cr__writer *w, const cr__loop *k, const cr__feed *f) {
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
bool cr__can_write(cr__writer *w, const cr__line *l) {
  if (l->fold >= 0) return true;
  const int32_t *at;
  if (!l->op->row) return l->op->emit || *cr__pull_text(w, l, &at);
  if (l->dtype != CR_FLOAT32 || is_plain_row(w, l)) return true;
  return is_single(w, l) && *cr__template_of(w, l->id, CR__ROW_SINGLE);
}

/* Calls of vector functions may be in it. */
bool cr__is_vector(cr__writer *w, const cr__line *l) {
  if (l->fold >= 0 || l->dtype != CR_FLOAT32) return false;
  if (l->op->row) return !cr__is_native(w, l->op->row) && !is_plain_row(w, l);
  int k;
  const int32_t *at;
  const cr_op *pulled = l->op->emit ? NULL : cr__pull_of(l->op, cr__attr_of(w->t, l->id), &k, &at);
  return pulled && !cr__is_native(w, pulled->row);
}

static const char *operand_name(cr__writer *w, cr__loop *k, const cr__feed *f, char *name) {
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
  if (f->step) put_element(w, k, at, name);
  else snprintf(name, CR__NAME, "x%d", at);
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

bool cr__is_summed(const cr__writer *w, const cr__line *l) {
  return !w->exact && l->fold >= 0 && l->op->fold->sums && l->dtype == CR_FLOAT32;
}

static void put_fold(cr__writer *w, cr__loop *k, const cr__line *l, const char *operand) {
  const cr__feed *f = &l->in[0];
  k->code->fold[l->fold] = -1;
  if (cr__is_summed(w, l)) {
    cr_put(&w->body, k->padded ? "    f%d += i < m ? (double)%s : 0;\n" : "    f%d += (double)%s;\n", l->fold, operand);
    return;
  }
  if (!inside(w, k, f) && (k->nest ? f->step > 0 : f->step)) {
    k->code->fold[l->fold] = add_operand(k, f);
    return;
  }
  int at = add_array(k, f->id, k->n_buffers++, 1);
  if (at < 0) {
    w->failed = true;
    return;
  }
  char to[CR__NAME];
  k->code->fold[l->fold] = at;
  put_element(w, k, at, to);
  cr_put(&w->body, "    %s = %s;\n", to, operand);
}

static void put_line(cr__writer *w, cr__loop *k, const cr__line *l) {
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
  char to[CR__NAME];
  if (at < 0) {
    w->failed = true;
    return;
  }
  k->code->written[at] = true;
  put_element(w, k, at, to);
  cr_put(&w->body, "    %s = v%u;\n", to, l->id);
}

/* The lines, which are to be put after what they show to be needed. */
cr_buffer cr__lines_of(cr__writer *w, cr__loop *k) {
  cr_tape *t = w->t;
  cr_buffer all = w->body;
  uint32_t chunk = t->arena.current;
  size_t used = t->arena.used;
  w->body = (cr_buffer){.tape = t};
  for (int i = 0; i < k->b->n_lines; i++) {
    put_line(w, k, &k->b->line[i]);
    cr__arena_reset(&t->arena, chunk, used);
  }
  cr_buffer lines = w->body;
  w->body = all;
  if (lines.failed) w->body.failed = true;
  return lines;
}

/* Declares what is summed in the loop; the clause that says so. */
const char *cr__put_sums(cr__writer *w, const cr__loop *k) {
  const char *sums = "";
  for (int i = 0; i < k->b->n_lines; i++) {
    const cr__line *l = &k->b->line[i];
    if (!cr__is_summed(w, l)) continue;
    cr_put(&w->body, "  double f%d = 0;\n", l->fold);
    sums = cr__format(&w->e, "%s%sf%d", sums, *sums ? ", " : " reduction(+ : ", l->fold);
  }
  return *sums ? cr__format(&w->e, "%s)", sums) : "";
}
