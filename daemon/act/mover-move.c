/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Moving a window of pages, and finding out what became of them.
 *
 * What move_pages(2) returns is not enough to know: after a batch that failed in part its status is not written, and what came behind was not
 * tried (kernel: mm/migrate.c, do_pages_move()). So status begins as a value the kernel never writes, and after every call all of its
 * pages are asked for again. Only what then is at home counts as moved; the status of the call tells no more than why the others did not. */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "act/mover-internal.h"
#include "core/util.h"

#define STATUS_NOT_WRITTEN INT_MIN

static void count_moved(struct mover *m, const struct unit *u, uint64_t pages) {
        m->result.moved_pages += pages;
        m->result.moved_bytes += pages * m->page_bytes;
        if (m->how == PAGES_INTERLEAVE && !u->hugetlb && m->room[u->from] <= UINT64_MAX - pages * m->page_bytes)
                m->room[u->from] += pages * m->page_bytes;
        if ((size_t) u->from < ARRAY_SIZE(m->result.moved_from))
                m->result.moved_from[u->from] += pages * m->page_bytes;
}

/* The first page of a block is at home: is all of it? */
static int look_at_block(struct mover *m, const struct unit *u) {
        size_t n = u->pages, home = 0;
        for (size_t i = 0; i < n; i++)
                m->block_addresses[i] = (void *) (uintptr_t) (u->address + i * m->page_bytes);
        int r = mover_ask(m, n, m->block_addresses, m->block_status);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n; i++)
                home += mover_has_arrived(m, u, m->block_status[i]);
        count_moved(m, u, home);
        if (home == n) {
                m->result.huge_moved++;
                mover_probe_hit(m);
                return 0;
        }
        /* What was reserved for the whole block and not used is free again. */
        struct unit rest = *u;
        rest.pages = (uint32_t) (n - MAX2(home, (size_t) 1));
        mover_unreserve(m, &rest);
        mover_probe_missed(m, u->address);
        return 0;
}

static int keep_for_retry(struct mover *m, const struct unit *u) {
        if (m->retry_kept < m->retry_next) { /* in a round: its place is free already */
                m->retry[m->retry_kept++] = *u;
                return 0;
        }
        if (m->n_retry >= RETRY_PAGES_MAX) {
                m->result.failed_busy += u->pages;
                return 0;
        }
        int r = array_reserve(&m->retry, &m->retry_capacity, m->n_retry + 1, sizeof(*m->retry));
        if (r >= 0)
                m->retry[m->n_retry++] = *u;
        return r;
}

/* What became of one unit. `rc` is the call's result, `status` what it wrote, `now` where the page is. */
static int settle(struct mover *m, struct unit *u, long rc, int status, int now) {
        u->resolved = true;
        if (mover_has_arrived(m, u, now)) {
                if (u->probe)
                        return look_at_block(m, u);
                count_moved(m, u, u->pages);
                m->result.huge_moved += u->hugetlb;
                return 0;
        }
        /* The call ended at a full node: this page may go elsewhere, or was not even tried. */
        if (now >= 0 && rc < 0 && (status == STATUS_NOT_WRITTEN || status == -ENOMEM)) {
                u->resolved = false;
                return 0;
        }
        mover_unreserve(m, u);
        if (now < 0 || status == -ENOENT || status == -EFAULT)
                m->result.failed_gone += u->probe ? 1 : u->pages;
        else if (u->probe)
                mover_probe_missed(m, u->address); /* whatever it was, the others of the block deserve a try of their own */
        else if (status == -EACCES)
                m->result.failed_shared += u->pages;
        else if (status == -ENOMEM)
                m->result.failed_no_memory += u->pages;
        else if (status == -EBUSY || status == STATUS_NOT_WRITTEN)
                return keep_for_retry(m, u);
        else
                m->result.failed_other += u->pages;
        return 0;
}

/* Gathers those units that go to `target`, with or without the pages that others map. Returns how many. */
static size_t gather(struct mover *m, const struct unit *units, size_t n_units, int target, bool all) {
        size_t n = 0;
        for (size_t i = 0; i < n_units; i++) {
                if (units[i].resolved || units[i].target != target || units[i].all != all)
                        continue;
                m->pick[n] = i;
                m->addresses[n] = (void *) (uintptr_t) units[i].address;
                m->nodes[n] = target;
                m->status[n++] = STATUS_NOT_WRITTEN;
        }
        return n;
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

/* Puts the units that go to `target` to the kernel, in as many calls as it takes to have all tried. 0, or a negative errno that ends the window. */
static int move_to(struct mover *m, struct unit *units, size_t n_units, int target, bool all) {
        size_t n, tried;
        do {
                n = gather(m, units, n_units, target, all);
                if (n == 0)
                        return 0;
                bool hugetlb = units[m->pick[0]].hugetlb;
                long rc = m->act.ops->move_pages(m->act.context, m->processes[m->current].pid, n, m->addresses, m->nodes, all,
                                                 m->status);
                m->result.n_calls++;
                m->result.asked_pages += n;

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
                int r = mover_ask(m, n, m->addresses, m->now);
                if (r < 0)
                        return r;
                tried = count_tried(m, units, n, rc);
                for (size_t i = 0; r >= 0 && i < tried; i++)
                        r = settle(m, &units[m->pick[i]], rc, m->status[i], m->now[i]);
                if (r < 0)
                        return r;
        } while (tried < n);
        return 0;
}

/* Finds another node for what a full or forbidden one has not taken. What has none is given up. */
static bool redirect(struct mover *m, struct unit *units, size_t n_units) {
        bool any = false;
        for (size_t i = 0; i < n_units; i++) {
                struct unit *u = &units[i];
                if (u->resolved)
                        continue;
                int was = u->target;
                mover_unreserve(m, u);
                if (mover_reserve(m, u)) {
                        any = true;
                        continue;
                }
                u->resolved = true;
                if (node_set_has(&m->denied, (unsigned) was))
                        m->result.failed_other += u->pages;
                else
                        m->result.failed_no_memory += u->pages;
        }
        return any;
}

static int move_units(struct mover *m, struct unit *units, size_t n, uint64_t *ret_used) {
        uint64_t moved_before = m->result.moved_pages;
        int r = 0;
        /* Each further round has one node less to try. */
        do
                NODE_SET_FOREACH (target, &m->home)
                        for (unsigned all = 0; all < 2 && r >= 0; all++)
                                r = move_to(m, units, n, target, all > 0);
        while (r >= 0 && redirect(m, units, n));
        if (r < 0) {
                for (size_t i = 0; i < n; i++)
                        if (!units[i].resolved)
                                mover_unreserve(m, &units[i]);
                return r;
        }
        struct node_set allowed = node_set_subtract(&m->targets, &m->denied);
        if (node_set_is_empty(&allowed) && !node_set_is_empty(&m->denied))
                return -EACCES;
        *ret_used = MAX2(m->result.moved_pages - moved_before, (uint64_t) n);
        return 0;
}

int mover_move_window(struct mover *m, uint64_t *ret_used) {
        size_t n = m->n_window;
        m->n_window = 0;
        m->has_probes = false;
        *ret_used = 0;
        return n > 0 ? move_units(m, m->window, n, ret_used) : 0;
}

/* Retries: the list is gone through in rounds; what fails again is kept at its front. */

static void end_retries(struct mover *m) {
        for (size_t i = 0; i < m->n_retry; i++)
                m->result.failed_busy += m->retry[i].pages;
        m->n_retry = m->retry_next = m->retry_kept = m->retry_round = 0;
}

int mover_retry(struct mover *m, uint64_t budget_pages, uint64_t *ret_used) {
        uint64_t pages = 0;
        *ret_used = 0;
        m->n_window = 0;
        while (m->retry_next < m->n_retry && m->n_window < WINDOW_PAGES && pages < budget_pages) {
                struct unit u = m->retry[m->retry_next++];
                pages += u.pages;
                u.resolved = false;
                if (mover_reserve(m, &u))
                        m->window[m->n_window++] = u;
                else
                        m->result.skipped_room_bytes += u.pages * m->page_bytes;
        }
        int r = mover_move_window(m, ret_used);
        if (r < 0)
                return r;
        if (m->retry_next < m->n_retry)
                return 1;
        m->n_retry = m->retry_kept;
        m->retry_next = m->retry_kept = 0;
        if (m->n_retry > 0 && ++m->retry_round < RETRY_ROUNDS)
                return 2;
        end_retries(m);
        return 0;
}
