/* Errors and nodes know the caller's file and line, through the macros of sites.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "chainrule.h"

static void an_error_names_the_line_of_the_call(void **state) {
  (void)state;
  char place[300];
  cr_tape *t = cr_new();
  cr_var a = cr_tensor_of(t, CR_FLOAT64, 1, (int64_t[]){2}, NULL), b = cr_tensor_of(t, CR_FLOAT64, 1, (int64_t[]){3}, NULL);
  cr_var y = cr_exp(cr_sin(a));
  int line = __LINE__ + 1;
  cr_var bad = cr_mul(cr_sin(y), b);
  cr_exp(a); /* a later call does not move the place */
  snprintf(place, sizeof place, "[%s:%d]", __FILE__, line);
  assert_true(cr_is_poison(bad));
  assert_non_null(strstr(cr_error_text(t), place));
  cr_free(t);
}

static void a_node_remembers_its_line(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  cr_set(t, CR_TRACK_SITES, 1);
  cr_var x = cr_input(t, 2);
  int line = 0, here = __LINE__ + 1;
  cr_var y = cr_sin(x);
  cr_exp(y);
  assert_string_equal(cr_node_site(y, &line), __FILE__);
  assert_int_equal(line, here);
  cr_free(t);
}

static void the_origin_of_a_nan_names_its_line(void **state) {
  (void)state;
  char place[300], text[1000];
  cr_tape *t = cr_new();
  cr_set(t, CR_TRACK_SITES, 1);
  cr_var x = cr_name(cr_input(t, -1), "x");
  int line = __LINE__ + 1;
  cr_var v = cr_log(x);
  cr_var y = cr_add(v, x);
  snprintf(place, sizeof place, "%s:%d", __FILE__, line);
  assert_int_equal(cr_find_nonfinite(y, text, sizeof text), 1);
  assert_non_null(strstr(text, place));
  cr_free(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(an_error_names_the_line_of_the_call),
    cmocka_unit_test(a_node_remembers_its_line),
    cmocka_unit_test(the_origin_of_a_nan_names_its_line),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
