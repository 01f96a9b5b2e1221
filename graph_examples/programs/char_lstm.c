/* A text, a letter at a time: an LSTM reads letters and says which one comes next, and then writes. The training loop is
 * cr_train with three of its hooks replaced. `feed` is one of them: the examples of a text are windows that follow one
 * another, so that a window may as well begin anywhere; each epoch shifts them by another amount, and the network sees
 * every letter in other company. The last tenth of the text is held out; one sees the loss there fall, in nats per letter
 * (ln 65 = 4.2 for a guess among 65), and then what the network writes after the beginning of that tenth. Usage: char_lstm
 * [TEXTFILE [SECONDS]]; the first 200 kB count. */
#include <chainrule_networks.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEED = 1, LENGTH = 32, EMBEDDING = 32, WIDTH = 192, WRITTEN = 500 };
static const double temperature = 0.7; /* below 1: the likely letters become likelier */

/* Letters (batch, time) to scores of the next letter (batch, time, letters). */
static cr_var network(cr_model *m, cr_var letters, int n_letters) {
  cr_var h = cr_lstm(m, cr_embed(m, letters, n_letters, EMBEDDING), WIDTH);
  return cr_dense(m, cr_drop(m, h, 0.3), n_letters);
}

static cr_status feed(cr_training *k, const cr_dataset *d, int64_t n, const int64_t *which, cr_batch *batch) {
  if (!cr_model_is_training(k->model)) return cr_default_feed(k, d, n, which, batch);
  int64_t shift = (int64_t)(LENGTH * cr_rand_at(SEED, (uint64_t)k->epoch));
  int64_t *x = malloc(2 * sizeof *x * (size_t)(n * LENGTH));
  if (!x) return cr_refuse(&k->problem, CR_NO_MEMORY, "no memory for a batch");
  for (int64_t i = 0; i < n; i++) {
    int64_t at = which[i] * LENGTH + shift, last = d->x.count - LENGTH;
    size_t window = LENGTH * sizeof *x;
    memcpy(x + i * LENGTH, (const int64_t *)d->x.data + (at < last ? at : last), window);
    memcpy(x + (n + i) * LENGTH, (const int64_t *)d->y.data + (at < last ? at : last), window);
  }
  *batch = (cr_batch){.n = n, .which = which};
  batch->x = cr_constant_of(cr_model_tape(k->model), CR_INT64, 2, (int64_t[]){n, LENGTH}, x);
  batch->y = cr_constant_of(cr_model_tape(k->model), CR_INT64, 2, (int64_t[]){n, LENGTH}, x + n * LENGTH);
  free(x);
  return CR_OK;
}

static cr_var forward(cr_training *k, const cr_batch *batch) { return network(k->model, batch->x, k->train->n_classes); }

static cr_var loss(cr_training *k, cr_var prediction, const cr_batch *batch) {
  (void)k;
  return cr_loss_record(prediction, batch->y, "cross_entropy", NULL);
}

static void epoch_done(cr_training *k, const cr_epoch *e) {
  printf("epoch %2d of %d  %5.1f s  nats/letter: %.4f in training, %.4f held out\n", (int)e->epoch, (int)k->epochs,
         e->seconds, e->train_loss, e->validation_loss);
  fflush(stdout);
}

/* Goes on after the window, letter by letter: each is drawn from what the network expects. */
static void write_text(cr_model *m, const cr_dataset *d, const int64_t *start) {
  int64_t window[LENGTH];
  memcpy(window, start, sizeof window);
  for (int i = 0; i < LENGTH; i++) fputs(d->class_name[window[i]], stdout);
  fputs(" ...|", stdout);
  for (uint64_t i = 0; i < WRITTEN; i++) {
    cr_model_begin(m, 0);
    cr_var x = cr_constant_of(cr_model_tape(m), CR_INT64, 2, (int64_t[]){1, LENGTH}, window);
    cr_var score = cr_select(cr_select(network(m, x, d->n_classes), 1, -1), 0, 0); /* after the last letter of the window */
    cr_array odds = cr_view(cr_softmax(cr_div(score, cr_const(score.tape, temperature)), 0));
    double u = cr_rand_at(SEED, i);
    int letter = 0;
    while (letter < d->n_classes - 1 && (u -= cr_array_get(&odds, letter)) > 0) letter++;
    memmove(window, window + 1, sizeof window - sizeof *window);
    window[LENGTH - 1] = letter;
    fputs(d->class_name[letter], stdout);
  }
  putchar('\n');
}

static int run(cr_training *k) {
  if (cr_train(k) != CR_OK) return fprintf(stderr, "char_lstm: %s\n", k->problem.text), 1;
  printf("ended: %s; best: %.4f nats/letter on held-out text\n\n", k->reason_text, k->best_loss);
  write_text(k->model, k->train, k->validation->x.data);
  return 0;
}

int main(int argc, char **argv) {
  const char *path = argc > 1 ? argv[1] : "graph_examples/data/shakespeare.txt";
  char call[4200];
  cr_problem p = {0};
  cr_dataset all = {0}, train = {0}, held_out = {0};
  int status = 1;
  cr_tape *t = cr_new();
  cr_model *m = t ? cr_model_new(t, CR_FLOAT32, SEED) : NULL;
  cr_optimizer *o = cr_optimizer_new("adam(lr=0.004)", NULL, &p);
  cr_schedule *s = cr_schedule_new("cosine(floor=0.02)", NULL, &p);
  snprintf(call, sizeof call, "text(\"%s\", length=%d, limit=200000)", path, LENGTH);
  if (m && o && s && cr_dataset_read(&all, call, NULL, CR_FLOAT32, NULL, &p) == CR_OK &&
      cr_dataset_slice(&train, &all, 0, cr_dataset_size(&all) * 9 / 10, &p) == CR_OK &&
      cr_dataset_slice(&held_out, &all, cr_dataset_size(&train), cr_dataset_size(&all), &p) == CR_OK) {
    cr_training k = {.model = m,
                     .optimizer = o,
                     .schedule = s,
                     .train = &train,
                     .validation = &held_out,
                     .seed = SEED,
                     .batch = 32,
                     .capture = 1,
                     .epochs = argc > 1 ? 16 : 6,
                     .seconds = argc > 2 ? atof(argv[2]) : 240,
                     .clip_norm = 1,
                     .hook = {.feed = feed, .forward = forward, .loss = loss},
                     .epoch_done = epoch_done};
    cr_set(t, CR_THREADS, 0); /* as many as there are cores: the numbers stay the same */
    status = run(&k);
    cr_training_release(&k);
  } else fprintf(stderr, "char_lstm: %s\n", p.text);
  cr_dataset_free(&all);
  cr_dataset_free(&train);
  cr_dataset_free(&held_out);
  cr_schedule_free(s);
  cr_optimizer_free(o);
  cr_model_free(m);
  cr_free(t);
  return status;
}
