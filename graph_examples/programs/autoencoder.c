/* A variational autoencoder on the digits: an encoder sees 64 pixels and says where in a space of 8 dimensions the digit
 * lies, as a mean and a spread; a point drawn there goes through a decoder, which is to give the pixels back. Two terms
 * are minimised: the cross entropy of the pixels, and the divergence KL(code || standard normal), by which codes fill the
 * space without gaps, so that any point of it decodes to something like a digit. The draw is mean + spread * eps, with eps
 * a constant that depends on the step alone: derivatives pass to mean and spread (Kingma and Welling 2014,
 * arXiv:1312.6114). One sees both terms on digits of other writers, then some of these, their reconstructions, and digits
 * that nobody wrote. Usage: autoencoder [FOLDER of optdigits.tra]. */
#include <chainrule_networks.h>

#include <stdio.h>

enum { SEED = 1, EPOCHS = 40, PIXELS = 64, SIDE = 8, HIDDEN = 256, CODE = 8, SHOWN = 8 };

typedef struct vae { /* the terms of the last pass */
  cr_var reconstruction, divergence;
} vae;

static cr_var decode(cr_model *m, cr_var code) {
  cr_model_name_next(m, "decoder"); /* by name, so that the same weights decode points from elsewhere */
  cr_var hidden = cr_relu(cr_dense(m, code, HIDDEN));
  cr_model_name_next(m, "pixels");
  return cr_dense(m, hidden, PIXELS); /* logits of grey values from 0 to 1 */
}

/* From x to logits of x; leaves the divergence with the user. */
static cr_var forward(cr_training *k, const cr_batch *batch) {
  cr_model *m = k->model;
  cr_tape *t = cr_model_tape(m);
  vae *terms = k->user;
  cr_var hidden = cr_relu(cr_dense(m, batch->x, HIDDEN));
  cr_var mean = cr_dense(m, hidden, CODE), log_variance = cr_dense(m, hidden, CODE), code = mean;
  terms->divergence = cr_formula(t, "sum(mean^2 + exp(s) - 1 - s)/2/mean.shape[0]", "mean", mean, "s", log_variance);
  if (cr_model_is_training(m)) {
    cr_var eps = cr_randn(t, CR_FLOAT32, 2, (int64_t[]){batch->n, CODE}, cr_model_draw(m));
    code = cr_formula(t, "mean + exp(s/2)*eps", "mean", mean, "s", log_variance, "eps", eps);
  }
  return decode(m, code);
}

static cr_var loss(cr_training *k, cr_var logits, const cr_batch *batch) {
  vae *terms = k->user;
  cr_var sum = cr_loss_record(logits, batch->x, "binary_cross_entropy_with_logits", "reduction='sum'");
  terms->reconstruction = cr_div(sum, cr_const(sum.tape, (double)batch->n));
  return cr_add(terms->reconstruction, terms->divergence);
}

/* In place of the loop's own: the whole set as one batch, and both terms are told. */
static cr_status validate(cr_training *k, const cr_dataset *d, double *value) {
  const vae *terms = k->user;
  cr_model_begin(k->model, 0);
  cr_batch all = {.n = cr_dataset_size(d)};
  all.x = cr_constant_of(cr_model_tape(k->model), CR_FLOAT32, 2, d->x.dim, d->x.data);
  *value = cr_value(loss(k, forward(k, &all), &all));
  if (k->epoch % 5 == 0)
    printf("epoch %2d  reconstruction %.3f  KL %.3f  sum %.3f nats per digit\n", (int)k->epoch,
           cr_value(terms->reconstruction), cr_value(terms->divergence), *value);
  return cr_error(cr_model_tape(k->model));
}

/* The first images of (many, 64), side by side. */
static void draw(const char *title, cr_var images) {
  cr_array a = cr_view(images);
  puts(title);
  for (int64_t row = 0; row < SIDE; row++, putchar('\n'))
    for (int64_t k = 0; k < SHOWN * SIDE; k++) {
      double grey = cr_array_get(&a, k / SIDE * PIXELS + row * SIDE + k % SIDE);
      char ink = " .:-=+*#%@"[(int)(9.99 * grey)];
      printf("%c%c%s", ink, ink, k % SIDE == SIDE - 1 ? "  " : "");
    }
}

static int show(cr_training *k, const cr_dataset *d) {
  cr_model_begin(k->model, 0);
  cr_tape *t = cr_model_tape(k->model);
  cr_batch some = {.n = SHOWN};
  some.x = cr_constant_of(t, CR_FLOAT32, 2, (int64_t[]){SHOWN, PIXELS}, d->x.data);
  draw("\nwritten by hand", some.x);
  draw("what became of them, through 8 numbers each", cr_sigmoid(forward(k, &some)));
  cr_var codes = cr_randn(t, CR_FLOAT32, 2, (int64_t[]){SHOWN, CODE}, SEED);
  draw("nobody's: the codes were drawn", cr_sigmoid(decode(k->model, codes)));
  return cr_error(t) != CR_OK;
}

int main(int argc, char **argv) {
  static const char *const source[] = {"csv('optdigits.tra', target=-1, classes=True, scale=16)",
                                       "csv('optdigits.tes', target=-1, classes=True, scale=16)"};
  const char *folder = argc > 1 ? argv[1] : "graph_examples/data";
  cr_problem p = {0};
  cr_dataset train = {0}, test = {0};
  vae terms;
  int status = 1;
  cr_tape *t = cr_new();
  cr_model *m = t ? cr_model_new(t, CR_FLOAT32, SEED) : NULL;
  cr_optimizer *o = cr_optimizer_new("adam(lr=0.002)", NULL, &p);
  cr_schedule *s = cr_schedule_new("cosine(floor=0.02)", NULL, &p);
  if (m && o && s && cr_dataset_read(&train, source[0], folder, CR_FLOAT32, NULL, &p) == CR_OK &&
      cr_dataset_read(&test, source[1], folder, CR_FLOAT32, NULL, &p) == CR_OK) {
    cr_training k = {.model = m,
                     .optimizer = o,
                     .schedule = s,
                     .train = &train,
                     .validation = &test,
                     .keep_last = 1,
                     .batch = 64,
                     .epochs = EPOCHS,
                     .seed = SEED,
                     .user = &terms,
                     .hook = {.forward = forward, .loss = loss, .validate = validate}};
    cr_set(t, CR_THREADS, 0); /* as many as there are cores: the numbers stay the same */
    status = cr_train(&k) == CR_OK ? show(&k, &test) : (fprintf(stderr, "autoencoder: %s\n", k.problem.text), 1);
    status |= !(k.n_history == EPOCHS && k.history[EPOCHS - 1].validation_loss < 24);
    cr_training_release(&k);
  } else fprintf(stderr, "autoencoder: %s\n", p.text);
  cr_dataset_free(&train);
  cr_dataset_free(&test);
  cr_schedule_free(s);
  cr_optimizer_free(o);
  cr_model_free(m);
  cr_free(t);
  return status;
}
