/* chainrule check: is a gradient right? The engine's own, one that was claimed, or one that another program computes. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "process.h"

/* What is checked: the inputs, laid end to end in one point. */
typedef struct subject {
  context *c;
  variable *x;
  cr_var *var;
  int n;
  int64_t size, *offset;     /* offset[k]: where x[k] begins; offset[n] is size */
  double *point, *claimed;   /* NaN claims nothing */
  int decimals;              /* of the claims, as they were written; 0: in full */
  cr_check_options options;
} subject;

/* Options */

static bool read_number(const context *c, option_id id, double low, double high, double fallback, double *value) {
  const char *text = given(c, id);
  char *end = NULL;
  *value = fallback;
  if (!text) return true;
  *value = strtod(text, &end);
  if (*text && !*end && *value > low && *value <= high) return true;
  return complain("--%s takes a number above %g and up to %g, not '%s'", options[id].name, low, high, text), false;
}

static bool read_options(subject *s) {
  long order, seed;
  s->options = (cr_check_options){.struct_size = sizeof s->options};
  if (!whole_given(s->c, OPT_ORDER, 1, 2, 2, &order) || !whole_given(s->c, OPT_SEED, 0, INT32_MAX, 0, &seed)) return false;
  s->options.order = (int)order;
  s->options.seed = (uint64_t)seed;
  return read_number(s->c, OPT_TOLERANCE, 0, 1, 0, &s->options.tolerance);
}

/* The point */

static bool open_subject(subject *s) {
  s->x = wrt_of(s->c, &s->n);
  if (!s->x) return false;
  s->offset = calloc((size_t)s->n + 1, sizeof *s->offset);
  s->var = calloc((size_t)s->n, sizeof *s->var);
  for (int k = 0; k < s->n && s->offset; k++) s->offset[k + 1] = s->offset[k] + cr_count(s->x[k].var);
  s->size = s->offset ? s->offset[s->n] : 0;
  s->point = calloc((size_t)s->size + 1, sizeof *s->point);
  s->claimed = calloc((size_t)s->size + 1, sizeof *s->claimed);
  if (!s->offset || !s->var || !s->point || !s->claimed) return complain_memory(), false;
  for (int k = 0; k < s->n; k++) {
    s->var[k] = s->x[k].var;
    cr_read(s->x[k].var, s->point + s->offset[k], s->offset[k + 1] - s->offset[k]);
  }
  for (int64_t i = 0; i < s->size; i++) s->claimed[i] = nan("");
  return true;
}

static void close_subject(subject *s) {
  free(s->x);
  free(s->offset);
  free(s->var);
  free(s->point);
  free(s->claimed);
}

/* Claims */

/* Digits behind the point of the most precise number in the text; an exponent means that it is given in full. */
static int decimals_of(const char *text) {
  int most = 0;
  for (const char *s = text; *s; s++) {
    if (*s == 'e' || *s == 'E') return 0;
    int n = *s == '.' ? (int)strspn(s + 1, "0123456789") : 0;
    most = n > most ? n : most;
  }
  return most < 15 ? most : 0;
}

static bool read_claim(subject *s, const char *text) {
  size_t length = strcspn(text, "=");
  int k = 0;
  while (k < s->n && (strlen(s->x[k].name) != length || strncmp(s->x[k].name, text, length))) k++;
  if (!text[length] || k == s->n) return complain("--claim takes NAME=VALUE for an input NAME, not '%s'", text), false;
  cr_program *p = cr_program_new(s->c->tape, CR_FLOAT64);
  if (!p) return complain_memory(), false;
  cr_program_bind_text(p, "value", text + length + 1, strlen(text + length + 1));
  cr_var v = cr_error(s->c->tape) == CR_OK ? cr_program_value(p, "value") : cr_poison(s->c->tape);
  int64_t n = s->offset[k + 1] - s->offset[k];
  if (cr_error(s->c->tape) != CR_OK) return complain("--claim %s: %s", text, cr_error_text(s->c->tape)), false;
  if (cr_count(v) != n)
    return complain("--claim %s: %s has %lld elements", text, s->x[k].name, (long long)n), false;
  int decimals = decimals_of(text + length + 1);
  s->decimals = decimals > s->decimals ? decimals : s->decimals;
  return cr_read(v, s->claimed + s->offset[k], n) == CR_OK;
}

static bool read_claims(subject *s) {
  const char *text;
  for (int k = 0; (text = next_given(s->c, OPT_CLAIM, &k));)
    if (!read_claim(s, text)) return false;
  s->options.digits = s->decimals;
  return true;
}

/* Reports */

static json_t *entry_json(const subject *s, const cr_check_entry *e, bool claims) {
  json_t *o = json_object();
  json_object_set_new(o, "label", json_string(e->label));
  json_object_set_new(o, "analytic", json_number_of(e->analytic));
  json_object_set_new(o, "numeric", json_number_of(e->numeric));
  json_object_set_new(o, "error", json_number_of(e->error));
  json_object_set_new(o, "digits", json_number_of(e->digits));
  json_object_set_new(o, "verdict", json_string(cr_verdict_text(e->verdict)));
  json_object_set_new(o, "note", json_string(e->note));
  if (claims && e->input >= 0)
    json_object_set_new(o, "claim", json_string(cr_claim_text(cr_claim_of(e->numeric, e->analytic, s->decimals))));
  return o;
}

static json_t *report_json(const subject *s, const cr_report *r, bool claims) {
  json_t *object = json_object(), *entries = json_array(), *tests = json_array();
  json_object_set_new(object, "verdict", json_string(cr_verdict_text(r->verdict)));
  json_object_set_new(object, "kinks", json_integer(r->kinks));
  json_object_set_new(object, "inconclusive", json_integer(r->inconclusive));
  json_object_set_new(object, "worst", json_number_of(r->worst));
  json_object_set_new(object, "evaluations", json_integer(r->evaluations));
  for (int k = 0; k < r->n_entries; k++) json_array_append_new(entries, entry_json(s, &r->entry[k], claims));
  for (int k = 0; k < r->n_tests; k++) {
    const cr_check_test *t = &r->test[k];
    json_t *error = json_number_of(t->error), *limit = json_number_of(t->limit);
    json_array_append_new(
      tests, json_pack("{s:s, s:o, s:o, s:b}", "name", t->name, "error", error, "limit", limit, "passed", t->passed));
  }
  json_object_set_new(object, "entries", entries);
  json_object_set_new(object, "tests", tests);
  json_object_set_new(object, "diagnosis", json_string(r->diagnosis));
  return object;
}

static int put_report(const subject *s, cr_status status, const cr_report *r, bool claims) {
  if (!r) return complain_tape(s->c, NULL);
  if (has(s->c, OPT_JSON)) {
    int written = put_json(stdout, report_json(s, r, claims));
    if (written != STATUS_GOOD) return written;
  } else {
    size_t n = strlen(r->text);
    printf("%s%s", r->text, n && r->text[n - 1] == '\n' ? "" : "\n");
  }
  return status == CR_MISMATCH ? STATUS_FAILED : STATUS_GOOD;
}

/* The engine's own gradient, or claims */

static int check_outputs(subject *s, const cr_results *results) {
  bool claims = has(s->c, OPT_CLAIM);
  int worst = STATUS_GOOD, checked = 0;
  for (int k = 0; k < results->n; k++) {
    cr_report *r = NULL;
    if (cr_dtype_of(results->value[k]) < CR_FLOAT32) continue;
    if (checked++ && claims) return complain("claims are checked for one float output, not for several");
    cr_status status = claims ? cr_check_claims(results->value[k], s->n, s->var, s->claimed, &s->options, &r)
                              : cr_check(results->value[k], s->n, s->var, &s->options, &r);
    int now = put_report(s, status, r, claims);
    worst = now > worst ? now : worst;
  }
  return checked ? worst : complain("nothing to check: the output is not a float");
}

/* Another program's */

typedef struct asked {
  process process;
  int64_t size;
  bool failed;
  problem why;
} asked;

static char *question(const double *x, int64_t size) {
  json_t *list = json_array();
  for (int64_t k = 0; k < size; k++) json_array_append_new(list, json_number_of(x[k]));
  json_t *object = json_pack("{s:o}", "x", list);
  char *text = object ? json_dumps(object, JSON_REAL_PRECISION(17) | JSON_COMPACT) : NULL;
  json_decref(object);
  return text;
}

static bool number_in(const json_t *j, double *x) {
  tensor t;
  problem p;
  if (!j || !tensor_of_json(&t, j, CR_FLOAT64, &p)) return false;
  bool good = t.count == 1;
  if (good) *x = tensor_get(&t, 0);
  tensor_free(&t);
  return good;
}

static bool read_answer(asked *a, const json_t *j, double *value, double *gradient) {
  tensor t;
  if (!number_in(json_object_get(j, "value"), value))
    return fail(&a->why, "bad program", "the program's answer has no number \"value\"");
  if (!gradient) return true;
  const json_t *list = json_object_get(j, "gradient");
  if (!list) return fail(&a->why, "bad program", "the program's first answer has no \"gradient\"");
  if (!tensor_of_json(&t, list, CR_FLOAT64, &a->why)) return false;
  bool good = t.count == a->size || fail(&a->why, "bad program", "the program's gradient has %lld numbers, not %lld",
                                         (long long)t.count, (long long)a->size);
  for (int64_t k = 0; good && k < a->size; k++) gradient[k] = tensor_get(&t, k);
  tensor_free(&t);
  return good;
}

/* The program's value at x, and its gradient if asked for. After the first failure there are no more questions. */
static bool ask(asked *a, const double *x, double *value, double *gradient) {
  size_t length;
  *value = nan("");
  if (a->failed) return false;
  char *line = question(x, a->size);
  const char *text = line ? process_ask(&a->process, line, &length, &a->why) : NULL;
  if (!line) fail(&a->why, "no memory", "out of memory");
  json_t *j = text ? json_read_line(text, length, &a->why) : NULL;
  a->failed = !j || !read_answer(a, j, value, gradient);
  json_decref(j);
  free(line);
  return !a->failed;
}

static double ask_value(void *user, const double *x) {
  double value;
  ask(user, x, &value, NULL);
  return value; /* NaN after a failure */
}

/* "x", "W[0]", "W[1]", ...: one for each coordinate; the first is the block to free. */
static char **coordinate_names(const subject *s) {
  enum { ROOM = 96 };
  char **name = calloc((size_t)s->size + 1, sizeof *name), *text = calloc((size_t)s->size + 1, ROOM);
  if (!name || !text) {
    free(name);
    free(text);
    return NULL;
  }
  name[0] = text;
  for (int k = 0; k < s->n; k++)
    for (int64_t i = s->offset[k]; i < s->offset[k + 1]; i++) {
      name[i] = text + i * ROOM;
      if (cr_rank(s->x[k].var))
        snprintf(name[i], ROOM, "%.60s[%lld]", s->x[k].name, (long long)(i - s->offset[k]));
      else
        snprintf(name[i], ROOM, "%.60s", s->x[k].name);
    }
  return name;
}

/* Without an expression the program's gradient is held against differences of its own values. */
static int check_program(subject *s, asked *a) {
  cr_report *r = NULL;
  double value;
  char **name = coordinate_names(s);
  int status = STATUS_USAGE;
  if (!name) return complain_memory();
  if (ask(a, s->point, &value, s->claimed)) {
    cr_status found = cr_check_values(s->c->tape, ask_value, a, s->size, s->point, s->claimed, (const char *const *)name,
                                      &s->options, &r);
    if (!a->failed) status = put_report(s, found, r, true);
  }
  free(name[0]);
  free(name);
  return status;
}

static int check_against(subject *s, asked *a, cr_var y) {
  cr_report *r = NULL;
  double value, expected = 0;
  cr_var total = cr_sum_all(y);
  if (cr_dtype_of(y) < CR_FLOAT32) return complain("nothing to check: the output is not a float");
  if (!ask(a, s->point, &value, s->claimed)) return STATUS_USAGE;
  expected = cr_value(total);
  bool same = fabs(value - expected) <= 1e-9 * fabs(expected) || value == expected || (isnan(value) && isnan(expected));
  cr_status found = cr_check_claims(y, s->n, s->var, s->claimed, &s->options, &r);
  int status = put_report(s, found, r, true);
  if (!same && status != STATUS_USAGE) {
    fflush(stdout);
    fprintf(stderr, "chainrule: the program's value is %.17g, the expression's %.17g\n", value, expected);
    status = STATUS_FAILED;
  }
  return status;
}

static int check_exec(subject *s, const cr_results *results) {
  asked a = {.size = s->size};
  double timeout;
  if (!read_number(s->c, OPT_TIMEOUT, 0, 86400, 10, &timeout)) return STATUS_USAGE;
  int status = STATUS_USAGE;
  a.failed = !process_start(&a.process, given(s->c, OPT_EXEC), timeout, &a.why);
  if (!a.failed) status = results ? check_against(s, &a, results->value[0]) : check_program(s, &a);
  process_end(&a.process);
  return a.failed ? complain("--exec: %s", a.why.text) : status;
}

int verb_check(context *c) {
  subject s = {.c = c};
  cr_results results = {0};
  bool exec = has(c, OPT_EXEC), expression = c->n_arguments || !exec;
  int status = STATUS_USAGE;
  if (exec && has(c, OPT_CLAIM)) return complain("--exec and --claim exclude each other");
  if (!read_options(&s) || !(expression ? run_source(c, &results) : open_program(c))) return STATUS_USAGE;
  if (open_subject(&s) && read_claims(&s))
    status = exec ? check_exec(&s, expression ? &results : NULL) : check_outputs(&s, &results);
  close_subject(&s);
  return status;
}
