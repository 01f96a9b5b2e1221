/* The verdict on one slope: the engine's number against differences, and at a kink against the slopes of the two sides. */
#include <stdarg.h>
#include <stdio.h>

#include "checking.h"

const char *cr__keep_text(cr_tape *t, const char *format, ...) {
  char text[512];
  va_list args;
  va_start(args, format);
  int n = vsnprintf(text, sizeof text, format, args);
  va_end(args);
  size_t length = n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
  char *kept = cr__arena_text(&t->arena, text, length);
  return kept ? kept : "";
}

const char *cr__node_text(cr_tape *t, uint32_t id, char *text, size_t size) {
  cr_var v = cr__handle(t, id);
  const cr_op *op = cr_op_of(v);
  const char *name = cr_name_of(v), *file;
  int line = 0;
  size_t n = 0;
#define PUT(...) n += n < size ? (size_t)snprintf(text + n, size - n, __VA_ARGS__) : 0
  if (name) PUT("%s", name);
  else PUT("v%u", id);
  if (op) PUT(" = %s(", op->name);
  for (int k = 0; op && k < cr_operand_count(v); k++) {
    cr_var in = cr_operand(v, k);
    const char *of = cr_name_of(in);
    if (k) PUT(", ");
    if (of) PUT("%s", of);
    else if (cr_is_const(in) && cr_count(in) == 1) PUT("%g", cr_value(in));
    else PUT("v%u", in.id);
  }
  if (op) PUT(")");
  file = cr_node_site(v, &line);
  if (file) PUT(" [%s:%d]", file, line);
#undef PUT
  return text;
}

/* Lines through the graph and through a black box */

static void walk_to(const cr__path *p, double step) {
  const double *from = p->c->point;
  if (p->u)
    for (int64_t k = 0; k < p->c->size; k++) p->point[k] = from[k] + step * p->u[k];
  else p->point[p->i] = from[p->i] + step;
}

double cr__dot(const double *a, const double *b, int64_t n) {
  long double sum = 0;
  for (int64_t k = 0; k < n; k++) sum += (long double)a[k] * (long double)b[k];
  return (double)sum;
}

double cr__norm(const double *a, int64_t n) { return sqrt(cr__dot(a, a, n)); }

double cr__largest(const double *a, int64_t n) {
  double m = 0;
  for (int64_t k = 0; k < n; k++) m = fabs(a[k]) > m || a[k] != a[k] ? fabs(a[k]) : m;
  return m;
}

static bool path_at(void *user, double step, double *value, uint64_t *branches) {
  cr__path *p = user;
  cr__checker *c = p->c;
  walk_to(p, step);
  *branches = 0;
  if (!c->replica) {
    *value = c->f(c->user, p->point);
  } else {
    if (!cr__replica_move(c->replica, p->point)) return false;
    *branches = cr__replica_branches(c->replica);
    if (!p->w) *value = cr__replica_value(c->replica, p->v);
    else if (cr__replica_gradient(c->replica, p->v, p->gradient)) *value = cr__dot(p->w, p->gradient, c->size);
    else return false;
  }
  if (!p->u) p->point[p->i] = c->point[p->i];
  return true;
}

static double smallest_scale(const double *x, int64_t n) {
  double m = 1;
  for (int64_t k = 0; k < n; k++)
    if (x[k] != 0 && fabs(x[k]) < m) m = fabs(x[k]);
  return m;
}

cr__line cr__line_of(cr__path *p) {
  const cr__checker *c = p->c;
  double x = p->u ? 0 : fabs(c->point[p->i]);
  cr__line l = {.at = path_at, .user = p, .scale = {1, p->u ? smallest_scale(c->point, c->size) : 1}};
  l.reach = cr__largest(c->point, c->size);
  if (!p->u) {
    l.origin = c->point[p->i];
    l.scale[0] = fmax(1, x);
    if (x > 0 && x < 1) l.scale[1] = x;
  }
  memcpy(p->point, c->point, (size_t)c->size * sizeof *p->point);
  return l;
}

/* The verdict on one slope */

/* The decision that differs between the two sides of the point: the kink that lies on it. */
static const char *kink_note(cr__checker *c, cr__line *l) {
  cr__replica *r = c->replica;
  if (!r || !r->n_decisions) return "at a kink";
  uint64_t *side = cr__alloc(c->tape, 2 * r->n_decisions * sizeof *side), branches;
  double value, step = ldexp(l->scale[1], -30);
  if (!side) return "at a kink";
  for (uint32_t k = 0; k < 2; k++) {
    l->at(l->user, k ? step : -step, &value, &branches);
    cr__replica_branch_list(r, side + k * r->n_decisions);
  }
  for (uint32_t k = 0; k < r->n_decisions; k++) {
    if (side[k] == side[k + r->n_decisions]) continue;
    uint32_t of = r->decision[k].of, id = r->origin[of];
    const cr_op *op = r->tape->op[cr__op_number(r->tape, of)];
    const char *convention = op->row && op->row->decision ? strchr(op->row->decision, '|') : NULL;
    char text[200];
    return cr__keep_text(c->tape, "at %s%s%s", cr__node_text(r->user, id, text, sizeof text), convention ? ":" : "",
                         convention ? convention + 1 : "");
  }
  return "at a kink";
}

static double agreeing_digits(double a, double b, double least) {
  double scale = fmax(fmax(fabs(a), fabs(b)), least), difference = fabs(a - b);
  if (difference == 0 || a == b) return 17;
  if (!isfinite(difference) || scale == 0) return 0;
  return fmin(17, fmax(0, -log10(difference / scale)));
}

/* The central slope is no use or does not agree: what the two sides say. */
static void judge_sides(cr__checker *c, cr__line *l, cr_check_entry *e, bool close, double floor) {
  cr__slope left = cr__one_sided(l, -1), right = cr__one_sided(l, 1);
  double a = e->analytic;
  bool on_boundary = isnan(e->numeric);
  e->left = left.value, e->right = right.value;
  bool has_left = !isnan(left.value), has_right = !isnan(right.value);
  double unsure = (has_left ? left.error : 0) + (has_right ? right.error : 0);
  if (!has_left && !has_right) {
    e->verdict = isfinite(e->numeric) && close ? CR_AGREE : isnan(e->numeric) ? CR_INCONCLUSIVE : CR_DISAGREE;
    if (e->verdict == CR_INCONCLUSIVE) e->note = "the function is not finite or too rough nearby";
    return;
  }
  double lo = has_left && has_right ? fmin(left.value, right.value) : has_left ? left.value : right.value;
  double hi = has_left && has_right ? fmax(left.value, right.value) : lo;
  double size = fmax(fabs(a), fmax(isfinite(lo) ? fabs(lo) : 0, isfinite(hi) ? fabs(hi) : 0));
  double slack = isfinite(unsure) && isfinite(size) ? 4 * unsure + 1e-6 * size + floor : 0;
  bool inside = a >= lo - slack && a <= hi + slack;
  if (lo == hi || (isfinite(lo) && isfinite(hi) && hi - lo <= 100 * unsure + 1e-9 * fabs(hi))) { /* no kink after all */
    if (!isfinite(e->numeric) || isinf(lo)) {
      e->numeric = isinf(lo) ? lo : 0.5 * (lo + hi);
      e->error = isfinite(unsure) ? unsure : 0;
      close = inside;
    }
    e->verdict = close ? CR_AGREE : CR_DISAGREE;
    if (!close && on_boundary) e->note = cr__keep_text(c->tape, "%s; the conventions there do not add up", kink_note(c, l));
    return;
  }
  e->numeric = (double)NAN;
  e->note = kink_note(c, l);
  e->verdict = inside ? CR_KINK : CR_DISAGREE;
  if (!inside) e->note = cr__keep_text(c->tape, "%s; outside the slopes of the two sides", e->note);
}

void cr__judge(cr__checker *c, cr__line *l, cr_check_entry *e, double floor) {
  e->left = e->right = (double)NAN;
  e->note = "";
  if (!cr__line_open(l)) {
    e->numeric = (double)NAN, e->error = HUGE_VAL, e->digits = 0;
    e->verdict = CR_INCONCLUSIVE;
    e->note = "the function is not finite here";
    c->report->evaluations += l->evaluations;
    return;
  }
  cr__slope s = cr__slope_of(l);
  e->numeric = s.value, e->error = s.error, e->digits = (double)NAN;
  double size = fmax(fabs(e->analytic), fabs(s.value)), natural = fmax(fmax(size, c->gradient_size), fabs(l->value));
  double limit = c->o.tolerance * size + 4 * s.error + floor;
  bool close = isfinite(e->analytic) && fabs(e->analytic - s.value) <= limit;
  if (!s.suspect && close && s.error <= 1e-4 * natural) e->verdict = CR_AGREE;
  else judge_sides(c, l, e, close, floor);
  e->digits = isnan(e->numeric) ? 0 : agreeing_digits(e->analytic, e->numeric, fmax(fmax(1e-6 * natural, e->error), floor));
  c->report->evaluations += l->evaluations;
}
