/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What members of a group share, each of them has among its bytes: it is near or far for each. But it comes to their home once, so it needs room
 * there once: what one member brings along is taken off what the next one needs room for. */
#include "core/plan-internal.h"

uint64_t job_borrowed_bytes(const struct planner *pl, const struct job *j, unsigned i) {
        const uint64_t *borrowed = j->sample->borrowed_by_node;
        return borrowed ? MIN2(borrowed[pl->nodes[i].id], j->movable[i] - j->huge[i]) : 0;
}

bool group_borrows(const struct planner *pl, const struct group *g) {
        for (size_t k = 0; g->n > 1 && k < g->n; k++)
                for (unsigned i = 0; i < pl->n_nodes; i++)
                        if (job_borrowed_bytes(pl, g->members[k], i) > 0)
                                return true;
        return false;
}

/* Of what it has elsewhere: borrowed, or mapped and charged to it, which others may have borrowed. */
static void sum_off(const struct planner *pl, const struct job *j, const struct node_set *mems, uint64_t *ret_borrowed,
                    uint64_t *ret_lendable) {
        const uint64_t *mapped = j->sample->mapped_file_by_node;
        *ret_borrowed = *ret_lendable = 0;
        for (unsigned i = 0; i < pl->n_nodes; i++) {
                if (node_set_has(mems, pl->nodes[i].id))
                        continue;
                *ret_borrowed += job_borrowed_bytes(pl, j, i);
                *ret_lendable += mapped ? MIN2(mapped[pl->nodes[i].id], j->movable[i]) : 0;
        }
}

/* What the members before this one bring to the node. */
static uint64_t brought(const struct group *g, size_t k, unsigned i) {
        uint64_t sum = 0;
        for (size_t e = 0; e < k; e++)
                sum += g->members[e]->incoming[i];
        return sum;
}

void group_assign_member(struct planner *pl, struct group *g, size_t k, const struct option *o, struct lent *lent) {
        struct job *j = g->members[k];
        struct node_set mems = job_mems(pl, j, &o->nodes);
        uint64_t borrowed, lendable;
        sum_off(pl, j, &mems, &borrowed, &lendable);
        /* What it borrowed from somebody else than those before it comes along with it alone. */
        uint64_t allow = MIN2(borrowed, lent->shared_bytes) + MIN2(lent->borrowed_bytes, lendable);
        lent->borrowed_bytes += borrowed;
        lent->shared_bytes += borrowed + lendable;
        for (unsigned i = 0; i < pl->n_nodes; i++) {
                pl->credit[i] = MIN2(brought(g, k, i), allow);
                allow -= pl->credit[i];
                pl->nodes[i].room_bytes += pl->credit[i];
        }
        job_assign(pl, j, o);
        for (unsigned i = 0; i < pl->n_nodes; i++) {
                uint64_t twice = MIN2(j->incoming[i], pl->credit[i]);
                j->incoming[i] -= twice;
                pl->nodes[i].room_bytes += twice;
                pl->nodes[i].room_bytes -= pl->credit[i];
        }
}
