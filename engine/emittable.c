/* Constant arrays in emitted C: tables, or, where they are long and follow a rule, a part of the workspace that is filled
 * when it is first needed. */
#include "emitting.h"

enum { LONG_TABLE = 256, MOST_EXCEPTIONS = 8 };

static void put_table(cr_emitter *e, const char *name, const cr_array *a) {
  cr_buffer *b = &e->tables;
  char shape[200];
  cr_put(b, "static const %s %s[%lld] = { /* %s */", cr_emit_type((cr_dtype)a->dtype), name,
         (long long)(a->count ? a->count : 1), cr_shape_text(a, shape, sizeof shape));
  for (int64_t k = 0; k < a->count; k++) {
    cr_put(b, k % 8 ? " " : "\n  ");
    cr__put_element(e, b, a, k);
    cr_put(b, ",");
  }
  cr_put(b, a->count ? "\n};\n" : "0};\n");
}

static bool same_number(double a, double b) { return !memcmp(&a, &b, sizeof a); }

/* Whole numbers, small enough to be exact in every dtype, at even distances. */
static bool is_progression(const cr_array *a) {
  const double most = 1 << 24, first = cr_array_get(a, 0), step = cr_array_get(a, 1) - first;
  for (int64_t k = 0; k < a->count; k++) {
    double x = cr_array_get(a, k);
    if (!(fabs(x) <= most) || x != floor(x) || !same_number(x, first + (double)k * step + 0.0)) return false;
  }
  return a->dtype != CR_BOOL;
}

/* One number but for a few places. */
static int exceptions(const cr_array *a, double usual, int64_t *at) {
  int n = 0;
  for (int64_t k = 0; k < a->count; k++) {
    if (same_number(cr_array_get(a, k), usual)) continue;
    if (n == MOST_EXCEPTIONS) return -1;
    at[n++] = k;
  }
  return n;
}

static const char *number(cr_emitter *e, const cr_array *a, int64_t k) {
  return cr__literal(e, cr_array_get(a, k), (cr_dtype)a->dtype);
}

static bool put_filled(cr_emitter *e, const char *name, const cr_array *a) {
  int64_t at[MOST_EXCEPTIONS], middle = a->count / 2;
  const char *type = cr_emit_type((cr_dtype)a->dtype);
  bool even = is_progression(a);
  int n = even ? 0 : exceptions(a, cr_array_get(a, middle), at);
  if (n < 0) return false;
  cr__add_member(e, name, (cr_dtype)a->dtype, a->count);
  cr__statement(e, "for (int i = 0; i < %lld; i++)", (long long)a->count);
  if (even) {
    const long long first = (long long)cr_array_get(a, 0), step = (long long)cr_array_get(a, 1) - first;
    cr__statement(e, "  ws->%s[i] = (%s)(%lld + %lld * i);", name, type, first, step);
  } else {
    cr__statement(e, "  ws->%s[i] = %s;", name, number(e, a, middle));
  }
  for (int k = 0; k < n; k++) cr__statement(e, "ws->%s[%lld] = %s;", name, (long long)at[k], number(e, a, at[k]));
  return true;
}

const char *cr__table(cr_emitter *e, cr__item *x, const cr_array *a) {
  if (!x->member) {
    x->filled = a->count >= LONG_TABLE && !e->level && !e->number && put_filled(e, x->name, a);
    if (!x->filled) put_table(e, x->name, a);
  }
  x->member = true;
  if (!x->filled) return x->name;
  e->uses_workspace = true;
  return cr__format(e, "ws->%s", x->name);
}
