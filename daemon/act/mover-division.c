/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which pages must move, and where to, where being on any home node is not enough: amounts by node (PAGES_BALANCE), and the node that a page's
 * number tells (PAGES_INTERLEAVE). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "act/mover-internal.h"
#include "core/util.h"

/* Longer patterns are laid out node by node; shorter ones mix the nodes as evenly as can be. */
#define SMOOTH_PATTERN_MAX 8192u

struct pair {
        uint32_t distance;
        uint16_t from, to;
};

static int nearer_first(const void *a, const void *b) {
        const struct pair *x = a, *y = b;
        if (x->distance != y->distance)
                return x->distance < y->distance ? -1 : 1;
        if (x->from != y->from)
                return x->from < y->from ? -1 : 1;
        return (x->to > y->to) - (x->to < y->to);
}

/* What each node has too much of goes to where there is too little, the nearest pairs first. Less than a page is nothing. */
static int init_flow(struct mover *m, const struct move_goal *goal) {
        size_t n_ids = m->topology->n_ids, n = 0;
        _cleanup_free_ struct pair *pairs = NULL;
        _cleanup_free_ uint64_t *surplus = calloc(n_ids, sizeof(*surplus)), *deficit = calloc(n_ids, sizeof(*deficit));
        m->flow = calloc(n_ids * n_ids, sizeof(*m->flow));
        m->surplus = calloc(n_ids, sizeof(*m->surplus));
        m->deficit = calloc(n_ids, sizeof(*m->deficit));
        if (!surplus || !deficit || !m->flow || !m->surplus || !m->deficit)
                return -ENOMEM;
        size_t n_from = 0, n_to = 0;
        for (size_t i = 0; i < n_ids; i++) {
                uint64_t have = goal->have_by_node[i] / m->page_bytes, want = goal->want_by_node[i] / m->page_bytes;
                if (have > want)
                        surplus[i] = have - want;
                else if (node_set_has(&m->targets, (unsigned) i))
                        deficit[i] = want - have;
                n_from += surplus[i] > 0;
                n_to += deficit[i] > 0;
        }
        pairs = calloc(n_from * n_to + 1, sizeof(*pairs));
        if (!pairs)
                return -ENOMEM;
        for (size_t from = 0; from < n_ids; from++)
                for (size_t to = 0; to < n_ids && surplus[from] > 0; to++)
                        if (deficit[to] > 0)
                                pairs[n++] = (struct pair) { topology_distance(m->topology, (unsigned) from, (unsigned) to),
                                                             (uint16_t) from, (uint16_t) to };
        qsort(pairs, n, sizeof(*pairs), nearer_first);
        for (size_t i = 0; i < n; i++) {
                uint64_t *flow = &m->flow[pairs[i].from * n_ids + pairs[i].to];
                *flow = MIN2(surplus[pairs[i].from], deficit[pairs[i].to]);
                surplus[pairs[i].from] -= *flow;
                deficit[pairs[i].to] -= *flow;
                m->surplus[pairs[i].from] += (int64_t) *flow;
                m->deficit[pairs[i].to] += (int64_t) *flow;
        }
        return 0;
}

static uint32_t common_divisor(uint32_t a, uint32_t b) {
        while (b > 0) {
                uint32_t rest = a % b;
                a = b;
                b = rest;
        }
        return a;
}

/* Node by number: in every run of the pattern each node as often as its weight says, and no two of the same together where that can be
 * (smooth weighted round robin: each gains its weight at every step, the richest is taken and pays for all). */
static int fill_pattern(struct mover *m, const uint32_t *weight, uint32_t divisor) {
        _cleanup_free_ int64_t *credit = calloc(m->topology->n_ids, sizeof(*credit));
        if (!credit)
                return -ENOMEM;
        for (size_t i = 0; i < m->n_pattern; i++) {
                int best = -1;
                NODE_SET_FOREACH (n, &m->targets) {
                        credit[n] += weight[n] / divisor;
                        if (best < 0 || credit[n] > credit[best])
                                best = n;
                }
                credit[best] -= (int64_t) m->n_pattern;
                m->pattern[i] = (int16_t) best;
        }
        return 0;
}

static void fill_long_pattern(struct mover *m, const uint32_t *weight, uint32_t divisor) {
        size_t i = 0;
        NODE_SET_FOREACH (n, &m->targets)
                for (uint32_t k = 0; k < weight[n] / divisor; k++)
                        m->pattern[i++] = (int16_t) n;
}

static int init_pattern(struct mover *m, const struct move_goal *goal) {
        const uint32_t *weight = goal->interleave_by_node;
        uint32_t divisor = 0;
        NODE_SET_FOREACH (n, &m->targets) {
                if (weight[n] == 0 || weight[n] > RULE_WEIGHT_MAX)
                        node_set_remove(&m->targets, (unsigned) n);
                else
                        divisor = common_divisor(weight[n], divisor);
        }
        if (divisor == 0)
                return -EINVAL;
        NODE_SET_FOREACH (n, &m->targets)
                m->n_pattern += weight[n] / divisor;
        m->pattern = calloc(m->n_pattern, sizeof(*m->pattern));
        if (!m->pattern)
                return -ENOMEM;
        if (m->n_pattern <= SMOOTH_PATTERN_MAX)
                return fill_pattern(m, weight, divisor);
        fill_long_pattern(m, weight, divisor);
        return 0;
}

int mover_init_division(struct mover *m, const struct move_goal *goal) {
        switch (goal->how) {
        case PAGES_BALANCE: return goal->want_by_node && goal->have_by_node ? init_flow(m, goal) : -EINVAL;
        case PAGES_INTERLEAVE: return goal->interleave_by_node ? init_pattern(m, goal) : -EINVAL;
        default: return 0;
        }
}

static int interleave_node(const struct mover *m, const struct unit *u) {
        uint64_t bytes = u->missed ? m->block_bytes : u->pages * m->page_bytes;
        return m->pattern[u->address / bytes % m->n_pattern];
}

uint64_t mover_surplus(const struct mover *m, unsigned node) {
        const uint64_t *row = m->flow + (size_t) node * m->topology->n_ids;
        uint64_t sum = 0;
        for (unsigned to = 0; to < m->topology->n_ids; to++)
                sum += row[to];
        return sum;
}

bool mover_division_is_misplaced(const struct mover *m, const struct unit *u) {
        if (m->how == PAGES_INTERLEAVE)
                return interleave_node(m, u) != u->from;
        return !node_set_has(&m->home, (unsigned) u->from) || mover_division_target(m, u, &m->home) >= 0;
}

/* The nearest node that lacks all of the unit. Where none does, which is where the last huge page of each node's part ends up: the one that lacks most, if that brings
 * both closer to their parts than they are (as squares: 2u² < 2u (surplus + deficit)), so that halves are not all left where they came from; for a page that may not stay, in any
 * case. Every such move makes the sum of squares less, so passes come to an end. */
static int balance_target(const struct mover *m, const struct unit *u, const struct node_set *among) {
        const uint64_t *row = m->flow + (size_t) u->from * m->topology->n_ids;
        unsigned from = (unsigned) u->from;
        bool may_stay = node_set_has(&m->home, from);
        int64_t pages = u->pages;
        int nearest = -1, largest = -1;
        NODE_SET_FOREACH (to, among) {
                bool nearer = nearest < 0 || topology_distance(m->topology, from, (unsigned) to) <
                                                     topology_distance(m->topology, from, (unsigned) nearest);
                if (row[to] >= u->pages && m->deficit[to] >= pages && (!may_stay || m->surplus[from] >= pages) && nearer)
                        nearest = to;
                if ((row[to] > 0 || !may_stay) && (largest < 0 || m->deficit[to] > m->deficit[largest]))
                        largest = to;
        }
        if (nearest >= 0 || largest < 0)
                return nearest;
        return !may_stay || m->surplus[from] + m->deficit[largest] > pages ? largest : -1;
}

int mover_division_target(const struct mover *m, const struct unit *u, const struct node_set *among) {
        if (m->how == PAGES_BALANCE)
                return balance_target(m, u, among);
        int node = interleave_node(m, u);
        return node_set_has(among, (unsigned) node) ? node : -1;
}

static uint64_t *flow_of(struct mover *m, const struct unit *u) {
        return &m->flow[(size_t) u->from * m->topology->n_ids + (size_t) u->target];
}

void mover_division_take(struct mover *m, struct unit *u) {
        if (m->how != PAGES_BALANCE)
                return;
        u->taken = (uint32_t) MIN2(*flow_of(m, u), (uint64_t) u->pages);
        *flow_of(m, u) -= u->taken;
        m->surplus[u->from] -= u->pages;
        m->deficit[u->target] -= u->pages;
}

void mover_division_give_back(struct mover *m, const struct unit *u) {
        if (m->how != PAGES_BALANCE)
                return;
        *flow_of(m, u) += MIN2(u->taken, u->pages);
        m->surplus[u->from] += u->pages;
        m->deficit[u->target] += u->pages;
}
