/* BFGS and its limited-memory form: an estimate H of the inverse Hessian from the changes y of the gradient over the steps
 * s. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "descent.h"

/* From where the line search has been last, the step there and the gradient before are kept: "last" is (s, gradient before).
 */
static cr_status keep_last(cr_descent *d, double step) {
  double *last = cr_descent_keep(d, "last", 2 * d->n);
  if (!last) return CR_NO_MEMORY;
  for (int64_t k = 0; k < d->n; k++) last[k] = step * d->direction[k];
  memcpy(last + d->n, d->g, (size_t)d->n * sizeof *last);
  return CR_OK;
}

/* Limited memory: the pairs, oldest first, each as (s, y, 1 / y's, room for a number). */

typedef struct pairs {
  int64_t n, used;
  double *row;
} pairs;

static double *s_of(const pairs *h, int64_t k) { return h->row + k * (2 * h->n + 2); }
static double *y_of(const pairs *h, int64_t k) { return s_of(h, k) + h->n; }
static double *numbers_of(const pairs *h, int64_t k) { return s_of(h, k) + 2 * h->n; }

/* direction = -H g by the two loops over the pairs (Nocedal and Wright 2006, algorithm 7.4); H starts as scale times I. */
static void two_loops(cr_descent *d, const pairs *h, double scale) {
  double *q = d->direction;
  for (int64_t k = 0; k < d->n; k++) q[k] = -d->g[k];
  for (int64_t k = h->used; k-- > 0;) {
    double *number = numbers_of(h, k);
    number[1] = cr_vector_dot(d->n, s_of(h, k), q) * number[0];
    cr_vector_combine(d->n, q, -number[1], y_of(h, k), q);
  }
  for (int64_t k = 0; k < d->n; k++) q[k] *= scale;
  for (int64_t k = 0; k < h->used; k++) {
    const double *number = numbers_of(h, k);
    double beta = cr_vector_dot(d->n, y_of(h, k), q) * number[0];
    cr_vector_combine(d->n, q, number[1] - beta, s_of(h, k), q);
  }
}

/* Room for one more pair: the oldest goes where there are as many as there may be. */
static cr_status make_room(cr_descent *d, pairs *h) {
  int64_t most = (int64_t)cr_number_of(&d->o->arguments, "history_size", 100), row = 2 * d->n + 2;
  if (h->used < most) {
    h->row = cr_descent_keep(d, "pairs", row * ++h->used);
    return h->row ? CR_OK : CR_NO_MEMORY;
  }
  memmove(h->row, h->row + row, (size_t)(row * (h->used - 1)) * sizeof *h->row);
  return CR_OK;
}

/* Takes in the pair of the last step, if its curvature is positive. */
static cr_status remember(cr_descent *d, pairs *h, double *scale) {
  const double *last = cr_descent_keep(d, "last", 2 * d->n);
  double *y = d->at; /* free until the search */
  cr_vector_combine(d->n, d->g, -1, last + d->n, y);
  double ys = cr_vector_dot(d->n, y, last);
  if (!(ys > 1e-10)) return CR_OK;
  cr_status status = make_room(d, h);
  if (status != CR_OK) return status;
  last = cr_descent_keep(d, "last", 2 * d->n);
  memcpy(s_of(h, h->used - 1), last, (size_t)d->n * sizeof *last);
  memcpy(y_of(h, h->used - 1), y, (size_t)d->n * sizeof *y);
  numbers_of(h, h->used - 1)[0] = 1 / ys;
  *scale = ys / cr_vector_dot(d->n, y, y);
  return CR_OK;
}

static cr_status find_direction(cr_descent *d) {
  pairs h = {.n = d->n, .used = cr_descent_kept(d, "pairs") / (2 * d->n + 2)};
  int known = cr_descent_kept(d, "last") > 0;
  h.row = cr_descent_keep(d, "pairs", h.used * (2 * d->n + 2));
  double *scale = cr_descent_keep(d, "scale", 1);
  if (!h.row || !scale) return CR_NO_MEMORY;
  if (!known) *scale = 1;
  cr_status status = known ? remember(d, &h, scale) : CR_OK;
  if (status == CR_OK) two_loops(d, &h, *scale);
  return status;
}

/* Evaluations that a step may take, that of its start too. */
static int most_evaluations(const cr_arguments *a) {
  double iterations = cr_number_of(a, "max_iter", 1);
  return (int)cr_number_of(a, "max_eval", iterations > 1 ? floor(1.25 * iterations) : 26);
}

/* Along the direction by the method of line_search_fn. */
static cr_status go(cr_descent *d, cr_line *line, int search) {
  if (search) return cr_line_search(d, line);
  cr_vector_combine(d->n, d->x, line->step, d->direction, d->at);
  return cr_descent_evaluate(d, d->at, &line->loss, d->gradient);
}

/* One iteration; *ended where nothing more is to be had. */
static cr_status iterate(cr_descent *d, int search, double *loss, int *evaluations, int *ended) {
  const cr_arguments *a = &d->o->arguments;
  double tolerance = cr_number_of(a, "tolerance_change", 0), before = *loss;
  int known = cr_descent_kept(d, "last") > 0;
  cr_status status = find_direction(d);
  if (status != CR_OK) return status;
  if (cr_vector_dot(d->n, d->g, d->direction) > -tolerance) return d->report->stuck = *ended = 1, CR_OK;
  cr_line line = {known ? d->o->rate : cr_short_step(d), before, 1e-4, 0.9, tolerance, most_evaluations(a) - *evaluations};
  int earlier = d->report->evaluations;
  if ((status = go(d, &line, search)) == CR_OK) status = keep_last(d, line.step);
  if (status != CR_OK) return status;
  *loss = line.loss;
  *evaluations += d->report->evaluations - earlier;
  *ended = *evaluations >= most_evaluations(a) || fabs(*loss - before) < tolerance ||
           cr_vector_largest(d->n, d->gradient) <= cr_number_of(a, "tolerance_grad", 0) ||
           cr_vector_largest(d->n, d->direction) * line.step <= tolerance;
  memcpy(d->x, d->at, (size_t)d->n * sizeof *d->x);
  memcpy(d->g, d->gradient, (size_t)d->n * sizeof *d->g);
  return CR_OK;
}

cr_status cr_step_lbfgs(cr_descent *d) {
  const cr_arguments *a = &d->o->arguments;
  const char *search = cr_text_of(a, "line_search_fn");
  double loss = d->report->loss;
  int evaluations = 1, ended = d->report->stuck = cr_vector_largest(d->n, d->g) <= cr_number_of(a, "tolerance_grad", 0);
  cr_status status = CR_OK;
  for (double k = 0; k < cr_number_of(a, "max_iter", 1) && !ended && status == CR_OK; k++)
    status = iterate(d, search && !strcmp(search, "strong_wolfe"), &loss, &evaluations, &ended);
  return status;
}

/* BFGS with H itself. */

/* H from the pair of the last step, where its curvature is positive; H is scaled to it at first (Nocedal and Wright
 * 2006, 6.17 and 6.20). */
static void update(cr_descent *d, double *h, const double *s, const double *before, int first) {
  double *y = d->at, *hy = d->gradient;
  cr_vector_combine(d->n, d->g, -1, before, y);
  double ys = cr_vector_dot(d->n, y, s);
  if (!(ys > 1e-10)) return;
  if (first)
    for (int64_t i = 0; i < d->n; i++) h[i * d->n + i] = ys / cr_vector_dot(d->n, y, y);
  for (int64_t i = 0; i < d->n; i++) hy[i] = cr_vector_dot(d->n, h + i * d->n, y);
  double rho = 1 / ys, both = rho * (1 + rho * cr_vector_dot(d->n, y, hy));
  for (int64_t i = 0; i < d->n; i++)
    for (int64_t j = 0; j < d->n; j++) h[i * d->n + j] += both * s[i] * s[j] - rho * (hy[i] * s[j] + s[i] * hy[j]);
}

cr_status cr_step_bfgs(cr_descent *d) {
  const cr_arguments *a = &d->o->arguments;
  int known = cr_descent_kept(d, "last") > 0;
  cr_status status = cr_descent_may_square(d);
  if (status != CR_OK) return status;
  double *h = cr_descent_keep(d, "inverse", d->n * d->n), *state = cr_descent_keep(d, "updates", 1);
  if (!h || !state) return CR_NO_MEMORY;
  for (int64_t i = 0; !known && i < d->n; i++) h[i * d->n + i] = 1;
  const double *last = known ? cr_descent_keep(d, "last", 2 * d->n) : NULL;
  if (last) update(d, h, last, last + d->n, state[0]++ == 0);
  for (int64_t i = 0; i < d->n; i++) d->direction[i] = -cr_vector_dot(d->n, h + i * d->n, d->g);
  d->report->stuck = !(cr_vector_dot(d->n, d->g, d->direction) < 0);
  if (d->report->stuck) return CR_OK;
  cr_line line = {known ? d->o->rate : cr_short_step(d),
                  d->report->loss,
                  cr_number_of(a, "c1", 1e-4),
                  cr_number_of(a, "c2", 0.9),
                  1e-16,
                  25};
  status = cr_line_search(d, &line);
  return status == CR_OK ? keep_last(d, line.step) : status;
}
