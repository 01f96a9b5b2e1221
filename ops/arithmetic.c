/* Elementwise functions with options, as formulas: add(alpha), div(rounding_mode), lerp, ... */
#include "ops.h"

const cr_function cr__arithmetic_functions[] = {{.signature = NULL}};
