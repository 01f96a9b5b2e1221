/* ode: y_0' = x_0, y_i' = x_i y_{i-1} from y(0) = 0 to time 2 by s steps of the classical method of Runge and Kutta; and the
 * gradient of the last component of y(2). */
#include <stdlib.h>
#include <string.h>

#include "gradbench.h"

enum { PRIMAL, GRADIENT, CHUNK = 2048, STAGES = 4 };

typedef struct state {
  int64_t n, steps;
  numbers x, result;
  numbers edges;            /* [chunk][step][stage]: the component before the chunk's first, of each state with a slope */
  numbers edge_gradient;
} state;

static bool read(void *memory, const json_t *input, complaint *c) {
  state *s = memory;
  s->n = -1;
  if (!read_numbers(input, "x", 1, &s->n, &s->x, c)) return false;
  if (!s->n) return complain(c, "field x is empty");
  int64_t chunks = (s->n + CHUNK - 1) / CHUNK;
  return read_integer(input, "s", 1, (INT64_C(1) << 40) / chunks, &s->steps, c) && make_room(&s->result, s->n, c) &&
         make_room(&s->edges, (chunks + 1) * s->steps * STAGES, c) &&
         make_room(&s->edge_gradient, s->steps * STAGES, c);
}

/* x_i y_{i-1}; before the first component of y comes the element before. */
static cr_var slope(cr_var x, cr_var y, cr_var before) {
  int64_t n = cr_count(x);
  cr_var shifted = n > 1 ? cr_concatenate(2, (cr_var[]){before, cr_slice_axis(y, 0, 0, n - 1, 1)}, 0) : before;
  return cr_mul(x, shifted);
}

/* One step of length h from y. before has the component before the first, and after the last, of each state with a slope. */
static cr_var step(cr_var x, cr_var y, double h, cr_var before, cr_var *after) {
  cr_tape *t = x.tape;
  cr_var k[STAGES], stage[STAGES] = {y}, edge[STAGES], sum;
  const double ahead[STAGES] = {h / 2, h / 2, h, 0};
  for (int i = 0; i < STAGES; i++) {
    k[i] = slope(x, stage[i], cr_slice_axis(before, 0, i, i + 1, 1));
    edge[i] = cr_slice_axis(stage[i], 0, -1, INT64_MAX, 1);
    if (i + 1 < STAGES) stage[i + 1] = cr_add(y, cr_mul(cr_const(t, ahead[i]), k[i]));
  }
  if (after) *after = cr_concatenate(STAGES, edge, 0);
  sum = cr_add(cr_add(k[0], k[3]), cr_mul(cr_const(t, 2), cr_add(k[1], k[2])));
  return cr_add(y, cr_mul(cr_const(t, h / 6), sum));
}

static cr_var part_of(state *s, cr_tape *t, int64_t chunk) {
  int64_t from = chunk * CHUNK;
  return vector_input(t, s->x.at + from, s->n - from < CHUNK ? s->n - from : CHUNK);
}
static double *edge_of(const state *s, int64_t chunk, int64_t k) { return s->edges.at + (chunk * s->steps + k) * STAGES; }

/* y(2): all steps of a chunk of components, then of the next, since a component needs only the one before. Each step is
 * recorded where the last one was, in the cache. */
static void solve(state *s, cr_tape *t) {
  const double h = 2 / (double)s->steps;
  for (int64_t k = 0; k < s->steps * STAGES; k++) s->edges.at[k] = 1;
  for (int64_t chunk = 0; chunk * CHUNK < s->n; chunk++) {
    cr_mark start = cr_mark_here(t);
    cr_var x = part_of(s, t, chunk), after;
    double *y = s->result.at + chunk * CHUNK;
    memset(y, 0, (size_t)cr_count(x) * sizeof *y);
    for (int64_t k = 0; k < s->steps && cr_error(t) == CR_OK; k++) {
      cr_mark own = cr_mark_here(t);
      cr_var next = step(x, vector_input(t, y, cr_count(x)), h, vector_input(t, edge_of(s, chunk, k), STAGES), &after);
      copy_value(after, edge_of(s, chunk + 1, k));
      copy_value(next, y);
      cr_reset(t, own);
    }
    cr_reset(t, start);
  }
}

/* The gradient of the last component, chunk by chunk from the last: all steps of one are recorded again, from the edges that
 * solve left. edge_gradient is the derivative by the edges after the chunk. */
static void differentiate(state *s, cr_tape *t) {
  const double h = 2 / (double)s->steps;
  int64_t edges = s->steps * STAGES;
  memset(s->result.at, 0, (size_t)s->n * sizeof(double));
  memset(s->edge_gradient.at, 0, (size_t)edges * sizeof(double));
  for (int64_t chunk = (s->n - 1) / CHUNK, last = chunk; chunk >= 0 && cr_error(t) == CR_OK; chunk--) {
    cr_mark start = cr_mark_here(t);
    cr_var x = part_of(s, t, chunk), y = cr_zeros_like(x), before = vector_input(t, edge_of(s, chunk, 0), edges);
    cr_var after = cr_zeros(t, CR_FLOAT64, 0, NULL), part;
    cr_var weight = vector_constant(t, s->edge_gradient.at, edges);
    for (int64_t k = 0; k < s->steps; k++) {
      y = step(x, y, h, cr_slice_axis(before, 0, k * STAGES, (k + 1) * STAGES, 1), &part);
      after = cr_add(after, cr_sum_all(cr_mul(part, cr_slice_axis(weight, 0, k * STAGES, (k + 1) * STAGES, 1))));
    }
    cr_sweep *sweep = cr_backward(chunk == last ? cr_add(cr_select(y, 0, -1), after) : after);
    copy_adjoint(sweep, x, s->result.at + chunk * CHUNK);
    copy_adjoint(sweep, before, s->edge_gradient.at);
    cr_reset(t, start);
    bool any = false;
    for (int64_t k = 0; k < edges; k++) any = any || s->edge_gradient.at[k] != 0;
    if (!any) break;
  }
}

static void run(void *memory, cr_tape *t, int function) {
  solve(memory, t);
  if (function == GRADIENT) differentiate(memory, t);
}

static void write(const void *memory, int function, text *out) {
  const state *s = memory;
  (void)function;
  put_list(out, s->result.at, s->n);
}

static void release(void *memory) {
  state *s = memory;
  free(s->x.at);
  free(s->result.at);
  free(s->edges.at);
  free(s->edge_gradient.at);
}

const evaluation ode = {.name = "ode", .function = {"primal", "gradient"}, .size = sizeof(state), .read = read, .run = run,
                        .write = write, .release = release};
