/* chainrule batch: one request a line, one answer a line, both JSON. Whatever a line holds, it is answered. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"

enum { MAX_LINE = 1 << 28, MAX_KEPT = 64 << 20 };

typedef struct line {
  char *text;
  size_t length, capacity;
  bool too_long;
} line;

typedef struct request {
  cr_tape *tape;
  cr_dtype dtype;
  cr_program *program;
  const json_t *json;
  variable *input;           /* all inputs, then those of wrt */
  int n_inputs;
  variable *x;
  cr_var *tangent;
  int n;
  unsigned wants;
  query query;
  problem problem;
  cr_syntax_error where;
} request;

static bool tape_failed(request *r) {
  return fail(&r->problem, status_code(cr_error(r->tape)), "%s", cr_error_text(r->tape));
}

static bool about(request *r, const char *what, const char *name) {
  char text[sizeof r->problem.text];
  memcpy(text, r->problem.text, sizeof text);
  return fail(&r->problem, r->problem.code, "%s%s%s: %.400s", what, *name ? " " : "", name, text);
}

/* Inputs */

static bool is_name(const char *s) {
  for (const char *c = s; *c; c++)
    if (!(*c == '_' || (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (unsigned char)*c >= 0x80 ||
          (c > s && *c >= '0' && *c <= '9')))
      return false;
  return *s != 0;
}

/* A plain number or list stands for itself, as if written in the expression: it may also serve as a shape or an index. */
static bool bind_plain(request *r, const char *name, const json_t *j) {
  char *text = json_dumps(j, JSON_ENCODE_ANY | JSON_REAL_PRECISION(17));
  if (!text) return fail(&r->problem, "no memory", "out of memory");
  cr_status status = cr_program_bind_text(r->program, name, text, strlen(text));
  free(text);
  return status == CR_OK || tape_failed(r);
}

static bool all_numbers(const json_t *j) {
  for (size_t i = 0; i < json_array_size(j); i++)
    if (!all_numbers(json_array_get(j, i))) return false;
  return json_is_number(j) || (json_is_array(j) && json_array_size(j));
}

static bool bind_input(request *r, variable *v, const json_t *j) {
  if (!is_name(v->name)) return fail(&r->problem, "bad request", "input: not a name");
  tensor x;
  if (!tensor_of_json(&x, j, r->dtype, &r->problem)) return about(r, "input", v->name);
  bool plain = !json_is_object(j) && all_numbers(j), good = true;
  if (plain)
    good = bind_plain(r, v->name, j);
  else
    cr_program_bind(r->program, v->name, tensor_record(r->tape, &x, false));
  tensor_free(&x);
  if (!good || cr_error(r->tape) != CR_OK) return tape_failed(r) || about(r, "input", v->name);
  v->var = cr_program_value(r->program, v->name);
  cr_name(v->var, v->name);
  return cr_error(r->tape) == CR_OK || tape_failed(r);
}

static bool bind_inputs(request *r) {
  json_t *inputs = json_object_get(r->json, "inputs"), *value;
  const char *name;
  if (!inputs || json_is_null(inputs)) return true;
  if (!json_is_object(inputs)) return fail(&r->problem, "bad request", "\"inputs\" is an object of NAME: tensor");
  r->input = calloc(json_object_size(inputs) + 1, sizeof *r->input);
  if (!r->input) return fail(&r->problem, "no memory", "out of memory");
  json_object_foreach(inputs, name, value) {
    r->input[r->n_inputs].name = name;
    if (!bind_input(r, &r->input[r->n_inputs++], value)) return false;
  }
  return true;
}

/* What to differentiate with respect to */

static bool add_wrt(request *r, const char *name) {
  cr_var v = cr_program_value(r->program, name);
  if (cr_is_poison(v)) return fail(&r->problem, "unknown name", "\"wrt\": no input is called %.100s", name);
  if (cr_dtype_of(v) < CR_FLOAT32)
    return fail(&r->problem, "not differentiable", "\"wrt\": %.100s is of dtype %s, which has no derivative", name,
                cr_dtype_name(cr_dtype_of(v)));
  for (int k = 0; k < r->n_inputs; k++)
    if (!strcmp(r->input[k].name, name)) v = r->input[k].var; /* even if the program has given the name to another node */
  for (int k = 0; k < r->n; k++)
    if (!strcmp(r->x[k].name, name)) return fail(&r->problem, "bad request", "\"wrt\" names %.100s twice", name);
  r->x[r->n++] = (variable){name, v};
  return true;
}

static bool read_wrt(request *r) {
  const json_t *wrt = json_object_get(r->json, "wrt");
  size_t size = json_is_array(wrt) ? json_array_size(wrt) : (size_t)r->n_inputs;
  r->x = calloc(size + 1, sizeof *r->x);
  r->tangent = calloc(size + 1, sizeof *r->tangent);
  if (!r->x || !r->tangent) return fail(&r->problem, "no memory", "out of memory");
  if (json_is_string(wrt)) return add_wrt(r, json_string_value(wrt));
  if (!wrt || json_is_null(wrt)) {
    for (int k = 0; k < r->n_inputs; k++)
      if (cr_dtype_of(r->input[k].var) >= CR_FLOAT32) r->x[r->n++] = r->input[k];
    return true;
  }
  if (!json_is_array(wrt)) return fail(&r->problem, "bad request", "\"wrt\" is a list of input names");
  for (size_t i = 0; i < size; i++) {
    if (!json_is_string(json_array_get(wrt, i))) return fail(&r->problem, "bad request", "\"wrt\" is a list of input names");
    if (!add_wrt(r, json_string_value(json_array_get(wrt, i)))) return false;
  }
  return true;
}

static bool add_want(request *r, const json_t *j) {
  for (int k = 0; k < N_WANTS; k++)
    if (json_is_string(j) && !strcmp(json_string_value(j), want_name[k])) {
      r->wants |= 1u << k;
      return true;
    }
  return fail(&r->problem, "bad request", "\"want\" is a list of \"value\", \"vjp\", \"jvp\", \"hvp\", \"jac\", \"hess\"");
}

static bool read_want(request *r) {
  const json_t *want = json_object_get(r->json, "want");
  if (!want || json_is_null(want)) r->wants = WANT_VALUE;
  if (!json_is_array(want)) return !want || json_is_null(want) || add_want(r, want);
  for (size_t i = 0; i < json_array_size(want); i++)
    if (!add_want(r, json_array_get(want, i))) return false;
  return true;
}

/* Cotangents and tangents: tensors of a known shape */

static bool read_like(request *r, const json_t *j, cr_var like, cr_var *out) {
  tensor x;
  if (!tensor_like_json(&x, j, like, &r->problem)) return false;
  *out = tensor_record(r->tape, &x, true);
  tensor_free(&x);
  return !cr_is_poison(*out) || tape_failed(r);
}

/* The cotangent of output k in a list with an entry for each output, or for each float output; for a single output the list
 * may be the cotangent itself. NULL when there is none. */
static const json_t *cotangent_of(const json_t *list, int m, int k, int floats, int among_floats) {
  size_t size = json_array_size(list);
  if (m == 1) return size == 1 ? json_array_get(list, 0) : list;
  if (size == (size_t)m) return json_array_get(list, (size_t)k);
  return size == (size_t)floats ? json_array_get(list, (size_t)among_floats) : NULL;
}

static bool read_cotangents(request *r) {
  const json_t *list = json_object_get(r->json, "cotangents");
  int seen = 0, floats = 0;
  if (!list || json_is_null(list)) return true;
  if (!json_is_array(list) && r->query.m != 1)
    return fail(&r->problem, "bad request", "\"cotangents\" is a list with an entry for each of the %d outputs", r->query.m);
  for (int k = 0; k < r->query.m; k++) floats += cr_dtype_of(r->query.y[k]) >= CR_FLOAT32;
  for (int k = 0; k < r->query.m; k++) {
    if (cr_dtype_of(r->query.y[k]) < CR_FLOAT32) continue;
    const json_t *j = cotangent_of(list, r->query.m, k, floats, seen++);
    if (!j) return fail(&r->problem, "bad request", "%zu cotangents for %d outputs", json_array_size(list), r->query.m);
    if (!json_is_null(j) && !read_like(r, j, r->query.y[k], &r->query.cotangent[k])) return about(r, "cotangent", "");
  }
  return true;
}

static bool read_tangents(request *r) {
  json_t *tangents = json_object_get(r->json, "tangents"), *value;
  const char *name;
  if (!tangents || json_is_null(tangents)) return true;
  if (!json_is_object(tangents)) return fail(&r->problem, "bad request", "\"tangents\" is an object of NAME: tensor");
  json_object_foreach(tangents, name, value) {
    int k = 0;
    while (k < r->n && strcmp(r->x[k].name, name)) k++;
    if (k == r->n) {
      for (k = 0; k < r->n_inputs && strcmp(r->input[k].name, name);) k++;
      if (k == r->n_inputs) return fail(&r->problem, "unknown name", "\"tangents\": no input is called %.100s", name);
    } else if (!json_is_null(value) && !read_like(r, value, r->x[k].var, &r->tangent[k])) {
      return about(r, "tangent", name);
    }
  }
  r->query.tangent = r->tangent;
  return true;
}

/* Requests */

static bool evaluate(request *r) {
  const json_t *expr = json_object_get(r->json, "expr"), *dtype = json_object_get(r->json, "dtype");
  if (!json_is_string(expr)) return fail(&r->problem, "bad request", "\"expr\" is missing or not a string");
  if (dtype && (!json_is_string(dtype) || cr_dtype_of_name(json_string_value(dtype)) < CR_FLOAT32))
    return fail(&r->problem, "bad dtype", "\"dtype\" is float64 or float32");
  if (dtype) r->dtype = (cr_dtype)cr_dtype_of_name(json_string_value(dtype));
  r->program = cr_program_new(r->tape, r->dtype);
  if (!r->program) return tape_failed(r);
  if (!bind_inputs(r)) return false;
  cr_results results;
  const char *source = json_string_value(expr);
  if (cr_program_run(r->program, source, json_string_length(expr), &results, &r->where) != CR_OK) return tape_failed(r);
  if (!results.n) return fail(&r->problem, "bad request", "\"expr\" has no value: its last statement is not an expression");
  r->query.m = results.n;
  memcpy(r->query.y, results.value, sizeof results.value);
  return true;
}

static bool read_captured(request *r) {
  const json_t *j = json_object_get(r->json, "captured");
  r->query.compiled = json_is_string(j) && !strcmp(json_string_value(j), "compiled");
  r->query.captured = r->query.compiled || json_is_true(j);
  return !j || json_is_null(j) || json_is_boolean(j) || r->query.compiled ||
         fail(&r->problem, "bad request", "\"captured\" is true, false or \"compiled\"");
}

static bool differentiate(request *r, answer *a) {
  if (!read_wrt(r) || !read_want(r)) return false;
  if ((r->wants & ~(unsigned)WANT_VALUE) && (!read_cotangents(r) || !read_tangents(r))) return false;
  if (!read_captured(r)) return false;
  r->query.tape = r->tape;
  r->query.n = r->n;
  r->query.x = r->x;
  if (derive(&r->query, r->wants, a)) return true;
  r->problem = a->problem;
  return false;
}

/* Objects and lists that are wanted are there even when they are empty. */
static bool put_answer(const request *r, const answer *a, json_t *object) {
  for (int k = 0; k < N_WANTS; k++)
    if (r->wants >> k & 1)
      json_object_set_new(object, want_name[k], 1 << k & (WANT_VALUE | WANT_JVP) ? json_array() : json_object());
  if (*a->note) json_object_set_new(object, "note", json_string(a->note));
  return answer_json(a, object);
}

static bool put_problem(const request *r, json_t *object) {
  json_t *error = json_object();
  char text[sizeof r->problem.text];
  size_t n = 0;
  for (const char *s = r->problem.text; *s && *s != '\n'; s++) text[n++] = *s;
  text[n] = 0;
  while (n && !json_object_get(error, "message")) {
    json_object_set_new(error, "code", json_string(r->problem.code));
    if (json_object_set_new(error, "message", json_string(text))) text[--n] = 0; /* cut within a character */
  }
  if (r->where.status != CR_OK) {
    json_object_set_new(error, "line", json_integer(r->where.line));
    json_object_set_new(error, "column", json_integer(r->where.column));
  }
  return !json_object_set_new(object, "error", error);
}

/* The caller resets the tape. */
static json_t *respond(cr_tape *t, cr_dtype dtype, const json_t *json) {
  request r = {.tape = t, .dtype = dtype, .json = json};
  answer a = {0};
  json_t *object = json_object(), *id = json_object_get(json, "id");
  json_object_set_new(object, "id", id ? json_incref(id) : json_null());
  bool good = (json_is_object(json) || fail(&r.problem, "bad request", "a request is a JSON object")) && evaluate(&r) &&
              differentiate(&r, &a) && (put_answer(&r, &a, object) || fail(&r.problem, "no memory", "out of memory"));
  if (!good) {
    for (int k = 0; k < N_WANTS; k++) json_object_del(object, want_name[k]);
    put_problem(&r, object);
  }
  answer_free(&a);
  free(r.input);
  free(r.x);
  free(r.tangent);
  return object;
}

json_t *batch_answer(cr_tape *t, cr_dtype dtype, const char *text, size_t length) {
  request r = {.tape = t};
  json_t *json = length ? json_read_line(text, length, &r.problem) : NULL, *object = NULL;
  if (!length) fail(&r.problem, "over limit", "a line of more than %d bytes", MAX_LINE);
  if (json) {
    object = respond(t, dtype, json);
  } else if ((object = json_object())) {
    json_object_set_new(object, "id", json_null());
    put_problem(&r, object);
  }
  json_decref(json);
  return object;
}

/* The next line; what is over the limit is dropped. False at the end. */
static bool read_line(FILE *f, line *in) {
  int c;
  in->length = 0;
  in->too_long = false;
  while ((c = getc_unlocked(f)) != EOF && c != '\n') {
    if (in->length + 1 >= in->capacity && !in->too_long) {
      size_t capacity = in->capacity ? 2 * in->capacity : 4096;
      char *grown = capacity <= MAX_LINE ? realloc(in->text, capacity) : NULL;
      in->too_long = !grown;
      if (grown) in->text = grown, in->capacity = capacity;
    }
    if (!in->too_long) in->text[in->length++] = (char)c;
  }
  return c != EOF || in->length || in->too_long;
}

static bool is_blank(const line *in) {
  for (size_t i = 0; i < in->length; i++)
    if (!strchr(" \t\r", in->text[i]) || !in->text[i]) return false;
  return !in->too_long;
}

/* A fresh tape once the old one has grown or failed in a way that may have left it short. */
static cr_tape *fresh(cr_tape *t, long mebibytes) {
  if (t) cr_free(t);
  t = cr_new();
  if (t) cr_set(t, CR_MAX_BYTES, mebibytes);
  return t;
}

static int serve(FILE *in, const char *name, cr_dtype dtype, long mebibytes) {
  line l = {0};
  cr_tape *t = fresh(NULL, mebibytes);
  cr_mark start = {0};
  int status = STATUS_GOOD;
  if (t) start = cr_mark_here(t);
  while (t && status == STATUS_GOOD && read_line(in, &l)) {
    if (is_blank(&l)) continue;
    status = put_json(stdout, batch_answer(t, dtype, l.text, l.too_long ? 0 : l.length));
    if (fflush(stdout)) break;
    cr_status error = cr_error(t);
    cr_reset(t, start);
    cr_clear_error(t);
    if (error == CR_NO_MEMORY || error == CR_OVER_LIMIT || error == CR_INTERNAL || cr_stats_of(t).bytes > MAX_KEPT) {
      t = fresh(t, mebibytes);
      if (t) start = cr_mark_here(t);
    }
  }
  if (ferror(in)) status = complain("cannot read %s: %s", name, strerror(errno));
  free(l.text);
  if (!t) return complain_memory();
  cr_free(t);
  return status;
}

int verb_batch(context *c) {
  long mebibytes;
  if (!whole_given(c, OPT_MEMORY, 1, 1 << 20, 2048, &mebibytes)) return STATUS_USAGE;
  FILE *in = stdin;
  const char *name = c->n_arguments && strcmp(c->argument[0], "-") ? c->argument[0] : NULL;
  if (c->n_arguments > 1) return complain("batch takes one file at most");
  if (c->n_assignments) return complain("batch takes no NAME=VALUE; inputs are in the requests");
  if (name && !(in = fopen(name, "r"))) return complain("cannot open %s: %s", name, strerror(errno));
  int status = serve(in, name ? name : "standard input", c->dtype, mebibytes);
  if (in != stdin) fclose(in);
  return status;
}
