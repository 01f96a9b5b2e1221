/* The order in which a run computes inline scalars: as few and long strips of one row as are easily had. Always the row with
 * the most nodes whose operands are known comes next, and goes on as long as it has any. */
#include "planning.h"

typedef struct scheduling {
  const cr_tape *t;
  uint32_t from, to;
  unsigned char *waits;      /* by node - from: operands not computed yet */
  uint32_t *users, *user;    /* those of node k are user[users[k]] up to user[users[k + 1]] */
  uint32_t *next;            /* in the list of its row, 0 at the end */
  uint32_t first[CR__FIRST_ROW + 512], last[CR__FIRST_ROW + 512], ready[CR__FIRST_ROW + 512];
} scheduling;

enum { MOST_ROWS = CR__FIRST_ROW + 512, SHORTEST = 3, FEW = 32 };

static size_t room(const scheduling *s) {
  size_t n = s->to - s->from;
  return n * (1 + 4 * sizeof(uint32_t)) + sizeof(uint32_t);
}

static bool inside(const scheduling *s, uint32_t id) { return id >= s->from && id < s->to; }

static void add_ready(scheduling *s, uint32_t id) {
  uint32_t op = cr__op_number(s->t, id);
  s->next[id - s->from] = 0;
  if (s->first[op]) s->next[s->last[op] - s->from] = id;
  else s->first[op] = id;
  s->last[op] = id;
  s->ready[op]++;
}

static void find_users(scheduling *s) {
  uint32_t n = s->to - s->from;
  int m;
  memset(s->users, 0, (n + 1) * sizeof *s->users);
  for (uint32_t id = s->from; id < s->to; id++) {
    const uint32_t *in = cr__operands(s->t, id, &m);
    s->waits[id - s->from] = 0;
    for (int k = 0; k < m; k++)
      if (inside(s, in[k])) s->users[in[k] - s->from]++, s->waits[id - s->from]++;
  }
  uint32_t sum = 0;
  for (uint32_t k = 0; k <= n; k++) s->users[k] = sum += k < n ? s->users[k] : 0;
  for (uint32_t id = s->to; id-- > s->from;) { /* each list is filled from its end */
    const uint32_t *in = cr__operands(s->t, id, &m);
    for (int k = 0; k < m; k++)
      if (inside(s, in[k])) s->user[--s->users[in[k] - s->from]] = id;
    if (!s->waits[id - s->from]) add_ready(s, id);
  }
}

static uint32_t most_ready(const scheduling *s) {
  uint32_t best = 0;
  for (uint32_t op = CR__FIRST_ROW, end = op + (uint32_t)*s->t->table->n_rows; op < end; op++)
    if (s->ready[op] > s->ready[best]) best = op;
  return best;
}

/* False: the strips are too short, and the nodes are better run one after another. */
static bool schedule(scheduling *s, cr_strip *strip, uint32_t *n_strips, uint32_t (*node)[3]) {
  uint32_t op;
  *n_strips = 0;
  while ((op = most_ready(s))) {
    if (SHORTEST * (*n_strips + 1) > s->to - s->from) return false;
    cr_strip *now = &strip[(*n_strips)++];
    *now = (cr_strip){op - CR__FIRST_ROW, 0};
    for (uint32_t id; (id = s->first[op]); now->n++) {
      uint32_t k = id - s->from;
      s->first[op] = s->next[k];
      s->ready[op]--;
      const uint32_t *in = s->t->node[id].in;
      (*node)[0] = id, (*node)[1] = in[0], (*node)[2] = in[1];
      node++;
      for (uint32_t u = s->users[k]; u < s->users[k + 1]; u++)
        if (!--s->waits[s->user[u] - s->from]) add_ready(s, s->user[u]);
    }
  }
  return true;
}

static cr_strips *keep(cr_fn *f, uint32_t n_strips, const cr_strip *strip, uint32_t n, uint32_t (*node)[3]) {
  cr_strips *s = cr__fn_take(f, sizeof *s);
  cr_strip *kept = cr__fn_take(f, n_strips * sizeof *kept);
  uint32_t (*nodes)[3] = cr__fn_take(f, n * sizeof *nodes);
  if (!s || !kept || !nodes) return NULL;
  memcpy(kept, strip, n_strips * sizeof *kept);
  memcpy(nodes, node, n * sizeof *nodes);
  *s = (cr_strips){n_strips, kept, (const uint32_t(*)[3])nodes};
  return s;
}

bool cr__make_strips(cr__planning *p, cr__step *step) {
  scheduling s = {.t = p->t, .from = step->from, .to = step->to};
  uint32_t n = s.to - s.from, n_strips;
  if (n < FEW || !p->t->table->scalar_strips || *p->t->table->n_rows > MOST_ROWS - CR__FIRST_ROW) return true;
  size_t bytes = room(&s), more = n * (sizeof(cr_strip) + 3 * sizeof(uint32_t));
  s.users = cr__resize_on(p->t, NULL, 0, bytes);
  cr_strip *strip = s.users ? cr__resize_on(p->t, NULL, 0, more) : NULL;
  if (strip) {
    uint32_t (*node)[3] = (uint32_t (*)[3])(void *)(strip + n);
    s.user = s.users + n + 1;
    s.next = s.user + 2 * n;
    s.waits = (unsigned char *)(s.next + n);
    find_users(&s);
    if (schedule(&s, strip, &n_strips, node)) step->strips = keep(p->f, n_strips, strip, n, node);
  }
  cr__resize(&p->t->counted, s.users, s.users ? bytes : 0, 0);
  cr__resize(&p->t->counted, strip, strip ? more : 0, 0);
  return strip && !p->t->error;
}
