/* lse: f(x) = a + log sum_i exp(x_i - a), with a = max x. */
#include <stdlib.h>

#include <function.h>

#include "gradbench.h"

enum { PRIMAL, GRADIENT, BLOCK = 1 << 13 };

typedef struct state {
  list_function f;
  numbers values, slopes; /* f of the blocks; the derivatives by these */
} state;

static bool read(void *memory, const json_t *input, complaint *c) {
  state *s = memory;
  int64_t n = -1;
  return read_numbers(input, "x", 1, &n, &s->f.x, c) && (n > 0 || complain(c, "field x is empty")) &&
         make_room(&s->f.gradient, n, c) && make_room(&s->values, n / BLOCK + 1, c) &&
         make_room(&s->slopes, n / BLOCK + 1, c);
}

static cr_var f(cr_var x) { return cr_logsumexp(x, -1, NULL, 0); }

/* f of the block of n numbers, or the gradient of that times a number, as a function. */
static cr_fn *capture(const state *s, cr_tape *t, int function, int64_t from, int64_t n) {
  cr_mark start = cr_mark_here(t);
  cr_var in[2] = {vector_input(t, s->f.x.at + from, n), cr_input(t, 1)}, out = f(in[0]);
  if (function == GRADIENT) cr_vjp(out, in[1], 1, in, &out);
  cr_fn *fn = cr_capture(t, 2, in, 1, &out, 0, NULL, CR_FN_EXACT);
  cr_reset(t, start);
  return fn;
}

/* Runs it on the blocks of that length between from and to: values of blocks into result, or their parts of the gradient. */
static void run_blocks(const state *s, cr_tape *t, int function, int64_t from, int64_t to, int64_t length, double *result) {
  cr_fn *fn = capture(s, t, function, from, length);
  cr_workspace *space = fn ? cr_workspace_new(fn) : NULL;
  if (fn && !space) cr_fail(t, CR_NO_MEMORY, "no memory for a block");
  for (int64_t i = from; i < to && cr_error(t) == CR_OK; i += length) {
    cr_array in[2] = {cr_fn_input(fn, 0), cr_fn_input(fn, 1)}, out = cr_fn_output(fn, 0);
    in[0].data = s->f.x.at + i, in[1].data = s->slopes.at + i / BLOCK;
    out.data = function == GRADIENT ? result + i : result + i / BLOCK;
    cr_status status = cr_fn_run(fn, space, in, &out);
    if (status != CR_OK) cr_fail(t, status, "%s", cr_workspace_error(space));
  }
  cr_workspace_free(space);
  cr_fn_free(fn);
}

static void run_all(const state *s, cr_tape *t, int function, double *result) {
  int64_t n = s->f.x.count, whole = n / BLOCK * BLOCK;
  if (whole) run_blocks(s, t, function, 0, whole, BLOCK, result);
  if (whole < n) run_blocks(s, t, function, whole, n, n - whole, result);
}

/* f of a long x is f of what f is on blocks of x, which fit in the cache. When the derivatives by their values are known,
 * each block has its part of the gradient. */
static void run(void *memory, cr_tape *t, int function) {
  state *s = memory;
  run_all(s, t, PRIMAL, s->values.at);
  cr_var values = vector_input(t, s->values.at, (s->f.x.count + BLOCK - 1) / BLOCK), whole = f(values);
  s->f.value = cr_value(whole);
  if (function == PRIMAL) return;
  copy_adjoint(cr_backward(whole), values, s->slopes.at);
  run_all(s, t, GRADIENT, s->f.gradient.at);
}

static void release(void *memory) {
  state *s = memory;
  release_list_function(&s->f);
  free(s->values.at);
  free(s->slopes.at);
}

const evaluation lse = {.name = "lse", .function = {"primal", "gradient"}, .size = sizeof(state), .read = read, .run = run,
                        .write = write_list_function, .release = release};
