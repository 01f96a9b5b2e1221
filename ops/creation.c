/* Tensors without operands, and those filled from a few numbers. */
#include <math.h>

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

static cr_var full_like(cr_var x, double value) {
  cr_array a = cr_view(x);
  return cr_is_poison(x) ? x : cr_full(x.tape, (cr_dtype)a.dtype, a.rank, a.dim, value);
}
cr_var cr_zeros_like(cr_var x) { return full_like(x, 0); }
cr_var cr_ones_like(cr_var x) { return full_like(x, 1); }

cr_var cr_arange(cr_tape *t, cr_dtype dtype, double start, double end, double step) {
  double count = ceil((end - start) / step);
  if (!(step != 0) || !isfinite(count))
    return cr_fail(t, CR_BAD_ARGUMENT, "arange: from %g to %g by %g is no finite sequence", start, end, step);
  if (count > 1e15) return cr_fail(t, CR_OVER_LIMIT, "arange: %g elements", count);
  int64_t n = count > 0 ? (int64_t)count : 0;
  cr_var v = cr_constant_of(t, dtype, 1, &n, NULL);
  cr_array a = cr_view(v);
  for (int64_t k = 0; k < n && !cr_is_poison(v); k++) cr_array_set(&a, k, start + (double)k * step);
  return v;
}

cr_var cr_eye(cr_tape *t, cr_dtype dtype, int64_t rows, int64_t cols) {
  cr_var v = cr_constant_of(t, dtype, 2, (int64_t[]){rows, cols}, NULL);
  cr_array a = cr_view(v);
  for (int64_t k = 0; k < rows && k < cols && !cr_is_poison(v); k++) cr_array_set(&a, k * (cols + 1), 1);
  return v;
}

/* From the nearer end, start + d k / (n - 1) or end - d (n - 1 - k) / (n - 1), so that both ends are met exactly. */
cr_var cr_linspace(cr_var start, cr_var end, int64_t n) {
  cr_tape *t = start.tape;
  cr_var in[2] = {start, end};
  if (cr_is_poison(start) || cr_is_poison(end)) return cr_poison(t);
  if (n < 0) return cr_fail(t, CR_BAD_ARGUMENT, "linspace: %lld steps", (long long)n);
  if (cr_rank(start) || cr_rank(end)) return cr_fail(t, CR_BAD_SHAPE, "linspace: start and end must be numbers");
  if (cr__one_dtype(t, 2, in, 'f') != CR_OK) return cr_poison(t);
  cr_dtype dtype = cr_dtype_of(in[0]);
  cr_var steps = cr_constant_of(t, dtype, 1, &n, NULL), late = cr_constant_of(t, CR_BOOL, 1, &n, NULL);
  if (cr_is_poison(steps) || cr_is_poison(late)) return cr_poison(t);
  cr_array a = cr_view(steps), b = cr_view(late);
  for (int64_t k = 0; k < n; k++) {
    int second_half = n > 1 && 2 * k >= n;
    cr_array_set(&a, k, (double)(second_half ? k - (n - 1) : k));
    cr_array_set(&b, k, second_half);
  }
  cr_var offset = cr_div(cr_mul(cr_sub(in[1], in[0]), steps), cr_const(t, n > 1 ? (double)(n - 1) : 1));
  return cr_add(cr_where(late, in[1], in[0]), offset);
}

/* Names in the expression language */

/* The dtype asked for by name, else the other one. */
static cr_dtype arg_dtype(cr_call *c, int k, cr_dtype otherwise) {
  if (!cr_arg_given(c, k)) return otherwise;
  int d = cr_dtype_of_name(cr_arg_text(c, k));
  if (d < 0) cr_fail(cr_call_tape(c), CR_BAD_DTYPE, "unknown dtype '%s'", cr_arg_text(c, k));
  return d < 0 ? otherwise : (cr_dtype)d;
}
static void return_full(cr_call *c, double value) {
  int64_t dims[CR_MAX_RANK];
  int rank = cr_arg_ints(c, 0, CR_MAX_RANK, dims);
  if (rank >= 0) cr_return(c, cr_full(cr_call_tape(c), arg_dtype(c, 1, cr_call_dtype(c)), rank, dims, value));
}
static void call_zeros(cr_call *c) { return_full(c, 0); }
static void call_ones(cr_call *c) { return_full(c, 1); }
static void call_full(cr_call *c) {
  int64_t dims[CR_MAX_RANK];
  int rank = cr_arg_ints(c, 0, CR_MAX_RANK, dims);
  if (rank < 0) return;
  cr_var value = cr_arg_var(c, 1);
  if (cr_arg_is_number(c, 1) && cr_is_const(value)) { /* a tensor of its own kind, not a weak constant */
    cr_dtype own = cr_arg_is_integer(c, 1) ? cr_dtype_of(value) == CR_BOOL ? CR_BOOL : CR_INT64 : cr_call_dtype(c);
    cr_return(c, cr_full(cr_call_tape(c), arg_dtype(c, 2, own), rank, dims, cr_arg_number(c, 1)));
  } else {
    cr_return(c, cr_broadcast_to(cr_cast(value, arg_dtype(c, 2, cr_dtype_of(value))), rank, dims));
  }
}
static void return_full_like(cr_call *c, double value) {
  cr_var x = cr_arg_var(c, 0);
  cr_array a = cr_view(x);
  if (!cr_is_poison(x)) cr_return(c, cr_full(x.tape, arg_dtype(c, 1, (cr_dtype)a.dtype), a.rank, a.dim, value));
}
static void call_zeros_like(cr_call *c) { return_full_like(c, 0); }
static void call_ones_like(cr_call *c) { return_full_like(c, 1); }
static void call_arange(cr_call *c) {
  int last = cr_arg_given(c, 1) ? 1 : 0, begins = last && cr_arg_given(c, 0);
  double start = begins ? cr_arg_number(c, 0) : 0, end = cr_arg_number(c, last), step = cr_arg_number(c, 2);
  int whole = (!begins || cr_arg_is_integer(c, 0)) && cr_arg_is_integer(c, last) && cr_arg_is_integer(c, 2);
  cr_return(c, cr_arange(cr_call_tape(c), arg_dtype(c, 3, whole ? CR_INT64 : cr_call_dtype(c)), start, end, step));
}
static void call_eye(cr_call *c) {
  int64_t n = cr_arg_int(c, 0), m = cr_arg_given(c, 1) ? cr_arg_int(c, 1) : n;
  cr_return(c, cr_eye(cr_call_tape(c), arg_dtype(c, 2, cr_call_dtype(c)), n, m));
}
static void call_linspace(cr_call *c) {
  cr_var start = cr_arg_var(c, 0), end = cr_arg_var(c, 1), v = cr_linspace(start, end, cr_arg_int(c, 2));
  int literal = cr_arg_is_number(c, 0) && cr_arg_is_number(c, 1) && cr_is_const(start) && cr_is_const(end);
  cr_dtype own = literal ? cr_call_dtype(c) : cr_dtype_of(v);
  if (!cr_is_poison(v)) cr_return(c, cr_cast(v, arg_dtype(c, 3, own)));
}

const cr_function cr__creation_functions[] = {
  {.signature = "zeros(size, *, dtype=None)", .call = call_zeros, .family = "creation", .doc = "All zeros.",
   .samples = "x:(2,3) + zeros((2,3))"},
  {.signature = "ones(size, *, dtype=None)", .call = call_ones, .family = "creation", .doc = "All ones.",
   .samples = "x:(2,3) * ones(2, 1)"},
  {.signature = "full(size, fill_value, *, dtype=None)", .call = call_full, .family = "creation",
   .doc = "All one value; an int gives int64, a tensor of rank 0 its own dtype.",
   .derivative = "to a traced value, the sum of the cotangent",
   .samples = "full((2,3), v:())"},
  {.signature = "zeros_like(input, *, dtype=None)", .call = call_zeros_like, .family = "creation",
   .doc = "Zeros of the same shape and dtype.",
   .derivative = "none", .samples = "x:(2) + zeros_like(x)"},
  {.signature = "ones_like(input, *, dtype=None)", .call = call_ones_like, .family = "creation",
   .doc = "Ones of the same shape and dtype.",
   .derivative = "none", .samples = "x:(2) * ones_like(x)"},
  {.signature = "arange(start=None, end=None, step=1, *, dtype=None)", .call = call_arange, .family = "creation",
   .doc = "start, start + step, ... up to before end; arange(end) begins at 0; ints give int64.",
   .samples = "x:(3) * arange(3)"},
  {.signature = "eye(n, m=None, *, dtype=None)", .call = call_eye, .family = "creation",
   .doc = "Ones on the diagonal of an n by m matrix.",
   .samples = "x:(2) * eye(2)"},
  {.signature = "linspace(start, end, steps, *, dtype=None)", .call = call_linspace, .family = "creation",
   .doc = "Equally spaced numbers with both ends.", .derivative = "to both ends, the cotangent weighted by nearness",
   .samples = "linspace(a:(), b:(), 4); linspace(a:(), 2, 1)"},
  {.signature = NULL}};
