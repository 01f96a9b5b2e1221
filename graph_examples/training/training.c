/* The training loop: the six hooks of the lecture notes, in the order in which they run. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>
#include <ops.h>

#include "training_state.h"

static double loss_of(const cr_training *k, cr_var loss) {
  cr_array a = cr_view(loss);
  return cr__loss_value(k, &a);
}

static cr_status recorded_step(cr_training *k, double *value) {
  cr_hooks hook = cr__hooks(k);
  struct cr_training_state *s = k->state;
  cr_batch batch;
  s->recorded = 1;
  cr_model_begin(k->model, 1);
  cr_status status = hook.feed(k, k->train, s->n, s->which, &batch);
  if (status) return status;
  cr_var prediction = hook.forward(k, &batch);
  cr_var loss = hook.loss(k, prediction, &batch);
  if ((status = cr__tape_problem(k, "the forward pass", &k->problem))) return status;
  *value = loss_of(k, loss);
  if (!isfinite(*value)) return cr_find_nonfinite(loss, k->problem.text, sizeof k->problem.text), CR_NOT_FINITE;
  return hook.update(k, loss);
}

static cr_status step(cr_training *k) {
  struct cr_training_state *s = k->state;
  double value;
  s->which = cr__next_batch(k, &s->n);
  if (!s->which) return cr_refuse(&k->problem, CR_NO_MEMORY, "no memory for the order of the examples");
  cr_model_set_step(k->model, (uint64_t)k->step);
  if (!cr__take_captured_step(k, &value)) {
    cr_status status = recorded_step(k, &value);
    if (status) return status;
  }
  k->step++;
  s->position++;
  s->seen += s->n;
  s->loss_sum += value * (double)s->n;
  s->norm_sum += s->last.gradient_norm;
  k->epoch_loss = s->loss_sum / (double)s->seen;
  return CR_OK;
}

static cr_status start(cr_training *k);
static cr_status finish(cr_training *k, cr_status status);

cr_status cr_train(cr_training *k) {
  cr_status status = start(k); /* initialise */
  while (status == CR_OK && !cr__ended(k)) {
    status = step(k);          /* feed, forward, loss, update */
    if (status == CR_OK && k->progress) k->progress(k, k->state->position, k->steps_per_epoch);
    int last = k->state->position == k->steps_per_epoch || k->state->ended || cr__over_time(k);
    if (status == CR_OK && last) status = cr__close_epoch(k); /* validate */
    if (status == CR_OK) status = cr__checkpoint_due(k, last);
  }
  return finish(k, status);
}

/* The hooks' defaults */

cr_status cr_default_initialise(cr_training *k) {
  int64_t n = cr__batch_size(k, k->train), *which = malloc((size_t)n * sizeof *which);
  if (!which) return cr_refuse(&k->problem, CR_NO_MEMORY, "no memory for a batch");
  for (int64_t i = 0; i < n; i++) which[i] = i;
  cr_hooks hook = cr__hooks(k);
  cr_batch batch;
  cr_status status = CR_OK;
  for (int sketch = cr__captures(k), done = 0; status == CR_OK && !done; sketch = 0) {
    cr_model_begin(k->model, 1);
    status = hook.feed(k, k->train, n, which, &batch);
    done = status == CR_OK && sketch && cr__sketch_forward(k, &batch) == CR_OK;
    if (status || sketch) continue;
    hook.forward(k, &batch);
    status = cr__tape_problem(k, "the first pass", &k->problem);
    done = 1;
  }
  free(which);
  return status;
}

/* The same batch at other parameters, for methods that look again within a step. */
static cr_var objective(cr_model *m, void *user) {
  cr_training *k = user;
  cr_hooks hook = cr__hooks(k);
  cr_batch batch;
  cr_model_begin(m, 1);
  if (hook.feed(k, k->train, k->state->n, k->state->which, &batch)) return cr_poison(cr_model_tape(m));
  return hook.loss(k, hook.forward(k, &batch), &batch);
}

/* The norm before. */
static double clip(const cr_training *k) {
  double norm = cr_gradient_norm(k->model, -1);
  if (k->clip_value > 0) cr_clip_value(k->model, k->clip_value);
  if (k->clip_norm > 0) cr_clip_norm(k->model, k->clip_norm);
  return norm;
}

void cr__set_rate(cr_training *k) {
  int64_t total = (k->epochs ? k->epochs : 10) * k->steps_per_epoch;
  double base = cr_optimizer_base_rate(k->optimizer);
  if (k->schedule) cr_optimizer_set_rate(k->optimizer, base * cr_schedule_factor(k->schedule, k->step + 1, total));
}

static cr_status take_step(cr_training *k, cr_var loss) {
  struct cr_training_state *s = k->state;
  int needs = cr_optimizer_needs_objective(k->optimizer), clips = needs < 2 && (k->clip_norm > 0 || k->clip_value > 0);
  s->last = (cr_step){.loss = loss_of(k, loss)};
  if (needs < 2 &&
      cr_model_backward(k->model, loss)) { /* residuals have a Jacobian instead, which the step takes by itself */
    return cr__tape_problem(k, "the backward pass", &k->problem);
  }
  double norm = clips ? clip(k) : 0;
  cr__set_rate(k);
  cr_status status = cr_optimizer_step(k->optimizer, k->model, needs ? objective : NULL, k, &s->last, &k->problem);
  if (clips) s->last.gradient_norm = norm;
  if (status == CR_NOT_FINITE && !needs) cr_find_nonfinite(loss, k->problem.text, sizeof k->problem.text);
  return status;
}

cr_status cr_default_update(cr_training *k, cr_var loss) {
  struct cr_training_state *s = k->state;
  int reports = s->position + 1 == k->steps_per_epoch;
  cr_archive before = {0};
  cr_status status = reports ? cr__report_before(k, &before) : CR_OK;
  if (status == CR_OK) status = take_step(k, loss);
  if (status == CR_OK) {
    cr_model_commit(k->model);
    if (reports) cr__report_after(k, &before, NULL);
    s->ended = s->last.stuck;
  }
  if (s->ended)
    cr__end(k, CR_ENDED_STUCK, "no further decrease along any direction tried at step %lld", (long long)k->step + 1);
  cr_archive_free(&before);
  return status;
}

/* Around the loop */

cr_hooks cr__hooks(const cr_training *k) {
  cr_hooks h = k->hook;
  if (!h.initialise) h.initialise = cr_default_initialise;
  if (!h.feed) h.feed = cr_default_feed;
  if (!h.update) h.update = cr_default_update;
  if (!h.validate) h.validate = cr_default_validate;
  return h;
}

cr_status cr__tape_problem(cr_training *k, const char *what, cr_problem *p) {
  cr_tape *t = cr_model_tape(k->model);
  if (cr_error(t) == CR_OK) return CR_OK;
  if (!k->epoch) return cr_refuse(p, cr_error(t), "%s: %s", what, cr_error_text(t));
  return cr_refuse(p, cr_error(t), "%s of epoch %lld, step %lld: %s", what, (long long)k->epoch, (long long)k->step + 1,
                   cr_error_text(t));
}

double cr__loss_value(const cr_training *k, const cr_array *r) {
  if (cr_optimizer_needs_objective(k->optimizer) < 2) return r->count == 1 ? cr_array_get(r, 0) : (double)NAN;
  double sum = 0;
  for (int64_t i = 0; i < r->count; i++) sum += cr_array_get(r, i) * cr_array_get(r, i);
  return sum / 2;
}

static cr_status check(cr_training *k) {
  cr_problem *p = &k->problem;
  if (!k->model || !k->optimizer || !k->train)
    return cr_refuse(p, CR_BAD_ARGUMENT, "training wants a model, an optimizer and data");
  if (!k->hook.forward || !k->hook.loss) return cr_refuse(p, CR_BAD_ARGUMENT, "training wants a forward and a loss hook");
  if (cr_dataset_size(k->train) < 1) return cr_refuse(p, CR_BAD_ARGUMENT, "the training set is empty");
  if (k->validation && cr_dataset_size(k->validation) < 1)
    return cr_refuse(p, CR_BAD_ARGUMENT, "the validation set is empty");
  if (k->batch < 0 || k->epochs < 0 || k->patience < 0 || k->checkpoint_every < 0) {
    return cr_refuse(p, CR_BAD_ARGUMENT, "batch, epochs, patience and checkpoint_every are not negative");
  }
  return CR_OK;
}

static cr_status start(cr_training *k) {
  cr_training_release(k);
  k->epoch = k->step = k->captured_steps = k->best_epoch = 0;
  k->compile_note[0] = 0;
  k->epoch_loss = k->best_loss = (double)NAN;
  k->problem = (cr_problem){0};
  k->reason_text[0] = 0;
  k->state = calloc(1, sizeof *k->state);
  if (!k->state) return cr_refuse(&k->problem, CR_NO_MEMORY, "no memory for training");
  clock_gettime(CLOCK_MONOTONIC, &k->state->started);
  cr_status status = check(k);
  if (status || (status = cr__metrics_read(k)) || (status = cr__augment_read(k))) return status;
  int64_t n = cr_dataset_size(k->train), batch = cr__batch_size(k, k->train);
  k->steps_per_epoch = k->drop_last ? n / batch : (n + batch - 1) / batch;
  if ((status = cr__hooks(k).initialise(k))) {
    return cr_refuse(&k->problem, status, "the first pass: %s", cr_status_text(status)); /* unless the hook said more */
  }
  if (k->checkpoint) status = cr__checkpoint_possible(k);
  if (status == CR_OK && k->resume && k->checkpoint) status = cr__checkpoint_resume(k);
  return status || !k->log ? status : cr__log_start(k);
}

/* The loss or the gradient is not finite: k->problem.text says where it began, if that is known. */
static void end_not_finite(cr_training *k) {
  cr_tape *t = cr_model_tape(k->model);
  if (cr_error(t)) cr_clear_error(t);
  k->problem.status = CR_OK;
  k->problem.text[strcspn(k->problem.text, "\n")] = 0; /* the operation; its operands and the way from there are left out */
  cr__end(k, CR_ENDED_NOT_FINITE, "loss or gradient in epoch %lld, step %lld: %s", (long long)k->epoch,
          (long long)k->step + 1, k->problem.text[0] ? k->problem.text : "of unknown origin");
}

static cr_status finish(cr_training *k, cr_status status) {
  if (!k->state) return status;
  if (status == CR_NOT_FINITE) {
    end_not_finite(k);
    status = cr__back_to_best(k);
  } else if (status == CR_OK) {
    status = cr__back_to_best(k);
    if (status == CR_OK && k->checkpoint) status = cr_checkpoint_write(k, k->checkpoint, &k->problem);
  } else {
    cr_refuse(&k->problem, status, "training: %s", cr_status_text(status)); /* a hook of the caller's that gave no reason */
  }
  k->run_hash = cr_model_hash(k->model);
  if (status == CR_OK) cr__leave_a_pass(k);
  return status;
}

void cr_training_release(cr_training *k) {
  struct cr_training_state *s = k->state;
  if (s) {
    free(s->order);
    free(s->report);
    cr_archive_free(&s->best);
    cr_archive_free(&s->resume_from);
    cr__augment_free(s);
    cr__passes_free(s);
    free(s);
  }
  free(k->history);
  k->history = NULL;
  k->n_history = 0;
  k->state = NULL;
}
