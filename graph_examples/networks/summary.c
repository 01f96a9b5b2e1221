/* Reports on a model: its layers, its symmetries, how saturated its activations are. */
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "model.h"

/* Lines of the summary; texts are kept from pass to pass while they stay the same. */

static int set_text(char **to, const char *text, size_t length) {
  if (*to && strlen(*to) == length && !memcmp(*to, text, length)) return 1;
  char *copy = malloc(length + 1);
  if (!copy) return 0;
  memcpy(copy, text, length);
  copy[length] = 0;
  free(*to);
  *to = copy;
  return 1;
}

cr__layer *cr__new_layer(cr_model *m, const char *kind) {
  if (!cr__model_grow(&m->layer, &m->layers_capacity, m->n_layers, sizeof *m->layer)) return cr__model_full(m), NULL;
  cr__layer *l = &m->layer[m->n_layers];
  if (m->n_layers == m->layers_made) {
    *l = (cr__layer){.name = NULL};
    m->layers_made++;
  }
  if (!set_text(&l->name, m->prefix, m->length - 1) || !set_text(&l->kind, kind, strlen(kind)))
    return cr__model_full(m), NULL;
  l->depth = m->depth;
  l->size = l->output = 0;
  l->rank = 0;
  m->n_layers++;
  return l;
}

/* Growing text */

typedef struct text {
  char *at;
  size_t length, capacity;
  int failed;
} text;

static void put(text *x, const char *format, ...) {
  va_list args, again;
  va_start(args, format);
  va_copy(again, args);
  int n = vsnprintf(NULL, 0, format, again);
  va_end(again);
  if (n >= 0 && !x->failed && x->length + (size_t)n + 1 > x->capacity) {
    size_t capacity = 2 * (x->length + (size_t)n + 64);
    char *more = realloc(x->at, capacity);
    x->failed = !more;
    if (more) x->at = more, x->capacity = capacity;
  }
  if (n >= 0 && !x->failed) x->length += (size_t)vsnprintf(x->at + x->length, x->capacity - x->length, format, args);
  va_end(args);
}

static char *finished(text *x) {
  if (!x->failed && x->at) return x->at;
  free(x->at);
  return NULL;
}

static const char *output_text(const cr__layer *l, char *buffer, size_t size) {
  cr_array a;
  if (!l->output) return "";
  cr_array_init(&a, CR_FLOAT64, l->rank, l->dim);
  return cr_shape_text(&a, buffer, size);
}

char *cr_model_summary(const cr_model *m) {
  text x = {0};
  char shape[200];
  int wide = 5, tall = 6;
  for (int k = 0; k < m->n_layers; k++) {
    int name = (int)strlen(m->layer[k].name), output = (int)strlen(output_text(&m->layer[k], shape, sizeof shape));
    wide = name > wide ? name : wide;
    tall = output > tall ? output : tall;
  }
  put(&x, "%-*s  %-15s  %-*s  %12s\n", wide, "layer", "kind", tall, "output", "parameters");
  for (int k = 0; k < m->n_layers; k++) {
    const cr__layer *l = &m->layer[k];
    put(&x, "%-*s  %-15s  %-*s  %12" PRId64 "\n", wide, l->name, l->kind, tall, output_text(l, shape, sizeof shape),
        l->size);
  }
  put(&x, "%-*s  %-15s  %-*s  %12" PRId64 "\n", wide, "total", "", tall, "", cr_model_size(m));
  return finished(&x);
}

/* Symmetry */

/* The numbers that go into a unit of a weight, or out of it into units of the next: every STEP-th block of RUN numbers from
 * START. */
typedef struct strand {
  int64_t start, run, step, n;
} strand;

static strand incoming(const cr_array *w, int64_t unit) {
  int64_t units = w->rank > 2 ? w->dim[0] : w->dim[1], each = w->count / units;
  return w->rank > 2 ? (strand){unit * each, each, each, 1} : (strand){unit, 1, units, each};
}

/* Into the next weight, whose inputs are these units, each perhaps as a block (a channel's pixels). */
static strand outgoing(const cr_array *w, int64_t unit, int64_t units) {
  int64_t in = w->rank > 2 ? w->dim[1] : w->dim[0], block = in / units,
          behind = w->rank > 2 ? w->count / (w->dim[0] * in) : w->dim[1];
  return (strand){unit * block * behind, block * behind, in * behind, w->rank > 2 ? w->dim[0] : 1};
}

static int alike(const cr_array *w, strand a, strand b) {
  for (int64_t i = 0; i < a.n; i++)
    for (int64_t k = 0; k < a.run; k++)
      if (cr_array_get(w, a.start + i * a.step + k) != cr_array_get(w, b.start + i * b.step + k)) return 0;
  return 1;
}

static int is_layer_weight(const cr_parameter *p) {
  const char *dot = strrchr(p->name, '.');
  return p->trainable && p->value.rank > 1 && p->value.count && dot && !strcmp(dot, ".weight");
}

/* The first pair of units that nothing tells apart; 0: none. bias may be NULL. */
static int same_pair(const cr_parameter *p, const cr_parameter *bias, const cr_parameter *next, int64_t pair[2]) {
  const cr_array *w = &p->value;
  int64_t units = w->rank > 2 ? w->dim[0] : w->dim[1];
  for (int64_t i = 0; i < units; i++)
    for (int64_t j = i + 1; j < units; j++) {
      if (!alike(w, incoming(w, i), incoming(w, j))) continue;
      if (bias && cr_array_get(&bias->value, i) != cr_array_get(&bias->value, j)) continue;
      if (!alike(&next->value, outgoing(&next->value, i, units), outgoing(&next->value, j, units))) continue;
      pair[0] = i + 1, pair[1] = j + 1;
      return 1;
    }
  return 0;
}

static const cr_parameter *bias_of(const cr_model *m, int k, int64_t units) {
  const cr_parameter *p = cr_model_parameter(m, k), *bias = cr_model_parameter(m, k + 1);
  size_t scope = (size_t)(strrchr(p->name, '.') - p->name) + 1;
  return bias && !strncmp(p->name, bias->name, scope) && !strcmp(bias->name + scope, "bias") && bias->value.count == units
           ? bias
           : NULL;
}

char *cr_model_symmetry(const cr_model *m) {
  text x = {0};
  for (int k = 0; k < m->n_slots; k++) {
    const cr_parameter *p = cr_model_parameter(m, k), *next = NULL;
    if (!is_layer_weight(p)) continue;
    for (int j = k + 1; j < m->n_slots && !next; j++)
      if (is_layer_weight(cr_model_parameter(m, j))) next = cr_model_parameter(m, j);
    int64_t units = p->value.rank > 2 ? p->value.dim[0] : p->value.dim[1], pair[2];
    int64_t in = next ? (next->value.rank > 2 ? next->value.dim[1] : next->value.dim[0]) : 0;
    if (!next || in % units || !same_pair(p, bias_of(m, k, units), next, pair)) continue;
    put(&x, "%.*s: units %" PRId64 " and %" PRId64 " have identical weights and inputs, and will stay so\n",
        (int)(strrchr(p->name, '.') - p->name), p->name, pair[0], pair[1]);
  }
  return finished(&x);
}

/* Saturation */

static int is_activation(const cr_op *op) {
  static const char *const names[] = {"relu",       "sigmoid",  "tanh",       "silu",      "gelu",
                                      "quick_gelu", "log1pexp", "logsigmoid", "tanhshrink"};
  for (size_t k = 0; op && k < sizeof names / sizeof *names; k++)
    if (!strcmp(names[k], op->name)) return op->row != NULL && op->row->partial[0] != NULL;
  return 0;
}

/* The innermost layer whose output is the node, else the one finished last before it. */
static const char *layer_of(const cr_model *m, uint32_t id) {
  const cr__layer *best = NULL;
  for (int k = 0; k < m->n_layers; k++) {
    const cr__layer *l = &m->layer[k];
    if (l->output && l->output <= id && (!best || l->output >= best->output)) best = l;
  }
  return best ? best->name : "the input";
}

int cr_model_saturation(cr_model *m, int room, cr_saturation *out) {
  cr_tape *t = m->tape;
  int n = 0;
  for (uint32_t id = m->mark.nodes; id < cr_node_count(t); id++) {
    cr_var v = cr_node_at(t, id);
    const cr_op *op = cr_op_of(v);
    if (!is_activation(op) || cr_dtype_of(v) < CR_FLOAT32 || cr_rank(v) == 0) continue;
    if (n++ >= room) continue;
    cr_array x = cr_view(cr_operand(v, 0)), y = cr_view(v);
    double flat = 0, sum = 0;
    for (int64_t k = 0; k < y.count; k++) {
      double slope = fabs(op->row->partial[0](cr_array_get(&x, k), 0, cr_array_get(&y, k)));
      sum += slope;
      flat += slope < 1e-3;
    }
    cr_saturation *s = &out[n - 1];
    snprintf(s->name, sizeof s->name, "%.24s of %.34s", op->name, layer_of(m, cr_operand(v, 0).id));
    s->share = y.count ? flat / (double)y.count : 0;
    s->mean_slope = y.count ? sum / (double)y.count : 0;
  }
  return n;
}
