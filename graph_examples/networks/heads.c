/* Multi-head attention and the transformer block. */
#include "model.h"

static cr_var projection(cr_model *m, cr_var x, const char *name, int64_t units) {
  return cr__dense_layer(m, x, &(cr__affine){.units = units, .bias = true, .name = name, .initializer = "normal(0.02)"});
}

static cr_var attention(cr_model *m, cr_var x, int64_t heads, int causal) {
  if (!cr__has_axes(m, x, 3, "axes for batch, time and width") || !cr__positive(m, heads, "heads"))
    return cr_poison(m->tape);
  int64_t batch = cr_dim(x, 0), time = cr_dim(x, 1), width = cr_dim(x, 2);
  if (width % heads)
    return cr_fail(m->tape, CR_BAD_SHAPE, "a width of %lld does not split into %lld heads", (long long)width,
                   (long long)heads);
  cr_var all = projection(m, x, "qkv", 3 * width), part[3];
  all = cr_reshape(all, 5, (int64_t[]){batch, time, 3, heads, width / heads});
  for (int k = 0; k < 3; k++) part[k] = cr_permute(cr_select(all, 2, k), 4, (int[]){0, 2, 1, 3});
  cr_var y = cr_permute(cr_attend(part[0], part[1], part[2], cr_poison(m->tape), 0, causal), 4, (int[]){0, 2, 1, 3});
  return projection(m, cr_reshape(y, 3, (int64_t[]){batch, time, width}), "output", width);
}

cr_var cr_attention(cr_model *m, cr_var x, int64_t heads, int causal) {
  cr_model_open(m, "attention");
  cr_var y = attention(m, x, heads, causal);
  cr_model_close(m, y);
  return y;
}

static cr_var drop(cr_model *m, cr_var x, double rate) { return rate > 0 ? cr_drop(m, x, rate) : x; }

static cr_var transformer(cr_model *m, cr_var x, int64_t heads, int causal, double rate) {
  if (!cr__has_axes(m, x, 3, "axes for batch, time and width")) return cr_poison(m->tape);
  int64_t width = cr_dim(x, 2);
  x = cr_add(x, drop(m, cr_attention(m, cr_layer_normalize(m, x), heads, causal), rate));
  cr_var hidden = cr_gelu(projection(m, cr_layer_normalize(m, x), "expand", 4 * width));
  return cr_add(x, drop(m, projection(m, hidden, "contract", width), rate));
}

cr_var cr__transformer_layer(cr_model *m, cr_var x, int64_t heads, int causal, double rate) {
  cr_model_open(m, "transformer");
  cr_var y = transformer(m, x, heads, causal, rate);
  cr_model_close(m, y);
  return y;
}
cr_var cr_transformer(cr_model *m, cr_var x, int64_t heads, int causal) {
  return cr__transformer_layer(m, x, heads, causal, 0);
}
