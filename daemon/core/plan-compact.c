/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Looks again at homes with all others in place: each group by itself, then pairs try to swap, until nothing improves. A home is left
 * only for a gain, so that noise moves nobody; a service that never had one gets it for a gain, or where a constraint asks for it. */
#include "core/plan-internal.h"

#define ROUNDS_MAX      4u
#define SWAP_GROUPS_MAX 64u
#define IMPROVEMENT     1e-6
#define CROWDING_RESTS  5u   /* cooldowns before a home is left only because it is crowded */
#define CROWDING_DEMAND 0.1  /* CPUs: a service that uses less is not moved because of crowding … */
#define CROWDING_GAINS  2    /* … and others for so many times min-gain: loads are less constant than distances */
#define FULL            0.85 /* of its CPUs */
#define CPU_SHARE_LOCAL 0.95 /* of its CPU time on the nodes: its threads are there */
#define CPU_SHARE_STRAY 0.02 /* less than that is not worth telling from noise */

static const struct node_set *where(const struct group *g) {
        return &g->members[0]->chosen.nodes;
}

static double demand_of(const struct group *g) {
        double demand = 0;
        for (size_t k = 0; k < g->n; k++)
                demand += g->members[k]->demand;
        return demand;
}

static double min_gain_of(const struct group *g) {
        double gain = job_min_gain(g->members[0]);
        for (size_t k = 1; k < g->n; k++)
                gain = MAX2(gain, job_min_gain(g->members[k]));
        return gain;
}

static bool is_nearer(const struct group *g, const struct option *home, const struct option *better) {
        return home->distance > 0 && (home->distance - better->distance) / home->distance >= min_gain_of(g);
}

/* Is there enough to gain by leaving home? */
static bool pays(const struct group *g, const struct option *home, const struct option *better) {
        double gain = option_gain(home->cost, home->distance, better);
        if (node_set_equal(&better->nodes, &g->home) || gain < min_gain_of(g))
                return false;
        return is_nearer(g, home, better) || (demand_of(g) >= CROWDING_DEMAND && gain >= CROWDING_GAINS * min_gain_of(g));
}

/* Others share its CPUs, and together they use nearly all: services that are held there cannot show that they want more. */
static bool is_full(const struct option *o) {
        return o->load > FULL * o->n_cpus;
}

static bool rested_after(const struct planner *pl, const struct job *j, bool at_once) {
        if (j->rest_usec > 0)
                return false;
        if (at_once || !j->history || !j->history->placed)
                return true;
        uint64_t since = pl->in->now_usec - MIN2(j->history->placed_usec, pl->in->now_usec);
        return since / CROWDING_RESTS >= j->rule->cooldown_usec;
}

/* A gain by distance, or CPUs where there were none, may be taken after the cooldown; less crowding alone after several: loads
 * come and go. */
static bool rested(const struct planner *pl, const struct group *g, const struct option *home, const struct option *better) {
        bool relieved = (!home->fits_cpus && better->fits_cpus) || (is_full(home) && !is_full(better));
        for (size_t k = 0; k < g->n; k++)
                if (!rested_after(pl, g->members[k], relieved || is_nearer(g, home, better)))
                        return false;
        return true;
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

/* Where the rule asks for more than the least distance. */
static bool is_for_its_own_sake(const struct job *j) {
        return j->kind == JOB_SPREAD || j->kind == JOB_NEAR || j->kind == JOB_NODES;
}

/* Are the bytes of all worth what moving them takes? */
static bool all_pay(const struct planner *pl, const struct group *g, double gain, uint64_t bytes_in) {
        for (size_t k = 0; k < g->n; k++)
                if (!is_for_its_own_sake(g->members[k]) &&
                    !move_pays(pl, g->members[k], gain, g->n == 1 ? bytes_in : g->members[k]->movable_bytes))
                        return false;
        return true;
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
        /* Most sit so well that even the best that could be would not pay: they are not worth a list of candidates. */
        if (option_gain(home.cost, home.distance, &ideal) >= min_gain_of(g)) {
                candidates_of_group(pl, g);
                const struct option *best = candidates_choose(pl, g, STANDING_FREE);
                const struct option *barred = candidates_barred(pl, g->members[0]);
                if (best && pays(g, &home, best)) {
                        bool worth = all_pay(pl, g, option_gain(home.cost, home.distance, best), best->bytes_in);
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

static bool review_new(struct planner *pl, struct group *g) {
        struct node_set before = *where(g);
        struct option now;
        struct bar bar;
        if (g->fixed)
                return false;
        group_unassign(pl, g);
        group_evaluate(pl, g, &before, &now);
        bool free = group_standing(pl, g, &before, &bar) == STANDING_FREE; /* not what it has to put up with */
        pl->cutoff = free && now.roomy ? now.cost : 0;
        candidates_of_group(pl, g);
        pl->cutoff = 0;
        const struct option *best = candidates_choose(pl, g, STANDING_FREE);
        bool better = best && (!free || (now.fits_memory == best->fits_memory && best->cost <= now.cost - IMPROVEMENT) ||
                               best->fits_memory > now.fits_memory);
        struct node_set nodes = better ? best->nodes : before;
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

/* May this group live there at all, by its rules and by what others leave to it? */
static bool permits(const struct planner *pl, const struct group *g, const struct node_set *nodes) {
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
        bool ok = permits(pl, first, first_nodes);
        group_assign(pl, first, first_nodes);
        ok = ok && permits(pl, second, second_nodes);
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

static void improve(struct planner *pl) {
        for (unsigned round = 0; round < ROUNDS_MAX && !pl->failed; round++) {
                bool changed = false;
                for (size_t i = 0; i < pl->n_groups; i++) {
                        struct group *g = pl->order[i];
                        if (!g->look)
                                continue;
                        if (!g->assigned)
                                changed |= review_homeless(pl, g);
                        else if (g->has_home || !pl->exact)
                                changed |= g->has_home ? review_home(pl, g) : review_new(pl, g);
                }
                if (!pl->exact)
                        changed |= swap_new(pl);
                if (!changed)
                        return;
        }
}

/* All of it is there already, by itself: only its CPUs are to be kept there. */
static bool is_there(const struct planner *pl, const struct group *g, const struct option *o) {
        for (size_t k = 0; k < g->n; k++) {
                const struct job *j = g->members[k];
                struct node_set cpus = job_cpus(pl, j, &o->nodes);
                double share = 0;
                uint64_t off = 0;
                for (unsigned i = 0; i < pl->n_nodes; i++) {
                        if (node_set_has(&cpus, pl->nodes[i].id))
                                share += j->share[i];
                        if (!node_set_has(&o->nodes, pl->nodes[i].id))
                                off += j->movable[i];
                }
                if (off > job_tolerated_bytes(j) || share < CPU_SHARE_LOCAL)
                        return false;
        }
        return true;
}

/* The best set where it is already, and no farther from its memory than now; NULL: it is on none. */
static const struct option *where_it_is(struct planner *pl, struct group *g, double distance) {
        const struct option *best = NULL;
        pl->thorough = true;
        candidates_of_group(pl, g);
        pl->thorough = false;
        for (size_t i = 0; i < pl->n_options; i++) {
                const struct option *o = &pl->options[i];
                if (option_fits(o) && o->standing == STANDING_FREE && is_there(pl, g, o) &&
                    o->distance <= distance * (1 + min_gain_of(g)) && (!best || option_better(g->members[0], o, best)))
                        best = o;
        }
        return best;
}

/* A constraint asks for a home, whatever is gained by it: its own, or that of others where it is now. */
static bool is_asked_for(const struct planner *pl, const struct group *g) {
        if (g->contests || g->fixed || g->bond != SIZE_MAX)
                return true;
        for (size_t k = 0; k < g->n; k++) {
                const struct job *j = g->members[k];
                struct bar bar;
                struct node_set barred = job_barred_nodes(pl, j, &bar);
                if (j->home_lost || j->sample->newcomer || is_for_its_own_sake(j) || j->rule->has_allowed ||
                    !node_set_is_empty(&j->rule->avoid))
                        return true;
                for (unsigned i = 0; i < pl->n_nodes; i++)
                        if (node_set_has(&barred, pl->nodes[i].id) &&
                            (j->share[i] > CPU_SHARE_STRAY || j->movable[i] > job_tolerated_bytes(j)))
                                return true;
        }
        return false;
}

/* Where all its services are, as one: means by weight. */
static struct option present_of(struct planner *pl, struct group *g) {
        struct option sum = { 0 };
        double weight = group_weight(g);
        for (size_t k = 0; k < g->n; k++) {
                struct job *j = g->members[k];
                option_present(pl, j, &j->present);
                sum.cost += j->weight / weight * j->present.cost;
                sum.distance += j->weight / weight * j->present.distance;
        }
        return sum;
}

/* Its CPUs go there for nothing: where that alone is gain enough the home is taken, and its memory stays until moving it pays. */
static bool new_home_pays(struct planner *pl, const struct group *g, const struct option *o, const struct option *present) {
        double gain = MAX2(option_gain(present->cost, present->distance, o), distance_gain(present->distance, o->distance));
        if (all_pay(pl, g, gain, o->bytes_in))
                return true;
        for (size_t k = 0; k < g->n; k++) {
                struct job *j = g->members[k];
                struct option there, unmoved;
                option_evaluate(pl, j, &o->nodes, &there);
                option_unmoved(pl, j, &there, &unmoved);
                if (distance_gain(j->present.distance, unmoved.distance) < job_min_gain(j))
                        return false;
        }
        return true;
}

/* A service that never had a home gets one for a gain, or where it costs nothing. */
static void accept(struct planner *pl, struct group *g) {
        struct node_set nodes = *where(g);
        struct option o;
        group_unassign(pl, g);
        struct option present = present_of(pl, g);
        group_evaluate(pl, g, &nodes, &o);
        /* Nearer memory is what the rule asks for, also where max-nodes makes the CPUs tight. */
        bool worth = distance_gain(present.distance, o.distance) >= min_gain_of(g) ||
                     option_gain(present.cost, present.distance, &o) >= min_gain_of(g);
        bool pays = worth && new_home_pays(pl, g, &o, &present);
        if (pays || is_there(pl, g, &o)) {
                group_assign(pl, g, &nodes);
                return;
        }
        const struct option *here = where_it_is(pl, g, present.distance);
        if (here) {
                struct node_set stay = here->nodes;
                group_assign(pl, g, &stay);
                return;
        }
        for (size_t k = 0; k < g->n; k++) {
                g->members[k]->better = o;
                g->members[k]->declined = true;
                g->members[k]->unpaid = worth;
                job_release(pl, g->members[k]);
        }
        g->assigned = false;
}

static void accept_new(struct planner *pl) {
        for (size_t i = 0; i < pl->n_groups; i++)
                if (pl->order[i]->look && !pl->order[i]->has_home && pl->order[i]->assigned && !is_asked_for(pl, pl->order[i]))
                        accept(pl, pl->order[i]);
}

void plan_compact(struct planner *pl) {
        improve(pl);
        accept_new(pl);
}
