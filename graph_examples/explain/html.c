/* The trace as one HTML file: MathML for formulas, the graph as inline SVG, colours for light and dark, nothing loaded. The
 * arrow keys walk through the steps; without scripts everything is there to read. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "trace.h"

typedef struct page {
  const trace *t;
  cr_buffer *b;
} page;

static const char *const head = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                                "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>";
static const char *const after_title =
    "</title>\n<style>\n"
    ":root { color-scheme: light dark; --paper: #fcfcfa; --ink: #1b1b1b; --soft: #666; --line: #ddd; --back: #00688b; "
    "--mark: #fff3d0; }\n"
    "@media (prefers-color-scheme: dark) {\n"
    "  :root { --paper: #16181b; --ink: #e6e6e6; --soft: #9a9a9a; --line: #333; --back: #6cc4e6; --mark: #3a3320; } }\n"
    "body { background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; "
    "max-width: 60rem; padding: 0 1rem; }\n"
    "h1 { font-size: 1.4rem; font-weight: 600; } h2 { font-size: 1.05rem; margin: 2rem 0 .4rem; border-bottom: 1px solid "
    "var(--line); }\n"
    "h2 small, .soft { color: var(--soft); font-weight: 400; }\n"
    "table { border-collapse: collapse; } td { padding: .15rem .9rem .15rem 0; vertical-align: middle; }\n"
    ".steps { overflow-x: auto; overflow-y: hidden; padding-bottom: .6rem; } .step { padding: .15rem .3rem; border-radius: "
    ".3rem; white-space: nowrap; }\n"
    ".step.now { background: var(--mark); } .sum { padding-left: 1.6rem; }\n"
    ".adjoint { color: var(--back); } math { font-size: 1.1em; }\n"
    "svg { max-width: 100%; height: auto; } svg text { fill: currentColor; } svg .input text, svg .result text { fill: "
    "#000; }\n"
    "svg .node path, svg .node polygon { stroke: currentColor; }\n"
    "@media print { .steps { overflow: visible; } .hint { display: none; } }\n"
    "</style>\n</head>\n<body>\n";
static const char *const script =
    "<script>\n"
    "const steps = [...document.querySelectorAll('.step')]; let at = -1;\n"
    "addEventListener('keydown', e => {\n"
    "  const d = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[e.key];\n"
    "  if (!d || !steps.length) return;\n"
    "  if (at >= 0) steps[at].classList.remove('now');\n"
    "  at = Math.max(0, Math.min(steps.length - 1, at + d));\n"
    "  steps[at].classList.add('now'); steps[at].scrollIntoView({block: 'nearest'}); e.preventDefault();\n"
    "});\n</script>\n";

static const trace_node *result(const page *p) { return &p->t->node[p->t->n_nodes - 1]; }

static void put_text(page *p, const char *s) {
  for (; *s; s++) {
    if (*s == '<') cr_put(p->b, "&lt;");
    else if (*s == '>') cr_put(p->b, "&gt;");
    else if (*s == '&') cr_put(p->b, "&amp;");
    else cr_put(p->b, "%c", *s);
  }
}

static void put_number(page *p, double x) {
  char text[40];
  trace_number(p->t, x, text);
  const char *digits = text[0] == '-' ? text + 1 : text, *e = strchr(digits, 'e');
  if (text[0] == '-') cr_put(p->b, "<mo>−</mo>");
  if (!e || !isfinite(x)) cr_put(p->b, "<mn>%s</mn>", digits);
  else
    cr_put(p->b, "<mn>%.*s</mn><mo>·</mo><msup><mn>10</mn><mn>%s%s</mn></msup>", (int)(e - digits), digits,
           e[1] == '-' ? "−" : "", e + 2 + strspn(e + 2, "0"));
}

static void put_factor(page *p, double x) {
  if (x < 0) cr_put(p->b, "<mo>(</mo>");
  put_number(p, x);
  if (x < 0) cr_put(p->b, "<mo>)</mo>");
}

static void put_numbers(page *p, const trace_numbers *x) {
  char shape[200];
  if (!x->data) cr_put(p->b, "<mtext>?</mtext>");
  else if (x->rank == 0) put_number(p, x->data[0]);
  else if (x->rank > 2 || x->count > 9 || !x->count)
    cr_put(p->b, "<mtext>%lld numbers %s</mtext>", (long long)x->count, trace_shape(x, shape, sizeof shape));
  else {
    int64_t columns = x->dim[x->rank - 1];
    cr_put(p->b, "<mrow><mo>[</mo><mtable>");
    for (int64_t k = 0; k < x->count; k++) {
      if (k % columns == 0) cr_put(p->b, "<mtr>");
      cr_put(p->b, "<mtd>");
      put_number(p, x->data[k]);
      cr_put(p->b, (k + 1) % columns ? "</mtd>" : "</mtd></mtr>");
    }
    cr_put(p->b, "</mtable><mo>]</mo></mrow>");
  }
}

static void put_derivative(page *p, const char *of, const char *by, const char *at) {
  const char *d = p->t->n_inputs == 1 ? "d" : "∂";
  cr_put(p->b, "<mfrac><mrow><mo>%s</mo>", d);
  put_name_mathml(p->b, of);
  cr_put(p->b, "</mrow><mrow><mo>%s</mo>", d);
  if (at[0]) cr_put(p->b, "<msub><mrow>");
  put_name_mathml(p->b, by);
  if (at[0]) cr_put(p->b, "</mrow><mi mathvariant=\"italic\">%s</mi></msub>", at);
  cr_put(p->b, "</mrow></mfrac>");
}

static void section(page *p, const char *title, const char *aside) {
  cr_put(p->b, "<h2>%s <small>%s</small></h2>\n", title, aside);
}
static void open_step(page *p, const char *more) { cr_put(p->b, "<div class=\"step%s\"><math><mrow>", more); }
static void close_step(page *p) { cr_put(p->b, "</mrow></math></div>\n"); }
static void equals(page *p) { cr_put(p->b, "<mo>=</mo>"); }

static void put_header(page *p) {
  const trace_node *y = result(p);
  tree whole = y->whole && tree_size(y->whole) < 60 ? y->whole : y->formula;
  cr_buffer title = {.tape = p->b->tape};
  if (whole) put_tree(&title, whole);
  cr_put(p->b, "%s", head);
  put_text(p, y->name);
  if (title.text) cr_put(p->b, " = "), put_text(p, title.text);
  cr_buffer_free(&title);
  cr_put(p->b, "%s<h1><math><mrow>", after_title);
  put_name_mathml(p->b, y->name);
  if (whole) equals(p), put_tree_mathml(p->b, whole);
  cr_put(p->b, "</mrow></math></h1>\n<p>");
  for (int i = 0, n = 0; i + 1 < p->t->n_nodes; i++) {
    const trace_node *in = &p->t->node[i];
    if (in->kind == TRACE_OPERATION) continue;
    cr_put(p->b, n++ ? ", <math><mrow>" : "at <math><mrow>");
    put_name_mathml(p->b, in->name);
    equals(p);
    put_numbers(p, &in->value);
    cr_put(p->b, "</mrow></math>");
  }
  cr_put(p->b, "</p>\n");
  if (p->t->options.decimals)
    cr_put(p->b, "<p>Every intermediate is rounded to %d decimals, as by hand.</p>\n", p->t->options.decimals);
  cr_put(p->b, "<p class=\"soft hint\">The arrow keys walk through the steps.</p>\n");
}

static void put_rules(page *p) {
  section(p, "Rules", "which one each part calls for, from the outside in");
  cr_put(p->b, "<table>\n");
  for (int i = p->t->n_nodes - 1; i >= 0; i--) {
    const trace_node *n = &p->t->node[i];
    if (n->kind != TRACE_OPERATION || !n->shown) continue;
    cr_put(p->b, "<tr><td><math><mrow>");
    if (n->named) put_name_mathml(p->b, n->name), equals(p);
    put_tree_mathml(p->b, n->whole && n->whole->kind != CR_NAME && tree_size(n->whole) < 40 ? n->whole : n->formula);
    cr_put(p->b, "</mrow></math></td><td>");
    put_text(p, n->rule);
    cr_put(p->b, "</td></tr>\n");
  }
  cr_put(p->b, "</table>\n");
}

static void put_forward(page *p) {
  section(p, "Forward", "values, from the inputs to the result");
  cr_put(p->b, "<div class=\"steps\">\n");
  for (int i = 0; i < p->t->n_nodes; i++) {
    const trace_node *n = &p->t->node[i];
    if (n->kind != TRACE_OPERATION || !n->shown) continue;
    open_step(p, "");
    put_name_mathml(p->b, n->name);
    equals(p);
    put_tree_mathml(p->b, n->formula);
    if (n->figures) equals(p), put_tree_mathml(p->b, n->figures);
    equals(p);
    put_numbers(p, &n->value);
    close_step(p);
  }
  cr_put(p->b, "</div>\n");
}

static void put_index_form(page *p, const trace_term *term) {
  const trace_index *x = term->index;
  const char *y = result(p)->name;
  put_derivative(p, y, p->t->node[term->to].name, x->left);
  equals(p);
  if (x->over[0]) cr_put(p->b, "<munder><mo>∑</mo><mi>%s</mi></munder>", x->over);
  for (int i = 0; i < x->n; i++) {
    if (!x->factor[i].name) {
      put_derivative(p, y, p->t->node[term->user].name, x->factor[i].at);
      continue;
    }
    cr_put(p->b, "<msub><mrow>");
    put_name_mathml(p->b, x->factor[i].name);
    cr_put(p->b, "</mrow><mi mathvariant=\"italic\">%s</mi></msub>", x->factor[i].at);
  }
}

static void put_term(page *p, const trace_term *term) {
  page inner = *p;
  cr_buffer above = {.tape = p->b->tape};
  inner.b = &above;
  put_derivative(&inner, result(p)->name, p->t->node[term->user].name, "");
  if (term->pulled) put_with_adjoint(p->b, term->pulled, put_tree_mathml, above.text ? above.text : "");
  else {
    cr_put(p->b, "<mtext>");
    put_text(p, term->rule);
    cr_put(p->b, ", g =&#xa0;</mtext>%s", above.text ? above.text : "");
  }
  cr_buffer_free(&above);
  if (term->index) cr_put(p->b, "<mtext>,&#xa0;that is&#xa0;</mtext>"), put_index_form(p, term);
  bool scalar = term->local && term->slope.data && trace_is_scalar(&term->slope) && trace_is_scalar(&term->share);
  equals(p);
  if (scalar) {
    put_number(p, p->t->node[term->user].adjoint.data[0]);
    cr_put(p->b, "<mo>·</mo>");
    put_factor(p, term->slope.data[0]);
    equals(p);
  }
  put_numbers(p, &term->share);
  if (term->shapes) cr_put(p->b, "<mtext>&#x2003;shapes %s</mtext>", term->shapes);
}

static void put_backward(page *p) {
  section(p, "Backward", "how much the result changes with each value");
  cr_put(p->b, "<div class=\"steps adjoint\">\n");
  for (int i = p->t->n_nodes - 1; i >= 0; i--) {
    const trace_node *n = &p->t->node[i];
    bool last = i == p->t->n_nodes - 1, sum = n->n_terms > 1;
    if (!n->shown || (!n->active && !last) || (!last && !n->n_terms)) continue;
    for (int k = 0; sum && k < n->n_terms; k++) {
      open_step(p, " sum");
      cr_put(p->b, "<mtext>from&#xa0;</mtext>");
      put_name_mathml(p->b, p->t->node[n->term[k].user].name);
      cr_put(p->b, "<mtext>:&#x2003;</mtext>");
      put_term(p, &n->term[k]);
      close_step(p);
    }
    open_step(p, "");
    put_derivative(p, result(p)->name, n->name, "");
    equals(p);
    if (last) cr_put(p->b, "<mn>1</mn>");
    else if (!sum) put_term(p, n->term);
    for (int k = 0; sum && n->adjoint.count == 1 && k < n->n_terms; k++) {
      if (k) cr_put(p->b, "<mo>+</mo>");
      if (n->term[k].share.data) put_factor(p, n->term[k].share.data[0]);
      if (k == n->n_terms - 1) equals(p);
    }
    if (sum) put_numbers(p, &n->adjoint);
    if (sum) cr_put(p->b, "<mtext>&#x2003;sum over the %d uses</mtext>", n->n_terms);
    close_step(p);
  }
  cr_put(p->b, "</div>\n");
  if (p->t->n_folded) cr_put(p->b, "<p class=\"soft\">%d more operations are folded.</p>\n", p->t->n_folded);
}

static void put_paths(page *p) {
  int listed = 0;
  for (int k = 0; k < p->t->n_inputs; k++) listed += p->t->input[k].n_listed;
  if (!listed || listed > 24) return;
  section(p, "Paths", "products along each path, summed over paths");
  cr_put(p->b, "<table>\n");
  for (int k = 0; k < p->t->n_inputs; k++)
    for (int i = 0; i < p->t->input[k].n_listed; i++) {
      const trace_path *path = &p->t->input[k].path[i];
      cr_put(p->b, "<tr><td><math><mrow>");
      for (int j = path->n - 1; j >= 0; j--) {
        put_name_mathml(p->b, p->t->node[path->node[j]].name);
        if (j) cr_put(p->b, "<mo>←</mo>");
      }
      cr_put(p->b, "</mrow></math></td><td><math><mrow>");
      for (int j = path->n - 2; j >= 0; j--) {
        if (j < path->n - 2) put_factor(p, path->slope[j]);
        else put_number(p, path->slope[j]);
        cr_put(p->b, j ? "<mo>·</mo>" : "<mo>=</mo>");
      }
      put_number(p, path->product);
      cr_put(p->b, "</mrow></math></td></tr>\n");
    }
  cr_put(p->b, "</table>\n");
}

static void put_gradient(page *p) {
  section(p, "Gradient", "");
  cr_put(p->b, "<div class=\"steps\">\n");
  for (int k = 0; k < p->t->n_inputs; k++) {
    const trace_input *in = &p->t->input[k];
    open_step(p, "");
    put_derivative(p, result(p)->name, in->name, "");
    equals(p);
    if (in->gradient && tree_size(in->gradient) < 60) put_tree_mathml(p->b, in->gradient), equals(p);
    put_numbers(p, &in->adjoint);
    close_step(p);
  }
  cr_put(p->b, "</div>\n");
}

static void put_check(page *p) {
  if (!p->t->n_checks) return;
  section(p, "Check", "slopes of the function itself, by differences");
  cr_put(p->b, "<table>\n");
  for (int k = 0; k < p->t->n_checks; k++) {
    const trace_check *c = &p->t->check[k];
    cr_put(p->b, "<tr><td>");
    put_text(p, c->label);
    cr_put(p->b, "</td><td><math><mrow>");
    put_number(p, isnan(c->numeric) ? c->analytic : c->numeric);
    cr_put(p->b, "</mrow></math></td><td>%s</td><td>", c->verdict);
    if (!strcmp(c->verdict, "agree")) cr_put(p->b, "%.0f digits", floor(c->digits));
    else put_text(p, c->note);
    cr_put(p->b, "</td></tr>\n");
  }
  cr_put(p->b, "</table>\n");
}

static void put_warnings(page *p) {
  if (!p->t->n_warnings) return;
  section(p, "Mind", "");
  cr_put(p->b, "<ul>\n");
  for (int k = 0; k < p->t->n_warnings; k++) {
    cr_put(p->b, "<li>");
    put_text(p, p->t->warning[k]);
    cr_put(p->b, "</li>\n");
  }
  cr_put(p->b, "</ul>\n");
}

/* The drawing without the XML prologue, which has no place inside HTML. */
static void put_picture(page *p) {
  size_t length = 0;
  char *svg = trace_picture(p->t, "svg", &length);
  const char *start = svg ? strstr(svg, "<svg") : NULL;
  if (start) {
    section(p, "Graph", "boxes hold value and adjoint, arrows the local derivative");
    for (; *start; start += strnlen(start, 4096)) cr_put(p->b, "%.4096s", start);
  }
  free(svg);
}

void trace_html(const trace *t, cr_buffer *b) {
  page p = {t, b};
  put_header(&p);
  if (result(&p)->kind == TRACE_OPERATION) {
    put_rules(&p);
    put_forward(&p);
  }
  put_backward(&p);
  put_picture(&p);
  put_paths(&p);
  put_gradient(&p);
  put_check(&p);
  put_warnings(&p);
  cr_put(b, "%s</body>\n</html>\n", script);
}
