/* The whole of a small function as one compiled function: the bits of replay for float64 and where asked, a few ulp for
 * float32; steps without a form in C in between; failures as replay has them.
 *
 *   jit_whole_test CC */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "emit.h"
#include "jit.h"
#include "meter.h"
#include "ops.h"

enum { MOST = 60 };

static const char *compiler;

/* A function with its arrays; two sets of results. */
typedef struct function {
  cr_tape *t;
  int n_in, n_out;
  cr_var in[MOST], out[MOST];
  cr_array from[MOST], to[2][MOST];
  cr_fn *f;
  cr_workspace *w;
} function;

static uint64_t state = 1;
static double next_number(void) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return (double)(state >> 40) / (1 << 23) - 1;
}

static size_t bytes_of(const cr_array *a) { return (size_t)a->count * cr_dtype_size((cr_dtype)a->dtype); }

static cr_var add_input(function *x, cr_dtype dtype, int rank, const int64_t *dims) {
  cr_var v = cr_tensor_of(x->t, dtype, rank, dims, NULL);
  cr_array a = cr_view(v);
  for (int64_t k = 0; k < a.count; k++) cr_array_set(&a, k, next_number());
  return x->in[x->n_in++] = v;
}

static void add_output(function *x, cr_var v) {
  if (cr_is_poison(v)) fail_msg("%s", cr_error_text(x->t));
  x->out[x->n_out++] = v;
}

static void take_arrays(function *x) {
  for (int k = 0; k < x->n_in; k++) {
    cr_array from = cr_view(x->in[k]);
    x->from[k] = cr_fn_input(x->f, k);
    x->from[k].data = malloc(bytes_of(&from) + 1);
    cr_array_copy(&x->from[k], &from);
  }
  for (int k = 0; k < x->n_out; k++)
    for (int j = 0; j < 2; j++) {
      x->to[j][k] = cr_fn_output(x->f, k);
      x->to[j][k].data = malloc(bytes_of(&x->to[j][k]) + 1);
      memset(x->to[j][k].data, 0x5a + j, bytes_of(&x->to[j][k]));
    }
}

static void capture(function *x, int n_assign, const cr_assign *assign) {
  x->f = cr_capture(x->t, x->n_in, x->in, x->n_out, x->out, n_assign, assign, CR_FN_EXACT);
  if (!x->f) fail_msg("%s", cr_error_text(x->t));
  x->w = cr_workspace_new(x->f);
  assert_non_null(x->w);
  take_arrays(x);
}

static void compile(function *x, int exact) {
  char note[300] = "";
  cr_jit_options o = {.compiler = compiler, .exact = exact, .always = 1};
  assert_int_equal(cr_fn_compile(x->f, &o, note, sizeof note), CR_OK);
  if (strncmp(note, "compiled ", 9)) fail_msg("the note is: %s", note);
  const char *source = cr_fn_jit_source(x->f, &o);
  assert_true(source && strstr(source, "static int whole("));
}

static void run(function *x, int set) {
  if (cr_fn_run(x->f, x->w, x->from, x->to[set]) != CR_OK) fail_msg("%s", cr_workspace_error(x->w));
}

static void end(function *x) {
  for (int k = 0; k < x->n_in; k++) free(x->from[k].data);
  for (int k = 0; k < x->n_out; k++) free(x->to[0][k].data), free(x->to[1][k].data);
  cr_workspace_free(x->w);
  cr_fn_free(x->f);
  cr_free(x->t);
}

/* Limit 0: bit for bit. */
static void compare(const function *x, double limit) {
  for (int k = 0; k < x->n_out; k++) {
    const cr_array *a = &x->to[0][k], *b = &x->to[1][k];
    double scale = 1e-30;
    for (int64_t i = 0; i < a->count; i++) scale = fmax(scale, fabs(cr_array_get(a, i)));
    if (limit == 0 && memcmp(a->data, b->data, bytes_of(a))) limit = -1;
    for (int64_t i = 0; i < a->count && limit != 0; i++) {
      double is = cr_array_get(b, i), should = cr_array_get(a, i);
      if (!(fabs(is - should) <= limit * scale))
        fail_msg("result %d at %lld: %.17g, not %.17g", k, (long long)i, is, should);
    }
  }
}

static void replay_and_compile(function *x, int exact, double limit) {
  capture(x, 0, NULL);
  run(x, 0);
  compile(x, exact);
  run(x, 1);
  compare(x, limit);
  end(x);
}

/* Of both types, as near as is asked. */
static void in_all_ways(void (*record)(function *x, cr_dtype dtype)) {
  for (int way = 0; way < 3; way++) {
    const cr_dtype dtype = way ? CR_FLOAT32 : CR_FLOAT64;
    function x = {.t = cr_new()};
    record(&x, dtype);
    replay_and_compile(&x, way == 1, way == 2 ? 1e-5 : 0);
  }
}

/* Products of m x k and k x n, each operand as it lies or transposed, and what follows them element by element. */
static void record_products(function *x, cr_dtype dtype) {
  static const int64_t shape[][3] = {{1, 2, 16},  {32, 16, 16}, {32, 16, 1}, {16, 32, 1}, {1, 16, 16}, {7, 5, 3},
                                     {10, 17, 9}, {1, 9, 1},    {33, 1, 5},  {3, 40, 40}, {8, 150, 2}, {20, 3, 131},
                                     {1, 4, 6},   {1, 4, 6},   {1, 4, 6}};
  const int n = (int)(sizeof shape / sizeof *shape), first = (int)(state >> 33 & 1);
  for (int k = 0; k < n; k++) {
    const int64_t *s = shape[k], turned = (k + first) % 3;
    const int64_t a_dim[2] = {turned == 1 ? s[1] : s[0], turned == 1 ? s[0] : s[1]};
    const int64_t b_dim[2] = {turned == 2 ? s[2] : s[1], turned == 2 ? s[1] : s[2]};
    cr_var a = add_input(x, dtype, 2, a_dim), b = add_input(x, dtype, 2, b_dim), bias = add_input(x, dtype, 1, &s[2]);
    if (turned == 1) a = cr_matrix_transpose(a);
    if (turned == 2) b = cr_matrix_transpose(b);
    cr_var y = cr_matmul(a, b);
    add_output(x, y);
    add_output(x, cr_relu(cr_add(y, bias)));
  }
}

static void products_agree(void **s) {
  (void)s;
  for (int round = 0; round < 2; round++) in_all_ways(record_products);
}

/* Sums along each axis and over all, of rows that lie in every way, blocks over what is broadcast, ends that are views. */
static void record_sums(function *x, cr_dtype dtype) {
  const int64_t dims[3] = {9, 5, 20};
  cr_var a = add_input(x, dtype, 3, dims), row = add_input(x, dtype, 1, &dims[2]), column = add_input(x, dtype, 2, &dims[1]);
  cr_var y = cr_tanh(cr_mul(cr_add(a, row), column)), t = cr_matrix_transpose(cr_neg(y));
  for (int axis = 0; axis < 3; axis++) {
    add_output(x, cr_sum(y, 1, &axis, axis % 2));
    add_output(x, cr_sum(t, 1, &axis, 0));
  }
  add_output(x, cr_sum_all(cr_square(y)));
  add_output(x, cr_sum(t, 2, (const int[]){0, 2}, 0));
  add_output(x, t);
}

static void sums_agree(void **s) {
  (void)s;
  in_all_ways(record_sums);
}

/* What has no form in C is called in between; numbers and constants are there. */
static void record_mixture(function *x, cr_dtype dtype) {
  const int64_t dims[2] = {6, 6};
  cr_var a = add_input(x, dtype, 2, dims), s = x->in[x->n_in++] = cr_input(x->t, 0.25);
  static double numbers[36];
  for (int k = 0; k < 36; k++) numbers[k] = sin(k);
  cr_var c = cr_cast(cr_tensor_of(x->t, CR_FLOAT64, 2, dims, numbers), dtype);
  cr_var y = cr_matmul(cr_mul(a, cr_cast(cr_exp(cr_sin(s)), dtype)), c);
  cr_var sorted = cr_cumsum(cr_sigmoid(y), 0);
  cr_var z = cr_matmul(cr_softmax(cr_matmul(sorted, y), 1), a);
  add_output(x, cr_sum_all(cr_mul(z, z)));
  add_output(x, cr_log(cr_add(cr_square(s), cr_square(cr_cast(cr_sum_all(z), CR_FLOAT64)))));
  add_output(x, z);
}

static void kernels_are_called_in_between(void **s) {
  (void)s;
  in_all_ways(record_mixture);
}

/* Assigned values that lie in other inputs, results that are inputs, a workspace from before, compiled again. */
static void ends_are_copied(void **s) {
  (void)s;
  const int64_t dims[2] = {4, 4};
  function x = {.t = cr_new()};
  cr_var a = add_input(&x, CR_FLOAT64, 2, dims), b = add_input(&x, CR_FLOAT64, 2, dims);
  cr_var y = cr_matmul(a, cr_square(b));
  add_output(&x, a);
  add_output(&x, cr_matrix_transpose(y));
  capture(&x, 2, (cr_assign[]){{a, b}, {b, cr_add(cr_matmul(y, y), a)}});
  double start[2][16], after[2][16];
  for (int round = 0; round < 3; round++) {
    if (round) compile(&x, round == 1);
    for (int k = 0; k < 2; k++) {
      if (!round) memcpy(start[k], x.from[k].data, sizeof start[k]);
      else memcpy(x.from[k].data, start[k], sizeof start[k]);
    }
    run(&x, round > 0);
    for (int k = 0; k < 2; k++) {
      if (!round) memcpy(after[k], x.from[k].data, sizeof after[k]);
      else assert_memory_equal(x.from[k].data, after[k], sizeof after[k]);
    }
    if (round) compare(&x, 0);
  }
  end(&x);
}

/* An op that refuses numbers below 0, in both forms. */
static cr_status careful_infer(cr_infer *c) {
  *c->out = c->in[0];
  c->out->data = NULL;
  cr_array_init(c->out, (cr_dtype)c->in[0].dtype, c->in[0].rank, c->in[0].dim);
  return CR_OK;
}
static int n_evaluated;
static cr_status careful_eval(cr_eval *c) {
  n_evaluated++;
  for (int64_t k = 0; k < c->out->count; k++) {
    double x = cr_array_get(&c->in[0], k);
    if (x < 0) return CR_NOT_FINITE;
    cr_array_set(c->out, k, x + 1);
  }
  return CR_OK;
}
static int careful_small(cr_emit_context *c) {
  const int level = cr_emit_level(c);
  const char *x = cr_emit_pointer(c, &c->in[0], level), *out = cr_emit_pointer(c, &c->out, level);
  cr_emit_line(c, "for (int i = 0; i < %lld; i++) {", (long long)c->out.array.count);
  cr_emit_line(c, "  if (%s[i] < 0) return 1;", x);
  cr_emit_line(c, "  %s[i] = %s[i] + 1;", out, x);
  cr_emit_line(c, "}");
  return 1;
}
static const cr_op careful = {
  .name = "careful", .arity = 1, .infer = careful_infer, .eval = careful_eval, .small = careful_small};

static void failures_are_those_of_replay(void **s) {
  (void)s;
  const int64_t n = 12;
  function x = {.t = cr_new()};
  static const double halves[12] = {0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5};
  cr_var a = x.in[x.n_in++] = cr_tensor_of(x.t, CR_FLOAT64, 1, &n, halves), y = cr_square(cr_square(a));
  y = cr_record(x.t, &careful, 1, &y, NULL);
  cr_var z = cr_sub(cr_sum_all(y), cr_cast(cr_const(x.t, 1), CR_FLOAT64)), w = cr_sub(a, cr_mul(y, z));
  cr_var checked = cr_record(x.t, &careful, 1, &a, NULL);
  add_output(&x, cr_sum_all(checked));
  capture(&x, 1, &(cr_assign){a, w});
  double *numbers = x.from[0].data, before[12];
  char error[300];
  for (int k = 0; k < 12; k++) numbers[k] = before[k] = k == 7 ? -1 : 0.5;
  assert_int_equal(cr_fn_run(x.f, x.w, x.from, x.to[0]), CR_NOT_FINITE);
  snprintf(error, sizeof error, "%s", cr_workspace_error(x.w));
  compile(&x, 0);
  assert_int_equal(cr_fn_run(x.f, x.w, x.from, x.to[0]), CR_NOT_FINITE);
  assert_string_equal(cr_workspace_error(x.w), error);
  assert_memory_equal(numbers, before, sizeof before);
  numbers[7] = 0.5;
  n_evaluated = 0;
  run(&x, 1);
  assert_int_equal(n_evaluated, 0);
  assert_string_equal(cr_workspace_error(x.w), "");
  assert_true(cr_array_get(&x.to[1][0], 0) == 18 && numbers[0] != 0.5);
  end(&x);
}

static void each_allocation_made_to_fail(void **s) {
  (void)s;
  meter m = {0};
  cr_allocator allocator = {meter_reallocate, &m};
  long total = 0;
  double want = 0;
  for (long n = 0; n <= total; n++) {
    const int64_t dims[2] = {8, 8};
    m = (meter){0};
    state = 1;
    function x = {.t = cr_new_with(cr_standard_ops(), &allocator)};
    cr_var a = add_input(&x, CR_FLOAT64, 2, dims), y = cr_relu(cr_matmul(a, cr_matrix_transpose(a)));
    add_output(&x, cr_sum_all(cr_matmul(y, cr_cumsum(a, 0))));
    capture(&x, 0, NULL);
    long before = m.calls;
    char note[300];
    m.fail_at = n ? before + n : 0;
    cr_status status = cr_fn_compile(x.f, &(cr_jit_options){.compiler = compiler, .always = 1}, note, sizeof note);
    if (status == CR_OK && cr_fn_run(x.f, x.w, x.from, x.to[0]) != CR_OK) status = CR_NO_MEMORY;
    assert_true(n ? status == CR_NO_MEMORY || status == CR_OK : status == CR_OK);
    if (!n) total = m.calls - before;
    m.fail_at = 0;
    run(&x, 0);
    if (!n) want = cr_array_get(&x.to[0][0], 0);
    assert_true(cr_array_get(&x.to[0][0], 0) == want);
    end(&x);
    assert_int_equal(m.live, 0);
  }
  print_message("%ld failing allocations\n", total);
  assert_true(total > 5);
}

int main(int argc, char **argv) {
  if (argc != 2) return fprintf(stderr, "jit_whole_test CC\n"), 2;
  compiler = argv[1];
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(products_agree),
    cmocka_unit_test(sums_agree),
    cmocka_unit_test(kernels_are_called_in_between),
    cmocka_unit_test(ends_are_copied),
    cmocka_unit_test(failures_are_those_of_replay),
    cmocka_unit_test(each_allocation_made_to_fail),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
