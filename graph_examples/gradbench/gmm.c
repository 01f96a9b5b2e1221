/* gmm: the log posterior of a mixture of k Gaussians at n points x_i of dimension d, with a Wishart prior:
 *     sum_i logsumexp_k(alpha_k + sum_j q_kj - 1/2 |Q_k (x_i - mu_k)|^2) - n logsumexp(alpha) - n d/2 log(2 pi) + log prior,
 * where Q_k is lower triangular with diagonal exp(q_k) and below it l_k, column by column. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "gradbench.h"

enum { OBJECTIVE, JACOBIAN, MOST = 1 << 20, BLOCK = 1 << 16 };

typedef struct parameter {
  const char *name;
  int64_t columns;          /* 0: a vector */
  numbers value, gradient;
} parameter;

typedef struct state {
  int64_t n, k, d, m;
  double gamma;
  numbers points;           /* transposed, over a row of ones: (d + 1, n) */
  parameter alpha, mu, q, l;
  double value;
} state;

static const double pi = 3.14159265358979323846;

static bool read_parameter(const state *s, parameter *p, const char *name, int64_t columns, const json_t *input, complaint *c) {
  int64_t dim[2] = {s->k, columns};
  p->name = name;
  p->columns = columns;
  return read_numbers(input, name, columns ? 2 : 1, dim, &p->value, c) && make_room(&p->gradient, p->value.count, c);
}

static bool read_points(state *s, const json_t *input, complaint *c) {
  int64_t dim[2] = {s->n, s->d};
  numbers rows = {0};
  bool good = read_numbers(input, "x", 2, dim, &rows, c) && make_room(&s->points, (s->d + 1) * s->n, c);
  for (int64_t i = 0; good && i < s->n; i++) {
    for (int64_t j = 0; j < s->d; j++) s->points.at[j * s->n + i] = rows.at[i * s->d + j];
    s->points.at[s->d * s->n + i] = 1;
  }
  free(rows.at);
  return good;
}

static bool read(void *memory, const json_t *input, complaint *c) {
  state *s = memory;
  s->m = 0;
  s->gamma = 1;
  return read_integer(input, "d", 1, MOST, &s->d, c) && read_integer(input, "k", 1, MOST, &s->k, c) &&
         read_integer(input, "n", 1, INT64_C(1) << 32, &s->n, c) &&
         (!json_object_get(input, "m") || read_integer(input, "m", 0, MOST, &s->m, c)) &&
         (!json_object_get(input, "gamma") || read_number(input, "gamma", &s->gamma, c)) &&
         (s->gamma > 0 || complain(c, "field gamma is not positive")) && read_points(s, input, c) &&
         read_parameter(s, &s->alpha, "alpha", 0, input, c) && read_parameter(s, &s->mu, "mu", s->d, input, c) &&
         read_parameter(s, &s->q, "q", s->d, input, c) && read_parameter(s, &s->l, "l", s->d * (s->d - 1) / 2, input, c);
}
