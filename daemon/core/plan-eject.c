/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where others stand in a group's way that could as well live elsewhere: they are sent there, if all that they ask for holds there too, and
 * so on for those in their way, a few levels deep. Nobody loses by it but what the move costs. */
#include "core/plan-internal.h"

#define DEPTH          3u
#define HOMES_TRIED    12u /* per group, cheapest first */
#define IN_THE_WAY_MAX 3u
#define ATTEMPTS_MAX   400u /* in one plan */
#define LOG_MAX        32u

struct change {
        struct group *group;
        struct node_set before;
        bool was_assigned;
};

struct attempt {
        struct planner *pl;
        struct change log[LOG_MAX];
        size_t n;
};

static bool note(struct attempt *a, struct group *g) {
        if (a->n == LOG_MAX)
                return false;
        a->log[a->n++] = (struct change) { g, g->members[0]->chosen.nodes, g->assigned };
        return true;
}

static void roll_back(struct attempt *a, size_t to) {
        for (size_t i = a->n; i > to; i--)
                group_unassign(a->pl, a->log[i - 1].group);
        while (a->n > to) {
                const struct change *c = &a->log[--a->n];
                if (c->group->assigned)
                        group_unassign(a->pl, c->group);
                if (c->was_assigned)
                        group_assign(a->pl, c->group, &c->before);
        }
}

/* Who must leave for the group to live there; more than `max`, or one who cannot: SIZE_MAX. */
static size_t in_the_way(const struct planner *pl, const struct group *g, const struct node_set *nodes, struct group **ret) {
        size_t n = 0;
        NODE_SET_FOREACH (id, nodes) {
                const struct occupants *o = &pl->occupants[pl->index_of[id]];
                for (size_t i = 0; i < o->n; i++) {
                        struct job *other = &pl->jobs[o->jobs[i]];
                        bool conflict = false, known = false;
                        struct bar bar;
                        for (size_t k = 0; k < g->n && !conflict; k++)
                                conflict = jobs_conflict(pl, g->members[k], other, &bar);
                        for (size_t k = 0; k < n; k++)
                                known |= ret[k] == other->group;
                        if (!conflict || known)
                                continue;
                        if (n == IN_THE_WAY_MAX || other->group->fixed || other->group->locked ||
                            (other->group->has_home && other->group->settles && other->group->strength < g->strength))
                                return SIZE_MAX;
                        ret[n++] = other->group;
                }
        }
        return n;
}

struct way {
        struct node_set nodes;
        double cost;
};

/* The cheapest homes that would do but for others. pl->options is used anew further down, so they are copied. */
static size_t ways_of(const struct planner *pl, const struct group *g, struct way *ret) {
        size_t n = 0;
        struct bar bar;
        for (size_t i = 0; i < pl->n_options; i++) {
                const struct option *o = &pl->options[i];
                bool own = false;
                for (size_t k = 0; k < g->n; k++)
                        own |= job_bars(g->members[k], &o->nodes, &bar);
                if (own || o->standing == STANDING_FREE || !group_holds(g, o))
                        continue;
                size_t at = n < HOMES_TRIED ? n++ : HOMES_TRIED;
                for (; at > 0 && ret[at - 1].cost > o->cost; at--)
                        if (at < HOMES_TRIED)
                                ret[at] = ret[at - 1];
                if (at < HOMES_TRIED)
                        ret[at] = (struct way) { o->nodes, o->cost };
        }
        return n;
}

static bool eject(struct attempt *a, struct group *g, unsigned depth);

/* A home for one that was sent away, or that sends others away in turn. */
static bool settle(struct attempt *a, struct group *g, unsigned depth) {
        candidates_of_group(a->pl, g);
        const struct option *best = candidates_choose(a->pl, g, STANDING_FREE);
        if (!best)
                return depth > 0 && eject(a, g, depth);
        struct node_set nodes = best->nodes;
        group_assign(a->pl, g, &nodes);
        return true;
}

static bool try_way(struct attempt *a, struct group *g, const struct node_set *nodes, unsigned depth) {
        struct group *others[IN_THE_WAY_MAX];
        size_t from = a->n, n = in_the_way(a->pl, g, nodes, others);
        bool ok = n != SIZE_MAX && note(a, g);
        for (size_t i = 0; i < n && ok; i++) {
                ok = note(a, others[i]);
                if (ok)
                        group_unassign(a->pl, others[i]);
        }
        if (ok) {
                group_assign(a->pl, g, nodes);
                g->locked = true;
                for (size_t i = 0; i < n && ok; i++)
                        ok = settle(a, others[i], depth - 1);
                g->locked = false;
        }
        if (!ok)
                roll_back(a, from);
        return ok;
}

static bool eject(struct attempt *a, struct group *g, unsigned depth) {
        struct way ways[HOMES_TRIED];
        size_t n = ways_of(a->pl, g, ways);
        for (size_t i = 0; i < n && a->pl->n_ejections < ATTEMPTS_MAX; i++) {
                a->pl->n_ejections++;
                if (try_way(a, g, &ways[i].nodes, depth))
                        return true;
        }
        return false;
}

bool plan_eject(struct planner *pl, struct group *g) {
        struct attempt a = { .pl = pl };
        if (!eject(&a, g, DEPTH))
                return false;
        for (size_t i = 0; i < a.n; i++) {
                struct group *other = a.log[i].group;
                if (!other->has_home || node_set_equal(&other->members[0]->chosen.nodes, &other->home))
                        continue;
                struct bar bar = { 0 };
                for (size_t k = 0; k < a.n; k++)
                        if (a.log[k].group != other && jobs_conflict(pl, other->members[0], a.log[k].group->members[0], &bar))
                                break;
                group_lose_home(pl, other, &bar);
        }
        return true;
}
