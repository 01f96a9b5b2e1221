/* Overfitting, and its cures. A network of 60 hidden units learns 16 noisy points of a sine: its training loss falls and falls, while
 * the loss on examples not seen has a minimum and rises again, for the network goes on to learn the noise. One sees the two curves;
 * early stopping, which notices with some patience and brings the best weights back; then the cures side by side: a smaller
 * network, early stopping, noise on weights or activities, dropout, noise on the data, and l1 and l2 penalties of several
 * strengths. For each, what a lecturer asks for: the loss on the examples seen, on those not seen, and the gap. */
#include <chainrule_networks.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { EPOCHS = 2000 };

typedef struct cure {
  const char *name, *network;
  double l1, l2;
  int64_t patience;
  const char *augment;
} cure;
static const char large[] = "dense(tanh(dense(x, 60)), 1)";

static cr_var forward(cr_training *k, const cr_batch *batch) {
  const cure *c = k->user;
  return cr_network(k->model, batch->x, c->network);
}

/* The mean squared error; in training, with the penalties on the weights. */
static cr_var loss(cr_training *k, cr_var prediction, const cr_batch *batch) {
  const cure *c = k->user;
  cr_var error = cr_loss_record(prediction, batch->y, "squared", NULL), w[2];
  if (!cr_model_is_training(k->model) || c->l1 + c->l2 == 0) return error;
  for (int i = 0; i < 2; i++) w[i] = cr_model_leaf(k->model, 2 * i); /* without the biases */
  return cr_add(error, cr_penalty_elastic(2, w, c->l1, c->l2));
}

typedef struct outcome {
  double train, validation;
  int parameters, epochs;
} outcome;

/* The curves of the untreated network, and where they part. */
static void put_curves(const cr_training *k) {
  double worst = 0;
  for (int64_t e = 0; e < k->n_history; e++) worst = fmax(worst, k->history[e].validation_loss);
  printf("epoch   training   validation\n");
  for (int64_t e = 1; e <= k->n_history; e = e < 8 ? 2 * e : e * 5 / 4) {
    const cr_epoch *h = &k->history[e - 1];
    printf("%5d %10.4f %12.4f\n", (int)e, h->train_loss, h->validation_loss);
  }
  printf("best %d %g\n", (int)k->best_epoch, k->best_loss);
}
static int train(const cure *c, const cr_dataset *seen, const cr_dataset *unseen, int show) {
  cure copy = *c;
  cr_problem p = {0};
  cr_tape *t = cr_new();
  cr_model *m = t ? cr_model_new(t, CR_FLOAT64, 1) : NULL;
  cr_optimizer *o = m ? cr_optimizer_new("adam(lr=0.02)", NULL, &p) : NULL;
  cr_training k = {.model = m, .optimizer = o, .train = seen, .validation = unseen, .batch = INT64_MAX, .epochs = EPOCHS,
                   .patience = c->patience, .keep_last = !c->patience, .augment = c->augment, .hook = {.forward = forward, .loss = loss},
                   .user = &copy};
  int failed = !o || cr_train(&k) != CR_OK;
  double a = 0, b = 0;
  if (failed) fprintf(stderr, "overfitting: %s\n", o ? k.problem.text : p.text);
  else {
    if (show) put_curves(&k);
    cr_default_validate(&k, seen, &a), cr_default_validate(&k, unseen, &b);
    printf("%-30s %6d %6d %9.4f %9.4f %9.4f %s best %d %.4f\n", c->name, (int)cr_model_size(m), (int)k.epoch, a, b, b - a, k.reason_text, (int)k.best_epoch, k.best_loss);
  }
  cr_training_release(&k);
  cr_optimizer_free(o);
  cr_model_free(m);
  cr_free(t);
  return failed;
}

int main(void) {
  static const cure cures[] = {
    {"none", large, 0, 0, 0, NULL},
    {"smaller network", "dense(tanh(dense(x, 3)), 1)", 0, 0, 0, NULL},
    {"early stopping", large, 0, 0, 100, NULL},
    {"noise on weights", "dense(tanh(dense(x, 60, weight_noise=0.1)), 1, weight_noise=0.1)", 0, 0, 0, NULL},
    {"noise on activities", "dense(noise(tanh(dense(x, 60)), 0.1), 1)", 0, 0, 0, NULL},
    {"dropout", "dense(drop(tanh(dense(x, 60)), 0.2), 1)", 0, 0, 0, NULL},
    {"noise on data", large, 0, 0, 0, "noise(0.2)"},
    {"l2 1e-4", large, 0, 1e-4, 0, NULL},
    {"l2 1e-3", large, 0, 1e-3, 0, NULL},
    {"l2 1e-2", large, 0, 1e-2, 0, NULL},
    {"l2 1e-1", large, 0, 1e-1, 0, NULL},
    {"l1 1e-4", large, 1e-4, 0, 0, NULL},
    {"l1 1e-3", large, 1e-3, 0, 0, NULL},
    {"l1 1e-2", large, 1e-2, 0, 0, NULL},
    {"l1 1e-1", large, 1e-1, 0, 0, NULL},
  };
  cr_problem p = {0};
  cr_dataset seen = {0}, unseen = {0};
  cr_dataset_read(&seen, "sine(16, noise=0.3, seed=4)", NULL, CR_FLOAT64, NULL, &p);
  cr_dataset_read(&unseen, "sine(200, noise=0.3, seed=2)", NULL, CR_FLOAT64, NULL, &p);
  for (size_t k = 0; k < sizeof cures / sizeof *cures; k++) if (train(&cures[k], &seen, &unseen, !k)) return 1;
}
