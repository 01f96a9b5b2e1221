/* The C of a captured function: scalars as statements in functions of some hundred, blocks as loops over their elements. */
#include <stdio.h>

#include "jitwriting.h"

enum { NODES_A_FUNCTION = 400, MOST_NODES = 20000 }; /* a compiler takes 50 us and more for each */

/* Scalars */

/* v12, or s[12] through a variable on first use. */
static const char *scalar_name(cr__writer *w, uint32_t id, char *name) {
  snprintf(name, CR__NAME, "v%u", id);
  if (w->part[id] != w->n_parts && w->seen[id] != w->n_parts) cr_put(&w->body, "  const double v%u = s[%u];\n", id, id);
  w->seen[id] = w->n_parts;
  return name;
}

static bool is_constant(const cr_tape *t, uint32_t id) { return cr__op_bits(&t->node[id]) == CR__CONST; }

static void put_scalar(cr__writer *w, uint32_t id) {
  const cr_tape *t = w->t;
  char name[2][CR__NAME] = {"", ""};
  const char *operand[2] = {"", ""};
  int n;
  const uint32_t *in = cr__operands(t, id, &n);
  bool moving = false; /* of constants alone nothing is computed while compiling, where it might be rounded in another way */
  for (int k = 0; k < n; k++) moving = moving || !is_constant(t, in[k]);
  for (int k = 0; k < n && k < 2; k++)
    operand[k] = moving && is_constant(t, in[k]) ? cr__literal(&w->e, t->slot[in[k]].num, CR_FLOAT64)
                                                 : scalar_name(w, in[k], name[k]);
  bool nonzero = moving && n == 2 && is_constant(t, in[0]) && t->slot[in[0]].num != 0 && !isnan(t->slot[in[0]].num);
  const char *text = cr__template_of(w, id, nonzero ? CR__ROW_NONZERO : CR__ROW_EXACT);
  cr_put(&w->body, "  const double v%u = ", id);
  cr__put_template(&w->body, text, operand);
  cr_put(&w->body, w->stored[id] ? ";\n  s[%u] = v%u;\n" : ";\n", id, id);
}

static bool is_scalar_node(const cr_tape *t, uint32_t id) { return !cr__is_record(t, id) && t->op[cr__op_number(t, id)]; }

/* C functions of scalars in their order, and which numbers others read. */
static void divide_scalars(cr__writer *w) {
  const cr_tape *t = w->t;
  const cr__graph *g = &w->f->graph;
  for (uint32_t k = 0; k < w->f->plan.n_steps; k++) {
    const cr__step *s = &w->f->plan.step[k];
    uint32_t here = 0;
    if (s->role != CR__SCALAR) continue;
    for (uint32_t id = s->from; id < s->to; id++)
      if (is_scalar_node(t, id)) w->part[id] = here++ % NODES_A_FUNCTION ? w->n_parts : ++w->n_parts;
  }
  for (uint32_t id = 1; id < t->count; id++) {
    int n;
    const uint32_t *in = cr__operands(t, id, &n);
    for (int k = 0; k < n; k++)
      if (w->part[in[k]] != w->part[id]) w->stored[in[k]] = 1;
  }
  for (int k = g->n_in; k < g->n_ends; k++) w->stored[g->end[k]] = 1;
  w->n_parts = 0;
}

static void put_scalars(cr__writer *w, uint32_t step) {
  const cr__step *s = &w->f->plan.step[step];
  cr_tape *t = w->t;
  uint32_t first = 0, chunk = t->arena.current;
  size_t used = t->arena.used;
  for (uint32_t id = s->from; id < s->to; id++) {
    if (!is_scalar_node(t, id)) continue;
    if (w->part[id] != w->n_parts) {
      cr_put(&w->body, first ? "}\n" : "");
      w->n_parts = w->part[id];
      if (!first) first = w->n_parts;
      cr_put(&w->body, "\nstatic void scalars%u(double *s) {\n", w->n_parts);
    }
    put_scalar(w, id);
    cr__arena_reset(&t->arena, chunk, used);
    w->u->work++;
  }
  cr_put(&w->body, "}\n\nstatic void step%u(double *s, double *space, double *ends) {\n", step);
  for (uint32_t k = first; k <= w->n_parts; k++) cr_put(&w->body, "  scalars%u(s);\n", k);
  cr_put(&w->body, "}\n");
}

/* The whole unit */

/* Sinking would move a call behind a branch, where it is not vectorised; long chains of multiply-adds want to be
 * interleaved. */
static const char head[] =
    "#define _DEFAULT_SOURCE 1\n#include <math.h>\n#include <stdbool.h>\n#include <stddef.h>\n#include <stdint.h>\n#include "
    "<string.h>\n"
    "#if defined(__GNUC__) && !defined(__clang__)\n#pragma GCC optimize(\"no-tree-sink\", \"schedule-insns\")\n#endif\n"
    "#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)\n"
    "#define SIMD __attribute__((simd(\"notinbranch\"), const))\n#else\n#define SIMD\n#endif\n";

static bool put_all(cr__writer *w, cr__scalars scalars) {
  cr__unit *u = w->u;
  const cr__plan *plan = &w->f->plan;
  if (!cr__put_whole(w)) return false;
  for (uint32_t k = 0; k < plan->n_steps && !w->failed; k++) {
    if (plan->step[k].role == CR__KERNEL || w->inlined[k]) continue;
    if (plan->step[k].role == CR__SCALAR && scalars != CR__ALL_SCALARS && (!scalars || plan->step[k].code)) continue;
    u->code[u->n_steps] = NULL;
    bool written = plan->step[k].role == CR__MEMBER && cr__put_block(w, k);
    if (plan->step[k].role == CR__SCALAR && plan->step[k].to - plan->step[k].from <= MOST_NODES)
      put_scalars(w, k), written = true;
    if (written) u->step[u->n_steps++] = k;
    else u->n_skipped++;
  }
  if (w->failed || w->body.failed) return false;
  if (!u->n_steps && !u->whole.n_steps) return w->t->error == CR_OK;
  cr_put(&u->source, "%s", head);
  cr__put_helpers(&w->e, &u->source, w->body.text ? w->body.text : "");
  cr_put(&u->source, "%s\nextern void *const %s[];\nvoid *const %s[] = {", w->body.text ? w->body.text : "", CR__UNIT_TABLE,
         CR__UNIT_TABLE);
  for (uint32_t k = 0; k < u->n_steps; k++) cr_put(&u->source, "(void *)step%u, ", u->step[k]);
  cr_put(&u->source, "%s};\n", u->whole.n_steps ? "(void *)whole" : "0");
  return !u->source.failed && w->t->error == CR_OK;
}

static size_t map_bytes(const cr_tape *t) { return t->count * (2 * sizeof(uint32_t) + 2); }

bool cr__write_unit(cr_fn *f, bool exact, cr__scalars scalars, cr__unit *u) {
  static const cr_emit_options none = {0};
  cr_tape *t = f->graph.tape;
  cr__writer w = {.f = f, .t = t, .u = u, .exact = exact, .e = {.t = t, .options = &none, .exact = exact}};
  size_t templates = (size_t)*t->table->n_rows * CR__ROW_FORMS * sizeof *w.template;
  uint32_t chunk = t->arena.current;
  size_t used = t->arena.used;
  cr__arena_init(&w.texts, &f->allocator);
  w.body.tape = u->source.tape = w.e.code.tape = t;
  u->step = cr__fn_take(f, f->plan.n_steps * sizeof *u->step);
  u->code = cr__fn_take(f, f->plan.n_steps * sizeof *u->code);
  w.part = cr__resize_on(t, NULL, 0, map_bytes(t));
  w.template = cr__resize_on(t, NULL, 0, templates);
  bool ok = u->step && u->code && w.part && w.template;
  if (ok) {
    memset(w.part, 0, map_bytes(t));
    memset(w.template, 0, templates);
    w.seen = w.part + t->count;
    w.stored = (unsigned char *)(w.seen + t->count);
    w.inlined = w.stored + t->count;
    divide_scalars(&w);
    ok = put_all(&w, scalars);
  }
  if (w.part) cr__resize_on(t, w.part, map_bytes(t), 0);
  if (w.template) cr__resize_on(t, w.template, templates, 0);
  cr__arena_free(&w.texts);
  cr_buffer_free(&w.body);
  cr_buffer_free(&w.e.code);
  cr__resize_on(t, w.e.member, (size_t)w.e.members_capacity * sizeof *w.e.member, 0);
  cr__arena_reset(&t->arena, chunk, used);
  if (!ok) cr__unit_free(u);
  return ok;
}

void cr__unit_free(cr__unit *u) {
  if (u->source.tape) cr_buffer_free(&u->source);
}
