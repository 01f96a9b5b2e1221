/* The kernel of convolution, the formula in conv.c. Two of its positions p, k, t decide the third, so there are three ways
 * to run over them; the cheapest becomes products of matrices. Threads share images, groups and rows of the result. */
#include <string.h>

#include "conv.h"
#include "gemm.h"
#include "places.h"
#include "windows.h"

static int64_t at_most(int64_t x, int64_t most) { return x < most ? x : most; }
static int64_t pieces(int64_t n, int64_t size) { return (n + size - 1) / size; }

typedef cr__conv_work work;

/* Room for one block of patches: half a megabyte, which stays in the second-level cache. */
enum { BLOCK = 1 << 19, DEEP = 256, WIDE = 64, FEW = 32, SOME = 8, SHARES = 8 };

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

typedef struct side {
  const char *data;
  int64_t n, row, channel, group; /* leading positions, their stride, those of channels and groups */
} side;

/* What threads share, and how a way is cut into tasks: by images and groups or by rows, and by columns. */
typedef struct job {
  const work *s;
  const cr__patches *patches;
  cr__places places;
  int64_t rows, deep, wide, images, across, positions; /* across: tasks of one group and image */
  const char *weights;
  side moving, fixed;
  char *sum;
} job;

/* A place for one body, with its own plan of patches, and memory behind it. */
static char *enter(job *j, cr__patches *m) {
  char *place = cr__place_take(&j->places);
  *m = *j->patches;
  cr__patches_place(m, place);
  return place + cr__patches_bytes(m);
}
static void leave(job *j, const cr__patches *m) { cr__place_back(&j->places, m->plan); }

static cr_status share(job *j, int64_t n, int64_t numbers, void (*body)(void *context, int64_t from, int64_t to)) {
  size_t bytes = cr__patches_bytes(j->patches) + (size_t)numbers * j->s->size;
  if (!cr__places_room(j->s->c, &j->places, n, bytes)) return CR_NO_MEMORY;
  cr_parallel(j->s->c->tape, n, cr__places_grain(n), body, j);
  return CR_OK;
}

static void patches_task(const job *j, cr__patches *m, int64_t task, char *patches) {
  const work *s = j->s;
  int64_t v = task % j->across * j->wide, g = task / j->across % s->groups, b = task / j->across / s->groups * j->images;
  int64_t count = at_most(j->images, s->batch - b), n = at_most(j->wide, s->p - v), total = count * n;
  char *y = s->y + (size_t)((b * s->groups + g) * s->out * s->p + v) * s->size;
  char *several = patches + (size_t)(j->deep * j->wide * j->images) * s->size;
  cr__patches_aim(m, v, v + n);
  for (int64_t r = 0; r < j->rows; r += j->deep) {
    int64_t end = at_most(j->rows, r + j->deep);
    fill_patches(s, m, b, count, g, r, end, patches);
    cr__gemm(s->dtype, &(cr__product){
      .m = s->out, .n = total, .k = end - r, .a = s->w + (size_t)(g * s->out * j->rows + r) * s->size, .a_row = j->rows,
      .a_col = 1, .b = patches, .b_row = total, .b_col = 1, .c = count > 1 ? several : y,
      .c_row = count > 1 ? total : s->p, .add = r > 0});
  }
  if (count > 1) hand_out(s, several, b, count, g);
}

static void patches_tasks(void *context, int64_t from, int64_t to) {
  job *j = context;
  cr__patches m;
  char *memory = enter(j, &m);
  for (int64_t task = from; task < to; task++) patches_task(j, &m, task, memory);
  leave(j, &m);
}

static cr_status by_patches(const work *s, const cr__patches *m) {
  job j = {.s = s, .patches = m, .rows = s->in * s->k};
  j.deep = at_most(j.rows, DEEP);
  j.wide = block_columns(s, j.deep, s->p);
  j.images = s->p < WIDE ? at_most(s->batch, WIDE / s->p) : 1;
  j.across = pieces(s->p, j.wide);
  int64_t several = j.images > 1 ? s->out * s->p * j.images : 0;
  return share(&j, pieces(s->batch, j.images) * s->groups * j.across, j.deep * j.wide * j.images + several, patches_tasks);
}

/* Way 2: over t and k. Weights (o, k) x c times the input c x t, each product added where it belongs. */

/* Of one group of one image. */
static void spreading_task(const job *j, cr__patches *m, int64_t task, char *terms) {
  const work *s = j->s;
  int64_t b = task / s->groups, g = task % s->groups;
  char *y = s->y + (size_t)(task * s->out * s->p) * s->size;
  memset(y, 0, (size_t)(s->out * s->p) * s->size);
  for (int64_t r = 0; r < j->rows; r += j->deep)
    for (int64_t v = 0; v < s->t; v += j->wide) {
      int64_t end = at_most(j->rows, r + j->deep), n = at_most(j->wide, s->t - v);
      cr__patches_aim(m, v, v + n);
      cr__gemm(s->dtype, &(cr__product){.m = end - r,
                                        .n = n,
                                        .k = s->in,
                                        .a = j->weights + (size_t)((g * j->rows + r) * s->in) * s->size,
                                        .a_row = s->in,
                                        .a_col = 1,
                                        .b = s->x + (b * s->x_batch + g * s->in * s->x_channel + v) * (int64_t)s->size,
                                        .b_row = s->x_channel,
                                        .b_col = 1,
                                        .c = terms,
                                        .c_row = n});
      for (int64_t q = r; q < end; q++)
        cr__patches_add(m, s->dtype, y + (size_t)(q / s->k * s->p) * s->size, q % s->k,
                        terms + (size_t)((q - r) * n) * s->size);
    }
}

static void spreading_tasks(void *context, int64_t from, int64_t to) {
  job *j = context;
  cr__patches m;
  char *memory = enter(j, &m);
  for (int64_t task = from; task < to; task++) spreading_task(j, &m, task, memory);
  leave(j, &m);
}

static cr_status by_spreading(const work *s, const cr__patches *m, const char *weights) {
  job j = {.s = s, .patches = m, .rows = s->out * s->k, .weights = weights};
  j.deep = at_most(j.rows, DEEP);
  j.wide = block_columns(s, j.deep, s->t);
  return share(&j, s->batch * s->groups, j.deep * j.wide, spreading_tasks);
}

/* Way 3: for every channel its patches, of one operand, times its planes, of the other; added up over the channels. That is
 * how the gradient of a weight looks, where the channels are the images of the batch. */

/* Of some rows of the patches of one group. */
static void channels_task(const job *j, cr__patches *m, int64_t task, char *patches) {
  const work *s = j->s;
  int64_t g = task / j->across, r = task % j->across * j->deep, end = at_most(j->rows, r + j->deep);
  const char *moving = j->moving.data + g * j->moving.group * (int64_t)s->size;
  const char *fixed = j->fixed.data + g * j->fixed.group * (int64_t)s->size;
  char *sum = j->sum + (size_t)((g * j->rows + r) * j->fixed.n) * s->size;
  for (int64_t c = 0; c < s->in; c++)
    for (int64_t v = 0; v < j->positions; v += j->wide) {
      int64_t n = at_most(j->wide, j->positions - v);
      cr__patches_aim(m, v, v + n);
      for (int64_t q = r; q < end; q++) {
        const char *plane = moving + (q / s->p * j->moving.row + c * j->moving.channel) * (int64_t)s->size;
        cr__patches_take(m, s->dtype, plane, q % s->p, patches + (size_t)((q - r) * n) * s->size);
      }
      cr__gemm(s->dtype, &(cr__product){.m = end - r, .n = j->fixed.n, .k = n, .a = patches, .a_row = n, .a_col = 1,
                                        .b = fixed + (c * j->fixed.channel + v) * (int64_t)s->size, .b_row = 1,
                                        .b_col = j->fixed.row, .c = sum, .c_row = j->fixed.n, .add = c > 0 || v > 0});
    }
}

static void channels_tasks(void *context, int64_t from, int64_t to) {
  job *j = context;
  cr__patches m;
  char *memory = enter(j, &m);
  for (int64_t task = from; task < to; task++) channels_task(j, &m, task, memory);
  leave(j, &m);
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

static cr_status sum_of_channels(const work *s, const cr__patches *m, bool by_input) {
  side x = {s->x, s->batch, s->x_batch, s->x_channel, s->in * s->x_channel};
  side w = {s->w, s->out, s->w_out, s->w_channel, s->out * s->w_out};
  job j = {.s = s, .patches = m, .moving = by_input ? x : w, .fixed = by_input ? w : x,
           .positions = by_input ? s->k : s->t, .sum = cr_scratch(s->c, (size_t)s->c->out->count * s->size)};
  j.rows = j.moving.n * s->p;
  j.deep = at_most(DEEP, SOME * pieces(j.rows, SHARES * SOME));
  j.wide = block_columns(s, j.deep, j.positions);
  j.across = pieces(j.rows, j.deep);
  cr_status status = j.sum ? share(&j, s->groups * j.across, j.deep * j.wide, channels_tasks) : CR_NO_MEMORY;
  for (int64_t g = 0; status == CR_OK && g < s->groups; g++)
    store_sums(s, j.sum + (size_t)(g * j.rows * j.fixed.n) * s->size, g, by_input);
  return status;
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

#define ADD_BIAS(T)                                                                           \
  static void add_bias_##T(int64_t n, T bias, T *to) {                                        \
    for (int64_t k = 0; k < n; k++) to[k] += bias;                                            \
  }
ADD_BIAS(float)
ADD_BIAS(double)

void cr__convolved(const work *s, int64_t plane, int64_t planes, int64_t from, int64_t n) {
  const int64_t channels = s->groups * s->out;
  for (int64_t k = plane; k < plane + planes && s->bias; k++) {
    void *y = s->y + (size_t)(k * s->p + from) * s->size;
    if (s->dtype == CR_FLOAT32) add_bias_float(n, ((const float *)s->bias)[k % channels], y);
    else add_bias_double(n, ((const double *)s->bias)[k % channels], y);
  }
  if (n == s->p) cr_ready(s->c, plane * n, planes * n);
  else
    for (int64_t k = plane; k < plane + planes; k++) cr_ready(s->c, k * s->p + from, n);
}

/* The spatial axes as the last of three. */
static void aim(work *s, const cr_array *x, const cr_array *w) {
  for (int i = 0; i < CR_MAX_SPATIAL; i++) {
    int axis = i - CR_MAX_SPATIAL + s->rank;
    bool is = axis >= 0;
    s->p_dim[i] = is ? s->c->out->dim[axis + 2] : 1, s->k_dim[i] = is ? w->dim[axis + 2] : 1;
    s->t_dim[i] = is ? x->dim[axis + 2] : 1, s->pad_lo[i] = is ? s->how->pad_lo[axis] : 0;
    s->stride[i] = is ? s->how->stride[axis] : 1, s->dilation[i] = is ? s->how->dilation[axis] : 1;
    s->input_dilation[i] = is ? s->how->input_dilation[axis] : 1;
  }
}

static cr_status by_products(work *s, const cr_array *x, const cr_array *w) {
  double by_p_k = (double)s->p * (double)s->k, by_t_k = (double)s->t * (double)s->k, by_p_t = (double)s->p * (double)s->t;
  const cr_array *y = s->c->out;
  cr_status status = CR_OK;
  cr__patches m;
  if (by_t_k < by_p_k && by_t_k < by_p_t) {
    if (cr__convolve_scattered(s, &status)) return status;
    const char *weights = channels_last(s, w);
    m = patches_of_result(s, x, w, y);
    status = weights ? by_spreading(s, &m, weights) : CR_NO_MEMORY;
  } else if (by_p_t < by_p_k) {
    m = patches_of_kernel(s, x, w, y);
    status = sum_of_channels(s, &m, false);
  } else if (cr__convolve_rows(s, &status)) {
    return status;
  } else if (s->p < s->k && s->k >= FEW) {
    m = patches_of_input(s, x, w, y, false);
    status = sum_of_channels(s, &m, true);
  } else {
    m = patches_of_input(s, x, w, y, true);
    s->w = cr__dense(s->c, w, s->dtype);
    status = s->w ? by_patches(s, &m) : CR_NO_MEMORY;
  }
  if (status == CR_OK) cr__convolved(s, 0, s->batch * y->dim[1], 0, s->p);
  return status;
}

cr_status cr__convolution(cr_eval *c, const cr_conv *how) {
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
            .p = cr__volume(y->dim + 2, y->rank - 2),
            .k = cr__volume(w.dim + 2, y->rank - 2),
            .t = cr__volume(x.dim + 2, y->rank - 2)};
  if (!y->count) return CR_OK;
  if (c->n > 2 && !(s.bias = cr__dense(c, &c->in[2], s.dtype))) return CR_NO_MEMORY;
  if (!x.count || !w.count) {
    memset(y->data, 0, (size_t)y->count * s.size);
    cr__convolved(&s, 0, s.batch * y->dim[1], 0, s.p);
    return CR_OK;
  }
  if (!dense_planes(c, &x) || !dense_planes(c, &w)) return CR_NO_MEMORY;
  s.x = x.data, s.x_batch = x.stride[0], s.x_channel = x.stride[1];
  s.w = w.data, s.w_out = w.stride[0], s.w_channel = w.stride[1];
  aim(&s, &x, &w);
  return by_products(&s, &x, &w);
}
