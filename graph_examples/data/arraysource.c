/* Arrays of files as datasets: IDX, .npy, .npz, safetensors. */
#include <stdlib.h>
#include <string.h>

#include "readers.h"

static cr_status refuse_sizes(const cr__order *o, const char *file, const cr_array *x, const cr_array *y) {
  char have[200], want[200];
  return cr__refuse_file(o->p, CR_BAD_SHAPE, file, "y is %s where x is %s: the first axis counts the examples",
                         cr_shape_text(y, have, sizeof have), cr_shape_text(x, want, sizeof want));
}

static cr_status set_y(cr_dataset *d, const cr__order *o, const char *file, const cr_array *y, enum cr__choice classes) {
  if (!y->rank || y->dim[0] != cr_dataset_size(d)) return refuse_sizes(o, file, &d->x, y);
  bool whole = y->dtype < CR_FLOAT32;
  return classes == CR__YES || (classes == CR__EITHER && whole) ? cr__number_classes(d, y, file, o->p)
                                                                : cr__set_values(d, y, o);
}

/* x divided by scale as floats, or whole numbers as they are where they are tokens. */
static cr_status set_x(cr_dataset *d, const cr__order *o, const char *file, const cr_array *x, double scale, bool tokens) {
  if (!x->rank) return cr__refuse_file(o->p, CR_BAD_SHAPE, file, "x is one number; its first axis must count the examples");
  if (tokens && x->dtype >= CR_FLOAT32)
    return cr__refuse_file(o->p, CR_BAD_DTYPE, file, "tokens are whole numbers; x is %s", cr_dtype_name(x->dtype));
  cr_status status = cr_array_clone(&d->x, x, tokens ? CR_INT64 : o->dtype, o->p);
  for (int64_t k = 0; status == CR_OK && scale != 1 && k < d->x.count; k++)
    cr_array_set(&d->x, k, cr_array_get(&d->x, k) / scale);
  return status == CR_OK ? cr__reshape(d, o) : status;
}

/* The arguments that the three sources have in common; y may be NULL. */
static cr_status set_both(cr_dataset *d, const cr__order *o, const char *file, const cr_array *x, const cr_array *y) {
  enum cr__choice classes, tokens;
  cr_status status = cr__choice_of(&classes, o, "classes");
  if (status == CR_OK) status = cr__choice_of(&tokens, o, "tokens");
  if (status == CR_OK) status = cr_number_within(o->a, "scale", 1e-300, 1e300, 0, o->p);
  if (status == CR_OK) status = set_x(d, o, file, x, cr_number_of(o->a, "scale", 1), tokens == CR__YES);
  return status == CR_OK && y ? set_y(d, o, file, y, classes) : status;
}

/* IDX */

cr_status cr__make_idx(cr_dataset *d, const cr__order *o) {
  cr_array x = {0}, y = {0};
  bool labelled = cr_argument_of(o->a, "labels")->kind != CR_ARGUMENT_NONE;
  char *images = cr__path_of(o, "images"), *labels = images && labelled ? cr__path_of(o, "labels") : NULL;
  cr_status status =
      images && (labels || !labelled) ? cr_number_within(o->a, "scale", 1e-300, 1e300, 0, o->p) : o->p->status;
  if (status == CR_OK) status = cr_read_idx(&x, images, o->p);
  if (status == CR_OK && labelled) status = cr_read_idx(&y, labels, o->p);
  double scale = cr_number_of(o->a, "scale", x.dtype == CR_INT32 ? 255 : 1);
  if (status == CR_OK) {
    int64_t row[2] = {x.dim[0], x.dim[0] ? x.count / x.dim[0] : 0};
    void *numbers = x.data;
    if (x.dim[0]) cr_array_init(&x, (cr_dtype)x.dtype, 2, row);
    x.data = numbers;
    status = set_x(d, o, images, &x, scale, false);
  }
  if (status == CR_OK && labelled) status = set_y(d, o, labels, &y, CR__YES);
  cr_array_release(&x);
  cr_array_release(&y);
  free(images);
  free(labels);
  return status;
}

/* NumPy's and safetensors */

cr_status cr__make_npy(cr_dataset *d, const cr__order *o) {
  cr_array x = {0}, y = {0};
  bool labelled = cr_argument_of(o->a, "y")->kind != CR_ARGUMENT_NONE;
  char *x_file = cr__path_of(o, "x"), *y_file = x_file && labelled ? cr__path_of(o, "y") : NULL;
  cr_status status = x_file && (y_file || !labelled) ? cr_read_npy(&x, x_file, o->p) : o->p->status;
  if (status == CR_OK && labelled) status = cr_read_npy(&y, y_file, o->p);
  if (status == CR_OK) status = set_both(d, o, labelled ? y_file : x_file, &x, labelled ? &y : NULL);
  cr_array_release(&x);
  cr_array_release(&y);
  free(x_file);
  free(y_file);
  return status;
}

static cr_status find_array(const cr_array **found, const cr_archive *a, const cr__order *o, const char *file,
                            const char *argument) {
  const char *name = cr_text_of(o->a, argument);
  cr_status status = cr_argument_is(o->a, argument, CR_ARGUMENT_TEXT, o->p);
  *found = NULL;
  if (status != CR_OK || !name) return status;
  *found = cr_archive_find(a, name);
  if (*found) return CR_OK;
  const char *meant = cr__meant(name, a->n, a->n ? &a->entry[0].name : NULL, sizeof *a->entry);
  return cr__refuse_file(o->p, CR_UNKNOWN_NAME, file,
                         meant ? "there is no array '%.60s'; did you mean '%.60s'?" : "there is no array '%.60s'", name,
                         meant);
}

static cr_status make_of_archive(cr_dataset *d, const cr__order *o,
                                 cr_status (*read)(cr_archive *, const char *, cr_problem *)) {
  cr_archive a = {0};
  const cr_array *x, *y;
  char *file = cr__path_of(o, "path");
  cr_status status = file ? read(&a, file, o->p) : o->p->status;
  if (status == CR_OK) status = find_array(&x, &a, o, file, "x");
  if (status == CR_OK && !x) status = cr_refuse(o->p, CR_BAD_ARGUMENT, "%s: x must name an array", o->a->name);
  if (status == CR_OK) status = find_array(&y, &a, o, file, "y");
  if (status == CR_OK) status = set_both(d, o, file, x, y);
  cr_archive_free(&a);
  free(file);
  return status;
}
cr_status cr__make_npz(cr_dataset *d, const cr__order *o) { return make_of_archive(d, o, cr_read_npz); }
cr_status cr__make_safetensors(cr_dataset *d, const cr__order *o) { return make_of_archive(d, o, cr_read_safetensors); }
