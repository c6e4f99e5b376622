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

static void add_member(const struct planner *pl, const struct group *g, size_t k, const struct node_set *nodes, struct lent *lent,
                       uint64_t *ret_allow) {
        struct node_set mems = job_mems(pl, g->members[k], nodes);
        uint64_t borrowed, lendable;
        sum_off(pl, g->members[k], &mems, &borrowed, &lendable);
        /* What it borrowed from somebody else than those before it comes along with it alone. */
        *ret_allow = MIN2(borrowed, lent->shared_bytes) + MIN2(lent->borrowed_bytes, lendable);
        lent->borrowed_bytes += borrowed;
        lent->shared_bytes += borrowed + lendable;
}

/* What those before this member bring for it as well is room for it, and for nobody else: to be taken back. */
static void give_credit(struct planner *pl, const struct group *g, size_t k, uint64_t allow) {
        for (unsigned i = 0; i < pl->n_nodes; i++) {
                pl->credit[i] = MIN2(brought(g, k, i), allow);
                allow -= pl->credit[i];
                pl->nodes[i].room_bytes += pl->credit[i];
        }
}

void group_take_back_credit(struct planner *pl) {
        for (unsigned i = 0; i < pl->n_nodes; i++) {
                pl->nodes[i].room_bytes -= pl->credit[i];
                pl->credit[i] = 0;
        }
}

void group_assign_member(struct planner *pl, struct group *g, size_t k, const struct option *o, struct lent *lent) {
        struct job *j = g->members[k];
        uint64_t allow;
        add_member(pl, g, k, &o->nodes, lent, &allow);
        give_credit(pl, g, k, allow);
        job_assign(pl, j, o);
        for (unsigned i = 0; i < pl->n_nodes; i++) {
                uint64_t twice = MIN2(j->incoming[i], pl->credit[i]);
                j->incoming[i] -= twice;
                pl->nodes[i].room_bytes += twice;
        }
        group_take_back_credit(pl);
}

static size_t lent_before(const struct planner *pl, const struct job *j, struct lent *ret) {
        size_t k = 0;
        uint64_t allow;
        *ret = (struct lent) { 0 };
        for (; j->group->members[k] != j; k++)
                add_member(pl, j->group, k, &j->group->members[k]->chosen.nodes, ret, &allow);
        return k;
}

static bool has_lenders(const struct job *j) {
        return j->group && j->group->assigned && j->group->borrows;
}

void job_give_credit(struct planner *pl, const struct job *j, const struct node_set *nodes) {
        struct lent lent;
        uint64_t allow;
        if (!has_lenders(j))
                return;
        size_t k = lent_before(pl, j, &lent);
        add_member(pl, j->group, k, nodes, &lent, &allow);
        give_credit(pl, j->group, k, allow);
}

void job_assign_again(struct planner *pl, struct job *j, const struct option *o) {
        struct lent lent;
        if (has_lenders(j))
                group_assign_member(pl, j->group, lent_before(pl, j, &lent), o, &lent);
        else
                job_assign(pl, j, o);
}

uint64_t job_credit_bytes(const struct planner *pl, const struct job *j, const struct node_set *nodes) {
        struct node_set mems = job_mems(pl, j, nodes);
        uint64_t sum = 0;
        NODE_SET_FOREACH (id, &mems)
                sum += pl->credit[pl->index_of[id]];
        return sum;
}
