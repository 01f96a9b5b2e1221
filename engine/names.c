/* Names of nodes: a list in order of naming, found by id and by name through two hash tables. */
#include <xxhash.h>

#include "internal.h"

static uint32_t *id_place(const cr_tape *t, uint32_t id) {
  uint32_t mask = t->name_hash_size - 1, h = (uint32_t)(id * 0x9E3779B1u) & mask;
  while (t->name_of_id[h] && t->name[t->name_of_id[h] - 1].id != id) h = (h + 1) & mask;
  return &t->name_of_id[h];
}

static uint32_t *name_place(const cr_tape *t, const char *name) {
  uint32_t mask = t->name_hash_size - 1, h = (uint32_t)XXH3_64bits(name, strlen(name)) & mask;
  while (t->id_of_name[h] && strcmp(t->name[t->id_of_name[h] - 1].name, name)) h = (h + 1) & mask;
  return &t->id_of_name[h];
}

/* A later entry wins in both tables: the newest name of a node, the newest node of a name. */
static void index_entry(cr_tape *t, uint32_t k) {
  *id_place(t, t->name[k].id) = k + 1;
  *name_place(t, t->name[k].name) = k + 1;
}

static void rebuild(cr_tape *t) {
  if (!t->name_hash_size) return;
  memset(t->name_of_id, 0, t->name_hash_size * sizeof *t->name_of_id);
  memset(t->id_of_name, 0, t->name_hash_size * sizeof *t->id_of_name);
  for (uint32_t k = 0; k < t->n_names; k++) index_entry(t, k);
}

static bool grow(cr_tape *t) {
  uint32_t old = t->names_capacity, capacity = old ? 2 * old : 32;
  size_t hash_bytes = (size_t)t->name_hash_size * sizeof(uint32_t), bytes = 2 * (size_t)capacity * sizeof(uint32_t);
  uint32_t *by_id = cr__resize_on(t, NULL, 0, bytes), *by_name = cr__resize_on(t, NULL, 0, bytes);
  cr_name_entry *name = by_id && by_name ? cr__resize_on(t, t->name, old * sizeof *name, capacity * sizeof *name) : NULL;
  if (!name) {
    cr__resize(&t->counted, by_id, by_id ? bytes : 0, 0);
    cr__resize(&t->counted, by_name, by_name ? bytes : 0, 0);
    return false;
  }
  cr__resize(&t->counted, t->name_of_id, hash_bytes, 0);
  cr__resize(&t->counted, t->id_of_name, hash_bytes, 0);
  t->name = name, t->names_capacity = capacity;
  t->name_of_id = by_id, t->id_of_name = by_name, t->name_hash_size = 2 * capacity;
  rebuild(t);
  return true;
}

cr_var cr_name(cr_var v, const char *name) {
  cr_tape *t = v.tape;
  if (!t || !cr__valid(t, v) || !v.id) return v;
  if (t->n_names == t->names_capacity && !grow(t)) return v;
  char *copy = cr__arena_text(&t->arena, name, strlen(name));
  if (!copy) {
    cr__out_of_memory(t);
    return v;
  }
  t->name[t->n_names] = (cr_name_entry){copy, v.id};
  index_entry(t, t->n_names++);
  return v;
}

const char *cr_name_of(cr_var v) {
  cr_tape *t = v.tape;
  if (!t || !t->n_names || v.id >= t->count) return NULL;
  uint32_t k = *id_place(t, v.id);
  return k ? t->name[k - 1].name : NULL;
}

cr_var cr_find(cr_tape *t, const char *name) {
  if (!t->n_names) return cr_poison(t);
  uint32_t k = *name_place(t, name);
  return k ? cr__handle(t, t->name[k - 1].id) : cr_poison(t);
}

/* Names given after the mark are gone too, even those of older nodes: their text lies in memory that is given back. */
void cr__names_drop(cr_tape *t, uint32_t kept) {
  if (kept >= t->n_names) return;
  t->n_names = kept;
  rebuild(t);
}

void cr__names_free(cr_tape *t) {
  size_t bytes = t->name_hash_size * sizeof(uint32_t);
  cr__resize(&t->counted, t->name, t->names_capacity * sizeof *t->name, 0);
  cr__resize(&t->counted, t->name_of_id, bytes, 0);
  cr__resize(&t->counted, t->id_of_name, bytes, 0);
}
