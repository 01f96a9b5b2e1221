/* Matrix products and what is made of them. */
#include <stdbool.h>
#include <string.h>

#include "emit.h"
#include "gemm.h"
#include "matrix.h"
#include "parallel.h"
#include "smallproduct.h"

/* Plain product of integers. */
#define PLAIN(name, T)                                                                                     \
  static void name(const cr__product *p) {                                                                 \
    const T *a = p->a, *b = p->b;                                                                          \
    T *c = p->c;                                                                                           \
    for (int64_t i = 0; i < p->m; i++)                                                                     \
      for (int64_t j = 0; j < p->n; j++) {                                                                 \
        int64_t sum = 0;                                                                                   \
        for (int64_t l = 0; l < p->k; l++)                                                                 \
          sum += (int64_t)a[i * p->a_row + l * p->a_col] * (int64_t)b[l * p->b_row + j * p->b_col];        \
        c[i * p->c_row + j] = (T)sum;                                                                      \
      }                                                                                                    \
  }
PLAIN(plain_i64, int64_t)
PLAIN(plain_i32, int32_t)

/* Scalar product of two vectors in double, as a tree over lanes, as sums are taken: long ones keep their digits. */
#define DOT(name, T)                                                                      \
  static double name(int64_t n, const T *a, int64_t sa, const T *b, int64_t sb) {         \
    enum { LEAF = 256, LANES = 8 };                                                       \
    if (n > LEAF) {                                                                       \
      int64_t half = n / 2;                                                               \
      return name(half, a, sa, b, sb) + name(n - half, a + half * sa, sa, b + half * sb, sb); \
    }                                                                                     \
    double s[LANES] = {0};                                                                \
    int64_t i = 0;                                                                        \
    if (sa == 1 && sb == 1)                                                               \
      for (; i + LANES <= n; i += LANES)                                                  \
        for (int j = 0; j < LANES; j++) s[j] += (double)a[i + j] * (double)b[i + j];      \
    for (; i < n; i++) s[i % LANES] += (double)a[i * sa] * (double)b[i * sb];             \
    return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));             \
  }
DOT(dot_f64, double)
DOT(dot_f32, float)

/* Products by scalar products: single numbers, and long columns. */
static void by_dots(cr_dtype dtype, const cr__product *p) {
  for (int64_t i = 0; i < p->m; i++)
    for (int64_t j = 0; j < p->n; j++) {
      if (dtype == CR_FLOAT64)
        ((double *)p->c)[i * p->c_row + j] = dot_f64(p->k, (const double *)p->a + i * p->a_row, p->a_col,
                                                     (const double *)p->b + j * p->b_col, p->b_row);
      else
        ((float *)p->c)[i * p->c_row + j] = (float)dot_f32(p->k, (const float *)p->a + i * p->a_row, p->a_col,
                                                           (const float *)p->b + j * p->b_col, p->b_row);
    }
}

/* A batch of products of one shape, cut into parts. */
typedef struct batch_of_products {
  cr_dtype dtype;
  cr__product one;
  cr__batch a, b, c;
  int64_t parts;           /* of each product; 0 when it is not cut */
} batch_of_products;

/* Sums so long along both operands are faster than a kernel whose vectors would have one number each. */
static bool is_dots(const cr__product *p) {
  enum { LONG = 128 };
  return !p->k || (p->n == 1 && (p->m == 1 || (p->k >= LONG && p->a_col == 1 && p->b_row == 1)));
}

static void run_parts(void *context, int64_t from, int64_t to) {
  const batch_of_products *w = context;
  cr__product p = w->one;
  int64_t parts = w->parts ? w->parts : 1;
  for (int64_t k = from; k < to; k++) {
    int64_t at = k / parts;
    p.a = cr__batch_at(&w->a, at), p.b = cr__batch_at(&w->b, at), p.c = cr__batch_at(&w->c, at);
    if (w->parts) cr__gemm_part(w->dtype, &p, k % parts);
    else if (w->dtype >= CR_FLOAT32) by_dots(w->dtype, &p);
    else if (w->dtype == CR_INT64) plain_i64(&p);
    else plain_i32(&p);
    if (!w->parts && (p.bias || p.finish)) cr__finish_block(w->dtype, &p, 0, 0, p.m, p.n);
  }
}

/* Of the matrices at the place that data points to. */
static cr__product product_of(const cr_array *a, const cr_array *b, const cr_array *out, const cr__product *epilogue) {
  int row = out->rank - 2, col = out->rank - 1;
  cr__product p = {.m = out->dim[row], .n = out->dim[col], .k = a->dim[col], .a = a->data, .b = b->data, .c = out->data,
                   .a_row = a->stride[row], .a_col = a->stride[col], .b_row = b->stride[row], .b_col = b->stride[col],
                   .c_row = out->dim[col]};
  if (epilogue) p.bias = epilogue->bias, p.finish = epilogue->finish, p.context = epilogue->context;
  return p;
}

void cr__matrix_product(cr_tape *t, const cr_array *a, const cr_array *b, cr_array *out, const cr__product *epilogue) {
  enum { WORTH_SHARING = 1 << 16 /* multiplications */, SOME_THREADS = 8 };
  cr_dtype dtype = (cr_dtype)out->dtype;
  int64_t threads = cr_get(t, CR_THREADS), parts = 0;
  if (!out->count) return;
  cr__product one = product_of(a, b, out, epilogue);
  bool single = one.m * one.n == out->count;
  one.shares = !single ? 1 : threads ? threads : SOME_THREADS;
  if (dtype >= CR_FLOAT32 && !is_dots(&one)) parts = cr__gemm_parts(dtype, &one);
  if (single && dtype >= CR_FLOAT32 && parts <= 1) {
    if (parts) cr__gemm_part(dtype, &one, 0);
    else by_dots(dtype, &one);
    if (!parts && (one.bias || one.finish)) cr__finish_block(dtype, &one, 0, 0, one.m, one.n);
    return;
  }
  batch_of_products w = {.dtype = dtype, .one = one, .a = cr__batch_of(a), .b = cr__batch_of(b), .c = cr__batch_of(out),
                         .parts = parts};
  int64_t n = w.c.lead.count * (parts ? parts : 1), each = w.c.lead.count * one.m * one.n * one.k / n;
  cr__parallel(t, n, each < WORTH_SHARING ? WORTH_SHARING / (each + 1) + 1 : 1, run_parts, &w);
}

/* The tail on a block of the result. */
static void ready_block(void *context, int64_t row, int64_t col, int64_t rows, int64_t cols, void *block, int64_t c_row) {
  const cr_eval *c = context;
  int64_t at = ((const char *)block - (const char *)c->out->data) / (int64_t)cr_dtype_size((cr_dtype)c->out->dtype);
  (void)row, (void)col;
  if (cols == c_row) cr_ready(c, at, rows * cols);
  else
    for (int64_t i = 0; i < rows; i++) cr_ready(c, at + i * c_row, cols);
}
static void ready_all(void *context, int64_t from, int64_t to) { cr_ready(context, from, to - from); }

/* A small result stays in the cache as a whole; long runs of it cost less than the rows of blocks. */
static cr_status matmul_eval(cr_eval *c) {
  enum { SMALL = 1 << 18 };
  bool parts = c->tail && c->out->count * (int64_t)cr_dtype_size((cr_dtype)c->out->dtype) > SMALL;
  cr__product ready = {.finish = ready_block, .context = c};
  cr__matrix_product(c->tape, &c->in[0], &c->in[1], c->out, parts ? &ready : NULL);
  if (c->tail && !parts) cr__parallel(c->tape, c->out->count, CR__BLOCK, ready_all, c);
  return CR_OK;
}

static void matmul_emit(cr_emit_context *c) {
  int lead = c->out.array.rank - 2;
  const int64_t *dim = c->out.array.dim + lead;
  cr__product p = {.m = dim[0], .n = dim[1], .k = c->in[0].array.dim[lead + 1], .a_col = c->in[0].array.stride[lead + 1],
                   .b_row = c->in[1].array.stride[lead]};
  if (c->out.array.dtype >= CR_FLOAT32 && (is_dots(&p) || lead + 3 > CR_MAX_RANK)) cr__emit_dots(c, lead, p.k);
  else if (lead + 3 > CR_MAX_RANK) cr_fail(c->tape, CR_BAD_SHAPE, "emit: matmul of integers of rank %d", lead + 2);
  else cr__emit_product(c, lead, p.k);
}

static int matmul_small(cr_emit_context *c) {
  enum { MOST = 1 << 12 };
  const int lead = c->out.array.rank - 2;
  const int64_t *dim = c->out.array.dim + lead;
  const cr_array *a = &c->in[0].array, *b = &c->in[1].array;
  cr__product p = {.m = dim[0], .n = dim[1], .k = a->dim[lead + 1], .a_col = a->stride[lead + 1], .b_row = b->stride[lead]};
  if (c->out.array.dtype < CR_FLOAT32) return 0;
  const bool near = c->out.array.dtype == CR_FLOAT32 && !cr_emit_exact(c) && p.m * p.n > 1;
  if (!is_dots(&p) || near) return cr__small_product(c, lead);
  if (p.m * p.n * p.k > MOST) return 0;
  matmul_emit(c);
  return 1;
}

static cr_status matmul_prepare(cr_tape *t, int n, cr_var *in) { return cr__prepare_matrices(t, n, in, 'i', 2); }

static cr_status matmul_infer(cr_infer *c) {
  const cr_array *a = &c->in[0], *b = &c->in[1];
  int64_t dims[CR_MAX_RANK];
  if (cr__check_matrix(c, 0, 0) != CR_OK || cr__check_matrix(c, 1, 0) != CR_OK) return CR_BAD_SHAPE;
  int last = a->rank - 1;
  memcpy(dims, a->dim, sizeof dims);
  dims[last] = b->dim[last];
  cr_array_init(c->out, (cr_dtype)a->dtype, a->rank, dims);
  return CR_OK;
}

static void matmul_vjp(cr_vjp_rule *c) {
  if (c->wanted[0]) c->d[0] = cr_matmul(c->g, cr_matrix_transpose(c->in[1]));
  if (c->wanted[1]) c->d[1] = cr_matmul(cr_matrix_transpose(c->in[0]), c->g);
}

static void matmul_depend(cr_depend *c) {
  int rows[CR_MAX_RANK], columns[CR_MAX_RANK], last = c->out->rank - 1;
  for (int i = 0; i <= last; i++) rows[i] = i < last ? i : -1, columns[i] = i != last - 1 ? i : -1;
  cr_depend_along(c, 0, rows);
  cr_depend_along(c, 1, columns);
}

static const cr_op matmul_op = {
  .name = "matmul", .check = cr__check_numbers, .arity = 2, .kind = CR_BILINEAR, .prepare = matmul_prepare,
  .infer = matmul_infer, .eval = matmul_eval, .tails = 1, .depend = matmul_depend, .emit = matmul_emit,
  .small = matmul_small,
  .vjp = matmul_vjp, .infix = "a @ b", .latex = "%a \\, %b", .rule = "g B^T for A, A^T g for B"};

cr_var cr_matmul(cr_var a, cr_var b) {
  cr_array x = cr_view(a), y = cr_view(b);
  char one[200], two[200];
  if (cr_is_poison(a) || cr_is_poison(b)) return cr_poison(a.tape);
  if (!x.rank || !y.rank)
    return cr_fail(a.tape, CR_BAD_SHAPE, "matmul: shapes %s and %s: a number has no axis to sum over, use *",
                   cr_shape_text(&x, one, sizeof one), cr_shape_text(&y, two, sizeof two));
  bool row = x.rank == 1, column = y.rank == 1, flat = x.rank > 2 && y.rank <= 2;
  int64_t k = x.dim[x.rank - 1], inner = y.dim[column ? 0 : y.rank - 2], n = column ? 1 : y.dim[y.rank - 1];
  if (k != inner)
    return cr_fail(a.tape, CR_BAD_SHAPE, "matmul: shapes %s and %s: inner dimensions %lld and %lld differ",
                   cr_shape_text(&x, one, sizeof one), cr_shape_text(&y, two, sizeof two), (long long)k, (long long)inner);
  /* A batch of matrices times one matrix is one product of a taller matrix. */
  if (row || flat) {
    int64_t rows = 1;
    for (int i = 0; i < x.rank - 1; i++) rows *= x.dim[i];
    a = cr_reshape(a, 2, (int64_t[]){rows, k});
  }
  if (column) b = cr_reshape(b, 2, (int64_t[]){k, 1});
  cr_var c = cr_record(a.tape, &matmul_op, 2, (cr_var[]){a, b}, NULL);
  if (!(row || column || flat) || cr_is_poison(c)) return c;
  cr_array z = cr_view(c);
  int64_t dims[CR_MAX_RANK];
  int rank = 0;
  if (flat) {
    for (; rank < x.rank - 1; rank++) dims[rank] = x.dim[rank];
  } else {
    for (int i = 0; i < z.rank - 2; i++) dims[rank++] = z.dim[i];
    if (!row) dims[rank++] = z.dim[z.rank - 2];
  }
  if (!column) dims[rank++] = n;
  return cr_reshape(c, rank, dims);
}

cr_var cr_linear(cr_var x, cr_var weight, cr_var bias) {
  cr_var y = cr_matmul(x, cr_rank(weight) > 1 ? cr_matrix_transpose(weight) : weight);
  return cr_absent(bias) ? y : cr_add(y, bias);
}

cr_var cr_dot(cr_var a, cr_var b) {
  cr_array x = cr_view(a), y = cr_view(b);
  char one[200], two[200];
  if (cr_is_poison(a) || cr_is_poison(b)) return cr_poison(a.tape);
  if (x.rank != 1 || y.rank != 1 || x.dim[0] != y.dim[0])
    return cr_fail(a.tape, CR_BAD_SHAPE, "dot: shapes %s and %s are not two vectors of one length",
                   cr_shape_text(&x, one, sizeof one), cr_shape_text(&y, two, sizeof two));
  return cr_matmul(a, b);
}

cr_var cr_outer(cr_var a, cr_var b) {
  if (cr_is_poison(a) || cr_is_poison(b)) return cr_poison(a.tape);
  if (cr_rank(a) != 1 || cr_rank(b) != 1)
    return cr_fail(a.tape, CR_BAD_SHAPE, "outer: operands of rank %d and %d are not two vectors", cr_rank(a), cr_rank(b));
  return cr_mul(cr__insert_axes(a, 1, 1), b);
}

cr_var cr_cross(cr_var a, cr_var b, int axis) {
  cr_var in[2] = {a, b}, term[2];
  if (cr_is_poison(a) || cr_is_poison(b) || cr__broadcast_operands(a.tape, 2, in) != CR_OK) return cr_poison(a.tape);
  int k = cr_axis(axis, cr_rank(in[0]));
  if (k < 0 || cr_dim(in[0], k) != 3)
    return cr_fail(a.tape, CR_BAD_SHAPE, "cross: axis %d must exist and have size 3", axis);
  for (int i = 0; i < 2; i++)
    term[i] = cr_mul(cr_roll(in[0], k, i ? 1 : -1), cr_roll(in[1], k, i ? -1 : 1));
  return cr_sub(term[0], term[1]);
}

/* The axes that stay, in order, before or after those that go. */
static cr_var free_and_contracted(cr_var x, int n, const int *axes, bool free_first, int64_t *free_dim, int *n_free) {
  int order[CR_MAX_RANK], rank = cr_rank(x), at = free_first ? 0 : n;
  int64_t free_count = 1, count = 1;
  unsigned gone = 0;
  for (int i = 0; i < n; i++) gone |= 1u << axes[i];
  *n_free = 0;
  for (int i = 0; i < rank; i++) {
    if (gone >> i & 1) continue;
    order[at++] = i;
    free_count *= free_dim[(*n_free)++] = cr_dim(x, i);
  }
  for (int i = 0; i < n; i++) {
    order[(free_first ? *n_free : 0) + i] = axes[i];
    count *= cr_dim(x, axes[i]);
  }
  return cr_reshape(cr_permute(x, rank, order), 2,
                    free_first ? (int64_t[]){free_count, count} : (int64_t[]){count, free_count});
}

static bool contracted_axes(cr_var x, int n, const int *axes, int *out) {
  unsigned seen = 0;
  for (int i = 0; i < n; i++) {
    out[i] = cr_axis(axes[i], cr_rank(x));
    if (out[i] < 0 || seen >> out[i] & 1) {
      cr_fail(x.tape, CR_BAD_ARGUMENT, out[i] < 0 ? "tensordot: axis %d of a tensor of rank %d"
                                                  : "tensordot: axis %d appears twice (rank %d)", axes[i], cr_rank(x));
      return false;
    }
    seen |= 1u << out[i];
  }
  return true;
}

cr_var cr_tensordot(cr_var a, cr_var b, int n, const int *axes_a, const int *axes_b) {
  int p[CR_MAX_RANK], q[CR_MAX_RANK], n_left, n_right;
  int64_t dims[2 * CR_MAX_RANK], right[CR_MAX_RANK];
  if (cr_is_poison(a) || cr_is_poison(b)) return cr_poison(a.tape);
  if (n < 0 || n > cr_rank(a) || n > cr_rank(b))
    return cr_fail(a.tape, CR_BAD_ARGUMENT, "tensordot: %d axes of tensors of rank %d and %d", n, cr_rank(a), cr_rank(b));
  if (!contracted_axes(a, n, axes_a, p) || !contracted_axes(b, n, axes_b, q)) return cr_poison(a.tape);
  for (int i = 0; i < n; i++)
    if (cr_dim(a, p[i]) != cr_dim(b, q[i]))
      return cr_fail(a.tape, CR_BAD_SHAPE, "tensordot: axes %d and %d have sizes %lld and %lld", p[i], q[i],
                     (long long)cr_dim(a, p[i]), (long long)cr_dim(b, q[i]));
  cr_var left = free_and_contracted(a, n, p, true, dims, &n_left);
  cr_var c = cr_matmul(left, free_and_contracted(b, n, q, false, right, &n_right));
  if (n_left + n_right > CR_MAX_RANK)
    return cr_fail(a.tape, CR_BAD_SHAPE, "tensordot: the result has %d axes, at most %d", n_left + n_right, CR_MAX_RANK);
  memcpy(dims + n_left, right, (size_t)n_right * sizeof *dims);
  return cr_reshape(c, n_left + n_right, dims);
}

cr_var cr_kron(cr_var a, cr_var b) {
  cr_array x = cr_view(a), y = cr_view(b);
  int64_t p[2 * CR_MAX_RANK], q[2 * CR_MAX_RANK], dims[CR_MAX_RANK];
  int rank = x.rank > y.rank ? x.rank : y.rank;
  if (cr_is_poison(a) || cr_is_poison(b)) return cr_poison(a.tape);
  if (2 * rank > CR_MAX_RANK)
    return cr_fail(a.tape, CR_BAD_SHAPE, "kron: operands of rank %d and %d, at most %d", x.rank, y.rank, CR_MAX_RANK / 2);
  for (int i = 0; i < rank; i++) {
    int j = i - (rank - x.rank), k = i - (rank - y.rank);
    p[2 * i] = j < 0 ? 1 : x.dim[j];
    p[2 * i + 1] = q[2 * i] = 1;
    q[2 * i + 1] = k < 0 ? 1 : y.dim[k];
    dims[i] = p[2 * i] * q[2 * i + 1];
  }
  return cr_reshape(cr_mul(cr_reshape(a, 2 * rank, p), cr_reshape(b, 2 * rank, q)), rank, dims);
}

/* Names in the expression language */

static cr_var arg_or_none(cr_call *c, int k) { return cr_arg_given(c, k) ? cr_arg_var(c, k) : cr_poison(cr_call_tape(c)); }

static void call_matmul(cr_call *c) {
  cr_var a = cr_arg_var(c, 0), b = cr_arg_var(c, 1);
  cr_return(c, cr_matmul(a, b));
}
static void call_linear(cr_call *c) {
  cr_var x = cr_arg_var(c, 0), weight = cr_arg_var(c, 1);
  cr_return(c, cr_linear(x, weight, arg_or_none(c, 2)));
}
static void call_dot(cr_call *c) {
  cr_var a = cr_arg_var(c, 0), b = cr_arg_var(c, 1);
  cr_return(c, cr_dot(a, b));
}
static void call_outer(cr_call *c) {
  cr_var a = cr_arg_var(c, 0), b = cr_arg_var(c, 1);
  cr_return(c, cr_outer(a, b));
}
static void call_cross(cr_call *c) {
  cr_var a = cr_arg_var(c, 0), b = cr_arg_var(c, 1);
  cr_return(c, cr_cross(a, b, (int)cr_arg_int(c, 2)));
}
static void call_kron(cr_call *c) {
  cr_var a = cr_arg_var(c, 0), b = cr_arg_var(c, 1);
  cr_return(c, cr_kron(a, b));
}
static void call_inner(cr_call *c) {
  cr_var a = cr_arg_var(c, 0), b = cr_arg_var(c, 1);
  if (cr_rank(a) && cr_rank(b)) cr_return(c, cr_tensordot(a, b, 1, (int[]){-1}, (int[]){-1}));
  else cr_return(c, cr_mul(a, b));
}
/* dims is a number of axes, or a pair of lists of axes. */
static void call_tensordot(cr_call *c) {
  cr_var a = cr_arg_var(c, 0), b = cr_arg_var(c, 1);
  int axes[2][CR_MAX_RANK], n = 0;
  if (cr_arg_is_number(c, 2)) {
    n = (int)cr_arg_int(c, 2);
    for (int i = 0; i < n && i < CR_MAX_RANK; i++) axes[0][i] = i - n, axes[1][i] = i;
  } else {
    cr_array lists = cr_view(cr_arg_index(c, 2));
    if (lists.rank != 2 || lists.dim[0] != 2 || lists.dim[1] > CR_MAX_RANK) {
      cr_fail(cr_call_tape(c), CR_BAD_ARGUMENT, "tensordot: dims is a number or two lists of axes of one length");
      return;
    }
    n = (int)lists.dim[1];
    for (int i = 0; i < 2 * n; i++) axes[i / n][i % n] = (int)cr_array_get_int(&lists, i);
  }
  cr_return(c, cr_tensordot(a, b, n, axes[0], axes[1]));
}
static void call_einsum(cr_call *c) {
  enum { MANY = 64 };
  cr_var operand[MANY];
  const char *equation = cr_arg_text(c, 0);
  int n = cr_arg_vars(c, 1, MANY, operand);
  if (n >= 0) cr_return(c, cr_einsum(cr_call_tape(c), equation, n, operand));
}

static const cr_op *const recorded[] = {&matmul_op, NULL};

const cr_function cr__matmul_functions[] = {
  {.ops = recorded, .signature = "matmul(input, other) | mm | mv | bmm", .call = call_matmul, .family = "matrix product",
   .doc = "Matrix product over the last two axes, leading axes broadcast; a 1-D operand is a row on the left, a column on "
          "the right.",
   .derivative = "g B^T for A, A^T g for B, summed over axes that were broadcast",
   .samples = "matmul(a:(2,3), b:(3,2)); matmul(a:(3), b:(3)); matmul(a:(2,3), b:(3)); matmul(a:(2,1,2,3), b:(2,3,1))"},
  {.signature = "linear(input, weight, bias=None)", .call = call_linear, .family = "matrix product",
   .doc = "input W^T + bias: weight is (out, in), or (in) for one output.", .derivative = "that of the product and the sum",
   .samples = "linear(x:(2,3), w:(2,3), b:(2)); linear(x:(3), w:(2,3)); linear(x:(2,3), w:(3))"},
  {.signature = "addmm(input, mat1, mat2, *, beta=1, alpha=1)", .formula = "beta * input + alpha * (mat1 @ mat2)",
   .family = "matrix product", .doc = "beta input + alpha (mat1 mat2).",
   .samples = "addmm(c:(2,2), a:(2,3), b:(3,2)); addmm(c:(2), a:(2,1), b:(1,2), beta=0.5, alpha=2)"},
  {.signature = "dot(input, tensor) | vdot", .call = call_dot, .family = "matrix product",
   .doc = "Scalar product of two vectors.",
   .derivative = "g times the other operand", .samples = "dot(a:(3), b:(3)); dot(a:(0), b:(0))"},
  {.signature = "inner(input, tensor)", .call = call_inner, .family = "matrix product",
   .doc = "Sum of products over the last axes of both; for vectors the scalar product.",
   .derivative = "g contracted with the other operand", .samples = "inner(a:(3), b:(3)); inner(a:(2,3), b:(2,3))"},
  {.signature = "outer(input, vec2) | ger", .call = call_outer, .family = "matrix product",
   .doc = "All products of an element of the one vector with one of the other.",
   .derivative = "g times the other operand, summed",
   .samples = "outer(a:(2), b:(3))"},
  {.signature = "cross(input, other, dim=-1)", .call = call_cross, .family = "matrix product",
   .doc = "Vector product along an axis of size 3.", .derivative = "vector products with g",
   .samples = "cross(a:(3), b:(3)); cross(a:(3,2), b:(3,2), dim=0)"},
  {.signature = "tensordot(a, b, dims=2)", .call = call_tensordot, .family = "matrix product",
   .doc = "Sum of products over the last dims axes of a and the first of b, or over two lists of axes.",
   .derivative = "g contracted with the other operand",
   .samples = "tensordot(a:(2,3,2), b:(3,2,2)); tensordot(a:(2), b:(3), dims=0); tensordot(a:(2,3), b:(2,2), "
              "dims=[[0],[1]])"},
  {.signature = "einsum(equation, *operands)", .call = call_einsum, .family = "matrix product",
   .doc = "Sum of products by labels of axes: letters, repeated ones for a diagonal, an ellipsis, the result after ->.",
   .derivative = "the same sum with g in place of the operand",
   .samples = "einsum('ij,jk->ik', a:(2,3), b:(3,2)); einsum('ii', a:(3,3)); einsum('...i,...i->...', a:(2,3), b:(3)); "
              "einsum('i,j,k->ik', a:(2), b:(2), c:(3)); einsum('iij->j', a:(2,2,3)); "
              "einsum('bij,bjk', a:(2,1,3), b:(2,3,2))"},
  {.signature = "kron(input, other)", .call = call_kron, .family = "matrix product",
   .doc = "Kronecker product: every element of the one times the whole of the other.",
   .derivative = "g times the other operand, summed",
   .samples = "kron(a:(2,2), b:(1,2)); kron(a:(2), b:(3))"},
  {.signature = NULL}};
