/* A slice through a function: its values on a grid, and descents from several starts. */
#ifndef SURFACE_H
#define SURFACE_H

#include <stdio.h>

#include <engine.h>

enum { SURFACE_VALUES = 61 * 21, MOST_DESCENTS = 9 };

typedef struct range {
  char name[64], middle[128];
  double low, high;
} range;

typedef struct descent {
  double start[2], end[2], value, norm;
  int steps, basin;         /* basin: which of the different ends */
} descent;

typedef struct surface {
  cr_tape *tape;
  cr_var y, leaf[2];
  int n, rows, columns, n_descents, n_basins;
  range range[2];           /* columns, then rows */
  double value[SURFACE_VALUES];
  descent descent[MOST_DESCENTS];
} surface;

/* A curve or a map in characters, and the table of descents (landscape.c). */
void put_surface(FILE *f, const surface *s);

#endif
