/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Looks again at homes with all others in place: each group by itself, then pairs try to swap, until nothing improves. A home is left
 * only for a gain, so that noise moves nobody; a service that never had one gets it for a gain, or where a constraint asks for it. */
#include "core/plan-internal.h"

#define ROUNDS_MAX      4u
#define SWAP_GROUPS_MAX 64u
#define TRIED_ANEW      8u /* nodes: on machines up to this size every change is a reason to look again */
#define IMPROVEMENT     1e-6
#define CROWDING_DEMAND 0.1 /* CPUs: a service that uses less is not moved because of crowding … */
#define CROWDING_GAINS  2   /* … and others for so many times min-gain: loads are less constant than distances */
#define OVERLOAD_GAINS                                                                                                           \
        5 /* … and where CPUs lack there as here: how much is wanted can only be guessed then, and nobody is helped much */
#define FULL 0.85 /* of its CPUs */

static const struct node_set *where(const struct group *g) {
        return &g->members[0]->chosen.nodes;
}

static double demand_of(const struct group *g) {
        double demand = 0;
        for (size_t k = 0; k < g->n; k++)
                demand += g->members[k]->demand;
        return demand;
}

static bool is_nearer(const struct group *g, const struct option *home, const struct option *better) {
        return home->distance > 0 && (home->distance - better->distance) / home->distance >= group_min_gain(g);
}

/* Is there enough to gain by leaving home? Less crowding alone has to be more of it. */
static bool pays(const struct group *g, const struct option *home, const struct option *better) {
        double gain = option_gain(home->cost, home->distance, better);
        if (node_set_equal(&better->nodes, &g->home) || gain < group_min_gain(g))
                return false;
        double gains = home->fits_cpus || better->fits_cpus ? CROWDING_GAINS : OVERLOAD_GAINS;
        return is_nearer(g, home, better) || (demand_of(g) >= CROWDING_DEMAND && gain >= gains * group_min_gain(g));
}

/* Others share its CPUs, and together they use nearly all: services that are held there cannot show that they want more. */
static bool is_full(const struct option *o) {
        return o->load > FULL * o->n_cpus;
}

/* Nothing gets nearer, and its CPUs are enough where it is. */
static bool is_crowding_alone(const struct group *g, const struct option *home, const struct option *better) {
        bool relieved = (!home->fits_cpus && better->fits_cpus) || (is_full(home) && !is_full(better));
        return !relieved && !is_nearer(g, home, better);
}

static void note_crowding(struct group *g, const struct option *home, const struct option *better) {
        bool crowded = better && is_crowding_alone(g, home, better) && pays(g, home, better);
        for (size_t k = 0; k < g->n; k++)
                g->members[k]->crowded = crowded;
}

/* A gain by distance, or CPUs where there were none, may be taken after the cooldown; less crowding alone once it has lasted. */
static bool rested(const struct planner *pl, const struct group *g, const struct option *home, const struct option *better) {
        for (size_t k = 0; k < g->n; k++)
                if (g->members[k]->rest_usec > 0)
                        return false;
        return !is_crowding_alone(g, home, better) || crowding_counts(pl, g, better->fits_cpus);
}

/* What keeps a group from something better. */
enum hold { HOLD_NONE, HOLD_WAITS, HOLD_GUARDED, HOLD_UNPAID };

static void set_hold(struct group *g, enum hold hold, const struct option *home, const struct option *better) {
        for (size_t k = 0; k < g->n; k++) {
                struct job *j = g->members[k];
                j->waits = hold == HOLD_WAITS;
                j->guarded = hold == HOLD_GUARDED;
                j->unpaid = hold == HOLD_UNPAID;
                if (home)
                        j->present = *home;
                if (better)
                        j->better = *better;
        }
}

/* No home can cost the group less. */
static double least_of(const struct planner *pl, const struct group *g) {
        double least = 0;
        for (size_t k = 0; k < g->n; k++)
                least += g->members[k]->weight * least_cost(pl, g->members[k]);
        return least / group_weight(g);
}

static bool under_way(const struct group *g) {
        bool any = false;
        for (size_t k = 0; k < g->n; k++)
                any |= g->members[k]->under_way;
        return any;
}

/* Looks again for a group that has a home. Returns true where it leaves, or comes back from where an earlier round sent it. */
static bool review_home(struct planner *pl, struct group *g) {
        if (under_way(g) || g->fixed)
                return false;
        struct node_set before = *where(g);
        struct option home, ideal = { .distance = DISTANCE_LOCAL };
        group_unassign(pl, g);
        group_evaluate(pl, g, &g->home, &home);
        ideal.cost = least_of(pl, g);
        set_hold(g, HOLD_NONE, NULL, NULL);
        note_crowding(g, NULL, NULL);
        /* Most sit so well that even the best that could be would not pay: they are not worth a list of candidates. */
        if (option_gain(home.cost, home.distance, &ideal) >= group_min_gain(g)) {
                pl->cutoff = is_full(&home) && home.fits_memory && node_set_count(&g->home) == 1 ? home.cost : 0;
                candidates_of_group(pl, g);
                pl->cutoff = 0;
                const struct option *best = candidates_choose(pl, g, STANDING_FREE);
                const struct option *barred = candidates_barred(pl, g->members[0]);
                note_crowding(g, &home, best);
                if (best && pays(g, &home, best)) {
                        bool worth = group_pays(pl, g, option_gain(home.cost, home.distance, best), best->bytes_in);
                        bool ready = worth && rested(pl, g, &home, best);
                        set_hold(g, ready ? HOLD_NONE : worth ? HOLD_WAITS : HOLD_UNPAID, &home, best);
                        if (ready)
                                home = *best;
                } else if (barred && pays(g, &home, barred))
                        set_hold(g, HOLD_GUARDED, &home, barred);
                else {
                        const struct option *unpaid = best_unpaid(pl, g->members[0], &home);
                        bool any = unpaid && is_nearer(g, &home, unpaid);
                        set_hold(g, any ? HOLD_UNPAID : HOLD_NONE, &home, any ? unpaid : NULL);
                }
        }
        group_assign(pl, g, &home.nodes);
        return !node_set_equal(where(g), &before);
}

static void note_change(struct planner *pl, const struct node_set *nodes) {
        pl->clock++;
        NODE_SET_FOREACH (id, nodes)
                pl->nodes[pl->index_of[id]].changed = pl->clock;
}

/* Nothing better can have come up since it was last looked at: nothing changed at all; or, where one node is what it wants, not on its own, and those where something
 * did would cost it more in any case. */
static bool is_settled(const struct planner *pl, const struct group *g) {
        struct job *j = g->members[0];
        if (g->reviewed == 0 || g->reviewed == pl->clock)
                return g->reviewed > 0;
        if (g->n > 1 || j->kind != JOB_COMPACT || j->rule->min_nodes > 1 || pl->n_nodes <= TRIED_ANEW)
                return false;
        for (unsigned i = 0; i < pl->n_nodes; i++) {
                if (pl->nodes[i].changed <= g->reviewed)
                        continue;
                if (node_set_has(where(g), pl->nodes[i].id))
                        return false;
                if (single_least_cost(pl, j, i) < j->chosen.cost - IMPROVEMENT)
                        return false;
        }
        return true;
}

static bool review_new(struct planner *pl, struct group *g) {
        struct node_set before = *where(g);
        struct option now;
        struct bar bar;
        if (g->fixed || is_settled(pl, g))
                return false;
        g->reviewed = pl->clock;
        group_unassign(pl, g);
        group_evaluate(pl, g, &before, &now);
        bool free = group_standing(pl, g, &before, &bar) == STANDING_FREE; /* not what it has to put up with */
        /* One that is on one node, however crowded, need not be tried on more of them again and again. */
        pl->cutoff = free && (now.roomy || (now.fits_memory && node_set_count(&before) == 1)) ? now.cost : 0;
        pl->free_only = true;
        candidates_of_group(pl, g);
        pl->free_only = false;
        pl->cutoff = 0;
        const struct option *best = candidates_choose(pl, g, STANDING_FREE);
        bool better = best && (!free || (now.fits_memory == best->fits_memory && best->cost <= now.cost - IMPROVEMENT) ||
                               best->fits_memory > now.fits_memory);
        struct node_set nodes = better ? best->nodes : before;
        g->at_ease = better ? best->roomy : now.roomy && free;
        group_assign(pl, g, &nodes);
        return !node_set_equal(&nodes, &before);
}

/* Others have moved since: there may be room now. */
static bool review_homeless(struct planner *pl, struct group *g) {
        candidates_of_group(pl, g);
        const struct option *best = candidates_choose(pl, g, STANDING_FREE);
        if (!best)
                return false;
        struct node_set nodes = best->nodes;
        group_assign(pl, g, &nodes);
        for (size_t k = 0; k < g->n; k++)
                g->members[k]->barred = false;
        return true;
}

static bool fit_memory(const struct group *g) {
        bool fit = true;
        for (size_t k = 0; k < g->n; k++)
                fit &= g->members[k]->chosen.fits_memory;
        return fit;
}

bool group_may_be_on(const struct planner *pl, const struct group *g, const struct node_set *nodes) {
        struct bar bar;
        for (size_t k = 0; k < g->n; k++) {
                const struct job *j = g->members[k];
                struct node_set cpus = job_cpus(pl, j, nodes), mems = job_mems(pl, j, nodes),
                                usable = node_set_union(&cpus, &mems);
                if (!node_set_equal(&usable, nodes) || node_set_is_empty(&cpus) || node_set_is_empty(&mems))
                        return false;
        }
        return group_standing(pl, g, nodes, &bar) == STANDING_FREE;
}

/* What both cost, `first` placed before `second`: as potentials add up, the sum does not depend on the order. False: something that
 * must be does not hold. */
static bool assign_pair(struct planner *pl, struct group *first, const struct node_set *first_nodes, struct group *second,
                        const struct node_set *second_nodes, double *ret) {
        bool ok = group_may_be_on(pl, first, first_nodes);
        group_assign(pl, first, first_nodes);
        ok = ok && group_may_be_on(pl, second, second_nodes);
        group_assign(pl, second, second_nodes);
        *ret = first->cost + second->cost;
        return ok && fit_memory(first) && fit_memory(second);
}

static bool try_swap(struct planner *pl, struct group *a, struct group *b) {
        struct node_set home_a = *where(a), home_b = *where(b);
        double before, after;
        if (node_set_equal(&home_a, &home_b))
                return false;
        group_unassign(pl, a);
        group_unassign(pl, b);
        bool ok_before = assign_pair(pl, a, &home_a, b, &home_b, &before);
        group_unassign(pl, a);
        group_unassign(pl, b);
        bool ok_after = assign_pair(pl, a, &home_b, b, &home_a, &after);
        if (ok_after && (!ok_before || after < before - IMPROVEMENT))
                return true;
        group_unassign(pl, a);
        group_unassign(pl, b);
        (void) assign_pair(pl, a, &home_a, b, &home_b, &before);
        return false;
}

static bool may_swap(const struct group *g) {
        return g->look && !g->has_home && g->assigned && !g->fixed;
}

static bool swap_new(struct planner *pl) {
        size_t n = 0;
        bool changed = false;
        for (size_t i = 0; i < pl->n_groups; i++)
                n += may_swap(pl->order[i]);
        if (n > SWAP_GROUPS_MAX)
                return false;
        for (size_t i = 0; i < pl->n_groups; i++)
                for (size_t k = i + 1; k < pl->n_groups && may_swap(pl->order[i]); k++)
                        if (may_swap(pl->order[k]))
                                changed |= try_swap(pl, pl->order[i], pl->order[k]);
        return changed;
}

static bool review(struct planner *pl, struct group *g) {
        struct node_set before = { 0 };
        bool was = g->assigned, changed;
        if (was)
                before = *where(g);
        if (!was)
                changed = review_homeless(pl, g);
        else if (g->has_home)
                changed = review_home(pl, g);
        else
                changed = !pl->exact && review_new(pl, g);
        if (changed) {
                struct node_set both = node_set_union(&before, where(g));
                note_change(pl, &both);
        }
        return changed;
}

static void improve(struct planner *pl) {
        pl->clock = 1;
        for (unsigned round = 0; round < ROUNDS_MAX && !pl->failed; round++) {
                bool changed = false;
                for (size_t i = 0; i < pl->n_groups; i++)
                        if (pl->order[i]->look)
                                changed |= review(pl, pl->order[i]);
                if (!pl->exact && swap_new(pl)) {
                        note_change(pl, &pl->all_nodes);
                        changed = true;
                }
                if (!changed)
                        return;
        }
}

void plan_compact(struct planner *pl) {
        improve(pl);
        plan_accept(pl);
}
