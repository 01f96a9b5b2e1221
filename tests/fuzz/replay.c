/* Runs a fuzz target on the files named as arguments, without a fuzzer. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST = 1 << 20 };

int main(int argc, char **argv) {
  char *data = malloc(MOST);
  for (int i = 1; i < argc && data; i++) {
    FILE *f = fopen(argv[i], "rb");
    if (!f) {
      perror(argv[i]);
      return 2;
    }
    size_t n = fread(data, 1, MOST, f);
    fclose(f);
    uint8_t *exact = malloc(n ? n : 1); /* so that reading one byte too far shows */
    if (exact) LLVMFuzzerTestOneInput(memcpy(exact, data, n), n);
    free(exact);
  }
  free(data);
  printf("%d files replayed\n", argc - 1);
  return 0;
}
