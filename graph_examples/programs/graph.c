/* chainrule graph: the trace as DOT, SVG or PNG. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "captured.h"
#include "tracing.h"

static json_t *text_json(const trace *t, tree s) {
  cr_buffer b = {.tape = t->tape};
  if (!s) return json_null();
  put_tree(&b, s);
  json_t *j = b.failed ? NULL : json_string(b.text);
  cr_buffer_free(&b);
  return j;
}

static json_t *numbers_json(const trace_numbers *x) {
  json_t *list = json_array();
  if (!x->data) return json_decref(list), json_null();
  for (int64_t k = 0; k < x->count; k++) json_array_append_new(list, json_number_of(x->data[k]));
  return list;
}

static json_t *node_json(const trace *t, const trace_node *n) {
  json_t *object = json_object(), *operands = json_array();
  for (int k = 0; k < n->n_in; k++)
    json_array_append_new(operands, n->in[k] >= 0 ? json_string(t->node[n->in[k]].name) : json_null());
  json_object_set_new(object, "name", json_string(n->name));
  json_object_set_new(object, "formula", text_json(t, n->formula));
  json_object_set_new(object, "value", numbers_json(&n->value));
  json_object_set_new(object, "adjoint", numbers_json(&n->adjoint));
  json_object_set_new(object, "operands", operands);
  return object;
}

static int put_graph_json(const trace *t) {
  cr_buffer dot = {.tape = t->tape};
  json_t *object = json_object(), *nodes = json_array();
  trace_dot(t, &dot);
  json_object_set_new(object, "dot", json_string(dot.text ? dot.text : ""));
  for (int i = 0; i < t->n_nodes; i++) json_array_append_new(nodes, node_json(t, &t->node[i]));
  json_object_set_new(object, "nodes", nodes);
  cr_buffer_free(&dot);
  return put_json(stdout, object);
}

static bool ends_in(const char *s, const char *end) {
  size_t n = s ? strlen(s) : 0, m = strlen(end);
  return n >= m && !strcmp(s + n - m, end);
}

/* Asked for by its option, or by the name of the file. */
static const char *picture_format(const context *c) {
  const char *path = given(c, OPT_OUTPUT);
  if (has(c, OPT_SVG) || ends_in(path, ".svg")) return "svg";
  if (has(c, OPT_PNG) || ends_in(path, ".png")) return "png";
  return NULL;
}

static int put_picture(const context *c, const trace *t, const char *format) {
  size_t length = 0;
  if (!strcmp(format, "png") && !has(c, OPT_OUTPUT) && isatty(1))
    return complain("a PNG is no text for a terminal: --output FILE.png");
  char *bytes = trace_picture(t, format, &length);
  if (!bytes) return complain("no picture: built without Graphviz, or out of memory; the DOT text is always there");
  bool good = write_bytes(c, bytes, length);
  free(bytes);
  return good ? STATUS_GOOD : STATUS_USAGE;
}

/* The operations as statements. */
static int put_text(context *c) {
  cr_results results;
  if (!run_source(c, &results)) return STATUS_USAGE;
  cr_buffer b = {.tape = c->tape};
  int status = STATUS_USAGE;
  if (cr_write_graph(&b, results.n, results.value) != CR_OK) complain("%s", cr_error_text(c->tape));
  else if (has(c, OPT_JSON)) status = put_json(stdout, json_pack("{s:s}", "text", b.text));
  else if (write_bytes(c, b.text, b.length)) status = STATUS_GOOD;
  cr_buffer_free(&b);
  return status;
}

int verb_graph(context *c) {
  const option_id of_stats = has(c, OPT_PASSES) ? OPT_PASSES : OPT_COMPILE;
  if (has(c, of_stats) && (!has(c, OPT_STATS) || has(c, OPT_TEXT)))
    return complain("--%s is for --stats alone", options[of_stats].name), STATUS_USAGE;
  if (has(c, OPT_TEXT)) return put_text(c);
  if (has(c, OPT_STATS)) return put_captured(c);
  trace *exact, *t = open_trace(c, &exact);
  if (!t) return STATUS_USAGE;
  const char *format = picture_format(c);
  cr_buffer dot = {.tape = t->tape};
  int status = STATUS_GOOD;
  if (has(c, OPT_JSON)) status = put_graph_json(t);
  else if (format) status = put_picture(c, t, format);
  else {
    trace_dot(t, &dot);
    if (dot.failed || !dot.text) status = complain_memory();
    else if (!write_bytes(c, dot.text, dot.length)) status = STATUS_USAGE;
  }
  cr_buffer_free(&dot);
  trace_free(exact);
  trace_free(t);
  return status;
}
