/* Solving, factorising, determinants. */
#include "ops.h"

const cr_function cr__linalg_functions[] = {{.signature = NULL}};
