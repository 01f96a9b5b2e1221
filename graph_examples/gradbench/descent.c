/* Gradient descent with a rate that doubles after ten steps down and halves after each that is not: see gradbench.h. */
#include <math.h>
#include <string.h>

#include "gradbench.h"

static double norm(int n, const cr_var *x, const cr_var *y) {
  double sum = 0;
  for (int i = 0; i < n; i++) {
    double d = cr_value(x[i]) - (y ? cr_value(y[i]) : 0);
    sum += d * d;
  }
  return sqrt(sum);
}

static bool is_finite(cr_tape *t, cr_var y, double gradient) {
  if (cr_error(t) != CR_OK) return false;
  if (isfinite(cr_value(y)) && isfinite(gradient)) return true;
  cr_fail(t, CR_NOT_FINITE, "the descent left the finite numbers");
  return false;
}

void descend(cr_tape *t, const goal *f, int n, cr_var *x) {
  const double enough = 1e-5;
  cr_var y = f->value(f->context, x), gradient[MOST_UNKNOWNS], next[MOST_UNKNOWNS];
  f->gradient(f->context, x, gradient);
  double rate = 1e-5;
  for (int steps = 0; is_finite(t, y, norm(n, gradient, NULL)) && norm(n, gradient, NULL) > enough;) {
    if (steps == 10) rate *= 2, steps = 0;
    for (int i = 0; i < n; i++) next[i] = cr_sub(x[i], cr_mul(cr_const(t, rate), gradient[i]));
    if (norm(n, x, next) <= enough) return;
    cr_var there = f->value(f->context, next);
    if (cr_value(there) < cr_value(y)) {
      memcpy(x, next, (size_t)n * sizeof *x);
      y = there;
      f->gradient(f->context, x, gradient);
      steps++;
    } else {
      rate /= 2, steps = 0;
    }
  }
}
