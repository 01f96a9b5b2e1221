/* What a recipe does at every step: its net from x to the prediction, its loss from there to a number. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ops.h>

#include "recipe.h"

/* Reading */

static char *with_settings(const cr_recipe *r, const char *before, const char *source) {
  return cr__text("%s%s%s", r->set_text ? r->set_text : "", before, source);
}

/* Parses on the tape of the settings; the tree stays until *mark. */
static cr_syntax *parse(cr_recipe *r, const cr__statement *st, cr_mark *mark, cr_problem *p) {
  cr_syntax_error error;
  char why[400];
  *mark = cr_mark_here(r->settings);
  cr_syntax *s = cr_parse(r->settings, st->text, strlen(st->text), &error);
  if (s) return s;
  snprintf(why, sizeof why, "line %u, column %u: %s", error.line, error.column, error.message);
  cr__refuse_at(&r->say, st, 0, error.status, why, p);
  return NULL;
}

/* Has it a statement of that kind for the name: CR_ASSIGN for a value, CR_DEFINE for a function? */
static bool says(const cr_syntax *s, cr_syntax_kind kind, const char *name) {
  const char *own = s->kind == CR_DEFINE ? s->text : s->kind == CR_ASSIGN ? s->first->text : NULL;
  if (s->kind == kind && own && !strcmp(own, name)) return true;
  for (const cr_syntax *c = s->first; s->kind == CR_BLOCK && c; c = c->next)
    if (says(c, kind, name)) return true;
  return false;
}

static bool net_says(cr_recipe *r, cr_syntax_kind kind, const char *name) {
  cr_mark mark;
  const cr_syntax *s = parse(r, cr__said(&r->say, CR__NET), &mark, NULL);
  bool found = s && says(s, kind, name);
  cr_reset(r->settings, mark);
  return found;
}

static const char *loss_at(int k) { return cr_loss_at(k) ? cr_loss_at(k)->name : NULL; }

static cr_status unknown_loss(cr_recipe *r, const cr__statement *st, const char *name, cr_problem *p) {
  cr_problem why = {0};
  cr_refuse_name(&why, "loss", name, loss_at);
  return cr__refuse_at(&r->say, st, 0, why.status, why.text, p);
}

static cr_status read_net(cr_recipe *r, cr_problem *p) {
  const cr__statement *st = cr__said(&r->say, CR__NET);
  cr_mark mark;
  if (!st) return cr_refuse(p, CR_BAD_SYNTAX, "%s: no net statement: what is the network?", r->file);
  if (!parse(r, st, &mark, p)) return CR_BAD_SYNTAX;
  cr_reset(r->settings, mark);
  r->net = with_settings(r, "", st->text);
  return r->net ? CR_OK : cr_refuse(p, CR_NO_MEMORY, "%s: out of memory", r->file);
}

/* "huber" and "huber(delta=2)" are short for huber(prediction, y, delta=2); anything else is an expression as it stands. */
static cr_status read_expression(cr_recipe *r, const cr__statement *st, cr_problem *p) {
  cr_mark mark;
  const cr_syntax *s = parse(r, st, &mark, p);
  if (!s) return CR_BAD_SYNTAX;
  while (s->kind == CR_BLOCK && s->first && !s->first->next) s = s->first;
  bool name = s->kind == CR_NAME && !net_says(r, CR_ASSIGN, s->text), call = s->kind == CR_CALL;
  for (const cr_syntax *a = s->first; call && a; a = a->next) call = a->kind == CR_KEYWORD;
  if (st->keyword == CR__LOSS && (name || call)) {
    char before[200];
    snprintf(before, sizeof before, "%*s%.60s(prediction, y%s", s->at < 80 ? (int)s->at : 0, "", s->text,
             name ? ")" : s->first ? ", " : "");
    r->named_loss = cr_loss_named(s->text);
    if (!r->named_loss && !net_says(r, CR_DEFINE, s->text)) return unknown_loss(r, st, s->text, p);
    r->loss = with_settings(r, before, name ? "" : strchr(st->text + s->at, '(') + 1);
  } else {
    r->loss = with_settings(r, "", st->text);
  }
  cr_reset(r->settings, mark);
  return r->loss ? CR_OK : cr_refuse(p, CR_NO_MEMORY, "%s: out of memory", r->file);
}

static cr_status read_penalty(cr_recipe *r, cr_problem *p) {
  static const char *const signatures[] = {"l1(c)", "l2(c, half=False)", "elastic(c1, c2)"};
  const cr__statement *st = cr__said(&r->say, CR__PENALTY);
  const char *signature = NULL;
  if (!st) return CR_OK;
  if (!(r->penalty = cr__whole_call(r, st->text))) return cr_refuse(p, CR_NO_MEMORY, "%s: out of memory", r->file);
  for (size_t k = 0; k < sizeof signatures / sizeof *signatures; k++) {
    size_t n = strcspn(signatures[k], "(");
    if (!strncmp(r->penalty, signatures[k], n) && strcspn(r->penalty, " (") == n) signature = signatures[k];
  }
  if (!signature) return cr__refuse_at(&r->say, st, 0, CR_UNKNOWN_NAME, "penalty is l1(c), l2(c) or elastic(c1, c2)", p);
  cr_arguments a = {0};
  cr_status status = cr__bind(r, st, r->penalty, signature, &a, p);
  for (int k = 0; status == CR_OK && k < a.n; k++)
    if (a.argument[k].kind != CR_ARGUMENT_NUMBER)
      status = cr__refuse_at(&r->say, st, 0, CR_BAD_ARGUMENT, "the weight of a penalty is a number", p);
    else if (!(a.argument[k].number >= 0 && a.argument[k].number < 1e300))
      status = cr__refuse_at(&r->say, st, 0, CR_BAD_ARGUMENT, "the weight of a penalty is finite and not negative", p);
  if (status == CR_OK) {
    bool l1 = signature == signatures[0], l2 = signature == signatures[1];
    r->elastic = !l1 && !l2;
    r->l1 = l1 ? cr_number_of(&a, "c", 0) : l2 ? 0 : cr_number_of(&a, "c1", 0);
    r->l2 = l2 ? cr_number_of(&a, "c", 0) : l1 ? 0 : cr_number_of(&a, "c2", 0);
    r->half = cr_number_of(&a, "half", 0) != 0;
  }
  cr_arguments_free(&a);
  return status;
}

cr_status cr__read_loss(cr_recipe *r, cr_problem *p) {
  const cr__statement *loss = cr__said(&r->say, CR__LOSS), *residual = cr__said(&r->say, CR__RESIDUAL);
  cr_status status = read_net(r, p);
  if (status != CR_OK) return status;
  if (loss && residual)
    return cr__refuse_at(&r->say, loss->line > residual->line ? loss : residual, 0, CR_BAD_SYNTAX,
                         "loss and residual exclude each other", p);
  if (!loss && !residual) return cr_refuse(p, CR_BAD_SYNTAX, "%s: no loss statement: what is to be small?", r->file);
  status = read_expression(r, loss ? loss : residual, p);
  return status == CR_OK ? read_penalty(r, p) : status;
}

/* Running */

/* An error of the language in a statement's text gets the file's line. */
static cr_var placed(cr_recipe *r, const cr__statement *st, cr_var v) {
  if (cr_error(r->tape) == CR_OK) return v;
  cr_problem at = {0};
  cr_status status = cr_error(r->tape);
  cr__refuse_at(&r->say, st, r->set_lines, status, cr_error_text(r->tape), &at);
  cr_clear_error(r->tape);
  return cr_fail(r->tape, status, "%s", at.text);
}

cr_var cr__recipe_forward(cr_training *k, const cr_batch *batch) {
  cr_recipe *r = k->user;
  return placed(r, cr__said(&r->say, CR__NET), cr_network(r->model, batch->x, r->net));
}

/* Targets in the form that the prediction has: class numbers of a batch of sequences as rows; a column where a column is
 * predicted, also of two classes that were mixed; -1 and 1 for losses that expect these. */
static void fit_target(const cr_recipe *r, cr_var *prediction, cr_var *y) {
  int rank = cr_rank(*y);
  bool classes = cr_dtype_of(*y) < CR_FLOAT32, shares = !classes && r->train.n_classes == 2 && rank == 2;
  if (shares && 2 * cr_count(*prediction) == cr_count(*y)) *y = cr_select(*y, 1, 1), classes = true;
  bool rows = classes && rank > 1 && cr_rank(*prediction) == rank + 1;
  for (int a = 0; rows && a < rank; a++) rows = cr_dim(*y, a) == cr_dim(*prediction, a);
  if (rows) {
    int64_t n = cr_count(*y), c = cr_dim(*prediction, -1);
    *prediction = cr_reshape(*prediction, 2, (int64_t[]){n, c});
    *y = cr_reshape(*y, 1, &n);
  } else if (cr_count(*y) == cr_count(*prediction)) {
    cr_array shape = cr_view(*prediction);
    if (classes) *y = cr_cast(*y, cr_dtype_of(*prediction));
    if (classes && r->named_loss && strstr(r->named_loss->target, "-1 or 1"))
      *y = cr_sub(cr_add(*y, *y), cr_const(r->tape, 1));
    *y = cr_reshape(*y, shape.rank, shape.dim);
  }
}

/* The penalty over the weights of this pass; poison without an error where there are none. */
static cr_var penalty(cr_recipe *r) {
  int n = 0, count = cr_model_count(r->model);
  cr_var *w = malloc((size_t)(count ? count : 1) * sizeof *w), sum = cr_poison(r->tape);
  if (!w) return cr_fail(r->tape, CR_NO_MEMORY, "out of memory");
  for (int k = 0; k < count; k++) {
    const cr_parameter *q = cr_model_parameter(r->model, k);
    if (q->trainable && q->decays) w[n++] = cr_model_leaf(r->model, k);
  }
  if (n && r->elastic) sum = cr_penalty_elastic(n, w, r->l1, r->l2);
  else if (n && r->l1 != 0) sum = cr_mul(cr_penalty_l1(n, w), cr_const(r->tape, r->l1));
  else if (n && r->l2 != 0) sum = cr_mul(cr_penalty_l2(n, w, r->half), cr_const(r->tape, r->l2));
  free(w);
  return sum;
}

cr_var cr__recipe_loss(cr_training *k, cr_var prediction, const cr_batch *batch) {
  cr_recipe *r = k->user;
  bool residual = cr__said(&r->say, CR__RESIDUAL);
  const cr__statement *st = cr__said(&r->say, residual ? CR__RESIDUAL : CR__LOSS);
  cr_program *names = cr_model_program(r->model);
  cr_var y = batch->y;
  if (cr_error(r->tape) != CR_OK) return cr_poison(r->tape);
  if (cr_is_poison(y) && r->named_loss)
    return placed(r, st, cr_fail(r->tape, CR_UNKNOWN_NAME,
                                 "these data have no targets: name them, as in csv(FILE, target=...), "
                                 "or write the loss out, as in %s(prediction, x)", r->named_loss->name));
  if (!cr_is_poison(y)) {
    fit_target(r, &prediction, &y);
    cr_program_bind(names, "y", y);
  }
  cr_program_bind(names, "x", batch->x);
  cr_program_bind(names, "prediction", prediction);
  cr_var loss = placed(r, st, cr_model_evaluate(r->model, r->loss));
  if (residual && cr_optimizer_needs_objective(r->optimizer) < 2)
    loss = cr_mul(cr_sum_all(cr_mul(loss, loss)), cr_const(r->tape, 0.5 / (double)batch->n));
  if (!r->penalty || !cr_model_is_training(r->model)) return loss;
  cr_var more = penalty(r);
  return cr_is_poison(more) ? loss : cr_add(loss, more);
}
