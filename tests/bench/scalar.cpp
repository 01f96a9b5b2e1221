/* ns per scalar operation recorded and per operation in the reverse sweep, and bytes per operation, beside ADOL-C in the
 * same run when it is compiled in (-DHAVE_ADOLC). Both record the same 10^7 operations; medians of several repeats, first
 * in fresh memory and then in memory used before. */
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "chainrule.h"
#ifdef HAVE_ADOLC
#include <adolc/adolc.h>
#endif

static double now() {
  return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now().time_since_epoch()).count();
}
static double median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v[v.size() / 2];
}

/* Sixteen operations: mul and add in turn, one sin and one exp. Values stay near 1. */
template <class T, class Mul, class Add, class Sin, class Exp>
static T mixed(T x, T y, long n, Mul mul, Add add, Sin sin_, Exp exp_) {
  T v = x;
  for (long k = 0; k < n; k += 16) {
    v = mul(v, y), v = add(v, x), v = mul(v, y), v = add(v, x), v = mul(v, y), v = add(v, x), v = mul(v, y);
    v = sin_(v);
    v = add(v, x), v = mul(v, y), v = add(v, x), v = mul(v, y), v = add(v, x), v = mul(v, y), v = add(v, x);
    v = exp_(v);
    v = mul(v, y);
  }
  return v;
}

struct result {
  double record, reverse, bytes, value, dx, dy;
};

static void print(const char *name, const char *memory, const result &r) {
  std::printf("%-12s %-8s %8.2f %8.2f %8.2f %8.1f   value %.15g  d/dx %.15g  d/dy %.15g\n", name, memory, r.record, r.reverse,
              r.record + r.reverse, r.bytes, r.value, r.dx, r.dy);
}

static result chainrule_once(cr_tape *t, long n) {
  result r;
  cr_mark mark = cr_mark_here(t);
  double start = now();
  cr_var x = cr_input(t, 0.3), y = cr_input(t, 0.5);
  cr_var v = mixed(
      x, y, n, [](cr_var a, cr_var b) { return cr_mul(a, b); }, [](cr_var a, cr_var b) { return cr_add(a, b); },
      [](cr_var a) { return cr_sin(a); }, [](cr_var a) { return cr_exp(a); });
  double recorded = now();
  cr_sweep *s = cr_backward(v);
  double done = now();
  double ops = (double)cr_node_count(t);
  cr_stats stats = cr_stats_of(t);
  r = {(recorded - start) / ops, (done - recorded) / ops, ((double)stats.bytes_used + 8 * ops) / ops, cr_value(v), cr_adjoint(s, x),
       cr_adjoint(s, y)};
  cr_reset(t, mark);
  return r;
}

#ifdef HAVE_ADOLC
static result adolc_once(long n) {
  result r;
  double gradient[2], point[2] = {0.3, 0.5}, value;
  double start = now();
  trace_on(1, 1); /* keeps what the reverse sweep needs, so that no forward sweep comes between */
  adouble x, y, v;
  x <<= point[0];
  y <<= point[1];
  v = mixed(
      x, y, n, [](const adouble &a, const adouble &b) -> adouble { return a * b; },
      [](const adouble &a, const adouble &b) -> adouble { return a + b; }, [](const adouble &a) -> adouble { return sin(a); },
      [](const adouble &a) -> adouble { return exp(a); });
  v >>= value;
  trace_off();
  double recorded = now();
  double weight = 1, *u = &weight;
  double *z = gradient;
  fos_reverse(1, 1, 2, u, z);
  double done = now();
  size_t count[STAT_SIZE];
  tapestats(1, count);
  double ops = (double)n * 17 / 16;
  r = {(recorded - start) / ops, (done - recorded) / ops, 0, value, gradient[0], gradient[1]};
  r.bytes = ((double)count[NUM_OPERATIONS] + 4.0 * (double)count[NUM_LOCATIONS] + 8.0 * (double)count[NUM_VALUES] +
             8.0 * (double)count[TAY_STACK_SIZE]) / ops;
  return r;
}
#endif

template <class Once> static void report(const char *name, int repeats, Once once) {
  result first = once(), r = first;
  print(name, "fresh", first);
  std::vector<double> record, reverse;
  for (int k = 0; k < repeats; k++) {
    r = once();
    record.push_back(r.record);
    reverse.push_back(r.reverse);
  }
  r.record = median(record);
  r.reverse = median(reverse);
  print(name, "reused", r);
}

int main(int argc, char **argv) {
  long n = argc > 1 ? std::atol(argv[1]) : 10000000;
  int repeats = argc > 2 ? std::atoi(argv[2]) : 7;
  std::printf("%ld operations of mul, add, sin, exp; ns per operation\n%-12s %-8s %8s %8s %8s %8s\n", n, "", "memory", "record",
              "reverse", "both", "bytes");
  cr_tape *t = cr_new();
  report("chainrule", repeats, [&] { return chainrule_once(t, n); });
  cr_free(t);
#ifdef HAVE_ADOLC
  report("ADOL-C", repeats > 3 ? 3 : repeats, [&] { return adolc_once(n); });
#endif
  return 0;
}
