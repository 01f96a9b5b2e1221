/* What went wrong: the slips that people make with derivatives, tried one after the other until one reproduces the numbers
 * that were claimed. */
#include <stdio.h>

#include "checking.h"

enum { MOST_COUNTS = 48, MOST_WORK = 20000000 };

typedef struct slip {
  cr__checker *c;
  const double *truth, *claimed;
  double *try; /* the candidate */
  int64_t n;
  double size; /* of the gradient */
  double counts[MOST_COUNTS];
  int n_counts;
  const char *found;
} slip;

static bool agrees(const slip *s, double claimed, double candidate) {
  if (s->c->o.digits > 0) return fabs(claimed - candidate) <= 0.51 * pow(10, -s->c->o.digits);
  return fabs(claimed - candidate) <= 1e-6 * fmax(fabs(claimed), fabs(candidate)) + 1e-10 * s->size;
}

static bool known(const slip *s, int64_t k) { return !isnan(s->claimed[k]) && !isnan(s->truth[k]); }

/* The candidate gives every number that was claimed. */
static bool reproduces(const slip *s) {
  for (int64_t k = 0; k < s->n; k++)
    if (known(s, k) && !agrees(s, s->claimed[k], s->try[k])) return false;
  return true;
}

static bool found(slip *s, const char *text) {
  s->found = text;
  return true;
}

/* Factors that all numbers share */

static bool try_factor(slip *s, double factor) {
  for (int64_t k = 0; k < s->n; k++) s->try[k] = factor * s->truth[k];
  return reproduces(s);
}

static void add_count(slip *s, double n) {
  if (n < 2 || s->n_counts == MOST_COUNTS) return;
  for (int k = 0; k < s->n_counts; k++)
    if (s->counts[k] == n) return;
  s->counts[s->n_counts++] = n;
}

/* Lengths that a mean may or may not have divided by. */
static void collect_counts(slip *s) {
  const cr__replica *r = s->c->replica;
  for (int k = 0; k < s->c->o.n_counts; k++) add_count(s, (double)s->c->o.counts[k]);
  if (!r) add_count(s, (double)s->n);
  for (uint32_t id = 1; r && id < r->n_copied; id++) {
    if (!cr__is_record(r->tape, id)) continue;
    cr_array a = cr__array_of(r->tape, id);
    for (int i = 0; i < a.rank; i++) add_count(s, (double)a.dim[i]);
    add_count(s, (double)a.count);
  }
}

/* In words, what a factor on a derivative usually comes from; NULL for no usual one. */
static const char *factor_words(const slip *s, double factor, const char *whose) {
  cr_tape *t = s->c->tape;
  if (factor == -1) return cr__keep_text(t, "%s has the wrong sign", whose);
  if (factor == 2)
    return cr__keep_text(t, "%s is twice too large (a factor 1/2 is missing, or the square was differentiated twice)",
                         whose);
  if (factor == 0.5)
    return cr__keep_text(t, "%s is half of what it should be (the factor 2 of the square is missing)", whose);
  for (int k = 0; k < s->n_counts; k++) {
    int n = (int)s->counts[k];
    if (factor == n)
      return cr__keep_text(t, "%s is %d times too large (sum instead of mean over %d: the factor 1/n is missing)", whose, n,
                           n);
    if (factor == 1.0 / n) return cr__keep_text(t, "%s is %d times too small (mean instead of sum over %d)", whose, n, n);
    if (factor == 2.0 / n) return cr__keep_text(t, "%s is 2/%d of what it should be", whose, n);
    if (factor == 0.5 * n) return cr__keep_text(t, "%s is %d/2 times too large", whose, n);
    if (factor == -1.0 * n || factor == -1.0 / n)
      return cr__keep_text(t, "%s has the wrong sign, and a factor %g", whose, fabs(factor));
  }
  return NULL;
}

static bool try_factors(slip *s) {
  static const double plain[] = {-1, 2, 0.5};
  static const char whose[] = "the claimed gradient";
  for (int k = 0; k < 3; k++)
    if (try_factor(s, plain[k])) return found(s, factor_words(s, plain[k], whose));
  for (int k = 0; k < s->n_counts; k++) {
    const double n = s->counts[k], factor[] = {n, 1 / n, 2 / n, 0.5 * n, -n, -1 / n};
    for (int j = 0; j < 6; j++)
      if (try_factor(s, factor[j])) return found(s, factor_words(s, factor[j], whose));
  }
  return false;
}

/* Right numbers in wrong places, or from the wrong point */

static void transpose(double *out, const double *in, const cr_array *a) {
  int64_t rows = a->dim[a->rank - 2], columns = a->dim[a->rank - 1];
  for (int64_t batch = 0; batch < a->count; batch += rows * columns)
    for (int64_t i = 0; i < rows; i++)
      for (int64_t j = 0; j < columns; j++) out[batch + j * rows + i] = in[batch + i * columns + j];
}

static bool try_transposed(slip *s) {
  const cr__replica *r = s->c->replica;
  for (int k = 0; r && k < r->n; k++) {
    cr_array a = cr_view(r->x[k]);
    if (a.rank < 2 || !a.count) continue;
    memcpy(s->try, s->truth, (size_t)s->n * sizeof *s->try);
    transpose(s->try + r->offset[k], s->truth + r->offset[k], &a);
    const char *name = cr_name_of(r->user_x[k]);
    if (reproduces(s))
      return found(s, cr__keep_text(s->c->tape, "the gradient of %s is transposed", name ? name : "the matrix"));
  }
  return false;
}

static bool gradient_at(slip *s, const double *point) {
  cr__checker *c = s->c;
  if (c->replica) return cr__replica_move(c->replica, point) && cr__replica_gradient(c->replica, NULL, s->try);
  const double *here = c->point;
  cr__path p = {.c = c, .point = cr__alloc(c->tape, (size_t)s->n * sizeof(double))};
  c->point = point;
  for (p.i = 0; p.point && p.i < s->n; p.i++) {
    cr__line l = cr__line_of(&p);
    s->try[p.i] = cr__line_open(&l) ? cr__slope_of(&l).value : (double)NAN;
  }
  c->point = here;
  return p.point != NULL;
}

static bool try_stale(slip *s) {
  bool same = false;
  for (int k = 0; k < s->c->o.n_points && !same; k++) {
    same = gradient_at(s, s->c->o.points[k]) && reproduces(s);
    if (same)
      found(s, cr__keep_text(s->c->tape, "the claimed gradient was taken at other values (given point %d): a stale value",
                             k + 1));
  }
  if (s->c->replica) cr__replica_move(s->c->replica, s->c->point);
  return same;
}

/* Claims that do not agree with the truth: how many, and the first two. */
static int64_t wrong_ones(const slip *s, int64_t first[2]) {
  int64_t n = 0;
  for (int64_t k = 0; k < s->n; k++) {
    if (!known(s, k) || agrees(s, s->claimed[k], s->truth[k])) continue;
    if (n < 2) first[n] = k;
    n++;
  }
  return n;
}

static const char *label_of(const slip *s, int64_t i) {
  const cr__checker *c = s->c;
  for (int k = 0; k < c->report->n_entries; k++) {
    const cr_check_entry *e = &c->entry[k];
    if (e->input >= 0 && (c->replica ? c->replica->offset[e->input] : 0) + e->index == i) return e->label;
  }
  return cr__keep_text(c->tape, "number %lld", (long long)i);
}

static bool try_swapped(slip *s) {
  int64_t at[2];
  if (wrong_ones(s, at) != 2) return false;
  memcpy(s->try, s->truth, (size_t)s->n * sizeof *s->try);
  s->try[at[0]] = s->truth[at[1]], s->try[at[1]] = s->truth[at[0]];
  return reproduces(s) &&
         found(s, cr__keep_text(s->c->tape, "%s and %s are swapped", label_of(s, at[0]), label_of(s, at[1])));
}

/* Slips on the way: what one op hands to one of its operands is left out, or has a wrong factor */

/* B = the share of the gradient that goes from node id through its operand k, in try. */
static bool share_through(slip *s, cr_var cotangent, uint32_t operand) {
  cr__replica *r = s->c->replica;
  cr_sweep *sweep = cr_backward_from(cr__handle(r->tape, operand), cotangent);
  for (int k = 0; sweep && k < r->n; k++)
    cr_adjoint_read(sweep, r->x[k], s->try + r->offset[k], r->offset[k + 1] - r->offset[k]);
  cr_sweep_release(sweep);
  return sweep != NULL;
}

/* The candidate truth + share * amount; the share is lost. */
static bool try_share(slip *s, const double *share, double amount) {
  for (int64_t k = 0; k < s->n; k++) s->try[k] = s->truth[k] + amount * share[k];
  return reproduces(s);
}

static bool try_amounts(slip *s, uint32_t id, uint32_t operand, const double *share) {
  static const struct {
    double amount;
    const char *words;
  } slips[] = {{-1, "is left out (overwritten instead of added, or forgotten)"},
               {-2, "has the wrong sign"},
               {1, "is counted twice"},
               {-0.5, "is halved"}};
  cr_tape *user = s->c->replica->user;
  char text[200], other[200];
  for (int k = 0; k < 4; k++)
    if (try_share(s, share, slips[k].amount))
      return found(s,
                   cr__keep_text(s->c->tape, "what %s hands back to %s %s",
                                 cr__node_text(user, s->c->replica->origin[id], text, sizeof text),
                                 cr__node_text(user, s->c->replica->origin[operand], other, sizeof other), slips[k].words));
  return false;
}

/* Wrong local derivatives of a row: d' for d, as the numbers that people put there. */
static double slipped(int which, double d, double a, double y, const cr_row *row, int k, double b) {
  switch (which) {
    case 0: return 1;
    case 1: return y;
    case 2: return 1 - y;
    case 3: return a;
    case 4: return d * d;
    case 5: return 1 / d;
    default: return k == 0 ? row->partial[0](y, b, row->value(y, b)) : (double)NAN;
  }
}
static const char *const slip_words[] = {"the factor %s is missing",
                                         "its value stands in place of the derivative %s",
                                         "one minus its value stands in place of the derivative %s",
                                         "its operand stands in place of the derivative %s",
                                         "the factor %s is squared",
                                         "the factor %s divides instead of multiplying",
                                         "the derivative %s is taken at its value instead of its operand"};
enum { SLIPS = sizeof slip_words / sizeof *slip_words };

static bool try_row(slip *s, uint32_t id, int k, const cr_sweep *main_sweep, double *share) {
  cr__replica *r = s->c->replica;
  cr_tape *t = r->tape;
  const cr_row *row = t->op[cr__op_number(t, id)]->row;
  int n;
  const uint32_t *in = cr__operands(t, id, &n);
  uint32_t operand = in[k];
  cr_array y = cr__array_of(t, id), a = cr__array_of(t, in[0]), b = cr__array_of(t, in[n - 1]), x = cr__array_of(t, operand);
  double *bar = cr__replica_numbers(r, y.count), *off = cr__replica_numbers(r, y.count);
  if (!bar || !off || cr_adjoint_read(main_sweep, cr__handle(t, id), bar, y.count) != CR_OK) return false;
  for (int which = 0; which < SLIPS; which++) {
    bool any = false;
    for (int64_t j = 0; j < y.count; j++) {
      double p = cr_array_get(&a, j), q = cr_array_get(&b, j), out = cr_array_get(&y, j), d = row->partial[k](p, q, out);
      off[j] = bar[j] * (slipped(which, d, cr_array_get(&x, j), out, row, k, q) - d);
      any = any || off[j] != 0;
    }
    cr_var cotangent = cr__is_record(t, operand) ? cr_constant_of(t, CR_FLOAT64, x.rank, x.dim, off) : cr_const(t, off[0]);
    if (!any || !cotangent.id || !share_through(s, cotangent, operand)) continue;
    memcpy(share, s->try, (size_t)s->n * sizeof *share);
    if (!try_share(s, share, 1)) continue;
    char text[200], words[256], factor[160], number[40] = "";
    uint32_t origin = r->origin[id];
    if (y.count == 1)
      cr_number_text(row->partial[k](cr_array_get(&a, 0), cr_array_get(&b, 0), cr_array_get(&y, 0)), 6, number);
    snprintf(factor, sizeof factor, "%s%s%s", row->partial_text[k], *number ? " = " : "", number);
    snprintf(words, sizeof words, slip_words[which], factor);
    return found(s, cr__keep_text(s->c->tape, "at %s: %s", cr__node_text(r->user, origin, text, sizeof text), words));
  }
  return false;
}

static bool try_node(slip *s, uint32_t id, cr_sweep *main_sweep, double *share) {
  cr__replica *r = s->c->replica;
  cr_tape *t = r->tape;
  const cr_op *op = t->op[cr__op_number(t, id)];
  int n;
  const uint32_t *in = cr__operands(t, id, &n);
  if (n > 8 || cr__array_of(t, id).dtype < CR_FLOAT32) return false;
  unsigned char wanted[8];
  cr_var d[8];
  for (int k = 0; k < n; k++) wanted[k] = cr__differentiable(t, in[k]);
  if (cr__apply_vjp(t, id, cr_adjoint_var(main_sweep, cr__handle(t, id)), wanted, d) != CR_OK) return false;
  bool hit = false;
  for (int k = 0; k < n && !hit; k++) {
    uint32_t operand = cr__operands(t, id, &n)[k];
    if (!d[k].id || !wanted[k] || !share_through(s, d[k], operand)) continue;
    memcpy(share, s->try, (size_t)s->n * sizeof *share);
    hit = (op->row && op->row->partial[0] && try_row(s, id, k, main_sweep, share)) || try_amounts(s, id, operand, share);
    if (!hit && share_through(s, d[k], operand)) { /* try_row worked in share */
      memcpy(share, s->try, (size_t)s->n * sizeof *share);
      hit = try_amounts(s, id, operand, share);
    }
  }
  return hit;
}

static bool try_nodes(slip *s) {
  cr__replica *r = s->c->replica;
  if (!r || (int64_t)r->n_values * (r->tape->count + s->n) > MOST_WORK) return false;
  double *share = cr__replica_numbers(r, s->n);
  cr_sweep *sweep = share ? cr_backward(r->y) : NULL;
  bool hit = false;
  for (uint32_t k = 0; sweep && k < r->n_values && !hit; k++) {
    cr_mark mark = cr_mark_here(r->tape);
    hit = try_node(s, r->moving[k], sweep, share);
    cr__rewind(r->tape, mark);
  }
  cr_sweep_release(sweep);
  return hit;
}

/* One number alone */

/* Decimals as written: one digit differs, or two neighbours are exchanged. */
static bool is_typo(double claimed, double truth, int digits) {
  char a[64], b[64];
  int n = snprintf(a, sizeof a, "%.*f", digits, claimed), m = snprintf(b, sizeof b, "%.*f", digits, truth), off = 0, at = 0;
  if (n != m || n >= (int)sizeof a) return false;
  for (int k = 0; k < n; k++)
    if (a[k] != b[k]) off++, at = k;
  return off == 1 || (off == 2 && at > 0 && a[at] == b[at - 1] && a[at - 1] == b[at]);
}

static bool try_single(slip *s, bool unexplained) {
  int64_t at[2], right = 0;
  if (wrong_ones(s, at) != 1) return false;
  for (int64_t k = 0; k < s->n; k++) right += known(s, k);
  const char *label = label_of(s, at[0]), *words = NULL;
  static const double factors[] = {-1, 2, 0.5};
  for (int k = 0; k < 3 && !words; k++)
    if (agrees(s, s->claimed[at[0]], factors[k] * s->truth[at[0]])) words = factor_words(s, factors[k], "it");
  if (!words && s->c->o.digits > 0 && is_typo(s->claimed[at[0]], s->truth[at[0]], s->c->o.digits))
    words = "a single digit is mistyped";
  if (right < 2 ? !words : !words && !unexplained) return false;
  if (right < 2) return found(s, words);
  return found(s, cr__keep_text(s->c->tape, "only %s is wrong%s%s", label, words ? ": " : "", words ? words : ""));
}

static bool try_any_factor(slip *s) {
  int64_t best = -1;
  int64_t counted = 0;
  for (int64_t k = 0; k < s->n; k++) {
    if (!known(s, k)) continue;
    counted += s->truth[k] != 0;
    if (best < 0 || fabs(s->truth[k]) > fabs(s->truth[best])) best = k;
  }
  if (counted < 2 || s->claimed[best] == 0) return false;
  double factor = s->claimed[best] / s->truth[best];
  char number[40];
  return try_factor(s, factor) && found(s, cr__keep_text(s->c->tape, "every claimed number is %s times the true one",
                                                         cr_number_text(factor, 6, number)));
}

const char *cr__diagnose_claims(cr__checker *c, const double *truth, const double *claimed) {
  slip s = {.c = c, .truth = truth, .claimed = claimed, .n = c->size};
  s.try = cr__alloc(c->tape, (size_t)(s.n ? s.n : 1) * sizeof *s.try);
  if (!s.try) return NULL;
  for (int64_t k = 0; k < s.n; k++)
    if (known(&s, k)) s.size = fmax(s.size, fabs(truth[k]));
  collect_counts(&s);
  bool hit = try_factors(&s) || try_transposed(&s) || try_stale(&s) || try_swapped(&s) || try_single(&s, false) ||
             try_nodes(&s) || try_single(&s, true) || try_any_factor(&s);
  return hit ? s.found : NULL;
}
