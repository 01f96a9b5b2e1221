/* The data of a recipe: read from their sources, with test and validation data brought into the form of the training data.
 */
#include <stdlib.h>
#include <string.h>

#include <op.h>

#include "recipe.h"

static const cr_dataset *training_data(const cr_recipe *r) { return r->train.x.data ? &r->train : &r->all; }

static cr_status read_call(const cr_recipe *r, const char *text, cr_dataset *d, cr_problem *p) {
  char *call = cr__whole_call(r, text);
  cr_status status =
      call ? cr_dataset_read(d, call, r->base, r->dtype, r->names, p) : cr_refuse(p, CR_NO_MEMORY, "out of memory");
  free(call);
  return status;
}

cr_status cr_recipe_prepare(const cr_recipe *r, const char *source, cr_dataset *d, cr_problem *p) {
  cr_problem why = {0};
  cr_status status = read_call(r, source, d, &why);
  if (status == CR_OK) status = cr_dataset_align(d, training_data(r), &why);
  if (status == CR_OK) return CR_OK;
  cr_dataset_free(d);
  return cr_refuse(p, status, "%s", why.text);
}

/* What has no class goes with the first. */
static int64_t number_of(int64_t y) { return y > 0 ? y : 0; }

/* Folds: every folds-th example of an order in which classes follow one another, each shuffled. */
static cr_status order_folds(cr_recipe *r, cr_problem *p) {
  int64_t n = cr_dataset_size(&r->all), at = 0;
  int classes = r->all.n_classes && r->all.y.count == n ? r->all.n_classes : 1;
  int64_t *shuffled = malloc((size_t)n * sizeof *shuffled);
  r->order = malloc((size_t)n * sizeof *r->order);
  if (n < r->folds || r->folds == 1) {
    free(shuffled);
    return cr__refuse_at(&r->say, cr__said(&r->say, CR__TRAIN), 0, CR_BAD_ARGUMENT,
                         "train: folds is from 2 to the number of examples", p);
  }
  if (shuffled && r->order) cr_shuffle(n, r->seed, 0, shuffled);
  for (int c = 0; shuffled && r->order && c < classes; c++)
    for (int64_t k = 0; k < n; k++)
      if (classes == 1 || number_of(cr_array_get_int(&r->all.y, shuffled[k])) == c) r->order[at++] = shuffled[k];
  free(shuffled);
  return at == n ? CR_OK : cr_refuse(p, CR_NO_MEMORY, "%s: out of memory", r->file);
}

/* By the mean and deviation of the training data alone. */
static cr_status standardize(cr_recipe *r, cr_dataset *d, cr_problem *p) {
  return cr__train_number(r, "standardize", 0) != 0 ? cr_dataset_standardize(d, &r->train, p) : CR_OK;
}

cr_status cr__take_fold(cr_recipe *r, int k, cr_problem *p) {
  int64_t n = cr_dataset_size(&r->all), n_test = 0, n_train = 0;
  int64_t *which = malloc(2 * (size_t)n * sizeof *which), *rest = which + n;
  if (!which) return cr_refuse(p, CR_NO_MEMORY, "%s: out of memory", r->file);
  for (int64_t i = 0; i < n; i++)
    if (i % r->folds == k) which[n_test++] = r->order[i];
    else rest[n_train++] = r->order[i];
  cr_dataset_free(&r->train);
  cr_dataset_free(&r->test);
  cr_status status = cr_dataset_take(&r->train, &r->all, n_train, rest, p);
  if (status == CR_OK) status = cr_dataset_take(&r->test, &r->all, n_test, which, p);
  if (status == CR_OK) status = standardize(r, &r->train, p);
  if (status == CR_OK) status = standardize(r, &r->test, p);
  r->has_test = true;
  free(which);
  return status;
}

/* The source of a statement, in the form of the training data if there are some. */
static cr_status read_source(cr_recipe *r, const cr__statement *st, cr_dataset *d, cr_problem *p) {
  cr_problem why = {0};
  cr_status status = st->keyword == CR__DATA ? read_call(r, st->text, d, &why) : cr_recipe_prepare(r, st->text, d, &why);
  return status == CR_OK ? CR_OK : cr__refuse_at(&r->say, st, 0, status, why.text, p);
}

/* A share of the data for validation: at random, each class in proportion; of a text its end, so that no sentence is in
 * both. */
static cr_status hold_out(cr_recipe *r, double fraction, cr_problem *p) {
  int64_t n = cr_dataset_size(&r->all), cut = n - (int64_t)((double)n * fraction);
  cr_problem why = {0};
  cr_status status;
  if (!r->all.letters) status = cr_dataset_split(&r->train, &r->validation, &r->all, 1 - fraction, r->seed, &why);
  else if (cut < 1 || cut == n)
    status = cr_refuse(&why, CR_BAD_ARGUMENT, "validation=%g of %lld examples are none", fraction, (long long)n);
  else if ((status = cr_dataset_slice(&r->train, &r->all, 0, cut, &why)) == CR_OK)
    status = cr_dataset_slice(&r->validation, &r->all, cut, n, &why);
  return status == CR_OK ? CR_OK : cr__refuse_at(&r->say, cr__said(&r->say, CR__TRAIN), 0, status, why.text, p);
}

cr_status cr__read_data(cr_recipe *r, cr_problem *p) {
  const cr__statement *data = cr__said(&r->say, CR__DATA), *own = cr__said(&r->say, CR__VALIDATION),
                      *test = cr__said(&r->say, CR__TEST);
  double fraction = cr__train_number(r, "validation", 0);
  if (!data) return cr_refuse(p, CR_BAD_SYNTAX, "%s: no data statement: what is there to learn from?", r->file);
  if (own && fraction > 0)
    return cr__refuse_at(&r->say, own, 0, CR_BAD_SYNTAX, "validation= of train and this statement exclude each other", p);
  if (r->folds && (own || test))
    return cr__refuse_at(&r->say, own ? own : test, 0, CR_BAD_SYNTAX,
                         "with folds there are no test and validation data besides", p);
  if (r->folds && fraction > 0)
    return cr__refuse_at(&r->say, cr__said(&r->say, CR__TRAIN), 0, CR_BAD_ARGUMENT,
                         "train: validation= and folds= exclude each other: each fold is tested on what it leaves out", p);
  cr_status status = read_source(r, data, &r->all, p);
  if (status != CR_OK) return status;
  if (r->folds) return (status = order_folds(r, p)) == CR_OK ? cr__take_fold(r, 0, p) : status;
  if (own || fraction == 0) {
    r->train = r->all;
    r->all = (cr_dataset){0};
  } else {
    status = hold_out(r, fraction, p);
    cr_dataset_free(&r->all);
    r->has_validation = true;
  }
  if (status == CR_OK) status = standardize(r, &r->train, p);
  if (status == CR_OK && r->has_validation) status = standardize(r, &r->validation, p);
  if (status == CR_OK && own) status = read_source(r, own, &r->validation, p), r->has_validation = true;
  if (status == CR_OK && test) status = read_source(r, test, &r->test, p), r->has_test = true;
  return status;
}
