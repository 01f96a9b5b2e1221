/* See attend.h. The scores of some queries at a time are held, and computed again for the derivative (Dao et al. 2022), so
 * that they never go to memory. They lie with a row for each key and a column for each query: softmax then runs down the
 * columns, side by side, and of all the products' right sides only blocks of q and g have to be turned. */
#include "attend.h"

#include <stdbool.h>
#include <string.h>

#include "flatmath.h"
#include "gemm.h"
#include "matrix.h"
#include "places.h"

/* QUERIES: few enough that their scores stay in the cache. SOME: keys whose sum is taken before it is added to that of the
 * others, so that errors do not grow with their number. */
enum { QUERIES = 32, LANES = 16, SOME = 64 };

/* n rows of scores, one behind the other. weigh: each column becomes the softmax of scale x, where column i has no weight
 * after row reach + i. through: d becomes scale p (d - sum(p d)), the cotangent of the products from that of softmax p. */
#define SCORES(name, TARGET, T, EXP)                                                                    \
  TARGET static void weigh_##name(T *restrict x, int64_t n, int64_t columns, int64_t reach, T scale) {  \
    _Alignas(64) T top[QUERIES], all[QUERIES] = {0};                                                    \
    T *row = x;                                                                                         \
    for (int64_t l = 0; l < columns; l++) top[l] = -(T)INFINITY;                                        \
    for (int64_t j = 0; j < n; j++, row += columns) {                                                   \
      for (int64_t l = 0; l < columns; l++) row[l] *= scale;                                            \
      for (int64_t l = 0; l < j - reach && l < columns; l++) row[l] = -(T)INFINITY;                     \
      for (int64_t l = 0; l < columns; l++) top[l] = row[l] > top[l] ? row[l] : top[l];                 \
    }                                                                                                   \
    for (int64_t l = 0; l < columns; l++) top[l] = top[l] == -(T)INFINITY ? 0 : top[l];                 \
    row = x;                                                                                            \
    for (int64_t from = 0; from < n; from += SOME) {                                                    \
      _Alignas(64) T sum[QUERIES] = {0};                                                                \
      for (int64_t j = from; j < n && j < from + SOME; j++, row += columns) {                           \
        for (int64_t l = 0; l < columns; l++) row[l] = EXP(row[l] - top[l]);                            \
        for (int64_t l = 0; l < columns; l++) sum[l] += row[l];                                         \
      }                                                                                                 \
      for (int64_t l = 0; l < columns; l++) all[l] += sum[l];                                           \
    }                                                                                                   \
    for (int64_t l = 0; l < columns; l++) all[l] = all[l] == 0 ? 0 : 1 / all[l];                        \
    row = x;                                                                                            \
    for (int64_t j = 0; j < n; j++, row += columns)                                                     \
      for (int64_t l = 0; l < columns; l++) row[l] *= all[l];                                           \
  }                                                                                                     \
  TARGET static void through_##name(const T *restrict p, T *restrict d, int64_t n, int64_t columns, T scale) { \
    _Alignas(64) T all[QUERIES] = {0};                                                                  \
    for (int64_t from = 0; from < n; from += SOME) {                                                    \
      _Alignas(64) T sum[QUERIES] = {0};                                                                \
      for (int64_t j = from; j < n && j < from + SOME; j++)                                             \
        for (int64_t l = 0; l < columns; l++) sum[l] += p[j * columns + l] * d[j * columns + l];        \
      for (int64_t l = 0; l < columns; l++) all[l] += sum[l];                                           \
    }                                                                                                   \
    for (int64_t j = 0; j < n; j++, p += columns, d += columns)                                         \
      for (int64_t l = 0; l < columns; l++) d[l] = scale * (p[l] * (d[l] - all[l]));                    \
  }
SCORES(float, , float, flat_expf)
SCORES(wide_float, CR__WIDE, float, flat_expf)
SCORES(widest_float, CR__WIDEST, float, flat_expf)
SCORES(double, , double, flat_exp)
SCORES(wide_double, CR__WIDE, double, flat_exp)
SCORES(widest_double, CR__WIDEST, double, flat_exp)

#define VERSION(f, T) (cr__version() == 2 ? f##_widest_##T : cr__version() == 1 ? f##_wide_##T : f##_##T)

/* A matrix of the batch, as gemm wants it. */
typedef struct matrix {
  char *data;
  int64_t row, col;
} matrix;

static matrix matrix_at(const cr__batch *b, int64_t item) {
  return (matrix){cr__batch_at(b, item), b->one.stride[0], b->one.stride[1]};
}
static matrix rows_from(matrix m, int64_t row, size_t size) {
  return (matrix){m.data + row * m.row * (int64_t)size, m.row, m.col};
}
static matrix turned(matrix m) { return (matrix){m.data, m.col, m.row}; }

/* c: row-major. */
static void multiply(cr_dtype dtype, int64_t m, int64_t n, int64_t k, matrix a, matrix b, matrix c, int add) {
  cr__gemm(dtype, &(cr__product){.m = m,
                                 .n = n,
                                 .k = k,
                                 .a = a.data,
                                 .a_row = a.row,
                                 .a_col = a.col,
                                 .b = b.data,
                                 .b_row = b.row,
                                 .b_col = b.col,
                                 .c = c.data,
                                 .c_row = c.row,
                                 .add = add});
}

typedef struct shape {
  int64_t items, queries, keys, width, out; /* out: width of v */
} shape;

static shape shape_of(const cr_array *in) {
  int r = in[0].rank;
  shape s = {1, in[0].dim[r - 2], in[1].dim[r - 2], in[0].dim[r - 1], in[2].dim[r - 1]};
  for (int i = 0; i < r - 2; i++) s.items *= in[0].dim[i];
  return s;
}

/* What threads share: operands q, k, v and g. */
typedef struct work {
  cr_dtype dtype;
  size_t size;
  const cr__attention *attr;
  shape s;
  cr__batch in[4];
  char *out;
  cr__places places;
} work;

/* Queries from first on of an item, the keys that any of them looks at, and columns of their scores: whole vectors. */
typedef struct block {
  int64_t item, first, queries, keys, columns;
} block;

static block block_from(const work *w, int64_t item, int64_t first) {
  const shape *s = &w->s;
  const int64_t last = first + QUERIES < s->queries ? first + QUERIES : s->queries,
                columns = (last - first + LANES - 1) / LANES * LANES;
  return (block){item, first, last - first, w->attr->causal && last < s->keys ? last : s->keys, columns};
}

/* c = x y^T for rows x of each key and y of each query. */
static void scores_of(const work *w, const block *b, int64_t k, matrix x, matrix y, char *c) {
  if (b->columns > b->queries) memset(c, 0, (size_t)(b->keys * b->columns) * w->size);
  multiply(w->dtype, b->keys, b->queries, k, x, turned(y), (matrix){c, b->columns, 1}, 0);
}

/* The softmax of the scores. */
static void weights_of(const work *w, const block *b, matrix q, char *p) {
  const int64_t reach = w->attr->causal ? b->first : b->keys;
  scores_of(w, b, w->s.width, matrix_at(&w->in[1], b->item), q, p);
  if (w->dtype == CR_FLOAT32) VERSION(weigh, float)((void *)p, b->keys, b->columns, reach, (float)w->attr->scale);
  else VERSION(weigh, double)((void *)p, b->keys, b->columns, reach, w->attr->scale);
}

static int64_t blocks_of(const shape *s) { return (s->queries + QUERIES - 1) / QUERIES; }

static void attend(void *context, int64_t from, int64_t to) {
  work *w = context;
  const shape *s = &w->s;
  char *p = cr__place_take(&w->places);
  for (int64_t task = from; task < to; task++) {
    const block b = block_from(w, task / blocks_of(s), task % blocks_of(s) * QUERIES);
    weights_of(w, &b, rows_from(matrix_at(&w->in[0], b.item), b.first, w->size), p);
    multiply(w->dtype, b.queries, s->out, b.keys, (matrix){p, 1, b.columns}, matrix_at(&w->in[2], b.item),
             (matrix){w->out + (size_t)((b.item * s->queries + b.first) * s->out) * w->size, s->out, 1}, 0);
  }
  cr__place_back(&w->places, p);
}

/* Room for the scores of so many blocks for each body. */
static bool prepare(cr_eval *c, work *w, int64_t tasks, int blocks) {
  w->dtype = (cr_dtype)c->out->dtype;
  w->size = cr_dtype_size(w->dtype);
  w->attr = c->attr;
  w->out = c->out->data;
  for (int j = 0; j < c->n; j++) w->in[j] = cr__batch_of(&c->in[j]);
  return cr__places_room(c, &w->places, tasks, (size_t)(blocks * QUERIES * w->s.keys) * w->size);
}

cr_status cr__attention_eval(cr_eval *c) {
  work w = {.s = shape_of(c->in)};
  int64_t tasks = w.s.keys ? w.s.items * blocks_of(&w.s) : 0;
  if (!prepare(c, &w, tasks, 1)) return CR_NO_MEMORY;
  if (!w.s.keys) memset(w.out, 0, (size_t)c->out->count * w.size);
  cr_parallel(c->tape, tasks, cr__places_grain(tasks), attend, &w);
  return CR_OK;
}

/* Where the cotangent of operand k goes. */
static matrix cotangent_of(const work *w, int k, int64_t item) {
  const shape *s = &w->s;
  const int64_t length = k ? s->keys : s->queries, width = k < 2 ? s->width : s->out;
  int64_t at = item * length * width, row = width;
  if (w->attr->packed) {
    const int64_t heads = w->in[0].lead.dim[w->in[0].lead.rank - 1];
    row = 3 * heads * width;
    at = item / heads * length * row + (k * heads + item % heads) * width;
  } else {
    at += k > 0 ? s->items * s->queries * s->width : 0;
    at += k > 1 ? s->items * s->keys * s->width : 0;
  }
  return (matrix){w->out + (size_t)at * w->size, row, 1};
}

static void clear(matrix m, int64_t rows, int64_t cols, size_t size) {
  for (int64_t i = 0; i < rows; i++) memset(rows_from(m, i, size).data, 0, (size_t)cols * size);
}

/* p: room for the weights, then for their cotangents. */
static void pull_block(const work *w, const block *b, char *p) {
  const shape *s = &w->s;
  const cr_dtype dtype = w->dtype;
  char *d = p + (size_t)(QUERIES * s->keys) * w->size;
  const matrix q = rows_from(matrix_at(&w->in[0], b->item), b->first, w->size), k = matrix_at(&w->in[1], b->item),
               v = matrix_at(&w->in[2], b->item), g = rows_from(matrix_at(&w->in[3], b->item), b->first, w->size),
               dq = rows_from(cotangent_of(w, 0, b->item), b->first, w->size), dk = cotangent_of(w, 1, b->item),
               dv = cotangent_of(w, 2, b->item), weights = {p, b->columns, 1}, scores = {d, b->columns, 1};
  weights_of(w, b, q, p);
  multiply(dtype, b->keys, s->out, b->queries, weights, g, dv, 1);
  scores_of(w, b, s->out, v, g, d);
  if (dtype == CR_FLOAT32) VERSION(through, float)((void *)p, (void *)d, b->keys, b->columns, (float)w->attr->scale);
  else VERSION(through, double)((void *)p, (void *)d, b->keys, b->columns, w->attr->scale);
  clear(dq, b->queries, s->width, w->size);
  multiply(dtype, b->queries, s->width, b->keys, turned(scores), k, dq, 1);
  multiply(dtype, b->keys, s->width, b->queries, scores, q, dk, 1);
}

static void pull(void *context, int64_t from, int64_t to) {
  work *w = context;
  char *p = cr__place_take(&w->places);
  for (int64_t item = from; item < to; item++) {
    clear(cotangent_of(w, 1, item), w->s.keys, w->s.width, w->size);
    clear(cotangent_of(w, 2, item), w->s.keys, w->s.out, w->size);
    for (int64_t first = 0; first < w->s.queries; first += QUERIES) {
      const block b = block_from(w, item, first);
      pull_block(w, &b, p);
    }
  }
  cr__place_back(&w->places, p);
}

cr_status cr__attention_pull_eval(cr_eval *c) {
  work w = {.s = shape_of(c->in)};
  int64_t tasks = w.s.keys ? w.s.items : 0;
  if (!prepare(c, &w, tasks, 2)) return CR_NO_MEMORY;
  if (!w.s.keys) memset(w.out, 0, (size_t)c->out->count * w.size);
  cr_parallel(c->tape, tasks, cr__places_grain(tasks), pull, &w);
  return CR_OK;
}
