/* Names, numbers and trees as LaTeX (amsmath). */
#include "language.h"

/* Names */

static const char *const letters[] = {
  "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu", "nu", "xi",
  "omicron", "pi", "rho", "varsigma", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega",
};
enum { N_LETTERS = sizeof letters / sizeof *letters, SMALL_ALPHA = 0x3B1, CAPITAL_ALPHA = 0x391 };

static const struct {
  const char *suffix, *accent;
} accents[] = {
  {"hat", "hat"}, {"bar", "bar"}, {"tilde", "tilde"}, {"\xCC\x82", "hat"}, {"\xCC\x84", "bar"}, {"\xCC\x83", "tilde"},
};

/* Letters that carry their accent in one code point. */
static const struct {
  uint32_t code;
  char letter;
  const char *accent;
} accented[] = {
  {0x177, 'y', "hat"},  {0x233, 'y', "bar"}, {0x175, 'w', "hat"}, {0xF4, 'o', "hat"},
  {0xF5, 'o', "tilde"}, {0x14D, 'o', "bar"}, {0xE2, 'a', "hat"},  {0x101, 'a', "bar"},
  {0xEA, 'e', "hat"},   {0xFB, 'u', "hat"},  {0xFC, 'u', "ddot"}, {0x16B, 'u', "bar"},
};

/* lambda and Lambda; the capitals that look Latin are plain letters, as in LaTeX. */
static bool is_greek(const char *s, size_t n) {
  static const char *const capitals[] = {"Gamma", "Delta",   "Theta", "Lambda", "Xi",   "Pi",
                                         "Sigma", "Upsilon", "Phi",   "Psi",    "Omega"};
  for (size_t i = 0; i < N_LETTERS; i++)
    if (strlen(letters[i]) == n && !memcmp(letters[i], s, n)) return true;
  for (size_t i = 0; i < sizeof capitals / sizeof *capitals; i++)
    if (strlen(capitals[i]) == n && !memcmp(capitals[i], s, n)) return true;
  return false;
}

static void put_character(cr_buffer *b, const char *s, uint32_t n, uint32_t code) {
  for (size_t i = 0; i < sizeof accented / sizeof *accented; i++)
    if (accented[i].code == code) {
      cr_put(b, "\\%s{%c}", accented[i].accent, accented[i].letter);
      return;
    }
  char name[16] = "";
  if (code >= SMALL_ALPHA && code < SMALL_ALPHA + N_LETTERS) strcpy(name, letters[code - SMALL_ALPHA]);
  if (code >= CAPITAL_ALPHA && code < CAPITAL_ALPHA + N_LETTERS) {
    strcpy(name, letters[code - CAPITAL_ALPHA]);
    name[0] = (char)(name[0] - 32);
  }
  if (is_greek(name, strlen(name)))
    cr_put(b, "\\%s ", name);
  else if (n == 1 && strchr("_#$%&{}", *s))
    cr_put(b, "\\%c", *s);
  else
    cr__put_bytes(b, s, n);
}

static void put_letters(cr_buffer *b, const char *s, size_t n) {
  while (n) {
    uint32_t code = 0, k = cr__utf8(s, (uint32_t)n, &code);
    if (!k) k = 1;
    put_character(b, s, k, code);
    s += k;
    n -= k;
  }
}

void cr__latex_letters(cr_buffer *b, const char *s) { put_letters(b, s, strlen(s)); }

static size_t characters(const char *s, size_t n) {
  size_t count = 0;
  for (size_t i = 0; i < n; i++) count += ((unsigned char)s[i] & 0xC0) != 0x80;
  return count;
}

/* A word without subscript: a letter, a Greek letter by name, an accented one (yhat), or upright text. */
static void put_stem(cr_buffer *b, const char *s, size_t n) {
  for (size_t i = 0; i < sizeof accents / sizeof *accents; i++) {
    size_t k = strlen(accents[i].suffix);
    if (n <= k || memcmp(s + n - k, accents[i].suffix, k) || is_greek(s, n)) continue;
    size_t rest = n - k - (s[n - k - 1] == '_' && n > k + 1);
    if (characters(s, rest) > 1 && !is_greek(s, rest)) continue;
    cr_put(b, "\\%s{", accents[i].accent);
    put_stem(b, s, rest);
    cr_put(b, "}");
    return;
  }
  if (is_greek(s, n)) cr_put(b, "\\%.*s", (int)n, s);
  else if (characters(s, n) == 1) put_letters(b, s, n);
  else cr_put(b, "\\mathrm{"), put_letters(b, s, n), cr_put(b, "}");
}

/* w11 and w_11 as w_{11}, delta_hidden as \delta_{hidden}: what is a subscript. */
static size_t stem_length(const char *s, size_t n) {
  size_t k = n;
  while (k && s[k - 1] >= '0' && s[k - 1] <= '9') k--;
  if (k && k < n && (characters(s, k) == 1 || is_greek(s, k) || s[k - 1] == '_')) return k;
  const char *bar = memchr(s + (n > 0), '_', n - (n > 0));
  if (!bar) return k && k < n && characters(s, k) <= 5 ? k : n;
  return (size_t)(bar - s);
}

void cr__latex_name(cr_buffer *b, const char *s) {
  size_t n = strlen(s), k = stem_length(s, n), from = k;
  while (k > 1 && s[k - 1] == '_') k--;
  while (from < n && s[from] == '_') from++;
  bool accent = from < n && (!strcmp(s + from, "hat") || !strcmp(s + from, "bar") || !strcmp(s + from, "tilde"));
  if (accent || from == n) k = from = n;
  put_stem(b, s, k);
  if (from == n) return;
  cr_put(b, "_{");
  put_letters(b, s + from, n - from);
  cr_put(b, "}");
}

/* What is juxtaposed elsewhere needs a dot before a number: x 2 would be misread. */
static void dot_after_space(cr_buffer *b) {
  if (b->length < 4 || memcmp(b->text + b->length - 4, " \\, ", 4)) return;
  b->length -= 3;
  cr_put(b, "\\cdot ");
}

void cr__latex_number(cr_buffer *b, double x) {
  char text[32];
  if (isfinite(x)) dot_after_space(b);
  cr_number_text(x, 0, text);
  char *e = strchr(text, 'e');
  if (isnan(x)) cr_put(b, "\\mathrm{NaN}");
  else if (isinf(x)) cr_put(b, x < 0 ? "-\\infty" : "\\infty");
  else if (!e) cr_put(b, "%s", text);
  else cr_put(b, "%.*s \\cdot 10^{%s%s}", (int)(e - text), text, e[1] == '-' ? "-" : "", e + 2 + strspn(e + 2, "0"));
}

/* Templates */

bool cr__template_next(const char *start, const char **at, cr__template_part *part) {
  const char *s = *at;
  if (!*s) return false;
  if (s[0] == '%' && s[1] >= 'a' && s[1] <= 'c') {
    char before = s > start ? s[-1] : 0, after = s[2];
    bool opened = before && strchr("{(|[", before), closed = after && strchr("})|]", after);
    *part = (cr__template_part){.operand = s[1] - 'a'};
    part->enclosed = opened && (closed || !strncmp(s + 2, "\\right", 6));
    *at = s + 2;
    return true;
  }
  const char *end = s + 1;
  while (*end && !(end[0] == '%' && end[1] >= 'a' && end[1] <= 'c')) end++;
  *part = (cr__template_part){.text = s, .length = (size_t)(end - s), .operand = -1};
  *at = end;
  return true;
}

/* By what stands outside braces: a sign, loose operands as in "%a \bmod %b", a power; a fraction is loose in powers. */
static int template_binds(const char *latex) {
  int level = 0;
  bool loose = false, power = false;
  cr__template_part part;
  for (const char *at = latex; cr__template_next(latex, &at, &part);) {
    loose = loose || (part.operand >= 0 && !part.enclosed && !level);
    for (size_t i = 0; i < part.length; i++) {
      level += (part.text[i] == '{' || part.text[i] == '(') - (part.text[i] == '}' || part.text[i] == ')');
      power = power || (part.text[i] == '^' && !level);
    }
  }
  if (latex[0] == '-') return CR__SUMS;
  if (!strncmp(latex, "\\frac", 5)) return CR__SIGNS;
  return power ? CR__POWERS : loose ? CR__PRODUCTS : CR__ATOMS;
}

const cr__operator *cr__infix_of(const cr_op *op) {
  char text[4] = "";
  if (!op->infix || strncmp(op->infix, "a ", 2)) return NULL;
  size_t n = strcspn(op->infix + 2, " ");
  if (n < sizeof text) memcpy(text, op->infix + 2, n);
  return cr__operator_of(text);
}

int cr__latex_binds(const cr_op *op) {
  const cr__operator *infix = cr__infix_of(op);
  if (!op->latex) return CR__ATOMS;
  return infix && strncmp(op->latex, "\\frac", 5) ? infix->binds : template_binds(op->latex);
}

int cr__latex_least(const cr_op *op, int operand) {
  const cr__operator *infix = cr__infix_of(op);
  if (infix) return operand ? cr__right_least(infix) : cr__left_least(infix);
  int binds = cr__latex_binds(op);
  return binds < CR__ATOMS ? binds + 1 : CR__ATOMS;
}

/* Trees */

static void latex(cr_buffer *b, const cr_syntax *s, int least);

static uint32_t count(const cr_syntax *s) {
  uint32_t n = 0;
  for (; s; s = s->next) n++;
  return n;
}

/* The op that a call means, if it has a template for just these operands. */
static const cr_op *op_called(cr_buffer *b, const cr_syntax *s) {
  const cr__callable *f = cr__callable_named(b->tape, s->text);
  if (!f || !f->row || !f->row->latex || count(s->first) != (uint32_t)f->row->arity) return NULL;
  for (const cr_syntax *k = s->first; k; k = k->next)
    if (k->kind == CR_KEYWORD) return NULL;
  return f->row;
}

static int binds(cr_buffer *b, const cr_syntax *s) {
  if (s->kind == CR_BINARY && !strcmp(s->text, "/")) return CR__SIGNS;
  if (s->kind == CR_UNARY) return CR__SUMS;
  bool scientific = s->number > 0 && isfinite(s->number) && (s->number < 1e-4 || s->number >= 1e16);
  if (s->kind == CR_NUMBER && scientific) return CR__PRODUCTS; /* 1 \cdot 10^{16} */
  if (s->kind == CR_CALL) {
    const cr_op *op = op_called(b, s);
    return op ? cr__latex_binds(op) : CR__ATOMS;
  }
  return cr__binds(s);
}

static void latex_items(cr_buffer *b, const cr_syntax *s) {
  for (; s; s = s->next) {
    latex(b, s, CR__LOWEST);
    if (s->next) cr_put(b, ", ");
  }
}

static void open(cr_buffer *b, bool really) {
  if (really) cr_put(b, "\\left(");
}
static void close(cr_buffer *b, bool really) {
  if (really) cr_put(b, "\\right)");
}

static void latex_chain(cr_buffer *b, const cr_syntax *s, int least) {
  cr__language *language = cr__language_of(b->tape);
  cr__spot spot = language ? cr__spot_of(&language->scratch) : (cr__spot){0};
  uint32_t n = 0;
  const cr_syntax **chain = language ? cr__chain(b->tape, &language->scratch, s, &n) : NULL;
  unsigned char *bracket = chain ? cr__take(b->tape, &language->scratch, n) : NULL;
  cr__template_part part;
  if (!bracket) {
    b->failed = 1;
    return;
  }
  for (uint32_t i = 0; i < n; i++) { /* down the left sides, up to each first operand */
    const cr__operator *op = cr__operator_of(chain[i]->text);
    const char *at = op->latex;
    bracket[i] = binds(b, chain[i]) < least;
    open(b, bracket[i]);
    while (cr__template_next(op->latex, &at, &part) && part.operand < 0) cr__put_bytes(b, part.text, part.length);
    least = part.enclosed ? CR__LOWEST : cr__left_least(op);
  }
  latex(b, chain[n - 1]->first, least);
  for (uint32_t i = n; i-- > 0;) {
    const cr__operator *op = cr__operator_of(chain[i]->text);
    const char *at = strstr(op->latex, "%a") + 2;
    while (cr__template_next(op->latex, &at, &part)) {
      if (part.operand < 0) cr__put_bytes(b, part.text, part.length);
      else latex(b, chain[i]->first->next, part.enclosed ? CR__LOWEST : cr__right_least(op));
    }
    close(b, bracket[i]);
  }
  cr__back_to(&language->scratch, spot);
}

static void latex_call(cr_buffer *b, const cr_syntax *s) {
  const cr_op *op = op_called(b, s);
  if (!op) {
    const char *dot = strrchr(s->text, '.');
    bool one = s->text[1] == 0;
    if (one) cr__latex_name(b, s->text);
    else cr_put(b, "\\operatorname{"), cr__latex_letters(b, dot ? dot + 1 : s->text), cr_put(b, "}");
    cr_put(b, "\\left("), latex_items(b, s->first), cr_put(b, "\\right)");
    return;
  }
  cr__template_part part;
  for (const char *at = op->latex; cr__template_next(op->latex, &at, &part);) {
    const cr_syntax *k = s->first;
    if (part.operand < 0) {
      cr__put_bytes(b, part.text, part.length);
      continue;
    }
    for (int i = 0; i < part.operand && k; i++) k = k->next;
    if (k) latex(b, k, part.enclosed ? CR__LOWEST : cr__latex_least(op, part.operand));
  }
}

static void latex_rows(cr_buffer *b, const cr_syntax *s) {
  bool matrix = s->first && s->first->kind == CR_LIST;
  if (!matrix) {
    cr_put(b, "\\left["), latex_items(b, s->first), cr_put(b, "\\right]");
    return;
  }
  cr_put(b, "\\begin{bmatrix}");
  for (const cr_syntax *row = s->first; row; row = row->next) {
    if (row->kind != CR_LIST) latex(b, row, CR__LOWEST);
    for (const cr_syntax *k = row->kind == CR_LIST ? row->first : NULL; k; k = k->next) {
      latex(b, k, CR__LOWEST);
      if (k->next) cr_put(b, " & ");
    }
    if (row->next) cr_put(b, " \\\\ ");
  }
  cr_put(b, "\\end{bmatrix}");
}

static void latex_choice(cr_buffer *b, const cr_syntax *s) {
  const cr_syntax *yes = s->first->next;
  cr_put(b, "\\begin{cases} ");
  latex(b, yes, CR__LOWEST);
  cr_put(b, " & ");
  latex(b, s->first, CR__LOWEST);
  cr_put(b, " \\\\ ");
  latex(b, yes->next, CR__LOWEST);
  cr_put(b, " & \\text{otherwise} \\end{cases}");
}

static void latex_slice(cr_buffer *b, const cr_syntax *s) {
  latex(b, s->first, CR__CHOOSES + 1);
  cr_put(b, ":");
  latex(b, s->first->next, CR__CHOOSES + 1);
  if (s->first->next->next->kind != CR_NONE) cr_put(b, ":");
  latex(b, s->first->next->next, CR__CHOOSES + 1);
}

static void latex_definition(cr_buffer *b, const cr_syntax *s) {
  const cr_syntax *k = s->first;
  if (s->text[1]) cr_put(b, "\\operatorname{"), cr__latex_letters(b, s->text), cr_put(b, "}");
  else cr__latex_name(b, s->text);
  cr_put(b, "\\left(");
  for (; k->next; k = k->next) {
    latex(b, k, CR__LOWEST);
    if (k->next->next) cr_put(b, ", ");
  }
  cr_put(b, "\\right) = ");
  latex(b, k, CR__LOWEST);
}

static void latex_unary(cr_buffer *b, const cr_syntax *s) {
  cr_put(b, s->text[0] == 'n' ? "\\lnot " : "%s", s->text);
  latex(b, s->first, s->text[0] == 'n' ? CR__SIGNS : CR__PRODUCTS);
}

static void latex_member(cr_buffer *b, const cr_syntax *s) {
  bool transpose = !strcmp(s->text, "T") || !strcmp(s->text, "mT");
  latex(b, s->first, CR__ATOMS);
  if (transpose) cr_put(b, "^{\\top}");
  else cr_put(b, "\\mathrm{.}"), cr__latex_name(b, s->text);
}

static void latex_kind(cr_buffer *b, const cr_syntax *s) {
  const cr_syntax *first = s->first;
  switch (s->kind) {
    case CR_NUMBER: cr__latex_number(b, s->number); break;
    case CR_TEXT: cr_put(b, "\\text{'"), cr__latex_letters(b, s->text), cr_put(b, "'}"); break;
    case CR_NAME: cr__latex_name(b, s->text); break;
    case CR_LIST: latex_rows(b, s); break;
    case CR_TUPLE: cr_put(b, "\\left("), latex_items(b, first), cr_put(b, "\\right)"); break;
    case CR_CALL: latex_call(b, s); break;
    case CR_KEYWORD: cr__latex_name(b, s->text), cr_put(b, " = "), latex(b, first, CR__LOWEST); break;
    case CR_UNARY: latex_unary(b, s); break;
    case CR_CHOICE: latex_choice(b, s); break;
    case CR_INDEX: latex(b, first, CR__ATOMS), cr_put(b, "_{"), latex_items(b, first->next), cr_put(b, "}"); break;
    case CR_SLICE: latex_slice(b, s); break;
    case CR_BINARY: case CR_NONE: break;
    case CR_ELLIPSIS: cr_put(b, "\\ldots"); break;
    case CR_MEMBER: latex_member(b, s); break;
    case CR_ASSIGN: latex(b, first, CR__LOWEST), cr_put(b, " = "), latex(b, first->next, CR__LOWEST); break;
    case CR_DEFINE: latex_definition(b, s); break;
    case CR_PARAM: latex(b, first, CR__LOWEST); break;
    case CR_BLOCK:
      for (; first; first = first->next) latex(b, first, CR__LOWEST), cr_put(b, first->next ? " \\\\\n" : "");
      break;
  }
}

static void latex(cr_buffer *b, const cr_syntax *s, int least) {
  if (s->kind == CR_BINARY) {
    latex_chain(b, s, least);
    return;
  }
  bool brackets = binds(b, s) < least;
  open(b, brackets);
  latex_kind(b, s);
  close(b, brackets);
}

void cr_latex_syntax(cr_buffer *b, const cr_syntax *s) { latex(b, s, CR__LOWEST); }
