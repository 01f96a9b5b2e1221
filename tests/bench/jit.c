/* Compiled functions against hand-written loops and against replay: ratios of one run, medians of several rounds.
 *
 *   jit_bench [ROUNDS [FLAGS]]       default 9, and the compiler flags that cr_fn_compile takes by itself */
#include "chain.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "formula.h"
#include "function.h"
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

/* 10^5 scalar operations of many kinds. */
static cr_fn *capture_scalars(int gradient, uint32_t *nodes) {
  enum { NODES = 100000 };
  cr_tape *t = cr_new();
  cr_var in[2] = {cr_input(t, 0.7), cr_input(t, -1.3)}, z = in[0], out[3];
  for (int k = 0; cr_node_count(t) < NODES; k++) {
    switch (k % 8) {
      case 0:
        z = cr_sin(z);
        break;
      case 1:
        z = cr_mul(z, in[1]);
        break;
      case 2:
        z = cr_add(z, in[0]);
        break;
      case 3:
        z = cr_tanh(z);
        break;
      case 4:
        z = cr_sub(z, cr_mul(in[0], z));
        break;
      case 5:
        z = cr_div(z, cr_add(cr_square(z), in[0]));
        break;
      case 6:
        z = cr_sqrt(cr_add(cr_square(z), cr_square(in[1])));
        break;
      default:
        z = cr_mul(z, cr_sub(in[0], z));
    }
  }
  *nodes = cr_node_count(t) - 1;
  out[0] = z;
  if (gradient) cr_grad(z, 2, in, out + 1);
  cr_fn *f = cr_capture(t, 2, in, gradient ? 3 : 1, out, 0, NULL, CR_FN_EXACT);
  cr_free(t);
  return f;
}

static void scalars(int gradient, int rounds) {
  uint32_t nodes;
  cr_fn *f[3] = {capture_scalars(gradient, &nodes), capture_scalars(gradient, &nodes), capture_scalars(gradient, &nodes)};
  double cold, warm, time[2][64], value[2] = {0.7, -1.3}, result[2][3] = {{0}};
  printf("scalars, %s: %u recorded, %u run\n", gradient ? "value and gradient" : "value", nodes, cr_fn_stats_of(f[0]).nodes);
  compile(f[1], f[2], &cold, &warm);
  cr_array from[2], to[3];
  for (int how = 0; how < 2; how++) {
    cr_workspace *w = cr_workspace_new(f[how]);
    for (int k = 0; k < 2; k++) from[k] = cr_fn_input(f[how], k), from[k].data = &value[k];
    for (int k = 0; k < 3; k++) to[k] = cr_fn_output(f[how], 0), to[k].data = &result[how][k];
    for (int r = -1; r < rounds; r++) {
      double start = now();
      cr_fn_run(f[how], w, from, to);
      if (r >= 0) time[how][r] = now() - start;
    }
    cr_workspace_free(w);
  }
  double m[2] = {median(rounds, time[0]), median(rounds, time[1])};
  uint32_t run = cr_fn_stats_of(f[0]).nodes;
  printf("  replay %.2f ns a node run, compiled %.2f (%.2f a node recorded); first call %.0f ms cold, %.0f ms warm%s\n",
         1e9 * m[0] / run, 1e9 * m[1] / run, 1e9 * m[1] / nodes, cold, warm,
         memcmp(result[0], result[1], sizeof result[0]) ? " RESULTS DIFFER" : "");
  for (int k = 0; k < 3; k++) cr_fn_free(f[k]);
}

int main(int argc, char **argv) {
  int rounds = argc > 1 ? atoi(argv[1]) : 9;
  flags = argc > 2 ? argv[2] : NULL;
  if (rounds < 1 || rounds > 64 || !mkdtemp(cache)) return 2;
  chain(10000, rounds);
  chain(1000000, rounds);
  scalars(0, rounds);
  scalars(1, rounds); /* half a minute to compile */
  char note[200];
  cr_jit_cache_clear(cache, note, sizeof note);
  rmdir(cache);
  return 0;
}
