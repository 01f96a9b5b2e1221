/* One body run as one node: checkpoints, which are computed again for their derivatives; and cond, which runs one of two. */
#include <stdio.h>
#include <string.h>

#include "emitbodies.h"

static void hold(const void *attr) {
  const cr__branches *b = attr;
  for (int k = 0; k < 2; k++)
    if (b->body[k]) cr_body_hold(b->body[k]);
}
static void release(const void *attr) {
  const cr__branches *b = attr;
  for (int k = 0; k < 2; k++) cr_body_release(b->body[k]);
}

static int widen(cr_tape *t, const void *attr, void *wide) {
  const cr__branches *b = attr;
  cr__branches *w = wide;
  for (int k = 0; k < 2; k++) w->body[k] = b->body[k] ? cr_body_wide(t, b->body[k]) : NULL;
  return !b->body[0] == !w->body[0] && !b->body[1] == !w->body[1];
}

static void show(char *text, size_t size, const void *attr) {
  const cr__branches *b = attr;
  int n = snprintf(text, size, "body=%016llx", (unsigned long long)cr_body_hash(b->body[0]));
  if (b->body[1] && n > 0 && (size_t)n < size)
    snprintf(text + n, size - (size_t)n, ", other=%016llx", (unsigned long long)cr_body_hash(b->body[1]));
}

static bool chooses(const void *attr) { return ((const cr__branches *)attr)->body[1] != NULL; }

static cr_status infer(cr_infer *c) {
  const cr__branches *b = c->attr;
  int first = chooses(c->attr), m = cr_body_outputs(b->body[0]);
  cr_array result = cr_body_output(b->body[0], 0);
  int64_t count = 0;
  if (c->n - first != cr_body_inputs(b->body[0])) return CR_BAD_SHAPE;
  for (int k = first; k < c->n; k++) {
    cr_array need = cr_body_input(b->body[0], k - first);
    if (!cr__fits_body(c, k, "input", &need)) return CR_BAD_SHAPE;
  }
  for (int k = 0; k < m; k++) count += cr_body_output(b->body[0], k).count;
  if (m == 1) *c->out = result;
  else cr__vector_of(c->out, (cr_dtype)result.dtype, count);
  return CR_OK;
}

static cr_status eval(cr_eval *c) {
  const cr__branches *b = c->attr;
  int first = chooses(c->attr);
  const cr_body *body = b->body[first && cr_array_get(&c->in[0], 0) == 0];
  int n = cr_body_inputs(body), m = cr_body_outputs(body);
  cr_array *in = cr_scratch(c, (size_t)(n + m) * sizeof *in), *out = in + n;
  char *to = c->out->data;
  if (!in) return CR_NO_MEMORY;
  for (int k = 0; k < n; k++) {
    in[k] = cr__bound(c, cr_body_input(body, k), &c->in[first + k]);
    if (!in[k].data) return CR_NO_MEMORY;
  }
  for (int k = 0; k < m; k++) {
    out[k] = cr_body_output(body, k);
    out[k].data = to;
    to += (size_t)out[k].count * cr_dtype_size((cr_dtype)out[k].dtype);
  }
  cr_body_runs *r = cr_body_start(c, body, 1);
  if (!r) return CR_NO_MEMORY;
  cr_body_run(r, 0, in, out);
  return cr_body_stop(r);
}

/* The node of derived bodies, over the operands of this one and more. */
static cr_var derived(cr_tape *t, const cr_op *op, int n, const cr_var *in, int more, const cr_var *with,
                      const cr__branches *b) {
  cr_var *all = cr_body_room(t, (size_t)(n + more) * sizeof *all);
  if (!all) return cr_poison(t);
  memcpy(all, in, (size_t)n * sizeof *all);
  if (more) memcpy(all + n, with, (size_t)more * sizeof *all);
  return cr_record(t, op, n + more, all, b);
}

/* The cotangents of inputs of one dtype, of which there are some. */
static void pull(cr_vjp_rule *c, const unsigned char *wanted, const cr_var *g) {
  const cr__branches *b = c->attr;
  int first = chooses(c->attr);
  cr__branches d = {{NULL, NULL}};
  for (int k = 0; k < 1 + first; k++)
    if (!(d.body[k] = cr_body_vjp(c->tape, b->body[k], wanted))) return;
  int64_t at = 0;
  cr_var all = derived(c->tape, c->op, c->n, c->in, cr_body_outputs(b->body[0]), g, &d);
  for (int k = first, m = 0; k < c->n; k++) {
    if (!wanted[k - first]) continue;
    cr_array shape = cr_body_output(d.body[0], m++);
    c->d[k] = cr__piece(all, &at, &shape);
  }
}

static void vjp(cr_vjp_rule *c) {
  const cr__branches *b = c->attr;
  int first = chooses(c->attr), n = c->n - first, m = cr_body_outputs(b->body[0]);
  cr_var *g = cr_body_room(c->tape, (size_t)m * sizeof *g + (size_t)n);
  if (!g) return;
  unsigned char *wanted = (unsigned char *)(g + m);
  int64_t at = 0;
  for (int k = 0; k < m; k++) {
    cr_array shape = cr_body_output(b->body[0], k);
    g[k] = cr__piece(c->g, &at, &shape);
  }
  for (int dtype = CR_FLOAT32; dtype <= CR_FLOAT64; dtype++) {
    int some = 0;
    for (int k = 0; k < n; k++) some += wanted[k] = c->wanted[first + k] && cr_body_input(b->body[0], k).dtype == dtype;
    if (some) pull(c, wanted, g);
  }
}

static cr_var jvp(cr_jvp_rule *c) {
  const cr__branches *b = c->attr;
  int first = chooses(c->attr), n = c->n - first, some = 0;
  cr_var *dot = cr_body_room(c->tape, (size_t)n * (sizeof *dot + 1)), none = cr_poison(c->tape);
  if (!dot) return none;
  unsigned char *moves = (unsigned char *)(dot + n);
  for (int k = 0; k < n; k++) {
    cr_array like = cr_body_input(b->body[0], k);
    moves[k] = !cr_absent(c->dot[first + k]) && cr__is_float(&like);
    if (moves[k]) dot[some++] = c->dot[first + k];
  }
  cr_array y = cr_body_output(b->body[0], 0);
  if (!some || !cr__is_float(&y)) return none;
  cr__branches d = {{NULL, NULL}};
  for (int k = 0; k < 1 + first; k++)
    if (!(d.body[k] = cr_body_jvp(c->tape, b->body[k], moves))) return none;
  return derived(c->tape, c->op, c->n, c->in, some, dot, &d);
}

const cr_op cr__checkpoint_op = {.name = "checkpoint",
                                    CR__OVER_BODIES(cr__branches),
                                    .fields = cr__branches_fields,
                                    .check = cr__check_branches,
                                    .emit = cr__emit_branches,
                                    .depend = cr__depend_branches,
                                    .rule = "the body again, then its cotangents"};

static uint64_t decide(int n, const cr_array *in, const cr_array *out, const void *attr) {
  (void)n, (void)out, (void)attr;
  return cr_array_get(&in[0], 0) != 0;
}

const cr_op cr__cond_op = {.name = "cond",
                              CR__OVER_BODIES(cr__branches),
                              .fields = cr__branches_fields,
                              .check = cr__check_branches,
                              .emit = cr__emit_branches,
                              .depend = cr__depend_branches,
                              .decide = decide,
                              .rule = "the cotangents of the branch that was taken"};

/* Constructors */

/* The arrays of operands, NULL after a failure. */
static cr_array *arrays_of(cr_tape *t, const char *what, int n, const cr_var *in) {
  cr_array *a = cr_body_room(t, (size_t)n * sizeof *a + 1);
  for (int k = 0; a && k < n; k++) {
    if (in[k].tape != t || cr_is_poison(in[k])) {
      cr_fail(t, cr_is_poison(in[k]) ? CR_POISONED : CR_WRONG_TAPE, "%s: input %d is %s", what, k,
              cr_is_poison(in[k]) ? "the poison node" : "of another tape");
      return NULL;
    }
    a[k] = cr_view(in[k]);
  }
  return cr_error(t) == CR_OK ? a : NULL;
}

static cr_status give(cr_tape *t, cr_var all, const cr_body *body, int m, cr_var *out) {
  int64_t at = 0;
  for (int k = 0; k < m; k++) {
    cr_array shape = cr_body_output(body, k);
    out[k] = cr__piece(all, &at, &shape);
  }
  return cr_error(t);
}

bool cr__run_body(cr_tape *t, cr_body *b, const cr_var *in, cr_var *out) {
  cr_var all = cr_record(t, &cr__checkpoint_op, cr_body_inputs(b), in, &(cr__branches){{b, NULL}});
  return !cr_is_poison(all) && give(t, all, b, cr_body_outputs(b), out) == CR_OK;
}

cr_status cr_checkpoint(cr_tape *t, cr_body_record record, void *user, int n, const cr_var *in, int m, cr_var *out) {
  for (int k = 0; k < m; k++) out[k] = cr_poison(t);
  if (m < 1) return cr_fail(t, CR_BAD_ARGUMENT, "cr_checkpoint: a body without results"), cr_error(t);
  const cr_array *like = arrays_of(t, "cr_checkpoint", n, in);
  cr__branches b = {{like ? cr_body_new(t, "cr_checkpoint", record, user, n, like, m) : NULL, NULL}};
  if (!b.body[0]) return cr_error(t);
  cr__run_body(t, b.body[0], in, out);
  cr_body_release(b.body[0]);
  return cr_error(t);
}

static bool alike(cr_tape *t, const cr__branches *b, int m) {
  for (int k = 0; k < m; k++) {
    cr_array yes = cr_body_output(b->body[0], k), no = cr_body_output(b->body[1], k);
    if (cr__like(&yes, &no)) continue;
    char one[200], other[200];
    cr_fail(t, CR_BAD_SHAPE, "cr_cond: result %d is %s %s in one branch and %s %s in the other", k,
            cr_dtype_name((cr_dtype)yes.dtype), cr_shape_text(&yes, one, sizeof one), cr_dtype_name((cr_dtype)no.dtype),
            cr_shape_text(&no, other, sizeof other));
    return false;
  }
  return true;
}

cr_status cr_cond(cr_tape *t, cr_var condition, cr_body_record yes, cr_body_record no, void *user, int n, const cr_var *in,
                  int m, cr_var *out) {
  for (int k = 0; k < m; k++) out[k] = cr_poison(t);
  if (m < 1) return cr_fail(t, CR_BAD_ARGUMENT, "cr_cond: bodies without results"), cr_error(t);
  const cr_array *like = arrays_of(t, "cr_cond", n, in);
  if (!like || !arrays_of(t, "cr_cond: condition", 1, &condition)) return cr_error(t);
  if (cr_count(condition) != 1) {
    char shape[200];
    cr_array a = cr_view(condition);
    cr_fail(t, CR_BAD_SHAPE, "cr_cond: the condition has shape %s, not one element", cr_shape_text(&a, shape, sizeof shape));
    return cr_error(t);
  }
  cr__branches b = {{cr_body_new(t, "cr_cond: the true branch", yes, user, n, like, m), NULL}};
  if (b.body[0]) b.body[1] = cr_body_new(t, "cr_cond: the false branch", no, user, n, like, m);
  cr_var *all = cr_body_room(t, (size_t)(n + 1) * sizeof *all);
  if (all && b.body[1] && alike(t, &b, m)) {
    all[0] = condition;
    if (n) memcpy(all + 1, in, (size_t)n * sizeof *all);
    give(t, cr_record(t, &cr__cond_op, n + 1, all, &b), b.body[0], m, out);
  }
  release(&b);
  return cr_error(t);
}
