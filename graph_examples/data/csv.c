/* Tables as text: RFC 4180 with commas, semicolons, tabs, or spaces between numbers; lines that begin with # are left out.
 * First all fields are found, in place, then each column is taken for numbers or for text. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "readers.h"

typedef struct reader {
  char *s, *end; /* what is left to read; a 0 stands at end */
  long line;
  char between; /* fields; ' ' for runs of spaces */
  char **cell;  /* row after row, in the text itself */
  size_t n, capacity;
  size_t columns, rows; /* 0 columns: none is known yet */
  long *row_line;
  bool header;
  const char *file;
  cr_problem *p;
} reader;

static cr_status refuse(reader *r, long line, const char *what) {
  return cr__refuse_file(r->p, CR_BAD_ARGUMENT, r->file, "line %ld: %s", line, what);
}

static bool is_space(char c) { return c == ' ' || c == '\t'; }

static bool is_nan(const char *s) { return !strcmp(s, "nan") || !strcmp(s, "NaN"); }
static bool is_missing(const char *s) { return !*s || !strcmp(s, "NA") || !strcmp(s, "?") || !strcmp(s, "N/A"); }

static bool is_number(const reader *r, const char *s, double *x) {
  const char *name = s + (*s == '-' || *s == '+');
  if (!strcmp(name, "inf") || !strcmp(name, "Inf") || !strcmp(name, "Infinity"))
    return *x = *s == '-' ? -(double)INFINITY : (double)INFINITY, true;
  if (is_nan(name)) return *x = (double)NAN, true;
  return cr__decimal(s, '.', x) || (r->between == ';' && cr__decimal(s, ',', x)); /* where a comma is the decimal point */
}

/* Fields */

/* Where the line ends: at its line feed, or the end of the text. */
static char *line_end(const reader *r) {
  char *feed = memchr(r->s, '\n', (size_t)(r->end - r->s));
  return feed ? feed : r->end;
}

/* Skips empty lines and comments; false at the end. */
static bool find_row(reader *r) {
  while (r->s < r->end) {
    char *s = r->s, *end = line_end(r);
    while (s < end && (is_space(*s) || *s == '\r')) s++;
    if (s < end && *s != '#') return true;
    r->s = end + (end < r->end);
    r->line++;
  }
  return false;
}

static bool only_numbers(const char *s, const char *end) {
  char word[64];
  double x;
  int n = 0;
  while (s < end) {
    size_t length = 0;
    while (s < end && (is_space(*s) || *s == '\r')) s++;
    while (s + length < end && !is_space(s[length]) && s[length] != '\r') length++;
    if (length >= sizeof word) return false;
    memcpy(word, s, length);
    word[length] = 0;
    if (length && !cr__decimal(word, '.', &x)) return false;
    n += length > 0;
    s += length;
  }
  return n > 1;
}

/* A tab or a semicolon outside quotes separates; spaces do between numbers; else a comma. */
static char separator(const reader *r) {
  const char *end = line_end(r);
  bool quoted = false, tab = false, semicolon = false, comma = false;
  for (const char *s = r->s; s < end; s++) {
    quoted ^= *s == '"';
    tab |= !quoted && *s == '\t';
    semicolon |= !quoted && *s == ';';
    comma |= !quoted && *s == ',';
  }
  if (semicolon || tab) return semicolon && !tab ? ';' : '\t';
  return !comma && only_numbers(r->s, end) ? ' ' : ',';
}

static cr_status add_cell(reader *r, char *s) {
  if (r->n == r->capacity) {
    size_t capacity = r->capacity ? 2 * r->capacity : 256;
    char **grown = realloc(r->cell, capacity * sizeof *grown);
    if (!grown) return cr__no_memory(r->p);
    r->cell = grown;
    r->capacity = capacity;
  }
  r->cell[r->n++] = s;
  return CR_OK;
}

/* The text of a quoted field is moved over its quotes; a doubled quote is one. s is past the closing quote after it. */
static cr_status take_quoted(reader *r) {
  char *start = ++r->s, *to = start;
  long line = r->line;
  for (; r->s < r->end && (*r->s != '"' || r->s[1] == '"'); r->s++) {
    r->line += *r->s == '\n';
    r->s += *r->s == '"';
    *to++ = *r->s;
  }
  if (r->s == r->end) return refuse(r, line, "the quote that opens here is not closed");
  r->s++;
  while (is_space(*r->s) && *r->s != r->between) r->s++;
  if (*r->s == '\r') r->s++;
  if (*r->s && *r->s != r->between && *r->s != '\n') return refuse(r, r->line, "text after a closing quote");
  *to = 0; /* in front of s, which is past the quote */
  return add_cell(r, start);
}

/* Takes one field without its surrounding spaces, up to the separator or the end of the line, where s is left. */
static cr_status take_field(reader *r, char **stop) {
  while (is_space(*r->s) && (*r->s != r->between || r->between == ' ')) r->s++;
  *stop = NULL;
  if (*r->s == '"') return take_quoted(r);
  char *start = r->s;
  while (*r->s && *r->s != r->between && *r->s != '\n') r->s++;
  *stop = r->s;
  while (*stop > start && (is_space((*stop)[-1]) || (*stop)[-1] == '\r')) --*stop;
  return add_cell(r, start);
}

static cr_status end_row(reader *r, long line, size_t fields) {
  if (!(r->rows & (r->rows - 1))) { /* room grows at powers of two */
    long *grown = realloc(r->row_line, (r->rows ? 2 * r->rows : 1) * sizeof *grown);
    if (!grown) return cr__no_memory(r->p);
    r->row_line = grown;
  }
  r->row_line[r->rows++] = line;
  if (!r->columns) r->columns = fields;
  if (fields == r->columns) return CR_OK;
  return cr__refuse_file(r->p, CR_BAD_SHAPE, r->file, "line %ld: %zu field%s where the %s has %zu", line, fields,
                         fields == 1 ? "" : "s", r->header ? "header" : "first row", r->columns);
}

/* One row: its fields are ended by a 0 only when the character there was read. */
static cr_status take_row(reader *r) {
  size_t first = r->n;
  long line = r->line;
  for (bool more = true; more;) {
    char *stop;
    cr_status status = take_field(r, &stop);
    if (status != CR_OK) return status;
    char *next = r->s;
    if (r->between == ' ') next += strspn(next, " \r");
    more = r->between == ' ' ? *next && *next != '\n' : *next == r->between;
    r->s = next + (r->between == ' ' ? *next == '\n' : *next != 0);
    r->line += !more;
    if (stop) *stop = 0;
  }
  return end_row(r, line, r->n - first);
}

/* Columns */

/* A first row is a header when none of its fields is a number, and one is not missing. */
static bool looks_like_header(const reader *r) {
  size_t texts = 0;
  double x;
  for (size_t k = 0; k < r->columns; k++) {
    if (is_number(r, r->cell[k], &x)) return false;
    texts += !is_missing(r->cell[k]);
  }
  return texts > 0;
}

/* The ranks of texts among those seen: a hash table of levels, open addressing. */
typedef struct levels {
  cr_column *column;
  int *slot;       /* rank + 1, or 0 */
  size_t capacity; /* a power of two */
} levels;

static int *slot_of(levels *l, const char *text) {
  size_t k = (size_t)XXH3_64bits(text, strlen(text));
  while (l->slot[k &= l->capacity - 1] && strcmp(l->column->level[l->slot[k] - 1], text)) k++;
  return &l->slot[k];
}

static bool grow(levels *l) {
  cr_column *c = l->column;
  size_t capacity = l->capacity ? 2 * l->capacity : 16;
  int *slot = calloc(capacity, sizeof *slot);
  char **level = slot ? realloc(c->level, capacity * sizeof *level) : NULL;
  if (!level) return free(slot), false;
  free(l->slot);
  c->level = level;
  l->slot = slot;
  l->capacity = capacity;
  for (int k = 0; k < c->n_levels; k++) *slot_of(l, level[k]) = k + 1;
  return true;
}

static bool rank_of(levels *l, const char *text, double *rank) {
  cr_column *c = l->column;
  if (2 * (size_t)c->n_levels >= l->capacity && !grow(l)) return false;
  int *slot = slot_of(l, text);
  if (!*slot) {
    char *copy = c->n_levels < INT32_MAX ? strdup(text) : NULL;
    if (!copy) return false;
    c->level[c->n_levels++] = copy;
    *slot = c->n_levels;
  }
  *rank = *slot - 1;
  return true;
}

static bool fill_texts(reader *r, cr_column *c, char **cell, int64_t rows) {
  levels l = {.column = c};
  bool good = true;
  c->missing = 0;
  for (int64_t k = 0; k < rows && good; k++) {
    const char *text = cell[(size_t)k * r->columns];
    c->number[k] = (double)NAN;
    if (is_missing(text) || is_nan(text)) c->missing++;
    else good = rank_of(&l, text, &c->number[k]);
  }
  free(l.slot);
  return good;
}

static bool fill_column(reader *r, cr_column *c, char **cell, int64_t rows) {
  c->number = malloc((size_t)rows * sizeof *c->number);
  if (!c->number) return false;
  for (int64_t k = 0; k < rows; k++) {
    const char *text = cell[(size_t)k * r->columns];
    c->number[k] = (double)NAN;
    if (is_missing(text)) c->missing++;
    else if (!is_number(r, text, &c->number[k])) return fill_texts(r, c, cell, rows);
  }
  return true;
}

static cr_status make_columns(cr_table *t, reader *r) {
  t->has_header = r->header;
  t->n_rows = (int64_t)(r->rows - r->header);
  t->column = calloc(r->columns, sizeof *t->column);
  if (!t->column) return cr__no_memory(r->p);
  t->n_columns = (int)r->columns;
  t->line = r->row_line;
  r->row_line = NULL;
  if (r->header) memmove(t->line, t->line + 1, (size_t)t->n_rows * sizeof *t->line);
  for (int k = 0; k < t->n_columns; k++) {
    char number[16];
    snprintf(number, sizeof number, "c%d", k);
    t->column[k].name = strdup(r->header ? r->cell[k] : number);
    if (!t->column[k].name || !fill_column(r, &t->column[k], r->cell + k + r->header * r->columns, t->n_rows))
      return cr__no_memory(r->p);
  }
  return CR_OK;
}

/* The whole */

static cr_status read_rows(reader *r, int header) {
  r->header = header == 1;
  while (find_row(r)) {
    if (!r->columns) r->between = separator(r);
    cr_status status = take_row(r);
    if (status != CR_OK) return status;
    if (r->rows == 1 && header < 0) r->header = looks_like_header(r);
  }
  if (r->columns > INT32_MAX) return cr__refuse_file(r->p, CR_OVER_LIMIT, r->file, "too many columns");
  if (r->rows > r->header) return CR_OK;
  return cr__refuse_file(r->p, CR_BAD_ARGUMENT, r->file,
                         r->rows ? "there are no rows under the header" : "there are no rows in it");
}

cr_status cr__parse_csv(cr_table *t, cr__bytes *b, int header, const char *file, cr_problem *p) {
  char *text = (char *)b->at;
  memset(t, 0, sizeof *t);
  if (b->size >= 2 && (!memcmp(text, "\xFF\xFE", 2) || !memcmp(text, "\xFE\xFF", 2)))
    return cr__refuse_file(p, CR_BAD_ARGUMENT, file, "UTF-16 text: save it as UTF-8");
  const char *zero = memchr(text, 0, b->size);
  if (zero)
    return cr__refuse_file(p, CR_BAD_ARGUMENT, file, "offset %zu: a zero byte: this is no text", (size_t)(zero - text));
  size_t mark = b->size >= 3 && !memcmp(text, "\xEF\xBB\xBF", 3) ? 3 : 0;
  reader r = {.s = text + mark, .end = text + b->size, .line = 1, .file = file, .p = p};
  cr_status status = read_rows(&r, header);
  if (status == CR_OK) status = make_columns(t, &r);
  free(r.cell);
  free(r.row_line);
  if (status != CR_OK) cr_table_free(t);
  return status;
}

cr_status cr_read_csv(cr_table *table, const char *path, cr_problem *p) {
  cr__bytes b;
  memset(table, 0, sizeof *table);
  cr_status status = cr__read_file(&b, path, CR__MAYBE_GZIP, p);
  if (status == CR_OK) status = cr__parse_csv(table, &b, -1, path, p);
  free(b.at);
  return status;
}

void cr_table_free(cr_table *table) {
  for (int k = 0; k < table->n_columns; k++) {
    cr_column *c = &table->column[k];
    for (int j = 0; j < c->n_levels; j++) free(c->level[j]);
    free(c->level);
    free(c->name);
    free(c->number);
  }
  free(table->column);
  free(table->line);
  memset(table, 0, sizeof *table);
}

int cr_table_column(const cr_table *table, const char *name) {
  double number;
  for (int k = 0; k < table->n_columns; k++)
    if (!strcmp(table->column[k].name, name)) return k;
  if (!cr__decimal(name, '.', &number) || number != floor(number)) return -1;
  if (number < 0) number += table->n_columns;
  return number >= 0 && number < table->n_columns ? (int)number : -1;
}
