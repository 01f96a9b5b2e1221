/* The checker must agree with what is right, and must catch and name what is wrong: slips, kinks, claims. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "internal.h"
#include "samples.h"

static void assert_contains(const char *text, const char *part) {
  if (strstr(text, part)) return;
  print_error("\"%s\" is not in:\n%s\n", part, text);
  fail();
}

static cr_report *check(cr_var y, int n, const cr_var *x, cr_status expected) {
  cr_report *r = NULL;
  cr_status status = cr_check(y, n, x, NULL, &r);
  if (status != expected) print_error("%s\n%s", cr_error_text(y.tape), r ? r->text : "");
  assert_int_equal(status, expected);
  return r;
}

/* Slopes */

static double sine(void *user, double h) { return sin(*(double *)user + h); }
static double steep(void *user, double h) { return (void)user, exp(30 * h); }
static double pole(void *user, double h) { return 1 / (*(double *)user + h); }

static void slopes_are_sharp(void **state) {
  (void)state;
  double error, at = 0.7;
  assert_true(fabs(cr_slope(sine, &at, &error) - cos(0.7)) < 1e-13);
  assert_true(error < 1e-12);
  assert_true(fabs(cr_slope(steep, NULL, &error) - 30) < 1e-11);
  at = 1e-3; /* the pole is nearer than most starts */
  assert_true(fabs(cr_slope(pole, &at, &error) + 1e6) < 1e-10 * 1e6);
}

/* A user's op, sigmoid, whose rules contain one of the usual slips */

enum { RIGHT, SIGN, TWICE, HALF, VALUE_ONLY, NO_FACTOR, SQUARED, OPERAND, NOTHING, FORWARD_ONLY, SECOND_ONLY, SLIPS };
static const char *const slip_says[SLIPS] = {[SIGN] = "wrong sign",
                                             [TWICE] = "twice too large",
                                             [HALF] = "half of what",
                                             [VALUE_ONLY] = "it is the value of the op",
                                             [NO_FACTOR] = "it is 1",
                                             [SQUARED] = "squared",
                                             [OPERAND] = "it is the first operand",
                                             [NOTHING] = "it is 0",
                                             [FORWARD_ONLY] = "forward = reverse",
                                             [SECOND_ONLY] = "second order"};

typedef struct slip_attr {
  int slip;
} slip_attr;

static cr_status same_shape(cr_infer *c) {
  cr_array_init(c->out, (cr_dtype)c->in[0].dtype, c->in[0].rank, c->in[0].dim);
  return CR_OK;
}

static cr_status slip_eval(cr_eval *c) {
  for (int64_t k = 0; k < c->out->count; k++) cr_array_set(c->out, k, 1 / (1 + exp(-cr_array_get(&c->in[0], k))));
  return CR_OK;
}

static cr_var one_minus(cr_var y) { return cr_sub(cr_const(y.tape, 1), y); }

static cr_var slipped(int slip, cr_var g, cr_var a, cr_var y) {
  cr_tape *t = g.tape;
  cr_var right = cr_mul(y, one_minus(y));
  switch (slip) {
    case SIGN: return cr_neg(cr_mul(g, right));
    case TWICE: return cr_mul(cr_const(t, 2), cr_mul(g, right));
    case HALF: return cr_mul(cr_const(t, 0.5), cr_mul(g, right));
    case VALUE_ONLY: return cr_mul(g, y);
    case NO_FACTOR: return g;
    case SQUARED: return cr_mul(g, cr_square(right));
    case OPERAND: return cr_mul(g, a);
    case NOTHING: return cr_poison(t);
    default: return cr_mul(g, right);
  }
}

static void slip_vjp(cr_vjp_rule *c) {
  int slip = ((const slip_attr *)c->attr)->slip;
  c->d[0] =
      slipped(slip == FORWARD_ONLY ? RIGHT : slip, c->g, c->in[0], slip == SECOND_ONLY ? cr_stop_gradient(c->out) : c->out);
}
static cr_var slip_jvp(cr_jvp_rule *c) {
  int slip = ((const slip_attr *)c->attr)->slip;
  return slipped(slip == FORWARD_ONLY ? TWICE : slip, c->dot[0], c->in[0],
                 slip == SECOND_ONLY ? cr_stop_gradient(c->out) : c->out);
}

static const cr_op slip_op = {.name = "my_sigmoid",
                              .arity = 1,
                              .attr_size = sizeof(slip_attr),
                              .infer = same_shape,
                              .eval = slip_eval,
                              .vjp = slip_vjp,
                              .jvp = slip_jvp};

static void slips_are_named(void **state) {
  (void)state;
  int64_t dims[] = {2, 2};
  double data[] = {0.3, -0.8, 1.2, 0.5};
  for (int slip = 0; slip < SLIPS; slip++) {
    cr_tape *t = cr_new();
    cr_var x = cr_name(cr_tensor_of(t, CR_FLOAT64, 2, dims, data), "x");
    cr_var y = cr_sum_all(cr_mul(cr_record(t, &slip_op, 1, (cr_var[]){cr_sin(x)}, &(slip_attr){slip}), cr_exp(x)));
    cr_report *r = check(y, 1, &x, slip == RIGHT ? CR_OK : CR_MISMATCH);
    if (slip != RIGHT) {
      assert_contains(r->diagnosis, "my_sigmoid");
      assert_contains(r->diagnosis, slip_says[slip]);
    } else {
      assert_string_equal(r->diagnosis, "");
    }
    cr_free(t);
  }
}

/* A product of matrices whose rule transposes, forgets, or mixes up its operands */

static cr_status product_infer(cr_infer *c) {
  cr_array_init(c->out, CR_FLOAT64, 2, (int64_t[]){c->in[0].dim[0], c->in[1].dim[1]});
  return CR_OK;
}
static cr_status product_eval(cr_eval *c) {
  int64_t n = c->in[0].dim[1], m = c->out->dim[1];
  for (int64_t k = 0; k < c->out->count; k++) {
    double sum = 0;
    for (int64_t j = 0; j < n; j++) sum += cr_array_get(&c->in[0], k / m * n + j) * cr_array_get(&c->in[1], j * m + k % m);
    cr_array_set(c->out, k, sum);
  }
  return CR_OK;
}
enum { TRANSPOSED, FORGOTTEN, EXCHANGED, NOT_TRANSPOSED, PRODUCTS };
static cr_var turn(cr_var x) { return cr_permute(x, 2, (int[]){1, 0}); }
static const cr_op *product_op(void);
static cr_var product(cr_var a, cr_var b, int slip) {
  return cr_record(a.tape, product_op(), 2, (cr_var[]){a, b}, &(slip_attr){slip});
}
static void product_vjp(cr_vjp_rule *c) {
  int slip = ((const slip_attr *)c->attr)->slip;
  cr_var da = product(c->g, turn(c->in[1]), slip), db = product(turn(c->in[0]), c->g, slip);
  c->d[0] = slip == TRANSPOSED ? turn(da) : slip == EXCHANGED ? db : da;
  if (slip != FORGOTTEN) c->d[1] = slip == EXCHANGED ? da : slip == NOT_TRANSPOSED ? product(c->in[0], c->g, slip) : db;
}
static const cr_op *product_op(void) {
  static const cr_op op = {.name = "my_product",
                           .arity = 2,
                           .kind = CR_BILINEAR,
                           .attr_size = sizeof(slip_attr),
                           .infer = product_infer,
                           .eval = product_eval,
                           .vjp = product_vjp};
  return &op;
}

static void matrix_slips_are_caught(void **state) {
  (void)state;
  double a[] = {1, 2, -3, 0.5}, b[] = {0.2, -1, 0.7, 2};
  int64_t dims[] = {2, 2};
  for (int slip = 0; slip < PRODUCTS; slip++) {
    cr_tape *t = cr_new();
    cr_var A = cr_tensor_of(t, CR_FLOAT64, 2, dims, a), B = cr_tensor_of(t, CR_FLOAT64, 2, dims, b);
    cr_report *r = check(cr_sum_all(cr_sin(product(A, B, slip))), 2, (cr_var[]){A, B}, CR_MISMATCH);
    assert_contains(r->diagnosis, "my_product");
    if (slip == TRANSPOSED) assert_contains(r->diagnosis, "transposed");
    cr_free(t);
  }
}

/* Kinks */

static void kinks_are_not_failures(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  cr_var z = cr_name(cr_input(t, 0), "z");
  cr_report *r = check(cr_relu(z), 1, &z, CR_OK);
  const cr_check_entry *e = &r->entry[r->n_entries - 1];
  assert_int_equal(e->verdict, CR_KINK);
  assert_true(e->left == 0 && e->right == 1 && e->analytic == 0);
  assert_contains(e->note, "relu(z)");
  check(cr_abs(z), 1, &z, CR_OK);
  check(cr_maximum(z, cr_mul(z, z)), 1, &z, CR_OK);
  cr_var near = cr_input(t, 1e-9); /* steps shrink below the distance */
  r = check(cr_relu(near), 1, &near, CR_OK);
  assert_int_equal(r->kinks, 0);
  assert_int_equal(r->inconclusive, 0);
  check(cr_sub(cr_relu(z), cr_relu(cr_neg(z))), 1, &z, CR_MISMATCH); /* is z, with derivative 1; engines say 0 */
  check(cr_sqrt(z), 1, &z, CR_OK);
  check(cr_cbrt(z), 1, &z, CR_OK);
  r = check(cr_floor(z), 1, &z, CR_OK);
  assert_int_equal(r->kinks, r->n_entries);
  cr_var tie[2] = {cr_input(t, 2), cr_input(t, 2)};
  r = check(cr_maximum(tie[0], tie[1]), 2, tie, CR_OK);
  assert_true(r->kinks > 0);
  check(cr_mul(tie[0], cr_stop_gradient(tie[0])), 1, tie, CR_OK);
  cr_free(t);
}

/* Claims */

static void expect_claim(cr_var y, int n, const cr_var *x, const double *claimed, int digits, const char *says) {
  cr_report *r = NULL;
  cr_check_options o = {.struct_size = sizeof o, .digits = digits};
  cr_status status = cr_check_claims(y, n, x, claimed, &o, &r);
  assert_int_equal(status, says ? CR_MISMATCH : CR_OK);
  if (says) assert_contains(r->diagnosis, says);
}

static void claims_are_explained(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  cr_var x = cr_name(cr_input(t, 1.5), "x"), w = cr_name(cr_input(t, -0.3), "w"), v = cr_name(cr_input(t, 2), "v");
  cr_var h = cr_name(cr_sigmoid(cr_mul(w, x)), "h"), e = cr_sub(cr_mul(v, h), cr_const(t, 3));
  cr_var J = cr_mul(cr_const(t, 0.5), cr_square(e)), p[] = {w, v};
  double H = cr_value(h), E = cr_value(e), gv = E * H, gw = E * 2 * H * (1 - H) * 1.5;
  expect_claim(J, 2, p, (double[]){gw, gv}, 0, NULL);
  expect_claim(J, 2, p, (double[]){-1.584, -0.865}, 3, NULL);
  expect_claim(J, 2, p, (double[]){-gw, -gv}, 0, "wrong sign");
  expect_claim(J, 2, p, (double[]){2 * gw, 2 * gv}, 0, "twice");
  expect_claim(J, 2, p, (double[]){gv, gw}, 0, "swapped");
  expect_claim(J, 2, p, (double[]){E * 2 * H * 1.5, gv}, 0, "h = sigmoid");
  expect_claim(J, 2, p, (double[]){E * 2 * 1.5, gv}, 0, "is missing");
  expect_claim(J, 2, p, (double[]){E * 2 * H * (1 - H), gv}, 0, "b = 1.5 is missing");
  expect_claim(J, 2, p, (double[]){-1.584, -0.856}, 3, "only v is wrong: a single digit");
  cr_var q = cr_add(cr_mul(x, x), cr_sin(x));
  expect_claim(q, 1, &x, (double[]){2 * 1.5}, 0, "left out");
  int64_t dims[] = {2, 3};
  double data[] = {1, 2, 3, -1, 0.5, 2.5}, twice[6], turned[6];
  cr_var A = cr_name(cr_tensor_of(t, CR_FLOAT64, 2, dims, data), "A"),
         mean = cr_mul(cr_const(t, 1.0 / 6), cr_sum_all(cr_square(A)));
  for (int k = 0; k < 6; k++) twice[k] = 2 * data[k], turned[k] = data[k % 2 * 3 + k / 2] / 3;
  expect_claim(mean, 1, &A, twice, 0, "6 times too large");
  expect_claim(mean, 1, &A, turned, 0, "transposed");
  double other[6] = {1, 1, 1, 2, 2, 2}, stale[6];
  for (int k = 0; k < 6; k++) stale[k] = other[k] / 3;
  cr_report *r;
  cr_check_options o = {.struct_size = sizeof o, .n_points = 1, .points = (const double *const[]){other}};
  assert_int_equal(cr_check_claims(mean, 1, &A, stale, &o, &r), CR_MISMATCH);
  assert_contains(r->diagnosis, "stale");
  assert_int_equal(cr_claim_of(2.6749, 2.67, 2), CR_CLAIM_ROUNDED);
  assert_int_equal(cr_claim_of(2.678, 2.67, 2), CR_CLAIM_TRUNCATED);
  assert_int_equal(cr_claim_of(-3.5586, -3.555, 3), CR_CLAIM_CARRIED);
  assert_int_equal(cr_claim_of(3.4533, 3.953, 3), CR_CLAIM_WRONG);
  cr_free(t);
}

static double outside(void *user, const double *x) { return (void)user, sin(x[0]) * x[1] + fabs(x[2]); }

static void a_function_from_outside(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  double x[] = {1, 2, 0}, right[] = {2 * cos(1), sin(1), 0.3}, wrong[] = {2 * cos(1), -sin(1), 1.5};
  cr_report *r;
  assert_int_equal(cr_check_values(t, outside, NULL, 3, x, right, NULL, NULL, &r), CR_OK);
  assert_int_equal(r->kinks, 1);
  assert_int_equal(cr_check_values(t, outside, NULL, 3, x, wrong, (const char *const[]){"a", "b", "c"}, NULL, &r),
                   CR_MISMATCH);
  assert_int_equal(r->entry[1].verdict, CR_DISAGREE);
  assert_int_equal(r->entry[2].verdict, CR_DISAGREE);
  assert_contains(r->text, "outside the slopes");
  cr_free(t);
}

/* Rounding and misuse */

static void float32_is_judged_in_float64(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  float data[] = {0.1f, 1000.5f, -3};
  int64_t n = 3;
  cr_var x = cr_tensor_of(t, CR_FLOAT32, 1, &n, data);
  cr_report *r = check(cr_sum_all(cr_sin(cr_mul(x, x))), 1, &x, CR_OK);
  assert_contains(r->text, "float32 gradient");
  cr_free(t);
}

static void misuse_is_an_error(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  cr_var x = cr_input(t, 1), i = cr_constant_of(t, CR_INT64, 0, NULL, (int64_t[]){3});
  cr_report *r = (cr_report *)(void *)t;
  assert_int_equal(cr_check(x, 1, &i, NULL, &r), CR_NOT_DIFFERENTIABLE);
  assert_null(r);
  assert_contains(cr_error_text(t), "input 0");
  cr_clear_error(t);
  assert_int_equal(cr_check(x, 0, &x, NULL, &r), CR_BAD_ARGUMENT);
  cr_clear_error(t);
  assert_int_equal(cr_check(x, 1, &x, &(cr_check_options){.struct_size = 3}, &r), CR_BAD_ARGUMENT);
  cr_clear_error(t);
  uint32_t before = cr_node_count(t);
  check(cr_square(x), 1, &x, CR_OK);
  assert_int_equal(cr_node_count(t), before + 1); /* nothing is left on the user's tape but the report */
  cr_free(t);
}

static void *ration(void *user, void *p, size_t old_size, size_t new_size) {
  int *left = user;
  (void)old_size;
  if (!new_size) {
    free(p);
    return NULL;
  }
  return (*left)-- > 0 ? realloc(p, new_size) : NULL;
}

static void running_out_of_memory_is_an_error(void **state) {
  (void)state;
  cr_status status = CR_NO_MEMORY;
  for (int calls = 0; status != CR_MISMATCH; calls++) {
    int left = calls;
    cr_tape *t = cr_new_with(cr_standard_ops(), &(cr_allocator){ration, &left});
    if (!t) continue;
    cr_report *r = NULL;
    cr_var x = cr_input(t, 0.3), y = cr_relu(cr_sin(x));
    y = cr_add(cr_record(t, &slip_op, 1, &y, &(slip_attr){TWICE}), cr_sum_all(cr_ones(t, CR_FLOAT64, 1, (int64_t[]){3})));
    status = cr_check(y, 1, &x, NULL, &r);
    assert_true((status == CR_MISMATCH) == (r != NULL));
    if (status != CR_MISMATCH) assert_true(status == CR_NO_MEMORY || status == CR_POISONED);
    if (status != CR_MISMATCH) cr_clear_error(t);
    cr_check_claims(y, 1, &x, (double[]){0.7}, NULL, &r);
    cr_free(t);
  }
}

/* Why, and where the first value that is not finite arose */

static void why_finds_ways_and_cuts(void **state) {
  (void)state;
  char text[2000];
  cr_tape *t = cr_new();
  cr_var x = cr_name(cr_input(t, 1.5), "x"), z = cr_name(cr_mul(x, x), "z"), y = cr_name(cr_sin(z), "y");
  assert_true(cr_why(y, x, text, sizeof text));
  assert_contains(text, "z = mul(x, x)");
  assert_false(cr_why(cr_add(cr_floor(z), cr_const(t, 1)), x, text, sizeof text));
  assert_contains(text, "cut at");
  assert_contains(text, "floor(z)");
  assert_false(cr_why(cr_stop_gradient(z), x, text, sizeof text));
  assert_contains(text, "stop_gradient");
  assert_false(cr_why(cr_cast(cr_cast(z, CR_INT64), CR_FLOAT64), x, text, sizeof text));
  assert_contains(text, "int64");
  assert_false(cr_why(x, y, text, sizeof text));
  assert_contains(text, "does not depend on");
  cr_var dead = cr_relu(cr_neg(z));
  assert_true(cr_why(dead, x, text, sizeof text));
  assert_contains(text, "the derivative is 0 from");
  char tiny[8];
  cr_why(y, x, tiny, sizeof tiny);
  assert_true(strlen(tiny) < sizeof tiny);
  cr_free(t);
}

static void nonfinite_values_are_traced(void **state) {
  (void)state;
  char text[2000];
  cr_tape *t = cr_new();
  cr_var u = cr_name(cr_input(t, 0), "u"), v = cr_name(cr_input(t, 2), "v");
  assert_true(cr_find_nonfinite(cr_mul(cr_log(u), v), text, sizeof text));
  assert_contains(text, "forward");
  assert_contains(text, "log(u) is -inf");
  assert_true(cr_find_nonfinite(cr_mul(cr_sqrt(u), v), text, sizeof text));
  assert_contains(text, "backward: the adjoint of u");
  assert_contains(text, "sqrt(u)");
  assert_false(cr_find_nonfinite(cr_exp(v), text, sizeof text));
  cr_free(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(slopes_are_sharp),
                                     cmocka_unit_test(slips_are_named),
                                     cmocka_unit_test(matrix_slips_are_caught),
                                     cmocka_unit_test(kinks_are_not_failures),
                                     cmocka_unit_test(claims_are_explained),
                                     cmocka_unit_test(a_function_from_outside),
                                     cmocka_unit_test(float32_is_judged_in_float64),
                                     cmocka_unit_test(misuse_is_an_error),
                                     cmocka_unit_test(running_out_of_memory_is_an_error),
                                     cmocka_unit_test(why_finds_ways_and_cuts),
                                     cmocka_unit_test(nonfinite_values_are_traced)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
