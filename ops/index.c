/* Indexing with several integer tensors at once, and functions built on gather and scatter. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "shapes.h"

/* ravel_index(i, j, ...): the row-major position in a shape of the element that the indices name together */

static const cr_field dims_fields[] = {
  CR_LIST(dims_attr, rank, dim, "shape"),
  {.name = NULL}};

static cr_status ravel_prepare(cr_tape *t, int n, cr_var *in) {
  for (int k = 0; k < n; k++) {
    cr_dtype dtype = cr_dtype_of(in[k]);
    if (dtype == CR_INT64 || dtype == CR_INT32) continue;
    cr_fail(t, CR_BAD_DTYPE, "an index must be integers, not %s", cr_dtype_name(dtype));
    return CR_BAD_DTYPE;
  }
  return cr__broadcast_operands(t, n, in);
}
static int ravel_check(const cr_infer *c) {
  const dims_attr *d = c->attr;
  int good = c->n == d->rank && cr__are_sizes(d->rank, d->dim);
  for (int k = 0; good && k < c->n; k++) {
    good = (c->in[k].dtype == CR_INT64 || c->in[k].dtype == CR_INT32) && c->in[k].rank == c->in[0].rank;
    for (int i = 0; good && i < c->in[0].rank; i++) good = c->in[k].dim[i] == c->in[0].dim[i];
  }
  return good;
}
static cr_status ravel_infer(cr_infer *c) {
  cr_array_init(c->out, CR_INT64, c->in[0].rank, c->in[0].dim);
  return CR_OK;
}
static cr_status ravel_eval(cr_eval *c) {
  const dims_attr *d = c->attr;
  int64_t *out = c->out->data;
  memset(out, 0, (size_t)c->out->count * sizeof *out);
  for (int k = 0; k < c->n; k++)
    for (int64_t e = 0; e < c->out->count; e++) {
      int64_t i = cr_array_get_int(&c->in[k], e), n = d->dim[k];
      if (i < -n || i >= n) {
        cr_fail(c->tape, CR_BAD_INDEX, "index %lld is out of range for axis %d of size %lld", (long long)i, k, (long long)n);
        return CR_BAD_INDEX;
      }
      out[e] = out[e] * n + (i < 0 ? i + n : i);
    }
  return CR_OK;
}
static const cr_op ravel_op = {
  .name = "ravel_index", .check = ravel_check, .arity = CR_VARIADIC, .kind = CR_PIECEWISE_CONSTANT,
  .attr_size = sizeof(dims_attr),
  .fields = dims_fields,
  .prepare = ravel_prepare, .infer = ravel_infer, .eval = ravel_eval};

/* one_hot: integers to rows of a unit matrix */

static void one_hot_show(char *text, size_t size, const void *attr) {
  snprintf(text, size, "num_classes=%lld", (long long)((const dims_attr *)attr)->dim[0]);
}
static int one_hot_check(const cr_infer *c) {
  const dims_attr *d = c->attr;
  return d->rank == 1 && cr__are_sizes(2, (int64_t[]){c->in[0].count, d->dim[0]});
}
static cr_status one_hot_infer(cr_infer *c) {
  cr_array a = c->in[0];
  if (a.rank == CR_MAX_RANK || (a.dtype != CR_INT64 && a.dtype != CR_INT32)) {
    cr_fail(c->tape, CR_BAD_DTYPE, "integers of rank at most %d are needed", CR_MAX_RANK - 1);
    return CR_BAD_DTYPE;
  }
  a.dim[a.rank] = ((const dims_attr *)c->attr)->dim[0];
  cr_array_init(c->out, CR_INT64, a.rank + 1, a.dim);
  return CR_OK;
}
static cr_status one_hot_eval(cr_eval *c) {
  int64_t n = ((const dims_attr *)c->attr)->dim[0], *out = c->out->data;
  memset(out, 0, (size_t)c->out->count * sizeof *out);
  for (int64_t k = 0; k < c->in[0].count; k++) {
    int64_t i = cr_array_get_int(&c->in[0], k);
    if (i < 0 || i >= n) {
      cr_fail(c->tape, CR_BAD_INDEX, "class %lld is not below the number of classes %lld", (long long)i, (long long)n);
      return CR_BAD_INDEX;
    }
    out[k * n + i] = 1;
  }
  return CR_OK;
}
static const cr_op one_hot_op = {
  .name = "one_hot", .check = one_hot_check, .arity = 1, .kind = CR_PIECEWISE_CONSTANT, .attr_size = sizeof(dims_attr),
  .fields = dims_fields, .infer = one_hot_infer,
  .eval = one_hot_eval, .show = one_hot_show};

/* One more than the largest integer: the number of classes or segments where none is given. */
static int64_t one_past_largest(cr_var v) {
  if (!cr_knows(v)) return 0;
  cr_array a = cr_view(v);
  int64_t most = -1;
  for (int64_t k = 0; k < a.count; k++) {
    int64_t i = cr_array_get_int(&a, k);
    if (i > most) most = i;
  }
  return most + 1;
}

cr_var cr_one_hot(cr_var index, int64_t num_classes) {
  if (cr_is_poison(index)) return index;
  if (num_classes < -1) return cr_fail(index.tape, CR_BAD_ARGUMENT, "one_hot: %lld classes", (long long)num_classes);
  dims_attr d = {.rank = 1, .dim = {num_classes < 0 ? one_past_largest(index) : num_classes}};
  return cr_record(index.tape, &one_hot_op, 1, &index, &d);
}

/* Compositions */

cr_var cr_embedding(cr_var index, cr_var weight, int64_t padding) {
  cr_var rows = cr_index_select(weight, 0, index);
  if (padding == CR_NOT_GIVEN || cr_is_poison(rows)) return rows;
  int64_t n = cr_dim(weight, 0);
  if (padding < -n || padding >= n)
    return cr_fail(weight.tape, CR_BAD_INDEX, "embedding: padding_idx %lld is out of range for %lld rows",
                   (long long)padding, (long long)n);
  if (padding < 0) padding += n;
  cr_tape *t = weight.tape;
  cr_var pads = cr_logical_or(cr_eq(index, cr_const(t, (double)padding)), cr_eq(index, cr_const(t, (double)(padding - n))));
  for (int k = cr_rank(index); k < cr_rank(rows); k++) pads = cr_unsqueeze(pads, k);
  return cr_where(pads, cr_stop_gradient(rows), rows);
}

/* The indices as one vector of positions in the leading axes of x taken together, and the shape of the indices. */
static cr_var flat_index(cr_var x, int n, const cr_var *index, const char *name, cr_array *shape) {
  cr_array a = cr_view(x);
  if (cr_is_poison(x)) return x;
  if (n < 1 || n > a.rank)
    return cr_fail(x.tape, CR_BAD_ARGUMENT, "%s: %d index tensors for a tensor of rank %d", name, n, a.rank);
  dims_attr d = {.rank = n};
  memcpy(d.dim, a.dim, (size_t)n * sizeof *d.dim);
  cr_var flat = cr_record(x.tape, &ravel_op, n, index, &d);
  *shape = cr_view(flat);
  return flat;
}

/* x with its first n axes made one. */
static cr_var merged(cr_var x, int n) {
  cr_array a = cr_view(x);
  int64_t dims[CR_MAX_RANK] = {1};
  for (int i = 0; i < n; i++) dims[0] *= a.dim[i];
  for (int i = n; i < a.rank; i++) dims[1 + i - n] = a.dim[i];
  return cr_reshape(x, 1 + a.rank - n, dims);
}

/* A mask stands for the positions where it is true; like every shape, their number is fixed when recorded. */
static int positions_of_mask(cr_var mask, int room, cr_var *out) {
  cr_array a = cr_view(mask);
  int64_t count = 0, next = 0;
  if (a.rank > room) return room + 1;
  if (!cr_knows(mask)) return -1;
  for (int64_t k = 0; k < a.count; k++) count += cr_array_get_int(&a, k) != 0;
  for (int i = 0; i < a.rank; i++)
    if (cr_is_poison(out[i] = cr_constant_of(mask.tape, CR_INT64, 1, &count, NULL))) return -1;
  for (int i = 0; i < a.rank; i++) cr_filled_from(out[i], mask);
  for (int64_t k = 0; k < a.count; k++) {
    int64_t rest = k;
    if (!cr_array_get_int(&a, k)) continue;
    for (int i = a.rank - 1; i >= 0; i--) {
      ((int64_t *)cr_view(out[i]).data)[next] = rest % a.dim[i];
      rest /= a.dim[i];
    }
    next++;
  }
  return a.rank;
}

/* The index tensors with masks replaced; how many, or -1. */
static int without_masks(cr_var x, int n, const cr_var *index, cr_var *out) {
  int m = 0;
  for (int k = 0; k < n; k++) {
    if (cr_is_poison(index[k])) return -1;
    int more = 1;
    if (m >= CR_MAX_RANK || cr_dtype_of(index[k]) != CR_BOOL) out[m < CR_MAX_RANK ? m : 0] = index[k];
    else {
      cr_array mask = cr_view(index[k]), a = cr_view(x);
      for (int i = 0; i < mask.rank; i++)
        if (m + i >= a.rank || mask.dim[i] != a.dim[m + i]) {
          cr_fail(x.tape, CR_BAD_SHAPE, "index: the mask does not have the size of axis %d", m + i);
          return -1;
        }
      more = positions_of_mask(index[k], CR_MAX_RANK - m, out + m);
    }
    if (more < 0 || (m += more) > CR_MAX_RANK) {
      cr_fail(x.tape, CR_BAD_ARGUMENT, "index: more than %d index tensors", CR_MAX_RANK);
      return -1;
    }
  }
  return m;
}

cr_var cr_index(cr_var x, int n, const cr_var *index) {
  cr_var plain[CR_MAX_RANK];
  cr_array shape;
  n = cr_is_poison(x) ? -1 : without_masks(x, n, index, plain);
  if (n < 0) return cr_poison(x.tape);
  if (n == 1) return cr_index_select(x, 0, plain[0]);
  cr_var flat = flat_index(x, n, plain, "index", &shape);
  return cr_is_poison(flat) ? flat : cr_index_select(merged(x, n), 0, flat);
}

cr_var cr_index_put(cr_var x, int n, const cr_var *index, cr_var values, int accumulate) {
  cr_var plain[CR_MAX_RANK];
  cr_array a = cr_view(x), shape;
  cr_var value[2] = {x, values};
  n = cr_is_poison(x) || cr_is_poison(values) ? -1 : without_masks(x, n, index, plain);
  if (n < 0 || cr__one_dtype(x.tape, 2, value, 'b') != CR_OK) return cr_poison(x.tape);
  x = value[0];
  cr_var flat = flat_index(x, n, plain, "index_put", &shape);
  if (cr_is_poison(flat)) return flat;
  int64_t dims[2 * CR_MAX_RANK], tall[CR_MAX_RANK] = {shape.count};
  int rank = shape.rank + a.rank - n, rest = a.rank - n;
  if (rank > CR_MAX_RANK)
    return cr_fail(x.tape, CR_BAD_SHAPE, "index_put: values would have %d axes, at most %d", rank, CR_MAX_RANK);
  memcpy(dims, shape.dim, (size_t)shape.rank * sizeof *dims);
  memcpy(dims + shape.rank, a.dim + n, (size_t)rest * sizeof *dims);
  memcpy(tall + 1, a.dim + n, (size_t)rest * sizeof *tall);
  cr_var source = cr_reshape(cr_broadcast_to(value[1], rank, dims), 1 + rest, tall), to = merged(x, n), y;
  flat = cr_reshape(flat, 1, &shape.count);
  if (accumulate) {
    y = cr_index_add(to, 0, flat, source);
  } else {
    for (int i = 0; i < rest; i++) flat = cr_unsqueeze(flat, -1);
    y = cr_scatter(to, 0, cr_broadcast_to(flat, 1 + rest, tall), source);
  }
  return cr_reshape(y, a.rank, a.dim);
}

cr_var cr_take_along(cr_var x, int axis, cr_var index) {
  cr_array a = cr_view(x), i = cr_view(index), both;
  if (cr_is_poison(x) || cr_is_poison(index)) return cr_poison(x.tape);
  int k = cr__axis_of(x, "take_along_dim", axis);
  if (k < 0) return cr_poison(x.tape);
  if (a.rank != i.rank)
    return cr_fail(x.tape, CR_BAD_SHAPE, "take_along_dim: indices of rank %d for a tensor of rank %d", i.rank, a.rank);
  if (!a.rank) return cr_gather(x, 0, index);
  int64_t n = a.dim[k], m = i.dim[k];
  a.dim[k] = i.dim[k] = 1;
  if (!cr_broadcast(&a, &i, &both))
    return cr_fail(x.tape, CR_BAD_SHAPE, "take_along_dim: input and indices do not broadcast");
  both.dim[k] = n;
  x = cr_broadcast_to(x, both.rank, both.dim);
  both.dim[k] = m;
  return cr_gather(x, k, cr_broadcast_to(index, both.rank, both.dim));
}

/* Rows of data whose segment is not in 0 ... n - 1 go to one row too many, which is cut off. */
cr_var cr_segment_sum(cr_var data, cr_var segment, int64_t n) {
  cr_array a = cr_view(data), s = cr_view(segment);
  if (cr_is_poison(data) || cr_is_poison(segment)) return cr_poison(data.tape);
  if (a.rank < 1 || s.rank != 1 || s.count != a.dim[0] || s.dtype >= CR_FLOAT32)
    return cr_fail(data.tape, CR_BAD_SHAPE, "segment_sum: one integer for each of the rows of the data is needed");
  if (n == CR_NOT_GIVEN) n = one_past_largest(segment);
  if (n < 0) return cr_fail(data.tape, CR_BAD_ARGUMENT, "segment_sum: %lld segments", (long long)n);
  cr_tape *t = data.tape;
  cr_var last = cr_const(t, (double)n), zero = cr_const(t, 0);
  cr_var inside = cr_logical_and(cr_ge(segment, zero), cr_lt(segment, last));
  a.dim[0] = n + 1;
  cr_var sums = cr_index_add(cr_zeros(t, (cr_dtype)a.dtype, a.rank, a.dim), 0, cr_where(inside, segment, last), data);
  return cr_slice_axis(sums, 0, 0, n, 1);
}

cr_var cr_unfold(cr_var x, int axis, int64_t size, int64_t step) {
  int k = cr_is_poison(x) ? -1 : cr__axis_of(x, "unfold", axis), rank = cr_rank(x), order[CR_MAX_RANK + 1];
  if (k < 0) return cr_poison(x.tape);
  int64_t n = rank ? cr_dim(x, k) : 1;
  if (size < 0 || size > n || step < 1)
    return cr_fail(x.tape, CR_BAD_ARGUMENT, "unfold: windows of %lld by steps of %lld on axis %d of size %lld",
                   (long long)size, (long long)step, k, (long long)n);
  int64_t count = (n - size) / step + 1;
  cr_var index = cr_constant_of(x.tape, CR_INT64, 2, (int64_t[]){count, size}, NULL);
  if (cr_is_poison(index)) return index;
  int64_t *at = cr_view(index).data;
  for (int64_t i = 0; i < count * size; i++) at[i] = i / size * step + i % size;
  if (!rank) return cr_reshape(x, 1, &size);
  for (int i = 0; i <= rank; i++) order[i] = i <= k ? i : i < rank ? i + 1 : k + 1;
  return cr_permute(cr_index_select(x, k, index), rank + 1, order);
}

/* Names in the expression language */

static void call_index_select(cr_call *c) {
  cr_return(c, cr_index_select(cr_arg_var(c, 0), (int)cr_arg_int(c, 1), cr_arg_index(c, 2)));
}
static void call_gather(cr_call *c) { cr_return(c, cr_gather(cr_arg_var(c, 0), (int)cr_arg_int(c, 1), cr_arg_index(c, 2))); }
static void call_take_along_dim(cr_call *c) {
  cr_var x = cr_arg_var(c, 0), index = cr_arg_index(c, 1);
  if (cr_arg_given(c, 2)) cr_return(c, cr_take_along(x, (int)cr_arg_int(c, 2), index));
  else cr_return(c, cr_gather(cr_reshape(x, 1, (int64_t[]){-1}), 0, cr_reshape(index, 1, (int64_t[]){-1})));
}
static void call_index_add(cr_call *c) {
  cr_var x = cr_arg_var(c, 0), index = cr_arg_index(c, 2), source = cr_arg_var(c, 3), alpha = cr_arg_var(c, 4);
  if (!cr_is_const(alpha) || cr_count(alpha) != 1 || cr_value(alpha) != 1) source = cr_mul(source, alpha);
  cr_return(c, cr_index_add(x, (int)cr_arg_int(c, 1), index, source));
}
static void call_scatter_add(cr_call *c) {
  cr_var x = cr_arg_var(c, 0), index = cr_arg_index(c, 2);
  cr_return(c, cr_scatter_add(x, (int)cr_arg_int(c, 1), index, cr_arg_var(c, 3)));
}
static void call_scatter(cr_call *c) {
  cr_var x = cr_arg_var(c, 0), index = cr_arg_index(c, 2);
  int source = cr_arg_given(c, 3) ? 3 : 4; /* a number may come as value= */
  cr_return(c, cr_scatter(x, (int)cr_arg_int(c, 1), index, cr_arg_var(c, source)));
}
static void call_one_hot(cr_call *c) { cr_return(c, cr_one_hot(cr_arg_index(c, 0), cr_arg_int(c, 1))); }
static void call_embedding(cr_call *c) {
  cr_return(c, cr_embedding(cr_arg_index(c, 0), cr_arg_var(c, 1), cr_arg_given(c, 2) ? cr_arg_int(c, 2) : CR_NOT_GIVEN));
}
static void call_index(cr_call *c) {
  cr_var index[CR_MAX_RANK];
  int n = cr_arg_indices(c, 1, CR_MAX_RANK, index);
  if (n >= 0) cr_return(c, cr_index(cr_arg_var(c, 0), n, index));
}
static void call_index_put(cr_call *c) {
  cr_var index[CR_MAX_RANK];
  int n = cr_arg_indices(c, 1, CR_MAX_RANK, index);
  if (n >= 0) cr_return(c, cr_index_put(cr_arg_var(c, 0), n, index, cr_arg_var(c, 2), cr_arg_bool(c, 3)));
}
static void call_segment_sum(cr_call *c) {
  cr_return(c, cr_segment_sum(cr_arg_var(c, 0), cr_arg_index(c, 1), cr_arg_given(c, 2) ? cr_arg_int(c, 2) : CR_NOT_GIVEN));
}
static void call_unfold(cr_call *c) {
  cr_return(c, cr_unfold(cr_arg_var(c, 0), (int)cr_arg_int(c, 1), cr_arg_int(c, 2), cr_arg_int(c, 3)));
}

#define TAKES "the cotangent added at the positions it came from"
#define GIVES "the cotangent; to the source, the cotangent at the positions"

static const cr_op *const recorded[] = {&ravel_op, &one_hot_op, NULL};

const cr_function cr__index_functions[] = {
  {.ops = recorded, .signature = "index_select(input, dim, index)", .call = call_index_select, .family = "indexing",
   .doc = "Slices along an axis at the positions of an integer tensor, whose axes replace it.", .derivative = TAKES,
   .samples = "index_select(x:(3,2), 0, i:(4)<3); index_select(x:(2,3), -1, i:(2,2)<3)"},
  {.signature = "gather(input, dim, index)", .call = call_gather, .family = "indexing",
   .doc = "Element by element: along axis dim the position is read from the index, on other axes it is the index's own.",
   .derivative = TAKES, .samples = "gather(x:(2,3), 1, i:(2,4)<3); gather(x:(3,2), 0, i:(2,1)<3)"},
  {.ops = cr__gather_ops, .signature = "take_along_dim(input, indices, dim=None)", .call = call_take_along_dim,
   .family = "indexing",
   .doc = "gather after input and indices are broadcast on the other axes; without dim over the flattened input.",
   .derivative = TAKES,
   .samples = "take_along_dim(x:(2,3), i:(2,1)<3, dim=1); take_along_dim(x:(2,2), i:(3)<4)"},
  {.signature = "index_add(input, dim, index, source, *, alpha=1)", .call = call_index_add, .family = "indexing",
   .doc = "Slices of source, times alpha, added along an axis at the positions of the index; repeated ones add up.",
   .derivative = GIVES,
   .samples = "index_add(x:(3,2), 0, i:(4)<3, s:(4,2)); index_add(x:(2), 0, i:(3)<2, s:(3), alpha=-2)"},
  {.signature = "scatter_add(input, dim, index, src)", .call = call_scatter_add, .family = "indexing",
   .doc = "Elements of src added at the positions that gather would read; repeated ones add up.", .derivative = GIVES,
   .samples = "scatter_add(x:(2,3), 1, i:(2,4)<3, s:(2,4))"},
  {.signature = "scatter(input, dim, index, src=None, value=None)", .call = call_scatter, .family = "indexing",
   .doc = "Elements of src, a tensor or a number, written at the positions that gather would read; the last of repeated "
          "ones stays.",
   .derivative = "the cotangent with zeros at the positions; to src, the cotangent there, for the last writer only",
   .samples = "scatter(x:(2,3), 1, i:(2,4)<3, s:(2,4)); scatter(x:(3), 0, i:(2)<3, 1.5)"},
  {.signature = "one_hot(tensor, num_classes=-1)", .call = call_one_hot, .family = "indexing",
   .doc = "int64 rows of zeros with a 1 at the position of each integer; -1 classes: one more than the largest.",
   .samples = "x:(2,3) * one_hot(i:(2)<3, 3)"},
  {.signature = "embedding(input, weight, padding_idx=None)", .call = call_embedding, .family = "indexing",
   .doc = "Rows of the weight; the row padding_idx gets no gradient.", .derivative = TAKES,
   .samples = "embedding(i:(2,2)<3, w:(3,2)); w:(3,2) + embedding(i:(3)<3, w, padding_idx=-1)"},
  {.signature = "index(input, indices)", .call = call_index, .family = "indexing",
   .doc = "Elements named by integer tensors or masks, broadcast together, one for each leading axis.", .derivative = TAKES,
   .samples = "index(x:(3,2), [i:(4)<3]); index(x:(2,3,2), [i:(2,1)<2, j:(3)<3])"},
  {.signature = "index_put(input, indices, values, accumulate=False)", .call = call_index_put, .family = "indexing",
   .doc = "A copy of input with values written, or added, at the elements that index would read; the last of repeated ones "
          "stays.",
   .derivative = "as of scatter, or of index_add",
   .samples = "index_put(x:(3,2), [i:(4)<3], v:(4,2)); index_put(x:(2,3), [i:(3)<2, j:(3)<3], v:(3), accumulate=True)"},
  {.signature = "segment_sum(data, segment_ids, num_segments=None)", .call = call_segment_sum, .family = "indexing",
   .doc = "Sums of the rows with equal segment; rows of segments out of range are left out.",
   .derivative = "to each row the cotangent of its segment",
   .samples = "segment_sum(x:(4,2), i:(4)<3, 3)"},
  {.signature = "unfold(input, dimension, size, step)", .call = call_unfold, .family = "shape",
   .doc = "Windows along an axis; the window becomes the last axis.",
   .derivative = "the cotangents of overlapping windows added up",
   .samples = "unfold(x:(5), 0, 3, 1); unfold(x:(4,2), 0, 2, 2)"},
  {.signature = NULL}};
