/* The chainrule command: what its verbs share. main.c reads the arguments into a context, by the tables of verbs.c, and
 * calls the verb; a verb opens what it needs, prints, and returns the exit status. */
#ifndef COMMAND_H
#define COMMAND_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* Not chainrule.h, which adds the caller's source line to messages: here the caller is at the command line. */
#include <engine.h>
#include <formula.h>
#include <function.h>
#include <op.h>
#include <ops.h>

enum { STATUS_GOOD = 0, STATUS_FAILED = 1, STATUS_USAGE = 2 };

/* Options: verbs.c has the name, argument and help of each. */
typedef enum option_id {
  OPT_WRT, OPT_DTYPE, OPT_COTANGENT, OPT_TANGENT, OPT_ALL, OPT_DIGITS, OPT_FULL,  /* what to compute, how to print numbers */
  OPT_CLAIM, OPT_EXEC, OPT_TIMEOUT, OPT_TOLERANCE, OPT_SEED, OPT_ORDER,          /* check */
  OPT_KINKS, OPT_LATEX, OPT_HTML, OPT_OUTPUT, OPT_SVG, OPT_PNG, OPT_DEPTH, OPT_FOCUS, OPT_STEPS, OPT_ONLY, OPT_FRAMES,
  OPT_STATS, OPT_TEXT, OPT_ERRATA, OPT_WHY, OPT_NONFINITE, OPT_MEMORY,
  OPT_SET, OPT_EPOCHS, OPT_MAX_SECONDS, OPT_TARGET_LOSS, OPT_PATIENCE, OPT_GRAD_TOL, OPT_NO_CAPTURE, OPT_FOLDS,
  OPT_THREADS, OPT_CHECKPOINT, OPT_RESUME, OPT_LOG,  /* train */
  OPT_PLOT, OPT_CONFUSION, OPT_SATURATION, OPT_GRADIENTS, OPT_SUMMARY, OPT_FORMULA, OPT_DIAGRAM, OPT_LIST, OPT_QUIET,
  OPT_DATA, OPT_PROMPT, OPT_LENGTH, OPT_TEMPERATURE,  /* predict */
  OPT_NAME, OPT_GRADIENT, OPT_JACOBIAN, OPT_HESSIAN, OPT_SPARSE, OPT_MAIN, OPT_SPLIT, OPT_FILES,  /* codegen */
  OPT_COMPILE, OPT_PASSES, OPT_CLEAR,  /* graph, cache */
  OPT_JSON, OPT_COLOR, OPT_HELP,
  N_OPTIONS
} option_id;

typedef struct option {
  const char *name, *argument, *help; /* argument NULL: a switch */
} option;
extern const option options[N_OPTIONS];

typedef struct context context;

typedef struct verb {
  const char *name, *arguments, *summary;
  int (*run)(context *c);
  const char *options;      /* names of those it takes, each ended by a blank; --json, --help and the like always */
  const char *description;  /* paragraphs, separated by newlines */
  const char *keys;         /* of its JSON: "key  meaning" lines */
  const char *examples;     /* command lines, one a line, without "chainrule"; the tests run them */
} verb;
extern const verb verbs[]; /* ended by a NULL name */
const verb *verb_named(const char *name);
static inline bool is_common(int id) { return id >= OPT_JSON; } /* every verb takes it */
bool takes(const verb *v, int id);

typedef struct setting {
  option_id id;
  const char *value; /* "" for switches */
} setting;

/* A leaf with the name that the command line, a request or the program gives it. */
typedef struct variable {
  const char *name;
  cr_var var;
} variable;

struct context {
  const verb *verb;
  setting *setting;         /* in the order given */
  int n_settings;
  const char **argument;    /* the others, without NAME=VALUE and options; argument[0] is the expression, file or - */
  int n_arguments;
  const char **assignment;  /* NAME=VALUE */
  int n_assignments;

  /* set by open_source */
  char *source;             /* 0-terminated */
  size_t length;
  const char *title;        /* "expression", a file's name, "standard input": for messages */

  /* set by open_program */
  cr_tape *tape;
  cr_program *program;
  cr_dtype dtype;
  variable *input;          /* one for each NAME=VALUE */
  int n_inputs;
};

/* Options of this run */

bool has(const context *c, option_id id);
const char *given(const context *c, option_id id);                        /* the last value, NULL when not given */
const char *next_given(const context *c, option_id id, int *k);           /* all: start with *k = 0; NULL at the end */
/* The option as a whole number in [low, high], or fallback; false after a complaint. */
bool whole_given(const context *c, option_id id, long low, long high, long fallback, long *value);

/* Messages: "chainrule: ..." on standard error. All return STATUS_USAGE, so that a verb can return them. */

int complain(const char *format, ...)
#ifdef __GNUC__
  __attribute__((format(printf, 1, 2)))
#endif
  ;
int complain_tape(const context *c, const cr_syntax_error *where); /* the tape's error; where may be NULL */
int complain_memory(void);

/* Sources and programs: false after a complaint */

bool open_source(context *c);                       /* argument[0]: an expression, the name of a .chain file, or - */
bool open_program(context *c);                      /* a tape, a program and the NAME=VALUE inputs, bound */
/* Both, and runs the source. Without a final expression the last name assigned is the result; none at all is an error. */
bool run_source(context *c, cr_results *results);
/* What to differentiate with respect to: --wrt, else the float inputs given, else the program's leaves. The caller frees
 * *x. NULL after a complaint with *n = -1; none at all is a complaint too. */
variable *wrt_of(context *c, int *n);
/* A whole stream as text with a final 0, at most limit bytes; NULL with errno set (EFBIG: over the limit). */
char *read_stream(FILE *f, size_t limit, size_t *length);

/* Host copies of tensors (tensor.c) */

enum { TENSOR_RANK = 2 * CR_MAX_RANK }; /* a Jacobian has the axes of both */

typedef struct tensor {
  cr_dtype dtype;
  int rank;
  int64_t dim[TENSOR_RANK], count;
  double *real;             /* row-major; float dtypes */
  int64_t *whole;           /* the same for integers and bools; the other one is NULL */
} tensor;

/* What was wrong with a piece of input. */
typedef struct problem {
  const char *code;         /* "bad shape", ... */
  char text[512];
} problem;
/* Returns false. */
bool fail(problem *p, const char *code, const char *format, ...)
#ifdef __GNUC__
  __attribute__((format(printf, 3, 4)))
#endif
  ;
const char *status_code(cr_status status); /* CR_BAD_SHAPE is "bad shape" */

bool tensor_make(tensor *x, cr_dtype dtype, int rank, const int64_t *dims, problem *p); /* zeros */
bool tensor_of(tensor *x, cr_var v, problem *p);
void tensor_free(tensor *x);
double tensor_get(const tensor *x, int64_t k);
/* As an input leaf, or a constant. Poison with the tape's error set. */
cr_var tensor_record(cr_tape *t, const tensor *x, bool constant);

/* Output */

/* JSON: numbers have 17 significant digits; nan and inf are the strings "nan", "inf", "-inf". */
/* Bytes that are not UTF-8 are taken for Latin-1. */
json_t *json_text(const char *text);
json_t *json_number_of(double x);
json_t *json_tensor(const tensor *x);               /* {"dtype", "shape", "data"}; NULL when memory runs out */
json_t *json_var(cr_var v);                         /* the same for a node */
/* Reads such an object, a nested list or a number (or a bool, or "nan", "inf", "-inf"). */
bool tensor_of_json(tensor *x, const json_t *j, cr_dtype dtype, problem *p);
/* The same where shape and dtype are those of a node: flat, nested, or one number for all. */
bool tensor_like_json(tensor *x, const json_t *j, cr_var like, problem *p);
json_t *json_read_line(const char *line, size_t length, problem *p); /* NaN, Infinity and huge integers are tolerated */
/* Prints on one line, releases j, returns the exit status; j NULL means memory ran out. */
int put_json(FILE *f, json_t *j);

/* "label = [[1, 2],\n          [3, 4]]", aligned. width pads the label. */
void put_tensor(FILE *f, const char *label, int width, const tensor *x, int digits, bool full);
void put_var(FILE *f, const char *label, int width, cr_var v, int digits, bool full);
bool use_color(const context *c, FILE *f);          /* a terminal, no NO_COLOR, --color */

/* Derivatives: one list of results for batch and the verbs (answer.c) */

enum { WANT_VALUE = 1, WANT_VJP = 2, WANT_JVP = 4, WANT_HVP = 8, WANT_JAC = 16, WANT_HESS = 32, N_WANTS = 6 };
extern const char *const want_name[N_WANTS]; /* "value", ... in the order of the bits */

typedef struct query {
  cr_tape *tape;
  int m;
  cr_var y[CR_MAX_RESULTS], cotangent[CR_MAX_RESULTS]; /* a poison cotangent means ones */
  int n;
  const variable *x;
  const cr_var *tangent;     /* one for each x; poison means zeros; NULL: none were given */
  bool captured, compiled;   /* compute all but Jacobians and Hessians in a captured function too, or a compiled one */
} query;

typedef struct result {
  int want, output;          /* output: which y; -1 where all are summed */
  const char *a, *b;         /* names of x; NULL where there is none */
  bool absent;               /* an integer output has no derivative */
  cr_var node;               /* that has the value; none of a Jacobian or Hessian */
  tensor value;
} result;

typedef struct answer {
  result *result;
  int n, capacity;
  problem problem;
  char note[200];            /* of compiling */
} answer;

/* Appends what is wanted to *a; false with a->problem set. */
bool derive(const query *q, unsigned wants, answer *a);
void answer_free(answer *a);
/* Whether one captured function of the inputs gives the same bits (samebits.c), and compiled the same float64; else with
 * a->problem set. What cannot be captured, since values were read while recording, is passed over. */
bool same_when_captured(const query *q, answer *a);
/* Adds "value": [...], "vjp": {...}, ... to an object; false when memory runs out. */
bool answer_json(const answer *a, json_t *object);

/* The answer of batch to one line; a length of 0 stands for a line that was too long. NULL when memory runs out. */
json_t *batch_answer(cr_tape *t, cr_dtype dtype, const char *text, size_t length);

/* The verbs */

int verb_eval(context *c);
int verb_derivative(context *c); /* grad, vjp, jvp, jac, hess, hvp */
int verb_check(context *c);
int verb_explain(context *c);
int verb_graph(context *c);
int verb_cache(context *c);
int verb_codegen(context *c);
int verb_surface(context *c);
int verb_ops(context *c);
int verb_lesson(context *c);
int verb_repl(context *c);
int verb_batch(context *c);
int verb_train(context *c);
int verb_predict(context *c);
int verb_plot(context *c);

/* Help, from the tables (help.c) */

int put_help(FILE *f, const verb *v); /* v NULL: the whole command */
int put_man(FILE *f);

#endif
