/* Sorting and order statistics. */
#include "ops.h"

const cr_function cr__sort_functions[] = {{.signature = NULL}};
