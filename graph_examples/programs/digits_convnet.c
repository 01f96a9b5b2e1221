/* Handwritten digits by a convolutional network, trained by cr_train: this program says what the loop cannot know, the
 * forward pass and the loss, as two of its six hooks. An eighth of the training digits is kept aside, and the weights that
 * did best on these are those that are tested, on the 1,797 digits of people whose hand the network has never seen. One
 * sees the layers, the loss of each epoch, and the test accuracy. Usage: digits_convnet [FOLDER of optdigits.tra and
 * optdigits.tes]. */
#include <chainrule_networks.h>

#include <stdio.h>
#include <stdlib.h>

enum { SEED = 1, CLASSES = 10 };
static const char source[] = "csv('optdigits.%s', target=-1, classes=True, scale=16, shape=[1, 8, 8])";
static const double wanted = 0.98;

/* (batch, 1, 8, 8) to scores (batch, 10). */
static cr_var forward(cr_training *k, const cr_batch *batch) {
  cr_model *m = k->model;
  cr_var h = cr_relu(cr_convolution(m, batch->x, 16, 3, 1, 1)); /* 16 channels, kernel 3, stride 1, padding 1: (16, 8, 8) */
  h = cr_relu(cr_convolution(m, h, 32, 3, 1, 1));               /* (32, 8, 8) */
  h = cr_pool_max(h, 2);                                        /* (32, 4, 4) */
  h = cr_relu(cr_dense(m, cr_flatten(h, 1, -1), 64));
  return cr_dense(m, cr_drop(m, h, 0.3), CLASSES);
}

static cr_var loss(cr_training *k, cr_var prediction, const cr_batch *batch) {
  const char *smoothing = cr_model_is_training(k->model) ? "label_smoothing=0.1" : NULL;
  return cr_loss_record(prediction, batch->y, "cross_entropy", smoothing);
}

static void epoch_done(cr_training *k, const cr_epoch *e) {
  if (e->epoch == 1) {
    char *summary = cr_model_summary(k->model);
    printf("%s\nepoch   loss  kept aside: loss  accuracy\n", summary ? summary : "");
    free(summary);
  }
  printf("%5d %6.3f %17.4f %9.4f\n", (int)e->epoch, e->train_loss, e->validation_loss, e->metric[0]);
}

static cr_status read_digits(cr_dataset *d, const char *which, const char *folder, cr_problem *p) {
  char call[128];
  snprintf(call, sizeof call, source, which);
  return cr_dataset_read(d, call, folder, CR_FLOAT32, NULL, p);
}

static int run(cr_training *k, const cr_dataset *test) {
  double ignored = 0;
  if (cr_train(k) != CR_OK || cr_default_validate(k, test, &ignored) != CR_OK) {
    fprintf(stderr, "digits_convnet: %s\n", k->problem.text);
    return 1;
  }
  printf("\nended: %s; the best epoch was %d; run hash %016llx\n", k->reason_text, (int)k->best_epoch,
         (unsigned long long)k->run_hash);
  printf("test accuracy %.4f on %d digits of other writers\n", k->metric[0], (int)cr_dataset_size(test));
  return !(k->metric[0] >= wanted);
}

int main(int argc, char **argv) {
  const char *folder = argc > 1 ? argv[1] : "graph_examples/data";
  cr_problem p = {0};
  cr_dataset all = {0}, train = {0}, aside = {0}, test = {0};
  int status = 1;
  cr_tape *t = cr_new();
  cr_model *m = t ? cr_model_new(t, CR_FLOAT32, SEED) : NULL;
  cr_optimizer *o = cr_optimizer_new("adam(lr=0.002)", NULL, &p);
  cr_schedule *s = cr_schedule_new("cosine(floor=0.02)", NULL, &p);
  if (m && o && s && read_digits(&all, "tra", folder, &p) == CR_OK && read_digits(&test, "tes", folder, &p) == CR_OK &&
      cr_dataset_split(&train, &aside, &all, 7. / 8, SEED, &p) == CR_OK) {
    cr_training k = {.model = m,
                     .optimizer = o,
                     .schedule = s,
                     .train = &train,
                     .validation = &aside,
                     .seed = SEED,
                     .batch = 64,
                     .capture = 1,
                     .epochs = 20,
                     .metrics = "accuracy",
                     .hook = {.forward = forward, .loss = loss},
                     .epoch_done = epoch_done};
    cr_set(t, CR_THREADS, 0); /* as many as there are cores: the numbers stay the same */
    status = run(&k, &test);
    cr_training_release(&k);
  } else fprintf(stderr, "digits_convnet: %s\n", p.text);
  cr_dataset_free(&all);
  cr_dataset_free(&train);
  cr_dataset_free(&aside);
  cr_dataset_free(&test);
  cr_schedule_free(s);
  cr_optimizer_free(o);
  cr_model_free(m);
  cr_free(t);
  return status;
}
