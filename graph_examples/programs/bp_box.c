/* Back-propagation as a box of instructions for a net of sigmoid units (notes 003, lines 192-206), followed to the letter,
 * beside the engine: there beta is minus the derivative of E = 1/2 sum (d - o)^2, and weight changes are added. */
#include <chainrule.h>

#include <math.h>
#include <stdio.h>

enum { INPUTS = 2, HIDDEN = 3, OUTPUTS = 2, EXAMPLES = 4, WEIGHTS = INPUTS * HIDDEN + HIDDEN * OUTPUTS };

static const double input[EXAMPLES][INPUTS] = {{0, 0}, {0, 1}, {1, 0}, {1, 1}};
static const double desired[EXAMPLES][OUTPUTS] = {{0, 1}, {1, 0}, {1, 0}, {0, 1}};
static const double eta = 0.5;

typedef union weights { /* from unit i of a layer to unit j of the next */
  struct {
    double first[INPUTS][HIDDEN], second[HIDDEN][OUTPUTS];
  };
  double all[WEIGHTS];
} weights;

static double sigmoid(double z) { return 1 / (1 + exp(-z)); }

/* The box: for one example, adds the changes that it calls for to dw; returns E. */
static double box(const weights *w, const double *in, const double *d, weights *dw) {
  double h[HIDDEN], o[OUTPUTS], beta_o[OUTPUTS], beta_h[HIDDEN], error = 0;
  for (int j = 0; j < HIDDEN; j++) { /* forward */
    double z = 0;
    for (int i = 0; i < INPUTS; i++) z += w->first[i][j] * in[i];
    h[j] = sigmoid(z);
  }
  for (int k = 0; k < OUTPUTS; k++) { /* outputs: beta = d - o */
    double z = 0;
    for (int j = 0; j < HIDDEN; j++) z += w->second[j][k] * h[j];
    o[k] = sigmoid(z);
    beta_o[k] = d[k] - o[k];
    error += beta_o[k] * beta_o[k] / 2;
  }
  for (int j = 0; j < HIDDEN; j++) { /* hidden units: beta_j = sum over k of w_jk o_k (1 - o_k) beta_k */
    beta_h[j] = 0;
    for (int k = 0; k < OUTPUTS; k++) beta_h[j] += w->second[j][k] * o[k] * (1 - o[k]) * beta_o[k];
  }
  for (int j = 0; j < HIDDEN; j++) /* changes: eta o_i o_j (1 - o_j) beta_j */
    for (int k = 0; k < OUTPUTS; k++) dw->second[j][k] += eta * h[j] * o[k] * (1 - o[k]) * beta_o[k];
  for (int i = 0; i < INPUTS; i++)
    for (int j = 0; j < HIDDEN; j++) dw->first[i][j] += eta * in[i] * h[j] * (1 - h[j]) * beta_h[j];
  return error;
}

/* The same for all examples at once by the engine: -eta dE/dW. */
static double engine(const weights *w, weights *dw) {
  cr_tape *t = cr_new();
  double gradient[WEIGHTS] = {0}, error = (double)NAN;
  if (!t) return error;
  cr_var x = cr_constant_of(t, CR_FLOAT64, 2, (int64_t[]){EXAMPLES, INPUTS}, input),
         d = cr_constant_of(t, CR_FLOAT64, 2, (int64_t[]){EXAMPLES, OUTPUTS}, desired),
         first = cr_tensor_of(t, CR_FLOAT64, 2, (int64_t[]){INPUTS, HIDDEN}, w->first),
         second = cr_tensor_of(t, CR_FLOAT64, 2, (int64_t[]){HIDDEN, OUTPUTS}, w->second);
  cr_var e =
      cr_formula(t, "sum((d - sigmoid(sigmoid(x @ first) @ second))^2)/2", "x", x, "d", d, "first", first, "second", second);
  cr_sweep *s = cr_backward(e);
  if (s) {
    error = cr_value(e);
    cr_adjoint_read(s, first, gradient, INPUTS * HIDDEN);
    cr_adjoint_read(s, second, gradient + INPUTS * HIDDEN, HIDDEN * OUTPUTS);
  }
  if (cr_error(t) != CR_OK) fprintf(stderr, "bp_box: %s\n", cr_error_text(t));
  for (int k = 0; k < WEIGHTS; k++) dw->all[k] = -eta * gradient[k];
  cr_free(t);
  return error;
}

int main(void) {
  weights w = {{{{0.2, -0.5, 0.4}, {0.7, 0.1, -0.3}}, {{0.6, -0.3}, {-0.8, 0.4}, {0.5, 0.9}}}};
  double worst = 0;
  for (int round = 1; round <= 200; round++) {
    weights by_box = {.all = {0}}, by_engine = {.all = {0}};
    double error = 0, exact = engine(&w, &by_engine), *b = by_box.all, *e = by_engine.all;
    for (int k = 0; k < EXAMPLES; k++) error += box(&w, input[k], desired[k], &by_box);
    worst = fmax(worst, fabs(error - exact));
    for (int k = 0; k < WEIGHTS; k++) worst = fmax(worst, fabs(b[k] - e[k]));
    if (round == 1)
      for (int k = 0; k < WEIGHTS; k++) printf("change of weight %2d: box %+.12f  engine %+.12f\n", k + 1, b[k], e[k]);
    if (round == 1 || round % 50 == 0) printf("after %3d rounds over %d examples: E = %.9f\n", round - 1, EXAMPLES, error);
    for (int k = 0; k < WEIGHTS; k++) w.all[k] += b[k]; /* added up over the examples, then the weights change */
  }
  printf("largest difference between box and engine in 200 rounds: %.1e\n", worst);
  return worst < 1e-10 ? 0 : 1;
}
