/* Calls bound to signatures. Both are parsed by the language's own parser on a tape that the arguments keep; what is not a
 * literal is evaluated there, with the caller's variables bound. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "readers.h"

enum { MEBIBYTES = 1024 }; /* for expressions in arguments */

typedef struct reader {
  cr_arguments *a;
  const char *signature;
  cr_program *names, *program; /* of the caller; of a's tape, made when it is needed */
  char *pool;                  /* where the next text goes; a->name is its start */
  cr_problem *p;
} reader;

typedef struct value { /* what is to be read: a part of the call or of the signature */
  const char *source;
  const cr_syntax *s;
} value;

static cr_status refuse_value(reader *r, const cr_argument *x, cr_status status, const char *why) {
  return cr_refuse(r->p, status, "%s: %s: %s", r->a->name, x->name, why);
}

/* Evaluation */

/* Poison where it is a text, texts, a tuple, or a function. */
static cr_var known_value(reader *r, const char *name) {
  if (!r->names) return cr_poison(r->a->tape);
  cr_var v = cr_program_value(r->names, name);
  if (cr_is_poison(v)) cr_clear_error(v.tape); /* of a list that is none of numbers */
  return v;
}

static void bind(reader *r, const char *name, cr_var v) {
  char number[32];
  if (cr_is_poison(v)) return;
  cr_array a = cr_view(v);
  if (a.rank == 0) {
    cr_number_text(cr_array_get(&a, 0), 0, number);
    cr_program_bind_text(r->program, name, number, strlen(number));
    return;
  }
  cr_var copy = cr_constant_of(r->a->tape, (cr_dtype)a.dtype, a.rank, a.dim, NULL);
  cr_array to = cr_view(copy);
  if (!cr_is_poison(copy)) cr_array_copy(&to, &a);
  cr_program_bind(r->program, name, copy);
}

static bool open_program(reader *r) {
  const char *name;
  if (r->program) return true;
  r->program = cr_program_new(r->a->tape, CR_FLOAT64);
  for (int k = 0; r->program && r->names && (name = cr_program_name(r->names, k)); k++)
    bind(r, name, known_value(r, name));
  return r->program && cr_error(r->a->tape) == CR_OK;
}

static cr_status take_list(cr_argument *x, const cr_array *a, cr_problem *p) {
  x->kind = CR_ARGUMENT_LIST;
  x->n = (int)a->count;
  x->rows = a->rank == 2 ? (int)a->dim[0] : 0;
  x->list = calloc((size_t)a->count + 1, sizeof *x->list);
  if (!x->list) return cr__no_memory(p);
  for (int k = 0; k < x->n; k++) x->list[k] = cr_array_get(a, k);
  return CR_OK;
}

/* (0.9, 0.999) serves as a list. */
static cr_status take_tuple(reader *r, cr_argument *x, const cr_results *results) {
  double number[CR_MAX_RESULTS];
  cr_array a;
  cr_array_init(&a, CR_FLOAT64, 1, (const int64_t[]){results->n});
  a.data = number;
  for (int k = 0; k < results->n; k++) {
    cr_array one = cr_view(results->value[k]);
    if (one.count != 1) return refuse_value(r, x, CR_BAD_SHAPE, "a tuple of numbers is wanted");
    number[k] = cr_array_get(&one, 0);
  }
  return take_list(x, &a, r->p);
}

static cr_status evaluate(reader *r, cr_argument *x, value v) {
  cr_results results;
  cr_syntax_error error = {.status = CR_OK};
  cr_tape *t = r->a->tape;
  if (!open_program(r)) return cr_refuse(r->p, cr_error(t), "%s: %s", r->a->name, cr_error_text(t));
  if (cr_program_run(r->program, v.source + v.s->at, v.s->length, &results, &error) != CR_OK)
    return refuse_value(r, x, cr_error(t), error.status != CR_OK ? error.message : cr_error_text(t));
  if (v.s->kind == CR_TUPLE) return take_tuple(r, x, &results);
  if (results.n != 1) return refuse_value(r, x, CR_BAD_ARGUMENT, "one value is wanted");
  cr_array a = cr_view(results.value[0]);
  if (a.rank > 2 || a.count > INT32_MAX)
    return refuse_value(r, x, CR_BAD_SHAPE, "a number, a list, or a list of lists is wanted");
  if (a.rank) return take_list(x, &a, r->p);
  x->kind = CR_ARGUMENT_NUMBER;
  x->number = cr_array_get(&a, 0);
  return CR_OK;
}

/* Values */

static cr_status take_text(cr_argument *x, const char *text) {
  x->kind = CR_ARGUMENT_TEXT;
  x->text = text;
  return CR_OK;
}

static cr_status take_number(cr_argument *x, double number) {
  x->kind = CR_ARGUMENT_NUMBER;
  x->number = number;
  return CR_OK;
}

static cr_status take_texts(reader *r, cr_argument *x, const cr_syntax *list) {
  x->kind = CR_ARGUMENT_LIST;
  for (const cr_syntax *s = list->first; s; s = s->next) x->n_texts++;
  x->texts = calloc((size_t)x->n_texts + 1, sizeof *x->texts);
  if (!x->texts) return cr__no_memory(r->p);
  int n = 0;
  for (const cr_syntax *s = list->first; s; s = s->next) {
    if (s->kind != CR_TEXT) return refuse_value(r, x, CR_BAD_ARGUMENT, "a list of texts holds something else");
    x->texts[n++] = s->text;
  }
  return CR_OK;
}

static const char *source_text(reader *r, value v) {
  char *text = r->pool;
  memcpy(text, v.source + v.s->at, v.s->length);
  text[v.s->length] = 0;
  r->pool += v.s->length + 1;
  return text;
}

static bool is_word(const char *s, const char *word) { return !strcmp(s, word); }

static bool is_known(reader *r, const char *name) {
  return !cr_is_poison(known_value(r, name)) || is_word(name, "inf") || is_word(name, "nan") ||
         is_word(name, "pi") || is_word(name, "e");
}

/* want: what the default is, CR_ARGUMENT_NONE for anything. */
static cr_status read_value(reader *r, cr_argument *x, value v, cr_argument_kind want) {
  const cr_syntax *s = v.s;
  bool numeric = want == CR_ARGUMENT_NUMBER || want == CR_ARGUMENT_LIST;
  if (s->kind == CR_TEXT) return take_text(x, s->text);
  if (s->kind == CR_NUMBER) return take_number(x, s->number);
  if (s->kind == CR_UNARY && s->text[0] == '-' && s->first->kind == CR_NUMBER) return take_number(x, -s->first->number);
  if (s->kind == CR_LIST && (!s->first || s->first->kind == CR_TEXT)) return take_texts(r, x, s);
  if (s->kind == CR_CALL && !numeric) return take_text(x, source_text(r, v));
  if (s->kind == CR_NAME) {
    if (is_word(s->text, "None")) return x->kind = CR_ARGUMENT_NONE, CR_OK;
    if (is_word(s->text, "True") || is_word(s->text, "False")) return take_number(x, s->text[0] == 'T');
    if (want == CR_ARGUMENT_TEXT || (!numeric && !is_known(r, s->text))) return take_text(x, s->text);
  }
  return evaluate(r, x, v);
}

static const char *const kind_text[] = {"None", "a number", "a text", "a list"};

static cr_status refuse_kind(const cr_arguments *a, const cr_argument *x, cr_argument_kind want, cr_problem *p) {
  char number[32], what[80];
  if (x->kind == CR_ARGUMENT_TEXT) snprintf(what, sizeof what, "the text '%.60s'", x->text);
  else if (x->kind == CR_ARGUMENT_NUMBER) snprintf(what, sizeof what, "the number %s", cr_number_text(x->number, 0, number));
  else snprintf(what, sizeof what, "%s", kind_text[x->kind]);
  return cr_refuse(p, CR_BAD_ARGUMENT, "%s: %s is %s; %s is wanted", a->name, x->name, what, kind_text[want]);
}

/* A value given, where the default says what is wanted: a number serves as a list of one, None as no text. */
static cr_status read_given(reader *r, cr_argument *x, value v, cr_argument_kind want) {
  cr_status status = read_value(r, x, v, want);
  x->given = 1;
  if (status != CR_OK || want == CR_ARGUMENT_NONE || x->kind == want) return status;
  if (want == CR_ARGUMENT_TEXT && x->kind == CR_ARGUMENT_NONE) return CR_OK;
  if (want != CR_ARGUMENT_LIST || x->kind != CR_ARGUMENT_NUMBER) return refuse_kind(r->a, x, want, r->p);
  cr_array one;
  cr_array_init(&one, CR_FLOAT64, 1, (const int64_t[]){1});
  one.data = &x->number;
  return take_list(x, &one, r->p);
}

/* Binding */

static void let_go(cr_argument *x) {
  free(x->list);
  free((void *)(uintptr_t)x->texts);
  *x = (cr_argument){.name = x->name};
}

static cr_argument *parameter(const cr_arguments *a, const char *name) {
  for (int k = 0; k < a->n; k++)
    if (!strcmp(a->argument[k].name, name)) return &a->argument[k];
  return NULL;
}

static cr_status refuse_name(reader *r, const char *name) {
  const cr_arguments *a = r->a;
  const char *meant = cr__meant(name, a->n, &a->argument[0].name, sizeof *a->argument);
  if (meant)
    return cr_refuse(r->p, CR_UNKNOWN_NAME, "%s has no argument '%.60s'; did you mean '%s'? %s", a->name, name, meant,
                     r->signature);
  return cr_refuse(r->p, CR_UNKNOWN_NAME, "%s has no argument '%.60s': %s", a->name, name, r->signature);
}

static cr_status bind_given(reader *r, const cr_syntax *given, const char *call) {
  int k = 0;
  for (const cr_syntax *s = given; s; s = s->next, k++) {
    bool keyword = s->kind == CR_KEYWORD;
    if (!keyword && k >= r->a->n)
      return cr_refuse(r->p, CR_BAD_ARGUMENT, "%s takes at most %d arguments: %s", r->a->name, r->a->n, r->signature);
    cr_argument *x = keyword ? parameter(r->a, s->text) : &r->a->argument[k];
    if (!x) return refuse_name(r, s->text);
    if (x->given) return refuse_value(r, x, CR_BAD_ARGUMENT, "given twice");
    cr_argument_kind want = x->kind;
    let_go(x);
    cr_status status = read_given(r, x, (value){call, keyword ? s->first : s}, want);
    if (status != CR_OK) return status;
  }
  return CR_OK;
}

static cr_status bind_defaults(reader *r, const cr_syntax *parameters) {
  cr_arguments *a = r->a;
  for (const cr_syntax *s = parameters; s; s = s->next) a->n++;
  a->argument = calloc((size_t)a->n + 1, sizeof *a->argument);
  if (!a->argument) return a->n = 0, cr__no_memory(r->p);
  cr_argument *x = a->argument;
  cr_program *names = r->names;
  r->names = NULL; /* a default means the same for every caller */
  for (const cr_syntax *s = parameters; s; s = s->next, x++) {
    x->name = s->text;
    cr_status status = s->kind == CR_KEYWORD ? read_value(r, x, (value){r->signature, s->first}, CR_ARGUMENT_NONE) : CR_OK;
    if (status != CR_OK) return status;
  }
  r->names = names;
  r->program = NULL;
  return CR_OK;
}

static cr_status require(reader *r, const cr_syntax *parameters) {
  const cr_argument *x = r->a->argument;
  for (const cr_syntax *s = parameters; s; s = s->next, x++)
    if (s->kind == CR_NAME && !x->given)
      return cr_refuse(r->p, CR_BAD_ARGUMENT, "%s: %s must be given: %s", r->a->name, x->name, r->signature);
  return CR_OK;
}

/* A call, or a name, which is a call without arguments. */
static const cr_syntax *parse_call(cr_tape *t, const char *source, cr_problem *p) {
  cr_syntax_error e = {.status = CR_OK};
  const cr_syntax *s = cr_parse(t, source, strlen(source), &e);
  while (s && s->kind == CR_BLOCK && s->first && !s->first->next) s = s->first;
  if (!s) cr_refuse(p, e.status, "'%.100s': line %u, column %u: %s", source, e.line, e.column, e.message);
  if (s && (s->kind == CR_CALL || s->kind == CR_NAME)) return s;
  if (s) cr_refuse(p, CR_BAD_SYNTAX, "'%.100s': a name and its arguments are wanted, as in name(1, key=2)", source);
  return NULL;
}

static cr_status read_arguments(reader *r, const char *call) {
  const cr_syntax *have = parse_call(r->a->tape, call, r->p);
  const cr_syntax *want = have ? parse_call(r->a->tape, r->signature, r->p) : NULL;
  if (!want) return r->p->status;
  size_t room = 0; /* of texts, each with a 0: the name, and the source of calls in the call or among the defaults */
  for (const cr_syntax *s = have->first; s; s = s->next) room += s->length + 1;
  for (const cr_syntax *s = want->first; s; s = s->next) room += s->length + 1;
  r->a->name = calloc(strlen(have->text) + 1 + room, 1);
  if (!r->a->name) return cr__no_memory(r->p);
  strcpy(r->a->name, have->text);
  r->pool = r->a->name + strlen(have->text) + 1;
  cr_status status = bind_defaults(r, want->first);
  if (status == CR_OK) status = bind_given(r, have->first, call);
  return status == CR_OK ? require(r, want->first) : status;
}

cr_status cr_arguments_read(cr_arguments *a, const char *call, const char *signature, cr_program *names, cr_problem *p) {
  cr_problem own = {.status = CR_OK};
  *a = (cr_arguments){.tape = cr_new()};
  if (!a->tape) return cr__no_memory(p);
  cr_set(a->tape, CR_MAX_BYTES, MEBIBYTES);
  reader r = {.a = a, .signature = signature, .names = names, .p = p ? p : &own};
  cr_status status = read_arguments(&r, call);
  if (status != CR_OK) cr_arguments_free(a);
  return status;
}

void cr_arguments_free(cr_arguments *a) {
  for (int k = 0; k < a->n; k++) let_go(&a->argument[k]);
  free(a->argument);
  free(a->name);
  cr_free(a->tape);
  *a = (cr_arguments){0};
}

/* Looking them up */

const cr_argument *cr_argument_of(const cr_arguments *a, const char *name) { return parameter(a, name); }

double cr_number_of(const cr_arguments *a, const char *name, double if_none) {
  const cr_argument *x = parameter(a, name);
  return x && x->kind == CR_ARGUMENT_NUMBER ? x->number : if_none;
}

const char *cr_text_of(const cr_arguments *a, const char *name) {
  const cr_argument *x = parameter(a, name);
  return x && x->kind == CR_ARGUMENT_TEXT ? x->text : NULL;
}

cr_status cr_argument_is(const cr_arguments *a, const char *name, cr_argument_kind kind, cr_problem *p) {
  const cr_argument *x = parameter(a, name);
  return !x || x->kind == CR_ARGUMENT_NONE || x->kind == kind ? CR_OK : refuse_kind(a, x, kind, p);
}

cr_status cr_number_within(const cr_arguments *a, const char *name, double low, double high, int whole, cr_problem *p) {
  const cr_argument *x = parameter(a, name);
  char text[3][32];
  if (!x || x->kind == CR_ARGUMENT_NONE) return CR_OK;
  cr_status status = cr_argument_is(a, name, CR_ARGUMENT_NUMBER, p);
  if (status != CR_OK) return status;
  double n = x->number;
  if (n >= low && n <= high && (!whole || n == (double)(int64_t)n)) return CR_OK;
  return cr_refuse(p, CR_BAD_ARGUMENT, "%s: %s = %s; a%s number in [%s, %s] is wanted", a->name, name,
                   cr_number_text(n, 0, text[0]), whole ? " whole" : "", cr_number_text(low, 0, text[1]),
                   cr_number_text(high, 0, text[2]));
}
