/* Lessons: worked examples as files, whose printed numbers are recomputed and judged.
 *
 * A lesson file is a program of the expression language, a statement a line, with these lines in between:
 *
 *     lesson "title"                      source 004 168-210
 *     say "text"                          quiz "title"     ask "text"     hint "text"
 *     claim LEFT = NUMBER at LINE         the number that is printed there for LEFT
 *     claim LEFT = FORMULA at LINE        the formula that is printed there for LEFT
 *     claim LEFT < RIGHT at LINE          or another relation
 *     erratum E19 at LINE "text"          what is wrong there in words
 *     answer LEFT                         what a quiz asks for, computed
 *
 * A claim may go on with `by FORMULA`, how the hand calculation gets its number, `as E1`, a label, `is wrong`, the verdict
 * that is expected, and `note "text"`. grad(J, w) is the derivative of J with respect to w, jac(y, x) a Jacobian; a number
 * computed in one claim may be used in others as dJ_dw. Names that end in _new are what the same names without it become. */
#ifndef LESSON_H
#define LESSON_H

#include <stdio.h>

#include "../explain/symbols.h"

typedef enum judgement {
  EXACT, ROUNDED, CARRIED, TRUNCATED, CASCADE, HOLDS, WRONG, N_JUDGEMENTS
} judgement;
extern const char *const judgement_text[N_JUDGEMENTS]; /* "exact", "correctly rounded", ... */

typedef struct claim {
  int line;                 /* in the notes; 0: unknown */
  int file_line;
  const char *left, *right; /* as they stand in the file */
  const char *key;          /* "z1", "dJ_dw11": what later claims call the number; NULL: nothing does */
  const char *by;           /* the formula of the hand calculation; NULL: none is known */
  const char *label, *note; /* NULL where there is none */
  int expected;             /* a judgement, or -1 */
  bool numeric;             /* a printed number; else a formula or relation */
  bool own;                 /* the reader's number or formula, in the place of the printed one */
  double printed, truth;    /* of numeric ones */
  int digits;               /* decimals printed */
  judgement verdict;
  int cause;                /* of a cascade: the claim behind it */
  const char *why;          /* how the number came about: a replay, a slip, a cause; "" */
  const char *correct;      /* what should stand there, as text; of numeric ones, rounded as printed */
} claim;

typedef enum item_kind { ITEM_SAY, ITEM_CLAIM, ITEM_ERRATUM, ITEM_QUIZ, ITEM_ASK, ITEM_HINT, ITEM_ANSWER } item_kind;

typedef struct item {
  item_kind kind;
  const char *text, *label;
  int line, claim;          /* claim: of ITEM_CLAIM */
} item;

typedef struct definition {
  const char *name, *formula;
} definition;

typedef struct lesson {
  pool pool;
  cr_tape *tape;
  cr_program *program;
  const char *path, *title, *source, *lines;
  int n_items, n_claims, n_definitions, item_room, claim_room, definition_room;
  item *item;
  claim *claim;
  definition *definition;
  char error[1200];         /* of lesson_read */
} lesson;

/* Runs the lesson in the text. own: NAME=VALUE texts, answers of the reader's: numbers, or formulas that have to be right at
 * other numbers than the lesson's too. False with l->error set; the lesson is to be
 * closed in either case. */
bool lesson_read(lesson *l, const char *path, const char *text, int n_own, const char *const *own);
void lesson_close(lesson *l);
bool lesson_as_expected(const lesson *l);

/* Steps of reading in files of their own */
void judge_claim(lesson *l, claim *c);                         /* verdicts.c */
bool name_slip(lesson *l, claim *c);                           /* slips.c: fills c->why; false when none is known */
void judge_formula(lesson *l, claim *c, cr_var left, tree right); /* formulas.c */
bool judge_relation(lesson *l, claim *c, tree relation);

/* lines.c */
const char *text_trimmed(pool *p, const char *s, size_t n); /* without blanks around it */
bool line_is_open(const char *s);                           /* a bracket or a quote is open: it goes on in the next line */
const char *line_joined(pool *p, const char *s, size_t n);  /* without comments; line ends as one space */

/* What the steps share */

/* How a formula is replayed: which values names have, and whether every step is rounded. */
typedef struct replay {
  enum { AS_IS, AS_PRINTED, AS_PRINTED_WRONGLY } values; /* exact; as printed where that was right; as printed */
  int decimals;             /* every step is rounded to so many; 0: none */
  unsigned subset;          /* of the names in the formula, only these as printed; 0: all */
} replay;
/* NaN when the formula has no single value. */
double replay_value(lesson *l, tree formula, const replay *how, int decimals_of_names);
/* The formula behind a claim: `by`, or the definition of its name; NULL. */
tree formula_of(lesson *l, const claim *c);
double value_of(lesson *l, const char *name); /* NaN when it is no single number */
bool prints_as(double x, double printed, int digits); /* rounded to so many decimals */
const char *decimal_text(pool *p, double x, int digits);
const char *short_text(pool *p, double x);   /* six significant digits */
const char *shown_name(pool *p, const char *name); /* dJ/dw for dJ_dw */
/* The distinct names in a tree, at most room of them. */
int names_in(tree s, const char **name, int room);
cr_var evaluate_tree(lesson *l, tree s);     /* poison with the error cleared, its text in *l */

/* report.c: as text, as JSON, and what is wrong as Markdown. */
void lesson_text(const lesson *l, cr_buffer *b, bool color);
void lesson_json(const lesson *l, cr_buffer *b);
void lesson_errata(const lesson *l, int n, cr_buffer *b);

#endif
