/* Reductions, scans, softmax and losses at the points where they go wrong: ties, NaN, infinities, offsets, nothing. */
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <cmocka.h>

#include "formula.h"
#include "ops.h"

enum { MOST = 16 };

static const double inf = (double)INFINITY, nan_ = (double)NAN;

static cr_var vector(cr_tape *t, int64_t n, const double *x) { return cr_tensor_of(t, CR_FLOAT64, 1, &n, x); }

static int same(double got, double want) {
  if (isnan(want)) return isnan(got);
  return got == want || fabs(got - want) <= 4e-15 * fabs(want);
}
static void expect(cr_var v, int64_t n, const double *want) {
  double got[MOST];
  assert_int_equal(cr_count(v), n);
  assert_int_equal(cr_read(v, got, n), CR_OK);
  for (int64_t k = 0; k < n; k++)
    if (!same(got[k], want[k])) fail_msg("element %d is %.17g, not %.17g", (int)k, got[k], want[k]);
}

/* Value of a formula of x, its gradient by both modes, and the JVP along ones. */
static void expect_all(const char *formula, int64_t n, const double *x, double value, const double *gradient) {
  cr_tape *t = cr_new();
  double got[MOST], along = 0;
  cr_var v = vector(t, n, x), y = cr_formula(t, formula, "x", v), g, dot, ones = cr_ones(t, CR_FLOAT64, 1, &n);
  if (cr_error(t) != CR_OK) fail_msg("%s: %s", formula, cr_error_text(t));
  if (!same(cr_value(y), value)) fail_msg("%s is %.17g, not %.17g", formula, cr_value(y), value);
  cr_sweep *s = cr_backward(y);
  assert_int_equal(cr_adjoint_read(s, v, got, n), CR_OK);
  assert_int_equal(cr_grad(y, 1, &v, &g), CR_OK);
  for (int64_t k = 0; k < n; k++) {
    if (!same(got[k], gradient[k])) fail_msg("%s: derivative %d is %.17g, not %.17g", formula, (int)k, got[k], gradient[k]);
    along += gradient[k];
  }
  expect(g, n, gradient);
  assert_int_equal(cr_jvp(1, &y, 1, &v, &ones, &dot), CR_OK);
  if (!same(cr_value(dot), along) && fabs(cr_value(dot) - along) > 1e-14)
    fail_msg("%s: JVP %.17g, not %.17g", formula, cr_value(dot), along);
  cr_free(t);
}
#define EXPECT(formula, x, value, ...)                                                                    \
  do {                                                                                                    \
    const double at[] = x, gradient[] = __VA_ARGS__;                                                      \
    _Static_assert(sizeof at == sizeof gradient, "one derivative for each element");                      \
    expect_all(formula, (int64_t)(sizeof at / sizeof *at), at, value, gradient);                          \
  } while (0)
#define X(...) {__VA_ARGS__}

static void ties_are_split_evenly_or_follow_the_index(void **state) {
  (void)state;
  EXPECT("amax(x)", X(1, 3, 3), 3, {0, 0.5, 0.5});
  EXPECT("min(x)", X(2, 2, 2, 5), 2, {1.0 / 3, 1.0 / 3, 1.0 / 3, 0});
  EXPECT("sum(max(x, 0)[0])", X(1, 3, 3), 3, {0, 1, 0});
  EXPECT("sum(cummax(x, 0)[0])", X(2, 2, 1), 6, {1, 2, 0});
  EXPECT("vector_norm(x, inf)", X(3, -3, 1), 3, {0.5, -0.5, 0});
  cr_tape *t = cr_new();
  cr_var x = vector(t, 4, (double[]){1, 2, 2, 0});
  assert_true(cr_value(cr_argmax(x, -1, NULL, 0)) == 1);
  assert_true(cr_value(cr_argmin(cr_neg(x), -1, NULL, 0)) == 1);
  cr_free(t);
}

static void nan_is_the_extreme(void **state) {
  (void)state;
  EXPECT("amax(x)", X(1, nan_, 3), nan_, {0, 1, 0});
  EXPECT("amin(x)", X(nan_, 1, nan_), nan_, {0.5, 0, 0.5});
  cr_tape *t = cr_new();
  cr_var x = vector(t, 4, (double[]){1, nan_, 5, nan_}), index, highest = cr_cummax(x, 0, &index);
  assert_true(cr_value(cr_argmax(x, -1, NULL, 0)) == 1 && cr_value(cr_argmin(x, -1, NULL, 0)) == 1);
  expect(highest, 4, (double[]){1, nan_, nan_, nan_});
  expect(index, 4, (double[]){0, 1, 1, 3});
  cr_free(t);
}

static void rows_of_minus_infinity(void **state) {
  (void)state;
  EXPECT("logsumexp(x, 0)", X(-inf, -inf), -inf, {0, 0});
  EXPECT("logsumexp(x, 0)", X(-inf, 2), 2, {0, 1});
  EXPECT("logcumsumexp(x, 0)[-1]", X(-inf, -inf), -inf, {0, 0});
  EXPECT("logcumsumexp(x, 0)[-1]", X(-inf, 0.5, -inf), 0.5, {0, 1, 0});
  cr_tape *t = cr_new();
  cr_var x = vector(t, 2, (double[]){-inf, -inf}), g, y = cr_safe_softmax(x, 0);
  expect(cr_softmax(x, 0), 2, (double[]){nan_, nan_});
  expect(y, 2, (double[]){0, 0});
  assert_int_equal(cr_grad(y, 1, &x, &g), CR_OK);
  expect(g, 2, (double[]){0, 0});
  cr_free(t);
}

static void a_dominating_term_leaves_digits(void **state) {
  (void)state;
  double small = exp(-50);
  EXPECT("logsumexp(x, 0)", X(0, -50), log1p(small), {1 / (1 + small), small / (1 + small)});
  EXPECT("log_softmax(x, 0)[0]", X(50, 0), -log1p(small), {small / (1 + small), -small / (1 + small)});
  EXPECT("softmax(x, 0)[0]", X(50, 0), 1, {small, -small});
  EXPECT("binary_cross_entropy_with_logits(x, [1, 0])", X(40, -40), log1p(exp(-40)), {-0.5 * exp(-40), 0.5 * exp(-40)});
}

static void zeros_in_products(void **state) {
  (void)state;
  EXPECT("prod(x)", X(2, 0, -3), 0, {0, -6, 0});
  EXPECT("prod(x)", X(0, 0, -3), 0, {0, 0, 0});
  EXPECT("sum(cumprod(x, 0))", X(2, 0, 3), 2, {1, 8, 0});
  cr_tape *t = cr_new();
  double hessian[9];
  cr_var x = vector(t, 3, (double[]){0, 0, -3});
  assert_int_equal(cr_hessian(cr_prod(x, -1, NULL, 0), x, hessian), CR_OK);
  for (int k = 0; k < 9; k++) assert_true(hessian[k] == (k == 1 || k == 3 ? -3 : 0));
  cr_free(t);
}

static void offsets_and_sizes_cost_no_digits(void **state) {
  (void)state;
  double d = 100000001.1 - 1e8, e = 100000006.7 - 1e8, f = 100000002.3 - 1e8, mean = (d + e + f) / 3;
  EXPECT("var(x)", X(100000001.1, 100000006.7, 100000002.3),
         ((d - mean) * (d - mean) + (e - mean) * (e - mean) + (f - mean) * (f - mean)) / 2, {d - mean, e - mean, f - mean});
  EXPECT("vector_norm(x)", X(3e200, 4e200), 5e200, {0.6, 0.8});
  EXPECT("vector_norm(x)", X(3e-200, -4e-200), 5e-200, {0.6, -0.8});
  EXPECT("std(x)", X(1e200, -1e200), 1e200 * sqrt(2.0), {sqrt(0.5), -sqrt(0.5)});
}

static void zero_norms_and_no_freedom(void **state) {
  (void)state;
  EXPECT("vector_norm(x)", X(0, 0), 0, {0, 0});
  EXPECT("vector_norm(x, 3)", X(0, 0), 0, {0, 0});
  EXPECT("std(x)", X(2, 2, 2), 0, {0, 0, 0});
  EXPECT("var(x)", X(2), nan_, {nan_});
  EXPECT("std(x)", X(2), nan_, {nan_});
}

static void losses_at_their_edges(void **state) {
  (void)state;
  EXPECT("binary_cross_entropy(x, [1])", X(0), 100, {-1e12});
  EXPECT("hinge_loss(x, [1])", X(1), 0, {0});
  EXPECT("huber_loss(x, [0])", X(1), 0.5, {1});
  EXPECT("dropout(x, 1.0)[0]", X(3, 4), 0, {0, 0});
  EXPECT("sum(dropout(x, 0.0))", X(3, 4), 7, {1, 1});
}

static void float32_accumulates_in_double(void **state) {
  (void)state;
  int64_t n = 10000000;
  float *x = malloc((size_t)n * sizeof *x), tenth = 0.1F;
  assert_non_null(x);
  for (int64_t k = 0; k < n; k++) x[k] = tenth;
  cr_tape *t = cr_new();
  cr_var v = cr_constant_of(t, CR_FLOAT32, 1, &n, x);
  float want = (float)((double)tenth * (double)n), ulp = nextafterf(want, HUGE_VALF) - want;
  assert_true(fabs(cr_value(cr_sum_all(v)) - (double)want) <= 2 * (double)ulp);
  cr_free(t);
  free(x);
}

/* A sum over the first axis, the last, and both strided: bit for bit those of the rows alone. */
static void the_tree_does_not_depend_on_strides(void **state) {
  (void)state;
  enum { N = 301, M = 21 };
  static double x[N][M];
  for (int i = 0; i < N; i++)
    for (int j = 0; j < M; j++) x[i][j] = sin(17.0 * i + j) * pow(10, (i * j) % 12);
  cr_tape *t = cr_new();
  cr_var v = cr_constant_of(t, CR_FLOAT64, 2, (int64_t[]){N, M}, x), turned = cr_permute(v, 2, (int[]){1, 0});
  double down[M], along[M], copied[M];
  cr_read(cr_sum(v, 1, (int[]){0}, 0), down, M);
  cr_read(cr_sum(turned, 1, (int[]){1}, 0), along, M);
  cr_read(cr_sum(cr_add(turned, cr_const(t, 0)), 1, (int[]){1}, 0), copied, M);
  assert_memory_equal(down, along, sizeof down);
  assert_memory_equal(down, copied, sizeof down);
  cr_free(t);
}

static void nothing_to_reduce(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  cr_var none = cr_tensor_of(t, CR_FLOAT64, 2, (int64_t[]){0, 2}, NULL);
  expect(cr_sum(none, 1, (int[]){0}, 0), 2, (double[]){0, 0});
  expect(cr_prod(none, 1, (int[]){0}, 0), 2, (double[]){1, 1});
  expect(cr_mean(none, 1, (int[]){0}, 0), 2, (double[]){nan_, nan_});
  expect(cr_logsumexp(none, 1, (int[]){0}, 0), 2, (double[]){-inf, -inf});
  expect(cr_all(none, -1, NULL, 0), 1, (double[]){1});
  expect(cr_any(none, -1, NULL, 0), 1, (double[]){0});
  assert_int_equal(cr_count(cr_amax(none, 1, (int[]){1}, 0)), 0);
  assert_int_equal(cr_count(cr_softmax(none, 0)), 0);
  assert_int_equal(cr_count(cr_cumprod(none, 0)), 0);
  assert_int_equal(cr_error(t), CR_OK);
  assert_true(cr_is_poison(cr_amax(none, 1, (int[]){0}, 0)));
  assert_int_equal(cr_error(t), CR_BAD_SHAPE);
  cr_free(t);
}

static void mistakes_are_named(void **state) {
  (void)state;
  static const char *const cases[][2] = {
    {"sum(x, dim=2)", "axis 2 of a tensor of rank 1"},
    {"amax(x, dim=[0, -1])", "appears twice"},
    {"mse_loss(x, x, reduction='average')", "none of 'mean', 'sum', 'none'"},
    {"kl_div(x, x, reduction='average')", "'batchmean'"},
    {"cross_entropy(x, 3)", "there are 3 classes"},
    {"layer_norm(x, [2])", "sizes of the last axes"},
    {"dropout(x, 1.5)", "no probability"},
    {"glu(x)", "does not split into halves"}};
  for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
    cr_tape *t = cr_new();
    cr_var x = vector(t, 3, (double[]){1, 2, 3});
    assert_true(cr_is_poison(cr_formula(t, cases[k][0], "x", x)));
    if (!strstr(cr_error_text(t), cases[k][1])) fail_msg("%s: %s", cases[k][0], cr_error_text(t));
    cr_free(t);
  }
}

static void random_numbers_depend_on_seed_and_position(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  int64_t n = 6, shape[2] = {2, 3};
  double one[6], two[6];
  cr_read(cr_rand(t, CR_FLOAT64, 1, &n, 9), one, n);
  cr_read(cr_rand(t, CR_FLOAT64, 2, shape, 9), two, n);
  assert_memory_equal(one, two, sizeof one);
  cr_read(cr_rand(t, CR_FLOAT64, 1, &n, 0), one, n);
  /* the published first block of Philox-4x32-10 for counter 0 and key 0 */
  assert_true(one[0] == (double)(UINT64_C(0xe169c58d6627e8d5) >> 11) * 0x1p-53);
  assert_true(one[1] == (double)(UINT64_C(0x9b00dbd8bc57ac4c) >> 11) * 0x1p-53);
  n = 100000;
  cr_var x = cr_randn(t, CR_FLOAT64, 1, &n, 4);
  assert_true(fabs(cr_value(cr_mean(x, -1, NULL, 0))) < 0.02);
  assert_true(fabs(cr_value(cr_std(x, -1, NULL, 1, 0)) - 1) < 0.02);
  cr_free(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(ties_are_split_evenly_or_follow_the_index),
    cmocka_unit_test(nan_is_the_extreme),
    cmocka_unit_test(rows_of_minus_infinity),
    cmocka_unit_test(a_dominating_term_leaves_digits),
    cmocka_unit_test(zeros_in_products),
    cmocka_unit_test(offsets_and_sizes_cost_no_digits),
    cmocka_unit_test(zero_norms_and_no_freedom),
    cmocka_unit_test(losses_at_their_edges),
    cmocka_unit_test(float32_accumulates_in_double),
    cmocka_unit_test(the_tree_does_not_depend_on_strides),
    cmocka_unit_test(nothing_to_reduce),
    cmocka_unit_test(mistakes_are_named),
    cmocka_unit_test(random_numbers_depend_on_seed_and_position),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
