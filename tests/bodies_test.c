/* Bodies: memory of long chains, functions of the language, errors, lives, nesting, each allocation made to fail. */
#include "compare_bodies.h"

#include "jit.h"

/* Memory: a chain of 1,000 layers by blocks of 32 */

typedef struct meter {
  size_t held, most;
} meter;
static void *metered(void *user, void *p, size_t old_size, size_t new_size) {
  meter *m = user;
  void *q = NULL;
  if (new_size && !(q = realloc(p, new_size))) return NULL;
  if (!new_size) free(p);
  m->held += new_size - old_size;
  m->most = m->held > m->most ? m->held : m->most;
  return q;
}

enum { CHAIN_WIDTH = 4096, BLOCK = 32 };

static void chain(cr_tape *t, void *user, int n, const cr_var *in, int m, cr_var *out) {
  (void)t, (void)n, (void)m;
  out[0] = in[0];
  for (int k = 0; k < *(const int *)user; k++) out[0] = cr_sin(cr_mul(out[0], cr_select(in[1], 0, k)));
}

/* The largest memory of value and gradient, which go to out. */
static size_t differentiate_chain(int layers, bool checked, double *out) {
  meter m = {0, 0};
  cr_tape *t = cr_new_with(cr_standard_ops(), &(cr_allocator){metered, &m});
  cr_var x = tensor(t, CR_FLOAT64, 1, (int64_t[]){CHAIN_WIDTH}, 1), w = tensor(t, CR_FLOAT64, 1, (int64_t[]){layers}, 2),
         y = x;
  cr_array a = cr_view(w);
  for (int k = 0; k < layers; k++) cr_array_set(&a, k, 1.2 + 0.1 * cr_array_get(&a, k));
  for (int from = 0; from < layers; from += BLOCK) {
    int some = layers - from < BLOCK ? layers - from : BLOCK;
    cr_var in[2] = {y, cr_slice_axis(w, 0, from, from + some, 1)};
    if (checked) cr_checkpoint(t, chain, &some, 2, in, 1, &y);
    else chain(t, &some, 2, in, 1, &y);
  }
  cr_sweep *s = cr_backward(cr_sum_all(y));
  assert_fine(t);
  cr_adjoint_read(s, x, out, CHAIN_WIDTH);
  cr_adjoint_read(s, w, out + CHAIN_WIDTH, layers);
  cr_free(t);
  assert_int_equal(m.held, 0);
  return m.most;
}

static void a_long_chain_takes_the_root_of_its_memory(void **state) {
  (void)state;
  static double plain[CHAIN_WIDTH + 1000], checked[CHAIN_WIDTH + 1000];
  size_t eager = differentiate_chain(1000, false, plain), most = differentiate_chain(1000, true, checked);
  print_message("1000 layers of %d: %zu KiB, by checkpoints %zu KiB\n", CHAIN_WIDTH, eager >> 10, most >> 10);
  assert_memory_equal(plain, checked, sizeof plain);
  assert_true(most < eager / 6);
}

static size_t differentiate_scan(int64_t layers, int64_t every, double *out) {
  meter m = {0, 0};
  cr_tape *t = cr_new_with(cr_standard_ops(), &(cr_allocator){metered, &m});
  cr_var x = tensor(t, CR_FLOAT64, 1, (int64_t[]){CHAIN_WIDTH}, 1), w = tensor(t, CR_FLOAT64, 1, (int64_t[]){layers}, 2), y;
  cr_array a = cr_view(w);
  for (int64_t k = 0; k < layers; k++) cr_array_set(&a, k, 1.2 + 0.1 * cr_array_get(&a, k));
  cr_loop l = {.n_carry = 1, .n_xs = 1, .carry = &x, .xs = &w, .steps = layers, .every = every};
  cr_scan(t, layer_of_scan, NULL, &l, &y, NULL);
  cr_sweep *s = cr_backward(cr_sum_all(y));
  assert_fine(t);
  cr_adjoint_read(s, x, out, CHAIN_WIDTH);
  cr_adjoint_read(s, w, out + CHAIN_WIDTH, layers);
  cr_free(t);
  assert_int_equal(m.held, 0);
  return m.most;
}

static void a_scan_in_stretches_too(void **state) {
  (void)state;
  static double plain[CHAIN_WIDTH + 1024], by_scan[CHAIN_WIDTH + 1024];
  differentiate_chain(1024, false, plain);
  size_t all = differentiate_scan(1024, 0, by_scan), some = differentiate_scan(1024, 32, by_scan);
  size_t quarter = differentiate_scan(256, 16, by_scan);
  some = differentiate_scan(1024, 32, by_scan);
  print_message("1024 steps of %d: %zu KiB, by 32 %zu KiB; 256 by 16: %zu KiB\n", CHAIN_WIDTH, all >> 10, some >> 10,
                quarter >> 10);
  for (int k = 0; k < CHAIN_WIDTH + 1024; k++) assert_true(fabs(plain[k] - by_scan[k]) <= 1e-13 * fabs(plain[k]) + 1e-300);
  assert_true(some < all / 6 && some < 3 * quarter);
}

/* The language */

static double eval_text(const char *text, char *message, size_t size) {
  cr_tape *t = cr_new();
  cr_program *p = cr_program_new(t, CR_FLOAT64);
  cr_results r;
  cr_syntax_error where;
  double value = (double)NAN;
  if (cr_program_run(p, text, strlen(text), &r, &where) == CR_OK) value = cr_value(r.value[0]);
  snprintf(message, size, "%s", cr_error_text(t));
  cr_free(t);
  return value;
}

static void the_language_passes_functions(void **state) {
  (void)state;
  static const struct {
    const char *text;
    double value;
    const char *error;
  } cases[] = {
    {"f(h, v, w) = (tanh(h * w + v), h * h); y = scan(f, 0.5, [1.0, 2, 3], 0.7); y[0]", 0.99875978310, ""},
    {"g(x) = x * x; f(x) = g(x) + 1; sum(map(f, [1, 2, 3]))", 17, ""},
    {"f(x, a) = x ^ 3 - a; a = 8.0; grad(root(f, 1.0, a), a)", 1.0 / 12, ""},
    {"f(h, i) = h + i; fori(f, 0.0, 5)", 10, ""},
    {"f(h, i) = h + i; fori(f, 0.0, 5, count=3)", 3, ""},
    {"x = 0.3; grad(cond(x > 0, sin, cos, x), x)", 0.95533648912, ""},
    {"x = 0.3; grad(checkpoint(sin, x), x)", 0.95533648912, ""},
    {"x = 3.0; f(h, i) = h * x; fori(f, 0.5, 3)", (double)NAN, "cr_fori: in f: unknown name 'x'"},
    {"cond(1, sin, 3, 2.0)", (double)NAN, "argument 'g' is 3, not a function"},
    {"fori(sin, 2.0, 3)", (double)NAN, "sin takes at most 1 positional arguments, not 2"},
    {"scan(f, 1, 2)", (double)NAN, "unknown name 'f'"},
    {"f(h, i) = (h, i); fori(f, 0.0, 5)", (double)NAN, "the function has 2 results, not 1"},
  };
  for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
    char message[1200];
    double value = eval_text(cases[k].text, message, sizeof message);
    bool good =
        isnan(cases[k].value) ? isnan(value) && strstr(message, cases[k].error) : fabs(value - cases[k].value) < 1e-10;
    if (!good) fail_msg("%s: %.12g %s", cases[k].text, value, message);
  }
}

/* Errors and lives */

static cr_var foreign;
static void uses_foreign(cr_tape *t, void *user, int n, const cr_var *in, int m, cr_var *out) {
  (void)t, (void)user, (void)n, (void)m;
  out[0] = cr_add(in[0], foreign);
}
static void passes_foreign(cr_tape *t, void *user, int n, const cr_var *in, int m, cr_var *out) {
  (void)t, (void)user, (void)n, (void)m, (void)in;
  out[0] = foreign;
}
static void gives_nothing(cr_tape *t, void *user, int n, const cr_var *in, int m, cr_var *out) {
  (void)t, (void)user, (void)n, (void)m, (void)in, (void)out;
}
static void two_dtypes(cr_tape *t, void *user, int n, const cr_var *in, int m, cr_var *out) {
  (void)t, (void)user, (void)n, (void)m;
  out[0] = in[0];
  out[1] = cr_cast(in[0], CR_INT64);
}
static void another_shape(cr_tape *t, void *user, int n, const cr_var *in, int m, cr_var *out) {
  (void)t, (void)user, (void)n, (void)m;
  out[0] = cr_stack(2, (cr_var[]){in[0], in[0]}, 0);
}
static void same_shape(cr_tape *t, void *user, int n, const cr_var *in, int m, cr_var *out) {
  (void)t, (void)user, (void)n, (void)m;
  out[0] = in[0];
}

static void assert_refused(cr_tape *t, cr_status status, const char *text) {
  if (cr_error(t) != status || !strstr(cr_error_text(t), text)) fail_msg("%d: %s", (int)cr_error(t), cr_error_text(t));
  cr_clear_error(t);
}

static void errors_name_what_is_wrong(void **state) {
  (void)state;
  cr_tape *t = cr_new(), *other = cr_new();
  cr_var x = cr_input(t, 1.5), v = tensor(t, CR_FLOAT64, 1, (int64_t[]){3}, 1), out[2];
  foreign = cr_mul(x, x);
  cr_checkpoint(t, uses_foreign, NULL, 1, &x, 1, out);
  assert_refused(t, CR_WRONG_TAPE, "cr_checkpoint: add(float64 (), a stale handle): operand belongs to another tape");
  cr_checkpoint(t, passes_foreign, NULL, 1, &x, 1, out);
  assert_refused(t, CR_WRONG_TAPE, "another tape");
  cr_checkpoint(t, gives_nothing, NULL, 1, &x, 1, out);
  assert_refused(t, CR_POISONED, "result 0 is the poison node");
  cr_checkpoint(t, two_dtypes, NULL, 1, &x, 2, out);
  assert_refused(t, CR_BAD_DTYPE, "result 1 is int64, but result 0 is float64");
  cr_var elsewhere = cr_input(other, 1);
  cr_checkpoint(t, layer, NULL, 1, &elsewhere, 1, out);
  assert_refused(t, CR_WRONG_TAPE, "input 0 is of another tape");
  cr_cond(t, v, root_of, product_of, NULL, 1, &x, 1, out);
  assert_refused(t, CR_BAD_SHAPE, "the condition has shape (3,)");
  cr_cond(t, x, another_shape, same_shape, NULL, 1, &x, 1, out);
  assert_refused(t, CR_BAD_SHAPE, "result 0 is float64 (2,) in one branch and float64 () in the other");
  cr_loop l = {.n_carry = 1, .carry = &x, .steps = 4};
  cr_scan(t, another_shape, NULL, &l, out, NULL);
  assert_refused(t, CR_BAD_SHAPE, "carry 0 begins as float64 () and comes out of the body as float64 (2,)");
  l.n_xs = 1, l.xs = &v;
  cr_scan(t, same_shape, NULL, &l, out, NULL);
  assert_refused(t, CR_BAD_SHAPE, "sequence 0 has shape (3,), but there are 4 steps");
  cr_fori(t, same_shape, NULL, cr_poison(t), &l, out);
  assert_refused(t, CR_BAD_ARGUMENT, "are for cr_scan");
  cr_root(t, another_shape, NULL, x, 0, NULL);
  assert_refused(t, CR_BAD_SHAPE, "as many equations as unknowns");
  cr_free(other);
  cr_free(t);
}

/* A failure in a step of a captured loop is the run's, and names the op. */
static void takes_row(cr_tape *t, void *user, int n, const cr_var *in, int m, cr_var *out) {
  (void)t, (void)user, (void)n, (void)m;
  out[0] = cr_index_select(in[1], 0, in[0]);
}

static void failures_of_steps_are_those_of_the_run(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  int64_t at[6] = {0, 1, 2, 2, 1, 0};
  cr_var index = cr_tensor_of(t, CR_INT64, 1, (int64_t[]){6}, at), rows = tensor(t, CR_FLOAT64, 1, (int64_t[]){3}, 1), y;
  cr_loop l = {.n_xs = 1, .n_const = 1, .n_ys = 1, .xs = &index, .consts = &rows, .steps = 6};
  cr_var vector = cr_reshape(index, 2, (int64_t[]){6, 1});
  l.xs = &vector;
  assert_int_equal(cr_scan(t, takes_row, NULL, &l, NULL, &y), CR_OK);
  cr_fn *f = cr_capture(t, 2, (cr_var[]){index, rows}, 1, &y, 0, NULL, CR_FN_EXACT);
  assert_fine(t);
  cr_workspace *w = cr_workspace_new(f);
  for (int threads = 1; threads < 4; threads += 2) {
    double out[6];
    cr_array in[2] = {cr_view(index), cr_view(rows)}, to = cr_fn_output(f, 0);
    cr_workspace_threads(w, threads);
    to.data = out;
    in[0].data = at;
    assert_int_equal(cr_fn_run(f, w, in, &to), CR_OK);
    at[3] = 7;
    assert_int_equal(cr_fn_run(f, w, in, &to), CR_BAD_INDEX);
    assert_non_null(strstr(cr_workspace_error(w), "7"));
    at[3] = 2;
    assert_int_equal(cr_fn_run(f, w, in, &to), CR_OK);
  }
  cr_workspace_free(w);
  cr_fn_free(f);
  cr_free(t);
}

/* Captured functions outlive the tape; resets let go of what was recorded. */
static void bodies_live_as_long_as_their_nodes(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  cr_mark mark = cr_mark_here(t);
  cr_fn *f = NULL;
  double value = 0, at = 0.5;
  for (int round = 0; round < 3; round++) {
    cr_fn_free(f);
    cr_var x = cr_input(t, 0.5), g, out[2];
    cr_checkpoint(t, two_results, &(double){1.0}, 2, (cr_var[]){x, x}, 2, out);
    cr_grad(cr_add(out[0], out[1]), 1, &x, &g);
    f = cr_capture(t, 1, &x, 1, &g, 0, NULL, CR_FN_EXACT);
    assert_fine(t);
    value = cr_value(g);
    cr_reset(t, mark);
  }
  cr_free(t);
  cr_workspace *w = cr_workspace_new(f);
  cr_array in = cr_fn_input(f, 0), out = cr_fn_output(f, 0);
  double again;
  in.data = &at, out.data = &again;
  assert_int_equal(cr_fn_run(f, w, &in, &out), CR_OK);
  assert_true(again == value);
  cr_workspace_free(w);
  cr_fn_free(f);
}

/* The memory of a run is there after the first. */
typedef struct count_calls {
  long calls, fail_at;
  size_t live;
} count_calls;
static void *counted(void *user, void *p, size_t old_size, size_t new_size) {
  count_calls *m = user;
  if (new_size && ++m->calls == m->fail_at) return NULL;
  m->live += new_size - old_size;
  if (new_size) return realloc(p, new_size);
  free(p);
  return NULL;
}

/* A checkpoint in a scan in a checkpoint, a cond and a root, and their derivatives; the gradient by x. */
static void inner_cell(cr_tape *t, void *user, int n, const cr_var *in, int m, cr_var *out) {
  (void)n, (void)m;
  cr_checkpoint(t, layer_of_scan, user, 2, in, 1, out);
}
static void outer_body(cr_tape *t, void *user, int n, const cr_var *in, int m, cr_var *out) {
  (void)n, (void)m;
  cr_loop l = {.n_carry = 1, .n_xs = 1, .carry = in, .xs = in + 1, .steps = 6, .every = 2};
  cr_scan(t, inner_cell, user, &l, out, NULL);
}
static cr_var nested(cr_tape *t, cr_var x, cr_var w) {
  cr_var y, z, s;
  cr_checkpoint(t, outer_body, NULL, 2, (cr_var[]){x, w}, 1, &y);
  s = cr_sum_all(cr_mul(y, y));
  cr_cond(t, cr_gt(s, cr_const(t, 0)), root_of, product_of, NULL, 2, (cr_var[]){s, w}, 1, &z);
  return cr_root(t, square_minus, NULL, cr_ones_like(z), 1, &z);
}
static cr_var nested_plainly(cr_tape *t, cr_var x, cr_var w) {
  cr_var y = x, s;
  for (int k = 0; k < 6; k++) y = cr_sin(cr_mul(y, cr_select(w, 0, k)));
  s = cr_sum_all(cr_mul(y, y));
  root_of(t, NULL, 2, (cr_var[]){s, w}, 1, &y);
  return cr_sqrt(y);
}

static void bodies_nest(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  cr_var x[2] = {tensor(t, CR_FLOAT64, 1, (int64_t[]){5}, 1), tensor(t, CR_FLOAT64, 1, (int64_t[]){6}, 2)};
  cr_array w = cr_view(x[1]);
  for (int k = 0; k < 6; k++) cr_array_set(&w, k, 1.1 + 0.1 * k);
  check_pair(nested(t, x[0], x[1]), nested_plainly(t, x[0], x[1]), 2, x, 1e-13);
  cr_free(t);
}

/* Recorded without values: the captured function is the same. */
static void bodies_are_recorded_without_values(void **state) {
  (void)state;
  double at[11] = {0.1, -0.2, 0.3, 0.4, 0.5, 1.1, 1.2, 1.3, 1.2, 1.1, 1.3}, out[2][12];
  for (int lazy = 0; lazy < 2; lazy++) {
    cr_tape *t = cr_new();
    cr_var x[2] = {cr_tensor_of(t, CR_FLOAT64, 1, (int64_t[]){5}, at),
                   cr_tensor_of(t, CR_FLOAT64, 1, (int64_t[]){6}, at + 5)},
           y[3];
    cr_set(t, CR_LAZY, lazy);
    y[0] = nested(t, x[0], x[1]);
    cr_grad(y[0], 2, x, y + 1);
    cr_fn *f = cr_capture(t, 2, x, 3, y, 0, NULL, CR_FN_EXACT);
    assert_fine(t);
    cr_workspace *w = cr_workspace_new(f);
    cr_array in[2] = {cr_view(x[0]), cr_view(x[1])}, to[3] = {cr_fn_output(f, 0), cr_fn_output(f, 1), cr_fn_output(f, 2)};
    in[0].data = at, in[1].data = at + 5, to[0].data = out[lazy], to[1].data = out[lazy] + 1, to[2].data = out[lazy] + 6;
    assert_int_equal(cr_fn_run(f, w, in, to), CR_OK);
    cr_workspace_free(w);
    cr_fn_free(f);
    cr_free(t);
  }
  assert_memory_equal(out[0], out[1], sizeof out[0]);
}

static cr_fn *nested_function(cr_tape *t) {
  cr_var x = tensor(t, CR_FLOAT64, 1, (int64_t[]){5}, 1), w = tensor(t, CR_FLOAT64, 1, (int64_t[]){6}, 2), g[2];
  cr_array a = cr_view(w);
  for (int k = 0; k < 6 && a.count == 6; k++) cr_array_set(&a, k, 1.1 + 0.1 * k);
  cr_var y = nested(t, x, w);
  if (cr_is_poison(y) || cr_grad(y, 2, (cr_var[]){x, w}, g) != CR_OK) return NULL;
  return cr_capture(t, 2, (cr_var[]){x, w}, 1, g, 0, NULL, CR_FN_EXACT);
}

static cr_status run_nested(const cr_fn *f, cr_workspace *w, double *out) {
  double x[11] = {0.1, -0.2, 0.3, 0.4, 0.5, 1.1, 1.2, 1.3, 1.2, 1.1, 1.3};
  cr_array in[2] = {cr_fn_input(f, 0), cr_fn_input(f, 1)}, to = cr_fn_output(f, 0);
  in[0].data = x, in[1].data = x + 5, to.data = out;
  return cr_fn_run(f, w, in, &to);
}

static void runs_allocate_once(void **state) {
  (void)state;
  count_calls m = {0, 0, 0};
  cr_tape *t = cr_new_with(cr_standard_ops(), &(cr_allocator){counted, &m});
  cr_fn *f = nested_function(t);
  cr_workspace *w = cr_workspace_new(f);
  double out[5];
  assert_int_equal(run_nested(f, w, out), CR_OK);
  long calls = m.calls;
  for (int k = 0; k < 3; k++) assert_int_equal(run_nested(f, w, out), CR_OK);
  assert_int_equal(m.calls, calls);
  cr_workspace_free(w);
  cr_fn_free(f);
  cr_free(t);
  assert_int_equal(m.live, 0);
}

static void each_allocation_in_turn(void **state) {
  (void)state;
  double want[5], out[5];
  long total = 0;
  for (long n = 0; n <= total; n++) {
    count_calls m = {0, n, 0};
    cr_tape *t = cr_new_with(cr_standard_ops(), &(cr_allocator){counted, &m});
    cr_fn *f = t ? nested_function(t) : NULL;
    cr_workspace *w = f ? cr_workspace_new(f) : NULL;
    if (w) {
      cr_status status = run_nested(f, w, n ? out : want);
      assert_true(status == CR_NO_MEMORY || (status == CR_OK && (!n || !memcmp(out, want, sizeof out))));
    }
    if (!n) assert_non_null(w);
    if (!n) total = m.calls;
    if (t && !f) assert_int_equal(cr_error(t), CR_NO_MEMORY);
    cr_workspace_free(w);
    cr_fn_free(f);
    cr_free(t);
    assert_int_equal(m.live, 0);
  }
  print_message("%ld failing allocations\n", total);
}

/* Functions within functions of the language: those that take a function call it once, or n levels would take 2^n calls. */
static cr_status run_levels(cr_tape *t, int levels, double *value, double *slope) {
  static const char *const call[][2] = {
    {"checkpoint(f", ", x)"}, {"scan(g", ", x, [2.0])"}, {"cond(x > 0, f", ", sin, x)"}, {"sum(map(f", ", [1.0] * x))"}};
  cr_buffer b = {.tape = t};
  cr_put(&b, "f0(x) = sin(x); ");
  for (int k = 0; k < levels; k++) {
    const char *const *c = call[k % (levels > 6 ? 3 : 4)]; /* each map has another axis */
    cr_put(&b, "g%d(x, y) = f%d(x) + y; f%d(x) = %s%d%s; ", k, k, k + 1, c[0], k, c[1]);
  }
  cr_put(&b, "f%d(x)", levels);
  cr_program *p = cr_program_new(t, CR_FLOAT64);
  cr_var x = cr_input(t, 0.5);
  cr_results r = {0};
  if (p && !b.failed) cr_program_bind(p, "x", x), cr_program_run(p, b.text, b.length, &r, NULL);
  cr_buffer_free(&b);
  if (cr_error(t) == CR_OK && r.n) {
    *value = cr_value(r.value[0]);
    cr_sweep *s = cr_backward(r.value[0]);
    *slope = s ? cr_adjoint(s, x) : 0;
  }
  return cr_error(t);
}

static void a_function_without_end_is_an_error(void **state) {
  (void)state;
  static const char *const texts[] = {"f(x) = checkpoint(f, x); f(1.0)", "f(x) = root(f, x); f(1.0)",
                                      "f(x, i) = fori(f, x, 2); f(1.0, 2)", "f(x) = sum(map(f, [x])); f(1.0)",
                                      "f(x, y) = scan(f, x, [y, y, y], every=2); f(1.0, 2)",
                                      "f(x) = cond(x > 0, sin, f, x); f(1.0)"};
  for (size_t k = 0; k < sizeof texts / sizeof *texts; k++) {
    cr_tape *t = cr_new();
    cr_program *p = cr_program_new(t, CR_FLOAT64);
    cr_results r;
    assert_int_equal(cr_program_run(p, texts[k], strlen(texts[k]), &r, NULL), CR_OVER_LIMIT);
    if (!strstr(cr_error_text(t), "calls of 'f' nest more than")) fail_msg("%s: %s", texts[k], cr_error_text(t));
    cr_free(t);
  }
}

static void functions_of_the_language_are_called_once(void **state) {
  (void)state;
  double value, slope;
  cr_tape *t = cr_new();
  cr_set(t, CR_MAX_BYTES, 256);
  if (run_levels(t, 60, &value, &slope) != CR_OK) fail_msg("%s", cr_error_text(t));
  assert_true(fabs(value - (sin(0.5) + 2 * 20)) < 1e-12 && fabs(slope - cos(0.5)) < 1e-12);
  cr_free(t);
  long total = 0;
  for (long n = 0; n <= total; n++) {
    count_calls m = {.fail_at = n};
    if (!(t = cr_new_with(cr_standard_ops(), &(cr_allocator){counted, &m}))) continue;
    cr_status status = run_levels(t, 4, &value, &slope);
    assert_true(status == (n ? status : CR_OK) && (status == CR_OK || status == CR_NO_MEMORY));
    if (status == CR_OK) assert_true(fabs(value - (sin(0.5) + 2)) < 1e-12 && fabs(slope - cos(0.5)) < 1e-12);
    if (!n) total = m.calls;
    cr_free(t);
    assert_int_equal(m.live, 0);
  }
  print_message("%ld failing allocations\n", total);
}

/* Compiled */

/* A loop over numbers, and its derivative: x, w to y, dy/dx, dy/dw. */
static cr_fn *loop_of_numbers(cr_tape *t, const char *text, cr_dtype dtype) {
  cr_program *p = cr_program_new(t, dtype);
  cr_var x = dtype == CR_FLOAT64 ? cr_input(t, 0.3) : tensor(t, dtype, 1, (int64_t[]){40}, 1), in[2] = {x}, out[3];
  cr_results r;
  in[1] = dtype == CR_FLOAT64 ? cr_input(t, 0.8) : tensor(t, dtype, 1, (int64_t[]){40}, 2);
  if (!p) return NULL;
  cr_program_bind(p, "x", in[0]), cr_program_bind(p, "w", in[1]);
  if (cr_program_run(p, text, strlen(text), &r, NULL) != CR_OK) return NULL;
  out[0] = r.value[0];
  if (cr_grad(out[0], 2, in, out + 1) != CR_OK) return NULL;
  return cr_capture(t, 2, in, 3, out, 0, NULL, CR_FN_EXACT);
}

static const char loop_text[] = "f(h, i, w) = {u = sin(h * w) + i / 10; tanh(u) * exp(-h)}; sum(fori(f, x, 50, w))";

static cr_status run_loop(const cr_fn *f, cr_workspace *w, void *out) {
  static double number[2] = {0.3, 0.8};
  static float vector[2][40];
  cr_array in[2], to[3];
  char *at = out;
  for (int k = 0; k < 40; k++) vector[0][k] = (float)sin(k), vector[1][k] = (float)cos(k);
  for (int k = 0; k < 2; k++)
    in[k] = cr_fn_input(f, k), in[k].data = in[k].dtype == CR_FLOAT64 ? (void *)&number[k] : vector[k];
  for (int k = 0; k < 3; k++) {
    to[k] = cr_fn_output(f, k), to[k].data = at;
    at += to[k].dtype == CR_FLOAT64 ? sizeof(double) : (size_t)to[k].count * sizeof(float);
  }
  return cr_fn_run(f, w, in, to);
}

static void compiled_bodies_have_the_bits_of_replay(void **state) {
  (void)state;
  static const char *const texts[] = {
    loop_text, "g(u) = {v = u * u; v + 1}; f(h, i, w) = cond(h > 0.5, sin, g, h * w); fori(f, x, 30, w, count=20)",
    "k(h, i, w) = h * w + cos(h); f(h, i, w) = fori(k, h, 4, w) + checkpoint(exp, -h); fori(f, x, 5, w)",
    "f(u, w) = u^3 + u - w; root(f, 1.0, w) * x"};
  for (size_t k = 0; k < sizeof texts / sizeof *texts; k++) {
    cr_tape *t = cr_new();
    cr_fn *f = loop_of_numbers(t, texts[k], CR_FLOAT64);
    double before[3], after[3];
    char note[300];
    if (!f) fail_msg("%s: %s", texts[k], cr_error_text(t));
    cr_workspace *w = cr_workspace_new(f), *late;
    assert_int_equal(run_loop(f, w, before), CR_OK);
    for (int again = 0; again < 2; again++) {
      assert_int_equal(cr_fn_compile(f, &(cr_jit_options){.always = 1}, note, sizeof note), CR_OK);
      if (!strstr(note, "not compiled") && !strstr(note, "bod")) fail_msg("%s: %s", texts[k], note);
      late = cr_workspace_new(f);
      assert_int_equal(run_loop(f, w, after), CR_OK);
      assert_memory_equal(before, after, sizeof before);
      assert_int_equal(run_loop(f, late, after), CR_OK);
      assert_memory_equal(before, after, sizeof before);
      cr_workspace_free(late);
    }
    cr_workspace_free(w);
    cr_fn_free(f);
    cr_free(t);
  }
}

/* float32 is computed in another way then: by that function alone. */
static void compiling_changes_no_other_function(void **state) {
  (void)state;
  static float before[81], after[81], compiled[81];
  cr_tape *t = cr_new();
  static const char text[] = "f(h, i, w) = tanh(sin(h * w)) * exp(-h); sum(fori(f, x, 50, w))";
  cr_fn *f = loop_of_numbers(t, text, CR_FLOAT32), *g = loop_of_numbers(t, text, CR_FLOAT32);
  if (!f || !g) fail_msg("%s", cr_error_text(t));
  cr_workspace *w = cr_workspace_new(f), *v = cr_workspace_new(g);
  assert_int_equal(run_loop(g, v, before), CR_OK);
  assert_int_equal(cr_fn_compile(f, &(cr_jit_options){.always = 1}, NULL, 0), CR_OK);
  assert_int_equal(run_loop(f, w, compiled), CR_OK);
  assert_int_equal(run_loop(g, v, after), CR_OK);
  assert_memory_equal(before, after, sizeof before);
  for (int k = 0; k < 81; k++) assert_true(fabsf(compiled[k] - before[k]) <= 1e-4f * (1 + fabsf(before[k])));
  cr_workspace_free(w);
  cr_workspace_free(v);
  cr_fn_free(f);
  cr_fn_free(g);
  cr_free(t);
}

static void compiling_may_run_out_of_memory(void **state) {
  (void)state;
  double want[3], out[3];
  long total = 0;
  for (long n = 0; n <= total; n++) {
    count_calls m = {0, 0, 0};
    cr_tape *t = cr_new_with(cr_standard_ops(), &(cr_allocator){counted, &m});
    cr_fn *f = loop_of_numbers(t, loop_text, CR_FLOAT64);
    assert_non_null(f);
    long before = m.calls;
    m.fail_at = n ? before + n : 0;
    cr_status status = cr_fn_compile(f, &(cr_jit_options){.compiler = "/none"}, NULL, 0);
    assert_true(status == CR_OK || status == CR_NO_MEMORY);
    m.fail_at = 0;
    if (!n) total = m.calls - before;
    cr_workspace *w = cr_workspace_new(f);
    assert_int_equal(run_loop(f, w, n ? out : want), CR_OK);
    if (n) assert_memory_equal(out, want, sizeof out);
    cr_workspace_free(w);
    cr_fn_free(f);
    cr_free(t);
    assert_int_equal(m.live, 0);
  }
  print_message("%ld failing allocations\n", total);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_language_passes_functions),
    cmocka_unit_test(errors_name_what_is_wrong),
    cmocka_unit_test(failures_of_steps_are_those_of_the_run),
    cmocka_unit_test(bodies_live_as_long_as_their_nodes),
    cmocka_unit_test(bodies_nest),
    cmocka_unit_test(bodies_are_recorded_without_values),
    cmocka_unit_test(runs_allocate_once),
    cmocka_unit_test(each_allocation_in_turn),
    cmocka_unit_test(functions_of_the_language_are_called_once),
    cmocka_unit_test(a_function_without_end_is_an_error),
    cmocka_unit_test(compiled_bodies_have_the_bits_of_replay),
    cmocka_unit_test(compiling_changes_no_other_function),
    cmocka_unit_test(compiling_may_run_out_of_memory),
    cmocka_unit_test(a_long_chain_takes_the_root_of_its_memory),
    cmocka_unit_test(a_scan_in_stretches_too),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
