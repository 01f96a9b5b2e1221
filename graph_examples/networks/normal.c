/* Normalisation layers. */
#include "model.h"

/* A vector along axis 1 of x. */
static cr_var along_channels(cr_var v, cr_var x) {
  int64_t dims[CR_MAX_RANK];
  for (int i = 0; i < cr_rank(x); i++) dims[i] = i == 1 ? cr_count(v) : 1;
  return cr_reshape(v, cr_rank(x), dims);
}

/* Running statistics: 0.9 of the old and 0.1 of the batch's, the variance being the unbiased one. */
static void remember(cr_model *m, cr_var x, int n_axes, const int *axes, cr_var old_mean, cr_var old_variance) {
  cr_tape *t = m->tape;
  cr_var share = cr_const(t, 0.1), rest = cr_const(t, 0.9), fixed = cr_stop_gradient(x);
  int several = cr_count(x) > cr_count(old_mean);
  cr_var mean = cr_mean(fixed, n_axes, axes, 0), variance = cr_variance(fixed, n_axes, axes, several, 0);
  cr_model_set_buffer(m, "mean", cr_add(cr_mul(rest, old_mean), cr_mul(share, mean)));
  cr_model_set_buffer(m, "variance", cr_add(cr_mul(rest, old_variance), cr_mul(share, variance)));
}

static cr_var batch_normalize(cr_model *m, cr_var x) {
  const double eps = 1e-5;
  int axes[CR_MAX_RANK] = {0}, n_axes = 1;
  if (!cr__has_axes(m, x, 2, "axes for batch and channels")) return cr_poison(m->tape);
  for (int i = 2; i < cr_rank(x); i++) axes[n_axes++] = i;
  int64_t channels = cr_dim(x, 1);
  cr_var gain = cr_model_bias(m, "gain", channels, 1), bias = cr_model_bias(m, "bias", channels, 0);
  cr_var mean = cr_model_buffer(m, "mean", channels, 0), variance = cr_model_buffer(m, "variance", channels, 1), y;
  if (cr_is_poison(variance)) return variance;
  if (m->training) {
    y = cr_standardize(x, n_axes, axes, eps);
    remember(m, x, n_axes, axes, mean, variance);
  } else {
    cr_var scale = cr_rsqrt(cr_add(variance, cr_const(m->tape, eps)));
    y = cr_mul(cr_sub(x, along_channels(mean, x)), along_channels(scale, x));
  }
  return cr_add(cr_mul(y, along_channels(gain, x)), along_channels(bias, x));
}

cr_var cr_batch_normalize(cr_model *m, cr_var x) {
  cr_model_open(m, "batch_normalize");
  cr_var y = batch_normalize(m, x);
  cr_model_close(m, y);
  return y;
}

static cr_var layer_normalize(cr_model *m, cr_var x) {
  int last = -1;
  if (!cr__has_axes(m, x, 1, "at least the axis of features")) return cr_poison(m->tape);
  int64_t width = cr_dim(x, -1);
  cr_var gain = cr_model_bias(m, "gain", width, 1), bias = cr_model_bias(m, "bias", width, 0);
  return cr_add(cr_mul(cr_standardize(x, 1, &last, 1e-5), gain), bias);
}

cr_var cr_layer_normalize(cr_model *m, cr_var x) {
  cr_model_open(m, "layer_normalize");
  cr_var y = layer_normalize(m, x);
  cr_model_close(m, y);
  return y;
}
