/* Tables of numbers as text: fields between commas, in double quotes or not, lines that begin with # left out. A first line
 * without a number is a header. One column makes a vector, more a matrix. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"

enum { MAX_TEXT = 1 << 30 };

typedef struct table {
  double *number;
  size_t n, capacity;
  int64_t rows, columns;
  long line;
} table;

static bool append(table *t, double x, problem *p) {
  if (t->n == t->capacity) {
    size_t capacity = t->capacity ? 2 * t->capacity : 256;
    double *grown = realloc(t->number, capacity * sizeof *grown);
    if (!grown) return fail(p, "no memory", "out of memory");
    t->number = grown;
    t->capacity = capacity;
  }
  t->number[t->n++] = x;
  return true;
}

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r'; }

/* The field at s, which ends at a comma or at end: its number, if it is one. Returns where it ends. */
static char *read_field(char *s, char *end, double *x, bool *number) {
  while (s < end && is_space(*s)) s++;
  bool quoted = s < end && *s == '"';
  s += quoted;
  char *stop = s, *after;
  while (stop < end && *stop != (quoted ? '"' : ',')) stop++;
  char *tail = stop + (quoted && stop < end);
  while (tail < end && is_space(*tail)) tail++;
  while (stop > s && is_space(stop[-1])) stop--;
  char kept = *stop; /* strtod may not read on */
  *stop = 0;
  *x = strtod(s, &after);
  *number = stop > s && after == stop && !strpbrk(s, "xX");
  *stop = kept;
  return tail;
}

static bool read_row(table *t, char *s, char *end, problem *p) {
  int64_t columns = 0, numbers = 0;
  size_t first = t->n;
  for (bool more = true; more; columns++) {
    double x;
    bool number;
    s = read_field(s, end, &x, &number);
    if (s < end && *s != ',')
      return fail(p, "bad file", "line %ld, field %lld: text after a closing quote", t->line, (long long)columns + 1);
    more = s < end;
    s += more;
    numbers += number;
    if (!number && (t->rows || numbers))
      return fail(p, "bad file", "line %ld, field %lld is not a number", t->line, (long long)columns + 1);
    if (!append(t, x, p)) return false;
  }
  if (!numbers) {
    t->n = first;
    t->columns = columns;
    return true;
  }
  if (numbers != columns) return fail(p, "bad file", "line %ld has fields that are not numbers", t->line);
  if (t->columns && columns != t->columns)
    return fail(p, "bad shape", "line %ld has %lld fields, the first had %lld", t->line, (long long)columns,
                (long long)t->columns);
  t->columns = columns;
  t->rows++;
  return true;
}

static bool read_rows(table *t, char *text, size_t length, problem *p) {
  for (char *s = text, *stop = text + length; s < stop;) {
    char *end = memchr(s, '\n', (size_t)(stop - s));
    if (!end) end = stop;
    t->line++;
    char *start = s;
    while (start < end && is_space(*start)) start++;
    if (start < end && *start != '#' && !read_row(t, s, end, p)) return false;
    s = end + (end < stop);
  }
  return t->rows || fail(p, "bad file", "there are no numbers in it");
}

bool read_csv(tensor *x, FILE *f, problem *p) {
  size_t length;
  table t = {0};
  *x = (tensor){0};
  char *text = read_stream(f, MAX_TEXT, &length);
  if (!text) return fail(p, "bad file", "%s", strerror(errno));
  char *body = length >= 3 && !memcmp(text, "\xEF\xBB\xBF", 3) ? text + 3 : text; /* a byte order mark */
  bool good = read_rows(&t, body, length - (size_t)(body - text), p);
  int64_t dim[2] = {t.rows, t.columns};
  good = good && tensor_make(x, CR_FLOAT64, t.columns == 1 ? 1 : 2, dim, p);
  if (good) memcpy(x->real, t.number, t.n * sizeof *t.number);
  free(t.number);
  free(text);
  return good;
}
