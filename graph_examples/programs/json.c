/* JSON in and out. jansson writes 17 significant digits; what JSON lacks, nan and inf, travels as strings. */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "command.h"

/* Writing */

json_t *json_text(const char *text) {
  json_t *j = json_string(text);
  char *wide = j ? NULL : malloc(2 * strlen(text) + 1), *to = wide;
  if (!wide) return j;
  for (; *text; text++) {
    unsigned char c = (unsigned char)*text;
    if (c > 127) *to++ = (char)(0xC0 | c >> 6);
    *to++ = (char)(c > 127 ? 0x80 | (c & 0x3F) : c);
  }
  *to = 0;
  j = json_string(wide);
  free(wide);
  return j;
}

json_t *json_number_of(double x) {
  return isfinite(x) ? json_real(x) : json_string(isnan(x) ? "nan" : x > 0 ? "inf" : "-inf");
}

static json_t *element(const tensor *x, int64_t k) {
  if (x->real) return json_number_of(x->real[k]);
  return x->dtype == CR_BOOL ? json_boolean(x->whole[k] != 0) : json_integer(x->whole[k]);
}

json_t *json_tensor(const tensor *x) {
  json_t *shape = json_array(), *data = json_array(), *object = json_object();
  bool good = shape && data && object;
  for (int i = 0; good && i < x->rank; i++) good = !json_array_append_new(shape, json_integer(x->dim[i]));
  for (int64_t k = 0; good && k < x->count; k++) good = !json_array_append_new(data, element(x, k));
  good = good && !json_object_set_new(object, "dtype", json_string(cr_dtype_name(x->dtype)));
  if (good) {
    json_object_set(object, "shape", shape);
    json_object_set(object, "data", data);
  }
  json_decref(shape);
  json_decref(data);
  if (good) return object;
  json_decref(object);
  return NULL;
}

json_t *json_var(cr_var v) {
  tensor x;
  problem p;
  if (!tensor_of(&x, v, &p)) return NULL;
  json_t *j = json_tensor(&x);
  tensor_free(&x);
  return j;
}

int put_json(FILE *f, json_t *j) {
  if (!j) return complain_memory();
  bool good = !json_dumpf(j, f, JSON_REAL_PRECISION(17) | JSON_ENCODE_ANY) && fputc('\n', f) != EOF;
  json_decref(j);
  return good || ferror(f) ? STATUS_GOOD : complain_memory(); /* main reports write errors */
}

/* Reading */

/* The text of a number token as Python and JavaScript may write it, in the form that jansson reads: NaN and the infinities
 * as strings, integers beyond int64 as reals. Returns how many bytes of the input it took, 0 for other tokens. */
static size_t tolerate(const char *s, size_t length, char *out, size_t *n) {
  static const char *const word[][2] = {
    {"NaN", "\"nan\""}, {"-NaN", "\"nan\""}, {"Infinity", "\"inf\""}, {"-Infinity", "\"-inf\""}};
  for (size_t k = 0; k < sizeof word / sizeof *word; k++) {
    size_t size = strlen(word[k][0]);
    if (length < size || memcmp(s, word[k][0], size)) continue;
    *n = strlen(word[k][1]);
    memcpy(out, word[k][1], *n);
    return size;
  }
  size_t size = *s == '-';
  while (size < length && isdigit((unsigned char)s[size])) size++;
  if (size < 19) return 0;
  memcpy(out, s, size);
  *n = size;
  bool whole = size == length || !strchr(".eE", s[size]);
  char *end;
  errno = 0;
  char *copy = strndup(s, size);
  if (copy) strtoll(copy, &end, 10);
  if (whole && (errno == ERANGE || !copy)) memcpy(out + size, "e0", 2), *n += 2;
  free(copy);
  return size;
}

/* A copy of the line with those tokens replaced; NULL when memory runs out. No token grows to more than twice its size. */
static char *tolerant_copy(const char *line, size_t length, size_t *size) {
  char *copy = malloc(2 * length + 8);
  size_t n = 0;
  bool quoted = false;
  for (size_t i = 0; copy && i < length;) {
    bool token = !quoted && (line[i] == '-' || line[i] == 'N' || line[i] == 'I' || isdigit((unsigned char)line[i])) &&
                 (!i || !(isalnum((unsigned char)line[i - 1]) || strchr(".+-", line[i - 1])));
    size_t out = 0, taken = token ? tolerate(line + i, length - i, copy + n, &out) : 0;
    n += out;
    i += taken;
    if (taken) continue;
    if (line[i] == '"') quoted = !quoted;
    if (quoted && line[i] == '\\' && i + 1 < length) copy[n++] = line[i++];
    copy[n++] = line[i++];
  }
  *size = n;
  return copy;
}

json_t *json_read_line(const char *line, size_t length, problem *p) {
  json_error_t e;
  size_t size;
  char *copy = tolerant_copy(line, length, &size);
  json_t *j = copy ? json_loadb(copy, size, JSON_REJECT_DUPLICATES, &e) : NULL;
  if (!copy)
    fail(p, "no memory", "out of memory");
  else if (!j)
    fail(p, "bad json", "not JSON: %s at byte %d", e.text, e.position);
  free(copy);
  return j;
}

/* Tensors */

static bool number_of_text(const char *s, double *x) {
  bool negative = *s == '-';
  if (*s == '-' || *s == '+') s++;
  if (!strcasecmp(s, "nan")) *x = nan("");
  else if (!strcasecmp(s, "inf") || !strcasecmp(s, "infinity")) *x = negative ? -HUGE_VAL : HUGE_VAL;
  else return false;
  return true;
}

static bool put_element(tensor *x, int64_t k, const json_t *j, problem *p) {
  double value = 0;
  if (json_is_string(j) ? !number_of_text(json_string_value(j), &value) : !json_is_number(j) && !json_is_boolean(j))
    return fail(p, "bad number", "element %lld is not a number, a bool, or one of \"nan\", \"inf\", \"-inf\"", (long long)k);
  if (json_is_number(j)) value = json_number_value(j);
  if (json_is_boolean(j)) value = json_is_true(j);
  if (x->real) {
    x->real[k] = x->dtype == CR_FLOAT32 ? (double)(float)value : value;
    return true;
  }
  if (value != floor(value) || fabs(value) > 9.3e18 || isnan(value) || (x->dtype == CR_BOOL && value != 0 && value != 1) ||
      (x->dtype == CR_INT32 && fabs(value) > 2147483648.0 - (value > 0)))
    return fail(p, "bad number", "element %lld, %.17g, is not of dtype %s", (long long)k, value, cr_dtype_name(x->dtype));
  x->whole[k] = json_is_integer(j) ? json_integer_value(j) : value >= 9223372036854775807.0 ? INT64_MAX : (int64_t)value;
  return true;
}

/* The shape of a nested list, from its first elements. */
static bool nested_shape(const json_t *j, int *rank, int64_t *dim, problem *p) {
  for (*rank = 0; json_is_array(j); j = json_array_get(j, 0)) {
    if (*rank == CR_MAX_RANK) return fail(p, "bad shape", "lists nested more than %d deep", CR_MAX_RANK);
    dim[(*rank)++] = (int64_t)json_array_size(j);
    if (!json_array_size(j)) break;
  }
  return true;
}

static bool fill_nested(tensor *x, const json_t *j, int depth, int rank, const int64_t *dim, int64_t *k, problem *p) {
  if (depth == rank) {
    if (json_is_array(j))
      return fail(p, "bad shape", "a ragged list: a list where element %lld should be a number", (long long)*k);
    return put_element(x, (*k)++, j, p);
  }
  if (!json_is_array(j) || (int64_t)json_array_size(j) != dim[depth])
    return fail(p, "bad shape", "a ragged list: %lld elements expected along axis %d", (long long)dim[depth], depth);
  for (size_t i = 0; i < json_array_size(j); i++)
    if (!fill_nested(x, json_array_get(j, i), depth + 1, rank, dim, k, p)) return false;
  return true;
}

static bool first_is_bool(const json_t *j) {
  while (json_is_array(j) && json_array_size(j)) j = json_array_get(j, 0);
  return json_is_boolean(j);
}

static bool read_shape(const json_t *j, int *rank, int64_t *dim, problem *p) {
  *rank = 0;
  if (json_is_integer(j)) {
    dim[(*rank)++] = json_integer_value(j);
    return true;
  }
  if (!json_is_array(j) || json_array_size(j) > CR_MAX_RANK)
    return fail(p, "bad shape", "\"shape\" is a list of at most %d whole numbers", CR_MAX_RANK);
  for (size_t i = 0; i < json_array_size(j); i++) {
    if (!json_is_integer(json_array_get(j, i))) return fail(p, "bad shape", "\"shape\" is a list of whole numbers");
    dim[(*rank)++] = json_integer_value(json_array_get(j, i));
  }
  return true;
}

/* Data that may be nested, flat, or one number for all, into a tensor whose shape is known. */
static bool fill(tensor *x, const json_t *data, problem *p) {
  int rank;
  int64_t dim[CR_MAX_RANK], count = 1, k = 0;
  if (!nested_shape(data, &rank, dim, p)) return false;
  for (int i = 0; i < rank; i++) count = dim[i] && count > INT64_MAX / dim[i] ? INT64_MAX : count * dim[i];
  if (!rank) {
    for (; k < x->count; k++)
      if (!put_element(x, k, data, p)) return false;
    return true;
  }
  if (count != x->count)
    return fail(p, "bad shape", "%lld numbers for a shape of %lld", (long long)count, (long long)x->count);
  return fill_nested(x, data, 0, rank, dim, &k, p);
}

bool tensor_of_json(tensor *x, const json_t *j, cr_dtype dtype, problem *p) {
  *x = (tensor){0};
  const json_t *data = json_is_object(j) ? json_object_get(j, "data") : j, *shape = json_object_get(j, "shape");
  const json_t *name = json_object_get(j, "dtype");
  if (!data) return fail(p, "bad request", "a tensor is a number, a list, or an object with \"data\"");
  if (name && (!json_is_string(name) || cr_dtype_of_name(json_string_value(name)) < 0))
    return fail(p, "bad dtype", "\"dtype\" is one of float64, float32, int64, int32, bool");
  if (name) dtype = (cr_dtype)cr_dtype_of_name(json_string_value(name));
  else if (first_is_bool(data)) dtype = CR_BOOL;
  int rank;
  int64_t dim[CR_MAX_RANK];
  if (!(shape ? read_shape(shape, &rank, dim, p) : nested_shape(data, &rank, dim, p))) return false;
  if (tensor_make(x, dtype, rank, dim, p) && fill(x, data, p)) return true;
  tensor_free(x);
  return false;
}

bool tensor_like_json(tensor *x, const json_t *j, cr_var like, problem *p) {
  cr_array a = cr_view(like);
  const json_t *data = json_is_object(j) ? json_object_get(j, "data") : j;
  *x = (tensor){0};
  if (!data) return fail(p, "bad request", "a tensor is a number, a list, or an object with \"data\"");
  if (tensor_make(x, (cr_dtype)a.dtype, a.rank, a.dim, p) && fill(x, data, p)) return true;
  tensor_free(x);
  return false;
}
