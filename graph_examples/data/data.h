/* Data for training: files to arrays and back, synthetic sets, splits. Part of the networks library, which stands on
 * chainrule.h. Arrays here own their memory and are contiguous, row-major; the first axis counts the examples. */
#ifndef CR_DATA_H
#define CR_DATA_H

#include <engine.h>
#include <formula.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What was wrong, in one line that names the file, the line or offset, and the reason. */
typedef struct cr_problem {
  cr_status status;
  char text[512];
} cr_problem;
/* Fills *p (which may be NULL), printf-like; returns status. The first problem stays. */
CR_API cr_status cr_refuse(cr_problem *p, cr_status status, const char *format, ...)
#ifdef __GNUC__
  __attribute__((format(printf, 3, 4)))
#endif
  ;

/* "unknown optimizer 'adma'; did you mean 'adam'?", or what there is. at(k): the k-th name, which ends at a bracket or
 * comma, as in a signature; NULL past the end. */
CR_API cr_status cr_refuse_name(cr_problem *p, const char *what, const char *name, const char *(*at)(int k));

/* Zeros of that shape in memory of their own, aligned to 64 bytes. */
CR_API cr_status cr_array_make(cr_array *a, cr_dtype dtype, int rank, const int64_t *dims, cr_problem *p);
CR_API cr_status cr_array_clone(cr_array *a, const cr_array *from, cr_dtype dtype, cr_problem *p); /* converts */
CR_API void cr_array_release(cr_array *a);
/* XXH3-64 of dtype, shape and bytes. */
CR_API uint64_t cr_array_hash(const cr_array *a, uint64_t seed);

/* Calls as the language writes them, "adam(lr=1e-3, amsgrad=True)", bound to a signature such as
 * "adam(lr=0.001, betas=[0.9, 0.999], amsgrad=False)". A parameter without a default must be given. */

typedef enum cr_argument_kind { CR_ARGUMENT_NONE, CR_ARGUMENT_NUMBER, CR_ARGUMENT_TEXT, CR_ARGUMENT_LIST } cr_argument_kind;
typedef struct cr_argument {
  const char *name;
  cr_argument_kind kind;
  int given;               /* written in the call, not a default */
  double number;           /* True and False are 1 and 0 */
  const char *text;
  int n;                   /* numbers of a list */
  double *list;
  int rows;                /* of a list of lists, each of n / rows numbers; else 0 */
  int n_texts;             /* texts of a list */
  const char **texts;
} cr_argument;
typedef struct cr_arguments {
  char *name;              /* of the function called; every text of the arguments is freed with it */
  int n;
  cr_argument *argument;   /* in the order of the signature */
  cr_tape *tape;           /* that all of it lives on */
} cr_arguments;
/* Values may be expressions over the variables of names (NULL: none). What a parameter takes follows from its default: a
 * number, a text or None, a list (also of texts; a number is a list of one). A parameter without a default, or with None,
 * takes any.
 * A text may be written without quotes where it is one word, and a call given where no number is wanted is a text:
 * warmup(10, then=cosine(floor=0.1)). Errors name the call, the parameter, and the nearest name. */
CR_API cr_status cr_arguments_read(cr_arguments *a, const char *call, const char *signature, cr_program *names,
                                   cr_problem *p);
CR_API void cr_arguments_free(cr_arguments *a);
/* By name; the name must be one of the signature's. */
CR_API const cr_argument *cr_argument_of(const cr_arguments *a, const char *name);
CR_API double cr_number_of(const cr_arguments *a, const char *name, double if_none);
CR_API const char *cr_text_of(const cr_arguments *a, const char *name); /* NULL for None */
/* Refuses a number outside [low, high], or one with a fraction where whole is set. None passes. */
CR_API cr_status cr_number_within(const cr_arguments *a, const char *name, double low, double high, int whole,
                                  cr_problem *p);
/* Refuses what is neither of that kind nor None. */
CR_API cr_status cr_argument_is(const cr_arguments *a, const char *name, cr_argument_kind kind, cr_problem *p);

/* Archives: named arrays and notes, as .npz and .safetensors hold them */

typedef struct cr_entry {
  char *name;
  cr_array array;
} cr_entry;
typedef struct cr_note {
  char *key, *text;
} cr_note;
typedef struct cr_archive {
  int n, n_notes;
  cr_entry *entry;
  cr_note *note;
} cr_archive;
/* Adds a contiguous copy; two arrays of one name are refused. */
CR_API cr_status cr_archive_add(cr_archive *a, const char *name, const cr_array *array, cr_problem *p);
/* Adds a note, or replaces the one of that key. */
CR_API cr_status cr_archive_note(cr_archive *a, const char *key, const char *text, cr_problem *p);
CR_API const cr_array *cr_archive_find(const cr_archive *a, const char *name); /* NULL without one */
CR_API const char *cr_archive_text(const cr_archive *a, const char *key);
CR_API void cr_archive_free(cr_archive *a);

/* Files. Readers take plain and gzip files alike where a format is commonly compressed (CSV, IDX, text). Writers write to a
 * temporary file beside the target, sync and rename, so that the old file stays until the new one is whole. */

/* NumPy's files: one array, and arrays by name (stored or deflated, up to 4 GiB). */
CR_API cr_status cr_read_npy(cr_array *a, const char *path, cr_problem *p);
CR_API cr_status cr_write_npy(const cr_array *a, const char *path, cr_problem *p);
CR_API cr_status cr_read_npz(cr_archive *a, const char *path, cr_problem *p);
CR_API cr_status cr_write_npz(const cr_archive *a, const char *path, cr_problem *p);
/* IDX, the format of MNIST: http://yann.lecun.com/exdb/mnist; unsigned bytes become int32, or float32 by scale. */
CR_API cr_status cr_read_idx(cr_array *a, const char *path, cr_problem *p);
/* Safetensors; the note "checksum" holds the XXH3-128 of all tensors' bytes, names, dtypes and shapes and of all other
 * notes. It is written always, and verified when it is there. */
CR_API cr_status cr_read_safetensors(cr_archive *a, const char *path, cr_problem *p);
CR_API cr_status cr_write_safetensors(const cr_archive *a, const char *path, cr_problem *p);
/* The whole file, 0-terminated; the caller frees *text. */
CR_API cr_status cr_read_text(char **text, size_t *length, const char *path, cr_problem *p);
/* Writes the bytes by way of a temporary file, synced and renamed. */
CR_API cr_status cr_write_file(const void *bytes, size_t length, const char *path, cr_problem *p);

/* CSV (RFC 4180; also tab, semicolon, # comments, spaces between numbers; with semicolons, a comma may be the decimal
 * point). A column of numbers holds them, NaN where one is missing ("", NA, N/A, ?) or written as nan; any other column
 * holds the rank of each text among its levels, which are in order of first appearance, and NaN where it is missing. A first
 * row without a number is a header. */
typedef struct cr_column {
  char *name;              /* from the header, else "c0", "c1", ... */
  double *number;
  int n_levels;            /* 0: a column of numbers */
  char **level;
  int64_t missing;         /* how many, nan among numbers not counted */
} cr_column;
typedef struct cr_table {
  int64_t n_rows;
  int n_columns;
  int has_header;
  cr_column *column;
  long *line;              /* of the file, on which each row begins */
} cr_table;
CR_API cr_status cr_read_csv(cr_table *table, const char *path, cr_problem *p);
CR_API void cr_table_free(cr_table *table);
/* By name, or number from 0 (negative: from the end); -1 when there is none. */
CR_API int cr_table_column(const cr_table *table, const char *name);

/* Datasets: examples and what to predict */

typedef struct cr_dataset {
  char *title;
  cr_array x;              /* (examples, ...) float of the dtype asked for, or int64 tokens */
  cr_array y;              /* (examples, ...): int64 classes (n_classes > 0), or float; rank 0 where there is no target */
  int n_classes;
  char **class_name;       /* n_classes of them, or NULL */
  int letters;             /* x holds classes too: those of a text */
  int n_features;
  char **feature_name;     /* of the last axis of x, or NULL */
  cr_array center, scale;  /* of each feature, where x was standardised; else data NULL */
} cr_dataset;
CR_API void cr_dataset_free(cr_dataset *d);
CR_API int64_t cr_dataset_size(const cr_dataset *d); /* examples */

/* A source as the language writes it, one of cr_source_at: csv('iris.csv', target='species'), idx('images.gz', 'labels.gz'),
 * npz('d.npz'), text('book.txt', length=64), moons(200, noise=0.1), ... Relative paths start at base (NULL: the working
 * directory). Classes are numbered from 0: texts in alphabetical order, whole numbers as they are (by rank where one is
 * negative); a -100 stays, and stands for no class, which losses (ignore_index) and metrics leave out. names: as in
 * cr_arguments_read. */
CR_API cr_status cr_dataset_read(cr_dataset *d, const char *call, const char *base, cr_dtype dtype, cr_program *names,
                                 cr_problem *p);
typedef struct cr_source {
  const char *signature, *doc;
} cr_source;
CR_API const cr_source *cr_source_at(int k); /* NULL past the end */

/* A copy of the examples whose numbers are given. */
CR_API cr_status cr_dataset_take(cr_dataset *d, const cr_dataset *from, int64_t n, const int64_t *which, cr_problem *p);
/* Consecutive examples [from, to). */
CR_API cr_status cr_dataset_slice(cr_dataset *d, const cr_dataset *of, int64_t from, int64_t to, cr_problem *p);
/* A shuffled split: the first part holds fraction of the examples (each class in proportion when there are classes). */
CR_API cr_status cr_dataset_split(cr_dataset *first, cr_dataset *second, const cr_dataset *all, double fraction,
                                  uint64_t seed, cr_problem *p);
/* (x - mean) / standard deviation by feature, measured on fit, applied to d; both may be the same. Where fit is standardised
 * already, its center and scale are what is applied; where d is, nothing happens. Constant features stay at 0. */
CR_API cr_status cr_dataset_standardize(cr_dataset *d, const cr_dataset *fit, cr_problem *p);

/* Makes d fit a model of like: its columns get like's order, its classes and characters like's numbers, by their names, and
 * x is standardised as like's was. Columns that like does not have go. Refuses classes and words that like does not have,
 * columns that d does not have, and examples of another shape. */
CR_API cr_status cr_dataset_align(cr_dataset *d, const cr_dataset *like, cr_problem *p);

/* The permutation of n that seed and epoch give: which example comes k-th (Fisher and Yates over Philox). */
CR_API void cr_shuffle(int64_t n, uint64_t seed, uint64_t epoch, int64_t *order);
/* Random numbers in order: uniform in [0, 1), standard normal; a counter that is plain data, so that it can be saved. */
typedef struct cr_random {
  uint64_t seed, count;
} cr_random;
CR_API double cr_random_uniform(cr_random *r);
CR_API double cr_random_normal(cr_random *r);

#ifdef __cplusplus
}
#endif
#endif
