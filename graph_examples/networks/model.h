/* The inside of a model: what the files of this folder share. */
#ifndef CR_MODEL_H
#define CR_MODEL_H

#include <formula.h>
#include <ops.h>
#include <stdbool.h>

#include "networks.h"

enum { CR__NAME = 256, CR__DEPTH = 64, CR__KINDS = 256 };

/* A parameter, and what this pass knows of it. */
typedef struct cr__slot {
  cr_parameter parameter;
  uint64_t pass;            /* that bound it last */
  cr_var leaf;              /* in that pass */
  cr_var next;              /* what the commit writes into a buffer; poison: nothing */
} cr__slot;

/* A scope that is open: the name prefix ends at length. */
typedef struct cr__scope {
  size_t length;
  int n_kinds;              /* counters of the scopes around it */
  int layer;                /* its line of the summary, -1 without one */
  uint64_t draws;
} cr__scope;

/* A seed that a pass has drawn as a leaf: by the hash of its scope, and which one of that scope. */
typedef struct cr__draw {
  uint64_t scope, number;
  cr_var leaf;
} cr__draw;

/* How many scopes of a kind were opened in the innermost scope. */
typedef struct cr__kind {
  char name[32];
  int count;
} cr__kind;

/* A line of the summary. */
typedef struct cr__layer {
  char *name, *kind;
  int depth;
  int64_t size;             /* trainable numbers of its own scope, first used there */
  uint32_t output;          /* id of the node, 0: none */
  int rank;
  int64_t dim[CR_MAX_RANK];
} cr__layer;

/* A source text and its tree, parsed once. */
typedef struct cr__source {
  char *text;
  int list;                 /* layers of a container */
  cr_syntax *tree;
} cr__source;

/* A word of the language that belongs to a model: the function first, so that a call finds the model behind it. */
typedef struct cr__layer_word {
  cr_function function;
  cr_model *model;
} cr__layer_word;

struct cr_model {
  cr_tape *tape;
  cr_mark mark;
  cr_dtype dtype;
  uint64_t seed, step, pass;
  int training;
  int decay_all;            /* biases and gains decay too */
  cr__slot **slot;          /* addresses stay */
  int n_slots, slots_capacity, cursor; /* cursor: where the next one asked for probably is */
  char *initializer;        /* for all weights, NULL: each layer's own */
  char prefix[CR__NAME];
  size_t length;            /* of the prefix */
  int depth;                /* of open scopes; the model itself is scope 0 */
  cr__scope scope[CR__DEPTH];
  cr__kind kind[CR__KINDS];
  int n_kinds;
  char next[64];            /* name of the next scope, empty: by kind */
  int blamed;               /* the tape's error names its layer already */
  cr__draw *draw;           /* of this pass */
  int n_draws, draws_capacity;
  cr__layer *layer;         /* the first n_layers are of this pass */
  int n_layers, layers_made, layers_capacity;
  cr_tape *texts;           /* trees live here, beyond any reset */
  cr__source *source;
  int n_sources, sources_capacity;
  cr_program *program;
  cr__layer_word *word;
};

/* model.c */
char *cr__model_text(const char *text);                      /* NULL when memory runs out */
int cr__model_grow(void *array, int *capacity, int n,
                   size_t size); /* room for n + 1 items in *(void **)array; 0: no memory */
cr_var cr__model_full(cr_model *m);
/* scope.c: the number that the draw gives at the model's step */
uint64_t cr__seed_of(const cr_model *m, const cr__draw *d);
/* summary.c */
cr__layer *cr__new_layer(cr_model *m, const char *kind);
/* initialisers.c: fills the parameter, which has its fans */
cr_status cr__initialize(cr_model *m, cr_parameter *p, const char *initializer);
/* vocabulary.c */
cr_status cr__define_layers(cr_model *m);
/* containers.c */
void cr__free_sources(cr_model *m);
/* layers.c */
bool cr__has_axes(cr_model *m, cr_var x, int least,
                  const char *axes); /* and the model's dtype; else the tape's error is set */
bool cr__positive(cr_model *m, int64_t n, const char *what);
typedef struct cr__affine {
  int64_t units;
  bool bias;
  double weight_noise;                                       /* deviation, in training */
  const char *initializer, *name;                            /* NULL: glorot, dense1, ... */
} cr__affine;
cr_var cr__dense_layer(cr_model *m, cr_var x, const cr__affine *a);
/* images.c */
typedef struct cr__window {
  int64_t channels, kernel, stride, padding;
  bool same, bias;                                           /* same: padding that keeps the size at stride 1 */
} cr__window;
cr_var cr__convolution_layer(cr_model *m, cr_var x, const cr__window *w);
/* heads.c */
cr_var cr__transformer_layer(cr_model *m, cr_var x, int64_t heads, int causal, double rate);
/* The initialiser in force for the length of a call, NULL: no change; returns what cr__initializer_back is given. */
char *cr__initializer_set(cr_model *m, const char *initializer);
void cr__initializer_back(cr_model *m, char *before, const char *initializer);

#endif
