/* Special functions: formulas over the elementwise ops. */
#include "ops.h"

const cr_function cr__special_functions[] = {{.signature = NULL}};
