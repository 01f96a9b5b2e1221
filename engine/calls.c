/* Steps made ready for a workspace: what does not change from run to run, the kernels and where their numbers are, is laid
 * out once, so that a run of few numbers takes little longer than the kernels do. */
#include "graph.h"

/* In the making. */
typedef struct making {
  const cr_fn *f;
  cr_tape *t;
  cr__ready *r;
} making;

static bool moves(const cr_fn *f, uint32_t id) {
  return f->plan.place[id].home == CR__AT_INPUT || f->plan.place[id].home == CR__AT_OUTPUT;
}

/* The numbers of a node; the pointer at that place goes with them. */
static void follow(const making *m, void *at, uint32_t id, const void *numbers) {
  memcpy(at, &numbers, sizeof numbers);
  if (id && moves(m->f, id)) m->r->moving[m->r->n_moving++] = (cr__moving){at, id};
}

/* Kernels */

static cr__kernel *make_kernel(const making *m, uint32_t id) {
  cr_tape *t = m->t;
  int n;
  const uint32_t *in = cr__operands(t, id, &n);
  cr__kernel *k = cr__alloc(t, sizeof *k + (size_t)n * sizeof *k->in);
  if (!k) return NULL;
  for (int i = 0; i < n; i++) {
    k->in[i] = cr__array_of(t, in[i]);
    follow(m, &k->in[i].data, in[i], k->in[i].data);
  }
  k->out = cr__array_of(t, id);
  follow(m, &k->out.data, id, k->out.data);
  k->tail = (struct cr_tail){.t = t};
  k->eval = (cr_eval){t, t->op[cr__op_number(t, id)], n, k->in, cr__attr_of(t, id), &k->out, NULL};
  return k;
}

cr_status cr__run_ready(cr_tape *t, cr__kernel *k) {
  const uint32_t chunk = t->arena.current;
  const size_t used = t->arena.used;
  t->doing = k->eval.op;
  cr_status status = k->eval.op->eval(&k->eval);
  if (t->arena.used != used || t->arena.current != chunk) cr__arena_reset(&t->arena, chunk, used); /* its scratch */
  if (status != CR_OK) cr_fail(t, status, "%s", cr_status_text(status));
  t->doing = NULL;
  return t->error;
}

/* Lines of blocks that are run in one go */

static void call_loop(const cr__call *c) { c->by.loop(c->n, c->in[0], c->in[1], c->out); }
static void call_pull(const cr__call *c) { c->by.pull(c->n, c->in[0], c->in[1], c->in[2], c->in[3], c->out); }
static void call_row(const cr__call *c) {
  c->by.row->loop(c->dtype, c->n, c->in[0], c->step[0], c->in[1], c->step[1], c->out);
}
static void call_row_pull(const cr__call *c) {
  c->by.row->pull[c->number](c->dtype, c->n, c->in[0], c->step[0], c->in[1], c->step[1], c->in[2], c->step[2], c->in[3],
                             c->step[3], c->out);
}
static void call_fold(const cr__call *c) {
  const double sum = c->by.fold->part(c->dtype, c->n, c->in[0]);
  if (c->dtype == CR_FLOAT64) *(double *)c->out = sum;
  else *(float *)c->out = (float)sum;
}
static void call_copy(const cr__call *c) { cr__gather(c->by.like, c->in[0], 0, c->n, c->out); }
/* Bytes that come again and again: what is there is copied behind itself. */
static void call_repeat(const cr__call *c) {
  int64_t done = c->step[0];
  memcpy(c->out, c->in[0], (size_t)done);
  for (int64_t more; done < c->n; done += more) {
    more = done < c->n - done ? done : c->n - done;
    memcpy((char *)c->out + done, c->out, (size_t)more);
  }
}
static void call_line(const cr__call *c) { cr__run_line(c->by.lines, c->number, c->out, 0, c->n, NULL); }

/* The loops of a row of the table for so many numbers. Of few, those without vectors to be filled up. */
static const cr_few *few_of(cr_tape *t, const cr_op *op, const cr__call *c) {
  const uint32_t row = cr__number_of(t, op) - CR__FIRST_ROW;
  if (!t->few || row >= (uint32_t)*t->table->n_rows || c->n > CR__FEW_NUMBERS || c->dtype < CR_FLOAT32) return NULL;
  return &t->few[row].of[c->dtype == CR_FLOAT64 ? CR__FEW_DOUBLE : CR__FEW_FLOAT];
}
static const cr_row_loops *loops_of(cr_tape *t, const cr_op *op, const cr__call *c) {
  const uint32_t row = cr__number_of(t, op) - CR__FIRST_ROW;
  return t->table->loops && row < (uint32_t)*t->table->n_rows ? t->table->loops((int)row, c->dtype, c->n) : NULL;
}

static void choose_loop(cr_tape *t, const cr_op *op, cr__call *c) {
  const cr_row_loops *loops = loops_of(t, op, c);
  const cr_few *few = few_of(t, op, c);
  const bool dense = c->step[0] == 1 && c->step[1] == 1, one = op->arity == 2 && c->step[0] + c->step[1] == 1;
  cr_row_loop *loop = loops ? dense ? loops->loop : one ? loops->with_one[c->step[1] == 0] : NULL : NULL;
  if (!loop && few && dense) loop = few->loop;
  c->run = loop ? call_loop : call_row;
  if (loop) c->by.loop = loop;
  else c->by.row = op->row;
}

static void choose_pull(cr_tape *t, const cr_op *op, cr__call *c) {
  const cr_row_loops *loops = loops_of(t, op, c);
  const cr_few *few = few_of(t, op, c);
  cr_row_pull *pull = loops ? loops->pull[c->number] : NULL;
  bool dense = true, apart = !op->row->same[c->number];
  for (int i = 0; i < 4; i++) dense = dense && c->step[i] == 1, apart = apart && c->in[i] != c->out;
  if (!pull && few && apart) pull = few->pull[c->number][0];
  c->run = pull && dense ? call_pull : call_row_pull;
  if (pull && dense) c->by.pull = pull;
  else c->by.row = op->row;
}

/* How many numbers come again and again, as those of a row that is added to all rows; 0: that is not how they lie. */
static int64_t period_of(const cr_array *a) {
  int64_t period = 1;
  int i = a->rank - 1;
  for (; i >= 0 && (a->dim[i] == 1 || a->stride[i] == period); i--) period *= a->dim[i];
  while (i >= 0 && (a->dim[i] == 1 || a->stride[i] == 0)) i--;
  return i < 0 ? period : 0;
}

/* The call that copies an operand to its slot, where its numbers lie apart. */
static void make_copy(const making *m, uint32_t id, const cr__cell *cell, int64_t n, cr__call *c) {
  const cr_tensor *from = m->t->slot[id].tensor;
  const int64_t period = period_of(from->like), size = (int64_t)cr_dtype_size((cr_dtype)from->like->dtype);
  *c = (cr__call){.run = call_copy, .n = n, .by.like = from->like, .out = cr__cell_at(cell, m->r->space, 0)};
  if (period) c->run = call_repeat, c->n = n * size, c->step[0] = period * size;
  follow(m, &c->in[0], id, from->data);
}

/* Operand k of the line becomes number i of the call. */
static void take_operand(const making *m, const cr__line *l, const cr__cell *cells, int k, cr__call *c, int i) {
  follow(m, &c->in[i], l->in[k].slot < 0 ? l->in[k].id : 0, cr__cell_at(&cells[k], m->r->space, 0));
  c->step[i] = cells[k].step;
}

static void follow_cells(const making *m, const cr__line *l, cr__cell *cells) {
  for (int k = 0; k < CR__CELLS; k++) {
    uint32_t id = k == CR__CELLS - 1 ? l->id : l->in[k < l->n ? k : 0].id;
    if (!cells[k].mask) follow(m, &cells[k].at, id, (void *)cells[k].at);
  }
}

/* A line by its own code. */
static void make_line(const making *m, const cr__lines *lines, int i, cr__call *c) {
  *c = (cr__call){.run = call_line, .by.lines = lines, .number = i, .n = lines->b->count, .out = m->r->space};
  follow_cells(m, &lines->b->line[i], lines->cells + (ptrdiff_t)i * CR__CELLS);
}

/* The calls of a line from c on; the end of them. */
static cr__call *make_calls(const making *m, const cr__lines *lines, int i, cr__call *c) {
  const cr__line *l = &lines->b->line[i];
  const cr__cell *cells = lines->cells + (ptrdiff_t)i * CR__CELLS, *result = &cells[CR__CELLS - 1];
  const int32_t *at = NULL;
  int number = 0;
  const cr_op *pulled = cr__pull_of(l->op, cr__attr_of(m->t, l->id), &number, &at);
  if (l->fold < 0 && !l->op->row && !pulled) return make_line(m, lines, i, c), c + 1;
  for (int k = 0; k < l->n; k++)
    if (l->in[k].step < 0) make_copy(m, l->in[k].id, &cells[k], lines->b->count, c++);
  *c = (cr__call){.n = lines->b->count, .dtype = l->dtype, .number = number};
  follow(m, &c->out, l->slot < 0 ? l->id : 0, cr__cell_at(result, m->r->space, 0));
  if (l->fold >= 0) {
    take_operand(m, l, cells, 0, c, 0);
    c->run = call_fold, c->by.fold = l->op->fold;
  } else if (!pulled) {
    take_operand(m, l, cells, 0, c, 0);
    take_operand(m, l, cells, l->n - 1, c, 1);
    choose_loop(m->t, l->op, c);
  } else {
    for (int k = 0; k < 3; k++) take_operand(m, l, cells, at[k], c, k);
    take_operand(m, l, cells, 0, c, 3);
    choose_pull(m->t, pulled, c);
  }
  return c + 1;
}

/* The space of the lines' slots. */
static size_t space_of(const cr__blocks *b, const cr__cell *cells) {
  size_t end = 0;
  for (ptrdiff_t k = 0; k < (ptrdiff_t)b->n_lines * CR__CELLS; k++)
    if (cells[k].mask && cells[k].at + b->slot_bytes > end) end = cells[k].at + b->slot_bytes;
  return end;
}

static int count_calls(const cr__blocks *b) {
  int n = b->n_lines;
  for (int i = 0; i < b->n_lines; i++)
    for (int k = 0; k < b->line[i].n; k++) n += b->line[i].in[k].step < 0;
  return n;
}

static bool make_block(const making *m, cr__ready_step *s, const cr__blocks *b) {
  if (b->n_blocks > 1) {
    for (int i = 0; i < b->n_lines; i++) follow_cells(m, &b->line[i], s->cells + (ptrdiff_t)i * CR__CELLS);
    return true;
  }
  cr__lines *lines = cr__alloc(m->t, sizeof *lines);
  cr__call *call = lines ? cr__alloc(m->t, (size_t)count_calls(b) * sizeof *call) : NULL;
  if (!call) return false;
  *lines = (cr__lines){m->t, b, s->cells};
  s->call = s->end = call;
  for (int i = 0; i < b->n_lines; i++) s->end = make_calls(m, lines, i, s->end);
  return true;
}

/* The most pointers that move with the caller's memory: of a line each operand's cells, or a pull's four. */
static size_t most_moving(const cr_fn *f) {
  size_t most = 0;
  for (uint32_t k = 0; k < f->plan.n_steps; k++) {
    const cr__step *s = &f->plan.step[k];
    for (uint32_t id = s->from; s->role != CR__SCALAR && id < s->to; id++) {
      int n;
      const uint32_t *in = cr__operands(f->graph.tape, id, &n);
      for (int i = -1; i < n; i++) if (moves(f, i < 0 ? id : in[i])) most += s->role == CR__MEMBER ? 4 : 1;
    }
  }
  return most;
}

/* Cells of all blocks, and the space that those share which are run in one go. */
static bool make_cells(const making *m) {
  const cr__plan *plan = &m->f->plan;
  size_t most = 0;
  for (uint32_t k = 0; k < plan->n_steps; k++) {
    const cr__blocks *b = plan->step[k].blocks;
    if (!b) continue;
    if (!(m->r->step[k].cells = cr__make_cells(m->t, b))) return false;
    const size_t space = b->n_blocks == 1 ? space_of(b, m->r->step[k].cells) : 0;
    most = space > most ? space : most;
  }
  m->r->space = cr__arena_take(&m->t->arena, most + 1, 64);
  return m->r->space != NULL;
}

bool cr__make_ready(const cr_fn *f, cr_tape *t, cr__ready *r) {
  const cr__plan *plan = &f->plan;
  const making m = {f, t, r};
  r->step = cr__alloc(t, plan->n_steps * sizeof *r->step);
  r->moving = cr__alloc(t, most_moving(f) * sizeof *r->moving);
  if (!r->step || !r->moving) return false;
  memset(r->step, 0, plan->n_steps * sizeof *r->step);
  r->n_moving = 0;
  if (!make_cells(&m)) return false;
  for (uint32_t k = 0; k < plan->n_steps; k++) {
    const cr__step *s = &plan->step[k];
    cr__ready_step *to = &r->step[k];
    if (s->blocks && !make_block(&m, to, s->blocks)) return false;
    if (s->role != CR__KERNEL || t->slot[s->from].tensor->view) continue;
    if (!(to->kernel = make_kernel(&m, s->from))) return false;
    const cr__blocks *next = k + 1 < plan->n_steps && plan->step[k + 1].tail ? plan->step[k + 1].blocks : NULL;
    if (!next || next->n_blocks == 1) continue;
    to->kernel->tail = (struct cr_tail){t, next, r->step[k + 1].cells};
    to->kernel->eval.tail = &to->kernel->tail;
  }
  return true;
}
