/* Datasets: parts of them, splits, and making one fit what a model has learnt on another. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "readers.h"

static void free_texts(int n, char **text) {
  for (int k = 0; text && k < n; k++) free(text[k]);
  free(text);
}

char **cr__copy_texts(int64_t n, const char *const *text) {
  char **copy = calloc((size_t)n + 1, sizeof *copy);
  for (int64_t k = 0; copy && k < n; k++) {
    copy[k] = strdup(text[k]);
    if (copy[k]) continue;
    free_texts((int)k, copy);
    return NULL;
  }
  return copy;
}

/* C does not let char ** serve as a list of constant texts by itself. */
static char **copies(int64_t n, char **text) { return cr__copy_texts(n, (const char *const *)text); }

void cr__drop_feature_names(cr_dataset *d) {
  free_texts(d->n_features, d->feature_name);
  d->feature_name = NULL;
}

void cr_dataset_free(cr_dataset *d) {
  free(d->title);
  free_texts(d->n_classes, d->class_name);
  cr__drop_feature_names(d);
  cr_array_release(&d->x);
  cr_array_release(&d->y);
  cr_array_release(&d->center);
  cr_array_release(&d->scale);
  memset(d, 0, sizeof *d);
}

int64_t cr_dataset_size(const cr_dataset *d) { return d->x.rank ? d->x.dim[0] : 0; }

/* Numbers of one example. */
static int64_t width_of(const cr_array *a) {
  int64_t width = 1;
  for (int i = 1; i < a->rank; i++) width *= a->dim[i];
  return width;
}

/* Parts */

static cr_status take_rows(cr_array *to, const cr_array *from, int64_t n, const int64_t *which, cr_problem *p) {
  int64_t dim[CR_MAX_RANK];
  if (!from->data || !from->rank) return CR_OK;
  memcpy(dim, from->dim, sizeof dim);
  dim[0] = n;
  cr_status status = cr_array_make(to, (cr_dtype)from->dtype, from->rank, dim, p);
  if (status != CR_OK) return status;
  size_t bytes = (size_t)width_of(from) * cr_dtype_size((cr_dtype)from->dtype);
  for (int64_t k = 0; k < n && bytes; k++)
    memcpy((char *)to->data + (size_t)k * bytes, (const char *)from->data + (size_t)which[k] * bytes, bytes);
  return CR_OK;
}

static cr_status copy_optional(cr_array *to, const cr_array *from, cr_problem *p) {
  return from->data ? cr_array_clone(to, from, (cr_dtype)from->dtype, p) : CR_OK;
}

static cr_status copy_names(cr_dataset *d, const cr_dataset *from, cr_problem *p) {
  d->title = from->title ? strdup(from->title) : NULL;
  d->n_classes = from->n_classes;
  d->letters = from->letters;
  d->n_features = from->n_features;
  if (from->class_name) d->class_name = copies(from->n_classes, from->class_name);
  if (from->feature_name) d->feature_name = copies(from->n_features, from->feature_name);
  bool good = (!from->title || d->title) && (!from->class_name || d->class_name) && (!from->feature_name || d->feature_name);
  return good ? CR_OK : cr__no_memory(p);
}

cr_status cr_dataset_take(cr_dataset *d, const cr_dataset *from, int64_t n, const int64_t *which, cr_problem *p) {
  cr_dataset part = {0};
  for (int64_t k = 0; k < n; k++)
    if (which[k] < 0 || which[k] >= cr_dataset_size(from))
      return cr_refuse(p, CR_BAD_INDEX, "example %lld of %lld", (long long)which[k], (long long)cr_dataset_size(from));
  cr_status status = copy_names(&part, from, p);
  if (status == CR_OK) status = take_rows(&part.x, &from->x, n, which, p);
  if (status == CR_OK) status = take_rows(&part.y, &from->y, n, which, p);
  if (status == CR_OK) status = copy_optional(&part.center, &from->center, p);
  if (status == CR_OK) status = copy_optional(&part.scale, &from->scale, p);
  if (status != CR_OK) cr_dataset_free(&part);
  *d = part;
  return status;
}

cr_status cr_dataset_slice(cr_dataset *d, const cr_dataset *of, int64_t from, int64_t to, cr_problem *p) {
  *d = (cr_dataset){0};
  if (from < 0 || to < from || to > cr_dataset_size(of))
    return cr_refuse(p, CR_BAD_INDEX, "examples %lld to %lld of %lld", (long long)from, (long long)to,
                     (long long)cr_dataset_size(of));
  int64_t n = to - from, *which = malloc(((size_t)n + 1) * sizeof *which);
  if (!which) return cr__no_memory(p);
  for (int64_t k = 0; k < n; k++) which[k] = from + k;
  cr_status status = cr_dataset_take(d, of, n, which, p);
  free(which);
  return status;
}

/* Splitting */

static int64_t class_of(const cr_dataset *d, int64_t k) {
  int64_t y = d->n_classes && d->y.rank == 1 ? cr_array_get_int(&d->y, k) : 0;
  return y > 0 ? y : 0; /* what has no class goes with the first */
}

/* Walks the shuffled examples and gives every class its share: of its first j, floor(j * fraction + 1/2) belong to the first
 * part, the half spread over the classes so that the sizes of the parts come out right too. */
static cr_status choose(const cr_dataset *all, double fraction, const int64_t *order, unsigned char *first, cr_problem *p) {
  int classes = all->n_classes ? all->n_classes : 1;
  int64_t n = cr_dataset_size(all);
  double *owed = malloc((size_t)classes * sizeof *owed), *size = calloc((size_t)classes, sizeof *size);
  if (!owed || !size) return free(owed), free(size), cr__no_memory(p);
  for (int64_t k = 0; k < n; k++) size[class_of(all, k)]++;
  double carried = 0.5;
  for (int c = 0; c < classes; c++) {
    owed[c] = carried;
    carried += size[c] * fraction;
    carried -= floor(carried + 1e-9);
  }
  for (int64_t k = 0; k < n; k++) {
    double *o = &owed[class_of(all, order[k])];
    *o += fraction;
    first[order[k]] = *o >= 1 - 1e-9;
    *o -= first[order[k]];
  }
  free(owed);
  free(size);
  return CR_OK;
}

static cr_status split_by(cr_dataset *first, cr_dataset *second, const cr_dataset *all, const int64_t *order,
                          const unsigned char *is_first, cr_problem *p) {
  int64_t n = cr_dataset_size(all), n_first = 0, n_second = 0;
  int64_t *which = malloc(((size_t)n + 1) * sizeof *which);
  if (!which) return cr__no_memory(p);
  for (int64_t k = 0; k < n; k++) n_first += is_first[k];
  for (int64_t k = 0, j = 0; k < n; k++) which[is_first[order[k]] ? j++ : n_first + n_second++] = order[k];
  cr_status status = n_first && n_second ? cr_dataset_take(first, all, n_first, which, p)
                                         : cr_refuse(p, CR_BAD_ARGUMENT, "a split of %lld examples into %lld and %lld",
                                                     (long long)n, (long long)n_first, (long long)n_second);
  if (status == CR_OK) status = cr_dataset_take(second, all, n_second, which + n_first, p);
  if (status != CR_OK) cr_dataset_free(first);
  free(which);
  return status;
}

cr_status cr_dataset_split(cr_dataset *first, cr_dataset *second, const cr_dataset *all, double fraction, uint64_t seed,
                           cr_problem *p) {
  int64_t n = cr_dataset_size(all);
  *first = *second = (cr_dataset){0};
  if (!(fraction > 0 && fraction < 1))
    return cr_refuse(p, CR_BAD_ARGUMENT, "a split needs a fraction between 0 and 1, not %g", fraction);
  int64_t *order = malloc(((size_t)n + 1) * sizeof *order);
  unsigned char *is_first = calloc((size_t)n + 1, 1);
  cr_status status = order && is_first ? CR_OK : cr__no_memory(p);
  if (status == CR_OK) {
    cr_shuffle(n, seed, 0, order);
    status = choose(all, fraction, order, is_first, p);
  }
  if (status == CR_OK) status = split_by(first, second, all, order, is_first, p);
  free(order);
  free(is_first);
  return status;
}

/* Standardising */

static void measure_feature(const cr_array *x, int64_t n, int64_t width, int64_t j, double *mean, double *deviation) {
  double sum = 0, squares = 0, low = (double)INFINITY, high = -(double)INFINITY;
  for (int64_t k = 0; k < n; k++) {
    double v = cr_array_get(x, k * width + j);
    sum += v;
    low = fmin(low, v);
    high = fmax(high, v);
  }
  *mean = low == high ? low : sum / (double)n;
  for (int64_t k = 0; k < n; k++) {
    double v = cr_array_get(x, k * width + j) - *mean;
    squares += v * v;
  }
  *deviation = low == high ? 1 : sqrt(squares / (double)n);
}

static cr_status measure(const cr_dataset *fit, cr_array *center, cr_array *scale, cr_problem *p) {
  const cr_array *x = &fit->x;
  int64_t n = cr_dataset_size(fit), width = width_of(x);
  cr_status status = cr_array_make(center, CR_FLOAT64, x->rank - 1, x->dim + 1, p);
  if (status == CR_OK) status = cr_array_make(scale, CR_FLOAT64, x->rank - 1, x->dim + 1, p);
  for (int64_t j = 0; j < width && status == CR_OK; j++)
    measure_feature(x, n, width, j, (double *)center->data + j, (double *)scale->data + j);
  return status;
}

static bool same_example(const cr_array *a, const cr_array *b) {
  return a->rank && a->rank == b->rank && !memcmp(a->dim + 1, b->dim + 1, (size_t)(a->rank - 1) * sizeof *a->dim);
}

cr_status cr_dataset_standardize(cr_dataset *d, const cr_dataset *fit, cr_problem *p) {
  cr_array center = {0}, scale = {0};
  if (d->center.data) return CR_OK; /* it is already */
  if (d->x.dtype < CR_FLOAT32 || fit->x.dtype < CR_FLOAT32)
    return cr_refuse(p, CR_BAD_DTYPE, "only numbers can be standardised, not classes or characters");
  if (!d->x.rank || !same_example(&d->x, &fit->x) || !cr_dataset_size(fit))
    return cr_refuse(p, CR_BAD_SHAPE, "examples to standardise must have the shape of those that are measured");
  cr_status status = fit->center.data ? copy_optional(&center, &fit->center, p) : measure(fit, &center, &scale, p);
  if (status == CR_OK && fit->center.data) status = copy_optional(&scale, &fit->scale, p);
  if (status != CR_OK) {
    cr_array_release(&center);
    cr_array_release(&scale);
    return status;
  }
  int64_t width = width_of(&d->x);
  for (int64_t k = 0; k < d->x.count; k++)
    cr_array_set(&d->x, k, (cr_array_get(&d->x, k) - cr_array_get(&center, k % width)) / cr_array_get(&scale, k % width));
  d->center = center;
  d->scale = scale;
  return CR_OK;
}

/* Fitting a dataset to another */

static int class_named(const cr_dataset *d, const char *name) {
  for (int k = 0; k < d->n_classes; k++)
    if (!strcmp(d->class_name[k], name)) return k;
  return -1;
}

static cr_status renumber(cr_array *a, const int *to, const cr_dataset *d, cr_problem *p) {
  for (int64_t k = 0; a->data && a->dtype == CR_INT64 && k < a->count; k++) {
    int64_t *x = (int64_t *)a->data + k;
    if (*x < 0) continue;
    if (to[*x] < 0)
      return cr_refuse(p, CR_UNKNOWN_NAME, "%.200s: '%.60s' does not occur in the training data",
                       d->title ? d->title : "data", d->class_name[*x]);
    *x = to[*x];
  }
  return CR_OK;
}

static cr_status align_names(cr_dataset *d, const cr_dataset *like, cr_problem *p) {
  int *to = malloc(((size_t)d->n_classes + 1) * sizeof *to);
  char **names = copies(like->n_classes, like->class_name);
  if (!to || !names) return free(to), free_texts(like->n_classes, names), cr__no_memory(p);
  for (int k = 0; k < d->n_classes; k++) to[k] = class_named(like, d->class_name[k]);
  cr_status status = d->letters ? renumber(&d->x, to, d, p) : CR_OK;
  if (status == CR_OK) status = renumber(&d->y, to, d, p);
  free(to);
  if (status != CR_OK) return free_texts(like->n_classes, names), status;
  free_texts(d->n_classes, d->class_name);
  d->class_name = names;
  d->n_classes = like->n_classes;
  return CR_OK;
}

static int feature_named(const cr_dataset *d, const char *name) {
  for (int k = 0; k < d->n_features; k++)
    if (!strcmp(d->feature_name[k], name)) return k;
  return -1;
}

/* Has d words of the column of which this feature, such as town=Ulm, is a word? */
static bool shares_column(const cr_dataset *d, const char *feature) {
  size_t n = strcspn(feature, "=") + 1;
  for (int k = 0; k < d->n_features && n <= strlen(feature); k++)
    if (!strncmp(d->feature_name[k], feature, n)) return true;
  return false;
}

/* The columns of a table without a header: c0, c1, ... */
static bool is_unnamed(const cr_dataset *d) {
  for (int k = 0; k < d->n_features; k++) {
    const char *s = d->feature_name[k];
    if (*s != 'c' || !s[1] || !strchr("=", s[1 + strspn(s + 1, "0123456789")])) return false;
  }
  return true;
}

/* Where like's columns are in d, -1 for a word that does not occur there. */
static cr_status find_columns(int *from, const cr_dataset *d, const cr_dataset *like, cr_problem *p) {
  const char *title = d->title ? d->title : "data";
  for (int k = 0; k < like->n_features; k++) {
    from[k] = feature_named(d, like->feature_name[k]);
    if (from[k] < 0 && !shares_column(d, like->feature_name[k]))
      return cr_refuse(p, CR_UNKNOWN_NAME, "%.200s: there is no column '%.60s', which the training data have", title,
                       like->feature_name[k]);
  }
  for (int k = 0; k < d->n_features; k++)
    if (feature_named(like, d->feature_name[k]) < 0 && shares_column(like, d->feature_name[k]))
      return cr_refuse(p, CR_UNKNOWN_NAME, "%.200s: '%.60s' does not occur in the training data", title, d->feature_name[k]);
  return CR_OK;
}

/* Columns in like's order, by their names; what is not among them goes. */
static cr_status align_columns(cr_dataset *d, const cr_dataset *like, cr_problem *p) {
  cr_array x = {0};
  if (!d->feature_name || !like->feature_name || d->x.rank != 2 || like->x.rank != 2) return CR_OK;
  if (d->n_features == like->n_features && (is_unnamed(d) || is_unnamed(like))) return CR_OK;
  int *from = malloc(((size_t)like->n_features + 1) * sizeof *from);
  char **names = copies(like->n_features, like->feature_name);
  cr_status status = from && names ? find_columns(from, d, like, p) : cr__no_memory(p);
  int64_t dim[2] = {d->x.dim[0], like->n_features};
  if (status == CR_OK) status = cr_array_make(&x, (cr_dtype)d->x.dtype, 2, dim, p);
  for (int64_t k = 0; status == CR_OK && k < x.count; k++) {
    int j = from[k % dim[1]];
    if (j >= 0) cr_array_set(&x, k, cr_array_get(&d->x, k / dim[1] * d->n_features + j));
  }
  free(from);
  if (status != CR_OK) return free_texts(like->n_features, names), status;
  cr__drop_feature_names(d);
  cr_array_release(&d->x);
  d->x = x;
  d->feature_name = names;
  d->n_features = like->n_features;
  return CR_OK;
}

cr_status cr_dataset_align(cr_dataset *d, const cr_dataset *like, cr_problem *p) {
  char have[200], want[200];
  cr_status status = align_columns(d, like, p);
  if (status != CR_OK) return status;
  if (d->x.rank != like->x.rank || (like->x.dtype >= CR_FLOAT32 && !same_example(&d->x, &like->x)))
    return cr_refuse(p, CR_BAD_SHAPE, "%.200s: x is %s where the training data have %s", d->title ? d->title : "data",
                     cr_shape_text(&d->x, have, sizeof have), cr_shape_text(&like->x, want, sizeof want));
  if (!d->n_classes != !like->n_classes && d->y.data)
    return cr_refuse(p, CR_BAD_DTYPE, "%.200s: classes and values cannot stand for each other",
                     d->title ? d->title : "data");
  if (like->class_name && (d->class_name || !d->n_classes)) status = align_names(d, like, p);
  else if (d->n_classes > like->n_classes)
    status = cr_refuse(p, CR_BAD_INDEX, "%d classes where the training data have %d", d->n_classes, like->n_classes);
  else d->n_classes = like->n_classes;
  return status == CR_OK && like->center.data ? cr_dataset_standardize(d, like, p) : status;
}
