/* Preaccumulation: a node of given value and given first derivatives. */
#include <stdbool.h>

#include "ops.h"

/* partial * (x - x0), which is exactly 0 now even for an infinite partial. */
static cr_var scalar_term(cr_var x, double partial) {
  cr_tape *t = x.tape;
  return cr_guarded_mul(cr_sub(x, cr_const(t, cr_value(x))), cr_const(t, partial));
}

static cr_var tensor_term(cr_var x, const double *partial) {
  cr_tape *t = x.tape;
  cr_array a = cr_view(x), copy;
  cr_var p = cr_constant_of(t, CR_FLOAT64, a.rank, a.dim, partial);
  cr_var now = cr_constant_of(t, (cr_dtype)a.dtype, a.rank, a.dim, NULL);
  if (cr_is_poison(now)) return now;
  copy = cr_view(now);
  cr_array_copy(&copy, &a);
  return cr_sum_all(cr_guarded_mul(cr_sub(x, now), cr_cast(p, (cr_dtype)a.dtype)));
}

cr_var cr_preaccumulated(cr_tape *t, double value, int n, const cr_var *x, const double *partials) {
  cr_var y = cr_const(t, value);
  for (int k = 0; k < n && !cr_is_poison(y); k++) {
    if (cr_is_poison(x[k])) return cr_fail(t, CR_POISONED, "cr_preaccumulated: input %d is the poison node", k);
    if (cr_dtype_of(x[k]) < CR_FLOAT32)
      return cr_fail(t, CR_NOT_DIFFERENTIABLE, "cr_preaccumulated: input %d is %s, which has no derivative", k,
                     cr_dtype_name(cr_dtype_of(x[k])));
    bool scalar = !cr_rank(x[k]) && cr_dtype_of(x[k]) == CR_FLOAT64;
    y = cr_add(y, scalar ? scalar_term(x[k], *partials) : tensor_term(x[k], partials));
    partials += cr_count(x[k]);
  }
  return y;
}
