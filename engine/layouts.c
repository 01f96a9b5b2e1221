/* How records lie: one array without data for all of a tape that have the same dimensions, strides and dtype. */
#include "internal.h"
#include "parallel.h"

enum { FEW_BYTES = 256 }; /* more are aligned to a cache line */
/* A tape with more has the others once for each record. */
#ifdef CR_HOSTILE
enum { FIRST_SIZE = 2, MOST_KEPT = 4 };
#else
enum { FIRST_SIZE = 64, MOST_KEPT = 1 << 12 };
#endif

const cr_layout cr__scalar_layout = {.array = {.count = 1, .dtype = CR_FLOAT64, .contiguous = 1}};
const cr_layout cr__no_layout = {.quick = false};

static bool same(const cr_array *a, const cr_array *b) {
  bool is = a->rank == b->rank && a->dtype == b->dtype && a->contiguous == b->contiguous;
  for (int i = 0; is && i < a->rank; i++) is = a->dim[i] == b->dim[i] && a->stride[i] == b->stride[i];
  return is;
}

/* Is it quick? An axis of one element may have any stride, which the results of rows do not have. */
static void look(const cr_tape *t, cr_layout *l) {
  const cr_array *a = &l->array;
  cr_array dense;
  cr_array_init(&dense, (cr_dtype)a->dtype, a->rank, a->dim);
  const size_t size = (size_t)a->count * cr_dtype_size((cr_dtype)a->dtype), align = size > FEW_BYTES ? 64 : CR__GRAIN;
  l->quick = t->few && a->dtype >= CR_FLOAT32 && a->contiguous && a->count <= CR__BLOCK && same(a, &dense);
  l->kernels = a->count > CR__FEW_NUMBERS ? CR__MANY : a->dtype == CR_FLOAT64 ? CR__FEW_DOUBLE : CR__FEW_FLOAT;
  l->bytes = (align + CR__QUICK_HEAD / CR__GRAIN * CR__GRAIN + size + CR__GRAIN - 1) & ~(size_t)(CR__GRAIN - 1);
  l->reach = CR__QUICK_HEAD + align - 1;
  l->mask = ~(uintptr_t)(align - 1);
}

/* Where in the table it is or can be put. */
static uint32_t place_of(const cr_tape *t, const cr_array *a) {
  uint64_t h = (uint64_t)(a->rank + 16 * a->dtype);
  for (int i = 0; i < a->rank; i++) h = (h ^ (uint64_t)(a->dim[i] + (a->stride[i] << 20))) * 0x9E3779B97F4A7C15u;
  uint32_t mask = t->layouts_size - 1, at = (uint32_t)(h >> 32) & mask;
  while (t->layout[at] && !same(t->layout[at], a)) at = (at + 1) & mask;
  return at;
}

static bool grow(cr_tape *t) {
  const uint32_t old_size = t->layouts_size, size = old_size ? 2 * old_size : FIRST_SIZE;
  const cr_array **old = t->layout, **layout = cr__resize_on(t, NULL, 0, size * sizeof *layout);
  if (!layout) return false;
  memset((void *)layout, 0, size * sizeof *layout);
  t->layout = layout;
  t->layouts_size = size;
  for (uint32_t k = 0; k < old_size; k++)
    if (old[k]) layout[place_of(t, old[k])] = old[k];
  cr__resize(&t->counted, (void *)old, old_size * sizeof *old, 0);
  return true;
}

void cr__layouts_free(cr_tape *t) { cr__resize(&t->counted, (void *)t->layout, t->layouts_size * sizeof *t->layout, 0); }

const cr_array *cr__layout(cr_tape *t, cr_arena *arena, const cr_array *a) {
  const bool full = t->n_layouts == MOST_KEPT;
  if (!full && 2 * t->n_layouts >= t->layouts_size && !grow(t)) return NULL;
  const cr_array **place = &t->layout[place_of(t, a)];
  if (*place) return *place;
  cr_layout *own = cr__arena_take(full ? arena : &t->lasting, sizeof *own, 8);
  if (!own) return cr__out_of_memory(t), NULL;
  *own = (cr_layout){.array = cr__lying(a, NULL)};
  look(t, own);
  if (!full) *place = &own->array, t->n_layouts++;
  return &own->array;
}

const cr_array *cr__dense_layout(cr_tape *t, cr_arena *arena, const cr_array *like) {
  cr_array dense;
  if (like->contiguous) return like;
  cr_array_init(&dense, (cr_dtype)like->dtype, like->rank, like->dim);
  return cr__layout(t, arena, &dense);
}
