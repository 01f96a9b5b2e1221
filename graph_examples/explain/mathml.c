/* Trees as MathML (presentation), which browsers typeset by themselves. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "symbols.h"

static void put(cr_buffer *b, tree s, int least);

static void put_escaped(cr_buffer *b, const char *s, size_t n) {
  for (size_t i = 0; i < n; i++) {
    if (s[i] == '<') cr_put(b, "&lt;");
    else if (s[i] == '>') cr_put(b, "&gt;");
    else if (s[i] == '&') cr_put(b, "&amp;");
    else cr_put(b, "%c", s[i]);
  }
}

static const struct {
  const char *name, *letter;
} greek[] = {{"alpha", "α"},  {"beta", "β"}, {"gamma", "γ"}, {"delta", "δ"}, {"epsilon", "ε"}, {"eta", "η"}, {"theta", "θ"},
             {"lambda", "λ"}, {"mu", "μ"},   {"nu", "ν"},    {"xi", "ξ"},    {"pi", "π"},      {"rho", "ρ"}, {"sigma", "σ"},
             {"tau", "τ"},    {"phi", "φ"},  {"chi", "χ"},   {"psi", "ψ"},   {"omega", "ω"}};

static void put_stem(cr_buffer *b, const char *s, size_t n) {
  static const char *const accents[] = {"hat", "bar", "tilde"}, *const marks[] = {"^", "¯", "~"};
  for (size_t i = 0; i < sizeof greek / sizeof *greek; i++)
    if (strlen(greek[i].name) == n && !memcmp(greek[i].name, s, n)) {
      cr_put(b, "<mi>%s</mi>", greek[i].letter);
      return;
    }
  for (size_t i = 0; i < 3; i++) {
    size_t k = strlen(accents[i]);
    if (n != k + 1 || memcmp(s + 1, accents[i], k)) continue;
    cr_put(b, "<mover accent=\"true\"><mi>%c</mi><mo>%s</mo></mover>", s[0], marks[i]);
    return;
  }
  cr_put(b, n == 1 ? "<mi>" : "<mi mathvariant=\"normal\">");
  put_escaped(b, s, n);
  cr_put(b, "</mi>");
}

/* w11 and w_11 as w with a subscript, yhat as y with a hat. */
void put_name_mathml(cr_buffer *b, const char *s) {
  size_t n = strlen(s), stem = n, from = n;
  const char *bar = n > 1 ? strchr(s + 1, '_') : NULL;
  if (bar && bar[1]) {
    stem = (size_t)(bar - s);
    from = stem + 1;
  } else {
    while (stem > 1 && s[stem - 1] >= '0' && s[stem - 1] <= '9') stem--;
    from = stem;
  }
  if (from < n) cr_put(b, "<msub>");
  put_stem(b, s, stem);
  if (from < n) {
    cr_put(b, "<mn>");
    put_escaped(b, s + from, n - from);
    cr_put(b, "</mn></msub>");
  }
}

static void put_number(cr_buffer *b, double x) {
  char text[40];
  cr_number_text(fabs(x), 0, text);
  char *e = strchr(text, 'e');
  if (signbit(x)) cr_put(b, "<mo>−</mo>");
  if (!e) cr_put(b, "<mn>%s</mn>", text);
  else
    cr_put(b, "<mn>%.*s</mn><mo>·</mo><msup><mn>10</mn><mn>%s%s</mn></msup>", (int)(e - text), text, e[1] == '-' ? "−" : "",
           e + 2 + strspn(e + 2, "0"));
}

static void put_list(cr_buffer *b, tree s, const char *open, const char *close) {
  cr_put(b, "<mo>%s</mo>", open);
  for (; s; s = s->next) {
    put(b, s, BIND_LOWEST);
    if (s->next) cr_put(b, "<mo>,</mo>");
  }
  cr_put(b, "<mo>%s</mo>", close);
}

static void put_matrix(cr_buffer *b, tree s) {
  cr_put(b, "<mo>[</mo><mtable>");
  for (tree row = s->first; row; row = row->next) {
    cr_put(b, "<mtr>");
    for (tree k = row->first; k; k = k->next) {
      cr_put(b, "<mtd>");
      put(b, k, BIND_LOWEST);
      cr_put(b, "</mtd>");
    }
    cr_put(b, "</mtr>");
  }
  cr_put(b, "</mtable><mo>]</mo>");
}

/* Before numbers and fractions a product needs its sign, between names none. */
static bool begins_with_number(tree s) {
  if (s->kind == CR_BINARY && s->text[0] == '/') return true;
  while (s->kind == CR_BINARY && s->text[0] != '/') s = s->first;
  return s->kind == CR_NUMBER || s->kind == CR_UNARY;
}

static void put_binary(cr_buffer *b, tree s) {
  tree l = s->first, r = l->next;
  const char *sign = s->text;
  int binds = tree_binds(s), right = binds + 1;
  if (s->text[0] == '/' && !s->text[1]) {
    cr_put(b, "<mfrac><mrow>");
    put(b, l, BIND_LOWEST);
    cr_put(b, "</mrow><mrow>");
    put(b, r, BIND_LOWEST);
    cr_put(b, "</mrow></mfrac>");
    return;
  }
  if (s->text[0] == '^') {
    cr_put(b, "<msup><mrow>");
    put(b, l, BIND_ATOM);
    cr_put(b, "</mrow><mrow>");
    put(b, r, BIND_LOWEST);
    cr_put(b, "</mrow></msup>");
    return;
  }
  if (s->text[0] == '*') sign = begins_with_number(r) ? "·" : "&#x2062;";
  else if (s->text[0] == '@') sign = "&#x2062;";
  else if (!strcmp(sign, "-")) sign = "−";
  else if (!strcmp(sign, "<=")) sign = "≤";
  else if (!strcmp(sign, ">=")) sign = "≥";
  else if (!strcmp(sign, "<")) sign = "&lt;";
  else if (!strcmp(sign, ">")) sign = "&gt;";
  else if (!strcmp(sign, "==")) sign = "=";
  else if (!strcmp(sign, "!=")) sign = "≠";
  else if (!strcmp(sign, "&&")) sign = "∧";
  else if (!strcmp(sign, "||")) sign = "∨";
  put(b, l, binds);
  cr_put(b, "<mo>%s</mo>", sign);
  put(b, r, s->text[0] == '*' || s->text[0] == '-' ? right : binds);
}

static void put_call(cr_buffer *b, tree s) {
  bool one = s->first && !s->first->next;
  if (one && !strcmp(s->text, "exp")) {
    cr_put(b, "<msup><mi>e</mi><mrow>");
    put(b, s->first, BIND_LOWEST);
    cr_put(b, "</mrow></msup>");
  } else if (one && !strcmp(s->text, "sqrt")) {
    cr_put(b, "<msqrt>");
    put(b, s->first, BIND_LOWEST);
    cr_put(b, "</msqrt>");
  } else if (one && !strcmp(s->text, "abs")) {
    put_list(b, s->first, "|", "|");
  } else {
    cr_put(b, "<mi>%s</mi><mo>&#x2061;</mo>", !strcmp(s->text, "sigmoid") ? "σ" : !strcmp(s->text, "log") ? "ln" : s->text);
    put_list(b, s->first, "(", ")");
  }
}

static void put_choice(cr_buffer *b, tree s) {
  tree yes = s->first->next;
  cr_put(b, "<mo>{</mo><mtable columnalign=\"left\"><mtr><mtd>");
  put(b, yes, BIND_LOWEST);
  cr_put(b, "</mtd><mtd><mtext>if </mtext>");
  put(b, s->first, BIND_LOWEST);
  cr_put(b, "</mtd></mtr><mtr><mtd>");
  put(b, yes->next, BIND_LOWEST);
  cr_put(b, "</mtd><mtd><mtext>otherwise</mtext></mtd></mtr></mtable>");
}

static void put_other(cr_buffer *b, tree s) {
  cr_buffer text = {.tape = b->tape};
  put_tree(&text, s);
  cr_put(b, "<mtext>");
  if (text.text) put_escaped(b, text.text, text.length);
  cr_put(b, "</mtext>");
  cr_buffer_free(&text);
}

static void put_open(cr_buffer *b, tree s) {
  switch (s->kind) {
    case CR_NUMBER:
      put_number(b, s->number);
      break;
    case CR_NAME:
      put_name_mathml(b, s->text);
      break;
    case CR_UNARY:
      cr_put(b, "<mo>%s</mo>", s->text[0] == '-' ? "−" : s->text[0] == 'n' ? "¬" : "+");
      put(b, s->first, BIND_PRODUCT);
      break;
    case CR_BINARY:
      put_binary(b, s);
      break;
    case CR_CALL:
      put_call(b, s);
      break;
    case CR_CHOICE:
      put_choice(b, s);
      break;
    case CR_LIST:
      if (s->first && s->first->kind == CR_LIST) put_matrix(b, s);
      else put_list(b, s->first, "[", "]");
      break;
    case CR_TUPLE:
      put_list(b, s->first, "(", ")");
      break;
    case CR_KEYWORD:
      cr_put(b, "<mi mathvariant=\"normal\">%s</mi><mo>=</mo>", s->text);
      put(b, s->first, BIND_LOWEST);
      break;
    case CR_MEMBER:
      cr_put(b, "<msup><mrow>");
      put(b, s->first, BIND_ATOM);
      cr_put(b, "</mrow><mo>%s</mo></msup>", !strcmp(s->text, "T") ? "⊤" : s->text);
      break;
    case CR_TEXT:
    case CR_INDEX:
    case CR_SLICE:
    case CR_NONE:
    case CR_ELLIPSIS:
    case CR_ASSIGN:
    case CR_DEFINE:
    case CR_PARAM:
    case CR_BLOCK:
      put_other(b, s);
      break;
  }
}

static void put(cr_buffer *b, tree s, int least) {
  bool fraction = s->kind == CR_BINARY && s->text[0] == '/' && !s->text[1];
  bool brackets = (fraction ? (least >= BIND_ATOM) : tree_binds(s) < least);
  if (s->kind == CR_NUMBER && signbit(s->number)) brackets = least > BIND_SUM;
  if (s->kind == CR_UNARY) brackets = least > BIND_SUM;
  cr_put(b, brackets ? "<mrow><mo>(</mo>" : "<mrow>");
  put_open(b, s);
  cr_put(b, brackets ? "<mo>)</mo></mrow>" : "</mrow>");
}

void put_tree_mathml(cr_buffer *b, tree s) { put(b, s, BIND_LOWEST); }
