/* Why deep sigmoid networks hardly learn. A sigmoid's slope is at most 1/4, and next to nothing where its input is large;
 * the chain rule multiplies one such slope for each layer. One sees the slopes; the norm of the gradient, layer by layer, of
 * networks of ten hidden layers: it vanishes towards the first layer with sigmoids, and keeps its size with relu and He's
 * initial weights; how many units are flat (saturated); and histograms of what goes into them. Large initial weights make
 * all of them flat. */
#include <chainrule_networks.h>

#include <math.h>
#include <stdio.h>

enum { LAYERS = 10, UNITS = 64, EXAMPLES = 128, BINS = 16 };

typedef struct network {
  const char *title, *initializer;
  cr_var (*activation)(cr_var);
  double norm[LAYERS + 1], flat[LAYERS];
  char histogram[LAYERS][BINS + 1];
} network;

/* Slopes of the sigmoid, by the engine. */
static int show_slopes(void) {
  static const double z[] = {0, 2, 5, 10, 20};
  double slope[5];
  cr_tape *t = cr_new();
  cr_var x = cr_tensor_of(t, CR_FLOAT64, 1, (int64_t[]){5}, z);
  cr_status status = cr_adjoint_read(cr_backward(cr_sigmoid(x)), x, slope, 5);
  printf("  z   sigmoid'(z)   ten such slopes multiplied\n");
  for (int k = 0; status == CR_OK && k < 5; k++) printf("%3g   %-11.5g   %.5g\n", z[k], slope[k], pow(slope[k], LAYERS));
  cr_free(t);
  return status != CR_OK;
}

/* Shares of the numbers in bins from -6 to 6, as shades; what is beyond falls into the outer bins. */
static void put_histogram(cr_var z, char *line) {
  int count[BINS] = {0};
  cr_array a = cr_view(z);
  for (int64_t k = 0; k < a.count; k++) count[(int)fmin(BINS - 1, fmax(0, (cr_array_get(&a, k) + 6) / 12 * BINS))]++;
  for (int k = 0; k < BINS; k++) line[k] = " .:-=+*#%@"[(int)fmin(9, ceil(20.0 * count[k] / (double)a.count))];
}

/* One pass forward and back over random examples with random targets. */
static int measure(network *n) {
  cr_tape *t = cr_new();
  cr_model *m = t ? cr_model_new(t, CR_FLOAT64, 1) : NULL;
  int status = 1;
  if (m) {
    cr_saturation s[LAYERS];
    cr_var z[LAYERS];
    cr_model_initialize_with(m, n->initializer);
    cr_model_begin(m, 1);
    cr_var h = cr_randn(t, CR_FLOAT64, 2, (int64_t[]){EXAMPLES, UNITS}, 2),
           y = cr_randn(t, CR_FLOAT64, 2, (int64_t[]){EXAMPLES, 1}, 3);
    for (int k = 0; k < LAYERS; k++) h = n->activation(z[k] = cr_dense(m, h, UNITS));
    cr_var loss = cr_loss_record(cr_dense(m, h, 1), y, "squared", NULL);
    status = cr_model_backward(m, loss) != CR_OK || cr_model_saturation(m, LAYERS, s) != LAYERS;
    for (int k = 0; k <= LAYERS && !status; k++) n->norm[k] = cr_gradient_norm(m, 2 * k); /* of the weight; 2 k + 1: bias */
    for (int k = 0; k < LAYERS && !status; k++) {
      put_histogram(z[k], n->histogram[k]);
      n->flat[k] = s[k].share;
    }
  }
  if (t && cr_error(t) != CR_OK) fprintf(stderr, "vanishing_gradients: %s\n", cr_error_text(t));
  cr_model_free(m);
  cr_free(t);
  return status;
}

int main(void) {
  network n[] = {{.title = "sigmoid, glorot", .initializer = "glorot", .activation = cr_sigmoid},
                 {.title = "sigmoid, large", .initializer = "normal(2)", .activation = cr_sigmoid},
                 {.title = "tanh, glorot", .initializer = "glorot", .activation = cr_tanh},
                 {.title = "tanh, large", .initializer = "normal(2)", .activation = cr_tanh},
                 {.title = "relu, he", .initializer = "he", .activation = cr_relu}};
  enum { KINDS = sizeof n / sizeof *n };
  int status = show_slopes();
  for (int i = 0; i < KINDS; i++) status |= measure(&n[i]);
  if (status) return 1;
  printf("\nNorm of the gradient of each layer's weights, and in brackets the share of its units that are saturated\n%-9s",
         "");
  for (int i = 0; i < KINDS; i++) printf(" %-18s", n[i].title);
  for (int k = 0; k <= LAYERS; k++) {
    printf("\ndense%-4d", k + 1);
    for (int i = 0; i < KINDS; i++) {
      printf(" %8.2e ", n[i].norm[k]);
      k < LAYERS ? printf("(%4.1f %%) ", 100 * n[i].flat[k]) : printf("         ");
    }
  }
  printf("\nlast/1st");
  for (int i = 0; i < KINDS; i++) printf(" %8.1e          ", n[i].norm[LAYERS] / n[i].norm[0]);
  printf("\n\nWhat goes into the units, from -6 to 6: the darker, the more\n");
  for (int k = 0; k < LAYERS; k += 3) {
    printf("dense%-4d", k + 1);
    for (int i = 0; i < KINDS; i++) printf(" |%s|", n[i].histogram[k]);
    putchar('\n');
  }
  return 0;
}
