/* Source text to tokens. */
#include <stdio.h>

#include "language.h"

/* Longest first: the first spelling that fits is the token. */
static const struct {
  const char *spelling, *mark;
} marks[] = {
  {"...", "..."}, {"**", "^"}, {"//", "//"}, {"<=", "<="}, {">=", ">="}, {"==", "=="}, {"!=", "!="},
  {"&&", "&&"}, {"||", "||"},
  {"\xE2\x88\x92", "-"} /* minus sign */, {"\xC3\x97", "*"} /* times */, {"\xC2\xB7", "*"} /* middle dot */,
  {"\xE2\x8B\x85", "*"} /* dot operator */, {"\xE2\x89\xA4", "<="}, {"\xE2\x89\xA5", ">="}, {"\xE2\x89\xA0", "!="},
  {"+", "+"}, {"-", "-"}, {"*", "*"}, {"/", "/"}, {"%", "%"}, {"^", "^"}, {"@", "@"}, {"<", "<"}, {">", ">"},
  {"=", "="},
  {"!", "!"}, {"?", "?"}, {":", ":"}, {",", ","}, {".", "."}, {"(", "("}, {")", ")"}, {"[", "["}, {"]", "]"},
  {"{", "{"}, {"}", "}"},
};
static const struct {
  const char *word, *mark;
} words[] = {{"and", "&&"}, {"or", "||"}, {"not", "not"}, {"param", "param"}};

uint32_t cr__utf8(const char *s, uint32_t length, uint32_t *code) {
  const unsigned char *b = (const unsigned char *)s;
  static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  if (!length) return 0;
  uint32_t n = b[0] < 0x80 ? 1 : (b[0] & 0xE0) == 0xC0 ? 2 : (b[0] & 0xF0) == 0xE0 ? 3 : (b[0] & 0xF8) == 0xF0 ? 4 : 0;
  if (!n || n > length) return 0;
  uint32_t c = n == 1 ? b[0] : b[0] & (0x7Fu >> n);
  for (uint32_t i = 1; i < n; i++) {
    if ((b[i] & 0xC0) != 0x80) return 0;
    c = c << 6 | (b[i] & 0x3Fu);
  }
  if (c < least[n] || c > 0x10FFFF || (c >= 0xD800 && c < 0xE000)) return 0;
  *code = c;
  return n;
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

/* Letters of any script; of the symbols beyond ASCII none, so that a stray one is reported and not taken for a name. */
static uint32_t name_character(const char *s, uint32_t length, bool first) {
  uint32_t c = 0, n = length && is_letter(*s) ? 1 : cr__utf8(s, length, &c);
  if (n == 1) return is_letter(*s) || (!first && is_digit(*s));
  bool symbol = c < 0xAA || (c > 0xAA && c < 0xC0 && c != 0xB5 && c != 0xBA) || c == 0xD7 || c == 0xF7 ||
                (c >= 0x2000 && c < 0x2070) || (c >= 0x2190 && c < 0x2C00) || (c >= 0x3000 && c < 0x3005) ||
                (c >= 0xE000 && c < 0xF900) || c == 0xFEFF || c >= 0xFFF0 || (first && c >= 0x300 && c < 0x370);
  return symbol && c < 0x1F000 ? 0 : n;
}

/* Spaces, comments and, inside brackets, newlines. */
static void skip_blanks(cr__lexer *x) {
  while (x->next < x->length) {
    const char *s = x->source + x->next;
    uint32_t left = x->length - x->next;
    if (*s == '#')
      while (x->next < x->length && x->source[x->next] != '\n') x->next++;
    else if (*s == ' ' || *s == '\t' || *s == '\r' || (*s == '\n' && x->nesting))
      x->next++;
    else if (*s == '\\' && left > 1 && s[1] == '\n')
      x->next += 2;
    else if (left > 1 && !memcmp(s, "\xC2\xA0", 2))
      x->next += 2;
    else
      return;
  }
}

static bool take_mark(cr__lexer *x, const char *mark, size_t length) {
  x->kind = CR__MARK;
  x->mark = mark;
  x->next += (uint32_t)length;
  if (*mark == '(' || *mark == '[') x->nesting++;
  if ((*mark == ')' || *mark == ']') && x->nesting) x->nesting--;
  return true;
}

static bool take_word(cr__lexer *x) {
  const char *s = x->source + x->next;
  uint32_t n = 0, more;
  while ((more = name_character(s + n, x->length - x->next - n, !n)) != 0) n += more;
  if (!n) return false;
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    if (words[i].word[0] == *s && strlen(words[i].word) == n && !memcmp(words[i].word, s, n))
      return take_mark(x, words[i].mark, n);
  x->kind = CR__WORD;
  x->next += n;
  return true;
}

static bool take_quoted(cr__lexer *x, char *message, size_t size) {
  char quote = x->source[x->next];
  for (x->next++; x->next < x->length && x->source[x->next] != '\n'; x->next++) {
    if (x->source[x->next] == quote) {
      x->next++;
      x->kind = CR__QUOTED;
      return true;
    }
    if (x->source[x->next] == '\\' && x->next + 1 < x->length && x->source[x->next + 1] != '\n') x->next++;
  }
  snprintf(message, size, "this text has no closing %c", quote);
  return false;
}

bool cr__lex(cr__lexer *x, char *message, size_t size) {
  skip_blanks(x);
  x->at = x->next;
  const char *s = x->source + x->next;
  uint32_t left = x->length - x->next, code;
  x->kind = CR__END;
  if (!left) return true;
  if (*s == ';' || *s == '\n') {
    x->kind = CR__LINE;
    x->next++;
    return true;
  }
  if (is_digit(*s) || (*s == '.' && left > 1 && is_digit(s[1]))) {
    x->kind = CR__NUMERAL;
    x->next += (uint32_t)cr__scan_number(s, left, &x->number, &x->integral);
    return true;
  }
  if (*s == '\'' || *s == '"') return take_quoted(x, message, size);
  if (is_letter(*s)) return take_word(x);
  for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
    if (marks[i].spelling[0] != *s) continue;
    size_t n = strlen(marks[i].spelling);
    if (n <= left && !memcmp(s, marks[i].spelling, n)) return take_mark(x, marks[i].mark, n);
  }
  if (take_word(x)) return true;
  uint32_t n = cr__utf8(s, left, &code);
  if (!n) snprintf(message, size, "byte 0x%02X is not UTF-8 text", (unsigned)(unsigned char)*s);
  else if (code < 32 || code == 127) snprintf(message, size, "control character 0x%02X", (unsigned)code);
  else if (*s == '&' || *s == '|')
    snprintf(message, size, "expected '%c%c' for a logical operator, found a single '%c'", *s, *s, *s);
  else snprintf(message, size, "unexpected character '%.*s'", (int)n, s);
  return false;
}
