/* Fuzzes the readers of data files: any bytes give arrays whose shapes fit their numbers, or one line that says why not. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/readers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok, const char *what) {
  if (ok) return;
  fprintf(stderr, "files_fuzz: %s\n", what);
  abort();
}

static void require_answer(cr_status status, const cr_problem *p) {
  require(status == p->status && (status == CR_OK || (*p->text && !strchr(p->text, '\n'))),
          "a failure without a message of one line");
}

static void check_array(const cr_array *a) {
  int64_t count = 1;
  double sum = 0;
  for (int i = 0; i < a->rank; i++) count *= a->dim[i];
  require(count == a->count && a->data, "an array whose shape does not fit");
  for (int64_t k = 0; k < a->count; k++) sum += cr_array_get(a, k);
  (void)sum;
}

static void try_array(cr_status (*parse)(cr_array *, const cr__bytes *, const char *, cr_problem *), const cr__bytes *b) {
  cr_array a;
  cr_problem p = {.status = CR_OK};
  cr_status status = parse(&a, b, "f", &p);
  require_answer(status, &p);
  if (status == CR_OK) check_array(&a);
  cr_array_release(&a);
}

static void try_archive(cr_status (*parse)(cr_archive *, const cr__bytes *, const char *, cr_problem *),
                        const cr__bytes *b) {
  cr_archive a;
  cr_problem p = {.status = CR_OK};
  cr_status status = parse(&a, b, "f", &p);
  require_answer(status, &p);
  for (int k = 0; k < a.n; k++) check_array(&a.entry[k].array);
  cr_archive_free(&a);
}

static void try_table(const cr__bytes *b) {
  cr_table t;
  cr_problem p = {.status = CR_OK};
  cr__bytes copy = {malloc(b->size + 1), b->size};
  if (!copy.at) return;
  memcpy(copy.at, b->at, b->size);
  copy.at[b->size] = 0;
  require_answer(cr__parse_csv(&t, &copy, -1, "f", &p), &p);
  for (int k = 0; k < t.n_columns; k++)
    for (int64_t i = 0; i < t.n_rows; i++) {
      double x = t.column[k].number[i];
      require(!t.column[k].n_levels || !(x >= t.column[k].n_levels), "a text without a level");
    }
  free(copy.at);
  cr_table_free(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  cr__bytes b = {(unsigned char *)(uintptr_t)data, size};
  if (!size) return 0;
  try_array(cr__parse_npy, &b);
  try_array(cr__parse_idx, &b);
  try_archive(cr__parse_npz, &b);
  try_archive(cr__parse_safetensors, &b);
  try_table(&b);
  return 0;
}
