/* Trees: memory, building, comparing, replacing. */
#include "symbols.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Memory */

typedef struct pool_block {
  struct pool_block *next;
  size_t used, size;
} pool_block;

enum { ALIGNMENT = 16, BLOCK = 1 << 16 };

void *pool_take(pool *p, size_t bytes) {
  size_t head = (sizeof(pool_block) + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
  bytes = (bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
  pool_block *b = p->block;
  if (!b || b->size - b->used < bytes) {
    size_t size = head + (bytes > BLOCK ? bytes : BLOCK);
    b = calloc(1, size);
    if (!b) longjmp(*p->out_of_memory, 1);
    *b = (pool_block){.next = p->block, .used = head, .size = size};
    p->block = b;
  }
  void *at = (char *)b + b->used;
  b->used += bytes;
  return at;
}

char *pool_text(pool *p, const char *format, ...) {
  va_list args;
  va_start(args, format);
  int n = vsnprintf(NULL, 0, format, args);
  va_end(args);
  char *text = pool_take(p, (size_t)(n < 0 ? 0 : n) + 1);
  va_start(args, format);
  if (n > 0) vsnprintf(text, (size_t)n + 1, format, args);
  va_end(args);
  return text;
}

void pool_free(pool *p) {
  for (pool_block *b = p->block, *next; b; b = next) {
    next = b->next;
    free(b);
  }
  p->block = NULL;
}

/* Building */

static cr_syntax *make(pool *p, cr_syntax_kind kind, const char *text) {
  cr_syntax *s = pool_take(p, sizeof *s);
  s->kind = kind;
  s->text = text;
  s->height = 1;
  return s;
}

static void adopt(cr_syntax *parent, cr_syntax *child, cr_syntax **last) {
  if (*last) (*last)->next = child;
  else parent->first = child;
  *last = child;
  if (child->height >= parent->height) parent->height = child->height + 1;
}

/* A node with the same children, of which only the link to siblings is its own. */
static cr_syntax *shell(pool *p, tree s) {
  cr_syntax *c = pool_take(p, sizeof *c);
  *c = *s;
  c->next = NULL;
  return c;
}

tree tree_number(pool *p, double x) {
  cr_syntax *s = make(p, CR_NUMBER, NULL);
  s->number = x;
  s->integral = x == floor(x) && fabs(x) < 1e15;
  return s;
}

tree tree_name(pool *p, const char *name) { return make(p, CR_NAME, name); }

tree tree_binary(pool *p, const char *op, tree a, tree b) {
  cr_syntax *s = make(p, CR_BINARY, op), *last = NULL;
  adopt(s, shell(p, a), &last);
  adopt(s, shell(p, b), &last);
  return s;
}

tree tree_negative(pool *p, tree a) {
  if (a->kind == CR_NUMBER) return tree_number(p, -a->number);
  cr_syntax *s = make(p, CR_UNARY, "-"), *last = NULL;
  adopt(s, shell(p, a), &last);
  return s;
}

tree tree_call(pool *p, const char *name, tree argument) {
  cr_syntax *s = make(p, CR_CALL, name), *last = NULL;
  adopt(s, shell(p, argument), &last);
  return s;
}

tree tree_call_with(pool *p, const char *name, tree argument, const char *keyword, tree value) {
  cr_syntax *s = make(p, CR_CALL, name), *key = make(p, CR_KEYWORD, keyword), *last = NULL, *inner = NULL;
  adopt(key, shell(p, value), &inner);
  adopt(s, shell(p, argument), &last);
  adopt(s, key, &last);
  return s;
}

tree tree_transpose(pool *p, tree a) {
  if (a->kind == CR_MEMBER && !strcmp(a->text, "T")) return shell(p, a->first);
  cr_syntax *s = make(p, CR_MEMBER, "T"), *last = NULL;
  adopt(s, shell(p, a), &last);
  return s;
}

static cr_syntax *copy_with_texts(pool *p, tree s) {
  cr_syntax *c = pool_take(p, sizeof *c), *last = NULL;
  *c = *s;
  if (s->text) c->text = pool_text(p, "%s", s->text);
  c->first = c->next = NULL;
  for (tree k = s->first; k; k = k->next) adopt(c, copy_with_texts(p, k), &last);
  return c;
}

tree tree_parse(pool *p, cr_tape *t, const char *text) {
  cr_syntax_error error;
  cr_mark mark = cr_mark_here(t);
  tree s = cr_parse(t, text, strlen(text), &error);
  if (s && s->kind == CR_BLOCK && s->first && !s->first->next) s = s->first;
  tree result = s && s->kind != CR_BLOCK ? copy_with_texts(p, s) : tree_name(p, pool_text(p, "%s", text));
  cr_reset(t, mark);
  return result;
}

/* Looking */

bool tree_same(tree a, tree b) {
  if (a == b) return true;
  if (a->kind != b->kind || a->number != b->number) return false;
  if ((a->text == NULL) != (b->text == NULL) || (a->text && strcmp(a->text, b->text))) return false;
  tree k = a->first, l = b->first;
  for (; k && l; k = k->next, l = l->next)
    if (!tree_same(k, l)) return false;
  return !k && !l;
}

int tree_size(tree s) {
  int n = 1;
  for (tree k = s->first; k && n < 1000000; k = k->next) n += tree_size(k);
  return n;
}

bool tree_is_number(tree s, double x) { return s->kind == CR_NUMBER && s->number == x; }

bool tree_mentions(tree s, const char *name) {
  if (s->kind == CR_NAME && !strcmp(s->text, name)) return true;
  for (tree k = s->first; k; k = k->next)
    if (tree_mentions(k, name)) return true;
  return false;
}

int tree_binds(tree s) {
  switch (s->kind) {
    case CR_CHOICE:
      return BIND_CHOICE;
    case CR_UNARY:
      return s->text[0] == 'n' ? BIND_LOGIC : BIND_SIGN;
    case CR_NUMBER:
      return signbit(s->number) ? BIND_SIGN : BIND_ATOM;
    case CR_BINARY:
      if (strchr("&|", s->text[0])) return BIND_LOGIC;
      if (strchr("<>=!", s->text[0])) return BIND_COMPARE;
      if (strchr("+-", s->text[0])) return BIND_SUM;
      return s->text[0] == '^' ? BIND_POWER : BIND_PRODUCT;
    case CR_ASSIGN:
    case CR_DEFINE:
    case CR_BLOCK:
    case CR_PARAM:
    case CR_KEYWORD:
      return BIND_LOWEST;
    case CR_TEXT:
    case CR_NAME:
    case CR_LIST:
    case CR_TUPLE:
    case CR_CALL:
    case CR_INDEX:
    case CR_SLICE:
    case CR_NONE:
    case CR_ELLIPSIS:
    case CR_MEMBER:
      break;
  }
  return BIND_ATOM;
}

/* Replacing */

tree tree_replace(pool *p, tree s, int n, const tree_binding *with) {
  if (s->kind == CR_NAME)
    for (int i = 0; i < n; i++)
      if (with[i].value && !strcmp(with[i].name, s->text)) return shell(p, with[i].value);
  if (!s->first) return shell(p, s);
  cr_syntax *c = pool_take(p, sizeof *c), *last = NULL;
  *c = *s;
  c->first = c->next = NULL;
  for (tree k = s->first; k; k = k->next) adopt(c, shell(p, tree_replace(p, k, n, with)), &last);
  return c;
}

tree tree_products(pool *p, tree s) {
  if (!s->first) return shell(p, s);
  cr_syntax *c = pool_take(p, sizeof *c), *last = NULL;
  *c = *s;
  c->first = c->next = NULL;
  for (tree k = s->first; k; k = k->next) adopt(c, shell(p, tree_products(p, k)), &last);
  bool two = c->kind == CR_CALL && c->first && c->first->next && !c->first->next->next;
  if (two && !strcmp(c->text, "guarded_mul")) return tree_binary(p, "*", c->first, c->first->next);
  if (c->kind == CR_CALL && !strcmp(c->text, "copy")) return shell(p, c->first);
  return c;
}

/* Printing */

/* -(a*b) as -a*b, which is read alike, all over the tree. */
static cr_syntax *signs_inside(pool *p, tree s) {
  cr_syntax *c = pool_take(p, sizeof *c), *last = NULL;
  bool product = s->kind == CR_UNARY && s->text[0] == '-' && s->first->kind == CR_BINARY &&
                 strchr("*/", s->first->text[0]) && !s->first->text[1];
  if (product) {
    tree a = s->first->first, b = a->next;
    tree negative = tree_negative(p, a);
    return signs_inside(p, tree_binary(p, s->first->text, negative, b));
  }
  *c = *s;
  c->first = c->next = NULL;
  for (tree k = s->first; k; k = k->next) adopt(c, signs_inside(p, k), &last);
  return c;
}

void put_tree(cr_buffer *b, tree s) {
  jmp_buf out_of_memory;
  pool p = {.out_of_memory = &out_of_memory};
  if (setjmp(out_of_memory)) b->failed = 1;
  else cr_print_syntax(b, signs_inside(&p, s));
  pool_free(&p);
}
void put_tree_latex(cr_buffer *b, tree s) { cr_latex_syntax(b, s); }

static bool begins_number(const char *s) { return s[0] == '-' && ((s[1] >= '0' && s[1] <= '9') || s[1] == '.'); }

/* Brackets round a negative number after an operator. */
void put_figures(cr_buffer *b, tree s) {
  cr_buffer plain = {.tape = b->tape};
  put_tree(&plain, s);
  const char *text = plain.text ? plain.text : "";
  for (const char *c = text; *c;) {
    bool after = c > text && (strchr("*/^", c[-1]) || (c - text > 2 && c[-1] == ' ' && strchr("+-", c[-2])));
    size_t n = after && begins_number(c) ? 1 + strspn(c + 1, "0123456789.") : 0;
    if (n && c[n] == 'e') n += 2 + strspn(c + n + 2, "0123456789");
    cr_put(b, n ? "(%.*s)" : "%.*s", (int)(n ? n : 1), c);
    c += n ? n : 1;
  }
  if (plain.failed) b->failed = 1;
  cr_buffer_free(&plain);
}

static cr_syntax *signed_copy(pool *p, tree s) {
  cr_syntax *c = pool_take(p, sizeof *c), *last = NULL;
  *c = *s;
  c->first = c->next = NULL;
  if (s->kind == CR_NUMBER && signbit(s->number)) {
    *c = *tree_number(p, -s->number);
    cr_syntax *minus = make(p, CR_UNARY, "-");
    adopt(minus, c, &last);
    return minus;
  }
  for (tree k = s->first; k; k = k->next) adopt(c, signed_copy(p, k), &last);
  return c;
}

/* Side by side, numbers need a dot: 2 \, 3 would read as 23. */
void put_figures_latex(cr_buffer *b, tree s) {
  jmp_buf out_of_memory;
  pool p = {.out_of_memory = &out_of_memory};
  cr_buffer plain = {.tape = b->tape};
  if (setjmp(out_of_memory)) b->failed = 1;
  else {
    cr_latex_syntax(&plain, signed_copy(&p, s));
    for (const char *c = plain.text ? plain.text : ""; *c;) {
      bool gap = !strncmp(c, " \\, ", 4);
      cr_put(b, "%.*s", gap ? 7 : 1, gap ? " \\cdot " : c);
      c += gap ? 4 : 1;
    }
    if (plain.failed) b->failed = 1;
  }
  cr_buffer_free(&plain);
  pool_free(&p);
}

char *tree_text(pool *p, cr_tape *t, tree s) {
  cr_buffer b = {.tape = t};
  put_tree(&b, s);
  char *text = pool_text(p, "%s", b.text && !b.failed ? b.text : "");
  cr_buffer_free(&b);
  return text;
}
