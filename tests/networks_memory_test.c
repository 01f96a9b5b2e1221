/* Each allocation of a training step made to fail in turn: an error comes back, nothing crashes or leaks. The linker puts
 * these functions before the library's calls (--wrap). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <ops.h>

#include "networks/networks.h"

static long until = -1; /* allocations that still succeed; negative: all */
static int refused;

static int refuse(void) {
  if (until != 0) {
    if (until > 0) until--;
    return 0;
  }
  until = -1;
  refused = 1;
  return 1;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
int __real_posix_memalign(void **p, size_t alignment, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
int __wrap_posix_memalign(void **p, size_t alignment, size_t size);
void *__wrap_malloc(size_t size) { return refuse() ? NULL : __real_malloc(size); }
void *__wrap_calloc(size_t n, size_t size) { return refuse() ? NULL : __real_calloc(n, size); }
void *__wrap_realloc(void *p, size_t size) { return refuse() ? NULL : __real_realloc(p, size); }
int __wrap_posix_memalign(void **p, size_t alignment, size_t size) {
  return refuse() ? 12 : __real_posix_memalign(p, alignment, size);
}

static int use(cr_model *m) {
  cr_tape *t = cr_model_tape(m);
  cr_archive saved = {0};
  int fine = 1;
  for (int pass = 0; pass < 2 && fine; pass++) {
    cr_model_begin(m, 1);
    cr_var x = cr_randn(t, CR_FLOAT32, 3, (int64_t[]){2, 3, 4}, 1);
    cr_var y = cr_network(
      m, x,
      "h = residual(x, 'dense(4, init=\"orthogonal\"), drop(0.1)'); batch_normalize(last(lstm(transformer(h, 2), 3)))");
    cr_var loss = cr_model_evaluate(m, "sum(h^2)");
    fine = cr_model_backward(m, cr_add(loss, cr_sum_all(y))) == CR_OK;
    cr_model_commit(m);
  }
  char *summary = cr_model_summary(m), *symmetry = cr_model_symmetry(m);
  fine = fine && summary && cr_model_save(m, &saved, NULL) == CR_OK && cr_model_load(m, &saved, NULL) == CR_OK;
  free(summary);
  free(symmetry);
  cr_archive_free(&saved);
  return fine;
}

static int scenario(void) {
  cr_tape *t = cr_new();
  cr_model *m = t ? cr_model_new(t, CR_FLOAT32, 1) : NULL;
  int fine = m && use(m);
  if (m && !fine && !refused) print_error("%s\n", cr_error_text(t));
  until = -1;
  cr_model_free(m);
  if (t) cr_free(t);
  return fine;
}

static void every_allocation_may_fail(void **state) {
  int survived = 0, n = 0;
  (void)state;
  for (;; n++) {
    until = n;
    refused = 0;
    int fine = scenario();
    if (!refused) {
      assert_true(fine);
      break;
    }
    survived += fine;
  }
  assert_true(n > 100);
  assert_true(survived < n / 10); /* what can be done without */
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation_may_fail)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
