/* Layers that act on one example at a time: affine maps, dropout and noise, embeddings. */
#include <stdbool.h>
#include <stdio.h>

#include "model.h"

bool cr__has_axes(cr_model *m, cr_var x, int least, const char *axes) {
  char shape[200];
  if (cr_is_poison(x) || cr_error(m->tape) != CR_OK) return false;
  if (cr_rank(x) >= least && cr_dtype_of(x) == m->dtype) return true;
  cr_array a = cr_view(x);
  if (a.rank < least)
    cr_fail(m->tape, CR_BAD_SHAPE, "the input has shape %s; it needs %s", cr_shape_text(&a, shape, sizeof shape), axes);
  else
    cr_fail(m->tape, CR_BAD_DTYPE, "the input is %s, the model %s%s", cr_dtype_name((cr_dtype)a.dtype),
            cr_dtype_name(m->dtype), a.dtype < CR_FLOAT32 ? ": embed(x, classes, width) makes vectors of tokens" : "");
  return false;
}

bool cr__positive(cr_model *m, int64_t n, const char *what) {
  if (n >= 1) return true;
  cr_fail(m->tape, CR_BAD_ARGUMENT, "%s must be at least 1, not %lld", what, (long long)n);
  return false;
}

static cr_var noise(cr_model *m, cr_var x, double std) {
  cr_array a = cr_view(x);
  if (!m->training || std == 0 || cr_is_poison(x)) return x;
  if (!(std > 0)) return cr_fail(m->tape, CR_BAD_ARGUMENT, "a standard deviation of %g", std);
  cr_var draw = cr_randn_by(cr_model_draw_leaf(m), (cr_dtype)a.dtype, a.rank, a.dim);
  return cr_add(x, cr_mul(draw, cr_const(m->tape, std)));
}

static cr_var affine(cr_model *m, cr_var x, const cr__affine *a) {
  if (!cr__has_axes(m, x, 1, "at least the axis of features") || !cr__positive(m, a->units, "units"))
    return cr_poison(m->tape);
  int64_t dims[2] = {cr_dim(x, -1), a->units};
  cr_var weight = noise(m, cr_model_weight(m, "weight", 2, dims, a->initializer), a->weight_noise);
  cr_var y = cr_matmul(x, weight);
  return a->bias ? cr_add(y, cr_model_bias(m, "bias", a->units, 0)) : y;
}

cr_var cr__dense_layer(cr_model *m, cr_var x, const cr__affine *a) {
  if (a->name) cr_model_name_next(m, a->name);
  cr_model_open(m, "dense");
  cr_var y = affine(m, x, a);
  cr_model_close(m, y);
  return y;
}
cr_var cr_dense(cr_model *m, cr_var x, int64_t units) {
  return cr__dense_layer(m, x, &(cr__affine){.units = units, .bias = true});
}
cr_var cr_dense_without_bias(cr_model *m, cr_var x, int64_t units) {
  return cr__dense_layer(m, x, &(cr__affine){.units = units});
}

cr_var cr_perceptron(cr_model *m, cr_var x, int64_t units) {
  cr_model_open(m, "perceptron");
  cr_var z = affine(m, x, &(cr__affine){.units = units, .bias = true}),
         y = cr_cast(cr_gt(z, cr_const(m->tape, 0)), m->dtype);
  cr_model_close(m, y);
  return y;
}

cr_var cr_drop(cr_model *m, cr_var x, double rate) {
  cr_model_open(m, "drop");
  cr_var y = m->training ? cr_dropout_by(x, rate, cr_model_draw_leaf(m)) : cr_dropout(x, rate, 0, 0);
  cr_model_close(m, y);
  return y;
}

cr_var cr_noise(cr_model *m, cr_var x, double std) {
  cr_model_open(m, "noise");
  cr_var y = noise(m, x, std);
  cr_model_close(m, y);
  return y;
}

static cr_var embed(cr_model *m, cr_var tokens, int64_t vocabulary, int64_t width) {
  if (cr_is_poison(tokens) || !cr__positive(m, vocabulary, "vocabulary") || !cr__positive(m, width, "width"))
    return cr_poison(m->tape);
  if (cr_dtype_of(tokens) >= CR_FLOAT32)
    return cr_fail(m->tape, CR_BAD_DTYPE, "tokens are integers, not %s", cr_dtype_name(cr_dtype_of(tokens)));
  cr_var weight = cr_model_weight(m, "weight", 2, (int64_t[]){vocabulary, width}, "normal(0.02)");
  return cr_embedding(tokens, weight, CR_NOT_GIVEN);
}

cr_var cr_embed(cr_model *m, cr_var tokens, int64_t vocabulary, int64_t width) {
  cr_model_open(m, "embed");
  cr_var y = embed(m, tokens, vocabulary, width);
  cr_model_close(m, y);
  return y;
}

/* The first pass decides how many positions there are; shorter sequences take the first of them. */
static cr_var positions(cr_model *m, cr_var x) {
  char name[CR__NAME + 8];
  if (!cr__has_axes(m, x, 2, "axes for time and width")) return cr_poison(m->tape);
  int64_t dims[2] = {cr_dim(x, -2), cr_dim(x, -1)}, length = dims[0];
  snprintf(name, sizeof name, "%sweight", m->prefix);
  const cr_parameter *made = cr_model_find(m, name);
  if (made && made->value.dim[0] > length) dims[0] = made->value.dim[0];
  cr_var weight = cr_model_weight(m, "weight", 2, dims, "normal(0.02)");
  return cr_add(x, dims[0] > length ? cr_slice_axis(weight, 0, 0, length, 1) : weight);
}

cr_var cr_positions(cr_model *m, cr_var x) {
  cr_model_open(m, "positions");
  cr_var y = positions(m, x);
  cr_model_close(m, y);
  return y;
}
