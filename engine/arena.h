/* Chunked bump allocation over a cr_allocator, with marks: reset gives memory back for reuse, free to the allocator. */
#ifndef CR_ARENA_H
#define CR_ARENA_H

#include "engine.h"

typedef struct cr_chunk {
  char *base;
  size_t size;
} cr_chunk;

typedef struct cr_arena {
  const cr_allocator *allocator;
  cr_chunk *chunk;
  uint32_t n_chunks, capacity; /* chunks held */
  uint32_t current;            /* index of the chunk in use */
  size_t used;                 /* bytes used of it */
  size_t bytes;                /* held in all chunks */
} cr_arena;

void cr__arena_init(cr_arena *a, const cr_allocator *allocator);
/* Uninitialised memory aligned to align (a power of two, at most 64); NULL when memory runs out. */
void *cr__arena_take(cr_arena *a, size_t bytes, size_t align);
char *cr__arena_text(cr_arena *a, const char *text, size_t length); /* copy with a final 0 */
void cr__arena_reset(cr_arena *a, uint32_t chunk, size_t used);
void cr__arena_free(cr_arena *a);
/* Whether p lies in memory taken from it. */
int cr__arena_holds(const cr_arena *a, const void *p);
/* Bytes used up to the current position. */
size_t cr__arena_used(const cr_arena *a);

/* The allocator of tapes that bring none: realloc, and for large blocks pages that the system may make huge. */
extern const cr_allocator cr__default_allocator;
void *cr__resize(const cr_allocator *a, void *p, size_t old_size, size_t new_size);

#endif
