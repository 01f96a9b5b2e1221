/* Losses: formulas over the elementwise ops, reduced to their mean or sum on request; those by class in C. */
#include <stdbool.h>
#include <string.h>

#include "fused.h"

/* Text to reduction; -1 after recording what is wrong. batchmean is the sum over the size of the first axis. */
enum { BATCH_MEAN = CR_REDUCE_NONE + 1 };
static int arg_reduction(cr_call *c, int k, bool batchmean) {
  static const char *const names[] = {"mean", "sum", "none", "batchmean"};
  const char *name = cr_arg_text(c, k);
  for (int r = 0; r < (batchmean ? 4 : 3); r++)
    if (!strcmp(name, names[r])) return r;
  cr_fail(cr_call_tape(c), CR_BAD_ARGUMENT, "reduction '%s' is none of 'mean', 'sum', 'none'%s", name,
          batchmean ? ", 'batchmean'" : "");
  return -1;
}

static cr_var reduced(cr_var loss, int reduction) {
  if (cr_is_poison(loss) || reduction == CR_REDUCE_NONE) return loss;
  if (reduction == CR_REDUCE_SUM) return cr_sum_all(loss);
  if (reduction == CR_REDUCE_MEAN) return cr_mean(loss, -1, NULL, 0);
  if (!cr_rank(loss)) return cr_fail(loss.tape, CR_BAD_SHAPE, "reduction 'batchmean' needs a first axis, the batch");
  return cr_div(cr_sum_all(loss), cr_const(loss.tape, (double)cr_dim(loss, 0)));
}

/* With weights the mean is over the sum of weights. */
static void call_reduce_loss(cr_call *c) {
  cr_var loss = cr_arg_var(c, 0);
  int reduction = arg_reduction(c, 1, cr_arg_bool(c, 3));
  if (cr_is_poison(loss) || reduction < 0) return;
  if (!cr_arg_given(c, 2)) {
    cr_return(c, reduced(loss, reduction));
    return;
  }
  cr_var weighted[2] = {loss, cr_arg_var(c, 2)};
  if (cr__prepare_elementwise(loss.tape, 2, weighted, 'f') != CR_OK) return;
  loss = cr_mul(weighted[0], weighted[1]);
  if (reduction == CR_REDUCE_MEAN) cr_return(c, cr_div(cr_sum_all(loss), cr_sum_all(weighted[1])));
  else cr_return(c, reduced(loss, reduction));
}

/* The target in the input's dtype. What would broadcast is refused: (n, 1) against (n) would be (n, n). */
static void call_paired(cr_call *c) {
  char have[200], need[200];
  cr_var x = cr_arg_var(c, 0), target = cr_arg_var(c, 1);
  if (cr_is_poison(x) || cr_is_poison(target)) return;
  cr_array a = cr_view(x), b = cr_view(target);
  bool same = a.rank == b.rank || !b.rank;
  for (int i = 0; same && i < b.rank; i++) same = a.dim[i] == b.dim[i];
  if (same && a.dtype >= CR_FLOAT32 && a.dtype != b.dtype && b.rank) target = cr_cast(target, (cr_dtype)a.dtype);
  if (same) cr_return(c, target);
  else cr_fail(x.tape, CR_BAD_SHAPE, "the prediction has shape %s, but the target %s; reshape one of them",
               cr_shape_text(&a, need, sizeof need), cr_shape_text(&b, have, sizeof have));
}

/* Losses by class */

static int class_axis(cr_var x) { return cr_rank(x) > 1 ? 1 : 0; }

/* Class numbers must fit the shape of x without its class axis, and the classes; false after recording what is wrong. */
static bool targets_fit(cr_var x, cr_var target, int64_t ignore, const char *name) {
  cr_array a = cr_view(x), t = cr_view(target);
  int axis = class_axis(x), fits = a.rank > 0 && t.rank == a.rank - 1;
  for (int i = 0; fits && i < t.rank; i++) fits = t.dim[i] == a.dim[i < axis ? i : i + 1];
  if (!fits) {
    char have[200], from[200];
    cr_fail(x.tape, CR_BAD_SHAPE, "%s: targets of shape %s for scores of shape %s, whose classes are axis %d", name,
            cr_shape_text(&t, have, sizeof have), cr_shape_text(&a, from, sizeof from), axis);
    return false;
  }
  if (!t.data) return true; /* the kernels look again */
  for (int64_t k = 0; k < t.count; k++) {
    int64_t class = cr_array_get_int(&t, k);
    if (class == ignore || (class >= 0 && class < a.dim[axis])) continue;
    cr_fail(x.tape, CR_BAD_INDEX, "%s: target %lld at position %lld, there are %lld classes", name, (long long)class,
            (long long)k, (long long)a.dim[axis]);
    return false;
  }
  return true;
}

/* A weight per class, along x's class axis. */
static cr_var along_classes(cr_var weight, cr_var x) {
  int64_t dims[CR_MAX_RANK];
  int rank = cr_rank(x), axis = class_axis(x);
  for (int i = 0; i < rank; i++) dims[i] = i == axis ? cr_dim(x, axis) : 1;
  return cr_reshape(weight, rank, dims);
}

/* fused: log_p are logits yet, rows of them. */
static cr_var class_loss(cr_var log_p, cr_var target, cr_var weight, int64_t ignore, double smoothing, int reduction,
                         const char *name, bool fused) {
  cr_tape *t = log_p.tape;
  if (cr_is_poison(log_p) || cr_is_poison(target) || !targets_fit(log_p, target, ignore, name)) return cr_poison(t);
  int axis = class_axis(log_p);
  cr_var zero = cr_const(t, 0), keep = cr_ne(target, cr_const(t, (double)ignore)), class = cr_where(keep, target, zero);
  cr_var loss = fused ? cr__class_entropy(log_p, class)
                      : cr_neg(cr_squeeze(cr_gather(log_p, axis, cr_unsqueeze(class, axis)), 1, &axis));
  cr_var count = cr_cast(keep, cr_dtype_of(log_p));
  if (!cr_absent(weight)) {
    cr_var own = cr_index_select(weight, 0, class);
    loss = cr_mul(own, loss);
    count = cr_where(keep, own, zero);
  }
  if (smoothing != 0) {
    cr_var all = cr_absent(weight) ? log_p : cr_mul(along_classes(weight, log_p), log_p);
    cr_var smooth = cr_mul(cr_sum(all, 1, &axis, 0), cr_const(t, -smoothing / (double)cr_dim(log_p, axis)));
    loss = cr_add(cr_mul(cr_const(t, 1 - smoothing), loss), smooth);
  }
  loss = cr_where(keep, loss, zero);
  return reduction == CR_REDUCE_MEAN ? cr_div(cr_sum_all(loss), cr_sum_all(count)) : reduced(loss, reduction);
}

static cr_var probability_loss(cr_var log_p, cr_var target, cr_var weight, double smoothing, int reduction) {
  int axis = class_axis(log_p);
  cr_tape *t = log_p.tape;
  if (cr_is_poison(log_p) || cr_is_poison(target)) return cr_poison(t);
  if (!cr_rank(log_p) || cr_count(log_p) != cr_count(target) || cr_rank(log_p) != cr_rank(target))
    return cr_fail(t, CR_BAD_SHAPE, "cross_entropy: probabilities as targets must have the shape of the logits");
  if (smoothing != 0)
    target = cr_add(cr_mul(target, cr_const(t, 1 - smoothing)), cr_const(t, smoothing / (double)cr_dim(log_p, axis)));
  cr_var terms = cr_guarded_mul(target, log_p); /* 0 log 0 is 0 */
  if (!cr_absent(weight)) terms = cr_mul(along_classes(weight, log_p), terms);
  return reduced(cr_neg(cr_sum(terms, 1, &axis, 0)), reduction);
}

cr_var cr_nll_loss(cr_var log_probability, cr_var target, cr_var weight, int64_t ignore, cr_reduction reduction) {
  return class_loss(log_probability, target, weight, ignore, 0, (int)reduction, "nll_loss", false);
}

cr_var cr_cross_entropy(cr_var logits, cr_var target, cr_var weight, int64_t ignore, double label_smoothing,
                        cr_reduction reduction) {
  cr_array a = cr_view(logits);
  bool classes = cr_is_poison(target) || cr_dtype_of(target) < CR_FLOAT32;
  bool fused = classes && a.rank == 2 && a.dtype >= CR_FLOAT32 && a.dim[1] > 0 && label_smoothing == 0;
  cr_var log_p = fused ? logits : cr_log_softmax(logits, class_axis(logits));
  if (classes)
    return class_loss(log_p, target, weight, ignore, label_smoothing, (int)reduction, "cross_entropy", fused);
  return probability_loss(log_p, target, weight, label_smoothing, (int)reduction);
}

static cr_var arg_weight(cr_call *c, int k) { return cr_arg_given(c, k) ? cr_arg_var(c, k) : cr_poison(cr_call_tape(c)); }

/* Sequences: are the targets of the shape before the last axis of x, and of no other? Then each becomes a row of its own. */
static bool rows_of_classes(cr_var *x, cr_var *target) {
  if (cr_is_poison(*x) || cr_is_poison(*target) || cr_dtype_of(*target) >= CR_FLOAT32) return false;
  cr_array a = cr_view(*x), t = cr_view(*target);
  bool last = a.rank > 2 && t.rank == a.rank - 1, second = last;
  for (int i = 0; last && i < t.rank; i++) {
    second = second && t.dim[i] == a.dim[i < 1 ? i : i + 1];
    last = t.dim[i] == a.dim[i];
  }
  if (!last || second) return false;
  *x = cr_reshape(*x, 2, (int64_t[]){t.count, a.dim[a.rank - 1]});
  *target = cr_reshape(*target, 1, &t.count);
  return true;
}

/* shape: of the targets before they became rows, else of rank 0. */
static void return_loss(cr_call *c, cr_var loss, const cr_array *shape, int reduction) {
  cr_return(c, shape->rank && reduction == CR_REDUCE_NONE ? cr_reshape(loss, shape->rank, shape->dim) : loss);
}

static void call_nll_loss(cr_call *c) {
  int reduction = arg_reduction(c, 4, false);
  cr_var x = cr_arg_var(c, 0), target = cr_arg_index(c, 1), weight = arg_weight(c, 2);
  if (reduction < 0 || cr_is_poison(target)) return;
  cr_array shape = cr_view(target);
  if (!rows_of_classes(&x, &target)) shape.rank = 0;
  return_loss(c, cr_nll_loss(x, target, weight, cr_arg_int(c, 3), (cr_reduction)reduction), &shape, reduction);
}
static void call_cross_entropy(cr_call *c) {
  int reduction = arg_reduction(c, 4, false);
  cr_var x = cr_arg_var(c, 0), weight = arg_weight(c, 2);
  cr_var target = cr_arg_var(c, 1);
  if (cr_rank(target) < cr_rank(x)) target = cr_arg_index(c, 1); /* a list of classes, written out */
  if (reduction < 0 || cr_is_poison(target)) return;
  cr_array shape = cr_view(target);
  if (!rows_of_classes(&x, &target)) shape.rank = 0;
  cr_var loss = cr_cross_entropy(x, target, weight, cr_arg_int(c, 3), cr_arg_number(c, 5), (cr_reduction)reduction);
  return_loss(c, loss, &shape, reduction);
}

/* gaussian_nll_loss: a variance for each prediction, or one for each row of the last axis */
static void call_gaussian_nll_loss(cr_call *c) {
  cr_var x = cr_arg_var(c, 0), target = cr_arg_var(c, 1), var = cr_arg_var(c, 2);
  cr_tape *t = cr_call_tape(c);
  int reduction = arg_reduction(c, 5, false);
  if (cr_is_poison(x) || cr_is_poison(var) || reduction < 0) return;
  if (cr_rank(var) && cr_rank(var) == cr_rank(x) - 1) var = cr_unsqueeze(var, -1);
  var = cr_clamp(var, cr_const(t, cr_arg_number(c, 4)), cr_poison(t));
  cr_var loss = cr_add(cr_log(var), cr_div(cr_square(cr_sub(x, target)), var));
  if (cr_arg_bool(c, 3)) loss = cr_add(loss, cr_const(t, 1.8378770664093453)); /* log(2 pi) */
  cr_return(c, reduced(cr_mul(cr_const(t, 0.5), loss), reduction));
}

/* Vectors are brought to length 1 before they are multiplied, so that large ones do not overflow. */
static void call_cosine_similarity(cr_call *c) {
  cr_var x[2] = {cr_arg_var(c, 0), cr_arg_var(c, 1)};
  cr_tape *t = cr_call_tape(c);
  if (cr_is_poison(x[0]) || cr_is_poison(x[1]) || cr__prepare_elementwise(t, 2, x, 'f') != CR_OK) return;
  int axis = cr__axis_of(x[0], "cosine_similarity", cr_arg_int(c, 2));
  if (axis < 0) return;
  for (int k = 0; k < 2; k++) {
    cr_var length = cr_vector_norm(x[k], 2, 1, &axis, 1);
    x[k] = cr_div(x[k], cr_clamp(length, cr_const(t, cr_arg_number(c, 3)), cr_poison(t)));
  }
  cr_return(c, cr_sum(cr_mul(x[0], x[1]), 1, &axis, 0));
}

#define LOSS .family = "loss"

const cr_function cr__loss_functions[] = {
  {.ops = cr__crossentropy_ops, .signature = "paired(input, target)", .call = call_paired, LOSS,
   .doc = "The target of a loss in the dtype of input: a number, or of the shape of input even where others broadcast.",
   .derivative = "1", .samples = "x:(2,3) * paired(x, y:(2,3))"},
  {.signature = "reduce_loss(loss, reduction='mean', weight=None, batchmean=False)", .call = call_reduce_loss, LOSS,
   .doc = "The mean, sum or, with 'none', all of the losses; with weights the mean is over the sum of weights.",
   .samples = "reduce_loss(x:(2,3)); reduce_loss(x:(3), 'mean', w:(3)>0)"},
  {.signature = "mse_loss(input, target, reduction='mean', weight=None)",
   .formula = "reduce_loss(square(input - paired(input, target)), reduction, weight)", LOSS,
   .doc = "Squared error.", .samples = "mse_loss(x:(3), y:(3)); mse_loss(x:(2,3), y:(2,3), weight=w:(3)>0); "
                                       "mse_loss(x:(3), y:(3), reduction='sum')"},
  {.signature = "l1_loss(input, target, reduction='mean', weight=None)",
   .formula = "reduce_loss(abs(input - paired(input, target)), reduction, weight)", LOSS,
   .doc = "Absolute error.", .kinks = "0 at 0", .samples = "l1_loss(x:(3), y:(3)); l1_loss(x:(3), y:(3), reduction='none')"},
  {.signature = "huber_loss(input, target, reduction='mean', delta=1.0, weight=None)", LOSS,
   .formula = "d = input - paired(input, target); "
              "reduce_loss(where(abs(d) <= delta, 0.5 * d * d, delta * (abs(d) - 0.5 * delta)), reduction, weight)",
   .doc = "Half the squared error up to delta, linear beyond.", .samples = "huber_loss(x:(4), y:(4), delta=0.8)"},
  {.signature = "smooth_l1_loss(input, target, reduction='mean', beta=1.0)", LOSS,
   .formula = "d = input - paired(input, target); "
              "reduce_loss(beta == 0 ? abs(d) : where(abs(d) < beta, 0.5 * d * d / beta, abs(d) - 0.5 * beta), reduction)",
   .doc = "huber_loss over delta: slope 1 beyond beta.", .samples = "smooth_l1_loss(x:(4), y:(4), beta=0.8)"},
  {.signature = "binary_cross_entropy(input, target, weight=None, reduction='mean')", LOSS,
   .formula = "loss = cross_entropy_of_probability(input, paired(input, target)); "
              "reduce_loss(weight == None ? loss : weight * loss, reduction)",
   .doc = "-t log(p) - (1 - t) log(1 - p) of probabilities p, with logs no lower than -100.", .domain = "0 <= input <= 1",
   .kinks = "the denominator p (1 - p) of the derivative is no less than 1e-12",
   .samples = "binary_cross_entropy(p:(3)[0.1,0.9], t:(3)[0.1,0.9]); binary_cross_entropy(p:(3)[0.1,0.9], t:(3)[0.1,0.9], "
              "w:(3)>0)"},
  {.signature = "binary_cross_entropy_with_logits(input, target, weight=None, reduction='mean', pos_weight=None)", LOSS,
   .formula = "t = paired(input, target); loss = pos_weight == None ? cross_entropy_of_logit(input, t) : "
              "pos_weight * t * log1pexp(-input) + (1 - t) * log1pexp(input); "
              "reduce_loss(weight == None ? loss : weight * loss, reduction)",
   .doc = "binary_cross_entropy of sigmoid(input), exact in both tails.",
   .samples = "binary_cross_entropy_with_logits(x:(3), t:(3)[0.1,0.9]); "
              "binary_cross_entropy_with_logits(x:(2,3), t:(2,3)[0.1,0.9], pos_weight=w:(3)>0)"},
  {.signature = "nll_loss(input, target, weight=None, ignore_index=-100, reduction='mean')", .call = call_nll_loss, LOSS,
   .doc = "-input at the class of each row; classes are axis 1, or 0 of a vector, or the last where only that fits the "
          "targets. The mean is over the weights of the targets.",
   .derivative = "-weight at the targets",
   .samples = "nll_loss(x:(4,3), t:(4)<3); nll_loss(x:(2,3,2), t:(2,2)<3, weight=w:(3)>0, reduction='sum')"},
  {.signature = "cross_entropy(input, target, weight=None, ignore_index=-100, reduction='mean', label_smoothing=0.0)", LOSS,
   .call = call_cross_entropy, .doc = "nll_loss of log_softmax(input); targets are classes, or probabilities in the shape "
                                      "of input.",
   .derivative = "softmax(x) - target",
   .samples = "cross_entropy(x:(4,3), t:(4)<3); cross_entropy(x:(4,3), t:(4)<3, weight=w:(3)>0, label_smoothing=0.1); "
              "cross_entropy(x:(2,3), q:(2,3)[0.1,0.9], reduction='none'); cross_entropy(x:(2,4,3), t:(2,4)<3)"},
  {.signature = "hinge_loss(input, target, reduction='mean')", LOSS,
   .formula = "reduce_loss(relu(1 - paired(input, target) * input), reduction)",
   .doc = "max(0, 1 - t x) for targets of 1 and -1.", .kinks = "0 at the margin", .samples = "hinge_loss(x:(4), t:(4))"},
  {.signature = "squared_hinge_loss(input, target, reduction='mean')",
   .formula = "reduce_loss(square(relu(1 - paired(input, target) * input)), reduction)", LOSS,
   .doc = "max(0, 1 - t x)^2 for targets of 1 and -1.", .samples = "squared_hinge_loss(x:(4), t:(4))"},
  {.signature = "kl_div(input, target, reduction='mean', log_target=False)", LOSS,
   .formula = "loss = log_target ? exp(target) * (target - input) : xlogy(target, target) - target * input; "
              "reduce_loss(loss, reduction, batchmean=True)",
   .doc = "t (log(t) - input) of log-probabilities input; reduction may also be 'batchmean'.", .domain = "target > 0",
   .samples = "kl_div(x:(2,3), t:(2,3)>0, reduction='batchmean'); kl_div(x:(3), t:(3), log_target=True)"},
  {.signature = "soft_margin_loss(input, target, reduction='mean')",
   .formula = "reduce_loss(log1pexp(-paired(input, target) * input), reduction)", LOSS,
   .doc = "log(1 + exp(-t x)).", .samples = "soft_margin_loss(x:(4), t:(4))"},
  {.signature = "log_cosh_loss(input, target, reduction='mean')",
   .formula = "reduce_loss(log_cosh(input - paired(input, target)), reduction)", LOSS,
   .doc = "log(cosh(x - t)).", .samples = "log_cosh_loss(x:(4), t:(4))"},
  {.signature = "gaussian_nll_loss(input, target, var, full=False, eps=1e-6, reduction='mean')",
   .call = call_gaussian_nll_loss, LOSS,
   .doc = "(log(var) + (x - t)^2 / var) / 2, with log(2 pi) / 2 if full; var is at least eps.", .domain = "var > 0",
   .samples = "gaussian_nll_loss(x:(3), t:(3), v:(3)>0); gaussian_nll_loss(x:(2,3), t:(2,3), v:(2)>0, full=True)"},
  {.signature = "poisson_nll_loss(input, target, log_input=True, full=False, eps=1e-8, reduction='mean')", LOSS,
   .formula = "loss = log_input ? exp(input) - target * input : input - target * log(input + eps); "
              "stirling = full ? where(target > 1, xlogy(target, target) - target + 0.5 * log(6.283185307179586 * "
              "target), 0) : 0; "
              "reduce_loss(full ? loss + stirling : loss, reduction)",
   .doc = "exp(x) - t x, or x - t log(x); full adds Stirling's log(t!) where t > 1.",
   .samples = "poisson_nll_loss(x:(3), t:(3)>0); poisson_nll_loss(x:(3)>0, t:(3)>0, log_input=False, full=True)"},
  {.signature = "margin_ranking_loss(input1, input2, target, margin=0.0, reduction='mean')", LOSS,
   .formula = "reduce_loss(relu(margin - target * (input1 - input2)), reduction)", .doc = "max(0, margin - t (x1 - x2)).",
   .kinks = "0 at the margin", .samples = "margin_ranking_loss(x:(4), y:(4), t:(4), margin=0.5)"},
  {.signature = "triplet_margin_loss(anchor, positive, negative, margin=1.0, p=2.0, eps=1e-6, swap=False, reduction='mean')",
   LOSS,
   .formula = "near = vector_norm(anchor - positive + eps, p, -1); far = vector_norm(anchor - negative + eps, p, -1); "
              "least = swap ? minimum(far, vector_norm(positive - negative + eps, p, -1)) : far; "
              "reduce_loss(relu(margin + near - least), reduction)",
   .doc = "max(0, margin + |anchor - positive| - |anchor - negative|) over the last axis.", .kinks = "0 at the margin",
   .samples = "triplet_margin_loss(a:(2,3), p:(2,3), n:(2,3), margin=3.0); triplet_margin_loss(a:(2,3), p:(2,3), n:(2,3), "
              "margin=3.0, p=3, swap=True)"},
  {.signature = "cosine_similarity(x1, x2, dim=1, eps=1e-8)", .call = call_cosine_similarity, LOSS,
   .doc = "The dot product along an axis over the lengths, each at least eps.",
   .samples = "cosine_similarity(x:(2,3), y:(2,3)); cosine_similarity(x:(3), y:(2,3), -1)"},
  {.signature = NULL}};
