/* Steps and evaluation without recording: one captured function for each shape of batch, where k->capture allows it.
 * Whatever goes wrong in one is done again by recording, which finds out what it is. */
#include <stdlib.h>
#include <string.h>

#include <op.h>

#include "training_state.h"

/* The shape alone, of an array or of nothing. */
static cr_array shape_of(cr_var v) {
  cr_array a = {0};
  if (!cr_is_poison(v)) a = cr_view(v);
  a.data = NULL;
  return a;
}

static int same_shape(const cr_array *a, const cr_array *b) {
  int same = a->rank == b->rank && a->dtype == b->dtype && a->count == b->count;
  for (int i = 0; same && i < a->rank; i++) same = a->dim[i] == b->dim[i];
  return same;
}

/* The leaves of a batch: x, and y where there is one of its own. */
static int leaves_of(const cr_batch *batch, cr_var leaf[2]) {
  leaf[0] = leaf[1] = batch->x;
  if (cr_is_poison(batch->y) || batch->y.id == batch->x.id) return 1;
  leaf[1] = batch->y;
  return 2;
}

/* What is known of batches of this shape; NULL when there are too many shapes. *fresh: nothing yet. */
static cr__seen *seen(cr_training *k, const cr_batch *batch, cr__use use, int *fresh) {
  struct cr_training_state *s = k->state;
  cr_array x = shape_of(batch->x), y = shape_of(batch->y);
  *fresh = 0;
  for (int i = 0; i < s->n_seen; i++)
    if (s->seen_batch[i].use == use && same_shape(&s->seen_batch[i].x, &x) && same_shape(&s->seen_batch[i].y, &y))
      return &s->seen_batch[i];
  if (s->n_seen == CR__MOST_SEEN) return NULL;
  *fresh = 1;
  s->seen_batch[s->n_seen] = (cr__seen){.use = use, .x = x, .y = y};
  return &s->seen_batch[s->n_seen++];
}

void cr__passes_free(struct cr_training_state *s) {
  for (int i = 0; i < s->n_seen; i++) {
    cr_captured_free(s->seen_batch[i].step);
    cr_pass_free(s->seen_batch[i].look);
    cr_array_release(&s->seen_batch[i].prediction);
    cr_array_release(&s->seen_batch[i].loss);
  }
  s->n_seen = 0;
  s->runs = NULL;
}

/* Functions run one at a time. What takes little memory keeps it; the rest of them share it by giving it back. */
enum { LITTLE = 1 << 20 };

static void let_others_rest(cr_training *k, const cr__seen *runs) {
  struct cr_training_state *s = k->state;
  if (s->runs == runs) return;
  for (int i = 0; i < s->n_seen; i++) {
    cr__seen *other = &s->seen_batch[i];
    if (other == runs) continue;
    if (other->step && cr_captured_stats(other->step).bytes > LITTLE) cr_captured_rest(other->step);
    if (other->look && cr_pass_stats(other->look).bytes > LITTLE) cr_pass_rest(other->look);
  }
  s->runs = runs;
}

/* Recording goes on as if nothing had been tried. */
static void forget(cr_training *k) {
  cr_tape *t = cr_model_tape(k->model);
  if (cr_error(t) != CR_OK) cr_clear_error(t);
  k->problem = (cr_problem){0};
}

int cr__captures(const cr_training *k) {
  const cr_tape *t = cr_model_tape(k->model);
  return k->capture && k->state && !cr_get(t, CR_ROUND_DIGITS) && !cr_get(t, CR_FIND_NONFINITE);
}

/* Forward pass and loss are recorded without being computed, and taken back: only what comes before stays, the batch. */

typedef struct sketch {
  cr_tape *tape;
  cr_mark mark;
} sketch;

static sketch begin_sketch(const cr_training *k) {
  sketch s = {cr_model_tape(k->model), cr_mark_here(cr_model_tape(k->model))};
  cr_set(s.tape, CR_LAZY, 1);
  return s;
}

static void end_sketch(cr_training *k, const sketch *s) {
  cr_reset(s->tape, s->mark);
  cr_set(s->tape, CR_LAZY, 0);
  forget(k);
}

cr_status cr__sketch_forward(cr_training *k, const cr_batch *batch) {
  sketch s = begin_sketch(k);
  cr__hooks(k).forward(k, batch);
  cr_status status = cr_error(s.tape);
  end_sketch(k, &s);
  return status;
}

/* Steps */

static void capture_step(cr_training *k, const cr_batch *batch, cr__seen *to) {
  cr_hooks hook = cr__hooks(k);
  cr_var leaf[2];
  int n = leaves_of(batch, leaf);
  sketch s = begin_sketch(k);
  cr_var loss = hook.loss(k, hook.forward(k, batch), batch);
  to->step = cr_captured_new(k->optimizer, k->model, loss, n, leaf, k->clip_norm, k->clip_value, NULL);
  size_t room = k->compile_note[0] ? 0 : sizeof k->compile_note;
  if (to->step && k->compile) cr_captured_compile(to->step, k->compile, k->compile_note, room);
  end_sketch(k, &s);
}

static cr_captured *step_for(cr_training *k, cr_batch *batch) {
  int fresh;
  cr_model_begin(k->model, 1);
  if (cr__hooks(k).feed(k, k->train, k->state->n, k->state->which, batch) != CR_OK) return NULL;
  cr__seen *known = seen(k, batch, CR__TRAINS, &fresh);
  if (known) let_others_rest(k, known);
  if (known && fresh) capture_step(k, batch, known);
  return known ? known->step : NULL;
}

int cr__take_captured_step(cr_training *k, double *loss) {
  struct cr_training_state *s = k->state;
  cr_batch batch;
  cr_var leaf[2];
  if (!cr__captures(k) || k->hook.update || cr_optimizer_needs_objective(k->optimizer)) return 0;
  cr_captured *step = step_for(k, &batch);
  int reports = step && s->position + 1 == k->steps_per_epoch;
  cr_archive before = {0};
  cr_status status = step ? CR_OK : CR_STALE;
  if (reports) status = cr__report_before(k, &before);
  if (status == CR_OK) {
    leaves_of(&batch, leaf);
    cr__set_rate(k);
    status = cr_captured_step(step, (cr_array[]){cr_view(leaf[0]), cr_view(leaf[1])}, &s->last, NULL);
  }
  if (status == CR_OK && reports) cr__report_after(k, &before, step);
  cr_archive_free(&before);
  if (status != CR_OK) {
    forget(k);
    return 0;
  }
  s->recorded = 0;
  k->captured_steps++;
  *loss = s->last.loss;
  return 1;
}

/* Evaluation */

static void capture_look(cr_training *k, const cr_batch *batch, cr__seen *to) {
  cr_hooks hook = cr__hooks(k);
  cr_var leaf[2], out[2];
  cr_array *const room[2] = {&to->prediction, &to->loss};
  int n = leaves_of(batch, leaf), n_out = to->use == CR__JUDGES ? 2 : 1;
  sketch s = begin_sketch(k);
  out[0] = hook.forward(k, batch);
  if (n_out > 1) out[1] = hook.loss(k, out[0], batch);
  cr_status status = cr_error(s.tape);
  for (int i = 0; i < n_out && status == CR_OK; i++) {
    cr_array a = cr_view(out[i]);
    status = cr_array_make(room[i], (cr_dtype)a.dtype, a.rank, a.dim, NULL);
  }
  if (status == CR_OK) to->look = cr_pass_new(k->model, n, leaf, n_out, out, 0, NULL);
  if (to->look && k->compile) cr_pass_compile(to->look, k->compile, NULL, 0);
  end_sketch(k, &s);
}

const cr__seen *cr__look_captured(cr_training *k, const cr_batch *batch, int with_loss) {
  int fresh;
  cr_var leaf[2];
  cr__seen *known = seen(k, batch, with_loss ? CR__JUDGES : CR__PREDICTS, &fresh);
  if (known) let_others_rest(k, known);
  if (known && fresh) capture_look(k, batch, known);
  if (!known || !known->look) return NULL;
  leaves_of(batch, leaf);
  cr_array in[2] = {cr_view(leaf[0]), cr_view(leaf[1])}, out[2] = {known->prediction, known->loss};
  if (cr_pass_run(known->look, in, out) != CR_OK) return NULL;
  k->state->recorded = 0;
  return known;
}

/* The forward pass of the last batch, for reports on the latest recording: cr_model_summary, cr_model_saturation. */
void cr__leave_a_pass(cr_training *k) {
  struct cr_training_state *s = k->state;
  cr_batch batch;
  if (s->recorded || !s->which || !cr__captures(k)) return;
  cr_model_begin(k->model, 1);
  if (cr__hooks(k).feed(k, k->train, s->n, s->which, &batch) == CR_OK) cr__hooks(k).forward(k, &batch);
  forget(k);
}
