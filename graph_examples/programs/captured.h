/* The report of chainrule graph --stats. */
#ifndef CAPTURED_H
#define CAPTURED_H

#include "command.h"

/* Captures the source's results with their gradients and prints what that did; returns the exit status. */
int put_captured(context *c);
/* Compiles f, whose inputs have the numbers of x, and times runs before and after, in seconds; false after a complaint. */
typedef struct timing {
  char note[300];
  double replayed, compiled;
} timing;
bool time_compiled(cr_fn *f, int n, int m, const cr_var *x, timing *time);
/* Where compiled functions are kept; false after a complaint. */
bool cache_folder(char *folder, size_t size);

#endif
