/* Pooling. The largest element of a window is first found, as its position in the plane (the spatial axes of one channel),
 * then taken: what is differentiated is the taking, and its transpose, which is taking's own inverse. Means are
 * convolutions. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "windows.h"

static int64_t product(const int64_t *dims, int64_t n) {
  int64_t all = 1;
  for (int64_t i = 0; i < n; i++) all *= dims[i];
  return all;
}

/* plane_take(x, index): out[.., p] = x[.., index[.., p]], the plane flat; plane_add(g, index): its transpose */

typedef struct plane_attr {
  int64_t rank, dim[CR_MAX_SPATIAL];
} plane_attr;

static const cr_field plane_fields[] = {
  CR_LIST(plane_attr, rank, dim, "plane"),
  {.name = NULL}};

static void plane_show(char *text, size_t size, const void *attr) {
  const plane_attr *a = attr;
  cr_array plane;
  char shape[200];
  cr_array_init(&plane, CR_FLOAT64, (int)a->rank, a->dim);
  snprintf(text, size, "plane=%s", cr_shape_text(&plane, shape, sizeof shape));
}

static cr_status plane_take_infer(cr_infer *c) {
  cr_array_init(c->out, (cr_dtype)c->in[0].dtype, c->in[1].rank, c->in[1].dim);
  return CR_OK;
}
static cr_status plane_add_infer(cr_infer *c) {
  const plane_attr *a = c->attr;
  int64_t dims[CR_MAX_RANK];
  memcpy(dims, c->in[0].dim, sizeof dims);
  memcpy(dims + c->in[0].rank - a->rank, a->dim, (size_t)a->rank * sizeof *dims);
  cr_array_init(c->out, (cr_dtype)c->in[0].dtype, c->in[0].rank, dims);
  return CR_OK;
}

#define PLANES(T)                                                                                         \
  static void take_##T(int64_t planes, int64_t n, int64_t m, const T *x, const int32_t *at, T *out) {     \
    for (; planes; planes--, x += n, at += m, out += m)                                                   \
      for (int64_t k = 0; k < m; k++) out[k] = x[at[k]];                                                  \
  }                                                                                                       \
  static void add_##T(int64_t planes, int64_t n, int64_t m, const T *g, const int32_t *at, T *out) {      \
    memset(out, 0, (size_t)(planes * n) * sizeof(T));                                                     \
    for (; planes; planes--, out += n, at += m, g += m)                                                   \
      for (int64_t k = 0; k < m; k++) out[at[k]] += g[k];                                                 \
  }
PLANES(float)
PLANES(double)

typedef struct planes {
  cr_dtype dtype;
  bool take;
  int64_t n, m;            /* elements of a plane, and of its part of the index */
  const char *x;
  const int32_t *at;
  char *out;
} planes;

static void move_planes(void *context, int64_t from, int64_t to) {
  const planes *p = context;
  int64_t size = (int64_t)cr_dtype_size(p->dtype), in = p->take ? p->n : p->m, out = p->take ? p->m : p->n;
  const void *x = p->x + from * in * size;
  void *y = p->out + from * out * size;
  if (p->dtype == CR_FLOAT32) (p->take ? take_float : add_float)(to - from, p->n, p->m, x, p->at + from * p->m, y);
  else (p->take ? take_double : add_double)(to - from, p->n, p->m, x, p->at + from * p->m, y);
}

/* Planes for one thread at a time. */
static int64_t some_planes(int64_t elements) { return 1 + (1 << 14) / (elements + 1); }

static bool are_inside(const int32_t *at, int64_t count, int64_t n) {
  int32_t low = 0, high = 0;
  for (int64_t k = 0; k < count; k++) {
    low = at[k] < low ? at[k] : low;
    high = at[k] > high ? at[k] : high;
  }
  return !count || (low >= 0 && high < n);
}

static cr_status plane_eval(cr_eval *c, bool take) {
  const plane_attr *a = c->attr;
  planes p = {.dtype = (cr_dtype)c->out->dtype, .take = take, .n = product(a->dim, a->rank), .out = c->out->data};
  p.m = product(c->in[1].dim + c->in[1].rank - a->rank, a->rank);
  p.x = cr__dense(c, &c->in[0], p.dtype);
  p.at = cr__dense(c, &c->in[1], CR_INT32);
  if (!p.x || !p.at) return CR_NO_MEMORY;
  if (!are_inside(p.at, c->in[1].count, p.n)) {
    cr_fail(c->tape, CR_BAD_INDEX, "a position outside the plane, of %lld elements", (long long)p.n);
    return CR_BAD_INDEX;
  }
  cr_parallel(c->tape, p.m ? c->in[1].count / p.m : 0, some_planes(p.n + p.m), move_planes, &p);
  return CR_OK;
}
static cr_status plane_take_eval(cr_eval *c) { return plane_eval(c, true); }
static cr_status plane_add_eval(cr_eval *c) { return plane_eval(c, false); }

/* A float x and positions with the same leading axes; x's own others are the plane where that is taken from. */
static bool planes_check(const cr_infer *c, bool take) {
  const plane_attr *a = c->attr;
  const cr_array *x = &c->in[0], *at = &c->in[1];
  bool fits = x->dtype >= CR_FLOAT32 && at->dtype == CR_INT32 && a->rank > 0 && a->rank <= CR_MAX_SPATIAL &&
              a->rank <= x->rank && x->rank == at->rank;
  int64_t n = 1;
  for (int i = 0; fits && i < a->rank; i++) {
    fits = a->dim[i] >= 0 && a->dim[i] <= INT32_MAX && (!a->dim[i] || n <= INT32_MAX / a->dim[i]);
    n *= a->dim[i];
  }
  for (int i = 0; fits && i < x->rank; i++) {
    const int axis = i - (x->rank - (int)a->rank);
    fits = x->dim[i] == (axis >= 0 && take ? a->dim[axis] : at->dim[i]);
  }
  return fits;
}
static int plane_take_check(const cr_infer *c) { return planes_check(c, true); }
static int plane_add_check(const cr_infer *c) { return planes_check(c, false); }

/* By the index where it is fixed, else on whole planes. */
static bool planes_depend(cr_depend *c) {
  const plane_attr *a = c->attr;
  int axis[CR_MAX_RANK];
  for (int i = 0; i < c->in[0].rank; i++) axis[i] = i < c->in[0].rank - a->rank ? i : -1;
  if (!cr_depend_moves(c, 1)) return false;
  cr_depend_along(c, 0, axis);
  return true;
}
static void plane_take_depend(cr_depend *c) {
  if (!planes_depend(c)) cr_depend_selection(c);
}
static void plane_add_depend(cr_depend *c) {
  const plane_attr *a = c->attr;
  int64_t n = 1, m = 1;
  if (planes_depend(c)) return;
  for (int i = 0; i < a->rank; i++) n *= a->dim[i], m *= c->in[0].dim[c->in[0].rank - a->rank + i];
  for (int64_t k = 0; k < c->in[0].count; k++) cr_depend_on(c, k / m * n + cr_array_get_int(&c->in[1], k), 0, k);
}

static void plane_take_vjp(cr_vjp_rule *c);
static void plane_add_vjp(cr_vjp_rule *c);
static const cr_op plane_take_op = {
  .name = "plane_take", .check = plane_take_check, .arity = 2, .kind = CR_LINEAR, .attr_size = sizeof(plane_attr),
  .fields = plane_fields,
  .infer = plane_take_infer,
  .eval = plane_take_eval, .depend = plane_take_depend, .vjp = plane_take_vjp, .show = plane_show, .latex = "%a_{[%b]}",
  .rule = "the cotangent added where the element came from"};
static const cr_op plane_add_op = {
  .name = "plane_add", .check = plane_add_check, .arity = 2, .kind = CR_LINEAR, .attr_size = sizeof(plane_attr),
  .fields = plane_fields, .infer = plane_add_infer,
  .eval = plane_add_eval, .depend = plane_add_depend, .vjp = plane_add_vjp, .show = plane_show,
  .rule = "the cotangent at the positions"};

static void plane_take_vjp(cr_vjp_rule *c) {
  c->d[0] = cr_record(c->tape, &plane_add_op, 2, (cr_var[]){c->g, c->in[1]}, c->attr);
}
static void plane_add_vjp(cr_vjp_rule *c) {
  c->d[0] = cr_record(c->tape, &plane_take_op, 2, (cr_var[]){c->g, c->in[1]}, c->attr);
}

/* largest_at(x): for each window the position in its plane of the largest element: the first at ties, or a NaN */

typedef struct window_attr {
  int64_t rank, adaptive; /* adaptive: equal parts of the input, which may overlap by one element */
  int64_t kernel[CR_MAX_SPATIAL], stride[CR_MAX_SPATIAL], padding[CR_MAX_SPATIAL], dilation[CR_MAX_SPATIAL],
      out[CR_MAX_SPATIAL];
} window_attr;

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
  int64_t dims[CR_MAX_RANK], plane = product(x->dim + x->rank - a->rank, a->rank);
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

/* The windows of a plane, one after the other; columns: what each of a line takes of the last axis. Without branches on the
 * numbers, which random ones would mislead; of a window with NaN the last one is taken. */
#define BEST(T)                                                                                                             \
  static int32_t last_nan_##T(const T *x, stretch p, stretch q, stretch c, int64_t corner, int64_t height, int64_t n) {     \
    int32_t found = 0;                                                                                                      \
    for (int64_t u = 0; u < p.count; u++)                                                                                   \
      for (int64_t v = 0; v < q.count; v++)                                                                                 \
        for (int64_t i = 0; i < c.count; i++) {                                                                             \
          int64_t at = corner + (u * p.step * height + v * q.step) * n + c.first + i * c.step;                              \
          if (x[at] != x[at]) found = (int32_t)at;                                                                          \
        }                                                                                                                   \
    return found;                                                                                                           \
  }                                                                                                                         \
  static void plane_##T(const window_attr *a, const int64_t *dims, const T *x, const stretch *columns, int32_t *at) {       \
    const int64_t *out = a->out, width = out[a->rank - 1], lines = product(out, a->rank - 1), n = dims[a->rank - 1];        \
    const stretch one = {0, 1, 1};                                                                                          \
    for (int64_t k = 0; k < lines; k++, at += width) {                                                                      \
      stretch p = a->rank > 2 ? stretch_of(a, 0, dims[0], k / out[1]) : one;                                                \
      stretch q = a->rank > 1 ? stretch_of(a, (int)a->rank - 2, dims[a->rank - 2], a->rank > 2 ? k % out[1] : k) : one;     \
      int64_t height = a->rank > 2 ? dims[1] : 0, corner = (p.first * height + q.first) * n;                                \
      for (int64_t j = 0; j < width; j++) {                                                                                 \
        const stretch c = columns[j];                                                                                       \
        int32_t found = (int32_t)(corner + c.first);                                                                        \
        int nan = 0;                                                                                                        \
        T best = -(T)INFINITY;                                                                                              \
        for (int64_t u = 0; u < p.count; u++)                                                                               \
          for (int64_t v = 0; v < q.count; v++) {                                                                           \
            int64_t from = corner + (u * p.step * height + v * q.step) * n + c.first;                                       \
            for (int64_t i = 0; i < c.count; i++, from += c.step) {                                                         \
              const T next = x[from];                                                                                       \
              found ^= (found ^ (int32_t)from) & -(int32_t)(next > best);                                                   \
              best = next > best ? next : best;                                                                             \
              nan |= next != next;                                                                                          \
            }                                                                                                               \
          }                                                                                                                 \
        at[j] = nan ? last_nan_##T(x, p, q, c, corner, height, n) : found;                                                  \
      }                                                                                                                     \
    }                                                                                                                       \
  }
BEST(float)
BEST(double)

typedef struct search {
  const window_attr *a;
  cr_dtype dtype;
  const int64_t *dims;
  int64_t n, m;
  const char *x;
  int32_t *at;
  const stretch *columns;
} search;

static void search_planes(void *context, int64_t from, int64_t to) {
  const search *s = context;
  for (int64_t k = from; k < to; k++)
    if (s->dtype == CR_FLOAT32)
      plane_float(s->a, s->dims, (const float *)(const void *)s->x + k * s->n, s->columns, s->at + k * s->m);
    else
      plane_double(s->a, s->dims, (const double *)(const void *)s->x + k * s->n, s->columns, s->at + k * s->m);
}

static cr_status largest_at_eval(cr_eval *c) {
  const window_attr *a = c->attr;
  const int64_t *dims = c->in[0].dim + c->in[0].rank - a->rank, width = a->out[a->rank - 1];
  search s = {.a = a, .dtype = (cr_dtype)c->in[0].dtype, .dims = dims, .n = product(dims, a->rank),
              .m = product(a->out, a->rank), .at = c->out->data};
  int64_t n = s.m ? c->out->count / s.m : 0;
  stretch *columns = cr_scratch(c, (size_t)width * sizeof *columns);
  s.x = cr__dense(c, &c->in[0], s.dtype);
  s.columns = columns;
  if (!s.x || !columns) return CR_NO_MEMORY;
  for (int64_t j = 0; j < width; j++) columns[j] = stretch_of(a, (int)a->rank - 1, dims[a->rank - 1], j);
  cr_parallel(c->tape, n, some_planes(s.n + s.m), search_planes, &s);
  return CR_OK;
}

static const cr_op largest_at_op = {.name = "largest_at",
                                    .check = largest_at_check,
                                    .arity = 1,
                                    .kind = CR_PIECEWISE_CONSTANT,
                                    .attr_size = sizeof(window_attr), .fields = window_fields,
                                    .infer = largest_at_infer,
                                    .eval = largest_at_eval,
                                    .show = window_show};

static cr_var largest(cr_var x, const window_attr *a, cr_var *index) {
  cr_array v = cr_view(x);
  plane_attr plane = {.rank = a->rank};
  memcpy(plane.dim, v.dim + v.rank - a->rank, (size_t)a->rank * sizeof *plane.dim);
  cr_var at = cr_record(x.tape, &largest_at_op, 1, &x, a);
  if (index) *index = cr_is_poison(at) ? at : cr_cast(at, CR_INT64);
  return cr_record(x.tape, &plane_take_op, 2, (cr_var[]){x, at}, &plane);
}

/* Windows from what the caller gave; false after recording what is wrong. */
static bool windows_of(cr_var x, const char *name, const cr_pool *how, window_attr *a) {
  const int64_t most = (int64_t)1 << 31;
  cr_array v = cr_view(x);
  if (cr_is_poison(x)) return false;
  *a = (window_attr){.rank = v.rank - 2};
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
  window_attr a;
  if (index) *index = cr_poison(x.tape);
  return windows_of(x, "max_pool", how, &a) ? largest(x, &a, index) : cr_poison(x.tape);
}

/* How many positions each window has along an axis, with the padding or without. */
static int64_t width_of(const window_attr *a, int i, int64_t n, int64_t j, bool padded) {
  int64_t start = j * a->stride[i] - a->padding[i], end = start + a->kernel[i];
  if (end > n + a->padding[i]) end = n + a->padding[i];
  if (!padded && start < 0) start = 0;
  if (!padded && end > n) end = n;
  return end - start;
}

static cr_var divisors(cr_var x, const window_attr *a, bool padded) {
  int64_t n[CR_MAX_SPATIAL], all = product(a->out, a->rank), usual = product(a->kernel, a->rank);
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
  window_attr a;
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
  window_attr a = {.rank = n, .adaptive = 1};
  cr_var x, index;
  bool alone;
  if (!cr__arg_images(c, n, &x, &alone)) return;
  for (int i = 0; i < n; i++) a.out[i] = cr_dim(x, i + 2);
  if (!cr__arg_sides(c, 1, "output_size", n, 1, a.out)) return;
  if (cr_dtype_of(x) < CR_FLOAT32) {
    cr_fail(x.tape, CR_BAD_DTYPE, "the input must be float64 or float32, not %s", cr_dtype_name(cr_dtype_of(x)));
    return;
  }
  cr_var y = largest(x, &a, &index);
  cr_return(c, cr__alone(y, alone));
  if (cr_arg_bool(c, 2)) cr_return(c, cr__alone(index, alone));
}
static void call_adaptive_max_pool1d(cr_call *c) { call_adaptive_max_pool(c, 1); }
static void call_adaptive_max_pool2d(cr_call *c) { call_adaptive_max_pool(c, 2); }

#define POOLING .family = "pooling"
#define BY_POSITION POOLING, .derivative = "the cotangent added where the element came from", \
  .kinks = "all to the first at ties; NaN is the largest"

static const cr_op *const recorded[] = {&plane_take_op, &plane_add_op, &largest_at_op, NULL};

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
