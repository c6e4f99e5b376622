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

/* Services that share memory are moved one after the other, so that the second finds at home what the first has moved; and the first pass begins once
 * all that begin with it have their homes. */
static bool has_to_wait(struct transition *t) {
        const struct transition *o;
        bool any = false;
        for (size_t i = 0; i < t->seen->observation->n_services && !any && !t->begins_late; i++)
                any = cycle_is_bonded(t->seen, t->seen_index, i);
        t->begins_late = true;
        LIST_FOREACH(o, &t->m->transitions, entry) {
                ssize_t i = goes_first(t, o) ? cycle_find(t->seen, o->target.cgroup) : -1;
                any = any || (i >= 0 && cycle_is_bonded(t->seen, t->seen_index, (size_t) i));
        }
        return any;
}

/* Where there is no memory to find out or no timer, it goes on. */
bool transition_waits_for_companion(struct transition *t) {
        return transition_placement(t)->move_memory && cycle_find_bonds(t->seen) >= 0 && has_to_wait(t) &&
               transition_arm(t, TURN_AGAIN_USEC) >= 0;
}
