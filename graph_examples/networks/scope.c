/* Scopes: the names of layers, and the seeds that depend on them. */
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "model.h"

void cr_model_name_next(cr_model *m, const char *name) {
  if (!name) return;
  if (!*name || strpbrk(name, "/.") || strlen(name) >= sizeof m->next) {
    cr_fail(m->tape, CR_BAD_ARGUMENT, "'%.80s' is no name for a layer: 1 to %d bytes without . and /", name,
            (int)sizeof m->next - 1);
    return;
  }
  memcpy(m->next, name, strlen(name) + 1);
}

/* How many scopes of this kind there are now in the open one. */
static int count_kind(cr_model *m, const char *kind) {
  int first = m->scope[m->depth].n_kinds, k = first;
  while (k < m->n_kinds && strcmp(m->kind[k].name, kind)) k++;
  if (k == CR__KINDS) {
    cr_fail(m->tape, CR_OVER_LIMIT, "more than %d kinds of layers inside one another", CR__KINDS);
    return 0;
  }
  if (k == m->n_kinds) {
    snprintf(m->kind[k].name, sizeof m->kind[k].name, "%s", kind);
    m->kind[k].count = 0;
    m->n_kinds++;
  }
  return ++m->kind[k].count;
}

void cr_model_open(cr_model *m, const char *kind) {
  char name[80];
  if (cr_error(m->tape) != CR_OK) m->blamed = 1; /* an earlier failure is none of this layer's */
  if (++m->depth >= CR__DEPTH) {
    cr_fail(m->tape, CR_OVER_LIMIT, "layers nest more than %d deep", CR__DEPTH - 1);
    return;
  }
  m->depth--;
  if (m->next[0]) snprintf(name, sizeof name, "%s", m->next);
  else snprintf(name, sizeof name, "%.32s%d", kind, count_kind(m, kind));
  m->next[0] = 0;
  m->depth++;
  m->scope[m->depth] = (cr__scope){m->length, m->n_kinds, -1, 0};
  size_t room = sizeof m->prefix - m->length;
  int n = snprintf(m->prefix + m->length, room, "%s.", name);
  if ((size_t)n >= room) {
    m->prefix[m->length] = 0;
    cr_fail(m->tape, CR_OVER_LIMIT, "the name of layer %s%s is too long", m->prefix, name);
    return;
  }
  m->length += (size_t)n;
  cr__layer *layer = cr__new_layer(m, kind);
  if (layer) m->scope[m->depth].layer = (int)(layer - m->layer);
}

/* Puts the layer's name before the tape's error, once. */
static void blame(cr_model *m) {
  cr_tape *t = m->tape;
  char text[900];
  cr_status status = cr_error(t);
  if (m->blamed || status == CR_OK || !m->length) return;
  m->blamed = 1;
  snprintf(text, sizeof text, "%s", cr_error_text(t));
  char *site = strrchr(text, '['); /* cr_fail writes it again */
  size_t length = strlen(text);
  if (site && site > text && site[-1] == ' ' && text[length - 1] == ']') site[-1] = 0;
  cr_clear_error(t);
  cr_fail(t, status, "%.*s: %s", (int)m->length - 1, m->prefix, text);
}

void cr_model_close(cr_model *m, cr_var output) {
  if (m->depth < 1) return;
  if (m->depth < CR__DEPTH) {
    const cr__scope *s = &m->scope[m->depth];
    if (cr_is_poison(output)) blame(m);
    if (s->layer >= 0 && !cr_is_poison(output)) {
      cr__layer *layer = &m->layer[s->layer];
      cr_array a = cr_view(output);
      layer->output = output.id;
      layer->rank = a.rank;
      memcpy(layer->dim, a.dim, sizeof layer->dim);
    }
    m->length = s->length;
    m->prefix[m->length] = 0;
    m->n_kinds = s->n_kinds;
  }
  m->depth--;
}

static cr__draw next_draw(cr_model *m) {
  uint64_t *draws = &m->scope[m->depth < CR__DEPTH ? m->depth : 0].draws;
  return (cr__draw){XXH3_64bits(m->prefix, m->length), (*draws)++, cr_poison(m->tape)};
}

uint64_t cr__seed_of(const cr_model *m, const cr__draw *d) {
  uint64_t key[3] = {d->scope, m->step, d->number};
  return XXH3_64bits_withSeed(key, sizeof key, m->seed) >> 11; /* below 2^53, so that the language can write it */
}

/* As a number it would be the same one in every run of a captured pass. */
uint64_t cr_model_draw(cr_model *m) {
  cr__draw d = next_draw(m);
  if (cr_get(m->tape, CR_LAZY)) cr_fail(m->tape, CR_BAD_ARGUMENT, "cr_model_draw: to be captured, use cr_model_draw_leaf");
  return cr__seed_of(m, &d);
}

cr_var cr_model_draw_leaf(cr_model *m) {
  cr__draw d = next_draw(m);
  int64_t seed = (int64_t)cr__seed_of(m, &d);
  if (!cr__model_grow(&m->draw, &m->draws_capacity, m->n_draws, sizeof *m->draw)) return cr__model_full(m);
  d.leaf = cr_constant_of(m->tape, CR_INT64, 0, NULL, &seed);
  m->draw[m->n_draws++] = d;
  return d.leaf;
}
