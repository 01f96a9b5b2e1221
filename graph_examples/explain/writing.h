/* Small pieces of text that the printers of explanations and lessons share. */
#ifndef WRITING_H
#define WRITING_H

#include "formula.h"

int text_columns(const char *s);                /* that it takes on a terminal: characters, not bytes */
void put_spaces(cr_buffer *b, int n);
void put_json_text(cr_buffer *b, const char *s); /* quoted and escaped; null for NULL */

#endif
