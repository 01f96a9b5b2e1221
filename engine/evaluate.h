/* The inside of evaluation: values, the evaluator, programs, calls. */
#ifndef CR_EVALUATE_H
#define CR_EVALUATE_H

#include "language.h"

typedef enum cr__value_kind {
  CR__UNSET, CR__NONE_VALUE, CR__TRUTH, CR__NUMBER, CR__TEXT_VALUE, CR__LIST_VALUE, CR__TUPLE_VALUE, CR__NODE,
  CR__FUNCTION
} cr__value_kind;

typedef struct cr__cell cr__cell;

/* What an expression is. Numbers, truths, texts, and lists of them are literals: they become nodes only where an op
 * needs them. A literal that a name was given has a cell: as a tensor it is the name's input leaf. */
typedef struct cr__value cr__value;
struct cr__value {
  cr__value_kind kind;
  bool integral;
  uint32_t n;                /* of items */
  union {
    double number;           /* of truths too */
    const char *text;
    const cr__value *item;
    cr_var node;
    cr__callable *function;
  } as;
  cr__cell *cell;
};

/* Where the literal of a name is kept, with the leaf that is made of it when one is needed. */
struct cr__cell {
  cr__cell *next;
  uint32_t holders;          /* names that have it */
  size_t size;               /* of the cell with the copied literal behind it */
  const char *name;
  cr_var leaf;
  cr__value literal;
};

typedef struct cr__variable {
  const char *name;
  cr__value value;
  cr__cell *cell;            /* what keeps the value alive; NULL for nodes */
} cr__variable;

struct cr_program {
  cr_owned owned;
  cr_tape *tape;
  cr_dtype dtype;
  bool trusts;               /* ops without a check may be called */
  cr_arena arena;            /* names, variables, definitions: until the program goes */
  cr__dict variables, functions;
  cr__variable **order;
  uint32_t n_order, order_capacity;
  cr__cell *cells;
};

/* The names of the function body that is being evaluated. */
typedef struct cr__scope {
  const cr__callable *of;
  cr__value *value;          /* of->n_names */
} cr__scope;

typedef struct cr__evaluator {
  cr_tape *tape;
  cr__language *language;
  cr_program *program;       /* NULL: no variables */
  const cr__scope *scope;    /* NULL at the top */
  cr_dtype dtype;            /* of literals */
  const cr_syntax *site;     /* the call at the top whose body is being evaluated; NULL at the top */
  const cr__callable *inside;
  bool failed;
  const char *source;        /* for places in messages; NULL: none */
  cr_syntax_error *error;    /* may be NULL */
} cr__evaluator;

enum { CR__MAX_CALLS = 200, CR__MAX_NESTING = 3000 };

struct cr_call {
  cr__evaluator *evaluator;
  const cr__callable *of;
  const cr_syntax *site;
  cr__value *arg;            /* of->n_params */
  cr__value *result;
  uint32_t n_results, capacity;
};

/* formula.c */
cr__value cr__evaluate(cr__evaluator *e, const cr_syntax *s);
/* The first failure, with its place; returns the unset value. */
cr__value cr__stop(cr__evaluator *e, const cr_syntax *at, cr_status status, const char *format, ...)
#ifdef __GNUC__
  __attribute__((format(printf, 4, 5)))
#endif
  ;
/* A node as a value; poison means that the tape's error has just been set, and gets its place. */
cr__value cr__node_value(cr__evaluator *e, const cr_syntax *at, cr_var v);
/* Evaluates fresh source or a tree from the top: bounds depth and work. */
cr__evaluator cr__evaluator_on(cr_tape *t, cr_program *p, const char *source, cr_syntax_error *error);

/* value.c */
cr__value cr__none(void);
cr__value cr__number(double x, bool integral);
cr__value cr__truth(bool x);
bool cr__is_literal(const cr__value *v);  /* no nodes in it, no cell */
bool cr__is_numeric(const cr__value *v);  /* a number or truth without a cell */
/* "a list", "the text 'mean'", "float64 (2, 3)": for messages. */
const char *cr__value_text(cr__evaluator *e, const cr__value *v, char *text, size_t size);
/* The value as a node: a literal becomes a constant, or its cell's leaf. */
cr_var cr__to_node(cr__evaluator *e, const cr__value *v, const cr_syntax *at);
/* The same as an int64 (or bool) tensor. */
cr_var cr__to_index(cr__evaluator *e, const cr__value *v, const cr_syntax *at);
/* A literal as an input leaf. */
cr_var cr__to_leaf(cr__evaluator *e, const cr__value *v, const cr_syntax *at);

/* bind.c */
/* Calls f with n arguments of which the first n_positional have no name. */
cr__value cr__call(cr__evaluator *e, const cr_syntax *at, cr__callable *f, cr__value *arg, const char **name,
                   uint32_t n, uint32_t n_positional);
/* The function of that name on n arguments, for operators and the like. */
cr__value cr__apply(cr__evaluator *e, const cr_syntax *at, const char *name, cr__value *arg, uint32_t n);

/* subscript.c */
cr__value cr__index(cr__evaluator *e, const cr_syntax *s);
cr__value cr__member(cr__evaluator *e, const cr_syntax *s);

/* opcall.c: the call op.NAME(operands, attribute=value) */
cr__value cr__record_named(cr__evaluator *e, const cr_syntax *s);

/* program.c */
cr__variable *cr__variable_named(const cr_program *p, const char *name);
bool cr__assign(cr__evaluator *e, const cr_syntax *at, const char *name, const cr__value *v);
bool cr__define_in(cr__evaluator *e, const cr_syntax *s);

#endif
