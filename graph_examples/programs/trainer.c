/* Recipes from the command line, and what comes out of a training. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "trainer.h"

/* Options of the command that stand for options of the recipe's train statement. */
static const struct {
  option_id id;
  const char *name;
} stand_ins[] = {
    {OPT_EPOCHS, "train.epochs"},     {OPT_MAX_SECONDS, "train.seconds"}, {OPT_TARGET_LOSS, "train.target_loss"},
    {OPT_PATIENCE, "train.patience"}, {OPT_GRAD_TOL, "train.gradient"},   {OPT_SEED, "train.seed"},
    {OPT_FOLDS, "train.folds"}};
enum { N_STAND_INS = sizeof stand_ins / sizeof *stand_ins };

/* NAME=VALUE, to be freed with its name. */
static bool split(const char *text, const char *what, cr_setting *s) {
  const char *equals = strchr(text, '=');
  char *name = equals && equals > text ? strndup(text, (size_t)(equals - text)) : NULL;
  if (!equals || equals == text) return complain("%s is followed by NAME=VALUE, not '%s'", what, text), false;
  if (!name) return complain_memory(), false;
  *s = (cr_setting){name, equals + 1};
  return true;
}

static bool read_settings(const context *c, cr_setting *s, int *n) {
  const char *text;
  for (int k = 0; (text = next_given(c, OPT_SET, &k));)
    if (!split(text, "--set", &s[(*n)++])) return --*n, false;
  for (int k = 0; k < c->n_assignments; k++)
    if (!split(c->assignment[k], "a recipe", &s[(*n)++])) return --*n, false;
  if (has(c, OPT_NO_CAPTURE)) {
    s[*n] = (cr_setting){strdup("train.capture"), "False"};
    if (!s[(*n)++].name) return complain_memory(), false;
  }
  for (int k = 0; k < N_STAND_INS && !strcmp(c->verb->name, "train"); k++) {
    char *end;
    if (!(text = given(c, stand_ins[k].id))) continue;
    double x = strtod(text, &end);
    if (!*text || *end || !isfinite(x))
      return complain("--%s takes a number, not '%s'", options[stand_ins[k].id].name, text), false;
    s[*n].name = strdup(stand_ins[k].name);
    if (!s[*n].name) return complain_memory(), false;
    s[(*n)++].value = text;
  }
  return true;
}

static cr_recipe *read_recipe(const char *path, int n, const cr_setting *settings) {
  cr_problem p = {0};
  size_t length;
  bool piped = !strcmp(path, "-");
  FILE *f = piped ? stdin : fopen(path, "r");
  if (!f) return complain("%s: cannot be opened: %s", path, strerror(errno)), NULL;
  if (piped) path = "standard input";
  char *text = read_stream(f, CR_MAX_SOURCE, &length);
  if (!text) complain("%s: cannot be read: %s", path, strerror(errno));
  if (!piped) fclose(f);
  if (!text) return NULL;
  const char *slash = strrchr(path, '/');
  char *base = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
  cr_recipe *r = NULL;
  if (strlen(text) != length) complain("%s: this is not a text: it has a zero byte", path);
  else if (!base) complain_memory();
  else if (!(r = cr_recipe_read(text, path, base, n, settings, &p))) complain("%s", p.text);
  free(base);
  free(text);
  return r;
}

cr_recipe *open_recipe(const context *c) {
  if (c->n_arguments != 1) return complain("%s needs one recipe, a file that ends in .chain", c->verb->name), NULL;
  cr_setting *s = calloc((size_t)(c->n_settings + c->n_assignments + N_STAND_INS) + 1, sizeof *s);
  int n = 0;
  if (!s) return complain_memory(), NULL;
  cr_recipe *r = read_settings(c, s, &n) ? read_recipe(c->argument[0], n, s) : NULL;
  for (int k = 0; k < n; k++) free((char *)(uintptr_t)s[k].name);
  free(s);
  if (r && !set_threads(c, cr_recipe_training(r))) cr_recipe_free(r), r = NULL;
  return r;
}

bool set_threads(const context *c, const cr_training *k) {
  long threads;
  if (!whole_given(c, OPT_THREADS, 1, 1024, 0, &threads)) return false;
  cr_set(cr_model_tape(k->model), CR_THREADS, threads);
  return true;
}

/* Results */

bool evaluate(cr_training *k, const cr_dataset *d, const char *data, outcome *o) {
  *o = (outcome){.data = d && (d->y.data || !k->train->y.data) ? data : NULL};
  if (!o->data) return true;
  cr_status (*validate)(cr_training *, const cr_dataset *, double *) =
      k->hook.validate ? k->hook.validate : cr_default_validate;
  if (validate(k, d, &o->loss) != CR_OK) return complain("%s data: %s", data, k->problem.text), false;
  memcpy(o->metric, k->metric, sizeof o->metric);
  return true;
}

void put_outcome(const cr_training *k, const char *label, const outcome *o) {
  if (!o->data) return;
  printf("%-12sloss %.6g", label, o->loss);
  for (int m = 0; m < k->n_metrics; m++) printf(", %s %.6g", k->metric_name[m], o->metric[m]);
  putchar('\n');
}

json_t *json_outcome(const cr_training *k, const outcome *o) {
  if (!o->data) return json_null();
  json_t *j = json_pack("{s:o}", "loss", json_number_of(o->loss));
  for (int m = 0; m < k->n_metrics; m++) json_object_set_new(j, k->metric_name[m], json_number_of(o->metric[m]));
  return j;
}

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

int64_t class_of(const cr_array *prediction, int64_t row, const char *expects, double *probability) {
  int64_t width = prediction->rank > 1 ? prediction->dim[prediction->rank - 1] : 1, best = 0;
  bool shares = expects && !strncmp(expects, "probabilit", 10);
  bool value = expects && !strcmp(expects, "value"); /* near 0 or 1 */
  if (width == 1) {
    double x = cr_array_get(prediction, row), p = value ? fmin(fmax(x, 0), 1) : shares ? x : sigmoid(x);
    *probability = p > 0.5 ? p : 1 - p;
    return p > 0.5;
  }
  for (int64_t j = 1; j < width; j++)
    if (cr_array_get(prediction, row * width + j) > cr_array_get(prediction, row * width + best)) best = j;
  double top = cr_array_get(prediction, row * width + best), sum = 0;
  for (int64_t j = 0; j < width; j++) sum += exp(cr_array_get(prediction, row * width + j) - top);
  *probability = shares ? top : 1 / sum;
  return best;
}

const char *grouped(int64_t n, char *text) {
  char digits[24];
  int length = snprintf(digits, sizeof digits, "%lld", (long long)n), at = 0;
  for (int k = 0; k < length; k++) {
    if (k && (length - k) % 3 == 0) text[at++] = ',';
    text[at++] = digits[k];
  }
  text[at] = 0;
  return text;
}
