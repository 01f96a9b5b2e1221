/* Convolutions of many channels and largest elements of windows, with their gradients, against plain loops: one to three
 * axes, strides, padding, dilation, groups, ties, NaN and infinities; and that threads and capture change no bit. */
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <cmocka.h>

#include "chance.h"
#include "function.h"
#include "ops.h"

static void same_numbers(const cr_array *a, const cr_array *b) {
  assert_int_equal(a->count, b->count);
  for (int64_t k = 0; k < a->count; k++) assert_true(cr_array_get(a, k) == cr_array_get(b, k));
}
static void same(cr_var x, cr_var y) {
  cr_array a = cr_view(x), b = cr_view(y);
  same_numbers(&a, &b);
}

/* Convolution: with g the cotangent, everything that x[b, c, t] w[o, c, k] goes to. */

typedef struct plain {
  double *y, *dx, *dw, *db;
} plain;

/* The element of the input under position p of the result and k of the kernel, all flat; -1 if there is none. */
static int64_t under(const cr_array *x, const cr_array *w, const cr_array *y, const cr_conv *c, int64_t p, int64_t k) {
  int64_t at = 0, step = 1;
  for (int i = x->rank - 3; i >= 0; p /= y->dim[i + 2], k /= w->dim[i + 2], step *= x->dim[i + 2], i--) {
    int64_t t = p % y->dim[i + 2] * c->stride[i] + k % w->dim[i + 2] * c->dilation[i] - c->pad_lo[i];
    if (t < 0 || t % c->input_dilation[i] || t / c->input_dilation[i] >= x->dim[i + 2]) return -1;
    at += t / c->input_dilation[i] * step;
  }
  return at;
}

static plain convolved(const cr_array *x, const cr_array *w, const cr_array *y, const cr_array *g, const cr_array *bias,
                       const cr_conv *c) {
  plain r = {calloc((size_t)y->count, 8), calloc((size_t)x->count, 8), calloc((size_t)w->count, 8),
             calloc((size_t)bias->count, 8)};
  int64_t out = y->dim[1], in = w->dim[1], ps = y->count / (y->dim[0] * out), ks = w->count / (out * in);
  int64_t ts = x->count / (x->dim[0] * x->dim[1]);
  assert_true(r.y && r.dx && r.dw && r.db);
  for (int64_t n = 0; n < y->count; n++) {
    int64_t p = n % ps, o = n / ps % out, b = n / ps / out, group = o / (out / c->groups);
    double dy = cr_array_get(g, n);
    r.y[n] = cr_array_get(bias, o), r.db[o] += dy;
    for (int64_t k = 0; k < ks; k++) {
      int64_t t = under(x, w, y, c, p, k);
      for (int64_t i = 0; i < in && t >= 0; i++) {
        int64_t from = (b * x->dim[1] + group * in + i) * ts + t, by = (o * in + i) * ks + k;
        r.y[n] += cr_array_get(x, from) * cr_array_get(w, by);
        r.dx[from] += dy * cr_array_get(w, by), r.dw[by] += dy * cr_array_get(x, from);
      }
    }
  }
  return r;
}

static void equals(cr_var v, const double *want, double tolerance, const char *what) {
  cr_array a = cr_view(v);
  for (int64_t k = 0; k < a.count; k++)
    if (!(fabs(cr_array_get(&a, k) - want[k]) <= tolerance * (10 + fabs(want[k]))))
      fail_msg("%s: element %d is %.17g, not %.17g", what, (int)k, cr_array_get(&a, k), want[k]);
}

/* 1 where the kernel fits and all was compared. */
static int check_convolution(cr_dtype dtype, int axes, const int64_t *x_dim, const int64_t *w_dim, const cr_conv *c) {
  cr_tape *t = cr_new();
  double tolerance = dtype == CR_FLOAT64 ? 1e-13 : 3e-5;
  cr_var x = numbers(t, dtype, axes + 2, x_dim), w = numbers(t, dtype, axes + 2, w_dim), b = numbers(t, dtype, 1, w_dim);
  cr_var in[3] = {x, w, b}, d[3], again[4], y = cr_convolve_bias(x, w, b, c);
  if (cr_error(t) == CR_BAD_SHAPE) {
    cr_free(t);
    return 0;
  }
  assert_int_equal(cr_error(t), CR_OK);
  cr_array shape = cr_view(y);
  cr_var g = cr_randn(t, dtype, shape.rank, shape.dim, 99);
  assert_int_equal(cr_vjp(y, g, 3, in, d), CR_OK);
  cr_array a[5] = {cr_view(x), cr_view(w), shape, cr_view(g), cr_view(b)};
  plain want = convolved(&a[0], &a[1], &a[2], &a[3], &a[4], c);
  cr_set(t, CR_THREADS, 3);
  again[3] = cr_convolve_bias(x, w, b, c);
  assert_int_equal(cr_vjp(again[3], g, 3, in, again), CR_OK);
  same(y, again[3]);
  for (int k = 0; k < 3; k++) same(d[k], again[k]);
  equals(cr_add_channels(cr_convolve(x, w, c), b), want.y, tolerance, "composed");
  equals(y, want.y, tolerance, "result");
  equals(d[0], want.dx, tolerance, "to the input");
  equals(d[1], want.dw, tolerance, "to the weight");
  equals(d[2], want.db, tolerance, "to the bias");
  free(want.y), free(want.dx), free(want.dw), free(want.db);
  cr_free(t);
  return 1;
}

static void many_channels(void **state) {
  (void)state;
  int compared = 0;
  for (int k = 0; k < 150; k++) {
    const int axes = (int)between(1, 3), most = axes == 1 ? 40 : axes == 2 ? 12 : 6;
    cr_conv c = {.groups = between(1, 2)};
    int64_t in = between(1, 20), x[5] = {between(1, 4), in * c.groups}, w[5] = {c.groups * between(1, k % 5 ? 24 : 70), in};
    for (int i = 0; i < axes; i++) {
      x[i + 2] = between(1, most), w[i + 2] = between(1, axes == 3 ? 3 : 5);
      c.stride[i] = between(1, k % 3 ? 1 : 3), c.dilation[i] = between(1, k % 4 ? 1 : 2);
      c.input_dilation[i] = between(1, k % 5 ? 1 : 3), c.pad_lo[i] = between(-1, 4), c.pad_hi[i] = between(-1, 4);
      if (k % 2) c.pad_lo[i] = c.pad_hi[i] = 0;
    }
    compared += check_convolution(k % 3 ? CR_FLOAT32 : CR_FLOAT64, axes, x, w, &c);
  }
  assert_true(compared > 80);
}

/* Beyond one block of rows, of channels and of positions of the kernel. */
static void beyond_blocks(void **state) {
  (void)state;
  cr_conv usual = {.stride = {1, 1, 1}, .dilation = {1, 1, 1}, .input_dilation = {1, 1, 1}, .groups = 1}, padded = usual;
  padded.pad_lo[0] = padded.pad_lo[1] = 1, padded.pad_hi[0] = padded.pad_hi[1] = 2;
  for (int d = CR_FLOAT32; d <= CR_FLOAT64; d++)
    for (int k = 0; k < 2; k++) {
      const cr_conv *c = k ? &padded : &usual;
      assert_true(check_convolution((cr_dtype)d, 2, (int64_t[]){2, 2, 60, 41}, (int64_t[]){19, 2, 3, 4}, c));
      assert_true(check_convolution((cr_dtype)d, 2, (int64_t[]){2, 90, 6, 7}, (int64_t[]){100, 90, 3, 3}, c));
      assert_true(check_convolution((cr_dtype)d, 2, (int64_t[]){3, 1, 40, 40}, (int64_t[]){16, 1, 25, 30}, c));
      assert_true(check_convolution((cr_dtype)d, 2, (int64_t[]){130, 3, 3, 3}, (int64_t[]){16, 3, 2, 2}, c));
    }
}

/* Windows: the first of the largest elements, or the last NaN. */

static int64_t largest(const cr_array *x, const cr_pool *how, int64_t plane, const int64_t *corner) {
  const int axes = x->rank - 2;
  int64_t found = -1, taps = 1, n = 1;
  for (int i = 0; i < axes; i++) taps *= how->kernel[i], n *= x->dim[i + 2];
  for (int64_t k = 0; k < taps; k++) {
    int64_t rest = k, at = 0, step = 1, inside = 1;
    for (int i = axes - 1; i >= 0; rest /= how->kernel[i], step *= x->dim[i + 2], i--) {
      int64_t place = corner[i] + rest % how->kernel[i] * how->dilation[i];
      inside = inside && place >= 0 && place < x->dim[i + 2];
      at += place * step;
    }
    if (!inside) continue;
    double now = cr_array_get(x, plane * n + at), best = found < 0 ? 0 : cr_array_get(x, plane * n + found);
    if (found < 0 || now > best || isnan(now)) found = at;
  }
  return found;
}

static void check_pool(cr_tape *t, cr_var x, const cr_pool *how) {
  cr_var index, y = cr_max_pool(x, how, &index), g, dx;
  if (cr_error(t) != CR_OK) return;
  cr_array a = cr_view(x), at = cr_view(index), z = cr_view(y);
  g = cr_randn(t, (cr_dtype)a.dtype, z.rank, z.dim, 3);
  assert_int_equal(cr_vjp(y, g, 1, &x, &dx), CR_OK);
  cr_array dy = cr_view(g), d = cr_view(dx);
  int64_t m = z.count / (z.dim[0] * z.dim[1]), n = a.count / (z.dim[0] * z.dim[1]), corner[CR_MAX_SPATIAL];
  double *want = calloc((size_t)a.count, sizeof *want);
  for (int64_t k = 0; k < z.count; k++) {
    int64_t rest = k;
    for (int i = a.rank - 3; i >= 0; rest /= z.dim[i + 2], i--)
      corner[i] = rest % z.dim[i + 2] * how->stride[i] - how->padding[i];
    int64_t found = largest(&a, how, k / m, corner);
    assert_int_equal(cr_array_get_int(&at, k), found);
    double value = cr_array_get(&a, k / m * n + found), got = cr_array_get(&z, k);
    assert_true(got == value || (isnan(got) && isnan(value)));
    want[k / m * n + found] += cr_array_get(&dy, k);
  }
  for (int64_t k = 0; k < a.count; k++) assert_true(fabs(want[k] - cr_array_get(&d, k)) <= 1e-5);
  free(want);
}

static void windows(void **state) {
  (void)state;
  for (int k = 0; k < 300; k++) {
    const int axes = (int)between(1, 3);
    const cr_dtype dtype = k % 2 ? CR_FLOAT32 : CR_FLOAT64;
    cr_tape *t = cr_new();
    cr_pool how = {.ceil_mode = (int)between(0, 1)};
    int64_t dims[5] = {between(1, 3), between(1, 3)};
    for (int i = 0; i < axes; i++) {
      dims[i + 2] = between(1, axes == 3 ? 7 : 30);
      how.kernel[i] = between(1, 4), how.stride[i] = between(1, 4), how.dilation[i] = between(1, k % 3 ? 1 : 3);
      how.padding[i] = between(0, k % 4 ? 0 : ((how.kernel[i] - 1) * how.dilation[i] + 1) / 2);
      if (k % 5 == 0) how.kernel[i] = how.stride[i] = 2, how.dilation[i] = 1, how.padding[i] = 0;
    }
    cr_var x = numbers(t, dtype, axes + 2, dims);
    cr_array a = cr_view(x);
    for (int64_t i = 0; i < a.count; i++) { /* ties, zeros of both signs, infinities, NaN */
      int64_t kind = between(0, k % 7 ? 9 : 12);
      const double some[] = {-(double)INFINITY, (double)INFINITY, (double)NAN};
      double now = kind > 4 ? (double)(kind - 7) : kind > 3 ? -0.0 : cr_array_get(&a, i);
      cr_array_set(&a, i, kind > 9 ? some[kind - 10] : now);
    }
    if (k % 11 == 0)
      for (int64_t i = 0; i < a.count; i++) cr_array_set(&a, i, -(double)INFINITY);
    check_pool(t, x, &how);
    cr_free(t);
  }
}

/* A network's steps as a captured function: bias, activation and their cotangents run within convolution and pooling. */
static void captured_bits(void **state) {
  (void)state;
  for (int d = CR_FLOAT32; d <= CR_FLOAT64; d++)
    for (int passes = 0; passes < 2; passes++) {
      cr_tape *t = cr_new();
      cr_dtype dtype = (cr_dtype)d;
      cr_var in[3] = {numbers(t, dtype, 4, (int64_t[]){3, 2, 13, 12}), numbers(t, dtype, 4, (int64_t[]){16, 2, 3, 3}),
                      numbers(t, dtype, 1, (int64_t[]){16})}, out[4];
      cr_var h = cr_relu(cr_convolve_bias(in[0], in[1], in[2], NULL));
      out[3] = cr_sum_all(cr_square(cr_max_pool(h, &(cr_pool){.kernel = {2, 2}}, NULL)));
      assert_int_equal(cr_grad(out[3], 3, in, out), CR_OK);
      cr_fn *f = cr_capture(t, 3, in, 4, out, 0, NULL, passes ? CR_FN_EXACT : CR_FN_EXACT & ~(unsigned)CR_FN_TAIL);
      cr_workspace *w = f ? cr_workspace_new(f) : NULL;
      cr_array x[3], y[4];
      char *numbers_of[4];
      assert_non_null(w);
      cr_workspace_threads(w, 2);
      for (int k = 0; k < 3; k++) x[k] = cr_view(in[k]);
      for (int k = 0; k < 4; k++) {
        cr_array like = cr_view(out[k]);
        cr_array_init(&y[k], dtype, like.rank, like.dim);
        y[k].data = numbers_of[k] = calloc((size_t)y[k].count, cr_dtype_size(dtype));
        assert_non_null(y[k].data);
      }
      assert_int_equal(cr_fn_run(f, w, x, y), CR_OK);
      for (int k = 0; k < 4; k++) {
        cr_array want = cr_view(out[k]);
        same_numbers(&y[k], &want);
        free(numbers_of[k]);
      }
      cr_workspace_free(w);
      cr_fn_free(f);
      cr_free(t);
    }
}

static void errors(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  cr_var x = numbers(t, CR_FLOAT64, 4, (int64_t[]){1, 2, 4, 4}), w = numbers(t, CR_FLOAT64, 4, (int64_t[]){3, 2, 2, 2});
  assert_true(cr_is_poison(cr_convolve_bias(x, w, numbers(t, CR_FLOAT64, 1, (int64_t[]){2}), NULL)));
  assert_non_null(strstr(cr_error_text(t), "a bias of 2 numbers does not go with axis 1 of shape (1, 3, 3, 3)"));
  cr_free(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(many_channels), cmocka_unit_test(beyond_blocks),
                                     cmocka_unit_test(windows), cmocka_unit_test(captured_bits), cmocka_unit_test(errors)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
