/* largest_at(x): for each window the position in its plane of the largest element: the first at ties, or a NaN. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "places.h"
#include "windows.h"

/* largest_at(x): for each window the position in its plane of the largest element: the first at ties, or a NaN */

typedef cr__windows window_attr;

static const cr_field window_fields[] = {
  CR_FIELD(window_attr, adaptive, CR_FIELD_FLAG, "adaptive"),
  CR_LIST(window_attr, rank, kernel, "kernel"),
  CR_LIST(window_attr, rank, stride, "stride"),
  CR_LIST(window_attr, rank, padding, "padding"),
  CR_LIST(window_attr, rank, dilation, "dilation"),
  CR_LIST(window_attr, rank, out, "out"),
  {.name = NULL}};

/* The elements of window j along axis i that are in the input. */
typedef struct stretch {
  int64_t first, count, step;
} stretch;

static stretch stretch_of(const window_attr *a, int i, int64_t n, int64_t j) {
  if (a->adaptive) {
    int64_t first = j * n / a->out[i], end = ((j + 1) * n + a->out[i] - 1) / a->out[i];
    return (stretch){first, end - first, 1};
  }
  int64_t start = j * a->stride[i] - a->padding[i], step = a->dilation[i], skip = start < 0 ? (-start + step - 1) / step : 0;
  int64_t first = start + skip * step, most = a->kernel[i] - skip, room = first < n ? (n - 1 - first) / step + 1 : 0;
  return (stretch){first, most < room ? most : room, step};
}

static void window_show(char *text, size_t size, const void *attr) {
  const window_attr *a = attr;
  int at = a->adaptive ? snprintf(text, size, "adaptive") : 0;
  for (int64_t i = 0; i < a->rank && at >= 0 && (size_t)at < size; i++)
    at += a->adaptive ? snprintf(text + at, size - (size_t)at, " %lld", (long long)a->out[i])
                      : snprintf(text + at, size - (size_t)at, "%skernel %lld, stride %lld, padding %lld, dilation %lld",
                                 i ? "; " : "", (long long)a->kernel[i], (long long)a->stride[i], (long long)a->padding[i],
                                 (long long)a->dilation[i]);
}

static int largest_at_check(const cr_infer *c) {
  const window_attr *a = c->attr;
  const cr_array *x = &c->in[0];
  const int64_t most = (int64_t)1 << 31;
  bool fits = x->dtype >= CR_FLOAT32 && a->rank > 0 && a->rank <= CR_MAX_SPATIAL && a->rank <= x->rank;
  for (int i = 0; fits && i < a->rank; i++) {
    const int64_t n = x->dim[x->rank - a->rank + i];
    fits = n <= INT32_MAX && a->out[i] >= 0 && a->out[i] <= INT32_MAX && (!a->adaptive || !a->out[i] || n > 0);
    if (!fits || a->adaptive) continue;
    fits = a->kernel[i] > 0 && a->kernel[i] < most && a->stride[i] > 0 && a->stride[i] < most && a->dilation[i] > 0 &&
           a->dilation[i] < most && a->padding[i] >= 0 && a->padding[i] < most;
    /* The last window begins in the input. */
    fits = fits && (!a->out[i] || (a->out[i] - 1) * a->stride[i] - a->padding[i] < n);
  }
  return fits;
}

static cr_status largest_at_infer(cr_infer *c) {
  const window_attr *a = c->attr;
  const cr_array *x = &c->in[0];
  int64_t dims[CR_MAX_RANK], plane = cr__volume(x->dim + x->rank - a->rank, a->rank);
  memcpy(dims, x->dim, sizeof dims);
  for (int i = 0; i < a->rank; i++) {
    int64_t n = x->dim[x->rank - a->rank + i];
    dims[x->rank - a->rank + i] = a->out[i];
    /* Only windows that begin before the input can miss it, by dilation; equal parts miss an empty one. */
    for (int64_t j = 0; j < a->out[i] && (a->adaptive ? j < 1 : j * a->stride[i] < a->padding[i] || !n); j++)
      if (stretch_of(a, i, n, j).count < 1) {
        cr_fail(c->tape, CR_BAD_ARGUMENT, "window %lld of spatial axis %d, of size %lld, has no element of the input",
                (long long)j, i, (long long)n);
        return CR_BAD_ARGUMENT;
      }
  }
  if (plane > INT32_MAX) {
    cr_fail(c->tape, CR_OVER_LIMIT, "planes of %lld elements are too large", (long long)plane);
    return CR_OVER_LIMIT;
  }
  cr_array_init(c->out, CR_INT32, x->rank, dims);
  return CR_OK;
}

/* The windows of one line of results: which lines of the plane they see, and where the first of these begins. */
typedef struct band {
  stretch slow, fast;
  int64_t height, corner, n; /* n: length of a line */
} band;

static band band_of(const window_attr *a, const int64_t *dims, int64_t line) {
  const stretch one = {0, 1, 1};
  const int last = (int)a->rank - 1;
  band b = {one, one, a->rank > 2 ? dims[1] : 0, 0, dims[last]};
  if (a->rank > 2) b.slow = stretch_of(a, 0, dims[0], line / a->out[1]);
  if (a->rank > 1) b.fast = stretch_of(a, last - 1, dims[last - 1], a->rank > 2 ? line % a->out[1] : line);
  b.corner = (b.slow.first * b.height + b.fast.first) * b.n;
  return b;
}

/* Where the r-th of the lines begins that windows see. */
static int64_t line_of(const band *b, int64_t r) {
  return b->corner + (r / b->fast.count * b->slow.step * b->height + r % b->fast.count * b->fast.step) * b->n;
}

/* By elements, where windows differ or there is NaN: of a window with NaN the last one is taken. */
#define ONE_BY_ONE(T)                                                                                                 \
  static void windows_##T(const T *x, const band *b, int64_t width, const stretch *columns, int32_t *at) {            \
    for (int64_t j = 0; j < width; j++) {                                                                             \
      const stretch c = columns[j];                                                                                   \
      int32_t found = (int32_t)(b->corner + c.first);                                                                 \
      T best = -(T)INFINITY;                                                                                          \
      for (int64_t u = 0; u < b->slow.count; u++)                                                                     \
        for (int64_t v = 0; v < b->fast.count; v++) {                                                                 \
          int64_t from = b->corner + (u * b->slow.step * b->height + v * b->fast.step) * b->n + c.first;              \
          for (int64_t i = 0; i < c.count; i++, from += c.step)                                                       \
            if (x[from] > best || x[from] != x[from]) best = x[from], found = (int32_t)from;                          \
        }                                                                                                             \
      at[j] = found;                                                                                                  \
    }                                                                                                                 \
  }
ONE_BY_ONE(float)
ONE_BY_ONE(double)

struct search;
typedef void plane_rule(const struct search *s, const void *plane, void *best, int32_t *place, int32_t *at);
typedef struct search {
  const window_attr *a;
  size_t size;
  int64_t n, m, width, lines; /* numbers of a plane and of its results; these in lines */
  int64_t some, reach;    /* lines looked at together, and the columns that each sees; 0: too many */
  const char *x;
  int32_t *at;
  const band *bands;      /* of each line of results */
  const stretch *columns; /* of each of its windows */
  plane_rule *plane;
  cr__places places;      /* for the largest of the columns, and where they are */
} search;

/* First the largest of each column, then of those of a window the largest, of equal ones that which comes first. Without
 * branches on the numbers, which random ones would mislead. False if there is NaN. Outside the input best is -infinity, and
 * at what comes last. */
#define BY_COLUMNS(name, TARGET, T)                                                                                    \
  TARGET static bool columns_##name(const T *restrict x, const band *b, int64_t n, T *restrict best,                   \
                                    int32_t *restrict at) {                                                            \
    const int64_t rows = b->slow.count * b->fast.count;                                                                \
    const T *restrict first = x + line_of(b, 0), *restrict second = x + line_of(b, rows > 1);                          \
    const int32_t base = (int32_t)line_of(b, 0), gap = (int32_t)line_of(b, rows > 1) - base;                           \
    int nan = 0;                                                                                                       \
    for (int64_t i = 0; i < n; i++) {                                                                                  \
      const T most = first[i], next = second[i];                                                                       \
      at[i] = base + (int32_t)i + (gap & -(int32_t)(next > most));                                                     \
      best[i] = next > most ? next : most;                                                                             \
      nan |= (most != most) | (next != next);                                                                          \
    }                                                                                                                  \
    for (int64_t r = 2; r < rows; r++) {                                                                               \
      const T *restrict from = x + line_of(b, r);                                                                      \
      const int32_t here = (int32_t)line_of(b, r);                                                                     \
      for (int64_t i = 0; i < n; i++) {                                                                                \
        const T next = from[i], most = best[i];                                                                        \
        at[i] ^= (at[i] ^ (here + (int32_t)i)) & -(int32_t)(next > most);                                              \
        best[i] = next > most ? next : most;                                                                           \
        nan |= next != next;                                                                                           \
      }                                                                                                                \
    }                                                                                                                  \
    return !nan;                                                                                                       \
  }                                                                                                                    \
  TARGET static inline void across_##name(int64_t width, int64_t kernel, int64_t stride, int64_t step,                 \
                                          const T *restrict best, const int32_t *restrict at, int32_t *restrict out) { \
    for (int64_t j = 0; j < width; j++) {                                                                              \
      T most = best[j * stride];                                                                                       \
      int32_t found = at[j * stride];                                                                                  \
      for (int64_t i = 1; i < kernel; i++) {                                                                           \
        const T next = best[j * stride + i * step];                                                                    \
        const int32_t place = at[j * stride + i * step];                                                               \
        found ^= (found ^ place) & -(int32_t)((next > most) | ((next == most) & (place < found)));                     \
        most = next > most ? next : most;                                                                              \
      }                                                                                                                \
      out[j] = found;                                                                                                  \
    }                                                                                                                  \
  }                                                                                                                    \
  /* So many lines, whose windows lie side by side if they are several. */                                             \
  TARGET static bool lines_##name(const search *s, const T *x, const band *b, int64_t lines, T *best, int32_t *at,     \
                                  int32_t *out) {                                                                      \
    const int last = (int)s->a->rank - 1;                                                                              \
    const int64_t k = s->a->kernel[last], stride = s->a->stride[last], d = s->a->dilation[last];                       \
    const int64_t before = s->a->padding[last], n = s->reach - before < b->n ? s->reach - before : b->n;               \
    for (int64_t l = 0; l < lines; l++) {                                                                              \
      T *line = best + l * s->reach;                                                                                   \
      int32_t *place = at + l * s->reach;                                                                              \
      if (!columns_##name(x, b + l, n, line + before, place + before)) return false;                                   \
      for (int64_t i = 0; i < before; i++) line[i] = -(T)INFINITY, place[i] = INT32_MAX;                               \
      for (int64_t i = before + n; i < s->reach; i++) line[i] = -(T)INFINITY, place[i] = INT32_MAX;                    \
    }                                                                                                                  \
    if (k == 2 && stride == 2 && d == 1) across_##name(lines * s->width, 2, 2, 1, best, at, out);                      \
    else if (k == 3 && stride == 2 && d == 1) across_##name(lines * s->width, 3, 2, 1, best, at, out);                 \
    else across_##name(lines * s->width, k, stride, d, best, at, out);                                                 \
    return true;                                                                                                       \
  }                                                                                                                    \
  TARGET static void plane_##name(const search *s, const void *plane, void *best, int32_t *place, int32_t *at) {       \
    for (int64_t k = 0, n; k < s->lines; k += n, at += n * s->width) {                                                 \
      n = s->lines - k < s->some ? s->lines - k : s->some;                                                             \
      if (s->reach && lines_##name(s, plane, s->bands + k, n, best, place, at)) continue;                              \
      for (int64_t l = 0; l < n; l++) windows_##T(plane, s->bands + k + l, s->width, s->columns, at + l * s->width);   \
    }                                                                                                                  \
  }
BY_COLUMNS(float_any, , float)
BY_COLUMNS(double_any, , double)
#if defined(__x86_64__)
BY_COLUMNS(float_avx2, __attribute__((target("avx2"))), float)
BY_COLUMNS(double_avx2, __attribute__((target("avx2"))), double)
#endif

static plane_rule *rule_for(cr_dtype dtype) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) return dtype == CR_FLOAT32 ? plane_float_avx2 : plane_double_avx2;
#endif
  return dtype == CR_FLOAT32 ? plane_float_any : plane_double_any;
}

static void search_planes(void *context, int64_t from, int64_t to) {
  search *s = context;
  char *memory = cr__place_take(&s->places);
  int32_t *place = (int32_t *)(void *)(memory + (size_t)(s->some * s->reach) * s->size);
  for (int64_t k = from; k < to; k++)
    s->plane(s, s->x + (size_t)(k * s->n) * s->size, memory, place, s->at + k * s->m);
  cr__place_back(&s->places, memory);
}

/* What is the same for all planes. */
static bool look_ahead(cr_eval *c, search *s, const int64_t *dims) {
  enum { FAR = 4, NEAR = 1 << 11 }; /* lines that are mostly outside the input are not looked at as a whole */
  const window_attr *a = s->a;
  const int last = (int)a->rank - 1;
  band *bands = cr_scratch(c, (size_t)s->lines * sizeof *bands);
  stretch *columns = cr_scratch(c, (size_t)s->width * sizeof *columns);
  if (!bands || !columns) return false;
  for (int64_t k = 0; k < s->lines; k++) bands[k] = band_of(a, dims, k);
  for (int64_t j = 0; j < s->width; j++) columns[j] = stretch_of(a, last, dims[last], j);
  s->bands = bands, s->columns = columns;
  const int64_t window = (a->kernel[last] - 1) * a->dilation[last] + 1, stride = a->stride[last];
  s->some = 1;
  if (!a->adaptive) s->reach = window > stride ? (s->width - 1) * stride + window : s->width * stride;
  if (s->reach > FAR * dims[last]) s->reach = 0;
  else if (window <= stride && s->reach && s->reach < NEAR) s->some = NEAR / s->reach;
  return true;
}

static cr_status largest_at_eval(cr_eval *c) {
  const window_attr *a = c->attr;
  const int64_t *dims = c->in[0].dim + c->in[0].rank - a->rank;
  const cr_dtype dtype = (cr_dtype)c->in[0].dtype;
  search s = {.a = a, .size = cr_dtype_size(dtype), .n = cr__volume(dims, a->rank), .m = cr__volume(a->out, a->rank),
              .width = a->out[a->rank - 1], .lines = cr__volume(a->out, a->rank - 1), .at = c->out->data,
              .plane = rule_for(dtype)};
  if (!c->out->count) return CR_OK;
  int64_t n = c->out->count / s.m, grain = cr__some_planes(s.n + s.m), least = cr__places_grain(n);
  s.x = cr__dense(c, &c->in[0], dtype);
  if (!s.x || !look_ahead(c, &s, dims) ||
      !cr__places_room(c, &s.places, n, (size_t)(s.some * s.reach) * (s.size + sizeof *s.at)))
    return CR_NO_MEMORY;
  cr_parallel(c->tape, n, grain > least ? grain : least, search_planes, &s);
  return CR_OK;
}

const cr_op cr__largest_at_op = {.name = "largest_at",
                                    .check = largest_at_check,
                                    .arity = 1,
                                    .kind = CR_PIECEWISE_CONSTANT,
                                    .attr_size = sizeof(window_attr), .fields = window_fields,
                                    .infer = largest_at_infer,
                                    .eval = largest_at_eval,
                                    .show = window_show};

cr_var cr__largest_in(cr_var x, const window_attr *a, cr_var *index) {
  cr_var at = cr_record(x.tape, &cr__largest_at_op, 1, &x, a);
  if (index) *index = cr_is_poison(at) ? at : cr_cast(at, CR_INT64);
  return cr__take_of_planes(x, at, a->rank);
}
