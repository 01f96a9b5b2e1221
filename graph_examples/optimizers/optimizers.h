/* Optimizers. An update rule is a program of the expression language over w, g, the state, the step t and the
 * hyperparameters; it is recorded once and replayed over blocks of the parameters, so that what --formula prints is what
 * ran. Methods that look at all parameters at once (line searches, least squares) are functions over the same model. */
#ifndef CR_OPTIMIZERS_H
#define CR_OPTIMIZERS_H

#include "../networks/networks.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cr_descent cr_descent; /* descent.h: the model as one vector, for methods over all parameters */

/* A row of the table of methods. In an update, w is a parameter and g its gradient; t counts the steps from 1; lr is the
 * rate of this step, loss its loss and previous_loss that of the step before; a list betas=[0.9, 0.999] is known as beta1
 * and beta2. What depends on numbers alone is computed once a step, in float64; the rest element by element, in the model's
 * dtype. */
typedef struct cr_method {
  const char *signature; /* "adam(lr=0.001, betas=[0.9, 0.999], eps=1e-8, weight_decay=0, bias_correction=True)" */
  const char *aliases;   /* "sgd, gd", or NULL */
  const char *state;     /* "m = 0; v = 0": what is kept, with start values; a number where the update assigns numbers */
  const char *update;    /* "m = beta1*m + (1 - beta1)*g; ...; w = w - lr*..."; NULL: a method over all parameters */
  const char *formula;   /* as text for those; NULL: update itself */
  const char *doc, *source;
  int needs;                        /* of the objective: 0 nothing, 1 a scalar, 2 residuals */
  cr_status (*step)(cr_descent *d); /* of methods over all parameters */
} cr_method;
CR_API const cr_method *cr_method_at(int k);               /* NULL past the end */
CR_API const cr_method *cr_method_named(const char *name); /* or alias; NULL: none */

typedef struct cr_optimizer cr_optimizer;
/* "adam(lr=0.01)"; names as in cr_arguments_read. */
CR_API cr_optimizer *cr_optimizer_new(const char *call, cr_program *names, cr_problem *p);
CR_API void cr_optimizer_free(cr_optimizer *o);
/* The update, one assignment a line, with the hyperparameters' values below. */
CR_API const char *cr_optimizer_formula(const cr_optimizer *o);
/* Of doubtful settings, or NULL: RMSProp's decay 0.999 and its first step. */
CR_API const char *cr_optimizer_warning(const cr_optimizer *o);

/* The learning rate that the next step uses; schedules set it. */
CR_API double cr_optimizer_rate(const cr_optimizer *o);
CR_API void cr_optimizer_set_rate(cr_optimizer *o, double lr);
CR_API double cr_optimizer_base_rate(const cr_optimizer *o);

/* Records the objective again at the parameters' present values, after cr_model_begin: a scalar loss; for
 * Levenberg-Marquardt the residuals r, the loss being half their squares. */
typedef cr_var (*cr_objective)(cr_model *m, void *user);

typedef struct cr_step {
  double loss;               /* where the step starts; set it before a step by an update rule, for irprop_plus to see */
  double gradient_norm, step_norm;
  int evaluations;           /* of the objective within this step */
  double damping, condition; /* Levenberg-Marquardt: lambda, and the condition number of J^T J + lambda I; NaN else */
  int stuck;                 /* no further decrease along any direction tried */
} cr_step;
/* One step from the gradients that cr_model_backward left. f may be NULL for methods with an update rule, which need no
 * further evaluation; the others call it. report may be NULL. Parameters on which the loss does not depend stay as they are.
 * A gradient that is not finite is refused with CR_NOT_FINITE, naming the parameter, and nothing is changed. */
CR_API cr_status cr_optimizer_step(cr_optimizer *o, cr_model *m, cr_objective f, void *user, cr_step *report, cr_problem *p);
CR_API int cr_optimizer_needs_objective(const cr_optimizer *o); /* 1: a scalar, 2: residuals */
/* begin, f, backward and step, once: the whole of a step for those who have no training loop. */
CR_API cr_status cr_minimize(cr_optimizer *o, cr_model *m, cr_objective f, void *user, cr_step *report, cr_problem *p);

/* A step without recording: forward pass, loss, gradients, clipping and update as one function, made of the pass just
 * recorded, for batches of the shapes of its leaves in[0..n). It has the bits of cr_model_backward, clipping (0: none) and
 * cr_optimizer_step, and takes the rate from the optimizer, the step from the model. NULL where the method is no update
 * rule, or asks for the loss (irprop_plus), or the tape has an error: *p says why. The pass may be recorded without being
 * computed (CR_LAZY). */
typedef struct cr_captured cr_captured;
CR_API cr_captured *cr_captured_new(cr_optimizer *o, cr_model *m, cr_var loss, int n, const cr_var *in, double clip_norm,
                                    double clip_value, cr_problem *p);
CR_API void cr_captured_free(cr_captured *c); /* before the optimizer */
/* report may be NULL; its step_norm is NaN, its gradient_norm that before clipping. Unless it is CR_OK nothing is changed,
 * not the step either: CR_NOT_FINITE, CR_STALE where trainable parameters are others now, CR_BAD_SHAPE, CR_BAD_INDEX. */
CR_API cr_status cr_captured_step(cr_captured *c, const cr_array *in, cr_step *report, cr_problem *p);
/* The norm of the gradient of parameter k in the latest step, after clipping; 0 where the loss does not depend on it. */
CR_API double cr_captured_norm(const cr_captured *c, int k);
CR_API cr_fn_stats cr_captured_stats(const cr_captured *c);
/* Gives back the memory that steps work in, until the next one. */
CR_API void cr_captured_rest(cr_captured *c);
/* cr_fn_compile of it, before the first step. */
CR_API cr_status cr_captured_compile(cr_captured *c, const cr_jit_options *options, char *note, size_t size);

/* State, with the model in a checkpoint: entries "optimizer/NAME/m" and "optimizer/t", and the note "optimizer" with the
 * method's name. */
CR_API cr_status cr_optimizer_save(const cr_optimizer *o, const cr_model *m, cr_archive *into, cr_problem *p);
CR_API cr_status cr_optimizer_load(cr_optimizer *o, const cr_model *m, const cr_archive *from, cr_problem *p);

/* Gradients, before a step: both return the norm over all parameters before clipping. */
CR_API double cr_clip_norm(cr_model *m, double largest);  /* all times min(1, largest / (norm + 1e-6)), as PyTorch does */
CR_API double cr_clip_value(cr_model *m, double largest); /* each number into [-largest, largest] */
CR_API double cr_gradient_norm(const cr_model *m, int k); /* of parameter k; k < 0: of all */

/* Schedules: the learning rate at step t of total, as a factor of the base rate. t counts from 1, in steps or epochs as the
 * caller likes. A formula over t and total: "cosine(floor=0.1)", "step(size=30, gamma=0.1)", "exponential(gamma=0.99)",
 * "warmup(steps=100, then='cosine')", "one_cycle()", "constant()", "plateau(factor=0.1, patience=10)". */
typedef struct cr_schedule cr_schedule;
CR_API cr_schedule *cr_schedule_new(const char *call, cr_program *names, cr_problem *p);
CR_API void cr_schedule_free(cr_schedule *s);
CR_API double cr_schedule_factor(cr_schedule *s, int64_t t, int64_t total);
CR_API void cr_schedule_observe(cr_schedule *s, double validation_loss); /* once an epoch: plateau */
CR_API const char *cr_schedule_formula(const cr_schedule *s);
CR_API const cr_source *cr_schedule_at(int k); /* signature and doc; NULL past the end */
CR_API cr_status cr_schedule_save(const cr_schedule *s, cr_archive *into, cr_problem *p);
CR_API cr_status cr_schedule_load(cr_schedule *s, const cr_archive *from, cr_problem *p);

#ifdef __cplusplus
}
#endif
#endif
