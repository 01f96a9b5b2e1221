/* Tables as datasets: which columns are inputs and which are targets, which rows stay, and text as one column for each
 * level. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "readers.h"

typedef struct columns {
  int n, *at;
} columns;

typedef struct plan {
  const cr__order *o;
  const char *file;
  cr_table table;
  columns input, target;
  int64_t n, *row; /* the rows that stay */
  bool fill_in;    /* means for missing inputs */
} plan;

static const cr_column *column(const plan *q, int k) { return &q->table.column[k]; }

/* Which columns an argument means */

static cr_status refuse_column(plan *q, const char *name) {
  const cr_table *t = &q->table;
  const char *meant = cr__meant(name, t->n_columns, &t->column[0].name, sizeof *t->column);
  if (meant)
    return cr__refuse_file(q->o->p, CR_UNKNOWN_NAME, q->file, "there is no column '%.60s'; did you mean '%.60s'?", name,
                           meant);
  return cr__refuse_file(q->o->p, CR_UNKNOWN_NAME, q->file, "there is no column '%.60s' among the %d, '%.60s' to '%.60s'",
                         name, t->n_columns, t->column[0].name, t->column[t->n_columns - 1].name);
}

static cr_status add_named(plan *q, columns *c, const char *name) {
  int k = cr_table_column(&q->table, name);
  if (k < 0) return refuse_column(q, name);
  for (int j = 0; j < c->n; j++)
    if (c->at[j] == k) return cr__refuse_file(q->o->p, CR_BAD_ARGUMENT, q->file, "column '%.60s' is named twice", name);
  c->at[c->n++] = k;
  return CR_OK;
}

static cr_status add_numbered(plan *q, columns *c, double number) {
  char text[32];
  int n = q->table.n_columns;
  if (!(number >= -n && number < n) || number != floor(number)) return refuse_column(q, cr_number_text(number, 0, text));
  return add_named(q, c, q->table.column[(int)number + (number < 0 ? n : 0)].name);
}

static cr_status take_columns(plan *q, columns *c, const char *name) {
  const cr_argument *x = cr_argument_of(q->o->a, name);
  cr_status status = CR_OK;
  c->at = malloc(((size_t)q->table.n_columns + 1) * sizeof *c->at);
  if (!c->at) return cr__no_memory(q->o->p);
  if (x->kind == CR_ARGUMENT_TEXT) return add_named(q, c, x->text);
  if (x->kind == CR_ARGUMENT_NUMBER) return add_numbered(q, c, x->number);
  if (x->n + x->n_texts > q->table.n_columns)
    return cr_refuse(q->o->p, CR_BAD_ARGUMENT, "csv: %s names more columns than there are", name);
  for (int k = 0; k < x->n_texts && status == CR_OK; k++) status = add_named(q, c, x->texts[k]);
  for (int k = 0; k < x->n && status == CR_OK; k++) status = add_numbered(q, c, x->list[k]);
  return status;
}

static bool holds(const columns *c, int k) {
  for (int j = 0; j < c->n; j++)
    if (c->at[j] == k) return true;
  return false;
}

static cr_status choose_columns(plan *q) {
  cr_status status = take_columns(q, &q->target, "target");
  if (status == CR_OK) status = take_columns(q, &q->input, "inputs");
  for (int k = 0; status == CR_OK && k < q->table.n_columns; k++) {
    if (cr_argument_of(q->o->a, "inputs")->kind == CR_ARGUMENT_NONE && !holds(&q->target, k)) q->input.at[q->input.n++] = k;
    else if (holds(&q->target, k) && holds(&q->input, k))
      return cr__refuse_file(q->o->p, CR_BAD_ARGUMENT, q->file, "column '%.60s' is both input and target",
                             column(q, k)->name);
  }
  if (status != CR_OK || q->input.n) return status;
  return cr__refuse_file(q->o->p, CR_BAD_ARGUMENT, q->file, "no column is left as input");
}

static cr_status refuse_text(const plan *q, const cr_column *c, int64_t row) {
  return cr__refuse_file(q->o->p, CR_BAD_ARGUMENT, q->file, "line %ld: '%.60s' in column '%.60s' is not a number",
                         q->table.line[row], c->level[(int)c->number[row]], c->name);
}

/* Numbers with a few texts among them are a slip, not a column of texts; and no number is infinite. */
static cr_status check_column(const plan *q, const cr_column *c) {
  int64_t numbers = 0, rows = 0, text = -1;
  double x;
  for (int64_t k = 0; k < q->table.n_rows && !c->n_levels; k++)
    if (isinf(c->number[k]))
      return cr__refuse_file(q->o->p, CR_BAD_ARGUMENT, q->file, "line %ld: the number in column '%.60s' is not finite",
                             q->table.line[k], c->name);
  for (int64_t k = 0; k < q->table.n_rows && c->n_levels; k++) {
    if (isnan(c->number[k])) continue;
    bool number = cr__decimal(c->level[(int)c->number[k]], '.', &x);
    numbers += number, rows++;
    if (!number && text < 0) text = k;
  }
  return 2 * numbers > rows && text >= 0 ? refuse_text(q, c, text) : CR_OK;
}

/* Which rows stay */

static cr_status check_row(plan *q, const columns *c, int64_t row, bool drop, bool fill_in, bool *stays) {
  for (int j = 0; j < c->n; j++) {
    const cr_column *x = column(q, c->at[j]);
    if (!isnan(x->number[row]) || (fill_in && !x->n_levels)) continue;
    if (!drop)
      return cr__refuse_file(
          q->o->p, CR_BAD_ARGUMENT, q->file,
          "line %ld: column '%.60s' is missing (missing='drop' leaves such rows out, missing='mean' fills numbers in)",
          q->table.line[row], x->name);
    *stays = false;
  }
  return CR_OK;
}

static cr_status choose_rows(plan *q) {
  const char *said = cr_text_of(q->o->a, "missing"), *missing = said ? said : "None";
  bool drop = !strcmp(missing, "drop");
  cr_status status = CR_OK;
  q->fill_in = !strcmp(missing, "mean");
  if (!drop && !q->fill_in && strcmp(missing, "error"))
    return cr_refuse(q->o->p, CR_BAD_ARGUMENT, "csv: missing is 'error', 'drop', or 'mean', not '%.60s'", missing);
  q->row = malloc(((size_t)q->table.n_rows + 1) * sizeof *q->row);
  if (!q->row) return cr__no_memory(q->o->p);
  for (int64_t k = 0; k < q->table.n_rows && status == CR_OK; k++) {
    bool stays = true;
    status = check_row(q, &q->input, k, drop, q->fill_in, &stays);
    if (status == CR_OK) status = check_row(q, &q->target, k, drop, false, &stays);
    if (stays) q->row[q->n++] = k;
  }
  if (status != CR_OK || q->n) return status;
  return cr__refuse_file(q->o->p, CR_BAD_ARGUMENT, q->file, "something is missing in every row");
}

/* Inputs */

static int width_of(const cr_column *c) { return c->n_levels ? c->n_levels : 1; }

/* The levels of a text column in alphabetical order: to[level] is its rank. */
static int *ranks_of(const cr_column *c) {
  int *to = calloc((size_t)c->n_levels + 1, sizeof *to);
  const char **sorted = to ? cr__sorted_texts(c->n_levels, (const char *const *)c->level) : NULL;
  if (!sorted) return free(to), NULL;
  for (int k = 0; k < c->n_levels; k++) {
    const char *level = c->level[k], **at = bsearch(&level, sorted, (size_t)c->n_levels, sizeof *sorted, cr__by_text);
    to[k] = (int)(at - sorted);
  }
  free(sorted);
  return to;
}

static bool name_feature(cr_dataset *d, int at, const cr_column *c, const char *level) {
  size_t size = strlen(c->name) + (level ? strlen(level) : 0) + 2;
  d->feature_name[at] = malloc(size);
  if (d->feature_name[at]) snprintf(d->feature_name[at], size, level ? "%s=%s" : "%s", c->name, level);
  return d->feature_name[at] != NULL;
}

static double mean_of(const plan *q, const cr_column *c) {
  double sum = 0;
  int64_t n = 0;
  for (int64_t k = 0; k < q->n; k++) {
    double x = c->number[q->row[k]];
    sum += isnan(x) ? 0 : x;
    n += !isnan(x);
  }
  return n ? sum / (double)n : 0;
}

static bool put_numbers(const plan *q, cr_dataset *d, int at, const cr_column *c, double scale) {
  double mean = q->fill_in ? mean_of(q, c) : 0;
  for (int64_t k = 0; k < q->n; k++) {
    double x = c->number[q->row[k]];
    cr_array_set(&d->x, k * d->n_features + at, (isnan(x) ? mean : x) / scale);
  }
  return name_feature(d, at, c, NULL);
}

static bool put_texts(const plan *q, cr_dataset *d, int at, const cr_column *c) {
  int *to = ranks_of(c);
  bool good = to != NULL;
  for (int64_t k = 0; k < q->n && good; k++) cr_array_set(&d->x, k * d->n_features + at + to[(int)c->number[q->row[k]]], 1);
  for (int k = 0; k < c->n_levels && good; k++) good = name_feature(d, at + to[k], c, c->level[k]);
  free(to);
  return good;
}

static cr_status fill_x(const plan *q, cr_dataset *d) {
  double scale = cr_number_of(q->o->a, "scale", 1);
  int64_t dim[2] = {q->n, 0};
  for (int j = 0; j < q->input.n; j++) {
    cr_status status = check_column(q, column(q, q->input.at[j]));
    if (status != CR_OK) return status;
    dim[1] += width_of(column(q, q->input.at[j]));
  }
  if (dim[1] > INT32_MAX) return cr__refuse_file(q->o->p, CR_OVER_LIMIT, q->file, "too many columns of text");
  cr_status status = cr_array_make(&d->x, q->o->dtype, 2, dim, q->o->p);
  if (status != CR_OK) return status;
  d->n_features = (int)dim[1];
  d->feature_name = calloc((size_t)dim[1] + 1, sizeof *d->feature_name);
  bool good = d->feature_name != NULL;
  for (int j = 0, at = 0; j < q->input.n && good; at += width_of(column(q, q->input.at[j++]))) {
    const cr_column *c = column(q, q->input.at[j]);
    good = c->n_levels ? put_texts(q, d, at, c) : put_numbers(q, d, at, c, scale);
  }
  return good ? CR_OK : cr__no_memory(q->o->p);
}

/* Targets */

static cr_status fill_text_classes(const plan *q, cr_dataset *d, const cr_column *c) {
  const char **text = malloc((size_t)q->n * sizeof *text);
  if (!text) return cr__no_memory(q->o->p);
  for (int64_t k = 0; k < q->n; k++) text[k] = c->level[(int)c->number[q->row[k]]];
  cr_status status = cr__text_classes(d, q->n, text, q->o->p);
  free(text);
  return status;
}

static cr_status fill_values(const plan *q, cr_dataset *d, bool classes) {
  cr_array y;
  int64_t dim[2] = {q->n, q->target.n};
  cr_status status = cr_array_make(&y, CR_FLOAT64, 2, dim, q->o->p);
  if (status != CR_OK) return status;
  for (int j = 0; j < q->target.n; j++)
    for (int64_t k = 0; k < q->n; k++)
      ((double *)y.data)[k * q->target.n + j] = column(q, q->target.at[j])->number[q->row[k]];
  for (int64_t k = 0; k < y.count && classes && status == CR_OK; k++) {
    double x = ((double *)y.data)[k];
    if (x != floor(x) || fabs(x) >= 1 << 20)
      status = cr__refuse_file(q->o->p, CR_BAD_ARGUMENT, q->file, "line %ld: %g in column '%.60s' is no class",
                               q->table.line[q->row[k]], x, column(q, q->target.at[0])->name);
  }
  if (status == CR_OK) status = classes ? cr__number_classes(d, &y, q->file, q->o->p) : cr__set_values(d, &y, q->o);
  cr_array_release(&y);
  return status;
}

static cr_status fill_y(const plan *q, cr_dataset *d) {
  enum cr__choice classes;
  cr_status status = cr__choice_of(&classes, q->o, "classes");
  for (int j = 0; j < q->target.n && status == CR_OK; j++) {
    const cr_column *c = column(q, q->target.at[j]);
    status = check_column(q, c);
    if (status == CR_OK && c->n_levels && (q->target.n > 1 || classes == CR__NO))
      status = cr__refuse_file(q->o->p, CR_BAD_DTYPE, q->file, "column '%.60s' holds texts, which are no values to predict",
                               c->name);
  }
  if (status != CR_OK || !q->target.n) return status;
  if (classes == CR__YES && q->target.n > 1)
    return cr_refuse(q->o->p, CR_BAD_ARGUMENT, "csv: classes are those of one column");
  const cr_column *c = column(q, q->target.at[0]);
  return c->n_levels ? fill_text_classes(q, d, c) : fill_values(q, d, classes == CR__YES);
}

static cr_status read_table(plan *q) {
  cr__bytes b;
  enum cr__choice header;
  cr_status status = cr__choice_of(&header, q->o, "header");
  if (status != CR_OK) return status;
  status = cr__read_file(&b, q->file, CR__MAYBE_GZIP, q->o->p);
  if (status == CR_OK)
    status = cr__parse_csv(&q->table, &b, header == CR__EITHER ? -1 : header == CR__YES, q->file, q->o->p);
  free(b.at);
  return status;
}

cr_status cr__make_csv(cr_dataset *d, const cr__order *o) {
  char *file = cr__path_of(o, "path");
  plan q = {.o = o, .file = file};
  if (!file) return o->p->status;
  cr_status status = read_table(&q);
  if (status == CR_OK) status = cr_number_within(o->a, "scale", 1e-300, 1e300, 0, o->p);
  if (status == CR_OK) status = choose_columns(&q);
  if (status == CR_OK) status = choose_rows(&q);
  if (status == CR_OK) status = fill_x(&q, d);
  if (status == CR_OK) status = fill_y(&q, d);
  if (status == CR_OK) status = cr__reshape(d, o);
  cr_table_free(&q.table);
  free(q.input.at);
  free(q.target.at);
  free(q.row);
  free(file);
  return status;
}
