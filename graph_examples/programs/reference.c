/* chainrule ops: documentation of the functions, from their declarations. */
#include <stdlib.h>
#include <string.h>

#include "command.h"

static int name_length(const cr_function *f) { return (int)strcspn(f->signature, "( |"); }

static const cr_op *row_of(const cr_function *f) {
  const cr_op_table *table = cr_standard_ops();
  for (int k = 0; k < *table->n_rows; k++) {
    const char *name = table->rows[k]->name;
    if (!strncmp(name, f->signature, (size_t)name_length(f)) && !name[name_length(f)]) return table->rows[k];
  }
  return NULL;
}

/* "a | 1/0: inf": what stands before the bar is for tests. Empty when there is nothing to say. */
static const char *kinks_of(const cr_function *f) {
  const char *s = f->kinks ? f->kinks : "", *bar = strchr(s, '|');
  s = bar ? bar + 1 : s;
  return s + strspn(s, " ");
}

/* The signature without its aliases, and the aliases. */
static void split_signature(const cr_function *f, char *signature, size_t size, const char **aliases) {
  size_t n = strcspn(f->signature, "|");
  *aliases = f->signature[n] ? f->signature + n + 1 + strspn(f->signature + n + 1, " ") : "";
  while (n && f->signature[n - 1] == ' ') n--;
  snprintf(signature, size, "%.*s", (int)n, f->signature);
}

/* An expression as LaTeX; NULL when it does not parse. To be freed with cr_buffer_free. */
static const char *latex_of(context *c, const char *text, cr_buffer *b) {
  cr_syntax_error e;
  *b = (cr_buffer){.tape = c->tape};
  cr_syntax *s = text ? cr_parse(c->tape, text, strlen(text), &e) : NULL;
  if (s) cr_latex_syntax(b, s);
  return s && !b->failed && b->text ? b->text : NULL;
}

/* One function as text */

static void put_field(const char *label, const char *text) {
  if (text && *text) printf("  %-11s %s\n", label, text);
}

static void put_latex(context *c, const char *label, const char *text) {
  cr_buffer b;
  put_field(label, latex_of(c, text, &b));
  cr_buffer_free(&b);
}

static void put_function(context *c, const cr_function *f) {
  char signature[512];
  const char *aliases;
  const cr_op *op = row_of(f);
  const cr_row *row = op ? op->row : NULL;
  split_signature(f, signature, sizeof signature, &aliases);
  printf("%s\n", signature);
  put_field("", f->doc);
  put_field("family", f->family);
  put_field("also", aliases);
  put_field("formula", f->formula);
  put_field("value", row && !f->formula ? row->value_text : NULL);
  put_field("domain", f->domain);
  put_field("derivative", f->derivative ? f->derivative : f->formula ? "follows from the formula" : NULL);
  put_field("kinks", kinks_of(f));
  if (!has(c, OPT_LATEX)) return;
  put_latex(c, "LaTeX", f->formula ? f->formula : row ? row->value_text : NULL);
  for (int k = 0; row && !f->formula && k < op->arity; k++) put_latex(c, k ? "d/db" : "d/da", row->partial_text[k]);
}

/* As JSON */

static void set_text(json_t *object, const char *key, const char *text, size_t length) {
  json_object_set_new(object, key, text && length ? json_stringn(text, length) : json_null());
}

static void set_line(json_t *object, const char *key, const char *text) {
  set_text(object, key, text, text ? strlen(text) : 0);
}

static json_t *function_json(context *c, const cr_function *f) {
  char signature[512];
  const char *aliases;
  const cr_op *op = row_of(f);
  cr_buffer b;
  json_t *object = json_object(), *list = json_array();
  split_signature(f, signature, sizeof signature, &aliases);
  set_text(object, "name", f->signature, (size_t)name_length(f));
  set_line(object, "signature", signature);
  for (size_t n; *aliases; aliases += n + strspn(aliases + n, " |")) {
    n = strcspn(aliases, " |");
    json_array_append_new(list, json_stringn(aliases, n));
  }
  json_object_set_new(object, "aliases", list);
  set_line(object, "family", f->family);
  set_line(object, "doc", f->doc);
  set_line(object, "domain", f->domain);
  set_line(object, "derivative", f->derivative);
  set_line(object, "kinks", kinks_of(f));
  set_line(object, "formula", f->formula);
  set_line(object, "latex", latex_of(c, f->formula ? f->formula : op && op->row ? op->row->value_text : NULL, &b));
  cr_buffer_free(&b);
  return object;
}

static int put_functions_json(context *c, const cr_function *only) {
  json_t *list = json_array(), *object = json_object();
  const cr_function *f;
  for (int k = 0; (f = only && k ? NULL : only ? only : cr_function_at(c->tape, k)); k++)
    if (!has(c, OPT_KINKS) || *kinks_of(f)) json_array_append_new(list, function_json(c, f));
  json_object_set_new(object, "functions", list);
  return put_json(stdout, object);
}

/* Lists */

/* The first function of the family of function k is function k itself. */
static bool begins_family(const cr_tape *t, int k, const char *family) {
  for (int i = 0; i < k; i++) {
    const char *other = cr_function_at(t, i)->family;
    if (!strcmp(other ? other : "other", family)) return false;
  }
  return true;
}

static void put_family(const cr_tape *t, const char *family) {
  const cr_function *f;
  printf("%s\n", family);
  for (int k = 0; (f = cr_function_at(t, k)); k++) {
    char signature[512];
    const char *aliases;
    if (strcmp(f->family ? f->family : "other", family)) continue;
    split_signature(f, signature, sizeof signature, &aliases);
    printf("  %s%s%s\n", signature, *aliases ? " | " : "", aliases);
  }
}

static void put_list(const cr_tape *t) {
  const cr_function *f;
  for (int k = 0; (f = cr_function_at(t, k)); k++) {
    const char *family = f->family ? f->family : "other";
    if (begins_family(t, k, family)) put_family(t, family);
  }
}

static void put_kinks(const cr_tape *t) {
  const cr_function *f;
  int width = 0;
  for (int k = 0; (f = cr_function_at(t, k)); k++)
    if (*kinks_of(f) && name_length(f) > width) width = name_length(f);
  for (int k = 0; (f = cr_function_at(t, k)); k++)
    if (*kinks_of(f)) printf("%-*.*s  %s\n", width, name_length(f), f->signature, kinks_of(f));
}

/* A last resort for names that are not there: functions that have it as a part. */
static int complain_name(const cr_tape *t, const char *name) {
  char text[400] = "";
  size_t n = 0;
  const cr_function *f;
  for (int k = 0; (f = cr_function_at(t, k)) && n + 80 < sizeof text; k++)
    if (strstr(f->signature, name) && strstr(f->signature, name) < f->signature + name_length(f))
      n += (size_t)snprintf(text + n, sizeof text - n, "%s%.*s", n ? ", " : "", name_length(f) < 60 ? name_length(f) : 60,
                            f->signature);
  return n ? complain("no function '%s'; did you mean %s?", name, text)
           : complain("no function '%s': chainrule ops lists them", name);
}

int verb_ops(context *c) {
  if (c->n_arguments > 1) return complain("ops takes one name at most");
  if (c->n_assignments) return complain("ops takes no NAME=VALUE");
  if (!open_program(c)) return STATUS_USAGE;
  const char *name = c->n_arguments ? c->argument[0] : NULL;
  const cr_function *f = name ? cr_function_named(c->tape, name) : NULL;
  if (name && !f) return complain_name(c->tape, name);
  if (has(c, OPT_JSON)) return put_functions_json(c, f);
  if (f && has(c, OPT_KINKS))
    printf("%s\n", *kinks_of(f) ? kinks_of(f) : "none");
  else if (f)
    put_function(c, f);
  else if (has(c, OPT_KINKS))
    put_kinks(c->tape);
  else
    put_list(c->tape);
  return STATUS_GOOD;
}
