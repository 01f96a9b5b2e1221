/* What the files of compilation share: jitcode.c writes C, jitbuild.c has it compiled and loaded, jitcache.c keeps it. */
#ifndef CR_JITTING_H
#define CR_JITTING_H

#include "formula.h"
#include "graph.h"
#include "jit.h"

/* jitcode.c */

/* The function of the whole, jitwhole.c; n_steps 0: there is none. */
typedef struct cr__whole_text {
  uint32_t n_steps; /* written */
  uint32_t called;  /* 1 + the latest step that is called, 0 none */
  bool lost;        /* something of it has no place */
  void **given;     /* constants */
  uint32_t n_given;
} cr__whole_text;

/* The C of a function: what it defines for the loader is CR__UNIT_TABLE, an array of one function for each entry of step. */
typedef struct cr__unit {
  cr_buffer source;
  uint32_t *step, n_steps; /* of the plan */
  cr__code **code;         /* of blocks, NULL for scalars */
  uint32_t n_skipped;      /* steps of elements that stay as they are */
  cr__whole_text whole;    /* its function is the last of the table */
  int64_t work;            /* of what was written: about how many numbers one run computes */
} cr__unit;

#define CR__UNIT_TABLE "chainrule_unit_3" /* changes with what the functions are given */

/* Which steps of scalars are written: those without code, when the others have become that. */
typedef enum cr__scalars { CR__NO_SCALARS, CR__OTHER_SCALARS, CR__ALL_SCALARS } cr__scalars;
/* False when memory runs out. The texts are freed by cr__unit_free; the rest is the function's. */
bool cr__write_unit(cr_fn *f, bool exact, cr__scalars scalars, cr__unit *u);
void cr__unit_free(cr__unit *u);

/* jit.c: the steps of f, a run of which is run so often */
cr_status cr__compile_steps(cr_fn *f, const cr_jit_options *options, int64_t times, char *note, size_t size);

/* jitbuild.c */

typedef struct cr__note {
  char *text;
  size_t size;
} cr__note;
void cr__say(const cr__note *n, const char *format, ...)
#ifdef __GNUC__
    __attribute__((format(printf, 2, 3)))
#endif
    ;

typedef struct cr__compiler {
  char path[1024];
  const char *flags;
} cr__compiler;

/* The compiler's file; false: the note says that there is none. */
bool cr__find_compiler(const char *name, cr__compiler *c, const cr__note *note);
/* Compiles the source into the shared object of that name, in a folder where it may make files. */
bool cr__compile(const cr__compiler *c, const char *source, size_t length, const char *folder, const char *object,
                 const cr__note *note);
/* The table of a shared object; *handle keeps it. NULL: the note says why. */
void *cr__load(const char *path, void **handle, const cr__note *note);
/* A private folder for one compilation, and its end with all that is in it. */
bool cr__make_scratch(char *folder, size_t size, const cr__note *note);
void cr__remove_scratch(const char *folder);
/* Words that tell this processor and this compiler from others; false when the file cannot be looked at. */
bool cr__describe_target(const cr__compiler *c, char *text, size_t size);

/* jitcache.c */

enum { CR__KEY_LENGTH = 32, CR__PATH_LENGTH = 1200 };

typedef struct cr__key {
  const cr_allocator *allocator;
  char *text; /* all that decides what the object is */
  size_t length;
  char name[CR__KEY_LENGTH + 1];
} cr__key;

/* Makes the folder if it is not there; false: it cannot be made, or others could write to it. */
bool cr__open_cache(const char *folder, const cr__note *note);
/* The path of the entry, if there is one and it is what the key says. */
bool cr__find_entry(const char *folder, const cr__key *key, char *path, size_t size);
/* Adds the object to the cache; path becomes that of the entry. */
bool cr__add_entry(const char *folder, const cr__key *key, const char *object, char *path, size_t size,
                   const cr__note *note);
/* Removes what was used longest ago until no more than so many bytes are left. */
void cr__trim_cache(const char *folder, int64_t bytes);

#endif
