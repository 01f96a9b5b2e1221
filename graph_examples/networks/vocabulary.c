/* Layers as functions of the expression language. */
#include <stdlib.h>
#include <string.h>

#include "model.h"

/* The model behind a call, its name and initialiser in force: those at these places of the signature, -1: none. */
typedef struct opened {
  cr_model *m;
  const char *initializer;
  char *before;
} opened;

static opened begin(cr_call *c, int init, int name) {
  const cr__layer_word *word = (const cr__layer_word *)(const void *)cr_call_function(c);
  opened o = {word->model, NULL, NULL};
  if (name >= 0 && cr_arg_given(c, name)) cr_model_name_next(o.m, cr_arg_text(c, name));
  if (init >= 0 && cr_arg_given(c, init)) o.initializer = cr_arg_text(c, init);
  o.before = cr__initializer_set(o.m, o.initializer);
  return o;
}

static void end(cr_call *c, opened o, cr_var y) {
  cr__initializer_back(o.m, o.before, o.initializer);
  cr_return(c, y);
}

static void call_dense(cr_call *c) {
  opened o = begin(c, 3, 4);
  cr__affine a = {.units = cr_arg_int(c, 1), .bias = cr_arg_bool(c, 2), .weight_noise = cr_arg_number(c, 5)};
  end(c, o, cr__dense_layer(o.m, cr_arg_var(c, 0), &a));
}
static void call_perceptron(cr_call *c) {
  opened o = begin(c, 2, 3);
  cr_var x = cr_arg_var(c, 0);
  end(c, o, cr_perceptron(o.m, x, cr_arg_int(c, 1)));
}
static void call_drop(cr_call *c) {
  opened o = begin(c, -1, -1);
  cr_var x = cr_arg_var(c, 0);
  end(c, o, cr_drop(o.m, x, cr_arg_number(c, 1)));
}
static void call_noise(cr_call *c) {
  opened o = begin(c, -1, -1);
  cr_var x = cr_arg_var(c, 0);
  end(c, o, cr_noise(o.m, x, cr_arg_number(c, 1)));
}
static void call_batch_normalize(cr_call *c) {
  opened o = begin(c, -1, 1);
  end(c, o, cr_batch_normalize(o.m, cr_arg_var(c, 0)));
}
static void call_layer_normalize(cr_call *c) {
  opened o = begin(c, -1, 1);
  end(c, o, cr_layer_normalize(o.m, cr_arg_var(c, 0)));
}
static void call_embed(cr_call *c) {
  opened o = begin(c, 3, 4);
  cr_var tokens = cr_arg_index(c, 0);
  int64_t vocabulary = cr_arg_int(c, 1);
  end(c, o, cr_embed(o.m, tokens, vocabulary, cr_arg_int(c, 2)));
}
static void call_convolution(cr_call *c) {
  opened o = begin(c, 6, 7);
  cr__window w = {
    .channels = cr_arg_int(c, 1), .kernel = cr_arg_int(c, 2), .stride = cr_arg_int(c, 3), .bias = cr_arg_bool(c, 5)};
  w.same = cr_arg_is_text(c, 4);
  if (!w.same) w.padding = cr_arg_int(c, 4);
  else if (strcmp(cr_arg_text(c, 4), "same"))
    cr_fail(o.m->tape, CR_BAD_ARGUMENT, "padding is a number or 'same', not '%.40s'", cr_arg_text(c, 4));
  end(c, o, cr__convolution_layer(o.m, cr_arg_var(c, 0), &w));
}
static void call_pool_max(cr_call *c) {
  opened o = begin(c, -1, -1);
  cr_var x = cr_arg_var(c, 0);
  end(c, o, cr_pool_max(x, cr_arg_int(c, 1)));
}
static void call_pool_mean(cr_call *c) {
  opened o = begin(c, -1, -1);
  cr_var x = cr_arg_var(c, 0);
  end(c, o, cr_pool_mean(x, cr_arg_int(c, 1)));
}
static void call_recurrent(cr_call *c, cr_var (*layer)(cr_model *, cr_var, int64_t)) {
  opened o = begin(c, 2, 3);
  cr_var x = cr_arg_var(c, 0);
  end(c, o, layer(o.m, x, cr_arg_int(c, 1)));
}
static void call_rnn(cr_call *c) { call_recurrent(c, cr_rnn); }
static void call_gru(cr_call *c) { call_recurrent(c, cr_gru); }
static void call_lstm(cr_call *c) { call_recurrent(c, cr_lstm); }
static void call_last(cr_call *c) { cr_return(c, cr_last(cr_arg_var(c, 0))); }
static void call_positions(cr_call *c) {
  opened o = begin(c, 1, 2);
  end(c, o, cr_positions(o.m, cr_arg_var(c, 0)));
}
static void call_attention(cr_call *c) {
  opened o = begin(c, 3, 4);
  cr_var x = cr_arg_var(c, 0);
  int64_t heads = cr_arg_int(c, 1);
  end(c, o, cr_attention(o.m, x, heads, cr_arg_bool(c, 2)));
}
static void call_transformer(cr_call *c) {
  opened o = begin(c, 4, 5);
  cr_var x = cr_arg_var(c, 0);
  int64_t heads = cr_arg_int(c, 1);
  int causal = cr_arg_bool(c, 2);
  end(c, o, cr__transformer_layer(o.m, x, heads, causal, cr_arg_number(c, 3)));
}
static void call_sequential(cr_call *c) {
  opened o = begin(c, -1, -1);
  cr_var x = cr_arg_var(c, 0);
  end(c, o, cr_sequential(o.m, x, cr_arg_text(c, 1)));
}
static void call_residual(cr_call *c) {
  opened o = begin(c, -1, -1);
  cr_var x = cr_arg_var(c, 0);
  end(c, o, cr_residual(o.m, x, cr_arg_text(c, 1)));
}

#define LAYER .family = "layer"

static const cr_function words[] = {
  {"dense(x, units, bias=True, init=None, name=None, weight_noise=0)", .call = call_dense, LAYER,
   .doc = "x W + b over the last axis; weight_noise is the deviation of Gaussian noise on W in training."},
  {"perceptron(x, units, init=None, name=None)", .call = call_perceptron, LAYER,
   .doc = "1 where x W + b > 0, else 0; no derivative: the loss perceptron_rule teaches a dense layer its weights."},
  {"drop(x, rate=0.5)", .call = call_drop, LAYER,
   .doc = "Inverted dropout: in training each number is 0 with probability rate and else divided by 1 - rate."},
  {"noise(x, std=0.1)", .call = call_noise, LAYER, .doc = "x plus Gaussian noise in training."},
  {"batch_normalize(x, name=None)", .call = call_batch_normalize, LAYER,
   .doc = "Mean 0 and variance 1 over all axes but axis 1, then gain and bias; running statistics outside training."},
  {"layer_normalize(x, name=None)", .call = call_layer_normalize, LAYER,
   .doc = "Mean 0 and variance 1 over the last axis, then gain and bias."},
  {"embed(tokens, vocabulary, width, init=None, name=None)", .call = call_embed, LAYER,
   .doc = "A learned vector for each token: (...) integers to (..., width)."},
  {"convolution(x, channels, kernel, stride=1, padding=0, bias=True, init=None, name=None)", .call = call_convolution, LAYER,
   .doc = "Convolution of (batch, channels, length) or (batch, channels, height, width); padding='same' keeps the size at "
          "stride 1."},
  {"pool_max(x, size)", .call = call_pool_max, LAYER, .doc = "The largest of each window; windows do not overlap."},
  {"pool_mean(x, size)", .call = call_pool_mean, LAYER, .doc = "The mean of each window; windows do not overlap."},
  {"rnn(x, units, init=None, name=None)", .call = call_rnn, LAYER,
   .doc = "Elman network over (batch, time, features): h' = tanh(x W + h U + b), all outputs."},
  {"gru(x, units, init=None, name=None)", .call = call_gru, LAYER,
   .doc = "Gated recurrent units over (batch, time, features), all outputs."},
  {"lstm(x, units, init=None, name=None)", .call = call_lstm, LAYER,
   .doc = "Long short-term memory over (batch, time, features), all outputs."},
  {"last(x)", .call = call_last, LAYER, .doc = "The last time step of (batch, time, units)."},
  {"positions(x, init=None, name=None)", .call = call_positions, LAYER,
   .doc = "x plus a learned vector for each time step."},
  {"attention(x, heads, causal=True, init=None, name=None)", .call = call_attention, LAYER,
   .doc = "Multi-head self-attention over (batch, time, width); causal: no step sees later ones."},
  {"transformer(x, heads, causal=True, rate=0, init=None, name=None)", .call = call_transformer, LAYER,
   .doc = "GPT-2's block: x + attention(norm x), then + mlp(norm), with dropout at that rate."},
  {"sequential(x, layers)", .call = call_sequential, LAYER,
   .doc = "Layers one after the other: sequential(x, 'dense(64), relu, drop(0.2)')."},
  {"residual(x, layers)", .call = call_residual, LAYER, .doc = "x plus the layers of x, one after the other."},
};
enum { WORDS = sizeof words / sizeof *words };

const cr_function *cr_layer_at(int k) { return k >= 0 && k < WORDS ? &words[k] : NULL; }

/* Copies, so that a call finds its model. */
cr_status cr__define_layers(cr_model *m) {
  m->word = malloc(WORDS * sizeof *m->word);
  if (!m->word) return CR_NO_MEMORY;
  for (int k = 0; k < WORDS; k++) {
    m->word[k] = (cr__layer_word){words[k], m};
    cr_status status = cr_define(m->tape, &m->word[k].function);
    if (status != CR_OK) return status;
  }
  return CR_OK;
}
