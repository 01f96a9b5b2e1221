/* Convolution with the channels of the result side by side, as the columns of an indirect product: nothing of the input is
 * copied but what has padding. */
#include <string.h>

#include "conv.h"
#include "indirect.h"
#include "places.h"

typedef cr__conv_work work;

static int64_t at_most(int64_t x, int64_t most) { return x < most ? x : most; }
static int64_t pieces(int64_t n, int64_t size) { return (n + size - 1) / size; }

/* The channels of the result, filled up to whole vectors; too few would leave most of a vector idle. */
static int64_t columns_of(const work *s) {
  int64_t lanes = cr__indirect_lanes(s->dtype), cols = pieces(s->out, lanes) * lanes;
  return cols <= 2 * s->out ? cols : 0;
}

/* base + the sum of at[i] step[i] for n positions at of a box of such dimensions, in row-major order. */
static void positions(const int64_t *dim, const int64_t *step, int64_t from, int64_t n, int64_t base, int32_t *out) {
  int64_t at[CR_MAX_SPATIAL] = {from / dim[2] / dim[1], from / dim[2] % dim[1], from % dim[2]};
  for (int64_t v = 0; v < n; v++) {
    out[v] = (int32_t)(base + at[0] * step[0] + at[1] * step[1] + at[2] * step[2]);
    for (int i = CR_MAX_SPATIAL - 1; i >= 0 && ++at[i] == dim[i]; i--) at[i] = 0;
  }
}

static int64_t position(const int64_t *dim, const int64_t *step, int64_t v) {
  return v / dim[2] / dim[1] * step[0] + v / dim[2] % dim[1] * step[1] + v % dim[2] * step[2];
}

/* What all tasks share. A plane is the input's, or its copy with padding and dilation; a step is how far it is to the next
 * position, image or channel. */
typedef struct job {
  const work *s;
  cr__places places;
  cr__patches plane;         /* takes the positions of a plane with padding */
  bool copies;
  int64_t row_step[CR_MAX_SPATIAL], k_step[CR_MAX_SPATIAL], reach; /* of positions of the result and the kernel in a plane */
  int64_t lanes, cols, images, wide, channels;
  int64_t across, room;      /* tasks of one image; numbers of the copy of a channel */
  int64_t image_step, channel_step, block; /* block: steps of a product */
  int32_t *step;             /* of positions of the kernel, channel after channel */
  char *weights;             /* packed; NULL: each task packs what it needs next */
} job;

/* cols numbers for each of n positions of the kernel from k on, of a channel: row numbers apart, zero beyond the last. */
static void pack(const work *s, int64_t g, int64_t c, int64_t k, int64_t n, int64_t cols, char *to, int64_t row) {
  const char *w = s->w + (g * s->out * s->w_out + c * s->w_channel + k) * (int64_t)s->size;
  if (cols != s->out)
    for (int64_t l = 0; l < n; l++) memset(to + (size_t)(l * row) * s->size, 0, (size_t)cols * s->size);
  cr__transposed(s->dtype, s->out, n, w, s->w_out, to, row);
}

/* All weights, (group, c, k) or (group, k, c). */
typedef struct packing {
  const work *s;
  int64_t cols;
  bool by_channel;
  char *to;
} packing;

static void pack_channels(void *context, int64_t from, int64_t to) {
  const packing *p = context;
  const work *s = p->s;
  for (int64_t n = from; n < to; n++) {
    int64_t g = n / s->in, c = n % s->in, at = g * s->in * s->k + c * (p->by_channel ? s->k : 1);
    pack(s, g, c, 0, s->k, p->cols, p->to + (size_t)(at * p->cols) * s->size, p->by_channel ? p->cols : s->in * p->cols);
  }
}

static char *packed(const work *s, int64_t cols, bool by_channel) {
  enum { GRAIN = 1 << 13 };
  packing p = {s, cols, by_channel, cr_scratch(s->c, (size_t)(s->groups * s->in * s->k * cols) * s->size)};
  if (p.to) cr_parallel(s->c->tape, s->groups * s->in, 1 + GRAIN / (s->k * s->out), pack_channels, &p);
  return p.to;
}

/* The planes that results and kernels reach over: the input's, where no position is outside it and none between. */
static void aim_at_planes(job *j) {
  const work *s = j->s;
  int64_t dim[CR_MAX_SPATIAL], step = 1;
  j->plane = cr__patches_of_one();
  for (int i = 0; i < CR_MAX_SPATIAL; i++) {
    dim[i] = (s->p_dim[i] - 1) * s->stride[i] + (s->k_dim[i] - 1) * s->dilation[i] + 1;
    j->copies = j->copies || s->input_dilation[i] != 1 || s->pad_lo[i] > 0 || dim[i] - s->pad_lo[i] > s->t_dim[i];
    j->plane.cols[i] = dim[i], j->plane.size[i] = s->t_dim[i];
    j->plane.shift[i] = s->pad_lo[i], j->plane.divisor[i] = s->input_dilation[i];
  }
  for (int i = CR_MAX_SPATIAL - 1; i >= 0; i--) {
    j->row_step[i] = step * s->stride[i], j->k_step[i] = step * s->dilation[i];
    step *= j->copies ? dim[i] : s->t_dim[i];
  }
  j->reach = position(s->k_dim, j->k_step, s->k - 1);
}

/* Where rows from to before to begin in a plane, and how many of its numbers they need. */
static int64_t begin_of(const job *j, int64_t from) { return position(j->s->p_dim, j->row_step, from); }
static int64_t span_of(const job *j, int64_t from) {
  int64_t to = at_most(j->s->p, from + j->wide);
  return begin_of(j, to - 1) + j->reach + 1 - begin_of(j, from);
}

/* Some rows of C at a time, that stay in the cache; fewer where threads would have nothing to do. */
static int64_t cut(job *j, int64_t threads) {
  enum { ROOM = 48 << 10, LEAST = 64, TILE = 8 };
  const work *s = j->s;
  int64_t rows = ROOM / (int64_t)s->size / j->cols, tasks = 0;
  for (rows = rows < LEAST ? LEAST : rows; rows >= TILE && tasks < threads; rows /= 2) {
    j->across = pieces(s->p, rows);
    j->wide = at_most(s->p, pieces(pieces(s->p, j->across), TILE) * TILE);
    j->across = pieces(s->p, j->wide);
    j->images = j->across > 1 ? 1 : at_most(s->batch, rows / s->p);
    tasks = pieces(s->batch, j->images) * s->groups * j->across;
  }
  j->channels = cr__indirect_depth(s->dtype, j->cols / j->lanes) / s->k;
  j->channels = at_most(s->in, j->channels < 1 ? 1 : j->channels);
  j->block = cr__indirect_block(s->dtype, j->cols / j->lanes, j->channels * s->k);
  for (int64_t k = 0; k < j->across; k++)
    if (span_of(j, k * j->wide) > j->room) j->room = span_of(j, k * j->wide);
  j->image_step = j->copies ? j->channels * j->room : s->x_batch;
  j->channel_step = j->copies ? j->room : s->x_channel;
  return tasks;
}

/* One task: rows from to before to, for some images of a group. */
typedef struct task {
  int64_t image, images, g, from, n;
  int32_t *row, *place;
  char *sums, *copy, *weights;
} task;

static size_t row_bytes(const job *j) { return (size_t)pieces(j->images * j->wide, 8) * 64; }
static size_t task_bytes(const job *j) {
  int64_t weights = j->weights ? 0 : j->block * j->cols, copy = j->copies ? j->images * j->channels * j->room : 0;
  return row_bytes(j) + (size_t)(j->images * j->wide * j->cols + weights + copy) * j->s->size;
}

static task task_of(const job *j, int64_t number, char *memory) {
  const work *s = j->s;
  task t = {.from = number % j->across * j->wide, .g = number / j->across % s->groups,
            .image = number / j->across / s->groups * j->images};
  t.images = at_most(j->images, s->batch - t.image), t.n = at_most(j->wide, s->p - t.from);
  t.row = (int32_t *)(void *)memory, t.place = t.row + j->images * j->wide;
  t.sums = memory + row_bytes(j);
  t.weights = t.sums + (size_t)(j->images * j->wide * j->cols) * s->size;
  t.copy = t.weights + (j->weights ? 0 : (size_t)(j->block * j->cols) * s->size);
  for (int64_t i = 0; i < t.images; i++)
    positions(s->p_dim, j->row_step, t.from, t.n, i * j->image_step - begin_of(j, t.from), t.row + i * t.n);
  for (int64_t r = 0; r < t.images * t.n; r++) t.place[r] = (int32_t)(r * j->cols);
  return t;
}

static const char *channel_of(const work *s, const task *t, int64_t image, int64_t c) {
  return s->x + ((t->image + image) * s->x_batch + (t->g * s->in + c) * s->x_channel) * (int64_t)s->size;
}

/* Channels from c on, as they are or copied. */
static const char *planes_of(const job *j, cr__patches *plane, const task *t, int64_t c, int64_t channels) {
  const work *s = j->s;
  if (!j->copies) {
    int64_t first = begin_of(j, t->from);
    for (int i = 0; i < CR_MAX_SPATIAL; i++) first -= s->pad_lo[i] * (j->k_step[i] / s->dilation[i]);
    return channel_of(s, t, 0, c) + first * (int64_t)s->size;
  }
  for (int64_t i = 0; i < t->images; i++)
    for (int64_t k = 0; k < channels; k++)
      cr__patches_take(plane, s->dtype, channel_of(s, t, i, c + k), 0,
                       t->copy + (size_t)(i * j->image_step + k * j->channel_step) * s->size);
  return t->copy;
}

/* The weights of steps from to before to, of channels from c on: several whole ones, or a part of one. */
static const char *weights_of(const job *j, const task *t, int64_t c, int64_t from, int64_t to) {
  const work *s = j->s;
  if (j->weights) return j->weights + (size_t)(((t->g * s->in + c) * s->k + from) * j->cols) * s->size;
  for (int64_t l = from, n; l < to; l += n) {
    n = at_most(s->k - l % s->k, to - l);
    pack(s, t->g, c + l / s->k, l % s->k, n, j->cols, t->weights + (size_t)((l - from) * j->cols) * s->size, j->cols);
  }
  return t->weights;
}

static void rows_task(const job *j, cr__patches *plane, int64_t number, char *memory) {
  const work *s = j->s;
  task t = task_of(j, number, memory);
  int64_t begin = begin_of(j, t.from);
  cr__indirect product = {.rows = t.images * t.n, .vectors = j->cols / j->lanes, .y_row = j->cols, .y_next = j->lanes,
                          .c_next = j->lanes, .row = t.row, .to = t.place, .c = t.sums};
  if (j->copies) cr__patches_aim(plane, begin, begin + span_of(j, t.from));
  for (int64_t c = 0; c < s->in; c += j->channels) {
    int64_t channels = at_most(j->channels, s->in - c), steps = channels * s->k;
    product.x = planes_of(j, plane, &t, c, channels);
    for (int64_t l = 0; l < steps; l += j->block, product.add = 1) {
      product.steps = at_most(j->block, steps - l), product.step = j->step + l;
      product.y = weights_of(j, &t, c, l, l + product.steps);
      cr__indirect_product(s->dtype, &product);
    }
  }
  for (int64_t i = 0; i < t.images; i++) {
    int64_t channel = ((t.image + i) * s->groups + t.g) * s->out;
    cr__transposed(s->dtype, t.n, s->out, t.sums + (size_t)(i * t.n * j->cols) * s->size, j->cols,
                   s->y + (size_t)(channel * s->p + t.from) * s->size, s->p);
    cr__convolved(s, channel, s->out, t.from, t.n);
  }
}

static void rows_tasks(void *context, int64_t from, int64_t to) {
  job *j = context;
  cr__patches plane = j->plane;
  char *memory = cr__place_take(&j->places);
  cr__patches_place(&plane, memory);
  for (int64_t n = from; n < to; n++) rows_task(j, &plane, n, memory + cr__patches_bytes(&plane));
  cr__place_back(&j->places, memory);
}

bool cr__convolve_rows(const work *s, cr_status *status) {
  job j = {.s = s, .lanes = cr__indirect_lanes(s->dtype), .cols = columns_of(s)};
  if (!j.cols) return false;
  aim_at_planes(&j);
  enum { SOME_THREADS = 4 };
  int64_t threads = cr_get(s->c->tape, CR_THREADS), tasks = cut(&j, threads ? threads : SOME_THREADS);
  int64_t far = j.images * j.image_step + j.channels * j.channel_step + j.reach + j.room;
  if (far > INT32_MAX || j.images * j.wide * j.cols > INT32_MAX) return false;
  j.step = cr_scratch(s->c, (size_t)(j.channels * s->k) * sizeof *j.step);
  bool packs = tasks > threads; /* else each thread would read them but once */
  if (packs) j.weights = packed(s, j.cols, true);
  *status = CR_NO_MEMORY;
  if (!j.step || (packs && !j.weights) ||
      !cr__places_room(s->c, &j.places, tasks, cr__patches_bytes(&j.plane) + task_bytes(&j)))
    return true;
  for (int64_t c = 0; c < j.channels; c++) positions(s->k_dim, j.k_step, 0, s->k, c * j.channel_step, j.step + c * s->k);
  cr_parallel(s->c->tape, tasks, cr__places_grain(tasks), rows_tasks, &j);
  *status = CR_OK;
  return true;
}

/* Each position of the input times the weights, added where it belongs in a box around the result: where that is less than
 * to gather. */
typedef struct scatter {
  const work *s;
  cr__places places;
  int64_t lanes, cols, box_step[CR_MAX_SPATIAL];
  int64_t box, first;        /* numbers of the box, and the first of them that is a result's */
  int32_t *row, *place;      /* of positions of the input: there and in the box */
  int32_t *step, *shift;     /* of channels; of positions of the kernel, from the last on */
  const char *weights;
} scatter;

/* A group of an image: of all positions of the kernel, several of a line together where a position's numbers are but one
 * vector. */
static void scatter_task(const scatter *j, int64_t number, char *sums) {
  enum { TOGETHER = 3 };
  const work *s = j->s;
  int64_t b = number / s->groups, g = number % s->groups, width = s->p_dim[2];
  bool one = j->cols == j->lanes;
  cr__indirect product = {.rows = s->t, .steps = s->in, .row = j->row, .step = j->step, .to = j->place, .y_row = j->cols,
                          .x = s->x + (b * s->x_batch + g * s->in * s->x_channel) * (int64_t)s->size, .add = 1,
                          .y_next = one ? s->in * j->cols : j->lanes, .c_next = one ? -s->dilation[2] * j->cols : j->lanes};
  memset(sums, 0, (size_t)j->box * s->size);
  for (int64_t k = 0, n; k < s->k; k += n) {
    n = one ? at_most(s->k_dim[2] - k % s->k_dim[2], TOGETHER) : 1;
    product.vectors = n * (j->cols / j->lanes);
    product.c = sums + (size_t)j->shift[s->k - 1 - k] * s->size;
    product.y = j->weights + (size_t)((g * s->k + k) * s->in * j->cols) * s->size;
    cr__indirect_product(s->dtype, &product);
  }
  for (int64_t v = 0; v < s->p; v += width)
    cr__transposed(s->dtype, width, s->out, sums + (size_t)(j->first + position(s->p_dim, j->box_step, v)) * s->size,
                   j->cols, s->y + (size_t)(number * s->out * s->p + v) * s->size, s->p);
  cr__convolved(s, number * s->out, s->out, 0, s->p);
}

static void scatter_tasks(void *context, int64_t from, int64_t to) {
  scatter *j = context;
  char *sums = cr__place_take(&j->places);
  for (int64_t n = from; n < to; n++) scatter_task(j, n, sums);
  cr__place_back(&j->places, sums);
}

/* False where results lie outside the box, or that would leave the cache. */
static bool aim_at_box(scatter *j) {
  enum { ROOM = 1 << 20 };
  const work *s = j->s;
  bool fits = j->cols > 0;
  j->box = j->cols, j->first = 0;
  for (int i = CR_MAX_SPATIAL - 1; i >= 0; i--) {
    int64_t before = (s->k_dim[i] - 1) * s->dilation[i], n = (s->t_dim[i] - 1) * s->input_dilation[i] + before + 1;
    before -= s->pad_lo[i];
    fits = fits && s->stride[i] == 1 && before >= 0 && before + s->p_dim[i] <= n;
    j->box_step[i] = j->box;
    j->first += before * j->box;
    j->box *= n;
  }
  return fits && j->box * (int64_t)s->size <= ROOM && s->in * s->x_channel <= INT32_MAX;
}

bool cr__convolve_scattered(const work *s, cr_status *status) {
  scatter j = {.s = s, .lanes = cr__indirect_lanes(s->dtype), .cols = columns_of(s)};
  if (!aim_at_box(&j)) return false;
  int64_t tasks = s->batch * s->groups, spread[CR_MAX_SPATIAL], shift[CR_MAX_SPATIAL];
  for (int i = 0; i < CR_MAX_SPATIAL; i++)
    spread[i] = j.box_step[i] * s->input_dilation[i], shift[i] = j.box_step[i] * s->dilation[i];
  j.row = cr_scratch(s->c, (size_t)(2 * s->t + s->in + s->k) * sizeof *j.row);
  j.weights = packed(s, j.cols, false);
  *status = CR_NO_MEMORY;
  if (!j.row || !j.weights || !cr__places_room(s->c, &j.places, tasks, (size_t)j.box * s->size)) return true;
  j.place = j.row + s->t, j.step = j.place + s->t, j.shift = j.step + s->in;
  for (int64_t t = 0; t < s->t; t++) j.row[t] = (int32_t)t;
  for (int64_t c = 0; c < s->in; c++) j.step[c] = (int32_t)(c * s->x_channel);
  positions(s->t_dim, spread, 0, s->t, 0, j.place);
  positions(s->k_dim, shift, 0, s->k, 0, j.shift);
  cr_parallel(s->c->tape, tasks, cr__places_grain(tasks), scatter_tasks, &j);
  *status = CR_OK;
  return true;
}
