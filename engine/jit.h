/* Captured functions, compiled: the elementwise parts of a cr_fn as C, translated by the system's compiler and loaded.
 *
 *     cr_fn *f = cr_capture(...);
 *     char note[256];
 *     cr_fn_compile(f, &(cr_jit_options){.cache = "/home/me/.cache/chainrule"}, note, sizeof note);
 *     ... cr_fn_run(f, w, in, out) ...
 *
 * Blocks of elementwise operations become one C function each. Steps of scalars, of which there may be a million, become
 * instructions of the processor at once, without a compiler; cr_fn_backward of a function of scalars does, too. (Under
 * CR_FN_CODE runs see to that by themselves where there are 64 and more; here it is done before the first.) Products,
 * convolutions and the like stay the kernels that they are, but where a function has few steps, they become one C function,
 * with small products and sums written out (cr_op.small) and the other kernels called. The bodies of loops and branches
 * (body.h) are functions, which are compiled as such. Where there is nothing to gain, or no compiler, the function runs as
 * before, and the note says why. */
#ifndef CR_JIT_H
#define CR_JIT_H

#include "function.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cr_jit_options {
  const char *compiler; /* a path, or a name in the system's standard path (not $PATH); NULL: "cc" */
  const char *flags;    /* separated by spaces, in place of cr_jit_flags(); NULL: those */
  const char *cache;    /* folder that keeps what was compiled, made if it is not there; NULL: nothing is kept */
  int64_t cache_bytes;  /* what was not used for longest goes when the folder holds more; 0: 256 MiB */
  int exact;            /* 1: the bits of replay. 0: rows of float32 that replay computes in double (pow, sin, ...) are
                           computed in float, by vector functions of the C library, and sums and small products of
                           float32 are taken in another (fixed) order: a few ulp from replay. float64 is exact always. */
  int always;           /* compile also what would not pay: fewer than 16 scalars, where a run gains some nanoseconds (others
                           pay after some hundred runs: one takes 0.4 us to compile), and 2,000 numbers in blocks, where it
                           gains less than a microsecond (the compiler takes 0.1 s and more); each of several steps that
                           become one function counts for 200 more */
  int scalars_as_c;     /* 1: scalars, too, go through the compiler, as they do on other processors than x86-64 */
} cr_jit_options;

/* Compiles f, before or between runs, never while a run goes on. CR_OK also when f stays as it was: the note, at most size
 * bytes, then says why, else what was done: "compiled 3 of 5 steps", "3 of 5 steps from the cache". CR_NO_MEMORY leaves f as
 * it was. options NULL: all zeros. note may be NULL. */
CR_API cr_status cr_fn_compile(cr_fn *f, const cr_jit_options *options, char *note, size_t size);
/* The C source that cr_fn_compile compiles, in memory of the function, for reading; NULL when there is nothing to compile or
 * no memory. */
CR_API const char *cr_fn_jit_source(cr_fn *f, const cr_jit_options *options);
/* The flags, to which -O2 is added where there are loops, else -O1. */
CR_API const char *cr_jit_flags(void);

/* The cache: files KEY.so in a folder of its owner alone (mode 0700). KEY is XXH3-128 of source, compiler, flags and
 * processor, all of which the file holds and which are compared when it is found. */

typedef struct cr_jit_entry {
  const char *key;
  int64_t bytes, used; /* used: when last, in seconds since 1970 */
} cr_jit_entry;

/* Calls visit for each entry, the latest first; the number of entries, 0 where there is no folder; -1: the note says why. */
CR_API int cr_jit_cache_list(const char *folder, void (*visit)(void *user, const cr_jit_entry *e), void *user, char *note,
                             size_t size);
/* Removes all entries; how many, or -1. */
CR_API int cr_jit_cache_clear(const char *folder, char *note, size_t size);

#ifdef __cplusplus
}
#endif
#endif
