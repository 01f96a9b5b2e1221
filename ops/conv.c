/* Convolution over one to three spatial axes, with strides, padding, dilation of both operands and groups. One op is enough
 * for its own derivatives: with another choice of strides and dilations it is also the transposed convolution, and the
 * gradient of the weight. Its kernel is in convways.c.
 *
 * With p a position of the result, k of the kernel and t of the input, axis by axis,
 *     y[b, o, p] = sum over c, k of w[o, c, k] x[b, c, t],    p stride + k dilation - pad_lo = t input_dilation. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "fused.h"
#include "patches.h"
#include "windows.h"

typedef struct conv_attr {
  int64_t rank; /* of the spatial axes */
  cr_conv c;
} conv_attr;

static const cr_field conv_fields[] = {
  CR_LIST(conv_attr, rank, c.stride, "stride"),
  CR_LIST(conv_attr, rank, c.pad_lo, "pad_lo"),
  CR_LIST(conv_attr, rank, c.pad_hi, "pad_hi"),
  CR_LIST(conv_attr, rank, c.dilation, "dilation"),
  CR_LIST(conv_attr, rank, c.input_dilation, "input_dilation"),
  CR_FIELD(conv_attr, c.groups, CR_FIELD_INT, "groups"),
  {.name = NULL}};

#define LARGEST ((int64_t)1 << 40)

/* Shapes */

static int64_t dilated(int64_t n, int64_t by) { return n ? (n - 1) * by + 1 : 0; }

static int conv_check(const cr_infer *c) {
  const conv_attr *a = c->attr;
  const int64_t most = (int64_t)1 << 20;
  if (a->rank < 1 || a->rank > CR_MAX_SPATIAL || c->in[0].rank != a->rank + 2 || c->in[1].rank != a->rank + 2 ||
      a->c.groups < 1 || a->c.groups > most)
    return 0;
  for (int64_t i = 0; i < a->rank; i++) {
    if (a->c.stride[i] < 1 || a->c.dilation[i] < 1 || a->c.input_dilation[i] < 1 || a->c.stride[i] > most ||
        a->c.dilation[i] > most || a->c.input_dilation[i] > most || a->c.pad_lo[i] < -most || a->c.pad_lo[i] > most ||
        a->c.pad_hi[i] < -most || a->c.pad_hi[i] > most)
      return 0;
  }
  return cr__check_floats(c);
}

static cr_status conv_infer(cr_infer *c) {
  const conv_attr *a = c->attr;
  const cr_array *x = &c->in[0], *w = &c->in[1];
  int64_t dims[CR_MAX_RANK] = {x->dim[0], w->dim[0]};
  if (x->dim[1] != w->dim[1] * a->c.groups || w->dim[0] % a->c.groups) {
    cr_fail(c->tape, CR_BAD_SHAPE, "with %lld groups the input needs %lld channels, and the %lld of the result must divide",
            (long long)a->c.groups, (long long)(w->dim[1] * a->c.groups), (long long)w->dim[0]);
    return CR_BAD_SHAPE;
  }
  for (int i = 0; i < a->rank; i++) {
    int64_t have = dilated(x->dim[i + 2], a->c.input_dilation[i]) + a->c.pad_lo[i] + a->c.pad_hi[i];
    int64_t need = dilated(w->dim[i + 2], a->c.dilation[i]);
    if (have < need || need < 1) {
      cr_fail(c->tape, CR_BAD_SHAPE,
              need < 1 ? "the kernel is empty"
                       : "a kernel that reaches over %lld positions is larger than axis %d, %lld with its padding",
              (long long)need, i + 2, (long long)have);
      return CR_BAD_SHAPE;
    }
    dims[i + 2] = (have - need) / a->c.stride[i] + 1;
  }
  cr_array_init(c->out, (cr_dtype)x->dtype, x->rank, dims);
  return c->n > 2 ? cr__bias_fits(c->tape, c->out, &c->in[2]) : CR_OK;
}

static cr_status conv_eval(cr_eval *c) { return cr__convolution(c, &((const conv_attr *)c->attr)->c); }

static cr_status conv_prepare(cr_tape *t, int n, cr_var *in) {
  for (int k = 0; k < n; k++)
    if (cr_dtype_of(in[k]) < CR_FLOAT32) {
      cr_fail(t, CR_BAD_DTYPE, "the operands must be float64 or float32, not %s", cr_dtype_name(cr_dtype_of(in[k])));
      return CR_BAD_DTYPE;
    }
  return cr__one_dtype(t, n, in, 'f');
}

static void put_sides(char *text, size_t size, const char *name, int64_t n, const int64_t *sides, int64_t usual) {
  size_t at = strlen(text);
  bool all = true;
  for (int i = 0; i < n; i++) all = all && sides[i] == usual;
  if (all || at >= size) return;
  at += (size_t)snprintf(text + at, size - at, "%s%s=[", at ? ", " : "", name);
  for (int i = 0; i < n && at < size; i++)
    at += (size_t)snprintf(text + at, size - at, i + 1 < n ? "%lld, " : "%lld]", (long long)sides[i]);
}

static void conv_show(char *text, size_t size, const void *attr) {
  const conv_attr *a = attr;
  text[0] = 0;
  put_sides(text, size, "stride", a->rank, a->c.stride, 1);
  put_sides(text, size, "pad_lo", a->rank, a->c.pad_lo, 0);
  put_sides(text, size, "pad_hi", a->rank, a->c.pad_hi, 0);
  put_sides(text, size, "dilation", a->rank, a->c.dilation, 1);
  put_sides(text, size, "input_dilation", a->rank, a->c.input_dilation, 1);
  put_sides(text, size, "groups", 1, &a->c.groups, 1);
}

/* Rules */

/* (groups a, b, k) to (groups b, a, k): what is in and what is out exchanged in each group. */
static cr_var exchanged(cr_var w, int64_t groups) {
  cr_array a = cr_view(w);
  int order[CR_MAX_RANK + 1] = {0, 2, 1};
  int64_t dims[CR_MAX_RANK + 1] = {groups, a.dim[0] / groups, a.dim[1]};
  for (int i = 2; i < a.rank; i++) order[i + 1] = i + 1, dims[i + 1] = a.dim[i];
  if (groups == 1) return cr_transpose(w, 0, 1);
  w = cr_permute(cr_reshape(w, a.rank + 1, dims), a.rank + 1, order);
  dims[1] = dims[0] * a.dim[1];
  dims[2] = a.dim[0] / groups;
  return cr_reshape(w, a.rank, dims + 1);
}

static cr_var turned_round(cr_var w, int rank) { return cr_flip(w, rank, (int[]){2, 3, 4}); }

/* p stride + k dilation - pad_lo = t input_dilation, solved for t: with k counted from the end the result slides over g. */
static cr_var to_input(cr_vjp_rule *c, const conv_attr *a) {
  cr_array x = cr_view(c->in[0]), w = cr_view(c->in[1]), y = cr_view(c->out);
  cr_conv r = {.groups = a->c.groups};
  for (int i = 0; i < a->rank; i++) {
    r.stride[i] = a->c.input_dilation[i];
    r.input_dilation[i] = a->c.stride[i];
    r.dilation[i] = a->c.dilation[i];
    r.pad_lo[i] = (w.dim[i + 2] - 1) * a->c.dilation[i] - a->c.pad_lo[i];
    r.pad_hi[i] = (x.dim[i + 2] - 1) * r.stride[i] - (y.dim[i + 2] - 1) * a->c.stride[i] + a->c.pad_lo[i];
  }
  return cr_convolve(c->g, turned_round(exchanged(c->in[1], a->c.groups), (int)a->rank), &r);
}

/* (n, groups c, l) to (c, groups n, l). */
static cr_var by_groups_of_channels(cr_var x, int64_t groups) {
  cr_array a = cr_view(x);
  int order[CR_MAX_RANK + 1] = {2, 1, 0};
  int64_t dims[CR_MAX_RANK + 1] = {a.dim[0], groups, a.dim[1] / groups};
  for (int i = 2; i < a.rank; i++) order[i + 1] = i + 1, dims[i + 1] = a.dim[i];
  if (groups == 1) return cr_transpose(x, 0, 1);
  x = cr_permute(cr_reshape(x, a.rank + 1, dims), a.rank + 1, order);
  dims[1] = dims[2];
  dims[2] = groups * a.dim[0];
  return cr_reshape(x, a.rank, dims + 1);
}

/* ... and for k: g is the kernel, and the images of the batch are the channels. */
static cr_var to_weight(cr_vjp_rule *c, const conv_attr *a) {
  cr_array x = cr_view(c->in[0]), w = cr_view(c->in[1]), y = cr_view(c->out);
  cr_conv r = {.groups = a->c.groups};
  for (int i = 0; i < a->rank; i++) {
    r.stride[i] = a->c.dilation[i];
    r.dilation[i] = a->c.stride[i];
    r.input_dilation[i] = a->c.input_dilation[i];
    r.pad_lo[i] = a->c.pad_lo[i];
    r.pad_hi[i] = (w.dim[i + 2] - 1) * r.stride[i] + dilated(y.dim[i + 2], r.dilation[i]) -
                  dilated(x.dim[i + 2], r.input_dilation[i]) - a->c.pad_lo[i];
  }
  cr_var images = by_groups_of_channels(c->in[0], a->c.groups);
  return cr_transpose(cr_convolve(images, cr_transpose(c->g, 0, 1), &r), 0, 1);
}

static void conv_vjp(cr_vjp_rule *c) {
  const conv_attr *a = c->attr;
  if (!cr_count(c->out)) return;
  if (c->n > 2 && c->wanted[2]) c->d[2] = cr__sums_of_channels(c->g);
  if (!cr_count(c->in[0]) || !cr_count(c->in[1])) return;
  if (c->wanted[0]) c->d[0] = to_input(c, a);
  if (c->wanted[1]) c->d[1] = to_weight(c, a);
}

/* The elements of one window of a group, for the first channel of its results. */
static void window_depend(cr_depend *c, const conv_attr *a, int64_t element, int64_t image, int64_t group,
                          const int64_t *place) {
  const cr_array *x = &c->in[0], *w = &c->in[1];
  int64_t taps = 1;
  for (int i = 0; i < a->rank; i++) taps *= w->dim[i + 2];
  for (int64_t k = 0; k < w->dim[1] * taps; k++) {
    int64_t left = k, of = 0, step = 1;
    bool inside = true;
    for (int i = (int)a->rank - 1; i >= 0; i--) {
      int64_t at = place[i] * a->c.stride[i] + left % w->dim[i + 2] * a->c.dilation[i] - a->c.pad_lo[i];
      inside = inside && at >= 0 && at % a->c.input_dilation[i] == 0 && at / a->c.input_dilation[i] < x->dim[i + 2];
      of += at / a->c.input_dilation[i] * step;
      step *= x->dim[i + 2];
      left /= w->dim[i + 2];
    }
    if (inside) cr_depend_on(c, element, 0, (image * x->dim[1] + group * w->dim[1] + left) * step + of);
  }
}

static void conv_depend(cr_depend *c) {
  const conv_attr *a = c->attr;
  const cr_array *y = c->out;
  int64_t planes = 1, channels = y->dim[1], of_group = channels / a->c.groups, place[CR_MAX_SPATIAL] = {0};
  int axis[CR_MAX_RANK] = {1, -1, -1, -1, -1};
  for (int i = 0; i < a->rank; i++) planes *= y->dim[i + 2];
  for (int64_t k = 0; k < y->count; k++) {
    int64_t channel = k / planes % channels, group = channel / of_group;
    if (channel % of_group) cr_depend_as(c, k, k - channel % of_group * planes);
    else window_depend(c, a, k, k / planes / channels, group, place);
    for (int i = (int)a->rank - 1; i >= 0 && ++place[i] == y->dim[i + 2]; i--) place[i] = 0;
  }
  cr_depend_along(c, 1, axis);
  if (c->n > 2) cr_depend_along(c, 2, (int[]){1});
}

static cr_var composed(int n, const cr_var *in, const void *attr) {
  (void)n;
  return cr_add_channels(cr_convolve(in[0], in[1], &((const conv_attr *)attr)->c), in[2]);
}
static cr_var biased_jvp(cr_jvp_rule *c) { return cr__composed_jvp(c, composed); }

static const cr_op conv_op = {.name = "convolve", .check = conv_check,
                              .arity = 2,
                              .kind = CR_BILINEAR,
                              .attr_size = sizeof(conv_attr), .fields = conv_fields,
                              .prepare = conv_prepare,
                              .infer = conv_infer,
                              .eval = conv_eval, .tails = 1,
                              .depend = conv_depend,
                              .vjp = conv_vjp,
                              .show = conv_show,
                              .latex = "%a \\star %b",
                              .rule = "to the input, the cotangent convolved with the kernel turned round; to the weight, "
                                      "the input convolved with the cotangent"};

/* With a number for each channel of the result: the same in one kernel. */
static const cr_op biased_op = {.name = "convolve_bias", .check = conv_check,
                                .arity = 3,
                                .attr_size = sizeof(conv_attr), .fields = conv_fields,
                                .prepare = conv_prepare,
                                .infer = conv_infer,
                                .eval = conv_eval, .tails = 1,
                                .depend = conv_depend,
                                .vjp = conv_vjp,
                                .jvp = biased_jvp,
                                .show = conv_show,
                                .latex = "%a \\star %b + %c",
                                .rule = "that of convolve; to the bias, the cotangent's sum over all axes but 1"};

static bool positive(cr_var x, const char *what, int64_t *value) {
  if (!*value) *value = 1;
  if (*value < 1 || *value > LARGEST)
    cr_fail(x.tape, CR_BAD_ARGUMENT, "convolve: %s %lld is not a positive number of reasonable size", what,
            (long long)*value);
  return *value >= 1 && *value <= LARGEST;
}

cr_var cr__convolve_transposed(cr_var x, cr_var weight, const cr_conv *c) {
  return cr_convolve(x, turned_round(exchanged(weight, c->groups), cr_rank(x) - 2), c);
}

static cr_var convolved(const cr_op *op, const cr_var *in, const cr_conv *c) {
  cr_var x = in[0], weight = in[1];
  int rank = cr_rank(x), spatial = rank - 2;
  if (cr_is_poison(x) || cr_is_poison(weight)) return cr_poison(x.tape);
  if (spatial < 1 || spatial > CR_MAX_SPATIAL || cr_rank(weight) != rank)
    return cr_fail(x.tape, CR_BAD_SHAPE,
                   "convolve: input of rank %d and weight of rank %d; both need %d to %d axes, as many", rank,
                   cr_rank(weight), 3, CR_MAX_SPATIAL + 2);
  conv_attr a = {.rank = spatial, .c = c ? *c : (cr_conv){.groups = 1}};
  if (!positive(x, "groups", &a.c.groups)) return cr_poison(x.tape);
  for (int i = 0; i < CR_MAX_SPATIAL; i++) {
    if (i >= spatial) a.c.stride[i] = a.c.dilation[i] = a.c.input_dilation[i] = 1, a.c.pad_lo[i] = a.c.pad_hi[i] = 0;
    if (!positive(x, "stride", &a.c.stride[i]) || !positive(x, "dilation", &a.c.dilation[i]) ||
        !positive(x, "input dilation", &a.c.input_dilation[i]))
      return cr_poison(x.tape);
    if (a.c.pad_lo[i] > LARGEST || a.c.pad_lo[i] < -LARGEST || a.c.pad_hi[i] > LARGEST || a.c.pad_hi[i] < -LARGEST)
      return cr_fail(x.tape, CR_OVER_LIMIT, "convolve: padding (%lld, %lld) is beyond all bounds", (long long)a.c.pad_lo[i],
                     (long long)a.c.pad_hi[i]);
  }
  return cr_record(x.tape, op, op->arity, in, &a);
}

cr_var cr_convolve(cr_var x, cr_var weight, const cr_conv *c) { return convolved(&conv_op, (cr_var[]){x, weight}, c); }
cr_var cr_convolve_bias(cr_var x, cr_var weight, cr_var bias, const cr_conv *c) {
  return convolved(&biased_op, (cr_var[]){x, weight, bias}, c);
}

const cr_op *const cr__conv_ops[] = {&conv_op, &biased_op, NULL};
