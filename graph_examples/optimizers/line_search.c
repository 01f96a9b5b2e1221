/* A step along a direction that meets the strong Wolfe conditions: the loss falls by c1 of what the slope promises, and the
 * slope flattens to c2 of what it was. Brackets such a step, then narrows the bracket by cubic interpolation (Nocedal and
 * Wright 2006, algorithms 3.5 and 3.6), with the safeguards of minFunc (Schmidt 2005), so that steps are those of
 * torch.optim.LBFGS. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "descent.h"

typedef struct trial { /* a step, and the loss, its slope along the direction and its gradient there */
  double step, loss, slope, *gradient;
} trial;

typedef struct search {
  cr_descent *d;
  const cr_line *line;
  double loss, slope; /* at the start */
  trial now, a, b;    /* a and b: the bracket; b is unused where a is the answer */
  int trials, done;
} search;

/* Where the cubic through two trials has its minimum, kept in [low, high]. */
static double cubic_minimum(const trial *p, const trial *q, double low, double high) {
  const trial *first = p->step <= q->step ? p : q, *last = first == p ? q : p;
  double d1 = p->slope + q->slope - 3 * (p->loss - q->loss) / (p->step - q->step);
  double square = d1 * d1 - p->slope * q->slope;
  if (!(square >= 0)) return (low + high) / 2;
  double d2 = sqrt(square);
  double x = last->step - (last->step - first->step) * ((last->slope + d2 - d1) / (last->slope - first->slope + 2 * d2));
  return fmin(fmax(x, low), high);
}

static cr_status try_step(search *s, double step) {
  cr_descent *d = s->d;
  s->now.step = step;
  cr_vector_combine(d->n, d->x, step, d->direction, d->at);
  cr_status status = cr_descent_evaluate(d, d->at, &s->now.loss, s->now.gradient);
  s->now.slope = cr_vector_dot(d->n, s->now.gradient, d->direction);
  return status;
}

/* The trial's numbers, in the memory that to has. */
static void keep(const search *s, trial *to, const trial *from) {
  double *own = to->gradient;
  memcpy(own, from->gradient, (size_t)s->d->n * sizeof *own);
  *to = *from;
  to->gradient = own;
}

static int too_high(const search *s) { return !(s->now.loss <= s->loss + s->line->c1 * s->now.step * s->slope); }
static int is_flat(const search *s) { return fabs(s->now.slope) <= -s->line->c2 * s->slope; }

/* Grows the step until the answer or a bracket [a, b] of it is found; a is the trial before, at first the start. */
static cr_status bracket(search *s) {
  cr_status status = try_step(s, s->line->step);
  for (; status == CR_OK; s->trials++) {
    if (s->trials == s->line->most_trials) break;
    if (too_high(s) || (s->trials > 1 && s->now.loss >= s->a.loss)) break;
    if ((s->done = is_flat(s)) || s->now.slope >= 0) break;
    double low = s->now.step + 0.01 * (s->now.step - s->a.step), next = cubic_minimum(&s->a, &s->now, low, 10 * s->now.step);
    keep(s, &s->a, &s->now);
    status = try_step(s, next);
  }
  if (s->trials == s->line->most_trials) {
    s->a = (trial){0, s->loss, s->slope, s->a.gradient};
    memcpy(s->a.gradient, s->d->g, (size_t)s->d->n * sizeof(double));
  }
  keep(s, &s->b, &s->now);
  return status;
}

/* The next step to try inside the bracket; *stalled: the last one was already near one of its ends. */
static double next_inside(const search *s, int *stalled) {
  double low = fmin(s->a.step, s->b.step), high = fmax(s->a.step, s->b.step), margin = 0.1 * (high - low);
  double step = cubic_minimum(&s->a, &s->b, low, high);
  int near_end = fmin(high - step, step - low) < margin, move = near_end && (*stalled || step >= high || step <= low);
  *stalled = near_end && !move;
  if (!move) return step;
  return fabs(step - high) < fabs(step - low) ? high - margin : low + margin;
}

/* Narrows the bracket, whose end with the lower loss is the answer. */
static cr_status zoom(search *s, double longest) {
  cr_status status = CR_OK;
  int stalled = 0;
  trial *low = s->b.loss < s->a.loss ? &s->b : &s->a, *high = low == &s->a ? &s->b : &s->a;
  while (!s->done && s->trials < s->line->most_trials && fabs(s->b.step - s->a.step) * longest >= s->line->tolerance) {
    if ((status = try_step(s, next_inside(s, &stalled))) != CR_OK) break;
    s->trials++;
    if (too_high(s) || s->now.loss >= low->loss) {
      keep(s, high, &s->now);
      low = s->b.loss < s->a.loss ? &s->b : &s->a, high = low == &s->a ? &s->b : &s->a;
      continue;
    }
    s->done = is_flat(s);
    if (!s->done && s->now.slope * (high->step - low->step) >= 0) keep(s, high, low);
    keep(s, low, &s->now);
  }
  keep(s, &s->now, low);
  return status;
}

cr_status cr_line_search(cr_descent *d, cr_line *line) {
  double *memory = calloc(2 * (size_t)d->n + 1, sizeof *memory);
  if (!memory) return cr_refuse(d->p, CR_NO_MEMORY, "%s: out of memory", d->o->arguments.name);
  search s = {.d = d, .line = line, .loss = line->loss, .slope = cr_vector_dot(d->n, d->g, d->direction)};
  s.now.gradient = d->gradient;
  s.a = (trial){0, s.loss, s.slope, memory};
  s.b.gradient = memory + d->n;
  memcpy(s.a.gradient, d->g, (size_t)d->n * sizeof *memory);
  cr_status status = bracket(&s);
  if (status == CR_OK && !s.done) status = zoom(&s, cr_vector_largest(d->n, d->direction));
  line->step = s.now.step;
  line->loss = s.now.loss;
  d->report->stuck = status == CR_OK && line->step == 0;
  cr_vector_combine(d->n, d->x, line->step, d->direction, d->at);
  cr_descent_place(d, d->at);
  free(memory);
  return status;
}

double cr_short_step(const cr_descent *d) {
  double sum = 0;
  for (int64_t k = 0; k < d->n; k++) sum += fabs(d->g[k]);
  return fmin(1, 1 / sum) * d->o->rate;
}
