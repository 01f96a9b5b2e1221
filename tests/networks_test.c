/* Models: parameters, initialisers, randomness, reports, saving, errors, passes. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <ops.h>

#include "networks/networks.h"

static double at(const cr_array *a, int64_t k) { return cr_array_get(a, k); }

static void assert_fine(const cr_tape *t, const char *what) {
  if (cr_error(t) != CR_OK) fail_msg("%s: %s", what, cr_error_text(t));
}

/* Parameters */

static cr_model *start(cr_tape *t, cr_dtype dtype, uint64_t seed) {
  cr_model *m = cr_model_new(t, dtype, seed);
  assert_non_null(m);
  cr_model_begin(m, 1);
  return m;
}

static cr_var numbers(cr_tape *t, cr_dtype dtype, int64_t rows, int64_t columns) {
  return cr_randn(t, dtype, 2, (int64_t[]){rows, columns}, 11);
}

static void parameters_have_names_and_shapes(void **state) {
  static const struct {
    const char *name;
    int64_t count;
    int decays, trainable;
  } want[] = {{"dense1.weight", 4 * 8, 1, 1},
              {"dense1.bias", 8, 0, 1},
              {"batch_normalize1.gain", 8, 0, 1},
              {"batch_normalize1.bias", 8, 0, 1},
              {"batch_normalize1.mean", 8, 0, 0},
              {"batch_normalize1.variance", 8, 0, 0},
              {"residual1.dense1.weight", 64, 1, 1},
              {"residual1.dense1.bias", 8, 0, 1},
              {"head.weight", 8 * 3, 1, 1},
              {"head.bias", 3, 0, 1},
              {"dense2.weight", 9, 1, 1}};
  cr_tape *t = cr_new();
  cr_model *m = start(t, CR_FLOAT32, 1);
  (void)state;
  for (int pass = 0; pass < 3; pass++) {
    const char *source =
      "h = batch_normalize(dense(x, 8)); h = residual(h, 'dense(8), relu'); dense(dense(h, 3, name='head'), 3, bias=False)";
    cr_model_begin(m, pass < 2);
    assert_int_equal(cr_dim(cr_network(m, numbers(t, CR_FLOAT32, 5, 4), source), 1), 3);
    assert_fine(t, source);
  }
  assert_int_equal(cr_model_count(m), sizeof want / sizeof *want);
  int64_t size = 0;
  for (int k = 0; k < cr_model_count(m); k++) {
    const cr_parameter *p = cr_model_parameter(m, k);
    assert_string_equal(p->name, want[k].name);
    assert_int_equal(p->value.count, want[k].count);
    assert_int_equal(p->decays, want[k].decays);
    assert_int_equal(p->trainable, want[k].trainable);
    assert_int_equal((uintptr_t)p->value.data % 64, 0);
    assert_ptr_equal(cr_model_find(m, p->name), p);
    cr_var bound = cr_model_leaf(m, k);
    assert_string_equal(cr_name_of(bound), p->name);
    if (p->trainable) assert_ptr_equal(cr_view(bound).data, p->value.data);
    if (p->trainable) size += p->value.count;
  }
  assert_int_equal(cr_model_size(m), size);
  assert_null(cr_model_parameter(m, cr_model_count(m)));
  assert_null(cr_model_find(m, "dense9.weight"));
  assert_true(cr_is_poison(cr_model_leaf(m, -1)));
  cr_model_free(m);
  cr_free(t);
}

static void a_layer_named_twice_is_shared(void **state) {
  cr_tape *t = cr_new();
  cr_model *m = start(t, CR_FLOAT64, 1);
  (void)state;
  cr_var y = cr_network(m, numbers(t, CR_FLOAT64, 2, 3), "dense(tanh(dense(x, 3, name='both')), 3, name='both')");
  assert_int_equal(cr_model_count(m), 2);
  assert_int_equal(cr_model_backward(m, cr_sum_all(y)), CR_OK);
  assert_non_null(cr_model_parameter(m, 0)->gradient.data);
  cr_model_free(m);
  cr_free(t);
}

static void gradients_share_no_memory(void **state) {
  static const int64_t dims[2] = {3, 2};
  cr_tape *t = cr_new();
  cr_model *m = start(t, CR_FLOAT32, 1);
  (void)state;
  cr_var a = cr_model_weight(m, "a", 2, dims, NULL), b = cr_model_weight(m, "b", 2, dims, NULL);
  assert_int_equal(cr_model_backward(m, cr_sum_all(cr_square(cr_add(a, b)))), CR_OK);
  cr_array *ga = &cr_model_parameter(m, 0)->gradient, *gb = &cr_model_parameter(m, 1)->gradient;
  double before = at(gb, 0);
  cr_array_set(ga, 0, 7);
  assert_true(before != 7 && at(gb, 0) == before);
  cr_model_free(m);
  cr_free(t);
}

static void moments(const cr_array *a, double *mean, double *deviation, double *largest) {
  double sum = 0, square = 0;
  *largest = 0;
  for (int64_t k = 0; k < a->count; k++) {
    sum += at(a, k);
    square += at(a, k) * at(a, k);
    *largest = fmax(*largest, fabs(at(a, k)));
  }
  *mean = sum / (double)a->count;
  *deviation = sqrt(square / (double)a->count - *mean * *mean);
}

/* A matrix of 300 by 200 and a kernel of 20 by 30 by 5 by 5, whose fans are 750 and 500. */
static void all_parameters_decay_where_asked(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  cr_model *m = start(t, CR_FLOAT64, 1);
  cr_model_decay_all(m, 1);
  double numbers[4] = {1, 2, 3, 4};
  cr_var x = cr_constant_of(t, CR_FLOAT64, 2, (const int64_t[]){2, 2}, numbers);
  cr_batch_normalize(m, cr_dense(m, x, 3));
  assert_fine(t, "decay");
  for (int k = 0; k < cr_model_count(m); k++) {
    const cr_parameter *p = cr_model_parameter(m, k);
    assert_int_equal(p->decays, p->trainable); /* buffers do not */
  }
  assert_int_equal(cr_model_count(m), 6);
  cr_model_free(m);
  cr_free(t);
}

static void initialisers_have_their_moments(void **state) {
  static const struct {
    const char *name;
    double deviation, bound; /* bound 0: Gaussian */
  } rows[] = {{"glorot", 0.0632455532, 0.1095445115},
              {"glorot_normal", 0.0632455532, 0},
              {"he", 0.0816496581, 0},
              {"he_uniform", 0.0816496581, 0.1414213562},
              {"lecun", 0.0577350269, 0},
              {"lecun_uniform", 0.0577350269, 0.1},
              {"normal(0.5)", 0.5, 0},
              {"uniform(-1, 1)", 0.5773502692, 1},
              {"he(1)", 0.0577350269, 0},
              {"glorot(2)", 0.126491106, 0.219089023}};
  (void)state;
  for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
    cr_tape *t = cr_new();
    cr_model *m = start(t, CR_FLOAT64, k);
    cr_model_initialize_with(m, rows[k].name);
    cr_dense(m, numbers(t, CR_FLOAT64, 1, 300), 200);
    assert_fine(t, rows[k].name);
    double mean, deviation, largest;
    const cr_parameter *p = cr_model_parameter(m, 0);
    assert_int_equal(p->fan_in, 300);
    assert_int_equal(p->fan_out, 200);
    moments(&p->value, &mean, &deviation, &largest);
    if (!(fabs(mean) < 0.03 * rows[k].deviation)) fail_msg("%s: mean %g", rows[k].name, mean);
    if (!(fabs(deviation - rows[k].deviation) < 0.015 * rows[k].deviation))
      fail_msg("%s: deviation %g", rows[k].name, deviation);
    if (rows[k].bound > 0) assert_true(largest <= rows[k].bound && largest > 0.99 * rows[k].bound);
    else assert_true(largest > 3.5 * rows[k].deviation);
    cr_model_free(m);
    cr_free(t);
  }
}

static void kernels_have_their_fans(void **state) {
  cr_tape *t = cr_new();
  cr_model *m = start(t, CR_FLOAT32, 1);
  (void)state;
  cr_convolution(m, cr_zeros(t, CR_FLOAT32, 4, (int64_t[]){1, 3, 8, 8}), 6, 5, 1, 0);
  assert_int_equal(cr_model_parameter(m, 0)->fan_in, 75);
  assert_int_equal(cr_model_parameter(m, 0)->fan_out, 150);
  cr_model_free(m);
  cr_free(t);
}

static void orthogonal_weights_are(void **state) {
  static const int64_t shape[][2] = {{7, 7}, {4, 9}, {9, 4}};
  (void)state;
  for (int k = 0; k < 3; k++) {
    cr_tape *t = cr_new();
    cr_model *m = start(t, CR_FLOAT64, 5);
    cr_model_initialize_with(m, "orthogonal(2)");
    cr_dense(m, numbers(t, CR_FLOAT64, 1, shape[k][0]), shape[k][1]);
    cr_var w = cr_model_leaf(m, 0), wt = cr_matrix_transpose(w);
    cr_var gram = shape[k][0] <= shape[k][1] ? cr_matmul(w, wt) : cr_matmul(wt, w);
    cr_array a = cr_view(gram);
    for (int64_t i = 0; i < a.dim[0]; i++)
      for (int64_t j = 0; j < a.dim[0]; j++) assert_true(fabs(at(&a, i * a.dim[0] + j) - (i == j ? 4 : 0)) < 1e-12);
    cr_model_free(m);
    cr_free(t);
  }
}

static uint64_t hash_after(uint64_t seed, const char *source, const char *name) {
  cr_tape *t = cr_new();
  cr_model *m = start(t, CR_FLOAT32, seed);
  cr_network(m, numbers(t, CR_FLOAT32, 2, 4), source);
  assert_fine(t, source);
  uint64_t hash = name ? cr_array_hash(&cr_model_find(m, name)->value, 0) : cr_model_hash(m);
  cr_model_free(m);
  cr_free(t);
  return hash;
}

static void weights_depend_on_seed_and_name_alone(void **state) {
  (void)state;
  assert_true(hash_after(1, "dense(x, 5)", NULL) == hash_after(1, "dense(x, 5)", NULL));
  assert_true(hash_after(1, "dense(x, 5)", NULL) != hash_after(2, "dense(x, 5)", NULL));
  assert_true(hash_after(1, "dense(x, 5, name='a')", "a.weight") ==
              hash_after(1, "dense(dense(x, 4), 5, name='a')", "a.weight"));
  assert_true(hash_after(1, "dense(x, 5, name='a')", "a.weight") != hash_after(1, "dense(x, 5, name='b')", "b.weight"));
}

/* Randomness */

static double sum_of_drop(cr_model *m, uint64_t step, int training, double *zeros) {
  cr_tape *t = cr_model_tape(m);
  cr_model_begin(m, training);
  cr_model_set_step(m, step);
  cr_array y = cr_view(cr_drop(m, cr_ones(t, CR_FLOAT32, 1, (int64_t[]){20000}), 0.3));
  double sum = 0;
  *zeros = 0;
  for (int64_t k = 0; k < y.count; k++) {
    sum += at(&y, k) * (double)(k % 101);
    *zeros += at(&y, k) == 0;
  }
  return sum;
}

static void dropout_keeps_the_mean_and_follows_the_step(void **state) {
  cr_tape *t = cr_new();
  cr_model *m = start(t, CR_FLOAT32, 9);
  double zeros, same, none;
  (void)state;
  double first = sum_of_drop(m, 1, 1, &zeros), off = sum_of_drop(m, 1, 0, &none);
  assert_true(fabs(zeros / 20000 - 0.3) < 0.01);
  assert_true(none == 0);
  assert_true(fabs(first / off - 1) < 0.02);
  assert_true(sum_of_drop(m, 1, 1, &same) == first);
  assert_true(sum_of_drop(m, 2, 1, &same) != first);
  cr_model_begin(m, 1);
  cr_var x = cr_ones(t, CR_FLOAT32, 1, (int64_t[]){100}), a = cr_drop(m, x, 0.5), b = cr_drop(m, x, 0.5);
  assert_true(cr_value(cr_sum_all(cr_abs(cr_sub(a, b)))) > 0); /* two layers draw apart */
  cr_array noisy = cr_view(cr_noise(m, cr_zeros(t, CR_FLOAT32, 1, (int64_t[]){20000}), 0.5));
  double mean, deviation, largest;
  moments(&noisy, &mean, &deviation, &largest);
  assert_true(fabs(mean) < 0.02 && fabs(deviation - 0.5) < 0.01);
  cr_model_begin(m, 0);
  x = cr_ones(t, CR_FLOAT32, 1, (int64_t[]){3});
  assert_true(cr_noise(m, x, 0.5).id == x.id);
  assert_fine(t, "dropout");
  cr_model_free(m);
  cr_free(t);
}

static void perceptrons_step_and_their_rule_teaches(void **state) {
  static const double corner[4][2] = {{0, 0}, {0, 1}, {1, 0}, {1, 1}}, truth[4] = {0, 0, 0, 1};
  cr_tape *t = cr_new();
  cr_model *m = start(t, CR_FLOAT64, 9);
  int64_t one[2] = {1, 2};
  int wrong = 4;
  (void)state;
  cr_model_initialize_with(m, "zeros");
  for (int epoch = 0; epoch < 30 && wrong; epoch++) {
    wrong = 0;
    for (int k = 0; k < 4; k++) {
      cr_model_begin(m, 1);
      cr_var z = cr_dense(m, cr_tensor_of(t, CR_FLOAT64, 2, one, corner[k]), 1);
      cr_model_backward(
        m, cr_loss_record(z, cr_tensor_of(t, CR_FLOAT64, 2, (int64_t[]){1, 1}, &truth[k]), "perceptron_rule", NULL));
      double error = truth[k] - (cr_value(z) > 0);
      wrong += error != 0;
      for (int i = 0; i < 2; i++) { /* the rule: w + rate (d - y) x */
        assert_true(-at(&cr_model_parameter(m, 0)->gradient, i) == error * corner[k][i]);
        cr_array_set(&cr_model_parameter(m, 0)->value, i, at(&cr_model_parameter(m, 0)->value, i) + error * corner[k][i]);
      }
      cr_array_set(&cr_model_parameter(m, 1)->value, 0, at(&cr_model_parameter(m, 1)->value, 0) + error);
    }
  }
  assert_int_equal(wrong, 0);
  cr_model_begin(m, 1);
  cr_array y = cr_view(cr_perceptron(m, cr_tensor_of(t, CR_FLOAT64, 2, (int64_t[]){4, 2}, corner), 3));
  for (int64_t k = 0; k < y.count; k++) assert_true(at(&y, k) == 0 || at(&y, k) == 1);
  assert_int_equal(y.dtype, CR_FLOAT64);
  cr_model_free(m);
  cr_free(t);
}

/* Reports */

static void summaries_list_the_layers(void **state) {
  static const char want[] =
    "layer   kind             output       parameters\n"
    "embed1  embed            (2, 7, 6)            30\n"
    "lstm1   lstm             (2, 7, 4)           176\n"
    "drop1   drop             (2, 4)                0\n"
    "dense1  dense            (2, 3)               15\n"
    "total                                        221\n";
  cr_tape *t = cr_new();
  cr_model *m = start(t, CR_FLOAT32, 1);
  (void)state;
  cr_network(m, cr_zeros(t, CR_INT64, 2, (int64_t[]){2, 7}), "dense(drop(last(lstm(embed(x, 5, 6), 4)), 0.1), 3)");
  assert_fine(t, "summary");
  char *text = cr_model_summary(m);
  assert_string_equal(text, want);
  free(text);
  cr_model_free(m);
  cr_free(t);
}

static void symmetry_is_noticed(void **state) {
  cr_tape *t = cr_new();
  cr_model *m = start(t, CR_FLOAT32, 1);
  (void)state;
  cr_network(m, numbers(t, CR_FLOAT32, 2, 4), "dense(relu(dense(x, 5)), 3)");
  assert_null(cr_model_symmetry(m));
  cr_array *in = &cr_model_parameter(m, 0)->value, *out = &cr_model_parameter(m, 2)->value;
  for (int64_t i = 0; i < 4; i++) cr_array_set(in, i * 5 + 3, at(in, i * 5 + 1));
  assert_null(cr_model_symmetry(m)); /* what they feed tells them apart */
  for (int64_t i = 0; i < 3; i++) cr_array_set(out, 9 + i, at(out, 3 + i));
  char *text = cr_model_symmetry(m);
  assert_string_equal(text, "dense1: units 2 and 4 have identical weights and inputs, and will stay so\n");
  free(text);
  cr_model_free(m);
  cr_free(t);
  t = cr_new();
  m = start(t, CR_FLOAT32, 1);
  cr_model_initialize_with(m, "constant(0.1)");
  cr_network(m, cr_zeros(t, CR_FLOAT32, 4, (int64_t[]){1, 1, 6, 6}), "dense(flatten(convolution(x, 2, 3), 1), 3)");
  text = cr_model_symmetry(m);
  assert_string_equal(text, "convolution1: units 1 and 2 have identical weights and inputs, and will stay so\n");
  free(text);
  cr_model_free(m);
  cr_free(t);
}

static void saturation_is_measured(void **state) {
  static const double x[4] = {0, 1, 20, -30};
  cr_saturation s[4];
  cr_tape *t = cr_new();
  cr_model *m = start(t, CR_FLOAT64, 1);
  (void)state;
  cr_model_initialize_with(m, "ones");
  cr_var h = cr_dense(m, cr_tensor_of(t, CR_FLOAT64, 2, (int64_t[]){4, 1}, x), 1);
  cr_relu(cr_sigmoid(h));
  assert_int_equal(cr_model_saturation(m, 4, s), 2);
  assert_string_equal(s[0].name, "sigmoid of dense1");
  assert_true(s[0].share == 0.5);
  assert_true(fabs(s[0].mean_slope - (0.25 + 0.19661193324148185) / 4) < 1e-8);
  assert_true(s[1].share == 0);
  assert_int_equal(cr_model_saturation(m, 0, NULL), 2);
  cr_model_free(m);
  cr_free(t);
}

/* Saving */

static void saved_models_come_back(void **state) {
  const char *source = "dense(batch_normalize(dense(x, 4)), 2)";
  cr_archive saved = {0};
  cr_problem p = {0};
  (void)state;
  cr_tape *t = cr_new(), *u = cr_new();
  cr_model *m = start(t, CR_FLOAT32, 1), *n = start(u, CR_FLOAT32, 2);
  assert_int_equal(cr_model_load(m, &saved, &p), CR_BAD_ARGUMENT);
  cr_network(m, numbers(t, CR_FLOAT32, 3, 4), source);
  cr_model_commit(m);
  cr_network(n, numbers(u, CR_FLOAT32, 3, 4), source);
  assert_true(cr_model_hash(m) != cr_model_hash(n));
  assert_int_equal(cr_model_save(m, &saved, NULL), CR_OK);
  assert_int_equal(cr_archive_add(&saved, "optimizer/t", &cr_model_parameter(m, 1)->value, NULL), CR_OK);
  p.status = CR_OK;
  assert_int_equal(cr_model_load(n, &saved, &p), CR_OK);
  assert_true(cr_model_hash(m) == cr_model_hash(n));
  cr_model_begin(n, 1);
  cr_network(n, numbers(u, CR_FLOAT32, 3, 4), "dense(x, 1, name='other')");
  assert_int_equal(cr_model_load(n, &saved, &p), CR_UNKNOWN_NAME);
  assert_string_equal(p.text, "there is no entry for parameter other.weight");
  cr_model_free(n);
  cr_free(u);
  u = cr_new();
  n = start(u, CR_FLOAT32, 2);
  cr_network(n, numbers(u, CR_FLOAT32, 3, 4), "dense(batch_normalize(dense(x, 4)), 3)");
  p.status = CR_OK;
  assert_int_equal(cr_model_load(n, &saved, &p), CR_BAD_SHAPE);
  assert_string_equal(p.text, "parameter dense2.weight is float32 (4, 3), but the entry is float32 (4, 2)");
  cr_model_free(n);
  cr_free(u);
  cr_archive_free(&saved);
  cr_model_free(m);
  cr_free(t);
}

/* Errors */

static void expect(const char *source, const char *first, const char *message) {
  cr_tape *t = cr_new();
  cr_model *m = start(t, CR_FLOAT32, 1);
  if (first) cr_network(m, numbers(t, CR_FLOAT32, 2, 4), first);
  assert_fine(t, source);
  cr_model_begin(m, 1);
  assert_true(cr_is_poison(cr_network(m, numbers(t, CR_FLOAT32, 2, 4), source)));
  if (strcmp(cr_error_text(t), message)) fail_msg("%s:\n  %s\nwanted:\n  %s", source, cr_error_text(t), message);
  cr_model_free(m);
  cr_free(t);
}

static void errors_name_layer_and_shapes(void **state) {
  (void)state;
  expect("h = relu(dense(x, 7)); dense(h, 3)", "h = relu(dense(x, 8)); dense(h, 3)",
         "line 1, column 10: dense1: parameter dense1.weight has shape (4, 8) since the first pass, but this pass asks for "
         "(4, 7)");
  expect("h = dense(x, 3)\nlstm(h, 5)", NULL,
         "line 2, column 1: lstm1: the input has shape (2, 3); it needs axes for batch, time and features");
  expect("dense(x, 0)", NULL, "line 1, column 1: dense1: units must be at least 1, not 0");
  expect("dens(x, 3)", NULL, "line 1, column 1: unknown function 'dens'; did you mean 'dense'?");
  expect("dense(x, 3, unitss=2)", NULL,
         "line 1, column 1: dense has no argument 'unitss'; did you mean 'units'? dense(x, units, bias=True, init=None, "
         "name=None, weight_noise=0)");
  expect("dense(x, 3, init='glorott')", NULL,
         "line 1, column 1: dense1: dense1.weight: unknown initialiser 'glorott'; did you mean 'glorot'?");
  expect("residual(x, 'dense(5)')", NULL,
         "line 1, column 1: residual1: the layers 'dense(5)' turn shape (2, 4) into (2, 5); to be added they must keep it");
  expect("sequential(x, 'dense(5), 3')", NULL,
         "line 1, column 1: layers 'dense(5), 3': expected at most 200 names or calls, as in 'dense(64), relu'");
  expect("dense(x, 3) @ dense(x, 2", NULL, "line 1, column 25: expected ',' or ')', found the end");
  expect(
    "convolution(x, 3, 3)", NULL,
    "line 1, column 1: convolution1: the input has shape (2, 4); it needs axes for batch, channels and one to three more");
  expect("attention(reshape(x, 1, 2, 4), 3)", NULL,
         "line 1, column 1: attention1: a width of 4 does not split into 3 heads");
  expect("dense(x, 3, name='a/b')", NULL, "line 1, column 1: 'a/b' is no name for a layer: 1 to 63 bytes without . and /");
  expect("embed(x, 5, 3)", NULL, "line 1, column 1: embed: argument 'tokens' must be integers, found x: float32 (2, 4)");
}

/* Passes */

static void names_live_for_the_pass(void **state) {
  cr_tape *t = cr_new();
  cr_model *m = start(t, CR_FLOAT64, 1);
  (void)state;
  for (int pass = 0; pass < 5; pass++) {
    cr_model_begin(m, 1);
    cr_var x = numbers(t, CR_FLOAT64, 2, 4);
    cr_var y = cr_network(
      m, x, "width = 6; double(u) = 2 * u; scale = [1, 2, 3]; h = double(dense(x, width)); y = dense(h, 3) * scale");
    assert_fine(t, "names");
    assert_true(cr_program_value(cr_model_program(m), "y").id == y.id);
    cr_var loss = cr_model_evaluate(m, "sum(h^2) + sum(y) + scale[1]");
    assert_fine(t, "names");
    assert_true(fabs(cr_value(loss) - cr_value(cr_sum_all(cr_square(cr_program_value(cr_model_program(m), "h")))) -
                     cr_value(cr_sum_all(y)) - 2) < 1e-9);
  }
  cr_model_begin(m, 1);
  assert_true(cr_is_poison(cr_model_evaluate(m, "sum(h)"))); /* of the last pass */
  assert_int_equal(cr_error(t), CR_STALE);
  cr_clear_error(t);
  cr_model_begin(m, 1);
  cr_network(m, numbers(t, CR_FLOAT64, 2, 4), "dense(x, 6)");
  assert_fine(t, "after an error");
  cr_model_free(m);
  cr_free(t);
}

static void the_tape_does_not_grow(void **state) {
  cr_tape *t = cr_new();
  cr_model *m = start(t, CR_FLOAT32, 1);
  size_t bytes = 0;
  (void)state;
  for (int pass = 0; pass < 200; pass++) {
    cr_model_begin(m, 1);
    cr_model_set_step(m, (uint64_t)pass);
    cr_var y = cr_network(m, numbers(t, CR_FLOAT32, 4, 4),
                          "f(u) = relu(u); w = 8; sequential(x, 'dense(w), drop(0.1)') + dense(f(x), 8)");
    assert_int_equal(cr_model_backward(m, cr_mean(cr_square(y), -1, NULL, 0)), CR_OK);
    if (pass == 20) bytes = cr_stats_of(t).bytes;
  }
  assert_int_equal(cr_stats_of(t).bytes, bytes);
  cr_model_free(m);
  cr_free(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(parameters_have_names_and_shapes),
    cmocka_unit_test(a_layer_named_twice_is_shared),
    cmocka_unit_test(gradients_share_no_memory),
    cmocka_unit_test(initialisers_have_their_moments),
    cmocka_unit_test(kernels_have_their_fans),
    cmocka_unit_test(orthogonal_weights_are),
    cmocka_unit_test(weights_depend_on_seed_and_name_alone),
    cmocka_unit_test(dropout_keeps_the_mean_and_follows_the_step),
    cmocka_unit_test(perceptrons_step_and_their_rule_teaches),
    cmocka_unit_test(summaries_list_the_layers),
    cmocka_unit_test(symmetry_is_noticed),
    cmocka_unit_test(all_parameters_decay_where_asked),
    cmocka_unit_test(saturation_is_measured),
    cmocka_unit_test(saved_models_come_back),
    cmocka_unit_test(errors_name_layer_and_shapes),
    cmocka_unit_test(names_live_for_the_pass),
    cmocka_unit_test(the_tape_does_not_grow),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
