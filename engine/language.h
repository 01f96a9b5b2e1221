/* The inside of the expression language: what the parser, the evaluator and the printers share. */
#ifndef CR_LANGUAGE_H
#define CR_LANGUAGE_H

#include "formula.h"
#include "internal.h"

/* How tightly a construct binds, from assignments to atoms. */
enum {
  CR__LOWEST, CR__CHOOSES, CR__ORS, CR__ANDS, CR__NOTS, CR__COMPARES, CR__SUMS, CR__PRODUCTS, CR__SIGNS, CR__POWERS, CR__ATOMS
};

/* A binary operator: its text in trees, the function that computes it, and how it is typeset. */
typedef struct cr__operator {
  const char *text, *function, *latex;
  int binds;
} cr__operator;

/* parse.c */
/* Memory from an arena of the tape's; on failure the tape's error is set. */
void *cr__take(cr_tape *t, cr_arena *arena, size_t bytes);
const cr__operator *cr__operator_of(const char *text);
/* How tightly the tree's root binds. */
int cr__binds(const cr_syntax *s);
/* Parses into an arena. A signature is one call, in which bare * and / and a trailing *name may stand; what follows the
 * call is left alone. */
cr_syntax *cr__parse(cr_tape *t, cr_arena *arena, const char *source, size_t length, bool signature, cr_syntax_error *error);
/* Chains of binary operators lean left and may be longer than the stack is deep: the nodes of a chain from its root down
 * to its innermost, in the arena. NULL when memory runs out. */
const cr_syntax **cr__chain(cr_tape *t, cr_arena *arena, const cr_syntax *s, uint32_t *n);

/* lex.c */
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

/* buffer.c */
/* Reads a decimal number whatever the locale; returns how many bytes it took. */
size_t cr__scan_number(const char *s, size_t length, double *value, int *integral);
void cr__put_bytes(cr_buffer *b, const char *bytes, size_t n);

#endif
