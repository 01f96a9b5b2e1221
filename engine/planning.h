/* What the files of planning share: what is known of the nodes of a graph. */
#ifndef CR_PLANNING_H
#define CR_PLANNING_H

#include "graph.h"

#define CR__NEVER UINT32_MAX

/* What is known of a node while planning. */
typedef struct cr__fact {
  cr__role role;
  uint32_t level, step;
  uint32_t root;             /* the node whose numbers a view shows */
  uint32_t dies;             /* the last step that reads a root or its views; CR__NEVER: after the last */
  uint32_t tail;             /* of a member: the kernel within which it runs, 0 none */
  uint32_t chain;            /* the first member of the block, where blocks of this level and count are apart, else 0 */
  uint32_t reader;           /* of a root, while looking for that: a member that reads it */
  uint32_t last_line;        /* of the block of that step that reads it */
  bool stored;               /* has memory: not only inside a block */
  bool taken;                /* its memory went to a result */
  bool gathered;             /* read by other positions, too, in the block looked at */
} cr__fact;

typedef struct cr__planning {
  cr_fn *f;
  cr_tape *t;
  cr__fact *fact;
  unsigned char *mark;       /* two by node */
  uint32_t count;
  uint32_t last_kernel;      /* steps from here on cannot fail */
} cr__planning;

static inline bool cr__in_block(cr__role role) { return role == CR__MEMBER || role == CR__ALIAS; }

/* plan.c */
bool cr__is_flat_same(const cr_tape *t, uint32_t view, uint32_t of);
int64_t cr__block_count(const cr__planning *p, uint32_t id);

/* tails.c */
void cr__find_chains(cr__planning *p);

/* lines.c */
void cr__note_lines(cr__planning *p, const cr__step *s); /* last_line and gathered of what a block reads */
bool cr__make_blocks(cr__planning *p, cr__step *s);
void cr__spill(cr__planning *p);                         /* blocks that need too many slots keep their results in memory */

/* strips.c */
bool cr__make_strips(cr__planning *p, cr__step *s);

/* storage.c */
bool cr__place_all(cr__planning *p);                     /* where every result is kept */

#endif
