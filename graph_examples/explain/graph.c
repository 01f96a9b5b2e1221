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

/* What a picture shows of the graph: all at once, or one of three frames. */
typedef enum frame { WHOLE, FORWARD, RESULT, BACKWARD } frame;
static const char prefix[] = "nfrb"; /* of the names of its nodes */

static bool is_in(const trace *t, frame f, int i) {
  const trace_node *n = &t->node[i];
  if (!n->shown) return false;
  if (f == RESULT) {
    const trace_node *y = &t->node[t->n_nodes - 1];
    for (int k = 0; k < y->n_in; k++)
      if (y->in[k] == i) return true;
    return i == t->n_nodes - 1;
  }
  return f != BACKWARD || n->active || i == t->n_nodes - 1;
}

static void put_adjoint(const trace *t, cr_buffer *b, const trace_node *n) {
  cr_put(b, "d");
  put_quoted(b, t->node[t->n_nodes - 1].name);
  cr_put(b, "/d");
  put_quoted(b, n->name);
  cr_put(b, " = ");
  put_numbers(t, b, &n->adjoint);
}

/* name = formula, value, adjoint: one line each. */
static void put_node(const trace *t, cr_buffer *b, frame f, int i) {
  const trace_node *n = &t->node[i];
  cr_put(b, "  %c%d [label=\"", prefix[f], i);
  if (f != BACKWARD) {
    put_quoted(b, n->name);
    if (n->formula) cr_put(b, " = "), put_formula(b, n->formula);
    cr_put(b, "\\n");
    put_numbers(t, b, &n->value);
  }
  if (f == WHOLE && n->adjoint.data) cr_put(b, "\\n");
  if ((f == WHOLE || f == BACKWARD) && n->adjoint.data) put_adjoint(t, b, n);
  cr_put(b, "\"");
  if (n->kind == TRACE_CONSTANT || !n->active) cr_put(b, ", class=\"constant\", style=\"rounded,dashed\"");
  else if (n->wanted) cr_put(b, ", class=\"input\", style=\"rounded,filled\", fillcolor=\"#dbe9f9\", fontcolor=\"#000000\"");
  else if (i == t->n_nodes - 1)
    cr_put(b, ", class=\"result\", style=\"rounded,filled\", fillcolor=\"#f9ead0\", fontcolor=\"#000000\"");
  cr_put(b, "];\n");
}

static void put_slope(const trace *t, cr_buffer *b, const trace_term *term) {
  char text[512];
  cr_put(b, "label=\"");
  if (term->local) put_formula(b, term->local);
  else if (term->pulled) put_with_adjoint(b, term->pulled, put_tree, "g");
  else put_quoted(b, term->rule);
  if (term->local && term->slope.data && term->slope.count == 1 && term->local->kind != CR_NUMBER)
    cr_put(b, "\\n= %s", trace_numbers_text(t, &term->slope, text, sizeof text));
  cr_put(b, "\"");
}

/* The local derivative on the edge that it belongs to. Going back, the edge points back. */
static void put_edge(const trace *t, cr_buffer *b, frame f, int user, int operand) {
  const trace_node *to = &t->node[t->node[user].in[operand]];
  const trace_term *term = NULL;
  for (int k = 0; k < to->n_terms && !term; k++)
    if (to->term[k].user == user && to->term[k].operand == operand) term = &to->term[k];
  if (f == BACKWARD && !term) return;
  cr_put(b, "  %c%d -> %c%d", prefix[f], t->node[user].in[operand], prefix[f], user);
  if (term && (f == WHOLE || f == BACKWARD)) {
    cr_put(b, f == BACKWARD ? " [dir=back, " : " [");
    put_slope(t, b, term);
    cr_put(b, "]");
  }
  cr_put(b, ";\n");
}

static void put_frame(const trace *t, cr_buffer *b, frame f) {
  for (int i = 0; i < t->n_nodes; i++)
    if (is_in(t, f, i)) put_node(t, b, f, i);
  for (int i = 0; i < t->n_nodes; i++)
    for (int k = 0; k < t->node[i].n_in; k++)
      if (t->node[i].in[k] >= 0 && is_in(t, f, i) && is_in(t, f, t->node[i].in[k])) put_edge(t, b, f, i, k);
}

void trace_dot(const trace *t, cr_buffer *b) {
  enum { WIDE = 8 };
  bool frames = t->options.frames;
  static const char *const title[] = {"", "1. Forward: values", "2. The result", "3. Backward: derivatives"};
  cr_put(b,
         "digraph chainrule {\n  rankdir=%s;\n  bgcolor=\"transparent\";\n"
         "  node [shape=box, style=rounded, fontname=\"Helvetica\", fontsize=11];\n"
         "  edge [fontname=\"Helvetica\", fontsize=10, color=\"#777777\", fontcolor=\"#00688b\"];\n",
         t->n_nodes <= WIDE || frames ? "LR" : "BT");
  if (!frames) put_frame(t, b, WHOLE);
  for (int f = FORWARD; frames && f <= BACKWARD; f++) {
    cr_put(b, "  subgraph cluster_%d {\n  label=\"%s\"; fontname=\"Helvetica\"; color=\"#cccccc\";\n", f, title[f]);
    put_frame(t, b, (frame)f);
    cr_put(b, "  }\n");
  }
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
