/* What the tests of bodies share: the comparison of a node made by a body with one made without, and some bodies. */
#ifndef COMPARE_BODIES_H
#define COMPARE_BODIES_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "chainrule.h"
#include "formula.h"
#include "function.h"

enum { MOST = 4096 };

/* Two nodes with the same numbers to the last bit. */
static inline void assert_same(cr_var a, cr_var b) {
  static double x[MOST], y[MOST];
  int64_t n = cr_count(a);
  assert_int_equal(n, cr_count(b));
  assert_true(n <= MOST);
  assert_int_equal(cr_read(a, x, n), CR_OK);
  assert_int_equal(cr_read(b, y, n), CR_OK);
  for (int64_t k = 0; k < n; k++) assert_memory_equal(&x[k], &y[k], sizeof *x);
}

static inline void assert_near(cr_var a, cr_var b, double tolerance) {
  static double x[MOST], y[MOST];
  int64_t n = cr_count(a);
  assert_int_equal(n, cr_count(b));
  assert_int_equal(cr_read(a, x, n), CR_OK);
  assert_int_equal(cr_read(b, y, n), CR_OK);
  for (int64_t k = 0; k < n; k++)
    if (!(fabs(x[k] - y[k]) <= tolerance * (1 + fabs(y[k])))) fail_msg("element %d: %.17g, not %.17g", (int)k, x[k], y[k]);
}

static inline void assert_fine(const cr_tape *t) {
  if (cr_error(t) != CR_OK) fail_msg("%s", cr_error_text(t));
}

static inline cr_var tensor(cr_tape *t, cr_dtype dtype, int rank, const int64_t *dims, uint64_t seed) {
  cr_var v = cr_tensor_of(t, dtype, rank, dims, NULL);
  cr_array a = cr_view(v);
  for (int64_t k = 0; k < a.count; k++) cr_array_set(&a, k, cr_randn_at(seed, (uint64_t)k) / 3);
  return v;
}

/* What any test wants of y(x): the value, its gradient by both sweeps, the gradient of a function of the gradient, a JVP,
 * and all of these through capture, equal to another node's. */
enum { DERIVED = 3 };

static inline int derive(cr_var y, int n, const cr_var *x, cr_var *out) {
  cr_tape *t = y.tape;
  cr_var g[8], h[8], dot[8], s = cr_sum_all(cr_mul(y, y));
  int made = 0;
  out[made++] = y;
  cr_grad(s, n, x, g);
  for (int k = 0; k < n; k++) out[made++] = g[k];
  cr_var q = cr_const(t, 0);
  for (int k = 0; k < n; k++) q = cr_add(q, cr_sum_all(cr_mul(cr_sin(g[k]), g[k])));
  cr_grad(q, n, x, h);
  for (int k = 0; k < n; k++) out[made++] = h[k];
  for (int k = 0; k < n; k++) {
    cr_array a = cr_view(x[k]);
    dot[k] = cr_full(t, (cr_dtype)a.dtype, a.rank, a.dim, 0.5 + k);
  }
  cr_jvp(1, &y, n, x, dot, &out[made++]);
  cr_jvp(1, &q, n, x, dot, &out[made++]);
  assert_fine(t);
  return made;
}

enum { MOST_DERIVED = 24 };

static inline void check_capture(cr_tape *t, int n, const cr_var *x, int m, const cr_var *y) {
  cr_fn *f = cr_capture(t, n, x, m, y, 0, NULL, CR_FN_EXACT);
  assert_fine(t);
  cr_workspace *w = cr_workspace_new(f);
  cr_array in[8], out[MOST_DERIVED];
  for (int k = 0; k < n; k++) in[k] = cr_view(x[k]);
  for (int k = 0; k < m; k++) {
    out[k] = cr_fn_output(f, k);
    out[k].data = calloc((size_t)out[k].count + 1, sizeof(double));
  }
  for (int round = 0; round < 2; round++) {
    if (cr_fn_run(f, w, in, out) != CR_OK) fail_msg("%s", cr_workspace_error(w));
    for (int k = 0; k < m; k++)
      assert_same(y[k], cr_constant_of(t, (cr_dtype)out[k].dtype, out[k].rank, out[k].dim, out[k].data));
    cr_workspace_threads(w, 3);
  }
  for (int k = 0; k < m; k++) free(out[k].data);
  cr_workspace_free(w);
  cr_fn_free(f);
}

static inline void check_sweep(cr_var y, int n, const cr_var *x, const cr_var *gradient, double tolerance) {
  cr_sweep *s = cr_backward(cr_sum_all(cr_mul(y, y)));
  assert_fine(y.tape);
  for (int k = 0; k < n; k++) assert_near(cr_adjoint_var(s, x[k]), gradient[k], tolerance);
}

/* y by a body's op, z without: the same in every respect. */
static inline void check_pair(cr_var y, cr_var z, int n, const cr_var *x, double tolerance) {
  cr_tape *t = y.tape;
  assert_fine(t);
  cr_var is[MOST_DERIVED], should[MOST_DERIVED];
  int m = derive(y, n, x, is);
  derive(z, n, x, should);
  double rounding = cr_dtype_of(y) == CR_FLOAT64 ? 1e-14 : 1e-5; /* second derivatives add up in another order */
  for (int k = 0; k < m; k++) {
    bool first = k <= n || k == 2 * n + 1;
    if (tolerance > 0 || !first) assert_near(is[k], should[k], first ? tolerance : rounding);
    else assert_same(is[k], should[k]);
  }
  check_sweep(y, n, x, is + 1, tolerance > 0 ? tolerance : 1e-15);
  check_capture(t, n, x, m, is);
}

/* Bodies */

static inline void layer(cr_tape *t, void *user, int n, const cr_var *in, int m, cr_var *out) {
  (void)t, (void)user, (void)n, (void)m;
  out[0] = cr_tanh(cr_add(cr_matmul(in[0], in[1]), in[2]));
}

static inline void two_results(cr_tape *t, void *user, int n, const cr_var *in, int m, cr_var *out) {
  (void)t, (void)n, (void)m;
  out[0] = cr_mul(cr_sin(in[0]), in[1]);
  out[1] = cr_sum_all(cr_mul(cr_exp(cr_mul(in[1], in[0])), cr_const(t, *(const double *)user)));
}

static inline void root_of(cr_tape *t, void *user, int n, const cr_var *in, int m, cr_var *out) {
  (void)t, (void)user, (void)n, (void)m;
  out[0] = cr_sqrt(cr_add(cr_mul(in[0], in[0]), cr_sum_all(in[1])));
}
static inline void product_of(cr_tape *t, void *user, int n, const cr_var *in, int m, cr_var *out) {
  (void)t, (void)user, (void)n, (void)m;
  out[0] = cr_mul(cr_exp(in[0]), cr_mean(in[1], -1, NULL, 0));
}

static inline void layer_of_scan(cr_tape *t, void *user, int n, const cr_var *in, int m, cr_var *out) {
  (void)t, (void)user, (void)n, (void)m;
  out[0] = cr_sin(cr_mul(in[0], in[1]));
}

static inline void square_minus(cr_tape *t, void *user, int n, const cr_var *in, int m, cr_var *out) {
  (void)t, (void)user, (void)n, (void)m;
  out[0] = cr_sub(cr_mul(in[0], in[0]), in[1]);
}

#endif
