/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Crowding comes and goes: what something else happens to use for a moment must move nobody's memory. Where nothing gets nearer, less
 * crowding, of CPUs or of memory controllers, is reason enough for a move only once it has spoken for one in every plan for five
 * cooldowns and at least three plans, the present one among them (plan_remember() has the history count them), or where the service itself waits for CPUs. */
#include "core/plan-internal.h"

#define CROWDING_RESTS     5u   /* cooldowns */
#define CROWDING_PLANS     3u   /* the interval between plans can be as long as that */
#define FULL               0.85 /* of the CPUs */
#define WAITS_MCPU         100u /* smoothed, … */
#define WAITS_CENTIPERCENT 1000 /* … and at the moment */

/* Where the kernel does not tell who waits, that has to do. */
static bool cpus_are_full(const struct planner *pl, const struct job *j) {
        double load = 0, cpus = 0;
        for (unsigned i = 0; i < pl->n_nodes; i++)
                if (j->share[i] > 0) {
                        load += pl->nodes[i].seen_load;
                        cpus += pl->nodes[i].n_cpus;
                }
        return load > FULL * cpus;
}

/* Held up, and not only when it wakes: its CPUs are too few, whoever uses them. */
static bool waits_for_cpus(const struct planner *pl, const struct job *j) {
        if (j->sample->cpu_pressure_centipercent < 0)
                return !j->has_home && cpus_are_full(pl, j);
        return j->history && j->history->wait_mcpu >= WAITS_MCPU && j->sample->cpu_pressure_centipercent >= WAITS_CENTIPERCENT;
}

bool job_crowding_counts(const struct planner *pl, const struct job *j) {
        const struct history_entry *h = j->history;
        if (!h || h->crowded_plans + 1 < CROWDING_PLANS)
                return false;
        uint64_t since = pl->in->now_usec - MIN2(h->crowded_usec, pl->in->now_usec);
        return since / CROWDING_RESTS >= j->rule->cooldown_usec;
}

bool crowding_counts(const struct planner *pl, const struct group *g, bool relieves) {
        bool counts = true;
        for (size_t k = 0; k < g->n; k++) {
                if (relieves && waits_for_cpus(pl, g->members[k]))
                        return true;
                counts &= job_crowding_counts(pl, g->members[k]);
        }
        return counts;
}
