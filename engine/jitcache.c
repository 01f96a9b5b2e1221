/* The folder of compiled functions. A file is a shared object, what its key was made of, and a seal: lengths, a hash of all
 * that comes before, a mark. It appears under its name whole, by rename, so any number of processes may share a folder. */
#define _POSIX_C_SOURCE 200809L
#include "cr_config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jitting.h"

#if CR_HAVE_JIT
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

typedef struct seal {
  uint64_t object, key, hash[2];
  char mark[8];
} seal;
static const char mark[8] = {'C', 'R', 'J', 'I', 'T', '0', '0', '1'};

/* The folder */

static bool make_folders(const char *folder) {
  char path[CR__PATH_LENGTH];
  size_t n = strlen(folder);
  if (!n || n >= sizeof path) return errno = n ? ENAMETOOLONG : ENOENT, false;
  strcpy(path, folder);
  for (char *p = path + 1; *p; p++) {
    if (*p != '/') continue;
    *p = 0;
    if (mkdir(path, 0700) && errno != EEXIST) return false;
    *p = '/';
  }
  return !mkdir(path, 0700) || errno == EEXIST;
}

/* 1: private; 0: not there; -1: not private, or no folder. */
static int look_at(const char *folder, const cr__note *note) {
  struct stat s;
  if (lstat(folder, &s)) {
    if (errno == ENOENT) return 0;
    cr__say(note, "cache %s: %s", folder, strerror(errno));
    return -1;
  }
  const char *why = !S_ISDIR(s.st_mode)                ? "is no folder"
                    : s.st_uid != geteuid()            ? "belongs to another user"
                    : s.st_mode & (S_IRWXG | S_IRWXO)  ? "is open to others: its mode must be 0700"
                    : (s.st_mode & S_IRWXU) != S_IRWXU ? "cannot be written"
                                                       : NULL;
  if (why) cr__say(note, "cache %s %s", folder, why);
  return why ? -1 : 1;
}

bool cr__open_cache(const char *folder, const cr__note *note) {
  int found = look_at(folder, note);
  if (found) return found > 0;
  if (make_folders(folder)) return look_at(folder, note) > 0;
  cr__say(note, "cache %s cannot be made: %s", folder, strerror(errno));
  return false;
}

/* Entries */

static bool path_of(const char *folder, const char *name, char *path, size_t size) {
  int n = snprintf(path, size, "%s/%s.so", folder, name);
  return n > 0 && (size_t)n < size;
}

static bool read_all(int file, char *to, size_t n) {
  while (n) {
    ssize_t got = read(file, to, n);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    to += got, n -= (size_t)got;
  }
  return true;
}

static bool write_all(int file, const void *data, size_t n) {
  const char *from = data;
  while (n) {
    ssize_t put = write(file, from, n);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return false;
    from += put, n -= (size_t)put;
  }
  return true;
}

static bool is_sealed(const char *bytes, size_t n, const cr__key *key) {
  seal s;
  if (n < sizeof s) return false;
  memcpy(&s, bytes + n - sizeof s, sizeof s);
  if (memcmp(s.mark, mark, sizeof mark) || s.key != key->length || s.object > n || s.object + s.key + sizeof s != n)
    return false;
  XXH128_hash_t hash = XXH3_128bits(bytes, n - sizeof s);
  return hash.low64 == s.hash[0] && hash.high64 == s.hash[1] && !memcmp(bytes + s.object, key->text, key->length);
}

bool cr__find_entry(const char *folder, const cr__key *key, char *path, size_t size) {
  struct stat s;
  if (!path_of(folder, key->name, path, size)) return false;
  int file = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  if (file < 0) return false;
  bool good =
      !fstat(file, &s) && S_ISREG(s.st_mode) && s.st_uid == geteuid() && !(s.st_mode & (S_IWGRP | S_IWOTH)) && s.st_size > 0;
  size_t n = good ? (size_t)s.st_size : 0;
  char *bytes = good ? cr__resize(key->allocator, NULL, 0, n) : NULL;
  good = bytes && read_all(file, bytes, n) && is_sealed(bytes, n, key);
  if (bytes) cr__resize(key->allocator, bytes, n, 0);
  if (good) futimens(file, NULL);
  close(file);
  return good;
}

/* The object's bytes, with room for key and seal. */
static char *read_object(const char *object, const cr__key *key, size_t *n, size_t *taken) {
  struct stat s;
  int file = open(object, O_RDONLY | O_CLOEXEC);
  if (file < 0) return NULL;
  char *bytes = NULL;
  if (!fstat(file, &s) && s.st_size > 0) {
    *n = (size_t)s.st_size;
    *taken = *n + key->length + sizeof(seal);
    bytes = cr__resize(key->allocator, NULL, 0, *taken);
  }
  if (bytes && !read_all(file, bytes, *n)) bytes = cr__resize(key->allocator, bytes, *taken, 0);
  close(file);
  return bytes;
}

static bool write_entry(const char *folder, const char *path, const char *bytes, size_t n) {
  char other[CR__PATH_LENGTH];
  int length = snprintf(other, sizeof other, "%s/new-XXXXXX", folder);
  int file = length > 0 && (size_t)length < sizeof other ? mkstemp(other) : -1;
  if (file < 0) return false;
  bool good = !fchmod(file, 0600) && write_all(file, bytes, n);
  good = !close(file) && good && !rename(other, path);
  if (!good) unlink(other);
  return good;
}

bool cr__add_entry(const char *folder, const cr__key *key, const char *object, char *path, size_t size,
                   const cr__note *note) {
  size_t n = 0, taken = 0;
  char *bytes = path_of(folder, key->name, path, size) ? read_object(object, key, &n, &taken) : NULL;
  bool good = false;
  if (bytes) {
    seal s = {.object = n, .key = key->length};
    memcpy(bytes + n, key->text, key->length);
    XXH128_hash_t hash = XXH3_128bits(bytes, n + key->length);
    s.hash[0] = hash.low64, s.hash[1] = hash.high64;
    memcpy(s.mark, mark, sizeof mark);
    memcpy(bytes + n + key->length, &s, sizeof s);
    good = write_entry(folder, path, bytes, taken);
    cr__resize(key->allocator, bytes, taken, 0);
  }
  if (!good) cr__say(note, "not kept: cache %s cannot be written", folder);
  return good;
}

/* All of them */

typedef struct entry {
  char name[CR__KEY_LENGTH + 1];
  int64_t bytes, used, nanoseconds;
} entry;

static int latest_first(const void *x, const void *y) {
  const entry *a = x, *b = y;
  if (a->used != b->used) return a->used > b->used ? -1 : 1;
  if (a->nanoseconds != b->nanoseconds) return a->nanoseconds > b->nanoseconds ? -1 : 1;
  return strcmp(a->name, b->name);
}

static bool is_entry_name(const char *name) {
  return strspn(name, "0123456789abcdef") == CR__KEY_LENGTH && !strcmp(name + CR__KEY_LENGTH, ".so");
}

/* A file that a process left behind. */
static bool is_left(const char *name, const struct stat *s) {
  return !strncmp(name, "new-", 4) && time(NULL) - s->st_mtime > 3600;
}

static entry *read_entries(const char *folder, int *n, size_t *bytes) {
  DIR *d = opendir(folder);
  entry *all = NULL;
  *n = 0, *bytes = 0;
  if (!d) return NULL;
  for (struct dirent *e; (e = readdir(d));) {
    struct stat s;
    if (fstatat(dirfd(d), e->d_name, &s, AT_SYMLINK_NOFOLLOW) || !S_ISREG(s.st_mode)) continue;
    if (is_left(e->d_name, &s)) unlinkat(dirfd(d), e->d_name, 0);
    if (!is_entry_name(e->d_name)) continue;
    if ((size_t)*n * sizeof *all == *bytes) {
      entry *more = cr__resize(&cr__default_allocator, all, *bytes, 2 * *bytes + 16 * sizeof *all);
      if (!more) break;
      all = more;
      *bytes = 2 * *bytes + 16 * sizeof *all;
    }
    all[*n] = (entry){.bytes = s.st_size, .used = s.st_mtime, .nanoseconds = s.st_mtim.tv_nsec};
    memcpy(all[(*n)++].name, e->d_name, CR__KEY_LENGTH);
  }
  closedir(d);
  if (*n) qsort(all, (size_t)*n, sizeof *all, latest_first);
  return all;
}

static void remove_entry(const char *folder, const entry *e) {
  char path[CR__PATH_LENGTH];
  if (path_of(folder, e->name, path, sizeof path)) unlink(path);
}

void cr__trim_cache(const char *folder, int64_t bytes) {
  int n;
  size_t taken;
  entry *all = read_entries(folder, &n, &taken);
  int64_t sum = 0;
  for (int k = 0; k < n; k++) {
    sum += all[k].bytes;
    if (sum > bytes && k) remove_entry(folder, &all[k]); /* the one just made stays */
  }
  if (all) cr__resize(&cr__default_allocator, all, taken, 0);
}

int cr_jit_cache_list(const char *folder, void (*visit)(void *user, const cr_jit_entry *e), void *user, char *note,
                      size_t size) {
  int n, found = look_at(folder, &(cr__note){note, size});
  size_t taken;
  if (found <= 0) return found;
  entry *all = read_entries(folder, &n, &taken);
  for (int k = 0; k < n && visit; k++) visit(user, &(cr_jit_entry){all[k].name, all[k].bytes, all[k].used});
  if (all) cr__resize(&cr__default_allocator, all, taken, 0);
  return n;
}

int cr_jit_cache_clear(const char *folder, char *note, size_t size) {
  int n, found = look_at(folder, &(cr__note){note, size});
  size_t taken;
  if (found <= 0) return found;
  entry *all = read_entries(folder, &n, &taken);
  for (int k = 0; k < n; k++) remove_entry(folder, &all[k]);
  if (all) cr__resize(&cr__default_allocator, all, taken, 0);
  return n;
}
#else
int cr_jit_cache_list(const char *folder, void (*visit)(void *user, const cr_jit_entry *e), void *user, char *note,
                      size_t size) {
  return (void)folder, (void)visit, (void)user, (void)note, (void)size, 0;
}
int cr_jit_cache_clear(const char *folder, char *note, size_t size) { return (void)folder, (void)note, (void)size, 0; }
#endif
