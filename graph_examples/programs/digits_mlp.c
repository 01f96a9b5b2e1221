/* Handwritten digits by a network with one hidden layer, and a training loop written out: shuffle, take a batch, set the
 * rate, take a step. The test digits are of people whose hand the network has never seen. One sees the loss fall epoch by
 * epoch, the accuracy on the 1,797 test digits, which digits are taken for which, and the digit about which the network is
 * most wrong. Usage: digits_mlp [FOLDER of optdigits.tra and optdigits.tes]. */
#include <chainrule_networks.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { SEED = 1, EPOCHS = 40, BATCH = 64, HIDDEN = 512, CLASSES = 10, SIDE = 8 };
static const char source[] = "csv('optdigits.%s', target=-1, classes=True, scale=16)";
static const double wanted = 0.965;

/* The network: from 64 grey values to a score for each digit. */
static cr_var scores(cr_model *m, const cr_dataset *d) {
  cr_var x = cr_constant_of(cr_model_tape(m), CR_FLOAT32, 2, d->x.dim, d->x.data);
  cr_var hidden = cr_relu(cr_dense(m, x, HIDDEN));
  return cr_dense(m, cr_drop(m, hidden, 0.5), CLASSES);
}

static cr_var classes(cr_model *m, const cr_dataset *d) {
  return cr_constant_of(cr_model_tape(m), CR_INT64, 1, d->y.dim, d->y.data);
}

static cr_var loss(cr_model *m, void *batch) {
  return cr_loss_record(scores(m, batch), classes(m, batch), "cross_entropy", "label_smoothing=0.1");
}

/* One pass over the training digits in a new order; returns the mean loss, NaN when a step fails. */
static double train_epoch(cr_model *m, cr_optimizer *o, cr_schedule *s, const cr_dataset *d, int epoch, cr_problem *p) {
  int64_t n = cr_dataset_size(d), steps = (n + BATCH - 1) / BATCH, *order = malloc((size_t)n * sizeof *order);
  double sum = 0;
  if (!order) return cr_refuse(p, CR_NO_MEMORY, "no memory for the order of the digits"), (double)NAN;
  cr_shuffle(n, SEED, (uint64_t)epoch, order);
  for (int64_t k = 0; k < steps && p->status == CR_OK; k++) {
    int64_t step = epoch * steps + k, from = k * BATCH, size = n - from < BATCH ? n - from : BATCH;
    cr_dataset batch = {0};
    cr_step report = {0};
    cr_model_set_step(m, (uint64_t)step); /* which hidden units are dropped depends on it */
    cr_model_begin(m, 1);
    cr_optimizer_set_rate(o, cr_optimizer_base_rate(o) * cr_schedule_factor(s, step + 1, EPOCHS * steps));
    if (cr_dataset_take(&batch, d, size, order + from, p) == CR_OK) cr_minimize(o, m, loss, &batch, &report, p);
    sum += report.loss * (double)size;
    cr_dataset_free(&batch);
  }
  free(order);
  return p->status == CR_OK ? sum / (double)n : (double)NAN;
}

static double accuracy(cr_model *m, const cr_dataset *d) {
  cr_model_begin(m, 0); /* evaluation: nothing is dropped */
  cr_var right = cr_eq(cr_argmax(scores(m, d), 1, (int[]){1}, 0), classes(m, d));
  return cr_value(cr_mean(cr_cast(right, CR_FLOAT64), -1, NULL, 0));
}

/* Which digit (row) is how often taken for which (column), and the one that has the largest loss. */
static int show_errors(cr_model *m, const cr_dataset *d, cr_problem *p) {
  int64_t counts[CLASSES * CLASSES], worst;
  cr_model_begin(m, 0);
  cr_var z = scores(m, d), none = cr_poison(cr_model_tape(m));
  cr_array view = cr_view(z);
  if (cr_confusion(&view, &d->y, CLASSES, 0, counts, p) != CR_OK) return 1;
  printf("\ntaken for");
  for (int k = 0; k < CLASSES; k++) printf("%5d", k);
  for (int k = 0; k < CLASSES * CLASSES; k++) {
    if (k % CLASSES == 0) printf("\n        %d", k / CLASSES);
    counts[k] ? printf("%5d", (int)counts[k]) : printf("    .");
  }
  worst = (int64_t)cr_value(cr_argmax(cr_cross_entropy(z, classes(m, d), none, -1, 0, CR_REDUCE_NONE), 1, (int[]){0}, 0));
  cr_var odds = cr_softmax(cr_select(z, 0, worst), 0);
  int guess = (int)cr_value(cr_argmax(odds, -1, NULL, 0)), truth = (int)cr_array_get(&d->y, worst);
  printf("\n\nmost wrong: a %d, taken for a %d with probability %.3f\n", truth, guess, cr_value(cr_select(odds, 0, guess)));
  for (int64_t k = 0; k < SIDE * SIDE; k++) {
    char ink = " .:-=+*#%@"[(int)(9 * cr_array_get(&d->x, worst * SIDE * SIDE + k))];
    printf("%c%c%s", ink, ink, k % SIDE == SIDE - 1 ? "\n" : "");
  }
  return 0;
}

static int run(cr_model *m, const cr_dataset *train, const cr_dataset *test, cr_problem *p) {
  cr_optimizer *o = cr_optimizer_new("adam(lr=0.004)", NULL, p);
  cr_schedule *s = cr_schedule_new("cosine(floor=0.01)", NULL, p);
  int status = 1;
  for (int epoch = 0; o && s && epoch < EPOCHS && p->status == CR_OK; epoch++) {
    double mean = train_epoch(m, o, s, train, epoch, p);
    if (epoch % 5 == 4) printf("epoch %2d  loss %.4f  accuracy in training %.4f\n", epoch + 1, mean, accuracy(m, train));
  }
  if (p->status == CR_OK) status = show_errors(m, test, p);
  if (status == 0) {
    double right = accuracy(m, test);
    printf("\ntest accuracy %.4f on %d digits of other writers\n", right, (int)cr_dataset_size(test));
    status = !(right >= wanted);
  }
  cr_schedule_free(s);
  cr_optimizer_free(o);
  return status;
}

int main(int argc, char **argv) {
  const char *folder = argc > 1 ? argv[1] : "graph_examples/data";
  char from[2][96];
  cr_problem p = {0};
  cr_dataset train = {0}, test = {0};
  int status = 1;
  cr_tape *t = cr_new();
  cr_model *m = t ? cr_model_new(t, CR_FLOAT32, SEED) : NULL;
  snprintf(from[0], sizeof from[0], source, "tra");
  snprintf(from[1], sizeof from[1], source, "tes");
  if (m && cr_dataset_read(&train, from[0], folder, CR_FLOAT32, NULL, &p) == CR_OK &&
      cr_dataset_read(&test, from[1], folder, CR_FLOAT32, NULL, &p) == CR_OK) {
    cr_set(t, CR_THREADS, 0); /* as many as there are cores: the numbers stay the same */
    status = run(m, &train, &test, &p);
  }
  if (p.status != CR_OK || (t && cr_error(t) != CR_OK))
    fprintf(stderr, "digits_mlp: %s\n", p.status != CR_OK ? p.text : cr_error_text(t));
  cr_dataset_free(&train);
  cr_dataset_free(&test);
  cr_model_free(m);
  cr_free(t);
  return status;
}
