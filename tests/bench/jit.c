/* Compiled functions against hand-written loops and against replay: ratios of one run, medians of several rounds.
 *
 *   jit_bench [ROUNDS [chain|scalars [FLAGS]]]     default 9, both, and the flags that cr_fn_compile takes by itself */
#include "chain.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "formula.h"
#include "function.h"
#include "graphs.h"
#include "jit.h"
#include "ops.h"

static char cache[] = "/tmp/jit_bench-XXXXXX";
static const char *flags;

/* Compiles with an empty cache and again with a full one; the times in ms. */
static void compile(cr_fn *f, cr_fn *again, double *cold, double *warm) {
  char note[300];
  cr_jit_options o = {.cache = cache, .flags = flags};
  cr_jit_cache_clear(cache, note, sizeof note);
  double start = now();
  cr_fn_compile(f, &o, note, sizeof note);
  *cold = 1e3 * (now() - start);
  printf("  %s; ", note);
  start = now();
  cr_fn_compile(again, &o, note, sizeof note);
  *warm = 1e3 * (now() - start);
  printf("%s\n", note);
}

static cr_fn *capture_chain(int64_t n, const float *x) {
  cr_tape *t = cr_new();
  float a = 1.5f, b = -0.25f;
  cr_var in[3] = {cr_tensor_of(t, CR_FLOAT32, 1, &n, x), cr_tensor_of(t, CR_FLOAT32, 0, NULL, &a),
                  cr_tensor_of(t, CR_FLOAT32, 0, NULL, &b)};
  cr_var out[4];
  out[0] = cr_formula(t, "sum(sigmoid(a*x+b)*tanh(x) - log1p(exp(-square(x))))", "x", in[0], "a", in[1], "b", in[2], NULL);
  cr_grad(out[0], 3, in, out + 1);
  cr_fn *f = cr_capture(t, 3, in, 4, out, 0, NULL, CR_FN_EXACT);
  if (!f) fprintf(stderr, "%s\n", cr_error_text(t));
  cr_free(t);
  return f;
}

static void chain(int64_t n, int rounds) {
  float *x = malloc((size_t)n * sizeof *x), *dx = malloc((size_t)n * sizeof *dx), a = 1.5f, b = -0.25f, y, da, db;
  double time[4][64], ha = 0, hb = 0, hy = 0, cold, warm, sink = 0;
  for (int64_t i = 0; i < n; i++) x[i] = (float)(3 * sin((double)i));
  cr_fn *f[2] = {capture_chain(n, x), capture_chain(n, x)};
  if (!f[0] || !f[1]) return;
  cr_workspace *w[2] = {cr_workspace_new(f[0]), cr_workspace_new(f[1])};
  if (!w[0] || !w[1]) return;
  cr_array in[3], out[4];
  void *from[3] = {x, &a, &b}, *to[4] = {&y, dx, &da, &db};
  for (int k = 0; k < 3; k++) in[k] = cr_fn_input(f[0], k), in[k].data = from[k];
  for (int k = 0; k < 4; k++) out[k] = cr_fn_output(f[0], k), out[k].data = to[k];
  cr_fn *spare = capture_chain(n, x);
  printf("chain of %lld float32:\n", (long long)n);
  compile(f[1], spare, &cold, &warm);
  cr_fn_free(spare);
  int repeats = (int)(20000000 / n) / 20 + 1;
  for (int r = -1; r < rounds; r++) {
    for (int how = 0; how < 4; how++) {
      double start = now();
      for (int k = 0; k < repeats; k++) {
        if (how == 0) sink += hy = hand_float(n, x, a, b, dx, &ha, &hb);
        if (how == 1) sink += hand_double(n, x, (double)a, (double)b, dx, &ha, &hb);
        if (how >= 2) cr_fn_run(f[how - 2], w[how - 2], in, out);
      }
      if (r >= 0) time[how][r] = (now() - start) / repeats;
    }
  }
  double m[4];
  for (int k = 0; k < 4; k++) m[k] = median(rounds, time[k]);
  printf("  by hand %.1f us in float, %.1f us in double; replay %.1f us, compiled %.1f us: %.2f x by hand in float; first "
         "call %.0f ms "
         "cold, %.1f ms warm\n",
         1e6 * m[0], 1e6 * m[1], 1e6 * m[2], 1e6 * m[3], m[3] / m[0], cold, warm);
  printf("  values %.8g %.8g %.8g, by hand %.8g %.8g %.8g%s\n", (double)y, (double)da, (double)db, hy, ha, hb,
         sink == 0 ? " " : "");
  for (int k = 0; k < 2; k++) cr_workspace_free(w[k]), cr_fn_free(f[k]);
  free(x), free(dx);
}

/* Replayed, then compiled: the value, the value and cr_grad's nodes, the value and the sweep; in ns a node recorded. */
static void scalars(int rounds, const scalar_graph *g) {
  enum { NODES = 100000 };
  cr_tape *t = cr_new();
  double value[2] = {g->value[0], g->value[1]}, result[2][3][3] = {{{0}}}, gradient[2][2], time[2][3];
  double captured[2], compiled[2], start = now();
  cr_var in[2] = {cr_input(t, value[0]), cr_input(t, value[1])}, out[3] = {g->record(NODES, in)};
  const uint32_t nodes = cr_node_count(t) - 1;
  uint32_t run[2];
  char note[300];
  cr_grad(out[0], 2, in, out + 1);
  double recorded = 1e3 * (now() - start);
  for (int k = 0; k < 2; k++) {
    start = now();
    cr_fn *f = cr_capture(t, 2, in, k ? 3 : 1, out, 0, NULL, CR_FN_EXACT);
    captured[k] = 1e3 * (now() - start);
    run[k] = cr_fn_stats_of(f).nodes;
    cr_array from[2], to[3];
    for (int i = 0; i < 2; i++) from[i] = cr_fn_input(f, i), from[i].data = &value[i];
    for (int how = 0; how < 2; how++) {
      start = now();
      if (how) cr_fn_compile(f, &(cr_jit_options){.flags = flags}, note, sizeof note), compiled[k] = 1e3 * (now() - start);
      for (int i = 0; i < 3; i++) to[i] = cr_fn_output(f, 0), to[i].data = &result[how][k][i];
      time[how][k] = run_for(rounds, f, from, to, NULL);
      if (!k) to[0].data = &result[how][2][0], time[how][2] = run_for(rounds, f, from, to, gradient[how]);
    }
    cr_fn_free(f);
  }
  cr_free(t);
  printf("%s: %u nodes recorded, %u run, with cr_grad's nodes %u; recorded in %.0f ms, captured in %.0f and %.0f, "
         "compiled in %.0f and %.0f (%s)\n",
         g->name, nodes, run[0], run[1], recorded, captured[0], captured[1], compiled[0], compiled[1], note);
  for (int how = 0; how < 2; how++)
    printf("  %s: value %.2f ns a node, value and cr_grad's nodes %.2f, or %.2f a node run; value and sweep %.2f\n",
           how ? "compiled" : "replayed", 1e9 * time[how][0] / nodes, 1e9 * time[how][1] / nodes,
           1e9 * time[how][1] / run[1], 1e9 * time[how][2] / nodes);
  if (memcmp(result[0], result[1], sizeof *result) || memcmp(gradient[0], gradient[1], sizeof *gradient))
    printf("  THE RESULTS DIFFER\n");
}

int main(int argc, char **argv) {
  int rounds = argc > 1 ? atoi(argv[1]) : 9;
  const char *what = argc > 2 ? argv[2] : "";
  flags = argc > 3 ? argv[3] : NULL;
  if (rounds < 1 || rounds > 64 || !mkdtemp(cache)) return 2;
  if (!*what || !strcmp(what, "chain")) chain(10000, rounds), chain(1000000, rounds);
  for (int k = 0; (!*what || !strcmp(what, "scalars")) && k < SCALAR_GRAPHS; k++) scalars(rounds, &scalar_graphs[k]);
  char note[200];
  cr_jit_cache_clear(cache, note, sizeof note);
  rmdir(cache);
  return 0;
}
