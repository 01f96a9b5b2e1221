/* Tokens to a tree: precedence climbing, so that a pair of small frames per level of nesting is all the stack needed. */
#include <stdarg.h>
#include <stdio.h>

#include "parsing.h"

static const cr__operator operators[] = {
  {"||", "logical_or", "%a \\lor %b", CR__ORS},
  {"&&", "logical_and", "%a \\land %b", CR__ANDS},
  {"<", "lt", "%a < %b", CR__COMPARES},
  {"<=", "le", "%a \\le %b", CR__COMPARES},
  {">", "gt", "%a > %b", CR__COMPARES},
  {">=", "ge", "%a \\ge %b", CR__COMPARES},
  {"==", "eq", "%a = %b", CR__COMPARES},
  {"!=", "ne", "%a \\ne %b", CR__COMPARES},
  {"+", "add", "%a + %b", CR__SUMS},
  {"-", "sub", "%a - %b", CR__SUMS},
  {"*", "mul", "%a \\, %b", CR__PRODUCTS},
  {"/", "div", "\\frac{%a}{%b}", CR__PRODUCTS},
  {"//", "floor_divide", "\\left\\lfloor \\frac{%a}{%b} \\right\\rfloor", CR__PRODUCTS},
  {"%", "remainder", "%a \\bmod %b", CR__PRODUCTS},
  {"@", "matmul", "%a \\, %b", CR__PRODUCTS},
  {"^", "pow", "%a^{%b}", CR__POWERS},
};

const cr__operator *cr__operator_of(const char *text) {
  for (size_t i = 0; i < sizeof operators / sizeof *operators; i++)
    if (operators[i].text[0] == text[0] && !strcmp(operators[i].text, text)) return &operators[i];
  return NULL;
}

int cr__binds(const cr_syntax *s) {
  switch ((int)s->kind) {
    case CR_BINARY: return cr__operator_of(s->text)->binds;
    case CR_UNARY: return s->text[0] == 'n' ? CR__NOTS : CR__SIGNS;
    case CR_NUMBER: return signbit(s->number) ? CR__SIGNS : CR__ATOMS;
    case CR_CHOICE: return CR__CHOOSES;
    case CR_PARAM: case CR_ASSIGN: case CR_DEFINE: case CR_BLOCK: return CR__LOWEST;
    default: return CR__ATOMS;
  }
}

/* What binds looser than its surroundings goes in brackets; the left side of ^ also when it binds the same, the right
 * side of all others too, and a sign to the right of ^ needs none: 2^-x. */
int cr__left_least(const cr__operator *op) {
  return op->binds + (op->binds == CR__POWERS || op->binds == CR__COMPARES);
}
int cr__right_least(const cr__operator *op) { return op->binds == CR__POWERS ? CR__SIGNS : op->binds + 1; }

/* Errors */

static void set_place(cr_syntax_error *e, const char *source, uint32_t at) {
  e->at = at;
  e->line = e->column = 1;
  for (uint32_t i = 0; i < at; i++) {
    e->column += ((unsigned char)source[i] & 0xC0) != 0x80;
    if (source[i] == '\n') {
      e->line++;
      e->column = 1;
    }
  }
}

cr_syntax *cr__parse_fail(cr__parser *p, uint32_t at, cr_status status, const char *format, ...) {
  if (p->error->status != CR_OK) return NULL;
  p->error->status = status;
  set_place(p->error, p->x.source, at);
  va_list args;
  va_start(args, format);
  vsnprintf(p->error->message, sizeof p->error->message, format, args);
  va_end(args);
  return NULL;
}

cr_syntax *cr__expected(cr__parser *p, const char *what) {
  const cr__lexer *x = &p->x;
  uint32_t length = x->next - x->at < 40 ? x->next - x->at : 40;
  while (length < x->next - x->at && ((unsigned char)x->source[x->at + length] & 0xC0) == 0x80) length--;
  if (x->kind == CR__END) return cr__parse_fail(p, x->at, CR_BAD_SYNTAX, "expected %s, found the end", what);
  if (x->kind == CR__LINE && x->source[x->at] == '\n')
    return cr__parse_fail(p, x->at, CR_BAD_SYNTAX, "expected %s, found the end of the line", what);
  return cr__parse_fail(p, x->at, CR_BAD_SYNTAX, "expected %s, found '%.*s'", what, (int)length, x->source + x->at);
}

static cr_syntax *too_deep(cr__parser *p, uint32_t at) {
  return cr__parse_fail(p, at, CR_OVER_LIMIT, "nested more than %d levels deep", CR_MAX_DEPTH);
}

static void *take(cr__parser *p, size_t bytes) {
  void *memory = cr__take(p->tape, p->arena, bytes);
  if (!memory) cr__parse_fail(p, p->x.at, p->tape->over_limit ? CR_OVER_LIMIT : CR_NO_MEMORY, "out of memory");
  return memory;
}

/* Tokens */

void cr__next_token(cr__parser *p) {
  char message[128] = "";
  p->end = p->x.next;
  if (p->error->status == CR_OK && cr__lex(&p->x, message, sizeof message)) return;
  cr__parse_fail(p, p->x.at, CR_BAD_SYNTAX, "%s", message);
  p->x.kind = CR__END;
}

bool cr__is_mark(const cr__parser *p, const char *mark) { return p->x.kind == CR__MARK && !strcmp(p->x.mark, mark); }

static bool expect(cr__parser *p, const char *mark, const char *what) {
  if (!cr__is_mark(p, mark)) return cr__expected(p, what), false;
  cr__next_token(p);
  return true;
}

static const char *token_text(cr__parser *p) {
  char *text = take(p, p->x.next - p->x.at + 1);
  if (!text) return NULL;
  memcpy(text, p->x.source + p->x.at, p->x.next - p->x.at);
  text[p->x.next - p->x.at] = 0;
  return text;
}

/* Without quotes; \n, \t and escaped quotes and backslashes are what they say. */
static const char *quoted_text(cr__parser *p) {
  const char *s = p->x.source + p->x.at + 1, *end = p->x.source + p->x.next - 1;
  char *text = take(p, (size_t)(end - s) + 1), *to = text;
  if (!text) return NULL;
  for (; s < end; s++) {
    if (*s == '\\' && s + 1 < end && strchr("nt\\'\"", s[1])) *to++ = *++s == 'n' ? '\n' : *s == 't' ? '\t' : *s;
    else *to++ = *s;
  }
  *to = 0;
  return text;
}

/* Nodes */

cr_syntax *cr__make_syntax(cr__parser *p, cr_syntax_kind kind, uint32_t at) {
  cr_syntax *s = take(p, sizeof *s);
  if (s) *s = (cr_syntax){.kind = kind, .at = at, .height = 1};
  return s;
}

cr_syntax **cr__append_syntax(cr_syntax **tail, cr_syntax *child) {
  *tail = child;
  return &child->next;
}

/* Closes a node whose children are complete. Chains of binary operators count as one level: see cr__chain. */
cr_syntax *cr__seal_syntax(cr__parser *p, cr_syntax *s) {
  s->length = p->end - s->at;
  for (const cr_syntax *c = s->first; c; c = c->next) {
    uint32_t height = c->height + !(c == s->first && s->kind == CR_BINARY && c->kind == CR_BINARY);
    if (height > s->height) s->height = height;
  }
  return s->height > CR_MAX_DEPTH ? too_deep(p, s->at) : s;
}

static cr_syntax *leaf(cr__parser *p, cr_syntax_kind kind) {
  cr_syntax *s = cr__make_syntax(p, kind, p->x.at);
  if (!s) return NULL;
  s->number = kind == CR_NUMBER ? p->x.number : 0;
  s->integral = kind == CR_NUMBER && p->x.integral;
  if (kind == CR_NAME) s->text = token_text(p);
  if (kind == CR_TEXT) s->text = quoted_text(p);
  cr__next_token(p);
  return cr__seal_syntax(p, s);
}

static cr_syntax *unary(cr__parser *p, const char *text, int binds) {
  cr_syntax *s = cr__make_syntax(p, text[0] == 'p' ? CR_PARAM : CR_UNARY, p->x.at);
  if (!s) return NULL;
  s->text = s->kind == CR_UNARY ? text : NULL;
  cr__next_token(p);
  s->first = cr__parse_expression(p, binds);
  return s->first ? cr__seal_syntax(p, s) : NULL;
}

/* Items up to the closing mark, which is taken too. */
static cr_syntax *items(cr__parser *p, cr_syntax *s, cr_syntax **tail, const char *close) {
  while (!cr__is_mark(p, close)) {
    cr_syntax *item = cr__parse_expression(p, CR__LOWEST);
    if (!item) return NULL;
    tail = cr__append_syntax(tail, item);
    if (!cr__is_mark(p, ",")) break;
    cr__next_token(p);
  }
  return expect(p, close, *close == ')' ? "',' or ')'" : "',' or ']'") ? cr__seal_syntax(p, s) : NULL;
}

static cr_syntax *bracketed(cr__parser *p) {
  uint32_t at = p->x.at;
  cr__next_token(p);
  cr_syntax *first = cr__is_mark(p, ")") ? NULL : cr__parse_expression(p, CR__LOWEST);
  if (first && !cr__is_mark(p, ",")) return expect(p, ")", "',' or ')'") ? first : NULL;
  if (!first && !cr__is_mark(p, ")")) return NULL;
  cr_syntax *s = cr__make_syntax(p, CR_TUPLE, at);
  if (!s) return NULL;
  s->first = first;
  if (first) cr__next_token(p);
  return items(p, s, first ? &first->next : &s->first, ")");
}

static cr_syntax *list(cr__parser *p) {
  cr_syntax *s = cr__make_syntax(p, CR_LIST, p->x.at);
  if (!s) return NULL;
  cr__next_token(p);
  return items(p, s, &s->first, "]");
}

/* Calls, indices, members */

static bool is_module(const cr_syntax *s) {
  static const char *const modules[] = {"torch", "np", "numpy", "F", "nn", "functional", "linalg", "special", "fft", "op"};
  if (s->kind == CR_MEMBER && !is_module(s->first)) return false;
  if (s->kind != CR_NAME && s->kind != CR_MEMBER) return false;
  for (size_t i = 0; i < sizeof modules / sizeof *modules; i++)
    if (!strcmp(modules[i], s->text)) return true;
  return false;
}

static const char *dotted_text(cr__parser *p, const cr_syntax *s) {
  if (s->kind == CR_NAME) return s->text;
  const char *head = dotted_text(p, s->first);
  char *text = head ? take(p, strlen(head) + strlen(s->text) + 2) : NULL;
  if (text) sprintf(text, "%s.%s", head, s->text);
  return text;
}

/* In a signature: a bare * or /, or *name, is a name of that text. */
static cr_syntax *marker(cr__parser *p) {
  uint32_t at = p->x.at;
  const char *mark = p->x.mark;
  cr__next_token(p);
  bool named = *mark == '*' && p->x.kind == CR__WORD;
  cr_syntax *s = named ? leaf(p, CR_NAME) : cr__make_syntax(p, CR_NAME, at);
  if (!s || !named) return s ? (s->text = mark, cr__seal_syntax(p, s)) : NULL;
  char *text = s->text ? take(p, strlen(s->text) + 2) : NULL;
  if (!text) return NULL;
  sprintf(text, "*%s", s->text);
  s->text = text;
  return s;
}

static cr_syntax *argument(cr__parser *p, bool *keywords) {
  if (p->signature && (cr__is_mark(p, "*") || cr__is_mark(p, "/"))) return marker(p);
  cr_syntax *value = cr__parse_expression(p, CR__LOWEST);
  if (!value) return NULL;
  if (!cr__is_mark(p, "=")) {
    if (*keywords && !p->signature)
      return cr__parse_fail(p, value->at, CR_BAD_SYNTAX, "a positional argument cannot follow a keyword argument");
    return value;
  }
  if (value->kind != CR_NAME)
    return cr__parse_fail(p, p->x.at, CR_BAD_SYNTAX, "expected a name before '=' (equality is ==)");
  *keywords = true;
  cr_syntax *s = cr__make_syntax(p, CR_KEYWORD, value->at);
  if (!s) return NULL;
  s->text = value->text;
  cr__next_token(p);
  s->first = cr__parse_expression(p, CR__LOWEST);
  return s->first ? cr__seal_syntax(p, s) : NULL;
}

/* f(...), linalg.f(...), or the method call x.f(...), which is f(x, ...). */
static cr_syntax *call(cr__parser *p, cr_syntax *callee) {
  cr_syntax *s = cr__make_syntax(p, CR_CALL, callee->at), **tail = s ? &s->first : NULL;
  if (!s) return NULL;
  bool method = callee->kind == CR_MEMBER && !is_module(callee->first), keywords = false;
  s->text = method ? callee->text : dotted_text(p, callee);
  if (!s->text) return NULL;
  if (method) tail = cr__append_syntax(tail, callee->first);
  cr__next_token(p);
  while (!cr__is_mark(p, ")")) {
    cr_syntax *a = argument(p, &keywords);
    if (!a) return NULL;
    tail = cr__append_syntax(tail, a);
    if (!cr__is_mark(p, ",")) break;
    cr__next_token(p);
  }
  return expect(p, ")", "',' or ')'") ? cr__seal_syntax(p, s) : NULL;
}

/* One part of lo:hi:step. */
static cr_syntax *bound(cr__parser *p) {
  if (cr__is_mark(p, ":") || cr__is_mark(p, ",") || cr__is_mark(p, "]")) return cr__make_syntax(p, CR_NONE, p->x.at);
  return cr__parse_expression(p, CR__LOWEST);
}

static cr_syntax *subscript(cr__parser *p) {
  if (cr__is_mark(p, "...")) return leaf(p, CR_ELLIPSIS);
  uint32_t at = p->x.at;
  if (cr__is_mark(p, "]")) return cr__expected(p, "an index");
  cr_syntax *lo = bound(p);
  if (!lo || (!cr__is_mark(p, ":") && lo->kind != CR_NONE)) return lo;
  cr_syntax *s = cr__make_syntax(p, CR_SLICE, at);
  if (!s || !expect(p, ":", "an index")) return NULL;
  cr_syntax **tail = cr__append_syntax(&s->first, lo), *hi = bound(p);
  if (!hi) return NULL;
  tail = cr__append_syntax(tail, hi);
  if (cr__is_mark(p, ":")) cr__next_token(p);
  cr_syntax *step = bound(p);
  if (!step) return NULL;
  cr__append_syntax(tail, step);
  return cr__seal_syntax(p, s);
}

static cr_syntax *indexed(cr__parser *p, cr_syntax *base) {
  cr_syntax *s = cr__make_syntax(p, CR_INDEX, base->at);
  if (!s) return NULL;
  cr_syntax **tail = cr__append_syntax(&s->first, base);
  cr__next_token(p);
  do {
    cr_syntax *k = subscript(p);
    if (!k) return NULL;
    tail = cr__append_syntax(tail, k);
    if (!cr__is_mark(p, ",")) break;
    cr__next_token(p);
  } while (!cr__is_mark(p, "]"));
  return expect(p, "]", "',' or ']'") ? cr__seal_syntax(p, s) : NULL;
}

static cr_syntax *member(cr__parser *p, cr_syntax *base) {
  cr__next_token(p);
  if (p->x.kind != CR__WORD) return cr__expected(p, "a name after '.'");
  cr_syntax *s = cr__make_syntax(p, CR_MEMBER, base->at);
  if (!s) return NULL;
  s->first = base;
  s->text = token_text(p);
  cr__next_token(p);
  return s->text ? cr__seal_syntax(p, s) : NULL;
}

static cr_syntax *prefix(cr__parser *p, int least) {
  cr_syntax *s;
  if (cr__is_mark(p, "-")) return unary(p, "-", CR__SIGNS);
  if (cr__is_mark(p, "+")) return unary(p, "+", CR__SIGNS);
  if (cr__is_mark(p, "!")) return unary(p, "not", CR__SIGNS);
  if (cr__is_mark(p, "not") && least > CR__NOTS) return cr__expected(p, "a value (write '(not ...)')");
  if (cr__is_mark(p, "not")) return unary(p, "not", CR__NOTS);
  if (cr__is_mark(p, "param") && least > CR__LOWEST) return cr__expected(p, "a value (write '(param ...)')");
  if (cr__is_mark(p, "param")) return unary(p, "param", CR__CHOOSES);
  if (p->x.kind == CR__NUMERAL) s = leaf(p, CR_NUMBER);
  else if (p->x.kind == CR__QUOTED) s = leaf(p, CR_TEXT);
  else if (p->x.kind == CR__WORD) s = leaf(p, CR_NAME);
  else if (cr__is_mark(p, "(")) s = bracketed(p);
  else if (cr__is_mark(p, "[")) s = list(p);
  else return cr__expected(p, "a value");
  while (s) {
    if (cr__is_mark(p, "(") && (s->kind == CR_NAME || s->kind == CR_MEMBER)) s = call(p, s);
    else if (cr__is_mark(p, "[")) s = indexed(p, s);
    else if (cr__is_mark(p, ".")) s = member(p, s);
    else break;
  }
  return s;
}

static cr_syntax *choice(cr__parser *p, cr_syntax *condition) {
  cr_syntax *s = cr__make_syntax(p, CR_CHOICE, condition->at);
  if (!s) return NULL;
  cr__next_token(p);
  cr_syntax **tail = cr__append_syntax(&s->first, condition), *yes = cr__parse_expression(p, CR__CHOOSES);
  if (!yes || !expect(p, ":", "':' of the choice (c ? a : b)")) return NULL;
  tail = cr__append_syntax(tail, yes);
  cr_syntax *no = cr__parse_expression(p, CR__CHOOSES);
  if (!no) return NULL;
  cr__append_syntax(tail, no);
  return cr__seal_syntax(p, s);
}

static cr_syntax *binary(cr__parser *p, const cr__operator *op, cr_syntax *left) {
  cr_syntax *s = cr__make_syntax(p, CR_BINARY, left->at);
  if (!s) return NULL;
  s->text = op->text;
  cr__next_token(p);
  cr_syntax **tail = cr__append_syntax(&s->first, left);
  cr_syntax *right = cr__parse_expression(p, op->binds == CR__POWERS ? CR__POWERS : op->binds + 1);
  if (!right) return NULL;
  cr__append_syntax(tail, right);
  const cr__operator *again = p->x.kind == CR__MARK ? cr__operator_of(p->x.mark) : NULL;
  if (op->binds == CR__COMPARES && again && again->binds == CR__COMPARES)
    return cr__parse_fail(p, p->x.at, CR_BAD_SYNTAX, "comparisons do not chain: write a < b && b < c");
  return cr__seal_syntax(p, s);
}

/* An expression whose operators bind at least this tightly. */
cr_syntax *cr__parse_expression(cr__parser *p, int least) {
  if (++p->depth > CR_MAX_DEPTH) return too_deep(p, p->x.at);
  cr_syntax *s = prefix(p, least);
  while (s && p->x.kind == CR__MARK) {
    const cr__operator *op = cr__operator_of(p->x.mark);
    if (op && op->binds >= least) s = binary(p, op, s);
    else if (cr__is_mark(p, "?") && least <= CR__CHOOSES) s = choice(p, s);
    else break;
  }
  p->depth--;
  return s;
}

cr_syntax *cr__parse(cr_tape *t, cr_arena *arena, const char *source, size_t length, bool signature,
                     cr_syntax_error *error) {
  memset(error, 0, sizeof *error);
  cr__parser p = {.tape = t, .arena = arena, .signature = signature, .error = error};
  if (length > CR_MAX_SOURCE)
    return cr__parse_fail(&p, 0, CR_OVER_LIMIT, "a source has at most %d bytes, this one has %zu", CR_MAX_SOURCE, length);
  p.x = (cr__lexer){.source = source, .length = (uint32_t)length};
  cr__next_token(&p);
  cr_syntax *s = signature ? prefix(&p, CR__LOWEST) : cr__parse_block(&p);
  return error->status == CR_OK ? s : NULL;
}

cr_syntax *cr_parse(cr_tape *t, const char *source, size_t length, cr_syntax_error *error) {
  return cr__parse(t, &t->arena, source, length, false, error);
}
