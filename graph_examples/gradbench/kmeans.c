/* kmeans: the cost sum_i min_j |C_j - P_i|^2 of centroids C for points P, and Newton's direction: the quotient of its
 * gradient and the diagonal of its Hessian. No two coordinates of centroids share a term, so the Hessian is diagonal, and
 * its product with ones is that diagonal. */
#include <stdlib.h>
#include <string.h>

#include "gradbench.h"

enum { COST, DIR, FITS_CACHE = 1 << 16 };

typedef struct state {
  int64_t n, k, d;
  numbers points, centroids, direction;
  integers nearest;
  double cost;
} state;

static bool read(void *memory, const json_t *input, complaint *c) {
  state *s = memory;
  int64_t p[2] = {-1, -1}, q[2] = {-1, -1};
  if (!read_numbers(input, "points", 2, p, &s->points, c)) return false;
  if (!p[0] || !p[1]) return complain(c, "field points is empty");
  q[1] = p[1];
  if (!read_numbers(input, "centroids", 2, q, &s->centroids, c)) return false;
  s->n = p[0], s->k = q[0], s->d = q[1];
  return (s->k > 0 || complain(c, "field centroids is empty")) && make_room(&s->direction, s->k * s->d, c) &&
         make_integer_room(&s->nearest, s->n, c);
}

/* (-2 C_j, |C_j|^2) for all centroids: its product with (P, 1) is |C_j - P|^2 but for |P|^2, the same for all of them. */
static cr_var frame(cr_var centroids) {
  cr_var squares = cr_sum(cr_square(centroids), 1, (int[]){1}, 1);
  return cr_concatenate(2, (cr_var[]){cr_mul(centroids, cr_const(centroids.tape, -2)), squares}, 1);
}
static cr_var nearest(cr_var points, cr_var frame) {
  cr_var one = cr_ones(points.tape, CR_FLOAT64, 2, (int64_t[]){cr_dim(points, 0), 1});
  cr_var extended = cr_concatenate(2, (cr_var[]){points, one}, 1);
  return cr_argmin(cr_matmul(extended, cr_matrix_transpose(frame)), 1, (int[]){1}, 0);
}

/* The nearest centroids of all points, block by block: each is recorded where the last one was, in the cache. */
static void assign(state *s, cr_tape *t) {
  int64_t rows = FITS_CACHE / s->k + 1;
  cr_var all = frame(matrix_constant(t, s->centroids.at, s->k, s->d));
  cr_mark start = cr_mark_here(t);
  for (int64_t i = 0; i < s->n && cr_error(t) == CR_OK; i += rows, cr_reset(t, start)) {
    cr_var points = matrix_constant(t, s->points.at + i * s->d, i + rows < s->n ? rows : s->n - i, s->d);
    cr_array index = cr_view(nearest(points, all));
    if (index.dtype == CR_INT64) memcpy(s->nearest.at + i, index.data, (size_t)index.count * sizeof(int64_t));
  }
}

/* The index of the nearest centroid has no derivative: where it is the same all around, it is constant. */
static cr_var cost(cr_var centroids, cr_var points, cr_var index) {
  return cr_sum_all(cr_square(cr_sub(cr_index_select(centroids, 0, index), points)));
}

static void run(void *memory, cr_tape *t, int function) {
  state *s = memory;
  assign(s, t);
  cr_var points = matrix_constant(t, s->points.at, s->n, s->d), centroids = matrix_input(t, s->centroids.at, s->k, s->d);
  cr_var index = cr_tensor_over(t, CR_INT64, 1, &s->n, s->nearest.at), f = cost(centroids, points, index);
  cr_var none = cr_poison(t), ones = cr_ones_like(centroids), gradient, diagonal;
  s->cost = cr_value(f);
  if (function == DIR && cr_grad(f, 1, &centroids, &gradient) == CR_OK &&
      cr_hvp(f, none, 1, &centroids, &ones, &diagonal) == CR_OK)
    copy_value(cr_div(gradient, diagonal), s->direction.at);
}

static void write(const void *memory, int function, text *out) {
  const state *s = memory;
  if (function == DIR) put_matrix(out, s->direction.at, s->k, s->d);
  else put_number(out, s->cost);
}

static void release(void *memory) {
  state *s = memory;
  free(s->points.at);
  free(s->centroids.at);
  free(s->direction.at);
  free(s->nearest.at);
}

const evaluation kmeans = {.name = "kmeans", .function = {"cost", "dir"}, .size = sizeof(state), .read = read, .run = run,
                           .write = write, .release = release};
