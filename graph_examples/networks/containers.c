/* Containers and networks: source text that is parsed once and evaluated in every pass. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"

#define INPUT "_input" /* the variable that a list of layers begins with */

void cr__free_sources(cr_model *m) {
  for (int k = 0; k < m->n_sources; k++) free(m->source[k].text);
  free(m->source);
}

static cr_syntax *parse(cr_model *m, const char *text, size_t length) {
  cr_syntax_error error;
  cr_syntax *tree = cr_parse(m->texts, text, length, &error);
  if (!tree) cr_fail(m->tape, error.status, "line %u, column %u: %s", error.line, error.column, error.message);
  return tree;
}

static const cr_syntax *last_of(const cr_syntax *first) {
  while (first && first->next) first = first->next;
  return first;
}

/* A source whose last statement is an assignment gets the name assigned as its value. */
static const char *name_assigned(const cr_syntax *block) {
  const cr_syntax *last = last_of(block->first);
  if (!last || last->kind != CR_ASSIGN) return NULL;
  return last->first->kind == CR_NAME ? last->first->text : last_of(last->first->first)->text;
}

static cr_syntax *parse_network(cr_model *m, const char *text) {
  cr_syntax *tree = parse(m, text, strlen(text));
  const char *name = tree ? name_assigned(tree) : NULL;
  if (!name) return tree;
  cr_buffer b = {.tape = m->texts};
  cr_put(&b, "%s\n%s", text, name);
  tree = b.failed ? NULL : parse(m, b.text, b.length);
  if (b.failed) cr__model_full(m);
  cr_buffer_free(&b);
  return tree;
}

enum { MOST_LAYERS = 200 };

/* The items of a list of layers, each a name or a call; how many, or -1 after recording what is wrong. */
static int items_of(cr_model *m, const cr_syntax *tree, const char *text, const cr_syntax **item) {
  const cr_syntax *list = tree->first;
  bool fits = list && list->kind == CR_LIST && !list->next;
  int n = 0;
  for (const cr_syntax *k = fits ? list->first : NULL; k && fits; k = k->next) {
    fits = n < MOST_LAYERS && (k->kind == CR_NAME || k->kind == CR_CALL);
    if (fits) item[n++] = k;
  }
  if (fits) return n;
  cr_fail(m->tape, CR_BAD_SYNTAX, "layers '%.200s': expected at most %d names or calls, as in 'dense(64), relu'", text,
          MOST_LAYERS);
  return -1;
}

/* "dense(64), relu" as relu(dense(_input, 64)). */
static cr_syntax *parse_layers(cr_model *m, const char *text) {
  const cr_syntax *item[MOST_LAYERS];
  cr_buffer list = {.tape = m->texts}, nested = {.tape = m->texts};
  cr_put(&list, "[%s\n]", text);
  const cr_syntax *tree = list.failed ? NULL : parse(m, list.text, list.length);
  int n = tree ? items_of(m, tree, text, item) : -1;
  for (int k = n; k-- > 0;) cr_put(&nested, "%s(", item[k]->text);
  cr_put(&nested, INPUT);
  for (int k = 0; k < n; k++) {
    const char *call = list.text + item[k]->at, *arguments = strchr(call, '(') + 1;
    if (item[k]->kind == CR_CALL && item[k]->first)
      cr_put(&nested, ", %.*s", (int)(call + item[k]->length - arguments), arguments);
    else cr_put(&nested, ")");
  }
  if (list.failed || nested.failed) cr__model_full(m);
  cr_syntax *chain = n >= 0 && !nested.failed ? parse(m, nested.text, nested.length) : NULL;
  cr_buffer_free(&nested);
  cr_buffer_free(&list);
  return chain;
}

static cr_syntax *tree_of(cr_model *m, const char *text, int list) {
  for (int k = 0; k < m->n_sources; k++)
    if (m->source[k].list == list && !strcmp(m->source[k].text, text)) return m->source[k].tree;
  cr_syntax *tree = list ? parse_layers(m, text) : parse_network(m, text);
  char *copy = tree ? cr__model_text(text) : NULL;
  if (copy && cr__model_grow(&m->source, &m->sources_capacity, m->n_sources, sizeof *m->source)) {
    m->source[m->n_sources++] = (cr__source){copy, list, tree};
    return tree;
  }
  free(copy);
  if (tree) cr__model_full(m);
  return NULL;
}

cr_var cr_model_evaluate(cr_model *m, const char *source) {
  cr_results results;
  int known = m->n_sources;
  cr_syntax *tree = cr_error(m->tape) == CR_OK ? tree_of(m, source, 0) : NULL;
  if (!tree) return cr_poison(m->tape);
  if (known == m->n_sources) return cr_program_eval(m->program, tree);
  /* The first time from the text, for messages that know line and column. */
  cr_status status = cr_program_run(m->program, source, strlen(source), &results, NULL);
  if (status != CR_OK) return cr_poison(m->tape);
  if (results.n == 1) return results.value[0];
  const cr_syntax *last = last_of(tree->first);
  if (last && last->kind == CR_NAME) return cr_program_value(m->program, last->text);
  return cr_fail(m->tape, CR_BAD_ARGUMENT, "a network has one value, this has %d", results.n);
}

cr_var cr_network(cr_model *m, cr_var x, const char *source) {
  if (cr_is_poison(x)) return x;
  cr_program_bind(m->program, "x", x);
  return cr_model_evaluate(m, source);
}

cr_var cr_sequential(cr_model *m, cr_var x, const char *layers) {
  cr_syntax *tree = cr_is_poison(x) || cr_error(m->tape) != CR_OK ? NULL : tree_of(m, layers, 1);
  if (!tree) return cr_poison(m->tape);
  cr_program_bind(m->program, INPUT, x);
  return cr_program_eval(m->program, tree);
}

static cr_var residual(cr_model *m, cr_var x, const char *layers) {
  char have[200], need[200];
  cr_var y = cr_sequential(m, x, layers);
  if (cr_is_poison(y)) return y;
  cr_array a = cr_view(x), b = cr_view(y);
  bool same = a.rank == b.rank;
  for (int i = 0; same && i < a.rank; i++) same = a.dim[i] == b.dim[i];
  if (same) return cr_add(x, y);
  return cr_fail(m->tape, CR_BAD_SHAPE, "the layers '%.200s' turn shape %s into %s; to be added they must keep it", layers,
                 cr_shape_text(&a, have, sizeof have), cr_shape_text(&b, need, sizeof need));
}

cr_var cr_residual(cr_model *m, cr_var x, const char *layers) {
  cr_model_open(m, "residual");
  cr_var y = residual(m, x, layers);
  cr_model_close(m, y);
  return y;
}
