/* The learning rate: too small, right, too large. First Example 1 of notes 004 (two inputs, two sigmoid units, a linear
 * output, J = (yhat - y)^2/2) at seven rates: too small a rate is still on its way, a larger one oscillates, the largest
 * throw the sigmoids where they are flat, and training is stuck. Then a valley with two bottoms: a small rate ends in the
 * local minimum next to the start, a larger one jumps over the barrier, too large a one swings to and fro, or leaves. */
#include <chainrule_networks.h>

#include <math.h>
#include <stdio.h>

enum { PASSES = 51, COLUMNS = 61 };

typedef struct descent {
  int passes;                         /* before the loss was no longer finite */
  double loss[PASSES], first[PASSES]; /* and the first weight, after so many updates */
  double slope;                       /* norm of the last gradient */
} descent;

/* Plain gradient descent from start, and what it met. */
static descent descend(cr_objective f, const double *start, double rate) {
  cr_problem p = {0};
  char call[64];
  snprintf(call, sizeof call, "gradient_descent(lr=%g)", rate);
  cr_tape *t = cr_new();
  cr_model *m = t ? cr_model_new(t, CR_FLOAT64, 1) : NULL;
  cr_optimizer *o = m ? cr_optimizer_new(call, NULL, &p) : NULL;
  descent d = {0};
  if (o) {
    cr_model_begin(m, 1);
    f(m, NULL); /* makes the parameters */
    for (int k = 0; k < cr_model_count(m); k++)
      for (int64_t i = 0; i < cr_model_parameter(m, k)->value.count; i++)
        cr_array_set(&cr_model_parameter(m, k)->value, i, *start++);
    for (cr_step s = {0}; d.passes < PASSES; d.passes++) {
      d.first[d.passes] = cr_array_get(&cr_model_parameter(m, 0)->value, 0);
      if (cr_minimize(o, m, f, NULL, &s, &p) != CR_OK) break;
      d.loss[d.passes] = s.loss, d.slope = s.gradient_norm;
    }
  }
  if (p.status != CR_OK && p.status != CR_NOT_FINITE) fprintf(stderr, "learning_rates: %s\n", p.text);
  cr_optimizer_free(o);
  cr_model_free(m);
  cr_free(t);
  return d;
}

/* How often the first weight turned round. */
static int turns(const descent *d) {
  int n = 0;
  for (int k = 2; k < d->passes; k++) n += (d->first[k] - d->first[k - 1]) * (d->first[k - 1] - d->first[k - 2]) < 0;
  return n;
}

/* Example 1 of notes 004 */

static cr_var example1(cr_model *m, void *user) {
  (void)user;
  cr_tape *t = cr_model_tape(m);
  cr_var x = cr_constant_of(t, CR_FLOAT64, 2, (int64_t[]){1, 2}, (double[]){1, 0.5}),
         y = cr_constant_of(t, CR_FLOAT64, 2, (int64_t[]){1, 1}, (double[]){4});
  cr_var h = cr_sigmoid(cr_dense_without_bias(m, x, 2));
  return cr_loss_record(cr_dense_without_bias(m, h, 1), y, "squared", "factor=1/2");
}

static const char *verdict(const descent *d) {
  double J = d->loss[d->passes - 1];
  if (J > 1 && d->slope < 0.01) return "too large: stuck, the sigmoids are flat";
  if (J > 1e-3) return "too small: still on its way";
  return turns(d) > 9 ? "large: oscillates, yet arrives" : "right";
}

static void put(double J) { J >= 1e-3 || J == 0 ? printf(" %#8.4g", J) : printf(" %8.1e", J); }

static int show_example1(void) {
  static const double start[] = {0.5, 2.3, 1.5, 3, 1, 1}, rates[] = {0.001, 0.01, 0.1, 0.5, 1, 2, 3};
  static const int shown[] = {0, 1, 2, 5, 10, 49, 50};
  static const double expected[] = {2.152, 0.4933, 1.8e-8, 0, 1.4e-14, 8, 8}; /* after 49, in 2 to 4 digits */
  int wrong = 0;
  printf("Example 1 of 004: J after so many updates; 49 updates are 50 forward passes\n  rate ");
  for (int k = 0; k < 7; k++) printf(" %8d", shown[k]);
  printf("\n");
  for (int r = 0; r < 7; r++) {
    descent d = descend(example1, start, rates[r]);
    if (d.passes < PASSES) return 1;
    printf("%6g ", rates[r]);
    for (int k = 0; k < 7; k++) put(d.loss[shown[k]]);
    printf("  %s\n", verdict(&d));
    wrong += !(fabs(d.loss[49] - expected[r]) <= 0.04 * expected[r] + 1e-30);
    if (rates[r] == 0.1) wrong += !(fabs(d.loss[1] - 1.7753397615440596) < 1e-14 && fabs(d.loss[50] - 1.19594e-8) < 1e-13);
  }
  printf("A negative gradient lets its weight go up, a positive one down: w = w - rate * gradient.\n\n");
  return wrong;
}

/* The double well */

static cr_var well(cr_model *m, void *user) {
  (void)user;
  return cr_formula(cr_model_tape(m), "w^4/4 - w^2/2 + 0.1*w", "w", cr_model_weight(m, "w", 0, NULL, "zeros"));
}

static const char *fate(const descent *d) {
  if (d->passes < PASSES) return "too large: leaves for ever";
  if (d->slope > 0.01) return turns(d) > 9 ? "too large: swings to and fro" : "too small: creeps";
  return d->first[PASSES - 1] > 0 ? "small: ends in the local minimum" : "right: jumps the barrier, to the deeper minimum";
}

static int column(double w) { return (int)lround((w + 1.8) / 3.6 * (COLUMNS - 1)); }

static int show_well(void) {
  static const double start = 1.6, rates[] = {0.001, 0.1, 0.7, 0.9, 1.5},
                      expected[] = {1.49, 0.9456, -1.0467, -1.127, (double)INFINITY};
  int wrong = 0;
  char line[COLUMNS + 1] = "";
  for (int k = 0; k < COLUMNS; k++) {
    double w = 3.6 * k / (COLUMNS - 1) - 1.8;
    line[k] = (char)('0' + (int)fmin(9, 10 * (w * w * w * w / 4 - w * w / 2 + 0.1 * w + 0.3524) / 1.2));
  }
  printf("f(w) = w^4/4 - w^2/2 + 0.1 w from w = %g, %d updates: * where one ends, o where the last ends\n", start,
         PASSES - 1);
  printf("height  %s  0: the lowest tenth\n", line);
  for (int r = 0; r < 5; r++) {
    descent d = descend(well, &start, rates[r]);
    double end = d.passes < PASSES ? (double)INFINITY : d.first[PASSES - 1];
    for (int k = 0; k < COLUMNS; k++) line[k] = '.';
    for (int k = 0; k < d.passes; k++)
      if (fabs(d.first[k]) <= 1.8) line[column(d.first[k])] = k == PASSES - 1 ? 'o' : '*';
    printf("%6g  %s  w = %8.4g  %s\n", rates[r], line, end, fate(&d));
    wrong += !(fabs(end - expected[r]) < 0.01 || end == expected[r]);
  }
  return wrong;
}

int main(void) { return show_example1() + show_well() > 0; }
