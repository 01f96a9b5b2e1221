/* Elementwise rows over whole strided arrays. */
#include "internal.h"

/* Whole arrays: one run where both operands advance evenly, else run by run along the last axis. */

static int64_t even_step(const cr_array *a) {
  if (a->contiguous) return 1;
  for (int i = 0; i < a->rank; i++)
    if (a->stride[i]) return -1;
  return 0;
}

typedef struct walk {
  const cr_array *array[4];
  int64_t offset[4], at[CR_MAX_RANK];
  int n;
} walk;

/* The next run along the last axis of array[0]'s shape; false after the last. */
static bool next_run(walk *w) {
  const cr_array *shape = w->array[0];
  for (int axis = shape->rank - 2; axis >= 0; axis--) {
    bool carry = ++w->at[axis] == shape->dim[axis];
    for (int k = 0; k < w->n; k++)
      w->offset[k] += w->array[k]->stride[axis] * (carry ? 1 - shape->dim[axis] : 1);
    if (!carry) return true;
    w->at[axis] = 0;
  }
  return false;
}

static const void *at(const cr_array *a, int64_t offset) {
  return (const char *)a->data + offset * (int64_t)cr_dtype_size((cr_dtype)a->dtype);
}

static int64_t last_stride(const cr_array *a) { return a->rank ? a->stride[a->rank - 1] : 0; }

void cr__row_loop(const cr_row *row, const cr_array *a, const cr_array *b, cr_array *out) {
  cr_dtype dtype = (cr_dtype)a->dtype;
  if (!out->count) return;
  int64_t sa = even_step(a), sb = even_step(b);
  if (sa >= 0 && sb >= 0) {
    row->loop(dtype, out->count, a->data, sa, b->data, sb, out->data);
    return;
  }
  walk w = {.array = {out, a, b}, .n = 3};
  int64_t run = out->dim[out->rank - 1];
  do
    row->loop(dtype, run, at(a, w.offset[1]), last_stride(a), at(b, w.offset[2]), last_stride(b),
              (char *)out->data + w.offset[0] * (int64_t)cr_dtype_size((cr_dtype)out->dtype));
  while (next_run(&w));
}

void cr__row_pull(const cr_row *row, int k, const cr_array *a, const cr_array *b, const cr_array *y, const cr_array *g,
                  cr_array *out) {
  cr_dtype dtype = (cr_dtype)y->dtype;
  if (!out->count) return;
  int64_t sa = even_step(a), sb = even_step(b), sg = even_step(g);
  if (sa >= 0 && sb >= 0 && sg >= 0) {
    row->pull[k](dtype, out->count, a->data, sa, b->data, sb, y->data, 1, g->data, sg, out->data);
    return;
  }
  walk w = {.array = {out, a, b, g}, .n = 4};
  int64_t run = out->dim[out->rank - 1];
  do
    row->pull[k](dtype, run, at(a, w.offset[1]), last_stride(a), at(b, w.offset[2]), last_stride(b), at(y, w.offset[0]), 1,
                 at(g, w.offset[3]), last_stride(g), (char *)out->data + w.offset[0] * (int64_t)cr_dtype_size(dtype));
  while (next_run(&w));
}
