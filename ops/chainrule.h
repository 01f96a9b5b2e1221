/* chainrule: reverse-mode automatic differentiation on a tape. engine.h is the manual, ops.h the operations, formula.h the
 * expression language, check.h verification; sites.h makes error messages name the caller's line. */
#ifndef CHAINRULE_H
#define CHAINRULE_H

#include "check.h"
#include "engine.h"
#include "formula.h"
#include "function.h"
#include "op.h"
#include "ops.h"
#include "sites.h"

#endif
