/* Captured steps against recorded ones: the same parameters, losses and reports, bit by bit, whatever the method; and what
 * cannot be captured is recorded. */
#include "training_setup.h"

static cr_dtype dtype;

static void begin(setup *s, const char *optimizer, const char *schedule) {
  set_up(s, optimizer, schedule);
  cr_model_free(s->k.model);
  cr_free(s->tape);
  s->tape = cr_new();
  s->k.model = cr_model_new(s->tape, dtype, 7);
  s->k.epochs = 3;
}

/* What must not differ. */
typedef struct outcome {
  uint64_t hash;
  int64_t steps, captured, n_epochs;
  cr_epoch epoch[8];
  int n_reported;
  cr_gradient_report report[8];
  char why[160];
} outcome;

static outcome run(void (*change)(setup *s), const char *optimizer, int capture) {
  setup s;
  outcome o = {0};
  begin(&s, optimizer, NULL);
  if (change) change(&s);
  s.k.capture = capture;
  assert_ok(&s, cr_train(&s.k));
  o.hash = s.k.run_hash;
  o.steps = s.k.step;
  o.captured = s.k.captured_steps;
  o.n_epochs = s.k.n_history;
  assert_true(o.n_epochs <= 8);
  for (int k = 0; k < o.n_epochs; k++) o.epoch[k] = s.k.history[k], o.epoch[k].seconds = 0;
  o.n_reported = cr_training_gradient_report(&s.k, 8, o.report);
  for (int k = 0; k < o.n_reported && k < 8; k++) o.report[k].name = NULL;
  strcpy(o.why, s.k.reason_text);
  tear_down(&s);
  return o;
}

static int same_number(double a, double b) { return a == b || (a != a && b != b); }

static void same_outcome(const char *what, const outcome *a, const outcome *b) {
  if (a->hash != b->hash || a->steps != b->steps) fail_msg("%s: other parameters", what);
  assert_string_equal(a->why, b->why);
  assert_int_equal(a->n_epochs, b->n_epochs);
  for (int k = 0; k < a->n_epochs; k++) {
    const cr_epoch *x = &a->epoch[k], *y = &b->epoch[k];
    int same = x->train_loss == y->train_loss && same_number(x->validation_loss, y->validation_loss) && x->rate == y->rate &&
               x->gradient_norm == y->gradient_norm;
    for (int m = 0; m < CR_MAX_METRICS; m++) same = same && same_number(x->metric[m], y->metric[m]);
    if (!same) fail_msg("%s: epoch %d differs", what, k + 1);
  }
  assert_int_equal(a->n_reported, b->n_reported);
  for (int k = 0; k < a->n_reported; k++) {
    const cr_gradient_report *x = &a->report[k], *y = &b->report[k];
    if (x->gradient_norm != y->gradient_norm || x->value_norm != y->value_norm || x->update_ratio != y->update_ratio)
      fail_msg("%s: the report differs", what);
  }
}

/* all: every step is captured, else none. */
static void compare(void (*change)(setup *s), const char *optimizer, int all) {
  for (dtype = CR_FLOAT32; dtype <= CR_FLOAT64; dtype++) {
    outcome recorded = run(change, optimizer, 0), captured = run(change, optimizer, 1);
    same_outcome(optimizer, &recorded, &captured);
    assert_int_equal(recorded.captured, 0);
    assert_int_equal(captured.captured, all ? captured.steps : 0);
    assert_true(captured.steps > 0);
  }
}

static void every_method_has_the_same_bits(void **state) {
  (void)state;
  for (int k = 0; cr_method_at(k); k++) {
    const cr_method *m = cr_method_at(k);
    char call[64];
    if (m->needs == 2) continue;
    snprintf(call, sizeof call, "%.*s", (int)strcspn(m->signature, "("), m->signature);
    compare(NULL, call, m->update && !strstr(m->update, "loss"));
  }
  static const char *const more[] = {
    "sgd(lr=0.1, momentum=0.9, weight_decay=0.01)", "sgd(lr=0.1, momentum=0.9, nesterov=True)",
    "adam(amsgrad=True, weight_decay=0.1)",
    "adam(bias_correction=False)", "rmsprop(momentum=0.5, centered=True)", "adamw(lr=0.01, weight_decay=0.1)",
    "nadam(decoupled_weight_decay=True, weight_decay=0.01)", "adagrad(lr_decay=0.1)", "sgd(maximize=True, lr=0.001)"};
  for (size_t k = 0; k < sizeof more / sizeof *more; k++) compare(NULL, more[k], 1);
}

static void clipped(setup *s) { s->k.clip_norm = 0.3; }
static void clipped_by_value(setup *s) { s->k.clip_value = 0.05; }
static void clipped_twice(setup *s) { s->k.clip_value = 0.1, s->k.clip_norm = 0.2; }
static void loosely_clipped(setup *s) { s->k.clip_norm = 1e6; }
static void dropping(setup *s) { s->drops = 1, s->k.validation = &s->validation; }
static void normalizing(setup *s) { s->normalizes = 1, s->k.validation = &s->validation, s->k.metrics = "accuracy, f1"; }
static void without_rest(setup *s) { s->k.drop_last = 1, s->k.metrics = "accuracy"; }
static void in_one_batch(setup *s) { s->k.batch = INT64_MAX, s->drops = 1; }
static void noisy(setup *s) { s->k.augment = "noise(0.1)"; }
static void mixed(setup *s) { s->k.augment = "mixup(0.2), flip()", s->k.validation = &s->validation; }
static void threaded(setup *s) { cr_set(s->tape, CR_THREADS, 3), s->units = 3000; }

static void every_setting_has_the_same_bits(void **state) {
  (void)state;
  static void (*const settings[])(setup *s) = {clipped,      clipped_by_value, clipped_twice, loosely_clipped,
                                               dropping,     normalizing,      without_rest,  in_one_batch,
                                               noisy,        mixed,            threaded};
  for (size_t k = 0; k < sizeof settings / sizeof *settings; k++) {
    compare(settings[k], "adam(lr=0.02)", 1);
    compare(settings[k], "momentum(lr=0.05, weight_decay=0.01)", 1);
  }
}

static void scheduled(setup *s) {
  s->k.schedule = cr_schedule_new("cosine(floor=0.1)", NULL, NULL);
  assert_non_null(s->k.schedule);
}
static void a_schedule_is_followed(void **state) {
  (void)state;
  compare(scheduled, "sgd(lr=0.1)", 1);
}

static cr_var mean_all(cr_var x) { return cr_div(cr_sum_all(x), cr_const(x.tape, (double)cr_count(x))); }

/* Hooks whose recordings depend on numbers are recorded, step by step. */

static cr_var reading_forward(cr_training *k, const cr_batch *b) {
  cr_var y = forward(k, b);
  return cr_value(mean_all(y)) > 0 ? cr_mul(y, cr_const(cr_model_tape(k->model), 2)) : y;
}
static cr_var masking_loss(cr_training *k, cr_var prediction, const cr_batch *b) {
  cr_tape *t = cr_model_tape(k->model);
  cr_var large = cr_gt(cr_select(b->x, 1, 0), cr_const(t, 0)), rows[1] = {large};
  cr_var kept = cr_index(prediction, 1, rows);
  return mean_all(cr_mul(kept, kept));
}
static cr_var counting_loss(cr_training *k, cr_var prediction, const cr_batch *b) {
  (void)k;
  cr_var all = cr_one_hot(b->y, -1); /* as many columns as the batch has classes */
  return cr_mul(mean_all(cr_mul(prediction, prediction)), cr_cast(mean_all(cr_cast(all, CR_FLOAT64)), dtype));
}
static cr_var drawing_forward(cr_training *k, const cr_batch *b) {
  return cr_dropout(forward(k, b), 0.2, 1, cr_model_draw(k->model));
}
static cr_status own_update(cr_training *k, cr_var loss) { return cr_default_update(k, loss); }
static void reading(setup *s) { s->k.hook.forward = reading_forward; }
static void masking(setup *s) { s->k.hook.loss = masking_loss; }
static void counting(setup *s) { s->k.hook.loss = counting_loss; }
static void drawing(setup *s) { s->k.hook.forward = drawing_forward; }
static void updating(setup *s) { s->k.hook.update = own_update; }
static void looking(setup *s) { cr_set(s->tape, CR_FIND_NONFINITE, 1); }

static void what_reads_values_is_recorded(void **state) {
  (void)state;
  compare(reading, "sgd(lr=0.1)", 0);
  compare(masking, "sgd(lr=0.1)", 0);
  compare(counting, "sgd(lr=0.1)", 0);
  compare(drawing, "sgd(lr=0.1)", 0);
  compare(updating, "sgd(lr=0.1)", 0);
  compare(looking, "sgd(lr=0.1)", 0);
}

static int forwards;
static cr_var counted_forward(cr_training *k, const cr_batch *b) { return forwards++, forward(k, b); }

static void a_shape_is_recorded_once(void **state) {
  (void)state;
  setup s;
  cr_array y = {0};
  dtype = CR_FLOAT32;
  for (int capture = 0; capture < 2; capture++) {
    begin(&s, "adam", NULL);
    s.k.hook.forward = counted_forward;
    s.k.validation = &s.validation;
    s.k.capture = capture;
    forwards = 0;
    assert_ok(&s, cr_train(&s.k)); /* in 3 epochs 7 batches to train with, one of them smaller, and 4 to judge by */
    assert_int_equal(forwards, capture ? 1 + 2 + 1 + 3 : 1 + 3 * (7 + 4));
    forwards = 0;
    for (int k = 0; k < 2; k++) {
      assert_int_equal(cr_predict(&s.k, &s.validation, &y, NULL), CR_OK);
      cr_array_release(&y);
    }
    assert_int_equal(forwards, capture ? 1 + 2 : 8); /* the last batch is recorded, for reports on its pass */
    assert_int_equal(cr_model_saturation(s.k.model, 0, NULL), 1);
    tear_down(&s);
  }
}

static void the_last_pass_is_left_for_reports(void **state) {
  (void)state;
  setup s;
  dtype = CR_FLOAT32;
  begin(&s, "adam", NULL);
  s.k.capture = 1;
  assert_ok(&s, cr_train(&s.k));
  assert_int_equal(cr_model_saturation(s.k.model, 0, NULL), 1);
  char *text = cr_model_summary(s.k.model);
  assert_non_null(strstr(text, "dense2"));
  free(text);
  tear_down(&s);
}

/* Failures: the same text, and nothing has moved. */

static cr_var root_loss(cr_training *k, cr_var prediction, const cr_batch *b) {
  (void)k, (void)b;
  return mean_all(cr_sqrt(cr_sub(cr_const(prediction.tape, 3), cr_mul(prediction, prediction))));
}
static void rooted(setup *s) { s->k.hook.loss = root_loss; }

static void what_is_not_finite_ends_training(void **state) {
  (void)state;
  for (dtype = CR_FLOAT32; dtype <= CR_FLOAT64; dtype++) {
    outcome recorded = run(rooted, "sgd(lr=2, maximize=False)", 0), captured = run(rooted, "sgd(lr=2, maximize=False)", 1);
    assert_non_null(strstr(recorded.why, "not finite"));
    same_outcome("sqrt", &recorded, &captured);
    assert_true(captured.captured == captured.steps);
  }
}

static void a_bad_class_is_named(void **state) {
  (void)state;
  char text[2][600];
  dtype = CR_FLOAT64;
  for (int capture = 0; capture < 2; capture++) {
    setup s;
    begin(&s, "adam", NULL);
    cr_array_set(&s.train.y, 33, 5);
    s.k.capture = capture;
    s.k.in_order = 1;
    assert_int_equal(cr_train(&s.k), CR_BAD_INDEX);
    assert_int_equal(s.k.step, 4);
    snprintf(text[capture], sizeof text[0], "%s", s.k.problem.text);
    tear_down(&s);
  }
  assert_non_null(strstr(text[0], "epoch 1, step 5"));
  assert_string_equal(text[0], text[1]);
}

/* One step by hand */

static cr_captured *captured_step(setup *s, cr_batch *b, cr_problem *p) {
  int64_t which[8] = {0, 1, 2, 3, 4, 5, 6, 7};
  cr_model_begin(s->k.model, 1);
  assert_int_equal(cr_default_feed(&s->k, &s->train, 8, which, b), CR_OK);
  cr_var loss = cross_entropy(&s->k, forward(&s->k, b), b);
  return cr_captured_new(s->k.optimizer, s->k.model, loss, 2, (cr_var[]){b->x, b->y}, 0, 0, p);
}

static void a_step_that_fails_changes_nothing(void **state) {
  (void)state;
  setup s;
  cr_batch b;
  cr_step report;
  cr_problem p = {0};
  dtype = CR_FLOAT64;
  begin(&s, "nadam(lr=0.1)", NULL); /* it has a state that is a number */
  cr_captured *step = captured_step(&s, &b, &p);
  if (!step) fail_msg("%s", p.text);
  cr_array in[2] = {cr_view(b.x), cr_view(b.y)}, wrong[2] = {in[0], in[0]};
  assert_int_equal(cr_captured_step(step, in, &report, &p), CR_OK);
  assert_true(report.loss > 0 && report.gradient_norm > 0 && isnan(report.step_norm));
  uint64_t before = cr_model_hash(s.k.model);
  cr_archive kept = {0}, after = {0};
  assert_int_equal(cr_optimizer_save(s.k.optimizer, s.k.model, &kept, &p), CR_OK);

  assert_int_equal(cr_captured_step(step, wrong, NULL, &p), CR_BAD_SHAPE);
  assert_non_null(strstr(p.text, "nadam"));
  ((double *)in[0].data)[3] = (double)NAN;
  p = (cr_problem){0};
  assert_int_equal(cr_captured_step(step, in, NULL, &p), CR_NOT_FINITE);
  ((double *)in[0].data)[3] = 0.5;
  cr_model_parameter(s.k.model, 0)->trainable = 0;
  assert_int_equal(cr_captured_step(step, in, NULL, NULL), CR_STALE);
  cr_model_parameter(s.k.model, 0)->trainable = 1;

  assert_true(cr_model_hash(s.k.model) == before);
  assert_int_equal(cr_optimizer_save(s.k.optimizer, s.k.model, &after, &p), CR_OK);
  assert_int_equal(kept.n, after.n);
  for (int k = 0; k < kept.n; k++)
    for (int64_t i = 0; i < kept.entry[k].array.count; i++)
      assert_true(same_number(cr_array_get(&kept.entry[k].array, i), cr_array_get(&after.entry[k].array, i)));
  cr_captured_rest(step);
  assert_int_equal(cr_captured_step(step, in, NULL, NULL), CR_OK);
  assert_true(cr_model_hash(s.k.model) != before);
  assert_true(cr_captured_norm(step, 0) > 0 && cr_captured_norm(step, 99) == 0);
  assert_true(cr_captured_stats(step).blocks > 0);
  cr_archive_free(&kept);
  cr_archive_free(&after);
  cr_captured_free(step);
  tear_down(&s);
}

/* A step along the slope x / (2 sqrt(w)) of 99 ones; w[at] becomes 0, where it is infinite. */
static cr_status step_along(cr_dtype type, double x, int at, double *norm) {
  const int64_t n = 99;
  cr_problem p = {0};
  cr_step report = {0};
  cr_tape *t = cr_new();
  cr_model *m = cr_model_new(t, type, 1);
  cr_optimizer *o = cr_optimizer_new("sgd(lr=0)", NULL, &p);
  cr_model_begin(m, 1);
  cr_var w = cr_model_weight(m, "w", 1, &n, "ones"), along = cr_constant_of(t, type, 1, &n, NULL);
  cr_array numbers = cr_view(along), value = cr_model_parameter(m, 0)->value;
  for (int64_t k = 0; k < n; k++) cr_array_set(&numbers, k, x);
  cr_captured *step = cr_captured_new(o, m, cr_formula(t, "mean(sqrt(w)*x)", "w", w, "x", along), 1, &along, 0, 0, &p);
  if (!step) fail_msg("%s", p.text);
  if (at >= 0) cr_array_set(&value, at, 0);
  cr_status status = cr_captured_step(step, &numbers, &report, &p);
  assert_true(cr_array_get(&value, 0) == (at == 0 ? 0 : 1));
  *norm = report.gradient_norm;
  cr_captured_free(step);
  cr_optimizer_free(o);
  cr_model_free(m);
  cr_free(t);
  return status;
}

/* Squares may be infinite where numbers are not. */
static void gradients_must_be_finite(void **state) {
  (void)state;
  double norm;
  for (int k = 0; k < 2; k++) {
    cr_dtype type = k ? CR_FLOAT32 : CR_FLOAT64;
    double most = k ? 1e36 : 1e300;
    assert_int_equal(step_along(type, 99, -1, &norm), CR_OK);
    assert_true(fabs(norm - sqrt(99) / 2) < 1e-6);
    assert_int_equal(step_along(type, most, -1, &norm), CR_OK);
    assert_true(k ? fabs(norm / (most / 99 / 2 * sqrt(99)) - 1) < 1e-6 : isinf(norm));
    const int at[] = {0, 31, 95, 96, 98}; /* within the lanes and beyond them */
    for (int i = 0; i < 5; i++) assert_int_equal(step_along(type, 1, at[i], &norm), CR_NOT_FINITE);
  }
}

static void methods_without_a_rule_are_refused(void **state) {
  (void)state;
  static const char *const calls[] = {"lbfgs", "irprop_plus"};
  for (size_t k = 0; k < 2; k++) {
    setup s;
    cr_batch b;
    cr_problem p = {0};
    dtype = CR_FLOAT64;
    begin(&s, calls[k], NULL);
    assert_null(captured_step(&s, &b, &p));
    assert_non_null(strstr(p.text, calls[k]));
    tear_down(&s);
  }
}

/* Recording without values */

static void lazy_nodes_have_no_values(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  cr_var before = cr_tensor_of(t, CR_FLOAT64, 1, (int64_t[]){3}, (double[]){1, 2, 3});
  cr_mark mark = cr_mark_here(t);
  cr_set(t, CR_LAZY, 1);
  cr_var after = cr_constant_of(t, CR_FLOAT64, 0, NULL, (double[]){2}), y = cr_sum_all(cr_mul(before, after)), dx;
  assert_int_equal(cr_count(y), 1);
  assert_null(cr_view(y).data);
  assert_true(cr_value(after) == 2);
  assert_int_equal(cr_grad_once(y, 1, &before, &dx), CR_OK);
  cr_fn *f = cr_capture(t, 1, &before, 2, (cr_var[]){y, dx}, 0, NULL, CR_FN_EXACT);
  assert_non_null(f);
  assert_true(isnan(cr_value(y)));
  assert_int_equal(cr_error(t), CR_BAD_ARGUMENT);
  assert_non_null(strstr(cr_error_text(t), "CR_LAZY"));
  cr_clear_error(t);
  assert_null(cr_backward(y));
  cr_clear_error(t);
  assert_true(isnan(cr_value(cr_select(before, 0, 1)))); /* an input's number may be another one when it runs */
  cr_clear_error(t);
  cr_reset(t, mark);
  cr_set(t, CR_LAZY, 0);
  double sum, slope[3];
  cr_array x = cr_view(before), out[2];
  cr_array_init(&out[0], CR_FLOAT64, 0, NULL);
  cr_array_init(&out[1], CR_FLOAT64, 1, (int64_t[]){3});
  out[0].data = &sum, out[1].data = slope;
  cr_workspace *w = cr_workspace_new(f);
  assert_int_equal(cr_fn_run(f, w, &x, out), CR_OK);
  assert_true(sum == 12 && slope[0] == 2 && slope[2] == 2);
  assert_true(cr_value(cr_sum_all(before)) == 6);
  cr_workspace_free(w);
  cr_fn_free(f);
  cr_free(t);
}

static void draws_by_a_node_are_those_of_a_number(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  int64_t seed = 123456789012345, n = 1001;
  cr_var key = cr_constant_of(t, CR_INT64, 0, NULL, &seed), x = cr_tensor_of(t, CR_FLOAT32, 1, &n, NULL);
  for (int64_t k = 0; k < n; k++) ((float *)cr_view(x).data)[k] = (float)(k + 1);
  cr_var pair[4] = {cr_randn(t, CR_FLOAT32, 1, &n, (uint64_t)seed), cr_randn_by(key, CR_FLOAT32, 1, &n),
                    cr_dropout(x, 0.3, 1, (uint64_t)seed), cr_dropout_by(x, 0.3, key)};
  for (int k = 0; k < 4; k += 2)
    assert_memory_equal(cr_view(pair[k]).data, cr_view(pair[k + 1]).data, (size_t)n * sizeof(float));
  cr_randn_by(x, CR_FLOAT32, 1, &n);
  assert_non_null(strstr(cr_error_text(t), "one int64"));
  cr_free(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_method_has_the_same_bits),
    cmocka_unit_test(every_setting_has_the_same_bits),
    cmocka_unit_test(a_schedule_is_followed),
    cmocka_unit_test(what_reads_values_is_recorded),
    cmocka_unit_test(a_shape_is_recorded_once),
    cmocka_unit_test(the_last_pass_is_left_for_reports),
    cmocka_unit_test(what_is_not_finite_ends_training),
    cmocka_unit_test(a_bad_class_is_named),
    cmocka_unit_test(a_step_that_fails_changes_nothing),
    cmocka_unit_test(gradients_must_be_finite),
    cmocka_unit_test(methods_without_a_rule_are_refused),
    cmocka_unit_test(lazy_nodes_have_no_values),
    cmocka_unit_test(draws_by_a_node_are_those_of_a_number),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
