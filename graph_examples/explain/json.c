/* The trace as one JSON object, with everything that is in it: keys in README.md. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "trace.h"
#include "writing.h"

static void put_number(cr_buffer *b, double x) {
  char text[40];
  if (isfinite(x)) cr_put(b, "%s", cr_number_text(x, 0, text));
  else cr_put(b, isnan(x) ? "\"nan\"" : x > 0 ? "\"inf\"" : "\"-inf\"");
}

static void put_numbers(cr_buffer *b, const trace_numbers *x) {
  if (!x->data) {
    cr_put(b, "null");
    return;
  }
  cr_put(b, "{\"shape\": [");
  for (int i = 0; i < x->rank; i++) cr_put(b, "%s%lld", i ? ", " : "", (long long)x->dim[i]);
  cr_put(b, "], \"data\": [");
  for (int64_t k = 0; k < x->count; k++) {
    if (k) cr_put(b, ", ");
    put_number(b, x->data[k]);
  }
  cr_put(b, "]}");
}

/* A formula as text and as LaTeX. */
static void put_formula(cr_buffer *b, tree s) {
  if (!s) {
    cr_put(b, "null");
    return;
  }
  cr_buffer text = {.tape = b->tape}, latex = {.tape = b->tape};
  put_tree(&text, s);
  put_tree_latex(&latex, s);
  cr_put(b, "{\"text\": ");
  put_json_text(b, text.text ? text.text : "");
  cr_put(b, ", \"latex\": ");
  put_json_text(b, latex.text ? latex.text : "");
  cr_put(b, "}");
  cr_buffer_free(&text);
  cr_buffer_free(&latex);
}

static void put_index(cr_buffer *b, const trace_index *x) {
  if (!x) {
    cr_put(b, "null");
    return;
  }
  cr_put(b, "{\"left\": \"%s\", \"over\": \"%s\", \"factors\": [", x->left, x->over);
  for (int i = 0; i < x->n; i++) {
    cr_put(b, "%s{\"name\": ", i ? ", " : "");
    put_json_text(b, x->factor[i].name);
    cr_put(b, ", \"at\": \"%s\"}", x->factor[i].at);
  }
  cr_put(b, "]}");
}

static void put_term(const trace *t, cr_buffer *b, const trace_term *term) {
  cr_put(b, "{\"from\": ");
  put_json_text(b, t->node[term->user].name);
  cr_put(b, ", \"operand\": %d, \"local\": ", term->operand);
  put_formula(b, term->local);
  cr_put(b, ", \"pulled\": ");
  put_formula(b, term->pulled);
  cr_put(b, ", \"rule\": ");
  put_json_text(b, term->rule);
  cr_put(b, ", \"shapes\": ");
  put_json_text(b, term->shapes);
  cr_put(b, ", \"index\": ");
  put_index(b, term->index);
  cr_put(b, ", \"slope\": ");
  put_numbers(b, &term->slope);
  cr_put(b, ", \"share\": ");
  put_numbers(b, &term->share);
  cr_put(b, "}");
}

static void put_node(const trace *t, cr_buffer *b, const trace_node *n) {
  static const char *const kind[] = {"input", "constant", "operation"};
  cr_put(b, "{\"name\": ");
  put_json_text(b, n->name);
  cr_put(b, ", \"kind\": \"%s\", \"op\": ", kind[n->kind]);
  put_json_text(b, n->op);
  cr_put(b, ", \"rule\": ");
  put_json_text(b, n->rule);
  cr_put(b, ", \"named\": %s, \"shown\": %s, \"operands\": [", n->named ? "true" : "false", n->shown ? "true" : "false");
  for (int k = 0; k < n->n_in; k++) {
    if (k) cr_put(b, ", ");
    put_json_text(b, n->in[k] >= 0 ? t->node[n->in[k]].name : NULL);
  }
  cr_put(b, "], \"formula\": ");
  put_formula(b, n->formula);
  cr_put(b, ", \"whole\": ");
  put_formula(b, n->whole);
  cr_put(b, ", \"value\": ");
  put_numbers(b, &n->value);
  cr_put(b, ", \"adjoint\": ");
  put_numbers(b, &n->adjoint);
  cr_put(b, ", \"terms\": [");
  for (int k = 0; k < n->n_terms; k++) {
    if (k) cr_put(b, ", ");
    put_term(t, b, &n->term[k]);
  }
  cr_put(b, "]}");
}

static void put_path(const trace *t, cr_buffer *b, const trace_path *p) {
  cr_put(b, "{\"nodes\": [");
  for (int i = 0; i < p->n; i++) {
    if (i) cr_put(b, ", ");
    put_json_text(b, t->node[p->node[i]].name);
  }
  cr_put(b, "], \"slopes\": [");
  for (int i = 0; i + 1 < p->n; i++) {
    if (i) cr_put(b, ", ");
    put_number(b, p->slope[i]);
  }
  cr_put(b, "], \"product\": ");
  put_number(b, p->product);
  cr_put(b, "}");
}

static void put_input(const trace *t, cr_buffer *b, const trace_input *in) {
  cr_put(b, "{\"name\": ");
  put_json_text(b, in->name);
  cr_put(b, ", \"value\": ");
  put_numbers(b, &in->value);
  cr_put(b, ", \"gradient\": ");
  put_numbers(b, &in->adjoint);
  cr_put(b, ", \"formula\": ");
  put_formula(b, in->gradient);
  cr_put(b, ", \"n_paths\": ");
  if (in->n_paths < 0) cr_put(b, "null");
  else put_number(b, in->n_paths);
  cr_put(b, ", \"paths\": [");
  for (int k = 0; k < in->n_listed; k++) {
    if (k) cr_put(b, ", ");
    put_path(t, b, &in->path[k]);
  }
  cr_put(b, "]}");
}

static void put_check(cr_buffer *b, const trace_check *c) {
  cr_put(b, "{\"label\": ");
  put_json_text(b, c->label);
  cr_put(b, ", \"analytic\": ");
  put_number(b, c->analytic);
  cr_put(b, ", \"numeric\": ");
  put_number(b, c->numeric);
  cr_put(b, ", \"error\": ");
  put_number(b, c->error);
  cr_put(b, ", \"digits\": ");
  put_number(b, c->digits);
  cr_put(b, ", \"verdict\": ");
  put_json_text(b, c->verdict);
  cr_put(b, ", \"note\": ");
  put_json_text(b, c->note);
  cr_put(b, "}");
}

void trace_json(const trace *t, cr_buffer *b) {
  cr_put(b, "{\"result\": ");
  put_json_text(b, t->node[t->n_nodes - 1].name);
  cr_put(b, ", \"decimals\": %d, \"folded\": %d, \"nodes\": [", t->options.decimals, t->n_folded);
  for (int i = 0; i < t->n_nodes; i++) {
    if (i) cr_put(b, ", ");
    put_node(t, b, &t->node[i]);
  }
  cr_put(b, "], \"inputs\": [");
  for (int k = 0; k < t->n_inputs; k++) {
    if (k) cr_put(b, ", ");
    put_input(t, b, &t->input[k]);
  }
  cr_put(b, "], \"check\": [");
  for (int k = 0; k < t->n_checks; k++) {
    if (k) cr_put(b, ", ");
    put_check(b, &t->check[k]);
  }
  cr_put(b, "], \"warnings\": [");
  for (int k = 0; k < t->n_warnings; k++) {
    if (k) cr_put(b, ", ");
    put_json_text(b, t->warning[k]);
  }
  cr_put(b, "]}\n");
}
