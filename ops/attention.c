/* Scaled dot-product attention: softmax(scale q k^T) v over the last two axes. The fused kernels hold some rows of the
 * scores at a time and compute them again for the derivative (Dao et al. 2022), so that the scores never go to memory. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "flatmath.h"
#include "fused.h"
#include "gemm.h"
#include "matrix.h"
#include "patterns.h"
#include "places.h"

typedef struct attention_attr {
  double scale;
  int64_t causal; /* query t looks at keys 0 to t */
  int64_t packed; /* of the pull: its result is (batch, time, 3, heads, width), not a vector */
} attention_attr;

static const cr_field attention_fields[] = {
  CR_FIELD(attention_attr, scale, CR_FIELD_REAL, "scale"),
  CR_FIELD(attention_attr, causal, CR_FIELD_FLAG, "causal"),
  {.name = NULL}};
static const cr_field pull_fields[] = {
  CR_FIELD(attention_attr, scale, CR_FIELD_REAL, "scale"),
  CR_FIELD(attention_attr, causal, CR_FIELD_FLAG, "causal"),
  CR_FIELD(attention_attr, packed, CR_FIELD_FLAG, "packed"),
  {.name = NULL}};

static void attention_show(char *text, size_t size, const void *attr) {
  const attention_attr *a = attr;
  snprintf(text, size, "scale=%.17g%s%s", a->scale, a->causal ? ", is_causal=True" : "", a->packed ? ", packed=True" : "");
}

/* As a composition */

static cr_var look_back(cr_var scores) {
  cr_array a = cr_view(scores);
  if (cr_is_poison(scores)) return scores;
  cr_var all = cr_full(scores.tape, CR_BOOL, 2, a.dim + a.rank - 2, 1);
  return cr_where(cr_tril(all, 0), scores, cr_const(scores.tape, -(double)INFINITY));
}

static cr_var scores_of(cr_var q, cr_var k, const attention_attr *a) {
  cr_var s = cr__scale(cr_matmul(q, cr_matrix_transpose(k)), a->scale);
  return a->causal ? look_back(s) : s;
}

static cr_var composed(int n, const cr_var *in, const void *attr) {
  (void)n;
  return cr_matmul(cr_safe_softmax(scores_of(in[0], in[1], attr), -1), in[2]);
}

/* The kernels. Rows of scores at a time: few enough to stay in the cache. */

enum { ROWS = 32, LANES = 16 };

/* x becomes the softmax of scale x over its first n of m elements; the others become 0. The sum runs in lanes. */
#define SOFTMAX(name, TARGET, T, EXP)                                           \
  TARGET static void softmax_##name(T *x, int64_t n, int64_t m, T scale) {      \
    T top[LANES], last[LANES], sum[LANES] = {0};                                \
    for (int l = 0; l < LANES; l++) top[l] = -(T)INFINITY;                      \
    int64_t whole = n - n % LANES;                                              \
    for (int64_t i = 0; i < whole; i += LANES)                                  \
      for (int l = 0; l < LANES; l++) {                                         \
        x[i + l] *= scale;                                                      \
        top[l] = x[i + l] > top[l] ? x[i + l] : top[l];                         \
      }                                                                         \
    for (int64_t i = whole; i < n; i++) {                                       \
      x[i] *= scale;                                                            \
      if (x[i] > top[0]) top[0] = x[i];                                         \
    }                                                                           \
    for (int l = 1; l < LANES; l++)                                             \
      if (top[l] > top[0]) top[0] = top[l];                                     \
    const T most = top[0] == -(T)INFINITY ? 0 : top[0];                         \
    for (int64_t i = 0; i < whole; i += LANES)                                  \
      for (int l = 0; l < LANES; l++) {                                         \
        x[i + l] = EXP(x[i + l] - most);                                        \
        sum[l] += x[i + l];                                                     \
      }                                                                         \
    if (whole < n) {                                                            \
      for (int l = 0; l < LANES; l++) last[l] = whole + l < n ? x[whole + l] - most : -(T)INFINITY; \
      for (int l = 0; l < LANES; l++) last[l] = EXP(last[l]);                   \
      for (int64_t i = whole; i < n; i++) sum[i - whole] += x[i] = last[i - whole]; \
    }                                                                           \
    for (int w = LANES / 2; w; w /= 2)                                          \
      for (int l = 0; l < w; l++) sum[l] += sum[l + w];                         \
    const T factor = sum[0] == 0 ? 0 : 1 / sum[0];                              \
    for (int64_t i = 0; i < n; i++) x[i] *= factor;                             \
    for (int64_t i = n; i < m; i++) x[i] = 0;                                   \
  }                                                                             \
  /* d becomes scale p (d - sum(p d)): the cotangent of the products from that of the softmax p. */ \
  TARGET static void through_softmax_##name(const T *p, T *d, int64_t n, T scale) { \
    T sum[LANES] = {0};                                                         \
    int64_t whole = n - n % LANES;                                              \
    for (int64_t i = 0; i < whole; i += LANES)                                  \
      for (int l = 0; l < LANES; l++) sum[l] += p[i + l] * d[i + l];            \
    for (int64_t i = whole; i < n; i++) sum[i - whole] += p[i] * d[i];          \
    for (int w = LANES / 2; w; w /= 2)                                          \
      for (int l = 0; l < w; l++) sum[l] += sum[l + w];                         \
    for (int64_t i = 0; i < n; i++) d[i] = scale * (p[i] * (d[i] - sum[0]));    \
  }
SOFTMAX(float, , float, flat_expf)
SOFTMAX(wide_float, CR__WIDE, float, flat_expf)
SOFTMAX(widest_float, CR__WIDEST, float, flat_expf)
SOFTMAX(double, , double, flat_exp)
SOFTMAX(wide_double, CR__WIDE, double, flat_exp)
SOFTMAX(widest_double, CR__WIDEST, double, flat_exp)

#define VERSION(f, T, version) ((version) == 2 ? f##_widest_##T : (version) == 1 ? f##_wide_##T : f##_##T)

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
  const attention_attr *attr;
  shape s;
  cr__batch in[4];
  char *out;
  cr__places places;
} work;

/* Rows first to before last of softmax(scale q k^T), over the keys that any of them looks at. How many keys. */
static int64_t weights_of(const work *w, matrix q, matrix k, int64_t first, int64_t last, void *p) {
  const attention_attr *a = w->attr;
  int64_t seen = a->causal && last < w->s.keys ? last : w->s.keys;
  int version = cr__version();
  multiply(w->dtype, last - first, seen, w->s.width, rows_from(q, first, w->size), turned(k), (matrix){p, seen, 1}, 0);
  for (int64_t i = first; i < last; i++) {
    int64_t own = a->causal && i + 1 < seen ? i + 1 : seen, at = (i - first) * seen;
    if (w->dtype == CR_FLOAT32) VERSION(softmax, float, version)((float *)p + at, own, seen, (float)a->scale);
    else VERSION(softmax, double, version)((double *)p + at, own, seen, a->scale);
  }
  return seen;
}

/* Blocks of rows of all items. */
static void attend_rows(void *context, int64_t from, int64_t to) {
  work *w = context;
  const shape *s = &w->s;
  char *p = cr__place_take(&w->places);
  int64_t blocks = (s->queries + ROWS - 1) / ROWS;
  for (int64_t task = from; task < to; task++) {
    int64_t item = task / blocks, first = task % blocks * ROWS, last = first + ROWS < s->queries ? first + ROWS : s->queries;
    int64_t seen = weights_of(w, matrix_at(&w->in[0], item), matrix_at(&w->in[1], item), first, last, p);
    multiply(w->dtype, last - first, s->out, seen, (matrix){p, seen, 1}, matrix_at(&w->in[2], item),
             (matrix){w->out + (size_t)((item * s->queries + first) * s->out) * w->size, s->out, 1}, 0);
  }
  cr__place_back(&w->places, p);
}

/* Room for blocks of scores, one or two for each body. */
static bool prepare(cr_eval *c, work *w, int64_t tasks, size_t blocks) {
  w->dtype = (cr_dtype)c->out->dtype;
  w->size = cr_dtype_size(w->dtype);
  w->attr = c->attr;
  w->out = c->out->data;
  for (int j = 0; j < c->n; j++) w->in[j] = cr__batch_of(&c->in[j]);
  return cr__places_room(c, &w->places, tasks, blocks * (size_t)(ROWS * w->s.keys) * w->size);
}

static cr_status attention_eval(cr_eval *c) {
  work w = {.s = shape_of(c->in)};
  int64_t tasks = w.s.keys ? w.s.items * ((w.s.queries + ROWS - 1) / ROWS) : 0;
  if (!prepare(c, &w, tasks, 1)) return CR_NO_MEMORY;
  if (!w.s.keys) memset(w.out, 0, (size_t)c->out->count * w.size);
  cr_parallel(c->tape, tasks, cr__places_grain(tasks), attend_rows, &w);
  return CR_OK;
}

/* attention_pull(q, k, v, g): the cotangents of q, k, v, one after the other in a vector; packed, as where they are parts of
 * one projection. They are sums that begin at 0, so no element is -0. */

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

static void pull_block(const work *w, int64_t item, int64_t first, int64_t last, char *p) {
  const shape *s = &w->s;
  size_t size = w->size;
  matrix q = matrix_at(&w->in[0], item), k = matrix_at(&w->in[1], item);
  matrix g = rows_from(matrix_at(&w->in[3], item), first, size);
  char *d = p + (size_t)(ROWS * s->keys) * size;
  matrix dq = rows_from(cotangent_of(w, 0, item), first, size), dk = cotangent_of(w, 1, item), dv = cotangent_of(w, 2, item);
  int64_t rows = last - first, seen = weights_of(w, q, k, first, last, p);
  int version = cr__version();
  multiply(w->dtype, seen, s->out, rows, turned((matrix){p, seen, 1}), g, dv, 1);
  multiply(w->dtype, rows, seen, s->out, g, turned(matrix_at(&w->in[2], item)), (matrix){d, seen, 1}, 0);
  for (int64_t at = 0; at < rows * seen; at += seen)
    if (w->dtype == CR_FLOAT32)
      VERSION(through_softmax, float, version)
      ((const float *)(const void *)p + at, (float *)(void *)d + at, seen, (float)w->attr->scale);
    else
      VERSION(through_softmax, double, version)
      ((const double *)(const void *)p + at, (double *)(void *)d + at, seen, w->attr->scale);
  multiply(w->dtype, rows, s->width, seen, (matrix){d, seen, 1}, k, dq, 1);
  multiply(w->dtype, seen, s->width, rows, turned((matrix){d, seen, 1}), rows_from(q, first, size), dk, 1);
}

static void pull_items(void *context, int64_t from, int64_t to) {
  work *w = context;
  char *p = cr__place_take(&w->places);
  for (int64_t item = from; item < to; item++)
    for (int64_t first = 0; first < w->s.queries; first += ROWS)
      pull_block(w, item, first, first + ROWS < w->s.queries ? first + ROWS : w->s.queries, p);
  cr__place_back(&w->places, p);
}

static cr_status attention_pull_eval(cr_eval *c) {
  work w = {.s = shape_of(c->in)};
  int64_t tasks = w.s.keys ? w.s.items : 0;
  if (!prepare(c, &w, tasks, 2)) return CR_NO_MEMORY;
  memset(w.out, 0, (size_t)c->out->count * w.size);
  cr_parallel(c->tape, tasks, cr__places_grain(tasks), pull_items, &w);
  return CR_OK;
}

/* Shapes and rules */

static cr_status attention_prepare(cr_tape *t, int n, cr_var *in) { return cr__prepare_matrices(t, n, in, 'f', 2); }

static cr_status attention_infer(cr_infer *c) {
  const cr_array *q = &c->in[0], *k = &c->in[1], *v = &c->in[2];
  int64_t dims[CR_MAX_RANK];
  int r = q->rank;
  if (q->dim[r - 1] != k->dim[r - 1] || k->dim[r - 2] != v->dim[r - 2]) {
    char one[200], two[200], three[200];
    cr_fail(c->tape, CR_BAD_SHAPE, "query %s, key %s and value %s: query and key need one width, key and value one length",
            cr_shape_text(q, one, sizeof one), cr_shape_text(k, two, sizeof two), cr_shape_text(v, three, sizeof three));
    return CR_BAD_SHAPE;
  }
  memcpy(dims, q->dim, sizeof dims);
  dims[r - 1] = v->dim[r - 1];
  cr_array_init(c->out, (cr_dtype)q->dtype, r, dims);
  return CR_OK;
}

/* Query, key and value of one batch; of the pull, the cotangent of the result too. */
static int attention_check(const cr_infer *c) {
  const int r = c->in[0].rank;
  if (!cr__check_floats(c) || r < 2) return 0;
  for (int k = 1; k < c->n; k++) {
    if (c->in[k].rank != r) return 0;
    for (int i = 0; i < r - 2; i++)
      if (c->in[k].dim[i] != c->in[0].dim[i]) return 0;
  }
  return c->in[0].dim[r - 1] == c->in[1].dim[r - 1] && c->in[1].dim[r - 2] == c->in[2].dim[r - 2] &&
         (c->n < 4 || (c->in[3].dim[r - 2] == c->in[0].dim[r - 2] && c->in[3].dim[r - 1] == c->in[2].dim[r - 1]));
}

static cr_status attention_pull_infer(cr_infer *c) {
  const cr_array *q = &c->in[0];
  if (((const attention_attr *)c->attr)->packed) {
    cr_array_init(c->out, (cr_dtype)q->dtype, 5, (int64_t[]){q->dim[0], q->dim[2], 3, q->dim[1], q->dim[3]});
    return CR_OK;
  }
  int64_t n = c->in[0].count + c->in[1].count + c->in[2].count;
  cr_array_init(c->out, (cr_dtype)c->in[0].dtype, 1, &n);
  return CR_OK;
}

static cr_var composed_pull(int n, const cr_var *in, const void *attr) {
  cr_var d[3];
  (void)n;
  if (!cr__composed_pull(3, in, attr, composed, d)) return cr_poison(in[0].tape);
  if (((const attention_attr *)attr)->packed) {
    for (int k = 0; k < 3; k++) d[k] = cr_permute(d[k], 4, (int[]){0, 2, 1, 3});
    return cr_stack(3, d, 2);
  }
  for (int k = 0; k < 3; k++) d[k] = cr_flatten(d[k], 0, -1);
  return cr_concatenate(3, d, 0);
}

static int attention_pull_check(const cr_infer *c) {
  const attention_attr *a = c->attr;
  bool same = c->n == 4 && attention_check(c);
  for (int k = 0; k < 3 && same && a->packed; k++) {
    same = c->in[k].rank == 4;
    for (int i = 0; i < 4 && same; i++) same = c->in[k].dim[i] == c->in[0].dim[i];
  }
  return same;
}

static void attention_pull_vjp(cr_vjp_rule *c) { cr__composed_vjp(c, composed_pull); }
static cr_var attention_pull_jvp(cr_jvp_rule *c) { return cr__composed_jvp(c, composed_pull); }
static const cr_op attention_pull_op = {
  .name = "attention_pull", .arity = CR_VARIADIC, .attr_size = sizeof(attention_attr), .fields = pull_fields,
  .check = attention_pull_check,
  .infer = attention_pull_infer,
  .eval = attention_pull_eval, .vjp = attention_pull_vjp, .jvp = attention_pull_jvp, .show = attention_show,
  .rule = "as of the composition of products and softmax"};

/* Part k is operand k's cotangent in a pull's result, turned to (batch, time, 1, heads, width). */
static bool is_cotangent(cr_var pull, int k, cr_var part) {
  cr_array a = cr_view(part), all = cr_view(pull), q = cr_view(cr_operand(pull, k)), first = cr_view(cr_operand(pull, 0));
  const int64_t size = (int64_t)cr_dtype_size((cr_dtype)a.dtype);
  if (a.rank != 5 || q.rank != 4 || (char *)a.data != (char *)all.data + k * q.count * size) return false;
  const int64_t h = q.dim[1], t = q.dim[2], d = q.dim[3], dim[] = {q.dim[0], t, 1, h, d},
                stride[] = {h * t * d, d, 0, t * d, 1};
  bool same = true;
  for (int i = 0; i < 4; i++) same = same && q.dim[i] == first.dim[i];
  for (int i = 0; i < 5; i++) same = same && a.dim[i] == dim[i] && (dim[i] == 1 || a.stride[i] == stride[i]);
  return same;
}

cr_var cr__packed_cotangents(const cr_var *part) {
  cr_var pull = part[0], no = cr_poison(part[0].tape);
  while (cr_op_of(pull) && cr_op_of(pull) != &attention_pull_op && cr_view(pull).data == cr_view(part[0]).data)
    pull = cr_operand(pull, 0);
  if (cr_op_of(pull) != &attention_pull_op) return no;
  for (int k = 0; k < 3; k++)
    if (!is_cotangent(pull, k, part[k])) return no;
  attention_attr a = *(const attention_attr *)cr_attributes(pull);
  cr_var in[4];
  for (int k = 0; k < 4; k++) in[k] = cr_operand(pull, k);
  a.packed = 1;
  return cr_record(pull.tape, &attention_pull_op, 4, in, &a);
}

static void attention_vjp(cr_vjp_rule *c) {
  cr_var all = cr_record(c->tape, &attention_pull_op, 4, (cr_var[]){c->in[0], c->in[1], c->in[2], c->g}, c->attr);
  int64_t at = 0;
  for (int k = 0; k < 3; k++) {
    cr_array a = cr_view(c->in[k]);
    if (c->wanted[k]) c->d[k] = cr_reshape(cr_slice_axis(all, 0, at, at + a.count, 1), a.rank, a.dim);
    at += a.count;
  }
}
static cr_var attention_jvp(cr_jvp_rule *c) { return cr__composed_jvp(c, composed); }
static const cr_op attention_op = {
    .name = "attention", .check = attention_check,
    .arity = 3,
    .attr_size = sizeof(attention_attr), .fields = attention_fields,
    .prepare = attention_prepare,
    .infer = attention_infer,
    .eval = attention_eval,
    .vjp = attention_vjp,
    .jvp = attention_jvp,
    .show = attention_show,
    .latex = "\\operatorname{attention}\\left(%a, %b, %c\\right)",
    .rule =
        "with p = softmax(scale q k^T): p^T g to v; ds = p (g v^T - sum(p g v^T)), scale ds k to q and scale ds^T q to k"};

/* With a mask or dropout: a composition. */
static cr_var masked(const cr_var *in, cr_var mask, double p, uint64_t seed, const attention_attr *a) {
  cr_var s = scores_of(in[0], in[1], a);
  if (!cr_absent(mask))
    s = cr_dtype_of(mask) == CR_BOOL ? cr_where(mask, s, cr_const(s.tape, -(double)INFINITY)) : cr_add(s, mask);
  return cr_matmul(cr_dropout(cr_safe_softmax(s, -1), p, 1, seed), in[2]);
}

static cr_var attend(cr_var q, cr_var k, cr_var v, cr_var mask, double p, uint64_t seed, attention_attr a) {
  cr_var in[3] = {q, k, v};
  if (cr_is_poison(q) || cr_is_poison(k) || cr_is_poison(v)) return cr_poison(q.tape);
  for (int j = 0; j < 3; j++)
    if (cr_rank(in[j]) < 2 || cr_dtype_of(in[j]) < CR_FLOAT32)
      return cr_fail(q.tape, CR_BAD_SHAPE,
                     "attention: query, key and value are float tensors of rank 2 or more, not %s of rank %d",
                     cr_dtype_name(cr_dtype_of(in[j])), cr_rank(in[j]));
  if (a.scale == 0) a.scale = cr_dim(q, -1) ? 1 / sqrt((double)cr_dim(q, -1)) : 1;
  return cr_absent(mask) && p == 0 ? cr_record(q.tape, &attention_op, 3, in, &a) : masked(in, mask, p, seed, &a);
}

cr_var cr_attend(cr_var query, cr_var key, cr_var value, cr_var mask, double scale, int causal) {
  return attend(query, key, value, mask, 0, 0, (attention_attr){scale, causal != 0, 0});
}

/* Rotary position embedding (Su et al. 2021): positions turn the pairs (j, j + width / 2) by angles that fall with j. */
cr_var cr_rope(cr_var x, double base, int64_t offset) {
  cr_array a = cr_view(x);
  if (cr_is_poison(x)) return x;
  if (a.rank < 2 || a.dim[a.rank - 1] % 2 || a.dtype < CR_FLOAT32 || !(base > 0))
    return cr_fail(x.tape, CR_BAD_SHAPE,
                   "rope: a float tensor (..., time, even width) and a positive base are needed; width %lld, base %g",
                   (long long)(a.rank ? a.dim[a.rank - 1] : 1), base);
  int64_t half = a.dim[a.rank - 1] / 2, dims[2] = {a.dim[a.rank - 2], half};
  cr_var c = cr_constant_of(x.tape, (cr_dtype)a.dtype, 2, dims, NULL),
         s = cr_constant_of(x.tape, (cr_dtype)a.dtype, 2, dims, NULL);
  if (cr_is_poison(c) || cr_is_poison(s)) return cr_poison(x.tape);
  cr_array cosines = cr_view(c), sines = cr_view(s);
  for (int64_t k = 0; k < cosines.count; k++) {
    double angle = (double)(k / half + offset) * pow(base, -(double)(k % half) / (double)half);
    cr_array_set(&cosines, k, cos(angle));
    cr_array_set(&sines, k, sin(angle));
  }
  cr_var u = cr_slice_axis(x, -1, 0, half, 1), v = cr_slice_axis(x, -1, half, 2 * half, 1);
  cr_var turned_pair[2] = {cr_sub(cr_mul(u, c), cr_mul(v, s)), cr_add(cr_mul(v, c), cr_mul(u, s))};
  return cr_concatenate(2, turned_pair, -1);
}

/* Names in the expression language */

static void call_attention(cr_call *c) {
  cr_var q = cr_arg_var(c, 0), k = cr_arg_var(c, 1), v = cr_arg_var(c, 2);
  cr_var mask = cr_arg_given(c, 3) ? cr_arg_var(c, 3) : cr_poison(cr_call_tape(c));
  attention_attr a = {0, cr_arg_bool(c, 5), 0};
  if (cr_arg_given(c, 6)) a.scale = cr_arg_number(c, 6);
  cr_return(c, attend(q, k, v, mask, cr_arg_number(c, 4), (uint64_t)cr_arg_int(c, 7), a));
}
static void call_rope(cr_call *c) { cr_return(c, cr_rope(cr_arg_var(c, 0), cr_arg_number(c, 1), cr_arg_int(c, 2))); }

static const cr_op *const recorded[] = {&attention_op, &attention_pull_op, NULL};

const cr_function cr__attention_functions[] = {
    {.ops = recorded,
     .signature = "scaled_dot_product_attention(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, "
                  "scale=None, *, seed=0)",
     .call = call_attention,
     .family = "attention",
     .doc = "softmax(scale query key^T) value over the last two axes, scale 1 / sqrt(width) if None. attn_mask: bools, true "
            "where a "
            "query may look, or numbers added to the scores; is_causal: at no later key. A row that may look nowhere is 0.",
     .derivative =
         "with p = softmax(scale q k^T): p^T g to v; ds = p (g v^T - sum(p g v^T)), scale ds k to q and scale ds^T q to k",
     .samples = "scaled_dot_product_attention(q:(3,2), k:(4,2), v:(4,3)); "
                "scaled_dot_product_attention(q:(2,1,3,2), k:(2,2,3,2), v:(1,1,3,1), is_causal=True, scale=0.3); "
                "scaled_dot_product_attention(q:(2,2), k:(3,2), v:(3,2), m:(2,3)?); "
                "scaled_dot_product_attention(q:(2,2), k:(3,2), v:(3,2), m:(2,3)); "
                "scaled_dot_product_attention(q:(2,2), k:(3,2), v:(3,2), dropout_p=0.4, seed=3); "
                "scaled_dot_product_attention(x:(3,2), x, x, is_causal=True)"},
    {.signature = "rope(input, base=10000.0, offset=0)",
     .call = call_rope,
     .family = "attention",
     .doc = "Rotary position embedding of (..., time, width): elements j and j + width / 2 are turned together by the angle "
            "(t + offset) base^(-2 j / width).",
     .derivative = "the cotangent turned back",
     .samples = "rope(x:(3,4)); rope(x:(2,3,2), 100.0, 5)"},
    {.signature = NULL}};
