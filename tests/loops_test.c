/* Bodies as operations: checkpoint, cond, scan, fori and root against the same recorded without them; first and second
 * derivatives, capture. */
#include "compare_bodies.h"

/* checkpoint */

static void checkpoints_are_what_they_hide(void **state) {
  (void)state;
  for (int d = CR_FLOAT32; d <= CR_FLOAT64; d++) {
    cr_tape *t = cr_new();
    cr_var x[3] = {tensor(t, (cr_dtype)d, 2, (int64_t[]){3, 4}, 1), tensor(t, (cr_dtype)d, 2, (int64_t[]){4, 4}, 2),
                   tensor(t, (cr_dtype)d, 1, (int64_t[]){4}, 3)};
    cr_var y, z;
    assert_int_equal(cr_checkpoint(t, layer, NULL, 3, x, 1, &y), CR_OK);
    layer(t, NULL, 3, x, 1, &z);
    check_pair(y, z, 3, x, 0);
    cr_free(t);
  }
}

static void checkpoints_have_several_results(void **state) {
  (void)state;
  double factor = 0.75;
  cr_tape *t = cr_new();
  cr_var x[2] = {tensor(t, CR_FLOAT64, 1, (int64_t[]){5}, 4), cr_input(t, 0.8)}, y[2], z[2];
  assert_int_equal(cr_checkpoint(t, two_results, &factor, 2, x, 2, y), CR_OK);
  two_results(t, &factor, 2, x, 2, z);
  assert_int_equal(cr_rank(y[1]), 0);
  check_pair(cr_add(y[0], y[1]), cr_add(z[0], z[1]), 2, x, 1e-15);
  check_pair(y[1], z[1], 2, x, 1e-15);
  cr_free(t);
}

/* cond */

static void only_the_taken_branch_counts(void **state) {
  (void)state;
  for (int taken = 0; taken < 2; taken++) {
    cr_tape *t = cr_new();
    cr_var x[2] = {cr_input(t, 0.7), tensor(t, CR_FLOAT64, 1, (int64_t[]){4}, 5)}, y, z;
    cr_var square = cr_mul(x[1], x[1]);
    cr_var with[2] = {x[0], square};
    cr_var condition = cr_gt(x[0], cr_const(t, taken ? 0 : 1));
    assert_int_equal(cr_cond(t, condition, root_of, product_of, NULL, 2, with, 1, &y), CR_OK);
    (taken ? root_of : product_of)(t, NULL, 2, with, 1, &z);
    check_pair(y, z, 2, x, 1e-15);
    cr_free(t);
  }
}

static void the_branch_follows_the_inputs(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  cr_var x[2] = {cr_input(t, 0.7), tensor(t, CR_FLOAT64, 1, (int64_t[]){4}, 5)}, y, g;
  cr_var with[2] = {x[0], cr_mul(x[1], x[1])};
  cr_cond(t, cr_gt(x[0], cr_const(t, 0)), root_of, product_of, NULL, 2, with, 1, &y);
  cr_grad(y, 1, x, &g);
  cr_fn *f = cr_capture(t, 2, x, 2, (cr_var[]){y, g}, 0, NULL, CR_FN_EXACT);
  cr_workspace *w = cr_workspace_new(f);
  double at = -0.4, value, slope;
  cr_array in[2] = {cr_view(x[0]), cr_view(x[1])}, out[2] = {cr_fn_output(f, 0), cr_fn_output(f, 1)};
  in[0].data = &at, out[0].data = &value, out[1].data = &slope;
  assert_int_equal(cr_fn_run(f, w, in, out), CR_OK);
  double mean = cr_value(cr_mean(with[1], -1, NULL, 0));
  assert_true(fabs(value - exp(at) * mean) < 1e-15 && fabs(slope - exp(at) * mean) < 1e-15);
  cr_workspace_free(w);
  cr_fn_free(f);
  cr_free(t);
}

/* scan */

enum { STEPS = 7, WIDTH = 3 };

static void cell(cr_tape *t, void *user, int n, const cr_var *in, int m, cr_var *out) { /* h, x | w, u, b */
  (void)t, (void)user, (void)n, (void)m;
  out[0] = cr_tanh(cr_add(cr_add(cr_matmul(in[0], in[2]), cr_matmul(in[1], in[3])), in[4]));
  out[1] = cr_sum_all(cr_mul(out[0], out[0]));
}

/* The same loop step by step. */
static void unrolled(cr_body_record record, void *user, const cr_loop *l, cr_var *carry, cr_var *ys) {
  cr_var in[16], out[16], kept[8][64];
  cr_tape *t = l->carry[0].tape;
  for (int k = 0; k < l->n_carry; k++) carry[k] = l->carry[k];
  for (int64_t s = 0; s < l->steps; s++) {
    int64_t i = l->reverse ? l->steps - 1 - s : s;
    int n = 0;
    for (int k = 0; k < l->n_carry; k++) in[n++] = carry[k];
    for (int k = 0; k < l->n_xs; k++) in[n++] = cr_select(l->xs[k], 0, i);
    for (int k = 0; k < l->n_const; k++) in[n++] = l->consts[k];
    record(t, user, n, in, l->n_carry + l->n_ys, out);
    for (int k = 0; k < l->n_carry; k++) carry[k] = out[k];
    for (int k = 0; k < l->n_ys; k++) kept[k][i] = out[l->n_carry + k];
  }
  for (int k = 0; k < l->n_ys; k++) ys[k] = cr_stack((int)l->steps, kept[k], 0);
}

static cr_var weighed(cr_var carry, cr_var ys, cr_var by) {
  return cr_add(cr_mul(carry, cr_const(carry.tape, 1.5)), cr_sum_all(cr_mul(ys, by)));
}

static void check_cells(cr_dtype dtype, int reverse, int64_t every, double tolerance) {
  cr_tape *t = cr_new();
  cr_var x[5] = {tensor(t, dtype, 2, (int64_t[]){2, WIDTH}, 1), tensor(t, dtype, 3, (int64_t[]){STEPS, 2, 4}, 2),
                 tensor(t, dtype, 2, (int64_t[]){WIDTH, WIDTH}, 3), tensor(t, dtype, 2, (int64_t[]){4, WIDTH}, 4),
                 tensor(t, dtype, 1, (int64_t[]){WIDTH}, 5)};
  cr_var by = tensor(t, dtype, 1, (int64_t[]){STEPS}, 6), h, ys, h2, ys2;
  cr_loop l = {.n_carry = 1, .n_xs = 1, .n_const = 3, .n_ys = 1, .carry = x, .xs = x + 1, .consts = x + 2, .steps = STEPS,
               .reverse = reverse, .every = every};
  assert_int_equal(cr_scan(t, cell, NULL, &l, &h, &ys), CR_OK);
  unrolled(cell, NULL, &l, &h2, &ys2);
  assert_same(h, h2);
  assert_same(ys, ys2);
  check_pair(weighed(h, ys, by), weighed(h2, ys2, by), 5, x, tolerance);
  cr_free(t);
}

static void a_scan_is_its_steps(void **state) {
  (void)state;
  for (int reverse = 0; reverse < 2; reverse++)
    for (int64_t every = 0; every < 8; every += 1 + (every > 3)) {
      check_cells(CR_FLOAT64, reverse, every, 1e-14);
      check_cells(CR_FLOAT32, reverse, every, 1e-5);
    }
}

static void a_loop_is_few_nodes(void **state) {
  (void)state;
  uint32_t nodes[2];
  for (int k = 0; k < 2; k++) {
    int64_t steps = k ? 500 : 5;
    cr_tape *t = cr_new();
    cr_var x[5] = {tensor(t, CR_FLOAT64, 2, (int64_t[]){2, WIDTH}, 1), tensor(t, CR_FLOAT64, 3, (int64_t[]){steps, 2, 4}, 2),
                   tensor(t, CR_FLOAT64, 2, (int64_t[]){WIDTH, WIDTH}, 3),
                   tensor(t, CR_FLOAT64, 2, (int64_t[]){4, WIDTH}, 4), tensor(t, CR_FLOAT64, 1, (int64_t[]){WIDTH}, 5)},
           h, ys, g[5];
    cr_loop l = {.n_carry = 1, .n_xs = 1, .n_const = 3, .n_ys = 1, .carry = x, .xs = x + 1, .consts = x + 2, .steps = steps};
    cr_scan(t, cell, NULL, &l, &h, &ys);
    assert_int_equal(cr_grad(cr_sum_all(h), 5, x, g), CR_OK);
    nodes[k] = cr_node_count(t);
    cr_free(t);
  }
  assert_int_equal(nodes[0], nodes[1]);
}

/* Results alone, without carries, are independent of each other: they run at once, and keep their bits. */
static void square_of(cr_tape *t, void *user, int n, const cr_var *in, int m, cr_var *out) {
  (void)t, (void)user, (void)n, (void)m;
  out[0] = cr_sum_all(cr_sin(cr_mul(in[0], in[1])));
}

static void steps_without_carries_run_at_once(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  cr_set(t, CR_THREADS, 3);
  cr_var x[2] = {tensor(t, CR_FLOAT64, 2, (int64_t[]){40, 5}, 1), tensor(t, CR_FLOAT64, 1, (int64_t[]){5}, 2)}, y, z;
  cr_loop l = {.n_xs = 1, .n_const = 1, .n_ys = 1, .xs = x, .consts = x + 1, .steps = 40};
  assert_int_equal(cr_scan(t, square_of, NULL, &l, NULL, &y), CR_OK);
  z = cr_sum(cr_sin(cr_mul(x[0], x[1])), 1, (int[]){1}, 0);
  check_pair(y, z, 2, x, 1e-14);
  cr_free(t);
}

static void no_steps_leave_the_carry(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  cr_var x[5] = {tensor(t, CR_FLOAT64, 2, (int64_t[]){2, WIDTH}, 1), tensor(t, CR_FLOAT64, 3, (int64_t[]){0, 2, 4}, 2),
                 tensor(t, CR_FLOAT64, 2, (int64_t[]){WIDTH, WIDTH}, 3), tensor(t, CR_FLOAT64, 2, (int64_t[]){4, WIDTH}, 4),
                 tensor(t, CR_FLOAT64, 1, (int64_t[]){WIDTH}, 5)}, h, ys;
  cr_loop l = {.n_carry = 1, .n_xs = 1, .n_const = 3, .n_ys = 1, .carry = x, .xs = x + 1, .consts = x + 2};
  assert_int_equal(cr_scan(t, cell, NULL, &l, &h, &ys), CR_OK);
  assert_same(h, x[0]);
  assert_int_equal(cr_dim(ys, 0), 0);
  cr_free(t);
}

/* fori */

/* Lotka and Volterra's equations by the classical method of Runge and Kutta: y, step, (a, b, dt). */
static cr_var slope(cr_var y, cr_var p) {
  cr_var u = cr_select(y, 0, 0), v = cr_select(y, 0, 1), uv = cr_mul(u, v);
  cr_var both[2] = {cr_sub(cr_mul(cr_select(p, 0, 0), u), uv), cr_sub(uv, cr_mul(cr_select(p, 0, 1), v))};
  return cr_stack(2, both, 0);
}
static void runge_kutta(cr_tape *t, void *user, int n, const cr_var *in, int m, cr_var *out) {
  (void)user, (void)n, (void)m;
  cr_var y = in[0], p = in[n - 1], dt = cr_select(p, 0, 2), half = cr_mul(dt, cr_const(t, 0.5));
  cr_var a = slope(y, p), b = slope(cr_add(y, cr_mul(half, a)), p), c = slope(cr_add(y, cr_mul(half, b)), p);
  cr_var d = slope(cr_add(y, cr_mul(dt, c)), p);
  cr_var sum = cr_add(cr_add(a, d), cr_mul(cr_add(b, c), cr_const(t, 2)));
  out[0] = cr_add(y, cr_mul(cr_div(dt, cr_const(t, 6)), sum));
}

static void check_runge_kutta(int64_t count, int64_t most) {
  cr_tape *t = cr_new();
  double begin[2] = {1.3, 0.6}, parameters[3] = {0.9, 1.1, 0.05};
  cr_var x[2] = {cr_tensor_of(t, CR_FLOAT64, 1, (int64_t[]){2}, begin),
                 cr_tensor_of(t, CR_FLOAT64, 1, (int64_t[]){3}, parameters)};
  cr_var n = cr_constant_of(t, CR_INT64, 0, NULL, &count), y, z = x[0];
  cr_loop l = {.n_carry = 1, .n_const = 1, .carry = x, .consts = x + 1, .steps = most};
  assert_int_equal(cr_fori(t, runge_kutta, NULL, count == most ? cr_poison(t) : n, &l, &y), CR_OK);
  for (int64_t k = 0; k < count; k++) runge_kutta(t, NULL, 2, (cr_var[]){z, x[1]}, 1, &z);
  assert_same(y, z);
  if (count) check_pair(y, z, 2, x, 1e-13);
  cr_free(t);
}

static void ode_solvers_do_not_unroll(void **state) {
  (void)state;
  check_runge_kutta(12, 12);
  check_runge_kutta(9, 12);
  check_runge_kutta(1, 12);
  check_runge_kutta(0, 12);
  check_runge_kutta(1, 1);
}

/* The number of the step is an operand. */
static void harmonic(cr_tape *t, void *user, int n, const cr_var *in, int m, cr_var *out) {
  (void)user, (void)n, (void)m;
  out[0] = cr_add(in[0], cr_div(in[2], cr_add(in[1], cr_const(t, 1))));
}

static void a_captured_loop_counts_what_it_is_told(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  int64_t most = 20, n;
  cr_var x[2] = {cr_input(t, 0), cr_input(t, 1)}, count = cr_tensor_of(t, CR_INT64, 0, NULL, &most), y, g;
  cr_loop l = {.n_carry = 1, .n_const = 1, .carry = x, .consts = x + 1, .steps = most};
  assert_int_equal(cr_fori(t, harmonic, NULL, count, &l, &y), CR_OK);
  assert_int_equal(cr_grad(y, 1, x + 1, &g), CR_OK);
  cr_fn *f = cr_capture(t, 3, (cr_var[]){x[0], x[1], count}, 2, (cr_var[]){y, g}, 0, NULL, CR_FN_EXACT);
  assert_fine(t);
  cr_workspace *w = cr_workspace_new(f);
  double zero = 0, two = 2, sum, slope_;
  cr_array in[3] = {cr_view(x[0]), cr_view(x[1]), cr_view(count)}, out[2] = {cr_fn_output(f, 0), cr_fn_output(f, 1)};
  in[0].data = &zero, in[1].data = &two, in[2].data = &n, out[0].data = &sum, out[1].data = &slope_;
  double want = 0;
  for (n = 0; n <= most; n++) {
    if (n) want += 1.0 / (double)n;
    assert_int_equal(cr_fn_run(f, w, in, out), CR_OK);
    assert_true(fabs(sum - 2 * want) < 1e-14 && fabs(slope_ - want) < 1e-14);
  }
  assert_int_equal(cr_fn_run(f, w, in, out), CR_BAD_ARGUMENT);
  assert_non_null(strstr(cr_workspace_error(w), "21 steps, but at most 20"));
  cr_workspace_free(w);
  cr_fn_free(f);
  cr_free(t);
}

/* root */

static void linear_equations(cr_tape *t, void *user, int n, const cr_var *in, int m, cr_var *out) {
  (void)t, (void)user, (void)n, (void)m;
  out[0] = cr_sub(cr_matmul(in[1], in[0]), in[2]);
}
static void away_from_fixed_point(cr_tape *t, void *user, int n, const cr_var *in, int m, cr_var *out) {
  (void)t, (void)user, (void)n, (void)m;
  out[0] = cr_sub(in[0], cr_tanh(cr_add(cr_matmul(in[1], in[0]), in[2])));
}
static void has_no_root(cr_tape *t, void *user, int n, const cr_var *in, int m, cr_var *out) {
  (void)user, (void)n, (void)m;
  out[0] = cr_add(cr_mul(in[0], in[0]), cr_const(t, 1));
}

static void roots_of_numbers_and_systems(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  cr_var a = cr_input(t, 7.3);
  check_pair(cr_root(t, square_minus, NULL, cr_const(t, 1), 1, &a), cr_sqrt(a), 1, &a, 1e-14);
  for (int d = CR_FLOAT32; d <= CR_FLOAT64; d++) {
    cr_var x[2] = {tensor(t, (cr_dtype)d, 2, (int64_t[]){4, 4}, 1), tensor(t, (cr_dtype)d, 1, (int64_t[]){4}, 2)};
    cr_var start = cr_zeros_like(x[1]), z = cr_zeros_like(x[1]);
    cr_array w = cr_view(x[0]);
    double rounding = d == CR_FLOAT64 ? 1e-12 : 2e-4;
    for (int k = 0; k < 4; k++) cr_array_set(&w, 5 * k, 2 + 0.1 * k);
    check_pair(cr_root(t, linear_equations, NULL, start, 2, x), cr_solve(x[0], x[1], 1), 2, x, rounding);
    for (int k = 0; k < 16; k++) cr_array_set(&w, k, 0.2 * cr_array_get(&w, k));
    for (int k = 0; k < 80; k++) z = cr_tanh(cr_add(cr_matmul(x[0], z), x[1]));
    check_pair(cr_root(t, away_from_fixed_point, NULL, start, 2, x), z, 2, x, rounding);
  }
  cr_free(t);
}

static void a_missing_root_is_an_error(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  cr_var y = cr_root(t, has_no_root, NULL, cr_const(t, 0.3), 0, NULL);
  assert_true(cr_is_poison(y));
  assert_int_equal(cr_error(t), CR_MISMATCH);
  assert_non_null(strstr(cr_error_text(t), "no root found: the residual is"));
  cr_clear_error(t);
  cr_root(t, has_no_root, NULL, cr_const(t, 0), 0, NULL);
  assert_non_null(strstr(cr_error_text(t), "singular"));
  cr_free(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(checkpoints_are_what_they_hide),
    cmocka_unit_test(checkpoints_have_several_results),
    cmocka_unit_test(only_the_taken_branch_counts),
    cmocka_unit_test(the_branch_follows_the_inputs),
    cmocka_unit_test(a_scan_is_its_steps),
    cmocka_unit_test(a_loop_is_few_nodes),
    cmocka_unit_test(steps_without_carries_run_at_once),
    cmocka_unit_test(no_steps_leave_the_carry),
    cmocka_unit_test(ode_solvers_do_not_unroll),
    cmocka_unit_test(a_captured_loop_counts_what_it_is_told),
    cmocka_unit_test(roots_of_numbers_and_systems),
    cmocka_unit_test(a_missing_root_is_an_error),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
