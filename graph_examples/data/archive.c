/* Named arrays and notes in memory. */
#include <stdlib.h>
#include <string.h>

#include "readers.h"

/* Room for one more; lists grow at powers of two. */
static bool grow(void **list, int n, size_t size) {
  if (n & (n - 1)) return true;
  void *grown = realloc(*list, (n ? 2 * (size_t)n : 1) * size);
  if (grown) *list = grown;
  return grown != NULL;
}

cr_status cr_archive_add(cr_archive *a, const char *name, const cr_array *array, cr_problem *p) {
  if (cr_archive_find(a, name)) return cr_refuse(p, CR_BAD_ARGUMENT, "two arrays are called '%.100s'", name);
  void *list = a->entry;
  bool room = grow(&list, a->n, sizeof *a->entry);
  a->entry = list;
  if (!room) return cr__no_memory(p);
  cr_entry e = {.name = strdup(name)};
  if (!e.name) return cr__no_memory(p);
  cr_status status = cr_array_clone(&e.array, array, (cr_dtype)array->dtype, p);
  if (status != CR_OK) return free(e.name), status;
  a->entry[a->n++] = e;
  return CR_OK;
}

static cr_note *note_of(const cr_archive *a, const char *key) {
  for (int k = 0; k < a->n_notes; k++)
    if (!strcmp(a->note[k].key, key)) return &a->note[k];
  return NULL;
}

cr_status cr_archive_note(cr_archive *a, const char *key, const char *text, cr_problem *p) {
  cr_note *old = note_of(a, key), new = {old ? old->key : strdup(key), strdup(text)};
  void *list = a->note;
  bool room = old || grow(&list, a->n_notes, sizeof *a->note);
  a->note = list;
  if (!new.key || !new.text || !room) {
    if (!old) free(new.key);
    free(new.text);
    return cr__no_memory(p);
  }
  if (old) free(old->text);
  else old = &a->note[a->n_notes++];
  *old = new;
  return CR_OK;
}

const cr_array *cr_archive_find(const cr_archive *a, const char *name) {
  for (int k = 0; k < a->n; k++)
    if (!strcmp(a->entry[k].name, name)) return &a->entry[k].array;
  return NULL;
}

const char *cr_archive_text(const cr_archive *a, const char *key) {
  cr_note *note = note_of(a, key);
  return note ? note->text : NULL;
}

void cr_archive_free(cr_archive *a) {
  for (int k = 0; k < a->n; k++) {
    free(a->entry[k].name);
    cr_array_release(&a->entry[k].array);
  }
  for (int k = 0; k < a->n_notes; k++) {
    free(a->note[k].key);
    free(a->note[k].text);
  }
  free(a->entry);
  free(a->note);
  memset(a, 0, sizeof *a);
}
