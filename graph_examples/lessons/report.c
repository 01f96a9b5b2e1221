/* What a lesson found: as text for a terminal, as JSON, and the errors of several lessons as a page of Markdown. */
#include <math.h>
#include <string.h>

#include "lesson.h"
#include "writing.h"

enum { WIDTH = 80, VERDICT_COLUMN = 34, REASON_COLUMN = 8 };

/* Words broken into lines, each indented. */
static void paragraph(cr_buffer *b, int indent, const char *first, const char *text) {
  int at = indent + text_columns(first);
  put_spaces(b, indent);
  cr_put(b, "%s", first);
  int hang = at;
  bool begun = false;
  for (const char *s = text; *s;) {
    size_t n = strcspn(s, " ");
    if (begun && at + 1 + (int)n > WIDTH) {
      cr_put(b, "\n");
      put_spaces(b, at = hang);
      begun = false;
    }
    cr_put(b, begun ? " %.*s" : "%.*s", (int)n, s);
    at += (int)n + begun;
    begun = true;
    s += n;
    while (*s == ' ') s++;
  }
  cr_put(b, "\n");
}

/* "dJ/dw11 = -0.388", the derivative short. */
static void claim_text(const lesson *l, const claim *c, cr_buffer *b) {
  bool short_name = c->numeric && c->key;
  const char *d = short_name && c->key[0] == 'd' ? strstr(c->key, "_d") : NULL;
  (void)l;
  if (d) cr_put(b, "%.*s/%s", (int)(d - c->key), c->key, d + 1);
  else cr_put(b, "%s", short_name ? c->key : c->left);
  if (c->right[0]) cr_put(b, " = %s", c->right);
}

static const char *color_of(const claim *c) {
  if (c->verdict == WRONG || c->verdict == CASCADE) return "\033[31m";
  return c->verdict == CARRIED || c->verdict == TRUNCATED ? "\033[33m" : "\033[32m";
}

static void put_reason(const claim *c, cr_buffer *b) {
  cr_buffer text = {.tape = b->tape};
  char exact[40];
  if (c->numeric && c->verdict != EXACT) cr_put(&text, "exactly %s", cr_number_text(c->truth, 6, exact));
  if (!c->numeric && c->verdict == WRONG && c->correct[0]) cr_put(&text, "right: %s", c->correct);
  if (c->verdict != ROUNDED && c->verdict != HOLDS && c->why[0]) cr_put(&text, "%s%s", text.length ? "; " : "", c->why);
  if (c->note) cr_put(&text, "%s%s", text.length ? "; " : "", c->note);
  if (text.text && c->verdict != ROUNDED) paragraph(b, REASON_COLUMN, "", text.text);
  cr_buffer_free(&text);
}

static void put_claim(const lesson *l, const claim *c, cr_buffer *b, bool color) {
  cr_buffer text = {.tape = b->tape};
  if (c->own) cr_put(&text, "  yours ");
  else if (c->line) cr_put(&text, "  L%-5d", c->line);
  else cr_put(&text, "        ");
  claim_text(l, c, &text);
  bool wide = text.text && text_columns(text.text) > WIDTH;
  if (wide) paragraph(b, 0, "  ", text.text + strspn(text.text, " "));
  else cr_put(b, "%s", text.text ? text.text : "");
  int gap = VERDICT_COLUMN - (text.text ? text_columns(text.text) : 0);
  cr_buffer_free(&text);
  if (gap < 2) cr_put(b, wide ? "" : "\n"), gap = VERDICT_COLUMN;
  put_spaces(b, gap);
  cr_put(b, "%s%s%s", color ? color_of(c) : "", judgement_text[c->verdict], color ? "\033[0m" : "");
  if (c->label) cr_put(b, " (%s)", c->label);
  cr_put(b, "\n");
  put_reason(c, b);
}

static void put_summary(const lesson *l, cr_buffer *b) {
  int n[N_JUDGEMENTS] = {0}, kinds = 0;
  for (int k = 0; k < l->n_claims; k++) n[l->claim[k].verdict]++;
  if (!l->n_claims) return;
  cr_buffer text = {.tape = b->tape};
  cr_put(&text, "%d claim%s:", l->n_claims, l->n_claims == 1 ? "" : "s");
  for (int i = 0; i < N_JUDGEMENTS; i++)
    if (n[i]) cr_put(&text, "%s %d %s", kinds++ ? "," : "", n[i], judgement_text[i]);
  cr_put(b, "\n");
  if (text.text) paragraph(b, 0, "", text.text);
  cr_buffer_free(&text);
}

static void put_answers(const lesson *l, cr_buffer *b) {
  bool any = false;
  for (int k = 0; k < l->n_items; k++) any |= l->item[k].kind == ITEM_ANSWER;
  if (!any) return;
  cr_put(b, "\nAnswers\n");
  for (int k = 0; k < l->n_items; k++)
    if (l->item[k].kind == ITEM_ANSWER) cr_put(b, "  %s\n", l->item[k].label);
}

void lesson_text(const lesson *l, cr_buffer *b, bool color) {
  item_kind last = ITEM_SAY;
  char place[32];
  cr_put(b, "%s%s%s", color ? "\033[1m" : "", l->title, color ? "\033[0m" : "");
  cr_put(b, "\n");
  if (l->source[0]) cr_put(b, "notes %s%s%s\n", l->source, l->lines[0] ? ", lines " : "", l->lines);
  for (int k = 0; k < l->n_items; k++) {
    const item *x = &l->item[k];
    bool apart = x->kind != last || x->kind == ITEM_SAY || x->kind == ITEM_QUIZ;
    if (x->kind == ITEM_ANSWER) continue;
    if (apart) cr_put(b, "\n");
    last = x->kind;
    switch (x->kind) {
      case ITEM_SAY:
        paragraph(b, 0, "", x->text);
        break;
      case ITEM_CLAIM:
        put_claim(l, &l->claim[x->claim], b, color);
        break;
      case ITEM_ERRATUM:
        snprintf(place, sizeof place, "  L%-5d", x->line);
        paragraph(b, 0, place, x->text);
        break;
      case ITEM_QUIZ:
        paragraph(b, 0, "", x->text);
        break;
      case ITEM_ASK:
        paragraph(b, 2, "? ", x->text);
        break;
      case ITEM_HINT:
        paragraph(b, 2, "hint: ", x->text);
        break;
      case ITEM_ANSWER:
        break;
    }
  }
  put_answers(l, b);
  put_summary(l, b);
}

/* JSON */

static void put_json_claim(const lesson *l, const claim *c, cr_buffer *b) {
  cr_buffer text = {.tape = b->tape};
  char number[40];
  claim_text(l, c, &text);
  cr_put(b, "{\"text\": ");
  put_json_text(b, text.text);
  cr_put(b, ", \"line\": %d, \"printed\": ", c->line);
  put_json_text(b, c->right);
  cr_put(b,
         ", \"exact\": %s, \"correct\": ", c->numeric && isfinite(c->truth) ? cr_number_text(c->truth, 0, number) : "null");
  put_json_text(b, c->correct);
  cr_put(b, ", \"verdict\": ");
  put_json_text(b, judgement_text[c->verdict]);
  cr_put(b, ", \"why\": ");
  put_json_text(b, c->why);
  cr_put(b, ", \"note\": ");
  put_json_text(b, c->note);
  cr_put(b, ", \"label\": ");
  put_json_text(b, c->label);
  cr_put(b, "}");
  cr_buffer_free(&text);
}

void lesson_json(const lesson *l, cr_buffer *b) {
  cr_put(b, "{\"title\": ");
  put_json_text(b, l->title);
  cr_put(b, ", \"source\": ");
  put_json_text(b, l->source);
  cr_put(b, ", \"lines\": ");
  put_json_text(b, l->lines);
  cr_put(b, ", \"claims\": [");
  for (int k = 0; k < l->n_claims; k++) {
    if (k) cr_put(b, ", ");
    put_json_claim(l, &l->claim[k], b);
  }
  cr_put(b, "], \"answers\": [");
  for (int k = 0, n = 0; k < l->n_items; k++) {
    if (l->item[k].kind != ITEM_ANSWER) continue;
    if (n++) cr_put(b, ", ");
    put_json_text(b, l->item[k].label);
  }
  cr_put(b, "]}");
}

/* Errata */

static void put_cell(cr_buffer *b, const char *s) {
  for (; s && *s; s++) cr_put(b, *s == '|' || *s == '*' || *s == '_' ? "\\%c" : "%c", *s);
}

/* Claims without a line are the lesson's own, which may be wrong on purpose. */
static bool is_error(const claim *c) {
  return c->line && (c->verdict == WRONG || c->verdict == CASCADE || c->verdict == TRUNCATED || c->verdict == CARRIED);
}

static void put_error(const lesson *l, const claim *c, cr_buffer *b) {
  cr_buffer text = {.tape = b->tape};
  claim_text(l, c, &text);
  cr_put(b, "| %s | %d | ", c->label ? c->label : "", c->line);
  put_cell(b, text.text);
  cr_put(b, " | ");
  put_cell(b, c->correct);
  cr_put(b, " | %s | ", judgement_text[c->verdict]);
  put_cell(b, c->why);
  if (c->note) cr_put(b, "%s", c->why[0] ? "; " : ""), put_cell(b, c->note);
  cr_put(b, " |\n");
  cr_buffer_free(&text);
}

static bool has_errors(const lesson *l) {
  for (int k = 0; k < l->n_items; k++)
    if (l->item[k].kind == ITEM_ERRATUM || (l->item[k].kind == ITEM_CLAIM && is_error(&l->claim[l->item[k].claim])))
      return true;
  return false;
}

void lesson_errata(const lesson *l, int n, cr_buffer *b) {
  cr_put(b, "# Errata\n\nGenerated by `chainrule lesson --errata`: every verdict is computed from the lesson files, none is "
            "written by hand.\n"
            "Errors in wording, which cannot be computed, are listed as such. A carried rounding is right to its last digit "
            "or so:\n"
            "intermediate results were rounded on the way.\n");
  for (int i = 0; i < n; i++) {
    if (!has_errors(&l[i])) continue;
    cr_put(b, "\n## Notes %s: %s\n\n| label | line | printed | right | verdict | why |\n|---|---|---|---|---|---|\n",
           l[i].source, l[i].title);
    for (int k = 0; k < l[i].n_items; k++) {
      const item *x = &l[i].item[k];
      if (x->kind == ITEM_CLAIM && is_error(&l[i].claim[x->claim])) put_error(&l[i], &l[i].claim[x->claim], b);
      if (x->kind != ITEM_ERRATUM) continue;
      cr_put(b, "| %s | %d | | | wording | ", x->label, x->line);
      put_cell(b, x->text);
      cr_put(b, " |\n");
    }
  }
}
