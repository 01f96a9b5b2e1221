/* What is around emitted statements: comment, helpers, workspace, parameters, a test program. */
#include <ctype.h>
#include <stdio.h>

#include "emitting.h"

/* Names */

static bool is_word(char c) { return isalnum((unsigned char)c) || c == '_'; }

static bool has_digits_after(const char *name, const char *word) {
  size_t n = strlen(word);
  return !strncmp(name, word, n) && name[n] && !name[n + strspn(name + n, "0123456789")];
}

/* Keywords, names of the C library, and those that emitted code uses itself. */
static bool is_reserved(const cr_emitter *e, const char *name) {
  static const char words[] =
    " auto break case char const continue default do double else enum extern float for goto if inline int long register"
    " restrict return short signed sizeof static struct switch typedef union unsigned void volatile while bool true"
    " false main at i j k l m n o p ws acos acosh asin asinh atan atan2 atanh cbrt ceil copysign cos cosh erf erfc exp"
    " exp2 expm1 fabs fdim floor fma fmax fmin fmod frexp hypot ilogb isfinite isinf isnan j0 j1 jn y0 y1 yn gamma"
    " lgamma log log10 log1p log2 logb lrint lround modf nan nearbyint nextafter pow printf remainder rint round scalbn"
    " signbit signgam sin sinh sqrt tan tanh tgamma trunc INFINITY NAN residual next factor near settled iteration"
    " halving length size ";
  const char *found = words;
  size_t n = strlen(name);
  while ((found = strstr(found, name)))
    if (found[-1] == ' ' && found[n] == ' ') return true;
    else found++;
  for (const cr_helper *h = e->t->table->helpers; h && h->name; h++)
    if (!strcmp(h->name, name)) return true;
  if (has_digits_after(name, "row") || has_digits_after(name, "body")) return true;
  if (name[0] == 'c' || name[0] == 'v') return name[1] && !name[1 + strspn(name + 1, "0123456789")];
  return !strcmp(name, e->name);
}

static bool is_taken(const cr_emitter *e, const char *name) {
  for (int k = 0; k < e->n_taken; k++)
    if (!strcmp(e->taken[k], name)) return true;
  return is_reserved(e, name);
}

const char *cr__identifier(cr_emitter *e, const char *name) {
  bool bare = isdigit((unsigned char)name[0]) || !name[0];
  char *text = (char *)(uintptr_t)cr__format(e, "%s%s____________", bare ? "x" : "", name);
  size_t n = strlen(text);
  if (n < 12) return "x";
  for (size_t k = 0; k < n; k++)
    if (!is_word(text[k])) text[k] = '_';
  text[n -= 12] = 0;
  for (int k = 2; is_taken(e, text); k++) snprintf(text + n, 12, "_%d", k);
  if (e->n_taken == e->taken_capacity) {
    int more = e->taken_capacity ? 2 * e->taken_capacity : 64;
    const char **taken = cr__alloc(e->t, (size_t)more * sizeof *taken);
    if (!taken) return text;
    if (e->n_taken) memcpy(taken, e->taken, (size_t)e->n_taken * sizeof *taken);
    e->taken = taken;
    e->taken_capacity = more;
  }
  return e->taken[e->n_taken++] = text;
}

/* Helpers: those named in the text, and those named in these */

typedef struct helpers {
  const cr_helper *list;
  unsigned char *used;
  int n, first[256], *next; /* by first letter; -1 ends */
} helpers;

static void use_helpers(const helpers *h, const char *text);

/* Functions count where they are called: other variables may have their names. */
static bool is_function(const cr_helper *h) {
  size_t n = strlen(h->name);
  for (const char *at = h->text; h->text[0] != '#' && (at = strstr(at, h->name)); at++)
    if (at[n] == '(' && at > h->text && !is_word(at[-1])) return true;
  return false;
}

static void use_word(const helpers *h, const char *word, size_t length) {
  for (int k = h->first[(unsigned char)*word]; k >= 0; k = h->next[k]) {
    if (strncmp(h->list[k].name, word, length) || h->list[k].name[length] || h->used[k]) continue;
    if (word[length] != '(' && is_function(&h->list[k])) continue;
    h->used[k] = 1;
    use_helpers(h, h->list[k].text);
  }
}

static void use_helpers(const helpers *h, const char *text) {
  for (const char *p = text; *p;) {
    size_t n = 0;
    if (p[0] == '/' && p[1] == '*') {
      const char *end = strstr(p, "*/");
      p = end ? end + 2 : p + 2;
      continue;
    }
    while (is_word(p[n])) n++;
    if (n && !isdigit((unsigned char)*p) && !(p > text && p[-1] == '>')) use_word(h, p, n);
    p += n ? n : 1;
  }
}

static bool find_helpers(cr_emitter *e, helpers *h, const char *body) {
  h->list = e->t->table->helpers;
  if (!h->list) return true;
  while (h->list[h->n].name) h->n++;
  h->used = cr__alloc(e->t, (size_t)h->n);
  h->next = cr__alloc(e->t, (size_t)h->n * sizeof *h->next);
  if (!h->used || !h->next) return false;
  memset(h->used, 0, (size_t)h->n);
  for (int k = 0; k < 256; k++) h->first[k] = -1;
  for (int k = 0; k < h->n; k++) {
    if (!h->list[k].text) continue;
    int *first = &h->first[(unsigned char)h->list[k].name[0]];
    h->next[k] = *first;
    *first = k;
  }
  use_helpers(h, body);
  if (e->parts.text) use_helpers(h, e->parts.text);
  if (e->bodies && e->bodies->code.text) use_helpers(h, e->bodies->code.text); /* compiled functions have none */
  return true;
}

void cr__put_helpers(cr_emitter *e, cr_buffer *b, const char *body) {
  helpers h = {0};
  if (!find_helpers(e, &h, body)) return;
  for (int k = 0; k < h.n; k++)
    if (h.used[k]) cr_put(b, "\n%s", h.list[k].text);
}

static bool mentions(const cr_emitter *e, const helpers *h, const char *body, const char *word) {
  const char *parts[] = {body, e->parts.text, e->bodies->code.text, e->bodies->types.text};
  for (int k = 0; k < 4; k++)
    if (parts[k] && strstr(parts[k], word)) return true;
  for (int k = 0; k < h->n; k++)
    if (h->used[k] && strstr(h->list[k].text, word)) return true;
  return false;
}

/* Parameters */

static void put_parameter(cr_buffer *b, bool *any, bool types, const char *constant, const cr_array *a, bool number,
                          const char *name) {
  if (*any) cr_put(b, ", ");
  *any = true;
  if (types && number) cr_put(b, "%s ", cr_emit_type((cr_dtype)a->dtype));
  else if (types) cr_put(b, "%s%s *restrict ", constant, cr_emit_type((cr_dtype)a->dtype));
  cr_put(b, "%s", name);
}

void cr__put_parameters(cr_emitter *e, cr_buffer *b, bool all, bool types) {
  bool any = false;
  for (int k = 0; k < e->n_in; k++) {
    const cr__item *x = &e->item[e->in[k].id];
    cr_array a = cr__array_of(e->t, e->in[k].id);
    if (all || x->used_in == e->part) put_parameter(b, &any, types, "const ", &a, a.count == 1, x->name);
  }
  for (int k = all && e->returns; k < e->n_out; k++)
    if (all || e->out[k].used_in == e->part) put_parameter(b, &any, types, "", &e->out[k].shape, false, e->out[k].name);
  if (all ? e->n_members > 0 : e->uses_workspace) {
    cr_put(b, any ? ", " : "");
    if (types) cr_put(b, "%s_workspace *restrict ", e->name);
    cr_put(b, "ws");
    any = true;
  }
  if (!any && types) cr_put(b, "void");
}

/* Breaks the line that begins at the position where it is too long: after commas. */
void cr__wrap(cr_buffer *b, size_t from, int indent) {
  enum { WIDTH = 120 };
  size_t start = from, comma = 0;
  if (b->failed) return;
  for (size_t k = from; k < b->length; k++) {
    if (b->text[k] == '\n') start = k + 1, comma = 0;
    if (k - start >= WIDTH && comma) {
      b->text[comma] = '\n';
      size_t rest = b->length - comma - 1;
      cr_put(b, "%*s", indent, "");
      if (b->failed) return;
      memmove(b->text + comma + 1 + indent, b->text + comma + 1, rest);
      memset(b->text + comma + 1, ' ', (size_t)indent);
      k = start = comma + 1, comma = 0;
    }
    if (b->text[k] == ',' && b->text[k + 1] == ' ') comma = k + 1;
  }
}

static void put_signature(cr_emitter *e, cr_buffer *b) {
  size_t from = b->length;
  cr_put(b, "%s %s(", e->returns ? cr_emit_type((cr_dtype)e->out[0].shape.dtype) : "void", e->name);
  int indent = (int)(b->length - from);
  cr__put_parameters(e, b, true, true);
  cr_put(b, ")");
  cr__wrap(b, from, indent);
}

/* The comment */

static void put_about(cr_buffer *b, const char *text) {
  for (const char *p = text; *p; p++) {
    bool mark = (p[0] == '*' && p[1] == '/') || (p[0] == '/' && p[1] == '*');
    if (*p == '\n') cr_put(b, p[1] ? "\n *   " : "");
    else cr_put(b, mark ? "%c " : "%c", *p);
  }
}

static void put_end(cr_buffer *b, const char *name, const cr_array *a, const char *meaning) {
  char shape[200];
  cr_put(b, " *   %-10s %s", name, cr_emit_type((cr_dtype)a->dtype));
  if (a->count != 1) cr_put(b, "[%lld]", (long long)a->count);
  if (a->count != 1) cr_put(b, ", shape %s", cr_shape_text(a, shape, sizeof shape));
  cr_put(b, "%s%s\n", *meaning ? ": " : "", meaning);
}

static size_t workspace_bytes(const cr_emitter *e) {
  size_t bytes = 0;
  for (int k = 0; k < e->n_members; k++) {
    bytes += cr__member_bytes(e, &e->member[k]);
  }
  return bytes;
}

static void put_comment(cr_emitter *e, cr_buffer *b, bool uses_pow) {
  const bool split = e->options->file_lines && (e->part || e->bodies->n);
  static const char *const derivative[] = {"", " and its gradient", " and its Jacobian", ", its gradient and its Hessian"};
  cr_put(b, "/* %s", e->options->about ? "" : e->name);
  if (e->options->about) put_about(b, e->options->about);
  cr_put(b, "%s\n *\n", derivative[e->options->what]);
  for (int k = 0; k < e->n_in; k++) {
    cr_array a = cr__array_of(e->t, e->in[k].id);
    put_end(b, e->item[e->in[k].id].name, &a, "");
  }
  for (int k = 0; k < e->n_out; k++)
    put_end(b, k == 0 && e->returns ? "returns" : e->out[k].name, &e->out[k].shape, e->out[k].meaning);
  if (e->n_members)
    cr_put(b, " *   %-10s %s_workspace, %llu bytes: whatever it holds; one for each thread\n", "ws", e->name,
           (unsigned long long)workspace_bytes(e));
  cr_put(b, " *\n * Arrays are row-major and do not overlap. Compile with\n"
         " *   cc -std=c11 -O2 -ffp-contract=off%s -c %s.c%s%s%s\n"
         " * for the bits that chainrule " CR_VERSION ", which wrote this, computes itself%s; link with -lm. */\n",
         uses_pow ? " -fno-builtin-pow" : "", e->name, split ? " " : "", split ? e->name : "", split ? "_*.c" : "",
         e->near ? ",\n * but for products of matrices, where it rounds a product and its sum once" : "");
}

/* The program */

static void put_point(cr_emitter *e, cr_buffer *b) {
  cr_put(b, "\n#include <stdio.h>\n\n/* Not constant, so that compilers compute nothing beforehand. */\nstruct {\n");
  for (int k = 0; k < e->n_in; k++) {
    cr_array a = cr__array_of(e->t, e->in[k].id);
    cr_put(b, "  %s %s", cr_emit_type((cr_dtype)a.dtype), e->item[e->in[k].id].name);
    cr_put(b, a.count != 1 ? "[%lld];\n" : ";\n", (long long)(a.count ? a.count : 1));
  }
  cr_put(b, "} at = {\n");
  for (int k = 0; k < e->n_in; k++) {
    cr_array a = cr__array_of(e->t, e->in[k].id);
    cr_put(b, "  .%s = %s", e->item[e->in[k].id].name, a.count != 1 ? "{" : "");
    for (int64_t i = 0; i < a.count; i++) {
      cr_put(b, "%s", i % 8 ? ", " : i ? ",\n    " : "");
      cr__put_element(e, b, &a, i);
    }
    cr_put(b, "%s%s,\n", a.count ? "" : "0", a.count != 1 ? "}" : "");
  }
  cr_put(b, "};\n");
}

static void put_printing(cr_buffer *b, const char *name, const cr_array *a, bool number) {
  const char *conversion = a->dtype < CR_FLOAT32 ? "%lld" : a->dtype == CR_FLOAT32 ? "%.9g" : "%.17g";
  const char *cast = a->dtype < CR_FLOAT32 ? "(long long)" : a->dtype == CR_FLOAT32 ? "(double)" : "";
  if (number) cr_put(b, "  printf(\"%s = %s\\n\", %s%s);\n", name, conversion, cast, name);
  else
    cr_put(b, "  printf(\"%s =\");\n  for (int i = 0; i < %lld; i++) printf(\" %s\", %s%s[i]);\n  printf(\"\\n\");\n", name,
           (long long)a->count, conversion, cast, name);
}

static void put_main(cr_emitter *e, cr_buffer *b) {
  if (e->n_in) put_point(e, b);
  else cr_put(b, "\n#include <stdio.h>\n");
  cr_put(b, "\nint main(void) {\n");
  for (int k = e->returns; k < e->n_out; k++) {
    const cr_array *a = &e->out[k].shape;
    if (a->count == 1) cr_put(b, "  %s %s;\n", cr_emit_type((cr_dtype)a->dtype), e->out[k].name);
    else
      cr_put(b, "  static %s %s[%lld];\n", cr_emit_type((cr_dtype)a->dtype), e->out[k].name,
             (long long)(a->count ? a->count : 1));
  }
  if (e->n_members) cr_put(b, "  static %s_workspace ws;\n", e->name);
  if (e->returns) cr_put(b, "  %s %s = ", cr_emit_type((cr_dtype)e->out[0].shape.dtype), e->out[0].name);
  cr_put(b, "%s%s(", e->returns ? "" : "  ", e->name);
  bool any = false;
  for (int k = 0; k < e->n_in; k++, any = true) cr_put(b, "%sat.%s", any ? ", " : "", e->item[e->in[k].id].name);
  for (int k = e->returns; k < e->n_out; k++, any = true)
    cr_put(b, "%s%s%s", any ? ", " : "", e->out[k].shape.count == 1 ? "&" : "", e->out[k].name);
  cr_put(b, "%s);\n", e->n_members ? any ? ", &ws" : "&ws" : "");
  for (int k = 0; k < e->n_out; k++) put_printing(b, e->out[k].name, &e->out[k].shape, e->out[k].shape.count == 1);
  cr_put(b, "  return 0;\n}\n");
}

/* The file */

static void put_workspace(cr_emitter *e, cr_buffer *b) {
  if (!e->n_members) return;
  cr_put(b, "\ntypedef struct %s_workspace {\n", e->name);
  for (int k = 0; k < e->n_members; k++) {
    const cr__member *m = &e->member[k];
    if (m->body) {
      cr_put(b, "  %s_body%d_workspace body%d;\n", e->bodies->name, m->body, m->body);
      continue;
    }
    cr_put(b, "  %s ", cr_emit_type(m->dtype));
    if (m->name) cr_put(b, "%s", m->name);
    else cr_put(b, "row%d", k + 1);
    cr_put(b, m->count ? "[%lld];\n" : ";\n", (long long)m->count);
  }
  cr_put(b, "} %s_workspace;\n", e->name);
}

static void put_text(cr_buffer *b, const char *before, const cr_buffer *text) {
  if (text->length) cr_put(b, "%s%s", before, text->text);
}

/* What comes before the functions. */
static void put_head(cr_emitter *e, cr_buffer *b, const char *body) {
  helpers h = {0};
  if (!find_helpers(e, &h, body)) return;
  put_comment(e, b, mentions(e, &h, body, "pow("));
  if (e->options->file_lines) cr_put(b, "#ifndef CR_EMITTED_%s_H\n#define CR_EMITTED_%s_H\n\n", e->name, e->name);
  if (mentions(e, &h, body, "lgamma_r")) cr_put(b, "#define _DEFAULT_SOURCE 1 /* lgamma_r */\n");
  cr_put(b, "#include <math.h>\n");
  if (mentions(e, &h, body, "memcpy(")) cr_put(b, "#include <string.h>\n");
  if (mentions(e, &h, body, "bool ")) cr_put(b, "#include <stdbool.h>\n");
  if (mentions(e, &h, body, "size_t")) cr_put(b, "#include <stddef.h>\n");
  cr_put(b, "#include <stdint.h>\n");
  put_text(b, "", &e->bodies->types);
  put_workspace(e, b);
  for (int k = 0; k < h.n; k++)
    if (h.used[k]) cr_put(b, "\n%s", h.list[k].text);
  put_text(b, "\n", &e->pattern);
  put_text(b, "\n", &e->bodies->tables);
  put_text(b, "\n", &e->tables);
}

static void put_function(cr_emitter *e, cr_buffer *b, const char *body) {
  cr_put(b, "\n");
  if (e->number)
    cr_put(b, "/* The body of %s */\n%s", e->bodies->of[e->number - 1].op->name, e->options->file_lines ? "" : "static ");
  put_signature(e, b);
  cr_put(b, " {\n");
  for (int k = 0; k < e->n_in; k++)
    if (e->item[e->in[k].id].used_in < 0) cr_put(b, "  (void)%s; /* nothing depends on it */\n", e->item[e->in[k].id].name);
  for (int k = e->returns; k < e->n_out; k++)
    if (e->out[k].used_in < 0) cr_put(b, "  (void)%s; /* has no elements */\n", e->out[k].name);
  cr_put(b, "%s%s}\n", e->part && e->calls.text ? e->calls.text : "", body);
  if (e->options->main) put_main(e, b);
}

/* Its parts come with it; tables and the type of its workspace go before all functions, of which the header tells where
 * there is one. */
void cr__put_body(cr_emitter *e, cr_buffer *b, const char *body) {
  cr__bodies *all = e->bodies;
  put_workspace(e, &all->types);
  put_text(&all->tables, "", &e->tables);
  put_text(&all->prototypes, "", &e->prototypes);
  put_text(b, "", &e->parts);
  put_function(e, b, body);
  put_signature(e, &all->prototypes);
  cr_put(&all->prototypes, ";\n");
  all->of[e->number - 1].bytes = workspace_bytes(e);
  if (all->types.failed || all->tables.failed || all->prototypes.failed || b->failed) cr__out_of_memory(e->t);
}

/* Begins a file of that name; number 0: none. */
static void begin(cr_emitter *e, cr_buffer *b, int number, const char *suffix) {
  char name[300], digits[16] = "";
  if (number) snprintf(digits, sizeof digits, "_%d", number);
  snprintf(name, sizeof name, "%.200s%s%s", e->name, digits, suffix);
  if (e->options->file) e->options->file(e->options->user, name, b->length);
  if (*suffix == '.' && suffix[1] == 'c') cr_put(b, "#include \"%.200s.h\"\n", e->name);
}

/* The parts, as many to a file as its lines hold. A line "}" ends each. */
static void put_parts(cr_emitter *e, cr_buffer *b, const cr_buffer *parts, int *files) {
  int lines = 0, first = *files;
  for (const char *p = parts->length ? parts->text : ""; *p;) {
    const char *end = strstr(p, "\n}\n");
    int length = 1;
    end = end ? end + 3 : p + strlen(p);
    for (const char *c = p; c < end; c++) length += *c == '\n';
    if (*files == first || lines + length > e->options->file_lines) begin(e, b, ++*files, ".c"), lines = 1;
    cr_put(b, "%.*s", (int)(end - p), p);
    lines += length;
    p = end;
  }
}

void cr__put_file(cr_emitter *e, cr_buffer *b, const char *body) {
  int files = 0;
  if (!e->options->file_lines) {
    put_head(e, b, body);
    put_text(b, "", &e->bodies->code);
    put_text(b, "", &e->parts);
    put_function(e, b, body);
    return;
  }
  begin(e, b, 0, ".h");
  put_head(e, b, body);
  cr_put(b, "\n");
  put_signature(e, b);
  cr_put(b, ";\n");
  if (e->prototypes.length || e->bodies->n) cr_put(b, "\n/* Its parts */\n");
  put_text(b, "", &e->bodies->prototypes);
  put_text(b, "", &e->prototypes);
  cr_put(b, "\n#endif\n");
  put_parts(e, b, &e->bodies->code, &files);
  put_parts(e, b, &e->parts, &files);
  begin(e, b, 0, ".c");
  put_function(e, b, body);
}
