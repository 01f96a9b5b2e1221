/* How a printed number came about: exact, rounded, rounded on the way, cut off, the consequence of an earlier error, or
 * wrong. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lesson.h"

const char *const judgement_text[N_JUDGEMENTS] = {
    "exact", "correctly rounded", "carried rounding", "truncated", "cascade", "holds", "wrong"};

enum { MOST_NAMES = 10 };

/* Numbers */

bool prints_as(double x, double printed, int digits) {
  double unit = pow(10, -digits);
  return fabs(x - printed) <= 0.5 * unit * (1 + 1e-9) + 1e-15 * fabs(x);
}

static bool cuts_to(double x, double printed, int digits) {
  double scale = pow(10, digits);
  return fabs(trunc(x * scale * (1 + 1e-15)) - printed * scale) < 1e-6;
}

/* The decimal nearest to x, as one rounds by hand. */
const char *decimal_text(pool *p, double x, int digits) {
  double scale = pow(10, digits), scaled = fabs(x) * scale;
  return pool_text(p, "%.*f", digits, copysign(floor(scaled + 0.5 + scaled * 4e-16) / scale, x));
}

const char *short_text(pool *p, double x) {
  char text[40];
  return pool_text(p, "%s", cr_number_text(x, 6, text));
}

const char *shown_name(pool *p, const char *name) {
  const char *d = name[0] == 'd' && name[1] ? strstr(name, "_d") : NULL;
  return d ? pool_text(p, "%.*s/%s", (int)(d - name), name, d + 1) : name;
}

/* Names and their values */

int names_in(tree s, const char **name, int room) {
  int n = 0;
  if (s->kind == CR_NAME && room) name[n++] = s->text;
  for (tree k = s->first; k; k = k->next) {
    const char *more[64];
    int m = names_in(k, more, 64);
    for (int i = 0; i < m; i++) {
      bool known = false;
      for (int j = 0; j < n; j++) known |= !strcmp(name[j], more[i]);
      if (!known && n < room) name[n++] = more[i];
    }
  }
  return n;
}

double value_of(lesson *l, const char *name) {
  cr_var v = cr_program_value(l->program, name);
  cr_clear_error(l->tape);
  return cr_is_poison(v) || cr_count(v) != 1 ? (double)NAN : cr_value(v);
}

static bool is_defined(const lesson *l, const char *name) {
  for (int k = 0; k < l->n_definitions; k++)
    if (!strcmp(l->definition[k].name, name)) return true;
  return strstr(name, "_d") != NULL; /* derivatives are computed too */
}

static const claim *latest_claim(const lesson *l, const claim *before, const char *key) {
  for (const claim *c = before - 1; c >= l->claim; c--)
    if (c->numeric && c->key && !strcmp(c->key, key)) return c;
  return NULL;
}

static bool is_good(const claim *c) { return c->verdict < CASCADE; }

/* What a name stands for in a replay: exact, or as it is printed; computed numbers that are not printed count as rounded. */
static double value_in(lesson *l, const claim *now, const char *name, const replay *how, bool exact, int decimals) {
  double truth = value_of(l, name);
  const claim *c = latest_claim(l, now, name);
  if (how->values == AS_IS || exact || isnan(truth)) return truth;
  if (c && (is_good(c) || how->values == AS_PRINTED_WRONGLY)) return c->printed;
  return is_defined(l, name) ? strtod(decimal_text(&l->pool, truth, decimals), NULL) : truth;
}

double replay_value(lesson *l, tree formula, const replay *how, int decimals) {
  const char *name[64];
  int n = names_in(formula, name, 64);
  const claim *now = &l->claim[l->n_claims - 1];
  cr_mark mark = cr_mark_here(l->tape);
  cr_program *p = cr_program_new(l->tape, CR_FLOAT64);
  for (int i = 0; p && i < n; i++) {
    bool exact = how->subset && i < MOST_NAMES && !(how->subset >> i & 1);
    double x = value_in(l, now, name[i], how, exact, decimals);
    cr_var whole = cr_program_value(l->program, name[i]);
    cr_clear_error(l->tape);
    if (isfinite(x)) cr_program_bind(p, name[i], cr_const(l->tape, x));
    else if (!cr_is_poison(whole)) cr_program_bind(p, name[i], whole);
  }
  cr_set(l->tape, CR_ROUND_DIGITS, how->decimals);
  cr_var v = p ? cr_program_eval(p, formula) : cr_poison(l->tape);
  double x = cr_is_poison(v) || cr_count(v) != 1 ? (double)NAN : cr_value(v);
  cr_set(l->tape, CR_ROUND_DIGITS, 0);
  cr_clear_error(l->tape);
  cr_reset(l->tape, mark);
  return x;
}

tree formula_of(lesson *l, const claim *c) {
  if (c->by) return tree_parse(&l->pool, l->tape, c->by);
  for (int k = l->n_definitions - 1; c->key && k >= 0; k--)
    if (!strcmp(l->definition[k].name, c->key)) return tree_parse(&l->pool, l->tape, l->definition[k].formula);
  return NULL;
}

/* The formula with the numbers of a replay in it: "(1.755 - 4)*0.777". */
static const char *figures(lesson *l, const claim *c, tree formula, const replay *how) {
  const char *name[64];
  int n = names_in(formula, name, 64), m = 0;
  tree_binding with[64];
  for (int i = 0; i < n; i++) {
    bool exact = how->subset && i < MOST_NAMES && !(how->subset >> i & 1);
    double x = value_in(l, c, name[i], how, exact, c->digits);
    if (isfinite(x)) with[m++] = (tree_binding){name[i], tree_number(&l->pool, strtod(short_text(&l->pool, x), NULL))};
  }
  cr_buffer b = {.tape = l->tape};
  put_figures(&b, tree_replace(&l->pool, formula, m, with));
  const char *text = pool_text(&l->pool, "%s", b.text ? b.text : "");
  cr_buffer_free(&b);
  return text;
}

/* Hand calculation: with the numbers that were printed before, in full or rounded at every step, or some of them printed. */
static bool was_carried(lesson *l, claim *c, tree f) {
  const char *name[64];
  int n = names_in(f, name, 64);
  replay how = {.values = AS_PRINTED};
  double x = replay_value(l, f, &how, c->digits);
  if (prints_as(x, c->printed, c->digits)) {
    c->why = pool_text(&l->pool, "%s = %s", figures(l, c, f, &how), short_text(&l->pool, x));
    return true;
  }
  how.decimals = c->digits ? c->digits : 1;
  if (prints_as(replay_value(l, f, &how, c->digits), c->printed, c->digits)) {
    c->why = pool_text(&l->pool, "%s with every step rounded to %d decimals", figures(l, c, f, &how), how.decimals);
    return true;
  }
  how.decimals = 0;
  for (how.subset = 1; n <= MOST_NAMES && how.subset < 1u << n; how.subset++) {
    x = replay_value(l, f, &how, c->digits);
    if (!prints_as(x, c->printed, c->digits)) continue;
    c->why = pool_text(&l->pool, "%s = %s", figures(l, c, f, &how), short_text(&l->pool, x));
    return true;
  }
  return false;
}

/* The claim before this one that was wrong, or the consequence of one, and that the formula uses. */
static int cause_of(const lesson *l, const claim *c, tree f) {
  const char *name[64];
  int n = names_in(f, name, 64);
  for (int i = 0; i < n; i++) {
    const claim *before = latest_claim(l, c, name[i]);
    if (before && !is_good(before)) return (int)(before - l->claim);
  }
  return -1;
}

static bool follows(lesson *l, claim *c, tree f) {
  replay how = {.values = AS_PRINTED_WRONGLY};
  int cause = cause_of(l, c, f);
  if (cause < 0) return false;
  bool here = prints_as(replay_value(l, f, &how, c->digits), c->printed, c->digits);
  how.decimals = c->digits;
  if (!here && !(c->digits && prints_as(replay_value(l, f, &how, c->digits), c->printed, c->digits))) return false;
  const claim *root = &l->claim[cause];
  c->cause = cause;
  c->why = pool_text(&l->pool, "follows from %s = %s", shown_name(&l->pool, root->key), root->right);
  if (root->line) c->why = pool_text(&l->pool, "%s (line %d)", c->why, root->line);
  return true;
}

void judge_claim(lesson *l, claim *c) {
  tree f = formula_of(l, c);
  c->correct = decimal_text(&l->pool, c->truth, c->digits);
  if (fabs(c->truth - c->printed) <= 1e-9 * fmax(1e-300, fabs(c->truth)) || c->truth == c->printed) c->verdict = EXACT;
  else if (prints_as(c->truth, c->printed, c->digits)) c->verdict = ROUNDED;
  else if (f && was_carried(l, c, f)) c->verdict = CARRIED;
  else if (f && follows(l, c, f)) c->verdict = CASCADE;
  else if (cuts_to(c->truth, c->printed, c->digits)) {
    c->verdict = TRUNCATED;
    c->why = pool_text(&l->pool, "cut off; %s rounds to %s", short_text(&l->pool, c->truth), c->correct);
  } else {
    c->verdict = WRONG;
    if (!name_slip(l, c) && !c->note) c->why = "no known slip gives this number";
  }
}
