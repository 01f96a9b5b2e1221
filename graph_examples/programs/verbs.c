/* The verbs and options: the one place from which arguments are read, and --help and the man page are made. */
#include <string.h>

#include "command.h"

#define BIT(id) ((uint64_t)1 << (id))

enum {
  EVALUATING = BIT(OPT_DTYPE) | BIT(OPT_MEMORY),
  PRINTING = BIT(OPT_DIGITS) | BIT(OPT_FULL),
};
static const uint64_t deriving = EVALUATING | PRINTING | BIT(OPT_WRT);

const option options[N_OPTIONS] = {
  [OPT_WRT] = {"wrt", "NAMES", "differentiate with respect to these, separated by commas; default: all float inputs"},
  [OPT_DTYPE] = {"dtype", "DTYPE", "of numbers and inputs: float64 (default) or float32"},
  [OPT_COTANGENT] = {"cotangent", "VALUE", "of the output, as a number or list; again for each further output; default: ones"},
  [OPT_TANGENT] = {"tangent", "NAME=VALUE", "the direction of NAME; zeros for the inputs left out"},
  [OPT_ALL] = {"all", NULL, "print every name that the source assigns, too"},
  [OPT_DIGITS] = {"digits", "N", "significant digits, 1 to 17; default 10"},
  [OPT_FULL] = {"full", NULL, "print large tensors whole"},
  [OPT_CLAIM] = {"claim", "NAME=VALUE", "a gradient computed elsewhere, to be checked and, if wrong, diagnosed"},
  [OPT_EXEC] = {"exec", "PROGRAM", "check the gradient that this shell command computes (see PROTOCOL)"},
  [OPT_TIMEOUT] = {"timeout", "SECONDS", "for each answer of the program; default 10"},
  [OPT_TOLERANCE] = {"tolerance", "T", "relative; default 1e-9, and no less than the differences can tell"},
  [OPT_SEED] = {"seed", "N", "of the random directions"},
  [OPT_ORDER] = {"order", "N", "1: first derivatives only; default 2"},
  [OPT_KINKS] = {"kinks", NULL, "the table of conventions where a derivative does not exist"},
  [OPT_LATEX] = {"latex", NULL, "formulas as LaTeX"},
  [OPT_OUTPUT] = {"output", "FILE", "write there instead of to standard output"},
  [OPT_SVG] = {"svg", NULL, "a drawing as SVG (needs Graphviz)"},
  [OPT_PNG] = {"png", NULL, "a drawing as PNG (needs Graphviz)"},
  [OPT_DEPTH] = {"depth", "N", "how many levels to expand; 0: all"},
  [OPT_STEPS] = {"steps", NULL, "wait for a key after each step on a terminal"},
  [OPT_MEMORY] = {"memory", "MIB", "give up beyond this much memory"},
  [OPT_JSON] = {"json", NULL, "answer with one line of JSON"},
  [OPT_COLOR] = {"color", "WHEN", "auto (default), always or never; NO_COLOR is honoured"},
  [OPT_HELP] = {"help", NULL, "this text"},
};

#define TENSOR_KEYS "A tensor is {\"dtype\", \"shape\", \"data\"}, its data row-major and flat."

const verb verbs[] = {
  {"eval", "EXPR|FILE|- [NAME=VALUE ...]", "the value of an expression", verb_eval,
   EVALUATING | PRINTING | BIT(OPT_ALL),
   "Evaluates an expression or a program and prints the value of its last expression. Several values are printed in order.",
   "value  list of tensors, one for each output\n"
   "names  with --all: object of the tensors that the source assigns\n" TENSOR_KEYS,
   "eval '2^10'\n"
   "eval 'softmax(x)' x=[1,2,3]\n"
   "eval 'a @ b' a='[[1,2],[3,4]]' b=[5,6] --json"},
  {"grad", "EXPR|FILE|- [NAME=VALUE ...]", "the gradient", verb_derivative, deriving,
   "The value and its derivative with respect to every float input. For a tensor, the gradient of the sum of its elements.",
   "value  list of tensors, one for each output\n"
   "grad   object of tensors by input\n" TENSOR_KEYS,
   "grad 'x^2*sin(y)' x=2 y=3\n"
   "grad 'det(A)' A='[[3,0],[0,4]]'\n"
   "grad 'relu(x)' x=0 --json"},
  {"vjp", "EXPR|FILE|- [NAME=VALUE ...]", "vector-Jacobian products: reverse mode", verb_derivative, deriving | BIT(OPT_COTANGENT),
   "The derivative of the sum of cotangent times output with respect to every input.",
   "value  list of tensors, one for each output\n"
   "vjp    object of tensors by input\n" TENSOR_KEYS,
   "vjp 'exp(x)' x=[0,1] --cotangent [1,10]"},
  {"jvp", "EXPR|FILE|- [NAME=VALUE ...]", "Jacobian-vector products: forward mode", verb_derivative, deriving | BIT(OPT_TANGENT),
   "How the outputs move when the inputs move along the tangents.",
   "value  list of tensors, one for each output\n"
   "jvp    list of tensors, one for each output; null for integer outputs\n" TENSOR_KEYS,
   "jvp 'x*y' x=2 y=3 --tangent x=1 --tangent y=0.5"},
  {"jac", "EXPR|FILE|- [NAME=VALUE ...]", "dense Jacobians", verb_derivative, deriving,
   "The derivative of every element of the output with respect to every element of each input: the axes of the output, then\n"
   "those of the input.",
   "value  list of tensors, one for each output\n"
   "jac    object by input of lists by output\n" TENSOR_KEYS,
   "jac '[x*y, x+y]' x=2 y=3\n"
   "jac 'softmax(x)' x=[1,2,3]"},
  {"hess", "EXPR|FILE|- [NAME=VALUE ...]", "dense Hessians", verb_derivative, deriving | BIT(OPT_COTANGENT),
   "Second derivatives of the sum of cotangent times output, one block for each pair of inputs.",
   "value  list of tensors, one for each output\n"
   "hess   object by input of objects by input\n" TENSOR_KEYS,
   "hess 'x^2*y' x=2 y=3\n"
   "hess 'logsumexp(x, 0)' x=[1,2,3]"},
  {"hvp", "EXPR|FILE|- [NAME=VALUE ...]", "Hessian-vector products", verb_derivative,
   deriving | BIT(OPT_COTANGENT) | BIT(OPT_TANGENT),
   "The Hessian of the sum of cotangent times output over all inputs jointly, times the tangents.",
   "value  list of tensors, one for each output\n"
   "hvp    object of tensors by input\n" TENSOR_KEYS,
   "hvp 'sum(x^3)' x=[1,2] --tangent x=[1,0]"},
  {"check", "[EXPR|FILE|-] [NAME=VALUE ...]", "is the gradient right?", verb_check,
   EVALUATING | BIT(OPT_WRT) | BIT(OPT_CLAIM) | BIT(OPT_EXEC) | BIT(OPT_TIMEOUT) | BIT(OPT_TOLERANCE) | BIT(OPT_SEED) |
     BIT(OPT_ORDER) | BIT(OPT_DIGITS),
   "Compares derivatives with extrapolated differences, forward with reverse mode, and second derivatives taken in several\n"
   "orders. With --claim, a gradient that was computed by hand is compared instead, and a wrong one is explained where a\n"
   "common mistake reproduces it. Exit status 1 when anything disagrees.\n"
   "\n"
   "With --exec, the gradient of any other program is checked. PROTOCOL: the shell command is started once. It reads one\n"
   "JSON object a line from its standard input, {\"x\": [...]}, and answers each with one line on its standard output,\n"
   "{\"value\": v, \"gradient\": [...]}; \"gradient\" may be left out of all answers but the first. x is the inputs laid end to\n"
   "end in the order given. With an expression the gradient is compared with the expression's, and the value too; without,\n"
   "with differences of the program's own values. A program that does not answer in time is ended.",
   "verdict      \"agree\" or \"disagree\"\n"
   "kinks        how many slopes lie at a kink\n"
   "inconclusive how many differences cannot tell\n"
   "worst        largest relative error\n"
   "evaluations  of the function\n"
   "entries      list of {\"label\", \"analytic\", \"numeric\", \"error\", \"digits\", \"verdict\", \"note\"}, with \"claim\" for claims\n"
   "tests        list of {\"name\", \"error\", \"limit\", \"passed\"}\n"
   "diagnosis    what reproduces a wrong number, or \"\"",
   "check 'x^2*sin(y)' x=2 y=3\n"
   "check 'sigmoid(x)' x=0.3 --claim x=0.2444583\n"
   "check 'mean(x^2)' x=[1,2,4] --claim x=[2,4,8]"},
  {"explain", "EXPR|FILE|- [NAME=VALUE ...]", "the chain rule, step by step, with numbers", verb_explain,
   deriving | BIT(OPT_LATEX) | BIT(OPT_OUTPUT) | BIT(OPT_DEPTH) | BIT(OPT_STEPS),
   "Walks through the forward pass and the backward pass, one operation at a time: its rule, the numbers that enter, what is\n"
   "passed on, and a finite difference that agrees.",
   "steps  list of the operations with value, adjoint and rule",
   "explain 'sin(x)*y' x=1 y=2"},
  {"graph", "EXPR|FILE|- [NAME=VALUE ...]", "the graph of operations", verb_graph,
   deriving | BIT(OPT_OUTPUT) | BIT(OPT_SVG) | BIT(OPT_PNG) | BIT(OPT_DEPTH),
   "Prints the graph in Graphviz's DOT language, or draws it.",
   "nodes  list of the nodes with their operands",
   "graph 'x*y + sin(x)' x=1 y=2"},
  {"ops", "[NAME]", "what there is to compute with", verb_ops, BIT(OPT_KINKS) | BIT(OPT_LATEX),
   "Lists the functions of the expression language by family; with a NAME, its documentation: what it computes, where, its\n"
   "derivative, and what happens at its kinks.",
   "functions  list of {\"name\", \"signature\", \"family\", \"doc\", \"domain\", \"derivative\", \"kinks\", \"formula\", \"latex\"}",
   "ops\n"
   "ops softmax\n"
   "ops --kinks"},
  {"lesson", "[NAME]", "short lessons on the chain rule", verb_lesson, PRINTING | BIT(OPT_LATEX) | BIT(OPT_STEPS) | BIT(OPT_OUTPUT),
   "Lists the lessons, or runs one: text with expressions that are evaluated as they are shown.",
   "lessons  list of {\"name\", \"title\"}",
   "lesson"},
  {"repl", "[NAME=VALUE ...]", "an interactive session", verb_repl, EVALUATING | PRINTING,
   "Reads expressions and assignments and prints their values; names keep their values from line to line. :grad NAME EXPR\n"
   "prints a derivative, :help lists the other commands, :quit or end of file ends. With --json, one line for each value.",
   "value  list of tensors, one for each output",
   NULL},
  {"batch", "[FILE|-]", "requests and answers as JSON lines, for other programs", verb_batch, BIT(OPT_DTYPE) | BIT(OPT_MEMORY),
   "Reads one request a line and answers each with one line, in order, flushed at once:\n"
   "\n"
   "  {\"id\": 1, \"expr\": \"softmax(x, axis=-1)\", \"inputs\": {\"x\": {\"dtype\": \"float64\", \"shape\": [3], \"data\": [1, 2, 3]}},\n"
   "   \"wrt\": [\"x\"], \"want\": [\"value\", \"vjp\"], \"cotangents\": [[1, 0, 0]]}\n"
   "  {\"id\": 1, \"value\": [{\"dtype\": \"float64\", \"shape\": [3], \"data\": [...]}], \"vjp\": {\"x\": {...}}}\n"
   "\n"
   "A failed request is answered with {\"id\", \"error\": {\"code\", \"message\", \"line\", \"column\"}}, the last two where the expression\n"
   "is at fault; the program goes on. Data may be flat, nested, or one number for all elements; an input may also be a plain\n"
   "number or list. nan and inf are the strings \"nan\", \"inf\", \"-inf\". No memory is kept from one request to the next.\n"
   "\n"
   "Requests have the keys\n"
   "  id          anything; repeated in the answer\n"
   "  expr        expression or program; a tuple has several outputs\n"
   "  inputs      object of tensors by name\n"
   "  wrt         list of names; default: all float inputs\n"
   "  want        list of value, vjp, jvp, hvp, jac, hess; default: value\n"
   "  cotangents  list with one tensor for each output, null for integer ones; default: ones\n"
   "  tangents    object of tensors by input, for jvp and hvp; zeros where left out\n"
   "  dtype       of plain numbers and literals; default float64",
   "id     of the request, null when the line could not be read\n"
   "value  list of tensors, one for each output\n"
   "vjp    object of tensors by input\n"
   "jvp    list of tensors, one for each output; null for integer outputs\n"
   "hvp    object of tensors by input: the Hessian of sum(cotangent * output) over all of wrt, times the tangents\n"
   "jac    object by input of lists by output; the axes of the output, then those of the input\n"
   "hess   object by input of objects by input: second derivatives of sum(cotangent * output)\n"
   "error  {\"code\", \"message\", \"line\", \"column\"}\n" TENSOR_KEYS,
   NULL},
  {0},
};

const verb *verb_named(const char *name) {
  for (const verb *v = verbs; v->name; v++)
    if (!strcmp(v->name, name)) return v;
  return NULL;
}
