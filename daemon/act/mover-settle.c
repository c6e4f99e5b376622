/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What became of the pages of a call.
 *
 * A status that is the target's number is written only once the whole batch is there, or for a page that was there before, which had been asked for right before
 * the call. Nothing else is certain: after a batch that failed in part its status is not written and what came behind was not tried (kernel: mm/migrate.c,
 * do_pages_move()), and what was busy may be part of something that moved. So status begins as a value that the kernel never writes, and all pages
 * whose status is not their target are asked for again, with some of the others: should one of these not be there (somebody takes
 * them away again as fast as they come), all are. Only what is at home counts as moved; any other status tells no more than why a page did not move. */
#include <errno.h>

#include "act/mover-internal.h"
#include "core/util.h"

/* So many of those that the kernel says have moved are asked for, of few every fourth. */
#define SAMPLES      8u
#define SAMPLE_EVERY 4u
/* Pages of a huge one that are asked for after it has moved. Evenly apart, the last is the last of it. */
#define BLOCK_SAMPLES 4u

/* One in how many of `n` is asked for. */
static size_t sample_every(size_t n) {
        return MAX2(n / SAMPLES, (size_t) SAMPLE_EVERY);
}

static void count_moved(struct mover *m, const struct unit *u, uint64_t pages) {
        m->result.moved_pages += pages;
        m->result.moved_bytes += pages * m->page_bytes;
        if (m->how == PAGES_INTERLEAVE && !u->hugetlb && m->room[u->from] <= UINT64_MAX - pages * m->page_bytes)
                m->room[u->from] += pages * m->page_bytes;
        if ((size_t) u->from < ARRAY_SIZE(m->result.moved_from))
                m->result.moved_from[u->from] += pages * m->page_bytes;
}

/* Asks for those of a call's pages that `pick_all` or the status selects. Returns whether all were where the status says, or negative errno. */
static int ask_for_some(struct mover *m, size_t n, int target, bool pick_all) {
        size_t k = 0, every = sample_every(n), sample = 0;
        bool as_told = true;
        const int *status = m->status;
        int *now = m->now;
        for (size_t i = 0; i < n; i++) {
                now[i] = target;
                if (i == sample)
                        sample += every;
                else if (!pick_all && status[i] == target)
                        continue;
                m->ask_pick[k] = i;
                m->ask_addresses[k++] = m->addresses[i];
        }
        int r = k > 0 ? mover_ask(m, k, m->ask_addresses, m->ask_status) : 0;
        if (r < 0)
                return r;
        for (size_t i = 0; i < k; i++) {
                m->now[m->ask_pick[i]] = m->ask_status[i];
                as_told &= m->status[m->ask_pick[i]] != target || m->ask_status[i] == target;
        }
        return as_told;
}

/* Asks for every so many-th of a call's pages. 1: all of these are at the target; 0: they are not; negative errno. */
static int are_samples_there(struct mover *m, size_t n, int target) {
        size_t k = 0;
        for (size_t i = 0; i < n; i += sample_every(n))
                m->ask_addresses[k++] = m->addresses[i];
        int r = mover_ask(m, k, m->ask_addresses, m->ask_status);
        for (size_t i = 0; r == 0 && i < k; i++)
                if (m->ask_status[i] != target)
                        return 0;
        return r < 0 ? r : 1;
}

int mover_settle_all(struct mover *m, size_t n, int target, bool all) {
        int r = memcmp(m->status, m->nodes, n * sizeof(*m->status)) != 0 ? 0 : are_samples_there(m, n, target);
        if (r <= 0)
                return r;
        const struct unit *plain = NULL; /* the last of those that are asked for one by one, and are counted together */
        uint64_t pages = 0;
        for (size_t i = 0; r >= 0 && i < m->n_window; i++) {
                struct unit *u = &m->window[i];
                if (u->resolved || u->target != target || u->all != all)
                        continue;
                if (u->probe || u->huge || u->hugetlb || m->how == PAGES_INTERLEAVE) {
                        r = mover_settle(m, u, 0, target, target);
                        continue;
                }
                u->resolved = true;
                m->n_unresolved--;
                if (plain && plain->from != u->from) {
                        count_moved(m, plain, pages);
                        pages = 0;
                }
                plain = u;
                pages += (uint64_t) u->n * u->pages;
        }
        if (plain)
                count_moved(m, plain, pages);
        return r < 0 ? r : 1;
}

/* Of a call's pages those that are where they were to go, and were asked for one by one, at once: most of them. The rest is left to mover_settle(). */
size_t mover_settle_plain(struct mover *m, struct unit *units, size_t i, size_t n, int target) {
        uint64_t pages = 0;
        const size_t *pick = m->pick, before = i;
        const int *now = m->now;
        const int16_t from = units[pick[i]].from;
        const struct unit *first = &units[pick[i]];
        for (; i < n && now[i] == target; i++) {
                struct unit *u = &units[pick[i]];
                if (u->probe || u->huge || u->hugetlb || u->from != from)
                        break;
                u->resolved = true;
                pages += u->pages;
        }
        m->n_unresolved -= i - before;
        if (pages > 0)
                count_moved(m, first, pages);
        return i;
}

int mover_learn(struct mover *m, size_t n, int target) {
        int r = ask_for_some(m, n, target, false);
        if (r == 0)
                r = ask_for_some(m, n, target, true);
        return r < 0 ? r : 0;
}

int mover_settle(struct mover *m, struct unit *u, long rc, int status, int now) {
        bool block = u->probe || u->huge;
        u->resolved = true;
        m->n_unresolved--;
        if (mover_has_arrived(m, u, now)) {
                u->arrived = block;
                m->has_arrived |= block;
                if (block)
                        return 0;
                count_moved(m, u, u->pages);
                m->result.huge_moved += u->hugetlb;
                return 0;
        }
        /* The call ended at a full node: this page may go elsewhere, or was not even tried. */
        if (now >= 0 && rc < 0 && (status == STATUS_NOT_WRITTEN || status == -ENOMEM)) {
                u->resolved = false;
                m->n_unresolved++;
                return 0;
        }
        mover_unreserve(m, u);
        if (now < 0 || status == -ENOENT || status == -EFAULT)
                m->result.failed_gone += u->hoped ? 0 : u->probe ? 1 : u->pages;
        else if (u->probe) { /* whatever it was, the others of the block deserve a try of their own */
                mover_probe_missed(m);
                mover_go_over(m, (struct missed) { u->address, u->range, false, false });
        } else if (status == -EACCES)
                m->result.failed_shared += u->pages;
        else if (status == -ENOMEM)
                m->result.failed_no_memory += u->pages;
        else if (status == -EBUSY || status == STATUS_NOT_WRITTEN)
                return mover_keep_for_retry(m, u);
        else
                m->result.failed_other += u->pages;
        return 0;
}

/* Not all of a block has arrived with its first page, which is all that is certain to have moved: others may have been at home before. */
static void count_first(struct mover *m, const struct unit *u) {
        struct unit rest = *u;
        count_moved(m, u, 1);
        rest.pages--; /* what was reserved for the whole block and not used is free again */
        mover_unreserve(m, &rest);
        if (u->probe)
                mover_probe_missed(m);
        mover_go_over(m, (struct missed) { u->address, u->range, false, false });
}

/* The blocks in `pick`, of each of which some pages were asked for. */
static int settle_blocks(struct mover *m, const struct unit *units, size_t n) {
        int r = mover_ask(m, n * BLOCK_SAMPLES, m->ask_addresses, m->ask_status);
        for (size_t k = 0; r >= 0 && k < n; k++) {
                const struct unit *u = &units[m->pick[k]];
                unsigned home = 0;
                for (unsigned i = 0; i < BLOCK_SAMPLES; i++)
                        home += mover_has_arrived(m, u, m->ask_status[k * BLOCK_SAMPLES + i]);
                if (home < BLOCK_SAMPLES) {
                        count_first(m, u);
                        continue;
                }
                count_moved(m, u, u->pages);
                m->result.huge_moved++;
                if (u->probe)
                        mover_probe_hit(m);
        }
        return r;
}

int mover_settle_probes(struct mover *m) {
        const struct unit *units = m->window;
        size_t n = 0;
        int r = 0;
        if (!m->has_arrived)
                return 0;
        for (size_t i = 0; r >= 0 && i < m->n_window; i++) {
                const struct unit *u = &units[i];
                if (!u->arrived)
                        continue;
                for (unsigned k = 0; k < BLOCK_SAMPLES; k++)
                        m->ask_addresses[n * BLOCK_SAMPLES + k] =
                                (void *) (uintptr_t) (u->address + ((k + 1) * u->pages / BLOCK_SAMPLES - 1) * m->page_bytes);
                m->pick[n++] = i;
                if (n < WINDOW_PAGES / BLOCK_SAMPLES)
                        continue;
                r = settle_blocks(m, units, n);
                n = 0;
        }
        return r < 0 || n == 0 ? r : settle_blocks(m, units, n);
}
