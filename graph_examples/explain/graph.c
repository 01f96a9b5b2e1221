/* The trace as a picture: Graphviz's DOT, and through its library SVG and PNG. Values go up the arrows, adjoints come back.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cr_config.h"
#include "trace.h"

#if CR_HAVE_GRAPHVIZ
#include <gvc.h>
#endif

static void put_quoted(cr_buffer *b, const char *s) {
  for (; *s; s++) cr_put(b, strchr("\"\\", *s) ? "\\%c" : "%c", *s);
}

static void put_formula(cr_buffer *b, tree s) {
  cr_buffer text = {.tape = b->tape};
  put_tree(&text, s);
  put_quoted(b, text.text ? text.text : "");
  cr_buffer_free(&text);
}

/* Boxes have room for a few numbers only. */
static void put_numbers(const trace *t, cr_buffer *b, const trace_numbers *x) {
  enum { MOST = 4 };
  char text[512];
  if (x->count <= MOST) put_quoted(b, trace_numbers_text(t, x, text, sizeof text));
  else put_quoted(b, trace_shape(x, text, sizeof text));
}

/* name = formula, value, adjoint: one line each. */
static void put_node(const trace *t, cr_buffer *b, int i) {
  const trace_node *n = &t->node[i];
  const char *y = t->node[t->n_nodes - 1].name;
  cr_put(b, "  n%d [label=\"", i);
  put_quoted(b, n->name);
  if (n->formula) cr_put(b, " = "), put_formula(b, n->formula);
  cr_put(b, "\\n");
  put_numbers(t, b, &n->value);
  if (n->adjoint.data) {
    cr_put(b, "\\nd");
    put_quoted(b, y);
    cr_put(b, "/d");
    put_quoted(b, n->name);
    cr_put(b, " = ");
    put_numbers(t, b, &n->adjoint);
  }
  cr_put(b, "\"");
  if (n->kind == TRACE_CONSTANT || !n->active) cr_put(b, ", class=\"constant\", style=\"rounded,dashed\"");
  else if (n->wanted) cr_put(b, ", class=\"input\", style=\"rounded,filled\", fillcolor=\"#dbe9f9\", fontcolor=\"#000000\"");
  else if (i == t->n_nodes - 1)
    cr_put(b, ", class=\"result\", style=\"rounded,filled\", fillcolor=\"#f9ead0\", fontcolor=\"#000000\"");
  cr_put(b, "];\n");
}

/* The local derivative on the edge that it belongs to. */
static void put_edge(const trace *t, cr_buffer *b, int user, int operand) {
  const trace_node *to = &t->node[t->node[user].in[operand]];
  char text[512];
  cr_put(b, "  n%d -> n%d", t->node[user].in[operand], user);
  for (int k = 0; k < to->n_terms; k++) {
    const trace_term *term = &to->term[k];
    if (term->user != user || term->operand != operand) continue;
    cr_put(b, " [label=\"");
    if (term->local) put_formula(b, term->local);
    else if (term->pulled) put_with_adjoint(b, term->pulled, put_tree, "g");
    else put_quoted(b, term->rule);
    if (term->local && term->slope.data && term->slope.count == 1 && term->local->kind != CR_NUMBER)
      cr_put(b, "\\n= %s", trace_numbers_text(t, &term->slope, text, sizeof text));
    cr_put(b, "\"]");
    break;
  }
  cr_put(b, ";\n");
}

void trace_dot(const trace *t, cr_buffer *b) {
  enum { WIDE = 8 };
  cr_put(b,
         "digraph chainrule {\n  rankdir=%s;\n  bgcolor=\"transparent\";\n"
         "  node [shape=box, style=rounded, fontname=\"Helvetica\", fontsize=11];\n"
         "  edge [fontname=\"Helvetica\", fontsize=10, color=\"#777777\", fontcolor=\"#00688b\"];\n",
         t->n_nodes <= WIDE ? "LR" : "BT");
  for (int i = 0; i < t->n_nodes; i++)
    if (t->node[i].shown) put_node(t, b, i);
  for (int i = 0; i < t->n_nodes; i++)
    for (int k = 0; k < t->node[i].n_in; k++)
      if (t->node[i].in[k] >= 0 && t->node[i].shown && t->node[t->node[i].in[k]].shown) put_edge(t, b, i, k);
  if (t->n_folded) cr_put(b, "  folded [label=\"%d more operations folded\", shape=plaintext];\n", t->n_folded);
  cr_put(b, "}\n");
}

#if CR_HAVE_GRAPHVIZ
/* Graphviz keeps pointers into the first context in variables of its own, so a process has one and does not give it back. */
static GVC_t *graphviz(void) {
  static GVC_t *context;
  if (!context) context = gvContext();
  return context;
}

char *trace_picture(const trace *t, const char *format, size_t *length) {
  cr_buffer dot = {.tape = t->tape};
  char *copy = NULL, *drawn = NULL;
  unsigned n = 0;
  trace_dot(t, &dot);
  graph_t *g = !dot.failed && dot.text && graphviz() ? agmemread(dot.text) : NULL;
  char attribute[] = "bgcolor", white[] = "white", none[] = "";
  if (g && strcmp(format, "svg")) agsafeset(g, attribute, white, none); /* a page styles its SVG; a bitmap is on its own */
  if (g && !gvLayout(graphviz(), g, "dot")) {
    if (!gvRenderData(graphviz(), g, format, &drawn, &n) && drawn) copy = malloc(n + 1);
    if (copy) memcpy(copy, drawn, n), copy[n] = 0, *length = n;
    if (drawn) gvFreeRenderData(drawn);
    gvFreeLayout(graphviz(), g);
  }
  if (g) agclose(g);
  cr_buffer_free(&dot);
  return copy;
}
#else
char *trace_picture(const trace *t, const char *format, size_t *length) {
  (void)t, (void)format, *length = 0;
  return NULL;
}
#endif
