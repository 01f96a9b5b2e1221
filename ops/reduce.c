/* Reductions over axes: sums, products, all, any. */
#include "emitrows.h"
#include "flatmath.h"
#include "parallel.h"

#include <string.h>

/* Sums over a fixed tree of blocks, each summed in eight lanes: the error grows as log n, and the result depends neither on
 * strides nor on who computes it. float32 is summed in double. */

enum { LANES = 8, BLOCK = 128, COLUMNS = 128, SOME = 16, LINE = 16, AHEAD = 16 };

static double add_lanes(const double *s) { return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7])); }

#define SUMS(T)                                                                                   \
  static double T##_block(const T *x, int64_t n, int64_t step) {                                  \
    double s[LANES] = {0};                                                                        \
    int64_t i = 0;                                                                                \
    if (step == 1)                                                                                \
      for (; i + LANES <= n; i += LANES)                                                          \
        for (int j = 0; j < LANES; j++) s[j] += (double)x[i + j];                                 \
    for (; i < n; i++) s[i % LANES] += (double)x[i * step];                                       \
    return add_lanes(s);                                                                          \
  }                                                                                               \
  static double T##_sum(const T *x, int64_t n, int64_t step) {                                    \
    if (n <= BLOCK) return T##_block(x, n, step);                                                 \
    int64_t half = n / 2;                                                                         \
    return T##_sum(x, half, step) + T##_sum(x + half * step, n - half, step);                     \
  }
SUMS(double)
SUMS(float)

/* The sums of n columns side by side, at most COLUMNS, each over the tree above. step: from row to row; as no processor
 * foresees where the next of rows far apart lies, it is asked for. */
#define COLUMN_SUMS(name, TARGET, T)                                                              \
  TARGET static inline void name##_leaf(const T *x, int64_t rows, int64_t step, int64_t n, double *out) { \
    double s[LANES][COLUMNS];                                                                     \
    for (int l = 0; l < LANES; l++)                                                               \
      for (int64_t j = 0; j < n; j++) s[l][j] = 0;                                                \
    for (int64_t i = 0; i < rows; i++) {                                                          \
      double *lane = s[i % LANES];                                                                \
      for (int64_t j = 0; j < n; j += LINE) __builtin_prefetch(x + (i + AHEAD) * step + j);       \
      for (int64_t j = 0; j < n; j++) lane[j] += (double)x[i * step + j];                         \
    }                                                                                             \
    for (int64_t j = 0; j < n; j++)                                                               \
      out[j] = ((s[0][j] + s[1][j]) + (s[2][j] + s[3][j])) + ((s[4][j] + s[5][j]) + (s[6][j] + s[7][j]));\
  }                                                                                               \
  TARGET static void name##_columns(const T *x, int64_t rows, int64_t step, int64_t n, double *out) { \
    if (rows > BLOCK) {                                                                           \
      double right[COLUMNS];                                                                      \
      name##_columns(x, rows / 2, step, n, out);                                                  \
      name##_columns(x + rows / 2 * step, rows - rows / 2, step, n, right);                       \
      for (int64_t j = 0; j < n; j++) out[j] += right[j];                                         \
    } else if (n == COLUMNS) {                                                                    \
      name##_leaf(x, rows, step, COLUMNS, out);                                                   \
    } else {                                                                                      \
      for (; n >= SOME; n -= SOME, x += SOME, out += SOME) name##_leaf(x, rows, step, SOME, out); \
      name##_leaf(x, rows, step, n, out);                                                         \
    }                                                                                             \
  }
COLUMN_SUMS(double, , double)
COLUMN_SUMS(wide_double, CR__WIDE, double)
COLUMN_SUMS(widest_double, CR__WIDEST, double)
COLUMN_SUMS(float, , float)
COLUMN_SUMS(wide_float, CR__WIDE, float)
COLUMN_SUMS(widest_float, CR__WIDEST, float)

/* n columns, the first of which is this. */
static void columns_of(const cr_array *first, int64_t n, double *sums) {
  static void (*const of_doubles[])(const double *, int64_t, int64_t, int64_t,
                                    double *) = {double_columns, wide_double_columns, widest_double_columns};
  static void (*const of_floats[])(const float *, int64_t, int64_t, int64_t, double *) = {float_columns, wide_float_columns,
                                                                                          widest_float_columns};
  if (first->dtype == CR_FLOAT64) of_doubles[cr__version()](first->data, first->count, first->stride[0], n, sums);
  else of_floats[cr__version()](first->data, first->count, first->stride[0], n, sums);
}

double cr__sum_of(const double *x, int64_t n) { return double_sum(x, n, 1); }

static double sum_row(const cr_array *row) {
  int64_t step = row->rank ? row->stride[0] : 0;
  return row->dtype == CR_FLOAT64 ? double_sum(row->data, row->count, step) : float_sum(row->data, row->count, step);
}

/* Rows from on, to before, that begin at even steps; of one number each, the sum only turns -0 into 0. */
#define EVEN_SUMS(T)                                                                              \
  static void T##_sums(const cr__rows_view *v, int64_t from, int64_t to, T *out) {                \
    const int64_t step = v->row.rank ? v->row.stride[0] : 0, on = v->kept.rank ? v->kept.stride[0] : 0; \
    const T *x = (const T *)(const void *)v->data;                                                \
    if (v->row.count == 1)                                                                        \
      for (int64_t k = from; k < to; k++) out[k] = x[k * on] + 0;                                 \
    else                                                                                          \
      for (int64_t k = from; k < to; k++) out[k] = (T)T##_sum(x + k * on, v->row.count, step);    \
  }
EVEN_SUMS(double)
EVEN_SUMS(float)

typedef struct sum_job {
  cr__rows_view v;
  cr_array *out;
  int64_t run, strips;     /* neighbouring rows, and how many strips of COLUMNS or fewer they make */
} sum_job;

/* Rows that lie side by side, as when the first axis of a matrix goes: a few at a time, along their common axis. */
static void sum_strips(void *context, int64_t from, int64_t to) {
  const sum_job *job = context;
  for (int64_t strip = from; strip < to; strip++) {
    int64_t first = strip % job->strips * COLUMNS, k = strip / job->strips * job->run + first, left = job->run - first;
    cr_array row = cr__row_at(&job->v, k);
    double sums[COLUMNS];
    if (left > COLUMNS) left = COLUMNS;
    columns_of(&row, left, sums);
    for (int64_t j = 0; j < left; j++) cr_array_set(job->out, k + j, sums[j]);
  }
}

static void sum_one(void *context, int64_t k, double *copy) {
  const sum_job *job = context;
  cr_array row = cr__row_at(&job->v, k);
  if (row.rank > 1) cr__row_get(&job->v, k, copy);
  cr_array_set(job->out, k, row.rank > 1 ? cr__sum_of(copy, row.count) : sum_row(&row));
}

static void sum_block(void *context, int64_t from, int64_t to) {
  const sum_job *job = context;
  if (job->v.kept.rank > 1)
    for (int64_t k = from; k < to; k++) sum_one(context, k, NULL);
  else if (job->out->dtype == CR_FLOAT64) double_sums(&job->v, from, to, job->out->data);
  else float_sums(&job->v, from, to, job->out->data);
}

static cr_status sum_float(cr_eval *c, const cr__rows_view *v) {
  const cr_array *kept = &v->kept;
  sum_job job = {*v, c->out, 1, 1};
  if (v->row.rank == 1 && kept->rank && kept->stride[kept->rank - 1] == 1 && v->row.stride[0] != 1) {
    job.run = kept->dim[kept->rank - 1];
    job.strips = (job.run + COLUMNS - 1) / COLUMNS;
    int64_t strips = c->out->count / (job.run ? job.run : 1) * job.strips;
    cr__parallel(c->tape, strips, 1 + CR__BLOCK / (COLUMNS * (v->row.count + 1)), sum_strips, &job);
    return CR_OK;
  }
  if (v->row.rank > 1) return cr__each_row(c, c->out->count, v->row.count, sum_one, &job);
  cr__parallel(c->tape, c->out->count, 1 + CR__BLOCK / (v->row.count + 1), sum_block, &job);
  return CR_OK;
}

/* Integer reductions run over row k copied as int64. */
static const int64_t *integer_row(const cr__rows_view *v, int64_t k, int64_t *row) {
  cr_array from = cr__row_at(v, k), to;
  if (from.dtype == CR_BOOL && from.rank <= 1) { /* counting a mask is common */
    int64_t step = from.rank ? from.stride[0] : 0;
    for (int64_t i = 0; i < from.count; i++) row[i] = ((const uint8_t *)from.data)[i * step];
    return row;
  }
  cr_array_init(&to, CR_INT64, from.rank, from.dim);
  to.data = row;
  cr_array_copy(&to, &from);
  return row;
}

static cr_status reduce_infer(cr_infer *c) {
  cr_dtype d = (cr_dtype)c->in[0].dtype;
  cr__reduced_shape(&c->in[0], c->attr, d < CR_FLOAT32 ? CR_INT64 : d, c->out);
  return CR_OK;
}

static cr_status sum_eval(cr_eval *c) {
  cr__rows_view v = cr__rows_of(&c->in[0], ((const cr__axes *)c->attr)->mask);
  if (c->in[0].dtype >= CR_FLOAT32) return sum_float(c, &v);
  int64_t *row = cr_scratch(c, (size_t)v.row.count * sizeof *row), *out = c->out->data;
  if (!row) return CR_NO_MEMORY;
  for (int64_t k = 0; k < c->out->count; k++) {
    integer_row(&v, k, row);
    out[k] = 0;
    for (int64_t i = 0; i < v.row.count; i++) out[k] += row[i];
  }
  return CR_OK;
}

static double sum_part(cr_dtype dtype, int64_t n, const void *x) {
  return dtype == CR_FLOAT64 ? double_sum(x, n, 1) : float_sum(x, n, 1);
}
static double sum_join(double left, double right) { return left + right; }
static const cr_fold sum_fold = {sum_part, sum_join, BLOCK, 1, "sum"};

/* Rows that advance evenly are summed where they lie. */
static void sum_emit(cr_emit_context *c) {
  unsigned mask = ((const cr__axes *)c->attr)->mask;
  cr__rows_view v = cr__rows_of(&c->in[0].array, mask);
  if (c->in[0].array.dtype < CR_FLOAT32) {
    cr__emit_rows(c, mask, CR_INT64, CR__ONE_NUMBER, "sum_int64($0, $2)");
  } else if (v.row.rank > 1) {
    cr__emit_rows(c, mask, CR_FLOAT64, CR__ONE_NUMBER, "sum_double($0, $2, 1)");
  } else {
    cr_emit_view kept = c->in[0], out = c->out;
    int level = cr_emit_level(c);
    kept.array = v.kept;
    cr_array_init(&out.array, (cr_dtype)c->out.array.dtype, v.kept.rank, v.kept.dim);
    cr_emit_loops(c, v.kept.rank, v.kept.dim);
    cr_emit_store(c, &out, level, CR_FLOAT64,
                  cr_emit_text(c, "sum_%s(%s, %lld, %lld)", cr_emit_type((cr_dtype)kept.array.dtype),
                              cr_emit_pointer(c, &kept, level), (long long)v.row.count,
                              (long long)(v.row.rank ? v.row.stride[0] : 0)));
    cr_emit_close(c, v.kept.rank);
  }
}

/* Columns side by side: the lanes of each, row after row. */
static void emit_columns(cr_emit_context *c, const cr__rows_view *v) {
  const long long n = v->kept.count;
  const int level = cr_emit_level(c);
  const char *type = cr_emit_type((cr_dtype)c->out.array.dtype);
  cr_emit_line(c, "const %s *x = %s;", type, cr_emit_pointer(c, &c->in[0], level));
  cr_emit_line(c, "%s *out = %s;", type, cr_emit_pointer(c, &c->out, level));
  if (v->row.count == 1) {
    cr_emit_line(c, "for (int j = 0; j < %lld; j++) out[j] = x[j] + 0; /* of -0 it is 0 */", n);
    return;
  }
  cr_emit_line(c, "double s[%d][%lld] = {{0}};", LANES, n);
  cr_emit_line(c, "for (int i = 0; i < %lld; i++)", (long long)v->row.count);
  cr_emit_line(c, "_Pragma(\"omp simd\")");
  cr_emit_line(c, "  for (int j = 0; j < %lld; j++) s[i %% %d][j] += (double)x[%lld * i + j];", n, LANES,
               (long long)v->row.stride[0]);
  cr_emit_line(c, "for (int j = 0; j < %lld; j++)", n);
  cr_emit_line(c,
               "  out[j] = (%s)(((s[0][j] + s[1][j]) + (s[2][j] + s[3][j])) + "
               "((s[4][j] + s[5][j]) + (s[6][j] + s[7][j])));",
               type);
}

static int sum_small(cr_emit_context *c) {
  enum { MOST = 1 << 12, NARROW = 32 };
  cr__rows_view v = cr__rows_of(&c->in[0].array, ((const cr__axes *)c->attr)->mask);
  if (c->in[0].number || c->in[0].array.dtype < CR_FLOAT32 || v.row.rank > 1 || c->in[0].array.count > MOST) return 0;
  const bool columns = v.kept.rank && v.kept.count == v.kept.dim[v.kept.rank - 1] && v.kept.count <= NARROW &&
                       v.kept.stride[v.kept.rank - 1] == 1 && v.row.count && v.row.count <= BLOCK && v.kept.count > 1;
  if (columns) emit_columns(c, &v);
  else if (v.row.rank && v.row.stride[0] != 1) return 0;
  else sum_emit(c);
  return 1;
}

static void prod_emit(cr_emit_context *c) {
  bool real = c->in[0].array.dtype >= CR_FLOAT32;
  cr__emit_rows(c, ((const cr__axes *)c->attr)->mask, real ? CR_FLOAT64 : CR_INT64, CR__ONE_NUMBER,
                real ? "product_double($0, $2)" : "product_int64($0, $2)");
}
static void all_emit(cr_emit_context *c) {
  cr__emit_rows(c, ((const cr__axes *)c->attr)->mask, CR_FLOAT64, CR__ONE_NUMBER, "count_row($0, $2) == $2");
}
static void any_emit(cr_emit_context *c) {
  cr__emit_rows(c, ((const cr__axes *)c->attr)->mask, CR_FLOAT64, CR__ONE_NUMBER, "count_row($0, $2) > 0");
}

static void sum_vjp(cr_vjp_rule *c) { c->d[0] = cr__spread(c->g, c->in[0], c->attr); }
static const cr_op sum_op = {
  .name = "sum", .check = cr__check_numbers, .arity = 1, .kind = CR_LINEAR, .attr_size = sizeof(cr__axes),
  .fields = cr__axes_fields, .infer = reduce_infer, .eval = sum_eval, .depend = cr__rows_depend, .emit = sum_emit,
  .small = sum_small,
  .vjp = sum_vjp, .fold = &sum_fold, .show = cr__axes_show, .latex = "\\sum %a",
  .rule = "the cotangent spread over the axes that went"};

cr_var cr_sum(cr_var x, int n_axes, const int *axes, int keepdim) {
  cr__axes a = {0, keepdim};
  return cr__axes_of(x, "sum", n_axes, axes, &a) ? cr_record(x.tape, &sum_op, 1, &x, &a) : cr_poison(x.tape);
}
cr_var cr_sum_all(cr_var x) { return cr_sum(x, -1, NULL, 0); }

cr_var cr_mean(cr_var x, int n_axes, const int *axes, int keepdim) {
  cr__axes a;
  if (!cr__axes_of(x, "mean", n_axes, axes, &a)) return cr_poison(x.tape);
  cr_array shape = cr_view(x);
  if (shape.dtype < CR_FLOAT32) x = cr_cast(x, CR_FLOAT64);
  return cr_div(cr_sum(x, n_axes, axes, keepdim), cr_const(x.tape, (double)cr__axes_count(&shape, a.mask)));
}

/* prod: the derivative at an element is the product of all others, by two scans and without a division */

static cr_status prod_eval(cr_eval *c) {
  cr__rows_view v = cr__rows_of(&c->in[0], ((const cr__axes *)c->attr)->mask);
  void *row = cr_scratch(c, (size_t)v.row.count * 8);
  if (!row) return CR_NO_MEMORY;
  for (int64_t k = 0; k < c->out->count; k++) {
    if (c->in[0].dtype < CR_FLOAT32) {
      const int64_t *x = integer_row(&v, k, row);
      int64_t product = 1;
      for (int64_t i = 0; i < v.row.count; i++) product *= x[i];
      ((int64_t *)c->out->data)[k] = product;
    } else {
      double product = 1, *x = row;
      cr__row_get(&v, k, x);
      for (int64_t i = 0; i < v.row.count; i++) product *= x[i];
      cr_array_set(c->out, k, product);
    }
  }
  return CR_OK;
}

/* The product of the elements before (reverse: after) each along the last axis. */
static cr_var product_beside(cr_var x, int reverse) {
  cr_array a = cr_view(x);
  cr_var one = cr_full(x.tape, (cr_dtype)a.dtype, a.rank, a.dim, 1);
  int64_t n = a.dim[a.rank - 1];
  if (!n) return one;
  int last = a.rank - 1;
  cr_var first = cr__at_edge(cr_slice_axis(one, last, 0, 1, 1), last, n, reverse);
  return cr_linear_scan(cr__shift(x, last, reverse), first, cr_poison(x.tape), last, reverse);
}
static cr_var product_of_others(cr_var x, unsigned mask) {
  cr_var rows = cr__axes_last(x, mask);
  if (cr_is_poison(rows)) return rows;
  return cr__axes_back(cr_mul(product_beside(rows, 0), product_beside(rows, 1)), x, mask);
}

static void prod_vjp(cr_vjp_rule *c) {
  const cr__axes *a = c->attr;
  c->d[0] = cr_guarded_mul(cr__spread(c->g, c->in[0], a), product_of_others(c->in[0], a->mask));
}
static cr_var prod_jvp(cr_jvp_rule *c) {
  const cr__axes *a = c->attr;
  cr_var terms = cr_guarded_mul(c->dot[0], product_of_others(c->in[0], a->mask));
  return cr_record(c->tape, &sum_op, 1, &terms, a);
}
static const cr_op prod_op = {
  .name = "prod", .check = cr__check_numbers, .arity = 1, .attr_size = sizeof(cr__axes), .fields = cr__axes_fields,
  .infer = reduce_infer, .eval = prod_eval, .depend = cr__rows_depend, .emit = prod_emit, .vjp = prod_vjp,
  .jvp = prod_jvp, .show = cr__axes_show, .latex = "\\prod %a", .rule = "the product of all other elements"};

cr_var cr_prod(cr_var x, int n_axes, const int *axes, int keepdim) {
  cr__axes a = {0, keepdim};
  if (!cr__axes_of(x, "prod", n_axes, axes, &a)) return cr_poison(x.tape);
  if (!a.mask && cr_dtype_of(x) >= CR_FLOAT32) return x;
  return cr_record(x.tape, &prod_op, 1, &x, &a);
}

/* all, any */

static cr_status logic_infer(cr_infer *c) {
  cr__reduced_shape(&c->in[0], c->attr, CR_BOOL, c->out);
  return CR_OK;
}
static cr_status count_nonzero(cr_eval *c, bool all) {
  cr__rows_view v = cr__rows_of(&c->in[0], ((const cr__axes *)c->attr)->mask);
  double *row = cr_scratch(c, (size_t)v.row.count * sizeof *row);
  if (!row) return CR_NO_MEMORY;
  for (int64_t k = 0; k < c->out->count; k++) {
    int64_t n = 0;
    cr__row_get(&v, k, row);
    for (int64_t i = 0; i < v.row.count; i++) n += row[i] != 0;
    ((uint8_t *)c->out->data)[k] = all ? n == v.row.count : n > 0;
  }
  return CR_OK;
}
static cr_status all_eval(cr_eval *c) { return count_nonzero(c, true); }
static cr_status any_eval(cr_eval *c) { return count_nonzero(c, false); }
static const cr_op all_op = {
  .name = "all", .check = cr__check_nothing, .arity = 1, .kind = CR_PIECEWISE_CONSTANT, .attr_size = sizeof(cr__axes),
  .fields = cr__axes_fields, .infer = logic_infer,
  .eval = all_eval, .emit = all_emit, .show = cr__axes_show, .latex = "\\bigwedge %a"};
static const cr_op any_op = {
  .name = "any", .check = cr__check_nothing, .arity = 1, .kind = CR_PIECEWISE_CONSTANT, .attr_size = sizeof(cr__axes),
  .fields = cr__axes_fields, .infer = logic_infer,
  .eval = any_eval, .emit = any_emit, .show = cr__axes_show, .latex = "\\bigvee %a"};

static cr_var logic(cr_var x, const cr_op *op, int n_axes, const int *axes, int keepdim) {
  cr__axes a = {0, keepdim};
  return cr__axes_of(x, op->name, n_axes, axes, &a) ? cr_record(x.tape, op, 1, &x, &a) : cr_poison(x.tape);
}
cr_var cr_all(cr_var x, int n_axes, const int *axes, int keepdim) { return logic(x, &all_op, n_axes, axes, keepdim); }
cr_var cr_any(cr_var x, int n_axes, const int *axes, int keepdim) { return logic(x, &any_op, n_axes, axes, keepdim); }

/* Names in the expression language */

typedef cr_var (*reduction)(cr_var x, int n_axes, const int *axes, int keepdim);

/* Arguments input, dim, keepdim and perhaps dtype. */
static void call_reduction(cr_call *c, reduction reduce, bool has_dtype) {
  int axes[CR_MAX_RANK], n = cr__arg_reduced(c, 1, axes);
  cr_var x = cr_arg_var(c, 0);
  if (n < -1 || cr_is_poison(x)) return;
  if (has_dtype && cr_arg_given(c, 3)) {
    int dtype = cr_dtype_of_name(cr_arg_text(c, 3));
    if (dtype < 0) cr_fail(x.tape, CR_BAD_DTYPE, "unknown dtype '%s'", cr_arg_text(c, 3));
    x = dtype < 0 ? cr_poison(x.tape) : cr_cast(x, (cr_dtype)dtype);
  }
  cr_return(c, reduce(x, n, axes, cr_arg_bool(c, 2)));
}
static void call_sum(cr_call *c) { call_reduction(c, cr_sum, true); }
static void call_mean(cr_call *c) { call_reduction(c, cr_mean, true); }
static void call_prod(cr_call *c) { call_reduction(c, cr_prod, true); }
static void call_all(cr_call *c) { call_reduction(c, cr_all, false); }
static void call_any(cr_call *c) { call_reduction(c, cr_any, false); }

static const cr_op *const recorded[] = {&sum_op, &prod_op, &all_op, &any_op, NULL};

const cr_function cr__reduce_functions[] = {
  {.ops = recorded, .signature = "sum(input, dim=None, keepdim=False, *, dtype=None)", .call = call_sum,
   .family = "reduction",
   .doc = "Sum over axes, all of them without dim; integers and bools give int64.",
   .derivative = "the cotangent spread over the axes that went",
   .samples = "sum(x:(2,3)); sum(x:(2,3,2), dim=(0,-1)); sum(x:(2,3), dim=1, keepdim=True)"},
  {.signature = "mean(input, dim=None, keepdim=False, *, dtype=None)", .call = call_mean, .family = "reduction",
   .doc = "Mean over axes; NaN over none.", .derivative = "the cotangent over n, spread",
   .samples = "mean(x:(2,3)); mean(x:(2,3,2), dim=(0,-1)); mean(x:(2,3), dim=1, keepdim=True)"},
  {.signature = "prod(input, dim=None, keepdim=False, *, dtype=None)", .call = call_prod, .family = "reduction",
   .doc = "Product over axes; integers and bools give int64.",
   .derivative = "the product of all other elements, exact at zeros",
   .samples = "prod(x:(2,3)); prod(x:(2,3,2), dim=(0,-1)); prod(x:(2,3), dim=1, keepdim=True); prod(x:(3) * stack([0, 1, "
              "2]))"},
  {.signature = "nansum(input, dim=None, keepdim=False, *, dtype=None)", .family = "reduction",
   .formula = "sum(where(isnan(input), 0, input), dim, keepdim, dtype=dtype)", .doc = "Sum of what is not NaN.",
   .derivative = "the cotangent spread, 0 at NaN", .samples = "nansum(x:(2,3)); nansum(x:(2,3), dim=1)"},
  {.signature = "all(input, dim=None, keepdim=False)", .call = call_all, .family = "reduction",
   .doc = "Whether all elements are nonzero, as bool; true of none.", .derivative = "none",
   .samples = "all(x:(2,3) > 0, dim=1)"},
  {.signature = "any(input, dim=None, keepdim=False)", .call = call_any, .family = "reduction",
   .doc = "Whether any element is nonzero, as bool; false of none.", .derivative = "none",
   .samples = "any(x:(2,3) > 0, dim=1)"},
  {.signature = NULL}};
