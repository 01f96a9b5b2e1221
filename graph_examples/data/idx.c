/* IDX, the format of MNIST: two zero bytes, a dtype, the number of axes, the dimensions, the numbers; all big-endian. */
#include <stdlib.h>
#include <string.h>

#include "readers.h"

static bool coding_of(unsigned code, cr__coding *c) {
  static const struct {
    unsigned char code;
    cr__coding coding;
  } codings[] = {{0x08, {'u', 1, true}}, {0x09, {'i', 1, true}}, {0x0B, {'i', 2, true}},
                 {0x0C, {'i', 4, true}}, {0x0D, {'f', 4, true}}, {0x0E, {'f', 8, true}}};
  for (size_t k = 0; k < sizeof codings / sizeof *codings; k++)
    if (codings[k].code == code) return *c = codings[k].coding, true;
  return false;
}

cr_status cr__parse_idx(cr_array *a, const cr__bytes *b, const char *file, cr_problem *p) {
  cr__coding c;
  int64_t dim[CR_MAX_RANK], count;
  size_t bytes, at = 4;
  memset(a, 0, sizeof *a);
  if (b->size < 4)
    return cr__refuse_file(p, CR_BAD_ARGUMENT, file, "offset %zu: the file ends within the magic number", b->size);
  if (b->at[0] || b->at[1])
    return cr__refuse_file(p, CR_BAD_ARGUMENT, file,
                           "offset 0: not an IDX file, which begins with two zero bytes, not %02x %02x", b->at[0], b->at[1]);
  if (!coding_of(b->at[2], &c))
    return cr__refuse_file(p, CR_BAD_DTYPE, file, "offset 2: the dtype code %02x is none of 08, 09, 0b, 0c, 0d, 0e",
                           b->at[2]);
  int rank = b->at[3];
  if (rank > CR_MAX_RANK || !rank)
    return cr__refuse_file(p, CR_BAD_SHAPE, file, "offset 3: %d axes; 1 to %d can be read", rank, CR_MAX_RANK);
  for (int i = 0; i < rank; i++, at += 4) {
    if (b->size < at + 4)
      return cr__refuse_file(p, CR_BAD_ARGUMENT, file, "offset %zu: the file ends before the size of axis %d", b->size, i);
    dim[i] = (int64_t)cr__word(b->at + at, 4, true);
  }
  if (!cr__measure(rank, dim, 8, &count, &bytes))
    return cr__refuse_file(p, CR_OVER_LIMIT, file, "offset 4: the shape is larger than any memory");
  size_t have = (b->size - at) / (size_t)c.size;
  if (have < (size_t)count)
    return cr__refuse_file(p, CR_BAD_ARGUMENT, file, "offset %zu: the file ends after %zu of %lld numbers", b->size, have,
                           (long long)count);
  at += (size_t)count * (size_t)c.size;
  if (b->size > at)
    return cr__refuse_file(p, CR_BAD_ARGUMENT, file, "offset %zu: %zu bytes follow the %lld numbers", at, b->size - at,
                           (long long)count);
  cr_status status = cr_array_make(a, cr__dtype_for(c), rank, dim, p);
  if (status == CR_OK) cr__decode(a, c, b->at + 4 + 4 * (size_t)rank);
  return status;
}

cr_status cr_read_idx(cr_array *a, const char *path, cr_problem *p) {
  cr__bytes b;
  memset(a, 0, sizeof *a);
  cr_status status = cr__read_file(&b, path, CR__MAYBE_GZIP, p);
  if (status == CR_OK) status = cr__parse_idx(a, &b, path, p);
  free(b.at);
  return status;
}
