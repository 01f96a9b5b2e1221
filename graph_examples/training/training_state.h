/* What the files of training share: the state of a training, and the parts of the loop. */
#ifndef CR_TRAINING_STATE_H
#define CR_TRAINING_STATE_H

#include <time.h>

#include "training.h"

/* One call of cr_training.augment. */
typedef struct cr__augmentation cr__augmentation;

/* What a batch is for. */
typedef enum cr__use { CR__TRAINS, CR__JUDGES, CR__PREDICTS } cr__use;

/* Batches of one shape, captured; without either function they are recorded each time. */
typedef struct cr__seen {
  cr__use use;
  cr_array x, y;                 /* shapes; y of count 0: none */
  cr_captured *step;
  cr_pass *look;
  cr_array prediction, loss;     /* what a look has seen */
} cr__seen;
enum { CR__MOST_SEEN = 12 };

struct cr_training_state {
  /* The epoch that runs */
  int64_t position;              /* steps taken of it; 0 between epochs */
  int64_t seen;                  /* examples */
  double loss_sum, norm_sum;     /* of losses by example; of gradient norms by step */
  int64_t *order, order_epoch;   /* the permutation, and of which epoch it is */
  const int64_t *which;          /* the examples of the present step, which an objective records again */
  int64_t n;
  cr_step last;                  /* report of the last step */

  /* Stopping */
  int64_t waited;                /* epochs without a better loss */
  cr_archive best, resume_from;  /* parameters of best_epoch; and, once training went back to those, the last ones */
  int ended;                     /* for a reason within a step: stuck, or not finite */
  double seconds_before;         /* spent before this run */
  struct timespec started;

  cr__seen seen_batch[CR__MOST_SEEN];
  int n_seen;
  const cr__seen *runs;          /* the one that ran last: others have given back their memory, or take little */
  int recorded;                  /* the model's tape has the pass that was done last */

  int n_augmentations;
  cr__augmentation *augmentation;
  int n_reported;
  cr_gradient_report *report;
  int distrust;                  /* the checkpoint file is damaged: not to be kept as the previous one */
};

/* The caller's hooks, defaults in place of NULL. */
cr_hooks cr__hooks(const cr_training *k);
cr_status cr__tape_problem(cr_training *k, const char *what, cr_problem *p); /* CR_OK, or the tape's error with the place */
double cr__loss_value(const cr_training *k, const cr_array *loss);
void cr__set_rate(cr_training *k);               /* of the next step, by the schedule */

/* passes.c */
int cr__take_captured_step(cr_training *k, double *loss); /* feed to update; 0: it is to be recorded, nothing was changed */
int cr__captures(const cr_training *k);
/* The forward pass without its numbers: it makes the parameters. */
cr_status cr__sketch_forward(cr_training *k, const cr_batch *batch);
/* A batch in evaluation mode; NULL: it is to be recorded. */
const cr__seen *cr__look_captured(cr_training *k, const cr_batch *batch, int with_loss);
void cr__leave_a_pass(cr_training *k);           /* on the model's tape, when training has ended */
void cr__passes_free(struct cr_training_state *s);

/* batches.c */
int64_t cr__batch_size(const cr_training *k, const cr_dataset *d);
const int64_t *cr__next_batch(cr_training *k, int64_t *n); /* NULL when memory runs out */

/* augment.c */
cr_status cr__augment_read(cr_training *k);
cr_status cr__augment_check(cr_training *k);     /* before there is a training: can they be read? */
void cr__augment_free(struct cr_training_state *s);
cr_status cr__augment(cr_training *k, const cr_dataset *d, cr_batch *batch);

/* metrics.c */
cr_status cr__metrics_read(cr_training *k);
/* Can they compare these, of which y may be empty? */
cr_status cr__metrics_fit(const cr_training *k, const cr_array *prediction, const cr_array *y, cr_problem *p);
cr_status cr__metrics_of(cr_training *k, const cr_array *prediction, const cr_dataset *d, cr_problem *p);

/* stopping.c */
double cr__seconds(const cr_training *k);
int cr__over_time(const cr_training *k);
int cr__ended(cr_training *k);                   /* fills reason and reason_text */
void cr__end(cr_training *k, cr_reason r, const char *format, ...)
#ifdef __GNUC__
  __attribute__((format(printf, 3, 4)))
#endif
  ;
cr_status cr__close_epoch(cr_training *k);       /* validation, history, best parameters, log */
cr_status cr__back_to_best(cr_training *k);

/* gradient_report.c: around the last step of an epoch */
cr_status cr__report_before(cr_training *k, cr_archive *values);
/* step: the captured one that was taken, NULL: gradients are with the model. */
void cr__report_after(cr_training *k, const cr_archive *values, const cr_captured *step);

/* checkpoint.c */
cr_status cr__checkpoint_possible(cr_training *k); /* before the first step: can the file be made? */
cr_status cr__checkpoint_due(cr_training *k, int epoch_ended);
cr_status cr__checkpoint_resume(cr_training *k);

/* log.c. Columns of an epoch: cr__epoch_columns of them and the metrics. */
enum { CR__EPOCH_COLUMNS = 7 };
extern const char *const cr__epoch_column[CR__EPOCH_COLUMNS];
void cr__epoch_numbers(const cr_epoch *e, double *out); /* CR__EPOCH_COLUMNS + CR_MAX_METRICS numbers */
void cr__epoch_from(cr_epoch *e, const double *numbers, int n_metrics);
cr_status cr__log_start(cr_training *k);         /* the file with a line for each epoch of the history */
cr_status cr__log_epoch(cr_training *k);

#endif
