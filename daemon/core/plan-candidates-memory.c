/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which sets of nodes come into question for memory that goes after the threads. The nearest node alone is not always the best: one controller would
 * have to bear all of it. So on small machines all sets are tried; on larger ones each node alone, and the best of them grows by what
 * lowers its cost most. */
#include "core/plan-candidates.h"

#define ALL_SUBSETS_UP_TO 4u /* nodes */
#define GROWN_FROM        8u /* nodes: the best alone */

static void all_subsets(struct planner *pl, const struct job *j, const struct node_set *mems, unsigned most) {
        unsigned ids[ALL_SUBSETS_UP_TO], n = 0;
        NODE_SET_FOREACH (id, mems)
                ids[n++] = (unsigned) id;
        for (unsigned bits = 1; bits < 1u << n; bits++) {
                struct node_set s = candidates_subset(ids, n, bits);
                unsigned size = node_set_count(&s);
                if (size <= most)
                        (void) candidates_push(pl, j, &s);
        }
}

static bool is_cheaper(const struct option *a, const struct option *b) {
        return a->fits_memory != b->fits_memory ? a->fits_memory : a->cost < b->cost;
}

/* The nodes that do best alone, best first. */
static unsigned best_alone(const struct planner *pl, const struct option **ret) {
        unsigned n = 0;
        for (size_t i = 0; i < pl->n_options; i++) {
                unsigned at = n < GROWN_FROM ? n++ : GROWN_FROM;
                for (; at > 0 && is_cheaper(&pl->options[i], ret[at - 1]); at--)
                        if (at < GROWN_FROM)
                                ret[at] = ret[at - 1];
                if (at < GROWN_FROM)
                        ret[at] = &pl->options[i];
        }
        return n;
}

/* Takes in, one by one, what makes it cheapest, for as long as it gets cheaper. */
static void grow_by_cost(struct planner *pl, const struct job *j, unsigned most) {
        const struct option *alone[GROWN_FROM];
        struct node_set few[GROWN_FROM];
        unsigned n = best_alone(pl, alone);
        if (n == 0)
                return;
        struct option best = *alone[0];
        for (unsigned k = 0; k < n; k++) /* the options move as others are added */
                few[k] = alone[k]->nodes;
        for (unsigned size = 2; size <= MIN2(most, n); size++) {
                struct option next = best;
                for (unsigned k = 1; k < n; k++) {
                        struct node_set s = node_set_union(&best.nodes, &few[k]);
                        if (node_set_equal(&s, &best.nodes))
                                continue;
                        (void) candidates_push(pl, j, &s);
                        if (pl->n_options > 0 && is_cheaper(&pl->options[pl->n_options - 1], &next))
                                next = pl->options[pl->n_options - 1];
                }
                if (node_set_equal(&next.nodes, &best.nodes))
                        return;
                best = next;
        }
}

/* Where the nearest alone has no room, take in one after the other, nearest to the threads first. The distances of the last
 * evaluation hold for all, because the CPUs stay where they are. */
static void grow_for_room(struct planner *pl, const struct job *j, const struct node_set *mems, unsigned most) {
        struct node_set grown = { 0 };
        bool fits = false;
        while ((!fits || node_set_count(&grown) < j->rule->min_nodes) && node_set_count(&grown) < most) {
                int best = -1;
                for (unsigned i = 0; i < pl->n_nodes; i++)
                        if (node_set_has(mems, pl->nodes[i].id) && !node_set_has(&grown, pl->nodes[i].id) &&
                            pl->nodes[i].room_bytes + j->movable[i] > 0 && (best < 0 || pl->far[i] < pl->far[best]))
                                best = (int) i;
                if (best < 0)
                        break;
                node_set_add(&grown, pl->nodes[best].id);
                bool roomy = candidates_push(pl, j, &grown);
                fits = roomy && node_set_count(&grown) >= j->rule->min_nodes;
        }
}

static void drop_smaller(struct planner *pl, unsigned least) {
        size_t kept = 0;
        for (size_t i = 0; i < pl->n_options; i++)
                if (node_set_count(&pl->options[i].nodes) >= least)
                        pl->options[kept++] = pl->options[i];
        pl->n_options = kept;
}

void candidates_of_memory(struct planner *pl, const struct job *j) {
        struct bar bar;
        struct node_set mems = job_mems(pl, j, &pl->all_nodes), barred = job_barred_nodes(pl, j, &bar);
        mems = node_set_subtract(&mems, &barred);
        unsigned most = j->rule->max_nodes > 0 ? j->rule->max_nodes : pl->n_nodes;
        pl->n_options = 0;
        if (node_set_count(&mems) <= ALL_SUBSETS_UP_TO)
                all_subsets(pl, j, &mems, most);
        else {
                NODE_SET_FOREACH (id, &mems) {
                        struct node_set s = node_set_of((unsigned) id);
                        (void) candidates_push(pl, j, &s);
                }
                grow_by_cost(pl, j, most);
                grow_for_room(pl, j, &mems, most);
        }
        drop_smaller(pl, j->rule->min_nodes);
        if (j->has_home)
                (void) candidates_push(pl, j, &j->home);
}
