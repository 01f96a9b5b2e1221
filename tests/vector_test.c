/* Vector mode, sections of a recording and routines: against one derivative at a time, and against plain recording. */
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

static bool close_to(double x, double y) {
  return x == y || (isnan(x) && isnan(y)) || fabs(x - y) <= 1e-12 * (1 + fabs(x) + fabs(y));
}

enum { INPUTS = 5, NODES = 60, OUTPUTS = 19, TRIALS = 40 };

/* A random expression of the inputs and of what came before, constants among them; v[0..INPUTS) are inputs. */
static void random_nodes(cr_tape *t, uint64_t seed, int n, cr_var *v) {
  cr_var (*const unary[])(cr_var) = {cr_sin, cr_tanh, cr_neg, cr_square, cr_sigmoid, cr_softsign, cr_abs};
  cr_var (*const binary[])(cr_var, cr_var) = {cr_add, cr_sub, cr_mul, cr_hypot, cr_maximum, cr_guarded_mul, cr_div};
  for (int i = INPUTS; i < n; i++) {
    uint64_t k = (uint64_t)i * 4;
    cr_var a = v[(int)(cr_rand_at(seed, k) * i)], b = v[(int)(cr_rand_at(seed, k + 1) * i)];
    int kind = (int)(cr_rand_at(seed, k + 2) * 16);
    v[i] = kind < 7 ? unary[kind](a) : kind < 14 ? binary[kind - 7](a, b) : cr_const(t, cr_rand_at(seed, k + 3));
  }
}

static void tangents_agree_with_jvp(void **state) {
  (void)state;
  const int lanes[] = {1, 7, 8, 9, 28, 64, 65, 512};
  for (int trial = 0; trial < TRIALS; trial++) {
    cr_tape *t = cr_new();
    int k = lanes[trial % 8];
    cr_tangents *s = cr_tangents_new(t, k);
    cr_var v[NODES];
    double *dot = calloc((size_t)(INPUTS * k), sizeof *dot);
    for (int i = 0; i < INPUTS; i++) {
      v[i] = cr_input(t, cr_randn_at((uint64_t)trial, (uint64_t)i));
      for (int l = 0; l < k; l++) /* some groups of eight without any */
        dot[i * k + l] = (l / 8 + i) % 3 ? cr_randn_at(1000 + (uint64_t)trial, (uint64_t)(i * k + l)) : 0;
      if (i) assert_int_equal(cr_tangents_set(s, v[i], dot + i * k), CR_OK); /* the first has none */
    }
    random_nodes(t, 7 + (uint64_t)trial, NODES, v);
    for (int l = 0; l < k; l += 1 + k / 5) {
      cr_var with[INPUTS], out[NODES];
      for (int i = 1; i < INPUTS; i++) with[i] = cr_const(t, dot[i * k + l]);
      assert_int_equal(cr_jvp(NODES, v, INPUTS - 1, v + 1, with + 1, out), CR_OK);
      for (int i = NODES - 1; i >= 0; i--) assert_true(close_to(cr_tangents_of(s, v[i])[l], cr_value(out[i])));
    }
    free(dot);
    assert_int_equal(cr_error(t), CR_OK);
    cr_free(t);
  }
}

static void rows_agree_with_sweeps(void **state) {
  (void)state;
  for (int trial = 0; trial < TRIALS; trial++) {
    cr_tape *t = cr_new();
    cr_var v[NODES], *y = v + NODES - OUTPUTS;
    cr_input(t, 1);
    for (int i = 0; i < INPUTS; i++) v[i] = cr_input(t, cr_randn_at(50 + (uint64_t)trial, (uint64_t)i));
    random_nodes(t, 90 + (uint64_t)trial, NODES, v);
    double rows[(OUTPUTS + 1) * INPUTS];
    cr_var x[INPUTS] = {v[3], v[1], v[4], v[7], v[1]}, outputs[OUTPUTS + 1]; /* an inner node, and one twice */
    memcpy(outputs, y, OUTPUTS * sizeof *y);
    outputs[OUTPUTS] = v[3]; /* an input is an output too */
    assert_int_equal(cr_jacobian_reverse(OUTPUTS + 1, outputs, INPUTS, x, rows), CR_OK);
    for (int i = 0; i <= OUTPUTS; i++) {
      cr_sweep *s = cr_backward(outputs[i]);
      for (int j = 0; j < INPUTS; j++) assert_true(close_to(rows[i * INPUTS + j], cr_adjoint(s, x[j])));
    }
    cr_free(t);
  }
}

/* Each row of the table, at a point of its domain or not: both vector modes have the partials of the scalar sweep. */
static void every_row_of_the_table(void **state) {
  (void)state;
  const double points[][2] = {{0.3, 0.7}, {2, 3}, {-1.5, 0.25}, {0, 0}, {1, (double)INFINITY}, {3, -2}};
  for (size_t k = 0; k < sizeof points / sizeof *points; k++) {
    cr_tape *t = cr_new();
    cr_tangents *s = cr_tangents_new(t, 9);
    cr_var x[2];
    for (int i = 0; i < 2; i++) {
      double unit[9] = {0};
      unit[8 * i] = 1;
      x[i] = cr_input(t, points[k][i]);
      cr_tangents_set(s, x[i], unit);
    }
    for (int r = 0; r < cr__n_rows; r++) {
      const cr_op *op = cr__rows[r];
      if (op->row->result == 'b') continue;
      cr_var y = cr_record(t, op, op->arity, x, NULL);
      double row[2];
      assert_int_equal(cr_jacobian_reverse(1, &y, 2, x, row), CR_OK);
      cr_sweep *sweep = cr_backward(y);
      for (int i = 0; i < 2; i++) {
        double want = cr_adjoint(sweep, x[i]);
        if (!close_to(cr_tangents_of(s, y)[8 * i], want) || !close_to(row[i], want))
          fail_msg("%s at point %zu", op->name, k);
      }
      cr_sweep_release(sweep);
    }
    cr_free(t);
  }
}

/* A zero tangent or cotangent is zero behind an infinite slope. */
static void zero_times_infinity(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  cr_tangents *s = cr_tangents_new(t, 2);
  cr_var x = cr_input(t, 0), z = cr_input(t, 2);
  cr_tangents_set(s, x, (double[]){0, 1});
  cr_tangents_set(s, z, (double[]){1, 0});
  cr_var y = cr_sqrt(x), out[2] = {cr_mul(y, z), cr_mul(cr_const(t, 0), y)};
  assert_true(cr_tangents_of(s, y)[0] == 0 && isinf(cr_tangents_of(s, y)[1]));
  assert_true(cr_tangents_of(s, out[0])[0] == 0);
  double row[2];
  assert_int_equal(cr_jacobian_reverse(2, out, 1, &x, row), CR_OK);
  assert_true(isinf(row[0]) && row[1] == 0);
  cr_free(t);
}

static void tangents_follow_resets_and_folds(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  cr_tangents *s = cr_tangents_new(t, 1);
  cr_var x = cr_input(t, 3);
  cr_tangents_set(s, x, (double[]){1});
  cr_mark mark = cr_mark_here(t);
  for (int i = 1; i < 100; i++) { /* as many nodes each time, of another kind */
    cr_var c = cr_const(t, i), y = i % 2 ? cr_mul(x, c) : cr_add(x, c);
    assert_true(cr_tangents_of(s, y)[0] == (i % 2 ? i : 1));
    cr_reset(t, mark);
  }
  cr_var y[2] = {cr_square(x), cr_sin(x)};
  assert_int_equal(cr_tangents_fold(s, mark, 2, y), CR_OK);
  assert_int_equal(cr_node_count(t), mark.nodes + 2);
  assert_true(cr_is_input(y[0]) && cr_value(y[0]) == 9 && cr_value(y[1]) == sin(3));
  assert_true(cr_tangents_of(s, y[0])[0] == 6 && cr_tangents_of(s, cr_mul(y[0], y[1]))[0] == 6 * sin(3) + 9 * cos(3));
  mark = cr_mark_here(t);
  y[0] = cr_exp(x);
  assert_int_equal(cr_tangents_fold(NULL, mark, 1, y), CR_OK); /* values alone */
  assert_true(cr_value(y[0]) == exp(3) && cr_tangents_of(s, y[0])[0] == 0);
  cr_free(t);
}

static void refuse(cr_tape *t, cr_status status, const char *part) {
  assert_int_equal(cr_error(t), status);
  if (!strstr(cr_error_text(t), part)) fail_msg("'%s' does not say '%s'", cr_error_text(t), part);
  cr_clear_error(t);
}

static void what_is_refused(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  cr_var x = cr_input(t, 1), v = cr_ones(t, CR_FLOAT64, 1, (int64_t[]){3}), y = cr_sin(x), out;
  cr_mark mark = cr_mark_here(t);
  double number[3] = {0};
  assert_null(cr_tangents_new(t, 0));
  refuse(t, CR_BAD_ARGUMENT, "0 tangents");
  assert_null(cr_tangents_new(t, 513));
  refuse(t, CR_BAD_ARGUMENT, "512");
  cr_tangents *s = cr_tangents_new(t, 1);
  assert_null(cr_tangents_of(s, v));
  refuse(t, CR_BAD_SHAPE, "(3,)");
  assert_null(cr_tangents_of(s, cr_poison(t)));
  refuse(t, CR_POISONED, "poison");
  assert_true(cr_tangents_of(s, y)[0] == 0);
  cr_tangents_set(s, x, number);
  refuse(t, CR_BAD_ARGUMENT, "comes before");
  cr_jacobian_reverse(1, &v, 1, &x, number);
  refuse(t, CR_BAD_SHAPE, "output 0");
  cr_jacobian_reverse(1, &y, 1, &v, number);
  refuse(t, CR_BAD_SHAPE, "input 0");
  cr_var after = cr_input(t, 2);
  cr_section_gradient(mark, cr_sin(after), 1, &after, number);
  refuse(t, CR_BAD_ARGUMENT, "before the mark");
  assert_null(cr_routine_new(mark, 1, &after, 1, &x));
  refuse(t, CR_BAD_ARGUMENT, "from before its mark");
  cr_routine *r = cr_routine_new(mark, 1, &after, 1, &after);
  cr_routine_call(r, (cr_var[]){cr_poison(t)}, &out);
  refuse(t, CR_POISONED, "poison");
  assert_true(cr_is_poison(out));
  assert_true(cr_is_poison(cr_preaccumulated(t, 1, 1, (cr_var[]){cr_arange(t, CR_INT64, 0, 3, 1)}, number)));
  refuse(t, CR_NOT_DIFFERENTIABLE, "int64");
  cr_reset(t, mark);
  cr_jacobian_reverse(1, &after, 1, &x, number);
  refuse(t, CR_STALE, "taken back");
  cr_free(t);
}

/* Preaccumulation */

static void a_section_is_swept_alone(void **state) {
  (void)state;
  for (int trial = 0; trial < TRIALS; trial++) {
    cr_tape *t = cr_new();
    cr_var v[NODES], y;
    double have[INPUTS];
    for (int i = 0; i < INPUTS; i++) v[i] = cr_input(t, cr_randn_at(3 + (uint64_t)trial, (uint64_t)i));
    random_nodes(t, (uint64_t)trial, INPUTS + 9, v);
    cr_mark mark = cr_mark_here(t);
    cr_var x[2] = {v[INPUTS + 8], v[INPUTS + 7]};
    y = cr_add(cr_mul(cr_sin(x[0]), x[1]), cr_square(x[0]));
    assert_int_equal(cr_section_gradient(mark, y, 2, x, have), CR_OK);
    double x0 = cr_value(x[0]), x1 = cr_value(x[1]), dx = cos(x0) * x1 + 2 * x0, dy = sin(x0);
    assert_true(close_to(have[0], dx) && close_to(have[1], dy)); /* though one may be a function of the other */
    cr_sweep *s = cr_backward(cr_exp(y));
    for (int i = 0; i < INPUTS; i++) have[i] = cr_adjoint(s, v[i]);
    double value = cr_value(y);
    cr_var plane = cr_preaccumulate(mark, y, 2, x);
    assert_true(cr_value(plane) == value || isnan(value));
    s = cr_backward(cr_exp(plane));
    for (int i = 0; i < INPUTS && isfinite(value); i++) assert_true(close_to(cr_adjoint(s, v[i]), have[i]));
    cr_free(t);
  }
}

static void preaccumulated_nodes(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  double numbers[6] = {1, 2, 3, 4, 5, 6}, partials[8] = {7, 0, 1, 2, 3, 4, 5, (double)INFINITY};
  cr_var x[2] = {cr_input(t, 2), cr_tensor_of(t, CR_FLOAT64, 2, (int64_t[]){2, 3}, numbers)}, g[2], h;
  cr_var y = cr_preaccumulated(t, 10, 2, x, partials);
  assert_true(cr_value(y) == 10);
  assert_int_equal(cr_grad(y, 2, x, g), CR_OK);
  assert_true(cr_value(g[0]) == 7);
  cr_array a = cr_view(g[1]);
  for (int k = 0; k < 6; k++) assert_true(cr_array_get(&a, k) == partials[1 + k]);
  assert_int_equal(cr_grad(g[0], 1, x, &h), CR_OK);
  assert_true(cr_value(h) == 0); /* of the plane */
  cr_set_value(x[0], 3);
  numbers[5] = 8;
  cr_set_data(x[1], numbers);
  cr_replay(t);
  assert_true(cr_value(y) == 10 + 7 + 2 * 5); /* a replay moves on the plane */
  y = cr_preaccumulated(t, 4, 1, x, partials + 7);
  assert_true(cr_value(y) == 4 && isinf(cr_adjoint(cr_backward(y), x[0])));
  /* A section with tensors. */
  cr_mark mark = cr_mark_here(t);
  double want[6];
  y = cr_sum_all(cr_mul(cr_square(x[1]), x[0]));
  cr_adjoint_read(cr_backward(y), x[1], want, 6);
  cr_var plane = cr_preaccumulate(mark, y, 2, x);
  double have[6];
  cr_sweep *s = cr_backward(plane);
  cr_adjoint_read(s, x[1], have, 6);
  assert_memory_equal(have, want, sizeof want);
  assert_true(cr_value(plane) == 3 * (1 + 4 + 9 + 16 + 25 + 64) && cr_adjoint(s, x[0]) == 119);
  mark = cr_mark_here(t);
  y = cr_preaccumulate(mark, cr_exp(x[0]), 0, NULL); /* of nothing: a constant */
  assert_true(cr_is_const(y) && cr_value(y) == exp(3));
  assert_int_equal(cr_error(t), CR_OK);
  cr_free(t);
}

/* Routines */

static cr_var formula(cr_var x, cr_var y, cr_var outside) {
  cr_tape *t = x.tape;
  cr_var wave = cr_mul(cr_sin(cr_mul(x, y)), cr_const(t, 3));
  return cr_add(wave, cr_div(cr_mul(x, outside), cr_add(cr_const(t, 4), cr_square(y))));
}

static void routines_record_again(void **state) {
  (void)state;
  for (int slow = 0; slow < 2; slow++) {
    cr_tape *t = cr_new();
    cr_set(t, CR_FIND_NONFINITE, slow);
    cr_var outside = cr_input(t, 0.5), constant = cr_const(t, 2);
    cr_mark mark = cr_mark_here(t);
    cr_var x[2] = {cr_input(t, 1), cr_input(t, 2)}, y[4], g[2], out[4];
    y[0] = formula(x[0], x[1], outside);
    cr_grad(y[0], 2, x, g);
    y[1] = g[1], y[2] = x[0], y[3] = constant;
    cr_routine *r = cr_routine_new(mark, 4, y, 2, x);
    uint32_t least = 0;
    for (int k = 0; k < 5; k++) {
      uint32_t before = cr_node_count(t);
      cr_var with[2] = {cr_input(t, 0.3 * k), k ? out[0] : constant}, again[2];
      assert_int_equal(cr_routine_call(r, with, out), CR_OK);
      least = cr_node_count(t) - before;
      cr_var want = formula(with[0], with[1], outside);
      cr_grad(want, 2, with, again);
      assert_true(cr_value(out[0]) == cr_value(want) && cr_value(out[1]) == cr_value(again[1]));
      assert_true(out[2].id == with[0].id && out[3].id == constant.id);
      cr_sweep *s = cr_backward(out[0]), *plain = cr_backward(want);
      assert_true(cr_adjoint(s, outside) == cr_adjoint(plain, outside));
      assert_true(cr_adjoint(s, with[0]) == cr_adjoint(plain, with[0]));
    }
    assert_true(least < 40); /* only what is needed */
    cr_free(t);
  }
}

static void routines_of_tensors(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  cr_mark mark = cr_mark_here(t);
  double numbers[4] = {1, 2, 3, 4}, others[4] = {5, 1, 2, 7}, have[4], want[4];
  cr_var x = cr_tensor_of(t, CR_FLOAT64, 2, (int64_t[]){2, 2}, numbers), scalar = cr_input(t, 2), part = cr_select(x, 0, 1);
  cr_var parts[3] = {part, cr_mul(part, scalar), cr_sum(x, 1, (int[]){0}, 0)};
  cr_var y[2] = {cr_concatenate(3, parts, 0), cr_det(cr_matmul(x, x))}, out[2];
  cr_routine *r = cr_routine_new(mark, 2, y, 2, (cr_var[]){x, scalar});
  cr_var z = cr_tensor_of(t, CR_FLOAT64, 2, (int64_t[]){2, 2}, others);
  assert_int_equal(cr_routine_call(r, (cr_var[]){z, cr_exp(cr_input(t, 0))}, out), CR_OK);
  cr_array a = cr_view(out[0]);
  const double expected[6] = {2, 7, 2, 7, 7, 8};
  for (int k = 0; k < 6; k++) assert_true(cr_array_get(&a, k) == expected[k]);
  cr_adjoint_read(cr_backward(out[1]), z, have, 4);
  cr_adjoint_read(cr_backward(cr_det(cr_matmul(z, z))), z, want, 4);
  assert_memory_equal(have, want, sizeof want);
  /* An inline scalar may be replaced by a record. */
  cr_var wide = cr_sum_all(z);
  assert_int_equal(cr_routine_call(r, (cr_var[]){z, wide}, out), CR_OK);
  a = cr_view(out[0]);
  assert_true(cr_array_get(&a, 3) == 7 * 15);
  cr_free(t);
}

/* Each allocation made to fail in turn. */

static cr_status everything(cr_tape *t, double *value) {
  cr_tangents *s = cr_tangents_new(t, 20);
  double unit[20] = {1}, row[4];
  cr_var x = cr_input(t, 0.5), y = x;
  if (!s || cr_tangents_set(s, x, unit) != CR_OK) return cr_error(t);
  for (int k = 0; k < 3000; k++) y = cr_sin(cr_add(y, x));
  const double *d = cr_tangents_of(s, y);
  if (!d || cr_jacobian_reverse(1, &y, 1, &x, row) != CR_OK) return cr_error(t);
  *value = *d + row[0];
  cr_mark mark = cr_mark_here(t);
  cr_var in = cr_input(t, 1), out = cr_mul(cr_sin(in), cr_sum_all(cr_full(t, CR_FLOAT64, 1, (int64_t[]){30}, 2)));
  cr_routine *r = cr_routine_new(mark, 1, &out, 1, &in);
  if (!r || cr_routine_call(r, &y, &out) != CR_OK) return cr_error(t);
  out = cr_preaccumulate(mark, out, 1, &y);
  cr_sweep *sweep = cr_backward(out);
  if (sweep) *value += cr_adjoint(sweep, x);
  mark = cr_mark_here(t);
  cr_var many[9];
  for (int k = 0; k < 9; k++) many[k] = cr_mul(x, cr_const(t, k));
  if (cr_tangents_fold(s, mark, 9, many) == CR_OK) *value += cr_tangents_of(s, many[8])[0];
  return cr_error(t);
}

static void each_allocation_in_turn(void **state) {
  (void)state;
  meter m = {0};
  cr_allocator allocator = {meter_reallocate, &m};
  cr_tape *t = cr_new_with(cr_standard_ops(), &allocator);
  double want = 0;
  assert_int_equal(everything(t, &want), CR_OK);
  assert_true(isfinite(want));
  cr_free(t);
  assert_int_equal(m.live, 0);
  long total = m.calls;
  for (long n = 1; n <= total; n++) {
    double got = want;
    m = (meter){.fail_at = n};
    t = cr_new_with(cr_standard_ops(), &allocator);
    cr_status status = t ? everything(t, &got) : CR_NO_MEMORY;
    assert_true(status == CR_NO_MEMORY || (status == CR_OK && got == want));
    if (t) {
      cr_clear_error(t);
      cr_reset(t, (cr_mark){.nodes = 1});
      m.fail_at = 0;
      assert_int_equal(everything(t, &got), CR_OK);
      assert_true(got == want);
    }
    cr_free(t);
    assert_int_equal(m.live, 0);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(tangents_agree_with_jvp), cmocka_unit_test(rows_agree_with_sweeps),
    cmocka_unit_test(every_row_of_the_table), cmocka_unit_test(zero_times_infinity),
    cmocka_unit_test(tangents_follow_resets_and_folds), cmocka_unit_test(what_is_refused),
    cmocka_unit_test(a_section_is_swept_alone), cmocka_unit_test(preaccumulated_nodes),
    cmocka_unit_test(routines_record_again), cmocka_unit_test(routines_of_tensors),
    cmocka_unit_test(each_allocation_in_turn)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
