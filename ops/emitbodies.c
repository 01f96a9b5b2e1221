/* Nodes with bodies as C: loops, branches and Newton's method around calls of functions. */
#include <string.h>

#include "emitbodies.h"
#include "loops.h"

/* count elements of a dense view from one on; stride: where they move with the loop of that level. */
static cr_emit_view part_of(const cr_emit_view *v, int64_t at, int64_t stride) {
  cr_emit_view part = *v;
  part.array.rank = 1;
  part.array.stride[0] = stride;
  part.offset += at;
  return part;
}

/* A dense view as an argument: its number, or a pointer to its elements. */
static const char *argument(cr_emit_context *c, const cr_emit_view *v) {
  cr_emit_view all = part_of(v, 0, 0);
  return v->number || v->array.count == 1 ? cr_emit_at(c, &all, cr_emit_level(c))
                                          : cr_emit_pointer(c, &all, cr_emit_level(c));
}

static const char *const *arguments(cr_emit_context *c, int first, int n) {
  const char **in = cr_body_room(c->tape, (size_t)(n + 1) * sizeof *in);
  for (int k = 0; in && k < n; k++) {
    cr_emit_view v = cr_emit_dense(c, &c->in[first + k]);
    in[k] = argument(c, &v);
  }
  return in;
}

/* checkpoint, cond */

static const char *branch_call(cr_emit_context *c, const cr_body *b, const char *const *in) {
  int m = cr_body_outputs(b);
  const char **out = cr_body_room(c->tape, (size_t)m * sizeof *out);
  int64_t at = 0;
  for (int k = 0; out && k < m; k++) {
    cr_emit_view v = part_of(&c->out, at, 0);
    out[k] = c->out.number ? "" : cr_emit_pointer(c, &v, cr_emit_level(c));
    at += cr_body_output(b, k).count;
  }
  return out ? cr_emit_call(c, b, in, out) : "0";
}

static const char *truth(cr_emit_context *c) {
  return cr_emit_text(c, "%s != 0", cr_emit_at(c, &c->in[0], cr_emit_level(c)));
}

void cr__emit_branches(cr_emit_context *c) {
  const cr__branches *b = c->attr;
  bool chooses = b->body[1] != NULL;
  const char *const *in = arguments(c, chooses, cr_body_inputs(b->body[0]));
  cr_array first = cr_body_output(b->body[0], 0);
  if (!in) return;
  const char *yes = branch_call(c, b->body[0], in), *no = chooses ? branch_call(c, b->body[1], in) : NULL;
  if (first.count == 1) {
    cr_emit_view one = part_of(&c->out, 0, 0);
    cr_emit_store(c, &one, cr_emit_level(c), (cr_dtype)first.dtype,
                  no ? cr_emit_text(c, "%s ? %s : %s", truth(c), yes, no) : yes);
  } else if (no) {
    cr_emit_line(c, "if (%s) %s;", truth(c), yes);
    cr_emit_line(c, "else %s;", no);
  } else {
    cr_emit_line(c, "%s;", yes);
  }
}

/* scan */

typedef struct loop {
  cr_emit_context *c;
  const cr__scan *l;
  cr_emit_view *in;          /* dense */
  cr_emit_view out, terms, part; /* of sums: of one step, of one block */
  const char *limit, *last;
  int level, stacks;
  int64_t sums;              /* elements */
} loop;

static int64_t count_of(const cr_body *b, int k) { return cr_body_output(b, k).count; }

/* The carry that the step begins with: the first one, or what the step before left. */
static const char *carry_in(const loop *p, int k, int64_t at) {
  cr_emit_context *c = p->c;
  int64_t n = count_of(p->l->body, k);
  cr_emit_view before = part_of(&p->out, at + (p->l->reverse ? n : -n), n);
  const char *first = argument(c, &p->in[k]), *i = cr_emit_variable(c, p->level);
  if (p->l->steps == 1) return first;
  const char *then = n == 1 ? cr_emit_at(c, &before, p->level) : cr_emit_pointer(c, &before, p->level);
  if (!p->l->reverse) return cr_emit_text(c, "%s ? %s : %s", i, then, first);
  return cr_emit_text(c, "%s < %s ? %s : %s", i, p->last, then, first);
}

static const char *element_in(const loop *p, int k) {
  cr_emit_view v = p->in[k];
  int64_t n = cr_body_input(p->l->body, k).count;
  if (v.number || v.array.count == 1) return argument(p->c, &v);
  v = part_of(&v, 0, n);
  return n == 1 ? cr_emit_at(p->c, &v, p->level) : cr_emit_pointer(p->c, &v, p->level);
}

/* One step at the place of the loop's variable. */
static void put_step(const loop *p) {
  const cr__scan *l = p->l;
  cr_emit_context *c = p->c;
  int n = cr_body_inputs(l->body), m = cr_body_outputs(l->body);
  const char **in = cr_body_room(c->tape, (size_t)(n + m) * sizeof *in), **out = in ? in + n : NULL;
  cr_emit_view first = p->terms;
  int64_t at = 0;
  if (!in) return;
  for (int k = 0; k < m; k++) {
    int64_t count = count_of(l->body, k);
    cr_emit_view v = k < p->stacks ? part_of(&p->out, at, count) : part_of(&p->terms, at, 0);
    if (k < l->n_carry) in[k] = carry_in(p, k, at);
    if (!k) first = v;
    out[k] = v.number ? "" : cr_emit_pointer(c, &v, p->level);
    at += k < p->stacks ? count * l->steps : count;
    if (k == p->stacks - 1) at = 0;
  }
  for (int k = l->n_carry; k < n; k++) in[k] = k < l->n_carry + l->n_xs ? element_in(p, k) : argument(c, &p->in[k]);
  const char *call = cr_emit_call(c, l->body, in, out);
  if (count_of(l->body, 0) == 1) cr_emit_store(c, &first, p->level, (cr_dtype)c->out.array.dtype, call);
  else cr_emit_line(c, "%s;", call);
}

static cr_emit_view sums_of(const loop *p) { return part_of(&p->out, p->out.array.count - p->sums, 1); }

static void put_sum(const loop *p, cr_emit_view to, cr_emit_view from) {
  cr_emit_context *c = p->c;
  int level = cr_emit_level(c);
  to.array.rank = from.array.rank = 1;
  to.array.stride[0] = from.array.stride[0] = 1;
  cr_emit_loops(c, 1, &p->sums);
  cr_emit_line(c, "%s += %s;", cr_emit_at(c, &to, level), cr_emit_at(c, &from, level));
  cr_emit_close(c, 1);
}

static void put_zeros(const loop *p, cr_emit_view v, int64_t count) {
  cr_array_init(&v.array, (cr_dtype)p->c->out.array.dtype, 1, &count);
  cr_emit_map(p->c, &v, 0, NULL, "0");
}

static void put_in_order(loop *p) {
  int64_t one = 1;
  p->level = cr_emit_level(p->c);
  if (p->l->steps == 1 && !p->l->counted) cr_emit_loops(p->c, 1, &one);
  else cr_emit_count(p->c, "0", p->limit, p->l->reverse);
  put_step(p);
  if (p->sums) put_sum(p, sums_of(p), p->terms);
  cr_emit_close(p->c, 1);
}

/* Sums of blocks of steps, as the kernel takes them where steps are independent. */
static void put_blocks(loop *p) {
  cr_emit_context *c = p->c;
  const char *blocks = cr_emit_text(c, "least_of(%s, %d)", p->limit, CR__LOOP_BLOCKS);
  cr_emit_count(c, "0", blocks, 0);
  const char *b = cr_emit_variable(c, cr_emit_level(c) - 1);
  put_zeros(p, p->part, p->sums);
  p->level = cr_emit_level(c);
  cr_emit_count(c, cr_emit_text(c, "block_start(%s, %s, %s)", b, p->limit, blocks),
                cr_emit_text(c, "block_start(%s + 1, %s, %s)", b, p->limit, blocks), 0);
  put_step(p);
  put_sum(p, p->part, p->terms);
  cr_emit_close(c, 1);
  put_sum(p, sums_of(p), p->part);
  cr_emit_close(c, 1);
}

void cr__emit_scan(cr_emit_context *c) {
  const cr__scan *l = c->attr;
  int n = cr_body_inputs(l->body), level = cr_emit_level(c);
  cr_dtype dtype = (cr_dtype)c->out.array.dtype;
  loop p = {.c = c, .l = l, .out = c->out, .stacks = l->n_carry + l->n_ys};
  p.in = cr_body_room(c->tape, (size_t)n * sizeof *p.in + 1);
  if (!p.in) return;
  for (int k = 0; k < n; k++) {
    bool literal = c->in[k].number && cr_body_input(l->body, k).count == 1; /* of all elements */
    p.in[k] = literal ? c->in[k] : cr_emit_dense(c, &c->in[k]);
  }
  if (c->out.number) cr_emit_pointer(c, &c->out, level); /* declares it */
  for (int k = p.stacks; k < p.stacks + l->n_sums; k++) p.sums += count_of(l->body, k);
  if (p.sums) p.terms = p.part = (cr_emit_view){.array = c->out.array, .base = cr_emit_space(c, dtype, p.sums)};
  p.limit = cr_emit_text(c, "%lld", (long long)l->steps);
  p.last = cr_emit_text(c, "%lld", (long long)l->steps - 1);
  if (l->counted) p.last = cr_emit_text(c, "steps_of(%s, %s) - 1", cr_emit_at(c, &c->in[c->n - 1], level), p.limit);
  if (l->counted) p.limit = cr_emit_text(c, "steps_of(%s, %s)", cr_emit_at(c, &c->in[c->n - 1], level), p.limit);
  if (l->counted) put_zeros(&p, c->out, c->out.array.count);
  else if (p.sums) put_zeros(&p, sums_of(&p), p.sums);
  if (p.sums && cr__loop_in_blocks(l)) {
    p.part.base = cr_emit_space(c, dtype, p.sums);
    put_blocks(&p);
  } else if (l->steps) {
    put_in_order(&p);
  }
}

/* root: the steps of implicit.c, with NaN where it finds none */

typedef struct newton {
  cr_emit_context *c;
  const char **in;           /* of f, then of slope */
  int n_in;
  cr_emit_view x, y, dot, column, jacobian, lu, step, begin, right, pivot;
  int64_t n;
} newton;

static cr_emit_view space(const newton *s, cr_dtype dtype, int64_t rows) {
  cr_emit_view v = {.base = cr_emit_space(s->c, dtype, rows * s->n)};
  cr_array_init(&v.array, dtype, rows > 1 ? 2 : 1, (int64_t[]){rows > 1 ? rows : s->n, s->n});
  return v;
}

static void open_newton(newton *s) {
  cr_emit_context *c = s->c;
  const cr__root *r = c->attr;
  cr_dtype dtype = (cr_dtype)c->out.array.dtype;
  s->n = c->out.array.count;
  s->x = c->out;
  cr_array_init(&s->x.array, dtype, 1, &s->n);
  cr_emit_view *const numbers[] = {&s->jacobian, &s->lu, &s->step, &s->begin, &s->right}, *const ends[] = {&s->y, &s->dot,
                                                                                                           &s->column};
  for (int k = 0; k < 5; k++) *numbers[k] = space(s, CR_FLOAT64, k < 2 ? s->n : 1);
  for (int k = 0; k < 3; k++) *ends[k] = space(s, dtype, 1);
  s->pivot = space(s, CR_INT64, 1);
  s->n_in = cr_body_inputs(r->f);
  s->in = cr_body_room(c->tape, (size_t)(s->n_in + 1) * sizeof *s->in);
  for (int k = 1; s->in && k < s->n_in; k++) {
    cr_emit_view v = cr_emit_dense(c, &c->in[k]);
    s->in[k] = argument(c, &v);
  }
  cr_emit_view x0 = cr_emit_dense(c, &c->in[0]);
  x0.array.rank = 1, x0.array.dim[0] = s->n, x0.array.stride[0] = 1;
  cr_emit_map(c, &s->begin, 1, &x0, "$0");
  cr_emit_map(c, &s->step, 0, NULL, "0");
  if (c->out.number) cr_emit_pointer(c, &c->out, 0); /* declares it */
}

static void call_into(const newton *s, const cr_body *b, const cr_emit_view *to) {
  cr_emit_context *c = s->c;
  const char *out[1] = {cr_emit_pointer(c, to, 0)}, *call = cr_emit_call(c, b, s->in, out);
  if (s->n == 1) cr_emit_store(c, to, cr_emit_level(c), (cr_dtype)to->array.dtype, call);
  else cr_emit_line(c, "%s;", call);
}

/* step = -J^-1 f at x */
static void put_newton_step(const newton *s) {
  cr_emit_context *c = s->c;
  const cr__root *r = c->attr;
  int level = cr_emit_level(c);
  cr_emit_view one = s->dot, across = s->jacobian;
  cr_emit_line(c, "if (!isfinite(residual) || iteration > %d) residual = (double)NAN;", CR__MOST_ITERATIONS);
  cr_emit_line(c, "if (isnan(residual)) break;");
  cr_emit_map(c, &s->dot, 0, NULL, "0");
  cr_emit_loops(c, 1, &s->n);
  one.array.rank = 1, one.array.stride[0] = 1;
  cr_emit_store(c, &one, level, CR_FLOAT64, "1.0");
  s->in[s->n_in] = argument(c, &s->dot);
  call_into(s, r->slope, &s->column);
  cr_emit_loops(c, 1, &s->n);
  across.array.rank = 2, across.array.stride[0] = 1, across.array.stride[1] = s->n;
  cr_emit_view down = part_of(&s->column, 0, 1);
  cr_emit_store(c, &across, level, (cr_dtype)down.array.dtype, cr_emit_at(c, &down, level + 1));
  cr_emit_close(c, 1);
  cr_emit_store(c, &one, level, CR_FLOAT64, "0.0");
  cr_emit_close(c, 1);
  cr_emit_map(c, &s->step, 1, &s->y, "(-$0)");
  cr_emit_line(c, "solve(%lld, 1, %s, %s, %s, %s, %s);", (long long)s->n, s->jacobian.base, s->step.base, s->lu.base,
               s->right.base, s->pivot.base);
  cr_emit_line(c, "if (!isfinite(largest_of(%s, %lld))) residual = (double)NAN;", s->step.base, (long long)s->n);
  cr_emit_line(c, "if (isnan(residual)) break;");
  cr_emit_map(c, &s->begin, 1, &s->x, "$0");
}

static void move_to(const newton *s, const char *value) {
  const cr_emit_view from[2] = {s->begin, s->step};
  cr_emit_map(s->c, &s->x, 2, from, value);
}

/* A step of full length, or halves of it until the residual is lower. */
static void put_search(const newton *s) {
  cr_emit_context *c = s->c;
  const cr__root *r = c->attr;
  bool single = s->x.array.dtype == CR_FLOAT32;
  const char *size = cr_emit_text(c, "largest_of(%s, %lld)", s->begin.base, (long long)s->n);
  cr_emit_block(c, "for (int halving = 0;; halving++, factor /= 2) {");
  move_to(s, "($0 + factor * $1)");
  s->in[0] = argument(c, &s->x);
  call_into(s, r->f, &s->y);
  cr_emit_map(c, &s->right, 1, &s->y, "$0");
  cr_emit_line(c, "next = largest_of(%s, %lld);", s->right.base, (long long)s->n);
  cr_emit_block(c, "if (!halving) {");
  cr_emit_line(c, "const double length = largest_of(%s, %lld), size = %s;", s->step.base, (long long)s->n, size);
  cr_emit_line(c, "settled = length <= %s * size;", single ? "0x1p-21" : "0x1p-50");
  cr_emit_line(c, "near = length <= %s * size;", single ? "sqrt(0x1p-23)" : "0x1p-26");
  cr_emit_close(c, 1);
  cr_emit_line(c, "if (!iteration || next < residual || near || halving == %d) break;", CR__MOST_HALVINGS);
  cr_emit_close(c, 1);
}

void cr__emit_root(cr_emit_context *c) {
  newton s = {.c = c};
  open_newton(&s);
  if (!s.in) return;
  cr_emit_block(c, "{");
  cr_emit_line(c, "double residual = (double)INFINITY;");
  cr_emit_block(c, "for (int iteration = 0; residual != 0; iteration++) {");
  cr_emit_line(c, "double next = 0, factor = 1;");
  cr_emit_line(c, "int near = 0, settled = 0;");
  cr_emit_block(c, "if (iteration) {");
  s.in[0] = argument(c, &s.x);
  put_newton_step(&s);
  cr_emit_close(c, 1);
  put_search(&s);
  cr_emit_line(c, "if (iteration && settled && next <= residual) break;");
  cr_emit_block(c, "if (iteration && !(next < residual)) {");
  move_to(&s, "($0 + 0 * $1)");
  cr_emit_line(c, "if (!near) residual = (double)NAN;");
  cr_emit_line(c, "break;");
  cr_emit_close(c, 1);
  cr_emit_line(c, "residual = next;");
  cr_emit_close(c, 1);
  cr_emit_block(c, "if (isnan(residual)) {");
  cr_emit_map(c, &s.x, 0, NULL, s.x.array.dtype == CR_FLOAT32 ? "NAN" : "(double)NAN");
  cr_emit_close(c, 2);
}
