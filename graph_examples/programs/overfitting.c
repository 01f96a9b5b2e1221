/* Overfitting and its cures. A network of 60 hidden units learns 16 noisy points of a sine. Its training loss falls and
 * falls; its loss on points not seen has a minimum, then rises, for what it goes on to learn is the noise. One sees both
 * curves, and early stopping, which notices after some patience and brings the best weights back. Then the cures side by
 * side: a smaller network, early stopping, noise on weights, activities or data, dropout, and l1 and l2 penalties of growing
 * strength: too weak a one does nothing, too strong a one lets nothing be learnt. How it depends on the number of points and
 * units: capacity.c. */
#include <chainrule_networks.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { EPOCHS = 500, PATIENCE = 60, WIDE = 46 };
static const char large[] = "dense(tanh(dense(x, 60)), 1)";

typedef struct cure {
  const char *name, *network;
  double l1, l2;
  int64_t patience;
  const char *augment;
  int helps; /* it is claimed that the gap shrinks by a third at least */
} cure;

static cr_var forward(cr_training *k, const cr_batch *batch) {
  const cure *c = k->user;
  return cr_network(k->model, batch->x, c->network);
}

/* The mean squared error; in training with the penalty on the weights, not the biases. */
static cr_var loss(cr_training *k, cr_var prediction, const cr_batch *batch) {
  const cure *c = k->user;
  cr_var error = cr_loss_record(prediction, batch->y, "squared", NULL);
  if (!cr_model_is_training(k->model) || c->l1 + c->l2 == 0) return error;
  cr_var w[2] = {cr_model_leaf(k->model, 0), cr_model_leaf(k->model, 2)};
  return cr_add(error, cr_penalty_elastic(2, w, c->l1, c->l2));
}

/* Where a loss stands between 0.02 and 1, on a logarithmic scale. */
static int column(double x) { return (int)fmax(0, fmin(WIDE - 1, (log(x) - log(0.02)) / (log(1) - log(0.02)) * WIDE)); }

/* Both curves of a network that is not treated, and where they part. */
static int put_curves(const cr_training *k) {
  int64_t stop = k->best_epoch + PATIENCE;
  double last = k->history[k->n_history - 1].validation_loss;
  printf("epoch  training  validation   (t and v: the same on a logarithmic scale from 0.02 to 1)\n");
  for (int64_t e = 1; e <= k->n_history; e++) {
    int step = e < 10 ? 3 : e < 40 ? 10 : 40;
    const cr_epoch *h = &k->history[e - 1];
    char line[WIDE + 1];
    if (e % step && e != 1 && e != k->best_epoch && e != stop) continue;
    memset(line, ' ', WIDE), line[WIDE] = 0;
    line[column(h->train_loss)] = 't', line[column(h->validation_loss)] = 'v';
    printf("%5d %9.4f %11.4f   |%s|%s\n", (int)e, h->train_loss, h->validation_loss, line,
           e == k->best_epoch ? " minimum of the validation loss"
           : e == stop        ? " early stopping ends here: its patience is over"
                              : "");
  }
  return !(last > 1.3 * k->best_loss && k->history[k->n_history - 1].train_loss < k->best_loss / 2);
}

/* One row of the table; curves: show them. gap: validation less training loss. */
static int train(const cure *c, const cr_dataset *seen, const cr_dataset *unseen, int curves, double *gap) {
  cure copy = *c;
  cr_problem p = {0};
  cr_tape *t = cr_new();
  cr_model *m = t ? cr_model_new(t, CR_FLOAT64, 1) : NULL;
  cr_optimizer *o = m ? cr_optimizer_new("adam(lr=0.05)", NULL, &p) : NULL;
  cr_training k = {.model = m,
                   .optimizer = o,
                   .train = seen,
                   .validation = unseen,
                   .user = &copy,
                   .batch = INT64_MAX,
                   .epochs = EPOCHS,
                   .patience = c->patience,
                   .keep_last = !c->patience,
                   .augment = c->augment,
                   .hook = {.forward = forward, .loss = loss}};
  double before = 0, after = 0;
  int failed = !o || cr_train(&k) != CR_OK || cr_default_validate(&k, seen, &before) != CR_OK ||
               cr_default_validate(&k, unseen, &after) != CR_OK;
  if (failed) fprintf(stderr, "overfitting: %s\n", o ? k.problem.text : p.text);
  else if (curves) failed = put_curves(&k);
  else
    printf("%-29s %10lld %7d %9.4f %11.4f %8.4f%s%s\n", c->name, (long long)cr_model_size(m), (int)k.epoch, before, after,
           after - before, c->patience ? "  " : "", c->patience ? k.reason_text : "");
  if (c->patience && !failed) printf("%29s back to the weights of epoch %d\n", "", (int)k.best_epoch);
  *gap = after - before;
  cr_training_release(&k);
  cr_optimizer_free(o);
  cr_model_free(m);
  cr_free(t);
  return failed;
}

int main(void) {
  static const cure cures[] = {
      {"none", large, 0, 0, 0, NULL, 0},
      {"smaller network, 2 units", "dense(tanh(dense(x, 2)), 1)", 0, 0, 0, NULL, 1},
      {"early stopping", large, 0, 0, PATIENCE, NULL, 1},
      {"noise on the weights, 0.05", "dense(tanh(dense(x, 60, weight_noise=0.05)), 1, weight_noise=0.05)", 0, 0, 0, NULL, 1},
      {"noise on activities, 0.2", "dense(noise(tanh(dense(x, 60)), 0.2), 1)", 0, 0, 0, NULL, 1},
      {"dropout of a fifth", "dense(drop(tanh(dense(x, 60)), 0.2), 1)", 0, 0, 0, NULL, 1},
      {"augmentation: noise on x, 0.3", large, 0, 0, 0, "noise(0.3)", 1},
      {"penalty l2, lambda 0.0001", large, 0, 0.0001, 0, NULL, 0},
      {"penalty l2, lambda 0.01", large, 0, 0.01, 0, NULL, 1},
      {"penalty l2, lambda 1", large, 0, 1, 0, NULL, 1},
      {"penalty l1, lambda 0.0001", large, 0.0001, 0, 0, NULL, 0},
      {"penalty l1, lambda 0.02", large, 0.02, 0, 0, NULL, 1},
      {"penalty l1, lambda 1", large, 1, 0, 0, NULL, 1},
  };
  cr_problem p = {0};
  cr_dataset seen = {0}, unseen = {0};
  double none = 0, gap = 0;
  int failed = cr_dataset_read(&seen, "sine(16, noise=0.4, seed=1)", NULL, CR_FLOAT64, NULL, &p) != CR_OK ||
               cr_dataset_read(&unseen, "sine(101, noise=0.4, seed=2)", NULL, CR_FLOAT64, NULL, &p) != CR_OK;
  if (failed) fprintf(stderr, "overfitting: %s\n", p.text);
  failed = failed || train(&cures[0], &seen, &unseen, 1, &none);
  printf("\n%-29s %10s %7s %9s %11s %8s\n", "cure", "parameters", "epochs", "training", "validation", "gap");
  for (size_t k = 0; k < sizeof cures / sizeof *cures && !failed; k++) {
    failed = train(&cures[k], &seen, &unseen, 0, &gap) || (cures[k].helps && gap > 0.7 * none);
  }
  cr_dataset_free(&seen);
  cr_dataset_free(&unseen);
  return failed;
}
