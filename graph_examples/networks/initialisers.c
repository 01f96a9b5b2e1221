/* Initialisers: what fills a weight at the first pass. Random ones draw from a seed made of the model's seed and the
 * parameter's name, so that a weight does not depend on which others there are. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "model.h"

typedef enum distribution { CONSTANT, BETWEEN, UNIFORM, NORMAL, ORTHOGONAL } distribution;

/* The constant, the standard deviation or the gain, from the first argument and the fans. */
static double none(double a, double in, double out) { return (void)a, (void)in, (void)out, 0; }
static double one(double a, double in, double out) { return (void)a, (void)in, (void)out, 1; }
static double itself(double a, double in, double out) { return (void)in, (void)out, a; }
static double glorot(double gain, double in, double out) { return gain * sqrt(2 / (in + out)); }
static double he(double slope, double in, double out) { return (void)out, sqrt(2 / ((1 + slope * slope) * in)); }
static double lecun(double a, double in, double out) { return (void)a, (void)out, sqrt(1 / in); }

/* BETWEEN two arguments; UNIFORM around 0 and NORMAL have the standard deviation. */
static const struct {
  const char *signature, *doc;
  distribution kind;
  double (*scale)(double a, double in, double out);
} rows[] = {
  {"zeros()", "zeros: 0; units that start alike stay alike", CONSTANT, none},
  {"ones()", "ones: 1", CONSTANT, one},
  {"constant(value)", "constant(value): that value", CONSTANT, itself},
  {"uniform(low, high)", "uniform(low, high): uniform in [low, high)", BETWEEN, none},
  {"normal(std)", "normal(std): Gaussian of mean 0", NORMAL, itself},
  {"glorot(gain=1)", "glorot(gain=1): uniform within gain sqrt(6 / (in + out)) (Glorot and Bengio 2010)", UNIFORM, glorot},
  {"glorot_normal(gain=1)", "glorot_normal(gain=1): Gaussian of variance gain^2 2 / (in + out)", NORMAL, glorot},
  {"he(slope=0)", "he(slope=0): Gaussian of variance 2 / ((1 + slope^2) in), for relu (He et al. 2015)", NORMAL, he},
  {"he_uniform(slope=0)", "he_uniform(slope=0): uniform of the same variance", UNIFORM, he},
  {"lecun()", "lecun: Gaussian of variance 1 / in (LeCun et al. 1998)", NORMAL, lecun},
  {"lecun_uniform()", "lecun_uniform: uniform of the same variance", UNIFORM, lecun},
  {"orthogonal(gain=1)", "orthogonal(gain=1): gain times a matrix of orthonormal rows or columns (Saxe et al. 2014)",
   ORTHOGONAL, itself},
};
enum { ROWS = sizeof rows / sizeof *rows };

const char *cr_initializer_doc(int k) { return k >= 0 && k < ROWS ? rows[k].doc : NULL; }

/* Modified Gram and Schmidt, twice, over n rows of the given length, n <= length. */
static void orthonormalise(double *q, int64_t n, int64_t length) {
  for (int64_t i = 0; i < n; i++) {
    double *row = q + i * length;
    for (int64_t j = 0; j < 2 * i; j++) {
      const double *other = q + j % i * length;
      double dot = 0;
      for (int64_t k = 0; k < length; k++) dot += row[k] * other[k];
      for (int64_t k = 0; k < length; k++) row[k] -= dot * other[k];
    }
    double square = 0;
    for (int64_t k = 0; k < length; k++) square += row[k] * row[k];
    for (int64_t k = 0; k < length; k++) row[k] /= sqrt(square);
  }
}

/* As a matrix of the first axis by all others; the shorter side's vectors become orthonormal. */
static int fill_orthogonal(cr_array *a, double gain, cr_random *random) {
  int64_t rows_of = a->rank ? a->dim[0] : 1, columns = rows_of ? a->count / rows_of : 0;
  int wide = rows_of <= columns;
  int64_t n = wide ? rows_of : columns, length = wide ? columns : rows_of;
  double *q = malloc((size_t)a->count * sizeof *q + 1);
  if (!q) return 0;
  for (int64_t k = 0; k < a->count; k++) q[k] = cr_random_normal(random);
  orthonormalise(q, n, length);
  for (int64_t i = 0; i < n; i++)
    for (int64_t k = 0; k < length; k++) cr_array_set(a, wide ? i * columns + k : k * columns + i, gain * q[i * length + k]);
  free(q);
  return 1;
}

static cr_status fill(cr_model *m, cr_parameter *p, int row, const double argument[2]) {
  cr_random random = {.seed = XXH3_64bits_withSeed(p->name, strlen(p->name), m->seed)};
  cr_array *a = &p->value;
  double scale = rows[row].scale(argument[0], (double)p->fan_in, (double)p->fan_out), low = -sqrt(3) * scale,
         width = -2 * low;
  if (rows[row].kind == ORTHOGONAL && !fill_orthogonal(a, scale, &random)) cr__model_full(m);
  if (rows[row].kind == ORTHOGONAL) return cr_error(m->tape);
  if (rows[row].kind == BETWEEN) low = argument[0], width = argument[1] - argument[0];
  for (int64_t k = 0; k < a->count; k++) {
    double x = scale;
    if (rows[row].kind == NORMAL) x *= cr_random_normal(&random);
    else if (rows[row].kind != CONSTANT) x = low + width * cr_random_uniform(&random);
    cr_array_set(a, k, x);
  }
  return CR_OK;
}

static int row_named(const char *name, size_t length) {
  for (int k = 0; k < ROWS; k++)
    if (strcspn(rows[k].signature, "(") == length && !strncmp(rows[k].signature, name, length)) return k;
  return -1;
}

static cr_status unknown(cr_model *m, const cr_parameter *p, const char *initializer) {
  cr_problem why = {.status = CR_OK};
  cr_refuse_name(&why, "initialiser", initializer, cr_initializer_doc);
  cr_fail(m->tape, why.status, "%s: %s", p->name, why.text);
  return why.status;
}

cr_status cr__initialize(cr_model *m, cr_parameter *p, const char *initializer) {
  char call[200];
  size_t length = strcspn(initializer, " (");
  int row = row_named(initializer, length);
  snprintf(call, sizeof call, "%.*s", (int)length, initializer);
  if (row < 0) return unknown(m, p, call);
  cr_problem problem = {.status = CR_OK};
  cr_arguments given = {0};
  snprintf(call, sizeof call, "%s%s", initializer, initializer[length] ? "" : "()");
  if (cr_arguments_read(&given, call, rows[row].signature, NULL, &problem) != CR_OK) {
    cr_fail(m->tape, problem.status, "%s: %s", p->name, problem.text);
    return problem.status;
  }
  double value[2] = {0, 0};
  for (int i = 0; i < given.n && i < 2; i++) value[i] = given.argument[i].number;
  cr_arguments_free(&given);
  return fill(m, p, row, value);
}

void cr_model_initialize_with(cr_model *m, const char *initializer) {
  char *copy = initializer ? cr__model_text(initializer) : NULL;
  if (initializer && !copy) cr__model_full(m);
  free(m->initializer);
  m->initializer = copy;
}

char *cr__initializer_set(cr_model *m, const char *initializer) {
  char *before = m->initializer;
  if (!initializer) return before;
  m->initializer = NULL;
  cr_model_initialize_with(m, initializer);
  return before;
}

void cr__initializer_back(cr_model *m, char *before, const char *initializer) {
  if (!initializer) return;
  free(m->initializer);
  m->initializer = before;
}
