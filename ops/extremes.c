/* Largest and smallest elements over axes. */
#include <math.h>
#include <string.h>

#include "emitrows.h"

static int64_t first_extreme(const double *x, int64_t n, int sign) {
  int64_t best = 0;
  for (int64_t i = 1; i < n && !isnan(x[best]); i++)
    if (isnan(x[i]) || (sign > 0 ? x[i] > x[best] : x[i] < x[best])) best = i;
  return best;
}
static int64_t first_extreme_int(const int64_t *x, int64_t n, int sign) {
  int64_t best = 0;
  for (int64_t i = 1; i < n; i++)
    if (sign > 0 ? x[i] > x[best] : x[i] < x[best]) best = i;
  return best;
}

/* The index of the extreme in row k: the first at ties; NaN exceeds all. */
static int64_t extreme_in_row(const cr__rows_view *v, int64_t k, void *space, int sign) {
  if (v->row.dtype >= CR_FLOAT32) {
    cr__row_get(v, k, space);
    return first_extreme(space, v->row.count, sign);
  }
  cr_array from = cr__row_at(v, k), to;
  cr_array_init(&to, CR_INT64, from.rank, from.dim);
  to.data = space;
  cr_array_copy(&to, &from);
  return first_extreme_int(space, v->row.count, sign);
}

static cr_status extreme_infer(cr_infer *c, cr_dtype dtype) {
  const cr__axes *a = c->attr;
  if (!cr__axes_count(&c->in[0], a->mask)) {
    cr_fail(c->tape, CR_BAD_SHAPE, "there is no extreme of no elements");
    return CR_BAD_SHAPE;
  }
  cr__reduced_shape(&c->in[0], a, dtype, c->out);
  return CR_OK;
}

/* The value of the extreme, or its index within the row. */
static cr_status extreme_eval(cr_eval *c, int sign, bool index) {
  cr__rows_view v = cr__rows_of(&c->in[0], ((const cr__axes *)c->attr)->mask);
  size_t size = cr_dtype_size((cr_dtype)c->in[0].dtype);
  void *space = cr_scratch(c, (size_t)v.row.count * 8);
  if (!space) return CR_NO_MEMORY;
  for (int64_t k = 0; k < c->out->count; k++) {
    int64_t at = extreme_in_row(&v, k, space, sign);
    if (index) {
      ((int64_t *)c->out->data)[k] = at;
    } else {
      cr_array row = cr__row_at(&v, k);
      memcpy((char *)c->out->data + (size_t)k * size, (char *)row.data + cr_array_offset(&row, at) * (int64_t)size, size);
    }
  }
  return CR_OK;
}

/* argmax, argmin */

static cr_status arg_infer(cr_infer *c) { return extreme_infer(c, CR_INT64); }
static cr_status argmax_eval(cr_eval *c) { return extreme_eval(c, 1, true); }
static cr_status argmin_eval(cr_eval *c) { return extreme_eval(c, -1, true); }
static unsigned mask_in(const cr_emit_context *c) { return ((const cr__axes *)c->attr)->mask; }
static void argmax_emit(cr_emit_context *c) {
  cr__emit_rows(c, mask_in(c), CR_FLOAT64, CR__ONE_NUMBER, "argmax_row($0, $2)");
}
static void argmin_emit(cr_emit_context *c) {
  cr__emit_rows(c, mask_in(c), CR_FLOAT64, CR__ONE_NUMBER, "argmin_row($0, $2)");
}
static const cr_op argmax_op = {
  .name = "argmax", .check = cr__check_numbers, .arity = 1, .kind = CR_PIECEWISE_CONSTANT,
  .attr_size = sizeof(cr__axes), .fields = cr__axes_fields, .infer = arg_infer,
  .eval = argmax_eval, .emit = argmax_emit, .show = cr__axes_show, .latex = "\\operatorname{argmax} %a"};
static const cr_op argmin_op = {
  .name = "argmin", .check = cr__check_numbers, .arity = 1, .kind = CR_PIECEWISE_CONSTANT,
  .attr_size = sizeof(cr__axes), .fields = cr__axes_fields, .infer = arg_infer,
  .eval = argmin_eval, .emit = argmin_emit, .show = cr__axes_show, .latex = "\\operatorname{argmin} %a"};

static cr_var record_over(cr_var x, const cr_op *op, int n_axes, const int *axes, int keepdim) {
  cr__axes a = {0, keepdim};
  return cr__axes_of(x, op->name, n_axes, axes, &a) ? cr_record(x.tape, op, 1, &x, &a) : cr_poison(x.tape);
}
cr_var cr_argmax(cr_var x, int n_axes, const int *axes, int keepdim) {
  return record_over(x, &argmax_op, n_axes, axes, keepdim);
}
cr_var cr_argmin(cr_var x, int n_axes, const int *axes, int keepdim) {
  return record_over(x, &argmin_op, n_axes, axes, keepdim);
}

/* amax, amin: the derivative is split evenly among equal extremes, and among NaNs, which win */

/* shares(x, y): 1/m for each of the m elements of a row that are its extreme y, 0 elsewhere. */
static cr_status shares_eval(cr_eval *c) {
  unsigned mask = ((const cr__axes *)c->attr)->mask;
  cr__rows_view from = cr__rows_of(&c->in[0], mask), to = cr__rows_of(c->out, mask);
  int64_t n = from.row.count;
  double *x = cr_scratch(c, (size_t)n * sizeof *x);
  if (!x) return CR_NO_MEMORY;
  for (int64_t k = 0; k < from.kept.count; k++) {
    double y = cr_array_get(&c->in[1], k), m = 0;
    cr__row_get(&from, k, x);
    for (int64_t i = 0; i < n; i++) m += x[i] = x[i] == y || (isnan(x[i]) && isnan(y)) ? 1 : 0;
    for (int64_t i = 0; i < n; i++) x[i] /= m;
    cr__row_put(&to, k, x);
  }
  return CR_OK;
}
/* As many extremes as rows. */
static int shares_check(const cr_infer *c) {
  const cr_array *x = &c->in[0];
  int64_t rows = 1;
  for (int i = 0; i < x->rank; i++)
    if (!(((const cr__axes *)c->attr)->mask >> i & 1)) rows *= x->dim[i];
  return cr__check_floats(c) && c->in[1].count == rows;
}
static void shares_emit(cr_emit_context *c) {
  cr__emit_rows(c, mask_in(c), CR_FLOAT64, CR__WHOLE_ROW, "shares_row($0, $2, $4)");
}
static const cr_op shares_op = {
  .name = "extreme_shares", .check = shares_check, .arity = 2, .kind = CR_PIECEWISE_CONSTANT, .attr_size = sizeof(cr__axes),
  .fields = cr__axes_fields,
  .infer = cr__same_shape,
  .eval = shares_eval, .emit = shares_emit, .vjp = cr__no_vjp, .jvp = cr__no_jvp, .show = cr__axes_show};

static cr_var shares(cr_var x, cr_var y, const cr__axes *a) {
  return cr_record(x.tape, &shares_op, 2, (cr_var[]){x, y}, &(cr__axes){a->mask, 0});
}

static cr_status value_infer(cr_infer *c) { return extreme_infer(c, (cr_dtype)c->in[0].dtype); }
static cr_status amax_eval(cr_eval *c) { return extreme_eval(c, 1, false); }
static cr_status amin_eval(cr_eval *c) { return extreme_eval(c, -1, false); }
static void extreme_vjp(cr_vjp_rule *c) {
  c->d[0] = cr_guarded_mul(shares(c->in[0], c->out, c->attr), cr__spread(c->g, c->in[0], c->attr));
}
static cr_var extreme_jvp(cr_jvp_rule *c) {
  const cr__axes *a = c->attr;
  int axes[CR_MAX_RANK], n = 0;
  for (int i = 0; i < CR_MAX_RANK; i++)
    if (a->mask >> i & 1) axes[n++] = i;
  return cr_sum(cr_guarded_mul(shares(c->in[0], c->out, a), c->dot[0]), n, axes, a->keepdim);
}
/* The branch taken: which elements are the extremes. */
static uint64_t extreme_decide(int n, const cr_array *in, const cr_array *out, const void *attr) {
  cr__rows_view v = cr__rows_of(&in[0], ((const cr__axes *)attr)->mask);
  uint64_t hash = (uint64_t)n;
  for (int64_t k = 0; k < out->count; k++) {
    cr_array row = cr__row_at(&v, k);
    double y = cr_array_get(out, k);
    for (int64_t i = 0; i < row.count; i++)
      if (cr_array_get(&row, i) == y) hash = (hash ^ (uint64_t)i) * 0x9E3779B97F4A7C15u;
  }
  return hash;
}
static void amax_emit(cr_emit_context *c) {
  cr__emit_rows(c, mask_in(c), CR_FLOAT64, CR__ONE_NUMBER, "$0[argmax_row($0, $2)]");
}
static void amin_emit(cr_emit_context *c) {
  cr__emit_rows(c, mask_in(c), CR_FLOAT64, CR__ONE_NUMBER, "$0[argmin_row($0, $2)]");
}
static const cr_op amax_op = {
  .name = "amax", .check = cr__check_numbers, .arity = 1, .attr_size = sizeof(cr__axes), .fields = cr__axes_fields,
  .infer = value_infer, .eval = amax_eval, .depend = cr__rows_depend, .emit = amax_emit, .vjp = extreme_vjp,
  .jvp = extreme_jvp, .decide = extreme_decide, .show = cr__axes_show, .latex = "\\max %a",
  .rule = "an even share to each largest element"};
static const cr_op amin_op = {
  .name = "amin", .check = cr__check_numbers, .arity = 1, .attr_size = sizeof(cr__axes), .fields = cr__axes_fields,
  .infer = value_infer, .eval = amin_eval, .depend = cr__rows_depend, .emit = amin_emit, .vjp = extreme_vjp,
  .jvp = extreme_jvp, .decide = extreme_decide, .show = cr__axes_show, .latex = "\\min %a",
  .rule = "an even share to each smallest element"};

cr_var cr_amax(cr_var x, int n_axes, const int *axes, int keepdim) {
  return record_over(x, &amax_op, n_axes, axes, keepdim);
}
cr_var cr_amin(cr_var x, int n_axes, const int *axes, int keepdim) {
  return record_over(x, &amin_op, n_axes, axes, keepdim);
}

/* max, min along an axis: the value follows the index */

static cr_var extreme_along(cr_var x, const cr_op *op, int axis, int keepdim, cr_var *index) {
  cr_var unused;
  if (!index) index = &unused;
  bool scalar = !cr_is_poison(x) && cr_rank(x) == 0;
  if (scalar) x = cr_unsqueeze(x, 0);
  *index = record_over(x, op, 1, &axis, 1);
  if (cr_is_poison(*index)) return *index;
  cr_var values = cr_gather(x, axis, *index);
  if (cr_is_poison(values) || (keepdim && !scalar)) return values;
  cr_array a = cr_view(values), to;
  unsigned gone = 1u << cr_axis(axis, a.rank);
  cr__reduced_shape(&a, &(cr__axes){gone, 0}, CR_FLOAT64, &to);
  *index = cr_reshape(*index, to.rank, to.dim);
  return cr_reshape(values, to.rank, to.dim);
}
cr_var cr_max_along(cr_var x, int axis, int keepdim, cr_var *index) {
  return extreme_along(x, &argmax_op, axis, keepdim, index);
}
cr_var cr_min_along(cr_var x, int axis, int keepdim, cr_var *index) {
  return extreme_along(x, &argmin_op, axis, keepdim, index);
}

/* Names in the expression language */

typedef cr_var (*over)(cr_var x, int n_axes, const int *axes, int keepdim);
typedef cr_var (*along)(cr_var x, int axis, int keepdim, cr_var *index);
typedef cr_var (*between)(cr_var x, cr_var y);

static void call_over(cr_call *c, over f) {
  int axes[CR_MAX_RANK], n = cr__arg_reduced(c, 1, axes);
  if (n >= -1) cr_return(c, f(cr_arg_var(c, 0), n, axes, cr_arg_bool(c, 2)));
}
static void call_amax(cr_call *c) { call_over(c, cr_amax); }
static void call_amin(cr_call *c) { call_over(c, cr_amin); }
static void call_argmax(cr_call *c) { call_over(c, cr_argmax); }
static void call_argmin(cr_call *c) { call_over(c, cr_argmin); }

static void call_along(cr_call *c, along f) {
  cr_var index;
  int64_t axis = cr_arg_int(c, 1);
  if (axis < -CR_MAX_RANK || axis > CR_MAX_RANK) axis = CR_MAX_RANK; /* refused there */
  cr_var values = f(cr_arg_var(c, 0), (int)axis, cr_arg_bool(c, 2), &index);
  cr_return(c, values);
  cr_return(c, index);
}
/* max(input), max(input, dim, keepdim), max(input, other) */
static void call_extreme(cr_call *c, over all, along one, between two) {
  if (cr_arg_given(c, 3)) cr_return(c, two(cr_arg_var(c, 0), cr_arg_var(c, 3)));
  else if (!cr_arg_given(c, 1)) cr_return(c, all(cr_arg_var(c, 0), -1, NULL, cr_arg_bool(c, 2)));
  else if (cr_arg_is_integer(c, 1)) call_along(c, one);
  else cr_return(c, two(cr_arg_var(c, 0), cr_arg_var(c, 1)));
}
static void call_max(cr_call *c) { call_extreme(c, cr_amax, cr_max_along, cr_maximum); }
static void call_min(cr_call *c) { call_extreme(c, cr_amin, cr_min_along, cr_minimum); }
static void call_max_with_indices(cr_call *c) { call_along(c, cr_max_along); }

static const cr_op *const recorded[] = {&argmax_op, &argmin_op, &shares_op, &amax_op, &amin_op, NULL};

const cr_function cr__extreme_functions[] = {
  {.ops = recorded, .signature = "amax(input, dim=(), keepdim=False)", .call = call_amax, .family = "reduction",
   .doc = "Largest element over axes; NaN wins.",
   .derivative = "an even share to each largest element", .kinks = "even split at ties",
   .samples = "amax(x:(2,3)); amax(x:(2,3), dim=1, keepdim=True)"},
  {.signature = "amin(input, dim=(), keepdim=False)", .call = call_amin, .family = "reduction",
   .doc = "Smallest element over axes; NaN wins.",
   .derivative = "an even share to each smallest element", .kinks = "even split at ties",
   .samples = "amin(x:(2,3)); amin(x:(2,3), dim=1, keepdim=True)"},
  {.signature = "argmax(input, dim=None, keepdim=False)", .call = call_argmax, .family = "reduction", .derivative = "none",
   .samples = "argmax(x:(2,3)); argmax(x:(2,3), dim=1, keepdim=True)",
   .doc = "Index of the first largest element, int64; without dim into all elements in row-major order; NaN is largest."},
  {.signature = "argmin(input, dim=None, keepdim=False)", .call = call_argmin, .family = "reduction", .derivative = "none",
   .samples = "argmin(x:(2,3)); argmin(x:(2,3), dim=1, keepdim=True)",
   .doc = "Index of the first smallest element, int64; without dim into all elements in row-major order; NaN is smallest."},
  {.signature = "max(input, dim=None, keepdim=False, *, other=None)", .call = call_max, .family = "reduction",
   .doc = "max(input): the largest element. max(input, dim, keepdim): (values, indices) along an axis. max(input, other): "
          "elementwise.",
   .derivative = "to the largest elements",
   .kinks = "max(input) and max(input, other): even split at ties; max(input, dim): the first index",
   .samples = "max(x:(2,3)); max(x:(2,3), 1); max(x:(3), y:(3))"},
  {.signature = "min(input, dim=None, keepdim=False, *, other=None)", .call = call_min, .family = "reduction",
   .doc = "min(input): the smallest element. min(input, dim, keepdim): (values, indices) along an axis. min(input, "
          "other): elementwise.",
   .derivative = "to the smallest elements",
   .kinks = "min(input) and min(input, other): even split at ties; min(input, dim): the first index",
   .samples = "min(x:(2,3)); min(x:(2,3), 1); min(x:(3), y:(3))"},
  {.signature = "max_with_indices(input, dim, keepdim=False)", .call = call_max_with_indices, .family = "reduction",
   .doc = "(values, indices) of the largest element along an axis.",
   .derivative = "the cotangent to the element at the index",
   .kinks = "the first index at ties", .samples = "max_with_indices(x:(2,3), dim=1)"},
  {.signature = NULL}};
