/* Roots of bodies, differentiated by the implicit function theorem: with J the Jacobian of f by x at the root, dx = -J^-1
 * df. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "dense.h"
#include "emitbodies.h"

static void hold(const void *attr) {
  const cr__root *r = attr;
  cr_body_hold(r->f);
  cr_body_hold(r->slope);
}
static void release(const void *attr) {
  const cr__root *r = attr;
  cr_body_release(r->f);
  cr_body_release(r->slope);
}
static int widen(cr_tape *t, const void *attr, void *wide) {
  cr__root *w = wide;
  *w = *(const cr__root *)attr;
  return (w->f = cr_body_wide(t, w->f)) && (w->slope = cr_body_wide(t, w->slope));
}
static void show(char *text, size_t size, const void *attr) {
  snprintf(text, size, "body=%016llx", (unsigned long long)cr_body_hash(((const cr__root *)attr)->f));
}

static cr_status infer(cr_infer *c) {
  const cr__root *r = c->attr;
  if (c->n != cr_body_inputs(r->f)) return CR_BAD_SHAPE;
  for (int k = 0; k < c->n; k++) {
    cr_array need = cr_body_input(r->f, k);
    if (!cr__fits_body(c, k, k ? "constant" : "x", &need)) return CR_BAD_SHAPE;
  }
  *c->out = cr_body_input(r->f, 0);
  return CR_OK;
}

/* Newton's method */

typedef struct search {
  cr_eval *c;
  cr_body_runs *f, *slope;
  cr_array *in;            /* x, constants, tangent */
  cr_array x, y, dot, column;
  int64_t n, *pivot;
  double *jacobian, *lu, *step, *residual, *begin, *spare;
} search;

static double largest(const cr_array *a) {
  double m = 0;
  for (int64_t k = 0; k < a->count; k++) {
    double v = fabs(cr_array_get(a, k));
    m = v > m || isnan(v) ? v : m;
    if (isnan(m)) break;
  }
  return m;
}

/* The largest residual at begin + factor * step, which x becomes; NaN after a failure. */
static double move(search *s, double factor) {
  for (int64_t k = 0; k < s->n; k++) cr_array_set(&s->x, k, s->begin[k] + factor * s->step[k]);
  return cr_body_run(s->f, 0, s->in, &s->y) == CR_OK ? largest(&s->y) : (double)NAN;
}

/* step = -J^-1 f at x. False where J is singular. */
static bool find_step(search *s) {
  int64_t n = s->n;
  for (int64_t j = 0; j < n; j++) {
    for (int64_t k = 0; k < n; k++) cr_array_set(&s->dot, k, k == j);
    if (cr_body_run(s->slope, 0, s->in, &s->column) != CR_OK) return false;
    for (int64_t i = 0; i < n; i++) s->jacobian[i * n + j] = cr_array_get(&s->column, i);
  }
  for (int64_t i = 0; i < n; i++) s->step[i] = -cr_array_get(&s->y, i);
  cr__solve(n, 1, s->jacobian, s->step, s->lu, s->residual, s->pivot);
  for (int64_t i = 0; i < n; i++)
    if (!isfinite(s->step[i])) return false;
  return true;
}

static bool no_root(search *s, double residual, int iterations, const char *why) {
  if (cr_error(s->c->tape) == CR_OK)
    cr_fail(s->c->tape, CR_MISMATCH, "no root found: the residual is %g after %d iteration%s, and %s", residual, iterations,
            iterations == 1 ? "" : "s", why);
  return false;
}

/* A step this small changes nothing but rounding. */
static bool is_negligible(const search *s, double factor, double eps) {
  double step = 0, x = 0;
  for (int64_t k = 0; k < s->n; k++) {
    step = fmax(step, fabs(factor * s->step[k]));
    x = fmax(x, fabs(s->begin[k]));
  }
  return step <= eps * x;
}

static bool iterate(search *s) {
  double eps = s->x.dtype == CR_FLOAT32 ? 0x1p-23 : 0x1p-52;
  memset(s->step, 0, (size_t)s->n * sizeof *s->step);
  for (int64_t k = 0; k < s->n; k++) s->begin[k] = cr_array_get(&s->x, k);
  double residual = move(s, 0);
  for (int k = 0; residual != 0; k++) {
    if (isnan(residual) || isinf(residual)) return no_root(s, residual, k, "is not finite");
    if (k == CR__MOST_ITERATIONS) return no_root(s, residual, k, "these are the most");
    if (!find_step(s)) return no_root(s, residual, k, "the Jacobian there is singular or not finite");
    for (int64_t i = 0; i < s->n; i++) s->begin[i] = cr_array_get(&s->x, i);
    double factor = 1, next = move(s, 1);
    bool settled = is_negligible(s, 1, 4 * eps), near = is_negligible(s, 1, sqrt(eps));
    if (settled && next <= residual) return true;
    for (int h = 0; !(next < residual) && !near && h < CR__MOST_HALVINGS; h++) next = move(s, factor /= 2);
    if (!(next < residual)) {
      move(s, 0);
      return near || no_root(s, residual, k, "no step along Newton's direction lowers it");
    }
    residual = next;
  }
  return true;
}

static bool take(search *s) {
  size_t n = (size_t)s->n;
  double *room = cr_scratch(s->c, (2 * n * n + 4 * n + 1) * sizeof *room);
  s->pivot = cr_scratch(s->c, (n + 1) * sizeof *s->pivot);
  s->y.data = cr_scratch(s->c, n * sizeof(double) + 1);
  s->dot.data = cr_scratch(s->c, n * sizeof(double) + 1);
  s->column.data = cr_scratch(s->c, n * sizeof(double) + 1);
  if (!room || !s->pivot || !s->y.data || !s->dot.data || !s->column.data) return false;
  s->jacobian = room, s->lu = room + n * n, s->step = s->lu + n * n, s->residual = s->step + n, s->begin = s->residual + n;
  return true;
}

static cr_status eval(cr_eval *c) {
  const cr__root *r = c->attr;
  search s = {.c = c, .n = c->out->count, .x = *c->out, .y = cr_body_output(r->f, 0), .dot = cr_body_input(r->f, 0)};
  s.column = s.y;
  s.in = cr_scratch(c, (size_t)(c->n + 1) * sizeof *s.in);
  if (!s.in || !take(&s)) return CR_NO_MEMORY;
  cr_array_copy(&s.x, &c->in[0]);
  for (int k = 1; k < c->n; k++) {
    s.in[k] = cr__bound(c, cr_body_input(r->f, k), &c->in[k]);
    if (!s.in[k].data) return CR_NO_MEMORY;
  }
  s.in[0] = s.x, s.in[c->n] = s.dot;
  if (!(s.f = cr_body_start(c, r->f, 1))) return CR_NO_MEMORY;
  if ((s.slope = cr_body_start(c, r->slope, 1))) {
    iterate(&s);
    cr_body_stop(s.slope);
  }
  cr_body_stop(s.f);
  return cr_error(c->tape);
}

/* Derivatives */

/* A row of the Jacobian: inputs are a cotangent of f, then (x, constants..). */
static void record_row(cr_tape *t, void *user, int n, const cr_var *in, int m, cr_var *out) {
  (void)m;
  cr_var *all = cr_body_room(t, (size_t)n * sizeof *all);
  if (!all) return;
  memcpy(all, in + 1, (size_t)(n - 1) * sizeof *all);
  all[n - 1] = in[0];
  cr_body_inline(user, t, all, out);
}

/* J at (x, constants..), of the root. */
static cr_var jacobian(cr_tape *t, const cr__root *r, const cr_var *in) {
  int n = cr_body_inputs(r->f);
  unsigned char *by_x = cr_body_room(t, (size_t)n);
  cr_array *like = cr_body_room(t, (size_t)(n + 1) * sizeof *like), f = cr_body_output(r->f, 0);
  cr_var *all = cr_body_room(t, (size_t)(n + 1) * sizeof *all), rows = cr_poison(t);
  if (!by_x || !like || !all) return rows;
  memset(by_x, 0, (size_t)n);
  by_x[0] = 1;
  cr_body *pull = cr_body_vjp(t, r->f, by_x), *row;
  like[0] = f;
  for (int k = 0; k < n; k++) like[k + 1] = cr_body_input(r->f, k);
  row = pull ? cr_body_derived(t, pull, "row of a Jacobian", 0, NULL, record_row, pull, n + 1, like, 1) : NULL;
  if (!row) return rows;
  cr_array stacked = cr__stacked(&f, f.count);
  all[0] = cr_reshape(cr_eye(t, (cr_dtype)f.dtype, f.count, f.count), stacked.rank, stacked.dim);
  memcpy(all + 1, in, (size_t)n * sizeof *all);
  if (!cr__run_each(t, row, f.count, 1, all, &rows)) return cr_poison(t);
  return cr_reshape(rows, 2, (int64_t[]){f.count, f.count});
}

/* J^-1 b, or J^-T b, of the shape given. */
static cr_var solve(cr_tape *t, const cr__root *r, const cr_var *in, cr_var b, bool transposed, const cr_array *shape) {
  cr_var j = jacobian(t, r, in);
  b = cr_reshape(b, 1, &shape->count);
  return cr_reshape(cr_solve(transposed ? cr_matrix_transpose(j) : j, b, 1), shape->rank, shape->dim);
}

/* (root, constants..), and room for one more. */
static cr_var *at_root(cr_tape *t, int n, const cr_var *in, cr_var x) {
  cr_var *all = cr_body_room(t, (size_t)(2 * n + 1) * sizeof *all);
  if (!all) return NULL;
  memcpy(all, in, (size_t)n * sizeof *all);
  all[0] = x;
  return all;
}

static void vjp(cr_vjp_rule *c) {
  const cr__root *r = c->attr;
  int n = c->n, some = 0, k = 1;
  cr_array f = cr_body_output(r->f, 0);
  cr_var *in = at_root(c->tape, n, c->in, c->out);
  unsigned char *wanted = cr_body_room(c->tape, (size_t)n);
  if (!in || !wanted) return;
  wanted[0] = 0;
  for (; k < n; k++) {
    cr_array a = cr_body_input(r->f, k);
    some += wanted[k] = c->wanted[k] && cr__is_float(&a);
  }
  if (!some) return;
  cr_body *pull = cr_body_vjp(c->tape, r->f, wanted);
  cr_var w = solve(c->tape, r, in, c->g, true, &f), *d = cr_body_room(c->tape, (size_t)some * sizeof *d);
  in[n] = cr_neg(w);
  if (!pull || !d || !cr__run_body(c->tape, pull, in, d)) return;
  for (k = 1; k < n; k++)
    if (wanted[k]) c->d[k] = *d++;
}

static cr_var jvp(cr_jvp_rule *c) {
  const cr__root *r = c->attr;
  int n = c->n, some = 0;
  cr_array x = cr_body_input(r->f, 0);
  cr_var *in = at_root(c->tape, n, c->in, c->out), none = cr_poison(c->tape), df;
  unsigned char *moves = cr_body_room(c->tape, (size_t)n);
  if (!in || !moves) return none;
  moves[0] = 0;
  for (int k = 1; k < n; k++) {
    cr_array a = cr_body_input(r->f, k);
    moves[k] = !cr_absent(c->dot[k]) && cr__is_float(&a);
    if (moves[k]) in[n + some++] = c->dot[k];
  }
  cr_body *push = some ? cr_body_jvp(c->tape, r->f, moves) : NULL;
  if (!push || !cr__run_body(c->tape, push, in, &df)) return none;
  return cr_neg(solve(c->tape, r, in, df, false, &x));
}

const cr_op cr__root_op = {
  .name = "root", CR__OVER_BODIES(cr__root), .fields = cr__root_fields, .check = cr__check_root, .emit = cr__emit_root,
  .depend = cr__depend_root,
  .rule = "constants: -(df/dc)^T J^-T g"};

cr_var cr_root(cr_tape *t, cr_body_record record, void *user, cr_var x0, int n_const, const cr_var *consts) {
  int n = n_const + 1;
  cr_var *in = cr_body_room(t, (size_t)n * sizeof *in), x = cr_poison(t);
  cr_array *like = cr_body_room(t, (size_t)n * sizeof *like);
  unsigned char *by_x = cr_body_room(t, (size_t)n);
  if (!in || !like || !by_x) return x;
  memset(by_x, 0, (size_t)n);
  by_x[0] = 1;
  for (int k = 0; k < n; k++) {
    in[k] = k ? consts[k - 1] : x0;
    if (in[k].tape != t || cr_is_poison(in[k]))
      return cr_fail(t, in[k].tape == t ? CR_POISONED : CR_WRONG_TAPE, "cr_root: %s is %s", k ? "a constant" : "x0",
                     in[k].tape == t ? "the poison node" : "of another tape");
    like[k] = cr_view(in[k]);
  }
  cr__root r = {.f = cr_body_new(t, "cr_root", record, user, n, like, 1)};
  if (!r.f) return x;
  cr_array f = cr_body_output(r.f, 0);
  if (!cr__is_float(&like[0]) || f.count != like[0].count || f.dtype != like[0].dtype) {
    char is[200], wants[200];
    cr_fail(t, CR_BAD_SHAPE,
            "cr_root: f is %s %s, but x is %s %s: as many equations as unknowns are needed, of one float dtype",
            cr_dtype_name((cr_dtype)f.dtype), cr_shape_text(&f, is, sizeof is), cr_dtype_name((cr_dtype)like[0].dtype),
            cr_shape_text(&like[0], wants, sizeof wants));
  } else if ((r.slope = cr_body_jvp(t, r.f, by_x))) {
    x = cr_record(t, &cr__root_op, n, in, &r);
  }
  cr_body_release(r.f);
  return x;
}
