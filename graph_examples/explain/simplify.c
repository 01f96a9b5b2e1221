/* Simplification by a few stated rules: products and sums are taken apart, like factors and like terms joined, and put
 * together again in the order in which they first appeared. */
#include <math.h>
#include <string.h>

#include "symbols.h"

enum { MOST_PARTS = 64 };

static bool is_binary(tree s, char op) { return s->kind == CR_BINARY && s->text[0] == op && !s->text[1]; }
static tree left(tree s) { return s->first; }
static tree right(tree s) { return s->first->next; }

/* Products: (up / down) times powers of factors. */

typedef struct product {
  double up, down; /* numeric factors */
  int n, place;    /* place: of the number among the factors, where the first one stood */
  tree base[MOST_PARTS];
  double power[MOST_PARTS];
  bool full;
} product;

static void add_factor(product *f, tree base, double power) {
  for (int i = 0; i < f->n; i++)
    if (tree_same(f->base[i], base)) {
      f->power[i] += power;
      return;
    }
  if (f->n == MOST_PARTS) {
    f->full = true;
    return;
  }
  f->base[f->n] = base;
  f->power[f->n++] = power;
}

static void factors_of(product *f, tree s, double power) {
  if (is_binary(s, '*') || is_binary(s, '/')) {
    factors_of(f, left(s), power);
    factors_of(f, right(s), s->text[0] == '*' ? power : -power);
  } else if (s->kind == CR_UNARY && s->text[0] == '-' && power == floor(power)) {
    if (fmod(power, 2) != 0) f->up = -f->up;
    factors_of(f, s->first, power);
  } else if (s->kind == CR_NUMBER && power == 1) {
    if (f->up == 1 && f->down == 1) f->place = f->n;
    f->up *= s->number;
  } else if (s->kind == CR_NUMBER && power == -1) {
    f->down *= s->number;
  } else if (is_binary(s, '^') && right(s)->kind == CR_NUMBER && right(s)->number == floor(right(s)->number)) {
    bool nested = is_binary(left(s), '^');
    if (nested) factors_of(f, left(s), power * right(s)->number);
    else add_factor(f, left(s), power * right(s)->number);
  } else {
    add_factor(f, s, power);
  }
}

static tree power_of(pool *p, tree base, double power) {
  return power == 1 ? base : tree_binary(p, "^", base, tree_number(p, power));
}

static tree times(pool *p, tree a, tree b) { return a ? tree_binary(p, "*", a, b) : b; }

static tree rebuild_product(pool *p, product *f, double sign) {
  tree up = NULL, down = NULL;
  double quotient = f->up / f->down;
  if (f->up == 0) return tree_number(p, 0);
  if (quotient == floor(quotient) || f->down == 1) f->up = quotient, f->down = 1;
  double back = f->down / f->up;
  if (f->down != 1 && back == floor(back) && fabs(back) > 1) f->up = 1, f->down = back;
  if (f->down < 0) f->up = -f->up, f->down = -f->down;
  if (f->up < 0) sign = -sign, f->up = -f->up;
  if (f->down != 1) down = tree_number(p, f->down);
  for (int i = 0; i <= f->n; i++) {
    if (i == f->place && f->up != 1) up = times(p, up, tree_number(p, f->up));
    if (i == f->n) break;
    if (f->power[i] > 0) up = times(p, up, power_of(p, f->base[i], f->power[i]));
    if (f->power[i] < 0) down = times(p, down, power_of(p, f->base[i], -f->power[i]));
  }
  if (!up) up = tree_number(p, 1);
  tree s = down ? tree_binary(p, "/", up, down) : up;
  return sign < 0 ? tree_negative(p, s) : s;
}

static tree simplify_product(pool *p, tree s) {
  product f = {.up = 1, .down = 1};
  factors_of(&f, s, 1);
  if (f.full || f.down == 0 || !isfinite(f.up) || !isfinite(f.down)) return s;
  return rebuild_product(p, &f, 1);
}

/* Sums: numbers times terms. */

typedef struct sum {
  int n;
  tree term[MOST_PARTS];
  double times[MOST_PARTS];
  double constant;
  bool full;
} sum;

/* The number in front of a product, and what is left of it. */
static double coefficient(pool *p, tree s, tree *rest) {
  double sign = 1;
  if (s->kind == CR_UNARY && s->text[0] == '-') sign = -1, s = s->first;
  *rest = s;
  if (!is_binary(s, '*')) return sign;
  product f = {.up = 1, .down = 1};
  factors_of(&f, s, 1);
  if (f.full || f.down != 1 || f.up == 1) return sign;
  double number = f.up;
  f.up = 1;
  *rest = rebuild_product(p, &f, 1);
  return sign * number;
}

static void terms_of(pool *p, sum *f, tree s, double sign) {
  tree rest;
  if (is_binary(s, '+') || is_binary(s, '-')) {
    terms_of(p, f, left(s), sign);
    terms_of(p, f, right(s), s->text[0] == '+' ? sign : -sign);
    return;
  }
  if (s->kind == CR_UNARY && s->text[0] == '-' && (is_binary(s->first, '+') || is_binary(s->first, '-'))) {
    terms_of(p, f, s->first, -sign);
    return;
  }
  if (s->kind == CR_NUMBER) {
    f->constant += sign * s->number;
    return;
  }
  double times = sign * coefficient(p, s, &rest);
  for (int i = 0; i < f->n; i++)
    if (tree_same(f->term[i], rest)) {
      f->times[i] += times;
      return;
    }
  if (f->n == MOST_PARTS) {
    f->full = true;
    return;
  }
  f->term[f->n] = rest;
  f->times[f->n++] = times;
}

static tree plus(pool *p, tree s, tree term, double sign) {
  if (!s) return sign < 0 ? tree_negative(p, term) : term;
  return tree_binary(p, sign < 0 ? "-" : "+", s, term);
}

/* The first positive term comes first, so that the sum does not begin with a sign. */
static void lead_with_positive(sum *f) {
  int first = 0;
  while (first < f->n && f->times[first] <= 0) first++;
  if (first == f->n) return;
  tree term = f->term[first];
  double times = f->times[first];
  for (; first > 0; first--) f->term[first] = f->term[first - 1], f->times[first] = f->times[first - 1];
  f->term[0] = term;
  f->times[0] = times;
}

/* A constant keeps its place in front (1 - h) unless that would begin the sum with a sign. */
static tree simplify_sum(pool *p, tree s) {
  sum f = {0};
  tree first = s, result = NULL;
  while (is_binary(first, '+') || is_binary(first, '-')) first = left(first);
  terms_of(p, &f, s, 1);
  if (f.full || !isfinite(f.constant)) return s;
  bool ahead = f.constant != 0 && first->kind == CR_NUMBER;
  if (ahead) result = tree_number(p, f.constant);
  lead_with_positive(&f);
  for (int i = 0; i < f.n; i++) {
    if (f.times[i] == 0) continue;
    double size = fabs(f.times[i]);
    tree term = size == 1 ? f.term[i] : simplify_product(p, tree_binary(p, "*", tree_number(p, size), f.term[i]));
    result = plus(p, result, term, f.times[i]);
  }
  if (f.constant != 0 && !ahead)
    result = plus(p, result, tree_number(p, result ? fabs(f.constant) : f.constant), result ? f.constant : 1);
  return result ? result : tree_number(p, 0);
}

/* Everything else */

static bool compared(const char *op, double a, double b) {
  if (op[0] == '<') return op[1] ? a <= b : a < b;
  if (op[0] == '>') return op[1] ? a >= b : a > b;
  return op[0] == '=' ? a == b : a != b;
}

static tree simplify_power(pool *p, tree s) {
  tree a = left(s), b = right(s);
  if (tree_is_number(b, 1)) return a;
  if (tree_is_number(b, 0) || tree_is_number(a, 1)) return tree_number(p, 1);
  if (a->kind == CR_NUMBER && b->kind == CR_NUMBER && a->integral && b->integral && b->number >= 0 && b->number <= 8)
    return tree_number(p, pow(a->number, b->number));
  return s;
}

static tree simplify_root(pool *p, tree s) {
  if (s->kind == CR_CALL && !strcmp(s->text, "pow") && s->first && s->first->next && !s->first->next->next)
    s = tree_binary(p, "^", left(s), right(s));
  bool where = s->kind == CR_CALL && !strcmp(s->text, "where") && s->first && s->first->kind == CR_NUMBER && s->first->next;
  if (where && s->first->next->next) return s->first->number != 0 ? s->first->next : s->first->next->next;
  if (s->kind == CR_CHOICE && s->first->kind == CR_NUMBER)
    return s->first->number != 0 ? s->first->next : s->first->next->next;
  if (s->kind == CR_UNARY && s->text[0] == '-' && s->first->kind == CR_NUMBER) return tree_number(p, -s->first->number);
  if (s->kind == CR_UNARY && s->text[0] == '-') return simplify_product(p, s);
  if (s->kind != CR_BINARY) return s;
  if (is_binary(s, '*') || is_binary(s, '/')) return simplify_product(p, s);
  if (is_binary(s, '+') || is_binary(s, '-')) return simplify_sum(p, s);
  if (is_binary(s, '^')) return simplify_power(p, s);
  bool numbers = left(s)->kind == CR_NUMBER && right(s)->kind == CR_NUMBER;
  if (numbers && strchr("<>=!", s->text[0])) return tree_number(p, compared(s->text, left(s)->number, right(s)->number));
  if (numbers && s->text[0] == '&') return tree_number(p, left(s)->number != 0 && right(s)->number != 0);
  if (numbers && s->text[0] == '|') return tree_number(p, left(s)->number != 0 || right(s)->number != 0);
  if (s->text[0] == '&' && (tree_is_number(left(s), 0) || tree_is_number(right(s), 0))) return tree_number(p, 0);
  return s;
}

tree tree_simplify(pool *p, tree s) {
  if (!s->first) return s;
  cr_syntax *c = pool_take(p, sizeof *c), **link;
  *c = *s;
  c->next = NULL;
  link = &c->first;
  for (tree k = s->first; k; k = k->next, link = &(*link)->next) {
    *link = pool_take(p, sizeof **link);
    **link = *tree_simplify(p, k);
    (*link)->next = NULL;
  }
  return simplify_root(p, c);
}
