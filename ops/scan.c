/* Scans along one axis: linear recurrences, cumulative sums, products, extremes and logsumexp. */
#include <math.h>
#include <stdio.h>

#include "emitrows.h"

typedef struct scan_attr {
  int axis, reverse;
} scan_attr;

static const cr_field scan_fields[] = {
  CR_FIELD(scan_attr, axis, CR_FIELD_AXIS, "axis"),
  CR_FIELD(scan_attr, reverse, CR_FIELD_FLAG, "reverse"),
  {.name = NULL}};

static void scan_show(char *text, size_t size, const void *attr) {
  const scan_attr *s = attr;
  snprintf(text, size, "dim=%d%s", s->axis, s->reverse ? ", reverse=True" : "");
}

cr_var cr__shift(cr_var x, int axis, int reverse) {
  int64_t lo[CR_MAX_RANK] = {0}, hi[CR_MAX_RANK] = {0};
  lo[axis] = reverse ? -1 : 1;
  hi[axis] = -lo[axis];
  return cr_dim(x, axis) ? cr_pad(x, lo, hi, NULL, cr_const(x.tape, 0)) : x;
}

cr_var cr__at_edge(cr_var x, int axis, int64_t n, int reverse) {
  int64_t lo[CR_MAX_RANK] = {0}, hi[CR_MAX_RANK] = {0};
  (reverse ? lo : hi)[axis] = n - 1;
  return cr_pad(x, lo, hi, NULL, cr_const(x.tape, 0));
}

static cr_var edge_of(cr_var x, int axis, int reverse) {
  int64_t n = cr_dim(x, axis), at = reverse ? n - 1 : 0;
  return cr_slice_axis(x, axis, at, at + 1, 1);
}

/* linear_scan: s_t = a_t s_{t-1} + b_t from nothing, so the first a is not read. Its transpose is the scan in the other
 * direction with the factors moved by one: no division, exact at zeros, closed under differentiation. */

static cr_status prepare_scan(cr_tape *t, int n, cr_var *in) { return cr__prepare_elementwise(t, n, in, 'i'); }

#define SCAN(T)                                                                            \
  static void T##_scan(int64_t n, int reverse, const T *a, const T *b, T *out) {           \
    for (int64_t i = 0; i < n; i++) {                                                      \
      int64_t k = reverse ? n - 1 - i : i;                                                 \
      out[k] = i ? a[k] * out[reverse ? k + 1 : k - 1] + b[k] : b[k];                      \
    }                                                                                      \
  }
SCAN(double)
SCAN(int64_t)

static void integer_row(const cr__rows_view *v, int64_t k, int64_t *row, bool put) {
  cr_array there = cr__row_at(v, k), here;
  cr_array_init(&here, CR_INT64, there.rank, there.dim);
  here.data = row;
  if (put) cr_array_copy(&there, &here);
  else cr_array_copy(&here, &there);
}

static cr_status scan_eval(cr_eval *c) {
  const scan_attr *s = c->attr;
  cr__rows_view v[3] = {cr__rows_of(&c->in[0], 1u << s->axis), cr__rows_of(&c->in[1], 1u << s->axis),
                        cr__rows_of(c->out, 1u << s->axis)};
  int64_t n = v[0].row.count;
  char *space = cr_scratch(c, 3 * (size_t)n * 8);
  if (!space) return CR_NO_MEMORY;
  void *row[3] = {space, space + n * 8, space + 2 * n * 8};
  bool integral = c->out->dtype < CR_FLOAT32;
  for (int64_t k = 0; k < v[2].kept.count; k++) {
    for (int j = 0; j < 2; j++) {
      if (integral) integer_row(&v[j], k, row[j], false);
      else cr__row_get(&v[j], k, row[j]);
    }
    if (integral) {
      int64_t_scan(n, s->reverse, row[0], row[1], row[2]);
      integer_row(&v[2], k, row[2], true);
    } else {
      double_scan(n, s->reverse, row[0], row[1], row[2]);
      cr__row_put(&v[2], k, row[2]);
    }
  }
  return CR_OK;
}

static void scan_emit(cr_emit_context *c) {
  const scan_attr *s = c->attr;
  bool real = c->out.array.dtype >= CR_FLOAT32;
  cr__emit_rows(c, 1u << s->axis, real ? CR_FLOAT64 : CR_INT64, CR__WHOLE_ROW,
                cr_emit_text(c, "scan_%s($0, $1, $2, %d)", real ? "double" : "int64", s->reverse));
}

static cr_var scan(cr_var a, cr_var b, int axis, int reverse);

static void scan_vjp(cr_vjp_rule *c) {
  const scan_attr *s = c->attr;
  cr_array a = cr_view(c->in[0]);
  cr_var factor = a.stride[s->axis] ? cr__shift(c->in[0], s->axis, !s->reverse) : c->in[0];
  cr_var state = scan(factor, c->g, s->axis, !s->reverse);
  if (c->wanted[0]) c->d[0] = cr_guarded_mul(cr__shift(c->out, s->axis, s->reverse), state);
  if (c->wanted[1]) c->d[1] = state;
}
static cr_var scan_jvp(cr_jvp_rule *c) {
  const scan_attr *s = c->attr;
  cr_var input = c->dot[1];
  if (!cr_absent(c->dot[0])) {
    cr_var moved = cr_guarded_mul(cr__shift(c->out, s->axis, s->reverse), c->dot[0]);
    input = cr_absent(input) ? moved : cr_add(input, moved);
  }
  return scan(c->in[0], input, s->axis, s->reverse);
}
/* Each element on those of the operands up to its place. */
static void scan_depend(cr_depend *c) {
  const scan_attr *s = c->attr;
  const cr_array *y = c->out;
  int64_t n = y->dim[s->axis], step = 1;
  for (int i = s->axis + 1; i < y->rank; i++) step *= y->dim[i];
  for (int64_t k = 0; k < y->count; k++) {
    int64_t element = s->reverse ? y->count - 1 - k : k, earlier = s->reverse ? element + step : element - step;
    for (int j = 0; j < c->n; j++) cr_depend_on(c, element, j, element);
    if (element / step % n != (s->reverse ? n - 1 : 0)) cr_depend_as(c, element, earlier);
  }
}
static const cr_op scan_op = {
  .name = "linear_scan", .check = cr__check_alike, .arity = 2, .attr_size = sizeof(scan_attr), .fields = scan_fields,
  .prepare = prepare_scan, .infer = cr__same_shape,
  .eval = scan_eval, .depend = scan_depend, .emit = scan_emit, .vjp = scan_vjp, .jvp = scan_jvp, .show = scan_show,
  .rule = "to b, the scan of the cotangent in the other direction; to a, that times the previous state"};

static cr_var scan(cr_var a, cr_var b, int axis, int reverse) {
  return cr_record(a.tape, &scan_op, 2, (cr_var[]){a, b}, &(scan_attr){axis, reverse});
}

cr_var cr_linear_scan(cr_var a, cr_var b, cr_var s0, int axis, int reverse) {
  cr_tape *t = a.tape;
  cr_var in[3] = {a, b, s0};
  int n = cr_absent(s0) ? 2 : 3;
  if (cr_is_poison(a) || cr_is_poison(b) || cr__one_dtype(t, n, in, 'i') != CR_OK) return cr_poison(t);
  if (cr__broadcast_operands(t, 2, in) != CR_OK) return cr_poison(t);
  int k = cr__axis_of(in[0], "linear_scan", axis), rank = cr_rank(in[0]);
  if (k < 0) return cr_poison(t);
  if (!rank) return n < 3 ? in[1] : cr_add(cr_mul(in[0], in[2]), in[1]);
  if (n == 3 && cr_dim(in[0], k)) {
    if (cr_rank(in[2]) == rank - 1) in[2] = cr_unsqueeze(in[2], k);
    cr_var first = cr_mul(edge_of(in[0], k, reverse), in[2]);
    in[1] = cr_add(in[1], cr__at_edge(first, k, cr_dim(in[0], k), reverse));
  }
  return scan(in[0], in[1], k, reverse);
}

/* Integers and bools accumulate in int64. */
static cr_var widened(cr_var x) { return cr_dtype_of(x) < CR_FLOAT32 ? cr_cast(x, CR_INT64) : x; }

cr_var cr_cumsum(cr_var x, int axis) {
  int k = cr_is_poison(x) ? -1 : cr__axis_of(x, "cumsum", axis);
  if (k < 0) return cr_poison(x.tape);
  x = widened(x);
  return cr_rank(x) ? scan(cr_const(x.tape, 1), x, k, 0) : x;
}

cr_var cr_cumprod(cr_var x, int axis) {
  int k = cr_is_poison(x) ? -1 : cr__axis_of(x, "cumprod", axis);
  if (k < 0) return cr_poison(x.tape);
  x = widened(x);
  return cr_count(x) && cr_rank(x) ? scan(x, cr__at_edge(edge_of(x, k, 0), k, cr_dim(x, k), 0), k, 0) : x;
}

/* logcumsumexp. Its derivative needs sigmoid(x_t - y_{t-1}), the share of the newest term in the sum. That difference is an
 * op of its own, the gap, because y has rounded away what the exponential would need. */

static cr_status running_logsumexp(cr_eval *c, bool gap) {
  const scan_attr *s = c->attr;
  cr__rows_view from = cr__rows_of(&c->in[0], 1u << s->axis), to = cr__rows_of(c->out, 1u << s->axis);
  int64_t n = from.row.count;
  double *x = cr_scratch(c, (size_t)n * sizeof *x), inf = (double)INFINITY;
  if (!x) return CR_NO_MEMORY;
  for (int64_t k = 0; k < from.kept.count; k++) {
    double top = -inf, rest = 0; /* the sum so far is exp(top) (1 + rest) */
    cr__row_get(&from, k, x);
    for (int64_t i = 0; i < n; i++) {
      double v = x[i], before = v == -inf ? -inf : top == -inf ? inf : (v - top) - log1p(rest);
      if (isnan(v) || isnan(top)) top = (double)NAN;
      else if (v > top) rest = top == -inf ? 0 : (1 + rest) * exp(top - v), top = v;
      else if (v != -inf && v != inf) rest += exp(v - top);
      x[i] = gap ? before : isinf(top) ? top : top + log1p(rest);
    }
    cr__row_put(&to, k, x);
  }
  return CR_OK;
}
static cr_status logcumsumexp_eval(cr_eval *c) { return running_logsumexp(c, false); }
static cr_status gap_eval(cr_eval *c) { return running_logsumexp(c, true); }

static cr_var gap_of(cr_var x, const scan_attr *s);

/* J v and J^T v of y = logcumsumexp(x): y'_t = f_t y'_{t-1} + w_t x'_t with w = sigmoid(gap) and f = 1 - w. */
static cr_var logcumsumexp_push(cr_var x, cr_var v, const scan_attr *s) {
  cr_var gap = gap_of(x, s);
  return scan(cr_sigmoid(cr_neg(gap)), cr_mul(cr_sigmoid(gap), v), s->axis, 0);
}
static cr_var logcumsumexp_pull(cr_var x, cr_var v, const scan_attr *s) {
  cr_var gap = gap_of(x, s);
  return cr_mul(cr_sigmoid(gap), scan(cr__shift(cr_sigmoid(cr_neg(gap)), s->axis, 1), v, s->axis, 1));
}

static void logcumsumexp_vjp(cr_vjp_rule *c) { c->d[0] = logcumsumexp_pull(c->in[0], c->g, c->attr); }
static cr_var logcumsumexp_jvp(cr_jvp_rule *c) { return logcumsumexp_push(c->in[0], c->dot[0], c->attr); }
static const cr_op logcumsumexp_op = {
  .name = "logcumsumexp", .check = cr__check_alike, .arity = 1, .attr_size = sizeof(scan_attr), .fields = scan_fields,
  .prepare = cr__prepare_float, .infer = cr__same_shape,
  .eval = logcumsumexp_eval, .depend = scan_depend, .vjp = logcumsumexp_vjp, .jvp = logcumsumexp_jvp, .show = scan_show,
  .rule = "the shares of the terms in each sum"};

/* The gap x_t - y_{t-1} is constant, infinite, where nothing came before. */
static void gap_vjp(cr_vjp_rule *c) {
  const scan_attr *s = c->attr;
  cr_var back = cr__shift(c->g, s->axis, 1), here = cr__shift(back, s->axis, 0);
  c->d[0] = cr_sub(here, logcumsumexp_pull(c->in[0], back, s));
}
static cr_var gap_jvp(cr_jvp_rule *c) {
  const scan_attr *s = c->attr;
  cr_var here = cr__shift(cr__shift(c->dot[0], s->axis, 1), s->axis, 0);
  return cr_sub(here, cr__shift(logcumsumexp_push(c->in[0], c->dot[0], s), s->axis, 0));
}
static const cr_op gap_op = {
  .name = "logcumsumexp_gap", .check = cr__check_alike, .arity = 1, .attr_size = sizeof(scan_attr),
  .fields = scan_fields, .infer = cr__same_shape, .eval = gap_eval, .depend = scan_depend,
  .vjp = gap_vjp, .jvp = gap_jvp, .show = scan_show, .rule = "that of x_t - logcumsumexp(x)_{t-1}"};

static cr_var gap_of(cr_var x, const scan_attr *s) { return cr_record(x.tape, &gap_op, 1, &x, s); }

cr_var cr_logcumsumexp(cr_var x, int axis) {
  int k = cr_is_poison(x) ? -1 : cr__axis_of(x, "logcumsumexp", axis);
  if (k < 0) return cr_poison(x.tape);
  if (!cr_rank(x)) return cr_dtype_of(x) < CR_FLOAT32 ? cr_cast(x, CR_FLOAT64) : x;
  return cr_record(x.tape, &logcumsumexp_op, 1, &x, &(scan_attr){k, 0});
}

/* cummax, cummin: the index of the extreme so far, the last one at ties, from the first NaN on that of the last NaN */

static cr_status extreme_infer(cr_infer *c) {
  cr_array_init(c->out, CR_INT64, c->in[0].rank, c->in[0].dim);
  return CR_OK;
}
static cr_status running_extreme(cr_eval *c, int sign) {
  const scan_attr *s = c->attr;
  const cr_array *x = &c->in[0];
  cr__rows_view from = cr__rows_of(x, 1u << s->axis), to = cr__rows_of(c->out, 1u << s->axis);
  int64_t n = from.row.count, *at = cr_scratch(c, (size_t)n * sizeof *at);
  double *row = cr_scratch(c, (size_t)n * sizeof *row);
  if (!row || !at) return CR_NO_MEMORY;
  for (int64_t k = 0; k < from.kept.count; k++) {
    bool integral = x->dtype == CR_INT64;
    int64_t best = 0, *whole = (int64_t *)(void *)row;
    if (integral) integer_row(&from, k, whole, false);
    else cr__row_get(&from, k, row);
    for (int64_t i = 0; i < n; i++) {
      bool better = integral ? (sign > 0 ? whole[i] >= whole[best] : whole[i] <= whole[best])
                             : isnan(row[i]) || (sign > 0 ? row[i] >= row[best] : row[i] <= row[best]);
      at[i] = best = better ? i : best;
    }
    integer_row(&to, k, at, true);
  }
  return CR_OK;
}
static cr_status cummax_eval(cr_eval *c) { return running_extreme(c, 1); }
static cr_status cummin_eval(cr_eval *c) { return running_extreme(c, -1); }
static const cr_op cummax_op = {
  .name = "cummax_index", .check = cr__check_numbers, .arity = 1, .kind = CR_PIECEWISE_CONSTANT,
  .attr_size = sizeof(scan_attr), .fields = scan_fields, .infer = extreme_infer,
  .eval = cummax_eval, .show = scan_show};
static const cr_op cummin_op = {
  .name = "cummin_index", .check = cr__check_numbers, .arity = 1, .kind = CR_PIECEWISE_CONSTANT,
  .attr_size = sizeof(scan_attr), .fields = scan_fields, .infer = extreme_infer,
  .eval = cummin_eval, .show = scan_show};

static cr_var extreme_so_far(cr_var x, const cr_op *op, const char *name, int axis, cr_var *index) {
  cr_var unused;
  if (!index) index = &unused;
  *index = cr_poison(x.tape);
  int k = cr_is_poison(x) ? -1 : cr__axis_of(x, name, axis), scalar = cr_rank(x) == 0;
  if (k < 0) return cr_poison(x.tape);
  if (scalar) x = cr_unsqueeze(x, 0);
  *index = cr_record(x.tape, op, 1, &x, &(scan_attr){k, 0});
  cr_var values = cr_gather(x, k, *index);
  if (!scalar) return values;
  *index = cr_reshape(*index, 0, NULL);
  return cr_reshape(values, 0, NULL);
}
cr_var cr_cummax(cr_var x, int axis, cr_var *index) { return extreme_so_far(x, &cummax_op, "cummax", axis, index); }
cr_var cr_cummin(cr_var x, int axis, cr_var *index) { return extreme_so_far(x, &cummin_op, "cummin", axis, index); }

/* Names in the expression language */

static int arg_axis(cr_call *c, int k) {
  int64_t axis = cr_arg_int(c, k);
  return axis < -CR_MAX_RANK || axis > CR_MAX_RANK ? CR_MAX_RANK : (int)axis;
}
static void call_linear_scan(cr_call *c) {
  cr_var s0 = cr_arg_var(c, 2);
  if (cr_is_const(s0) && cr_rank(s0) == 0 && cr_value(s0) == 0) s0 = cr_poison(cr_call_tape(c));
  cr_return(c, cr_linear_scan(cr_arg_var(c, 0), cr_arg_var(c, 1), s0, arg_axis(c, 3), cr_arg_bool(c, 4)));
}
static cr_var arg_cast(cr_call *c) {
  cr_var x = cr_arg_var(c, 0);
  if (!cr_arg_given(c, 2)) return x;
  int dtype = cr_dtype_of_name(cr_arg_text(c, 2));
  return dtype < 0 ? cr_fail(x.tape, CR_BAD_DTYPE, "unknown dtype '%s'", cr_arg_text(c, 2)) : cr_cast(x, (cr_dtype)dtype);
}
static void call_cumsum(cr_call *c) { cr_return(c, cr_cumsum(arg_cast(c), arg_axis(c, 1))); }
static void call_cumprod(cr_call *c) { cr_return(c, cr_cumprod(arg_cast(c), arg_axis(c, 1))); }
static void call_logcumsumexp(cr_call *c) { cr_return(c, cr_logcumsumexp(cr_arg_var(c, 0), arg_axis(c, 1))); }
static void call_cummax(cr_call *c) {
  cr_var index;
  cr_return(c, cr_cummax(cr_arg_var(c, 0), arg_axis(c, 1), &index));
  cr_return(c, index);
}
static void call_cummin(cr_call *c) {
  cr_var index;
  cr_return(c, cr_cummin(cr_arg_var(c, 0), arg_axis(c, 1), &index));
  cr_return(c, index);
}

static const cr_op *const recorded[] = {&scan_op, &logcumsumexp_op, &gap_op, &cummax_op, &cummin_op, NULL};

const cr_function cr__scan_functions[] = {
  {.ops = recorded, .signature = "linear_scan(a, b, s0=0, dim=-1, reverse=False)", .call = call_linear_scan,
   .family = "scan",
   .doc = "The linear recurrence s_t = a_t s_(t-1) + b_t from s0, which has the shape of a without dim.",
   .derivative = "to b, the scan of the cotangent in the other direction; to a, that times s_(t-1)",
   .samples = "linear_scan(a:(4), b:(4), s:()); linear_scan(a:(2,3), b:(2,3), dim=0); linear_scan(a:(2,3), b:(3), s:(2), "
              "reverse=True)"},
  {.signature = "cumsum(input, dim, *, dtype=None)", .call = call_cumsum, .family = "scan",
   .doc = "Sums of all elements so far.",
   .derivative = "the cumulative sum of the cotangent from the other end",
   .samples = "cumsum(x:(2,3), dim=1); cumsum(x:(3), 0)"},
  {.signature = "cumprod(input, dim, *, dtype=None)", .call = call_cumprod, .family = "scan",
   .doc = "Products of all elements so far.",
   .derivative = "by linear scans, exact at zeros",
   .samples = "cumprod(x:(2,3), dim=1); cumprod(x:(3) * stack([0, 1, 0]), 0)"},
  {.signature = "logcumsumexp(input, dim)", .call = call_logcumsumexp, .family = "scan",
   .doc = "log of the cumulative sum of exponentials, without overflow.",
   .derivative = "the shares of the terms in each sum",
   .samples = "logcumsumexp(x:(2,3), dim=1)"},
  {.signature = "cummax(input, dim)", .call = call_cummax, .family = "scan",
   .doc = "(values, indices) of the largest element so far.",
   .derivative = "the cotangent to the element chosen", .kinks = "the last index at a tie; NaN stays",
   .samples = "cummax(x:(2,3), dim=1)"},
  {.signature = "cummin(input, dim)", .call = call_cummin, .family = "scan",
   .doc = "(values, indices) of the smallest element so far.",
   .derivative = "the cotangent to the element chosen", .kinks = "the last index at a tie; NaN stays",
   .samples = "cummin(x:(2,3), dim=1)"},
  {.signature = NULL}};
