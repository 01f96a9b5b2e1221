/* Emission of C: which lines in what order, in which function. */
#include <stdio.h>

#include "emitting.h"

/* Lines */

/* A number that later functions need. These lines do not count, so that both passes split at the same places. */
static void finish_number(cr_emitter *e, uint32_t id) {
  cr__item *x = &e->item[id];
  if (!x->crosses) return;
  cr__add_member(e, x->name, (cr_dtype)cr__array_of(e->t, id).dtype, 0);
  e->uses_workspace = true;
  cr__statement(e, "ws->%s = %s;", x->name, x->name);
  e->lines--;
}

static bool fill_context(cr_emitter *e, uint32_t id, cr_emit_context *c) {
  int n;
  const uint32_t *in = cr__operands(e->t, id, &n);
  cr_emit_view *views = cr__alloc(e->t, (size_t)(n ? n : 1) * sizeof *views);
  if (!views) return false;
  for (int k = 0; k < n; k++) views[k] = cr__view_of(e, in[k]);
  e->item[id].part = e->part;
  *c = (cr_emit_context){.tape = e->t, .op = e->t->op[cr__op_number(e->t, id)], .n = n, .in = views,
                         .out = cr__view_of(e, id), .attr = cr__attr_of(e->t, id), .emitter = e};
  return true;
}

static const char *called(cr_emitter *e, uint32_t id) {
  const cr__item *x = &e->item[id];
  if (x->kind != CR__VIEW_OF) return x->name;
  int n;
  if (x->like != id) return called(e, x->like);
  return cr__format(e, "%s(%s)", e->t->op[cr__op_number(e->t, id)]->name, called(e, cr__operands(e->t, id, &n)[0]));
}

/* "v7 = matmul(x, permute(W))  (2, 4)" */
static void put_comment(cr_emitter *e, uint32_t id) {
  enum { MOST = 6 };
  const cr_op *op = e->t->op[cr__op_number(e->t, id)];
  cr_array a = cr__array_of(e->t, id);
  char shape[200], shown[300] = "";
  const char *list = "";
  int n;
  const uint32_t *in = cr__operands(e->t, id, &n);
  for (int k = 0; k < n && k <= MOST; k++)
    list = cr__format(e, "%s%s%s", list, k ? ", " : "", k < MOST ? called(e, in[k]) : "...");
  if (op->show && cr__attr_of(e->t, id)) op->show(shown, sizeof shown, cr__attr_of(e->t, id));
  cr__statement(e, "/* %s = %s(%s%s%s): %s */", e->item[id].name, op->name, list, *shown ? ", " : "", shown,
           cr_shape_text(&a, shape, sizeof shape));
}

static bool put_statements(cr_emitter *e, uint32_t id) {
  cr_emit_context c;
  if (!fill_context(e, id, &c)) return false;
  put_comment(e, id);
  if (c.out.array.count == 1) e->undeclared = c.out.base, e->undeclared_dtype = (cr_dtype)c.out.array.dtype;
  c.op->emit(&c);
  e->undeclared = NULL;
  if (c.out.array.count == 1) finish_number(e, id);
  return true;
}

static const char *pointwise(cr_emit_context *c) {
  if (c->op->row) return cr__row_expression(c, c->in[0].base, c->in[c->n - 1].base);
  c->emitter->in_block = true;
  c->op->emit(c);
  c->emitter->in_block = false;
  return c->emitter->expression;
}

/* One number: a line without a loop. */
static bool put_number(cr_emitter *e, uint32_t id) {
  cr_emit_context c;
  if (!fill_context(e, id, &c)) return false;
  cr_emit_view *in = cr__alloc(e->t, (size_t)c.n * sizeof *in);
  if (!in) return false;
  for (int k = 0; k < c.n; k++) {
    in[k] = c.in[k];
    in[k].base = cr_emit_at(&c, &c.in[k], e->level);
  }
  c.in = in;
  cr__statement(e, "const %s %s = %s;", cr_emit_type((cr_dtype)c.out.array.dtype), c.out.base, pointwise(&c));
  finish_number(e, id);
  return true;
}

/* Blocks: pointwise nodes of one shape share a loop */

/* What one line of a block reads and writes, walked together. */
typedef struct block {
  cr_emitter *e;
  cr_emit_view *view, **merged;
  int n, rank;
  int64_t dim[CR_MAX_RANK];
} block;

static bool is_stored(const cr__item *x) { return x->output >= 0 || x->uses > x->block_uses; }

static bool collect_views(block *b) {
  cr_emitter *e = b->e;
  int n, most = 0;
  for (uint32_t k = 0; k < e->n_pending; k++) {
    const uint32_t *in = cr__operands(e->t, e->pending[k], &n);
    most += n + 1;
    for (int j = 0; j < n; j++)
      if (e->item[e->item[in[j]].root].pending) e->item[e->item[in[j]].root].block_uses++;
  }
  b->view = cr__alloc(e->t, (size_t)most * sizeof *b->view);
  b->merged = cr__alloc(e->t, (size_t)most * sizeof *b->merged);
  if (!b->view || !b->merged) return false;
  for (uint32_t k = 0; k < e->n_pending; k++) {
    uint32_t id = e->pending[k];
    const uint32_t *in = cr__operands(e->t, id, &n);
    for (int j = 0; j < n; j++)
      if (!e->item[e->item[in[j]].root].pending) b->view[b->n++] = cr__view_of(e, in[j]);
    if (is_stored(&e->item[id])) b->view[b->n++] = cr__view_of(e, id);
  }
  for (int k = 0; k < b->n; k++) b->merged[k] = &b->view[k];
  return true;
}

static bool put_block_line(block *b, uint32_t id, int *at, int level) {
  cr_emitter *e = b->e;
  cr__item *x = &e->item[id];
  cr_array a = cr__array_of(e->t, id);
  int n;
  const uint32_t *in = cr__operands(e->t, id, &n);
  cr_emit_context c = {.tape = e->t, .op = e->t->op[cr__op_number(e->t, id)], .n = n, .attr = cr__attr_of(e->t, id),
                       .emitter = e};
  cr_emit_view *views = cr__alloc(e->t, (size_t)n * sizeof *views);
  if (!views) return false;
  for (int k = 0; k < n; k++) {
    const cr__item *root = &e->item[e->item[in[k]].root];
    views[k] = (cr_emit_view){.array = cr__array_of(e->t, in[k]), .number = root->kind == CR__LITERAL ? CR__IS_LITERAL : 1};
    views[k].base = root->pending ? root->name : cr_emit_at(&c, &b->view[(*at)++], level);
  }
  c.in = views;
  c.out.array = a;
  const char *value = pointwise(&c), *type = cr_emit_type((cr_dtype)a.dtype);
  if (x->block_uses) cr__statement(e, "const %s %s = %s;", type, x->name, value);
  if (is_stored(x)) cr__statement(e, "%s = %s;", cr_emit_at(&c, &b->view[(*at)++], level), x->block_uses ? x->name : value);
  return true;
}

static bool flush(cr_emitter *e) {
  if (!e->n_pending) return true;
  block b = {.e = e};
  cr_array shape = cr__array_of(e->t, e->pending[0]);
  cr_emit_context c = {.tape = e->t, .emitter = e};
  int level = e->level, at = 0;
  memcpy(b.dim, shape.dim, sizeof b.dim);
  for (uint32_t k = 0; k < e->n_pending; k++) e->item[e->pending[k]].part = e->part;
  if (!collect_views(&b)) return false;
  b.rank = cr__merge_axes(shape.rank, b.dim, b.n, b.merged);
  cr_emit_loops(&c, b.rank, b.dim);
  for (uint32_t k = 0; k < e->n_pending; k++)
    if (!put_block_line(&b, e->pending[k], &at, level)) return false;
  cr_emit_close(&c, b.rank);
  for (uint32_t k = 0; k < e->n_pending; k++) e->item[e->pending[k]].pending = false;
  e->n_pending = 0;
  return true;
}

/* Whether the node reads what waits in the block; *fits: element by element only. */
static bool reads_pending(const cr_emitter *e, uint32_t id, bool *fits) {
  int n;
  const uint32_t *in = cr__operands(e->t, id, &n);
  cr_array a = cr__array_of(e->t, id);
  bool reads = false;
  for (int k = 0; k < n; k++) {
    uint32_t root = e->item[in[k]].root;
    if (!e->item[root].pending) continue;
    reads = true;
    cr_array b = cr__array_of(e->t, e->item[in[k]].like);
    *fits = *fits && b.contiguous && !e->item[in[k]].offset && cr__same_shape_as(&a, &b);
  }
  return reads;
}

static bool put_node(cr_emitter *e, uint32_t id) {
  cr_array a = cr__array_of(e->t, id);
  if (!a.count) return true;
  bool fits = true, reads = reads_pending(e, id, &fits), joins = e->item[id].kind == CR__POINTWISE && a.count != 1;
  if (joins && e->n_pending) {
    cr_array b = cr__array_of(e->t, e->pending[0]);
    fits = fits && cr__same_shape_as(&a, &b) && 2 * (int)e->n_pending < e->options->lines;
  }
  if ((joins ? !fits : reads) && !flush(e)) return false;
  if (joins) {
    e->item[id].pending = true;
    e->pending[e->n_pending++] = id;
    return true;
  }
  return e->item[id].kind == CR__POINTWISE ? put_number(e, id) : put_statements(e, id);
}

/* Functions */

void cr__end_part(cr_emitter *e) {
  cr_buffer *b = &e->parts;
  size_t from = b->length + 1, call = e->calls.length;
  cr_put(b, "\n%svoid %s_%d(", e->options->file_lines ? "" : "static ", e->name, e->part + 1);
  cr__put_parameters(e, b, false, true);
  cr_put(b, ")");
  cr__wrap(b, from, 4);
  if (!b->failed) cr_put(&e->prototypes, "%s;\n", b->text + from);
  cr_put(b, " {\n%s}\n", e->code.text ? e->code.text : "");
  cr_put(&e->calls, "  %s_%d(", e->name, e->part + 1);
  cr__put_parameters(e, &e->calls, false, false);
  cr_put(&e->calls, ");\n");
  cr__wrap(&e->calls, call, 4);
  if (e->code.failed || b->failed || e->calls.failed || e->prototypes.failed) cr__out_of_memory(e->t);
  e->code.length = 0;
  if (e->code.text) e->code.text[0] = 0;
  e->lines = 0;
  e->part++;
  e->uses_workspace = false;
}

static void put_piece(cr_emitter *e, const cr__piece *p) {
  if (p->out == CR__IN_LOOP) return;
  const cr__item *x = &e->item[e->item[p->v.id].root];
  cr__out *o = &e->out[p->out];
  if (p->n_picked) {
    cr__put_picked(e, p);
    return;
  }
  if (x->output == p->out && x->output_at == p->at && cr__is_whole(e, p)) return;
  if ((p->out == 0 && e->returns) || !o->shape.count) return;
  cr_emit_view from = cr__view_of(e, p->v.id), to = {.array = from.array, .base = o->name, .offset = p->at};
  o->used_in = e->part;
  int64_t step = p->step;
  for (int i = to.array.rank - 1; i >= 0; i--) {
    to.array.stride[i] = step;
    step *= to.array.dim[i];
  }
  cr_emit_context c = {.tape = e->t, .emitter = e};
  if (o->shape.count == 1) to.number = 1, to.base = cr__format(e, "*%s", o->name);
  cr_emit_map(&c, &to, 1, &from, "$0");
}

/* Nodes in order. The texts of a node are gone when it is written. */
static bool put_items(cr_emitter *e, bool swept) {
  cr_tape *t = e->t;
  bool ok = true;
  for (uint32_t id = 1; ok && id < e->n_items; id++) {
    cr__written kind = e->item[id].kind;
    if ((kind != CR__POINTWISE && kind != CR__STATEMENTS) || e->item[id].swept != swept) continue;
    uint32_t chunk = t->arena.current;
    size_t used = t->arena.used;
    ok = put_node(e, id);
    cr__arena_reset(&t->arena, chunk, used);
    if (e->lines >= e->options->lines && !swept) cr__end_part(e);
  }
  return ok && flush(e);
}

/* All of it, for pieces and nodes. */
static bool put_nodes(cr_emitter *e) {
  bool ok = put_items(e, false);
  for (int k = 0; ok && k < e->n_pieces; k++) {
    put_piece(e, &e->piece[k]);
    if (e->lines >= e->options->lines) cr__end_part(e);
  }
  if (ok && e->sweeps) {
    cr__open_sweeps(e);
    ok = put_items(e, true);
    cr__close_sweeps(e);
  }
  if (ok && e->returns) {
    cr_emit_context c = {.tape = e->t, .emitter = e};
    cr_emit_view value = cr__view_of(e, e->piece[0].v.id);
    cr__statement(e, "return %s;", cr_emit_at(&c, &value, e->level));
  }
  return ok && e->t->error == CR_OK;
}

/* Once to see which numbers later functions need, once to write. */
static void start_over(cr_emitter *e) {
  cr_buffer *all[] = {&e->code, &e->parts, &e->calls, &e->tables, &e->prototypes};
  for (int k = 0; k < 5; k++) {
    all[k]->length = 0;
    if (all[k]->text) all[k]->text[0] = 0;
  }
  for (uint32_t id = 0; id < e->n_items; id++)
    e->item[id].member = false, e->item[id].block_uses = 0, e->item[id].used_in = -1;
  for (int k = 0; k < e->n_out; k++) e->out[k].used_in = -1;
  e->part = e->lines = e->n_members = e->n_pairs = 0;
  e->indent = 1;
  e->uses_workspace = false;
}

void cr__add_member(cr_emitter *e, const char *name, cr_dtype dtype, int64_t count) {
  if (e->n_members == e->members_capacity) {
    int more = e->members_capacity ? 2 * e->members_capacity : 64;
    cr__member *member =
        cr__resize_on(e->t, e->member, (size_t)e->members_capacity * sizeof *member, (size_t)more * sizeof *member);
    if (!member) return;
    e->member = member;
    e->members_capacity = more;
  }
  e->member[e->n_members++] = (cr__member){name, dtype, count, 0};
}

static bool write_source(cr_emitter *e, cr_buffer *b, int n_out, const cr_var *out) {
  cr_buffer *all[] = {&e->code, &e->parts, &e->tables, &e->calls, &e->pattern, &e->prototypes};
  for (size_t k = 0; k < sizeof all / sizeof *all; k++) all[k]->tape = e->t;
  e->n_items = e->t->count;
  if (!cr__make_outputs(e, n_out, out)) return false;
  e->n_items = e->t->count;
  e->item = cr__alloc(e->t, (size_t)e->n_items * sizeof *e->item);
  e->pending = cr__alloc(e->t, (size_t)e->n_items * sizeof *e->pending);
  if (!e->item || !e->pending) return false;
  memset(e->item, 0, (size_t)e->n_items * sizeof *e->item);
  if (!cr__make_parameters(e) || !cr__make_items(e)) return false;
  for (int pass = 0; pass < 2; pass++) {
    start_over(e);
    if (!put_nodes(e)) return false;
  }
  if (e->code.failed || e->tables.failed || e->parts.failed) return cr__out_of_memory(e->t), false;
  (e->number ? cr__put_body : cr__put_file)(e, b, e->code.text ? e->code.text : "");
  return e->t->error == CR_OK;
}

bool cr__write_source(cr_emitter *e, cr_buffer *b, int n_out, const cr_var *out) {
  bool good = write_source(e, b, n_out, out);
  cr_buffer *all[] = {&e->code, &e->parts, &e->tables, &e->calls, &e->pattern, &e->prototypes};
  cr__resize_on(e->t, e->member, (size_t)e->members_capacity * sizeof *e->member, 0);
  for (size_t k = 0; k < sizeof all / sizeof *all; k++) cr_buffer_free(all[k]);
  cr__free_sweeps(e);
  return good;
}

cr_status cr_emit_c(cr_buffer *b, cr_tape *t, int n_in, const cr_var *in, int n_out, const cr_var *out,
                    const cr_emit_options *options) {
  static const cr_emit_options none = {0};
  cr_emit_options o = options ? *options : none;
  if (o.lines <= 0) o.lines = 400;
  cr_emitter e = {.t = t, .options = &o, .n_in = n_in, .in = in, .name = o.name ? o.name : "f"};
  cr__bodies bodies = {.t = t, .name = e.name, .options = &o};
  bodies.types.tape = bodies.tables.tape = bodies.code.tape = bodies.prototypes.tape = t;
  e.bodies = &bodies;
  cr_mark mark = cr_mark_here(t);
  for (int k = 0; k < n_in + n_out; k++)
    if (!cr__valid(t, k < n_in ? in[k] : out[k - n_in])) return t->error;
  if (n_out < 1) return cr_fail(t, CR_BAD_ARGUMENT, "emit: no output"), t->error;
  cr__write_source(&e, b, n_out, out);
  if (b->failed) cr__out_of_memory(t);
  cr__free_bodies(&bodies);
  cr_reset(t, mark);
  return t->error;
}
