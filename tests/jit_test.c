/* Compiled functions: the bits of replay for float64 and where asked, a few ulp for float32; the cache; and what happens
 * without a compiler, without a cache, and without memory.
 *
 *   jit_test CC FOLDER       FOLDER is for files of the test
 *
 * The environment variable CR_JIT_ALL compiles every sample of every function, which takes long. */
#define _XOPEN_SOURCE 700
#include <fcntl.h>
#include <ftw.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <cmocka.h>

#include "cr_config.h"
#include "jit.h"
#include "meter.h"
#include "samples.h"

enum { MOST_ENDS = 300 };

static const char *compiler, *folder;
static char cache[500];

static size_t bytes_of(const cr_array *a) { return (size_t)a->count * cr_dtype_size((cr_dtype)a->dtype); }

/* Functions with their arrays */

typedef struct ends {
  int n_in, n_out;
  cr_var in[MOST_ENDS], out[MOST_ENDS];
  cr_array from[MOST_ENDS], to[2][MOST_ENDS];
} ends;

static cr_fn *capture(ends *e) { return cr_capture(e->in[0].tape, e->n_in, e->in, e->n_out, e->out, 0, NULL, CR_FN_EXACT); }

static void take_arrays(ends *e, const cr_fn *f) {
  for (int k = 0; k < e->n_in; k++) {
    cr_array from = cr_view(e->in[k]);
    e->from[k] = cr_fn_input(f, k);
    e->from[k].data = malloc(bytes_of(&e->from[k]) + 1);
    cr_array_copy(&e->from[k], &from);
  }
  for (int k = 0; k < e->n_out; k++)
    for (int j = 0; j < 2; j++) {
      e->to[j][k] = cr_fn_output(f, k);
      e->to[j][k].data = malloc(bytes_of(&e->to[j][k]) + 1);
      memset(e->to[j][k].data, 0x5a + j, bytes_of(&e->to[j][k]));
    }
}

static void free_arrays(ends *e) {
  for (int k = 0; k < e->n_in; k++) free(e->from[k].data);
  for (int k = 0; k < e->n_out; k++) free(e->to[0][k].data), free(e->to[1][k].data);
}

static cr_jit_options options_of(int exact) {
  return (cr_jit_options){.compiler = compiler, .cache = cache, .exact = exact, .always = 1};
}

/* The first element of result k that differs in its bits (limit 0), or by more than the limit times the largest; -1: none.
 */
static int64_t first_difference(const ends *e, int k, double limit) {
  const cr_array *a = &e->to[0][k], *b = &e->to[1][k];
  double scale = 0;
  for (int64_t i = 0; i < a->count; i++) {
    double x = cr_array_get(a, i);
    if (isfinite(x) && fabs(x) > scale) scale = fabs(x);
  }
  size_t size = cr_dtype_size((cr_dtype)a->dtype);
  for (int64_t i = 0; i < a->count; i++) {
    double x = cr_array_get(a, i), y = cr_array_get(b, i);
    bool same = !memcmp((char *)a->data + (size_t)i * size, (char *)b->data + (size_t)i * size, size) || (x != x && y != y);
    if (!same && (limit == 0 || !(fabs(x - y) <= limit * (1e-30 + scale)))) return i;
  }
  return -1;
}

/* Replay and the compiled function on the same numbers; *compiled counts functions with at least one compiled step. */
static int agrees(ends *e, const char *what, int exact, double limit, int *compiled) {
  cr_fn *f = capture(e);
  char note[300] = "";
  if (!f) {
    const char *why = cr_error_text(e->in[0].tape);
    int refused = strstr(why, "by a mask") != NULL; /* rightly */
    if (!refused) print_message("%s: %s\n", what, why);
    return refused;
  }
  cr_jit_options o = options_of(exact);
  take_arrays(e, f);
  cr_workspace *w = cr_workspace_new(f);
  int good = w && cr_fn_run(f, w, e->from, e->to[0]) == CR_OK;
  good = cr_fn_compile(f, &o, note, sizeof note) == CR_OK && good;
  if (strstr(note, "not compiled") && !strstr(note, "no step")) print_message("%s: %s\n", what, note), good = 0;
  *compiled += strstr(note, " of ") != NULL;
  good = good && cr_fn_run(f, w, e->from, e->to[1]) == CR_OK;
  if (w && *cr_workspace_error(w)) print_message("%s: %s\n", what, cr_workspace_error(w));
  for (int k = 0; good && k < e->n_out; k++) {
    int64_t at = first_difference(e, k, limit);
    if (at < 0) continue;
    print_message("%s: result %d at %lld: %.17g, replayed %.17g (%s)\n", what, k, (long long)at,
                  cr_array_get(&e->to[1][k], at), cr_array_get(&e->to[0][k], at), note);
    good = 0;
  }
  free_arrays(e);
  cr_workspace_free(w);
  cr_fn_free(f);
  return good;
}

/* Results and gradients of one sample: nodes to be differentiated again, or once. */
typedef cr_status record_gradient(cr_var y, int n, const cr_var *x, cr_var *out);

static bool make_ends(sample *s, ends *e, const char *text, size_t length, cr_dtype dtype, record_gradient *grad) {
  char error[300];
  *e = (ends){0};
  if (!sample_make(s, text, length, dtype, 7, error)) {
    print_message("%s\n", error);
    return false;
  }
  for (int k = 0; k < s->n_inputs; k++) e->in[e->n_in++] = s->input[k];
  for (int k = 0; k < (int)s->results.n && e->n_out < 8; k++) e->out[e->n_out++] = s->results.value[k];
  int n = e->n_out;
  for (int k = 0; k < n && e->n_in; k++) {
    if (cr_dtype_of(e->out[k]) < CR_FLOAT32) continue;
    cr_var d[MOST_INPUTS];
    if (grad(e->out[k], e->n_in, e->in, d) != CR_OK) {
      cr_clear_error(s->tape);
      continue;
    }
    for (int j = 0; j < e->n_in; j++)
      if (!cr_is_poison(d[j])) e->out[e->n_out++] = d[j]; /* where nothing is handed on there is no node */
  }
  return true;
}

static int check_sample(const char *text, size_t length, cr_dtype dtype, int exact, record_gradient *grad, int *compiled) {
  static ends e;
  sample s;
  char what[300];
  snprintf(what, sizeof what, "%.*s (%s%s)", (int)length, text, cr_dtype_name(dtype), exact ? ", exact" : "");
  if (!make_ends(&s, &e, text, length, dtype, grad)) return 0;
  int good = !e.n_in || agrees(&e, what, exact, dtype == CR_FLOAT64 || exact ? 0 : 1e-4, compiled);
  sample_free(&s);
  return good;
}

static const char *samples_of(const cr_function *f, char *row, size_t size) {
  char a[64], b[64], name[64];
  if (f->samples || !f->family || strcmp(f->family, "elementwise")) return f->samples;
  sample_range(f->domain, 'a', a, sizeof a);
  sample_range(f->domain, 'b', b, sizeof b);
  int two = strstr(f->signature, "other") != NULL;
  snprintf(row, size, two ? "%s(x:(2,3)%s, y:(2,3)%s) + 0 * (x[0,0] + y[0,0])" : "sum(%s(x:(40,60)%s))",
           function_name(f, name, sizeof name), a, b);
  return row;
}

static void samples_agree_with_replay(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  const cr_function *f;
  const int stride = getenv("CR_JIT_ALL") ? 1 : 29;
  int failures = 0, checked = 0, compiled = 0, number = 0;
  for (int k = 0; (f = cr_function_at(t, k)); k++) {
    char row[200];
    const char *rest = samples_of(f, row, sizeof row), *text;
    size_t length;
    while ((text = sample_next(&rest, &length)))
      for (int d = 0; d < 3; d++)
        if (number++ % stride == 0)
          checked++, failures += !check_sample(text, length, d ? CR_FLOAT32 : CR_FLOAT64, d == 1,
                                               number % 2 ? cr_grad : cr_grad_once, &compiled);
  }
  cr_free(t);
  print_message("%d samples, %d with compiled steps\n", checked, compiled);
  assert_int_equal(failures, 0);
  assert_true(compiled > checked / 2);
}

/* Larger than a block, in several sizes: chains, broadcasts along either axis, sums, masks, scalars beside tensors. */
static const char *const programs[] = {
    "sum(sigmoid(x:(5003) * a:() + b:()) * tanh(x) - log1p(exp(-x^2)))",
    "sum(relu(x:(61,47) @ w:(47,83) + b:(83)) * c:(61,1)) + mean(x^2)",
    "sum(where(x:(70,70) > y:(70), x * y, exp(x) - y)) / (1 + sum(x^2)) + a:() * sin(a)",
    "sum(reshape(tanh(x:(64,96)), (96,64)) * y:(96,64)) + prod(sin(a:())) + a^3 / (1 + a^2)",
    "sum(layer_norm(gelu(x:(40,130) * 3), [130]) * x) + sum(cumsum(x, 0)[3:9] * 1) - 0 + sum(cast(x > 0, 'float64'))",
    "x:(7) * y:(7); sum(x:(16) - y:(16)); exp(x:(17)) + x",
};

static void blocks_agree_with_replay(void **state) {
  (void)state;
  int compiled = 0;
  for (size_t k = 0; k < sizeof programs / sizeof *programs; k++) {
    const char *rest = programs[k], *text;
    size_t length;
    while ((text = sample_next(&rest, &length)))
      for (int d = 0; d < 6; d++)
        assert_true(check_sample(text, length, d % 3 ? CR_FLOAT32 : CR_FLOAT64, d % 3 == 1, d < 3 ? cr_grad : cr_grad_once,
                                 &compiled));
  }
  assert_true(compiled >= 14);
}

static void scalars_have_the_bits_of_replay(void **state) {
  (void)state;
  static ends e;
  int compiled = 0;
  cr_tape *t = cr_new();
  e = (ends){.n_in = 2, .in = {cr_input(t, 0.7), cr_input(t, -1.3)}, .n_out = 6};
  cr_var x = e.in[0], y = e.in[1], z = cr_sin(x), c = cr_const(t, 0.1);
  for (int k = 0; k < 700; k++) {
    z = cr_add(cr_mul(cr_tanh(z), k % 3 ? x : y), cr_exp(cr_neg(cr_square(z))));
    if (k % 5 == 0) z = cr_add(z, cr_mul(cr_pow(cr_abs(z), c), cr_erf(y)));
  }
  e.out[0] = z;
  assert_int_equal(cr_grad(z, 2, e.in, e.out + 1), CR_OK);
  e.out[3] = x, e.out[4] = c;
  e.out[5] =
      cr_mul(cr_broadcast_to(z, 1, (int64_t[]){3}), cr_tensor_of(t, CR_FLOAT64, 1, (int64_t[]){3}, (double[]){1, 2, 3}));
  assert_true(agrees(&e, "scalars", 0, 0, &compiled));
  assert_int_equal(compiled, 1);
  cr_free(t);
}

/* The sweep needs the values of all nodes, of which compiled code keeps few. */
static void the_sweep_goes_on_working(void **state) {
  (void)state;
  double x = 0.5, y[2], gradient[2];
  cr_jit_options o = options_of(0);
  char note[300];
  cr_tape *t = cr_new();
  cr_var in = cr_input(t, x), z = cr_exp(cr_sin(cr_mul(in, in)));
  cr_fn *f = cr_capture(t, 1, &in, 1, &z, 0, NULL, CR_FN_EXACT);
  cr_workspace *w = cr_workspace_new(f);
  cr_array from = cr_fn_input(f, 0), to = cr_fn_output(f, 0);
  from.data = &x;
  for (int k = 0; k < 2; k++) {
    to.data = &y[k];
    assert_int_equal(cr_fn_run(f, w, &from, &to), CR_OK);
    assert_int_equal(cr_fn_backward(f, w, &from, &to, NULL, &gradient[k]), CR_OK);
    assert_int_equal(cr_fn_compile(f, &o, note, sizeof note), CR_OK);
    x = 0.5;
  }
  assert_true(y[0] == y[1] && gradient[0] == gradient[1]);
  x = 0.75, to.data = &y[1];
  assert_int_equal(cr_fn_backward(f, w, &from, &to, NULL, &gradient[1]), CR_OK);
  assert_true(fabs(gradient[1] - exp(sin(x * x)) * cos(x * x) * 2 * x) < 1e-14);
  cr_workspace_free(w);
  cr_fn_free(f);
  cr_free(t);
}

/* Rows in float, over numbers of every size, and over what is no number */

enum { POINTS = 4003, SPECIALS = 14 };

static void fill_points(float *x, int of_b) {
  static const float special[SPECIALS] = {0,      -0.0f,   INFINITY, -INFINITY, NAN,    1,  -1,
                                          1e-40f, -1e-40f, 3e38f,    -3e38f,    1e-20f, 89, -104};
  for (int k = 0; k < POINTS; k++) {
    double u = uniform(3 + (uint64_t)of_b, (uint64_t)k), v = uniform(5 + (uint64_t)of_b, (uint64_t)k);
    double size = k % 4 == 0 ? exp(60 * (v - 0.5)) : k % 4 == 1 ? v : k % 4 == 2 ? 10 * v : 1;
    x[k] = (float)((u < 0.4 ? -1 : 1) * size);
    if (k < SPECIALS * SPECIALS) x[k] = special[of_b ? k / SPECIALS : k % SPECIALS];
  }
}

/* Where a slope passes through 0 its terms cancel, exp magnifies the rounding of 1.702 x, and terms underflow: then the
 * absolute error is small. */
static double ulps_apart(float x, float y, double allowed) {
  if (x == y || (x != x && y != y) || fabs((double)x - (double)y) <= allowed) return 0;
  if (!isfinite(x) || !isfinite(y)) return (double)INFINITY;
  float size = fmaxf(fabsf(y), 1.17549435e-38f);
  return fabs((double)x - (double)y) / ((double)nextafterf(size, INFINITY) - (double)size);
}

static int is_row(const cr_function *f) { return f->family && !strcmp(f->family, "elementwise") && f->call; }

/* The worst of the compiled row against replay; -1: it has no form in float, or, where it is to be exact, none of the same
 * bits. */
static double worst_of(const cr_function *f, int exact, const float *p, const float *q, int64_t *at) {
  static ends e;
  char text[200], name[64];
  const int two = strstr(f->signature, "other") != NULL;
  cr_tape *t = cr_new();
  int64_t n = POINTS;
  e = (ends){.n_in = 2, .n_out = 1};
  for (int k = 0; k < 2; k++) e.in[k] = cr_tensor_of(t, CR_FLOAT32, 1, &n, NULL);
  snprintf(text, sizeof text, two ? "%s(x, y)" : "%s(x)", function_name(f, name, sizeof name));
  e.out[0] = cr_formula(t, text, "x", e.in[0], "y", e.in[1], NULL);
  cr_fn *fn = capture(&e);
  assert_non_null(fn);
  double worst = -1;
  cr_jit_options o = options_of(exact);
  if (cr_fn_jit_source(fn, &o)) {
    take_arrays(&e, fn);
    memcpy(e.from[0].data, p, POINTS * sizeof *p), memcpy(e.from[1].data, q, POINTS * sizeof *q);
    cr_workspace *w = cr_workspace_new(fn);
    assert_int_equal(cr_fn_run(fn, w, e.from, e.to[0]), CR_OK);
    assert_int_equal(cr_fn_compile(fn, &o, NULL, 0), CR_OK);
    assert_int_equal(cr_fn_run(fn, w, e.from, e.to[1]), CR_OK);
    worst = 0;
    for (int64_t k = 0; k < n; k++) {
      float is = (float)cr_array_get(&e.to[1][0], k), should = (float)cr_array_get(&e.to[0][0], k);
      const int cancels = strstr(f->signature, "_slope") || strstr(f->signature, "quick");
      double d = ulps_apart(is, should, exact ? 0 : cancels ? 1e-6 : 1e-37);
      if (isinf(d) && two && fmaxf(fabsf(p[k]), fabsf(q[k])) > 1e38f) continue; /* a term overflows in float */
      if (d > worst) worst = d, *at = k;
    }
    free_arrays(&e);
    cr_workspace_free(w);
  }
  cr_fn_free(fn);
  cr_free(t);
  return worst;
}

static void rows_in_float_are_near(void **state) {
  (void)state;
  static float p[POINTS], q[POINTS], target[POINTS];
  cr_tape *t = cr_new();
  const cr_function *f;
  int failures = 0, forms = 0, number = 0;
  const int stride = getenv("CR_JIT_ALL") ? 1 : 4;
  int same = 0;
  fill_points(p, 0), fill_points(q, 1);
  for (int k = 0; k < POINTS; k++) target[k] = (float)uniform(11, (uint64_t)k);
  for (int k = 0; (f = cr_function_at(t, k)); k++) {
    int64_t at = 0;
    if (!is_row(f) || number++ % stride) continue;
    const float *other = strstr(f->signature, "cross_entropy") ? target : q;
    double worst = worst_of(f, 0, p, other, &at), exact = worst_of(f, 1, p, other, &at);
    forms += worst >= 0, same += exact >= 0;
    if (worst <= 16 && exact <= 0) continue;
    print_message("%s(%.9g, %.9g): %.3g ulp\n", f->signature, (double)p[at], (double)q[at], worst);
    failures++;
  }
  cr_free(t);
  print_message("%d rows in float, %d with the bits of replay\n", forms, same);
  assert_int_equal(failures, 0);
  assert_true(forms > 5 && same > 4);
}

/* The cache */

static cr_fn *capture_small(int which) {
  cr_tape *t = cr_new();
  cr_var x = cr_input(t, 0.5), y = cr_sin(x);
  for (int k = 0; k < 5 + which; k++) y = cr_mul(y, x);
  cr_fn *f = cr_capture(t, 1, &x, 1, &y, 0, NULL, CR_FN_EXACT);
  cr_free(t);
  assert_non_null(f);
  return f;
}

static double value_of(const cr_fn *f) {
  double x = 0.5, y = (double)NAN;
  cr_array in = cr_fn_input(f, 0), out = cr_fn_output(f, 0);
  in.data = &x, out.data = &y;
  cr_workspace *w = cr_workspace_new(f);
  assert_non_null(w);
  assert_int_equal(cr_fn_run(f, w, &in, &out), CR_OK);
  cr_workspace_free(w);
  return y;
}

/* Compiles function number which and runs it; its note. */
static const char *note_of(int which, const cr_jit_options *o) {
  static char note[400];
  cr_fn *f = capture_small(which);
  double want = value_of(f);
  cr_jit_options as_c = *o;
  as_c.scalars_as_c = 1; /* small, and quickly compiled */
  assert_int_equal(cr_fn_compile(f, &as_c, note, sizeof note), CR_OK);
  assert_true(value_of(f) == want);
  cr_fn_free(f);
  return note;
}

static void says(const char *note, const char *text) {
  if (!strstr(note, text)) print_message("the note is: %s\n", note);
  assert_non_null(strstr(note, text));
}

static char entry[600];
static int64_t entry_bytes;
static void keep_entry(void *user, const cr_jit_entry *e) {
  const cr_jit_options *o = user;
  snprintf(entry, sizeof entry, "%s/%s.so", o->cache, e->key);
  entry_bytes = e->bytes;
}

static int entries_of(const cr_jit_options *o) {
  char note[300];
  return cr_jit_cache_list(o->cache, keep_entry, (void *)(uintptr_t)o, note, sizeof note);
}

static cr_jit_options fresh_cache(void) {
  char note[300];
  cr_jit_options o = options_of(0);
  cr_jit_cache_clear(cache, note, sizeof note);
  return o;
}

static void a_second_time_it_is_there(void **state) {
  (void)state;
  cr_jit_options o = fresh_cache();
  struct stat s;
  says(note_of(0, &o), "compiled 1 of 1 step");
  says(note_of(0, &o), "from the cache");
  says(note_of(1, &o), "compiled 1 of 1 step");
  assert_int_equal(entries_of(&o), 2);
  assert_int_equal(stat(cache, &s), 0);
  assert_int_equal(s.st_mode & 0777, 0700);
  o.flags = "-O0 -w -ffp-contract=off -fno-builtin-pow";
  says(note_of(0, &o), "compiled 1 of 1 step"); /* other flags, another entry */
  assert_int_equal(entries_of(&o), 3);
  assert_int_equal(cr_jit_cache_clear(cache, NULL, 0), 3);
  assert_int_equal(entries_of(&o), 0);
}

static void change_file(const char *path, long from_end, int cut) {
  FILE *f = fopen(path, "r+");
  assert_non_null(f);
  assert_int_equal(fseek(f, -from_end, SEEK_END), 0);
  if (cut) assert_int_equal(ftruncate(fileno(f), ftell(f)), 0);
  else fputc(0x55, f);
  fclose(f);
}

static void a_damaged_entry_is_made_again(void **state) {
  (void)state;
  cr_jit_options o = fresh_cache();
  note_of(0, &o);
  assert_int_equal(entries_of(&o), 1);
  const struct {
    long from_end;
    int cut;
  } damage[] = {{1, 0}, {20, 0}, {200, 0}, {5000, 0}, {1, 1}, {100, 1}};
  for (size_t k = 0; k < sizeof damage / sizeof *damage; k++) {
    change_file(entry, damage[k].from_end, damage[k].cut);
    says(note_of(0, &o), "compiled 1 of 1 step");
    says(note_of(0, &o), "from the cache");
  }
  change_file(entry, (long)entry_bytes, 1); /* empty */
  says(note_of(0, &o), "compiled 1 of 1 step");
}

/* An entry of another key under this name, whole, and one that others may write. */
static void a_foreign_entry_is_not_loaded(void **state) {
  (void)state;
  char first[600];
  cr_jit_options o = fresh_cache();
  note_of(0, &o);
  assert_int_equal(entries_of(&o), 1);
  strcpy(first, entry);
  assert_int_equal(cr_jit_cache_clear(cache, NULL, 0), 1);
  note_of(1, &o);
  assert_int_equal(entries_of(&o), 1);
  assert_int_equal(rename(entry, first), 0);
  says(note_of(0, &o), "compiled 1 of 1 step");
  assert_int_equal(chmod(first, 0666), 0);
  says(note_of(0, &o), "compiled 1 of 1 step");
  says(note_of(0, &o), "from the cache");
  assert_int_equal(unlink(first), 0);
  assert_int_equal(symlink("/dev/null", first), 0);
  says(note_of(0, &o), "compiled 1 of 1 step");
}

static void a_folder_that_is_not_private_is_refused(void **state) {
  (void)state;
  char other[600], note[300];
  cr_jit_options o = options_of(0);
  o.cache = other;
  snprintf(other, sizeof other, "%s/shared", folder);
  assert_int_equal(mkdir(other, 0700), 0);
  assert_int_equal(chmod(other, 0755), 0);
  says(note_of(0, &o), "is open to others: its mode must be 0700");
  assert_int_equal(cr_jit_cache_list(other, NULL, NULL, note, sizeof note), -1);
  says(note, "is open to others");
  assert_int_equal(cr_jit_cache_clear(other, note, sizeof note), -1);
  assert_int_equal(chmod(other, 0500), 0);
  says(note_of(0, &o), "cannot be written");
  snprintf(other, sizeof other, "%s/file", folder);
  fclose(fopen(other, "w"));
  says(note_of(0, &o), "is no folder");
  snprintf(other, sizeof other, "%s/file/inside", folder);
  says(note_of(0, &o), "not kept: cache");
  snprintf(other, sizeof other, "%s/made/on/the/way", folder);
  assert_int_equal(cr_jit_cache_list(other, NULL, NULL, note, sizeof note), 0);
  says(note_of(0, &o), "compiled 1 of 1 step");
  assert_int_equal(entries_of(&o), 1);
  o.cache = NULL;
  says(note_of(0, &o), "compiled 1 of 1 step");
}

static void the_oldest_go_first(void **state) {
  (void)state;
  cr_jit_options o = fresh_cache();
  note_of(0, &o);
  assert_int_equal(entries_of(&o), 1);
  struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
  assert_int_equal(utimensat(AT_FDCWD, entry, old, 0), 0);
  o.cache_bytes = 2 * entry_bytes + entry_bytes / 2;
  note_of(1, &o);
  assert_int_equal(entries_of(&o), 2);
  says(note_of(0, &o), "from the cache"); /* used just now */
  note_of(2, &o);
  assert_int_equal(entries_of(&o), 2);
  says(note_of(2, &o), "from the cache");
  o.cache_bytes = 1;
  note_of(3, &o);
  assert_int_equal(entries_of(&o), 1);
}

static void processes_share_a_cache(void **state) {
  (void)state;
  enum { PROCESSES = 8 };
  cr_jit_options o = fresh_cache();
  double want[4];
  o.scalars_as_c = 1;
  o.cache_bytes = 50000; /* so that they remove each other's, too */
  for (int k = 0; k < 4; k++) {
    cr_fn *f = capture_small(k);
    want[k] = value_of(f);
    cr_fn_free(f);
  }
  for (int p = 0; p < PROCESSES; p++) {
    if (fork()) continue;
    for (int k = 0; k < 4; k++) {
      char note[300];
      cr_fn *f = capture_small((k + p) % 4);
      int good = cr_fn_compile(f, &o, note, sizeof note) == CR_OK && strstr(note, "1 of 1 step") &&
                 value_of(f) == want[(k + p) % 4];
      if (!good) fprintf(stderr, "process %d: %s\n", p, note), _exit(1);
      cr_fn_free(f);
    }
    _exit(0);
  }
  for (int p = 0, status; p < PROCESSES; p++) {
    assert_true(wait(&status) > 0);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
}

/* What else can go wrong */

static void without_a_compiler_it_is_replayed(void **state) {
  (void)state;
  cr_jit_options o = fresh_cache();
  o.compiler = "no-such-compiler";
  says(note_of(0, &o), "not compiled: there is no compiler no-such-compiler");
  o.compiler = "/no/such/compiler";
  says(note_of(0, &o), "not compiled: there is no program /no/such/compiler");
  o.compiler = "/bin/false";
  says(note_of(0, &o), "not compiled: /bin/false fails");
  o.compiler = "/bin/true";
  says(note_of(0, &o), "not compiled: /bin/true makes no object");
  o = options_of(0);
  o.flags = "-Dsin=+ -w";
  says(note_of(0, &o), "error:");
  o.flags = "-std=gnu11 -w -Dchainrule_unit_3=other";
  says(note_of(0, &o), "not compiled:");
  o = options_of(0);
  signal(SIGCHLD, SIG_IGN); /* no process to wait for is no failure */
  says(note_of(0, &o), "compiled 1 of 1 step");
  signal(SIGCHLD, SIG_DFL);
  o.always = 0;
  says(note_of(0, &o), "too few to pay");
}

static void each_allocation_in_turn(void **state) {
  (void)state;
  meter m = {0};
  cr_allocator allocator = {meter_reallocate, &m};
  cr_jit_options o = options_of(0);
  fresh_cache();
  long before = 0, total = 0;
  double want = 0;
  for (long n = 0; n <= total; n++) {
    char note[300];
    m = (meter){0};
    cr_tape *t = cr_new_with(cr_standard_ops(), &allocator);
    cr_var in[2] = {cr_tensor_of(t, CR_FLOAT32, 1, (int64_t[]){700}, NULL), cr_input(t, 0.5)};
    cr_var y = cr_add(cr_sum(cr_exp(cr_mul(in[0], cr_cast(cr_sin(in[1]), CR_FLOAT32))), -1, NULL, 0),
                      cr_cast(cr_cos(in[1]), CR_FLOAT32));
    cr_fn *f = cr_capture(t, 2, in, 1, &y, 0, NULL, CR_FN_EXACT);
    assert_non_null(f);
    cr_free(t);
    before = m.calls;
    m.fail_at = n ? before + n : 0;
    cr_status status = cr_fn_compile(f, &o, note, sizeof note);
    assert_true(status == CR_NO_MEMORY || status == CR_OK);
    if (!n) total = m.calls - before;
    m.fail_at = 0;
    float x[700] = {0}, out = 0;
    double s = 0.5;
    cr_array from[2] = {cr_fn_input(f, 0), cr_fn_input(f, 1)}, to = cr_fn_output(f, 0);
    from[0].data = x, from[1].data = &s, to.data = &out;
    cr_workspace *w = cr_workspace_new(f);
    assert_int_equal(cr_fn_run(f, w, from, &to), CR_OK);
    if (!n) want = (double)out;
    assert_true(fabs((double)out - want) < 1e-3);
    cr_workspace_free(w);
    cr_fn_free(f);
    assert_int_equal(m.live, 0);
  }
  print_message("%ld failing allocations\n", total);
  assert_true(total > 5);
}

typedef struct worker {
  const cr_fn *f;
  double *x, y, g[6300];
} worker;

static void *work(void *context) {
  worker *k = context;
  cr_workspace *w = cr_workspace_new(k->f);
  cr_array from = cr_fn_input(k->f, 0), to[2] = {cr_fn_output(k->f, 0), cr_fn_output(k->f, 1)};
  from.data = k->x, to[0].data = &k->y, to[1].data = k->g;
  for (int round = 0; round < 4; round++) cr_fn_run(k->f, w, &from, to);
  cr_workspace_free(w);
  return NULL;
}

static void threads_run_one_compiled_function(void **state) {
  (void)state;
  enum { THREADS = 4 };
  static worker k[THREADS];
  static double x[6300];
  pthread_t thread[THREADS];
  cr_tape *t = cr_new();
  cr_jit_options o = options_of(0);
  char note[300];
  for (int i = 0; i < 6300; i++) x[i] = sin(i);
  cr_var in = cr_tensor_of(t, CR_FLOAT64, 1, (int64_t[]){6300}, x), out[2];
  out[0] = cr_sum(cr_mul(cr_tanh(in), cr_exp(cr_neg(cr_square(in)))), -1, NULL, 0);
  assert_int_equal(cr_grad(out[0], 1, &in, out + 1), CR_OK);
  cr_fn *f = cr_capture(t, 1, &in, 2, out, 0, NULL, CR_FN_EXACT);
  assert_int_equal(cr_fn_compile(f, &o, note, sizeof note), CR_OK);
  says(note, " of ");
  for (int i = 0; i < THREADS; i++) {
    k[i].f = f, k[i].x = x;
    assert_int_equal(pthread_create(&thread[i], NULL, work, &k[i]), 0);
  }
  for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_join(thread[i], NULL), 0);
  double gradient[6300];
  assert_int_equal(cr_read(out[1], gradient, 6300), CR_OK);
  for (int i = 0; i < THREADS; i++) {
    assert_true(k[i].y == cr_value(out[0]));
    assert_memory_equal(k[i].g, gradient, sizeof gradient);
  }
  cr_fn_free(f);
  cr_free(t);
}

static int remove_one(const char *path, const struct stat *s, int kind, struct FTW *at) {
  (void)s, (void)kind, (void)at;
  return remove(path);
}

static int remove_folder(void **state) {
  char shared[600];
  (void)state;
  snprintf(shared, sizeof shared, "%s/shared", folder);
  chmod(shared, 0700);
  return nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

int main(int argc, char **argv) {
  static char own[400];
  if (argc != 3) return fprintf(stderr, "jit_test CC FOLDER\n"), 2;
  compiler = argv[1];
  snprintf(own, sizeof own, "%s/jit_test-XXXXXX", argv[2]);
  folder = mkdtemp(own);
  if (!folder) return perror(own), 2;
  snprintf(cache, sizeof cache, "%s/cache", folder);
#if CR_HAVE_JIT
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(scalars_have_the_bits_of_replay),
      cmocka_unit_test(the_sweep_goes_on_working),
      cmocka_unit_test(blocks_agree_with_replay),
      cmocka_unit_test(samples_agree_with_replay),
      cmocka_unit_test(rows_in_float_are_near),
      cmocka_unit_test(a_second_time_it_is_there),
      cmocka_unit_test(a_damaged_entry_is_made_again),
      cmocka_unit_test(a_foreign_entry_is_not_loaded),
      cmocka_unit_test(a_folder_that_is_not_private_is_refused),
      cmocka_unit_test(the_oldest_go_first),
      cmocka_unit_test(processes_share_a_cache),
      cmocka_unit_test(without_a_compiler_it_is_replayed),
      cmocka_unit_test(each_allocation_in_turn),
      cmocka_unit_test(threads_run_one_compiled_function),
  };
  return cmocka_run_group_tests(tests, NULL, remove_folder);
#else
  cr_jit_options o = options_of(0);
  says(note_of(0, &o), "built without jit");
  return remove_folder(NULL);
#endif
}
