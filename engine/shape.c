/* Shapes, strides, broadcasting, dtypes: arithmetic on cr_array, without a tape. */
#include <stdio.h>
#include <string.h>

#include "internal.h"

static const struct {
  const char *name;
  size_t size;
} dtypes[] = {
  [CR_BOOL] = {"bool", 1},       [CR_INT32] = {"int32", 4},     [CR_INT64] = {"int64", 8},
  [CR_FLOAT32] = {"float32", 4}, [CR_FLOAT64] = {"float64", 8},
};
enum { N_DTYPES = sizeof dtypes / sizeof *dtypes };

const char *cr_dtype_name(cr_dtype d) { return (unsigned)d < N_DTYPES ? dtypes[d].name : "unknown dtype"; }
size_t cr_dtype_size(cr_dtype d) { return (unsigned)d < N_DTYPES ? dtypes[d].size : 0; }

int cr_dtype_of_name(const char *name) {
  for (int d = 0; d < N_DTYPES; d++)
    if (!strcmp(name, dtypes[d].name)) return d;
  return -1;
}

void cr_array_init(cr_array *a, cr_dtype dtype, int rank, const int64_t *dims) {
  a->data = NULL;
  a->dtype = (uint8_t)dtype;
  a->rank = (uint8_t)rank;
  a->contiguous = 1;
  a->count = 1;
  for (int i = rank - 1; i >= 0; i--) {
    a->dim[i] = dims[i];
    a->stride[i] = a->count;
    a->count *= dims[i];
  }
}

int64_t cr_array_offset(const cr_array *a, int64_t k) {
  if (a->contiguous) return k;
  int64_t offset = 0;
  for (int i = a->rank - 1; i >= 0; i--) {
    offset += k % a->dim[i] * a->stride[i];
    k /= a->dim[i];
  }
  return offset;
}

static double load(const void *p, int64_t i, cr_dtype d) {
  switch (d) {
    case CR_BOOL: return ((const uint8_t *)p)[i];
    case CR_INT32: return ((const int32_t *)p)[i];
    case CR_INT64: return (double)((const int64_t *)p)[i];
    case CR_FLOAT32: return (double)((const float *)p)[i];
    case CR_FLOAT64: return ((const double *)p)[i];
  }
  return 0;
}

static int64_t load_int(const void *p, int64_t i, cr_dtype d) {
  if (d == CR_INT64) return ((const int64_t *)p)[i];
  double x = load(p, i, d);
  /* out of range or NaN would be undefined behaviour in C */
  return x >= -9.2233720368547758e18 && x < 9.2233720368547758e18 ? (int64_t)x : INT64_MIN;
}

static void store(void *p, int64_t i, cr_dtype d, double x) {
  switch (d) {
    case CR_BOOL: ((uint8_t *)p)[i] = x != 0; break;
    case CR_INT32: ((int32_t *)p)[i] = x >= -2147483648.0 && x < 2147483648.0 ? (int32_t)x : INT32_MIN; break;
    case CR_INT64: ((int64_t *)p)[i] = load_int(&x, 0, CR_FLOAT64); break;
    case CR_FLOAT32: ((float *)p)[i] = (float)x; break;
    case CR_FLOAT64: ((double *)p)[i] = x; break;
  }
}

double cr_array_get(const cr_array *a, int64_t k) { return load(a->data, cr_array_offset(a, k), (cr_dtype)a->dtype); }
int64_t cr_array_get_int(const cr_array *a, int64_t k) {
  return load_int(a->data, cr_array_offset(a, k), (cr_dtype)a->dtype);
}
void cr_array_set(cr_array *a, int64_t k, double x) { store(a->data, cr_array_offset(a, k), (cr_dtype)a->dtype, x); }

static void copy_run(cr_array *to, int64_t to_at, int64_t to_step, const cr_array *from, int64_t at, int64_t step,
                     int64_t n) {
  if (to->dtype != from->dtype) {
    bool exact = to->dtype == CR_INT64 && from->dtype == CR_INT32;
    for (int64_t i = 0; i < n; i++) {
      if (exact) ((int64_t *)to->data)[to_at + i * to_step] = load_int(from->data, at + i * step, (cr_dtype)from->dtype);
      else store(to->data, to_at + i * to_step, (cr_dtype)to->dtype, load(from->data, at + i * step, (cr_dtype)from->dtype));
    }
    return;
  }
  size_t size = cr_dtype_size((cr_dtype)to->dtype);
  char *p = (char *)to->data + to_at * (int64_t)size;
  const char *q = (const char *)from->data + at * (int64_t)size;
  if (step == 1 && to_step == 1) {
    if (n) memmove(p, q, (size_t)n * size);
  } else if (size == 8) {
    for (int64_t i = 0; i < n; i++) ((uint64_t *)(void *)p)[i * to_step] = ((const uint64_t *)(const void *)q)[i * step];
  } else if (size == 4) {
    for (int64_t i = 0; i < n; i++) ((uint32_t *)(void *)p)[i * to_step] = ((const uint32_t *)(const void *)q)[i * step];
  } else {
    for (int64_t i = 0; i < n; i++) p[i * to_step] = q[i * step];
  }
}

void cr_array_copy(cr_array *to, const cr_array *from) {
  if (to->contiguous && from->contiguous) {
    copy_run(to, 0, 1, from, 0, 1, to->count);
    return;
  }
  int last = to->rank - 1;
  int64_t run = to->rank ? to->dim[last] : 1, at[CR_MAX_RANK] = {0}, p = 0, q = 0;
  if (!to->count) return;
  for (;;) {
    copy_run(to, p, last >= 0 ? to->stride[last] : 1, from, q, last >= 0 ? from->stride[last] : 1, run);
    int axis = last - 1;
    for (; axis >= 0; axis--) {
      p += to->stride[axis];
      q += from->stride[axis];
      if (++at[axis] < to->dim[axis]) break;
      p -= to->stride[axis] * to->dim[axis];
      q -= from->stride[axis] * from->dim[axis];
      at[axis] = 0;
    }
    if (axis < 0) return;
  }
}

int cr_broadcast(const cr_array *a, const cr_array *b, cr_array *out) {
  int rank = a->rank > b->rank ? a->rank : b->rank;
  int64_t dims[CR_MAX_RANK];
  for (int i = 0; i < rank; i++) {
    int64_t p = i < rank - a->rank ? 1 : a->dim[i - (rank - a->rank)];
    int64_t q = i < rank - b->rank ? 1 : b->dim[i - (rank - b->rank)];
    if (p != q && p != 1 && q != 1) return 0;
    dims[i] = p == 1 ? q : p;
  }
  cr_array_init(out, (cr_dtype)a->dtype, rank, dims);
  return 1;
}

int cr_axis(int axis, int rank) {
  if (axis < 0) axis += rank;
  return axis >= 0 && axis < rank ? axis : -1;
}

const char *cr_shape_text(const cr_array *a, char *buf, size_t size) {
  size_t n = 0;
  buf[0] = 0;
  for (int i = 0; i < a->rank && n < size; i++)
    n += (size_t)snprintf(buf + n, size - n, "%s%lld", i ? ", " : "(", (long long)a->dim[i]);
  if (n < size) snprintf(buf + n, size - n, a->rank == 0 ? "()" : a->rank == 1 ? ",)" : ")");
  return buf;
}
