/* The engine knows no operation: it links alone, works over a table of three ops of our own, and takes a user's op. */
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>
#include <cmocka.h>

#include "op.h"

static double add_value(double a, double b) { return a + b; }
static double mul_value(double a, double b) { return a * b; }
static double neg_value(double a, double b) { return (void)b, -a; }
static double one(double a, double b, double y) { return (void)a, (void)b, (void)y, 1; }
static double minus_one(double a, double b, double y) { return (void)a, (void)b, (void)y, -1; }
static double other(double a, double b, double y) { return (void)a, (void)y, b; }
static double this_one(double a, double b, double y) { return (void)b, (void)y, a; }

static const cr_row add_row = {.partial_text = {"1", "1"}, .value = add_value, .partial = {one, one}, .result = 'f'};
static const cr_row mul_row = {.partial_text = {"b", "a"}, .value = mul_value, .partial = {other, this_one}, .result = 'f'};
static const cr_row neg_row = {.partial_text = {"-1"}, .value = neg_value, .partial = {minus_one}, .result = 'f'};
static const cr_op add_op = {.name = "add", .arity = 2, .row = &add_row};
static const cr_op mul_op = {.name = "mul", .arity = 2, .row = &mul_row};
static const cr_op neg_op = {.name = "neg", .arity = 1, .row = &neg_row};

static cr_var add(cr_var x, cr_var y) { return cr_record(x.tape, &add_op, 2, (cr_var[]){x, y}, NULL); }
static cr_var mul(cr_var x, cr_var y) { return cr_record(x.tape, &mul_op, 2, (cr_var[]){x, y}, NULL); }
static cr_var neg(cr_var x) { return cr_record(x.tape, &neg_op, 1, &x, NULL); }
static cr_var full(cr_tape *t, cr_dtype d, int rank, const int64_t *dims, double value) {
  return (void)d, (void)rank, (void)dims, cr_const(t, value);
}

static const cr_op *const rows[] = {&add_op, &mul_op, &neg_op};
static const int n_rows = 3;
static const cr_op_table three = {
  .rows = rows, .n_rows = &n_rows, .add = add, .mul = mul, .guarded_mul = mul, .neg = neg, .full = full};

static void three_ops_differentiate(void **state) {
  (void)state;
  cr_tape *t = cr_new_with(&three, NULL);
  cr_var x = cr_input(t, 3), y = add(mul(mul(x, x), x), neg(x)), d, dd;
  cr_sweep *s = cr_backward(y);
  assert_true(cr_value(y) == 24 && cr_adjoint(s, x) == 26);
  assert_int_equal(cr_grad(y, 1, &x, &d), CR_OK);
  assert_int_equal(cr_grad(d, 1, &x, &dd), CR_OK);
  assert_true(cr_value(d) == 26 && cr_value(dd) == 18);
  cr_free(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(three_ops_differentiate)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
