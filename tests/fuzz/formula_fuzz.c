/* Fuzzes the expression language: any bytes parse or fail with a place; what parses prints to text that reads as the
 * same tree; evaluation ends within its limits. replay.c runs it on files without a fuzzer. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "evaluate.h"
#include "ops.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int ok, const char *what) {
  if (ok) return;
  fprintf(stderr, "formula_fuzz: %s\n", what);
  abort();
}

/* The text of a tree, which the caller frees; NULL when memory ran out. */
static char *printed(cr_tape *t, const cr_syntax *s) {
  cr_buffer b = {.tape = t};
  cr_put(&b, "%s", "");
  cr_print_syntax(&b, s);
  if (b.failed) cr_buffer_free(&b);
  char *copy = b.text ? malloc(b.length + 1) : NULL;
  if (copy) memcpy(copy, b.text, b.length + 1);
  cr_buffer_free(&b);
  return copy;
}

/* Printing once more changes nothing; brackets that print adds may carry a tree over the depth limit: no fault. */
static void check_printing(cr_tape *t, const cr_syntax *s) {
  cr_syntax_error e;
  char *first = printed(t, s);
  const cr_syntax *back = first ? cr_parse(t, first, strlen(first), &e) : NULL;
  if (first && !back) require(e.status == CR_OVER_LIMIT || e.status == CR_NO_MEMORY, "printed text does not parse");
  char *second = back ? printed(t, back) : NULL;
  if (second) require(!strcmp(first, second), "printed text reads as another tree");
  free(first);
  free(second);
  cr_buffer b = {.tape = t};
  cr_latex_syntax(&b, s);
  cr_buffer_free(&b);
}

static void check_running(cr_tape *t, const char *source, size_t size) {
  static const char *const setup = "x = 3; y = 0.5; A = [[1, 2], [3, 4]]; v = [1, 2]; f(u, k=2) = sin(u)*k";
  cr_program *p = cr_program_new(t, CR_FLOAT64);
  cr_results r;
  cr_syntax_error e;
  if (!p || cr_program_run(p, setup, strlen(setup), &r, &e) != CR_OK) return;
  cr_status status = cr_program_run(p, source, size, &r, &e);
  require(status == cr_error(t), "status and error differ");
  require(status == CR_OK || e.status == status, "a failure without a place");
  if (status != CR_OK) require(e.at <= size && e.line > 0 && e.column > 0, "a place outside the source");
  cr_buffer b = {.tape = t};
  for (int k = 0; status == CR_OK && k < r.n; k++) {
    require(!cr_is_poison(r.value[k]), "a poisoned result without a failure");
    cr_print_infix(&b, r.value[k], 0);
    cr_print_latex(&b, r.value[k], 3);
  }
  cr_buffer_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  cr_tape *t = cr_new();
  if (!t) return 0;
  cr_set(t, CR_MAX_BYTES, 64);
  cr__language *language = cr__language_of(t);
  if (language) language->most_work = 2000;
  const char *source = (const char *)data;
  cr_syntax_error e;
  char text[300];
  const cr_syntax *s = cr_parse(t, source, size, &e);
  if (s) check_printing(t, s);
  else require(e.status != CR_OK && e.at <= size, "a failure without a place");
  if (!s) require(*cr_syntax_error_text(&e, source, size, text, sizeof text), "a failure without a text");
  cr_clear_error(t);
  check_running(t, source, size);
  cr_free(t);
  return 0;
}
