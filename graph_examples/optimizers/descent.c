/* The model as one vector, for methods that look at all parameters at once. They work in float64, whatever the model's
 * dtype. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <op.h>

#include "descent.h"

double cr_vector_dot(int64_t n, const double *a, const double *b) {
  double sum = 0;
  for (int64_t k = 0; k < n; k++) sum += a[k] * b[k];
  return sum;
}

double cr_vector_largest(int64_t n, const double *a) {
  double most = 0;
  for (int64_t k = 0; k < n; k++)
    if (fabs(a[k]) > most) most = fabs(a[k]);
  return most;
}

void cr_vector_combine(int64_t n, const double *a, double factor, const double *b, double *out) {
  for (int64_t k = 0; k < n; k++) out[k] = a[k] + factor * b[k];
}

/* The parameters that are trained, one after the other; from is where the last one ended. NULL past the end. */
static cr_parameter *next_trained(const cr_model *m, int *k, int64_t *from, int64_t *to) {
  *from = *to;
  cr_parameter *q;
  while ((q = cr_model_parameter(m, (*k)++)))
    if (q->trainable) return *to += q->value.count, q;
  return NULL;
}

void cr_descent_place(const cr_descent *d, const double *x) {
  int at = 0;
  int64_t from, to = 0;
  for (cr_parameter *q; (q = next_trained(d->m, &at, &from, &to));)
    for (int64_t k = 0; k < q->value.count; k++) cr_array_set(&q->value, k, x[from + k]);
}

static void values(const cr_descent *d, double *x) {
  int at = 0;
  int64_t from, to = 0;
  for (const cr_parameter *q; (q = next_trained(d->m, &at, &from, &to));)
    for (int64_t k = 0; k < q->value.count; k++) x[from + k] = cr_array_get(&q->value, k);
}

static void gradients(const cr_descent *d, double *g) {
  int at = 0;
  int64_t from, to = 0;
  for (const cr_parameter *q; (q = next_trained(d->m, &at, &from, &to));)
    for (int64_t k = 0; k < q->value.count; k++) g[from + k] = q->gradient.data ? cr_array_get(&q->gradient, k) : 0;
}

cr_status cr_descent_failure(const cr_descent *d) {
  const cr_tape *t = cr_model_tape(d->m);
  return cr_refuse(d->p, cr_error(t) == CR_OK ? CR_NO_MEMORY : cr_error(t), "%s: %s", d->o->arguments.name,
                   cr_error(t) == CR_OK ? "out of memory" : cr_error_text(t));
}

cr_var cr_descent_record(cr_descent *d) {
  cr_model_begin(d->m, cr_model_is_training(d->m));
  d->report->evaluations++;
  cr_var y = d->f(d->m, d->user);
  if (cr_error(cr_model_tape(d->m)) != CR_OK) return cr_poison(cr_model_tape(d->m));
  return y;
}

cr_status cr_descent_evaluate(cr_descent *d, const double *x, double *loss, double *gradient) {
  cr_descent_place(d, x);
  cr_var y = cr_descent_record(d);
  if (cr_is_poison(y)) return cr_descent_failure(d);
  *loss = cr_value(y);
  if (!gradient) return CR_OK;
  if (cr_model_backward(d->m, y) != CR_OK) return cr_descent_failure(d);
  gradients(d, gradient);
  return CR_OK;
}

int64_t cr_descent_kept(const cr_descent *d, const char *name) {
  for (const cr_kept *k = d->o->kept; k < d->o->kept + CR_MOST_KEPT; k++)
    if (k->data && !strcmp(k->name, name)) return k->count;
  return 0;
}

cr_status cr_descent_may_square(const cr_descent *d) {
  enum { MOST = 1 << 14 };
  if (d->n <= MOST) return CR_OK;
  return cr_refuse(d->p, CR_OVER_LIMIT,
                   "%s keeps a square matrix of %lld rows, one for each parameter, and %d is the most: take lbfgs",
                   d->o->arguments.name, (long long)d->n, (int)MOST);
}

double *cr_descent_keep(cr_descent *d, const char *name, int64_t count) {
  cr_kept *k = d->o->kept;
  while (k < d->o->kept + CR_MOST_KEPT - 1 && k->data && strcmp(k->name, name)) k++;
  if (k->data && k->count == count) return k->data;
  double *data = realloc(k->data, ((size_t)count + 1) * sizeof *data);
  if (!data)
    return cr_refuse(d->p, CR_NO_MEMORY, "%s: no memory for %lld numbers", d->o->arguments.name, (long long)count), NULL;
  int64_t old = k->data ? k->count : 0;
  for (int64_t i = old; i < count; i++) data[i] = 0;
  k->data = data;
  k->count = count;
  snprintf(k->name, sizeof k->name, "%s", name);
  return data;
}

/* The loss where the step starts: methods over a scalar are given its gradient, and evaluate it here; the residuals' own
 * method begins by itself. */
static cr_status start(cr_descent *d, double loss) {
  values(d, d->origin);
  memcpy(d->x, d->origin, (size_t)d->n * sizeof *d->x);
  d->report->loss = loss;
  if (d->o->method->needs == 2) return CR_OK;
  cr_status status = cr_gradients_finite(d->m, &d->report->gradient_norm, d->p);
  if (status != CR_OK) return status;
  gradients(d, d->g);
  if (isnan(loss)) status = cr_descent_evaluate(d, d->x, &d->report->loss, NULL);
  if (status == CR_OK && !isfinite(d->report->loss))
    status = cr_refuse(d->p, CR_NOT_FINITE, "%s: the loss is %g; no step is taken", d->o->arguments.name, d->report->loss);
  return status;
}

cr_status cr_descent_step(cr_optimizer *o, cr_model *m, cr_objective f, void *user, double loss, cr_step *report,
                          cr_problem *p) {
  cr_step own;
  cr_descent d = {.o = o, .m = m, .f = f, .user = user, .report = report ? report : &own, .p = p, .n = cr_model_size(m)};
  double *memory = calloc(6 * (size_t)d.n + 1, sizeof *memory);
  if (!memory) return cr_refuse(p, CR_NO_MEMORY, "%s: out of memory", o->arguments.name);
  d.origin = memory, d.x = d.origin + d.n, d.g = d.x + d.n, d.direction = d.g + d.n, d.at = d.direction + d.n,
  d.gradient = d.at + d.n;
  *d.report = (cr_step){.damping = (double)NAN, .condition = (double)NAN};
  cr_status status = start(&d, loss);
  if (status == CR_OK) status = o->method->step(&d);
  if (status == CR_OK) {
    values(&d, d.at);
    cr_vector_combine(d.n, d.at, -1, d.origin, d.at);
    d.report->step_norm = sqrt(cr_vector_dot(d.n, d.at, d.at));
    o->t++;
  } else {
    cr_descent_place(&d, d.origin);
  }
  free(memory);
  return status;
}
