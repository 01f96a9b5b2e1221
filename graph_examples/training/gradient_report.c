/* How large each parameter, its gradient and its change are. */
#include <math.h>
#include <stdlib.h>

#include <op.h>

#include "training_state.h"

static double norm(const cr_array *a, const cr_array *less) {
  double sum = 0;
  for (int64_t i = 0; i < a->count; i++) {
    double x = cr_array_get(a, i) - (less ? cr_array_get(less, i) : 0);
    sum += x * x;
  }
  return sqrt(sum);
}

cr_status cr__report_before(cr_training *k, cr_archive *values) {
  struct cr_training_state *s = k->state;
  int n = cr_model_count(k->model);
  cr_gradient_report *grown = realloc(s->report, (size_t)(n ? n : 1) * sizeof *grown);
  if (!grown) return cr_refuse(&k->problem, CR_NO_MEMORY, "no memory for a report");
  s->report = grown;
  s->n_reported = 0;
  for (int i = 0; i < n; i++) {
    const cr_parameter *w = cr_model_parameter(k->model, i);
    if (w->trainable) s->report[s->n_reported++] = (cr_gradient_report){.name = w->name};
  }
  return cr_model_save(k->model, values, &k->problem);
}

void cr__report_after(cr_training *k, const cr_archive *values, const cr_captured *step) {
  struct cr_training_state *s = k->state;
  for (int p = 0, i = 0; i < s->n_reported; p++) {
    const cr_parameter *w = cr_model_parameter(k->model, p);
    if (!w->trainable) continue;
    cr_gradient_report *r = &s->report[i++];
    const cr_array *before = cr_archive_find(values, r->name);
    if (!before) continue;
    r->gradient_norm = step ? cr_captured_norm(step, p) : cr_gradient_norm(k->model, p);
    r->value_norm = norm(&w->value, NULL);
    r->update_ratio = norm(&w->value, before) / r->value_norm;
  }
}

int cr_training_gradient_report(const cr_training *k, int room, cr_gradient_report *out) {
  if (!k->state) return 0;
  for (int i = 0; i < room && i < k->state->n_reported; i++) out[i] = k->state->report[i];
  return k->state->n_reported;
}
