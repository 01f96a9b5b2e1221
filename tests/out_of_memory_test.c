/* Every allocation made to fail in turn, over expressions of all families: always a status, never a crash, a leak or a wrong
 * value, and the tape works again afterwards. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <cmocka.h>

#include "formula.h"
#include "meter.h"
#include "ops.h"

static const char *const programs[] = {
  "X = param [[1, 2, 3], [4, 5, 7]]; sum(tanh(X) * X^2)",
  "X = param [[1, 2], [4, 5]]; sum(softmax(X, dim=-1) @ X) + logsumexp(X, dim=(0, 1))",
  "X = param [[4, 1], [1, 5]]; sum(cholesky(X)) + det(X) + sum(solve(X, X))",
  "X = param [3, 1, 2]; (v, i) = sort(X); sum(v * cumsum(X, 0)) + sum(X[0:2]) + X[-1]",
  "X = param [[1, 2], [4, 5]]; sum(concatenate([X, X.T], dim=1)) + var(X) + vector_norm(X) + prod(X)",
  "X = param [0.3, 0.7]; binary_cross_entropy(X, [0, 1]) + mse_loss(X, [1, 1]) + sum(where(X > 0.5, X, 0))",
  "f(u) = sin(u^2) + exp(-u); x = 3; f(x) + f(x / 2)",
  "X = param [[[1, 2, 4], [3, 1, 2]]]; sum(max_pool1d(conv1d(X, X, [0.5], padding=1), 2))"
  " + sum(conv_transpose1d(X, X[0][:, None], stride=2))",
  "X = param [[[1, 2, 4], [3, 1, 2], [0, 5, 1], [2, 6, 3]]]; "
  "sum(max_pool1d(conv1d(X, broadcast_to(X[:, :, :2], (16, 4, 2)), X[0, 0, 0] * ones(16)), 2))",
  "X = param [[1, 2], [3, 0.5]]; sum(scaled_dot_product_attention(X, X, X)) + sum(interpolate(X[None], 3, mode='linear'))",
  "X = param [[0.1, 0.2, 0.3, 0.4]]; (h, c) = lstm_gates(X, [[0.5]]); sum(h * c)"
  " + sum(gru_gates(X[:, :3], X[:, 1:], [[0.5]]))",
  "X = param [[0.1, 0.2, 0.3]]; sum(gru_sequence(X[None], X, [[0.5]], X[0])) + cross_entropy(X, [1])",
  "X = param [1, 2, 3]; sum(einsum('i,j->ij', X, X)) + sum(gather(X, 0, [0, 0, 2])) + sum(layer_norm(X, [3]))",
};

/* Value, numeric and symbolic gradient, Hessian-vector product. */
static cr_status run(cr_tape *t, const char *source, double *value) {
  cr_program *p = cr_program_new(t, CR_FLOAT64);
  cr_results results;
  cr_syntax_error error;
  if (!p || cr_program_run(p, source, strlen(source), &results, &error) != CR_OK) return cr_error(t);
  cr_var y = results.value[0], x = cr_program_value(p, cr_program_name(p, 0)), g, h;
  if (cr_is_poison(x) || !cr_is_input(x)) x = cr_program_value(p, "x");
  *value = cr_value(y);
  if (!cr_backward(y)) return cr_error(t);
  if (cr_grad(y, 1, &x, &g) == CR_OK) cr_hvp(y, cr_poison(t), 1, &x, &g, &h);
  return cr_error(t);
}

static void each_allocation_in_turn(void **state) {
  (void)state;
  long points = 0;
  for (size_t k = 0; k < sizeof programs / sizeof *programs; k++) {
    meter m = {0};
    cr_allocator allocator = {meter_reallocate, &m};
    double want = 0;
    cr_tape *t = cr_new_with(cr_standard_ops(), &allocator);
    cr_status status = run(t, programs[k], &want);
    if (status != CR_OK) print_message("%s: %s\n", programs[k], cr_error_text(t));
    assert_int_equal(status, CR_OK);
    cr_free(t);
    assert_int_equal(m.live, 0);
    long total = m.calls;
    for (long n = 1; n <= total; n++, points++) {
      double got = want;
      m = (meter){.fail_at = n};
      t = cr_new_with(cr_standard_ops(), &allocator);
      status = t ? run(t, programs[k], &got) : CR_NO_MEMORY;
      assert_true(status == CR_NO_MEMORY || (status == CR_OK && got == want));
      if (t) { /* the same tape serves once memory is there */
        cr_clear_error(t);
        m.fail_at = 0;
        status = run(t, programs[k], &got);
        if (status != CR_OK) print_message("after failure %ld of '%s': %s\n", n, programs[k], cr_error_text(t));
        assert_int_equal(status, CR_OK);
        assert_true(got == want);
      }
      cr_free(t);
      assert_int_equal(m.live, 0);
    }
  }
  print_message("%ld failing allocations\n", points);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(each_allocation_in_turn)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
