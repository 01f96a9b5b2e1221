/* Selection by value: where, clamp, masked_fill, triangles. */
#include "emit.h"
#include "ops.h"
#include "parallel.h"

/* where: a condition of any dtype (nonzero means true) and two values of one dtype, broadcast together */

static cr_status where_prepare(cr_tape *t, int n, cr_var *in) {
  in[0] = cr_cast(in[0], CR_BOOL);
  if (cr_is_poison(in[0])) return cr_error(t);
  cr_status status = cr__one_dtype(t, 2, in + 1, 'b');
  return status == CR_OK ? cr__broadcast_operands(t, n, in) : status;
}

static cr_status where_infer(cr_infer *c) {
  cr_array_init(c->out, (cr_dtype)c->in[1].dtype, c->in[1].rank, c->in[1].dim);
  return CR_OK;
}

/* The step with which an array advances in row-major order: 1, 0 for one number repeated, -1 for neither. */
static int64_t even_step(const cr_array *a) {
  if (a->contiguous) return 1;
  for (int i = 0; i < a->rank; i++)
    if (a->stride[i]) return -1;
  return 0;
}

typedef struct choice {
  const void *data[3];
  int64_t step[3];
  cr_array *out;
} choice;

/* With a mask of bits instead of a branch, which a random condition would mislead. */
#define CHOOSE(T)                                                       \
  {                                                                     \
    const T *p = w->data[1], *q = w->data[2];                           \
    T *out = w->out->data;                                              \
    for (int64_t i = from; i < to; i++) {                               \
      T keep = (T)-(T)(m[i * sm] != 0);                                 \
      out[i] = (T)((p[i * sp] & keep) | (q[i * sq] & (T)~keep));        \
    }                                                                   \
    return;                                                             \
  }
static void choose(void *context, int64_t from, int64_t to) {
  const choice *w = context;
  const uint8_t *m = w->data[0];
  const int64_t sm = w->step[0], sp = w->step[1], sq = w->step[2];
  size_t size = cr_dtype_size((cr_dtype)w->out->dtype);
  if (size == 8) CHOOSE(uint64_t)
  if (size == 4) CHOOSE(uint32_t)
  CHOOSE(uint8_t)
}

static cr_status where_eval(cr_eval *c) {
  choice w = {.out = c->out};
  for (int k = 0; k < 3; k++) {
    const cr_array *a = &c->in[k];
    w.step[k] = even_step(a);
    w.data[k] = w.step[k] < 0 ? cr__dense(c, a, (cr_dtype)a->dtype) : a->data;
    if (w.step[k] < 0) w.step[k] = 1;
    if (!w.data[k]) return CR_NO_MEMORY;
  }
  cr__parallel(c->tape, c->out->count, CR__BLOCK, choose, &w);
  return CR_OK;
}

/* Select, never multiply: an infinite cotangent must not leak into the branch not taken. */
static void where_vjp(cr_vjp_rule *c) {
  cr_var zero = cr_const(c->tape, 0);
  if (c->wanted[1]) c->d[1] = cr_where(c->in[0], c->g, zero);
  if (c->wanted[2]) c->d[2] = cr_where(c->in[0], zero, c->g);
}

static void where_emit(cr_emit_context *c) { cr_emit_value(c, "$0 ? $1 : $2"); }

static const cr_op where_op = {
  .name = "where", .check = cr__check_nothing, .arity = 3, .kind = CR_LINEAR, .prepare = where_prepare,
  .infer = where_infer, .eval = where_eval, .emit = where_emit, .pointwise = 1,
  .vjp = where_vjp, .latex = "\\begin{cases} %b & \\text{if } %a \\\\ %c & \\text{else} \\end{cases}",
  .rule = "the cotangent where the value was taken, 0 elsewhere; none to the condition"};

cr_var cr_where(cr_var condition, cr_var x, cr_var y) {
  return cr_record(condition.tape, &where_op, 3, (cr_var[]){condition, x, y}, NULL);
}

/* A bound that is NaN wins, as a NaN in x does; for a literal this is known beforehand. */
static cr_var beyond(cr_var outside, cr_var bound) {
  if (cr_is_const(bound) && cr_count(bound) == 1 && cr_value(bound) == cr_value(bound)) return outside;
  return cr_logical_or(outside, cr_isnan(bound));
}

cr_var cr_clamp(cr_var x, cr_var lo, cr_var hi) {
  if (!cr_absent(lo)) x = cr_where(beyond(cr_lt(x, lo), lo), lo, x);
  if (!cr_absent(hi)) x = cr_where(beyond(cr_gt(x, hi), hi), hi, x);
  return x;
}

/* A constant mask over the last two axes: true where column - row compares with the diagonal as asked. */
static cr_var triangle(cr_var x, int64_t diagonal, int lower, const char *name) {
  cr_array a = cr_view(x);
  if (cr_is_poison(x)) return x;
  if (a.rank < 2) return cr_fail(x.tape, CR_BAD_SHAPE, "%s: rank %d, at least 2 are needed", name, a.rank);
  const int64_t *dims = a.dim + a.rank - 2;
  cr_var mask = cr_constant_of(x.tape, CR_BOOL, 2, dims, NULL);
  if (cr_is_poison(mask)) return mask;
  uint8_t *keep = cr_view(mask).data;
  for (int64_t i = 0; i < dims[0]; i++)
    for (int64_t j = 0; j < dims[1]; j++) keep[i * dims[1] + j] = lower ? j - i <= diagonal : j - i >= diagonal;
  return cr_where(mask, x, cr_const(x.tape, 0));
}
cr_var cr_tril(cr_var x, int64_t diagonal) { return triangle(x, diagonal, 1, "tril"); }
cr_var cr_triu(cr_var x, int64_t diagonal) { return triangle(x, diagonal, 0, "triu"); }

/* Names in the expression language */

static void call_where(cr_call *c) {
  cr_var condition = cr_arg_var(c, 0), x = cr_arg_var(c, 1), y = cr_arg_var(c, 2);
  cr_return(c, cr_where(condition, x, y));
}
static cr_var bound(cr_call *c, int k) { return cr_arg_given(c, k) ? cr_arg_var(c, k) : cr_poison(cr_call_tape(c)); }
static void call_clamp(cr_call *c) {
  cr_var x = cr_arg_var(c, 0), lo = bound(c, 1), hi = bound(c, 2);
  if (!cr_arg_given(c, 1) && !cr_arg_given(c, 2))
    cr_fail(cr_call_tape(c), CR_BAD_ARGUMENT, "clamp: neither min nor max is given");
  cr_return(c, cr_clamp(x, lo, hi));
}
static void call_tril(cr_call *c) { cr_return(c, cr_tril(cr_arg_var(c, 0), cr_arg_int(c, 1))); }
static void call_triu(cr_call *c) { cr_return(c, cr_triu(cr_arg_var(c, 0), cr_arg_int(c, 1))); }

static const cr_op *const recorded[] = {&where_op, NULL};

const cr_function cr__select_functions[] = {
  {.ops = recorded, .signature = "where(condition, input, other)", .call = call_where, .family = "selection",
   .doc = "input where the condition is not 0, other elsewhere.",
   .derivative = "the cotangent where the value was taken, 0 elsewhere; none to the condition",
   .kinks = "the branch not taken contributes exactly 0, whatever its derivative",
   .samples = "where(m:(2,3)?, x:(2,3), y:(3)); where(x:(4) > 0, x * x, 2 * x)"},
  {.signature = "clamp(input, min=None, max=None) | clip", .call = call_clamp, .family = "selection",
   .doc = "input kept between min and max, numbers or tensors; max where they cross.",
   .derivative = "1 where min <= input <= max, else to the bound that was taken",
   .kinks = "1 to input at both edges; NaN stays",
   .samples = "clamp(x:(4), -0.5, 0.5); clamp(x:(3), min=lo:(3), max=hi:()); clamp(x:(3), max=hi:(2,1))"},
  {.signature = "masked_fill(input, mask, value)", .formula = "where(mask, value, input)", .family = "selection",
   .doc = "value where the mask is true, input elsewhere.",
   .derivative = "the cotangent where the mask is false; to value where it is true",
   .samples = "masked_fill(x:(2,3), m:(2,3)?, 0.5); masked_fill(x:(3), m:(3)?, v:())"},
  {.signature = "tril(input, diagonal=0)", .call = call_tril, .family = "shape",
   .doc = "The lower triangle of matrices, zeros above the diagonal.", .derivative = "the same triangle of the cotangent",
   .samples = "tril(x:(3,3)); tril(x:(2,2,3), 1)"},
  {.signature = "triu(input, diagonal=0)", .call = call_triu, .family = "shape",
   .doc = "The upper triangle of matrices, zeros below the diagonal.", .derivative = "the same triangle of the cotangent",
   .samples = "triu(x:(3,3)); triu(x:(3,2), -1)"},
  {.signature = NULL}};
