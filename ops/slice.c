/* Slices: views along axes with any step. Their transpose is pad. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shapes.h"

/* slice: element k of axis i of the result is element start + k * step of the operand's */

static const cr_field slice_fields[] = {
  CR_LIST(slice_attr, rank, start, "start"),
  CR_LIST(slice_attr, rank, step, "step"),
  CR_LIST(slice_attr, rank, dim, "size"),
  {.name = NULL}};

static void slice_show(char *text, size_t size, const void *attr) {
  const slice_attr *s = attr;
  size_t n = 0;
  for (int i = 0; i < s->rank && n < size; i++) {
    int64_t stop = s->start[i] + s->dim[i] * s->step[i];
    n += (size_t)snprintf(text + n, size - n, stop < 0 ? "%s%lld::%lld" : "%s%lld:%lld:%lld", i ? ", " : "",
                          (long long)s->start[i], (long long)(stop < 0 ? s->step[i] : stop), (long long)s->step[i]);
  }
}

static cr_status slice_infer(cr_infer *c) {
  const slice_attr *s = c->attr;
  const cr_array *x = &c->in[0];
  int64_t offset = 0;
  cr_array_init(c->out, (cr_dtype)x->dtype, s->rank, s->dim);
  for (int i = 0; i < s->rank; i++) {
    offset += s->start[i] * x->stride[i];
    c->out->stride[i] = x->stride[i] * s->step[i];
  }
  if (!c->out->count) offset = 0;
  c->out->data = (char *)x->data + offset * (int64_t)cr_dtype_size((cr_dtype)x->dtype);
  cr__settle_strides(c->out);
  return CR_OK;
}

/* First and last element lie in the operand. */
static int slice_check(const cr_infer *c) {
  const slice_attr *s = c->attr;
  const cr_array *x = &c->in[0];
  const int64_t most = (int64_t)1 << 40;
  if (s->rank != x->rank || !cr__are_sizes(s->rank, s->dim)) return 0;
  for (int i = 0; i < s->rank; i++) {
    if (s->step[i] < -most || s->step[i] > most || s->start[i] < 0 || s->dim[i] > x->dim[i]) return 0;
    int64_t stride = s->step[i] < 0 ? -s->step[i] : s->step[i], last = s->dim[i] - 1;
    if (last > 0 && stride > x->dim[i]) return 0;
    if (last >= 0 &&
        (s->start[i] >= x->dim[i] || s->start[i] + last * s->step[i] < 0 || s->start[i] + last * s->step[i] >= x->dim[i]))
      return 0;
  }
  return 1;
}

static void slice_vjp(cr_vjp_rule *c) {
  const slice_attr *s = c->attr;
  cr_array x = cr_view(c->in[0]);
  int64_t lo[CR_MAX_RANK], hi[CR_MAX_RANK], interior[CR_MAX_RANK];
  int backward[CR_MAX_RANK], n = 0;
  for (int i = 0; i < s->rank; i++) {
    int64_t step = llabs(s->step[i]), extent = s->dim[i] ? (s->dim[i] - 1) * step + 1 : 0;
    if (s->step[i] < 0) backward[n++] = i;
    lo[i] = !s->dim[i] ? 0 : s->step[i] < 0 ? s->start[i] - extent + 1 : s->start[i];
    hi[i] = x.dim[i] - extent - lo[i];
    interior[i] = step - 1;
  }
  c->d[0] = cr_pad(n ? cr_flip(c->g, n, backward) : c->g, lo, hi, interior, cr_const(c->tape, 0));
}

static const cr_op slice_op = {
  .name = "slice", .check = slice_check, .arity = 1, .kind = CR_LINEAR, .window = 1, .attr_size = sizeof(slice_attr),
  .fields = slice_fields, .infer = slice_infer,
  .vjp = slice_vjp, .show = slice_show, .latex = "%a_{[\\,:\\,]}",
  .rule = "the cotangent padded with zeros where nothing was taken"};

/* Python's start:stop:step on an axis of n elements. */
static void clamp_slice(int64_t n, int64_t start, int64_t stop, int64_t step, slice_attr *s, int axis) {
  int64_t low = step < 0 ? -1 : 0, high = step < 0 ? n - 1 : n;
  if (start < 0) start += n;
  if (stop < 0) stop += n;
  start = start < low ? low : start > high ? high : start;
  stop = stop < low ? low : stop > high ? high : stop;
  s->start[axis] = start;
  s->step[axis] = step;
  if (step > 0) s->dim[axis] = stop > start ? (stop - start - 1) / step + 1 : 0;
  else s->dim[axis] = start > stop ? (start - stop - 1) / -step + 1 : 0;
  if (s->dim[axis] <= 1) s->step[axis] = 1;
}

static slice_attr whole(const cr_array *x) {
  slice_attr s = {.rank = x->rank};
  for (int i = 0; i < x->rank; i++) {
    s.step[i] = 1;
    s.dim[i] = x->dim[i];
  }
  return s;
}

static cr_var record_slice(cr_var x, const cr_array *a, const slice_attr *s) {
  int same = 1;
  for (int i = 0; i < s->rank; i++) same = same && s->dim[i] == a->dim[i] && s->step[i] == 1;
  return same ? x : cr_record(x.tape, &slice_op, 1, &x, s);
}

static int bad_step(cr_var x, const char *name, int64_t step) {
  if (step && step > INT64_MIN) return 0;
  cr_fail(x.tape, CR_BAD_ARGUMENT, "%s: the step is %s", name, step ? "out of range" : "zero");
  return 1;
}

cr_var cr_slice(cr_var x, int n, const int64_t *start, const int64_t *stop, const int64_t *step) {
  cr_array a = cr_view(x);
  if (cr_is_poison(x)) return x;
  if (n < 0 || n > a.rank)
    return cr_fail(x.tape, CR_BAD_ARGUMENT, "slice: %d axes given for a tensor of rank %d", n, a.rank);
  slice_attr s = whole(&a);
  for (int i = 0; i < n; i++) {
    int64_t by = step ? step[i] : 1;
    if (bad_step(x, "slice", by)) return cr_poison(x.tape);
    clamp_slice(a.dim[i], start[i], by < 0 && stop[i] < 0 ? INT64_MIN : stop[i], by, &s, i);
  }
  return record_slice(x, &a, &s);
}

cr_var cr_slice_axis(cr_var x, int axis, int64_t start, int64_t stop, int64_t step) {
  cr_array a = cr_view(x);
  if (cr_is_poison(x)) return x;
  if (!a.rank) return cr_fail(x.tape, CR_BAD_SHAPE, "slice: a tensor of rank 0 has no axis to slice");
  int k = cr__axis_of(x, "slice", axis);
  if (k < 0 || bad_step(x, "slice", step)) return cr_poison(x.tape);
  slice_attr s = whole(&a);
  clamp_slice(a.dim[k], start, stop, step, &s, k);
  return record_slice(x, &a, &s);
}

cr_var cr_flip(cr_var x, int n, const int *axes) {
  cr_array a = cr_view(x);
  if (cr_is_poison(x)) return x;
  slice_attr s = whole(&a);
  for (int i = 0; i < n; i++) {
    int k = cr__axis_of(x, "flip", axes[i]);
    if (k < 0) return cr_poison(x.tape);
    if (a.rank && s.step[k] < 0) return cr_fail(x.tape, CR_BAD_ARGUMENT, "flip: axis %d appears twice", k);
    if (a.rank) clamp_slice(a.dim[k], INT64_MAX, INT64_MIN, -1, &s, k);
  }
  return record_slice(x, &a, &s);
}

/* select: one position along an axis, which goes */

typedef struct select_attr {
  int axis;
  int64_t index;
} select_attr;

static const cr_field select_fields[] = {
  CR_FIELD(select_attr, axis, CR_FIELD_AXIS, "axis"),
  CR_FIELD(select_attr, index, CR_FIELD_INT, "index"),
  {.name = NULL}};

static void select_show(char *text, size_t size, const void *attr) {
  const select_attr *s = attr;
  snprintf(text, size, "dim=%d, index=%lld", s->axis, (long long)s->index);
}
static cr_status select_infer(cr_infer *c) {
  const select_attr *s = c->attr;
  const cr_array *x = &c->in[0];
  cr_array out = *x;
  out.rank--;
  out.count = 1;
  for (int i = 0; i < out.rank; i++) {
    out.dim[i] = x->dim[i + (i >= s->axis)];
    out.stride[i] = x->stride[i + (i >= s->axis)];
    out.count *= out.dim[i];
  }
  if (out.count) out.data = (char *)x->data + s->index * x->stride[s->axis] * (int64_t)cr_dtype_size((cr_dtype)x->dtype);
  cr__settle_strides(&out);
  *c->out = out;
  return CR_OK;
}
static int select_check(const cr_infer *c) {
  const select_attr *s = c->attr;
  return c->in[0].rank > 0 && s->index >= 0 && s->index < c->in[0].dim[s->axis];
}

static void select_vjp(cr_vjp_rule *c) {
  const select_attr *s = c->attr;
  cr_array x = cr_view(c->in[0]);
  int64_t lo[CR_MAX_RANK] = {0}, hi[CR_MAX_RANK] = {0};
  lo[s->axis] = s->index;
  hi[s->axis] = x.dim[s->axis] - 1 - s->index;
  c->d[0] = cr_pad(cr_unsqueeze(c->g, s->axis), lo, hi, NULL, cr_const(c->tape, 0));
}
static const cr_op select_op = {
  .name = "select", .check = select_check, .arity = 1, .kind = CR_LINEAR, .window = 1, .attr_size = sizeof(select_attr),
  .fields = select_fields, .infer = select_infer,
  .vjp = select_vjp, .show = select_show, .latex = "%a_{i}", .rule = "the cotangent at its position, zeros elsewhere"};

cr_var cr_select(cr_var x, int axis, int64_t index) {
  cr_array a = cr_view(x);
  if (cr_is_poison(x)) return x;
  if (!a.rank) return cr_fail(x.tape, CR_BAD_SHAPE, "select: a tensor of rank 0 has no axis to select from");
  int k = cr__axis_of(x, "select", axis);
  if (k < 0) return cr_poison(x.tape);
  if (index < -a.dim[k] || index >= a.dim[k])
    return cr_fail(x.tape, CR_BAD_INDEX, "select: index %lld is out of range for axis %d of size %lld", (long long)index, k,
                   (long long)a.dim[k]);
  select_attr s;
  memset(&s, 0, sizeof s); /* its padding, too: equal nodes are found by the bytes of attributes */
  s.axis = k, s.index = index < 0 ? index + a.dim[k] : index;
  return cr_record(x.tape, &select_op, 1, &x, &s);
}

/* Compositions */

int cr_split(cr_var x, int axis, int n, const int64_t *sizes, cr_var *out) {
  int k = cr_is_poison(x) ? -1 : cr__axis_of(x, "split", axis);
  int64_t at = 0, size = k < 0 || !cr_rank(x) ? 0 : cr_dim(x, k);
  for (int i = 0; k >= 0 && i < n; i++) {
    if (sizes[i] < 0 || sizes[i] > size - at) k = -2;
    else at += sizes[i];
  }
  if (k == -2 || (k >= 0 && at != size))
    cr_fail(x.tape, CR_BAD_ARGUMENT, "split: the parts do not add up to axis %d, which has size %lld", axis,
            (long long)size);
  if (k < 0 || at != size) return 0;
  at = 0;
  for (int i = 0; i < n; i++) {
    out[i] = cr_slice_axis(x, k, at, at + sizes[i], 1);
    at += sizes[i];
  }
  return 1;
}

cr_var cr_roll(cr_var x, int axis, int64_t shift) {
  int k = cr_is_poison(x) ? -1 : cr__axis_of(x, "roll", axis);
  if (k < 0) return cr_poison(x.tape);
  int64_t n = cr_rank(x) ? cr_dim(x, k) : 1, by = n ? (shift % n + n) % n : 0;
  if (!by) return x;
  cr_var part[2] = {cr_slice_axis(x, k, n - by, n, 1), cr_slice_axis(x, k, 0, n - by, 1)};
  return cr_concatenate(2, part, k);
}

cr_var cr_diff(cr_var x, int order, int axis) {
  int k = cr_is_poison(x) ? -1 : cr__axis_of(x, "diff", axis);
  if (k < 0) return cr_poison(x.tape);
  if (!cr_rank(x)) return cr_fail(x.tape, CR_BAD_SHAPE, "diff: a tensor of rank 0 has no neighbours");
  if (order < 0) return cr_fail(x.tape, CR_BAD_ARGUMENT, "diff: order %d is negative", order);
  for (int i = 0; i < order && cr_dim(x, k) > 0; i++)
    x = cr_sub(cr_slice_axis(x, k, 1, INT64_MAX, 1), cr_slice_axis(x, k, 0, -1, 1));
  return x;
}

/* Names in the expression language */

static void call_slice(cr_call *c) {
  int64_t start[CR_MAX_RANK], stop[CR_MAX_RANK], step[CR_MAX_RANK];
  int n = cr_arg_ints(c, 1, CR_MAX_RANK, start), m = cr_arg_ints(c, 2, CR_MAX_RANK, stop);
  int k = cr_arg_given(c, 3) ? cr_arg_ints(c, 3, CR_MAX_RANK, step) : n;
  if (n < 0 || m < 0 || k < 0) return;
  if (m != n || k != n)
    cr_fail(cr_call_tape(c), CR_BAD_ARGUMENT, "slice: start, stop and step have %d, %d and %d entries; one an axis", n,
            m, k);
  else
    cr_return(c, cr_slice(cr_arg_var(c, 0), n, start, stop, cr_arg_given(c, 3) ? step : NULL));
}
static void call_slice_axis(cr_call *c) {
  int64_t step = cr_arg_given(c, 4) ? cr_arg_int(c, 4) : 1;
  int64_t start = cr_arg_given(c, 2) ? cr_arg_int(c, 2) : step < 0 ? INT64_MAX : 0;
  int64_t stop = cr_arg_given(c, 3) ? cr_arg_int(c, 3) : step < 0 ? INT64_MIN : INT64_MAX;
  cr_return(c, cr_slice_axis(cr_arg_var(c, 0), (int)cr_arg_int(c, 1), start, stop, step));
}
static void call_select(cr_call *c) {
  cr_return(c, cr_select(cr_arg_var(c, 0), (int)cr_arg_int(c, 1), cr_arg_int(c, 2)));
}
static void call_flip(cr_call *c) {
  int axes[CR_MAX_RANK], n = cr__arg_axes(c, 1, axes);
  if (n >= 0) cr_return(c, cr_flip(cr_arg_var(c, 0), n, axes));
}

enum { MOST_PARTS = 1024 };
static void call_split(cr_call *c) {
  int64_t sizes[MOST_PARTS];
  cr_var part[MOST_PARTS], x = cr_arg_var(c, 0);
  int axis = (int)cr_arg_int(c, 2), n = cr_arg_ints(c, 1, MOST_PARTS, sizes);
  if (n < 0 || cr_is_poison(x)) return;
  if (cr_arg_is_number(c, 1)) { /* pieces of one size, the last may be short */
    int64_t k = cr__axis_of(x, "split", axis), size = k < 0 || !cr_rank(x) ? 0 : cr_dim(x, (int)k), each = sizes[0];
    if (k < 0) return;
    n = size && each > 0 && (size - 1) / each < MOST_PARTS ? (int)((size - 1) / each) + 1 : !size && each >= 0;
    if (!n) {
      cr_fail(cr_call_tape(c), CR_BAD_ARGUMENT, "split: size %lld of the parts; 1 to %d parts", (long long)each, MOST_PARTS);
      return;
    }
    for (int i = 0; i < n; i++) sizes[i] = i < n - 1 ? each : size - each * i;
  }
  if (cr_split(x, axis, n, sizes, part))
    for (int i = 0; i < n; i++) cr_return(c, part[i]);
}
static void call_roll(cr_call *c) {
  int64_t shift[CR_MAX_RANK];
  int axes[CR_MAX_RANK], m = 1, n = cr_arg_ints(c, 1, CR_MAX_RANK, shift);
  cr_var x = cr_arg_var(c, 0);
  cr_array a = cr_view(x);
  int flat = !cr_arg_given(c, 2);
  if (!flat) m = cr__arg_axes(c, 2, axes);
  if (n < 0 || m < 0) return;
  if (m != n) {
    cr_fail(cr_call_tape(c), CR_BAD_ARGUMENT, "roll: %d shifts for %d axes", n, m);
    return;
  }
  if (flat) x = cr_roll(cr_reshape(x, 1, (int64_t[]){-1}), 0, shift[0]);
  for (int i = 0; !flat && i < n; i++) x = cr_roll(x, axes[i], shift[i]);
  cr_return(c, flat ? cr_reshape(x, a.rank, a.dim) : x);
}
static void call_diff(cr_call *c) {
  cr_var part[3];
  int n = 0, axis = (int)cr_arg_int(c, 2);
  if (cr_arg_given(c, 3)) part[n++] = cr_arg_var(c, 3);
  part[n++] = cr_arg_var(c, 0);
  if (cr_arg_given(c, 4)) part[n++] = cr_arg_var(c, 4);
  cr_var x = n > 1 ? cr_concatenate(n, part, axis) : part[0];
  cr_return(c, cr_diff(x, (int)cr_arg_int(c, 1), axis));
}

static const cr_op *const recorded[] = {&slice_op, &select_op, NULL};

const cr_function cr__slice_functions[] = {
  {.ops = recorded, .signature = "slice(input, start, stop, step=None)", .call = call_slice, .family = "shape",
   .doc = "Positions start to stop by step of the leading axes, one list entry an axis, a view; with a negative step a "
          "stop below 0 is the end before the first element.",
   .derivative = "the cotangent padded with zeros where nothing was taken",
   .samples = "slice(x:(4), [1], [3]); slice(x:(3,5), [0, 4], [2, 0], [1, -2])"},
  {.signature = "slice_axis(input, dim, start=None, stop=None, step=None)", .call = call_slice_axis, .family = "shape",
   .doc = "start:stop:step along one axis as Python slices, a view.",
   .derivative = "the cotangent padded with zeros where nothing was taken",
   .samples = "slice_axis(x:(5), 0, None, None, -2); slice_axis(x:(2,4), -1, -3, None)"},
  {.signature = "select(input, dim, index)", .call = call_select, .family = "shape",
   .doc = "One position along an axis, which goes; a view.",
   .derivative = "the cotangent at its position, zeros elsewhere", .samples = "select(x:(2,3), 1, -1)"},
  {.signature = "flip(input, dims)", .call = call_flip, .family = "shape", .doc = "The order along axes reversed, a view.",
   .derivative = "the cotangent flipped back", .samples = "flip(x:(2,3), [0, 1]); flip(x:(3), 0)"},
  {.signature = "split(tensor, split_size_or_sections, dim=0)", .call = call_split, .family = "shape",
   .doc = "Consecutive parts along an axis: of one size (the last may be short), or of the sizes listed.",
   .derivative = "the parts' cotangents joined", .samples = "split(x:(5), 2); split(x:(2,3), [1, 2], dim=1)"},
  {.signature = "roll(input, shifts, dims=None)", .call = call_roll, .family = "shape",
   .doc = "Elements moved along axes, those that fall off come back in front; without dims over the flattened tensor.",
   .derivative = "the cotangent rolled back", .samples = "roll(x:(2,3), 1); roll(x:(2,3), [1, -1], [0, 1])"},
  {.signature = "diff(input, n=1, dim=-1, prepend=None, append=None)", .call = call_diff, .family = "shape",
   .doc = "Differences of neighbours along an axis, n times.",
   .samples = "diff(x:(4)); diff(x:(4,2), n=2, dim=0); diff(x:(3), prepend=y:(1))"},
  {.signature = NULL}};
