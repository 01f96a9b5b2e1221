/* The members emit and depend of ops with bodies. */
#ifndef CR_EMITBODIES_H
#define CR_EMITBODIES_H

#include "bodies.h"
#include "emit.h"

void cr__emit_branches(cr_emit_context *c);
void cr__emit_scan(cr_emit_context *c);
void cr__emit_root(cr_emit_context *c);

void cr__depend_branches(cr_depend *c);
void cr__depend_scan(cr_depend *c);
void cr__depend_root(cr_depend *c);

#endif
