/* Copies of tensors in plain memory: what is read from files and requests, and what is printed. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"

bool fail(problem *p, const char *code, const char *format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(p->text, sizeof p->text, format, args);
  va_end(args);
  p->code = code;
  return false;
}

const char *status_code(cr_status status) {
  static const char *const code[] = {
    [CR_OK] = "ok",
    [CR_NO_MEMORY] = "no memory",
    [CR_BAD_SHAPE] = "bad shape",
    [CR_BAD_DTYPE] = "bad dtype",
    [CR_BAD_ARGUMENT] = "bad argument",
    [CR_BAD_INDEX] = "bad index",
    [CR_STALE] = "stale",
    [CR_WRONG_TAPE] = "wrong tape",
    [CR_POISONED] = "poisoned",
    [CR_NOT_DIFFERENTIABLE] = "not differentiable",
    [CR_BAD_SYNTAX] = "bad syntax",
    [CR_UNKNOWN_NAME] = "unknown name",
    [CR_OVER_LIMIT] = "over limit",
    [CR_NOT_FINITE] = "not finite",
    [CR_MISMATCH] = "mismatch",
    [CR_INTERNAL] = "internal",
  };
  return (size_t)status < sizeof code / sizeof *code ? code[status] : "internal";
}

enum { MAX_ELEMENTS = 1 << 25 };

bool tensor_make(tensor *x, cr_dtype dtype, int rank, const int64_t *dims, problem *p) {
  *x = (tensor){.dtype = dtype, .rank = rank, .count = 1};
  if (rank > TENSOR_RANK) return fail(p, "bad shape", "rank %d is over %d", rank, TENSOR_RANK);
  bool empty = false;
  for (int i = 0; i < rank; i++) {
    x->dim[i] = dims[i];
    if (dims[i] < 0) return fail(p, "bad shape", "axis %d has the size %lld", i, (long long)dims[i]);
    empty = empty || !dims[i];
  }
  for (int i = 0; i < rank && !empty; i++) {
    if (dims[i] > MAX_ELEMENTS / x->count) return fail(p, "over limit", "a tensor of more than %d numbers", MAX_ELEMENTS);
    x->count *= dims[i];
  }
  if (empty) x->count = 0;
  size_t n = x->count ? (size_t)x->count : 1;
  if (dtype >= CR_FLOAT32)
    x->real = calloc(n, sizeof *x->real);
  else
    x->whole = calloc(n, sizeof *x->whole);
  return x->real || x->whole || fail(p, "no memory", "out of memory");
}

bool tensor_of(tensor *x, cr_var v, problem *p) {
  cr_array a = cr_view(v);
  if (!tensor_make(x, (cr_dtype)a.dtype, a.rank, a.dim, p)) return false;
  for (int64_t k = 0; k < x->count; k++)
    if (x->real)
      x->real[k] = cr_array_get(&a, k);
    else
      x->whole[k] = cr_array_get_int(&a, k);
  return true;
}

void tensor_free(tensor *x) {
  free(x->real);
  free(x->whole);
  x->real = NULL;
  x->whole = NULL;
}

double tensor_get(const tensor *x, int64_t k) { return x->real ? x->real[k] : (double)x->whole[k]; }

static void pack(const tensor *x, void *data) {
  for (int64_t k = 0; k < x->count; k++) switch (x->dtype) {
      case CR_BOOL: ((unsigned char *)data)[k] = x->whole[k] != 0; break;
      case CR_INT32: ((int32_t *)data)[k] = (int32_t)x->whole[k]; break;
      case CR_INT64: ((int64_t *)data)[k] = x->whole[k]; break;
      case CR_FLOAT32: ((float *)data)[k] = (float)x->real[k]; break;
      case CR_FLOAT64: ((double *)data)[k] = x->real[k]; break;
    }
}

cr_var tensor_record(cr_tape *t, const tensor *x, bool constant) {
  if (x->rank > CR_MAX_RANK) return cr_fail(t, CR_BAD_SHAPE, "rank %d is over %d", x->rank, CR_MAX_RANK);
  size_t n = (size_t)x->count * cr_dtype_size(x->dtype);
  void *data = malloc(n ? n : 1);
  if (!data) return cr_fail(t, CR_NO_MEMORY, "out of memory");
  pack(x, data);
  cr_var v = (constant ? cr_constant_of : cr_tensor_of)(t, x->dtype, x->rank, x->dim, data);
  free(data);
  return v;
}
