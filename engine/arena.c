/* See arena.h. */
#if defined(__linux__)
#define _GNU_SOURCE
#include <sys/mman.h>
#endif
#include "arena.h"

#include <stdlib.h>
#include <string.h>

#ifdef CR_HOSTILE
enum { FIRST_CHUNK = 64, LARGEST_CHUNK = 256 };
#else
enum { FIRST_CHUNK = 1 << 14, LARGEST_CHUNK = 1 << 26 };
#endif

/* First touch of fresh pages costs more than recording; huge pages make it a hundredth of the faults. Blocks from this
 * size on are mapped, aligned to a huge page and grown in place by the kernel moving page tables, not bytes. */
#if defined(__linux__) && defined(MADV_HUGEPAGE) && !defined(CR_HOSTILE)
enum { HUGE_PAGE = 1 << 21 };
static const size_t MAPPED_FROM = (size_t)4 * HUGE_PAGE;

static size_t whole_pages(size_t n) { return (n + HUGE_PAGE - 1) & ~(size_t)(HUGE_PAGE - 1); }

static void *map_aligned(size_t size) {
  size_t wide = size + HUGE_PAGE;
  char *p = mmap(NULL, wide, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) return NULL;
  char *start = (char *)(((uintptr_t)p + HUGE_PAGE - 1) & ~(uintptr_t)(HUGE_PAGE - 1));
  if (start > p) munmap(p, (size_t)(start - p));
  char *end = p + wide, *stop = start + size;
  if (end > stop) munmap(stop, (size_t)(end - stop));
  madvise(start, size, MADV_HUGEPAGE);
  return start;
}

static void *default_reallocate(void *user, void *p, size_t old_size, size_t new_size) {
  (void)user;
  int was = p && old_size >= MAPPED_FROM, will = new_size >= MAPPED_FROM;
  if (!was && !will) {
    if (new_size) return realloc(p, new_size);
    free(p);
    return NULL;
  }
  size_t old_pages = whole_pages(old_size), new_pages = whole_pages(new_size);
  if (was && will && old_pages == new_pages) return p;
  void *fresh = NULL;
  if (new_size) {
    fresh = will ? map_aligned(new_pages) : malloc(new_size);
    if (!fresh) return NULL;
    if (was && will && old_pages < new_pages) {
      void *moved = mremap(p, old_pages, old_pages, MREMAP_MAYMOVE | MREMAP_FIXED, fresh);
      if (moved != MAP_FAILED) return fresh;
    }
    if (p) memcpy(fresh, p, old_size < new_size ? old_size : new_size);
  }
  if (was) munmap(p, old_pages);
  else free(p);
  return fresh;
}
#else
static void *default_reallocate(void *user, void *p, size_t old_size, size_t new_size) {
  (void)user, (void)old_size;
  if (new_size) return realloc(p, new_size);
  free(p);
  return NULL;
}
#endif

const cr_allocator cr__default_allocator = {default_reallocate, NULL};

void *cr__resize(const cr_allocator *a, void *p, size_t old_size, size_t new_size) {
  if (!p && !new_size) return NULL;
  return a->reallocate(a->user, p, old_size, new_size);
}

void cr__arena_init(cr_arena *a, const cr_allocator *allocator) {
  memset(a, 0, sizeof *a);
  a->allocator = allocator;
}

/* A new last chunk of at least bytes, each twice the one before. */
static int add_chunk(cr_arena *a, size_t bytes) {
  if (a->n_chunks == a->capacity) {
    uint32_t capacity = a->capacity ? 2 * a->capacity : 4;
    cr_chunk *chunk = cr__resize(a->allocator, a->chunk, a->capacity * sizeof *chunk, capacity * sizeof *chunk);
    if (!chunk) return 0;
    a->chunk = chunk;
    a->capacity = capacity;
  }
  size_t size = a->n_chunks ? 2 * a->chunk[a->n_chunks - 1].size : FIRST_CHUNK;
  size_t largest = a->largest && a->largest < LARGEST_CHUNK ? a->largest : LARGEST_CHUNK;
  if (size > largest) size = largest;
  if (size < bytes) size = bytes;
  char *base = cr__resize(a->allocator, NULL, 0, size);
  if (!base) return 0;
  a->chunk[a->n_chunks++] = (cr_chunk){base, size};
  a->bytes += size;
  return 1;
}

void *cr__arena_next(cr_arena *a, size_t bytes, size_t align) {
  if (bytes > SIZE_MAX / 2) return NULL;
  while (a->current + 1 < a->n_chunks) {
    cr__arena_reset(a, a->current + 1, 0);
    if (bytes + CR__GRAIN + align <= a->size) return cr__arena_take(a, bytes, align);
  }
  if (!add_chunk(a, bytes + CR__GRAIN + align)) return NULL;
  cr__arena_reset(a, a->n_chunks - 1, 0);
  return cr__arena_take(a, bytes, align);
}

char *cr__arena_text(cr_arena *a, const char *text, size_t length) {
  char *copy = cr__arena_take(a, length + 1, 1);
  if (!copy) return NULL;
  memcpy(copy, text, length);
  copy[length] = 0;
  return copy;
}

void cr__arena_reset(cr_arena *a, uint32_t chunk, size_t used) {
  a->current = chunk;
  a->used = used;
  if (chunk < a->n_chunks) a->base = a->chunk[chunk].base, a->size = a->chunk[chunk].size;
}

void cr__arena_free(cr_arena *a) {
  for (uint32_t i = 0; i < a->n_chunks; i++) cr__resize(a->allocator, a->chunk[i].base, a->chunk[i].size, 0);
  cr__resize(a->allocator, a->chunk, a->capacity * sizeof *a->chunk, 0);
  cr__arena_init(a, a->allocator);
}

int cr__arena_holds(const cr_arena *a, const void *p) {
  for (uint32_t i = 0; i <= a->current && i < a->n_chunks; i++)
    if ((uintptr_t)p - (uintptr_t)a->chunk[i].base < a->chunk[i].size) return 1;
  return 0;
}

size_t cr__arena_used(const cr_arena *a) {
  size_t n = a->used;
  for (uint32_t i = 0; i < a->current && i < a->n_chunks; i++) n += a->chunk[i].size;
  return n;
}
