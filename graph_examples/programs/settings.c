/* Messages, and the options of a run. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"

/* Messages */

int complain(const char *format, ...) {
  va_list args;
  va_start(args, format);
  fflush(stdout);
  fputs("chainrule: ", stderr);
  vfprintf(stderr, format, args);
  fputc('\n', stderr);
  va_end(args);
  return STATUS_USAGE;
}

int complain_memory(void) { return complain("out of memory"); }

int complain_tape(const context *c, const cr_syntax_error *where) {
  if (!where || where->status == CR_OK || !c->source) return complain("%s", cr_error_text(c->tape));
  char text[2048];
  const char *shown = cr_syntax_error_text(where, c->source, c->length, text, sizeof text);
  return complain("%s%s%s", c->title, *c->title ? ", " : "", shown);
}

/* Options of this run */

const char *next_given(const context *c, option_id id, int *k) {
  while (*k < c->n_settings) {
    const setting *s = &c->setting[(*k)++];
    if (s->id == id) return s->value;
  }
  return NULL;
}

const char *given(const context *c, option_id id) {
  const char *value = NULL, *next;
  for (int k = 0; (next = next_given(c, id, &k));) value = next;
  return value;
}

bool has(const context *c, option_id id) { return given(c, id) != NULL; }

bool whole_given(const context *c, option_id id, long low, long high, long fallback, long *value) {
  const char *text = given(c, id);
  char *end = NULL;
  *value = fallback;
  if (!text) return true;
  errno = 0;
  *value = strtol(text, &end, 10);
  if (*text && !*end && !errno && *value >= low && *value <= high) return true;
  complain("--%s takes a whole number from %ld to %ld, not '%s'", options[id].name, low, high, text);
  return false;
}
