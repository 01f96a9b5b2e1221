/* The verbs and options: the one place from which arguments are read, and --help and the man page are made. */
#include <string.h>

#include "command.h"

/* Options that verbs share, as names that a blank ends. */
#define EVALUATING "dtype memory "
#define PRINTING "digits full "
#define DERIVING EVALUATING PRINTING "wrt "
#define EXPRESSION "EXPR|FILE|- [NAME=VALUE ...]"

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
  [OPT_SEED] = {"seed", "N", "of the random numbers"},
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
  [OPT_ONLY] = {"only", "SECTIONS", "these sections, separated by commas: rules, forward, backward, layers, paths, "
                                  "gradient, blame, check, mind"},
  [OPT_STATS] = {"stats", NULL, "how far the graph shrinks as a captured function, instead of a picture"},
  [OPT_TEXT] = {"text", NULL, "the operations as statements that compute the same, instead of a picture"},
  [OPT_FRAMES] = {"frames", NULL, "three pictures: values going forward, the result, derivatives going back"},
  [OPT_ERRATA] = {"errata", NULL, "the errors that the lessons found, as a page of Markdown"},
  [OPT_WHY] = {"why", NULL, "for each input the path of operations to the result, or where it is cut"},
  [OPT_NONFINITE] = {"nonfinite", NULL, "where the first nan or inf arises, forward or backward; exit status 1 if one does"},
  [OPT_MEMORY] = {"memory", "MIB", "give up beyond this much memory"},
  [OPT_SET] = {"set", "NAME=VALUE", "in place of the value that a set statement of the recipe gives NAME"},
  [OPT_EPOCHS] = {"epochs", "N", "end after this many passes over the data"},
  [OPT_MAX_SECONDS] = {"max-seconds", "T", "end after this time"},
  [OPT_TARGET_LOSS] = {"target-loss", "L", "end when the loss (of validation, where there is such data) is as small"},
  [OPT_PATIENCE] = {"patience", "N", "end after N epochs without a better loss"},
  [OPT_GRAD_TOL] = {"grad-tol", "G", "end when the gradient's norm is as small"},
  [OPT_NO_CAPTURE] = {"no-capture", NULL, "record every step instead of running captured ones: slower, the same results"},
  [OPT_FOLDS] = {"folds", "K", "cross-validation: train K times, each time testing on another part of the data"},
  [OPT_THREADS] = {"threads", "N", "share the work among N threads; default: all cores; the result does not depend on it"},
  [OPT_CHECKPOINT] = {"checkpoint", "FILE", "where the network and the state of its training are kept (safetensors)"},
  [OPT_RESUME] = {"resume", NULL, "go on from the checkpoint, if it is there"},
  [OPT_LOG] = {"log", "FILE", "a line for each epoch: .csv, or .json for JSON lines"},
  [OPT_PLOT] = {"plot", "FILE", "a picture of the training, .svg, .png or .pdf (needs gnuplot)"},
  [OPT_CONFUSION] = {"confusion", NULL, "afterwards: which classes are taken for which, of test data if there are any"},
  [OPT_SATURATION] = {"saturation", NULL, "afterwards: the share of each activation's elements whose slope is below 0.001"},
  [OPT_GRADIENTS] = {"gradients", NULL, "afterwards: the size of each parameter, its gradient and its last change"},
  [OPT_SUMMARY] = {"summary", NULL, "do not train: print the layers"},
  [OPT_FORMULA] = {"formula", NULL, "do not train: print loss, update rule and schedule as formulas"},
  [OPT_DIAGRAM] = {"diagram", NULL, "do not train: draw the training loop"},
  [OPT_LIST] = {"list", NULL, "what recipes can say: sources, layers, losses, optimizers, ..., or one of these tables"},
  [OPT_QUIET] = {"quiet", NULL, "no line for each epoch, no progress"},
  [OPT_DATA] = {"data", "SOURCE", "instead of the recipe's test data: a source, as in csv('new.csv')"},
  [OPT_PROMPT] = {"prompt", "TEXT", "go on with this text"},
  [OPT_LENGTH] = {"length", "N", "by so many letters; default 200"},
  [OPT_TEMPERATURE] = {"temperature", "T", "below 1 likelier letters, above 1 bolder ones; default 1"},
  [OPT_NAME] = {"name", "NAME", "of the C function; default f"},
  [OPT_GRADIENT] = {"gradient", NULL, "the gradient of the sum of the results, too"},
  [OPT_JACOBIAN] = {"jacobian", NULL, "the Jacobian, too: elements of the results by elements of the inputs"},
  [OPT_HESSIAN] = {"hessian", NULL, "gradient and Hessian of the sum of the results, too"},
  [OPT_SPARSE] = {"sparse", NULL, "only what can be nonzero, row by row"},
  [OPT_MAIN] = {"main", NULL, "add a program that prints the results at the inputs given"},
  [OPT_SPLIT] = {"split", "LINES", "split functions of more lines; default 400"},
  [OPT_FILES] = {"files", "LINES", "several files of no more lines, and a header, in the folder that --output names; "
                                 "default: one file"},
  [OPT_PASSES] = {"passes", "LIST", "with --stats: these passes alone, separated by commas: fold, merge, simplify, stable, "
                                  "block, tail, reuse, code; or none. Default: all but stable"},
  [OPT_COMPILE] = {"compile", NULL, "with --stats: compile the function, too, and time it"},
  [OPT_CLEAR] = {"clear", NULL, "remove what is kept"},
  [OPT_JSON] = {"json", NULL, "answer with one line of JSON"},
  [OPT_COLOR] = {"color", "WHEN", "auto (default), always or never; NO_COLOR is honoured"},
  [OPT_HELP] = {"help", NULL, "this text"},
};

#define TENSOR_KEYS "A tensor is {\"dtype\", \"shape\", \"data\"}, its data row-major and flat."

const verb verbs[] = {
  {"eval", EXPRESSION, "the value of an expression", verb_eval,
   EVALUATING PRINTING "all ",
   "Evaluates an expression or a program and prints the value of its last expression. Several values are printed in order.",
   "value  list of tensors, one for each output\n"
   "names  with --all: object of the tensors that the source assigns\n" TENSOR_KEYS,
   "eval '2^10'\n"
   "eval 'softmax(x)' x=[1,2,3]\n"
   "eval 'a @ b' a='[[1,2],[3,4]]' b=[5,6] --json"},
  {"grad", EXPRESSION, "the gradient", verb_derivative, DERIVING "why nonfinite ",
   "The value and its derivative with respect to every float input. For a tensor, the gradient of the sum of its elements.",
   "value  list of tensors, one for each output\n"
   "grad   object of tensors by input\n"
   "why    with --why: object by input of texts, one for each output\n"
   "nonfinite  with --nonfinite: list of texts by output, null where all is finite\n" TENSOR_KEYS,
   "grad 'x^2*sin(y)' x=2 y=3\n"
   "grad 'det(A)' A='[[3,0],[0,4]]'\n"
   "grad 'x * stop_gradient(y)' x=2 y=3 --why\n"
   "grad 'relu(x)' x=0 --json"},
  {"vjp", EXPRESSION, "vector-Jacobian products: reverse mode", verb_derivative, DERIVING "cotangent ",
   "The derivative of the sum of cotangent times output with respect to every input.",
   "value  list of tensors, one for each output\n"
   "vjp    object of tensors by input\n" TENSOR_KEYS,
   "vjp 'exp(x)' x=[0,1] --cotangent [1,10]"},
  {"jvp", EXPRESSION, "Jacobian-vector products: forward mode", verb_derivative, DERIVING "tangent ",
   "How the outputs move when the inputs move along the tangents.",
   "value  list of tensors, one for each output\n"
   "jvp    list of tensors, one for each output; null for integer outputs\n" TENSOR_KEYS,
   "jvp 'x*y' x=2 y=3 --tangent x=1 --tangent y=0.5"},
  {"jac", EXPRESSION, "Jacobians, dense or sparse", verb_derivative, DERIVING "sparse output ",
   "The derivative of every element of the output with respect to every element of each input: the axes of the output,\n"
   "then those of the input.\n"
   "\n"
   "With --sparse, one matrix of all outputs' elements by all inputs': what can be nonzero is found, its columns or rows\n"
   "are coloured, and a sweep is made for each colour. --output FILE writes it in the format of Matrix Market.",
   "value  list of tensors, one for each output\n"
   "jac    object by input of lists by output\n"
   "rows, columns, nonzeros, colours, reverse, start, column, values  with --sparse instead: compressed sparse rows\n"
   TENSOR_KEYS,
   "jac '[x*y, x+y]' x=2 y=3\n"
   "jac 'softmax(x)' x=[1,2,3]\n"
   "jac 'x[1:]*sin(x[:-1])' x=[1,2,3,4] --sparse"},
  {"hess", EXPRESSION, "Hessians, dense or sparse", verb_derivative, DERIVING "cotangent sparse output ",
   "Second derivatives of the sum of cotangent times output, one block for each pair of inputs.\n"
   "\n"
   "With --sparse, one matrix over all inputs' elements, as jac --sparse shows it.",
   "value  list of tensors, one for each output\n"
   "hess   object by input of objects by input\n"
   "rows, columns, nonzeros, colours, reverse, start, column, values  with --sparse instead: compressed sparse rows\n"
   TENSOR_KEYS,
   "hess 'x^2*y' x=2 y=3\n"
   "hess 'logsumexp(x, 0)' x=[1,2,3]\n"
   "hess 'sum(x[1:]*x[:-1]^2)' x=[1,2,3,4] --sparse"},
  {"hvp", EXPRESSION, "Hessian-vector products", verb_derivative,
   DERIVING "cotangent tangent ",
   "The Hessian of the sum of cotangent times output over all inputs jointly, times the tangents.",
   "value  list of tensors, one for each output\n"
   "hvp    object of tensors by input\n" TENSOR_KEYS,
   "hvp 'sum(x^3)' x=[1,2] --tangent x=[1,0]"},
  {"check", "[EXPR|FILE|-] [NAME=VALUE ...]", "is the gradient right?", verb_check,
   EVALUATING "wrt claim exec timeout tolerance seed order ",
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
   DERIVING "latex html output depth focus steps only ",
   "Walks through a derivative: the rule that each part calls for, the values going forward, the adjoints coming back with\n"
   "each local derivative in symbols and numbers, sums where a value is used several times, the paths and their products,\n"
   "the gradient as a formula and as numbers, differences that agree with it, and what to mind. It is read off the tape\n"
   "that computed the numbers.\n"
   "\n"
   "--digits N shows N significant digits (default 6), --digits exact as many as it takes, and --digits lecture:N rounds\n"
   "every intermediate to N decimals, as in calculation by hand. --latex writes a document that needs amsmath only, --html\n"
   "one file for a browser. Large graphs are folded: --depth and --focus say what to show.\n"
   "\n"
   "Of the text, --only shows some sections. Two are shown only so: layers, every operation as a box with its two jobs,\n"
   "and blame, the weights by how much they have to do with the result.",
   "result    name of the result\n"
   "decimals  what every intermediate was rounded to; 0: not\n"
   "folded    how many operations are not shown in the other formats\n"
   "nodes     list of {\"name\", \"kind\", \"op\", \"rule\", \"named\", \"shown\", \"operands\", \"formula\", \"whole\",\n"
   "          \"value\", \"adjoint\", \"terms\"}: formulas are {\"text\", \"latex\"}, numbers {\"shape\", \"data\"};\n"
   "          terms are what the users pass back: {\"from\", \"operand\", \"local\", \"pulled\", \"rule\",\n"
   "          \"shapes\", \"index\", \"slope\", \"share\"}\n"
   "inputs    list of {\"name\", \"value\", \"gradient\", \"formula\", \"n_paths\", \"paths\"}\n"
   "check     list of {\"label\", \"analytic\", \"numeric\", \"error\", \"digits\", \"verdict\", \"note\"}\n"
   "warnings  list of texts",
   "explain 'sin(x^2)' x=1.5\n"
   "explain 'sin(x)*y + x' x=1 y=2\n"
   "explain 'h = sigmoid(w*x); (h - 1)^2/2' w=0.5 x=2 --digits lecture:3\n"
   "explain '(exp(sin(x)) * cos(1/x^3 + x^3))^4' x=1 --only rules\n"
   "explain 'sum((X @ W + b)^2)' X=[[1,2],[3,4]] W=[[1],[-1]] b=[0.5]"},
  {"graph", EXPRESSION, "the graph of operations", verb_graph,
   DERIVING "output svg png depth focus frames stats text compile passes ",
   "Prints the graph in Graphviz's DOT language, or draws it: boxes hold value and adjoint, arrows the local derivative.\n"
   "Inputs are blue, the result is yellow, dashed boxes do not depend on the inputs.\n"
   "\n"
   "With --text, prints each operation as a statement of the expression language, with all attributes and constants: a\n"
   "program that computes the same bits.\n"
   "\n"
   "With --stats, value and gradient are captured as a function instead: how many nodes were recorded, folded into\n"
   "constants, simplified, merged with equal ones, and are left; how many steps a run has, and how many operations of them\n"
   "run together in blocks; and the memory of results, planned, as recorded, and at least, if some were computed again.\n"
   "--compile has the system's C compiler make machine code of it, too, which is kept (see cache), and tells the time of a\n"
   "run before and after.",
   "dot    the same text\n"
   "nodes  list of {\"name\", \"formula\", \"value\", \"adjoint\", \"operands\"}\n"
   "text   the statements, with --text instead\n"
   "recorded, folded, simplified, merged, stabilized, nodes, steps, blocks, blocked, tails, bytes_recorded, bytes,\n"
   "bytes_least, recomputed  with --stats instead\n"
   "note, replayed, compiled  with --compile: what was done, seconds a run",
   "graph 'x*y + sin(x)' x=1 y=2\n"
   "graph 'sum(sigmoid(a*x + b) * tanh(x))' x=[1,2,3] a=2 b=1 --stats"},
  {"cache", "", "the compiled functions that are kept", verb_cache, "clear ",
   "Functions that were compiled (by train with compile=True, by graph --stats --compile) are kept in\n"
   "$XDG_CACHE_HOME/chainrule or ~/.cache/chainrule, a folder for its owner alone; what was not used for longest goes\n"
   "when it grows too large. Lists them; --clear removes them.",
   "folder   where they are\n"
   "bytes    of all\n"
   "entries  list of {\"key\", \"bytes\", \"age\"}: the age, in seconds, is the time since the last use\n"
   "removed  with --clear instead: how many",
   "cache"},
  {"codegen", EXPRESSION, "a function and its derivatives as C", verb_codegen,
   EVALUATING "name gradient jacobian hessian sparse main split files output ",
   "Writes one C11 source that computes the expression from its inputs and needs the C library alone: no allocation, loops\n"
   "kept as loops. The inputs' values give the shapes; numbers are passed by value, tensors as arrays. Compiled as its\n"
   "comment says, a function of numbers gives the bits that eval and grad give.",
   "c  the same text; with --files an object of texts by file\n",
   "codegen 'x^2*sin(y)' x=2 y=3 --gradient\n"
   "codegen 'sum(tanh(W @ x))' W=[[1,2],[3,4]] x=[1,-1] --name layer --main"},
  {"surface", "EXPR|FILE|- NAME=LOW:HIGH [NAME=LOW:HIGH] [NAME=VALUE ...]", "a slice through a function, and its minima",
   verb_surface, EVALUATING,
   "The values of a function over a range of one input, as a curve, or of two, as a map of levels; and where steepest\n"
   "descent ends from starts all over the range. Several ends are several local minima.",
   "ranges    object of [low, high] by input\n"
   "shape     of the values: [columns], or [rows, columns]; the first range runs along the columns\n"
   "values    row-major, the lowest of the second range first\n"
   "descents  list of {\"start\", \"end\", \"value\", \"gradient_norm\", \"minimum\"}; equal minima have equal numbers",
   "surface 'w^4/4 - w^2/2 + 0.1*w' w=-1.8:1.8\n"
   "surface '(1 - x)^2 + 10*(y - x^2)^2' x=-2:2 y=-1:3"},
  {"ops", "[NAME]", "what there is to compute with", verb_ops, "kinks latex ",
   "Lists the functions of the expression language by family; with a NAME, its documentation: what it computes, where, its\n"
   "derivative, and what happens at its kinks.",
   "functions  list of {\"name\", \"signature\", \"aliases\", \"family\", \"doc\", \"domain\", \"derivative\", \"kinks\",\n"
   "           \"formula\", \"latex\"}; null where there is nothing to say",
   "ops\n"
   "ops softmax\n"
   "ops --kinks"},
  {"lesson", "[FILE ...] [NAME=VALUE ...]", "worked examples, checked number by number", verb_lesson,
   "errata output digits ",
   "Runs lesson files: recomputes every number that they claim and classifies it as exact, correctly rounded, consistent\n"
   "with rounding every intermediate, truncated, following from an earlier error, or wrong. For a wrong one the slip is\n"
   "named that reproduces it. NAME=VALUE checks a number of your own in place of the printed ones, as in an exercise;\n"
   "VALUE may be a formula, which must hold at other numbers than the lesson's too.\n"
   "Without a FILE the language of lesson files is described. The exit status is 0 when all verdicts are as the lesson\n"
   "expects, or when all of your answers are right.",
   "lessons  list of {\"title\", \"source\", \"lines\", \"claims\", \"answers\"}; claims are {\"text\", \"line\",\n"
   "         \"printed\", \"exact\", \"correct\", \"verdict\", \"why\", \"note\", \"label\"}",
   "lesson"},
  {"train", "RECIPE [NAME=VALUE ...]", "trains a network on data, as a recipe says", verb_train,
   "set epochs max-seconds target-loss patience grad-tol no-capture folds seed threads checkpoint resume log plot "
   "confusion saturation gradients summary formula diagram list quiet ",
   "A recipe is a file of statements, one at the start of a line each, that go on over indented lines:\n"
   "\n"
   "  title \"Two moons\"\n"
   "  set hidden = 16                               # --set hidden=32 says otherwise\n"
   "  data moons(400, noise=0.1)                    # train --list sources\n"
   "  net                                           # x is the input; the last line is the prediction\n"
   "    h = tanh(dense(x, hidden))                  # train --list layers\n"
   "    dense(h, 2)\n"
   "  loss cross_entropy                            # or an expression: mean((prediction - y)^2)\n"
   "  penalty l2(0.0001)                            # l1, l2, elastic\n"
   "  optimizer adam(lr=0.01)\n"
   "  schedule cosine(floor=0.1)\n"
   "  metric accuracy\n"
   "  augment noise(0.05)\n"
   "  train epochs=40, batch=32, seed=1, validation=0.2, patience=10\n"
   "\n"
   "test SOURCE and validation SOURCE name further data; residual EXPR takes the place of loss for least squares. Files\n"
   "are relative to the recipe. The same seed gives the same bits, whatever the number of threads: the run hash is of all\n"
   "parameters. Interrupted by Ctrl-C, training ends in order and saves its checkpoint. The exit status is 1 when the loss\n"
   "stopped being finite.",
   "title, seed, parameters, warnings  what is trained\n"
   "reason      why it ended: epochs, seconds, target loss, gradient, patience, interrupted, stuck, not finite\n"
   "why         the same in a sentence\n"
   "epochs, steps, best_epoch, seconds, hash\n"
   "training, validation, test  {\"loss\", and each metric}; null without such data\n"
   "history     list of {\"epoch\", \"steps\", \"seconds\", \"rate\", \"train_loss\", \"validation_loss\",\n"
   "            \"gradient_norm\", and each metric}\n"
   "folds       with --folds instead: list of {\"loss\", and each metric}; loss and metrics are {\"mean\", \"deviation\"}\n"
   "confusion, gradients, saturation  when asked for\n"
   "note        with compile=True: what came of it\n"
   "formulas, summary and parameters, diagram  instead of all that, when asked for\n"
   "sources, layers, ...  with --list instead: lists of {\"signature\", \"doc\", \"also\": other names}",
   "train graph_examples/training/recipes/xor.chain\n"
   "train graph_examples/training/recipes/moons.chain --set hidden=4 --epochs 5\n"
   "train graph_examples/training/recipes/digits.chain --formula\n"
   "train --list losses"},
  {"predict", "RECIPE [NAME=VALUE ...]", "what a trained network says about data", verb_predict,
   "set seed threads checkpoint data output prompt length temperature ",
   "Loads the network that train --checkpoint FILE has saved, and predicts the recipe's test data or those of --data: for\n"
   "each example the class and its probability, or the numbers predicted. --output writes them as .csv or .npy. Where the\n"
   "data have targets, loss and metrics are printed too. With --prompt, a network trained on a text goes on with another.",
   "predictions  list of {\"class\", \"probability\"}, or of numbers\n"
   "metrics      {\"loss\", and each metric}; null without targets\n"
   "prompt, text with --prompt",
   NULL},
  {"plot", "EXPR|FILE|- NAME=LOW:HIGH [NAME=VALUE ...]", "a function and its derivative as curves", verb_plot,
   EVALUATING "output ",
   "Draws the value of an expression, or several in a tuple, and its derivative over a range of one name, by gnuplot.\n"
   "Shaded is where the derivative is below a twentieth of its largest. Without --output, the curves are drawn as text.",
   "name        of the variable\n"
   "x           list of its values\n"
   "value       list of lists by function\n"
   "derivative  list of lists by function",
   "plot 'sigmoid(x)' x=-6:6\n"
   "plot '(tanh(x), relu(x))' x=-3:3 --json"},
  {"repl", "[NAME=VALUE ...]", "an interactive session", verb_repl, EVALUATING PRINTING,
   "Reads expressions and assignments and prints their values; names keep their values from line to line. :grad NAME EXPR\n"
   "prints a derivative, :help lists the other commands, :quit or end of file ends. With --json, one line for each value.",
   "value  list of tensors, one for each output",
   NULL},
  {"batch", "[FILE|-]", "requests and answers as JSON lines, for other programs", verb_batch,
   "dtype memory ",
   "Reads one request a line and answers each with one line, in order, flushed at once:\n"
   "\n"
   "  {\"id\": 1, \"expr\": \"softmax(x, axis=-1)\",\n"
   "   \"inputs\": {\"x\": {\"dtype\": \"float64\", \"shape\": [3], \"data\": [1, 2, 3]}},\n"
   "   \"wrt\": [\"x\"], \"want\": [\"value\", \"vjp\"], \"cotangents\": [[1, 0, 0]]}\n"
   "  {\"id\": 1, \"value\": [{\"dtype\": \"float64\", \"shape\": [3], \"data\": [...]}], \"vjp\": {\"x\": {...}}}\n"
   "\n"
   "A failed request is answered with {\"id\", \"error\": {\"code\", \"message\", \"line\", \"column\"}}, the last two\n"
   "where the expression is at fault; the program goes on. Data may be flat, nested, or one number for all elements; an\n"
   "input may also be a plain number or list. nan and inf are the strings \"nan\", \"inf\", \"-inf\". Nothing is kept from\n"
   "one request to the next.\n"
   "\n"
   "Requests have the keys\n"
   "  id          anything; repeated in the answer\n"
   "  expr        expression or program; a tuple has several outputs\n"
   "  inputs      object of tensors by name\n"
   "  wrt         list of names; default: all float inputs\n"
   "  want        list of value, vjp, jvp, hvp, jac, hess; default: value\n"
   "  cotangents  list with one tensor for each output, null for integer ones; default: ones\n"
   "  tangents    object of tensors by input, for jvp and hvp; zeros where left out\n"
   "  dtype       of plain numbers and literals; default float64\n"
   "  captured    true: compute value, vjp, jvp and hvp in a captured function, too, and fail unless all bits agree;\n"
   "              \"compiled\": in that function compiled as well, float32 to 1e-5 of the largest number",
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

bool takes(const verb *v, int id) {
  const char *name = options[id].name;
  size_t length = strlen(name);
  if (is_common(id)) return true;
  for (const char *word = v->options; *word; word += strcspn(word, " ") + 1)
    if (!strncmp(word, name, length) && word[length] == ' ') return true;
  return false;
}
