/* The memory layout of a tape: the one place that knows it. Included by engine/ and by ops/elementwise.c and scalars.c (for
 * speed). */
#ifndef CR_INTERNAL_H
#define CR_INTERNAL_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "arena.h"
#include "engine.h"
#include "op.h"

#define CR__LIKELY(x) __builtin_expect(!!(x), 1)

/* Op numbers of a tape: two kinds of leaf, then the table's rows, then other ops as they are first recorded. The high
 * bit says that the node's slot points to a record; without it the slot is the number of an inline float64 scalar.
 * Inline nodes have inline operands only, so a sweep over them never looks at a record. */
enum { CR__CONST = 0, CR__INPUT = 1, CR__FIRST_ROW = 2, CR__RECORD = 0x8000 };

/* head holds the op number in its low half and the stamp in its high half; a handle's stamp is the whole head, so that one
 * comparison tells a live handle. */
typedef struct cr_node {
  uint32_t head;
  uint32_t in[3];
} cr_node;
_Static_assert(sizeof(cr_node) == 16, "a node is 16 bytes");

/* How the numbers of records lie, shared by those that have the same dimensions, strides and dtype. Rows over a dense float
 * one go the quick way: record and numbers in one piece of so many bytes, the numbers at (record + reach) & mask. */
enum { CR__FEW_NUMBERS = 64 };
typedef enum cr_kernels { CR__FEW_FLOAT, CR__FEW_DOUBLE, CR__MANY } cr_kernels; /* by cr_few_row */
typedef struct cr_layout {
  cr_array array;          /* without data */
  bool quick;
  uint8_t kernels;         /* which of a row's */
  size_t bytes;
  uintptr_t reach, mask;
} cr_layout;

typedef struct cr_tensor {
  void *data;
  const cr_array *like;    /* of a cr_layout */
  uint32_t n_operands;     /* of variadic ops */
  bool view;               /* data belongs to an operand */
  uint8_t differentiable;  /* float, and depends on an input; CR__QUICK: and is a row over records of its own quick layout */
  const void *attr;        /* not there in quick records, as what follows */
  const uint32_t *operand; /* of variadic ops */
} cr_tensor;
enum { CR__QUICK = 2, CR__QUICK_HEAD = offsetof(cr_tensor, attr) };

typedef union cr_slot {
  double num;
  cr_tensor *tensor;
} cr_slot;
_Static_assert(sizeof(cr_slot) == 8, "a slot is 8 bytes");

/* Something that a reset or free must destroy: sweeps, programs. */
typedef struct cr_owned {
  struct cr_owned *next;
  uint64_t serial;           /* order of making; a mark remembers the next */
  void (*destroy)(cr_tape *t, struct cr_owned *self);
} cr_owned;

typedef struct cr_name_entry {
  const char *name;
  uint32_t id;
} cr_name_entry;

typedef struct cr_crew cr_crew;

struct cr_tape {
  const cr_place *place;     /* the caller's; first, so that sites.h can store it inline */
  cr_place given;            /* by cr_site */
  cr_node *node;
  cr_slot *slot;
  uint32_t count, capacity, node_capacity;
  uint32_t fast_limit;       /* constructors push without a look below it: capacity, or 0 while slow */
  uint16_t stamp;            /* of nodes recorded now; changes with every reset */
  bool lazy;                 /* captured graphs: records are promised an address, not computed */
  uintptr_t promised;        /* the last such address */
  bool slow;                 /* an option is on that every recording must look at */
  const cr_op_table *table;
  const cr_few_row *few;     /* of the table */
  const cr_op **op;          /* by op number; NULL for leaves */
  uint32_t n_ops, ops_capacity;
  uint32_t *op_hash;         /* address of an op to its number: open addressing, 0 is empty */
  uint32_t op_hash_size;     /* a power of two */
  cr_arena arena;            /* goes back at a reset */
  cr_arena lasting;          /* stays until cr_free: parsed rules, function index */
  cr_allocator base;         /* the user's, or the default */
  cr_allocator counted;      /* wraps base: counts bytes, holds the limit; everything goes through it */
  size_t bytes;
  bool over_limit;           /* the last allocation was refused by the limit, not by base */
  cr_place *site;       /* by id when CR_TRACK_SITES */
  uint32_t sites_capacity;
  const cr_array **layout;   /* shared by records: open addressing */
  uint32_t n_layouts, layouts_size; /* a power of two */
  const cr_layout *quick;    /* the latest that was used so */
  cr_name_entry *name;       /* in order of naming */
  uint32_t n_names, names_capacity;
  uint32_t *name_of_id, *id_of_name; /* open addressing into name[], entry + 1 */
  uint32_t name_hash_size;
  cr_owned *owned;           /* newest first */
  uint64_t serial;
  cr_sweep *spare_sweep;     /* memory of a released sweep, for the next */
  cr_status error;
  char error_text[1024];
  const cr_op *doing;        /* what a failure is about, NULL when nothing is being recorded */
  const cr_var *doing_in;
  int doing_n;
  int64_t option[6];
  uint32_t lazy_from;        /* CR_LAZY: constants from here on are known */
  struct cr_shelf *shelf;    /* bodies recorded before */
  cr_crew *crew;             /* threads, made at the first large job */
  void *language;            /* formula.c: function index, parsed formulas and rules */
};

/* The op number with the record bit, as sweeps over inline nodes compare it. */
static inline uint32_t cr__op_bits(const cr_node *n) { return n->head & 0xFFFF; }
static inline bool cr__is_record(const cr_tape *t, uint32_t id) { return (t->node[id].head & CR__RECORD) != 0; }
static inline uint32_t cr__op_number(const cr_tape *t, uint32_t id) { return t->node[id].head & (CR__RECORD - 1); }
static inline uint32_t cr__head(const cr_tape *t, uint32_t op) { return op | (uint32_t)t->stamp << 16; }
static inline bool cr__is_live(const cr_tape *t, cr_var v) { return v.id < t->count && t->node[v.id].head == v.stamp; }

/* Both handles are live inline nodes of this tape, which has room and no option that needs a look. */
static inline bool cr__fast1(const cr_tape *t, cr_var x) {
  return t && t->count < t->fast_limit && !(x.stamp & CR__RECORD) && cr__is_live(t, x);
}
static inline bool cr__fast2(const cr_tape *t, cr_var x, cr_var y) {
  return y.tape == t && !(y.stamp & CR__RECORD) && cr__fast1(t, x) && cr__is_live(t, y);
}
/* After cr__fast1 or cr__fast2 only: there is room. */
static inline cr_var cr__push_inline(cr_tape *t, uint32_t op, uint32_t a, uint32_t b, double value) {
  uint32_t id = t->count++;
  uint32_t head = cr__head(t, op);
  t->node[id] = (cr_node){head, {a, b, 0}};
  t->slot[id].num = value;
  return (cr_var){t, id, head};
}

static inline cr_var cr__handle(cr_tape *t, uint32_t id) { return (cr_var){t, id, t->node[id].head}; }

/* layouts.c: what lies like a, shared, without data (or, when a tape has very many, not shared and in this arena); NULL and
 * the tape's error when memory runs out. */
const cr_array *cr__layout(cr_tape *t, cr_arena *arena, const cr_array *a);
/* The same shape and dtype, contiguous. */
const cr_array *cr__dense_layout(cr_tape *t, cr_arena *arena, const cr_array *like);
void cr__layouts_free(cr_tape *t);
extern const cr_layout cr__scalar_layout, cr__no_layout; /* of inline scalars; of nothing */
static inline const cr_layout *cr__layout_of(const cr_array *like) { return (const cr_layout *)(const void *)like; }
static inline cr_array cr__lying(const cr_array *like, void *data) {
  cr_array a = *like;
  a.data = data;
  return a;
}

/* tape.c */
bool cr__valid(cr_tape *t, cr_var v);                 /* live handle of t, else the tape's error is set */
bool cr__reserve(cr_tape *t);                         /* room for one more node */
cr_var cr__push(cr_tape *t, uint32_t op, int n, const cr_var *in, cr_slot slot); /* checked handles; sites, options */
uint32_t cr__number_of(cr_tape *t, const cr_op *op);  /* registers it if new; 0 when memory runs out */
void cr__rewind(cr_tape *t, cr_mark mark);            /* cr_reset without a new stamp, when no handle got out */
void cr__own(cr_tape *t, cr_owned *o, void (*destroy)(cr_tape *, cr_owned *));
void cr__out_of_memory(cr_tape *t);                   /* the tape's error for a failed allocation */
void *cr__alloc(cr_tape *t, size_t bytes);            /* from the arena; on failure the tape's error is set */
void *cr__resize_on(cr_tape *t, void *p, size_t old_size, size_t new_size); /* the tape's allocator, checked */
/* Operand ids of a node; n receives how many. */
const uint32_t *cr__operands(const cr_tape *t, uint32_t id, int *n);
/* The node's array; an inline node is seen as a 0-d array over its slot. */
cr_array cr__array_of(const cr_tape *t, uint32_t id);
const void *cr__attr_of(const cr_tape *t, uint32_t id);
/* An input leaf whose record views this array; for sweeps. Poison on failure. */
cr_var cr__view_leaf(cr_tape *t, const cr_array *a, bool constant);
/* CR_LAZY: are there numbers behind the node, and are they fixed? */
bool cr__is_promised(const cr_tape *t, uint32_t id);
bool cr__is_fixed(const cr_tape *t, uint32_t id);
void *cr__promise(cr_tape *t, size_t bytes);           /* an address of a lazy tape: for offsets, never read */
const char *cr__describe(cr_tape *t, cr_var v, char *text, size_t size); /* "x: float64 (2, 3)" */

/* replica.c */
const cr_op *cr__cast_op(cr_tape *t);                  /* that cr_op_table.cast records for a change of width */
/* The op on float64 operands where there were float32 ones. */
cr_var cr__record_wide(cr_tape *t, const cr_op *op, int n, const cr_var *in, const void *attr);

/* shelf.c */
void cr__shelf_free(cr_tape *t);

/* parallel.c */
void cr__crew_free(cr_tape *t); /* joins the threads; the next large job makes new ones */

/* names.c */
void cr__names_drop(cr_tape *t, uint32_t kept); /* all but the first kept names */
void cr__names_free(cr_tape *t);

/* eval.c */
cr_status cr__eval_node(cr_tape *t, uint32_t id);     /* computes its value in place from its operands */
cr_status cr__run_kernel(cr_tape *t, const cr_op *op, int n, const cr_array *in, const cr_tensor *r);
void cr__after_eval(cr_tape *t, uint32_t id);         /* the options that look at every value */

/* reverse.c */
bool cr__differentiable(const cr_tape *t, uint32_t id);
void cr__sweep_free(cr_tape *t, cr_sweep *s);
cr_status cr__check_adjoints(cr_sweep *s, uint32_t id); /* CR_FIND_NONFINITE after node id's step */

/* rows.c: out = value, and out = g * partial k, over whole arrays of one shape; out is contiguous. */
void cr__row_pull(cr_tape *t, const cr_row *row, int k, const cr_array *a, const cr_array *b, const cr_array *y,
                  const cr_array *g, cr_array *out);
void cr__row_loop(cr_tape *t, const cr_row *row, const cr_array *a, const cr_array *b, cr_array *out);

/* quick.c: row number over x, or x and y; quickly where they are records of one quick layout. */
cr_var cr__record_row1(cr_var x, uint32_t number);
cr_var cr__record_row2(cr_var x, cr_var y, uint32_t number);

/* grad.c */
/* Calls the op's rules with their context filled in; d[k] stays poison where not wanted or zero. */
cr_status cr__apply_vjp(cr_tape *t, uint32_t id, cr_var g, const unsigned char *wanted, cr_var *d);
cr_var cr__apply_jvp(cr_tape *t, uint32_t id, const cr_var *dot);

/* pull.c: the cotangent g of an elementwise record, of its shape, times the partial by operand k, as one node. */
extern const cr_op *const cr__pull_ops[];
cr_var cr__pull(cr_tape *t, uint32_t id, int k, cr_var g);
/* The row op whose partial by operand k a pull takes, and where among the pull's operands a, b and y are; or NULL. */
const cr_op *cr__pull_of(const cr_op *op, const void *attr, int *k, const int32_t **at);

/* formula.c: a row's partial as a node, from its text; a structural 0 is poison. k is the operand. */
cr_var cr__row_partial(cr_tape *t, const cr_op *op, int k, cr_var a, cr_var b, cr_var y, double *literal);

#endif
