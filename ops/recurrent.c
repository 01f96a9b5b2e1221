/* Gates of recurrent cells from their pre-activations, fused: a step of a layer is a product, a sum and one of these. */
#include <stdbool.h>
#include <string.h>

#include "flatmath.h"
#include "fused.h"
#include "windows.h"

static cr_var part(cr_var x, int k, int64_t n) { return cr_slice_axis(x, -1, k * n, (k + 1) * n, 1); }

/* The last axis of a must be n times as long as that of b, and the others equal. */
static bool fits(const cr_array *a, const cr_array *b, int64_t n) {
  bool same = a->rank == b->rank && a->rank > 0 && a->dim[a->rank - 1] == n * b->dim[b->rank - 1];
  for (int i = 0; same && i < a->rank - 1; i++) same = a->dim[i] == b->dim[i];
  return same;
}
static cr_status unfit(cr_infer *c, const char *what) {
  char one[200], two[200];
  cr_fail(c->tape, CR_BAD_SHAPE, "shapes %s and %s: %s", cr_shape_text(&c->in[0], one, sizeof one),
          cr_shape_text(&c->in[c->n - 1], two, sizeof two), what);
  return CR_BAD_SHAPE;
}
static cr_status one_dtype(cr_tape *t, int n, cr_var *in) { return cr__one_dtype(t, n, in, 'f'); }

/* The last operand is the cotangent of the result. */
static int lstm_pull_check(const cr_infer *c) {
  return cr__check_floats(c) && fits(&c->in[0], &c->in[1], 4) && c->in[2].count == 2 * c->in[1].count;
}
static int gru_pull_check(const cr_infer *c) {
  return c->n == 4 && cr__check_floats(c) && fits(&c->in[0], &c->in[2], 3) && fits(&c->in[1], &c->in[2], 3) &&
         c->in[3].count == c->in[2].count;
}

/* The cotangents of all operands one after the other, as a vector. */
static cr_status pull_infer(cr_infer *c) {
  int64_t n = 0;
  for (int k = 0; k < c->n - 1; k++) n += c->in[k].count;
  cr_array_init(c->out, (cr_dtype)c->in[0].dtype, 1, &n);
  return CR_OK;
}
static cr_var packed(int n, cr_var *d) {
  for (int k = 0; k < n; k++) d[k] = cr_flatten(d[k], 0, -1);
  return cr_concatenate(n, d, 0);
}
static void hand_out(cr_vjp_rule *c, const cr_op *pull) {
  cr_var in[CR__MOST_FUSED];
  memcpy(in, c->in, (size_t)c->n * sizeof *in);
  in[c->n] = c->g;
  cr_var all = cr_record(c->tape, pull, c->n + 1, in, NULL);
  int64_t at = 0;
  for (int k = 0; k < c->n; k++) {
    cr_array a = cr_view(c->in[k]);
    if (c->wanted[k]) c->d[k] = cr_reshape(cr_slice_axis(all, 0, at, at + a.count, 1), a.rank, a.dim);
    at += a.count;
  }
}

/* Rows of n units each; all units of the states. */
typedef struct rows {
  const void *in[CR__MOST_FUSED];
  void *out;
  int64_t n, all;
} rows;
typedef void rows_body(void *context, int64_t from, int64_t to);

#define EACH_VERSION(F)                                                         \
  F(float, float) F(wide_float, float) F(widest_float, float) F(double, double) \
  F(wide_double, double) F(widest_double, double)
#define VERSIONS(f) {{f##_float, f##_wide_float, f##_widest_float}, {f##_double, f##_wide_double, f##_widest_double}}

/* state: the operand that is as wide as the result. */
static cr_status over_rows(cr_eval *c, int state, rows_body *body[2][3]) {
  enum { SOME = 1 << 12 };
  cr_dtype dtype = (cr_dtype)c->out->dtype;
  const cr_array *a = &c->in[state];
  rows w = {.out = c->out->data, .n = a->dim[a->rank - 1], .all = a->count};
  for (int k = 0; k < c->n; k++)
    if (!(w.in[k] = cr__dense(c, &c->in[k], dtype))) return CR_NO_MEMORY;
  cr_parallel(c->tape, w.n ? w.all / w.n : 0, 1 + SOME / (w.n + 1), body[dtype == CR_FLOAT64][cr__version()], &w);
  return CR_OK;
}

/* lstm_gates(z, c): (h', c') stacked, from z = (i, f, g, o) along the last axis:
 *     c' = sigmoid(f) c + sigmoid(i) tanh(g),  h' = sigmoid(o) tanh(c') */

static cr_var lstm_composed(int n, const cr_var *in, const void *attr) {
  cr_var z = in[0], c = in[1];
  int64_t h = cr_dim(c, -1);
  (void)n, (void)attr;
  cr_var next = cr_add(cr_mul(cr_sigmoid(part(z, 1, h)), c), cr_mul(cr_sigmoid(part(z, 0, h)), cr_tanh(part(z, 2, h))));
  return cr_stack(2, (cr_var[]){cr_mul(cr_sigmoid(part(z, 3, h)), cr_tanh(next)), next}, 0);
}

static cr_status lstm_infer(cr_infer *c) {
  int64_t dims[CR_MAX_RANK + 1] = {2};
  if (!fits(&c->in[0], &c->in[1], 4) || c->in[0].rank == CR_MAX_RANK)
    return unfit(c, "(..., 4 n) pre-activations and (..., n) cell states are needed");
  memcpy(dims + 1, c->in[1].dim, (size_t)c->in[1].rank * sizeof *dims);
  cr_array_init(c->out, (cr_dtype)c->in[0].dtype, c->in[1].rank + 1, dims);
  return CR_OK;
}

/* One row of n units each. */
#define LSTM(name, TARGET, T, SIGMOID, TANH)                                                                                \
  TARGET static void lstm_##name(int64_t n, const T *restrict z, const T *restrict c, T *restrict h, T *restrict next) {    \
    for (int64_t j = 0; j < n; j++) {                                                                                       \
      T unused, i = SIGMOID(z[j], &unused), f = SIGMOID(z[n + j], &unused), o = SIGMOID(z[3 * n + j], &unused);             \
      next[j] = f * c[j] + i * TANH(z[2 * n + j], &unused);                                                                 \
      h[j] = o * TANH(next[j], &unused);                                                                                    \
    }                                                                                                                       \
  }                                                                                                                         \
  TARGET static void lstm_pull_##name(int64_t n, const T *restrict z, const T *restrict c, const T *restrict gh,            \
                                      const T *restrict gc, T *restrict dz, T *restrict dc) {                               \
    for (int64_t j = 0; j < n; j++) {                                                                                       \
      T i_other, f_other, o_other, g_slope, slope;                                                                          \
      T i = SIGMOID(z[j], &i_other), f = SIGMOID(z[n + j], &f_other), g = TANH(z[2 * n + j], &g_slope);                     \
      T o = SIGMOID(z[3 * n + j], &o_other), y = TANH(f * c[j] + i * g, &slope), d = gc[j] + gh[j] * o * slope;             \
      dz[j] = d * g * (i * i_other);                                                                                        \
      dz[n + j] = d * c[j] * (f * f_other);                                                                                 \
      dz[2 * n + j] = d * i * g_slope;                                                                                      \
      dz[3 * n + j] = gh[j] * y * (o * o_other);                                                                            \
      dc[j] = d * f;                                                                                                        \
    }                                                                                                                       \
  }
LSTM(float, , float, flat_sigmoidf, flat_tanhf)
LSTM(wide_float, CR__WIDE, float, flat_sigmoidf, flat_tanhf)
LSTM(widest_float, CR__WIDEST, float, flat_sigmoidf, flat_tanhf)
LSTM(double, , double, flat_sigmoid, flat_tanh)
LSTM(wide_double, CR__WIDE, double, flat_sigmoid, flat_tanh)
LSTM(widest_double, CR__WIDEST, double, flat_sigmoid, flat_tanh)

#define LSTM_ROWS(name, T)                                                                                                  \
  static void lstm_rows_##name(void *context, int64_t from, int64_t to) {                                                   \
    const rows *w = context;                                                                                                \
    const T *z = w->in[0], *s = w->in[1], *g = w->in[2];                                                                    \
    T *out = w->out;                                                                                                        \
    int64_t n = w->n, all = w->all;                                                                                         \
    for (int64_t r = from; r < to; r++)                                                                                     \
      if (g)                                                                                                                \
        lstm_pull_##name(n, z + 4 * n * r, s + n * r, g + n * r, g + all + n * r, out + 4 * n * r, out + 4 * all + n * r);  \
      else lstm_##name(n, z + 4 * n * r, s + n * r, out + n * r, out + all + n * r);                                        \
  }
EACH_VERSION(LSTM_ROWS)

static cr_status lstm_eval(cr_eval *c) { return over_rows(c, 1, (rows_body *[2][3])VERSIONS(lstm_rows)); }

static cr_var lstm_pull_composed(int n, const cr_var *in, const void *attr) {
  cr_var d[2];
  (void)n;
  return cr__composed_pull(2, in, attr, lstm_composed, d) ? packed(2, d) : cr_poison(in[0].tape);
}
static void lstm_pull_vjp(cr_vjp_rule *c) { cr__composed_vjp(c, lstm_pull_composed); }
static cr_var lstm_pull_jvp(cr_jvp_rule *c) { return cr__composed_jvp(c, lstm_pull_composed); }
static const cr_op lstm_pull_op = {
  .name = "lstm_gates_pull", .check = lstm_pull_check, .arity = 3, .infer = pull_infer, .eval = lstm_eval,
  .vjp = lstm_pull_vjp, .jvp = lstm_pull_jvp,
  .rule = "as of the composition of sigmoids and tanh"};
static void lstm_vjp(cr_vjp_rule *c) { hand_out(c, &lstm_pull_op); }
static cr_var lstm_jvp(cr_jvp_rule *c) { return cr__composed_jvp(c, lstm_composed); }
static const cr_op lstm_op = {
    .name = "lstm_gates", .check = cr__check_floats,
    .arity = 2,
    .prepare = one_dtype,
    .infer = lstm_infer,
    .eval = lstm_eval,
    .vjp = lstm_vjp,
    .jvp = lstm_jvp,
    .rule =
        "with dc' = gc + gh o sech2(c'): dc' f to c; dc' g i (1-i), dc' c f (1-f), dc' i (1-g^2), gh tanh(c') o (1-o) to z"};

cr_var cr_lstm_gates(cr_var z, cr_var c, cr_var *next) {
  cr_var both =
      cr_is_poison(z) || cr_is_poison(c) ? cr_poison(z.tape) : cr_record(z.tape, &lstm_op, 2, (cr_var[]){z, c}, NULL);
  if (next) *next = cr_is_poison(both) ? both : cr_select(both, 0, 1);
  return cr_is_poison(both) ? both : cr_select(both, 0, 0);
}

/* gru_gates(a, b, h): h' from a = (r, z, n) of the input and b = (r, z, n) of the state, along the last axis:
 *     r = sigmoid(a_r + b_r),  z = sigmoid(a_z + b_z),  n = tanh(a_n + r b_n),  h' = (1 - z) n + z h */

static cr_var gru_composed(int count, const cr_var *in, const void *attr) {
  cr_var a = in[0], b = in[1], h = in[2];
  int64_t n = cr_dim(h, -1);
  (void)count, (void)attr;
  cr_var r = cr_sigmoid(cr_add(part(a, 0, n), part(b, 0, n))), z = cr_sigmoid(cr_add(part(a, 1, n), part(b, 1, n)));
  cr_var fresh = cr_tanh(cr_add(part(a, 2, n), cr_mul(r, part(b, 2, n))));
  return cr_add(fresh, cr_mul(z, cr_sub(h, fresh)));
}

static cr_status gru_infer(cr_infer *c) {
  if (!fits(&c->in[0], &c->in[2], 3) || !fits(&c->in[1], &c->in[2], 3))
    return unfit(c, "(..., 3 n) pre-activations twice and (..., n) states are needed");
  cr_array_init(c->out, (cr_dtype)c->in[0].dtype, c->in[2].rank, c->in[2].dim);
  return CR_OK;
}

#define GRU(name, TARGET, T, SIGMOID, TANH)                                                                                 \
  TARGET static void gru_##name(int64_t n, const T *restrict a, const T *restrict b, const T *restrict h,                   \
                                T *restrict next) {                                                                         \
    for (int64_t j = 0; j < n; j++) {                                                                                       \
      T unused, r = SIGMOID(a[j] + b[j], &unused), z = SIGMOID(a[n + j] + b[n + j], &unused);                               \
      T fresh = TANH(a[2 * n + j] + r * b[2 * n + j], &unused);                                                             \
      next[j] = fresh + z * (h[j] - fresh);                                                                                 \
    }                                                                                                                       \
  }                                                                                                                         \
  TARGET static void gru_pull_##name(int64_t n, const T *restrict a, const T *restrict b, const T *restrict h,              \
                                     const T *restrict g, T *restrict da, T *restrict db, T *restrict dh) {                 \
    for (int64_t j = 0; j < n; j++) {                                                                                       \
      T r_other, z_other, slope, r = SIGMOID(a[j] + b[j], &r_other), z = SIGMOID(a[n + j] + b[n + j], &z_other);            \
      T fresh = TANH(a[2 * n + j] + r * b[2 * n + j], &slope), d = g[j] * z_other * slope;                                  \
      da[j] = db[j] = d * b[2 * n + j] * (r * r_other);                                                                     \
      da[n + j] = db[n + j] = g[j] * (h[j] - fresh) * (z * z_other);                                                        \
      da[2 * n + j] = d;                                                                                                    \
      db[2 * n + j] = d * r;                                                                                                \
      dh[j] = g[j] * z;                                                                                                     \
    }                                                                                                                       \
  }
GRU(float, , float, flat_sigmoidf, flat_tanhf)
GRU(wide_float, CR__WIDE, float, flat_sigmoidf, flat_tanhf)
GRU(widest_float, CR__WIDEST, float, flat_sigmoidf, flat_tanhf)
GRU(double, , double, flat_sigmoid, flat_tanh)
GRU(wide_double, CR__WIDE, double, flat_sigmoid, flat_tanh)
GRU(widest_double, CR__WIDEST, double, flat_sigmoid, flat_tanh)

#define GRU_ROWS(name, T)                                                                                                   \
  static void gru_rows_##name(void *context, int64_t from, int64_t to) {                                                    \
    const rows *w = context;                                                                                                \
    const T *a = w->in[0], *b = w->in[1], *h = w->in[2], *g = w->in[3];                                                     \
    T *out = w->out;                                                                                                        \
    int64_t n = w->n, all = w->all;                                                                                         \
    for (int64_t r = from, at = n * r; r < to; r++, at += n)                                                                \
      if (g)                                                                                                                \
        gru_pull_##name(n, a + 3 * at, b + 3 * at, h + at, g + at, out + 3 * at, out + 3 * (all + at), out + 6 * all + at); \
      else gru_##name(n, a + 3 * at, b + 3 * at, h + at, out + at);                                                         \
  }
EACH_VERSION(GRU_ROWS)

static cr_status gru_eval(cr_eval *c) { return over_rows(c, 2, (rows_body *[2][3])VERSIONS(gru_rows)); }

static cr_var gru_pull_composed(int n, const cr_var *in, const void *attr) {
  cr_var d[3];
  (void)n;
  return cr__composed_pull(3, in, attr, gru_composed, d) ? packed(3, d) : cr_poison(in[0].tape);
}
static void gru_pull_vjp(cr_vjp_rule *c) { cr__composed_vjp(c, gru_pull_composed); }
static cr_var gru_pull_jvp(cr_jvp_rule *c) { return cr__composed_jvp(c, gru_pull_composed); }
static const cr_op gru_pull_op = {.name = "gru_gates_pull", .check = gru_pull_check,
                                  .arity = CR_VARIADIC,
                                  .infer = pull_infer,
                                  .eval = gru_eval,
                                  .vjp = gru_pull_vjp,
                                  .jvp = gru_pull_jvp,
                                  .rule = "as of the composition of sigmoids and tanh"};
static void gru_vjp(cr_vjp_rule *c) { hand_out(c, &gru_pull_op); }
static cr_var gru_jvp(cr_jvp_rule *c) { return cr__composed_jvp(c, gru_composed); }
static const cr_op gru_op = {
    .name = "gru_gates", .check = cr__check_floats,
    .arity = 3,
    .prepare = one_dtype,
    .infer = gru_infer,
    .eval = gru_eval,
    .vjp = gru_vjp,
    .jvp = gru_jvp,
    .rule = "with d = g (1-z) (1-n^2): d b_n r (1-r), g (h-n) z (1-z), d to a; the same with d r to b; g z to h"};

cr_var cr_gru_gates(cr_var a, cr_var b, cr_var h) {
  if (cr_is_poison(a) || cr_is_poison(b) || cr_is_poison(h)) return cr_poison(a.tape);
  return cr_record(a.tape, &gru_op, 3, (cr_var[]){a, b, h}, NULL);
}

/* Names in the expression language */

static cr_var bias_or_none(cr_call *c, int k) { return cr_arg_given(c, k) ? cr_arg_var(c, k) : cr_poison(cr_call_tape(c)); }

static void call_lstm_gates(cr_call *c) {
  cr_var z = cr_arg_var(c, 0), cell = cr_arg_var(c, 1), next;
  cr_return(c, cr_lstm_gates(z, cell, &next));
  cr_return(c, next);
}
static void call_gru_gates(cr_call *c) {
  cr_var a = cr_arg_var(c, 0), b = cr_arg_var(c, 1), h = cr_arg_var(c, 2);
  cr_return(c, cr_gru_gates(a, b, h));
}
static void call_lstm_cell(cr_call *c) {
  cr_var x = cr_arg_var(c, 0), h = cr_arg_var(c, 1), cell = cr_arg_var(c, 2), wx = cr_arg_var(c, 3), wh = cr_arg_var(c, 4),
         next;
  cr_var z = cr_add(cr_linear(x, wx, bias_or_none(c, 5)), cr_linear(h, wh, bias_or_none(c, 6)));
  cr_return(c, cr_lstm_gates(z, cell, &next));
  cr_return(c, next);
}
static void call_gru_cell(cr_call *c) {
  cr_var x = cr_arg_var(c, 0), h = cr_arg_var(c, 1), wx = cr_arg_var(c, 2), wh = cr_arg_var(c, 3);
  cr_return(c, cr_gru_gates(cr_linear(x, wx, bias_or_none(c, 4)), cr_linear(h, wh, bias_or_none(c, 5)), h));
}

#define RECURRENT .family = "recurrent"

static const cr_op *const recorded[] = {&lstm_op, &lstm_pull_op, &gru_op, &gru_pull_op, NULL};

const cr_function cr__recurrent_functions[] = {
    {.ops = recorded, .signature = "lstm_gates(z, c)",
     .call = call_lstm_gates,
     RECURRENT,
     .doc = "The next state h and cell c of an LSTM, from pre-activations (..., 4 n) in the order input, forget, candidate, "
            "output, "
            "and cells (..., n): c' = sigmoid(f) c + sigmoid(i) tanh(g), h' = sigmoid(o) tanh(c').",
     .samples = "lstm_gates(z:(2,8), c:(2,2)); lstm_gates(z:(4), c:(1)); lstm_gates(transpose(z:(12,2), 0, 1), c:(2,3))"},
    {.signature = "gru_gates(a, b, h)",
     .call = call_gru_gates,
     RECURRENT,
     .doc = "The next state of a GRU, from pre-activations (..., 3 n) of the input and of the state in the order reset, "
            "update, "
            "candidate, and states (..., n): r, z = sigmoid(a + b), n = tanh(a + r b), h' = (1 - z) n + z h.",
     .samples = "gru_gates(a:(2,6), b:(2,6), h:(2,2)); gru_gates(a:(3), a, h:(1))"},
    {.signature = "lstm_cell(input, hx, cx, w_ih, w_hh, b_ih=None, b_hh=None)",
     .call = call_lstm_cell,
     RECURRENT,
     .doc = "One step of an LSTM: (h, c) from input (..., m), state and cell (..., n), weights (4 n, m) and (4 n, n), gates "
            "in the order "
            "input, forget, candidate, output.",
     .samples = "lstm_cell(x:(2,3), h:(2,2), c:(2,2), u:(8,3), w:(8,2), b:(8), d:(8)); lstm_cell(x:(1), h:(1), c:(1), "
                "u:(4,1), w:(4,1))"},
    {.signature = "gru_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None)",
     .call = call_gru_cell,
     RECURRENT,
     .doc = "One step of a GRU: h from input (..., m), state (..., n), weights (3 n, m) and (3 n, n), gates in the order "
            "reset, update, "
            "candidate.",
     .samples = "gru_cell(x:(2,3), h:(2,2), u:(6,3), w:(6,2), b:(6), d:(6)); gru_cell(x:(1), h:(1), u:(3,1), w:(3,1))"},
    {.signature = NULL}};
