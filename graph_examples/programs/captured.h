/* The report of chainrule graph --stats. */
#ifndef CAPTURED_H
#define CAPTURED_H

#include "command.h"

/* Captures the source's results with their gradients and prints what that did; returns the exit status. */
int put_captured(context *c);

#endif
