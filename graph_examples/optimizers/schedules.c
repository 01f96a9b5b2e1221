/* Schedules: a factor of the learning rate as a formula over t, which counts from 1, and total; recorded once and replayed.
 * Only plateau looks at more than these. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <chainrule.h>
#include <formula.h>
#include <op.h>

#include "optimizers.h"

typedef struct row {
  cr_source source;
  const char *formula; /* then: the factor of the schedule that follows; drop: that of plateau, 1 at first */
} row;

static const row rows[] = {
    {{"constant()", "The base rate, always."}, "1"},
    {{"step(size=30, gamma=0.1)", "Times gamma after every size steps."}, "gamma^floor((t - 1)/size)"},
    {{"exponential(gamma=0.99)", "Times gamma at every step."}, "gamma^(t - 1)"},
    {{"cosine(floor=0)", "Half a wave of the cosine from 1 down to floor."},
     "floor + (1 - floor)*(1 + cos(pi*(t - 1)/total))/2"},
    {{"linear(floor=0)", "In a straight line from 1 down to floor."}, "1 + (floor - 1)*(t - 1)/total"},
    {{"warmup(steps=100, then='constant')",
      "Rises in a straight line for so many steps; another schedule has those that remain."},
     "t <= steps ? t/steps : then"},
    {{"one_cycle(rise=0.3, start=0.04, end=4e-6)",
      "Cosines from start up to 1 within the share rise of all steps, and down to end (Smith and Topin 2018)."},
     "k = t - 1; top = rise*total - 1; last = total - 1; "
     "k <= top ? start + (1 - start)*(1 - cos(pi*k/top))/2 : end + (1 - end)*(1 + cos(pi*(k - top)/(last - top)))/2"},
    {{"plateau(factor=0.1, patience=10, threshold=1e-4, floor=0)",
      "Times factor when the validation loss has not fallen by the share threshold for more than patience epochs."},
     "maximum(drop, floor)"},
};

struct cr_schedule {
  const row *row;
  cr_arguments arguments;
  cr_tape *tape;
  cr_var t, total, then_factor, drop, factor;
  cr_schedule *then;
  double dropped, best; /* plateau */
  int64_t bad;
  char *formula;
};

const cr_source *cr_schedule_at(int k) { return k >= 0 && k < (int)(sizeof rows / sizeof *rows) ? &rows[k].source : NULL; }

static const char *name_at(int k) { return cr_schedule_at(k) ? rows[k].source.signature : NULL; }

static cr_status find_row(cr_schedule *s, const char *call, cr_problem *p) {
  char name[64];
  snprintf(name, sizeof name, "%.*s", (int)strcspn(call, "( \t"), call);
  for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
    const char *signature = rows[k].source.signature;
    size_t n = strlen(name);
    if (!strncmp(signature, name, n) && signature[n] == '(') return s->row = &rows[k], CR_OK;
  }
  return cr_refuse_name(p, "schedule", name, name_at);
}

static cr_status check(const cr_arguments *a, cr_problem *p) {
  cr_status status = cr_number_within(a, "size", 1, 1e15, 1, p);
  if (status == CR_OK) status = cr_number_within(a, "steps", 0, 1e15, 1, p);
  if (status == CR_OK) status = cr_number_within(a, "patience", 0, 1e15, 1, p);
  static const char *const shares[] = {"floor", "rise", "start", "end", "factor", "gamma", "threshold"};
  for (size_t k = 0; k < sizeof shares / sizeof *shares && status == CR_OK; k++)
    status = cr_number_within(a, shares[k], 0, !strcmp(shares[k], "gamma") ? 10 : 1, 0, p);
  return status;
}

static cr_status failed(const cr_schedule *s, cr_problem *p) {
  cr_status status = s->tape ? cr_error(s->tape) : CR_NO_MEMORY;
  return cr_refuse(p, status, "%s: %s", s->arguments.name, s->tape ? cr_error_text(s->tape) : "out of memory");
}

static cr_status record(cr_schedule *s, cr_problem *p) {
  s->tape = cr_new();
  cr_program *names = s->tape ? cr_program_new(s->tape, CR_FLOAT64) : NULL;
  if (!names) return failed(s, p);
  char number[32];
  for (int k = 0; k < s->arguments.n; k++) {
    const cr_argument *a = &s->arguments.argument[k];
    cr_number_text(a->number, 0, number);
    if (a->kind == CR_ARGUMENT_NUMBER) cr_program_bind_text(names, a->name, number, strlen(number));
  }
  static const char *const name[] = {"t", "total", "then", "drop"};
  cr_var *const leaf[] = {&s->t, &s->total, &s->then_factor, &s->drop};
  for (int k = 0; k < 4; k++) {
    *leaf[k] = cr_input(s->tape, 1);
    cr_program_bind(names, name[k], *leaf[k]);
  }
  cr_results results = {.n = 0};
  cr_syntax_error e;
  cr_program_run(names, s->row->formula, strlen(s->row->formula), &results, &e);
  s->factor = results.n ? results.value[0] : cr_poison(s->tape);
  return cr_error(s->tape) == CR_OK ? CR_OK : failed(s, p);
}

/* One statement a line, and the hyperparameters below. */
static cr_status write_formula(cr_schedule *s, cr_problem *p) {
  cr_buffer b = {.tape = s->tape};
  char number[32];
  for (const char *at = s->row->formula; *at; at++) {
    cr_put(&b, "%c", *at == ';' ? '\n' : *at);
    at += *at == ';' && at[1] == ' ';
  }
  for (int k = 0; k < s->arguments.n; k++) {
    const cr_argument *a = &s->arguments.argument[k];
    cr_put(&b, "%s%s = %s", k ? ", " : "\n", a->name,
           a->kind == CR_ARGUMENT_NUMBER ? cr_number_text(a->number, 0, number)
           : a->text                     ? a->text
                                         : "None");
  }
  if (s->then) cr_put(&b, "\n%s", s->then->formula);
  s->formula = b.failed ? NULL : strdup(b.text);
  cr_buffer_free(&b);
  return s->formula ? CR_OK : cr_refuse(p, CR_NO_MEMORY, "%s: out of memory", s->arguments.name);
}

static cr_status make(cr_schedule *s, const char *call, cr_program *names, cr_problem *p) {
  cr_status status = find_row(s, call, p);
  if (status == CR_OK) status = cr_arguments_read(&s->arguments, call, s->row->source.signature, names, p);
  if (status == CR_OK) status = check(&s->arguments, p);
  const char *then = status == CR_OK ? cr_text_of(&s->arguments, "then") : NULL;
  if (then && !strncmp(then, "warmup", 6))
    return cr_refuse(p, CR_BAD_ARGUMENT, "%s: a warm-up does not follow another", s->arguments.name);
  if (then && !(s->then = cr_schedule_new(then, names, p))) return p->status;
  if (status == CR_OK) status = record(s, p);
  return status == CR_OK ? write_formula(s, p) : status;
}

cr_schedule *cr_schedule_new(const char *call, cr_program *names, cr_problem *p) {
  cr_problem own = {.status = CR_OK};
  if (!p) p = &own;
  cr_schedule *s = calloc(1, sizeof *s);
  if (!s) return cr_refuse(p, CR_NO_MEMORY, "a schedule: out of memory"), NULL;
  s->dropped = 1;
  s->best = HUGE_VAL;
  if (make(s, call, names, p) == CR_OK) return s;
  cr_schedule_free(s);
  return NULL;
}

void cr_schedule_free(cr_schedule *s) {
  if (!s) return;
  cr_schedule_free(s->then);
  cr_arguments_free(&s->arguments);
  cr_free(s->tape);
  free(s->formula);
  free(s);
}

double cr_schedule_factor(cr_schedule *s, int64_t t, int64_t total) {
  int64_t steps = (int64_t)cr_number_of(&s->arguments, "steps", 0);
  cr_set_value(s->t, (double)t);
  cr_set_value(s->total, (double)total);
  cr_set_value(s->drop, s->dropped);
  if (s->then) cr_set_value(s->then_factor, t > steps ? cr_schedule_factor(s->then, t - steps, total - steps) : 0);
  cr_replay(s->tape);
  return cr_value(s->factor);
}

void cr_schedule_observe(cr_schedule *s, double validation_loss) {
  if (s->then) cr_schedule_observe(s->then, validation_loss);
  double threshold = cr_number_of(&s->arguments, "threshold", (double)NAN);
  if (isnan(threshold)) return;
  double better = s->best - threshold * fabs(s->best);
  if (validation_loss < (isfinite(s->best) ? better : s->best)) s->best = validation_loss, s->bad = 0;
  else if (++s->bad > (int64_t)cr_number_of(&s->arguments, "patience", 10))
    s->dropped *= cr_number_of(&s->arguments, "factor", 1), s->bad = 0;
}

const char *cr_schedule_formula(const cr_schedule *s) { return s->formula; }

/* What plateau remembers, of the schedule itself and of the one that follows it. */
cr_status cr_schedule_save(const cr_schedule *s, cr_archive *into, cr_problem *p) {
  double number[6] = {s->dropped, s->best, (double)s->bad, 1, HUGE_VAL, 0};
  if (s->then) number[3] = s->then->dropped, number[4] = s->then->best, number[5] = (double)s->then->bad;
  cr_array a;
  cr_array_init(&a, CR_FLOAT64, 1, (const int64_t[]){6});
  a.data = number;
  return cr_archive_add(into, "schedule", &a, p);
}

cr_status cr_schedule_load(cr_schedule *s, const cr_archive *from, cr_problem *p) {
  const cr_array *a = cr_archive_find(from, "schedule");
  if (!a || a->count != 6 || a->dtype != CR_FLOAT64) return cr_refuse(p, CR_UNKNOWN_NAME, "there is no state of a schedule");
  s->dropped = cr_array_get(a, 0), s->best = cr_array_get(a, 1), s->bad = (int64_t)cr_array_get(a, 2);
  if (s->then)
    s->then->dropped = cr_array_get(a, 3), s->then->best = cr_array_get(a, 4), s->then->bad = (int64_t)cr_array_get(a, 5);
  return CR_OK;
}
