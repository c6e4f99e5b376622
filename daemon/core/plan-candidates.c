/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which sets of nodes come into question. More nodes only where fewer do not do: sets are made by size, and the first size
 * at which one holds the service comfortably is the last. On small machines all sets of a size are tried; on larger
 * ones the nodes that do best alone are seeds that take in their nearest, beginning at the least size that could do. */
#include "core/plan-internal.h"

#define ALL_SUBSETS_UP_TO 8u /* nodes */
#define SIZES_TRIED       4u /* from the least that could do, on larger machines */
#define SEEDS             8u

static bool push(struct planner *pl, const struct job *j, const struct node_set *nodes, size_t same_size_from) {
        for (size_t i = same_size_from; i < pl->n_options; i++)
                if (node_set_equal(&pl->options[i].nodes, nodes))
                        return pl->options[i].roomy;
        if (array_reserve(&pl->options, &pl->capacity, pl->n_options + 1, sizeof *pl->options) < 0) {
                pl->failed = true;
                return false;
        }
        struct option *o = &pl->options[pl->n_options++];
        option_evaluate(pl, j, nodes, o);
        return o->roomy;
}

/* The nodes that are of any use to the job, as ids in ascending order and as indexes. */
struct usable {
        unsigned n;
        struct node_set set;
};

static struct usable usable_nodes(const struct planner *pl, const struct job *j) {
        struct usable u = { 0 };
        struct node_set cpus = job_cpus(pl, j, &pl->all_nodes), mems = job_mems(pl, j, &pl->all_nodes);
        u.set = node_set_union(&cpus, &mems);
        u.n = node_set_count(&u.set);
        return u;
}

static unsigned size_limit(const struct job *j, unsigned n_usable) {
        return j->rule->max_nodes > 0 ? MIN2(j->rule->max_nodes, n_usable) : n_usable;
}

static void all_subsets(struct planner *pl, const struct job *j, const struct usable *u) {
        unsigned ids[ALL_SUBSETS_UP_TO], n = 0, limit = size_limit(j, u->n);
        NODE_SET_FOREACH (id, &u->set)
                ids[n++] = (unsigned) id;
        for (unsigned size = 1; size <= limit; size++) {
                bool roomy = false;
                for (unsigned bits = 1; bits < 1u << n; bits++) {
                        if ((unsigned) __builtin_popcount(bits) != size)
                                continue;
                        struct node_set s = { 0 };
                        for (unsigned b = 0; b < n; b++)
                                if (bits >> b & 1)
                                        node_set_add(&s, ids[b]);
                        roomy |= push(pl, j, &s, pl->n_options);
                }
                if (roomy)
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

/* No set of fewer nodes can hold the service. */
static unsigned least_size(struct planner *pl, const struct job *j, const struct usable *u) {
        unsigned n = 0;
        uint64_t movable = 0;
        for (unsigned i = 0; i < pl->n_nodes; i++) {
                if (!node_set_has(&u->set, pl->nodes[i].id))
                        continue;
                double spare = pl->nodes[i].n_cpus - pl->nodes[i].pinned_load;
                pl->order_keys[n++] = spare > 0 ? (uint64_t) (spare * 1000) : 0;
        }
        unsigned by_cpu = least_count(pl->order_keys, n, (uint64_t) (j->demand * 1000));
        n = 0;
        for (unsigned i = 0; i < pl->n_nodes; i++) {
                uint64_t regular = j->movable[i] - j->huge[i];
                movable += regular;
                if (node_set_has(&u->set, pl->nodes[i].id))
                        pl->order_keys[n++] = pl->nodes[i].room_bytes + regular;
        }
        return MAX2(MAX2(by_cpu, least_count(pl->order_keys, n, movable)), 1u);
}

/* Extends the seed's row by the node that is nearest to all that are in it, both ways. */
static void grow_row(struct planner *pl, unsigned seed) {
        size_t n = pl->n_nodes;
        uint16_t *row = pl->grown + seed * n;
        double *sum = pl->grown_sum + seed * n; /* negative: taken */
        unsigned last = seed, best = seed;
        if (pl->n_grown[seed] > 0) {
                double best_sum = -1;
                for (unsigned i = 0; i < n; i++)
                        if (sum[i] >= 0 && (best_sum < 0 || sum[i] < best_sum)) {
                                best = i;
                                best_sum = sum[i];
                        }
                last = best;
        }
        row[pl->n_grown[seed]++] = (uint16_t) last;
        sum[last] = -1;
        for (unsigned i = 0; i < n; i++)
                if (sum[i] >= 0)
                        sum[i] += pl->distance[i * n + last] + pl->distance[last * n + i];
}

/* The seed and its nearest usable nodes, `size` in all. */
static struct node_set grown_set(struct planner *pl, const struct usable *u, unsigned seed, unsigned size) {
        struct node_set s = { 0 };
        unsigned n = 0;
        for (unsigned k = 0; k < pl->n_nodes && n < size; k++) {
                if (k >= pl->n_grown[seed])
                        grow_row(pl, seed);
                unsigned id = pl->nodes[pl->grown[(size_t) seed * pl->n_nodes + k]].id;
                if (node_set_has(&u->set, id)) {
                        node_set_add(&s, id);
                        n++;
                }
        }
        return s;
}

static bool single_nodes(struct planner *pl, const struct job *j, const struct usable *u) {
        bool roomy = false;
        NODE_SET_FOREACH (id, &u->set) {
                struct node_set s = node_set_of((unsigned) id);
                roomy |= push(pl, j, &s, pl->n_options);
        }
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

static bool grow_seeds(struct planner *pl, const struct job *j, const struct usable *u, const unsigned *seeds, unsigned n_seeds,
                       unsigned size) {
        bool roomy = false;
        size_t from = pl->n_options;
        for (unsigned k = 0; k < n_seeds; k++) {
                struct node_set s = grown_set(pl, u, seeds[k], size);
                roomy |= push(pl, j, &s, from);
        }
        return roomy;
}

static void grown_sets(struct planner *pl, const struct job *j, const struct usable *u) {
        unsigned limit = size_limit(j, u->n), seeds[SEEDS];
        if (limit == 0 || single_nodes(pl, j, u) || limit == 1)
                return;
        unsigned n_seeds = best_seeds(pl, seeds);
        unsigned first = MIN2(MAX2(least_size(pl, j, u), 2u), limit), last = MIN2(first + SIZES_TRIED - 1, limit);
        for (unsigned size = first; size <= last; size++)
                if (grow_seeds(pl, j, u, seeds, n_seeds, size))
                        return;
        if (last < limit)
                (void) grow_seeds(pl, j, u, seeds, n_seeds, limit);
}

void candidates_of_set(struct planner *pl, const struct job *j) {
        struct usable u = usable_nodes(pl, j);
        pl->n_options = 0;
        if (u.n <= ALL_SUBSETS_UP_TO)
                all_subsets(pl, j, &u);
        else
                grown_sets(pl, j, &u);
        /* The present home is always compared with, also where it is larger than it need be. */
        if (j->has_home)
                (void) push(pl, j, &j->home, 0);
}

void candidates_of_memory(struct planner *pl, const struct job *j) {
        struct node_set mems = job_mems(pl, j, &pl->all_nodes), grown = { 0 };
        unsigned limit = j->rule->max_nodes > 0 ? j->rule->max_nodes : pl->n_nodes;
        bool fits = false;
        pl->n_options = 0;
        NODE_SET_FOREACH (id, &mems) {
                struct node_set s = node_set_of((unsigned) id);
                (void) push(pl, j, &s, 0);
        }
        /* Where the nearest alone has no room, take in one after the other, nearest to the threads first. The distances of the last
         * evaluation hold for all, because the CPUs stay where they are. */
        while (!fits && node_set_count(&grown) < limit) {
                int best = -1;
                for (unsigned i = 0; i < pl->n_nodes; i++)
                        if (node_set_has(&mems, pl->nodes[i].id) && !node_set_has(&grown, pl->nodes[i].id) &&
                            pl->nodes[i].room_bytes + j->movable[i] > 0 && (best < 0 || pl->far[i] < pl->far[best]))
                                best = (int) i;
                if (best < 0)
                        break;
                node_set_add(&grown, pl->nodes[best].id);
                fits = push(pl, j, &grown, 0);
        }
        if (j->has_home)
                (void) push(pl, j, &j->home, 0);
}

static const struct option *option_of(const struct planner *pl, const struct node_set *nodes) {
        for (size_t i = 0; i < pl->n_options; i++)
                if (node_set_equal(&pl->options[i].nodes, nodes))
                        return &pl->options[i];
        return NULL;
}

static bool holds(const struct job *j, const struct option *o) {
        return o->fits_memory && (o->has_cpus || !j->restricts);
}

const struct option *candidates_best(const struct planner *pl, const struct job *j) {
        const struct option *best = NULL, *home = j->guard_usec > 0 ? option_of(pl, &j->home) : NULL;
        for (size_t i = 0; i < pl->n_options; i++) {
                const struct option *o = &pl->options[i];
                if (holds(j, o) && !guard_bars(j, home, o) && (!best || option_better(j, o, best)))
                        best = o;
        }
        return best;
}

const struct option *candidates_barred(const struct planner *pl, const struct job *j) {
        if (j->guard_usec == 0)
                return NULL;
        const struct option *o = option_of(pl, &j->former);
        return o && holds(j, o) && guard_bars(j, option_of(pl, &j->home), o) ? o : NULL;
}
