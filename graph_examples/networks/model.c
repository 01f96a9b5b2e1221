/* Models: parameters in memory of their own, which every recording finds again by name. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"

/* Memory */

char *cr__model_text(const char *text) {
  size_t size = strlen(text) + 1;
  char *copy = malloc(size);
  return copy ? memcpy(copy, text, size) : NULL;
}

int cr__model_grow(void *array, int *capacity, int n, size_t size) {
  void *p;
  if (n < *capacity) return 1;
  int more = *capacity ? 2 * *capacity : 16;
  memcpy(&p, array, sizeof p);
  p = realloc(p, (size_t)more * size);
  if (!p) return 0;
  memcpy(array, &p, sizeof p);
  *capacity = more;
  return 1;
}

cr_var cr__model_full(cr_model *m) { return cr_fail(m->tape, CR_NO_MEMORY, "out of memory for the model"); }

/* Life */

cr_model *cr_model_new(cr_tape *t, cr_dtype dtype, uint64_t seed) {
  cr_model *m = calloc(1, sizeof *m);
  if (!m) return NULL;
  m->tape = t;
  m->dtype = dtype;
  m->seed = seed;
  m->pass = 1;
  if (dtype != CR_FLOAT32 && dtype != CR_FLOAT64)
    cr_fail(t, CR_BAD_DTYPE, "a model's parameters are float32 or float64, not %s", cr_dtype_name(dtype));
  m->texts = cr_new();
  m->program = cr_program_new(t, dtype);
  if (!m->texts || !m->program || cr_define_losses(t) != CR_OK || cr__define_layers(m) != CR_OK) {
    cr_model_free(m);
    return NULL;
  }
  m->mark = cr_mark_here(t);
  m->training = 1;
  m->scope[0] = (cr__scope){.layer = -1};
  return m;
}

static void free_slot(cr__slot *s) {
  cr_array_release(&s->parameter.value);
  free(s->parameter.name);
  free(s->parameter.initializer);
  free(s);
}

void cr_model_free(cr_model *m) {
  if (!m) return;
  for (int k = 0; k < m->n_slots; k++) free_slot(m->slot[k]);
  for (int k = 0; k < m->layers_made; k++) {
    free(m->layer[k].name);
    free(m->layer[k].kind);
  }
  cr__free_sources(m);
  if (m->texts) cr_free(m->texts);
  free(m->layer);
  free(m->slot);
  free(m->initializer);
  free(m->draw);
  free(m->word);
  free(m);
}

cr_tape *cr_model_tape(const cr_model *m) { return m->tape; }
cr_dtype cr_model_dtype(const cr_model *m) { return m->dtype; }
uint64_t cr_model_seed(const cr_model *m) { return m->seed; }
cr_program *cr_model_program(cr_model *m) { return m->program; }
int cr_model_is_training(const cr_model *m) { return m->training; }
void cr_model_decay_all(cr_model *m, int all) { m->decay_all = all; }
void cr_model_set_step(cr_model *m, uint64_t step) { m->step = step; }
uint64_t cr_model_step(const cr_model *m) { return m->step; }

void cr_model_begin(cr_model *m, int training) {
  cr_reset(m->tape, m->mark);
  m->pass++;
  m->training = training;
  m->cursor = m->depth = m->n_kinds = m->n_layers = m->n_draws = m->blamed = 0;
  m->length = 0;
  m->next[0] = 0;
  m->scope[0] = (cr__scope){.layer = -1};
  for (int k = 0; k < m->n_slots; k++) {
    m->slot[k]->next = cr_poison(m->tape);
    m->slot[k]->parameter.gradient.data = NULL;
  }
}

/* Parameters */

int cr_model_count(const cr_model *m) { return m->n_slots; }
cr_parameter *cr_model_parameter(const cr_model *m, int k) {
  return k >= 0 && k < m->n_slots ? &m->slot[k]->parameter : NULL;
}

static int place_of(const cr_model *m, const char *name) {
  if (m->cursor < m->n_slots && !strcmp(m->slot[m->cursor]->parameter.name, name)) return m->cursor;
  for (int k = 0; k < m->n_slots; k++)
    if (!strcmp(m->slot[k]->parameter.name, name)) return k;
  return -1;
}

cr_parameter *cr_model_find(const cr_model *m, const char *name) { return cr_model_parameter(m, place_of(m, name)); }

int64_t cr_model_size(const cr_model *m) {
  int64_t size = 0;
  for (int k = 0; k < m->n_slots; k++)
    if (m->slot[k]->parameter.trainable) size += m->slot[k]->parameter.value.count;
  return size;
}

cr_var cr_model_leaf(cr_model *m, int k) {
  return k >= 0 && k < m->n_slots && m->slot[k]->pass == m->pass ? m->slot[k]->leaf : cr_poison(m->tape);
}

/* What a layer asks for. */
typedef struct request {
  const char *name, *initializer;
  int rank;
  const int64_t *dims;
  double value;             /* without an initialiser */
  int trainable, decays;
} request;

/* A kernel of rank 3 and more is (out, in, ...), a matrix (in, out); a vector counts its elements. */
static void set_fans(cr_parameter *p) {
  int64_t window = 1;
  const int64_t *dim = p->value.dim;
  for (int i = 2; i < p->value.rank; i++) window *= dim[i];
  int kernel = p->value.rank > 2, matrix = p->value.rank > 1;
  p->fan_in = (matrix ? dim[kernel] : p->value.count) * window;
  p->fan_out = (matrix ? dim[!kernel] : p->value.count) * window;
}

static cr_status fill(cr_model *m, cr_parameter *p, const request *r) {
  if (r->initializer) return cr__initialize(m, p, m->initializer ? m->initializer : r->initializer);
  for (int64_t k = 0; k < p->value.count; k++) cr_array_set(&p->value, k, r->value);
  return CR_OK;
}

static cr__slot *new_slot(cr_model *m, const char *name, const request *r) {
  cr_problem problem = {.status = CR_OK};
  if (!cr__model_grow(&m->slot, &m->slots_capacity, m->n_slots, sizeof *m->slot)) return cr__model_full(m), NULL;
  cr__slot *s = calloc(1, sizeof *s);
  if (!s) return cr__model_full(m), NULL;
  cr_parameter *p = &s->parameter;
  const char *initializer = r->initializer && m->initializer ? m->initializer : r->initializer;
  p->name = cr__model_text(name);
  p->initializer = cr__model_text(initializer ? initializer : "constant");
  p->trainable = r->trainable;
  p->decays = r->decays || (r->trainable && m->decay_all);
  if (!p->name || !p->initializer) cr__model_full(m);
  else if (cr_array_make(&p->value, m->dtype, r->rank, r->dims, &problem) != CR_OK)
    cr_fail(m->tape, problem.status, "%s: %s", name, problem.text);
  if (cr_error(m->tape) == CR_OK) {
    set_fans(p);
    if (fill(m, p, r) == CR_OK) return m->slot[m->n_slots++] = s;
  }
  free_slot(s);
  return NULL;
}

static int same_shape(const cr_array *a, int rank, const int64_t *dims) {
  if (a->rank != rank) return 0;
  for (int i = 0; i < rank; i++)
    if (a->dim[i] != dims[i]) return 0;
  return 1;
}

static cr_var other_shape(cr_model *m, const cr_parameter *p, const request *r) {
  char have[200], want[200];
  cr_array asked;
  cr_array_init(&asked, m->dtype, r->rank, r->dims);
  return cr_fail(m->tape, CR_BAD_SHAPE, "parameter %s has shape %s since the first pass, but this pass asks for %s", p->name,
                 cr_shape_text(&p->value, have, sizeof have), cr_shape_text(&asked, want, sizeof want));
}

static void bind(cr_model *m, cr__slot *s) {
  const cr_array *a = &s->parameter.value;
  if (s->parameter.trainable) {
    s->leaf = cr_name(cr_tensor_over(m->tape, m->dtype, a->rank, a->dim, a->data), s->parameter.name);
    int layer = m->depth < CR__DEPTH ? m->scope[m->depth].layer : -1;
    if (layer >= 0) m->layer[layer].size += a->count;
  } else {
    s->leaf = cr_name(cr_constant_of(m->tape, m->dtype, a->rank, a->dim, a->data), s->parameter.name);
  }
  s->pass = m->pass;
}

static cr_var find_or_make(cr_model *m, const request *r) {
  char name[CR__NAME];
  if (cr_error(m->tape) != CR_OK) return cr_poison(m->tape);
  if (snprintf(name, sizeof name, "%s%s", m->prefix, r->name) >= (int)sizeof name)
    return cr_fail(m->tape, CR_OVER_LIMIT, "the name of parameter %s%s is longer than %d bytes", m->prefix, r->name,
                   CR__NAME - 1);
  int at = place_of(m, name);
  if (at >= 0 && !same_shape(&m->slot[at]->parameter.value, r->rank, r->dims))
    return other_shape(m, &m->slot[at]->parameter, r);
  cr__slot *s = at < 0 ? new_slot(m, name, r) : m->slot[at];
  if (!s) return cr_poison(m->tape);
  m->cursor = (at < 0 ? m->n_slots - 1 : at) + 1;
  if (s->pass != m->pass) bind(m, s);
  return s->leaf;
}

cr_var cr_model_weight(cr_model *m, const char *name, int rank, const int64_t *dims, const char *initializer) {
  return find_or_make(m, &(request){name, initializer ? initializer : "glorot", rank, dims, 0, 1, 1});
}
cr_var cr_model_bias(cr_model *m, const char *name, int64_t n, double value) {
  return find_or_make(m, &(request){name, NULL, 1, &n, value, 1, 0});
}
cr_var cr_model_buffer(cr_model *m, const char *name, int64_t n, double value) {
  return find_or_make(m, &(request){name, NULL, 1, &n, value, 0, 0});
}

void cr_model_set_buffer(cr_model *m, const char *name, cr_var value) {
  char full[CR__NAME];
  snprintf(full, sizeof full, "%s%s", m->prefix, name);
  int at = place_of(m, full);
  if (at < 0 || cr_is_poison(value)) return;
  if (cr_count(value) == m->slot[at]->parameter.value.count) m->slot[at]->next = value;
  else
    cr_fail(m->tape, CR_BAD_SHAPE, "buffer %s has %lld numbers, not %lld", full,
            (long long)m->slot[at]->parameter.value.count, (long long)cr_count(value));
}

void cr_model_commit(cr_model *m) {
  for (int k = 0; k < m->n_slots; k++) {
    cr__slot *s = m->slot[k];
    if (cr_is_poison(s->next) || !s->next.tape) continue;
    cr_array from = cr_view(s->next);
    for (int64_t i = 0; i < from.count; i++) cr_array_set(&s->parameter.value, i, cr_array_get(&from, i));
    s->next = cr_poison(m->tape);
  }
}

static int overlap(const cr_array *a, const cr_array *b) {
  const char *p = a->data, *q = b->data;
  size_t size = cr_dtype_size((cr_dtype)a->dtype);
  return p && q && p < q + (size_t)b->count * size && q < p + (size_t)a->count * size;
}

/* Where the derivative of a sum is the same for its terms, so is its memory; but each gradient may be clipped in place. */
static void part_from_others(cr_model *m, int k) {
  cr_array *g = &m->slot[k]->parameter.gradient;
  for (int j = 0; j < k; j++) {
    if (!overlap(g, &m->slot[j]->parameter.gradient)) continue;
    cr_var copy = cr_constant_of(m->tape, (cr_dtype)g->dtype, g->rank, g->dim, g->data);
    *g = cr_is_poison(copy) ? (cr_array){0} : cr_view(copy);
    return;
  }
}

cr_status cr_model_backward(cr_model *m, cr_var loss) {
  cr_tape *t = m->tape;
  if (cr_error(t) != CR_OK) return cr_error(t);
  if (!cr_is_poison(loss) && cr_count(loss) != 1) {
    char shape[200];
    cr_array a = cr_view(loss);
    cr_fail(t, CR_BAD_SHAPE, "the loss to minimise is one number, not a tensor of shape %s",
            cr_shape_text(&a, shape, sizeof shape));
    return CR_BAD_SHAPE;
  }
  cr_sweep *sweep = cr_backward(loss);
  for (int k = 0; k < m->n_slots; k++) {
    cr__slot *s = m->slot[k];
    int used = sweep && s->pass == m->pass && s->parameter.trainable;
    s->parameter.gradient = used ? cr_adjoint_view(sweep, s->leaf) : (cr_array){0};
    part_from_others(m, k);
  }
  return cr_error(t);
}
