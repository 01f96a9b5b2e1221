/* What is known of an epoch as columns: in the log, and in checkpoints. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <formula.h>

#include "training_state.h"

const char *const cr__epoch_column[CR__EPOCH_COLUMNS] = {"epoch",           "steps",        "seconds", "rate", "train_loss",
                                                         "validation_loss", "gradient_norm"};

void cr__epoch_numbers(const cr_epoch *e, double *out) {
  double known[CR__EPOCH_COLUMNS] = {(double)e->epoch, (double)e->steps,   e->seconds,      e->rate,
                                     e->train_loss,    e->validation_loss, e->gradient_norm};
  memcpy(out, known, sizeof known);
  memcpy(out + CR__EPOCH_COLUMNS, e->metric, sizeof e->metric);
}

void cr__epoch_from(cr_epoch *e, const double *n, int n_metrics) {
  *e = (cr_epoch){(int64_t)n[0], (int64_t)n[1], n[2], n[3], n[4], n[5], n[6], {0}};
  memcpy(e->metric, n + CR__EPOCH_COLUMNS, (size_t)n_metrics * sizeof *n);
}

static const char *column(const cr_training *k, int c) {
  return c < CR__EPOCH_COLUMNS ? cr__epoch_column[c] : k->metric_name[c - CR__EPOCH_COLUMNS];
}

static int is_json(const char *path) {
  const char *dot = strrchr(path, '.');
  return dot && (strcmp(dot, ".json") == 0 || strcmp(dot, ".jsonl") == 0);
}

/* A value that is not finite is an empty cell in CSV, null in JSON. */
static void write_line(FILE *f, const cr_training *k, const cr_epoch *e) {
  double number[CR__EPOCH_COLUMNS + CR_MAX_METRICS];
  char text[40];
  int json = is_json(k->log);
  cr__epoch_numbers(e, number);
  if (json) fputc('{', f);
  for (int c = 0; c < CR__EPOCH_COLUMNS + k->n_metrics; c++) {
    if (c) fputs(json ? ", " : ",", f);
    if (json) fprintf(f, "\"%s\": ", column(k, c));
    fputs(isfinite(number[c]) ? cr_number_text(number[c], 0, text) : json ? "null" : "", f);
  }
  fputs(json ? "}\n" : "\n", f);
}

static cr_status close_log(cr_training *k, FILE *f) {
  int failed = ferror(f), code = errno;
  if (fclose(f)) failed = 1, code = errno;
  return failed ? cr_refuse(&k->problem, CR_BAD_ARGUMENT, "%s: the log cannot be written: %s", k->log, strerror(code))
                : CR_OK;
}

static FILE *open_log(cr_training *k, const char *mode) {
  FILE *f = fopen(k->log, mode);
  if (!f) cr_refuse(&k->problem, CR_BAD_ARGUMENT, "%s: the log cannot be written: %s", k->log, strerror(errno));
  return f;
}

cr_status cr__log_start(cr_training *k) {
  FILE *f = open_log(k, "w");
  if (!f) return k->problem.status;
  for (int c = 0; !is_json(k->log) && c < CR__EPOCH_COLUMNS + k->n_metrics; c++)
    fprintf(f, "%s%s", c ? "," : "", column(k, c));
  if (!is_json(k->log)) fputc('\n', f);
  for (int64_t i = 0; i < k->n_history; i++) write_line(f, k, &k->history[i]);
  return close_log(k, f);
}

cr_status cr__log_epoch(cr_training *k) {
  FILE *f = open_log(k, "a");
  if (!f) return k->problem.status;
  write_line(f, k, &k->history[k->n_history - 1]);
  return close_log(k, f);
}
