/* From the command line to a tape: the source, the inputs, the results. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <data/data.h>

#include "command.h"

char *read_stream(FILE *f, size_t limit, size_t *length) {
  char *text = NULL;
  size_t n = 0, capacity = 0, got;
  do {
    if (capacity - n < 2) {
      capacity = capacity ? 2 * capacity : 4096;
      char *grown = realloc(text, capacity);
      if (!grown) {
        free(text);
        errno = ENOMEM;
        return NULL;
      }
      text = grown;
    }
    errno = 0;
    got = fread(text + n, 1, capacity - n - 1, f);
    n += got;
  } while (got && n <= limit);
  if (ferror(f) || n > limit) {
    if (n > limit) errno = EFBIG;
    free(text);
    return NULL;
  }
  text[n] = 0;
  *length = n;
  return text;
}

static bool ends_in(const char *s, const char *end) {
  size_t n = strlen(s), m = strlen(end);
  return n >= m && !strcmp(s + n - m, end);
}

static bool read_source(context *c, FILE *f, const char *title) {
  c->title = title;
  c->source = read_stream(f, CR_MAX_SOURCE, &c->length);
  if (!c->source) complain("cannot read %s: %s", title, strerror(errno));
  return c->source != NULL;
}

bool open_source(context *c) {
  if (!c->n_arguments)
    return complain("%s needs an expression, a .chain file, or - for standard input", c->verb->name), false;
  if (c->n_arguments > 1) return complain("one expression is expected; '%s' is one too many", c->argument[1]), false;
  const char *s = c->argument[0];
  if (!strcmp(s, "-")) return read_source(c, stdin, "standard input");
  if (ends_in(s, ".chain")) {
    FILE *f = fopen(s, "r");
    if (!f) return complain("cannot open %s: %s", s, strerror(errno)), false;
    bool good = read_source(c, f, s);
    fclose(f);
    return good;
  }
  c->source = strdup(s);
  c->length = strlen(s);
  if (!c->source) complain_memory();
  return c->source != NULL;
}

/* Inputs */

/* The columns of numbers as a matrix, or one as a vector. */
static cr_status read_table(cr_array *x, const char *path, cr_problem *p) {
  cr_table t;
  *x = (cr_array){0};
  if (cr_read_csv(&t, path, p) != CR_OK) return p->status;
  int64_t dim[2] = {t.n_rows, t.n_columns};
  cr_array_make(x, CR_FLOAT64, t.n_columns == 1 ? 1 : 2, dim, p);
  for (int64_t k = 0; k < t.n_rows * t.n_columns && p->status == CR_OK; k++) {
    const cr_column *c = &t.column[k % t.n_columns];
    int64_t row = k / t.n_columns;
    if (c->missing && isnan(c->number[row]))
      cr_refuse(p, CR_BAD_ARGUMENT, "%s: line %ld: column '%s' has no number", path, t.line[row], c->name);
    else if (c->n_levels)
      cr_refuse(p, CR_BAD_ARGUMENT, "%s: line %ld: '%s' in column '%s' is not a number", path, t.line[row],
                c->level[(int)c->number[row]], c->name);
    ((double *)x->data)[k] = c->number[row];
  }
  cr_table_free(&t);
  return p->status;
}

static bool bind_file(context *c, const char *name, const char *path) {
  cr_array x = {0}, y = {0};
  cr_problem p = {.status = CR_OK};
  const char *file = strcmp(path, "-") ? path : "/dev/stdin";
  bool good = (ends_in(path, ".npy") ? cr_read_npy : read_table)(&x, file, &p) == CR_OK;
  cr_dtype dtype = good && x.dtype >= CR_FLOAT32 && given(c, OPT_DTYPE) ? c->dtype : (cr_dtype)x.dtype;
  good = good && cr_array_clone(&y, &x, dtype, &p) == CR_OK;
  if (good) cr_program_bind(c->program, name, cr_tensor_of(c->tape, dtype, y.rank, y.dim, y.data));
  else complain("%s: %s", name, p.text);
  cr_array_release(&x);
  cr_array_release(&y);
  return good;
}

static bool bind(context *c, const char *text) {
  const char *value = strchr(text, '=') + 1;
  variable *v = &c->input[c->n_inputs];
  char *name = strndup(text, (size_t)(value - 1 - text));
  if (!name) return complain_memory(), false;
  bool good = true;
  if (!cr_is_poison(cr_program_value(c->program, name)))
    good = (complain("%s is given twice", name), false);
  else if (*value == '@')
    good = bind_file(c, name, value + 1);
  else
    cr_program_bind_text(c->program, name, value, strlen(value));
  if (good && cr_error(c->tape) == CR_OK) {
    v->var = cr_name(cr_program_value(c->program, name), name);
    v->name = cr_name_of(v->var);
    c->n_inputs++;
  }
  if (good && cr_error(c->tape) != CR_OK) good = (complain("%s: %s", text, cr_error_text(c->tape)), false);
  free(name);
  return good;
}

bool open_program(context *c) {
  long mebibytes;
  if (!whole_given(c, OPT_MEMORY, 1, 1 << 20, 4096, &mebibytes)) return false;
  c->tape = cr_new();
  c->input = calloc((size_t)c->n_assignments + 1, sizeof *c->input);
  c->program = c->tape && c->input ? cr_program_new(c->tape, c->dtype) : NULL;
  if (!c->program) return complain_memory(), false;
  cr_set(c->tape, CR_MAX_BYTES, mebibytes);
  for (int k = 0; k < c->n_assignments; k++)
    if (!bind(c, c->assignment[k])) return false;
  return true;
}

/* Results */

/* The name that was assigned last, for sources without a final expression. */
static cr_var last_assigned(const context *c) {
  const char *name, *last = NULL;
  for (int k = 0; (name = cr_program_name(c->program, k)); k++) last = name;
  return last ? cr_program_value(c->program, last) : cr_poison(c->tape);
}

bool run_source(context *c, cr_results *results) {
  cr_syntax_error where = {.status = CR_OK};
  if (!open_source(c) || !open_program(c)) return false;
  if (cr_program_run(c->program, c->source, c->length, results, &where) != CR_OK) return complain_tape(c, &where), false;
  if (results->n) return true;
  results->value[0] = last_assigned(c);
  results->n = !cr_is_poison(results->value[0]);
  return results->n || (complain("%s%shas no value: its last statement is not an expression",
                                 *c->title ? c->title : "the expression", " "), false);
}

static bool add(context *c, variable *x, int *n, const char *name, size_t length) {
  char text[256];
  snprintf(text, sizeof text, "%.*s", (int)length, name);
  cr_var v = cr_program_value(c->program, text);
  for (int k = 0; k < c->n_inputs; k++)
    if (!strcmp(c->input[k].name, text)) v = c->input[k].var;
  if (cr_is_poison(v)) return complain("--wrt: there is no '%s'", text), false;
  if (cr_dtype_of(v) < CR_FLOAT32)
    return complain("--wrt: %s is of dtype %s, which has no derivative", text, cr_dtype_name(cr_dtype_of(v))), false;
  if (!cr_name_of(v)) cr_name(v, text);
  for (int k = 0; k < *n; k++)
    if (!strcmp(x[k].name, text)) return complain("--wrt names %s twice", text), false;
  for (int k = 0; cr_program_name(c->program, k); k++)
    if (!strcmp(cr_program_name(c->program, k), text)) x[(*n)++] = (variable){cr_program_name(c->program, k), v};
  return true;
}

static int default_wrt(context *c, variable *x) {
  int n = 0;
  for (int k = 0; k < c->n_inputs; k++)
    if (cr_dtype_of(c->input[k].var) >= CR_FLOAT32) x[n++] = c->input[k];
  const char *name;
  for (int k = 0; !c->n_inputs && (name = cr_program_name(c->program, k)); k++) {
    cr_var v = cr_program_value(c->program, name);
    if (!cr_is_poison(v) && cr_is_input(v) && cr_dtype_of(v) >= CR_FLOAT32) x[n++] = (variable){name, v};
  }
  cr_clear_error(c->tape);
  return n;
}

variable *wrt_of(context *c, int *n) {
  int room = 1, k = 0;
  const char *list;
  while (cr_program_name(c->program, room - 1)) room++;
  variable *x = calloc((size_t)(room + c->n_inputs), sizeof *x);
  *n = 0;
  if (!x) complain_memory();
  if (x && !has(c, OPT_WRT)) *n = default_wrt(c, x);
  for (bool good = x; good && (list = next_given(c, OPT_WRT, &k));)
    for (const char *s = list; good && *s; s += strspn(s, ", ")) {
      size_t length = strcspn(s, ", ");
      good = add(c, x, n, s, length);
      if (!good) *n = -1;
      s += length;
    }
  if (x && !*n) complain("there is nothing to differentiate with respect to: give inputs as NAME=VALUE");
  if (x && *n > 0) return x;
  free(x);
  *n = -1;
  return NULL;
}
