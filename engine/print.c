/* Trees and nodes as infix text with the fewest brackets. */
#include "language.h"

/* Trees */

static void print(cr_buffer *b, const cr_syntax *s, int least);

static void print_items(cr_buffer *b, const cr_syntax *s) {
  for (; s; s = s->next) {
    print(b, s, CR__LOWEST);
    if (s->next) cr_put(b, ", ");
  }
}

static void print_text(cr_buffer *b, const char *text) {
  cr_put(b, "'");
  for (; *text; text++) {
    if (*text == '\n') cr_put(b, "\\n");
    else if (*text == '\t') cr_put(b, "\\t");
    else if (*text == '\'' || *text == '\\') cr_put(b, "\\%c", *text);
    else cr__put_bytes(b, text, 1);
  }
  cr_put(b, "'");
}

static void print_operator(cr_buffer *b, const cr__operator *op) {
  cr_put(b, op->binds >= CR__PRODUCTS && strcmp(op->text, "@") && strcmp(op->text, "//") && strcmp(op->text, "%") ? "%s" : " %s ", op->text);
}

/* What binds looser than its surroundings goes in brackets; the left side of ^ and the right side of all others also when
 * it binds the same, and a sign to the right of ^ needs none: 2^-x. */
static int left_least(const cr__operator *op) { return op->binds + (op->binds == CR__POWERS || op->binds == CR__COMPARES); }
static int right_least(const cr__operator *op) { return op->binds == CR__POWERS ? CR__SIGNS : op->binds + 1; }

static void print_chain(cr_buffer *b, const cr_syntax *s, int least) {
  cr_arena *arena = cr__scratch(b->tape);
  cr_mark_of_arena mark = cr__arena_here(arena);
  uint32_t n = 0;
  const cr_syntax **chain = cr__chain(b->tape, arena, s, &n);
  if (!chain) {
    b->failed = 1;
    return;
  }
}
