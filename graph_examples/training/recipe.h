/* The inside of recipes: statements as they stand in the file, and what becomes of them. */
#ifndef CR_RECIPE_H
#define CR_RECIPE_H

#include <stdbool.h>

#include "training.h"

typedef enum cr__keyword {
  CR__TITLE,
  CR__SET,
  CR__DATA,
  CR__TEST,
  CR__VALIDATION,
  CR__NET,
  CR__LOSS,
  CR__RESIDUAL,
  CR__PENALTY,
  CR__OPTIMIZER,
  CR__SCHEDULE,
  CR__METRIC,
  CR__AUGMENT,
  CR__TRAIN,
  CR__N_KEYWORDS
} cr__keyword;
extern const char *const cr__keyword_text[CR__N_KEYWORDS];

/* What stands behind a keyword, to the end of the statement. Keyword and comments are blanks, so that line k, column c of
 * the text is line line + k - 1, column c of the file. */
typedef struct cr__statement {
  cr__keyword keyword;
  int line;
  char *text;
} cr__statement;

typedef struct cr__statements {
  const char *title; /* of the file, for messages */
  int n;
  cr__statement *statement; /* in the order of the file */
} cr__statements;

cr_status cr__read_statements(cr__statements *s, const char *source, const char *title, cr_problem *p);
void cr__free_statements(cr__statements *s);
/* The one of that keyword, NULL without one. */
const cr__statement *cr__said(const cr__statements *s, cr__keyword keyword);
/* The problem with its file and line in front. A place "line 2, column 7: " with which why begins becomes the file's; above
 * is the number of lines that stood before the statement's own in the text that was run. */
cr_status cr__refuse_at(const cr__statements *s, const cr__statement *at, int above, cr_status status, const char *why,
                        cr_problem *p);
/* printf into new memory; NULL when it runs out. */
char *cr__text(const char *format, ...)
#ifdef __GNUC__
    __attribute__((format(printf, 1, 2)))
#endif
    ;

struct cr_recipe {
  cr__statements say;
  char *file, *base, *heading;
  cr_tape *settings; /* of names */
  cr_program *names; /* set statements, for calls */
  char *set_text;    /* the same as source, a line each: "hidden = 64\nlr = 0.1\n" */
  int set_lines;
  cr_arguments train_options, outside_options;
  cr_dtype dtype;
  uint64_t seed;

  cr_dataset all, train, validation, test; /* all: where folds are made of it */
  bool has_validation, has_test;
  int folds;
  int64_t *order; /* fold k is every folds-th example of all in this order, from the k-th on */

  cr_tape *tape;
  cr_model *model;
  cr_optimizer *optimizer;
  cr_schedule *schedule;
  char *net, *loss;          /* as source, settings first */
  const cr_loss *named_loss; /* NULL: an expression */
  const char *lint;          /* what is doubtful about net and loss; NULL: nothing */
  char *penalty;             /* "l2(0.01)"; NULL: none */
  bool elastic;
  double l1, l2;
  int half;
  char *augment, *metrics;
  cr_training training;
};

/* recipe_options.c */
cr_status cr__read_settings(cr_recipe *r, int n, const cr_setting *outside, cr_problem *p);
/* Net and loss know the number of classes, or of letters, as classes, unless that is a setting of the recipe. */
cr_status cr__name_classes(cr_recipe *r, cr_problem *p);
cr_status cr__read_train(cr_recipe *r, int n, const cr_setting *outside, cr_problem *p);
const cr_argument *cr__train_option(const cr_recipe *r, const char *name);
double cr__train_number(const cr_recipe *r, const char *name, double if_none);
const char *cr__train_text(const cr_recipe *r, const char *name);
/* A call without blanks before it, in which settings that are texts have their values; numbers are known to the reader of
 * calls. To be freed; NULL when memory runs out. */
char *cr__own_call(const cr_recipe *r, const char *text);
/* The same of a whole statement, which may be the name of a text: optimizer method, after set method = 'adam(lr=0.01)'. */
char *cr__whole_call(const cr_recipe *r, const char *text);
/* Binds a call; whatever is wrong names the line of st, where there is one. */
cr_status cr__bind(cr_recipe *r, const cr__statement *st, const char *call, const char *signature, cr_arguments *out,
                   cr_problem *p);

/* recipe_data.c */
cr_status cr__read_data(cr_recipe *r, cr_problem *p);
cr_status cr__take_fold(cr_recipe *r, int k, cr_problem *p); /* train and test, from all */

/* recipe_hooks.c */
cr_status cr__read_loss(cr_recipe *r, cr_problem *p); /* net, loss or residual, penalty */
cr_var cr__recipe_forward(cr_training *k, const cr_batch *batch);
cr_var cr__recipe_loss(cr_training *k, cr_var prediction, const cr_batch *batch);

#endif
