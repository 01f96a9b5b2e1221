/* einsum: an equation over labelled axes, contracted operand by operand with diagonals, permutations and products. */
#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "matrix.h"

/* Labels are letters; the axes under an ellipsis are numbered from its right end. */
enum { LETTERS = 52, LABELS = LETTERS + CR_MAX_RANK, MAX_OPERANDS = 32 };

typedef struct labels {
  int n, axis[CR_MAX_RANK];
} labels;

typedef struct einsum {
  cr_tape *tape;
  const char *equation;
  int n;
  cr_var operand[MAX_OPERANDS];
  labels at[MAX_OPERANDS], out;
  int64_t size[LABELS]; /* 0 to begin with: unknown is told by seen */
  bool seen[LABELS];
  int ellipsis;         /* the most axes under an ellipsis */
} einsum;

static bool refuse(einsum *e, const char *what) {
  cr_fail(e->tape, CR_BAD_ARGUMENT, "einsum: '%s': %s", e->equation, what);
  return false;
}

static int label_of(char c) {
  if (c >= 'a' && c <= 'z') return c - 'a';
  return c >= 'A' && c <= 'Z' ? c - 'A' + 26 : -1;
}

static bool push(einsum *e, labels *l, int label) {
  if (l->n == CR_MAX_RANK) return refuse(e, "a term has more than 8 axes");
  l->axis[l->n++] = label;
  return true;
}

/* Reads a term up to a comma, an arrow or the end; an ellipsis stands for dots axes. */
static bool read_term(einsum *e, const char **text, labels *l, int dots) {
  const char *p = *text;
  bool ellipsis = false;
  l->n = 0;
  for (; *p && *p != ',' && *p != '-'; p++) {
    if (isspace((unsigned char)*p)) continue;
    if (*p == '.') {
      if (ellipsis || p[1] != '.' || p[2] != '.') return refuse(e, "an ellipsis is three dots, once in a term");
      ellipsis = true;
      p += 2;
      for (int i = dots; i > 0; i--)
        if (!push(e, l, LETTERS + i - 1)) return false;
    } else {
      int label = label_of(*p);
      if (label < 0) return refuse(e, "labels are letters");
      if (!push(e, l, label)) return false;
    }
  }
  *text = p;
  return true;
}

/* Letters of the term at text: the axes of its operand that are not under the ellipsis; -1 without an ellipsis. */
static int dots_in(const char *text, int rank) {
  int letters = 0;
  bool ellipsis = false;
  for (; *text && *text != ',' && *text != '-'; text++) {
    letters += isalpha((unsigned char)*text) != 0;
    ellipsis = ellipsis || *text == '.';
  }
  return ellipsis ? rank - letters : 0;
}

static bool note_sizes(einsum *e, int k) {
  cr_array a = cr_view(e->operand[k]);
  const labels *l = &e->at[k];
  if (l->n != a.rank) {
    cr_fail(e->tape, CR_BAD_SHAPE, "einsum: '%s': operand %d has %d axes, its term %d", e->equation, k + 1, a.rank, l->n);
    return false;
  }
  for (int i = 0; i < l->n; i++) {
    int64_t *size = &e->size[l->axis[i]];
    if (!e->seen[l->axis[i]] || *size == 1) *size = a.dim[i];
    else if (a.dim[i] != *size && a.dim[i] != 1) {
      cr_fail(e->tape, CR_BAD_SHAPE, "einsum: '%s': axis %d of operand %d has size %lld where another has %lld", e->equation,
              i, k + 1, (long long)a.dim[i], (long long)*size);
      return false;
    }
    e->seen[l->axis[i]] = true;
  }
  return true;
}

/* Without an arrow the result has the ellipsis, then in alphabetical order the labels that occur once. */
static bool implicit_output(einsum *e) {
  static const char order[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  for (int i = e->ellipsis; i > 0; i--)
    if (!push(e, &e->out, LETTERS + i - 1)) return false;
  for (const char *c = order; *c; c++) {
    int times = 0;
    for (int k = 0; k < e->n; k++)
      for (int i = 0; i < e->at[k].n; i++) times += e->at[k].axis[i] == label_of(*c);
    if (times == 1 && !push(e, &e->out, label_of(*c))) return false;
  }
  return true;
}

static bool parse(einsum *e) {
  const char *p = e->equation;
  for (int k = 0; k < e->n; k++) {
    int dots = dots_in(p, cr_rank(e->operand[k]));
    if (dots < 0 || dots > CR_MAX_RANK) return refuse(e, "a term has more labels than its operand has axes");
    e->ellipsis = dots > e->ellipsis ? dots : e->ellipsis;
    if (!read_term(e, &p, &e->at[k], dots) || !note_sizes(e, k)) return false;
    if (k < e->n - 1 && *p++ != ',') return refuse(e, "it has fewer terms than there are operands");
  }
  if (*p == ',') return refuse(e, "it has more terms than there are operands");
  if (!*p) return implicit_output(e);
  if (p[0] != '-' || p[1] != '>') return refuse(e, "the result follows an arrow ->");
  p += 2;
  if (!read_term(e, &p, &e->out, e->ellipsis) || *p) return *p ? refuse(e, "the result is one term") : false;
  bool used[LABELS] = {false};
  for (int i = 0; i < e->out.n; i++) {
    int label = e->out.axis[i];
    if (!e->seen[label]) return refuse(e, "a label of the result is in no operand");
    if (used[label]) return refuse(e, "a label appears twice in the result");
    used[label] = true;
  }
  return true;
}

static int find(const labels *l, int label) {
  for (int i = 0; i < l->n; i++)
    if (l->axis[i] == label) return i;
  return -1;
}

static void drop(labels *l, int at) {
  l->n--;
  memmove(l->axis + at, l->axis + at + 1, (size_t)(l->n - at) * sizeof *l->axis);
}

/* A label twice in one operand is its diagonal; an axis of size 1 where the label is larger is broadcast: it goes. */
static void simplify(einsum *e, int k) {
  labels *l = &e->at[k];
  cr_var *x = &e->operand[k];
  for (int i = 0; i < l->n; i++)
    for (int j = l->n - 1; j > i; j--) {
      if (l->axis[i] != l->axis[j]) continue;
      int label = l->axis[i];
      *x = cr_diagonal(*x, 0, i, j);
      drop(l, j);
      drop(l, i);
      l->axis[l->n++] = label;
      j = l->n; /* what is at i now has not been looked at */
    }
  for (int i = l->n - 1; i >= 0; i--)
    if (e->size[l->axis[i]] != 1 && cr_dim(*x, i) == 1) {
      *x = cr_sum(*x, 1, &i, 0);
      drop(l, i);
    }
}

/* Sums the axes of operand k whose label no other operand and not the result has. */
static void sum_lone(einsum *e, int k, int last) {
  labels *l = &e->at[k];
  int axes[CR_MAX_RANK], n = 0;
  for (int i = l->n - 1; i >= 0; i--) {
    bool lone = find(&e->out, l->axis[i]) < 0;
    for (int j = 0; lone && j <= last; j++) lone = j == k || find(&e->at[j], l->axis[i]) < 0;
    if (!lone) continue;
    axes[n++] = i;
    drop(l, i);
  }
  if (n) e->operand[k] = cr_sum(e->operand[k], n, axes, 0);
}

/* x with its axes in the order of three groups of labels, each group one axis of the result when flat. */
static cr_var arranged(einsum *e, cr_var x, const labels *l, const labels *const group[3], bool flat) {
  int order[CR_MAX_RANK], n = 0;
  int64_t dims[3] = {1, 1, 1};
  for (int q = 0; q < 3; q++)
    for (int i = 0; i < group[q]->n; i++) {
      order[n++] = find(l, group[q]->axis[i]);
      dims[q] *= e->size[group[q]->axis[i]];
    }
  x = cr_permute(x, n, order);
  return flat ? cr_reshape(x, 3, dims) : x;
}

/* x aligned with labels to, axes of size 1 where it has none. */
static cr_var aligned(einsum *e, cr_var x, const labels *l, const labels *to) {
  int order[CR_MAX_RANK], n = 0;
  int64_t dims[CR_MAX_RANK];
  for (int i = 0; i < to->n; i++) {
    int at = find(l, to->axis[i]);
    dims[i] = at < 0 ? 1 : e->size[to->axis[i]];
    if (at >= 0) order[n++] = at;
  }
  return cr_reshape(cr_permute(x, n, order), to->n, dims);
}

/* Operand 0 becomes its contraction with operand k: a batch of matrix products over the labels that end here. */
static bool contract(einsum *e, int k) {
  labels both = {0}, summed = {0}, left = {0}, right = {0}, all = {0};
  labels *a = &e->at[0], *b = &e->at[k];
  for (int i = 0; i < a->n; i++) {
    int label = a->axis[i];
    if (find(b, label) < 0) {
      push(e, &left, label);
      continue;
    }
    bool needed = find(&e->out, label) >= 0;
    for (int j = k + 1; !needed && j < e->n; j++) needed = find(&e->at[j], label) >= 0;
    push(e, needed ? &both : &summed, label);
  }
  for (int i = 0; i < b->n; i++)
    if (find(a, b->axis[i]) < 0) push(e, &right, b->axis[i]);
  const labels *const parts[3] = {&both, &left, &right};
  for (int q = 0; q < 3; q++)
    for (int i = 0; i < parts[q]->n; i++)
      if (!push(e, &all, parts[q]->axis[i])) return false;
  cr_var x = e->operand[0], y = e->operand[k];
  if (!summed.n) {
    e->operand[0] = cr_mul(aligned(e, x, a, &all), aligned(e, y, b, &all));
  } else {
    int64_t dims[CR_MAX_RANK];
    for (int i = 0; i < all.n; i++) dims[i] = e->size[all.axis[i]];
    x = arranged(e, x, a, (const labels *const[]){&both, &left, &summed}, true);
    y = arranged(e, y, b, (const labels *const[]){&both, &summed, &right}, true);
    e->operand[0] = cr_reshape(cr_matmul(x, y), all.n, dims);
  }
  *a = all;
  return true;
}

cr_var cr_einsum(cr_tape *t, const char *equation, int n, const cr_var *operands) {
  einsum e = {.tape = t, .equation = equation, .n = n};
  if (n < 1 || n > MAX_OPERANDS)
    return cr_fail(t, CR_BAD_ARGUMENT, "einsum: %d operands, 1 to %d are taken", n, MAX_OPERANDS);
  for (int k = 0; k < n; k++) {
    if (cr_is_poison(operands[k])) return cr_poison(t);
    e.operand[k] = operands[k];
  }
  if (!parse(&e)) return cr_poison(t);
  for (int k = 0; k < n; k++) simplify(&e, k);
  for (int k = 0; k < n; k++) sum_lone(&e, k, n - 1);
  for (int k = 1; k < n; k++) {
    if (!contract(&e, k)) return cr_poison(t);
    e.at[k].n = 0;
    sum_lone(&e, 0, n - 1);
  }
  const labels none = {0}, *const groups[3] = {&e.out, &none, &none};
  return arranged(&e, e.operand[0], &e.at[0], groups, false);
}
