/* Scalars as instructions of the processor: the bits of replay for every row, at every kind of number; graphs with more
 * values than registers; the reverse sweep; and what happens where there is no compiler, or no memory.
 *
 *   jit_scalars_test CC */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cr_config.h"
#include "graph.h"
#include "jit.h"
#include "meter.h"
#include "samples.h"

#if CR_HAVE_JIT && defined(__x86_64__)
enum { AS_CODE = 1 };
#else
enum { AS_CODE = 0 };
#endif
enum { MOST_ENDS = 64 };
static const char *compiler;

/* A function of scalars with its arrays; what: 0 replayed, 1 compiled, 2 captured again and made code by its first run. */
enum { REPLAYED, COMPILED, AT_ONCE, WAYS };
typedef struct setting {
  cr_fn *f, *at_once;
  cr_workspace *w, *at_once_w;
  int n_in, n_out;
  double in[MOST_ENDS], out[WAYS][MOST_ENDS], gradient[WAYS][MOST_ENDS], cotangent[MOST_ENDS];
  cr_array from[MOST_ENDS], to[MOST_ENDS];
} setting;

static void set_up(setting *s, int n_in, const cr_var *in, int n_out, const cr_var *out) {
  *s = (setting){.n_in = n_in, .n_out = n_out};
  s->f = cr_capture(in[0].tape, n_in, in, n_out, out, 0, NULL, CR_FN_EXACT & ~(unsigned)CR_FN_CODE);
  s->at_once = cr_capture(in[0].tape, n_in, in, n_out, out, 0, NULL, CR_FN_EXACT);
  if (!s->f) print_message("%s\n", cr_error_text(in[0].tape));
  assert_non_null(s->f);
  assert_non_null(s->at_once);
  s->w = cr_workspace_new(s->f);
  s->at_once_w = cr_workspace_new(s->at_once);
  assert_non_null(s->w);
  assert_non_null(s->at_once_w);
  for (int k = 0; k < n_in; k++) s->from[k] = cr_fn_input(s->f, k), s->from[k].data = &s->in[k];
  for (int k = 0; k < n_out; k++) s->to[k] = cr_fn_output(s->f, k), s->cotangent[k] = 1 - 0.3 * k;
}

static void tear_down(setting *s) {
  cr_workspace_free(s->w), cr_workspace_free(s->at_once_w);
  cr_fn_free(s->f), cr_fn_free(s->at_once);
}

static void run(setting *s, int what) {
  for (int k = 0; k < s->n_out; k++) s->to[k].data = &s->out[what][k], s->out[what][k] = 77 + what;
  const cr_fn *f = what == AT_ONCE ? s->at_once : s->f;
  assert_int_equal(cr_fn_run(f, what == AT_ONCE ? s->at_once_w : s->w, s->from, s->to), CR_OK);
}

static void sweep(setting *s, int what) {
  for (int k = 0; k < s->n_out; k++) s->to[k].data = &s->out[what][k], s->out[what][k] = 79 + what;
  for (int k = 0; k < s->n_in; k++) s->gradient[what][k] = 81 + what;
  const cr_fn *f = what == AT_ONCE ? s->at_once : s->f;
  cr_workspace *w = what == AT_ONCE ? s->at_once_w : s->w;
  cr_status status = cr_fn_backward(f, w, s->from, s->to, s->cotangent, s->gradient[what]);
  if (status != CR_OK) print_message("%s\n", cr_workspace_error(w));
  assert_int_equal(status, CR_OK);
}

static void compile(setting *s, int as_c, const char *want) {
  char note[300];
  cr_jit_options o = {.compiler = compiler, .always = 1, .scalars_as_c = as_c};
  assert_int_equal(cr_fn_compile(s->f, &o, note, sizeof note), CR_OK);
  if (!strstr(note, want)) print_message("the note is: %s\n", note);
  assert_non_null(strstr(note, want));
}

static int differ(const char *what, int n, const double *x, const double *y) {
  for (int k = 0; k < n; k++) {
    if (!memcmp(&x[k], &y[k], sizeof *x) || (isnan(x[k]) && isnan(y[k]))) continue;
    print_message("%s: number %d is %.17g, replayed %.17g\n", what, k, y[k], x[k]);
    return 1;
  }
  return 0;
}

/* Replays and sweeps, as it is, as code of the first run, and compiled. */
static int check(setting *s, const char *what) {
  int failures = 0;
  run(s, REPLAYED), sweep(s, REPLAYED);
  assert_null(s->f->codes);
  compile(s, 0, "compiled 1 of 1 step");
  for (int way = COMPILED; way < WAYS; way++) {
    run(s, way);
    failures += differ(what, s->n_out, s->out[0], s->out[way]);
    sweep(s, way);
    failures += differ(what, s->n_out, s->out[0], s->out[way]) + differ(what, s->n_in, s->gradient[0], s->gradient[way]);
  }
  const cr_fn_stats now = cr_fn_stats_of(s->at_once);
  if (AS_CODE && now.nodes > 100 + (unsigned)s->n_in) assert_non_null(s->at_once->codes);
  if (now.nodes < 64) assert_null(s->at_once->codes);
  return failures;
}

/* Rows */

static const double points[] = {0.7, -0.4, 2.5, -3.25, 0.0, -0.0, 1, -1, 2, (double)INFINITY, -(double)INFINITY, (double)NAN,
                                1e-310, -5e-324, 1e308, -1e308, 709.9, 36.5, 0.5};
enum { POINTS = sizeof points / sizeof *points };

/* The row, its derivatives as nodes, and the sweep, over all pairs of points. */
static int check_row(const cr_op *op) {
  const char *text = op->name;
  const int two = op->arity == 2;
  int failures = 0;
  setting s;
  cr_tape *t = cr_new();
  cr_var in[2] = {cr_input(t, 0.7), cr_input(t, 0.6)}, out[4];
  out[0] = cr_record(t, op, op->arity, in, NULL);
  assert_false(cr_is_poison(out[0]));
  out[1] = cr_mul(out[0], in[1]); /* so that there is something to hand on */
  set_up(&s, 2, in, 2, out);
  run(&s, 0), compile(&s, 0, "compiled 1 of 1 step");
  setting again;
  set_up(&again, 2, in, 2, out);
  for (int k = 0; k < POINTS; k++)
    for (int j = 0; j < (two ? POINTS : 2); j++) {
      s.in[0] = again.in[0] = points[k], s.in[1] = again.in[1] = points[j];
      run(&s, 1), run(&again, 0);
      failures += differ(text, 2, again.out[0], s.out[1]);
      sweep(&s, 1), sweep(&again, 0);
      failures += differ(text, 2, again.out[0], s.out[1]) + differ(text, 2, again.gradient[0], s.gradient[1]);
      if (failures) {
        print_message("%s at %g, %g\n", text, points[k], points[j]);
        j = k = POINTS;
      }
    }
  tear_down(&s), tear_down(&again);
  if (!failures && cr_grad(out[1], 2, in, out + 2) == CR_OK && !cr_is_poison(out[2]) && !cr_is_poison(out[3])) {
    set_up(&s, 2, in, 4, out);
    s.in[0] = 0.6, s.in[1] = 0.8;
    run(&s, 0), compile(&s, 0, " of "), run(&s, 1); /* the slopes of some rows have choices, which are tensors */
    failures += differ(text, 4, s.out[0], s.out[1]);
    tear_down(&s);
  }
  cr_free(t);
  return failures;
}

static void every_row_has_the_bits_of_replay(void **state) {
  (void)state;
  int failures = 0, rows = 0;
  for (int k = 0; k < cr__n_rows; k++)
    if (cr__rows[k]->row->result != 'b') rows++, failures += check_row(cr__rows[k]);
  print_message("%d rows\n", rows);
  assert_true(rows > 60);
  assert_int_equal(failures, 0);
}

/* Graphs */

static uint32_t roll(uint32_t *dice) { return (*dice = *dice * 1664525u + 1013904223u) >> 8; }

/* Random operations on random results among the latest width; results, too, some of them from the middle. Where the width is
 * large, the first is the sum of the latest: there is enough to do at once for replay to do it in strips. */
static void record_random(int nodes, int width, uint32_t dice, int n_in, const cr_var *in, int n_out, cr_var *out) {
  const bool rough = dice % 3 == 0;
  cr_var *v = malloc((size_t)nodes * sizeof *v);
  cr_tape *t = in[0].tape;
  for (int k = 0; k < nodes; k++) {
    const int among = k < width ? k : width;
    cr_var a = among ? v[k - 1 - (int)(roll(&dice) % (unsigned)among)] : in[0];
    cr_var b = roll(&dice) % 5 ? a : in[roll(&dice) % (unsigned)n_in];
    if (among && roll(&dice) % 3) b = v[k - 1 - (int)(roll(&dice) % (unsigned)among)];
    switch (roll(&dice) % 16) {
      case 0: v[k] = cr_sin(a); break;
      case 1: v[k] = cr_tanh(a); break;
      case 2: v[k] = cr_exp(cr_neg(cr_square(a))); break;
      case 3: v[k] = cr_sqrt(cr_add(cr_square(a), rough ? b : cr_square(b))); break; /* rough: also of what is negative */
      case 4: v[k] = cr_div(a, cr_add(cr_square(b), in[0])); break;
      case 5: v[k] = cr_sub(cr_const(t, 0.25), a); break;
      case 6: v[k] = cr_abs(a); break;
      case 7: v[k] = cr_pow(cr_abs(a), cr_const(t, 1.5)); break;
      case 8: v[k] = cr_hypot(a, b); break;
      case 9: case 10: v[k] = cr_sub(cr_mul(a, cr_const(t, 0.6)), cr_mul(b, in[n_in - 1])); break;
      default: v[k] = cr_mul(cr_add(a, b), cr_const(t, 0.4));
    }
  }
  for (int k = 0; k < n_out; k++) out[k] = v[nodes - 1 - k * (nodes / n_out)];
  for (int k = 1; width >= 700 && k <= width && k < nodes; k++) out[0] = cr_add(out[0], v[nodes - 1 - k]);
  free(v);
}

static void graphs_have_the_bits_of_replay(void **state) {
  (void)state;
  static const struct {
    int nodes, width;
  } sizes[] = {{1, 1},    {5, 2},     {40, 5},     {300, 3},    {300, 14},     {300, 40},
               {700, 90}, {3000, 20}, {9000, 1000}, {30000, 30}, {30000, 9000}};
  int failures = 0, finite = 0, wide = 0; /* replay sweeps wide ones in another order */
  for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
    for (uint32_t seed = 1; seed < (sizes[k].nodes > 1000 ? 3 : 12); seed++) {
      char what[100];
      setting s;
      cr_tape *t = cr_new();
      cr_var in[3] = {cr_input(t, 0.7), cr_input(t, -1.3), cr_input(t, 0.2)}, out[9];
      record_random(sizes[k].nodes, sizes[k].width, seed, 3, in, 4, out);
      out[4] = out[1], out[5] = in[2], out[6] = cr_const(t, 3), out[7] = cr_neg(out[0]), out[8] = in[2];
      set_up(&s, 3, in, 9, out);
      s.in[0] = 0.7, s.in[1] = -1.3, s.in[2] = 0.2;
      snprintf(what, sizeof what, "%d nodes, of the latest %d, seed %u", sizes[k].nodes, sizes[k].width, (unsigned)seed);
      failures += check(&s, what);
      finite += isfinite(s.gradient[1][0]) && s.gradient[1][0] != 0;
      wide += sizes[k].width >= 700 && isfinite(s.gradient[1][0]) && s.gradient[1][0] != 0;
      for (int again = 0; again < 2; again++) { /* other numbers, in the same workspace */
        setting other;
        set_up(&other, 3, in, 9, out);
        for (int i = 0; i < 3; i++) s.in[i] = other.in[i] = points[again * 3 + i];
        run(&other, 0), run(&s, 1);
        failures += differ(what, 9, other.out[0], s.out[1]);
        sweep(&other, 0), sweep(&s, 1);
        failures += differ(what, 3, other.gradient[0], s.gradient[1]);
        tear_down(&other);
      }
      tear_down(&s);
      cr_free(t);
    }
  assert_int_equal(failures, 0);
  assert_true(finite > 20 && wide >= 4);
}

/* With the gradient as nodes: products of the chain rule, which are 0 where the cotangent is. */
static void captured_gradients_have_the_bits_of_replay(void **state) {
  (void)state;
  int failures = 0;
  for (uint32_t seed = 1; seed < 8; seed++) {
    setting s;
    cr_tape *t = cr_new();
    cr_var in[3] = {cr_input(t, 0.7), cr_input(t, -1.3), cr_input(t, 0.2)}, out[8];
    record_random(800, seed < 4 ? 10 : 200, seed, 3, in, 2, out);
    assert_int_equal(cr_grad(out[0], 3, in, out + 2), CR_OK);
    assert_int_equal(cr_grad_once(out[1], 3, in, out + 5), CR_OK);
    int n = 2;
    for (int k = 2; k < 8; k++)
      if (!cr_is_poison(out[k])) out[n++] = out[k];
    set_up(&s, 3, in, n, out);
    for (int k = 0; k < 3; k++) s.in[k] = points[k];
    failures += check(&s, "a captured gradient");
    tear_down(&s);
    cr_free(t);
  }
  assert_int_equal(failures, 0);
}

/* sqrt(0) has an infinite slope, but nobody asks for it: the sweep of numbers leaves it out, and so must this. */
static void what_is_not_handed_on_is_left_out(void **state) {
  (void)state;
  setting s;
  cr_tape *t = cr_new();
  cr_var in[2] = {cr_input(t, 0), cr_input(t, 2)}, out[2];
  out[0] = cr_mul(cr_sub(in[1], in[1]), cr_sqrt(in[0]));
  out[0] = cr_add(out[0], cr_mul(in[0], in[1]));
  out[1] = cr_sqrt(cr_mul(in[0], cr_square(in[1])));
  set_up(&s, 2, in, 2, out);
  s.in[0] = 0, s.in[1] = 2;
  s.cotangent[1] = 0;
  assert_int_equal(check(&s, "slopes of infinity"), 0);
  assert_true(s.gradient[1][0] == 2 && s.gradient[1][1] == 0);
  s.cotangent[0] = -0.0, s.cotangent[1] = 1;
  sweep(&s, 1);
  assert_true(isinf(s.gradient[1][0]));
  tear_down(&s);
  cr_free(t);
}

/* Nobody's adjoint is 0, not -0, and inputs that nothing depends on have it. */
static void zeros_have_their_sign(void **state) {
  (void)state;
  setting s;
  cr_tape *t = cr_new();
  cr_var in[3] = {cr_input(t, 3), cr_input(t, -2), cr_input(t, 1)};
  cr_var out[2] = {cr_mul(cr_neg(in[0]), in[1]), cr_mul(in[0], in[0])};
  set_up(&s, 3, in, 2, out);
  s.in[0] = 0, s.in[1] = -2, s.in[2] = 1;
  s.cotangent[0] = 0, s.cotangent[1] = -0.0;
  assert_int_equal(check(&s, "zeros"), 0);
  for (int k = 0; k < 3; k++) assert_true(s.gradient[1][k] == 0 && !signbit(s.gradient[1][k]));
  tear_down(&s);
  cr_free(t);
}

/* Through the compiler, as where the processor is not known. */
static void as_c_they_have_the_bits_of_replay(void **state) {
  (void)state;
  setting s;
  cr_tape *t = cr_new();
  cr_var in[2] = {cr_input(t, 0.7), cr_input(t, -1.3)}, out[3];
  record_random(1000, 12, 3, 2, in, 1, out);
  assert_int_equal(cr_grad(out[0], 2, in, out + 1), CR_OK);
  set_up(&s, 2, in, 3, out);
  s.in[0] = 0.7, s.in[1] = -1.3;
  run(&s, 0), sweep(&s, 0);
  assert_int_equal(check(&s, "as code"), 0);
  compile(&s, 1, "compiled 1 of 1 step");
  run(&s, 1);
  assert_int_equal(differ("as C", 3, s.out[0], s.out[1]), 0);
  sweep(&s, 1);
  assert_int_equal(differ("as C", 2, s.gradient[0], s.gradient[1]), 0);
  assert_non_null(cr_fn_jit_source(s.f, &(cr_jit_options){.scalars_as_c = 1}));
  assert_true(AS_CODE == !cr_fn_jit_source(s.f, NULL));
  compile(&s, 0, "compiled 1 of 1 step");
  run(&s, 1);
  assert_int_equal(differ("as code again", 3, s.out[0], s.out[1]), 0);
  tear_down(&s);
  record_random(25000, 12, 3, 2, in, 1, out);
  set_up(&s, 2, in, 1, out);
  compile(&s, 1, "not compiled: ");
  tear_down(&s);
  cr_free(t);
}

/* What to compile */

static const char *note_of(const cr_fn *f, const cr_jit_options *o) {
  static char note[300];
  assert_int_equal(cr_fn_compile((cr_fn *)(uintptr_t)f, o, note, sizeof note), CR_OK);
  return note;
}

static void says(const char *note, const char *text) {
  if (strcmp(note, text)) print_message("the note is: %s\n", note);
  assert_string_equal(note, text);
}

static void no_compiler_is_needed(void **state) {
  (void)state;
  cr_jit_options o = {.compiler = "/no/such/compiler"};
  cr_tape *t = cr_new();
  cr_var in[2] = {cr_input(t, 0.7), cr_tensor_of(t, CR_FLOAT64, 1, (int64_t[]){5000}, NULL)}, out[2];
  record_random(100, 12, 3, 1, in, 1, out);
  cr_fn *f = cr_capture(t, 1, in, 1, out, 0, NULL, CR_FN_EXACT);
  says(note_of(f, &o), "compiled 1 of 1 step");
  assert_null(cr_fn_jit_source(f, &o));
  cr_fn_free(f);
  out[1] = cr_exp(cr_mul(in[1], out[0]));
  f = cr_capture(t, 2, in, 2, out, 0, NULL, CR_FN_EXACT);
  says(note_of(f, &o), "compiled 1 of 2 steps; not the others: there is no program /no/such/compiler");
  cr_fn_free(f);
  cr_var small = cr_sin(in[0]);
  f = cr_capture(t, 1, in, 1, &small, 0, NULL, CR_FN_EXACT);
  says(note_of(f, &o), "not compiled: a run computes 1 number, too few to pay");
  cr_fn_free(f);
  cr_free(t);
}

typedef struct metered {
  meter m;
  cr_allocator allocator;
  cr_fn *f;
  cr_workspace *w;
  double x[2], y[1], gradient[2];
  cr_array from[2], to;
} metered;

static void set_up_metered(metered *s, unsigned passes) {
  *s = (metered){.x = {0.7, -1.3}};
  s->allocator = (cr_allocator){meter_reallocate, &s->m};
  cr_tape *t = cr_new_with(cr_standard_ops(), &s->allocator);
  cr_var in[2] = {cr_input(t, 0.7), cr_input(t, -1.3)}, out;
  record_random(2000, 50, 5, 2, in, 1, &out);
  s->f = cr_capture(t, 2, in, 1, &out, 0, NULL, passes);
  assert_non_null(s->f);
  cr_free(t);
  s->w = cr_workspace_new(s->f);
  for (int k = 0; k < 2; k++) s->from[k] = cr_fn_input(s->f, k), s->from[k].data = &s->x[k];
  s->to = cr_fn_output(s->f, 0), s->to.data = s->y;
}

/* The status of a run and a sweep; both have what is wanted, if they say so. */
static cr_status run_metered(metered *s, const double *want) {
  *s->y = 3, s->gradient[0] = s->gradient[1] = 4;
  cr_status status = cr_fn_run(s->f, s->w, s->from, &s->to);
  if (status == CR_OK && want) assert_int_equal(differ("value", 1, want, s->y), 0);
  if (status == CR_OK) status = cr_fn_backward(s->f, s->w, s->from, &s->to, NULL, s->gradient);
  if (status == CR_OK && want)
    assert_int_equal(differ("value", 1, want, s->y) + differ("gradient", 2, want + 1, s->gradient), 0);
  assert_true(status == CR_NO_MEMORY || status == CR_OK);
  return status;
}

static void tear_down_metered(metered *s) {
  cr_workspace_free(s->w);
  cr_fn_free(s->f);
  assert_int_equal(s->m.live, 0);
}

/* Of compiling, and of the first run that does it; what cannot be had for code is done without. */
static void each_allocation_in_turn(void **state) {
  (void)state;
  double want[3] = {0};
  metered s;
  set_up_metered(&s, CR_FN_EXACT & ~(unsigned)CR_FN_CODE);
  assert_int_equal(run_metered(&s, NULL), CR_OK);
  want[0] = s.y[0], want[1] = s.gradient[0], want[2] = s.gradient[1];
  tear_down_metered(&s);
  for (int at_once = 0; at_once < 2; at_once++) {
    long total = 0;
    for (long n = 0; n <= total; n++) {
      set_up_metered(&s, CR_FN_EXACT & ~(at_once ? 0u : (unsigned)CR_FN_CODE));
      if (!at_once) run_metered(&s, want);
      long before = s.m.calls;
      s.m.fail_at = n ? before + n : 0;
      char note[300] = "";
      cr_status status = at_once ? CR_OK : cr_fn_compile(s.f, NULL, note, sizeof note);
      assert_true(status == CR_NO_MEMORY || status == CR_OK);
      assert_true(status == CR_OK || !strcmp(note, "out of memory"));
      run_metered(&s, want);
      if (!n) total = s.m.calls - before;
      s.m.fail_at = 0;
      assert_int_equal(run_metered(&s, want), CR_OK);
      long after = s.m.calls;
      assert_int_equal(run_metered(&s, want), CR_OK);
      assert_int_equal(s.m.calls, after); /* nothing is allocated any more */
      if (!n && AS_CODE) assert_non_null(s.f->codes);
      tear_down_metered(&s);
    }
    print_message("%ld failing allocations\n", total);
    assert_true(!AS_CODE || total > 5);
  }
}

static void *work(void *context) {
  const setting *s = context;
  cr_workspace *w = cr_workspace_new(s->f);
  double value[2], y, gradient[2];
  cr_array from[2] = {s->from[0], s->from[1]}, to = s->to[0];
  for (int k = 0; k < 2; k++) value[k] = s->in[k], from[k].data = &value[k];
  to.data = &y;
  bool good = true;
  for (int round = 0; round < 20; round++) {
    good = good && cr_fn_run(s->f, w, from, &to) == CR_OK && !differ("value", 1, s->out[0], &y);
    good = good && cr_fn_backward(s->f, w, from, &to, s->cotangent, gradient) == CR_OK &&
           !differ("gradient", 2, s->gradient[0], gradient);
  }
  cr_workspace_free(w);
  return good ? context : NULL;
}

static void start_and_join(setting *s) {
  enum { THREADS = 4 };
  pthread_t thread[THREADS];
  for (int k = 0; k < THREADS; k++) assert_int_equal(pthread_create(&thread[k], NULL, work, s), 0);
  for (int k = 0; k < THREADS; k++) {
    void *good;
    assert_int_equal(pthread_join(thread[k], &good), 0);
    assert_non_null(good);
  }
}

static void threads_run_one_code(void **state) {
  (void)state;
  setting s;
  cr_tape *t = cr_new();
  cr_var in[2] = {cr_input(t, 0.7), cr_input(t, -1.3)}, out;
  record_random(3000, 30, 1, 2, in, 1, &out);
  set_up(&s, 2, in, 1, &out);
  s.in[0] = 0.7, s.in[1] = 1.3;
  assert_int_equal(check(&s, "threads"), 0);
  start_and_join(&s);
  cr_fn *compiled = s.f;
  s.f = cr_capture(t, 2, in, 1, &out, 0, NULL, CR_FN_EXACT);
  assert_non_null(s.f);
  start_and_join(&s); /* of whom one makes the code */
  if (AS_CODE) assert_non_null(s.f->codes);
  cr_fn_free(s.f);
  s.f = compiled;
  tear_down(&s);
  cr_free(t);
}

int main(int argc, char **argv) {
  if (argc != 2) return fprintf(stderr, "jit_scalars_test CC\n"), 2;
  compiler = argv[1];
#if CR_HAVE_JIT
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_row_has_the_bits_of_replay),
      cmocka_unit_test(graphs_have_the_bits_of_replay),
      cmocka_unit_test(captured_gradients_have_the_bits_of_replay),
      cmocka_unit_test(what_is_not_handed_on_is_left_out),
      cmocka_unit_test(zeros_have_their_sign),
      cmocka_unit_test(as_c_they_have_the_bits_of_replay),
      cmocka_unit_test(no_compiler_is_needed),
      cmocka_unit_test(each_allocation_in_turn),
      cmocka_unit_test(threads_run_one_code),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
#else
  return 0;
#endif
}
