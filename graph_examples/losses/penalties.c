/* Penalties on parameters, and what is doubtful about a loss. */
#include <ops.h>
#include <string.h>

#include "losses.h"

/* The sum over parameters of f of each; poison without any. */
static cr_var total(int n, const cr_var *w, cr_var (*f)(cr_var)) {
  cr_var sum = {0};
  for (int k = 0; k < n; k++) {
    cr_var one = cr_sum_all(f(w[k]));
    sum = k ? cr_add(sum, one) : one;
  }
  return sum;
}

cr_var cr_penalty_l1(int n, const cr_var *w) { return total(n, w, cr_abs); }

cr_var cr_penalty_l2(int n, const cr_var *w, int half) {
  cr_var sum = total(n, w, cr_square);
  return half && n > 0 ? cr_mul(sum, cr_const(sum.tape, 0.5)) : sum;
}

cr_var cr_penalty_elastic(int n, const cr_var *w, double l1, double l2) {
  if (n < 1) return (cr_var){0};
  cr_tape *t = w[0].tape;
  return cr_add(cr_mul(cr_const(t, l1), cr_penalty_l1(n, w)), cr_mul(cr_const(t, l2), cr_penalty_l2(n, w, 0)));
}

/* Which kind of numbers an operation gives, in the words of cr_loss. */
static const char *gives(const char *op) {
  static const char *const known[][2] = {
    {"softmax", "probabilities"}, {"safe_softmax", "probabilities"},   {"log_softmax", "log-probabilities"},
    {"sigmoid", "probability"},   {"logsigmoid", "log-probabilities"}, {"relu", "ramp"},
    {"tanh", "bounded"},
  };
  for (size_t k = 0; k < sizeof known / sizeof *known; k++)
    if (!strcmp(known[k][0], op)) return known[k][1];
  return "value";
}

/* What made a node, looking through changes of shape. */
static const char *maker(cr_var v) {
  static const char *const moves[] = {"reshape", "permute", "slice", "copy", "broadcast_to", "cast"};
  for (const cr_op *op; (op = cr_op_of(v)) != NULL; v = cr_operand(v, 0)) {
    int move = 0;
    for (size_t k = 0; k < sizeof moves / sizeof *moves; k++) move |= !strcmp(moves[k], op->name);
    if (!move) return op->name;
  }
  return "input";
}

const char *cr_prediction_kind(cr_var prediction) { return cr_is_poison(prediction) ? "value" : gives(maker(prediction)); }

typedef struct doubt {
  const char *expects, *given, *text;
} doubt;

static const doubt doubts[] = {
  {"logits", "probabilities",
   "softmax output with a loss that expects logits: the softmax is taken twice, and learning is slow; leave the last "
   "softmax out"},
  {"logits", "probability",
   "sigmoid output with a loss that expects logits: the sigmoid is taken twice, and learning is slow; leave the last "
   "sigmoid out"},
  {"logits", "log-probabilities",
   "log-probabilities with a loss that expects logits: the logarithm of softmax is taken twice; leave it out, or use "
   "nll_loss"},
  {"logits", "ramp", "relu output with a loss that expects logits: no logit can be negative; leave the last relu out"},
  {"probability", "value",
   "a loss that expects probabilities, but the output is no sigmoid: it may leave [0, 1]; use "
   "binary_cross_entropy_with_logits"},
  {"probability", "ramp",
   "a loss that expects probabilities, but the output is a relu: it may exceed 1; use binary_cross_entropy_with_logits"},
  {"probability", "bounded",
   "a loss that expects probabilities, but the output is a tanh: it may be negative; use binary_cross_entropy_with_logits"},
  {"probabilities", "value",
   "a loss that expects probabilities, but the output is no softmax: its numbers need not add up to 1; use cross_entropy"},
  {"probabilities", "ramp",
   "a loss that expects probabilities, but the output is a relu: its numbers need not add up to 1; use cross_entropy"},
  {"probabilities", "bounded",
   "a loss that expects probabilities, but the output is a tanh: its numbers may be negative; use cross_entropy"},
  {"log-probabilities", "value",
   "a loss that expects log-probabilities, but the output is no log_softmax: use cross_entropy"},
  {"log-probabilities", "probabilities",
   "softmax output with a loss that expects its logarithm: use log_softmax, or cross_entropy without it"},
  {"log-probabilities", "probability",
   "sigmoid output with a loss that expects log-probabilities: use binary_cross_entropy"},
  {"value", "probabilities",
   "softmax output with a loss for values: its slope vanishes where the answer is confident and wrong; use cross_entropy "
   "without the softmax"},
  {"value", "probability",
   "sigmoid output with a loss for values: its slope vanishes where the answer is confident and wrong; use "
   "binary_cross_entropy_with_logits without the sigmoid"},
  {"value", "ramp",
   "relu output with a loss for values: units that are 0 for an example get no gradient from it; leave the last relu out"},
  {"score", "probabilities", "softmax output with a loss that expects scores: leave the softmax out"},
  {"score", "probability", "sigmoid output with a loss that expects scores: leave the sigmoid out"},
};

const char *cr_loss_lint(const char *name, cr_var prediction) {
  const cr_loss *loss = cr_loss_named(name);
  if (!loss || cr_is_poison(prediction)) return NULL;
  if (!strncmp(name, "cross_entropy", 13) && cr_rank(prediction) == 3 && cr_dim(prediction, 1) == cr_dim(prediction, 2) &&
      cr_dim(prediction, 1) > 1)
    return "as many time steps as classes: cross_entropy in the language takes axis 1 for the classes; choose another "
           "length of sequences";
  if (!strncmp(loss->target, "class", 5) && cr_rank(prediction) && cr_dim(prediction, -1) == 1)
    return "one column of predictions with a loss that compares classes: it is 0 whatever the column says; give each class "
           "a column, or use binary_cross_entropy_with_logits";
  const char *given = cr_prediction_kind(prediction);
  size_t n = strlen(loss->expects); /* what is said of logits is said of a logit */
  for (size_t k = 0; k < sizeof doubts / sizeof *doubts; k++)
    if (!strncmp(doubts[k].expects, loss->expects, n) && !strcmp(doubts[k].given, given)) return doubts[k].text;
  return NULL;
}
