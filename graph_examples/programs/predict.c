/* chainrule predict: what a trained network says about data, or how it goes on with a text. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "trainer.h"

typedef struct predictions {
  const cr_training *k;
  const cr_dataset *d;
  cr_array all;
  int64_t width; /* numbers a row */
  bool classes;
} predictions;

static const char *class_name(const predictions *p, int64_t number, char *text) {
  if (p->d->class_name && number >= 0 && number < p->d->n_classes) return p->d->class_name[number];
  snprintf(text, 32, "%lld", (long long)number);
  return text;
}

/* A row: its class and the probability, or its numbers; and the truth where it is known. Commas: as CSV. */
static void put_row(FILE *f, const predictions *p, int64_t row, bool commas) {
  char text[32];
  double probability;
  const char *gap = commas ? "," : "  ";
  if (p->classes) {
    const char *name = class_name(p, class_of(&p->all, row, p->k->expects, &probability), text);
    bool quote = commas && strpbrk(name, ",\"\n\r");
    fputs(quote ? "\"" : "", f);
    for (const char *s = name; *s; s++) fputs(quote && *s == '"' ? "\"\"" : (char[]){*s, 0}, f);
    fprintf(f, commas ? "%s%s%.9g" : "%s%s%.4f", quote ? "\"" : "", gap, probability);
  }
  for (int64_t j = 0; !p->classes && j < p->width; j++)
    fprintf(f, commas ? "%s%.9g" : "%s%.6g", j ? gap : "", cr_array_get(&p->all, row * p->width + j));
  bool known = p->d->y.data && p->d->y.count == p->all.count / p->width;
  if (known && p->classes) fprintf(f, "%s%s", gap, class_name(p, cr_array_get_int(&p->d->y, row), text));
  else if (known) fprintf(f, commas ? "%s%.9g" : "%s%.6g", gap, cr_array_get(&p->d->y, row));
  fputc('\n', f);
}

static void put_table(FILE *f, const predictions *p, bool commas) {
  const char *gap = commas ? "," : "  ";
  bool known = p->d->y.data && p->d->y.count == p->all.count / p->width;
  if (p->classes) fprintf(f, "class%sprobability", gap);
  else if (p->width == 1) fputs("prediction", f);
  else
    for (int64_t j = 0; j < p->width; j++) fprintf(f, "%sprediction%lld", j ? gap : "", (long long)j);
  fprintf(f, "%s%s\n", known ? gap : "", known ? "truth" : "");
  for (int64_t row = 0; row < p->all.count / p->width; row++) put_row(f, p, row, commas);
}

static bool write_table(const predictions *p, const char *path) {
  FILE *f = fopen(path, "w");
  if (!f) return complain("cannot open %s: %s", path, strerror(errno)), false;
  put_table(f, p, true);
  bool good = !ferror(f);
  good = !fclose(f) && good;
  return good || (complain("cannot write %s: %s", path, strerror(errno)), false);
}

static json_t *json_rows(const predictions *p) {
  json_t *list = json_array();
  char text[32];
  for (int64_t row = 0; row < p->all.count / p->width; row++) {
    double probability;
    if (p->classes) {
      int64_t c = class_of(&p->all, row, p->k->expects, &probability);
      json_array_append_new(list, json_pack("{s:o, s:o}", "class", json_text(class_name(p, c, text)), "probability",
                                            json_number_of(probability)));
      continue;
    }
    json_t *numbers = json_array();
    for (int64_t j = 0; j < p->width; j++)
      json_array_append_new(numbers, json_number_of(cr_array_get(&p->all, row * p->width + j)));
    json_array_append_new(list, p->width == 1 ? json_incref(json_array_get(numbers, 0)) : json_incref(numbers));
    json_decref(numbers);
  }
  return list;
}

static int put_predictions(const context *c, cr_training *k, const predictions *p, const outcome *o) {
  const char *path = given(c, OPT_OUTPUT), *end = path ? strrchr(path, '.') : NULL;
  cr_problem why = {0};
  if (end && !strcmp(end, ".npy")) {
    if (cr_write_npy(&p->all, path, &why) != CR_OK) return complain("%s", why.text);
  } else if (path && !write_table(p, path)) {
    return STATUS_USAGE;
  }
  if (has(c, OPT_JSON))
    return put_json(stdout, json_pack("{s:o, s:o}", "predictions", json_rows(p), "metrics", json_outcome(k, o)));
  if (!path) put_table(stdout, p, false);
  put_outcome(k, "of these", o);
  return STATUS_GOOD;
}

static int predict_data(const context *c, cr_recipe *r) {
  cr_training *k = cr_recipe_training(r);
  cr_problem why = {0};
  cr_dataset own = {0};
  const char *source = given(c, OPT_DATA);
  const cr_dataset *d = source ? &own : cr_recipe_test(r);
  if (source && cr_recipe_prepare(r, source, &own, &why) != CR_OK) return complain("--data %s: %s", source, why.text);
  if (!d) return complain("this recipe has no test data: --data \"csv('new.csv')\" names some");
  predictions p = {.k = k, .d = d};
  outcome o;
  int status = STATUS_USAGE;
  if (cr_predict(k, d, &p.all, &why) != CR_OK) complain("%s", why.text);
  else {
    p.width = p.all.rank > 1 ? p.all.dim[p.all.rank - 1] : 1;
    bool each = k->expects && (!strcmp(k->expects, "logit") || !strcmp(k->expects, "probability"));
    p.classes = k->train->n_classes > 0 && !(each && p.width > 1); /* several questions of yes or no are no class */
    if (evaluate(k, d, "these", &o)) status = put_predictions(c, k, &p, &o);
  }
  cr_array_release(&p.all);
  cr_dataset_free(&own);
  return status;
}

/* Texts */

/* Which of the scores comes next: by probabilities sharpened by the temperature. */
static int64_t draw(const cr_array *scores, int64_t row, int64_t width, double temperature, cr_random *random) {
  double top = -HUGE_VAL, sum = 0;
  int64_t best = 0;
  for (int64_t j = 0; j < width; j++) {
    double x = cr_array_get(scores, row * width + j);
    if (x > top) top = x, best = j;
  }
  if (temperature == 0) return best;
  for (int64_t j = 0; j < width; j++) sum += exp((cr_array_get(scores, row * width + j) - top) / temperature);
  double left = cr_random_uniform(random) * sum;
  for (int64_t j = 0; j < width; j++)
    if ((left -= exp((cr_array_get(scores, row * width + j) - top) / temperature)) < 0) return j;
  return best;
}

/* The token of the letter that text begins with, and its bytes; -1 when the training text has no such letter. */
static int64_t token_of(const cr_dataset *d, const char *text, size_t *bytes) {
  for (int k = 0; k < d->n_classes; k++) {
    size_t n = strlen(d->class_name[k]);
    if (n && !strncmp(text, d->class_name[k], n)) return *bytes = n, k;
  }
  return -1;
}

static bool read_prompt(const cr_dataset *d, const char *prompt, int64_t *token, int64_t *n) {
  for (size_t bytes; *prompt; prompt += bytes)
    if ((token[(*n)++] = token_of(d, prompt, &bytes)) < 0) {
      int length = 1;
      while ((prompt[length] & 0xC0) == 0x80) length++; /* of one character */
      return complain("--prompt: the training text has no '%.*s'", length, prompt), false;
    }
  return *n > 0 || (complain("--prompt is empty"), false);
}

/* One more token after the last ones of the text, at most as many as the network was trained on at a time. */
static int64_t next_token(cr_training *k, const int64_t *token, int64_t n, double temperature, cr_random *random) {
  int64_t most = k->train->x.dim[1], seen = n < most ? n : most, dims[] = {1, seen}, found = -1;
  cr_dataset d = {0};
  cr_array scores = {0};
  cr_problem why = {0};
  cr_status status = cr_array_make(&d.x, CR_INT64, 2, dims, &why);
  if (status == CR_OK) memcpy(d.x.data, token + n - seen, (size_t)seen * sizeof *token);
  if (status == CR_OK) status = cr_predict(k, &d, &scores, &why);
  if (status != CR_OK) complain("%s", why.text);
  else {
    int64_t width = k->train->n_classes;
    found = scores.count % width ? -1 : draw(&scores, scores.count / width - 1, width, temperature, random);
    if (found < 0) complain("this network does not predict letters");
  }
  cr_array_release(&scores);
  cr_dataset_free(&d);
  return found;
}

static bool read_temperature(const context *c, double *temperature) {
  const char *text = given(c, OPT_TEMPERATURE);
  char *end;
  *temperature = text ? strtod(text, &end) : 1;
  if (text && (!*text || *end || !(*temperature >= 0 && *temperature <= 100)))
    return complain("--temperature is a number from 0 (always the likeliest) to 100, not '%s'", text), false;
  return true;
}

static int continue_text(const context *c, cr_recipe *r) {
  cr_training *k = cr_recipe_training(r);
  const cr_dataset *d = k->train;
  const char *prompt = given(c, OPT_PROMPT);
  long length, seed;
  double temperature;
  if (!whole_given(c, OPT_LENGTH, 1, 1000000, 200, &length) || !whole_given(c, OPT_SEED, 0, 1 << 30, 1, &seed) ||
      !read_temperature(c, &temperature))
    return STATUS_USAGE;
  if (!d->letters || d->x.rank != 2)
    return complain("--prompt is for recipes whose data are a text");
  int64_t n = 0, *token = malloc((strlen(prompt) + (size_t)length + 1) * sizeof *token);
  if (!token) return complain_memory();
  bool good = read_prompt(d, prompt, token, &n);
  cr_random random = {.seed = (uint64_t)seed};
  json_t *text = json_string("");
  if (good && !has(c, OPT_JSON)) fputs(prompt, stdout);
  for (long i = 0; good && i < length; i++) {
    good = (token[n] = next_token(k, token, n, temperature, &random)) >= 0;
    const char *letter = good ? d->class_name[token[n++]] : "";
    if (!has(c, OPT_JSON)) fputs(letter, stdout);
    else {
      json_t *longer = json_sprintf("%s%s", json_string_value(text), letter);
      json_decref(text);
      text = longer;
    }
  }
  free(token);
  if (good && has(c, OPT_JSON)) return put_json(stdout, json_pack("{s:o, s:o}", "prompt", json_text(prompt), "text", text));
  json_decref(text);
  if (good) putchar('\n');
  return good ? STATUS_GOOD : STATUS_USAGE;
}

int verb_predict(context *c) {
  cr_problem why = {0};
  cr_recipe *r = open_recipe(c);
  int status = STATUS_USAGE;
  if (!r) return status;
  cr_training *k = cr_recipe_training(r);
  const char *path = given(c, OPT_CHECKPOINT) ? given(c, OPT_CHECKPOINT) : k->checkpoint;
  if (!path) complain("predict needs what train --checkpoint FILE saved: --checkpoint FILE");
  else if (cr_checkpoint_read(k, path, &why) != CR_OK) complain("%s", why.text);
  else {
    if (why.text[0]) complain("%s", why.text);
    status = has(c, OPT_PROMPT) ? continue_text(c, r) : predict_data(c, r);
  }
  cr_recipe_free(r);
  return status;
}
