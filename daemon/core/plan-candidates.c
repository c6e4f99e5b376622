/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which sets of nodes come into question. More nodes only where fewer do not do: sets are made by size, and the first size
 * at which one holds the service comfortably is the last. On small machines all sets of a size are tried; on larger ones some are
 * grown: plan-candidates-grown.c. */
#include "core/plan-candidates.h"

#define ALL_SUBSETS_UP_TO 8u /* nodes */
#define EVERY_SIZE_UP_TO  4u /* nodes: sets of every size */

bool candidates_push_for(struct planner *pl, const struct asking *a, const struct node_set *nodes, size_t same_size_from) {
        for (size_t i = same_size_from; i < pl->n_options; i++)
                if (node_set_equal(&pl->options[i].nodes, nodes))
                        return pl->options[i].roomy && pl->options[i].standing == STANDING_FREE;
        struct bar bar = { 0 };
        enum standing standing = STANDING_FREE;
        if (a->group)
                standing = group_standing(pl, a->group, nodes, &bar);
        else if (a->job->group)
                standing = job_standing(pl, a->job, nodes, &bar);
        if (pl->free_only && standing != STANDING_FREE)
                return false;
        if (array_reserve(&pl->options, &pl->capacity, pl->n_options + 1, sizeof *pl->options) < 0) {
                pl->failed = true;
                return false;
        }
        struct option o;
        if (a->group)
                group_evaluate(pl, a->group, nodes, &o);
        else
                job_evaluate(pl, &pl->jobs[a->job - pl->jobs], nodes, &o);
        o.standing = standing;
        o.bar = bar;
        pl->options[pl->n_options++] = o;
        return o.roomy && o.standing == STANDING_FREE;
}

bool candidates_push(struct planner *pl, const struct job *j, const struct node_set *nodes) {
        struct asking a = { .job = j };
        return candidates_push_for(pl, &a, nodes, 0);
}

static struct node_set usable_nodes(const struct planner *pl, const struct job *j) {
        if (j->kind == JOB_SPREAD)
                return spread_nodes(pl, j);
        struct node_set cpus = job_cpus(pl, j, &pl->all_nodes), mems = job_mems(pl, j, &pl->all_nodes);
        return j->restricts ? node_set_union(&cpus, &mems) : mems;
}

static void limit_sizes(struct asking *a, const struct job *j) {
        a->least = MAX2(a->least, j->rule->min_nodes);
        if (j->rule->max_nodes > 0)
                a->most = MIN2(a->most, j->rule->max_nodes);
        a->demand += j->demand;
}

static struct asking ask(const struct planner *pl, const struct job *j, struct group *g) {
        struct asking a = { .group = g, .job = j, .least = 1, .most = pl->n_nodes };
        a.usable = usable_nodes(pl, j);
        for (size_t k = 0; g && k < g->n; k++) {
                struct node_set usable = usable_nodes(pl, g->members[k]);
                a.usable = node_set_intersect(&a.usable, &usable);
                limit_sizes(&a, g->members[k]);
        }
        if (!g)
                limit_sizes(&a, j);
        a.n_usable = node_set_count(&a.usable);
        a.most = MIN2(a.most, a.n_usable);
        return a;
}

struct node_set candidates_subset(const unsigned *ids, unsigned n, unsigned bits) {
        struct node_set s = { 0 };
        for (unsigned b = 0; b < n; b++)
                if (bits >> b & 1)
                        node_set_add(&s, ids[b]);
        return s;
}

static void all_subsets(struct planner *pl, const struct asking *a) {
        unsigned ids[ALL_SUBSETS_UP_TO], n = 0;
        NODE_SET_FOREACH (id, &a->usable)
                ids[n++] = (unsigned) id;
        for (unsigned size = a->least; size <= a->most; size++) {
                bool roomy = false;
                for (unsigned bits = 1; bits < 1u << n; bits++) {
                        if ((unsigned) __builtin_popcount(bits) != size)
                                continue;
                        struct node_set s = candidates_subset(ids, n, bits);
                        roomy |= candidates_push_for(pl, a, &s, pl->n_options);
                }
                if (roomy && (n > EVERY_SIZE_UP_TO || !a->group || a->group->has_home))
                        return;
        }
}

static void make_sets(struct planner *pl, const struct asking *a) {
        pl->n_options = 0;
        if (a->n_usable <= ALL_SUBSETS_UP_TO)
                all_subsets(pl, a);
        else
                candidates_grow(pl, a);
}

void candidates_of_set(struct planner *pl, const struct job *j) {
        struct asking a = ask(pl, j, NULL);
        make_sets(pl, &a);
        if (j->has_home)
                (void) candidates_push(pl, j, &j->home);
}

/* The nodes that are given can be had or not: there is nothing else. */
static const struct job *fixed_member(const struct group *g) {
        for (size_t k = 0; k < g->n; k++)
                if (g->members[k]->kind == JOB_NODES)
                        return g->members[k];
        return NULL;
}

static bool any_spreads(const struct group *g) {
        bool any = false;
        for (size_t k = 0; k < g->n; k++)
                any |= g->members[k]->kind == JOB_SPREAD;
        return any;
}

/* All that can be, and all that others leave; where only some may be, some around each node. */
static void wide_sets(struct planner *pl, const struct asking *a) {
        struct node_set left = { 0 };
        struct bar bar;
        NODE_SET_FOREACH (id, &a->usable) {
                struct node_set s = node_set_of((unsigned) id);
                enum standing standing = group_standing(pl, a->group, &s, &bar);
                if (standing == STANDING_FREE || bar.constraint == CONSTRAINT_MIN_NODES)
                        node_set_add(&left, (unsigned) id);
        }
        for (unsigned pass = 0; pass < 2; pass++) {
                const struct node_set *nodes = pass == 0 ? &a->usable : &left;
                if (pass == 1 && node_set_equal(&left, &a->usable))
                        break;
                unsigned n = node_set_count(nodes), size = MIN2(a->most, n);
                if (n > 0 && n <= a->most)
                        (void) candidates_push_for(pl, a, nodes, 0);
                NODE_SET_FOREACH (id, nodes) {
                        if (n <= a->most)
                                break;
                        enum growing which = pass == 0 ? GROWTH_USABLE : GROWTH_LEFT;
                        struct node_set s = grown_from(pl, which, nodes, (unsigned) id, size);
                        (void) candidates_push_for(pl, a, &s, 0);
                }
        }
}

void candidates_of_group(struct planner *pl, struct group *g) {
        struct asking a = ask(pl, g->members[0], g);
        const struct job *fixed = fixed_member(g);
        pl->n_options = 0;
        if (fixed)
                (void) candidates_push_for(pl, &a, &fixed->permitted, 0);
        else if (any_spreads(g) && a.n_usable > EVERY_SIZE_UP_TO)
                wide_sets(pl, &a);
        else
                make_sets(pl, &a);
        /* The present home is always compared with, also where it is larger than it need be. */
        if (g->has_home)
                (void) candidates_push_for(pl, &a, &g->home, 0);
}
