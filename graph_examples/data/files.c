/* Whole files: read into memory, gzip or not, and written so that the old file stays until the new one is whole. */
#include <cr_config.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#if CR_HAVE_ZLIB
#include <zlib.h>
#endif

#include "readers.h"

static const size_t LARGEST_FILE = (size_t)4 << 30, FIRST_BUFFER = 1 << 16, LONGEST_READ = 1 << 30;

typedef struct stream { /* one of the two */
  int file;
#if CR_HAVE_ZLIB
  gzFile zipped;
#endif
} stream;

/* Up to n bytes; 0 at the end, -1 on failure with *why set, and *at where the compressed data are to blame. */
static long read_some(stream *s, void *to, size_t n, const char **why, long *at) {
  if (n > LONGEST_READ) n = LONGEST_READ;
#if CR_HAVE_ZLIB
  if (s->zipped) {
    int got = gzread(s->zipped, to, (unsigned)n), code = Z_OK;
    const char *text = gzerror(s->zipped, &code);
    if (got >= 0 && code != Z_BUF_ERROR) return got;
    if (!strncmp(text, "<fd:", 4)) text += strcspn(text, " ") + 1; /* zlib's name for the file */
    *why = code == Z_ERRNO ? strerror(errno) : code == Z_BUF_ERROR ? "the compressed data are cut off" : text;
    if (code != Z_ERRNO) *at = (long)gzoffset(s->zipped);
    return -1;
  }
#endif
  ssize_t got = read(s->file, to, n);
  if (got < 0) *why = strerror(errno);
  return (long)got;
}

static cr_status read_all(cr__bytes *b, stream *s, size_t expected, const char *path, cr_problem *p) {
  size_t capacity = expected > FIRST_BUFFER ? expected : FIRST_BUFFER;
  const char *why = NULL;
  long at = -1;
  for (;;) {
    unsigned char *grown = !b->at || b->size == capacity ? realloc(b->at, (b->at ? capacity *= 2 : capacity) + 1) : b->at;
    if (!grown) return cr__refuse_file(p, CR_NO_MEMORY, path, "out of memory for %zu bytes", capacity);
    b->at = grown;
    long got = read_some(s, b->at + b->size, capacity - b->size, &why, &at);
    if (got < 0 && at >= 0) return cr__refuse_file(p, CR_BAD_ARGUMENT, path, "offset %ld: cannot be read: %.200s", at, why);
    if (got < 0) return cr__refuse_file(p, CR_BAD_ARGUMENT, path, "cannot be read: %.200s", why);
    if (!got) break;
    b->size += (size_t)got;
    if (b->size > LARGEST_FILE) return cr__refuse_file(p, CR_OVER_LIMIT, path, "larger than 4 GiB");
  }
  b->at[b->size] = 0;
  return CR_OK;
}

static cr_status open_zipped(stream *s, const char *path, cr_problem *p) {
#if CR_HAVE_ZLIB
  s->zipped = gzdopen(s->file, "rb");
  if (s->zipped) return CR_OK;
  close(s->file);
  return cr__refuse_file(p, CR_NO_MEMORY, path, "out of memory");
#else
  unsigned char start[2] = {0};
  bool zipped = pread(s->file, start, 2, 0) == 2 && start[0] == 0x1f && start[1] == 0x8b;
  if (!zipped) return CR_OK;
  close(s->file);
  return cr__refuse_file(p, CR_BAD_ARGUMENT, path, "compressed by gzip, which this build cannot read (it lacks zlib)");
#endif
}

static void close_stream(stream *s) {
#if CR_HAVE_ZLIB
  if (s->zipped) {
    gzclose_r(s->zipped);
    return;
  }
#endif
  close(s->file);
}

cr_status cr__read_file(cr__bytes *b, const char *path, enum cr__packing packing, cr_problem *p) {
  struct stat about;
  *b = (cr__bytes){.at = NULL};
  stream s = {.file = open(path, O_RDONLY | O_CLOEXEC)};
  if (s.file < 0) return cr__refuse_file(p, CR_BAD_ARGUMENT, path, "cannot be opened: %s", strerror(errno));
  size_t expected = !fstat(s.file, &about) && S_ISREG(about.st_mode) && about.st_size > 0 ? (size_t)about.st_size + 1 : 0;
  cr_status status = expected > LARGEST_FILE ? cr__refuse_file(p, CR_OVER_LIMIT, path, "larger than 4 GiB") : CR_OK;
  if (status != CR_OK) return close(s.file), status;
  if (packing == CR__MAYBE_GZIP && (status = open_zipped(&s, path, p)) != CR_OK) return status;
  status = read_all(b, &s, expected, path, p);
  close_stream(&s);
  if (status == CR_OK) return CR_OK;
  free(b->at);
  *b = (cr__bytes){.at = NULL};
  return status;
}

cr_status cr_read_text(char **text, size_t *length, const char *path, cr_problem *p) {
  cr__bytes b;
  cr_status status = cr__read_file(&b, path, CR__MAYBE_GZIP, p);
  *text = (char *)b.at;
  *length = b.size;
  return status;
}

/* Writing */

static cr_status refuse_writing(cr_problem *p, const char *path) {
  return cr__refuse_file(p, CR_BAD_ARGUMENT, path, "cannot be written: %s", strerror(errno));
}

static bool write_all(int file, const void *bytes, size_t length) {
  for (size_t at = 0; at < length;) {
    size_t n = length - at < LONGEST_READ ? length - at : LONGEST_READ;
    ssize_t done = write(file, (const char *)bytes + at, n);
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return false;
    at += (size_t)done;
  }
  return true;
}

/* Opens the temporary file and locks it, so that of two programs that write to one target the second is told. What a killed
 * program left behind is used again. */
static int open_partial(const char *name) {
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
  struct stat here, there;
  int file = open(name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
  if (file < 0) return -1;
  bool ours = !fcntl(file, F_SETLK, &lock) && !fstat(file, &here) && !stat(name, &there) && here.st_ino == there.st_ino;
  if (ours && !ftruncate(file, 0)) return file;
  close(file);
  errno = EBUSY;
  return -1;
}

/* A rename is on the disk when its folder is. Some file systems cannot sync folders: then there is nothing more to do. */
static void sync_folder(const char *path) {
  const char *slash = strrchr(path, '/');
  char *folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
  int file = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
  if (file >= 0) {
    fsync(file);
    close(file);
  }
  free(folder);
}

static cr_status write_partial(const void *bytes, size_t length, const char *partial, const char *path, mode_t mode,
                               cr_problem *p) {
  int file = open_partial(partial);
  if (file < 0) return refuse_writing(p, path);
  bool good = (!mode || !fchmod(file, mode)) && write_all(file, bytes, length) && !fsync(file) && !rename(partial, path);
  if (good) {
    sync_folder(path);
    close(file);
    return CR_OK;
  }
  cr_status status = refuse_writing(p, path);
  unlink(partial);
  close(file);
  return status;
}

/* A device or a pipe takes the bytes as they come. */
static cr_status write_through(const void *bytes, size_t length, const char *path, cr_problem *p) {
  int file = open(path, O_WRONLY | O_CLOEXEC);
  bool good = file >= 0 && write_all(file, bytes, length);
  cr_status status = good ? CR_OK : refuse_writing(p, path);
  if (file >= 0) close(file);
  return status;
}

cr_status cr_write_file(const void *bytes, size_t length, const char *path, cr_problem *p) {
  struct stat old;
  bool there = !stat(path, &old);
  if (there && !S_ISREG(old.st_mode)) return write_through(bytes, length, path, p);
  char *partial = malloc(strlen(path) + sizeof ".partial");
  if (!partial) return cr__no_memory(p);
  strcat(strcpy(partial, path), ".partial");
  cr_status status = write_partial(bytes, length, partial, path, there ? old.st_mode & 0777 : 0, p);
  free(partial);
  return status;
}
