/* Shared by the files of data/, not exported: readers of formats whose bytes lie in memory already. Each takes the name of
 * the file for its messages, and leaves its result empty when it fails. */
#ifndef CR_READERS_H
#define CR_READERS_H

#include <op.h>
#include <ops.h>
#include <stdbool.h>
#include <stddef.h>

#include "data.h"

typedef struct cr__bytes {
  unsigned char *at;
  size_t size;
} cr__bytes;

enum cr__packing { CR__PLAIN, CR__MAYBE_GZIP };
/* A whole file with a 0 behind it; freed with free. */
cr_status cr__read_file(cr__bytes *b, const char *path, enum cr__packing packing, cr_problem *p);

cr_status cr__parse_npy(cr_array *a, const cr__bytes *b, const char *file, cr_problem *p);
cr_status cr__parse_npz(cr_archive *a, const cr__bytes *b, const char *file, cr_problem *p);
cr_status cr__parse_idx(cr_array *a, const cr__bytes *b, const char *file, cr_problem *p);
cr_status cr__parse_safetensors(cr_archive *a, const cr__bytes *b, const char *file, cr_problem *p);
/* header: 1, 0, or -1 to find out. Changes the bytes. */
cr_status cr__parse_csv(cr_table *t, cr__bytes *b, int header, const char *file, cr_problem *p);

/* As .npy bytes in memory that the caller frees. */
cr_status cr__format_npy(cr__bytes *b, const cr_array *a, cr_problem *p);

/* "FILE: ..."; of a long path the end is kept. */
cr_status cr__refuse_file(cr_problem *p, cr_status status, const char *file, const char *format, ...)
  __attribute__((format(printf, 4, 5)));
cr_status cr__no_memory(cr_problem *p);

/* The one of n names that name is probably meant to be, or NULL; with a stride, for names in structs. */
const char *cr__meant(const char *name, int n, const void *first, size_t stride);

/* Numbers as files hold them */

typedef struct cr__coding {
  char kind;  /* 'f', 'i', 'u', 'b', or 'h' for bfloat16 */
  int size;   /* bytes */
  bool big;   /* endian */
} cr__coding;
bool cr__is_big_endian(void);
/* The dtype that holds them without loss; whole numbers of one and two bytes become int32. */
cr_dtype cr__dtype_for(cr__coding c);
/* Fills a contiguous array of that dtype. The index of a number too large for int64, else -1. */
int64_t cr__decode(cr_array *a, cr__coding c, const unsigned char *from);
/* The bytes of a contiguous array, little-endian, into to. */
void cr__encode(unsigned char *to, const cr_array *a);
uint64_t cr__word(const unsigned char *b, int size, bool big);

/* Bytes of that many numbers into *bytes; false where they do not fit into memory at all. */
bool cr__measure(int rank, const int64_t *dims, size_t size, int64_t *count, size_t *bytes);

/* A decimal number that takes all of the text, in any locale; point: '.' or ','. Not inf or nan. */
bool cr__decimal(const char *s, char point, double *x);

/* Sources (sources.c): what makes a dataset of its arguments */
typedef struct cr__order {
  const cr_arguments *a;
  const char *base;
  cr_dtype dtype;
  cr_problem *p;
} cr__order;
typedef cr_status (*cr__maker)(cr_dataset *d, const cr__order *o);
cr_status cr__make_moons(cr_dataset *d, const cr__order *o);
cr_status cr__make_circles(cr_dataset *d, const cr__order *o);
cr_status cr__make_spirals(cr_dataset *d, const cr__order *o);
cr_status cr__make_xor(cr_dataset *d, const cr__order *o);
cr_status cr__make_blobs(cr_dataset *d, const cr__order *o);
cr_status cr__make_sine(cr_dataset *d, const cr__order *o);
cr_status cr__make_polynomial(cr_dataset *d, const cr__order *o);
cr_status cr__make_points(cr_dataset *d, const cr__order *o);
cr_status cr__make_csv(cr_dataset *d, const cr__order *o);
cr_status cr__make_idx(cr_dataset *d, const cr__order *o);
cr_status cr__make_npy(cr_dataset *d, const cr__order *o);
cr_status cr__make_npz(cr_dataset *d, const cr__order *o);
cr_status cr__make_safetensors(cr_dataset *d, const cr__order *o);
cr_status cr__make_text(cr_dataset *d, const cr__order *o);

/* The argument as a path from the base; the caller frees it. NULL after a refusal. */
char *cr__path_of(const cr__order *o, const char *name);
/* True, False, or None. */
enum cr__choice { CR__NO, CR__YES, CR__EITHER };
cr_status cr__choice_of(enum cr__choice *choice, const cr__order *o, const char *name);
/* y from class numbers: themselves, or their ranks where one is negative, -100 as it is; file names them in messages. */
cr_status cr__number_classes(cr_dataset *d, const cr_array *labels, const char *file, cr_problem *p);
/* y from texts: their ranks in alphabetical order. */
cr_status cr__text_classes(cr_dataset *d, int64_t n, const char *const *text, cr_problem *p);
/* y from values: (n) becomes (n, 1). */
cr_status cr__set_values(cr_dataset *d, const cr_array *values, const cr__order *o);
/* x as (examples, shape...) with the argument shape, when it is given, and n_features as its last axis. */
cr_status cr__reshape(cr_dataset *d, const cr__order *o);
void cr__drop_feature_names(cr_dataset *d);
/* Copies of n texts; NULL when memory runs out. */
char **cr__copy_texts(int64_t n, const char *const *text);
/* The pointers alone in alphabetical order, for cr__by_text to search; freed with free. */
const char **cr__sorted_texts(int64_t n, const char *const *text);
int cr__by_text(const void *a, const void *b);

#endif
