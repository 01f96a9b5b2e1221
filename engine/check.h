/* Is the gradient right? Verification of derivatives by differences, with an error estimate, and a diagnosis where they
 * disagree.
 *
 * The graph is copied to a private tape in float64 (whatever its dtype) and evaluated at nearby points. Slopes come from
 * Ridders' extrapolation, started at several steps that stay on the near side of every kink. At a kink the slopes from the
 * left and the right are computed, and the engine's convention must lie between them. The engine is compared with itself
 * too: forward with reverse mode, symbolic with numeric, one way to a second derivative with another, two runs bit by bit.
 *
 *     cr_report *r;
 *     if (cr_check(loss, 2, (cr_var[]){W, b}, NULL, &r) == CR_MISMATCH) puts(cr_report_text(r));
 */
#ifndef CR_CHECK_H
#define CR_CHECK_H

#include "engine.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum cr_verdict {
  CR_AGREE,
  CR_KINK,         /* not differentiable here; the engine's convention lies between the slopes of the two sides */
  CR_INCONCLUSIVE, /* differences cannot tell: the function is not finite or too rough nearby */
  CR_DISAGREE
} cr_verdict;
CR_API const char *cr_verdict_text(cr_verdict verdict); /* "agree", ... */

/* Zeros mean the defaults; struct_size must be sizeof(cr_check_options). */
typedef struct cr_check_options {
  size_t struct_size;
  int order;             /* 1 or 2; default 2 */
  int directions;        /* random directions; default 3, -1 for none */
  int max_coordinates;   /* of the coordinates at most so many, evenly spread; default 64, -1 for none */
  uint64_t seed;
  double tolerance;      /* relative; default 1e-9, and always at least what the error estimate asks for */
  int weighted;          /* coordinates of a random weighted sum of y, not of sum(y): sees more of a tensor y */
  /* For the diagnosis of numbers computed elsewhere: */
  int digits;            /* claims are given with so many decimals; 0: in full */
  int n_counts;          /* sizes that a mean may have divided by, beside the lengths of the axes */
  const int64_t *counts;
  int n_points;          /* other points, of all coordinates each, at which the gradient may have been taken by mistake */
  const double *const *points;
} cr_check_options;

/* A slope: of one coordinate, or along a random direction. */
typedef struct cr_check_entry {
  const char *label;     /* "W[1, 2]", "direction 1" */
  int input;             /* which x; -1 for a direction */
  int64_t index;         /* row-major, in that x */
  double analytic;       /* the engine's, or what was claimed */
  double numeric;        /* by differences */
  double error;          /* estimated, of numeric */
  double left, right;    /* one-sided slopes, NaN unless they were needed or where undefined */
  double digits;         /* decimal digits that agree, 0 to 17 */
  cr_verdict verdict;
  const char *note;      /* "kink at v5 = relu(v4)"; "" when there is nothing to say */
} cr_check_entry;

/* The engine against itself. */
typedef struct cr_check_test {
  const char *name;      /* "forward = reverse", ... */
  double error, limit;   /* relative; passed when error <= limit */
  int passed;
} cr_check_test;

typedef struct cr_report {
  cr_verdict verdict;    /* CR_DISAGREE when anything fails, else CR_AGREE */
  int kinks, inconclusive; /* how many entries are */
  int n_entries, n_tests;
  const cr_check_entry *entry; /* directions first, then coordinates */
  const cr_check_test *test;
  double worst;          /* of the entries that agree or disagree, relative */
  int64_t evaluations;   /* of the function */
  const char *diagnosis; /* for a disagreement: what reproduces the wrong number; "" otherwise */
  const char *text;      /* all of this as a table */
} cr_report;

/* Checks the derivatives of y with respect to x[0..n) at their present values. CR_OK, CR_MISMATCH, or an error (kept on the
 * tape). *report lives until the tape's next reset to an earlier mark; it is NULL after an error. options and report may be
 * NULL. A kink or an inconclusive point is no mismatch. */
CR_API cr_status cr_check(cr_var y, int n, const cr_var *x, const cr_check_options *options, cr_report **report);

/* The same for a gradient that was computed elsewhere: claimed[i] for coordinate i of all x laid end to end, row-major;
 * NaN claims nothing. y is the graph of the same function (its sum is meant when it is a tensor). */
CR_API cr_status cr_check_claims(cr_var y, int n, const cr_var *x, const double *claimed, const cr_check_options *options,
                                 cr_report **report);

/* The same for any function of size numbers: the tape serves for memory and errors only. names may be NULL. */
typedef double (*cr_black_box)(void *user, const double *x);
CR_API cr_status cr_check_values(cr_tape *t, cr_black_box f, void *user, int64_t size, const double *x,
                                 const double *claimed, const char *const *names, const cr_check_options *options,
                                 cr_report **report);

/* How a claimed number relates to the true one. */
typedef enum cr_claim {
  CR_CLAIM_EXACT,     /* to 1e-9 */
  CR_CLAIM_ROUNDED,   /* correctly, to the given decimals */
  CR_CLAIM_TRUNCATED, /* cut off after the given decimals */
  CR_CLAIM_CARRIED,   /* right within a few units of the last decimal: intermediate results were rounded */
  CR_CLAIM_WRONG
} cr_claim;
/* digits: decimals of the claimed number; 0: it is exact or wrong. */
CR_API cr_claim cr_claim_of(double truth, double claimed, int digits);
CR_API const char *cr_claim_text(cr_claim claim);

/* The derivative of a function of one number at 0 by the same method, and an estimate of its error (infinite: unknown). */
CR_API double cr_slope(double (*f)(void *user, double step), void *user, double *error);

/* Where the first value that is not finite arose on the way to y; if all are finite, the first adjoint of the reverse sweep
 * from y. Writes op, operands with their values, source line if tracked, and the path of nodes from there to y into text.
 * Returns 1 when there is one, 0 when everything is finite. */
CR_API int cr_find_nonfinite(cr_var y, char *text, size_t size);

#ifdef __cplusplus
}
#endif
#endif
