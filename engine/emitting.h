/* The inside of the emitter. emit.c decides what is written in what order, emitcode.c writes statements, emitfile.c what is
 * around them. */
#ifndef CR_EMITTING_H
#define CR_EMITTING_H

#include "emit.h"
#include "internal.h"

enum { CR__IN_LOOP = -1 }; /* cr__piece.out: read by sweeps */
enum { CR__MOST_LEVELS = 3 * CR_MAX_RANK, CR__IS_LITERAL = 2 /* cr_emit_view.number */ };

typedef enum cr__written {
  CR__UNUSED,
  CR__PARAMETER,  /* an input */
  CR__LITERAL,    /* a constant, the same number everywhere */
  CR__TABLE,      /* a constant array */
  CR__VIEW_OF,    /* other strides over an earlier node's numbers */
  CR__POINTWISE,  /* a line in a loop over its shape */
  CR__STATEMENTS  /* what its op writes */
} cr__written;

typedef struct cr__item {
  cr__written kind;
  uint32_t root;        /* of a view; else the node itself */
  uint32_t like;        /* the node whose strides it has: itself, or the one that it equals */
  int64_t offset;       /* of a view in its root */
  uint32_t uses;        /* as operand, through views too */
  uint32_t block_uses;  /* of these, by lines of its own loop */
  int part, used_in;    /* C function that it is computed in; last one that named it */
  int output;           /* output whose array it is computed into, -1: none */
  int64_t output_at;
  bool pending, crosses;/* of one number: named in other parts too */
  bool member;          /* declared: of the workspace, or as a table */
  bool filled;          /* a table that is computed, in the workspace */
  bool swept;           /* depends on the seeds of sweeps: computed in the loop over them */
  const char *name;     /* identifier, or literal */
} cr__item;

/* A C parameter for results, and the nodes that fill it. */
typedef struct cr__out {
  const char *name;
  const char *meaning;  /* for the comment */
  cr_array shape;
  int used_in;
} cr__out;
typedef struct cr__piece {
  cr_var v;
  int out;
  int64_t at, step;     /* of its first element, between elements */
  int64_t n_picked;     /* not 0: some elements alone, */
  const int64_t *picked;/* pairs of an element of v and one of the output */
} cr__piece;

typedef struct cr__member {
  const char *name;     /* NULL: row and its place in the list */
  cr_dtype dtype;
  int64_t count;        /* 0: one number, no array */
  int body;             /* not 0: the workspace of the body of this number */
} cr__member;

/* The functions that the bodies of ops became, callees first; shared by the emitters of a source. */
typedef struct cr__bodies {
  cr_tape *t;           /* that gets the errors */
  const char *name;     /* of the whole function: theirs are NAME_body1, ... */
  const cr_emit_options *options;
  struct cr__emitted {
    const struct cr_body *body;
    const cr_op *op;    /* whose it is */
    size_t bytes;       /* of its workspace */
  } *of;
  int n, capacity, n_tables;
  cr_buffer types, tables, code, prototypes;
} cr__bodies;
typedef struct cr__emitted cr__emitted;

typedef struct cr_emitter cr_emitter;
struct cr_emitter {
  cr_tape *t;
  const cr_emit_options *options;
  const char *name;
  cr__item *item;
  uint32_t n_items;
  int n_in;
  const cr_var *in;
  cr__out *out;
  int n_out;
  cr__piece *piece;
  int n_pieces;
  bool returns;           /* the first output */
  cr__bodies *bodies;
  int number;             /* of the body that is written; 0: it is none */
  bool wraps;             /* the next line, which has a call */
  struct cr__sweeps *sweeps; /* a loop over the colours of a sparse matrix, at the end; NULL: none */

  cr_buffer code, parts, tables, calls, pattern, prototypes;
  int part, lines, indent;
  bool uses_workspace;    /* this part */
  int level;
  const char *variable[CR__MOST_LEVELS]; /* NULL: an axis of size 1 */
  int n_variables;
  struct {
    size_t header, body;
    int statements;
  } open[CR__MOST_LEVELS];
  int n_open, statements;
  const char *undeclared; /* the result being written, of one number and not declared yet */
  cr_dtype undeclared_dtype;
  bool near, exact, fused; /* cr_emit_near, cr_emit_exact, cr_emit_fused */
  bool in_block;          /* cr_emit_value gives an expression, */
  const char *expression; /* here */
  uint32_t *pending, n_pending;
  uint32_t *seen, seen_size; /* nodes by hash */
  cr__member *member;
  int n_members, members_capacity, n_names, n_pairs;
  const char **taken;     /* identifiers made of names */
  int n_taken, taken_capacity;
};
/* emittable.c: the name of a constant array, which is written at its first use */
const char *cr__table(cr_emitter *e, cr__item *x, const cr_array *a);

/* emitcode.c */
const char *cr__literal(cr_emitter *e, double x, cr_dtype dtype);
/* Element k of a constant, for an initialiser. */
void cr__put_element(cr_emitter *e, cr_buffer *b, const cr_array *a, int64_t k);
/* The node's numbers as named in the current part. */
cr_emit_view cr__view_of(cr_emitter *e, uint32_t id);
/* A row's value over operands, as an expression of its result's dtype. */
const char *cr__row_expression(cr_emit_context *c, const char *a, const char *b);
/* Merges axes that all views walk through evenly; returns the rank left, its sizes in dim; gives the views these axes. */
int cr__merge_axes(int rank, int64_t *dim, int n, cr_emit_view *const *v);
const char *cr__format(cr_emitter *e, const char *format, ...)
#ifdef __GNUC__
  __attribute__((format(printf, 2, 3)))
#endif
  ;
void cr__statement(cr_emitter *e, const char *format, ...)
#ifdef __GNUC__
  __attribute__((format(printf, 2, 3)))
#endif
  ;
void cr__add_member(cr_emitter *e, const char *name, cr_dtype dtype, int64_t count);

static inline bool cr__same_shape_as(const cr_array *a, const cr_array *b) {
  return a->rank == b->rank && !memcmp(a->dim, b->dim, (size_t)a->rank * sizeof *a->dim);
}

/* emititems.c */
bool cr__make_parameters(cr_emitter *e);
bool cr__make_items(cr_emitter *e); /* of all nodes that the pieces depend on */
/* The piece is all of its node's root, in its order. */
bool cr__is_whole(const cr_emitter *e, const cr__piece *p);

/* emit.c */
void cr__end_part(cr_emitter *e);
/* The parameters that the current part names: "const double *restrict x, double y"; and as arguments. */
void cr__put_parameters(cr_emitter *e, cr_buffer *b, bool all, bool types);

bool cr__write_source(cr_emitter *e, cr_buffer *b, int n_out, const cr_var *out); /* and frees what e has taken */

/* emitbody.c: also the call of a body (emit.h) */
void cr__free_bodies(cr__bodies *all);
size_t cr__member_bytes(const cr_emitter *e, const cr__member *m);

/* emitfile.c: the file, or files; the function of a body with what belongs to it */
void cr__put_body(cr_emitter *e, cr_buffer *b, const char *body);
void cr__put_file(cr_emitter *e, cr_buffer *b, const char *body);
/* The definitions of the table's helpers that the body names, and of those that they name. */
void cr__put_helpers(cr_emitter *e, cr_buffer *b, const char *body);
/* Breaks lines that are too long, from the position on, after commas. */
void cr__wrap(cr_buffer *b, size_t from, int indent);
/* A C identifier made of a name, not yet taken. */
const char *cr__identifier(cr_emitter *e, const char *name);

/* emitwhat.c: outputs, pieces and the derivatives among them, recorded on the tape */
bool cr__make_outputs(cr_emitter *e, int n_out, const cr_var *out);
int cr__add_out(cr_emitter *e, const char *name, const char *meaning, cr_dtype dtype, int rank, const int64_t *dims);
bool cr__add_piece(cr_emitter *e, cr__piece piece);

/* emitsparse.c: the nonzeros of the derivatives of y by x, as an output; and what is picked of a piece */
bool cr__add_sparse(cr_emitter *e, const char *name, cr_dtype dtype, int m, const cr_var *y, int n, const cr_var *x,
                    bool symmetric);
void cr__put_picked(cr_emitter *e, const cr__piece *p);
bool cr__make_seeds(cr_emitter *e); /* as items; true without sweeps */
void cr__open_sweeps(cr_emitter *e);
void cr__close_sweeps(cr_emitter *e);
void cr__free_sweeps(cr_emitter *e);

#endif
