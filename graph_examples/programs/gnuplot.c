/* gnuplot as a child process. Script, picture and messages are unnamed temporary files, so that no pipe can fill up. */
#include <errno.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plotting.h"

extern char **environ;

static const char *terminal_of(const char *path) {
  const char *end = path ? strrchr(path, '.') : NULL;
  if (!end) return "dumb";
  return !strcmp(end, ".svg") ? "svg" : !strcmp(end, ".png") ? "pngcairo" : !strcmp(end, ".pdf") ? "pdfcairo" : "dumb";
}

bool drawing_open(drawing *d, const char *path, int width, int height) {
  const char *terminal = terminal_of(path);
  *d = (drawing){.path = path, .script = tmpfile()};
  if (!d->script) return complain("cannot make a temporary file: %s", strerror(errno)), false;
  if (!strcmp(terminal, "dumb"))
    fprintf(d->script, "set terminal dumb size %d,%d noenhanced\n", width > 700 ? 100 : 79, 24 + (height > 500 ? 16 : 0));
  else if (!strcmp(terminal, "pdfcairo"))
    fprintf(d->script, "set terminal pdfcairo size %.2f,%.2f noenhanced\n", width / 100.0, height / 100.0);
  else fprintf(d->script, "set terminal %s size %d,%d noenhanced background 'white'\n", terminal, width, height);
  return true;
}

void put_quoted(FILE *f, const char *text) {
  fputc('\'', f);
  for (; *text; text++) { /* nothing but the quote means anything between single quotes, but text may reach titles twice */
    unsigned char c = (unsigned char)*text;
    if (c == '\'') fputs("''", f);
    else fputc(c < ' ' || c == 127 || c == '`' || c == '\\' ? ' ' : c, f);
  }
  fputc('\'', f);
}

/* The exit status of gnuplot, -1 when it could not be started. */
static int run_gnuplot(FILE *script, FILE *picture, FILE *messages) {
  char *const words[] = {(char[]){"gnuplot"}, (char[]){"-d"}, NULL};
  posix_spawn_file_actions_t files;
  pid_t child;
  int status;
  if (posix_spawn_file_actions_init(&files)) return -1;
  posix_spawn_file_actions_adddup2(&files, fileno(script), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&files, fileno(picture), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&files, fileno(messages), STDERR_FILENO);
  int error = posix_spawnp(&child, "gnuplot", &files, NULL, words, environ);
  posix_spawn_file_actions_destroy(&files);
  if (error) return -1;
  while (waitpid(child, &status, 0) < 0)
    if (errno != EINTR) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static bool deliver(const drawing *d, FILE *picture) {
  size_t length;
  rewind(picture);
  char *bytes = read_stream(picture, CR_MAX_SOURCE, &length);
  if (!bytes) return complain("cannot read gnuplot's picture: %s", strerror(errno)), false;
  FILE *f = d->path ? fopen(d->path, "wb") : stdout;
  bool good = f && fwrite(bytes, 1, length, f) == length;
  if (f && f != stdout) good = !fclose(f) && good;
  free(bytes);
  return good || (complain("cannot write %s: %s", d->path ? d->path : "the picture", strerror(errno)), false);
}

/* What gnuplot says first, on one line. */
static void first_line(FILE *messages, char *text, size_t size) {
  rewind(messages);
  *text = 0;
  while (!*text && fgets(text, (int)size, messages)) text[strcspn(text, "\n")] = 0;
}

bool drawing_close(drawing *d) {
  FILE *picture = tmpfile(), *messages = tmpfile();
  char text[256];
  bool good = picture && messages && !fflush(d->script) && !ferror(d->script) && !fseek(d->script, 0, SEEK_SET);
  if (!good) complain("cannot write a temporary file: %s", strerror(errno));
  int status = good ? run_gnuplot(d->script, picture, messages) : 0;
  if (status < 0 || status == 127) good = (complain("plots need gnuplot (Debian: gnuplot-nox)"), false);
  else if (status) first_line(messages, text, sizeof text), good = (complain("gnuplot: %s", *text ? text : "failed"), false);
  if (good) good = deliver(d, picture);
  fclose(d->script);
  if (picture) fclose(picture);
  if (messages) fclose(messages);
  return good;
}
