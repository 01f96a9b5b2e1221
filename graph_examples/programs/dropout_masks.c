/* Dropout and noise: the masks of a few steps, that the mean stays, that a seed repeats them, and that evaluation has none.
 */
#include <chainrule_networks.h>

#include <math.h>
#include <stdio.h>

enum { WIDTH = 48, STEPS = 2000 };
static const double rate = 0.3;

typedef enum kind { DROPOUT, NOISE, WEIGHT_NOISE } kind;

/* One pass at a step over units of activity 1; what comes out, as numbers. */
static cr_status pass(cr_model *m, kind what, uint64_t step, int training, double *out) {
  static const int64_t dims[] = {1, WIDTH};
  double ones[WIDTH];
  for (int k = 0; k < WIDTH; k++) ones[k] = 1;
  cr_model_set_step(m, step);
  cr_model_begin(m, training);
  cr_var x = cr_constant_of(cr_model_tape(m), CR_FLOAT64, 2, dims, ones);
  if (what == WEIGHT_NOISE) x = cr_mul(x, cr_noise(m, cr_model_weight(m, "w", 1, dims + 1, "ones"), 0.1));
  else x = what == NOISE ? cr_noise(m, x, 0.1) : cr_drop(m, x, rate);
  return cr_read(x, out, WIDTH);
}

/* Mean and spread over all units and many steps; how many units came out as they went in, when evaluated. */
static int measure(cr_model *m, kind what, const char *name, double spread) {
  double out[WIDTH], sum = 0, squares = 0;
  int unchanged = 0, n = WIDTH * STEPS;
  for (uint64_t step = 0; step < STEPS; step++) {
    if (pass(m, what, step, 1, out) != CR_OK) return 1;
    for (int k = 0; k < WIDTH; k++) sum += out[k], squares += (out[k] - 1) * (out[k] - 1);
  }
  if (pass(m, what, 0, 0, out) != CR_OK) return 1;
  for (int k = 0; k < WIDTH; k++) unchanged += out[k] == 1;
  printf("%-20s mean %.4f, spread %.4f (expected 1 and %.4f); evaluation: %d of %d units unchanged\n", name, sum / n,
         sqrt(squares / n), spread, unchanged, WIDTH);
  return fabs(sum / n - 1) > 5 * spread / sqrt(n) || fabs(sqrt(squares / n) - spread) > 0.05 * spread || unchanged < WIDTH;
}

static int show_masks(cr_model *m, cr_model *again) {
  double out[WIDTH], same[WIDTH];
  int differ = 0;
  printf("dropout of rate %g: # is multiplied by %.4g, . is dropped\n", rate, 1 / (1 - rate));
  for (uint64_t step = 1; step <= 6; step++) {
    if (pass(m, DROPOUT, step, 1, out) != CR_OK || pass(again, DROPOUT, step, 1, same) != CR_OK) return 1;
    printf("  step %2d  ", (int)step);
    for (int k = 0; k < WIDTH; k++) putchar(out[k] > 0 ? '#' : '.'), differ += out[k] != same[k];
    putchar('\n');
  }
  printf("same seed, same masks: %s\n", differ ? "no" : "yes");
  return differ > 0;
}

int main(void) {
  cr_tape *t[4] = {NULL};
  cr_model *m[4] = {NULL};
  int status = 0;
  for (int k = 0; k < 4; k++) {
    t[k] = cr_new();
    m[k] = t[k] ? cr_model_new(t[k], CR_FLOAT64, 7) : NULL;
    status |= !m[k];
  }
  if (!status) {
    status |= show_masks(m[0], m[1]);
    status |= measure(m[0], DROPOUT, "dropout", sqrt(rate / (1 - rate)));
    status |= measure(m[2], NOISE, "noise on activities", 0.1);
    status |= measure(m[3], WEIGHT_NOISE, "noise on weights", 0.1);
  }
  for (int k = 0; k < 4; k++) {
    if (t[k] && cr_error(t[k]) != CR_OK) fprintf(stderr, "dropout_masks: %s\n", cr_error_text(t[k]));
    cr_model_free(m[k]);
    cr_free(t[k]);
  }
  return status;
}
