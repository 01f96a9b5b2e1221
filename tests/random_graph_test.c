/* Random graphs and random expressions.
 *
 *   random_graph_test [GRAPHS [EXPRESSIONS [SEED [CC]]]]
 *
 * Defaults 200, 20000, 1; also from CR_GRAPHS, CR_EXPRESSIONS, CR_SEED.
 *
 * A random graph is a list of steps that know the shapes and ranges of their operands, so that every function stays inside
 * its domain. Its derivatives are checked to second order in both modes; value and gradient are captured, rewritten, planned
 * and run, and must have the same bits, and again when compiled by CC, where one is named; graphs of elementwise steps are
 * also run number by number on scalars and compared. A failing graph is cut down to its first failing step. Random
 * expressions, most of them slightly broken, must give a value and derivatives, and the same bits when captured (one in 40
 * compiled), or one error with a text. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cr_config.h"
#include "jit.h"
#include "samples.h"

/* Random choices from one stream */

typedef struct dice {
  uint64_t seed, k;
} dice;

static double toss(dice *d) { return uniform(d->seed, d->k++); }
static int pick(dice *d, int n) { return (int)(toss(d) * n); }

/* Steps: what can be recorded, and where it is defined */

typedef struct range {
  double lo, hi;
} range;

typedef struct unary {
  const char *name;
  cr_var (*record)(cr_var x);
  double lo, hi; /* domain, kept at a distance from its edges */
  range fixed;   /* of results; lo = hi: the function is monotone and its ends tell */
} unary;

static const unary unaries[] = {{"sin", cr_sin, -20, 20, {-1, 1}},      {"cos", cr_cos, -20, 20, {-1, 1}},
                                {"tanh", cr_tanh, -5, 5, {0, 0}},       {"sigmoid", cr_sigmoid, -8, 8, {0, 0}},
                                {"exp", cr_exp, -5, 2.5, {0, 0}},       {"log", cr_log, 0.1, 1e3, {0, 0}},
                                {"sqrt", cr_sqrt, 0.1, 1e3, {0, 0}},    {"square", cr_square, -5, 5, {0, 25}},
                                {"neg", cr_neg, -1e3, 1e3, {0, 0}},     {"abs", cr_abs, -30, 30, {0, 30}},
                                {"relu", cr_relu, -30, 30, {0, 0}},     {"reciprocal", cr_reciprocal, 0.2, 1e3, {0, 0}},
                                {"atan", cr_atan, -30, 30, {0, 0}},     {"erf", cr_erf, -4, 4, {0, 0}},
                                {"log1p", cr_log1p, -0.8, 1e3, {0, 0}}, {"log1pexp", cr_log1pexp, -9, 30, {0, 0}},
                                {"expm1", cr_expm1, -5, 2.5, {0, 0}},   {"asinh", cr_asinh, -30, 30, {0, 0}},
                                {"silu", cr_silu, -9, 9, {-0.3, 9}},    {"cbrt", cr_cbrt, 0.1, 30, {0, 0}},
                                {"asin", cr_asin, -0.9, 0.9, {0, 0}},   {"atanh", cr_atanh, -0.9, 0.9, {0, 0}},
                                {"acosh", cr_acosh, 1.1, 30, {0, 0}},   {"lgamma", cr_lgamma, 0.2, 9, {-0.2, 11}},
                                {"floor", cr_floor, -30, 30, {0, 0}},   {"sinh", cr_sinh, -3, 3, {0, 0}},
                                {"erfc", cr_erfc, -4, 4, {0, 0}},       {"rsqrt", cr_rsqrt, 0.1, 30, {0, 0}},
                                {"gauss", cr_gauss, -3, 3, {0, 1}},     {"logsigmoid", cr_logsigmoid, -9, 9, {0, 0}}};

typedef struct binary {
  const char *name;
  cr_var (*record)(cr_var x, cr_var y);
  range a, b; /* domains; the function is monotone in each operand on them */
} binary;

static const binary binaries[] = {{"add", cr_add, {-1e3, 1e3}, {-1e3, 1e3}},
                                  {"sub", cr_sub, {-1e3, 1e3}, {-1e3, 1e3}},
                                  {"mul", cr_mul, {-30, 30}, {-30, 30}},
                                  {"div", cr_div, {-30, 30}, {0.2, 30}},
                                  {"pow", cr_pow, {0.2, 4}, {-3, 3}},
                                  {"maximum", cr_maximum, {-30, 30}, {-30, 30}},
                                  {"minimum", cr_minimum, {-30, 30}, {-30, 30}},
                                  {"atan2", cr_atan2, {0.1, 30}, {0.1, 30}},
                                  {"hypot", cr_hypot, {0.1, 30}, {0.1, 30}},
                                  {"logaddexp", cr_logaddexp, {-9, 9}, {-9, 9}}};
enum { UNARIES = sizeof unaries / sizeof *unaries, BINARIES = sizeof binaries / sizeof *binaries };

/* Steps over whole tensors. */
enum {
  SUM,
  MEAN,
  PROD,
  AMAX,
  LOGSUMEXP,
  SOFTMAX,
  CUMSUM,
  CUMPROD,
  SORT,
  FLIP,
  TURN,
  RESHAPE,
  WHERE,
  MATMUL,
  JOIN,
  TAKE,
  GATHER,
  SCAN,
  VARIANCE,
  WHOLES
};
static const char *const whole_names[WHOLES] = {
    "sum",  "mean",    "prod",  "amax",   "logsumexp",   "softmax",      "cumsum", "cumprod",     "sort",    "flip",
    "turn", "reshape", "where", "matmul", "concatenate", "index_select", "gather", "linear_scan", "variance"};

typedef struct step {
  enum { LEAF, UNARY, BINARY, WHOLE, SQUASH } kind;
  int which, a, b, c, axis;
  double value; /* of a leaf; factor of a squash */
} step;

enum { MOST_STEPS = 64, N = 3 };
typedef struct program {
  int n, n_leaves, elementwise;
  step step[MOST_STEPS];
  range range[MOST_STEPS];
} program;

static int rows_of(cr_var v) { return cr_rank(v) == 2; }

/* Records one step; poison where shapes do not fit. e < 0: on tensors of shape (N, N); else on scalars, as element e. */
static cr_var record(cr_tape *t, const program *p, const step *s, const cr_var *v, int e) {
  (void)p;
  cr_var a = s->kind == LEAF ? cr_poison(t) : v[s->a], b = s->kind == LEAF ? cr_poison(t) : v[s->b],
         c = s->kind == LEAF ? a : v[s->c];
  int64_t square[] = {N, N};
  switch (s->kind) {
    case LEAF: {
      double data[N * N];
      for (int k = 0; k < N * N; k++) data[k] = s->value + 0.3 * sin(7.0 * k + 11 * s->value);
      return e >= 0 ? cr_input(t, data[e]) : cr_tensor_of(t, CR_FLOAT64, 2, square, data);
    }
    case UNARY: return unaries[s->which].record(a);
    case BINARY: return binaries[s->which].record(a, b);
    case SQUASH: return cr_mul(a, cr_const(t, s->value));
    case WHOLE: break;
  }
  int axis = s->axis, both = rows_of(a) && rows_of(b);
  switch (s->which) {
    case SUM: return cr_sum(a, 1, &axis, 1);
    case MEAN: return cr_mean(a, 1, &axis, 1);
    case PROD: return cr_prod(a, 1, &axis, 1);
    case AMAX: return cr_amax(a, 1, &axis, 1);
    case LOGSUMEXP: return cr_logsumexp(a, 1, &axis, 1);
    case VARIANCE: return cr_variance(a, 1, &axis, cr_dim(a, axis) > 1, 1);
    case SOFTMAX: return cr_softmax(a, axis);
    case CUMSUM: return cr_cumsum(a, axis);
    case CUMPROD: return cr_cumprod(a, axis);
    case SORT: return cr_sort(a, axis, 0, &(cr_var){0});
    case FLIP: return cr_flip(a, 1, &axis);
    case TURN: return cr_transpose(a, 0, 1);
    case RESHAPE: return cr_reshape(cr_transpose(a, 0, 1), 2, (int64_t[]){cr_dim(a, 0), cr_dim(a, 1)});
    case WHERE: return cr_where(cr_gt(c, cr_mul(c, c)), a, b);
    case MATMUL: return both && cr_dim(a, 1) == cr_dim(b, 0) ? cr_matmul(a, b) : cr_matmul(a, cr_transpose(a, 0, 1));
    case JOIN: return cr_slice_axis(cr_concatenate(2, (cr_var[]){a, a}, axis), axis, 1, cr_dim(a, axis) + 1, 1);
    case TAKE:
      return cr_index_select(a, axis,
                             cr_constant_of(t, CR_INT64, 1, (int64_t[]){N}, (int64_t[]){0, 0, cr_dim(a, axis) - 1}));
    case GATHER: return cr_gather(a, axis, cr_argsort(a, axis, 1));
    case SCAN: return cr_linear_scan(cr_sin(a), a, cr_poison(t), axis, s->c % 2);
    default: return cr_poison(t);
  }
}

/* Ranges of results */

static range hull4(double a, double b, double c, double d) {
  return (range){fmin(fmin(a, b), fmin(c, d)), fmax(fmax(a, b), fmax(c, d))};
}

static double at2(const binary *f, double a, double b) {
  cr_tape *t = cr_new();
  double y = cr_value(f->record(cr_const(t, a), cr_const(t, b)));
  cr_free(t);
  return y;
}
static double at1(const unary *f, double a) {
  cr_tape *t = cr_new();
  double y = cr_value(f->record(cr_const(t, a)));
  cr_free(t);
  return y;
}

static int inside(range r, double lo, double hi) { return r.lo >= lo && r.hi <= hi; }

/* The range of a step's result; 0 when its operands leave the domain. */
static int range_of(const program *p, const step *s, range *out) {
  range a = p->range[s->a], b = p->range[s->b];
  double m = fmax(fabs(a.lo), fabs(a.hi)), l = fmax(fabs(b.lo), fabs(b.hi));
  if (s->kind == UNARY) {
    const unary *f = &unaries[s->which];
    if (!inside(a, f->lo, f->hi)) return 0;
    double x = at1(f, a.lo), y = at1(f, a.hi);
    *out = f->fixed.lo < f->fixed.hi ? f->fixed : (range){fmin(x, y), fmax(x, y)};
    return 1;
  }
  if (s->kind == BINARY) {
    const binary *f = &binaries[s->which];
    if (!inside(a, f->a.lo, f->a.hi) || !inside(b, f->b.lo, f->b.hi)) return 0;
    *out = hull4(at2(f, a.lo, b.lo), at2(f, a.lo, b.hi), at2(f, a.hi, b.lo), at2(f, a.hi, b.hi));
    return 1;
  }
  switch (s->which) {
    case SUM:
    case CUMSUM: *out = (range){fmin(a.lo, N * a.lo), fmax(a.hi, N * a.hi)}; return m < 10;
    case PROD:
    case CUMPROD: *out = (range){-pow(fmax(m, 1), N), pow(fmax(m, 1), N)}; return m < 3;
    case LOGSUMEXP: *out = (range){a.lo, a.hi + log(N)}; return 1;
    case SOFTMAX: *out = (range){0, 1}; return m < 9;
    case VARIANCE: *out = (range){0, 2 * m * m}; return m < 4;
    case WHERE: *out = (range){fmin(a.lo, b.lo), fmax(a.hi, b.hi)}; return 1;
    case MATMUL: *out = (range){-N * m * fmax(l, m), N * m * fmax(l, m)}; return m < 4 && l < 4;
    case SCAN: *out = (range){-N * m, N * m}; return m < 8;
    default: *out = a; return 1;
  }
}

/* A random step that fits, appended; operands tend to be recent, and to be used again. */
static int operand(dice *d, int n) { return toss(d) < 0.4 ? pick(d, n) : n - 1 - pick(d, n < 4 ? n : 4); }

static void append(program *p, step s, range r) {
  p->range[p->n] = r;
  p->step[p->n++] = s;
}

static void grow(program *p, dice *d) {
  for (int tries = 0; tries < 50; tries++) {
    step s = {.a = operand(d, p->n), .b = operand(d, p->n), .c = operand(d, p->n), .axis = pick(d, 2)};
    double kind = toss(d);
    s.kind = kind < 0.4 ? UNARY : kind < 0.75 || p->elementwise ? BINARY : WHOLE;
    s.which = pick(d, s.kind == UNARY ? UNARIES : s.kind == BINARY ? BINARIES : WHOLES);
    range r;
    if (!range_of(p, &s, &r)) continue;
    append(p, s, r);
    double size = fmax(fabs(r.lo), fabs(r.hi));
    if (size > 8 && p->n < MOST_STEPS)
      append(p, (step){.kind = SQUASH, .a = p->n - 1, .b = p->n - 1, .c = p->n - 1, .value = 3 / size},
             (range){3 * r.lo / size, 3 * r.hi / size});
    return;
  }
}

static program make_program(dice *d) {
  program p = {.elementwise = toss(d) < 0.3};
  p.n_leaves = 1 + pick(d, 4);
  int steps = p.n_leaves + 3 + pick(d, 40);
  for (int k = 0; k < p.n_leaves; k++) {
    double value = 4 * toss(d) - 2;
    append(&p, (step){.kind = LEAF, .value = value}, (range){value - 0.3, value + 0.3});
  }
  while (p.n < steps && p.n < MOST_STEPS - 1) grow(&p, d);
  return p;
}

/* Runs the first n steps. */
static cr_var run(cr_tape *t, const program *p, int n, int element, cr_var *v) {
  for (int k = 0; k < n; k++) v[k] = record(t, p, &p->step[k], v, element);
  return v[n - 1];
}

static void print_program(const program *p, int n) {
  for (int k = 0; k < n; k++) {
    const step *s = &p->step[k];
    switch (s->kind) {
      case LEAF: printf("  s%d = leaf %.17g\n", k, s->value); break;
      case UNARY: printf("  s%d = %s(s%d)\n", k, unaries[s->which].name, s->a); break;
      case BINARY: printf("  s%d = %s(s%d, s%d)\n", k, binaries[s->which].name, s->a, s->b); break;
      case SQUASH: printf("  s%d = s%d * %.17g\n", k, s->a, s->value); break;
      case WHOLE: printf("  s%d = %s(s%d; s%d, s%d), axis %d\n", k, whole_names[s->which], s->a, s->b, s->c, s->axis); break;
    }
  }
}

/* The derivatives of the first n steps; the report's text goes to text. 1 when right. */
static int derivatives_hold(const program *p, int n, char *text, size_t size) {
  cr_tape *t = cr_new();
  cr_var v[MOST_STEPS], y = run(t, p, n, -1, v);
  cr_check_options o = {.struct_size = sizeof o, .weighted = 1, .directions = 2, .max_coordinates = 6, .seed = 5};
  cr_report *r = NULL;
  cr_status status = cr_check(y, p->n_leaves, v, &o, &r);
  snprintf(text, size, "%s", r ? r->text : cr_error_text(t));
  cr_free(t);
  return status == CR_OK;
}

static size_t bytes_of(const cr_array *a) { return (size_t)a->count * cr_dtype_size((cr_dtype)a->dtype); }

/* The node's numbers row-major, in new memory. */
static cr_array copy_of(cr_var v) {
  cr_array a = cr_view(v), copy;
  cr_array_init(&copy, (cr_dtype)a.dtype, a.rank, a.dim);
  copy.data = malloc(bytes_of(&copy) + 1);
  cr_array_copy(&copy, &a);
  return copy;
}

/* NaN is NaN. */
static int same_numbers(const cr_array *a, const cr_array *b) {
  const size_t size = cr_dtype_size((cr_dtype)a->dtype);
  for (int64_t k = 0; k < a->count; k++) {
    const char *x = (char *)a->data + (size_t)k * size, *y = (char *)b->data + (size_t)k * size;
    if (memcmp(x, y, size) && !(isnan(cr_array_get(a, k)) && isnan(cr_array_get(b, k)))) return 0;
  }
  return a->dtype == b->dtype && a->count == b->count;
}

static const char *compiler; /* NULL: nothing is compiled */
static int n_compiled;

/* Without the passes that take long; 0 with a message when it fails. */
static int compile(cr_fn *f) {
  char flags[500], note[300];
  snprintf(flags, sizeof flags, "%s -O1", cr_jit_flags());
  cr_jit_options o = {.compiler = compiler, .flags = flags, .exact = 1, .always = 1, .scalars_as_c = n_compiled % 2};
  int good = cr_fn_compile(f, &o, note, sizeof note) == CR_OK && (!strstr(note, "not compiled") || strstr(note, "no step"));
  if (!good) printf("%s\n", note);
  n_compiled += strstr(note, " of ") != NULL;
  return good;
}

enum { MOST_OUT = 160 };

/* n leaves and m results as a captured function, with these passes and bound on memory, and compiled or not, have the bits
 * that the tape has. What was read while recording cannot be captured. */
static int same_bits(cr_tape *t, int n, const cr_var *x, int m, const cr_var *out, unsigned passes, size_t bound,
                     int compiled) {
  cr_fn *f = cr_capture_within(t, n, x, m, out, 0, NULL, passes, bound);
  if (!f && strstr(cr_error_text(t), "were read when it was recorded")) return cr_clear_error(t), 1;
  cr_workspace *w = f ? cr_workspace_new(f) : NULL;
  cr_array in[MOST_STEPS], got[MOST_OUT], want[MOST_OUT];
  int same = w && m <= MOST_OUT;
  for (int k = 0; same && k < n; k++) in[k] = copy_of(x[k]);
  for (int k = 0; same && k < m; k++) got[k] = copy_of(out[k]), want[k] = copy_of(out[k]);
  const int taken = same;
  for (int round = 0; same && round <= compiled; round++) {
    for (int k = 0; k < m; k++) memset(got[k].data, 0x5a, bytes_of(&got[k]));
    same = (!round || compile(f)) && cr_fn_run(f, w, in, got) == CR_OK;
    for (int k = 0; k < m; k++) same = same && same_numbers(&want[k], &got[k]);
  }
  for (int k = 0; taken && k < m; k++) free(want[k].data), free(got[k].data);
  for (int k = 0; taken && k < n; k++) free(in[k].data);
  cr_workspace_free(w);
  cr_fn_free(f);
  return same;
}

/* The same program on scalars, element by element. */
static int scalars_hold(const program *p, char *text, size_t size) {
  cr_tape *t = cr_new();
  cr_var v[MOST_STEPS], s[MOST_STEPS], y = run(t, p, p->n, -1, v);
  double whole[N * N], bar[N * N], worst = 0;
  cr_sweep *sweep = cr_backward(y);
  int ok = sweep && cr_read(y, whole, N * N) == CR_OK;
  for (int e = 0; ok && e < N * N; e++) {
    cr_mark mark = cr_mark_here(t);
    cr_var one = run(t, p, p->n, e, s);
    cr_sweep *scalar = cr_backward(one);
    cr_var out[MOST_STEPS] = {one};
    ok = cr_grad(one, p->n_leaves, s, out + 1) == CR_OK &&
         same_bits(t, p->n_leaves, s, p->n_leaves + 1, out, CR_FN_EXACT, 0, compiler && !e);
    worst = fmax(worst, fabs(cr_value(one) - whole[e]) / (1 + fabs(whole[e])));
    for (int k = 0; k < p->n_leaves; k++) {
      cr_adjoint_read(sweep, v[k], bar, N * N);
      worst = fmax(worst, fabs(cr_adjoint(scalar, s[k]) - bar[e]) / (1 + fabs(bar[e])));
    }
    cr_reset(t, mark);
  }
  ok = ok && cr_error(t) == CR_OK && worst <= 1e-12;
  snprintf(text, size, "scalars and tensors differ by %g, or scalars from a captured function; %s\n", worst,
           cr_error_text(t));
  cr_free(t);
  return ok;
}

/* At the point of recording and, replayed, at another one. */
static int captured_holds(const program *p, int n, char *text, size_t size) {
  cr_tape *t = cr_new();
  cr_var v[MOST_STEPS], out[MOST_STEPS];
  out[0] = run(t, p, n, -1, v);
  int ok = cr_grad(out[0], p->n_leaves, v, out + 1) == CR_OK;
  for (int round = 0; ok && round < 2; round++) {
    for (int k = 0; ok && k < 4; k++)
      ok = same_bits(t, p->n_leaves, v, p->n_leaves + 1, out, k % 2 ? CR_FN_EXACT : CR_FN_EXACT & ~(unsigned)CR_FN_BLOCK,
                     (size_t)k / 2, compiler && round && k == 1);
    for (int k = 0; k < p->n_leaves; k++) {
      cr_array a = cr_view(v[k]);
      for (int64_t i = 0; i < a.count; i++) cr_array_set(&a, i, cr_array_get(&a, i) * 0.99);
    }
    ok = ok && cr_replay(t) == CR_OK;
  }
  snprintf(text, size, "a captured function differs; %s\n", cr_error_text(t));
  cr_free(t);
  return ok;
}

static int check_graph(uint64_t seed) {
  static char text[1 << 16];
  dice d = {seed, 0};
  program p = make_program(&d);
  if (p.elementwise && !scalars_hold(&p, text, sizeof text)) {
    printf("graph of seed %llu:\n", (unsigned long long)seed);
    print_program(&p, p.n);
    printf("%s", text);
    return 0;
  }
  int (*hold)(const program *, int, char *, size_t) = derivatives_hold;
  if (derivatives_hold(&p, p.n, text, sizeof text)) hold = captured_holds;
  if (hold == captured_holds && captured_holds(&p, p.n, text, sizeof text)) return 1;
  int n = p.n_leaves + 1;
  while (n < p.n && hold(&p, n, text, sizeof text)) n++;
  hold(&p, n, text, sizeof text);
  printf("graph of seed %llu, cut to its first failing step:\n", (unsigned long long)seed);
  print_program(&p, n);
  printf("%s", text);
  return 0;
}

/* Random expressions */

typedef struct writer {
  dice d;
  char text[1024];
  size_t n;
  const cr_tape *tape;
  int functions;
} writer;

static void put(writer *w, const char *s) {
  size_t n = strlen(s);
  if (w->n + n + 1 < sizeof w->text) memcpy(w->text + w->n, s, n + 1), w->n += n;
}

static void expression(writer *w, int depth);

static void put_call(writer *w, int depth) {
  char name[64];
  static const char *const keywords[] = {"dim=0",     "dim=-1",          "keepdim=True", "axis=(0,1)",
                                         "alpha=0.5", "reduction='sum'", "p=2",          "eps=1e-5"};
  put(w, function_name(cr_function_at(w->tape, pick(&w->d, w->functions)), name, sizeof name));
  put(w, "(");
  int n = 1 + pick(&w->d, 3);
  for (int k = 0; k < n; k++) {
    if (k) put(w, ", ");
    expression(w, depth - 1);
  }
  if (toss(&w->d) < 0.2) put(w, ", "), put(w, keywords[pick(&w->d, 8)]);
  put(w, ")");
}

static void put_list(writer *w, int depth) {
  int n = pick(&w->d, 4);
  put(w, "[");
  for (int k = 0; k < n; k++) {
    if (k) put(w, ", ");
    expression(w, depth - 1);
  }
  put(w, "]");
}

static void expression(writer *w, int depth) {
  static const char *const atoms[] = {"x",  "y", "A",    "B",    "v",    "i",  "m",      "2", "0.5",
                                      "-1", "3", "1e-3", "None", "True", "pi", "'mean'", "0", "inf"};
  static const char *const operators[] = {" + ", " - ", " * ",  " / ",  "^",   " @ ", " // ",
                                          " % ", " < ", " == ", " && ", " ? ", "**"};
  static const char *const tails[] = {"[0]", "[:, 1]", ".T", "[..., None]", "[i]", "[::-1]", "[m]", "[-1:]"};
  double r = toss(&w->d);
  if (depth <= 0 || r < 0.25) {
    put(w, atoms[pick(&w->d, 18)]);
  } else if (r < 0.55) {
    put_call(w, depth);
  } else if (r < 0.8) {
    int op = pick(&w->d, 13);
    put(w, toss(&w->d) < 0.3 ? "(" : "");
    expression(w, depth - 1);
    put(w, operators[op]);
    expression(w, depth - 1);
    if (op == 11) put(w, " : "), expression(w, depth - 1);
    put(w, toss(&w->d) < 0.3 ? ")" : "");
  } else if (r < 0.9) {
    expression(w, depth - 1);
    put(w, tails[pick(&w->d, 8)]);
  } else if (r < 0.95) {
    put_list(w, depth);
  } else {
    put(w, "-");
    expression(w, depth - 1);
  }
}

/* One character lost, added or changed. */
static void spoil(writer *w) {
  static const char characters[] = "()[]{},.:;+-*/^@=<>!?'\"#%&|\\~`$ \t\n0123456789eExyAB_\x80\xc3";
  if (!w->n) return;
  size_t at = (size_t)pick(&w->d, (int)w->n);
  char c = characters[pick(&w->d, (int)sizeof characters - 1)];
  switch (pick(&w->d, 3)) {
    case 0: memmove(w->text + at, w->text + at + 1, w->n-- - at); break;
    case 1:
      if (w->n + 2 < sizeof w->text) memmove(w->text + at + 1, w->text + at, ++w->n - at);
      w->text[at] = c;
      break;
    default: w->text[at] = c;
  }
}

typedef struct tally {
  long values, gradients, errors, silent, differ;
} tally;

/* The gradients of one result, behind the results in out; how many there are then. */
static int differentiate(cr_var y, int n, const cr_var *x, cr_var *out, int m, tally *count) {
  if (cr_is_poison(y) || cr_dtype_of(y) < CR_FLOAT32) return m;
  if (!cr_backward(y) || cr_grad(y, n, x, out + m) != CR_OK) {
    count->errors++;
    count->silent += !*cr_error_text(y.tape);
    return m;
  }
  count->gradients++;
  return m + n;
}

/* All results with their gradients as one captured function. */
static void capture(writer *w, cr_tape *t, int m, const cr_var *out, const cr_var *x, tally *count) {
  if (!m || cr_error(t) != CR_OK) return;
  if (same_bits(t, 4, x, m, out, CR_FN_EXACT, 0, compiler && count->values % 40 == 0)) return;
  printf("differs when captured or compiled: %s\n%s\n", w->text, cr_error_text(t));
  count->differ++;
}

static void evaluate(writer *w, cr_tape *t, cr_program *p, const cr_var *x, tally *count) {
  cr_results results = {.n = 0};
  cr_syntax_error where;
  cr_mark mark = cr_mark_here(t);
  cr_status status = cr_program_run(p, w->text, w->n, &results, &where);
  if (status != CR_OK) {
    count->errors++;
    if (!*cr_error_text(t)) count->silent++, printf("no text for: %s\n", w->text);
  } else {
    count->values++;
    cr_var out[MOST_OUT];
    int m = 0;
    for (int k = 0; k < results.n; k++)
      if (!cr_is_poison(results.value[k])) out[m++] = results.value[k];
    for (int k = 0; k < results.n && m + 4 <= MOST_OUT; k++) m = differentiate(results.value[k], 4, x, out, m, count);
    capture(w, t, m, out, x, count);
  }
  cr_clear_error(t);
  cr_reset(t, mark);
}

static cr_tape *expression_tape(cr_program **p, cr_var *x) {
  cr_tape *t = cr_new();
  int64_t dims[] = {2, 3}, other[] = {3, 2}, two = 2;
  double data[] = {0.5, -1, 2, 0.3, 1.5, -0.7};
  cr_set(t, CR_MAX_BYTES, 64);
  *p = cr_program_new(t, CR_FLOAT64);
  x[0] = cr_input(t, 0.7), x[1] = cr_input(t, -1.3);
  x[2] = cr_tensor_of(t, CR_FLOAT64, 2, dims, data), x[3] = cr_tensor_of(t, CR_FLOAT64, 2, other, data);
  cr_program_bind(*p, "x", x[0]), cr_program_bind(*p, "y", x[1]), cr_program_bind(*p, "A", x[2]),
      cr_program_bind(*p, "B", x[3]);
  cr_program_bind(*p, "v", cr_tensor_of(t, CR_FLOAT32, 1, &two, (float[]){1, 2}));
  cr_program_bind(*p, "i", cr_constant_of(t, CR_INT64, 1, &two, (int64_t[]){1, 0}));
  cr_program_bind(*p, "m", cr_constant_of(t, CR_BOOL, 1, &two, (uint8_t[]){1, 0}));
  return t;
}

static int run_expressions(long n, uint64_t seed) {
  enum { FRESH = 2000 };
  tally count = {0, 0, 0, 0, 0};
  cr_tape *t = NULL;
  cr_program *p = NULL;
  cr_var x[4];
  writer w = {.d = {seed, 0}};
  for (long k = 0; k < n; k++) {
    if (k % FRESH == 0) {
      cr_free(t);
      t = expression_tape(&p, x);
      w.tape = t;
      for (w.functions = 0; cr_function_at(t, w.functions);) w.functions++;
    }
    w.d = (dice){seed + (uint64_t)k, 0};
    w.n = 0;
    expression(&w, 1 + pick(&w.d, 4));
    for (int broken = toss(&w.d) < 0.5 ? 1 + pick(&w.d, 3) : 0; broken > 0; broken--) spoil(&w);
    if (getenv("CR_PRINT")) printf("%s\n", w.text), fflush(stdout);
    evaluate(&w, t, p, x, &count);
  }
  cr_free(t);
  printf("%ld expressions: %ld values, %ld gradients, %ld errors, %ld without a text, %ld differ when captured\n", n,
         count.values, count.gradients, count.errors, count.silent, count.differ);
  return count.silent == 0 && count.differ == 0;
}

static long number(int argc, char **argv, int k, const char *variable, long fallback) {
  const char *text = argc > k ? argv[k] : getenv(variable);
  return text ? atol(text) : fallback;
}

int main(int argc, char **argv) {
  long graphs = number(argc, argv, 1, "CR_GRAPHS", 200), expressions = number(argc, argv, 2, "CR_EXPRESSIONS", 20000);
  uint64_t seed = (uint64_t)number(argc, argv, 3, "CR_SEED", 1);
  long wrong = 0;
#if CR_HAVE_JIT
  compiler = argc > 4 ? argv[4] : NULL;
#endif
  printf("seed %llu\n", (unsigned long long)seed);
  for (long k = 0; k < graphs; k++) wrong += !check_graph(seed * 1000003 + (uint64_t)k);
  printf("%ld graphs, %ld wrong\n", graphs, wrong);
  wrong += !run_expressions(expressions, seed * 7919);
  printf("%d functions compiled\n", n_compiled);
  return wrong > 0 || (compiler && n_compiled < graphs / 2);
}
