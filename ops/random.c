/* Random numbers from a counter: Philox-4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3).
 * Element k depends on seed and k alone, not on shape, order or threads. */
#include <math.h>
#include <string.h>

#include "ops.h"
#include "parallel.h"
#include "vectors.h"

static void block(uint64_t counter, uint64_t seed, uint64_t bits[2]) {
  uint32_t c[4] = {(uint32_t)counter, (uint32_t)(counter >> 32), 0, 0}, key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
  for (int round = 0; round < 10; round++) {
    uint64_t p = (uint64_t)0xD2511F53u * c[0], q = (uint64_t)0xCD9E8D57u * c[2];
    c[0] = (uint32_t)(q >> 32) ^ c[1] ^ key[0];
    c[1] = (uint32_t)q;
    c[2] = (uint32_t)(p >> 32) ^ c[3] ^ key[1];
    c[3] = (uint32_t)p;
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  bits[0] = (uint64_t)c[1] << 32 | c[0];
  bits[1] = (uint64_t)c[3] << 32 | c[2];
}

/* LANES blocks from the first-th, two words of 64 bits each. */
enum { LANES = CR__PHILOX_LANES };
static void blocks(uint64_t first, uint64_t seed, uint64_t bits[2 * LANES]) {
  if (cr__has_vectors()) cr__vector_philox(first, seed, bits);
  else
    for (uint64_t l = 0; l < LANES; l++) block(first + l, seed, bits + 2 * l);
}

/* As a multiple of 2^-53 in [0, 1). */
static double unit(uint64_t bits) { return (double)(bits >> 11) * 0x1p-53; }

/* Box and Muller: elements 2j and 2j + 1 are the two coordinates made of block j. */
static double normal(const uint64_t *bits, uint64_t k) {
  double radius = sqrt(-2 * log(1 - unit(bits[0]))), angle = 6.283185307179586 * unit(bits[1]);
  return radius * (k & 1 ? sin(angle) : cos(angle));
}

double cr_rand_at(uint64_t seed, uint64_t k) {
  uint64_t bits[2];
  block(k >> 1, seed, bits);
  return unit(bits[k & 1]);
}
double cr_randn_at(uint64_t seed, uint64_t k) {
  uint64_t bits[2];
  block(k >> 1, seed, bits);
  return normal(bits, k);
}

typedef enum distribution { UNIFORM, NORMAL, KEEP } distribution;

/* KEEP: whether the uniform number is at least p, as bool. */
typedef struct draw_job {
  cr_array *out;
  uint64_t seed;
  distribution of;
  double p;
} draw_job;

static void draw_one(const draw_job *j, const uint64_t *bits, int64_t k) {
  double u = unit(bits[k & 1]);
  if (j->of == KEEP) ((uint8_t *)j->out->data)[k] = u >= j->p;
  else if (j->out->dtype == CR_FLOAT64) ((double *)j->out->data)[k] = j->of == UNIFORM ? u : normal(bits, (uint64_t)k);
  else if (j->of == NORMAL) ((float *)j->out->data)[k] = (float)normal(bits, (uint64_t)k);
  else ((float *)j->out->data)[k] = (float)(floor(u * 0x1p24) * 0x1p-24); /* rounding must not reach 1 */
}

static void draw_block(void *context, int64_t from, int64_t to) {
  const draw_job *j = context;
  for (int64_t at = from; at < to; at += 2 * LANES) { /* from is even */
    uint64_t bits[2 * LANES];
    int64_t end = at + 2 * LANES < to ? at + 2 * LANES : to;
    blocks((uint64_t)at >> 1, j->seed, bits);
    for (int64_t k = at; k < end; k++) draw_one(j, bits + ((k - at) & ~(int64_t)1), k);
  }
}

static cr_var draw(cr_tape *t, cr_dtype dtype, int rank, const int64_t *dims, draw_job j) {
  cr_var v = cr_constant_of(t, dtype, rank, dims, NULL);
  cr_array a = cr_view(v);
  j.out = &a;
  if (!cr_is_poison(v)) cr__parallel(t, a.count, CR__BLOCK, draw_block, &j);
  return v;
}
static cr_var draw_floats(cr_tape *t, cr_dtype dtype, int rank, const int64_t *dims, draw_job j) {
  if (dtype < CR_FLOAT32) return cr_fail(t, CR_BAD_DTYPE, "random numbers are float64 or float32");
  return draw(t, dtype, rank, dims, j);
}
cr_var cr_rand(cr_tape *t, cr_dtype dtype, int rank, const int64_t *dims, uint64_t seed) {
  return draw_floats(t, dtype, rank, dims, (draw_job){.seed = seed, .of = UNIFORM});
}
cr_var cr_randn(cr_tape *t, cr_dtype dtype, int rank, const int64_t *dims, uint64_t seed) {
  return draw_floats(t, dtype, rank, dims, (draw_job){.seed = seed, .of = NORMAL});
}

/* The same as operations on the seed, so that a captured function may be given another one at each run. */

typedef struct draw_attr {
  int64_t dim[CR_MAX_RANK];
  double p;
  int32_t rank, dtype, of;
} draw_attr;

static const cr_field draw_fields[] = {
  CR_LIST(draw_attr, rank, dim, "shape"),
  CR_FIELD(draw_attr, dtype, CR_FIELD_DTYPE, "dtype"),
  CR_FIELD(draw_attr, of, CR_FIELD_INT, "of"),
  CR_FIELD(draw_attr, p, CR_FIELD_REAL, "p"),
  {.name = NULL}};

static cr_status draw_infer(cr_infer *c) {
  const draw_attr *d = c->attr;
  if (c->in[0].count != 1 || c->in[0].dtype != CR_INT64) {
    cr_fail(c->tape, CR_BAD_ARGUMENT, "a seed is one int64 number");
    return CR_BAD_ARGUMENT;
  }
  cr_array_init(c->out, (cr_dtype)d->dtype, d->rank, d->dim);
  return CR_OK;
}

static int draw_check(const cr_infer *c) {
  const draw_attr *d = c->attr;
  return cr__are_sizes(d->rank, d->dim) && d->dtype >= CR_FLOAT32 && d->of >= UNIFORM && d->of <= KEEP;
}
static cr_status draw_eval(cr_eval *c) {
  const draw_attr *d = c->attr;
  draw_job j = {.out = c->out, .seed = (uint64_t)cr_array_get_int(&c->in[0], 0), .of = (distribution)d->of, .p = d->p};
  cr__parallel(c->tape, c->out->count, CR__BLOCK, draw_block, &j);
  return CR_OK;
}

static const cr_op draw_op = {
  .name = "draw", .check = draw_check, .arity = 1, .kind = CR_PIECEWISE_CONSTANT, .attr_size = sizeof(draw_attr),
  .fields = draw_fields,
  .infer = draw_infer, .eval = draw_eval,
  .rule = "none: random numbers do not follow their seed"};

static cr_var draw_by(cr_var seed, cr_dtype dtype, int rank, const int64_t *dims, distribution of, double p) {
  draw_attr d;
  memset(&d, 0, sizeof d);
  d.p = p, d.rank = rank, d.dtype = (int32_t)dtype, d.of = (int32_t)of;
  if (rank < 0 || rank > CR_MAX_RANK) return cr_fail(seed.tape, CR_BAD_SHAPE, "a shape of %d axes", rank);
  if (rank) memcpy(d.dim, dims, (size_t)rank * sizeof *dims);
  return cr_record(seed.tape, &draw_op, 1, &seed, &d);
}
cr_var cr_randn_by(cr_var seed, cr_dtype dtype, int rank, const int64_t *dims) {
  if (dtype < CR_FLOAT32) return cr_fail(seed.tape, CR_BAD_DTYPE, "random numbers are float64 or float32");
  return draw_by(seed, dtype, rank, dims, NORMAL, 0);
}

static cr_var dropped(cr_var x, double p, int training, cr_var by, uint64_t seed) {
  cr_array a = cr_view(x);
  if (cr_is_poison(x)) return x;
  if (!(p >= 0 && p <= 1)) return cr_fail(x.tape, CR_BAD_ARGUMENT, "dropout: p = %g is no probability", p);
  if (!training || p == 0) return x;
  cr_var zero = cr_const(x.tape, 0);
  if (p == 1) return cr_where(cr_full(x.tape, CR_BOOL, a.rank, a.dim, 0), x, zero);
  cr_var keep = by.tape ? draw_by(by, CR_BOOL, a.rank, a.dim, KEEP, p)
                        : draw(x.tape, CR_BOOL, a.rank, a.dim, (draw_job){.seed = seed, .of = KEEP, .p = p});
  return cr_where(keep, cr_mul(x, cr_const(x.tape, 1 / (1 - p))), zero);
}
cr_var cr_dropout(cr_var x, double p, int training, uint64_t seed) { return dropped(x, p, training, (cr_var){0}, seed); }
cr_var cr_dropout_by(cr_var x, double p, cr_var seed) { return dropped(x, p, 1, seed, 0); }

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

static const cr_op *const recorded[] = {&draw_op, NULL};

const cr_function cr__random_functions[] = {
  {.ops = recorded, .signature = "rand(size, seed=0, *, dtype=None)", .call = call_rand, .family = "random",
   .doc = "Uniform random numbers in [0, 1): element k depends on the seed and k alone.", .derivative = "none",
   .samples = "x:(3) * rand([3], 5)"},
  {.signature = "randn(size, seed=0, *, dtype=None)", .call = call_randn, .family = "random",
   .doc = "Standard normal random numbers: element k depends on the seed and k alone.", .derivative = "none",
   .samples = "x:(3) * randn([3], 5)"},
  {.signature = "dropout(input, p=0.5, training=True, seed=0)", .call = call_dropout, .family = "random",
   .doc = "In training each element is 0 with probability p and else divided by 1 - p; the mask depends on the seed alone.",
   .derivative = "the cotangent under the same mask", .samples = "dropout(x:(5), 0.4, seed=7); dropout(x:(3), 1.0)"},
  {.signature = NULL}};
