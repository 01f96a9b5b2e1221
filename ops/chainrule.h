/* chainrule: reverse-mode automatic differentiation on a tape. engine.h is the manual, ops.h the operations, formula.h the
 * expression language, check.h verification, function.h captured functions, jit.h the same compiled, sparse.h sparse
 * derivatives, emit.h C source; sites.h makes error messages name the caller's line. */
#ifndef CHAINRULE_H
#define CHAINRULE_H

#include "check.h"
#include "emit.h"
#include "engine.h"
#include "formula.h"
#include "function.h"
#include "jit.h"
#include "op.h"
#include "ops.h"
#include "sites.h"
#include "sparse.h"

#endif
