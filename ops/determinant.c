/* Determinants. The derivative of det is the matrix of cofactors, which exists where the inverse does not, so that a
 * singular matrix has its exact gradient. Up to 4 x 4 cofactors are polynomials and have all their derivatives; above, one
 * of rank n - 1 or less is had from the singular value decomposition, up to the second derivative of det. */
#include <limits.h>
#include <math.h>
#include <string.h>

#include "dense.h"
#include "matrix.h"

enum { POLYNOMIAL = 4 };

static cr_status prepare_matrices(cr_tape *t, int n, cr_var *in) { return cr__prepare_matrices(t, n, in, 'f', 2); }

static cr_status like_first(cr_infer *c) {
  for (int k = 0; k < c->n; k++)
    if (cr__check_matrix(c, k, 1) != CR_OK) return CR_BAD_SHAPE;
  cr_array_init(c->out, (cr_dtype)c->in[0].dtype, c->in[0].rank, c->in[0].dim);
  return CR_OK;
}

static cr_status one_number(cr_infer *c) {
  if (cr__check_matrix(c, 0, 1) != CR_OK) return CR_BAD_SHAPE;
  cr_array_init(c->out, (cr_dtype)c->in[0].dtype, c->in[0].rank - 2, c->in[0].dim);
  return CR_OK;
}

static double *room_for(cr_eval *c, int64_t n) { return cr_scratch(c, (size_t)(n ? n : 1) * sizeof(double)); }

static double scaled(double x, int64_t exponent) {
  return ldexp(x, exponent > INT_MAX ? INT_MAX : exponent < INT_MIN ? INT_MIN : (int)exponent);
}

/* A batch of numbers times a batch of matrices. */
static cr_var times_matrix(cr_var g, cr_var x) { return cr_guarded_mul(cr__insert_axes(g, -1, 2), x); }

/* mixed_cofactor: the matrices B_1 .. B_{n-1} of size n give the symmetric multilinear form whose value at A, ..., A is
 * (n-1)! times the cofactors of A. Its derivatives are itself with an operand replaced. */

typedef struct mixed_attr {
  double divisor;
} mixed_attr;

static const cr_field mixed_fields[] = {
  CR_FIELD(mixed_attr, divisor, CR_FIELD_REAL, "divisor"),
  {.name = NULL}};

/* Determinant of the given rows without column j. */
static double minor_of(int n, const double *const *row, int j) {
  int c[3], k = 0;
  for (int i = 0; i < n; i++)
    if (i != j) c[k++] = i;
  if (n == 2) return row[0][c[0]];
  if (n == 3) return row[0][c[0]] * row[1][c[1]] - row[0][c[1]] * row[1][c[0]];
  return row[0][c[0]] * (row[1][c[1]] * row[2][c[2]] - row[1][c[2]] * row[2][c[1]]) -
         row[0][c[1]] * (row[1][c[0]] * row[2][c[2]] - row[1][c[2]] * row[2][c[0]]) +
         row[0][c[2]] * (row[1][c[0]] * row[2][c[1]] - row[1][c[1]] * row[2][c[0]]);
}

/* Sum over the assignments of operands to the rows other than i; b holds n - 1 matrices. */
static double mixed_element(int n, const double *b, int i, int j) {
  static const int order[3][6][3] = {
      {{0}}, {{0, 1}, {1, 0}}, {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}}};
  static const int orders[3] = {1, 2, 6};
  double sum = 0;
  for (int p = 0; p < orders[n - 2]; p++) {
    const double *row[3];
    for (int k = 0; k < n - 1; k++) row[k] = b + order[n - 2][p][k] * n * n + (k < i ? k : k + 1) * n;
    sum += minor_of(n, row, j);
  }
  return (i + j) % 2 ? -sum : sum;
}

static int mixed_check(const cr_infer *c) {
  const cr_array *a = &c->in[0];
  if (!cr__check_alike(c) || a->rank < 2) return 0;
  const int64_t n = a->dim[a->rank - 1];
  return n == a->dim[a->rank - 2] && n >= 2 && n <= POLYNOMIAL && c->n == n - 1;
}
static cr_status mixed_eval(cr_eval *c) {
  cr__batch y = cr__batch_of(c->out);
  int n = (int)y.rows;
  double matrix[(POLYNOMIAL - 1) * POLYNOMIAL * POLYNOMIAL], cofactor[POLYNOMIAL * POLYNOMIAL];
  for (int64_t k = 0; k < y.lead.count; k++) {
    for (int q = 0; q < n - 1; q++) {
      cr__batch b = cr__batch_of(&c->in[q]);
      cr__batch_load(&b, k, matrix + q * n * n);
    }
    for (int i = 0; i < n; i++)
      for (int j = 0; j < n; j++)
        cofactor[i * n + j] = mixed_element(n, matrix, i, j) / ((const mixed_attr *)c->attr)->divisor;
    cr__batch_store(&y, k, cofactor);
  }
  return CR_OK;
}

/* The form with operand k replaced. */
static cr_var mixed_with(cr_var out, int n, const cr_var *in, int k, cr_var x) {
  cr_var operand[POLYNOMIAL - 1];
  for (int i = 0; i < n; i++) operand[i] = i == k ? x : in[i];
  return cr_record_like(out, n, operand);
}
static void mixed_vjp(cr_vjp_rule *c) {
  for (int k = 0; k < c->n; k++)
    if (c->wanted[k]) c->d[k] = mixed_with(c->out, c->n, c->in, k, c->g);
}
static cr_var mixed_jvp(cr_jvp_rule *c) {
  cr_var sum = cr_poison(c->tape);
  for (int k = 0; k < c->n; k++)
    if (!cr_absent(c->dot[k])) sum = cr__plus(sum, mixed_with(c->out, c->n, c->in, k, c->dot[k]));
  return sum;
}
static const cr_op mixed_op = {
  .name = "mixed_cofactor", .check = mixed_check, .arity = CR_VARIADIC, .attr_size = sizeof(mixed_attr),
  .fields = mixed_fields,
  .prepare = prepare_matrices,
  .infer = like_first, .eval = mixed_eval, .depend = cr__matrices_depend, .vjp = mixed_vjp, .jvp = mixed_jvp,
  .rule = "the same form with g in place of the operand"};

/* Larger matrices, by A = U S V^T with det U det V = +-1: the cofactors are +-U diag(products of the other s) V^T. */

typedef struct decomposed {
  double *u, *s, *v, *work, *room;
  int sign;
} decomposed;

static decomposed decomposed_room(cr_eval *c, int64_t n) {
  decomposed d = {.u = room_for(c, 6 * n * n + n)};
  if (!d.u) return d;
  d.v = d.u + n * n;
  d.work = d.v + n * n;
  d.room = d.work + 2 * n * n;
  d.s = d.room + 2 * n * n;
  return d;
}

static void decompose(decomposed *d, int64_t n, const double *a, int64_t *pivot) {
  int64_t exponent;
  cr__svd(n, n, a, d->u, d->s, d->v, d->room);
  memcpy(d->work, d->u, (size_t)(n * n) * sizeof(double));
  d->sign = cr__det(n, d->work, pivot, &exponent) < 0 ? -1 : 1;
  memcpy(d->work, d->v, (size_t)(n * n) * sizeof(double));
  if (cr__det(n, d->work, pivot, &exponent) < 0) d->sign = -d->sign;
}

/* Product of the singular values other than those at i and j. */
static double others(int64_t n, const double *s, int64_t i, int64_t j) {
  double p = 1;
  for (int64_t k = 0; k < n; k++)
    if (k != i && k != j) p *= s[k];
  return p;
}

/* to = sign U m V^T; m is overwritten */
static void compose(decomposed *d, int64_t n, double *m, double *to) {
  cr__multiply(n, n, n, d->u, m, d->room);
  cr__transpose(n, n, d->v, m);
  cr__multiply(n, n, n, d->room, m, to);
  for (int64_t k = 0; k < n * n; k++) to[k] *= d->sign;
}

static cr_status cofactor_eval(cr_eval *c) {
  cr__batch a = cr__batch_of(&c->in[0]), y = cr__batch_of(c->out);
  int64_t n = a.rows, *pivot = cr_scratch(c, (size_t)(n + 1) * sizeof *pivot);
  double *matrix = room_for(c, n * n);
  decomposed d = decomposed_room(c, n);
  if (!pivot || !matrix || !d.u) return CR_NO_MEMORY;
  for (int64_t k = 0; k < y.lead.count; k++) {
    cr__batch_load(&a, k, matrix);
    decompose(&d, n, matrix, pivot);
    for (int64_t i = 0; i < n; i++)
      for (int64_t j = 0; j < n; j++) d.work[i * n + j] = i == j ? others(n, d.s, i, i) : 0;
    compose(&d, n, d.work, matrix);
    cr__batch_store(&y, k, matrix);
  }
  return CR_OK;
}

/* The derivative of the cofactors at A in the direction D: in the bases of U and V, with E = U^T D V, element (i, j) is
 * -E_ji times the product of the other s, and (i, i) the sum over the other E_kk likewise. Symmetric in D and g. */
static cr_status cofactor_slope_eval(cr_eval *c) {
  cr__batch a = cr__batch_of(&c->in[0]), b = cr__batch_of(&c->in[1]), y = cr__batch_of(c->out);
  int64_t n = a.rows, *pivot = cr_scratch(c, (size_t)(n + 1) * sizeof *pivot);
  double *matrix = room_for(c, 2 * n * n);
  decomposed d = decomposed_room(c, n);
  if (!pivot || !matrix || !d.u) return CR_NO_MEMORY;
  double *e = matrix + n * n;
  for (int64_t k = 0; k < y.lead.count; k++) {
    cr__batch_load(&a, k, matrix);
    decompose(&d, n, matrix, pivot);
    cr__batch_load(&b, k, matrix);
    cr__multiply(n, n, n, matrix, d.v, d.work);
    cr__transpose(n, n, d.u, d.room);
    cr__multiply(n, n, n, d.room, d.work, e);
    for (int64_t i = 0; i < n; i++) {
      d.work[i * n + i] = 0;
      for (int64_t j = 0; j < n; j++) {
        double p = others(n, d.s, i, j);
        if (i == j) continue;
        d.work[i * n + j] = -e[j * n + i] * p;
        d.work[i * n + i] += e[j * n + j] * p;
      }
    }
    compose(&d, n, d.work, matrix);
    cr__batch_store(&y, k, matrix);
  }
  return CR_OK;
}

static cr_var cofactor_slope(cr_var a, cr_var d);

/* The same derivative where A is invertible, C <C, D> / det - C D^T C / det with C = det A^-T, to be differentiated again.
 */
static cr_var smooth_slope(cr_var a, cr_var d) {
  cr_var inverse = cr_matrix_transpose(cr_inv(a)), trace = cr__sum_last(cr_mul(inverse, d), 2, 0);
  cr_var turned = cr_matmul(cr_matmul(inverse, cr_matrix_transpose(d)), inverse);
  return times_matrix(cr_det(a), cr_sub(times_matrix(trace, inverse), turned));
}
static void cofactor_slope_vjp(cr_vjp_rule *c) {
  if (c->wanted[0]) cr_vjp(smooth_slope(c->in[0], c->in[1]), c->g, 1, &c->in[0], &c->d[0]);
  if (c->wanted[1]) c->d[1] = cofactor_slope(c->in[0], c->g);
}
static cr_var cofactor_slope_jvp(cr_jvp_rule *c) {
  cr_var sum = cr_poison(c->tape);
  if (!cr_absent(c->dot[0])) {
    cr_var y = smooth_slope(c->in[0], c->in[1]);
    cr_jvp(1, &y, 1, &c->in[0], &c->dot[0], &sum);
  }
  return cr_absent(c->dot[1]) ? sum : cr__plus(sum, cofactor_slope(c->in[0], c->dot[1]));
}
static const cr_op cofactor_slope_op = {
  .name = "cofactor_slope", .check = cr__check_alike, .arity = 2, .prepare = prepare_matrices, .infer = like_first,
  .eval = cofactor_slope_eval, .depend = cr__matrices_depend,
  .vjp = cofactor_slope_vjp, .jvp = cofactor_slope_jvp,
  .rule = "D: cofactor_slope(A, g); A: that of det(A) (<A^-T, D> A^-T - A^-T D^T A^-T), not for a singular A"};
static cr_var cofactor_slope(cr_var a, cr_var d) { return cr_record(a.tape, &cofactor_slope_op, 2, (cr_var[]){a, d}, NULL); }

static void cofactor_vjp(cr_vjp_rule *c) { c->d[0] = cofactor_slope(c->in[0], c->g); }
static cr_var cofactor_jvp(cr_jvp_rule *c) { return cofactor_slope(c->in[0], c->dot[0]); }
static const cr_op cofactor_op = {
  .name = "cofactor", .check = cr__check_floats, .arity = 1, .prepare = prepare_matrices, .infer = like_first,
  .eval = cofactor_eval, .depend = cr__matrices_depend,
  .vjp = cofactor_vjp, .jvp = cofactor_jvp, .rule = "cofactor_slope(A, g)"};

cr_var cr_cofactor(cr_var a) {
  cr_array x = cr_view(a);
  static const double factorial[] = {1, 1, 1, 2, 6};
  if (cr_is_poison(a)) return a;
  int64_t n = x.rank < 2 ? 0 : x.dim[x.rank - 1];
  if (x.rank < 2 || n != x.dim[x.rank - 2])
    return cr_fail(a.tape, CR_BAD_SHAPE, "cofactor: the last two axes must exist and be equal");
  if (n < 2) return cr_ones(a.tape, (cr_dtype)x.dtype, x.rank, x.dim);
  if (n > POLYNOMIAL) return cr_record(a.tape, &cofactor_op, 1, &a, NULL);
  return cr_record(a.tape, &mixed_op, (int)n - 1, (cr_var[]){a, a, a}, &(mixed_attr){factorial[n]});
}

/* det */

static cr_status det_eval(cr_eval *c) {
  cr__batch a = cr__batch_of(&c->in[0]);
  int64_t n = a.rows, exponent, *pivot = cr_scratch(c, (size_t)(n + 1) * sizeof *pivot);
  double *matrix = room_for(c, n * n);
  if (!pivot || !matrix) return CR_NO_MEMORY;
  for (int64_t k = 0; k < c->out->count; k++) {
    cr__batch_load(&a, k, matrix);
    double d = cr__det(n, matrix, pivot, &exponent);
    cr_array_set(c->out, k, scaled(d, exponent));
  }
  return CR_OK;
}
static void det_vjp(cr_vjp_rule *c) { c->d[0] = times_matrix(c->g, cr_cofactor(c->in[0])); }
static cr_var det_jvp(cr_jvp_rule *c) { return cr__sum_last(cr_mul(cr_cofactor(c->in[0]), c->dot[0]), 2, 0); }
static const cr_op det_op = {
  .name = "det", .check = cr__check_floats, .arity = 1, .prepare = prepare_matrices, .infer = one_number,
  .eval = det_eval, .depend = cr__matrices_depend, .vjp = det_vjp,
  .jvp = det_jvp, .latex = "\\det\\left(%a\\right)", .rule = "g times the cofactors of A"};

cr_var cr_det(cr_var a) { return cr_record(a.tape, &det_op, 1, &a, NULL); }

/* slogdet: two ops, the sign and the logarithm of the absolute value */

typedef struct slogdet_attr {
  int logarithm;
} slogdet_attr;

static const cr_field slogdet_fields[] = {
  CR_FIELD(slogdet_attr, logarithm, CR_FIELD_FLAG, "logarithm"),
  {.name = NULL}};

static cr_status slogdet_eval(cr_eval *c) {
  cr__batch a = cr__batch_of(&c->in[0]);
  int64_t n = a.rows, exponent, *pivot = cr_scratch(c, (size_t)(n + 1) * sizeof *pivot);
  double *matrix = room_for(c, n * n);
  if (!pivot || !matrix) return CR_NO_MEMORY;
  for (int64_t k = 0; k < c->out->count; k++) {
    int e;
    cr__batch_load(&a, k, matrix);
    double d = frexp(cr__det(n, matrix, pivot, &exponent), &e);
    exponent += e;
    if (fabs(d) < 0.7071067811865476) d *= 2, exponent--; /* near 1 the exponent is 0 and nothing cancels */
    double logarithm = d == 0 ? -(double)INFINITY : log(fabs(d)) + (double)exponent * 0.6931471805599453;
    cr_array_set(c->out, k, ((const slogdet_attr *)c->attr)->logarithm ? logarithm : d > 0 ? 1 : d < 0 ? -1 : d);
  }
  return CR_OK;
}
static cr_var inverse_transposed(cr_var a) { return cr_matrix_transpose(cr_inv(a)); }
static void log_det_vjp(cr_vjp_rule *c) { c->d[0] = times_matrix(c->g, inverse_transposed(c->in[0])); }
static cr_var log_det_jvp(cr_jvp_rule *c) {
  return cr__sum_last(cr_guarded_mul(c->dot[0], inverse_transposed(c->in[0])), 2, 0);
}
static cr_var no_jvp(cr_jvp_rule *c) { return cr_poison(c->tape); }
static const cr_op det_sign_op = {
  .name = "sign_det", .check = cr__check_floats, .arity = 1, .kind = CR_PIECEWISE_CONSTANT,
  .attr_size = sizeof(slogdet_attr), .fields = slogdet_fields,
  .prepare = prepare_matrices, .infer = one_number, .eval = slogdet_eval, .jvp = no_jvp,
  .latex = "\\operatorname{sgn}\\det\\left(%a\\right)", .rule = "none"};
static const cr_op log_det_op = {
  .name = "log_abs_det", .check = cr__check_floats, .arity = 1, .attr_size = sizeof(slogdet_attr),
  .fields = slogdet_fields, .prepare = prepare_matrices, .infer = one_number,
  .eval = slogdet_eval, .depend = cr__matrices_depend, .vjp = log_det_vjp, .jvp = log_det_jvp,
  .latex = "\\ln\\left|\\det\\left(%a\\right)\\right|",
  .rule = "g A^-T"};

cr_var cr_slogdet(cr_var a, cr_var *sign) {
  if (sign) *sign = cr_record(a.tape, &det_sign_op, 1, &a, &(slogdet_attr){0});
  return cr_record(a.tape, &log_det_op, 1, &a, &(slogdet_attr){1});
}

cr_var cr_logdet(cr_var a) {
  cr_var sign, size = cr_slogdet(a, &sign);
  return cr_add(size, cr_log(sign)); /* log(sign) is 0, or NaN for a negative determinant */
}

const cr_op *const cr__determinant_ops[] = {&mixed_op,  &cofactor_slope_op, &cofactor_op, &det_op, &det_sign_op,
                                            &log_det_op, NULL};
