/* NumPy's .npz files: ZIP archives of .npy files, stored or deflated. The central directory at the end says what is there.
 */
#include <cr_config.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if CR_HAVE_ZLIB
#include <zlib.h>
#endif

#include "readers.h"

/* Sizes and signatures of ZIP's records (PKWARE's APPNOTE, 4.3); deflate makes at most 1032 bytes of one. */
enum { LOCAL = 30, CENTRAL = 46, END = 22, LONGEST_COMMENT = 65535, LARGEST_RATIO = 1100 };
static const uint32_t LOCAL_MARK = 0x04034b50, CENTRAL_MARK = 0x02014b50, END_MARK = 0x06054b50, WIDE = 0xFFFFFFFF;

typedef struct member {
  char *name;
  unsigned flags, method;
  uint32_t crc, packed, size, offset;
} member;

typedef struct zip {
  const unsigned char *at;
  size_t size;
  const char *file;
  cr_problem *p;
} zip;

static uint32_t word(const unsigned char *at) { return (uint32_t)cr__word(at, 4, false); }
static unsigned short_word(const unsigned char *at) { return (unsigned)cr__word(at, 2, false); }

static uint32_t crc_of(const unsigned char *at, size_t n) {
#if CR_HAVE_ZLIB
  uLong crc = 0;
  for (size_t done = 0; done < n; done += 1u << 30)
    crc = crc32(crc, at + done, n - done < 1u << 30 ? (uInt)(n - done) : 1u << 30);
  return (uint32_t)crc;
#else
  uint32_t crc = 0xFFFFFFFF;
  for (size_t k = 0; k < n; k++) {
    crc ^= at[k];
    for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320 : 0);
  }
  return ~crc;
#endif
}

/* Reading */

static cr_status refuse(zip *z, size_t offset, const char *what) {
  return cr__refuse_file(z->p, CR_BAD_ARGUMENT, z->file, "offset %zu: %s", offset, what);
}

static cr_status refuse_member(zip *z, const member *m, const char *what) {
  return cr__refuse_file(z->p, CR_BAD_ARGUMENT, z->file, "offset %lu: member '%.100s' %s", (unsigned long)m->offset, m->name,
                         what);
}

static cr_status inflate_into(unsigned char *to, zip *z, const member *m, const unsigned char *from) {
#if CR_HAVE_ZLIB
  z_stream s = {.next_in = (unsigned char *)(uintptr_t)from, .avail_in = m->packed, .next_out = to, .avail_out = m->size};
  if (inflateInit2(&s, -MAX_WBITS) != Z_OK) return cr__no_memory(z->p);
  int code = inflate(&s, Z_FINISH);
  bool whole = code == Z_STREAM_END && s.total_out == m->size && s.total_in == m->packed;
  inflateEnd(&s);
  return whole ? CR_OK : refuse_member(z, m, "cannot be decompressed: it is damaged");
#else
  (void)to;
  (void)from;
  return refuse_member(z, m, "is compressed, which this build cannot read (it lacks zlib)");
#endif
}

/* Where the member's bytes are: behind a local header whose name and extra field have lengths of their own. */
static cr_status find_bytes(zip *z, const member *m, const unsigned char **from) {
  size_t at = m->offset;
  if (at > z->size || z->size - at < LOCAL || word(z->at + at) != LOCAL_MARK)
    return refuse_member(z, m, "is not where the directory says");
  at += (size_t)LOCAL + short_word(z->at + at + 26) + short_word(z->at + at + 28);
  if (at > z->size || z->size - at < m->packed) return refuse_member(z, m, "is cut off");
  *from = z->at + at;
  return CR_OK;
}

static cr_status check_member(zip *z, const member *m) {
  if (m->packed == WIDE || m->size == WIDE || m->offset == WIDE)
    return refuse_member(z, m, "is in the ZIP64 format, for more than 4 GiB: it cannot be read");
  if (m->flags & 1) return refuse_member(z, m, "is encrypted");
  if (m->method != 0 && m->method != 8) return refuse_member(z, m, "is packed by a method other than deflate");
  if (m->method == 0 && m->packed != m->size) return refuse_member(z, m, "has two sizes");
  if (m->size / LARGEST_RATIO > m->packed) return refuse_member(z, m, "says it is larger than it can be");
  return CR_OK;
}

static cr_status read_bytes(zip *z, const member *m, cr__bytes *b) {
  const unsigned char *from = NULL;
  cr_status status = check_member(z, m);
  if (status == CR_OK) status = find_bytes(z, m, &from);
  if (status != CR_OK) return status;
  *b = (cr__bytes){malloc((size_t)m->size + 1), m->size};
  if (!b->at) return cr__no_memory(z->p);
  if (m->method == 8) status = inflate_into(b->at, z, m, from);
  else if (m->size) memcpy(b->at, from, m->size);
  if (status == CR_OK && crc_of(b->at, b->size) != m->crc)
    status = refuse_member(z, m, "does not match its checksum: the file was altered or damaged");
  return status;
}

static cr_status read_member(cr_archive *a, zip *z, const member *m) {
  char title[300];
  cr_array array = {0};
  cr__bytes b = {NULL, 0};
  cr_status status = read_bytes(z, m, &b);
  size_t n = strlen(z->file);
  snprintf(title, sizeof title, "%s%s: member '%.60s'", n > 150 ? "..." : "", z->file + (n > 150 ? n - 150 : 0), m->name);
  if (status == CR_OK) status = cr__parse_npy(&array, &b, title, z->p);
  free(b.at);
  if (status != CR_OK) return status;
  n = strlen(m->name);
  if (n > 4 && !strcmp(m->name + n - 4, ".npy")) m->name[n - 4] = 0;
  if (cr_archive_find(a, m->name)) status = refuse_member(z, m, "is there twice");
  else status = cr_archive_add(a, m->name, &array, z->p);
  cr_array_release(&array);
  return status;
}

static cr_status read_directory(cr_archive *a, zip *z, size_t at, size_t end, unsigned n) {
  for (unsigned k = 0; k < n; k++) {
    const unsigned char *e = z->at + at;
    if (end - at < CENTRAL || word(e) != CENTRAL_MARK) return refuse(z, at, "the directory is damaged");
    size_t length = short_word(e + 28), whole = CENTRAL + length + short_word(e + 30) + short_word(e + 32);
    if (end - at < whole) return refuse(z, at, "the directory is cut off");
    member m = {.flags = short_word(e + 8),
                .method = short_word(e + 10),
                .crc = word(e + 16),
                .packed = word(e + 20),
                .size = word(e + 24),
                .offset = word(e + 42)};
    m.name = strndup((const char *)e + CENTRAL, length);
    if (!m.name) return cr__no_memory(z->p);
    cr_status status = read_member(a, z, &m);
    free(m.name);
    if (status != CR_OK) return status;
    at += whole;
  }
  return at == end ? CR_OK : refuse(z, at, "the directory has more entries than it says");
}

/* The record at the end, in front of a comment that is usually empty. */
static bool find_end(const zip *z, size_t *at) {
  size_t most = z->size < END ? 0 : z->size - END, least = most > LONGEST_COMMENT ? most - LONGEST_COMMENT : 0;
  for (size_t k = most + 1; z->size >= END && k-- > least;)
    if (word(z->at + k) == END_MARK && short_word(z->at + k + 20) == z->size - END - k) return *at = k, true;
  return false;
}

cr_status cr__parse_npz(cr_archive *a, const cr__bytes *b, const char *file, cr_problem *p) {
  zip z = {b->at, b->size, file, p};
  size_t end;
  memset(a, 0, sizeof *a);
  if (b->size < 4 || memcmp(b->at, "PK", 2)) return cr__refuse_file(p, CR_BAD_ARGUMENT, file, "offset 0: not a .npz file");
  if (!find_end(&z, &end)) return refuse(&z, b->size, "the directory at the end is missing: the file is cut off");
  unsigned n = short_word(b->at + end + 10);
  uint32_t size = word(b->at + end + 12), start = word(b->at + end + 16);
  if (n == 0xFFFF || size == WIDE || start == WIDE)
    return cr__refuse_file(p, CR_OVER_LIMIT, file,
                           "in the ZIP64 format, for more than 4 GiB or 65535 arrays: it cannot be read");
  if (short_word(b->at + end + 4)) return refuse(&z, end, "one of several volumes");
  if (start > end || end - start != size) return refuse(&z, end, "the directory is not where its end says");
  cr_status status = read_directory(a, &z, start, end, n);
  if (status != CR_OK) cr_archive_free(a);
  return status;
}

cr_status cr_read_npz(cr_archive *a, const char *path, cr_problem *p) {
  cr__bytes b;
  memset(a, 0, sizeof *a);
  cr_status status = cr__read_file(&b, path, CR__PLAIN, p);
  if (status == CR_OK) status = cr__parse_npz(a, &b, path, p);
  free(b.at);
  return status;
}

/* Writing: stored */

static unsigned char *put(unsigned char *to, uint32_t x, int size) {
  for (int k = 0; k < size; k++) *to++ = (unsigned char)(x >> 8 * k);
  return to;
}

/* What the local header and the directory have in common: from the version needed to the length of the extra field. */
static unsigned char *put_common(unsigned char *to, uint32_t crc, uint32_t size, uint32_t length) {
  static const uint32_t january_1_1980 = 0x21;
  to = put(put(put(to, 20, 2), 0x800, 2), 0, 2); /* version 2.0; names are UTF-8; stored */
  to = put(put(put(to, 0, 2), january_1_1980, 2), crc, 4);
  return put(put(put(put(to, size, 4), size, 4), length, 2), 0, 2);
}

static void write_members(unsigned char *start, const cr_archive *a, const cr__bytes *part) {
  unsigned char *to = start;
  uint32_t offset = 0;
  for (int k = 0; k < a->n; k++) {
    uint32_t length = (uint32_t)strlen(a->entry[k].name) + 4;
    to = put_common(put(to, LOCAL_MARK, 4), crc_of(part[k].at, part[k].size), (uint32_t)part[k].size, length);
    to += sprintf((char *)to, "%s.npy", a->entry[k].name);
    memcpy(to, part[k].at, part[k].size);
    to += part[k].size;
  }
  uint32_t directory = (uint32_t)(to - start);
  for (int k = 0; k < a->n; k++) {
    uint32_t length = (uint32_t)strlen(a->entry[k].name) + 4, crc = crc_of(part[k].at, part[k].size);
    to = put_common(put(put(to, CENTRAL_MARK, 4), 20, 2), crc, (uint32_t)part[k].size, length);
    to = put(put(put(put(to, 0, 2), 0, 4), 0, 4), offset, 4); /* no comment; volume, attributes */
    to += sprintf((char *)to, "%s.npy", a->entry[k].name);
    offset += LOCAL + length + (uint32_t)part[k].size;
  }
  uint32_t size = (uint32_t)(to - start) - directory;
  to = put(put(to, END_MARK, 4), 0, 4);
  to = put(put(to, (uint32_t)a->n, 2), (uint32_t)a->n, 2);
  put(put(put(to, size, 4), directory, 4), 0, 2);
}

static cr_status write_archive(const cr_archive *a, cr__bytes *part, const char *path, cr_problem *p) {
  size_t size = END;
  for (int k = 0; k < a->n; k++) {
    size_t length = strlen(a->entry[k].name) + 4;
    cr_status status = cr__format_npy(&part[k], &a->entry[k].array, p);
    if (status != CR_OK) return status;
    if (length > 0xFFFF) return cr__refuse_file(p, CR_OVER_LIMIT, path, "the name of array %d is too long", k);
    size += LOCAL + CENTRAL + 2 * length + part[k].size;
  }
  if (size >= WIDE || a->n >= 0xFFFF)
    return cr__refuse_file(p, CR_OVER_LIMIT, path, "a .npz file holds less than 4 GiB and 65535 arrays");
  unsigned char *bytes = malloc(size + 1); /* sprintf ends the last name with a 0 */
  if (!bytes) return cr__no_memory(p);
  write_members(bytes, a, part);
  cr_status status = cr_write_file(bytes, size, path, p);
  free(bytes);
  return status;
}

cr_status cr_write_npz(const cr_archive *a, const char *path, cr_problem *p) {
  cr__bytes *part = calloc((size_t)a->n + 1, sizeof *part);
  if (!part) return cr__no_memory(p);
  cr_status status = write_archive(a, part, path, p);
  for (int k = 0; k < a->n; k++) free(part[k].at);
  free(part);
  return status;
}
