/* A program that answers lines with lines, and is ended when it does not. */
#ifndef PROCESS_H
#define PROCESS_H

#include "command.h"

typedef struct process {
  int pid, in, out;         /* its standard input and output, from our side */
  double timeout;           /* seconds for one answer */
  char *buffer;             /* read but not yet given out */
  size_t length, capacity;
} process;

bool process_start(process *p, const char *shell_command, double timeout, problem *why);
/* Writes the line and its newline, and reads the answer, which is valid until the next call; *length is without newline. */
const char *process_ask(process *p, const char *line, size_t *length, problem *why);
void process_end(process *p);

#endif
