/* Arrays that own their memory: contiguous, row-major. */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "readers.h"

enum { ALIGNMENT = 64 };

bool cr__measure(int rank, const int64_t *dims, size_t size, int64_t *count, size_t *bytes) {
  int64_t limit = PTRDIFF_MAX / (int64_t)(size * 2), n = 1;
  bool empty = false;
  for (int i = 0; i < rank; i++) {
    if (dims[i] < 0 || n > limit / (dims[i] ? dims[i] : 1)) return false; /* strides must fit even where there is nothing */
    n *= dims[i] ? dims[i] : 1;
    empty = empty || !dims[i];
  }
  *count = empty ? 0 : n;
  *bytes = (size_t)*count * size;
  return true;
}

cr_status cr_array_make(cr_array *a, cr_dtype dtype, int rank, const int64_t *dims, cr_problem *p) {
  int64_t count;
  size_t bytes;
  memset(a, 0, sizeof *a);
  if (rank < 0 || rank > CR_MAX_RANK)
    return cr_refuse(p, CR_BAD_SHAPE, "an array of %d axes: at most %d are possible", rank, CR_MAX_RANK);
  for (int i = 0; i < rank; i++)
    if (dims[i] < 0) return cr_refuse(p, CR_BAD_SHAPE, "axis %d of an array would have %lld entries", i, (long long)dims[i]);
  if (!cr__measure(rank, dims, cr_dtype_size(dtype), &count, &bytes))
    return cr_refuse(p, CR_OVER_LIMIT, "an array of that shape is larger than any memory");
  void *data = NULL;
  if (posix_memalign(&data, ALIGNMENT, bytes ? bytes : 1)) return cr__no_memory(p);
  memset(data, 0, bytes);
  cr_array_init(a, dtype, rank, dims);
  a->data = data;
  return CR_OK;
}

cr_status cr_array_clone(cr_array *a, const cr_array *from, cr_dtype dtype, cr_problem *p) {
  cr_array copy;
  cr_status status = cr_array_make(&copy, dtype, from->rank, from->dim, p);
  if (status == CR_OK) cr_array_copy(&copy, from);
  *a = copy;
  return status;
}

void cr_array_release(cr_array *a) {
  free(a->data);
  memset(a, 0, sizeof *a);
}

uint64_t cr_array_hash(const cr_array *a, uint64_t seed) {
  int64_t head[2 + CR_MAX_RANK] = {a->dtype, a->rank};
  for (int i = 0; i < a->rank; i++) head[2 + i] = a->dim[i];
  seed = XXH3_64bits_withSeed(head, sizeof head, seed);
  return XXH3_64bits_withSeed(a->data, (size_t)a->count * cr_dtype_size((cr_dtype)a->dtype), seed);
}
