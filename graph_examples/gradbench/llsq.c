/* llsq: the polynomial that is nearest to the sign function, y(x) = 1/2 sum_i (s_i - sum_j x_j t_i^j)^2. */
#include <string.h>

#include "gradbench.h"

enum { PRIMAL, GRADIENT, BLOCK = 256 };

typedef struct state {
  list_function f;
  int64_t n;
} state;

static bool read(void *memory, const json_t *input, complaint *c) {
  state *s = memory;
  int64_t m = -1;
  return read_numbers(input, "x", 1, &m, &s->f.x, c) && (m > 0 || complain(c, "field x is empty")) &&
         read_integer(input, "n", 2, INT64_C(1) << 32, &s->n, c) && make_room(&s->f.gradient, m, c);
}

/* The powers 0 to m-1 of t as rows, twice as many each time: t^(k+j) = t^k t^j. */
static cr_var powers(cr_var t, int64_t m) {
  cr_var rows = cr_unsqueeze(cr_ones_like(t), 0);
  for (int64_t k = 1; k < m; k *= 2, t = cr_square(t)) {
    cr_var first = m - k < k ? cr_slice_axis(rows, 0, 0, m - k, 1) : rows;
    rows = cr_concatenate(2, (cr_var[]){rows, cr_mul(first, t)}, 0);
  }
  return rows;
}

/* The sum over the points from the i-th to before the end-th, t_i = -1 + 2 i / (n - 1). */
static cr_var objective(cr_var x, int64_t n, int64_t i, int64_t end) {
  cr_tape *tape = x.tape;
  cr_var step = cr_const(tape, 2 / (double)(n - 1)), index = cr_arange(tape, CR_FLOAT64, (double)i, (double)end, 1);
  cr_var t = cr_sub(cr_mul(index, step), cr_const(tape, 1));
  cr_var r = cr_sub(cr_sign(t), cr_matmul(x, powers(t, cr_count(x))));
  return cr_mul(cr_const(tape, 0.5), cr_sum_all(cr_square(r)));
}

/* Each block of points is recorded where the last one was, in the cache. */
static void run(void *memory, cr_tape *t, int function) {
  state *s = memory;
  cr_var x = vector_input(t, s->f.x.at, s->f.x.count);
  cr_mark start = cr_mark_here(t);
  s->f.value = 0;
  memset(s->f.gradient.at, 0, (size_t)s->f.gradient.count * sizeof(double));
  for (int64_t i = 0; i < s->n && cr_error(t) == CR_OK; i += BLOCK) {
    cr_var y = objective(x, s->n, i, i + BLOCK < s->n ? i + BLOCK : s->n);
    s->f.value += cr_value(y);
    if (function == GRADIENT) add_adjoint(cr_backward(y), x, s->f.gradient.at);
    cr_reset(t, start);
  }
}

const evaluation llsq = {.name = "llsq", .function = {"primal", "gradient"}, .size = sizeof(state), .read = read, .run = run,
                         .write = write_list_function, .release = release_list_function};
