/* Runs transcripts of the chainrule command and compares what it prints.
 *
 *     cli_test DIRECTORY-OF-CHAINRULE WORKING-DIRECTORY [--update] TRANSCRIPT ...
 *     cli_test DIRECTORY-OF-CHAINRULE WORKING-DIRECTORY --examples
 *
 * In a transcript a line "$ COMMAND" is run by the shell, lines "> MORE" behind it are part of it, and what follows, up to
 * the next command or comment ("## ..."), is what it prints: standard output, then standard error, then "[exit N]" unless N
 * is 0. Blank lines at the end do not count. In a Markdown file only ```console blocks are looked at. --update writes what
 * was printed into the transcript; --examples runs the examples of every verb's help. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct text {
  char *s;
  size_t n, capacity;
} text;

static void *checked(void *p) {
  if (p) return p;
  fputs("out of memory\n", stderr);
  exit(2);
}

static void append(text *t, const char *s, size_t n) {
  if (t->n + n + 1 > t->capacity) t->s = checked(realloc(t->s, t->capacity = 2 * (t->n + n + 1)));
  memcpy(t->s + t->n, s, n);
  t->s[t->n += n] = 0;
}
static void append_text(text *t, const char *s) { append(t, s, strlen(s)); }

static void read_all(text *t, FILE *f) {
  char block[4096];
  for (size_t n; (n = fread(block, 1, sizeof block, f)) > 0;) append(t, block, n);
}

static void trim(text *t) {
  while (t->n && t->s[t->n - 1] == '\n') t->s[--t->n] = 0;
  if (t->n) append(t, "\n", 1);
}

/* What the command prints, in the form of a transcript. */
static text printed_by(const char *command, int *status) {
  text t = {0}, line = {0};
  char name[] = "cli_test_XXXXXX";
  int f = mkstemp(name);
  append_text(&t, "");
  append_text(&line, "{ ");
  append_text(&line, command);
  append_text(&line, "\n} 2>");
  append_text(&line, name);
  FILE *out = f >= 0 ? popen(line.s, "r") : NULL;
  if (!out) {
    perror("cli_test: cannot run a command");
    exit(2);
  }
  read_all(&t, out);
  int code = pclose(out);
  *status = WIFEXITED(code) ? WEXITSTATUS(code) : 128 + WTERMSIG(code);
  FILE *err = fdopen(f, "r");
  if (err) read_all(&t, err), fclose(err);
  unlink(name);
  trim(&t);
  if (*status) {
    char end[32];
    snprintf(end, sizeof end, "[exit %d]\n", *status);
    append_text(&t, end);
  }
  free(line.s);
  return t;
}

/* Transcripts */

typedef struct reader {
  const char *next;          /* in the file's text */
  bool markdown, inside;     /* inside a console block */
  text updated;
  const char *file;
  int commands, failures;
} reader;

static size_t line_length(const char *s) {
  const char *end = strchr(s, '\n');
  return end ? (size_t)(end - s) + 1 : strlen(s);
}

static bool starts(const char *s, const char *with) { return !strncmp(s, with, strlen(with)); }

static bool ends_output(const reader *r, const char *s) {
  return !*s || starts(s, "$ ") || starts(s, "## ") || (r->markdown && starts(s, "```"));
}

static void run_command(reader *r) {
  text command = {0}, expected = {0};
  const char *start = r->next;
  int status;
  append_text(&expected, "");
  do {
    size_t n = line_length(r->next), mark = starts(r->next, ">\n") ? 1 : 2;
    append(&command, r->next + mark, n - mark);
    r->next += n;
  } while (starts(r->next, "> ") || starts(r->next, ">\n"));
  append(&r->updated, start, (size_t)(r->next - start));
  while (!ends_output(r, r->next)) {
    size_t n = line_length(r->next);
    append(&expected, r->next, n);
    r->next += n;
  }
  size_t blank = 0;
  while (expected.n > blank && expected.s[expected.n - 1 - blank] == '\n') blank++;
  trim(&expected);
  text got = printed_by(command.s, &status);
  append_text(&r->updated, got.s);
  for (size_t k = 1; k < blank || (!got.n && k <= blank && blank); k++) append_text(&r->updated, "\n");
  r->commands++;
  if (strcmp(got.s, expected.s)) {
    r->failures++;
    printf("%s: $ %sexpected:\n%sgot:\n%s\n", r->file, command.s, expected.s, got.s);
  }
  free(command.s);
  free(expected.s);
  free(got.s);
}

static int run_transcript(const char *file, bool update, int *commands) {
  FILE *f = fopen(file, "r");
  text all = {0};
  if (!f) return perror(file), 1;
  append_text(&all, "");
  read_all(&all, f);
  fclose(f);
  size_t length = strlen(file);
  reader r = {.next = all.s, .markdown = length > 3 && !strcmp(file + length - 3, ".md"), .file = file};
  append_text(&r.updated, "");
  while (*r.next) {
    if (r.markdown && starts(r.next, "```")) r.inside = !r.inside && starts(r.next, "```console");
    if (starts(r.next, "$ ") && (!r.markdown || r.inside)) {
      run_command(&r);
    } else {
      size_t n = line_length(r.next);
      append(&r.updated, r.next, n);
      r.next += n;
    }
  }
  if (update && strcmp(r.updated.s, all.s)) {
    f = fopen(file, "w");
    if (!f || fwrite(r.updated.s, 1, r.updated.n, f) != r.updated.n || fclose(f)) perror(file);
  }
  *commands += r.commands;
  free(all.s);
  free(r.updated.s);
  return update ? 0 : r.failures;
}

/* Examples of the help: they must run without a word on standard error; a check may fail. */

static int run_examples(const char *verb, int *commands) {
  char help[128];
  int failures = 0, status;
  snprintf(help, sizeof help, "chainrule %s --help\n", verb);
  text t = printed_by(help, &status);
  const char *s = strstr(t.s, "\nExamples:\n");
  for (s = s ? s + 11 : ""; starts(s, "  chainrule "); s += line_length(s)) {
    text line = {0};
    append(&line, s + 2, line_length(s) - 2);
    append_text(&line, " 2>&1 >/dev/null");
    line.s[line.n - strlen(" 2>&1 >/dev/null") - 1] = ' ';
    text got = printed_by(line.s, &status);
    if (status > 1 || (got.n && got.s[0] != '[')) failures++, printf("%s\n%s\n", line.s, got.s);
    ++*commands;
    free(line.s);
    free(got.s);
  }
  free(t.s);
  return failures;
}

static int run_all_examples(int *commands) {
  int status, failures = 0;
  text t = printed_by("chainrule --help\n", &status);
  for (const char *s = t.s; *s; s += line_length(s)) {
    char verb[32];
    if (!starts(s, "  ") || sscanf(s, " %31[a-z]", verb) != 1 || !strcmp(verb, "chainrule")) continue;
    failures += run_examples(verb, commands);
  }
  free(t.s);
  return failures;
}

int main(int argc, char **argv) {
  if (argc < 4) {
    fputs("usage: cli_test CHAINRULE-DIRECTORY WORKING-DIRECTORY --examples|[--update] FILE ...\n", stderr);
    return 2;
  }
  const char *old = getenv("PATH");
  text path = {0};
  append_text(&path, argv[1]);
  append_text(&path, ":");
  append_text(&path, old ? old : "/bin:/usr/bin");
  setenv("PATH", path.s, 1);
  unsetenv("NO_COLOR");
  if (chdir(argv[2])) return perror(argv[2]), 2;
  bool update = !strcmp(argv[3], "--update");
  int failures = 0, commands = 0;
  if (!strcmp(argv[3], "--examples")) failures = run_all_examples(&commands);
  for (int k = 3 + update; k < argc && argv[k][0] != '-'; k++) failures += run_transcript(argv[k], update, &commands);
  printf("%d commands, %d failures\n", commands, failures);
  free(path.s);
  return failures || !commands;
}
