/* What capturing, rewriting, planning and running share. A captured graph is a tape on which nodes are promised, not
 * computed (cr_tape.lazy): constants have their numbers, all else has an address that nobody reads. */
#ifndef CR_GRAPH_H
#define CR_GRAPH_H

#include "function.h"
#include "internal.h"

/* A graph and its ends: the ids of inputs, results, assigned values, in this order. */
typedef struct cr__graph {
  cr_tape *tape;
  uint32_t *end;
  int n_in, n_ends;
} cr__graph;

/* What a node is to a run. */
typedef enum cr__role {
  CR__LEAF,      /* there before */
  CR__SCALAR,    /* inline: all of them run first, in one go */
  CR__KERNEL,    /* a step of its own */
  CR__MEMBER,    /* of a block: an elementwise operation, */
  CR__ALIAS,     /* a view of a member, flat the same, */
  CR__FOLD,      /* or the reduction of a member to one number */
  CR__VIEW       /* nothing to do */
} cr__role;

/* Where a node's numbers are. */
typedef enum cr__home {
  CR__NOWHERE,   /* inside a block, */
  CR__SLOT,      /* inline, */
  CR__GIVEN,     /* with the graph: a constant, */
  CR__MEMORY,    /* in the workspace, at offset; or with the caller: */
  CR__AT_INPUT,  /* of number which, */
  CR__AT_OUTPUT
} cr__home;

typedef struct cr__place {
  cr__home home;
  int which;
  size_t offset;
} cr__place;

/* An operand of a member: a slot of the block's space, or the array of a node, which goes on by step; step -1 has it copied
 * to the slot first. */
typedef struct cr__feed {
  uint32_t id;
  int32_t slot, step;
} cr__feed;

typedef struct cr__line {
  uint32_t id;
  int32_t slot;              /* of the result; -1: its array */
  const cr_op *op;
  const cr_few *few;         /* of a row over few dense numbers; NULL: it is none */
  cr_dtype dtype, out_dtype; /* of operand 0, of the result */
  int n, fold;               /* number of the fold among the block's, -1: none */
  cr__feed in[3];
} cr__line;

/* Where a workspace has an operand or the result of a line: at, or at into the block's space where mask is all ones; bytes
 * and steps of the element type from one element to the next. */
typedef struct cr__cell {
  uintptr_t at, mask;
  int64_t bytes, step;
} cr__cell;
enum { CR__CELLS = 4 };      /* of a line: three operands, the result */

/* A block's lines compiled (jit.h): run computes n elements from the arrays, and the folds into part. */
enum { CR__MOST_ARRAYS = 128, CR__MOST_FOLDS = 32 };
typedef struct cr__code {
  void (*run)(void *const *array, int n, double *part);
  cr__feed *array;           /* a slot with step 1 is space for a fold's numbers */
  int n_arrays;
  bool *written;
  int *fold;                 /* of each fold: the array whose part is to be taken; -1: it is in part */
  int whole;                 /* blocks may begin at the next multiple of this: no sum depends on where they do */
} cr__code;

/* Lines that run block after block; block k is [start[k], start[k + 1]). */
typedef struct cr__blocks {
  int64_t count, n_blocks, length;
  int64_t *start;
  cr__line *line;
  int n_lines, n_folds;
  const cr__code *code;      /* NULL: line by line */
  size_t slot_bytes, partials; /* partials: offset of the folds' parts in the workspace */
} cr__blocks;

typedef struct cr__step {
  cr__role role;             /* CR__SCALAR, CR__KERNEL or CR__MEMBER */
  bool tail;                 /* a block that runs within the kernel before it, on what that has finished */
  uint32_t from, to;         /* nodes */
  cr__blocks *blocks;
  cr_strips *strips;         /* of scalars; NULL: they run by id */
  void (*code)(double *slot, double *space, double *ends); /* of scalars, compiled; NULL: not */
} cr__step;

/* The block that runs within a kernel (cr_ready). */
struct cr_tail {
  cr_tape *t;
  const cr__blocks *blocks;
  const cr__cell *cells;
};

typedef struct cr__plan {
  cr__step *step;
  cr__place *place;          /* by node */
  uint32_t n_steps;
  uint32_t *moving, n_moving;/* records whose memory the caller gives */
  size_t bytes;
} cr__plan;

struct cr_fn {
  cr_allocator allocator;
  cr_arena memory;           /* constants, the plan */
  cr__graph graph;
  int n_out, n_assign;
  int *to;                   /* inputs assigned to */
  int64_t threads;
  unsigned passes;
  const uint32_t *after;     /* while planning: by node, one that is to be computed before it, 0 none; or NULL */
  cr__plan plan;
  cr_fn_stats stats;
  void *unit;                /* the shared object of compiled steps */
  void *codes;               /* scalars as instructions (machine.h); NULL: none */
  /* The values and the reverse sweep of a function of scalars: ends has the cotangents of the results, then room for the
   * gradient. NULL: not compiled. */
  void (*back)(double *slot, double *space, double *ends);
  uint32_t space;            /* numbers that these need space for */
};

/* function.c */
void *cr__fn_take(cr_fn *f, size_t bytes);   /* from f->memory; on failure the graph's tape has the error */
cr_tape *cr__lazy_tape(const cr_fn *f, const cr_op_table *table);
uint32_t cr__copy_leaf(cr_fn *f, const cr_tape *from, uint32_t id, cr_tape *to);
/* The node id of from, with operands by map, recorded on to. 0 on failure. */
uint32_t cr__copy_node(const cr_tape *from, uint32_t id, const uint32_t *map, cr_tape *to);
/* The graph on a new tape, with its nodes in this order, and its ends there; its own tape and ends stay. Nodes may recur. */
cr_tape *cr__ordered(cr_fn *f, uint32_t n, const uint32_t *order, uint32_t *end);
/* The same in place of its own. */
bool cr__reorder(cr_fn *f, uint32_t n, const uint32_t *order);
/* Nodes that the ends depend on, by id; memory of the allocator. */
void cr__mark_needed(const cr_tape *t, int n, const uint32_t *end, unsigned char *needed);

/* workspace.c */
cr_workspace *cr__workspace_on(const cr_fn *f, const cr_allocator *allocator);
cr_tape *cr__workspace_tape(const cr_workspace *w);
/* cr_fn_run with arrays that are known to be as it takes them. */
cr_status cr__workspace_run(cr_workspace *w, const cr_array *in, const cr_array *out);

/* rewrite.c, plan.c, blocks.c */
bool cr__rewrite(cr_fn *f);
bool cr__make_plan(cr_fn *f);
bool cr__plan_within(cr_fn *f, size_t bound); /* recompute.c */
/* Cells of all lines, in the memory of the workspace's tape, with the addresses that its nodes have now. */
cr__cell *cr__make_cells(cr_tape *t, const cr__blocks *b);
cr_status cr__run_blocks(cr_tape *t, const cr__blocks *b, const cr__cell *cells, char *memory);
/* Those n elements alone; of blocks without folds. */
void cr__run_range(const struct cr_tail *tail, int64_t from, int64_t n);
/* n elements of a strided array from row-major position at, densely. */
void cr__gather(const cr_array *a, int64_t at, int64_t n, char *to);
bool cr__is_pointwise(const cr_op *op);

/* jitscalars.c: how many steps of scalars became code; false when memory runs out */
bool cr__scalars_as_code(cr_fn *f, bool always, uint32_t *n);
void cr__drop_codes(cr_fn *f);
/* jitrun.c, jitbuild.c: the blocks by their code, folds up to their parts; closes a shared object */
void cr__run_code(cr_tape *t, const cr__blocks *b, double *partials);
void cr__run_code_range(cr_tape *t, const cr__blocks *b, char *space, int64_t from, int64_t n);
void cr__unload(void *unit);
/* The space of a block is on the stack. */
enum { CR__BLOCK_SPACE = 1 << 16, CR__SHORTEST_BLOCK = 128, CR__LONGEST_BLOCK = 2048 };

#endif
