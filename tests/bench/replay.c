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
#include "graphs.h"
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

/* 10^5 scalar operations of many kinds, with the gradient by two inputs: as nodes of cr_grad, and by cr_fn_backward; as
 * instructions of the processor, which the first run makes, and interpreted. */
static void scalars(int rounds, const scalar_graph *g) {
  enum { NODES = 100000 };
  static const unsigned passes[] = {CR_FN_EXACT, CR_FN_EXACT & ~CR_FN_CODE};
  cr_tape *t = cr_new();
  double value[2] = {g->value[0], g->value[1]};
  cr_var in[2] = {cr_input(t, value[0]), cr_input(t, value[1])}, out[3] = {g->record(NODES, in)};
  const uint32_t nodes = cr_node_count(t) - 1;
  cr_grad(out[0], 2, in, out + 1);
  printf("scalars, %s: %u nodes recorded\n", g->name, nodes);
  for (int how = 0; how < 2; how++) {
    double result[3], gradient[2], time[3], first[2];
    uint32_t run[2];
    cr_array from[2], to[3];
    for (int k = 0; k < 2; k++) {
      cr_fn *f = cr_capture(t, 2, in, k ? 3 : 1, out, 0, NULL, passes[how]);
      if (!f) return;
      for (int i = 0; i < 2; i++) from[i] = cr_fn_input(f, i), from[i].data = &value[i];
      for (int i = 0; i < 3; i++) to[i] = cr_fn_output(f, 0), to[i].data = &result[i];
      first[k] = run_for(0, f, from, to, NULL);
      time[k] = run_for(rounds, f, from, to, NULL);
      if (!k) time[2] = run_for(rounds, f, from, to, gradient);
      run[k] = cr_fn_stats_of(f).nodes;
      cr_fn_free(f);
    }
    printf("  %s: value %.2f ns a node recorded, value and cr_grad's nodes %.2f, value and sweep %.2f; the first run %.2f "
           "and %.2f us a node (%u and %u run; %g %g by nodes, %g %g)\n",
           how ? "interpreted" : "as code", 1e9 * time[0] / nodes, 1e9 * time[1] / nodes, 1e9 * time[2] / nodes,
           1e6 * first[0] / run[0], 1e6 * first[1] / run[1], run[0], run[1], result[1], result[2], gradient[0], gradient[1]);
  }
  cr_free(t);
}

/* What the machine takes for the same without any engine. */
static void scalars_by_hand(void) {
  enum { NODES = 1000000 };
  double time[4] = {now()}, sum = one_by_hand(NODES, 0.3, 0.5);
  time[1] = now(), sum += costly_by_hand(NODES, 0.7, -1.3);
  time[2] = now(), sum += calls_of_the_mix(NODES);
  time[3] = now();
  printf("scalars by hand, the value alone: one chain %.2f ns, the costly chain %.2f; the mix's calls of the C library "
         "%.2f%s\n",
         1e9 / NODES * (time[1] - time[0]), 1e9 / NODES * (time[2] - time[1]), 1e9 / NODES * (time[3] - time[2]),
         sum == 0 ? " " : "");
}

/* Chains of one operation, and of add, mul and tanh, one in ten. */
typedef enum mix { ADD, MUL, TANH, MIXED, MIXES } mix;

static cr_var tiny_chain(mix m, int ops, cr_var z, cr_var with) {
  for (int k = 0; k < ops; k++) {
    if (m == TANH || (m == MIXED && k % 10 == 9)) z = cr_tanh(z);
    else z = m == ADD || (m == MIXED && k % 2 == 0) ? cr_add(z, with) : cr_mul(z, with);
  }
  return z;
}

static double replay_tiny(int rounds, int repeats, const cr_fn *f, const double *x) {
  cr_workspace *w = f ? cr_workspace_new(f) : NULL;
  double y[16], best = 1;
  if (!w) return 0;
  cr_array from = cr_fn_input(f, 0), to = cr_fn_output(f, 0);
  from.data = (void *)(uintptr_t)x, to.data = y;
  for (int r = 0; r < rounds; r++) {
    double start = now();
    for (int k = 0; k < repeats; k++) cr_fn_run(f, w, &from, &to);
    best = fmin(best, (now() - start) / repeats);
  }
  cr_workspace_free(w);
  return best;
}

/* What an operation costs eagerly: recorded; recorded, swept back and taken back; and in a replay. The best of the
 * rounds; the other operand is a constant, but for the mix, where it is the input. */
static void tiny(int rounds, mix m, cr_dtype dtype, int64_t n) {
  enum { OPS = 100, REPEATS = 200 };
  cr_tape *t = cr_new();
  double x[16], best[2] = {1, 1};
  cr_array a = {.data = x, .count = n, .dtype = (uint8_t)dtype, .contiguous = 1};
  for (int64_t k = 0; k < n; k++) cr_array_set(&a, k, m == MIXED ? 0.5 + 0.01 * (double)k : 1.001 + 0.001 * (double)k);
  cr_var v = cr_tensor_of(t, dtype, 1, &n, x), with = m == MIXED ? v : cr_constant_of(t, dtype, 1, &n, x);
  cr_mark mark = cr_mark_here(t);
  for (int r = 0; r < rounds; r++) {
    double recorded = 0, start = now();
    for (int k = 0; k < REPEATS; k++) {
      double begun = now();
      cr_var z = tiny_chain(m, OPS, v, with);
      recorded += now() - begun;
      cr_sweep_release(cr_backward(z));
      cr_reset(t, mark);
    }
    best[0] = fmin(best[0], recorded / REPEATS), best[1] = fmin(best[1], (now() - start) / REPEATS);
  }
  cr_var z = tiny_chain(m, OPS, v, with);
  cr_fn *f = cr_capture(t, 1, &v, 1, &z, 0, NULL, CR_FN_EXACT);
  printf("  %5.1f %5.1f %5.1f", 1e9 * best[0] / OPS, 1e9 * best[1] / OPS,
         1e9 * replay_tiny(rounds, REPEATS, f, x) / OPS);
  cr_free(t);
  cr_fn_free(f);
}

static void tiny_table(int rounds) {
  printf("tiny tensors, ns an operation: recorded; recorded and swept back; replayed\n"
         "               add                mul                tanh               a mix\n");
  for (int k = 0; k < 6; k++) {
    const cr_dtype dtype = k < 3 ? CR_FLOAT64 : CR_FLOAT32;
    const int64_t n = (int64_t[]){1, 4, 16}[k % 3];
    printf("  %s %2lld", cr_dtype_name(dtype), (long long)n);
    for (int m = 0; m < MIXES; m++) tiny(rounds, (mix)m, dtype, n);
    printf("\n");
  }
}

int main(int argc, char **argv) {
  int rounds = argc > 1 ? atoi(argv[1]) : 9;
  const char *what = argc > 2 ? argv[2] : "";
  if (rounds < 1 || rounds > 64) return 2;
  if (!*what || !strcmp(what, "chain")) chain(10000, rounds), chain(1000000, rounds);
  if (!*what || !strcmp(what, "scalars")) {
    for (int k = 0; k < SCALAR_GRAPHS; k++) scalars(rounds, &scalar_graphs[k]);
    scalars_by_hand();
  }
  if (!*what || !strcmp(what, "tiny")) tiny_table(rounds);
  return 0;
}
