#include "samples.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

double uniform(uint64_t seed, uint64_t k) {
  uint64_t x = seed * 0x9E3779B97F4A7C15u + k * 0xD1B54A32D192ED03u + 0x632BE59BD9B4E019u;
  x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
  x = (x ^ x >> 27) * 0x94D049BB133111EBu;
  return (double)((x ^ x >> 31) >> 11) * 0x1p-53;
}

static double normal(uint64_t seed, uint64_t k) {
  return sqrt(-2 * log(uniform(seed, 2 * k) + 0x1p-60)) * cos(6.283185307179586 * uniform(seed, 2 * k + 1));
}

typedef struct placeholder {
  char name[64];
  int rank;
  int64_t dim[CR_MAX_RANK], count;
  char kind; /* 'n' normal, 'u' uniform in (lo, hi), 'c' choice, 'i' index below hi, 'm' mask */
  double lo, hi, choice[8];
  int n_choices, constant;
} placeholder;

static int is_word(int c) { return isalnum(c) || c == '_'; }

static const char *read_dims(const char *s, placeholder *p) {
  p->rank = 0, p->count = 1;
  for (s++; *s != ')';) {
    char *end;
    int64_t n = strtoll(s, &end, 10);
    if (end == s || p->rank == CR_MAX_RANK) return NULL;
    p->dim[p->rank++] = n;
    p->count *= n;
    s = end;
    while (*s == ',' || *s == ' ') s++;
  }
  return s + 1;
}

/* What follows the shape: the range. */
static const char *read_range(const char *s, placeholder *p) {
  char *end;
  p->kind = 'n';
  if (!strncmp(s, ">0", 2)) {
    p->kind = 'u', p->lo = 0.3, p->hi = 3;
    return s + 2;
  }
  if (*s == '?') {
    p->kind = 'm';
    return s + 1;
  }
  if (*s == '<' && isdigit((unsigned char)s[1])) {
    p->kind = 'i';
    p->hi = strtod(s + 1, &end);
    return end;
  }
  if (*s == '[' && (isdigit((unsigned char)s[1]) || s[1] == '-' || s[1] == '.')) {
    p->kind = 'u';
    p->lo = strtod(s + 1, &end);
    if (*end != ',') return NULL;
    p->hi = strtod(end + 1, &end);
    return *end == ']' ? end + 1 : NULL;
  }
  if (*s == '{') {
    p->kind = 'c';
    for (p->n_choices = 0; *s != '}' && p->n_choices < 8; s = end) p->choice[p->n_choices++] = strtod(s + 1, &end);
    return s + 1;
  }
  return s;
}

/* A ! at the end makes it a constant. */
static const char *read_suffix(const char *s, placeholder *p) {
  s = read_range(s, p);
  p->constant = p->kind == 'i' || p->kind == 'm' || p->kind == 'c' || (s && *s == '!');
  return s && *s == '!' ? s + 1 : s;
}

static cr_var make_input(cr_tape *t, const placeholder *p, cr_dtype dtype, uint64_t seed) {
  cr_dtype d = p->kind == 'i' ? CR_INT64 : p->kind == 'm' ? CR_BOOL : dtype;
  if (p->rank == 0 && d == CR_FLOAT64 && !p->constant)
    return cr_input(t, p->kind == 'u' ? p->lo + (p->hi - p->lo) * uniform(seed, 0) : normal(seed, 0));
  cr_var v = !p->constant ? cr_tensor_of(t, d, p->rank, p->dim, NULL) : cr_constant_of(t, d, p->rank, p->dim, NULL);
  cr_array a = cr_view(v);
  for (int64_t k = 0; v.id && k < a.count; k++) {
    double r = uniform(seed, (uint64_t)k);
    cr_array_set(&a, k,
                 p->kind == 'n'   ? normal(seed, (uint64_t)k)
                 : p->kind == 'u' ? p->lo + (p->hi - p->lo) * r
                 : p->kind == 'i' ? floor(p->hi * r)
                 : p->kind == 'm' ? r < 0.5
                                  : p->choice[(int)(r * p->n_choices)]);
  }
  return v;
}

/* A placeholder at s, just after its name: ":(" begins one. Returns its end, NULL when there is none. */
static const char *placeholder_at(const char *s, placeholder *p) {
  if (s[0] != ':' || s[1] != '(') return NULL;
  const char *end = read_dims(s + 1, p);
  return end ? read_suffix(end, p) : NULL;
}

int sample_make(sample *s, const char *text, size_t length, cr_dtype dtype, uint64_t seed, char *error) {
  char source[2048], in[2048];
  size_t n = 0;
  *s = (sample){.tape = cr_new()};
  snprintf(in, sizeof in, "%.*s", (int)length, text);
  cr_program *program = cr_program_new(s->tape, dtype);
  for (const char *at = in; *at && n + 80 < sizeof source;) {
    placeholder p;
    size_t word = 0;
    while (is_word((unsigned char)at[word])) word++;
    const char *end = word && word < sizeof p.name && isalpha((unsigned char)*at) ? placeholder_at(at + word, &p) : NULL;
    if (!word) word = 1;
    memcpy(source + n, at, word);
    n += word;
    if (end) {
      snprintf(p.name, sizeof p.name, "%.*s", (int)word, at);
      cr_var v = cr_name(make_input(s->tape, &p, dtype, seed * 64 + (uint64_t)(at - in)), p.name);
      cr_program_bind(program, p.name, v);
      if (!p.constant && s->n_inputs < MOST_INPUTS) s->input[s->n_inputs++] = v;
    }
    at = end ? end : at + word;
  }
  cr_syntax_error where;
  if (cr_program_run(program, source, n, &s->results, &where) == CR_OK && s->results.n > 0) return 1;
  snprintf(error, 300, "%.*s: %.200s", (int)n, source, cr_error(s->tape) != CR_OK ? cr_error_text(s->tape) : "no result");
  sample_free(s);
  return 0;
}

void sample_free(sample *s) {
  cr_free(s->tape);
  s->tape = NULL;
}

const char *sample_next(const char **rest, size_t *length) {
  const char *s = *rest;
  if (!s) return NULL;
  while (*s == ' ' || *s == ';' || *s == '\n') s++;
  if (!*s) return NULL;
  int quoted = 0;
  const char *end = s;
  for (; *end && (quoted || *end != ';'); end++) quoted ^= *end == '\'';
  *length = (size_t)(end - s);
  *rest = end;
  return s;
}

void sample_range(const char *domain, char operand, char *suffix, size_t size) {
  char key[8];
  snprintf(key, sizeof key, "%c in ", operand);
  const char *s = domain ? strstr(domain, key) : NULL;
  suffix[0] = 0;
  if (!s) return;
  s += strlen(key);
  size_t n = strcspn(s, ")}") + 1;
  if (n + 1 > size) return;
  memcpy(suffix, s, n);
  suffix[n] = 0;
  if (suffix[0] == '(') suffix[0] = '[', suffix[n - 1] = ']';
  char *to = suffix;
  for (const char *from = suffix; *from; from++)
    if (*from != ' ') *to++ = *from;
  *to = 0;
}

const char *function_name(const cr_function *f, char *name, size_t size) {
  snprintf(name, size, "%.*s", (int)strcspn(f->signature, "("), f->signature);
  return name;
}
