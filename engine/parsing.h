/* The inside of the parser: parse.c reads expressions, statements.c what is made of them. */
#ifndef CR_PARSING_H
#define CR_PARSING_H

#include "language.h"

typedef struct cr__parser {
  cr_tape *tape;
  cr_arena *arena;
  cr__lexer x;
  uint32_t end;     /* of the token before the current one */
  uint32_t depth;
  bool signature, in_body;
  cr_syntax_error *error;
} cr__parser;

/* The first failure stays. These return NULL. */
cr_syntax *cr__parse_fail(cr__parser *p, uint32_t at, cr_status status, const char *format, ...)
#ifdef __GNUC__
  __attribute__((format(printf, 4, 5)))
#endif
  ;
cr_syntax *cr__expected(cr__parser *p, const char *what); /* and what was found instead */

void cr__next_token(cr__parser *p);
bool cr__is_mark(const cr__parser *p, const char *mark);  /* the current token */

/* A node; its children, in order; then it is sealed: its length and height are known. NULL on failure. */
cr_syntax *cr__make_syntax(cr__parser *p, cr_syntax_kind kind, uint32_t at);
cr_syntax **cr__append_syntax(cr_syntax **tail, cr_syntax *child);
cr_syntax *cr__seal_syntax(cr__parser *p, cr_syntax *s);

/* An expression whose operators bind at least this tightly; all statements up to the end. */
cr_syntax *cr__parse_expression(cr__parser *p, int least);
cr_syntax *cr__parse_block(cr__parser *p);

#endif
