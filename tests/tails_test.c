/* What captured functions do with products and what follows them, with normalisation and what was split: fewer passes over
 * memory, the same bits. */
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <cmocka.h>

#include "function.h"
#include "jit.h"
#include "samples.h"

enum { MOST = 24 };

typedef struct graph {
  int n_in, n_out;
  cr_var in[MOST], out[MOST];
} graph;

static size_t bytes_of(const cr_array *a) { return (size_t)a->count * cr_dtype_size((cr_dtype)a->dtype); }

static void *copy_of(cr_var v) {
  cr_array from = cr_view(v), to;
  cr_array_init(&to, (cr_dtype)from.dtype, from.rank, from.dim);
  to.data = malloc(bytes_of(&to) + 1);
  assert_non_null(to.data);
  cr_array_copy(&to, &from);
  return to.data;
}

static void run_and_compare(const cr_fn *f, const graph *g, int threads, const char *what) {
  cr_workspace *w = cr_workspace_new(f);
  cr_array in[MOST], out[MOST];
  assert_non_null(w);
  cr_workspace_threads(w, threads);
  for (int k = 0; k < g->n_in; k++) in[k] = cr_fn_input(f, k), in[k].data = copy_of(g->in[k]);
  for (int k = 0; k < g->n_out; k++) {
    out[k] = cr_fn_output(f, k);
    out[k].data = malloc(bytes_of(&out[k]) + 1);
    memset(out[k].data, 0x5a, bytes_of(&out[k]) + 1);
  }
  for (int round = 0; round < 2; round++) assert_int_equal(cr_fn_run(f, w, in, out), CR_OK);
  for (int k = 0; k < g->n_out; k++) {
    void *want = copy_of(g->out[k]);
    if (memcmp(want, out[k].data, bytes_of(&out[k]))) fail_msg("%s: result %d differs", what, k);
    free(want);
    free(out[k].data);
  }
  for (int k = 0; k < g->n_in; k++) free(in[k].data);
  cr_workspace_free(w);
}

/* With and without tails, on one thread and several, replayed and compiled; the statistics with them. */
static cr_fn_stats check_graph(const graph *g, const char *what) {
  static const unsigned passes[] = {CR_FN_EXACT, CR_FN_EXACT & ~CR_FN_TAIL, CR_FN_BLOCK | CR_FN_TAIL, CR_FN_TAIL,
                                    CR_FN_EXACT & ~CR_FN_REUSE};
  cr_fn_stats stats = {0};
  for (size_t p = 0; p < sizeof passes / sizeof *passes; p++) {
    cr_fn *f = cr_capture(g->in[0].tape, g->n_in, g->in, g->n_out, g->out, 0, NULL, passes[p]);
    if (!f) fail_msg("%s: %s", what, cr_error_text(g->in[0].tape));
    cr_fn_stats s = cr_fn_stats_of(f);
    if (!p) stats = s;
    if (!(passes[p] & CR_FN_TAIL && passes[p] & CR_FN_BLOCK)) assert_int_equal(s.tails, 0);
    if (p == 1) assert_true(s.steps >= stats.steps);
    for (int threads = 1; threads < 4; threads += 2) run_and_compare(f, g, threads, what);
    if (p == 0) {
      assert_int_equal(cr_fn_compile(f, &(cr_jit_options){.exact = 1, .always = 1}, NULL, 0), CR_OK);
      run_and_compare(f, g, 2, what);
    }
    cr_fn_free(f);
  }
  return stats;
}

static void products_have_tails(void **state) {
  (void)state;
  static const struct {
    const char *text;
    unsigned least; /* tails, with the gradient */
  } rows[] = {
    {"gelu(x:(300,40) @ w:(40,400) + b:(400))", 1},
    {"tanh(tanh(x:(300,40) @ w:(40,400) + b:(400)) @ v:(400,300) + c:(300)) + x @ u:(40,300)", 3},
    {"x:(300,300) + (x @ w:(300,300)) * x", 1},                      /* reads the product's operand at its own places */
    {"relu((x:(300,300) @ w:(300,300)) * (x @ w).T)", 0},            /* reads the product at other places */
    {"relu((x:(300,300) @ w:(300,300)) * (x @ v:(300,300)).T)", 1},  /* another product at other places */
    {"sum(relu(x:(300,300) @ w:(300,300)))", 0},                     /* a sum needs its blocks */
    {"relu(x:(3,200,40) @ w:(3,40,200) + b:(200))", 1},
    {"(x:(40,300).T @ w:(40,300)) * y:(300,300) / 2", 1},
    {"sigmoid(x:(5,7) @ w:(7,3) + b:(3))", 1},
    {"layer_norm(x:(300,130), [130], w:(130), b:(130))", 1},
    {"layer_norm(relu(x:(300,130) @ w:(130,130)), [130]) + x", 2},
    {"batch_norm(x:(30,40,50), None, None, w:(40), b:(40), training=True)", 1},
    {"group_norm(x:(4,6,50), 3, w:(6), b:(6))", 1},
  };
  for (size_t k = 0; k < sizeof rows / sizeof *rows; k++)
    for (int d = CR_FLOAT32; d <= CR_FLOAT64; d++) {
      sample s;
      char error[300];
      if (!sample_make(&s, rows[k].text, strlen(rows[k].text), (cr_dtype)d, 5, error)) fail_msg("%s", error);
      graph g = {.n_in = s.n_inputs, .n_out = 1};
      for (int i = 0; i < s.n_inputs; i++) g.in[i] = s.input[i];
      g.out[0] = s.results.value[0];
      assert_int_equal(cr_grad(g.out[0], g.n_in, g.in, g.out + 1), CR_OK);
      g.n_out += g.n_in;
      unsigned tails = check_graph(&g, rows[k].text).tails;
      if (tails < rows[k].least) fail_msg("%s: %u tails", rows[k].text, tails);
      sample_free(&s);
    }
}

/* The tail of a product must not write to what the product still reads. */
static void a_tail_waits_with_assignments(void **state) {
  (void)state;
  enum { N = 300 };
  static float x[N * N], w[N * N], want[N * N];
  for (int k = 0; k < N * N; k++) x[k] = (float)sin(k), w[k] = (float)cos(3 * k);
  for (int threads = 1; threads < 4; threads += 2) {
    cr_tape *t = cr_new();
    cr_var in[2] = {cr_tensor_of(t, CR_FLOAT32, 2, (int64_t[]){N, N}, x),
                    cr_tensor_of(t, CR_FLOAT32, 2, (int64_t[]){N, N}, w)};
    cr_var next = cr_tanh(cr_add(in[0], cr_matmul(in[0], in[1])));
    cr_array value = cr_view(next);
    memcpy(want, value.data, sizeof want);
    cr_fn *f = cr_capture(t, 2, in, 0, NULL, 1, &(cr_assign){in[0], next}, CR_FN_EXACT);
    assert_non_null(f);
    cr_workspace *space = cr_workspace_new(f);
    cr_workspace_threads(space, threads);
    cr_array from[2] = {cr_fn_input(f, 0), cr_fn_input(f, 1)};
    for (int k = 0; k < 2; k++) from[k].data = copy_of(in[k]);
    assert_int_equal(cr_fn_run(f, space, from, NULL), CR_OK);
    assert_memory_equal(from[0].data, want, sizeof want);
    for (int k = 0; k < 2; k++) free(from[k].data);
    cr_workspace_free(space);
    cr_fn_free(f);
    cr_free(t);
  }
}

/* How often a captured function records the op. */
static int count_of(const graph *g, const char *op) {
  cr_fn *f = cr_capture(g->in[0].tape, g->n_in, g->in, g->n_out, g->out, 0, NULL, CR_FN_EXACT);
  assert_non_null(f);
  cr_buffer b = {.tape = g->in[0].tape};
  assert_int_equal(cr_fn_write_text(&b, f), CR_OK);
  int n = 0;
  for (const char *at = b.text; (at = strstr(at, op)); at += strlen(op)) n++;
  cr_buffer_free(&b);
  cr_fn_free(f);
  return n;
}

/* One projection for query, key and value: their cotangents come as its. */
static void attention_of_a_projection(void **state) {
  (void)state;
  enum { B = 2, T = 70, H = 3, D = 16 };
  for (int d = CR_FLOAT32; d <= CR_FLOAT64; d++) {
    cr_tape *t = cr_new();
    graph g = {.n_in = 1, .n_out = 2};
    g.in[0] = cr_tensor_of(t, (cr_dtype)d, 3, (int64_t[]){B, T, 3 * H * D}, NULL);
    cr_array a = cr_view(g.in[0]);
    for (int64_t k = 0; k < a.count; k++) cr_array_set(&a, k, sin((double)(k * k % 1009)));
    cr_replay(t);
    cr_var all = cr_reshape(cr_mul(g.in[0], g.in[0]), 5, (int64_t[]){B, T, 3, H, D}), part[3];
    for (int k = 0; k < 3; k++) part[k] = cr_permute(cr_select(all, 2, k), 4, (int[]){0, 2, 1, 3});
    g.out[0] = cr_sin(cr_attend(part[0], part[1], part[2], cr_poison(t), 0, 1));
    assert_int_equal(cr_grad(g.out[0], 1, g.in, g.out + 1), CR_OK);
    check_graph(&g, "attention of a projection");
    assert_int_equal(count_of(&g, "op.pad("), 0);
    assert_int_equal(count_of(&g, "op.concatenate("), 0);
    assert_int_equal(count_of(&g, "packed=True"), 1);
    cr_free(t);
  }
}

/* The cotangents of parts are joined, zeros of either sign included; windows that leave something out or overlap are
 * summed. */
static void windows_are_joined(void **state) {
  (void)state;
  static const struct {
    const char *text;
    int pads;
  } rows[] = {
    {"concatenate([x[:, 2:7] * w, x[:, 0:2] * x[:, 7:9]], dim=1)", 0},
    {"concatenate([x[:, 0:4] * w[:, 0:4], x[:, 5:9] * w[:, 1:5]], dim=1)", 2},
    {"concatenate([x[:, 0:6] * w[:, 0:1], x[:, 5:9] * w[:, 1:5]], dim=1)", 2},
  };
  for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
    double x[27], w[15];
    for (int i = 0; i < 27; i++) x[i] = i % 5 ? sin(i) : -0.0;
    for (int i = 0; i < 15; i++) w[i] = i % 3 ? cos(i) : -0.0;
    cr_tape *t = cr_new();
    graph g = {.n_in = 2, .n_out = 2};
    g.in[0] = cr_tensor_of(t, CR_FLOAT64, 2, (int64_t[]){3, 9}, x);
    g.in[1] = cr_tensor_of(t, CR_FLOAT64, 2, (int64_t[]){3, 5}, w);
    g.out[0] = cr_formula(t, rows[k].text, "x", g.in[0], "w", g.in[1]);
    if (cr_error(t) != CR_OK) fail_msg("%s", cr_error_text(t));
    assert_int_equal(cr_grad(g.out[0], 1, g.in, g.out + 1), CR_OK);
    check_graph(&g, rows[k].text);
    assert_int_equal(count_of(&g, "op.pad("), rows[k].pads);
    cr_free(t);
  }
}

/* Updates of long parameters are blocks of their own, and each is one. */
static void long_chains_are_apart(void **state) {
  (void)state;
  for (int64_t n = 40; n < 100000; n += 59960) {
    cr_tape *t = cr_new();
    graph g = {.n_in = 3, .n_out = 3};
    for (int k = 0; k < 3; k++) g.in[k] = cr_tensor_of(t, CR_FLOAT32, 1, &n, NULL);
    g.out[0] = cr_exp(cr_sin(g.in[0]));
    g.out[1] = cr_exp(cr_cos(g.in[1]));
    g.out[2] = cr_mul(cr_tanh(g.in[1]), g.in[2]); /* reads what the one before reads */
    assert_int_equal(check_graph(&g, "chains").blocks, n > 40 ? 2 : 1);
    cr_free(t);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(products_have_tails),
    cmocka_unit_test(a_tail_waits_with_assignments),
    cmocka_unit_test(attention_of_a_projection),
    cmocka_unit_test(windows_are_joined),
    cmocka_unit_test(long_chains_are_apart),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
