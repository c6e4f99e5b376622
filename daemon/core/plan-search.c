/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Homes for all groups. Those that have one keep it, unless another rule's claim to it is stronger. The others choose one after the other,
 * and what a group cannot have it gets or gives up in this order: others are sent elsewhere, if that breaks nothing; weaker ones have to
 * leave; together-with, for its weakest members; its own apart-from; its own exclusive. What is left after that has no home. */
#include "core/plan-internal.h"

#define DISPLACEMENTS_PER_GROUP 4u

void group_lose_home(struct planner *pl, struct group *g, const struct bar *to) {
        for (size_t k = 0; k < g->n; k++) {
                struct job *j = g->members[k];
                j->displaced = j->home_lost = !node_set_is_empty(&j->home);
                j->has_home = false;
                j->lost_to = *to;
                if (!job_is_looked_at(pl, j)) {
                        pl->look[j - pl->jobs] = true;
                        job_set_distance(pl, j);
                }
        }
        g->has_home = false;
        g->look = true;
}

/* Sends away the weaker ones that must not be where the group will be. Returns how many. */
static size_t displace(struct planner *pl, struct group *g, const struct node_set *nodes) {
        size_t n = 0;
        NODE_SET_FOREACH (id, nodes) {
                struct occupants *o = &pl->occupants[pl->index_of[id]];
                for (size_t i = 0; i < o->n;) {
                        struct group *other = pl->jobs[o->jobs[i]].group;
                        struct bar bar = { 0 };
                        bool conflict = false, weaker = other->strength > g->strength;
                        for (size_t k = 0; k < g->n && !conflict; k++)
                                conflict = weaker && other != g && jobs_conflict(pl, &pl->jobs[o->jobs[i]], g->members[k], &bar);
                        if (!conflict) {
                                i++;
                                continue;
                        }
                        group_unassign(pl, other); /* shortens the list */
                        group_lose_home(pl, other, &bar);
                        n++;
                        i = 0;
                }
        }
        return n;
}

/* A member with another home than this one. */
static const struct job *elsewhere(const struct group *g, const struct job *j) {
        for (size_t k = 0; k < g->n; k++)
                if (!node_set_equal(&g->members[k]->home, &j->home))
                        return g->members[k];
        return g->members[0];
}

/* Where some members are going, or have just come to, and the others not yet: they are moved one after the other. Or all that have one have the same. NULL: that
 * says nothing. */
static const struct job *ahead(const struct group *g) {
        const struct job *latest = NULL, *first = NULL;
        bool agree = true;
        for (size_t k = 0; k < g->n; k++) {
                const struct job *j = g->members[k];
                if (!j->has_home)
                        continue;
                first = first ? first : j;
                agree &= node_set_equal(&j->home, &first->home);
                bool settles = j->history && !j->after_failure && (j->under_way || j->rest_usec > 0);
                if (settles && (!latest || j->history->placed_usec > latest->history->placed_usec))
                        latest = j;
        }
        return latest || !agree ? latest : first;
}

/* That is the home of all, if it can be: else each plan would decide anew for those who are on their way. */
static void take_up_home(struct planner *pl, struct group *g, const struct bar *to) {
        const struct job *first = ahead(g);
        struct option o;
        if (!first || g->fixed || !group_may_be_on(pl, g, &first->home))
                return;
        struct node_set home = first->home;
        group_evaluate(pl, g, &home, &o);
        if (!group_holds(g, &o))
                return;
        for (size_t k = 0; k < g->n; k++) {
                struct job *j = g->members[k];
                if (j->has_home && node_set_equal(&j->home, &home))
                        continue;
                j->displaced = j->home_lost = !node_set_is_empty(&j->home);
                j->has_home = false;
                j->lost_to = *to;
                j->lost_to.other = first;
        }
        g->has_home = true;
        g->home = home;
}

static void keep_homes(struct planner *pl) {
        for (size_t i = 0; i < pl->n_groups; i++) {
                struct group *g = pl->order[i];
                struct bar bar = { .constraint = CONSTRAINT_TOGETHER, .rule = g->members[0]->rule };
                if (!g->has_home && g->n > 1 && g->look)
                        take_up_home(pl, g, &bar);
                enum standing s = g->has_home ? group_standing(pl, g, &g->home, &bar) : STANDING_FORBIDDEN;
                if (s == STANDING_FREE || s == STANDING_DISPLACES) {
                        if (s == STANDING_DISPLACES)
                                (void) displace(pl, g, &g->home);
                        if (g->look)
                                group_assign(pl, g, &g->home);
                        else
                                group_put_at_rest(pl, g);
                } else if (g->has_home || (g->n > 1 && g->look))
                        group_lose_home(pl, g, &bar);
                for (size_t k = 0; k < g->n && !g->has_home && g->n > 1; k++)
                        g->members[k]->lost_to.other = elsewhere(g, g->members[k]);
        }
}

/* All that it gives up by living there beside those that are there: not only what stands against it first. */
static void note_given_up(const struct planner *pl, struct job *j, const struct node_set *nodes) {
        struct bar bar;
        NODE_SET_FOREACH (id, nodes) {
                const struct occupants *o = &pl->occupants[pl->index_of[id]];
                for (size_t i = 0; i < o->n; i++) {
                        const struct job *other = &pl->jobs[o->jobs[i]];
                        if (other == j || other->group == j->group || !jobs_conflict(pl, j, other, &bar))
                                continue;
                        j->gave_up[bar.constraint] = true;
                        j->gave_up[CONSTRAINT_EXCLUSIVE] |= j->rule->exclusive;
                }
        }
}

/* Where it gives up something to stronger ones, weaker ones may be in its way as well: `*displaced` tells. */
static bool take(struct planner *pl, struct group *g, enum standing standing, bool *displaced) {
        const struct option *best = candidates_choose(pl, g, standing);
        if (!best)
                return false;
        struct option o = *best;
        if (standing >= STANDING_BREAKS_APART)
                *displaced = displace(pl, g, &o.nodes) > 0;
        group_assign(pl, g, &o.nodes);
        for (size_t k = 0; k < g->n && standing >= STANDING_BREAKS_APART; k++) {
                note_given_up(pl, g->members[k], &o.nodes);
                g->members[k]->lost_to = o.bar;
        }
        return true;
}

static bool could_stay_whole(struct planner *pl, struct group *g, size_t n) {
        size_t all = g->n;
        g->n = n;
        candidates_of_group(pl, g);
        bool ok = candidates_choose(pl, g, STANDING_FREE) || candidates_choose(pl, g, STANDING_DISPLACES);
        g->n = all;
        return ok;
}

/* As many of the strongest as can share a home stay together. */
static void give_up_together(struct planner *pl, struct group *g) {
        size_t low = 1, high = g->n - 1; /* one alone stays in any case */
        while (low < high) {
                size_t mid = low + (high - low + 1) / 2;
                if (could_stay_whole(pl, g, mid))
                        low = mid;
                else
                        high = mid - 1;
        }
        struct group *rest = group_split(pl, g, low);
        for (size_t k = 0; k < rest->n; k++) {
                rest->members[k]->gave_up[CONSTRAINT_TOGETHER] = true;
                rest->members[k]->lost_to = (struct bar) { CONSTRAINT_TOGETHER, g->members[0]->rule, g->members[0] };
        }
}

/* No home at all: by what others ask for, or by its own rule, if either would have to be broken. */
static void note_barred(const struct planner *pl, struct group *g) {
        const struct option *best = NULL;
        for (size_t i = 0; i < pl->n_options; i++) {
                const struct option *o = &pl->options[i];
                if (o->standing == STANDING_FORBIDDEN && (o->fits_memory || g->fixed) && (!best || o->cost < best->cost))
                        best = o;
        }
        struct bar bar = { .rule = g->members[0]->rule };
        if (best)
                bar = best->bar;
        else if (pl->n_options > 0)
                return; /* room is what lacks */
        else if (g->members[0]->rule->min_nodes > 1)
                bar.constraint = CONSTRAINT_MIN_NODES;
        else
                bar.constraint = g->members[0]->rule->has_allowed ? CONSTRAINT_ALLOWED : CONSTRAINT_AVOID;
        for (size_t k = 0; k < g->n; k++) {
                g->members[k]->barred = true;
                g->members[k]->lost_to = bar;
        }
}

/* A bond that cannot hold falls apart in each plan, and its parts lose their home to that each time. Where they can they keep it, and leave it as others
 * leave theirs, for a gain that lasts: otherwise each trembling of a load would send them elsewhere. */
static bool stay_apart(struct planner *pl, struct group *g) {
        struct node_set home = g->members[0]->home;
        struct option o;
        struct bar bar;
        for (size_t k = 0; k < g->n; k++) {
                const struct job *j = g->members[k];
                if (!j->displaced || j->lost_to.constraint != CONSTRAINT_TOGETHER || !node_set_equal(&j->home, &home))
                        return false;
        }
        if (group_standing(pl, g, &home, &bar) != STANDING_FREE)
                return false;
        group_evaluate(pl, g, &home, &o);
        if (!group_holds(g, &o))
                return false;
        for (size_t k = 0; k < g->n; k++) {
                g->members[k]->has_home = true;
                g->members[k]->home_lost = g->members[k]->displaced = false;
        }
        g->has_home = true;
        g->home = home;
        group_assign(pl, g, &home);
        return true;
}

enum outcome { PLACED, DISPLACED, SPLIT, HOMELESS };

static enum outcome place(struct planner *pl, struct group *g, bool may_displace) {
        bool displaced = false;
        if (stay_apart(pl, g))
                return PLACED;
        candidates_of_group(pl, g);
        if (take(pl, g, STANDING_FREE, &displaced))
                return PLACED;
        if (pl->contested && plan_eject(pl, g))
                return PLACED;
        candidates_of_group(pl, g);
        const struct option *best = may_displace ? candidates_choose(pl, g, STANDING_DISPLACES) : NULL;
        if (best) {
                struct option o = *best;
                (void) displace(pl, g, &o.nodes);
                group_assign(pl, g, &o.nodes);
                return DISPLACED;
        }
        if (g->n > 1) {
                give_up_together(pl, g);
                return SPLIT;
        }
        if (take(pl, g, STANDING_BREAKS_APART, &displaced) || take(pl, g, STANDING_BREAKS_EXCLUSIVE, &displaced))
                return displaced ? DISPLACED : PLACED;
        note_barred(pl, g);
        return HOMELESS;
}

static void place_all(struct planner *pl) {
        size_t n_displaced = 0;
        for (size_t i = 0; i < pl->n_groups && !pl->failed;) {
                struct group *g = pl->order[i];
                if (g->assigned || g->homeless || !g->look) {
                        i++;
                        continue;
                }
                enum outcome r = place(pl, g, n_displaced < DISPLACEMENTS_PER_GROUP * pl->n_jobs);
                g->homeless = r == HOMELESS;
                n_displaced += r == DISPLACED;
                i = r == DISPLACED || r == SPLIT ? 0 : i + 1;
        }
}

/* What was lost and found again was not lost. */
static void restore_homes(struct planner *pl) {
        for (size_t i = 0; i < pl->n_jobs; i++) {
                struct job *j = &pl->jobs[i];
                if (!j->group || !j->assigned || !j->displaced || !node_set_equal(&j->chosen.nodes, &j->home))
                        continue;
                j->has_home = true;
                j->home_lost = j->displaced = false;
        }
}

void plan_search(struct planner *pl) {
        keep_homes(pl);
        if (!plan_exact(pl))
                place_all(pl);
        plan_compact(pl);
        restore_homes(pl);
        for (size_t i = 0; i < pl->n_groups; i++)
                for (size_t k = 0; !pl->groups[i].look && !pl->groups[i].assigned && k < pl->groups[i].n; k++)
                        job_release(pl, pl->groups[i].members[k]);
        for (size_t i = 0; i < pl->n_jobs; i++) {
                struct job *j = &pl->jobs[i];
                if (j->kind == JOB_SPREAD && j->assigned)
                        spread_note_full(pl, j);
                if (j->kind == JOB_NODES && j->assigned && j->restricts && !j->chosen.fits_cpus)
                        strbuf_append(&j->notes, "; its CPUs are oversubscribed");
        }
}
