/* What the verbs train and predict share: recipes, results, tables and pictures of a training. */
#ifndef TRAINER_H
#define TRAINER_H

#include "command.h"

#include "../training/training.h"

/* The recipe that argument[0] names, with --set and the options that stand for those of its train statement. NULL after a
 * complaint. */
cr_recipe *open_recipe(const context *c);
/* Threads of --threads for the model's tape; false after a complaint. */
bool set_threads(const context *c, const cr_training *k);
/* Loss and metrics on some data: a copy of what validation leaves behind. */
typedef struct outcome {
  const char *data; /* "validation", "test", "training"; NULL: there are no such data */
  double loss, metric[CR_MAX_METRICS];
} outcome;
bool evaluate(cr_training *k, const cr_dataset *d, const char *data, outcome *o); /* false after a complaint */
void put_outcome(const cr_training *k, const char *label, const outcome *o);
json_t *json_outcome(const cr_training *k, const outcome *o);

/* The class that a row of predictions stands for, and the probability it is given: of logits, log-probabilities or
 * probabilities, by what the loss expects. */
int64_t class_of(const cr_array *prediction, int64_t row, const char *expects, double *probability);
/* "12,345"; text has at least 32 bytes. */
const char *grouped(int64_t n, char *text);

/* trainer_text.c: tables and descriptions of a recipe */
int put_list(const context *c); /* all tables, or the one that argument[0] names */
int put_description(const context *c, const cr_recipe *r, const cr_training *k);
void put_data_line(const cr_recipe *r, const cr_training *k);

/* curves.c: losses, metrics and, where examples have one or two numbers, what was learnt. False after a complaint. */
bool put_training_curves(cr_training *k, const char *title, const char *path);

#endif
