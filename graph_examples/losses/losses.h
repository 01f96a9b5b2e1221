/* Losses and penalties as recorded expressions. Each is a formula of the expression language over the library's operations,
 * so it can be printed, explained, verified and differentiated; `chainrule train --formula` prints it. */
#ifndef CR_LOSSES_H
#define CR_LOSSES_H

#include <engine.h>
#include <op.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cr_loss {
  const char *name;          /* in the language: squared, cross_entropy, ... */
  cr_function
    function; /* "squared(prediction, target, factor=1, reduction='mean')"; signature NULL: it is the language's own */
  const char *formula;       /* as one writes it on paper, in LaTeX */
  const char *likelihood;    /* of which it is the negative logarithm: "Gaussian of unit variance"; NULL: none */
  const char
    *expects; /* of the prediction: "logits", "logit" (of each number by itself), "probabilities", "probability" (likewise),
                 "log-probabilities", "score", "value" */
  const char *target;        /* "value", "0 or 1", "-1 or 1", "class or probabilities", "count" */
  const char *metric;        /* what to report beside it: "accuracy", "r2", "perplexity" */
} cr_loss;
CR_API const cr_loss *cr_loss_at(int k);                 /* NULL past the end */
CR_API const cr_loss *cr_loss_named(const char *name);
/* Signature, formula and documentation, whoever has them. */
CR_API const cr_function *cr_loss_function(const cr_loss *loss);

/* Makes the losses and penalties known to the tape's language; once for a tape. */
CR_API cr_status cr_define_losses(cr_tape *t);
/* Records one: cr_loss_record(prediction, target, "huber", "delta=2"); arguments may be NULL. A target that is no class must
 * have the prediction's shape. Classes are the last axis of the prediction where the target has the shape before it: (batch,
 * time, classes) against (batch, time). Poison with the tape's error set. */
CR_API cr_var cr_loss_record(cr_var prediction, cr_var target, const char *name, const char *arguments);

/* Penalties over n parameters: l1 sum |w|, l2 sum w^2 (times 1/2 where half is set), elastic net l1 |w| + l2 w^2. */
CR_API cr_var cr_penalty_l1(int n, const cr_var *w);
CR_API cr_var cr_penalty_l2(int n, const cr_var *w, int half);
CR_API cr_var cr_penalty_elastic(int n, const cr_var *w, double l1, double l2);

/* What the last operation makes of numbers: "probability" (sigmoid), "probabilities" (softmax), "log-probabilities", "ramp",
 * "bounded", else "value". */
CR_API const char *cr_prediction_kind(cr_var prediction);
/* What is doubtful about this loss after this last operation, as one sentence ("softmax output with a loss that expects
 * logits:
 * ..."), or NULL. */
CR_API const char *cr_loss_lint(const char *loss, cr_var prediction);

#ifdef __cplusplus
}
#endif
#endif
