/* Claims that are formulas: does it give the numbers that the engine gets? If not, which change would make it right? */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "lesson.h"

cr_var evaluate_tree(lesson *l, tree s) {
  cr_var v = cr_program_eval(l->program, s);
  if (!cr_is_poison(v)) return v;
  snprintf(l->error, sizeof l->error, "%s", cr_error_text(l->tape));
  cr_clear_error(l->tape);
  return v;
}

/* Equal in shape and, to rounding, in every element. */
static bool same_numbers(cr_var a, cr_var b) {
  cr_array x = cr_view(a), y = cr_view(b);
  if (x.rank != y.rank) return false;
  for (int i = 0; i < x.rank; i++)
    if (x.dim[i] != y.dim[i]) return false;
  for (int64_t k = 0; k < x.count; k++) {
    double p = cr_array_get(&x, k), q = cr_array_get(&y, k);
    if (!(fabs(p - q) <= 1e-9 * fmax(1, fabs(p)))) return false;
  }
  return true;
}

typedef struct search {
  lesson *l;
  claim *c;
  cr_var truth;
  tree printed;
} search;

/* Is this what should have been printed? */
static bool fits(const search *s, tree changed, const char *why) {
  cr_mark mark = cr_mark_here(s->l->tape);
  cr_var v = evaluate_tree(s->l, changed);
  bool good = !cr_is_poison(v) && same_numbers(s->truth, v);
  cr_reset(s->l->tape, mark);
  if (!good) return false;
  s->c->why = why;
  s->c->correct = tree_text(&s->l->pool, s->l->tape, changed);
  return true;
}

/* Changes of the whole */

static tree scaled(pool *p, tree s, double factor) {
  if (factor == -1) return tree_negative(p, s);
  if (factor < 1) return tree_binary(p, "/", s, tree_number(p, 1 / factor));
  return tree_binary(p, "*", tree_number(p, factor), s);
}

static bool wrong_scale(const search *s) {
  static const struct {
    double factor;
    const char *why;
  } scales[] = {{-1, "the sign is wrong"}, {2, "a factor 2 is missing"}, {0.5, "a factor 2 too many"}, {-2, "sign and a factor 2"}};
  pool *p = &s->l->pool;
  for (size_t i = 0; i < sizeof scales / sizeof *scales; i++)
    if (fits(s, scaled(p, s->printed, scales[i].factor), scales[i].why)) return true;
  const char *name;
  for (int k = 0; (name = cr_program_name(s->l->program, k)); k++) {
    cr_var v = cr_program_value(s->l->program, name);
    for (int i = 0; !cr_is_poison(v) && i < cr_rank(v); i++) {
      double n = (double)cr_dim(v, i);
      if (n < 2) continue;
      if (fits(s, scaled(p, s->printed, n), pool_text(p, "a factor n = %g is missing", n))) return true;
      if (fits(s, scaled(p, s->printed, 1 / n), pool_text(p, "a factor 1/n is missing: it is n = %g times too large", n))) return true;
      if (fits(s, scaled(p, tree_negative(p, s->printed), 1 / n), pool_text(p, "the sign, and a factor 1/n with n = %g", n))) return true;
    }
    if (cr_is_poison(v) || cr_count(v) != 1 || cr_rank(v)) continue;
    if (fits(s, tree_binary(p, "/", s->printed, tree_name(p, name)), pool_text(p, "a factor %s too many", name))) return true;
    if (fits(s, tree_binary(p, "*", s->printed, tree_name(p, name)), pool_text(p, "a factor %s is missing", name))) return true;
  }
  cr_clear_error(s->l->tape);
  return false;
}

static bool wrong_shape(const search *s) {
  pool *p = &s->l->pool;
  return fits(s, tree_transpose(p, s->printed), "transposed") ||
         fits(s, tree_call_with(p, "sum", s->printed, "dim", tree_number(p, 0)), "the sum over the rows is missing") ||
         fits(s, tree_call_with(p, "sum", s->printed, "dim", tree_number(p, 1)), "the sum over the columns is missing");
}

/* Changes of one place inside */

typedef tree (*edit)(pool *p, tree s); /* NULL: does not apply here */

static bool is_binary(tree s, const char *op) { return s->kind == CR_BINARY && !strcmp(s->text, op); }
static tree left(tree s) { return s->first; }
static tree right(tree s) { return s->first->next; }

static tree swap_product(pool *p, tree s) { return is_binary(s, "@") ? tree_binary(p, "@", right(s), left(s)) : NULL; }
static tree turn_fraction(pool *p, tree s) { return is_binary(s, "/") ? tree_binary(p, "/", right(s), left(s)) : NULL; }
static tree flip_sign(pool *p, tree s) {
  if (is_binary(s, "+")) return tree_binary(p, "-", left(s), right(s));
  return is_binary(s, "-") ? tree_binary(p, "+", left(s), right(s)) : NULL;
}
static tree product_to_difference(pool *p, tree s) { return is_binary(s, "*") ? tree_binary(p, "-", left(s), right(s)) : NULL; }
static tree exchange_products(pool *p, tree s) {
  if (is_binary(s, "*")) return tree_binary(p, "@", left(s), right(s));
  return is_binary(s, "@") ? tree_binary(p, "*", left(s), right(s)) : NULL;
}
static tree square(pool *p, tree s) { return s->kind == CR_CALL ? tree_binary(p, "^", s, tree_number(p, 2)) : NULL; }

/* The tree with the edit made at its place-th node, counted from the root; NULL when it does not apply there. */
static tree edited(pool *p, tree s, edit how, int *place) {
  if (!(*place)--) return how(p, s);
  cr_syntax *copy = NULL, **link = NULL;
  for (tree k = s->first; k && *place >= 0; k = k->next) {
    int before = *place;
    tree changed = edited(p, k, how, place);
    if (*place >= 0 || !changed) continue;
    (void)before;
    copy = pool_take(p, sizeof *copy);
    *copy = *s;
    copy->next = NULL;
    link = &copy->first;
    for (tree m = s->first; m; m = m->next, link = &(*link)->next) {
      *link = pool_take(p, sizeof **link);
      **link = m == k ? *changed : *m;
      (*link)->next = NULL;
    }
    return copy;
  }
  return NULL;
}

static bool wrong_place(const search *s) {
  static const struct {
    edit how;
    const char *why;
  } edits[] = {{turn_fraction, "a fraction is upside down"}, {flip_sign, "a sign inside is wrong"},
               {product_to_difference, "a minus sign was lost"}, {swap_product, "the factors of the matrix product are in the wrong order"},
               {exchange_products, "the wrong kind of product"}, {square, "a square is missing"}};
  int n = tree_size(s->printed);
  for (size_t i = 0; i < sizeof edits / sizeof *edits; i++)
    for (int k = 0; k < n; k++) {
      int place = k;
      tree changed = edited(&s->l->pool, s->printed, edits[i].how, &place);
      if (changed && fits(s, changed, edits[i].why)) return true;
    }
  return false;
}

static bool is_transposed_name(const char *a, const char *b) {
  size_t n = strlen(a);
  return n > 2 && strlen(b) == n && !strncmp(a, b, n - 2) && a[n - 1] == b[n - 2] && a[n - 2] == b[n - 1];
}

static bool wrong_name(const search *s) {
  const char *name[64], *other;
  pool *p = &s->l->pool;
  int n = names_in(s->printed, name, 64);
  for (int i = 0; i < n; i++)
    for (int k = 0; (other = cr_program_name(s->l->program, k)); k++) {
      if (!strcmp(other, name[i])) continue;
      tree_binding with = {name[i], tree_name(p, other)};
      const char *what = is_transposed_name(other, name[i]) ? "transposed index: " : "";
      if (fits(s, tree_replace(p, s->printed, 1, &with), pool_text(p, "%s%s is written for %s", what, name[i], other))) return true;
    }
  return false;
}

/* Both at once: a lost sign in front and another slip. */
static bool sign_and_place(const search *s) {
  search negative = *s;
  negative.printed = tree_negative(&s->l->pool, s->printed);
  return wrong_place(&negative) || wrong_name(&negative);
}

static const char *numbers_text(lesson *l, cr_var v) {
  cr_array a = cr_view(v);
  char number[40];
  const char *text = "";
  for (int64_t k = 0; k < a.count && k < 6; k++)
    text = pool_text(&l->pool, "%s%s%s", text, k ? ", " : "", cr_number_text(cr_array_get(&a, k), 6, number));
  return pool_text(&l->pool, a.rank ? "[%s%s]" : "%s%s", text, a.count > 6 ? ", ..." : "");
}

void judge_formula(lesson *l, claim *c, cr_var truth, tree printed) {
  search s = {l, c, truth, printed};
  cr_var v = evaluate_tree(l, printed);
  const char *trouble = cr_is_poison(v) ? pool_text(&l->pool, "cannot be computed: %s", l->error) : NULL;
  c->verdict = !trouble && same_numbers(truth, v) ? HOLDS : WRONG;
  c->correct = numbers_text(l, truth);
  if (c->verdict == HOLDS) return;
  if (wrong_scale(&s) || wrong_shape(&s) || wrong_place(&s) || wrong_name(&s) || sign_and_place(&s)) return;
  c->why = trouble ? trouble : pool_text(&l->pool, "gives %s", numbers_text(l, v));
}

bool judge_relation(lesson *l, claim *c, tree relation) {
  if (relation->kind != CR_BINARY || !strchr("<>!=", relation->text[0])) return false;
  cr_var v = evaluate_tree(l, relation), a = evaluate_tree(l, left(relation)), b = evaluate_tree(l, right(relation));
  if (cr_is_poison(v) || cr_count(v) != 1 || cr_is_poison(a) || cr_is_poison(b)) return false;
  c->verdict = cr_value(v) != 0 ? HOLDS : WRONG;
  c->why = pool_text(&l->pool, "%s and %s", numbers_text(l, a), numbers_text(l, b));
  return true;
}
