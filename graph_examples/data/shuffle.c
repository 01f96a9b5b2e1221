/* Random numbers in order, and permutations: all of them a function of the seed. */
#include <xxhash.h>

#include "readers.h"

/* Each number takes a block of the generator of its own, so that uniform and normal ones may alternate. */
double cr_random_uniform(cr_random *r) { return cr_rand_at(r->seed, 2 * r->count++); }
double cr_random_normal(cr_random *r) { return cr_randn_at(r->seed, 2 * r->count++); }

void cr_shuffle(int64_t n, uint64_t seed, uint64_t epoch, int64_t *order) {
  uint64_t key = XXH3_64bits_withSeed(&epoch, sizeof epoch, seed);
  for (int64_t k = 0; k < n; k++) order[k] = k;
  for (int64_t k = n - 1; k > 0; k--) {
    int64_t j = (int64_t)(cr_rand_at(key, (uint64_t)k) * (double)(k + 1)), kept = order[k];
    order[k] = order[j];
    order[j] = kept;
  }
}
