/* Statements: definitions, assignments, and expressions, to a tree. */
#include "parsing.h"

static bool is_target(const cr_syntax *s) {
  return s->kind == CR_NAME && strcmp(s->text, "None") && strcmp(s->text, "True") && strcmp(s->text, "False");
}

/* Are these the parameters of a definition: names, some with a default, each once? */
static bool are_parameters(cr__parser *p, const cr_syntax *first) {
  for (const cr_syntax *s = first; s; s = s->next) {
    if (!is_target(s) && s->kind != CR_KEYWORD)
      return cr__parse_fail(p, s->at, CR_BAD_SYNTAX, "expected the name of a parameter"), false;
    for (const cr_syntax *k = first; k != s; k = k->next)
      if (!strcmp(k->text, s->text))
        return cr__parse_fail(p, s->at, CR_BAD_SYNTAX, "parameter '%s' appears twice", s->text), false;
  }
  return true;
}

static cr_syntax *statement(cr__parser *p);

/* { statements } of a definition: names, which are its own, and last its value. */
static cr_syntax *body_of(cr__parser *p) {
  cr_syntax *s = cr__make_syntax(p, CR_BLOCK, p->x.at), **tail = s ? &s->first : NULL, *last = NULL;
  if (p->in_body) return cr__parse_fail(p, p->x.at, CR_BAD_SYNTAX, "a function is defined within another");
  p->in_body = true;
  cr__next_token(p);
  while (s && !cr__is_mark(p, "}")) {
    if (p->x.kind == CR__LINE) {
      cr__next_token(p);
      continue;
    }
    if (p->x.kind == CR__END) return cr__expected(p, "'}'");
    last = statement(p);
    if (!last) return NULL;
    if (last->kind == CR_DEFINE) return cr__parse_fail(p, last->at, CR_BAD_SYNTAX, "a function is defined within another");
    tail = cr__append_syntax(tail, last);
  }
  if (s && (!last || last->kind == CR_ASSIGN)) return cr__expected(p, "a value before '}'");
  cr__next_token(p);
  p->in_body = false;
  return s ? cr__seal_syntax(p, s) : NULL;
}

static cr_syntax *assignment(cr__parser *p, cr_syntax *target) {
  bool defines = target->kind == CR_CALL && !strchr(target->text, '.') &&
                 !strncmp(p->x.source + target->at, target->text, strlen(target->text));
  bool tuple = target->kind == CR_TUPLE && target->first;
  for (const cr_syntax *s = target->first; s && tuple; s = s->next) tuple = is_target(s);
  if (!defines && !tuple && !is_target(target))
    return cr__parse_fail(p, p->x.at, CR_BAD_SYNTAX, "expected a name, (a, b) or f(x) before '=' (equality is ==)");
  if (defines && !are_parameters(p, target->first)) return NULL;
  cr_syntax *s = cr__make_syntax(p, defines ? CR_DEFINE : CR_ASSIGN, target->at), **tail = s ? &s->first : NULL;
  if (!s) return NULL;
  if (defines) {
    s->text = target->text;
    s->first = target->first;
    while (*tail) tail = &(*tail)->next;
  } else {
    tail = cr__append_syntax(tail, target);
  }
  cr__next_token(p);
  cr_syntax *value = defines && cr__is_mark(p, "{") ? body_of(p) : cr__parse_expression(p, CR__LOWEST);
  if (!value) return NULL;
  cr__append_syntax(tail, value);
  return cr__seal_syntax(p, s);
}

/* a, b without brackets, as in values, indices = sort(x). */
static cr_syntax *open_tuple(cr__parser *p, cr_syntax *first) {
  cr_syntax *s = cr__make_syntax(p, CR_TUPLE, first->at);
  if (!s) return NULL;
  cr_syntax **tail = cr__append_syntax(&s->first, first);
  while (cr__is_mark(p, ",")) {
    cr__next_token(p);
    if (p->x.kind == CR__END || p->x.kind == CR__LINE || cr__is_mark(p, "=")) break;
    cr_syntax *item = cr__parse_expression(p, CR__LOWEST);
    if (!item) return NULL;
    tail = cr__append_syntax(tail, item);
  }
  return cr__seal_syntax(p, s);
}

static cr_syntax *statement(cr__parser *p) {
  cr_syntax *s = cr__parse_expression(p, CR__LOWEST);
  if (s && cr__is_mark(p, ",")) s = open_tuple(p, s);
  if (s && cr__is_mark(p, "=")) s = assignment(p, s);
  if (!s || p->x.kind == CR__END || p->x.kind == CR__LINE || (p->in_body && cr__is_mark(p, "}"))) return s;
  if (p->x.kind == CR__WORD && p->end == p->x.at) return cr__expected(p, "an operator, as in 3*x");
  return cr__expected(p, "an operator or the end of the statement");
}

cr_syntax *cr__parse_block(cr__parser *p) {
  cr_syntax *s = cr__make_syntax(p, CR_BLOCK, 0), **tail = s ? &s->first : NULL;
  while (s && p->x.kind != CR__END) {
    if (p->x.kind == CR__LINE) {
      cr__next_token(p);
      continue;
    }
    cr_syntax *k = statement(p);
    if (!k) return NULL;
    tail = cr__append_syntax(tail, k);
  }
  return s ? cr__seal_syntax(p, s) : NULL;
}
