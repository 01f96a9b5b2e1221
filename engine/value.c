/* Values of the language: literals and how they become nodes. */
#include <stdio.h>

#include "evaluate.h"

cr__value cr__none(void) { return (cr__value){.kind = CR__NONE_VALUE}; }
cr__value cr__truth(bool x) { return (cr__value){.kind = CR__TRUTH, .integral = true, .as.number = x}; }
cr__value cr__number(double x, bool integral) {
  return (cr__value){.kind = CR__NUMBER, .integral = integral && x == floor(x), .as.number = x};
}

bool cr__is_numeric(const cr__value *v) { return (v->kind == CR__NUMBER || v->kind == CR__TRUTH) && !v->cell; }

bool cr__is_literal(const cr__value *v) {
  if (v->cell || v->kind == CR__NODE || v->kind == CR__FUNCTION) return false;
  if (v->kind != CR__LIST_VALUE && v->kind != CR__TUPLE_VALUE) return true;
  for (uint32_t i = 0; i < v->n; i++)
    if (!cr__is_literal(&v->as.item[i])) return false;
  return true;
}

const char *cr__value_text(cr__evaluator *e, const cr__value *v, char *text, size_t size) {
  char number[32];
  switch (v->kind) {
    case CR__NUMBER: snprintf(text, size, "%s", cr_number_text(v->as.number, 0, number)); break;
    case CR__TRUTH: snprintf(text, size, "%s", v->as.number != 0 ? "True" : "False"); break;
    case CR__TEXT_VALUE: snprintf(text, size, "'%.40s'", v->as.text); break;
    case CR__LIST_VALUE: snprintf(text, size, "a list of %u", v->n); break;
    case CR__TUPLE_VALUE: snprintf(text, size, "a tuple of %u", v->n); break;
    case CR__NODE: cr__describe(e->tape, v->as.node, text, size); break;
    case CR__FUNCTION: snprintf(text, size, "the function '%s'", v->as.function->name); break;
    case CR__UNSET: case CR__NONE_VALUE: snprintf(text, size, "None"); break;
  }
  return text;
}

/* Literal lists as tensors */

typedef struct grid {
  cr__evaluator *e;
  const cr_syntax *at;
  int rank;
  int64_t dim[CR_MAX_RANK];
  bool integral, truths;    /* all of them */
  double *next;
} grid;

static bool is_list(const cr__value *v) { return v->kind == CR__LIST_VALUE || v->kind == CR__TUPLE_VALUE; }

static bool measure(grid *g, const cr__value *v) {
  g->rank = 0;
  for (; is_list(v); v = &v->as.item[0]) {
    if (g->rank == CR_MAX_RANK) {
      cr__stop(g->e, g->at, CR_BAD_SHAPE, "a tensor has at most %d axes", CR_MAX_RANK);
      return false;
    }
    g->dim[g->rank++] = v->n;
    if (!v->n) return true;
  }
  return true;
}

static bool ragged(grid *g, int64_t row, int level, int64_t n) {
  char shape[2][32];
  snprintf(shape[0], sizeof shape[0], g->dim[level] < 0 ? "a number" : "%lld entries", (long long)g->dim[level]);
  snprintf(shape[1], sizeof shape[1], n < 0 ? "a number" : "%lld entries", (long long)n);
  cr__stop(g->e, g->at, CR_BAD_SHAPE, "rows of a list must be equally long: row 0 has %s, row %lld has %s", shape[0],
           (long long)row, shape[1]);
  return false;
}

static bool fill(grid *g, const cr__value *v, int level, int64_t row) {
  if (level == g->rank) {
    if (is_list(v)) {
      cr__stop(g->e, g->at, CR_BAD_SHAPE, "rows of a list must be equally long: row 0 holds numbers, row %lld lists",
               (long long)row);
      return false;
    }
    if (v->kind != CR__NUMBER && v->kind != CR__TRUTH) {
      char text[64];
      cr__stop(g->e, g->at, CR_BAD_ARGUMENT, "expected a number in the list, found %s",
               cr__value_text(g->e, v, text, sizeof text));
      return false;
    }
    g->integral = g->integral && v->integral;
    g->truths = g->truths && v->kind == CR__TRUTH;
    if (g->next) *g->next++ = v->as.number;
    return true;
  }
  if (!is_list(v) || v->n != g->dim[level]) return ragged(g, row, level, is_list(v) ? (int64_t)v->n : -1);
  for (uint32_t i = 0; i < v->n; i++)
    if (!fill(g, &v->as.item[i], level + 1, i)) return false;
  return true;
}

/* The numbers of a literal in scratch memory, row-major; NULL on failure. Rows are checked before memory is taken. */
static double *numbers_of(grid *g, const cr__value *v) {
  g->integral = g->truths = true;
  g->next = NULL;
  if (!measure(g, v) || !fill(g, v, 0, 0)) return NULL;
  cr_array a;
  cr_array_init(&a, CR_FLOAT64, g->rank, g->dim);
  double *numbers = cr__take(g->e->tape, &g->e->language->scratch, (size_t)a.count * sizeof *numbers);
  g->next = numbers;
  return numbers && fill(g, v, 0, 0) ? numbers : NULL;
}

typedef cr_var (*maker)(cr_tape *t, cr_dtype dtype, int rank, const int64_t *dims, const void *data);

/* Numbers of the evaluator's dtype or bools; as_index: integers or bools. */
static cr_var tensor_of(cr__evaluator *e, const cr__value *v, const cr_syntax *at, maker make, bool as_index) {
  cr__spot spot = cr__spot_of(&e->language->scratch);
  grid g = {.e = e, .at = at};
  double *numbers = numbers_of(&g, v);
  cr_var result = cr_poison(e->tape);
  if (!numbers) {
    if (!e->failed) cr__stop(e, at, e->tape->error, "out of memory");
    return result;
  }
  if (as_index && !g.integral) {
    cr__stop(e, at, CR_BAD_ARGUMENT, "expected integers");
    return result;
  }
  cr_array from, to;
  cr_array_init(&from, CR_FLOAT64, g.rank, g.dim);
  bool truths = g.truths && from.count;
  cr_array_init(&to, truths ? CR_BOOL : as_index ? CR_INT64 : e->dtype, g.rank, g.dim);
  from.data = to.data = numbers;
  if (to.dtype != CR_FLOAT64) {
    to.data = cr__take(e->tape, &e->language->scratch, (size_t)to.count * cr_dtype_size((cr_dtype)to.dtype));
    if (!to.data) return result;
    cr_array_copy(&to, &from);
  }
  result = make(e->tape, (cr_dtype)to.dtype, g.rank, g.dim, to.data);
  cr__back_to(&e->language->scratch, spot);
  return result;
}

/* A list with nodes in it: its items stacked. */
static cr_var stack_of(cr__evaluator *e, const cr__value *v, const cr_syntax *at) {
  cr_var *item = cr__take(e->tape, &e->language->scratch, v->n * sizeof *item);
  if (!item) return cr_poison(e->tape);
  for (uint32_t i = 0; i < v->n; i++) {
    item[i] = cr__to_node(e, &v->as.item[i], at);
    if (e->failed) return cr_poison(e->tape);
  }
  return e->tape->table->list(e->tape, (int)v->n, item);
}

static cr_var make_node(cr__evaluator *e, const cr__value *v, const cr_syntax *at) {
  char text[64];
  if (v->kind == CR__NODE) return v->as.node;
  if (v->kind == CR__NUMBER) return cr_const(e->tape, v->as.number);
  if (v->kind == CR__TRUTH) return tensor_of(e, v, at, cr_constant_of, false);
  if (is_list(v)) return cr__is_literal(v) ? tensor_of(e, v, at, cr_constant_of, false) : stack_of(e, v, at);
  cr__stop(e, at, CR_BAD_ARGUMENT, "expected a number or tensor, found %s", cr__value_text(e, v, text, sizeof text));
  return cr_poison(e->tape);
}

static bool is_live(const cr_tape *t, cr_var v) {
  return v.id && cr__is_live(t, v);
}

cr_var cr__to_leaf(cr__evaluator *e, const cr__value *v, const cr_syntax *at) {
  if (v->kind == CR__NUMBER && e->dtype == CR_FLOAT64) return cr_input(e->tape, v->as.number);
  return tensor_of(e, v, at, cr_tensor_of, false);
}

cr_var cr__to_node(cr__evaluator *e, const cr__value *v, const cr_syntax *at) {
  cr__cell *cell = v->cell;
  if (cell && is_live(e->tape, cell->leaf)) return cell->leaf;
  cr_var node = cell ? cr__to_leaf(e, v, at) : make_node(e, v, at);
  if (!node.id) cr__node_value(e, at, node);
  else if (cell) cell->leaf = cr_name(node, cell->name);
  return node;
}

cr_var cr__to_index(cr__evaluator *e, const cr__value *v, const cr_syntax *at) {
  char text[300];
  if (v->kind == CR__NUMBER || v->kind == CR__TRUTH || is_list(v)) {
    cr_var node = cr__is_literal(&(cr__value){.kind = v->kind, .n = v->n, .as = v->as})
                    ? tensor_of(e, v, at, cr_constant_of, true) : stack_of(e, v, at);
    if (!node.id) cr__node_value(e, at, node);
    return node;
  }
  if (v->kind == CR__NODE && (!v->as.node.id || cr_dtype_of(v->as.node) < CR_FLOAT32)) return v->as.node;
  cr__stop(e, at, CR_BAD_DTYPE, "expected integers, found %s", cr__value_text(e, v, text, sizeof text));
  return cr_poison(e->tape);
}
