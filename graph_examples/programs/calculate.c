/* chainrule eval, grad, vjp, jvp, jac, hess, hvp: values and derivatives of an expression. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "command.h"
#include "nonzeros.h"

static int width_of(const char *label, int width) { return (int)strlen(label) > width ? (int)strlen(label) : width; }

static bool read_digits(const context *c, int *digits) {
  long n;
  bool good = whole_given(c, OPT_DIGITS, 1, 17, 10, &n);
  *digits = (int)n;
  return good;
}

/* eval */

static json_t *values_json(const cr_results *results) {
  json_t *list = json_array();
  for (int k = 0; k < results->n; k++)
    if (json_array_append_new(list, json_var(results->value[k]))) {
      json_decref(list);
      return NULL;
    }
  return list;
}

static bool is_shown(const context *c, cr_var v) { return !cr_is_poison(v) && cr_error(c->tape) == CR_OK; }

static json_t *names_json(context *c) {
  json_t *object = json_object();
  const char *name;
  for (int k = 0; (name = cr_program_name(c->program, k)); k++) {
    cr_var v = cr_program_value(c->program, name);
    if (is_shown(c, v) && json_object_set_new(object, name, json_var(v))) {
      json_decref(object);
      return NULL;
    }
    cr_clear_error(c->tape);
  }
  return object;
}

static void put_names(context *c, int digits) {
  const char *name;
  int width = 0;
  for (int k = 0; (name = cr_program_name(c->program, k)); k++) width = width_of(name, width);
  for (int k = 0; (name = cr_program_name(c->program, k)); k++) {
    cr_var v = cr_program_value(c->program, name);
    if (is_shown(c, v)) put_var(stdout, name, width, v, digits, has(c, OPT_FULL));
    cr_clear_error(c->tape);
  }
}

int verb_eval(context *c) {
  cr_results results;
  int digits;
  if (!read_digits(c, &digits) || !run_source(c, &results)) return STATUS_USAGE;
  if (has(c, OPT_JSON)) {
    json_t *object = json_object();
    bool good = !json_object_set_new(object, "value", values_json(&results));
    if (good && has(c, OPT_ALL)) good = !json_object_set_new(object, "names", names_json(c));
    return good ? put_json(stdout, object) : complain_memory();
  }
  if (has(c, OPT_ALL)) put_names(c, digits);
  for (int k = 0; k < results.n; k++)
    put_var(stdout, has(c, OPT_ALL) ? "value" : "", 0, results.value[k], digits, has(c, OPT_FULL));
  return STATUS_GOOD;
}

/* Derivatives */

/* A value from the command line in the shape and dtype of a node: a number serves for all elements. */
static bool read_like(context *c, const char *what, const char *text, cr_var like, cr_var *out) {
  cr_array a = cr_view(like);
  cr_program *p = cr_program_new(c->tape, CR_FLOAT64);
  if (!p) return complain_memory(), false;
  cr_program_bind_text(p, "value", text, strlen(text));
  cr_var v = cr_error(c->tape) == CR_OK ? cr_cast(cr_program_value(p, "value"), (cr_dtype)a.dtype) : cr_poison(c->tape);
  if (cr_count(v) == a.count && cr_count(v) != 1) v = cr_reshape(v, a.rank, a.dim);
  if (cr_error(c->tape) == CR_OK) v = cr_broadcast_to(v, a.rank, a.dim);
  *out = v;
  if (cr_error(c->tape) == CR_OK) return true;
  return complain("%s %s: %s", what, text, cr_error_text(c->tape)), false;
}

static bool read_cotangents(context *c, query *q) {
  const char *text;
  int k = 0, output = 0;
  while ((text = next_given(c, OPT_COTANGENT, &k))) {
    while (output < q->m && cr_dtype_of(q->y[output]) < CR_FLOAT32) output++;
    if (output == q->m) return complain("--cotangent is given more often than there are float outputs"), false;
    if (!read_like(c, "--cotangent", text, q->y[output], &q->cotangent[output])) return false;
    output++;
  }
  return true;
}

static bool read_tangents(context *c, query *q, cr_var *tangent) {
  const char *text;
  int k = 0;
  while ((text = next_given(c, OPT_TANGENT, &k))) {
    size_t length = strcspn(text, "=");
    int i = 0;
    while (i < q->n && (strlen(q->x[i].name) != length || strncmp(q->x[i].name, text, length))) i++;
    if (!text[length] || i == q->n)
      return complain("--tangent takes NAME=VALUE for a NAME of --wrt, not '%s'", text), false;
    if (!cr_is_poison(tangent[i])) return complain("--tangent of %s is given twice", q->x[i].name), false;
    if (!read_like(c, "--tangent", text + length + 1, q->x[i].var, &tangent[i])) return false;
  }
  q->tangent = tangent;
  return has(c, OPT_TANGENT) || (complain("%s needs a direction: --tangent NAME=VALUE", c->verb->name), false);
}

static void label_of(const query *q, const result *r, const char *what, char *text, size_t size) {
  char output[16] = "";
  if (q->m > 1 && r->output >= 0) snprintf(output, sizeof output, "[%d]", r->output);
  if (r->want == WANT_VALUE)
    snprintf(text, size, "value%s", output);
  else if (!strcmp(what, "grad"))
    snprintf(text, size, "d/d%s", r->a);
  else
    snprintf(text, size, "%s%s%s%s%s%s", what, output, r->a ? " " : "", r->a ? r->a : "", r->b ? " " : "", r->b ? r->b : "");
}

static void put_answer(const context *c, const query *q, const answer *a, int digits) {
  char label[300];
  int width = 0;
  for (int k = 0; k < a->n; k++) {
    label_of(q, &a->result[k], c->verb->name, label, sizeof label);
    width = width_of(label, width);
  }
  for (int k = 0; k < a->n; k++) {
    if (a->result[k].absent) continue;
    label_of(q, &a->result[k], c->verb->name, label, sizeof label);
    put_tensor(stdout, label, width, &a->result[k].value, digits, has(c, OPT_FULL));
  }
}

/* Where derivatives come from, and where they go wrong */

enum { STORY = 4096 };

static bool add_whys(json_t *object, const query *q) {
  char text[STORY];
  json_t *why = json_object();
  for (int i = 0; i < q->n; i++) {
    json_t *list = json_array();
    for (int k = 0; k < q->m; k++) {
      cr_why(q->y[k], q->x[i].var, text, sizeof text);
      if (json_array_append_new(list, json_string(text))) return json_decref(list), json_decref(why), false;
    }
    if (json_object_set_new(why, q->x[i].name, list)) return json_decref(why), false;
  }
  return !json_object_set_new(object, "why", why);
}

static void put_lines(const char *text) {
  size_t n = strlen(text);
  printf(n && text[n - 1] == '\n' ? "%s" : "%s\n", text);
}

static void put_whys(const query *q) {
  char text[STORY];
  for (int k = 0; k < q->m; k++)
    for (int i = 0; i < q->n; i++) {
      cr_why(q->y[k], q->x[i].var, text, sizeof text);
      printf("\n%s: ", q->x[i].name);
      put_lines(text);
    }
}

static bool add_nonfinite(json_t *object, const query *q, bool *found) {
  char text[STORY];
  json_t *list = json_array();
  for (int k = 0; k < q->m; k++) {
    bool bad = cr_find_nonfinite(q->y[k], text, sizeof text) == 1;
    *found = *found || bad;
    if (json_array_append_new(list, bad ? json_string(text) : json_null())) return json_decref(list), false;
  }
  return !json_object_set_new(object, "nonfinite", list);
}

static bool put_nonfinite(const query *q) {
  char text[STORY];
  bool found = false;
  for (int k = 0; k < q->m; k++) {
    bool bad = cr_find_nonfinite(q->y[k], text, sizeof text) == 1;
    putchar('\n');
    put_lines(bad ? text : "every value and every adjoint is finite");
    found = found || bad;
  }
  return found;
}

static int put_answer_json(const context *c, const query *q, const answer *a) {
  json_t *object = json_object();
  bool found = false;
  if (!object || !answer_json(a, object)) return complain_memory();
  if (!strcmp(c->verb->name, "grad")) {
    json_object_set(object, "grad", json_object_get(object, "vjp"));
    json_object_del(object, "vjp");
  }
  bool good = !has(c, OPT_WHY) || add_whys(object, q);
  if (good && has(c, OPT_NONFINITE)) good = add_nonfinite(object, q, &found);
  if (!good) return json_decref(object), complain_memory();
  int status = put_json(stdout, object);
  return status == STATUS_GOOD && found ? STATUS_FAILED : status;
}

static unsigned want_of(const char *name) {
  for (int k = 0; k < N_WANTS; k++)
    if (!strcmp(name, want_name[k])) return 1u << k;
  return WANT_VJP; /* grad */
}

static int put_story(const context *c, const query *q, const answer *a, int digits) {
  put_answer(c, q, a, digits);
  if (has(c, OPT_WHY)) put_whys(q);
  return has(c, OPT_NONFINITE) && put_nonfinite(q) ? STATUS_FAILED : STATUS_GOOD;
}

int verb_derivative(context *c) {
  cr_results results;
  query q = {0};
  answer a = {0};
  int digits, status = STATUS_USAGE;
  unsigned want = want_of(c->verb->name);
  if (!read_digits(c, &digits) || !run_source(c, &results)) return STATUS_USAGE;
  if (has(c, OPT_SPARSE)) return put_sparse(c, &results, digits);
  if (has(c, OPT_OUTPUT)) return complain("--output takes --sparse, too");
  variable *x = wrt_of(c, &q.n);
  cr_var *tangent = x ? calloc((size_t)q.n, sizeof *tangent) : NULL;
  q.tape = c->tape;
  q.x = x;
  q.m = results.n;
  memcpy(q.y, results.value, sizeof q.y);
  if (tangent && read_cotangents(c, &q) && (!(want & (WANT_JVP | WANT_HVP)) || read_tangents(c, &q, tangent))) {
    if (!derive(&q, WANT_VALUE | want, &a))
      status = complain("%s", a.problem.text);
    else if (has(c, OPT_JSON))
      status = put_answer_json(c, &q, &a);
    else
      status = put_story(c, &q, &a, digits);
  } else if (x && !tangent) {
    status = complain_memory();
  }
  answer_free(&a);
  free(tangent);
  free(x);
  return status;
}
