/* ode: y_0' = x_0, y_i' = x_i y_{i-1} from y(0) = 0 to time 2 by s steps of the classical method of Runge and Kutta; and the
 * gradient of the last component of y(2). */
#include <stdlib.h>

#include "gradbench.h"

enum { PRIMAL, GRADIENT, CHUNK = 2048, STAGES = 4 };

typedef struct state {
  int64_t n, steps;
  numbers x, result;
} state;

static bool read(void *memory, const json_t *input, complaint *c) {
  state *s = memory;
  s->n = -1;
  return read_numbers(input, "x", 1, &s->n, &s->x, c) && (s->n > 0 || complain(c, "field x is empty")) &&
         read_integer(input, "s", 1, INT64_C(1) << 32, &s->steps, c) && make_room(&s->result, s->n, c);
}

/* x_i y_{i-1}; before the first component of y comes the element before. */
static cr_var slope(cr_var x, cr_var y, cr_var before) {
  int64_t n = cr_count(x);
  cr_var shifted = n > 1 ? cr_concatenate(2, (cr_var[]){before, cr_slice_axis(y, 0, 0, n - 1, 1)}, 0) : before;
  return cr_mul(x, shifted);
}

/* One step of length h. before and after hold the element before the first, and the last one, of each of the four states
 * whose slopes are taken. */
static cr_var step(cr_var x, cr_var y, double h, const cr_var *before, cr_var *after) {
  cr_tape *t = x.tape;
  cr_var third = cr_const(t, h / 3), half = cr_const(t, h / 2), sixth = cr_const(t, h / 6), whole = cr_const(t, h);
  cr_var k1 = slope(x, y, before[0]);
  cr_var y2 = cr_add(y, cr_mul(half, k1)), k2 = slope(x, y2, before[1]);
  cr_var y3 = cr_add(y, cr_mul(half, k2)), k3 = slope(x, y3, before[2]);
  cr_var y4 = cr_add(y, cr_mul(whole, k3)), k4 = slope(x, y4, before[3]);
  cr_var state[STAGES] = {y, y2, y3, y4};
  for (int k = 0; k < STAGES; k++) after[k] = cr_slice_axis(state[k], 0, -1, INT64_MAX, 1);
  return cr_add(y, cr_add(cr_mul(sixth, cr_add(k1, k4)), cr_mul(third, cr_add(k2, k3))));
}

/* y(2), chunk by chunk: all steps of one while it is in the cache. Component i needs only those before it; of them the chunk
 * needs the last one, at every stage, which edge holds from the chunk before. */
static bool solve(cr_tape *t, state *s, cr_var x, cr_var *last) {
  int64_t stages = STAGES * s->steps;
  cr_var *edge = stages < INT64_C(1) << 32 ? malloc((size_t)stages * sizeof *edge) : NULL;
  if (!edge) cr_fail(t, CR_NO_MEMORY, "no memory for %lld steps", (long long)s->steps);
  cr_var one = cr_full(t, CR_FLOAT64, 1, (int64_t[]){1}, 1);
  for (int64_t k = 0; edge && k < stages; k++) edge[k] = one;
  for (int64_t i = 0; edge && i < s->n; i += CHUNK) {
    cr_var part = cr_slice_axis(x, 0, i, i + CHUNK < s->n ? i + CHUNK : s->n, 1), y = cr_zeros_like(part);
    for (int64_t k = 0; k < s->steps && cr_error(t) == CR_OK; k++)
      y = step(part, y, 2 / (double)s->steps, edge + STAGES * k, edge + STAGES * k);
    copy_value(y, s->result.at + i);
    *last = y;
  }
  free(edge);
  return edge != NULL;
}

static void run(void *memory, cr_tape *t, int function) {
  state *s = memory;
  cr_var x = vector_input(t, s->x.at, s->n), y;
  if (!solve(t, s, x, &y) || function == PRIMAL) return;
  copy_adjoint(cr_backward(cr_select(y, 0, -1)), x, s->result.at);
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
}

const evaluation ode = {.name = "ode", .function = {"primal", "gradient"}, .size = sizeof(state), .read = read, .run = run,
                        .write = write, .release = release};
