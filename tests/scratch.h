/* What the tests of data files share: a folder of their own, files in it, and what is asserted of them. */
#ifndef CR_SCRATCH_H
#define CR_SCRATCH_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

#include "data/readers.h"

static inline int open_folder(void **state) {
  char name[] = "data_test_XXXXXX";
  if (!mkdtemp(name) || chdir(name)) return -1;
  *state = strdup(name);
  return 0;
}

static inline int close_folder(void **state) {
  int failed = chdir("..") || rmdir(*state);
  free(*state);
  return failed; /* a file left behind fails the test */
}

static inline void put_file(const char *name, const void *bytes, size_t n) {
  FILE *f = fopen(name, "wb");
  assert_non_null(f);
  assert_int_equal(fwrite(bytes, 1, n, f), n);
  fclose(f);
}

static inline void put_gzip(const char *name, const void *bytes, size_t n) {
  gzFile f = gzopen(name, "wb");
  assert_int_equal(gzwrite(f, bytes, (unsigned)n), n);
  gzclose(f);
}

static inline size_t get_file(unsigned char *bytes, size_t room, const char *name) {
  FILE *f = fopen(name, "rb");
  assert_non_null(f);
  size_t n = fread(bytes, 1, room, f);
  fclose(f);
  return n;
}

#define assert_fine(call, p)                                                                                                \
  do {                                                                                                                      \
    if ((call) != CR_OK) fail_msg("%s", (p)->text);                                                                         \
  } while (0)

static inline void assert_refused(cr_status status, const cr_problem *p, const char *text) {
  assert_int_not_equal(status, CR_OK);
  assert_int_equal(status, p->status);
  assert_string_equal(p->text, text);
}

static inline cr_array sample(cr_dtype dtype, int rank, const int64_t *dims) {
  cr_array a;
  cr_problem p = {.status = CR_OK};
  assert_fine(cr_array_make(&a, dtype, rank, dims, &p), &p);
  for (int64_t k = 0; k < a.count; k++)
    cr_array_set(&a, k, dtype == CR_BOOL ? (double)(k % 2) : dtype < CR_FLOAT32 ? (double)(k - 2) : (double)k / 8 - 1);
  return a;
}

static inline void assert_same(const cr_array *a, const cr_array *b) {
  assert_non_null(b);
  assert_int_equal(a->dtype, b->dtype);
  assert_int_equal(a->rank, b->rank);
  for (int i = 0; i < a->rank; i++) assert_int_equal(a->dim[i], b->dim[i]);
  for (int64_t k = 0; k < a->count; k++) assert_true(cr_array_get(a, k) == cr_array_get(b, k));
  assert_int_equal(cr_array_hash(a, 5), cr_array_hash(b, 5));
}

static inline void assert_numbers(const cr_array *a, cr_dtype dtype, int n, const double *want) {
  assert_int_equal(a->dtype, dtype);
  assert_int_equal(a->count, n);
  for (int k = 0; k < n; k++) assert_true(cr_array_get(a, k) == want[k]);
}

#endif
