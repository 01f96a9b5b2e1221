/* Examples onto the tape: batches of an epoch, and a whole dataset batch by batch in evaluation mode. */
#include <stdlib.h>
#include <string.h>

#include <ops.h>

#include "training_state.h"

int64_t cr__batch_size(const cr_training *k, const cr_dataset *d) {
  int64_t n = cr_dataset_size(d), batch = k->batch ? k->batch : 32;
  return batch < n ? batch : n;
}

const int64_t *cr__next_batch(cr_training *k, int64_t *n) {
  struct cr_training_state *s = k->state;
  int64_t size = cr_dataset_size(k->train), batch = cr__batch_size(k, k->train);
  if (!s->order) s->order = malloc((size_t)size * sizeof *s->order);
  if (!s->order) return NULL;
  if (s->position == 0) {
    k->epoch++;
    k->epoch_loss = s->loss_sum = s->norm_sum = 0;
    s->seen = 0;
  }
  if (s->order_epoch != k->epoch) {
    cr_shuffle(size, k->seed, (uint64_t)k->epoch, s->order);
    for (int64_t i = 0; k->in_order && i < size; i++) s->order[i] = i;
    s->order_epoch = k->epoch;
  }
  int64_t from = s->position * batch;
  *n = size - from < batch ? size - from : batch;
  return s->order + from;
}

/* Rows of an array as a constant: numbers of the model's dtype, classes and tokens as they are. */
static cr_var rows(cr_training *k, const cr_array *from, int64_t n, const int64_t *which) {
  cr_dtype dtype = from->dtype >= CR_FLOAT32 ? cr_model_dtype(k->model) : (cr_dtype)from->dtype;
  int64_t dims[CR_MAX_RANK];
  memcpy(dims, from->dim, sizeof dims);
  dims[0] = n;
  cr_var v = cr_constant_of(cr_model_tape(k->model), dtype, from->rank, dims, NULL);
  if (cr_is_poison(v)) return v;
  cr_array to = cr_view(v);
  int64_t width = from->count / from->dim[0];
  size_t bytes = (size_t)width * cr_dtype_size(dtype);
  for (int64_t i = 0; i < n; i++) {
    const char *source = (const char *)from->data + (size_t)(which[i] * width) * cr_dtype_size((cr_dtype)from->dtype);
    if (from->dtype == dtype) memcpy((char *)to.data + (size_t)i * bytes, source, bytes);
    else
      for (int64_t j = 0; j < width; j++) cr_array_set(&to, i * width + j, cr_array_get(from, which[i] * width + j));
  }
  return v;
}

cr_status cr_default_feed(cr_training *k, const cr_dataset *d, int64_t n, const int64_t *which, cr_batch *batch) {
  int labelled = d->y.rank > 0 && d->y.data;
  *batch = (cr_batch){rows(k, &d->x, n, which), cr_poison(cr_model_tape(k->model)), n, which};
  if (labelled && d->y.dim[0] != d->x.dim[0]) {
    return cr_refuse(&k->problem, CR_BAD_SHAPE, "%s: %lld examples have %lld targets", d->title ? d->title : "data",
                     (long long)d->x.dim[0], (long long)d->y.dim[0]);
  }
  if (labelled) batch->y = rows(k, &d->y, n, which);
  cr_status status = cr__tape_problem(k, "the batch", &k->problem);
  if (status || !k->state || !k->state->n_augmentations || !cr_model_is_training(k->model)) return status;
  return cr__augment(k, d, batch);
}

/* Puts the batch's predictions where they belong; the first batch decides on dtype and shape. */
static cr_status gather(cr_array *all, int64_t size, cr_array a, int64_t from, int64_t n, cr_problem *p) {
  char shape[200];
  if (a.rank < 1 || a.dim[0] % n) {
    return cr_refuse(p, CR_BAD_SHAPE,
                     "the forward hook's value for %lld examples has shape %s: its first axis does not count them",
                     (long long)n, cr_shape_text(&a, shape, sizeof shape));
  }
  int64_t dims[CR_MAX_RANK], each = a.dim[0] / n;
  memcpy(dims, a.dim, sizeof dims);
  dims[0] = size * each;
  cr_status status = all->data ? CR_OK : cr_array_make(all, (cr_dtype)a.dtype, a.rank, dims, p);
  if (status) return status;
  int64_t width = a.count / n;
  if (all->count != size * width)
    return cr_refuse(p, CR_BAD_SHAPE, "the forward hook's value changes its shape to %s",
                     cr_shape_text(&a, shape, sizeof shape));
  cr_array part;
  cr_array_init(&part, (cr_dtype)a.dtype, a.rank, a.dim);
  part.data = (char *)all->data + (size_t)(from * width) * cr_dtype_size((cr_dtype)a.dtype);
  cr_array_copy(&part, &a);
  return CR_OK;
}

static cr_status feed(cr_training *k, const cr_dataset *d, int64_t n, const int64_t *which, cr_batch *batch, cr_problem *p) {
  cr_model_begin(k->model, 0);
  cr_status status = cr__hooks(k).feed(k, d, n, which, batch);
  return status && p != &k->problem ? cr_refuse(p, status, "%s", k->problem.text) : status;
}

/* One batch in evaluation mode: its predictions, its loss, where they are wanted. The last one is recorded, for reports. */
static cr_status look(cr_training *k, const cr_dataset *d, int64_t from, int64_t n, const int64_t *which,
                      cr_array *prediction, double *loss, cr_problem *p) {
  cr_hooks hook = cr__hooks(k);
  int64_t size = cr_dataset_size(d);
  cr_batch batch;
  cr_status status = feed(k, d, n, which, &batch, p);
  if (status) return status;
  if (from + n < size && cr__captures(k)) {
    const cr__seen *ready = cr__look_captured(k, &batch, loss != NULL);
    if (ready && loss) *loss += cr__loss_value(k, &ready->loss) * (double)n;
    if (ready) return prediction ? gather(prediction, size, ready->prediction, from, n, p) : CR_OK;
    if ((status = feed(k, d, n, which, &batch, p))) return status;
  }
  if (k->state) k->state->recorded = 1;
  cr_var y = hook.forward(k, &batch), value = loss ? hook.loss(k, y, &batch) : y;
  if ((status = cr__tape_problem(k, "evaluation", p))) return status;
  cr_array numbers = cr_view(value);
  if (loss) *loss += cr__loss_value(k, &numbers) * (double)n;
  return prediction ? gather(prediction, size, cr_view(y), from, n, p) : CR_OK;
}

static cr_status evaluate(cr_training *k, const cr_dataset *d, cr_array *prediction, double *loss, cr_problem *p) {
  int64_t size = cr_dataset_size(d), batch = cr__batch_size(k, d);
  if (size < 1) return cr_refuse(p, CR_BAD_ARGUMENT, "there are no examples");
  if (k->capture && !k->state) k->state = calloc(1, sizeof *k->state); /* room for captured passes; without it, recorded */
  int64_t *which = malloc((size_t)batch * sizeof *which);
  if (!which) return cr_refuse(p, CR_NO_MEMORY, "no memory for a batch");
  cr_status status = CR_OK;
  for (int64_t from = 0; from < size && status == CR_OK; from += batch) {
    int64_t n = size - from < batch ? size - from : batch;
    for (int64_t i = 0; i < n; i++) which[i] = from + i;
    status = look(k, d, from, n, which, prediction, loss, p);
  }
  free(which);
  if (loss) *loss /= (double)size;
  return status;
}

cr_status cr_predict(cr_training *k, const cr_dataset *d, cr_array *prediction, cr_problem *p) {
  *prediction = (cr_array){0};
  cr_status status = evaluate(k, d, prediction, NULL, p);
  if (status) cr_array_release(prediction);
  return status;
}

cr_status cr_default_validate(cr_training *k, const cr_dataset *d, double *loss) {
  cr_array prediction = {0};
  *loss = 0;
  cr_status status = evaluate(k, d, k->n_metrics ? &prediction : NULL, loss, &k->problem);
  if (status == CR_OK && k->n_metrics) status = cr__metrics_of(k, &prediction, d, &k->problem);
  cr_array_release(&prediction);
  return status;
}
