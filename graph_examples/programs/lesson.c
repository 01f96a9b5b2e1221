/* chainrule lesson: runs lesson files and says what their claims are worth. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../lessons/lesson.h"
#include "tracing.h"

static const char *const guide =
  "A lesson file is a program, a statement a line, with these lines in between:\n"
  "\n"
  "  lesson \"title\"                       source 004 168-210\n"
  "  say \"text\"                           quiz \"title\"   ask \"text\"   hint \"text\"\n"
  "  claim z1 = 1.25 at 174               a printed number, with the line where it stands\n"
  "  claim grad(J, w) = (yhat - y)*h      a printed formula\n"
  "  claim J_new < J                      a relation\n"
  "  erratum E19 at 269 \"text\"            what is wrong in words\n"
  "  answer grad(J, w)                    what a quiz asks for\n"
  "\n"
  "A claim may go on with: by FORMULA (how the hand calculation gets the number), as\n"
  "LABEL, is VERDICT (expected), note \"text\". Verdicts: exact, correctly rounded,\n"
  "carried rounding, truncated, cascade, holds, wrong. grad(J, w) may be used in\n"
  "formulas, and again as dJ_dw.\n"
  "\n"
  "  chainrule lesson graph_examples/lessons/004_example1.lesson\n"
  "  chainrule lesson graph_examples/lessons/004_quiz13.lesson dJ_dv=-0.58\n";

static bool read_lesson(const context *c, lesson *l, const char *path) {
  FILE *f = !strcmp(path, "-") ? stdin : fopen(path, "r");
  size_t length;
  if (!f) return complain("cannot open %s: %s", path, strerror(errno)), false;
  char *text = read_stream(f, CR_MAX_SOURCE, &length);
  int error = errno;
  if (f != stdin) fclose(f);
  if (!text) return complain("cannot read %s: %s", path, strerror(error)), false;
  bool good = lesson_read(l, path, text, c->n_assignments, c->assignment);
  if (!good) complain("%s", l->error);
  free(text);
  return good;
}

static void put_all(const context *c, const lesson *l, int n, cr_buffer *b) {
  if (has(c, OPT_ERRATA)) {
    lesson_errata(l, n, b);
    return;
  }
  if (has(c, OPT_JSON)) cr_put(b, "{\"lessons\": [");
  for (int k = 0; k < n; k++) {
    if (has(c, OPT_JSON)) cr_put(b, "%s", k ? ", " : ""), lesson_json(&l[k], b);
    else cr_put(b, "%s", k ? "\n\n" : ""), lesson_text(&l[k], b, !has(c, OPT_OUTPUT) && use_color(c, stdout));
  }
  if (has(c, OPT_JSON)) cr_put(b, "]}\n");
}

/* The reader's own answers are judged alone: 1 when one of them is wrong. Else it counts what the lessons expect. */
static bool is_good(const lesson *l) {
  bool own = false, good = true;
  for (int k = 0; k < l->n_claims; k++) {
    own |= l->claim[k].own;
    good &= !l->claim[k].own || l->claim[k].verdict < TRUNCATED || l->claim[k].verdict == HOLDS;
  }
  return own ? good : lesson_as_expected(l);
}

int verb_lesson(context *c) {
  if (!c->n_arguments) return fputs(guide, stdout) < 0 ? STATUS_USAGE : STATUS_GOOD;
  lesson *l = calloc((size_t)c->n_arguments, sizeof *l);
  int status = l ? STATUS_GOOD : complain_memory(), n = 0;
  for (; l && status == STATUS_GOOD && n < c->n_arguments; n++)
    if (!read_lesson(c, &l[n], c->argument[n])) status = STATUS_USAGE;
  if (status == STATUS_GOOD) {
    cr_buffer b = {.tape = l[0].tape};
    put_all(c, l, n, &b);
    if (b.failed || !b.text) status = complain_memory();
    else if (!write_bytes(c, b.text, b.length)) status = STATUS_USAGE;
    cr_buffer_free(&b);
  }
  for (int k = 0; k < n; k++) {
    if (status == STATUS_GOOD && !is_good(&l[k])) status = STATUS_FAILED;
    lesson_close(&l[k]);
  }
  free(l);
  return status;
}
