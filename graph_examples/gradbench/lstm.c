/* lstm: the loss of a model of text, of layers of diagonal LSTM cells. A layer's forget and output gates see its input u,
 * its input gate and candidate its own old state h:
 *     c <- sigmoid(u w_f + b_f) c + sigmoid(h w_i + b_i) tanh(h w_c + b_c),  h <- sigmoid(u w_o + b_o) tanh(c),
 * and h is the input of the layer above. The loss is minus the mean of s_{t+1} (y_t - log(2 + sum exp y_t)), with
 * y_t = u w_out + b_out of the last layer's u. */
#include <stdlib.h>
#include <string.h>

#include "gradbench.h"

enum { OBJECTIVE, JACOBIAN, MOST_LAYERS = 1 << 16 };

typedef struct state {
  int64_t layers, bits, length;
  numbers main, extra, start, sequence, gradient;
  double value;
} state;

static bool read(void *memory, const json_t *input, complaint *c) {
  state *s = memory;
  int64_t main[2] = {-1, -1}, sequence[2] = {-1, -1};
  if (!read_numbers(input, "main_params", 2, main, &s->main, c)) return false;
  s->layers = main[0] / 2;
  s->bits = main[1] / 4;
  if (!s->layers || main[0] % 2) return complain(c, "field main_params does not have two rows for each layer");
  if (s->layers > MOST_LAYERS) return complain(c, "field main_params has more than %d layers", MOST_LAYERS);
  if (!s->bits || main[1] % 4) return complain(c, "field main_params does not have four numbers for each bit in a row");
  sequence[1] = s->bits;
  if (!read_numbers(input, "extra_params", 2, (int64_t[]){3, s->bits}, &s->extra, c) ||
      !read_numbers(input, "state", 2, (int64_t[]){main[0], s->bits}, &s->start, c) ||
      !read_numbers(input, "sequence", 2, sequence, &s->sequence, c))
    return false;
  s->length = sequence[0] - 1;
  return (s->length > 0 || complain(c, "field sequence has no two characters")) &&
         make_room(&s->gradient, s->main.count + s->extra.count, c);
}

static cr_var part(cr_var x, int axis, int64_t from, int64_t to) { return cr_slice_axis(x, axis, from, to, 1); }
static cr_var side_by_side(cr_var x, cr_var y, cr_var z, cr_var w) {
  return cr_concatenate(4, (cr_var[]){x, y, z, w}, -1);
}

/* The states h of a layer after each of its inputs u, (length, bits); parameters has two rows, of weights and biases, and
 * start two, h and c. Its gates are those of u seen + h weight + bias, in the order input, forget, candidate, output. */
static cr_var layer(cr_var u, cr_var parameters, cr_var start) {
  enum { FORGET, INPUT, OUTPUT, CANDIDATE, GATES };
  int64_t n = cr_dim(u, 1);
  cr_var weights = cr_select(parameters, 0, 0), biases = cr_select(parameters, 0, 1), w[GATES], b[GATES];
  for (int k = 0; k < GATES; k++) {
    w[k] = cr_diag(part(weights, 0, k * n, (k + 1) * n), 0);
    b[k] = part(biases, 0, k * n, (k + 1) * n);
  }
  cr_var none = cr_zeros_like(w[0]), seen = side_by_side(none, w[FORGET], none, w[OUTPUT]);
  cr_var weight = side_by_side(w[INPUT], none, w[CANDIDATE], none);
  cr_var bias = side_by_side(b[INPUT], b[FORGET], b[CANDIDATE], b[OUTPUT]), z = cr_unsqueeze(cr_matmul(u, seen), 1);
  return cr_select(cr_lstm_sequence(z, weight, bias, part(start, 0, 0, 1), part(start, 0, 1, 2), NULL), 1, 0);
}

static cr_var loss(const state *s, cr_var main, cr_var extra, cr_var start, cr_var sequence) {
  cr_tape *t = main.tape;
  cr_var u = cr_mul(part(sequence, 0, 0, s->length), cr_select(extra, 0, 0)), targets = part(sequence, 0, 1, s->length + 1);
  for (int64_t i = 0; i < s->layers; i++) u = layer(u, part(main, 0, 2 * i, 2 * i + 2), part(start, 0, 2 * i, 2 * i + 2));
  cr_var y = cr_add(cr_mul(u, cr_select(extra, 0, 1)), cr_select(extra, 0, 2));
  cr_var z = cr_log(cr_add(cr_const(t, 2), cr_sum(cr_exp(y), 1, (int[]){1}, 1)));
  return cr_mul(cr_const(t, -1 / (double)(s->length * s->bits)), cr_sum_all(cr_mul(targets, cr_sub(y, z))));
}

static void run(void *memory, cr_tape *t, int function) {
  state *s = memory;
  cr_var main = matrix_input(t, s->main.at, 2 * s->layers, 4 * s->bits), extra = matrix_input(t, s->extra.at, 3, s->bits);
  cr_var start = matrix_constant(t, s->start.at, 2 * s->layers, s->bits);
  cr_var f = loss(s, main, extra, start, matrix_constant(t, s->sequence.at, s->length + 1, s->bits));
  s->value = cr_value(f);
  if (function == OBJECTIVE) return;
  cr_sweep *sweep = cr_backward(f);
  copy_adjoint(sweep, main, s->gradient.at);
  copy_adjoint(sweep, extra, s->gradient.at + s->main.count);
}

static void write(const void *memory, int function, text *out) {
  const state *s = memory;
  if (function == JACOBIAN) put_list(out, s->gradient.at, s->gradient.count);
  else put_number(out, s->value);
}

static void release(void *memory) {
  state *s = memory;
  free(s->main.at);
  free(s->extra.at);
  free(s->start.at);
  free(s->sequence.at);
  free(s->gradient.at);
}

const evaluation lstm = {.name = "lstm", .function = {"objective", "jacobian"}, .size = sizeof(state), .read = read,
                         .run = run, .write = write, .release = release};
