/* The training loop: hooks, batches, reasons to stop, the best parameters, logs, reports. */
#include <signal.h>
#include <unistd.h>

#include "training_setup.h"

/* xor is learnt from C in a few lines. */

static cr_var xor_forward(cr_training *k, const cr_batch *b) {
  return cr_dense(k->model, cr_tanh(cr_dense(k->model, b->x, 4)), 1);
}
static cr_var xor_loss(cr_training *k, cr_var prediction, const cr_batch *b) {
  return cr_mul(cr_sum_all(cr_cross_entropy_of_logit(prediction, b->y)), cr_const(cr_model_tape(k->model), 0.25));
}

static void make_xor(cr_dataset *d) {
  cr_dataset_free(d);
  *d = (cr_dataset){0};
  cr_array_make(&d->x, CR_FLOAT64, 2, (int64_t[]){4, 2}, NULL);
  cr_array_make(&d->y, CR_FLOAT64, 2, (int64_t[]){4, 1}, NULL);
  for (int i = 0; i < 4; i++) {
    cr_array_set(&d->x, 2 * i, i / 2);
    cr_array_set(&d->x, 2 * i + 1, i % 2);
    cr_array_set(&d->y, i, i / 2 != i % 2);
  }
}

static void xor_is_learnt(void **state) {
  (void)state;
  setup s;
  set_up(&s, "adam(lr=0.05)", NULL);
  make_xor(&s.train);
  s.k.hook = (cr_hooks){.forward = xor_forward, .loss = xor_loss};
  s.k.epochs = 1000;
  s.k.batch = INT64_MAX;
  s.k.target_loss = 0.01;
  s.k.metrics = "accuracy";
  assert_ok(&s, cr_train(&s.k));
  assert_int_equal(s.k.reason, CR_ENDED_TARGET_LOSS);
  assert_true(s.k.epoch_loss <= 0.01);
  assert_true(s.k.metric[0] == 1);
  cr_array y = {0};
  assert_int_equal(cr_predict(&s.k, &s.train, &y, NULL), CR_OK);
  for (int i = 0; i < 4; i++) assert_int_equal(cr_array_get(&y, i) > 0, i == 1 || i == 2);
  cr_array_release(&y);
  tear_down(&s);
}

/* Hooks */

static char calls[400];
static void note(const char *name) { strcat(calls, name); }
static cr_status my_initialise(cr_training *k) { return note("I"), cr_default_initialise(k); }
static cr_status my_feed(cr_training *k, const cr_dataset *d, int64_t n, const int64_t *which, cr_batch *b) {
  return note(cr_model_is_training(k->model) ? "f" : "e"), cr_default_feed(k, d, n, which, b);
}
static cr_var my_forward(cr_training *k, const cr_batch *b) { return note("p"), forward(k, b); }
static cr_var my_loss(cr_training *k, cr_var y, const cr_batch *b) { return note("l"), cross_entropy(k, y, b); }
static cr_status my_update(cr_training *k, cr_var loss) { return note("u"), cr_default_update(k, loss); }
static cr_status my_validate(cr_training *k, const cr_dataset *d, double *loss) {
  return note("V"), cr_default_validate(k, d, loss);
}
static void my_epoch(cr_training *k, const cr_epoch *e) { assert_true(k->history + k->n_history - 1 == e), note("."); }

static void hooks_are_called_in_order(void **state) {
  (void)state;
  setup s;
  set_up(&s, "sgd(lr=0.1)", NULL);
  s.k.hook = (cr_hooks){my_initialise, my_feed, my_forward, my_loss, my_update, my_validate};
  s.k.epoch_done = my_epoch;
  s.k.validation = &s.validation;
  s.k.batch = 25;
  s.k.epochs = 2;
  calls[0] = 0;
  assert_ok(&s, cr_train(&s.k));
  assert_string_equal(calls, "Ifp" "fplu" "fplu" "Veplepl." "fplu" "fplu" "Veplepl.");
  tear_down(&s);
}

static cr_status failing_feed(cr_training *k, const cr_dataset *d, int64_t n, const int64_t *which, cr_batch *b) {
  (void)d, (void)n, (void)which, (void)b;
  return k->step == 3 ? cr_refuse(&k->problem, CR_BAD_ARGUMENT, "no more data") : cr_default_feed(k, d, n, which, b);
}
static cr_var wrong_forward(cr_training *k, const cr_batch *b) { return cr_matmul(b->x, cr_dense(k->model, b->x, 6)); }

static void failures_name_the_place(void **state) {
  (void)state;
  setup s;
  set_up(&s, "sgd(lr=0.1)", NULL);
  s.k.hook.feed = failing_feed;
  assert_int_equal(cr_train(&s.k), CR_BAD_ARGUMENT);
  assert_string_equal(s.k.problem.text, "no more data");
  assert_int_equal(s.k.step, 3);
  s.k.hook.feed = NULL;
  s.k.hook.forward = wrong_forward;
  assert_int_equal(cr_train(&s.k), CR_BAD_SHAPE);
  assert_non_null(strstr(s.k.problem.text, "the first pass: "));
  if (!strstr(s.k.problem.text, "matmul")) fail_msg("%s", s.k.problem.text);
  tear_down(&s);
}

/* Batches */

static int64_t seen[60], batches, smallest;
static cr_status counting_feed(cr_training *k, const cr_dataset *d, int64_t n, const int64_t *which, cr_batch *b) {
  for (int64_t i = 0; k->epoch && i < n; i++) seen[which[i]]++;
  if (k->epoch) batches++;
  if (n < smallest) smallest = n;
  cr_status status = cr_default_feed(k, d, n, which, b);
  cr_array x = cr_view(b->x), y = cr_view(b->y);
  for (int64_t i = 0; i < n; i++) {
    assert_true(cr_array_get(&x, 2 * i + 1) == cr_array_get(&d->x, 2 * which[i] + 1));
    assert_true(cr_array_get(&y, i) == cr_array_get(&d->y, which[i]));
  }
  return status;
}

static void batches_of_one_some_and_all(void **state) {
  (void)state;
  static const struct {
    int64_t batch;
    int drop;
    int64_t steps, smallest;
  } cases[] = {{1, 0, 50, 1},  {8, 0, 7, 2},          {8, 1, 6, 8}, {25, 0, 2, 25},
               {50, 1, 1, 50}, {INT64_MAX, 0, 1, 50}, {0, 0, 2, 18}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    setup s;
    set_up(&s, "sgd(lr=0.01)", NULL);
    s.k.hook.feed = counting_feed;
    s.k.batch = cases[i].batch;
    s.k.drop_last = cases[i].drop;
    s.k.epochs = 3;
    memset(seen, 0, sizeof seen);
    batches = 0;
    smallest = INT64_MAX;
    assert_ok(&s, cr_train(&s.k));
    assert_int_equal(s.k.steps_per_epoch, cases[i].steps);
    assert_int_equal(batches, 3 * cases[i].steps);
    assert_int_equal(s.k.step, batches);
    assert_int_equal(smallest, cases[i].smallest);
    for (int j = 0; !cases[i].drop && j < 50; j++) assert_int_equal(seen[j], 3);
    tear_down(&s);
  }
}

/* Layers of 50,000 numbers, which threads share. */
static uint64_t hash_of(uint64_t seed, int in_order, const char *augment, int threads) {
  setup s;
  set_up(&s, "adam(lr=0.01)", NULL);
  s.units = 1000;
  s.k.batch = INT64_MAX;
  s.drops = 1;
  s.k.seed = seed;
  s.k.in_order = in_order;
  s.k.augment = augment;
  s.k.epochs = 2;
  cr_set(s.tape, CR_THREADS, threads);
  assert_ok(&s, cr_train(&s.k));
  uint64_t hash = s.k.run_hash;
  tear_down(&s);
  return hash;
}

static void the_seed_decides(void **state) {
  (void)state;
  uint64_t hash = hash_of(1, 0, NULL, 1);
  assert_true(hash == hash_of(1, 0, NULL, 1));
  assert_true(hash == hash_of(1, 0, NULL, 3));
  assert_true(hash != hash_of(2, 0, NULL, 1));
  assert_true(hash_of(1, 1, NULL, 1) == hash_of(2, 1, NULL, 1)); /* in order: nothing to shuffle */
  assert_true(hash_of(1, 1, "noise(0.1)", 1) != hash_of(2, 1, "noise(0.1)", 1));
}

/* Reasons to stop */

static volatile sig_atomic_t interrupted;
static void interrupt_at_5(cr_training *k, int64_t step, int64_t steps) {
  (void)step, (void)steps;
  interrupted = k->step == 5;
}
static cr_var nan_at_9(cr_training *k, cr_var y, const cr_batch *b) {
  cr_var loss = cross_entropy(k, y, b), zero = cr_const(cr_model_tape(k->model), 0);
  return k->step == 9 ? cr_add(loss, cr_log(cr_mul(loss, zero))) : loss;
}
/* Finite, with a slope that is not: sqrt at 0. */
static cr_var steep_at_9(cr_training *k, cr_var y, const cr_batch *b) {
  cr_var loss = cross_entropy(k, y, b);
  return k->step == 9 ? cr_add(loss, cr_sqrt(cr_sub(loss, loss))) : loss;
}

static void expect_reason(setup *s, cr_reason reason, const char *text) {
  assert_ok(s, cr_train(&s->k));
  if (s->k.reason != reason || !strstr(s->k.reason_text, text)) fail_msg("'%s' instead of '%s'", s->k.reason_text, text);
  assert_true(strncmp(s->k.reason_text, cr_reason_text(reason), strlen(cr_reason_text(reason))) == 0);
}

static void each_reason_to_stop(void **state) {
  (void)state;
  setup s;
  set_up(&s, "sgd(lr=0.1)", NULL);
  expect_reason(&s, CR_ENDED_EPOCHS, "all 10 epochs are done");
  s.k.epochs = 1000000;
  s.k.seconds = 0.05;
  expect_reason(&s, CR_ENDED_SECONDS, "0.05 seconds are over");
  s.k.seconds = 0;
  s.k.gradient_tol = 1e9;
  expect_reason(&s, CR_ENDED_GRADIENT, "is within 1e+09");
  assert_int_equal(s.k.epoch, 1);
  s.k.gradient_tol = 0;
  s.k.target_loss = 0.9;
  expect_reason(&s, CR_ENDED_TARGET_LOSS, "the training loss");
  s.k.target_loss = 0;
  s.k.patience = 3;
  s.k.min_delta = 1e9;
  expect_reason(&s, CR_ENDED_PATIENCE, "patience: no better training loss for 3 epochs");
  assert_int_equal(s.k.epoch, 4);
  s.k.patience = 0;
  s.k.interrupt = &interrupted;
  s.k.progress = interrupt_at_5;
  expect_reason(&s, CR_ENDED_INTERRUPTED, "interrupted: after step 5");
  assert_int_equal(s.k.n_history, 0);
  s.k.interrupt = NULL;
  s.k.hook.loss = nan_at_9;
  expect_reason(&s, CR_ENDED_NOT_FINITE, "not finite: loss or gradient in epoch 2, step 10: ");
  assert_non_null(strstr(s.k.problem.text, "log"));
  assert_int_equal(s.k.step, 9);
  s.k.hook.loss = steep_at_9;
  expect_reason(&s, CR_ENDED_NOT_FINITE, "in epoch 2, step 10: ");
  assert_non_null(strstr(s.k.problem.text, "sqrt"));
  for (int i = 0; i < cr_model_count(s.k.model); i++) { /* that step was not taken */
    const cr_array *w = &cr_model_parameter(s.k.model, i)->value;
    for (int64_t j = 0; j < w->count; j++) assert_true(isfinite(cr_array_get(w, j)));
  }
  tear_down(&s);
}

/* A bowl whose bottom is reached: nothing can be better. */
static cr_var bowl(cr_training *k, cr_var y, const cr_batch *b) {
  (void)b, (void)y;
  cr_var w = cr_model_leaf(k->model, 0);
  return cr_sum_all(cr_mul(w, w));
}
static void stuck_at_the_bottom(void **state) {
  (void)state;
  setup s;
  set_up(&s, "bfgs()", NULL);
  s.k.hook.loss = bowl;
  s.k.batch = INT64_MAX;
  s.k.epochs = 100;
  expect_reason(&s, CR_ENDED_STUCK, "no further decrease");
  assert_true(s.k.epoch_loss < 1e-20);
  assert_int_equal(s.k.n_history, s.k.epoch);
  tear_down(&s);
}

/* Validation losses as a script, and the parameters that belong to the best of them. */
static const double script[] = {5, 4, 4.05, 3, 3.2, 3.1, 2.95, 3.4};
static uint64_t hash_at[8];
static cr_status scripted(cr_training *k, const cr_dataset *d, double *loss) {
  (void)d;
  *loss = script[k->epoch - 1];
  hash_at[k->epoch - 1] = cr_model_hash(k->model);
  return CR_OK;
}

static void the_best_parameters_come_back(void **state) {
  (void)state;
  setup s;
  set_up(&s, "sgd(lr=0.1)", NULL);
  s.k.validation = &s.validation;
  s.k.hook.validate = scripted;
  s.k.epochs = 8;
  s.k.patience = 3;
  s.k.min_delta = 0.1;
  expect_reason(&s, CR_ENDED_PATIENCE, "patience: no better validation loss for 3 epochs");
  assert_int_equal(s.k.epoch, 7); /* 2.95 is not better than 3 by 0.1 */
  assert_int_equal(s.k.best_epoch, 4);
  assert_true(s.k.best_loss == 3);
  assert_true(s.k.run_hash == hash_at[3]);
  s.k.patience = 0;
  s.k.min_delta = 0;
  expect_reason(&s, CR_ENDED_EPOCHS, "all 8 epochs are done");
  assert_int_equal(s.k.best_epoch, 7);
  assert_true(s.k.run_hash == hash_at[6]);
  s.k.keep_last = 1;
  assert_ok(&s, cr_train(&s.k));
  assert_true(s.k.run_hash == hash_at[7]);
  tear_down(&s);
}

/* Residuals */

static cr_var line(cr_training *k, const cr_batch *b) { return cr_dense(k->model, b->x, 1); }
static cr_var residuals(cr_training *k, cr_var y, const cr_batch *b) {
  (void)k;
  return cr_sub(y, b->y);
}
static void levenberg_marquardt_takes_residuals(void **state) {
  (void)state;
  setup s;
  set_up(&s, "levenberg_marquardt()", NULL);
  make_xor(&s.train); /* the best plane is 1/2 everywhere: half the squares of 1/2, four times */
  s.k.hook = (cr_hooks){.forward = line, .loss = residuals};
  s.k.batch = INT64_MAX;
  s.k.epochs = 20;
  s.k.validation = &s.train;
  assert_ok(&s, cr_train(&s.k));
  assert_true(fabs(s.k.best_loss - 0.5) < 1e-9);
  tear_down(&s);
}

/* Records */

static void logs_hold_a_line_an_epoch(void **state) {
  (void)state;
  static const char *const names[] = {"training_test.csv", "training_test.json"};
  for (int i = 0; i < 2; i++) {
    setup s;
    set_up(&s, "sgd(lr=0.125)", NULL);
    s.k.log = names[i];
    s.k.metrics = "accuracy";
    s.k.epochs = 2;
    assert_ok(&s, cr_train(&s.k));
    char *text;
    size_t n;
    assert_int_equal(cr_read_text(&text, &n, names[i], NULL), CR_OK);
    remove(names[i]);
    const char *head = "epoch,steps,seconds,rate,train_loss,validation_loss,gradient_norm,accuracy\n1,7,";
    if (i == 0) assert_true(strncmp(text, head, strlen(head)) == 0);
    else if (strncmp(text, "{\"epoch\": 1, \"steps\": 7, \"seconds\": ", 36)) fail_msg("%s", text);
    assert_non_null(strstr(text, i ? "\"rate\": 0.125, " : ",0.125,"));
    assert_non_null(strstr(text, i ? "\"validation_loss\": null, " : ",,"));
    assert_non_null(strstr(text, i ? "\n{\"epoch\": 2, \"steps\": 14, " : "\n2,14,"));
    free(text);
    tear_down(&s);
  }
}

static void gradients_are_reported_by_parameter(void **state) {
  (void)state;
  setup s;
  set_up(&s, "sgd(lr=0.1)", NULL);
  s.k.batch = INT64_MAX;
  s.k.epochs = 3;
  assert_ok(&s, cr_train(&s.k));
  cr_gradient_report r[10];
  assert_int_equal(cr_training_gradient_report(&s.k, 10, r), 4);
  double square = 0;
  for (int i = 0; i < 4; i++) { /* a gradient step: the change is 0.1 times the gradient */
    assert_true(fabs(r[i].update_ratio * r[i].value_norm - 0.1 * r[i].gradient_norm) < 1e-12);
    square += r[i].gradient_norm * r[i].gradient_norm;
  }
  assert_non_null(strstr(r[0].name, "weight"));
  assert_true(fabs(sqrt(square) - s.k.history[2].gradient_norm) < 1e-12);
  tear_down(&s);
}

static char a_line[300];
static void keep_line(cr_training *k, int64_t step, int64_t steps) {
  (void)steps;
  if (k->epoch == 3 && step == 2) cr_progress_line(k, a_line, sizeof a_line);
}
static void progress_is_a_line(void **state) {
  (void)state;
  setup s;
  set_up(&s, "sgd(lr=0.1)", NULL);
  s.k.epochs = 4;
  s.k.progress = keep_line;
  s.k.validation = &s.validation;
  assert_ok(&s, cr_train(&s.k));
  assert_true(strncmp(a_line, "epoch 3/4 \u2588\u2588\u2591", 10 + 9) == 0);
  assert_non_null(strstr(a_line, " 2/7  ETA 0:0"));
  assert_non_null(strstr(a_line, "  loss "));
  assert_non_null(strstr(a_line, " \u2588\u2581  val "));
  char small[24];
  for (size_t size = 1; size <= sizeof small; size++) { /* never past the end, never half a character */
    memset(small, 'x', sizeof small);
    cr_progress_line(&s.k, small, size);
    assert_true(strlen(small) < size);
  }
  tear_down(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(xor_is_learnt),
    cmocka_unit_test(hooks_are_called_in_order),
    cmocka_unit_test(failures_name_the_place),
    cmocka_unit_test(batches_of_one_some_and_all),
    cmocka_unit_test(the_seed_decides),
    cmocka_unit_test(each_reason_to_stop),
    cmocka_unit_test(stuck_at_the_bottom),
    cmocka_unit_test(the_best_parameters_come_back),
    cmocka_unit_test(levenberg_marquardt_takes_residuals),
    cmocka_unit_test(logs_hold_a_line_an_epoch),
    cmocka_unit_test(gradients_are_reported_by_parameter),
    cmocka_unit_test(progress_is_a_line)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
