/* Captured functions: a recorded graph as a function that runs without recording.
 *
 * cr_capture copies what lies between input leaves and results, rewrites it and plans its memory; the tape it was recorded
 * on may then be reset or freed. cr_fn_run computes the results from the caller's arrays, which are read and written where
 * they lie, with the bits that recording would give. Results may be any nodes, those of cr_grad too, so a whole training
 * step is one function:
 *
 *     cr_var g, next;
 *     cr_grad(loss, 1, &w, &g);
 *     next = cr_sub(w, cr_mul(g, rate));
 *     cr_fn *step = cr_capture(t, 2, (cr_var[]){w, batch}, 1, &loss, 1, &(cr_assign){w, next}, CR_FN_EXACT);
 *     cr_workspace *space = cr_workspace_new(step);
 *     ... cr_fn_run(step, space, (cr_array[]){weights, rows}, &result) ...
 *
 * A function is not changed by running: any number of threads may run it at once, each with a workspace of its own. Random
 * numbers and all leaves that are not inputs are constants with the values that they had when captured; cr_dropout_by and
 * cr_randn_by draw by a seed that may be an input. With CR_LAZY a graph is recorded for capturing without being computed.
 */
#ifndef CR_FUNCTION_H
#define CR_FUNCTION_H

#include "formula.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cr_fn cr_fn;
typedef struct cr_workspace cr_workspace;

/* What is done to a captured graph, as bits. All but CR_FN_STABLE leave every bit of every result as it was. */
typedef enum cr_fn_pass {
  CR_FN_FOLD = 1,     /* what depends on constants alone is computed once */
  CR_FN_MERGE = 2,    /* equal operations on equal operands are one node: common subexpressions */
  CR_FN_SIMPLIFY = 4, /* x * 1, x - 0, -(-x), chains of views: only what is exact for every IEEE number */
  CR_FN_REUSE = 8,    /* memory of results that are no longer needed is used again */
  CR_FN_BLOCK = 16,   /* chains of elementwise operations, and sums that end them, run block by block in the cache */
  CR_FN_STABLE = 32,  /* log of softmax(x), sum(exp(x)), sigmoid(x), 1 + exp(x), named or written out: without overflow */
  CR_FN_TAIL = 64,    /* such a chain that starts from a matrix product, as its bias and activation, runs on each part of it
                       * when that is done, without another pass over memory; with CR_FN_BLOCK */
  CR_FN_CODE = 128,   /* float64 scalars, from 64 up to a million, become instructions of the processor when they are first
                       * run (and when first swept back), where that is an x86-64; else they are interpreted */
  CR_FN_EXACT = 223   /* all but CR_FN_STABLE */
} cr_fn_pass;

/* At the end of a run, when all else is done, the input to takes the value of the node from; all pairs together. */
typedef struct cr_assign {
  cr_var to, from;
} cr_assign;

/* A function of n_in leaves with n_out results. Inputs are distinct leaves, not cr_const; results and assigned values are
 * any nodes. It takes the tape's allocator (which threads may then call at once) and CR_THREADS; the other options do not
 * follow. NULL on failure, see cr_error(t). Refused: a value that is no input's but was read from one while recording, as
 * the positions of a mask. */
CR_API cr_fn *cr_capture(cr_tape *t, int n_in, const cr_var *in, int n_out, const cr_var *out, int n_assign,
                         const cr_assign *assign, unsigned passes);
/* The same with results computed again instead of stored wherever that keeps the workspace's computed values below this many
 * bytes, or, where no choice does, as low as can be; 0: no bound. The bits stay the same. A chain of n operations and its
 * gradient come down to the order of sqrt(n) results. Each choice is planned, so this takes some twenty times as long. */
CR_API cr_fn *cr_capture_within(cr_tape *t, int n_in, const cr_var *in, int n_out, const cr_var *out, int n_assign,
                                const cr_assign *assign, unsigned passes, size_t bytes);
/* After its workspaces. */
CR_API void cr_fn_free(cr_fn *f);

/* Shape and dtype of input and result k; data NULL. */
CR_API cr_array cr_fn_input(const cr_fn *f, int k);
CR_API cr_array cr_fn_output(const cr_fn *f, int k);

/* Memory for one thread's runs. NULL when memory runs out. */
CR_API cr_workspace *cr_workspace_new(const cr_fn *f);
CR_API void cr_workspace_free(cr_workspace *w);
/* Threads that share the work of a run on large tensors (1; 0: one for each core); the bits are the same. */
CR_API void cr_workspace_threads(cr_workspace *w, int threads);

/* One run. in[k] and out[k] are contiguous, of the shapes and dtypes above, over the caller's memory; results overlap
 * neither each other nor inputs (cr_assign is for that). An assigned input is written; others are only read. Nothing is
 * allocated after a workspace's first run. A status other than CR_OK (shapes, an index out of range) leaves inputs as they
 * were and results undefined. */
CR_API cr_status cr_fn_run(const cr_fn *f, cr_workspace *w, const cr_array *in, const cr_array *out);
/* A run of a function of float64 scalars alone, and the reverse sweep over its nodes as numbers: gradient[k] becomes the
 * derivative of the sum of cotangent[j] * result j by input k; cotangent NULL: of the sum of the results. Other functions
 * are CR_BAD_ARGUMENT: what cr_grad records can be captured with them. Sums of adjoints are taken in the order of the plan,
 * so their last bits may differ from cr_backward's. A compiled function (jit.h) that holds no derivatives itself has the
 * sweep compiled, too, with the same bits. */
CR_API cr_status cr_fn_backward(const cr_fn *f, cr_workspace *w, const cr_array *in, const cr_array *out,
                                const double *cotangent, double *gradient);
/* The failure of the latest run, "" if none. */
CR_API const char *cr_workspace_error(const cr_workspace *w);

/* What the passes did. Sizes are bytes of computed values: each in memory of its own, as recorded, and as planned. */
typedef struct cr_fn_stats {
  uint32_t recorded;     /* nodes between inputs and results */
  uint32_t folded, merged, simplified, stabilized;
  uint32_t nodes;        /* left after all passes, leaves included */
  uint32_t steps;        /* of a run; a block of elementwise operations is one */
  uint32_t blocks, blocked; /* and how many nodes these hold */
  uint32_t tails;        /* blocks that run within the kernel before them, and are no steps of their own */
  uint32_t recomputed;   /* nodes that are there a second time, for a bound on memory; bytes_stored: without them */
  size_t bytes_recorded, bytes_stored, bytes;
} cr_fn_stats;
CR_API cr_fn_stats cr_fn_stats_of(const cr_fn *f);

/* The graph that is left after the passes, as cr_write_graph has it: results, then assigned values. On b->tape, which has
 * the function's table of ops; see its cr_error. More than CR_MAX_RESULTS in all can be written, but not read in one go. */
CR_API cr_status cr_fn_write_text(cr_buffer *b, const cr_fn *f);

#ifdef __cplusplus
}
#endif
#endif
