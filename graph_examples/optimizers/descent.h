/* What the files of this folder share. An optimizer with an update rule owns a cr_rule for each group of parameters; one
 * over all parameters keeps vectors from step to step and sees the model as a cr_descent. */
#ifndef CR_DESCENT_H
#define CR_DESCENT_H

#include <function.h>

#include "optimizers.h"

typedef struct cr_rule cr_rule;

/* A vector that a method keeps from step to step, and that a checkpoint holds. */
typedef struct cr_kept {
  char name[24];
  int64_t count;
  double *data;
} cr_kept;
enum { CR_MOST_KEPT = 8 };

struct cr_optimizer {
  const cr_method *method;
  cr_arguments arguments;
  double rate, base_rate, previous_loss;
  int64_t t; /* steps taken */
  char *formula;
  char warning[256];
  cr_rule *rule[2]; /* parameters that decay, and the others; NULL until the first step, or where there are none */
  int n_parameters; /* of the model at the first step */
  cr_kept kept[CR_MOST_KEPT];
};

/* rule.c: the update as text, and as a recording */

typedef struct cr_slot {
  cr_var number, leaf; /* a number computed once a step, and where the blocks take it from: */
  cr_array place;
  double value;
} cr_slot;
typedef struct cr_state {
  char *name;
  int is_number; /* one for all parameters, not one for each element */
  double value;  /* the start value, later that of a number, */
  double next;   /* and what it becomes with a step */
  cr_var in, out;
  char *data; /* of all pieces, one after the other; the lanes of a rule share it */
} cr_state;
typedef struct cr_piece { /* a parameter's place in the group */
  int parameter;
  int64_t from, to;
} cr_piece;

struct cr_rule {
  cr_tape *numbers, *block; /* float64 scalars; tensors of length elements */
  cr_var given[4], w, g, new_w;
  double number[4];      /* of given: rate, step, loss, previous loss */
  int n_slots, n_states, n_pieces;
  cr_slot *slot;
  cr_state *state;
  cr_piece *piece;
  cr_dtype dtype;
  int64_t length, total; /* of a block; of the group */
  cr_fn *step;           /* the numbers of a step: rate, t, loss, previous loss, states to slots, states */
  cr_workspace *space;
  cr_array *in, *out;    /* of step, over numbers of this struct */
  char *source;          /* the update on tensors alone: "beta1 = 0.9; m = beta1*m + ...; w = w - number1*m; " */
  cr_rule *next;         /* the same once more, for another thread: a lane */
};

/* The update with its choices made, one assignment a line; the caller frees it. */
char *cr_rule_text(const cr_optimizer *o, int decays, cr_problem *p);
/* Records the update for a group, lanes times; the pieces are copied. On failure *out is to be freed too. */
cr_status cr_rule_record(cr_rule **out, const cr_optimizer *o, int decays, cr_dtype dtype, int n, const cr_piece *pieces,
                         int lanes, cr_problem *p);
void cr_rule_free(cr_rule *r);
/* numbers.c: the numbers of a step as a function, once the update is recorded. */
cr_status cr_rule_capture(cr_rule *r);
/* What the update needs of rate, step and loss goes to the leaves of all lanes; number states move on. */
cr_status cr_rule_numbers(cr_optimizer *o, cr_rule *r, double loss);
/* apply.c: one step of all groups */
cr_status cr_rules_prepare(cr_optimizer *o, const cr_model *m, cr_problem *p);
cr_status cr_rules_step(cr_optimizer *o, cr_model *m, cr_step *report, cr_problem *p);
cr_status cr_rules_save(const cr_optimizer *o, const cr_model *m, cr_archive *into, cr_problem *p);
cr_status cr_rules_load(cr_optimizer *o, const cr_model *m, const cr_archive *from, cr_problem *p);

/* clip.c: the norm of all gradients; CR_NOT_FINITE names the parameter. */
cr_status cr_gradients_finite(const cr_model *m, double *norm, cr_problem *p);
/* The same on the tape: float64 (n,), the norms of g[1] to g[n - 1] and of all together. A run of it fails with
 * CR_NOT_FINITE where one of g is not; g[0] counts for that alone. */
cr_var cr_norms(int n, const cr_var *g);

/* descent.c: the trainable parameters as one vector of float64 */

struct cr_descent {
  cr_optimizer *o;
  cr_model *m;
  cr_objective f;
  void *user;
  cr_step *report; /* never NULL */
  cr_problem *p;
  int64_t n;
  double *origin;        /* where the step starts */
  double *x, *g;         /* where the method is, and the gradient there */
  double *direction;     /* of a search, from x */
  double *at, *gradient; /* where the search has been last, and the gradient there */
};

/* The step of a method over all parameters; when it fails, the parameters are where they were. loss: where it starts; NaN:
 * not known. */
cr_status cr_descent_step(cr_optimizer *o, cr_model *m, cr_objective f, void *user, double loss, cr_step *report,
                          cr_problem *p);
/* The objective at x, and its gradient where that is not NULL. Leaves the parameters there. */
cr_status cr_descent_evaluate(cr_descent *d, const double *x, double *loss, double *gradient);
/* Puts x into the model's parameters. */
void cr_descent_place(const cr_descent *d, const double *x);
/* Records the objective at the parameters' present values; poison on failure. */
cr_var cr_descent_record(cr_descent *d);
cr_status cr_descent_failure(const cr_descent *d);
/* Refuses an n by n matrix of more than 2 GiB, by pointing to L-BFGS. */
cr_status cr_descent_may_square(const cr_descent *d);
/* A vector that is kept, of count numbers: zeros where new. It may move when asked for with another count. NULL when memory
 * runs out. */
double *cr_descent_keep(cr_descent *d, const char *name, int64_t count);
int64_t cr_descent_kept(const cr_descent *d, const char *name); /* its count, 0 where there is none */
double cr_vector_dot(int64_t n, const double *a, const double *b);
double cr_vector_largest(int64_t n, const double *a);                                            /* of the magnitudes */
void cr_vector_combine(int64_t n, const double *a, double factor, const double *b, double *out); /* a + factor b */

/* line_search.c */
typedef struct cr_line {
  double step; /* first to try, then that found */
  double loss; /* at the start, then at the step found */
  double c1, c2, tolerance;
  int most_trials; /* after the first: 25 */
} cr_line;
/* Along d->direction from d->x, where the loss is line->loss and its gradient d->g; leaves d->at and d->gradient at the step
 * found. A step of 0 means that no decrease was found: d->report->stuck is set. */
cr_status cr_line_search(cr_descent *d, cr_line *line);
/* The step to try first where the scale is not known: moves no further than rate in all. */
double cr_short_step(const cr_descent *d);

cr_status cr_step_lbfgs(cr_descent *d);
cr_status cr_step_bfgs(cr_descent *d);
cr_status cr_step_conjugate_gradient(cr_descent *d);
cr_status cr_step_newton_cg(cr_descent *d);
cr_status cr_step_levenberg_marquardt(cr_descent *d);

#endif
