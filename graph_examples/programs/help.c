/* --help and the man page, from the tables of verbs.c. */
#include <string.h>

#include "command.h"

static const char *const inputs_text =
  "EXPR is an expression or program; FILE is one in a file whose name ends in .chain; - reads it from standard input.\n"
  "NAME=VALUE gives a name its value: a number, a nested list as in [[1,2],[3,4]], @file.npy, @file.csv or @- (one column\n"
  "makes a vector, more a matrix; a first line without numbers is a header).";
static const char *const status_text = "0 success; 1 a check failed; 2 bad usage or input.";

/* Calls put for each line of text. */
static void each_line(FILE *f, const char *text, void (*put)(FILE *f, const char *line, int length)) {
  for (const char *s = text; s && *s;) {
    size_t n = strcspn(s, "\n");
    put(f, s, (int)n);
    s += n + (s[n] == '\n');
  }
}

static void indented(FILE *f, const char *line, int length) { fprintf(f, "%s%.*s\n", length ? "  " : "", length, line); }
static void example(FILE *f, const char *line, int length) { fprintf(f, "  chainrule %.*s\n", length, line); }

static void put_option(FILE *f, const option *o) {
  char text[64];
  snprintf(text, sizeof text, "--%s%s%s", o->name, o->argument ? " " : "", o->argument ? o->argument : "");
  fprintf(f, "  %-24s %s\n", text, o->help);
}

static void put_verb_help(FILE *f, const verb *v) {
  fprintf(f, "Usage: chainrule %s %s [options]\n\n", v->name, v->arguments);
  fprintf(f, "%s\n", v->description);
  if (strstr(v->arguments, "EXPR")) fprintf(f, "\n%s\n", inputs_text);
  fputs("\nOptions:\n", f);
  for (int id = 0; id < N_OPTIONS; id++)
    if (takes(v, id)) put_option(f, &options[id]);
  fputs("\nJSON:\n", f);
  each_line(f, v->keys, indented);
  if (v->examples) fputs("\nExamples:\n", f);
  each_line(f, v->examples, example);
  fprintf(f, "\nExit status: %s\n", status_text);
}

int put_help(FILE *f, const verb *v) {
  if (v) {
    put_verb_help(f, v);
    return STATUS_GOOD;
  }
  fputs("Usage: chainrule VERB [EXPR|FILE|-] [NAME=VALUE ...] [options]\n\n"
        "Derivatives of expressions by the chain rule: forward, backward, and explained.\n\n", f);
  for (v = verbs; v->name; v++) fprintf(f, "  %-8s %s\n", v->name, v->summary);
  fprintf(f, "\n%s\n", inputs_text);
  fputs("\nchainrule VERB --help or chainrule help VERB says more; chainrule --version prints the version.\n", f);
  fputs("\nExamples:\n", f);
  for (v = verbs; v->name; v++)
    if (v->examples && v < verbs + 8) example(f, v->examples, (int)strcspn(v->examples, "\n"));
  fprintf(f, "\nExit status: %s\n", status_text);
  return STATUS_GOOD;
}

/* roff: backslashes and hyphens are escaped, and no line may begin with a control character. */
static void roff(FILE *f, const char *s, int length) {
  if (length && (*s == '.' || *s == '\'')) fputs("\\&", f);
  for (int k = 0; k < length; k++)
    if (s[k] == '\\')
      fputs("\\e", f);
    else if (s[k] == '-')
      fputs("\\-", f);
    else if (s[k] == '\'')
      fputs("\\(aq", f);
    else
      fputc(s[k], f);
}

static void roff_line(FILE *f, const char *line, int length) {
  if (!length) fputs(".sp", f);
  roff(f, line, length);
  fputc('\n', f);
}

static void roff_example(FILE *f, const char *line, int length) {
  fputs("chainrule ", f);
  roff_line(f, line, length);
}

static void put_verbatim(FILE *f, const char *title, const char *text, void (*put)(FILE *, const char *, int)) {
  if (!text) return;
  fprintf(f, ".PP\n%s\n.RS 4\n.nf\n", title);
  each_line(f, text, put);
  fputs(".fi\n.RE\n", f);
}

static void put_man_options(FILE *f, const verb *v) {
  for (int id = 0; id < N_OPTIONS; id++) {
    if (v ? is_common(id) || !takes(v, id) : !is_common(id)) continue;
    fputs(".TP\n\\fB\\-\\-", f);
    roff(f, options[id].name, (int)strlen(options[id].name));
    fprintf(f, "\\fR%s%s%s\n", options[id].argument ? " \\fI" : "", options[id].argument ? options[id].argument : "",
            options[id].argument ? "\\fR" : "");
    roff_line(f, options[id].help, (int)strlen(options[id].help));
  }
}

static void put_man_verb(FILE *f, const verb *v) {
  fprintf(f, ".SS chainrule %s ", v->name);
  roff_line(f, v->arguments, (int)strlen(v->arguments));
  const char *drawn = strstr(v->description, "\n  "); /* what is laid out must stay so */
  if (drawn) fputs(".nf\n", f);
  each_line(f, v->description, roff_line);
  if (drawn) fputs(".fi\n", f);
  put_man_options(f, v);
  put_verbatim(f, "Keys of the JSON answer:", v->keys, roff_line);
  put_verbatim(f, "Examples:", v->examples, roff_example);
}

int put_man(FILE *f) {
  fprintf(f, ".TH CHAINRULE 1 \"\" \"chainrule %s\" \"User Commands\"\n.SH NAME\nchainrule \\- derivatives of expressions\n",
          CR_VERSION);
  fputs(".SH SYNOPSIS\n\\fBchainrule\\fR \\fIVERB\\fR [\\fIEXPR\\fR|\\fIFILE\\fR|\\-] [\\fINAME\\fR=\\fIVALUE\\fR ...] "
        "[\\fIoptions\\fR]\n.SH DESCRIPTION\n", f);
  each_line(f, inputs_text, roff_line);
  fputs(".SH VERBS\n", f);
  for (const verb *v = verbs; v->name; v++) put_man_verb(f, v);
  fputs(".SH COMMON OPTIONS\n", f);
  put_man_options(f, NULL);
  fputs(".TP\n\\fB\\-\\-version\\fR\nthe version\n.SH EXIT STATUS\n", f);
  roff_line(f, status_text, (int)strlen(status_text));
  fputs(".SH ENVIRONMENT\n.TP\nNO_COLOR\nwhen set and not empty, output has no colour.\n", f);
  return STATUS_GOOD;
}
