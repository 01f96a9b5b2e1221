/* A child process behind two pipes, in a process group of its own so that all it has started ends with it. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "process.h"

enum { MAX_ANSWER = 1 << 28 };

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void become(const char *shell_command, const int in[2], const int out[2]) {
  setpgid(0, 0);
  signal(SIGPIPE, SIG_DFL);
  dup2(in[0], STDIN_FILENO);
  dup2(out[1], STDOUT_FILENO);
  close(in[0]), close(in[1]), close(out[0]), close(out[1]);
  execl("/bin/sh", "sh", "-c", shell_command, (char *)NULL);
  _exit(127);
}

bool process_start(process *p, const char *shell_command, double timeout, problem *why) {
  int in[2], out[2];
  *p = (process){.pid = -1, .in = -1, .out = -1, .timeout = timeout};
  if (pipe(in)) return fail(why, "bad program", "cannot make a pipe: %s", strerror(errno));
  if (pipe(out)) {
    close(in[0]), close(in[1]);
    return fail(why, "bad program", "cannot make a pipe: %s", strerror(errno));
  }
  p->pid = fork();
  if (!p->pid) become(shell_command, in, out);
  close(in[0]), close(out[1]);
  p->in = in[1], p->out = out[0];
  if (p->pid < 0) return fail(why, "bad program", "cannot start a process: %s", strerror(errno));
  setpgid(p->pid, p->pid); /* here too: whichever comes first */
  fcntl(p->in, F_SETFL, O_NONBLOCK);
  return true;
}

/* Waits until the end of the pipe is ready; false when time is up. */
static bool wait_for(process *p, int end, short event, double deadline, problem *why) {
  for (;;) {
    double left = deadline - now();
    struct pollfd f = {.fd = end, .events = event};
    int ready = poll(&f, 1, left > 0 ? (int)(left * 1000) + 1 : 0);
    if (ready > 0) return true;
    if (!ready) return fail(why, "bad program", "the program did not answer within %g s", p->timeout);
    if (errno != EINTR) return fail(why, "bad program", "cannot wait for the program: %s", strerror(errno));
  }
}

static bool write_all(process *p, const char *text, size_t length, double deadline, problem *why) {
  for (size_t done = 0; done < length;) {
    if (!wait_for(p, p->in, POLLOUT, deadline, why)) return false;
    ssize_t n = write(p->in, text + done, length - done);
    if (n < 0 && errno == EPIPE) return fail(why, "bad program", "the program ended without an answer");
    if (n < 0 && errno != EAGAIN && errno != EINTR)
      return fail(why, "bad program", "cannot write to the program: %s", strerror(errno));
    if (n > 0) done += (size_t)n;
  }
  return true;
}

static bool make_room(process *p) {
  if (p->capacity - p->length > 1) return true;
  size_t capacity = p->capacity ? 2 * p->capacity : 4096;
  char *grown = capacity <= MAX_ANSWER ? realloc(p->buffer, capacity) : NULL;
  if (grown) p->buffer = grown, p->capacity = capacity;
  return grown != NULL;
}

const char *process_ask(process *p, const char *line, size_t *length, problem *why) {
  double deadline = now() + p->timeout;
  p->length = 0; /* one answer for each line: what came unasked is dropped */
  if (!write_all(p, line, strlen(line), deadline, why) || !write_all(p, "\n", 1, deadline, why)) return NULL;
  for (;;) {
    char *end = p->length ? memchr(p->buffer, '\n', p->length) : NULL;
    if (end) {
      *length = (size_t)(end - p->buffer);
      return p->buffer;
    }
    if (!make_room(p)) return fail(why, "bad program", "the program's answer is too long"), NULL;
    if (!wait_for(p, p->out, POLLIN, deadline, why)) return NULL;
    ssize_t n = read(p->out, p->buffer + p->length, p->capacity - p->length - 1);
    if (!n) return fail(why, "bad program", "the program ended without an answer"), NULL;
    if (n < 0 && errno != EINTR) return fail(why, "bad program", "cannot read from the program: %s", strerror(errno)), NULL;
    if (n > 0) p->length += (size_t)n;
  }
}

void process_end(process *p) {
  if (p->in >= 0) close(p->in);
  if (p->out >= 0) close(p->out);
  if (p->pid > 0) {
    struct timespec pause = {0, 20000000};
    int done = 0;
    for (int k = 0; k < 10 && !(done = waitpid(p->pid, NULL, WNOHANG)); k++) nanosleep(&pause, NULL);
    kill(-p->pid, SIGKILL);
    if (!done) waitpid(p->pid, NULL, 0);
  }
  free(p->buffer);
  *p = (process){.pid = -1, .in = -1, .out = -1};
}
