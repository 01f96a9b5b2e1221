/* What captured graphs are simplified to. The rules of CR_FN_SIMPLIFY are exact for every IEEE number, signed zeros,
 * infinities and NaN included, so x + 0 and x * 0 are not among them; those of CR_FN_STABLE replace formulas that overflow
 * by their stable forms. */
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "function.h"
#include "patterns.h"
#include "reduce.h"
#include "shapes.h"

static bool is_op(cr_var v, const char *name) {
  const cr_op *op = cr_op_of(v);
  return op && !strcmp(op->name, name);
}

/* Whether all elements of a constant are this number, zeros with their sign; through broadcasts and reshapes. */
static bool is_all(cr_var v, double x) {
  while (is_op(v, "broadcast_to") || is_op(v, "reshape")) v = cr_operand(v, 0);
  if (!cr_is_const(v) || cr_count(v) != 1) return false;
  double y = cr_value(v);
  return y == x && signbit(y) == signbit(x);
}

static cr_var no(cr_tape *t) { return cr_poison(t); }

/* Exact */

static cr_var mul(cr_tape *t, int n, const cr_var *in, const void *attr) {
  (void)n, (void)attr;
  return is_all(in[1], 1) ? in[0] : is_all(in[0], 1) ? in[1] : no(t);
}
static cr_var div_(cr_tape *t, int n, const cr_var *in, const void *attr) {
  (void)n, (void)attr;
  return is_all(in[1], 1) ? in[0] : no(t);
}
static cr_var sub(cr_tape *t, int n, const cr_var *in, const void *attr) {
  (void)n, (void)attr;
  return is_all(in[1], 0.0) ? in[0] : no(t);
}
static cr_var add(cr_tape *t, int n, const cr_var *in, const void *attr) {
  (void)t, (void)n, (void)attr;
  return is_all(in[1], -0.0) ? in[0] : is_all(in[0], -0.0) ? in[1] : cr__sum_of_windows(in[0], in[1]);
}
static cr_var neg(cr_tape *t, int n, const cr_var *in, const void *attr) {
  (void)n, (void)attr;
  return is_op(in[0], "neg") ? cr_operand(in[0], 0) : no(t);
}
/* The chain rule's product is 0 where the cotangent is, whatever the partial. */
static cr_var guarded_mul(cr_tape *t, int n, const cr_var *in, const void *attr) {
  (void)n, (void)attr;
  if (is_all(in[0], 1)) return in[1];
  if (!is_all(in[0], 0.0) && !is_all(in[0], -0.0)) return no(t);
  cr_array a = cr_view(in[0]);
  return cr_rank(in[0]) ? cr_full(t, (cr_dtype)a.dtype, a.rank, a.dim, 0) : is_all(in[0], 0.0) ? in[0] : no(t);
}

static cr_var logical_and(cr_tape *t, int n, const cr_var *in, const void *attr) {
  (void)n, (void)attr;
  for (int k = 0; k < 2; k++) {
    if (is_all(in[k], 0)) return in[k];
    if (is_all(in[k], 1)) return in[1 - k];
  }
  return no(t);
}
static cr_var where(cr_tape *t, int n, const cr_var *in, const void *attr) {
  (void)n, (void)attr;
  return is_all(in[0], 0) ? in[2] : is_all(in[0], 1) ? in[1] : no(t);
}

static bool same_shape(cr_var x, cr_var y) {
  bool same = cr_rank(x) == cr_rank(y) && cr_dtype_of(x) == cr_dtype_of(y);
  for (int i = 0; same && i < cr_rank(x); i++) same = cr_dim(x, i) == cr_dim(y, i);
  return same;
}

/* Of reshapes and broadcasts in a row the last one counts; one to its own shape does nothing. Reshapes only while they are
 * views. */
static bool is_dense(cr_var v) { return cr_view(v).contiguous; }

static cr_var reshape(cr_tape *t, int n, const cr_var *in, const void *attr) {
  const dims_attr *d = attr;
  (void)n;
  cr_array a = cr_view(in[0]);
  bool same = a.rank == d->rank;
  for (int i = 0; same && i < a.rank; i++) same = a.dim[i] == d->dim[i];
  if (same) return in[0];
  if (!is_op(in[0], "reshape") || !is_dense(in[0]) || !is_dense(cr_operand(in[0], 0))) return no(t);
  cr_var x = cr_operand(in[0], 0);
  cr_array b = cr_view(x);
  same = b.rank == d->rank;
  for (int i = 0; same && i < b.rank; i++) same = b.dim[i] == d->dim[i];
  return same ? x : cr_reshape(x, d->rank, d->dim);
}
static cr_var broadcast_to(cr_tape *t, int n, const cr_var *in, const void *attr) {
  const dims_attr *d = attr;
  (void)n;
  cr_array a = cr_view(in[0]);
  bool same = a.rank == d->rank;
  for (int i = 0; same && i < a.rank; i++) same = a.dim[i] == d->dim[i];
  if (same) return in[0];
  return is_op(in[0], "broadcast_to") ? cr_broadcast_to(cr_operand(in[0], 0), d->rank, d->dim) : no(t);
}
static cr_var permute(cr_tape *t, int n, const cr_var *in, const void *attr) {
  const dims_attr *outer = attr, *inner;
  int axes[CR_MAX_RANK];
  bool same = true;
  (void)n;
  if (!is_op(in[0], "permute")) {
    for (int i = 0; i < outer->rank; i++) same = same && outer->dim[i] == i;
    return same ? in[0] : no(t);
  }
  inner = cr_attributes(in[0]);
  for (int i = 0; i < outer->rank; i++) {
    axes[i] = (int)inner->dim[outer->dim[i]];
    same = same && axes[i] == i;
  }
  return same ? cr_operand(in[0], 0) : cr_permute(cr_operand(in[0], 0), outer->rank, axes);
}
/* A cast to a wider dtype and back. */
static cr_var cast(cr_tape *t, int n, const cr_var *in, const void *attr) {
  cr_dtype to = (cr_dtype)((const dims_attr *)attr)->rank;
  (void)n;
  if (!is_op(in[0], "cast")) return no(t);
  cr_var x = cr_operand(in[0], 0);
  cr_dtype from = cr_dtype_of(x), by = cr_dtype_of(in[0]);
  bool wider = (from == CR_FLOAT32 && by == CR_FLOAT64) || (from == CR_INT32 && (by == CR_INT64 || by == CR_FLOAT64)) ||
               from == CR_BOOL;
  return to == from && wider && same_shape(x, x) ? x : no(t);
}

/* Stable */

typedef struct softmax_attr {
  unsigned mask;
  int empty_is_zero;
} softmax_attr;

/* exp(u) / sum(exp(u)) along one axis, spread over it again: that axis, or -1. */
static int softmax_axis(cr_var over, cr_var under) {
  cr_var sum = is_op(under, "broadcast_to") ? cr_operand(under, 0) : under, u;
  if (is_op(sum, "reshape") && cr_rank(over) == 1) sum = cr_operand(sum, 0);
  if (!is_op(over, "exp") || !is_op(sum, "sum") || !is_op(cr_operand(sum, 0), "exp")) return -1;
  u = cr_operand(over, 0);
  if (cr_operand(cr_operand(sum, 0), 0).id != u.id) return -1;
  const cr__axes *a = cr_attributes(sum);
  int axis = 0;
  while (axis < cr_rank(u) && a->mask != 1u << axis) axis++;
  return axis < cr_rank(u) && (a->keepdim || cr_rank(u) == 1) ? axis : -1;
}

/* log(1 / (1 + exp(-x))) and log(exp(x) / sum(exp(x))) */
static cr_var log_of_ratio(cr_tape *t, cr_var over, cr_var under) {
  int axis = softmax_axis(over, under);
  if (axis >= 0) return cr_log_softmax(cr_operand(over, 0), axis);
  for (int k = 0; k < 2 && is_all(over, 1) && is_op(under, "add"); k++)
    if (is_all(cr_operand(under, k), 1) && is_op(cr_operand(under, 1 - k), "exp"))
      return cr_logsigmoid(cr_neg(cr_operand(cr_operand(under, 1 - k), 0)));
  return no(t);
}

static cr_var log_(cr_tape *t, int n, const cr_var *in, const void *attr) {
  (void)n, (void)attr;
  cr_var x = in[0];
  if (is_op(x, "div")) return log_of_ratio(t, cr_operand(x, 0), cr_operand(x, 1));
  if (is_op(x, "sigmoid")) return cr_logsigmoid(cr_operand(x, 0));
  if (is_op(x, "softmax")) {
    const softmax_attr *s = cr_attributes(x);
    int axis = 0;
    while (axis < CR_MAX_RANK && s->mask != 1u << axis) axis++;
    return axis < CR_MAX_RANK && !s->empty_is_zero ? cr_log_softmax(cr_operand(x, 0), axis) : no(t);
  }
  if (is_op(x, "sum") && is_op(cr_operand(x, 0), "exp")) {
    const cr__axes *a = cr_attributes(x);
    int axes[CR_MAX_RANK], m = 0;
    for (int i = 0; i < CR_MAX_RANK; i++)
      if (a->mask >> i & 1) axes[m++] = i;
    return m ? cr_logsumexp(cr_operand(cr_operand(x, 0), 0), m, axes, a->keepdim) : no(t);
  }
  if (!is_op(x, "add")) return no(t);
  for (int k = 0; k < 2; k++)
    if (is_all(cr_operand(x, k), 1) && is_op(cr_operand(x, 1 - k), "exp"))
      return cr_log1pexp(cr_operand(cr_operand(x, 1 - k), 0));
  return no(t);
}
static cr_var log1p_(cr_tape *t, int n, const cr_var *in, const void *attr) {
  (void)n, (void)attr;
  return is_op(in[0], "exp") ? cr_log1pexp(cr_operand(in[0], 0)) : no(t);
}

const cr_rewrite cr__rewrites[] = {
  {"mul", CR_FN_SIMPLIFY, mul},
  {"div", CR_FN_SIMPLIFY, div_},
  {"sub", CR_FN_SIMPLIFY, sub},
  {"add", CR_FN_SIMPLIFY, add},
  {"neg", CR_FN_SIMPLIFY, neg},
  {"guarded_mul", CR_FN_SIMPLIFY, guarded_mul},
  {"logical_and", CR_FN_SIMPLIFY, logical_and},
  {"where", CR_FN_SIMPLIFY, where},
  {"reshape", CR_FN_SIMPLIFY, reshape},
  {"broadcast_to", CR_FN_SIMPLIFY, broadcast_to},
  {"permute", CR_FN_SIMPLIFY, permute},
  {"cast", CR_FN_SIMPLIFY, cast},
  {"log", CR_FN_STABLE, log_},
  {"log1p", CR_FN_STABLE, log1p_},
  {NULL, 0, NULL}};
