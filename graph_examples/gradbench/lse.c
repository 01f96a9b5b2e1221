/* lse: f(x) = a + log sum_i exp(x_i - a), with a = max x. */
#include <stdlib.h>

#include "gradbench.h"

enum { PRIMAL, GRADIENT };

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

/* f does not depend on a, which is there against overflow. */
static cr_var log_sum_exp(cr_var x) {
  cr_var a = cr_stop_gradient(cr_amax(x, -1, NULL, 0));
  return cr_add(a, cr_log(cr_sum_all(cr_exp(cr_sub(x, a)))));
}

static void run(void *memory, cr_tape *t, int function) {
  state *s = memory;
  cr_var x = vector_input(t, s->x.at, s->x.count), f = log_sum_exp(x);
  s->value = cr_value(f);
  if (function == GRADIENT) copy_adjoint(cr_backward(f), x, s->gradient.at);
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
