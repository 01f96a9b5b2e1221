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
  char *base;                  /* that chunk; NULL before the first */
  size_t used, size;           /* bytes used of it, of all its bytes */
  size_t bytes;                /* held in all chunks */
  size_t largest;              /* chunks grow up to this; 0: 64 MiB. Less for one in another, whose slack would multiply */
} cr_arena;

void cr__arena_init(cr_arena *a, const cr_allocator *allocator);
void *cr__arena_next(cr_arena *a, size_t bytes, size_t align); /* from the chunks after the one in use */
/* Whole bytes are used up, so that what follows is aligned to as many. */
enum { CR__GRAIN = 16 };
/* Uninitialised memory aligned to align (a power of two, at most 64); NULL when memory runs out. */
static inline void *cr__arena_take(cr_arena *a, size_t bytes, size_t align) {
  const size_t whole = (bytes + CR__GRAIN - 1) & ~(size_t)(CR__GRAIN - 1);
  const size_t skip = -((uintptr_t)a->base + a->used) & (align - 1), room = a->size - a->used;
  if (!a->base || whole < bytes || skip > room || whole > room - skip) return cr__arena_next(a, bytes, align);
  char *p = a->base + a->used + skip;
  a->used += skip + whole;
  return p;
}
/* The same for a positive multiple of the grain, aligned to it, where the chunk in use has that much; else NULL. */
static inline void *cr__arena_bump(cr_arena *a, size_t bytes) {
  const size_t used = a->used + bytes;
  if (used > a->size) return NULL;
  char *p = a->base + a->used;
  a->used = used;
  return p;
}
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
