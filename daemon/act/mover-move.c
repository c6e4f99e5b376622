/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Moving a window of pages, each node's in as few calls as it takes, and again what would not go at once. */
#include <errno.h>

#include "act/mover-internal.h"
#include "core/util.h"

/* It stays, and later moves are to know. */
static int give_up(struct mover *m, const struct unit *u) {
        m->result.failed_busy += u->pages;
        return stubborn_add(m->stubborn, &m->processes[m->current], u->address, u->address + u->pages * m->page_bytes,
                            mover_now_usec());
}

int mover_keep_for_retry(struct mover *m, const struct unit *u) {
        if (m->retry_kept < m->retry_next) { /* in a round: its place is free already */
                m->retry[m->retry_kept++] = *u;
                return 0;
        }
        if (m->n_retry >= RETRY_PAGES_MAX)
                return give_up(m, u);
        int r = array_reserve(&m->retry, &m->retry_capacity, m->n_retry + 1, sizeof(*m->retry));
        if (r >= 0)
                m->retry[m->n_retry++] = *u;
        return r;
}

static inline bool is_of_call(const struct unit *u, int target, bool all) {
        return !u->resolved && u->target == target && u->all == all;
}

/* Gathers the addresses of those units that go to `target`, with or without the pages that others map. Returns how many. `ret_hugetlb`: the first is of hugetlb. */
static size_t gather(struct mover *m, int target, bool all, bool *ret_hugetlb) {
        size_t n = 0;
        void *const *places = m->places;
        for (const struct unit *u = m->window, *end = u + m->n_window; u < end; places += u->n, u++) {
                if (!is_of_call(u, target, all))
                        continue;
                if (n == 0)
                        *ret_hugetlb = u->hugetlb;
                memcpy(&m->addresses[n], places, u->n * sizeof(*places));
                n += u->n;
        }
        mover_fill(m->nodes, n, target);
        mover_fill(m->status, n, STATUS_NOT_WRITTEN);
        return n;
}

/* Makes each page a unit of its own, as each is to be looked at. From the back, so that none is overwritten; there is room for all. */
static void part_units(struct mover *m) {
        size_t to = m->n_addresses;
        if (m->n_window == m->n_addresses)
                return;
        m->n_unresolved = 0;
        for (size_t i = m->n_window; i-- > 0;) {
                struct unit u = m->window[i];
                m->n_unresolved += u.resolved ? 0 : u.n;
                for (size_t k = u.n; k > 0; k--) {
                        u.address = (uintptr_t) m->places[--to];
                        m->window[to] = u;
                        m->window[to].n = 1;
                }
        }
        m->n_window = m->n_addresses;
}

/* Which units a call was for, once each is of one address. */
static void pick_units(struct mover *m, int target, bool all) {
        size_t n = 0;
        for (size_t i = 0; i < m->n_window; i++)
                if (is_of_call(&m->window[i], target, all))
                        m->pick[n++] = i;
}

/* How many of a call's pages were certainly tried: all up to the last that moved or whose status was written. None of them: all were,
 * in one batch that failed. */
static size_t count_tried(const struct mover *m, const struct unit *units, size_t n, long rc) {
        size_t tried = n;
        if (rc > 0)
                while (tried > 0 && !mover_has_arrived(m, &units[m->pick[tried - 1]], m->now[tried - 1]) &&
                       m->status[tried - 1] == STATUS_NOT_WRITTEN)
                        tried--;
        return tried > 0 ? tried : n;
}

static long call_kernel(struct mover *m, size_t n, bool all) {
        uint64_t began = mover_now_usec();
        const struct act *act = &m->act;
        long rc = act->ops->move_pages(act->context, m->speaker, n, m->addresses, m->nodes, all, m->status);
        if ((rc == -ESRCH || rc == -EINVAL) && mover_other_speaker(m))
                rc = act->ops->move_pages(act->context, m->speaker, n, m->addresses, m->nodes, all, m->status);
        uint64_t took = mover_now_usec() - began;
        m->result.n_calls++;
        m->result.asked_pages += n;
        m->result.calls_usec += took;
        m->result.longest_call_usec = MAX2(m->result.longest_call_usec, took);
        return rc;
}

/* Puts the units that go to `target` to the kernel, in as many calls as it takes to have all tried. 0, or a negative errno that ends the window. */
static int move_to(struct mover *m, int target, bool all) {
        struct unit *units = m->window;
        size_t n, tried;
        do {
                bool hugetlb;
                n = gather(m, target, all, &hugetlb);
                if (n == 0)
                        return 0;
                long rc = call_kernel(m, n, all);

                switch (rc < 0 ? (int) -rc : 0) {
                case 0: m->accepted = true; break;
                case ENOMEM:
                        m->accepted = true;
                        mover_mark_full(m, target, hugetlb);
                        break;
                case ENODEV: mover_mark_full(m, target, false); break;
                case EACCES: /* the cpuset of the process: of this node only */
                        node_set_add(&m->denied, (unsigned) target);
                        m->sticky.target = -1;
                        break;
                case EINVAL: return -ESRCH; /* a zombie */
                default: return (int) rc;   /* -ESRCH, -EPERM, -ENOSYS, -EROFS … */
                }
                int r = rc == 0 ? mover_settle_all(m, n, target, all) : 0;
                if (r != 0)
                        return MIN2(r, 0);
                part_units(m);
                pick_units(m, target, all);
                r = mover_learn(m, n, target);
                if (r < 0)
                        return r;
                tried = count_tried(m, units, n, rc);
                for (size_t i = 0; r >= 0 && i < tried; i++) {
                        i = mover_settle_plain(m, units, i, tried, target);
                        if (i < tried)
                                r = mover_settle(m, &units[m->pick[i]], rc, m->status[i], m->now[i]);
                }
                if (r < 0)
                        return r;
        } while (tried < n);
        return 0;
}

/* Finds another node for what a full or forbidden one has not taken. What has none is given up. */
static bool redirect(struct mover *m) {
        bool any = false;
        part_units(m);
        for (size_t i = 0; m->n_unresolved > 0 && i < m->n_window; i++) {
                struct unit *u = &m->window[i];
                if (u->resolved)
                        continue;
                int was = u->target;
                mover_unreserve(m, u);
                if (mover_reserve(m, u)) {
                        any = true;
                        continue;
                }
                u->resolved = true;
                m->n_unresolved--;
                if (node_set_has(&m->denied, (unsigned) was))
                        m->result.failed_other += u->pages;
                else
                        m->result.failed_no_memory += u->pages;
        }
        return any;
}

/* The room that was kept for what has not been moved. */
static void unreserve_window(struct mover *m) {
        part_units(m);
        for (size_t i = 0; i < m->n_window; i++)
                if (!m->window[i].resolved)
                        mover_unreserve(m, &m->window[i]);
}

static void empty_window(struct mover *m) {
        m->n_window = m->n_addresses = 0;
        m->has_probes = m->has_hugetlb = false;
}

static int move_units(struct mover *m, uint64_t *ret_used) {
        uint64_t moved_before = m->result.moved_pages;
        int r = 0;
        unsigned kinds = m->move_shared ? 2 : 1;
        m->has_arrived = false;
        m->n_unresolved = m->n_window;
        /* Each further round has one node less to try. */
        do
                NODE_SET_FOREACH (target, &m->home)
                        for (unsigned all = 0; all < kinds && r >= 0; all++)
                                r = move_to(m, target, all > 0);
        while (r >= 0 && m->n_unresolved > 0 && redirect(m));
        if (r >= 0)
                r = mover_settle_probes(m);
        if (r < 0) {
                unreserve_window(m);
                return r;
        }
        struct node_set allowed = node_set_subtract(&m->targets, &m->denied);
        if (node_set_is_empty(&allowed) && !node_set_is_empty(&m->denied))
                return -EACCES;
        *ret_used = MAX2(m->result.moved_pages - moved_before, (uint64_t) m->n_addresses);
        return 0;
}

int mover_move_window(struct mover *m, uint64_t *ret_used) {
        *ret_used = 0;
        int r = m->n_window > 0 ? move_units(m, ret_used) : 0;
        empty_window(m);
        return r;
}

void mover_drop_window(struct mover *m) {
        unreserve_window(m);
        empty_window(m);
}

/* Retries: the list is gone through in rounds; what fails again is kept at its front. */

static int end_retries(struct mover *m) {
        int r = 0;
        for (size_t i = 0; r >= 0 && i < m->n_retry; i++)
                r = give_up(m, &m->retry[i]);
        m->n_retry = m->retry_next = m->retry_kept = m->retry_round = 0;
        return r;
}

/* Of which size of hugetlb; 0: of none. */
static uint64_t pool_of(const struct mover *m, const struct unit *u) {
        return u->hugetlb ? u->pages * m->page_bytes : 0;
}

int mover_retry(struct mover *m, uint64_t budget_pages, uint64_t *ret_used) {
        uint64_t pages = 0;
        *ret_used = 0;
        m->n_window = m->n_addresses = 0;
        while (m->retry_next < m->n_retry && m->n_addresses < WINDOW_PAGES && pages < budget_pages) {
                struct unit u = m->retry[m->retry_next];
                if (m->n_addresses > 0 && pool_of(m, &u) != pool_of(m, &m->window[0])) /* a window is of one pool */
                        break;
                if (u.hugetlb && pool_of(m, &u) != m->pool_page_bytes)
                        mover_read_pools(m, pool_of(m, &u));
                m->retry_next++;
                pages += u.pages;
                u.resolved = false;
                if (mover_reserve(m, &u)) {
                        m->places[m->n_addresses] = (void *) (uintptr_t) u.address;
                        m->window[m->n_addresses++] = u;
                } else
                        m->result.skipped_room_bytes += u.pages * m->page_bytes;
        }
        m->n_window = m->n_addresses;
        int r = mover_move_window(m, ret_used);
        if (r < 0)
                return r;
        if (m->retry_next < m->n_retry)
                return 1;
        m->n_retry = m->retry_kept;
        m->retry_next = m->retry_kept = 0;
        if (m->n_retry > 0 && ++m->retry_round < RETRY_ROUNDS)
                return 2;
        return end_retries(m);
}
