/* Convolution, pooling, attention, recurrent layers and the fused cross-entropy: against plain loops and compositions at
 * sizes where kernels work in blocks, and at their edges: nothing in the batch, views, wrong shapes, and what errors say. */
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <cmocka.h>

#include "chance.h"
#include "formula.h"
#include "ops.h"

/* The sum of x y over all elements. */
static double along(cr_var x, cr_var y) {
  cr_array a = cr_view(x), b = cr_view(y);
  double sum = 0;
  for (int64_t k = 0; k < a.count; k++) sum += cr_array_get(&a, k) * cr_array_get(&b, k);
  return sum;
}

static void close_to(cr_var x, cr_var y, double tolerance, const char *what) {
  cr_array a = cr_view(x), b = cr_view(y);
  double most = 1;
  assert_int_equal(a.count, b.count);
  for (int64_t k = 0; k < b.count; k++) most = fmax(most, fabs(cr_array_get(&b, k)));
  for (int64_t k = 0; k < a.count; k++) {
    double error = fabs(cr_array_get(&a, k) - cr_array_get(&b, k));
    if (!(error <= tolerance * most)) fail_msg("%s: element %d is off by %g of %g", what, (int)k, error, most);
  }
}

/* One element of the definition in conv.c, in two axes. */
static double element(const cr_array *x, const cr_array *w, const cr_conv *c, const int64_t *at) {
  int64_t in = w->dim[1], group = at[1] / (w->dim[0] / c->groups);
  double sum = 0;
  for (int64_t k = 0; k < in * w->dim[2] * w->dim[3]; k++) {
    int64_t channel = k / (w->dim[2] * w->dim[3]), u[2] = {k / w->dim[3] % w->dim[2], k % w->dim[3]}, v[2];
    int inside = 1;
    for (int i = 0; i < 2; i++) {
      int64_t place = at[i + 2] * c->stride[i] + u[i] * c->dilation[i] - c->pad_lo[i];
      v[i] = place / c->input_dilation[i];
      inside = inside && place >= 0 && place % c->input_dilation[i] == 0 && v[i] < x->dim[i + 2];
    }
    int64_t from = ((at[0] * x->dim[1] + group * in + channel) * x->dim[2] + v[0]) * x->dim[3] + v[1];
    if (inside) sum += cr_array_get(x, from) * cr_array_get(w, at[1] * in * w->dim[2] * w->dim[3] + k);
  }
  return sum;
}

static void check_convolution(cr_dtype dtype, int64_t batch, int64_t in, int64_t out, const int64_t *size,
                              const int64_t *kernel, const cr_conv *c) {
  cr_tape *t = cr_new();
  double tolerance = dtype == CR_FLOAT64 ? 1e-12 : 3e-5;
  cr_var x = numbers(t, dtype, 4, (int64_t[]){batch, in * c->groups, size[0], size[1]});
  cr_var w = numbers(t, dtype, 4, (int64_t[]){out * c->groups, in, kernel[0], kernel[1]});
  cr_var y = cr_convolve(x, w, c);
  if (cr_error(t) == CR_BAD_SHAPE) { /* the kernel did not fit */
    cr_free(t);
    return;
  }
  assert_int_equal(cr_error(t), CR_OK);
  cr_array a = cr_view(x), b = cr_view(w), z = cr_view(y);
  for (int64_t tries = 0; tries < 200; tries++) {
    int64_t k = between(0, z.count - 1), at[4], rest = k;
    for (int i = 3; i >= 0; rest /= z.dim[i], i--) at[i] = rest % z.dim[i];
    double want = element(&a, &b, c, at), got = cr_array_get(&z, k);
    if (!(fabs(want - got) <= tolerance * (10 + fabs(want)))) fail_msg("element %d is %.17g, not %.17g", (int)k, got, want);
  }
  /* Linear in each operand: the cotangents meet the operands in the same number as the result meets its own. */
  cr_var g = cr_randn(t, dtype, 4, z.dim, 99);
  cr_sweep *s = cr_backward_from(y, g);
  assert_non_null(s);
  double whole = along(y, g), room = tolerance * (100 + sqrt((double)z.count) * (double)b.count);
  double by_x = along(cr_adjoint_var(s, x), x), by_w = along(cr_adjoint_var(s, w), w);
  if (!(fabs(by_x - whole) <= room && fabs(by_w - whole) <= room))
    fail_msg("%g by the input, %g by the weight, not %g", by_x, by_w, whole);
  /* Each by another way: a small change moves the sum by cotangent times change, exactly, as the op is linear. */
  cr_var dx = cr_randn(t, dtype, 4, a.dim, 7), dw = cr_randn(t, dtype, 4, b.dim, 8);
  double moved_x = along(cr_convolve(dx, w, c), g), moved_w = along(cr_convolve(x, dw, c), g);
  assert_true(fabs(moved_x - along(cr_adjoint_var(s, x), dx)) <= room);
  assert_true(fabs(moved_w - along(cr_adjoint_var(s, w), dw)) <= room);
  cr_free(t);
}

static void random_convolutions(void **state) {
  (void)state;
  for (int k = 0; k < 300; k++) {
    cr_conv c = {.groups = between(1, 3)};
    int64_t size[2], kernel[2];
    for (int i = 0; i < 2; i++) {
      size[i] = between(1, 14), kernel[i] = between(1, k % 4 ? 4 : 12);
      c.stride[i] = between(1, 3), c.dilation[i] = between(1, 2), c.input_dilation[i] = between(1, k % 3 ? 1 : 3);
      c.pad_lo[i] = between(-1, 3), c.pad_hi[i] = between(-1, 3);
    }
    check_convolution(k % 2 ? CR_FLOAT32 : CR_FLOAT64, between(1, 5), between(1, 4), between(1, 4), size, kernel, &c);
  }
}

/* Sizes beyond one block of patches, in every direction. */
static void large_convolutions(void **state) {
  (void)state;
  static const struct {
    int64_t batch, in, out, size[2], kernel[2], stride, pad, spread;
  } cases[] = {{1, 40, 3, {33, 70}, {3, 3}, 1, 1, 1}, {2, 3, 20, {60, 61}, {5, 5}, 1, 0, 1},
               {9, 70, 33, {4, 4}, {4, 4}, 1, 0, 1},  {2, 4, 3, {1, 3000}, {1, 5}, 2, 0, 1},
               {1, 2, 40, {30, 31}, {3, 3}, 1, 2, 2}, {70, 5, 3, {6, 6}, {3, 3}, 3, 0, 1},
               {1, 2, 2, {64, 64}, {40, 41}, 1, 0, 1}};
  for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
    cr_conv c = {.groups = 1};
    for (int i = 0; i < 2; i++) {
      c.stride[i] = cases[k].stride, c.dilation[i] = 1, c.input_dilation[i] = cases[k].spread;
      c.pad_lo[i] = c.pad_hi[i] = cases[k].pad;
    }
    if (cases[k].size[0] == 1) c.pad_lo[0] = c.pad_hi[0] = 0;
    for (int d = CR_FLOAT32; d <= CR_FLOAT64; d++)
      check_convolution((cr_dtype)d, cases[k].batch, cases[k].in, cases[k].out, cases[k].size, cases[k].kernel, &c);
  }
}

static void attention_in_blocks(void **state) {
  (void)state;
  for (int k = 0; k < 8; k++) {
    cr_tape *t = cr_new();
    cr_dtype dtype = k % 2 ? CR_FLOAT32 : CR_FLOAT64;
    int causal = k / 2 % 2;
    int64_t queries = 150, keys = k < 4 ? 150 : 77;
    double tolerance = k % 2 ? 2e-6 : 1e-13;
    cr_var q = numbers(t, dtype, 4, (int64_t[]){2, queries, 3, 8}), key = numbers(t, dtype, 3, (int64_t[]){3, keys, 8});
    cr_var v = numbers(t, dtype, 4, (int64_t[]){2, 3, keys, 5}), x = cr_transpose(q, 1, 2);
    cr_var none = cr_full(t, dtype, 2, (int64_t[]){queries, keys}, 0), in[3] = {q, key, v}, want[3];
    cr_var fused = cr_attend(x, key, v, cr_poison(t), 0.7, causal), plain = cr_attend(x, key, v, none, 0.7, causal);
    close_to(fused, plain, tolerance, "attention");
    cr_array shape = cr_view(plain);
    cr_var g = cr_randn(t, dtype, 4, shape.dim, 5);
    assert_int_equal(cr_vjp(plain, g, 3, in, want), CR_OK);
    cr_sweep *s = cr_backward_from(fused, g);
    for (int j = 0; j < 3; j++) close_to(cr_adjoint_var(s, in[j]), want[j], 4 * tolerance, "cotangent of attention");
    cr_free(t);
  }
}

/* The last state of a layer of each kind, by its op or step by step; the states, and the cells of an LSTM, at all steps. */
static cr_var sequence(int kind, int fused, const cr_var *in) {
  cr_var z = in[0], weight = in[1], bias = in[2], h = in[3], c = in[4], step[12];
  int time = (int)cr_dim(z, 0);
  if (fused && kind == 0) return cr_rnn_sequence(z, weight, bias, h);
  if (fused && kind == 1) return cr_gru_sequence(z, weight, bias, h);
  if (fused) {
    h = cr_lstm_sequence(z, weight, bias, h, c, &c);
    return cr_concatenate(2, (cr_var[]){h, c}, 0);
  }
  for (int k = 0; k < time; k++) {
    cr_var x = cr_select(z, 0, k), u = cr_add(cr_matmul(h, weight), bias);
    if (kind == 0) h = cr_tanh(cr_add(x, u));
    if (kind == 1) h = cr_gru_gates(x, u, h);
    if (kind == 2) h = cr_lstm_gates(cr_add(x, u), c, &c), step[time + k] = c;
    step[k] = h;
  }
  return cr_stack(kind == 2 ? 2 * time : time, step, 0);
}

static void sequences_step_by_step(void **state) {
  (void)state;
  for (int k = 0; k < 6; k++) {
    cr_tape *t = cr_new();
    cr_dtype dtype = k % 2 ? CR_FLOAT32 : CR_FLOAT64;
    int kind = k / 2, n = kind == 2 ? 5 : 4;
    int64_t gates = (int64_t[]){1, 3, 4}[kind], time = 6, batch = 37, units = 19, wide = gates * units;
    double tolerance = k % 2 ? 4e-6 : 1e-13;
    cr_var z = numbers(t, dtype, 3, (int64_t[]){batch, time, wide}), w = numbers(t, dtype, 2, (int64_t[]){wide, units});
    cr_var in[5] = {z, w, numbers(t, dtype, 1, &wide), numbers(t, dtype, 2, (int64_t[]){batch, units}),
                    numbers(t, dtype, 2, (int64_t[]){batch, units})};
    cr_var views[5] = {cr_transpose(z, 0, 1), cr_mul(cr_const(t, 0.3), cr_transpose(w, 0, 1)), in[2], in[3], in[4]}, want[5];
    cr_var fused = sequence(kind, 1, views), plain = sequence(kind, 0, views);
    close_to(fused, plain, tolerance, "states");
    cr_array shape = cr_view(plain);
    cr_var g = cr_randn(t, dtype, 3, shape.dim, 5);
    assert_int_equal(cr_vjp(plain, g, n, in, want), CR_OK);
    cr_sweep *s = cr_backward_from(fused, g);
    for (int j = 0; j < n; j++) close_to(cr_adjoint_var(s, in[j]), want[j], 20 * tolerance, "cotangent of a layer");
    cr_free(t);
  }
}

/* Rows beside each other and in lanes: those with largest numbers alike, with infinite ones, and with NaN. */
static void rows_of_classes(void **state) {
  (void)state;
  for (int64_t n = 3, rows = 34; n < 200; n += 64) {
    cr_tape *t = cr_new();
    cr_var x = cr_tensor_of(t, CR_FLOAT64, 2, (int64_t[]){rows, n}, NULL);
    cr_var target = cr_constant_of(t, CR_INT64, 1, &rows, NULL);
    double *row = cr_view(x).data;
    const double first[4] = {2, (double)INFINITY, -(double)INFINITY, (double)NAN};
    for (int64_t r = 0; r < rows; r++, row += n) {
      for (int64_t i = 0; i < n; i++) row[i] = r % 4 == 2 ? first[2] : -(double)i;
      row[0] = row[1] = first[r % 4];
    }
    cr_var loss = cr_cross_entropy(x, target, cr_poison(t), -100, 0, CR_REDUCE_SUM), g;
    assert_int_equal(cr_grad(loss, 1, &x, &g), CR_OK);
    row = cr_view(g).data;
    for (int64_t r = 0; r < rows; r++, row += n)
      for (int64_t i = 0; i < n; i++)
        if (r % 4) assert_true(isnan(row[i]));
        else assert_true(fabs(row[i] - (i < 2 ? (double)i - 0.5 : 0)) < 0.01 && row[i] != 0);
    cr_free(t);
  }
}

static void many_classes(void **state) {
  (void)state;
  for (int k = 0; k < 8; k++) {
    cr_tape *t = cr_new();
    cr_dtype dtype = k % 2 ? CR_FLOAT32 : CR_FLOAT64;
    int64_t rows = 45, n = (int64_t[]){3, 64, 65, 1111}[k / 2];
    double tolerance = k % 2 ? 1e-6 : 1e-14;
    cr_var x = numbers(t, dtype, 2, (int64_t[]){rows, n}), target = cr_constant_of(t, CR_INT64, 1, &rows, NULL);
    cr_var none = cr_poison(t), want;
    for (int64_t r = 0; r < rows; r++) ((int64_t *)cr_view(target).data)[r] = r % 7 ? between(0, n - 1) : -100;
    cr_var fused = cr_cross_entropy(x, target, none, -100, 0, CR_REDUCE_MEAN);
    cr_var plain = cr_nll_loss(cr_log_softmax(x, 1), target, none, -100, CR_REDUCE_MEAN);
    close_to(fused, plain, tolerance, "cross-entropy");
    assert_int_equal(cr_grad(plain, 1, &x, &want), CR_OK);
    cr_sweep *s = cr_backward(fused);
    close_to(cr_mul(cr_const(t, 1e2), cr_adjoint_var(s, x)), cr_mul(cr_const(t, 1e2), want), tolerance, "its cotangent");
    cr_free(t);
  }
}

/* The expression is true: all of it, and free of errors. */
static void holds(const char *source) {
  cr_tape *t = cr_new();
  cr_results r = {0};
  cr_syntax_error error;
  cr_program_run(cr_program_new(t, CR_FLOAT64), source, strlen(source), &r, &error);
  if (cr_error(t) != CR_OK || r.n != 1) fail_msg("%s: %s", source, cr_error_text(t));
  cr_array a = cr_view(r.value[0]);
  for (int64_t k = 0; k < a.count; k++)
    if (cr_array_get(&a, k) == 0) fail_msg("%s: element %d does not hold", source, (int)k);
  cr_free(t);
}

static void fails(const char *source, const char *text) {
  cr_tape *t = cr_new();
  cr_results r = {0};
  cr_syntax_error error;
  cr_program_run(cr_program_new(t, CR_FLOAT64), source, strlen(source), &r, &error);
  if (cr_error(t) == CR_OK) fail_msg("%s does not fail", source);
  if (!strstr(cr_error_text(t), text)) fail_msg("%s fails with: %s", source, cr_error_text(t));
  cr_free(t);
}

static void edges(void **state) {
  (void)state;
  holds("sum(conv2d(randn([0,2,5,5]), randn([3,2,2,2]))) == 0");
  holds("all(conv1d(zeros(2,0,4), zeros(3,0,2)) == 0)");
  holds("x = randn([2,3,6,5], 1); w = randn([2,3,2,2], 2);"
        "all(abs(conv2d(permute(permute(x, [0,2,3,1]), [0,3,1,2]), w) - conv2d(x, w)) == 0)");
  holds("x = randn([1,3,6,5], 1); w = randn([2,3,2,2], 2);"
        "all(abs(conv2d(broadcast_to(x, [4,3,6,5]), w) - broadcast_to(conv2d(x, w), [4,2,5,4])) < 1e-14)");
  holds("x = randn([2,3,8], 1); w = randn([4,3,3], 2); all(abs(conv1d(x, flip(flip(w, [2]), [2])) - conv1d(x, w)) == 0)");
  holds(
      "(y, i) = max_pool1d([[[nan, 1, -inf, -inf]]], 2, return_indices=True); (isnan(y) == [[[1, 0]]]) * (i == [[[0, 2]]])");
  holds("(y, i) = max_pool1d([[[-inf, -inf, 3, 3]]], 2, return_indices=True); all(i == [[[0, 2]]])");
  holds("(y, i) = max_pool2d([[[1, nan, 2], [3, 1, 0]]], 2, stride=1, return_indices=True); all(i == [[[1, 1]]])");
  holds("all(max_pool2d(zeros(0,2,4,4), 2) == 0)");
  holds("all(avg_pool1d([[[1, 2, 3, 4, 5]]], 2, ceil_mode=True) == [[[1.5, 3.5, 5]]])");
  holds("all(scaled_dot_product_attention(zeros(2,1), zeros(0,1), zeros(0,3)) == zeros(2,3))");
  holds("all(scaled_dot_product_attention([[1.]], [[1.], [2.]], [[1.], [2.]], [[1, 0]] > 2) == 0)");
  holds("y = scaled_dot_product_attention([[1.], [1]], [[1.], [nan]], [[3.], [2]], is_causal=True); y[0, 0] == 3 and "
        "isnan(y[1, 0])");
  holds("y = scaled_dot_product_attention([[1.], [1]], [[1.], [inf]], [[3.], [2]], is_causal=True, scale=-1.); all(y == 3)");
  holds("(h, c) = lstm_cell(zeros(0,3), zeros(0,2), zeros(0,2), zeros(8,3), zeros(8,2)); sum(h) == 0");
  holds("(h, c) = lstm_gates([1000, 1000, -1000, -1000.], [3.]); all(c == [2]) and all(h == [0])");
  holds("all(rnn_sequence(zeros(0,3,2), zeros(2,2), ones(3,2)) == zeros(0,3,2))");
  holds("(h, c) = lstm_sequence(zeros(4,0,8), zeros(2,8), zeros(0,2), zeros(0,2)); sum(h) + sum(c) == 0");
  holds("abs(cross_entropy([[40., 0, -inf]], [0]) / exp(-40) - 1) < 1e-14");
  holds("isnan(cross_entropy([[nan, 0.]], [1])) and isnan(cross_entropy([[inf, 0.]], [1]))");
  holds("cross_entropy([[0., -inf]], [1]) == inf and cross_entropy([[-1000., -1000]], [1]) == log(2.)");
  holds("x = randn([2,3,4], 5); all(abs(sum(rope(x, 10)^2, -1) - sum(x^2, -1)) < 1e-14)");
  holds("all(interpolate([[[1., 2]]], 4, mode='linear') == [[[1, 1.25, 1.75, 2]]])");
}

static void errors(void **state) {
  (void)state;
  fails("conv2d(zeros(1,2,3,3), zeros(1,2,4,2))", "4 positions is larger than axis 2, 3");
  fails("conv1d(zeros(1,2,5), zeros(1,2,3), dilation=3)", "7 positions is larger than axis 2, 5");
  fails("conv2d(zeros(1,4,3,3), zeros(2,2,2,2), groups=4)", "with 4 groups the input needs 8 channels");
  fails("conv2d(zeros(1,4,3,3), zeros(3,2,2,2), groups=2)", "the 3 of the result must divide");
  fails("conv2d(zeros(1,2,3,3), zeros(1,3,2,2))", "the input needs 3 channels");
  fails("conv1d(zeros(1,1,3), zeros(1,1,2), stride=0)", "stride: 0 is below 1");
  fails("conv1d(zeros(1,1,3), zeros(1,1,2), padding=-1)", "padding: -1 is below 0");
  fails("conv1d(zeros(1,1,3), zeros(1,1,2), groups=0)", "groups: 0 is below 1");
  fails("conv2d(zeros(1,1,3,3), zeros(1,1,2,2), stride=[1,1,1])", "stride: 3 numbers for 2 axes");
  fails("conv1d(zeros(1,1,3), zeros(1,1,2), stride=2, padding='same')", "'same' needs stride 1");
  fails("conv1d(zeros(1,1,3), zeros(1,1,2), padding='full')", "neither 'valid' nor 'same'");
  fails("conv1d(zeros(1,1,3), zeros(1,1,2), [1, 2])", "a bias of 2 numbers");
  fails("conv1d(zeros(3), zeros(1,1,2))", "the input has 1 axes");
  fails("conv2d(zeros(1,1,3,3), zeros(1,1,2))", "the weight has 3 axes");
  fails("conv1d(cast(zeros(1,1,3), int64), zeros(1,1,2))", "not int64");
  fails("conv_transpose1d(zeros(1,1,3), zeros(1,1,2), stride=2, output_padding=2)", "output_padding 2");
  fails("conv_transpose1d(zeros(1,2,3), zeros(3,1,2))", "a weight for 3 channels");
  fails("max_pool1d(zeros(1,1,3), 4)", "4 positions is larger than spatial axis 0, 3");
  fails("max_pool1d(zeros(1,1,5), 3, padding=2)", "padding 2 from 0 to half");
  fails("max_pool1d(zeros(1,1,1), 2, padding=1, dilation=2)", "no element of the input");
  fails("max_pool2d(cast(zeros(1,1,3,3), int64), 2)", "not int64");
  fails("avg_pool1d(zeros(1,1,3), 2, divisor_override=0)", "divisor_override");
  fails("adaptive_avg_pool1d(zeros(1,1,3), 0)", "output_size: 0");
  fails("interpolate(zeros(1,1,3))", "either size or scale_factor");
  fails("interpolate(zeros(1,1,3), 5, mode='bilinear')", "mode 'bilinear' for 1 spatial axes");
  fails("scaled_dot_product_attention(zeros(2,3), zeros(4,2), zeros(4,2))", "query and key need one width");
  fails("scaled_dot_product_attention(zeros(3), zeros(4,3), zeros(4,2))", "rank 2 or more");
  fails("lstm_gates(zeros(2,7), zeros(2,2))", "(..., 4 n)");
  fails("gru_gates(zeros(2,6), zeros(2,5), zeros(2,2))", "(..., 3 n)");
  fails("lstm_sequence(zeros(3,2,8), zeros(2,8), zeros(2,3), zeros(2,3))", "h (2, 3): (T, N, 4 n)");
  fails("gru_sequence(zeros(3,2,6), zeros(2,6), zeros(2,2), zeros(5))", "bias (5,)");
  fails("rope(zeros(2,3))", "even width");
}

static void sizes_of_c(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  cr_var x = numbers(t, CR_FLOAT64, 3, (int64_t[]){1, 1, 4}), w = numbers(t, CR_FLOAT64, 3, (int64_t[]){1, 1, 2});
  assert_int_equal(cr_dim(cr_convolve(x, w, NULL), 2), 3);
  assert_int_equal(cr_dim(cr_convolve(x, w, &(cr_conv){.stride = {2}}), 2), 2);
  assert_int_equal(cr_dim(cr_convolve(x, w, &(cr_conv){.pad_lo = {-1}, .pad_hi = {-1}}), 2), 1);
  assert_int_equal(cr_error(t), CR_OK);
  assert_true(cr_is_poison(cr_convolve(x, w, &(cr_conv){.stride = {-1}})));
  cr_clear_error(t);
  assert_true(cr_is_poison(cr_convolve(x, w, &(cr_conv){.pad_lo = {INT64_MAX}})));
  cr_clear_error(t);
  assert_true(cr_is_poison(cr_max_pool(x, &(cr_pool){.stride = {1}}, NULL)));
  cr_clear_error(t);
  assert_int_equal(cr_dim(cr_max_pool(x, &(cr_pool){.kernel = {2}}, NULL), 2), 2);
  cr_free(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(random_convolutions),
                                     cmocka_unit_test(large_convolutions),
                                     cmocka_unit_test(attention_in_blocks),
                                     cmocka_unit_test(sequences_step_by_step),
                                     cmocka_unit_test(many_classes),
    cmocka_unit_test(rows_of_classes),
                                     cmocka_unit_test(edges),
                                     cmocka_unit_test(errors),
                                     cmocka_unit_test(sizes_of_c)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
