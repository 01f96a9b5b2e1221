/* The verbs and options: the one place from which arguments are read, and --help and the man page are made. */
#include <string.h>

#include "command.h"

#define BIT(id) ((uint64_t)1 << (id))

enum {
  EVALUATING = BIT(OPT_DTYPE) | BIT(OPT_MEMORY),
  PRINTING = BIT(OPT_DIGITS) | BIT(OPT_FULL),
};
#define EXPRESSION "EXPR|FILE|- [NAME=VALUE ...]"
static const uint64_t deriving = EVALUATING | PRINTING | BIT(OPT_WRT);

const option options[N_OPTIONS] = {
  [OPT_WRT] = {"wrt", "NAMES", "differentiate with respect to these, separated by commas; default: all float inputs"},
  [OPT_DTYPE] = {"dtype", "DTYPE", "of numbers and inputs: float64 (default) or float32"},
  [OPT_COTANGENT] = {"cotangent", "VALUE", "of the output, a number or list; again for each further output; default: ones"},
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
  [OPT_HTML] = {"html", NULL, "one HTML file that needs nothing else"},
  [OPT_OUTPUT] = {"output", "FILE", "write there instead of to standard output"},
  [OPT_SVG] = {"svg", NULL, "a drawing as SVG (needs Graphviz)"},
  [OPT_PNG] = {"png", NULL, "a drawing as PNG (needs Graphviz)"},
  [OPT_DEPTH] = {"depth", "N", "fold what lies more than N levels below the result; default: what fits a page"},
  [OPT_FOCUS] = {"focus", "NAME", "only what lies between NAME and the result"},
  [OPT_STEPS] = {"steps", NULL, "wait for a key after each step on a terminal"},
  [OPT_ERRATA] = {"errata", NULL, "the errors that the lessons found, as a page of Markdown"},
  [OPT_WHY] = {"why", NULL, "for each input the path of operations to the result, or where it is cut"},
  [OPT_NONFINITE] = {"nonfinite", NULL, "where the first nan or inf arises, forward or backward; exit status 1 if one does"},
  [OPT_MEMORY] = {"memory", "MIB", "give up beyond this much memory"},
  [OPT_JSON] = {"json", NULL, "answer with one line of JSON"},
  [OPT_COLOR] = {"color", "WHEN", "auto (default), always or never; NO_COLOR is honoured"},
  [OPT_HELP] = {"help", NULL, "this text"},
};

#define TENSOR_KEYS "A tensor is {\"dtype\", \"shape\", \"data\"}, its data row-major and flat."

const verb verbs[] = {
  {"eval", EXPRESSION, "the value of an expression", verb_eval,
   EVALUATING | PRINTING | BIT(OPT_ALL),
   "Evaluates an expression or a program and prints the value of its last expression. Several values are printed in order.",
   "value  list of tensors, one for each output\n"
   "names  with --all: object of the tensors that the source assigns\n" TENSOR_KEYS,
   "eval '2^10'\n"
   "eval 'softmax(x)' x=[1,2,3]\n"
   "eval 'a @ b' a='[[1,2],[3,4]]' b=[5,6] --json"},
  {"grad", EXPRESSION, "the gradient", verb_derivative, deriving | BIT(OPT_WHY) | BIT(OPT_NONFINITE),
   "The value and its derivative with respect to every float input. For a tensor, the gradient of the sum of its elements.",
   "value  list of tensors, one for each output\n"
   "grad   object of tensors by input\n"
   "why    with --why: object by input of texts, one for each output\n"
   "nonfinite  with --nonfinite: list of texts by output, null where all is finite\n" TENSOR_KEYS,
   "grad 'x^2*sin(y)' x=2 y=3\n"
   "grad 'det(A)' A='[[3,0],[0,4]]'\n"
   "grad 'x * stop_gradient(y)' x=2 y=3 --why\n"
   "grad 'relu(x)' x=0 --json"},
  {"vjp", EXPRESSION, "vector-Jacobian products: reverse mode", verb_derivative, deriving | BIT(OPT_COTANGENT),
   "The derivative of the sum of cotangent times output with respect to every input.",
   "value  list of tensors, one for each output\n"
   "vjp    object of tensors by input\n" TENSOR_KEYS,
   "vjp 'exp(x)' x=[0,1] --cotangent [1,10]"},
  {"jvp", EXPRESSION, "Jacobian-vector products: forward mode", verb_derivative, deriving | BIT(OPT_TANGENT),
   "How the outputs move when the inputs move along the tangents.",
   "value  list of tensors, one for each output\n"
   "jvp    list of tensors, one for each output; null for integer outputs\n" TENSOR_KEYS,
   "jvp 'x*y' x=2 y=3 --tangent x=1 --tangent y=0.5"},
  {"jac", EXPRESSION, "dense Jacobians", verb_derivative, deriving,
   "The derivative of every element of the output with respect to every element of each input: the axes of the output,\n"
   "then those of the input.",
   "value  list of tensors, one for each output\n"
   "jac    object by input of lists by output\n" TENSOR_KEYS,
   "jac '[x*y, x+y]' x=2 y=3\n"
   "jac 'softmax(x)' x=[1,2,3]"},
  {"hess", EXPRESSION, "dense Hessians", verb_derivative, deriving | BIT(OPT_COTANGENT),
   "Second derivatives of the sum of cotangent times output, one block for each pair of inputs.",
   "value  list of tensors, one for each output\n"
   "hess   object by input of objects by input\n" TENSOR_KEYS,
   "hess 'x^2*y' x=2 y=3\n"
   "hess 'logsumexp(x, 0)' x=[1,2,3]"},
  {"hvp", EXPRESSION, "Hessian-vector products", verb_derivative,
   deriving | BIT(OPT_COTANGENT) | BIT(OPT_TANGENT),
   "The Hessian of the sum of cotangent times output over all inputs jointly, times the tangents.",
   "value  list of tensors, one for each output\n"
   "hvp    object of tensors by input\n" TENSOR_KEYS,
   "hvp 'sum(x^3)' x=[1,2] --tangent x=[1,0]"},
  {"check", "[EXPR|FILE|-] [NAME=VALUE ...]", "is the gradient right?", verb_check,
   EVALUATING | BIT(OPT_WRT) | BIT(OPT_CLAIM) | BIT(OPT_EXEC) | BIT(OPT_TIMEOUT) | BIT(OPT_TOLERANCE) | BIT(OPT_SEED) |
     BIT(OPT_ORDER),
   "Compares derivatives with extrapolated differences, forward with reverse mode, and second derivatives taken in several\n"
   "orders. With --claim, a gradient that was computed by hand is compared instead, and a wrong one is explained where a\n"
   "common mistake reproduces it. Exit status 1 when anything disagrees.\n"
   "\n"
   "With --exec, the gradient of any other program is checked. PROTOCOL: the shell command is started once. It reads one\n"
   "JSON object a line from its standard input, {\"x\": [...]}, and answers each with one line on its standard output,\n"
   "{\"value\": v, \"gradient\": [...]}; \"gradient\" may be left out of all answers but the first. x is the inputs laid\n"
   "end to end in the order given. With an expression the gradient is compared with the expression's, and the value too;\n"
   "without, with differences of the program's own values. A program that does not answer in time is ended.",
   "verdict      \"agree\" or \"disagree\"\n"
   "kinks        how many slopes lie at a kink\n"
   "inconclusive how many differences cannot tell\n"
   "worst        largest relative error\n"
   "evaluations  of the function\n"
   "entries      list of {\"label\", \"analytic\", \"numeric\", \"error\", \"digits\", \"verdict\", \"note\", \"claim\"}\n"
   "tests        list of {\"name\", \"error\", \"limit\", \"passed\"}\n"
   "diagnosis    what reproduces a wrong number, or \"\"",
   "check 'x^2*sin(y)' x=2 y=3\n"
   "check 'sigmoid(x)' x=0.3 --claim x=0.2444583\n"
   "check 'mean(x^2)' x=[1,2,4] --claim x=[2,4,8]"},
  {"explain", EXPRESSION, "the chain rule, step by step, with numbers", verb_explain,
   deriving | BIT(OPT_LATEX) | BIT(OPT_HTML) | BIT(OPT_OUTPUT) | BIT(OPT_DEPTH) | BIT(OPT_FOCUS) | BIT(OPT_STEPS),
   "Walks through a derivative: the rule that each part calls for, the values going forward, the adjoints coming back with\n"
   "each local derivative in symbols and numbers, sums where a value is used several times, the paths and their products,\n"
   "the gradient as a formula and as numbers, differences that agree with it, and what to mind. It is read off the tape\n"
   "that computed the numbers.\n"
   "\n"
   "--digits N shows N significant digits (default 6), --digits exact as many as it takes, and --digits lecture:N rounds\n"
   "every intermediate to N decimals, as in calculation by hand. --latex writes a document that needs amsmath only, --html\n"
   "one file for a browser. Large graphs are folded: --depth and --focus say what to show.",
   "result    name of the result\n"
   "decimals  what every intermediate was rounded to; 0: not\n"
   "folded    how many operations are not shown in the other formats\n"
   "nodes     list of {\"name\", \"kind\", \"op\", \"rule\", \"named\", \"shown\", \"operands\", \"formula\", \"whole\", \"value\",\n"
   "          \"adjoint\", \"terms\"}: formulas are {\"text\", \"latex\"}, numbers {\"shape\", \"data\"}; terms are what the users\n"
   "          pass back: {\"from\", \"operand\", \"local\", \"pulled\", \"rule\", \"shapes\", \"index\", \"slope\", \"share\"}\n"
   "inputs    list of {\"name\", \"value\", \"gradient\", \"formula\", \"n_paths\", \"paths\"}\n"
   "check     list of {\"label\", \"analytic\", \"numeric\", \"error\", \"digits\", \"verdict\", \"note\"}\n"
   "warnings  list of texts",
   "explain 'sin(x^2)' x=1.5\n"
   "explain 'sin(x)*y + x' x=1 y=2\n"
   "explain 'h = sigmoid(w*x); (h - 1)^2/2' w=0.5 x=2 --digits lecture:3\n"
   "explain 'sum((X @ W + b)^2)' X=[[1,2],[3,4]] W=[[1],[-1]] b=[0.5]"},
  {"graph", EXPRESSION, "the graph of operations", verb_graph,
   deriving | BIT(OPT_OUTPUT) | BIT(OPT_SVG) | BIT(OPT_PNG) | BIT(OPT_DEPTH) | BIT(OPT_FOCUS),
   "Prints the graph in Graphviz's DOT language, or draws it: boxes hold value and adjoint, arrows the local derivative.\n"
   "Inputs are blue, the result is yellow, dashed boxes do not depend on the inputs.",
   "dot    the same text\n"
   "nodes  list of {\"name\", \"formula\", \"value\", \"adjoint\", \"operands\"}",
   "graph 'x*y + sin(x)' x=1 y=2"},
  {"ops", "[NAME]", "what there is to compute with", verb_ops, BIT(OPT_KINKS) | BIT(OPT_LATEX),
   "Lists the functions of the expression language by family; with a NAME, its documentation: what it computes, where, its\n"
   "derivative, and what happens at its kinks.",
   "functions  list of {\"name\", \"signature\", \"aliases\", \"family\", \"doc\", \"domain\", \"derivative\", \"kinks\",\n"
   "           \"formula\", \"latex\"}; null where there is nothing to say",
   "ops\n"
   "ops softmax\n"
   "ops --kinks"},
  {"lesson", "[FILE ...] [NAME=VALUE ...]", "worked examples, checked number by number", verb_lesson,
   BIT(OPT_ERRATA) | BIT(OPT_OUTPUT) | BIT(OPT_DIGITS),
   "Runs lesson files: recomputes every number that they claim and classifies it as exact, correctly rounded, consistent\n"
   "with rounding every intermediate, truncated, following from an earlier error, or wrong. For a wrong one the slip is\n"
   "named that reproduces it. NAME=VALUE checks a number of your own in place of the printed ones, as in an exercise.\n"
   "Without a FILE the language of lesson files is described. The exit status is 0 when all verdicts are as the lesson\n"
   "expects, or when all of your numbers are right.",
   "lessons  list of {\"title\", \"source\", \"lines\", \"claims\", \"answers\"}; claims are {\"text\", \"line\", \"printed\", \"exact\",\n"
   "         \"correct\", \"verdict\", \"why\", \"note\", \"label\"}",
   "lesson"},
  {"repl", "[NAME=VALUE ...]", "an interactive session", verb_repl, EVALUATING | PRINTING,
   "Reads expressions and assignments and prints their values; names keep their values from line to line. :grad NAME EXPR\n"
   "prints a derivative, :help lists the other commands, :quit or end of file ends. With --json, one line for each value.",
   "value  list of tensors, one for each output",
   NULL},
  {"batch", "[FILE|-]", "requests and answers as JSON lines, for other programs", verb_batch,
   BIT(OPT_DTYPE) | BIT(OPT_MEMORY),
   "Reads one request a line and answers each with one line, in order, flushed at once:\n"
   "\n"
   "  {\"id\": 1, \"expr\": \"softmax(x, axis=-1)\",\n"
   "   \"inputs\": {\"x\": {\"dtype\": \"float64\", \"shape\": [3], \"data\": [1, 2, 3]}},\n"
   "   \"wrt\": [\"x\"], \"want\": [\"value\", \"vjp\"], \"cotangents\": [[1, 0, 0]]}\n"
   "  {\"id\": 1, \"value\": [{\"dtype\": \"float64\", \"shape\": [3], \"data\": [...]}], \"vjp\": {\"x\": {...}}}\n"
   "\n"
   "A failed request is answered with {\"id\", \"error\": {\"code\", \"message\", \"line\", \"column\"}}, the last two where\n"
   "the expression is at fault; the program goes on. Data may be flat, nested, or one number for all elements; an input\n"
   "may also be a plain number or list. nan and inf are the strings \"nan\", \"inf\", \"-inf\". Nothing is kept from one\n"
   "request to the next.\n"
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
