/* The tape: recording, marks, errors, deep graphs, both ways of differentiating. */
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <cmocka.h>

#include "internal.h"
#include "meter.h"
#include "ops.h"

static void scalars_and_their_adjoints(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  cr_var x = cr_input(t, 1.5), unused = cr_input(t, 7), y = cr_sin(cr_mul(x, x));
  cr_sweep *s = cr_backward(y);
  assert_non_null(s);
  assert_true(cr_value(y) == sin(2.25));
  assert_true(fabs(cr_adjoint(s, x) - 3 * cos(2.25)) < 1e-15);
  assert_true(cr_adjoint(s, unused) == 0);
  cr_sweep *again = cr_backward(y);
  assert_true(cr_adjoint(again, x) == cr_adjoint(s, x)); /* sweeps do not add up */
  assert_int_equal(cr_error(t), CR_OK);
  cr_free(t);
}

static void symbolic_derivatives_of_any_order(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  cr_var x = cr_input(t, 0.7), d = cr_exp(cr_mul(cr_const(t, 2), x));
  for (int order = 1; order <= 6; order++) {
    assert_int_equal(cr_grad(d, 1, &x, &d), CR_OK);
    assert_true(fabs(cr_value(d) / (pow(2, order) * exp(1.4)) - 1) < 1e-13);
  }
  assert_true(cr_node_count(t) < 400);
  cr_free(t);
}

static void forward_mode_agrees_with_reverse(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  cr_var x = cr_input(t, 0.4), y = cr_input(t, 1.3), one = cr_const(t, 1), dot, g[2];
  cr_var z = cr_pow(cr_add(cr_sin(x), y), cr_tanh(cr_mul(x, y)));
  assert_int_equal(cr_jvp(1, &z, 2, (cr_var[]){x, y}, (cr_var[]){one, one}, &dot), CR_OK);
  assert_int_equal(cr_grad(z, 2, (cr_var[]){x, y}, g), CR_OK);
  assert_true(fabs(cr_value(dot) - cr_value(g[0]) - cr_value(g[1])) < 1e-14);
  cr_free(t);
}

static void perturbations_are_not_confused(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  cr_var x = cr_input(t, 1), y = cr_input(t, 1), inner, outer, z = cr_add(x, y);
  cr_grad(z, 1, &y, &inner);
  cr_var product = cr_mul(x, inner); /* x * d/dy (x + y) has derivative 1 */
  cr_grad(product, 1, &x, &outer);
  assert_true(cr_value(outer) == 1);
  cr_free(t);
}

static void an_input_recorded_after_the_output(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  cr_var v = cr_input(t, 2), y, x, g[2], dot;
  for (int k = 0; k < 100; k++) v = cr_sin(v);
  y = cr_mul(v, v);
  x = cr_input(t, 3);
  assert_int_equal(cr_grad(y, 1, &x, g), CR_OK);
  assert_true(cr_value(g[0]) == 0);
  assert_int_equal(cr_jvp(1, &y, 1, &x, &x, &dot), CR_OK);
  assert_true(cr_value(dot) == 0);
  assert_int_equal(cr_grad(y, 2, (cr_var[]){v, x}, g), CR_OK);
  assert_true(cr_value(g[0]) == 2 * cr_value(v) && cr_value(g[1]) == 0);
  cr_free(t);
}

static void ten_million_nodes_deep(void **state) {
  (void)state;
  enum { DEPTH = 10000000 };
  cr_tape *t = cr_new();
  cr_var x = cr_input(t, 1), one = cr_const(t, 1e-7), v = x;
  for (int k = 0; k < DEPTH; k++) v = k & 1 ? cr_add(v, one) : cr_mul(v, x);
  cr_sweep *s = cr_backward(v);
  assert_non_null(s);
  assert_true(fabs(cr_adjoint(s, one) - DEPTH / 2) < 1e-3 * DEPTH);
  assert_true(cr_stats_of(t).nodes == DEPTH + 3);
  cr_free(t);
}

static void a_reset_takes_back_and_stale_handles_are_caught(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  cr_var x = cr_name(cr_input(t, 2), "x");
  cr_mark mark = cr_mark_here(t);
  cr_var old = cr_name(cr_exp(x), "old");
  assert_non_null(cr_backward(old));
  cr_reset(t, mark);
  assert_int_equal(cr_node_count(t), 2);
  assert_string_equal(cr_name_of(x), "x");
  cr_var fresh = cr_mul(x, x);
  assert_int_equal(fresh.id, old.id);
  cr_var bad = cr_sin(old);
  assert_true(cr_is_poison(bad));
  assert_int_equal(cr_error(t), CR_STALE);
  assert_true(isnan(cr_value(bad)));
  cr_clear_error(t);
  assert_true(cr_value(cr_sin(fresh)) == sin(4));
  for (int k = 0; k < 100000; k++) { /* a loop with a reset keeps its memory */
    cr_var y = cr_mul(x, x);
    assert_non_null(cr_backward(y));
    cr_reset(t, mark);
  }
  assert_true(cr_stats_of(t).bytes < 1 << 20);
  cr_free(t);
}

static void two_tapes_never_meet(void **state) {
  (void)state;
  cr_tape *t = cr_new(), *u = cr_new();
  cr_var x = cr_input(t, 1), y = cr_input(u, 1);
  assert_true(cr_is_poison(cr_add(x, y)));
  assert_int_equal(cr_error(t), CR_WRONG_TAPE);
  assert_int_equal(cr_error(u), CR_OK);
  cr_free(t);
  cr_free(u);
}

static void errors_name_op_operands_and_place(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  double data[6] = {0};
  cr_var a = cr_name(cr_tensor_of(t, CR_FLOAT64, 2, (int64_t[]){2, 3}, data), "a");
  cr_var b = cr_name(cr_tensor_of(t, CR_FLOAT64, 1, (int64_t[]){2}, data), "b");
  cr_site(t, "model.c", 12);
  cr_var bad = cr_add(a, b);
  assert_true(cr_is_poison(bad));
  assert_string_equal(cr_error_text(t),
                      "add(a: float64 (2, 3), b: float64 (2,)): shapes (2, 3) and (2,) do not broadcast [model.c:12]");
  cr_var later = cr_mul(bad, a); /* the first failure stays */
  assert_true(cr_is_poison(later));
  assert_int_equal(cr_error(t), CR_BAD_SHAPE);
  cr_clear_error(t);
  cr_var single = cr_tensor_of(t, CR_FLOAT32, 2, (int64_t[]){2, 3}, NULL);
  assert_int_equal(cr_dtype_of(cr_add(a, single)), CR_FLOAT64); /* the wider dtype wins */
  assert_int_equal(cr_error(t), CR_OK);
  cr_free(t);
}

static void a_constant_takes_the_dtype_it_meets(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  float data[2] = {1, 2};
  cr_var x = cr_tensor_of(t, CR_FLOAT32, 1, (int64_t[]){2}, data), y = cr_mul(cr_const(t, 0.1), x);
  assert_int_equal(cr_dtype_of(y), CR_FLOAT32);
  cr_array v = cr_view(y);
  assert_true(((float *)v.data)[1] == 0.1f * 2);
  int64_t whole[2] = {3, 4};
  cr_var i = cr_tensor_of(t, CR_INT64, 1, (int64_t[]){2}, whole);
  assert_int_equal(cr_dtype_of(cr_add(i, cr_const(t, 1))), CR_INT64);
  assert_int_equal(cr_dtype_of(cr_add(i, cr_const(t, 0.5))), CR_FLOAT64);
  assert_int_equal(cr_error(t), CR_OK);
  cr_free(t);
}

static void broadcasting_sums_in_reverse(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  double col[3] = {1, 2, 3}, row[2] = {10, 20}, g[3];
  cr_var a = cr_tensor_of(t, CR_FLOAT64, 2, (int64_t[]){3, 1}, col), b = cr_tensor_of(t, CR_FLOAT64, 1, (int64_t[]){2}, row);
  cr_var y = cr_sum_all(cr_mul(a, b));
  assert_true(cr_value(y) == 180);
  cr_sweep *s = cr_backward(y);
  assert_int_equal(cr_adjoint_read(s, a, g, 3), CR_OK);
  assert_true(g[0] == 30 && g[2] == 30);
  assert_int_equal(cr_adjoint_read(s, b, g, 2), CR_OK);
  assert_true(g[0] == 6 && g[1] == 6);
  double hessian[6];
  assert_int_equal(cr_hessian_block(y, a, b, hessian), CR_OK);
  for (int k = 0; k < 6; k++) assert_true(hessian[k] == 1);
  cr_free(t);
}

static void replay_follows_new_leaves(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  double data[2] = {1, 2};
  cr_var s = cr_input(t, 3), x = cr_tensor_of(t, CR_FLOAT64, 1, (int64_t[]){2}, data),
         y = cr_sum_all(cr_mul(cr_mul(s, s), x));
  assert_true(cr_value(y) == 27);
  cr_set_value(s, 2);
  cr_set_data(x, (double[]){5, 6});
  assert_int_equal(cr_replay(t), CR_OK);
  assert_true(cr_value(y) == 44);
  assert_int_equal(cr_set_value(y, 1), CR_BAD_ARGUMENT);
  cr_free(t);
}

static void nonfinite_values_are_reported_with_their_origin(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  cr_set(t, CR_FIND_NONFINITE, 1);
  cr_var x = cr_name(cr_input(t, -1), "x");
  cr_add(cr_log(x), x);
  assert_int_equal(cr_error(t), CR_NOT_FINITE);
  assert_non_null(strstr(cr_error_text(t), "log(x: float64 ())"));
  cr_free(t);
}

static void rounding_every_value_as_by_hand(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  cr_set(t, CR_ROUND_DIGITS, 3);
  cr_var y = cr_sigmoid(cr_input(t, 1.25));
  assert_true(cr_value(y) == 0.777);
  assert_true(cr_value(cr_mul(y, cr_const(t, 2.245))) == 1.744);
  double data[2] = {1.23456, 2.34567}, kept[2]; /* a view is rounded where it is used, not the leaf beneath it */
  cr_var x = cr_tensor_of(t, CR_FLOAT64, 1, (int64_t[]){2}, data);
  cr_reshape(x, 2, (int64_t[]){2, 1});
  assert_int_equal(cr_read(x, kept, 2), CR_OK);
  assert_true(kept[0] == data[0] && kept[1] == data[1]);
  cr_free(t);
}

static void hashes_follow_structure(void **state) {
  (void)state;
  uint64_t h[3];
  for (int k = 0; k < 3; k++) {
    cr_tape *t = cr_new();
    cr_var x = cr_name(cr_input(t, 2), "x");
    if (k == 1) cr_exp(x); /* an unrelated node */
    cr_hash(cr_sin(k == 2 ? cr_add(x, x) : cr_mul(x, x)), &h[k]);
    cr_free(t);
  }
  assert_true(h[0] == h[1] && h[0] != h[2]);
}

/* A little program that visits most of the engine; returns the tape's status. */
static cr_status visit(cr_tape *t) {
  double data[6] = {1, 2, 3, 4, 5, 6};
  cr_var a = cr_name(cr_tensor_of(t, CR_FLOAT64, 2, (int64_t[]){2, 3}, data), "a"), s = cr_name(cr_input(t, 0.5), "s");
  cr_var g[2], h[2];
  cr_var y = cr_sum_all(cr_exp(cr_mul(a, s)));
  cr_backward(y);
  cr_grad(y, 2, (cr_var[]){a, s}, g);
  cr_hvp(y, cr_poison(t), 2, (cr_var[]){a, s}, g, h);
  uint64_t hash;
  cr_hash(y, &hash);
  return cr_error(t);
}

static void every_failing_allocation_is_a_status(void **state) {
  (void)state;
  meter m = {0};
  cr_allocator allocator = {meter_reallocate, &m};
  cr_tape *t = cr_new_with(cr_standard_ops(), &allocator);
  assert_int_equal(visit(t), CR_OK);
  cr_free(t);
  assert_int_equal(m.live, 0);
  long total = m.calls;
  for (long k = 1; k <= total; k++) {
    m = (meter){.fail_at = k};
    t = cr_new_with(cr_standard_ops(), &allocator);
    if (t) {
      cr_status status = visit(t);
      assert_true(status == CR_NO_MEMORY || status == CR_OK);
    }
    cr_free(t);
    assert_int_equal(m.live, 0);
  }
}

static void a_memory_limit_is_a_status(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  cr_set(t, CR_MAX_BYTES, 1);
  cr_var v = cr_input(t, 1);
  for (int k = 0; k < 1000000 && !cr_is_poison(v); k++) v = cr_sin(v);
  assert_int_equal(cr_error(t), CR_OVER_LIMIT);
  cr_free(t);
  meter m = {0}; /* memory that runs out below the limit is no matter of the limit */
  cr_allocator allocator = {meter_reallocate, &m};
  t = cr_new_with(cr_standard_ops(), &allocator);
  cr_set(t, CR_MAX_BYTES, 1024);
  m.fail_at = m.calls + 1;
  for (int k = 0; k < 1000000 && cr_error(t) == CR_OK; k++) cr_tensor_of(t, CR_FLOAT64, 1, (int64_t[]){100}, NULL);
  assert_int_equal(cr_error(t), CR_NO_MEMORY);
  cr_free(t);
}

/* Many shapes, more than a hostile tape shares, each in views, rows and sweeps that stay or go. */
static void every_layout_is_its_own(void **state) {
  (void)state;
  enum { SHAPES = 6000 };
  cr_tape *t = cr_new();
  cr_mark mark = cr_mark_here(t);
  double x[100], d[100], e[100];
  for (int round = 0; round < 2; round++) {
    for (int k = 0; k < SHAPES; k++) {
      const int64_t rows = k % 60 % 7 + 1, cols = k / 60 % 10 + 1, dims[4] = {rows, cols, k % 2 ? 1 : rows > 2, 1};
      const int rank = 2 + k % 3, n = (int)(rows * cols * (rank > 2 ? dims[2] : 1));
      for (int i = 0; i < n; i++) x[i] = 0.5 + 0.01 * i + 0.001 * k;
      cr_var v = cr_tensor_of(t, CR_FLOAT64, rank, dims, x), w = cr_transpose(v, 0, 1), z = cr_mul(w, w);
      z = cr_add(cr_mul(z, cr_add(z, w)), z); /* w^4 + w^3 + w^2 */
      cr_sweep *s = cr_backward(cr_transpose(z, 0, 1)), *again = cr_backward(cr_add(v, rows == cols ? w : v));
      assert_int_equal(cr_adjoint_read(s, v, d, n), CR_OK);
      assert_int_equal(cr_adjoint_read(again, v, e, n), CR_OK);
      for (int i = 0; i < n; i++) {
        assert_true(fabs(d[i] - x[i] * (x[i] * (4 * x[i] + 3) + 2)) < 1e-9);
        assert_true(e[i] == 2);
      }
      if (k % 5) cr_sweep_release(s);
    }
    assert_int_equal(cr_error(t), CR_OK);
    cr_reset(t, mark);
  }
  cr_free(t);
}

/* Adjoints that come from rows, views and rules together, at every size around those that have kernels of their own. */
static void few_numbers_meet_other_rules(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  for (int64_t n = 0; n < 70; n++)
    for (int d = CR_FLOAT32; d <= CR_FLOAT64; d++) {
      double out[70];
      cr_mark mark = cr_mark_here(t);
      cr_var x = cr_full(t, (cr_dtype)d, 1, &n, 3), v = cr_tensor_of(t, (cr_dtype)d, 1, &n, NULL), y = cr_add(x, v), z = y;
      z = cr_add(cr_mul(z, x), z);                                                     /* 4 y */
      z = cr_add(z, cr_flip(cr_mul(z, z), 1, (int[]){0}));                             /* + 16 y^2, of y = 3 */
      z = cr_sub(cr_add(z, cr_mul(cr_unsqueeze(cr_sum(y, 1, (int[]){0}, 0), 0), y)), z);   /* sum(y) y */
      cr_sweep *s = cr_backward(cr_add(z, cr_neg(cr_sub(x, y))));
      assert_int_equal(cr_adjoint_read(s, v, out, n), CR_OK);
      for (int64_t i = 0; i < n; i++) assert_true(out[i] == 6 * (double)n + 1);
      assert_int_equal(cr_error(t), CR_OK);
      cr_reset(t, mark);
    }
  cr_free(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(scalars_and_their_adjoints),
    cmocka_unit_test(symbolic_derivatives_of_any_order),
    cmocka_unit_test(forward_mode_agrees_with_reverse),
    cmocka_unit_test(perturbations_are_not_confused),
    cmocka_unit_test(an_input_recorded_after_the_output),
    cmocka_unit_test(ten_million_nodes_deep),
    cmocka_unit_test(a_reset_takes_back_and_stale_handles_are_caught),
    cmocka_unit_test(two_tapes_never_meet),
    cmocka_unit_test(errors_name_op_operands_and_place),
    cmocka_unit_test(a_constant_takes_the_dtype_it_meets),
    cmocka_unit_test(broadcasting_sums_in_reverse),
    cmocka_unit_test(replay_follows_new_leaves),
    cmocka_unit_test(nonfinite_values_are_reported_with_their_origin),
    cmocka_unit_test(rounding_every_value_as_by_hand),
    cmocka_unit_test(hashes_follow_structure),
    cmocka_unit_test(every_layout_is_its_own),
    cmocka_unit_test(few_numbers_meet_other_rules),
    cmocka_unit_test(every_failing_allocation_is_a_status),
    cmocka_unit_test(a_memory_limit_is_a_status),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
