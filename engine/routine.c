/* Part of a recording as a routine that records it again with other inputs. */
#include "internal.h"

enum { LOCAL = INT32_MIN }; /* bit of a reference to an input or an earlier step; else it is a node from outside */

/* One node to record. op is NULL for records. */
typedef struct step {
  double (*value)(double a, double b);
  uint32_t op, a, b, id;
} step;

struct cr_routine {
  cr_owned owned;
  cr_tape *tape;
  int n, m;
  uint32_t n_steps, lo, hi;
  size_t bytes;       /* of this, with what follows */
  uint32_t *local;    /* nodes of a call: of the n inputs, then of the steps */
  uint32_t *result;   /* references */
  uint32_t *of;       /* by node from lo to hi: the reference */
  step *step;
};

static void destroy(cr_tape *t, cr_owned *self) {
  cr_routine *r = (cr_routine *)(void *)self;
  cr__resize(&t->counted, r, r->bytes, 0);
}

static uint32_t reference(const cr_routine *r, uint32_t id) { return id < r->lo || id >= r->hi ? id : r->of[id - r->lo]; }
static uint32_t node_of(const cr_routine *r, uint32_t ref) {
  return ref & (uint32_t)LOCAL ? r->local[ref & ~(uint32_t)LOCAL] : ref;
}

/* of[] becomes 1 where a result needs the node. */
static void mark_needed(cr_routine *r, const cr_var *y) {
  memset(r->of, 0, (size_t)(r->hi - r->lo) * sizeof *r->of);
  for (int k = 0; k < r->m; k++)
    if (y[k].id >= r->lo) r->of[y[k].id - r->lo] = 1;
  for (uint32_t id = r->hi; id-- > r->lo;) {
    int n;
    const uint32_t *in = r->of[id - r->lo] ? cr__operands(r->tape, id, &n) : NULL;
    for (int k = 0; in && k < n; k++)
      if (in[k] >= r->lo) r->of[in[k] - r->lo] = 1;
  }
}

/* A step for each node that is needed and depends on an input; other nodes stand for themselves. */
static void make_steps(cr_routine *r, const cr_var *y, const cr_var *x) {
  const cr_tape *t = r->tape;
  mark_needed(r, y);
  for (int k = 0; k < r->n; k++)
    if (x[k].id < r->hi) r->of[x[k].id - r->lo] = (uint32_t)LOCAL | (uint32_t)k;
  for (uint32_t id = r->lo; id < r->hi; id++) {
    uint32_t *of = &r->of[id - r->lo];
    if (*of & (uint32_t)LOCAL) continue;
    bool needed = *of, depends = false;
    int n;
    const uint32_t *in = cr__operands(t, id, &n);
    for (int k = 0; k < n; k++) depends = depends || reference(r, in[k]) & (uint32_t)LOCAL;
    *of = id;
    if (!needed || !depends) continue;
    *of = (uint32_t)LOCAL | ((uint32_t)r->n + r->n_steps);
    bool inline_ = !cr__is_record(t, id);
    r->step[r->n_steps++] = (step){inline_ ? t->op[cr__op_number(t, id)]->row->value : NULL, cr__op_number(t, id),
                                   inline_ ? reference(r, in[0]) : 0, inline_ && n > 1 ? reference(r, in[1]) : 0, id};
  }
  for (int k = 0; k < r->m; k++) r->result[k] = reference(r, y[k].id);
}

static bool check(cr_tape *t, cr_mark mark, int n, const cr_var *v, bool inputs) {
  for (int k = 0; k < n; k++) {
    if (!cr__valid(t, v[k])) return false;
    if (!v[k].id) cr_fail(t, CR_POISONED, "a node of a routine is the poison node");
    else if (inputs && v[k].id < mark.nodes)
      cr_fail(t, CR_BAD_ARGUMENT, "input %d of a routine (v%u) is from before its mark", k, v[k].id);
  }
  return t->error == CR_OK;
}

cr_routine *cr_routine_new(cr_mark mark, int m, const cr_var *y, int n, const cr_var *x) {
  cr_tape *t = m > 0 ? y[0].tape : NULL;
  if (!t || n < 0 || !check(t, mark, m, y, false) || !check(t, mark, n, x, true)) return NULL;
  uint32_t lo = mark.nodes, hi = lo;
  for (int k = 0; k < m; k++) hi = y[k].id >= hi ? y[k].id + 1 : hi;
  size_t nodes = hi - lo, words = (size_t)n + nodes + (size_t)m + nodes;
  size_t bytes = sizeof(cr_routine) + nodes * sizeof(step) + words * sizeof(uint32_t);
  cr_routine *r = cr__resize_on(t, NULL, 0, bytes);
  if (!r) return NULL;
  *r = (cr_routine){.tape = t, .n = n, .m = m, .lo = lo, .hi = hi, .bytes = bytes};
  r->step = (step *)(void *)(r + 1);
  r->local = (uint32_t *)(r->step + nodes);
  r->of = r->local + (size_t)n + nodes;
  r->result = r->of + nodes;
  cr__own(t, &r->owned, destroy);
  make_steps(r, y, x);
  return r;
}

/* Records, and inline nodes that get a record for an operand or a tape that looks at every value. */
static uint32_t record_step(cr_routine *r, const step *s) {
  cr_tape *t = r->tape;
  int n;
  const uint32_t *in = cr__operands(t, s->id, &n);
  cr_var few[8], *operand = n > 8 ? cr__alloc(t, (size_t)n * sizeof *operand) : few;
  if (!operand) return 0;
  for (int k = 0; k < n; k++) operand[k] = cr__handle(t, node_of(r, reference(r, in[k])));
  return cr_record_like(cr__handle(t, s->id), n, operand).id;
}

cr_status cr_routine_call(cr_routine *r, const cr_var *with, cr_var *out) {
  cr_tape *t = r->tape;
  bool plain = !t->slow;
  for (int k = 0; k < r->m; k++) out[k] = cr_poison(t);
  if (!check(t, (cr_mark){0}, r->n, with, false)) return t->error;
  for (int k = 0; k < r->n; k++) {
    r->local[k] = with[k].id;
    plain = plain && !cr__is_record(t, with[k].id);
  }
  uint32_t *made = r->local + r->n;
  for (uint32_t i = 0; i < r->n_steps; i++) {
    const step *s = &r->step[i];
    if (plain && s->value) {
      if (!cr__reserve(t)) return t->error;
      uint32_t a = node_of(r, s->a), b = node_of(r, s->b);
      made[i] = cr__push_inline(t, s->op, a, b, s->value(t->slot[a].num, t->slot[b].num)).id;
    } else if (!(made[i] = record_step(r, s))) {
      return t->error;
    }
  }
  for (int k = 0; k < r->m; k++) out[k] = cr__handle(t, node_of(r, r->result[k]));
  return CR_OK;
}
