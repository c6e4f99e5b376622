/* SPDX-License-Identifier: GPL-2.0-or-later */
/* No ping-pong: a service that left home A for B does not go back to A for a quarter of an hour. Cooldowns and thresholds keep
 * each single move from being rash; this keeps two of them from undoing each other, whatever the numbers say. It is lifted for
 * causes that can be named: B is not possible any more, its rule was changed meanwhile, B has no room for it and A has. */
#include "core/plan-internal.h"

#define GUARD_USEC (15 * USEC_PER_MINUTE)

void job_set_guard(const struct planner *pl, struct job *j) {
        const struct history_entry *h = j->history;
        uint64_t now = pl->in->now_usec;
        if (!h || !h->placed || !h->has_former || j->kind == JOB_NODES)
                return;
        uint64_t since = now - MIN2(h->left_usec, now);
        if (since >= GUARD_USEC)
                return;
        j->former = h->former_home;
        if (!j->has_home)
                return; /* home_lost: says so itself */
        if (h->rule_usec > h->left_usec)
                j->back_why = "its rule was changed";
        else
                j->guard_usec = GUARD_USEC - since;
}

bool guard_bars(const struct job *j, const struct option *home, const struct option *o) {
        bool has_room = home && option_fits(home) + home->fits_memory >= option_fits(o) + o->fits_memory;
        return j->guard_usec > 0 && has_room && node_set_equal(&o->nodes, &j->former) && !node_set_equal(&o->nodes, &j->home);
}
