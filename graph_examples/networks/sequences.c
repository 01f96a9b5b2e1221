/* Recurrent layers over (batch, time, features). The inputs of all steps go through one product; time comes first inside, so
 * that a step is a contiguous view. */
#include <stdlib.h>

#include "model.h"

typedef struct loop loop;
/* One step: from the state and the input's part to the output; may change the state. */
typedef cr_var step(loop *l, cr_var input);

struct loop {
  cr_model *m;
  int64_t units;
  cr_var hidden, cell, weight, bias;
};

static cr_var rnn_step(loop *l, cr_var input) { return l->hidden = cr_tanh(cr_add(input, cr_matmul(l->hidden, l->weight))); }

/* Gates in the order input, forget, candidate, output. */
static cr_var lstm_step(loop *l, cr_var input) {
  return l->hidden = cr_lstm_gates(cr_add(input, cr_matmul(l->hidden, l->weight)), l->cell, &l->cell);
}

/* Gates in the order reset, update, candidate; the reset gate acts on the product with the state, whose bias is its own. */
static cr_var gru_step(loop *l, cr_var input) {
  return l->hidden = cr_gru_gates(input, cr_add(cr_matmul(l->hidden, l->weight), l->bias), l->hidden);
}

/* Biases of zero, but one for the forget gate (Jozefowicz, Zaremba and Sutskever 2015). */
static cr_var bias_of(cr_model *m, int64_t gates, int64_t units) {
  int known = cr_model_count(m);
  cr_var bias = cr_model_bias(m, "bias", gates * units, 0);
  if (gates == 4 && cr_model_count(m) > known) {
    cr_array *value = &cr_model_parameter(m, known)->value;
    for (int64_t k = units; k < 2 * units; k++) cr_array_set(value, k, 1);
  }
  return bias;
}

static cr_var run(loop *l, cr_var inputs, int64_t time, step *f) {
  cr_tape *t = l->m->tape;
  cr_var *outputs = malloc((size_t)time * sizeof *outputs);
  if (!outputs) return cr__model_full(l->m);
  for (int64_t k = 0; k < time && cr_error(t) == CR_OK; k++) outputs[k] = f(l, cr_select(inputs, 0, k));
  cr_var all = cr_error(t) == CR_OK ? cr_stack((int)time, outputs, 1) : cr_poison(t);
  free(outputs);
  return all;
}

static cr_var recurrent(cr_model *m, cr_var x, int64_t units, int64_t gates, step *f) {
  if (!cr__has_axes(m, x, 3, "axes for batch, time and features") || !cr__positive(m, units, "units") ||
      !cr__positive(m, cr_dim(x, 1), "time"))
    return cr_poison(m->tape);
  int64_t features = cr_dim(x, 2), batch = cr_dim(x, 0), state[2] = {batch, units};
  cr_var weight = cr_model_weight(m, "weight_input", 2, (int64_t[]){features, gates * units}, "glorot");
  loop l = {m, units, cr_zeros(m->tape, m->dtype, 2, state), cr_poison(m->tape), cr_poison(m->tape), cr_poison(m->tape)};
  l.weight = cr_model_weight(m, "weight_hidden", 2, (int64_t[]){units, gates * units}, "orthogonal");
  cr_var bias = bias_of(m, gates, units);
  if (gates == 4) l.cell = l.hidden;
  if (gates == 3) l.bias = cr_model_bias(m, "bias_hidden", gates * units, 0);
  if (cr_is_poison(weight)) return weight;
  cr_var inputs = cr_add(cr_matmul(cr_transpose(x, 0, 1), weight), bias);
  return run(&l, inputs, cr_dim(x, 1), f);
}

static cr_var layer(cr_model *m, cr_var x, int64_t units, const char *kind, int64_t gates, step *f) {
  cr_model_open(m, kind);
  cr_var y = recurrent(m, x, units, gates, f);
  cr_model_close(m, y);
  return y;
}

cr_var cr_rnn(cr_model *m, cr_var x, int64_t units) { return layer(m, x, units, "rnn", 1, rnn_step); }
cr_var cr_gru(cr_model *m, cr_var x, int64_t units) { return layer(m, x, units, "gru", 3, gru_step); }
cr_var cr_lstm(cr_model *m, cr_var x, int64_t units) { return layer(m, x, units, "lstm", 4, lstm_step); }

cr_var cr_last(cr_var sequence) {
  if (cr_is_poison(sequence)) return sequence;
  if (cr_rank(sequence) < 2 || cr_dim(sequence, 1) < 1)
    return cr_fail(sequence.tape, CR_BAD_SHAPE, "last: the input has rank %d; it needs axes for batch and time",
                   cr_rank(sequence));
  return cr_select(sequence, 1, -1);
}
