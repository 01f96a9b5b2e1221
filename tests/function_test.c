/* Captured functions: the bits of recording under every pass and any number of threads, on old and new inputs; assignments,
 * errors, memory. */
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <cmocka.h>

#include "function.h"
#include "meter.h"
#include "samples.h"

enum { MOST_ENDS = 64 };

static const unsigned passes[] = {0, CR_FN_FOLD, CR_FN_MERGE, CR_FN_SIMPLIFY, CR_FN_REUSE, CR_FN_BLOCK,
                                  CR_FN_BLOCK | CR_FN_REUSE, CR_FN_CODE, CR_FN_EXACT & ~CR_FN_BLOCK,
                                  CR_FN_EXACT & ~CR_FN_CODE, CR_FN_EXACT, CR_FN_EXACT & ~CR_FN_BLOCK, CR_FN_EXACT};
enum { PASSES = sizeof passes / sizeof *passes, BOUNDED = PASSES - 2 /* the last two in as little memory as can be */ };

static size_t bytes_of(const cr_array *a) { return (size_t)a->count * cr_dtype_size((cr_dtype)a->dtype); }

/* The node's numbers row-major, in new memory. */
static void *copy_of(cr_var v) {
  cr_array from = cr_view(v), to;
  cr_array_init(&to, (cr_dtype)from.dtype, from.rank, from.dim);
  to.data = malloc(bytes_of(&to) + 1);
  if (to.data) cr_array_copy(&to, &from);
  return to.data;
}

/* The first element whose bits differ, NaN being NaN; -1 when all agree. */
static int64_t first_difference(const cr_array *a, const void *p, const void *q) {
  cr_array x = *a, y = *a;
  memcpy(&x.data, &p, sizeof p);
  memcpy(&y.data, &q, sizeof q);
  size_t size = cr_dtype_size((cr_dtype)a->dtype);
  for (int64_t k = 0; k < a->count; k++) {
    double u = cr_array_get(&x, k), v = cr_array_get(&y, k);
    if (memcmp((const char *)p + (size_t)k * size, (const char *)q + (size_t)k * size, size) && !(u != u && v != v))
      return k;
  }
  return -1;
}

typedef struct ends {
  int n_in, n_out;
  cr_var in[MOST_ENDS], out[MOST_ENDS];
  cr_array from[MOST_ENDS], to[MOST_ENDS];
} ends;

static int bind_ends(ends *e, const cr_fn *f) {
  for (int k = 0; k < e->n_in; k++) {
    e->from[k] = cr_fn_input(f, k);
    e->from[k].data = copy_of(e->in[k]);
  }
  for (int k = 0; k < e->n_out; k++) {
    e->to[k] = cr_fn_output(f, k);
    e->to[k].data = malloc(bytes_of(&e->to[k]) + 1);
    memset(e->to[k].data, 0x5a, bytes_of(&e->to[k]) + 1);
  }
  return 1;
}

static void free_ends(ends *e) {
  for (int k = 0; k < e->n_in; k++) free(e->from[k].data);
  for (int k = 0; k < e->n_out; k++) free(e->to[k].data);
}

/* One run against what the tape holds; 0 when they differ. */
static int run_and_compare(const cr_fn *f, cr_workspace *w, ends *e, const char *what, unsigned pass) {
  int good = bind_ends(e, f);
  cr_status status = cr_fn_run(f, w, e->from, e->to);
  if (status != CR_OK) print_message("%s, passes %u: %s\n", what, pass, cr_workspace_error(w));
  good = good && status == CR_OK;
  for (int k = 0; good && k < e->n_out; k++) {
    void *want = copy_of(e->out[k]);
    int64_t at = first_difference(&e->to[k], want, e->to[k].data);
    if (at >= 0) {
      cr_array is = e->to[k], should = is;
      should.data = want;
      print_message("%s, passes %u: result %d differs at %lld: %.17g, not %.17g\n", what, pass, k, (long long)at,
                    cr_array_get(&is, at), cr_array_get(&should, at));
      good = 0;
    }
    free(want);
  }
  free_ends(e);
  return good;
}

/* Other values for the inputs, near the old ones, so that domains are kept. */
static void move_inputs(ends *e) {
  for (int k = 0; k < e->n_in; k++) {
    cr_array a = cr_view(e->in[k]);
    for (int64_t i = 0; i < a.count && a.dtype >= CR_FLOAT32; i++)
      cr_array_set(&a, i, cr_array_get(&a, i) * (1 + 0.03 * sin((double)(i + k))));
  }
}

static int check_capture(ends *e, const char *what) {
  cr_tape *t = e->in[0].tape;
  cr_fn *f[PASSES];
  cr_workspace *w[PASSES];
  int good = 1;
  for (int p = 0; p < PASSES; p++) {
    f[p] = cr_capture_within(t, e->n_in, e->in, e->n_out, e->out, 0, NULL, passes[p], p >= BOUNDED);
    if (!f[p]) print_message("%s: %s\n", what, cr_error_text(t));
    w[p] = f[p] ? cr_workspace_new(f[p]) : NULL;
    if (!w[p]) return 0;
    if (p % 2) cr_workspace_threads(w[p], 3);
  }
  for (int round = 0; round < 3 && good; round++) {
    for (int p = 0; p < PASSES && good; p++) good = run_and_compare(f[p], w[p], e, what, passes[p]);
    move_inputs(e);
    if (cr_replay(t) != CR_OK) break;
  }
  for (int p = 0; p < PASSES; p++) {
    cr_workspace_free(w[p]);
    cr_fn_free(f[p]);
  }
  return good;
}

static int n_refused, n_captured;

/* Results and gradients of one sample. */
static int check_sample(const char *text, size_t length, cr_dtype dtype) {
  sample s;
  char error[300], what[300];
  ends e = {0};
  snprintf(what, sizeof what, "%.*s (%s)", (int)length, text, cr_dtype_name(dtype));
  if (!sample_make(&s, text, length, dtype, 7, error)) {
    print_message("%s\n", error);
    return 0;
  }
  for (int k = 0; k < s.n_inputs; k++) e.in[e.n_in++] = s.input[k];
  for (int k = 0; k < (int)s.results.n && e.n_out < 8; k++) e.out[e.n_out++] = s.results.value[k];
  int n = e.n_out;
  for (int k = 0; k < n && e.n_in; k++) {
    if (cr_dtype_of(e.out[k]) < CR_FLOAT32 || e.n_out + e.n_in > MOST_ENDS) continue;
    if (cr_grad(e.out[k], e.n_in, e.in, e.out + e.n_out) != CR_OK) cr_clear_error(s.tape);
    else e.n_out += e.n_in;
  }
  int good = !e.n_in || check_capture(&e, what), refused = !good && strstr(cr_error_text(s.tape), "by a mask");
  n_captured += e.n_in > 0 && !refused;
  n_refused += refused;
  good = good || refused; /* rightly */
  sample_free(&s);
  return good;
}

static void every_function_keeps_its_bits(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  const cr_function *f;
  int failures = 0, checked = 0;
  for (int k = 0; (f = cr_function_at(t, k)); k++) {
    char row[200], a[64], b[64];
    const char *rest = f->samples, *text;
    size_t length;
    if (!rest && f->family && !strcmp(f->family, "elementwise")) {
      char name[64];
      sample_range(f->domain, 'a', a, sizeof a);
      sample_range(f->domain, 'b', b, sizeof b);
      int two = strstr(f->signature, "other") != NULL;
      snprintf(row, sizeof row, two ? "%s(x:(2,3)%s, y:(2,3)%s) + 0 * (x[0,0] + y[0,0])" : "sum(%s(x:(40,60)%s))",
               function_name(f, name, sizeof name), a, b);
      rest = row;
    }
    while ((text = sample_next(&rest, &length)))
      for (int d = CR_FLOAT32; d <= CR_FLOAT64; d++, checked++) failures += !check_sample(text, length, (cr_dtype)d);
  }
  cr_free(t);
  print_message("%d samples, %d captured, %d refused\n", checked, n_captured, n_refused);
  assert_int_equal(failures, 0);
}

/* Larger than a block, in several sizes: chains, broadcasts along either axis, sums, masks, scalars beside tensors. */
static const char *const programs[] = {
  "a:() * sum(expand(a, [0])) + 1, expand(a, [0]), reshape(expand(a, [0]), [0, 3])",
  "where(y:(700) > 0, x:(700,3)[:,1], y) * x[:,2] + 1",
  "sum(sigmoid(x:(5003) * a:() + b:()) * tanh(x) - log1p(exp(-x^2)))",
  "sum(relu(x:(61,47) @ w:(47,83) + b:(83)) * c:(61,1)) + mean(x^2)",
  "sum(where(x:(70,70) > y:(70), x * y, exp(x) - y)) / (1 + sum(x^2)) + a:() * sin(a)",
  "logsumexp(x:(30,200), dim=1) + sum(x, dim=1)^2 - sum(softmax(x, dim=0) * x.T.T, dim=1)",
  "sum(reshape(tanh(x:(64,96)), (96,64)) * y:(96,64)) + prod(sin(a:())) + a^3 / (1 + a^2)",
  "sum(layer_norm(gelu(x:(40,130) * 3), [130]) * x) + sum(cumsum(x, 0)[3:9] * 1) - 0 + sum(cast(x > 0, 'float64'))",
};

static void blocks_keep_the_bits_of_recording(void **state) {
  (void)state;
  for (size_t k = 0; k < sizeof programs / sizeof *programs; k++)
    for (int d = CR_FLOAT32; d <= CR_FLOAT64; d++)
      assert_true(check_sample(programs[k], strlen(programs[k]), (cr_dtype)d));
}

/* A training step with momentum, whose parameters and state are assigned, beside the same by recording. */
static void a_step_in_place(void **state) {
  (void)state;
  enum { N = 3000, STEPS = 5 };
  for (int p = 0; p < PASSES; p++) {
    float x[N], w[N], v[N] = {0}, want_w[N], want_v[N], loss, want_loss = 0;
    for (int k = 0; k < N; k++) x[k] = sinf((float)k), want_w[k] = w[k] = cosf((float)k), want_v[k] = 0;
    cr_fn *f = NULL;
    cr_workspace *space = NULL;
    for (int s = 0; s < STEPS; s++) {
      cr_tape *t = cr_new();
      cr_var in[3] = {cr_tensor_of(t, CR_FLOAT32, 1, (int64_t[]){N}, want_w),
                      cr_tensor_of(t, CR_FLOAT32, 1, (int64_t[]){N}, want_v),
                      cr_tensor_of(t, CR_FLOAT32, 1, (int64_t[]){N}, x)};
      cr_var y = cr_mean(cr_square(cr_sub(cr_tanh(cr_mul(in[0], in[2])), cr_sin(in[2]))), -1, NULL, 0), g;
      assert_int_equal(cr_grad(y, 1, in, &g), CR_OK);
      cr_var nv = cr_add(cr_mul(in[1], cr_const(t, 0.9)), g), nw = cr_sub(in[0], cr_mul(nv, cr_const(t, 50)));
      if (!f) {
        f = cr_capture(t, 3, in, 1, &y, 2, (cr_assign[]){{in[0], nw}, {in[1], nv}}, passes[p]);
        assert_non_null(f);
        space = cr_workspace_new(f);
        assert_non_null(space);
      }
      memcpy(want_w, cr_view(nw).data, sizeof w);
      memcpy(want_v, cr_view(nv).data, sizeof v);
      want_loss = (float)cr_value(y);
      cr_free(t);
      cr_array a[3], out = cr_fn_output(f, 0);
      for (int k = 0; k < 3; k++) a[k] = cr_fn_input(f, k);
      a[0].data = w, a[1].data = v, a[2].data = x, out.data = &loss;
      assert_int_equal(cr_fn_run(f, space, a, &out), CR_OK);
      assert_memory_equal(w, want_w, sizeof w);
      assert_memory_equal(v, want_v, sizeof v);
      assert_true(loss == want_loss);
    }
    cr_workspace_free(space);
    cr_fn_free(f);
  }
}

/* All pairs together: a swap, a shift by a view of the same input, and a value that is also a result. */
static void assignments_are_one_commit(void **state) {
  (void)state;
  for (int p = 0; p < PASSES; p++) {
    double a[3] = {1, 2, 3}, b[3] = {4, 5, 6}, c[3] = {7, 8, 9}, s = 10, u = 20, r[3];
    cr_tape *t = cr_new();
    cr_var in[5];
    for (int k = 0; k < 3; k++) in[k] = cr_tensor_of(t, CR_FLOAT64, 1, (int64_t[]){3}, NULL);
    in[3] = cr_input(t, 0), in[4] = cr_input(t, 0);
    cr_var out = cr_add(in[0], in[1]);
    cr_fn *f = cr_capture(t, 5, in, 1, &out, 5,
                          (cr_assign[]){{in[0], in[1]},
                                        {in[1], in[0]},
                                        {in[2], cr_flip(in[2], 1, (int[]){0})},
                                        {in[3], in[4]},
                                        {in[4], cr_add(in[3], in[4])}},
                          passes[p]);
    assert_non_null(f);
    cr_free(t);
    cr_workspace *w = cr_workspace_new(f);
    cr_array from[5], to = cr_fn_output(f, 0);
    void *data[5] = {a, b, c, &s, &u};
    for (int k = 0; k < 5; k++) from[k] = cr_fn_input(f, k), from[k].data = data[k];
    to.data = r;
    assert_int_equal(cr_fn_run(f, w, from, &to), CR_OK);
    assert_true(a[0] == 4 && a[2] == 6 && b[0] == 1 && b[2] == 3 && c[0] == 9 && c[2] == 7 && s == 20 && u == 30 &&
                r[0] == 5 && r[2] == 9);
    cr_workspace_free(w);
    cr_fn_free(f);
  }
}

/* An index out of range is found at the run, and then no input has changed. */
static void a_failed_run_changes_no_input(void **state) {
  (void)state;
  double w[2] = {1, 2}, y[2];
  int64_t at[2] = {0, 5};
  cr_tape *t = cr_new();
  cr_var in[2] = {cr_tensor_of(t, CR_FLOAT64, 1, (int64_t[]){2}, w), cr_constant_of(t, CR_INT64, 1, (int64_t[]){2}, NULL)};
  cr_var out = cr_index_select(in[0], 0, in[1]);
  cr_fn *f = cr_capture(t, 2, in, 1, &out, 1, &(cr_assign){in[0], cr_mul(in[0], in[0])}, CR_FN_EXACT);
  assert_non_null(f);
  cr_free(t);
  cr_workspace *space = cr_workspace_new(f);
  cr_array from[2] = {cr_fn_input(f, 0), cr_fn_input(f, 1)}, to = cr_fn_output(f, 0);
  from[0].data = w, from[1].data = at, to.data = y;
  assert_int_equal(cr_fn_run(f, space, from, &to), CR_BAD_INDEX);
  assert_non_null(strstr(cr_workspace_error(space), "index_select"));
  assert_true(w[0] == 1 && w[1] == 2);
  at[1] = 1;
  assert_int_equal(cr_fn_run(f, space, from, &to), CR_OK);
  assert_string_equal(cr_workspace_error(space), "");
  assert_true(y[0] == 1 && y[1] == 2 && w[0] == 1 && w[1] == 4);
  cr_workspace_free(space);
  cr_fn_free(f);
}

static cr_fn *capture_fails(cr_tape *t, int n, const cr_var *in, cr_var out, const char *says) {
  cr_fn *f = cr_capture(t, n, in, 1, &out, 0, NULL, CR_FN_EXACT);
  assert_null(f);
  if (!strstr(cr_error_text(t), says)) print_message("%s\n", cr_error_text(t));
  assert_non_null(strstr(cr_error_text(t), says));
  cr_clear_error(t);
  return f;
}

static void errors_name_what_is_wrong(void **state) {
  (void)state;
  double data[6] = {1, -2, 3, 4, 5, 6}, y[6];
  cr_tape *t = cr_new();
  cr_var x = cr_name(cr_tensor_of(t, CR_FLOAT64, 2, (int64_t[]){2, 3}, data), "weights"), out = cr_exp(x),
         c = cr_const(t, 2);
  capture_fails(t, 1, &out, out, "input 0 is computed");
  capture_fails(t, 1, &c, out, "made by cr_const");
  capture_fails(t, 2, (cr_var[]){x, x}, out, "input 1 is an earlier input again");
  capture_fails(t, -1, &x, out, "-1 inputs, 1 results, 0 assignments");
  capture_fails(t, 1, &x, cr_poison(t), "result 0 is the poison node");
  cr_var chosen = cr_index(x, 1, (cr_var[]){cr_gt(x, cr_const(t, 0))});
  capture_fails(t, 1, &x, chosen, "gt(...) is true were read when it was recorded");
  assert_null(cr_capture(t, 1, &x, 1, &out, 1, &(cr_assign){x, c}, CR_FN_EXACT));
  assert_non_null(strstr(cr_error_text(t), "assignment 0 of float64 () to weights: float64 (2, 3)"));
  cr_clear_error(t);
  cr_fn *f = cr_capture(t, 1, &x, 1, &out, 0, NULL, CR_FN_EXACT);
  assert_non_null(f);
  cr_workspace *w = cr_workspace_new(f);
  cr_array from = cr_fn_input(f, 0), to = cr_fn_output(f, 0), wrong;
  from.data = data, to.data = y;
  cr_array_init(&wrong, CR_FLOAT32, 1, (int64_t[]){6});
  wrong.data = data;
  assert_int_equal(cr_fn_run(f, w, &wrong, &to), CR_BAD_SHAPE);
  assert_string_equal(cr_workspace_error(w), "cr_fn_run: input 0 (weights) is float32 (6,), not float64 (2, 3)");
  assert_int_equal(cr_fn_run(f, w, &from, &from), CR_BAD_ARGUMENT);
  assert_string_equal(cr_workspace_error(w), "cr_fn_run: result 0 overlaps input 0");
  assert_int_equal(cr_fn_run(f, w, &from, &to), CR_OK);
  assert_true(y[1] == exp(-2));
  cr_workspace_free(w);
  cr_fn_free(f);
  cr_free(t);
}

static cr_fn_stats stats_of(cr_var x, cr_var y, unsigned pass) {
  cr_fn *f = cr_capture(x.tape, 1, &x, 1, &y, 0, NULL, pass);
  assert_non_null(f);
  cr_fn_stats s = cr_fn_stats_of(f);
  cr_fn_free(f);
  return s;
}

/* A selection whose constructor found other bytes on the stack. */
static cr_var selected(cr_var x, int fill) {
  volatile unsigned char dirt[1000];
  for (size_t k = 0; k < sizeof dirt; k++) dirt[k] = (unsigned char)fill;
  return cr_select(x, 0, dirt[0] - fill);
}

static void passes_do_what_they_say(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  cr_var x = cr_input(t, 2), two = cr_const(t, 2), one = cr_const(t, 1);
  cr_var twice = cr_add(cr_sin(cr_mul(x, two)), cr_sin(cr_mul(x, cr_const(t, 2))));
  assert_int_equal(stats_of(x, twice, CR_FN_MERGE).nodes, 5);
  assert_int_equal(stats_of(x, twice, CR_FN_MERGE).merged, 3);
  cr_var four = cr_tensor_of(t, CR_FLOAT64, 1, (int64_t[]){4}, NULL);
  assert_int_equal(stats_of(four, cr_add(selected(four, 0x55), selected(four, 0xAA)), CR_FN_MERGE).merged, 1);
  cr_exp(twice); /* nobody asks for it */
  assert_int_equal(stats_of(x, twice, 0).nodes, 8);
  assert_int_equal(stats_of(x, cr_mul(x, cr_exp(cr_sin(two))), CR_FN_FOLD).nodes, 3);
  cr_var same = cr_neg(cr_neg(cr_div(cr_mul(one, cr_sub(x, cr_const(t, 0))), one)));
  assert_int_equal(stats_of(x, same, CR_FN_SIMPLIFY).nodes, 1);
  assert_int_equal(stats_of(x, cr_add(x, cr_const(t, 0)), CR_FN_EXACT).nodes, 3);           /* -0 + 0 is 0 */
  assert_int_equal(stats_of(x, cr_mul(x, cr_const(t, 0)), CR_FN_EXACT).nodes, 3);           /* inf * 0 is NaN */
  assert_int_equal(stats_of(x, cr_guarded_mul(cr_const(t, 0), x), CR_FN_EXACT).nodes, 2);   /* 0 in the chain rule */
  cr_var v = cr_tensor_of(t, CR_FLOAT64, 2, (int64_t[]){3, 4}, NULL), turned = cr_transpose(cr_transpose(v, 0, 1), 0, 1);
  assert_int_equal(
      stats_of(v, cr_exp(cr_reshape(cr_reshape(turned, 1, (int64_t[]){12}), 2, (int64_t[]){3, 4})), CR_FN_SIMPLIFY).nodes,
      2);
  cr_free(t);
}

/* exp(x) overflows from 710 on; the stable forms do not. */
static void stable_forms_do_not_overflow(void **state) {
  (void)state;
  static const char *const sources[] = {"log(1 + exp(x))", "log(sum(exp(x)))", "log(softmax(x, dim=0))", "log1p(exp(x))",
                                        "-log(sigmoid(-x))", "log(sigmoid(-x))", "log(1 / (1 + exp(x)))",
                                        "log(1 / (exp(x) + 1))",
                                        "log(exp(x) / sum(exp(x)))", "log(exp(x) / sum(exp(x), dim=0, keepdim=True))",
                                        "log(sum(exp(x), dim=0, keepdim=True))"};
  for (size_t k = 0; k < sizeof sources / sizeof *sources; k++) {
    double data[2] = {1000, 1800}, y[2] = {0};
    cr_tape *t = cr_new();
    cr_var x = cr_tensor_of(t, CR_FLOAT64, 1, (int64_t[]){2}, data), out = cr_formula(t, sources[k], "x", x, NULL);
    assert_false(cr_is_poison(out));
    cr_array overflown = cr_view(out);
    const double first = cr_array_get(&overflown, 0);
    assert_true(first - first != 0); /* not finite */
    cr_fn *f = cr_capture(t, 1, &x, 1, &out, 0, NULL, CR_FN_EXACT | CR_FN_STABLE);
    assert_non_null(f);
    assert_int_equal(cr_fn_stats_of(f).stabilized, 1);
    cr_free(t);
    cr_workspace *w = cr_workspace_new(f);
    cr_array from = cr_fn_input(f, 0), to = cr_fn_output(f, 0);
    from.data = data, to.data = y;
    assert_int_equal(cr_fn_run(f, w, &from, &to), CR_OK);
    assert_true(isfinite(y[0]) && isfinite(y[1]));
    data[0] = 0.5, data[1] = -1.25; /* elsewhere they are the same functions */
    assert_int_equal(cr_fn_run(f, w, &from, &to), CR_OK);
    t = cr_new();
    cr_array want = cr_view(cr_formula(t, sources[k], "x", cr_tensor_of(t, CR_FLOAT64, 1, (int64_t[]){2}, data), NULL));
    for (int64_t i = 0; i < want.count; i++) assert_true(fabs(y[i] - cr_array_get(&want, i)) < 1e-14);
    cr_free(t);
    cr_workspace_free(w);
    cr_fn_free(f);
  }
}

/* Chains in one memory: far less than recording holds. */
static void memory_is_used_again(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  cr_var x = cr_tensor_of(t, CR_FLOAT32, 1, (int64_t[]){10000}, NULL), y = x;
  for (int k = 0; k < 50; k++) y = cr_cumsum(cr_sin(cr_mul(y, y)), 0);
  cr_fn_stats plain = stats_of(x, y, 0), planned = stats_of(x, y, CR_FN_EXACT);
  assert_int_equal(plain.bytes_recorded, 150 * 40000);
  assert_true(plain.bytes >= 149 * 40000);
  assert_true(planned.bytes < 3 * 40100);
  assert_int_equal(planned.blocks, 50);
  assert_int_equal(planned.blocked, 100);
  cr_free(t);
}

static cr_fn *capture_of(const char *source, const cr_allocator *allocator, int with_gradient, size_t bytes) {
  cr_tape *t = cr_new_with(cr_standard_ops(), allocator);
  if (!t) return NULL;
  cr_var x = cr_tensor_of(t, CR_FLOAT64, 2, (int64_t[]){90, 70}, NULL), y = cr_formula(t, source, "x", x, NULL),
         out[2] = {y};
  cr_fn *f = NULL;
  if (!cr_is_poison(y) && (!with_gradient || cr_grad(y, 1, &x, &out[1]) == CR_OK))
    f = cr_capture_within(t, 1, &x, 1 + with_gradient, out, 0, NULL, CR_FN_EXACT, bytes);
  cr_free(t);
  return f;
}

static const char whole[] =
    "sum(softmax(x @ x.T, dim=1) @ sin(x) * 3) + sum(sort(x)[0][1:5]) + logsumexp(x) + sum(exp(x[0] + x))";

static cr_status run_on(const cr_fn *f, cr_workspace *w, double *x, double *y, double *g) {
  cr_array from = cr_fn_input(f, 0), to[2] = {cr_fn_output(f, 0), cr_fn_output(f, 1)};
  from.data = x, to[0].data = y, to[1].data = g;
  return cr_fn_run(f, w, &from, to);
}

static void nothing_is_allocated_after_the_first_run(void **state) {
  (void)state;
  double *x = calloc(2 * 6300, sizeof *x), y;
  meter m = {0};
  cr_allocator allocator = {meter_reallocate, &m};
  cr_fn *f = capture_of(whole, &allocator, 1, 0);
  assert_non_null(f);
  cr_workspace *w = cr_workspace_new(f);
  assert_non_null(w);
  assert_int_equal(run_on(f, w, x, &y, x + 6300), CR_OK);
  long calls = m.calls;
  for (int k = 0; k < 5; k++) assert_int_equal(run_on(f, w, x, &y, x + 6300), CR_OK);
  assert_int_equal(m.calls, calls);
  cr_workspace_free(w);
  cr_fn_free(f);
  assert_int_equal(m.live, 0);
  free(x);
}

static uint32_t roll(uint32_t *dice) { return (*dice = *dice * 1664525u + 1013904223u) >> 8; }

/* Operations in random order on random results, so that runs of one operation can be made of them. */
static cr_var tangle(cr_tape *t, const cr_var *in, uint32_t nodes) {
  enum { WIDTH = 200 };
  cr_var v[WIDTH], sum = in[0];
  uint32_t dice = 7;
  for (int k = 0; k < WIDTH; k++) v[k] = cr_add(in[k % 2], cr_const(t, 0.01 * k));
  while (cr_node_count(t) < nodes && cr_error(t) == CR_OK) {
    cr_var a = v[roll(&dice) % WIDTH], b = v[roll(&dice) % WIDTH], *to = &v[roll(&dice) % WIDTH];
    switch (roll(&dice) % 8) {
      case 0: *to = cr_sin(a); break;
      case 1: *to = cr_tanh(cr_mul(a, b)); break;
      case 2: *to = cr_exp(cr_neg(cr_square(a))); break;
      case 3: *to = cr_hypot(a, b); break;
      case 4: *to = cr_guarded_mul(cr_relu(a), cr_const(t, 0.5)); break;
      case 5: *to = cr_maximum(a, cr_neg(b)); break;
      case 6: *to = cr_div(a, cr_add(cr_square(b), cr_const(t, 1))); break;
      default: *to = cr_sub(cr_mul(a, cr_const(t, 0.6)), cr_mul(b, in[1]));
    }
  }
  for (int k = 0; k < WIDTH; k++) sum = cr_add(sum, v[k]);
  return sum;
}

static void fail_each(size_t bytes) {
  double *x = calloc(2 * 6300, sizeof *x), want, y;
  meter m = {0};
  cr_allocator allocator = {meter_reallocate, &m};
  for (int k = 0; k < 6300; k++) x[k] = sin(k);
  long total = 0;
  for (long n = 0; n <= total; n++) {
    m = (meter){.fail_at = n};
    cr_fn *f = capture_of(whole, &allocator, 1, bytes);
    cr_workspace *w = f ? cr_workspace_new(f) : NULL;
    if (w) {
      cr_status status = run_on(f, w, x, n ? &y : &want, x + 6300);
      assert_true(status == CR_NO_MEMORY || (status == CR_OK && (!n || y == want)));
    }
    if (!n) assert_non_null(w);
    if (!n) total = m.calls;
    cr_workspace_free(w);
    cr_fn_free(f);
    assert_int_equal(m.live, 0);
  }
  print_message("%ld failing allocations\n", total);
  free(x);
}

static void each_allocation_in_turn(void **state) {
  (void)state;
  fail_each(0);
  fail_each(1);
}

static void each_allocation_of_a_sweep(void **state) {
  (void)state;
  meter m = {0};
  cr_allocator allocator = {meter_reallocate, &m};
  long total = 0;
  for (long n = 0; n <= total; n++) {
    m = (meter){.fail_at = n};
    cr_tape *t = cr_new_with(cr_standard_ops(), &allocator);
    cr_var in[2], y = {0};
    if (t) in[0] = cr_input(t, 0.7), in[1] = cr_input(t, -1.3), y = tangle(t, in, 1000);
    cr_fn *f = t && !cr_is_poison(y) ? cr_capture(t, 2, in, 1, &y, 0, NULL, CR_FN_EXACT) : NULL;
    cr_workspace *w = f ? cr_workspace_new(f) : NULL;
    double x[2] = {0.7, -1.3}, value, g[2];
    for (int k = 0; w && k < 2; k++) {
      cr_array from[2] = {cr_fn_input(f, 0), cr_fn_input(f, 1)}, to = cr_fn_output(f, 0);
      from[0].data = &x[0], from[1].data = &x[1], to.data = &value;
      cr_status status = cr_fn_backward(f, w, from, &to, NULL, g);
      assert_true(status == CR_OK || (n && status == CR_NO_MEMORY));
      if (!n && !k) total = m.calls;
      if (!n) assert_int_equal(m.calls, total); /* none after the first */
    }
    cr_workspace_free(w);
    cr_fn_free(f);
    cr_free(t);
    assert_int_equal(m.live, 0);
  }
}

typedef struct worker {
  const cr_fn *f;
  double x[6300], y, g[6300];
  int seed, failed;
} worker;

static void *work(void *context) {
  worker *k = context;
  cr_workspace *w = cr_workspace_new(k->f);
  for (int i = 0; i < 6300; i++) k->x[i] = sin(i * k->seed);
  for (int round = 0; round < 4; round++) k->failed |= !w || run_on(k->f, w, k->x, &k->y, k->g) != CR_OK;
  cr_workspace_free(w);
  return NULL;
}

static void threads_run_one_function(void **state) {
  (void)state;
  enum { THREADS = 4 };
  pthread_t thread[THREADS];
  worker *k = calloc(2 * THREADS, sizeof *k);
  cr_fn *f = capture_of(whole, NULL, 1, 0);
  assert_non_null(f);
  for (int i = 0; i < 2 * THREADS; i++) k[i].f = f, k[i].seed = 1 + i % THREADS;
  for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&thread[i], NULL, work, &k[i]), 0);
  for (int i = THREADS; i < 2 * THREADS; i++) work(&k[i]);
  for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_join(thread[i], NULL), 0);
  for (int i = 0; i < THREADS; i++) {
    assert_false(k[i].failed || k[THREADS + i].failed);
    assert_true(k[i].y == k[THREADS + i].y);
    assert_memory_equal(k[i].g, k[THREADS + i].g, sizeof k[i].g);
  }
  cr_fn_free(f);
  free(k);
}

/* Scalars: a program of many ops, its gradient, views of scalars, and results that are inputs or constants. */
static void scalars_run_too(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  ends e = {.n_in = 2, .in = {cr_input(t, 0.7), cr_input(t, -1.3)}, .n_out = 7};
  cr_var x = e.in[0], y = e.in[1], z = cr_sin(x);
  for (int k = 0; k < 200; k++) z = cr_add(cr_mul(cr_tanh(z), k % 3 ? x : y), cr_exp(cr_neg(cr_square(z))));
  e.out[0] = z;
  assert_int_equal(cr_grad(z, 2, e.in, e.out + 1), CR_OK);
  e.out[3] = x, e.out[4] = cr_const(t, 5), e.out[5] = cr_reshape(z, 2, (int64_t[]){1, 1});
  e.out[6] =
      cr_mul(cr_broadcast_to(z, 1, (int64_t[]){3}), cr_tensor_of(t, CR_FLOAT64, 1, (int64_t[]){3}, (double[]){1, 2, 3}));
  assert_true(check_capture(&e, "scalars"));
  cr_free(t);
}

/* Value and gradient of scalars as nodes, with their bits, and by cr_fn_backward, up to the order of sums. */
static void scalars_in_any_order(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  ends e = {.n_in = 2, .in = {cr_input(t, 0.7), cr_input(t, -1.3)}, .n_out = 4};
  e.out[0] = tangle(t, e.in, 4000);
  e.out[1] = cr_mul(e.out[0], e.in[1]);
  assert_int_equal(cr_grad(e.out[0], 2, e.in, e.out + 2), CR_OK);
  assert_true(check_capture(&e, "a tangle of scalars"));
  for (int p = 0; p < PASSES; p++) {
    cr_fn *f = cr_capture(t, 2, e.in, 2, e.out, 0, NULL, passes[p]);
    cr_workspace *w = cr_workspace_new(f);
    double x[2], y[2], g[2], want[2];
    cr_array from[2], to[2];
    for (int k = 0; k < 2; k++) {
      x[k] = cr_value(e.in[k]);
      from[k] = cr_fn_input(f, k), to[k] = cr_fn_output(f, k);
      from[k].data = &x[k], to[k].data = &y[k];
    }
    assert_int_equal(cr_fn_backward(f, w, from, to, (double[]){1, 0.5}, g), CR_OK);
    assert_true(y[0] == cr_value(e.out[0]) && y[1] == cr_value(e.out[1]));
    cr_sweep *s = cr_backward(e.out[0]), *of_product = cr_backward(e.out[1]);
    for (int k = 0; k < 2; k++) {
      want[k] = cr_adjoint(s, e.in[k]) + 0.5 * cr_adjoint(of_product, e.in[k]);
      assert_true(fabs(g[k] - want[k]) <= 1e-12 * (1 + fabs(want[k])));
    }
    assert_int_equal(cr_fn_backward(f, w, from, to, NULL, g), CR_OK);
    for (int k = 0; k < 2; k++) {
      double all = cr_adjoint(s, e.in[k]) + cr_adjoint(of_product, e.in[k]);
      assert_true(fabs(g[k] - all) <= 1e-12 * (1 + fabs(all)));
    }
    cr_workspace_free(w);
    cr_fn_free(f);
  }
  cr_free(t);
}

/* A step of x towards a minimum of x^2 y: the value, the sweep and the assignment are of one point. */
static void a_sweep_goes_before_assignments(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  cr_var in[2] = {cr_input(t, 3), cr_input(t, 2)}, y = cr_mul(cr_square(in[0]), in[1]);
  cr_fn *f = cr_capture(t, 2, in, 1, &y, 1, &(cr_assign){in[0], cr_sub(in[0], cr_const(t, 1))}, CR_FN_EXACT);
  cr_workspace *w = cr_workspace_new(f);
  double x[2] = {3, 2}, value, g[2];
  cr_array from[2] = {cr_fn_input(f, 0), cr_fn_input(f, 1)}, to = cr_fn_output(f, 0);
  from[0].data = &x[0], from[1].data = &x[1], to.data = &value;
  for (double at = 3; at > 0; at--) {
    assert_int_equal(cr_fn_backward(f, w, from, &to, NULL, g), CR_OK);
    assert_true(value == 2 * at * at && g[0] == 4 * at && g[1] == at * at && x[0] == at - 1 && x[1] == 2);
  }
  cr_workspace_free(w);
  cr_fn_free(f);
  cr_var v = cr_tensor_of(t, CR_FLOAT64, 1, (int64_t[]){2}, x), z = cr_exp(v);
  f = cr_capture(t, 1, &v, 1, &z, 0, NULL, CR_FN_EXACT);
  cr_workspace *other = cr_workspace_new(f);
  from[0] = cr_fn_input(f, 0), from[0].data = x, to = cr_fn_output(f, 0), to.data = g;
  assert_int_equal(cr_fn_backward(f, other, from, &to, NULL, g), CR_BAD_ARGUMENT);
  assert_string_equal(cr_workspace_error(other), "cr_fn_backward: the function has tensors: capture the nodes of cr_grad "
                                                 "among its results");
  cr_workspace_free(other);
  cr_fn_free(f);
  cr_free(t);
}

static cr_var layers(cr_var x, int n) {
  for (int k = 0; k < n; k++) x = cr_tanh(cr_cumsum(cr_mul(x, cr_const(x.tape, 0.01)), 0));
  return cr_sum_all(cr_square(x));
}

static cr_fn_stats within(int n, size_t bytes, const double *data, double *y, double *g) {
  cr_tape *t = cr_new();
  cr_var x = cr_tensor_of(t, CR_FLOAT64, 1, (int64_t[]){100}, data), out[2] = {layers(x, n)};
  assert_int_equal(cr_grad(out[0], 1, &x, out + 1), CR_OK);
  cr_fn *f = cr_capture_within(t, 1, &x, 2, out, 0, NULL, CR_FN_EXACT, bytes);
  assert_non_null(f);
  cr_free(t);
  cr_workspace *w = cr_workspace_new(f);
  cr_array from = cr_fn_input(f, 0), to[2] = {cr_fn_output(f, 0), cr_fn_output(f, 1)};
  double copy[100];
  memcpy(copy, data, sizeof copy);
  from.data = copy, to[0].data = y, to[1].data = g;
  assert_int_equal(cr_fn_run(f, w, &from, to), CR_OK);
  cr_fn_stats s = cr_fn_stats_of(f);
  cr_workspace_free(w);
  cr_fn_free(f);
  return s;
}

/* A thousand layers and their gradient in the memory of some sixty, with the same bits. */
static void a_bound_on_memory(void **state) {
  (void)state;
  enum { RESULT = 832 }; /* bytes of 100 numbers, in whole lines of the cache */
  double data[100], y, z, g[100], h[100];
  for (int k = 0; k < 100; k++) data[k] = sin(k);
  cr_fn_stats all = within(1000, 0, data, &y, g), least = within(1000, 1, data, &z, h), half;
  assert_true(all.recomputed == 0 && all.bytes == all.bytes_stored && all.bytes > 1000 * RESULT);
  assert_true(y == z);
  assert_memory_equal(g, h, sizeof g);
  assert_int_equal(least.bytes_stored, all.bytes);
  assert_true(least.bytes < 70 * RESULT && least.recomputed > 0 && least.recomputed < 3100);
  half = within(1000, all.bytes / 2, data, &z, h);
  assert_memory_equal(g, h, sizeof g);
  assert_true(half.bytes <= all.bytes / 2 && half.recomputed < least.recomputed);
  assert_true(within(4000, 1, data, &z, h).bytes * 10 < 22 * least.bytes);
  assert_int_equal(within(1000, all.bytes, data, &z, h).recomputed, 0);
}

/* z = f(x, y), and the adjoints of z^2 + z + x by x and y: 3 n numbers as doubles. */
static int row_on(const char *name, int two, cr_dtype dtype, int64_t n, const double *x, const double *y, double *out) {
  cr_tape *t = cr_new();
  cr_var in[2];
  char source[100];
  for (int k = 0; k < 2; k++) {
    in[k] = cr_tensor_of(t, dtype, 1, &n, NULL);
    cr_array a = cr_view(in[k]);
    for (int64_t i = 0; i < n; i++) cr_array_set(&a, i, k ? y[i] : x[i]);
  }
  snprintf(source, sizeof source, two ? "%s(x, y)" : "%s(x)", name);
  cr_var z = cr_formula(t, source, "x", in[0], "y", in[1], NULL), sum = cr_add(cr_add(cr_mul(z, z), z), in[0]);
  int good = !cr_is_poison(sum) && cr_dtype_of(z) == dtype;
  cr_sweep *s = good ? cr_backward(sum) : NULL;
  if (s) {
    cr_read(z, out, n);
    for (int k = 0; k < 2; k++) cr_adjoint_read(s, in[k], out + (k + 1) * n, n);
  }
  good = good && s && cr_error(t) == CR_OK;
  cr_free(t);
  return good;
}

/* Recording and sweeping take other ways for few numbers than for many: the bits are the same. */
static void few_numbers_have_the_bits_of_many(void **state) {
  (void)state;
  enum { MANY = 210, FEW = 7 };
  double x[MANY], y[MANY], all[3 * MANY], some[3 * FEW];
  cr_tape *t = cr_new();
  const cr_function *f;
  int rows = 0;
  for (int k = 0; k < MANY; k++) x[k] = 0.1 + 0.8 * fabs(sin(k)), y[k] = k % 9 ? 0.2 + 0.7 * fabs(cos(3 * k)) : x[k];
  for (int k = 0; (f = cr_function_at(t, k)); k++) {
    char name[64];
    int two = strstr(f->signature, "other") != NULL;
    if (f->samples || !f->family || strcmp(f->family, "elementwise")) continue;
    function_name(f, name, sizeof name);
    for (int d = CR_FLOAT32; d <= CR_FLOAT64; d++) {
      if (!row_on(name, two, (cr_dtype)d, MANY, x, y, all)) continue;
      rows++;
      for (int at = 0; at < MANY; at += FEW) {
        assert_true(row_on(name, two, (cr_dtype)d, FEW, x + at, y + at, some));
        for (int i = 0; i < 3 * FEW; i++) {
          double a = some[i], b = all[i / FEW * MANY + at + i % FEW];
          if (memcmp(&a, &b, sizeof a) && (a == a || b == b)) print_message("%s: %.17g, among many %.17g\n", name, a, b);
          assert_true(!memcmp(&a, &b, sizeof a) || (a != a && b != b));
        }
      }
    }
  }
  cr_free(t);
  assert_true(rows > 150);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(scalars_run_too),
    cmocka_unit_test(scalars_in_any_order),
    cmocka_unit_test(a_sweep_goes_before_assignments),
    cmocka_unit_test(a_bound_on_memory),
    cmocka_unit_test(few_numbers_have_the_bits_of_many),
    cmocka_unit_test(every_function_keeps_its_bits),
    cmocka_unit_test(blocks_keep_the_bits_of_recording),
    cmocka_unit_test(a_step_in_place),
    cmocka_unit_test(assignments_are_one_commit),
    cmocka_unit_test(a_failed_run_changes_no_input),
    cmocka_unit_test(errors_name_what_is_wrong),
    cmocka_unit_test(passes_do_what_they_say),
    cmocka_unit_test(stable_forms_do_not_overflow),
    cmocka_unit_test(memory_is_used_again),
    cmocka_unit_test(nothing_is_allocated_after_the_first_run),
    cmocka_unit_test(each_allocation_in_turn),
    cmocka_unit_test(each_allocation_of_a_sweep),
    cmocka_unit_test(threads_run_one_function),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
