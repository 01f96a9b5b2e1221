/* chainrule: a tape of operations and the passes over it. This header is the manual of the engine.
 *
 * A *tape* is a table of nodes in the order in which they were recorded; creation order is a topological order. A cr_var
 * is a handle to one node. Expressions (cr_mul, cr_sin, ... in ops.h) compute at once and never fail loudly: the first
 * failure stays on the tape (cr_error) and the result is the poison node, whose value is NaN, harmless in what follows.
 * Statements return a cr_status. The tape owns all that it makes: cr_reset takes back what came after a mark, cr_free
 * everything. Two tapes share nothing, so two threads may each use one.
 *
 *     cr_tape *t = cr_new();
 *     cr_var x = cr_input(t, 1.5), y = cr_sin(cr_mul(x, x));
 *     cr_sweep *s = cr_backward(y);
 *     printf("%g %g\n", cr_value(y), cr_adjoint(s, x));
 *     cr_free(t);
 */
#ifndef CR_ENGINE_H
#define CR_ENGINE_H

#include <stddef.h>
#include <stdint.h>

#if defined(__FAST_MATH__) && !defined(CR_ALLOW_FAST_MATH)
#error "chainrule needs IEEE semantics: NaN and Inf must behave (compile without -ffast-math)"
#endif

#ifndef CR_API
#if defined(_WIN32)
#define CR_API
#else
#define CR_API __attribute__((visibility("default")))
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define CR_VERSION "0.1.0"

/* Every status with its text: the one place where either is written. */
#define CR_STATUS_TABLE(X)                                                                \
  X(CR_OK, "success")                                                                     \
  X(CR_NO_MEMORY, "out of memory")                                                        \
  X(CR_BAD_SHAPE, "shapes do not fit")                                                    \
  X(CR_BAD_DTYPE, "dtypes do not fit")                                                    \
  X(CR_BAD_ARGUMENT, "argument out of range")                                             \
  X(CR_BAD_INDEX, "index out of range")                                                   \
  X(CR_STALE, "handle to a node that a reset took back")                                  \
  X(CR_WRONG_TAPE, "handle of another tape")                                              \
  X(CR_POISONED, "operand comes from an earlier failure")                                 \
  X(CR_NOT_DIFFERENTIABLE, "no derivative")                                               \
  X(CR_BAD_SYNTAX, "syntax error")                                                        \
  X(CR_UNKNOWN_NAME, "unknown name")                                                      \
  X(CR_OVER_LIMIT, "over a limit")                                                        \
  X(CR_NOT_FINITE, "value is not finite")                                                 \
  X(CR_MISMATCH, "check failed")                                                          \
  X(CR_INTERNAL, "internal inconsistency")

typedef enum cr_status {
#define CR__ROW(code, text) code,
  CR_STATUS_TABLE(CR__ROW)
#undef CR__ROW
} cr_status;

/* float64 and float32 are differentiable; int64 and int32 index; bool masks. */
typedef enum cr_dtype { CR_BOOL, CR_INT32, CR_INT64, CR_FLOAT32, CR_FLOAT64 } cr_dtype;

enum { CR_MAX_RANK = 8 };

typedef struct cr_tape cr_tape;
typedef struct cr_sweep cr_sweep;
typedef struct cr_op cr_op;
typedef struct cr_op_table cr_op_table;
typedef struct cr_function cr_function;

/* Handle to a node. The stamp catches use after cr_reset. Id 0 is the poison node. */
typedef struct cr_var {
  cr_tape *tape;
  uint32_t id, stamp;
} cr_var;

/* A strided view of numbers: strides count elements, may be 0 (broadcast) or negative (flip). */
typedef struct cr_array {
  void *data;
  int64_t count; /* product of dim */
  int64_t dim[CR_MAX_RANK], stride[CR_MAX_RANK];
  uint8_t rank, dtype, contiguous;
} cr_array;

/* Text */

CR_API const char *cr_version(void);                 /* "0.1.0" */
CR_API const char *cr_status_text(cr_status status); /* as in the table above */
CR_API const char *cr_dtype_name(cr_dtype dtype);    /* "float64", ... */
CR_API size_t cr_dtype_size(cr_dtype dtype);         /* bytes of an element */
/* The dtype of that name, or -1. */
CR_API int cr_dtype_of_name(const char *name);

/* Tapes */

/* Memory comes from here: p NULL allocates, new_size 0 frees and returns NULL, a failure returns NULL and leaves p. */
typedef struct cr_allocator {
  void *(*reallocate)(void *user, void *p, size_t old_size, size_t new_size);
  void *user;
} cr_allocator;

/* A tape over a table of ops (ops.h: cr_new() is the one with the standard table). NULL when memory runs out. */
CR_API cr_tape *cr_new_with(const cr_op_table *table, const cr_allocator *allocator);
CR_API void cr_free(cr_tape *t); /* with all that is on it; NULL: nothing */

/* A position on the tape, and the way back to it: all nodes, names and sweeps made since are gone, the error stays.
 * Handles to them are stale from then on, and using one is an error that says so. */
typedef struct cr_mark {
  uint32_t nodes, names, chunk;
  size_t used;
  uint64_t serial;
} cr_mark;
CR_API cr_mark cr_mark_here(const cr_tape *t);
CR_API void cr_reset(cr_tape *t, cr_mark mark);

/* The first failure since the last cr_clear_error, CR_OK if none; its message names op, operands, shapes and the caller's
 * file:line. The text lives until the tape's next failure or cr_free. */
CR_API cr_status cr_error(const cr_tape *t);
CR_API const char *cr_error_text(const cr_tape *t);
CR_API void cr_clear_error(cr_tape *t);

/* Records a failure, as an op of your own would: printf-like. Returns the poison handle. Only the first failure is kept. */
CR_API cr_var cr_fail(cr_tape *t, cr_status status, const char *format, ...)
#ifdef __GNUC__
  __attribute__((format(printf, 3, 4)))
#endif
  ;

/* The caller's place in its source, for messages. The header sites.h makes every constructor store it: a tape begins with a
 * pointer to one. */
typedef struct cr_place {
  const char *file;
  int line;
} cr_place;
CR_API void cr_site(cr_tape *t, const char *file, int line);

/* Options, by their first values: all looks off, no limit, one thread. */
typedef enum cr_option {
  CR_TRACK_SITES,   /* keep file:line of every node (cr_node_site) */
  CR_FIND_NONFINITE,/* the first NaN or Inf, forward or backward, becomes the tape's error, with op, operands and path */
  CR_ROUND_DIGITS,  /* round every value recorded to this many decimals, as in hand calculation (0: off) */
  CR_MAX_BYTES,     /* memory limit of the tape in MiB (0 = none); beyond it CR_OVER_LIMIT */
  CR_THREADS,       /* threads that share the work on large tensors (1; 0: one for each core); the bits stay the same */
  CR_LAZY           /* 1: nodes recorded from now on get shapes alone, for graphs that are only captured (function.h).
                     * Reading values is an error, save of constants made since; a reset is to take these nodes back before 0
                     * is set again */
} cr_option;
CR_API void cr_set(cr_tape *t, cr_option option, int64_t value);
CR_API int64_t cr_get(const cr_tape *t, cr_option option);

typedef struct cr_stats {
  uint32_t nodes;      /* recorded now */
  size_t bytes;        /* held from the allocator */
  size_t bytes_used;   /* of these, in use */
} cr_stats;
CR_API cr_stats cr_stats_of(const cr_tape *t);

/* Leaves */

/* An input: a leaf that derivatives are taken with respect to. Scalars are float64. */
CR_API cr_var cr_input(cr_tape *t, double value);
/* A constant. It takes the dtype of what it meets, so cr_mul(x, cr_const(t, 2)) works for float32 tensors too. */
CR_API cr_var cr_const(cr_tape *t, double value);
/* An input tensor, copied from row-major data; data NULL gives zeros. dims has rank entries. */
CR_API cr_var cr_tensor_of(cr_tape *t, cr_dtype dtype, int rank, const int64_t *dims, const void *data);
/* The same as a constant: no derivative is taken with respect to it. */
CR_API cr_var cr_constant_of(cr_tape *t, cr_dtype dtype, int rank, const int64_t *dims, const void *data);
/* An input tensor over the caller's row-major memory, not copied: it must outlive the node. */
CR_API cr_var cr_tensor_over(cr_tape *t, cr_dtype dtype, int rank, const int64_t *dims, void *data);

/* Overwrites a leaf's value; nodes that depend on it keep theirs until cr_replay. */
CR_API cr_status cr_set_value(cr_var leaf, double value);
CR_API cr_status cr_set_data(cr_var leaf, const void *data);
/* Computes all nodes after the leaves again, in place, from the leaves' values. */
CR_API cr_status cr_replay(cr_tape *t);

/* What a node is */

/* What stands for no value: operations on it record nothing and give poison, and it is no error by itself. */
CR_API cr_var cr_poison(cr_tape *t);
CR_API int cr_is_poison(cr_var v);
/* The value of a node with one element, as double; NaN (and an error) otherwise. */
CR_API double cr_value(cr_var v);
/* A view of the node's numbers; valid until the next recording, reset or free. */
CR_API cr_array cr_view(cr_var v);
/* Copies the numbers row-major as float64. n must be the element count. */
CR_API cr_status cr_read(cr_var v, double *out, int64_t n);
CR_API int cr_rank(cr_var v);
CR_API int64_t cr_dim(cr_var v, int axis); /* negative axes count from the end */
CR_API int64_t cr_count(cr_var v);
CR_API cr_dtype cr_dtype_of(cr_var v);

/* Names for messages, pictures and explanations; copied. */
CR_API cr_var cr_name(cr_var v, const char *name);
CR_API const char *cr_name_of(cr_var v); /* NULL without one */
/* The latest node of that name, or poison without an error. */
CR_API cr_var cr_find(cr_tape *t, const char *name);

/* Walking the tape: ids run from 1 to cr_node_count - 1. */
CR_API uint32_t cr_node_count(const cr_tape *t);
CR_API cr_var cr_node_at(cr_tape *t, uint32_t id);
CR_API const cr_op *cr_op_of(cr_var v); /* NULL for leaves */
CR_API int cr_is_input(cr_var v);
CR_API int cr_is_const(cr_var v);
CR_API int cr_operand_count(cr_var v);
CR_API cr_var cr_operand(cr_var v, int k);
CR_API const void *cr_attributes(cr_var v);
/* Where the node was recorded (CR_TRACK_SITES), else file NULL. */
CR_API const char *cr_node_site(cr_var v, int *line);

/* A structural hash of the expression that v is: of ops, attributes, shapes, and the names and values of leaves. */
CR_API cr_status cr_hash(cr_var v, uint64_t *out);

/* Differentiation, numeric: one reverse sweep gives the derivative of one output with respect to every node. */

/* Adjoints of y seeded with ones (the gradient of sum(y)), or with the cotangent. The sweep belongs to the tape and goes
 * with the next reset to a mark before it. NULL on failure (see cr_error). */
CR_API cr_sweep *cr_backward(cr_var y);
CR_API cr_sweep *cr_backward_from(cr_var y, cr_var cotangent);
/* Derivative with respect to x of a scalar; 0 when y does not depend on x. */
CR_API double cr_adjoint(const cr_sweep *s, cr_var x);
/* The same for a tensor: row-major, float64; explicit zeros when y does not depend on x. */
CR_API cr_status cr_adjoint_read(const cr_sweep *s, cr_var x, double *out, int64_t n);
/* The same as a constant on the tape, of x's shape and dtype. */
CR_API cr_var cr_adjoint_var(cr_sweep *s, cr_var x);
/* The sweep's own numbers, not copied: of x's shape and dtype, while the sweep lives; data NULL: y does not depend on x. */
CR_API cr_array cr_adjoint_view(const cr_sweep *s, cr_var x);
/* Gives the sweep's memory back before the reset, for loops that do not reset. */
CR_API void cr_sweep_release(cr_sweep *s);

/* The derivatives of a node of one element, recorded since the mark, with respect to n nodes from before it, one after the
 * other, row-major. What lies before the mark costs nothing when the section and the inputs are float64 scalars. */
CR_API cr_status cr_section_gradient(cr_mark mark, cr_var y, int n, const cr_var *x, double *out);
/* Preaccumulation: takes back what was recorded since the mark and leaves in its place one node with the value of y and
 * its first derivatives by x[0..n), on which alone y must depend. It saves memory and time where a section has many
 * nodes but few inputs. The result is a tangent plane (cr_preaccumulated): second derivatives through it are 0. */
CR_API cr_var cr_preaccumulate(cr_mark mark, cr_var y, int n, const cr_var *x);

/* Differentiation in vector mode: many derivatives of float64 scalars in one walk, as numbers. Tensors have no part in
 * it. */

/* Reverse: out[i * n + j] = d y[i] / d x[j], eight rows a sweep over the nodes from the first x to the last y. */
CR_API cr_status cr_jacobian_reverse(int m, const cr_var *y, int n, const cr_var *x, double *out);
/* Forward: k tangents (at most 512) of every scalar, which follow the recording. They belong to the tape and go with the
 * next reset to a mark before them; a reset to a later mark takes back the tangents of the nodes it takes back. NULL on
 * failure. */
typedef struct cr_tangents cr_tangents;
CR_API cr_tangents *cr_tangents_new(cr_tape *t, int k);
/* Gives x these k tangents, whatever it was computed from; all other leaves have zeros. x must come after all nodes whose
 * tangents were set or asked for. */
CR_API cr_status cr_tangents_set(cr_tangents *s, cr_var x, const double *tangent);
/* The k tangents of v, not copied: valid until the next call. NULL on failure. */
CR_API const double *cr_tangents_of(cr_tangents *s, cr_var v);
/* Takes back what was recorded since the mark, and leaves for each of y[0..m) an input with its value and its tangents:
 * preaccumulation of forward mode. s may be NULL, which leaves the values. */
CR_API cr_status cr_tangents_fold(cr_tangents *s, cr_mark mark, int m, cr_var *y);

/* Differentiation, symbolic: the results are nodes, and can be differentiated again. */

/* out[k] = (d y / d x[k])^T cotangent, for k < n. A cotangent that is poison means ones. */
CR_API cr_status cr_vjp(cr_var y, cr_var cotangent, int n, const cr_var *x, cr_var *out);
/* Several outputs at once: the sum of their VJPs. */
CR_API cr_status cr_vjp_many(int m, const cr_var *y, const cr_var *cotangent, int n, const cr_var *x, cr_var *out);
/* The gradient of sum(y). */
CR_API cr_status cr_grad(cr_var y, int n, const cr_var *x, cr_var *out);
/* The same with the bits of cr_backward, for captured functions: the reverse step of an elementwise operation is one node,
 * which has no derivative. out[k] is poison, without an error, where y does not depend on x[k]. */
CR_API cr_status cr_grad_once(cr_var y, int n, const cr_var *x, cr_var *out);
/* out[j] = sum_k (d y[j] / d x[k]) tangent[k]: forward mode. */
CR_API cr_status cr_jvp(int m, const cr_var *y, int n, const cr_var *x, const cr_var *tangent, cr_var *out);
/* Hessian of sum(cotangent * y) over all of x jointly, times the tangents: forward over reverse. */
CR_API cr_status cr_hvp(cr_var y, cr_var cotangent, int n, const cr_var *x, const cr_var *tangent, cr_var *out);
/* Dense Jacobian, row-major [count(y), count(x)], and Hessian of sum(y), [count(x), count(x)], as float64 numbers. */
CR_API cr_status cr_jacobian(cr_var y, cr_var x, double *out);
CR_API cr_status cr_hessian(cr_var y, cr_var x, double *out);
/* The block d^2 sum(y) / d a d b of the Hessian, row-major [count(a), count(b)]. */
CR_API cr_status cr_hessian_block(cr_var y, cr_var a, cr_var b, double *out);

/* What was recorded since the mark as a routine of its inputs x[0..n), as far as y[0..m) need it: a call records it
 * again, with other nodes in the place of the inputs, and puts what then stands for y into out. So a function that takes
 * no branches, and its derivatives, are traced once and called often. The routine belongs to the tape and goes with the
 * next reset to a mark before it. NULL on failure. */
typedef struct cr_routine cr_routine;
CR_API cr_routine *cr_routine_new(cr_mark mark, int m, const cr_var *y, int n, const cr_var *x);
CR_API cr_status cr_routine_call(cr_routine *r, const cr_var *with, cr_var *out);

/* Why y depends on x: writes the path of nodes from x to y, or where it is cut (detach, integer cast, constant) into text,
 * at most size bytes with the final 0. Returns 1 when there is a path, 0 when not. */
CR_API int cr_why(cr_var y, cr_var x, char *text, size_t size);

#ifdef __cplusplus
}
#endif
#endif
