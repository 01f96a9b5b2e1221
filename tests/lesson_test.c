/* Lessons: every printed number of the worked examples gets its verdict, slips are named, and the errata page is current. */
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#include "lesson.h"

static const char *folder; /* of the lesson files */

static char *file_text(const char *name) {
  char path[1024];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *f = fopen(path, "rb");
  assert_non_null(f);
  char *text = calloc(1, 1 << 20);
  assert_true(fread(text, 1, (1 << 20) - 1, f) > 0);
  fclose(f);
  return text;
}

static void open_lesson(lesson *l, const char *name, int n_own, const char *const *own) {
  char *text = file_text(name);
  bool good = lesson_read(l, name, text, n_own, own);
  free(text);
  if (!good) print_error("%s\n", l->error);
  assert_true(good);
}

/* A lesson in a string. */
static judgement verdict_of(const char *text, char *why, size_t size) {
  lesson l;
  bool good = lesson_read(&l, "test", text, 0, NULL);
  if (!good) print_error("%s\n", l.error);
  assert_true(good && l.n_claims > 0);
  const claim *c = &l.claim[l.n_claims - 1];
  judgement v = c->verdict;
  snprintf(why, size, "%s", c->why);
  lesson_close(&l);
  return v;
}

/* The 36 printed numbers */

typedef struct printed {
  const char *key;
  double number;
  judgement verdict;
  const char *why; /* part of the reason */
} printed;

static const printed example1[] = {
    {"z1", 1.25, EXACT, ""},
    {"z2", 3.8, EXACT, ""},
    {"h1", 0.777, ROUNDED, ""},
    {"h2", 0.978, ROUNDED, ""},
    {"yhat", 1.755, ROUNDED, ""},
    {"J", 2.52, ROUNDED, ""},
    {"dJ_dv1", -1.744, CARRIED, "(1.755 - 4)*0.777 = -1.74437"},
    {"dJ_dv2", -2.196, CARRIED, "0.978"},
    {"dJ_dw11", -0.388, TRUNCATED, "rounds to -0.389"},
    {"dJ_dw21", -0.194, ROUNDED, ""},
    {"dJ_dw12", -0.048, ROUNDED, ""},
    {"dJ_dw22", -0.024, ROUNDED, ""},
    {"v1_new", 1.174, ROUNDED, ""},
    {"v2_new", 1.220, ROUNDED, ""},
    {"w11_new", 0.539, ROUNDED, ""},
    {"w21_new", 1.519, ROUNDED, ""},
    {"w12_new", 2.305, ROUNDED, ""},
    {"w22_new", 3.002, ROUNDED, ""},
    {"z1_new", 1.299, ROUNDED, ""},
    {"z2_new", 2.806, WRONG, "one digit is wrong: 2.806 for 3.806"},
    {"h1_new", 0.786, ROUNDED, ""},
    {"h2_new", 0.943, CASCADE, "z2_new = 2.806"},
    {"yhat_new", 2.073, CASCADE, "h2_new = 0.943"},
    {"J_new", 1.857, CASCADE, "yhat_new = 2.073"},
};
static const printed example2[] = {
    {"z1", 0.5, EXACT, ""},
    {"h1", 0.462, ROUNDED, ""},
    {"yhat1", 0.462, ROUNDED, ""},
    {"J1", 3.221, CARRIED, "0.462"},
    {"dJ1_dv", -1.173, ROUNDED, ""},
    {"dJ1_dw", -1.996, ROUNDED, ""},
    {"dJ2_dv", -3.229, CARRIED, "0.762"},
    {"dJ2_dw", -3.555, CARRIED, "1 - 0.762^2"},
    {"dJ3_dv", -5.516, CARRIED, "0.905"},
    {"dJ3_dw", -3.309, CARRIED, "0.905"},
    {"v_new", 4.306, ROUNDED, ""},
    {"w_new", 3.953, WRONG, "starts from 1 instead of 0.5"},
};
_Static_assert(sizeof example1 / sizeof *example1 + sizeof example2 / sizeof *example2 == 36, "all printed numbers");

static void check_numbers(const char *name, const printed *p, size_t n) {
  lesson l;
  size_t found = 0;
  open_lesson(&l, name, 0, NULL);
  for (int k = 0; k < l.n_claims; k++) {
    const claim *c = &l.claim[k];
    if (!c->numeric) continue;
    assert_true(found < n);
    assert_string_equal(c->key, p[found].key);
    assert_true(c->printed == p[found].number);
    assert_string_equal(judgement_text[c->verdict], judgement_text[p[found].verdict]);
    assert_non_null(strstr(c->why, p[found].why));
    found++;
  }
  assert_int_equal(found, n);
  lesson_close(&l);
}

static void the_printed_numbers_get_their_verdicts(void **state) {
  (void)state;
  check_numbers("004_example1.lesson", example1, sizeof example1 / sizeof *example1);
  check_numbers("004_example2.lesson", example2, sizeof example2 / sizeof *example2);
}

/* Slips */

static const char net[] =
    "lesson \"t\"\nx1 = 1.3; x2 = 0.7; w12 = 0.4; w21 = -0.9; v = 1.7; y = 2; rate = 0.3; d = [1, 2, 3, 4, 5, 6, 7]\n"
    "z = w12*x1 + w21*x2\nh = sigmoid(z)\nJ = (v*h - y)^2/2\nv_new = v - rate*grad(J, v)\nw12_new = w12 - rate*grad(J, "
    "w12)\n"
    "out = v_new*h\n";

static void slips_are_named(void **state) {
  (void)state;
  static const struct {
    const char *claim, *why;
  } slips[] = {
      {"claim grad(J, w12) = %.4f by (v*h - y)*v*h*(1 - h)*x1", "sign"},
      {"claim grad(J, v) = %.4f by (v*h - y)*h", "factor 2"},
      {"claim grad(J, v) = %.5f by (v*h - y)*h", "factor 1/2"},
      {"claim grad(J, v) = %.4f by (v*h - y)*h", "factor n"},
      {"claim grad(J, v) = %.6f by (v*h - y)*h", "factor 1/n"},
      {"claim z = %.4f", "transposed index"},
      {"claim out = %.4f", "stale value"},
      {"claim w12_new = %.4f by w12 - rate*dJ_dw12", "wrong start value"},
      {"claim grad(J, w12) = %.4f by (v*h - y)*v*h*(1 - h)*x1", "a factor is missing: 1 - h"},
  };
  double x1 = 1.3, x2 = 0.7, w12 = 0.4, w21 = -0.9, v = 1.7, y = 2, rate = 0.3, z = w12 * x1 + w21 * x2,
         h = 1 / (1 + exp(-z));
  double dv = (v * h - y) * h, dw = (v * h - y) * v * h * (1 - h) * x1;
  double printed_number[] = {
      -dw, 2 * dv, dv / 2, 7 * dv, dv / 7, w21 * x1 + w21 * x2, v * h, y - rate * dw, (v * h - y) * v * h * x1};
  for (size_t i = 0; i < sizeof slips / sizeof *slips; i++) {
    char line[300], text[1200], why[300];
    snprintf(line, sizeof line, slips[i].claim, printed_number[i]);
    snprintf(text, sizeof text, "%s%s\n", net, line);
    assert_int_equal(verdict_of(text, why, sizeof why), WRONG);
    if (!strstr(why, slips[i].why)) print_error("%s: %s, not %s\n", line, why, slips[i].why);
    assert_non_null(strstr(why, slips[i].why));
  }
}

static void formula_slips_are_named(void **state) {
  (void)state;
  static const struct {
    const char *claim, *why;
  } slips[] = {
      {"claim grad(L, W) = X.T @ (X @ W - T)", "a factor 2 is missing"},
      {"claim grad(L, W) = -2*X.T @ (X @ W - T)", "the sign"},
      {"claim grad(L, W) = 2*(X @ W - T) @ X.T", "wrong order"},
      {"claim grad(L, W) = 2*(X.T @ (X @ W - T)).T", "transposed"},
      {"claim grad(M, W) = 2*X.T @ (X @ W - T)", "n = 3"},
      {"claim grad(L, T) = 2*(X @ W - T)", "the sign"},
      {"claim grad(K, b) = 2*(X @ W + b - T)", "sum over the rows"},
  };
  for (size_t i = 0; i < sizeof slips / sizeof *slips; i++) {
    char text[900], why[600];
    snprintf(text, sizeof text,
             "lesson \"t\"\nX = param [[1, 0.5], [2, -1], [0.3, 0.8]]\nW = param [[0.2, 0.7], [0.4, -0.3]]\nb = param [0.1, "
             "0.6]\n"
             "T = param [[1, 0], [0, 1], [0.5, 0.2]]\nL = sum((X @ W - T)^2)\nM = L/3\nK = sum((X @ W + b - T)^2)\n%s\n",
             slips[i].claim);
    assert_int_equal(verdict_of(text, why, sizeof why), WRONG);
    if (!strstr(why, slips[i].why)) print_error("%s: %s, not %s\n", slips[i].claim, why, slips[i].why);
    assert_non_null(strstr(why, slips[i].why));
  }
}

/* A reader who drops one of the two halves of quiz 1.3. */
static void a_readers_number_is_judged(void **state) {
  (void)state;
  lesson l;
  open_lesson(&l, "004_quiz13.lesson", 2, (const char *[]){"dJ_dv=-0.58148", "w_new=0.10637"});
  int own = 0;
  for (int k = 0; k < l.n_claims; k++) {
    const claim *c = &l.claim[k];
    if (!c->own) continue;
    own++;
    if (!strcmp(c->key, "dJ_dv")) assert_non_null(strstr(c->why, "factor 2"));
    else assert_int_equal(c->verdict, ROUNDED);
  }
  assert_int_equal(own, 2);
  lesson_close(&l);
}

static void quiz_answers_are_the_known_ones(void **state) {
  (void)state;
  static const struct {
    const char *file, *answer;
  } known[] = {{"004_quiz11.lesson", "df1/dx = 1176"},    {"004_quiz11.lesson", "df2/dx = 992"},
               {"004_quiz12.lesson", "J = 1.125"},        {"004_quiz12.lesson", "dJ/dv = 1.5"},
               {"004_quiz12.lesson", "dJ/dw = 3"},        {"004_quiz12.lesson", "v_new = 1.85"},
               {"004_quiz12.lesson", "J_new = 0.316012"}, {"004_quiz13.lesson", "dJ/dv = -0.290739"},
               {"004_quiz13.lesson", "w_new = 0.106371"}};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    lesson l;
    bool found = false;
    open_lesson(&l, known[i].file, 0, NULL);
    for (int k = 0; k < l.n_items; k++) found |= l.item[k].kind == ITEM_ANSWER && !strcmp(l.item[k].label, known[i].answer);
    if (!found) print_error("%s: %s\n", known[i].file, known[i].answer);
    assert_true(found);
    lesson_close(&l);
  }
}

/* All files */

static const char *const files[] = {
    "000_batch.lesson",    "000_layer.lesson",        "000_softmax.lesson",    "001_dense.lesson",      "001_losses.lesson",
    "001_training.lesson", "002_single_layer.lesson", "002_two_layers.lesson", "003_backpropagation.lesson",
    "003_losses.lesson",   "004_costs.lesson",        "004_example1.lesson",   "004_example2.lesson",
    "004_appendix.lesson", "004_labels.lesson",       "004_quiz11.lesson",     "004_quiz12.lesson",     "004_quiz13.lesson",
    "004_rules.lesson"};
enum { N_FILES = sizeof files / sizeof *files };

static void lessons_end_as_they_expect(void **state) {
  (void)state;
  for (int i = 0; i < N_FILES; i++) {
    lesson l;
    open_lesson(&l, files[i], 0, NULL);
    assert_true(lesson_as_expected(&l));
    lesson_close(&l);
  }
}

static void the_errata_page_is_current(void **state) {
  (void)state;
  static lesson l[N_FILES];
  for (int i = 0; i < N_FILES; i++) open_lesson(&l[i], files[i], 0, NULL);
  cr_buffer b = {.tape = l[0].tape};
  lesson_errata(l, N_FILES, &b);
  char *page = file_text("errata.md");
  assert_false(b.failed);
  assert_string_equal(b.text, page); /* else: chainrule lesson --errata *.lesson --output errata.md */
  free(page);
  cr_buffer_free(&b);
  for (int i = 0; i < N_FILES; i++) lesson_close(&l[i]);
}

static void bad_lessons_are_refused_with_their_line(void **state) {
  (void)state;
  static const char *const bad[] = {"claim x = 1",
                                    "lesson \"t\"\nclaim",
                                    "lesson \"t\nsay",
                                    "lesson \"t\"\nx = 1 +",
                                    "x = 1",
                                    "lesson \"t\"\nclaim nothing = 2",
                                    "lesson \"t\"\nx = 1\nclaim grad(x) = 2",
                                    "lesson \"t\"\nx = 1\nclaim x = 1 is odd",
                                    "lesson \"t\"\nerratum E1",
                                    "lesson \"t\"\nanswer"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    lesson l;
    assert_false(lesson_read(&l, "bad", bad[i], 0, NULL));
    assert_non_null(strstr(l.error, "bad, line "));
    lesson_close(&l);
  }
}

int main(int argc, char **argv) {
  folder = argc > 1 ? argv[1] : "graph_examples/lessons";
  const struct CMUnitTest tests[] = {cmocka_unit_test(the_printed_numbers_get_their_verdicts),
                                     cmocka_unit_test(slips_are_named),
                                     cmocka_unit_test(formula_slips_are_named),
                                     cmocka_unit_test(a_readers_number_is_judged),
                                     cmocka_unit_test(quiz_answers_are_the_known_ones),
                                     cmocka_unit_test(lessons_end_as_they_expect),
                                     cmocka_unit_test(the_errata_page_is_current),
                                     cmocka_unit_test(bad_lessons_are_refused_with_their_line)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
