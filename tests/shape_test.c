/* Shapes, slices, joins, indexing and sorting at their edges: rank 0, size 0, rank 8, negative steps, repeated positions,
 * views of views, and what errors say. Values are compared with literals of the expression language. */
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <setjmp.h>
#include <cmocka.h>

#include "check.h"
#include "formula.h"
#include "ops.h"

static const char variables[] =
  "s = 2.5; x = [1, 2, 3, 4, 5]; A = [[1, 2, 3], [4, 5, 6]]; E = zeros(0, 3);"
  "i = cast([2, 0, -1, 2], int64); n = nan; none = zeros(0)";

static cr_results run(cr_tape *t, const char *source) {
  cr_results r = {0};
  cr_syntax_error error;
  cr_program *p = cr_program_new(t, CR_FLOAT64);
  assert_non_null(p);
  assert_int_equal(cr_program_run(p, variables, strlen(variables), &r, &error), CR_OK);
  r.n = 0;
  cr_program_run(p, source, strlen(source), &r, &error);
  return r;
}

/* The first result has the shape and, NaN being NaN, exactly the numbers of the literal. */
static void is(const char *source, const char *literal) {
  cr_tape *t = cr_new();
  cr_results got = run(t, source), want = run(t, literal);
  if (got.n < 1 || want.n < 1) fail_msg("%s: %s", source, cr_error_text(t));
  cr_array a = cr_view(got.value[0]), b = cr_view(want.value[0]);
  char one[200], two[200];
  cr_shape_text(&a, one, sizeof one);
  cr_shape_text(&b, two, sizeof two);
  if (strcmp(one, two)) fail_msg("%s has shape %s, not %s", source, one, two);
  for (int64_t k = 0; k < a.count; k++) {
    double x = cr_array_get(&a, k), y = cr_array_get(&b, k);
    if (x != y && (x == x || y == y)) fail_msg("%s: element %d is %g, not %g", source, (int)k, x, y);
  }
  cr_free(t);
}

static void fails(const char *source, const char *text) {
  cr_tape *t = cr_new();
  cr_results r = run(t, source);
  if (r.n || cr_error(t) == CR_OK) fail_msg("%s does not fail", source);
  if (!strstr(cr_error_text(t), text)) fail_msg("%s fails with: %s", source, cr_error_text(t));
  cr_free(t);
}

static void slices(void **state) {
  (void)state;
  is("slice(x, [1], [4], [2])", "[2, 4]");
  is("slice(x, [4], [-1], [-2])", "[5, 3, 1]"); /* a stop below 0 is the end before the first */
  is("slice_axis(x, 0, 4, -1, -2)", "none");    /* as Python: -1 is the last */
  is("slice_axis(x, 0, None, None, -1)", "[5, 4, 3, 2, 1]");
  is("slice_axis(x, -1, -100, 100, 3)", "[1, 4]");
  is("x[3:1]", "none");
  is("x[::-2][1:]", "[3, 1]");
  is("A[::-1, 1:][0]", "[5, 6]");
  is("A[-1, None, ::2]", "[[4, 6]]");
  is("E[:, ::-1]", "E");
  is("select(A, -1, -3)", "[1, 4]");
  is("x[i]", "[3, 1, 5, 3]");
  is("flip(s, [])", "s");
  is("split(x, 2)[2]", "[5]");
  is("split(E, [0, 0])[1]", "E");
  is("roll(x, -7)", "[3, 4, 5, 1, 2]");
  is("diff(A, n=3)", "zeros(2, 0)");
  fails("select(x, 0, 5)", "index 5 is out of range for axis 0 of size 5");
  fails("slice_axis(x, 1, 0, 1)", "axis 1 of a tensor of rank 1");
  fails("slice(x, [0], [1], [0])", "the step is zero");
  fails("slice(s, [0], [1])", "1 axes given for a tensor of rank 0");
  fails("split(x, [2, 2])", "the parts do not add up to axis 0, which has size 5");
  fails("flip(A, [0, -2])", "axis 0 appears twice");
}

static void padding(void **state) {
  (void)state;
  is("pad(x, [-2, 1])", "[3, 4, 5, 0]");
  is("pad(x, [-9, 6], value=7)", "[7, 7]");
  is("pad(none, [1, 1], value=n)", "[n, n]");
  is("pad(A, [1, -1, -1, 1], value=9)", "[[9, 4, 5], [9, 9, 9]]");
  is("pad(s, [])", "s");
  is("pad(A, [2, 2], mode='reflect')[0]", "[3, 2, 1, 2, 3, 2, 1]");
  is("pad(A, [1, 2], mode='circular')[1]", "[6, 4, 5, 6, 4, 5]");
  is("pad_replicate(A, [0, 1, 2, -1])", "[[1, 2, 3, 3], [1, 2, 3, 3], [1, 2, 3, 3]]");
  is("slice_update(A, [[7], [8]], [0, -1])", "[[1, 2, 7], [4, 5, 8]]");
  is("diag([7, 8], -1)", "[[0, 0, 0], [7, 0, 0], [0, 8, 0]]");
  is("diag(none)", "zeros(0, 0)");
  is("diagonal(A.T, 1)", "[4]");
  is("diagonal(A, -5)", "none");
  is("trace(A)", "6");
  is("block_diag(s, [[1], [2]])", "[[2.5, 0], [0, 1], [0, 2]]");
  fails("pad(x, [-3, -3])", "leaves a negative size");
  fails("pad(x, [5, 0], mode='reflect')", "mode 'reflect' cannot pad axis 0 of size 5 by (5, 0)");
  fails("slice_update(x, [1, 2], [4])", "2 positions from 4 do not fit axis 0 of size 5");
}

static void joins_and_layouts(void **state) {
  (void)state;
  is("cat([E, A, E])", "A");
  is("stack([s, 1, 2])", "[2.5, 1, 2]");
  is("stack([x, x], dim=-1)[4]", "[5, 5]");
  is("[s, [1, s][0]]", "[2.5, 1]");
  is("squeeze(unsqueeze(unsqueeze(s, 0), -1))", "s");
  is("flatten(s)", "[2.5]");
  is("A.T.reshape(-1)", "[1, 4, 2, 5, 3, 6]");
  is("reshape(broadcast_to([[1], [2]], [2, 3]), [6])", "[1, 1, 1, 2, 2, 2]");
  is("reshape(E, [3, 0, 7])", "zeros(3, 0, 7)");
  is("tile([1, 2], [2, 2])", "[[1, 2, 1, 2], [1, 2, 1, 2]]");
  is("repeat_interleave(A, [2, 0, 1], dim=1)", "[[1, 1, 3], [4, 4, 6]]");
  is("meshgrid([1, 2], [3, 4, 5], indexing='xy')[0]", "[[1, 2], [1, 2], [1, 2]]");
  is("tril(A, -1)", "[[0, 0, 0], [4, 0, 0]]");
  is("arange(5, 0, -2)", "[5, 3, 1]");
  is("linspace(-1, 1, 3)", "[-1, 0, 1]");
  is("linspace(s, 3, 1)", "[2.5]");
  is("eye(2, 3)", "[[1, 0, 0], [0, 1, 0]]");
  fails("cat([x, A])", "operand 1 has shape (2, 3), operand 0 (5,)");
  fails("cat([s, s])", "rank 0 have no axis to join");
  fails("stack([x, s])", "operand 1 has shape (), operand 0 (5,)");
  fails("reshape(x, [2, -1])", "5 elements of shape (5,) do not fill the new shape");
  fails("unsqueeze(ones(1, 1, 1, 1, 1, 1, 1, 1), 0)", "9 axes, at most 8");
}

static void indexing(void **state) {
  (void)state;
  is("index_add(zeros(3), 0, i, [1, 10, 100, 1000])", "[10, 0, 1101]");
  is("scatter(zeros(3), 0, i, [1, 10, 100, 1000])", "[10, 0, 1000]");
  is("scatter(A, 1, cast([[0], [2]], int64), 9)", "[[9, 2, 3], [4, 5, 9]]");
  is("gather(A, 0, cast([[1, 0]], int64))", "[[4, 2]]");
  is("take_along_dim(A, [[2], [0]], dim=1)", "[[3], [4]]");
  is("index(A, [[0, 1], [[-1], [0]]])", "[[3, 6], [1, 4]]");
  is("index(A, [A > 2])", "[3, 4, 5, 6]");
  is("index_put(A, [[0, 0], [1, 1]], [7, 8])", "[[1, 8, 3], [4, 5, 6]]");
  is("index_put(A, [[0, 0]], 10, accumulate=True)", "[[21, 22, 23], [4, 5, 6]]");
  is("segment_sum(x, [0, -1, 2, 0, 7], 3)", "[5, 0, 3]");
  is("segment_sum(E, cast(none, int64), 2)", "zeros(2, 3)");
  is("one_hot([1, 0], 3)", "[[0, 1, 0], [1, 0, 0]]");
  is("embedding([[1], [0]], A)", "[[[4, 5, 6]], [[1, 2, 3]]]");
  is("unfold(x, 0, 3, 2)", "[[1, 2, 3], [3, 4, 5]]");
  is("index_select(E, 0, cast(none, int64))", "E");
  fails("x[[5]]", "index 5 is out of range for axis 0 of size 5");
  fails("index(A, [[0], [-4]])", "index -4 is out of range for axis 1 of size 3");
  fails("index_select(x, 0, sin(A))", "integers");
  fails("one_hot([3], 3)", "class 3 is not below the number of classes 3");
  fails("gather(A, 0, cast([[0, 0, 0, 0]], int64))", "fit into it on every axis but 0");
}

static void selection_and_sorting(void **state) {
  (void)state;
  is("where([1, 0, n], 1, [4, 5, 6])", "[1, 5, 1]");
  is("clamp([n, -1, 0, 2, inf], 0, 1)", "[n, 0, 0, 1, 1]");
  is("clamp(x, [3], 1)", "[1, 1, 1, 1, 1]"); /* max wins where they cross */
  is("clamp(x, max=[n, 1, 1, 1, 9])", "[n, 1, 1, 1, 5]");
  is("argsort([2, n, 1, 2, -0.0, 0])", "[4, 5, 2, 0, 3, 1]");
  is("argsort([2, n, 1, 2, -0.0, 0], descending=True)", "[1, 0, 3, 2, 4, 5]");
  is("sort(A, dim=0, descending=True)[0]", "[[4, 5, 6], [1, 2, 3]]");
  is("sort(s)[0]", "s");
  is("sort(E)[1]", "E");
  is("topk(x, 2, largest=False)[0]", "[1, 2]");
  is("kthvalue(A, 2)[0]", "[2, 5]");
  is("median(A)", "3");
  is("median(A, dim=1)[1]", "[1, 1]");
  fails("topk(x, 6)", "k is 6, the axis has size 5");
  fails("median(none)", "axis 0 is empty");
}

/* More elements than the insertion runs, in an order that merges every which way. */
static void long_sort_is_stable(void **state) {
  (void)state;
  enum { N = 5000 };
  cr_tape *t = cr_new();
  int64_t n = N;
  cr_var x = cr_tensor_of(t, CR_INT32, 1, &n, NULL);
  int32_t *key = cr_view(x).data;
  for (uint32_t k = 0; k < N; k++) key[k] = (int32_t)(k * 2654435761u >> 24) - 128;
  for (int descending = 0; descending < 2; descending++) {
    const int64_t *at = cr_view(cr_argsort(x, 0, descending)).data;
    for (int k = 1; k < N; k++) {
      int32_t a = key[at[k - 1]], b = key[at[k]];
      assert_true(a == b ? at[k - 1] < at[k] : (a < b) != descending);
    }
  }
  cr_free(t);
}

static void gradient_is(const char *source, const char *expected) {
  cr_tape *t = cr_new();
  cr_program *p = cr_program_new(t, CR_FLOAT64);
  cr_results r = {0};
  cr_syntax_error error;
  cr_program_run(p, variables, strlen(variables), &r, &error);
  cr_status status = cr_program_run(p, source, strlen(source), &r, &error);
  if (status != CR_OK) fail_msg("%s: %s", source, cr_error_text(t));
  cr_var x = cr_program_value(p, "v");
  cr_sweep *s = cr_backward(r.value[0]);
  cr_var g = cr_adjoint_var(s, x), want;
  cr_results w = {0};
  assert_int_equal(cr_program_run(p, expected, strlen(expected), &w, &error), CR_OK);
  want = w.value[0];
  assert_int_equal(cr_count(g), cr_count(want));
  cr_array a = cr_view(g), b = cr_view(want);
  for (int64_t k = 0; k < a.count; k++)
    if (cr_array_get(&a, k) != cr_array_get(&b, k))
      fail_msg("%s: adjoint %d is %g, not %g", source, (int)k, cr_array_get(&a, k), cr_array_get(&b, k));
  cr_free(t);
}

static void conventions(void **state) {
  (void)state;
  gradient_is("v = param [1, 2, 3]; v[[0, 0, 2]]", "[2, 0, 1]");
  gradient_is("v = param [1, 2]; scatter(zeros(3), 0, [1, 1], v)", "[0, 1]");            /* the last writer */
  gradient_is("v = param [1, 2, 3]; scatter(v, 0, [1, 1], [5, 6])", "[1, 0, 1]");
  gradient_is("v = param [1, 2]; index_put(zeros(2, 2), [[0, 0], [1, 1]], v)", "[0, 1]");
  gradient_is("v = param [-1, 0, 0.5, 1, 2]; clamp(v, 0, 1)", "[0, 1, 1, 1, 0]");         /* 1 at both edges */
  gradient_is("v = param [[1, 2], [3, 4]]; embedding([0, 1, 1], v, padding_idx=-1)", "[[1, 1], [0, 0]]");
  gradient_is("v = param [-1, 0, 4]; where(v > 0, 1 / v, 0)", "[0, 0, -0.0625]");
  gradient_is("v = param [4, 1, 4]; sort(v)[0][2]", "[0, 0, 1]");
  gradient_is("v = param [4, 1, 4]; median(v)", "[1, 0, 0]");
  gradient_is("v = param 3; full((2, 2), v)", "4");
  gradient_is("v = param 3; pad([1, 2], [2, -1], value=v)", "2");
  gradient_is("v = param [1, 2, 3]; pad(v, [-1, 1])", "[0, 1, 1]");
  gradient_is("v = param [1, 2, 3]; unfold(v, 0, 2, 1)", "[1, 2, 1]");
  gradient_is("v = param 2; stack([v, v * v, 1])", "5");
}

/* A chain of views of all kinds, each strided another way, checked to second order. */
static void derivatives_through_views_of_views(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  double data[24];
  for (int k = 0; k < 24; k++) data[k] = sin(3 * k + 1);
  cr_var x = cr_tensor_of(t, CR_FLOAT64, 3, (int64_t[]){2, 3, 4}, data);
  cr_var y = cr_permute(x, 3, (int[]){2, 0, 1});
  y = cr_slice(y, 3, (int64_t[]){3, 0, 0}, (int64_t[]){-1, 2, 3}, (int64_t[]){-2, 1, 2});
  y = cr_broadcast_to(cr_unsqueeze(y, 1), 4, (int64_t[]){2, 3, 2, 2});
  y = cr_diagonal(y, 1, 0, 1);
  y = cr_flip(cr_select(y, 1, -1), 1, (int[]){0});
  y = cr_mul(y, cr_sin(cr_reshape(y, 3, (int64_t[]){-1, 1, 2})));
  cr_report *report;
  cr_check_options options = {.struct_size = sizeof options, .weighted = 1};
  if (cr_check(y, 1, &x, &options, &report) != CR_OK) fail_msg("%s %s", cr_error_text(t), report ? report->text : "");
  cr_free(t);
}

/* A view keeps its scalar's value while the tape grows, and follows it at a replay. */
static void views_of_scalars(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  cr_var s = cr_input(t, 1.5), v = cr_broadcast_to(s, 1, (int64_t[]){3}), y = s;
  for (int k = 0; k < 10000; k++) y = cr_neg(y);
  assert_true(cr_value(cr_sum_all(v)) == 4.5);
  cr_set_value(s, 2);
  assert_int_equal(cr_replay(t), CR_OK);
  assert_true(cr_array_get(&(cr_array){.data = cr_view(v).data, .dtype = CR_FLOAT64, .contiguous = 1}, 0) == 2);
  assert_true(cr_adjoint(cr_backward(cr_sum_all(v)), s) == 3);
  cr_free(t);
}

/* Every way of walking rank 8: a view that reverses the axes, sliced, copied back by a reshape. */
static void rank_eight(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  int64_t dims[8] = {2, 1, 2, 3, 1, 2, 1, 2}, flat = 48;
  int axes[8] = {7, 6, 5, 4, 3, 2, 1, 0};
  cr_var x = cr_arange(t, CR_FLOAT64, 0, 48, 1), y = cr_permute(cr_reshape(x, 8, dims), 8, axes);
  y = cr_reshape(cr_flip(y, 8, axes), 1, &flat);
  double got[48];
  assert_int_equal(cr_read(y, got, 48), CR_OK);
  for (int k = 0; k < 48; k++) { /* position k of axes (2, 2, 3, 2, 2), all reversed */
    int a = 1 - k / 24, b = 1 - k / 12 % 2, c = 2 - k / 4 % 3, d = 1 - k / 2 % 2, e = 1 - k % 2;
    assert_true(got[k] == a + 2 * b + 4 * c + 12 * d + 24 * e);
  }
  cr_free(t);
}

/* float32 totals are rounded once: a thousand small terms are not lost against a large one. */
static void repeated_float32_terms_add_up(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  int64_t one = 1, n = 1000;
  cr_var x = cr_ones(t, CR_FLOAT32, 1, &one), tiny = cr_full(t, CR_FLOAT32, 1, &n, 1e-8);
  cr_var y = cr_index_add(x, 0, cr_zeros(t, CR_INT64, 1, &n), tiny);
  assert_true(cr_array_get(&(cr_array){.data = cr_view(y).data, .dtype = CR_FLOAT32, .contiguous = 1}, 0) > 1.0000099);
  assert_int_equal(cr_dtype_of(y), CR_FLOAT32);
  cr_free(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(slices), cmocka_unit_test(padding), cmocka_unit_test(joins_and_layouts), cmocka_unit_test(indexing),
    cmocka_unit_test(selection_and_sorting), cmocka_unit_test(long_sort_is_stable), cmocka_unit_test(conventions),
    cmocka_unit_test(derivatives_through_views_of_views), cmocka_unit_test(views_of_scalars), cmocka_unit_test(rank_eight),
    cmocka_unit_test(repeated_float32_terms_add_up),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
