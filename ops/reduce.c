/* Reductions over axes. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "ops.h"

/* Which axes go, as a bit mask, and whether they stay with size 1. */
typedef struct reduce_attr {
  unsigned mask;
  int keepdim;
} reduce_attr;

static void reduce_show(char *text, size_t size, const void *attr) {
  const reduce_attr *r = attr;
  size_t n = (size_t)snprintf(text, size, "dim=(");
  for (int i = 0; i < CR_MAX_RANK && n < size; i++)
    if (r->mask >> i & 1) n += (size_t)snprintf(text + n, size - n, "%d,", i);
  if (n < size) snprintf(text + n, size - n, ")%s", r->keepdim ? ", keepdim=True" : "");
}

static void reduced_shape(const cr_array *x, const reduce_attr *r, cr_dtype dtype, cr_array *out) {
  int64_t dims[CR_MAX_RANK];
  int rank = 0;
  for (int i = 0; i < x->rank; i++) {
    if (!(r->mask >> i & 1)) dims[rank++] = x->dim[i];
    else if (r->keepdim) dims[rank++] = 1;
  }
  cr_array_init(out, dtype, rank, dims);
}

static cr_status reduce_infer(cr_infer *c) {
  cr_dtype d = (cr_dtype)c->in[0].dtype;
  reduced_shape(&c->in[0], c->attr, d < CR_FLOAT32 ? CR_INT64 : d, c->out);
  return CR_OK;
}

/* Splits x into the axes that stay and those that go, as two views to walk. */
typedef struct split {
  cr_array kept, gone;
} split;

static split split_axes(const cr_array *x, unsigned mask) {
  split s;
  int64_t dims[2][CR_MAX_RANK], strides[2][CR_MAX_RANK];
  int rank[2] = {0, 0};
  for (int i = 0; i < x->rank; i++) {
    int side = mask >> i & 1;
    dims[side][rank[side]] = x->dim[i];
    strides[side][rank[side]++] = x->stride[i];
  }
  cr_array *views[2] = {&s.kept, &s.gone};
  for (int side = 0; side < 2; side++) {
    cr_array_init(views[side], (cr_dtype)x->dtype, rank[side], dims[side]);
    for (int i = 0; i < rank[side]; i++) {
      if (views[side]->stride[i] != strides[side][i]) views[side]->contiguous = 0;
      views[side]->stride[i] = strides[side][i];
    }
    views[side]->data = x->data;
  }
  return s;
}

/* Pairwise sum over a fixed tree: the rounding error grows as log n and does not depend on who computes it. */
static double tree_sum(const cr_array *x, int64_t from, int64_t n) {
  enum { LEAF = 64 };
  if (n > LEAF) {
    int64_t half = n / 2;
    return tree_sum(x, from, half) + tree_sum(x, from + half, n - half);
  }
  double s = 0;
  for (int64_t k = 0; k < n; k++) s += cr_array_get(x, from + k);
  return s;
}

static cr_status sum_eval(cr_eval *c) {
  const cr_array *x = &c->in[0];
  split s = split_axes(x, ((const reduce_attr *)c->attr)->mask);
  size_t size = cr_dtype_size((cr_dtype)x->dtype);
  for (int64_t k = 0; k < c->out->count; k++) {
    s.gone.data = (char *)x->data + cr_array_offset(&s.kept, k) * (int64_t)size;
    if (x->dtype < CR_FLOAT32) {
      int64_t total = 0;
      for (int64_t j = 0; j < s.gone.count; j++) total += cr_array_get_int(&s.gone, j);
      ((int64_t *)c->out->data)[k] = total;
    } else {
      cr_array_set(c->out, k, tree_sum(&s.gone, 0, s.gone.count));
    }
  }
  return CR_OK;
}

/* The cotangent of a reduction over x's shape. */
static cr_var spread(cr_var g, cr_var x, const reduce_attr *r) {
  cr_array a = cr_view(x), kept;
  reduced_shape(&a, &(reduce_attr){r->mask, 1}, CR_FLOAT64, &kept);
  if (!r->keepdim) g = cr_reshape(g, kept.rank, kept.dim);
  return cr_broadcast_to(g, a.rank, a.dim);
}

static void sum_vjp(cr_vjp_rule *c) { c->d[0] = spread(c->g, c->in[0], c->attr); }
static const cr_op sum_op = {
  .name = "sum", .arity = 1, .kind = CR_LINEAR, .attr_size = sizeof(reduce_attr), .infer = reduce_infer, .eval = sum_eval,
  .vjp = sum_vjp, .show = reduce_show, .latex = "\\sum %a", .rule = "the cotangent spread over the axes that went"};

/* Axes as given by a caller to a mask; false after recording what is wrong. */
static bool axes_mask(cr_var x, const char *name, int n_axes, const int *axes, unsigned *mask) {
  int rank = cr_rank(x);
  *mask = n_axes < 0 ? (1u << rank) - 1 : 0;
  for (int i = 0; i < n_axes; i++) {
    int k = cr_axis(axes[i], rank);
    if (k < 0 || *mask >> k & 1) {
      cr_fail(x.tape, CR_BAD_ARGUMENT, k < 0 ? "%s: axis %d of a tensor of rank %d" : "%s: axis %d appears twice (rank %d)", name,
              axes[i], rank);
      return false;
    }
    *mask |= 1u << k;
  }
  return true;
}

cr_var cr_sum(cr_var x, int n_axes, const int *axes, int keepdim) {
  reduce_attr r = {0, keepdim};
  if (cr_is_poison(x) || !axes_mask(x, "sum", n_axes, axes, &r.mask)) return cr_poison(x.tape);
  return cr_record(x.tape, &sum_op, 1, &x, &r);
}
cr_var cr_sum_all(cr_var x) { return cr_sum(x, -1, NULL, 0); }

/* dim is None, an int or a list: -1 axes for None, which means all. -2 after a failure. */
static int arg_axes(cr_call *c, int k, int *axes) {
  int64_t dims[CR_MAX_RANK];
  if (!cr_arg_given(c, k)) return -1;
  int n = cr_arg_ints(c, k, CR_MAX_RANK, dims);
  for (int i = 0; i < n; i++) axes[i] = (int)dims[i];
  return n < 0 ? -2 : n;
}
static void call_sum(cr_call *c) {
  int axes[CR_MAX_RANK], n = arg_axes(c, 1, axes);
  if (n > -2) cr_return(c, cr_sum(cr_arg_var(c, 0), n, axes, cr_arg_bool(c, 2)));
}

const cr_function cr__reduce_functions[] = {
  {.signature = "sum(input, dim=None, keepdim=False)", .call = call_sum, .family = "reduction",
   .doc = "Sum over axes, all of them without dim; integers and bools give int64.", .derivative = "the cotangent spread over the axes that went",
   .samples = "sum(x:(2,3)); sum(x:(2,3,2), dim=(0,-1)); sum(x:(2,3), dim=1, keepdim=True)"},
  {.signature = NULL}};
