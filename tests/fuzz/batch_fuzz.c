/* Fuzzes chainrule batch: whatever a line holds, the answer has an id, and either an error with a code and a message or all
 * that is wanted; and it is JSON. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok, const char *what) {
  if (ok) return;
  fprintf(stderr, "batch_fuzz: %s\n", what);
  abort();
}

static void check(const json_t *j) {
  const json_t *error = json_object_get(j, "error");
  require(json_object_get(j, "id") != NULL, "an answer without an id");
  if (error) {
    const char *message = json_string_value(json_object_get(error, "message"));
    require(json_is_string(json_object_get(error, "code")) && message && *message, "an error without code and message");
    require(!strchr(message, '\n'), "a message of several lines");
  }
  char *text = json_dumps(j, JSON_REAL_PRECISION(17));
  require(text != NULL, "an answer that cannot be written");
  json_t *back = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
  require(back != NULL, "an answer that cannot be read");
  json_decref(back);
  free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  cr_tape *t = size ? cr_new() : NULL;
  if (!t) return 0;
  cr_set(t, CR_MAX_BYTES, 16);
  cr_mark start = cr_mark_here(t);
  for (int k = 0; k < 2; k++) { /* again on the same tape */
    json_t *j = batch_answer(t, CR_FLOAT64, (const char *)data, size);
    require(j != NULL, "no answer");
    check(j);
    json_decref(j);
    cr_reset(t, start);
    cr_clear_error(t);
  }
  cr_free(t);
  return 0;
}
