/* NumPy's .npy files, versions 1 to 3: a magic, a header that is a Python dictionary, and the numbers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "readers.h"

/* What the header says. */
typedef struct layout {
  cr__coding coding;
  bool fortran;
  int rank;
  int64_t dim[CR_MAX_RANK];
} layout;

/* start: where text is in the file; s: where the reader is in text. */
typedef struct header {
  const char *text, *s, *file;
  size_t start;
  cr_problem *p;
} header;

static size_t offset_of(const header *h) { return h->start + (size_t)(h->s - h->text); }

static cr_status damaged(header *h, const char *what) {
  return cr__refuse_file(h->p, CR_BAD_ARGUMENT, h->file, "offset %zu: %s", offset_of(h), what);
}

static void skip(header *h) { h->s += strspn(h->s, " \t\n"); }

/* Moves over text if it is next. */
static bool next_is(header *h, const char *text) {
  size_t n = strlen(text);
  skip(h);
  if (strncmp(h->s, text, n)) return false;
  h->s += n;
  return true;
}

/* A quoted text of at most size - 1 bytes. */
static bool read_text(header *h, char *text, size_t size) {
  skip(h);
  char quote = *h->s;
  if (quote != '\'' && quote != '"') return false;
  size_t n = strcspn(h->s + 1, quote == '"' ? "\"" : "'");
  if (n >= size || h->s[n + 1] != quote) return false;
  memcpy(text, h->s + 1, n);
  text[n] = 0;
  h->s += n + 2;
  return true;
}

static cr_status read_type(header *h, layout *l) {
  char text[16];
  if (!read_text(h, text, sizeof text)) return damaged(h, "an array of plain numbers is expected, not of records");
  const char *t = text;
  char order = *t && strchr("<>|=", *t) ? *t++ : '<', kind = *t ? *t++ : '?';
  int size = *t >= '1' && *t <= '8' && !t[1] ? *t - '0' : 0;
  bool power = size == 1 || size == 2 || size == 4 || size == 8;
  l->coding = (cr__coding){kind, size, order == '>' || (order == '=' && cr__is_big_endian())};
  if (kind == 'f' ? power && size > 1 : kind == 'b' ? size == 1 : (kind == 'i' || kind == 'u') && power) return CR_OK;
  return cr__refuse_file(h->p, CR_BAD_DTYPE, h->file,
                         "offset %zu: numbers of type '%s' cannot be read: f2 to f8, i1 to i8, u1 to u8 and b1 can",
                         offset_of(h), text);
}

static cr_status read_dims(header *h, layout *l) {
  if (!next_is(h, "(")) return damaged(h, "the header has no shape");
  while (!next_is(h, ")")) {
    char *end;
    if (l->rank == CR_MAX_RANK) return damaged(h, "more than 8 axes");
    skip(h);
    long long n = strtoll(h->s, &end, 10);
    if (end == h->s || n < 0 || *h->s == '+' || *h->s == '-') return damaged(h, "the header's shape is damaged");
    l->dim[l->rank++] = n;
    h->s = end;
    if (next_is(h, ",")) continue;
    if (*h->s != ')') return damaged(h, "the header's shape is damaged");
  }
  return CR_OK;
}

static cr_status read_entry(header *h, layout *l, unsigned *seen) {
  static const char *const keys[] = {"descr", "fortran_order", "shape"};
  char key[16];
  unsigned k = 0;
  if (!read_text(h, key, sizeof key) || !next_is(h, ":")) return damaged(h, "the header is damaged");
  while (k < 3 && strcmp(key, keys[k])) k++;
  if (k == 3 || *seen & 1u << k)
    return cr__refuse_file(h->p, CR_BAD_ARGUMENT, h->file,
                           k == 3 ? "offset %zu: the header has an unknown key '%s'"
                                  : "offset %zu: the header has '%s' twice",
                           offset_of(h), key);
  *seen |= 1u << k;
  if (k == 0) return read_type(h, l);
  if (k == 2) return read_dims(h, l);
  l->fortran = next_is(h, "True");
  return l->fortran || next_is(h, "False") ? CR_OK : damaged(h, "the header's order is damaged");
}

static cr_status read_header(header *h, layout *l) {
  unsigned seen = 0;
  if (!next_is(h, "{")) return damaged(h, "the header is not a dictionary");
  while (!next_is(h, "}")) {
    cr_status status = read_entry(h, l, &seen);
    if (status != CR_OK) return status;
    if (next_is(h, ",")) continue;
    if (*h->s != '}') return damaged(h, "the header is damaged");
  }
  skip(h);
  if (*h->s) return damaged(h, "the header goes on after its end");
  return seen == 7 ? CR_OK : damaged(h, "the header lacks descr, fortran_order or shape");
}

/* A column-major file holds the transpose row-major. */
static cr_status untranspose(cr_array *a, cr_problem *p) {
  cr_array view = *a;
  int64_t stride = 1;
  for (int i = 0; i < a->rank; i++) {
    view.stride[i] = stride;
    stride *= a->dim[i];
  }
  view.contiguous = a->rank < 2;
  cr_array straight;
  cr_status status = cr_array_clone(&straight, &view, (cr_dtype)a->dtype, p);
  if (status != CR_OK) return status;
  cr_array_release(a);
  *a = straight;
  return CR_OK;
}

static cr_status read_numbers(cr_array *a, const layout *l, const cr__bytes *b, size_t start, const char *file,
                              cr_problem *p) {
  int64_t count;
  size_t bytes, size = (size_t)l->coding.size, left = b->size - start;
  if (!cr__measure(l->rank, l->dim, 8, &count, &bytes))
    return cr__refuse_file(p, CR_OVER_LIMIT, file, "offset %zu: the shape is larger than any memory", start);
  if (left / size < (size_t)count)
    return cr__refuse_file(p, CR_BAD_ARGUMENT, file, "offset %zu: the file ends after %zu of %lld numbers", b->size,
                           left / size, (long long)count);
  if (left != (size_t)count * size)
    return cr__refuse_file(p, CR_BAD_ARGUMENT, file, "offset %zu: the file goes on after its %lld numbers",
                           start + (size_t)count * size, (long long)count);
  cr_status status = cr_array_make(a, cr__dtype_for(l->coding), l->rank, l->dim, p);
  if (status != CR_OK) return status;
  int64_t large = cr__decode(a, l->coding, b->at + start);
  if (large >= 0) status = cr__refuse_file(p, CR_BAD_DTYPE, file, "offset %zu: number %lld is too large for int64",
                                           start + (size_t)large * size, (long long)large);
  else if (l->fortran) status = untranspose(a, p);
  if (status != CR_OK) cr_array_release(a);
  return status;
}

cr_status cr__parse_npy(cr_array *a, const cr__bytes *b, const char *file, cr_problem *p) {
  memset(a, 0, sizeof *a);
  const unsigned char *at = b->at;
  if (b->size < 10 || memcmp(at, "\x93NUMPY", 6))
    return cr__refuse_file(p, CR_BAD_ARGUMENT, file, "offset 0: not a .npy file");
  if (at[6] < 1 || at[6] > 3)
    return cr__refuse_file(p, CR_BAD_ARGUMENT, file, "offset 6: version %d of .npy is unknown", at[6]);
  size_t start = at[6] > 1 ? 12 : 10, length = b->size < start ? SIZE_MAX : (size_t)cr__word(at + 8, (int)start - 8, false);
  if (b->size < start || b->size - start < length)
    return cr__refuse_file(p, CR_BAD_ARGUMENT, file, "offset %zu: the header is cut off", b->size);
  char *text = calloc(length + 1, 1);
  if (!text) return cr__no_memory(p);
  memcpy(text, at + start, length);
  layout l = {.rank = 0};
  header h = {text, text, file, start, p};
  cr_status status = strlen(text) < length ? damaged(&h, "the header is damaged") : read_header(&h, &l);
  free(text);
  return status == CR_OK ? read_numbers(a, &l, b, start + length, file, p) : status;
}

cr_status cr_read_npy(cr_array *a, const char *path, cr_problem *p) {
  cr__bytes b;
  memset(a, 0, sizeof *a);
  cr_status status = cr__read_file(&b, path, CR__PLAIN, p);
  if (status == CR_OK) status = cr__parse_npy(a, &b, path, p);
  free(b.at);
  return status;
}

/* Writing: version 1, the header padded so that the numbers start at a multiple of 64. */
cr_status cr__format_npy(cr__bytes *b, const cr_array *a, cr_problem *p) {
  static const char *const type[] = {
      [CR_BOOL] = "|b1", [CR_INT32] = "<i4", [CR_INT64] = "<i8", [CR_FLOAT32] = "<f4", [CR_FLOAT64] = "<f8"};
  char text[512];
  int n = snprintf(text, sizeof text, "{'descr': '%s', 'fortran_order': False, 'shape': (", type[a->dtype]);
  for (int i = 0; i < a->rank; i++)
    n += snprintf(text + n, sizeof text - (size_t)n, i ? ", %lld" : a->rank == 1 ? "%lld," : "%lld", (long long)a->dim[i]);
  n += snprintf(text + n, sizeof text - (size_t)n, "), }");
  size_t length = ((size_t)n + 11 + 63) / 64 * 64 - 10, bytes = (size_t)a->count * cr_dtype_size((cr_dtype)a->dtype);
  *b = (cr__bytes){malloc(10 + length + bytes), 10 + length + bytes};
  if (!b->at) return cr__no_memory(p);
  memcpy(b->at, "\x93NUMPY\x01\x00", 8);
  b->at[8] = (unsigned char)(length & 255);
  b->at[9] = (unsigned char)(length >> 8);
  memset(b->at + 10, ' ', length);
  memcpy(b->at + 10, text, (size_t)n);
  b->at[10 + length - 1] = '\n';
  cr__encode(b->at + 10 + length, a);
  return CR_OK;
}

cr_status cr_write_npy(const cr_array *a, const char *path, cr_problem *p) {
  cr__bytes b;
  cr_status status = cr__format_npy(&b, a, p);
  if (status == CR_OK) status = cr_write_file(b.at, b.size, path, p);
  free(b.at);
  return status;
}
