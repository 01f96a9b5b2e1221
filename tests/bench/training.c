/* Training steps of the networks library: one workload a run, so that its peak memory is its own.
 *
 *   training_bench WORKLOAD OPTIMIZER THREADS SECONDS [recorded | captured | compiled [CACHE]]
 *
 * prints the median seconds of a step (of the processor's time with one thread), the peak resident memory in bytes, and,
 * for captured steps (which is the default) and compiled ones, the seconds from a model without a recording to a function,
 * and to the end of its first step. "sgemm -" is a product of two matrices of 1024 x 1024. */
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
} workload; /* without classes: numbers, and the mean square error */

#define BLOCKS4 "h = transformer(h, 4); h = transformer(h, 4); h = transformer(h, 4); h = transformer(h, 4);"
#define BLOCKS6 "h = transformer(h, 6); h = transformer(h, 6); h = transformer(h, 6); h = transformer(h, 6);" \
                "h = transformer(h, 6); h = transformer(h, 6);"
#define HEAD "dense(layer_normalize(h), 4096, bias=False)"

static const workload workloads[] = {
  {"tiny-1", "dense(relu(dense(relu(dense(x, 16)), 16)), 1)", 2, {1, 2}, 0, 0, 0},
  {"tiny-32", "dense(relu(dense(relu(dense(x, 16)), 16)), 1)", 2, {32, 2}, 0, 0, 0},
  {"mlp-small", "dense(relu(dense(x, 128)), 10)", 2, {64, 64}, 0, 10, 0},
  {"mlp-128", "dense(relu(dense(x, 128)), 10)", 2, {64, 784}, 0, 10, 0},
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
  b->leaf[1] = cr_constant_of(t, (cr_dtype)b->y.dtype, b->y.rank, b->y.dim, b->y.data);
  const char *loss = b->w->classes ? "cross_entropy" : "mse_loss";
  return cr_loss_record(cr_network(m, b->leaf[0], b->w->network), b->leaf[1], loss, NULL);
}

/* What is measured: a step of one kind. */
typedef struct bench {
  cr_model *m;
  cr_optimizer *o;
  batch b;
  cr_captured *step; /* NULL: it is recorded each time */
  cr_fn *product;    /* or this is measured */
  cr_workspace *space;
  int compiles;
  const char *cache;
  cr_problem p;
} bench;

/* The step as one function. */
static int capture(bench *x) {
  char note[300] = "";
  cr_tape *t = cr_model_tape(x->m);
  cr_captured_free(x->step);
  cr_model_begin(x->m, 1);
  cr_set(t, CR_LAZY, 1);
  x->step = cr_captured_new(x->o, x->m, objective(x->m, &x->b), 2, x->b.leaf, 0, 0, &x->p);
  cr_model_begin(x->m, 1);
  cr_set(t, CR_LAZY, 0);
  if (x->step && x->compiles) cr_captured_compile(x->step, &(cr_jit_options){.cache = x->cache}, note, sizeof note);
  if (strstr(note, "not ")) fprintf(stderr, "%s\n", note);
  return x->step != NULL;
}

static int fill_one(cr_array *a, cr_dtype dtype, int rank, const int64_t *dims, int64_t below, cr_random *r) {
  if (cr_array_make(a, dtype, rank, dims, NULL) != CR_OK) return 0;
  for (int64_t k = 0; k < a->count; k++) {
    if (below) ((int64_t *)a->data)[k] = (int64_t)(cr_random_uniform(r) * (double)below);
    else ((float *)a->data)[k] = (float)cr_random_uniform(r);
  }
  return 1;
}

static int fill(batch *b) {
  const workload *w = b->w;
  cr_random r = {1, 0};
  int64_t target[2] = {w->dims[0], w->each_step ? w->dims[1] : 1};
  return fill_one(&b->x, w->vocabulary ? CR_INT64 : CR_FLOAT32, w->rank, w->dims, w->vocabulary, &r) &&
         fill_one(&b->y, w->classes ? CR_INT64 : CR_FLOAT32, w->each_step || !w->classes ? 2 : 1, target, w->classes, &r);
}

/* Of one thread the processor's time, which other load disturbs least. */
static clockid_t watch = CLOCK_MONOTONIC;
static double now(void) {
  struct timespec s;
  clock_gettime(watch, &s);
  return (double)s.tv_sec + 1e-9 * (double)s.tv_nsec;
}

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static cr_status take_step(bench *x) {
  if (x->product) return cr_fn_run(x->product, x->space, (cr_array[]){x->b.x, x->b.x}, &x->b.y);
  if (x->step) return cr_captured_step(x->step, (cr_array[]){x->b.x, x->b.y}, NULL, &x->p);
  return cr_minimize(x->o, x->m, objective, &x->b, NULL, &x->p);
}

/* Seconds of so many steps in a row; negative after a failure. */
static double time_of(bench *x, int steps) {
  double start = now();
  for (int k = 0; k < steps; k++)
    if (take_step(x) != CR_OK) return -1;
  return now() - start;
}

/* Steps until the time is over, at least 7 times; the first are not counted. Short ones go together, for at least 20 us. No
 * more than 300, for a thousand steps on one batch leave averages so small that processors take long over them. */
enum { WARM = 3, MOST = 300 };
static double median_step(bench *x, double seconds) {
  double *took = malloc(MOST * sizeof *took), end = now() + seconds, median = -1, d = 0;
  int n = 0, steps = 1;
  for (int k = 0; took && n < MOST && d >= 0 && (n < 7 || now() < end); k++) {
    d = time_of(x, steps);
    if (k < WARM || d < 0) continue;
    if (d < 20e-6 && steps < 1024) steps *= 2, n = 0;
    else took[n++] = d / steps;
  }
  if (took && n >= 7 && d >= 0) {
    qsort(took, (size_t)n, sizeof *took, by_size);
    median = took[n / 2];
  }
  free(took);
  return median;
}

static double seconds_of(struct timeval t) { return (double)t.tv_sec + 1e-6 * (double)t.tv_usec; }

/* With the compiler's share. */
static double now_of_all(void) {
  struct rusage children;
  getrusage(RUSAGE_CHILDREN, &children);
  return now() + (watch == CLOCK_MONOTONIC ? 0 : seconds_of(children.ru_utime) + seconds_of(children.ru_stime));
}

/* Seconds to a function, and to the end of its first step, from a model that has its parameters. */
static int time_first(bench *x, double *ready, double *first) {
  double start = now_of_all();
  if (!capture(x)) return 0;
  *ready = now_of_all() - start;
  if (take_step(x) != CR_OK) return 0;
  *first = now_of_all() - start;
  return 1;
}

static int begin_product(bench *x, cr_tape *t) {
  const int64_t dims[2] = {1024, 1024};
  cr_random r = {1, 0};
  if (!fill_one(&x->b.x, CR_FLOAT32, 2, dims, 0, &r) || !fill_one(&x->b.y, CR_FLOAT32, 2, dims, 0, &r)) return 0;
  cr_var in[2] = {cr_tensor_of(t, CR_FLOAT32, 2, dims, NULL), cr_tensor_of(t, CR_FLOAT32, 2, dims, NULL)};
  cr_var out = cr_matmul(in[0], in[1]);
  x->product = cr_capture(t, 2, in, 1, &out, 0, NULL, CR_FN_EXACT);
  x->space = x->product ? cr_workspace_new(x->product) : NULL;
  if (x->space) cr_workspace_threads(x->space, (int)cr_get(t, CR_THREADS));
  return x->space != NULL;
}

static int begin_training(bench *x, cr_tape *t, const char *optimizer) {
  x->m = cr_model_new(t, CR_FLOAT32, 1);
  x->o = cr_optimizer_new(optimizer, NULL, &x->p);
  if (!x->m || !x->o || !fill(&x->b)) return 0;
  cr_model_begin(x->m, 1);
  cr_set(t, CR_LAZY, 1); /* makes the parameters, and computes nothing else */
  int made = !cr_is_poison(objective(x->m, &x->b));
  cr_model_begin(x->m, 1);
  cr_set(t, CR_LAZY, 0);
  return made;
}

static void end(bench *x, cr_tape *t) {
  cr_captured_free(x->step);
  cr_workspace_free(x->space);
  cr_fn_free(x->product);
  cr_optimizer_free(x->o);
  cr_model_free(x->m);
  cr_array_release(&x->b.x);
  cr_array_release(&x->b.y);
  cr_free(t);
}

int main(int argc, char **argv) {
  const char *mode = argc > 5 ? argv[5] : "captured";
  bench x = {.compiles = !strcmp(mode, "compiled"), .cache = argc > 6 ? argv[6] : NULL};
  for (size_t k = 0; argc >= 5 && argc <= 7 && k < sizeof workloads / sizeof *workloads; k++)
    if (!strcmp(argv[1], workloads[k].name)) x.b.w = &workloads[k];
  int multiplies = argc >= 5 && !strcmp(argv[1], "sgemm"), captures = strcmp(mode, "recorded") && !multiplies;
  if (!x.b.w && !multiplies)
    return fprintf(stderr, "training_bench WORKLOAD OPTIMIZER THREADS SECONDS [recorded|captured|compiled [CACHE]]\n"), 2;
  cr_tape *t = cr_new();
  cr_set(t, CR_THREADS, atoi(argv[3]));
  if (atoi(argv[3]) == 1) watch = CLOCK_PROCESS_CPUTIME_ID;
  int ready = multiplies ? begin_product(&x, t) : begin_training(&x, t, argv[2]);
  double to_function = 0, first = 0;
  if (ready && captures) ready = time_first(&x, &to_function, &first);
  double step = ready ? median_step(&x, atof(argv[4])) : -1;
  struct rusage used;
  getrusage(RUSAGE_SELF, &used);
  if (step > 0) printf("%.9f %lld %.6f %.6f\n", step, (long long)used.ru_maxrss * 1024, to_function, first);
  else fprintf(stderr, "training_bench: %s %s\n", x.p.text, cr_error_text(t));
  end(&x, t);
  return step > 0 ? 0 : 1;
}
