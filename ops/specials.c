/* Special functions beyond the rows: incomplete beta and multivariate gamma functions, and names for the rest. */
#include <math.h>

#include "emit.h"
#include "ops.h"
#include "special.h"

/* betainc */

static cr_status betainc_prepare(cr_tape *t, int n, cr_var *in) { return cr__prepare_elementwise(t, n, in, 'f'); }

static cr_status betainc_infer(cr_infer *c) {
  cr_array_init(c->out, (cr_dtype)c->in[0].dtype, c->in[0].rank, c->in[0].dim);
  return CR_OK;
}

static cr_status betainc_eval(cr_eval *c) {
  for (int64_t k = 0; k < c->out->count; k++)
    cr_array_set(c->out, k, cr__betainc(cr_array_get(&c->in[0], k), cr_array_get(&c->in[1], k), cr_array_get(&c->in[2], k)));
  return CR_OK;
}

/* x^(a-1) (1-x)^(b-1) / B(a, b), in logarithms so that large a and b stay in range */
static cr_var density(const cr_var *in) {
  cr_tape *t = in[0].tape;
  cr_var one = cr_const(t, 1),
         powers = cr_add(cr_xlogy(cr_sub(in[0], one), in[2]), cr_xlog1py(cr_sub(in[1], one), cr_neg(in[2])));
  return cr_exp(cr_sub(powers, cr_betaln(in[0], in[1])));
}

static cr_var unknown(cr_var g) { return cr_guarded_mul(g, cr_const(g.tape, (double)NAN)); }

static void betainc_vjp(cr_vjp_rule *c) {
  if (c->wanted[0]) c->d[0] = unknown(c->g);
  if (c->wanted[1]) c->d[1] = unknown(c->g);
  if (c->wanted[2]) c->d[2] = cr_guarded_mul(c->g, density(c->in));
}
static cr_var betainc_jvp(cr_jvp_rule *c) {
  cr_var sum = cr_poison(c->tape);
  for (int k = 0; k < 3; k++) {
    if (cr_absent(c->dot[k])) continue;
    cr_var term = k < 2 ? unknown(c->dot[k]) : cr_guarded_mul(c->dot[k], density(c->in));
    sum = cr_absent(sum) ? term : cr_add(sum, term);
  }
  return sum;
}
static void betainc_emit(cr_emit_context *c) {
  const int single = c->out.array.dtype == CR_FLOAT32;
  cr_emit_map(c, &c->out, 3, c->in, single ? "(float)betainc((double)$0, (double)$1, (double)$2)" : "betainc($0, $1, $2)");
}
static const cr_op betainc_op = {
  .name = "betainc", .check = cr__check_floats, .arity = 3, .prepare = betainc_prepare, .infer = betainc_infer,
  .eval = betainc_eval, .emit = betainc_emit,
  .vjp = betainc_vjp, .jvp = betainc_jvp, .latex = "I_{%c}\\left(%a, %b\\right)",
  .rule = "x: g x^(a-1) (1-x)^(b-1) / B(a, b); a, b: NaN"};

cr_var cr_betainc(cr_var a, cr_var b, cr_var x) { return cr_record(a.tape, &betainc_op, 3, (cr_var[]){a, b, x}, NULL); }

/* The sum over j < p of lgamma(x - j/2), along a new last axis, and the constant p (p - 1) / 4 log(pi). */
cr_var cr_multigammaln(cr_var x, int64_t p) {
  enum { MANY = 1000 };
  cr_tape *t = x.tape;
  double half[MANY];
  if (cr_is_poison(x)) return x;
  if (p < 1 || p > MANY)
    return cr_fail(t, CR_BAD_ARGUMENT, "multigammaln: p is %lld, 1 to %d are taken", (long long)p, MANY);
  for (int64_t j = 0; j < p; j++) half[j] = 0.5 * (double)j;
  cr_dtype dtype = cr_dtype_of(x) == CR_FLOAT32 ? CR_FLOAT32 : CR_FLOAT64;
  cr_var shift = cr_cast(cr_constant_of(t, CR_FLOAT64, 1, &p, half), dtype);
  cr_var terms = cr_lgamma(cr_sub(cr_unsqueeze(x, -1), shift));
  return cr_add(cr_sum(terms, 1, (int[]){-1}, 0), cr_const(t, 0.25 * (double)(p * (p - 1)) * 1.1447298858494002));
}

/* Names in the expression language */

static void call_polygamma(cr_call *c) {
  cr_var n = cr_arg_var(c, 0), x = cr_arg_var(c, 1);
  cr_return(c, cr_polygamma(n, x));
}
static void call_bessel_in(cr_call *c) {
  cr_var n = cr_arg_var(c, 0), x = cr_arg_var(c, 1);
  cr_return(c, cr_bessel_in(n, x));
}
static void call_bessel_ine(cr_call *c) {
  cr_var n = cr_arg_var(c, 0), x = cr_arg_var(c, 1);
  cr_return(c, cr_bessel_ine(n, x));
}
static void call_spherical_jn(cr_call *c) {
  cr_var n = cr_arg_var(c, 0), z = cr_arg_var(c, 1);
  cr_return(c, cr_spherical_jn(n, z));
}
static void call_betaln(cr_call *c) {
  cr_var a = cr_arg_var(c, 0), b = cr_arg_var(c, 1);
  cr_return(c, cr_betaln(a, b));
}
static void call_betainc(cr_call *c) {
  cr_var a = cr_arg_var(c, 0), b = cr_arg_var(c, 1), x = cr_arg_var(c, 2);
  cr_return(c, cr_betainc(a, b, x));
}
static void call_multigammaln(cr_call *c) { cr_return(c, cr_multigammaln(cr_arg_var(c, 0), cr_arg_int(c, 1))); }

static const cr_op *const recorded[] = {&betainc_op, NULL};

const cr_function cr__special_functions[] = {
  {.ops = recorded, .signature = "polygamma(n, input)", .call = call_polygamma, .family = "special",
   .doc = "Derivative of order n of digamma.",
   .domain = "n = 0, 1, 2, ...", .derivative = "polygamma(n + 1, input)", .kinks = "poles: NaN",
   .samples = "polygamma(1, x:(3)>0); polygamma(0, x:(2)>0)"},
  {.signature = "bessel_in(n, x)", .call = call_bessel_in, .family = "special",
   .doc = "Modified Bessel function of the first kind of integer order n.", .domain = "n integral",
   .derivative = "(bessel_in(n - 1, x) + bessel_in(n + 1, x)) / 2", .samples = "bessel_in(0, x:(3)); bessel_in(2, x:(3))"},
  {.signature = "bessel_ine(n, x)", .call = call_bessel_ine, .family = "special", .doc = "exp(-|x|) bessel_in(n, x).",
   .domain = "n integral",
   .derivative = "(bessel_ine(n - 1, x) + bessel_ine(n + 1, x)) / 2 - sign(x) bessel_ine(n, x), without cancellation for "
                 "n < 2",
   .kinks = "x = 0: the derivative of the symmetric part", .samples = "bessel_ine(0, x:(3)>0); bessel_ine(1, x:(3)>0)"},
  {.signature = "i0(input)", .formula = "bessel_in(0, input)", .family = "special",
   .doc = "Modified Bessel function of order 0.",
   .samples = "i0(x:(3))"},
  {.signature = "i0e(input)", .formula = "bessel_ine(0, input)", .family = "special", .doc = "exp(-|x|) i0(x).",
   .kinks = "x = 0: derivative 0", .samples = "i0e(x:(3)>0)"},
  {.signature = "i1(input)", .formula = "bessel_in(1, input)", .family = "special",
   .doc = "Modified Bessel function of order 1.",
   .samples = "i1(x:(3))"},
  {.signature = "i1e(input)", .formula = "bessel_ine(1, input)", .family = "special", .doc = "exp(-|x|) i1(x).",
   .kinks = "x = 0: derivative 1/2", .samples = "i1e(x:(3)>0)"},
  {.signature = "spherical_jn(n, z)", .call = call_spherical_jn, .family = "special",
   .doc = "Spherical Bessel function of order n.",
   .domain = "n = 0, 1, 2, ...", .derivative = "(n j_(n-1) - (n + 1) j_(n+1)) / (2 n + 1)",
   .samples = "spherical_jn(0, x:(3)); spherical_jn(2, x:(3))"},
  {.signature = "betaln(a, b)", .call = call_betaln, .family = "special", .doc = "Logarithm of the beta function.",
   .derivative = "digamma(a) - digamma(a + b), and the same for b", .samples = "betaln(a:(3)>0, b:(3)>0)"},
  {.signature = "betainc(a, b, x)", .call = call_betainc, .family = "special",
   .doc = "Regularised incomplete beta function.",
   .domain = "a, b >= 0 and 0 <= x <= 1", .derivative = "x^(a-1) (1-x)^(b-1) / B(a, b) for x; none for a and b: NaN",
   .samples = "betainc(2.5, 1.5, x:(3)[0.1,0.9])"},
  {.signature = "multigammaln(input, p) | mvlgamma", .call = call_multigammaln, .family = "special",
   .doc = "Logarithm of the p-variate gamma function.", .domain = "input > (p - 1) / 2",
   .derivative = "sum of digamma(input - j/2), j < p", .samples = "multigammaln(x:(3)[2,4], 3)"},
  {.signature = NULL}};
