/* An update rule, from the text of its row to a recording: what depends on numbers alone (the rate, t, the loss) goes onto a
 * tape of float64 scalars, and its values come to the tape of blocks by leaves, so that nothing there depends on the dtype
 * but the tensors. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <chainrule.h>
#include <formula.h>

#include "descent.h"

/* What an expression is made of: literals and hyperparameters, numbers that change from step to step, tensors. */
typedef enum grade { FIXED, NUMBER, TENSOR } grade;

enum { MOST_NAMES = 48, MOST_SLOTS = 24, BLOCK = 4096 };
typedef struct known {
  const char *name;
  grade grade;
} known;
typedef struct reading {
  const cr_optimizer *o;
  int decays;
  cr_tape *t;                /* of numbers */
  cr_program *names;         /* the numbers, by name */
  cr_syntax *update, *state; /* the first statement of each */
  int n;
  known known[MOST_NAMES];
  char slot_name[MOST_SLOTS][12];
  cr_buffer *source;         /* what is run on the tape of blocks is written there too; NULL: nowhere */
  cr_problem *p;
} reading;

static cr_status failed(const reading *r, cr_tape *t) {
  cr_status status = cr_error(t) == CR_OK ? CR_NO_MEMORY : cr_error(t);
  return cr_refuse(r->p, status, "%s: %s", r->o->arguments.name, cr_error(t) == CR_OK ? "out of memory" : cr_error_text(t));
}

static cr_status no_memory(const reading *r) {
  return cr_refuse(r->p, CR_NO_MEMORY, "%s: out of memory", r->o->arguments.name);
}

static grade grade_of_name(const reading *r, const char *name) {
  for (int k = 0; k < r->n; k++)
    if (!strcmp(r->known[k].name, name)) return r->known[k].grade;
  return FIXED;
}

static grade grade_of(const reading *r, const cr_syntax *s) {
  if (s->kind == CR_NAME) return grade_of_name(r, s->text);
  grade most = FIXED;
  for (const cr_syntax *k = s->first; k; k = k->next) {
    grade g = grade_of(r, k);
    if (g > most) most = g;
  }
  return most;
}

/* The name is of that grade from now on, or of the higher one it has; did that change anything? */
static int raise_grade(reading *r, const char *name, grade g) {
  for (int k = 0; k < r->n; k++) {
    if (strcmp(r->known[k].name, name)) continue;
    if (r->known[k].grade >= g) return 0;
    r->known[k].grade = g;
    return 1;
  }
  if (r->n < MOST_NAMES) r->known[r->n++] = (known){name, g};
  return 1;
}

/* Until nothing changes: a state is a number unless something made of tensors is assigned to it. */
static void grade_names(reading *r) {
  static const known given[] = {{"w", TENSOR}, {"g", TENSOR},    {"lr", NUMBER},
                                {"t", NUMBER}, {"loss", NUMBER}, {"previous_loss", NUMBER}};
  for (size_t k = 0; k < sizeof given / sizeof *given; k++) raise_grade(r, given[k].name, given[k].grade);
  for (const cr_syntax *s = r->state; s; s = s->next) raise_grade(r, s->first->text, NUMBER);
  for (int changed = 1; changed;) {
    changed = 0;
    for (const cr_syntax *s = r->update; s; s = s->next)
      changed |= raise_grade(r, s->first->text, grade_of(r, s->first->next));
  }
}

static cr_syntax *statements(reading *r, const char *source) {
  cr_syntax_error e = {.status = CR_OK};
  cr_syntax *s = source ? cr_parse(r->t, source, strlen(source), &e) : NULL;
  if (e.status != CR_OK) cr_fail(r->t, e.status, "%s in '%s'", e.message, source);
  return s && s->kind == CR_BLOCK ? s->first : s;
}

/* A text that the update compares a name with is one of those allowed. */
static int allowed(const cr_syntax *s, const char *name, const char *text, cr_buffer *b) {
  if (s->kind == CR_BINARY && s->first->kind == CR_NAME && !strcmp(s->first->text, name) &&
      s->first->next->kind == CR_TEXT) {
    if (!b->text || !strstr(b->text, s->first->next->text)) cr_put(b, "%s'%s'", b->length ? ", " : "", s->first->next->text);
    return !strcmp(s->first->next->text, text);
  }
  for (const cr_syntax *k = s->first; k; k = k->next)
    if (allowed(k, name, text, b)) return 1;
  return 0;
}

static cr_status check_text(const reading *r, const cr_argument *a) {
  cr_buffer b = {.tape = r->t};
  int found = 0;
  for (const cr_syntax *s = r->update; s && !found; s = s->next) found = allowed(s->first->next, a->name, a->text, &b);
  cr_status status = found ? CR_OK
                           : cr_refuse(r->p, CR_BAD_ARGUMENT, "%s: %s='%.60s' is not one of %s", r->o->arguments.name,
                                       a->name, a->text, b.text ? b.text : "those known");
  cr_buffer_free(&b);
  return status;
}

/* Hyperparameters become literals, so that choices between them are made now; betas becomes beta1 and beta2. */
static cr_status bind_hyperparameter(const reading *r, cr_program *names, const cr_argument *a) {
  cr_buffer b = {.tape = r->t};
  char number[32];
  double x = !strcmp(a->name, "weight_decay") && !r->decays ? 0 : a->number;
  if (a->kind == CR_ARGUMENT_NUMBER) cr_put(&b, "%s = %s", a->name, cr_number_text(x, 0, number));
  if (a->kind == CR_ARGUMENT_NONE) cr_put(&b, "%s = None", a->name);
  if (a->kind == CR_ARGUMENT_TEXT) cr_put(&b, "%s = '%s'", a->name, a->text);
  for (int k = 0; a->kind == CR_ARGUMENT_LIST && k < a->n; k++)
    cr_put(&b, "%.*s%d = %s; ", (int)strlen(a->name) - 1, a->name, k + 1, cr_number_text(a->list[k], 0, number));
  cr_results results;
  cr_syntax_error e;
  cr_status status = b.failed ? CR_NO_MEMORY : b.text ? cr_program_run(names, b.text, b.length, &results, &e) : CR_OK;
  if (names != r->names && r->source && b.text) cr_put(r->source, "%s; ", b.text);
  cr_buffer_free(&b);
  return status;
}

static cr_status bind_hyperparameters(const reading *r, cr_program *names) {
  for (int k = 0; k < r->o->arguments.n; k++) {
    const cr_argument *a = &r->o->arguments.argument[k];
    cr_status status =
        a->kind == CR_ARGUMENT_TEXT && names == r->names ? check_text(r, a) : CR_OK; /* before choices are made */
    if (status == CR_OK) status = bind_hyperparameter(r, names, a);
    if (status != CR_OK) return r->p && r->p->status != CR_OK ? status : failed(r, r->t);
  }
  return CR_OK;
}

static void become(cr_syntax *s, const cr_syntax *other) {
  cr_syntax *next = s->next;
  *s = *other;
  s->next = next;
}

/* Choices between hyperparameters are replaced by the side taken. */
static void choose(const reading *r, cr_syntax *s) {
  while (s->kind == CR_CHOICE && grade_of(r, s->first) == FIXED) {
    double c = cr_value(cr_program_eval(r->names, s->first));
    become(s, c != 0 ? s->first->next : s->first->next->next);
  }
  for (cr_syntax *k = s->first; k; k = k->next) choose(r, k);
}

static int is_idle(const cr_syntax *s) {
  return s->first->next->kind == CR_NAME && !strcmp(s->first->text, s->first->next->text);
}

/* Parses the row and makes its choices. */
static cr_status read_rule(reading *r) {
  r->t = cr_new();
  r->names = r->t ? cr_program_new(r->t, CR_FLOAT64) : NULL;
  if (!r->names) return no_memory(r);
  r->update = statements(r, r->o->method->update);
  r->state = statements(r, r->o->method->state);
  if (cr_error(r->t) != CR_OK) return failed(r, r->t);
  cr_status status = bind_hyperparameters(r, r->names);
  if (status != CR_OK) return status;
  grade_names(r);
  for (cr_syntax *s = r->update; s; s = s->next) choose(r, s);
  return cr_error(r->t) == CR_OK ? CR_OK : failed(r, r->t);
}

char *cr_rule_text(const cr_optimizer *o, int decays, cr_problem *p) {
  reading r = {.o = o, .decays = decays, .p = p};
  char *text = NULL;
  if (read_rule(&r) == CR_OK) {
    cr_buffer b = {.tape = r.t};
    for (const cr_syntax *s = r.update; s; s = s->next) {
      if (is_idle(s)) continue;
      if (b.length) cr_put(&b, "\n");
      cr_print_syntax(&b, s);
    }
    text = b.failed ? NULL : malloc(b.length + 1);
    if (text) memcpy(text, b.text ? b.text : "", b.length + 1);
    else no_memory(&r);
    cr_buffer_free(&b);
  }
  cr_free(r.t);
  return text;
}

/* Recording */

static cr_status run(const reading *r, cr_program *names, cr_tape *t, const char *prefix, const cr_syntax *s) {
  cr_buffer b = {.tape = t};
  cr_results results;
  cr_syntax_error e;
  cr_put(&b, "%s", prefix);
  cr_print_syntax(&b, s);
  cr_status status = b.failed ? CR_NO_MEMORY : cr_program_run(names, b.text, b.length, &results, &e);
  if (names != r->names && r->source && b.text) cr_put(r->source, "%s; ", b.text);
  cr_buffer_free(&b);
  return status == CR_OK ? CR_OK : failed(r, t);
}

/* Numbers inside an expression of tensors are computed on their own tape and replaced by the leaf that brings them. */
static cr_status make_slots(reading *r, cr_rule *u, cr_program *block, cr_syntax *s) {
  cr_status status = CR_OK;
  if (grade_of(r, s) != NUMBER) {
    for (cr_syntax *k = s->first; k && status == CR_OK; k = k->next) status = make_slots(r, u, block, k);
    return status;
  }
  if (u->n_slots == MOST_SLOTS)
    return cr_refuse(r->p, CR_OVER_LIMIT, "%s: more than %d numbers", r->o->arguments.name, MOST_SLOTS);
  char prefix[20], *name = r->slot_name[u->n_slots];
  cr_slot *slot = &u->slot[u->n_slots++];
  snprintf(name, sizeof r->slot_name[0], "number%d", u->n_slots);
  snprintf(prefix, sizeof prefix, "%s = ", name);
  if ((status = run(r, r->names, r->t, prefix, s)) != CR_OK) return status;
  slot->number = cr_program_value(r->names, name);
  slot->leaf = cr_tensor_of(u->block, u->dtype, 0, NULL, NULL);
  cr_program_bind(block, name, slot->leaf);
  become(s, &(cr_syntax){.kind = CR_NAME, .text = name});
  return slot->leaf.id ? CR_OK : failed(r, u->block);
}

static cr_status record(reading *r, cr_rule *u, cr_program *block) {
  cr_status status = CR_OK;
  for (cr_syntax *s = r->update; s && status == CR_OK; s = s->next) {
    grade g = grade_of_name(r, s->first->text);
    if (g != TENSOR) status = run(r, r->names, r->t, "", s);
    if (g == TENSOR && status == CR_OK) status = make_slots(r, u, block, s->first->next);
    if (g != NUMBER && status == CR_OK) status = run(r, block, u->block, "", s);
  }
  return status;
}

/* The leaves: numbers that change, and what the update calls w, g and its state. */
static cr_status make_leaves(reading *r, cr_rule *u, cr_program *block) {
  const char *const number_name[] = {"lr", "t", "loss", "previous_loss"};
  for (int k = 0; k < 4; k++) {
    u->given[k] = cr_input(r->t, k ? 1 : r->o->rate);
    cr_program_bind(r->names, number_name[k], u->given[k]);
  }
  u->w = cr_tensor_of(u->block, u->dtype, 1, &u->length, NULL);
  u->g = cr_tensor_of(u->block, u->dtype, 1, &u->length, NULL);
  cr_program_bind(block, "w", u->w);
  cr_program_bind(block, "g", u->g);
  for (const cr_syntax *s = r->state; s; s = s->next) {
    cr_state *state = &u->state[u->n_states];
    if (!(state->name = strdup(s->first->text))) return no_memory(r);
    u->n_states++;
    state->value = cr_value(cr_program_eval(r->names, s->first->next));
    state->is_number = grade_of_name(r, state->name) == NUMBER;
    state->in = state->is_number ? cr_input(r->t, state->value) : cr_tensor_of(u->block, u->dtype, 1, &u->length, NULL);
    cr_set_value(state->in, state->value);
    cr_program_bind(state->is_number ? r->names : block, state->name, state->in);
  }
  return cr_error(r->t) != CR_OK ? failed(r, r->t) : cr_error(u->block) != CR_OK ? failed(r, u->block) : CR_OK;
}

/* State of all elements; none where the update leaves it alone. */
static cr_status make_state(reading *r, cr_rule *u, const cr_rule *first, cr_program *block) {
  u->new_w = cr_program_value(block, "w");
  for (int k = 0; k < u->n_states; k++) {
    cr_state *s = &u->state[k];
    s->out = cr_program_value(s->is_number ? r->names : block, s->name);
    if (s->is_number || s->out.id == s->in.id) continue;
    if (first) {
      s->data = first->state[k].data;
      continue;
    }
    cr_array all;
    cr_array_init(&all, u->dtype, 1, &u->total);
    all.data = s->data = calloc((size_t)(u->total ? u->total : 1), cr_dtype_size(u->dtype));
    if (!s->data)
      return cr_refuse(r->p, CR_NO_MEMORY, "%s: no memory for the state of %lld parameters", r->o->arguments.name,
                       (long long)u->total);
    for (int64_t i = 0; s->value != 0 && i < u->total; i++) cr_array_set(&all, i, s->value);
  }
  return CR_OK;
}

static int count(const cr_syntax *s) {
  int n = 0;
  for (; s; s = s->next) n++;
  return n;
}

/* One lane; its state is that of the first, where that is not NULL. */
static cr_status record_lane(reading *r, cr_rule *u, const cr_rule *first) {
  cr_status status = read_rule(r);
  u->numbers = r->t;
  if (status != CR_OK) return status;
  u->block = cr_new();
  u->slot = calloc(MOST_SLOTS, sizeof *u->slot);
  u->state = calloc((size_t)count(r->state) + 1, sizeof *u->state);
  cr_program *block = u->block ? cr_program_new(u->block, u->dtype) : NULL;
  if (!block || !u->slot || !u->state) return no_memory(r);
  cr_buffer source = {.tape = u->block};
  r->source = &source;
  status = bind_hyperparameters(r, block);
  if (status == CR_OK) status = make_leaves(r, u, block);
  if (status == CR_OK) status = record(r, u, block);
  if (status == CR_OK && (source.failed || !(u->source = strdup(source.text)))) status = no_memory(r);
  cr_buffer_free(&source);
  if (status == CR_OK) status = make_state(r, u, first, block);
  return status == CR_OK && cr_rule_capture(u) != CR_OK ? failed(r, u->numbers) : status;
}

cr_status cr_rule_record(cr_rule **out, const cr_optimizer *o, int decays, cr_dtype dtype, int n, const cr_piece *pieces,
                         int lanes, cr_problem *p) {
  cr_status status = CR_OK;
  cr_rule **next = out;
  for (int lane = 0; lane < lanes && status == CR_OK; lane++) {
    reading r = {.o = o, .decays = decays, .p = p};
    cr_rule *u = *next = calloc(1, sizeof *u);
    if (!u) return no_memory(&r);
    next = &u->next;
    *u = (cr_rule){.dtype = dtype, .n_pieces = n, .total = pieces[n - 1].to, .piece = calloc((size_t)n, sizeof *pieces)};
    if (!u->piece) return no_memory(&r);
    memcpy(u->piece, pieces, (size_t)n * sizeof *pieces);
    u->length = u->total < BLOCK ? u->total : BLOCK;
    status = record_lane(&r, u, lane ? *out : NULL);
  }
  return status;
}

void cr_rule_free(cr_rule *first) {
  for (cr_rule *r = first, *next; r; r = next) {
    next = r->next;
    for (int k = 0; k < r->n_states; k++) {
      free(r->state[k].name);
      if (r == first) free(r->state[k].data);
    }
    cr_workspace_free(r->space);
    cr_fn_free(r->step);
    free(r->in);
    cr_free(r->numbers);
    cr_free(r->block);
    free(r->slot);
    free(r->state);
    free(r->piece);
    free(r->source);
    free(r);
  }
}
