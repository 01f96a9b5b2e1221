/* The inside of the C writer: jitcode.c writes scalars and the unit, jitblocks.c blocks, jitrows.c what rows are in both. */
#ifndef CR_JITWRITING_H
#define CR_JITWRITING_H

#include "emitting.h"
#include "jitting.h"
#include "language.h"

/* How a row is written: as replay computes it; the same where operand 0 is no 0; in float. */
typedef enum cr__form { CR__ROW_EXACT, CR__ROW_NONZERO, CR__ROW_SINGLE, CR__ROW_FORMS } cr__form;

enum { CR__NAME = 120 }; /* the longest name of a number */

typedef struct cr__writer {
  cr_fn *f;
  cr_tape *t;
  cr_emitter e;
  cr__unit *u;
  cr_buffer body, functions; /* functions: of kernels, before that of the whole */
  bool exact, failed;
  cr_arena texts;
  const char **template; /* of rows, by number and form; "" is none */
  uint32_t *part;        /* by node: the C function that computes a scalar, from 1; else 0 */
  uint32_t *seen;        /* by node: the C function, or the step of the block plus 1, that named it last */
  unsigned char *stored; /* by node: read outside of its function */
  unsigned char *inlined; /* by step: written in the function of the whole */
  uint32_t n_parts;
} cr__writer;

/* jitrows.c: rows as texts in which \1 and \2 stand for the operands, \3 for the result, \4 for its cotangent; "": no such
 * form */
const char *cr__row_text(cr__writer *w, uint32_t id, cr__form form);
bool cr__is_native(const cr__writer *w, const cr_row *row);
const char *cr__template_of(cr__writer *w, uint32_t id, cr__form form); /* the same, kept */
const char *cr__pull_text(cr__writer *w, const cr__line *l, const int32_t **at);
void cr__put_template(cr_buffer *b, const char *text, const char *const *operand);

/* Loops over the axes of a shape, whose variables are o0, o1, ... and i, and operands with strides along them. */
enum { CR__MOST_STRIDED = 16 };
typedef struct cr__nest {
  int64_t dim[CR_MAX_RANK];
  int rank, n;
  uint32_t id[CR__MOST_STRIDED];
  cr_emit_view view[CR__MOST_STRIDED];
} cr__nest;

/* A block's loop: what it is given, and how its lines are written. */
typedef struct cr__loop {
  const cr__blocks *b;
  cr__code *code;
  int n_buffers;
  bool padded;           /* numbers beyond the last are computed too, so that all go through whole vectors */
  uint32_t source[64];   /* by slot of the space: the node that is in it */
  uint32_t step, mark;   /* of the plan; step + 1: seen has it for nodes whose numbers are locals */
  const cr__nest *nest;  /* within the whole function; NULL: a function of its own */
} cr__loop;

/* jitlines.c: the lines, which are to be put after what they show to be needed, as arrays and sums, whose clause it gives */
cr_buffer cr__lines_of(cr__writer *w, cr__loop *k);
const char *cr__put_sums(cr__writer *w, const cr__loop *k);
/* A sum of float32 is taken in the loop; other folds read an array after it. */
bool cr__is_summed(const cr__writer *w, const cr__line *l);
/* Whether a line has a form in C that gives the bits, or is as near, as asked; and may have calls of vector functions. */
bool cr__can_write(cr__writer *w, const cr__line *l);
bool cr__is_vector(cr__writer *w, const cr__line *l);
static inline const char *cr__type_name(const cr__writer *w, uint32_t id) {
  return cr_emit_type((cr_dtype)cr__array_of(w->t, id).dtype);
}

/* jitblocks.c: whether the block of the step was written: as a function; as statements of the function of the whole */
bool cr__put_block(cr__writer *w, uint32_t step);
bool cr__put_block_inline(cr__writer *w, uint32_t step);

/* jitwhole.c: the plan as one function, as far as that can be and helps; false when memory runs out. And a pointer there to
 * the numbers of a node: "((float *)(at[0] + 64))". */
bool cr__put_whole(cr__writer *w);
const char *cr__place_text(cr__writer *w, uint32_t id);

#endif
