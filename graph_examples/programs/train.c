/* chainrule train: runs a recipe and says what came of it. */
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "captured.h"
#include "trainer.h"

/* What the callbacks of a training see; one training runs at a time. */
static struct {
  volatile sig_atomic_t interrupt;
  bool table, live;     /* a line now and then; a progress line on a terminal */
  int64_t every, shown; /* epochs between lines; the last one shown */
  struct timespec drawn;
  cr_jit_options compile;
  char folder[1000];    /* where compiled steps are kept */
} show;

static void on_interrupt(int number) {
  (void)number;
  show.interrupt = 1;
}

/* The first interrupt, or request to end, ends training in order, a second one the program. */
static void catch_interrupt(void) {
  struct sigaction act = {.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND};
  sigemptyset(&act.sa_mask);
  sigaction(SIGINT, &act, NULL);
  sigaction(SIGTERM, &act, NULL);
}

/* While it runs */

static void erase_line(void) {
  if (show.live) fputs("\r\033[K", stdout);
}

static void put_epoch(const cr_training *k, const cr_epoch *e) {
  if (show.shown == 0) {
    printf("%7s %12s", "epoch", "loss");
    if (k->validation) printf(" %12s", "validation");
    for (int m = 0; m < k->n_metrics; m++) printf(" %12s", k->metric_name[m]);
    putchar('\n');
  }
  printf("%7lld %12.5g", (long long)e->epoch, e->train_loss);
  if (k->validation) printf(" %12.5g", e->validation_loss);
  for (int m = 0; m < k->n_metrics; m++) printf(" %12.5g", e->metric[m]);
  putchar('\n');
  show.shown = e->epoch;
  fflush(stdout);
}

static void epoch_done(cr_training *k, const cr_epoch *e) {
  if (!show.table || (e->epoch != 1 && e->epoch % show.every)) return;
  erase_line();
  put_epoch(k, e);
}

/* Cuts a line to the width of the terminal, so that the next one can be written over it. */
static char *fit(char *line) {
  struct winsize size;
  int columns = !ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_col ? size.ws_col : 80;
  for (char *s = line; *s; s++)
    if ((*s & 0xC0) != 0x80 && --columns < 1) return *s = 0, line;
  return line;
}

/* Ten times a second at most. */
static void progress(cr_training *k, int64_t step, int64_t steps) {
  char line[512];
  struct timespec now;
  (void)step, (void)steps;
  clock_gettime(CLOCK_MONOTONIC, &now);
  if (now.tv_sec == show.drawn.tv_sec && now.tv_nsec - show.drawn.tv_nsec < 100000000) return;
  show.drawn = now;
  printf("\r%s\033[K", fit(cr_progress_line(k, line, sizeof line)));
  fflush(stdout);
}

static void prepare(const context *c, cr_training *k, bool table) {
  int64_t epochs = k->epochs ? k->epochs : 10;
  bool quiet = has(c, OPT_QUIET) || has(c, OPT_JSON);
  show.table = table && !quiet;
  show.live = !quiet && isatty(STDOUT_FILENO);
  show.every = epochs <= 20 ? 1 : (epochs + 19) / 20;
  show.shown = 0;
  if (k->compile && cache_folder(show.folder, sizeof show.folder))
    show.compile = (cr_jit_options){.cache = show.folder}, k->compile = &show.compile;
  k->interrupt = &show.interrupt;
  k->epoch_done = epoch_done;
  k->progress = show.live ? progress : NULL;
}

static bool run(cr_training *k) {
  bool good = cr_train(k) == CR_OK;
  erase_line();
  if (good && show.table && k->n_history && show.shown != k->history[k->n_history - 1].epoch)
    put_epoch(k, &k->history[k->n_history - 1]);
  return good || (complain("%s", k->problem.text), false);
}

/* Warnings: what is worth a second look before training */

enum { MOST_WARNINGS = 4 };
typedef struct warnings {
  int n;
  char *text[MOST_WARNINGS];
} warnings;

static void warn(warnings *w, const char *text) {
  if (text && w->n < MOST_WARNINGS && (w->text[w->n] = strdup(text))) w->n++;
}

static warnings warnings_of(const cr_recipe *r, const cr_training *k) {
  warnings w = {0};
  char *symmetry = cr_model_symmetry(k->model);
  if (symmetry) symmetry[strcspn(symmetry, "\n")] = 0;
  warn(&w, symmetry);
  warn(&w, cr_recipe_lint(r));
  warn(&w, cr_optimizer_warning(k->optimizer));
  free(symmetry);
  return w;
}

static void warnings_free(warnings *w) {
  while (w->n) free(w->text[--w->n]);
}

/* Reports after it */

enum { MOST_LAYERS = 64 };

static void put_saturation(const cr_training *k, json_t *j) {
  cr_saturation s[MOST_LAYERS];
  int n = cr_model_saturation(k->model, MOST_LAYERS, s);
  json_t *list = json_array();
  if (!j) printf("\n%-32s %10s %10s\n", "activation", "saturated", "mean slope");
  for (int i = 0; i < n && i < MOST_LAYERS; i++) {
    if (!j) printf("%-32s %9.1f%% %10.4g\n", s[i].name, 100 * s[i].share, s[i].mean_slope);
    json_array_append_new(
        list, json_pack("{s:s, s:f, s:f}", "name", s[i].name, "share", s[i].share, "mean_slope", s[i].mean_slope));
  }
  if (j) json_object_set(j, "saturation", list);
  json_decref(list);
}

static void put_gradients(const cr_training *k, json_t *j) {
  cr_gradient_report g[MOST_LAYERS];
  int n = cr_training_gradient_report(k, MOST_LAYERS, g);
  json_t *list = json_array();
  if (!j) printf("\n%-32s %10s %10s %10s\n", "parameter", "gradient", "norm", "change");
  for (int i = 0; i < n && i < MOST_LAYERS; i++) {
    if (!j) printf("%-32s %10.4g %10.4g %10.2g\n", g[i].name, g[i].gradient_norm, g[i].value_norm, g[i].update_ratio);
    json_array_append_new(list, json_pack("{s:s, s:o, s:o, s:o}", "name", g[i].name, "gradient_norm",
                                          json_number_of(g[i].gradient_norm), "norm", json_number_of(g[i].value_norm),
                                          "change", json_number_of(g[i].update_ratio)));
  }
  if (j) json_object_set(j, "gradients", list);
  json_decref(list);
}

static void put_matrix(const cr_dataset *d, int n, const int64_t *count) {
  printf("\n%-16s predicted\n%-16s", "truth", "");
  for (int j = 0; j < n; j++) d->class_name ? printf(" %8.8s", d->class_name[j]) : printf(" %8d", j);
  for (int i = 0; i < n; i++) {
    d->class_name ? printf("\n%-16.16s", d->class_name[i]) : printf("\n%-16d", i);
    for (int j = 0; j < n; j++) printf(" %8lld", (long long)count[n * i + j]);
  }
  putchar('\n');
}

static bool put_confusion(cr_training *k, const cr_dataset *d, json_t *j) {
  cr_problem p = {0};
  cr_array prediction = {0};
  int n = d->n_classes;
  if (!n) return complain("--confusion counts classes, which these data do not have"), false;
  int64_t *count = calloc((size_t)n * (size_t)n, sizeof *count);
  bool shares = k->expects && (!strncmp(k->expects, "probabilit", 10) || !strcmp(k->expects, "value"));
  cr_status status = count ? cr_predict(k, d, &prediction, &p) : cr_refuse(&p, CR_NO_MEMORY, "out of memory");
  if (status == CR_OK) status = cr_confusion(&prediction, &d->y, n, shares ? 0.5 : 0, count, &p);
  if (status != CR_OK) complain("%s", p.text);
  else if (!j) put_matrix(d, n, count);
  json_t *rows = json_array();
  for (int i = 0; j && status == CR_OK && i < n; i++) {
    json_t *row = json_array();
    for (int m = 0; m < n; m++) json_array_append_new(row, json_integer(count[n * i + m]));
    json_array_append_new(rows, row);
  }
  if (j) json_object_set(j, "confusion", rows);
  json_decref(rows);
  cr_array_release(&prediction);
  free(count);
  return status == CR_OK;
}

/* Everything that was asked for, as text or, where j is not NULL, into that object. */
static bool put_reports(const context *c, const cr_recipe *r, cr_training *k, json_t *j) {
  const cr_dataset *test = cr_recipe_test(r);
  if (has(c, OPT_GRADIENTS)) put_gradients(k, j);
  if (has(c, OPT_SATURATION)) put_saturation(k, j);
  if (has(c, OPT_CONFUSION) && !put_confusion(k, test ? test : k->validation ? k->validation : k->train, j)) return false;
  return !has(c, OPT_PLOT) || put_training_curves(k, cr_recipe_title(r), given(c, OPT_PLOT));
}

/* The answer */

static json_t *json_history(const cr_training *k) {
  json_t *list = json_array();
  for (int64_t i = 0; i < k->n_history; i++) {
    const cr_epoch *e = &k->history[i];
    json_t *j = json_pack("{s:I, s:I, s:o, s:o, s:o, s:o, s:o}", "epoch", (json_int_t)e->epoch, "steps",
                          (json_int_t)e->steps, "seconds", json_number_of(e->seconds), "rate", json_number_of(e->rate),
                          "train_loss", json_number_of(e->train_loss), "validation_loss",
                          k->validation ? json_number_of(e->validation_loss) : json_null(), "gradient_norm",
                          json_number_of(e->gradient_norm));
    for (int m = 0; m < k->n_metrics; m++) json_object_set_new(j, k->metric_name[m], json_number_of(e->metric[m]));
    json_array_append_new(list, j);
  }
  return list;
}

static double seconds_of(const cr_training *k) { return k->n_history ? k->history[k->n_history - 1].seconds : 0; }

static const char *compile_note(const cr_training *k) {
  return k->captured_steps ? k->compile_note : "not compiled: its steps cannot be captured";
}

static int answer_json_line(const context *c, const cr_recipe *r, cr_training *k, const outcome *o, const warnings *w) {
  char hash[20];
  snprintf(hash, sizeof hash, "%016llx", (unsigned long long)k->run_hash);
  json_t *texts = json_array(),
         *j = json_pack("{s:o, s:s, s:s, s:I, s:I, s:I, s:o, s:I, s:I, s:s, s:o}", "title", json_text(cr_recipe_title(r)),
                        "reason", cr_reason_text(k->reason), "why", k->reason_text, "epochs", (json_int_t)k->n_history,
                        "steps", (json_int_t)k->step, "best_epoch", (json_int_t)k->best_epoch, "seconds",
                        json_number_of(seconds_of(k)), "parameters", (json_int_t)cr_model_size(k->model), "seed",
                        (json_int_t)k->seed, "hash", hash, "history", json_history(k));
  json_object_set_new(j, "training", json_outcome(k, &o[0]));
  json_object_set_new(j, "validation", json_outcome(k, &o[1]));
  json_object_set_new(j, "test", json_outcome(k, &o[2]));
  if (k->compile) json_object_set_new(j, "note", json_string(compile_note(k)));
  for (int i = 0; i < w->n; i++) json_array_append_new(texts, json_string(w->text[i]));
  json_object_set_new(j, "warnings", texts);
  if (put_reports(c, r, k, j)) return put_json(stdout, j);
  json_decref(j);
  return STATUS_USAGE;
}

static int answer_text(const context *c, const cr_recipe *r, cr_training *k, const outcome *o) {
  printf("stopped     %s\n", k->reason_text);
  if (k->best_epoch && k->validation)
    printf("best epoch  %lld of %lld%s\n", (long long)k->best_epoch, (long long)k->n_history,
           k->keep_last ? ", but the last one is kept" : "");
  for (int i = 0; i < 3; i++) put_outcome(k, o[i].data ? o[i].data : "", &o[i]);
  printf("run hash    %016llx\n", (unsigned long long)k->run_hash);
  if (k->checkpoint) printf("saved to    %s\n", k->checkpoint);
  if (k->compile) printf("code        %s\n", compile_note(k));
  if (!has(c, OPT_QUIET)) printf("time        %.1f s\n", seconds_of(k));
  return put_reports(c, r, k, NULL) ? STATUS_GOOD : STATUS_USAGE;
}

static int train_once(const context *c, cr_recipe *r, const warnings *w) {
  cr_training *k = cr_recipe_training(r);
  outcome o[3] = {{0}};
  prepare(c, k, true);
  if (!run(k)) return STATUS_USAGE;
  if (k->problem.text[0] && k->problem.status == CR_OK && k->resume) complain("%s", k->problem.text);
  if ((!k->validation && !evaluate(k, k->train, "training", &o[0])) || !evaluate(k, k->validation, "validation", &o[1]) ||
      !evaluate(k, cr_recipe_test(r), "test", &o[2]))
    return STATUS_USAGE;
  int status = has(c, OPT_JSON) ? answer_json_line(c, r, k, o, w) : answer_text(c, r, k, o);
  return k->reason == CR_ENDED_NOT_FINITE && status == STATUS_GOOD ? STATUS_FAILED : status;
}

/* Cross-validation */

typedef struct spread {
  double sum, squares;
} spread;

static void put_spread(const char *name, spread s, int n, json_t *j) {
  double mean = s.sum / n, deviation = n > 1 ? sqrt(fmax(0, (s.squares - n * mean * mean) / (n - 1))) : 0;
  if (j)
    json_object_set_new(j, name,
                        json_pack("{s:o, s:o}", "mean", json_number_of(mean), "deviation", json_number_of(deviation)));
  else printf("%-12s%.6g, deviation %.3g over %d folds\n", name, mean, deviation, n);
}

static int train_folds(const context *c, cr_recipe *r) {
  int n = cr_recipe_folds(r), done = 0;
  spread s[1 + CR_MAX_METRICS] = {{0, 0}};
  json_t *j = has(c, OPT_JSON) ? json_object() : NULL, *folds = json_array();
  cr_training *k = NULL;
  cr_problem p = {0};
  for (; done < n && !show.interrupt; done++) {
    outcome o;
    if (!(k = cr_recipe_fold(r, done, &p))) complain("%s", p.text);
    if (!k || !set_threads(c, k)) break;
    prepare(c, k, false);
    if (!run(k) || !evaluate(k, cr_recipe_test(r), "test", &o)) break;
    json_array_append_new(folds, json_outcome(k, &o));
    for (int m = -1; m < k->n_metrics; m++) {
      double x = m < 0 ? o.loss : o.metric[m];
      s[m + 1].sum += x, s[m + 1].squares += x * x;
    }
    if (j || has(c, OPT_QUIET)) continue;
    char label[32];
    snprintf(label, sizeof label, "fold %d", done + 1);
    put_outcome(k, label, &o);
  }
  for (int m = -1; k && done == n && m < k->n_metrics; m++) put_spread(m < 0 ? "loss" : k->metric_name[m], s[m + 1], n, j);
  if (j) json_object_set(j, "folds", folds);
  json_decref(folds);
  if (done < n && show.interrupt) complain("interrupted after %d of %d folds", done, n);
  if (j && done == n) return put_json(stdout, j);
  json_decref(j);
  return done == n ? STATUS_GOOD : STATUS_USAGE;
}

static bool take_files(const context *c, const cr_recipe *r, cr_training *k) {
  static const option_id files[] = {OPT_CHECKPOINT, OPT_RESUME,    OPT_LOG,       OPT_PLOT,
                                    OPT_CONFUSION,  OPT_GRADIENTS, OPT_SATURATION};
  for (size_t i = 0; cr_recipe_folds(r) && i < sizeof files / sizeof *files; i++)
    if (has(c, files[i]))
      return complain("with folds there are many trainings, and --%s is of one", options[files[i]].name), false;
  if (given(c, OPT_CHECKPOINT)) k->checkpoint = given(c, OPT_CHECKPOINT);
  if (given(c, OPT_LOG)) k->log = given(c, OPT_LOG);
  k->resume = has(c, OPT_RESUME);
  return !k->resume || k->checkpoint || (complain("--resume needs to know from which file: --checkpoint FILE"), false);
}

static int describe_and_train(const context *c, cr_recipe *r) {
  char text[32];
  cr_training *k = cr_recipe_training(r);
  if (!take_files(c, r, k)) return STATUS_USAGE;
  warnings w = warnings_of(r, k);
  if (!has(c, OPT_JSON)) {
    printf("%s\n", cr_recipe_title(r));
    put_data_line(r, k);
    printf("network     %s parameters, %s, seed %llu\n", grouped(cr_model_size(k->model), text),
           cr_dtype_name(cr_model_dtype(k->model)), (unsigned long long)k->seed);
    for (int i = 0; i < w.n; i++) printf("warning     %s\n", w.text[i]);
  }
  catch_interrupt();
  int status = cr_recipe_folds(r) ? train_folds(c, r) : train_once(c, r, &w);
  warnings_free(&w);
  return status;
}

int verb_train(context *c) {
  if (has(c, OPT_LIST)) return put_list(c);
  cr_recipe *r = open_recipe(c);
  if (!r) return STATUS_USAGE;
  bool only_describe = has(c, OPT_FORMULA) || has(c, OPT_SUMMARY) || has(c, OPT_DIAGRAM);
  int status = only_describe ? put_description(c, r, cr_recipe_training(r)) : describe_and_train(c, r);
  cr_recipe_free(r);
  return status;
}
