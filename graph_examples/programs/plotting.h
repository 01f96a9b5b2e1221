/* Pictures by gnuplot, which runs as a child process: a script with its data goes in, SVG, PNG, PDF or text comes out. */
#ifndef PLOTTING_H
#define PLOTTING_H

#include "command.h"

typedef struct drawing {
  FILE *script;     /* write commands and data here */
  const char *path; /* NULL: text on standard output */
} drawing;

/* The format follows from the path's ending (.svg, .png, .pdf, else text); width and height in pixels. False after a
 * complaint. */
bool drawing_open(drawing *d, const char *path, int width, int height);
/* A text in quotes that gnuplot takes literally, whatever is in it. */
void put_quoted(FILE *f, const char *text);
/* Runs the script, writes the picture, closes d. False after a complaint. */
bool drawing_close(drawing *d);

#endif
