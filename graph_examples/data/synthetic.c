/* Synthetic sets: a formula, noise from the seed, and the classes in turn or one after another. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "readers.h"

static const double PI = 3.141592653589793;

typedef struct set {
  cr_dataset *d;
  int64_t n;
  double noise;
  cr_random random;
} set;

static double number(const cr__order *o, const char *name) { return cr_number_of(o->a, name, 0); }

/* Space for n examples of some features with classes, or values where classes is 0. */
static cr_status open_set(set *s, cr_dataset *d, const cr__order *o, int features, int classes) {
  cr_status status = cr_number_within(o->a, "n", 1, 1e8, 1, o->p);
  if (status == CR_OK) status = cr_number_within(o->a, "noise", 0, 1e6, 0, o->p);
  if (status == CR_OK) status = cr_number_within(o->a, "seed", 0, 9007199254740992.0, 1, o->p);
  if (status != CR_OK) return status;
  *s = (set){d, (int64_t)number(o, "n"), number(o, "noise"), {.seed = (uint64_t)number(o, "seed")}};
  int64_t dim[2] = {s->n, features}, column[2] = {s->n, 1};
  status = cr_array_make(&d->x, o->dtype, 2, dim, o->p);
  if (status != CR_OK) return status;
  d->n_features = features;
  d->n_classes = classes;
  return classes ? cr_array_make(&d->y, CR_INT64, 1, dim, o->p) : cr_array_make(&d->y, o->dtype, 2, column, o->p);
}

static double noise(set *s) { return s->noise > 0 ? s->noise * cr_random_normal(&s->random) : 0; }

static void put_point(set *s, int64_t k, double x, double y, int64_t class) {
  cr_array_set(&s->d->x, 2 * k, x + noise(s));
  cr_array_set(&s->d->x, 2 * k + 1, y + noise(s));
  ((int64_t *)s->d->y.data)[k] = class;
}

/* Where example k of n is among those of its class, from 0 to 1: the classes take equal parts one after another. */
static double place_in(int64_t k, int64_t n, int64_t classes, int64_t *class) {
  *class = k * classes / n;
  int64_t first = (*class * n + classes - 1) / classes, next = ((*class + 1) * n + classes - 1) / classes;
  return next - first > 1 ? (double)(k - first) / (double)(next - first - 1) : 0.5;
}

cr_status cr__make_moons(cr_dataset *d, const cr__order *o) {
  set s;
  int64_t class;
  cr_status status = open_set(&s, d, o, 2, 2);
  for (int64_t k = 0; status == CR_OK && k < s.n; k++) {
    double angle = PI * place_in(k, s.n, 2, &class);
    put_point(&s, k, class ? 1 - cos(angle) : cos(angle), class ? 0.5 - sin(angle) : sin(angle), class);
  }
  return status;
}

cr_status cr__make_circles(cr_dataset *d, const cr__order *o) {
  set s;
  cr_status status = cr_number_within(o->a, "factor", 0, 1, 0, o->p);
  if (status == CR_OK) status = open_set(&s, d, o, 2, 2);
  for (int64_t k = 0; status == CR_OK && k < s.n; k++) {
    int64_t class = k % 2, of_class = (s.n + 1 - class) / 2;
    double angle = 2 * PI * (double)(k / 2) / (double)of_class, radius = class ? number(o, "factor") : 1;
    put_point(&s, k, radius * cos(angle), radius * sin(angle), class);
  }
  return status;
}

cr_status cr__make_spirals(cr_dataset *d, const cr__order *o) {
  set s;
  int64_t class, classes = 0;
  cr_status status = cr_number_within(o->a, "classes", 1, 100, 1, o->p);
  if (status == CR_OK) status = cr_number_within(o->a, "turns", 0, 100, 0, o->p);
  if (status == CR_OK) classes = (int64_t)number(o, "classes");
  if (status == CR_OK) status = open_set(&s, d, o, 2, (int)classes);
  for (int64_t k = 0; status == CR_OK && k < s.n; k++) {
    double radius = place_in(k, s.n, classes, &class);
    double angle = 2 * PI * (number(o, "turns") * radius + (double)class / (double)classes);
    put_point(&s, k, radius * cos(angle), radius * sin(angle), class);
  }
  return status;
}

cr_status cr__make_xor(cr_dataset *d, const cr__order *o) {
  set s;
  cr_status status = open_set(&s, d, o, 2, 2);
  for (int64_t k = 0; status == CR_OK && k < s.n; k++) {
    int64_t a = k / 2 % 2, b = k % 2;
    put_point(&s, k, (double)a, (double)b, a != b);
  }
  return status;
}

cr_status cr__make_blobs(cr_dataset *d, const cr__order *o) {
  set s;
  cr_status status = cr_number_within(o->a, "centers", 1, 1e4, 1, o->p);
  if (status == CR_OK) status = cr_number_within(o->a, "features", 1, 1e4, 1, o->p);
  if (status != CR_OK) return status;
  int64_t centers = (int64_t)number(o, "centers"), features = (int64_t)number(o, "features");
  status = open_set(&s, d, o, (int)features, (int)centers);
  double *center = status == CR_OK ? malloc((size_t)(centers * features) * sizeof *center) : NULL;
  if (status == CR_OK && !center) return cr__no_memory(o->p);
  for (int64_t k = 0; center && k < centers * features; k++) center[k] = 8 * cr_random_uniform(&s.random) - 4;
  for (int64_t k = 0; center && k < s.n; k++) {
    int64_t class = k % centers;
    for (int64_t j = 0; j < features; j++) cr_array_set(&d->x, k * features + j, center[class * features + j] + noise(&s));
    ((int64_t *)d->y.data)[k] = class;
  }
  free(center);
  return status;
}

static double even(const set *s, int64_t k, double low, double high) {
  return s->n > 1 ? low + (high - low) * (double)k / (double)(s->n - 1) : (low + high) / 2;
}

cr_status cr__make_sine(cr_dataset *d, const cr__order *o) {
  set s;
  cr_status status = cr_number_within(o->a, "periods", 0, 1000, 0, o->p);
  if (status == CR_OK) status = open_set(&s, d, o, 1, 0);
  double end = PI * number(o, "periods");
  for (int64_t k = 0; status == CR_OK && k < s.n; k++) {
    double x = even(&s, k, -end, end);
    cr_array_set(&d->x, k, x);
    cr_array_set(&d->y, k, sin(x) + noise(&s));
  }
  return status;
}

cr_status cr__make_polynomial(cr_dataset *d, const cr__order *o) {
  set s;
  const cr_argument *c = cr_argument_of(o->a, "coefficients");
  cr_status status = cr_number_within(o->a, "low", -1e6, 1e6, 0, o->p);
  if (status == CR_OK) status = cr_number_within(o->a, "high", -1e6, 1e6, 0, o->p);
  if (status == CR_OK) status = open_set(&s, d, o, 1, 0);
  for (int64_t k = 0; status == CR_OK && k < s.n; k++) {
    double x = even(&s, k, number(o, "low"), number(o, "high")), y = 0;
    for (int j = c->n; j-- > 0;) y = y * x + c->list[j];
    cr_array_set(&d->x, k, x);
    cr_array_set(&d->y, k, y + noise(&s));
  }
  return status;
}

/* Examples written out */

static cr_status points_y(cr_dataset *d, const cr__order *o, enum cr__choice classes) {
  const cr_argument *y = cr_argument_of(o->a, "y");
  cr_array a;
  cr_status status = CR_OK;
  int64_t n = cr_dataset_size(d), dim[2] = {y->rows, 0}, count = y->n_texts ? y->n_texts : y->rows ? y->rows : y->n;
  if (y->kind == CR_ARGUMENT_NONE) return CR_OK;
  if (y->kind != CR_ARGUMENT_LIST) return cr_argument_is(o->a, "y", CR_ARGUMENT_LIST, o->p);
  if (count != n)
    return cr_refuse(o->p, CR_BAD_SHAPE, "points: x has %lld examples, y %lld", (long long)n, (long long)count);
  if (y->n_texts) return cr__text_classes(d, n, y->texts, o->p);
  dim[1] = y->rows ? y->n / y->rows : 0;
  cr_array_init(&a, CR_FLOAT64, y->rows ? 2 : 1, y->rows ? dim : &n);
  a.data = y->list;
  if (classes == CR__YES) status = cr__number_classes(d, &a, "points", o->p);
  else status = cr__set_values(d, &a, o);
  return status;
}

cr_status cr__make_points(cr_dataset *d, const cr__order *o) {
  const cr_argument *x = cr_argument_of(o->a, "x");
  enum cr__choice classes;
  cr_array a;
  int64_t dim[2] = {x->rows ? x->rows : x->n, 1};
  if (!x->n) return cr_refuse(o->p, CR_BAD_ARGUMENT, "points: x must be a list of numbers, or of lists of numbers");
  if (x->rows) dim[1] = x->n / x->rows;
  cr_array_init(&a, CR_FLOAT64, 2, dim);
  a.data = x->list;
  cr_status status = cr__choice_of(&classes, o, "classes");
  if (status == CR_OK) status = cr_array_clone(&d->x, &a, o->dtype, o->p);
  d->n_features = (int)dim[1];
  return status == CR_OK ? points_y(d, o, classes) : status;
}
