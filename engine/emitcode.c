/* Statements of emitted C: numbers, elements of strided arrays, loops over axes. */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "emitting.h"

static const char *const types[] = {
  [CR_BOOL] = "uint8_t", [CR_INT32] = "int32_t", [CR_INT64] = "int64_t", [CR_FLOAT32] = "float", [CR_FLOAT64] = "double"};
const char *cr_emit_type(cr_dtype dtype) { return types[dtype]; }

/* Texts */

static const char *vformat(cr_emitter *e, const char *format, va_list args) {
  va_list again;
  va_copy(again, args);
  int n = vsnprintf(NULL, 0, format, again);
  va_end(again);
  char *text = n < 0 ? NULL : cr__alloc(e->t, (size_t)n + 1);
  if (!text) return "";
  vsnprintf(text, (size_t)n + 1, format, args);
  return text;
}

const char *cr__format(cr_emitter *e, const char *format, ...) {
  va_list args;
  va_start(args, format);
  const char *text = vformat(e, format, args);
  va_end(args);
  return text;
}

const char *cr_emit_text(cr_emit_context *c, const char *format, ...) {
  va_list args;
  va_start(args, format);
  const char *text = vformat(c->emitter, format, args);
  va_end(args);
  return text;
}

static void put_line(cr_emitter *e, const char *text) {
  size_t from = e->code.length;
  cr_put(&e->code, "%*s%s\n", 2 * e->indent, "", text);
  if (e->wraps) cr__wrap(&e->code, from, 2 * e->indent + 4);
  e->wraps = false;
  e->lines++;
  e->statements++;
}

void cr__statement(cr_emitter *e, const char *format, ...) {
  va_list args;
  va_start(args, format);
  put_line(e, vformat(e, format, args));
  va_end(args);
}

void cr_emit_line(cr_emit_context *c, const char *format, ...) {
  va_list args;
  va_start(args, format);
  put_line(c->emitter, vformat(c->emitter, format, args));
  va_end(args);
}

/* Numbers */

const char *cr__literal(cr_emitter *e, double x, cr_dtype dtype) {
  char number[32];
  const char *sign = signbit(x) && !isnan(x) ? "-" : "", *close = *sign ? ")" : "", *open = *sign ? "(" : "";
  if (dtype < CR_FLOAT32) {
    if (x == -9223372036854775808.0) return "INT64_MIN";
    return cr__format(e, "%s%.0f%s", open, x, close);
  }
  if (isnan(x)) return dtype == CR_FLOAT32 ? "NAN" : "(double)NAN";
  if (isinf(x)) return cr__format(e, "%s%s%sINFINITY%s", open, sign, dtype == CR_FLOAT32 ? "" : "(double)", close);
  cr_number_text(fabs(x), dtype == CR_FLOAT32 ? 9 : 0, number);
  return cr__format(e, "%s%s%s%s%s%s", open, sign, number, strpbrk(number, ".e") ? "" : ".0", dtype == CR_FLOAT32 ? "f" : "",
                    close);
}

/* As array elements convert: what has no integer value is the least of integers. */
static const char *converted(cr_emitter *e, const char *value, cr_dtype from, cr_dtype to) {
  if (from == to) return value;
  if (to == CR_BOOL) return cr__format(e, "(%s) != 0", value);
  if (from >= CR_FLOAT32 && to == CR_INT64) return cr__format(e, "real_to_int64(%s)", value);
  if (to == CR_INT32 && from != CR_BOOL)
    return cr__format(e, "real_to_int32(%s%s)", from == CR_FLOAT64 ? "" : "(double)", value);
  return cr__format(e, "(%s)%s", types[to], value);
}

/* Views */

void cr__put_element(cr_emitter *e, cr_buffer *b, const cr_array *a, int64_t k) {
  if (a->dtype < CR_FLOAT32) {
    cr_put(b, "%lld", (long long)cr_array_get_int(a, k));
    return;
  }
  const char *number = cr__literal(e, cr_array_get(a, k), (cr_dtype)a->dtype);
  bool brackets = *number == '(' && number[1] == '-'; /* not needed here */
  cr_put(b, "%.*s", (int)strlen(number) - 2 * brackets, number + brackets);
}

static cr_emit_view view_of_root(cr_emitter *e, uint32_t id) {
  cr__item *x = &e->item[id];
  cr_emit_view v = {.array = cr__array_of(e->t, id), .base = x->name, .number = 1};
  x->used_in = e->part;
  if (x->kind == CR__LITERAL) v.number = CR__IS_LITERAL;
  if (x->kind == CR__LITERAL || (x->kind == CR__PARAMETER && v.array.count == 1)) return v;
  if (x->kind == CR__PARAMETER || x->kind == CR__TABLE) {
    v.number = 0;
    if (x->kind == CR__TABLE) v.base = cr__table(e, x, &v.array);
    x->member = true;
  } else if (v.array.count == 1) {
    if (x->part == e->part) return v;
    x->crosses = true;
    e->uses_workspace = true;
    v.base = cr__format(e, "ws->%s", x->name);
  } else if (x->output >= 0) {
    v.number = 0;
    v.base = e->out[x->output].name;
    v.offset = x->output_at;
    e->out[x->output].used_in = e->part;
  } else {
    v.number = 0;
    v.base = cr__format(e, "ws->%s", x->name);
    e->uses_workspace = true;
    if (!x->member) cr__add_member(e, x->name, (cr_dtype)v.array.dtype, v.array.count ? v.array.count : 1);
    x->member = true;
  }
  return v;
}

cr_emit_view cr__view_of(cr_emitter *e, uint32_t id) {
  const cr__item *x = &e->item[id];
  cr_emit_view v = view_of_root(e, x->root);
  v.array = cr__array_of(e->t, x->like);
  if (x->kind == CR__TABLE) cr_array_init(&v.array, (cr_dtype)v.array.dtype, v.array.rank, v.array.dim);
  if (v.number || v.array.count == 1) memset(v.array.stride, 0, sizeof v.array.stride);
  v.offset += x->offset;
  return v;
}

cr_emit_view cr_emit_axes(const cr_emit_view *v, unsigned mask) {
  cr_emit_view part = *v;
  part.array.rank = 0, part.array.count = 1;
  for (int i = 0; i < v->array.rank; i++) {
    if (!(mask >> i & 1)) continue;
    part.array.count *= part.array.dim[part.array.rank] = v->array.dim[i];
    part.array.stride[part.array.rank++] = v->array.stride[i];
  }
  return part;
}

const char *cr_emit_index(cr_emit_context *c, int rank, const int64_t *stride, int64_t offset, int level) {
  cr_emitter *e = c->emitter;
  const char *text = "";
  for (int i = 0; i < rank; i++) {
    const char *name = e->variable[level + i], *plus = *text ? " + " : "", *minus = *text ? " - " : "-";
    int64_t s = stride[i];
    if (!name || !s) continue;
    if (s == 1 || s == -1) text = cr__format(e, "%s%s%s", text, s > 0 ? plus : minus, name);
    else text = cr__format(e, "%s%s%lld * %s", text, s > 0 ? plus : minus, (long long)(s > 0 ? s : -s), name);
  }
  if (!*text) return cr__format(e, "%lld", (long long)offset);
  if (!offset) return text;
  if (*text == '-') return cr__format(e, "%lld - %s", (long long)offset, text + 1);
  return cr__format(e, "%s %c %lld", text, offset > 0 ? '+' : '-', (long long)(offset > 0 ? offset : -offset));
}

const char *cr_emit_at(cr_emit_context *c, const cr_emit_view *v, int level) {
  if (v->number) return v->base;
  return cr__format(c->emitter, "%s[%s]", v->base, cr_emit_index(c, v->array.rank, v->array.stride, v->offset, level));
}

/* Declares a result of one number where it cannot be declared with its value. */
static void declare(cr_emitter *e) {
  if (!e->undeclared) return;
  cr__statement(e, "%s %s;", types[e->undeclared_dtype], e->undeclared);
  e->undeclared = NULL;
}

const char *cr_emit_pointer(cr_emit_context *c, const cr_emit_view *v, int level) {
  if (v->number == CR__IS_LITERAL)
    return cr__format(c->emitter, "(const %s[]){%s}", types[v->array.dtype], v->base);
  if (v->number && v->base == c->emitter->undeclared) declare(c->emitter);
  if (v->number) return cr__format(c->emitter, "&%s", v->base);
  const char *index = cr_emit_index(c, v->array.rank, v->array.stride, v->offset, level);
  return strcmp(index, "0") ? cr__format(c->emitter, "&%s[%s]", v->base, index) : v->base;
}

const char *cr_emit_space(cr_emit_context *c, cr_dtype dtype, int64_t count) {
  cr_emitter *e = c->emitter;
  cr__add_member(e, NULL, dtype, count ? count : 1);
  e->uses_workspace = true;
  return cr__format(e, "ws->row%d", e->n_members);
}

/* Loops */

void cr_emit_near(cr_emit_context *c) { c->emitter->near = true; }
int cr_emit_exact(const cr_emit_context *c) { return c->emitter->exact; }
void cr_emit_fused(cr_emit_context *c) { c->emitter->fused = true; }
int cr_emit_level(const cr_emit_context *c) { return c->emitter->level; }

static void open_level(cr_emitter *e, const char *variable, const char *header) {
  if (e->level == CR__MOST_LEVELS) return;
  declare(e);
  size_t at = e->code.length;
  e->n_variables++;
  cr__statement(e, "%s", header);
  e->open[e->n_open].header = at;
  e->open[e->n_open].body = e->code.length;
  e->open[e->n_open++].statements = e->statements;
  e->statements = 0;
  e->variable[e->level++] = variable;
  e->indent++;
}

static void open_counted(cr_emitter *e, const char *from, const char *to, bool back) {
  static const char *const names[] = {"i", "j", "k", "l", "m", "n", "o", "p"};
  int k = e->n_variables;
  const char *name = k < 8 ? names[k] : cr__format(e, "i%d", k);
  open_level(e, name, back ? cr__format(e, "for (int %s = %s - 1; %s >= %s; %s--) {", name, to, name, from, name)
                           : cr__format(e, "for (int %s = %s; %s < %s; %s++) {", name, from, name, to, name));
}

void cr_emit_block(cr_emit_context *c, const char *header) { open_level(c->emitter, "", header); }

static void open_loop(cr_emitter *e, int64_t n) {
  if (n != 1) open_counted(e, "0", cr__format(e, "%lld", (long long)n), false);
  else if (e->level < CR__MOST_LEVELS) e->variable[e->level++] = NULL;
}

void cr_emit_count(cr_emit_context *c, const char *from, const char *to, int back) {
  open_counted(c->emitter, from, to, back);
}
const char *cr_emit_variable(const cr_emit_context *c, int level) {
  const char *name = c->emitter->variable[level];
  return name ? name : "0";
}

/* A loop over one statement needs no braces: they go again. */
static void close_loop(cr_emitter *e) {
  if (!e->variable[--e->level]) return;
  e->n_variables--;
  e->indent--;
  e->n_open--;
  if (e->statements == 1 && !e->code.failed) {
    size_t body = e->open[e->n_open].body;
    memmove(e->code.text + body - 3, e->code.text + body - 1, e->code.length - body + 2);
    e->code.length -= 2;
  } else {
    cr_put(&e->code, "%*s}\n", 2 * e->indent, "");
    e->lines++;
  }
  e->statements = e->open[e->n_open].statements;
}

void cr_emit_loops(cr_emit_context *c, int rank, const int64_t *dim) {
  for (int i = 0; i < rank; i++) open_loop(c->emitter, dim[i]);
}
void cr_emit_close(cr_emit_context *c, int rank) {
  for (int i = 0; i < rank; i++) close_loop(c->emitter);
}

void cr_emit_store(cr_emit_context *c, const cr_emit_view *v, int level, cr_dtype from, const char *value) {
  cr_emitter *e = c->emitter;
  value = converted(e, value, from, (cr_dtype)v->array.dtype);
  if (v->number && v->base == e->undeclared) {
    e->undeclared = NULL;
    cr__statement(e, "const %s %s = %s;", types[v->array.dtype], v->base, value);
  } else {
    cr__statement(e, "%s = %s;", cr_emit_at(c, v, level), value);
  }
}

int cr__merge_axes(int rank, int64_t *dim, int n, cr_emit_view *const *v) {
  int to = 0;
  for (int i = 0; i < rank; i++) {
    if (dim[i] == 1) continue;
    bool even = to > 0;
    for (int k = 0; k < n && even; k++)
      even = v[k]->number || v[k]->array.stride[to - 1] == v[k]->array.stride[i] * dim[i];
    if (even) dim[to - 1] *= dim[i];
    else dim[to++] = dim[i];
    for (int k = 0; k < n; k++) v[k]->array.stride[to - 1] = v[k]->array.stride[i];
  }
  for (int k = 0; k < n; k++) {
    v[k]->array.rank = (uint8_t)to;
    memcpy(v[k]->array.dim, dim, (size_t)to * sizeof *dim);
  }
  return to;
}

/* $0, $1, ... in the template. */
static const char *filled(cr_emitter *e, const char *template, const char *const *operand) {
  const char *text = "";
  for (const char *p = template; *p;) {
    int n = (int)strcspn(p, "$");
    const char *number = p[n] ? operand[p[n + 1] - '0'] : "";
    text = cr__format(e, "%s%.*s%s", text, n, p, number);
    p += n + (p[n] ? 2 : 0);
  }
  return text;
}

cr_emit_view cr_emit_dense(cr_emit_context *c, const cr_emit_view *v) {
  if (v->array.count == 1 || (!v->number && v->array.contiguous)) return *v;
  cr_emit_view copy = {.base = cr_emit_space(c, (cr_dtype)v->array.dtype, v->array.count)};
  cr_array_init(&copy.array, (cr_dtype)v->array.dtype, v->array.rank, v->array.dim);
  cr_emit_map(c, &copy, 1, v, "$0");
  return copy;
}

enum { MOST_OPERANDS = 8 };

void cr_emit_map(cr_emit_context *c, const cr_emit_view *to, int n, const cr_emit_view *from, const char *value) {
  cr_emitter *e = c->emitter;
  cr_emit_view copy[MOST_OPERANDS + 1] = {*to}, *v[MOST_OPERANDS + 1] = {copy};
  const char *operand[MOST_OPERANDS] = {0};
  int64_t dim[CR_MAX_RANK];
  int level = e->level, rank = to->array.rank;
  for (int i = 0; i < rank; i++) dim[i] = to->array.dim[i];
  for (int k = 0; k < n; k++) copy[k + 1] = from[k];
  for (int k = 0; k <= n; k++) v[k] = &copy[k];
  rank = cr__merge_axes(rank, dim, n + 1, v);
  cr_emit_loops(c, rank, dim);
  for (int k = 0; k < n; k++) operand[k] = cr_emit_at(c, v[k + 1], level);
  cr_emit_store(c, v[0], level, (cr_dtype)(n ? from[n - 1] : *to).array.dtype, filled(e, value, operand));
  cr_emit_close(c, rank);
}

void cr_emit_value(cr_emit_context *c, const char *value) {
  if (!c->emitter->in_block) {
    cr_emit_map(c, &c->out, c->n, c->in, value);
    return;
  }
  const char *operand[MOST_OPERANDS] = {0};
  for (int k = 0; k < c->n; k++) operand[k] = c->in[k].base;
  c->emitter->expression = converted(c->emitter, filled(c->emitter, value, operand), (cr_dtype)c->in[c->n - 1].array.dtype,
                                     (cr_dtype)c->out.array.dtype);
}

/* Rows */

static bool is_word(char c) { return isalnum((unsigned char)c) || c == '_'; }

static const char *c_name(const cr_emitter *e, const char *word, size_t n, bool integer) {
  static const struct {
    const char *name, *c;
  } words[] = {{"inf", "(double)INFINITY"}, {"nan", "(double)NAN"}, {"abs", "fabs"}};
  for (size_t k = 0; k < sizeof words / sizeof *words; k++)
    if (strlen(words[k].name) == n && !strncmp(word, words[k].name, n)) return words[k].c;
  for (const cr_helper *h = e->t->table->helpers; h && h->name; h++)
    if (h->real && strlen(h->name) == n && !strncmp(word, h->name, n)) return integer ? h->integer : h->real;
  return NULL;
}

/* Comparisons and at most one operation, without calls and fractions: in float the same as in double, rounded. */
static bool is_plain(const char *text) {
  int operations = 0;
  for (const char *p = text; *p; p++) {
    operations += strchr("+-*/", *p) != NULL;
    if (strchr("(.%", *p) || (isalpha((unsigned char)*p) && *p != 'a' && *p != 'b') || (is_word(*p) && is_word(p[1])))
      return false;
  }
  return operations <= 1;
}

static const char *substituted(cr_emitter *e, const char *text, const char *a, const char *b, bool integer) {
  const char *out = "";
  for (const char *p = text; *p;) {
    size_t n = 0;
    if (integer && !strncmp(p, "a != a", 6)) { /* compilers warn, rightly */
      out = cr__format(e, "%s0", out);
      p += 6;
      continue;
    }
    if (isalpha((unsigned char)*p)) {
      while (is_word(p[n])) n++;
      const char *name = n == 1 && *p == 'a' ? a : n == 1 && *p == 'b' ? b : c_name(e, p, n, integer);
      out = name ? cr__format(e, "%s%s", out, name) : cr__format(e, "%s%.*s", out, (int)n, p);
    } else {
      while (p[n] && (is_word(p[n]) || !n || p[n] == '.') && !(n && !isdigit((unsigned char)*p))) n++;
      out = cr__format(e, "%s%.*s", out, (int)n, p);
    }
    p += n;
  }
  return out;
}

static bool is_call(const char *text) {
  int depth = 0;
  while (is_word(*text)) text++;
  if (*text != '(') return false;
  for (; *text; text++) {
    depth += (*text == '(') - (*text == ')');
    if (!depth) return !text[1];
  }
  return false;
}

/* What is left of a row's text when the first operand is known not to be 0: a guarded product is a product then. */
static const char *unguarded(const char *text, const cr_emit_view *a) {
  static const char guard[] = "a == 0 ? 0 : ";
  bool nonzero = a->number == CR__IS_LITERAL && strtod(a->base + (*a->base == '('), NULL) != 0;
  return nonzero && !strncmp(text, guard, sizeof guard - 1) ? text + sizeof guard - 1 : text;
}

const char *cr__row_expression(cr_emit_context *c, const char *a, const char *b) {
  cr_emitter *e = c->emitter;
  const cr_row *row = c->op->row;
  cr_dtype in = (cr_dtype)c->in[0].array.dtype, out = (cr_dtype)c->out.array.dtype;
  const char *value = unguarded(row->value_text, &c->in[0]);
  bool widens = in == CR_FLOAT32 && !is_plain(value);
  if (widens) a = cr__format(e, "(double)%s", a), b = cr__format(e, "(double)%s", b);
  const char *text = substituted(e, value, a, b, in < CR_FLOAT32);
  if (out == CR_BOOL || out == CR_FLOAT64 || (out == CR_FLOAT32 && !widens)) return text;
  return cr__format(e, is_call(text) ? "(%s)%s" : "(%s)(%s)", types[out], text);
}
