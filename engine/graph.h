/* What capturing, rewriting, planning and running share. A captured graph is a tape on which nodes are promised, not
 * computed (cr_tape.lazy): constants have their numbers, all else has an address that nobody reads. */
#ifndef CR_GRAPH_H
#define CR_GRAPH_H

#include <pthread.h>

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
static inline void *cr__cell_at(const cr__cell *c, const char *space, int64_t at) {
  return (void *)(c->at + (c->mask & (uintptr_t)space) + (uintptr_t)(at * c->bytes));
}

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
  cr__cell *cells;
};

/* Lines of a block, and where a workspace has their numbers. */
typedef struct cr__lines {
  const cr_tape *t;
  const cr__blocks *b;
  cr__cell *cells;
} cr__lines;

/* A line on all numbers of its block, or a copy for one, with all that it takes. */
typedef struct cr__call cr__call;
struct cr__call {
  void (*run)(const cr__call *c);
  void *in[4], *out;
  int64_t n, step[4];
  cr_dtype dtype;
  int number;                /* of a pull's partial, of the line */
  union {
    cr_row_loop *loop;
    cr_row_pull *pull;
    const cr_row *row;
    const cr_fold *fold;
    const cr__lines *lines;
    const cr_array *like;    /* that of the operand */
  } by;
};

/* A kernel with its arrays. */
typedef struct cr__kernel {
  cr_eval eval;
  struct cr_tail tail;
  cr_array out, in[];
} cr__kernel;

/* The steps of a plan as one workspace runs them; pointers that move with the caller's memory to the numbers of node id. */
typedef struct cr__ready_step {
  cr__kernel *kernel;        /* NULL: it is none, or has but to be looked at (cr__eval_node) */
  cr__cell *cells;           /* of a block */
  cr__call *call, *end;         /* up to this: of a block that is run in one go, where it is not compiled; NULL: it is not */
} cr__ready_step;
typedef struct cr__moving {
  void *at;
  uint32_t id;
} cr__moving;
typedef struct cr__ready {
  cr__ready_step *step;
  cr__moving *moving;
  uint32_t n_moving;
  char *space;               /* of the slots of blocks that are run in one go */
} cr__ready;

typedef struct cr__plan {
  cr__step *step;
  cr__place *place;          /* by node */
  uint32_t n_steps;
  uint32_t *moving, n_moving;/* records whose memory the caller gives */
  size_t bytes;
} cr__plan;

/* All steps as one function, compiled (jit.h). at: the workspace's memory, inputs, results, numbers of inline nodes,
 * constants; call runs a step by its kernel. Anything out of the ordinary is 1: then all steps are to run by kernels, which
 * know what to say. */
typedef struct cr__whole {
  int (*run)(char *const *at, int (*call)(void *run, unsigned step), void *workspace); /* NULL: not compiled */
  void **given;
  uint32_t n_given;
} cr__whole;

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
  cr__whole whole;
  pthread_mutex_t lock;      /* of what follows, which the first run makes */
  unsigned made;             /* bits of cr__part: these were made, or could not be */
  void *codes;               /* scalars as instructions (machine.h); NULL: none */
  /* The values and the reverse sweep of a function of scalars: ends has the cotangents of the results, then room for the
   * gradient. NULL: not compiled. */
  void (*back)(double *slot, double *space, double *ends);
  uint32_t space, back_space;/* numbers that the steps' code and this need space for */
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
cr_status cr__run_blocks(cr_tape *t, const cr__blocks *b, cr__cell *cells, char *memory);
/* Line i on n elements, with that space for the slots; part: of its fold. */
void cr__run_line(const cr__lines *lines, int i, char *space, int64_t at, int64_t n, double *part);
/* calls.c: in the memory of a workspace's tape; false when that runs out */
bool cr__make_ready(const cr_fn *f, cr_tape *t, cr__ready *r);
cr_status cr__run_ready(cr_tape *t, cr__kernel *k);
/* Those n elements alone; of blocks without folds. */
void cr__run_range(const struct cr_tail *tail, int64_t from, int64_t n);
/* n elements of a strided array at data, from row-major position at. */
void cr__gather(const cr_array *a, const char *data, int64_t at, int64_t n, char *to);
/* The same, side by side: where they lie, or gathered in to. */
void *cr__side_by_side(const cr_array *like, char *data, int64_t at, int64_t n, char *to);
bool cr__is_pointwise(const cr_op *op);

/* jitscalars.c: how many steps of scalars became code; false when memory runs out */
bool cr__scalars_as_code(cr_fn *f, bool always, uint32_t *n);
/* The same for the first run, or the first sweep, with the memory of a workspace's tape: by whichever thread comes first.
 * What cannot be made is interpreted. */
typedef enum cr__part { CR__VALUES = 1, CR__SWEEP = 2 } cr__part;
void cr__make_code(const cr_fn *f, cr_tape *t, cr__part part);
void cr__drop_codes(cr_fn *f);
/* jitrun.c, jitbuild.c: the blocks by their code, folds up to their parts; closes a shared object */
void cr__run_code(cr_tape *t, const cr__blocks *b, double *partials);
void cr__run_code_range(cr_tape *t, const cr__blocks *b, char *space, int64_t from, int64_t n);
void cr__unload(void *unit);
/* The space of a block is on the stack. */
enum { CR__BLOCK_SPACE = 1 << 16, CR__SHORTEST_BLOCK = 128, CR__LONGEST_BLOCK = 2048 };

#endif
