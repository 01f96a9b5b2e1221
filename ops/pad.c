/* Padding: the transpose of slicing, and what is built of it. */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "emit.h"
#include "patterns.h"
#include "shapes.h"

/* pad: lo and hi positions around each axis and interior ones between neighbours get the value, a second operand of one
 * element; negative lo and hi crop. */

static const cr_field pad_fields[] = {
  CR_LIST(pad_attr, rank, lo, "lo"),
  CR_LIST(pad_attr, rank, hi, "hi"),
  CR_LIST(pad_attr, rank, interior, "interior"),
  {.name = NULL}};

static void pad_show(char *text, size_t size, const void *attr) {
  const pad_attr *p = attr;
  size_t n = 0;
  for (int i = 0; i < p->rank && n < size; i++)
    n += (size_t)snprintf(text + n, size - n, p->interior[i] ? "%s(%lld, %lld, %lld)" : "%s(%lld, %lld)", i ? ", " : "",
                          (long long)p->lo[i], (long long)p->hi[i], (long long)p->interior[i]);
}

static cr_status pad_prepare(cr_tape *t, int n, cr_var *in) { return cr__one_dtype(t, n, in, 'b'); }

static int pad_check(const cr_infer *c) {
  const pad_attr *p = c->attr;
  const int64_t most = (int64_t)1 << 20;
  if (p->rank != c->in[0].rank || c->in[1].dtype != c->in[0].dtype) return 0;
  for (int i = 0; i < p->rank; i++)
    if (p->lo[i] < -most || p->lo[i] > most || p->hi[i] < -most || p->hi[i] > most || p->interior[i] < 0 ||
        p->interior[i] > most)
      return 0;
  return 1;
}

static cr_status pad_infer(cr_infer *c) {
  const pad_attr *p = c->attr;
  const cr_array *x = &c->in[0];
  int64_t dims[CR_MAX_RANK];
  for (int i = 0; i < p->rank; i++) {
    dims[i] = x->dim[i] + p->lo[i] + p->hi[i] + (x->dim[i] ? (x->dim[i] - 1) * p->interior[i] : 0);
    if (dims[i] < 0) {
      cr_fail(c->tape, CR_BAD_SHAPE, "padding axis %d of size %lld by (%lld, %lld) leaves a negative size", i,
              (long long)x->dim[i], (long long)p->lo[i], (long long)p->hi[i]);
      return CR_BAD_SHAPE;
    }
  }
  if (c->in[1].count != 1) {
    cr_fail(c->tape, CR_BAD_SHAPE, "the value must be one number");
    return CR_BAD_SHAPE;
  }
  cr_array_init(c->out, (cr_dtype)x->dtype, p->rank, dims);
  return CR_OK;
}

/* Cuts both views to the elements of from that land in to. */
static void meet(const pad_attr *p, cr_array *from, cr_array *to) {
  size_t size = cr_dtype_size((cr_dtype)from->dtype);
  from->count = 1;
  for (int i = 0; i < p->rank; i++) {
    int64_t step = p->interior[i] + 1, room = to->dim[i] - 1 - p->lo[i];
    int64_t first = p->lo[i] < 0 ? (-p->lo[i] + step - 1) / step : 0, last = room < 0 ? -1 : room / step;
    if (last > from->dim[i] - 1) last = from->dim[i] - 1;
    int64_t n = last >= first ? last - first + 1 : 0;
    from->data = (char *)from->data + (n ? first * from->stride[i] : 0) * (int64_t)size;
    to->data = (char *)to->data + (n ? p->lo[i] + first * step : 0) * to->stride[i] * (int64_t)size;
    to->stride[i] *= step;
    from->dim[i] = to->dim[i] = n;
    from->count *= n;
  }
  to->count = from->count;
  from->contiguous = to->contiguous = 0;
}

static cr_status pad_eval(cr_eval *c) {
  cr_array x = c->in[0], out = *c->out, value = *c->out;
  value.data = c->in[1].data;
  memset(value.stride, 0, sizeof value.stride);
  value.contiguous = 0;
  cr_array_copy(&out, &value);
  meet(c->attr, &x, &out);
  if (x.count) cr_array_copy(&out, &x);
  return CR_OK;
}

static void pad_emit(cr_emit_context *c) {
  cr_emit_view from = c->in[0], to = c->out, value = c->in[1];
  size_t size = cr_dtype_size((cr_dtype)to.array.dtype);
  char here[1];
  memset(value.array.stride, 0, sizeof value.array.stride);
  value.array.rank = to.array.rank;
  cr_emit_pointer(c, &to, 0); /* declares a single number before it is written twice */
  cr_emit_map(c, &to, 1, &value, "$0");
  from.array.data = to.array.data = here; /* meet moves addresses; they are never read */
  meet(c->attr, &from.array, &to.array);
  from.offset += ((intptr_t)from.array.data - (intptr_t)here) / (intptr_t)size;
  to.offset += ((intptr_t)to.array.data - (intptr_t)here) / (intptr_t)size;
  if (from.array.count) cr_emit_map(c, &to, 1, &from, "$0");
}

/* x: what remains when the padding is cut off again, and zeros for what was cropped. value: the sum over the padding. */
static void pad_vjp(cr_vjp_rule *c) {
  const pad_attr *p = c->attr;
  cr_array x = cr_view(c->in[0]), y = cr_view(c->out);
  int64_t lo[CR_MAX_RANK], hi[CR_MAX_RANK], start[CR_MAX_RANK] = {0}, step[CR_MAX_RANK];
  for (int i = 0; i < p->rank; i++) {
    lo[i] = -p->lo[i];
    hi[i] = -p->hi[i];
    step[i] = p->interior[i] + 1;
  }
  if (c->wanted[0]) {
    cr_var g = cr_pad(c->g, lo, hi, NULL, cr_const(c->tape, 0));
    cr_array a = cr_view(g);
    c->d[0] = cr_slice(g, p->rank, start, a.dim, step);
  }
  if (c->wanted[1]) {
    cr_var ones = cr_full(c->tape, CR_BOOL, x.rank, x.dim, 1), zero = cr_full(c->tape, CR_BOOL, 0, NULL, 0);
    cr_var inside = cr_pad(ones, p->lo, p->hi, p->interior, zero);
    cr_var sum = cr_sum_all(cr_where(inside, cr_const(c->tape, 0), y.rank ? c->g : cr_reshape(c->g, 0, NULL)));
    cr_array v = cr_view(c->in[1]);
    c->d[1] = v.rank ? cr_reshape(sum, v.rank, v.dim) : sum;
  }
}

static const cr_op pad_op = {
  .name = "pad", .check = pad_check, .arity = 2, .kind = CR_LINEAR, .attr_size = sizeof(pad_attr), .fields = pad_fields,
  .prepare = pad_prepare, .infer = pad_infer,
  .eval = pad_eval, .depend = cr_depend_selection, .emit = pad_emit, .vjp = pad_vjp, .show = pad_show,
  .latex = "\\operatorname{pad}\\left(%a, %b\\right)",
  .rule = "the cotangent without the padding; to the value, its sum over the padding"};

/* Sums of windows */

enum { MOST_WINDOWS = 16 };

/* The pads that v is the sum of, from number n on; how many then, or -1 where there is anything else. Sums that are nested
 * deeper have more. */
static int collect(cr_var v, cr_var *pads, int n, int depth) {
  if (cr_op_of(v) == &pad_op) {
    if (n >= MOST_WINDOWS) return -1;
    pads[n] = v;
    return n + 1;
  }
  if (depth == MOST_WINDOWS || !cr_op_of(v) || strcmp(cr_op_of(v)->name, "add") != 0) return -1;
  n = collect(cr_operand(v, 0), pads, n, depth + 1);
  return n < 0 ? -1 : collect(cr_operand(v, 1), pads, n, depth + 1);
}

/* The only axis that a pad by 0 has anything around, or -1. */
static int window_axis(cr_var v) {
  const pad_attr *p = cr_attributes(v);
  cr_var value = cr_operand(v, 1);
  int axis = -1;
  if (cr_dtype_of(v) < CR_FLOAT32 || !cr_is_const(value) || cr_value(value) != 0 || signbit(cr_value(value))) return -1;
  for (int i = 0; i < p->rank; i++) {
    if (p->lo[i] < 0 || p->hi[i] < 0 || p->interior[i]) return -1;
    if (!p->lo[i] && !p->hi[i]) continue;
    if (axis >= 0) return -1;
    axis = i;
  }
  return axis;
}

static int64_t window_from(cr_var v, int axis) { return ((const pad_attr *)cr_attributes(v))->lo[axis]; }

cr_var cr__sum_of_windows(cr_var x, cr_var y) {
  cr_var pads[MOST_WINDOWS], part[MOST_WINDOWS], no = cr_poison(x.tape);
  int n = collect(x, pads, 0, 0);
  n = n < 0 ? -1 : collect(y, pads, n, 0);
  const int axis = n < 0 ? -1 : window_axis(pads[0]);
  if (axis < 0) return no;
  int64_t at = 0;
  for (int k = 0; k < n; k++) { /* in order; one begins where the one before ends */
    int next = 0;
    while (next < n && (window_axis(pads[next]) != axis || window_from(pads[next], axis) != at)) next++;
    if (next == n) return no;
    part[k] = cr_operand(pads[next], 0);
    at += cr_dim(part[k], axis);
    if (!cr_dim(part[k], axis)) return no;
  }
  if (at != cr_dim(x, axis)) return no;
  cr_var packed = n == 3 && axis == 2 ? cr__packed_cotangents(part) : no;
  if (!cr_is_poison(packed)) return packed;
  return cr_add(cr_concatenate(n, part, axis), cr_full(x.tape, cr_dtype_of(x), 0, NULL, 0)); /* which turns -0 into 0 */
}

/* Cropping alone is a view. */
static cr_var crop(cr_var x, const cr_array *a, const pad_attr *p) {
  int64_t stop[CR_MAX_RANK], start[CR_MAX_RANK];
  for (int i = 0; i < p->rank; i++) {
    if (a->dim[i] + p->lo[i] + p->hi[i] < 0)
      return cr_record(x.tape, &pad_op, 2, (cr_var[]){x, x}, p); /* says what is wrong */
    start[i] = -p->lo[i];
    stop[i] = a->dim[i] + p->hi[i];
  }
  return cr_slice(x, p->rank, start, stop, NULL);
}

cr_var cr_pad(cr_var x, const int64_t *lo, const int64_t *hi, const int64_t *interior, cr_var value) {
  cr_array a = cr_view(x);
  if (cr_is_poison(x)) return x;
  pad_attr p = {.rank = a.rank};
  const int64_t most = (int64_t)1 << 48;
  int only_crops = 1;
  for (int i = 0; i < a.rank; i++) {
    p.lo[i] = lo[i];
    p.hi[i] = hi[i];
    p.interior[i] = interior && a.dim[i] > 1 ? interior[i] : 0;
    only_crops = only_crops && lo[i] <= 0 && hi[i] <= 0 && !p.interior[i];
    if (interior && interior[i] < 0)
      return cr_fail(x.tape, CR_BAD_ARGUMENT, "pad: interior %lld of axis %d is negative", (long long)interior[i], i);
    if (lo[i] > most || hi[i] > most || (a.dim[i] > 1 && p.interior[i] > most / a.dim[i]))
      return cr_fail(x.tape, CR_OVER_LIMIT, "pad: axis %d grows beyond all bounds", i);
  }
  return only_crops ? crop(x, &a, &p) : cr_record(x.tape, &pad_op, 2, (cr_var[]){x, value}, &p);
}

/* Positions beyond the edge continue inside: mirrored, repeated or wrapped around. */
static int64_t inside_of(int64_t i, int64_t n, cr_pad_mode mode) {
  if (i >= 0 && i < n) return i;
  if (mode == CR_PAD_REPLICATE) return i < 0 ? 0 : n - 1;
  if (mode == CR_PAD_CIRCULAR) return (i % n + n) % n;
  return i < 0 ? -i : 2 * (n - 1) - i;
}

static const char *const modes[] = {"constant", "reflect", "replicate", "circular"};

cr_var cr_pad_edge(cr_var x, int axis, int64_t lo, int64_t hi, cr_pad_mode mode) {
  int k = cr_is_poison(x) ? -1 : cr__axis_of(x, "pad", axis);
  if (k < 0 || (!lo && !hi)) return k < 0 ? cr_poison(x.tape) : x;
  int64_t n = cr_rank(x) ? cr_dim(x, k) : 0;
  int64_t most = mode == CR_PAD_REFLECT ? n - 1 : mode == CR_PAD_CIRCULAR ? n : n ? INT64_MAX : 0;
  if (lo > most || hi > most || n + lo + hi < 0)
    return cr_fail(x.tape, CR_BAD_ARGUMENT, "pad: mode '%s' cannot pad axis %d of size %lld by (%lld, %lld)", modes[mode], k,
                   (long long)n, (long long)lo, (long long)hi);
  int64_t count = n + lo + hi;
  cr_var index = cr_constant_of(x.tape, CR_INT64, 1, &count, NULL);
  if (cr_is_poison(index)) return index;
  int64_t *at = cr_view(index).data;
  for (int64_t i = 0; i < count; i++) at[i] = inside_of(i - lo, n, mode);
  return cr_index_select(x, k, index);
}

cr_var cr_slice_update(cr_var x, cr_var update, const int64_t *start) {
  cr_array a = cr_view(x), u = cr_view(update);
  int64_t lo[CR_MAX_RANK], hi[CR_MAX_RANK];
  if (cr_is_poison(x) || cr_is_poison(update)) return cr_poison(x.tape);
  if (a.rank != u.rank)
    return cr_fail(x.tape, CR_BAD_SHAPE, "slice_update: an update of rank %d for a tensor of rank %d", u.rank, a.rank);
  for (int i = 0; i < a.rank; i++) {
    lo[i] = start[i] < 0 ? start[i] + a.dim[i] : start[i];
    hi[i] = a.dim[i] - lo[i] - u.dim[i];
    if (lo[i] < 0 || hi[i] < 0)
      return cr_fail(x.tape, CR_BAD_INDEX, "slice_update: %lld positions from %lld do not fit axis %d of size %lld",
                     (long long)u.dim[i], (long long)start[i], i, (long long)a.dim[i]);
  }
  cr_var inside = cr_pad(cr_full(x.tape, CR_BOOL, u.rank, u.dim, 1), lo, hi, NULL, cr_full(x.tape, CR_BOOL, 0, NULL, 0));
  return cr_where(inside, cr_pad(update, lo, hi, NULL, cr_const(x.tape, 0)), x);
}

cr_var cr_diagonal(cr_var x, int64_t offset, int axis1, int axis2) {
  cr_array a = cr_view(x);
  if (cr_is_poison(x)) return x;
  if (a.rank < 2) return cr_fail(x.tape, CR_BAD_SHAPE, "diagonal: rank %d, at least 2 are needed", a.rank);
  int i = cr__axis_of(x, "diagonal", axis1), j = cr__axis_of(x, "diagonal", axis2), axes[CR_MAX_RANK], n = 0;
  if (i < 0 || j < 0) return cr_poison(x.tape);
  if (i == j) return cr_fail(x.tape, CR_BAD_ARGUMENT, "diagonal: both axes are %d", i);
  for (int k = 0; k < a.rank; k++)
    if (k != i && k != j) axes[n++] = k;
  axes[n] = i;
  axes[n + 1] = j;
  int64_t rows = a.dim[i], cols = a.dim[j], down = offset < 0 ? -offset : 0, right = offset > 0 ? offset : 0;
  int64_t length = rows - down < cols - right ? rows - down : cols - right, dims[CR_MAX_RANK];
  cr_var m = cr_permute(x, a.rank, axes);
  for (int k = 0; k < n; k++) dims[k] = a.dim[axes[k]];
  dims[n] = rows * cols; /* in a flattened matrix the diagonal is every (cols + 1)-th element */
  m = cr_reshape(m, n + 1, dims);
  if (length <= 0) return cr_slice_axis(m, n, 0, 0, 1);
  int64_t first = down * cols + right;
  return cr_slice_axis(m, n, first, first + (length - 1) * (cols + 1) + 1, cols + 1);
}

/* A vector on the diagonal of a square matrix of zeros. */
static cr_var on_diagonal(cr_var x, int64_t offset) {
  int64_t n = cr_dim(x, 0), size = n + (offset < 0 ? -offset : offset), interior = size;
  int64_t lo = offset < 0 ? -offset * size : offset, hi = size * size - lo - (n ? (n - 1) * (size + 1) + 1 : 0);
  return cr_reshape(cr_pad(x, &lo, &hi, &interior, cr_const(x.tape, 0)), 2, (int64_t[]){size, size});
}

cr_var cr_diag(cr_var x, int64_t offset) {
  int rank = cr_rank(x);
  if (cr_is_poison(x)) return x;
  if (offset > (int64_t)1 << 24 || offset < -((int64_t)1 << 24))
    return cr_fail(x.tape, CR_OVER_LIMIT, "diag: offset %lld", (long long)offset);
  if (rank == 1) return on_diagonal(x, offset);
  if (rank == 2) return cr_diagonal(x, offset, 0, 1);
  return cr_fail(x.tape, CR_BAD_SHAPE, "diag: rank %d; a vector or a matrix is needed", rank);
}

cr_var cr_block_diag(cr_tape *t, int n, const cr_var *blocks) {
  int64_t cols = 0, at = 0;
  cr_var all = cr_poison(t);
  for (int k = 0; k < n; k++) {
    if (cr_is_poison(blocks[k])) return blocks[k];
    if (cr_rank(blocks[k]) > 2)
      return cr_fail(t, CR_BAD_SHAPE, "block_diag: operand %d has rank %d, at most 2", k, cr_rank(blocks[k]));
    cols += cr_rank(blocks[k]) ? cr_dim(blocks[k], -1) : 1;
  }
  if (!n) return cr_zeros(t, CR_FLOAT64, 2, (int64_t[]){1, 0});
  for (int k = 0; k < n; k++) {
    cr_var b = blocks[k];
    while (cr_rank(b) < 2 && b.id) b = cr_unsqueeze(b, 0);
    int64_t width = cr_dim(b, -1), lo[2] = {0, at}, hi[2] = {0, cols - at - width};
    b = cr_pad(b, lo, hi, NULL, cr_const(t, 0));
    all = k ? cr_concatenate(2, (cr_var[]){all, b}, 0) : b;
    at += width;
  }
  return all;
}

/* Names in the expression language */

static int mode_named(cr_call *c, int k) {
  const char *name = cr_arg_text(c, k);
  for (int m = 0; m < (int)(sizeof modes / sizeof *modes); m++)
    if (!strcmp(modes[m], name)) return m;
  cr_fail(cr_call_tape(c), CR_BAD_ARGUMENT, "pad: unknown mode '%s': constant, reflect, replicate or circular", name);
  return -1;
}

/* Pairs (lo, hi) from the last axis backwards. */
static void return_padded(cr_call *c, int mode, cr_var value) {
  int64_t pairs[2 * CR_MAX_RANK], lo[CR_MAX_RANK] = {0}, hi[CR_MAX_RANK] = {0};
  cr_var x = cr_arg_var(c, 0);
  int n = cr_arg_ints(c, 1, 2 * CR_MAX_RANK, pairs), rank = cr_rank(x);
  if (n < 0 || mode < 0 || cr_is_poison(x)) return;
  if (n % 2 || n / 2 > rank) {
    cr_fail(x.tape, CR_BAD_ARGUMENT, "pad: %d numbers; a pair each for at most %d axes", n, rank);
    return;
  }
  for (int i = 0; i < n / 2; i++) {
    int axis = rank - 1 - i;
    lo[axis] = pairs[2 * i];
    hi[axis] = pairs[2 * i + 1];
    if (mode != CR_PAD_CONSTANT) x = cr_pad_edge(x, axis, lo[axis], hi[axis], (cr_pad_mode)mode);
  }
  cr_return(c, mode == CR_PAD_CONSTANT ? cr_pad(x, lo, hi, NULL, value) : x);
}
static void call_pad(cr_call *c) {
  return_padded(c, mode_named(c, 2), cr_arg_given(c, 3) ? cr_arg_var(c, 3) : cr_const(cr_call_tape(c), 0));
}
static void call_pad_reflect(cr_call *c) { return_padded(c, CR_PAD_REFLECT, cr_poison(cr_call_tape(c))); }
static void call_pad_replicate(cr_call *c) { return_padded(c, CR_PAD_REPLICATE, cr_poison(cr_call_tape(c))); }
static void call_slice_update(cr_call *c) {
  int64_t start[CR_MAX_RANK];
  cr_var x = cr_arg_var(c, 0);
  int n = cr_arg_ints(c, 2, CR_MAX_RANK, start);
  if (n < 0) return;
  if (n == cr_rank(x)) cr_return(c, cr_slice_update(x, cr_arg_var(c, 1), start));
  else cr_fail(x.tape, CR_BAD_ARGUMENT, "slice_update: %d starts for a tensor of rank %d", n, cr_rank(x));
}
static void call_diagonal(cr_call *c) {
  cr_return(c, cr_diagonal(cr_arg_var(c, 0), cr_arg_int(c, 1), (int)cr_arg_int(c, 2), (int)cr_arg_int(c, 3)));
}
static void call_diag(cr_call *c) { cr_return(c, cr_diag(cr_arg_var(c, 0), cr_arg_int(c, 1))); }
static void call_block_diag(cr_call *c) {
  enum { MOST = 256 };
  cr_var blocks[MOST];
  int n = cr_arg_vars(c, 0, MOST, blocks);
  if (n >= 0) cr_return(c, cr_block_diag(cr_call_tape(c), n, blocks));
}

static const cr_op *const recorded[] = {&pad_op, NULL};

const cr_function cr__pad_functions[] = {
  {.ops = recorded, .signature = "pad(input, pad, mode='constant', value=None)", .call = call_pad, .family = "shape",
   .doc = "Positions around axes, as pairs (before, after) from the last axis backwards; negative ones crop. mode: constant "
          "(with value, 0 if None), reflect, replicate or circular.",
   .derivative = "the cotangent without the padding; to the value, its sum over the padding",
   .samples = "pad(x:(2,3), [1, 0, -1, 2]); pad(x:(2), [1, 2], value=v:()); pad(x:(1,3), [2, 1], mode='reflect'); "
              "pad(x:(2,2), [1, 1], mode='circular')"},
  {.signature = "pad_reflect(input, pad)", .call = call_pad_reflect, .family = "shape", .doc = "pad with mode='reflect'.",
   .samples = "pad_reflect(x:(2,3), [2, 1])"},
  {.signature = "pad_replicate(input, pad)", .call = call_pad_replicate, .family = "shape",
   .doc = "pad with mode='replicate'.",
   .samples = "pad_replicate(x:(2,3), [2, 1, 1, 0])"},
  {.signature = "slice_update(input, update, start)", .call = call_slice_update, .family = "shape",
   .doc = "A copy of input in which update takes the window that begins at start.",
   .derivative = "to input, the cotangent outside the window; to update, inside",
   .samples = "slice_update(x:(3,4), u:(2,2), [1, -2])"},
  {.signature = "diagonal(input, offset=0, dim1=0, dim2=1)", .call = call_diagonal, .family = "shape",
   .doc = "The diagonal of the matrices along two axes, as a new last axis.",
   .derivative = "the cotangent on the diagonal, zeros elsewhere",
   .samples = "diagonal(x:(2,3)); diagonal(x:(2,3,2), -1, dim1=1, dim2=2)"},
  {.signature = "diag(input, diagonal=0)", .call = call_diag, .family = "shape",
   .doc = "A vector on the diagonal of a matrix, or the diagonal of a matrix.",
   .samples = "diag(x:(3)); diag(x:(2), -1); diag(x:(2,3), 1)"},
  {.signature = "trace(input)", .formula = "sum(diagonal(input))", .family = "linear algebra",
   .doc = "The sum of a matrix's diagonal.",
   .derivative = "the identity matrix times the cotangent", .samples = "trace(x:(2,3))"},
  {.signature = "block_diag(*tensors)", .call = call_block_diag, .family = "shape",
   .doc = "Matrices along the diagonal of a matrix of zeros.",
   .samples = "block_diag(x:(2,2), y:(1,2), z:())"},
  {.signature = NULL}};
