/* See writing.h. */
#include "writing.h"

int text_columns(const char *s) {
  int n = 0;
  for (; *s; s++) n += ((unsigned char)*s & 0xC0) != 0x80;
  return n;
}

void put_spaces(cr_buffer *b, int n) {
  while (n-- > 0) cr_put(b, " ");
}

void put_json_text(cr_buffer *b, const char *s) {
  if (!s) {
    cr_put(b, "null");
    return;
  }
  cr_put(b, "\"");
  for (; *s; s++) {
    if (*s == '"' || *s == '\\') cr_put(b, "\\%c", *s);
    else if ((unsigned char)*s < 0x20) cr_put(b, "\\u%04x", (unsigned)*s);
    else cr_put(b, "%c", *s);
  }
  cr_put(b, "\"");
}
