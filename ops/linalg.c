/* Solving, factorising, determinants: kernels of dense.c over batches, rules made of solves and products. */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "dense.h"
#include "emitrows.h"
#include "matrix.h"

static cr_status prepare_matrices(cr_tape *t, int n, cr_var *in) { return cr__prepare_matrices(t, n, in, 'f', 2); }

static double *room_for(cr_eval *c, int64_t n) { return cr_scratch(c, (size_t)(n ? n : 1) * sizeof(double)); }

static cr_status like_first(cr_infer *c) {
  if (cr__check_matrix(c, 0, 1) != CR_OK) return CR_BAD_SHAPE;
  cr_array_init(c->out, (cr_dtype)c->in[0].dtype, c->in[0].rank, c->in[0].dim);
  return CR_OK;
}

/* The right side of a system, with as many rows as the n x n matrix. */
static cr_status like_second(cr_infer *c) {
  const cr_array *a = &c->in[0], *b = &c->in[1];
  if (cr__check_matrix(c, 0, 1) != CR_OK || cr__check_matrix(c, 1, 0) != CR_OK) return CR_BAD_SHAPE;
  if (a->dim[a->rank - 1] != b->dim[b->rank - 2]) {
    cr_fail(c->tape, CR_BAD_SHAPE, "a system of %lld equations has a right side of %lld rows",
            (long long)a->dim[a->rank - 1], (long long)b->dim[b->rank - 2]);
    return CR_BAD_SHAPE;
  }
  cr_array_init(c->out, (cr_dtype)b->dtype, b->rank, b->dim);
  return CR_OK;
}

/* solve: A^-1 B */

static cr_status solve_eval(cr_eval *c) {
  cr__batch a = cr__batch_of(&c->in[0]), b = cr__batch_of(&c->in[1]), x = cr__batch_of(c->out);
  int64_t n = a.rows, m = b.cols;
  double *matrix = room_for(c, 2 * n * n + 2 * n * m);
  int64_t *pivot = cr_scratch(c, (size_t)(n + 1) * sizeof *pivot);
  if (!matrix || !pivot) return CR_NO_MEMORY;
  double *lu = matrix + n * n, *right = lu + n * n, *residual = right + n * m;
  for (int64_t k = 0; k < x.lead.count; k++) {
    cr__batch_load(&a, k, matrix);
    cr__batch_load(&b, k, right);
    cr__solve(n, m, matrix, right, lu, residual, pivot);
    cr__batch_store(&x, k, right);
  }
  return CR_OK;
}

static cr_var solve_columns(cr_var a, cr_var b);

static void solve_vjp(cr_vjp_rule *c) {
  cr_var w = solve_columns(cr_matrix_transpose(c->in[0]), c->g);
  if (c->wanted[0]) c->d[0] = cr_neg(cr_matmul(w, cr_matrix_transpose(c->out)));
  if (c->wanted[1]) c->d[1] = w;
}
static cr_var solve_jvp(cr_jvp_rule *c) {
  cr_var right = c->dot[1];
  if (!cr_absent(c->dot[0])) right = cr__plus(right, cr_neg(cr_matmul(c->dot[0], c->out)));
  return solve_columns(c->in[0], right);
}
static void solve_emit(cr_emit_context *c) { cr__emit_matrices(c, "solve($2, $3, $0, $1, $4, $5, $6)"); }
static const cr_op solve_op = {
  .name = "solve", .check = cr__check_floats, .arity = 2, .prepare = prepare_matrices, .infer = like_second,
  .eval = solve_eval, .emit = solve_emit, .depend = cr__matrices_depend, .vjp = solve_vjp,
  .jvp = solve_jvp, .latex = "%a^{-1} \\, %b", .rule = "B: W = A^-T g; A: -W X^T"};

static cr_var solve_columns(cr_var a, cr_var b) { return cr_record(a.tape, &solve_op, 2, (cr_var[]){a, b}, NULL); }

/* A right side of one axis less than a batch of matrices of that shape is a batch of vectors, as in PyTorch. */
static bool is_vector(cr_var a, cr_var b) {
  cr_array x = cr_view(a), y = cr_view(b);
  return y.rank == 1 || (y.rank == x.rank - 1 && !memcmp(x.dim, y.dim, (size_t)y.rank * sizeof *y.dim));
}

cr_var cr_solve(cr_var a, cr_var b, int left) {
  if (cr_is_poison(a) || cr_is_poison(b)) return cr_poison(a.tape);
  if (is_vector(a, b)) {
    cr_var x = solve_columns(left ? a : cr_matrix_transpose(a), cr__insert_axes(b, -1, 1));
    return cr_is_poison(x) ? x : cr_reshape(x, cr_rank(x) - 1, cr_view(x).dim);
  }
  if (left) return solve_columns(a, b);
  return cr_matrix_transpose(solve_columns(cr_matrix_transpose(a), cr_matrix_transpose(b)));
}

cr_var cr_inv(cr_var a) {
  cr_array x = cr_view(a);
  char shape[200];
  if (cr_is_poison(a)) return a;
  if (x.rank < 2 || x.dim[x.rank - 1] != x.dim[x.rank - 2])
    return cr_fail(a.tape, CR_BAD_SHAPE, "inv: shape %s is not one of square matrices",
                   cr_shape_text(&x, shape, sizeof shape));
  return solve_columns(a, cr__identity_like(a, x.dim[x.rank - 1]));
}

/* solve_triangular: T^-1 B where T is one triangle of the operand */

typedef struct triangle_attr {
  int upper, unit;
} triangle_attr;

static const cr_field triangle_fields[] = {
  CR_FIELD(triangle_attr, upper, CR_FIELD_FLAG, "upper"),
  CR_FIELD(triangle_attr, unit, CR_FIELD_FLAG, "unit"),
  {.name = NULL}};

static void triangle_show(char *text, size_t size, const void *attr) {
  const triangle_attr *r = attr;
  snprintf(text, size, "upper=%s%s", r->upper ? "True" : "False", r->unit ? ", unitriangular=True" : "");
}

/* The triangle that is read, without the diagonal where that is 1. */
static cr_var triangle(cr_var x, const triangle_attr *r) {
  return r->upper ? cr_triu(x, r->unit ? 1 : 0) : cr_tril(x, r->unit ? -1 : 0);
}

static cr_status triangular_eval(cr_eval *c) {
  const triangle_attr *r = c->attr;
  cr__batch a = cr__batch_of(&c->in[0]), b = cr__batch_of(&c->in[1]), x = cr__batch_of(c->out);
  double *matrix = room_for(c, a.rows * a.rows + b.rows * b.cols);
  if (!matrix) return CR_NO_MEMORY;
  double *right = matrix + a.rows * a.rows;
  for (int64_t k = 0; k < x.lead.count; k++) {
    cr__batch_load(&a, k, matrix);
    cr__batch_load(&b, k, right);
    cr__solve_triangular(a.rows, b.cols, matrix, r->upper, r->unit, right);
    cr__batch_store(&x, k, right);
  }
  return CR_OK;
}

static cr_var triangular_columns(cr_var t, cr_var b, int upper, int unit);

static void triangular_vjp(cr_vjp_rule *c) {
  const triangle_attr *r = c->attr;
  cr_var w = triangular_columns(cr_matrix_transpose(c->in[0]), c->g, !r->upper, r->unit);
  if (c->wanted[0]) c->d[0] = cr_neg(triangle(cr_matmul(w, cr_matrix_transpose(c->out)), r));
  if (c->wanted[1]) c->d[1] = w;
}
static cr_var triangular_jvp(cr_jvp_rule *c) {
  const triangle_attr *r = c->attr;
  cr_var right = c->dot[1];
  if (!cr_absent(c->dot[0])) right = cr__plus(right, cr_neg(cr_matmul(triangle(c->dot[0], r), c->out)));
  return triangular_columns(c->in[0], right, r->upper, r->unit);
}
static void triangular_emit(cr_emit_context *c) {
  const triangle_attr *r = c->attr;
  cr__emit_matrices(c, cr_emit_text(c, "solve_triangular($2, $3, $0, %d, %d, $1)", r->upper, r->unit));
}
static const cr_op triangular_op = {
  .name = "solve_triangular", .check = cr__check_floats, .arity = 2, .attr_size = sizeof(triangle_attr),
  .fields = triangle_fields, .prepare = prepare_matrices,
  .infer = like_second, .eval = triangular_eval, .emit = triangular_emit, .depend = cr__matrices_depend,
  .vjp = triangular_vjp, .jvp = triangular_jvp, .show = triangle_show,
  .latex = "%a^{-1} \\, %b", .rule = "B: W = T^-T g; T: the triangle of -W X^T"};

static cr_var triangular_columns(cr_var t, cr_var b, int upper, int unit) {
  return cr_record(t.tape, &triangular_op, 2, (cr_var[]){t, b}, &(triangle_attr){!!upper, !!unit});
}

cr_var cr_solve_triangular(cr_var t, cr_var b, int upper, int left, int unitriangular) {
  if (left) return triangular_columns(t, b, upper, unitriangular);
  cr_var x = triangular_columns(cr_matrix_transpose(t), cr_matrix_transpose(b), !upper, unitriangular);
  return cr_matrix_transpose(x);
}

/* cholesky: L L^T = (A + A^T) / 2 */

static cr_status cholesky_eval(cr_eval *c) {
  cr__batch a = cr__batch_of(&c->in[0]), low = cr__batch_of(c->out);
  double *matrix = room_for(c, a.rows * a.rows);
  if (!matrix) return CR_NO_MEMORY;
  for (int64_t k = 0; k < low.lead.count; k++) {
    cr__batch_load(&a, k, matrix);
    cr__cholesky(a.rows, matrix);
    cr__batch_store(&low, k, matrix);
  }
  return CR_OK;
}

static cr_var symmetric(cr_var x) { return cr__scale(cr_add(x, cr_matrix_transpose(x)), 0.5); }
/* The lower triangle with half the diagonal. */
static cr_var half_lower(cr_var x) { return cr__scale(cr_add(cr_tril(x, 0), cr_tril(x, -1)), 0.5); }
/* X T^-1 for a lower T, and X T^-T. */
static cr_var right_divide(cr_var x, cr_var low, bool transposed) {
  return cr_solve_triangular(transposed ? cr_matrix_transpose(low) : low, x, transposed, 0, 0);
}

static void cholesky_vjp(cr_vjp_rule *c) {
  cr_var up = cr_matrix_transpose(c->out), s = half_lower(cr_matmul(up, c->g));
  c->d[0] = symmetric(right_divide(triangular_columns(up, s, 1, 0), c->out, false));
}
static cr_var cholesky_jvp(cr_jvp_rule *c) {
  cr_var p = triangular_columns(c->out, symmetric(c->dot[0]), 0, 0);
  return cr_matmul(c->out, half_lower(right_divide(p, c->out, true)));
}
static void cholesky_emit(cr_emit_context *c) { cr__emit_matrices(c, "cholesky($2, $0)"); }
static const cr_op cholesky_op = {
  .name = "cholesky", .check = cr__check_floats, .arity = 1, .prepare = prepare_matrices, .infer = like_first,
  .eval = cholesky_eval, .emit = cholesky_emit, .depend = cr__matrices_depend,
  .vjp = cholesky_vjp, .jvp = cholesky_jvp,
  .rule = "sym(L^-T S L^-1) with S the lower triangle of L^T g, its diagonal halved"};

cr_var cr_cholesky(cr_var a, int upper) {
  cr_var low = cr_record(a.tape, &cholesky_op, 1, &a, NULL);
  return upper ? cr_matrix_transpose(low) : low;
}

cr_var cr_cholesky_solve(cr_var b, cr_var factor, int upper) {
  cr_var other = cr_matrix_transpose(factor), low = upper ? other : factor, up = upper ? factor : other;
  return triangular_columns(up, triangular_columns(low, b, 0, 0), 1, 0);
}

cr_var cr_cholesky_inverse(cr_var factor, int upper) {
  if (cr_is_poison(factor) || cr_rank(factor) < 2) return cr_cholesky_solve(factor, factor, upper);
  return cr_cholesky_solve(cr__identity_like(factor, cr_dim(factor, -2)), factor, upper);
}

/* lstsq: A^+ B for A of full rank. With P = A^+ its differential is P (dB - dA X) + (A^T A)^-1 dA^T (B - A X) for tall A
 * and P (dB - dA X) + (I - P A) dA^T (A A^T)^-1 B for wide A, and all of it is least squares again. */

static cr_status lstsq_infer(cr_infer *c) {
  const cr_array *a = &c->in[0], *b = &c->in[1];
  int64_t dims[CR_MAX_RANK];
  if (cr__check_matrix(c, 0, 0) != CR_OK || cr__check_matrix(c, 1, 0) != CR_OK) return CR_BAD_SHAPE;
  if (a->dim[a->rank - 2] != b->dim[b->rank - 2]) {
    cr_fail(c->tape, CR_BAD_SHAPE, "%lld equations have a right side of %lld rows", (long long)a->dim[a->rank - 2],
            (long long)b->dim[b->rank - 2]);
    return CR_BAD_SHAPE;
  }
  memcpy(dims, b->dim, sizeof dims);
  dims[b->rank - 2] = a->dim[a->rank - 1];
  cr_array_init(c->out, (cr_dtype)b->dtype, b->rank, dims);
  return CR_OK;
}

static cr_status lstsq_eval(cr_eval *c) {
  cr__batch a = cr__batch_of(&c->in[0]), b = cr__batch_of(&c->in[1]), x = cr__batch_of(c->out);
  int64_t m = a.rows, n = a.cols, k = b.cols, larger = m > n ? m : n;
  double *matrix = room_for(c, 2 * m * n + 2 * m * k + n * k + larger * (k + 1));
  if (!matrix) return CR_NO_MEMORY;
  double *right = matrix + m * n, *solution = right + m * k, *room = solution + n * k;
  for (int64_t i = 0; i < x.lead.count; i++) {
    cr__batch_load(&a, i, matrix);
    cr__batch_load(&b, i, right);
    cr__least_squares(m, n, k, matrix, right, solution, room);
    cr__batch_store(&x, i, solution);
  }
  return CR_OK;
}

static void lstsq_vjp(cr_vjp_rule *c) {
  cr_var a = c->in[0], b = c->in[1], x = c->out, at = cr_matrix_transpose(a), w = cr_lstsq(at, c->g);
  int64_t m = cr_dim(a, -2), n = cr_dim(a, -1);
  if (c->wanted[1]) c->d[1] = w;
  if (!c->wanted[0]) return;
  c->d[0] = cr_neg(cr_matmul(w, cr_matrix_transpose(x)));
  if (m > n) {
    cr_var rest = cr_sub(b, cr_matmul(a, x));
    c->d[0] = cr_add(c->d[0], cr_matmul(rest, cr_matrix_transpose(cr_lstsq(a, w))));
  } else if (m < n) {
    cr_var rest = cr_sub(c->g, cr_matmul(at, w));
    c->d[0] = cr_add(c->d[0], cr_matmul(cr_lstsq(at, x), cr_matrix_transpose(rest)));
  }
}
static cr_var lstsq_jvp(cr_jvp_rule *c) {
  cr_var a = c->in[0], x = c->out, da = c->dot[0], right = c->dot[1], more = cr_poison(c->tape);
  int64_t m = cr_dim(a, -2), n = cr_dim(a, -1);
  if (!cr_absent(da)) {
    cr_var at = cr_matrix_transpose(a), dat = cr_matrix_transpose(da);
    right = cr__plus(right, cr_neg(cr_matmul(da, x)));
    if (m > n) {
      more = cr_lstsq(a, cr_lstsq(at, cr_matmul(dat, cr_sub(c->in[1], cr_matmul(a, x)))));
    } else if (m < n) {
      cr_var u = cr_matmul(dat, cr_lstsq(at, x));
      more = cr_sub(u, cr_lstsq(a, cr_matmul(a, u)));
    }
  }
  return cr__plus(cr_lstsq(a, right), more);
}
static const cr_op lstsq_op = {
  .name = "lstsq", .check = cr__check_floats, .arity = 2, .prepare = prepare_matrices, .infer = lstsq_infer,
  .eval = lstsq_eval, .depend = cr__matrices_depend, .vjp = lstsq_vjp,
  .jvp = lstsq_jvp, .latex = "%a^{+} \\, %b",
  .rule = "B: W = A^+T g; A: -W X^T + (B - A X) (A^+ W)^T for tall A, -W X^T + A^+T X (g - A^T W)^T for wide A"};

cr_var cr_lstsq(cr_var a, cr_var b) { return cr_record(a.tape, &lstsq_op, 2, (cr_var[]){a, b}, NULL); }

cr_var cr_pinv(cr_var a) {
  if (cr_is_poison(a)) return a;
  if (cr_rank(a) < 2) return cr_fail(a.tape, CR_BAD_SHAPE, "pinv: a matrix has two axes at least, this has %d", cr_rank(a));
  return cr_lstsq(a, cr__identity_like(a, cr_dim(a, -2)));
}

cr_var cr_matrix_power(cr_var a, int64_t n) {
  if (cr_is_poison(a)) return a;
  cr_array x = cr_view(a);
  if (x.rank < 2 || x.dim[x.rank - 1] != x.dim[x.rank - 2])
    return cr_fail(a.tape, CR_BAD_SHAPE, "matrix_power: the last two axes must exist and be equal");
  if (n == 0) return cr_broadcast_to(cr__identity_like(a, x.dim[x.rank - 1]), x.rank, x.dim);
  cr_var square = n < 0 ? cr_inv(a) : a, power = cr_poison(a.tape);
  for (uint64_t k = n < 0 ? -(uint64_t)n : (uint64_t)n; k && !cr_is_poison(square); k >>= 1) {
    if (k & 1) power = cr_is_poison(power) ? square : cr_matmul(power, square);
    if (k > 1) square = cr_matmul(square, square);
  }
  return power;
}

/* Names in the expression language */

static void call_det(cr_call *c) { cr_return(c, cr_det(cr_arg_var(c, 0))); }
static void call_slogdet(cr_call *c) {
  cr_var sign, size = cr_slogdet(cr_arg_var(c, 0), &sign);
  cr_return(c, sign);
  cr_return(c, size);
}
static void call_logdet(cr_call *c) { cr_return(c, cr_logdet(cr_arg_var(c, 0))); }
static void call_inv(cr_call *c) { cr_return(c, cr_inv(cr_arg_var(c, 0))); }
static void call_solve(cr_call *c) {
  cr_var a = cr_arg_var(c, 0), b = cr_arg_var(c, 1);
  cr_return(c, cr_solve(a, b, cr_arg_bool(c, 2)));
}
static void call_solve_triangular(cr_call *c) {
  cr_var a = cr_arg_var(c, 0), b = cr_arg_var(c, 1);
  int upper = cr_arg_bool(c, 2), left = cr_arg_bool(c, 3);
  cr_return(c, cr_solve_triangular(a, b, upper, left, cr_arg_bool(c, 4)));
}
static void call_cholesky(cr_call *c) { cr_return(c, cr_cholesky(cr_arg_var(c, 0), cr_arg_bool(c, 1))); }
static void call_cholesky_solve(cr_call *c) {
  cr_var b = cr_arg_var(c, 0), factor = cr_arg_var(c, 1);
  cr_return(c, cr_cholesky_solve(b, factor, cr_arg_bool(c, 2)));
}
static void call_cholesky_inverse(cr_call *c) { cr_return(c, cr_cholesky_inverse(cr_arg_var(c, 0), cr_arg_bool(c, 1))); }
static void call_lstsq(cr_call *c) {
  cr_var a = cr_arg_var(c, 0), b = cr_arg_var(c, 1);
  cr_return(c, cr_lstsq(a, b));
}
static void call_pinv(cr_call *c) { cr_return(c, cr_pinv(cr_arg_var(c, 0))); }
static void call_matrix_power(cr_call *c) { cr_return(c, cr_matrix_power(cr_arg_var(c, 0), cr_arg_int(c, 1))); }

/* A well-conditioned matrix to sample with, however the input falls. */
#define GOOD(n) "(0.3 * x:(" #n "," #n ") + 2 * eye(" #n "))"
#define POSITIVE(n) "(x:(" #n "," #n ") @ x.T + eye(" #n "))"

static const cr_op *const recorded[] = {&solve_op, &triangular_op, &cholesky_op, &lstsq_op, NULL};

const cr_function cr__linalg_functions[] = {
  {.ops = recorded, .signature = "det(A) | det_small", .call = call_det, .family = "linear algebra",
   .doc = "Determinant of the matrices in the last two axes.",
   .derivative = "g times the cofactors of A", .kinks = "none: a singular matrix has its exact gradient",
   .samples = "det(x:(2,2)); det(x:(3,3)); det(x:(2,4,4)); det(x:(5,5))"},
  {.ops = cr__determinant_ops, .signature = "slogdet(A)", .call = call_slogdet, .family = "linear algebra",
   .doc = "Sign of the determinant and logarithm of its absolute value.", .domain = "det(A) != 0",
   .derivative = "g A^-T for the logarithm, none for the sign", .kinks = "det(A) = 0: (0, -inf), derivative NaN",
   .samples = "slogdet" GOOD(3) "; slogdet(x:(2,2))"},
  {.signature = "logdet(A)", .call = call_logdet, .family = "linear algebra", .doc = "Logarithm of the determinant.",
   .domain = "det(A) > 0", .derivative = "g A^-T", .kinks = "det(A) = 0: -inf; det(A) < 0: NaN",
   .samples = "logdet" POSITIVE(3)},
  {.signature = "inv(A) | inverse", .call = call_inv, .family = "linear algebra",
   .doc = "Inverse; NaN for a singular matrix.",
   .domain = "det(A) != 0", .derivative = "-Y^T g Y^T", .samples = "inv" GOOD(3) "; inv(x:(1,1) + 3)"},
  {.signature = "solve(A, B, *, left=True)", .call = call_solve, .family = "linear algebra",
   .doc = "X of A X = B, or X A = B with left=False; B is a vector or a matrix, NaN for a singular A.",
   .domain = "det(A) != 0",
   .derivative = "W = A^-T g for B, -W X^T for A",
   .samples = "solve(" GOOD(3) ", b:(3)); solve(" GOOD(2) ", b:(2,2,3)); solve(" GOOD(2) ", b:(3,2), left=False)"},
  {.signature = "solve_triangular(A, B, *, upper, left=True, unitriangular=False)", .call = call_solve_triangular,
   .family = "linear algebra",
   .doc = "X of T X = B (or X T = B), T one triangle of A; its diagonal is 1 with unitriangular.",
   .domain = "no 0 on the diagonal", .derivative = "W = T^-T g for B, the triangle of -W X^T for A",
   .samples = "solve_triangular(" GOOD(3) ", b:(3,2), upper=False); solve_triangular(" GOOD(2) ", b:(2,1), upper=True, "
              "unitriangular=True); "
              "solve_triangular(" GOOD(2) ", b:(1,2), upper=True, left=False)"},
  {.signature = "cholesky(A, *, upper=False)", .call = call_cholesky, .family = "linear algebra",
   .doc = "L of L L^T = (A + A^T)/2, lower triangular (or its transpose); NaN unless positive definite.",
   .domain = "(A + A^T)/2 positive definite",
   .derivative = "sym(L^-T S L^-1), S the lower triangle of L^T g with half the diagonal",
   .samples = "cholesky" POSITIVE(3) "; cholesky(" POSITIVE(2) ", upper=True)"},
  {.signature = "cholesky_solve(B, L, upper=False)", .call = call_cholesky_solve, .family = "linear algebra",
   .doc = "X of L L^T X = B (or U^T U X = B) for a Cholesky factor.", .derivative = "that of two triangular solves",
   .samples = "cholesky_solve(b:(2,2), cholesky" POSITIVE(2) "); cholesky_solve(b:(3,1), triu" GOOD(3) ", upper=True)"},
  {.signature = "cholesky_inverse(L, upper=False)", .call = call_cholesky_inverse, .family = "linear algebra",
   .doc = "The inverse of L L^T (or U^T U) for a Cholesky factor.", .derivative = "that of two triangular solves",
   .samples = "cholesky_inverse(cholesky" POSITIVE(2) ")"},
  {.signature = "lstsq(A, B)", .call = call_lstsq, .family = "linear algebra",
   .doc = "X that makes |A X - B| least, the shortest such X for a wide A.", .domain = "A of full rank; else NaN",
   .derivative = "W = A^+T g for B; for A -W X^T + (B - A X) (A^+ W)^T (tall), -W X^T + A^+T X (g - A^T W)^T (wide)",
   .samples = "lstsq(a:(4,2), b:(4,1)); lstsq(a:(2,4), b:(2,2)); lstsq(" GOOD(2) ", b:(2,1))"},
  {.signature = "pinv(A)", .call = call_pinv, .family = "linear algebra", .doc = "Pseudo-inverse of a matrix of full rank.",
   .domain = "A of full rank; else NaN", .derivative = "that of lstsq with the identity",
   .samples = "pinv(a:(4,2)); pinv(a:(2,4))"},
  {.signature = "matrix_power(A, n)", .call = call_matrix_power, .family = "linear algebra",
   .doc = "The n-th power of square matrices; of the inverse for n < 0, the identity for n = 0.",
   .derivative = "that of the products",
   .samples = "matrix_power(x:(2,2), 3); matrix_power(" GOOD(2) ", -2); matrix_power(x:(2,2,2), 5)"},
  {.signature = NULL}};
