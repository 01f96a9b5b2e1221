/* Each allocation of making, stepping, saving and loading an optimizer made to fail in turn: an error comes back, nothing
 * crashes or leaks. The linker puts these functions before the library's calls (--wrap). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <chainrule.h>

#include "optimizers/optimizers.h"

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
char *__real_strdup(const char *s);
int __real_posix_memalign(void **p, size_t alignment, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
char *__wrap_strdup(const char *s);
int __wrap_posix_memalign(void **p, size_t alignment, size_t size);
void *__wrap_malloc(size_t size) { return refuse() ? NULL : __real_malloc(size); }
void *__wrap_calloc(size_t n, size_t size) { return refuse() ? NULL : __real_calloc(n, size); }
void *__wrap_realloc(void *p, size_t size) { return refuse() ? NULL : __real_realloc(p, size); }
char *__wrap_strdup(const char *s) { return refuse() ? NULL : __real_strdup(s); }
int __wrap_posix_memalign(void **p, size_t alignment, size_t size) {
  return refuse() ? 12 : __real_posix_memalign(p, alignment, size);
}

static cr_var residuals(cr_model *m, void *user) {
  (void)user;
  cr_var w = cr_model_weight(m, "w", 1, (const int64_t[]){3}, "ones"), b = cr_model_bias(m, "b", 3, 0.5);
  return cr_formula(cr_model_tape(m), "tanh([1, 2, 3]*w + b) - 0.3", "w", w, "b", b);
}

static cr_var squares(cr_model *m, void *user) {
  cr_var r = residuals(m, user);
  return cr_formula(cr_model_tape(m), "sum(r*r)", "r", r);
}

static int use(cr_model *m, const char *call) {
  cr_problem p = {0};
  cr_archive saved = {0};
  cr_optimizer *o = cr_optimizer_new(call, NULL, &p);
  int fine = o != NULL;
  cr_objective f = fine && cr_optimizer_needs_objective(o) == 2 ? residuals : squares;
  for (int k = 0; k < 3 && fine; k++) fine = cr_minimize(o, m, f, NULL, NULL, &p) == CR_OK;
  fine = fine && cr_optimizer_save(o, m, &saved, &p) == CR_OK;
  cr_optimizer_free(o);
  o = fine ? cr_optimizer_new(call, NULL, &p) : NULL;
  fine = o && cr_optimizer_load(o, m, &saved, &p) == CR_OK;
  if (!fine && !refused) print_error("%s: %s\n", call, p.text);
  until = -1;
  cr_optimizer_free(o);
  cr_archive_free(&saved);
  return fine;
}

/* Captured and run; where that takes memory which is not there, nothing has moved. */
static int use_captured(cr_model *m, const char *call) {
  cr_problem p = {0};
  cr_optimizer *o = cr_optimizer_new(call, NULL, &p);
  cr_model_begin(m, 1);
  cr_captured *step = o ? cr_captured_new(o, m, squares(m, NULL), 0, NULL, 0.5, 1, &p) : NULL;
  int fine = step != NULL;
  for (int k = 0; k < 3 && fine; k++) {
    uint64_t before = cr_model_hash(m);
    fine = cr_captured_step(step, NULL, NULL, &p) == CR_OK;
    assert_true(fine == (cr_model_hash(m) != before));
    if (k == 1) cr_captured_rest(step); /* its memory is asked for again */
  }
  if (!fine) assert_true(refused && p.status != CR_OK);
  until = -1;
  cr_captured_free(step);
  cr_optimizer_free(o);
  return fine;
}

static int captures;
static int scenario(const char *call, long allowed) {
  cr_tape *t = cr_new();
  cr_model *m = cr_model_new(t, CR_FLOAT64, 1);
  cr_model_begin(m, 1);
  squares(m, NULL);
  until = allowed;
  refused = 0;
  int fine = captures ? use_captured(m, call) : use(m, call);
  cr_model_free(m);
  cr_free(t);
  return fine;
}

static void every_allocation_may_fail(void **state) {
  static const char *const calls[] = {"adam(weight_decay=0.1)", "nadam", "lbfgs(history_size=2)", "bfgs", "cg", "newton_cg",
                                      "levenberg_marquardt"};
  (void)state;
  for (size_t k = 0; k < sizeof calls / sizeof *calls; k++) {
    int survived = 0, n = 0;
    for (;; n++) {
      int fine = scenario(calls[k], n);
      if (!refused) {
        assert_true(fine);
        break;
      }
      survived += fine;
    }
    assert_true(n > 10);
    assert_true(survived < n / 10); /* what can be done without */
  }
}

static void captured_steps_too(void **state) {
  static const char *const calls[] = {"adam(weight_decay=0.1)", "nadam", "sgd(momentum=0.9)"};
  (void)state;
  captures = 1;
  for (size_t k = 0; k < sizeof calls / sizeof *calls; k++) {
    int n = 0;
    do assert_true(scenario(calls[k], n++) || refused);
    while (refused);
    assert_true(n > 10);
  }
  captures = 0;
}

static void schedules_too(void **state) {
  (void)state;
  for (long n = 0;; n++) {
    until = n;
    refused = 0;
    cr_problem p = {0};
    cr_schedule *s = cr_schedule_new("warmup(steps=3, then='cosine(floor=0.1)')", NULL, &p);
    until = -1;
    if (s) assert_true(cr_schedule_factor(s, 2, 10) > 0);
    else assert_true(refused && p.status == CR_NO_MEMORY);
    cr_schedule_free(s);
    if (!refused) break;
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation_may_fail),
                                     cmocka_unit_test(captured_steps_too), cmocka_unit_test(schedules_too)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
