/* Constants: tensors without operands. */
#include "ops.h"

cr_var cr_full(cr_tape *t, cr_dtype dtype, int rank, const int64_t *dims, double value) {
  cr_var one = cr_constant_of(t, dtype, 0, NULL, NULL);
  if (cr_is_poison(one)) return one;
  cr_array a = cr_view(one);
  cr_array_set(&a, 0, value);
  return rank ? cr_broadcast_to(one, rank, dims) : one;
}
cr_var cr_zeros(cr_tape *t, cr_dtype dtype, int rank, const int64_t *dims) { return cr_full(t, dtype, rank, dims, 0); }
cr_var cr_ones(cr_tape *t, cr_dtype dtype, int rank, const int64_t *dims) { return cr_full(t, dtype, rank, dims, 1); }
cr_var cr_zeros_like(cr_var x) {
  cr_array a = cr_view(x);
  return cr_zeros(x.tape, (cr_dtype)a.dtype, a.rank, a.dim);
}

static cr_dtype arg_dtype(cr_call *c, int k) {
  if (!cr_arg_given(c, k)) return CR_FLOAT64;
  int d = cr_dtype_of_name(cr_arg_text(c, k));
  if (d < 0) cr_fail(cr_call_tape(c), CR_BAD_DTYPE, "unknown dtype '%s'", cr_arg_text(c, k));
  return d < 0 ? CR_FLOAT64 : (cr_dtype)d;
}
static void return_full(cr_call *c, double value, int dtype_at) {
  int64_t dims[CR_MAX_RANK];
  int rank = cr_arg_ints(c, 0, CR_MAX_RANK, dims);
  if (rank >= 0) cr_return(c, cr_full(cr_call_tape(c), arg_dtype(c, dtype_at), rank, dims, value));
}
static void call_zeros(cr_call *c) { return_full(c, 0, 1); }
static void call_ones(cr_call *c) { return_full(c, 1, 1); }
static void call_full(cr_call *c) { return_full(c, cr_arg_number(c, 1), 2); }

const cr_function cr__creation_functions[] = {
  {.signature = "zeros(size, dtype=None)", .call = call_zeros, .family = "creation", .doc = "All zeros.", .samples = "x:(2,3) + zeros((2,3))"},
  {.signature = "ones(size, dtype=None)", .call = call_ones, .family = "creation", .doc = "All ones.", .samples = "x:(2,3) * ones((2,3))"},
  {.signature = "full(size, fill_value, dtype=None)", .call = call_full, .family = "creation", .doc = "All one value.",
   .samples = "x:(2,3) * full((2,3), 2)"},
  {.signature = NULL}};
