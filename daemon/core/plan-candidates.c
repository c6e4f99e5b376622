/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which sets of nodes come into question. More nodes only where fewer do not do: sets are made by size, and the first size
 * at which one holds the service comfortably is the last. On small machines all sets of a size are tried; on larger
 * ones the nodes that do best alone are seeds that take in their nearest, beginning at the least size that could do. */
#include "core/plan-internal.h"

#define ALL_SUBSETS_UP_TO 8u /* nodes */
#define SIZES_TRIED       4u /* from the least that could do, on larger machines */
#define SEEDS             8u
#define EVERY_SIZE_UP_TO  4u /* nodes: sets of every size */
#define COST_TIE          1e-9

/* For whom: one job, or its whole group. What the sets have to hold is summed over it. */
struct asking {
        struct group *group; /* NULL: the job alone */
        const struct job *job;
        struct node_set usable;         /* nodes that are of any use to all */
        unsigned n_usable, least, most; /* nodes; number of nodes of a set */
        double demand;
};

static bool push_for(struct planner *pl, const struct asking *a, const struct node_set *nodes, size_t same_size_from) {
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
        return push_for(pl, &a, nodes, 0);
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

static void all_subsets(struct planner *pl, const struct asking *a) {
        unsigned ids[ALL_SUBSETS_UP_TO], n = 0;
        NODE_SET_FOREACH (id, &a->usable)
                ids[n++] = (unsigned) id;
        for (unsigned size = a->least; size <= a->most; size++) {
                bool roomy = false;
                for (unsigned bits = 1; bits < 1u << n; bits++) {
                        if ((unsigned) __builtin_popcount(bits) != size)
                                continue;
                        struct node_set s = { 0 };
                        for (unsigned b = 0; b < n; b++)
                                if (bits >> b & 1)
                                        node_set_add(&s, ids[b]);
                        roomy |= push_for(pl, a, &s, pl->n_options);
                }
                if (roomy && (n > EVERY_SIZE_UP_TO || !a->group || a->group->has_home))
                        return;
        }
}

static int descending(const void *a, const void *b) {
        uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;
        return (x < y) - (x > y);
}

/* How many of the largest are needed to reach the sum; `n` + 1 where all together do not. */
static unsigned least_count(uint64_t *values, unsigned n, uint64_t sum) {
        qsort(values, n, sizeof *values, descending);
        uint64_t reached = 0;
        for (unsigned i = 0; i < n; i++) {
                if (reached >= sum)
                        return i;
                reached += values[i];
        }
        return reached >= sum ? n : n + 1;
}

static uint64_t regular_bytes(const struct planner *pl, const struct asking *a, unsigned i) {
        uint64_t bytes = a->group ? 0 : a->job->movable[i] - a->job->huge[i];
        for (size_t k = 0; a->group && k < a->group->n; k++)
                bytes += a->group->members[k]->movable[i] - a->group->members[k]->huge[i] -
                         (a->group->borrows ? job_borrowed_bytes(pl, a->group->members[k], i) : 0);
        return bytes;
}

/* No set of fewer nodes can hold the service. */
static unsigned least_size(struct planner *pl, const struct asking *a) {
        unsigned n = 0;
        uint64_t movable = 0;
        for (unsigned i = 0; i < pl->n_nodes; i++) {
                if (!node_set_has(&a->usable, pl->nodes[i].id))
                        continue;
                double spare = pl->nodes[i].n_cpus - pl->nodes[i].pinned_load;
                pl->order_keys[n++] = spare > 0 ? (uint64_t) (spare * 1000) : 0;
        }
        unsigned by_cpu = least_count(pl->order_keys, n, (uint64_t) (a->demand * 1000));
        n = 0;
        for (unsigned i = 0; i < pl->n_nodes; i++) {
                uint64_t regular = regular_bytes(pl, a, i);
                movable += regular;
                if (node_set_has(&a->usable, pl->nodes[i].id))
                        pl->order_keys[n++] = pl->nodes[i].room_bytes + regular;
        }
        return MAX2(MAX2(by_cpu, least_count(pl->order_keys, n, movable)), 1u);
}

/* The seed and its nearest usable nodes, `size` in all. */
static struct node_set grown_set(struct planner *pl, const struct asking *a, unsigned seed, unsigned size) {
        struct node_set s = { 0 };
        unsigned n = 0;
        struct growth *growth = growth_of(pl, GROWTH_ALL, &pl->all_nodes);
        for (unsigned k = 0; growth && k < pl->n_nodes && n < size; k++) {
                unsigned id = pl->nodes[growth_next(pl, growth, seed, k)].id;
                if (node_set_has(&a->usable, id)) {
                        node_set_add(&s, id);
                        n++;
                }
        }
        return s;
}

/* The costs of the best few that were tried, in ascending order. */
struct few {
        double cost[SEEDS];
        unsigned n;
};

static void add_cost(struct few *f, double cost) {
        unsigned at = f->n < SEEDS ? f->n++ : SEEDS;
        for (; at > 0 && f->cost[at - 1] > cost; at--)
                if (at < SEEDS)
                        f->cost[at] = f->cost[at - 1];
        if (at < SEEDS)
                f->cost[at] = cost;
}

/* Only as far as one could be the best: the rest is known to cost more than one that will do, or than what it is to be compared with; or than
 * as many as are of use as seeds, where none will do. */
static bool cheapest_nodes(struct planner *pl, const struct asking *a) {
        struct job *j = a->group->members[0];
        double best = pl->cutoff > 0 ? pl->cutoff : -1;
        struct few seeds = { .n = 0 };
        unsigned n = 0;
        NODE_SET_FOREACH (id, &a->usable) {
                double bound = single_least_cost(pl, j, pl->index_of[id]);
                if (best >= 0 && bound > best)
                        continue;
                pl->bounded[n] = (uint16_t) id;
                pl->bounds[n++] = bound;
        }
        while (n > 0) {
                unsigned next = 0;
                for (unsigned i = 1; i < n; i++)
                        if (pl->bounds[i] < pl->bounds[next])
                                next = i;
                if ((best >= 0 && pl->bounds[next] > best + COST_TIE) ||
                    (seeds.n == SEEDS && pl->bounds[next] > seeds.cost[SEEDS - 1] + COST_TIE))
                        break;
                struct node_set s = node_set_of(pl->bounded[next]);
                size_t before = pl->n_options;
                bool roomy = push_for(pl, a, &s, pl->n_options);
                const struct option *o = pl->n_options > before ? &pl->options[before] : NULL;
                if (roomy && o && (best < 0 || o->cost < best))
                        best = o->cost;
                if (o && o->fits_memory && o->standing == STANDING_FREE)
                        add_cost(&seeds, o->cost);
                pl->bounds[next] = pl->bounds[--n];
                pl->bounded[next] = pl->bounded[n];
        }
        return best >= 0;
}

static bool single_nodes(struct planner *pl, const struct asking *a) {
        bool roomy = false, free_only = pl->free_only;
        if (a->group && a->group->n == 1 && a->least <= 1 && a->group->members[0]->kind == JOB_COMPACT && !pl->thorough)
                return cheapest_nodes(pl, a);
        pl->free_only &= a->least <= 1; /* otherwise they are seeds, though alone they are too few */
        NODE_SET_FOREACH (id, &a->usable) {
                struct node_set s = node_set_of((unsigned) id);
                roomy |= push_for(pl, a, &s, pl->n_options);
        }
        pl->free_only = free_only;
        return roomy;
}

/* The seeds are the nodes that do best alone: they are where its memory is, and where there is little load. */
static unsigned best_seeds(const struct planner *pl, unsigned *seeds) {
        unsigned n_seeds = 0;
        for (unsigned n = 0; n < SEEDS; n++) {
                const struct option *best = NULL;
                for (size_t i = 0; i < pl->n_options; i++) {
                        const struct option *o = &pl->options[i];
                        unsigned index = pl->index_of[node_set_next(&o->nodes, 0)];
                        bool taken = false;
                        for (unsigned k = 0; k < n_seeds; k++)
                                taken |= seeds[k] == index;
                        if (!taken && (!best || o->cost < best->cost))
                                best = o;
                }
                if (!best)
                        break;
                seeds[n_seeds++] = pl->index_of[node_set_next(&best->nodes, 0)];
        }
        return n_seeds;
}

static bool grow_seeds(struct planner *pl, const struct asking *a, const unsigned *seeds, unsigned n_seeds, unsigned size) {
        bool roomy = false;
        size_t from = pl->n_options;
        for (unsigned k = 0; k < n_seeds; k++) {
                struct node_set s = grown_set(pl, a, seeds[k], size);
                roomy |= push_for(pl, a, &s, from);
        }
        return roomy;
}

/* One that fits was found before, and nothing among the larger ones is cheaper: still larger ones will not be either. */
static bool is_enough(const struct planner *pl, size_t smaller) {
        double best = -1;
        for (size_t i = 0; i < smaller; i++) {
                const struct option *o = &pl->options[i];
                if (o->fits_memory && o->has_cpus && o->standing == STANDING_FREE && (best < 0 || o->cost < best))
                        best = o->cost;
        }
        for (size_t i = smaller; i < pl->n_options && best >= 0; i++)
                if (pl->options[i].cost < best)
                        return false;
        return best >= 0;
}

static void grown_sets(struct planner *pl, const struct asking *a) {
        unsigned seeds[SEEDS];
        if (a->most < a->least || (single_nodes(pl, a) && a->least <= 1) || a->most == 1)
                return;
        unsigned n_seeds = best_seeds(pl, seeds);
        if (a->least > 1)
                pl->n_options = 0;
        unsigned first = MIN2(MAX2(MAX2(least_size(pl, a), 2u), a->least), a->most),
                 last = MIN2(first + SIZES_TRIED - 1, a->most);
        for (unsigned size = first; size <= last; size++) {
                size_t before = pl->n_options;
                if (grow_seeds(pl, a, seeds, n_seeds, size) || is_enough(pl, before))
                        return;
        }
        if (last < a->most)
                (void) grow_seeds(pl, a, seeds, n_seeds, a->most);
}

static void make_sets(struct planner *pl, const struct asking *a) {
        pl->n_options = 0;
        if (a->n_usable <= ALL_SUBSETS_UP_TO)
                all_subsets(pl, a);
        else
                grown_sets(pl, a);
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
                        (void) push_for(pl, a, nodes, 0);
                NODE_SET_FOREACH (id, nodes) {
                        if (n <= a->most)
                                break;
                        enum growing which = pass == 0 ? GROWTH_USABLE : GROWTH_LEFT;
                        struct node_set s = grown_from(pl, which, nodes, (unsigned) id, size);
                        (void) push_for(pl, a, &s, 0);
                }
        }
}

void candidates_of_group(struct planner *pl, struct group *g) {
        struct asking a = ask(pl, g->members[0], g);
        const struct job *fixed = fixed_member(g);
        pl->n_options = 0;
        if (fixed)
                (void) push_for(pl, &a, &fixed->permitted, 0);
        else if (any_spreads(g) && a.n_usable > EVERY_SIZE_UP_TO)
                wide_sets(pl, &a);
        else
                make_sets(pl, &a);
        /* The present home is always compared with, also where it is larger than it need be. */
        if (g->has_home)
                (void) push_for(pl, &a, &g->home, 0);
}
