/* From a plan to loaded code, or the reason why not; jitbody.c calls it for a function and the bodies of its nodes. */
#include "cr_config.h"

#include <stdio.h>

#include "jitting.h"
#include "machine.h"

/* Math functions set no errno and no flags, and nothing is contracted or reassociated, as in the library itself. Loops stay
 * without branches: a function is computed where it is written, a sine apart from a cosine. */
const char *cr_jit_flags(void) {
  return "-std=gnu11 -w -ffp-contract=off -fno-math-errno -fno-trapping-math -fwrapv -fno-strict-aliasing -fno-builtin-pow "
         "-fopenmp-simd -fno-builtin-sinf -fno-builtin-cosf"
#if defined(__x86_64__)
         " -march=native -mprefer-vector-width=512"
#endif
      ;
}

#if CR_HAVE_JIT
#include <xxhash.h>

enum { LEAST_WORK = 2000 }; /* numbers a run below which a call gains less than a microsecond */
static const int64_t most_bytes = (int64_t)256 << 20;

typedef struct job {
  cr_fn *f;
  const cr_jit_options *o;
  cr__note note;
  cr__unit unit;
  cr__compiler compiler;
  cr__key key;
  char path[CR__PATH_LENGTH], flags[400];
  uint32_t codes;            /* steps of scalars that are done without the compiler */
  int64_t times;             /* that a run of f is run */
} job;

/* Everything that the object depends on, and its name. */
static bool make_key(job *j) {
  char target[CR__PATH_LENGTH + 2600];
  if (!cr__describe_target(&j->compiler, target, sizeof target)) return false;
  size_t n = strlen(target), length = j->unit.source.length;
  j->key = (cr__key){.allocator = &j->f->allocator, .length = n + length};
  j->key.text = cr__resize(j->key.allocator, NULL, 0, n + length);
  if (!j->key.text) return false;
  memcpy(j->key.text, target, n);
  memcpy(j->key.text + n, j->unit.source.text, length);
  XXH128_hash_t hash = XXH3_128bits(j->key.text, j->key.length);
  snprintf(j->key.name, sizeof j->key.name, "%016llx%016llx", (unsigned long long)hash.high64,
           (unsigned long long)hash.low64);
  return true;
}

/* Straight code gains nothing from more than -O1, but takes longer to compile. */
static void choose_flags(job *j) {
  bool loops = j->unit.whole.n_steps;
  for (uint32_t k = 0; k < j->unit.n_steps; k++) loops = loops || j->unit.code[k];
  snprintf(j->flags, sizeof j->flags, "%s %s", cr_jit_flags(), loops ? "-O2" : "-O1");
  j->compiler.flags = j->o->flags ? j->o->flags : j->flags;
}

static void attach(job *j, void *const *table, void *handle) {
  cr_fn *f = j->f;
  cr__unload(f->unit);
  f->unit = handle;
  for (uint32_t k = 0; k < f->plan.n_steps; k++)
    if (f->plan.step[k].blocks) f->plan.step[k].blocks->code = NULL;
  for (uint32_t k = 0; k < j->unit.n_steps; k++) {
    cr__step *s = &f->plan.step[j->unit.step[k]];
    cr__code *c = j->unit.code[k];
    if (c) memcpy(&c->run, &table[k], sizeof c->run), s->blocks->code = c;
    else memcpy(&s->code, &table[k], sizeof s->code);
  }
  const cr__whole_text *t = &j->unit.whole;
  f->whole = (cr__whole){.given = t->given, .n_given = t->n_given};
  if (t->n_steps) memcpy(&f->whole.run, &table[j->unit.n_steps], sizeof f->whole.run);
}

static void say_steps(job *j, const char *how, unsigned n) {
  const unsigned all = j->unit.n_steps + j->unit.whole.n_steps + j->unit.n_skipped + j->codes;
  cr__say(&j->note, how, n, all, all == 1 ? "" : "s");
}

static bool load(job *j, const char *how) {
  void *handle = NULL;
  void *const *table = cr__load(j->path, &handle, &j->note);
  if (!table) return false;
  attach(j, table, handle);
  if (j->note.size && *j->note.text && !strncmp(j->note.text, "not kept", 8)) return true;
  say_steps(j, how, j->unit.n_steps + j->unit.whole.n_steps + j->codes);
  return true;
}

/* In a scratch folder, then kept if there is a cache. */
static void build(job *j, bool cache) {
  char folder[200], object[240];
  if (!cr__make_scratch(folder, sizeof folder, &j->note)) return;
  snprintf(object, sizeof object, "%s/unit.so", folder);
  if (cr__compile(&j->compiler, j->unit.source.text, j->unit.source.length, folder, object, &j->note)) {
    bool kept = cache && cr__add_entry(j->o->cache, &j->key, object, j->path, sizeof j->path, &j->note);
    if (!kept || !load(j, "compiled %u of %u step%s")) {
      strcpy(j->path, object);
      load(j, "compiled %u of %u step%s");
    }
    if (kept) cr__trim_cache(j->o->cache, j->o->cache_bytes > 0 ? j->o->cache_bytes : most_bytes);
  }
  cr__remove_scratch(folder);
}

static void find_or_build(job *j) {
  char why[300] = "";
  bool cache = j->o->cache && cr__open_cache(j->o->cache, &(cr__note){why, sizeof why});
  if (cache && cr__find_entry(j->o->cache, &j->key, j->path, sizeof j->path) && load(j, "%u of %u step%s from the cache"))
    return;
  if (*why) cr__say(&j->note, "not kept: %s", why);
  build(j, cache);
}

/* The steps that need the compiler. False when memory runs out. */
static bool compile_unit(job *j) {
  choose_flags(j);
  const bool none = !j->unit.n_steps && !j->unit.whole.n_steps;
  if (none && j->codes) return true;
  if (none) {
    cr__say(&j->note, "not compiled: no step computes element by element%s",
            j->unit.n_skipped ? " and is small enough" : "");
  } else if (j->unit.work < LEAST_WORK / j->times && !j->o->always) {
    cr__say(&j->note, "not compiled: a run computes %lld number%s, too few to pay", (long long)j->unit.work,
            j->unit.work == 1 ? "" : "s");
  } else if (cr__find_compiler(j->o->compiler, &j->compiler, &j->note)) {
    if (!make_key(j)) return false;
    find_or_build(j);
  }
  return true;
}

/* Scalars are compiled whatever became of the rest. */
static void say_codes(job *j) {
  static const char failed[] = "not compiled: ";
  char why[300] = "";
  if (!j->codes || !j->note.size) return;
  if (!strncmp(j->note.text, failed, sizeof failed - 1)) snprintf(why, sizeof why, "%s", j->note.text + sizeof failed - 1);
  if (*why || !*j->note.text) say_steps(j, "compiled %u of %u step%s", j->codes);
  size_t n = strlen(j->note.text);
  if (*why) cr__say(&(cr__note){j->note.text + n, j->note.size - n}, "; not the others: %s", why);
}

cr_status cr__compile_steps(cr_fn *f, const cr_jit_options *options, int64_t times, char *note, size_t size) {
  job j = {.f = f, .o = options, .note = {note, size}, .times = times};
  cr__say(&j.note, "%s", "");
  cr_clear_error(f->graph.tape);
  cr__drop_codes(f);
  bool ok = j.o->scalars_as_c || cr__scalars_as_code(f, j.o->always || times > 1, &j.codes);
  ok = ok && cr__write_unit(f, j.o->exact, CR__OTHER_SCALARS, &j.unit) && compile_unit(&j);
  if (j.key.text) cr__resize(j.key.allocator, j.key.text, j.key.length, 0);
  cr__unit_free(&j.unit);
  if (ok) say_codes(&j);
  else cr__say(&j.note, "out of memory");
  return ok ? CR_OK : CR_NO_MEMORY;
}
#else
cr_status cr__compile_steps(cr_fn *f, const cr_jit_options *options, int64_t times, char *note, size_t size) {
  cr__compiler compiler;
  (void)f, (void)options, (void)times;
  cr__find_compiler(NULL, &compiler, &(cr__note){note, size});
  return CR_OK;
}
#endif

const char *cr_fn_jit_source(cr_fn *f, const cr_jit_options *options) {
  const bool all = !CR__HAVE_MACHINE || (options && options->scalars_as_c);
  cr__unit u = {0};
  cr_clear_error(f->graph.tape);
  if (!cr__write_unit(f, options && options->exact, all ? CR__ALL_SCALARS : CR__NO_SCALARS, &u)) return NULL;
  const char *text = u.source.text ? cr__arena_text(&f->memory, u.source.text, u.source.length) : NULL;
  cr__unit_free(&u);
  return text;
}
