/* graph --stats --compile: the captured function compiled, and the time of a run before and after. */
#include <math.h>
#include <stdlib.h>
#include <time.h>

#include <jit.h>

#include "captured.h"
#include "command.h"

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The fastest of the runs of a tenth of a second, at least three; negative after a failure. */
static double time_of(const cr_fn *f, cr_workspace *w, const cr_array *a, int n) {
  double start = now(), best = (double)INFINITY;
  for (int k = 0; k < 3 || now() - start < 0.1; k++) {
    double before = now();
    if (cr_fn_run(f, w, a, a + n) != CR_OK) return -1;
    best = fmin(best, now() - before);
  }
  return best;
}

/* Memory for inputs, with their numbers, and for results. */
static bool take_arrays(const cr_fn *f, int n, int m, const cr_var *x, cr_array *a) {
  bool ok = true;
  for (int k = 0; k < n + m; k++) {
    cr_array from = cr_view(x[k]);
    a[k] = k < n ? cr_fn_input(f, k) : cr_fn_output(f, k - n);
    a[k].data = malloc((size_t)a[k].count * cr_dtype_size((cr_dtype)a[k].dtype) + 1);
    ok = ok && a[k].data;
    if (k < n && a[k].data) cr_array_copy(&a[k], &from);
  }
  return ok;
}

static bool time_both(cr_fn *f, cr_workspace *w, const cr_array *a, int n, const char *folder, timing *time) {
  time->replayed = time_of(f, w, a, n);
  if (cr_fn_compile(f, &(cr_jit_options){.cache = folder}, time->note, sizeof time->note) != CR_OK)
    return complain_memory(), false;
  time->compiled = time_of(f, w, a, n);
  if (time->replayed < 0) complain("%s", cr_workspace_error(w));
  return time->replayed >= 0;
}

bool time_compiled(cr_fn *f, int n, int m, const cr_var *x, timing *time) {
  char folder[1000];
  if (!cache_folder(folder, sizeof folder)) return false;
  cr_array *a = calloc((size_t)(n + m), sizeof *a);
  cr_workspace *w = cr_workspace_new(f);
  bool ok = a && w && take_arrays(f, n, m, x, a);
  if (!ok) complain_memory();
  ok = ok && time_both(f, w, a, n, folder, time);
  for (int k = 0; a && k < n + m; k++) free(a[k].data);
  cr_workspace_free(w);
  free(a);
  return ok;
}
