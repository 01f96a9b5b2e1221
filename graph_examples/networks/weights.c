/* The values of a model, written to archives and read back, and their hash. Names of parameters hold no slash: entries that
 * do, such as optimizer/t, belong to others. */
#define XXH_STATIC_LINKING_ONLY /* the state on the stack */
#include <string.h>
#include <xxhash.h>

#include "model.h"

cr_status cr_model_save(const cr_model *m, cr_archive *into, cr_problem *p) {
  for (int k = 0; k < m->n_slots; k++) {
    const cr_parameter *q = &m->slot[k]->parameter;
    cr_status status = cr_archive_add(into, q->name, &q->value, p);
    if (status != CR_OK) return status;
  }
  return CR_OK;
}

static cr_status check_entry(const cr_parameter *q, const cr_array *a, cr_problem *p) {
  char have[200], need[200];
  if (!a) return cr_refuse(p, CR_UNKNOWN_NAME, "there is no entry for parameter %s", q->name);
  bool same = a->rank == q->value.rank && a->dtype >= CR_FLOAT32;
  for (int i = 0; same && i < a->rank; i++) same = a->dim[i] == q->value.dim[i];
  if (same) return CR_OK;
  return cr_refuse(p, CR_BAD_SHAPE, "parameter %s is %s %s, but the entry is %s %s", q->name,
                   cr_dtype_name((cr_dtype)q->value.dtype), cr_shape_text(&q->value, need, sizeof need),
                   cr_dtype_name((cr_dtype)a->dtype), cr_shape_text(a, have, sizeof have));
}

/* All is checked before anything is changed. */
cr_status cr_model_load(cr_model *m, const cr_archive *from, cr_problem *p) {
  cr_status status = CR_OK;
  if (!m->n_slots) return cr_refuse(p, CR_BAD_ARGUMENT, "the model has no parameters yet: they are made by its first pass");
  for (int k = 0; k < m->n_slots && status == CR_OK; k++)
    status = check_entry(&m->slot[k]->parameter, cr_archive_find(from, m->slot[k]->parameter.name), p);
  for (int k = 0; k < from->n && status == CR_OK; k++)
    if (!strchr(from->entry[k].name, '/') && !cr_model_find(m, from->entry[k].name))
      status = cr_refuse(p, CR_UNKNOWN_NAME, "the model has no parameter %.200s", from->entry[k].name);
  for (int k = 0; k < m->n_slots && status == CR_OK; k++)
    cr_array_copy(&m->slot[k]->parameter.value, cr_archive_find(from, m->slot[k]->parameter.name));
  return status;
}

uint64_t cr_model_hash(const cr_model *m) {
  XXH3_state_t state;
  XXH3_64bits_reset(&state);
  for (int k = 0; k < m->n_slots; k++) {
    const cr_parameter *p = &m->slot[k]->parameter;
    XXH3_64bits_update(&state, p->name, strlen(p->name) + 1);
    XXH3_64bits_update(&state, &p->value.dtype, sizeof p->value.dtype);
    XXH3_64bits_update(&state, p->value.dim, p->value.rank * sizeof *p->value.dim);
    XXH3_64bits_update(&state, p->value.data, (size_t)p->value.count * cr_dtype_size((cr_dtype)p->value.dtype));
  }
  return XXH3_64bits_digest(&state);
}
