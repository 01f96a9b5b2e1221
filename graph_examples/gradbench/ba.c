/* ba: bundle adjustment. Each observation says where a camera saw a point; its residual is where the camera model puts
 * it. The residuals of a block of observations are elementwise operations on vectors. No two observations share a
 * residual, so one product with the transposed Jacobian, and ones, for each of the two numbers has all rows of the
 * block: a compressed Jacobian. All that is recorded at the first block of the first run, captured, and replayed for the
 * others. */
#include <stdlib.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include <function.h>

#include "gradbench.h"

enum {
  OBJECTIVE, JACOBIAN, BLOCK = 1000, /* columns a power of two apart would compete for their places in the cache */
  ROTATION = 0, CENTER = 3, FOCAL = 6, MIDDLE = 7, RADIAL = 9, CAMERA = 11, /* places in a camera */
  POINT = CAMERA, WEIGHT = CAMERA + 3, INPUTS = WEIGHT + 1, FEATURE = INPUTS, ALL = FEATURE + 2,
  RESIDUALS = 3, RESULTS = RESIDUALS + 2 * INPUTS + 1 /* with their derivatives */
};

/* What a block is run with. */
typedef struct replay {
  cr_fn *f;
  cr_workspace *space;
} replay;

typedef struct state {
  int64_t n, m, p, block;
  numbers cameras, points, weights, features;
  int32_t *camera, *point;  /* of each observation */
  numbers columns;          /* of a block: ALL vectors, and RESULTS */
  replay replay[2][2];      /* by function, and by whether the cameras are still */
  numbers error, values;    /* 3 p residuals; 31 p derivatives */
  int32_t *rows, *cols;
} state;

static bool repeat(numbers *out, const numbers *one, int64_t times, complaint *c) {
  if (!make_room(out, one->count * times, c)) return false;
  for (int64_t i = 0; i < out->count; i++) out->at[i] = one->at[i % one->count];
  return true;
}

/* Memory that has been touched, so that the timed runs find it there. */
static bool make_indices(int32_t **out, int64_t count, complaint *c) {
  free(*out);
  *out = malloc((size_t)count * sizeof **out);
  if (!*out) return complain(c, "no memory for %lld indices", (long long)count);
  memset(*out, 0, (size_t)count * sizeof **out);
  return true;
}

static void forget(state *s) {
  for (int k = 0; k < 4; k++) {
    replay *r = &s->replay[k / 2][k % 2];
    cr_workspace_free(r->space);
    cr_fn_free(r->f);
    *r = (replay){NULL, NULL};
  }
}

static bool make_results(state *s, complaint *c) {
  int64_t block = s->p < BLOCK ? s->p : BLOCK;
  if (block != s->block) forget(s);
  s->block = block;
  if (!make_room(&s->columns, (ALL + RESULTS) * s->block, c) || !make_room(&s->error, 3 * s->p, c) ||
      !make_room(&s->values, 31 * s->p, c) || !make_indices(&s->rows, 3 * s->p + 1, c) ||
      !make_indices(&s->cols, 31 * s->p, c))
    return false;
  memset(s->columns.at, 0, (size_t)s->columns.count * sizeof(double));
  memset(s->error.at, 0, (size_t)s->error.count * sizeof(double));
  memset(s->values.at, 0, (size_t)s->values.count * sizeof(double));
  return true;
}

static bool read(void *memory, const json_t *input, complaint *c) {
  state *s = memory;
  numbers one[4] = {{0}};
  const int64_t most = 1 << 26;
  bool good = read_integer(input, "n", 1, most, &s->n, c) && read_integer(input, "m", 1, most, &s->m, c) &&
              read_integer(input, "p", 1, most, &s->p, c) &&
              read_numbers(input, "cam", 1, (int64_t[]){CAMERA}, &one[0], c) &&
              read_numbers(input, "x", 1, (int64_t[]){3}, &one[1], c) && make_room(&one[2], 1, c) &&
              read_number(input, "w", one[2].at, c) && read_numbers(input, "feat", 1, (int64_t[]){2}, &one[3], c);
  good = good && repeat(&s->cameras, &one[0], s->n, c) && repeat(&s->points, &one[1], s->m, c) &&
         repeat(&s->weights, &one[2], s->p, c) && repeat(&s->features, &one[3], s->p, c);
  good = good && make_indices(&s->camera, s->p, c) && make_indices(&s->point, s->p, c) && make_results(s, c);
  for (int64_t i = 0; good && i < s->p; i++) {
    s->camera[i] = (int32_t)(i % s->n);
    s->point[i] = (int32_t)(i % s->m);
  }
  for (int k = 0; k < 4; k++) free(one[k].at);
  return good;
}

/* The camera model */

typedef struct vec {
  cr_var at[3];
} vec;

static vec difference(const cr_var *x, const cr_var *y) {
  return (vec){{cr_sub(x[0], y[0]), cr_sub(x[1], y[1]), cr_sub(x[2], y[2])}};
}

static vec cross(const cr_var *x, const cr_var *y) {
  vec z;
  for (int i = 0; i < 3; i++) {
    int j = (i + 1) % 3, k = (i + 2) % 3;
    z.at[i] = cr_sub(cr_mul(x[j], y[k]), cr_mul(x[k], y[j]));
  }
  return z;
}

static cr_var dot(int n, const cr_var *x, const cr_var *y) {
  cr_var sum = cr_mul(x[0], y[0]);
  for (int i = 1; i < n; i++) sum = cr_add(sum, cr_mul(x[i], y[i]));
  return sum;
}

/* Rodrigues' formula: x turned about r by the angle |r|; still is for r = 0, where it is x + r x x to first order. */
static vec rotate(const cr_var *r, const cr_var *x, bool still) {
  vec turned, axis;
  if (still) {
    turned = cross(r, x);
    for (int i = 0; i < 3; i++) turned.at[i] = cr_add(x[i], turned.at[i]);
    return turned;
  }
  cr_var angle = cr_sqrt(dot(3, r, r)), c = cr_cos(angle), s = cr_sin(angle);
  for (int i = 0; i < 3; i++) axis.at[i] = cr_div(r[i], angle);
  cr_var along = cr_mul(dot(3, axis.at, x), cr_sub(cr_const(angle.tape, 1), c));
  vec across = cross(axis.at, x);
  for (int i = 0; i < 3; i++)
    turned.at[i] = cr_add(cr_add(cr_mul(x[i], c), cr_mul(across.at[i], s)), cr_mul(axis.at[i], along));
  return turned;
}

/* The residual of observations in[0..ALL): two numbers, and 1 - w^2. */
static void residual(const cr_var *in, bool still, cr_var *e) {
  cr_var one = cr_const(in->tape, 1);
  vec seen = difference(in + POINT, in + CENTER);
  seen = rotate(in + ROTATION, seen.at, still);
  cr_var p[2] = {cr_div(seen.at[0], seen.at[2]), cr_div(seen.at[1], seen.at[2])}, square = dot(2, p, p);
  cr_var distortion = cr_add(one, cr_mul(square, cr_add(in[RADIAL], cr_mul(in[RADIAL + 1], square))));
  for (int i = 0; i < 2; i++) {
    cr_var projected = cr_add(cr_mul(in[FOCAL], cr_mul(distortion, p[i])), in[MIDDLE + i]);
    e[i] = cr_mul(in[WEIGHT], cr_sub(projected, in[FEATURE + i]));
  }
  e[2] = cr_sub(one, cr_square(in[WEIGHT]));
}

/* Blocks of observations */

static bool is_still(const state *s, int64_t i) {
  const double *r = s->cameras.at + CAMERA * s->camera[i] + ROTATION;
  return r[0] * r[0] + r[1] * r[1] + r[2] * r[2] == 0;
}

/* The observations from the from-th on, as many as there is room for, on one side of the branch: how many. */
static int64_t gather(state *s, int64_t from) {
  int64_t n = s->p - from < s->block ? s->p - from : s->block;
  double *to = s->columns.at;
  const bool still = is_still(s, from);
  for (int64_t i = 0; i < n; i++, to++) {
    if (is_still(s, from + i) != still) return i;
    const double *camera = s->cameras.at + CAMERA * s->camera[from + i], *point = s->points.at + 3 * s->point[from + i];
    for (int k = 0; k < CAMERA; k++) to[k * s->block] = camera[k];
    for (int k = 0; k < 3; k++) to[(POINT + k) * s->block] = point[k];
    to[WEIGHT * s->block] = s->weights.at[from + i];
    for (int k = 0; k < 2; k++) to[(FEATURE + k) * s->block] = s->features.at[2 * (from + i) + k];
  }
  return n;
}

static void record(cr_tape *t, const state *s, int function, bool still, replay *r) {
  cr_mark mark = cr_mark_here(t);
  cr_var in[ALL], out[RESULTS], ones = cr_poison(t);
  for (int k = 0; k < ALL; k++) in[k] = vector_input(t, s->columns.at + k * s->block, s->block);
  residual(in, still, out);
  if (function == JACOBIAN) {
    for (int k = 0; k < 2; k++) cr_vjp(out[k], ones, INPUTS, in, out + RESIDUALS + INPUTS * k);
    cr_vjp(out[2], ones, 1, in + WEIGHT, out + RESULTS - 1);
  }
  r->f = cr_capture(t, ALL, in, function == JACOBIAN ? RESULTS : RESIDUALS, out, 0, NULL, CR_FN_EXACT);
  r->space = r->f ? cr_workspace_new(r->f) : NULL;
  if (r->f && !r->space) cr_fail(t, CR_NO_MEMORY, "no memory for a block");
  cr_reset(t, mark);
}

/* The residuals of the block, and their derivatives, into its columns. */
static void run_block(cr_tape *t, state *s, int function, bool still) {
  replay *r = &s->replay[function][still];
  if (!r->space) record(t, s, function, still, r);
  if (cr_error(t) != CR_OK) return;
  cr_array column[ALL + RESULTS];
  for (int k = 0; k < ALL + RESULTS; k++) {
    cr_array_init(&column[k], CR_FLOAT64, 1, &s->block);
    column[k].data = s->columns.at + k * s->block;
  }
  cr_status status = cr_fn_run(r->f, r->space, column, column + ALL);
  if (status != CR_OK) cr_fail(t, status, "%s", cr_workspace_error(r->space));
}

static void store_residuals(state *s, int64_t from, int64_t n) {
  const double *e = s->columns.at + ALL * s->block;
  for (int64_t i = 0; i < n; i++)
    for (int k = 0; k < 2; k++) s->error.at[2 * (from + i) + k] = e[k * s->block + i];
  memcpy(s->error.at + 2 * s->p + from, e + 2 * s->block, (size_t)n * sizeof *e);
}

/* Two numbers to memory that nobody reads soon: caches need not fetch what is overwritten. to is aligned to both. */
static void put_past_cache(double *to, double a, double b) {
#ifdef __SSE2__
  _mm_stream_pd(to, _mm_setr_pd(a, b));
#else
  to[0] = a, to[1] = b;
#endif
}

static void store_derivatives(state *s, int64_t from, int64_t n) {
  const int64_t block = s->block;
  const double *d = s->columns.at + (ALL + RESIDUALS) * block;
  double *to = s->values.at + 2 * INPUTS * from;
  for (int64_t i = 0; i < n; i++, to += 2 * INPUTS)
    for (int j = 0; j < 2 * INPUTS; j += 2) put_past_cache(to + j, d[j * block + i], d[(j + 1) * block + i]);
  memcpy(s->values.at + 2 * INPUTS * s->p + from, d + 2 * INPUTS * block, (size_t)n * sizeof *d);
}

/* Where the derivatives of these observations stand in the matrix. */
static void store_places(state *s, int64_t from, int64_t n) {
  const int32_t points = (int32_t)(CAMERA * s->n), weights = points + (int32_t)(3 * s->m);
  const int32_t last = (int32_t)(30 * s->p);
  int32_t *cols = s->cols, *rows = s->rows, *weight_row = rows + 2 * s->p;
  for (int64_t i = from; i < from + n; i++) {
    int32_t *col = cols + 30 * i, camera = CAMERA * s->camera[i], point = points + 3 * s->point[i];
    for (int32_t j = 0; j < CAMERA; j++) col[j] = col[15 + j] = camera + j;
    for (int32_t j = 0; j < 3; j++) col[POINT + j] = col[15 + POINT + j] = point + j;
    col[WEIGHT] = col[15 + WEIGHT] = cols[last + i] = weights + (int32_t)i;
    rows[2 * i] = (int32_t)(30 * i);
    rows[2 * i + 1] = (int32_t)(30 * i + 15);
    weight_row[i] = last + (int32_t)i;
  }
}

static void run(void *memory, cr_tape *t, int function) {
  state *s = memory;
  for (int64_t from = 0, n; from < s->p && cr_error(t) == CR_OK; from += n) {
    n = gather(s, from);
    run_block(t, s, function, is_still(s, from));
    if (function == OBJECTIVE) {
      store_residuals(s, from, n);
    } else {
      store_derivatives(s, from, n);
      store_places(s, from, n);
    }
  }
  s->rows[3 * s->p] = (int32_t)(31 * s->p);
}

/* Both answers are abbreviated: the first 30 numbers, and the last. */
static void put_integers_of(text *out, const char *name, const int32_t *x, int64_t count) {
  int64_t few[31], n = count < 31 ? count : 31;
  for (int64_t k = 0; k < n; k++) few[k] = x[k < 30 ? k : count - 1];
  put_text(out, name);
  put_integers(out, few, n);
}

static void write(const void *memory, int function, text *out) {
  const state *s = memory;
  if (function == OBJECTIVE) {
    put_text(out, "{\"reproj_error\": {\"elements\": ");
    put_list(out, s->error.at, 2);
    put_text(out, ", \"repeated\": ");
    put_integer(out, s->p);
    put_text(out, "}, \"w_err\": {\"element\": ");
    put_number(out, s->error.at[2 * s->p]);
    put_text(out, ", \"repeated\": ");
    put_integer(out, s->p);
    put_text(out, "}}");
    return;
  }
  double few[31];
  for (int64_t k = 0; k < 31; k++) few[k] = s->values.at[k < 30 ? k : 31 * s->p - 1];
  put_integers_of(out, "{\"rows\": ", s->rows, 3 * s->p + 1);
  put_integers_of(out, ", \"cols\": ", s->cols, 31 * s->p);
  put_text(out, ", \"vals\": ");
  put_list(out, few, 31);
  put_text(out, "}");
}

static void release(void *memory) {
  state *s = memory;
  forget(s);
  numbers *all[] = {&s->cameras, &s->points, &s->weights, &s->features, &s->columns, &s->error, &s->values};
  for (size_t k = 0; k < sizeof all / sizeof *all; k++) free(all[k]->at);
  free(s->camera);
  free(s->point);
  free(s->rows);
  free(s->cols);
}

const evaluation ba = {.name = "ba", .function = {"objective", "jacobian"}, .size = sizeof(state), .read = read, .run = run,
                       .write = write, .release = release};
