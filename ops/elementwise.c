/* What the rows of elementwise.def become: kernels, the scalar reverse sweep, ops and constructors. */
/* Hoisting what the cases of the sweep and the constructors share costs a tenth of their speed: measured by tests/bench. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-code-hoisting", "no-tree-slp-vectorize")
#endif

#include "internal.h"
#include "ops.h"
#include "rowmath.h"
#include "rownumbers.h"
#include "singlemath.h"
#include "vectors.h"

/* Rows on integers differ in their loops alone; every other expansion takes them as UNARY and BINARY. */
#define INT_UNARY UNARY
#define INT_BINARY BINARY

/* Values and partials as functions of doubles. */
#define UNARY(name, value, da, ...)                                                                     \
  static double name##_value(double a, double b) { return (void)b, (double)(value); }                   \
  static double name##_by_a(double a, double b, double y) { return (void)a, (void)b, (void)y, (double)(da); }
#define BINARY(name, infix, value, da, db, ...)                                                         \
  static double name##_value(double a, double b) { return (void)a, (void)b, (double)(value); }          \
  static double name##_by_a(double a, double b, double y) { return (void)a, (void)b, (void)y, (double)(da); } \
  static double name##_by_b(double a, double b, double y) { return (void)a, (void)b, (void)y, (double)(db); }
#define COMPARE(name, infix, value, ...) \
  static double name##_value(double a, double b) { return (void)a, (void)b, (double)(value); }
#define COMPARE1(name, value, ...) \
  static double name##_value(double a, double b) { return (void)b, (double)(value); }
#include "elementwise.def"
#undef UNARY
#undef BINARY
#undef COMPARE
#undef COMPARE1

/* Loops over n elements. */
#define LOOP(T, U, N, value)                                                                                    \
  {                                                                                                             \
    const T *p = pa, *q = pb;                                                                                   \
    U *out = py;                                                                                                \
    if (sa == 1 && sb == 1)                                                                                     \
      for (int64_t i = 0; i < n; i++) { N a = (N)p[i], b = (N)q[i]; (void)a, (void)b; out[i] = (U)(value); }     \
    else                                                                                                        \
      for (int64_t i = 0; i < n; i++) { N a = (N)p[i * sa], b = (N)q[i * sb]; (void)a, (void)b; out[i] = (U)(value); } \
    return;                                                                                                     \
  }
/* float32 as vectors.c has it, for processors without vectors and for few elements. */
#define FLOAT32_LOOP(T, name, value)                                                                                    \
  static void name##_float32(int64_t n, const void *pa, int64_t sa, const void *pb, int64_t sb, void *py)               \
      LOOP(float, float, T, value)
#define FLOAT32_PULL(T, name, k, partial)                                                                               \
  static void name##_float32_by_##k(int64_t n, const float *p, int64_t sa, const float *q, int64_t sb, const float *r,  \
                                    int64_t sy, const float *s, int64_t sg, float *out) {                               \
    if (sa == 1 && sb == 1 && sg == 1) {                                                                                \
      for (int64_t i = 0; i < n; i++) {                                                                                 \
        T a = (T)p[i], b = (T)q[i], y = (T)r[i * sy], g = (T)s[i], d = (T)(partial), x = g * d;                         \
        (void)a, (void)b, (void)y;                                                                                      \
        out[i] = (float)(g == 0 ? 0 : x);                                                                               \
      }                                                                                                                 \
      return;                                                                                                           \
    }                                                                                                                   \
    for (int64_t i = 0; i < n; i++) {                                                                                   \
      T a = (T)p[i * sa], b = (T)q[i * sb], y = (T)r[i * sy], g = (T)s[i * sg];                                         \
      (void)a, (void)b, (void)y;                                                                                        \
      out[i] = (float)(g == 0 ? 0 : g * (T)(partial));                                                                  \
    }                                                                                                                   \
  }
#define SINGLE_UNARY(name, value, da) FLOAT32_LOOP(float, name, value) FLOAT32_PULL(float, name, a, da)
#define SINGLE_BINARY(name, value, da, db) \
  FLOAT32_LOOP(float, name, value) FLOAT32_PULL(float, name, a, da) FLOAT32_PULL(float, name, b, db)
#define DOUBLE_UNARY(name, value, da) FLOAT32_LOOP(double, name, value) FLOAT32_PULL(double, name, a, da)
#define DOUBLE_BINARY(name, value, da, db) \
  FLOAT32_LOOP(double, name, value) FLOAT32_PULL(double, name, a, da) FLOAT32_PULL(double, name, b, db)
#include "singlerows.h"

#define LOOP_HEAD(name) \
  static void name##_loop(cr_dtype dtype, int64_t n, const void *pa, int64_t sa, const void *pb, int64_t sb, void *py)
/* Of fixed rows a few numbers need not be filled up to a vector. */
enum { FEW = 16 };
#define VECTORS_PAY(row) (dtype == CR_FLOAT32 && !(n < FEW && IS_FIXED(row)) && cr__has_vectors())

#define BY_VECTORS(name)                                                     \
  if (VECTORS_PAY(ROW_##name)) {                                             \
    cr__vector_loop(ROW_##name - CR__FIRST_ROW, n, pa, sa, pb, sb, py);      \
    return;                                                                  \
  }
#define FLOAT_LOOPS(name, value)                            \
  LOOP_HEAD(name) {                                         \
    BY_VECTORS(name)                                        \
    if (dtype == CR_FLOAT64) LOOP(double, double, double, value) \
    if (dtype == CR_FLOAT32) name##_float32(n, pa, sa, pb, sb, py); \
  }
#define INT_LOOPS(name, value)                              \
  LOOP_HEAD(name) {                                         \
    BY_VECTORS(name)                                        \
    if (dtype == CR_FLOAT64) LOOP(double, double, double, value) \
    if (dtype == CR_FLOAT32) name##_float32(n, pa, sa, pb, sb, py); \
    if (dtype == CR_INT64) LOOP(int64_t, int64_t, int64_t, value) \
    if (dtype == CR_INT32) LOOP(int32_t, int32_t, int64_t, value) \
  }
#define BOOL_LOOPS(name, value)                             \
  LOOP_HEAD(name) {                                         \
    if (dtype == CR_FLOAT64) LOOP(double, uint8_t, double, value) \
    if (dtype == CR_FLOAT32) LOOP(float, uint8_t, double, value) \
    if (dtype == CR_INT64) LOOP(int64_t, uint8_t, int64_t, value) \
    if (dtype == CR_INT32) LOOP(int32_t, uint8_t, int64_t, value) \
    if (dtype == CR_BOOL) LOOP(uint8_t, uint8_t, int64_t, value) \
  }
#undef INT_UNARY
#undef INT_BINARY
#define UNARY(name, value, ...) FLOAT_LOOPS(name, value)
#define BINARY(name, infix, value, ...) FLOAT_LOOPS(name, value)
#define INT_UNARY(name, value, ...) INT_LOOPS(name, value)
#define INT_BINARY(name, infix, value, ...) INT_LOOPS(name, value)
#define COMPARE(name, infix, value, ...) BOOL_LOOPS(name, value)
#define COMPARE1(name, value, ...) BOOL_LOOPS(name, value)
#include "elementwise.def"
#undef UNARY
#undef BINARY
#undef INT_UNARY
#undef INT_BINARY
#undef COMPARE
#undef COMPARE1
#define INT_UNARY UNARY
#define INT_BINARY BINARY

/* Pulls over n elements: out = g * partial, where a zero cotangent gives zero whatever the partial is. */
#define PULL(T, row, term)                                                                      \
  {                                                                                             \
    const T *p = pa, *q = pb, *r = py, *s = pg;                                                 \
    T *out = pout;                                                                              \
    if (IS_FIXED(row) && sa == 1 && sb == 1 && sg == 1) {                                       \
      for (int64_t i = 0; i < n; i++) {                                                         \
        double a = (double)p[i], b = (double)q[i], y = (double)r[i * sy], g = (double)s[i];     \
        (void)a, (void)b, (void)y;                                                              \
        double d = (double)(term);                                                              \
        out[i] = (T)(g == 0 ? 0 : d);                                                           \
      }                                                                                         \
      return;                                                                                   \
    }                                                                                           \
    for (int64_t i = 0; i < n; i++) {                                                           \
      double a = (double)p[i * sa], b = (double)q[i * sb], y = (double)r[i * sy], g = (double)s[i * sg]; \
      (void)a, (void)b, (void)y;                                                                \
      out[i] = (T)(g == 0 ? 0 : (double)(term));                                                \
    }                                                                                           \
    return;                                                                                     \
  }
#define PULL_HEAD(name) \
  static void name(cr_dtype dtype, int64_t n, const void *pa, int64_t sa, const void *pb, int64_t sb, const void *py, \
                   int64_t sy, const void *pg, int64_t sg, void *pout)
#define VECTOR_PULLS(name, row, k, by, term) \
  PULL_HEAD(name##_pull_##by) {                                                                                   \
    if (VECTORS_PAY(row)) {                                                                                       \
      cr__vector_pull(row - CR__FIRST_ROW, k, n, pa, sa, pb, sb, py, sy, pg, sg, pout);                           \
      return;                                                                                                     \
    }                                                                                                             \
    if (dtype == CR_FLOAT64) PULL(double, row, term)                                                              \
    if (dtype == CR_FLOAT32) name##_float32_by_##by(n, pa, sa, pb, sb, py, sy, pg, sg, pout);                     \
  }
#define PULLS(name, term)                         \
  PULL_HEAD(name) {                               \
    if (dtype == CR_FLOAT64) PULL(double, ROW_guarded_mul, term)   \
    if (dtype == CR_FLOAT32) PULL(float, ROW_guarded_mul, term)    \
  }
#define UNARY(name, value, da, ...) VECTOR_PULLS(name, ROW_##name, 0, a, g * (double)(da))
#define BINARY(name, infix, value, da, db, ...)                    \
  VECTOR_PULLS(name, ROW_##name, 0, a, g * (double)(da))   \
  VECTOR_PULLS(name, ROW_##name, 1, b, g * (double)(db))
#define COMPARE(...)
#define COMPARE1(...)
#include "elementwise.def"
#undef UNARY
#undef BINARY
#undef COMPARE
#undef COMPARE1

/* Shape rule, kernel, and what happens to operands before */

static cr_status row_infer(cr_infer *c) {
  const cr_array *a = &c->in[0], *b = &c->in[c->n - 1];
  cr_array both;
  if (!cr_broadcast(a, b, &both) || both.count != a->count || both.rank != a->rank) {
    cr_fail(c->tape, CR_BAD_SHAPE, "shapes differ");
    return CR_BAD_SHAPE;
  }
  cr_array_init(c->out, c->op->row->result == 'b' ? CR_BOOL : (cr_dtype)a->dtype, a->rank, a->dim);
  return CR_OK;
}

static cr_status row_eval(cr_eval *c) {
  cr__row_loop(c->tape, c->op->row, &c->in[0], &c->in[c->n - 1], c->out);
  return CR_OK;
}

/* A constant scalar is weak: it takes the dtype of what it meets. */
static bool is_weak(cr_tape *t, cr_var v) { return cr__op_bits(&t->node[v.id]) == CR__CONST; }

static bool is_integral(double x) { return x == floor(x) && fabs(x) < 9007199254740992.0; }

/* The dtype in which operands meet: the widest in the order bool, int32, int64, float32, float64. */
static cr_dtype common_dtype(cr_tape *t, int n, const cr_var *in, char result) {
  int d = -1;
  bool fraction = false;
  for (int k = 0; k < n; k++) {
    int e = (int)cr_dtype_of(in[k]);
    if (is_weak(t, in[k])) fraction = fraction || !is_integral(cr_value(in[k]));
    else if (e > d) d = e;
  }
  if (d == -1 || (d < CR_FLOAT32 && (fraction || result == 'f'))) return CR_FLOAT64;
  return result == 'i' && d == CR_BOOL ? CR_INT64 : (cr_dtype)d;
}

static cr_var to_dtype(cr_tape *t, cr_var v, cr_dtype dtype) {
  if (cr_dtype_of(v) == dtype) return v;
  if (!is_weak(t, v)) return cr_cast(v, dtype);
  cr_var c = cr_constant_of(t, dtype, 0, NULL, NULL);
  if (c.id) {
    cr_array a = cr_view(c);
    cr_array_set(&a, 0, cr_value(v));
  }
  return c;
}

cr_status cr__one_dtype(cr_tape *t, int n, cr_var *in, char result) {
  cr_dtype dtype = common_dtype(t, n, in, result);
  for (int k = 0; k < n; k++) {
    in[k] = to_dtype(t, in[k], dtype);
    if (!in[k].id) return t->error;
  }
  return CR_OK;
}

cr_status cr__prepare_elementwise(cr_tape *t, int n, cr_var *in, char result) {
  cr_status status = cr__one_dtype(t, n, in, result);
  return status == CR_OK ? cr__broadcast_operands(t, n, in) : status;
}

cr_status cr__broadcast_operands(cr_tape *t, int n, cr_var *in) {
  cr_array shape = cr_view(in[0]);
  for (int k = 1; k < n; k++) {
    cr_array a = cr_view(in[k]), both;
    if (!cr_broadcast(&shape, &a, &both)) {
      char one[200], two[200];
      cr_fail(t, CR_BAD_SHAPE, "shapes %s and %s do not broadcast", cr_shape_text(&shape, one, sizeof one),
              cr_shape_text(&a, two, sizeof two));
      return CR_BAD_SHAPE;
    }
    shape = both;
  }
  for (int k = 0; k < n; k++) {
    cr_array a = cr_view(in[k]);
    bool same = a.rank == shape.rank;
    for (int i = 0; same && i < a.rank; i++) same = a.dim[i] == shape.dim[i];
    if (!same) in[k] = cr_broadcast_to(in[k], shape.rank, shape.dim);
    if (!in[k].id) return t->error;
  }
  return CR_OK;
}

static cr_status prepare_float(cr_tape *t, int n, cr_var *in) { return cr__prepare_elementwise(t, n, in, 'f'); }
static cr_status prepare_int(cr_tape *t, int n, cr_var *in) { return cr__prepare_elementwise(t, n, in, 'i'); }
static cr_status prepare_bool(cr_tape *t, int n, cr_var *in) { return cr__prepare_elementwise(t, n, in, 'b'); }

/* The guarded product: chain-rule terms g * d in which a zero cotangent wins over an infinite partial. Its own rules keep
 * the first operand as the guard, so a branch not taken stays exactly 0 at every order. */

static double guarded_mul_value(double a, double b) { return a == 0 ? 0 : a * b; }
static double guarded_mul_by_a(double a, double b, double y) { return (void)a, (void)y, b; }
static double guarded_mul_by_b(double a, double b, double y) { return (void)b, (void)y, a; }
LOOP_HEAD(guarded_mul) {
  BY_VECTORS(guarded_mul)
  if (dtype == CR_FLOAT64) LOOP(double, double, double, a == 0 ? 0 : a * b)
  if (dtype == CR_FLOAT32) LOOP(float, float, double, a == 0 ? 0 : a * b)
}
PULLS(guarded_mul_pull_a, g * b)
PULLS(guarded_mul_pull_b, a == 0 ? 0 : g * a)

static void guarded_mul_vjp(cr_vjp_rule *c) {
  if (c->wanted[0]) c->d[0] = cr_guarded_mul(c->g, c->in[1]);
  if (c->wanted[1]) c->d[1] = cr_guarded_mul(c->in[0], c->g);
}
static cr_var guarded_mul_jvp(cr_jvp_rule *c) {
  cr_var sum = cr_poison(c->tape);
  if (!cr_absent(c->dot[0])) sum = cr_guarded_mul(c->dot[0], c->in[1]);
  if (cr_absent(c->dot[1])) return sum;
  cr_var term = cr_guarded_mul(c->in[0], c->dot[1]);
  return cr_absent(sum) ? term : cr_add(sum, term);
}

/* Ops */

#define ROW_OF(id, n, kind_, result_, prepare_, infix_, latex_, ...)                                     \
  static const cr_row id##_row = {__VA_ARGS__, .value = id##_value, .loop = id##_loop, .result = result_}; \
  static const cr_op id##_op = {.name = #id, .arity = n, .kind = kind_, .prepare = prepare_, .infer = row_infer, \
                                  .eval = row_eval, .infix = infix_, .latex = latex_, .row = &id##_row};
#define UNARY_ROW(name, result, prepare, value_, da, domain_, kinks, latex, ...)                            \
  ROW_OF(name, 1, CR_NONLINEAR, result, prepare, NULL, latex, .value_text = value_, .partial_text = {da},  \
         .same = {IS_ONE(da)}, .domain = domain_, .decision = kinks, .partial = {name##_by_a}, .pull = {name##_pull_a})
#define BINARY_ROW(name, result, prepare, infix, value_, da, db, domain_, kinks, latex, ...)                \
  ROW_OF(name, 2, CR_NONLINEAR, result, prepare, infix, latex, .value_text = value_, .partial_text = {da, db}, \
         .same = {IS_ONE(da), IS_ONE(db)}, .domain = domain_, .decision = kinks, .partial = {name##_by_a, name##_by_b}, \
         .pull = {name##_pull_a, name##_pull_b})
#define COMPARE_ROW(name, n, infix, value_, latex) \
  ROW_OF(name, n, CR_PIECEWISE_CONSTANT, 'b', prepare_bool, infix, latex, .value_text = value_)

#undef INT_UNARY
#undef INT_BINARY
#define UNARY(name, value, da, ...) UNARY_ROW(name, 'f', prepare_float, #value, #da, __VA_ARGS__)
#define BINARY(name, infix, value, da, db, ...) BINARY_ROW(name, 'f', prepare_float, infix, #value, #da, #db, __VA_ARGS__)
#define INT_UNARY(name, value, da, ...) UNARY_ROW(name, 'i', prepare_int, #value, #da, __VA_ARGS__)
#define INT_BINARY(name, infix, value, da, db, ...) BINARY_ROW(name, 'i', prepare_int, infix, #value, #da, #db, __VA_ARGS__)
#define COMPARE(name, infix, value, latex, doc) COMPARE_ROW(name, 2, infix, #value, latex)
#define COMPARE1(name, value, latex, doc) COMPARE_ROW(name, 1, NULL, #value, latex)
#include "elementwise.def"
#undef UNARY
#undef BINARY
#undef INT_UNARY
#undef INT_BINARY
#undef COMPARE
#undef COMPARE1
#define INT_UNARY UNARY
#define INT_BINARY BINARY

static const cr_row guarded_mul_row = {
  .value_text = "a == 0 ? 0 : a * b", .partial_text = {"b", "a"}, .domain = "", .decision = "",
  .value = guarded_mul_value, .partial = {guarded_mul_by_a, guarded_mul_by_b}, .loop = guarded_mul_loop,
  .pull = {guarded_mul_pull_a, guarded_mul_pull_b}, .result = 'f'};
static const cr_op guarded_mul_op = {
  .name = "guarded_mul", .arity = 2, .prepare = prepare_float, .infer = row_infer, .eval = row_eval,
  .vjp = guarded_mul_vjp, .jvp = guarded_mul_jvp, .infix = "a * b", .latex = "%a \\, %b", .row = &guarded_mul_row};

const cr_op *const cr__rows[] = {
#define UNARY(name, ...) &name##_op,
#define BINARY(name, ...) &name##_op,
#define COMPARE(name, ...) &name##_op,
#define COMPARE1(name, ...) &name##_op,
#include "elementwise.def"
  &guarded_mul_op
};
#undef UNARY
#undef BINARY
#undef COMPARE
#undef COMPARE1
const int cr__n_rows = AFTER_ROWS - CR__FIRST_ROW;

/* The reverse sweep over inline scalars: stops at the first record and returns its id. */
uint32_t cr__scalar_sweep(cr_tape *t, double *bar, uint32_t from, uint32_t to) {
  const cr_node *node = t->node;
  const cr_slot *slot = t->slot;
  for (uint32_t id = from; id >= to; id--) {
    const cr_node *n = &node[id];
    if (n->head & CR__RECORD) return id;
    const double g = bar[id];
    if (g == 0) continue;
    switch (cr__op_bits(n)) {
#define UNARY(name, value, da, ...)                              \
  case ROW_##name: {                                             \
    const double a = slot[n->in[0]].num, y = slot[id].num;       \
    (void)a, (void)y;                                            \
    bar[n->in[0]] += g * (double)(da);                           \
    break;                                                       \
  }
#define BINARY(name, infix, value, da, db, ...)                  \
  case ROW_##name: {                                             \
    const double a = slot[n->in[0]].num, b = slot[n->in[1]].num, y = slot[id].num; \
    (void)a, (void)b, (void)y;                                   \
    bar[n->in[0]] += g * (double)(da);                           \
    bar[n->in[1]] += g * (double)(db);                           \
    break;                                                       \
  }
#define COMPARE(...)
#define COMPARE1(...)
#include "elementwise.def"
#undef UNARY
#undef BINARY
#undef COMPARE
#undef COMPARE1
      case ROW_guarded_mul: {
        const double a = slot[n->in[0]].num;
        bar[n->in[0]] += g * slot[n->in[1]].num;
        if (a != 0) bar[n->in[1]] += g * a;
        break;
      }
    }
  }
  return to - 1;
}

/* Constructors: the fast path is a push of 24 bytes; what it does not serve is kept out of line. */
#define UNARY(name, value, ...)                                                     \
  cr_var cr_##name(cr_var x) {                                                      \
    cr_tape *t = x.tape;                                                            \
    if (CR__LIKELY(cr__fast1(t, x))) {                                              \
      double a = t->slot[x.id].num;                                                 \
      return cr__push_inline(t, ROW_##name, x.id, 0, (double)(value));              \
    }                                                                               \
    return cr__record_row1(x, ROW_##name);                                           \
  }
#define BINARY(name, infix, value, ...)                                             \
  cr_var cr_##name(cr_var x, cr_var y) {                                            \
    cr_tape *t = x.tape;                                                            \
    if (CR__LIKELY(cr__fast2(t, x, y))) {                                           \
      double a = t->slot[x.id].num, b = t->slot[y.id].num;                          \
      return cr__push_inline(t, ROW_##name, x.id, y.id, (double)(value));           \
    }                                                                               \
    return cr__record_row2(x, y, ROW_##name);                                        \
  }
#define COMPARE(name, ...) \
  cr_var cr_##name(cr_var x, cr_var y) { return cr_record(x.tape, &name##_op, 2, (cr_var[]){x, y}, NULL); }
#define COMPARE1(name, ...) \
  cr_var cr_##name(cr_var x) { return cr_record(x.tape, &name##_op, 1, &x, NULL); }
#include "elementwise.def"
BINARY(guarded_mul, NULL, a == 0 ? 0 : a * b, )
#undef UNARY
#undef BINARY
#undef COMPARE
#undef COMPARE1

/* Names in the expression language */

static void call_row(cr_call *c) {
  const cr_op *op = cr__rows[cr_call_function(c) - cr__elementwise_functions];
  cr_var in[2] = {{0}, {0}};
  for (int k = 0; k < op->arity; k++) in[k] = cr_arg_var(c, k);
  cr_return(c, cr_record(cr_call_tape(c), op, op->arity, in, NULL));
}

const cr_function cr__elementwise_functions[] = {
#define UNARY(name, value, da, domain_, kinks_, latex, doc_) \
  {.signature = #name "(input)", .call = call_row, .doc = doc_, .domain = domain_, .derivative = "d/da: " #da, \
   .kinks = kinks_, .family = "elementwise"},
#define BINARY(name, infix, value, da, db, domain_, kinks_, latex, doc_) \
  {.signature = #name "(input, other)", .call = call_row, .doc = doc_, .domain = domain_, \
   .derivative = "d/da: " #da ";  d/db: " #db, .kinks = kinks_, .family = "elementwise"},
#define COMPARE(name, infix, value, latex, doc_) \
  {.signature = #name "(input, other)", .call = call_row, .doc = doc_, .family = "comparison"},
#define COMPARE1(name, value, latex, doc_) \
  {.signature = #name "(input)", .call = call_row, .doc = doc_, .family = "comparison"},
#include "elementwise.def"
  {.signature = "guarded_mul(input, other)", .call = call_row, .derivative = "d/da: b;  d/db: a", .family = "elementwise",
   .doc = "The product of the chain rule: a * b, and 0 where a is 0 whatever b is."},
  {.signature = NULL}};
#undef UNARY
#undef BINARY
#undef COMPARE
#undef COMPARE1
