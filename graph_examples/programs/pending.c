/* Verbs that are still being written. */
#include "command.h"
#define S(x) int verb_##x(context *c) { (void)c; return complain(#x " is still being written"); }
#ifndef HAVE_EXPLAIN
S(explain) S(graph) S(lesson)
#endif
