/* What a recipe sets: its own settings, the options of train, and what the command line puts in their place. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "recipe.h"

static const char *const train_signature = "train(epochs=20, batch=None, seed=1, validation=0, patience=0, min_delta=0, "
                                           "standardize=False, folds=0, seconds=None, target_loss=None, "
                                           "gradient=None, clip_norm=None, clip_value=None, dtype='float32', "
                                           "initializer=None, checkpoint=None, checkpoint_every=None, "
                                           "drop_last=False, shuffle=True, keep_last=False, decay_all=False, log=None, "
                                           "capture=True, compile=False)";

/* Settings */

/* The name of "  hidden = 128" and where its value begins; NULL where it is no such thing. */
static const char *split_setting(const char *text, char *name, size_t size) {
  text += strspn(text, " \t");
  size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789");
  const char *equals = text + n + strspn(text + n, " \t");
  if (!n || n >= size || *equals != '=' || equals[1] == '=') return NULL;
  snprintf(name, size, "%.*s", (int)n, text);
  return equals + 1 + strspn(equals + 1, " \t");
}

/* A value from outside: as it is, but a text needs no quotes where the recipe's own value is one. */
static char *outside_value(const char *own, const char *value) {
  if (!strchr("'\"", *own) || strchr("'\"", *value)) return cr__text("%s", value);
  char *text = malloc(2 * strlen(value) + 3), *to = text;
  if (!text) return NULL;
  *to++ = '\'';
  for (; *value; *to++ = *value++)
    if (strchr("\\'", *value)) *to++ = '\\';
  *to++ = '\'', *to = 0;
  return text;
}

/* "m = 2*n" with the number in place of what it is computed from, so that it may stand where a size must be known. */
static char *with_number(cr_recipe *r, const char *name, char *line) {
  char number[32];
  cr_var v = cr_program_value(r->names, name);
  if (cr_is_poison(v)) return cr_clear_error(r->settings), line; /* a text, or several */
  cr_array a = cr_view(v);
  if (a.rank || a.dtype == CR_BOOL) return line;
  free(line);
  return cr__text("%s = %s", name, cr_number_text(cr_array_get(&a, 0), 0, number));
}

/* Runs "name = value" for the calls of later statements, and keeps it as a line for net and loss. */
static cr_status add_setting(cr_recipe *r, const cr__statement *st, const char *name, const char *value, const char *outside,
                             cr_problem *p) {
  char *given = outside ? outside_value(value, outside) : cr__own_call(r, value);
  char *line = given ? cr__text("%s = %s", name, given) : NULL;
  for (char *c = line; c && *c; c++)
    if (*c == '\n') *c = ' '; /* one line a setting: columns of net and loss stay */
  cr_status status = line ? CR_OK : cr_refuse(p, CR_NO_MEMORY, "%s: out of memory", r->file);
  if (status == CR_OK && cr_program_run(r->names, line, strlen(line), NULL, NULL) != CR_OK) {
    const char *why = cr_error_text(r->settings), *behind = strstr(why, ": ");
    status = outside ? cr_refuse(p, cr_error(r->settings), "--set %s=%s: %s", name, outside, behind ? behind + 2 : why)
                     : cr__refuse_at(&r->say, st, 0, cr_error(r->settings), why, p);
  }
  if (status == CR_OK) line = with_number(r, name, line);
  char *all = line ? cr__text("%s%s\n", r->set_text ? r->set_text : "", line) : NULL;
  if (status == CR_OK && !all) status = cr_refuse(p, CR_NO_MEMORY, "%s: out of memory", r->file);
  free(given);
  free(line);
  free(r->set_text);
  r->set_text = all;
  r->set_lines++;
  return status;
}

static bool is_train_option(const cr_setting *s) { return !strncmp(s->name, "train.", 6); }

static cr_status unknown_setting(const cr_recipe *r, const cr_setting *s, cr_problem *p) {
  char all[300] = "", name[64];
  for (int k = 0; k < r->say.n; k++)
    if (r->say.statement[k].keyword == CR__SET && split_setting(r->say.statement[k].text, name, sizeof name) &&
        strlen(all) < 200)
      strcat(strcat(all, *all ? ", " : ""), name);
  return cr_refuse(p, CR_UNKNOWN_NAME, "%s has no setting '%.60s'%s%s", r->file, s->name, *all ? "; it has " : "", all);
}

/* By the input, the target and the prediction, or by an earlier setting. */
static bool is_taken(const cr_recipe *r, const char *name) {
  const char *known;
  for (int k = 0; (known = cr_program_name(r->names, k)); k++)
    if (!strcmp(known, name)) return true;
  return !strcmp(name, "x") || !strcmp(name, "y") || !strcmp(name, "prediction");
}

cr_status cr__read_settings(cr_recipe *r, int n, const cr_setting *outside, cr_problem *p) {
  cr_status status = CR_OK;
  char name[64];
  for (int j = 0; j < n; j++) {
    bool found = is_train_option(&outside[j]);
    for (int k = 0; !found && k < r->say.n; k++)
      found = r->say.statement[k].keyword == CR__SET && split_setting(r->say.statement[k].text, name, sizeof name) &&
              !strcmp(name, outside[j].name);
    if (!found) return unknown_setting(r, &outside[j], p);
  }
  for (int k = 0; status == CR_OK && k < r->say.n; k++) {
    const cr__statement *st = &r->say.statement[k];
    if (st->keyword != CR__SET) continue;
    const char *own = split_setting(st->text, name, sizeof name), *given = NULL;
    if (!own || !*own) return cr__refuse_at(&r->say, st, 0, CR_BAD_SYNTAX, "set is followed by NAME = VALUE", p);
    if (is_taken(r, name)) return cr__refuse_at(&r->say, st, 0, CR_BAD_SYNTAX, "set: that name has a meaning already", p);
    for (int j = 0; j < n; j++)
      if (!strcmp(outside[j].name, name)) given = outside[j].value;
    status = add_setting(r, st, name, own, given, p);
  }
  return status;
}

/* Calls */

static bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c >= '0' && c <= '9');
}

static bool mentions(const char *text, const char *word) {
  size_t n = strlen(word);
  for (const char *at = text; (at = strstr(at, word)); at += n)
    if ((at == text || !is_letter(at[-1])) && !is_letter(at[n])) return true;
  return false;
}

cr_status cr__name_classes(cr_recipe *r, cr_problem *p) {
  const cr__statement *net = cr__said(&r->say, CR__NET);
  char number[32];
  if (!cr_is_poison(cr_program_value(r->names, "classes"))) return CR_OK;
  if (!r->train.n_classes && net && mentions(net->text, "classes"))
    return cr__refuse_at(&r->say, net, 0, CR_UNKNOWN_NAME,
                         "classes is not known, for the targets are no classes: classes=True in the data statement makes "
                         "classes of whole numbers", p);
  snprintf(number, sizeof number, "%d", r->train.n_classes);
  return add_setting(r, NULL, "classes", number, NULL, p);
}

/* The quoted text, or list of such, that a setting has, NULL where the word is none or its value is no text; n: bytes of
 * either. */
static const char *text_of(const cr_recipe *r, const char *word, size_t *n) {
  for (const char *line = r->set_text; line && *line; line += strcspn(line, "\n") + 1) {
    const char *value = line + *n + 3;
    if (strncmp(line, word, *n) || strncmp(line + *n, " = ", 3)) continue;
    if (strchr("'\"", value[*value == '[' ? 1 + strspn(value + 1, " ") : 0])) return *n = strcspn(value, "\n"), value;
  }
  return NULL;
}

char *cr__own_call(const cr_recipe *r, const char *text) {
  char *call = cr__text("%s", "");
  text += strspn(text, " \t\n");
  for (char quote = 0; *text && call;) {
    size_t n = 0, length = 1;
    while (!quote && is_letter(text[n])) n++;
    const char *after = text + n + strspn(text + n, " \t\n"), *from = text;
    if (n) length = n;
    if (n && *after != '(' && (*after != '=' || after[1] == '=')) from = text_of(r, text, &length);
    if (!from) from = text;
    if (!n && quote && *text == '\\' && text[1]) length = 2;
    else if (!n && quote) quote = *text == quote ? 0 : quote;
    else if (!n && strchr("'\"", *text)) quote = *text;
    char *longer = cr__text("%s%.*s", call, (int)length, from);
    free(call);
    call = longer;
    text += n ? n : length;
  }
  return call;
}

char *cr__whole_call(const cr_recipe *r, const char *text) {
  char *call = cr__own_call(r, text), *to = call;
  size_t n = call ? strlen(call) : 0;
  if (n < 2 || !strchr("'\"", *call) || call[n - 1] != *call) return call;
  for (const char *from = call + 1; from < call + n - 1; *to++ = *from++)
    if (*from == '\\' && from[1]) from++;
  *to = 0;
  return call;
}

cr_status cr__bind(cr_recipe *r, const cr__statement *st, const char *call, const char *signature, cr_arguments *out,
                   cr_problem *p) {
  cr_problem why = {0};
  char *text = cr__own_call(r, call);
  cr_status status =
      text ? cr_arguments_read(out, text, signature, r->names, &why) : cr_refuse(&why, CR_NO_MEMORY, "out of memory");
  free(text);
  if (status == CR_OK) return CR_OK;
  return st ? cr__refuse_at(&r->say, st, 0, why.status, why.text, p) : cr_refuse(p, why.status, "%s", why.text);
}

const cr_argument *cr__train_option(const cr_recipe *r, const char *name) {
  const cr_argument *a = cr_argument_of(&r->outside_options, name);
  return a->given ? a : cr_argument_of(&r->train_options, name);
}

double cr__train_number(const cr_recipe *r, const char *name, double if_none) {
  const cr_argument *a = cr__train_option(r, name);
  return a->kind == CR_ARGUMENT_NUMBER ? a->number : if_none;
}

const char *cr__train_text(const cr_recipe *r, const char *name) {
  const cr_argument *a = cr__train_option(r, name);
  return a->kind == CR_ARGUMENT_TEXT ? a->text : NULL;
}

static cr_status check_initializer(const cr_recipe *r, const char *call, cr_problem *p) {
  char name[64];
  cr_problem why = {0};
  size_t n = strcspn(call, " (");
  for (int k = 0; cr_initializer_doc(k); k++)
    if (strcspn(cr_initializer_doc(k), "(:") == n && !strncmp(cr_initializer_doc(k), call, n)) return CR_OK;
  snprintf(name, sizeof name, "%.*s", n < sizeof name ? (int)n : (int)sizeof name - 1, call);
  cr_refuse_name(&why, "initialiser", name, cr_initializer_doc);
  return cr__refuse_at(&r->say, cr__said(&r->say, CR__TRAIN), 0, why.status, why.text, p);
}

static cr_status check_train(cr_recipe *r, cr_problem *p) {
  static const struct {
    const char *name;
    double low, high;
    bool whole;
  } range[] = {{"epochs", 1, 1e9, true},        {"batch", 1, 1e9, true},
               {"seed", 0, 9e15, true},         {"validation", 0, 0.99, false},
               {"patience", 0, 1e9, true},      {"folds", 0, 1e6, true},
               {"seconds", 0, 1e9, false},      {"clip_norm", 0, 1e300, false},
               {"clip_value", 0, 1e300, false}, {"checkpoint_every", 1, 1e12, true},
               {"min_delta", 0, 1e300, false},  {"gradient", 0, 1e300, false}};
  static const char *const texts[] = {"dtype", "initializer", "checkpoint", "log"};
  const cr__statement *st = cr__said(&r->say, CR__TRAIN);
  for (int k = 0; k < r->train_options.n; k++) {
    const char *name = r->train_options.argument[k].name;
    const cr_argument *a = cr__train_option(r, name);
    char why[300] = "";
    bool is_text = false;
    for (size_t j = 0; j < sizeof texts / sizeof *texts; j++) is_text = is_text || !strcmp(texts[j], name);
    if (!strcmp(name, "batch") && a->kind == CR_ARGUMENT_TEXT && !strcmp(a->text, "all")) continue;
    if (a->kind == CR_ARGUMENT_NONE) continue;
    if (a->kind != (is_text ? CR_ARGUMENT_TEXT : CR_ARGUMENT_NUMBER))
      snprintf(why, sizeof why, "train: %s is a %s", name, is_text ? "text, in quotes" : "number");
    for (size_t j = 0; !*why && j < sizeof range / sizeof *range; j++)
      if (!strcmp(range[j].name, name) &&
          !(a->number >= range[j].low && a->number <= range[j].high && (!range[j].whole || a->number == floor(a->number))))
        snprintf(why, sizeof why, "train: %s is a %snumber from %g to %g, not %g", name, range[j].whole ? "whole " : "",
                 range[j].low, range[j].high, a->number);
    if (*why && cr_argument_of(&r->outside_options, name)->given) return cr_refuse(p, CR_BAD_ARGUMENT, "%s", why);
    if (*why) return cr__refuse_at(&r->say, st, 0, CR_BAD_ARGUMENT, why, p);
  }
  const char *initializer = cr__train_text(r, "initializer");
  cr_status status = initializer ? check_initializer(r, initializer, p) : CR_OK;
  if (status != CR_OK) return status;
  int dtype = cr_dtype_of_name(cr__train_text(r, "dtype") ? cr__train_text(r, "dtype") : "float32");
  if (dtype < CR_FLOAT32) return cr__refuse_at(&r->say, st, 0, CR_BAD_ARGUMENT, "train: dtype is 'float32' or 'float64'", p);
  r->dtype = (cr_dtype)dtype;
  r->seed = (uint64_t)cr__train_number(r, "seed", 1);
  r->folds = (int)cr__train_number(r, "folds", 0);
  return CR_OK;
}

/* Options of train from outside replace those of the statement. */
cr_status cr__read_train(cr_recipe *r, int n, const cr_setting *outside, cr_problem *p) {
  const cr__statement *st = cr__said(&r->say, CR__TRAIN);
  const char *said = st ? st->text + strspn(st->text, " \t") : "";
  char *call = cr__text(*said == '(' ? "train%s" : "train(%s)", said), *given = cr__text("train(");
  for (int j = 0; given && j < n; j++) {
    if (!is_train_option(&outside[j])) continue;
    char *more = cr__text("%s%s%s=%s", given, given[6] ? ", " : "", outside[j].name + 6, outside[j].value);
    free(given);
    given = more;
  }
  char *closed = given ? cr__text("%s)", given) : NULL;
  cr_status status = call && closed ? CR_OK : cr_refuse(p, CR_NO_MEMORY, "%s: out of memory", r->file);
  if (status == CR_OK) status = cr__bind(r, st, call, train_signature, &r->train_options, p);
  if (status == CR_OK) status = cr__bind(r, NULL, closed, train_signature, &r->outside_options, p);
  free(call);
  free(given);
  free(closed);
  return status == CR_OK ? check_train(r, p) : status;
}
