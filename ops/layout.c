/* Names for common changes of shape, all built of reshape, permute and broadcast_to. */
#include <string.h>

#include "ops.h"

cr_var cr_transpose(cr_var x, int axis1, int axis2) {
  int rank = cr_rank(x), axes[CR_MAX_RANK];
  int i = cr_is_poison(x) ? -1 : cr__axis_of(x, "transpose", axis1), j = i < 0 ? -1 : cr__axis_of(x, "transpose", axis2);
  if (j < 0) return cr_poison(x.tape);
  for (int k = 0; k < rank; k++) axes[k] = k == i ? j : k == j ? i : k;
  return i == j ? x : cr_permute(x, rank, axes);
}

cr_var cr_matrix_transpose(cr_var x) { return cr_is_poison(x) || cr_rank(x) < 2 ? x : cr_transpose(x, -1, -2); }

cr_var cr_unsqueeze(cr_var x, int axis) {
  cr_array a = cr_view(x);
  if (cr_is_poison(x)) return x;
  int k = cr_axis(axis, a.rank + 1);
  if (k < 0) return cr_fail(x.tape, CR_BAD_ARGUMENT, "unsqueeze: new axis %d of a tensor of rank %d", axis, a.rank + 1);
  int64_t dims[CR_MAX_RANK + 1];
  for (int i = 0; i <= a.rank; i++) dims[i] = i == k ? 1 : a.dim[i - (i > k)];
  return cr_reshape(x, a.rank + 1, dims);
}

cr_var cr_squeeze(cr_var x, int n, const int *axes) {
  cr_array a = cr_view(x);
  if (cr_is_poison(x)) return x;
  unsigned drop = n < 0 ? ~0u : 0;
  for (int i = 0; i < n; i++) {
    int k = cr__axis_of(x, "squeeze", axes[i]);
    if (k < 0) return cr_poison(x.tape);
    drop |= 1u << k;
  }
  int64_t dims[CR_MAX_RANK];
  int rank = 0;
  for (int i = 0; i < a.rank; i++)
    if (a.dim[i] != 1 || !(drop >> i & 1)) dims[rank++] = a.dim[i];
  return rank == a.rank ? x : cr_reshape(x, rank, dims);
}

cr_var cr_flatten(cr_var x, int first, int last) {
  cr_array a = cr_view(x);
  int i = cr_is_poison(x) ? -1 : cr__axis_of(x, "flatten", first), j = i < 0 ? -1 : cr__axis_of(x, "flatten", last);
  if (j < 0) return cr_poison(x.tape);
  if (i > j) return cr_fail(x.tape, CR_BAD_ARGUMENT, "flatten: axis %d comes after axis %d", i, j);
  if (!a.rank) return cr_reshape(x, 1, (int64_t[]){1});
  int64_t dims[CR_MAX_RANK];
  int rank = 0;
  for (int k = 0; k < a.rank; k++) {
    if (k > i && k <= j) dims[rank - 1] *= a.dim[k];
    else dims[rank++] = a.dim[k];
  }
  return cr_reshape(x, rank, dims);
}

cr_var cr_expand(cr_var x, int rank, const int64_t *sizes) {
  cr_array a = cr_view(x);
  int64_t dims[CR_MAX_RANK];
  if (cr_is_poison(x)) return x;
  if (rank < a.rank || rank > CR_MAX_RANK)
    return cr_fail(x.tape, CR_BAD_SHAPE, "expand: %d sizes for a tensor of rank %d", rank, a.rank);
  for (int i = 0; i < rank; i++) {
    dims[i] = sizes[i];
    if (sizes[i] == -1 && i >= rank - a.rank) dims[i] = a.dim[i - (rank - a.rank)];
    else if (sizes[i] < 0) return cr_fail(x.tape, CR_BAD_SHAPE, "expand: size %lld of new axis %d", (long long)sizes[i], i);
  }
  return cr_broadcast_to(x, rank, dims);
}

/* The elements seen as outer rows of inner elements, each row r times, in the shape dims. */
static cr_var repeat_rows(cr_var x, int64_t outer, int64_t inner, int64_t r, int rank, const int64_t *dims) {
  x = cr_reshape(x, 3, (int64_t[]){outer, 1, inner});
  return cr_reshape(cr_broadcast_to(x, 3, (int64_t[]){outer, r, inner}), rank, dims);
}

cr_var cr_tile(cr_var x, int n, const int64_t *repeats) {
  if (cr_is_poison(x)) return x;
  if (n > CR_MAX_RANK) return cr_fail(x.tape, CR_BAD_SHAPE, "tile: %d axes, at most %d", n, CR_MAX_RANK);
  for (int i = 0; i < n; i++)
    if (repeats[i] < 0) return cr_fail(x.tape, CR_BAD_ARGUMENT, "tile: %lld repeats of axis %d", (long long)repeats[i], i);
  while (cr_rank(x) < n && x.id) x = cr_unsqueeze(x, 0);
  cr_array a = cr_view(x);
  for (int i = 0; i < n && x.id; i++) {
    int axis = a.rank - n + i;
    int64_t outer = 1, inner = 1;
    for (int k = 0; k < a.rank; k++) {
      if (k < axis) outer *= a.dim[k];
      else inner *= a.dim[k];
    }
    a.dim[axis] *= repeats[i];
    if (repeats[i] != 1) x = repeat_rows(x, outer, inner, repeats[i], a.rank, a.dim);
  }
  return x;
}

cr_var cr_repeat_interleave(cr_var x, int64_t repeats, int axis) {
  cr_array a = cr_view(x);
  int k = cr_is_poison(x) ? -1 : cr__axis_of(x, "repeat_interleave", axis);
  if (k < 0) return cr_poison(x.tape);
  if (repeats < 0) return cr_fail(x.tape, CR_BAD_ARGUMENT, "repeat_interleave: %lld repeats", (long long)repeats);
  if (!a.rank) return cr_repeat_interleave(cr_reshape(x, 1, (int64_t[]){1}), repeats, 0);
  int64_t outer = 1, inner = 1;
  for (int i = 0; i < a.rank; i++) {
    if (i <= k) outer *= a.dim[i];
    else inner *= a.dim[i];
  }
  a.dim[k] *= repeats;
  return repeats == 1 ? x : repeat_rows(x, outer, inner, repeats, a.rank, a.dim);
}

/* Row k of the axis repeated counts[k] times; the counts are read now, as they decide the shape. */
static cr_var repeat_each(cr_var x, cr_var counts, int axis) {
  int k = cr_is_poison(x) || cr_is_poison(counts) ? -1 : cr__axis_of(x, "repeat_interleave", axis);
  if (k < 0 || !cr_knows(counts)) return cr_poison(x.tape);
  cr_array n = cr_view(counts);
  int64_t size = cr_rank(x) ? cr_dim(x, k) : 1, total = 0;
  if (n.rank == 0 || (n.rank == 1 && n.count == 1)) return cr_repeat_interleave(x, cr_array_get_int(&n, 0), k);
  if (n.rank != 1 || n.count != size)
    return cr_fail(x.tape, CR_BAD_SHAPE, "repeat_interleave: %lld counts for axis %d of size %lld", (long long)n.count, k,
                   (long long)size);
  for (int64_t i = 0; i < size; i++) {
    int64_t r = cr_array_get_int(&n, i);
    if (r < 0 || r > (int64_t)1 << 40)
      return cr_fail(x.tape, CR_BAD_ARGUMENT, "repeat_interleave: %lld repeats", (long long)r);
    total += r;
  }
  cr_var index = cr_constant_of(x.tape, CR_INT64, 1, &total, NULL);
  if (cr_is_poison(index)) return index;
  int64_t *at = cr_view(index).data;
  n = cr_view(counts);
  for (int64_t i = 0; i < size; i++)
    for (int64_t r = cr_array_get_int(&n, i); r > 0; r--) *at++ = i;
  return cr_index_select(x, k, index);
}

int cr_meshgrid(int n, const cr_var *x, int xy, cr_var *out) {
  int64_t dims[CR_MAX_RANK], one[CR_MAX_RANK];
  if (n < 1 || n > CR_MAX_RANK) return 0;
  for (int k = 0; k < n; k++) {
    if (cr_is_poison(x[k])) return 0;
    int axis = xy && n > 1 && k < 2 ? 1 - k : k;
    dims[axis] = cr_count(x[k]);
    if (cr_rank(x[k]) < 2) continue;
    cr_fail(x[0].tape, CR_BAD_SHAPE, "meshgrid: operand %d has rank %d, at most 1", k, cr_rank(x[k]));
    return 0;
  }
  for (int k = 0; k < n; k++) {
    int axis = xy && n > 1 && k < 2 ? 1 - k : k;
    for (int i = 0; i < n; i++) one[i] = i == axis ? dims[i] : 1;
    out[k] = cr_broadcast_to(cr_reshape(x[k], n, one), n, dims);
  }
  return 1;
}

cr_var cr_pixel_shuffle(cr_var x, int64_t factor) {
  cr_array a = cr_view(x);
  int k = a.rank - 3, order[CR_MAX_RANK];
  int64_t r = factor, dims[CR_MAX_RANK];
  if (cr_is_poison(x)) return x;
  if (k < 0 || k + 5 > CR_MAX_RANK || r < 1 || r > 1 << 20 || a.dim[k] % (r * r))
    return cr_fail(x.tape, CR_BAD_SHAPE,
                   "pixel_shuffle: rank %d, factor %lld; the third axis from the end must be divisible by its square",
                   a.rank, (long long)factor);
  int64_t channels = a.dim[k] / (r * r), height = a.dim[k + 1], width = a.dim[k + 2];
  memcpy(dims, a.dim, sizeof dims);
  memcpy(dims + k, (int64_t[]){channels, r, r, height, width}, 5 * sizeof *dims);
  for (int i = 0; i < k; i++) order[i] = i;
  memcpy(order + k, (int[]){k, k + 3, k + 1, k + 4, k + 2}, 5 * sizeof *order);
  x = cr_permute(cr_reshape(x, k + 5, dims), k + 5, order);
  memcpy(dims + k, (int64_t[]){channels, height * r, width * r}, 3 * sizeof *dims);
  return cr_reshape(x, k + 3, dims);
}

/* Names in the expression language */

int cr__arg_axes(cr_call *c, int k, int *axes) {
  int64_t dims[CR_MAX_RANK];
  int n = cr_arg_ints(c, k, CR_MAX_RANK, dims);
  for (int i = 0; i < n; i++) axes[i] = dims[i] < -CR_MAX_RANK || dims[i] > CR_MAX_RANK ? CR_MAX_RANK : (int)dims[i];
  return n;
}

static void call_transpose(cr_call *c) {
  cr_return(c, cr_transpose(cr_arg_var(c, 0), (int)cr_arg_int(c, 1), (int)cr_arg_int(c, 2)));
}
static void call_mT(cr_call *c) { cr_return(c, cr_matrix_transpose(cr_arg_var(c, 0))); }
static void call_unsqueeze(cr_call *c) { cr_return(c, cr_unsqueeze(cr_arg_var(c, 0), (int)cr_arg_int(c, 1))); }
static void call_squeeze(cr_call *c) {
  int axes[CR_MAX_RANK], n = cr_arg_given(c, 1) ? cr__arg_axes(c, 1, axes) : -1;
  if (n >= 0 || !cr_arg_given(c, 1)) cr_return(c, cr_squeeze(cr_arg_var(c, 0), n, axes));
}
static void call_flatten(cr_call *c) {
  cr_return(c, cr_flatten(cr_arg_var(c, 0), (int)cr_arg_int(c, 1), (int)cr_arg_int(c, 2)));
}
static void call_expand(cr_call *c) {
  int64_t dims[CR_MAX_RANK];
  int rank = cr_arg_ints(c, 1, CR_MAX_RANK, dims);
  if (rank >= 0) cr_return(c, cr_expand(cr_arg_var(c, 0), rank, dims));
}
static void call_tile(cr_call *c) {
  int64_t repeats[CR_MAX_RANK];
  int n = cr_arg_ints(c, 1, CR_MAX_RANK, repeats);
  if (n >= 0) cr_return(c, cr_tile(cr_arg_var(c, 0), n, repeats));
}
static void call_repeat_interleave(cr_call *c) {
  cr_var x = cr_arg_var(c, 0);
  int axis = 0;
  if (cr_arg_given(c, 2)) axis = (int)cr_arg_int(c, 2);
  else x = cr_reshape(x, 1, (int64_t[]){-1});
  cr_return(c, repeat_each(x, cr_arg_index(c, 1), axis));
}
static void call_meshgrid(cr_call *c) {
  cr_var x[CR_MAX_RANK], grid[CR_MAX_RANK];
  int n = cr_arg_vars(c, 0, CR_MAX_RANK, x), xy = !strcmp(cr_arg_text(c, 1), "xy");
  if (!xy && strcmp(cr_arg_text(c, 1), "ij"))
    cr_fail(cr_call_tape(c), CR_BAD_ARGUMENT, "meshgrid: unknown indexing '%s': ij or xy", cr_arg_text(c, 1));
  else if (n > 0 && cr_meshgrid(n, x, xy, grid))
    for (int k = 0; k < n; k++) cr_return(c, grid[k]);
}
static void call_pixel_shuffle(cr_call *c) { cr_return(c, cr_pixel_shuffle(cr_arg_var(c, 0), cr_arg_int(c, 1))); }

const cr_function cr__layout_functions[] = {
  {.signature = "transpose(input, dim0, dim1) | swapaxes | swapdims", .call = call_transpose, .family = "shape",
   .doc = "Two axes exchanged, a view.", .derivative = "the cotangent with the axes put back",
   .samples = "transpose(x:(2,3,2), 0, -1)"},
  {.signature = "mT(input)", .call = call_mT, .family = "shape",
   .doc = "Matrices transposed: the last two axes exchanged, a view.",
   .derivative = "the transposed cotangent", .samples = "mT(x:(2,3))"},
  {.signature = "squeeze(input, dim=None)", .call = call_squeeze, .family = "shape",
   .doc = "Without its axes of size 1, or those of them that are listed.",
   .samples = "squeeze(x:(1,3,1)); squeeze(x:(1,3,1), dim=-1)"},
  {.signature = "unsqueeze(input, dim)", .call = call_unsqueeze, .family = "shape", .doc = "With a new axis of size 1.",
   .samples = "unsqueeze(x:(2,3), 1)"},
  {.signature = "flatten(input, start_dim=0, end_dim=-1)", .call = call_flatten, .family = "shape",
   .doc = "Neighbouring axes made one.",
   .samples = "flatten(x:(2,1,3)); flatten(x:(2,3,2), 1)"},
  {.signature = "expand(input, sizes)", .call = call_expand, .family = "shape",
   .doc = "Repeats along new axes and axes of size 1, a view; -1 keeps a size.",
   .derivative = "the cotangent summed over the expanded axes", .samples = "expand(x:(3,1), [2, -1, 4])"},
  {.signature = "tile(input, dims)", .call = call_tile, .family = "shape", .doc = "The whole repeated along axes.",
   .derivative = "the cotangents of the copies added up", .samples = "tile(x:(2,3), [2, 2]); tile(x:(2), [2, 1, 3])"},
  {.signature = "repeat_interleave(input, repeats, dim=None)", .call = call_repeat_interleave, .family = "shape",
   .doc = "Every element repeated in place, by one number or a list of numbers; without dim over the flattened input.",
   .derivative = "the cotangents of the copies added up",
   .samples = "repeat_interleave(x:(2,2), 2); repeat_interleave(x:(2,2), [1, 3], dim=1)"},
  {.signature = "meshgrid(tensors, *, indexing='ij')", .call = call_meshgrid, .family = "shape",
   .doc = "The coordinates of a grid over vectors, one tensor each; indexing 'xy' exchanges the first two axes.",
   .derivative = "the cotangents summed over the other axes",
   .samples = "meshgrid(x:(2), y:(3)); meshgrid(x:(2), y:(3), indexing='xy')"},
  {.signature = "pixel_shuffle(input, upscale_factor)", .call = call_pixel_shuffle, .family = "shape",
   .doc = "Channels rearranged into finer pixels: (.., c r^2, h, w) to (.., c, h r, w r).",
   .samples = "pixel_shuffle(x:(1,4,1,2), 2)"},
  {.signature = NULL}};
