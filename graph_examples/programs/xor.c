/* Exclusive or, and the training loop of the notes: initialise, feed, forward, loss, update, validate. Each of the six steps
 * is a hook of cr_training; here each says when it is called first, and then does what the loop would do without it. One
 * sees the order of the steps, the loss fall, and what the network answers at the end. */
#include <chainrule_networks.h>

#include <stdio.h>

typedef enum hook { INITIALISE, FEED, FORWARD, LOSS, UPDATE, VALIDATE } hook;
static const char *const says[] = {"initialise  a first pass makes the weights, at random by the seed",
                                   "feed        a batch of examples becomes two leaves, x and y",
                                   "forward     the network's prediction from x",
                                   "loss        how far from y it is, as one number",
                                   "update      backward, then the optimizer's step",
                                   "validate    loss and accuracy on examples held back (here: the same four)"};

/* Names a step once; user: which have been named, and how often each was called. */
static void name(cr_training *k, hook h) {
  int *calls = k->user;
  if (!calls[h]++) printf("%d %s\n", (int)h + 1, says[h]);
}

static cr_status initialise(cr_training *k) {
  name(k, INITIALISE);
  return cr_default_initialise(k);
}
static cr_status feed(cr_training *k, const cr_dataset *d, int64_t n, const int64_t *which, cr_batch *batch) {
  name(k, FEED);
  return cr_default_feed(k, d, n, which, batch);
}
static cr_var forward(cr_training *k, const cr_batch *batch) {
  name(k, FORWARD);
  return cr_dense(k->model, cr_tanh(cr_dense(k->model, batch->x, 4)), 1);
}
static cr_var loss(cr_training *k, cr_var prediction, const cr_batch *batch) {
  name(k, LOSS);
  return cr_loss_record(cr_flatten(prediction, 0, 1), batch->y, "binary_cross_entropy_with_logits", NULL);
}
static cr_status update(cr_training *k, cr_var value) {
  name(k, UPDATE);
  return cr_default_update(k, value);
}
static cr_status validate(cr_training *k, const cr_dataset *d, double *value) {
  name(k, VALIDATE);
  return cr_default_validate(k, d, value);
}

static void epoch_done(cr_training *k, const cr_epoch *e) {
  if ((e->epoch & (e->epoch - 1)) == 0 || e->epoch == k->epochs) /* 1, 2, 4, ... and the last */
    printf("epoch %3d  step %3d  loss %.5f  validation %.5f  accuracy %.2f\n", (int)e->epoch, (int)e->steps, e->train_loss,
           e->validation_loss, e->metric[0]);
}

static int report(cr_training *k) {
  static const char *const step[] = {"initialise", "feed", "forward", "loss", "update", "validate"};
  cr_problem p = {0};
  cr_array z = {0};
  const int *calls = k->user;
  printf("\nended: %s; calls:", k->reason_text);
  for (int h = INITIALISE; h <= VALIDATE; h++) printf(" %s %d", step[h], calls[h]);
  if (cr_predict(k, k->train, &z, &p) != CR_OK) return fprintf(stderr, "xor: %s\n", p.text), 1;
  puts("\n x1 x2   logit   class   y");
  for (int64_t i = 0; i < z.count; i++)
    printf("  %g  %g  %6.2f   %5d   %d\n", cr_array_get(&k->train->x, 2 * i), cr_array_get(&k->train->x, 2 * i + 1),
           cr_array_get(&z, i), cr_array_get(&z, i) > 0, (int)cr_array_get(&k->train->y, i));
  printf("accuracy %g\n", k->metric[0]);
  cr_array_release(&z);
  return k->metric[0] < 1;
}

int main(void) {
  cr_problem p = {0};
  cr_dataset d = {0};
  int calls[6] = {0}, status = 1;
  cr_tape *t = cr_new();
  cr_model *m = t ? cr_model_new(t, CR_FLOAT64, 1) : NULL;
  cr_optimizer *o = m ? cr_optimizer_new("adam(lr=0.05)", NULL, &p) : NULL;
  if (o && cr_dataset_read(&d, "xor()", NULL, CR_FLOAT64, NULL, &p) == CR_OK) {
    cr_training k = {.model = m,
                     .optimizer = o,
                     .train = &d,
                     .validation = &d,
                     .batch = 2,
                     .epochs = 200,
                     .metrics = "accuracy",
                     .hook = {initialise, feed, forward, loss, update, validate},
                     .user = calls,
                     .epoch_done = epoch_done};
    status = cr_train(&k) == CR_OK ? report(&k) : (fprintf(stderr, "xor: %s\n", k.problem.text), 1);
    cr_training_release(&k);
  } else fprintf(stderr, "xor: %s\n", p.text);
  cr_dataset_free(&d);
  cr_optimizer_free(o);
  cr_model_free(m);
  cr_free(t);
  return status;
}
