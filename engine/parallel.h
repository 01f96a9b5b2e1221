/* Work shared among a tape's threads (CR_THREADS). */
#ifndef CR_PARALLEL_H
#define CR_PARALLEL_H

#include "engine.h"

/* A good grain for loops over elements. */
enum { CR__BLOCK = 1 << 14 };

/* Calls body on [0, n) in blocks of grain (the last one shorter) and returns when all are done. The blocks do not depend on
 * the number of threads, so the same bits come out when body computes each element from nothing but its block. Bodies run
 * on several threads at once: they write to places of their own and never touch the tape. */
void cr__parallel(cr_tape *t, int64_t n, int64_t grain, void (*body)(void *context, int64_t from, int64_t to),
                  void *context);

#endif
