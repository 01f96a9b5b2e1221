/* Which slip reproduces a wrong number: each candidate is the right calculation with one thing done wrong. */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lesson.h"

typedef struct search {
  lesson *l;
  claim *c;
  tree formula; /* NULL: only what can be seen from the two numbers */
} search;

static bool hit(const search *s, double x) { return isfinite(x) && prints_as(x, s->c->printed, s->c->digits); }

/* With the exact numbers, and with those that were printed before. */
static bool reproduces(const search *s, tree changed) {
  replay exact = {.values = AS_IS}, printed = {.values = AS_PRINTED};
  return hit(s, replay_value(s->l, changed, &exact, s->c->digits)) ||
         hit(s, replay_value(s->l, changed, &printed, s->c->digits));
}

static bool found(const search *s, const char *why) {
  s->c->why = why;
  return true;
}

/* Seen from the numbers alone */

static bool sign(const search *s) { return hit(s, -s->c->truth) && found(s, "the sign is wrong"); }

static bool factor_two(const search *s) {
  if (hit(s, 2 * s->c->truth)) return found(s, "factor 2: twice the right number, a 1/2 is missing");
  return hit(s, s->c->truth / 2) && found(s, "factor 1/2: half the right number, a 1/2 too many");
}

/* Sizes that a mean may have been taken over: axes of the tensors, and whole numbers that the formula divides by. */
static int counts_in(const search *s, double *count, int room) {
  int n = 0;
  const char *name;
  for (int k = 0; (name = cr_program_name(s->l->program, k)) && n < room; k++) {
    cr_var v = cr_program_value(s->l->program, name);
    for (int i = 0; !cr_is_poison(v) && i < cr_rank(v) && n < room; i++) count[n++] = (double)cr_dim(v, i);
  }
  cr_clear_error(s->l->tape);
  for (int k = 3; k <= 10 && n < room; k++) count[n++] = k;
  return n;
}

static bool count_factor(const search *s) {
  double count[64];
  int n = counts_in(s, count, 64);
  for (int i = 0; i < n; i++) {
    if (count[i] < 3) continue;
    if (hit(s, s->c->truth * count[i]))
      return found(s, pool_text(&s->l->pool, "factor n: %g times the right number, a 1/%g is missing", count[i], count[i]));
    if (hit(s, s->c->truth / count[i]))
      return found(s, pool_text(&s->l->pool, "factor 1/n: the right number divided by %g", count[i]));
  }
  return false;
}

/* One digit apart from what should have been printed. */
static bool typo(const search *s) {
  const char *right = s->c->correct, *printed = decimal_text(&s->l->pool, s->c->printed, s->c->digits);
  int apart = 0;
  if (!s->c->digits || strlen(right) != strlen(printed)) return false;
  for (size_t i = 0; right[i]; i++) apart += right[i] != printed[i];
  return apart == 1 && found(s, pool_text(&s->l->pool, "one digit is wrong: %s for %s", s->c->right, right));
}

/* Seen from the formula */

static bool with_other_name(const search *s, const char *name, const char *other) {
  if (isnan(value_of(s->l, other)) || value_of(s->l, other) == value_of(s->l, name)) return false;
  tree_binding with = {name, tree_name(&s->l->pool, other)};
  return reproduces(s, tree_replace(&s->l->pool, s->formula, 1, &with));
}

/* w12 for w21: the last two digits of the stem the other way round. */
static bool transposed(const search *s) {
  const char *name[64];
  int n = names_in(s->formula, name, 64);
  for (int i = 0; i < n; i++) {
    char *other = pool_text(&s->l->pool, "%s", name[i]);
    size_t stem = strcspn(other, "_");
    if (stem < 3 || !isdigit((unsigned char)other[stem - 1]) || !isdigit((unsigned char)other[stem - 2])) continue;
    char swap = other[stem - 1];
    other[stem - 1] = other[stem - 2];
    other[stem - 2] = swap;
    if (with_other_name(s, name[i], other))
      return found(s, pool_text(&s->l->pool, "transposed index: %s was used for %s", other, name[i]));
  }
  return false;
}

/* Values from before the step, one or all of them. */
static bool stale(const search *s) {
  const char *name[64];
  int n = names_in(s->formula, name, 64), m = 0;
  tree_binding with[64];
  for (int i = 0; i < n; i++) {
    const char *end = strstr(name[i], "_new");
    if (!end || end[4]) continue;
    const char *old = pool_text(&s->l->pool, "%.*s", (int)(end - name[i]), name[i]);
    if (with_other_name(s, name[i], old))
      return found(s, pool_text(&s->l->pool, "stale value: the old %s was used for %s", old, name[i]));
    with[m++] = (tree_binding){name[i], tree_name(&s->l->pool, old)};
  }
  return m > 1 && reproduces(s, tree_replace(&s->l->pool, s->formula, m, with)) &&
         found(s, "stale values: those from before the step");
}

/* An update a - b that starts from another number of the lesson than a. */
static bool wrong_start(const search *s) {
  tree f = s->formula;
  if (f->kind != CR_BINARY || f->text[0] != '-' || f->first->kind != CR_NAME) return false;
  const char *start = f->first->text, *other;
  for (int k = 0; (other = cr_program_name(s->l->program, k)); k++) {
    if (isnan(value_of(s->l, other)) || !strcmp(other, start)) continue;
    tree changed = tree_binary(&s->l->pool, "-", tree_name(&s->l->pool, other), f->first->next);
    if (!reproduces(s, changed)) continue;
    return found(s,
                 pool_text(&s->l->pool, "wrong start value: starts from %s instead of %s",
                           short_text(&s->l->pool, value_of(s->l, other)), short_text(&s->l->pool, value_of(s->l, start))));
  }
  return false;
}

/* The formula without one of the factors of its products: h in the place of h*(1 - h). */
static tree without(pool *p, tree s, tree factor) {
  bool product = s->kind == CR_BINARY && s->text[0] == '*' && !s->text[1];
  if (!product) return NULL;
  if (s->first == factor) return s->first->next;
  if (s->first->next == factor) return s->first;
  tree left = without(p, s->first, factor);
  if (left) return tree_binary(p, "*", left, s->first->next);
  tree right = without(p, s->first->next, factor);
  return right ? tree_binary(p, "*", s->first, right) : NULL;
}

static bool missing_factor_below(const search *s, tree at) {
  if (at->kind != CR_BINARY || at->text[0] != '*' || at->text[1]) return false;
  for (tree k = at->first; k; k = k->next) {
    tree changed = without(&s->l->pool, s->formula, k);
    if (changed && reproduces(s, changed)) {
      const char *text = tree_text(&s->l->pool, s->l->tape, k);
      return found(s, pool_text(&s->l->pool, "a factor is missing: %s", text));
    }
  }
  return missing_factor_below(s, at->first) || missing_factor_below(s, at->first->next);
}
static bool missing_factor(const search *s) { return missing_factor_below(s, s->formula); }

static bool other_name(const search *s) {
  const char *name[64], *other;
  int n = names_in(s->formula, name, 64);
  for (int i = 0; i < n; i++)
    for (int k = 0; (other = cr_program_name(s->l->program, k)); k++)
      if (strcmp(other, name[i]) && with_other_name(s, name[i], other))
        return found(s, pool_text(&s->l->pool, "%s was used for %s", shown_name(&s->l->pool, other),
                                  shown_name(&s->l->pool, name[i])));
  return false;
}

bool name_slip(lesson *l, claim *c) {
  static bool (*const from_numbers[])(const search *) = {sign, factor_two, count_factor};
  static bool (*const from_formula[])(const search *) = {transposed, stale, wrong_start};
  search s = {l, c, formula_of(l, c)};
  for (size_t i = 0; i < sizeof from_numbers / sizeof *from_numbers; i++)
    if (from_numbers[i](&s)) return true;
  for (size_t i = 0; s.formula && i < sizeof from_formula / sizeof *from_formula; i++)
    if (from_formula[i](&s)) return true;
  if (typo(&s)) return true;
  return s.formula && (missing_factor(&s) || other_name(&s));
}
