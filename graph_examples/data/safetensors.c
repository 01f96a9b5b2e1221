/* Safetensors: the length of a header, the header as JSON with dtype, shape and place of each tensor, and the bytes. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "readers.h"

static const size_t LONGEST_HEADER = 100000000; /* of the reference implementation */
static const char *const CHECKSUM = "checksum";

static const struct type {
  const char *name;
  cr__coding coding;
} types[] = {{"F64", {'f', 8, false}}, {"F32", {'f', 4, false}}, {"F16", {'f', 2, false}}, {"BF16", {'h', 2, false}},
             {"I64", {'i', 8, false}}, {"I32", {'i', 4, false}}, {"I16", {'i', 2, false}}, {"I8", {'i', 1, false}},
             {"U32", {'u', 4, false}}, {"U16", {'u', 2, false}}, {"U8", {'u', 1, false}},  {"BOOL", {'b', 1, false}}};
enum { N_TYPES = sizeof types / sizeof *types };

/* A tensor as the header describes it. */
typedef struct tensor {
  const char *name;
  const struct type *type;
  int rank;
  int64_t dim[CR_MAX_RANK];
  size_t begin, end;          /* of its bytes */
  const unsigned char *bytes; /* of all tensors */
} tensor;

/* The checksum: XXH3-128 of each tensor by name, and of each note but the checksum itself by key */

static void add_text(XXH3_state_t *h, const char *text) { XXH3_128bits_update(h, text, strlen(text) + 1); }

static int by_name(const void *a, const void *b) { return strcmp(((const tensor *)a)->name, ((const tensor *)b)->name); }
static int by_key(const void *a, const void *b) { return strcmp(((const cr_note *)a)->key, ((const cr_note *)b)->key); }

/* Sorts both lists. */
static cr_status checksum_of(char text[33], int n, tensor *tensors, int n_notes, cr_note *notes, cr_problem *p) {
  XXH3_state_t *h = XXH3_createState();
  if (!h) return cr__no_memory(p);
  XXH3_128bits_reset(h);
  if (n) qsort(tensors, (size_t)n, sizeof *tensors, by_name);
  if (n_notes) qsort(notes, (size_t)n_notes, sizeof *notes, by_key);
  for (const tensor *t = tensors; t < tensors + n; t++) {
    char dim[24];
    add_text(h, t->name);
    add_text(h, t->type->name);
    for (int i = -1; i < t->rank; i++) {
      snprintf(dim, sizeof dim, "%" PRId64, i < 0 ? t->rank : t->dim[i]);
      add_text(h, dim);
    }
    XXH3_128bits_update(h, t->bytes + t->begin, t->end - t->begin);
  }
  for (const cr_note *note = notes; note < notes + n_notes; note++)
    if (strcmp(note->key, CHECKSUM)) {
      add_text(h, note->key);
      add_text(h, note->text);
    }
  XXH128_hash_t sum = XXH3_128bits_digest(h);
  XXH3_freeState(h);
  snprintf(text, 33, "%016" PRIx64 "%016" PRIx64, (uint64_t)sum.high64, (uint64_t)sum.low64);
  return CR_OK;
}

/* Reading */

typedef struct source {
  const char *file;
  cr_problem *p;
  int n;
  tensor *tensor;
} source;

static cr_status refuse(source *r, const char *name, const char *what) {
  return cr__refuse_file(r->p, CR_BAD_ARGUMENT, r->file, "tensor '%.100s': %s", name, what);
}

static const struct type *type_named(const char *name) {
  for (int k = 0; name && k < N_TYPES; k++)
    if (!strcmp(types[k].name, name)) return &types[k];
  return NULL;
}

static bool take_offset(const json_t *list, size_t k, size_t *offset) {
  const json_t *x = json_array_get(list, k);
  *offset = (size_t)json_integer_value(x);
  return json_is_integer(x) && json_integer_value(x) >= 0;
}

static cr_status read_tensor(source *r, tensor *t, const char *name, const json_t *about) {
  const json_t *shape = json_object_get(about, "shape"), *place = json_object_get(about, "data_offsets");
  const char *type = json_string_value(json_object_get(about, "dtype"));
  int64_t count;
  size_t bytes;
  t->name = name;
  t->type = type_named(type);
  t->rank = (int)json_array_size(shape);
  if (!type || !json_is_array(shape) || json_array_size(place) != 2 || json_object_size(about) != 3)
    return refuse(r, name, "the header must have dtype, shape and data_offsets");
  if (!t->type)
    return cr__refuse_file(r->p, CR_BAD_DTYPE, r->file, "tensor '%.100s': dtype '%.40s' cannot be read", name, type);
  if (json_array_size(shape) > CR_MAX_RANK) return refuse(r, name, "more than 8 axes");
  for (int i = 0; i < t->rank; i++) {
    const json_t *n = json_array_get(shape, (size_t)i);
    t->dim[i] = json_integer_value(n);
    if (!json_is_integer(n) || t->dim[i] < 0) return refuse(r, name, "the shape is damaged");
  }
  if (!take_offset(place, 0, &t->begin) || !take_offset(place, 1, &t->end) || t->begin > t->end)
    return refuse(r, name, "the offsets are damaged");
  if (!cr__measure(t->rank, t->dim, 8, &count, &bytes)) return refuse(r, name, "the shape is larger than any memory");
  size_t want = (size_t)count * (size_t)t->type->coding.size;
  if (t->end - t->begin == want) return CR_OK;
  return cr__refuse_file(r->p, CR_BAD_SHAPE, r->file,
                         "tensor '%.100s': dtype and shape want %zu bytes, the offsets have %zu", name, want,
                         t->end - t->begin);
}

static cr_status read_notes(cr_archive *a, source *r, json_t *notes) {
  const char *key;
  json_t *text;
  if (!json_is_object(notes)) return cr__refuse_file(r->p, CR_BAD_ARGUMENT, r->file, "__metadata__ is not an object");
  json_object_foreach(notes, key, text) {
    if (!json_is_string(text))
      return cr__refuse_file(r->p, CR_BAD_ARGUMENT, r->file, "__metadata__: '%.100s' is not a text", key);
    cr_status status = cr_archive_note(a, key, json_string_value(text), r->p);
    if (status != CR_OK) return status;
  }
  return CR_OK;
}

static int by_place(const void *a, const void *b) {
  const tensor *x = a, *y = b;
  return x->begin != y->begin ? x->begin < y->begin ? -1 : 1 : (x->end > y->end) - (x->end < y->end);
}

/* The tensors fill the rest of the file without gap or overlap. */
static cr_status check_places(source *r, size_t size, size_t start) {
  size_t at = 0;
  if (r->n) qsort(r->tensor, (size_t)r->n, sizeof *r->tensor, by_place);
  for (const tensor *t = r->tensor; t < r->tensor + r->n; t++) {
    if (t->end > size)
      return cr__refuse_file(r->p, CR_BAD_ARGUMENT, r->file,
                             "offset %zu: the file ends within tensor '%.100s', which goes on to %zu", start + size, t->name,
                             start + t->end);
    if (t->begin != at)
      return cr__refuse_file(r->p, CR_BAD_ARGUMENT, r->file, "tensor '%.100s' begins at offset %zu, where %zu is next",
                             t->name, start + t->begin, start + at);
    at = t->end;
  }
  if (at == size) return CR_OK;
  return cr__refuse_file(r->p, CR_BAD_ARGUMENT, r->file, "offset %zu: %zu bytes follow the last tensor", start + at,
                         size - at);
}

static cr_status check_sum(cr_archive *a, source *r) {
  char sum[33];
  const char *want = cr_archive_text(a, CHECKSUM);
  cr_status status = want ? checksum_of(sum, r->n, r->tensor, a->n_notes, a->note, r->p) : CR_OK;
  if (!want || status != CR_OK) return status;
  want = cr_archive_text(a, CHECKSUM);
  if (!strcmp(sum, want)) return CR_OK;
  return cr__refuse_file(r->p, CR_MISMATCH, r->file, "checksum does not match: the file was altered or damaged");
}

static cr_status take_tensors(cr_archive *a, source *r) {
  for (const tensor *t = r->tensor; t < r->tensor + r->n; t++) {
    cr_array array;
    cr_status status = cr_array_make(&array, cr__dtype_for(t->type->coding), t->rank, t->dim, r->p);
    if (status != CR_OK) return status;
    cr__decode(&array, t->type->coding, t->bytes + t->begin);
    status = cr_archive_add(a, t->name, &array, r->p);
    cr_array_release(&array);
    if (status != CR_OK) return status;
  }
  return CR_OK;
}

static cr_status read_all(cr_archive *a, source *r, json_t *header, const unsigned char *bytes, size_t size, size_t start) {
  const char *name;
  json_t *about;
  r->tensor = calloc(json_object_size(header) + 1, sizeof *r->tensor);
  if (!r->tensor) return cr__no_memory(r->p);
  json_object_foreach(header, name, about) {
    bool notes = !strcmp(name, "__metadata__");
    cr_status status = notes ? read_notes(a, r, about) : read_tensor(r, &r->tensor[r->n], name, about);
    if (status != CR_OK) return status;
    if (!notes) r->tensor[r->n++].bytes = bytes;
  }
  cr_status status = check_places(r, size, start);
  if (status == CR_OK) status = check_sum(a, r);
  if (status == CR_OK && r->n) qsort(r->tensor, (size_t)r->n, sizeof *r->tensor, by_place);
  return status == CR_OK ? take_tensors(a, r) : status;
}

cr_status cr__parse_safetensors(cr_archive *a, const cr__bytes *b, const char *file, cr_problem *p) {
  memset(a, 0, sizeof *a);
  if (b->size < 8)
    return cr__refuse_file(p, CR_BAD_ARGUMENT, file, "offset %zu: the file ends within the header's length", b->size);
  uint64_t length = cr__word(b->at, 8, false);
  if (length > LONGEST_HEADER)
    return cr__refuse_file(p, CR_OVER_LIMIT, file, "offset 0: a header of %" PRIu64 " bytes: this is no safetensors file",
                           length);
  if (length > b->size - 8)
    return cr__refuse_file(p, CR_BAD_ARGUMENT, file, "offset %zu: the file ends within its header of %" PRIu64 " bytes",
                           b->size, length);
  json_error_t error;
  json_t *header = json_loadb((const char *)b->at + 8, (size_t)length, JSON_REJECT_DUPLICATES, &error);
  source r = {.file = file, .p = p};
  size_t start = 8 + (size_t)length;
  cr_status status =
      !header
          ? cr__refuse_file(p, CR_BAD_ARGUMENT, file, "offset %d: the header is damaged: %s", 8 + error.position, error.text)
      : !json_is_object(header) ? cr__refuse_file(p, CR_BAD_ARGUMENT, file, "offset 8: the header is not a JSON object")
                                : read_all(a, &r, header, b->at + start, b->size - start, start);
  json_decref(header);
  free(r.tensor);
  if (status != CR_OK) cr_archive_free(a);
  return status;
}

cr_status cr_read_safetensors(cr_archive *a, const char *path, cr_problem *p) {
  cr__bytes b;
  memset(a, 0, sizeof *a);
  cr_status status = cr__read_file(&b, path, CR__PLAIN, p);
  if (status == CR_OK) status = cr__parse_safetensors(a, &b, path, p);
  free(b.at);
  return status;
}

/* Writing */

static const struct type *type_of(const cr_array *a) {
  static const char *const name[] = {
      [CR_BOOL] = "BOOL", [CR_INT32] = "I32", [CR_INT64] = "I64", [CR_FLOAT32] = "F32", [CR_FLOAT64] = "F64"};
  return type_named(name[a->dtype]);
}

/* Wide numbers first, so that each tensor is aligned to its numbers. */
static void place_tensors(tensor *t, const cr_archive *a, size_t *size) {
  *size = 0;
  for (int width = 8; width; width /= 2)
    for (int k = 0; k < a->n; k++) {
      const cr_array *x = &a->entry[k].array;
      const struct type *type = type_of(x);
      if (type->coding.size != width) continue;
      *t = (tensor){.name = a->entry[k].name, .type = type, .rank = x->rank, .begin = *size};
      memcpy(t->dim, x->dim, sizeof t->dim);
      t++->end = *size += (size_t)x->count * (size_t)width;
    }
}

static json_t *header_of(const cr_archive *a, const tensor *t, const char *sum) {
  json_t *header = json_object(), *notes = json_object();
  bool good = header && notes;
  for (int k = 0; good && k < a->n_notes; k++)
    if (strcmp(a->note[k].key, CHECKSUM)) good = !json_object_set_new(notes, a->note[k].key, json_string(a->note[k].text));
  good = good && !json_object_set_new(notes, CHECKSUM, json_string(sum));
  good = good && !json_object_set(header, "__metadata__", notes);
  for (int k = 0; good && k < a->n; k++, t++) {
    json_t *shape = json_array();
    for (int i = 0; i < t->rank; i++) json_array_append_new(shape, json_integer(t->dim[i]));
    good = !json_object_set_new(header, t->name,
                                json_pack("{s:s, s:o, s:[I, I]}", "dtype", t->type->name, "shape", shape, "data_offsets",
                                          (json_int_t)t->begin, (json_int_t)t->end));
  }
  json_decref(notes);
  if (good) return header;
  json_decref(header);
  return NULL;
}

/* The bytes of the file: header and padding in front of the tensors. */
static cr_status assemble(cr__bytes *b, json_t *header, const unsigned char *data, size_t size, cr_problem *p) {
  char *text = header ? json_dumps(header, JSON_COMPACT) : NULL;
  if (!text) return cr_refuse(p, CR_BAD_ARGUMENT, "a name or a note is not UTF-8, or memory ran out");
  size_t length = strlen(text), padded = (length + 7) / 8 * 8;
  *b = (cr__bytes){malloc(8 + padded + size), 8 + padded + size};
  if (b->at) {
    for (int k = 0; k < 8; k++) b->at[k] = (unsigned char)(padded >> 8 * k);
    memset(b->at + 8, ' ', padded);
    memcpy(b->at + 8, text, length);
    if (size) memcpy(b->at + 8 + padded, data, size);
  }
  free(text);
  return b->at ? CR_OK : cr__no_memory(p);
}

static cr_status format_archive(cr__bytes *b, const cr_archive *a, tensor *t, cr_note *notes, cr_problem *p) {
  char sum[33];
  size_t size;
  place_tensors(t, a, &size);
  unsigned char *data = malloc(size + 1);
  if (!data) return cr__no_memory(p);
  for (int k = 0; k < a->n; k++) {
    cr__encode(data + t[k].begin, cr_archive_find(a, t[k].name));
    t[k].bytes = data;
  }
  if (a->n_notes) memcpy(notes, a->note, (size_t)a->n_notes * sizeof *notes);
  cr_status status = checksum_of(sum, a->n, t, a->n_notes, notes, p);
  if (a->n) qsort(t, (size_t)a->n, sizeof *t, by_place);
  json_t *header = status == CR_OK ? header_of(a, t, sum) : NULL;
  if (status == CR_OK) status = assemble(b, header, data, size, p);
  json_decref(header);
  free(data);
  return status;
}

cr_status cr_write_safetensors(const cr_archive *a, const char *path, cr_problem *p) {
  cr__bytes b = {NULL, 0};
  tensor *t = calloc((size_t)a->n + 1, sizeof *t);
  cr_note *notes = calloc((size_t)a->n_notes + 1, sizeof *notes);
  cr_status status = t && notes ? format_archive(&b, a, t, notes, p) : cr__no_memory(p);
  if (status == CR_OK) status = cr_write_file(b.at, b.size, path, p);
  free(b.at);
  free(t);
  free(notes);
  return status;
}
