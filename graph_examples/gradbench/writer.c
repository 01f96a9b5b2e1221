/* JSON text in memory that grows: see gradbench.h. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gradbench.h"

static bool room_for(text *out, size_t more) {
  if (out->no_memory) return false;
  if (out->length + more <= out->room) return true;
  size_t room = 2 * (out->room + more) + 64;
  char *at = realloc(out->at, room);
  out->no_memory = !at;
  if (!at) return false;
  out->at = at;
  out->room = room;
  return true;
}

static void put_bytes(text *out, const char *s, size_t n) {
  if (!room_for(out, n)) return;
  memcpy(out->at + out->length, s, n);
  out->length += n;
}

void put_text(text *out, const char *s) { put_bytes(out, s, strlen(s)); }

void put_string(text *out, const char *s) {
  put_text(out, "\"");
  for (; *s; s++) {
    char escaped[8];
    if (*s == '"' || *s == '\\') snprintf(escaped, sizeof escaped, "\\%c", *s);
    else if ((unsigned char)*s < 0x20) snprintf(escaped, sizeof escaped, "\\u%04x", (unsigned)*s);
    else snprintf(escaped, sizeof escaped, "%c", *s);
    put_text(out, escaped);
  }
  put_text(out, "\"");
}

void put_integer(text *out, int64_t k) {
  char digits[32];
  put_bytes(out, digits, (size_t)snprintf(digits, sizeof digits, "%" PRId64, k));
}

void put_number(text *out, double x) {
  char digits[40] = "0.0";
  out->not_finite = out->not_finite || !isfinite(x);
  if (x == 0) put_bytes(out, digits, 3);
  else put_bytes(out, digits, (size_t)snprintf(digits, sizeof digits, "%.17g", x));
}

#define PUT_EACH(put, element)        \
  put_text(out, "[");                 \
  for (int64_t i = 0; i < n; i++) {   \
    if (i) put_text(out, ",");        \
    put(out, element);                \
  }                                   \
  put_text(out, "]")

void put_list(text *out, const double *x, int64_t n) { PUT_EACH(put_number, x[i]); }

void put_integers(text *out, const int64_t *k, int64_t n) { PUT_EACH(put_integer, k[i]); }

void put_matrix(text *out, const double *x, int64_t rows, int64_t columns) {
  put_text(out, "[");
  for (int64_t i = 0; i < rows; i++) {
    if (i) put_text(out, ",");
    put_list(out, x + i * columns, columns);
  }
  put_text(out, "]");
}
