/* The table of verbs: what a verb takes is an option, and each option is taken by a verb. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "command.h" /* first: cmocka makes its fail a macro */

#include <cmocka.h>

static int option_named(const char *name, size_t length) {
  int id = 0;
  while (id < N_OPTIONS && (strncmp(options[id].name, name, length) || options[id].name[length])) id++;
  return id;
}

static void words_are_options(void **state) {
  (void)state;
  for (const verb *v = verbs; v->name; v++)
    for (const char *word = v->options; *word; word += strcspn(word, " ") + 1) {
      size_t length = strcspn(word, " ");
      if (word[length] != ' ') fail_msg("%s: '%s' is not ended by a blank", v->name, word);
      int id = option_named(word, length);
      if (id == N_OPTIONS) fail_msg("%s: '%.*s' is no option", v->name, (int)length, word);
      assert_true(takes(v, id));
    }
}

static void options_are_taken(void **state) {
  (void)state;
  for (int id = 0; id < N_OPTIONS; id++) {
    int verbs_of = 0;
    for (const verb *v = verbs; v->name; v++) verbs_of += takes(v, id);
    if (!verbs_of) fail_msg("no verb takes --%s", options[id].name);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(words_are_options), cmocka_unit_test(options_are_taken)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
