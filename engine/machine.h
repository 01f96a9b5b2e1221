/* Straight code over numbers, translated into instructions of this processor (x86-64 with AVX): no branches, no loops, every
 * value computed once.
 *
 *     cr__machine m = {.t = t};
 *     uint32_t x = cr__m_load(&m, CR__IN_SLOTS, 3), y = cr__m_op(&m, CR__M_MUL, x, x);
 *     cr__m_store(&m, y, CR__IN_SLOTS, 4);
 *     cr__machine_code code;
 *     if (cr__m_finish(&m, &code)) code(slot, space, ends);
 *
 * Values live in registers, and in the lowest free places of the space while they have none: memory that stays in the first
 * cache. Where the processor is not known, CR__HAVE_MACHINE is 0; where it lacks AVX, nothing is made. */
#ifndef CR_MACHINE_H
#define CR_MACHINE_H

#include "cr_config.h"
#include "internal.h"

#if CR_HAVE_JIT && defined(__x86_64__) && defined(__LP64__)
#define CR__HAVE_MACHINE 1
#else
#define CR__HAVE_MACHINE 0
#endif

typedef void (*cr__machine_code)(double *slot, double *space, double *ends);

/* What is computed of the operands a and b. CR__M_GUARDED: a == 0 ? 0 : a * b. */
typedef enum cr__m_kind {
  CR__M_LOAD, CR__M_STORE, CR__M_ADD, CR__M_SUB, CR__M_MUL, CR__M_GUARDED, CR__M_DIV, CR__M_SQRT, CR__M_NEG, CR__M_ABS,
  CR__M_CALL, CR__M_DEAD
} cr__m_kind;
/* Arrays of numbers: the three that the code is given, and constants of its own. */
typedef enum cr__m_place { CR__NO_PLACE, CR__IN_SLOTS, CR__IN_SPACE, CR__IN_ENDS, CR__IN_POOL } cr__m_place;

enum { CR__POOL = 500, CR__M_OPERANDS = 3 };
#define CR__NO_VALUE UINT32_MAX

/* An instruction, which is named by its number, as is its value. */
typedef struct cr__m_line {
  unsigned char kind, n, place;
  uint32_t at;                  /* in the place; of calls: the function, in the pool */
  uint32_t in[CR__M_OPERANDS];
} cr__m_line;

typedef struct cr__machine {
  cr_tape *t;                   /* memory is its; a failure sets its error */
  cr__m_line *line;
  uint32_t n, capacity;
  double pool[CR__POOL];        /* functions, too */
  uint32_t n_pool, space;       /* space: how many numbers of it the latest code uses */
  bool failed;
} cr__machine;

uint32_t cr__m_load(cr__machine *m, cr__m_place place, uint32_t at);
uint32_t cr__m_number(cr__machine *m, double x);
uint32_t cr__m_op(cr__machine *m, cr__m_kind kind, uint32_t a, uint32_t b); /* b is not read by those of one operand */
/* A call of double function(double, ...) with n operands. */
uint32_t cr__m_call(cr__machine *m, void (*function)(void), int n, const uint32_t *in);
void cr__m_store(cr__machine *m, uint32_t value, cr__m_place place, uint32_t at);

/* What was written, as code that may run, and none of it any more; it is linked to the others in *codes, NULL at first, and
 * goes with them. False: no memory that may hold code, or the tape's error. */
bool cr__m_finish(cr__machine *m, cr__machine_code *code, void **codes);
void cr__m_free(cr__machine *m);
void cr__free_codes(void *codes);

#endif
