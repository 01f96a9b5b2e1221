/* Metrics against numbers that scikit-learn 1.7 and hand calculation give. */
#include "training_setup.h"

static cr_array array_of(cr_dtype dtype, int rank, const int64_t *dims, const double *numbers) {
  cr_array a = {0};
  assert_int_equal(cr_array_make(&a, dtype, rank, dims, NULL), CR_OK);
  for (int64_t i = 0; i < a.count; i++) cr_array_set(&a, i, numbers[i]);
  return a;
}

static double metric(const char *name, const cr_array *p, const cr_array *t, int n_classes, const char *expects) {
  const cr_metric *m = cr_metric_named(name);
  assert_non_null(m);
  return m->of(p, t, n_classes, expects);
}

static void assert_near(double x, double wanted) {
  if (!(fabs(x - wanted) <= 1e-12 * fmax(1, fabs(wanted)))) fail_msg("%.17g instead of %.17g", x, wanted);
}

/* Truth 0 1 2 2 1 0 2 1, predicted 0 2 2 1 1 0 0 1; class 3 does not occur. */
static const double scores[] = {5, 1, 0, 0, 0, 1, 3, 0, 0, 0, 2, 1, 1, 2, 0, 0,
                                0, 9, 1, 0, 4, 0, 0, 0, 2, 1, 1, 0, 0, 7, 0, 1};
static const double classes[] = {0, 1, 2, 2, 1, 0, 2, 1};

static void classes_by_the_largest_score(void **state) {
  (void)state;
  cr_array p = array_of(CR_FLOAT32, 2, (int64_t[]){8, 4}, scores), t = array_of(CR_INT64, 1, (int64_t[]){8}, classes);
  int64_t counts[16], wanted[16] = {2, 0, 0, 0, 0, 2, 1, 0, 1, 1, 1, 0};
  assert_int_equal(cr_confusion(&p, &t, 4, 0, counts, NULL), CR_OK);
  assert_memory_equal(counts, wanted, sizeof wanted);
  assert_near(metric("accuracy", &p, &t, 4, NULL), 0.625);
  assert_near(metric("precision", &p, &t, 4, NULL), (2.0 / 3 + 2.0 / 3 + 1.0 / 2) / 3);
  assert_near(metric("recall", &p, &t, 4, NULL), (1 + 2.0 / 3 + 1.0 / 3) / 3);
  assert_near(metric("f1", &p, &t, 4, NULL), (0.8 + 2.0 / 3 + 0.4) / 3);
  cr_problem why = {0};
  assert_int_equal(cr_confusion(&p, &t, 2, 0, counts, &why), CR_BAD_INDEX);
  assert_non_null(strstr(why.text, "class 2 of example 1"));
  cr_array_release(&p);
  cr_array_release(&t);
}

static void a_class_never_predicted_counts_as_zero(void **state) {
  (void)state;
  cr_array p = array_of(CR_FLOAT64, 2, (int64_t[]){3, 2}, (double[]){1, 0, 1, 0, 1, 0});
  cr_array t = array_of(CR_INT64, 1, (int64_t[]){3}, (double[]){0, 1, 0});
  assert_near(metric("precision", &p, &t, 2, NULL), 1.0 / 3);
  assert_near(metric("recall", &p, &t, 2, NULL), 0.5);
  assert_near(metric("f1", &p, &t, 2, NULL), 0.4);
  cr_array_release(&p);
  cr_array_release(&t);
}

static void one_column_has_a_threshold(void **state) {
  (void)state;
  cr_array p = array_of(CR_FLOAT64, 2, (int64_t[]){4, 1}, (double[]){0.2, 0.7, 0.4, 0.9});
  cr_array t = array_of(CR_FLOAT64, 1, (int64_t[]){4}, (double[]){0, 1, 1, 1}),
           z = array_of(CR_INT64, 1, (int64_t[]){4}, (double[]){0, 1, 1, 1});
  cr_array signs = array_of(CR_FLOAT64, 1, (int64_t[]){4}, (double[]){-1, 1, 1, 1});
  assert_near(metric("accuracy", &p, &t, 0, "probability"), 0.75);
  assert_near(metric("accuracy", &p, &z, 2, "probability"), 0.75);
  assert_near(metric("accuracy", &p, &t, 0, "logits"), 0.75); /* all are above 0 */
  assert_near(metric("accuracy", &p, &signs, 0, "score"), 0.75);
  assert_near(metric("accuracy", &p, &z, 2, "value"), 0.75); /* 0 and 1: at 1/2 */
  assert_near(metric("accuracy", &p, &signs, 0, "value"), 0.75); /* -1 and 1: at 0 */
  cr_array several = array_of(CR_FLOAT64, 2, (int64_t[]){2, 2}, (double[]){-1, 3, 2, 1}),
           answers = array_of(CR_FLOAT64, 2, (int64_t[]){2, 2}, (double[]){0, 1, 1, 1});
  assert_near(metric("accuracy", &several, &answers, 0, "logit"), 1); /* each number answers a question of its own */
  assert_near(metric("nats", &several, &answers, 0, "logit"),
              (log1p(exp(-1)) + log1p(exp(-3)) + log1p(exp(-2)) + log1p(exp(-1))) / 4);
  cr_array_release(&several);
  cr_array_release(&answers);
  assert_near(metric("recall", &p, &t, 0, "probability"), (1 + 2.0 / 3) / 2);
  assert_near(metric("nats", &p, &t, 0, "probability"), -(log(0.8) + log(0.7) + log(0.4) + log(0.9)) / 4);
  assert_near(metric("nats", &p, &t, 0, NULL),
              (log1p(exp(0.2)) + log1p(exp(-0.7)) + log1p(exp(-0.4)) + log1p(exp(-0.9))) / 4);
  cr_array_release(&p);
  cr_array_release(&t);
  cr_array_release(&z);
  cr_array_release(&signs);
}

static void one_hot_rows_and_sequences(void **state) {
  (void)state;
  cr_array p = array_of(CR_FLOAT64, 2, (int64_t[]){2, 3}, (double[]){1, 2, 3, 3, 2, 1});
  cr_array hot = array_of(CR_FLOAT64, 2, (int64_t[]){2, 3}, (double[]){0, 0, 1, 0, 0.75, 0.25});
  assert_near(metric("accuracy", &p, &hot, 3, NULL), 0.5);
  double z = log(exp(1) + exp(2) + exp(3));
  assert_near(metric("nats", &p, &hot, 3, NULL), ((z - 3) + 0.75 * (z - 2) + 0.25 * (z - 1)) / 2);
  /* (examples, time, classes) with a place that does not count */
  cr_array sequence = array_of(CR_FLOAT64, 3, (int64_t[]){1, 3, 2}, (double[]){2, 1, 1e4, 0, 0, 5});
  cr_array letters = array_of(CR_INT64, 2, (int64_t[]){1, 3}, (double[]){0, 1, -100});
  assert_near(metric("accuracy", &sequence, &letters, 2, NULL), 0.5);
  assert_near(metric("nats", &sequence, &letters, 2, NULL), (log1p(exp(-1)) + 1e4) / 2);
  cr_array q = array_of(CR_FLOAT64, 2, (int64_t[]){2, 2}, (double[]){0.25, 0.75, 0.5, 0.5});
  cr_array y = array_of(CR_INT64, 1, (int64_t[]){2}, (double[]){1, 0});
  assert_near(metric("bits", &q, &y, 2, "probabilities"), (log2(4.0 / 3) + 1) / 2);
  assert_near(metric("perplexity", &q, &y, 2, "probabilities"), sqrt(8.0 / 3));
  for (int i = 0; i < 4; i++) cr_array_set(&q, i, log(cr_array_get(&q, i)));
  assert_near(metric("perplexity", &q, &y, 2, "log-probabilities"), sqrt(8.0 / 3));
  cr_array *all[] = {&p, &hot, &sequence, &letters, &q, &y};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) cr_array_release(all[i]);
}

static void numbers(void **state) {
  (void)state;
  cr_array p = array_of(CR_FLOAT64, 2, (int64_t[]){4, 1}, (double[]){2.5, 0, 2, 8});
  cr_array t = array_of(CR_FLOAT64, 1, (int64_t[]){4}, (double[]){3, -0.5, 2, 7});
  assert_near(metric("mae", &p, &t, 0, NULL), 0.5);
  assert_near(metric("mse", &p, &t, 0, NULL), 0.375);
  assert_near(metric("rmse", &p, &t, 0, NULL), sqrt(0.375));
  assert_near(metric("r2", &p, &t, 0, NULL), 0.9486081370449679); /* r2_score's own example */
  cr_array p2 = array_of(CR_FLOAT64, 2, (int64_t[]){3, 2}, (double[]){0, 2, -1, 2, 8, -5});
  cr_array t2 = array_of(CR_FLOAT64, 2, (int64_t[]){3, 2}, (double[]){0.5, 1, -1, 1, 7, -6});
  assert_near(metric("r2", &p2, &t2, 0, NULL), 0.9368005266622779); /* uniform average over outputs */
  cr_array constant = array_of(CR_FLOAT64, 1, (int64_t[]){4}, (double[]){1, 1, 1, 1});
  assert_near(metric("r2", &constant, &constant, 0, NULL), 1);
  assert_near(metric("r2", &p, &constant, 0, NULL), 0);
  assert_true(isnan(metric("mae", &p2, &t, 0, NULL)));
  assert_true(isnan(metric("accuracy", &p2, &t, 2, NULL)));
  cr_array *all[] = {&p, &t, &p2, &t2, &constant};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) cr_array_release(all[i]);
}

static void names_and_shapes_are_checked(void **state) {
  (void)state;
  setup s;
  set_up(&s, "sgd(lr=0.1)", NULL);
  s.k.epochs = 1;
  s.k.metrics = "accuracy, f2";
  assert_int_equal(cr_train(&s.k), CR_UNKNOWN_NAME);
  assert_non_null(strstr(s.k.problem.text, "unknown metric 'f2'; there are accuracy, precision, recall, f1, mae"));
  s.k.metrics = "accuracy, mae";
  assert_int_equal(cr_train(&s.k), CR_BAD_SHAPE);
  assert_non_null(strstr(s.k.problem.text, "metric 'mae': predictions of shape (50, 3) do not fit targets of shape (50,)"));
  tear_down(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(classes_by_the_largest_score), cmocka_unit_test(a_class_never_predicted_counts_as_zero),
    cmocka_unit_test(one_column_has_a_threshold),   cmocka_unit_test(one_hot_rows_and_sequences),
    cmocka_unit_test(numbers),                      cmocka_unit_test(names_and_shapes_are_checked)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
