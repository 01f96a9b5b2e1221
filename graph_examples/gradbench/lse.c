/* lse: f(x) = a + log sum_i exp(x_i - a), with a = max x. */
#include <stdlib.h>

#include "gradbench.h"

enum { PRIMAL, GRADIENT, BLOCK = 1 << 13 };

typedef struct state {
  numbers x, gradient;
  double value;
} state;

static bool read(void *memory, const json_t *input, complaint *c) {
  state *s = memory;
  int64_t n = -1;
  return read_numbers(input, "x", 1, &n, &s->x, c) && (n > 0 || complain(c, "field x is empty")) &&
         make_room(&s->gradient, n, c);
}

/* sum_i exp(x_i - a). f does not depend on a, which is there against overflow. */
static cr_var shifted_sum(cr_var x, double a) { return cr_sum_all(cr_exp(cr_sub(x, cr_const(x.tape, a)))); }

/* Block by block, each recorded where the last one was, in the cache: first for the sum, then, with the derivative of the
 * logarithm at hand, for the gradient. */
static void run(void *memory, cr_tape *t, int function) {
  state *s = memory;
  int64_t n = s->x.count;
  double a = cr_value(cr_amax(vector_input(t, s->x.at, n), -1, NULL, 0)), total = 0;
  cr_mark start = cr_mark_here(t);
  for (int64_t i = 0; i < n; i += BLOCK, cr_reset(t, start))
    total += cr_value(shifted_sum(vector_input(t, s->x.at + i, i + BLOCK < n ? BLOCK : n - i), a));
  cr_var sum = cr_input(t, total), f = cr_add(cr_const(t, a), cr_log(sum));
  s->value = cr_value(f);
  if (function == PRIMAL) return;
  cr_var slope = cr_const(t, cr_adjoint(cr_backward(f), sum));
  start = cr_mark_here(t);
  for (int64_t i = 0; i < n; i += BLOCK, cr_reset(t, start)) {
    cr_var x = vector_input(t, s->x.at + i, i + BLOCK < n ? BLOCK : n - i);
    copy_adjoint(cr_backward_from(shifted_sum(x, a), slope), x, s->gradient.at + i);
  }
}

static void write(const void *memory, int function, text *out) {
  const state *s = memory;
  if (function == GRADIENT) put_list(out, s->gradient.at, s->gradient.count);
  else put_number(out, s->value);
}

static void release(void *memory) {
  state *s = memory;
  free(s->x.at);
  free(s->gradient.at);
}

const evaluation lse = {.name = "lse", .function = {"primal", "gradient"}, .size = sizeof(state), .read = read, .run = run,
                        .write = write, .release = release};
