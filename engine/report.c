/* A check's report as a table. */
#include <stdio.h>

#include "checking.h"

enum { MOST_ROWS = 40 };

static void put_number(cr_buffer *b, double x, int width, const char *none) {
  char text[40];
  cr_put(b, "%*s  ", width, isnan(x) ? none : cr_number_text(x, 15, text));
}

static int label_width(const cr_report *r) {
  int width = 10;
  for (int k = 0; k < r->n_entries; k++) {
    int n = (int)strlen(r->entry[k].label);
    width = n > width ? n : width;
  }
  return width < 40 ? width : 40;
}

static void put_entry(cr_buffer *b, const cr_check_entry *e, int width) {
  char text[40];
  cr_put(b, "%-*s  ", width, e->label);
  put_number(b, e->analytic, 22, "nan");
  put_number(b, e->numeric, 22, "-");
  cr_put(b, "%8s  ", isfinite(e->error) ? cr_number_text(e->error, 2, text) : "-");
  cr_put(b, "%6s  ", isnan(e->numeric) ? "-" : cr_number_text(floor(e->digits * 10) / 10, 0, text));
  cr_put(b, "%s", cr_verdict_text(e->verdict));
  if (*e->note) cr_put(b, ", %s", e->note);
  if (e->verdict == CR_KINK || (e->verdict == CR_DISAGREE && isnan(e->numeric))) {
    cr_put(b, "; left %s", isnan(e->left) ? "undefined" : cr_number_text(e->left, 6, text));
    cr_put(b, ", right %s", isnan(e->right) ? "undefined" : cr_number_text(e->right, 6, text));
    cr_put(b, ", used %s", cr_number_text(e->analytic, 6, text));
  }
  cr_put(b, "\n");
}

static void put_entries(cr_buffer *b, const cr_report *r) {
  int width = label_width(r), agreeing = 0, left_out = 0;
  if (!r->n_entries) return;
  cr_put(b, "%-*s  %22s  %22s  %8s  %6s  %s\n", width, "", "analytic", "numeric", "error", "digits", "verdict");
  for (int k = 0; k < r->n_entries; k++) {
    const cr_check_entry *e = &r->entry[k];
    if (e->verdict == CR_AGREE && ++agreeing > MOST_ROWS) left_out++;
    else put_entry(b, e, width);
  }
  if (left_out) cr_put(b, "... and %d more that agree\n", left_out);
}

static void put_tests(cr_buffer *b, const cr_report *r) {
  char error[40], limit[40];
  for (int k = 0; k < r->n_tests; k++) {
    const cr_check_test *t = &r->test[k];
    cr_put(b, "%-48s %8s  (limit %s)  %s\n", t->name, cr_number_text(t->error, 2, error), cr_number_text(t->limit, 2, limit),
           t->passed ? "passed" : "FAILED");
  }
}

const char *cr__report_table(cr_tape *t, const cr_report *r) {
  cr_buffer b = {.tape = t};
  put_entries(&b, r);
  put_tests(&b, r);
  cr_put(&b, "%s", r->verdict == CR_DISAGREE ? "MISMATCH" : "agree");
  if (r->kinks) cr_put(&b, ", %d at kinks", r->kinks);
  if (r->inconclusive) cr_put(&b, ", %d inconclusive", r->inconclusive);
  cr_put(&b, ", %lld evaluations\n", (long long)r->evaluations);
  if (*r->diagnosis) cr_put(&b, "%s\n", r->diagnosis);
  const char *text = b.failed ? NULL : cr__arena_text(&t->arena, b.text, b.length);
  cr_buffer_free(&b);
  if (!text) cr__out_of_memory(t);
  return text ? text : "";
}
