/* The expression language: text to syntax tree, tree to nodes on a tape, tree and nodes to text.
 *
 *     x = 3;  f(u) = sin(u^2) + exp(-u)        # definitions, comments
 *     W = param [[0.5, 2.3], [1.5, 3.0]];  h = sigmoid(X @ W + b)
 *     z = logsumexp(A, axis=1);  A[0, 1:3];  A.T;  x > 0 ? x : 0;  (values, indices) = sort(x)
 *
 * ^ and ** are power. Nothing in the language reads a file or runs code; depth, size and memory are bounded.
 */
#ifndef CR_FORMULA_H
#define CR_FORMULA_H

#include "engine.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Syntax trees */

typedef enum cr_syntax_kind {
  CR_NUMBER,   /* 2, 0.5, 1e-3; integral tells 2 from 2.0 */
  CR_TEXT,     /* 'mean' or "mean" */
  CR_NAME,     /* x, linalg.det, None, True, False, inf, nan, pi, e are names too */
  CR_LIST,     /* [a, b] */
  CR_TUPLE,    /* (a, b) */
  CR_CALL,     /* text is the function's name; children are arguments, CR_KEYWORD for name=value */
  CR_KEYWORD,  /* text is the name, one child */
  CR_UNARY,    /* text is "-", "+", "not" */
  CR_BINARY,   /* text is "+", "-", "*", "/", "^", "@", "//", "%", "<", "<=", ">", ">=", "==", "!=", "&&", "||" */
  CR_CHOICE,   /* c ? a : b */
  CR_INDEX,    /* first child indexed by the others: expressions, CR_SLICE, CR_ELLIPSIS, None */
  CR_SLICE,    /* lo:hi:step, three children, CR_NONE where left out */
  CR_NONE,
  CR_ELLIPSIS,
  CR_MEMBER,   /* child.text, as A.T */
  CR_ASSIGN,   /* name = value, (a, b) = value: child 0 is CR_NAME or CR_TUPLE of names */
  CR_DEFINE,   /* f(u, v) = body: text is f, children the CR_NAME parameters and last the body: an expression,
                  or in braces a CR_BLOCK whose names are its own */
  CR_PARAM,    /* param value: a leaf to differentiate with respect to */
  CR_BLOCK     /* statements */
} cr_syntax_kind;

typedef struct cr_syntax cr_syntax;
struct cr_syntax {
  cr_syntax_kind kind;
  uint32_t at, length;        /* source span in bytes */
  uint32_t height;            /* of the tree below, bounded by CR_MAX_DEPTH */
  int integral;
  double number;
  const char *text;           /* owned by the tree, 0-terminated; NULL where unused */
  cr_syntax *first, *next;    /* children; sibling */
};

enum { CR_MAX_DEPTH = 1000, CR_MAX_SOURCE = 1 << 24 };

typedef struct cr_syntax_error {
  cr_status status;
  uint32_t at, line, column;  /* byte offset from 0; line and column from 1, columns in characters */
  char message[256];          /* what was expected and what was found, without the place */
} cr_syntax_error;

/* Parses a whole source (one or more statements, separated by newlines or ;). The tree lives on the tape until the next
 * reset to an earlier mark. NULL on failure, described in *error (which may not be NULL). */
CR_API cr_syntax *cr_parse(cr_tape *t, const char *source, size_t length, cr_syntax_error *error);
/* The source line with a caret under the place: "line 1, column 7: message\n  sin(x +)\n         ^". Returns text. */
CR_API const char *cr_syntax_error_text(const cr_syntax_error *e, const char *source, size_t length, char *text,
                                        size_t size);

/* A growing text buffer on a tape's allocator, for printers. Out of memory sets failed and keeps text valid. */
typedef struct cr_buffer {
  cr_tape *tape;
  char *text;
  size_t length, capacity;
  int failed;
} cr_buffer;
CR_API void cr_put(cr_buffer *b, const char *format, ...)
#ifdef __GNUC__
  __attribute__((format(printf, 2, 3)))
#endif
  ;
CR_API void cr_buffer_free(cr_buffer *b);

/* A number as the shortest decimal that reads back to the same double ("0.1", "1e+20", "nan", "inf"); locale-independent.
 * text has at least 32 bytes. digits > 0 asks for that many significant digits instead. */
CR_API const char *cr_number_text(double x, int digits, char *text);

/* Trees as text: infix with the fewest brackets, or LaTeX (amsmath). */
CR_API void cr_print_syntax(cr_buffer *b, const cr_syntax *s);
CR_API void cr_latex_syntax(cr_buffer *b, const cr_syntax *s);

/* Nodes as text. Named nodes (other than v itself) are written by name, others expanded up to depth levels (0: no limit),
 * deeper ones as v17. Shared subexpressions that are not named are expanded each time, up to 64 KiB in all. */
CR_API void cr_print_infix(cr_buffer *b, cr_var v, int depth);
CR_API void cr_print_latex(cr_buffer *b, cr_var v, int depth);
/* The graph below the results as statements that record it again, in an order in which operands come first: "h = a*b", an op
 * that is no elementwise one as op.sum(h, axes=[0]), constants with all numbers, the results last. Inputs stand in comments,
 * "# x: float64 (2, 3)": cr_program_run computes the same bits, and cr_hash the same, where they are bound by these names.
 * Nodes whose name is none of the language's, or another's too, are _1, _2, ...: names that begin so name no node. At most
 * CR_MAX_RESULTS results. Bodies come first, as functions _f1, _f2, ... CR_BAD_ARGUMENT for an op whose attributes
 * have no text. */
CR_API cr_status cr_write_graph(cr_buffer *b, int n_out, const cr_var *out);
/* One line a node: "v3 = mul(v1, v2)  float64 (2, 3)". */
CR_API void cr_print_listing(cr_buffer *b, cr_tape *t);

/* Evaluation */

/* The value of a formula on the tape; names are bound by the pairs that follow: cr_formula(t, "a*x^2", "a", a, "x", x).
 * Poison and a sticky error naming the column on failure. */
CR_API cr_var cr_formula_pairs(cr_tape *t, const char *text, ...);
#define cr_formula(t, ...) cr_formula_pairs(t, __VA_ARGS__, (const char *)NULL)

/* A program: names that keep their meaning from one piece of source to the next. It lives on the tape until a reset to an
 * earlier mark. dtype is what literals and lists become (CR_FLOAT64 or CR_FLOAT32). */
typedef struct cr_program cr_program;
CR_API cr_program *cr_program_new(cr_tape *t, cr_dtype dtype);
CR_API void cr_program_bind(cr_program *p, const char *name, cr_var value);
/* Binds a literal (a number or nested list as the language writes it): an input leaf that may also serve where an integer,
 * a shape or an index tensor is asked for. */
CR_API cr_status cr_program_bind_text(cr_program *p, const char *name, const char *literal, size_t length);

enum { CR_MAX_RESULTS = 64 };
typedef struct cr_results {
  int n;                       /* values of the last expression statement; 0 when it was an assignment or definition */
  cr_var value[CR_MAX_RESULTS];
} cr_results;

/* Lets the program call op.NAME for every op that cr_write_graph writes, for texts that it wrote. Others may name only those
 * ops that check operands and attributes themselves: a wrong position in an attribute of the rest would not be noticed. */
CR_API void cr_program_trust(cr_program *p);
/* Runs source. On failure the tape's error says where; *error has the place for a caret (status CR_OK when none). */
CR_API cr_status cr_program_run(cr_program *p, const char *source, size_t length, cr_results *results,
                                cr_syntax_error *error);
/* Evaluates a parsed tree under the program's names (for rules that are evaluated often). */
CR_API cr_var cr_program_eval(cr_program *p, const cr_syntax *s);
/* The variable of that name, poison without an error when there is none. */
CR_API cr_var cr_program_value(cr_program *p, const char *name);
/* The k-th variable in order of first assignment, NULL past the end. */
CR_API const char *cr_program_name(const cr_program *p, int k);

#ifdef __cplusplus
}
#endif
#endif
