/* Elementwise rows over whole strided arrays. */
#include "internal.h"
#include "parallel.h"

/* The step with which an array advances in row-major order: 1, 0 for one number repeated, -1 for neither. */
static int64_t even_step(const cr_array *a) {
  if (a->contiguous) return 1;
  for (int i = 0; i < a->rank; i++)
    if (a->stride[i] && a->dim[i] > 1) return -1;
  return 0;
}

/* A kernel over arrays of one shape; array[0] is the result. Partial -1 stands for the value. */
typedef struct whole {
  const cr_row *row;
  int partial, n;            /* arrays: the result, a, b, and for a partial y and g */
  const cr_array *array[5];
  int64_t step[5], run;      /* along a run */
} whole;

static void run_row(const whole *w, int64_t count, const int64_t *offset) {
  char *at[5] = {NULL};
  for (int k = 0; k < w->n; k++)
    at[k] = (char *)w->array[k]->data + offset[k] * (int64_t)cr_dtype_size((cr_dtype)w->array[k]->dtype);
  cr_dtype dtype = (cr_dtype)w->array[1]->dtype;
  const int64_t *step = w->step;
  if (w->partial < 0)
    w->row->loop(dtype, count, at[1], step[1], at[2], step[2], at[0]);
  else
    w->row->pull[w->partial](dtype, count, at[1], step[1], at[2], step[2], at[3], step[3], at[4], step[4], at[0]);
}

static void even_block(void *context, int64_t from, int64_t to) {
  const whole *w = context;
  int64_t offset[5];
  for (int k = 0; k < w->n; k++) offset[k] = from * w->step[k];
  run_row(w, to - from, offset);
}

/* Runs along the last axis, from the from-th to the to-th. */
static void block_of_runs(void *context, int64_t from, int64_t to) {
  const whole *w = context;
  const cr_array *shape = w->array[0];
  int64_t at[CR_MAX_RANK] = {0}, offset[5] = {0}, rest = from;
  for (int axis = shape->rank - 2; axis >= 0; axis--) {
    at[axis] = rest % shape->dim[axis];
    rest /= shape->dim[axis];
    for (int k = 0; k < w->n; k++) offset[k] += at[axis] * w->array[k]->stride[axis];
  }
  for (int64_t r = from; r < to; r++) {
    run_row(w, w->run, offset);
    for (int axis = shape->rank - 2; axis >= 0; axis--) {
      bool carry = ++at[axis] == shape->dim[axis];
      for (int k = 0; k < w->n; k++) offset[k] += w->array[k]->stride[axis] * (carry ? 1 - shape->dim[axis] : 1);
      if (!carry) break;
      at[axis] = 0;
    }
  }
}

/* One run where all arrays advance evenly, else run by run along the last axis. */
static void over_whole(cr_tape *t, whole *w) {
  const cr_array *out = w->array[0];
  bool even = true;
  for (int k = 0; k < w->n; k++) even = (w->step[k] = even_step(w->array[k])) >= 0 && even;
  if (even) {
    cr__parallel(t, out->count, CR__BLOCK, even_block, w);
    return;
  }
  w->run = out->dim[out->rank - 1];
  for (int k = 0; k < w->n; k++) w->step[k] = w->array[k]->stride[out->rank - 1];
  cr__parallel(t, out->count / w->run, CR__BLOCK / w->run + 1, block_of_runs, w);
}

void cr__row_loop(cr_tape *t, const cr_row *row, const cr_array *a, const cr_array *b, cr_array *out) {
  if (out->count) over_whole(t, &(whole){.row = row, .partial = -1, .n = 3, .array = {out, a, b}});
}

void cr__row_pull(cr_tape *t, const cr_row *row, int k, const cr_array *a, const cr_array *b, const cr_array *y,
                  const cr_array *g, cr_array *out) {
  if (out->count) over_whole(t, &(whole){.row = row, .partial = k, .n = 5, .array = {out, a, b, y, g}});
}
