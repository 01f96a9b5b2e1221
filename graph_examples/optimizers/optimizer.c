/* An optimizer: a row of the table with its hyperparameters, the rate, and what it keeps from step to step. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <op.h>

#include "descent.h"

/* Making */

static cr_status no_memory(cr_problem *p) { return cr_refuse(p, CR_NO_MEMORY, "an optimizer: out of memory"); }

/* Signatures, and then the other names that methods have. */
static const char *name_at(int k) {
  const cr_method *m = cr_method_at(k);
  if (m) return m->signature;
  for (int j = 0; cr_method_at(j); j++) k--;
  for (int j = 0; (m = cr_method_at(j)); j++)
    for (const char *at = m->aliases; at && *at; at += strcspn(at, ","), at += strspn(at, ", "))
      if (k-- == 0) return at;
  return NULL;
}

static cr_status find_method(cr_optimizer *o, const char *call, cr_problem *p) {
  char name[64];
  snprintf(name, sizeof name, "%.*s", (int)strcspn(call, "( \t"), call);
  o->method = cr_method_named(name);
  return o->method ? CR_OK : cr_refuse_name(p, "optimizer", name, name_at);
}

/* Choices of methods over all parameters; update rules have theirs in the update (rule.c). */
static const struct {
  const char *name, *text[2];
} choices[] = {{"line_search_fn", {"strong_wolfe", "none"}},
               {"beta", {"polak_ribiere", "fletcher_reeves"}},
               {"scaling", {"identity", "diagonal"}}};

static cr_status check_choice(const cr_arguments *a, const cr_argument *x, cr_problem *p) {
  if (x->kind == CR_ARGUMENT_NONE && strcmp(x->name, "line_search_fn") && strcmp(x->name, "max_eval"))
    return cr_refuse(p, CR_BAD_ARGUMENT, "%s: %s is None", a->name, x->name);
  for (size_t k = 0; x->kind == CR_ARGUMENT_TEXT && k < sizeof choices / sizeof *choices; k++)
    if (!strcmp(x->name, choices[k].name) && strcmp(x->text, choices[k].text[0]) && strcmp(x->text, choices[k].text[1]))
      return cr_refuse(p, CR_BAD_ARGUMENT, "%s: %s='%.40s' is not one of '%s', '%s'", a->name, x->name, x->text,
                       choices[k].text[0], choices[k].text[1]);
  return CR_OK;
}

/* What every method asks of its numbers: rates and such are finite and not negative, decays below 1. */
static cr_status check_argument(const cr_arguments *a, const cr_argument *x, cr_problem *p) {
  static const char *const below_one[] = {"momentum", "alpha", "rho", "betas"};
  if (x->kind == CR_ARGUMENT_NUMBER && (!isfinite(x->number) || x->number < 0))
    return cr_refuse(p, CR_BAD_ARGUMENT, "%s: %s = %g; a finite number that is not negative is wanted", a->name, x->name,
                     x->number);
  if (x->kind == CR_ARGUMENT_LIST && x->n != 2)
    return cr_refuse(p, CR_BAD_ARGUMENT, "%s: %s has %d numbers; two are wanted", a->name, x->name, x->n);
  for (size_t k = 0; k < sizeof below_one / sizeof *below_one; k++) {
    const double *number = x->kind == CR_ARGUMENT_LIST ? x->list : &x->number;
    for (int i = 0; !strcmp(x->name, below_one[k]) && i < (x->kind == CR_ARGUMENT_LIST ? 2 : 1); i++)
      if (!(number[i] >= 0 && number[i] < 1))
        return cr_refuse(p, CR_BAD_ARGUMENT, "%s: %s = %g; a number from 0 to below 1 is wanted", a->name, x->name,
                         number[i]);
  }
  return check_choice(a, x, p);
}

/* What is doubtful, as one sentence. */
static void warn(cr_optimizer *o) {
  const cr_arguments *a = &o->arguments;
  const char *form = cr_text_of(a, "form");
  double alpha = cr_number_of(a, "alpha", 0), growth = 1 / sqrt(1 - alpha);
  if (!strncmp(o->method->signature, "rmsprop", 7) && alpha > 0.99)
    snprintf(o->warning, sizeof o->warning,
             "RMSProp with alpha = %g starts with steps of up to %.3g times the rate: v = 0 at first, and is not corrected",
             alpha, growth);
  if (cr_argument_of(a, "bias_correction") && cr_number_of(a, "bias_correction", 1) == 0) {
    const double *beta = cr_argument_of(a, "betas")->list;
    snprintf(o->warning, sizeof o->warning, "without bias correction the first step has %.3g times the size of the rate",
             (1 - beta[0]) / sqrt(1 - beta[1]));
  }
  if (form && !strcmp(form, "printed_003"))
    snprintf(o->warning, sizeof o->warning,
             "the form 'printed_003' has the rate twice: steps are %g times those of 'heavy_ball'", o->rate);
}

static cr_status make(cr_optimizer *o, const char *call, cr_program *names, cr_problem *p) {
  cr_status status = find_method(o, call, p);
  if (status == CR_OK) status = cr_arguments_read(&o->arguments, call, o->method->signature, names, p);
  for (int k = 0; status == CR_OK && k < o->arguments.n; k++)
    status = check_argument(&o->arguments, &o->arguments.argument[k], p);
  if (status != CR_OK) return status;
  o->rate = o->base_rate = cr_number_of(&o->arguments, "lr", 1);
  o->previous_loss = (double)NAN;
  o->formula = o->method->update ? cr_rule_text(o, 1, p) : strdup(o->method->formula);
  if (!o->formula) return p && p->status != CR_OK ? p->status : no_memory(p);
  warn(o);
  return CR_OK;
}

/* The values of the hyperparameters, as a last line. */
static cr_status add_values(cr_optimizer *o, cr_problem *p) {
  cr_buffer b = {.tape = o->arguments.tape};
  char number[32];
  cr_put(&b, "%s\n", o->formula);
  for (int k = 0; k < o->arguments.n; k++) {
    const cr_argument *a = &o->arguments.argument[k];
    cr_put(&b, "%s%s = ", k ? ", " : "", a->name);
    if (a->kind == CR_ARGUMENT_NUMBER) cr_put(&b, "%s", cr_number_text(a->number, 0, number));
    if (a->kind == CR_ARGUMENT_TEXT) cr_put(&b, "'%s'", a->text);
    if (a->kind == CR_ARGUMENT_NONE) cr_put(&b, "None");
    for (int i = 0; a->kind == CR_ARGUMENT_LIST && i < a->n; i++)
      cr_put(&b, "%s%s%s", i ? ", " : "[", cr_number_text(a->list[i], 0, number), i == a->n - 1 ? "]" : "");
  }
  char *text = b.failed ? NULL : strdup(b.text);
  cr_buffer_free(&b);
  if (!text) return no_memory(p);
  free(o->formula);
  o->formula = text;
  return CR_OK;
}

cr_optimizer *cr_optimizer_new(const char *call, cr_program *names, cr_problem *p) {
  cr_problem own = {.status = CR_OK};
  cr_optimizer *o = calloc(1, sizeof *o);
  if (!p) p = &own;
  if (!o) return no_memory(p), NULL;
  if (make(o, call, names, p) == CR_OK && add_values(o, p) == CR_OK) return o;
  cr_optimizer_free(o);
  return NULL;
}

void cr_optimizer_free(cr_optimizer *o) {
  if (!o) return;
  for (int k = 0; k < CR_MOST_KEPT; k++) free(o->kept[k].data);
  for (int k = 0; k < 2; k++) cr_rule_free(o->rule[k]);
  cr_arguments_free(&o->arguments);
  free(o->formula);
  free(o);
}

const char *cr_optimizer_formula(const cr_optimizer *o) { return o->formula; }
const char *cr_optimizer_warning(const cr_optimizer *o) { return o->warning[0] ? o->warning : NULL; }
double cr_optimizer_rate(const cr_optimizer *o) { return o->rate; }
void cr_optimizer_set_rate(cr_optimizer *o, double lr) { o->rate = lr; }
double cr_optimizer_base_rate(const cr_optimizer *o) { return o->base_rate; }
int cr_optimizer_needs_objective(const cr_optimizer *o) { return o->method->needs; }

/* Steps */

cr_status cr_optimizer_step(cr_optimizer *o, cr_model *m, cr_objective f, void *user, cr_step *report, cr_problem *p) {
  if (o->method->update) return cr_rules_step(o, m, report, p);
  if (!f) return cr_refuse(p, CR_BAD_ARGUMENT, "%s needs the objective, to evaluate it along its way", o->arguments.name);
  return cr_descent_step(o, m, f, user, (double)NAN, report, p);
}

cr_status cr_minimize(cr_optimizer *o, cr_model *m, cr_objective f, void *user, cr_step *report, cr_problem *p) {
  cr_step own;
  if (!report) report = &own;
  cr_model_begin(m, cr_model_is_training(m));
  cr_var loss = f(m, user);
  cr_status status = cr_error(cr_model_tape(m));
  if (status == CR_OK && o->method->needs < 2) status = cr_model_backward(m, loss);
  if (status != CR_OK) return cr_refuse(p, status, "%s", cr_error_text(cr_model_tape(m)));
  report->loss = o->method->needs < 2 ? cr_value(loss) : (double)NAN;
  return o->method->update ? cr_rules_step(o, m, report, p) : cr_descent_step(o, m, f, user, report->loss, report, p);
}

/* Checkpoints */

static cr_status save_vector(const char *name, int64_t count, const double *data, cr_archive *into, cr_problem *p) {
  cr_array a;
  char full[64];
  union {
    const double *in;
    void *data;
  } numbers = {data};
  cr_array_init(&a, CR_FLOAT64, 1, &count);
  a.data = numbers.data;
  snprintf(full, sizeof full, "optimizer/%s", name);
  return cr_archive_add(into, full, &a, p);
}

static int name_length(const cr_optimizer *o) { return (int)strcspn(o->method->signature, "("); }

cr_status cr_optimizer_save(const cr_optimizer *o, const cr_model *m, cr_archive *into, cr_problem *p) {
  char name[64];
  double numbers[] = {(double)o->t, o->rate, o->previous_loss};
  snprintf(name, sizeof name, "%.*s", name_length(o), o->method->signature);
  cr_status status = cr_archive_note(into, "optimizer", name, p);
  if (status == CR_OK) status = save_vector("t", 3, numbers, into, p);
  for (int k = 0; k < CR_MOST_KEPT && status == CR_OK; k++)
    if (o->kept[k].data && o->kept[k].count)
      status = save_vector(o->kept[k].name, o->kept[k].count, o->kept[k].data, into, p);
  return status == CR_OK ? cr_rules_save(o, m, into, p) : status;
}

/* All arrays "optimizer/NAME" of a method over all parameters become what it keeps. */
static cr_status load_kept(cr_optimizer *o, const cr_archive *from, cr_problem *p) {
  int n = 0;
  for (int k = 0; k < from->n; k++) {
    const char *name = from->entry[k].name;
    const cr_array *a = &from->entry[k].array;
    if (strncmp(name, "optimizer/", 10) || !strcmp(name, "optimizer/t")) continue;
    if (n == CR_MOST_KEPT || strlen(name + 10) >= sizeof o->kept[0].name || a->dtype != CR_FLOAT64 || a->rank != 1)
      return cr_refuse(p, CR_BAD_ARGUMENT, "'%.100s' is not of %s", name, o->arguments.name);
    double *data = malloc(((size_t)a->count + 1) * sizeof *data);
    if (!data) return no_memory(p);
    for (int64_t i = 0; i < a->count; i++) data[i] = cr_array_get(a, i);
    free(o->kept[n].data);
    o->kept[n] = (cr_kept){.count = a->count, .data = data};
    snprintf(o->kept[n++].name, sizeof o->kept[0].name, "%s", name + 10);
  }
  return CR_OK;
}

cr_status cr_optimizer_load(cr_optimizer *o, const cr_model *m, const cr_archive *from, cr_problem *p) {
  const char *name = cr_archive_text(from, "optimizer");
  const cr_array *numbers = cr_archive_find(from, "optimizer/t");
  if (!name || !numbers || numbers->count != 3) return cr_refuse(p, CR_UNKNOWN_NAME, "there is no state of an optimizer");
  if ((int)strlen(name) != name_length(o) || strncmp(name, o->method->signature, strlen(name)))
    return cr_refuse(p, CR_BAD_ARGUMENT, "the state is of '%.60s', not of '%s'", name, o->arguments.name);
  cr_status status = o->method->update ? cr_rules_load(o, m, from, p) : load_kept(o, from, p);
  if (status != CR_OK) return status;
  o->t = (int64_t)cr_array_get(numbers, 0);
  o->rate = cr_array_get(numbers, 1);
  o->previous_loss = cr_array_get(numbers, 2);
  return CR_OK;
}
