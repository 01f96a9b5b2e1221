/* What a tape knows of the language: memory for evaluation, its functions by name, their signatures. */
#include <stdio.h>
#include <xxhash.h>

#include "language.h"

/* Memory */

void *cr__take(cr_tape *t, cr_arena *arena, size_t bytes) {
  void *p = cr__arena_take(arena, bytes ? bytes : 1, 8);
  if (p) return p;
  cr__out_of_memory(t);
  return NULL;
}

const cr_syntax **cr__chain(cr_tape *t, cr_arena *arena, const cr_syntax *s, uint32_t *n) {
  uint32_t count = 0;
  for (const cr_syntax *k = s; k->kind == CR_BINARY; k = k->first) count++;
  const cr_syntax **chain = cr__take(t, arena, count * sizeof *chain);
  if (!chain) return NULL;
  *n = count;
  for (uint32_t i = 0; i < count; i++, s = s->first) chain[i] = s;
  return chain;
}

/* The scratch arena's chunks come from the lasting arena and are reused, never given back before the tape is freed. */
static void *take_lasting(void *user, void *p, size_t old_size, size_t new_size) {
  cr_tape *t = user;
  if (!new_size) return NULL;
  void *q = cr__arena_take(&t->lasting, new_size, 64);
  if (q && p) memcpy(q, p, old_size < new_size ? old_size : new_size);
  return q;
}

/* Dictionaries */

static struct cr__dict_entry *place_of(const cr__dict *d, const char *name, size_t length) {
  uint32_t mask = d->capacity - 1, h = (uint32_t)XXH3_64bits(name, length) & mask;
  for (; d->entry[h].item; h = (h + 1) & mask)
    if (!strncmp(d->entry[h].name, name, length) && !d->entry[h].name[length]) break;
  return &d->entry[h];
}

void *cr__dict_find(const cr__dict *d, const char *name, size_t length) {
  return d->capacity ? place_of(d, name, length)->item : NULL;
}

bool cr__dict_put(cr_tape *t, cr__dict *d, const char *name, void *item) {
  if (2 * (d->n + 1) > d->capacity) {
    cr__dict old = *d;
    d->capacity = old.capacity ? 2 * old.capacity : 16;
    d->entry = cr__resize(d->allocator, NULL, 0, d->capacity * sizeof *d->entry);
    if (!d->entry) {
      *d = old;
      return cr__out_of_memory(t), false;
    }
    memset(d->entry, 0, d->capacity * sizeof *d->entry);
    for (uint32_t i = 0; i < old.capacity; i++)
      if (old.entry[i].item) *place_of(d, old.entry[i].name, strlen(old.entry[i].name)) = old.entry[i];
    cr__dict_free(&old);
  }
  struct cr__dict_entry *e = place_of(d, name, strlen(name));
  d->n += !e->item;
  *e = (struct cr__dict_entry){name, item};
  return true;
}

void cr__dict_free(cr__dict *d) {
  cr__resize(d->allocator, d->entry, d->capacity * sizeof *d->entry, 0);
  *d = (cr__dict){.allocator = d->allocator};
}

/* The index of functions */

static cr__callable *new_callable(cr_tape *t, const char *name, size_t length) {
  cr__callable *f = cr__take(t, &t->lasting, sizeof *f);
  const char *copy = f ? cr__arena_text(&t->lasting, name, length) : NULL;
  if (!copy) return f ? cr__out_of_memory(t), NULL : NULL;
  *f = (cr__callable){.name = copy};
  return f;
}

/* "neg(input) | negative": the name, and after each bar another name for the same function. Later ones win. */
static bool add_function(cr_tape *t, cr__dict *d, const cr_function *function) {
  const char *s = function->signature;
  size_t length = strcspn(s, "(");
  cr__callable *f = new_callable(t, s, length);
  if (!f) return false;
  f->function = function;
  f->signature = s;
  if (!cr__dict_put(t, d, f->name, f)) return false;
  while ((s = strchr(s, '|')) != NULL) {
    s += 1 + strspn(s + 1, " ");
    length = strcspn(s, " |");
    char *alias = cr__arena_text(&t->lasting, s, length);
    if (!alias || !cr__dict_put(t, d, alias, f)) return false;
  }
  return true;
}

static bool add_row(cr_tape *t, cr__dict *d, const cr_op *op) {
  cr__callable *f = cr__dict_find(d, op->name, strlen(op->name));
  if (!f) {
    f = new_callable(t, op->name, strlen(op->name));
    if (!f || !cr__dict_put(t, d, f->name, f)) return false;
    f->signature = op->arity == 1 ? "(a)" : "(a, b)";
  }
  f->row = op;
  return true;
}

cr__language *cr__language_of(cr_tape *t) {
  if (t->language) return t->language;
  cr__language *l = cr__take(t, &t->lasting, sizeof *l);
  if (!l) return NULL;
  memset(l, 0, sizeof *l);
  l->from_lasting = (cr_allocator){take_lasting, t};
  l->callables.allocator = l->ops.allocator = &l->from_lasting;
  l->most_work = 10000000;
  cr__arena_init(&l->scratch, &l->from_lasting);
  for (const cr_function *const *set = t->table->functions; set && *set; set++)
    for (const cr_function *f = *set; f->signature; f++)
      if (!add_function(t, &l->callables, f)) return NULL;
  for (const cr_function *f = cr__builtin_functions; f->signature; f++)
    if (!add_function(t, &l->callables, f)) return NULL;
  for (int k = 0; k < *t->table->n_rows; k++)
    if (!add_row(t, &l->callables, t->table->rows[k])) return NULL;
  t->language = l;
  return l;
}

cr__callable *cr__callable_named(cr_tape *t, const char *name) {
  cr__language *l = cr__language_of(t);
  const char *dot = strrchr(name, '.');
  if (dot) name = dot + 1;
  if (!strncmp(name, "cr__", 4)) name += 4;
  return l ? cr__dict_find(&l->callables, name, strlen(name)) : NULL;
}

cr_status cr_define(cr_tape *t, const cr_function *f) {
  cr__language *l = cr__language_of(t);
  if (!l) return t->error;
  size_t length = strcspn(f->signature, "(");
  if (cr__dict_find(&l->callables, f->signature, length)) {
    cr_fail(t, CR_BAD_ARGUMENT, "cr_define: there is already a function '%.*s'", (int)length, f->signature);
    return CR_BAD_ARGUMENT;
  }
  if (l->n_defined == l->defined_capacity) {
    uint32_t capacity = l->n_defined ? 2 * l->n_defined : 8;
    const cr_function **defined = cr__take(t, &t->lasting, capacity * sizeof *defined);
    if (!defined) return t->error;
    if (l->n_defined) memcpy(defined, l->defined, l->n_defined * sizeof *defined);
    l->defined = defined;
    l->defined_capacity = capacity;
  }
  if (!add_function(t, &l->callables, f)) return t->error;
  l->defined[l->n_defined++] = f;
  return CR_OK;
}

const cr_function *cr_function_at(const cr_tape *t, int k) {
  const cr__language *l = t->language;
  if (k < 0) return NULL;
  for (const cr_function *const *set = t->table->functions; set && *set; set++)
    for (const cr_function *f = *set; f->signature; f++)
      if (k-- == 0) return f;
  for (const cr_function *f = cr__builtin_functions; f->signature; f++)
    if (k-- == 0) return f;
  return l && (uint32_t)k < l->n_defined ? l->defined[k] : NULL;
}

/* The ops that the functions of a tape list, by name. */
const cr_op *cr__op_named(cr_tape *t, const char *name) {
  cr__language *l = cr__language_of(t);
  const cr_function *f;
  if (!l) return NULL;
  for (; (f = cr_function_at(t, l->n_searched)) != NULL; l->n_searched++)
    for (const cr_op *const *op = f->ops; op && *op; op++) {
      cr__callable *found = new_callable(t, (*op)->name, strlen((*op)->name));
      if (!found || !cr__dict_put(t, &l->ops, found->name, found)) return NULL;
      found->row = *op;
    }
  const cr__callable *found = cr__dict_find(&l->ops, name, strlen(name));
  return found ? found->row : NULL;
}

/* By looking at each: the index may not exist yet, and the tape is not to change. */
const cr_function *cr_function_named(const cr_tape *t, const char *name) {
  size_t length = strlen(name);
  const cr_function *f;
  for (int k = 0; (f = cr_function_at(t, k)) != NULL; k++) {
    const char *s = f->signature;
    if (!strncmp(s, name, length) && (s[length] == '(' || !s[length])) return f;
    while ((s = strchr(s, '|')) != NULL) {
      s += 1 + strspn(s + 1, " ");
      if (strcspn(s, " |") == length && !strncmp(s, name, length)) return f;
    }
  }
  return NULL;
}

/* Signatures */

static bool broken(cr_tape *t, const cr__callable *f, const char *what, const char *why) {
  cr_fail(t, CR_INTERNAL, "%s of function '%s': %s", what, f->name, why);
  return false;
}

static uint32_t count(const cr_syntax *s) {
  uint32_t n = 0;
  for (; s; s = s->next) n++;
  return n;
}

/* Parameters from the children of a call, up to end. */
static bool read_parameters(cr_tape *t, cr_arena *arena, const cr_syntax *s, const cr_syntax *end, cr__callable *f) {
  cr__param *param = cr__take(t, arena, count(s) * sizeof *param);
  f->param = param;
  if (!param) return false;
  bool keyword_only = false;
  f->n_params = f->n_positional = 0;
  for (; s != end; s = s->next) {
    if (!strcmp(s->text, "/")) continue;
    keyword_only = keyword_only || s->text[0] == '*';
    f->variadic = f->variadic || (s->text[0] == '*' && s->text[1]);
    if (!strcmp(s->text, "*")) continue;
    f->n_positional += !keyword_only || s->text[0] == '*';
    param[f->n_params++] = (cr__param){s->text + (s->text[0] == '*'), s->kind == CR_KEYWORD ? s->first : NULL};
  }
  f->n_names = f->n_params;
  return true;
}

/* Names that the statements of a body assign become locals behind the parameters. */
static bool read_locals(cr_tape *t, cr_arena *arena, cr__callable *f) {
  uint32_t n = 0;
  for (const cr_syntax *k = f->body->first; k; k = k->next)
    if (k->kind == CR_ASSIGN) n += k->first->kind == CR_NAME ? 1 : count(k->first->first);
  const char **local = cr__take(t, arena, n * sizeof *local);
  f->local = local;
  if (!local) return false;
  for (const cr_syntax *k = f->body->first; k; k = k->next) {
    const cr_syntax *target = k->kind == CR_ASSIGN ? k->first : NULL;
    if (target && target->kind == CR_NAME) *local++ = target->text;
    else if (target)
      for (target = target->first; target; target = target->next) *local++ = target->text;
  }
  f->n_names += n;
  return true;
}

bool cr__read_definition(cr_tape *t, cr_arena *arena, const cr_syntax *s, cr__callable *f) {
  const cr_syntax *body = s->first;
  while (body->next) body = body->next;
  f->body = body;
  f->read = true;
  return read_parameters(t, arena, s->first, body, f) && (body->kind != CR_BLOCK || read_locals(t, arena, f));
}

static bool read_body(cr_tape *t, cr__callable *f) {
  cr_syntax_error error;
  const char *text = f->function->formula;
  const cr_syntax *s = cr__parse(t, &t->lasting, text, strlen(text), false, &error);
  if (!s) return broken(t, f, "formula", error.message);
  f->body = s;
  for (const cr_syntax *k = s->first; k; k = k->next)
    if (k->kind == CR_DEFINE) return broken(t, f, "formula", "a function is defined within another");
  return read_locals(t, &t->lasting, f);
}

bool cr__read_callable(cr_tape *t, cr__callable *f) {
  if (f->read) return true;
  cr_syntax_error error;
  const char *text = f->function ? f->signature : f->row->arity == 1 ? "f(a)" : "f(a, b)";
  const cr_syntax *s = cr__parse(t, &t->lasting, text, strcspn(text, "|"), true, &error);
  if (!s) return broken(t, f, "signature", error.message);
  if (s->kind != CR_CALL) return broken(t, f, "signature", "expected name(parameters)");
  for (const cr_syntax *k = s->first; k; k = k->next)
    if (k->kind != CR_NAME && k->kind != CR_KEYWORD) return broken(t, f, "signature", "expected names of parameters");
  if (!read_parameters(t, &t->lasting, s->first, NULL, f)) return false;
  if (f->function && !f->function->call && !f->function->formula)
    return broken(t, f, "entry", "neither call nor formula");
  if (f->function && !f->function->call && !read_body(t, f)) return false;
  f->read = true;
  return true;
}

/* Guesses */

enum { LONGEST = 40 };

/* Edit distance with transpositions, case ignored; short names only. */
static int distance(const char *a, const char *b) {
  int n = (int)strlen(a), m = (int)strlen(b), row[3][LONGEST + 1];
  if (n > LONGEST || m > LONGEST) return LONGEST;
  for (int j = 0; j <= m; j++) row[0][j] = j;
  for (int i = 1; i <= n; i++) {
    int *now = row[i % 3], *last = row[(i + 2) % 3], *before = row[(i + 1) % 3];
    now[0] = i;
    for (int j = 1; j <= m; j++) {
      int same = (a[i - 1] | 32) == (b[j - 1] | 32), best = last[j - 1] + !same;
      if (last[j] + 1 < best) best = last[j] + 1;
      if (now[j - 1] + 1 < best) best = now[j - 1] + 1;
      bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped && before[j - 2] + 1 < best) best = before[j - 2] + 1;
      now[j] = best;
    }
  }
  return row[n % 3][m];
}

void cr__consider(cr__guess *g, const char *candidate) {
  int d = distance(g->name, candidate), most = strlen(g->name) < 3 ? 0 : strlen(g->name) < 6 ? 1 : 2;
  if (d > most || (g->best && d > g->distance)) return;
  if (g->best && d == g->distance && strcmp(candidate, g->best) >= 0) return; /* the same answer whatever the order */
  g->best = candidate;
  g->distance = d;
}

void cr__consider_all(cr__guess *g, const cr__dict *d) {
  for (uint32_t i = 0; i < d->capacity; i++)
    if (d->entry[i].item) cr__consider(g, d->entry[i].name);
}
