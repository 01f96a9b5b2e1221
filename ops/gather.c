/* Reading and writing at positions given by integer tensors. Negative positions count from the end; positions out of range
 * are an error. Repeated positions add up in ascending order of their place in the index, whatever computes them. */
#include <stdio.h>
#include <string.h>

#include "adding.h"
#include "emit.h"

typedef struct axis_attr {
  int axis;
} axis_attr;

static const cr_field axis_fields[] = {
  CR_FIELD(axis_attr, axis, CR_FIELD_AXIS, "axis"),
  {.name = NULL}};

static void show_axis(char *text, size_t size, const void *attr) {
  snprintf(text, size, "dim=%d", ((const axis_attr *)attr)->axis);
}

static int axis_in(const void *attr) { return ((const axis_attr *)attr)->axis; }

static cr_status check_integers(cr_tape *t, cr_var index) {
  cr_dtype dtype = cr_dtype_of(index);
  if (dtype == CR_INT64 || dtype == CR_INT32) return CR_OK;
  cr_fail(t, CR_BAD_DTYPE, "the index must be integers, not %s", cr_dtype_name(dtype));
  return CR_BAD_DTYPE;
}

static cr_status bad_index(cr_eval *c, int64_t index, int axis, int64_t size) {
  cr_fail(c->tape, CR_BAD_INDEX, "index %lld is out of range for axis %d of size %lld", (long long)index, axis,
          (long long)size);
  return CR_BAD_INDEX;
}

/* The index in row-major order, wrapped and checked against the axis; NULL after recording what is wrong. */
static const int64_t *positions(cr_eval *c, const cr_array *index, int axis, int64_t size) {
  cr_array a;
  cr_array_init(&a, CR_INT64, index->rank, index->dim);
  a.data = cr_scratch(c, (size_t)a.count * sizeof(int64_t));
  if (!a.data) return NULL;
  cr_array_copy(&a, index);
  int64_t *at = a.data;
  for (int64_t k = 0; k < a.count; k++) {
    int64_t i = at[k];
    if (i < -size || i >= size) return bad_index(c, i, axis, size), NULL;
    at[k] = i < 0 ? i + size : i;
  }
  return at;
}

static cr_status failed(const cr_eval *c) { return cr_error(c->tape) ? cr_error(c->tape) : CR_NO_MEMORY; }

static int64_t product(const int64_t *dims, int from, int to) {
  int64_t n = 1;
  for (int i = from; i < to; i++) n *= dims[i];
  return n;
}

/* C for the element of x at the loops' variables from level on, but along the axis at the position. */
static const char *element_of(cr_emit_context *c, const cr_emit_view *x, int axis, int level, const char *position) {
  cr_emit_view rest = *x;
  if (x->number) return x->base;
  rest.array.stride[axis] = 0;
  const char *others = cr_emit_index(c, rest.array.rank, rest.array.stride, rest.offset, level);
  const char *along = cr_emit_text(c, "wrapped(%s, %lld)", position, (long long)x->array.dim[axis]);
  int64_t step = x->array.stride[axis];
  if (step != 1) along = cr_emit_text(c, "%lld * %s", (long long)step, along);
  return cr_emit_text(c, strcmp(others, "0") ? "%s[%s + %s]" : "%s[%s%s]", x->base, strcmp(others, "0") ? others : "",
                      along);
}
/* Loops over the places of the index, which is over all axes or along the one alone, and takes x there. */
static void take_emit(cr_emit_context *c) {
  int level = cr_emit_level(c), axis = axis_in(c->attr), rank = c->out.array.rank;
  const cr_emit_view *index = &c->in[1];
  cr_emit_loops(c, rank, c->out.array.dim);
  const char *position = cr_emit_at(c, index, index->array.rank == 1 ? level + axis : level);
  cr_emit_store(c, &c->out, level, (cr_dtype)c->in[0].array.dtype, element_of(c, &c->in[0], axis, level, position));
  cr_emit_close(c, rank);
}
/* Copies x, then adds the source to it or writes it over it, in the order of its places. */
static void put_emit(cr_emit_context *c, const char *assignment) {
  int level = cr_emit_level(c), axis = axis_in(c->attr), rank = c->in[2].array.rank;
  const cr_emit_view *index = &c->in[1];
  cr_emit_pointer(c, &c->out, 0); /* declares a single number before it is written twice */
  cr_emit_map(c, &c->out, 1, &c->in[0], "$0");
  cr_emit_loops(c, rank, c->in[2].array.dim);
  const char *position = cr_emit_at(c, index, index->array.rank == 1 ? level + axis : level);
  cr_emit_line(c, "%s %s %s;", element_of(c, &c->out, axis, level, position), assignment, cr_emit_at(c, &c->in[2], level));
  cr_emit_close(c, rank);
}
static void add_emit(cr_emit_context *c) { put_emit(c, "+="); }
static void write_emit(cr_emit_context *c) { put_emit(c, "="); }

/* index_select(x, i): whole slices of x along an axis, i a vector */

static cr_status index_select_prepare(cr_tape *t, int n, cr_var *in) { return (void)n, check_integers(t, in[1]); }
/* Operands after the index hold numbers for the first. */
static int axis_check(const cr_infer *c) {
  return c->in[0].rank > 0 && (c->in[1].dtype == CR_INT64 || c->in[1].dtype == CR_INT32) &&
         (c->n < 3 || c->in[2].dtype == c->in[0].dtype);
}
static int index_check(const cr_infer *c) { return axis_check(c) && c->in[1].rank == 1; }

static cr_status index_select_infer(cr_infer *c) {
  cr_array like = c->in[0];
  like.dim[axis_in(c->attr)] = c->in[1].count;
  cr_array_init(c->out, (cr_dtype)like.dtype, like.rank, like.dim);
  return CR_OK;
}
/* The runs of bytes named by at; those of one number with a copy of fixed size. */
static void take_runs(char *to, const char *from, const int64_t *at, int64_t m, size_t run) {
  if (run == 8)
    for (int64_t k = 0; k < m; k++) memcpy(to + 8 * k, from + 8 * at[k], 8);
  else if (run == 4)
    for (int64_t k = 0; k < m; k++) memcpy(to + 4 * k, from + 4 * at[k], 4);
  else
    for (int64_t k = 0; k < m; k++) memcpy(to + (size_t)k * run, from + (size_t)at[k] * run, run);
}
static cr_status index_select_eval(cr_eval *c) {
  int axis = axis_in(c->attr);
  const cr_array *x = &c->in[0];
  int64_t outer = product(x->dim, 0, axis), n = x->dim[axis], m = c->in[1].count;
  size_t run = (size_t)product(x->dim, axis + 1, x->rank) * cr_dtype_size((cr_dtype)x->dtype);
  const int64_t *at = positions(c, &c->in[1], axis, n);
  const char *from = at ? cr__dense(c, x, (cr_dtype)x->dtype) : NULL;
  char *to = c->out->data;
  if (!from) return failed(c);
  for (int64_t o = 0; o < outer; o++) take_runs(to + (size_t)(o * m) * run, from + (size_t)(o * n) * run, at, m, run);
  return CR_OK;
}
static void index_select_vjp(cr_vjp_rule *c) {
  c->d[0] = cr_index_add(cr_zeros_like(c->in[0]), axis_in(c->attr), c->in[1], c->g);
}
/* By the index where it is fixed, else along the other axes. */
static void take_depend(cr_depend *c) {
  int along[CR_MAX_RANK];
  for (int i = 0; i < c->in[0].rank; i++) along[i] = i == axis_in(c->attr) ? -1 : i;
  if (cr_depend_moves(c, 1)) cr_depend_along(c, 0, along);
  else cr_depend_selection(c);
}
static const cr_op index_select_op = {
  .name = "index_select", .check = index_check, .arity = 2, .kind = CR_LINEAR, .attr_size = sizeof(axis_attr),
  .fields = axis_fields, .prepare = index_select_prepare,
  .infer = index_select_infer, .eval = index_select_eval, .depend = take_depend, .emit = take_emit,
  .vjp = index_select_vjp, .show = show_axis, .latex = "%a_{[%b]}",
  .rule = "the cotangent added at the positions it came from"};

cr_var cr_index_select(cr_var x, int axis, cr_var index) {
  cr_array a = cr_view(x), i = cr_view(index);
  if (cr_is_poison(x) || cr_is_poison(index)) return cr_poison(x.tape);
  int k = cr__axis_of(x, "index_select", axis), rank = a.rank - 1 + i.rank;
  if (k < 0) return cr_poison(x.tape);
  if (!a.rank) return cr_fail(x.tape, CR_BAD_SHAPE, "index_select: a tensor of rank 0 has no axis to select from");
  if (rank > CR_MAX_RANK)
    return cr_fail(x.tape, CR_BAD_SHAPE, "index_select: the result would have %d axes, at most %d", rank, CR_MAX_RANK);
  if (i.rank != 1) index = cr_reshape(index, 1, &i.count);
  cr_var y = cr_record(x.tape, &index_select_op, 2, (cr_var[]){x, index}, &(axis_attr){k});
  if (i.rank == 1 || cr_is_poison(y)) return y;
  int64_t dims[2 * CR_MAX_RANK];
  memcpy(dims, a.dim, (size_t)k * sizeof *dims);
  memcpy(dims + k, i.dim, (size_t)i.rank * sizeof *dims);
  memcpy(dims + k + i.rank, a.dim + k + 1, (size_t)(a.rank - k - 1) * sizeof *dims);
  return cr_reshape(y, rank, dims);
}

/* index_add(x, i, s): the slices of s added to those of x, i a vector */

static cr_status index_add_prepare(cr_tape *t, int n, cr_var *in) {
  cr_var value[2] = {in[0], in[2]};
  (void)n;
  if (check_integers(t, in[1]) != CR_OK || cr__one_dtype(t, 2, value, 'b') != CR_OK) return cr_error(t);
  in[0] = value[0];
  in[2] = value[1];
  return CR_OK;
}
static cr_status index_add_infer(cr_infer *c) {
  int axis = axis_in(c->attr);
  const cr_array *x = &c->in[0], *s = &c->in[2];
  int fits = c->in[1].rank == 1 && s->rank == x->rank && s->dim[axis] == c->in[1].count;
  for (int i = 0; fits && i < x->rank; i++) fits = i == axis || s->dim[i] == x->dim[i];
  if (!fits) {
    cr_fail(c->tape, CR_BAD_SHAPE, "the source must have the shape of the input with axis %d as long as the index", axis);
    return CR_BAD_SHAPE;
  }
  cr_array_init(c->out, (cr_dtype)x->dtype, x->rank, x->dim);
  return CR_OK;
}
static cr_status index_add_eval(cr_eval *c) {
  int axis = axis_in(c->attr);
  int64_t outer = product(c->out->dim, 0, axis), n = c->out->dim[axis], m = c->in[1].count;
  int64_t run = product(c->out->dim, axis + 1, c->out->rank);
  const int64_t *at = positions(c, &c->in[1], axis, n);
  if (!at) return failed(c);
  return cr__add_at(c, at, (cr__adding){.positions = n, .run = run, .outer = outer, .places = m});
}
static void index_add_vjp(cr_vjp_rule *c) {
  if (c->wanted[0]) c->d[0] = c->g;
  if (c->wanted[2]) c->d[2] = cr_index_select(c->g, axis_in(c->attr), c->in[1]);
}
static void index_add_depend(cr_depend *c) {
  int axis = axis_in(c->attr);
  const cr_array *x = c->out, *index = &c->in[1];
  int64_t n = x->dim[axis], m = index->count, run = product(x->dim, axis + 1, x->rank);
  int along[CR_MAX_RANK];
  for (int64_t k = 0; k < x->count; k++) cr_depend_on(c, k, 0, k);
  for (int i = 0; i < x->rank; i++) along[i] = i == axis ? -1 : i;
  if (cr_depend_moves(c, 1)) {
    cr_depend_along(c, 2, along);
    return;
  }
  for (int64_t k = 0; k < c->in[2].count; k++) {
    int64_t at = cr_array_get_int(index, k / run % m);
    cr_depend_on(c, (k / run / m * n + (at < 0 ? at + n : at)) * run + k % run, 2, k);
  }
}
static const cr_op index_add_op = {
  .name = "index_add", .check = index_check, .arity = 3, .kind = CR_LINEAR, .attr_size = sizeof(axis_attr),
  .fields = axis_fields, .prepare = index_add_prepare,
  .infer = index_add_infer, .eval = index_add_eval, .depend = index_add_depend, .emit = add_emit, .vjp = index_add_vjp,
  .show = show_axis,
  .rule = "the cotangent; to the source, the cotangent at the positions"};

cr_var cr_index_add(cr_var x, int axis, cr_var index, cr_var source) {
  if (cr_is_poison(x) || cr_is_poison(index) || cr_is_poison(source)) return cr_poison(x.tape);
  int k = cr__axis_of(x, "index_add", axis);
  if (k < 0) return cr_poison(x.tape);
  if (!cr_rank(x)) return cr_fail(x.tape, CR_BAD_SHAPE, "index_add: a tensor of rank 0 has no axis to add along");
  if (!cr_rank(index)) index = cr_reshape(index, 1, (int64_t[]){1});
  return cr_record(x.tape, &index_add_op, 3, (cr_var[]){x, index, source}, &(axis_attr){k});
}

/* gather(x, i): element by element along an axis. i has x's rank; its other axes may be shorter than x's. */

/* The positions in x's row-major order that the elements of the index stand for. */
static const int64_t *element_positions(cr_eval *c, const cr_array *index, const cr_array *x, int axis) {
  const int64_t *at = positions(c, index, axis, x->dim[axis]);
  int64_t *to = at ? cr_scratch(c, (size_t)index->count * sizeof *to) : NULL;
  int64_t along[CR_MAX_RANK] = {0};
  cr_array dense;
  if (!to) return NULL;
  cr_array_init(&dense, CR_INT64, x->rank, x->dim);
  for (int64_t k = 0; k < index->count; k++) {
    int64_t offset = at[k] * dense.stride[axis];
    for (int i = 0; i < x->rank; i++) offset += i == axis ? 0 : along[i] * dense.stride[i];
    to[k] = offset;
    for (int i = x->rank - 1; i >= 0 && ++along[i] == index->dim[i]; i--) along[i] = 0;
  }
  return to;
}

static int index_fits(cr_infer *c, const cr_array *x, const cr_array *index, int axis) {
  int fits = index->rank == x->rank;
  for (int i = 0; fits && i < x->rank; i++) fits = i == axis || index->dim[i] <= x->dim[i];
  if (!fits)
    cr_fail(c->tape, CR_BAD_SHAPE, "the index must have the input's rank and fit into it on every axis but %d", axis);
  return fits;
}

static cr_status gather_infer(cr_infer *c) {
  if (!index_fits(c, &c->in[0], &c->in[1], axis_in(c->attr))) return CR_BAD_SHAPE;
  cr_array_init(c->out, (cr_dtype)c->in[0].dtype, c->in[1].rank, c->in[1].dim);
  return CR_OK;
}

#define TAKE(T)                                              \
  {                                                          \
    T *to = c->out->data;                                    \
    const T *p = from;                                       \
    for (int64_t k = 0; k < n; k++) to[k] = p[at[k]];        \
    return CR_OK;                                            \
  }
static cr_status gather_eval(cr_eval *c) {
  const cr_array *x = &c->in[0];
  const int64_t *at = element_positions(c, &c->in[1], x, axis_in(c->attr)), n = c->out->count;
  const void *from = at ? cr__dense(c, x, (cr_dtype)x->dtype) : NULL;
  if (!from) return failed(c);
  size_t size = cr_dtype_size((cr_dtype)x->dtype);
  if (size == 8) TAKE(uint64_t)
  if (size == 4) TAKE(uint32_t)
  TAKE(uint8_t)
}
static void gather_vjp(cr_vjp_rule *c) {
  c->d[0] = cr_scatter_add(cr_zeros_like(c->in[0]), axis_in(c->attr), c->in[1], c->g);
}
static const cr_op gather_op = {
  .name = "gather", .check = axis_check, .arity = 2, .kind = CR_LINEAR, .attr_size = sizeof(axis_attr),
  .fields = axis_fields, .prepare = index_select_prepare,
  .infer = gather_infer, .eval = gather_eval, .depend = take_depend, .emit = take_emit, .vjp = gather_vjp, .show = show_axis,
  .rule = "the cotangent added at the positions it came from"};

/* A tensor of rank 0 is treated as a vector of one element. */
static cr_var at_least_vector(cr_var x) { return cr_is_poison(x) || cr_rank(x) ? x : cr_reshape(x, 1, (int64_t[]){1}); }
static cr_var as_scalar_like(cr_var y, cr_var x) { return cr_is_poison(y) || cr_rank(x) ? y : cr_reshape(y, 0, NULL); }

cr_var cr_gather(cr_var x, int axis, cr_var index) {
  int k = cr_is_poison(x) || cr_is_poison(index) ? -1 : cr__axis_of(x, "gather", axis);
  if (k < 0) return cr_poison(x.tape);
  cr_var in[2] = {at_least_vector(x), at_least_vector(index)};
  return as_scalar_like(cr_record(x.tape, &gather_op, 2, in, &(axis_attr){k}), index);
}

/* scatter_add(x, i, s): the elements of s added to x; scatter: written over it, the last writer wins */

static cr_status scatter_infer(cr_infer *c) {
  const cr_array *x = &c->in[0], *index = &c->in[1], *s = &c->in[2];
  if (!index_fits(c, x, index, axis_in(c->attr))) return CR_BAD_SHAPE;
  int fits = s->rank == index->rank;
  for (int i = 0; fits && i < s->rank; i++) fits = s->dim[i] == index->dim[i];
  if (!fits) {
    cr_fail(c->tape, CR_BAD_SHAPE, "the source must cover the index");
    return CR_BAD_SHAPE;
  }
  cr_array_init(c->out, (cr_dtype)x->dtype, x->rank, x->dim);
  return CR_OK;
}
static cr_status scatter_add_eval(cr_eval *c) {
  const int64_t *at = element_positions(c, &c->in[1], c->out, axis_in(c->attr));
  if (!at) return failed(c);
  return cr__add_at(c, at, (cr__adding){.positions = c->out->count, .run = 1, .outer = 1, .places = c->in[1].count});
}
static void scatter_add_vjp(cr_vjp_rule *c) {
  if (c->wanted[0]) c->d[0] = c->g;
  if (c->wanted[2]) c->d[2] = cr_gather(c->g, axis_in(c->attr), c->in[1]);
}
static void scatter_add_depend(cr_depend *c) {
  int axis = axis_in(c->attr);
  const cr_array *x = c->out, *index = &c->in[1];
  int64_t along[CR_MAX_RANK] = {0};
  if (cr_depend_moves(c, 1)) {
    cr_depend_all(c);
    return;
  }
  for (int64_t k = 0; k < x->count; k++) cr_depend_on(c, k, 0, k);
  for (int64_t k = 0; k < index->count; k++) {
    int64_t at = cr_array_get_int(index, k), to = 0;
    for (int i = 0; i < x->rank; i++) to = to * x->dim[i] + (i != axis ? along[i] : at < 0 ? at + x->dim[axis] : at);
    cr_depend_on(c, to, 2, k);
    for (int i = x->rank - 1; i >= 0 && ++along[i] == index->dim[i]; i--) along[i] = 0;
  }
}
static const cr_op scatter_add_op = {
  .name = "scatter_add", .check = axis_check, .arity = 3, .kind = CR_LINEAR, .attr_size = sizeof(axis_attr),
  .fields = axis_fields, .prepare = index_add_prepare,
  .infer = scatter_infer, .eval = scatter_add_eval, .depend = scatter_add_depend, .emit = add_emit,
  .vjp = scatter_add_vjp, .show = show_axis,
  .rule = "the cotangent; to the source, the cotangent at the positions"};

static cr_status scatter_eval(cr_eval *c) {
  const int64_t *at = element_positions(c, &c->in[1], c->out, axis_in(c->attr));
  size_t size = cr_dtype_size((cr_dtype)c->out->dtype);
  const char *from = at ? cr__dense(c, &c->in[2], (cr_dtype)c->out->dtype) : NULL;
  char *to = c->out->data;
  if (!from) return failed(c);
  cr_array_copy(c->out, &c->in[0]);
  for (int64_t k = 0; k < c->in[1].count; k++) memcpy(to + (size_t)at[k] * size, from + (size_t)k * size, size);
  return CR_OK;
}

/* last_writer(x, i): true where the element of the index is the last one to name its position in x, of which only the shape
 * matters */

static int last_writer_check(const cr_infer *c) {
  int fits = axis_check(c) && c->in[1].rank == c->in[0].rank;
  for (int i = 0; fits && i < c->in[0].rank; i++)
    fits = i == axis_in(c->attr) || c->in[1].dim[i] <= c->in[0].dim[i];
  return fits;
}
static cr_status last_writer_infer(cr_infer *c) {
  cr_array_init(c->out, CR_BOOL, c->in[1].rank, c->in[1].dim);
  return CR_OK;
}
static cr_status last_writer_eval(cr_eval *c) {
  const cr_array *x = &c->in[0];
  const int64_t *at = element_positions(c, &c->in[1], x, axis_in(c->attr));
  uint8_t *taken = at ? cr_scratch(c, (size_t)x->count) : NULL, *wins = c->out->data;
  if (!taken) return failed(c);
  memset(taken, 0, (size_t)x->count);
  for (int64_t k = c->out->count - 1; k >= 0; k--) {
    wins[k] = !taken[at[k]];
    taken[at[k]] = 1;
  }
  return CR_OK;
}
static const cr_op last_writer_op = {
  .name = "last_writer", .check = last_writer_check, .arity = 2, .kind = CR_PIECEWISE_CONSTANT,
  .attr_size = sizeof(axis_attr), .fields = axis_fields,
  .prepare = index_select_prepare,
  .infer = last_writer_infer, .eval = last_writer_eval, .show = show_axis};

static void scatter_vjp(cr_vjp_rule *c) {
  int axis = axis_in(c->attr);
  cr_var zero = cr_const(c->tape, 0);
  if (c->wanted[0]) c->d[0] = cr_scatter(c->g, axis, c->in[1], zero);
  if (!c->wanted[2]) return;
  cr_var wins = cr_record(c->tape, &last_writer_op, 2, c->in, c->attr);
  c->d[2] = cr_where(wins, cr_gather(c->g, axis, c->in[1]), zero);
}
static const cr_op scatter_op = {
  .name = "scatter", .check = axis_check, .arity = 3, .kind = CR_LINEAR, .attr_size = sizeof(axis_attr),
  .fields = axis_fields, .prepare = index_add_prepare,
  .infer = scatter_infer, .eval = scatter_eval, .depend = cr_depend_selection, .emit = write_emit, .vjp = scatter_vjp,
  .show = show_axis,
  .rule = "the cotangent with zeros at the positions; to the source, the cotangent there, for the last writer only"};

/* A source larger than the index is used as far as the index goes, a single number everywhere. */
static cr_var source_for(cr_var source, cr_var index) {
  cr_array s = cr_view(source), i = cr_view(index);
  if (!s.rank && i.rank) return cr_broadcast_to(source, i.rank, i.dim);
  source = at_least_vector(source);
  if (s.rank != i.rank) return source;
  for (int k = 0; k < s.rank; k++)
    if (s.dim[k] > i.dim[k]) source = cr_slice_axis(source, k, 0, i.dim[k], 1);
  return source;
}

static cr_var scatter_with(const cr_op *op, cr_var x, int axis, cr_var index, cr_var source) {
  int k = cr_is_poison(x) || cr_is_poison(index) || cr_is_poison(source) ? -1 : cr__axis_of(x, op->name, axis);
  cr_var value[2] = {x, source};
  if (k < 0 || cr__one_dtype(x.tape, 2, value, 'b') != CR_OK) return cr_poison(x.tape);
  index = at_least_vector(index);
  cr_var in[3] = {at_least_vector(value[0]), index, source_for(value[1], index)};
  return as_scalar_like(cr_record(x.tape, op, 3, in, &(axis_attr){k}), x);
}
cr_var cr_scatter_add(cr_var x, int axis, cr_var index, cr_var source) {
  return scatter_with(&scatter_add_op, x, axis, index, source);
}
cr_var cr_scatter(cr_var x, int axis, cr_var index, cr_var source) {
  return scatter_with(&scatter_op, x, axis, index, source);
}

const cr_op *const cr__gather_ops[] = {&index_select_op, &index_add_op, &gather_op, &scatter_add_op,
                                       &last_writer_op,  &scatter_op,   NULL};
