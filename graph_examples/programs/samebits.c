/* The results of a query once more, by a captured function and, where asked, by a compiled one. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <jit.h>

#include "captured.h"
#include "command.h"

/* Of the largest number of a result: how far float32 may be from replay when it is computed in float. */
static const double float_limit = 1e-5;

/* A function, and arrays for its inputs, as they are on the tape, and for its results. */
typedef struct rerun {
  cr_fn *f;
  cr_workspace *w;
  int n, m;
  cr_var *x, *y;
  cr_array *in, *out, *want;
  problem *p;
} rerun;

static size_t bytes_of(const cr_array *a) { return (size_t)a->count * cr_dtype_size((cr_dtype)a->dtype); }

/* The node's numbers row-major, in new memory; its array is theirs. */
static bool copy_of(cr_var v, cr_array *copy) {
  cr_array a = cr_view(v);
  cr_array_init(copy, (cr_dtype)a.dtype, a.rank, a.dim);
  copy->data = malloc(bytes_of(copy) + 1);
  if (copy->data) cr_array_copy(copy, &a);
  return copy->data != NULL;
}

static double largest_of(const cr_array *a) {
  double largest = 0;
  for (int64_t k = 0; k < a->count; k++) {
    double x = fabs(cr_array_get(a, k));
    if (isfinite(x) && x > largest) largest = x;
  }
  return largest;
}

/* The first element that differs, by more than the limit; NaN is NaN. -1: none. */
static int64_t first_difference(const cr_array *a, const cr_array *b, double limit) {
  size_t size = cr_dtype_size((cr_dtype)a->dtype);
  for (int64_t k = 0; k < a->count; k++) {
    const char *x = (const char *)a->data + (size_t)k * size, *y = (const char *)b->data + (size_t)k * size;
    double p = cr_array_get(a, k), q = cr_array_get(b, k);
    if (memcmp(x, y, size) && !(isnan(p) && isnan(q)) && !(fabs(p - q) <= limit)) return k;
  }
  return -1;
}

/* One run; the results beside those wanted. */
static bool run_again(rerun *r, const char *how, double limit) {
  for (int k = 0; k < r->m; k++) memset(r->out[k].data, 0x5a, bytes_of(&r->out[k]));
  if (cr_fn_run(r->f, r->w, r->in, r->out) != CR_OK) return fail(r->p, "internal", "%s: %s", how, cr_workspace_error(r->w));
  for (int k = 0; k < r->m; k++) {
    const cr_array *want = &r->want[k], *got = &r->out[k];
    int64_t at = first_difference(want, got, want->dtype == CR_FLOAT32 ? limit * largest_of(want) : 0);
    if (at >= 0)
      return fail(r->p, "internal", "element %lld is %.17g, but %.17g %s", (long long)at, cr_array_get(want, at),
                  cr_array_get(got, at), how);
  }
  return true;
}

static bool run_compiled(rerun *r, answer *a) {
  char folder[1000], flags[600];
  if (!cache_folder(folder, sizeof folder)) return fail(r->p, "internal", "there is no folder for the cache");
  snprintf(flags, sizeof flags, "%s -O1", cr_jit_flags());
  cr_jit_options o = {.cache = folder, .flags = flags, .always = 1};
  if (cr_fn_compile(r->f, &o, a->note, sizeof a->note) != CR_OK) return fail(r->p, "no memory", "out of memory");
  return run_again(r, "as a compiled function", float_limit);
}

static bool take_arrays(rerun *r) {
  bool good = r->w;
  for (int k = 0; good && k < r->n; k++) good = copy_of(r->x[k], &r->in[k]);
  for (int k = 0; good && k < r->m; k++) good = copy_of(r->y[k], &r->want[k]) && copy_of(r->y[k], &r->out[k]);
  return good || fail(r->p, "no memory", "out of memory");
}

static bool capture(rerun *r, cr_tape *t) {
  r->f = cr_capture(t, r->n, r->x, r->m, r->y, 0, NULL, CR_FN_EXACT);
  r->w = r->f ? cr_workspace_new(r->f) : NULL;
  if (r->f) return true;
  if (strstr(cr_error_text(t), "were read when it was recorded")) return cr_clear_error(t), true;
  return fail(r->p, status_code(cr_error(t)), "%s", cr_error_text(t));
}

static void rerun_free(rerun *r) {
  for (int k = 0; r->in && k < r->n + 2 * r->m; k++) free(r->in[k].data);
  cr_workspace_free(r->w);
  cr_fn_free(r->f);
  free(r->in);
  free(r->x);
}

bool same_when_captured(const query *q, answer *a) {
  rerun r = {.n = q->n, .p = &a->problem};
  r.x = calloc((size_t)(q->n + a->n) + 1, sizeof *r.x);
  r.in = calloc((size_t)(q->n + 2 * a->n) + 1, sizeof *r.in);
  bool good = (r.x && r.in) || fail(r.p, "no memory", "out of memory");
  if (good) r.y = r.x + r.n;
  for (int k = 0; good && k < q->n; k++) r.x[k] = q->x[k].var;
  for (int k = 0; good && k < a->n; k++)
    if (a->result[k].node.tape && !a->result[k].absent) r.y[r.m++] = a->result[k].node;
  if (good) r.want = r.in + r.n, r.out = r.want + r.m;
  good = good && r.m ? capture(&r, q->tape) : good;
  if (good && r.f)
    good = take_arrays(&r) && run_again(&r, "as a captured function", 0) && (!q->compiled || run_compiled(&r, a));
  rerun_free(&r);
  return good;
}
