/* Eigenvalues of symmetric matrices, singular values, and the norms made of them.
 *
 * A decomposition is one op per factor, each of which decomposes anew. Vectors are defined up to their sign, and where two
 * values (nearly) agree up to more than that: functions that do not depend on the choice have right derivatives, for the
 * reciprocal of a gap of 0 is taken as 0. */
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "dense.h"
#include "matrix.h"

static cr_status prepare_matrices(cr_tape *t, int n, cr_var *in) { return cr__prepare_matrices(t, n, in, 'f', 2); }
static double *room_for(cr_eval *c, int64_t n) { return cr_scratch(c, (size_t)(n ? n : 1) * sizeof(double)); }

/* gap: F_ij = 1 / (w_j - w_i), and 0 where the gap is within 8 eps of the largest |w| */

static cr_status gap_infer(cr_infer *c) {
  const cr_array *w = &c->in[0];
  int64_t dims[CR_MAX_RANK + 1];
  if (w->rank < 1 || w->rank >= CR_MAX_RANK) {
    cr_fail(c->tape, CR_BAD_SHAPE, "gaps of a tensor of rank %d", w->rank);
    return CR_BAD_SHAPE;
  }
  memcpy(dims, w->dim, (size_t)w->rank * sizeof *dims);
  dims[w->rank] = w->dim[w->rank - 1];
  cr_array_init(c->out, (cr_dtype)w->dtype, w->rank + 1, dims);
  return CR_OK;
}
static cr_status gap_eval(cr_eval *c) {
  const cr_array *w = &c->in[0];
  int64_t n = w->dim[w->rank - 1];
  double epsilon = w->dtype == CR_FLOAT32 ? (double)FLT_EPSILON : DBL_EPSILON;
  for (int64_t at = 0; at < w->count; at += n) {
    double largest = 0;
    for (int64_t i = 0; i < n; i++) largest = fmax(largest, fabs(cr_array_get(w, at + i)));
    for (int64_t i = 0; i < n; i++)
      for (int64_t j = 0; j < n; j++) {
        double gap = cr_array_get(w, at + j) - cr_array_get(w, at + i);
        cr_array_set(c->out, (at + i) * n + j, fabs(gap) <= 8 * epsilon * largest ? 0 : 1 / gap);
      }
  }
  return CR_OK;
}
static void gap_vjp(cr_vjp_rule *c) {
  cr_var slope = cr_mul(c->g, cr_square(c->out)); /* dF_ij = F_ij^2 (dw_i - dw_j) */
  c->d[0] = cr_sub(cr__sum_last(slope, 1, 0), cr__sum_last(cr_matrix_transpose(slope), 1, 0));
}
static cr_var gap_jvp(cr_jvp_rule *c) {
  cr_var difference = cr_sub(cr__insert_axes(c->dot[0], -1, 1), cr__insert_axes(c->dot[0], cr_rank(c->dot[0]) - 1, 1));
  return cr_mul(difference, cr_square(c->out));
}
static const cr_op gap_op = {
  .name = "reciprocal_gaps", .check = cr__check_floats, .arity = 1, .infer = gap_infer, .eval = gap_eval,
  .vjp = gap_vjp, .jvp = gap_jvp,
  .rule = "dF_ij = F_ij^2 (dw_i - dw_j)"};
static cr_var reciprocal_gaps(cr_var w) { return cr_record(w.tape, &gap_op, 1, &w, NULL); }

/* The columns of a matrix times a vector's elements. */
static cr_var scale_columns(cr_var x, cr_var s) { return cr_mul(x, cr__insert_axes(s, cr_rank(s) - 1, 1)); }
static cr_var transposed(cr_var x) { return cr_matrix_transpose(x); }
static cr_var product3(cr_var a, cr_var b, cr_var c) { return cr_matmul(cr_matmul(a, b), c); }
static cr_var symmetric(cr_var x) { return cr__scale(cr_add(x, transposed(x)), 0.5); }

/* eigh */

static cr_status eigenvalues_infer(cr_infer *c) {
  if (cr__check_matrix(c, 0, 1) != CR_OK) return CR_BAD_SHAPE;
  cr_array_init(c->out, (cr_dtype)c->in[0].dtype, c->in[0].rank - 1, c->in[0].dim);
  return CR_OK;
}
static cr_status eigenvectors_infer(cr_infer *c) {
  if (cr__check_matrix(c, 0, 1) != CR_OK) return CR_BAD_SHAPE;
  cr_array_init(c->out, (cr_dtype)c->in[0].dtype, c->in[0].rank, c->in[0].dim);
  return CR_OK;
}
static cr_status eigh_into(cr_eval *c, bool vectors) {
  cr__batch a = cr__batch_of(&c->in[0]);
  int64_t n = a.rows;
  double *matrix = room_for(c, 2 * n * n + n);
  if (!matrix) return CR_NO_MEMORY;
  double *v = matrix + n * n, *w = v + n * n;
  for (int64_t k = 0; k < a.lead.count; k++) {
    cr__batch_load(&a, k, matrix);
    cr__eigh(n, matrix, w, v);
    for (int64_t i = 0; !vectors && i < n; i++) cr_array_set(c->out, k * n + i, w[i]);
    cr__batch y;
    if (vectors) y = cr__batch_of(c->out), cr__batch_store(&y, k, v);
  }
  return CR_OK;
}
static cr_status eigenvalues_eval(cr_eval *c) { return eigh_into(c, false); }
static cr_status eigenvectors_eval(cr_eval *c) { return eigh_into(c, true); }

static void eigenvalues_vjp(cr_vjp_rule *c) {
  cr_var v = cr_eigh_vectors(c->in[0]);
  c->d[0] = cr_matmul(scale_columns(v, c->g), transposed(v));
}
static cr_var eigenvalues_jvp(cr_jvp_rule *c) {
  cr_var v = cr_eigh_vectors(c->in[0]);
  return cr_sum(cr_mul(v, cr_matmul(symmetric(c->dot[0]), v)), 1, (int[]){-2}, 0);
}
static const cr_op eigenvalues_op = {
  .name = "eigvalsh", .check = cr__check_floats, .arity = 1, .prepare = prepare_matrices, .infer = eigenvalues_infer,
  .eval = eigenvalues_eval, .depend = cr__matrices_depend,
  .vjp = eigenvalues_vjp, .jvp = eigenvalues_jvp, .rule = "V diag(g) V^T"};
cr_var cr_eigvalsh(cr_var a) { return cr_record(a.tape, &eigenvalues_op, 1, &a, NULL); }

static void eigenvectors_vjp(cr_vjp_rule *c) {
  cr_var v = c->out, f = reciprocal_gaps(cr_eigvalsh(c->in[0]));
  c->d[0] = symmetric(product3(v, cr_mul(f, cr_matmul(transposed(v), c->g)), transposed(v)));
}
static cr_var eigenvectors_jvp(cr_jvp_rule *c) {
  cr_var v = c->out, f = reciprocal_gaps(cr_eigvalsh(c->in[0]));
  return cr_matmul(v, cr_mul(f, product3(transposed(v), symmetric(c->dot[0]), v)));
}
static const cr_op eigenvectors_op = {
  .name = "eigenvectors", .check = cr__check_floats, .arity = 1, .prepare = prepare_matrices,
  .infer = eigenvectors_infer, .eval = eigenvectors_eval, .depend = cr__matrices_depend,
  .vjp = eigenvectors_vjp, .jvp = eigenvectors_jvp, .rule = "V (F o V^T g) V^T symmetrised, F_ij = 1/(w_j - w_i) or 0"};
cr_var cr_eigh_vectors(cr_var a) { return cr_record(a.tape, &eigenvectors_op, 1, &a, NULL); }

/* svd, thin: A = U diag(s) V^T */

static int64_t smaller_side(const cr_array *a) {
  int64_t m = a->dim[a->rank - 2], n = a->dim[a->rank - 1];
  return m < n ? m : n;
}
static cr_status svd_shape(cr_infer *c, int factor) { /* 0 for s, 1 for U, 2 for V */
  const cr_array *a = &c->in[0];
  int64_t dims[CR_MAX_RANK];
  if (cr__check_matrix(c, 0, 0) != CR_OK) return CR_BAD_SHAPE;
  memcpy(dims, a->dim, sizeof dims);
  if (factor == 2) dims[a->rank - 2] = a->dim[a->rank - 1];
  int rank = factor ? a->rank : a->rank - 1;
  dims[rank - 1] = smaller_side(a);
  cr_array_init(c->out, (cr_dtype)a->dtype, rank, dims);
  return CR_OK;
}
static cr_status svd_into(cr_eval *c, int factor) {
  cr__batch a = cr__batch_of(&c->in[0]);
  int64_t m = a.rows, n = a.cols, k = smaller_side(&c->in[0]);
  double *matrix = room_for(c, 2 * m * n + (m + n + k + 1) * k);
  if (!matrix) return CR_NO_MEMORY;
  double *u = matrix + m * n, *v = u + m * k, *s = v + n * k;
  for (int64_t at = 0; at < a.lead.count; at++) {
    cr__batch_load(&a, at, matrix);
    cr__svd(m, n, matrix, u, s, v, s + k);
    for (int64_t i = 0; !factor && i < k; i++) cr_array_set(c->out, at * k + i, s[i]);
    if (!factor) continue;
    cr__batch y = cr__batch_of(c->out);
    cr__batch_store(&y, at, factor == 1 ? u : v);
  }
  return CR_OK;
}
static cr_status values_infer(cr_infer *c) { return svd_shape(c, 0); }
static cr_status values_eval(cr_eval *c) { return svd_into(c, 0); }
static cr_status left_infer(cr_infer *c) { return svd_shape(c, 1); }
static cr_status left_eval(cr_eval *c) { return svd_into(c, 1); }
static cr_status right_infer(cr_infer *c) { return svd_shape(c, 2); }
static cr_status right_eval(cr_eval *c) { return svd_into(c, 2); }

static cr_var left_vectors(cr_var a);
static cr_var right_vectors(cr_var a);

static void values_vjp(cr_vjp_rule *c) {
  c->d[0] = cr_matmul(scale_columns(left_vectors(c->in[0]), c->g), transposed(right_vectors(c->in[0])));
}
static cr_var values_jvp(cr_jvp_rule *c) {
  return cr_sum(cr_mul(left_vectors(c->in[0]), cr_matmul(c->dot[0], right_vectors(c->in[0]))), 1, (int[]){-2}, 0);
}
static const cr_op values_op = {
  .name = "svdvals", .check = cr__check_floats, .arity = 1, .prepare = prepare_matrices, .infer = values_infer,
  .eval = values_eval, .depend = cr__matrices_depend, .vjp = values_vjp,
  .jvp = values_jvp, .rule = "U diag(g) V^T"};
cr_var cr_svdvals(cr_var a) { return cr_record(a.tape, &values_op, 1, &a, NULL); }

/* The part of x outside the columns of u. */
static cr_var outside(cr_var x, cr_var u) { return cr_sub(x, cr_matmul(u, cr_matmul(transposed(u), x))); }
/* F o (X - X^T) with F_ij = 1 / (s_j^2 - s_i^2). */
static cr_var skew_over_gaps(cr_var x, cr_var s) {
  return cr_mul(reciprocal_gaps(cr_square(s)), cr_sub(x, transposed(x)));
}

/* One side's vectors u with the other side's v, in A = u diag(s) v^T: the left ones of A, the right ones of A^T. */
static cr_var vectors_vjp(cr_var u, cr_var s, cr_var v, cr_var g) {
  cr_var inner = scale_columns(skew_over_gaps(cr_matmul(transposed(u), g), s), s);
  cr_var d = product3(u, inner, transposed(v));
  if (cr_dim(u, -2) == cr_dim(u, -1)) return d;
  return cr_add(d, cr_matmul(scale_columns(outside(g, u), cr_reciprocal(s)), transposed(v)));
}
static cr_var vectors_jvp(cr_var u, cr_var s, cr_var v, cr_var da) {
  cr_var p = scale_columns(product3(transposed(u), da, v), s);
  cr_var d = cr_matmul(u, cr_mul(reciprocal_gaps(cr_square(s)), cr_add(p, transposed(p))));
  if (cr_dim(u, -2) == cr_dim(u, -1)) return d;
  return cr_add(d, scale_columns(outside(cr_matmul(da, v), u), cr_reciprocal(s)));
}
static void left_vjp(cr_vjp_rule *c) {
  c->d[0] = vectors_vjp(c->out, cr_svdvals(c->in[0]), right_vectors(c->in[0]), c->g);
}
static void right_vjp(cr_vjp_rule *c) {
  c->d[0] = transposed(vectors_vjp(c->out, cr_svdvals(c->in[0]), left_vectors(c->in[0]), c->g));
}
static cr_var left_jvp(cr_jvp_rule *c) {
  return vectors_jvp(c->out, cr_svdvals(c->in[0]), right_vectors(c->in[0]), c->dot[0]);
}
static cr_var right_jvp(cr_jvp_rule *c) {
  return vectors_jvp(c->out, cr_svdvals(c->in[0]), left_vectors(c->in[0]), transposed(c->dot[0]));
}
static const cr_op left_op = {
  .name = "left_singular_vectors", .check = cr__check_floats, .arity = 1, .prepare = prepare_matrices,
  .infer = left_infer, .eval = left_eval, .depend = cr__matrices_depend,
  .vjp = left_vjp, .jvp = left_jvp,
  .rule = "U (F o (U^T g - g^T U)) S V^T + (I - U U^T) g S^-1 V^T, F_ij = 1/(s_j^2 - s_i^2) or 0"};
static const cr_op right_op = {
  .name = "right_singular_vectors", .check = cr__check_floats, .arity = 1, .prepare = prepare_matrices,
  .infer = right_infer, .eval = right_eval, .depend = cr__matrices_depend,
  .vjp = right_vjp, .jvp = right_jvp, .rule = "that of the left vectors of A^T, transposed"};
static cr_var left_vectors(cr_var a) { return cr_record(a.tape, &left_op, 1, &a, NULL); }
static cr_var right_vectors(cr_var a) { return cr_record(a.tape, &right_op, 1, &a, NULL); }

cr_var cr_svd(cr_var a, cr_var *s, cr_var *v) {
  *s = cr_svdvals(a);
  *v = right_vectors(a);
  return left_vectors(a);
}

/* Norms of matrices */

/* Over the last two axes, which stay with size 1. */
static cr_var norm_of(cr_var x, cr_matrix_norm_kind kind) {
  int columns = -2, rows = -1;
  switch (kind) {
    case CR_FROBENIUS: return cr_vector_norm(x, 2, 2, (int[]){-2, -1}, 1);
    case CR_LARGEST_COLUMN: return cr_amax(cr_sum(cr_abs(x), 1, &columns, 1), 1, &rows, 1);
    case CR_SMALLEST_COLUMN: return cr_amin(cr_sum(cr_abs(x), 1, &columns, 1), 1, &rows, 1);
    case CR_LARGEST_ROW: return cr_amax(cr_sum(cr_abs(x), 1, &rows, 1), 1, &columns, 1);
    case CR_SMALLEST_ROW: return cr_amin(cr_sum(cr_abs(x), 1, &rows, 1), 1, &columns, 1);
    case CR_NUCLEAR: case CR_SPECTRAL: case CR_SMALLEST_SINGULAR: break;
  }
  cr_var s = cr__insert_axes(cr_svdvals(x), -1, 1);
  if (kind == CR_NUCLEAR) return cr_sum(s, 1, &columns, 1);
  return kind == CR_SPECTRAL ? cr_amax(s, 1, &columns, 1) : cr_amin(s, 1, &columns, 1);
}

cr_var cr_matrix_norm(cr_var x, cr_matrix_norm_kind kind, int row_axis, int column_axis, int keepdim) {
  cr_array a = cr_view(x);
  int row = cr_axis(row_axis, a.rank), column = cr_axis(column_axis, a.rank), order[CR_MAX_RANK], n = 0;
  int64_t dims[CR_MAX_RANK];
  if (cr_is_poison(x)) return x;
  if (row < 0 || column < 0 || row == column)
    return cr_fail(x.tape, CR_BAD_ARGUMENT, "matrix_norm: axes %d and %d of a tensor of rank %d", row_axis, column_axis,
                   a.rank);
  for (int i = 0; i < a.rank; i++) {
    if (i == row || i == column) continue;
    order[n] = i;
    dims[n++] = a.dim[i];
  }
  order[n] = row, order[n + 1] = column;
  cr_var y = norm_of(cr_permute(x, a.rank, order), kind);
  if (!keepdim) return cr_reshape(y, n, dims);
  for (int i = 0; i < a.rank; i++) dims[i] = i == row || i == column ? 1 : a.dim[i];
  return cr_reshape(y, a.rank, dims);
}

/* Names in the expression language */

static void check_triangle(cr_call *c) { /* both triangles are read, so the choice only has to be one of the two */
  const char *which = cr_arg_text(c, 1);
  if (!strcmp(which, "L") || !strcmp(which, "U")) return;
  cr_fail(cr_call_tape(c), CR_BAD_ARGUMENT, "UPLO is 'L' or 'U', not '%s'", which);
}
static void call_eigvalsh(cr_call *c) {
  check_triangle(c);
  cr_return(c, cr_eigvalsh(cr_arg_var(c, 0)));
}
static void call_eigh(cr_call *c) {
  check_triangle(c);
  cr_var a = cr_arg_var(c, 0);
  cr_return(c, cr_eigvalsh(a));
  cr_return(c, cr_eigh_vectors(a));
}
static void call_svdvals(cr_call *c) { cr_return(c, cr_svdvals(cr_arg_var(c, 0))); }
static void call_svd(cr_call *c) {
  cr_var s, v, u;
  if (cr_arg_bool(c, 1)) {
    cr_fail(cr_call_tape(c), CR_BAD_ARGUMENT, "svd: only thin factors: full_matrices=False");
    return;
  }
  u = cr_svd(cr_arg_var(c, 0), &s, &v);
  cr_return(c, u);
  cr_return(c, s);
  cr_return(c, cr_matrix_transpose(v));
}
static int norm_kind(cr_call *c) {
  if (cr_arg_is_text(c, 1)) {
    const char *name = cr_arg_text(c, 1);
    if (!strcmp(name, "fro")) return CR_FROBENIUS;
    if (!strcmp(name, "nuc")) return CR_NUCLEAR;
  } else {
    double order = cr_arg_number(c, 1);
    if (order == 1) return CR_LARGEST_COLUMN;
    if (order == -1) return CR_SMALLEST_COLUMN;
    if (order == 2) return CR_SPECTRAL;
    if (order == -2) return CR_SMALLEST_SINGULAR;
    if (isinf(order)) return order > 0 ? CR_LARGEST_ROW : CR_SMALLEST_ROW;
  }
  cr_fail(cr_call_tape(c), CR_BAD_ARGUMENT, "matrix_norm: ord is 'fro', 'nuc', 1, -1, 2, -2, inf or -inf");
  return -1;
}
static void call_matrix_norm(cr_call *c) {
  int64_t axes[2] = {0, 0};
  int kind = norm_kind(c), n = cr_arg_ints(c, 2, 2, axes);
  if (kind < 0 || n < 0) return;
  if (n != 2) cr_fail(cr_call_tape(c), CR_BAD_ARGUMENT, "matrix_norm: dim is a pair of axes");
  else
    cr_return(c, cr_matrix_norm(cr_arg_var(c, 0), (cr_matrix_norm_kind)kind, (int)axes[0], (int)axes[1], cr_arg_bool(c, 3)));
}

static const cr_op *const recorded[] = {&gap_op, &eigenvalues_op, &eigenvectors_op, &values_op, &left_op, &right_op, NULL};

const cr_function cr__decomposition_functions[] = {
  {.ops = recorded, .signature = "eigvalsh(A, UPLO='L')", .call = call_eigvalsh, .family = "linear algebra",
   .doc = "Eigenvalues of (A + A^T)/2, ascending; both triangles are read whatever UPLO says.",
   .derivative = "V diag(g) V^T",
   .kinks = "equal eigenvalues: the sum over them has its derivative",
   .samples = "eigvalsh(x:(2,2)); eigvalsh(x:(3,3)); eigvalsh(x:(2,2,2))"},
  {.signature = "eigh(A, UPLO='L')", .call = call_eigh, .family = "linear algebra",
   .doc = "Eigenvalues, ascending, and eigenvectors (columns, up to their sign) of (A + A^T)/2.",
   .derivative = "V (diag(gw) + F o V^T gV) V^T, F_ij = 1/(w_j - w_i), 0 for equal ones",
   .kinks = "equal eigenvalues: right for functions that do not depend on the choice of vectors",
   .samples = "(eigh(x:(2,2))[1] * exp(eigh(x)[0])) @ eigh(x)[1].T; (eigh(x:(3,3))[1] * eigh(x)[0]^2) @ eigh(x)[1].T"},
  {.signature = "svdvals(A)", .call = call_svdvals, .family = "linear algebra", .doc = "Singular values, descending.",
   .derivative = "U diag(g) V^T", .kinks = "0: one of the one-sided derivatives",
   .samples = "svdvals(x:(2,2)); svdvals(x:(3,2)); svdvals(x:(2,3)); svdvals(x:(2,2,2))"},
  {.signature = "svd(A, full_matrices=False)", .call = call_svd, .family = "linear algebra",
   .doc = "U, s (descending) and V^T of A = U diag(s) V^T, thin: min(m, n) singular vectors, up to their signs.",
   .derivative = "U (F o (U^T gU - gU^T U)) S V^T + (I - U U^T) gU S^-1 V^T and its mirror, F_ij = 1/(s_j^2 - s_i^2), 0 "
                 "for equal ones",
   .kinks = "equal singular values: right for functions that do not depend on the choice of vectors",
   .samples = "(svd(x:(3,2))[0] * svd(x)[1]^3) @ svd(x)[2]; (svd(x:(2,2))[0] * exp(svd(x)[1])) @ svd(x)[2]"},
  {.signature = "matrix_norm(A, ord='fro', dim=(-2, -1), keepdim=False)", .call = call_matrix_norm,
   .family = "linear algebra",
   .doc = "Norm of matrices: 'fro', 'nuc', 1 and -1 (largest, smallest column sum), inf and -inf (row sum), 2 and -2 "
          "(singular value).",
   .derivative = "that of the sums, extremes and singular values it is made of",
   .kinks = "0 at the zero matrix for 'fro'; ties share",
   .samples = "matrix_norm(x:(2,3)); matrix_norm(x:(3,2), 'nuc'); matrix_norm(x:(2,2), 1); matrix_norm(x:(2,3), inf); "
              "matrix_norm(x:(2,2), 2); matrix_norm(x:(2,2), -2); matrix_norm(x:(2,2,3), ord=-1, dim=(0, 2), keepdim=True)"},
  {.signature = NULL}};
