/* Recurrent layers over (batch, time, features). The inputs of all steps go through one product; time comes first inside. */
#include "model.h"

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

enum { ELMAN = 1, GRU = 3, LSTM = 4 }; /* by their gates */

/* The reset gate of a GRU acts on the product with the state, whose bias is its own. */
static cr_var recurrent(cr_model *m, cr_var x, int64_t units, int64_t gates) {
  if (!cr__has_axes(m, x, 3, "axes for batch, time and features") || !cr__positive(m, units, "units") ||
      !cr__positive(m, cr_dim(x, 1), "time"))
    return cr_poison(m->tape);
  cr_var input = cr_model_weight(m, "weight_input", 2, (int64_t[]){cr_dim(x, 2), gates * units}, "glorot");
  cr_var hidden = cr_model_weight(m, "weight_hidden", 2, (int64_t[]){units, gates * units}, "orthogonal");
  cr_var bias = bias_of(m, gates, units), zeros = cr_zeros(m->tape, m->dtype, 2, (int64_t[]){cr_dim(x, 0), units});
  cr_var own = gates == GRU ? cr_model_bias(m, "bias_hidden", gates * units, 0) : bias;
  if (cr_is_poison(input) || cr_is_poison(own)) return cr_poison(m->tape);
  cr_var z = cr_matmul(cr_transpose(x, 0, 1), input), y;
  if (gates == LSTM) y = cr_lstm_sequence(z, hidden, own, zeros, zeros, NULL);
  else y = gates == GRU ? cr_gru_sequence(cr_add(z, bias), hidden, own, zeros) : cr_rnn_sequence(z, hidden, own, zeros);
  return cr_transpose(y, 0, 1);
}

static cr_var layer(cr_model *m, cr_var x, int64_t units, const char *kind, int64_t gates) {
  cr_model_open(m, kind);
  cr_var y = recurrent(m, x, units, gates);
  cr_model_close(m, y);
  return y;
}

cr_var cr_rnn(cr_model *m, cr_var x, int64_t units) { return layer(m, x, units, "rnn", ELMAN); }
cr_var cr_gru(cr_model *m, cr_var x, int64_t units) { return layer(m, x, units, "gru", GRU); }
cr_var cr_lstm(cr_model *m, cr_var x, int64_t units) { return layer(m, x, units, "lstm", LSTM); }

cr_var cr_last(cr_var sequence) {
  if (cr_is_poison(sequence)) return sequence;
  if (cr_rank(sequence) < 2 || cr_dim(sequence, 1) < 1)
    return cr_fail(sequence.tape, CR_BAD_SHAPE, "last: the input has rank %d; it needs axes for batch and time",
                   cr_rank(sequence));
  return cr_select(sequence, 1, -1);
}
