/* From the text of a file to lines: continued ones are put together, comments left out. */
#include <ctype.h>
#include <string.h>

#include "lesson.h"

const char *text_trimmed(pool *p, const char *s, size_t n) {
  while (n && isspace((unsigned char)s[0])) s++, n--;
  while (n && isspace((unsigned char)s[n - 1])) n--;
  return pool_text(p, "%.*s", (int)n, s);
}

/* A line goes on in the next one while a bracket or a quote is open. */
bool line_is_open(const char *s) {
  int depth = 0;
  bool inside = false;
  for (; *s; s++) {
    if (*s == '"') inside = !inside;
    if (*s == '#' && !inside)
      while (s[1] && s[1] != '\n') s++;
    if (!inside) depth += (*s == '(' || *s == '[') - (*s == ')' || *s == ']');
  }
  return inside || depth > 0;
}

/* Line ends and the blanks around them as one space. */
const char *line_joined(pool *p, const char *s, size_t n) {
  char *text = pool_text(p, "%.*s", (int)n, s), *to = text;
  bool inside = false;
  for (const char *c = text; *c; c++) {
    if (*c == '"') inside = !inside;
    if (*c == '#' && !inside) {
      while (c[1] && c[1] != '\n') c++;
      continue;
    }
    if (*c == '\n') {
      while (to > text && to[-1] == ' ') to--;
      while (c[1] == ' ' || c[1] == '\t') c++;
      *to++ = ' ';
    } else {
      *to++ = *c;
    }
  }
  *to = 0;
  return text_trimmed(p, text, strlen(text));
}
