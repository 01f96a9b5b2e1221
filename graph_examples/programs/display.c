/* Tensors for people: rows under each other, numbers aligned, large ones abbreviated. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"

enum { WHOLE = 200, EDGE = 3 }; /* tensors of more numbers show so many at each end of an axis */

typedef struct printer {
  FILE *f;
  const tensor *x;
  int digits, width, indent;
  bool brief;
} printer;

static const char *element_text(const printer *p, int64_t k, char *text) {
  const tensor *x = p->x;
  if (x->real) return cr_number_text(x->real[k], x->dtype == CR_FLOAT32 && p->digits > 9 ? 9 : p->digits, text);
  if (x->dtype == CR_BOOL) return strcpy(text, x->whole[k] ? "true" : "false");
  snprintf(text, 32, "%lld", (long long)x->whole[k]);
  return text;
}

/* The index after i on an axis: the middle of a long one is skipped. */
static int64_t after(const printer *p, int64_t i, int64_t n) {
  return p->brief && n > 2 * EDGE && i == EDGE - 1 ? n - EDGE : i + 1;
}

/* The widest of the elements that are shown decides the width of all. */
static void measure(printer *p, int axis, int64_t at) {
  char text[40];
  if (axis == p->x->rank) {
    int n = (int)strlen(element_text(p, at, text));
    p->width = n > p->width ? n : p->width;
    return;
  }
  for (int64_t i = 0, n = p->x->dim[axis]; i < n; i = after(p, i, n)) measure(p, axis + 1, at * n + i);
}

static void put_gap(printer *p, int axis) {
  bool innermost = axis == p->x->rank - 1;
  fputs(innermost ? ", " : ",\n", p->f);
  if (!innermost) fprintf(p->f, "%*s", p->indent + axis + 1, "");
}

static void put(printer *p, int axis, int64_t at) {
  char text[40];
  if (axis == p->x->rank) {
    fprintf(p->f, "%*s", p->width, element_text(p, at, text));
    return;
  }
  fputc('[', p->f);
  for (int64_t i = 0, n = p->x->dim[axis], next; i < n; i = next) {
    next = after(p, i, n);
    put(p, axis + 1, at * n + i);
    if (next < n) put_gap(p, axis);
    if (next < n && next > i + 1) {
      fputs("...", p->f);
      put_gap(p, axis);
    }
  }
  fputc(']', p->f);
}

void put_tensor(FILE *f, const char *label, int width, const tensor *x, int digits, bool full) {
  printer p = {.f = f, .x = x, .digits = digits, .brief = !full && x->count > WHOLE};
  if (*label) p.indent = fprintf(f, "%-*s = ", width, label);
  if (!x->count) {
    fprintf(f, "%s (", cr_dtype_name(x->dtype));
    for (int i = 0; i < x->rank; i++) fprintf(f, i ? ", %lld" : "%lld", (long long)x->dim[i]);
    fputs("), empty\n", f);
    return;
  }
  if (x->rank) measure(&p, 0, 0);
  put(&p, 0, 0);
  fputc('\n', f);
}

void put_var(FILE *f, const char *label, int width, cr_var v, int digits, bool full) {
  tensor x;
  problem p;
  if (!tensor_of(&x, v, &p)) {
    complain("%s: %s", label, p.text);
    return;
  }
  put_tensor(f, label, width, &x, digits, full);
  tensor_free(&x);
}

bool use_color(const context *c, FILE *f) {
  const char *when = given(c, OPT_COLOR), *none = getenv("NO_COLOR"), *terminal = getenv("TERM");
  if (when && !strcmp(when, "always")) return true;
  if (when && !strcmp(when, "never")) return false;
  return !(none && *none) && !(terminal && !strcmp(terminal, "dumb")) && isatty(fileno(f));
}
