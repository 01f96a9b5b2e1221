/* The contract between the gradbench tool (programs/gradbench.c), which speaks the protocol, and its evaluations.
 *
 * An evaluation is a struct of functions over a state of its own. read converts a message's input into the state; run, the
 * only part that is timed, records the objective on an empty tape and leaves the value, or the derivative that the engine
 * makes of it, in the state; write prints that. The state lives as long as the tool, so that memory is used again. */
#ifndef GRADBENCH_H
#define GRADBENCH_H

#include <jansson.h>
#include <stdbool.h>

#include <engine.h>
#include <op.h>
#include <ops.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Why a message is refused: one sentence that names the field. */
typedef struct complaint {
  char text[256];
} complaint;
/* Writes the sentence, printf-like, and returns false. */
bool complain(complaint *c, const char *format, ...)
#ifdef __GNUC__
  __attribute__((format(printf, 2, 3)))
#endif
  ;

/* A line that grows. After a failure it only remembers which: no memory, or a number that JSON cannot hold. */
typedef struct text {
  char *at;
  size_t length, room;
  bool no_memory, not_finite;
} text;
void put_text(text *out, const char *s);
void put_string(text *out, const char *s); /* quoted and escaped */
void put_integer(text *out, int64_t k);
void put_number(text *out, double x); /* 17 significant digits */
void put_list(text *out, const double *x, int64_t n);
void put_integers(text *out, const int64_t *k, int64_t n);
void put_matrix(text *out, const double *x, int64_t rows, int64_t columns); /* row-major, as a list of rows */

typedef struct evaluation {
  const char *name;
  const char *function[5];  /* NULL after the last */
  size_t size;              /* bytes of the state, zeroed before the first message */
  bool (*read)(void *state, const json_t *input, complaint *c);
  /* function is a position in the list above. Failures stay on the tape. */
  void (*run)(void *state, cr_tape *t, int function);
  void (*write)(const void *state, int function, text *out);
  void (*release)(void *state); /* frees what the state holds, not the state */
} evaluation;

extern const evaluation ba, det, gmm, hello, ht, kmeans, llsq, lse, lstm, ode, particle, saddle;
/* What the tool knows and calls itself (evaluations.c): ended by NULL. */
extern const evaluation *const evaluations[];
extern const char tool_name[];

/* Reading fields (fields.c): each returns false after a complaint that names the field */

/* Numbers row by row, in memory that grows and is kept. Zeroed before use. */
typedef struct numbers {
  double *at;
  int64_t count, room;
} numbers;
typedef struct integers {
  int64_t *at;
  int64_t count, room;
} integers;
/* Where a state begins with this, its functions are a value of one list of numbers, and the gradient. */
typedef struct list_function {
  numbers x, gradient;
  double value;
} list_function;
void write_list_function(const void *state, int function, text *out);
void release_list_function(void *state);
/* count numbers, their values undefined. */
bool make_room(numbers *x, int64_t count, complaint *c);
bool make_integer_room(integers *x, int64_t count, complaint *c);

json_t *read_object(const json_t *input, const char *name, complaint *c); /* NULL after a complaint */
bool read_integer(const json_t *input, const char *name, int64_t least, int64_t most, int64_t *out, complaint *c);
bool read_number(const json_t *input, const char *name, double *out, complaint *c);
/* Nested lists of that rank. A negative dim receives the length found (0 inside an empty list), others must be met. */
bool read_numbers(const json_t *input, const char *name, int rank, int64_t *dim, numbers *out, complaint *c);
/* The same of integers in [least, most]. */
bool read_integers(const json_t *input, const char *name, int rank, int64_t *dim, int64_t least, int64_t most, integers *out,
                   complaint *c);

/* Recording (leaves.c) */

/* Inputs over the state's numbers, which are not copied; constants are. */
cr_var vector_input(cr_tape *t, double *x, int64_t n);
cr_var matrix_input(cr_tape *t, double *x, int64_t rows, int64_t columns);
cr_var vector_constant(cr_tape *t, double *x, int64_t n);
cr_var matrix_constant(cr_tape *t, double *x, int64_t rows, int64_t columns);
/* All numbers of a node, or of an input's adjoint, row by row; add_adjoint adds it to what is there. After a failure they do
 * nothing. */
void copy_value(cr_var v, double *out);
void copy_adjoint(const cr_sweep *s, cr_var x, double *out);
void add_adjoint(const cr_sweep *s, cr_var x, double *out);

/* Gradient descent as GradBench defines it (descent.c) */

/* A function of n scalars on the tape; gradient is asked for at the x of the last value. */
typedef struct goal {
  cr_var (*value)(void *context, const cr_var *x);
  void (*gradient)(void *context, const cr_var *x, cr_var *gradient);
  void *context;
} goal;
enum { MOST_UNKNOWNS = 4 };
/* x becomes the argument of the least value. Its steps are nodes: what is recorded can be differentiated through them. */
void descend(cr_tape *t, const goal *f, int n, cr_var *x);

#ifdef __cplusplus
}
#endif
#endif
