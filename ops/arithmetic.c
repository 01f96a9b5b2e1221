/* Elementwise functions with options, as formulas over the rows of elementwise.def, and other names of rows. */
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "ops.h"

static bool is_integer(cr_var x) { return cr_dtype_of(x) < CR_FLOAT32; }

static void call_div(cr_call *c) {
  cr_var x = cr_arg_var(c, 0), y = cr_arg_var(c, 1);
  const char *mode = cr_arg_given(c, 2) ? cr_arg_text(c, 2) : "";
  if (!*mode) cr_return(c, cr_div(x, y));
  else if (!strcmp(mode, "floor")) cr_return(c, cr_floor_divide(x, y));
  else if (strcmp(mode, "trunc")) cr_fail(x.tape, CR_BAD_ARGUMENT, "div: rounding_mode '%s', not 'floor' or 'trunc'", mode);
  else if (is_integer(x) && is_integer(y)) cr_return(c, cr_floor_divide(cr_sub(x, cr_fmod(x, y)), y));
  else cr_return(c, cr_trunc(cr_div(x, y)));
}

static cr_var arg_or(cr_call *c, int k, double otherwise) {
  return cr_arg_given(c, k) ? cr_arg_var(c, k) : cr_const(cr_call_tape(c), otherwise);
}
static void call_nan_to_num(cr_call *c) {
  cr_var x = cr_arg_var(c, 0);
  double inf = (double)INFINITY;
  double most = cr_dtype_of(x) == CR_FLOAT32 ? 0x1.fffffep127 : 0x1.fffffffffffffp1023;
  cr_var y = cr_where(cr_isnan(x), arg_or(c, 1, 0), x);
  y = cr_where(cr_eq(x, cr_const(x.tape, inf)), arg_or(c, 2, most), y);
  cr_return(c, cr_where(cr_eq(x, cr_const(x.tape, -inf)), arg_or(c, 3, -most), y));
}

#define ALIAS(name, of) \
  {.signature = name "(input)", .formula = of "(input)", .family = "elementwise", .doc = "Another name of " of "."}
#define ALIAS2(name, of) \
  {.signature = name "(input, other)", .formula = of "(input, other)", .family = "elementwise", \
   .doc = "Another name of " of "."}

const cr_function cr__arithmetic_functions[] = {
  {.signature = "add(input, other, *, alpha=1)", .formula = "alpha == 1 ? input + other : input + alpha * other",
   .family = "elementwise", .doc = "input + alpha other.", .samples = "add(x:(2,3), y:(3)); add(x:(3), y:(3), alpha=-0.5)"},
  {.signature = "sub(input, other, *, alpha=1) | subtract", .formula = "alpha == 1 ? input - other : input - alpha * other",
   .family = "elementwise", .doc = "input - alpha other.", .samples = "sub(x:(2,3), y:(3)); sub(x:(3), y:(3), alpha=2)"},
  {.signature = "div(input, other, *, rounding_mode=None) | divide | true_divide", .call = call_div, .family = "elementwise",
   .doc = "Quotient; rounding_mode 'floor' or 'trunc' rounds it to an integer.",
   .derivative = "1 / other and -y / other; 0 when rounded",
   .kinks = "x/0: inf, derivatives (inf, -inf)",
   .samples = "div(x:(2,3), y:(3)>0); div(x:(3), y:(3)>0, rounding_mode='trunc')"},
  {.signature = "pow(input, exponent) | power", .formula = "input ^ exponent", .family = "elementwise",
   .doc = "input to the power exponent; integers stay integers.", .domain = "input > 0, or an integral exponent",
   .kinks = "0^0: 1, derivatives (0, 0); 0^p for 0 < p < 1: derivative inf",
   .samples = "pow(x:(3)>0, y:(3)); pow(x:(3), 2); pow(x:(3), 3.0); pow(2, y:(3))"},
  {.signature = "round(input, *, decimals=0)", .family = "elementwise",
   .formula = "decimals == 0 ? rint(input) : decimals > 0 ? rint(input * 10 ^ decimals) / 10 ^ decimals : "
              "rint(input / 10 ^ -decimals) * 10 ^ -decimals",
   .doc = "Nearest multiple of 10^-decimals, halves to even.", .kinks = "derivative 0",
   .samples = "round(x:(3)); round(x:(3), decimals=2)"},
  {.signature = "frac(input)", .formula = "input - trunc(input)", .family = "elementwise", .doc = "What trunc cuts off.",
   .kinks = "derivative 1, at integers too", .samples = "frac(x:(3))"},
  {.signature = "deg2rad(input)", .formula = "input * 0.017453292519943295", .family = "elementwise",
   .doc = "Degrees to radians.",
   .samples = "deg2rad(x:(3))"},
  {.signature = "rad2deg(input)", .formula = "input * 57.29577951308232", .family = "elementwise",
   .doc = "Radians to degrees.",
   .samples = "rad2deg(x:(3))"},
  {.signature = "positive(input)", .formula = "input", .family = "elementwise", .doc = "input itself.",
   .samples = "positive(x:(3))"},
  {.signature = "logit(input, eps=None)", .formula = "eps == None ? log_odds(input) : log_odds(clamp(input, eps, 1 - eps))",
   .family = "elementwise", .doc = "log(x / (1 - x)), of x kept within [eps, 1 - eps] if eps is given.",
   .domain = "0 <= input <= 1",
   .kinks = "0 and 1: -inf and inf, derivative inf", .samples = "logit(x:(3)[0.1,0.9]); logit(x:(3)[0.2,0.8], eps=0.05)"},
  {.signature = "nan_to_num(input, nan=0.0, posinf=None, neginf=None)", .call = call_nan_to_num, .family = "elementwise",
   .doc = "NaN and the infinities replaced; None is the largest and smallest number.",
   .derivative = "1, and 0 where replaced",
   .samples = "nan_to_num(x:(3))"},
  {.signature = "heaviside(input, values)", .formula = "where(input > 0, 1, where(input < 0, 0, values))",
   .family = "elementwise",
   .doc = "1 above 0, 0 below, values at 0.", .derivative = "0; to values, the cotangent at 0", .kinks = "derivative 0 at 0",
   .samples = "heaviside(x:(3), v:(3))"},
  {.signature = "lerp(input, end, weight)", .formula = "input + weight * (end - input)", .family = "elementwise",
   .doc = "Linear interpolation: input at weight 0, end at 1.",
   .samples = "lerp(x:(3), y:(3), w:(3)); lerp(x:(2,3), y:(3), 0.3)"},
  {.signature = "fma(input, other, addend)", .formula = "input * other + addend", .family = "elementwise",
   .doc = "input other + addend.",
   .samples = "fma(x:(3), y:(3), z:(3))"},
  {.signature = "addcmul(input, tensor1, tensor2, *, value=1)", .formula = "input + value * (tensor1 * tensor2)",
   .family = "elementwise",
   .doc = "input + value tensor1 tensor2.", .samples = "addcmul(x:(3), y:(3), z:(3), value=0.5)"},
  {.signature = "addcdiv(input, tensor1, tensor2, *, value=1)", .formula = "input + value * (tensor1 / tensor2)",
   .family = "elementwise",
   .doc = "input + value tensor1 / tensor2.", .samples = "addcdiv(x:(3), y:(3), z:(3)>0, value=0.5)"},
  ALIAS("negative", "neg"), ALIAS("absolute", "abs"), ALIAS("arcsin", "asin"), ALIAS("arccos", "acos"),
  ALIAS("arctan", "atan"), ALIAS("arcsinh", "asinh"), ALIAS("arccosh", "acosh"), ALIAS("arctanh", "atanh"),
  ALIAS("gammaln", "lgamma"), ALIAS("psi", "digamma"), ALIAS("fix", "trunc"), ALIAS("expit", "sigmoid"),
  ALIAS("swish", "silu"), ALIAS2("multiply", "mul"), ALIAS2("arctan2", "atan2"), ALIAS2("equal_elementwise", "eq"),
  ALIAS2("not_equal", "ne"), ALIAS2("less", "lt"), ALIAS2("less_equal", "le"), ALIAS2("greater", "gt"),
  ALIAS2("greater_equal", "ge"),
  {.signature = NULL}};
