/* Fuzzes the readers of .npy and .csv files: any bytes give a tensor whose shape fits its numbers, or a message. */
#include <stdint.h>
#include <stdlib.h>

#include "command.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok, const char *what) {
  if (ok) return;
  fprintf(stderr, "files_fuzz: %s\n", what);
  abort();
}

static void try(bool (*read)(tensor *x, FILE *f, problem *p), const uint8_t *data, size_t size) {
  tensor x;
  problem p = {.code = NULL};
  FILE *f = fmemopen((void *)(uintptr_t)data, size, "rb");
  if (!f) return;
  if (read(&x, f, &p)) {
    int64_t count = 1;
    double sum = 0;
    for (int i = 0; i < x.rank; i++) count *= x.dim[i];
    require(count == x.count && !x.real == !!x.whole, "a tensor whose shape does not fit");
    for (int64_t k = 0; k < x.count; k++) sum += tensor_get(&x, k);
    (void)sum;
  } else {
    require(p.code && *p.text, "a failure without a message");
  }
  tensor_free(&x);
  fclose(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (!size) return 0;
  try(read_npy, data, size);
  try(read_csv, data, size);
  return 0;
}
