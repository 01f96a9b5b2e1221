/* Shapes, axes, casts: linear ops, most of them views. Each op is a shape rule, a kernel where data moves, and its
 * transpose. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "emit.h"
#include "shapes.h"
#include "parallel.h"

static const cr_field permute_fields[] = {
  CR_LIST(dims_attr, rank, dim, "axes"),
  {.name = NULL}};

static const cr_field cast_fields[] = {
  CR_FIELD(dims_attr, rank, CR_FIELD_DTYPE, "dtype"),
  {.name = NULL}};

static const cr_field dims_fields[] = {
  CR_LIST(dims_attr, rank, dim, "shape"),
  {.name = NULL}};

static int64_t count_of(int rank, const int64_t *dims) {
  int64_t n = 1;
  for (int i = 0; i < rank; i++) n *= dims[i];
  return n;
}

static void show_dims(char *text, size_t size, const void *attr) {
  const dims_attr *d = attr;
  cr_array a;
  cr_array_init(&a, CR_FLOAT64, d->rank, d->dim);
  char shape[200];
  snprintf(text, size, "%s", cr_shape_text(&a, shape, sizeof shape));
}

/* Positions from to to of the first axis. */
static cr_array part_of(const cr_array *a, int64_t from, int64_t to) {
  cr_array part = *a;
  part.dim[0] = to - from;
  part.count = a->count / a->dim[0] * (to - from);
  part.data = (char *)a->data + from * a->stride[0] * (int64_t)cr_dtype_size((cr_dtype)a->dtype);
  return part;
}

static void copy_part(void *arrays, int64_t from, int64_t to) {
  const cr_array *const *a = arrays;
  cr_array target = part_of(a[0], from, to), source = part_of(a[1], from, to);
  cr_array_copy(&target, &source);
}

/* Copies operand 0 to the result, strided to row-major in the operand's own shape, converting the dtype. */
static cr_status copy_eval(cr_eval *c) {
  const cr_array *from = &c->in[0];
  cr_array to;
  cr_array_init(&to, (cr_dtype)c->out->dtype, from->rank, from->dim);
  to.data = c->out->data;
  if (from->rank && from->count) {
    const cr_array *arrays[2] = {&to, from};
    cr__parallel(c->tape, from->dim[0], 1 + CR__BLOCK / (from->count / from->dim[0]), copy_part, arrays);
  } else {
    cr_array_copy(&to, from);
  }
  return CR_OK;
}

/* The same in C; and of the operand's own shape. */
static void value_emit(cr_emit_context *c) { cr_emit_value(c, "$0"); }
static void copy_emit(cr_emit_context *c) {
  cr_emit_view to = c->out;
  cr_array_init(&to.array, (cr_dtype)c->out.array.dtype, c->in[0].array.rank, c->in[0].array.dim);
  cr_emit_map(c, &to, 1, c->in, "$0");
}

void cr__settle_strides(cr_array *a) {
  cr_array dense;
  cr_array_init(&dense, (cr_dtype)a->dtype, a->rank, a->dim);
  for (int i = 0; i < a->rank && a->count > 0; i++)
    if (a->dim[i] != 1 && a->stride[i] != dense.stride[i]) {
      a->contiguous = 0;
      return;
    }
  dense.data = a->data;
  *a = dense;
}

int cr__axis_of(cr_var x, const char *name, int64_t axis) {
  int rank = cr_rank(x), k = axis >= INT32_MIN && axis <= INT32_MAX ? cr_axis((int)axis, rank ? rank : 1) : -1;
  if (k < 0) cr_fail(x.tape, CR_BAD_ARGUMENT, "%s: axis %lld of a tensor of rank %d", name, (long long)axis, rank);
  return k;
}

const void *cr__dense(cr_eval *c, const cr_array *a, cr_dtype dtype) {
  if (a->contiguous && a->dtype == (uint8_t)dtype) return a->data;
  cr_array to;
  cr_array_init(&to, dtype, a->rank, a->dim);
  to.data = cr_scratch(c, (size_t)a->count * cr_dtype_size(dtype));
  if (to.data) cr_array_copy(&to, a);
  return to.data;
}

/* cast */

static cr_status cast_infer(cr_infer *c) {
  cr_array_init(c->out, (cr_dtype)((const dims_attr *)c->attr)->rank, c->in[0].rank, c->in[0].dim);
  return CR_OK;
}
static void cast_show(char *text, size_t size, const void *attr) {
  snprintf(text, size, "dtype='%s'", cr_dtype_name((cr_dtype)((const dims_attr *)attr)->rank));
}
static void cast_vjp(cr_vjp_rule *c) {
  if (cr_dtype_of(c->out) >= CR_FLOAT32) c->d[0] = cr_cast(c->g, cr_dtype_of(c->in[0]));
}
static cr_var cast_jvp(cr_jvp_rule *c) {
  if (cr_dtype_of(c->out) < CR_FLOAT32 || cr_absent(c->dot[0])) return cr_poison(c->tape);
  return cr_cast(c->dot[0], cr_dtype_of(c->out));
}
static const cr_op cast_op = {
  .name = "cast", .check = cr__check_nothing, .arity = 1, .kind = CR_LINEAR, .attr_size = sizeof(dims_attr),
  .fields = cast_fields, .infer = cast_infer, .eval = copy_eval, .emit = value_emit, .pointwise = 1,
  .vjp = cast_vjp, .jvp = cast_jvp, .show = cast_show, .latex = "%a",
  .rule = "the cotangent cast back; none through integers"};

cr_var cr_cast(cr_var x, cr_dtype dtype) {
  if (cr_dtype_of(x) == dtype) return x;
  if (!cr_dtype_size(dtype)) return cr_fail(x.tape, CR_BAD_DTYPE, "cast: unknown dtype %d", (int)dtype);
  return cr_record(x.tape, &cast_op, 1, &x, &(dims_attr){.rank = (int)dtype});
}

/* stop_gradient */

static cr_status same_view(cr_infer *c) {
  *c->out = c->in[0];
  return CR_OK;
}
static void no_vjp(cr_vjp_rule *c) { (void)c; }
static cr_var no_jvp(cr_jvp_rule *c) { return cr_poison(c->tape); }
static const cr_op stop_gradient_op = {
  .name = "stop_gradient", .check = cr__check_nothing, .arity = 1, .kind = CR_PIECEWISE_CONSTANT, .infer = same_view,
  .vjp = no_vjp, .jvp = no_jvp,
  .latex = "\\operatorname{stop}\\left(%a\\right)", .rule = "none: the path is cut here"};

cr_var cr_stop_gradient(cr_var x) { return cr_record(x.tape, &stop_gradient_op, 1, &x, NULL); }

/* copy */

static cr_status copy_infer(cr_infer *c) {
  cr_array_init(c->out, (cr_dtype)c->in[0].dtype, c->in[0].rank, c->in[0].dim);
  return CR_OK;
}
static void copy_vjp(cr_vjp_rule *c) { c->d[0] = c->g; }
static const cr_op copy_op = {
  .name = "copy", .check = cr__check_nothing, .arity = 1, .kind = CR_LINEAR, .infer = copy_infer, .eval = copy_eval,
  .depend = cr_depend_selection, .emit = value_emit, .vjp = copy_vjp, .latex = "%a",
  .rule = "the cotangent"};

cr_var cr_copy(cr_var x) { return cr_record(x.tape, &copy_op, 1, &x, NULL); }

/* reshape: a view where the strides allow, else a copy */

/* Strides of out, a view of x's elements in another shape. Axes of both are matched in groups of equal size from the left;
 * a group of x can be split or merged only where its axes lie densely in each other. */
static bool view_as(const cr_array *x, cr_array *out) {
  int i = 0, j = 0;
  while (i < x->rank && j < out->rank) {
    int i_end = i + 1, j_end = j + 1;
    int64_t n = x->dim[i], m = out->dim[j];
    while (n != m)
      if (n < m) n *= x->dim[i_end++];
      else m *= out->dim[j_end++];
    int64_t step = x->stride[i_end - 1], extent = 1;
    for (int k = i_end - 1, first = 1; k >= i; k--) {
      if (x->dim[k] == 1) continue;
      if (first) step = x->stride[k];
      else if (x->stride[k] != step * extent) return false;
      extent *= x->dim[k];
      first = 0;
    }
    for (int k = j_end - 1; k >= j; k--) {
      out->stride[k] = step;
      step *= out->dim[k];
    }
    i = i_end;
    j = j_end;
  }
  for (; j < out->rank; j++) out->stride[j] = 1;
  return true;
}

static cr_status reshape_infer(cr_infer *c) {
  const dims_attr *d = c->attr;
  const cr_array *x = &c->in[0];
  cr_array_init(c->out, (cr_dtype)x->dtype, d->rank, d->dim);
  cr_array view = *c->out;
  if (x->contiguous) {
    c->out->data = x->data;
  } else if (x->count && view_as(x, &view)) {
    view.data = x->data;
    cr__settle_strides(&view);
    *c->out = view;
  }
  return CR_OK;
}
static int reshape_check(const cr_infer *c) {
  const dims_attr *d = c->attr;
  int64_t count = 1;
  if (!cr__are_sizes(d->rank, d->dim)) return 0;
  for (int i = 0; i < d->rank; i++) count *= d->dim[i];
  return count == c->in[0].count;
}

static void reshape_vjp(cr_vjp_rule *c) {
  cr_array x = cr_view(c->in[0]);
  c->d[0] = cr_reshape(c->g, x.rank, x.dim);
}
static cr_var reshape_jvp(cr_jvp_rule *c) {
  cr_array y = cr_view(c->out);
  return cr_absent(c->dot[0]) ? c->dot[0] : cr_reshape(c->dot[0], y.rank, y.dim);
}
static const cr_op reshape_op = {
  .name = "reshape", .check = reshape_check, .arity = 1, .kind = CR_LINEAR, .attr_size = sizeof(dims_attr),
  .fields = dims_fields, .infer = reshape_infer,
  .eval = copy_eval, .depend = cr_depend_selection, .emit = copy_emit, .vjp = reshape_vjp, .jvp = reshape_jvp,
  .show = show_dims,
  .latex = "\\operatorname{reshape}\\left(%a\\right)", .rule = "the cotangent in the operand's shape"};

cr_var cr_reshape(cr_var x, int rank, const int64_t *dims) {
  cr_array a = cr_view(x);
  dims_attr d = {.rank = rank};
  int64_t known = 1;
  int open = -1;
  if (cr_is_poison(x)) return x;
  if (rank < 0 || rank > CR_MAX_RANK)
    return cr_fail(x.tape, CR_BAD_SHAPE, "reshape: %d axes, at most %d", rank, CR_MAX_RANK);
  for (int i = 0; i < rank; i++) {
    d.dim[i] = dims[i];
    if (dims[i] == -1 && open < 0) open = i;
    else if (dims[i] < 0) return cr_fail(x.tape, CR_BAD_SHAPE, "reshape: size %lld of axis %d", (long long)dims[i], i);
    else known *= dims[i];
  }
  if (open >= 0 && known > 0 && a.count % known == 0) d.dim[open] = a.count / known;
  else if (open >= 0) d.dim[open] = known ? a.count / known : 0;
  if (count_of(rank, d.dim) != a.count) {
    char from[200];
    return cr_fail(x.tape, CR_BAD_SHAPE, "reshape: %lld elements of shape %s do not fill the new shape", (long long)a.count,
                   cr_shape_text(&a, from, sizeof from));
  }
  return cr_record(x.tape, &reshape_op, 1, &x, &d);
}

/* permute */

static cr_status permute_infer(cr_infer *c) {
  const dims_attr *d = c->attr;
  const cr_array *x = &c->in[0];
  int64_t dims[CR_MAX_RANK];
  for (int i = 0; i < d->rank; i++) dims[i] = x->dim[d->dim[i]];
  cr_array_init(c->out, (cr_dtype)x->dtype, d->rank, dims);
  c->out->data = x->data;
  for (int i = 0; i < d->rank; i++) c->out->stride[i] = x->stride[d->dim[i]];
  cr__settle_strides(c->out);
  return CR_OK;
}
static int permute_check(const cr_infer *c) {
  const dims_attr *d = c->attr;
  unsigned seen = 0;
  if (d->rank != c->in[0].rank) return 0;
  for (int i = 0; i < d->rank; i++) {
    if (d->dim[i] < 0 || d->dim[i] >= d->rank) return 0;
    seen |= 1u << d->dim[i];
  }
  return seen + 1 == 1u << d->rank;
}

static cr_var permute_by(cr_var x, const dims_attr *d, int inverse) {
  int axes[CR_MAX_RANK];
  for (int i = 0; i < d->rank; i++) {
    if (inverse) axes[d->dim[i]] = i;
    else axes[i] = (int)d->dim[i];
  }
  return cr_permute(x, d->rank, axes);
}
static void permute_vjp(cr_vjp_rule *c) { c->d[0] = permute_by(c->g, c->attr, 1); }
static cr_var permute_jvp(cr_jvp_rule *c) { return cr_absent(c->dot[0]) ? c->dot[0] : permute_by(c->dot[0], c->attr, 0); }
static const cr_op permute_op = {
  .name = "permute", .check = permute_check, .arity = 1, .kind = CR_LINEAR, .attr_size = sizeof(dims_attr),
  .fields = permute_fields, .infer = permute_infer,
  .vjp = permute_vjp, .jvp = permute_jvp, .show = show_dims, .latex = "%a^{\\top}",
  .rule = "the cotangent with the axes put back"};

cr_var cr_permute(cr_var x, int rank, const int *axes) {
  cr_array a = cr_view(x);
  dims_attr d = {.rank = rank};
  int seen[CR_MAX_RANK] = {0};
  if (cr_is_poison(x)) return x;
  if (rank != a.rank) return cr_fail(x.tape, CR_BAD_SHAPE, "permute: %d axes given for a tensor of rank %d", rank, a.rank);
  for (int i = 0; i < rank; i++) {
    int k = cr_axis(axes[i], rank);
    if (k < 0) return cr_fail(x.tape, CR_BAD_ARGUMENT, "permute: axis %d of a tensor of rank %d", axes[i], rank);
    if (seen[k]++) return cr_fail(x.tape, CR_BAD_ARGUMENT, "permute: axis %d appears twice", k);
    d.dim[i] = k;
  }
  return cr_record(x.tape, &permute_op, 1, &x, &d);
}

/* broadcast_to: a view of stride 0, whose transpose is a sum */

static cr_status broadcast_infer(cr_infer *c) {
  const dims_attr *d = c->attr;
  const cr_array *x = &c->in[0];
  cr_array_init(c->out, (cr_dtype)x->dtype, d->rank, d->dim);
  int lead = d->rank - x->rank;
  for (int i = 0; i < d->rank; i++)
    c->out->stride[i] = i < lead || (x->dim[i - lead] == 1 && d->dim[i] != 1) ? 0 : x->stride[i - lead];
  c->out->data = x->data;
  cr__settle_strides(c->out);
  return CR_OK;
}
static int broadcast_check(const cr_infer *c) {
  const dims_attr *d = c->attr;
  const cr_array *x = &c->in[0];
  if (d->rank < x->rank || !cr__are_sizes(d->rank, d->dim)) return 0;
  for (int i = 0, lead = d->rank - x->rank; i < x->rank; i++)
    if (x->dim[i] != 1 && x->dim[i] != d->dim[i + lead]) return 0;
  return 1;
}

static void broadcast_vjp(cr_vjp_rule *c) {
  cr_array x = cr_view(c->in[0]), y = cr_view(c->out);
  int axes[CR_MAX_RANK], n = 0, lead = y.rank - x.rank;
  for (int i = 0; i < y.rank; i++)
    if (i < lead || (x.dim[i - lead] == 1 && y.dim[i] != 1)) axes[n++] = i;
  cr_var g = n ? cr_sum(c->g, n, axes, 1) : c->g;
  c->d[0] = lead ? cr_reshape(g, x.rank, x.dim) : g;
}
static cr_var broadcast_jvp(cr_jvp_rule *c) {
  cr_array y = cr_view(c->out);
  return cr_absent(c->dot[0]) ? c->dot[0] : cr_broadcast_to(c->dot[0], y.rank, y.dim);
}
static const cr_op broadcast_op = {
  .name = "broadcast_to", .check = broadcast_check, .arity = 1, .kind = CR_LINEAR, .attr_size = sizeof(dims_attr),
  .fields = dims_fields, .infer = broadcast_infer,
  .vjp = broadcast_vjp, .jvp = broadcast_jvp, .show = show_dims, .latex = "%a",
  .rule = "the cotangent summed over the axes that were expanded"};

cr_var cr_broadcast_to(cr_var x, int rank, const int64_t *dims) {
  cr_array a = cr_view(x), to, both;
  dims_attr d = {.rank = rank};
  if (cr_is_poison(x)) return x;
  if (rank < a.rank || rank > CR_MAX_RANK)
    return cr_fail(x.tape, CR_BAD_SHAPE, "broadcast_to: rank %d from rank %d, at most %d", rank, a.rank, CR_MAX_RANK);
  if (rank) memcpy(d.dim, dims, (size_t)rank * sizeof *dims);
  cr_array_init(&to, CR_FLOAT64, rank, dims);
  if (!cr_broadcast(&a, &to, &both) || both.count != to.count) {
    char from[200], into[200];
    return cr_fail(x.tape, CR_BAD_SHAPE, "broadcast_to: shape %s does not broadcast to %s",
                   cr_shape_text(&a, from, sizeof from), cr_shape_text(&to, into, sizeof into));
  }
  return cr_record(x.tape, &broadcast_op, 1, &x, &d);
}

/* Names in the expression language */

static void call_cast(cr_call *c) {
  int dtype = cr_dtype_of_name(cr_arg_text(c, 1));
  if (dtype < 0) cr_fail(cr_call_tape(c), CR_BAD_DTYPE, "cast: unknown dtype '%s'", cr_arg_text(c, 1));
  else cr_return(c, cr_cast(cr_arg_var(c, 0), (cr_dtype)dtype));
}
static void call_stop_gradient(cr_call *c) { cr_return(c, cr_stop_gradient(cr_arg_var(c, 0))); }
static void call_copy(cr_call *c) { cr_return(c, cr_copy(cr_arg_var(c, 0))); }
static void call_reshape(cr_call *c) {
  int64_t dims[CR_MAX_RANK];
  int rank = cr_arg_ints(c, 1, CR_MAX_RANK, dims);
  if (rank >= 0) cr_return(c, cr_reshape(cr_arg_var(c, 0), rank, dims));
}
static void call_broadcast_to(cr_call *c) {
  int64_t dims[CR_MAX_RANK];
  int rank = cr_arg_ints(c, 1, CR_MAX_RANK, dims);
  if (rank >= 0) cr_return(c, cr_broadcast_to(cr_arg_var(c, 0), rank, dims));
}
static void call_permute(cr_call *c) {
  int64_t dims[CR_MAX_RANK];
  int axes[CR_MAX_RANK], rank = cr_arg_ints(c, 1, CR_MAX_RANK, dims);
  for (int i = 0; i < rank; i++) axes[i] = (int)dims[i];
  if (rank >= 0) cr_return(c, cr_permute(cr_arg_var(c, 0), rank, axes));
}

static const cr_op *const recorded[] = {&cast_op,    &stop_gradient_op, &copy_op, &reshape_op,
                                        &permute_op, &broadcast_op,     NULL};

const cr_function cr__movement_functions[] = {
  {.ops = recorded, .signature = "cast(input, dtype) | to | type", .call = call_cast, .family = "shape",
   .doc = "The same numbers in another dtype.",
   .derivative = "the cotangent cast back; none through integers", .samples = "cast(x:(2,3), 'float64')"},
  {.signature = "stop_gradient(input) | detach", .call = call_stop_gradient, .family = "shape",
   .doc = "The value without its derivative.",
   .derivative = "none", .samples = "x:(3) * stop_gradient(y:(3))"},
  {.signature = "copy(input) | clone", .call = call_copy, .family = "shape", .doc = "The same numbers as a node of its own.",
   .derivative = "the cotangent", .samples = "copy(x:(2,3))"},
  {.signature = "reshape(input, shape) | view", .call = call_reshape, .family = "shape",
   .doc = "The elements in row-major order in another shape; one size may be -1.",
   .derivative = "the cotangent in the operand's shape", .samples = "reshape(x:(2,3), (3,2)); reshape(x:(2,3), (-1,))"},
  {.signature = "permute(input, dims)", .call = call_permute, .family = "shape", .doc = "Axes in another order, a view.",
   .derivative = "the cotangent with the axes put back", .samples = "permute(x:(2,3,2), (2,0,1))"},
  {.signature = "broadcast_to(input, size)", .call = call_broadcast_to, .family = "shape",
   .doc = "Repeats along new axes and axes of size 1, a view.",
   .derivative = "the cotangent summed over the expanded axes", .samples = "broadcast_to(x:(3,1), (2,3,4))"},
  {.signature = NULL}};
