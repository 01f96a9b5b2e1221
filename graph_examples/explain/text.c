/* The trace as text for a terminal of 80 columns. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trace.h"
#include "writing.h"

enum { WIDTH = 80, INDENT = 2, MOST_NAME = 18 };

typedef struct page {
  const trace *t;
  cr_buffer *b;
  bool color;
} page;

static const char *const bold = "\033[1m", *const dim = "\033[2m", *const plain = "\033[0m", *const back = "\033[36m",
                         *const alarm = "\033[33m";

static void style(page *p, const char *code) {
  if (p->color) cr_put(p->b, "%s", code);
}

static void heading(page *p, const char *text, const char *aside) {
  cr_put(p->b, "\n");
  style(p, bold);
  cr_put(p->b, "%s", text);
  style(p, plain);
  if (aside) {
    style(p, dim);
    cr_put(p->b, "  %s", aside);
    style(p, plain);
  }
  cr_put(p->b, "\n");
}

/* A piece of text that must not be broken: up to a space, or in a formula up to the operator of a product. ~ is a space at
 * which no line ends. */
static size_t piece(const char *s, bool formula) {
  size_t n = 0;
  while (s[n] && s[n] != ' ' && !(formula && n && s[n - 1] == '*')) n++;
  return n;
}

/* Text from column `at` on, broken into lines, the later ones indented by `hang`. Returns the column where it ends. */
static int flow(page *p, int at, int hang, const char *text, bool formula) {
  bool first = true;
  for (const char *s = text; *s;) {
    bool space = *s == ' ';
    s += space;
    size_t n = piece(s, formula);
    char word[512];
    snprintf(word, sizeof word, "%.*s", (int)n, s);
    for (char *c = word; *c; c++)
      if (*c == '~') *c = ' ';
    if (!first && at + space + text_columns(word) > WIDTH) {
      cr_put(p->b, "\n");
      put_spaces(p->b, at = hang);
      space = false;
    }
    cr_put(p->b, space ? " %s" : "%s", word);
    at += space + text_columns(word);
    first = false;
    s += n;
  }
  return at;
}

static void paragraph(page *p, int indent, int hang, const char *text) {
  put_spaces(p->b, indent);
  flow(p, indent, hang, text, false);
  cr_put(p->b, "\n");
}

/* left = part = part ..., broken before an equals sign where the line is full. Parts that repeat the one before, and empty
 * ones, are left out. */
static void equation(page *p, int indent, const char *left, int width, int n, const char *const *part) {
  int sign = indent + (text_columns(left) > width ? text_columns(left) : width), at = sign;
  put_spaces(p->b, indent);
  cr_put(p->b, "%s", left);
  put_spaces(p->b, sign - indent - text_columns(left));
  const char *last = NULL;
  for (int i = 0; i < n; i++) {
    if (!part[i] || !part[i][0] || (last && !strcmp(last, part[i]))) continue;
    if (last && at + 3 + text_columns(part[i]) > WIDTH) {
      cr_put(p->b, "\n");
      put_spaces(p->b, at = sign);
    }
    if (i == n - 1) style(p, back);
    cr_put(p->b, " = ");
    at = flow(p, at + 3, sign + 3, part[i], true);
    if (i == n - 1) style(p, plain);
    last = part[i];
  }
  cr_put(p->b, "\n");
}

/* Short-lived texts */

typedef struct text {
  char of[512];
} text;

static text format(const char *f, ...)
#ifdef __GNUC__
    __attribute__((format(printf, 1, 2)))
#endif
    ;
static text format(const char *f, ...) {
  text s;
  va_list args;
  va_start(args, f);
  vsnprintf(s.of, sizeof s.of, f, args);
  va_end(args);
  return s;
}

static text tree_as(const page *p, tree s, void (*put)(cr_buffer *, tree)) {
  cr_buffer b = {.tape = p->b->tape};
  put(&b, s);
  text r = format("%s", b.text ? b.text : "");
  cr_buffer_free(&b);
  return r;
}

static text number(const page *p, double x) {
  text s;
  trace_number(p->t, x, s.of);
  return s;
}

/* A negative number after an operator stands in brackets. */
static text factor(const page *p, double x) {
  text s = number(p, x);
  return s.of[0] == '-' ? format("(%s)", s.of) : s;
}

static text all_numbers(const page *p, const trace_numbers *x) {
  text s;
  trace_numbers_text(p->t, x, s.of, sizeof s.of);
  return s;
}

static const char *y_name(const page *p) { return p->t->node[p->t->n_nodes - 1].name; }
static text derivative(const page *p, int node) { return format("d%s/d%s", y_name(p), p->t->node[node].name); }

/* Sections */

static void title(page *p) {
  const trace_node *y = &p->t->node[p->t->n_nodes - 1];
  cr_buffer b = {.tape = p->b->tape};
  style(p, bold);
  tree whole = y->whole && tree_size(y->whole) < 60 ? y->whole : y->formula;
  text s = whole ? tree_as(p, whole, put_tree) : format("%s", "");
  flow(p, 0, text_columns(y->name) + 3, whole ? format("%s = %.450s", y->name, s.of).of : y->name, true);
  style(p, plain);
  cr_put(p->b, "\n");
  for (int i = 0, n = 0; i < p->t->n_nodes; i++) {
    const trace_node *in = &p->t->node[i];
    if (in->kind == TRACE_OPERATION || i == p->t->n_nodes - 1) continue;
    cr_put(&b, "%s%s~=~%s", n++ ? ", " : "at ", in->name, all_numbers(p, &in->value).of);
  }
  if (b.text) paragraph(p, 0, 3, b.text);
  cr_buffer_free(&b);
  if (p->t->options.decimals)
    cr_put(p->b, "Every intermediate is rounded to %d decimals, as by hand.\n", p->t->options.decimals);
}

static bool has_operations(const page *p) { return p->t->node[p->t->n_nodes - 1].kind == TRACE_OPERATION; }

static int widest_name(const page *p, bool derivatives) {
  int widest = 0;
  for (int i = 0; i < p->t->n_nodes; i++) {
    const trace_node *n = &p->t->node[i];
    if (!n->shown || (!derivatives && n->kind != TRACE_OPERATION)) continue;
    int wide = derivatives ? text_columns(derivative(p, i).of) : text_columns(n->name);
    if (wide > widest && wide <= MOST_NAME) widest = wide;
  }
  return widest;
}

/* From the outside in: the whole, then its parts. */
static void decomposition(page *p) {
  enum { RULE_COLUMN = 50 };
  heading(p, "Rules", "which one each part calls for, from the outside in");
  for (int i = p->t->n_nodes - 1; i >= 0; i--) {
    const trace_node *n = &p->t->node[i];
    if (n->kind != TRACE_OPERATION || !n->shown) continue;
    bool moves_only = n->whole && n->whole->kind == CR_NAME;
    text s = tree_as(p, n->whole && !moves_only && tree_size(n->whole) < 40 ? n->whole : n->formula, put_tree);
    if (n->named) s = format("%s = %.400s", n->name, s.of);
    put_spaces(p->b, INDENT);
    flow(p, INDENT, 2 * INDENT, s.of, true);
    int gap = RULE_COLUMN - INDENT - text_columns(s.of);
    if (gap < 2) cr_put(p->b, "\n"), gap = RULE_COLUMN;
    put_spaces(p->b, gap);
    cr_put(p->b, "%s\n", n->rule);
  }
}

static text shape_of(const trace_numbers *x) {
  text s, shape;
  trace_shape(x, shape.of, sizeof shape.of);
  for (char *c = shape.of; *c; c++)
    if (*c == ' ') *c = '~';
  s = x->rank ? format("  ~%.200s", shape.of) : format("%s", "");
  return s;
}

static void forward(page *p) {
  int width = widest_name(p, false);
  heading(p, "Forward", "values, from the inputs to the result");
  for (int i = 0; i < p->t->n_nodes; i++) {
    const trace_node *n = &p->t->node[i];
    if (n->kind != TRACE_OPERATION || !n->shown) continue;
    text symbols = tree_as(p, n->formula, put_tree), figures = {""}, value = all_numbers(p, &n->value);
    if (n->figures) figures = tree_as(p, n->figures, put_figures);
    if (n->value.rank && n->value.count <= 9) value = format("%.300s%.100s", value.of, shape_of(&n->value).of);
    equation(p, INDENT, n->name, width, 3, (const char *[]){symbols.of, n->figures ? figures.of : NULL, value.of});
  }
}

static text bracketed(const page *p, tree s, void (*put)(cr_buffer *, tree)) {
  text r = tree_as(p, s, put);
  bool quotient = s->kind == CR_BINARY && s->text[0] == '/';
  return quotient || tree_binds(s) < BIND_PRODUCT || (s->kind == CR_NUMBER && s->number < 0) || s->kind == CR_UNARY
             ? format("(%.500s)", r.of)
             : r;
}

/* One summand as an equation: adjoint of the user times the local derivative. */
static void scalar_term(page *p, const trace_term *term, int indent, const char *left, int width) {
  double above = p->t->node[term->user].adjoint.data[0];
  text symbols = format("%s * %.400s", derivative(p, term->user).of, bracketed(p, term->local, put_tree).of);
  text figures =
      format("%s * %.400s", number(p, above).of,
             term->local_figures ? bracketed(p, term->local_figures, put_figures).of : factor(p, term->slope.data[0]).of);
  text two = format("%s * %s", number(p, above).of, factor(p, term->slope.data[0]).of);
  equation(p, indent, left, width, 4, (const char *[]){symbols.of, figures.of, two.of, number(p, term->share.data[0]).of});
}

static bool is_scalar_term(const trace_term *term) {
  return term->local && term->slope.data && trace_is_scalar(&term->slope) && trace_is_scalar(&term->share);
}

/* d y / d to_ij = sum over k of d y / d user_ik W_jk */
static text index_text(const page *p, const trace_term *term) {
  const trace_index *x = term->index;
  const char *y = y_name(p), *to = p->t->node[term->to].name, *user = p->t->node[term->user].name;
  text s = format("d%s/d%s%s%s =", y, to, x->left[0] ? "_" : "", x->left);
  if (x->over[0]) s = format("%.400s sum over %s of", s.of, x->over);
  for (int i = 0; i < x->n; i++) {
    const char *name = x->factor[i].name, *at = x->factor[i].at;
    if (name) s = format("%.400s %s%s%s", s.of, name, at[0] ? "_" : "", at);
    else s = format("%.400s d%s/d%s%s%s", s.of, y, user, at[0] ? "_" : "", at);
  }
  return s;
}

/* Rules for tensors: in matrices with shapes, with indices, and the numbers where there are few. */
static void tensor_term(page *p, const trace_term *term, int indent, const char *left, int width) {
  text symbols, above = derivative(p, term->user), value = {""};
  if (term->local) {
    symbols = format("%s * %.300s  element by element", above.of, bracketed(p, term->local, put_tree).of);
  } else if (term->pulled) {
    cr_buffer b = {.tape = p->b->tape};
    put_with_adjoint(&b, term->pulled, put_tree, above.of);
    symbols = format("%s", b.text ? b.text : "");
    cr_buffer_free(&b);
    if (term->shapes) symbols = format("%.300s  shapes %s", symbols.of, term->shapes);
  } else {
    symbols = format("%s, with g = %s", term->rule, above.of);
  }
  if (term->share.data) value = all_numbers(p, &term->share);
  if (term->share.data && term->share.count <= 9) value = format("%.300s%.100s", value.of, shape_of(&term->share).of);
  equation(p, indent, left, width, 2, (const char *[]){symbols.of, term->index ? NULL : value.of});
  if (!term->index) return;
  int hang = indent + (text_columns(left) > width ? text_columns(left) : width);
  put_spaces(p->b, hang + 1);
  flow(p, hang + 1, hang + 5, format("or %s", index_text(p, term).of).of, false);
  cr_put(p->b, "\n");
  if (value.of[0]) equation(p, hang, "", 0, 1, (const char *[]){value.of});
}

static void put_term(page *p, const trace_term *term, int indent, const char *left, int width) {
  if (is_scalar_term(term)) scalar_term(p, term, indent, left, width);
  else tensor_term(p, term, indent, left, width);
}

/* A node that several others use: what each of them passes back, and the sum. */
static void fan_out(page *p, const trace_node *n, const char *left) {
  int width = 0;
  cr_buffer sum = {.tape = p->b->tape};
  for (int k = 0; k < n->n_terms; k++) {
    int wide = text_columns(p->t->node[n->term[k].user].name) + 5;
    if (wide > width) width = wide;
  }
  cr_put(p->b, "  %s is a sum: %s is used %d times\n", left, n->name, n->n_terms);
  for (int k = 0; k < n->n_terms; k++) {
    const trace_term *term = &n->term[k];
    put_term(p, term, 2 * INDENT, format("from %s", p->t->node[term->user].name).of, width);
    if (term->share.data && term->share.count == 1)
      cr_put(&sum, "%s%s", k ? " + " : "", k ? factor(p, term->share.data[0]).of : number(p, term->share.data[0]).of);
  }
  bool scalar = n->adjoint.count == 1 && sum.text;
  equation(p, 2 * INDENT, "sum", width, 2, (const char *[]){scalar ? sum.text : NULL, all_numbers(p, &n->adjoint).of});
  cr_buffer_free(&sum);
}

static void backward(page *p) {
  int width = widest_name(p, true);
  heading(p, "Backward",
          p->t->node[p->t->n_nodes - 1].value.count == 1 ? "how much the result changes with each value"
                                                         : "how much the sum of the result changes with each value");
  for (int i = p->t->n_nodes - 1; i >= 0; i--) {
    const trace_node *n = &p->t->node[i];
    if (!n->shown || (!n->active && i != p->t->n_nodes - 1)) continue;
    text left = derivative(p, i);
    if (i == p->t->n_nodes - 1)
      equation(p, INDENT, left.of, width, 2, (const char *[]){n->value.count == 1 ? "1" : "ones", NULL});
    else if (n->n_terms == 1) put_term(p, n->term, INDENT, left.of, width);
    else if (n->n_terms) fan_out(p, n, left.of);
  }
  if (p->t->n_folded)
    cr_put(p->b, "  (%d more operation%s folded; --depth N or --focus NAME shows others)\n", p->t->n_folded,
           p->t->n_folded == 1 ? " is" : "s are");
}

/* On a long path the nodes that the user named are the milestones; slopes between two of them are multiplied. */
static bool is_milestone(const page *p, const trace_path *path, int j) {
  int named = 0;
  for (int i = 1; i + 1 < path->n; i++) named += p->t->node[path->node[i]].named;
  return j == 0 || j == path->n - 1 || path->n <= 5 || !named || p->t->node[path->node[j]].named;
}

static void put_path(page *p, const trace_path *path) {
  cr_buffer nodes = {.tape = p->b->tape}, slopes = {.tape = p->b->tape};
  double slope = 1;
  for (int j = path->n - 1; j >= 0; j--) {
    if (j < path->n - 1) slope = trace_by_hand(p->t, slope * path->slope[j]);
    if (!is_milestone(p, path, j)) continue;
    cr_put(&nodes, j < path->n - 1 ? " <- %s" : "%s", p->t->node[path->node[j]].name);
    if (j < path->n - 1)
      cr_put(&slopes, "%s%s", slopes.length ? " * " : "", slopes.length ? factor(p, slope).of : number(p, slope).of);
    if (j < path->n - 1) slope = 1;
  }
  if (path->n > 1) equation(p, INDENT, nodes.text, 28, 2, (const char *[]){slopes.text, number(p, path->product).of});
  cr_buffer_free(&nodes);
  cr_buffer_free(&slopes);
}

static void paths(page *p) {
  enum { MOST = 16 };
  double total = 0;
  int edges = 0, listed = 0;
  for (int i = 0; i < p->t->n_nodes; i++) edges += p->t->node[i].n_terms;
  for (int k = 0; k < p->t->n_inputs; k++) {
    if (p->t->input[k].n_paths < 0) return;
    total += p->t->input[k].n_paths;
    listed += p->t->input[k].n_listed;
  }
  if (edges < 2 || (total <= 3 && !listed)) return;
  heading(p, "Paths", "the chain rule, written out: products along each path, summed over paths");
  for (int k = 0; k < p->t->n_inputs && listed <= MOST; k++) {
    const trace_input *in = &p->t->input[k];
    for (int i = 0; i < in->n_listed; i++) put_path(p, &in->path[i]);
    if (in->n_listed > 1)
      cr_put(p->b, "  the %d paths from %s add up to %s\n", in->n_listed, in->name, all_numbers(p, &in->adjoint).of);
  }
  if (total > 3) cr_put(p->b, "  %g paths over %d edges; the backward pass walks each edge once\n", total, edges);
}

static void gradient(page *p, const trace *exact) {
  int width = 0;
  heading(p, "Gradient", exact ? "by hand, and without rounding" : NULL);
  for (int k = 0; k < p->t->n_inputs; k++) {
    int wide = text_columns(format("d%s/d%s", y_name(p), p->t->input[k].name).of);
    if (wide > width) width = wide;
  }
  for (int k = 0; k < p->t->n_inputs; k++) {
    const trace_input *in = &p->t->input[k];
    text left = format("d%s/d%s", y_name(p), in->name), value = all_numbers(p, &in->adjoint), symbols = {""}, more;
    if (in->gradient) symbols = tree_as(p, in->gradient, put_tree);
    if (exact && exact->input[k].adjoint.count == 1)
      value = format("%.100s   exactly %s", value.of, trace_number(exact, exact->input[k].adjoint.data[0], more.of));
    else if (in->adjoint.rank && in->adjoint.count <= 9) value = format("%.300s%.100s", value.of, shape_of(&in->adjoint).of);
    equation(p, INDENT, left.of, width, 2, (const char *[]){in->gradient ? symbols.of : NULL, value.of});
  }
}

static void check(page *p) {
  const trace *t = p->t;
  int width = 0;
  if (!t->n_checks) return;
  heading(p, "Check", "slopes of the function itself, by differences");
  for (int k = 0; k < t->n_checks; k++) {
    int wide = text_columns(t->check[k].label) + text_columns(y_name(p)) + 3;
    if (wide > width) width = wide;
  }
  for (int k = 0; k < t->n_checks; k++) {
    const trace_check *c = &t->check[k];
    text verdict = !strcmp(c->verdict, "agree") ? format("%.0f digits agree", floor(c->digits)) : format("%s", c->verdict);
    text label = format("d%s/d%s", y_name(p), c->label);
    if (!strncmp(c->verdict, "kink", 4) && !isnan(c->left) && !isnan(c->right))
      verdict =
          format("%.100s: slope %s on the left, %s on the right", verdict.of, number(p, c->left).of, number(p, c->right).of);
    else if (c->note[0]) verdict = format("%.100s; %.200s", verdict.of, c->note);
    cr_put(p->b, "  %s", label.of);
    put_spaces(p->b, width - text_columns(label.of));
    cr_put(p->b, " = %-12s  %s\n", number(p, isnan(c->numeric) ? c->analytic : c->numeric).of, verdict.of);
  }
}

static void warnings(page *p) {
  if (!p->t->n_warnings) return;
  heading(p, "Mind", NULL);
  for (int k = 0; k < p->t->n_warnings; k++) {
    style(p, alarm);
    paragraph(p, INDENT, 2 * INDENT, p->t->warning[k]);
    style(p, plain);
  }
}

static void layers(page *p) {
  heading(p, "Layers", "two jobs each: derivatives for its own weights, and for what came before");
  trace_layers(p->t, p->b);
}

static void blame(page *p) {
  heading(p, "Blame", "how much each weight has to do with the result, and what if it were a tenth larger");
  trace_blame(p->t, p->b);
}

static const struct {
  const char *name;
  void (*write)(page *p);
  bool usual, of_operations;
} sections[] = {{"rules", decomposition, true, true}, {"forward", forward, true, true}, {"backward", backward, true, false},
                {"layers", layers, false, true},      {"paths", paths, true, false},    {"gradient", NULL, true, false},
                {"blame", blame, false, false},       {"check", NULL, true, false},     {"mind", warnings, true, false},
                {NULL, NULL, false, false}};

const char *trace_section(int k) { return sections[k].name; }

void trace_text(const trace *t, const trace *exact, cr_buffer *b, bool color) {
  page p = {t, b, color}, unrounded = {exact ? exact : t, b, color};
  unsigned wanted = t->options.sections;
  title(&p);
  for (int k = 0; sections[k].name; k++) {
    if (wanted ? !(wanted >> k & 1) : !sections[k].usual) continue;
    if (sections[k].of_operations && !has_operations(&p)) continue;
    if (sections[k].write) sections[k].write(&p);
    else if (!strcmp(sections[k].name, "gradient")) gradient(&p, exact);
    else check(&unrounded);
  }
}
