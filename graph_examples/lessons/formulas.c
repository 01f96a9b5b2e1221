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
  } scales[] = {
      {-1, "the sign is wrong"}, {2, "a factor 2 is missing"}, {0.5, "a factor 2 too many"}, {-2, "sign and a factor 2"}};
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
      if (fits(s, scaled(p, s->printed, 1 / n), pool_text(p, "a factor 1/n is missing: it is n = %g times too large", n)))
        return true;
      if (fits(s, scaled(p, tree_negative(p, s->printed), 1 / n), pool_text(p, "the sign, and a factor 1/n with n = %g", n)))
        return true;
    }
  }
  for (int k = 0; (name = cr_program_name(s->l->program, k)); k++) {
    cr_var v = cr_program_value(s->l->program, name);
    if (cr_is_poison(v) || cr_count(v) != 1 || cr_rank(v)) continue;
    if (fits(s, tree_binary(p, "/", s->printed, tree_name(p, name)), pool_text(p, "a factor %s too many", name)))
      return true;
    if (fits(s, tree_binary(p, "*", s->printed, tree_name(p, name)), pool_text(p, "a factor %s is missing", name)))
      return true;
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
static tree turn_fraction(pool *p, tree s) {
  if (!is_binary(s, "/")) return NULL;
  bool minus = left(s)->kind == CR_UNARY && left(s)->text[0] == '-';
  tree down = minus ? left(s)->first : left(s);
  return tree_binary(p, "/", minus ? tree_negative(p, right(s)) : right(s), down);
}
static tree flip_sign(pool *p, tree s) {
  if (is_binary(s, "+")) return tree_binary(p, "-", left(s), right(s));
  return is_binary(s, "-") ? tree_binary(p, "+", left(s), right(s)) : NULL;
}
/* a*b*c as a - b*c */
static tree product_to_difference(pool *p, tree s) {
  if (!is_binary(s, "*")) return NULL;
  if (!is_binary(left(s), "*")) return tree_binary(p, "-", left(s), right(s));
  tree inner = product_to_difference(p, left(s));
  return tree_binary(p, "-", left(inner), tree_binary(p, "*", right(inner), right(s)));
}
static tree exchange_products(pool *p, tree s) {
  if (is_binary(s, "*")) return tree_binary(p, "@", left(s), right(s));
  return is_binary(s, "@") ? tree_binary(p, "*", left(s), right(s)) : NULL;
}
static tree square(pool *p, tree s) { return s->kind == CR_CALL ? tree_binary(p, "^", s, tree_number(p, 2)) : NULL; }

/* The tree with another child in the place of one. */
static tree with_child(pool *p, tree s, tree old, tree new) {
  cr_syntax *copy = pool_take(p, sizeof *copy), **link = &copy->first;
  *copy = *s;
  copy->next = NULL;
  for (tree k = s->first; k; k = k->next, link = &(*link)->next) {
    *link = pool_take(p, sizeof **link);
    **link = k == old ? *new : *k;
    (*link)->next = NULL;
  }
  return copy;
}

/* The tree with the edit made at its place-th node, counted from the root; NULL when it does not apply there. */
static tree edited(pool *p, tree s, edit how, int *place) {
  if (!(*place)--) return how(p, s);
  for (tree k = s->first; k && *place >= 0; k = k->next) {
    tree changed = edited(p, k, how, place);
    if (changed) return with_child(p, s, k, changed);
  }
  return NULL;
}

static bool wrong_place(const search *s) {
  static const struct {
    edit how;
    const char *why;
  } edits[] = {{turn_fraction, "a fraction is upside down"},
               {flip_sign, "a sign inside is wrong"},
               {product_to_difference, "a minus sign was lost"},
               {swap_product, "the factors of the matrix product are in the wrong order"},
               {exchange_products, "the wrong kind of product"},
               {square, "a square is missing"}};
  int n = tree_size(s->printed);
  for (size_t i = 0; i < sizeof edits / sizeof *edits; i++)
    for (int k = 0; k < n; k++) {
      int place = k;
      tree changed = edited(&s->l->pool, s->printed, edits[i].how, &place);
      if (changed && fits(s, changed, edits[i].why)) return true;
    }
  return false;
}

/* The name replaced at the place-th node only; NULL when it does not stand there. */
static tree renamed(pool *p, tree s, const tree_binding *with, int *place) {
  if (!(*place)--) return s->kind == CR_NAME && !strcmp(s->text, with->name) ? tree_replace(p, s, 1, with) : NULL;
  for (tree k = s->first; k && *place >= 0; k = k->next) {
    tree changed = renamed(p, k, with, place);
    if (changed) return with_child(p, s, k, changed);
  }
  return NULL;
}

static bool is_transposed_name(const char *a, const char *b) {
  size_t n = strlen(a);
  return n > 2 && strlen(b) == n && !strncmp(a, b, n - 2) && a[n - 1] == b[n - 2] && a[n - 2] == b[n - 1];
}

/* One name for another, wherever it stands; then in one place only. */
static bool wrong_name(const search *s) {
  const char *name[64], *other;
  pool *p = &s->l->pool;
  int n = names_in(s->printed, name, 64);
  for (int i = 0; i < n; i++)
    for (int k = 0; (other = cr_program_name(s->l->program, k)); k++) {
      if (!strcmp(other, name[i])) continue;
      const char *what = is_transposed_name(other, name[i]) ? "transposed index: " : "";
      const char *why = pool_text(p, "%s%s is written for %s", what, name[i], other);
      tree_binding with = {name[i], tree_name(p, other)};
      if (fits(s, tree_replace(p, s->printed, 1, &with), why)) return true;
      for (int place = 0; place < tree_size(s->printed); place++) {
        int at = place;
        tree changed = renamed(p, s->printed, &with, &at);
        if (changed && fits(s, changed, why)) return true;
      }
    }
  return false;
}

/* An index that is wrong in several names at once: q1, z1 for q2, z2. */
static bool wrong_index(const search *s) {
  const char *name[64];
  pool *p = &s->l->pool;
  int n = names_in(s->printed, name, 64);
  for (char from = '1'; from <= '9'; from++)
    for (char to = '1'; to <= '9'; to++) {
      tree_binding with[64];
      int m = 0;
      for (int i = 0; i < n; i++) {
        size_t length = strlen(name[i]);
        if (length != 2 || name[i][1] != from) continue;
        char *other = pool_text(p, "%c%c", name[i][0], to);
        if (cr_is_poison(cr_program_value(s->l->program, other))) continue;
        with[m++] = (tree_binding){name[i], tree_name(p, other)};
      }
      /* all of them, or all but one, which has the index by right */
      for (int skip = -1; m > 1 && skip < m; skip++) {
        tree_binding some[64];
        int k = 0;
        for (int i = 0; i < m; i++)
          if (i != skip) some[k++] = with[i];
        if (fits(s, tree_replace(p, s->printed, k, some), pool_text(p, "index %c is written for %c", from, to))) return true;
      }
    }
  cr_clear_error(s->l->tape);
  return false;
}

/* grad(L, Y) for which the derivative with respect to something else is printed. */
static bool wrong_variable(const search *s) {
  lesson *l = s->l;
  tree call = tree_parse(&l->pool, l->tape, s->c->left);
  if (call->kind != CR_CALL || strcmp(call->text, "grad") || call->first->kind != CR_NAME) return false;
  cr_var y = cr_program_value(l->program, call->first->text), v = evaluate_tree(l, s->printed);
  const char *name;
  cr_mark mark = cr_mark_here(l->tape);
  cr_sweep *sweep = cr_is_poison(y) || cr_is_poison(v) ? NULL : cr_backward(y);
  bool found = false;
  for (int k = 0; sweep && !found && (name = cr_program_name(l->program, k)); k++) {
    cr_var x = cr_program_value(l->program, name);
    if (cr_is_poison(x) || !cr_is_input(x) || cr_dtype_of(x) < CR_FLOAT32) continue;
    found = same_numbers(cr_adjoint_var(sweep, x), v);
    if (found) s->c->why = pool_text(&l->pool, "it is the derivative with respect to %s", name);
  }
  cr_clear_error(l->tape);
  cr_reset(l->tape, mark);
  return found;
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
  if (wrong_scale(&s) || wrong_variable(&s) || wrong_shape(&s) || wrong_place(&s) || wrong_name(&s) || wrong_index(&s) ||
      sign_and_place(&s))
    return;
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
