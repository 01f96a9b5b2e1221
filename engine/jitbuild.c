/* The system's compiler: found, run without a shell, its result loaded. */
#define _POSIX_C_SOURCE 200809L
#include "cr_config.h"

#include <stdarg.h>
#include <stdio.h>

#include "jitting.h"

void cr__say(const cr__note *n, const char *format, ...) {
  va_list args;
  if (!n->size) return;
  va_start(args, format);
  vsnprintf(n->text, n->size, format, args);
  va_end(args);
}

#if CR_HAVE_JIT
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

static const char temporary[] = "/tmp"; /* POSIX has it; the environment is not asked */

extern char **environ; /* handed on to the compiler, which finds its parts by it */

static bool is_program(const char *path) {
  struct stat s;
  return !stat(path, &s) && S_ISREG(s.st_mode) && !access(path, X_OK);
}

bool cr__find_compiler(const char *name, cr__compiler *c, const cr__note *note) {
  char folders[512];
  if (!name) name = "cc";
  if (strchr(name, '/')) {
    if (strlen(name) < sizeof c->path && is_program(name)) return strcpy(c->path, name), true;
    cr__say(note, "not compiled: there is no program %s", name);
    return false;
  }
  size_t n = confstr(_CS_PATH, folders, sizeof folders - 16);
  if (!n || n > sizeof folders - 16) folders[0] = 0;
  strcat(folders, ":/usr/local/bin");
  for (const char *p = folders; *p;) {
    size_t length = strcspn(p, ":");
    int written = snprintf(c->path, sizeof c->path, "%.*s/%s", (int)length, p, name);
    if (length && written > 0 && (size_t)written < sizeof c->path && is_program(c->path)) return true;
    p += length + (p[length] == ':');
  }
  cr__say(note, "not compiled: there is no compiler %s in the system's path", name);
  return false;
}

/* Scratch folders */

bool cr__make_scratch(char *folder, size_t size, const cr__note *note) {
  int n = snprintf(folder, size, "%s/chainrule-XXXXXX", temporary);
  if (n > 0 && (size_t)n < size && mkdtemp(folder)) return true;
  cr__say(note, "not compiled: no folder can be made in %s: %s", temporary, strerror(errno));
  return false;
}

void cr__remove_scratch(const char *folder) {
  DIR *d = opendir(folder);
  if (!d) return;
  for (struct dirent *e; (e = readdir(d));)
    if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..")) unlinkat(dirfd(d), e->d_name, 0);
  closedir(d);
  rmdir(folder);
}

/* A file without a name. */
static int nameless(const char *folder) {
  char path[CR__PATH_LENGTH];
  snprintf(path, sizeof path, "%s/text-XXXXXX", folder);
  int file = mkstemp(path);
  if (file < 0) return -1;
  unlink(path);
  fcntl(file, F_SETFD, FD_CLOEXEC);
  return file;
}

static bool write_all(int file, const char *text, size_t length) {
  while (length) {
    ssize_t n = write(file, text, length);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    text += n, length -= (size_t)n;
  }
  return true;
}

/* Running the compiler */

enum { MOST_WORDS = 64, FLAGS_LENGTH = 2000 };

/* The compiler's words: cc FLAGS -shared -fPIC -x c - -o OBJECT -lm; false when there are too many flags. */
static bool make_words(const cr__compiler *c, char *flags, const char *object, const char **word) {
  static const char *const fixed[] = {"-shared", "-fPIC", "-x", "c", "-", "-o"};
  int n = 0;
  if (strlen(c->flags) >= FLAGS_LENGTH) return false;
  strcpy(flags, c->flags);
  word[n++] = c->path;
  for (char *p = flags; *(p += strspn(p, " "));) {
    if (n >= MOST_WORDS - 10) return false;
    word[n++] = p;
    p += strcspn(p, " ");
    if (*p) *p++ = 0;
  }
  for (size_t k = 0; k < sizeof fixed / sizeof *fixed; k++) word[n++] = fixed[k];
  word[n++] = object;
  word[n++] = "-lm";
  word[n] = NULL;
  return true;
}

/* A compiler waits for processes of its own, also for a program that ignores SIGCHLD. */
static int start(pid_t *child, char **words, const posix_spawn_file_actions_t *actions) {
  posix_spawnattr_t attributes;
  sigset_t waited;
  sigemptyset(&waited);
  sigaddset(&waited, SIGCHLD);
  if (posix_spawnattr_init(&attributes)) return -1;
  posix_spawnattr_setsigdefault(&attributes, &waited);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
  int failure = posix_spawn(child, words[0], actions, &attributes, words, environ);
  posix_spawnattr_destroy(&attributes);
  return failure;
}

static int run_words(const char *const *word, int input, int errors) {
  posix_spawn_file_actions_t actions;
  pid_t child;
  int status, failure;
  char *words[MOST_WORDS];
  memcpy(words, word, sizeof words);
  if (posix_spawn_file_actions_init(&actions)) return -1;
  posix_spawn_file_actions_adddup2(&actions, input, 0);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, errors, 2);
  failure = start(&child, words, &actions);
  posix_spawn_file_actions_destroy(&actions);
  if (failure) return -1;
  while (waitpid(child, &status, 0) < 0)
    if (errno != EINTR) return errno == ECHILD ? 0 : -1; /* a program that ignores its children: what it made will tell */
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

/* The first line that speaks of an error, else the first. */
static void first_error(int errors, char *line, size_t size) {
  char text[4096];
  ssize_t n = pread(errors, text, sizeof text - 1, 0);
  text[n > 0 ? n : 0] = 0;
  char *at = strstr(text, "error");
  while (at && at > text && at[-1] != '\n') at--;
  if (!at) at = text;
  at[strcspn(at, "\n")] = 0;
  snprintf(line, size, "%.*s", 160, *at ? at : "no message");
}

bool cr__compile(const cr__compiler *c, const char *source, size_t length, const char *folder, const char *object,
                 const cr__note *note) {
  char flags[FLAGS_LENGTH], line[200];
  const char *word[MOST_WORDS] = {NULL};
  int input = nameless(folder), errors = nameless(folder), status = -1;
  bool ready = input >= 0 && errors >= 0 && write_all(input, source, length) && lseek(input, 0, SEEK_SET) == 0;
  if (!make_words(c, flags, object, word)) cr__say(note, "not compiled: too many compiler flags");
  else if (!ready) cr__say(note, "not compiled: no file can be written in %s: %s", folder, strerror(errno));
  else if ((status = run_words(word, input, errors)) < 0) cr__say(note, "not compiled: %s does not start", c->path);
  if (status > 0) {
    first_error(errors, line, sizeof line);
    cr__say(note, "not compiled: %s fails: %s", c->path, line);
  } else if (status == 0 && access(object, R_OK)) {
    cr__say(note, "not compiled: %s makes no object", c->path);
    status = 1;
  }
  if (input >= 0) close(input);
  if (errors >= 0) close(errors);
  return status == 0;
}

void *cr__load(const char *path, void **handle, const cr__note *note) {
  *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  void *table = *handle ? dlsym(*handle, CR__UNIT_TABLE) : NULL;
  if (table) return table;
  const char *why = dlerror();
  cr__say(note, "not compiled: %.*s", 200, why ? why : "the shared object is empty");
  if (*handle) dlclose(*handle);
  *handle = NULL;
  return NULL;
}

void cr__unload(void *handle) {
  if (handle) dlclose(handle);
}

/* What the object depends on besides its source */

static void describe_processor(char *text, size_t size) {
  struct utsname u;
  if (uname(&u) < 0) strcpy(u.machine, "?");
#if defined(__x86_64__)
  unsigned a[3][4] = {{0}};
  __get_cpuid(0, &a[0][0], &a[0][1], &a[0][2], &a[0][3]);
  __get_cpuid(1, &a[1][0], &a[1][1], &a[1][2], &a[1][3]); /* its second word has the number of the core */
  __get_cpuid_count(7, 0, &a[2][0], &a[2][1], &a[2][2], &a[2][3]);
  snprintf(text, size, "%s %x %x %x %x %x %x %x %x %x", u.machine, a[0][1], a[0][2], a[0][3], a[1][0], a[1][2], a[1][3],
           a[2][1], a[2][2], a[2][3]);
#else
  snprintf(text, size, "%s", u.machine);
#endif
}

bool cr__describe_target(const cr__compiler *c, char *text, size_t size) {
  char processor[200];
  struct stat s;
  if (stat(c->path, &s)) return false;
  describe_processor(processor, sizeof processor);
  int n = snprintf(text, size, "compiler %s %lld %lld %lld\nflags %s\nprocessor %s\n", c->path, (long long)s.st_size,
                   (long long)s.st_mtime, (long long)s.st_ino, c->flags, processor);
  return n > 0 && (size_t)n < size;
}
#else
static const char without[] = "not compiled: chainrule was built without jit";
bool cr__find_compiler(const char *name, cr__compiler *c, const cr__note *note) {
  return (void)name, (void)c, cr__say(note, "%s", without), false;
}
void cr__unload(void *handle) { (void)handle; }
#endif
