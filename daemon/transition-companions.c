/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Services that share memory take turns: who is moved first, and who waits for that with its cpusets as they were. */
#include "transition.h"

/* Whoever shares memory with one that is being moved looks again after this. */
#define TURN_AGAIN_USEC (100 * USEC_PER_MSEC)

/* Is the other moved? Who is not past its widening lets those go first that are. */
static bool goes_first(const struct transition *t, const struct transition *o) {
        bool goes =
                t->phase == PHASE_WIDEN ? o->phase == PHASE_MOVE || (o->phase == PHASE_WIDEN && o->changing) : o->mover != NULL;
        return goes && o != t && !transition_is_late(o);
}

/* Some of what is to come home with it was given its room with another of them: it would find none for that, and need another pass. */
static bool comes_with_others(const struct transition *t) {
        const struct placement *p = transition_placement(t);
        return p->room_by_node && sum_by_node(p->room_by_node, t->m->topology->n_ids) < p->bytes_to_move;
}

/* That one has not begun either, and what it brings is all its own. */
static bool brings_first(const struct transition *t, const struct transition *o) {
        return o != t && o->n_passes == 0 && transition_placement(o)->move_memory && !comes_with_others(o) &&
               !transition_is_late(o);
}

/* Services that share memory are moved one after the other, so that the second finds at home what the first has moved; and the first pass begins once
 * all that begin with it have their homes. */
static bool has_to_wait(struct transition *t) {
        const struct transition *o;
        bool any = false, follows = t->phase == PHASE_WIDEN && comes_with_others(t); /* later that one waits for this */
        for (size_t i = 0; i < t->seen->observation->n_services && !any && !t->begins_late; i++)
                any = cycle_is_bonded(t->seen, t->seen_index, i);
        t->begins_late = true;
        LIST_FOREACH(o, &t->m->transitions, entry) {
                ssize_t i = goes_first(t, o) || (follows && brings_first(t, o)) ? cycle_find(t->seen, o->target.cgroup) : -1;
                any = any || (i >= 0 && cycle_is_bonded(t->seen, t->seen_index, (size_t) i));
        }
        return any;
}

/* Where there is no memory to find out or no timer, it goes on. */
bool transition_waits_for_companion(struct transition *t) {
        return transition_placement(t)->move_memory && cycle_find_bonds(t->seen) >= 0 && has_to_wait(t) &&
               transition_arm(t, TURN_AGAIN_USEC) >= 0;
}

uint64_t transition_moves_since_usec(const struct transition *t) {
        return t->n_passes > 0 ? t->started_usec : 0;
}
