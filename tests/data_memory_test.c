/* Each allocation of the data readers and writers made to fail in turn: a message, no leak (under the sanitizer), and
 * another try works. */
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "data/readers.h"

/* Allocations until one fails; the linker's --wrap leads all of the library's here. */
static long countdown = -1;
static bool fails(void) { return countdown > 0 && !--countdown; }

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
char *__real_strdup(const char *s);
char *__real_strndup(const char *s, size_t n);
int __real_posix_memalign(void **p, size_t alignment, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t n);
int __wrap_posix_memalign(void **p, size_t alignment, size_t n);
void *__wrap_malloc(size_t n) { return fails() ? NULL : __real_malloc(n); }
void *__wrap_calloc(size_t n, size_t size) { return fails() ? NULL : __real_calloc(n, size); }
void *__wrap_realloc(void *p, size_t n) { return fails() ? NULL : __real_realloc(p, n); }
char *__wrap_strdup(const char *s) { return fails() ? NULL : __real_strdup(s); }
char *__wrap_strndup(const char *s, size_t n) { return fails() ? NULL : __real_strndup(s, n); }
int __wrap_posix_memalign(void **p, size_t alignment, size_t n) {
  return fails() ? 12 : __real_posix_memalign(p, alignment, n);
}

static const char *folder; /* of the shipped data */

static cr_status archive(cr_archive *a, cr_problem *p) {
  cr_array x;
  cr_status status = cr_array_make(&x, CR_FLOAT32, 2, (int64_t[]){2, 3}, p);
  if (status == CR_OK) status = cr_archive_add(a, "weight", &x, p);
  if (status == CR_OK) status = cr_archive_add(a, "bias", &x, p);
  if (status == CR_OK) status = cr_archive_note(a, "step", "1", p);
  if (status == CR_OK) status = cr_archive_note(a, "step", "2", p);
  cr_array_release(&x);
  return status;
}

static cr_status through_file(cr_problem *p, const char *name,
                              cr_status (*write)(const cr_archive *, const char *, cr_problem *),
                              cr_status (*read)(cr_archive *, const char *, cr_problem *)) {
  cr_archive a = {0}, b = {0};
  cr_status status = archive(&a, p);
  if (status == CR_OK) status = write(&a, name, p);
  if (status == CR_OK) status = read(&b, name, p);
  if (status == CR_OK) assert_int_equal(b.n, 2);
  cr_archive_free(&a);
  cr_archive_free(&b);
  return status;
}
static cr_status npz(cr_problem *p) { return through_file(p, "memory_test.npz", cr_write_npz, cr_read_npz); }
static cr_status safetensors(cr_problem *p) {
  return through_file(p, "memory_test.safetensors", cr_write_safetensors, cr_read_safetensors);
}

static cr_status dataset(cr_problem *p, const char *call) {
  cr_dataset d, first = {0}, second = {0};
  cr_status status = cr_dataset_read(&d, call, folder, CR_FLOAT32, NULL, p);
  if (status == CR_OK) status = cr_dataset_split(&first, &second, &d, 0.5, 1, p);
  if (status == CR_OK && d.x.dtype == CR_FLOAT32) status = cr_dataset_standardize(&first, &first, p);
  if (status == CR_OK) status = cr_dataset_align(&second, &first, p);
  cr_dataset_free(&d);
  cr_dataset_free(&first);
  cr_dataset_free(&second);
  return status;
}
static cr_status iris(cr_problem *p) { return dataset(p, "csv('iris.csv', target='species')"); }
static cr_status texts(cr_problem *p) { return dataset(p, "csv('iris.csv', target=[1, 2], missing='drop')"); }
static cr_status letters(cr_problem *p) { return dataset(p, "text('shakespeare.txt', length=10, limit=500)"); }
static cr_status points(cr_problem *p) { return dataset(p, "points([[1/2, 2], [3, 4], [5, 6]], y=['a', 'b', 'b'])"); }
static cr_status blobs(cr_problem *p) { return dataset(p, "blobs(n=10 + 2, centers=3)"); }

static void each_allocation_test(void **state) {
  (void)state;
  static cr_status (*const cases[])(cr_problem *) = {npz, safetensors, iris, texts, letters, points, blobs};
  for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
    long n = 1, failures = 0;
    for (bool reached = true; reached; n++) {
      cr_problem p = {.status = CR_OK};
      countdown = n;
      cr_status status = cases[k](&p);
      reached = countdown == 0;
      countdown = -1;
      assert_int_equal(status, p.status);
      assert_true(status == CR_OK || *p.text);
      if (!reached) assert_int_equal(status, CR_OK);
      failures += status != CR_OK;
    }
    assert_true(failures > 10);
  }
  remove("memory_test.npz");
  remove("memory_test.safetensors");
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  folder = argv[1];
  json_set_alloc_funcs(__wrap_malloc, free);
  const struct CMUnitTest tests[] = {cmocka_unit_test(each_allocation_test)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
