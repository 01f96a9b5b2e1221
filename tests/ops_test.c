/* Every function of the table against every check: the matrix of ops by checks, which may have no gap.
 *
 *   ops_test [-v] [NAME...]
 *
 * Rows of elementwise.def are sampled from their domains in several shapes; other functions bring samples. Each result is
 * checked to second order, forward and reverse, in float64 and float32. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "samples.h"

/* Columns of the matrix, and which of a report's tests belong to each. */
enum { VALUE, REVERSE, SYMBOLIC, FORWARD, SECOND, SINGLE, COLUMNS };
static const char *const column_names[COLUMNS] = {"value", "reverse", "symbolic", "forward", "order 2", "float32"};
static const struct {
  const char *test;
  int column;
} test_columns[] = {{"value computed twice", VALUE},
                    {"gradient computed twice", REVERSE},
                    {"cotangent zero", REVERSE},
                    {"cotangent doubled", REVERSE},
                    {"gradient on the tape = on the copy", VALUE},
                    {"float32 gradient (in units of its error bound)", SINGLE},
                    {"symbolic = numeric reverse", SYMBOLIC},
                    {"forward = reverse", FORWARD},
                    {"reverse over reverse = forward over reverse", SECOND},
                    {"reverse over forward = forward over reverse", SECOND},
                    {"symmetry of the Hessian", SECOND},
                    {"second order by differences", SECOND}};

typedef struct outcome {
  int passed[COLUMNS], failed[COLUMNS];
  int cases, values_only, constant, errors;
  double worst;
} outcome;

static int verbose;

static void count_tests(outcome *o, const cr_report *r) {
  for (int k = 0; k < r->n_tests; k++)
    for (size_t j = 0; j < sizeof test_columns / sizeof *test_columns; j++)
      if (!strcmp(r->test[k].name, test_columns[j].test)) {
        if (r->test[k].passed) o->passed[test_columns[j].column]++;
        else o->failed[test_columns[j].column]++;
      }
  for (int k = 0; k < r->n_entries; k++) {
    if (r->entry[k].verdict == CR_DISAGREE) o->failed[REVERSE]++;
    else if (r->entry[k].verdict != CR_INCONCLUSIVE) o->passed[REVERSE]++;
  }
  o->worst = fmax(o->worst, r->worst);
}

static int any_input(const cr_var *x, int n) {
  for (int k = 0; k < n; k++)
    if (cr_count(x[k])) return 1;
  return 0;
}

static void check_one(outcome *o, cr_var y, int n, const cr_var *x, const char *what) {
  cr_report *r;
  cr_check_options options = {
      .struct_size = sizeof options, .weighted = 1, .max_coordinates = 24, .directions = 2, .seed = 7};
  o->cases++;
  if (cr_dtype_of(y) < CR_FLOAT32 || !n) {
    double first = cr_count(y) ? cr_array_get(&(cr_array[]){cr_view(y)}[0], 0) : 0;
    o->values_only++;
    o->passed[VALUE] += first == first || cr_dtype_of(y) >= CR_FLOAT32;
    return;
  }
  cr_status status = cr_check(y, n, x, &options, &r);
  if (!r) {
    printf("%s: %s\n", what, cr_error_text(y.tape));
    o->errors++;
    cr_clear_error(y.tape);
    return;
  }
  count_tests(o, r);
  if (!any_input(x, n) || !cr_count(y)) o->constant++;
  if (status != CR_OK || verbose) printf("%s: %s\n%s", what, cr_dtype_name(cr_dtype_of(x[0])), r->text);
}

static void check_sample(outcome *o, const char *text, size_t length, uint64_t seed) {
  char error[400], what[400];
  for (int single = 0; single < 2; single++) {
    sample s;
    snprintf(what, sizeof what, "%.*s", (int)length, text);
    if (!sample_make(&s, text, length, single ? CR_FLOAT32 : CR_FLOAT64, seed, error)) {
      printf("%s\n", error);
      o->errors++;
      continue;
    }
    for (int k = 0; k < s.results.n; k++) check_one(o, s.results.value[k], s.n_inputs, s.input, what);
    sample_free(&s);
  }
}

static void check_row(outcome *o, const char *name, const cr_op *op) {
  static const struct {
    const char *a, *b, *form; /* shapes, and how the operands are written: $ is an operand */
  } shapes[] = {{"()", "()", "$a, $b"},       {"(3)", "(3)", "$a, $b"},
                {"(2,3)", "(2,3)", "$a, $b"}, {"(3,1)", "(1,2)", "$a, $b"},
                {"(0)", "(0)", "$a, $b"},     {"(3,2)", "(2,3)", "permute($a, (1,0)), $b"},
                {"(17)", "()", "$a, $b"},     {"(1,3)", "(2,3)", "broadcast_to($a, (2,3)), $b"}};
  char ra[80], rb[80], text[512];
  sample_range(op->row->domain, 'a', ra, sizeof ra);
  sample_range(op->row->domain, 'b', rb, sizeof rb);
  if (op->row->partial_text[0] && !strcmp(op->row->partial_text[0], "nan")) strcat(ra, "!"); /* an order */
  for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++) {
    size_t n = (size_t)snprintf(text, sizeof text, "%s(", name);
    for (const char *s = shapes[k].form; *s; s++) {
      if (op->arity == 1 && !strncmp(s, ", $b", 4)) break;
      if (*s == '$') {
        s++;
        n += (size_t)snprintf(text + n, sizeof text - n, "%c:%s%s", *s, *s == 'a' ? shapes[k].a : shapes[k].b,
                              *s == 'a' ? ra : rb);
      } else {
        text[n++] = *s;
      }
    }
    n += (size_t)snprintf(text + n, sizeof text - n, ")");
    check_sample(o, text, n, 11 + k);
  }
  if (op->arity == 1) return;
  int n = snprintf(text, sizeof text, "%s(a:(3)%s%s, b:(3)%s)", name, ra, strchr(ra, '!') ? "" : "!", rb);
  check_sample(o, text, (size_t)n, 6);
  n = snprintf(text, sizeof text, "%s(a:(3)%s, b:(3)%s!)", name, ra, rb);
  check_sample(o, text, (size_t)n, 7);
  n = snprintf(text, sizeof text, "%s(a:(3)%s, a)", name, ra); /* one node as both operands */
  if (!strcmp(ra, rb)) check_sample(o, text, (size_t)n, 5);
}

static const cr_op *row_named(const char *name) {
  for (int k = 0; k < cr__n_rows; k++)
    if (!strcmp(cr__rows[k]->name, name)) return cr__rows[k];
  return NULL;
}

/* The row that a formula only gives another name: "asin(input)", "input * other". */
static const cr_op *row_behind(const cr_function *f) {
  char infix[64], name[64];
  if (!f->formula) return NULL;
  for (int k = 0; k < cr__n_rows; k++) {
    const cr_op *op = cr__rows[k];
    size_t n = 0;
    if (op->infix)
      for (const char *s = op->infix; *s && n + 8 < sizeof infix; s++)
        n += (size_t)snprintf(infix + n, sizeof infix - n, "%s",
                              *s == 'a'   ? "input"
                              : *s == 'b' ? "other"
                                          : (char[]){*s, 0});
    snprintf(name, sizeof name, op->arity == 1 ? "%s(input)" : "%s(input, other)", op->name);
    if (!strcmp(f->formula, name) || (op->infix && !strcmp(f->formula, infix))) return op;
  }
  return NULL;
}

static void print_cell(const outcome *o, int column) {
  if (o->failed[column]) printf("  %8s", "FAIL");
  else if (o->passed[column]) printf("  %8d", o->passed[column]);
  else if (o->values_only + o->constant == o->cases && o->cases) printf("  %8s", "none");
  else printf("  %8s", "GAP");
}

static int print_row(const char *name, const outcome *o) {
  int bad = o->errors > 0 || !o->cases;
  printf("%-28s", name);
  for (int k = 0; k < COLUMNS; k++) {
    print_cell(o, k);
    bad = bad || o->failed[k] || (!o->passed[k] && o->values_only + o->constant < o->cases);
  }
  if (o->errors) printf("  %d ERRORS", o->errors);
  if (!o->cases) printf("  NO SAMPLES");
  printf("  %.0e\n", o->worst);
  return bad;
}

static int wanted(const char *name, int n, char **names) {
  for (int k = 0; k < n; k++)
    if (!strcmp(name, names[k])) return 1;
  return !n;
}

int main(int argc, char **argv) {
  char **names = argv + 1;
  int n_names = argc - 1, functions = 0, bad = 0;
  if (n_names && !strcmp(names[0], "-v")) verbose = 1, names++, n_names--;
  cr_tape *t = cr_new();
  const cr_function *f;
  printf("%-28s", "");
  for (int k = 0; k < COLUMNS; k++) printf("  %8s", column_names[k]);
  printf("  worst relative error\n");
  for (int k = 0; (f = cr_function_at(t, k)); k++) {
    char name[64];
    outcome o = {.cases = 0};
    if (!wanted(function_name(f, name, sizeof name), n_names, names)) continue;
    const cr_op *row = row_named(name);
    if (!row) row = row_behind(f);
    const char *rest = f->samples, *text;
    size_t length;
    if (row && !f->samples) check_row(&o, name, row);
    for (uint64_t seed = 3; (text = sample_next(&rest, &length)); seed++) check_sample(&o, text, length, seed);
    functions++;
    bad += print_row(name, &o);
  }
  cr_free(t);
  printf("%d functions, %d with a gap or a failure\n", functions, bad);
  return bad || !functions;
}
