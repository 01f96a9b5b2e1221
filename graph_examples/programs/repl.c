/* chainrule repl: a session in which names keep their values. */
#include <cr_config.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"

#if CR_HAVE_EDIT
#include <editline/readline.h>
#endif

static const char *const help_text =
  "EXPR               its value\n"
  "NAME = EXPR        gives a name a value; f(u) = EXPR defines a function\n"
  ":grad NAME EXPR    the derivative of EXPR (of its sum, for a tensor) with respect to NAME\n"
  ":names             the names and their values\n"
  ":help              this text\n"
  ":quit              the end; so does the end of the input\n";

/* The next line without its newline, to be freed; NULL at the end. */
static char *next_line(bool terminal) {
#if CR_HAVE_EDIT
  if (terminal) {
    char *line = readline("> ");
    if (line && *line) add_history(line);
    return line;
  }
#else
  if (terminal) fputs("> ", stdout), fflush(stdout);
#endif
  char *line = NULL;
  size_t capacity = 0;
  ssize_t n = getline(&line, &capacity, stdin);
  if (n < 0) {
    free(line);
    return NULL;
  }
  if (n && line[n - 1] == '\n') line[--n] = 0;
  if (strlen(line) != (size_t)n) line[strlen(line)] = 1; /* a zero byte is an error, not an end */
  return line;
}

static int put_values(const context *c, const cr_results *results, int digits) {
  if (!has(c, OPT_JSON)) {
    for (int k = 0; k < results->n; k++) put_var(stdout, "", 0, results->value[k], digits, has(c, OPT_FULL));
    return STATUS_GOOD;
  }
  if (!results->n) return STATUS_GOOD;
  json_t *list = json_array();
  for (int k = 0; k < results->n; k++) json_array_append_new(list, json_var(results->value[k]));
  return put_json(stdout, json_pack("{s:o}", "value", list));
}

static bool run_text(context *c, const char *text, cr_results *results) {
  cr_syntax_error where;
  char shown[2048];
  size_t length = strlen(text);
  if (cr_program_run(c->program, text, length, results, &where) == CR_OK) return true;
  if (where.status == CR_OK)
    complain("%s", cr_error_text(c->tape));
  else
    complain("%s", cr_syntax_error_text(&where, text, length, shown, sizeof shown));
  return false;
}

static int put_gradient(context *c, char *text, int digits) {
  char *name = text + strspn(text, " \t"), *expr = name + strcspn(name, " \t");
  if (!*expr) return complain(":grad takes a name and an expression");
  *expr++ = 0;
  cr_var x = cr_program_value(c->program, name), gradient[CR_MAX_RESULTS];
  cr_results results;
  if (cr_is_poison(x)) return complain("there is no '%s': give it a value first, as in %s = 2", name, name);
  if (!run_text(c, expr, &results)) return STATUS_USAGE;
  cr_results out = {.n = results.n};
  for (int k = 0; k < results.n; k++)
    if (cr_grad(results.value[k], 1, &x, &gradient[k]) != CR_OK) return complain("%s", cr_error_text(c->tape));
  memcpy(out.value, gradient, (size_t)results.n * sizeof *gradient);
  return put_values(c, &out, digits);
}

static void put_names(context *c, int digits) {
  const char *name;
  for (int k = 0; (name = cr_program_name(c->program, k)); k++) {
    cr_var v = cr_program_value(c->program, name);
    if (!cr_is_poison(v)) put_var(stdout, name, 0, v, digits, false);
    cr_clear_error(c->tape);
  }
}

static bool command_is(const char *line, const char *name) {
  size_t n = strlen(name);
  return !strncmp(line, name, n) && (!line[n] || line[n] == ' ' || line[n] == '\t');
}

/* False when the session is to end. */
static bool obey(context *c, char *line, int digits, int *status) {
  cr_results results;
  if (command_is(line, ":quit") || command_is(line, ":q")) return false;
  if (command_is(line, ":help"))
    fputs(help_text, stdout);
  else if (command_is(line, ":names"))
    put_names(c, digits);
  else if (command_is(line, ":grad"))
    *status |= put_gradient(c, line + 5, digits);
  else if (*line == ':')
    *status |= complain("no command %s: :help lists them", line);
  else
    *status |= run_text(c, line, &results) ? put_values(c, &results, digits) : STATUS_USAGE;
  cr_clear_error(c->tape);
  return true;
}

int verb_repl(context *c) {
  long digits;
  int status = STATUS_GOOD;
  if (!whole_given(c, OPT_DIGITS, 1, 17, 10, &digits)) return STATUS_USAGE;
  if (c->n_arguments) return complain("repl takes no expression; NAME=VALUE gives names their values");
  if (!open_program(c)) return STATUS_USAGE;
  bool terminal = isatty(fileno(stdin)) && isatty(fileno(stdout));
  if (terminal) puts("chainrule: :help lists the commands, :quit ends");
  char *line;
  for (bool more = true; more && (line = next_line(terminal));) {
    char *start = line + strspn(line, " \t\r");
    more = !*start || obey(c, start, (int)digits, &status);
    free(line);
    if (fflush(stdout)) break;
  }
  if (ferror(stdin)) return complain("cannot read standard input: %s", strerror(errno));
  return terminal ? STATUS_GOOD : status;
}
