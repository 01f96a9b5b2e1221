/* Entries of goldens/networks.npz and how they are compared. */
#ifndef PYTORCH_H
#define PYTORCH_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <ops.h>

#include "networks/networks.h"

static cr_archive goldens;

static inline double at(const cr_array *a, int64_t k) { return cr_array_get(a, k); }

/* The largest |have - want| / max(1, |want|). */
static inline double distance(const cr_array *have, const cr_array *want) {
  double worst = 0;
  if (!have->data || have->count != want->count) return HUGE_VAL;
  for (int64_t k = 0; k < want->count; k++) {
    double far = fabs(at(have, k) - at(want, k)) / fmax(1, fabs(at(want, k)));
    if (!(far <= worst)) worst = isnan(far) ? HUGE_VAL : far;
  }
  return worst;
}

static inline void assert_near(const cr_array *have, const cr_array *want, double tolerance, const char *what) {
  double far = distance(have, want);
  if (!(far <= tolerance)) fail_msg("%s: off by %g", what, far);
}

static inline void assert_fine(const cr_tape *t, const char *what) {
  if (cr_error(t) != CR_OK) fail_msg("%s: %s", what, cr_error_text(t));
}

/* The entry HEAD|WHAT, NULL without one. */
static inline const cr_array *golden(const char *head, const char *what) {
  char key[1000];
  snprintf(key, sizeof key, "%s|%s", head, what);
  return cr_archive_find(&goldens, key);
}

static inline cr_var leaf(cr_tape *t, const cr_array *a) {
  return cr_tensor_of(t, (cr_dtype)a->dtype, a->rank, a->dim, a->data);
}

/* The text between the bars of KIND|TEXT|x, and KIND|TEXT as head; 0 when the key is another. */
static inline int split(const char *key, const char *kind, const char *last, char *head, char *text) {
  size_t n = strlen(kind), length = strlen(key), tail = strlen(last);
  if (strncmp(key, kind, n) || key[n] != '|' || length <= n + tail + 1) return 0;
  if (strcmp(key + length - tail, last) || key[length - tail - 1] != '|') return 0;
  snprintf(head, 400, "%.*s", (int)(length - tail - 1), key);
  snprintf(text, 400, "%s", head + n + 1);
  return !strchr(text, '|');
}

/* Reads them and runs the tests; the program's exit status. */
static inline int run_with_goldens(int argc, char **argv, const struct CMUnitTest *tests, size_t n) {
  cr_problem p = {.status = CR_OK};
  if (argc != 2 || cr_read_npz(&goldens, argv[1], &p) != CR_OK) {
    fprintf(stderr, "usage: %s NETWORKS.NPZ; %s\n", argv[0], p.text);
    return 2;
  }
  int failed = _cmocka_run_group_tests("networks", tests, n, NULL, NULL);
  cr_archive_free(&goldens);
  return failed;
}

#endif
