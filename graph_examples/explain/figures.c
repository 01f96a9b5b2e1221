/* Numbers, small tensors and shapes as text. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "trace.h"

/* A number rounded to decimals has no more digits than those: 15 significant ones show it as it was rounded. */
const char *trace_number(const trace *t, double x, char *text) {
  if (x == 0) return strcpy(text, "0"); /* -0 too */
  return cr_number_text(x, t->options.decimals ? 15 : t->options.digits, text);
}

/* Half away from zero, as the tape rounds (engine.h, CR_ROUND_DIGITS). */
double trace_by_hand(const trace *t, double x) {
  if (!t->options.decimals || !isfinite(x)) return x;
  double scale = pow(10, t->options.decimals), scaled = fabs(x) * scale;
  return copysign(floor(scaled + 0.5 + scaled * 4e-16) / scale, x);
}

const char *trace_shape(const trace_numbers *x, char *text, size_t size) {
  size_t n = (size_t)snprintf(text, size, "(");
  for (int i = 0; i < x->rank && n < size; i++)
    n += (size_t)snprintf(text + n, size - n, "%s%lld", i ? ", " : "", (long long)x->dim[i]);
  if (n < size) snprintf(text + n, size - n, x->rank == 1 ? ",)" : ")");
  return text;
}

enum { FEW = 9 };

static void append(char *text, size_t size, const char *more) {
  size_t n = strlen(text);
  if (n + 1 < size) snprintf(text + n, size - n, "%s", more);
}

const char *trace_numbers_text(const trace *t, const trace_numbers *x, char *text, size_t size) {
  char number[40], shape[200];
  text[0] = 0;
  if (!x->data) return strncat(text, "?", size - 1);
  if (x->count > FEW || !x->count) {
    snprintf(text, size, "%lld numbers %s", (long long)x->count, trace_shape(x, shape, sizeof shape));
    return text;
  }
  for (int64_t k = 0; k < x->count; k++) {
    int64_t block = 1, opens = 0, closes = 0;
    for (int i = x->rank - 1; i >= 0; i--) {
      block *= x->dim[i];
      opens += k % block == 0;
      closes += (k + 1) % block == 0;
    }
    while (opens-- > 0) append(text, size, "[");
    append(text, size, trace_number(t, x->data[k], number));
    while (closes-- > 0) append(text, size, "]");
    if (k + 1 < x->count) append(text, size, ", ");
  }
  return text;
}
