/* Convolution over one to three spatial axes, with strides, padding, dilation of both operands and groups. One op is enough
 * for its own derivatives: with another choice of strides and dilations it is also the transposed convolution, and the
 * gradient of the weight.
 *
 * With p a position of the result, k of the kernel and t of the input, axis by axis,
 *     y[b, o, p] = sum over c, k of w[o, c, k] x[b, c, t],    p stride + k dilation - pad_lo = t input_dilation.
 * Two of p, k, t decide the third, so there are three ways to run over them; the cheapest becomes products of matrices. */
#include <stdio.h>
#include <string.h>

#include "gemm.h"
#include "patches.h"
#include "windows.h"

typedef struct conv_attr {
  int64_t rank; /* of the spatial axes */
  cr_conv c;
} conv_attr;

static int64_t at_most(int64_t x, int64_t most) { return x < most ? x : most; }
static int64_t product(const int64_t *dims, int n) {
  int64_t all = 1;
  for (int i = 0; i < n; i++) all *= dims[i];
  return all;
}

/* Everything a kernel needs to know. Planes of x and w are dense; strides are those of batch (or output) and channel. */
typedef struct work {
  cr_eval *c;
  cr_dtype dtype;
  size_t size;
  int rank;
  const cr_conv *how;
  int64_t batch, groups, in, out;    /* in and out: channels of one group */
  int64_t p, k, t;                   /* positions of the result, the kernel and the input */
  const char *x, *w;
  char *y;
  int64_t x_batch, x_channel, w_out, w_channel;
} work;

/* Room for one block of patches: half a megabyte, which stays in the second-level cache. */
enum { BLOCK = 1 << 19, DEEP = 256, WIDE = 64, FEW = 32 };
#define LARGEST ((int64_t)1 << 40)

static int64_t block_columns(const work *s, int64_t rows, int64_t columns) {
  int64_t n = BLOCK / (int64_t)s->size / rows;
  return at_most(columns, n < WIDE ? WIDE : n);
}

/* Way 1: over p and k. Patches of the input, (c, k) x (b, p), times the weights; several images at once where p is few. */

/* Positions of the input by those of the kernel, u = k and v = p, or u = p and v = k. */
static cr__patches patches_of_input(const work *s, const cr_array *x, const cr_array *w, const cr_array *y, bool by_kernel) {
  cr__patches m = cr__patches_of_one();
  const cr_array *u = by_kernel ? w : y, *v = by_kernel ? y : w;
  const int64_t *u_step = by_kernel ? s->how->dilation : s->how->stride,
                *v_step = by_kernel ? s->how->stride : s->how->dilation;
  for (int i = 0, j = CR_MAX_SPATIAL - s->rank; i < s->rank; i++, j++) {
    m.rows[j] = u->dim[i + 2], m.cols[j] = v->dim[i + 2], m.size[j] = x->dim[i + 2];
    m.row_step[j] = u_step[i], m.col_step[j] = v_step[i];
    m.shift[j] = s->how->pad_lo[i], m.divisor[j] = s->how->input_dilation[i];
  }
  return m;
}

/* Rows r0 to before r1 of (channel, kernel position), for images from b on. */
static void fill_patches(const work *s, const cr__patches *m, int64_t b, int64_t images, int64_t g, int64_t r0, int64_t r1,
                         char *out) {
  for (int64_t r = r0; r < r1; r++)
    for (int64_t i = 0; i < images; i++, out += (size_t)(m->to - m->from) * s->size) {
      int64_t channel = g * s->in + r / s->k;
      const char *plane = s->x + ((b + i) * s->x_batch + channel * s->x_channel) * (int64_t)s->size;
      cr__patches_take(m, s->dtype, plane, r % s->k, out);
    }
}

/* Columns that belong to several images, (o, images, p), to their places in the result. */
static void hand_out(const work *s, const char *from, int64_t b, int64_t images, int64_t g) {
  size_t run = (size_t)s->p * s->size;
  for (int64_t o = 0; o < s->out; o++)
    for (int64_t i = 0; i < images; i++, from += run)
      memcpy(s->y + (size_t)((b + i) * s->groups * s->out + g * s->out + o) * run, from, run);
}

static cr_status by_patches(const work *s, cr__patches *m) {
  int64_t depth = s->in * s->k, deep = at_most(depth, DEEP), wide = block_columns(s, deep, s->p);
  int64_t images = s->p < WIDE ? at_most(s->batch, WIDE / s->p) : 1;
  char *patches = cr_scratch(s->c, (size_t)(deep * wide * images) * s->size);
  char *several = images > 1 ? cr_scratch(s->c, (size_t)(s->out * s->p * images) * s->size) : patches;
  if (!patches || !several || !cr__patches_room(s->c, m)) return CR_NO_MEMORY;
  for (int64_t b = 0; b < s->batch; b += images)
    for (int64_t g = 0; g < s->groups; g++)
      for (int64_t v = 0; v < s->p; v += wide) {
        int64_t count = at_most(images, s->batch - b), n = at_most(wide, s->p - v), total = count * n;
        cr__patches_aim(m, v, v + n);
        char *y = s->y + (size_t)((b * s->groups + g) * s->out * s->p + v) * s->size;
        for (int64_t r = 0; r < depth; r += deep) {
          int64_t end = at_most(depth, r + deep);
          fill_patches(s, m, b, count, g, r, end, patches);
          cr__gemm(s->dtype, &(cr__product){
            .m = s->out, .n = total, .k = end - r, .a = s->w + (size_t)(g * s->out * depth + r) * s->size, .a_row = depth,
            .a_col = 1, .b = patches, .b_row = total, .b_col = 1, .c = count > 1 ? several : y,
            .c_row = count > 1 ? total : s->p, .add = r > 0});
        }
        if (count > 1) hand_out(s, several, b, count, g);
      }
  return CR_OK;
}

/* Way 2: over t and k. Weights (o, k) x c times the input c x t, each product added where it belongs. */

static cr_status by_spreading(const work *s, cr__patches *m, const char *weights) {
  int64_t rows = s->out * s->k, deep = at_most(rows, DEEP), wide = block_columns(s, deep, s->t);
  char *terms = cr_scratch(s->c, (size_t)(deep * wide) * s->size);
  if (!terms || !cr__patches_room(s->c, m)) return CR_NO_MEMORY;
  memset(s->y, 0, (size_t)s->c->out->count * s->size);
  for (int64_t b = 0; b < s->batch; b++)
    for (int64_t g = 0; g < s->groups; g++)
      for (int64_t r = 0; r < rows; r += deep)
        for (int64_t v = 0; v < s->t; v += wide) {
          int64_t end = at_most(rows, r + deep), n = at_most(wide, s->t - v);
          cr__patches_aim(m, v, v + n);
          cr__gemm(s->dtype, &(cr__product){.m = end - r,
                                            .n = n,
                                            .k = s->in,
                                            .a = weights + (size_t)((g * rows + r) * s->in) * s->size,
                                            .a_row = s->in,
                                            .a_col = 1,
                                            .b = s->x + (b * s->x_batch + g * s->in * s->x_channel + v) * (int64_t)s->size,
                                            .b_row = s->x_channel,
                                            .b_col = 1,
                                            .c = terms,
                                            .c_row = n});
          for (int64_t q = r; q < end; q++) {
            char *plane = s->y + (size_t)(((b * s->groups + g) * s->out + q / s->k) * s->p) * s->size;
            cr__patches_add(m, s->dtype, plane, q % s->k, terms + (size_t)((q - r) * n) * s->size);
          }
        }
  return CR_OK;
}

/* Way 3: for every channel its patches, of one operand, times its planes, of the other; added up over the channels. That is
 * how the gradient of a weight looks, where the channels are the images of the batch. */

typedef struct side {
  const char *data;
  int64_t n, row, channel; /* leading positions, their stride, that of channels */
} side;

static cr_status by_channels(const work *s, cr__patches *m, side moving, side fixed, int64_t positions, char *sum) {
  int64_t rows = moving.n * s->p, deep = at_most(rows, DEEP), wide = block_columns(s, deep, positions);
  char *patches = cr_scratch(s->c, (size_t)(deep * wide) * s->size);
  if (!patches || !cr__patches_room(s->c, m)) return CR_NO_MEMORY;
  for (int64_t c = 0; c < s->in; c++)
    for (int64_t r = 0; r < rows; r += deep)
      for (int64_t v = 0; v < positions; v += wide) {
        int64_t end = at_most(rows, r + deep), n = at_most(wide, positions - v);
        cr__patches_aim(m, v, v + n);
        for (int64_t q = r; q < end; q++) {
          const char *plane = moving.data + (q / s->p * moving.row + c * moving.channel) * (int64_t)s->size;
          cr__patches_take(m, s->dtype, plane, q % s->p, patches + (size_t)((q - r) * n) * s->size);
        }
        cr__gemm(s->dtype, &(cr__product){
          .m = end - r, .n = fixed.n, .k = n, .a = patches, .a_row = n, .a_col = 1,
          .b = fixed.data + (c * fixed.channel + v) * (int64_t)s->size, .b_row = 1, .b_col = fixed.row,
          .c = sum + (size_t)(r * fixed.n) * s->size, .c_row = fixed.n, .add = c > 0 || v > 0});
      }
  return CR_OK;
}

/* The sums, (moving position, p, fixed position), into the group's part of the result. by_input: it was the input that
 * moved. */
static void store_sums(const work *s, const char *sum, int64_t g, bool by_input) {
  int64_t moving = by_input ? s->batch : s->out, fixed = by_input ? s->out : s->batch, all = s->groups * s->out * s->p;
  int64_t dims[3] = {moving, fixed, s->p}, strides[3] = {s->p * fixed, 1, fixed};
  cr_array from, to;
  cr_array_init(&from, s->dtype, 3, dims);
  to = from;
  to.contiguous = from.contiguous = 0;
  memcpy(from.stride, strides, sizeof strides);
  to.stride[0] = by_input ? all : s->p;
  to.stride[1] = by_input ? s->p : all;
  from.data = (void *)(uintptr_t)sum; /* only read */
  to.data = s->y + (size_t)(g * s->out * s->p) * s->size;
  cr_array_copy(&to, &from);
}

/* Positions of the result by those of the input, u = k: p = (t input_dilation + pad_lo - k dilation) / stride. */
static cr__patches patches_of_result(const work *s, const cr_array *x, const cr_array *w, const cr_array *y) {
  cr__patches m = cr__patches_of_one();
  for (int i = 0, j = CR_MAX_SPATIAL - s->rank; i < s->rank; i++, j++) {
    m.rows[j] = w->dim[i + 2], m.cols[j] = x->dim[i + 2], m.size[j] = y->dim[i + 2];
    m.row_step[j] = -s->how->dilation[i], m.col_step[j] = s->how->input_dilation[i];
    m.shift[j] = -s->how->pad_lo[i], m.divisor[j] = s->how->stride[i];
  }
  return m;
}

/* Positions of the kernel by those of the input, u = p: k = (t input_dilation + pad_lo - p stride) / dilation. */
static cr__patches patches_of_kernel(const work *s, const cr_array *x, const cr_array *w, const cr_array *y) {
  cr__patches m = cr__patches_of_one();
  for (int i = 0, j = CR_MAX_SPATIAL - s->rank; i < s->rank; i++, j++) {
    m.rows[j] = y->dim[i + 2], m.cols[j] = x->dim[i + 2], m.size[j] = w->dim[i + 2];
    m.row_step[j] = -s->how->stride[i], m.col_step[j] = s->how->input_dilation[i];
    m.shift[j] = -s->how->pad_lo[i], m.divisor[j] = s->how->dilation[i];
  }
  return m;
}

static cr_status sum_of_channels(const work *s, cr__patches *m, bool by_input) {
  char *sum = cr_scratch(s->c, (size_t)(s->batch * s->out * s->p) * s->size);
  if (!sum) return CR_NO_MEMORY;
  for (int64_t g = 0; g < s->groups; g++) {
    side x = {s->x + g * s->in * s->x_channel * (int64_t)s->size, s->batch, s->x_batch, s->x_channel};
    side w = {s->w + g * s->out * s->w_out * (int64_t)s->size, s->out, s->w_out, s->w_channel};
    cr_status status = by_channels(s, m, by_input ? x : w, by_input ? w : x, by_input ? s->k : s->t, sum);
    if (status != CR_OK) return status;
    store_sums(s, sum, g, by_input);
  }
  return CR_OK;
}

/* The operand itself if its planes are dense, else a copy. */
static bool dense_planes(cr_eval *c, cr_array *a) {
  cr_array dense;
  bool fits = true;
  cr_array_init(&dense, (cr_dtype)a->dtype, a->rank, a->dim);
  for (int i = 2; i < a->rank; i++) fits = fits && (a->dim[i] == 1 || a->stride[i] == dense.stride[i]);
  if (fits) return true;
  dense.data = (void *)(uintptr_t)cr__dense(c, a, (cr_dtype)a->dtype);
  *a = dense;
  return dense.data != NULL;
}

/* The weights of group after group as (o, k, c). */
static const char *channels_last(const work *s, const cr_array *w) {
  cr_array from = *w;
  for (int i = 2; i < w->rank; i++) from.dim[i - 1] = w->dim[i], from.stride[i - 1] = w->stride[i];
  from.dim[w->rank - 1] = w->dim[1];
  from.stride[w->rank - 1] = w->stride[1];
  from.contiguous = 0;
  cr_array to;
  cr_array_init(&to, s->dtype, from.rank, from.dim);
  to.data = cr_scratch(s->c, (size_t)to.count * s->size);
  if (to.data) cr_array_copy(&to, &from);
  return to.data;
}

static cr_status conv_eval(cr_eval *c) {
  const cr_conv *how = &((const conv_attr *)c->attr)->c;
  cr_array x = c->in[0], w = c->in[1], *y = c->out;
  work s = {.c = c,
            .dtype = (cr_dtype)y->dtype,
            .size = cr_dtype_size((cr_dtype)y->dtype),
            .rank = y->rank - 2,
            .how = how,
            .batch = y->dim[0],
            .groups = how->groups,
            .in = w.dim[1],
            .out = y->dim[1] / how->groups,
            .y = y->data,
            .p = product(y->dim + 2, y->rank - 2),
            .k = product(w.dim + 2, y->rank - 2),
            .t = product(x.dim + 2, y->rank - 2)};
  if (!y->count) return CR_OK;
  if (!x.count || !w.count) {
    memset(y->data, 0, (size_t)y->count * s.size);
    return CR_OK;
  }
  if (!dense_planes(c, &x) || !dense_planes(c, &w)) return CR_NO_MEMORY;
  s.x = x.data, s.x_batch = x.stride[0], s.x_channel = x.stride[1];
  s.w = w.data, s.w_out = w.stride[0], s.w_channel = w.stride[1];
  double by_p_k = (double)s.p * (double)s.k, by_t_k = (double)s.t * (double)s.k, by_p_t = (double)s.p * (double)s.t;
  if (by_t_k < by_p_k && by_t_k < by_p_t) {
    cr__patches m = patches_of_result(&s, &x, &w, y);
    const char *weights = channels_last(&s, &w);
    return weights ? by_spreading(&s, &m, weights) : CR_NO_MEMORY;
  }
  if (by_p_t < by_p_k) {
    cr__patches m = patches_of_kernel(&s, &x, &w, y);
    return sum_of_channels(&s, &m, false);
  }
  if (s.p < s.k && s.k >= FEW) {
    cr__patches m = patches_of_input(&s, &x, &w, y, false);
    return sum_of_channels(&s, &m, true);
  }
  cr__patches m = patches_of_input(&s, &x, &w, y, true);
  s.w = cr__dense(c, &w, s.dtype);
  return s.w ? by_patches(&s, &m) : CR_NO_MEMORY;
}

/* Shapes */

static int64_t dilated(int64_t n, int64_t by) { return n ? (n - 1) * by + 1 : 0; }

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
  return CR_OK;
}

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
  if (!cr_count(c->out) || !cr_count(c->in[0]) || !cr_count(c->in[1])) return;
  if (c->wanted[0]) c->d[0] = to_input(c, a);
  if (c->wanted[1]) c->d[1] = to_weight(c, a);
}

static const cr_op conv_op = {.name = "convolve",
                              .arity = 2,
                              .kind = CR_BILINEAR,
                              .attr_size = sizeof(conv_attr),
                              .prepare = conv_prepare,
                              .infer = conv_infer,
                              .eval = conv_eval,
                              .vjp = conv_vjp,
                              .show = conv_show,
                              .latex = "%a \\star %b",
                              .rule = "to the input, the cotangent convolved with the kernel turned round; to the weight, "
                                      "the input convolved with the cotangent"};

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

cr_var cr_convolve(cr_var x, cr_var weight, const cr_conv *c) {
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
  return cr_record(x.tape, &conv_op, 2, (cr_var[]){x, weight}, &a);
}
