/* Greedy colourings for compressed derivatives: of columns (Curtis, Powell and Reid 1974), and star colouring for symmetric
 * matrices (Coleman and More 1984; Gebremedhin, Manne and Pothen 2005). */
#include <stdlib.h>

#include "sparsity.h"

enum { LONG_ROW = 64 };

static int64_t length(const cr__pattern *p, int64_t row) { return p->start[row + 1] - p->start[row]; }

static int32_t *new_numbers(cr_tape *t, int64_t n, int32_t value) {
  int32_t *p = cr__resize_on(t, NULL, 0, (size_t)(n ? n : 1) * sizeof *p);
  for (int64_t k = 0; p && k < n; k++) p[k] = value;
  return p;
}
static void free_numbers(cr_tape *t, int32_t *p, int64_t n) {
  cr__resize(&t->counted, p, p ? (size_t)(n ? n : 1) * sizeof *p : 0, 0);
}

/* The rows in order of length, longest first, equal ones in their order: by counting. */
static int32_t *largest_first(cr_tape *t, const cr__pattern *p) {
  int64_t longest = 0;
  for (int64_t i = 0; i < p->rows; i++) longest = length(p, i) > longest ? length(p, i) : longest;
  int32_t *order = new_numbers(t, p->rows, 0), *place = new_numbers(t, longest + 2, 0);
  if (order && place) {
    for (int64_t i = 0; i < p->rows; i++) place[longest - length(p, i) + 1]++;
    for (int64_t k = 0; k <= longest; k++) place[k + 1] += place[k];
    for (int64_t i = 0; i < p->rows; i++) order[place[longest - length(p, i)]++] = (int32_t)i;
  }
  free_numbers(t, place, longest + 2);
  if (place) return order;
  free_numbers(t, order, p->rows);
  return NULL;
}

/* Columns */

typedef struct painter {
  cr_tape *t;
  const cr__pattern *p, *q;
  int32_t *colour;
  int most, used;
  int64_t words;   /* of a set of colours */
  uint64_t *taken; /* colours that the column may not have */
  int32_t *set_of; /* by row: of long ones the number of a set of colours, else -1 */
  uint64_t *sets;
  int64_t n_sets;
} painter;

static int first_free(const painter *a) {
  for (int64_t w = 0; w < a->words; w++)
    if (~a->taken[w]) return (int)(w * 64 + __builtin_ctzll(~a->taken[w]));
  return a->most;
}

static bool paint(painter *a, int32_t column) {
  const cr__pattern *p = a->p, *q = a->q;
  int64_t words = a->used / 64 + 1 < a->words ? a->used / 64 + 1 : a->words;
  memset(a->taken, 0, (size_t)words * sizeof *a->taken);
  for (int64_t k = q->start[column]; k < q->start[column + 1]; k++) {
    int32_t row = q->column[k], set = a->set_of[row];
    for (int64_t w = 0; set >= 0 && w < words; w++) a->taken[w] |= a->sets[set * a->words + w];
    for (int64_t j = p->start[row]; set < 0 && j < p->start[row + 1]; j++) {
      int32_t c = a->colour[p->column[j]];
      if (c >= 0) a->taken[c / 64] |= (uint64_t)1 << c % 64;
    }
  }
  int c = first_free(a);
  if (c >= a->most) return false;
  a->colour[column] = c;
  a->used = c + 1 > a->used ? c + 1 : a->used;
  for (int64_t k = q->start[column]; k < q->start[column + 1]; k++) {
    int32_t set = a->set_of[q->column[k]];
    if (set >= 0) a->sets[set * a->words + c / 64] |= (uint64_t)1 << c % 64;
  }
  return true;
}

static bool open_painter(painter *a) {
  a->words = a->most / 64 + 1;
  a->set_of = new_numbers(a->t, a->p->rows, -1);
  for (int64_t i = 0; a->set_of && i < a->p->rows; i++)
    if (length(a->p, i) > LONG_ROW) a->set_of[i] = (int32_t)a->n_sets++;
  size_t bytes = (size_t)((a->n_sets + 1) * a->words) * sizeof *a->taken;
  a->taken = a->set_of ? cr__resize_on(a->t, NULL, 0, bytes) : NULL;
  if (!a->taken) return false;
  memset(a->taken, 0, bytes);
  a->sets = a->taken + a->words;
  return true;
}

static void close_painter(painter *a) {
  cr__resize(&a->t->counted, a->taken, a->taken ? (size_t)((a->n_sets + 1) * a->words) * sizeof *a->taken : 0, 0);
  free_numbers(a->t, a->set_of, a->p->rows);
}

int cr__colour_columns(cr_tape *t, const cr__pattern *p, const cr__pattern *q, int most, int32_t *colour) {
  painter a = {.t = t, .p = p, .q = q, .colour = colour, .most = most};
  int32_t *order = largest_first(t, q);
  int used = -1;
  if (order && open_painter(&a)) {
    for (int64_t j = 0; j < p->columns; j++) colour[j] = -1;
    used = 0;
    for (int64_t j = 0; j < p->columns && used >= 0; j++)
      if (length(q, order[j])) used = paint(&a, order[j]) ? a.used : -2;
    if (used == -2) used = most + 1;
  }
  if (order) close_painter(&a);
  free_numbers(t, order, p->columns);
  return used;
}

/* Stars. A node is the hub of a colour when two of its neighbours have it: then it and they share a star. */

typedef struct hub {
  int32_t node, colour, count, first; /* neighbours of the colour, and one of them; count 0: empty */
} hub;
typedef struct link {
  int32_t hub, next;
} link;

typedef struct stars {
  cr_tape *t;
  const cr__pattern *p;
  int32_t *colour;
  hub *hub; /* by node and colour: open addressing */
  size_t hubs;
  link *link; /* by node, a list of the hubs that it is a neighbour of */
  int64_t n_links, links;
  int32_t *hubs_of, *refused; /* by node: its list; by colour: the last node that may not have it */
} stars;

static hub *hub_at(const stars *s, int32_t node, int32_t colour) {
  uint64_t hash = ((uint64_t)(uint32_t)node << 32 | (uint32_t)colour) * 0x9E3779B97F4A7C15u;
  size_t at = (size_t)(hash ^ hash >> 29) & (s->hubs - 1);
  while (s->hub[at].count && (s->hub[at].node != node || s->hub[at].colour != colour)) at = (at + 1) & (s->hubs - 1);
  return &s->hub[at];
}

static void add_link(stars *s, int32_t node, int32_t to) {
  s->link[s->n_links] = (link){to, s->hubs_of[node]};
  s->hubs_of[node] = (int32_t)s->n_links++;
}

static void refuse(const stars *s, int32_t node, int32_t of) {
  if (s->colour[of] >= 0) s->refused[s->colour[of]] = node;
}

/* No path of four nodes may have two colours, whether the node is at its end or inside. */
static void refuse_for(const stars *s, int32_t node) {
  const cr__pattern *p = s->p;
  for (int64_t k = p->start[node]; k < p->start[node + 1]; k++) {
    int32_t w = p->column[k];
    if (w == node || s->colour[w] < 0) continue;
    refuse(s, node, w);
    for (int32_t l = s->hubs_of[w]; l >= 0; l = s->link[l].next)
      if (s->link[l].hub != node) refuse(s, node, s->link[l].hub);
    if (hub_at(s, node, s->colour[w])->count < 2) continue;
    for (int64_t j = p->start[w]; j < p->start[w + 1]; j++)
      if (p->column[j] != node) refuse(s, node, p->column[j]);
  }
}

static void join_stars(stars *s, int32_t node) {
  const cr__pattern *p = s->p;
  for (int64_t k = p->start[node]; k < p->start[node + 1]; k++) {
    int32_t w = p->column[k];
    if (w == node) continue;
    hub *h = hub_at(s, w, s->colour[node]);
    if (!h->count) *h = (hub){w, s->colour[node], 0, node};
    if (++h->count == 2) add_link(s, h->first, w);
    if (h->count >= 2) add_link(s, node, w);
  }
}

static bool open_stars(stars *s) {
  int64_t n = s->p->rows, edges = s->p->start[n];
  if (edges > INT32_MAX) return cr_fail(s->t, CR_OVER_LIMIT, "star colouring of %lld nonzeros", (long long)edges), false;
  for (s->hubs = 64; s->hubs < 2 * (size_t)edges;) s->hubs *= 2;
  s->links = edges + 1;
  s->hub = cr__resize_on(s->t, NULL, 0, s->hubs * sizeof *s->hub);
  s->link = cr__resize_on(s->t, NULL, 0, (size_t)s->links * sizeof *s->link);
  s->hubs_of = new_numbers(s->t, n, -1);
  s->refused = new_numbers(s->t, n + 1, -1);
  if (s->hub) memset(s->hub, 0, s->hubs * sizeof *s->hub);
  return s->hub && s->link && s->hubs_of && s->refused;
}

static void close_stars(stars *s) {
  cr__resize(&s->t->counted, s->hub, s->hub ? s->hubs * sizeof *s->hub : 0, 0);
  cr__resize(&s->t->counted, s->link, s->link ? (size_t)s->links * sizeof *s->link : 0, 0);
  free_numbers(s->t, s->hubs_of, s->p->rows);
  free_numbers(s->t, s->refused, s->p->rows + 1);
}

int cr__colour_star(cr_tape *t, const cr__pattern *p, int32_t *colour) {
  stars s = {.t = t, .p = p, .colour = colour};
  int32_t *order = largest_first(t, p);
  int used = -1;
  if (order && open_stars(&s)) {
    used = 0;
    for (int64_t i = 0; i < p->rows; i++) colour[i] = -1;
    for (int64_t i = 0; i < p->rows; i++) {
      int32_t node = order[i], c = 0;
      if (!length(p, node)) continue;
      refuse_for(&s, node);
      while (s.refused[c] == node) c++;
      colour[node] = c;
      used = c + 1 > used ? c + 1 : used;
      join_stars(&s, node);
    }
  }
  if (order) close_stars(&s);
  free_numbers(t, order, p->rows);
  return used;
}
