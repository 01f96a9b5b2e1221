/* Truncated Newton: the Newton direction by conjugate gradients over Hessian-vector products. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <ops.h>

#include "descent.h"

enum { MOST_LEAVES = 1024 };

typedef struct hessian { /* of the objective, recorded once; its products are recorded above mark */
  cr_descent *d;
  cr_var y;
  int n;
  cr_var x[MOST_LEAVES], tangent[MOST_LEAVES], product[MOST_LEAVES];
  cr_mark mark;
} hessian;

/* out = H v */
static cr_status multiply(hessian *h, const double *v, double *out) {
  cr_tape *t = cr_model_tape(h->d->m);
  const double *from = v;
  for (int k = 0; k < h->n; k++) {
    cr_array like = cr_view(h->x[k]);
    h->tangent[k] = cr_constant_of(t, (cr_dtype)like.dtype, like.rank, like.dim, NULL);
    cr_array to = cr_view(h->tangent[k]);
    for (int64_t i = 0; i < to.count && !cr_is_poison(h->tangent[k]); i++) cr_array_set(&to, i, from[i]);
    from += like.count;
  }
  cr_status status = cr_error(t);
  if (status == CR_OK) status = cr_hvp(h->y, cr_poison(t), h->n, h->x, h->tangent, h->product);
  for (int k = 0; k < h->n && status == CR_OK; k++) {
    status = cr_read(h->product[k], out, cr_count(h->x[k]));
    out += cr_count(h->x[k]);
  }
  cr_reset(t, h->mark);
  return status == CR_OK ? CR_OK : cr_descent_failure(h->d);
}

/* The leaves of all trainable parameters; those that the objective does not use have none, and take no part. */
static cr_status gather(hessian *h) {
  cr_descent *d = h->d;
  for (int k = 0; k < cr_model_count(d->m); k++) {
    if (!cr_model_parameter(d->m, k)->trainable) continue;
    if (h->n == MOST_LEAVES)
      return cr_refuse(d->p, CR_OVER_LIMIT, "%s: more than %d parameter tensors", d->o->arguments.name, MOST_LEAVES);
    h->x[h->n++] = cr_model_leaf(d->m, k);
    if (cr_is_poison(h->x[h->n - 1]))
      return cr_refuse(d->p, CR_BAD_ARGUMENT, "%s: the objective does not use '%s'", d->o->arguments.name,
                       cr_model_parameter(d->m, k)->name);
  }
  return CR_OK;
}

/* d->direction = about -H^-1 g: ends at the residual asked for, or where the curvature is not positive (algorithm 7.1 of
 * Nocedal and Wright 2006). */
static cr_status solve(cr_descent *d, hessian *h, double *r, double *p, double *hp) {
  double norm = sqrt(cr_vector_dot(d->n, d->g, d->g)), enough = fmin(0.5, sqrt(norm)) * norm, rr = norm * norm,
         *z = d->direction;
  for (int64_t k = 0; k < d->n; k++) r[k] = d->g[k], p[k] = -d->g[k], z[k] = 0;
  for (double k = 0; k < cr_number_of(&d->o->arguments, "max_iter", 50) && sqrt(rr) > enough; k++) {
    cr_status status = multiply(h, p, hp);
    if (status != CR_OK) return status;
    double curvature = cr_vector_dot(d->n, p, hp);
    if (!(curvature > 0)) {
      if (k == 0) memcpy(z, p, (size_t)d->n * sizeof *z);
      return CR_OK;
    }
    double step = rr / curvature, old = rr;
    cr_vector_combine(d->n, z, step, p, z);
    cr_vector_combine(d->n, r, step, hp, r);
    rr = cr_vector_dot(d->n, r, r);
    for (int64_t i = 0; i < d->n; i++) p[i] = -r[i] + rr / old * p[i];
  }
  return CR_OK;
}

/* Halves the step until the loss falls enough. */
static cr_status backtrack(cr_descent *d) {
  double slope = cr_vector_dot(d->n, d->g, d->direction), c1 = cr_number_of(&d->o->arguments, "c1", 1e-4), loss;
  for (double step = d->o->rate; step > 1e-12; step /= 2) {
    cr_vector_combine(d->n, d->x, step, d->direction, d->at);
    cr_status status = cr_descent_evaluate(d, d->at, &loss, NULL);
    if (status != CR_OK || loss <= d->report->loss + c1 * step * slope) return status;
  }
  d->report->stuck = 1;
  cr_descent_place(d, d->x);
  return CR_OK;
}

cr_status cr_step_newton_cg(cr_descent *d) {
  hessian *h = calloc(1, sizeof *h);
  double *memory = calloc(3 * (size_t)d->n + 1, sizeof *memory);
  cr_status status = CR_OK;
  if (!h || !memory) {
    status = cr_refuse(d->p, CR_NO_MEMORY, "%s: out of memory", d->o->arguments.name);
  } else {
    h->d = d;
    h->y = cr_descent_record(d);
    h->mark = cr_mark_here(cr_model_tape(d->m));
    status = cr_is_poison(h->y) ? cr_descent_failure(d) : gather(h);
    if (status == CR_OK) status = solve(d, h, memory, memory + d->n, memory + 2 * d->n);
  }
  free(memory);
  free(h);
  d->report->stuck = status == CR_OK && cr_vector_largest(d->n, d->direction) == 0;
  return status == CR_OK && !d->report->stuck ? backtrack(d) : status;
}
