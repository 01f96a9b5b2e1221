/* Sources of data by name, as the language writes them, and what they share. */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "readers.h"

static const struct row {
  cr_source source;
  cr__maker make;
} rows[] = {
    {{"csv(path, target=None, inputs=None, classes=None, scale=1, shape=None, header=None, missing='error')",
      "A table: target names or numbers a column (or a list), inputs the others to use. Text columns become classes, or one "
      "column for each text; classes=True makes classes of whole numbers. missing: 'error', 'drop', or 'mean'. Inputs are "
      "divided by scale."},
     cr__make_csv},
    {{"idx(images, labels=None, scale=None, shape=None)",
      "IDX files, the format of MNIST, plain or gzip: bytes are divided by scale, 255 by default. One row of numbers an "
      "image, unless shape says otherwise: shape=[1, 28, 28]."},
     cr__make_idx},
    {{"npy(x, y=None, classes=None, scale=1, shape=None, tokens=False)",
      "NumPy arrays, the first axis counting examples. Integer y are classes; tokens=True keeps integer x as they are."},
     cr__make_npy},
    {{"npz(path, x='x', y='y', classes=None, scale=1, shape=None, tokens=False)",
      "The same from two arrays of an archive; y=None for none."},
     cr__make_npz},
    {{"safetensors(path, x='x', y='y', classes=None, scale=1, shape=None, tokens=False)",
      "The same from a safetensors file."},
     cr__make_safetensors},
    {{"text(path, length=64, stride=None, start=0, limit=None)",
      "Characters as classes: windows of length characters every stride (length by default), y one character later; of "
      "limit bytes from start."},
     cr__make_text},
    {{"points(x=[], y=None, classes=None)",
      "Examples written out: points(x=[[0, 0], [0, 1]], y=[0, 1]). Texts as y are classes."},
     cr__make_points},
    {{"moons(n=200, noise=0.1, seed=0)", "Two interleaved half circles."}, cr__make_moons},
    {{"circles(n=200, noise=0.05, factor=0.5, seed=0)", "Two circles about the origin, of radius 1 and factor."},
     cr__make_circles},
    {{"spirals(n=200, noise=0.05, turns=1, classes=2, seed=0)", "Spirals from the origin, one for each class."},
     cr__make_spirals},
    {{"xor(n=4, noise=0, seed=0)", "The corners of the unit square in turn; class 1 where exactly one coordinate is 1."},
     cr__make_xor},
    {{"blobs(n=150, centers=3, noise=0.6, features=2, seed=0)",
      "Normal clouds around centers drawn from [-4, 4], one for each class."},
     cr__make_blobs},
    {{"sine(n=100, noise=0.1, periods=1, seed=0)", "y = sin x + noise at even x in [-pi, pi] times periods."},
     cr__make_sine},
    {{"polynomial(coefficients=[0, -1, 0, 1], n=50, noise=0.1, low=-1.5, high=1.5, seed=0)",
      "y = c0 + c1 x + c2 x^2 + ... + noise at even x in [low, high]."},
     cr__make_polynomial}};
enum { N_ROWS = sizeof rows / sizeof *rows };

const cr_source *cr_source_at(int k) { return k >= 0 && k < N_ROWS ? &rows[k].source : NULL; }

enum { LONGEST_NAME = 40 };

/* The name in front of the bracket. */
static bool name_of(const char *call, char name[LONGEST_NAME + 1]) {
  size_t n = 0;
  call += strspn(call, " \t\n");
  while (isalnum((unsigned char)call[n]) || call[n] == '_') n++;
  if (!n || n > LONGEST_NAME) return false;
  memcpy(name, call, n);
  name[n] = 0;
  return true;
}

static void name_at(int k, char name[LONGEST_NAME + 1]) { name_of(rows[k].source.signature, name); }

static const char *name_of_row(int k) { return k < N_ROWS ? rows[k].source.signature : NULL; }

cr_status cr_dataset_read(cr_dataset *d, const char *call, const char *base, cr_dtype dtype, cr_program *names,
                          cr_problem *p) {
  char name[LONGEST_NAME + 1], candidate[LONGEST_NAME + 1];
  cr_arguments a;
  cr_problem own = {.status = CR_OK};
  int k = 0;
  p = p ? p : &own;
  *d = (cr_dataset){0};
  if (dtype < CR_FLOAT32) return cr_refuse(p, CR_BAD_DTYPE, "data are float32 or float64");
  if (!name_of(call, name)) return cr_refuse(p, CR_BAD_SYNTAX, "'%.100s': a source is wanted, as in csv('iris.csv')", call);
  for (; k < N_ROWS; k++)
    if (name_at(k, candidate), !strcmp(name, candidate)) break;
  if (k == N_ROWS) return cr_refuse_name(p, "source", name, name_of_row);
  cr_status status = cr_arguments_read(&a, call, rows[k].source.signature, names, p);
  if (status != CR_OK) return status;
  cr__order o = {&a, base, dtype, p};
  status = rows[k].make(d, &o);
  cr_arguments_free(&a);
  if (status == CR_OK && !(d->title = strdup(call + strspn(call, " \t\n")))) status = cr__no_memory(p);
  if (status != CR_OK) cr_dataset_free(d);
  return status;
}

/* What sources share */

char *cr__path_of(const cr__order *o, const char *name) {
  if (cr_argument_is(o->a, name, CR_ARGUMENT_TEXT, o->p) != CR_OK) return NULL;
  const char *path = cr_text_of(o->a, name), *base = o->base && path && *path != '/' ? o->base : "";
  if (!path) return cr_refuse(o->p, CR_BAD_ARGUMENT, "%s: %s must name a file", o->a->name, name), NULL;
  char *whole = malloc(strlen(base) + strlen(path) + 2);
  if (whole) sprintf(whole, *base ? "%s/%s" : "%s%s", base, path);
  else cr__no_memory(o->p);
  return whole;
}

cr_status cr__choice_of(enum cr__choice *choice, const cr__order *o, const char *name) {
  double x = cr_number_of(o->a, name, 2);
  *choice = x == 0 ? CR__NO : x == 1 ? CR__YES : CR__EITHER;
  return cr_number_within(o->a, name, 0, 1, 1, o->p);
}

int cr__by_text(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

const char **cr__sorted_texts(int64_t n, const char *const *text) {
  const char **sorted = malloc(((size_t)n + 1) * sizeof *sorted);
  if (sorted && n) {
    memcpy(sorted, text, (size_t)n * sizeof *sorted);
    qsort(sorted, (size_t)n, sizeof *sorted, cr__by_text);
  }
  return sorted;
}

static int by_number(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

enum { MOST_CLASSES = 1 << 20, NO_CLASS = -100 };

/* The numbers that occur, in order; 0, 1, ... up to the largest where none is negative, so that parts of one set agree. */
static cr_status levels_of(const cr_array *labels, double **level, int *n, const char *file, cr_problem *p) {
  int64_t count = labels->count, known = 0;
  double low = 0, high = 0;
  for (int64_t k = 0; k < count; k++) {
    double x = cr_array_get(labels, k);
    if (x == NO_CLASS) continue;
    if (x != floor(x) || fabs(x) >= MOST_CLASSES)
      return cr__refuse_file(p, CR_BAD_ARGUMENT, file, "label %lld is %g, which is no class", (long long)k, x);
    low = fmin(low, x);
    high = fmax(high, x);
  }
  size_t room = (size_t)(low < 0 ? count : (int64_t)high + 1);
  *level = malloc((room + 1) * sizeof **level);
  *n = 0;
  if (!*level) return cr__no_memory(p);
  for (int64_t k = 0; k < (int64_t)room; k++) {
    double x = low < 0 ? cr_array_get(labels, k) : (double)k;
    if (x != NO_CLASS) (*level)[known++] = x;
  }
  room = (size_t)known;
  qsort(*level, room, sizeof **level, by_number);
  for (size_t k = 0; k < room; k++)
    if (!k || (*level)[k] != (*level)[*n - 1]) (*level)[(*n)++] = (*level)[k];
  return CR_OK;
}

static cr_status name_classes(cr_dataset *d, const double *level, int n, cr_problem *p) {
  d->class_name = calloc((size_t)n + 1, sizeof *d->class_name);
  if (!d->class_name) return cr__no_memory(p);
  for (d->n_classes = 0; d->n_classes < n; d->n_classes++) {
    char text[32];
    snprintf(text, sizeof text, "%.0f", level[d->n_classes]);
    if (!(d->class_name[d->n_classes] = strdup(text))) return cr__no_memory(p);
  }
  return CR_OK;
}

cr_status cr__number_classes(cr_dataset *d, const cr_array *labels, const char *file, cr_problem *p) {
  double *level;
  int n, rank = labels->rank == 2 && labels->dim[1] == 1 ? 1 : labels->rank; /* a column serves as a vector */
  cr_status status = levels_of(labels, &level, &n, file, p);
  if (status == CR_OK) status = cr_array_make(&d->y, CR_INT64, rank, labels->dim, p);
  else return status;
  for (int64_t k = 0; status == CR_OK && k < labels->count; k++) {
    double x = cr_array_get(labels, k), *at = bsearch(&x, level, (size_t)n, sizeof *level, by_number);
    ((int64_t *)d->y.data)[k] = x == NO_CLASS ? NO_CLASS : at - level;
  }
  if (status == CR_OK) status = name_classes(d, level, n, p);
  free(level);
  return status;
}

cr_status cr__text_classes(cr_dataset *d, int64_t n, const char *const *text, cr_problem *p) {
  const char **level = cr__sorted_texts(n, text);
  int classes = 0;
  if (!level) return cr__no_memory(p);
  for (int64_t k = 0; k < n; k++)
    if (!k || strcmp(level[k], level[classes - 1])) level[classes++] = level[k];
  cr_status status = cr_array_make(&d->y, CR_INT64, 1, &n, p);
  for (int64_t k = 0; status == CR_OK && k < n; k++) {
    const char **at = bsearch(&text[k], level, (size_t)classes, sizeof *level, cr__by_text);
    ((int64_t *)d->y.data)[k] = at - level;
  }
  if (status == CR_OK && !(d->class_name = cr__copy_texts(classes, level))) status = cr__no_memory(p);
  if (status == CR_OK) d->n_classes = classes;
  free(level);
  return status;
}

cr_status cr__set_values(cr_dataset *d, const cr_array *values, const cr__order *o) {
  cr_array column = *values;
  int64_t dim[2] = {values->count, 1};
  if (values->rank == 1) cr_array_init(&column, (cr_dtype)values->dtype, 2, dim);
  column.data = values->data;
  return cr_array_clone(&d->y, &column, o->dtype, o->p);
}

cr_status cr__reshape(cr_dataset *d, const cr__order *o) {
  const cr_argument *shape = cr_argument_of(o->a, "shape");
  int64_t dim[CR_MAX_RANK] = {cr_dataset_size(d)}, width = 1;
  cr_array x = d->x;
  if (shape->kind == CR_ARGUMENT_NUMBER || shape->kind == CR_ARGUMENT_TEXT || shape->n >= CR_MAX_RANK)
    return cr_refuse(o->p, CR_BAD_SHAPE, "%s: shape is of one example, a list of at most %d numbers", o->a->name,
                     CR_MAX_RANK - 1);
  for (int i = 0; i < shape->n; i++) {
    if (!(shape->list[i] >= 1 && shape->list[i] <= 1e9) || shape->list[i] != floor(shape->list[i]))
      return cr_refuse(o->p, CR_BAD_SHAPE, "%s: shape has an entry of %g", o->a->name, shape->list[i]);
    dim[i + 1] = (int64_t)shape->list[i];
    if (width <= x.count) width *= dim[i + 1];
  }
  if (shape->n && width * dim[0] != x.count)
    return cr_refuse(o->p, CR_BAD_SHAPE, "%s: shape wants %lld numbers an example, there are %lld", o->a->name,
                     (long long)width, (long long)(dim[0] ? x.count / dim[0] : 0));
  if (shape->n) cr_array_init(&d->x, (cr_dtype)x.dtype, shape->n + 1, dim);
  d->x.data = x.data;
  if (d->feature_name && d->x.dim[d->x.rank - 1] != d->n_features) cr__drop_feature_names(d);
  d->n_features = d->x.rank > 1 && d->x.dtype >= CR_FLOAT32 ? (int)d->x.dim[d->x.rank - 1] : 0;
  return CR_OK;
}
