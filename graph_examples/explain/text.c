/* The trace as text for a terminal of 80 columns. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trace.h"

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

/* Columns that a text takes: characters, not bytes. */
static int columns(const char *s) {
  int n = 0;
  for (; *s; s++) n += ((unsigned char)*s & 0xC0) != 0x80;
  return n;
}

static void spaces(cr_buffer *b, int n) {
  while (n-- > 0) cr_put(b, " ");
}

/* Text broken at spaces, later lines indented by hang. */
static void paragraph(page *p, int indent, int hang, const char *text) {
  int at = indent;
  spaces(p->b, indent);
  for (const char *s = text; *s;) {
    size_t n = strcspn(s, " ");
    char word[512];
    snprintf(word, sizeof word, "%.*s", (int)n, s);
    int wide = columns(word);
    bool first = s == text || at == hang;
    if (!first && at + 1 + wide > WIDTH) {
      cr_put(p->b, "\n");
      spaces(p->b, at = hang);
      first = true;
    }
    cr_put(p->b, first ? "%.*s" : " %.*s", (int)n, s);
    at += wide + !first;
    s += n;
    while (*s == ' ') s++;
  }
  cr_put(p->b, "\n");
}

/* left = part = part ..., the equals signs below each other, broken before one where the line is full. Parts that repeat
 * the one before are left out. */
static void equation(page *p, int indent, const char *left, int width, int n, const char *const *part) {
  int at = indent + (columns(left) > width ? columns(left) : width);
  spaces(p->b, indent);
  cr_put(p->b, "%s", left);
  spaces(p->b, at - indent - columns(left));
  int sign = at;
  const char *last = NULL;
  for (int i = 0; i < n; i++) {
    if (!part[i] || (last && !strcmp(last, part[i]))) continue;
    int wide = columns(part[i]);
    if (last && at + 3 + wide > WIDTH) {
      cr_put(p->b, "\n");
      spaces(p->b, at = sign);
    }
    if (i == n - 1) style(p, back);
    cr_put(p->b, " = %s", part[i]);
    if (i == n - 1) style(p, plain);
    at += 3 + wide;
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
  cr_put(p->b, whole ? "%s = %s" : "%s", y->name, s.of);
  style(p, plain);
  cr_put(p->b, "\n");
  for (int i = 0, n = 0; i < p->t->n_nodes; i++) {
    const trace_node *in = &p->t->node[i];
    if (in->kind == TRACE_OPERATION || i == p->t->n_nodes - 1) continue;
    cr_put(&b, "%s%s = %s", n++ ? ", " : "at ", in->name, all_numbers(p, &in->value).of);
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
    int wide = derivatives ? columns(derivative(p, i).of) : columns(n->name);
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
    text s = tree_as(p, n->whole && tree_size(n->whole) < 40 ? n->whole : n->formula, put_tree);
    if (n->named) s = format("%s = %.400s", n->name, s.of);
    spaces(p->b, INDENT);
    cr_put(p->b, "%s", s.of);
    int gap = RULE_COLUMN - INDENT - columns(s.of);
    if (gap < 2) cr_put(p->b, "\n"), gap = RULE_COLUMN;
    spaces(p->b, gap);
    cr_put(p->b, "%s\n", n->rule);
  }
}

static text shape_of(const trace_numbers *x) {
  text s, shape;
  trace_shape(x, shape.of, sizeof shape.of);
  s = x->rank ? format("   %.200s", shape.of) : format("%s", "");
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
  return tree_binds(s) < BIND_PRODUCT || (s->kind == CR_NUMBER && s->number < 0) || s->kind == CR_UNARY ? format("(%.500s)", r.of) : r;
}

/* One summand as an equation: adjoint of the user times the local derivative. */
static void scalar_term(page *p, const trace_term *term, int indent, const char *left, int width) {
  double above = p->t->node[term->user].adjoint.data[0];
  text symbols = format("%s * %.400s", derivative(p, term->user).of, bracketed(p, term->local, put_tree).of);
  text figures = format("%s * %.400s", number(p, above).of,
                        term->local_figures ? bracketed(p, term->local_figures, put_figures).of : factor(p, term->slope.data[0]).of);
  text two = format("%s * %s", number(p, above).of, factor(p, term->slope.data[0]).of);
  equation(p, indent, left, width, 4, (const char *[]){symbols.of, figures.of, two.of, number(p, term->share.data[0]).of});
}

static bool is_scalar_term(const trace_term *term) {
  return term->local && term->slope.data && trace_is_scalar(&term->slope) && trace_is_scalar(&term->share);
}

static void tensor_term(page *p, const trace_term *term, int indent, const char *left, int width) {
  const char *user = p->t->node[term->user].name;
  text symbols = term->local ? format("%s * %.300s   element by element", derivative(p, term->user).of, bracketed(p, term->local, put_tree).of)
                             : format("through %s: %s", user, term->rule ? term->rule : "by its own rule");
  spaces(p->b, indent);
  cr_put(p->b, "%s", left);
  spaces(p->b, width - columns(left));
  cr_put(p->b, term->local ? " = " : " ");
  if (term->matrix) paragraph(p, 0, indent + width + 3, format("through %s: matrix form", user).of);
  else paragraph(p, 0, indent + width + 3, symbols.of);
  if (term->matrix) paragraph(p, indent + width + 3, indent + width + 6, term->matrix);
  if (term->index) {
    spaces(p->b, indent + width + 1);
    paragraph(p, 0, indent + width + 6, format("index form %s", term->index).of);
  }
  if (term->share.data) {
    spaces(p->b, indent + width);
    text s = all_numbers(p, &term->share);
    paragraph(p, 0, indent + width + 3, format(" = %s%s", s.of, term->share.count <= 9 ? shape_of(&term->share).of : "").of);
  }
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
    int wide = columns(p->t->node[n->term[k].user].name) + 5;
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
  heading(p, "Backward", p->t->node[p->t->n_nodes - 1].value.count == 1 ? "how much the result changes with each value"
                                                                         : "how much the sum of the result changes with each value");
  for (int i = p->t->n_nodes - 1; i >= 0; i--) {
    const trace_node *n = &p->t->node[i];
    if (!n->shown || (!n->active && i != p->t->n_nodes - 1)) continue;
    text left = derivative(p, i);
    if (i == p->t->n_nodes - 1)
      equation(p, INDENT, left.of, width, 2, (const char *[]){n->value.count == 1 ? "1" : "ones", NULL});
    else if (n->n_terms == 1)
      put_term(p, n->term, INDENT, left.of, width);
    else if (n->n_terms)
      fan_out(p, n, left.of);
  }
  if (p->t->n_folded) cr_put(p->b, "  (%d more operations are folded; --depth N or --focus NAME shows others)\n", p->t->n_folded);
}

static void paths(page *p) {
  double total = 0;
  int edges = 0;
  for (int k = 0; k < p->t->n_inputs; k++) total += p->t->input[k].n_listed;
  if (total == 0) return;
  for (int i = 0; i < p->t->n_nodes; i++) edges += p->t->node[i].n_terms;
  heading(p, "Paths", "along each, the product of the local derivatives");
  for (int k = 0; k < p->t->n_inputs; k++) {
    const trace_input *in = &p->t->input[k];
    for (int i = 0; i < in->n_listed; i++) {
      const trace_path *path = &in->path[i];
      cr_buffer b = {.tape = p->b->tape}, c = {.tape = p->b->tape};
      for (int j = 0; j < path->n; j++) {
        cr_put(&b, "%s%s", j ? " -> " : "", p->t->node[path->node[j]].name);
        int back_j = path->n - 2 - j;
        if (back_j >= 0) cr_put(&c, "%s%s", j ? " * " : "", j ? factor(p, path->slope[back_j]).of : number(p, path->slope[back_j]).of);
      }
      if (path->n > 1) equation(p, INDENT, b.text ? b.text : "", 24, 2, (const char *[]){c.text, number(p, path->product).of});
      cr_buffer_free(&b);
      cr_buffer_free(&c);
    }
    if (in->n_listed > 1) {
      cr_put(p->b, "  the sum of the %d paths from %s", in->n_listed, in->name);
      cr_put(p->b, " = %s\n", all_numbers(p, &in->adjoint).of);
    }
  }
  if (total > 3) cr_put(p->b, "  %g paths, but only %d edges: the backward pass walks each edge once\n", total, edges);
}

static void gradient(page *p, const trace *exact) {
  int width = 0;
  heading(p, "Gradient", exact ? "by hand, and without rounding" : NULL);
  for (int k = 0; k < p->t->n_inputs; k++) {
    int wide = columns(format("d%s/d%s", y_name(p), p->t->input[k].name).of);
    if (wide > width) width = wide;
  }
  for (int k = 0; k < p->t->n_inputs; k++) {
    const trace_input *in = &p->t->input[k];
    text left = format("d%s/d%s", y_name(p), in->name), value = all_numbers(p, &in->adjoint), symbols = {""}, more;
    if (in->gradient) symbols = tree_as(p, in->gradient, put_tree);
    if (exact && exact->input[k].adjoint.count == 1)
      value = format("%.100s   exactly %s", value.of, trace_number(exact, exact->input[k].adjoint.data[0], more.of));
    else if (in->adjoint.rank && in->adjoint.count <= 9)
      value = format("%.300s%.100s", value.of, shape_of(&in->adjoint).of);
    equation(p, INDENT, left.of, width, 2, (const char *[]){in->gradient ? symbols.of : NULL, value.of});
  }
}

static void check(page *p) {
  const trace *t = p->t;
  int width = 0;
  if (!t->n_checks) return;
  heading(p, "Check", "slopes of the function itself, by differences");
  for (int k = 0; k < t->n_checks; k++)
    if (columns(t->check[k].label) > width) width = columns(t->check[k].label);
  for (int k = 0; k < t->n_checks; k++) {
    const trace_check *c = &t->check[k];
    text verdict = !strcmp(c->verdict, "agree") ? format("%.0f digits agree", floor(c->digits)) : format("%s", c->verdict);
    cr_put(p->b, "  %s", c->label);
    spaces(p->b, width - columns(c->label));
    cr_put(p->b, "  %14s  %s", isnan(c->numeric) ? "?" : number(p, c->numeric).of, verdict.of);
    cr_put(p->b, c->note[0] ? "; %s\n" : "%s\n", c->note);
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

void trace_text(const trace *t, const trace *exact, cr_buffer *b, bool color) {
  page p = {t, b, color};
  title(&p);
  if (has_operations(&p)) {
    decomposition(&p);
    forward(&p);
  }
  backward(&p);
  paths(&p);
  gradient(&p, exact);
  if (exact) {
    page q = {exact, b, color};
    check(&q);
  } else {
    check(&p);
  }
  warnings(&p);
}
