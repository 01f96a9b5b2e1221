/* Calls: arguments to parameters, and the accessors that C functions read them with. */
#include <stdio.h>

#include "evaluate.h"

/* Parameters by name */

static bool is_one_of(const char *name, const char *const *set) {
  for (; *set; set++)
    if (!strcmp(*set, name)) return true;
  return false;
}

/* The parameter that a keyword names: itself, or by NumPy's, PyTorch's or mathematics' word for the same. -1: none. */
static int parameter_named(const cr__callable *f, const char *name) {
  static const char *const synonyms[][6] = {
    {"dim", "dims", "axis", "axes", NULL}, {"keepdim", "keepdims", NULL}, {"correction", "ddof", NULL},
  };
  static const char *const firsts[] = {"x", "a", "input", "self", NULL}, *const seconds[] = {"y", "b", "other", NULL};
  for (uint32_t i = 0; i < f->n_params; i++)
    if (!strcmp(f->param[i].name, name)) return (int)i;
  if (!f->function) return -1; /* definitions of a program mean what they say */
  for (size_t k = 0; k < sizeof synonyms / sizeof *synonyms; k++)
    for (uint32_t i = 0; i < f->n_params && is_one_of(name, synonyms[k]); i++)
      if (is_one_of(f->param[i].name, synonyms[k])) return (int)i;
  if (is_one_of(name, firsts) && f->n_positional > 0) return 0;
  return is_one_of(name, seconds) && f->n_positional > 1 ? 1 : -1;
}

/* The signature without the other names that follow it, or the head of a definition. */
static int signature_length(const cr__callable *f) {
  const char *body = f->function ? NULL : strstr(f->signature, " = ");
  size_t n = body ? (size_t)(body - f->signature) : strcspn(f->signature, "|");
  while (n && f->signature[n - 1] == ' ') n--;
  return (int)n;
}

static const char *signature_name(const cr__callable *f) { return f->signature[0] == '(' ? f->name : ""; }

#define SIGNATURE(f) signature_name(f), signature_length(f), (f)->signature

/* Binding */

typedef struct binding {
  cr__evaluator *e;
  const cr_syntax *at;
  const cr__callable *f;
  cr__value *arg, *to;
  const char **name;
  uint32_t n, n_positional;
} binding;

/* reshape(x, 2, 3) for reshape(x, [2, 3]): where in the arguments such a list begins, if it can. */
static bool begins_list(const binding *b, uint32_t *first) {
  static const char *const lists[] = {"shape", "size", "sizes", "dims", "tensors", NULL};
  uint32_t last = b->f->n_positional - 1;
  if (!b->f->n_positional || b->f->param[last].fallback || !is_one_of(b->f->param[last].name, lists)) return false;
  bool tensors = !strcmp(b->f->param[last].name, "tensors");
  for (uint32_t i = last; i < b->n_positional && !tensors; i++)
    if (b->arg[i].kind != CR__NUMBER || !b->arg[i].integral) return false;
  *first = last;
  return true;
}

static bool bind_positional(binding *b) {
  const cr__callable *f = b->f;
  uint32_t rest = f->variadic ? f->n_positional - 1 : f->n_positional;
  bool gathers = f->variadic;
  if (!gathers && b->n_positional > f->n_positional) {
    gathers = begins_list(b, &rest);
    if (!gathers) {
      cr__stop(b->e, b->at, CR_BAD_ARGUMENT, "%s takes at most %u positional arguments, not %u: %s%.*s", f->name,
               f->n_positional, b->n_positional, SIGNATURE(f));
      return false;
    }
  }
  for (uint32_t i = 0; i < b->n_positional && i < rest; i++) b->to[i] = b->arg[i];
  if (!gathers) return true;
  uint32_t n = b->n_positional > rest ? b->n_positional - rest : 0;
  const cr__value *only = n == 1 ? &b->arg[rest] : NULL;
  bool listed = only && (only->kind == CR__LIST_VALUE || only->kind == CR__TUPLE_VALUE) && !only->cell;
  b->to[rest] = listed ? *only : (cr__value){.kind = CR__TUPLE_VALUE, .n = n, .as.item = b->arg + rest};
  return true;
}

static bool unknown_keyword(const binding *b, const char *name) {
  cr__guess g = {.name = name};
  for (uint32_t i = 0; i < b->f->n_params; i++) cr__consider(&g, b->f->param[i].name);
  if (g.best)
    cr__stop(b->e, b->at, CR_BAD_ARGUMENT, "%s has no argument '%.60s'; did you mean '%s'? %s%.*s", b->f->name, name,
             g.best, SIGNATURE(b->f));
  else
    cr__stop(b->e, b->at, CR_BAD_ARGUMENT, "%s has no argument '%.60s': %s%.*s", b->f->name, name, SIGNATURE(b->f));
  return false;
}

static bool bind_keywords(binding *b) {
  for (uint32_t i = 0; i < b->n; i++) {
    if (!b->name[i]) continue;
    int k = parameter_named(b->f, b->name[i]);
    if (k < 0) return unknown_keyword(b, b->name[i]);
    if (b->to[k].kind != CR__UNSET) {
      cr__stop(b->e, b->at, CR_BAD_ARGUMENT, "%s is given argument '%s' twice: %s%.*s", b->f->name,
               b->f->param[k].name, SIGNATURE(b->f));
      return false;
    }
    b->to[k] = b->arg[i];
  }
  return true;
}

/* Defaults may use the parameters before them. */
static bool bind_defaults(binding *b) {
  const cr__scope scope = {b->f, b->to}, *outer = b->e->scope;
  for (uint32_t i = 0; i < b->f->n_params; i++) {
    if (b->to[i].kind != CR__UNSET) continue;
    if (!b->f->param[i].fallback) {
      cr__stop(b->e, b->at, CR_BAD_ARGUMENT, "%s needs argument '%s': %s%.*s", b->f->name, b->f->param[i].name,
               SIGNATURE(b->f));
      return false;
    }
    b->e->scope = &scope;
    b->to[i] = cr__evaluate(b->e, b->f->param[i].fallback);
    b->e->scope = outer;
    if (b->e->failed) return false;
  }
  return true;
}

/* Calling */

/* A row with just its operands: numbers fold, all else is recorded without a detour. */
static cr__value call_row(cr__evaluator *e, const cr_syntax *at, const cr__callable *f, cr__value *arg, uint32_t n) {
  const cr_row *row = f->row->row;
  bool numeric = true, integral = true;
  for (uint32_t i = 0; i < n; i++) {
    numeric = numeric && cr__is_numeric(&arg[i]);
    integral = integral && arg[i].integral;
  }
  if (numeric && n) {
    double x = row->value(arg[0].as.number, n > 1 ? arg[1].as.number : 0);
    return row->result == 'b' ? cr__truth(x != 0) : cr__number(x, integral && row->result == 'i');
  }
  cr_var in[2] = {cr_poison(e->tape), cr_poison(e->tape)};
  for (uint32_t i = 0; i < n && i < 2; i++) {
    in[i] = cr__to_node(e, &arg[i], at);
    if (e->failed) return (cr__value){0};
  }
  return cr__node_value(e, at, cr_record(e->tape, f->row, (int)n, in, NULL));
}

static cr__value call_code(cr__evaluator *e, const cr_syntax *at, const cr__callable *f, cr__value *arg) {
  cr_call c = {.evaluator = e, .of = f, .site = at, .arg = arg};
  bool clean = e->tape->error == CR_OK;
  f->function->call(&c);
  if (e->failed) return (cr__value){0};
  if (clean && e->tape->error != CR_OK) return cr__node_value(e, at, cr_poison(e->tape));
  if (!c.n_results) return cr__stop(e, at, CR_INTERNAL, "function '%s' returned nothing", f->name);
  for (uint32_t i = 0; i < c.n_results; i++)
    if (!c.result[i].as.node.id) return cr__node_value(e, at, c.result[i].as.node);
  if (c.n_results == 1) return c.result[0];
  return (cr__value){.kind = CR__TUPLE_VALUE, .n = c.n_results, .as.item = c.result};
}

static cr__value call_body(cr__evaluator *e, const cr_syntax *at, const cr__callable *f, cr__value *arg) {
  const cr__scope scope = {f, arg}, *outer = e->scope;
  const cr_syntax *site = e->site;
  const cr__callable *inside = e->inside;
  e->scope = &scope;
  if (!site) e->site = at;
  e->inside = f;
  cr__value v = cr__evaluate(e, f->body);
  e->scope = outer;
  e->site = site;
  e->inside = inside;
  return v;
}

cr__value cr__call(cr__evaluator *e, const cr_syntax *at, cr__callable *f, cr__value *arg, const char **name,
                   uint32_t n, uint32_t n_positional) {
  if (f->row && n_positional == n && n == (uint32_t)f->row->arity) return call_row(e, at, f, arg, n);
  if (!cr__read_callable(e->tape, f)) return cr__node_value(e, at, cr_poison(e->tape));
  if (!f->function && !f->body)
    return cr__stop(e, at, CR_BAD_ARGUMENT, "%s takes %d arguments, not %u", f->name, f->row->arity, n);
  if (e->language->calls >= CR__MAX_CALLS)
    return cr__stop(e, at, CR_OVER_LIMIT, "calls of '%s' nest more than %d deep", f->name, CR__MAX_CALLS);
  cr__value *to = cr__take(e->tape, &e->language->scratch, f->n_names * sizeof *to);
  if (!to) return cr__node_value(e, at, cr_poison(e->tape));
  if (f->n_names) memset(to, 0, f->n_names * sizeof *to);
  binding b = {e, at, f, arg, to, name, n, n_positional};
  if (!bind_positional(&b) || !bind_keywords(&b) || !bind_defaults(&b)) return (cr__value){0};
  e->language->calls++;
  cr__value v = f->body ? call_body(e, at, f, to) : call_code(e, at, f, to);
  e->language->calls--;
  return v;
}

cr__value cr__apply(cr__evaluator *e, const cr_syntax *at, const char *name, cr__value *arg, uint32_t n) {
  cr__callable *f = cr__callable_named(e->tape, name);
  if (!f)
    return cr__stop(e, at, CR_UNKNOWN_NAME, "this needs the function '%s', which the tape's table does not have", name);
  const char **names = cr__take(e->tape, &e->language->scratch, n * sizeof *names);
  if (!names) return cr__node_value(e, at, cr_poison(e->tape));
  for (uint32_t i = 0; i < n; i++) names[i] = NULL;
  return cr__call(e, at, f, arg, names, n, n);
}

/* Accessors */

static const cr__value *argument(const cr_call *c, int k) {
  static const cr__value none = {.kind = CR__NONE_VALUE};
  return k >= 0 && (uint32_t)k < c->of->n_params ? &c->arg[k] : &none;
}

/* Returns -1, which several accessors do too. */
static int refuse(cr_call *c, int k, const char *what) {
  char text[300];
  const char *name = k >= 0 && (uint32_t)k < c->of->n_params ? c->of->param[k].name : "?";
  cr__stop(c->evaluator, c->site, CR_BAD_ARGUMENT, "%s: argument '%s' must be %s, found %s", c->of->name, name, what,
           cr__value_text(c->evaluator, argument(c, k), text, sizeof text));
  return -1;
}

/* A literal number or truth, or a constant scalar node. */
static bool number_of(const cr__value *v, double *x) {
  if (v->kind == CR__NUMBER || v->kind == CR__TRUTH) return *x = v->as.number, true;
  if (v->kind != CR__NODE || !cr_is_const(v->as.node) || cr_count(v->as.node) != 1) return false;
  return *x = cr_value(v->as.node), true;
}

static bool integer_of(const cr__value *v, int64_t *n) {
  double x;
  if (!number_of(v, &x) || x != floor(x) || fabs(x) > 9007199254740992.0) return false;
  *n = (int64_t)x;
  return true;
}

cr_tape *cr_call_tape(const cr_call *c) { return c->evaluator->tape; }
const cr_function *cr_call_function(const cr_call *c) { return c->of->function; }
cr_dtype cr_call_dtype(const cr_call *c) { return c->evaluator->dtype; }
int cr_arg_given(const cr_call *c, int k) { return argument(c, k)->kind != CR__NONE_VALUE; }
int cr_arg_is_text(cr_call *c, int k) { return argument(c, k)->kind == CR__TEXT_VALUE; }
int cr_arg_is_tuple(cr_call *c, int k) { return argument(c, k)->kind == CR__TUPLE_VALUE; }
int cr_arg_is_number(cr_call *c, int k) {
  const cr__value *v = argument(c, k);
  return v->kind == CR__NUMBER || v->kind == CR__TRUTH;
}
int cr_arg_is_integer(cr_call *c, int k) { return cr_arg_is_number(c, k) && argument(c, k)->integral; }

cr_var cr_arg_var(cr_call *c, int k) {
  const cr__value *v = argument(c, k);
  if (v->kind == CR__NONE_VALUE || v->kind == CR__TEXT_VALUE || v->kind == CR__FUNCTION)
    refuse(c, k, "a number or tensor");
  return c->evaluator->failed ? cr_poison(c->evaluator->tape) : cr__to_node(c->evaluator, v, c->site);
}

cr_var cr_arg_index(cr_call *c, int k) {
  const cr__value *v = argument(c, k);
  bool real = v->kind == CR__NODE && v->as.node.id && cr_dtype_of(v->as.node) >= CR_FLOAT32;
  if (real || v->kind == CR__NONE_VALUE || v->kind == CR__TEXT_VALUE) refuse(c, k, "integers");
  return c->evaluator->failed ? cr_poison(c->evaluator->tape) : cr__to_index(c->evaluator, v, c->site);
}

double cr_arg_number(cr_call *c, int k) {
  double x = (double)NAN;
  if (!number_of(argument(c, k), &x)) refuse(c, k, "a number known beforehand");
  return x;
}

int64_t cr_arg_int(cr_call *c, int k) {
  int64_t n = 0;
  if (!integer_of(argument(c, k), &n)) refuse(c, k, "an integer known beforehand");
  return n;
}

int cr_arg_bool(cr_call *c, int k) {
  double x = 0;
  if (!number_of(argument(c, k), &x) || (x != 0 && x != 1)) refuse(c, k, "True or False");
  return x != 0;
}

const char *cr_arg_text(cr_call *c, int k) {
  const cr__value *v = argument(c, k);
  if (v->kind == CR__TEXT_VALUE) return v->as.text;
  refuse(c, k, "a text");
  return "";
}

static int too_many(cr_call *c, int k, uint32_t n, int max) {
  cr__stop(c->evaluator, c->site, CR_BAD_ARGUMENT, "%s: argument '%s' has %u entries, at most %d fit", c->of->name,
           c->of->param[k].name, n, max);
  return -1;
}

/* Integers from a constant tensor of rank 0 or 1. */
static int node_ints(cr_call *c, int k, int max, int64_t *out) {
  cr_var v = argument(c, k)->as.node;
  if (!cr_is_const(v) || cr_rank(v) > 1 || cr_dtype_of(v) >= CR_FLOAT32)
    return refuse(c, k, "integers known beforehand");
  cr_array a = cr_view(v);
  if (a.count > max) return too_many(c, k, (uint32_t)a.count, max);
  for (int64_t i = 0; i < a.count; i++) out[i] = cr_array_get_int(&a, i);
  return (int)a.count;
}

int cr_arg_ints(cr_call *c, int k, int max, int64_t *out) {
  const cr__value *v = argument(c, k);
  if (v->kind == CR__NONE_VALUE) return -1;
  if (v->kind == CR__NODE && v->as.node.id && cr_dtype_of(v->as.node) < CR_FLOAT32) return node_ints(c, k, max, out);
  bool list = v->kind == CR__LIST_VALUE || v->kind == CR__TUPLE_VALUE;
  const cr__value *item = list ? v->as.item : v;
  uint32_t n = list ? v->n : 1;
  if (n > (uint32_t)max) return too_many(c, k, n, max);
  for (uint32_t i = 0; i < n; i++)
    if (!integer_of(&item[i], &out[i])) return refuse(c, k, "an integer or a list of integers");
  return (int)n;
}

typedef cr_var converter(cr__evaluator *e, const cr__value *v, const cr_syntax *at);

static int nodes_of(cr_call *c, int k, int max, cr_var *out, converter *to_node) {
  const cr__value *v = argument(c, k);
  if (v->kind == CR__NONE_VALUE) return -1;
  bool list = (v->kind == CR__LIST_VALUE || v->kind == CR__TUPLE_VALUE) && !v->cell;
  const cr__value *item = list ? v->as.item : v;
  uint32_t n = list ? v->n : 1;
  if (n > (uint32_t)max) return too_many(c, k, n, max);
  for (uint32_t i = 0; i < n; i++) {
    out[i] = to_node(c->evaluator, &item[i], c->site);
    if (c->evaluator->failed) return -1;
  }
  return (int)n;
}
int cr_arg_vars(cr_call *c, int k, int max, cr_var *out) { return nodes_of(c, k, max, out, cr__to_node); }
int cr_arg_indices(cr_call *c, int k, int max, cr_var *out) { return nodes_of(c, k, max, out, cr__to_index); }

void cr_return(cr_call *c, cr_var v) {
  if (c->n_results == c->capacity) {
    uint32_t capacity = c->capacity ? 2 * c->capacity : 2;
    cr__value *result = cr__take(c->evaluator->tape, &c->evaluator->language->scratch, capacity * sizeof *result);
    if (!result) return;
    if (c->n_results) memcpy(result, c->result, c->n_results * sizeof *result);
    c->result = result;
    c->capacity = capacity;
  }
  c->result[c->n_results++] = (cr__value){.kind = CR__NODE, .as.node = v};
}
