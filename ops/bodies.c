/* See bodies.h. */
#include "bodies.h"

#include <string.h>

cr_array cr__stacked(const cr_array *a, int64_t lead) {
  cr_array b;
  int64_t dims[CR_MAX_RANK + 1] = {lead};
  memcpy(dims + 1, a->dim, a->rank * sizeof *dims);
  cr_array_init(&b, (cr_dtype)a->dtype, a->rank + 1, dims);
  return b;
}

bool cr__like(const cr_array *a, const cr_array *b) {
  bool same = a->rank == b->rank && a->dtype == b->dtype;
  for (int i = 0; same && i < a->rank; i++) same = a->dim[i] == b->dim[i];
  return same;
}

bool cr__fits_body(cr_infer *c, int k, const char *what, const cr_array *need) {
  cr_array a = c->in[k];
  if (cr__like(&a, need)) return true;
  char is[200], wants[200];
  cr_fail(c->tape, CR_BAD_SHAPE, "%s %d is %s %s, but the body takes %s %s", what, k, cr_dtype_name((cr_dtype)a.dtype),
          cr_shape_text(&a, is, sizeof is), cr_dtype_name((cr_dtype)need->dtype), cr_shape_text(need, wants, sizeof wants));
  return false;
}

void cr__vector_of(cr_array *out, cr_dtype dtype, int64_t count) { cr_array_init(out, dtype, 1, &count); }

cr_var cr__piece(cr_var flat, int64_t *at, const cr_array *shape) {
  int64_t from = *at;
  if (cr_is_poison(flat)) return flat;
  *at += shape->count;
  cr_array a = cr_view(flat);
  if (a.rank == shape->rank && a.count == shape->count && !memcmp(a.dim, shape->dim, a.rank * sizeof *a.dim)) return flat;
  if (a.count != shape->count) flat = cr_slice_axis(flat, 0, from, from + shape->count, 1);
  return cr_reshape(flat, shape->rank, shape->dim);
}

cr_array cr__bound(cr_eval *c, cr_array a, const cr_array *x) {
  a.data = (void *)(uintptr_t)cr__dense(c, x, (cr_dtype)a.dtype);
  return a;
}
