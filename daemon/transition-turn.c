/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whose turn it is to move pages: under the machine's rate, and because each call makes all CPUs empty their lists of pages and their TLBs: many at
 * once cost more than they bring, and what a service waits for grows with their number. */
#include "transition.h"

/* Whoever waits for its turn under the rate looks again after this at the least. */
#define TURN_LEAST_USEC (2 * USEC_PER_MSEC)
/* Who waits for others' slices is called, and looks by itself after this: a slice that takes longer holds up nobody else. */
#define TURN_LOOK_USEC (250 * USEC_PER_MSEC)
/* Slices that run at once, at most: one for so many CPUs or a part of them. One alone moves about a gigabyte per second. */
#define TURN_CPUS 16u
#define TURNS_MAX 4u

/* Who has been moved less goes first where the machine's rate does not reach for all. */
static bool goes_before(const struct transition *a, const struct transition *b) {
        return a->served_bytes != b->served_bytes ? a->served_bytes < b->served_bytes : a->started_usec < b->started_usec;
}

/* What those who go before are waiting for. */
static uint64_t bytes_ahead(const struct transition *t) {
        uint64_t ahead = 0;
        const struct transition *o;
        LIST_FOREACH(o, &t->m->transitions, entry)
        if (o != t && o->waits_for_machine && goes_before(o, t))
                ahead += o->wanted_bytes;
        return ahead;
}

/* Whoever did not ask for a while saves up no claim beyond one burst. */
static void limit_claim(struct transition *t) {
        uint64_t most = 0;
        const struct transition *o;
        LIST_FOREACH(o, &t->m->transitions, entry)
        if (o != t && o->phase == PHASE_MOVE)
                most = MAX2(most, o->served_bytes);
        uint64_t burst = t->m->machine_throttle.burst_bytes;
        t->served_bytes = MAX2(t->served_bytes, most - MIN2(most, burst));
}

static unsigned turns_of_machine(const struct manager *m) {
        unsigned n_cpus = 0;
        for (unsigned node = 0; node < m->topology->n_ids; node++)
                n_cpus += m->topology->nodes[node].n_cpus;
        return MIN2(MAX2((n_cpus + TURN_CPUS - 1) / TURN_CPUS, 1u), TURNS_MAX);
}

static bool has_turn(const struct transition *t, uint64_t now) {
        return t->turn == TURN_CALLED ||
               (t->slice_running && t->slice_budget_bytes > 0 && now < t->slice_began_usec + TURN_LOOK_USEC);
}

/* By others than t, which may be NULL. */
static unsigned turns_taken(const struct manager *m, const struct transition *t, uint64_t now) {
        unsigned n = 0;
        const struct transition *o;
        LIST_FOREACH(o, &m->transitions, entry)
        n += o != t && has_turn(o, now);
        return n;
}

static bool waits_before(const struct transition *t) {
        const struct transition *o;
        LIST_FOREACH(o, &t->m->transitions, entry)
        if (o != t && o->turn == TURN_WAITS && goes_before(o, t))
                return true;
        return false;
}

uint64_t turn_when(struct transition *t, uint64_t now, enum hold_cause *ret_cause) {
        struct throttle *machine = &t->m->machine_throttle;
        *ret_cause = HOLD_RATE;
        if (t->rest_until_usec > now) {
                *ret_cause = t->backoff.cause;
                return t->rest_until_usec;
        }
        uint64_t when = throttle_when(transition_throttle(t), t->wanted_bytes, now);
        if (when > now)
                return when;
        when = throttle_when(machine, t->wanted_bytes, now);
        limit_claim(t);
        uint64_t ahead = bytes_ahead(t);
        if (ahead > 0 && throttle_available(machine, now) < ahead + t->wanted_bytes)
                when = MAX2(throttle_when(machine, t->wanted_bytes + ahead, now), now + TURN_LEAST_USEC);
        t->waits_for_machine = when > now;
        if (when > now || (turns_taken(t->m, t, now) < turns_of_machine(t->m) && !waits_before(t)))
                return when;
        *ret_cause = HOLD_TURN;
        t->turn = TURN_WAITS;
        return now + TURN_LOOK_USEC;
}

void turn_leave(struct transition *t) {
        t->turn = TURN_NONE;
        t->waits_for_machine = false;
}

void turn_pass_on(struct manager *m, uint64_t now) {
        for (unsigned free_turns = turns_of_machine(m), taken = turns_taken(m, NULL, now); taken < free_turns; taken++) {
                struct transition *o, *next = NULL;
                LIST_FOREACH(o, &m->transitions, entry)
                if (o->turn == TURN_WAITS && (!next || goes_before(o, next)))
                        next = o;
                if (!next)
                        return;
                /* Where the timer cannot be set it still has the one that it set when it began to wait. */
                if (transition_arm(next, 0) >= 0)
                        next->turn = TURN_CALLED;
                else
                        return;
        }
}
