/* What ops over axes share. */
#include "parallel.h"
#include "reduce.h"
#include "vectors.h"

#include <stdio.h>
#include <string.h>

const cr_field cr__axes_fields[] = {CR_FIELD(cr__axes, mask, CR_FIELD_AXES, "axes"),
                                    CR_FIELD(cr__axes, keepdim, CR_FIELD_FLAG, "keepdim"), {.name = NULL}};

void cr__axes_show(char *text, size_t size, const void *attr) {
  const cr__axes *a = attr;
  size_t n = (size_t)snprintf(text, size, "dim=(");
  for (int i = 0; i < CR_MAX_RANK && n < size; i++)
    if (a->mask >> i & 1) n += (size_t)snprintf(text + n, size - n, "%d,", i);
  if (n < size) snprintf(text + n, size - n, ")%s", a->keepdim ? ", keepdim=True" : "");
}

bool cr__axes_of(cr_var x, const char *name, int n_axes, const int *axes, cr__axes *out) {
  if (cr_is_poison(x)) return false;
  int rank = cr_rank(x);
  out->mask = n_axes < 0 ? (1u << rank) - 1 : 0;
  for (int i = 0; i < n_axes; i++) {
    int k = cr__axis_of(x, name, axes[i]);
    if (k < 0) return false;
    if (out->mask >> k & 1) {
      cr_fail(x.tape, CR_BAD_ARGUMENT, "%s: axis %d appears twice (rank %d)", name, axes[i], rank);
      return false;
    }
    if (rank) out->mask |= 1u << k;
  }
  return true;
}

int cr__arg_reduced(cr_call *c, int k, int *axes) {
  int64_t dims[CR_MAX_RANK];
  if (!cr_arg_given(c, k)) return -1;
  int n = cr_arg_ints(c, k, CR_MAX_RANK, dims);
  for (int i = 0; i < n; i++) axes[i] = dims[i] < -CR_MAX_RANK || dims[i] > CR_MAX_RANK ? CR_MAX_RANK : (int)dims[i];
  return n < 0 ? -2 : n ? n : -1;
}

int64_t cr__axes_count(const cr_array *x, unsigned mask) {
  int64_t n = 1;
  for (int i = 0; i < x->rank; i++)
    if (mask >> i & 1) n *= x->dim[i];
  return n;
}

void cr__reduced_shape(const cr_array *x, const cr__axes *axes, cr_dtype dtype, cr_array *out) {
  int64_t dims[CR_MAX_RANK];
  int rank = 0;
  for (int i = 0; i < x->rank; i++) {
    if (!(axes->mask >> i & 1)) dims[rank++] = x->dim[i];
    else if (axes->keepdim) dims[rank++] = 1;
  }
  cr_array_init(out, dtype, rank, dims);
}

cr_var cr__spread(cr_var g, cr_var x, const cr__axes *axes) {
  cr_array a = cr_view(x), kept;
  cr__reduced_shape(&a, &(cr__axes){axes->mask, 1}, CR_FLOAT64, &kept);
  if (!axes->keepdim) g = cr_reshape(g, kept.rank, kept.dim);
  return cr_broadcast_to(g, a.rank, a.dim);
}

/* Axes that stay in front, then those taken together; how many stay. */
static int order_of(int rank, unsigned mask, int *axes) {
  int n = 0, kept;
  for (int i = 0; i < rank; i++)
    if (!(mask >> i & 1)) axes[n++] = i;
  kept = n;
  for (int i = 0; i < rank; i++)
    if (mask >> i & 1) axes[n++] = i;
  return kept;
}

cr_var cr__axes_last(cr_var x, unsigned mask) {
  cr_array a = cr_view(x);
  int axes[CR_MAX_RANK], kept = order_of(a.rank, mask, axes);
  int64_t dims[CR_MAX_RANK];
  for (int i = 0; i < kept; i++) dims[i] = a.dim[axes[i]];
  dims[kept] = cr__axes_count(&a, mask);
  return cr_reshape(cr_permute(x, a.rank, axes), kept + 1, dims);
}

cr_var cr__axes_back(cr_var x, cr_var like, unsigned mask) {
  cr_array a = cr_view(like);
  int axes[CR_MAX_RANK], inverse[CR_MAX_RANK];
  int64_t dims[CR_MAX_RANK];
  order_of(a.rank, mask, axes);
  for (int i = 0; i < a.rank; i++) {
    dims[i] = a.dim[axes[i]];
    inverse[axes[i]] = i;
  }
  return cr_permute(cr_reshape(x, a.rank, dims), a.rank, inverse);
}

/* Rows */

/* Merges neighbouring axes that advance evenly, so that most rows are one run. */
static void merge_axes(cr_array *a) {
  int n = 0;
  for (int i = 0; i < a->rank; i++) {
    if (a->dim[i] == 1) continue;
    if (n && a->stride[n - 1] == a->stride[i] * a->dim[i]) a->dim[n - 1] *= a->dim[i];
    else a->dim[n++] = a->dim[i];
    a->stride[n - 1] = a->stride[i];
  }
  a->rank = (uint8_t)n;
  cr__settle_strides(a);
}

cr__rows_view cr__rows_of(const cr_array *x, unsigned mask) {
  cr__rows_view v = {.data = x->data};
  cr_array *side[2] = {&v.kept, &v.row};
  for (int s = 0; s < 2; s++) {
    int64_t dims[CR_MAX_RANK], strides[CR_MAX_RANK];
    int rank = 0;
    for (int i = 0; i < x->rank; i++)
      if ((int)(mask >> i & 1) == s) {
        dims[rank] = x->dim[i];
        strides[rank++] = x->stride[i];
      }
    cr_array_init(side[s], (cr_dtype)x->dtype, rank, dims);
    memcpy(side[s]->stride, strides, (size_t)rank * sizeof *strides);
    side[s]->data = x->data;
    merge_axes(side[s]);
  }
  return v;
}

cr_array cr__row_at(const cr__rows_view *v, int64_t k) {
  cr_array row = v->row;
  row.data = v->data + cr_array_offset(&v->kept, k) * (int64_t)cr_dtype_size((cr_dtype)row.dtype);
  return row;
}

void cr__row_get(const cr__rows_view *v, int64_t k, double *row) {
  cr_array from = cr__row_at(v, k), to;
  if (from.rank <= 1 && from.dtype == CR_FLOAT32) {
    int64_t step = from.rank ? from.stride[0] : 0;
    if (step == 1 && cr__has_vectors()) cr__vector_widen(from.count, from.data, row);
    else
      for (int64_t i = 0; i < from.count; i++) row[i] = (double)((const float *)from.data)[i * step];
    return;
  }
  cr_array_init(&to, CR_FLOAT64, from.rank, from.dim);
  to.data = row;
  cr_array_copy(&to, &from);
}

void cr__row_put(const cr__rows_view *v, int64_t k, const double *row) {
  cr_array to = cr__row_at(v, k), from;
  if (to.rank <= 1 && to.dtype == CR_FLOAT32) {
    int64_t step = to.rank ? to.stride[0] : 0;
    if (step == 1 && cr__has_vectors()) cr__vector_narrow(to.count, row, to.data);
    else
      for (int64_t i = 0; i < to.count; i++) ((float *)to.data)[i * step] = (float)row[i];
    return;
  }
  union { const double *in; void *view; } numbers = {row};
  cr_array_init(&from, CR_FLOAT64, to.rank, to.dim);
  from.data = numbers.view;
  cr_array_copy(&to, &from);
}

typedef struct row_job {
  void (*body)(void *context, int64_t k, double *buffer);
  void *context;
  double *buffer;          /* size doubles for each block; NULL: few are enough */
  int64_t size, grain;
} row_job;

enum { FEW_DOUBLES = 2048 };

static void block_of_rows(void *context, int64_t from, int64_t to) {
  const row_job *j = context;
  double few[FEW_DOUBLES];
  for (int64_t k = from; k < to; k++) j->body(j->context, k, j->buffer ? j->buffer + from / j->grain * j->size : few);
}

cr_status cr__each_row(cr_eval *c, int64_t rows, int64_t size, void (*body)(void *context, int64_t k, double *buffer),
                       void *context) {
  enum { MOST_DOUBLES = 1 << 20 };
  row_job j = {body, context, NULL, size, 1 + CR__BLOCK / (size + 1)};
  if (size > FEW_DOUBLES) {
    int64_t most = 1 + MOST_DOUBLES / size; /* blocks, each with a buffer */
    if (rows > most * j.grain) j.grain = (rows + most - 1) / most;
    j.buffer = cr_scratch(c, (size_t)((rows + j.grain - 1) / j.grain * size) * sizeof *j.buffer);
    if (!j.buffer) return CR_NO_MEMORY;
  }
  cr__parallel(c->tape, rows, j.grain, block_of_rows, &j);
  return CR_OK;
}

cr_status cr__prepare_float(cr_tape *t, int n, cr_var *in) { return cr__prepare_elementwise(t, n, in, 'f'); }
void cr__no_vjp(cr_vjp_rule *c) { (void)c; }
cr_var cr__no_jvp(cr_jvp_rule *c) { return cr_poison(c->tape); }

cr_status cr__same_shape(cr_infer *c) {
  cr_array_init(c->out, (cr_dtype)c->in[0].dtype, c->in[0].rank, c->in[0].dim);
  return CR_OK;
}

void cr__rows_depend(cr_depend *c) {
  unsigned mask = *(const unsigned *)c->attr;
  for (int k = 0; k < c->n; k++) {
    int axis[CR_MAX_RANK], at = 0;
    if (c->in[k].dtype < CR_FLOAT32) continue;
    for (int i = 0; i < c->in[k].rank; i++) {
      bool along = !(mask >> i & 1);
      axis[i] = along ? at : -1;
      at += along || c->out->rank == c->in[k].rank;
    }
    cr_depend_along(c, k, axis);
  }
}
