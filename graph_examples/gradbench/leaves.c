/* Leaves of the tape from the numbers of a state, and the way back: see gradbench.h. */
#include <string.h>

#include "gradbench.h"

cr_var vector_input(cr_tape *t, double *x, int64_t n) { return cr_tensor_over(t, CR_FLOAT64, 1, &n, x); }

cr_var matrix_input(cr_tape *t, double *x, int64_t rows, int64_t columns) {
  return cr_tensor_over(t, CR_FLOAT64, 2, (int64_t[]){rows, columns}, x);
}

cr_var vector_constant(cr_tape *t, double *x, int64_t n) { return cr_constant_of(t, CR_FLOAT64, 1, &n, x); }

cr_var matrix_constant(cr_tape *t, double *x, int64_t rows, int64_t columns) {
  return cr_constant_of(t, CR_FLOAT64, 2, (int64_t[]){rows, columns}, x);
}

void copy_value(cr_var v, double *out) {
  cr_array a = cr_view(v);
  if (cr_is_poison(v)) return;
  if (a.contiguous) memcpy(out, a.data, (size_t)a.count * sizeof *out);
  else cr_read(v, out, a.count);
}

void copy_adjoint(const cr_sweep *s, cr_var x, double *out) {
  cr_array a = cr_adjoint_view(s, x);
  if (a.data && a.contiguous) memcpy(out, a.data, (size_t)a.count * sizeof *out);
  else if (s) cr_adjoint_read(s, x, out, cr_count(x));
}

void add_adjoint(const cr_sweep *s, cr_var x, double *out) {
  cr_array a = cr_adjoint_view(s, x);
  const double *d = a.data;
  if (!d) return;
  if (a.contiguous)
    for (int64_t i = 0; i < a.count; i++) out[i] += d[i];
  else
    for (int64_t i = 0; i < a.count; i++) out[i] += cr_array_get(&a, i);
}
