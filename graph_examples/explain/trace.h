/* The trace of a derivative: what happened on the tape, from the inputs to y and back, as a document without a format.
 *
 * Everything in it is read off the tape that computed the numbers: values from its nodes, adjoints from one reverse sweep,
 * local derivatives from the ops' own rules. text.c, latex.c, html.c, json.c and graph.c write it down. */
#ifndef TRACE_H
#define TRACE_H

#include "symbols.h"

#define TRACE_ADJOINT "Gbar"

typedef enum trace_kind { TRACE_INPUT, TRACE_CONSTANT, TRACE_OPERATION } trace_kind;

typedef struct trace_numbers { /* row-major; data NULL: not known */
  int rank;
  int64_t dim[CR_MAX_RANK], count;
  const double *data;
} trace_numbers;

/* A term with indices: d y / d to_left = sum over `over` of the factors. */
typedef struct trace_index {
  const char *left, *over;      /* letters, "" for none */
  int n;
  struct trace_factor {
    const char *name, *at;      /* with the letters `at` as indices; name NULL: d y / d user */
  } factor[2];
} trace_index;

/* What a node passes back to one of its operands: one summand of the operand's adjoint. */
typedef struct trace_term {
  int user, operand, to;        /* nodes, and which of the user's operands */
  const char *rule;             /* in words; NULL where symbols say it */
  tree local;                   /* d user / d to in symbols, element by element; NULL for rules that mix elements */
  tree local_figures;           /* local with numbers in the place of names; NULL for tensors */
  tree pulled;                  /* the term in symbols, TRACE_ADJOINT standing for d y / d user; NULL: only words say it */
  const char *shapes;           /* of a matrix rule, "(2, 3) = (2, 4) (4, 3)"; NULL */
  const trace_index *index;     /* of a matrix rule; NULL */
  trace_numbers slope;          /* the local derivative, element by element; not known where only words say it */
  trace_numbers share;          /* adjoint of the user times slope */
} trace_term;

typedef struct trace_node {
  cr_var var;
  trace_kind kind;
  const char *name;             /* given by the user, or v1, v2, ... in order of evaluation */
  bool named;                   /* by the user */
  bool active;                  /* depends on an input that derivatives are taken with respect to */
  bool wanted;                  /* is one of them */
  bool shown;                   /* not folded away */
  const char *op, *rule;        /* the op's name; the rule of differentiation it calls for: "product rule" */
  tree formula, figures, whole; /* over its operands; with their numbers; unfolded down to what the user named */
  trace_numbers value, adjoint;
  int n_in, *in;                /* operands; -1 for a number written in the formula */
  int n_terms;                  /* that add up to its adjoint, */
  const trace_term *term;       /* in the order in which the sweep meets them */
} trace_node;

typedef struct trace_path {     /* from an input to y */
  int n, *node;                 /* from the input up */
  const double *slope;          /* n - 1 local derivatives */
  double product;
} trace_path;

typedef struct trace_input {
  int node;                     /* -1: y does not depend on it */
  const char *name;
  tree gradient;                /* as a formula; NULL where it would fill the page */
  trace_numbers value, adjoint;
  double n_paths;
  int n_listed;                 /* of them in path[]; 0 when there are too many */
  const trace_path *path;
} trace_input;

typedef struct trace_check {
  const char *label, *verdict, *note;
  double analytic, numeric, error, digits;
  double left, right;           /* one-sided slopes; NaN where they were not needed */
} trace_check;

typedef struct trace_options {
  int digits;                   /* significant digits shown; 0: as many as it takes */
  int decimals;                 /* what every intermediate was rounded to, as by hand; 0: not */
  int depth;                    /* levels below y that are shown; 0: as many as fit on a page */
  const char *focus;            /* only what lies between the node of this name and y; NULL: everything */
  bool check;                   /* compare with differences */
  bool frames;                  /* not one picture but three: values going forward, the result, derivatives going back */
  unsigned sections;            /* of the text: bits by their place in trace_section; 0: the usual ones */
} trace_options;

typedef struct trace {
  pool pool;
  cr_tape *tape;
  trace_options options;
  int n_nodes, n_inputs, n_checks, n_warnings, n_folded;
  trace_node *node;             /* in order of evaluation; the last is y */
  trace_input *input;
  trace_check *check;
  const char **warning;
  const char *partial;          /* "d" for one input, else the curly one: how derivatives are written in formulas */
} trace;

/* The derivative of y with respect to x[0..n) as a document; NULL with the tape's error set, or when memory runs out.
 * The tape is left as it was. */
trace *trace_make(cr_var y, int n, const cr_var *x, const trace_options *options);
void trace_free(trace *t);

/* A number as this trace shows it. text has 40 bytes. */
const char *trace_number(const trace *t, double x, char *text);
/* "[[0.5, 1], [2, 3]]", or "2 x 64 numbers" when there are many. */
const char *trace_numbers_text(const trace *t, const trace_numbers *x, char *text, size_t size);
/* "(2, 3)" */
const char *trace_shape(const trace_numbers *x, char *text, size_t size);
static inline bool trace_is_scalar(const trace_numbers *x) { return x->count == 1 && x->rank == 0; }

/* Steps of trace_make in files of their own */
void trace_rules(trace *t, trace_node *n);                 /* rules.c: names n->rule */
tree trace_partial(trace *t, const trace_node *user, int k); /* rules.c: d user / d operand k in symbols, or NULL */
void trace_matrix_rule(trace *t, trace_term *term);        /* rules.c: term->pulled, shapes and index */
tree trace_plain(trace *t, const trace_node *n, tree s);   /* rules.c: without what only moves numbers about */
double trace_by_hand(const trace *t, double x);            /* figures.c: rounded, where intermediates are */
typedef struct trace_form {
  const char *op, *taught;      /* the derivative as textbooks write it, where the table writes it otherwise */
} trace_form;
const trace_form *trace_forms(void);                       /* rules.c; ended by a NULL op */
tree trace_reference(trace *t, const trace_node *user, int k); /* how operand k is written in the user's formula */
void trace_gradients(trace *t);                            /* gradients.c: gradients as formulas; paths */
void trace_warnings(trace *t);                             /* warnings.c */

/* What the printer writes for the tree, with another text wherever it writes TRACE_ADJOINT. */
void put_with_adjoint(cr_buffer *b, tree s, void (*put)(cr_buffer *, tree), const char *adjoint);

/* tables.c: sections of the text that are shown when asked for. */
void trace_layers(const trace *t, cr_buffer *b);           /* operations as boxes: what adapts weights, what is passed on */
void trace_blame(const trace *t, cr_buffer *b);            /* weights by |w dy/dw|; what y does when each grows by a tenth */

/* The sections of the text in their order, ended by NULL: "rules", "forward", ... */
const char *trace_section(int k);

/* The formats: each appends the whole document to the buffer. */
/* exact: the same without rounding, for the last column of lecture arithmetic, or NULL. */
void trace_text(const trace *t, const trace *exact, cr_buffer *b, bool color);
void trace_latex(const trace *t, cr_buffer *b);            /* a document that needs amsmath only */
void trace_html(const trace *t, cr_buffer *b);             /* one file, MathML, no network */
void trace_json(const trace *t, cr_buffer *b);             /* one line */
void trace_dot(const trace *t, cr_buffer *b);
/* The same as a picture, "svg" or "png": malloc'ed bytes; NULL without Graphviz. */
char *trace_picture(const trace *t, const char *format, size_t *length);

#endif
