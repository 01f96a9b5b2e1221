/* Norms of gradients, and clipping. Sums are over eight lanes in a fixed order, so that the bits depend on the numbers
 * alone. */
#include <math.h>

#include <op.h>

#include "descent.h"

#define SUM_OF_SQUARES(T)                                                                                                   \
  {                                                                                                                         \
    const T *x = a->data;                                                                                                   \
    for (; k + 8 <= a->count; k += 8)                                                                                       \
      for (int j = 0; j < 8; j++) lane[j] += (double)x[k + j] * (double)x[k + j];                                           \
  }

static double sum_of_squares(const cr_array *a) {
  double lane[8] = {0}, sum = 0;
  int64_t k = 0;
  if (a->contiguous && a->dtype == CR_FLOAT32) SUM_OF_SQUARES(float)
  else if (a->contiguous && a->dtype == CR_FLOAT64) SUM_OF_SQUARES(double)
  for (; k < a->count; k++) lane[k % 8] += cr_array_get(a, k) * cr_array_get(a, k);
  for (int j = 0; j < 8; j++) sum += lane[j];
  return sum;
}

static int counts(const cr_parameter *q) { return q->trainable && q->gradient.data; }

double cr_gradient_norm(const cr_model *m, int k) {
  double sum = 0;
  for (int i = 0; i < cr_model_count(m); i++) {
    const cr_parameter *q = cr_model_parameter(m, i);
    if ((k < 0 || i == k) && counts(q)) sum += sum_of_squares(&q->gradient);
  }
  return sqrt(sum);
}

/* A finite sum of squares has finite terms; an infinite one may still have them, and is looked at term by term. */
cr_status cr_gradients_finite(const cr_model *m, double *norm, cr_problem *p) {
  double sum = 0;
  for (int i = 0; i < cr_model_count(m); i++) {
    const cr_parameter *q = cr_model_parameter(m, i);
    double squares = counts(q) ? sum_of_squares(&q->gradient) : 0;
    sum += squares;
    if (isfinite(squares)) continue;
    for (int64_t k = 0; k < q->gradient.count; k++)
      if (!isfinite(cr_array_get(&q->gradient, k)))
        return cr_refuse(p, CR_NOT_FINITE, "the gradient of '%s' is %g at element %lld; no step is taken", q->name,
                         cr_array_get(&q->gradient, k), (long long)k);
  }
  *norm = sqrt(sum);
  return CR_OK;
}

/* Every number x of every gradient becomes f(x, number), in memory of its own: two gradients may be views of the same
 * numbers. */
static void change(cr_model *m, double (*f)(double x, double number), double number) {
  for (int i = 0; i < cr_model_count(m); i++) {
    cr_parameter *q = cr_model_parameter(m, i);
    if (!counts(q)) continue;
    cr_var own = cr_tensor_of(cr_model_tape(m), (cr_dtype)q->gradient.dtype, q->gradient.rank, q->gradient.dim, NULL);
    if (cr_is_poison(own)) return;
    cr_array to = cr_view(own);
    for (int64_t k = 0; k < to.count; k++) cr_array_set(&to, k, f(cr_array_get(&q->gradient, k), number));
    q->gradient = to;
  }
}

static double scaled(double x, double factor) { return x * factor; }
static double bounded(double x, double largest) { return x > largest ? largest : x < -largest ? -largest : x; }

double cr_clip_norm(cr_model *m, double largest) {
  double norm = cr_gradient_norm(m, -1), factor = largest / (norm + 1e-6);
  if (factor < 1) change(m, scaled, factor);
  return norm;
}

double cr_clip_value(cr_model *m, double largest) {
  double norm = cr_gradient_norm(m, -1);
  change(m, bounded, largest);
  return norm;
}
