/* Matrices: products over all strides, kernels against plain sums, gradients at singular matrices, batches, errors. */
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <cmocka.h>

#include "gemm.h"
#include "ops.h"

/* The k-th of a fixed series of numbers in (-1, 1). */
static double number(int64_t k) {
  uint64_t x = (uint64_t)(k + 1) * 0x9e3779b97f4a7c15u;
  x = (x ^ x >> 31) * 0xbf58476d1ce4e5b9u;
  return (double)(x >> 11) * 0x1p-52 - 1;
}

static cr_var sample(cr_tape *t, cr_dtype dtype, int rank, const int64_t *dims, int64_t seed) {
  cr_var x = cr_tensor_of(t, dtype, rank, dims, NULL);
  cr_array a = cr_view(x);
  for (int64_t k = 0; k < a.count; k++) cr_array_set(&a, k, number(1000 * seed + k));
  return x;
}

static double at(cr_var x, int64_t k) {
  cr_array a = cr_view(x);
  return cr_array_get(&a, k);
}

/* Largest difference between c and the sums that define a @ b, for operands of two axes and more. */
static double product_error(cr_var a, cr_var b, cr_var c) {
  cr_array x = cr_view(a), y = cr_view(b), z = cr_view(c);
  int64_t m = x.dim[x.rank - 2], k = x.dim[x.rank - 1], n = y.dim[y.rank - 1], batch = m && n ? z.count / (m * n) : 0;
  int64_t from_a = x.count / (m * k) == batch ? m * k : 0, from_b = y.count / (k * n) == batch ? k * n : 0;
  double worst = 0;
  for (int64_t q = 0; q < batch; q++)
    for (int64_t i = 0; i < m; i++)
      for (int64_t j = 0; j < n; j++) {
        double s = 0;
        for (int64_t l = 0; l < k; l++)
          s += cr_array_get(&x, q * from_a + i * k + l) * cr_array_get(&y, q * from_b + l * n + j);
        worst = fmax(worst, fabs(s - cr_array_get(&z, (q * m + i) * n + j)));
      }
  return worst;
}

static void products_over_strides(void **state) {
  (void)state;
  const int64_t sizes[] = {1, 2, 5, 17, 49}; /* tiles of few rows and of all, vectors with one lane in use and with all */
  for (int p = 0; p < 5 * 5 * 5 * 8; p++) {
    cr_tape *t = cr_new();
    int64_t m = sizes[p % 5], k = sizes[p / 5 % 5], n = sizes[p / 25 % 5];
    int turned = p / 125 % 2, other = p / 250 % 2, single = p / 500 % 2;
    cr_dtype dtype = single ? CR_FLOAT32 : CR_FLOAT64;
    cr_var a =
        turned ? cr_matrix_transpose(sample(t, dtype, 2, (int64_t[]){k, m}, 1)) : sample(t, dtype, 2, (int64_t[]){m, k}, 1);
    cr_var b =
        other ? cr_matrix_transpose(sample(t, dtype, 2, (int64_t[]){n, k}, 2)) : sample(t, dtype, 2, (int64_t[]){k, n}, 2);
    assert_true(product_error(a, b, cr_matmul(a, b)) < (single ? 1e-4 : 1e-13));
    cr_var row = cr_broadcast_to(sample(t, dtype, 2, (int64_t[]){1, k}, 3), 2, (int64_t[]){m, k}); /* rows that overlap */
    assert_true(product_error(row, b, cr_matmul(row, b)) < (single ? 1e-4 : 1e-13));
    cr_var back = cr_flip(a, 1, (int[]){0});
    assert_true(product_error(back, b, cr_matmul(back, b)) < (single ? 1e-4 : 1e-13));
    assert_int_equal(cr_error(t), CR_OK);
    cr_free(t);
  }
}

/* A matrix times a vector, by a kernel and by scalar products. */
static void vectors_short_and_long(void **state) {
  (void)state;
  for (int64_t k = 126; k < 130; k++) {
    cr_tape *t = cr_new();
    cr_var a = sample(t, CR_FLOAT32, 2, (int64_t[]){9, k}, 1), b = sample(t, CR_FLOAT32, 2, (int64_t[]){k, 1}, 2);
    assert_true(product_error(a, b, cr_matmul(a, b)) < 1e-4);
    assert_int_equal(cr_error(t), CR_OK);
    cr_free(t);
  }
}

/* Beyond one part, panel and block of the kernels: whole and broken ones, few rows and many, packed or not. Some elements of
 * each, the last ones among them, against their sums; one thread and two give the same bits. */
static void large_products(void **state) {
  (void)state;
  const int64_t rows[] = {7, 24, 70, 300}, inner[] = {10, 200, 500}, columns[] = {10, 64, 101, 440};
  for (int p = 0; p < 4 * 3 * 4 * 8; p++) {
    cr_tape *t = cr_new();
    int64_t m = rows[p % 4], k = inner[p / 4 % 3], n = columns[p / 12 % 4];
    int turned = p / 48 % 2, other = p / 96 % 2, single = p / 192 % 2;
    cr_dtype dtype = single ? CR_FLOAT32 : CR_FLOAT64;
    cr_var a = sample(t, dtype, 2, turned ? (int64_t[]){k, m} : (int64_t[]){m, k}, 1), b = a, c;
    if (turned) a = cr_matrix_transpose(a);
    b = sample(t, dtype, 2, other ? (int64_t[]){n, k} : (int64_t[]){k, n}, 2);
    if (other) b = cr_matrix_transpose(b);
    c = cr_matmul(a, b);
    cr_array x = cr_view(a), y = cr_view(b), z = cr_view(c);
    for (int64_t at = m * n - 1; at >= 0; at -= 1 + m * n / 100) {
      double s = 0;
      for (int64_t l = 0; l < k; l++) s += cr_array_get(&x, at / n * k + l) * cr_array_get(&y, l * n + at % n);
      assert_true(fabs(s - cr_array_get(&z, at)) < (single ? 1e-4 : 1e-13) * 10);
    }
    cr_set(t, CR_THREADS, 2);
    cr_array again = cr_view(cr_matmul(a, b));
    assert_memory_equal(again.data, z.data, (size_t)z.count * cr_dtype_size(dtype));
    assert_int_equal(cr_error(t), CR_OK);
    cr_free(t);
  }
}

static void shape_of_product(cr_tape *t, int ra, const int64_t *da, int rb, const int64_t *db, const char *expected) {
  char shape[200];
  cr_array c = cr_view(cr_matmul(sample(t, CR_FLOAT64, ra, da, 1), sample(t, CR_FLOAT64, rb, db, 2)));
  assert_string_equal(cr_shape_text(&c, shape, sizeof shape), expected);
}

static void count_block(void *context, int64_t row, int64_t col, int64_t rows, int64_t cols, void *c, int64_t c_row) {
  int *seen = context;
  (void)c;
  for (int64_t i = row; i < row + rows; i++)
    for (int64_t j = col; j < col + cols; j++) seen[i * c_row + j]++;
}

/* With a bias and with B packed beforehand: the same bits as without, then one addition; each number is finished once. */
static void epilogues_and_packed_operands(void **state) {
  (void)state;
  enum { M = 70, N = 130, K = 410 };
  static float a[M * K], b[K * N], plain[M * N], c[M * N], bias[N];
  static int seen[M * N];
  for (int i = 0; i < M * K; i++) a[i] = (float)number(i);
  for (int i = 0; i < K * N; i++) b[i] = (float)number(M * K + i);
  for (int i = 0; i < N; i++) bias[i] = (float)number(-i - 1);
  for (int across = 0; across < 2; across++) {
    cr__product p = {.m = M, .n = N, .k = K, .a = a, .a_row = K, .a_col = 1, .b = b, .b_row = across ? 1 : N,
                     .b_col = across ? K : 1, .c = plain, .c_row = N};
    void *packed = aligned_alloc(64, (cr__gemm_packed_bytes(CR_FLOAT32, &p) + 63) / 64 * 64);
    assert_non_null(packed);
    cr__gemm(CR_FLOAT32, &p);
    cr__gemm_pack(CR_FLOAT32, &p, packed);
    memset(seen, 0, sizeof seen);
    p.c = c, p.bias = bias, p.finish = count_block, p.context = seen, p.shares = 2, p.packed = packed;
    cr__gemm(CR_FLOAT32, &p);
    for (int i = 0; i < M * N; i++) {
      assert_int_equal(seen[i], 1);
      assert_true(c[i] == plain[i] + bias[i % N]);
    }
    free(packed);
  }
}

static void shapes_of_products(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  shape_of_product(t, 1, (int64_t[]){3}, 1, (int64_t[]){3}, "()");
  shape_of_product(t, 1, (int64_t[]){3}, 2, (int64_t[]){3, 4}, "(4,)");
  shape_of_product(t, 2, (int64_t[]){4, 3}, 1, (int64_t[]){3}, "(4,)");
  shape_of_product(t, 3, (int64_t[]){5, 4, 3}, 1, (int64_t[]){3}, "(5, 4)");
  shape_of_product(t, 1, (int64_t[]){3}, 3, (int64_t[]){5, 3, 4}, "(5, 4)");
  shape_of_product(t, 4, (int64_t[]){2, 1, 4, 3}, 3, (int64_t[]){5, 3, 6}, "(2, 5, 4, 6)");
  shape_of_product(t, 2, (int64_t[]){4, 0}, 2, (int64_t[]){0, 3}, "(4, 3)");
  shape_of_product(t, 3, (int64_t[]){0, 4, 3}, 2, (int64_t[]){3, 2}, "(0, 4, 2)");
  assert_int_equal(cr_error(t), CR_OK);
  cr_free(t);
}

static void integers_and_long_sums(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  int64_t big[] = {1LL << 40, 3, -1, 2}, n = 1 << 20;
  cr_var m = cr_tensor_of(t, CR_INT64, 2, (int64_t[]){2, 2}, big), p = cr_matmul(m, m);
  cr_array a = cr_view(p);
  assert_int_equal(cr_array_get_int(&a, 1), 3 * (1LL << 40) + 6);
  cr_var x = cr_full(t, CR_FLOAT32, 1, &n, 0.1), y = cr_dot(x, x);
  assert_true(fabs(cr_value(y) / (0.01 * (double)n) - 1) < 1e-7); /* sums of single precision are taken in double */
  cr_free(t);
}

/* Gradient of det against cofactors by deletion, for a matrix of rank n - 1 and one of rank n - 2. */
static void check_det_gradient(int n, int rank) {
  cr_tape *t = cr_new();
  cr_var a = sample(t, CR_FLOAT64, 2, (int64_t[]){n, n}, n);
  cr_array m = cr_view(a);
  for (int i = rank; i < n; i++)
    for (int j = 0; j < n; j++) cr_array_set(&m, i * n + j, 2 * cr_array_get(&m, (i - rank) * n + j));
  cr_var g, y = cr_det(a);
  assert_int_equal(cr_grad(y, 1, &a, &g), CR_OK);
  assert_true(fabs(cr_value(y)) < 1e-13);
  for (int i = 0; i < n; i++)
    for (int j = 0; j < n; j++) {
      cr_var rest = cr_tensor_of(t, CR_FLOAT64, 2, (int64_t[]){n - 1, n - 1}, NULL);
      cr_array r = cr_view(rest);
      for (int p = 0, k = 0; p < n; p++)
        for (int q = 0; q < n; q++)
          if (p != i && q != j) cr_array_set(&r, k++, at(a, p * n + q));
      assert_true(fabs(at(g, i * n + j) - ((i + j) % 2 ? -1 : 1) * cr_value(cr_det(rest))) < 1e-12);
    }
  cr_free(t);
}

static void det_of_singular_matrices(void **state) {
  (void)state;
  for (int n = 2; n <= 6; n++) {
    check_det_gradient(n, n - 1);
    if (n > 3) check_det_gradient(n, n - 2);
  }
}

/* The Hessian of det at a matrix of zeros but for ones at k places of the diagonal: that of the product of the others. */
static void second_derivatives_of_det(void **state) {
  (void)state;
  for (int n = 2; n <= 6; n++) {
    cr_tape *t = cr_new();
    cr_var a = cr_tensor_of(t, CR_FLOAT64, 2, (int64_t[]){n, n}, NULL);
    cr_array m = cr_view(a);
    for (int i = 2; i < n; i++) cr_array_set(&m, i * (n + 1), 1);
    double *h = calloc((size_t)(n * n * n * n), sizeof *h);
    assert_int_equal(cr_hessian(cr_det(a), a, h), CR_OK);
    for (int p = 0; p < n * n; p++)
      for (int q = 0; q < n * n; q++) {
        double expected = (p == 0 && q == n + 1) || (p == n + 1 && q == 0) ? 1
                          : (p == 1 && q == n) || (p == n && q == 1)       ? -1
                                                                           : 0;
        assert_true(fabs(h[p * n * n + q] - expected) < 1e-14);
      }
    free(h);
    cr_free(t);
  }
}

static void what_has_no_answer_is_nan(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  double singular[] = {1, 2, 2, 4}, indefinite[] = {1, 2, 2, 1};
  cr_var s = cr_tensor_of(t, CR_FLOAT64, 2, (int64_t[]){2, 2}, singular), sign, size;
  cr_var i = cr_tensor_of(t, CR_FLOAT64, 2, (int64_t[]){2, 2}, indefinite);
  assert_true(isnan(at(cr_inv(s), 0)) && isnan(at(cr_cholesky(i, 0), 0)) && isnan(at(cr_pinv(s), 0)));
  size = cr_slogdet(s, &sign);
  assert_true(cr_value(sign) == 0 && isinf(cr_value(size)) && cr_value(size) < 0);
  assert_true(isinf(cr_value(cr_logdet(s))) && isnan(cr_value(cr_logdet(i))));
  assert_int_equal(cr_error(t), CR_OK);
  cr_free(t);
}

static void determinants_out_of_range(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  double far[] = {1e200, 0, 0, 0, 1e200, 0, 0, 0, 1e-300}, all_big[] = {1e200, 0, 0, -1e200};
  cr_var a = cr_tensor_of(t, CR_FLOAT64, 2, (int64_t[]){3, 3}, far),
         b = cr_tensor_of(t, CR_FLOAT64, 2, (int64_t[]){2, 2}, all_big), sign;
  assert_true(fabs(cr_value(cr_det(a)) / 1e100 - 1) < 1e-14);
  assert_true(fabs(cr_value(cr_slogdet(b, &sign)) / (400 * log(10)) - 1) < 1e-15);
  assert_true(cr_value(sign) == -1);
  cr_free(t);
}

/* Every op on a batch gives what it gives matrix by matrix. */
static cr_var first_of(cr_var x, int which) {
  switch (which) {
    case 0: return cr_det(x);
    case 1: return cr_inv(x);
    case 2: return cr_svdvals(x);
    case 3: return cr_eigvalsh(x);
    case 4: return cr_matrix_power(x, -3);
    case 5: return cr_cholesky(cr_matmul(x, cr_matrix_transpose(x)), 0);
    case 6: return cr_pinv(x);
    case 7: return cr_solve(x, x, 0);
    default: return cr_slogdet(x, NULL);
  }
}

static void batches(void **state) {
  (void)state;
  for (int which = 0; which < 9; which++)
    for (int n = 0; n <= 5; n++) {
      cr_tape *t = cr_new();
      cr_var x = sample(t, CR_FLOAT64, 4, (int64_t[]){n, 2, 3, n}, n + which), g, h;
      x = cr_permute(x, 4, (int[]){2, 1, 3, 0}); /* (3, 2, n, n), strided */
      cr_var y = first_of(x, which);
      int64_t per = cr_count(y) / 6;
      assert_int_equal(cr_error(t), CR_OK);
      assert_int_equal(cr_grad(y, 1, &x, &g), CR_OK);
      for (int q = 0; q < 6; q++) {
        cr_var one = cr_tensor_of(t, CR_FLOAT64, 2, (int64_t[]){n, n}, NULL);
        cr_array a = cr_view(one);
        for (int k = 0; k < n * n; k++) cr_array_set(&a, k, at(x, q * n * n + k));
        cr_var z = first_of(one, which);
        for (int64_t k = 0; k < per; k++) assert_true(at(y, q * per + k) == at(z, k));
        assert_int_equal(cr_grad(z, 1, &one, &h), CR_OK);
        for (int k = 0; k < n * n; k++) assert_true(fabs(at(g, q * n * n + k) - at(h, k)) <= 1e-12 * (1 + fabs(at(h, k))));
      }
      cr_free(t);
    }
}

/* A decomposition of a larger matrix gives the matrix again, also where its rank falls short. */
static void decompositions(void **state) {
  (void)state;
  for (int m = 1; m < 40; m += 9)
    for (int n = 1; n < 40; n += 6) {
      cr_tape *t = cr_new();
      int64_t rank = m < n ? m : n;
      cr_var a = sample(t, CR_FLOAT64, 2, (int64_t[]){m, rank / 2 + 1}, 1),
             b = sample(t, CR_FLOAT64, 2, (int64_t[]){rank / 2 + 1, n}, 2);
      cr_var x = cr_matmul(a, b), s, v, u = cr_svd(x, &s, &v), vt = cr_matrix_transpose(v),
             unit = cr_matmul(cr_matrix_transpose(u), u);
      cr_var again = cr_matmul(cr_mul(u, s), vt), square = cr_matmul(x, cr_matrix_transpose(x));
      cr_var w = cr_eigvalsh(square), vectors = cr_eigh_vectors(square);
      cr_var same = cr_matmul(cr_mul(vectors, w), cr_matrix_transpose(vectors));
      for (int64_t k = 0; k < m * n; k++) assert_true(fabs(at(again, k) - at(x, k)) < 1e-12);
      for (int64_t k = 0; k < rank * rank; k++) assert_true(fabs(at(unit, k) - (k % (rank + 1) == 0)) < 1e-13);
      for (int64_t k = 0; k < (int64_t)m * m; k++) assert_true(fabs(at(same, k) - at(square, k)) < 1e-11);
      for (int64_t k = 1; k < rank; k++) assert_true(at(s, k - 1) >= at(s, k));
      cr_free(t);
    }
}

static void repeated_eigenvalues_have_finite_derivatives(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  double identity[] = {1, 0, 0, 0, 1, 0, 0, 0, 1}, h[81];
  cr_var x = cr_tensor_of(t, CR_FLOAT64, 2, (int64_t[]){3, 3}, identity), g;
  cr_var y = cr_sum_all(cr_exp(cr_eigvalsh(x)));
  assert_int_equal(cr_grad(y, 1, &x, &g), CR_OK);
  for (int k = 0; k < 9; k++) assert_true(fabs(at(g, k) - identity[k] * exp(1)) < 1e-14);
  assert_int_equal(cr_hessian(cr_sum_all(cr_svdvals(x)), x, h), CR_OK);
  for (int k = 0; k < 81; k++) assert_true(isfinite(h[k]));
  cr_free(t);
}

static void expect_error(cr_tape *t, cr_var x, const char *words) {
  if (!cr_is_poison(x)) fail_msg("no error that says %s", words);
  if (!strstr(cr_error_text(t), words)) fail_msg("%s", cr_error_text(t));
  cr_clear_error(t);
}

static void errors_name_what_differs(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  cr_var a = sample(t, CR_FLOAT64, 2, (int64_t[]){2, 3}, 1), b = sample(t, CR_FLOAT64, 2, (int64_t[]){4, 2}, 2);
  cr_var v = sample(t, CR_FLOAT64, 1, (int64_t[]){3}, 3), q = sample(t, CR_FLOAT64, 2, (int64_t[]){2, 2}, 4);
  cr_var single = cr_cast(b, CR_FLOAT32);
  expect_error(t, cr_matmul(a, b), "inner dimensions 3 and 4 differ");
  expect_error(t, cr_matmul(a, cr_input(t, 2)), "no axis");
  expect_error(
      t, cr_matmul(sample(t, CR_FLOAT64, 3, (int64_t[]){2, 2, 3}, 1), sample(t, CR_FLOAT64, 3, (int64_t[]){3, 3, 2}, 1)),
      "batch shapes (2,) and (3,)");
  expect_error(t, cr_matmul(b, cr_matrix_transpose(cr_cast(a, CR_FLOAT64))), "inner dimensions 2 and 3");
  assert_int_equal(cr_dtype_of(cr_matmul(cr_matrix_transpose(single), b)), CR_FLOAT64);
  expect_error(t, cr_inv(a), "(2, 3)");
  expect_error(t, cr_det(v), "two axes");
  expect_error(t, cr_det(a), "not square");
  expect_error(t, cr_solve(q, b, 1), "2 equations");
  expect_error(t, cr_dot(v, a), "two vectors");
  expect_error(t, cr_cross(a, q, -1), "broadcast");
  expect_error(t, cr_cross(q, q, 0), "size 3");
  expect_error(t, cr_einsum(t, "ij,jk", 1, &a), "more terms");
  expect_error(t, cr_einsum(t, "ij->ik", 1, &a), "no operand");
  expect_error(t, cr_einsum(t, "ij,jk", 2, (cr_var[]){a, b}), "size 4 where another has 3");
  expect_error(t, cr_einsum(t, "ijk", 1, &a), "axes");
  expect_error(t, cr_matrix_norm(a, CR_NUCLEAR, 1, -1, 0), "axes 1 and -1");
  cr_free(t);
}

static void einsum_against_products(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  cr_var a = sample(t, CR_FLOAT64, 3, (int64_t[]){2, 3, 4}, 1), b = sample(t, CR_FLOAT64, 3, (int64_t[]){2, 4, 5}, 2);
  cr_var one = cr_einsum(t, "bij,bjk->bik", 2, (cr_var[]){a, b}), two = cr_matmul(a, b);
  for (int64_t k = 0; k < cr_count(two); k++) assert_true(fabs(at(one, k) - at(two, k)) < 1e-14);
  /* a trace within three operands, an ellipsis, a label summed alone, an axis of size 1 that broadcasts */
  cr_var c = sample(t, CR_FLOAT64, 3, (int64_t[]){3, 3, 2}, 3), d = sample(t, CR_FLOAT64, 2, (int64_t[]){1, 5}, 4);
  cr_var y = cr_einsum(t, "iib, b...k, lk -> k...", 3, (cr_var[]){c, b, d});
  double expected = 0;
  for (int i = 0; i < 3; i++)
    for (int q = 0; q < 2; q++) expected += at(c, i * 8 + q) * at(b, q * 20 + 3 * 5 + 2);
  assert_true(fabs(at(y, 2 * 4 + 3) - expected * at(d, 2)) < 1e-14);
  assert_int_equal(cr_error(t), CR_OK);
  cr_free(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(products_over_strides),
    cmocka_unit_test(vectors_short_and_long), cmocka_unit_test(large_products),
    cmocka_unit_test(epilogues_and_packed_operands),
    cmocka_unit_test(shapes_of_products),
    cmocka_unit_test(integers_and_long_sums),
    cmocka_unit_test(det_of_singular_matrices),
    cmocka_unit_test(second_derivatives_of_det),
    cmocka_unit_test(what_has_no_answer_is_nan),
    cmocka_unit_test(determinants_out_of_range),
    cmocka_unit_test(batches),
    cmocka_unit_test(decompositions),
    cmocka_unit_test(repeated_eigenvalues_have_finite_derivatives),
    cmocka_unit_test(errors_name_what_differs),
    cmocka_unit_test(einsum_against_products),
  };
  return cmocka_run_group_tests_name("linalg", tests, NULL, NULL);
}
