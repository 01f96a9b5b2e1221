/* Augmentation: changes to the examples of a training batch, as numbers, before they are recorded. What happens to an
 * example depends on the seed, the epoch and the example alone, not on the batch. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ops.h>
#include <xxhash.h>

#include "training_state.h"

/* One example on its way to the batch. */
typedef struct example {
  const cr_dataset *data;
  int rank;                /* of one example; a call's shape= replaces it */
  const int64_t *dims;
  int64_t width, y_width;
  double *x, *y, *spare;   /* y NULL: no target that could be mixed */
} example;

struct cr__augmentation {
  void (*apply)(const cr__augmentation *a, cr_random *r, example *e);
  double amount, probability;
  int64_t axis;
  int rank;                /* of shape=, else 0 */
  int64_t dims[CR_MAX_RANK];
};

static void add_noise(const cr__augmentation *a, cr_random *r, example *e) {
  for (int64_t i = 0; i < e->width; i++) e->x[i] += a->amount * cr_random_normal(r);
}

static void flip(const cr__augmentation *a, cr_random *r, example *e) {
  if (cr_random_uniform(r) >= a->probability) return;
  int axis = cr_axis((int)a->axis, e->rank);
  int64_t n = e->dims[axis], inner = 1;
  for (int d = axis + 1; d < e->rank; d++) inner *= e->dims[d];
  memcpy(e->spare, e->x, (size_t)e->width * sizeof *e->x);
  for (int64_t i = 0; i < e->width; i++) {
    int64_t at = i / inner % n;
    e->x[i] = e->spare[i + (n - 1 - 2 * at) * inner];
  }
}

/* A whole number in [-largest, largest]. */
static int64_t distance(cr_random *r, double largest) {
  return (int64_t)floor(cr_random_uniform(r) * (2 * largest + 1)) - (int64_t)largest;
}

static void shift(const cr__augmentation *a, cr_random *r, example *e) {
  int64_t down = distance(r, a->amount), right = distance(r, a->amount);
  int64_t height = e->dims[e->rank - 2], width = e->dims[e->rank - 1];
  memcpy(e->spare, e->x, (size_t)e->width * sizeof *e->x);
  for (int64_t i = 0; i < e->width; i++) {
    int64_t row = i / width % height - down, column = i % width - right;
    int inside = row >= 0 && row < height && column >= 0 && column < width;
    e->x[i] = inside ? e->spare[i - down * width - right] : 0;
  }
}

/* Gamma(a, 1): Marsaglia and Tsang, A simple method for generating gamma variables (2000); their boost below 1. */
static double gamma_variate(cr_random *r, double a) {
  if (a < 1) return gamma_variate(r, a + 1) * pow(1 - cr_random_uniform(r), 1 / a);
  double d = a - 1.0 / 3, c = 1 / sqrt(9 * d);
  for (;;) {
    double x = cr_random_normal(r), v = 1 + c * x;
    if (v <= 0) continue;
    v = v * v * v;
    if (log(1 - cr_random_uniform(r)) < x * x / 2 + d - d * v + d * log(v)) return d * v;
  }
}
static double beta_variate(cr_random *r, double a) {
  double x = gamma_variate(r, a), y = gamma_variate(r, a);
  return x + y > 0 ? x / (x + y) : cr_random_uniform(r) < 0.5;
}

static double target_at(const cr_dataset *d, int64_t row, int64_t j, int64_t width) {
  if (d->y.dtype >= CR_FLOAT32) return cr_array_get(&d->y, row * width + j);
  return cr_array_get_int(&d->y, row) == j;
}

/* Zhang, Cisse, Dauphin, Lopez-Paz: mixup: beyond empirical risk minimization (2018). The partner is any example of the set.
 */
static void mixup(const cr__augmentation *a, cr_random *r, example *e) {
  int64_t n = cr_dataset_size(e->data), partner = (int64_t)(cr_random_uniform(r) * (double)n);
  double keep = a->probability >= 0 ? a->probability : beta_variate(r, a->amount);
  for (int64_t i = 0; i < e->width; i++) {
    e->x[i] = keep * e->x[i] + (1 - keep) * cr_array_get(&e->data->x, partner * e->width + i);
  }
  for (int64_t j = 0; e->y && j < e->y_width; j++) {
    e->y[j] = keep * e->y[j] + (1 - keep) * target_at(e->data, partner, j, e->y_width);
  }
}

static const struct kind {
  cr_source source;
  const char *amount, *probability;
  void (*apply)(const cr__augmentation *a, cr_random *r, example *e);
} kinds[] = {
  {{"noise(std)", "Adds Gaussian noise to the inputs."}, "std", NULL, add_noise},
  {{"flip(axis=-1, p=0.5, shape=None)", "Reverses an axis of an example with probability p."}, NULL, "p", flip},
  {{"shift(pixels, shape=None)", "Moves an image by up to that many pixels along its last two axes; zeros come in."},
   "pixels", NULL, shift},
  {{"mixup(alpha=0.2, lambda=None)",
    "Mixes inputs and targets with those of another example: lambda of the one, else a share that is Beta(alpha, alpha)."},
   "alpha", "lambda", mixup}};
enum { N_KINDS = sizeof kinds / sizeof *kinds };

const cr_source *cr_augmentation_at(int k) { return k >= 0 && k < N_KINDS ? &kinds[k].source : NULL; }

/* Reading the calls */

static cr_status take_shape(cr__augmentation *a, const cr_argument *shape, cr_training *k) {
  int64_t count = 1;
  if (shape->kind == CR_ARGUMENT_NONE) return CR_OK;
  if (shape->kind != CR_ARGUMENT_LIST || shape->n > CR_MAX_RANK)
    return cr_refuse(&k->problem, CR_BAD_ARGUMENT, "augment: shape is a list of sizes");
  a->rank = shape->n;
  for (int i = 0; i < shape->n; i++) count *= a->dims[i] = (int64_t)shape->list[i];
  int64_t width = k->train->x.count / k->train->x.dim[0];
  if (count == width) return CR_OK;
  return cr_refuse(&k->problem, CR_BAD_SHAPE, "augment: an example has %lld numbers, shape= has %lld", (long long)width,
                   (long long)count);
}

static cr_status check(const cr__augmentation *a, const struct kind *kind, cr_training *k) {
  int rank = a->rank ? a->rank : k->train->x.rank - 1;
  if (!(a->amount >= 0) || (a->apply == shift && a->amount > 1e6)) {
    return cr_refuse(&k->problem, CR_BAD_ARGUMENT, "augment: %s of %s is %g", kind->amount, kind->source.signature,
                     a->amount);
  }
  if (a->apply == mixup && a->probability < 0 && !(a->amount > 0)) {
    return cr_refuse(&k->problem, CR_BAD_ARGUMENT, "augment: alpha of mixup is to be positive");
  }
  if (a->probability > 1)
    return cr_refuse(&k->problem, CR_BAD_ARGUMENT, "augment: %s = %g is above 1", kind->probability, a->probability);
  if (a->apply == shift && rank < 2) {
    return cr_refuse(&k->problem, CR_BAD_SHAPE,
                     "augment: shift wants images, and an example has one axis: shift(1, shape=[height, width])");
  }
  if (a->apply == flip && cr_axis((int)a->axis, rank) < 0) {
    return cr_refuse(&k->problem, CR_BAD_SHAPE, "augment: flip: an example has no axis %lld", (long long)a->axis);
  }
  return CR_OK;
}

static const char *name_at(int k) { return cr_augmentation_at(k) ? kinds[k].source.signature : NULL; }

static cr_status check_numbers(const cr_arguments *a, cr_problem *p) {
  static const char *const numbers[] = {"std", "axis", "p", "pixels", "alpha", "lambda"};
  cr_status status = CR_OK;
  for (size_t i = 0; status == CR_OK && i < sizeof numbers / sizeof *numbers; i++)
    status = cr_argument_is(a, numbers[i], CR_ARGUMENT_NUMBER, p);
  return status;
}

static cr_status read_call(cr_training *k, const char *call) {
  struct cr_training_state *s = k->state;
  char name[64];
  snprintf(name, sizeof name, "%.*s", (int)strcspn(call, "( \t\n"), call);
  size_t n = strlen(name);
  const struct kind *kind = kinds;
  while (kind < kinds + N_KINDS && (strncmp(call, kind->source.signature, n) || kind->source.signature[n] != '(')) kind++;
  if (kind == kinds + N_KINDS) return cr_refuse_name(&k->problem, "augmentation", name, name_at);
  cr_arguments a;
  cr_status status = cr_arguments_read(&a, call, kind->source.signature, k->names, &k->problem);
  if (status) return status;
  if ((status = check_numbers(&a, &k->problem))) return cr_arguments_free(&a), status;
  cr__augmentation *grown = realloc(s->augmentation, (size_t)(s->n_augmentations + 1) * sizeof *grown);
  if (grown) {
    s->augmentation = grown;
    cr__augmentation *it = &grown[s->n_augmentations++];
    *it = (cr__augmentation){.apply = kind->apply,
                             .probability = kind->probability ? cr_number_of(&a, kind->probability, -1) : 0};
    if (kind->amount) it->amount = cr_number_of(&a, kind->amount, 0);
    if (kind->apply == flip) it->axis = (int64_t)cr_number_of(&a, "axis", -1);
    if (kind->apply == flip || kind->apply == shift) status = take_shape(it, cr_argument_of(&a, "shape"), k);
    if (status == CR_OK) status = check(it, kind, k);
  } else {
    status = cr_refuse(&k->problem, CR_NO_MEMORY, "no memory for augmentations");
  }
  cr_arguments_free(&a);
  return status;
}

/* Splits at the commas between calls. */
cr_status cr__augment_read(cr_training *k) {
  cr_status status = CR_OK;
  if (k->augment && k->train->x.dtype < CR_FLOAT32 && k->augment[strspn(k->augment, ", \t\n")]) {
    return cr_refuse(&k->problem, CR_BAD_DTYPE, "augment: the inputs are tokens, not numbers");
  }
  for (const char *from = k->augment ? k->augment : ""; status == CR_OK && *(from += strspn(from, ", \t\n"));) {
    const char *to = from;
    for (int depth = 0; *to && (*to != ',' || depth); to++) depth += (*to == '(' || *to == '[') - (*to == ')' || *to == ']');
    size_t n = (size_t)(to - from);
    char *call = malloc(n + 3);
    if (!call) return cr_refuse(&k->problem, CR_NO_MEMORY, "no memory for augmentations");
    memcpy(call, from, n);
    while (n && strchr(" \t\n", call[n - 1])) n--;
    strcpy(call + n, memchr(call, '(', n) ? "" : "()"); /* flip is short for flip() */
    status = read_call(k, call);
    free(call);
    from = to;
  }
  return status;
}

cr_status cr__augment_check(cr_training *k) {
  struct cr_training_state s = {0};
  k->state = &s;
  cr_status status = cr__augment_read(k);
  cr__augment_free(&s);
  k->state = NULL;
  return status;
}

void cr__augment_free(struct cr_training_state *s) { free(s->augmentation); }

/* Applying them */

static void apply(const cr_training *k, example *e, int64_t number) {
  int rank = e->rank;
  const int64_t *dims = e->dims;
  for (int i = 0; i < k->state->n_augmentations; i++) {
    const cr__augmentation *a = &k->state->augmentation[i];
    uint64_t key[] = {(uint64_t)k->epoch, (uint64_t)number, (uint64_t)i};
    cr_random r = {XXH3_64bits_withSeed(key, sizeof key, k->seed), 0};
    e->rank = a->rank ? a->rank : rank;
    e->dims = a->rank ? a->dims : dims;
    a->apply(a, &r, e);
  }
  e->rank = rank;
  e->dims = dims;
}

/* Targets to be mixed: class numbers become probabilities of each class. */
static cr_var one_hot(cr_training *k, const cr_dataset *d, const cr_batch *b) {
  int64_t dims[] = {b->n, d->n_classes};
  cr_var v = cr_constant_of(cr_model_tape(k->model), cr_model_dtype(k->model), 2, dims, NULL);
  if (cr_is_poison(v)) return v;
  cr_array a = cr_view(v), y = cr_view(b->y);
  for (int64_t i = 0; i < b->n; i++) {
    int64_t c = cr_array_get_int(&y, i);
    if (c >= 0 && c < d->n_classes) cr_array_set(&a, i * d->n_classes + c, 1);
  }
  return v;
}

static void augment_rows(cr_training *k, const cr_dataset *d, const cr_batch *b, double *room, int mixes) {
  cr_array x = cr_view(b->x), y = mixes ? cr_view(b->y) : (cr_array){0};
  int64_t width = x.count / b->n, y_width = y.count / b->n;
  example e = {d, x.rank - 1, x.dim + 1, width, y_width, room, mixes ? room + 2 * width : NULL, room + width};
  for (int64_t i = 0; i < b->n; i++) {
    for (int64_t j = 0; j < width; j++) e.x[j] = cr_array_get(&x, i * width + j);
    for (int64_t j = 0; j < y_width; j++) e.y[j] = cr_array_get(&y, i * y_width + j);
    apply(k, &e, b->which[i]);
    for (int64_t j = 0; j < width; j++) cr_array_set(&x, i * width + j, e.x[j]);
    for (int64_t j = 0; j < y_width; j++) cr_array_set(&y, i * y_width + j, e.y[j]);
  }
}

cr_status cr__augment(cr_training *k, const cr_dataset *d, cr_batch *batch) {
  int mixes = 0;
  for (int i = 0; i < k->state->n_augmentations; i++) mixes |= k->state->augmentation[i].apply == mixup;
  mixes = mixes && !cr_is_poison(batch->y);
  if (mixes && cr_dtype_of(batch->y) < CR_FLOAT32) {
    if (d->n_classes < 1 || cr_rank(batch->y) != 1) {
      return cr_refuse(&k->problem, CR_BAD_SHAPE, "augment: mixup wants one class for each example, or numbers, as targets");
    }
    batch->y = one_hot(k, d, batch);
  }
  cr_status status = cr__tape_problem(k, "the batch", &k->problem);
  if (status) return status;
  int64_t width = cr_count(batch->x) / batch->n, y_width = mixes ? cr_count(batch->y) / batch->n : 0;
  double *room = malloc((size_t)(2 * width + y_width) * sizeof *room);
  if (!room) return cr_refuse(&k->problem, CR_NO_MEMORY, "no memory for augmentation");
  augment_rows(k, d, batch, room, mixes);
  free(room);
  return CR_OK;
}
