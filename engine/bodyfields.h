/* Bodies as members of attributes. */
#ifndef CR_BODYFIELDS_H
#define CR_BODYFIELDS_H

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

#endif
