/* Two tapes share nothing: threads with a tape each compute what one thread computes, to the bit; and so do the threads of
 * one tape. Run it under TSan too. */
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <cmocka.h>

#include "check.h"
#include "formula.h"
#include "ops.h"

enum { THREADS = 4, PROGRAMS = 6, ROUNDS = 20 };

static const char *const programs[PROGRAMS] = {
  "X = param [[1, 2, 3], [4, 5, 7]]; sum(tanh(X) * X^2)",
  "X = param [[1, 2], [4, 5]]; sum(softmax(X, dim=-1) @ X) + logsumexp(X, dim=(0, 1))",
  "X = param [[4, 1], [1, 5]]; sum(cholesky(X)) + det(X) + sum(lgamma(X))",
  "X = param [3, 1, 2]; (v, i) = sort(X); sum(v * cumsum(X, 0)) + prod(X)",
  "X = param [0.3, 0.7]; mse_loss(gelu(X), [1, 1]) + sum(polygamma(1, X) + bessel_in(0, X))",
  "X = param [0.2, 0.4]; sum(randn((2,), seed=7) * X + erfinv(X))",
};

typedef struct outcome {
  double value[PROGRAMS], gradient[PROGRAMS][8];
  int failed;
} outcome;

static void run_one(int k, outcome *o) {
  cr_tape *t = cr_new();
  cr_program *p = t ? cr_program_new(t, CR_FLOAT64) : NULL;
  cr_results r;
  cr_syntax_error error;
  if (!p || cr_program_run(p, programs[k], strlen(programs[k]), &r, &error) != CR_OK) {
    o->failed = 1;
  } else {
    cr_var x = cr_program_value(p, "X");
    cr_sweep *s = cr_backward(r.value[0]);
    o->value[k] = cr_value(r.value[0]);
    if (cr_adjoint_read(s, x, o->gradient[k], cr_count(x)) != CR_OK) o->failed = 1;
    if (cr_check(r.value[0], 1, &x, NULL, NULL) != CR_OK) o->failed = 1;
  }
  cr_free(t);
}

static void *work(void *out) {
  for (int round = 0; round < ROUNDS; round++)
    for (int k = 0; k < PROGRAMS; k++) run_one(k, out);
  return NULL;
}

static void threads_agree_to_the_bit(void **state) {
  (void)state;
  pthread_t thread[THREADS];
  outcome alone, each[THREADS];
  memset(&alone, 0, sizeof alone);
  memset(each, 0, sizeof each);
  for (int k = 0; k < THREADS; k++) assert_int_equal(pthread_create(&thread[k], NULL, work, &each[k]), 0);
  work(&alone);
  for (int k = 0; k < THREADS; k++) assert_int_equal(pthread_join(thread[k], NULL), 0);
  assert_false(alone.failed);
  for (int k = 0; k < THREADS; k++) assert_memory_equal(&each[k], &alone, sizeof alone);
}

/* A step of training, large enough that every kind of kernel is shared among threads: sums, products by either side
 * transposed and in batches, rows, elementwise with broadcasts, gathers, random numbers. */
static const char layers[] =
  "E = param randn((97, 160), seed=1) / 9; W = param randn((160, 320), seed=2) / 12; b = param randn((320,), seed=3); "
  "V = param randn((320, 97), seed=4) / 17; i = cast(rand((300,), seed=5) * 97, 'int64'); "
  "h = layer_norm(index_select(E, 0, i), [160]); u = dropout(gelu(h @ W + b), 0.2, seed=6); "
  "q = reshape(u, (4, 75, 2, 160)); p = softmax(einsum('bthd,bshd->bhts', q, q) / 12, dim=-1); "
  "v = reshape(einsum('bhts,bshd->bthd', p, q), (300, 320)) + tanh(u) * sigmoid(b); "
  "cross_entropy(v @ V, i) + 0.01 * mean(relu(v)^2) + sum(logsumexp(v, dim=0)) / 1e4";
/* Likewise with the kernels over images, items, rows of the batch: strides and groups for every way of the convolution. */
static const char images[] =
  "E = param randn((11, 3, 20, 20), seed=1); W = param randn((8, 3, 5, 5), seed=2) / 9; "
  "b = param randn((16, 4, 3, 3), seed=3) / 6; V = param randn((49, 196), seed=4) / 8; "
  "h = max_pool2d(relu(conv2d(E, W, padding=2)), 2); "
  "u = avg_pool2d(conv2d(h, b, stride=2, padding=1, groups=2), 2, stride=1); "
  "t = conv_transpose2d(u, b[:, :3] * 0.1, stride=2); q = conv1d(flatten(t, 2), W[:, :, 0]); "
  "k = reshape(u, (11, 16, 16)); a = scaled_dot_product_attention(concatenate([k, k, k], dim=1), k, k, is_causal=True); "
  "z = reshape(concatenate([a, a * 2, a], dim=-1), (11, 48, 48)) @ randn((48, 196), seed=5) / 7; "
  "(s, c) = lstm_sequence(transpose(concatenate([z, z[:7]], dim=0), 0, 1), V, zeros(18, 49), zeros(18, 49)); "
  "r = gru_sequence(s @ V[:, :147], V[:, 49:], zeros(18, 49)); (o, p) = lstm_gates(reshape(z, (528, 196)), zeros(528, 49)); "
  "mean(r^2) + mean(c * s) + mean(o * p) + mean(interpolate(t, 30, mode='bilinear')) + mean(q^2)";
enum { PARAMETERS = 4, MOST = 160 * 320 };
static const char *const parameter[PARAMETERS] = {"E", "W", "b", "V"};

static void run_step(const char *step, cr_dtype dtype, int threads, double *loss, double *gradient) {
  cr_tape *t = cr_new();
  assert_non_null(t);
  cr_set(t, CR_THREADS, threads);
  cr_program *p = cr_program_new(t, dtype);
  cr_results r;
  cr_syntax_error error;
  cr_status status = cr_program_run(p, step, strlen(step), &r, &error);
  if (status != CR_OK) print_message("%s\n", cr_error_text(t));
  assert_int_equal(status, CR_OK);
  *loss = cr_value(r.value[0]);
  for (int round = 0; round < 2; round++) { /* once more on the memory of the first */
    cr_sweep *s = cr_backward(r.value[0]);
    assert_non_null(s);
    for (int k = 0; k < PARAMETERS; k++) {
      cr_var x = cr_program_value(p, parameter[k]);
      assert_int_equal(cr_adjoint_read(s, x, gradient + k * MOST, cr_count(x)), CR_OK);
    }
    cr_sweep_release(s);
  }
  cr_free(t);
}

static void bits_of(const char *step) {
  static const int threads[] = {2, 3, 8, 0};
  double loss[2], *gradient = calloc(2 * PARAMETERS * MOST, sizeof *gradient), *other = gradient + PARAMETERS * MOST;
  assert_non_null(gradient);
  for (int dtype = CR_FLOAT32; dtype <= CR_FLOAT64; dtype++) {
    run_step(step, (cr_dtype)dtype, 1, &loss[0], gradient);
    assert_true(loss[0] > 0 && loss[0] < 100 && gradient[1] != 0);
    for (size_t k = 0; k < sizeof threads / sizeof *threads; k++) {
      run_step(step, (cr_dtype)dtype, threads[k], &loss[1], other);
      assert_memory_equal(&loss[0], &loss[1], sizeof *loss);
      assert_memory_equal(gradient, other, PARAMETERS * MOST * sizeof *gradient);
    }
  }
  free(gradient);
}

static void any_number_of_threads_gives_the_same_bits(void **state) {
  (void)state;
  bits_of(layers);
  bits_of(images);
}

/* The number can be changed at any time; jobs of one block need no thread. */
static void threads_come_and_go(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  cr_var x = cr_randn(t, CR_FLOAT32, 1, (int64_t[]){100000}, 3), y = cr_exp(x);
  cr_array want = cr_view(y);
  for (int n = 0; n < 40; n++) {
    cr_set(t, CR_THREADS, n % 5);
    cr_array got = cr_view(cr_exp(x));
    assert_memory_equal(got.data, want.data, (size_t)want.count * sizeof(float));
    double one = cr_value(cr_exp(cr_slice_axis(x, 0, n, n + 1, 1)));
    assert_true(fabs(one / (double)((float *)want.data)[n] - 1) < 1e-6);
  }
  cr_free(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(threads_agree_to_the_bit),
                                     cmocka_unit_test(any_number_of_threads_gives_the_same_bits),
                                     cmocka_unit_test(threads_come_and_go)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
