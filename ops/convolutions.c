/* Names of the expression language for convolutions, with PyTorch's arguments. */
#include <string.h>

#include "windows.h"

bool cr__arg_sides(cr_call *c, int k, const char *name, int n, int64_t least, int64_t *out) {
  int64_t given[CR_MAX_SPATIAL];
  if (!cr_arg_given(c, k)) return true;
  int m = cr_arg_ints(c, k, CR_MAX_SPATIAL, given);
  if (m < 0) return false;
  if (m != 1 && m != n) {
    cr_fail(cr_call_tape(c), CR_BAD_ARGUMENT, "%s: %d numbers for %d axes", name, m, n);
    return false;
  }
  for (int i = 0; i < n; i++) {
    out[i] = given[m == 1 ? 0 : i];
    if (out[i] < least) {
      cr_fail(cr_call_tape(c), CR_BAD_ARGUMENT, "%s: %lld is below %lld", name, (long long)out[i], (long long)least);
      return false;
    }
  }
  return true;
}

bool cr__arg_images(cr_call *c, int n, cr_var *x, bool *alone) {
  *x = cr_arg_var(c, 0);
  if (cr_is_poison(*x)) return false;
  int rank = cr_rank(*x);
  *alone = rank == n + 1;
  if (rank != n + 1 && rank != n + 2) {
    cr_fail(x->tape, CR_BAD_SHAPE, "the input has %d axes; a batch of images with %d spatial axes has %d, one image %d",
            rank, n, n + 2, n + 1);
    return false;
  }
  if (*alone) *x = cr_unsqueeze(*x, 0);
  return true;
}

cr_var cr__alone(cr_var y, bool alone) { return alone && !cr_is_poison(y) ? cr_squeeze(y, 1, (int[]){0}) : y; }

static void fill(int64_t *sides, int64_t value) {
  for (int i = 0; i < CR_MAX_SPATIAL; i++) sides[i] = value;
}

/* padding: numbers, 'valid', or 'same' for a result as large as the input. */
static bool padding_of(cr_call *c, int k, int n, cr_var weight, cr_conv *how) {
  fill(how->pad_lo, 0);
  if (cr_arg_is_text(c, k)) {
    const char *mode = cr_arg_text(c, k);
    bool same = !strcmp(mode, "same");
    memcpy(how->pad_hi, how->pad_lo, sizeof how->pad_lo);
    if (!same && strcmp(mode, "valid")) {
      cr_fail(weight.tape, CR_BAD_ARGUMENT, "padding '%s' is neither 'valid' nor 'same'", mode);
      return false;
    }
    for (int i = 0; same && i < n; i++) {
      if (how->stride[i] != 1) {
        cr_fail(weight.tape, CR_BAD_ARGUMENT, "padding 'same' needs stride 1, not %lld", (long long)how->stride[i]);
        return false;
      }
      int64_t all = how->dilation[i] * (cr_dim(weight, i + 2) - 1);
      how->pad_lo[i] = all / 2;
      how->pad_hi[i] = all - all / 2;
    }
    return true;
  }
  bool ok = cr__arg_sides(c, k, "padding", n, 0, how->pad_lo);
  memcpy(how->pad_hi, how->pad_lo, sizeof how->pad_lo);
  return ok;
}

static bool groups_of(cr_call *c, int k, cr_conv *how) {
  how->groups = cr_arg_int(c, k);
  if (how->groups >= 1) return true;
  cr_fail(cr_call_tape(c), CR_BAD_ARGUMENT, "groups: %lld is below 1", (long long)how->groups);
  return false;
}

static bool weight_of(cr_call *c, int n, cr_var *weight) {
  *weight = cr_arg_var(c, 1);
  if (cr_is_poison(*weight)) return false;
  if (cr_rank(*weight) == n + 2) return true;
  cr_fail(weight->tape, CR_BAD_SHAPE, "the weight has %d axes, %d are needed", cr_rank(*weight), n + 2);
  return false;
}

/* add_channels(x, b): b along axis 1. The broadcast by itself, which is one of the slower things beside a convolution. */

static cr_status add_channels_prepare(cr_tape *t, int n, cr_var *in) { return cr__one_dtype(t, n, in, 'i'); }
cr_status cr__bias_fits(cr_tape *t, const cr_array *x, const cr_array *bias) {
  char shape[200];
  if (x->rank >= 2 && bias->rank == 1 && bias->dim[0] == x->dim[1]) return CR_OK;
  cr_fail(t, CR_BAD_SHAPE, "a bias of %lld numbers does not go with axis 1 of shape %s", (long long)bias->count,
          cr_shape_text(x, shape, sizeof shape));
  return CR_BAD_SHAPE;
}
static cr_status add_channels_infer(cr_infer *c) {
  cr_array_init(c->out, (cr_dtype)c->in[0].dtype, c->in[0].rank, c->in[0].dim);
  return cr__bias_fits(c->tape, &c->in[0], &c->in[1]);
}

#define ADD_CHANNELS(T)                                                            \
  {                                                                                \
    const T *from = x, *bias = b;                                                  \
    T *to = c->out->data;                                                          \
    for (int64_t k = 0; k < planes; k++, from += n, to += n) {                     \
      for (int64_t j = 0; j < n; j++) to[j] = from[j] + bias[k % channels];        \
      cr_ready(c, k * n, n);                                                       \
    }                                                                              \
    return CR_OK;                                                                  \
  }
static cr_status add_channels_eval(cr_eval *c) {
  cr_dtype dtype = (cr_dtype)c->out->dtype;
  const void *x = cr__dense(c, &c->in[0], dtype), *b = cr__dense(c, &c->in[1], dtype);
  if (!x || !b) return CR_NO_MEMORY;
  if (!c->out->count) return CR_OK;
  int64_t channels = c->out->dim[1], planes = c->out->dim[0] * channels, n = c->out->count / planes;
  if (dtype == CR_FLOAT32) ADD_CHANNELS(float)
  if (dtype == CR_FLOAT64) ADD_CHANNELS(double)
  if (dtype == CR_INT32) ADD_CHANNELS(int32_t)
  ADD_CHANNELS(int64_t)
}
cr_var cr__sums_of_channels(cr_var x) {
  cr_array a = cr_view(x);
  cr_var planes = cr_reshape(x, 3, (int64_t[]){a.dim[0], a.dim[1], a.count / (a.dim[0] * a.dim[1])});
  return cr_sum(cr_sum(planes, 1, (int[]){2}, 0), 1, (int[]){0}, 0);
}
static void add_channels_vjp(cr_vjp_rule *c) {
  if (c->wanted[0]) c->d[0] = c->g;
  if (c->wanted[1] && cr_count(c->g)) c->d[1] = cr__sums_of_channels(c->g);
}
static void add_channels_depend(cr_depend *c) {
  int same[CR_MAX_RANK];
  for (int i = 0; i < c->out->rank; i++) same[i] = i;
  cr_depend_along(c, 0, same);
  cr_depend_along(c, 1, (int[]){1});
}
static const cr_op add_channels_op = {
  .name = "add_channels", .check = cr__check_floats, .arity = 2, .kind = CR_LINEAR, .prepare = add_channels_prepare,
  .infer = add_channels_infer,
  .eval = add_channels_eval, .tails = 1, .depend = add_channels_depend, .vjp = add_channels_vjp, .infix = "a + b",
  .latex = "%a + %b",
  .rule = "the cotangent; to the bias, its sum over all axes but 1"};

cr_var cr_add_channels(cr_var x, cr_var bias) {
  return cr_record(x.tape, &add_channels_op, 2, (cr_var[]){x, bias}, NULL);
}

static cr_var biased(cr_call *c, cr_var y) {
  return cr_arg_given(c, 2) && !cr_is_poison(y) ? cr_add_channels(y, cr_arg_var(c, 2)) : y;
}

static void call_conv(cr_call *c, int n) {
  cr_conv how = {.groups = 1};
  cr_var x, weight;
  bool alone;
  fill(how.stride, 1), fill(how.dilation, 1), fill(how.input_dilation, 1);
  if (!cr__arg_images(c, n, &x, &alone) || !weight_of(c, n, &weight) || !cr__arg_sides(c, 3, "stride", n, 1, how.stride) ||
      !cr__arg_sides(c, 5, "dilation", n, 1, how.dilation) || !padding_of(c, 4, n, weight, &how) || !groups_of(c, 6, &how))
    return;
  cr_var y = cr_arg_given(c, 2) ? cr_convolve_bias(x, weight, cr_arg_var(c, 2), &how) : cr_convolve(x, weight, &how);
  cr_return(c, cr__alone(y, alone));
}
static void call_conv1d(cr_call *c) { call_conv(c, 1); }
static void call_conv2d(cr_call *c) { call_conv(c, 2); }
static void call_conv3d(cr_call *c) { call_conv(c, 3); }

/* The input spread out by the stride, and every element of it spread over the kernel. */
static void call_conv_transpose(cr_call *c, int n) {
  cr_conv how = {.groups = 1};
  int64_t padding[CR_MAX_SPATIAL] = {0}, more[CR_MAX_SPATIAL] = {0};
  cr_var x, weight;
  bool alone;
  fill(how.stride, 1), fill(how.dilation, 1), fill(how.input_dilation, 1);
  if (!cr__arg_images(c, n, &x, &alone) || !weight_of(c, n, &weight) ||
      !cr__arg_sides(c, 3, "stride", n, 1, how.input_dilation) || !cr__arg_sides(c, 4, "padding", n, 0, padding) ||
      !cr__arg_sides(c, 5, "output_padding", n, 0, more) || !groups_of(c, 6, &how) ||
      !cr__arg_sides(c, 7, "dilation", n, 1, how.dilation))
    return;
  for (int i = 0; i < n; i++) {
    how.pad_lo[i] = how.dilation[i] * (cr_dim(weight, i + 2) - 1) - padding[i];
    how.pad_hi[i] = how.pad_lo[i] + more[i];
    if (more[i] >= how.input_dilation[i] && more[i] >= how.dilation[i]) {
      cr_fail(x.tape, CR_BAD_ARGUMENT, "output_padding %lld must be smaller than the stride or the dilation",
              (long long)more[i]);
      return;
    }
  }
  if (cr_dim(weight, 0) % how.groups || cr_dim(weight, 0) != cr_dim(x, 1)) {
    cr_fail(x.tape, CR_BAD_SHAPE, "a weight for %lld channels in %lld groups; the input has %lld",
            (long long)cr_dim(weight, 0), (long long)how.groups, (long long)cr_dim(x, 1));
    return;
  }
  cr_return(c, cr__alone(biased(c, cr__convolve_transposed(x, weight, &how)), alone));
}
static void call_conv_transpose1d(cr_call *c) { call_conv_transpose(c, 1); }
static void call_conv_transpose2d(cr_call *c) { call_conv_transpose(c, 2); }
static void call_conv_transpose3d(cr_call *c) { call_conv_transpose(c, 3); }

#define RULE .family = "convolution", \
  .derivative = "to the input, the cotangent spread by the kernel; to the weight, the input correlated with the cotangent"

static const cr_op *const recorded[] = {&add_channels_op, NULL};

const cr_function cr__convolution_functions[] = {
    {.ops = recorded, .signature = "conv1d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1)",
     .call = call_conv1d,
     RULE,
     .doc = "Correlation of (N, C, L), or (C, L), with kernels (O, C / groups, K); padding is a number, 'valid' or 'same'.",
     .samples = "conv1d(x:(2,2,5), w:(3,2,3), b:(3)); conv1d(x:(2,7), w:(2,1,3), stride=2, padding=1, groups=2); "
                "conv1d(x:(1,2,6), w:(2,2,2), padding='same', dilation=2); conv1d(x:(1,1,3), w:(1,1,3)); "
                "conv1d(transpose(x:(5,3,2), 0, 2), w:(1,3,2)); conv1d(broadcast_to(x:(1,1,4), (2,3,4)), w:(2,3,2)); "
                "conv1d(x:(0,1,3), w:(2,1,2))"},
    {.ops = cr__conv_ops, .signature = "conv2d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1)",
     .call = call_conv2d,
     RULE,
     .doc = "Correlation of (N, C, H, W), or (C, H, W), with kernels (O, C / groups, K, K).",
     .samples =
         "conv2d(x:(2,2,4,3), w:(2,2,2,2), b:(2)); conv2d(x:(1,2,5,4), w:(2,1,3,2), stride=[2,1], padding=[1,0], groups=2); "
         "conv2d(x:(1,1,5,5), w:(1,1,2,2), dilation=2, padding='same'); conv2d(x:(2,3,3), w:(2,2,1,1)); "
         "conv2d(x:(3,1,4,4)[-1,1], w:(2,1,3,3)[-1,1], stride=2, padding=1)"},
    {.signature = "conv3d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1)",
     .call = call_conv3d,
     RULE,
     .doc = "Correlation of (N, C, D, H, W), or (C, D, H, W), with kernels (O, C / groups, K, K, K).",
     .samples = "conv3d(x:(1,2,3,2,3), w:(2,2,2,1,2), b:(2)); conv3d(x:(1,1,3,3,2), w:(1,1,2,2,2), stride=[1,2,1], "
                "padding=[0,1,1])"},
    {.signature = "conv_transpose1d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1)",
     .call = call_conv_transpose1d,
     RULE,
     .doc = "The transpose of conv1d with respect to its input: weight (C, O / groups, K).",
     .samples = "conv_transpose1d(x:(2,2,3), w:(2,3,2), b:(3)); "
                "conv_transpose1d(x:(1,2,3), w:(2,1,3), stride=2, padding=1, output_padding=1, groups=2); "
                "conv_transpose1d(x:(2,3), w:(2,1,2), dilation=2)"},
    {.signature = "conv_transpose2d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1)",
     .call = call_conv_transpose2d,
     RULE,
     .doc = "The transpose of conv2d with respect to its input: weight (C, O / groups, K, K).",
     .samples = "conv_transpose2d(x:(1,2,3,2), w:(2,1,2,2), b:(1), stride=[2,1]); "
                "conv_transpose2d(x:(2,2,2), w:(2,1,3,2), stride=2, padding=[1,0], groups=2)"},
    {.signature = "conv_transpose3d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1)",
     .call = call_conv_transpose3d,
     RULE,
     .doc = "The transpose of conv3d with respect to its input: weight (C, O / groups, K, K, K).",
     .samples = "conv_transpose3d(x:(1,1,2,2,1), w:(1,1,2,1,2), stride=2)"},
    {.signature = NULL}};
