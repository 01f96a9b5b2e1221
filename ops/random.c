/* Random numbers from a counter: Philox-4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3).
 * Element k depends on seed and k alone, not on shape, order or threads. */
#include <math.h>

#include "ops.h"

typedef struct block {
  uint32_t word[4];
} block;

static block philox(uint64_t counter, uint64_t seed) {
  uint32_t c[4] = {(uint32_t)counter, (uint32_t)(counter >> 32), 0, 0}, key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
  for (int round = 0; round < 10; round++) {
    uint64_t p = (uint64_t)0xD2511F53u * c[0], q = (uint64_t)0xCD9E8D57u * c[2];
    uint32_t next[4] = {(uint32_t)(q >> 32) ^ c[1] ^ key[0], (uint32_t)q, (uint32_t)(p >> 32) ^ c[3] ^ key[1], (uint32_t)p};
    for (int i = 0; i < 4; i++) c[i] = next[i];
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  return (block){{c[0], c[1], c[2], c[3]}};
}

/* Half 0 or 1 of a block as a multiple of 2^-53 in [0, 1). */
static double unit(const block *b, int half) {
  uint64_t bits = (uint64_t)b->word[2 * half + 1] << 32 | b->word[2 * half];
  return (double)(bits >> 11) * 0x1p-53;
}

static double uniform(uint64_t seed, uint64_t k) {
  block b = philox(k >> 1, seed);
  return unit(&b, (int)(k & 1));
}

/* Box and Muller: elements 2j and 2j + 1 are the two coordinates made of block j. */
static double normal(uint64_t seed, uint64_t k) {
  block b = philox(k >> 1, seed);
  double radius = sqrt(-2 * log(1 - unit(&b, 0))), angle = 6.283185307179586 * unit(&b, 1);
  return radius * (k & 1 ? sin(angle) : cos(angle));
}

static cr_var draw(cr_tape *t, cr_dtype dtype, int rank, const int64_t *dims, uint64_t seed,
                   double (*of)(uint64_t seed, uint64_t k)) {
  if (dtype < CR_FLOAT32) return cr_fail(t, CR_BAD_DTYPE, "random numbers are float64 or float32");
  cr_var v = cr_constant_of(t, dtype, rank, dims, NULL);
  if (cr_is_poison(v)) return v;
  cr_array a = cr_view(v);
  for (int64_t k = 0; k < a.count; k++) {
    double x = of(seed, (uint64_t)k);
    if (dtype == CR_FLOAT32 && of == uniform) x = floor(x * 0x1p24) * 0x1p-24; /* rounding must not reach 1 */
    cr_array_set(&a, k, x);
  }
  return v;
}
cr_var cr_rand(cr_tape *t, cr_dtype dtype, int rank, const int64_t *dims, uint64_t seed) {
  return draw(t, dtype, rank, dims, seed, uniform);
}
cr_var cr_randn(cr_tape *t, cr_dtype dtype, int rank, const int64_t *dims, uint64_t seed) {
  return draw(t, dtype, rank, dims, seed, normal);
}

cr_var cr_dropout(cr_var x, double p, int training, uint64_t seed) {
  cr_array a = cr_view(x);
  if (cr_is_poison(x)) return x;
  if (!(p >= 0 && p <= 1)) return cr_fail(x.tape, CR_BAD_ARGUMENT, "dropout: p = %g is no probability", p);
  if (!training || p == 0) return x;
  cr_var zero = cr_const(x.tape, 0);
  if (p == 1) return cr_where(cr_full(x.tape, CR_BOOL, a.rank, a.dim, 0), x, zero);
  cr_var keep = cr_ge(cr_rand(x.tape, CR_FLOAT64, a.rank, a.dim, seed), cr_const(x.tape, p));
  return cr_where(keep, cr_mul(x, cr_const(x.tape, 1 / (1 - p))), zero);
}

/* Names in the expression language */

static void call_draw(cr_call *c, cr_var (*f)(cr_tape *, cr_dtype, int, const int64_t *, uint64_t)) {
  int64_t dims[CR_MAX_RANK];
  int rank = cr_arg_ints(c, 0, CR_MAX_RANK, dims);
  int dtype = cr_arg_given(c, 2) ? cr_dtype_of_name(cr_arg_text(c, 2)) : CR_FLOAT64;
  if (dtype < 0) cr_fail(cr_call_tape(c), CR_BAD_DTYPE, "unknown dtype '%s'", cr_arg_text(c, 2));
  else if (rank >= 0) cr_return(c, f(cr_call_tape(c), (cr_dtype)dtype, rank, dims, (uint64_t)cr_arg_int(c, 1)));
}
static void call_rand(cr_call *c) { call_draw(c, cr_rand); }
static void call_randn(cr_call *c) { call_draw(c, cr_randn); }
static void call_dropout(cr_call *c) {
  cr_return(c, cr_dropout(cr_arg_var(c, 0), cr_arg_number(c, 1), cr_arg_bool(c, 2), (uint64_t)cr_arg_int(c, 3)));
}

const cr_function cr__random_functions[] = {
  {.signature = "rand(size, seed=0, *, dtype=None)", .call = call_rand, .family = "random",
   .doc = "Uniform random numbers in [0, 1): element k depends on the seed and k alone.", .derivative = "none",
   .samples = "x:(3) * rand([3], 5)"},
  {.signature = "randn(size, seed=0, *, dtype=None)", .call = call_randn, .family = "random",
   .doc = "Standard normal random numbers: element k depends on the seed and k alone.", .derivative = "none",
   .samples = "x:(3) * randn([3], 5)"},
  {.signature = "dropout(input, p=0.5, training=True, seed=0)", .call = call_dropout, .family = "random",
   .doc = "In training each element is 0 with probability p and else divided by 1 - p; the mask depends on the seed alone.",
   .derivative = "the cotangent under the same mask", .samples = "dropout(x:(5), 0.4, seed=7); dropout(x:(3), 1.0)"},
  {.signature = NULL}};
