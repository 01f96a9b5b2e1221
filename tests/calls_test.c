/* What a workspace keeps from run to run: calls with addresses that follow the caller's arrays, copies of operands that lie
 * apart, and arguments that are looked at again when they change. All to the bits of recording. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "function.h"
#include "ops.h"

enum { MOST = 6, ROOM = 5000 };

/* A graph of up to two inputs, and room for runs of it. */
typedef struct graph {
  cr_tape *t;
  cr_var in[2], out[MOST];
  int n_in, n_out;
} graph;

static void fill(cr_array *a, double from) {
  for (int64_t k = 0; k < a->count; k++) cr_array_set(a, k, from + 0.37 * (double)(k % 29) - 0.011 * (double)k);
}

static cr_var leaf(cr_tape *t, cr_dtype dtype, int rank, const int64_t *dim, double from) {
  cr_var v = cr_tensor_of(t, dtype, rank, dim, NULL);
  cr_array a = cr_view(v);
  fill(&a, from);
  return v;
}

/* One run on copies of the inputs at these places; every bit of every result is that of the tape. */
static void run_there(const graph *g, const cr_fn *f, cr_workspace *w, double *const *in, double *const *out) {
  cr_array from[2], to[MOST];
  for (int k = 0; k < g->n_in; k++) {
    const cr_array have = cr_view(g->in[k]);
    from[k] = cr_fn_input(f, k), from[k].data = in[k];
    cr_array_copy(&from[k], &have);
  }
  for (int k = 0; k < g->n_out; k++) to[k] = cr_fn_output(f, k), to[k].data = out[k];
  assert_int_equal(cr_fn_run(f, w, from, to), CR_OK);
  for (int k = 0; k < g->n_out; k++) {
    cr_array want = to[k];
    const cr_array have = cr_view(g->out[k]);
    want.data = calloc((size_t)have.count + 1, sizeof(double));
    assert_non_null(want.data);
    cr_array_copy(&want, &have);
    assert_memory_equal(to[k].data, want.data, (size_t)have.count * cr_dtype_size((cr_dtype)have.dtype));
    free(want.data);
  }
}

/* The same workspace on two sets of arrays in turn, on mixtures of them, and on new numbers in the same place. */
static void run_everywhere(graph *g) {
  double *place[2][2 + MOST];
  for (int k = 0; k < 2 * (2 + MOST); k++) {
    place[k % 2][k / 2] = calloc(ROOM, sizeof(double));
    assert_non_null(place[k % 2][k / 2]);
  }
  cr_fn *f = cr_capture(g->t, g->n_in, g->in, g->n_out, g->out, 0, NULL, CR_FN_EXACT);
  assert_non_null(f);
  cr_workspace *w = cr_workspace_new(f);
  assert_non_null(w);
  for (int turn = 0; turn < 8; turn++) {
    double *in[2] = {place[turn & 1][0], place[turn >> 1 & 1][1]};
    for (int again = 0; again < 2; again++) {
      run_there(g, f, w, in, place[turn >> 2] + 2);
      for (int k = 0; k < g->n_in; k++) {
        cr_array a = cr_view(g->in[k]);
        fill(&a, turn + 0.5 * again);
      }
      assert_int_equal(cr_replay(g->t), CR_OK);
    }
  }
  cr_workspace_free(w);
  cr_fn_free(f);
  for (int k = 0; k < 2 * (2 + MOST); k++) free(place[k % 2][k / 2]);
  cr_free(g->t);
}

/* A layer's bias, activation, loss and gradients, for counts that fill vectors and others, in one block and in several. */
static void operands_that_lie_apart(void **state) {
  static const int64_t shapes[][2] = {{1, 1}, {1, 16}, {3, 5}, {16, 1}, {4, 16}, {32, 16}, {33, 7}, {70, 60}};
  (void)state;
  for (size_t k = 0; k < 4 * sizeof shapes / sizeof *shapes; k++) {
    const int64_t *dim = shapes[k / 4];
    graph g = {.t = cr_new(), .n_in = 2, .n_out = 4};
    const cr_dtype dtype = k % 2 ? CR_FLOAT32 : CR_FLOAT64;
    g.in[0] = leaf(g.t, dtype, 2, dim, -1), g.in[1] = leaf(g.t, dtype, 1, &dim[1], 0.3);
    cr_var h = cr_relu(cr_add(g.in[0], g.in[1])), square = cr_square(cr_sub(h, cr_mul(h, cr_const(g.t, 0.25))));
    g.out[0] = cr_mul(cr_sum(square, -1, NULL, 0), cr_sum(g.in[1], -1, NULL, 0)); /* by one number each: of step 0 */
    g.out[1] = cr_mul(h, cr_flip(g.in[0], 1, (int[]){0}));
    assert_int_equal((k % 4 < 2 ? cr_grad : cr_grad_once)(g.out[0], 2, g.in, g.out + 2), CR_OK);
    run_everywhere(&g);
  }
}

static void operands_of_three_axes(void **state) {
  (void)state;
  for (int which = 0; which < 3; which++) {
    graph g = {.t = cr_new(), .n_in = 2, .n_out = 2};
    g.in[0] = leaf(g.t, CR_FLOAT32, 3, (int64_t[]){4, 2, 8}, -1);
    g.in[1] = leaf(g.t, CR_FLOAT32, 3, (int64_t[][3]){{1, 2, 8}, {4, 1, 8}, {4, 2, 1}}[which], 2);
    cr_var y = cr_exp(cr_mul(g.in[0], g.in[1]));
    g.out[0] = cr_div(y, cr_add(g.in[1], cr_permute(cr_permute(y, 3, (int[]){1, 0, 2}), 3, (int[]){1, 0, 2})));
    g.out[1] = cr_tanh(cr_permute(g.out[0], 3, (int[]){2, 1, 0}));
    run_everywhere(&g);
  }
}

/* Results that are computed elsewhere: inputs, views, the same twice; an index that copies nothing. */
static void results_that_are_copied(void **state) {
  (void)state;
  graph g = {.t = cr_new(), .n_in = 2, .n_out = 5};
  g.in[0] = leaf(g.t, CR_FLOAT64, 2, (int64_t[]){3, 4}, 1), g.in[1] = cr_input(g.t, 2.5);
  cr_var y = cr_add(g.in[0], g.in[1]);
  g.out[0] = y, g.out[1] = g.in[0], g.out[2] = y, g.out[3] = cr_matrix_transpose(y), g.out[4] = cr_mul(g.in[1], g.in[1]);
  double x[12], s = 2.5, out[5][12];
  cr_fn *f = cr_capture(g.t, 2, g.in, 5, g.out, 0, NULL, CR_FN_EXACT);
  cr_workspace *w = f ? cr_workspace_new(f) : NULL;
  assert_non_null(w);
  for (int turn = 0; turn < 3; turn++) {
    double *to[5];
    for (int k = 0; k < 5; k++) to[k] = out[(k + turn) % 5];
    run_there(&g, f, w, (double *[]){x, &s}, to);
  }
  cr_workspace_free(w);
  cr_fn_free(f);
  cr_free(g.t);
}

/* What was good once is looked at again when anything about it is different. */
static void arguments_are_looked_at_again(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  cr_var x = leaf(t, CR_FLOAT64, 2, (int64_t[]){2, 3}, 1), y = cr_square(x);
  double in[12] = {0}, out[12], other[12] = {0};
  cr_fn *f = cr_capture(t, 1, &x, 1, &y, 0, NULL, CR_FN_EXACT);
  cr_workspace *w = f ? cr_workspace_new(f) : NULL;
  assert_non_null(w);
  cr_array from = cr_fn_input(f, 0), to = cr_fn_output(f, 0), turned, wide = from, apart = from;
  from.data = in, to.data = out;
  cr_array_init(&turned, CR_FLOAT64, 2, (int64_t[]){3, 2});
  wide.data = turned.data = apart.data = in;
  wide.dtype = CR_INT64, apart.contiguous = 0;
  for (int k = 0; k < 6; k++) in[k] = k;
  for (int turn = 0; turn < 2; turn++) {
    assert_int_equal(cr_fn_run(f, w, &from, &to), CR_OK);
    assert_true(out[5] == in[5] * in[5]);
    assert_int_equal(cr_fn_run(f, w, &turned, &to), CR_BAD_SHAPE);
    assert_string_equal(cr_workspace_error(w), "cr_fn_run: input 0 is float64 (3, 2), not float64 (2, 3)");
    assert_int_equal(cr_fn_run(f, w, &wide, &to), CR_BAD_SHAPE);
    assert_int_equal(cr_fn_run(f, w, &apart, &to), CR_BAD_ARGUMENT);
    to.data = in + 3;
    assert_int_equal(cr_fn_run(f, w, &from, &to), CR_BAD_ARGUMENT);
    to.data = out;
    assert_int_equal(cr_fn_run(f, w, &from, &to), CR_OK);
    assert_string_equal(cr_workspace_error(w), "");
    from.data = other, other[5] = 7 + turn;
    assert_int_equal(cr_fn_run(f, w, &from, &to), CR_OK);
    assert_true(out[5] == other[5] * other[5]);
    from.data = in;
  }
  cr_workspace_free(w);
  cr_fn_free(f);
  cr_free(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(operands_that_lie_apart), cmocka_unit_test(operands_of_three_axes),
    cmocka_unit_test(results_that_are_copied), cmocka_unit_test(arguments_are_looked_at_again)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
