/* Text as classes: the characters that occur, in order of their codes, are numbered, and windows of the text predict the
 * next character. */
#include <stdlib.h>
#include <string.h>

#include "readers.h"

enum { N_CODES = 0x110000 };

typedef struct letters {
  uint32_t *code; /* of the text */
  int64_t n;
  int *rank; /* of each code; -1 where it does not occur */
} letters;

/* The code at s and its length; 0 where the bytes are not UTF-8. */
static size_t decode(const unsigned char *s, size_t left, uint32_t *code) {
  static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  size_t n = *s < 0x80 ? 1 : *s >> 5 == 6 ? 2 : *s >> 4 == 14 ? 3 : *s >> 3 == 30 ? 4 : 0;
  if (!n || n > left) return 0;
  *code = n == 1 ? *s : *s & (0x7Fu >> n);
  for (size_t k = 1; k < n; k++) {
    if (s[k] >> 6 != 2) return 0;
    *code = *code << 6 | (s[k] & 0x3F);
  }
  return *code >= least[n] && *code < N_CODES && (*code < 0xD800 || *code > 0xDFFF) ? n : 0;
}

static size_t encode(uint32_t code, char text[5]) {
  size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  for (size_t k = n; k-- > 1; code >>= 6) text[k] = (char)(0x80 | (code & 0x3F));
  text[0] = (char)(n == 1 ? code : (0xF00u >> n & 0xF0) | code);
  text[n] = 0;
  return n;
}

/* Takes the text for UTF-8, characters that start or end cut off left out, else for bytes. */
static cr_status read_letters(letters *l, const unsigned char *s, size_t size, cr_problem *p) {
  size_t at = 0, n = 1, skipped = 0;
  l->code = malloc((size + 1) * sizeof *l->code);
  if (!l->code) return cr__no_memory(p);
  while (skipped < 3 && at < size && s[at] >> 6 == 2) at = ++skipped;
  for (; at < size && (n = decode(s + at, size - at, &l->code[l->n])); at += n) l->n++;
  if (at + 3 >= size) return CR_OK; /* at most the start of a last character is left */
  l->n = (int64_t)size;
  for (size_t k = 0; k < size; k++) l->code[k] = s[k];
  return CR_OK;
}

static cr_status name_letters(cr_dataset *d, letters *l, cr_problem *p) {
  int n = 0;
  l->rank = malloc(N_CODES * sizeof *l->rank);
  if (!l->rank) return cr__no_memory(p);
  for (int k = 0; k < N_CODES; k++) l->rank[k] = -1;
  for (int64_t k = 0; k < l->n; k++) l->rank[l->code[k]] = 0;
  for (int k = 0; k < N_CODES; k++) n += l->rank[k] == 0;
  d->class_name = calloc((size_t)n + 1, sizeof *d->class_name);
  if (!d->class_name) return cr__no_memory(p);
  for (int k = 0; k < N_CODES; k++) {
    char text[5];
    if (l->rank[k] < 0) continue;
    encode((uint32_t)k, text);
    l->rank[k] = d->n_classes;
    if (!(d->class_name[d->n_classes] = strdup(text))) return cr__no_memory(p);
    d->n_classes++;
  }
  return CR_OK;
}

static cr_status fill_windows(cr_dataset *d, const letters *l, int64_t length, int64_t stride, const char *file,
                              cr_problem *p) {
  int64_t dim[2] = {l->n > length ? (l->n - 1 - length) / stride + 1 : 0, length};
  d->letters = 1;
  if (!dim[0])
    return cr__refuse_file(p, CR_BAD_SHAPE, file, "%lld characters are too few for windows of %lld and the next",
                           (long long)l->n, (long long)length);
  cr_status status = cr_array_make(&d->x, CR_INT64, 2, dim, p);
  if (status == CR_OK) status = cr_array_make(&d->y, CR_INT64, 2, dim, p);
  for (int64_t k = 0; status == CR_OK && k < d->x.count; k++) {
    int64_t at = k / length * stride + k % length;
    ((int64_t *)d->x.data)[k] = l->rank[l->code[at]];
    ((int64_t *)d->y.data)[k] = l->rank[l->code[at + 1]];
  }
  return status;
}

cr_status cr__make_text(cr_dataset *d, const cr__order *o) {
  static const char *const sizes[] = {"length", "stride", "start", "limit"};
  cr__bytes b = {NULL, 0};
  letters l = {0};
  cr_status status = CR_OK;
  for (int k = 0; k < 4 && status == CR_OK; k++)
    status = cr_number_within(o->a, sizes[k], k == 2 ? 0 : 1, 4294967296.0, 1, o->p);
  char *file = status == CR_OK ? cr__path_of(o, "path") : NULL;
  if (!file) return o->p->status;
  status = cr__read_file(&b, file, CR__MAYBE_GZIP, o->p);
  if (status == CR_OK) {
    int64_t length = (int64_t)cr_number_of(o->a, "length", 64),
            stride = (int64_t)cr_number_of(o->a, "stride", (double)length);
    size_t start = (size_t)cr_number_of(o->a, "start", 0), limit = (size_t)cr_number_of(o->a, "limit", 4294967296.0);
    size_t left = start < b.size ? b.size - start : 0;
    status = read_letters(&l, b.at + (left ? start : 0), left < limit ? left : limit, o->p);
    if (status == CR_OK) status = name_letters(d, &l, o->p);
    if (status == CR_OK) status = fill_windows(d, &l, length, stride, file, o->p);
  }
  free(b.at);
  free(l.code);
  free(l.rank);
  free(file);
  return status;
}
