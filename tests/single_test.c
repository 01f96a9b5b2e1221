/* Rows over float32 (ops/singlemath.h) against the same in double: floats at even distances among all 2^32, and those next
 * to where something changes, each function with its bound in ulp. Where an element lies in an array changes no bit. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "ops.h"
#include "rowmath.h"
#include "singlemath.h"

enum { STRIDE = 1009, NEAR = 200, POINTS = 30011 }; /* no multiple of a vector's width */

/* Name, bound in ulp, and the error allowed besides where a slope passes through 0 and terms of the size of 1 cancel. */
#define FUNCTIONS(F)                                                                                              \
  F(exp, 1, 0) F(exp2, 1.02, 0) F(expm1, 1.6, 0) F(log, 0.9, 0) F(log1p, 1.6, 0) F(log2, 1.2, 0) F(log10, 1, 0)   \
  F(tanh, 2.4, 0) F(sech2, 2.3, 0) F(sigmoid, 1.5, 0) F(log1pexp, 1.7, 0) F(gauss, 1.5, 0) F(normal_pdf, 1.5, 0) \
  F(erf, 1.1, 0) F(ndtr, 5.6, 0) F(silu_slope, 4, 2.5e-7) F(gelu_slope, 8, 2.5e-7) F(mish_slope, 8, 4e-7)

typedef struct function {
  const char *name;
  float (*single)(float x);
  double (*exact)(double x);
  cr_var (*row)(cr_var x);
  double bound, besides;
} function;

#define DEFINE(name, bound, besides)                              \
  static float float_##name(float x) { return single_##name(x); } \
  static double exact_##name(double x) { return name(x); }
FUNCTIONS(DEFINE)
static const function functions[] = {
#define ENTRY(name, bound, besides) {#name, float_##name, exact_##name, cr_##name, bound, besides},
    FUNCTIONS(ENTRY)};
enum { N_FUNCTIONS = sizeof functions / sizeof *functions };

/* From x to y in the last places of y; a wrong NaN, infinity or sign of zero is far away. */
static double ulps(float x, double y) {
  const float most = 3.40282347e38f, least = 1.17549435e-38f, rounded = (float)y;
  if (isnan(x) || isnan(y)) return isnan(x) && isnan(y) ? 0 : (double)INFINITY;
  if (y == 0) return x == 0 && !signbit(x) == !signbit(y) ? 0 : (double)INFINITY;
  if (x == rounded) return isinf(x) ? 0 : fabs((double)x - y) / ldexp(1, ilogb(fmax(fabs(y), (double)least)) - 23);
  if (isinf(y)) return (double)INFINITY;
  double near = isinf(x) ? copysign((double)most + ldexp(1, 104), (double)x) : (double)x;
  return fabs(near - y) / ldexp(1, ilogb(fmin(fmax(fabs(y), (double)least), (double)most)) - 23);
}

static void fill_evenly(float *x, uint64_t from) {
  for (int k = 0; k < POINTS; k++) x[k] = single_of_bits((uint32_t)(from + (uint64_t)k * STRIDE));
}

/* Floats up to NEAR places beside these and their negatives. */
static const float edges[] = {
    0,   1.17549435e-38f, 2.98023224e-8f, 0.5f,        0.707106769f, 0.9f, 1,   1.41421354f, 4,    9.01f,   10.25f,
    12.5f, 14.6f,         17.3286800f,    44.0148697f, 53,           87.3365f, 88.7228394f, 103.972076f, 106, 126, 149,
    151, 128,             1e4f,           8388608,     1.7e38f,      2.4e38f, 3.40282347e38f, (float)INFINITY};
static void fill_edges(float *x) {
  enum { N = sizeof edges / sizeof *edges };
  for (int k = 0; k < POINTS; k++) {
    uint32_t bits = single_bits(edges[k % N]) + (uint32_t)(k / N % (2 * NEAR + 1)) - NEAR;
    x[k] = single_of_bits(k / N / (2 * NEAR + 1) % 2 ? bits : bits ^ 0x80000000u);
  }
}

static int failures;

/* x by the row, and some one by one. */
static void check_row(const function *f, const float *x, double *worst) {
  const int64_t n = POINTS;
  cr_tape *t = cr_new();
  cr_var y = f->row(cr_tensor_of(t, CR_FLOAT32, 1, &n, x));
  cr_array a = cr_view(y);
  const float *out = a.data;
  for (int k = 0; k < POINTS; k++) {
    const double exact = f->exact((double)x[k]), error = ulps(out[k], exact);
    if (f->besides != 0 && fabs((double)out[k] - exact) <= f->besides) continue;
    if (error > *worst) *worst = error;
    if (error > f->bound && failures++ < 20)
      print_message("%s(%.9g) is %.9g, not %.9g: %.3g ulp\n", f->name, (double)x[k], (double)out[k], exact, error);
  }
  for (int k = 0; k < POINTS; k += 61) {
    float one = f->single(x[k]);
    if (memcmp(&one, &out[k], sizeof one) && !(isnan(one) && isnan(out[k])) && failures++ < 20)
      print_message("%s(%.9g) alone is %.9g, in the array %.9g\n", f->name, (double)x[k], (double)one, (double)out[k]);
  }
  cr_free(t);
}

static void functions_within_their_bounds(void **state) {
  (void)state;
  static float x[POINTS];
  failures = 0;
  for (int k = 0; k < N_FUNCTIONS; k++) {
    double worst = 0;
    fill_edges(x);
    check_row(&functions[k], x, &worst);
    for (uint64_t from = 0; from <= UINT32_MAX; from += (uint64_t)POINTS * STRIDE) {
      fill_evenly(x, from);
      check_row(&functions[k], x, &worst);
    }
    print_message("%s: %.3g ulp\n", functions[k].name, worst);
  }
  assert_int_equal(failures, 0);
}

/* Every row and its reverse step on an array, and on a part of it that begins elsewhere: the same bits. */
static void position_changes_nothing(void **state) {
  (void)state;
  enum { N = 133, FROM = 5, PART = 117 };
  float x[2][N];
  for (int k = 0; k < N; k++) x[0][k] = 0.02f + 0.03f * (float)k, x[1][k] = 2.5f - 0.017f * (float)k;
  cr_tape *t = cr_new();
  for (int r = 0; r < cr__n_rows; r++) {
    const cr_op *op = cr__rows[r];
    float out[2][3][N] = {{{0}}};
    for (int part = 0; part < 2; part++) {
      const int64_t n = part ? PART : N;
      cr_mark mark = cr_mark_here(t);
      cr_var in[2];
      for (int j = 0; j < 2; j++) in[j] = cr_tensor_of(t, CR_FLOAT32, 1, &n, x[j] + part * FROM);
      cr_var y = cr_record(t, op, op->arity, in, NULL);
      cr_array a = cr_view(y);
      memcpy(out[part][0], a.data, (size_t)n * cr_dtype_size((cr_dtype)a.dtype));
      if (op->row->result != 'b') {
        double d[N];
        cr_sweep *s = cr_backward(cr_sum_all(cr_mul(y, in[1])));
        for (int j = 0; j < op->arity; j++) {
          cr_adjoint_read(s, in[j], d, n);
          for (int64_t k = 0; k < n; k++) out[part][1 + j][k] = (float)d[k];
        }
        cr_sweep_release(s);
      }
      cr_reset(t, mark);
    }
    const size_t size = op->row->result == 'b' ? 1 : sizeof(float);
    for (int j = 0; j < 3; j++)
      if (memcmp((const char *)out[0][j] + (j ? sizeof(float) : size) * FROM, out[1][j], (j ? sizeof(float) : size) * PART))
        fail_msg("%s: part %d", op->name, j);
  }
  assert_int_equal(cr_error(t), CR_OK);
  cr_free(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(functions_within_their_bounds),
                                     cmocka_unit_test(position_changes_nothing)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
