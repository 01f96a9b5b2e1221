/* Units that start alike stay alike: they see the same inputs, get the same gradients, and take the same steps, so that the
 * network is as poor as one with a single hidden unit. One sees two tanh units learn exclusive or for 100 steps from every
 * kind of initial weights: from equal ones they are identical to the last bit, and the library warns; random ones break the
 * symmetry. Of the initialisers there are, all that are constant fail. */
#include <chainrule_networks.h>

#include <stdio.h>
#include <stdlib.h>

enum { STEPS = 100 };

static cr_var objective(cr_model *m, void *user) {
  (void)user;
  cr_tape *t = cr_model_tape(m);
  cr_var x = cr_constant_of(t, CR_FLOAT64, 2, (int64_t[]){4, 2}, (double[]){0, 0, 0, 1, 1, 0, 1, 1}),
         y = cr_constant_of(t, CR_FLOAT64, 2, (int64_t[]){4, 1}, (double[]){0, 1, 1, 0});
  return cr_loss_record(cr_dense(m, cr_tanh(cr_dense(m, x, 2)), 1), y, "binary_cross_entropy_with_logits", NULL);
}

/* What comes into the two hidden units: dense1.weight is (inputs, units). */
static int put_units(cr_model *m, int show) {
  const double *w = cr_model_find(m, "dense1.weight")->value.data, *b = cr_model_find(m, "dense1.bias")->value.data;
  for (int unit = 0; show && unit < 2; unit++)
    printf("  unit %d: weights %+.16f %+.16f, bias %+.16f\n", unit + 1, w[unit], w[2 + unit], b[unit]);
  return w[0] == w[1] && w[2] == w[3] && b[0] == b[1];
}

/* Trains from such weights; are the units still identical? -1: a failure. */
static int train(const char *initializer, int show) {
  cr_problem p = {0};
  cr_step s = {0};
  cr_tape *t = cr_new();
  cr_model *m = t ? cr_model_new(t, CR_FLOAT64, 1) : NULL;
  cr_optimizer *o = m ? cr_optimizer_new("gradient_descent(lr=0.5)", NULL, &p) : NULL;
  int alike = -1;
  if (o) {
    cr_model_initialize_with(m, initializer);
    for (int k = 0; k < STEPS && p.status == CR_OK; k++) {
      cr_minimize(o, m, objective, NULL, &s, &p);
      if (k == 0 && show) puts("after 1 step"), put_units(m, 1);
    }
    if (show) printf("after %d steps\n", STEPS);
    alike = p.status == CR_OK ? put_units(m, show) : -1;
  }
  char *warning = alike >= 0 ? cr_model_symmetry(m) : NULL;
  if (p.status != CR_OK) fprintf(stderr, "symmetry: %s\n", p.text);
  else
    printf("%-15s %s after %d steps, loss %.4f; %s", initializer, alike ? "identical" : "different", STEPS, s.loss,
           warning ? warning : "no warning\n");
  if (show) putchar('\n');
  free(warning);
  cr_optimizer_free(o);
  cr_model_free(m);
  cr_free(t);
  return alike;
}

int main(void) {
  static const char *const constant[] = {"zeros", "ones", "constant(0.5)"},
                           *const random[] = {"uniform(-1, 1)", "normal(1)", "glorot",        "glorot_normal", "he",
                                              "he_uniform",     "lecun",     "lecun_uniform", "orthogonal"};
  int right = train("constant(0.5)", 1) == 1;
  right &= train("glorot", 1) == 0;
  for (size_t k = 0; k < sizeof constant / sizeof *constant; k++) right &= train(constant[k], 0) == 1;
  for (size_t k = 0; k < sizeof random / sizeof *random; k++) right &= train(random[k], 0) == 0;
  puts("\nThe initialisers");
  for (int k = 0; cr_initializer_doc(k); k++) printf("  %s\n", cr_initializer_doc(k));
  return !right;
}
