/* Convolution and pooling layers. */
#include "model.h"

static cr_var convolution(cr_model *m, cr_var x, const cr__window *w) {
  if (!cr__has_axes(m, x, 3, "axes for batch, channels and one to three more") ||
      !cr__positive(m, w->channels, "channels") || !cr__positive(m, w->kernel, "kernel") ||
      !cr__positive(m, w->stride, "stride"))
    return cr_poison(m->tape);
  int rank = cr_rank(x);
  int64_t dims[CR_MAX_RANK] = {w->channels, cr_dim(x, 1)};
  cr_conv conv = {.groups = 1};
  if (rank > 2 + CR_MAX_SPATIAL)
    return cr_fail(m->tape, CR_BAD_SHAPE, "the input has rank %d; a convolution goes over at most %d axes", rank,
                   CR_MAX_SPATIAL);
  for (int i = 0; i < rank - 2; i++) {
    dims[2 + i] = w->kernel;
    conv.stride[i] = w->stride;
    conv.pad_lo[i] = w->same ? (w->kernel - 1) / 2 : w->padding;
    conv.pad_hi[i] = w->same ? w->kernel / 2 : w->padding;
  }
  cr_var weight = cr_model_weight(m, "weight", rank, dims, "he");
  if (!w->bias) return cr_convolve(x, weight, &conv);
  return cr_convolve_bias(x, weight, cr_model_bias(m, "bias", w->channels, 0), &conv);
}

cr_var cr__convolution_layer(cr_model *m, cr_var x, const cr__window *w) {
  cr_model_open(m, "convolution");
  cr_var y = convolution(m, x, w);
  cr_model_close(m, y);
  return y;
}

cr_var cr_convolution(cr_model *m, cr_var x, int64_t channels, int64_t kernel, int64_t stride, int64_t padding) {
  return cr__convolution_layer(
    m, x, &(cr__window){.channels = channels, .kernel = kernel, .stride = stride, .padding = padding, .bias = true});
}

static bool fits(cr_var x, int64_t size, cr_pool *how) {
  char shape[200];
  if (cr_is_poison(x)) return false;
  cr_array a = cr_view(x);
  bool good = a.rank >= 3 && a.rank <= 2 + CR_MAX_SPATIAL && size >= 1;
  for (int i = 2; good && i < a.rank; i++) {
    good = a.dim[i] >= size;
    how->kernel[i - 2] = size;
  }
  if (!good)
    cr_fail(
      x.tape, CR_BAD_SHAPE,
      "windows of %lld to pool: the input has shape %s; it needs axes for batch, channels and one to three more, each no "
      "less than the window",
      (long long)size, cr_shape_text(&a, shape, sizeof shape));
  return good;
}

cr_var cr_pool_max(cr_var x, int64_t size) {
  cr_pool how = {.kernel = {0}};
  return fits(x, size, &how) ? cr_max_pool(x, &how, NULL) : cr_poison(x.tape);
}

cr_var cr_pool_mean(cr_var x, int64_t size) {
  cr_pool how = {.kernel = {0}};
  return fits(x, size, &how) ? cr_avg_pool(x, &how) : cr_poison(x.tape);
}
