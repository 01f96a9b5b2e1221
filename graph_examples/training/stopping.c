/* What happens between epochs: validation, the best parameters so far, and whether to go on. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "training_state.h"

const char *cr_reason_text(cr_reason r) {
  static const char *const text[] = {
    [CR_ENDED_EPOCHS] = "epochs", [CR_ENDED_SECONDS] = "seconds", [CR_ENDED_TARGET_LOSS] = "target loss",
    [CR_ENDED_GRADIENT] = "gradient", [CR_ENDED_PATIENCE] = "patience", [CR_ENDED_INTERRUPTED] = "interrupted",
    [CR_ENDED_STUCK] = "stuck", [CR_ENDED_NOT_FINITE] = "not finite"};
  return (size_t)r < sizeof text / sizeof *text ? text[r] : "unknown";
}

void cr__end(cr_training *k, cr_reason r, const char *format, ...) {
  va_list args;
  k->reason = r;
  int n = snprintf(k->reason_text, sizeof k->reason_text, "%s: ", cr_reason_text(r));
  va_start(args, format);
  vsnprintf(k->reason_text + n, sizeof k->reason_text - (size_t)n, format, args);
  va_end(args);
}

double cr__seconds(const cr_training *k) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  const struct timespec *then = &k->state->started;
  return k->state->seconds_before + (double)(now.tv_sec - then->tv_sec) + 1e-9 * (double)(now.tv_nsec - then->tv_nsec);
}

int cr__over_time(const cr_training *k) { return k->seconds > 0 && cr__seconds(k) >= k->seconds; }

/* The loss that decides: of validation where there is such a set. */
static double monitored(const cr_training *k, const cr_epoch *e) {
  return k->validation ? e->validation_loss : e->train_loss;
}

/* Judged from the history alone, so that a finished training that is resumed ends again for the same reason. */
static int epoch_ends_it(cr_training *k) {
  int64_t epochs = k->epochs ? k->epochs : 10;
  const cr_epoch *e = k->n_history ? &k->history[k->n_history - 1] : NULL;
  const char *set = k->validation ? "validation" : "training";
  if (e && !isfinite(monitored(k, e))) {
    cr__end(k, CR_ENDED_NOT_FINITE, "the %s loss is %g after epoch %lld", set, monitored(k, e), (long long)e->epoch);
  } else if (e && k->target_loss != 0 && monitored(k, e) <= k->target_loss) {
    cr__end(k, CR_ENDED_TARGET_LOSS, "the %s loss %g has reached %g", set, monitored(k, e), k->target_loss);
  } else if (e && k->gradient_tol > 0 && e->gradient_norm <= k->gradient_tol) {
    cr__end(k, CR_ENDED_GRADIENT, "its norm %g is within %g", e->gradient_norm, k->gradient_tol);
  } else if (k->patience && k->state->waited >= k->patience) {
    cr__end(k, CR_ENDED_PATIENCE, "no better %s loss for %lld epoch%s", set, (long long)k->state->waited,
            k->state->waited == 1 ? "" : "s");
  } else if (k->epoch >= epochs) {
    cr__end(k, CR_ENDED_EPOCHS, "%s %lld epoch%s done", epochs == 1 ? "the" : "all", (long long)epochs,
            epochs == 1 ? " is" : "s are");
  } else {
    return 0;
  }
  return 1;
}

int cr__ended(cr_training *k) {
  if (k->state->ended) return 1;
  if (k->state->position == 0 && epoch_ends_it(k)) return 1;
  if (k->interrupt && *k->interrupt) {
    cr__end(k, CR_ENDED_INTERRUPTED, "after step %lld", (long long)k->step);
    return 1;
  }
  if (!cr__over_time(k)) return 0;
  cr__end(k, CR_ENDED_SECONDS, "%g seconds are over", k->seconds);
  return 1;
}

static cr_status remember_best(cr_training *k, double loss) {
  struct cr_training_state *s = k->state;
  s->waited++;
  if (k->best_epoch && !(loss < k->best_loss - k->min_delta)) return CR_OK;
  if (!isfinite(loss)) return CR_OK;
  s->waited = 0;
  k->best_epoch = k->epoch;
  k->best_loss = loss;
  if (!k->validation || k->keep_last) return CR_OK;
  cr_archive_free(&s->best);
  s->best = (cr_archive){0};
  return cr_model_save(k->model, &s->best, &k->problem);
}

static cr_epoch *new_epoch(cr_training *k) {
  cr_epoch *grown = realloc(k->history, (size_t)(k->n_history + 1) * sizeof *grown);
  if (!grown) return NULL;
  k->history = grown;
  return &grown[k->n_history++];
}

cr_status cr__close_epoch(cr_training *k) {
  struct cr_training_state *s = k->state;
  double loss = (double)NAN;
  cr_status status = CR_OK;
  const cr_dataset *d = k->validation ? k->validation : k->n_metrics ? k->train : NULL;
  if (d) status = cr__hooks(k).validate(k, d, &loss);
  if (status) return status;
  cr_epoch *e = new_epoch(k);
  if (!e) return cr_refuse(&k->problem, CR_NO_MEMORY, "no memory for the history");
  *e = (cr_epoch){.epoch = k->epoch, .steps = k->step, .seconds = cr__seconds(k), .rate = cr_optimizer_rate(k->optimizer),
                  .train_loss = k->epoch_loss, .validation_loss = k->validation ? loss : (double)NAN,
                  .gradient_norm = s->norm_sum / (double)s->position};
  for (int m = 0; m < k->n_metrics; m++) e->metric[m] = k->metric[m];
  s->position = 0;
  if (k->schedule) cr_schedule_observe(k->schedule, monitored(k, e));
  if ((status = remember_best(k, monitored(k, e))) == CR_OK && k->log) status = cr__log_epoch(k);
  if (status == CR_OK && k->epoch_done) k->epoch_done(k, e);
  return status;
}

cr_status cr__back_to_best(cr_training *k) {
  struct cr_training_state *s = k->state;
  if (k->keep_last || !s->best.n || (k->best_epoch == k->epoch && s->position == 0)) return CR_OK;
  cr_archive_free(&s->resume_from);
  s->resume_from = (cr_archive){0};
  cr_status status = k->checkpoint ? cr_model_save(k->model, &s->resume_from, &k->problem) : CR_OK;
  return status ? status : cr_model_load(k->model, &s->best, &k->problem);
}
