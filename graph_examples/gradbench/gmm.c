/* gmm: the log posterior of a mixture of k Gaussians at n points x_i of dimension d, with a Wishart prior:
 *     sum_i logsumexp_k(beta_ik) - n logsumexp(alpha) - n d/2 log(2 pi) + log prior,
 *     beta_ik = alpha_k + sum_j q_kj - 1/2 |Q_k (x_i - mu_k)|^2,
 * where Q_k is lower triangular with diagonal exp(q_k) and below it l_k, column by column. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "gradbench.h"

enum { OBJECTIVE, JACOBIAN, MOST = 1 << 20, BLOCK = 128, BLOCKS = 8, HELD = 1 << 17, FITS_CACHE = 1 << 15 };
enum { ALPHA, MU, Q, L, PARAMETERS };

/* A few components: their frames, a leaf, and the distances that follow from these. */
typedef struct component {
  cr_var frame, distance;
} component;

typedef struct state {
  int64_t n, k, d, m;
  double gamma, value;
  numbers x, parameter[PARAMETERS], gradient[PARAMETERS];
  numbers slopes;           /* of the likelihood by frame and weight */
  numbers distance;         /* squared, of each point to each component; then the likelihood's slopes by these */
  component *part;
} state;

static const char *const name[PARAMETERS] = {"alpha", "mu", "q", "l"};
static const double pi = 3.14159265358979323846;

/* The shape of a parameter; its rank is returned. */
static int shape_of(const state *s, int p, int64_t *dim) {
  int64_t columns[PARAMETERS] = {0, s->d, s->d, s->d * (s->d - 1) / 2};
  dim[0] = s->k;
  dim[1] = columns[p];
  return p == ALPHA ? 1 : 2;
}

/* Points in a block, for which as many numbers are held for the derivative as there are components and dimensions. */
static int64_t rows_of(const state *s) {
  int64_t blocks = HELD / BLOCK / (s->k * s->d) + 1;
  return BLOCK * (blocks < BLOCKS ? blocks : BLOCKS);
}

static bool read_sizes(state *s, const json_t *input, complaint *c) {
  s->m = 0;
  s->gamma = 1;
  return read_integer(input, "d", 1, MOST, &s->d, c) && read_integer(input, "k", 1, MOST, &s->k, c) &&
         read_integer(input, "n", 1, INT64_C(1) << 32, &s->n, c) &&
         (!json_object_get(input, "m") || read_integer(input, "m", 0, MOST, &s->m, c)) &&
         (!json_object_get(input, "gamma") || read_number(input, "gamma", &s->gamma, c)) &&
         (s->gamma > 0 || complain(c, "field gamma is not positive"));
}

static bool read(void *memory, const json_t *input, complaint *c) {
  state *s = memory;
  int64_t dim[2];
  if (!read_sizes(s, input, c)) return false;
  free(s->part);
  s->part = malloc((size_t)s->k * sizeof *s->part);
  if (!s->part) return complain(c, "no memory for %d components", (int)s->k);
  for (int p = 0; p < PARAMETERS; p++) {
    int rank = shape_of(s, p, dim);
    if (!read_numbers(input, name[p], rank, dim, &s->parameter[p], c)) return false;
    if (!make_room(&s->gradient[p], s->parameter[p].count, c)) return false;
  }
  return read_numbers(input, "x", 2, (int64_t[]){s->n, s->d}, &s->x, c) &&
         make_room(&s->slopes, s->k * (s->d * (s->d + 1) + 1), c) && make_room(&s->distance, s->k * rows_of(s), c);
}

/* Q_k^T for all k, (k, d, d): row j is column j of Q_k, j zeros, exp q_kj and the next d - 1 - j elements of l_k. */
static cr_var transposed_factors(cr_var q, cr_var l) {
  cr_tape *t = q.tape;
  int64_t k = cr_dim(q, 0), d = cr_dim(q, 1), used = 0;
  cr_var diagonal = cr_exp(q), zeros = cr_zeros(t, CR_FLOAT64, 2, (int64_t[]){k, d});
  cr_var *piece = malloc((size_t)(3 * d) * sizeof *piece);
  if (!piece) return cr_fail(t, CR_NO_MEMORY, "no memory for matrices of %lld rows", (long long)d);
  for (int64_t j = 0; j < d; j++) {
    piece[3 * j] = cr_slice_axis(zeros, 1, 0, j, 1);
    piece[3 * j + 1] = cr_slice_axis(diagonal, 1, j, j + 1, 1);
    piece[3 * j + 2] = cr_slice_axis(l, 1, used, used + d - 1 - j, 1);
    used += d - 1 - j;
  }
  cr_var all = cr_concatenate((int)(3 * d), piece, 1);
  free(piece);
  return cr_reshape(all, 3, (int64_t[]){k, d, d});
}

/* (Q_k, -Q_k mu_k) for all k, (k, d, d + 1): its product with (x_i, 1) is Q_k (x_i - mu_k). */
static cr_var frames(const cr_var *p) {
  cr_var q = cr_matrix_transpose(transposed_factors(p[Q], p[L]));
  return cr_concatenate(2, (cr_var[]){q, cr_neg(cr_matmul(q, cr_unsqueeze(p[MU], 2)))}, 2);
}

/* |frame_k (x_i, 1)|^2, (k, n), over the columns (x_i, 1) of points. */
static cr_var distances(cr_var frame, cr_var points) {
  int64_t k = cr_dim(frame, 0), d = cr_dim(frame, 1), n = cr_dim(points, 1);
  cr_var y = cr_matmul(cr_reshape(frame, 2, (int64_t[]){k * d, d + 1}), points);
  return cr_sum(cr_square(cr_reshape(y, 3, (int64_t[]){k, d, n})), 1, (int[]){1}, 0);
}

/* sum_i logsumexp_k(weight_k - 1/2 distance_ki) */
static cr_var likelihood(cr_var distance, cr_var weight) {
  cr_var beta = cr_sub(cr_unsqueeze(weight, 1), cr_mul(cr_const(weight.tape, 0.5), distance));
  return cr_sum_all(cr_logsumexp(beta, 1, (int[]){0}, 0));
}

/* C of the prior, which depends on no parameter. */
static double prior_constant(const state *s) {
  double d = (double)s->d, nu = d + (double)s->m + 1, gammas = d * (d - 1) / 4 * log(pi);
  for (int64_t j = 1; j <= s->d; j++) gammas += lgamma((nu + 1 - (double)j) / 2);
  return nu * d * (log(s->gamma) - log(2) / 2) - gammas;
}

/* All but the likelihood. */
static cr_var prior(const state *s, const cr_var *p) {
  cr_tape *t = p[0].tape;
  double n = (double)s->n, constant = (double)s->k * prior_constant(s) - n * (double)s->d / 2 * log(2 * pi);
  cr_var squares = cr_add(cr_sum_all(cr_square(cr_exp(p[Q]))), cr_sum_all(cr_square(p[L])));
  cr_var size = cr_mul(cr_const(t, s->gamma * s->gamma / 2), squares);
  cr_var trace = cr_mul(cr_const(t, (double)s->m), cr_sum_all(p[Q]));
  cr_var weights = cr_mul(cr_const(t, n), cr_logsumexp(p[ALPHA], -1, NULL, 0));
  return cr_sub(cr_add(cr_const(t, constant), trace), cr_add(size, weights));
}

/* The distances of a few components at a time to the points, which fit in the cache. For the derivative they stay on the
 * tape; else each is recorded where the last one was. */
static int64_t measure(state *s, cr_var frame, cr_var points, bool stay) {
  cr_tape *t = frame.tape;
  int64_t n = cr_dim(points, 1), few = FITS_CACHE / (n * s->d) + 1, size = s->d * (s->d + 1), parts = 0;
  double *frames = cr_view(frame).data;
  for (int64_t j = 0; j < s->k && cr_error(t) == CR_OK; j += few) {
    cr_mark start = cr_mark_here(t);
    int64_t m = j + few < s->k ? few : s->k - j;
    component *c = &s->part[parts++];
    c->frame = cr_tensor_over(t, CR_FLOAT64, 3, (int64_t[]){m, s->d, s->d + 1}, frames + j * size);
    c->distance = distances(c->frame, points);
    copy_value(c->distance, s->distance.at + j * n);
    if (!stay) cr_reset(t, start);
  }
  return parts;
}

/* The likelihood, and its slopes by frame and weight, block by block of points. */
static double add_points(state *s, cr_var frame, cr_var weight, int function) {
  cr_tape *t = frame.tape;
  double sum = 0;
  memset(s->slopes.at, 0, (size_t)s->slopes.count * sizeof(double));
  int64_t rows = rows_of(s);
  cr_mark start = cr_mark_here(t);
  for (int64_t i = 0; i < s->n && cr_error(t) == CR_OK; i += rows, cr_reset(t, start)) {
    int64_t n = i + rows < s->n ? rows : s->n - i;
    cr_var x = cr_matrix_transpose(matrix_constant(t, s->x.at + i * s->d, n, s->d));
    cr_var points = cr_concatenate(2, (cr_var[]){x, cr_ones(t, CR_FLOAT64, 2, (int64_t[]){1, n})}, 0);
    int64_t parts = measure(s, frame, points, function == JACOBIAN);
    cr_var distance = matrix_input(t, s->distance.at, s->k, n), own = vector_input(t, cr_view(weight).data, s->k);
    cr_var part = likelihood(distance, own);
    sum += cr_value(part);
    if (function == OBJECTIVE) continue;
    cr_sweep *sweep = cr_backward(part);
    add_adjoint(sweep, own, s->slopes.at + cr_count(frame));
    copy_adjoint(sweep, distance, s->distance.at);
    cr_sweep_release(sweep);
    double *slope = s->distance.at, *by_frame = s->slopes.at;
    for (component *c = s->part; c < s->part + parts && cr_error(t) == CR_OK; c++) {
      sweep = cr_backward_from(c->distance, matrix_constant(t, slope, cr_dim(c->distance, 0), n));
      add_adjoint(sweep, c->frame, by_frame);
      cr_sweep_release(sweep);
      slope += cr_count(c->distance);
      by_frame += cr_count(c->frame);
    }
  }
  return sum;
}

static void run(void *memory, cr_tape *t, int function) {
  state *s = memory;
  cr_var p[PARAMETERS];
  for (int i = 0; i < PARAMETERS; i++) {
    int64_t dim[2];
    p[i] = cr_tensor_over(t, CR_FLOAT64, shape_of(s, i, dim), dim, s->parameter[i].at);
  }
  cr_var frame = frames(p), weight = cr_add(p[ALPHA], cr_sum(p[Q], 1, (int[]){1}, 0)), rest = prior(s, p);
  if (cr_error(t) != CR_OK) return;
  s->value = add_points(s, frame, weight, function) + cr_value(rest);
  if (function == OBJECTIVE || cr_error(t) != CR_OK) return;
  for (int i = 0; i < PARAMETERS; i++) memset(s->gradient[i].at, 0, (size_t)s->gradient[i].count * sizeof(double));
  cr_array f = cr_view(frame);
  cr_var slope[] = {cr_const(t, 1), cr_constant_of(t, CR_FLOAT64, f.rank, f.dim, s->slopes.at),
                    vector_constant(t, s->slopes.at + f.count, s->k)};
  for (int k = 0; k < 3; k++) {
    cr_sweep *sweep = cr_backward_from((cr_var[]){rest, frame, weight}[k], slope[k]);
    for (int i = 0; i < PARAMETERS; i++) add_adjoint(sweep, p[i], s->gradient[i].at);
    cr_sweep_release(sweep);
  }
}

static void write(const void *memory, int function, text *out) {
  const state *s = memory;
  if (function == OBJECTIVE) {
    put_number(out, s->value);
    return;
  }
  for (int i = 0; i < PARAMETERS; i++) {
    int64_t dim[2];
    put_text(out, i ? ", " : "{");
    put_string(out, name[i]);
    put_text(out, ": ");
    if (shape_of(s, i, dim) == 1) put_list(out, s->gradient[i].at, dim[0]);
    else put_matrix(out, s->gradient[i].at, dim[0], dim[1]);
  }
  put_text(out, "}");
}

static void release(void *memory) {
  state *s = memory;
  for (int p = 0; p < PARAMETERS; p++) {
    free(s->parameter[p].at);
    free(s->gradient[p].at);
  }
  free(s->x.at);
  free(s->slopes.at);
  free(s->part);
  free(s->distance.at);
}

const evaluation gmm = {.name = "gmm", .function = {"objective", "jacobian"}, .size = sizeof(state), .read = read,
                        .run = run, .write = write, .release = release};
