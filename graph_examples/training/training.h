/* Training: the loop of the lecture notes as six hooks (initialise, feed, forward, loss, update, validate), each
 * replaceable, and what goes around it: batches, stopping, metrics, augmentation, logs, checkpoints. */
#ifndef CR_TRAINING_H
#define CR_TRAINING_H

#include <signal.h>

#include "../losses/losses.h"
#include "../optimizers/optimizers.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cr_training cr_training;

/* One mini-batch on the model's tape. */
typedef struct cr_batch {
  cr_var x, y;             /* leaves; y is poison where the data have no target */
  int64_t n;
  const int64_t *which;    /* numbers of the examples */
} cr_batch;

/* The six hooks. One that is NULL does what cr_train does by itself; a hook may call the default (cr_default_...). */
typedef struct cr_hooks {
  cr_status (*initialise)(cr_training *k);                       /* a first pass that makes the parameters, once */
  /* The batch as tensors, after cr_model_begin; cr_model_is_training says whether it is to be augmented. */
  cr_status (*feed)(cr_training *k, const cr_dataset *d, int64_t n, const int64_t *which, cr_batch *batch);
  cr_var (*forward)(cr_training *k, const cr_batch *batch);      /* the prediction; there is no default */
  /* A scalar; for Levenberg-Marquardt the residuals, whose loss is half the sum of their squares. There is no default. */
  cr_var (*loss)(cr_training *k, cr_var prediction, const cr_batch *batch);
  cr_status (*update)(cr_training *k, cr_var loss);              /* backward, clip, schedule, step, commit */
  cr_status (*validate)(cr_training *k, const cr_dataset *d, double *loss); /* mean loss in evaluation mode, and k->metric */
} cr_hooks;

typedef enum cr_reason { /* why training ended */
  CR_ENDED_EPOCHS, CR_ENDED_SECONDS, CR_ENDED_TARGET_LOSS, CR_ENDED_GRADIENT, CR_ENDED_PATIENCE, CR_ENDED_INTERRUPTED,
  CR_ENDED_STUCK, CR_ENDED_NOT_FINITE
} cr_reason;
CR_API const char *cr_reason_text(cr_reason r); /* "epochs", "seconds", "target loss", "gradient", "patience", ... */

enum { CR_MAX_METRICS = 8 };
/* What is known after an epoch. */
typedef struct cr_epoch {
  int64_t epoch, steps;    /* from 1; steps since the start */
  double seconds, rate;    /* since the start, over all resumptions; learning rate of the last step */
  double train_loss, validation_loss; /* NaN without a validation set */
  double gradient_norm;    /* mean over the epoch's steps */
  double metric[CR_MAX_METRICS];      /* on the validation set, else on the training set */
} cr_epoch;

struct cr_training {
  /* What: set by the caller, who keeps ownership. Zero is the default of all that follows. */
  cr_model *model;
  cr_optimizer *optimizer;
  cr_schedule *schedule;         /* NULL: constant */
  const cr_dataset *train, *validation;
  cr_hooks hook;
  void *user;

  /* How */
  int64_t batch;                 /* examples in a step; 0: 32; INT64_MAX: all */
  int in_order, drop_last;       /* no shuffle; leave out a last batch that is not full */
  uint64_t seed;                 /* of the shuffle and augmentation; the model has its own */
  double clip_norm, clip_value;  /* 0: none */
  const char *augment;           /* calls: "noise(0.1), shift(1), flip(), mixup(0.2)"; NULL: none */
  cr_program *names;             /* variables that those calls may use; NULL: none */
  const char *metrics;           /* names: "accuracy, f1"; NULL: none; see cr_metric_at */
  const char *expects;           /* what the predictions are, as in cr_loss; for the metrics. NULL: "logits" */

  /* 1: for batches of one shape, forward and loss record the same operations, with the same constants, whatever the numbers
   * and the step are. Steps and evaluation then run captured (cr_captured_new, cr_pass_new), with the same bits; what cannot
   * be captured is recorded: hooks that read values or draw numbers by cr_model_draw, an update hook of the caller's,
   * methods that look again within a step. 0: every step is recorded. */
  int capture;
  /* Captured functions are compiled (jit.h), or not where that is NULL. Unless it is exact, results then differ from those
   * of recording by rounding. */
  const cr_jit_options *compile;

  /* When to stop: whichever comes first */
  int64_t epochs;                /* 0: 10 */
  double seconds, target_loss, gradient_tol; /* 0: none; the gradient's norm is the mean over an epoch's steps */
  int64_t patience;              /* epochs without a better validation loss (training loss without such a set); 0: never */
  double min_delta;              /* what counts as better */
  int keep_last;                 /* do not go back to the parameters of the best validation loss at the end */
  const volatile sig_atomic_t *interrupt; /* nonzero: save and end after this step */

  /* Records */
  const char *checkpoint;        /* file, written after every checkpoint_every steps (0: epoch) and at the end; NULL: none */
  int64_t checkpoint_every;
  int resume;                    /* go on from the checkpoint if it is there */
  const char *log;               /* .csv or .json (JSON lines), a line an epoch; appended to on resume */
  void (*progress)(cr_training *k, int64_t step_of_epoch, int64_t steps_of_epoch); /* after each step; may be NULL */
  void (*epoch_done)(cr_training *k, const cr_epoch *e);                           /* after each epoch; may be NULL */

  /* State and results: read-only */
  int64_t epoch, step, steps_per_epoch; /* the epoch that runs, from 1; steps taken in all */
  int64_t captured_steps;        /* of this run's steps, those that ran captured */
  char compile_note[200];        /* what came of compiling the first of them, see cr_fn_compile; "": nothing to compile */
  double epoch_loss;             /* mean over the examples of this epoch so far */
  int64_t n_history;
  cr_epoch *history;             /* freed by cr_training_release */
  int n_metrics;
  const char *metric_name[CR_MAX_METRICS];
  double metric[CR_MAX_METRICS]; /* of the last validation */
  int64_t best_epoch;
  double best_loss;
  cr_reason reason;
  char reason_text[160];         /* "patience: no better validation loss for 5 epochs" */
  uint64_t run_hash;             /* cr_model_hash at the end */
  cr_problem problem;            /* why cr_train failed; or a notice: a damaged checkpoint, where NaN arose */
  struct cr_training_state *state;
};

/* Trains until a reason to stop, which is no failure, be it that the loss is not finite: then the parameters are those
 * before that step. Each call starts at epoch 1 from the model's parameters, unless it resumes. */
CR_API cr_status cr_train(cr_training *k);
CR_API void cr_training_release(cr_training *k); /* history and state; not what the caller owns */

/* The defaults of the hooks, and their parts */
CR_API cr_status cr_default_initialise(cr_training *k);
CR_API cr_status cr_default_feed(cr_training *k, const cr_dataset *d, int64_t n, const int64_t *which, cr_batch *batch);
CR_API cr_status cr_default_update(cr_training *k, cr_var loss);
CR_API cr_status cr_default_validate(cr_training *k, const cr_dataset *d, double *loss);
/* Predictions for a whole dataset in evaluation mode, batch by batch: (examples, ...), of the model's dtype. */
CR_API cr_status cr_predict(cr_training *k, const cr_dataset *d, cr_array *prediction, cr_problem *p);

/* Augmentation calls of k->augment: the k-th signature and doc; NULL past the end. */
CR_API const cr_source *cr_augmentation_at(int k);

/* Metrics: of predictions against targets. "accuracy", "precision", "recall", "f1" (macro averages), "mae", "mse", "rmse",
 * "r2", "perplexity", "nats", "bits". Classes are along the last axis of predictions (n, C) or (n, T, C), or in one column;
 * targets are class numbers (negative ones are left out), or numbers of the predictions' shape, such as one-hot rows. */
typedef struct cr_metric {
  const char *name, *doc;
  int higher_is_better;
  int of_numbers;          /* compares number with number; else classes */
  /* expects: as in cr_loss, NULL: "logits". NaN where the shapes do not fit. */
  double (*of)(const cr_array *prediction, const cr_array *target, int n_classes, const char *expects);
} cr_metric;
CR_API const cr_metric *cr_metric_at(int k);               /* NULL past the end */
CR_API const cr_metric *cr_metric_named(const char *name); /* NULL without one */
/* counts[n_classes * truth + predicted]; a prediction of one column is class 1 above threshold (0 for logits, 1/2 for
 * probabilities). */
CR_API cr_status cr_confusion(const cr_array *prediction, const cr_array *target, int n_classes, double threshold,
                              int64_t *counts, cr_problem *p);

/* Reports */

/* Norms by parameter at the last step of the last epoch, gradients after clipping; the ratio is that of its change to
 * itself. Saturation: cr_model_saturation, whose pass is the last batch validated. */
typedef struct cr_gradient_report {
  const char *name;
  double gradient_norm, value_norm, update_ratio;
} cr_gradient_report;
CR_API int cr_training_gradient_report(const cr_training *k, int room, cr_gradient_report *out); /* how many there are */
/* Writes one line on the present state for a terminal, UTF-8 without a line end, and returns it:
 * "epoch 3/10 ████░░░░ 12/24  ETA 0:12  loss 0.31 █▅▃  val 0.4". What matters least comes last, for narrow terminals. */
CR_API char *cr_progress_line(const cr_training *k, char *line, size_t size);

/* Checkpoints: model, optimizer, schedule, position and history in one safetensors file with a checksum, which Python's
 * safetensors reads too. FILE.previous is the one before. Parameters have their names; the best so far are "best/NAME". Once
 * training has gone back to the best, they have the plain names, and those to go on from are "last/NAME". */
CR_API cr_status cr_checkpoint_write(const cr_training *k, const char *path, cr_problem *p);
/* Parameters and buffers alone, for predictions; cr_train resumes the rest. Where FILE is damaged FILE.previous is read, and
 * *p says so with status CR_OK. */
CR_API cr_status cr_checkpoint_read(cr_training *k, const char *path, cr_problem *p);

/* Recipes: a .chain file of statements `data`, `net`, `loss`, `optimizer`, `train`, as `chainrule train` runs it;
 * recipes/README.md has the language. */
typedef struct cr_recipe cr_recipe;
typedef struct cr_setting {
  const char *name, *value; /* of a set statement, as --set gives it; "train.epochs" is an option of train */
} cr_setting;
/* title: the file's name, for messages, base: the folder that its data files are relative to. NULL with *p set to
 * "FILE:LINE: why". */
CR_API cr_recipe *cr_recipe_read(const char *source, const char *title, const char *base, int n, const cr_setting *settings,
                                 cr_problem *p);
CR_API void cr_recipe_free(cr_recipe *r);
/* The training that it describes, ready for cr_train: model, optimizer, data, hooks. Owned by the recipe. */
CR_API cr_training *cr_recipe_training(cr_recipe *r);
CR_API int cr_recipe_folds(const cr_recipe *r);              /* cross-validation: 0 or how many */
/* The training on all data but fold k, which becomes the test data, from a new beginning; the last one is released. NULL
 * with *p set. */
CR_API cr_training *cr_recipe_fold(cr_recipe *r, int k, cr_problem *p);
CR_API const cr_dataset *cr_recipe_test(const cr_recipe *r); /* NULL without test data */
CR_API const char *cr_recipe_title(const cr_recipe *r);
CR_API const char *cr_recipe_network(const cr_recipe *r);    /* the net statement's source */
CR_API const char *cr_recipe_loss(const cr_recipe *r);       /* or the residual: an expression over prediction and y */
CR_API const cr_loss *cr_recipe_named_loss(const cr_recipe *r); /* NULL where the loss is an expression */
CR_API const char *cr_recipe_lint(const cr_recipe *r);       /* cr_loss_lint of its loss, or NULL */
/* The penalty on the weights as text, "l2(0.0001)"; NULL: none. */
CR_API const char *cr_recipe_penalty(const cr_recipe *r);
/* Source text (without the word data) to a dataset prepared as the training data were: columns, scaling, classes,
 * alphabet. */
CR_API cr_status cr_recipe_prepare(const cr_recipe *r, const char *source, cr_dataset *d, cr_problem *p);

#ifdef __cplusplus
}
#endif
#endif
