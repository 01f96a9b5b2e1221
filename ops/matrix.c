/* Batches of matrices, and short compositions that rules of linear algebra are written with. */
#include <string.h>

#include "matrix.h"

static cr_array axes_of(const cr_array *a, int from, int to) {
  cr_array view;
  cr_array_init(&view, (cr_dtype)a->dtype, to - from, a->dim + from);
  for (int i = 0; i < view.rank; i++) {
    if (view.stride[i] != a->stride[from + i]) view.contiguous = 0;
    view.stride[i] = a->stride[from + i];
  }
  view.data = a->data;
  return view;
}

cr__batch cr__batch_of(const cr_array *a) {
  cr__batch b = {.lead = axes_of(a, 0, a->rank - 2), .one = axes_of(a, a->rank - 2, a->rank)};
  b.rows = b.one.dim[0];
  b.cols = b.one.dim[1];
  return b;
}

void *cr__batch_at(const cr__batch *b, int64_t k) {
  return (char *)b->lead.data + cr_array_offset(&b->lead, k) * (int64_t)cr_dtype_size((cr_dtype)b->one.dtype);
}

static cr_array doubles(const cr__batch *b) {
  cr_array a;
  cr_array_init(&a, CR_FLOAT64, 2, b->one.dim);
  return a;
}

void cr__batch_load(const cr__batch *b, int64_t k, double *to) {
  cr_array from = b->one, into = doubles(b);
  from.data = cr__batch_at(b, k);
  into.data = to;
  cr_array_copy(&into, &from);
}

void cr__batch_store(const cr__batch *b, int64_t k, const double *from) {
  cr_array into = b->one, source = doubles(b);
  into.data = cr__batch_at(b, k);
  source.data = (void *)(uintptr_t)from; /* only read */
  cr_array_copy(&into, &source);
}

cr_status cr__prepare_matrices(cr_tape *t, int n, cr_var *in, char result, int last_axes) {
  cr_array lead = {0};
  cr_status status = cr__one_dtype(t, n, in, result);
  if (status != CR_OK) return status;
  cr_array_init(&lead, CR_FLOAT64, 0, NULL);
  for (int k = 0; k < n; k++) {
    cr_array a = cr_view(in[k]), both;
    if (a.rank < last_axes) continue; /* infer says so */
    cr_array own = axes_of(&a, 0, a.rank - last_axes);
    if (!cr_broadcast(&lead, &own, &both)) {
      char one[200], two[200];
      cr_fail(t, CR_BAD_SHAPE, "batch shapes %s and %s do not broadcast", cr_shape_text(&lead, one, sizeof one),
              cr_shape_text(&own, two, sizeof two));
      return CR_BAD_SHAPE;
    }
    lead = both;
  }
  if (lead.rank + last_axes > CR_MAX_RANK) {
    cr_fail(t, CR_BAD_SHAPE, "the result has %d axes, at most %d", lead.rank + last_axes, CR_MAX_RANK);
    return CR_BAD_SHAPE;
  }
  for (int k = 0; k < n; k++) {
    cr_array a = cr_view(in[k]);
    if (a.rank < last_axes) continue;
    int64_t dims[CR_MAX_RANK];
    int own = a.rank - last_axes;
    if (own == lead.rank && !memcmp(a.dim, lead.dim, (size_t)own * sizeof *dims)) continue;
    memcpy(dims, lead.dim, (size_t)lead.rank * sizeof *dims);
    memcpy(dims + lead.rank, a.dim + own, (size_t)last_axes * sizeof *dims);
    in[k] = cr_broadcast_to(in[k], lead.rank + last_axes, dims);
    if (!in[k].id) return cr_error(t);
  }
  return CR_OK;
}

cr_status cr__check_matrix(cr_infer *c, int k, int square) {
  const cr_array *a = &c->in[k];
  if (a->rank < 2) {
    cr_fail(c->tape, CR_BAD_SHAPE, "a matrix has two axes at least, operand %d has %d", k + 1, a->rank);
    return CR_BAD_SHAPE;
  }
  if (square && a->dim[a->rank - 2] != a->dim[a->rank - 1]) {
    cr_fail(c->tape, CR_BAD_SHAPE, "a %lld x %lld matrix is not square", (long long)a->dim[a->rank - 2],
            (long long)a->dim[a->rank - 1]);
    return CR_BAD_SHAPE;
  }
  return CR_OK;
}

cr_var cr__identity_like(cr_var x, int64_t n) {
  cr_var eye = cr_constant_of(x.tape, cr_dtype_of(x), 2, (int64_t[]){n, n}, NULL);
  if (cr_is_poison(eye)) return eye;
  cr_array a = cr_view(eye);
  for (int64_t i = 0; i < n; i++) cr_array_set(&a, i * (n + 1), 1);
  return eye;
}

cr_var cr__scale(cr_var x, double factor) { return factor == 1 ? x : cr_mul(x, cr_const(x.tape, factor)); }

cr_var cr__sum_last(cr_var x, int n_axes, int keepdim) {
  int axes[CR_MAX_RANK];
  for (int i = 0; i < n_axes; i++) axes[i] = -1 - i;
  return cr_sum(x, n_axes, axes, keepdim);
}

cr_var cr__insert_axes(cr_var x, int at, int n) {
  cr_array a = cr_view(x);
  int64_t dims[2 * CR_MAX_RANK];
  if (at < 0) at += a.rank + 1;
  for (int i = 0; i < a.rank + n; i++) dims[i] = i < at ? a.dim[i] : i < at + n ? 1 : a.dim[i - n];
  return cr_reshape(x, a.rank + n, dims);
}

cr_var cr__plus(cr_var x, cr_var y) { return cr_absent(x) ? y : cr_absent(y) ? x : cr_add(x, y); }

void cr__matrices_depend(cr_depend *c) {
  for (int k = 0; k < c->n; k++) {
    int axis[CR_MAX_RANK];
    for (int i = 0; i < c->in[k].rank; i++) axis[i] = i < c->in[k].rank - 2 ? i : -1;
    cr_depend_along(c, k, axis);
  }
}
