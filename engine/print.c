/* Trees as infix text with the fewest brackets. */
#include "language.h"

static void print(cr_buffer *b, const cr_syntax *s, int least);

static void print_items(cr_buffer *b, const cr_syntax *s) {
  for (; s; s = s->next) {
    print(b, s, CR__LOWEST);
    if (s->next) cr_put(b, ", ");
  }
}

static void print_quoted(cr_buffer *b, const char *text) {
  cr_put(b, "'");
  for (; *text; text++) {
    if (*text == '\n') cr_put(b, "\\n");
    else if (*text == '\t') cr_put(b, "\\t");
    else if (*text == '\'' || *text == '\\') cr_put(b, "\\%c", *text);
    else cr__put_bytes(b, text, 1);
  }
  cr_put(b, "'");
}

/* a + b * c ^ d as "a + b*c^d". */
void cr__put_operator(cr_buffer *b, const cr__operator *op) {
  bool tight = !strcmp(op->text, "*") || !strcmp(op->text, "/") || !strcmp(op->text, "^");
  cr_put(b, tight ? "%s" : " %s ", op->text);
}

static bool needs_brackets(const cr_syntax **chain, uint32_t i, int least) {
  return cr__binds(chain[i]) < (i ? cr__left_least(cr__operator_of(chain[i - 1]->text)) : least);
}

static void print_chain(cr_buffer *b, const cr_syntax *s, int least) {
  cr__language *language = cr__language_of(b->tape);
  cr__spot spot = language ? cr__spot_of(&language->scratch) : (cr__spot){0};
  uint32_t n = 0;
  const cr_syntax **chain = language ? cr__chain(b->tape, &language->scratch, s, &n) : NULL;
  if (!chain) {
    b->failed = 1;
    return;
  }
  for (uint32_t i = 0; i < n; i++)
    if (needs_brackets(chain, i, least)) cr_put(b, "(");
  print(b, chain[n - 1]->first, cr__left_least(cr__operator_of(chain[n - 1]->text)));
  for (uint32_t i = n; i-- > 0;) {
    const cr__operator *op = cr__operator_of(chain[i]->text);
    cr__put_operator(b, op);
    print(b, chain[i]->first->next, cr__right_least(op));
    if (needs_brackets(chain, i, least)) cr_put(b, ")");
  }
  cr__back_to(&language->scratch, spot);
}

static void print_choice(cr_buffer *b, const cr_syntax *s) {
  print(b, s->first, CR__CHOOSES + 1);
  cr_put(b, " ? ");
  print(b, s->first->next, CR__CHOOSES);
  cr_put(b, " : ");
  print(b, s->first->next->next, CR__CHOOSES);
}

static void print_slice(cr_buffer *b, const cr_syntax *s) {
  const cr_syntax *lo = s->first, *hi = lo->next, *step = hi->next;
  print(b, lo, CR__CHOOSES + 1);
  cr_put(b, ":");
  print(b, hi, CR__CHOOSES + 1);
  if (step->kind == CR_NONE) return;
  cr_put(b, ":");
  print(b, step, CR__CHOOSES + 1);
}

static void print_definition(cr_buffer *b, const cr_syntax *s) {
  const cr_syntax *k = s->first;
  cr_put(b, "%s(", s->text);
  for (; k->next; k = k->next) {
    print(b, k, CR__LOWEST);
    if (k->next->next) cr_put(b, ", ");
  }
  cr_put(b, k->kind == CR_BLOCK ? ") = {\n" : ") = ");
  print(b, k, CR__LOWEST);
  if (k->kind == CR_BLOCK) cr_put(b, "\n}");
}

static void print_open(cr_buffer *b, const cr_syntax *s) {
  char number[32];
  const cr_syntax *first = s->first;
  switch (s->kind) {
    case CR_NUMBER:
      cr_put(b, "%s", cr_number_text(s->number, 0, number));
      if (!s->integral && isfinite(s->number) && !strpbrk(number, ".e")) cr_put(b, ".0");
      break;
    case CR_TEXT: print_quoted(b, s->text); break;
    case CR_NAME: cr_put(b, "%s", s->text); break;
    case CR_LIST: cr_put(b, "["), print_items(b, first), cr_put(b, "]"); break;
    case CR_TUPLE: cr_put(b, "("), print_items(b, first), cr_put(b, first && !first->next ? ",)" : ")"); break;
    case CR_CALL: cr_put(b, "%s(", s->text), print_items(b, first), cr_put(b, ")"); break;
    case CR_KEYWORD: cr_put(b, "%s=", s->text), print(b, first, CR__LOWEST); break;
    case CR_UNARY: cr_put(b, s->text[0] == 'n' ? "not " : "%s", s->text), print(b, first, cr__binds(s)); break;
    case CR_BINARY: break;
    case CR_CHOICE: print_choice(b, s); break;
    case CR_INDEX: print(b, first, CR__ATOMS), cr_put(b, "["), print_items(b, first->next), cr_put(b, "]"); break;
    case CR_SLICE: print_slice(b, s); break;
    case CR_NONE: break;
    case CR_ELLIPSIS: cr_put(b, "..."); break;
    case CR_MEMBER: print(b, first, CR__ATOMS + (first->kind == CR_NUMBER)), cr_put(b, ".%s", s->text); break;
    case CR_ASSIGN: print(b, first, CR__LOWEST), cr_put(b, " = "), print(b, first->next, CR__LOWEST); break;
    case CR_DEFINE: print_definition(b, s); break;
    case CR_PARAM: cr_put(b, "param "), print(b, first, CR__CHOOSES); break;
    case CR_BLOCK:
      for (; first; first = first->next) print(b, first, CR__LOWEST), cr_put(b, first->next ? "\n" : "");
      break;
  }
}

static void print(cr_buffer *b, const cr_syntax *s, int least) {
  if (s->kind == CR_BINARY) {
    print_chain(b, s, least);
    return;
  }
  bool brackets = cr__binds(s) < least;
  if (brackets) cr_put(b, "(");
  print_open(b, s);
  if (brackets) cr_put(b, ")");
}

void cr_print_syntax(cr_buffer *b, const cr_syntax *s) { print(b, s, CR__LOWEST); }
