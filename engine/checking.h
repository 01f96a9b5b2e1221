/* The inside of the checker: slopes along a line, the private copy of a graph, the report being made. */
#ifndef CR_CHECKING_H
#define CR_CHECKING_H

#include "check.h"
#include "formula.h"
#include "internal.h"

/* ridders.c: slopes */

/* A function of a step, with a hash of the branches that were taken there; false when it could not be computed. */
typedef struct cr__line {
  bool (*at)(void *user, double step, double *value, uint64_t *branches);
  void *user;
  double origin;      /* the coordinate that moves, so that steps can be made exact; 0 for a direction */
  double scale[2];    /* lengths that the first and the second set of steps are relative to */
  double reach;       /* size of the numbers that the steps are added to */
  double value;       /* at step 0 */
  uint64_t branches;
  double noise;       /* of value, absolute: measured */
  int64_t evaluations;
} cr__line;

typedef struct cr__slope {
  double value, error;             /* of the best central estimate; error is infinite when there is none */
  bool suspect;                    /* two starts contradict each other, or there is no start that stays on one branch */
  double step;                     /* of the best estimate */
} cr__slope;

bool cr__line_open(cr__line *l); /* evaluates at 0; false when the value there is not finite */
cr__slope cr__slope_of(cr__line *l);
/* The slope of one side (side +1 or -1): infinite where it grows without bound, NaN where undefined or unknown. */
cr__slope cr__one_sided(cr__line *l, int side);

/* replica.c: the private float64 copy of what y depends on */

typedef struct cr__replica {
  cr_tape *tape, *user; /* the copy's, and the one that was copied from */
  cr_var y, user_y;
  int n;
  cr_var *x;            /* leaves of the copy */
  const cr_var *user_x;
  int64_t *offset;      /* where each x begins in a point; n + 1 entries */
  int64_t size, m;      /* coordinates in all; elements of y */
  double *point;        /* where the graph was when it was copied */
  uint32_t *copy_of;    /* by id of the original, which has n_original nodes */
  uint32_t n_original;
  uint32_t *origin;     /* by id of the copy; 0 when recorded beside it */
  uint32_t n_copied;
  uint32_t *moving;     /* ids of nodes whose values depend on x, in order, with those of decisions at the end */
  uint32_t n_moving, n_values;  /* n_values of them are copied nodes */
  struct cr__decision {
    uint32_t id;        /* its values (or signs) decide; of a node with .decide, the node itself */
    uint32_t of;        /* the copied node that it belongs to */
  } *decision;
  uint32_t n_decisions;
  int64_t evaluations;
  double noise;         /* relative noise put on every value, for the condition estimate */
  uint64_t noise_seed;
} cr__replica;

/* NULL with the error on y's tape. */
cr__replica *cr__replica_new(cr_var y, int n, const cr_var *x);
void cr__replica_free(cr__replica *r);
/* Takes the copy to a point: sets the leaves and computes what moves. */
bool cr__replica_move(cr__replica *r, const double *point);
/* The same for nodes recorded beside the copy, from first on. */
bool cr__replica_recompute(cr__replica *r, uint32_t first);
uint64_t cr__replica_branches(const cr__replica *r);
/* The branches node by node, to find the one that differs: writes n_decisions hashes. */
void cr__replica_branch_list(const cr__replica *r, uint64_t *out);
/* sum(v * y) where the copy is now, and its gradient by the numeric sweep. v NULL means ones. */
double cr__replica_value(const cr__replica *r, const double *v);
bool cr__replica_gradient(cr__replica *r, const double *v, double *gradient);
/* The largest product of a value and its adjoint on the way: a change of relative size e in one value changes sum(v * y) by
 * e times this at most. */
double cr__replica_terms(cr__replica *r, const double *v);
/* The numbers as constants of the copy: one for each x, or one of y's shape. */
bool cr__replica_tangents(cr__replica *r, const double *u, cr_var *out);
cr_var cr__replica_cotangent(cr__replica *r, const double *v);
/* Reads nodes of the shapes of x end to end. */
void cr__replica_collect(const cr__replica *r, const cr_var *nodes, double *out);
/* Memory on the copy's tape. */
double *cr__replica_numbers(cr__replica *r, int64_t count);

/* Counter-based random numbers: the k-th of a stream, uniform in (-1, 1), and normal. */
double cr__uniform_at(uint64_t seed, uint64_t k);
double cr__normal_at(uint64_t seed, uint64_t k);

/* The report being made; everything in it is on the tape's arena. */
typedef struct cr__checker {
  cr_tape *tape;             /* of the report */
  cr_check_options o;
  cr__replica *replica;      /* NULL for a black box */
  cr_black_box f;
  void *user;
  const char *const *names;  /* of coordinates of a black box */
  int64_t size;
  const double *point;
  const double *claimed;     /* numbers from elsewhere; NULL: the engine's are checked */
  double gradient_size, reach; /* of the gradient, and of the point */
  double unit;               /* of derivatives: what one value contributes, over the size of the inputs */
  double *spread;            /* how far the gradient moves, per unit of relative error in every value; NULL: not known */
  cr_report *report;
  cr_check_entry *entry;
  cr_check_test *test;
  int test_capacity;
} cr__checker;

/* judge.c */

/* A line through the point at which derivatives are checked. */
typedef struct cr__path {
  cr__checker *c;
  const double *u;          /* direction; NULL: coordinate i */
  int64_t i;
  const double *v;          /* weights of y; NULL: ones */
  const double *w;          /* if given, the function is <w, gradient> instead of <v, y> */
  double *point, *gradient; /* to work in; gradient for w only */
} cr__path;
cr__line cr__line_of(cr__path *p);
/* Fills in all but label, input and index of an entry whose analytic slope is given. Differences below floor do not
 * count. */
void cr__judge(cr__checker *c, cr__line *l, cr_check_entry *e, double floor);

double cr__dot(const double *a, const double *b, int64_t n);
double cr__norm(const double *a, int64_t n);
double cr__largest(const double *a, int64_t n); /* of the absolute values; NaN wins */
/* A text on the tape's arena; "" when memory runs out. */
const char *cr__keep_text(cr_tape *t, const char *format, ...)
#ifdef __GNUC__
  __attribute__((format(printf, 2, 3)))
#endif
  ;
/* "v5 = sigmoid(v4)", with the source line if tracked. */
const char *cr__node_text(cr_tape *t, uint32_t id, char *text, size_t size);

/* check.c */

bool cr__take_options(cr__checker *c, const cr_check_options *o);
bool cr__open_replica(cr__checker *c, cr_var y, int n, const cr_var *x);
bool cr__open_report(cr__checker *c);
cr_status cr__close_report(cr__checker *c, cr_report **out);
cr_status cr__pass_error(cr__checker *c); /* of the copy to the user's tape */
/* One entry a coordinate, for sum(v * y). */
void cr__check_coordinates(cr__checker *c, const double *analytic, const double *v);
/* cr_check, with or without the search for the culprit. */
cr_status cr__check_graph(cr_var y, int n, const cr_var *x, const cr_check_options *options, bool diagnose,
                          cr_report **report);

/* claims.c */
void cr__judge_claim(cr__checker *c, cr_check_entry *e);

/* diagnose.c: what reproduces a wrong gradient; NULL when nothing does */
const char *cr__diagnose_claims(cr__checker *c, const double *truth, const double *claimed);
/* culprit.c: the op whose rule is wrong, found by checking each node alone. */
const char *cr__diagnose_rules(cr__checker *c);

/* report.c */
const char *cr__report_table(cr_tape *t, const cr_report *r);

#endif
