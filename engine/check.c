/* Verification of derivatives: every slope against differences, every mode of the engine against the others. */
#include <float.h>
#include <stdarg.h>
#include <stdio.h>

#include "checking.h"

const char *cr_verdict_text(cr_verdict verdict) {
  static const char *const texts[] = {"agree", "kink", "inconclusive", "disagree"};
  return (unsigned)verdict < 4 ? texts[verdict] : "unknown";
}

/* The report */

static cr_check_entry *new_entry(cr__checker *c) {
  cr_check_entry *e = &c->entry[c->report->n_entries++];
  *e = (cr_check_entry){.label = "", .input = -1, .note = "", .left = (double)NAN, .right = (double)NAN};
  return e;
}

static void count_entry(cr__checker *c, const cr_check_entry *e) {
  cr_report *r = c->report;
  r->kinks += e->verdict == CR_KINK;
  r->inconclusive += e->verdict == CR_INCONCLUSIVE;
  if (e->verdict == CR_DISAGREE) r->verdict = CR_DISAGREE;
  if (e->verdict == CR_KINK || e->verdict == CR_INCONCLUSIVE || e->analytic == e->numeric) return;
  double relative = fabs(e->analytic - e->numeric) / fmax(fabs(e->analytic), fabs(e->numeric));
  if (e->digits < 17) r->worst = fmax(r->worst, fmin(relative, pow(10, -e->digits)));
}

static void note_test(cr__checker *c, const char *name, double error, double limit) {
  cr_report *r = c->report;
  for (int k = 0; k < r->n_tests; k++) {
    cr_check_test *t = &c->test[k];
    if (strcmp(t->name, name)) continue;
    bool worse = !(error <= limit) || (t->passed && error > t->error);
    if (worse) t->error = error, t->limit = limit;
    t->passed = t->passed && error <= limit;
    if (!t->passed) r->verdict = CR_DISAGREE;
    return;
  }
  if (r->n_tests == c->test_capacity) return;
  c->test[r->n_tests++] = (cr_check_test){name, error, limit, error <= limit};
  if (!(error <= limit)) r->verdict = CR_DISAGREE;
}

/* "W[1, 2]" for coordinate i of x[k]. */
static const char *coordinate_label(cr__checker *c, int k, int64_t i) {
  const cr__replica *r = c->replica;
  if (!r) return c->names && c->names[i] ? c->names[i] : cr__keep_text(c->tape, "x[%lld]", (long long)i);
  cr_var x = r->user_x[k];
  const char *name = cr_name_of(x);
  cr_array a = cr_view(x);
  char text[256];
  size_t n = (size_t)(name ? snprintf(text, 128, "%.100s", name) : snprintf(text, 128, "x%d", k));
  for (int d = 0; d < a.rank; d++) {
    int64_t below = 1;
    for (int j = d + 1; j < a.rank; j++) below *= a.dim[j];
    n += (size_t)snprintf(text + n, sizeof text - n, "%s%lld", d ? ", " : "[", (long long)(i / below % a.dim[d]));
  }
  return cr__keep_text(c->tape, "%s%s", text, a.rank ? "]" : "");
}

/* Coordinates and directions */

static double *numbers(cr__checker *c, int64_t n) { return cr__alloc(c->tape, (size_t)(n ? n : 1) * sizeof(double)); }

static void random_unit(double *u, int64_t n, uint64_t seed) {
  for (int64_t k = 0; k < n; k++) u[k] = cr__normal_at(seed, (uint64_t)k);
  double length = cr__norm(u, n);
  for (int64_t k = 0; k < n && length > 0; k++) u[k] /= length;
}

/* Weights of a tensor y; a scalar has the weight 1. */
static void random_weights(const cr__replica *r, double *v, uint64_t seed) {
  for (int64_t k = 0; k < r->m; k++) v[k] = r->m == 1 ? 1 : 0.25 + fabs(cr__uniform_at(seed, (uint64_t)k));
  for (int64_t k = 0; k < r->m && r->m > 1; k++)
    if (cr__uniform_at(seed + 1, (uint64_t)k) < 0) v[k] = -v[k];
}

static int64_t coordinates_wanted(const cr__checker *c) {
  int64_t most = c->o.max_coordinates;
  return most < 0 ? 0 : c->size < most ? c->size : most;
}

void cr__check_coordinates(cr__checker *c, const double *analytic, const double *v) {
  int64_t n = coordinates_wanted(c);
  cr__path p = {.c = c, .v = v, .point = numbers(c, c->size)};
  double floor = 1e-13 * cr__largest(analytic, c->size);
  if (c->spread) floor += 64 * DBL_EPSILON * (cr__largest(c->spread, c->size) + c->unit);
  if (!p.point) return;
  for (int64_t j = 0; j < n; j++) {
    int64_t i = n < c->size ? j * c->size / n : j;
    if (c->claimed && isnan(c->claimed[i])) continue;
    cr_check_entry *e = new_entry(c);
    int k = 0;
    while (c->replica && k + 1 < c->replica->n && i >= c->replica->offset[k + 1]) k++;
    e->input = k;
    e->index = c->replica ? i - c->replica->offset[k] : i;
    e->label = coordinate_label(c, k, e->index);
    e->analytic = analytic[i];
    p.i = i;
    cr__line l = cr__line_of(&p);
    cr__judge(c, &l, e, isfinite(floor) ? floor : 0);
    if (c->claimed) cr__judge_claim(c, e);
    count_entry(c, e);
  }
}

static bool all_finite(const double *a, int64_t n) {
  for (int64_t k = 0; k < n; k++)
    if (!isfinite(a[k])) return false;
  return true;
}

static double difference(const double *a, const double *b, int64_t n) {
  double m = 0;
  for (int64_t k = 0; k < n; k++) {
    double d = a[k] == b[k] || (isnan(a[k]) && isnan(b[k])) ? 0 : fabs(a[k] - b[k]);
    m = d > m || isnan(d) ? d : m;
  }
  return isnan(m) ? HUGE_VAL : m;
}

static double relative(double d, double scale) { return d == 0 ? 0 : scale > 0 ? d / scale : HUGE_VAL; }

/* How far the nodes that were recorded from first on, and read end to end as value, move when every value on the way to them
 * is computed with a relative error, per unit of it: times the rounding unit, what cancellation may leave of rounding. */
static void find_spread(cr__checker *c, uint32_t first, const cr_var *nodes, const double *value, double *spread) {
  enum { TRIALS = 3 };
  const double unit = 0x1p-24;
  cr__replica *r = c->replica;
  uint64_t here = cr__replica_branches(r);
  double *near = numbers(c, c->size), *moved = numbers(c, c->size);
  memset(spread, 0, (size_t)c->size * sizeof *spread);
  for (uint64_t trial = 0; near && moved && trial < TRIALS; trial++) {
    r->noise = unit, r->noise_seed = c->o.seed + (trial << 40);
    for (int64_t k = 0; k < c->size; k++) near[k] = r->point[k] * (1 + unit * cr__uniform_at(r->noise_seed, (uint64_t)k));
    bool ok = cr__replica_move(r, near) && cr__replica_branches(r) == here && cr__replica_recompute(r, first);
    if (ok) cr__replica_collect(r, nodes, moved);
    for (int64_t k = 0; ok && k < c->size; k++) {
      double d = fabs(moved[k] - value[k]) / unit;
      if (isfinite(d)) spread[k] = fmax(spread[k], d);
    }
    r->noise = 0;
  }
  cr__replica_move(r, r->point);
}

/* The symbolic gradient of sum(v * y) and its spread. */
static bool symbolic_gradient(cr__checker *c, const double *v, double *g, double *spread) {
  cr__replica *r = c->replica;
  cr_mark mark = cr_mark_here(r->tape);
  cr_var *nodes = cr__alloc(r->tape, (size_t)r->n * sizeof *nodes);
  bool ok = nodes && cr_vjp(r->y, cr__replica_cotangent(r, v), r->n, r->x, nodes) == CR_OK;
  if (ok) {
    cr__replica_collect(r, nodes, g);
    find_spread(c, mark.nodes, nodes, g, spread);
  }
  cr__rewind(r->tape, mark);
  return ok;
}

static bool forward_mode(cr__checker *c, const double *u, double *jvp) {
  cr__replica *r = c->replica;
  cr_mark mark = cr_mark_here(r->tape);
  cr_var *moved = cr__alloc(r->tape, (size_t)r->n * sizeof *moved), tangent;
  bool ok = moved && cr__replica_tangents(r, u, moved) && cr_jvp(1, &r->y, r->n, r->x, moved, &tangent) == CR_OK;
  if (ok) cr_read(tangent, jvp, r->m);
  cr__rewind(r->tape, mark);
  return ok;
}

/* The engine against itself */

static void check_repeats(cr__checker *c, const double *v, const double *g) {
  cr__replica *r = c->replica;
  double *again = numbers(c, c->size), *weights = numbers(c, r->m);
  if (!again || !weights) return;
  double before = cr__replica_value(r, v);
  cr__replica_move(r, r->point);
  double after = cr__replica_value(r, v);
  note_test(c, "value computed twice", before == after || (isnan(before) && isnan(after)) ? 0 : 1, 0);
  if (cr__replica_gradient(r, v, again)) note_test(c, "gradient computed twice", difference(again, g, c->size), 0);
  memset(weights, 0, (size_t)r->m * sizeof *weights);
  if (all_finite(g, c->size) && cr__replica_gradient(r, weights, again))
    note_test(c, "cotangent zero", all_finite(again, c->size) ? cr__largest(again, c->size) : HUGE_VAL, 0);
  for (int64_t k = 0; k < r->m; k++) weights[k] = 2 * (v ? v[k] : 1);
  if (!cr__replica_gradient(r, weights, again)) return;
  for (int64_t k = 0; k < c->size; k++) again[k] /= 2;
  note_test(c, "cotangent doubled", difference(again, g, c->size), 0);
}

static void check_direction(cr__checker *c, int number) {
  cr__replica *r = c->replica;
  uint64_t seed = c->o.seed + 1000 * (uint64_t)(number + 1);
  int64_t n = c->size, m = r->m;
  double *u = numbers(c, n), *v = numbers(c, m), *g = numbers(c, n), *symbolic = numbers(c, n), *jvp = numbers(c, m);
  double *spread = numbers(c, n);
  cr__path p = {.c = c, .u = u, .v = v, .point = numbers(c, n)};
  if (!u || !v || !g || !symbolic || !jvp || !spread || !p.point) return;
  random_unit(u, n, seed);
  random_weights(r, v, seed + 1);
  cr__replica_move(r, r->point);
  if (!cr__replica_gradient(r, v, g) || !symbolic_gradient(c, v, symbolic, spread) || !forward_mode(c, u, jvp)) return;
  double most = cr__largest(spread, n), slack = 64 * DBL_EPSILON * (1 + 0.01 * r->n_values);
  note_test(c, "symbolic = numeric reverse", relative(difference(symbolic, g, n), cr__largest(g, n) + most + c->unit),
            slack);
  if (!all_finite(g, n) || !all_finite(jvp, m)) return;
  double a = cr__dot(v, jvp, m), b = cr__dot(g, u, n), terms = c->unit + cr__norm(v, m) * cr__norm(jvp, m);
  for (int64_t k = 0; k < n; k++) terms += fabs(g[k] * u[k]) + spread[k] * fabs(u[k]);
  note_test(c, "forward = reverse", relative(fabs(a - b), terms), slack);
  cr_check_entry *e = new_entry(c);
  e->label = cr__keep_text(c->tape, "direction %d", number + 1);
  e->analytic = b;
  cr__line l = cr__line_of(&p);
  cr__judge(c, &l, e, 1e-13 * terms);
  count_entry(c, e);
  cr__replica_move(r, r->point);
}

/* H u three ways: forward over reverse, reverse over reverse, reverse over forward. spread is that of the first. */
static bool hessian_times(cr__checker *c, const double *v, const double *u, double *const out[3], double *spread) {
  cr__replica *r = c->replica;
  cr_mark mark = cr_mark_here(r->tape);
  cr_var *g = cr__alloc(r->tape, 3 * (size_t)r->n * sizeof *g), *tangent = g + r->n, *h = tangent + r->n, j;
  cr_var cotangent = cr__replica_cotangent(r, v);
  bool ok = g && cotangent.id && cr__replica_tangents(r, u, tangent);
  ok = ok && cr_vjp(r->y, cotangent, r->n, r->x, g) == CR_OK && cr_jvp(r->n, g, r->n, r->x, tangent, h) == CR_OK;
  if (ok) {
    cr__replica_collect(r, h, out[0]);
    find_spread(c, mark.nodes, h, out[0], spread);
    cr__replica_recompute(r, mark.nodes);
  }
  ok = ok && cr_vjp_many(r->n, g, tangent, r->n, r->x, h) == CR_OK;
  if (ok) cr__replica_collect(r, h, out[1]);
  ok = ok && cr_jvp(1, &r->y, r->n, r->x, tangent, &j) == CR_OK && cr_vjp(j, cotangent, r->n, r->x, h) == CR_OK;
  if (ok) cr__replica_collect(r, h, out[2]);
  cr__rewind(r->tape, mark);
  return ok;
}

static void check_second_order(cr__checker *c, int number) {
  cr__replica *r = c->replica;
  uint64_t seed = c->o.seed + 1000 * (uint64_t)(number + 1) + 500;
  int64_t n = c->size;
  double *block = numbers(c, 12 * n), *v = numbers(c, r->m);
  if (!block || !v) return;
  double *u = block, *w = block + n, *hu[3] = {block + 2 * n, block + 3 * n, block + 4 * n};
  double *hw[3] = {block + 5 * n, block + 6 * n, block + 7 * n}, *spread_u = block + 8 * n, *spread_w = block + 9 * n;
  random_unit(u, n, seed), random_unit(w, n, seed + 1), random_weights(r, v, seed + 2);
  cr__replica_move(r, r->point);
  if (!hessian_times(c, v, u, hu, spread_u) || !hessian_times(c, v, w, hw, spread_w)) return;
  if (!all_finite(hu[0], n) || !all_finite(hw[0], n)) return;
  /* where the Hessian is nothing but cancellation, what cancels sets the scale */
  double size = fmax(cr__norm(hu[0], n), cr__norm(hw[0], n)) + fmax(cr__largest(spread_u, n), cr__largest(spread_w, n));
  size = fmax(size, fmax(1e-3 * c->gradient_size, c->unit / c->reach));
  note_test(c, "reverse over reverse = forward over reverse", relative(difference(hu[1], hu[0], n), size), 1e-12);
  note_test(c, "reverse over forward = forward over reverse", relative(difference(hu[2], hu[0], n), size), 1e-12);
  note_test(c, "symmetry of the Hessian", relative(fabs(cr__dot(w, hu[0], n) - cr__dot(u, hw[0], n)), size), 1e-12);
  if (c->report->kinks) return;
  cr__path p = {.c = c, .u = u, .v = v, .w = w, .point = block + 10 * n, .gradient = block + 11 * n};
  cr_check_entry e = {.analytic = cr__dot(w, hu[0], n)};
  cr__line l = cr__line_of(&p);
  cr__judge(c, &l, &e, 1e-10 * size);
  if (e.verdict == CR_AGREE || e.verdict == CR_DISAGREE) {
    double error = relative(fabs(e.analytic - e.numeric), size);
    note_test(c, "second order by differences", error, e.verdict == CR_AGREE ? fmax(error, 1e-9) : 1e-9);
  }
  cr__replica_move(r, r->point);
}

/* The user's tape: its value and gradient against the copy's. In float32 they may differ by rounding as it is magnified. */
static void check_original(cr__checker *c, cr_var y, const double *v, const double *g) {
  cr__replica *r = c->replica;
  cr_tape *t = y.tape;
  bool single = cr_dtype_of(y) == CR_FLOAT32, leaves = true;
  for (int k = 0; k < r->n; k++) {
    single = single || cr_dtype_of(r->user_x[k]) == CR_FLOAT32;
    leaves = leaves && !cr_op_of(r->user_x[k]);
  }
  if (!leaves || t->option[CR_ROUND_DIGITS] || c->size == 0) return;
  cr_mark mark = cr_mark_here(t);
  double *have = numbers(c, c->size);
  cr_array a = cr_view(y);
  cr_var cotangent = cr__is_record(t, y.id) ? cr_constant_of(t, (cr_dtype)a.dtype, a.rank, a.dim, NULL) : cr_const(t, 1);
  cr_array weights = cr_view(cotangent);
  for (int64_t k = 0; cotangent.id && cr__is_record(t, y.id) && k < a.count; k++) cr_array_set(&weights, k, v ? v[k] : 1);
  cr_sweep *s = have && cotangent.id ? cr_backward_from(y, cotangent) : NULL;
  for (int k = 0; s && k < r->n; k++) cr_adjoint_read(s, r->user_x[k], have + r->offset[k], r->offset[k + 1] - r->offset[k]);
  if (s && !single)
    note_test(c, "gradient on the tape = on the copy", relative(difference(have, g, c->size), cr__largest(g, c->size)),
              4 * DBL_EPSILON);
  if (s && single) {
    double worst = 0, size = cr__largest(g, c->size);
    for (int64_t k = 0; k < c->size && isfinite(size); k++) {
      double limit = 64 * (double)FLT_EPSILON * (fabs(g[k]) + c->spread[k]) + 4 * (double)FLT_EPSILON * size + 1e-37;
      double d = isfinite(have[k]) || fabs(g[k]) < 1e37 ? fabs(have[k] - g[k]) / limit : 0;
      worst = d > worst || isnan(d) ? d : worst;
    }
    note_test(c, "float32 gradient (in units of its error bound)", worst, 1);
  }
  cr_sweep_release(s);
  cr__rewind(t, mark);
}

/* Putting it together */

bool cr__take_options(cr__checker *c, const cr_check_options *o) {
  if (o && o->struct_size != sizeof *o) {
    cr_fail(c->tape, CR_BAD_ARGUMENT, "check: struct_size of the options must be sizeof(cr_check_options)");
    return false;
  }
  if (o) c->o = *o;
  if (!c->o.order) c->o.order = 2;
  if (!c->o.directions) c->o.directions = 3;
  if (!c->o.max_coordinates) c->o.max_coordinates = 64;
  if (!(c->o.tolerance > 0)) c->o.tolerance = 1e-9;
  return true;
}

bool cr__open_report(cr__checker *c) {
  cr_tape *t = c->tape;
  int64_t entries = coordinates_wanted(c) + (c->o.directions > 0 ? c->o.directions : 0);
  c->test_capacity = 16;
  c->report = cr__alloc(t, sizeof *c->report);
  c->entry = cr__alloc(t, (size_t)entries * sizeof *c->entry);
  c->test = cr__alloc(t, (size_t)c->test_capacity * sizeof *c->test);
  if (!c->report || !c->entry || !c->test) return false;
  *c->report = (cr_report){.entry = c->entry, .test = c->test, .diagnosis = "", .text = ""};
  return true;
}

cr_status cr__close_report(cr__checker *c, cr_report **out) {
  cr_report *r = c->report;
  if (c->replica) r->evaluations = c->replica->evaluations;
  r->text = cr__report_table(c->tape, r);
  if (c->tape->error != CR_OK) return c->tape->error;
  if (out) *out = r;
  return r->verdict == CR_DISAGREE ? CR_MISMATCH : CR_OK;
}

bool cr__open_replica(cr__checker *c, cr_var y, int n, const cr_var *x) {
  cr_tape *t = c->tape;
  if (!cr__valid(t, y)) return false;
  if (n < 1 || !y.id || cr_dtype_of(y) < CR_FLOAT32) {
    cr_fail(t, n < 1 || !y.id ? CR_BAD_ARGUMENT : CR_NOT_DIFFERENTIABLE, "check: %s",
            n < 1   ? "no input is given"
            : !y.id ? "the output is the poison node"
                    : "the output is not float64 or float32");
    return false;
  }
  for (int k = 0; k < n; k++) {
    if (!cr__valid(t, x[k])) return false;
    if (!x[k].id || cr_dtype_of(x[k]) < CR_FLOAT32) {
      cr_fail(t, CR_NOT_DIFFERENTIABLE, "check: input %d is not float64 or float32", k);
      return false;
    }
  }
  c->replica = cr__replica_new(y, n, x);
  if (!c->replica) return false;
  c->size = c->replica->size;
  c->point = c->replica->point;
  return true;
}

static void run_checks(cr__checker *c, cr_var y) {
  cr__replica *r = c->replica;
  double *g = numbers(c, c->size), *symbolic = numbers(c, c->size), *v = c->o.weighted ? numbers(c, r->m) : NULL;
  double *spread = numbers(c, c->size);
  if (!g || !symbolic || !spread || (c->o.weighted && !v)) return;
  if (v) random_weights(r, v, c->o.seed + 77);
  if (!cr__replica_gradient(r, v, g) || !symbolic_gradient(c, v, symbolic, spread)) return;
  int directions = !c->size || !r->m ? 0 : c->size < c->o.directions ? (int)c->size : c->o.directions;
  c->spread = spread;
  c->gradient_size = cr__norm(g, c->size);
  c->reach = cr__largest(c->point, c->size) > 0 ? cr__largest(c->point, c->size) : 1;
  c->unit = cr__replica_terms(r, v) / c->reach;
  check_repeats(c, v, g);
  check_original(c, y, v, g);
  for (int k = 0; k < directions; k++) check_direction(c, k);
  cr__check_coordinates(c, g, v);
  cr__replica_move(r, r->point);
  for (int k = 0; k < directions && c->o.order > 1 && all_finite(g, c->size); k++) check_second_order(c, k);
}

cr_status cr__pass_error(cr__checker *c) {
  cr_tape *t = c->tape;
  if (c->replica && c->replica->tape->error != CR_OK)
    cr_fail(t, c->replica->tape->error, "check: %s", c->replica->tape->error_text);
  return t->error;
}

cr_status cr__check_graph(cr_var y, int n, const cr_var *x, const cr_check_options *options, bool diagnose,
                          cr_report **report) {
  cr__checker c = {.tape = y.tape};
  if (report) *report = NULL;
  if (!y.tape) return CR_WRONG_TAPE;
  if (!cr__take_options(&c, options) || !cr__open_replica(&c, y, n, x) || !cr__open_report(&c)) return cr__pass_error(&c);
  run_checks(&c, y);
  cr_status status = cr__pass_error(&c);
  if (status == CR_OK && diagnose && c.report->verdict == CR_DISAGREE) {
    const char *text = cr__diagnose_rules(&c);
    if (text) c.report->diagnosis = text;
  }
  if (status == CR_OK) status = cr__close_report(&c, report);
  cr__replica_free(c.replica);
  return status;
}

cr_status cr_check(cr_var y, int n, const cr_var *x, const cr_check_options *options, cr_report **report) {
  return cr__check_graph(y, n, x, options, true, report);
}
