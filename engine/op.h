/* The contract between the engine and an operation, and how to define one of your own.
 *
 * An op is a constant struct of functions; a function (cr_function) is a name in the expression language, bound to C code
 * or to a formula. Both the built-in ops and a user's own are defined this way; ops/README.md walks through one. */
#ifndef CR_OP_H
#define CR_OP_H

#include <stddef.h>

#include "engine.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { CR_VARIADIC = -1 };

/* Linear in all operands together: its JVP is the op on the tangents. Bilinear: linear in each of the first two. */
typedef enum cr_kind { CR_NONLINEAR, CR_LINEAR, CR_BILINEAR, CR_PIECEWISE_CONSTANT } cr_kind;

/* Shape rule: read in[], write out (dtype, rank, dim). A view of in[0] sets out->data and out->stride too; no eval. */
typedef struct cr_infer {
  cr_tape *tape;
  const cr_op *op;
  int n;
  const cr_array *in;
  const void *attr;
  cr_array *out;
} cr_infer;

/* Kernel: read in[], write out->data, which is contiguous and row-major. in[] may be strided views. */
typedef struct cr_eval {
  cr_tape *tape;
  const cr_op *op;
  int n;
  const cr_array *in;
  const void *attr;
  cr_array *out;
  const struct cr_tail *tail; /* what runs on elements of the result while they are in the cache (cr_ready), or NULL */
} cr_eval;

/* Reverse rule: given the cotangent g of out, set d[k] to the cotangent of in[k] for each k that is wanted, built from
 * public ops so that it can be differentiated again. A d[k] left alone is a structural zero. */
typedef struct cr_vjp_rule {
  cr_tape *tape;
  const cr_op *op;
  int n;
  const cr_var *in;
  cr_var out, g;
  const void *attr;
  const unsigned char *wanted;
  cr_var *d;
} cr_vjp_rule;

/* Forward rule: given the tangents dot[k] (poison where structurally zero), return the tangent of out. */
typedef struct cr_jvp_rule {
  cr_tape *tape;
  const cr_op *op;
  int n;
  const cr_var *in;
  cr_var out;
  const void *attr;
  const cr_var *dot;
} cr_jvp_rule;

/* A row over a few numbers of one dtype that lie densely: value, into a result that may be an operand; and what pull gives,
 * [k][0] stored, [k][1] added, where nothing overlaps. NULL: by cr_row's functions. */
typedef void cr_row_loop(int64_t n, const void *a, const void *b, void *y);
typedef void cr_row_pull(int64_t n, const void *a, const void *b, const void *y, const void *g, void *to);
typedef struct cr_few {
  cr_row_loop *loop;
  cr_row_pull *pull[2][2];
} cr_few;
typedef struct cr_few_row {
  cr_few of[3];             /* float32, float64, and what has none */
} cr_few_row;

/* The same for as many numbers as fill the processor's vectors, also with one number as operand a or b. */
typedef struct cr_row_loops {
  cr_row_loop *loop, *with_one[2];
  cr_row_pull *pull[2];
} cr_row_loops;

/* An elementwise op: a row of ops/elementwise.def. The texts are infix over a, b (operands) and y (result). */
typedef struct cr_row {
  const char *value_text, *partial_text[2];
  const char *domain;       /* where to sample operands, "a in (0, 4)" */
  const char *decision;     /* expression whose sign is the branch taken; NULL when smooth */
  double (*value)(double a, double b);
  double (*partial[2])(double a, double b, double y);
  /* out = value over n elements; and out = g * partial with 0 * anything = 0 */
  void (*loop)(cr_dtype dtype, int64_t n, const void *a, int64_t sa, const void *b, int64_t sb, void *y);
  void (*pull[2])(cr_dtype dtype, int64_t n, const void *a, int64_t sa, const void *b, int64_t sb, const void *y, int64_t sy,
                  const void *g, int64_t sg, void *out);
  char same[2];             /* the partial is 1: the cotangent is handed on as it is */
  char result;              /* 'f' float, 'i' also on integers, 'b' bool */
} cr_row;

/* A reduction of all elements to one number that runs over a fixed tree: part(n) is join(part(n / 2), part(n - n / 2)) where
 * n exceeds most, and may be taken directly below. Numbers lie densely and are of the result's dtype, a float one. */
typedef struct cr_fold {
  double (*part)(cr_dtype dtype, int64_t n, const void *x);
  double (*join)(double left, double right);
  int64_t most;
  int sums;                 /* join adds: compiled code may add the numbers in an order of its own */
  const char *helper;       /* emitted C may call HELPER_float or HELPER_double(x, n, 1) for part of any n; NULL: none */
} cr_fold;

/* For sparse derivatives (sparse.h): what tells which elements of its operands each element of a result depends on. Shapes,
 * and the numbers of integer operands, may be looked at. */
typedef struct cr_depend {
  int n;
  const cr_array *in, *out;
  const void *attr;
  struct cr__tracing *inside;
} cr_depend;
/* Each is an element of an operand, or a constant: eval moves numbers and looks at none. May be the member itself. */
CR_API void cr_depend_selection(cr_depend *c);
/* On the elements of operand k at the same place along axis[i] of the result, for each axis i of the operand, and on all
 * along the axes i with axis[i] = -1. */
CR_API void cr_depend_along(cr_depend *c, int k, const int *axis);
/* Whether operand k, an index, was computed from the inputs: it may differ at other values, so its numbers tell nothing. */
CR_API int cr_depend_moves(const cr_depend *c, int k);
/* All elements on all. */
CR_API void cr_depend_all(cr_depend *c);
/* One element of the result on what an earlier one depends on; and on one of operand k. */
CR_API void cr_depend_as(cr_depend *c, int64_t element, int64_t earlier);
CR_API void cr_depend_on(cr_depend *c, int64_t element, int k, int64_t of);
/* One run of a body (body.h): its input k is the elements of an operand from one on, in row-major order, or of the result as
 * far as it is known (operand -1), or depends on nothing (-2). What its result k depends on is added to the result from
 * out[k] on. */
typedef struct cr_depend_part {
  int operand;
  int64_t at;
} cr_depend_part;
struct cr_body;
CR_API void cr_depend_body(cr_depend *c, const struct cr_body *b, const cr_depend_part *in, const int64_t *out);

/* A member of an op's attributes, for the text of graphs (cr_write_graph): its name there, what it is, and where. */
typedef enum cr_field_kind {
  CR_FIELD_INT, CR_FIELD_AXIS, CR_FIELD_FLAG, /* of 32 or 64 bits; an axis of operand 0; 0 or 1 */
  CR_FIELD_REAL,   /* double */
  CR_FIELD_AXES,   /* unsigned: a bit for each axis of operand 0 */
  CR_FIELD_LIST,   /* int64_t[], as many as another member says */
  CR_FIELD_DTYPE,
  CR_FIELD_ROW,    /* const cr_op *, of a row */
  CR_FIELD_BODY,   /* cr_body *, NULL: none */
  CR_FIELD_STEPS   /* an int: how often the bodies are run */
} cr_field_kind;
typedef struct cr_field {
  const char *name;         /* NULL ends a list of fields */
  cr_field_kind kind;
  size_t at, size, count_at, count_size;
} cr_field;
#define CR_FIELD(type, member, kind, name) {name, kind, offsetof(type, member), sizeof(((type *)0)->member), 0, 0}
#define CR_LIST(type, count, member, name)                                                                  \
  {name, CR_FIELD_LIST, offsetof(type, member), sizeof(((type *)0)->member), offsetof(type, count),         \
   sizeof(((type *)0)->count)}

typedef struct cr_emit_context cr_emit_context;

struct cr_op {
  const char *name;
  int arity;                /* 0 to 3, or CR_VARIADIC */
  cr_kind kind;
  size_t attr_size;         /* bytes copied onto the tape with the node */
  cr_status (*prepare)(cr_tape *t, int n, cr_var *in); /* may replace operands first: broadcast, cast; or NULL */
  cr_status (*infer)(cr_infer *c);
  cr_status (*eval)(cr_eval *c);
  void (*vjp)(cr_vjp_rule *c);       /* NULL: no derivative (integer and bool results) */
  cr_var (*jvp)(cr_jvp_rule *c);     /* NULL for linear and bilinear ops */
  /* Hash of the branches taken at this point, for kinks; NULL when smooth. Integer and bool results count by themselves. */
  uint64_t (*decide)(int n, const cr_array *in, const cr_array *out, const void *attr);
  const char *infix;        /* "a + b", or NULL for name(a, b) */
  const char *latex;        /* "\\frac{%a}{%b}"; NULL for \mathrm{name}(a, b) */
  const char *rule;         /* the derivative in words or symbols, for struct ops; rows have texts */
  void (*show)(char *text, size_t size, const void *attr); /* attributes as "dim=1, keepdim=True" */
  const cr_row *row;        /* elementwise ops only */
  void (*emit)(cr_emit_context *c); /* writes C that computes the result (emit.h); NULL for rows, views, and where none is */
  /* The same for compiled functions: statements with the bits of eval on this processor that are quicker than the call of a
   * kernel; "return 1;" among them has all steps run by kernels. 0: they would not be quicker; NULL: never. */
  int (*small)(cr_emit_context *c);
  const cr_fold *fold;      /* when one number is left of a dense operand, eval does this */
  int pointwise;            /* like a row: element k of the result needs elements k of operands of its shape; no scratch */
  /* An attribute that points to memory with holders, as a body (body.h): told when a node has a copy, and when that goes. */
  void (*hold)(const void *attr);
  void (*release)(const void *attr);
  /* The attribute for float64 operands in place of float32 ones, for the checker; not held. 0 on failure. NULL: the same. */
  int (*widen)(cr_tape *t, const void *attr, void *wide);
  int tails;                /* eval calls cr_ready on every element of the result */
  int window;               /* a view of part of its one operand: the sweep adds its cotangent there, and calls no vjp */
  void (*depend)(cr_depend *c); /* calls the functions above; NULL: all on all, save of rows, pointwise ops and views */
  const cr_field *fields;   /* the attributes by name, for text; NULL: there are none, or they have no text */
  int (*check)(const cr_infer *c); /* before infer, of what a text passes to the op: 0 where no constructor passes it */
};

/* Recording. The generic constructor checks handles, infers, evaluates, pushes. attr may be NULL when attr_size is 0. */
CR_API cr_var cr_record(cr_tape *t, const cr_op *op, int n, const cr_var *in, const void *attr);
/* The op of v on other operands, with v's attributes. */
CR_API cr_var cr_record_like(cr_var v, int n, const cr_var *in);

/* Says that a constant was filled from a node's values while recording: a captured function would not follow that node. */
CR_API void cr_filled_from(cr_var constant, cr_var source);

/* For constructors that read an operand's values while recording: 0, and the error is set, where they may not (CR_LAZY). */
CR_API int cr_knows(cr_var v);

/* For kernels: memory until the kernel returns; NULL when memory runs out. */
CR_API void *cr_scratch(cr_eval *c, size_t bytes);
/* Elements from, ..., from + n - 1 of the result, in row-major order, are final, and eval looks at them no more. Ops with
 * the member tails call it once for each element, in any order, on any of the threads; captured functions then go on with
 * what is computed from them element by element. */
CR_API void cr_ready(const cr_eval *c, int64_t from, int64_t n);
/* Calls body on [0, n) in blocks of grain (the last one shorter), on the tape's threads (CR_THREADS), and returns when all
 * are done. The blocks do not depend on the threads. Bodies run at once: they write to places of their own and never touch
 * the tape. */
CR_API void cr_parallel(cr_tape *t, int64_t n, int64_t grain, void (*body)(void *context, int64_t from, int64_t to),
                        void *context);

/* Arrays */

CR_API void cr_array_init(cr_array *a, cr_dtype dtype, int rank, const int64_t *dims); /* contiguous, data NULL */
/* Element k in row-major order, as double or as integer. */
CR_API double cr_array_get(const cr_array *a, int64_t k);
CR_API int64_t cr_array_get_int(const cr_array *a, int64_t k);
CR_API void cr_array_set(cr_array *a, int64_t k, double value);
/* Row-major copy between strided arrays of equal shape; converts dtypes. */
CR_API void cr_array_copy(cr_array *to, const cr_array *from);
/* Offset in elements of row-major position k. */
CR_API int64_t cr_array_offset(const cr_array *a, int64_t k);
/* NumPy's broadcast of two shapes into out (rank and dim only); 0 when they do not fit. */
CR_API int cr_broadcast(const cr_array *a, const cr_array *b, cr_array *out);
/* axis in [-rank, rank) to [0, rank), or -1. */
CR_API int cr_axis(int axis, int rank);
/* "(2, 3)"; buf of at least 200 bytes; returns buf. */
CR_API const char *cr_shape_text(const cr_array *a, char *buf, size_t size);

/* Rules: is this operand's derivative wanted, and a structural zero? */
static inline int cr_absent(cr_var v) { return v.id == 0; }

/* Functions: names in the expression language */

typedef struct cr_call cr_call;

struct cr_function {
  const char *signature;    /* "sum(input, dim=None, keepdim=False)": defaults are expressions of the language */
  void (*call)(cr_call *c); /* or NULL, and */
  const char *formula;      /* the body as an expression over the parameters */
  const char *doc;          /* one sentence: what it computes; shapes and dtypes where not obvious */
  const char *domain;       /* where it is defined, NULL: everywhere */
  const char *derivative;   /* NULL: follows from the formula or the op's row */
  const char *kinks;        /* "0 at x = 0", NULL: none */
  const char *samples;      /* test cases: "softmax(x:(2,3), dim=-1); ..." see tests/README.md */
  const char *family;       /* "reduction", "linear algebra", ... */
  const cr_op *const *ops;  /* NULL-terminated: ops that the text of a graph may call, as op.name(...); once for each */
};

/* Arguments by position in the signature; defaults are filled in. Failures go to the tape and name function and argument. */
CR_API cr_tape *cr_call_tape(const cr_call *c);
CR_API const cr_function *cr_call_function(const cr_call *c);
CR_API cr_dtype cr_call_dtype(const cr_call *c);               /* of literals: for results that nothing else decides */
CR_API int cr_arg_given(const cr_call *c, int k);              /* not None */
CR_API cr_var cr_arg_var(cr_call *c, int k);                   /* tensor; numbers and lists become constants */
CR_API cr_var cr_arg_index(cr_call *c, int k);                 /* integer tensor */
CR_API double cr_arg_number(cr_call *c, int k);
CR_API int64_t cr_arg_int(cr_call *c, int k);
CR_API int cr_arg_bool(cr_call *c, int k);
CR_API const char *cr_arg_text(cr_call *c, int k);
/* An int or a list of ints into out; how many, or -1 for None or a failure. */
CR_API int cr_arg_ints(cr_call *c, int k, int max, int64_t *out);
/* A list or tuple of tensors (or one tensor) into out; how many, or -1. */
CR_API int cr_arg_vars(cr_call *c, int k, int max, cr_var *out);
/* A list or tuple of integer tensors or masks (or one tensor) into out; how many, or -1. */
CR_API int cr_arg_indices(cr_call *c, int k, int max, cr_var *out);
CR_API int cr_arg_is_number(cr_call *c, int k);                /* a literal number, not a tensor */
CR_API int cr_arg_is_integer(cr_call *c, int k);               /* a literal written without a point, or a truth */
CR_API int cr_arg_is_text(cr_call *c, int k);
CR_API int cr_arg_is_tuple(cr_call *c, int k);
/* Appends a result; several make a tuple. */
CR_API void cr_return(cr_call *c, cr_var v);

/* A simplification of captured graphs (function.h): what may be recorded instead of op over in, or poison without an error
 * where the rule does not apply. pass is the bit that asks for it. Values can be read of constants alone. */
typedef struct cr_rewrite {
  const char *op;
  unsigned pass;
  cr_var (*apply)(cr_tape *t, int n, const cr_var *in, const void *attr);
} cr_rewrite;

/* What emitted C may call: a function, table or macro of C, as text; or what a name in the text of a row is called in C. */
typedef struct cr_helper {
  const char *name;
  const char *text;           /* its definition, which may use others; NULL: an alias */
  const char *real, *integer; /* the name by dtype of the operands */
} cr_helper;

/* Inline scalar nodes as runs of one row each, in an order in which operands come first. node[k] is a result and its
 * operands; the strips lie one after another in it. */
typedef struct cr_strip {
  uint32_t row, n;
} cr_strip;
typedef struct cr_strips {
  uint32_t n;
  const cr_strip *strip;
  const uint32_t (*node)[3];
} cr_strips;

/* The standard set. rows come first in a tape's op numbering, in this order. */
struct cr_op_table {
  const cr_op *const *rows;
  const int *n_rows;
  const cr_few_row *(*few)(void);      /* by row, for this processor; NULL: none */
  const cr_row_loops *(*loops)(int row, cr_dtype dtype, int64_t n); /* NULL: none for such numbers */
  /* Reverse sweep over inline scalar nodes: see internal.h. NULL: the engine's generic one, through row->partial. */
  uint32_t (*scalar_sweep)(cr_tape *t, double *adjoint, uint32_t from, uint32_t to);
  /* Computes the inline scalar nodes from <= id < to again. NULL: through row->value. */
  void (*scalar_run)(cr_tape *t, uint32_t from, uint32_t to);
  /* The same nodes by strips, and their reverse sweep. Both NULL: by node. */
  void (*scalar_strips)(cr_tape *t, const cr_strips *s);
  void (*scalar_strips_back)(cr_tape *t, double *adjoint, const cr_strips *s);
  const cr_helper *helpers;            /* ended by an entry with name NULL; NULL: none */
  const cr_rewrite *rewrites;          /* ended by an entry with op NULL; NULL: none */
  const cr_function *const *functions; /* NULL-terminated arrays, each ended by an entry with signature NULL */
  /* Ops that the passes themselves need, by role. */
  cr_var (*add)(cr_var x, cr_var y);
  cr_var (*mul)(cr_var x, cr_var y);
  cr_var (*guarded_mul)(cr_var g, cr_var d);  /* where(g == 0, 0, g * d) */
  cr_var (*neg)(cr_var x);
  cr_var (*full)(cr_tape *t, cr_dtype dtype, int rank, const int64_t *dims, double value);
  cr_var (*cast)(cr_var x, cr_dtype dtype);
  cr_var (*preaccumulated)(cr_tape *t, double value, int n, const cr_var *x, const double *partials);
  cr_var (*list)(cr_tape *t, int n, const cr_var *items); /* stack scalars or equal shapes along a new first axis */
};

/* Adds a function to this tape's language, before or after the standard ones (a new name only). The struct must live on. */
CR_API cr_status cr_define(cr_tape *t, const cr_function *f);
/* The k-th function of the tape's language, NULL past the end. */
CR_API const cr_function *cr_function_at(const cr_tape *t, int k);
CR_API const cr_function *cr_function_named(const cr_tape *t, const char *name);

#ifdef __cplusplus
}
#endif
#endif
