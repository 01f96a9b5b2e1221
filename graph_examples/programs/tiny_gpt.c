/* A small GPT: a transformer reads windows of a text and says at each place which letter comes next, and then writes.
 * Nothing is hidden in a loop of the library: a step is a batch of windows from anywhere in the text, the forward pass,
 * the loss, backward, clipping, the rate of the schedule, the optimizer's step. The last tenth of the text is held out;
 * one sees the loss there fall, in nats per letter (ln 65 = 4.2 for a guess among 65), and then what the network writes
 * after the beginning of that tenth. Usage: tiny_gpt [TEXTFILE [SECONDS]]; the first 200 kB count. */
#include <chainrule_networks.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SEED = 1, LENGTH = 64, WIDTH = 128, BLOCKS = 2, HEADS = 4, BATCH = 16, WRITTEN = 500 };
static const double dropout = 0.1, clip = 1, temperature = 0.7; /* below 1: the likely letters become likelier */

typedef struct gpt {
  cr_model *m;
  cr_dataset text; /* its windows follow one another: x and y are the text, y a letter ahead */
  int64_t train;   /* letters to learn from; the rest is held out */
} gpt;

/* What others have to say is added to x, then what follows from it. */
static cr_var block(cr_model *m, cr_var x) {
  cr_model_open(m, "block");
  x = cr_add(x, cr_drop(m, cr_attention(m, cr_layer_normalize(m, x), HEADS, 1), dropout));
  cr_var hidden = cr_gelu(cr_dense(m, cr_layer_normalize(m, x), 4 * WIDTH));
  x = cr_add(x, cr_drop(m, cr_dense(m, hidden, WIDTH), dropout));
  cr_model_close(m, x);
  return x;
}

/* Letters (batch, LENGTH) to scores of the next letter (batch, LENGTH, letters). */
static cr_var network(gpt *g, cr_var letters) {
  cr_var h = cr_drop(g->m, cr_positions(g->m, cr_embed(g->m, letters, g->text.n_classes, WIDTH)), dropout);
  for (int k = 0; k < BLOCKS; k++) h = block(g->m, h);
  return cr_dense(g->m, cr_layer_normalize(g->m, h), g->text.n_classes);
}

/* The loss on n windows that begin at those letters. */
static cr_var loss(gpt *g, int64_t n, const int64_t *start) {
  int64_t shape[2] = {n, LENGTH}, letters[2][BATCH * LENGTH];
  for (int64_t i = 0; i < n; i++) {
    memcpy(&letters[0][i * LENGTH], (int64_t *)g->text.x.data + start[i], LENGTH * sizeof **letters);
    memcpy(&letters[1][i * LENGTH], (int64_t *)g->text.y.data + start[i], LENGTH * sizeof **letters);
  }
  cr_tape *t = cr_model_tape(g->m);
  cr_var x = cr_constant_of(t, CR_INT64, 2, shape, letters[0]), y = cr_constant_of(t, CR_INT64, 2, shape, letters[1]);
  return cr_loss_record(network(g, x), y, "cross_entropy", NULL);
}

static cr_status step(gpt *g, uint64_t k, cr_optimizer *o, double factor, cr_problem *p) {
  int64_t start[BATCH];
  for (uint64_t i = 0; i < BATCH; i++) start[i] = (int64_t)((double)(g->train - LENGTH) * cr_rand_at(SEED, k * BATCH + i));
  cr_model_set_step(g->m, k); /* what is dropped depends on it */
  cr_model_begin(g->m, 1);
  if (cr_model_backward(g->m, loss(g, BATCH, start)) != CR_OK) return cr_error(cr_model_tape(g->m));
  cr_clip_norm(g->m, clip);
  cr_optimizer_set_rate(o, cr_optimizer_base_rate(o) * factor);
  return cr_optimizer_step(o, g->m, NULL, NULL, NULL, p);
}

/* Mean loss of the windows from one letter to another, without dropout. */
static double evaluate(gpt *g, int64_t from, int64_t to) {
  double sum = 0, n = 0;
  while (from + LENGTH <= to) {
    int64_t start[BATCH], size = 0;
    for (; size < BATCH && from + LENGTH <= to; from += LENGTH) start[size++] = from;
    cr_model_begin(g->m, 0);
    sum += cr_value(loss(g, size, start)) * (double)size;
    n += (double)size;
  }
  return sum / n;
}

/* Goes on after the window, letter by letter: each is drawn from what the network expects. */
static void write_text(gpt *g, const int64_t *start) {
  int64_t window[LENGTH];
  memcpy(window, start, sizeof window);
  for (int i = 0; i < LENGTH; i++) fputs(g->text.class_name[window[i]], stdout);
  fputs(" ...|", stdout);
  for (uint64_t i = 0; i < WRITTEN; i++) {
    cr_model_begin(g->m, 0);
    cr_var x = cr_constant_of(cr_model_tape(g->m), CR_INT64, 2, (int64_t[]){1, LENGTH}, window);
    cr_var score = cr_select(cr_select(network(g, x), 1, -1), 0, 0); /* after the last letter of the window */
    cr_array odds = cr_view(cr_softmax(cr_div(score, cr_const(score.tape, temperature)), 0));
    double u = cr_rand_at(SEED, i);
    int letter = 0;
    while (letter < g->text.n_classes - 1 && (u -= cr_array_get(&odds, letter)) > 0) letter++;
    memmove(window, window + 1, sizeof window - sizeof *window);
    window[LENGTH - 1] = letter;
    fputs(g->text.class_name[letter], stdout);
  }
  putchar('\n');
}

static int run(gpt *g, cr_optimizer *o, cr_schedule *s, int steps, double seconds, cr_problem *p) {
  time_t began = time(NULL);
  double held_out = (double)NAN;
  for (int k = 0; k < steps; k++) {
    if (step(g, (uint64_t)k, o, cr_schedule_factor(s, k + 1, steps), p) != CR_OK) return 1;
    if (k == 0) printf("%d parameters\n", (int)cr_model_size(g->m));
    int last = k + 1 == steps || difftime(time(NULL), began) >= seconds;
    if (!last && (k + 1) % 100 != 0) continue;
    held_out = evaluate(g, g->train, g->text.x.count);
    printf("step %4d of %d  %3.0f s  held out: %.4f nats/letter\n", k + 1, steps, difftime(time(NULL), began), held_out);
    fflush(stdout);
    if (last) break;
  }
  putchar('\n');
  write_text(g, (int64_t *)g->text.x.data + g->train);
  return !isfinite(held_out);
}

int main(int argc, char **argv) {
  const char *path = argc > 1 ? argv[1] : "graph_examples/data/shakespeare.txt";
  char call[4200];
  cr_problem p = {0};
  int status = 1;
  cr_tape *t = cr_new();
  gpt g = {.m = t ? cr_model_new(t, CR_FLOAT32, SEED) : NULL};
  cr_optimizer *o = cr_optimizer_new("adamw(lr=0.002, weight_decay=0.1)", NULL, &p);
  cr_schedule *s = cr_schedule_new("warmup(steps=100, then='cosine(floor=0.02)')", NULL, &p);
  snprintf(call, sizeof call, "text(\"%s\", length=%d, limit=200000)", path, LENGTH);
  if (g.m && o && s && cr_dataset_read(&g.text, call, NULL, CR_FLOAT32, NULL, &p) == CR_OK) {
    g.train = g.text.x.count * 9 / 10;
    if (g.text.x.count - g.train < LENGTH) cr_refuse(&p, CR_BAD_SHAPE, "%s: a tenth is less than %d letters", path, LENGTH);
  }
  if (g.train && p.status == CR_OK) {
    cr_set(t, CR_THREADS, 0); /* as many as there are cores: the numbers stay the same */
    status = run(&g, o, s, argc > 1 ? 1600 : 300, argc > 2 ? atof(argv[2]) : 240, &p);
  }
  if (p.status != CR_OK || (t && cr_error(t) != CR_OK))
    fprintf(stderr, "tiny_gpt: %s\n", p.status != CR_OK ? p.text : cr_error_text(t));
  cr_dataset_free(&g.text);
  cr_schedule_free(s);
  cr_optimizer_free(o);
  cr_model_free(g.m);
  cr_free(t);
  return status;
}
