/* The inside of the C writer: jitcode.c writes scalars and the unit, jitblocks.c blocks, jitrows.c what rows are in both. */
#ifndef CR_JITWRITING_H
#define CR_JITWRITING_H

#include "emitting.h"
#include "jitting.h"
#include "language.h"

/* How a row is written: as replay computes it; the same where operand 0 is no 0; in float. */
typedef enum cr__form { CR__ROW_EXACT, CR__ROW_NONZERO, CR__ROW_SINGLE, CR__ROW_FORMS } cr__form;

enum { CR__NAME = 40 }; /* the longest name of a number */

typedef struct cr__writer {
  cr_fn *f;
  cr_tape *t;
  cr_emitter e;
  cr__unit *u;
  cr_buffer body;
  bool exact, failed;
  cr_arena texts;
  const char **template; /* of rows, by number and form; "" is none */
  uint32_t *part;        /* by node: the C function that computes a scalar, from 1; else 0 */
  uint32_t *seen;        /* by node: the C function, or the step of the block plus 1, that named it last */
  unsigned char *stored; /* by node: read outside of its function */
  uint32_t n_parts;
} cr__writer;

/* jitrows.c: rows as texts in which \1 and \2 stand for the operands, \3 for the result, \4 for its cotangent; "": no such
 * form */
const char *cr__row_text(cr__writer *w, uint32_t id, cr__form form);
bool cr__is_native(const cr__writer *w, const cr_row *row);
const char *cr__template_of(cr__writer *w, uint32_t id, cr__form form); /* the same, kept */
const char *cr__pull_text(cr__writer *w, const cr__line *l, const int32_t **at);
void cr__put_template(cr_buffer *b, const char *text, const char *const *operand);

/* jitblocks.c: whether the block of the step was written */
bool cr__put_block(cr__writer *w, uint32_t step);

#endif
