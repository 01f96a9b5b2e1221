/* Small trainings for the tests of the loop, of checkpoints and of metrics: three blobs in the plane, a small network. */
#ifndef TRAINING_SETUP_H
#define TRAINING_SETUP_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <chainrule.h>
#include <chainrule_networks.h>

typedef struct setup {
  cr_tape *tape;
  cr_dataset train, validation;
  cr_training k;
  int64_t units;           /* of the hidden layer; 0: 6 */
  int drops, normalizes;   /* what the network has besides two dense layers */
} setup;

#define assert_ok(s, call)                                                                             \
  do {                                                                                                 \
    if ((call) != CR_OK) fail_msg("%s: %s", #call, (s)->k.problem.text);                               \
  } while (0)

/* n points around three centres, in turn. */
static void make_blobs(cr_dataset *d, int64_t n, uint64_t seed) {
  static const double centre[3][2] = {{2, 0}, {-1, 1.7}, {-1, -1.7}};
  cr_random r = {seed, 0};
  *d = (cr_dataset){.n_classes = 3, .n_features = 2};
  assert_int_equal(cr_array_make(&d->x, CR_FLOAT64, 2, (int64_t[]){n, 2}, NULL), CR_OK);
  assert_int_equal(cr_array_make(&d->y, CR_INT64, 1, &n, NULL), CR_OK);
  for (int64_t i = 0; i < n; i++) {
    for (int j = 0; j < 2; j++) cr_array_set(&d->x, 2 * i + j, centre[i % 3][j] + 0.8 * cr_random_normal(&r));
    cr_array_set(&d->y, i, (double)(i % 3));
  }
}

static cr_var forward(cr_training *k, const cr_batch *b) {
  const setup *s = k->user;
  cr_var h = cr_dense(k->model, b->x, s->units ? s->units : 6);
  if (s->normalizes) h = cr_batch_normalize(k->model, h);
  h = cr_tanh(h);
  if (s->drops) h = cr_drop(k->model, h, 0.3);
  return cr_dense(k->model, h, 3);
}

static cr_var cross_entropy(cr_training *k, cr_var prediction, const cr_batch *b) {
  return cr_cross_entropy(prediction, b->y, cr_poison(cr_model_tape(k->model)), -100, 0, CR_REDUCE_MEAN);
}

static void set_up(setup *s, const char *optimizer, const char *schedule) {
  cr_problem p = {0};
  *s = (setup){.tape = cr_new()};
  make_blobs(&s->train, 50, 1);
  make_blobs(&s->validation, 30, 2);
  s->k = (cr_training){.model = cr_model_new(s->tape, CR_FLOAT64, 7), .train = &s->train, .batch = 8, .seed = 3, .user = s};
  s->k.optimizer = cr_optimizer_new(optimizer, NULL, &p);
  if (!s->k.optimizer) fail_msg("%s", p.text);
  s->k.schedule = schedule ? cr_schedule_new(schedule, NULL, &p) : NULL;
  if (schedule && !s->k.schedule) fail_msg("%s", p.text);
  s->k.hook.forward = forward;
  s->k.hook.loss = cross_entropy;
}

static void tear_down(setup *s) {
  cr_training_release(&s->k);
  if (s->k.schedule) cr_schedule_free(s->k.schedule);
  cr_optimizer_free(s->k.optimizer);
  cr_model_free(s->k.model);
  cr_dataset_free(&s->train);
  cr_dataset_free(&s->validation);
  cr_free(s->tape);
}

#endif
