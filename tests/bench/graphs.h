/* The scalar graphs of the benchmarks: about so many operations on two inputs, recorded one by one. */
#ifndef CR_GRAPHS_H
#define CR_GRAPHS_H

#include <math.h>
#include <stdint.h>

#include "ops.h"

/* One operation after another, each on the result of the one before: the mix of scalar.cpp, and with tanh, div and sqrt. */
static inline cr_var one_chain(uint32_t nodes, const cr_var *in) {
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

static inline cr_var costly_chain(uint32_t nodes, const cr_var *in) {
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

/* The two chains by hand, as loops: 17 operations, and what is recorded as 15, a turn. */
static inline double one_by_hand(uint32_t nodes, double x, double y) {
  double z = x;
  for (uint32_t k = 0; k < nodes; k += 17) {
    for (int i = 0; i < 3; i++) z = z * y + x;
    z = exp(sin(z * y) * y + x);
    for (int i = 0; i < 4; i++) z = z * y + x;
  }
  return z;
}

static inline double costly_by_hand(uint32_t nodes, double x, double y) {
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

static inline uint32_t roll(uint32_t *dice) { return (*dice = *dice * 1664525u + 1013904223u) >> 8; }

/* Operations in random order on random results among the latest thousand, as in simulations and fits; values stay near 1. */
static inline cr_var many_strands(uint32_t nodes, const cr_var *in) {
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

/* The mix that is judged: +, -, *, / and, one in ten, exp, sin, tanh, log, sqrt, each of random results among the latest
 * `width`; drawn again while the result is not between 1/8 and 8. After 50 times the width it starts again, from the inputs
 * and 1e-30 times a result, so that derivatives stay finite. */
static inline cr_var mixed(uint32_t nodes, const cr_var *in, uint32_t width) {
  cr_var v[1024], sum = in[0];
  uint32_t dice = 1, n = 0;
  while (cr_node_count(in[0].tape) < nodes) {
    if (n == 50 * width) {
      for (uint32_t k = 1; k <= width; k++) sum = cr_add(sum, v[(n - k) % 1024]);
      v[0] = cr_add(in[0], cr_mul(v[(n - 1) % 1024], cr_const(sum.tape, 1e-30)));
      n = 1;
    }
    while (n < 2) v[n] = in[n], n++;
    const uint32_t kind = roll(&dice) % 10 ? roll(&dice) % 4 : 4 + roll(&dice) % 5, among = n < width ? n : width;
    const cr_var a = v[(n - 1 - roll(&dice) % among) % 1024], b = v[(n - 1 - roll(&dice) % among) % 1024];
    const double x = cr_value(a), y = cr_value(b);
    const double results[] = {x + y, x - y, x * y, x / y, exp(x), sin(x), tanh(x), log(x), sqrt(x)};
    if (!(fabs(results[kind]) > 0.125 && fabs(results[kind]) < 8)) continue;
    cr_var (*const two[])(cr_var, cr_var) = {cr_add, cr_sub, cr_mul, cr_div};
    cr_var (*const one[])(cr_var) = {cr_exp, cr_sin, cr_tanh, cr_log, cr_sqrt};
    v[n++ % 1024] = kind < 4 ? two[kind](a, b) : one[kind - 4](a);
  }
  for (uint32_t k = 1; k <= width && k <= n; k++) sum = cr_add(sum, v[(n - k) % 1024]);
  return sum;
}
static inline cr_var mixed_near(uint32_t nodes, const cr_var *in) { return mixed(nodes, in, 20); }
static inline cr_var mixed_far(uint32_t nodes, const cr_var *in) { return mixed(nodes, in, 1000); }
static inline cr_var mixed_between(uint32_t nodes, const cr_var *in) { return mixed(nodes, in, 100); }

/* The calls of the C library that the mix makes, alone. */
static inline double calls_of_the_mix(uint32_t nodes) {
  double (*const one[])(double) = {exp, sin, tanh, log, sqrt}, sum = 0;
  for (int k = 0; k < 5; k++)
    for (uint32_t i = 0; i < nodes / 50; i++) sum += one[k](0.5 + 1e-4 * (double)(i % 10000));
  return sum;
}

typedef struct scalar_graph {
  const char *name;
  cr_var (*record)(uint32_t nodes, const cr_var *in);
  double value[2];
} scalar_graph;
static const scalar_graph scalar_graphs[] = {
    {"one chain", one_chain, {0.3, 0.5}},           {"a costly chain", costly_chain, {0.7, -1.3}},
    {"many strands", many_strands, {0.3, 0.5}},     {"the mix, of the latest 20", mixed_near, {0.7, 1.3}},
    {"the mix, of the latest 100", mixed_between, {0.7, 1.3}}, {"the mix, of the latest 1000", mixed_far, {0.7, 1.3}}};
enum { SCALAR_GRAPHS = sizeof scalar_graphs / sizeof *scalar_graphs };

#endif
