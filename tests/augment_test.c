/* Augmentation of training batches: what it does to numbers and targets, and that its calls are checked. */
#include "training_setup.h"

static cr_array fed_x, fed_y;
static cr_status keeping_feed(cr_training *k, const cr_dataset *d, int64_t n, const int64_t *which, cr_batch *b) {
  cr_status status = cr_default_feed(k, d, n, which, b);
  if (status || !k->epoch || !cr_model_is_training(k->model)) return status;
  cr_array x = cr_view(b->x), y = cr_view(b->y);
  cr_array_release(&fed_x);
  cr_array_release(&fed_y);
  cr_array_clone(&fed_x, &x, CR_FLOAT64, NULL);
  cr_array_clone(&fed_y, &y, CR_FLOAT64, NULL);
  return CR_OK;
}
static cr_var image_forward(cr_training *k, const cr_batch *b) {
  return cr_dense(k->model, cr_reshape(b->x, 2, (int64_t[]){b->n, 12}), 3);
}
static void feed_images(setup *s, const char *augment, cr_status expected) {
  int64_t n = 400;
  set_up(s, "sgd(lr=0)", NULL);
  cr_dataset_free(&s->train);
  s->train = (cr_dataset){.n_classes = 3};
  cr_array_make(&s->train.x, CR_FLOAT64, 3, (int64_t[]){n, 3, 4}, NULL);
  cr_array_make(&s->train.y, CR_INT64, 1, &n, NULL);
  for (int64_t i = 0; i < 12 * n; i++) cr_array_set(&s->train.x, i, (double)(1 + i % 12 + 100 * (i / 12)));
  for (int64_t i = 0; i < n; i++) cr_array_set(&s->train.y, i, (double)(i % 3));
  s->k.hook.feed = keeping_feed;
  s->k.hook.forward = image_forward;
  s->k.augment = augment;
  s->k.batch = INT64_MAX;
  s->k.in_order = 1;
  s->k.epochs = 1;
  cr_status status = cr_train(&s->k);
  if (status != expected) fail_msg("%s: %s", augment, s->k.problem.text);
}
static double fed(int64_t i, int row, int column) {
  return cr_array_get(&fed_x, 12 * i + 4 * row + column) - 100.0 * (double)i;
}

static void noise_and_flips(void **state) {
  (void)state;
  setup s;
  feed_images(&s, "noise(0.5)", CR_OK);
  double mean = 0, square = 0;
  for (int64_t i = 0; i < 4800; i++) {
    double e = cr_array_get(&fed_x, i) - cr_array_get(&s.train.x, i);
    mean += e / 4800;
    square += e * e / 4800;
  }
  assert_true(fabs(mean) < 0.03 && fabs(sqrt(square) - 0.5) < 0.02);
  tear_down(&s);
  for (int rows = 0; rows < 2; rows++) {
    feed_images(&s, rows ? "flip(axis=0)" : "flip", CR_OK);
    int flipped = 0;
    for (int64_t i = 0; i < 400; i++) {
      int turned = fed(i, 0, 0) != 1;
      flipped += turned;
      for (int r = 0; r < 3; r++)
        for (int c = 0; c < 4; c++) {
          int from_row = turned && rows ? 2 - r : r, from_column = turned && !rows ? 3 - c : c;
          assert_true(fed(i, r, c) == 1 + 4 * from_row + from_column);
        }
    }
    assert_true(flipped > 160 && flipped < 240);
    tear_down(&s);
  }
}

static void shifts(void **state) {
  (void)state;
  setup s;
  int counts[3][3] = {{0}};
  feed_images(&s, "shift(1)", CR_OK);
  for (int64_t i = 0; i < 400; i++) {
    int middle = (int)fed(i, 1, 1) - 1, down = 1 - middle / 4, right = 1 - middle % 4;
    counts[down + 1][right + 1]++;
    for (int r = 0; r < 3; r++)
      for (int c = 0; c < 4; c++) {
        int inside = r - down >= 0 && r - down < 3 && c - right >= 0 && c - right < 4;
        assert_true(inside ? fed(i, r, c) == 1 + 4 * (r - down) + c - right : cr_array_get(&fed_x, 12 * i + 4 * r + c) == 0);
      }
  }
  for (int i = 0; i < 9; i++) assert_true(counts[i / 3][i % 3] > 20);
  tear_down(&s);
}

static void mixup_mixes_inputs_and_targets(void **state) {
  (void)state;
  setup s;
  feed_images(&s, "mixup(lambda=0.75)", CR_OK);
  assert_int_equal(fed_y.rank, 2);
  for (int64_t i = 0; i < 400; i++) {
    double x = cr_array_get(&fed_x, 12 * i), partner = (x - 0.75 * (1 + 100.0 * (double)i)) / 0.25; /* its first number */
    int64_t of = (int64_t)((partner - 1) / 100 + 0.5);
    assert_true(of >= 0 && of < 400 && fabs(partner - 1 - 100.0 * (double)of) < 1e-6);
    for (int c = 0; c < 3; c++) {
      assert_true(cr_array_get(&fed_y, 3 * i + c) == 0.75 * (i % 3 == c) + 0.25 * (of % 3 == c));
    }
  }
  tear_down(&s);
  feed_images(&s, "mixup(alpha=0.4)", CR_OK); /* Beta(a, a) has variance 1/4 / (2a + 1) */
  double variance = 0;
  int n = 0;
  for (int64_t i = 0; i < 400; i++) {
    double own = cr_array_get(&fed_y, 3 * i + i % 3);
    if (own < 1) variance += (own - 0.5) * (own - 0.5), n++; /* the partner is of another class */
  }
  assert_true(fabs(variance / n - 0.25 / 1.8) < 0.03);
  tear_down(&s);
}

static void augmentations_are_checked(void **state) {
  (void)state;
  static const char *const wrong[][2] = {{"blur(1)", "unknown augmentation 'blur'; there are noise, flip, shift, mixup"},
                                         {"noise()", "std"},
                                         {"noise('a')", "std is the text 'a'"},
                                         {"flip(p='a')", "p is the text 'a'"},
                                         {"noise(sigma)", "std"},
                                         {"noise(-1)", "is -1"},
                                         {"flip(axis=2)", "no axis 2"},
                                         {"shift(1, shape=[3, 5])", "an example has 12 numbers, shape= has 15"},
                                         {"shift(1, shape=[12])", "wants images"},
                                         {"mixup(0)", "positive"},
                                         {"mixup(lambda=2)", "above 1"},
                                         {"noise(0.1), shift(", ""}};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    setup s;
    set_up(&s, "sgd(lr=0)", NULL);
    cr_dataset_free(&s.train);
    s.train = (cr_dataset){.n_classes = 3};
    cr_array_make(&s.train.x, CR_FLOAT64, 3, (int64_t[]){2, 3, 4}, NULL);
    cr_array_make(&s.train.y, CR_INT64, 1, (int64_t[]){2}, NULL);
    s.k.hook.forward = image_forward;
    s.k.augment = wrong[i][0];
    assert_int_not_equal(cr_train(&s.k), CR_OK);
    if (!strstr(s.k.problem.text, wrong[i][1])) fail_msg("%s: %s", wrong[i][0], s.k.problem.text);
    tear_down(&s);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(noise_and_flips), cmocka_unit_test(shifts),
                                     cmocka_unit_test(mixup_mixes_inputs_and_targets),
                                     cmocka_unit_test(augmentations_are_checked)};
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  cr_array_release(&fed_x);
  cr_array_release(&fed_y);
  return failed;
}
