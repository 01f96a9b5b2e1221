/* Pooling. The largest element of a window is first found, as its position in the plane (the spatial axes of one channel),
 * then taken: what is differentiated is the taking, and its transpose, which is taking's own inverse. Means are
 * convolutions. */
#include <string.h>

#include "windows.h"

/* Windows from what the caller gave; false after recording what is wrong. */
static bool windows_of(cr_var x, const char *name, const cr_pool *how, cr__windows *a) {
  const int64_t most = (int64_t)1 << 31;
  cr_array v = cr_view(x);
  if (cr_is_poison(x)) return false;
  *a = (cr__windows){.rank = v.rank - 2};
  if (a->rank < 1 || a->rank > CR_MAX_SPATIAL || v.dtype < CR_FLOAT32) {
    cr_fail(x.tape, v.dtype < CR_FLOAT32 ? CR_BAD_DTYPE : CR_BAD_SHAPE,
            "%s: a float64 or float32 input of 3 to 5 axes is needed, not %s "
            "of rank %d",
            name, cr_dtype_name((cr_dtype)v.dtype), v.rank);
    return false;
  }
  for (int i = 0; i < a->rank; i++) {
    int64_t k = a->kernel[i] = how->kernel[i], s = a->stride[i] = how->stride[i] ? how->stride[i] : k,
            p = a->padding[i] = how->padding[i];
    int64_t d = a->dilation[i] = how->dilation[i] ? how->dilation[i] : 1, n = v.dim[i + 2];
    if (k < 1 || s < 1 || d < 1 || k > most || s > most || d > most || p < 0 || p > ((k - 1) * d + 1) / 2) {
      cr_fail(x.tape, CR_BAD_ARGUMENT,
              "%s: kernel %lld, stride %lld, dilation %lld must be positive, padding %lld from 0 to half the "
              "kernel",
              name, (long long)k, (long long)s, (long long)d, (long long)p);
      return false;
    }
    int64_t room = n + 2 * p - (k - 1) * d - 1;
    if (room < 0) {
      cr_fail(x.tape, CR_BAD_SHAPE,
              "%s: a kernel that reaches over %lld positions is larger than spatial axis %d, %lld with its padding", name,
              (long long)((k - 1) * d + 1), i, (long long)(n + 2 * p));
      return false;
    }
    a->out[i] = (how->ceil_mode ? room + s - 1 : room) / s + 1;
    if (how->ceil_mode && (a->out[i] - 1) * s >= n + p) a->out[i]--; /* the last window must begin inside */
  }
  return true;
}

cr_var cr_max_pool(cr_var x, const cr_pool *how, cr_var *index) {
  cr__windows a;
  if (index) *index = cr_poison(x.tape);
  return windows_of(x, "max_pool", how, &a) ? cr__largest_in(x, &a, index) : cr_poison(x.tape);
}

/* How many positions each window has along an axis, with the padding or without. */
static int64_t width_of(const cr__windows *a, int i, int64_t n, int64_t j, bool padded) {
  int64_t start = j * a->stride[i] - a->padding[i], end = start + a->kernel[i];
  if (end > n + a->padding[i]) end = n + a->padding[i];
  if (!padded && start < 0) start = 0;
  if (!padded && end > n) end = n;
  return end - start;
}

static cr_var divisors(cr_var x, const cr__windows *a, bool padded) {
  int64_t n[CR_MAX_SPATIAL], all = cr__volume(a->out, a->rank), usual = cr__volume(a->kernel, a->rank);
  bool same = true;
  for (int i = 0; i < a->rank; i++) {
    n[i] = cr_dim(x, i + 2);
    for (int64_t j = 0; j < a->out[i]; j++) same = same && width_of(a, i, n[i], j, padded) == a->kernel[i];
  }
  if (same) return cr_const(x.tape, (double)usual);
  cr_var d = cr_constant_of(x.tape, cr_dtype_of(x), (int)a->rank, a->out, NULL);
  cr_array view = cr_view(d);
  for (int64_t k = 0; !cr_is_poison(d) && k < all; k++) {
    int64_t rest = k, count = 1;
    for (int i = (int)a->rank - 1; i >= 0; rest /= a->out[i], i--) count *= width_of(a, i, n[i], rest % a->out[i], padded);
    cr_array_set(&view, k, (double)count);
  }
  return d;
}

cr_var cr_avg_pool(cr_var x, const cr_pool *how) {
  cr__windows a;
  cr_conv sum = {.groups = 1};
  int64_t ones[CR_MAX_RANK] = {1, 1}, dims[CR_MAX_RANK], back[CR_MAX_RANK];
  if (!windows_of(x, "avg_pool", how, &a)) return cr_poison(x.tape);
  cr_array v = cr_view(x);
  for (int i = 0; i < a.rank; i++)
    if (a.dilation[i] != 1) return cr_fail(x.tape, CR_BAD_ARGUMENT, "avg_pool: windows have no dilation");
  memcpy(dims, v.dim, sizeof dims), memcpy(back, v.dim, sizeof back);
  dims[0] *= dims[1], dims[1] = 1;
  for (int i = 0; i < a.rank; i++) {
    ones[i + 2] = a.kernel[i], back[i + 2] = a.out[i];
    sum.stride[i] = a.stride[i], sum.pad_lo[i] = a.padding[i];
    sum.pad_hi[i] = (a.out[i] - 1) * a.stride[i] + a.kernel[i] - a.padding[i] - v.dim[i + 2];
  }
  cr_var weight = cr_full(x.tape, (cr_dtype)v.dtype, v.rank, ones, 1),
         y = cr_convolve(cr_reshape(x, v.rank, dims), weight, &sum);
  cr_var by = how->divisor != 0 ? cr_const(x.tape, how->divisor) : divisors(x, &a, !how->exclude_padding);
  return cr_div(cr_reshape(y, v.rank, back), by);
}

/* Names in the expression language */

static void call_max_pool(cr_call *c, int n) {
  cr_pool how = {.ceil_mode = 0};
  cr_var x, index;
  bool alone;
  if (!cr__arg_images(c, n, &x, &alone) || !cr__arg_sides(c, 1, "kernel_size", n, 1, how.kernel) ||
      !cr__arg_sides(c, 2, "stride", n, 1, how.stride) || !cr__arg_sides(c, 3, "padding", n, 0, how.padding) ||
      !cr__arg_sides(c, 4, "dilation", n, 1, how.dilation))
    return;
  how.ceil_mode = cr_arg_bool(c, 5);
  cr_var y = cr_max_pool(x, &how, &index);
  cr_return(c, cr__alone(y, alone));
  if (cr_arg_bool(c, 6)) cr_return(c, cr__alone(index, alone));
}
static void call_max_pool1d(cr_call *c) { call_max_pool(c, 1); }
static void call_max_pool2d(cr_call *c) { call_max_pool(c, 2); }
static void call_max_pool3d(cr_call *c) { call_max_pool(c, 3); }

static void call_avg_pool(cr_call *c, int n) {
  cr_pool how = {.ceil_mode = 0};
  cr_var x;
  bool alone;
  if (!cr__arg_images(c, n, &x, &alone) || !cr__arg_sides(c, 1, "kernel_size", n, 1, how.kernel) ||
      !cr__arg_sides(c, 2, "stride", n, 1, how.stride) || !cr__arg_sides(c, 3, "padding", n, 0, how.padding))
    return;
  how.ceil_mode = cr_arg_bool(c, 4);
  how.exclude_padding = !cr_arg_bool(c, 5);
  if (cr_arg_given(c, 6)) how.divisor = cr_arg_number(c, 6);
  if (cr_arg_given(c, 6) && how.divisor == 0) cr_fail(x.tape, CR_BAD_ARGUMENT, "divisor_override: 0");
  cr_return(c, cr__alone(cr_avg_pool(x, &how), alone));
}
static void call_avg_pool1d(cr_call *c) { call_avg_pool(c, 1); }
static void call_avg_pool2d(cr_call *c) { call_avg_pool(c, 2); }
static void call_avg_pool3d(cr_call *c) { call_avg_pool(c, 3); }

static void call_adaptive_max_pool(cr_call *c, int n) {
  cr__windows a = {.rank = n, .adaptive = 1};
  cr_var x, index;
  bool alone;
  if (!cr__arg_images(c, n, &x, &alone)) return;
  for (int i = 0; i < n; i++) a.out[i] = cr_dim(x, i + 2);
  if (!cr__arg_sides(c, 1, "output_size", n, 1, a.out)) return;
  if (cr_dtype_of(x) < CR_FLOAT32) {
    cr_fail(x.tape, CR_BAD_DTYPE, "the input must be float64 or float32, not %s", cr_dtype_name(cr_dtype_of(x)));
    return;
  }
  cr_var y = cr__largest_in(x, &a, &index);
  cr_return(c, cr__alone(y, alone));
  if (cr_arg_bool(c, 2)) cr_return(c, cr__alone(index, alone));
}
static void call_adaptive_max_pool1d(cr_call *c) { call_adaptive_max_pool(c, 1); }
static void call_adaptive_max_pool2d(cr_call *c) { call_adaptive_max_pool(c, 2); }

#define POOLING .family = "pooling"
#define BY_POSITION POOLING, .derivative = "the cotangent added where the element came from", \
  .kinks = "all to the first at ties; NaN is the largest"

static const cr_op *const recorded[] = {&cr__plane_take_op, &cr__plane_add_op, &cr__largest_at_op, NULL};

const cr_function cr__pool_functions[] = {
    {.ops = recorded, .signature =
         "max_pool1d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False)",
     .call = call_max_pool1d,
     BY_POSITION,
     .doc = "The largest element of each window of (N, C, L), or (C, L); padding is -inf, indices are positions in L.",
     .samples =
         "max_pool1d(x:(2,2,6), 2); max_pool1d(x:(2,7), 3, stride=2, padding=1); "
         "max_pool1d(x:(1,1,7), 2, stride=2, dilation=2, ceil_mode=True, return_indices=True); max_pool1d(x:(0,2,4), 2)"},
    {.signature =
         "max_pool2d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False)",
     .call = call_max_pool2d,
     BY_POSITION,
     .doc =
         "The largest element of each window of (N, C, H, W), or (C, H, W); padding is -inf, indices are flat in the plane.",
     .samples = "max_pool2d(x:(2,1,4,4), 2); max_pool2d(x:(1,2,5,4), [3,2], stride=[2,1], padding=[1,0]); "
                "max_pool2d(x:(1,1,5,5), 2, ceil_mode=True); max_pool2d(transpose(x:(3,2,4), 0, 2), 2, stride=1)"},
    {.signature =
         "max_pool3d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False)",
     .call = call_max_pool3d,
     BY_POSITION,
     .doc = "The largest element of each window of (N, C, D, H, W), or (C, D, H, W); padding is -inf, indices are flat in "
            "the volume.",
     .samples = "max_pool3d(x:(1,1,3,2,4), [2,1,2], stride=1); max_pool3d(x:(2,3,3,3), 2, padding=1)"},
    {.signature = "avg_pool1d(input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, "
                  "divisor_override=None)",
     .call = call_avg_pool1d,
     POOLING,
     .doc = "The mean of each window of (N, C, L), or (C, L).",
     .samples =
         "avg_pool1d(x:(2,2,6), 2); avg_pool1d(x:(2,5), 3, stride=2, padding=1, ceil_mode=True, count_include_pad=False)"},
    {.signature = "avg_pool2d(input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, "
                  "divisor_override=None)",
     .call = call_avg_pool2d,
     POOLING,
     .doc = "The mean of each window of (N, C, H, W), or (C, H, W).",
     .samples =
         "avg_pool2d(x:(2,2,4,2), 2); avg_pool2d(x:(1,5,4), [2,3], stride=2, padding=[1,1], count_include_pad=False); "
         "avg_pool2d(x:(1,1,5,5), 2, ceil_mode=True); avg_pool2d(x:(1,1,3,3), 2, stride=1, divisor_override=3)"},
    {.signature = "avg_pool3d(input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, "
                  "divisor_override=None)",
     .call = call_avg_pool3d,
     POOLING,
     .doc = "The mean of each window of (N, C, D, H, W), or (C, D, H, W).",
     .samples = "avg_pool3d(x:(1,1,2,3,2), [1,2,2], stride=1)"},
    {.signature = "adaptive_max_pool1d(input, output_size, return_indices=False)",
     .call = call_adaptive_max_pool1d,
     BY_POSITION,
     .doc = "The largest elements of output_size parts of the last axis; part j runs from floor(j n / m) to ceil((j + 1) n "
            "/ m).",
     .samples = "adaptive_max_pool1d(x:(2,2,5), 3, return_indices=True)"},
    {.signature = "adaptive_max_pool2d(input, output_size, return_indices=False)",
     .call = call_adaptive_max_pool2d,
     BY_POSITION,
     .doc = "The largest elements of output_size parts of the last two axes; part j runs from floor(j n / m) to ceil((j + "
            "1) n / m).",
     .samples = "adaptive_max_pool2d(x:(1,2,5,4), [2,3]); adaptive_max_pool2d(x:(2,4,4), 2)"},
    {.signature = NULL}};
