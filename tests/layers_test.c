/* Layers against PyTorch (goldens/networks.npz) and finite differences. */
#include "pytorch.h"

/* Values of the parameters whose entries are HEAD|p|NAME; all must be given one. */
static void load(cr_model *m, const char *head) {
  char what[200];
  for (int k = 0; k < cr_model_count(m); k++) {
    cr_parameter *p = cr_model_parameter(m, k);
    snprintf(what, sizeof what, "p|%s", p->name);
    const cr_array *from = golden(head, what);
    if (!p->trainable) continue;
    if (!from) fail_msg("%s: no golden for %s", head, p->name);
    assert_int_equal(from->count, p->value.count);
    assert_int_equal(from->rank, p->value.rank);
    for (int i = 0; i < from->rank; i++) assert_int_equal(from->dim[i], p->value.dim[i]);
    cr_array_copy(&p->value, from);
  }
}

static void compare_parameters(cr_model *m, const char *head, const char *letter, int gradients) {
  char what[512];
  for (int k = 0; k < cr_model_count(m); k++) {
    const cr_parameter *p = cr_model_parameter(m, k);
    snprintf(what, sizeof what, "%s|%s", letter, p->name);
    const cr_array *want = golden(head, what);
    if (!want) continue;
    snprintf(what, sizeof what, "%s: %s of %s", head, gradients ? "gradient" : "value", p->name);
    assert_near(gradients ? &p->gradient : &p->value, want, 1e-12, what);
  }
}

static void one_network(const char *head, const char *source) {
  cr_tape *t = cr_new();
  cr_model *m = cr_model_new(t, CR_FLOAT64, 1);
  assert_non_null(m);
  cr_model_begin(m, 1);
  cr_network(m, leaf(t, golden(head, "x")), source);
  assert_fine(t, head);
  load(m, head);
  cr_model_begin(m, 1);
  cr_var x = leaf(t, golden(head, "x")), y = cr_network(m, x, source);
  assert_fine(t, head);
  cr_array view = cr_view(y);
  assert_near(&view, golden(head, "y"), 1e-12, head);
  cr_var loss = cr_sum_all(cr_mul(y, leaf(t, golden(head, "c"))));
  assert_int_equal(cr_model_backward(m, loss), CR_OK);
  compare_parameters(m, head, "g", 1);
  if (golden(head, "gx")) {
    cr_array gx = cr_adjoint_view(cr_backward(loss), x);
    assert_near(&gx, golden(head, "gx"), 1e-12, "gradient of the input");
  }
  cr_model_commit(m);
  compare_parameters(m, head, "s", 0);
  if (golden(head, "evaluated")) {
    cr_model_begin(m, 0);
    view = cr_view(cr_network(m, leaf(t, golden(head, "x")), source));
    assert_near(&view, golden(head, "evaluated"), 1e-12, "in evaluation");
  }
  cr_model_free(m);
  cr_free(t);
}

static void layers_agree_with_pytorch(void **state) {
  char head[400], source[400];
  int n = 0;
  (void)state;
  for (int k = 0; k < goldens.n; k++)
    if (split(goldens.entry[k].name, "net", "x", head, source)) one_network(head, source), n++;
  assert_true(n >= 22);
}

static void descent_agrees_with_pytorch(void **state) {
  const char *head = "descent", *source = "dense(sigmoid(dense(x, 6)), 4)";
  const cr_array *losses = golden(head, "losses");
  cr_tape *t = cr_new();
  cr_model *m = cr_model_new(t, CR_FLOAT64, 1);
  (void)state;
  cr_model_begin(m, 1);
  cr_network(m, leaf(t, golden(head, "x")), source);
  load(m, head);
  for (int64_t step = 0; step < losses->count; step++) {
    cr_model_begin(m, 1);
    cr_var y = cr_network(m, leaf(t, golden(head, "x")), source),
           loss = cr_loss_record(y, leaf(t, golden(head, "target")), "cross_entropy", NULL);
    assert_int_equal(cr_model_backward(m, loss), CR_OK);
    assert_true(fabs(cr_value(loss) - at(losses, step)) < 1e-12);
    for (int k = 0; k < cr_model_count(m); k++) {
      cr_parameter *p = cr_model_parameter(m, k);
      for (int64_t i = 0; i < p->value.count; i++) cr_array_set(&p->value, i, at(&p->value, i) - 0.5 * at(&p->gradient, i));
    }
  }
  compare_parameters(m, head, "q", 0);
  cr_model_free(m);
  cr_free(t);
}

/* Every word of the language: the gradient of its parameters by finite differences. */
static double loss_at(cr_model *m, const char *source, const cr_array *x) {
  cr_model_begin(m, 1);
  cr_tape *t = cr_model_tape(m);
  return cr_value(cr_sum_all(cr_sin(cr_network(m, leaf(t, x), source))));
}

static void check_gradients(const char *source, const cr_array *x) {
  cr_tape *t = cr_new();
  cr_model *m = cr_model_new(t, CR_FLOAT64, 3);
  cr_model_begin(m, 1);
  cr_var loss = cr_sum_all(cr_sin(cr_network(m, leaf(t, x), source)));
  assert_fine(t, source);
  assert_int_equal(cr_model_backward(m, loss), CR_OK);
  double *gradient[64];
  for (int k = 0; k < cr_model_count(m); k++) {
    const cr_parameter *p = cr_model_parameter(m, k);
    gradient[k] = calloc((size_t)p->value.count, sizeof **gradient);
    for (int64_t i = 0; p->gradient.data && i < p->value.count; i++) gradient[k][i] = at(&p->gradient, i);
  }
  for (int k = 0; k < cr_model_count(m); k++) {
    cr_parameter *p = cr_model_parameter(m, k);
    for (int64_t i = 0; p->trainable && i < p->value.count; i += 1 + p->value.count / 6) {
      double old = at(&p->value, i), h = 1e-5;
      cr_array_set(&p->value, i, old + h);
      double above = loss_at(m, source, x);
      cr_array_set(&p->value, i, old - h);
      double slope = (above - loss_at(m, source, x)) / (2 * h);
      cr_array_set(&p->value, i, old);
      if (!(fabs(slope - gradient[k][i]) < 1e-7 * fmax(1, fabs(slope))))
        fail_msg("%s: d/d %s[%d] is %.12g, not %.12g", source, p->name, (int)i, slope, gradient[k][i]);
    }
    free(gradient[k]);
  }
  cr_model_free(m);
  cr_free(t);
}

static void gradients_are_right(void **state) {
  static const char *const flat[] = {
    "dense(x, 3, weight_noise=0.1)", "sequential(x, 'dense(8), tanh, drop(0.5), noise(0.2), dense(6)')",
    "residual(x, 'dense(6), sigmoid')", "batch_normalize(dense(x, 4))", "layer_normalize(dense(x, 4))"};
  static const char *const sequences[] = {"rnn(x, 3)",
                                          "gru(x, 3)",
                                          "lstm(x, 3)",
                                          "last(lstm(gru(x, 3), 2))",
                                          "attention(positions(x), 3)",
                                          "transformer(x, 2, rate=0.1)"};
  cr_tape *t = cr_new();
  (void)state;
  cr_array x = cr_view(cr_randn(t, CR_FLOAT64, 2, (int64_t[]){4, 6}, 1)),
           s = cr_view(cr_randn(t, CR_FLOAT64, 3, (int64_t[]){2, 5, 6}, 2));
  cr_array image = cr_view(cr_randn(t, CR_FLOAT64, 4, (int64_t[]){2, 2, 6, 6}, 3));
  for (size_t k = 0; k < sizeof flat / sizeof *flat; k++) check_gradients(flat[k], &x);
  for (size_t k = 0; k < sizeof sequences / sizeof *sequences; k++) check_gradients(sequences[k], &s);
  check_gradients("pool_max(convolution(x, 3, 3, padding='same'), 2)", &image);
  check_gradients("h = pool_mean(tanh(convolution(x, 3, 3)), 2); dense(flatten(h, 1), 2)", &image);
  cr_free(t);
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(layers_agree_with_pytorch),
    cmocka_unit_test(descent_agrees_with_pytorch),
    cmocka_unit_test(gradients_are_right),
  };
  return run_with_goldens(argc, argv, tests, sizeof tests / sizeof *tests);
}
