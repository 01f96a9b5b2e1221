/* kmeans: the cost sum_i min_j |C_j - P_i|^2 of centroids C for points P, and Newton's direction: the quotient of its gradient
 * and the diagonal of its Hessian. No two centroids share a term, so the Hessian is diagonal, and its product with ones is
 * that diagonal. */
#include <stdlib.h>
#include <string.h>

#include "gradbench.h"

enum { COST, DIR, BLOCK = 1 << 18 };

typedef struct state {
  int64_t n, k, d;
  numbers points, centroids, direction;
  double cost;
} state;

static bool read(void *memory, const json_t *input, complaint *c) {
  state *s = memory;
  int64_t p[2] = {-1, -1}, q[2] = {-1, -1};
  if (!read_numbers(input, "points", 2, p, &s->points, c)) return false;
  q[1] = p[1];
  if (!read_numbers(input, "centroids", 2, q, &s->centroids, c)) return false;
  s->n = p[0], s->k = q[0], s->d = q[1];
  return (s->n && s->d ? s->k > 0 || complain(c, "field centroids is empty") : complain(c, "field points is empty")) &&
         make_room(&s->direction, s->k * s->d, c);
}

static cr_var nearest(cr_var points, cr_var centroids) {
  /* |C - P|^2 = |C|^2 - 2 P C^T + |P|^2, whose last term is the same for all centroids. */
  cr_var squares = cr_sum(cr_square(centroids), 1, (int[]){1}, 0);
  cr_var products = cr_matmul(cr_mul(points, cr_const(points.tape, -2)), cr_matrix_transpose(centroids));
  return cr_argmin(cr_add(products, squares), 1, (int[]){1}, 0);
}

/* The index of the nearest centroid has no derivative: where it is the same all around, it is constant. */
static cr_var cost(cr_var centroids, cr_var points, int64_t n, int64_t k) {
  int64_t rows = BLOCK / k + 1;
  cr_var fixed = cr_stop_gradient(centroids), index = cr_poison(points.tape);
  for (int64_t i = 0; i < n; i += rows) {
    cr_var part = nearest(cr_slice_axis(points, 0, i, i + rows < n ? i + rows : n, 1), fixed);
    index = i ? cr_concatenate(2, (cr_var[]){index, part}, 0) : part;
  }
  return cr_sum_all(cr_square(cr_sub(cr_index_select(centroids, 0, index), points)));
}

static void run(void *memory, cr_tape *t, int function) {
  state *s = memory;
  cr_var points = matrix_constant(t, s->points.at, s->n, s->d), centroids = matrix_input(t, s->centroids.at, s->k, s->d);
  cr_var f = cost(centroids, points, s->n, s->k), none = cr_poison(t), ones = cr_ones_like(centroids), gradient, diagonal;
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
}

const evaluation kmeans = {.name = "kmeans", .function = {"cost", "dir"}, .size = sizeof(state), .read = read, .run = run,
                           .write = write, .release = release};
