/* Recipes: a file of statements becomes a training. recipes/README.md describes the language. The statements are read in
 * recipe_statements.c, settings and options in recipe_options.c, data in recipe_data.c; recipe_hooks.c runs net and loss at
 * each step. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ops.h>

#include "recipe.h"
#include "training_state.h"

/* A statement of its own line, without blanks around it; NULL without one. */
static char *plain(const cr_recipe *r, cr__keyword keyword) {
  const cr__statement *st = cr__said(&r->say, keyword);
  return st ? cr__text("%s", st->text + strspn(st->text, " \t\n")) : NULL;
}

static cr_status read_heading(cr_recipe *r) {
  char *text = plain(r, CR__TITLE);
  size_t n = text ? strlen(text) : 0;
  bool quoted = n > 1 && strchr("'\"", *text) && text[n - 1] == *text;
  r->heading = text ? cr__text("%.*s", (int)(quoted ? n - 2 : n), text + quoted) : cr__text("%s", r->file);
  free(text);
  return r->heading ? CR_OK : CR_NO_MEMORY;
}

/* Model, optimizer and schedule at their beginnings: again for each fold. */
static cr_status begin(cr_recipe *r, cr_problem *p) {
  cr_problem why = {0};
  const cr__statement *method = cr__said(&r->say, CR__OPTIMIZER), *st = cr__said(&r->say, CR__SCHEDULE);
  const char *initializer = cr__train_text(r, "initializer");
  cr_optimizer_free(r->optimizer);
  cr_schedule_free(r->schedule);
  cr_model_free(r->model);
  if (r->tape) cr_free(r->tape);
  r->optimizer = NULL, r->schedule = NULL, r->model = NULL;
  r->tape = cr_new();
  r->model = r->tape ? cr_model_new(r->tape, r->dtype, r->seed) : NULL;
  if (!r->model) return cr_refuse(p, CR_NO_MEMORY, "%s: out of memory", r->file);
  if (initializer) cr_model_initialize_with(r->model, initializer);
  cr_model_decay_all(r->model, cr__train_number(r, "decay_all", 0) != 0);
  char *call = cr__whole_call(r, method ? method->text : "adam"), *rate = st ? cr__whole_call(r, st->text) : NULL;
  if (call) r->optimizer = cr_optimizer_new(call, r->names, &why);
  cr_status status = r->optimizer ? CR_OK : cr__refuse_at(&r->say, method, 0, why.status, why.text, p);
  if (status == CR_OK && rate) r->schedule = cr_schedule_new(rate, r->names, &why);
  if (status == CR_OK && st && !r->schedule) status = cr__refuse_at(&r->say, st, 0, why.status, why.text, p);
  free(call);
  free(rate);
  return status;
}

static cr_status check_method(cr_recipe *r, cr_problem *p) {
  bool residuals = cr_optimizer_needs_objective(r->optimizer) == 2;
  if (residuals && !cr__said(&r->say, CR__RESIDUAL))
    return cr__refuse_at(&r->say, cr__said(&r->say, CR__LOSS), 0, CR_BAD_ARGUMENT,
                         "this optimizer makes a sum of squares small: instead of a loss it needs 'residual prediction - y'",
                         p);
  if (residuals && r->penalty)
    return cr__refuse_at(&r->say, cr__said(&r->say, CR__PENALTY), 0, CR_BAD_ARGUMENT, "this optimizer takes no penalty", p);
  return CR_OK;
}

static void fill_training(cr_recipe *r) {
  static const cr_jit_options as_usual = {0};
  const cr_argument *batch = cr__train_option(r, "batch");
  r->training =
      (cr_training){.model = r->model,
                    .optimizer = r->optimizer,
                    .schedule = r->schedule,
                    .train = &r->train,
                    .validation = r->has_validation ? &r->validation : NULL,
                    .user = r,
                    .hook = {.forward = cr__recipe_forward, .loss = cr__recipe_loss},
                    .batch = batch->kind == CR_ARGUMENT_TEXT ? INT64_MAX : (int64_t)cr__train_number(r, "batch", 32),
                    .in_order = cr__train_number(r, "shuffle", 1) == 0,
                    .drop_last = cr__train_number(r, "drop_last", 0) != 0,
                    .seed = r->seed,
                    .clip_norm = cr__train_number(r, "clip_norm", 0),
                    .clip_value = cr__train_number(r, "clip_value", 0),
                    .augment = r->augment,
                    .names = r->names,
                    .expects = r->named_loss ? r->named_loss->expects : NULL,
                    .epochs = (int64_t)cr__train_number(r, "epochs", 20),
                    .seconds = cr__train_number(r, "seconds", 0),
                    .target_loss = cr__train_number(r, "target_loss", 0),
                    .gradient_tol = cr__train_number(r, "gradient", 0),
                    .patience = (int64_t)cr__train_number(r, "patience", 0),
                    .min_delta = cr__train_number(r, "min_delta", 0),
                    .keep_last = cr__train_number(r, "keep_last", 0) != 0,
                    .capture = cr__train_number(r, "capture", 1) != 0,
                    .compile = cr__train_number(r, "compile", 0) != 0 ? &as_usual : NULL,
                    .checkpoint = cr__train_text(r, "checkpoint"),
                    .checkpoint_every = (int64_t)cr__train_number(r, "checkpoint_every", 0),
                    .log = cr__train_text(r, "log")};
}

/* The loss's own metric, unless the recipe names others. */
static cr_status read_metrics(cr_recipe *r, cr_problem *p) {
  cr_training *k = &r->training;
  const char *own = r->named_loss ? r->named_loss->metric : NULL;
  const cr__statement *st = cr__said(&r->say, CR__METRIC);
  if (!r->metrics) r->metrics = st ? cr__whole_call(r, st->text) : own && cr_metric_named(own) ? cr__text("%s", own) : NULL;
  k->metrics = r->metrics;
  cr_status status = cr__metrics_read(k);
  return status == CR_OK ? CR_OK : cr__refuse_at(&r->say, st, 0, status, k->problem.text, p);
}

static cr_status check_augment(cr_recipe *r, cr_problem *p) {
  cr_status status = cr__augment_check(&r->training);
  if (status == CR_OK) return CR_OK;
  return cr__refuse_at(&r->say, cr__said(&r->say, CR__AUGMENT), 0, status, r->training.problem.text, p);
}

/* A pass over a few examples: it makes the parameters, and finds what does not fit together in net and loss. */
static cr_status first_pass(cr_recipe *r, cr_problem *p) {
  int64_t n = cr_dataset_size(&r->train), which[] = {0, 1, 2, 3};
  cr_training *k = &r->training;
  cr_batch batch;
  if (n < 1)
    return cr__refuse_at(&r->say, cr__said(&r->say, CR__DATA), 0, CR_BAD_ARGUMENT, "there are no examples to train with", p);
  cr_model_begin(r->model, 1);
  cr_status status = cr_default_feed(k, &r->train, n < 4 ? n : 4, which, &batch);
  if (status != CR_OK) return cr__refuse_at(&r->say, cr__said(&r->say, CR__DATA), 0, status, k->problem.text, p);
  cr_var prediction = cr__recipe_forward(k, &batch), loss = cr__recipe_loss(k, prediction, &batch);
  if (cr_error(r->tape) != CR_OK) return cr_refuse(p, cr_error(r->tape), "%s", cr_error_text(r->tape));
  if (r->named_loss) r->lint = cr_loss_lint(r->named_loss->name, prediction);
  const char *kind = cr_prediction_kind(prediction); /* what the loss does not say, the net may */
  bool silent = !k->expects || !strcmp(k->expects, "value");
  if (silent && (!strncmp(kind, "probabilit", 10) || !strncmp(kind, "log-", 4))) k->expects = kind;
  if (!r->lint && strstr(r->net, "dropout("))
    r->lint = "dropout has the same mask in every step, and in evaluation too; the layer of that name is drop(x, rate)";
  const cr__statement *st = cr__said(&r->say, CR__LOSS);
  char why[200], shape[100];
  cr_array a = cr_view(loss), guess = cr_view(prediction), y = cr_is_poison(batch.y) ? (cr_array){0} : cr_view(batch.y);
  if ((status = cr__metrics_fit(k, &guess, &y, &k->problem)) != CR_OK)
    return cr__refuse_at(&r->say, cr__said(&r->say, CR__METRIC), 0, status, k->problem.text, p);
  snprintf(why, sizeof why, "the loss is one number, not a tensor of shape %s: take its mean or sum",
           cr_shape_text(&a, shape, sizeof shape));
  return st && a.count != 1 ? cr__refuse_at(&r->say, st, 0, CR_BAD_SHAPE, why, p) : CR_OK;
}

static cr_status read_all(cr_recipe *r, const char *source, int n, const cr_setting *settings, cr_problem *p) {
  cr_status status = cr__read_statements(&r->say, source, r->file, p);
  if (status == CR_OK) status = read_heading(r);
  if (status == CR_OK) status = cr__read_settings(r, n, settings, p);
  if (status == CR_OK) status = cr__read_train(r, n, settings, p);
  if (status == CR_OK) status = cr__read_data(r, p);
  if (status == CR_OK) status = cr__name_classes(r, p);
  if (status == CR_OK) status = cr__read_loss(r, p);
  if (status == CR_OK) status = begin(r, p);
  if (status == CR_OK) status = check_method(r, p);
  if (status != CR_OK) return status;
  const cr__statement *augment = cr__said(&r->say, CR__AUGMENT);
  if (augment && !(r->augment = cr__whole_call(r, augment->text)))
    return cr_refuse(p, CR_NO_MEMORY, "%s: out of memory", r->file);
  fill_training(r);
  status = read_metrics(r, p);
  if (status == CR_OK) status = check_augment(r, p);
  return status == CR_OK ? first_pass(r, p) : status;
}

cr_recipe *cr_recipe_read(const char *source, const char *title, const char *base, int n, const cr_setting *settings,
                          cr_problem *p) {
  cr_recipe *r = calloc(1, sizeof *r);
  if (r) {
    r->file = cr__text("%s", title);
    r->base = base ? cr__text("%s", base) : NULL;
    r->settings = cr_new();
    r->names = r->settings ? cr_program_new(r->settings, CR_FLOAT64) : NULL;
  }
  cr_status status = r && r->file && r->names && (!base || r->base) ? CR_OK : CR_NO_MEMORY;
  if (status == CR_OK) status = read_all(r, source, n, settings, p);
  if (status == CR_OK) return r;
  cr_refuse(p, status, "%s: %s", title, cr_status_text(status));
  cr_recipe_free(r);
  return NULL;
}

void cr_recipe_free(cr_recipe *r) {
  if (!r) return;
  cr_training_release(&r->training);
  cr_optimizer_free(r->optimizer);
  cr_schedule_free(r->schedule);
  cr_model_free(r->model);
  if (r->tape) cr_free(r->tape);
  cr_dataset_free(&r->all);
  cr_dataset_free(&r->train);
  cr_dataset_free(&r->validation);
  cr_dataset_free(&r->test);
  cr_arguments_free(&r->train_options);
  cr_arguments_free(&r->outside_options);
  if (r->settings) cr_free(r->settings);
  cr__free_statements(&r->say);
  char *const text[] = {r->file, r->base, r->heading, r->set_text, r->net, r->loss, r->penalty, r->augment, r->metrics};
  for (size_t k = 0; k < sizeof text / sizeof *text; k++) free(text[k]);
  free(r->order);
  free(r);
}

cr_training *cr_recipe_training(cr_recipe *r) { return &r->training; }

cr_training *cr_recipe_fold(cr_recipe *r, int k, cr_problem *p) {
  cr_training_release(&r->training);
  r->training = (cr_training){0};
  if (cr__take_fold(r, k, p) != CR_OK || begin(r, p) != CR_OK) return NULL;
  fill_training(r);
  return read_metrics(r, p) == CR_OK && first_pass(r, p) == CR_OK ? &r->training : NULL;
}

const cr_dataset *cr_recipe_test(const cr_recipe *r) { return r->has_test ? &r->test : NULL; }
const char *cr_recipe_title(const cr_recipe *r) { return r->heading; }
const char *cr_recipe_network(const cr_recipe *r) { return cr__said(&r->say, CR__NET)->text; }
const char *cr_recipe_loss(const cr_recipe *r) {
  const char *loss = r->loss + strlen(r->set_text ? r->set_text : "");
  return loss + strspn(loss, " ");
}
const cr_loss *cr_recipe_named_loss(const cr_recipe *r) { return r->named_loss; }
int cr_recipe_folds(const cr_recipe *r) { return r->folds; }
const char *cr_recipe_penalty(const cr_recipe *r) { return r->penalty; }
const char *cr_recipe_lint(const cr_recipe *r) { return r->lint; }
