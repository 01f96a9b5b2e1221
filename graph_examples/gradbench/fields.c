/* The fields of a message's input, checked: see gradbench.h. */
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gradbench.h"

bool complain(complaint *c, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(c->text, sizeof c->text, format, arguments);
  va_end(arguments);
  return false;
}

enum { MOST = 1 << 29 }; /* numbers in a field: 4 GiB */

/* Room for count elements of 8 bytes at *at, in pages that are there before the clock starts; what it held is lost. */
static void *grown(void *at, int64_t *room, int64_t count) {
  if (at && count <= *room) return at;
  free(at);
  *room = 0;
  at = count <= MOST ? malloc((size_t)(count ? count : 1) * 8) : NULL;
  if (at) *room = count, memset(at, 0, (size_t)count * 8);
  return at;
}

bool make_room(numbers *x, int64_t count, complaint *c) {
  x->at = grown(x->at, &x->room, count);
  x->count = x->at ? count : 0;
  return x->at || complain(c, "no memory for %" PRId64 " numbers", count);
}

bool make_integer_room(integers *x, int64_t count, complaint *c) {
  x->at = grown(x->at, &x->room, count);
  x->count = x->at ? count : 0;
  return x->at || complain(c, "no memory for %" PRId64 " integers", count);
}

void write_list_function(const void *state, int function, text *out) {
  const list_function *f = state;
  if (function) put_list(out, f->gradient.at, f->gradient.count);
  else put_number(out, f->value);
}

void release_list_function(void *state) {
  list_function *f = state;
  free(f->x.at);
  free(f->gradient.at);
}

static json_t *field(const json_t *input, const char *name, complaint *c) {
  json_t *value = json_object_get(input, name);
  if (!json_is_object(input)) complain(c, "the input is not an object, so it has no field %s", name);
  else if (!value) complain(c, "field %s is missing", name);
  return value;
}

json_t *read_object(const json_t *input, const char *name, complaint *c) {
  json_t *value = field(input, name, c);
  if (value && !json_is_object(value)) {
    complain(c, "field %s is not an object", name);
    return NULL;
  }
  return value;
}

/* 3.0 is an integer too. */
static bool integer_of(const json_t *value, int64_t least, int64_t most, int64_t *out) {
  double x = json_number_value(value);
  if (!json_is_number(value) || x != floor(x) || fabs(x) > 9007199254740992.0) return false;
  *out = json_is_integer(value) ? json_integer_value(value) : (int64_t)x;
  return *out >= least && *out <= most;
}

bool read_integer(const json_t *input, const char *name, int64_t least, int64_t most, int64_t *out, complaint *c) {
  const json_t *value = field(input, name, c);
  return value && (integer_of(value, least, most, out) ||
                   complain(c, "field %s is not an integer from %" PRId64 " to %" PRId64, name, least, most));
}

bool read_number(const json_t *input, const char *name, double *out, complaint *c) {
  const json_t *value = field(input, name, c);
  if (!value) return false;
  *out = json_number_value(value);
  return json_is_number(value) || complain(c, "field %s is not a number", name);
}

/* A walk through nested lists. */
typedef struct nest {
  const char *name;
  int rank;
  int64_t *dim, at[CR_MAX_RANK], taken;
  double *numbers;
  int64_t *integers, least, most;
  complaint *complaint;
} nest;

/* A complaint about the place at[0..depth): "x[3][0] is not a number". */
static bool complain_at(const nest *w, int depth, const char *what, int64_t need, int64_t have) {
  char place[128];
  size_t n = (size_t)snprintf(place, sizeof place, "%.40s", w->name);
  for (int i = 0; i < depth && n < 100; i++) n += (size_t)snprintf(place + n, sizeof place - n, "[%" PRId64 "]", w->at[i]);
  if (what) return complain(w->complaint, "field %s %s", place, what);
  return complain(w->complaint, "field %s has length %" PRId64 ", not %" PRId64, place, have, need);
}

/* Fills in the dims that are not given from the first lists of each depth. */
static void settle_dims(nest *w, const json_t *value) {
  for (int i = 0; i < w->rank; i++, value = json_array_get(value, 0))
    if (w->dim[i] < 0) w->dim[i] = (int64_t)json_array_size(value);
}

/* All lengths, before anything is made room for. */
static bool check_lengths(nest *w, int depth, const json_t *value) {
  int64_t length = (int64_t)json_array_size(value);
  if (!json_is_array(value)) return complain_at(w, depth, "is not a list", 0, 0);
  if (length != w->dim[depth]) return complain_at(w, depth, NULL, w->dim[depth], length);
  for (int64_t k = 0; k < length && depth + 1 < w->rank; k++) {
    w->at[depth] = k;
    if (!check_lengths(w, depth + 1, json_array_get(value, (size_t)k))) return false;
  }
  return true;
}

static bool take_one(nest *w, const json_t *value) {
  if (w->integers) {
    if (integer_of(value, w->least, w->most, &w->integers[w->taken++])) return true;
    char what[100];
    snprintf(what, sizeof what, "is not an integer from %" PRId64 " to %" PRId64, w->least, w->most);
    return complain_at(w, w->rank, what, 0, 0);
  }
  w->numbers[w->taken++] = json_number_value(value);
  return json_is_number(value) || complain_at(w, w->rank, "is not a number", 0, 0);
}

static bool take_all(nest *w, int depth, const json_t *value) {
  if (depth == w->rank) return take_one(w, value);
  for (int64_t k = 0; k < w->dim[depth]; k++) {
    w->at[depth] = k;
    if (!take_all(w, depth + 1, json_array_get(value, (size_t)k))) return false;
  }
  return true;
}

/* The field, a list of the right shape, and its number of elements; NULL after a complaint. */
static const json_t *shaped_field(nest *w, const json_t *input, int64_t *count) {
  const json_t *value = field(input, w->name, w->complaint);
  if (!value) return NULL;
  settle_dims(w, value);
  if (!check_lengths(w, 0, value)) return NULL;
  *count = 1;
  for (int i = 0; i < w->rank; i++) *count *= w->dim[i];
  return value;
}

bool read_numbers(const json_t *input, const char *name, int rank, int64_t *dim, numbers *out, complaint *c) {
  nest w = {.name = name, .rank = rank, .dim = dim, .complaint = c};
  int64_t count;
  const json_t *value = shaped_field(&w, input, &count);
  if (!value || !make_room(out, count, c)) return false;
  w.numbers = out->at;
  return take_all(&w, 0, value);
}

bool read_integers(const json_t *input, const char *name, int rank, int64_t *dim, int64_t least, int64_t most, integers *out,
                   complaint *c) {
  nest w = {.name = name, .rank = rank, .dim = dim, .complaint = c, .least = least, .most = most};
  int64_t count;
  const json_t *value = shaped_field(&w, input, &count);
  if (!value || !make_integer_room(out, count, c)) return false;
  w.integers = out->at;
  return take_all(&w, 0, value);
}
