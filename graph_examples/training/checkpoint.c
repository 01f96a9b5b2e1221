/* Checkpoints: all that a training needs to go on as if it had never stopped, in one file; the file before it is kept beside
 * it. */
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "training_state.h"

static const char format_name[] = "chainrule training 1";

static char *beside(const char *path, const char *ending) {
  size_t n = strlen(path) + strlen(ending) + 1;
  char *name = malloc(n);
  if (name) snprintf(name, n, "%s%s", path, ending);
  return name;
}

/* Writing */

/* Where training stands: the fields of the note "position". */
typedef struct field {
  const char *key;
  int64_t *whole;          /* or */
  double *real;
} field;
enum { N_FIELDS = 11 };

static void fields_of(cr_training *k, field *f) {
  struct cr_training_state *s = k->state;
  const field all[N_FIELDS] = {{"epoch", &k->epoch, NULL},          {"step", &k->step, NULL},
                               {"position", &s->position, NULL},    {"seen", &s->seen, NULL},
                               {"waited", &s->waited, NULL},        {"best_epoch", &k->best_epoch, NULL},
                               {"best_loss", NULL, &k->best_loss},  {"loss_sum", NULL, &s->loss_sum},
                               {"norm_sum", NULL, &s->norm_sum},    {"epoch_loss", NULL, &k->epoch_loss},
                               {"seconds", NULL, &s->seconds_before}};
  memcpy(f, all, sizeof all);
}

/* What must be as it was for the same steps to follow. */
static const char *const setting[] = {"examples", "batch", "seed", "in_order", "drop_last"};
enum { N_SETTINGS = sizeof setting / sizeof *setting };

static void settings_of(const cr_training *k, int64_t *value) {
  const int64_t now[N_SETTINGS] = {cr_dataset_size(k->train), cr__batch_size(k, k->train), (int64_t)k->seed,
                                   k->in_order != 0, k->drop_last != 0};
  memcpy(value, now, sizeof now);
}

static char *position_text(const cr_training *k) {
  cr_training copy = *k;
  struct cr_training_state state = *k->state;
  field f[N_FIELDS];
  int64_t value[N_SETTINGS];
  json_t *j = json_object();
  copy.state = &state;
  state.seconds_before = cr__seconds(k);
  fields_of(&copy, f);
  settings_of(k, value);
  for (int i = 0; i < N_FIELDS; i++) {
    json_object_set_new(j, f[i].key,
                        f[i].whole             ? json_integer(*f[i].whole)
                        : isfinite(*f[i].real) ? json_real(*f[i].real)
                                               : json_null());
  }
  for (int i = 0; i < N_SETTINGS; i++) json_object_set_new(j, setting[i], json_integer(value[i]));
  char *text = json_object_size(j) == N_FIELDS + N_SETTINGS ? json_dumps(j, JSON_REAL_PRECISION(17)) : NULL;
  json_decref(j);
  return text;
}

static cr_status add_history(const cr_training *k, cr_archive *a, cr_problem *p) {
  cr_array h = {0};
  int64_t dims[] = {k->n_history, CR__EPOCH_COLUMNS + k->n_metrics};
  if (!k->n_history) return CR_OK;
  cr_status status = cr_array_make(&h, CR_FLOAT64, 2, dims, p);
  for (int64_t i = 0; status == CR_OK && i < dims[0]; i++) {
    double row[CR__EPOCH_COLUMNS + CR_MAX_METRICS];
    cr__epoch_numbers(&k->history[i], row);
    memcpy((double *)h.data + i * dims[1], row, (size_t)dims[1] * sizeof *row);
  }
  if (status == CR_OK) status = cr_archive_add(a, "history", &h, p);
  cr_array_release(&h);
  return status;
}

static cr_status add_under(cr_archive *a, const char *folder, const cr_archive *from, cr_problem *p) {
  cr_status status = CR_OK;
  for (int i = 0; i < from->n && status == CR_OK; i++) {
    char *name = beside(folder, from->entry[i].name);
    status =
        name ? cr_archive_add(a, name, &from->entry[i].array, p) : cr_refuse(p, CR_NO_MEMORY, "no memory for a checkpoint");
    free(name);
  }
  return status;
}

static cr_status fill(const cr_training *k, cr_archive *a, cr_problem *p) {
  const struct cr_training_state *s = k->state;
  char *position = position_text(k);
  cr_status status =
      position ? cr_archive_note(a, "position", position, p) : cr_refuse(p, CR_NO_MEMORY, "no memory for a checkpoint");
  free(position);
  if (status == CR_OK) status = cr_archive_note(a, "format", format_name, p);
  if (status == CR_OK) status = cr_model_save(k->model, a, p);
  if (status == CR_OK && s->resume_from.n) status = add_under(a, "last/", &s->resume_from, p);
  else if (status == CR_OK) status = add_under(a, "best/", &s->best, p);
  if (status == CR_OK) status = cr_optimizer_save(k->optimizer, k->model, a, p);
  if (status == CR_OK && k->schedule) status = cr_schedule_save(k->schedule, a, p);
  return status == CR_OK ? add_history(k, a, p) : status;
}

static int is_file(const char *path) {
  struct stat about;
  return !stat(path, &about) && S_ISREG(about.st_mode);
}

cr_status cr__checkpoint_possible(cr_training *k) {
  struct stat about;
  char *folder = beside(k->checkpoint, ""), *slash = folder ? strrchr(folder, '/') : NULL;
  if (!folder) return cr_refuse(&k->problem, CR_NO_MEMORY, "no memory for a checkpoint");
  if (slash) slash[1] = 0;
  int there = !stat(k->checkpoint, &about), fails = !there && access(slash ? folder : ".", W_OK | X_OK);
  if (there && S_ISDIR(about.st_mode)) fails = 1, errno = EISDIR;
  free(folder);
  if (!fails) return CR_OK;
  return cr_refuse(&k->problem, CR_BAD_ARGUMENT, "%s: cannot be written: %s", k->checkpoint, strerror(errno));
}

/* Makes FILE.previous a second name of FILE, which stays until the new one is renamed onto it. Without hard links FILE
 * becomes FILE.previous, so that one of the two is there at any time. */
static cr_status keep_previous(const char *path, cr_problem *p) {
  char *previous = beside(path, ".previous"), *link_name = beside(path, ".link");
  int failed = !previous || !link_name;
  if (!failed && is_file(path)) {
    unlink(link_name);
    failed = (link(path, link_name) || rename(link_name, previous)) && rename(path, previous);
    unlink(link_name); /* it is still there where both names were one file already */
  }
  if (failed) cr_refuse(p, CR_BAD_ARGUMENT, "%s: the previous checkpoint cannot be kept: %s", path, strerror(errno));
  free(previous);
  free(link_name);
  return failed ? CR_BAD_ARGUMENT : CR_OK;
}

cr_status cr_checkpoint_write(const cr_training *k, const char *path, cr_problem *p) {
  cr_archive a = {0};
  if (!k->state) return cr_refuse(p, CR_BAD_ARGUMENT, "%s: no training to save", path);
  cr_status status = fill(k, &a, p);
  if (status == CR_OK && !k->state->distrust) status = keep_previous(path, p);
  if (status == CR_OK) status = cr_write_safetensors(&a, path, p);
  if (status == CR_OK) k->state->distrust = 0;
  cr_archive_free(&a);
  return status;
}

cr_status cr__checkpoint_due(cr_training *k, int epoch_ended) {
  if (!k->checkpoint || (k->checkpoint_every ? k->step % k->checkpoint_every != 0 : !epoch_ended)) return CR_OK;
  return cr_checkpoint_write(k, k->checkpoint, &k->problem);
}

/* Reading */

/* The file as an archive, whole and unaltered. */
static cr_status read_whole(cr_archive *a, const char *path, cr_problem *p) {
  cr_status status = cr_read_safetensors(a, path, p);
  if (status) return status;
  const char *format = cr_archive_text(a, "format");
  if (!format || strcmp(format, format_name))
    status = cr_refuse(p, CR_BAD_ARGUMENT, "%s: no checkpoint of a training", path);
  else if (!cr_archive_text(a, "checksum"))
    status = cr_refuse(p, CR_MISMATCH, "%s: the checksum is gone: the file was altered", path);
  if (status) {
    cr_archive_free(a);
    *a = (cr_archive){0};
  }
  return status;
}

static int is_parameter(const char *name) {
  return !strchr(name, '/') && strcmp(name, "history") && strcmp(name, "schedule");
}

/* The entries of a folder under their names in it, not copied; folder "": the parameters outside of any. */
static cr_status in_folder(cr_archive *view, const cr_archive *a, const char *folder, cr_problem *p) {
  size_t length = strlen(folder);
  *view = (cr_archive){.entry = calloc((size_t)a->n + 1, sizeof *a->entry)};
  if (!view->entry) return cr_refuse(p, CR_NO_MEMORY, "no memory for a checkpoint");
  for (int i = 0; i < a->n; i++) {
    char *name = a->entry[i].name;
    if (strncmp(name, folder, length) || !is_parameter(name + length)) continue;
    view->entry[view->n++] = (cr_entry){name + length, a->entry[i].array};
  }
  return CR_OK;
}

static cr_status copy_folder(cr_archive *copy, const cr_archive *a, const char *folder, cr_problem *p) {
  cr_archive view;
  cr_status status = in_folder(&view, a, folder, p);
  for (int i = 0; status == CR_OK && i < view.n; i++)
    status = cr_archive_add(copy, view.entry[i].name, &view.entry[i].array, p);
  free(view.entry);
  return status;
}

static cr_status load_model(cr_training *k, const cr_archive *a, const char *folder, cr_problem *p) {
  cr_archive view;
  cr_status status = in_folder(&view, a, folder, p);
  if (status == CR_OK) status = cr_model_load(k->model, &view, p);
  free(view.entry);
  return status;
}

static cr_status read_fields(cr_training *k, const json_t *j, cr_problem *p) {
  field f[N_FIELDS];
  int64_t value[N_SETTINGS];
  fields_of(k, f);
  settings_of(k, value);
  for (int i = 0; i < N_FIELDS; i++) {
    const json_t *x = json_object_get(j, f[i].key);
    if (f[i].whole ? !json_is_integer(x) || json_integer_value(x) < 0 : !json_is_real(x) && !json_is_null(x)) {
      return cr_refuse(p, CR_BAD_SYNTAX, "its position lacks '%s'", f[i].key);
    }
    if (f[i].whole) *f[i].whole = json_integer_value(x);
    else *f[i].real = json_is_real(x) ? json_real_value(x) : (double)NAN;
  }
  for (int i = 0; i < N_SETTINGS; i++) {
    int64_t was = json_integer_value(json_object_get(j, setting[i]));
    if (was != value[i]) {
      return cr_refuse(p, CR_MISMATCH, "%s was %lld and is %lld now: the same steps would not follow", setting[i],
                       (long long)was, (long long)value[i]);
    }
  }
  if (k->state->position >= k->steps_per_epoch)
    return cr_refuse(p, CR_BAD_INDEX, "its position is past the end of an epoch");
  return CR_OK;
}

static cr_status read_position(cr_training *k, const char *text, cr_problem *p) {
  json_t *j = json_loads(text ? text : "", 0, NULL);
  cr_status status = read_fields(k, j, p);
  json_decref(j);
  return status;
}

static cr_status read_history(cr_training *k, const cr_array *h, cr_problem *p) {
  if (!h) return CR_OK;
  if (h->rank != 2 || h->dtype != CR_FLOAT64 || h->dim[1] < CR__EPOCH_COLUMNS ||
      h->dim[1] > CR__EPOCH_COLUMNS + CR_MAX_METRICS) {
    return cr_refuse(p, CR_BAD_SHAPE, "its history has an impossible shape");
  }
  k->history = calloc((size_t)h->dim[0] + 1, sizeof *k->history);
  if (!k->history) return cr_refuse(p, CR_NO_MEMORY, "no memory for the history");
  k->n_history = h->dim[0];
  for (int64_t i = 0; i < k->n_history; i++) {
    cr__epoch_from(&k->history[i], (const double *)h->data + i * h->dim[1], (int)h->dim[1] - CR__EPOCH_COLUMNS);
  }
  return CR_OK;
}

static int has_folder(const cr_archive *a, const char *folder) {
  for (int i = 0; i < a->n; i++)
    if (strncmp(a->entry[i].name, folder, strlen(folder)) == 0) return 1;
  return 0;
}

/* Everything but the model: to go on from. */
static cr_status restore(cr_training *k, const cr_archive *a, cr_problem *p) {
  cr_status status = read_position(k, cr_archive_text(a, "position"), p);
  if (status == CR_OK) status = read_history(k, cr_archive_find(a, "history"), p);
  if (status == CR_OK && k->step) status = cr_optimizer_load(k->optimizer, k->model, a, p);
  if (status == CR_OK && k->schedule) status = cr_schedule_load(k->schedule, a, p);
  if (status == CR_OK) status = copy_folder(&k->state->best, a, has_folder(a, "last/") ? "" : "best/", p);
  if (status == CR_OK && has_folder(a, "last/")) status = load_model(k, a, "last/", p);
  return status;
}

/* Reads FILE, or FILE.previous where FILE cannot be read; *notice says so. */
static cr_status read_either(cr_archive *a, const char *path, char **name, cr_problem *notice, cr_problem *p) {
  cr_problem first = {0}, second = {0};
  *name = beside(path, "");
  if (!*name) return cr_refuse(p, CR_NO_MEMORY, "no memory for a checkpoint");
  if (read_whole(a, path, &first) == CR_OK) return CR_OK;
  free(*name);
  *name = beside(path, ".previous");
  if (!*name) return cr_refuse(p, CR_NO_MEMORY, "no memory for a checkpoint");
  if (read_whole(a, *name, &second) == CR_OK) {
    const char *last = strrchr(*name, '/');
    snprintf(notice->text, sizeof notice->text, "%.300s; the checkpoint before it is used, %.150s", first.text,
             last ? last + 1 : *name);
    return CR_OK;
  }
  return access(*name, F_OK) ? cr_refuse(p, first.status, "%s", first.text)
                             : cr_refuse(p, first.status, "%.250s; and %.250s", first.text, second.text);
}

static cr_status read_checkpoint(cr_training *k, const char *path, int resume, cr_problem *notice, cr_problem *p) {
  cr_archive a = {0};
  cr_problem why = {0};
  char *name = NULL;
  cr_status status = read_either(&a, path, &name, notice, p);
  if (status == CR_OK) status = load_model(k, &a, "", &why);
  if (status == CR_OK && resume) status = restore(k, &a, &why);
  if (why.status) cr_refuse(p, why.status, "%s: %s", name, why.text);
  cr_archive_free(&a);
  free(name);
  return status;
}

cr_status cr_checkpoint_read(cr_training *k, const char *path, cr_problem *p) {
  cr_problem notice = {0}, unwanted;
  if (!p) p = &unwanted;
  *p = (cr_problem){0};
  cr_status status = cr_model_count(k->model) ? CR_OK : cr__hooks(k).initialise(k);
  if (status) return cr_refuse(p, status, "%s: the first pass: %s", path, k->problem.text);
  status = read_checkpoint(k, path, 0, &notice, p);
  if (status == CR_OK) *p = notice;
  return status;
}

cr_status cr__checkpoint_resume(cr_training *k) {
  char *previous = beside(k->checkpoint, ".previous");
  if (!previous) return cr_refuse(&k->problem, CR_NO_MEMORY, "no memory for a checkpoint");
  int none = access(k->checkpoint, F_OK) && access(previous, F_OK);
  free(previous);
  if (none) return CR_OK;
  cr_problem notice = {0};
  cr_status status = read_checkpoint(k, k->checkpoint, 1, &notice, &k->problem);
  if (status == CR_OK) {
    k->problem = notice;
    k->state->distrust = notice.text[0] != 0;
  }
  return status;
}
