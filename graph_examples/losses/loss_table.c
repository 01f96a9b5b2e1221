/* The losses: a row for each, and how one is recorded. */
#include <ops.h>
#include <formula.h>
#include <stdio.h>
#include <string.h>

#include "losses.h"

/* Do classes lie along the last axis: is the target of the shape before it? */
static int classes_last(cr_var prediction, cr_var target) {
  if (cr_is_poison(prediction) || cr_is_poison(target)) return 0;
  cr_array a = cr_view(prediction), b = cr_view(target);
  int fits = a.rank > 2 && b.rank == a.rank - 1 && b.dtype < CR_FLOAT32;
  for (int i = 0; fits && i < b.rank; i++) fits = a.dim[i] == b.dim[i];
  return fits;
}

/* One row of classes for each target. */
static void flatten(cr_var *prediction, cr_var *target) {
  int64_t dims[2] = {cr_count(*target), cr_dim(*prediction, -1)};
  *prediction = cr_reshape(*prediction, 2, dims);
  *target = cr_reshape(*target, 1, dims);
}

#define OWN(signature_, formula_, doc_) {signature_, .formula = formula_, .doc = doc_, .family = "loss"}

/* Lines without OWN are functions that the language has already. */
static const cr_loss rows[] = {
  {"squared",
   OWN("squared(prediction, target, factor=1, reduction='mean')",
       "reduce_loss(factor * square(prediction - paired(prediction, target)), reduction)",
       "factor (x - t)^2: factor 1/2 and reduction 'sum' give half the sum of squared errors."),
   "c\\,(x - t)^2", "Gaussian of unit variance (factor 1/2)", "value", "value", "mse"},
  {"absolute_error",
   OWN("absolute_error(prediction, target, reduction='mean')",
       "reduce_loss(abs(prediction - paired(prediction, target)), reduction)", "|x - t|."),
   "|x - t|", "Laplace of unit scale", "value", "value", "mae"},
  {"huber",
   OWN("huber(prediction, target, delta=1, reduction='mean')",
       "huber_loss(prediction, paired(prediction, target), reduction, delta)",
       "Half the squared error up to delta, linear beyond."),
   "\\tfrac12 d^2 \\text{ if } |d| \\le \\delta, \\text{ else } \\delta (|d| - \\tfrac12 \\delta), \\quad d = x - t", NULL,
   "value", "value", "mae"},
  {"cosine",
   OWN("cosine(prediction, target, reduction='mean')",
       "reduce_loss(1 - cosine_similarity(prediction, paired(prediction, target), -1), reduction)",
       "1 minus the cosine of the angle between vectors along the last axis."),
   "1 - \\frac{x \\cdot t}{|x|\\,|t|}", NULL, "value", "value", NULL},
  {"cross_entropy_from_probabilities",
   OWN("cross_entropy_from_probabilities(prediction, target, weight=None, ignore_index=-100, reduction='mean')",
       "log_p = maximum(log(prediction), -100); "
       "target.ndim < prediction.ndim ? nll_loss(log_p, target, weight, ignore_index, reduction) : "
       "reduce_loss(-sum(paired(prediction, target) * log_p, -1), reduction)",
       "-sum of t log(p) over the classes, the last axis, with logs no lower than -100; targets are classes or "
       "probabilities."),
   "-\\sum_k t_k \\log p_k", "categorical", "probabilities", "class or probabilities", "accuracy"},
  {"multiclass_hinge",
   OWN("multiclass_hinge(prediction, target, margin=1, reduction='mean')",
       "own = gather(prediction, -1, unsqueeze(target, -1)); terms = relu(margin - own + prediction); "
       "reduce_loss(mean(where(one_hot(target, prediction.shape[-1]) == 1, 0, terms), -1), reduction)",
       "Over the classes, the last axis: the mean of max(0, margin - x[t] + x[k]), the target's own left out as 0."),
   "\\frac1n \\sum_{k \\ne t} \\max(0, m - x_t + x_k)", NULL, "score", "class", "accuracy"},
  {"perceptron_rule",
   OWN("perceptron_rule(prediction, target, reduction='sum')",
       "reduce_loss(relu(prediction) - paired(prediction, target) * prediction, reduction)",
       "(y - t) x of the score x and the perceptron's answer y, 1 where x > 0, else 0: gradient descent on it is the "
       "perceptron's learning rule."),
   "(y - t)\\,x, \\quad y = [x > 0]", NULL, "score", "0 or 1", "accuracy"},
  {"mse_loss", {0}, "(x - t)^2", "Gaussian of unit variance, twice", "value", "value", "mse"},
  {"l1_loss", {0}, "|x - t|", "Laplace of unit scale", "value", "value", "mae"},
  {"huber_loss", {0}, "\\tfrac12 d^2 \\text{ if } |d| \\le \\delta, \\text{ else } \\delta (|d| - \\tfrac12 \\delta)", NULL,
   "value", "value", "mae"},
  {"smooth_l1_loss", {0}, "\\tfrac1{2\\beta} d^2 \\text{ if } |d| < \\beta, \\text{ else } |d| - \\tfrac12 \\beta", NULL,
   "value", "value", "mae"},
  {"log_cosh_loss", {0}, "\\log\\cosh(x - t)", "hyperbolic secant", "value", "value", "mae"},
  {"binary_cross_entropy", {0}, "-t \\log p - (1 - t) \\log(1 - p)", "Bernoulli", "probability", "0 or 1", "accuracy"},
  {"binary_cross_entropy_with_logits", {0}, "\\log(1 + e^x) - t x", "Bernoulli", "logit", "0 or 1", "accuracy"},
  {"soft_margin_loss", {0}, "\\log(1 + e^{-t x})", "Bernoulli", "score", "-1 or 1", "accuracy"},
  {"cross_entropy", {0}, "\\log\\sum_k e^{x_k} - x_t", "categorical", "logits", "class or probabilities", "accuracy"},
  {"nll_loss", {0}, "-x_t", "categorical", "log-probabilities", "class", "accuracy"},
  {"kl_div", {0}, "t (\\log t - x)", NULL, "log-probabilities", "probabilities", NULL},
  {"hinge_loss", {0}, "\\max(0, 1 - t x)", NULL, "score", "-1 or 1", "accuracy"},
  {"squared_hinge_loss", {0}, "\\max(0, 1 - t x)^2", NULL, "score", "-1 or 1", "accuracy"},
  {"poisson_nll_loss", {0}, "e^x - t x", "Poisson, up to the target's factorial", "logarithm of the rate", "count", NULL},
  {"gaussian_nll_loss", {0}, "\\tfrac12 \\left(\\log v + \\frac{(x - t)^2}{v}\\right)",
   "Gaussian, up to a constant", "value", "value", "mse"},
  {"triplet_margin_loss", {0}, "\\max(0, m + |a - p| - |a - n|)", NULL, "value", "value", NULL},
};
enum { ROWS = sizeof rows / sizeof *rows };

const cr_loss *cr_loss_at(int k) { return k >= 0 && k < ROWS ? &rows[k] : NULL; }

const cr_loss *cr_loss_named(const char *name) {
  for (int k = 0; k < ROWS; k++)
    if (!strcmp(rows[k].name, name)) return &rows[k];
  return NULL;
}

const cr_function *cr_loss_function(const cr_loss *loss) {
  if (loss->function.signature) return &loss->function;
  size_t length = strlen(loss->name);
  for (const cr_function *const *set = cr_standard_ops()->functions; *set; set++)
    for (const cr_function *f = *set; f->signature; f++)
      if (!strncmp(f->signature, loss->name, length) && f->signature[length] == '(') return f;
  return NULL;
}

/* Nothing is done for a tape that has them. */
cr_status cr_define_losses(cr_tape *t) {
  if (cr_function_named(t, rows[0].name) == &rows[0].function) return cr_error(t);
  for (int k = 0; k < ROWS; k++)
    if (rows[k].function.signature) cr_define(t, &rows[k].function);
  return cr_error(t);
}

static int by_class(const cr_loss *loss) { return !strncmp(loss->target, "class", 5); }

cr_var cr_loss_record(cr_var prediction, cr_var target, const char *name, const char *arguments) {
  char text[1024];
  cr_tape *t = prediction.tape;
  const cr_loss *loss = cr_loss_named(name);
  if (cr_is_poison(prediction) || cr_is_poison(target))
    return cr_fail(t, CR_POISONED, "%s: the prediction or the target is the poison node", name);
  if (!loss) return cr_fail(t, CR_UNKNOWN_NAME, "there is no loss '%.80s'; chainrule ops lists the losses", name);
  if (cr_define_losses(t) != CR_OK) return cr_poison(t);
  if (by_class(loss) && classes_last(prediction, target)) flatten(&prediction, &target);
  else if (!by_class(loss) && cr_rank(prediction)) target = cr_formula(t, "paired(x, y)", "x", prediction, "y", target);
  int more = arguments && *arguments;
  if (snprintf(text, sizeof text, "%s(prediction, target%s%s)", name, more ? ", " : "", more ? arguments : "") >=
      (int)sizeof text)
    return cr_fail(t, CR_OVER_LIMIT, "%s: arguments of more than 900 bytes", name);
  return cr_formula(t, text, "prediction", prediction, "target", target);
}
