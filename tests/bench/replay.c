/* Captured functions against hand-written loops: ratios of one run, medians of several rounds.
 *
 *   replay_bench [ROUNDS [chain|scalars|tiny]]       default 9, all
 *
 * The chain is y = sum(sigmoid(a x + b) tanh(x) - log1p(exp(-x^2))) over float32 with its gradient by x, a and b. By hand it
 * is one loop, in float with the vector functions of the C library, and again in double rounded to float, which is what the
 * engine computes. */
#include <string.h>

#include "formula.h"
#include "function.h"
#include "ops.h"
#include "chain.h" /* last: it changes how what follows is compiled */

static cr_fn *capture_chain(int64_t n, const float *x, double *eager) {
  cr_tape *t = cr_new();
  float a = 1.5f, b = -0.25f;
  cr_var in[3] = {cr_tensor_of(t, CR_FLOAT32, 1, &n, x), cr_tensor_of(t, CR_FLOAT32, 0, NULL, &a),
                  cr_tensor_of(t, CR_FLOAT32, 0, NULL, &b)};
  cr_var out[4];
  cr_mark mark = cr_mark_here(t);
  double best = 1e9;
  for (int k = 0; k < 5; k++) {
    cr_reset(t, mark);
    double start = now();
    out[0] = cr_formula(t, "sum(sigmoid(a*x+b)*tanh(x) - log1p(exp(-square(x))))", "x", in[0], "a", in[1], "b", in[2], NULL);
    cr_grad(out[0], 3, in, out + 1);
    best = fmin(best, now() - start);
  }
  *eager = best;
  cr_fn *f = cr_capture(t, 3, in, 4, out, 0, NULL, CR_FN_EXACT);
  if (!f) fprintf(stderr, "%s\n", cr_error_text(t));
  cr_free(t);
  return f;
}

static void chain(int64_t n, int rounds) {
  float *x = malloc((size_t)n * sizeof *x), *dx = malloc((size_t)n * sizeof *dx), a = 1.5f, b = -0.25f, y, da, db;
  double time[3][64], ha = 0, hb = 0, hy = 0, eager, sink = 0;
  for (int64_t i = 0; i < n; i++) x[i] = (float)(3 * sin((double)i));
  cr_fn *f = capture_chain(n, x, &eager);
  cr_workspace *w = f ? cr_workspace_new(f) : NULL;
  if (!w) return;
  cr_array in[3], out[4];
  void *from[3] = {x, &a, &b}, *to[4] = {&y, dx, &da, &db};
  for (int k = 0; k < 3; k++) in[k] = cr_fn_input(f, k), in[k].data = from[k];
  for (int k = 0; k < 4; k++) out[k] = cr_fn_output(f, k), out[k].data = to[k];
  int repeats = (int)(20000000 / n) / 20 + 1;
  for (int r = -1; r < rounds; r++) {
    for (int how = 0; how < 3; how++) {
      double start = now();
      for (int k = 0; k < repeats; k++) {
        if (how == 0) sink += hy = hand_float(n, x, a, b, dx, &ha, &hb);
        if (how == 1) sink += hy = hand_double(n, x, (double)a, (double)b, dx, &ha, &hb);
        if (how == 2) cr_fn_run(f, w, in, out);
      }
      if (r >= 0) time[how][r] = (now() - start) / repeats;
    }
  }
  double hand[2] = {median(rounds, time[0]), median(rounds, time[1])}, replay = median(rounds, time[2]);
  cr_fn_stats s = cr_fn_stats_of(f);
  printf("chain %8lld: by hand %8.1f us in float, %8.1f us in double; replay %8.1f us: %.2f x float, %.2f x double; "
         "recording %8.1f us\n",
         (long long)n, 1e6 * hand[0], 1e6 * hand[1], 1e6 * replay, replay / hand[0], replay / hand[1], 1e6 * eager);
  printf("                %u nodes in %u steps, %zu KiB of %zu; values %g %g, by hand %g %g%s\n", s.nodes, s.steps,
         s.bytes >> 10, s.bytes_recorded >> 10, (double)y, (double)da, hy, ha, sink == 0 ? " " : "");
  cr_workspace_free(w);
  cr_fn_free(f);
  free(x), free(dx);
}

/* One operation after another, each on the result of the one before: the mix of scalar.cpp, and with tanh, div and sqrt. */
static cr_var one_chain(uint32_t nodes, const cr_var *in) {
  cr_tape *t = in[0].tape;
  cr_var z = in[0];
  for (int k = 0; cr_node_count(t) < nodes; k++) {
    switch (k % 17) {
      case 7: z = cr_sin(z); break;
      case 15: z = cr_exp(z); break;
      default: z = (k % 17 - k % 17 / 8) % 2 ? cr_add(z, in[0]) : cr_mul(z, in[1]);
    }
  }
  return z;
}

static cr_var costly_chain(uint32_t nodes, const cr_var *in) {
  cr_tape *t = in[0].tape;
  cr_var z = in[0];
  for (int k = 0; cr_node_count(t) < nodes; k++) {
    switch (k % 8) {
      case 0: z = cr_sin(z); break;
      case 1: z = cr_mul(z, in[1]); break;
      case 2: z = cr_add(z, in[0]); break;
      case 3: z = cr_tanh(z); break;
      case 4: z = cr_sub(z, cr_mul(in[0], z)); break;
      case 5: z = cr_div(z, cr_add(cr_square(z), in[0])); break;
      case 6: z = cr_sqrt(cr_add(cr_square(z), cr_square(in[1]))); break;
      default: z = cr_mul(z, cr_sub(in[0], z));
    }
  }
  return z;
}

/* The costly chain by hand, as a loop. */
static double costly_by_hand(uint32_t nodes, double x, double y) {
  double z = x;
  for (uint32_t k = 0; k < nodes; k += 15) {
    z = tanh(sin(z) * y + x);
    z = z - x * z;
    z = z / (z * z + x);
    z = sqrt(z * z + y * y);
    z = z * (x - z);
  }
  return z;
}

static uint32_t roll(uint32_t *dice) { return (*dice = *dice * 1664525u + 1013904223u) >> 8; }

/* Operations in random order on random results among the latest thousand, as in simulations and fits; values stay near 1. */
static cr_var many_strands(uint32_t nodes, const cr_var *in) {
  enum { WIDTH = 1000 };
  cr_tape *t = in[0].tape;
  cr_var v[WIDTH], sum = in[0];
  uint32_t dice = 1;
  for (int k = 0; k < WIDTH; k++) v[k] = cr_add(in[k % 2], cr_const(t, 1e-3 * k));
  for (uint32_t k = 0; cr_node_count(t) < nodes - WIDTH; k++) {
    cr_var a = v[roll(&dice) % WIDTH], b = v[roll(&dice) % WIDTH], *to = &v[k % WIDTH];
    switch (roll(&dice) % 16) {
      case 0: *to = cr_sin(a); break;
      case 1: *to = cr_tanh(a); break;
      case 2: *to = cr_exp(cr_neg(cr_square(a))); break;
      case 3: *to = cr_sqrt(cr_add(cr_square(a), cr_square(b))); break;
      case 4: *to = cr_div(a, cr_add(cr_square(b), in[0])); break;
      case 5: case 6: case 7: case 8: *to = cr_mul(a, cr_sin(b)); break;
      case 9: case 10: case 11: *to = cr_sub(cr_mul(a, cr_const(t, 0.6)), cr_mul(b, in[1])); break;
      default: *to = cr_mul(cr_add(a, b), cr_const(t, 0.4));
    }
  }
  for (int k = 0; k < WIDTH - 1; k++) sum = cr_add(sum, v[k]);
  return sum;
}

static double run_for(int rounds, const cr_fn *f, const cr_array *from, const cr_array *to, double *gradient) {
  cr_workspace *w = f ? cr_workspace_new(f) : NULL;
  double time[64];
  for (int r = -1; w && r < rounds; r++) {
    double start = now();
    for (int k = 0; k < 10; k++) {
      if (gradient) cr_fn_backward(f, w, from, to, NULL, gradient);
      else cr_fn_run(f, w, from, to);
    }
    if (r >= 0) time[r] = (now() - start) / 10;
  }
  cr_workspace_free(w);
  return w ? median(rounds, time) : 0;
}

/* 10^5 scalar operations of many kinds, with the gradient by two inputs: as nodes of cr_grad, and by cr_fn_backward. */
static void scalars(int rounds, const char *name, cr_var (*record)(uint32_t nodes, const cr_var *in)) {
  enum { NODES = 100000 };
  cr_tape *t = cr_new();
  double value[2] = {record == costly_chain ? 0.7 : 0.3, record == costly_chain ? -1.3 : 0.5};
  cr_var in[2] = {cr_input(t, value[0]), cr_input(t, value[1])}, out[3] = {record(NODES, in)};
  const uint32_t nodes = cr_node_count(t) - 1;
  double result[3], gradient[2], time[3];
  cr_array from[2], to[3];
  cr_grad(out[0], 2, in, out + 1);
  cr_fn *f[2];
  for (int g = 0; g < 2; g++) {
    f[g] = cr_capture(t, 2, in, g ? 3 : 1, out, 0, NULL, CR_FN_EXACT);
    if (!f[g]) return;
    for (int k = 0; k < 2; k++) from[k] = cr_fn_input(f[g], k), from[k].data = &value[k];
    for (int k = 0; k < 3; k++) to[k] = cr_fn_output(f[g], 0), to[k].data = &result[k];
    time[g] = run_for(rounds, f[g], from, to, NULL);
  }
  time[2] = run_for(rounds, f[0], from, to, gradient);
  double start = now(), by_hand = costly_by_hand(10 * nodes, value[0], value[1]), hand = (now() - start) / 10;
  printf("scalars, %s: %u nodes recorded, %u run; with the gradient %u\n", name, nodes, cr_fn_stats_of(f[0]).nodes,
         cr_fn_stats_of(f[1]).nodes);
  printf("  value %.2f ns a node recorded, value and cr_grad's nodes %.2f, value and sweep %.2f (%g %g by nodes, %g %g)\n",
         1e9 * time[0] / nodes, 1e9 * time[1] / nodes, 1e9 * time[2] / nodes, result[1], result[2], gradient[0],
         gradient[1]);
  if (record == costly_chain) printf("  by hand, the value alone: %.2f ns (%g)\n", 1e9 * hand / nodes, by_hand);
  cr_fn_free(f[0]), cr_fn_free(f[1]);
  cr_free(t);
}

static cr_var tiny_chain(int ops, cr_var v) {
  cr_var z = v;
  for (int k = 0; k < ops; k++) z = k % 10 == 9 ? cr_tanh(z) : k % 2 ? cr_mul(z, v) : cr_add(z, v);
  return z;
}

/* Chains of add, mul and tanh (one in ten) on tensors of a few numbers: what an operation costs eagerly, recorded, swept
 * back and taken back, and what a step of a replay. */
static void tiny(int rounds, cr_dtype dtype, int64_t n) {
  enum { OPS = 100, REPEATS = 200 };
  cr_tape *t = cr_new();
  double x[16], y[16], time[3][64];
  for (int k = 0; k < 16; k++) x[k] = y[k] = 0;
  cr_var v = cr_tensor_of(t, dtype, 1, &n, x);
  for (int64_t k = 0; k < n; k++) {
    cr_array a = cr_view(v);
    cr_array_set(&a, k, 0.5 + 0.01 * (double)k);
  }
  cr_mark mark = cr_mark_here(t);
  for (int r = -1; r < rounds; r++) {
    double recorded = 0, start = now();
    for (int k = 0; k < REPEATS; k++) {
      double begun = now();
      cr_var z = tiny_chain(OPS, v);
      recorded += now() - begun;
      cr_sweep_release(cr_backward(z));
      cr_reset(t, mark);
    }
    if (r >= 0) time[0][r] = (now() - start) / REPEATS, time[1][r] = recorded / REPEATS;
  }
  cr_var z = tiny_chain(OPS, v);
  cr_fn *f = cr_capture(t, 1, &v, 1, &z, 0, NULL, CR_FN_EXACT);
  cr_free(t);
  cr_workspace *w = f ? cr_workspace_new(f) : NULL;
  if (!w) return;
  cr_array from = cr_fn_input(f, 0), to = cr_fn_output(f, 0);
  from.data = x, to.data = y;
  for (int r = -1; r < rounds; r++) {
    double start = now();
    for (int k = 0; k < REPEATS; k++) cr_fn_run(f, w, &from, &to);
    if (r >= 0) time[2][r] = (now() - start) / REPEATS;
  }
  printf("tensors of %2lld %s: recorded %.1f ns an op, recorded and swept back %.1f; replay %.1f\n", (long long)n,
         cr_dtype_name(dtype), 1e9 * median(rounds, time[1]) / OPS, 1e9 * median(rounds, time[0]) / OPS,
         1e9 * median(rounds, time[2]) / OPS);
  cr_workspace_free(w);
  cr_fn_free(f);
}

int main(int argc, char **argv) {
  int rounds = argc > 1 ? atoi(argv[1]) : 9;
  const char *what = argc > 2 ? argv[2] : "";
  if (rounds < 1 || rounds > 64) return 2;
  if (!*what || !strcmp(what, "chain")) chain(10000, rounds), chain(1000000, rounds);
  if (!*what || !strcmp(what, "scalars")) {
    scalars(rounds, "one chain", one_chain);
    scalars(rounds, "a costly chain", costly_chain);
    scalars(rounds, "many strands", many_strands);
  }
  for (int k = 0; (!*what || !strcmp(what, "tiny")) && k < 6; k++)
    tiny(rounds, k < 3 ? CR_FLOAT64 : CR_FLOAT32, (int64_t[]){1, 4, 16}[k % 3]);
  return 0;
}
