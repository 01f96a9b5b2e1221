/* Activations: formulas over the elementwise ops, and those that look at shapes. */
#include <stdbool.h>
#include <string.h>

#include "ops.h"

/* With tanh(u) = 2 sigmoid(2u) - 1 the approximation has no cancelling 1 + tanh. Far beyond where the sigmoid is 0 or 1
 * its argument stands still, so that neither the cube nor the square of its slope overflows. */
static void call_gelu(cr_call *c) {
  cr_var x = cr_arg_var(c, 0);
  const char *approximate = cr_arg_text(c, 1);
  if (!strcmp(approximate, "none")) {
    cr_return(c, cr_gelu(x));
  } else if (!strcmp(approximate, "tanh")) {
    cr_tape *t = x.tape;
    cr_var near = cr_clamp(x, cr_const(t, -1e9), cr_const(t, 1e9));
    cr_var cube = cr_mul(cr_const(t, 0.044715), cr_mul(near, cr_square(near)));
    cr_return(c, cr_mul(x, cr_sigmoid(cr_mul(cr_const(t, 1.5957691216057308), cr_add(near, cube)))));
  } else {
    cr_fail(x.tape, CR_BAD_ARGUMENT, "gelu: approximate '%s' is neither 'none' nor 'tanh'", approximate);
  }
}

/* The two halves of x along an axis; false after recording what is wrong. */
static bool halves(cr_var x, const char *name, int64_t axis, cr_var *half) {
  int k = cr_is_poison(x) ? -1 : cr__axis_of(x, name, axis);
  if (k < 0) return false;
  int64_t n = cr_rank(x) ? cr_dim(x, k) : 1;
  if (n % 2) {
    cr_fail(x.tape, CR_BAD_SHAPE, "%s: axis %d of size %lld does not split into halves", name, k, (long long)n);
    return false;
  }
  half[0] = cr_slice_axis(x, k, 0, n / 2, 1);
  half[1] = cr_slice_axis(x, k, n / 2, n, 1);
  return true;
}

static void call_glu(cr_call *c) {
  cr_var half[2];
  if (halves(cr_arg_var(c, 0), "glu", cr_arg_int(c, 1), half)) cr_return(c, cr_mul(half[0], cr_sigmoid(half[1])));
}

/* swiglu(x, dim=-1) over the halves of x, or swiglu(a, b) */
static void call_swiglu(cr_call *c) {
  cr_var half[2] = {cr_arg_var(c, 0), cr_poison(cr_call_tape(c))};
  if (cr_arg_given(c, 1) && !cr_arg_is_integer(c, 1)) half[1] = cr_arg_var(c, 1);
  else if (!halves(half[0], "swiglu", cr_arg_given(c, 1) ? cr_arg_int(c, 1) : cr_arg_int(c, 2), half)) return;
  cr_return(c, cr_mul(cr_silu(half[0]), half[1]));
}

/* A weight per channel, axis 1, or one weight for all. */
static void call_prelu(cr_call *c) {
  cr_var x = cr_arg_var(c, 0), w = cr_arg_var(c, 1);
  if (cr_is_poison(x) || cr_is_poison(w)) return;
  int64_t dims[CR_MAX_RANK], n = cr_count(w);
  int rank = cr_rank(x);
  if (n != 1 && (rank < 2 || cr_rank(w) != 1 || n != cr_dim(x, 1))) {
    cr_fail(x.tape, CR_BAD_SHAPE, "prelu: %lld weights; one, or one for each position of axis 1, are needed", (long long)n);
    return;
  }
  for (int i = 0; i < rank; i++) dims[i] = i == 1 ? n : 1;
  w = n == 1 ? cr_reshape(w, 0, NULL) : cr_reshape(w, rank, dims);
  cr_return(c, cr_where(cr_gt(x, cr_const(x.tape, 0)), x, cr_mul(w, x)));
}

static void call_maxout(cr_call *c) {
  cr_var x = cr_arg_var(c, 0);
  int64_t dims[CR_MAX_RANK + 1], groups = cr_arg_int(c, 1);
  int rank = cr_rank(x), axis = cr_is_poison(x) ? -1 : cr__axis_of(x, "maxout", cr_arg_int(c, 2));
  if (axis < 0) return;
  if (!rank || groups < 1 || cr_dim(x, axis) % groups) {
    cr_fail(x.tape, CR_BAD_SHAPE, "maxout: axis %d does not split into groups of %lld", axis, (long long)groups);
    return;
  }
  for (int i = 0; i < rank; i++) dims[i <= axis ? i : i + 1] = cr_dim(x, i);
  dims[axis] /= groups;
  dims[axis + 1] = groups;
  int last = axis + 1;
  cr_return(c, cr_amax(cr_reshape(x, rank + 1, dims), 1, &last, 0));
}

#define ACTIVATION .family = "activation"

const cr_function cr__activation_functions[] = {
  {.signature = "leaky_relu(input, negative_slope=0.01)", .formula = "where(input > 0, input, negative_slope * input)",
   ACTIVATION,
   .doc = "x above 0, negative_slope x below.", .kinks = "the slope at 0",
   .samples = "leaky_relu(x:(3)); leaky_relu(x:(3), 0.2)"},
  {.signature = "elu(input, alpha=1.0)", .formula = "where(input > 0, input, alpha * expm1(input))", ACTIVATION,
   .doc = "x above 0, alpha (exp(x) - 1) below.", .kinks = "alpha at 0", .samples = "elu(x:(3)); elu(x:(3), 0.5)"},
  {.signature = "celu(input, alpha=1.0)", .formula = "where(input > 0, input, alpha * expm1(input / alpha))", ACTIVATION,
   .doc = "x above 0, alpha (exp(x / alpha) - 1) below.", .samples = "celu(x:(3), 0.5)"},
  {.signature = "selu(input)", ACTIVATION, .samples = "selu(x:(3))",
   .doc = "elu, scaled so that mean 0 and variance 1 are kept.",
   .formula = "1.0507009873554804934 * where(input > 0, input, 1.6732632423543772848 * expm1(input))",
   .kinks = "1.758... at 0"},
  {.signature = "softplus(input, beta=1.0, threshold=20.0)", ACTIVATION,
   .formula = "beta == 1 ? log1pexp(input) : log1pexp(beta * input) / beta",
   .samples = "softplus(x:(3)); softplus(x:(3), 2.0)",
   .doc = "log(1 + exp(beta x)) / beta, everywhere: threshold is accepted and not needed."},
  {.signature = "gelu(input, approximate='none')", .call = call_gelu, ACTIVATION,
   .doc = "x times the normal distribution function of x, or with approximate='tanh' its approximation.",
   .derivative = "ndtr(x) + x normal_pdf(x)", .samples = "gelu(x:(3)); gelu(x:(3), approximate='tanh')"},
  {.signature = "prelu(input, weight)", .call = call_prelu, ACTIVATION,
   .doc = "x above 0, weight x below; one weight, or one per channel (axis 1).",
   .derivative = "1 above 0, weight below; to weight, x below 0", .kinks = "weight at 0",
   .samples = "prelu(x:(4), w:(1)); prelu(x:(2,3,2), w:(3))"},
  {.signature = "glu(input, dim=-1)", .call = call_glu, ACTIVATION,
   .doc = "The first half along an axis times the sigmoid of the second.",
   .samples = "glu(x:(4)); glu(x:(2,3), dim=0)"},
  {.signature = "swiglu(input, other=None, *, dim=-1)", .call = call_swiglu, ACTIVATION,
   .doc = "silu of the first half along an axis times the second; swiglu(a, b): silu(a) b.",
   .samples = "swiglu(x:(4)); swiglu(x:(3), y:(3))"},
  {.signature = "hardtanh(input, min_val=-1.0, max_val=1.0)", ACTIVATION, .kinks = "0 at both edges",
   .formula = "where(input <= min_val, min_val, where(input >= max_val, max_val, input))",
   .doc = "x kept between min_val and max_val.",
   .samples = "hardtanh(x:(3)); hardtanh(x:(3), -0.5, 0.75)"},
  {.signature = "relu6(input)", .formula = "hardtanh(input, 0, 6)", ACTIVATION, .doc = "x kept between 0 and 6.",
   .kinks = "0 at 0 and 6",
   .samples = "relu6(4 * x:(3))"},
  {.signature = "hardsigmoid(input)", .formula = "hardtanh(input + 3, 0, 6) / 6", ACTIVATION,
   .doc = "(x + 3) / 6 kept between 0 and 1.",
   .kinks = "0 at -3 and 3", .samples = "hardsigmoid(2 * x:(3))"},
  {.signature = "hardswish(input)", .formula = "input * hardtanh(input + 3, 0, 6) / 6", ACTIVATION,
   .doc = "x hardsigmoid(x).",
   .kinks = "0 at -3, 1 at 3: one-sided outside", .samples = "hardswish(2 * x:(3))"},
  {.signature = "softshrink(input, lambd=0.5)", .formula = "where(abs(input) <= lambd, 0, input - lambd * sign(input))",
   ACTIVATION,
   .doc = "x moved towards 0 by lambd, 0 within it.", .kinks = "0 at both edges",
   .samples = "softshrink(x:(3)); softshrink(x:(3), 0.2)"},
  {.signature = "hardshrink(input, lambd=0.5)", .formula = "where(abs(input) <= lambd, 0, input)", ACTIVATION,
   .doc = "x, and 0 within lambd of 0.", .kinks = "0 at both edges", .samples = "hardshrink(x:(3)); hardshrink(x:(3), 0.2)"},
  {.signature = "threshold(input, threshold, value)", .formula = "where(input > threshold, input, value)", ACTIVATION,
   .doc = "x above the threshold, value elsewhere.", .kinks = "0 at the threshold", .samples = "threshold(x:(3), 0.1, 2.0)"},
  {.signature = "maxout(input, groups, dim=1)", .call = call_maxout, ACTIVATION,
   .doc = "The largest of every group of so many neighbours along an axis.", .kinks = "even split at ties",
   .samples = "maxout(x:(2,4), 2); maxout(x:(6), 3, dim=0)"},
  {.signature = NULL}};
