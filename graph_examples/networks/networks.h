/* Networks as functions: a layer is a function that records operations and takes its weights from the model by name.
 *
 *     cr_model *m = cr_model_new(t, CR_FLOAT32, 1);
 *     cr_model_begin(m, 1);                                        // a new recording; 1: training
 *     cr_var h = cr_relu(cr_dense(m, x, 128));
 *     cr_var loss = cr_loss_record(cr_dense(m, h, 10), y, "cross_entropy", NULL);
 *     cr_model_backward(m, loss);                                  // gradients of all parameters
 *
 * The first pass makes the parameters and initialises them; later passes find them again by name, and names follow from the
 * order of the calls: dense1, dense2, ... A layer that is given a name of its own (cr_model_name_next, name='head') twice in
 * a pass has the same parameters both times. There are no layer objects: a container is a function that calls functions. The
 * same layers are functions of the expression language: cr_network(m, x, "h = relu(dense(x, 128)); dense(h, 10)"). Batches
 * come first: (batch, features), sequences (batch, time, features), images (batch, channels, height, width).
 */
#ifndef CR_NETWORKS_H
#define CR_NETWORKS_H

#include <jit.h>

#include "../data/data.h"
#include "../losses/losses.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cr_model cr_model;

/* A model on a tape: cr_model_begin resets the tape to where it is now. dtype: float32 or float64, of all parameters. NULL
 * with the tape's error set, or when memory runs out. Defines the layers and losses in the tape's language: one model a
 * tape, whose language is of no use after the model is freed. */
CR_API cr_model *cr_model_new(cr_tape *t, cr_dtype dtype, uint64_t seed);
CR_API void cr_model_free(cr_model *m); /* not the tape */
CR_API cr_tape *cr_model_tape(const cr_model *m);
CR_API cr_dtype cr_model_dtype(const cr_model *m);
CR_API uint64_t cr_model_seed(const cr_model *m);

/* The names of the model's networks (cr_network): x, what the network assigned, and what else is bound to it. Literals
 * assigned in it stay; names of nodes hold for the pass that bound them. */
CR_API cr_program *cr_model_program(cr_model *m);
/* The value of a piece of source under these names, such as a loss: parsed once, whatever the number of passes. */
CR_API cr_var cr_model_evaluate(cr_model *m, const char *source);

/* A new recording: takes back what the last pass recorded. Dropout and noise are on when training; they depend on the seed
 * of the model, the layer and the step alone. */
CR_API void cr_model_begin(cr_model *m, int training);
CR_API int cr_model_is_training(const cr_model *m);
CR_API void cr_model_set_step(cr_model *m, uint64_t step);
CR_API uint64_t cr_model_step(const cr_model *m);

/* Parameters and buffers */

typedef struct cr_parameter {
  char *name;              /* "dense1.weight" */
  cr_array value;          /* memory of the model, at the same address for its life */
  cr_array gradient;       /* after cr_model_backward, until the next cr_model_begin; data NULL: no part of the loss */
  int trainable;           /* 0: a buffer, such as a running mean */
  int decays;              /* weight decay is for weights, not for biases and gains; see cr_model_decay_all */
  char *initializer;       /* "glorot", ... */
  int64_t fan_in, fan_out;
} cr_parameter;
CR_API int cr_model_count(const cr_model *m);                           /* of parameters, buffers included */
CR_API cr_parameter *cr_model_parameter(const cr_model *m, int k);      /* in order of making; NULL past the end */
CR_API cr_parameter *cr_model_find(const cr_model *m, const char *name);
CR_API int64_t cr_model_size(const cr_model *m);                          /* trainable numbers */
/* The leaf of a parameter in this recording; poison when this pass has not used it. */
CR_API cr_var cr_model_leaf(cr_model *m, int k);

/* Gradients of the loss (a scalar node) into the parameters. The tape's error when there is one. */
CR_API cr_status cr_model_backward(cr_model *m, cr_var loss);
/* Writes new running statistics into their buffers: after a training pass whose step is taken. */
CR_API void cr_model_commit(cr_model *m);

/* Captured passes */

/* A pass that runs without recording, made of the one just recorded: a function of n_in leaves (a batch) with results and
 * assignments as in cr_capture. Parameters, buffers and drawn seeds (cr_model_draw_leaf) are inputs by themselves: a run
 * takes them from the model and its step, and writes new running statistics into their buffers. The bits are those of
 * recording, if the pass records the same operations whatever the numbers are. NULL with the tape's error set. */
typedef struct cr_pass cr_pass;
CR_API cr_pass *cr_pass_new(cr_model *m, int n_in, const cr_var *in, int n_out, const cr_var *out, int n_assign,
                            const cr_assign *assign);
CR_API void cr_pass_free(cr_pass *p);
/* As cr_fn_run. CR_STALE: the model has other trainable parameters now. */
CR_API cr_status cr_pass_run(cr_pass *p, const cr_array *in, const cr_array *out);
CR_API const char *cr_pass_error(const cr_pass *p);
/* Gives back the memory that runs work in, until the next run. */
CR_API void cr_pass_rest(cr_pass *p);
CR_API cr_fn_stats cr_pass_stats(const cr_pass *p);
/* cr_fn_compile of it, before it is run first. */
CR_API cr_status cr_pass_compile(cr_pass *p, const cr_jit_options *options, char *note, size_t size);

/* Copies of all values, for restore-best and checkpoints, under the parameters' names. Loading checks names and shapes both
 * ways before it changes anything; entries whose name has a slash belong to others. */
CR_API cr_status cr_model_save(const cr_model *m, cr_archive *into, cr_problem *p);
CR_API cr_status cr_model_load(cr_model *m, const cr_archive *from, cr_problem *p);
/* XXH3-64 over names, shapes and bytes of all parameters and buffers: the run hash. */
CR_API uint64_t cr_model_hash(const cr_model *m);

/* Building layers: what a layer of your own calls */

/* Initialisers: "zeros", "ones", "constant(c)", "uniform(a, b)", "normal(std)", "glorot(gain)", "glorot_normal(gain)",
 * "he(slope)", "he_uniform(slope)", "lecun", "lecun_uniform", "orthogonal(gain)". Fans are read off a weight of shape (in,
 * out) or (out, in, kernel...). Random ones depend on the model's seed and the parameter's name alone. */
/* For weights made from now on, instead of each layer's own choice; NULL: back to that. */
CR_API void cr_model_initialize_with(cr_model *m, const char *initializer);
/* For parameters made from now on: do biases and gains decay too, as in PyTorch's optimizers with one group of them? */
CR_API void cr_model_decay_all(cr_model *m, int all);
CR_API const char *cr_initializer_doc(int k);                                /* "glorot: ...", NULL past the end */

/* The name prefix of the parameters made until the matching close: "block1." */
CR_API void cr_model_open(cr_model *m, const char *kind);  /* "dense": dense1, dense2, ... inside the open scope */
CR_API void cr_model_close(cr_model *m, cr_var output);    /* output: for the summary */
/* The leaf of parameter NAME of the open scope, made and initialised at the first pass. */
CR_API cr_var cr_model_weight(cr_model *m, const char *name, int rank, const int64_t *dims, const char *initializer);
CR_API cr_var cr_model_bias(cr_model *m, const char *name, int64_t n, double value); /* filled with value; does not decay */
CR_API cr_var cr_model_buffer(cr_model *m, const char *name, int64_t n, double value);
CR_API void cr_model_set_buffer(cr_model *m, const char *name, cr_var value);        /* at the next commit */
/* A seed for a random operation of the open scope at this step. */
CR_API uint64_t cr_model_draw(cr_model *m);
/* The same as a leaf, for cr_dropout_by and cr_randn_by: captured passes draw anew at each run. */
CR_API cr_var cr_model_draw_leaf(cr_model *m);
/* The name of the next layer, instead of dense1, ... */
CR_API void cr_model_name_next(cr_model *m, const char *name);

/* Layers. All record on the model's tape, and give poison with the tape's error set when shapes do not fit. */

/* x W + b over the last axis, W of shape (in, units), glorot. */
CR_API cr_var cr_dense(cr_model *m, cr_var x, int64_t units);
CR_API cr_var cr_dense_without_bias(cr_model *m, cr_var x, int64_t units);
CR_API cr_var cr_perceptron(cr_model *m, cr_var x, int64_t units);         /* 1 where x W + b > 0, else 0: no gradient */
CR_API cr_var cr_drop(cr_model *m, cr_var x, double rate);                 /* inverted dropout; off in evaluation */
CR_API cr_var cr_noise(cr_model *m, cr_var x, double std);                 /* adds Gaussian noise in training */
/* Over all axes but axis 1, eps 1e-5; outside training by running statistics, which move a tenth of the way at each commit.
 */
CR_API cr_var cr_batch_normalize(cr_model *m, cr_var x);
CR_API cr_var cr_layer_normalize(cr_model *m, cr_var x);                   /* over the last axis, eps 1e-5 */
CR_API cr_var cr_embed(cr_model *m, cr_var tokens, int64_t vocabulary, int64_t width); /* normal(0.02) */
/* (batch, channels, length), with height, with depth; the weight (channels out, in, kernel...), he. */
CR_API cr_var cr_convolution(cr_model *m, cr_var x, int64_t channels, int64_t kernel, int64_t stride, int64_t padding);
CR_API cr_var cr_pool_max(cr_var x, int64_t size);  /* over windows that do not overlap, of all axes */
CR_API cr_var cr_pool_mean(cr_var x, int64_t size); /* but the first two; a rest at the end is left out */
/* Recurrent layers over (batch, time, features), from a zero state; all outputs (batch, time, units). Weights glorot for the
 * input and orthogonal for the state; an LSTM's forget gate starts with a bias of 1. Gates are side by side: reset, update,
 * candidate; input, forget, candidate, output. */
CR_API cr_var cr_rnn(cr_model *m, cr_var x, int64_t units);                /* Elman: h' = tanh(x W + h U + b) */
CR_API cr_var cr_gru(cr_model *m, cr_var x, int64_t units);
CR_API cr_var cr_lstm(cr_model *m, cr_var x, int64_t units);
CR_API cr_var cr_last(cr_var sequence);                                    /* the last time step: (batch, units) */
/* Adds a learned vector for each position to (batch, time, width). The first pass is the longest: later ones may be shorter.
 */
CR_API cr_var cr_positions(cr_model *m, cr_var x);
/* Multi-head self-attention, and GPT-2's block: x + attention(norm x), then + mlp(norm) of 4 times the width; normal(0.02).
 */
CR_API cr_var cr_attention(cr_model *m, cr_var x, int64_t heads, int causal);
CR_API cr_var cr_transformer(cr_model *m, cr_var x, int64_t heads, int causal);

/* Containers. layers is a list of calls into which the value goes as first argument: "dense(64), relu, drop(0.2)". */
CR_API cr_var cr_sequential(cr_model *m, cr_var x, const char *layers);
CR_API cr_var cr_residual(cr_model *m, cr_var x, const char *layers);      /* x + layers(x) */
/* A network in the expression language, in which x is the input; its value is that of the last expression, or of the last
 * name assigned. Parsed once, whatever the number of passes. */
CR_API cr_var cr_network(cr_model *m, cr_var x, const char *source);

/* The k-th layer function of the language, with documentation; NULL past the end. */
CR_API const cr_function *cr_layer_at(int k);

/* Reports: text that the caller frees; NULL when memory runs out. */

/* After a pass: one line a layer: name, kind, output shape, parameters; and the total. */
CR_API char *cr_model_summary(const cr_model *m);
/* The first pair of units of each layer that nothing tells apart, neither what comes in nor what goes out: "dense1: units 1
 * and 2 have identical weights and inputs, and will stay so", a line each. NULL: none. */
CR_API char *cr_model_symmetry(const cr_model *m);
/* After a pass: for each elementwise activation recorded on a tensor, the share of its elements whose local derivative is
 * below 1e-3 in magnitude. */
typedef struct cr_saturation {
  char name[64];           /* "sigmoid of dense1" */
  double share, mean_slope;
} cr_saturation;
CR_API int cr_model_saturation(cr_model *m, int room, cr_saturation *out); /* how many there are */

#ifdef __cplusplus
}
#endif
#endif
