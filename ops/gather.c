/* Indexing: gather, scatter and their relatives. */
#include "ops.h"

const cr_function cr__gather_functions[] = {{.signature = NULL}};
