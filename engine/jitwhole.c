/* The whole of a small function as one C function: the plan's steps one after the other, with constant sizes and strides, on
 * the memory that the plan gives them. A step without a form there calls its kernel. */
#include <stdio.h>

#include "jitwriting.h"

/* Where there are more steps, or more numbers go through them, calls are a small part of a run. */
enum { LEAST_STEPS = 2, MOST_STEPS = 400, MOST_SPACE = 1 << 15, MOST_LENGTH = 1 << 17, WORTH = 200 };

static uint32_t slots_at(const cr_fn *f) { return 1 + (uint32_t)(f->graph.n_in + f->n_out); }

/* Constants, behind the workspace's memory, the inputs, the results and the numbers of inline nodes. */
static uint32_t given_at(cr__writer *w, uint32_t id) {
  cr__whole_text *c = &w->u->whole;
  void *data = w->t->slot[id].tensor->data;
  for (uint32_t k = 0; k < c->n_given; k++)
    if (c->given[k] == data) return slots_at(w->f) + 1 + k;
  if (!c->given) c->given = cr__fn_take(w->f, w->t->count * sizeof *c->given);
  if (!c->given) return w->failed = true, 0;
  c->given[c->n_given++] = data;
  return slots_at(w->f) + c->n_given;
}

const char *cr__place_text(cr__writer *w, uint32_t id) {
  const cr_fn *f = w->f;
  const cr__place *p = &f->plan.place[id];
  const char *type = cr_emit_type((cr_dtype)cr__array_of(w->t, id).dtype);
  uint32_t at = 0;
  size_t offset = p->offset;
  if (p->home == CR__SLOT) at = slots_at(f), offset = id * sizeof(cr_slot);
  if (p->home == CR__AT_INPUT) at = 1 + (uint32_t)p->which;
  if (p->home == CR__AT_OUTPUT) at = 1 + (uint32_t)(f->graph.n_in + p->which);
  if (p->home == CR__GIVEN) at = given_at(w, id), offset = 0;
  if (p->home == CR__NOWHERE) w->u->whole.lost = true;
  return cr__format(&w->e, "((%s *)(at[%u] + %llu))", type, at, (unsigned long long)offset);
}

static cr_emit_view view_of(cr__writer *w, uint32_t id) {
  cr_emit_view v = {.array = cr__array_of(w->t, id), .base = cr__place_text(w, id)};
  if (!cr__is_record(w->t, id)) v.number = 1, v.base = cr__format(&w->e, "(*%s)", v.base);
  return v;
}

/* Arrays for the statements of one kernel. */
static bool put_space(cr__writer *w) {
  const cr_emitter *e = &w->e;
  size_t bytes = 0;
  if (e->n_members) cr_put(&w->body, "    struct {\n");
  for (int k = 0; k < e->n_members; k++) {
    const cr__member *m = &e->member[k];
    cr_put(&w->body, "      _Alignas(64) %s row%d[%lld];\n", cr_emit_type(m->dtype), k + 1, (long long)m->count);
    bytes += (size_t)m->count * cr_dtype_size(m->dtype);
  }
  if (e->n_members) cr_put(&w->body, "    } space, *ws = &space;\n");
  return bytes <= MOST_SPACE;
}

/* What the op writes for a kernel, as a block of statements, or as a function that is called. */
static bool put_statements(cr__writer *w, uint32_t id) {
  const char *text = w->e.code.text ? w->e.code.text : "";
  if (!w->e.fused) {
    cr_put(&w->body, "  {\n");
    const bool good = put_space(w);
    cr_put(&w->body, "%s  }\n", text);
    return good;
  }
  cr_buffer statements = w->body;
  w->body = w->functions;
  cr_put(&w->body, "\nFUSED static int kernel%u(char *const *at) {\n  FUSES\n", id);
  const bool good = put_space(w);
  cr_put(&w->body, "%s    return 0;\n}\n", text);
  w->functions = w->body;
  w->body = statements;
  cr_put(&w->body, "  if (kernel%u(at)) return 1;\n", id);
  return good;
}

static bool put_kernel(cr__writer *w, uint32_t id) {
  cr_tape *t = w->t;
  const cr_op *op = t->op[cr__op_number(t, id)];
  cr_emitter *e = &w->e;
  int n;
  const uint32_t *in = cr__operands(t, id, &n);
  cr_emit_view *views = op->small ? cr__alloc(t, (size_t)(n ? n : 1) * sizeof *views) : NULL;
  const size_t length = w->body.length;
  if (!views) return false;
  for (int k = 0; k < n; k++) views[k] = view_of(w, in[k]);
  cr_emit_context c = {.tape = t, .op = op, .n = n, .in = views, .out = view_of(w, id), .attr = cr__attr_of(t, id),
                       .emitter = e};
  e->code.length = 0;
  e->indent = 2, e->level = e->n_variables = e->n_open = e->n_members = 0;
  e->fused = false;
  memset(e->variable, 0, sizeof e->variable);
  bool written = !w->failed && op->small(&c) && put_statements(w, id);
  if (!written) w->body.length = length;
  if (e->code.failed || w->functions.failed) w->failed = true;
  return written;
}

static void put_step(cr__writer *w, uint32_t k) {
  const cr__step *s = &w->f->plan.step[k];
  cr__whole_text *c = &w->u->whole;
  cr_tape *t = w->t;
  const uint32_t chunk = t->arena.current;
  const size_t used = t->arena.used;
  if (s->tail && s->blocks->n_blocks > 1 && c->called == k) return; /* it runs within the kernel before it */
  if (s->role == CR__KERNEL) w->inlined[k] = put_kernel(w, s->from);
  if (s->role == CR__MEMBER) w->inlined[k] = cr__put_block_inline(w, k);
  cr__arena_reset(&t->arena, chunk, used);
  c->n_steps += w->inlined[k];
  if (w->inlined[k]) return;
  cr_put(&w->body, "  if (call(run, %u)) return 1;\n", k);
  c->called = k + 1;
}

static void put_function(cr__writer *w, const char *statements) {
  static const char fusing[] = /* a compiler that makes vectors of its own takes products apart from sums */
      "\n#ifdef __clang__\n#define FUSED __attribute__((noinline))\n#define FUSES _Pragma(\"clang fp contract(fast)\")\n"
      "#else\n#define FUSED __attribute__((noinline, optimize(\"O2\", \"fp-contract=fast\", \"no-tree-vectorize\", \\\n"
      "  \"no-tree-slp-vectorize\")))\n#define FUSES\n#endif\n"
      "#if defined(__x86_64__) && !defined(__FMA__)\n#undef FUSES\n#define FUSES return 1;\n#endif\n";
  if (w->functions.length) cr_put(&w->body, "%s%s", fusing, w->functions.text);
  cr_put(&w->body, "\nstatic int whole(char *const *at, int (*call)(void *run, unsigned step), void *run) {\n");
  cr_put(&w->body, "%s  return 0;\n}\n", statements);
}

bool cr__put_whole(cr__writer *w) {
  const cr__plan *plan = &w->f->plan;
  cr_tape *t = w->t;
  cr__whole_text *c = &w->u->whole;
  cr_buffer all = w->body;
  if (plan->n_steps < LEAST_STEPS || plan->n_steps > MOST_STEPS) return true;
  w->body = w->functions = (cr_buffer){.tape = t};
  for (uint32_t k = 0; k < plan->n_steps && w->body.length < MOST_LENGTH && !w->failed; k++) put_step(w, k);
  cr_buffer statements = w->body;
  w->body = all;
  bool good = !w->failed && !c->lost && statements.length < MOST_LENGTH && c->n_steps >= LEAST_STEPS;
  if (good) {
    put_function(w, statements.text);
    w->u->work += WORTH * c->n_steps;
  } else {
    *c = (cr__whole_text){0};
    memset(w->inlined, 0, plan->n_steps);
  }
  cr_buffer_free(&statements);
  cr_buffer_free(&w->functions);
  return !w->failed;
}
