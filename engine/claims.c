/* Gradients that were computed elsewhere: claims about a graph, or about any function. */
#include <stdio.h>

#include "checking.h"

const char *cr_claim_text(cr_claim claim) {
  static const char *const texts[] = {"exact", "correctly rounded", "truncated", "rounded on the way", "wrong"};
  return (unsigned)claim < sizeof texts / sizeof *texts ? texts[claim] : "unknown";
}

cr_claim cr_claim_of(double truth, double claimed, int digits) {
  if (truth == claimed || fabs(truth - claimed) <= 1e-9 * fabs(truth)) return CR_CLAIM_EXACT;
  if (digits <= 0 || !isfinite(truth) || !isfinite(claimed)) return CR_CLAIM_WRONG;
  double unit = pow(10, -digits), off = fabs(truth - claimed);
  if (off <= 0.5 * unit * (1 + 1e-9)) return CR_CLAIM_ROUNDED;
  if (fabs(claimed - trunc(truth / unit) * unit) <= 1e-6 * unit) return CR_CLAIM_TRUNCATED;
  return off <= 5 * unit && off <= 0.01 * fabs(truth) ? CR_CLAIM_CARRIED : CR_CLAIM_WRONG;
}

void cr__judge_claim(cr__checker *c, cr_check_entry *e) {
  if (c->o.digits <= 0 || e->verdict != CR_DISAGREE) return;
  cr_claim claim = cr_claim_of(e->numeric, e->analytic, c->o.digits);
  if (claim == CR_CLAIM_WRONG) return;
  e->verdict = CR_AGREE;
  e->note = cr_claim_text(claim);
}

static void diagnose(cr__checker *c, const double *truth) {
  const char *text = c->report->verdict == CR_DISAGREE ? cr__diagnose_claims(c, truth, c->claimed) : NULL;
  if (text) c->report->diagnosis = text;
}

cr_status cr_check_claims(cr_var y, int n, const cr_var *x, const double *claimed, const cr_check_options *options,
                          cr_report **report) {
  cr__checker c = {.tape = y.tape, .claimed = claimed};
  if (report) *report = NULL;
  if (!y.tape) return CR_WRONG_TAPE;
  if (!cr__take_options(&c, options) || !cr__open_replica(&c, y, n, x)) return cr__pass_error(&c);
  if (c.o.max_coordinates > 0 && c.o.max_coordinates < c.size) c.o.max_coordinates = (int)(c.size < 4096 ? c.size : 4096);
  c.o.directions = -1;
  double *truth = cr__replica_numbers(c.replica, c.size);
  if (truth && cr__open_report(&c) && cr__replica_gradient(c.replica, NULL, truth)) {
    cr__check_coordinates(&c, claimed, NULL);
    cr__replica_move(c.replica, c.point);
    diagnose(&c, truth);
  }
  cr_status status = cr__pass_error(&c);
  if (status == CR_OK) status = cr__close_report(&c, report);
  cr__replica_free(c.replica);
  return status;
}

/* The derivative by differences, wherever it could be had. */
static double *numeric_gradient(const cr__checker *c) {
  double *truth = cr__alloc(c->tape, (size_t)c->size * sizeof *truth);
  for (int64_t k = 0; truth && k < c->size; k++) truth[k] = (double)NAN;
  for (int k = 0; truth && k < c->report->n_entries; k++) truth[c->entry[k].index] = c->entry[k].numeric;
  return truth;
}

cr_status cr_check_values(cr_tape *t, cr_black_box f, void *user, int64_t size, const double *x, const double *claimed,
                          const char *const *names, const cr_check_options *options, cr_report **report) {
  cr__checker c = {.tape = t, .f = f, .user = user, .names = names, .size = size, .point = x, .claimed = claimed};
  if (report) *report = NULL;
  if (!t) return CR_WRONG_TAPE;
  if (!f || size < 0 || !x || !claimed) {
    cr_fail(t, CR_BAD_ARGUMENT, "check: function, point and claimed gradient are needed");
    return t->error;
  }
  if (!cr__take_options(&c, options)) return t->error;
  if (c.o.max_coordinates > 0 && c.o.max_coordinates < size) c.o.max_coordinates = (int)(size < 4096 ? size : 4096);
  c.o.directions = -1;
  if (!cr__open_report(&c)) return t->error;
  cr__check_coordinates(&c, claimed, NULL);
  const double *truth = numeric_gradient(&c);
  if (truth) diagnose(&c, truth);
  return cr__close_report(&c, report);
}
