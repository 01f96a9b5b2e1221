/* What there is to choose from, and what a recipe has chosen: tables, formulas, the loop as a drawing. */
#include <stdlib.h>
#include <string.h>

#include "trainer.h"

/* Tables */

/* A row of a table: its signature, what it is, and what else it is called. */
typedef struct row {
  const char *signature, *doc, *also;
} row;

static bool row_of_layer(int k, row *r) {
  const cr_function *f = cr_layer_at(k);
  return f && (*r = (row){f->signature, f->doc, NULL}, true);
}
static bool row_of_loss(int k, row *r) {
  const cr_loss *l = cr_loss_at(k);
  return l && (*r = (row){cr_loss_function(l)->signature, cr_loss_function(l)->doc, NULL}, true);
}
static bool row_of_method(int k, row *r) {
  const cr_method *m = cr_method_at(k);
  return m && (*r = (row){m->signature, m->doc, m->aliases}, true);
}
static bool row_of_metric(int k, row *r) {
  const cr_metric *m = cr_metric_at(k);
  return m && (*r = (row){m->name, m->doc, NULL}, true);
}
static bool row_of(const cr_source *s, row *r) { return s && (*r = (row){s->signature, s->doc, NULL}, true); }
static bool row_of_source(int k, row *r) { return row_of(cr_source_at(k), r); }
static bool row_of_schedule(int k, row *r) { return row_of(cr_schedule_at(k), r); }
static bool row_of_augmentation(int k, row *r) { return row_of(cr_augmentation_at(k), r); }
static bool row_of_initializer(int k, row *r) { return (*r = (row){.signature = cr_initializer_doc(k)}).signature != NULL; }

static const struct {
  const char *name, *where;
  bool (*row)(int k, row *r);
} tables[] = {{"sources", "data, validation and test read", row_of_source},
              {"layers", "net is made of, besides all of chainrule ops", row_of_layer},
              {"losses", "loss names, or an expression over prediction and y", row_of_loss},
              {"optimizers", "optimizer names; weight_decay is of weights alone, unless train says decay_all=True",
               row_of_method},
              {"schedules", "schedule names", row_of_schedule},
              {"metrics", "metric names", row_of_metric},
              {"augmentations", "augment names", row_of_augmentation},
              {"initializers", "train's initializer names", row_of_initializer}};
enum { N_TABLES = sizeof tables / sizeof *tables };

static const char *table_at(int k) { return k < N_TABLES ? tables[k].name : NULL; }

static void put_table(int t) {
  row r;
  printf("%s  what %s\n", tables[t].name, tables[t].where);
  for (int k = 0; tables[t].row(k, &r); k++) {
    printf("  %s\n", r.signature);
    if (r.doc) printf("      %s%s%s%s\n", r.doc, r.also ? " Also called " : "", r.also ? r.also : "", r.also ? "." : "");
  }
}

static json_t *json_table(int t) {
  row r;
  json_t *rows = json_array();
  for (int k = 0; tables[t].row(k, &r); k++)
    json_array_append_new(rows, json_pack("{s:s, s:s?, s:s?}", "signature", r.signature, "doc", r.doc, "also", r.also));
  return rows;
}

int put_list(const context *c) {
  const char *what = c->n_arguments ? c->argument[0] : NULL;
  cr_problem why = {0};
  int found = 0;
  json_t *j = has(c, OPT_JSON) ? json_object() : NULL;
  for (int t = 0; t < N_TABLES; t++) {
    if (what && strcmp(what, tables[t].name)) continue;
    if (j) json_object_set_new(j, tables[t].name, json_table(t));
    else fputs(found ? "\n" : "", stdout), put_table(t);
    found++;
  }
  if (found) return j ? put_json(stdout, j) : STATUS_GOOD;
  json_decref(j);
  cr_refuse_name(&why, "table", what, table_at);
  return complain("train --list: %s", why.text);
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

static json_t *json_formulas(const cr_recipe *r, const cr_training *k) {
  const cr_loss *l = cr_recipe_named_loss(r);
  return json_pack("{s:o, s:s?, s:s?, s:s?, s:s?, s:s, s:s?}", "loss", json_text(cr_recipe_loss(r)), "formula",
                   l ? cr_loss_function(l)->formula : NULL, "latex", l ? l->formula : NULL, "likelihood",
                   l ? l->likelihood : NULL, "penalty", cr_recipe_penalty(r), "optimizer",
                   cr_optimizer_formula(k->optimizer), "schedule", k->schedule ? cr_schedule_formula(k->schedule) : NULL);
}

static void put_formulas(const cr_recipe *r, const cr_training *k) {
  const cr_loss *l = cr_recipe_named_loss(r);
  put_block("loss", cr_recipe_loss(r));
  if (l && cr_loss_function(l)->formula) put_block("  which is", cr_loss_function(l)->formula);
  if (l && l->formula) put_block("  on paper", l->formula);
  if (l && l->likelihood) printf("%-12sthe negative logarithm of the likelihood: %s\n", "  reading", l->likelihood);
  if (cr_recipe_penalty(r)) put_block("penalty", cr_recipe_penalty(r));
  put_block("optimizer", cr_optimizer_formula(k->optimizer));
  if (k->schedule) put_block("schedule", cr_schedule_formula(k->schedule));
}

static json_t *json_parameters(const cr_training *k) {
  json_t *list = json_array();
  const cr_parameter *p;
  for (int i = 0; (p = cr_model_parameter(k->model, i)); i++) {
    json_t *shape = json_array();
    for (int a = 0; a < p->value.rank; a++) json_array_append_new(shape, json_integer(p->value.dim[a]));
    json_array_append_new(list, json_pack("{s:s, s:o, s:b, s:s}", "name", p->name, "shape", shape, "trainable", p->trainable,
                                          "initializer", p->initializer));
  }
  return list;
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
static void put_diagram(FILE *f, const cr_recipe *r, const cr_training *k) {
  char n[32], size[32], line[160];
  int64_t examples = cr_dataset_size(k->train), batch = k->batch ? k->batch : 32;
  static const char *const bar = "        |";
#define ROW(mark, ...)                                                                                                      \
  (snprintf(line, sizeof line, __VA_ARGS__), *mark ? fprintf(f, "%-74.74s%s\n", line, mark) : fprintf(f, "%s\n", line))
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

/* What --formula, --summary and --diagram ask for. */
int put_description(const context *c, const cr_recipe *r, const cr_training *k) {
  char *summary = has(c, OPT_SUMMARY) ? cr_model_summary(k->model) : NULL, *diagram = NULL;
  size_t size = 0;
  FILE *f = has(c, OPT_DIAGRAM) ? open_memstream(&diagram, &size) : NULL;
  bool good = (summary || !has(c, OPT_SUMMARY)) && (f || !has(c, OPT_DIAGRAM));
  if (f) put_diagram(f, r, k), good = !fclose(f) && good;
  json_t *j = good && has(c, OPT_JSON) ? json_object() : NULL;
  if (j && has(c, OPT_FORMULA)) json_object_set_new(j, "formulas", json_formulas(r, k));
  if (j && summary) {
    json_object_set_new(j, "summary", json_string(summary));
    json_object_set_new(j, "parameters", json_parameters(k));
  }
  if (j && diagram) json_object_set_new(j, "diagram", json_text(diagram));
  if (good && !j && has(c, OPT_FORMULA)) put_formulas(r, k);
  if (good && !j) fputs(summary ? summary : "", stdout), fputs(diagram ? diagram : "", stdout);
  free(summary);
  free(diagram);
  if (!good) return complain_memory();
  return j ? put_json(stdout, j) : STATUS_GOOD;
}
