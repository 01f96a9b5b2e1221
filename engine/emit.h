/* A graph as C: one self-contained C11 source that needs the C library alone, allocates nothing and keeps its loops.
 *
 *     cr_var x = cr_name(cr_input(t, 1), "x"), y = cr_sin(cr_mul(x, x));
 *     cr_buffer b = {.tape = t};
 *     cr_emit_c(&b, t, 1, &x, 1, &y, &(cr_emit_options){.name = "f", .what = CR_EMIT_GRADIENT});
 *     ... b.text is "double f(double x, double *restrict d_x) { ... }" ...
 *
 * Elementwise operations are written with the row's own text, so that compiled with the flags that the source names, scalar
 * functions give the bits that recording gives. Constants, and what depends on them alone, are written as numbers. */
#ifndef CR_EMIT_H
#define CR_EMIT_H

#include "formula.h"
#include "function.h"
#include "op.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What the C function computes besides the outputs. */
typedef enum cr_emit_what {
  CR_EMIT_VALUE,    /* nothing */
  CR_EMIT_GRADIENT, /* the gradient of the sum of all outputs: an array of its shape for every float input */
  CR_EMIT_JACOBIAN, /* [elements of all outputs, elements of all float inputs], row-major */
  CR_EMIT_HESSIAN   /* of the sum of all outputs: [elements of all float inputs] twice */
} cr_emit_what;

typedef struct cr_emit_options {
  const char *name;              /* of the C function; NULL: "f" */
  const char *const *out_name;   /* of the outputs; NULL: their names on the tape, else "value" */
  const char *about;             /* the first line of the comment; NULL: none */
  cr_emit_what what;
  int sparse;                    /* of the Jacobian or Hessian only what can be nonzero, row by row; the pattern as tables */
  int main;                      /* adds a program that prints the results at the inputs' values */
  int lines;                     /* a C function holds no more; what is longer is split. 0: 400 */
  int file_lines;                /* a file holds no more, unless one function does: a header NAME.h of what the files share,
                                    NAME.c with the function itself, NAME_1.c, ... with its parts. 0: one file */
  void (*file)(void *user, const char *name, size_t at); /* before each file: its name, and where in the buffer it begins */
  void *user;
} cr_emit_options;

/* Writes a C source that computes out from the leaves in; all other leaves are constants. Inputs and outputs become
 * parameters: an input of one number by value, the rest as arrays; a first output of one number is returned. Derivatives are
 * recorded on the tape and taken back again. An op that cannot be emitted is an error that names it. */
CR_API cr_status cr_emit_c(cr_buffer *b, cr_tape *t, int n_in, const cr_var *in, int n_out, const cr_var *out,
                           const cr_emit_options *options);

/* The same of a captured function, as its passes left it. Inputs that it assigns to are pointers that are read and written;
 * results are named y1, y2, ... unless the options say otherwise. With assignments the function takes a space, NAME_space,
 * for what it assigns and its workspace. Options for derivatives and a program are CR_BAD_ARGUMENT; errors are those of
 * b->tape. Not while another thread writes the same function. */
CR_API cr_status cr_fn_write_c(cr_buffer *b, cr_fn *f, const cr_emit_options *options);

/* For ops: how to write one */

/* A node's numbers in the C being written: a strided array, or one number. */
typedef struct cr_emit_view {
  cr_array array;         /* dtype and shape, strides in elements; data unused */
  const char *base;       /* "x", "ws->h"; of one number, the number: "v3", "0.5" */
  int64_t offset;         /* of the first element */
  int number;             /* 1: a variable; 2: a literal */
} cr_emit_view;

struct cr_emit_context {
  cr_tape *tape;
  const cr_op *op;
  int n;
  const cr_emit_view *in;
  cr_emit_view out;       /* contiguous */
  const void *attr;
  struct cr_emitter *emitter;
};

/* A line of C, indented. */
CR_API void cr_emit_line(cr_emit_context *c, const char *format, ...)
#ifdef __GNUC__
  __attribute__((format(printf, 2, 3)))
#endif
  ;
/* Sums of what is written are rounded otherwise than the kernel's: the source says so. */
CR_API void cr_emit_near(cr_emit_context *c);
/* For cr_op.small: whether even float32 has to have the bits of the kernel; else a few ulp are as good. */
CR_API int cr_emit_exact(const cr_emit_context *c);
/* Also for cr_op.small: its statements become a function in which a product and a sum are fused. */
CR_API void cr_emit_fused(cr_emit_context *c);
/* Opens a loop over each of the axes, outermost first; each axis, also one of size 1, has a level, counted from 0. */
CR_API void cr_emit_loops(cr_emit_context *c, int rank, const int64_t *dim);
CR_API void cr_emit_close(cr_emit_context *c, int rank);
CR_API int cr_emit_level(const cr_emit_context *c); /* of the next loop to be opened */
/* "6 * i + j": the loops' variables from level on, times the strides, plus the offset; and the same as an element or a
 * pointer to it. These texts live until the source is done. */
CR_API const char *cr_emit_index(cr_emit_context *c, int rank, const int64_t *stride, int64_t offset, int level);
CR_API const char *cr_emit_at(cr_emit_context *c, const cr_emit_view *v, int level);
CR_API const char *cr_emit_pointer(cr_emit_context *c, const cr_emit_view *v, int level);
CR_API const char *cr_emit_text(cr_emit_context *c, const char *format, ...)
#ifdef __GNUC__
  __attribute__((format(printf, 2, 3)))
#endif
  ;
/* The same view with another offset or shape; a view of v's axes in mask alone. */
CR_API cr_emit_view cr_emit_axes(const cr_emit_view *v, unsigned mask);
/* The element of v at the loops' variables becomes the value, a C expression of dtype from (converted if v has another). */
CR_API void cr_emit_store(cr_emit_context *c, const cr_emit_view *v, int level, cr_dtype from, const char *value);
/* Every element of to, from elements of views of its shape: $0, $1, ... in the value stand for them; or, for the result of a
 * pointwise op, cr_emit_value. The value has the dtype of the last. */
CR_API void cr_emit_map(cr_emit_context *c, const cr_emit_view *to, int n, const cr_emit_view *from, const char *value);
CR_API void cr_emit_value(cr_emit_context *c, const char *value);
/* v, or a copy of it that is dense, where it has more than one element. */
CR_API cr_emit_view cr_emit_dense(cr_emit_context *c, const cr_emit_view *v);
/* Opens a loop, of one level, over from <= i < to, ints as C, or back; and that variable. */
CR_API void cr_emit_count(cr_emit_context *c, const char *from, const char *to, int back);
/* Opens a level of its own for other statements: "if (x > 0) {". */
CR_API void cr_emit_block(cr_emit_context *c, const char *header);
CR_API const char *cr_emit_variable(const cr_emit_context *c, int level);
/* The call of a body (body.h), which becomes a function of the source. in: of each input its value if it is one number,
 * else a pointer. out: of each result a pointer; but a first result of one number is what the call gives, and out[0] is not
 * looked at. */
struct cr_body;
CR_API const char *cr_emit_call(cr_emit_context *c, const struct cr_body *b, const char *const *in, const char *const *out);
/* An array of the workspace, for this node alone. */
CR_API const char *cr_emit_space(cr_emit_context *c, cr_dtype dtype, int64_t count);
/* "double", "float", "int64_t", ... */
CR_API const char *cr_emit_type(cr_dtype dtype);

#ifdef __cplusplus
}
#endif
#endif
