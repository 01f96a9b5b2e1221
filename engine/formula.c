/* Evaluation: a syntax tree to a value. Literals fold; whatever meets a node is recorded. */
#include <stdarg.h>
#include <stdio.h>

#include "evaluate.h"

/* Failures */

/* Where the reader should look: the call at the top, when the failure is inside a function that it calls. */
static const cr_syntax *place_of(const cr__evaluator *e, const cr_syntax *at) { return e->site ? e->site : at; }

static void locate(const cr__evaluator *e, const cr_syntax *at, uint32_t *line, uint32_t *column) {
  *line = *column = 1;
  for (uint32_t i = 0; i < at->at; i++) {
    *column += ((unsigned char)e->source[i] & 0xC0) != 0x80;
    if (e->source[i] == '\n') ++*line, *column = 1;
  }
}

/* Puts place and function before the tape's error. */
static void place_error(cr__evaluator *e, const cr_syntax *at) {
  cr_tape *t = e->tape;
  char text[sizeof t->error_text], inside[80] = "";
  uint32_t line = 1, column = 1;
  if (e->inside) snprintf(inside, sizeof inside, "in %.60s: ", e->inside->name);
  snprintf(text, sizeof text, "%s", t->error_text);
  if (strstr(text, inside)) inside[0] = 0; /* it calls itself: once is enough */
  at = place_of(e, at);
  if (e->source) {
    locate(e, at, &line, &column);
    snprintf(t->error_text, sizeof t->error_text, "line %u, column %u: %s%.900s", line, column, inside, text);
  } else {
    snprintf(t->error_text, sizeof t->error_text, "%s%.900s", inside, text);
  }
  if (!e->error) return;
  *e->error = (cr_syntax_error){.status = t->error, .at = e->source ? at->at : 0, .line = line, .column = column};
  snprintf(e->error->message, sizeof e->error->message, "%.79s%.170s", inside, text);
}

cr__value cr__stop(cr__evaluator *e, const cr_syntax *at, cr_status status, const char *format, ...) {
  char text[512];
  if (e->failed) return (cr__value){0};
  e->failed = true;
  bool fresh = e->tape->error == CR_OK;
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  cr_fail(e->tape, status, "%s", text);
  if (fresh) place_error(e, at);
  return (cr__value){0};
}

cr__value cr__node_value(cr__evaluator *e, const cr_syntax *at, cr_var v) {
  if (v.id) return (cr__value){.kind = CR__NODE, .as.node = v};
  if (e->failed) return (cr__value){0};
  if (e->tape->error == CR_OK) return cr__stop(e, at, CR_POISONED, "the operand comes from an earlier failure");
  e->failed = true;
  place_error(e, at);
  return (cr__value){0};
}

static cr__value out_of_memory(cr__evaluator *e, const cr_syntax *at) {
  return cr__node_value(e, at, cr_poison(e->tape));
}

/* Names */

static cr__value *in_scope(const cr__scope *scope, const char *name) {
  if (!scope) return NULL;
  const cr__callable *f = scope->of;
  for (uint32_t i = f->n_names; i-- > 0;) {
    const char *known = i < f->n_params ? f->param[i].name : f->local[i - f->n_params];
    if (scope->value[i].kind != CR__UNSET && !strcmp(known, name)) return &scope->value[i];
  }
  return NULL;
}

/* Bodies of functions of the table see their parameters only, definitions of a program its variables too. */
static const cr_program *visible(const cr__evaluator *e) {
  return e->scope && e->scope->of->function ? NULL : e->program;
}

static bool known_constant(const char *name, cr__value *v) {
  static const struct {
    const char *name;
    double value;
  } numbers[] = {{"pi", 3.14159265358979323846}, {"e", 2.71828182845904523536}, {"tau", 6.28318530717958647692},
                 {"inf", HUGE_VAL}, {"nan", (double)NAN}};
  static const struct {
    const char *name, *text;
  } texts[] = {{"float", "float32"}, {"double", "float64"}, {"long", "int64"}, {"int", "int32"}};
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
    if (!strcmp(numbers[i].name, name)) return *v = cr__number(numbers[i].value, false), true;
  if (!strcmp(name, "None")) return *v = cr__none(), true;
  if (!strcmp(name, "True") || !strcmp(name, "False")) return *v = cr__truth(name[0] == 'T'), true;
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    if (!strcmp(texts[i].name, name)) name = texts[i].text;
  int dtype = cr_dtype_of_name(name);
  if (dtype >= 0) *v = (cr__value){.kind = CR__TEXT_VALUE, .as.text = cr_dtype_name((cr_dtype)dtype)};
  return dtype >= 0;
}

static cr__callable *callable_of(cr__evaluator *e, const char *name) {
  const cr_program *p = visible(e);
  cr__callable *f = p ? cr__dict_find(&p->functions, name, strlen(name)) : NULL;
  return f ? f : cr__callable_named(e->tape, name);
}

static cr__value unknown(cr__evaluator *e, const cr_syntax *at, const char *what, const char *name, bool functions) {
  cr__guess g = {.name = name};
  const cr_program *p = visible(e);
  static const char *const words[] = {"pi", "inf", "nan", "None", "True", "False"};
  if (functions) cr__consider_all(&g, &e->language->callables);
  if (functions && p) cr__consider_all(&g, &p->functions);
  if (!functions && p) cr__consider_all(&g, &p->variables);
  for (size_t i = 0; !functions && i < sizeof words / sizeof *words; i++) cr__consider(&g, words[i]);
  for (uint32_t i = 0; e->scope && i < e->scope->of->n_params; i++) cr__consider(&g, e->scope->of->param[i].name);
  if (g.best) return cr__stop(e, at, CR_UNKNOWN_NAME, "unknown %s '%.60s'; did you mean '%.60s'?", what, name, g.best);
  return cr__stop(e, at, CR_UNKNOWN_NAME, "unknown %s '%.60s'", what, name);
}

static bool lookup(cr__evaluator *e, const char *name, cr__value *v) {
  const cr__value *local = in_scope(e->scope, name);
  if (local) return *v = *local, true;
  const cr_program *p = visible(e);
  const cr__variable *x = p ? cr__variable_named(p, name) : NULL;
  if (x) return *v = x->value, true;
  return known_constant(name, v);
}

static cr__value evaluate_name(cr__evaluator *e, const cr_syntax *s) {
  cr__value v;
  if (lookup(e, s->text, &v)) return v;
  cr__callable *f = callable_of(e, s->text);
  if (f) return (cr__value){.kind = CR__FUNCTION, .as.function = f};
  return unknown(e, s, "name", s->text, false);
}

/* Operators */

static double python_remainder(double a, double b) {
  double r = fmod(a, b);
  return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

static bool fold(const char *op, const cr__value *x, const cr__value *y, cr__value *out) {
  double a = x->as.number, b = y->as.number;
  bool whole = x->integral && y->integral;
  switch (op[0]) {
    case '+': *out = cr__number(a + b, whole); return true;
    case '-': *out = cr__number(a - b, whole); return true;
    case '*': *out = cr__number(a * b, whole); return true;
    case '/': *out = op[1] ? cr__number(floor(a / b), whole) : cr__number(a / b, false); return true;
    case '%': *out = cr__number(python_remainder(a, b), whole); return true;
    case '^': *out = cr__number(pow(a, b), whole && b >= 0); return true;
    case '<': *out = cr__truth(op[1] ? a <= b : a < b); return true;
    case '>': *out = cr__truth(op[1] ? a >= b : a > b); return true;
    case '=': *out = cr__truth(a == b); return true;
    case '!': *out = cr__truth(a != b); return true;
    case '&': *out = cr__truth(a != 0 && b != 0); return true;
    case '|': *out = cr__truth(a != 0 || b != 0); return true;
    default: return false;
  }
}

/* None, texts, truths, tuples and functions compare as wholes, with whatever they meet. */
static bool compares_whole(const cr__value *v) {
  return v->kind == CR__NONE_VALUE || v->kind == CR__TEXT_VALUE || v->kind == CR__TUPLE_VALUE ||
         v->kind == CR__FUNCTION || v->kind == CR__TRUTH;
}

static bool same(const cr__value *a, const cr__value *b) {
  if (cr__is_numeric(a) && cr__is_numeric(b)) return a->as.number == b->as.number;
  if (a->kind != b->kind) return false;
  if (a->kind == CR__TEXT_VALUE) return !strcmp(a->as.text, b->as.text);
  if (a->kind == CR__FUNCTION) return a->as.function == b->as.function;
  if (a->kind != CR__TUPLE_VALUE) return a->kind == CR__NONE_VALUE;
  for (uint32_t i = 0; a->n == b->n && i < a->n; i++)
    if (!same(&a->as.item[i], &b->as.item[i])) return false;
  return a->n == b->n;
}

/* Does one side of && or || decide alone? */
static bool decided(const char *op, const cr__value *x) {
  return cr__is_numeric(x) && ((op[0] == '&' && x->as.number == 0) || (op[0] == '|' && x->as.number != 0));
}

/* An integer tensor beside a number written as 2.0 becomes one of floats; a constant on the tape cannot tell 2.0 from 2. */
static cr_var beside_fraction(cr__evaluator *e, cr_var v, const cr__value *other) {
  bool fraction = other->kind == CR__NUMBER && !other->integral;
  return fraction && cr_dtype_of(v) < CR_FLOAT32 ? e->tape->table->cast(v, e->dtype) : v;
}

static cr__value operate(cr__evaluator *e, const cr_syntax *s, cr__value x, cr__value y) {
  cr__value out;
  if (decided(s->text, &y)) return cr__truth(y.as.number != 0);
  bool equality = s->text[0] == '=' || s->text[0] == '!';
  if (cr__is_numeric(&x) && cr__is_numeric(&y) && fold(s->text, &x, &y, &out)) return out;
  if (equality && (compares_whole(&x) || compares_whole(&y))) return cr__truth(same(&x, &y) == (s->text[0] == '='));
  cr__callable *f = cr__callable_named(e->tape, cr__operator_of(s->text)->function);
  if (!f || !f->row) return cr__apply(e, s, cr__operator_of(s->text)->function, (cr__value[]){x, y}, 2);
  cr_var in[2] = {cr__to_node(e, &x, s), cr_poison(e->tape)};
  if (!e->failed) in[1] = cr__to_node(e, &y, s);
  if (!e->failed) in[0] = beside_fraction(e, in[0], &y);
  if (!e->failed) in[1] = beside_fraction(e, in[1], &x);
  return e->failed ? (cr__value){0} : cr__node_value(e, s, cr_record(e->tape, f->row, 2, in, NULL));
}

static cr__value evaluate_binary(cr__evaluator *e, const cr_syntax *s) {
  uint32_t n = 0;
  const cr_syntax **chain = cr__chain(e->tape, &e->language->scratch, s, &n);
  if (!chain) return out_of_memory(e, s);
  cr__value x = cr__evaluate(e, chain[n - 1]->first);
  for (uint32_t i = n; i-- > 0 && !e->failed;) {
    if (decided(chain[i]->text, &x)) {
      x = cr__truth(x.as.number != 0);
      continue;
    }
    cr__value y = cr__evaluate(e, chain[i]->first->next);
    if (!e->failed) x = operate(e, chain[i], x, y);
  }
  return x;
}

static cr__value evaluate_unary(cr__evaluator *e, const cr_syntax *s) {
  cr__value x = cr__evaluate(e, s->first);
  if (e->failed) return x;
  bool negates = s->text[0] == 'n';
  if (cr__is_numeric(&x) && negates) return cr__truth(x.as.number == 0);
  if (cr__is_numeric(&x)) return cr__number(s->text[0] == '-' ? -x.as.number : x.as.number, x.integral);
  if (negates && x.kind == CR__NONE_VALUE) return cr__truth(true);
  if (s->text[0] == '+') return cr__node_value(e, s, cr__to_node(e, &x, s));
  return cr__apply(e, s, negates ? "logical_not" : "neg", &x, 1);
}

/* The branches of a choice that is recorded, when both are numbers: of the dtype in force, not weak constants. */
static cr__value firm(cr__evaluator *e, const cr_syntax *s, cr__value v) {
  if (!cr__is_numeric(&v) || e->dtype != CR_FLOAT32) return v;
  float x = (float)v.as.number;
  return cr__node_value(e, s, cr_constant_of(e->tape, CR_FLOAT32, 0, NULL, &x));
}

/* With a literal condition only the branch taken is evaluated. */
static cr__value evaluate_choice(cr__evaluator *e, const cr_syntax *s) {
  cr__value c = cr__evaluate(e, s->first);
  if (e->failed) return c;
  if (c.kind == CR__NONE_VALUE) c = cr__truth(false);
  if (cr__is_numeric(&c)) return cr__evaluate(e, c.as.number != 0 ? s->first->next : s->first->next->next);
  cr__value in[3] = {c, cr__evaluate(e, s->first->next), {0}};
  if (!e->failed) in[2] = cr__evaluate(e, s->first->next->next);
  if (e->failed) return in[2];
  if (cr__is_numeric(&in[1]) && cr__is_numeric(&in[2])) {
    in[1] = firm(e, s, in[1]);
    in[2] = firm(e, s, in[2]);
  }
  return e->failed ? in[2] : cr__apply(e, s, "where", in, 3);
}

/* Lists and calls */

static uint32_t count(const cr_syntax *s) {
  uint32_t n = 0;
  for (; s; s = s->next) n++;
  return n;
}

static cr__value evaluate_list(cr__evaluator *e, const cr_syntax *s) {
  uint32_t n = count(s->first), i = 0;
  cr__value *item = cr__take(e->tape, &e->language->scratch, n * sizeof *item);
  if (!item) return out_of_memory(e, s);
  for (const cr_syntax *k = s->first; k && !e->failed; k = k->next) item[i++] = cr__evaluate(e, k);
  return (cr__value){.kind = s->kind == CR_LIST ? CR__LIST_VALUE : CR__TUPLE_VALUE, .n = n, .as.item = item};
}

/* F.sum() is a method call where F is a variable, and a function of a module else. */
static bool is_method(cr__evaluator *e, const char *text, cr__value *self) {
  char name[64];
  const char *dot = strchr(text, '.');
  if (!dot || strchr(dot + 1, '.') || (size_t)(dot - text) >= sizeof name) return false;
  snprintf(name, sizeof name, "%.*s", (int)(dot - text), text);
  return lookup(e, name, self);
}

static cr__value evaluate_call(cr__evaluator *e, const cr_syntax *s) {
  cr__value self, callee;
  bool method = is_method(e, s->text, &self);
  if (!method && !strncmp(s->text, "op.", 3)) return cr__record_named(e, s);
  const char *text = method ? strchr(s->text, '.') + 1 : s->text;
  cr__callable *f = NULL;
  if (!method && e->scope && lookup(e, text, &callee) && callee.kind == CR__FUNCTION) f = callee.as.function;
  if (!f) f = callable_of(e, text);
  if (!f) {
    const char *dot = strrchr(text, '.');
    return unknown(e, s, "function", dot ? dot + 1 : text, true);
  }
  cr_arena *scratch = &e->language->scratch;
  cr__spot spot = cr__spot_of(scratch);
  uint32_t n = count(s->first) + method, i = 0, n_positional = method;
  cr__value *arg = cr__take(e->tape, scratch, n * sizeof *arg);
  const char **name = arg ? cr__take(e->tape, scratch, n * sizeof *name) : NULL;
  if (!name) return out_of_memory(e, s);
  if (method) name[i] = NULL, arg[i++] = self;
  for (const cr_syntax *k = s->first; k; k = k->next) {
    name[i] = k->kind == CR_KEYWORD ? k->text : NULL;
    n_positional += k->kind != CR_KEYWORD;
    arg[i++] = cr__evaluate(e, k->kind == CR_KEYWORD ? k->first : k);
    if (e->failed) return arg[i - 1];
  }
  cr__value result = cr__call(e, s, f, arg, name, n, n_positional);
  if (result.kind == CR__NODE || result.kind == CR__NUMBER || result.kind == CR__TRUTH) cr__back_to(scratch, spot);
  return result;
}

/* Statements */

static bool assign(cr__evaluator *e, const cr_syntax *s, const char *name, cr__value v) {
  cr__value *local = NULL;
  const cr__callable *f = e->scope ? e->scope->of : NULL;
  for (uint32_t i = 0; f && i < f->n_names && !local; i++)
    if (!strcmp(i < f->n_params ? f->param[i].name : f->local[i - f->n_params], name)) local = &e->scope->value[i];
  if (local) return *local = v, true;
  if (e->program) return cr__assign(e, s, name, &v);
  return cr__stop(e, s, CR_BAD_SYNTAX, "nothing can be assigned here"), false;
}

/* A leaf of its own, whatever the value came from. */
static cr__value leaf_of(cr__evaluator *e, const cr_syntax *s, cr__value v) {
  if (cr__is_literal(&v)) return cr__node_value(e, s, cr__to_leaf(e, &v, s));
  cr_var x = cr__to_node(e, &v, s);
  if (e->failed || !cr_knows(x)) return cr__node_value(e, s, cr_poison(e->tape));
  cr_array from = cr_view(x), to;
  if (from.rank == 0 && from.dtype == CR_FLOAT64)
    return cr__node_value(e, s, cr_input(e->tape, cr_array_get(&from, 0)));
  cr_var leaf = cr_tensor_of(e->tape, (cr_dtype)from.dtype, from.rank, from.dim, NULL);
  if (!leaf.id) return cr__node_value(e, s, leaf);
  from = cr_view(x);
  to = cr_view(leaf);
  cr_array_copy(&to, &from);
  return cr__node_value(e, s, leaf);
}

static cr__value evaluate_assignment(cr__evaluator *e, const cr_syntax *s) {
  const cr_syntax *target = s->first, *value = target->next;
  bool param = value->kind == CR_PARAM;
  cr__value v = cr__evaluate(e, param ? value->first : value);
  if (!e->failed && param && !cr__is_literal(&v)) v = leaf_of(e, value, v);
  if (e->failed) return v;
  if (target->kind == CR_NAME) {
    assign(e, target, target->text, v);
    return cr__none();
  }
  uint32_t n = count(target->first), i = 0;
  char text[300];
  if ((v.kind != CR__TUPLE_VALUE && v.kind != CR__LIST_VALUE) || v.cell)
    return cr__stop(e, s, CR_BAD_ARGUMENT, "expected %u values to assign, found %s", n,
                    cr__value_text(e, &v, text, sizeof text));
  if (v.n != n) return cr__stop(e, s, CR_BAD_ARGUMENT, "%u names on the left, %u values on the right", n, v.n);
  for (const cr_syntax *k = target->first; k; k = k->next)
    if (!assign(e, k, k->text, v.as.item[i++])) return (cr__value){0};
  return cr__none();
}

static cr__value evaluate_param(cr__evaluator *e, const cr_syntax *s) {
  cr__value v = cr__evaluate(e, s->first);
  return e->failed ? v : leaf_of(e, s, v);
}

/* The value of the last statement: none when it is no expression. */
static cr__value evaluate_block(cr__evaluator *e, const cr_syntax *s) {
  cr__value v = cr__none();
  for (const cr_syntax *k = s->first; k && !e->failed; k = k->next) v = cr__evaluate(e, k);
  return v;
}

static cr__value evaluate_kind(cr__evaluator *e, const cr_syntax *s) {
  switch (s->kind) {
    case CR_NUMBER: return cr__number(s->number, s->integral);
    case CR_TEXT: return (cr__value){.kind = CR__TEXT_VALUE, .as.text = s->text};
    case CR_NAME: return evaluate_name(e, s);
    case CR_LIST: case CR_TUPLE: return evaluate_list(e, s);
    case CR_CALL: return evaluate_call(e, s);
    case CR_UNARY: return evaluate_unary(e, s);
    case CR_BINARY: return evaluate_binary(e, s);
    case CR_CHOICE: return evaluate_choice(e, s);
    case CR_INDEX: return cr__index(e, s);
    case CR_MEMBER: return cr__member(e, s);
    case CR_ASSIGN: return evaluate_assignment(e, s);
    case CR_DEFINE: cr__define_in(e, s); return cr__none();
    case CR_PARAM: return evaluate_param(e, s);
    case CR_BLOCK: return evaluate_block(e, s);
    case CR_NONE: return cr__none();
    case CR_KEYWORD: case CR_SLICE: case CR_ELLIPSIS: break;
  }
  return cr__stop(e, s, CR_BAD_SYNTAX, "this has no value by itself");
}

cr__value cr__evaluate(cr__evaluator *e, const cr_syntax *s) {
  cr__language *l = e->language;
  if (e->failed) return (cr__value){0};
  if (++l->work > l->most_work)
    return cr__stop(e, s, CR_OVER_LIMIT, "more than %llu steps of evaluation", (unsigned long long)l->most_work);
  if (l->depth >= CR__MAX_NESTING)
    return cr__stop(e, s, CR_OVER_LIMIT, "evaluation nests more than %d levels deep", CR__MAX_NESTING);
  l->depth++;
  cr__value v = evaluate_kind(e, s);
  l->depth--;
  return v;
}

cr__evaluator cr__evaluator_on(cr_tape *t, cr_program *p, const char *source, cr_syntax_error *error) {
  return (cr__evaluator){.tape = t, .language = cr__language_of(t), .program = p, .dtype = p ? p->dtype : CR_FLOAT64,
                         .source = source, .error = error};
}
