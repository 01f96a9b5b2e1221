/* See lanes.h. */
#include "lanes.h"

static cr_slope slope_of(const char *text) {
  static const struct { const char *text; cr_slope slope; } plain[] = {
    {"0", CR__ZERO}, {"1", CR__ONE}, {"-1", CR__MINUS_ONE}, {"a", CR__IS_A}, {"b", CR__IS_B}, {"y", CR__IS_Y}};
  if (!text) return CR__ZERO;
  for (size_t k = 0; k < sizeof plain / sizeof *plain; k++)
    if (!strcmp(text, plain[k].text)) return plain[k].slope;
  return CR__CALL;
}

bool cr__slopes_make(cr_tape *t, cr_slopes *s) {
  int n = *t->table->n_rows;
  s->of = cr__resize_on(t, NULL, 0, (size_t)n * sizeof *s->of);
  s->n = s->of ? n : 0;
  for (int k = 0; k < s->n; k++) {
    const cr_row *row = t->op[CR__FIRST_ROW + k]->row;
    for (int j = 0; j < 2; j++) s->of[k][j] = row && row->partial[j] ? slope_of(row->partial_text[j]) : CR__ZERO;
  }
  return s->of != NULL;
}

void cr__slopes_free(cr_tape *t, cr_slopes *s) {
  cr__resize(&t->counted, s->of, (size_t)s->n * sizeof *s->of, 0);
  *s = (cr_slopes){NULL, 0};
}
