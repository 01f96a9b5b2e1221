/* The chainrule command: arguments into a context, the verb, the exit status. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"

/* NAME=VALUE, but not NAME==VALUE, which compares. */
static bool is_assignment(const char *s) {
  size_t n = 0;
  while (s[n] == '_' || (s[n] >= 'a' && s[n] <= 'z') || (s[n] >= 'A' && s[n] <= 'Z') || (unsigned char)s[n] >= 0x80 ||
         (n && s[n] >= '0' && s[n] <= '9'))
    n++;
  return n && s[n] == '=' && s[n + 1] != '=';
}

/* --name, --name=value or --name value; *k moves over the value. */
static bool read_option(context *c, int argc, char **argv, int *k) {
  const char *name = argv[*k] + 2, *equals = strchr(name, '=');
  size_t length = equals ? (size_t)(equals - name) : strlen(name);
  int id = 0;
  if (!strcmp(argv[*k], "-h")) name = "help", length = 4, equals = NULL;
  while (id < N_OPTIONS && (strncmp(options[id].name, name, length) || options[id].name[length])) id++;
  if (id == N_OPTIONS || !takes(c->verb, id)) {
    complain("%s has no option %s (chainrule %s --help lists them; put -- before an expression that begins with --)",
             c->verb->name, argv[*k], c->verb->name);
    return false;
  }
  const char *value = equals ? equals + 1 : "";
  if (!options[id].argument && equals) return complain("--%s takes no value", options[id].name), false;
  if (options[id].argument && !equals) {
    const option *o = &options[id];
    if (*k + 1 == argc) return complain("--%s needs a value: --%s %s", o->name, o->name, o->argument), false;
    value = argv[++*k];
  }
  c->setting[c->n_settings++] = (setting){(option_id)id, value};
  return true;
}

/* The expression is the first argument that is not NAME=VALUE, else the first of all. */
static void pick_expression(context *c) {
  if (c->n_arguments || !c->n_assignments || !strncmp(c->verb->arguments, "[", 1)) return;
  c->argument[c->n_arguments++] = c->assignment[0];
  c->n_assignments--;
  for (int k = 0; k < c->n_assignments; k++) c->assignment[k] = c->assignment[k + 1];
}

static bool read_arguments(context *c, int argc, char **argv) {
  bool only_operands = false;
  for (int k = 0; k < argc; k++) {
    const char *s = argv[k];
    bool dashed = !only_operands && (!strncmp(s, "--", 2) || !strcmp(s, "-h")); /* -x is an expression */
    if (dashed && !strcmp(s, "--"))
      only_operands = true;
    else if (dashed) {
      if (!read_option(c, argc, argv, &k)) return false;
    } else if (is_assignment(s))
      c->assignment[c->n_assignments++] = s;
    else
      c->argument[c->n_arguments++] = s;
  }
  pick_expression(c);
  return true;
}

static bool read_common(context *c) {
  const char *color = given(c, OPT_COLOR);
  if (color && strcmp(color, "auto") && strcmp(color, "always") && strcmp(color, "never"))
    return complain("--color is auto, always or never, not '%s'", color), false;
  const char *name = given(c, OPT_DTYPE);
  int dtype = name ? cr_dtype_of_name(name) : CR_FLOAT64;
  if (dtype < CR_FLOAT32) return complain("--dtype is float64 or float32, not '%s'", name), false;
  c->dtype = (cr_dtype)dtype;
  return true;
}

static int run_verb(const verb *v, int argc, char **argv) {
  context c = {.verb = v, .title = ""};
  size_t n = (size_t)argc + 1;
  c.setting = calloc(n, sizeof *c.setting);
  c.argument = calloc(n, sizeof *c.argument);
  c.assignment = calloc(n, sizeof *c.assignment);
  int status = STATUS_USAGE;
  if (!c.setting || !c.argument || !c.assignment)
    status = complain_memory();
  else if (read_arguments(&c, argc, argv))
    status = has(&c, OPT_HELP) ? put_help(stdout, v) : read_common(&c) ? v->run(&c) : STATUS_USAGE;
  if (c.tape) cr_free(c.tape);
  free(c.input);
  free(c.source);
  free(c.assignment);
  free(c.argument);
  free(c.setting);
  return status;
}

/* Output that could not be written is an error, but a reader that went away is not. */
static int finish(int status) {
  struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
  bool written = !fflush(stdout) && !ferror(stdout);
  int why = errno;
  if (written || (poll(&out, 1, 0) > 0 && out.revents & POLLERR)) return status;
  fprintf(stderr, "chainrule: cannot write: %s\n", strerror(why ? why : EIO));
  return STATUS_USAGE;
}

static int dispatch(int argc, char **argv) {
  if (argc < 2) return put_help(stderr, NULL), STATUS_USAGE;
  const char *name = argv[1];
  if (!strcmp(name, "--version")) return printf("chainrule %s\n", cr_version()) < 0 ? STATUS_USAGE : STATUS_GOOD;
  if (!strcmp(name, "--man")) return put_man(stdout);
  if (!strcmp(name, "--help") || !strcmp(name, "-h")) return put_help(stdout, NULL);
  if (!strcmp(name, "help") && argc == 2) return put_help(stdout, NULL);
  const char *asked = !strcmp(name, "help") ? argv[2] : name;
  const verb *v = verb_named(asked);
  if (!v) return complain("no verb '%s': chainrule --help lists them", asked);
  return asked != name ? put_help(stdout, v) : run_verb(v, argc - 2, argv + 2);
}

int main(int argc, char **argv) {
  signal(SIGPIPE, SIG_IGN);
  return finish(dispatch(argc, argv));
}
