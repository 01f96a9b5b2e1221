/* chainrule explain: the trace of a derivative in the format that is asked for. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tracing.h"

/* --digits 6, exact or lecture:3. */
static bool read_digits(const context *c, trace_options *o, int *decimals) {
  const char *text = given(c, OPT_DIGITS);
  char *end = NULL;
  bool lecture = text && !strncmp(text, "lecture:", 8);
  o->digits = 6;
  *decimals = 0;
  if (!text) return true;
  if (!strcmp(text, "exact")) return o->digits = 0, true;
  long n = strtol(lecture ? text + 8 : text, &end, 10);
  if (end == text || *end || n < 1 || n > (lecture ? 12 : 17))
    return complain(
               "--digits is a number of digits from 1 to 17, exact, or lecture:N with N decimals from 1 to 12, not '%s'",
               text),
           false;
  if (lecture) *decimals = (int)n;
  else o->digits = (int)n;
  return true;
}

/* --only rules,blame as bits. */
static bool read_sections(const context *c, trace_options *o) {
  const char *text = given(c, OPT_ONLY);
  for (const char *s = text; s && *s;) {
    size_t n = strcspn(s, ",");
    int k = 0;
    while (trace_section(k) && (strncmp(trace_section(k), s, n) || trace_section(k)[n])) k++;
    if (!trace_section(k))
      return complain("--only: there is no section '%.*s'; %s", (int)n, s, options[OPT_ONLY].help), false;
    o->sections |= 1u << k;
    s += n + (s[n] == ',');
  }
  return true;
}

static bool read_options(const context *c, trace_options *o, int *decimals) {
  long depth;
  *o = (trace_options){.focus = given(c, OPT_FOCUS), .check = true, .frames = has(c, OPT_FRAMES)};
  if (!read_digits(c, o, decimals) || !read_sections(c, o)) return false;
  if (!whole_given(c, OPT_DEPTH, 0, 1000000, 0, &depth)) return false;
  o->depth = (int)depth;
  return true;
}

bool write_bytes(const context *c, const char *bytes, size_t length) {
  const char *path = given(c, OPT_OUTPUT);
  FILE *f = path && strcmp(path, "-") ? fopen(path, "wb") : stdout;
  if (!f) return complain("cannot open %s: %s", path, strerror(errno)), false;
  bool good = fwrite(bytes, 1, length, f) == length;
  if (f != stdout) good = !fclose(f) && good;
  return good || f == stdout || (complain("cannot write %s: %s", path, strerror(errno)), false);
}

/* A section at a time, the next one after the return key. */
static void put_in_steps(const char *text) {
  for (const char *s = text; *s;) {
    const char *end = strstr(s, "\n\n");
    size_t n = end ? (size_t)(end - s) + 1 : strlen(s);
    fwrite(s, 1, n, stdout);
    fflush(stdout);
    s += n;
    for (int key = end ? getchar() : '\n'; key != '\n' && key != EOF;) key = getchar();
  }
}

/* The same graph once more with every intermediate rounded; the numbers of t stay what they were. */
static trace *round_again(const context *c, cr_var y, int n, const cr_var *x, trace_options o, int decimals) {
  o.decimals = decimals;
  cr_set(c->tape, CR_ROUND_DIGITS, decimals);
  return cr_replay(c->tape) == CR_OK ? trace_make(y, n, x, &o) : NULL;
}

static int put_trace(const context *c, const trace *t, const trace *exact) {
  cr_buffer b = {.tape = t->tape};
  bool to_terminal = !has(c, OPT_OUTPUT) && has(c, OPT_STEPS) && isatty(0) && isatty(1), text = false;
  if (has(c, OPT_JSON)) trace_json(t, &b);
  else if (has(c, OPT_HTML)) trace_html(t, &b);
  else if (has(c, OPT_LATEX)) trace_latex(t, &b);
  else trace_text(t, exact, &b, !has(c, OPT_OUTPUT) && use_color(c, stdout)), text = true;
  int status = b.failed || !b.text ? complain_memory() : STATUS_GOOD;
  if (status == STATUS_GOOD && to_terminal && text) put_in_steps(b.text);
  else if (status == STATUS_GOOD && !write_bytes(c, b.text, b.length)) status = STATUS_USAGE;
  cr_buffer_free(&b);
  return status;
}

static bool agrees(const trace *t) {
  for (int k = 0; k < t->n_checks; k++)
    if (!strcmp(t->check[k].verdict, cr_verdict_text(CR_DISAGREE))) return false;
  return true;
}

trace *open_trace(context *c, trace **exact) {
  trace_options o;
  cr_results results;
  int decimals, n;
  *exact = NULL;
  if (!read_options(c, &o, &decimals) || !run_source(c, &results)) return NULL;
  cr_var y = results.value[0];
  if (results.n > 1) return complain("%s wants one result, not %d", c->verb->name, results.n), NULL;
  if (cr_dtype_of(y) < CR_FLOAT32)
    return complain("the result is of dtype %s, which has no derivative", cr_dtype_name(cr_dtype_of(y))), NULL;
  variable *wrt = wrt_of(c, &n);
  cr_var *x = wrt ? malloc((size_t)n * sizeof *x) : NULL;
  for (int k = 0; x && k < n; k++) x[k] = wrt[k].var;
  trace *t = x ? trace_make(y, n, x, &o) : NULL;
  if (t && decimals) {
    *exact = t;
    t = round_again(c, y, n, x, o, decimals);
  }
  if (wrt && !t) cr_error(c->tape) != CR_OK ? complain_tape(c, NULL) : complain_memory();
  if (!t && *exact) trace_free(*exact), *exact = NULL;
  free(x);
  free(wrt);
  return t;
}

int verb_explain(context *c) {
  trace *exact, *t = open_trace(c, &exact);
  if (!t) return STATUS_USAGE;
  int status = put_trace(c, t, exact);
  if (status == STATUS_GOOD && !agrees(exact ? exact : t)) status = STATUS_FAILED;
  trace_free(exact);
  trace_free(t);
  return status;
}
