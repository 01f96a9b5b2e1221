/* Rows in the C of compiled functions. */
#include <ctype.h>

#include "jitwriting.h"

static bool is_word(char c) { return isalnum((unsigned char)c) || c == '_'; }

/* A form in float: as replay has it, or near it. */
static const char native[] = "single_", near[] = "near_";

static const char *single_name(const cr__writer *w, const char *prefix, const char *word, size_t n) {
  const size_t m = strlen(prefix);
  for (const cr_helper *h = w->t->table->helpers; h && h->name; h++)
    if (!strncmp(h->name, prefix, m) && strlen(h->name) == n + m && !strncmp(h->name + m, word, n)) return h->name;
  return NULL;
}

static const char *exact_name(const cr__writer *w, const char *word, size_t n) {
  for (const cr_helper *h = w->t->table->helpers; h && h->name; h++)
    if (h->real && strlen(h->name) == n && !strncmp(h->name, word, n)) return h->real;
  return NULL;
}

typedef struct word {
  const char *name, *single, *exact;
} word;

static const word *known_word(const char *text, size_t n) {
  static const word words[] = {{"a", "\1", "\1"},
                               {"b", "\2", "\2"},
                               {"y", "\3", "\3"},
                               {"inf", "INFINITY", "(double)INFINITY"},
                               {"nan", "NAN", "(double)NAN"},
                               {"pi", "3.14159265f", "3.141592653589793"},
                               {"abs", "fabsf", "fabs"}};
  for (size_t k = 0; k < sizeof words / sizeof *words; k++)
    if (strlen(words[k].name) == n && !strncmp(words[k].name, text, n)) return &words[k];
  return NULL;
}

static bool all_native(const cr__writer *w, const char *text) {
  for (const char *p = text; p && *p;) {
    size_t n = 1;
    if (isdigit((unsigned char)*p)) {
      n = strspn(p, "0123456789.e");
    } else if (is_word(*p)) {
      while (is_word(p[n])) n++;
      if (!known_word(p, n) && !single_name(w, native, p, n)) return false;
    }
    p += n;
  }
  return true;
}

/* Whether replay computes the row in float: make_singles.py decides alike. */
bool cr__is_native(const cr__writer *w, const cr_row *row) {
  return all_native(w, row->value_text) && all_native(w, row->partial_text[0]) && all_native(w, row->partial_text[1]);
}

/* What a word of a row is in C; *own: it stays. NULL: there is no form in float. */
static const char *name_of(const cr__writer *w, const char *text, size_t n, bool single, bool *own) {
  const word *known = known_word(text, n);
  if (known) return single ? known->single : known->exact;
  const char *name = single ? single_name(w, native, text, n) : exact_name(w, text, n);
  if (single && !name) name = single_name(w, near, text, n);
  *own = !single && !name;
  return name;
}

/* In float every name has a form for float, and fractions get an f; "": a name has none. */
static const char *c_text(cr__writer *w, const char *text, bool single) {
  cr_emitter *e = &w->e;
  const char *out = "";
  for (const char *p = text; *p;) {
    size_t n = 0;
    if (isdigit((unsigned char)*p)) {
      while (isdigit((unsigned char)p[n]) || p[n] == '.' || p[n] == 'e' || (n && p[n - 1] == 'e' && p[n] == '-')) n++;
      bool whole = strspn(p, "0123456789") >= n;
      out = cr__format(e, "%s%.*s%s", out, (int)n, p, whole || !single ? "" : "f");
    } else if (is_word(*p)) {
      while (is_word(p[n])) n++;
      bool own = false;
      const char *name = name_of(w, p, n, single, &own);
      if (!name && !own) return "";
      out = name ? cr__format(e, "%s%s", out, name) : cr__format(e, "%s%.*s", out, (int)n, p);
    } else {
      n = 1;
      out = cr__format(e, "%s%c", out, *p);
    }
    p += n;
  }
  return out;
}

const char *cr__row_text(cr__writer *w, uint32_t id, cr__form form) {
  cr_emit_view in[2] = {{.number = form == CR__ROW_NONZERO ? CR__IS_LITERAL : 1, .base = "1"}, {.number = 1}};
  int n;
  const uint32_t *operand = cr__operands(w->t, id, &n);
  const cr_op *op = w->t->op[cr__op_number(w->t, id)];
  if (form == CR__ROW_SINGLE) return c_text(w, op->row->value_text, true);
  for (int k = 0; k < n && k < 2; k++) in[k].array = cr__array_of(w->t, operand[k]);
  cr_emit_context c = {.tape = w->t, .op = op, .n = n, .in = in, .emitter = &w->e};
  c.out.array = cr__array_of(w->t, id);
  return cr__row_expression(&c, "\1", "\2");
}

/* Templates of float64 rows, and those in float, are kept. */
const char *cr__template_of(cr__writer *w, uint32_t id, cr__form form) {
  uint32_t row = cr__op_number(w->t, id) - CR__FIRST_ROW, count = (uint32_t)*w->t->table->n_rows;
  cr_dtype in = (cr_dtype)cr__array_of(w->t, w->t->node[id].in[0]).dtype;
  bool kept = row < count && (form == CR__ROW_SINGLE || in == CR_FLOAT64);
  const char **at = &w->template[kept ? row * CR__ROW_FORMS + (uint32_t)form : 0];
  if (!kept) return cr__row_text(w, id, form);
  if (!*at) {
    const char *text = cr__row_text(w, id, form);
    *at = cr__arena_text(&w->texts, text, strlen(text));
    if (!*at) w->failed = true;
  }
  return *at ? *at : "";
}

void cr__put_template(cr_buffer *b, const char *text, const char *const *operand) {
  for (const char *p = text; *p;) {
    size_t n = strcspn(p, "\1\2\3\4");
    cr__put_bytes(b, p, n);
    p += n;
    if (*p) {
      const char *name = operand[*p++ - 1];
      cr__put_bytes(b, name, strlen(name));
    }
  }
}

/* The reverse step of a row (cr__pull): the cotangent times a partial derivative, 0 where it is 0. "": it has no form. */
const char *cr__pull_text(cr__writer *w, const cr__line *l, const int32_t **at) {
  int k = 0;
  const cr_op *of = cr__pull_of(l->op, cr__attr_of(w->t, l->id), &k, at);
  bool single = l->dtype == CR_FLOAT32;
  if (!of || (single && w->exact && !cr__is_native(w, of->row)) || !strncmp(of->row->value_text, "a == 0 ?", 8))
    return ""; /* guards have steps of their own */
  const char *partial = c_text(w, of->row->partial_text[k], single);
  return *partial ? cr__format(&w->e, "\4 == 0 ? 0 : \4 * %s(%s)", single ? "(float)" : "(double)", partial) : "";
}
