/* Joining tensors along an axis, one that exists or a new one. Their transposes are slices. */
#include <stdio.h>

#include "emit.h"
#include "ops.h"

typedef struct join_attr {
  int axis;
} join_attr;

static const cr_field join_fields[] = {
  CR_FIELD(join_attr, axis, CR_FIELD_INT, "axis"),
  {.name = NULL}};

static void join_show(char *text, size_t size, const void *attr) {
  snprintf(text, size, "dim=%d", ((const join_attr *)attr)->axis);
}

static cr_status join_prepare(cr_tape *t, int n, cr_var *in) { return cr__one_dtype(t, n, in, 'b'); }

static cr_status do_not_fit(cr_infer *c, int k) {
  char first[200], other[200];
  cr_fail(c->tape, CR_BAD_SHAPE, "operand %d has shape %s, operand 0 %s", k, cr_shape_text(&c->in[k], other, sizeof other),
          cr_shape_text(&c->in[0], first, sizeof first));
  return CR_BAD_SHAPE;
}

/* An axis of the operands, or for stack one more; of one dtype. */
static int join_check(const cr_infer *c, int ranks) {
  int axis = ((const join_attr *)c->attr)->axis;
  for (int k = 1; k < c->n; k++)
    if (c->in[k].dtype != c->in[0].dtype) return 0;
  return axis >= 0 && axis < ranks;
}
static int concatenate_check(const cr_infer *c) { return join_check(c, c->in[0].rank); }
static int stack_check(const cr_infer *c) { return join_check(c, c->in[0].rank + 1); }

/* concatenate */

static cr_status concatenate_infer(cr_infer *c) {
  int axis = ((const join_attr *)c->attr)->axis;
  int64_t dims[CR_MAX_RANK], total = 0;
  for (int k = 0; k < c->n; k++) {
    const cr_array *a = &c->in[k];
    if (a->rank != c->in[0].rank) return do_not_fit(c, k);
    for (int i = 0; i < a->rank; i++)
      if (i != axis && a->dim[i] != c->in[0].dim[i]) return do_not_fit(c, k);
    total += a->dim[axis];
  }
  for (int i = 0; i < c->in[0].rank; i++) dims[i] = i == axis ? total : c->in[0].dim[i];
  cr_array_init(c->out, (cr_dtype)c->in[0].dtype, c->in[0].rank, dims);
  return CR_OK;
}

static cr_status concatenate_eval(cr_eval *c) {
  int axis = ((const join_attr *)c->attr)->axis;
  cr_array part = *c->out;
  size_t size = cr_dtype_size((cr_dtype)part.dtype);
  part.contiguous = 0;
  for (int k = 0; k < c->n; k++) {
    part.dim[axis] = c->in[k].dim[axis];
    part.count = c->in[k].count;
    if (part.count) cr_array_copy(&part, &c->in[k]);
    part.data = (char *)part.data + part.dim[axis] * part.stride[axis] * (int64_t)size;
  }
  return CR_OK;
}

static void concatenate_vjp(cr_vjp_rule *c) {
  int axis = ((const join_attr *)c->attr)->axis;
  int64_t at = 0;
  for (int k = 0; k < c->n; k++) {
    int64_t n = cr_dim(c->in[k], axis);
    if (c->wanted[k]) c->d[k] = cr_slice_axis(c->g, axis, at, at + n, 1);
    at += n;
  }
}

static void concatenate_emit(cr_emit_context *c) {
  int axis = ((const join_attr *)c->attr)->axis;
  cr_emit_view part = c->out;
  part.array.contiguous = 0;
  for (int k = 0; k < c->n; k++) {
    part.array.dim[axis] = c->in[k].array.dim[axis];
    part.array.count = c->in[k].array.count;
    if (part.array.count) cr_emit_map(c, &part, 1, &c->in[k], "$0");
    part.offset += part.array.dim[axis] * part.array.stride[axis];
  }
}

static const cr_op concatenate_op = {
  .name = "concatenate", .check = concatenate_check, .arity = CR_VARIADIC, .kind = CR_LINEAR,
  .attr_size = sizeof(join_attr), .fields = join_fields, .prepare = join_prepare,
  .infer = concatenate_infer, .eval = concatenate_eval, .depend = cr_depend_selection, .emit = concatenate_emit,
  .vjp = concatenate_vjp, .show = join_show,
  .rule = "to each operand its slice of the cotangent"};

cr_var cr_concatenate(int n, const cr_var *x, int axis) {
  if (n < 1) return (cr_var){0};
  if (cr_is_poison(x[0])) return x[0];
  if (!cr_rank(x[0]))
    return cr_fail(x[0].tape, CR_BAD_SHAPE, "concatenate: tensors of rank 0 have no axis to join; stack them");
  int k = cr__axis_of(x[0], "concatenate", axis);
  return k < 0 ? cr_poison(x[0].tape) : cr_record(x[0].tape, &concatenate_op, n, x, &(join_attr){k});
}

/* stack */

static cr_status stack_infer(cr_infer *c) {
  int axis = ((const join_attr *)c->attr)->axis, rank = c->in[0].rank + 1;
  int64_t dims[CR_MAX_RANK];
  if (rank > CR_MAX_RANK) {
    cr_fail(c->tape, CR_BAD_SHAPE, "the result would have %d axes, at most %d", rank, CR_MAX_RANK);
    return CR_BAD_SHAPE;
  }
  for (int k = 1; k < c->n; k++) {
    if (c->in[k].rank + 1 != rank) return do_not_fit(c, k);
    for (int i = 0; i < rank - 1; i++)
      if (c->in[k].dim[i] != c->in[0].dim[i]) return do_not_fit(c, k);
  }
  for (int i = 0; i < rank; i++) dims[i] = i == axis ? c->n : c->in[0].dim[i - (i > axis)];
  cr_array_init(c->out, (cr_dtype)c->in[0].dtype, rank, dims);
  return CR_OK;
}

static cr_status stack_eval(cr_eval *c) {
  int axis = ((const join_attr *)c->attr)->axis;
  size_t size = cr_dtype_size((cr_dtype)c->out->dtype);
  cr_array part = c->in[0];
  for (int i = 0; i < part.rank; i++) part.stride[i] = c->out->stride[i + (i >= axis)];
  part.contiguous = axis == 0;
  for (int k = 0; k < c->n && part.count; k++) {
    part.data = (char *)c->out->data + k * c->out->stride[axis] * (int64_t)size;
    cr_array_copy(&part, &c->in[k]);
  }
  return CR_OK;
}

static void stack_vjp(cr_vjp_rule *c) {
  for (int k = 0; k < c->n; k++)
    if (c->wanted[k]) c->d[k] = cr_select(c->g, ((const join_attr *)c->attr)->axis, k);
}

static void stack_emit(cr_emit_context *c) {
  int axis = ((const join_attr *)c->attr)->axis;
  cr_emit_view part = cr_emit_axes(&c->out, ~(1u << axis));
  for (int k = 0; k < c->n && part.array.count; k++) {
    part.offset = c->out.offset + k * c->out.array.stride[axis];
    cr_emit_map(c, &part, 1, &c->in[k], "$0");
  }
}

static const cr_op stack_op = {
  .name = "stack", .check = stack_check, .arity = CR_VARIADIC, .kind = CR_LINEAR, .attr_size = sizeof(join_attr),
  .fields = join_fields, .prepare = join_prepare,
  .infer = stack_infer, .eval = stack_eval, .depend = cr_depend_selection, .emit = stack_emit, .vjp = stack_vjp,
  .show = join_show,
  .rule = "to each operand its position of the cotangent"};

cr_var cr_stack(int n, const cr_var *x, int axis) {
  if (n < 1) return (cr_var){0};
  if (cr_is_poison(x[0])) return x[0];
  int k = cr_axis(axis, cr_rank(x[0]) + 1);
  if (k < 0)
    return cr_fail(x[0].tape, CR_BAD_ARGUMENT, "stack: new axis %d of a tensor of rank %d", axis, cr_rank(x[0]) + 1);
  return cr_record(x[0].tape, &stack_op, n, x, &(join_attr){k});
}

/* Names in the expression language */

enum { MOST = 1024 };

static void join(cr_call *c, cr_var (*op)(int, const cr_var *, int), const char *name) {
  cr_var x[MOST];
  int n = cr_arg_vars(c, 0, MOST, x), axis = (int)cr_arg_int(c, 1);
  if (n == 0) cr_fail(cr_call_tape(c), CR_BAD_ARGUMENT, "%s: at least one tensor is needed", name);
  if (n > 0) cr_return(c, op(n, x, axis));
}
static void call_concatenate(cr_call *c) { join(c, cr_concatenate, "concatenate"); }
static void call_stack(cr_call *c) { join(c, cr_stack, "stack"); }

static const cr_op *const recorded[] = {&concatenate_op, &stack_op, NULL};

const cr_function cr__join_functions[] = {
  {.ops = recorded, .signature = "concatenate(tensors, dim=0) | cat | concat", .call = call_concatenate, .family = "shape",
   .doc = "Tensors one after the other along an axis.", .derivative = "to each operand its slice of the cotangent",
   .samples = "concatenate([x:(2), y:(3)]); concatenate([x:(2,1), y:(2,2), x], dim=-1)"},
  {.signature = "stack(tensors, dim=0)", .call = call_stack, .family = "shape",
   .doc = "Tensors of one shape along a new axis.",
   .derivative = "to each operand its position of the cotangent",
   .samples = "stack([x:(2), y:(2)]); stack([x:(2,2), y:(2,2)], dim=-1); stack([x:(), y:()])"},
  {.signature = NULL}};
