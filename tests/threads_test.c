/* Two tapes share nothing: threads with a tape each compute what one thread computes, to the bit. Run it under TSan too. */
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
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

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(threads_agree_to_the_bit)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
