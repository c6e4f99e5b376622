/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which home node a page goes to: one with room, the nearest, or in proportion to weights. Neighbouring pages go together, so that
 * they can become a huge page there. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "act/mover-internal.h"
#include "core/util.h"

int mover_init_targets(struct mover *m, const struct move_goal *goal) {
        unsigned n_ids = m->topology->n_ids;
        struct node_set with_memory = topology_nodes_with_memory(m->topology);

        m->home = goal->home;
        m->targets = node_set_intersect(&goal->home, &with_memory);
        m->how = goal->how;
        m->respect_own_policy = goal->respect_own_policy;
        m->move_shared = goal->move_shared;
        m->sticky.target = -1;
        if (node_set_is_empty(&m->targets))
                return -EINVAL;
        m->room = calloc(n_ids, sizeof(*m->room));
        m->assigned = calloc(n_ids, sizeof(*m->assigned));
        m->pool_pages = calloc(n_ids, sizeof(*m->pool_pages));
        m->withheld = calloc(n_ids, sizeof(*m->withheld));
        if (!m->room || !m->assigned || !m->pool_pages || !m->withheld)
                return -ENOMEM;
        memcpy(m->room, goal->room_bytes, n_ids * sizeof(*m->room));
        if (m->how != PAGES_HOME)
                return mover_init_division(m, goal);
        if (!goal->weight_by_node)
                return 0;
        uint64_t weights = 0;
        NODE_SET_FOREACH (n, &m->targets)
                weights += goal->weight_by_node[n];
        if (weights == 0)
                return 0;
        m->weight = calloc(n_ids, sizeof(*m->weight));
        if (!m->weight)
                return -ENOMEM;
        memcpy(m->weight, goal->weight_by_node, n_ids * sizeof(*m->weight));
        return 0;
}

static bool has_room_for(const struct mover *m, unsigned node, const struct unit *u) {
        if (!node_set_has(&m->targets, node) || node_set_has(&m->denied, node) || (m->weight && m->weight[node] == 0))
                return false;
        if (u->hugetlb && node_set_has(&m->hugetlb_full, node))
                return false;
        return (u->hugetlb && m->pool_pages[node] > 0) || m->room[node] >= u->pages * m->page_bytes;
}

/* Is node a the better target? */
static bool is_better(const struct mover *m, unsigned a, unsigned b, unsigned from) {
        if (m->weight) {
                uint64_t filled_a = m->assigned[a] * m->weight[b], filled_b = m->assigned[b] * m->weight[a];
                if (filled_a != filled_b)
                        return filled_a < filled_b;
        }
        return topology_distance(m->topology, from, a) < topology_distance(m->topology, from, b);
}

static int find_home(const struct mover *m, const struct unit *u) {
        int best = -1;
        NODE_SET_FOREACH (n, &m->targets)
                if (has_room_for(m, (unsigned) n, u) &&
                    (best < 0 || is_better(m, (unsigned) n, (unsigned) best, (unsigned) u->from)))
                        best = n;
        return best;
}

static int find_target(const struct mover *m, const struct unit *u) {
        if (m->how == PAGES_HOME)
                return find_home(m, u);
        struct node_set open = { 0 };
        NODE_SET_FOREACH (n, &m->targets)
                if (has_room_for(m, (unsigned) n, u))
                        node_set_add(&open, (unsigned) n);
        return mover_division_target(m, u, &open);
}

static bool pick_target(struct mover *m, const struct unit *u) {
        int best = find_target(m, u);
        if (best < 0)
                return false;
        m->sticky.start = u->address - u->address % (BLOCK_PAGES * m->page_bytes);
        m->sticky.from = u->from;
        m->sticky.target = best;
        return true;
}

bool mover_reserve_anew(struct mover *m, struct unit *u) {
        if (!pick_target(m, u))
                return false;
        int best = m->sticky.target;
        u->target = (int16_t) best;
        u->from_pool = u->hugetlb && m->pool_pages[best] > 0;
        if (u->from_pool)
                m->pool_pages[best]--;
        else
                m->room[best] -= u->pages * m->page_bytes;
        m->assigned[best] += u->pages;
        if (m->how == PAGES_BALANCE)
                mover_division_take(m, u);
        return true;
}

void mover_unreserve(struct mover *m, const struct unit *u) {
        if (u->from_pool)
                m->pool_pages[u->target]++;
        else
                m->room[u->target] += u->pages * m->page_bytes;
        m->assigned[u->target] -= u->pages;
        mover_division_give_back(m, u);
}

void mover_see_room(struct mover *m, const uint64_t *bytes_by_node) {
        NODE_SET_FOREACH (n, &m->targets) {
                uint64_t all = m->room[n] + m->withheld[n];
                m->room[n] = MIN2(all, bytes_by_node[n]);
                m->withheld[n] = all - m->room[n];
        }
}

void mover_mark_full(struct mover *m, int node, bool hugetlb) {
        if (hugetlb)
                node_set_add(&m->hugetlb_full, (unsigned) node);
        else
                node_set_remove(&m->targets, (unsigned) node);
        m->sticky.target = -1;
}

bool mover_has_room(const struct mover *m) {
        const struct unit smallest = { .pages = 1 };
        NODE_SET_FOREACH (n, &m->targets)
                if (has_room_for(m, (unsigned) n, &smallest))
                        return true;
        return false;
}

void mover_read_pools(struct mover *m, uint64_t page_bytes) {
        if (page_bytes != m->pool_page_bytes) /* a pool that is full says nothing of another */
                m->hugetlb_full = (struct node_set) { 0 };
        m->pool_page_bytes = page_bytes;
        NODE_SET_FOREACH (n, &m->targets) {
                char path[128], text[32];
                uint64_t pages = 0;
                (void) snprintf(path, sizeof(path),
                                "sys/devices/system/node/node%d/hugepages/hugepages-%" PRIu64 "kB/free_hugepages", n,
                                (uint64_t) (page_bytes / KIB));
                ssize_t size = read_small_file_at(m->host->root_fd, path, text, sizeof(text));
                if (size > 0) {
                        text[strcspn(text, "\n")] = 0;
                        if (parse_u64(text, &pages) < 0)
                                pages = 0;
                }
                m->pool_pages[n] = pages;
        }
}
