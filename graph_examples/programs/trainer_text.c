/* What there is to choose from, and what a recipe has chosen: tables, formulas, the loop as a drawing. */
#include <stdlib.h>
#include <string.h>

#include "trainer.h"

/* Tables */

static bool row_of_layer(int k, const char **a, const char **b) {
  const cr_function *f = cr_layer_at(k);
  return f && (*a = f->signature, *b = f->doc, true);
}
static bool row_of_loss(int k, const char **a, const char **b) {
  const cr_loss *l = cr_loss_at(k);
  return l && (*a = cr_loss_function(l)->signature, *b = cr_loss_function(l)->doc, true);
}
static bool row_of_method(int k, const char **a, const char **b) {
  const cr_method *m = cr_method_at(k);
  return m && (*a = m->signature, *b = m->doc, true);
}
static bool row_of_metric(int k, const char **a, const char **b) {
  const cr_metric *m = cr_metric_at(k);
  return m && (*a = m->name, *b = m->doc, true);
}
static bool row_of(const cr_source *s, const char **a, const char **b) {
  return s && (*a = s->signature, *b = s->doc, true);
}
static bool row_of_source(int k, const char **a, const char **b) { return row_of(cr_source_at(k), a, b); }
static bool row_of_schedule(int k, const char **a, const char **b) { return row_of(cr_schedule_at(k), a, b); }
static bool row_of_augmentation(int k, const char **a, const char **b) { return row_of(cr_augmentation_at(k), a, b); }
static bool row_of_initializer(int k, const char **a, const char **b) {
  *a = cr_initializer_doc(k), *b = NULL;
  return *a != NULL;
}

static const struct {
  const char *name, *where;
  bool (*row)(int k, const char **signature, const char **doc);
} tables[] = {{"sources", "data, validation and test read", row_of_source},
              {"layers", "net is made of, besides all of chainrule ops", row_of_layer},
              {"losses", "loss names, or an expression over prediction and y", row_of_loss},
              {"optimizers", "optimizer names", row_of_method},
              {"schedules", "schedule names", row_of_schedule},
              {"metrics", "metric names", row_of_metric},
              {"augmentations", "augment names", row_of_augmentation},
              {"initializers", "train's initializer names", row_of_initializer}};
enum { N_TABLES = sizeof tables / sizeof *tables };

int put_list(const char *what) {
  const char *signature, *doc;
  bool found = false;
  for (int t = 0; t < N_TABLES; t++) {
    if (what && strcmp(what, tables[t].name)) continue;
    printf("%s%s  what %s\n", found ? "\n" : "", tables[t].name, tables[t].where);
    found = true;
    for (int k = 0; tables[t].row(k, &signature, &doc); k++) {
      printf("  %s\n", signature);
      if (doc) printf("      %s\n", doc);
    }
  }
  if (found) return STATUS_GOOD;
  return complain(
      "train --list knows sources, layers, losses, optimizers, schedules, metrics, augmentations and initializers, not '%s'",
      what);
}

/* A recipe's choices */

/* Text over several lines, the first behind a label. */
static void put_block(const char *label, const char *text) {
  bool first = true;
  for (const char *s = text; s && *s; first = false) {
    size_t n = strcspn(s, "\n"), blanks = strspn(s, " \t");
    if (blanks < n) printf("%-12s%.*s\n", first ? label : "", (int)(n - blanks), s + blanks);
    else first = !first; /* an empty line shows nothing */
    s += n + (s[n] == '\n');
  }
}

void put_formulas(const cr_recipe *r, const cr_training *k) {
  const cr_loss *l = cr_recipe_named_loss(r);
  put_block("loss", cr_recipe_loss(r));
  if (l && cr_loss_function(l)->formula) put_block("  which is", cr_loss_function(l)->formula);
  if (l && l->formula) put_block("  on paper", l->formula);
  if (l && l->likelihood) printf("%-12sthe negative logarithm of the likelihood: %s\n", "  reading", l->likelihood);
  if (cr_recipe_penalty(r)) put_block("penalty", cr_recipe_penalty(r));
  put_block("optimizer", cr_optimizer_formula(k->optimizer));
  if (k->schedule) put_block("schedule", cr_schedule_formula(k->schedule));
}

int put_summary(const cr_training *k) {
  char *text = cr_model_summary(k->model);
  if (!text) return complain_memory();
  fputs(text, stdout);
  free(text);
  return STATUS_GOOD;
}

/* "(64)" as "64 numbers", "(1, 8, 8)" as "1 x 8 x 8 numbers". */
static void put_shape(const cr_array *x) {
  if (x->rank < 2) fputs(" of one number", stdout);
  for (int a = 1; a < x->rank; a++) printf("%s%lld", a == 1 ? " of " : " x ", (long long)x->dim[a]);
  if (x->rank > 1)
    fputs(x->dtype < CR_FLOAT32 ? " tokens" : x->rank == 2 && x->dim[1] == 1 ? " number" : " numbers", stdout);
}

void put_data_line(const cr_recipe *r, const cr_training *k) {
  char text[32];
  const cr_dataset *test = cr_recipe_test(r);
  int folds = cr_recipe_folds(r);
  printf("data        %s examples", grouped(cr_dataset_size(k->train) + (folds ? cr_dataset_size(test) : 0), text));
  put_shape(&k->train->x);
  if (k->train->n_classes) printf(", %d classes", k->train->n_classes);
  if (k->validation) printf("; %s for validation", grouped(cr_dataset_size(k->validation), text));
  if (folds) printf("; tested in %d folds", folds);
  else if (test) printf("; %s for the test", grouped(cr_dataset_size(test), text));
  putchar('\n');
}

/* The loop of the lecture notes; the branches on the right lead back to step 2. */
void put_diagram(const cr_recipe *r, const cr_training *k) {
  char n[32], size[32], line[160];
  int64_t examples = cr_dataset_size(k->train), batch = k->batch ? k->batch : 32;
  static const char *const bar = "        |";
#define ROW(mark, ...)                                                                                                      \
  (snprintf(line, sizeof line, __VA_ARGS__), *mark ? printf("%-74.74s%s\n", line, mark) : printf("%s\n", line))
  ROW("", "1 initialise    %s parameters, seed %llu", grouped(cr_model_size(k->model), n),
      (unsigned long long)cr_model_seed(k->model));
  ROW("", "%s", bar);
  ROW("<--+", "2 feed          %s of %s examples%s", grouped(batch < examples ? batch : examples, n),
      grouped(examples, size), k->in_order ? ", in order" : ", shuffled in each epoch");
  const char *net = cr_recipe_network(r);
  bool first = true;
  for (const char *s = net; *s;) {
    size_t length = strcspn(s, "\n"), blanks = strspn(s, " \t");
    if (blanks < length)
      ROW("   |", "%-16s%.*s", first ? "3 forward" : "", (int)(length - blanks), s + blanks), first = false;
    s += length + (s[length] == '\n');
  }
  ROW("   |", "4 loss          %s", cr_recipe_loss(r));
  ROW("   |", "5 update        backward, %sthe optimizer's step", k->clip_norm > 0 || k->clip_value > 0 ? "clip, " : "");
  ROW("---+", "        +-- more batches in this epoch? ----------------------------------");
  ROW("   |", "%s", bar);
  if (k->validation)
    ROW("   |", "6 validate      on %s examples, keep the best", grouped(cr_dataset_size(k->validation), n));
  else ROW("   |", "6 validate      (there are no validation data)");
  ROW("---+", "        +-- no reason to stop? -------------------------------------------");
  ROW("", "%s", bar);
  snprintf(size, sizeof size, "%lld", (long long)(k->epochs ? k->epochs : 10));
  ROW("", "end             after %s epochs%s%s%s%s", size, k->patience ? ", or patience" : "",
      k->seconds > 0 ? ", or time" : "", k->target_loss != 0 ? ", or target loss" : "",
      k->gradient_tol > 0 ? ", or small gradient" : "");
#undef ROW
}
