/* Interpolation and adaptive means: along each axis a product with a constant matrix, whose row j says what position j of
 * the result takes from the input. */
#include <math.h>
#include <string.h>

#include "windows.h"

/* Fills row j of n weights, which are zeros. */
typedef struct resizing {
  int64_t from, to;
  double scale;      /* positions of the input for one of the result */
  int align_corners;
} resizing;
typedef void row_rule(const resizing *r, int64_t j, cr_array *m);

static cr_var along(cr_var x, int axis, const resizing *r, row_rule *rule) {
  if (cr_is_poison(x)) return x;
  cr_var weights = cr_constant_of(x.tape, cr_dtype_of(x), 2, (int64_t[]){r->to, r->from}, NULL);
  if (cr_is_poison(weights)) return weights;
  cr_array m = cr_view(weights);
  for (int64_t j = 0; j < r->to; j++) rule(r, j, &m);
  return cr_transpose(cr_matmul(cr_transpose(x, axis, -1), cr_matrix_transpose(weights)), axis, -1);
}

static void add_weight(cr_array *m, int64_t j, int64_t i, double weight) {
  int64_t k = j * m->dim[1] + i;
  cr_array_set(m, k, cr_array_get(m, k) + weight);
}

static void mean_row(const resizing *r, int64_t j, cr_array *m) {
  int64_t first = j * r->from / r->to, end = ((j + 1) * r->from + r->to - 1) / r->to;
  for (int64_t i = first; i < end; i++) add_weight(m, j, i, 1 / (double)(end - first));
}

/* The middles of elements lie half a step inside their edges, or the first and last ones meet those of the result. */
static void linear_row(const resizing *r, int64_t j, cr_array *m) {
  double at = r->align_corners ? r->scale * (double)j : r->scale * ((double)j + 0.5) - 0.5;
  if (at < 0) at = 0;
  int64_t i = (int64_t)floor(at);
  if (i > r->from - 1) i = r->from - 1;
  int64_t next = i + 1 < r->from ? i + 1 : i;
  double part = at - (double)i < 1 ? at - (double)i : 1;
  add_weight(m, j, i, 1 - part);
  add_weight(m, j, next, part);
}

static cr_var nearest(cr_var x, int axis, const resizing *r) {
  if (cr_is_poison(x)) return x;
  cr_var index = cr_constant_of(x.tape, CR_INT64, 1, &r->to, NULL);
  if (cr_is_poison(index)) return index;
  int64_t *at = cr_view(index).data;
  for (int64_t j = 0; j < r->to; j++) {
    double i = floor((double)j * r->scale);
    at[j] = i < (double)(r->from - 1) ? (int64_t)i : r->from - 1;
  }
  return cr_index_select(x, axis, index);
}

static cr_var bad(cr_var x, const char *what) { return cr_fail(x.tape, CR_BAD_ARGUMENT, "%s", what); }

static bool sizes_ok(cr_var x, int n, const int64_t *to) {
  for (int i = 0; i < n; i++)
    if (cr_dim(x, i + 2) < 1 || to[i] < 1 || to[i] > (int64_t)1 << 31) {
      cr_fail(x.tape, CR_BAD_ARGUMENT, "spatial axis %d of size %lld cannot be brought to size %lld", i,
              (long long)cr_dim(x, i + 2), (long long)to[i]);
      return false;
    }
  if (cr_dtype_of(x) < CR_FLOAT32) {
    cr_fail(x.tape, CR_BAD_DTYPE, "the input must be float64 or float32, not %s", cr_dtype_name(cr_dtype_of(x)));
    return false;
  }
  return true;
}

/* Sizes and steps from size= or scale_factor=. */
static bool target_of(cr_call *c, cr_var x, int n, int64_t *to, double *scale) {
  bool by_size = cr_arg_given(c, 1);
  if (by_size == (bool)cr_arg_given(c, 2)) return bad(x, "interpolate: either size or scale_factor is needed"), false;
  if (by_size && !cr__arg_sides(c, 1, "size", n, 1, to)) return false;
  cr_var factor = by_size ? cr_poison(x.tape) : cr_arg_var(c, 2);
  if (!by_size && (cr_is_poison(factor) || (cr_count(factor) != 1 && cr_count(factor) != n)))
    return bad(x, "interpolate: scale_factor is one number, or one for each spatial axis"), false;
  cr_array f = cr_view(factor);
  for (int i = 0; i < n; i++) {
    double size = (double)cr_dim(x, i + 2), by = by_size ? 1 : cr_array_get(&f, f.count == 1 ? 0 : i);
    if (!(by > 0) || size * by > 1e9)
      return bad(x, "interpolate: scale_factor must be positive and of reasonable size"), false;
    if (!by_size) to[i] = (int64_t)floor(size * by);
    scale[i] = by_size ? size / (double)to[i] : 1 / by;
  }
  return sizes_ok(x, n, to);
}

static void call_interpolate(cr_call *c) {
  cr_var x = cr_arg_var(c, 0);
  if (cr_is_poison(x)) return;
  int n = cr_rank(x) - 2;
  const char *mode = cr_arg_text(c, 3);
  const char *const linear[] = {"linear", "bilinear", "trilinear"};
  int64_t to[CR_MAX_SPATIAL];
  double scale[CR_MAX_SPATIAL];
  if (n < 1 || n > CR_MAX_SPATIAL) {
    bad(x, "interpolate: the input has a batch and a channel axis, and one to three spatial ones");
    return;
  }
  bool is_nearest = !strcmp(mode, "nearest"), area = !strcmp(mode, "area"), align = cr_arg_given(c, 4) && cr_arg_bool(c, 4);
  if (!is_nearest && !area && strcmp(mode, linear[n - 1])) {
    cr_fail(x.tape, CR_BAD_ARGUMENT, "interpolate: mode '%s' for %d spatial axes: 'nearest', 'area' or '%s'", mode, n,
            linear[n - 1]);
    return;
  }
  if (!target_of(c, x, n, to, scale)) return;
  for (int i = 0; i < n; i++) {
    resizing r = {cr_dim(x, i + 2), to[i], scale[i], align};
    if (align) r.scale = to[i] > 1 ? (double)(r.from - 1) / (double)(to[i] - 1) : 0;
    x = is_nearest ? nearest(x, i + 2, &r) : along(x, i + 2, &r, area ? mean_row : linear_row);
  }
  cr_return(c, x);
}

static void call_adaptive_avg_pool(cr_call *c, int n) {
  cr_var x;
  bool alone;
  int64_t to[CR_MAX_SPATIAL];
  if (!cr__arg_images(c, n, &x, &alone)) return;
  for (int i = 0; i < n; i++) to[i] = cr_dim(x, i + 2);
  if (!cr__arg_sides(c, 1, "output_size", n, 1, to) || !sizes_ok(x, n, to)) return;
  for (int i = 0; i < n; i++) x = along(x, i + 2, &(resizing){.from = cr_dim(x, i + 2), .to = to[i]}, mean_row);
  cr_return(c, cr__alone(x, alone));
}
static void call_adaptive_avg_pool1d(cr_call *c) { call_adaptive_avg_pool(c, 1); }
static void call_adaptive_avg_pool2d(cr_call *c) { call_adaptive_avg_pool(c, 2); }

const cr_function cr__resize_functions[] = {
    {.signature = "adaptive_avg_pool1d(input, output_size)",
     .call = call_adaptive_avg_pool1d,
     .family = "pooling",
     .doc = "The means of output_size parts of the last axis; part j runs from floor(j n / m) to ceil((j + 1) n / m).",
     .samples = "adaptive_avg_pool1d(x:(2,2,5), 3); adaptive_avg_pool1d(x:(2,4), 1)"},
    {.signature = "adaptive_avg_pool2d(input, output_size)",
     .call = call_adaptive_avg_pool2d,
     .family = "pooling",
     .doc = "The means of output_size parts of the last two axes; part j runs from floor(j n / m) to ceil((j + 1) n / m).",
     .samples = "adaptive_avg_pool2d(x:(1,2,5,4), [2,3]); adaptive_avg_pool2d(x:(2,3,3), 1)"},
    {.signature = "interpolate(input, size=None, scale_factor=None, mode='nearest', align_corners=None)",
     .call = call_interpolate,
     .family = "shape",
     .doc = "The spatial axes of (N, C, L...) brought to another size. mode: 'nearest', 'area' (means), 'linear', "
            "'bilinear' or "
            "'trilinear'; align_corners: the corner elements meet, else the edges do.",
     .samples =
         "interpolate(x:(1,2,3), 5); interpolate(x:(1,1,2,3), scale_factor=2, mode='bilinear'); "
         "interpolate(x:(1,1,4,3), [3,5], mode='bilinear', align_corners=True); "
         "interpolate(x:(2,1,4), scale_factor=1.5, mode='linear'); interpolate(x:(1,1,3,2,2), [2,3,1], mode='trilinear'); "
         "interpolate(x:(1,1,4,4), 3, mode='area')"},
    {.signature = NULL}};
