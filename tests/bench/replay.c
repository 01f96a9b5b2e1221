/* Captured functions against hand-written loops: ratios of one run, medians of several rounds.
 *
 *   replay_bench [ROUNDS]       default 9
 *
 * The chain is y = sum(sigmoid(a x + b) tanh(x) - log1p(exp(-x^2))) over float32 with its gradient by x, a and b. By hand it
 * is one loop, in float with the vector functions of the C library, and again in double rounded to float, which is what the
 * engine computes. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "formula.h"
#include "function.h"
#include "ops.h"

#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
#define SIMD __attribute__((simd("notinbranch"), const))
extern SIMD float expf(float);
extern SIMD float log1pf(float);
extern SIMD double exp(double);
extern SIMD double log1p(double);
#pragma GCC optimize("O3", "no-math-errno", "associative-math", "no-signed-zeros", "no-trapping-math")
#pragma GCC target("avx2,fma")
#endif

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}
static double median(int n, double *x) {
  qsort(x, (size_t)n, sizeof *x, by_value);
  return x[n / 2];
}

/* The chain by hand: exponentials of -|u| and -2|x|, so that nothing overflows. */
#define BY_HAND(name, T, EXP, LOG1P, ABS)                                                                   \
  static double name(int64_t n, const float *x, T a, T b, float *dx, double *da, double *db) {              \
    double y = 0, sa = 0, sb = 0;                                                                           \
    for (int64_t i = 0; i < n; i++) {                                                                       \
      T v = (T)x[i], u = a * v + b;                                                                         \
      T eu = EXP(-ABS(u)), s = (u >= 0 ? 1 : eu) / (1 + eu), ds = eu / ((1 + eu) * (1 + eu));               \
      T ev = EXP(-2 * ABS(v)), t = (v >= 0 ? 1 - ev : ev - 1) / (1 + ev), dt = 4 * ev / ((1 + ev) * (1 + ev)); \
      T e = EXP(-v * v), g = ds * t;                                                                        \
      y += (double)(s * t - LOG1P(e));                                                                      \
      dx[i] = (float)(g * a + s * dt + 2 * v * e / (1 + e));                                                \
      sa += (double)(g * v);                                                                                \
      sb += (double)g;                                                                                      \
    }                                                                                                       \
    *da = sa, *db = sb;                                                                                     \
    return y;                                                                                               \
  }
BY_HAND(hand_float, float, expf, log1pf, fabsf)
BY_HAND(hand_double, double, exp, log1p, fabs)

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

/* 10^5 scalar operations of many kinds, with the gradient by two inputs. */
static void scalars(int rounds) {
  enum { NODES = 100000 };
  cr_tape *t = cr_new();
  cr_var in[2] = {cr_input(t, 0.7), cr_input(t, -1.3)}, z = in[0], out[3];
  for (int k = 0; cr_node_count(t) < NODES; k++) {
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
  uint32_t nodes = cr_node_count(t) - 1;
  out[0] = z;
  cr_grad(z, 2, in, out + 1);
  double time[2][64], value[2] = {0.7, -1.3}, result[3];
  for (int g = 0; g < 2; g++) {
    cr_fn *f = cr_capture(t, 2, in, g ? 3 : 1, out, 0, NULL, CR_FN_EXACT);
    cr_workspace *w = f ? cr_workspace_new(f) : NULL;
    if (!w) return;
    cr_array from[2] = {cr_fn_input(f, 0), cr_fn_input(f, 1)}, to[3];
    for (int k = 0; k < 2; k++) from[k].data = &value[k];
    for (int k = 0; k < 3; k++) to[k] = cr_fn_output(f, 0), to[k].data = &result[k];
    for (int r = -1; r < rounds; r++) {
      double start = now();
      cr_fn_run(f, w, from, to);
      if (r >= 0) time[g][r] = now() - start;
    }
    printf("scalars: %u nodes recorded, %s %u nodes run\n", nodes, g ? "value and gradient" : "value",
           cr_fn_stats_of(f).nodes);
    cr_workspace_free(w);
    cr_fn_free(f);
  }
  double value_time = median(rounds, time[0]), both = median(rounds, time[1]);
  printf("scalars: value %.2f ns a node, value and gradient %.2f ns a node\n", 1e9 * value_time / nodes, 1e9 * both / nodes);
  cr_free(t);
}

/* Tensors of 8 numbers: what a step costs. */
static void tiny(int rounds) {
  enum { OPS = 1000 };
  cr_tape *t = cr_new();
  double x[8] = {1, 2, 3, 4, 5, 6, 7, 8}, y[8], time[64];
  cr_var v = cr_tensor_of(t, CR_FLOAT64, 1, (int64_t[]){8}, x), z = v;
  for (int k = 0; k < OPS; k++) z = k % 2 ? cr_mul(z, v) : cr_sub(z, v);
  cr_fn *f = cr_capture(t, 1, &v, 1, &z, 0, NULL, CR_FN_EXACT);
  cr_free(t);
  cr_workspace *w = f ? cr_workspace_new(f) : NULL;
  if (!w) return;
  cr_array from = cr_fn_input(f, 0), to = cr_fn_output(f, 0);
  from.data = x, to.data = y;
  for (int r = -1; r < rounds; r++) {
    double start = now();
    for (int k = 0; k < 100; k++) cr_fn_run(f, w, &from, &to);
    if (r >= 0) time[r] = (now() - start) / 100;
  }
  printf("tensors of 8 float64: %.1f ns an op\n", 1e9 * median(rounds, time) / OPS);
  cr_workspace_free(w);
  cr_fn_free(f);
}

int main(int argc, char **argv) {
  int rounds = argc > 1 ? atoi(argv[1]) : 9;
  if (rounds < 1 || rounds > 64) return 2;
  chain(10000, rounds);
  chain(1000000, rounds);
  scalars(rounds);
  tiny(rounds);
  return 0;
}
