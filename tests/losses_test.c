/* Losses against PyTorch (goldens/networks.npz), and what they refuse and doubt. */
#include "pytorch.h"

static void one_loss(const char *head, const char *call) {
  char name[100], arguments[300];
  const char *open = strchr(call, '('), *close = strrchr(call, ')');
  snprintf(name, sizeof name, "%.*s", (int)(open - call), call);
  snprintf(arguments, sizeof arguments, "%.*s", (int)(close - open - 1), open + 1);
  cr_tape *t = cr_new();
  cr_var x = leaf(t, golden(head, "prediction")), y = leaf(t, golden(head, "target"));
  cr_var loss = cr_loss_record(x, y, name, arguments);
  assert_fine(t, head);
  cr_array value = cr_view(loss);
  assert_near(&value, golden(head, "value"), 1e-12, head);
  cr_array gradient = cr_adjoint_view(cr_backward(loss), x);
  assert_near(&gradient, golden(head, "gradient"), 1e-12, head);
  cr_var narrow =
    cr_loss_record(cr_cast(x, CR_FLOAT32), cr_dtype_of(y) < CR_FLOAT32 ? y : cr_cast(y, CR_FLOAT32), name, arguments);
  assert_fine(t, head);
  if (cr_dtype_of(narrow) != CR_FLOAT32) fail_msg("%s: float64 of float32", head);
  value = cr_view(narrow);
  if (strcmp(name, "binary_cross_entropy")) assert_near(&value, golden(head, "value"), 1e-5, head); /* 1 - 1e-9 is 1 there */
  cr_free(t);
}

static void losses_agree_with_pytorch(void **state) {
  char head[400], call[400], tested[4000] = " ";
  int n = 0;
  (void)state;
  for (int k = 0; k < goldens.n; k++)
    if (split(goldens.entry[k].name, "loss", "prediction", head, call)) {
      one_loss(head, call), n++;
      if (strlen(tested) < 3800) snprintf(tested + strlen(tested), 100, "%.*s ", (int)strcspn(call, "("), call);
    }
  assert_true(n >= 70);
  for (int k = 0; cr_loss_at(k); k++) { /* those of more than two tensors are tested below */
    char name[100];
    snprintf(name, sizeof name, " %s ", cr_loss_at(k)->name);
    int more = !strcmp(cr_loss_at(k)->name, "gaussian_nll_loss") || !strcmp(cr_loss_at(k)->name, "triplet_margin_loss");
    if (!more && !strstr(tested, name) && strlen(tested) < 3800) fail_msg("no golden for %s", cr_loss_at(k)->name);
  }
}

static void losses_refuse_what_would_broadcast(void **state) {
  cr_tape *t = cr_new();
  (void)state;
  cr_var x = cr_ones(t, CR_FLOAT32, 2, (int64_t[]){5, 1}), y = cr_ones(t, CR_FLOAT32, 1, (int64_t[]){5});
  static const char *const names[] = {"squared", "binary_cross_entropy_with_logits", "mse_loss", "hinge_loss"};
  for (int k = 0; k < 4; k++) {
    assert_true(cr_is_poison(cr_loss_record(x, y, names[k], NULL)));
    assert_int_equal(cr_error(t), CR_BAD_SHAPE);
    assert_non_null(strstr(cr_error_text(t), "the prediction has shape (5, 1), but the target (5,)"));
    cr_clear_error(t);
  }
  assert_true(cr_is_poison(cr_loss_record(x, x, "no_such", NULL)));
  assert_int_equal(cr_error(t), CR_UNKNOWN_NAME);
  cr_clear_error(t);
  int64_t counts[5] = {1, 0, 0, 1, 1}; /* integer targets of value losses become floats */
  cr_var whole = cr_constant_of(t, CR_INT64, 2, (int64_t[]){5, 1}, counts);
  assert_true(cr_value(cr_loss_record(x, whole, "squared", "reduction='sum'")) == 2);
  cr_free(t);
}

static void doubtful_losses_are_noticed(void **state) {
  cr_tape *t = cr_new();
  (void)state;
  cr_var x = cr_randn(t, CR_FLOAT32, 2, (int64_t[]){3, 4}, 11), soft = cr_softmax(x, -1), bent = cr_sigmoid(x),
         plain = cr_add(x, x);
  assert_non_null(strstr(cr_loss_lint("cross_entropy", soft), "softmax is taken twice"));
  assert_non_null(strstr(cr_loss_lint("binary_cross_entropy_with_logits", bent), "sigmoid is taken twice"));
  assert_non_null(strstr(cr_loss_lint("binary_cross_entropy", plain), "no sigmoid"));
  assert_non_null(strstr(cr_loss_lint("cross_entropy_from_probabilities", plain), "no softmax"));
  assert_non_null(strstr(cr_loss_lint("nll_loss", soft), "logarithm"));
  assert_non_null(strstr(cr_loss_lint("squared", soft), "cross_entropy"));
  assert_non_null(strstr(cr_loss_lint("squared", cr_reshape(bent, 1, (int64_t[]){12})), "vanishes"));
  assert_null(cr_loss_lint("cross_entropy", plain));
  assert_null(cr_loss_lint("binary_cross_entropy", bent));
  assert_null(cr_loss_lint("squared", plain));
  assert_null(cr_loss_lint("nll_loss", cr_log_softmax(x, -1)));
  assert_null(cr_loss_lint("no_such", soft));
  cr_var square = cr_reshape(plain, 3, (int64_t[]){3, 2, 2}), sequence = cr_reshape(plain, 3, (int64_t[]){2, 2, 3});
  assert_non_null(strstr(cr_loss_lint("cross_entropy", square), "as many time steps as classes"));
  assert_null(cr_loss_lint("cross_entropy", sequence));
  cr_free(t);
}

static void other_losses_and_penalties(void **state) {
  cr_tape *t = cr_new();
  (void)state;
  double one = 1, w[3] = {3, -4, 0};
  cr_var a = cr_tensor_of(t, CR_FLOAT64, 1, (int64_t[]){3}, w), b = cr_tensor_of(t, CR_FLOAT64, 1, (int64_t[]){1}, &one),
         both[2] = {a, b};
  assert_true(cr_value(cr_penalty_l1(2, both)) == 8);
  assert_true(cr_value(cr_penalty_l2(2, both, 0)) == 26);
  assert_true(cr_value(cr_penalty_l2(2, both, 1)) == 13);
  assert_true(cr_value(cr_penalty_elastic(2, both, 0.5, 0.25)) == 4 + 6.5);
  double slope[3];
  assert_int_equal(cr_adjoint_read(cr_backward(cr_penalty_elastic(2, both, 0.5, 0.25)), a, slope, 3), CR_OK);
  assert_true(slope[0] == 2 && slope[1] == -2.5 && slope[2] == 0);
  assert_true(cr_is_poison(cr_penalty_l1(0, NULL)));
  for (int k = 0; cr_loss_at(k); k++) {
    const cr_function *f = cr_loss_function(cr_loss_at(k));
    if (!f || !f->doc) fail_msg("%s is not in the language", cr_loss_at(k)->name);
    assert_ptr_equal(cr_loss_named(cr_loss_at(k)->name), cr_loss_at(k));
  }
  /* class 1 of p = (0, 1): the logarithm of 0 is -100, and no gradient is NaN */
  double p[4] = {0, 1, 1, 0};
  int64_t y[2] = {1, 1};
  cr_var q = cr_tensor_of(t, CR_FLOAT64, 2, (int64_t[]){2, 2}, p);
  cr_var loss = cr_loss_record(q, cr_constant_of(t, CR_INT64, 1, (int64_t[]){2}, y), "cross_entropy_from_probabilities",
                               "reduction='sum'");
  assert_true(cr_value(loss) == 100);
  double g[4];
  assert_int_equal(cr_adjoint_read(cr_backward(loss), q, g, 4), CR_OK);
  assert_true(g[0] == 0 && g[1] == -1 && g[2] == 0 && g[3] == 0);
  cr_free(t);
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(losses_agree_with_pytorch),
    cmocka_unit_test(losses_refuse_what_would_broadcast),
    cmocka_unit_test(doubtful_losses_are_noticed),
    cmocka_unit_test(other_losses_and_penalties),
  };
  return run_with_goldens(argc, argv, tests, sizeof tests / sizeof *tests);
}
