/* Bodies as members of attributes. */
#ifndef CR_BODYFIELDS_H
#define CR_BODYFIELDS_H

#include <stdbool.h>
#include <string.h>

#include "body.h"

/* The body in that field of a node's attributes; NULL: none, or the field is no body. */
static inline cr_body *cr__body_at(const void *attr, const cr_field *f) {
  cr_body *b = NULL;
  if (f->kind == CR_FIELD_BODY) memcpy(&b, (const char *)attr + f->at, sizeof b);
  return b;
}

/* A body for a graph that is given as text: recorded without values. The caller holds it. */
cr_body *cr__body_lazily(cr_tape *t, const char *what, cr_body_record record, void *user, int n, const cr_array *like,
                         int m);

/* Records on to what the m nodes after the first n of end need, with in for these n; in out what these m became. */
bool cr__copy_graph(const cr_tape *from, int n, int m, const uint32_t *end, cr_tape *to, const cr_var *in, cr_var *out);

/* The bodies that a tape keeps (shelf.h), made at the first call; NULL when memory runs out: it is done without. */
struct cr_shelf *cr__shelf_of(cr_tape *t);

#endif
