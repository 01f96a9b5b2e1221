/* cr_map: every function of the table and its gradient mapped over samples, against one sample after the other; gradients of
 * samples; Jacobians; capture and threads. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "function.h"
#include "samples.h"

enum { SAMPLES = 3, MOST_RESULTS = 64 };

static void assert_fine(const cr_tape *t) {
  if (cr_error(t) != CR_OK) fail_msg("%s", cr_error_text(t));
}

/* The graph between a sample's inputs and one of its results, as a body. */
typedef struct graph {
  sample s;
  int n_results, which;
  cr_var result[MOST_RESULTS];
} graph;

static cr_var copy_leaf(cr_tape *t, cr_var v) {
  cr_array a = cr_view(v);
  cr_var c = cr_constant_of(t, (cr_dtype)a.dtype, a.rank, a.dim, NULL);
  if (!a.rank && a.dtype == CR_FLOAT64) return cr_const(t, cr_value(v));
  cr_array to = cr_view(c);
  cr_array_copy(&to, &a);
  return c;
}

static void record_graph(cr_tape *t, void *user, int n, const cr_var *in, int m, cr_var *out) {
  graph *g = user;
  cr_tape *from = g->s.tape;
  uint32_t count = g->result[g->which].id + 1;
  cr_var *of = calloc(count + 1, sizeof *of), operand[64];
  (void)m;
  for (uint32_t id = 1; id < count; id++) {
    cr_var v = cr_node_at(from, id);
    for (int k = 0; k < cr_operand_count(v) && k < 64; k++) operand[k] = of[cr_operand(v, k).id];
    of[id] = cr_op_of(v) ? cr_record(t, cr_op_of(v), cr_operand_count(v), operand, cr_attributes(v)) : copy_leaf(t, v);
    for (int k = 0; k < n; k++)
      if (g->s.input[k].id == id) of[id] = in[k];
  }
  out[0] = of[count - 1];
  free(of);
}

static double varied(double x, int of) { return x * (1 + 0.01 * of); }

/* All samples of an input, as an input. */
static cr_var samples_of(cr_tape *t, cr_var v) {
  cr_array a = cr_view(v);
  int64_t dims[CR_MAX_RANK + 1] = {SAMPLES};
  memcpy(dims + 1, a.dim, a.rank * sizeof *dims);
  cr_var all = cr_tensor_of(t, (cr_dtype)a.dtype, a.rank + 1, dims, NULL);
  cr_array to = cr_view(all);
  for (int i = 0; i < SAMPLES; i++)
    for (int64_t k = 0; k < a.count; k++) cr_array_set(&to, i * a.count + k, varied(cr_array_get(&a, k), i));
  return all;
}

static int same(double x, double y, double tolerance) {
  if (isnan(x) || isnan(y) || isinf(y)) return (isnan(x) && isnan(y)) || x == y;
  return fabs(x - y) <= tolerance * (1 + fabs(y));
}

/* Sample after sample on the sample's own tape, of which the first n_mapped inputs vary, against the rows of all. */
static int compare(graph *g, int n_mapped, cr_var all, const char *what) {
  cr_var y = g->result[g->which];
  double *kept[MOST_INPUTS], tolerance = cr_dtype_of(y) == CR_FLOAT32 ? 2e-4 : 1e-10;
  int good = 1;
  for (int k = 0; k < n_mapped; k++) {
    kept[k] = calloc((size_t)cr_count(g->s.input[k]) + 1, sizeof(double));
    cr_read(g->s.input[k], kept[k], cr_count(g->s.input[k]));
  }
  for (int i = 0; i < SAMPLES && good; i++) {
    for (int k = 0; k < n_mapped; k++) {
      cr_array a = cr_view(g->s.input[k]);
      for (int64_t j = 0; j < a.count; j++) cr_array_set(&a, j, varied(kept[k][j], i));
    }
    cr_replay(g->s.tape);
    cr_array should = cr_view(y), is = cr_view(all);
    good = is.count == SAMPLES * should.count && is.dtype == should.dtype;
    if (!good) print_message("%s: %d %s, not %d x %d %s\n", what, (int)is.count, cr_dtype_name((cr_dtype)is.dtype), SAMPLES,
                             (int)should.count, cr_dtype_name((cr_dtype)should.dtype));
    for (int64_t j = 0; j < should.count && good; j++) {
      double x = cr_array_get(&is, i * should.count + j), z = cr_array_get(&should, j);
      good = same(x, z, tolerance);
      if (!good) print_message("%s, sample %d: element %d is %.17g, not %.17g\n", what, i, (int)j, x, z);
    }
  }
  for (int k = 0; k < n_mapped; k++) {
    cr_array a = cr_view(g->s.input[k]);
    for (int64_t j = 0; j < a.count; j++) cr_array_set(&a, j, kept[k][j]);
    free(kept[k]);
  }
  cr_replay(g->s.tape);
  return good;
}

static int check_result(graph *g, int n_mapped, const char *what) {
  cr_tape *t = cr_new();
  cr_var in[MOST_INPUTS], all;
  for (int k = 0; k < g->s.n_inputs; k++) {
    cr_array a = cr_view(g->s.input[k]);
    in[k] = k < n_mapped ? samples_of(t, g->s.input[k]) : cr_tensor_of(t, (cr_dtype)a.dtype, a.rank, a.dim, NULL);
    cr_array to = cr_view(in[k]);
    if (k >= n_mapped) cr_array_copy(&to, &a);
  }
  cr_map(t, record_graph, g, n_mapped, in, g->s.n_inputs - n_mapped, in + n_mapped, 1, &all);
  int refused = strstr(cr_error_text(t), "by a mask") != NULL, good = refused || cr_error(t) == CR_OK;
  if (!good) print_message("%s: %s\n", what, cr_error_text(t));
  good = good && (refused || compare(g, n_mapped, all, what));
  cr_free(t);
  return good;
}

static int check_sample(const char *text, size_t length, cr_dtype dtype) {
  graph g = {.n_results = 0};
  char error[300], what[300];
  snprintf(what, sizeof what, "%.*s (%s)", (int)length, text, cr_dtype_name(dtype));
  if (!sample_make(&g.s, text, length, dtype, 7, error)) {
    print_message("%s\n", error);
    return 0;
  }
  for (int k = 0; k < (int)g.s.results.n && k < 4; k++) g.result[g.n_results++] = g.s.results.value[k];
  int n = g.n_results, good = 1;
  for (int k = 0; k < n && g.s.n_inputs; k++) {
    if (cr_dtype_of(g.result[k]) < CR_FLOAT32 || g.n_results + g.s.n_inputs > MOST_RESULTS) continue;
    if (cr_grad(g.result[k], g.s.n_inputs, g.s.input, g.result + g.n_results) != CR_OK) cr_clear_error(g.s.tape);
    else g.n_results += g.s.n_inputs;
  }
  for (g.which = 0; g.which < g.n_results && g.s.n_inputs && good; g.which++) {
    if (cr_rank(g.result[g.which]) == CR_MAX_RANK) continue;
    good = check_result(&g, g.s.n_inputs, what) && (g.s.n_inputs == 1 || check_result(&g, 1, what));
  }
  sample_free(&g.s);
  return good;
}

static void every_function_maps(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  const cr_function *f;
  int failures = 0, checked = 0;
  for (int k = 0; (f = cr_function_at(t, k)); k++) {
    const char *rest = f->samples, *text;
    size_t length;
    while ((text = sample_next(&rest, &length)))
      for (int d = CR_FLOAT32; d <= CR_FLOAT64; d++, checked++) failures += !check_sample(text, length, (cr_dtype)d);
  }
  cr_free(t);
  print_message("%d samples\n", checked);
  assert_int_equal(failures, 0);
}

/* A loss of one sample and its gradient by the weights. */
static void loss_and_gradient(cr_tape *t, void *user, int n, const cr_var *in, int m, cr_var *out) { /* x, y | w, b, v */
  (void)t, (void)user, (void)n;
  cr_var h = cr_tanh(cr_add(cr_matmul(in[0], in[2]), in[3])), error = cr_sub(cr_matmul(h, in[4]), in[1]);
  out[0] = cr_sum_all(cr_mul(error, error));
  if (m > 1) cr_grad(out[0], m - 1, in + 2, out + 1);
}

enum { BATCH = 17 };

static cr_var numbers(cr_tape *t, int rank, const int64_t *dims, uint64_t seed) {
  cr_var v = cr_tensor_of(t, CR_FLOAT64, rank, dims, NULL);
  cr_array a = cr_view(v);
  for (int64_t k = 0; k < a.count; k++) cr_array_set(&a, k, cr_randn_at(seed, (uint64_t)k) / 2);
  return v;
}

static void assert_near(cr_var a, cr_var b, double tolerance) {
  cr_array x = cr_view(a), y = cr_view(b);
  assert_int_equal(x.count, y.count);
  for (int64_t k = 0; k < x.count; k++)
    if (!same(cr_array_get(&x, k), cr_array_get(&y, k), tolerance))
      fail_msg("element %d: %.17g, not %.17g", (int)k, cr_array_get(&x, k), cr_array_get(&y, k));
}

static void gradients_of_samples(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  cr_var in[5] = {numbers(t, 2, (int64_t[]){BATCH, 4}, 1), numbers(t, 2, (int64_t[]){BATCH, 2}, 2),
                  numbers(t, 2, (int64_t[]){4, 6}, 3), numbers(t, 1, (int64_t[]){6}, 4),
                  numbers(t, 2, (int64_t[]){6, 2}, 5)},
         out[4];
  uint32_t before = cr_node_count(t);
  assert_int_equal(cr_map(t, loss_and_gradient, NULL, 2, in, 3, in + 2, 4, out), CR_OK);
  for (uint32_t id = before; id < cr_node_count(t); id++) { /* every operation has its rule: none runs sample by sample */
    const cr_op *op = cr_op_of(cr_node_at(t, id));
    assert_true(!op || strcmp(op->name, "scan"));
  }
  for (int i = 0; i < BATCH; i++) {
    cr_var one[5] = {cr_select(in[0], 0, i), cr_select(in[1], 0, i), in[2], in[3], in[4]}, should[4];
    loss_and_gradient(t, NULL, 5, one, 4, should);
    for (int k = 0; k < 4; k++) assert_near(cr_select(out[k], 0, i), should[k], 1e-14);
  }
  cr_var whole = cr_sum_all(out[0]), g[3];
  cr_grad(whole, 3, in + 2, g);
  for (int k = 0; k < 3; k++) assert_near(cr_sum(out[k + 1], 1, (int[]){0}, 0), g[k], 1e-13);
  assert_fine(t);
  cr_fn *f = cr_capture(t, 5, in, 4, out, 0, NULL, CR_FN_EXACT);
  assert_fine(t);
  cr_workspace *w = cr_workspace_new(f);
  cr_array from[5], to[4];
  for (int k = 0; k < 5; k++) from[k] = cr_view(in[k]);
  for (int k = 0; k < 4; k++) {
    to[k] = cr_fn_output(f, k);
    to[k].data = calloc((size_t)to[k].count, sizeof(double));
  }
  assert_int_equal(cr_fn_run(f, w, from, to), CR_OK);
  for (int k = 0; k < 4; k++) {
    assert_near(cr_constant_of(t, CR_FLOAT64, to[k].rank, to[k].dim, to[k].data), out[k], 1e-14);
    free(to[k].data);
  }
  cr_workspace_free(w);
  cr_fn_free(f);
  cr_free(t);
}

/* y of x with operations that have rules and one that has none. */
static cr_var mixture(cr_var x) {
  cr_var z = cr_softmax(cr_matmul(x, cr_matrix_transpose(x)), -1);
  return cr_add(z, cr_prod(cr_sin(x), 1, (int[]){1}, 1));
}

static void jacobians_in_one_sweep(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  cr_var x = numbers(t, 2, (int64_t[]){3, 4}, 9), y = mixture(x), j;
  static double should[9 * 12];
  j = cr_jacobian_of(y, x);
  assert_fine(t);
  assert_int_equal(cr_rank(j), 4);
  assert_int_equal(cr_jacobian(y, x, should), CR_OK);
  assert_near(j, cr_constant_of(t, CR_FLOAT64, 2, (int64_t[]){9, 12}, should), 1e-13);
  cr_var s = cr_sum_all(cr_mul(j, j)), g; /* and it can be differentiated again */
  cr_grad(s, 1, &x, &g);
  assert_fine(t);
  for (int k = 0; k < 12; k += 5) {
    cr_array a = cr_view(x);
    double kept = cr_array_get(&a, k), up, down,
           slope = cr_array_get(&(cr_array){.data = cr_view(g).data,
                                            .count = 12,
                                            .dim = {12},
                                            .stride = {1},
                                            .rank = 1,
                                            .dtype = CR_FLOAT64,
                                            .contiguous = 1},
                                k),
           h = 1e-5;
    cr_array_set(&a, k, kept + h);
    cr_replay(t);
    up = cr_value(s);
    cr_array_set(&a, k, kept - h);
    cr_replay(t);
    down = cr_value(s);
    cr_array_set(&a, k, kept);
    cr_replay(t);
    assert_true(fabs((up - down) / (2 * h) - slope) < 1e-8 * (1 + fabs(slope)));
  }
  cr_free(t);
}

static void misfits_are_errors(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  cr_var in[5] = {numbers(t, 2, (int64_t[]){BATCH, 4}, 1), numbers(t, 2, (int64_t[]){BATCH + 1, 2}, 2)}, out;
  cr_map(t, loss_and_gradient, NULL, 2, in, 0, NULL, 1, &out);
  assert_int_equal(cr_error(t), CR_BAD_SHAPE);
  assert_non_null(strstr(cr_error_text(t), "mapped operand 1 has shape (18, 2)"));
  cr_free(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_function_maps),
    cmocka_unit_test(gradients_of_samples),
    cmocka_unit_test(jacobians_in_one_sweep),
    cmocka_unit_test(misfits_are_errors),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
