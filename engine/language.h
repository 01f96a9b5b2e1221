/* The inside of the expression language: what the parser, the evaluator and the printers share. */
#ifndef CR_LANGUAGE_H
#define CR_LANGUAGE_H

#include "formula.h"
#include "internal.h"

/* lex.c: tokens */

typedef enum cr__token_kind { CR__END, CR__LINE, CR__NUMERAL, CR__QUOTED, CR__WORD, CR__MARK } cr__token_kind;

typedef struct cr__lexer {
  const char *source;
  uint32_t length, next;    /* next: where the token after this one begins */
  uint32_t nesting;         /* open brackets: inside, a newline is a space */
  cr__token_kind kind;      /* of the current token */
  uint32_t at;              /* where it begins */
  const char *mark;         /* canonical text of an operator or bracket */
  double number;
  int integral;
} cr__lexer;

/* Moves to the next token; false with a message when the bytes form none. */
bool cr__lex(cr__lexer *x, char *message, size_t size);
/* Bytes of the well-formed UTF-8 character at s, 0 when there is none; its code point goes to *code. */
uint32_t cr__utf8(const char *s, uint32_t length, uint32_t *code);

/* buffer.c: text */

/* Reads a decimal number whatever the locale; returns how many bytes it took. */
size_t cr__scan_number(const char *s, size_t length, double *value, int *integral);
void cr__put_bytes(cr_buffer *b, const char *bytes, size_t n);

/* parse.c: trees */

/* How tightly a construct binds, from assignments to atoms. */
enum {
  CR__LOWEST, CR__CHOOSES, CR__ORS, CR__ANDS, CR__NOTS, CR__COMPARES, CR__SUMS, CR__PRODUCTS, CR__SIGNS, CR__POWERS,
  CR__ATOMS
};

/* A binary operator: its text in trees, the function that computes it, and how it is typeset. */
typedef struct cr__operator {
  const char *text, *function, *latex;
  int binds;
} cr__operator;

const cr__operator *cr__operator_of(const char *text);
/* How tightly the tree's root binds, and how tightly its operands must to go without brackets. */
int cr__binds(const cr_syntax *s);
int cr__left_least(const cr__operator *op);
int cr__right_least(const cr__operator *op);
void cr__put_operator(cr_buffer *b, const cr__operator *op); /* print.c: with the spaces it is written with */
/* Parses into an arena. A signature is one call, in which bare * and / and a trailing *name may stand; what follows the
 * call is left alone. */
cr_syntax *cr__parse(cr_tape *t, cr_arena *arena, const char *source, size_t length, bool signature,
                     cr_syntax_error *error);

/* language.c: memory, and the functions of a tape */

/* Memory from an arena of the tape's; on failure the tape's error is set. */
void *cr__take(cr_tape *t, cr_arena *arena, size_t bytes);

/* A position in an arena that is used like a stack. */
typedef struct cr__spot {
  uint32_t chunk;
  size_t used;
} cr__spot;
static inline cr__spot cr__spot_of(const cr_arena *a) { return (cr__spot){a->current, a->used}; }
static inline void cr__back_to(cr_arena *a, cr__spot spot) { cr__arena_reset(a, spot.chunk, spot.used); }

/* Names to things, by hash; a NULL item is not stored. */
typedef struct cr__dict {
  const cr_allocator *allocator;
  struct cr__dict_entry {
    const char *name; /* not copied */
    void *item;
  } *entry;
  uint32_t n, capacity;
} cr__dict;
void *cr__dict_find(const cr__dict *d, const char *name, size_t length);
bool cr__dict_put(cr_tape *t, cr__dict *d, const char *name, void *item); /* replaces */
void cr__dict_free(cr__dict *d);

typedef struct cr__param {
  const char *name;
  const cr_syntax *fallback; /* default; NULL: required */
} cr__param;

/* Something that can be called: a function of the table, a row, or a definition of a program. */
typedef struct cr__callable {
  const char *name;
  const cr_function *function; /* NULL for bare rows and definitions */
  const cr_op *row;            /* records this op when called with just its operands */
  const char *signature;       /* for messages; of definitions the whole text */
  bool read;                   /* what follows is filled in */
  bool variadic;               /* the last positional parameter takes all that is left, as a tuple */
  uint32_t n_params, n_positional;
  const cr__param *param;
  uint32_t n_names;            /* parameters, then the names that the body assigns */
  const char *const *local;
  const cr_syntax *body;       /* a BLOCK or expression; NULL: function->call */
} cr__callable;

typedef struct cr__language {
  cr_allocator from_lasting;
  cr_arena scratch;          /* a stack: trees, arguments, lists of the evaluation under way */
  cr__dict callables;
  const cr_function **defined;
  uint32_t n_defined, defined_capacity;
  cr__dict ops;              /* of the functions searched so far: cr__op_named */
  int n_searched;
  struct cr__rule {
    const cr_syntax *tree;
  } (*rule)[2];              /* parsed partials by op number */
  uint32_t n_rules;
  uint32_t depth, calls;     /* nesting of the evaluation under way */
  uint64_t work, most_work;  /* tree nodes it has evaluated, and may */
} cr__language;

/* NULL when memory runs out. */
cr__language *cr__language_of(cr_tape *t);
/* The callable of that name (the last part of a dotted one), NULL when there is none. */
cr__callable *cr__callable_named(cr_tape *t, const char *name);
/* The op of that name among those that the functions of the tape list, NULL when there is none. */
const cr_op *cr__op_named(cr_tape *t, const char *name);
/* Reads signature and body if that is still to be done; false with the tape's error set. */
bool cr__read_callable(cr_tape *t, cr__callable *f);
/* Parameters and body of a definition f(u) = body, in the arena. */
bool cr__read_definition(cr_tape *t, cr_arena *arena, const cr_syntax *s, cr__callable *f);
/* Chains of binary operators lean left and may be longer than the stack is deep: the nodes of a chain from its root
 * down to its innermost, in the arena. NULL when memory runs out. */
const cr_syntax **cr__chain(cr_tape *t, cr_arena *arena, const cr_syntax *s, uint32_t *n);

/* The best guess at what was meant by name, among the candidates offered one by one. */
typedef struct cr__guess {
  const char *name, *best;
  int distance;
} cr__guess;
void cr__consider(cr__guess *g, const char *candidate);
void cr__consider_all(cr__guess *g, const cr__dict *d);

/* opcall.c: a member of attributes, of 4 or 8 bytes; up to where integers may be numerals, which are doubles */
int64_t cr__integer_at(const void *attr, size_t at, size_t size);
#define CR__EXACT 9007199254740992.0

/* latex.c: what trees and nodes share when they are typeset */

void cr__latex_name(cr_buffer *b, const char *s);    /* yhat as \\hat{y}, w11 as w_{11}, alpha as \\alpha */
void cr__latex_letters(cr_buffer *b, const char *s); /* as they are, escaped */
void cr__latex_number(cr_buffer *b, double x);

/* Part of a template such as "\\frac{%a}{%b}": text, or operand 0, 1, 2, perhaps enclosed in brackets or braces. */
typedef struct cr__template_part {
  const char *text;
  size_t length;
  int operand;              /* -1: text */
  bool enclosed;
} cr__template_part;
bool cr__template_next(const char *start, const char **at, cr__template_part *part);

/* The operator of an op written "a OP b", NULL for others. */
const cr__operator *cr__infix_of(const cr_op *op);
/* How tightly a typeset op binds, and its operands must to go without brackets. */
int cr__latex_binds(const cr_op *op);
int cr__latex_least(const cr_op *op, int operand);

/* Functions that the engine itself provides: grad, vjp, ... */
extern const cr_function cr__builtin_functions[];

#endif
