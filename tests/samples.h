/* Test cases of functions: the .samples of a cr_function with inputs made up for their placeholders. */
#ifndef SAMPLES_H
#define SAMPLES_H

#include "check.h"
#include "formula.h"
#include "ops.h"

enum { MOST_INPUTS = 16 };

typedef struct sample {
  cr_tape *tape;           /* new, and its own */
  int n_inputs;            /* float inputs: what derivatives are taken with respect to */
  cr_var input[MOST_INPUTS];
  cr_results results;
} sample;

/* Evaluates one case such as "softmax(x:(2,3), dim=-1)" in the given dtype. Placeholders, each naming a new input:
 *   x:(2,3)          normal numbers of shape (2, 3)       x:(3)>0        uniform in (0.3, 3)
 *   x:(3)[-0.8,0.8]  uniform in the interval              x:(3){0,1,2}   one of these, no derivative
 *   i:(4)<3          int64 from 0 to 2, no derivative     m:(3)?         a mask of bools
 *   x:(2)!           a constant: no derivative; ! may follow a range too
 * Returns 0 with the reason in error (of at least 300 bytes); the tape is then gone. */
int sample_make(sample *s, const char *text, size_t length, cr_dtype dtype, uint64_t seed, char *error);
void sample_free(sample *s);

/* The next case of a list separated by semicolons, NULL at its end; *rest moves on. */
const char *sample_next(const char **rest, size_t *length);

/* The range of operand 'a' or 'b' in a row's domain, such as "a in (0.2, 4), b in {0, 1}", as a placeholder's suffix. */
void sample_range(const char *domain, char operand, char *suffix, size_t size);

/* Random numbers in [0, 1), the k-th of a stream. */
double uniform(uint64_t seed, uint64_t k);

/* "name" or "linalg.name" of a signature. */
const char *function_name(const cr_function *f, char *name, size_t size);

#endif
