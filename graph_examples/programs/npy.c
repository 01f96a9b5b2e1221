/* NumPy's .npy files, versions 1 to 3: a magic, a header that is a Python dictionary, and the numbers. */
#include <stdlib.h>
#include <string.h>

#include "command.h"

enum { MAX_HEADER = 1 << 16 };

/* What the header says. */
typedef struct layout {
  char order, kind;          /* '<', '>' or '|'; 'f', 'i', 'u' or 'b' */
  int size;                  /* bytes of a number */
  bool fortran;
  int rank;
  int64_t dim[CR_MAX_RANK];
} layout;

static const char *skip(const char *s) { return s + strspn(s, " \t\n"); }

/* Moves over text if it is next. */
static bool next_is(const char **s, const char *text) {
  size_t n = strlen(text);
  *s = skip(*s);
  if (strncmp(*s, text, n)) return false;
  *s += n;
  return true;
}

/* A quoted text of at most size - 1 bytes. */
static bool read_text(const char **s, char *text, size_t size) {
  *s = skip(*s);
  char quote = **s;
  if (quote != '\'' && quote != '"') return false;
  size_t n = strcspn(*s + 1, quote == '"' ? "\"" : "'");
  if (n >= size || (*s)[n + 1] != quote) return false;
  memcpy(text, *s + 1, n);
  text[n] = 0;
  *s += n + 2;
  return true;
}

static bool read_type(const char **s, layout *l, problem *p) {
  char text[16];
  if (!read_text(s, text, sizeof text)) return fail(p, "bad file", "an array of plain numbers is expected, not of records");
  const char *t = text;
  l->order = strchr("<>|=", *t) && *t ? *t++ : '<';
  l->kind = *t ? *t++ : '?';
  l->size = *t >= '1' && *t <= '8' && !t[1] ? *t - '0' : 0;
  bool known = l->kind == 'f'   ? l->size == 4 || l->size == 8
               : l->kind == 'b' ? l->size == 1
               : l->kind == 'i' ? l->size == 1 || l->size == 2 || l->size == 4 || l->size == 8
                                : l->kind == 'u' && (l->size == 1 || l->size == 2 || l->size == 4);
  return known || fail(p, "bad dtype", "numbers of type '%s' cannot be read: f4, f8, i1 to i8, u1 to u4 and b1 can", text);
}

static bool read_dims(const char **s, layout *l, problem *p) {
  if (!next_is(s, "(")) return fail(p, "bad file", "the header has no shape");
  while (!next_is(s, ")")) {
    char *end;
    if (l->rank == CR_MAX_RANK) return fail(p, "bad shape", "more than %d axes", CR_MAX_RANK);
    *s = skip(*s);
    long long n = strtoll(*s, &end, 10);
    if (end == *s || n < 0 || **s == '+' || **s == '-') return fail(p, "bad file", "the header's shape is damaged");
    l->dim[l->rank++] = n;
    *s = end;
    if (!next_is(s, ",") && *skip(*s) != ')') return fail(p, "bad file", "the header's shape is damaged");
  }
  return true;
}

static bool read_header(const char *s, layout *l, problem *p) {
  char key[16];
  unsigned seen = 0;
  if (!next_is(&s, "{")) return fail(p, "bad file", "the header is not a dictionary");
  while (!next_is(&s, "}")) {
    if (!read_text(&s, key, sizeof key) || !next_is(&s, ":")) return fail(p, "bad file", "the header is damaged");
    if (!strcmp(key, "descr")) {
      if (!read_type(&s, l, p)) return false;
      seen |= 1;
    } else if (!strcmp(key, "fortran_order")) {
      l->fortran = next_is(&s, "True");
      if (!l->fortran && !next_is(&s, "False")) return fail(p, "bad file", "the header's order is damaged");
      seen |= 2;
    } else if (!strcmp(key, "shape")) {
      if (seen & 4 || !read_dims(&s, l, p)) return seen & 4 ? fail(p, "bad file", "the header has two shapes") : false;
      seen |= 4;
    } else {
      return fail(p, "bad file", "the header has an unknown key '%s'", key);
    }
    if (!next_is(&s, ",") && *skip(s) != '}') return fail(p, "bad file", "the header is damaged");
  }
  if (*skip(s)) return fail(p, "bad file", "the header goes on after its end");
  return seen == 7 || fail(p, "bad file", "the header lacks descr, fortran_order or shape");
}

static uint64_t bytes_to_word(const unsigned char *b, int size, bool big) {
  uint64_t word = 0;
  for (int k = 0; k < size; k++) word = word << 8 | b[big ? k : size - 1 - k];
  return word;
}

static void decode(const layout *l, const unsigned char *b, tensor *x, int64_t k) {
  uint64_t word = bytes_to_word(b, l->size, l->order == '>');
  if (l->kind == 'f' && l->size == 8) {
    memcpy(&x->real[k], &word, sizeof word);
  } else if (l->kind == 'f') {
    uint32_t half = (uint32_t)word;
    float number;
    memcpy(&number, &half, sizeof number);
    x->real[k] = (double)number;
  } else if (l->kind == 'i') {
    uint64_t sign = (uint64_t)1 << (8 * l->size - 1);
    x->whole[k] = (int64_t)((word ^ sign) - sign);
  } else {
    x->whole[k] = l->kind == 'b' ? word != 0 : (int64_t)word;
  }
}

/* Row-major position of the k-th number of a column-major file. */
static int64_t transposed(const layout *l, int64_t k) {
  int64_t index[CR_MAX_RANK], position = 0;
  for (int i = 0; i < l->rank; i++) {
    index[i] = k % l->dim[i];
    k /= l->dim[i];
  }
  for (int i = 0; i < l->rank; i++) position = position * l->dim[i] + index[i];
  return position;
}

static bool read_numbers(tensor *x, const layout *l, FILE *f, problem *p) {
  unsigned char b[8];
  for (int64_t k = 0; k < x->count; k++) {
    if (fread(b, 1, (size_t)l->size, f) != (size_t)l->size)
      return fail(p, "bad file", "the file ends after %lld of %lld numbers", (long long)k, (long long)x->count);
    decode(l, b, x, l->fortran ? transposed(l, k) : k);
  }
  return getc(f) == EOF || fail(p, "bad file", "the file goes on after its %lld numbers", (long long)x->count);
}

bool read_npy(tensor *x, FILE *f, problem *p) {
  unsigned char start[12];
  *x = (tensor){0};
  if (fread(start, 1, 10, f) != 10 || memcmp(start, "\x93NUMPY", 6)) return fail(p, "bad file", "not a .npy file");
  if (start[6] < 1 || start[6] > 3) return fail(p, "bad file", "version %d of .npy is unknown", start[6]);
  bool wide = start[6] > 1;
  if (wide && fread(start + 10, 1, 2, f) != 2) return fail(p, "bad file", "the header is cut off");
  uint64_t length = bytes_to_word(start + 8, wide ? 4 : 2, false);
  if (length > MAX_HEADER) return fail(p, "bad file", "a header of %llu bytes", (unsigned long long)length);
  char *header = calloc(length + 1, 1);
  layout l = {0};
  bool good = header || fail(p, "no memory", "out of memory");
  good = good && (fread(header, 1, length, f) == length || fail(p, "bad file", "the header is cut off"));
  good = good && read_header(header, &l, p);
  free(header);
  if (!good) return false;
  cr_dtype dtype = l.kind == 'b'                     ? CR_BOOL
                   : l.kind == 'f'                   ? l.size == 8 ? CR_FLOAT64 : CR_FLOAT32
                   : l.size == 8 || (l.kind == 'u' && l.size == 4) ? CR_INT64
                                                     : CR_INT32;
  if (tensor_make(x, dtype, l.rank, l.dim, p) && read_numbers(x, &l, f, p)) return true;
  tensor_free(x);
  return false;
}
