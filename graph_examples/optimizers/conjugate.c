/* Nonlinear conjugate gradients (Nocedal and Wright 2006, 5.2). */
#include <math.h>
#include <string.h>

#include "descent.h"

/* How much of the direction before goes into the next one. */
static double beta(const cr_descent *d, const double *before) {
  double gg = cr_vector_dot(d->n, d->g, d->g), pp = cr_vector_dot(d->n, before, before),
         gp = cr_vector_dot(d->n, d->g, before);
  if (!strcmp(cr_text_of(&d->o->arguments, "beta"), "fletcher_reeves")) return gg / pp;
  return fmax(0, (gg - gp) / pp);
}

cr_status cr_step_conjugate_gradient(cr_descent *d) {
  const cr_arguments *a = &d->o->arguments;
  int known = cr_descent_kept(d, "last") > 0;
  double *last = cr_descent_keep(d, "last", 2 * d->n + 2); /* direction and gradient before, step and slope along it */
  if (!last) return CR_NO_MEMORY;
  double share = known ? beta(d, last + d->n) : 0, *p = d->direction;
  for (int64_t k = 0; k < d->n; k++) p[k] = -d->g[k] + share * last[k];
  double slope = cr_vector_dot(d->n, d->g, p);
  if (!(slope < 0)) { /* uphill: begin again with the gradient */
    for (int64_t k = 0; k < d->n; k++) p[k] = -d->g[k];
    slope = -cr_vector_dot(d->n, d->g, d->g);
  }
  d->report->stuck = slope == 0;
  if (slope == 0) return CR_OK;
  /* The first-order change of the loss is taken to be that of the step before. */
  double first = known && last[2 * d->n] > 0 ? last[2 * d->n] * last[2 * d->n + 1] / slope : cr_short_step(d);
  cr_line line = {first, d->report->loss, cr_number_of(a, "c1", 1e-4), cr_number_of(a, "c2", 0.1), 1e-16, 25};
  cr_status status = cr_line_search(d, &line);
  if (status != CR_OK) return status;
  memcpy(last, p, (size_t)d->n * sizeof *p);
  memcpy(last + d->n, d->g, (size_t)d->n * sizeof *p);
  last[2 * d->n] = line.step;
  last[2 * d->n + 1] = slope;
  return CR_OK;
}
