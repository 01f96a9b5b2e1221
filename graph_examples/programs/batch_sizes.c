/* What the size of a batch costs and brings: memory for each example and node, the largest batch that fits, and training
 * with batches of 1, a few, and all examples. */
#include <chainrule_networks.h>

#include <stdio.h>

enum { FEATURES = 64, HIDDEN = 128, CLASSES = 10, MIB = 16 };

/* Memory */

static cr_var record(cr_model *m, int64_t n) {
  cr_tape *t = cr_model_tape(m);
  cr_model_begin(m, 1);
  cr_var x = cr_constant_of(t, CR_FLOAT32, 2, (int64_t[]){n, FEATURES}, NULL), y = cr_constant_of(t, CR_INT64, 1, &n, NULL);
  return cr_loss_record(cr_dense(m, cr_relu(cr_dense(m, x, HIDDEN)), CLASSES), y, "cross_entropy", NULL);
}

static void put_nodes(cr_model *m, int64_t n) {
  record(m, n);
  cr_tape *t = cr_model_tape(m);
  printf("%-24s %-12s %20s\n", "node", "shape", "bytes for an example");
  for (uint32_t id = 1; id < cr_node_count(t); id++) {
    char shape[200];
    cr_array a = cr_view(cr_node_at(t, id));
    if (a.rank < 1 || a.dim[0] != n) continue;
    const cr_op *op = cr_op_of(cr_node_at(t, id));
    printf("%-24s %-12s %20lld\n", op ? op->name : "data", cr_shape_text(&a, shape, sizeof shape),
           (long long)(a.count / n * (int64_t)cr_dtype_size((cr_dtype)a.dtype)));
  }
}

/* Bytes held after a forward and a backward pass on a tape of their own; 0 when limit MiB (0: none) are not enough. */
static size_t bytes_of(int64_t n, int64_t limit, int show) {
  cr_tape *t = cr_new();
  cr_model *m = t ? cr_model_new(t, CR_FLOAT32, 1) : NULL;
  size_t bytes = 0;
  if (m) {
    cr_set(t, CR_MAX_BYTES, limit);
    if (show) put_nodes(m, n);
    if (cr_model_backward(m, record(m, n)) == CR_OK) bytes = cr_stats_of(t).bytes;
  }
  cr_model_free(m);
  cr_free(t);
  return bytes;
}

static int show_memory(void) {
  double fixed = (double)bytes_of(100, 0, 1), one = (double)bytes_of(1000, 0, 0), two = (double)bytes_of(5000, 0, 0),
         each = (two - one) / 4000;
  int64_t fits = 1, fails = 1 << 20;
  while (fails - fits > 1) {
    int64_t middle = (fits + fails) / 2;
    if (bytes_of(middle, MIB, 0)) fits = middle;
    else fails = middle;
  }
  printf("forward and backward: %.0f bytes per example, beside %.0f kB that do not depend on the batch\n", each,
         (fixed - 100 * each) / 1000);
  printf("largest batch in %d MiB: %lld examples; one more is refused\n\n", MIB, (long long)fits);
  return fits == 1 || !bytes_of(fits, MIB, 0) || bytes_of(fits + 1, MIB, 0);
}

/* Training */

static cr_var forward(cr_training *k, const cr_batch *batch) {
  return cr_dense(k->model, cr_tanh(cr_dense(k->model, batch->x, 16)), 2);
}
static cr_var loss(cr_training *k, cr_var prediction, const cr_batch *batch) {
  (void)k;
  return cr_loss_record(prediction, batch->y, "cross_entropy", NULL);
}

static int train(const cr_dataset *d, const cr_dataset *validation, int64_t batch) {
  cr_problem p = {0};
  cr_tape *t = cr_new();
  cr_model *m = t ? cr_model_new(t, CR_FLOAT32, 1) : NULL;
  cr_optimizer *o = m ? cr_optimizer_new("gradient_descent(lr=0.1)", NULL, &p) : NULL;
  cr_training k = {.model = m,
                   .optimizer = o,
                   .train = d,
                   .validation = validation,
                   .batch = batch,
                   .epochs = 16,
                   .keep_last = 1,
                   .hook = {.forward = forward, .loss = loss},
                   .metrics = "accuracy"};
  int failed = !o || cr_train(&k) != CR_OK;
  if (failed) fprintf(stderr, "batch_sizes: %s\n", o ? k.problem.text : p.text);
  batch == cr_dataset_size(d) ? printf("%6s", "all") : printf("%6lld", (long long)batch);
  printf(" %6lld", (long long)k.step);
  for (int64_t e = 0; e < k.n_history; e = 2 * e + 1) printf(" %10.4f", k.history[e].train_loss);
  if (k.n_history) printf(" %10.4f\n", k.history[k.n_history - 1].validation_loss);
  if (o) cr_training_release(&k);
  cr_optimizer_free(o);
  cr_model_free(m);
  cr_free(t);
  return failed;
}

int main(void) {
  cr_dataset all = {0}, d = {0}, validation = {0};
  cr_problem p = {0};
  int status = show_memory();
  if (cr_dataset_read(&all, "moons(640, noise=0.15, seed=3)", NULL, CR_FLOAT32, NULL, &p) != CR_OK ||
      cr_dataset_split(&d, &validation, &all, 0.8, 1, &p) != CR_OK)
    return fprintf(stderr, "batch_sizes: %s\n", p.text), 1;
  printf("Two moons, 16 hidden units, rate 0.1: the loss after 1, 2, 4, 8, 16 epochs, and on examples not seen\n");
  printf("%6s %6s %10s %10s %10s %10s %10s %10s\n", "batch", "steps", "1", "2", "4", "8", "16", "validation");
  for (int64_t batch = 1; batch <= 256; batch *= 4) status |= train(&d, &validation, batch);
  status |= train(&d, &validation, cr_dataset_size(&d));
  printf("A batch of 1 is stochastic gradient descent, of all examples batch gradient descent.\n");
  cr_dataset_free(&all);
  cr_dataset_free(&d);
  cr_dataset_free(&validation);
  return status;
}
