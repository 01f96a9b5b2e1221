/* Elements of planes, which are the spatial axes of one channel, taken by their positions: plane_take(x, index) is
 * out[.., p] = x[.., index[.., p]], the plane flat; plane_add(g, index) is its transpose, and each is the other's rule. */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "windows.h"

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

/* Planes are looked at once they are in the cache; false at a position outside. */
#define PLANES(T)                                                                                         \
  static void take_##T(int64_t n, const T *restrict x, const int32_t *restrict at, T *restrict out) {     \
    for (int64_t k = 0; k < n; k++) out[k] = x[at[k]];                                                    \
  }                                                                                                       \
  static void add_##T(int64_t n, const T *restrict g, const int32_t *restrict at, T *restrict out) {      \
    for (int64_t k = 0; k < n; k++) out[at[k]] += g[k];                                                   \
  }
PLANES(float)
PLANES(double)

typedef struct planes {
  const cr_eval *c;
  cr_dtype dtype;
  bool take;
  int64_t n, m;            /* elements of a plane, and of its part of the index */
  const char *x;
  const int32_t *at;
  char *out;
  atomic_bool outside;     /* a position was */
} planes;

static bool are_inside(const int32_t *at, int64_t count, int64_t n) {
  int32_t low = 0, high = 0;
  for (int64_t k = 0; k < count; k++) {
    low = at[k] < low ? at[k] : low;
    high = at[k] > high ? at[k] : high;
  }
  return !count || (low >= 0 && high < n);
}

static void move_planes(void *context, int64_t from, int64_t to) {
  planes *p = context;
  const int64_t size = (int64_t)cr_dtype_size(p->dtype);
  const int64_t in = (p->take ? p->n : p->m) * size, out = (p->take ? p->m : p->n) * size;
  for (int64_t k = from; k < to; k++) {
    const int32_t *at = p->at + k * p->m;
    const void *x = p->x + k * in;
    void *y = p->out + k * out;
    if (!are_inside(at, p->m, p->n)) {
      atomic_store_explicit(&p->outside, true, memory_order_relaxed);
      return;
    }
    if (!p->take) memset(y, 0, (size_t)out);
    if (p->dtype == CR_FLOAT32) (p->take ? take_float : add_float)(p->m, x, at, y);
    else (p->take ? take_double : add_double)(p->m, x, at, y);
    cr_ready(p->c, k * out / size, out / size);
  }
}

static cr_status plane_eval(cr_eval *c, bool take) {
  const plane_attr *a = c->attr;
  planes p = {.c = c, .dtype = (cr_dtype)c->out->dtype, .take = take, .n = cr__volume(a->dim, a->rank), .out = c->out->data};
  p.m = cr__volume(c->in[1].dim + c->in[1].rank - a->rank, a->rank);
  p.x = cr__dense(c, &c->in[0], p.dtype);
  p.at = cr__dense(c, &c->in[1], CR_INT32);
  if (!p.x || !p.at) return CR_NO_MEMORY;
  if (!p.m && !take) {
    memset(p.out, 0, (size_t)c->out->count * cr_dtype_size(p.dtype));
    cr_ready(c, 0, c->out->count);
  }
  cr_parallel(c->tape, p.m ? c->in[1].count / p.m : 0, cr__some_planes(p.n + p.m), move_planes, &p);
  if (!p.outside) return CR_OK;
  cr_fail(c->tape, CR_BAD_INDEX, "a position outside the plane, of %lld elements", (long long)p.n);
  return CR_BAD_INDEX;
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
const cr_op cr__plane_take_op = {
  .name = "plane_take", .check = plane_take_check, .arity = 2, .kind = CR_LINEAR, .attr_size = sizeof(plane_attr),
  .fields = plane_fields,
  .infer = plane_take_infer,
  .eval = plane_take_eval, .tails = 1, .depend = plane_take_depend, .vjp = plane_take_vjp, .show = plane_show,
  .latex = "%a_{[%b]}",
  .rule = "the cotangent added where the element came from"};
const cr_op cr__plane_add_op = {
  .name = "plane_add", .check = plane_add_check, .arity = 2, .kind = CR_LINEAR, .attr_size = sizeof(plane_attr),
  .fields = plane_fields, .infer = plane_add_infer,
  .eval = plane_add_eval, .tails = 1, .depend = plane_add_depend, .vjp = plane_add_vjp, .show = plane_show,
  .rule = "the cotangent at the positions"};

static void plane_take_vjp(cr_vjp_rule *c) {
  c->d[0] = cr_record(c->tape, &cr__plane_add_op, 2, (cr_var[]){c->g, c->in[1]}, c->attr);
}
static void plane_add_vjp(cr_vjp_rule *c) {
  c->d[0] = cr_record(c->tape, &cr__plane_take_op, 2, (cr_var[]){c->g, c->in[1]}, c->attr);
}

cr_var cr__take_of_planes(cr_var x, cr_var at, int64_t rank) {
  cr_array v = cr_view(x);
  plane_attr plane = {.rank = rank};
  memcpy(plane.dim, v.dim + v.rank - rank, (size_t)rank * sizeof *plane.dim);
  return cr_record(x.tape, &cr__plane_take_op, 2, (cr_var[]){x, at}, &plane);
}
