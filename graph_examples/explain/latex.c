/* The trace as a LaTeX document that needs amsmath and nothing else. */
#include <math.h>
#include <string.h>

#include "trace.h"

typedef struct page {
  const trace *t;
  cr_buffer *b;
} page;

static const trace_node *result(const page *p) { return &p->t->node[p->t->n_nodes - 1]; }

static void put_name(page *p, const char *name) {
  put_tree_latex(p->b, &(cr_syntax){.kind = CR_NAME, .height = 1, .text = name});
}

/* Words outside formulas. */
static void put_words(page *p, const char *s) {
  for (; *s; s++) {
    if (*s == '^') cr_put(p->b, "\\textasciicircum{}");
    else cr_put(p->b, strchr("_%#&$", *s) ? "\\%c" : strchr("<>", *s) ? "$%c$" : "%c", *s);
  }
}

static void put_number(page *p, double x) {
  char text[40];
  trace_number(p->t, x, text);
  char *e = strchr(text, 'e');
  if (isnan(x)) cr_put(p->b, "\\mathrm{NaN}");
  else if (isinf(x)) cr_put(p->b, x < 0 ? "-\\infty" : "\\infty");
  else if (!e) cr_put(p->b, "%s", text);
  else cr_put(p->b, "%.*s \\cdot 10^{%s%s}", (int)(e - text), text, e[1] == '-' ? "-" : "", e + 2 + strspn(e + 2, "0"));
}

static void put_factor(page *p, double x) {
  char text[40];
  bool negative = trace_number(p->t, x, text)[0] == '-';
  if (negative) cr_put(p->b, "(");
  put_number(p, x);
  if (negative) cr_put(p->b, ")");
}

/* Vectors and matrices in brackets, anything larger by its shape. */
static void put_numbers(page *p, const trace_numbers *x) {
  char shape[200];
  if (!x->data) cr_put(p->b, "?");
  else if (x->rank == 0) put_number(p, x->data[0]);
  else if (x->rank > 2 || x->count > 9 || !x->count)
    cr_put(p->b, "\\text{%lld numbers }%s", (long long)x->count, trace_shape(x, shape, sizeof shape));
  else {
    int64_t columns = x->dim[x->rank - 1];
    cr_put(p->b, "\\begin{bmatrix} ");
    for (int64_t k = 0; k < x->count; k++) {
      put_number(p, x->data[k]);
      if (k + 1 < x->count) cr_put(p->b, (k + 1) % columns ? " & " : " \\\\ ");
    }
    cr_put(p->b, " \\end{bmatrix}");
  }
}

/* A name that has a subscript already takes another one in braces. */
static void put_indexed(page *p, const char *name, const char *at) {
  if (at[0]) cr_put(p->b, "{");
  put_name(p, name);
  if (at[0]) cr_put(p->b, "}_{%s}", at);
}

static void put_derivative(page *p, const char *of, const char *by, const char *at) {
  cr_put(p->b, "\\frac{%s", p->t->partial);
  put_name(p, of);
  cr_put(p->b, "}{%s", p->t->partial);
  put_indexed(p, by, at);
  cr_put(p->b, "}");
}

static void begin(page *p, const char *title) { cr_put(p->b, "\n\\section*{%s}\n\\begin{align*}\n", title); }
static void end(page *p) { cr_put(p->b, "\\end{align*}\n"); }
static void next(page *p, int *n) {
  if ((*n)++) cr_put(p->b, " \\\\\n");
}

static void put_header(page *p) {
  const trace_node *y = result(p);
  cr_put(p->b, "\\documentclass[a4paper,11pt]{article}\n\\usepackage{amsmath}\n"
               "\\allowdisplaybreaks\n\\setlength{\\parindent}{0pt}\n\\begin{document}\n\\begin{align*}\n");
  put_name(p, y->name);
  cr_put(p->b, " &= ");
  if (y->kind == TRACE_OPERATION) put_tree_latex(p->b, y->whole && tree_size(y->whole) < 60 ? y->whole : y->formula);
  for (int i = 0; i + 1 < p->t->n_nodes; i++) {
    const trace_node *n = &p->t->node[i];
    if (n->kind == TRACE_OPERATION) continue;
    cr_put(p->b, " \\\\\n");
    put_name(p, n->name);
    cr_put(p->b, " &= ");
    put_numbers(p, &n->value);
  }
  cr_put(p->b, "\n\\end{align*}\n");
  if (p->t->options.decimals)
    cr_put(p->b, "Every intermediate is rounded to %d decimals, as by hand.\n", p->t->options.decimals);
}

static void put_rules(page *p) {
  cr_put(p->b, "\n\\section*{Rules}\n\\begin{tabular}{ll}\n");
  for (int i = p->t->n_nodes - 1; i >= 0; i--) {
    const trace_node *n = &p->t->node[i];
    if (n->kind != TRACE_OPERATION || !n->shown) continue;
    cr_put(p->b, "$");
    if (n->named) put_name(p, n->name), cr_put(p->b, " = ");
    put_tree_latex(p->b, n->whole && n->whole->kind != CR_NAME && tree_size(n->whole) < 40 ? n->whole : n->formula);
    cr_put(p->b, "$ & ");
    put_words(p, n->rule);
    cr_put(p->b, " \\\\[3pt]\n");
  }
  cr_put(p->b, "\\end{tabular}\n");
}

static void put_forward(page *p) {
  int n = 0;
  begin(p, "Forward");
  for (int i = 0; i < p->t->n_nodes; i++) {
    const trace_node *v = &p->t->node[i];
    if (v->kind != TRACE_OPERATION || !v->shown) continue;
    next(p, &n);
    put_name(p, v->name);
    cr_put(p->b, " &= ");
    put_tree_latex(p->b, v->formula);
    if (v->figures) cr_put(p->b, " = "), put_figures_latex(p->b, v->figures);
    cr_put(p->b, " = ");
    put_numbers(p, &v->value);
  }
  cr_put(p->b, "\n");
  end(p);
}

static void put_index_form(page *p, const trace_term *term) {
  const trace_index *x = term->index;
  const char *y = result(p)->name;
  put_derivative(p, y, p->t->node[term->to].name, x->left);
  cr_put(p->b, " = ");
  if (x->over[0]) cr_put(p->b, "\\sum_{%s} ", x->over);
  for (int i = 0; i < x->n; i++) {
    if (i) cr_put(p->b, " \\, ");
    if (!x->factor[i].name) put_derivative(p, y, p->t->node[term->user].name, x->factor[i].at);
    else put_indexed(p, x->factor[i].name, x->factor[i].at);
  }
}

static void put_symbols(page *p, const trace_term *term) {
  page inner = *p;
  cr_buffer above = {.tape = p->b->tape};
  inner.b = &above;
  put_derivative(&inner, result(p)->name, p->t->node[term->user].name, "");
  if (term->pulled) put_with_adjoint(p->b, term->pulled, put_tree_latex, above.text ? above.text : "");
  else {
    cr_put(p->b, "\\text{");
    put_words(p, term->rule);
    cr_put(p->b, ", with } g = %s", above.text ? above.text : "");
  }
  cr_buffer_free(&above);
}

static void put_term(page *p, const trace_term *term) {
  put_symbols(p, term);
  if (term->index) cr_put(p->b, ", \\quad "), put_index_form(p, term);
  bool scalar = term->local && term->slope.data && trace_is_scalar(&term->slope) && trace_is_scalar(&term->share);
  if (scalar) {
    cr_put(p->b, " = ");
    put_number(p, p->t->node[term->user].adjoint.data[0]);
    cr_put(p->b, " \\cdot ");
    put_factor(p, term->slope.data[0]);
  }
}

/* One line for each summand; where there are several, their sum below. */
static void put_backward(page *p) {
  int n = 0;
  begin(p, "Backward");
  for (int i = p->t->n_nodes - 1; i >= 0; i--) {
    const trace_node *v = &p->t->node[i];
    bool last = i == p->t->n_nodes - 1;
    if (!v->shown || (!v->active && !last) || (!last && !v->n_terms)) continue;
    next(p, &n);
    put_derivative(p, result(p)->name, v->name, "");
    cr_put(p->b, " &= ");
    if (last) cr_put(p->b, "1");
    for (int k = 0; k < v->n_terms; k++) {
      if (k) cr_put(p->b, " \\\\\n &\\quad + ");
      put_term(p, &v->term[k]);
    }
    if (last) continue;
    cr_put(p->b, v->n_terms > 1 ? " \\\\\n &= " : " = ");
    for (int k = 0; v->n_terms > 1 && v->adjoint.count == 1 && k < v->n_terms; k++) {
      if (k) cr_put(p->b, " + ");
      if (v->term[k].share.data) put_factor(p, v->term[k].share.data[0]);
      if (k == v->n_terms - 1) cr_put(p->b, " = ");
    }
    put_numbers(p, &v->adjoint);
  }
  cr_put(p->b, "\n");
  end(p);
}

/* The factors of a path in braces: d(outer) below, d(inner) above, in turn. */
static void put_path(page *p, const trace_path *path) {
  for (int j = path->n - 2; j >= 0; j--) {
    bool under = (path->n - 2 - j) % 2 == 0;
    cr_put(p->b, under ? "\\underbrace{" : "\\overbrace{");
    put_factor(p, path->slope[j]);
    cr_put(p->b, under ? "}_{" : "}^{");
    put_derivative(p, p->t->node[path->node[j + 1]].name, p->t->node[path->node[j]].name, "");
    cr_put(p->b, j ? "} \\cdot " : "}");
  }
}

static void put_paths(page *p) {
  enum { MOST = 12 };
  int n = 0, listed = 0;
  for (int k = 0; k < p->t->n_inputs; k++) listed += p->t->input[k].n_listed;
  if (!listed || listed > MOST) return;
  begin(p, "Paths");
  for (int k = 0; k < p->t->n_inputs; k++)
    for (int i = 0; i < p->t->input[k].n_listed; i++) {
      const trace_path *path = &p->t->input[k].path[i];
      if (path->n < 2 || path->n > 12) continue;
      next(p, &n);
      put_derivative(p, result(p)->name, p->t->input[k].name, "");
      cr_put(p->b, i ? " &\\mathrel{+}= " : " &= ");
      put_path(p, path);
      cr_put(p->b, " = ");
      put_number(p, path->product);
    }
  cr_put(p->b, n ? "\n" : "0 &= 0\n");
  end(p);
}

static void put_gradient(page *p) {
  int n = 0;
  begin(p, "Gradient");
  for (int k = 0; k < p->t->n_inputs; k++) {
    const trace_input *in = &p->t->input[k];
    next(p, &n);
    put_derivative(p, result(p)->name, in->name, "");
    cr_put(p->b, " &= ");
    if (in->gradient && tree_size(in->gradient) < 50) put_tree_latex(p->b, in->gradient), cr_put(p->b, " \\\\\n &= ");
    put_numbers(p, &in->adjoint);
  }
  cr_put(p->b, "\n");
  end(p);
}

static void put_check(page *p) {
  if (!p->t->n_checks) return;
  cr_put(p->b, "\n\\section*{Check by differences}\n\\begin{tabular}{lrl}\n");
  for (int k = 0; k < p->t->n_checks; k++) {
    const trace_check *c = &p->t->check[k];
    put_words(p, c->label);
    cr_put(p->b, " & $");
    put_number(p, c->numeric);
    cr_put(p->b, "$ & %s (%.0f digits) \\\\\n", c->verdict, floor(c->digits));
  }
  cr_put(p->b, "\\end{tabular}\n");
}

static void put_warnings(page *p) {
  if (!p->t->n_warnings) return;
  cr_put(p->b, "\n\\section*{Mind}\n");
  for (int k = 0; k < p->t->n_warnings; k++) {
    put_words(p, p->t->warning[k]);
    cr_put(p->b, "\n\n");
  }
}

void trace_latex(const trace *t, cr_buffer *b) {
  page p = {t, b};
  put_header(&p);
  if (result(&p)->kind == TRACE_OPERATION) {
    put_rules(&p);
    put_forward(&p);
  }
  put_backward(&p);
  put_paths(&p);
  put_gradient(&p);
  put_check(&p);
  put_warnings(&p);
  cr_put(b, "\\end{document}\n");
}
