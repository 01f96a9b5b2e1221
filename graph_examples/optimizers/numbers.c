/* The numbers of a step: what an update computes from rate, step, loss and number states, for all elements alike. */
#include <stdlib.h>

#include <op.h>

#include "descent.h"

enum { GIVEN = 4 };

/* The ends: leaves of the numbers' tape, and where their values are. */
typedef struct ends {
  int n_in, n_out;
  cr_var *in, *out;
} ends;

static ends list_ends(const cr_rule *r, cr_var *room) {
  ends e = {.in = room, .out = room + GIVEN + r->n_states};
  for (int k = 0; k < GIVEN; k++) e.in[e.n_in++] = r->given[k];
  for (int k = 0; k < r->n_slots; k++) e.out[e.n_out++] = r->slot[k].number;
  for (int k = 0; k < r->n_states; k++)
    if (r->state[k].is_number) e.in[e.n_in++] = r->state[k].in, e.out[e.n_out++] = r->state[k].out;
  return e;
}

/* Arrays of the function over the rule's numbers; slots are read from theirs. */
static void place_ends(cr_rule *r, const ends *e) {
  int in = 0, out = 0;
  for (int k = 0; k < e->n_in; k++) r->in[k] = cr_fn_input(r->step, k);
  for (int k = 0; k < e->n_out; k++) r->out[k] = cr_fn_output(r->step, k);
  for (int k = 0; k < GIVEN; k++) r->in[in++].data = &r->number[k];
  for (int k = 0; k < r->n_slots; k++) r->slot[k].place = cr_view(r->slot[k].leaf), r->out[out++].data = &r->slot[k].value;
  for (int k = 0; k < r->n_states; k++)
    if (r->state[k].is_number) r->in[in++].data = &r->state[k].value, r->out[out++].data = &r->state[k].next;
}

cr_status cr_rule_capture(cr_rule *r) {
  const int most = GIVEN + r->n_slots + 2 * r->n_states;
  cr_var *room = malloc((size_t)most * sizeof *room);
  r->in = calloc((size_t)most, sizeof *r->in);
  r->out = r->in ? r->in + GIVEN + r->n_states : NULL;
  if (room && r->in) {
    const ends e = list_ends(r, room);
    r->step = cr_capture(r->numbers, e.n_in, e.in, e.n_out, e.out, 0, NULL, CR_FN_EXACT);
    r->space = r->step ? cr_workspace_new(r->step) : NULL;
    if (r->space) place_ends(r, &e);
  }
  free(room);
  return r->space ? CR_OK : CR_NO_MEMORY;
}

static cr_status set_numbers(const cr_optimizer *o, cr_rule *r, double loss) {
  const double number[GIVEN] = {o->rate, (double)(o->t + 1), loss, o->previous_loss};
  for (int k = 0; k < GIVEN; k++) r->number[k] = number[k];
  cr_status status = cr_fn_run(r->step, r->space, r->in, r->out);
  for (int k = 0; k < r->n_slots; k++) cr_array_set(&r->slot[k].place, 0, cr_array_get(&r->out[k], 0));
  for (int k = 0; k < r->n_states; k++)
    if (r->state[k].is_number) r->state[k].value = r->state[k].next;
  return status;
}

cr_status cr_rule_numbers(cr_optimizer *o, cr_rule *r, double loss) {
  cr_status status = CR_OK;
  for (; r && status == CR_OK; r = r->next) status = set_numbers(o, r, loss);
  return status;
}
