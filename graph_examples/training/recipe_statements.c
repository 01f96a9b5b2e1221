/* The text of a recipe as statements: a keyword at the start of a line, and what follows it over indented lines and open
 * brackets. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "recipe.h"

const char *const cr__keyword_text[CR__N_KEYWORDS] = {"title",    "set",    "data",     "test",    "validation",
                                                      "net",      "loss",   "residual", "penalty", "optimizer",
                                                      "schedule", "metric", "augment",  "train"};

char *cr__text(const char *format, ...) {
  va_list args, again;
  va_start(args, format);
  va_copy(again, args);
  int n = vsnprintf(NULL, 0, format, args);
  char *text = n < 0 ? NULL : malloc((size_t)n + 1);
  if (text) vsnprintf(text, (size_t)n + 1, format, again);
  va_end(again);
  va_end(args);
  return text;
}

/* Where the reader is: everything is done on a copy of the source, in which comments and keywords become blanks. */
typedef struct reader {
  cr__statements *s;
  char *at;
  int line, depth, opened; /* depth of brackets; line of the outermost one that is open */
  cr_problem *p;
} reader;

static cr_status refuse(reader *r, int line, const char *why) {
  return cr_refuse(r->p, CR_BAD_SYNTAX, "%s:%d: %s", r->s->title, line, why);
}

/* Blanks the comment of a line and follows its brackets and quotes. */
static cr_status scan_line(reader *r, char *line, size_t length) {
  char quote = 0;
  for (char *c = line; c < line + length; c++) {
    if (*c == '\r') *c = ' ';
    if (quote) {
      if (*c == '\\' && c + 1 < line + length) c++;
      else if (*c == quote) quote = 0;
    } else if (*c == '#') {
      memset(c, ' ', (size_t)(line + length - c));
    } else if (*c == '\'' || *c == '"') {
      quote = *c;
    } else if (strchr("([{", *c)) {
      if (!r->depth++) r->opened = r->line;
    } else if (strchr(")]}", *c) && --r->depth < 0) {
      return refuse(r, r->line, "a bracket is closed that was not opened");
    }
  }
  return quote ? refuse(r, r->line,
                        quote == '"' ? "a text that begins with \" has no end" : "a text that begins with ' has no end")
               : CR_OK;
}

static bool is_blank(const char *s) { return !s[strspn(s, " \t\r\n")]; }

static const char *keyword_at(int k) { return k < CR__N_KEYWORDS ? cr__keyword_text[k] : NULL; }

static cr_status unknown_keyword(reader *r, const char *word) {
  cr_problem why = {0};
  cr_refuse_name(&why, "statement", word, keyword_at);
  return refuse(r, r->line, why.text);
}

/* A new statement, whose text begins at line. */
static cr_status begin_statement(reader *r, char *line) {
  char word[64];
  size_t n = strspn(line, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789");
  if (!n) n = strcspn(line, " \t");
  snprintf(word, sizeof word, "%.*s", n < sizeof word ? (int)n : (int)sizeof word - 1, line);
  for (char *c = word; *c; c++)
    if (*c < ' ' || *c > '~') *c = '?'; /* a message may be shown anywhere */
  int k = 0;
  while (k < CR__N_KEYWORDS && strcmp(word, cr__keyword_text[k])) k++;
  if (k == CR__N_KEYWORDS) return unknown_keyword(r, word);
  const cr__statement *earlier = cr__said(r->s, (cr__keyword)k);
  if (earlier && k != CR__SET)
    return cr_refuse(r->p, CR_BAD_SYNTAX, "%s:%d: a second '%s'; the first one is on line %d", r->s->title, r->line, word,
                     earlier->line);
  for (int j = 0; k == CR__SET && j < r->s->n; j++)
    if (r->s->statement[j].keyword != CR__SET && r->s->statement[j].keyword != CR__TITLE)
      return refuse(r, r->line, "set stands before the statements that may use it");
  memset(line, ' ', n);
  r->s->statement[r->s->n++] = (cr__statement){.keyword = (cr__keyword)k, .line = r->line, .text = line};
  return CR_OK;
}

/* Ends the text of each statement where the next one begins, and gives it memory of its own. */
static cr_status keep_texts(reader *r) {
  cr_status status = CR_OK;
  for (int k = r->s->n; k-- > 0;) {
    cr__statement *st = &r->s->statement[k];
    size_t n = strlen(st->text);
    while (n && strchr(" \t\r\n", st->text[n - 1])) n--;
    char *end = st->text, *start = st->text;
    st->text = status == CR_OK ? cr__text("%.*s", (int)n, start) : NULL;
    *end = 0;
    if (status == CR_OK && !st->text) status = cr_refuse(r->p, CR_NO_MEMORY, "%s: out of memory", r->s->title);
    if (status == CR_OK && is_blank(st->text)) {
      r->line = st->line;
      status = cr_refuse(r->p, CR_BAD_SYNTAX, "%s:%d: nothing follows '%s'", r->s->title, st->line,
                         cr__keyword_text[st->keyword]);
    }
  }
  return status;
}

static cr_status read_lines(reader *r) {
  for (char *line = r->at, *next; *line; line = next, r->line++) {
    size_t length = strcspn(line, "\n");
    next = line + length + (line[length] == '\n');
    bool goes_on = r->depth > 0 || strchr(" \t\r\n#", *line);
    if (goes_on && r->depth == 0 && !r->s->n && line[strspn(line, " \t\r")] && !strchr("\n#", line[strspn(line, " \t\r")]))
      return refuse(r, r->line, "an indented line goes on with a statement, but there is none before it");
    cr_status status = goes_on ? CR_OK : begin_statement(r, line);
    if (status == CR_OK) status = scan_line(r, line, length);
    if (status != CR_OK) return status;
  }
  return r->depth ? refuse(r, r->opened, "a bracket is opened that is never closed") : CR_OK;
}

cr_status cr__read_statements(cr__statements *s, const char *source, const char *title, cr_problem *p) {
  size_t lines = 1;
  if (!strncmp(source, "\xEF\xBB\xBF", 3)) source += 3; /* the mark that some editors put before UTF-8 */
  for (const char *c = source; *c; c++) lines += *c == '\n';
  char *copy = cr__text("%s", source);
  *s = (cr__statements){.title = title, .statement = calloc(lines, sizeof *s->statement)};
  reader r = {.s = s, .at = copy, .line = 1, .p = p};
  cr_status status = CR_OK;
  if (!copy || !s->statement) status = cr_refuse(p, CR_NO_MEMORY, "%s: out of memory", title);
  if (status == CR_OK) status = read_lines(&r);
  if (status != CR_OK) s->n = 0; /* texts lie in the copy still */
  if (status == CR_OK) status = keep_texts(&r);
  free(copy);
  return status;
}

void cr__free_statements(cr__statements *s) {
  for (int k = 0; k < s->n; k++) free(s->statement[k].text);
  free(s->statement);
  *s = (cr__statements){0};
}

const cr__statement *cr__said(const cr__statements *s, cr__keyword keyword) {
  for (int k = 0; k < s->n; k++)
    if (s->statement[k].keyword == keyword) return &s->statement[k];
  return NULL;
}

cr_status cr__refuse_at(const cr__statements *s, const cr__statement *at, int above, cr_status status, const char *why,
                        cr_problem *p) {
  int line = 0, column = 0, used = 0;
  if (!at) return cr_refuse(p, status, "%s: %s", s->title, why);
  if (sscanf(why, "line %d, column %d: %n", &line, &column, &used) == 2 && used > 0 && line > above)
    return cr_refuse(p, status, "%s:%d:%d: %s", s->title, at->line + line - above - 1, column, why + used);
  return cr_refuse(p, status, "%s:%d: %s", s->title, at->line, why);
}
