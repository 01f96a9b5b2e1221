/* chainrule surface: a slice through a function of one or two inputs, and where descents from several starts end. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "surface.h"

enum { COLUMNS = 60, ROWS = 20, MOST_STEPS = 2000 };

/* Ranges */

/* NAME=LOW:HIGH out of the assignments: the name gets its middle, so that the source can run. */
static bool take_range(context *c, surface *s, int k) {
  const char *text = c->assignment[k], *value = strchr(text, '=') + 1, *colon = strchr(value, ':');
  char *end, *after;
  if (s->n == 2) return complain("surface takes one or two ranges; '%s' is one too many", text), false;
  range *r = &s->range[s->n++];
  r->low = strtod(value, &end);
  r->high = strtod(colon + 1, &after);
  if (end == value || end != colon || after == colon + 1 || *after || !(r->low < r->high))
    return complain("'%s' is no range: NAME=LOW:HIGH, as in w=-2:2", text), false;
  snprintf(r->name, sizeof r->name, "%.*s", (int)(value - 1 - text), text);
  snprintf(r->middle, sizeof r->middle, "%.*s=%.17g", (int)(value - 1 - text), text, (r->low + r->high) / 2);
  c->assignment[k] = r->middle;
  return true;
}

static bool open_surface(context *c, surface *s) {
  cr_results results;
  for (int k = 0; k < c->n_assignments; k++)
    if (strchr(c->assignment[k], ':') && c->assignment[k][strcspn(c->assignment[k], "=") + 1] != '@' && !take_range(c, s, k))
      return false;
  if (!s->n) return complain("surface wants a range or two: NAME=LOW:HIGH, as in w=-2:2"), false;
  if (!run_source(c, &results)) return false;
  s->tape = c->tape;
  s->y = results.value[0];
  if (results.n > 1 || cr_count(s->y) != 1) return complain("surface wants one number as the result"), false;
  for (int i = 0; i < s->n; i++) {
    s->leaf[i] = cr_program_value(c->program, s->range[i].name);
    if (cr_is_poison(s->leaf[i]) || cr_op_of(s->leaf[i]) || cr_count(s->leaf[i]) != 1)
      return complain("%s is no number that can be changed", s->range[i].name), false;
  }
  return true;
}

/* The function and its gradient */

static double value_at(const surface *s, const double *x) {
  for (int i = 0; i < s->n; i++) cr_set_value(s->leaf[i], x[i]);
  return cr_replay(s->tape) == CR_OK ? cr_value(s->y) : (double)NAN;
}

static double gradient_at(const surface *s, const double *x, double *g) {
  double norm = 0;
  value_at(s, x);
  cr_mark mark = cr_mark_here(s->tape);
  cr_sweep *sweep = cr_backward(s->y);
  for (int i = 0; i < s->n; i++) {
    g[i] = sweep ? cr_adjoint(sweep, s->leaf[i]) : (double)NAN;
    norm += g[i] * g[i];
  }
  cr_reset(s->tape, mark);
  return sqrt(norm);
}

/* Steepest descent; the step is halved until the value falls enough (Armijo), and doubled after each success. */
static void descend(const surface *s, descent *d) {
  double rate = 1, g[2], x[2], f = value_at(s, d->start);
  memcpy(d->end, d->start, sizeof d->end);
  for (d->steps = 0; d->steps < MOST_STEPS; d->steps++, rate *= 2) {
    double next = f;
    d->norm = gradient_at(s, d->end, g);
    if (!(d->norm > 1e-9)) break;
    for (bool falls = false; !falls && rate > 1e-16; rate *= falls ? 1 : 0.5) {
      for (int i = 0; i < s->n; i++) x[i] = d->end[i] - rate * g[i];
      next = value_at(s, x);
      falls = next <= f - 0.3 * rate * d->norm * d->norm;
    }
    if (!(next < f)) break;
    memcpy(d->end, x, sizeof x);
    f = next;
  }
  d->value = f;
}

/* The first descent that ended at the same place. */
static int same_end(surface *s, int k) {
  for (int j = 0; j < k; j++) {
    double far = 0;
    for (int i = 0; i < s->n; i++)
      far = fmax(far, fabs(s->descent[j].end[i] - s->descent[k].end[i]) / (s->range[i].high - s->range[i].low));
    if (far < 1e-3) return s->descent[j].basin;
  }
  return s->n_basins++;
}

static double along(const range *r, int k, int n) { return r->low + (r->high - r->low) * k / (n - 1); }

static void fill(surface *s) {
  s->rows = s->n == 2 ? ROWS + 1 : 1;
  s->columns = COLUMNS + 1;
  for (int row = 0; row < s->rows; row++)
    for (int column = 0; column < s->columns; column++) {
      double x[2] = {along(&s->range[0], column, s->columns), s->n == 2 ? along(&s->range[1], row, s->rows) : 0};
      s->value[row * s->columns + column] = value_at(s, x);
    }
  int side = s->n == 2 ? 3 : 7;
  s->n_descents = s->n == 2 ? side * side : side;
  for (int k = 0; k < s->n_descents; k++) {
    descent *d = &s->descent[k];
    *d = (descent){.start = {along(&s->range[0], k % side, side), s->n == 2 ? along(&s->range[1], k / side, side) : 0}};
    descend(s, d);
    d->basin = same_end(s, k);
  }
}

static int put_surface_json(const surface *s) {
  json_t *object = json_object(), *ranges = json_object(), *values = json_array(), *descents = json_array();
  for (int i = 0; i < s->n; i++)
    json_object_set_new(ranges, s->range[i].name, json_pack("[ff]", s->range[i].low, s->range[i].high));
  for (int k = 0; k < s->rows * s->columns; k++) json_array_append_new(values, json_number_of(s->value[k]));
  for (int k = 0; k < s->n_descents; k++) {
    const descent *d = &s->descent[k];
    json_t *start = json_array(), *end = json_array(), *one = json_object();
    for (int i = 0; i < s->n; i++) json_array_append_new(start, json_number_of(d->start[i]));
    for (int i = 0; i < s->n; i++) json_array_append_new(end, json_number_of(d->end[i]));
    json_object_set_new(one, "start", start);
    json_object_set_new(one, "end", end);
    json_object_set_new(one, "value", json_number_of(d->value));
    json_object_set_new(one, "gradient_norm", json_number_of(d->norm));
    json_object_set_new(one, "minimum", json_integer(d->basin + 1));
    json_array_append_new(descents, one);
  }
  json_object_set_new(object, "ranges", ranges);
  json_object_set_new(object, "shape", s->n == 2 ? json_pack("[ii]", s->rows, s->columns) : json_pack("[i]", s->columns));
  json_object_set_new(object, "values", values);
  json_object_set_new(object, "descents", descents);
  return put_json(stdout, object);
}

int verb_surface(context *c) {
  surface *s = calloc(1, sizeof *s);
  if (!s) return complain_memory();
  int status = STATUS_USAGE;
  if (open_surface(c, s)) {
    fill(s);
    status = cr_error(c->tape) != CR_OK ? complain_tape(c, NULL) : has(c, OPT_JSON) ? put_surface_json(s) : STATUS_GOOD;
    if (status == STATUS_GOOD && !has(c, OPT_JSON)) put_surface(stdout, s);
  }
  free(s);
  return status;
}
