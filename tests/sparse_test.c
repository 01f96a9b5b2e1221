/* Sparse Jacobians and Hessians: every sample against the dense ones, at new values too; known patterns and numbers of
 * colours; random graphs; linear time and memory; output; errors; each allocation made to fail. */
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#include "emit.h"
#include "meter.h"
#include "samples.h"
#include "sparsity.h"

/* Against dense derivatives */

static int64_t elements(int n, const cr_var *v) {
  int64_t count = 0;
  for (int k = 0; k < n; k++) count += cr_count(v[k]);
  return count;
}

/* Row-major, of all y by all x; or of the gradient of sum(y). */
static double *dense(int m, const cr_var *y, int n, const cr_var *x, int second) {
  int64_t rows = second ? elements(n, x) : elements(m, y), columns = elements(n, x), row = 0;
  double *all = calloc((size_t)(rows * columns) + 1, sizeof *all),
         *block = calloc((size_t)(rows * columns) + 1, sizeof *block);
  for (int i = 0; i < (second ? n : m); i++) {
    int64_t column = 0, height = cr_count(second ? x[i] : y[i]);
    for (int j = 0; j < n; j++) {
      int64_t width = cr_count(x[j]);
      cr_status status = second ? cr_hessian_block(y[0], x[i], x[j], block) : cr_jacobian(y[i], x[j], block);
      if (status != CR_OK) {
        free(all);
        free(block);
        return NULL;
      }
      for (int64_t k = 0; k < height * width; k++) all[(row + k / width) * columns + column + k % width] = block[k];
      column += width;
    }
    row += height;
  }
  free(block);
  return all;
}

static int is_near(double a, double b, double tolerance) {
  return (isnan(a) && isnan(b)) || a == b || fabs(a - b) <= tolerance * (1 + fmax(fabs(a), fabs(b)));
}

/* Ascending columns, and the values of the dense matrix, 0 outside the pattern. extra counts zeros inside. */
static int agrees(cr_sparse_plan *p, const double *want, double tolerance, const char *what, int64_t *extra) {
  cr_sparse_pattern s = cr_sparse_pattern_of(p);
  double *values = malloc((size_t)(s.nonzeros + 1) * sizeof *values);
  int good = cr_sparse_evaluate(p, values) == CR_OK;
  for (int64_t i = 0; i < s.rows && good; i++) {
    int64_t k = s.start[i];
    for (int64_t j = 0; j < s.columns && good; j++) {
      int inside = k < s.start[i + 1] && s.column[k] == j;
      double have = inside ? values[k++] : 0;
      *extra += inside && want[i * s.columns + j] == 0;
      good = is_near(have, want[i * s.columns + j], tolerance);
      if (!good)
        print_message("%s: element (%lld, %lld) %s the pattern is %g, not %g\n", what, (long long)i, (long long)j,
                      inside ? "in" : "outside", have, want[i * s.columns + j]);
    }
    good = good && k == s.start[i + 1];
  }
  free(values);
  return good;
}

static void move_inputs(int n, const cr_var *x) {
  for (int k = 0; k < n; k++) {
    cr_array a = cr_view(x[k]);
    for (int64_t i = 0; i < a.count; i++) cr_array_set(&a, i, cr_array_get(&a, i) * (1 + 0.03 * sin((double)(i + k))));
  }
}

/* At the inputs' values and at others. */
static int check_plan(int m, const cr_var *y, int n, const cr_var *x, int second, double tolerance, const char *what,
                      int64_t *extra) {
  cr_tape *t = x[0].tape;
  cr_sparse_plan *p = second ? cr_sparse_hessian(y[0], n, x) : cr_sparse_jacobian(m, y, n, x);
  int good = p != NULL;
  if (!p) print_message("%s: %s\n", what, cr_error_text(t));
  for (int round = 0; round < 2 && good; round++) {
    double *want = dense(m, y, n, x, second);
    *extra = 0;
    if (want) good = agrees(p, want, tolerance, what, extra);
    free(want);
    if (!want) break;
    move_inputs(n, x);
    if (cr_replay(t) != CR_OK) break;
  }
  return good;
}

static int n_samples, n_exact, failures;

static void check_sample(const char *text, size_t length, cr_dtype dtype, int second) {
  sample s;
  char error[400], what[300];
  int64_t extra = 0;
  cr_var y[MOST_INPUTS];
  snprintf(what, sizeof what, "%.*s, %s, %s", (int)length, text, cr_dtype_name(dtype), second ? "Hessian" : "Jacobian");
  if (!sample_make(&s, text, length, dtype, 1, error)) return;
  int m = 0;
  for (int k = 0; k < s.results.n && m < MOST_INPUTS; k++)
    if (cr_dtype_of(s.results.value[k]) >= CR_FLOAT32) y[m++] = s.results.value[k];
  if (m && s.n_inputs && cr_error(s.tape) == CR_OK) {
    int good = check_plan(m, y, s.n_inputs, s.input, second, dtype == CR_FLOAT32 ? 2e-3 : 1e-8, what, &extra);
    n_samples++;
    n_exact += !extra;
    failures += !good;
  }
  sample_free(&s);
}

static void every_sample_agrees(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  const cr_function *f;
  n_samples = n_exact = failures = 0;
  for (int k = 0; (f = cr_function_at(t, k)); k++) {
    const char *rest = f->samples, *text;
    size_t length;
    while (rest && (text = sample_next(&rest, &length)))
      for (int second = 0; second < 2; second++) {
        check_sample(text, length, CR_FLOAT64, second);
        if (!second) check_sample(text, length, CR_FLOAT32, second);
      }
  }
  cr_free(t);
  print_message("%d matrices, %d of them without a zero in the pattern\n", n_samples, n_exact);
  assert_true(n_samples > 1000);
  assert_int_equal(failures, 0);
}

/* Known patterns */

static cr_var *numbers(cr_tape *t, int n) {
  cr_var *x = malloc((size_t)n * sizeof *x);
  for (int k = 0; k < n; k++) x[k] = cr_input(t, sin(k + 1.0));
  return x;
}

static cr_var vector(cr_tape *t, int64_t n) {
  cr_var x = cr_tensor_of(t, CR_FLOAT64, 1, &n, NULL);
  cr_array a = cr_view(x);
  for (int64_t k = 0; k < n; k++) cr_array_set(&a, k, sin((double)k + 1));
  return x;
}

static cr_var part(cr_var x, int64_t from, int64_t to) { return cr_slice_axis(x, 0, from, to, 1); }

/* Exactly this many nonzeros and colours, and the dense numbers. */
static void expect(int m, const cr_var *y, int n, const cr_var *x, int second, int64_t nonzeros, int colours) {
  int64_t extra = 0;
  assert_true(check_plan(m, y, n, x, second, 1e-10, "known", &extra));
  cr_sparse_plan *p = second ? cr_sparse_hessian(y[0], n, x) : cr_sparse_jacobian(m, y, n, x);
  assert_non_null(p);
  cr_sparse_pattern s = cr_sparse_pattern_of(p);
  assert_int_equal(s.nonzeros, nonzeros);
  assert_int_equal(s.colours, colours);
}

static void tridiagonal(void **state) {
  (void)state;
  enum { N = 40 };
  cr_tape *t = cr_new();
  cr_var *x = numbers(t, N), y[N];
  for (int k = 0; k < N; k++) {
    y[k] = cr_sin(x[k]);
    if (k) y[k] = cr_mul(y[k], x[k - 1]);
    if (k < N - 1) y[k] = cr_sub(y[k], cr_exp(x[k + 1]));
  }
  expect(N, y, N, x, 0, 3 * N - 2, 3);
  free(x);
  cr_var v = vector(t, N), inner = part(v, 1, N - 1);
  cr_var w = cr_add(cr_mul(cr_sin(inner), part(v, 0, N - 2)), cr_square(part(v, 2, N)));
  expect(1, &w, 1, &v, 0, 3 * (N - 2), 3);
  cr_free(t);
}

static void arrow(void **state) {
  (void)state;
  enum { N = 60 };
  for (int last = 0; last < 2; last++) {
    cr_tape *t = cr_new();
    cr_var *x = numbers(t, N), hub = x[last ? N - 1 : 0], y = cr_const(t, 0);
    for (int k = 0; k < N; k++)
      if (x[k].id != hub.id) y = cr_add(y, cr_mul(cr_square(x[k]), cr_exp(hub)));
    expect(1, &y, N, x, 1, 3 * N - 2, 2);
    free(x);
    cr_free(t);
  }
}

/* Sum of 100 (x[k + 1] - x[k]^2)^2 + (1 - x[k])^2 */
static cr_var rosenbrock(int n, const cr_var *x) {
  cr_var y = cr_const(x[0].tape, 0), hundred = cr_const(x[0].tape, 100), one = cr_const(x[0].tape, 1);
  for (int k = 0; k + 1 < n; k++)
    y = cr_add(y, cr_add(cr_mul(hundred, cr_square(cr_sub(x[k + 1], cr_square(x[k])))), cr_square(cr_sub(one, x[k]))));
  return y;
}

static void rosenbrock_by_numbers_and_slices(void **state) {
  (void)state;
  enum { N = 50 };
  cr_tape *t = cr_new();
  cr_var *x = numbers(t, N), y = rosenbrock(N, x);
  expect(1, &y, N, x, 1, 3 * N - 2, 3);
  free(x);
  cr_var v = vector(t, N), a = part(v, 0, N - 1), b = part(v, 1, N);
  y = cr_sum_all(cr_add(cr_mul(cr_const(t, 100), cr_square(cr_sub(b, cr_square(a)))), cr_square(cr_sub(cr_const(t, 1), a))));
  expect(1, &y, 1, &v, 1, 3 * N - 2, 3);
  cr_free(t);
}

/* The five-point stencil by slices of the grid and by convolution. */
static void laplacian(void **state) {
  (void)state;
  enum { N = 9, M = N + 2 };
  cr_tape *t = cr_new();
  cr_var u = cr_reshape(vector(t, N * N), 2, (int64_t[]){N, N}), x = cr_node_at(t, 1);
  int64_t one[] = {1, 1};
  cr_var g = cr_pad(u, one, one, NULL, cr_const(t, 0)), sum = cr_mul(cr_const(t, -4), u);
  for (int k = 0; k < 4; k++) {
    int64_t i = k == 0 ? 0 : k == 1 ? 2 : 1, j = k == 2 ? 0 : k == 3 ? 2 : 1;
    sum = cr_add(sum, cr_slice(g, 2, (int64_t[]){i, j}, (int64_t[]){i + N, j + N}, (int64_t[]){1, 1}));
  }
  int64_t extra = 0;
  cr_var y = cr_add(sum, cr_exp(u));
  assert_true(check_plan(1, &y, 1, &x, 0, 1e-12, "laplacian", &extra));
  assert_int_equal(extra, 0);
  cr_sparse_pattern s = cr_sparse_pattern_of(cr_sparse_jacobian(1, &y, 1, &x));
  assert_int_equal(s.nonzeros, 5 * N * N - 4 * N);
  assert_in_range(s.colours, 5, 8);
  double kernel[9] = {0, 1, 0, 1, -4, 1, 0, 1, 0};
  cr_var w = cr_constant_of(t, CR_FLOAT64, 4, (int64_t[]){1, 1, 3, 3}, kernel);
  cr_var z = cr_convolve(
      cr_reshape(u, 4, (int64_t[]){1, 1, N, N}), w,
      &(cr_conv){
          .stride = {1, 1}, .pad_lo = {1, 1}, .pad_hi = {1, 1}, .dilation = {1, 1}, .input_dilation = {1, 1}, .groups = 1});
  assert_true(check_plan(1, &z, 1, &x, 0, 1e-12, "convolution", &extra));
  s = cr_sparse_pattern_of(cr_sparse_jacobian(1, &z, 1, &x));
  assert_int_equal(s.nonzeros, (3 * N - 2) * (3 * N - 2)); /* all nine taps count */
  assert_int_equal(s.colours, 9);
  cr_var f = cr_sum_all(cr_mul(u, sum));
  assert_true(check_plan(1, &f, 1, &x, 1, 1e-10, "quadratic form", &extra));
  assert_int_equal(extra, 0);
  cr_free(t);
}

static void products_of_matrices(void **state) {
  (void)state;
  enum { I = 3, K = 4, J = 5, B = 2 };
  cr_tape *t = cr_new();
  cr_var a = cr_reshape(vector(t, B * I * K), 3, (int64_t[]){B, I, K}), x[2] = {cr_node_at(t, 1)};
  x[1] = vector(t, B * K * J);
  cr_var b = cr_reshape(x[1], 3, (int64_t[]){B, K, J}), y = cr_matmul(a, b);
  cr_sparse_pattern s = cr_sparse_pattern_of(cr_sparse_jacobian(1, &y, 2, x));
  expect(1, &y, 2, x, 0, B * I * J * 2 * K, s.colours);
  assert_in_range(s.colours, J, 2 * K); /* rows of y that share neither a row of a nor a column of b */
  expect(1, &y, 1, x, 0, B * I * J * K, K);
  y = cr_sum_all(cr_tanh(y));
  int64_t extra = 0;
  assert_true(check_plan(1, &y, 2, x, 1, 1e-9, "matrices", &extra));
  assert_int_equal(extra, 0);
  cr_free(t);
}

/* Each third of the inputs has an output: rows of one colour, one sweep back. */
static void rows_are_compressed_where_that_is_less(void **state) {
  (void)state;
  enum { N = 30 };
  cr_tape *t = cr_new();
  cr_var *x = numbers(t, N), y[3];
  for (int k = 0; k < 3; k++) y[k] = rosenbrock(N / 3, x + k * N / 3);
  expect(3, y, N, x, 0, N, 1);
  assert_true(cr_sparse_pattern_of(cr_sparse_jacobian(3, y, N, x)).reverse);
  free(x);
  cr_var v = vector(t, N);
  cr_var rows = cr_sum(cr_sin(cr_reshape(v, 2, (int64_t[]){3, N / 3})), 1, (int[]){1}, 0);
  expect(1, &rows, 1, &v, 0, N, 1);
  assert_true(cr_sparse_pattern_of(cr_sparse_jacobian(1, &rows, 1, &v)).reverse);
  cr_free(t);
}

/* Indices: those given stay, those computed from the inputs may become any. */
static void indices(void **state) {
  (void)state;
  int64_t at[] = {3, 0, -1, 3};
  cr_tape *t = cr_new();
  cr_var x = vector(t, 6), index = cr_tensor_of(t, CR_INT64, 1, (int64_t[]){4}, at);
  cr_var y = cr_square(cr_index_select(x, 0, index));
  expect(1, &y, 1, &x, 0, 4, 1);
  cr_var order = cr_argsort(x, 0, 0);
  cr_var z = cr_index_select(x, 0, order);
  int64_t extra = 0;
  assert_true(check_plan(1, &z, 1, &x, 0, 1e-12, "sorted", &extra));
  assert_int_equal(extra, 30);
  cr_var u = cr_reshape(x, 2, (int64_t[]){2, 3});
  z = cr_square(cr_gather(u, 1, cr_argsort(u, 1, 0))); /* sorted within rows */
  assert_true(check_plan(1, &z, 1, &x, 0, 1e-12, "sorted rows", &extra));
  assert_int_equal(extra, 12);
  z = cr_max_pool(cr_reshape(x, 4, (int64_t[]){1, 3, 1, 2}), &(cr_pool){.kernel = {1, 2}}, NULL);
  assert_true(check_plan(1, &z, 1, &x, 0, 1e-12, "maxima of planes", &extra));
  assert_int_equal(extra, 3);
  z = cr_sum_all(cr_square(z));
  assert_true(check_plan(1, &z, 1, &x, 1, 1e-12, "squares of maxima", &extra));
  cr_free(t);
}

/* Bodies are looked through. */
static void bodies(void **state) {
  (void)state;
  static const struct {
    const char *text;
    int64_t nonzeros, second; /* -1: not the Hessian */
  } cases[] = {
    {"f(h, v) = (h * v, sin(h)); scan(f, a:(6), x:(4,6))[0]", 6 * 5, -1},          /* elementwise: carry, and its sequence */
    {"f(h, v) = (h * v, sin(h)); scan(f, a:(6), x:(4,6))[1]", 6 * (1 + 2 + 3 + 4), -1},
    {"f(h, v) = (h + v, h * v); sum(scan(f, a:(), x:(5))[1])", 6, 30},             /* of two different ones */
    {"f(h, v) = (h * v, v^2); scan(f, a:(), x:(5), reverse=True)[1]", 5, -1},
    {"f(h, i) = [h[1], h[0], h[2]^2]; fori(f, x:(3), 3)", 3, -1},                  /* a permutation each step */
    {"f(h, i) = h[[1, 2, 0]]^2; fori(f, x:(3), 2, count=1)", 6, -1},               /* after one step, or none */
    {"f(v) = flip(v, 0)^2; cond(1, sin, f, x:(4))", 8, -1},
    {"checkpoint(sin, x:(4))", 4, -1},
    {"sum(checkpoint(exp, x:(5)))", 5, 5},
    {"f(v, w) = eigvalsh(outer(v, v) + w); map(f, x:(4,3), w:(3,3))", 4 * 3 * (3 + 9), -1}, /* blocks, and what they share */
    {"f(v) = cond(v[0] > 0, sin, cos, v); map(f, x:(4,3))", 4 * 3, -1},
    {"f(x, c) = x^3 + x - c; root(f, [1.0, 1], c:(2)>0)", 4, -1},
    {"g(h, v) = h * v; f(h, v) = (h, scan(g, h, v)); scan(f, a:(2), x:(3,2,2))[1]", 3 * 2 * (2 + 1), -1},
    /* within each other */
  };
  for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
    sample s;
    char error[400];
    int64_t extra = 0;
    if (!sample_make(&s, cases[k].text, strlen(cases[k].text), CR_FLOAT64, 3, error)) fail_msg("%s", error);
    cr_var y = s.results.value[0];
    assert_true(check_plan(1, &y, s.n_inputs, s.input, 0, 1e-10, cases[k].text, &extra));
    int64_t nonzeros = cr_sparse_pattern_of(cr_sparse_jacobian(1, &y, s.n_inputs, s.input)).nonzeros;
    if (cases[k].nonzeros >= 0 && nonzeros != cases[k].nonzeros)
      fail_msg("%s: %lld nonzeros, not %lld", cases[k].text, (long long)nonzeros, (long long)cases[k].nonzeros);
    if (cases[k].second >= 0) {
      assert_true(check_plan(1, &y, s.n_inputs, s.input, 1, 1e-10, cases[k].text, &extra));
      nonzeros = cr_sparse_pattern_of(cr_sparse_hessian(y, s.n_inputs, s.input)).nonzeros;
      if (nonzeros != cases[k].second) fail_msg("%s: %lld nonzeros of the Hessian", cases[k].text, (long long)nonzeros);
    }
    sample_free(&s);
  }
}

/* Random scalars: generic functions are nonzero wherever the pattern says so. */
static void random_graphs(void **state) {
  int64_t zeros = 0;
  (void)state;
  enum { N = 12, NODES = 60, OUTPUTS = 8, GRAPHS = 150 };
  for (uint64_t g = 0; g < GRAPHS; g++) {
    uint64_t k = 0;
    cr_tape *t = cr_new();
    cr_var *x = numbers(t, N), v[N + NODES];
    memcpy(v, x, N * sizeof *x);
    for (int i = N; i < N + NODES; i++) {
      int low = i > 20 && uniform(g, k++) < 0.5 ? i - 20 : 0;
      cr_var a = v[low + (int)(uniform(g, k++) * (i - low))], b = v[low + (int)(uniform(g, k++) * (i - low))];
      switch ((int)(uniform(g, k++) * 7)) {
        case 0:
          v[i] = cr_sin(a);
          break;
        case 1:
          v[i] = cr_mul(cr_tanh(a), cr_sigmoid(b));
          break;
        case 2:
          v[i] = cr_add(a, cr_mul(cr_const(t, 0.3), b));
          break;
        case 3:
          v[i] = cr_sub(a, cr_const(t, 0.7));
          break;
        case 4:
          v[i] = cr_atan2(a, cr_add(cr_square(b), cr_const(t, 1)));
          break;
        case 5:
          v[i] = cr_copysign(a, cr_add(b, cr_const(t, 1e6)));
          break;
        default:
          v[i] = cr_hypot(cr_add(a, cr_const(t, 2)), b);
          break;
      }
    }
    int64_t extra = 0, twice = 0;
    assert_true(check_plan(OUTPUTS, v + N + NODES - OUTPUTS, N, x, 0, 1e-10, "random Jacobian", &extra));
    assert_true(check_plan(1, v + N + NODES - 1, N, x, 1, 1e-8, "random Hessian", &twice));
    zeros += extra + twice;
    free(x);
    cr_free(t);
  }
  print_message("%lld zeros in the patterns\n", (long long)zeros);
}

/* Prefixes of more columns than a small set holds, and sums of such. */
static void large_sets(void **state) {
  (void)state;
  enum { N = 2300 };
  cr_tape *t = cr_new();
  cr_var x = vector(t, N), y[2] = {cr_cumsum(x, 0)};
  y[1] = cr_sum_all(part(y[0], 2100, 2200));
  cr_sparse_pattern s = cr_sparse_pattern_of(cr_sparse_jacobian(2, y, 1, &x));
  for (int64_t i = 0; i <= N; i++) {
    int64_t n = i < N ? i + 1 : 2200;
    assert_int_equal(s.start[i + 1] - s.start[i], n);
    for (int64_t j = 0; j < n; j++) assert_int_equal(s.column[s.start[i] + j], j);
  }
  cr_free(t);
}

/* Sets against arrays of truths, small and large, in random unions. */
static void sets_are_sets(void **state) {
  (void)state;
  enum { COLUMNS = 5000, SETS = 300 };
  unsigned char(*want)[COLUMNS] = calloc(SETS, sizeof *want);
  uint32_t set[SETS];
  uint64_t k = 0;
  cr_tape *t = cr_new();
  cr__sets *s = cr__sets_new(t, COLUMNS);
  for (int i = 0; i < SETS; i++) {
    int n = i < 20 ? 0 : 1 + (int)(uniform(3, k++) * 5);
    uint32_t of[1 + SETS] = {0};
    if (!n) {
      int64_t first = (int64_t)(uniform(3, k++) * (COLUMNS - 400)), count = i % 2 ? 3 : 400;
      for (int64_t j = 0; j < count; j++) of[0] = cr__set_union(s, of[0], cr__set_of(s, first + j)), want[i][first + j] = 1;
    }
    for (int j = 0; j < n; j++) {
      int other = (int)(uniform(3, k++) * i);
      of[j] = set[other];
      for (int c = 0; c < COLUMNS; c++) want[i][c] |= want[other][c];
    }
    set[i] = n == 2 ? cr__set_union(s, of[0], of[1]) : cr__set_union_of(s, n ? n : 1, of);
  }
  for (int i = 0; i < SETS; i++) {
    const int32_t *columns;
    int64_t n = cr__set_columns(s, set[i], &columns), at = 0;
    for (int c = 0; c < COLUMNS; c++)
      if (want[i][c]) assert_true(at < n && columns[at++] == c);
    assert_int_equal(at, n);
  }
  cr__sets_free(s);
  cr_free(t);
  free(want);
}

static int is_in(const cr__pattern *p, int64_t i, int64_t j) {
  for (int64_t k = p->start[i]; k < p->start[i + 1]; k++)
    if (p->column[k] == j) return 1;
  return 0;
}

/* Random rows, one of them long: no two columns of one colour in a row; of the symmetric ones no path of two colours. */
static void colours_are_apart(void **state) {
  (void)state;
  enum { N = 90, MATRICES = 60 };
  for (uint64_t seed = 0; seed < MATRICES; seed++) {
    cr_tape *t = cr_new();
    uint64_t k = 0;
    int32_t column[N * N], colour[N];
    int64_t start[N + 1] = {0}, n = 0;
    double filled = 0.3 * uniform(seed, k++);
    for (int i = 0; i < N; i++) {
      for (int j = 0; j < N; j++)
        if (uniform(seed, k++) < (seed % 3 && i == (int)seed ? 0.95 : filled * filled)) column[n++] = j;
      start[i + 1] = n;
    }
    cr__pattern p = {N, N, start, column, 0}, q, both;
    assert_true(cr__pattern_transposed(t, &p, &q));
    int used = cr__colour_columns(t, &p, &q, N, colour);
    for (int i = 0; i < N; i++)
      for (int64_t a = start[i]; a < start[i + 1]; a++) {
        assert_in_range(colour[column[a]], 0, used - 1);
        for (int64_t b = start[i]; b < a; b++) assert_int_not_equal(colour[column[a]], colour[column[b]]);
      }
    assert_int_equal(cr__colour_columns(t, &p, &q, used - 1, colour), used);
    assert_true(cr__pattern_transposed(t, &q, &both) && cr__pattern_symmetrize(t, &both));
    assert_true(cr__colour_star(t, &both, colour) >= 0);
    for (int a = 0; a < N; a++)
      for (int b = 0; b < N; b++) {
        if (a == b || !is_in(&both, a, b)) continue;
        assert_int_not_equal(colour[a], colour[b]);
        for (int64_t c = both.start[b]; c < both.start[b + 1]; c++) {
          int third = both.column[c];
          if (third == a || third == b || colour[third] != colour[a]) continue;
          for (int64_t d = both.start[third]; d < both.start[third + 1]; d++)
            if (both.column[d] != b && both.column[d] != third) assert_int_not_equal(colour[both.column[d]], colour[b]);
        }
      }
    cr__pattern_free(t, &q);
    cr__pattern_free(t, &both);
    cr_free(t);
  }
}

/* Size */

typedef struct peak {
  meter m;
  size_t most;
} peak;
static void *peak_reallocate(void *user, void *p, size_t old_size, size_t new_size) {
  peak *k = user;
  void *q = meter_reallocate(&k->m, p, old_size, new_size);
  if (k->m.live > k->most) k->most = k->m.live;
  return q;
}

static void check_bands(cr_sparse_plan *p, int n, int colours) {
  assert_non_null(p);
  cr_sparse_pattern s = cr_sparse_pattern_of(p);
  assert_int_equal(s.nonzeros, 3 * n - 2);
  assert_in_range(s.colours, 3, colours);
  double *values = malloc((size_t)s.nonzeros * sizeof *values);
  assert_int_equal(cr_sparse_evaluate(p, values), CR_OK);
  for (int64_t i = 0; i < s.rows; i++)
    for (int64_t k = s.start[i]; k < s.start[i + 1]; k++) {
      double a = sin((double)i + 1), before = i ? sin((double)i) : 0, after = i + 1 < n ? sin((double)i + 2) : 0;
      int64_t j = s.column[k];
      double want = j < i   ? -400 * before
                    : j > i ? -400 * a
                            : (i + 1 < n ? 1200 * a * a - 400 * after + 2 : 0) + (i ? 200 : 0);
      assert_true(is_near(values[k], want, 1e-9));
    }
  free(values);
}

/* The Hessian of Rosenbrock's function of n variables: by numbers, whose sum runs through all of them, and by slices. */
static size_t most_bytes(int n, int slices) {
  peak k = {{0}, 0};
  cr_allocator a = {peak_reallocate, &k};
  cr_tape *t = cr_new_with(cr_standard_ops(), &a);
  if (slices) {
    cr_var v = vector(t, n), p = part(v, 0, n - 1), q = part(v, 1, n);
    cr_var y = cr_sum_all(
        cr_add(cr_mul(cr_const(t, 100), cr_square(cr_sub(q, cr_square(p)))), cr_square(cr_sub(cr_const(t, 1), p))));
    check_bands(cr_sparse_hessian(y, 1, &v), n, 4);
  } else {
    cr_var *x = numbers(t, n), y = rosenbrock(n, x);
    check_bands(cr_sparse_hessian(y, n, x), n, 4);
    free(x);
  }
  cr_free(t);
  assert_int_equal(k.m.live, 0);
  return k.most;
}

static void large_ones_take_linear_space(void **state) {
  (void)state;
  for (int slices = 0; slices < 2; slices++) {
    size_t small = most_bytes(10000, slices), large = most_bytes(100000, slices);
    print_message("%s: %zu bytes for 10^4, %zu for 10^5 variables\n", slices ? "slices" : "numbers", small, large);
    assert_true(large < 16 * small);
  }
  enum { N = 100000 };
  cr_tape *t = cr_new();
  cr_var *x = numbers(t, N), y = cr_const(t, 0);
  for (int k = 1; k < N; k++) y = cr_add(y, cr_mul(cr_square(x[k]), x[0]));
  cr_sparse_pattern s = cr_sparse_pattern_of(cr_sparse_hessian(y, N, x));
  assert_int_equal(s.nonzeros, 3 * N - 3); /* nothing at x[0], x[0] */
  assert_int_equal(s.colours, 2);
  free(x);
  cr_free(t);
}

/* Output */

static void indices_and_matrix_market(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  cr_var x[3] = {cr_input(t, 2), cr_input(t, 3), cr_input(t, 5)};
  cr_var y[2] = {cr_mul(x[0], x[2]), cr_square(x[1])};
  cr_sparse_plan *p = cr_sparse_jacobian(2, y, 3, x);
  int32_t start[3], column[3], row[3];
  int64_t wide[3];
  double values[9];
  assert_int_equal(cr_sparse_csr(p, CR_INT32, start, column), CR_OK);
  assert_memory_equal(start, ((int32_t[]){0, 2, 3}), sizeof start);
  assert_memory_equal(column, ((int32_t[]){0, 2, 1}), sizeof column);
  assert_int_equal(cr_sparse_coo(p, CR_INT32, row, column), CR_OK);
  assert_memory_equal(row, ((int32_t[]){0, 0, 1}), sizeof row);
  assert_int_equal(cr_sparse_coo(p, CR_INT64, wide, (int64_t[3]){0}), CR_OK);
  assert_memory_equal(wide, ((int64_t[]){0, 0, 1}), sizeof wide);
  assert_int_equal(cr_sparse_evaluate(p, values), CR_OK);
  cr_buffer b = {.tape = t};
  assert_int_equal(cr_sparse_write_mm(p, values, &b), CR_OK);
  assert_string_equal(b.text, "%%MatrixMarket matrix coordinate real general\n2 3 3\n1 1 5\n1 3 2\n2 2 6\n");
  cr_buffer_free(&b);
  cr_sparse_plan *h = cr_sparse_hessian(cr_add(cr_mul(x[0], x[2]), cr_mul(x[1], y[1])), 3, x);
  assert_int_equal(cr_sparse_evaluate(h, values), CR_OK);
  assert_int_equal(cr_sparse_write_mm(h, values, &b), CR_OK);
  assert_string_equal(b.text, "%%MatrixMarket matrix coordinate real symmetric\n3 3 2\n2 2 18\n3 1 1\n");
  cr_buffer_free(&b);
  cr_set_value(x[1], 4);
  assert_int_equal(cr_sparse_evaluate(h, values), CR_OK);
  assert_true(values[1] == 24);
  assert_int_equal(cr_sparse_csr(p, CR_FLOAT64, start, column), CR_BAD_DTYPE);
  assert_non_null(strstr(cr_error_text(t), "int32 or int64, not float64"));
  cr_free(t);
}

/* Nothing depends on anything; an input of no elements. */
static void empty_patterns(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  cr_var x = vector(t, 4), none = vector(t, 0), y = cr_floor(x), sum = cr_sum_all(x);
  double value = 7;
  cr_sparse_plan *p = cr_sparse_jacobian(1, &y, 1, &x);
  assert_int_equal(cr_sparse_pattern_of(p).nonzeros, 0);
  assert_int_equal(cr_sparse_evaluate(p, &value), CR_OK);
  assert_true(value == 7);
  p = cr_sparse_hessian(sum, 1, &x);
  assert_int_equal(cr_sparse_pattern_of(p).nonzeros, 0);
  p = cr_sparse_jacobian(1, &sum, 2, (cr_var[]){none, x});
  assert_int_equal(cr_sparse_pattern_of(p).nonzeros, 4);
  double values[4];
  assert_int_equal(cr_sparse_evaluate(p, values), CR_OK);
  for (int k = 0; k < 4; k++) assert_true(values[k] == 1);
  cr_free(t);
}

static void refuses(cr_tape *t, const cr_sparse_plan *p, cr_status status, const char *text) {
  assert_null(p);
  assert_int_equal(cr_error(t), status);
  if (!strstr(cr_error_text(t), text)) print_message("%s\n", cr_error_text(t));
  assert_non_null(strstr(cr_error_text(t), text));
  cr_clear_error(t);
}

static void errors(void **state) {
  (void)state;
  cr_tape *t = cr_new(), *other = cr_new();
  cr_var x = cr_input(t, 2), i = cr_constant_of(t, CR_INT64, 1, (int64_t[]){3}, NULL), y = cr_sin(x);
  refuses(t, cr_sparse_jacobian(1, &y, 2, (cr_var[]){x, x}), CR_BAD_ARGUMENT, "input 1 is an earlier input again");
  refuses(t, cr_sparse_jacobian(1, &y, 1, &y), CR_BAD_ARGUMENT, "input 0 is no input leaf");
  refuses(t, cr_sparse_jacobian(1, &i, 1, &x), CR_NOT_DIFFERENTIABLE, "output 0 is");
  refuses(t, cr_sparse_hessian(y, 1, &i), CR_NOT_DIFFERENTIABLE, "input 0 is");
  cr_var poison = cr_poison(t), far = cr_input(other, 1);
  refuses(t, cr_sparse_hessian(y, 1, &poison), CR_POISONED, "input 0 is the poison node");
  refuses(t, cr_sparse_jacobian(1, &y, 1, &far), CR_WRONG_TAPE, "");
  cr_set(t, CR_LAZY, 1);
  refuses(t, cr_sparse_jacobian(1, &y, 1, &x), CR_BAD_ARGUMENT, "shapes alone");
  cr_set(t, CR_LAZY, 0);
  assert_null(cr_sparse_jacobian(0, NULL, 1, &x));
  assert_null(cr_sparse_hessian(y, 0, NULL));
  cr_free(other);
  cr_free(t);
}

/* What failed leaves the tape as it was; what was taken goes back with a reset. */
static void nothing_is_left_behind(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  cr_var v = vector(t, 8), y = cr_sum_all(cr_mul(part(v, 0, 7), cr_sin(part(v, 1, 8))));
  uint32_t nodes = cr_node_count(t);
  assert_non_null(cr_sparse_hessian(y, 1, &v));
  assert_int_equal(cr_node_count(t), nodes);
  cr_mark mark = cr_mark_here(t);
  size_t bytes = 0;
  for (int k = 0; k < 5; k++) {
    cr_var w = cr_exp(v);
    assert_non_null(cr_sparse_jacobian(1, &w, 1, &v));
    cr_reset(t, mark);
    if (k) assert_int_equal(cr_stats_of(t).bytes, bytes);
    bytes = cr_stats_of(t).bytes;
  }
  cr_free(t);
}

static int whole(cr_allocator *a, int tensors) {
  cr_tape *t = cr_new_with(cr_standard_ops(), a);
  int good = t != NULL;
  if (t) {
    cr_var x[7], y;
    double values[49];
    if (tensors) {
      x[0] = cr_tensor_of(t, CR_FLOAT64, 1, (int64_t[]){7}, (double[]){1, 2, 3, 4, 5, 6, 7});
      y = cr_sum_all(cr_mul(cr_cumsum(part(x[0], 0, 6), 0), cr_sin(part(x[0], 1, 7))));
    } else {
      for (int k = 0; k < 7; k++) x[k] = cr_input(t, k + 1);
      y = cr_exp(cr_mul(rosenbrock(7, x), cr_const(t, 1e-4)));
    }
    int n = tensors ? 1 : 7;
    cr_sparse_plan *h = cr_sparse_hessian(y, n, x), *j = h ? cr_sparse_jacobian(1, &y, n, x) : NULL;
    good = j && cr_sparse_evaluate(h, values) == CR_OK && cr_sparse_evaluate(j, values) == CR_OK;
    if (!good) assert_int_equal(cr_error(t), CR_NO_MEMORY);
  }
  cr_free(t);
  return good;
}

/* Emitted source, which needs the pattern too. */
static int emitted(cr_allocator *a, int tensors) {
  cr_tape *t = cr_new_with(cr_standard_ops(), a);
  if (!t) return 0;
  cr_buffer b = {.tape = t};
  cr_var x[3] = {cr_input(t, 1), cr_input(t, 2), cr_input(t, 3)}, y = cr_mul(cr_mul(x[0], x[1]), cr_sin(x[2]));
  if (tensors) {
    x[0] = cr_tensor_of(t, CR_FLOAT64, 1, (int64_t[]){7}, (double[]){1, 2, 3, 4, 5, 6, 7});
    y = cr_sum_all(cr_mul(part(x[0], 0, 6), cr_sin(part(x[0], 1, 7))));
  }
  if (tensors == 2) { /* through a body */
    static const char text[] = "f(h, v) = (h * v, sin(h)); y, z = scan(f, x[0], x); y + sum(z)";
    cr_program *p = cr_program_new(t, CR_FLOAT64);
    cr_results r = {.n = 0};
    if (p) cr_program_bind(p, "x", x[0]), cr_program_run(p, text, strlen(text), &r, NULL);
    if (r.n) y = r.value[0];
  }
  cr_emit_options o = {.what = CR_EMIT_HESSIAN, .sparse = 1, .main = 1};
  int good = cr_error(t) == CR_OK && cr_emit_c(&b, t, tensors ? 1 : 3, x, 1, &y, &o) == CR_OK;
  if (!good) assert_int_equal(cr_error(t), CR_NO_MEMORY);
  cr_buffer_free(&b);
  cr_free(t);
  return good;
}

static void each_allocation_in_turn(void **state) {
  (void)state;
  for (int k = 0; k < 5; k++) {
    int (*run)(cr_allocator *, int) = k < 2 ? whole : emitted, of = k < 2 ? k : k - 2;
    meter m = {0};
    cr_allocator a = {meter_reallocate, &m};
    assert_true(run(&a, of));
    long total = m.calls;
    for (long n = 1; n <= total; n++) {
      m = (meter){.fail_at = n};
      run(&a, of);
      assert_int_equal(m.live, 0);
    }
    print_message("%ld failing allocations\n", total);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_sample_agrees),
      cmocka_unit_test(tridiagonal),
      cmocka_unit_test(arrow),
      cmocka_unit_test(rosenbrock_by_numbers_and_slices),
      cmocka_unit_test(laplacian),
      cmocka_unit_test(products_of_matrices),
      cmocka_unit_test(rows_are_compressed_where_that_is_less),
      cmocka_unit_test(indices),
      cmocka_unit_test(bodies),
      cmocka_unit_test(random_graphs),
      cmocka_unit_test(large_sets),
      cmocka_unit_test(sets_are_sets),
      cmocka_unit_test(colours_are_apart),
      cmocka_unit_test(large_ones_take_linear_space),
      cmocka_unit_test(indices_and_matrix_market),
      cmocka_unit_test(empty_patterns),
      cmocka_unit_test(errors),
      cmocka_unit_test(nothing_is_left_behind),
      cmocka_unit_test(each_allocation_in_turn),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
