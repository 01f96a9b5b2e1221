/* Random scalar programs: the real engine against the tiny one, values and all adjoints. */
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <setjmp.h>
#include <cmocka.h>

#include "ops.h"
#include "toy.h"

enum { INPUTS = 4, NODES = 60, PROGRAMS = 2000 };

static uint64_t next(uint64_t *seed) { /* splitmix64 */
  uint64_t z = *seed += 0x9E3779B97F4A7C15u;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
  z = (z ^ z >> 27) * 0x94D049BB133111EBu;
  return z ^ z >> 31;
}

static cr_var apply(char op, cr_var a, cr_var b) {
  switch (op) {
    case '+': return cr_add(a, b);
    case '-': return cr_sub(a, b);
    case '*': return cr_mul(a, b);
    case '/': return cr_div(a, b);
    case 's': return cr_sin(a);
    case 'e': return cr_exp(a);
    case 't': return cr_tanh(a);
    default: return cr_log(a);
  }
}

static int close_to(double a, double b) {
  if (isnan(a) || isnan(b) || isinf(a) || isinf(b)) return 1; /* the toy does not guard 0 * inf */
  return fabs(a - b) <= 1e-9 * (1 + fabs(a) + fabs(b));
}

static void random_programs_agree(void **state) {
  (void)state;
  uint64_t seed = 1;
  long compared = 0;
  for (int p = 0; p < PROGRAMS; p++) {
    toy *u = toy_new();
    cr_tape *t = cr_new();
    cr_var v[INPUTS + NODES + 1];
    for (int k = 1; k <= INPUTS; k++) {
      double x = (double)(next(&seed) >> 11) * 0x1p-53 * 2 - 0.5;
      v[toy_input(u, x)] = cr_input(t, x);
    }
    for (int k = INPUTS + 1; k <= INPUTS + NODES; k++) {
      char op = "+-*/setl"[next(&seed) % 8];
      int i = 1 + (int)(next(&seed) % (uint64_t)(k - 1)), j = 1 + (int)(next(&seed) % (uint64_t)(k - 1));
      int w = toy_apply(u, op, i, j);
      v[w] = apply(op, v[i], v[j]);
      assert_true(close_to(toy_value(u, w), cr_value(v[w])));
    }
    toy_backward(u, INPUTS + NODES);
    cr_sweep *s = cr_backward(v[INPUTS + NODES]);
    assert_non_null(s);
    for (int k = 1; k <= INPUTS + NODES; k++, compared++) assert_true(close_to(toy_adjoint(u, k), cr_adjoint(s, v[k])));
    cr_free(t);
    toy_free(u);
  }
  print_message("%ld adjoints compared\n", compared);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(random_programs_agree)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
