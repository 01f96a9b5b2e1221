/* Gradients as nodes that are not differentiated again (cr_grad_once): the numbers of the numeric sweep to the last bit, for
 * every sample of every function, recorded and captured. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "function.h"
#include "op.h"
#include "samples.h"

static int compared, absent;

/* Equal, where 0 may have either sign: the sweep adds to zeros where nodes are placed among them. */
static int same(const char *what, const cr_array *want, const cr_array *have) {
  for (int64_t k = 0; k < want->count; k++) {
    double a = cr_array_get(want, k), b = cr_array_get(have, k);
    if (a == b || (a != a && b != b)) continue;
    print_message("%s: %.17g, not %.17g, at %lld\n", what, b, a, (long long)k);
    return 0;
  }
  compared++;
  return want->count == have->count;
}

static int run_captured(const char *what, sample *s, int n, const cr_var *dx, const cr_array *want) {
  cr_array in[MOST_INPUTS], out[MOST_INPUTS];
  int good = 1;
  cr_fn *f = cr_capture(s->tape, s->n_inputs, s->input, n, dx, 0, NULL, CR_FN_EXACT);
  cr_workspace *w = f ? cr_workspace_new(f) : NULL;
  if (!w) {
    good = strstr(cr_error_text(s->tape), "by a mask") != NULL; /* rightly */
    if (!good) print_message("%s: %s\n", what, cr_error_text(s->tape));
    cr_clear_error(s->tape);
    return good;
  }
  double number[MOST_INPUTS];
  for (int k = 0; k < s->n_inputs; k++) {
    in[k] = cr_view(s->input[k]);
    number[k] = in[k].rank ? 0 : cr_array_get(&in[k], 0);
    if (!in[k].rank && in[k].dtype == CR_FLOAT64) in[k].data = &number[k];
  }
  for (int k = 0; k < n; k++) {
    out[k] = cr_fn_output(f, k);
    out[k].data = calloc((size_t)out[k].count + 1, sizeof(double));
  }
  good = cr_fn_run(f, w, in, out) == CR_OK;
  for (int k = 0; k < n; k++) {
    good = good && same(what, &want[k], &out[k]);
    free(out[k].data);
  }
  cr_workspace_free(w);
  cr_fn_free(f);
  return good;
}

static int check_sample(const char *text, size_t length, cr_dtype dtype) {
  sample s;
  char error[300], what[300];
  snprintf(what, sizeof what, "%.*s (%s)", (int)length, text, cr_dtype_name(dtype));
  if (!sample_make(&s, text, length, dtype, 7, error)) return 0;
  int good = 1;
  for (int r = 0; r < (int)s.results.n && s.n_inputs && good; r++) {
    cr_var y = s.results.value[r], dx[MOST_INPUTS], some[MOST_INPUTS];
    cr_array want[MOST_INPUTS];
    if (cr_dtype_of(y) < CR_FLOAT32) continue;
    cr_sweep *sweep = cr_backward(y);
    if (!sweep || cr_grad_once(y, s.n_inputs, s.input, dx) != CR_OK) {
      good = !sweep && cr_error(s.tape) != CR_OK; /* both say so */
      cr_clear_error(s.tape);
      continue;
    }
    int n = 0;
    for (int k = 0; k < s.n_inputs && good; k++) {
      cr_array a = cr_view(s.input[k]);
      if (cr_is_poison(dx[k])) {
        absent++;
        continue;
      }
      double *numbers = calloc((size_t)a.count + 1, sizeof *numbers);
      if (cr_adjoint_read(sweep, s.input[k], numbers, a.count) != CR_OK) fail_msg("%s", cr_error_text(s.tape));
      cr_array_init(&want[n], CR_FLOAT64, a.rank, a.dim);
      want[n].data = numbers;
      cr_array have = cr_view(dx[k]);
      good = same(what, &want[n], &have);
      some[n++] = dx[k];
    }
    good = good && (!n || run_captured(what, &s, n, some, want));
    for (int k = 0; k < n; k++) free(want[k].data);
  }
  sample_free(&s);
  return good;
}

static void every_function_has_the_bits_of_the_sweep(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  const cr_function *f;
  int failures = 0;
  for (int k = 0; (f = cr_function_at(t, k)); k++) {
    char row[200], a[64], b[64], name[64];
    const char *rest = f->samples, *text;
    size_t length;
    if (!rest && f->family && !strcmp(f->family, "elementwise")) {
      sample_range(f->domain, 'a', a, sizeof a);
      sample_range(f->domain, 'b', b, sizeof b);
      int two = strstr(f->signature, "other") != NULL;
      snprintf(row, sizeof row, two ? "%s(x:(7,300)%s, y:(7,300)%s)" : "%s(x:(40,60)%s)",
               function_name(f, name, sizeof name), a, b);
      rest = row;
    }
    while ((text = sample_next(&rest, &length)))
      for (int d = CR_FLOAT32; d <= CR_FLOAT64; d++) failures += !check_sample(text, length, (cr_dtype)d);
  }
  cr_free(t);
  print_message("%d gradients compared, %d absent\n", compared, absent);
  assert_int_equal(failures, 0);
  assert_true(compared > 1000);
}

static void it_is_absent_where_there_is_none(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  const int64_t two = 2;
  cr_var x = cr_tensor_of(t, CR_FLOAT64, 1, &two, (double[]){1, 2}), y = cr_tensor_of(t, CR_FLOAT64, 1, &two, NULL);
  cr_var in[2] = {x, y}, dx[2];
  double slope[2];
  assert_int_equal(cr_grad_once(cr_sum_all(cr_mul(x, x)), 2, in, dx), CR_OK);
  assert_int_equal(cr_read(dx[0], slope, 2), CR_OK);
  assert_true(slope[0] == 2 && slope[1] == 4);
  assert_true(cr_is_poison(dx[1]) && cr_error(t) == CR_OK);
  assert_int_equal(cr_grad_once(cr_poison(t), 1, in, dx), CR_POISONED);
  cr_free(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_function_has_the_bits_of_the_sweep),
                                     cmocka_unit_test(it_is_absent_where_there_is_none)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
