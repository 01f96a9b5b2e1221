/* Training steps of the networks library, captured unless told otherwise: one workload a run, so that its peak memory is its
 * own. Prints the median seconds of a step and the peak resident memory in bytes.
 * Usage: training_bench WORKLOAD OPTIMIZER THREADS SECONDS [recorded|compiled] */
#include <chainrule.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "chainrule_networks.h"

/* What training.py does with the same name. x is tokens where vocabulary is not 0, else uniform numbers. */
typedef struct workload {
  const char *name, *network;
  int rank;
  int64_t dims[4], vocabulary, classes;
  int each_step; /* a target for every time step */
} workload;

#define BLOCKS4 "h = transformer(h, 4); h = transformer(h, 4); h = transformer(h, 4); h = transformer(h, 4);"
#define BLOCKS6 "h = transformer(h, 6); h = transformer(h, 6); h = transformer(h, 6); h = transformer(h, 6);" \
                "h = transformer(h, 6); h = transformer(h, 6);"
#define HEAD "dense(layer_normalize(h), 4096, bias=False)"

static const workload workloads[] = {
  {"mlp-small", "dense(relu(dense(x, 128)), 10)", 2, {64, 64}, 0, 10, 0},
  {"mlp", "dense(relu(dense(relu(dense(x, 512)), 512)), 10)", 2, {64, 784}, 0, 10, 0},
  {"convnet",
   "h = pool_max(relu(convolution(x, 16, 5)), 2); h = pool_max(relu(convolution(h, 32, 5)), 2);"
   "dense(relu(dense(flatten(h, 1), 128)), 10)", 4, {64, 1, 28, 28}, 0, 10, 0},
  {"lstm", "dense(lstm(cast(one_hot(x, 64), 'float32'), 128), 64)", 2, {32, 50}, 64, 64, 1},
  {"gpt-small", "h = positions(embed(x, 4096, 128));" BLOCKS4 HEAD, 2, {4, 64}, 4096, 4096, 1},
  {"gpt", "h = positions(embed(x, 4096, 384));" BLOCKS6 HEAD, 2, {4, 256}, 4096, 4096, 1},
};

typedef struct batch {
  const workload *w;
  cr_array x, y;
  cr_var leaf[2];
} batch;

static cr_var objective(cr_model *m, void *user) {
  batch *b = user;
  cr_tape *t = cr_model_tape(m);
  b->leaf[0] = cr_constant_of(t, (cr_dtype)b->x.dtype, b->x.rank, b->x.dim, b->x.data);
  b->leaf[1] = cr_constant_of(t, CR_INT64, b->y.rank, b->y.dim, b->y.data);
  return cr_loss_record(cr_network(m, b->leaf[0], b->w->network), b->leaf[1], "cross_entropy", NULL);
}

/* The step of this workload as one function; NULL: it is recorded each time. */
static cr_captured *capture(cr_model *m, cr_optimizer *o, batch *b, int compile, cr_problem *p) {
  char note[200] = "";
  cr_model_begin(m, 1);
  cr_set(cr_model_tape(m), CR_LAZY, 1);
  cr_captured *step = cr_captured_new(o, m, objective(m, b), 2, b->leaf, 0, 0, p);
  cr_model_begin(m, 1);
  cr_set(cr_model_tape(m), CR_LAZY, 0);
  if (step && compile) cr_captured_compile(step, NULL, note, sizeof note);
  if (*note) fprintf(stderr, "%s\n", note);
  return step;
}

static int fill(batch *b) {
  const workload *w = b->w;
  cr_random r = {1, 0};
  if (cr_array_make(&b->x, w->vocabulary ? CR_INT64 : CR_FLOAT32, w->rank, w->dims, NULL) != CR_OK) return 0;
  if (cr_array_make(&b->y, CR_INT64, w->each_step ? 2 : 1, w->dims, NULL) != CR_OK) return 0;
  for (int64_t k = 0; k < b->x.count; k++) {
    if (w->vocabulary) ((int64_t *)b->x.data)[k] = (int64_t)(cr_random_uniform(&r) * (double)w->vocabulary);
    else ((float *)b->x.data)[k] = (float)cr_random_uniform(&r);
  }
  for (int64_t k = 0; k < b->y.count; k++) ((int64_t *)b->y.data)[k] = (int64_t)(cr_random_uniform(&r) * (double)w->classes);
  return 1;
}

static double now(void) {
  struct timespec s;
  clock_gettime(CLOCK_MONOTONIC, &s);
  return (double)s.tv_sec + 1e-9 * (double)s.tv_nsec;
}

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Steps until the time is over, at least 7; the first are not counted. */
enum { WARM = 3, MOST = 100000 };
static double median_step(cr_model *m, cr_optimizer *o, cr_captured *step, batch *b, double seconds, cr_problem *p) {
  double *took = malloc(MOST * sizeof *took), end = now() + seconds, median = -1;
  int n = 0;
  for (int k = 0; took && n < MOST && (n < 7 || now() < end); k++) {
    double start = now();
    if (step && cr_captured_step(step, (cr_array[]){b->x, b->y}, NULL, p) != CR_OK) break;
    if (!step && cr_minimize(o, m, objective, b, NULL, p) != CR_OK) break;
    if (k >= WARM) took[n++] = now() - start;
  }
  if (took && n >= 7) {
    qsort(took, (size_t)n, sizeof *took, by_size);
    median = took[n / 2];
  }
  free(took);
  return median;
}

int main(int argc, char **argv) {
  batch b = {0};
  for (size_t k = 0; (argc == 5 || argc == 6) && k < sizeof workloads / sizeof *workloads; k++)
    if (!strcmp(argv[1], workloads[k].name)) b.w = &workloads[k];
  if (!b.w) return fprintf(stderr, "usage: training_bench WORKLOAD OPTIMIZER THREADS SECONDS [recorded|compiled]\n"), 2;
  cr_problem p = {0};
  cr_tape *t = cr_new();
  cr_set(t, CR_THREADS, atoi(argv[3]));
  cr_model *m = cr_model_new(t, CR_FLOAT32, 1);
  cr_optimizer *o = cr_optimizer_new(argv[2], NULL, &p);
  int ready = m && o && fill(&b), compile = argc == 6 && !strcmp(argv[5], "compiled"), records = argc == 6 && !compile;
  cr_captured *whole = ready && !records ? capture(m, o, &b, compile, &p) : NULL;
  double step = ready && (whole || records) ? median_step(m, o, whole, &b, atof(argv[4]), &p) : -1;
  struct rusage used;
  getrusage(RUSAGE_SELF, &used);
  if (step > 0) printf("%.9f %lld\n", step, (long long)used.ru_maxrss * 1024);
  else fprintf(stderr, "training_bench: %s %s\n", p.text, cr_error_text(t));
  cr_captured_free(whole);
  cr_optimizer_free(o);
  cr_model_free(m);
  cr_array_release(&b.x);
  cr_array_release(&b.y);
  cr_free(t);
  return step > 0 ? 0 : 1;
}
