/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sets of nodes on machines with too many to try them all: the nodes that do best alone are seeds that take in their nearest, beginning at
 * the least size that could do. */
#include "core/plan-candidates.h"

#define SIZES_TRIED 4u /* from the least that could do */
#define SEEDS       8u
#define COST_TIE    1e-9

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
                bool roomy = candidates_push_for(pl, a, &s, pl->n_options);
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
                roomy |= candidates_push_for(pl, a, &s, pl->n_options);
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
                roomy |= candidates_push_for(pl, a, &s, from);
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

void candidates_grow(struct planner *pl, const struct asking *a) {
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
