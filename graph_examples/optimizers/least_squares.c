/* Levenberg and Marquardt's method over the residuals r and their Jacobian J: (J'J + damping D) step = -J'r, with the
 * library's own Cholesky factors, on a tape of its own. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <chainrule.h>

#include "descent.h"

enum { MOST_TRIALS = 40, MOST_POWERS = 100 };

typedef struct normal { /* the normal equations at x */
  int64_t residuals;
  double loss;
  double *j, *jj, *u;     /* (residuals, n), (n, n), (n) */
  const double *gradient; /* J'r */
  cr_tape *t;
} normal;

static cr_status check_residuals(const cr_descent *d, cr_var r) {
  cr_array a = cr_view(r);
  for (int64_t k = 0; k < a.count; k++)
    if (!isfinite(cr_array_get(&a, k)))
      return cr_refuse(d->p, CR_NOT_FINITE, "%s: residual %lld is %g; no step is taken", d->o->arguments.name, (long long)k,
                       cr_array_get(&a, k));
  return a.count ? CR_OK : cr_refuse(d->p, CR_BAD_ARGUMENT, "%s: there are no residuals", d->o->arguments.name);
}

/* J, a block of columns for each parameter. */
static cr_status differentiate(cr_descent *d, cr_var r, normal *e) {
  int64_t column = 0;
  e->residuals = cr_count(r);
  e->j = calloc((size_t)(e->residuals * d->n) + 1, sizeof *e->j);
  double *block = calloc((size_t)(e->residuals * d->n) + 1, sizeof *block);
  cr_status status = e->j && block ? CR_OK
                                   : cr_refuse(d->p, CR_NO_MEMORY, "%s: no memory for a Jacobian of %lld by %lld",
                                               d->o->arguments.name, (long long)e->residuals, (long long)d->n);
  for (int k = 0; k < cr_model_count(d->m) && status == CR_OK; k++) {
    const cr_parameter *q = cr_model_parameter(d->m, k);
    cr_var leaf = cr_model_leaf(d->m, k);
    if (!q->trainable) continue;
    if (!cr_is_poison(leaf) && cr_jacobian(r, leaf, block) != CR_OK) status = cr_descent_failure(d);
    for (int64_t i = 0; i < e->residuals && !cr_is_poison(leaf); i++)
      memcpy(e->j + i * d->n + column, block + i * q->value.count, (size_t)q->value.count * sizeof *block);
    column += q->value.count;
  }
  free(block);
  return status;
}

/* J'J and J'r, by a product of the library. */
static cr_status multiply(cr_descent *d, const double *r, normal *e) {
  cr_status status = cr_descent_may_square(d);
  if (status != CR_OK) return status;
  cr_var j = cr_constant_of(e->t, CR_FLOAT64, 2, (const int64_t[]){e->residuals, d->n}, e->j);
  cr_var jt = cr_transpose(j, 0, 1), jj = cr_matmul(jt, j),
         jr = cr_matmul(jt, cr_constant_of(e->t, CR_FLOAT64, 1, &e->residuals, r));
  e->jj = calloc((size_t)(d->n * d->n) + 1, sizeof *e->jj);
  e->u = calloc((size_t)d->n + 1, sizeof *e->u);
  if (!e->jj || !e->u || cr_error(e->t) != CR_OK)
    return cr_refuse(d->p, CR_NO_MEMORY, "%s: no memory for the normal equations", d->o->arguments.name);
  cr_read(jj, e->jj, d->n * d->n);
  cr_read(jr, d->g, d->n);
  return CR_OK;
}

/* The residuals in memory that is the caller's, NULL after a failure, and half their squares. */
static double *read_residuals(cr_descent *d, cr_var r, double *loss) {
  int64_t n = cr_count(r);
  double *numbers = calloc((size_t)n + 1, sizeof *numbers);
  if (!numbers) return cr_refuse(d->p, CR_NO_MEMORY, "%s: out of memory", d->o->arguments.name), NULL;
  cr_read(r, numbers, n);
  *loss = cr_vector_dot(n, numbers, numbers) / 2;
  return numbers;
}

static cr_status linearize(cr_descent *d, normal *e) {
  cr_var r = cr_descent_record(d);
  if (cr_is_poison(r)) return cr_descent_failure(d);
  cr_status status = check_residuals(d, r);
  if (status != CR_OK) return status;
  double *numbers = read_residuals(d, r, &e->loss);
  if (!numbers) return CR_NO_MEMORY;
  status = differentiate(d, r, e);
  if (status == CR_OK) status = multiply(d, numbers, e);
  d->report->gradient_norm = sqrt(cr_vector_dot(d->n, d->g, d->g));
  free(numbers);
  return status;
}

/* The largest eigenvalue of a, or of the inverse of what factor is of where that is given, by powers. */
static double largest_eigenvalue(const normal *e, int64_t n, cr_var a, cr_var factor) {
  double found = 0, before = -1;
  for (int64_t k = 0; k < n; k++) e->u[k] = 1 + 0.5 * sin((double)k + 1); /* in no special direction */
  for (int k = 0; k < MOST_POWERS && fabs(found - before) > 1e-7 * found; k++) {
    cr_mark mark = cr_mark_here(e->t);
    double norm = sqrt(cr_vector_dot(n, e->u, e->u));
    for (int64_t i = 0; i < n; i++) e->u[i] /= norm;
    cr_var v = cr_constant_of(e->t, CR_FLOAT64, 2, (const int64_t[]){n, 1}, e->u);
    before = found;
    cr_read(cr_is_poison(factor) ? cr_matmul(a, v) : cr_cholesky_solve(v, factor, 0), e->u, n);
    found = sqrt(cr_vector_dot(n, e->u, e->u));
    cr_reset(e->t, mark);
  }
  return found;
}

/* Solves for d->direction; 0 where the matrix is not positive definite. With condition: that of the matrix too. */
static int solve(cr_descent *d, const normal *e, double damping, double *condition) {
  int64_t shape[] = {d->n, d->n};
  cr_mark mark = cr_mark_here(e->t);
  cr_var a = cr_constant_of(e->t, CR_FLOAT64, 2, shape, e->jj),
         g = cr_constant_of(e->t, CR_FLOAT64, 2, (const int64_t[]){d->n, 1}, d->g);
  cr_array numbers = cr_view(a);
  int diagonal = !strcmp(cr_text_of(&d->o->arguments, "scaling"), "diagonal");
  for (int64_t k = 0; k < d->n; k++) {
    double on = cr_array_get(&numbers, k * d->n + k);
    cr_array_set(&numbers, k * d->n + k, on + damping * (diagonal ? fmax(on, 1e-12) : 1));
  }
  cr_var factor = cr_cholesky(a, 0);
  cr_status status = cr_read(cr_neg(cr_cholesky_solve(g, factor, 0)), d->direction, d->n);
  if (condition) *condition = largest_eigenvalue(e, d->n, a, cr_poison(e->t)) * largest_eigenvalue(e, d->n, a, factor);
  int good = status == CR_OK && cr_error(e->t) == CR_OK && isfinite(cr_vector_dot(d->n, d->direction, d->direction));
  cr_clear_error(e->t);
  cr_reset(e->t, mark);
  return good;
}

/* Half the squares of the residuals at x. */
static cr_status evaluate(cr_descent *d, const double *x, double *loss) {
  cr_descent_place(d, x);
  cr_var r = cr_descent_record(d);
  if (cr_is_poison(r)) return cr_descent_failure(d);
  double *numbers = read_residuals(d, r, loss);
  free(numbers);
  return numbers ? CR_OK : CR_NO_MEMORY;
}

/* Whether a step is better. Close to the minimum what it promises, -g'h, is below the loss's rounding, which then decides
 * nothing: the step is taken unless it moves no number. */
static int is_better(const cr_descent *d, double before, double after) {
  const double rounding = 32 * DBL_EPSILON * before;
  int moves = 0;
  for (int64_t k = 0; k < d->n; k++) moves |= d->at[k] < d->x[k] || d->at[k] > d->x[k];
  return after < before ||
         (moves && after - before <= rounding && -cr_vector_dot(d->n, d->g, d->direction) <= rounding);
}

/* More damping until the loss falls. */
static cr_status try_steps(cr_descent *d, const normal *e, double *damping) {
  const cr_arguments *a = &d->o->arguments;
  for (int k = 0; k < MOST_TRIALS && *damping < 1e300; k++) {
    double loss = (double)NAN;
    d->report->damping = *damping;
    if (solve(d, e, *damping, &d->report->condition)) {
      cr_vector_combine(d->n, d->x, 1, d->direction, d->at);
      cr_status status = evaluate(d, d->at, &loss);
      if (status != CR_OK) return status;
    }
    if (is_better(d, e->loss, loss)) {
      *damping = fmax(*damping / cr_number_of(a, "down", 10), 1e-300);
      return CR_OK;
    }
    *damping = fmax(*damping, 1e-16) * cr_number_of(a, "up", 10);
  }
  d->report->stuck = 1;
  cr_descent_place(d, d->x);
  return CR_OK;
}

cr_status cr_step_levenberg_marquardt(cr_descent *d) {
  const cr_arguments *a = &d->o->arguments;
  int known = cr_descent_kept(d, "damping") > 0;
  double *damping = cr_descent_keep(d, "damping", 1);
  normal e = {.t = cr_new()};
  cr_status status = damping && e.t ? CR_OK : cr_refuse(d->p, CR_NO_MEMORY, "%s: out of memory", a->name);
  if (status == CR_OK && !known) *damping = cr_number_of(a, "damping", 1e-3);
  if (status == CR_OK) status = linearize(d, &e);
  d->report->loss = e.loss;
  if (status == CR_OK) status = try_steps(d, &e, damping);
  cr_free(e.t);
  free(e.j);
  free(e.jj);
  free(e.u);
  return status;
}
