/* Bodies: functions that are recorded once and then belong to nodes, as what a loop repeats, what a branch does, or what a
 * checkpoint computes again. An op keeps a pointer to one in its attributes, with the members hold and release of cr_op.
 *
 * A body is a captured function (function.h) together with its graph, of which its derivatives are made at first need; these
 * are bodies too, so that derivatives of any order follow. It is not changed by running. */
#ifndef CR_BODY_H
#define CR_BODY_H

#include "op.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Records m results from n leaves on a tape of the body's own; both have the shapes and dtypes of the operands. What else it
 * uses must be an operand: handles of other tapes are refused. Failures stay on t. */
typedef void (*cr_body_record)(cr_tape *t, void *user, int n, const cr_var *in, int m, cr_var *out);

typedef struct cr_body cr_body;

/* A body over leaves like these arrays, whose values it is recorded with; data NULL gives zeros. All results have one dtype.
 * The caller holds it once. what names it in messages. A tape keeps its latest bodies, and a graph recorded again is the
 * same one, with the derivatives made of it; their memory is the allocator's, and no part of CR_MAX_BYTES. NULL on failure,
 * which t keeps. */
CR_API cr_body *cr_body_new(cr_tape *t, const char *what, cr_body_record record, void *user, int n, const cr_array *like,
                            int m);
/* The same without values: for records that read none, as those of derivatives. It is made once for each kind and mask of
 * bytes, and b holds it. */
CR_API cr_body *cr_body_derived(cr_tape *t, cr_body *b, const char *kind, size_t bytes, const void *mask,
                                cr_body_record record, void *user, int n, const cr_array *like, int m);
CR_API void cr_body_hold(cr_body *b);
CR_API void cr_body_release(cr_body *b);

/* How many there are. */
CR_API int cr_body_inputs(const cr_body *b);
CR_API int cr_body_outputs(const cr_body *b);
/* Shape and dtype; data NULL. */
CR_API cr_array cr_body_input(const cr_body *b, int k);
CR_API cr_array cr_body_output(const cr_body *b, int k);
/* The graph: a tape to be walked, whose values are not there but for constants; and its nodes for input and result k. */
CR_API cr_tape *cr_body_graph(const cr_body *b);
CR_API cr_var cr_body_input_node(const cr_body *b, int k);
CR_API cr_var cr_body_output_node(const cr_body *b, int k);
CR_API uint64_t cr_body_hash(const cr_body *b);  /* equal for equal graphs */

/* Records the body's nodes on t with these nodes in the place of its inputs. 0 on failure. */
CR_API int cr_body_inline(const cr_body *b, cr_tape *t, const cr_var *in, cr_var *out);
/* From the inputs and a cotangent of each result to the cotangents of the inputs that are wanted, floats of one dtype. */
CR_API cr_body *cr_body_vjp(cr_tape *t, cr_body *b, const unsigned char *wanted);
/* From the inputs and the tangents of those that move to the tangents of all results. */
CR_API cr_body *cr_body_jvp(cr_tape *t, cr_body *b, const unsigned char *moves);

/* The same over float64 in place of float32. */
CR_API cr_body *cr_body_wide(cr_tape *t, cr_body *b);

/* A function that was passed as an argument of the expression language as a record: user is a cr_function_argument. */
typedef struct cr_function_argument {
  cr_call *call;
  int k;
  struct cr_argument_graph *graph; /* NULL at first */
} cr_function_argument;
CR_API void cr_record_argument(cr_tape *t, void *user, int n, const cr_var *in, int m, cr_var *out);
/* How many results it has for inputs like these; 0 after a failure, as where the argument is no function. It is called once:
 * records over inputs like these are then copies of what that gave, until cr_argument_done. */
CR_API int cr_argument_results(cr_function_argument *f, int n, const cr_array *like);
CR_API void cr_argument_done(cr_function_argument *f);

/* Memory for rules and constructors, until a reset takes back what is recorded now. NULL when memory runs out: t has the
 * error. */
CR_API void *cr_body_room(cr_tape *t, size_t bytes);

/* Runs within a kernel: workspaces in its scratch memory, one for each worker. Arrays are as cr_fn_run takes them. Workers
 * may run at once when there are several; one alone uses the tape's threads. */
typedef struct cr_body_runs cr_body_runs;
CR_API cr_body_runs *cr_body_start(cr_eval *c, const cr_body *b, int workers); /* NULL when memory runs out */
CR_API cr_status cr_body_run(cr_body_runs *r, int worker, const cr_array *in, const cr_array *out);
/* The first failure, by worker, goes to the tape. */
CR_API cr_status cr_body_stop(cr_body_runs *r);

#ifdef __cplusplus
}
#endif
#endif
