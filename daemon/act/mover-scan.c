/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which pages: present, mapped here alone, and off home. */
#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "act/mover-internal.h"
#include "core/util.h"

/* Entries of pagemap read at once: 16 MiB of 4 KiB pages. */
#define PAGEMAP_ENTRIES WINDOW_PAGES
/* kernel: admin-guide/mm/pagemap.rst */
#define PAGEMAP_PRESENT   (UINT64_C(1) << 63)
#define PAGEMAP_EXCLUSIVE (UINT64_C(1) << 56)
/* Pages that others map too are asked for only to be counted; beyond this many (16 GiB) that is not worth it. */
#define SHARED_ASKED_MAX (4u << 20)
/* So many blocks in a row that turn out not to be huge pages, and then every second, every fourth … is tried, at least every 64th. */
#define PROBE_MISSES_MAX 4u
#define PROBE_SKIP_MAX   64u

uint64_t mover_now_usec(void) {
        struct timespec ts;
        (void) clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t) ts.tv_sec * USEC_PER_SEC + (uint64_t) ts.tv_nsec / 1000;
}

bool mover_time_is_up(const struct mover *m) {
        return mover_now_usec() - m->slice_began_usec > SLICE_TIME_LIMIT_USEC;
}

int mover_ask(struct mover *m, size_t n, void *const *addresses, int *status) {
        long r = m->act.ops->move_pages(m->act.context, m->processes[m->current].pid, n, addresses, NULL, false, status);
        m->result.n_calls++;
        /* A process that has just ended, or is a zombie, has no memory to ask about. */
        return r == -EINVAL ? -ESRCH : r < 0 ? (int) r : 0;
}

void mover_probe_missed(struct mover *m, uint64_t address) {
        if (++m->probe_misses >= PROBE_MISSES_MAX) {
                m->probe_skip_next = MIN2(MAX2(m->probe_skip_next * 2, 1u), PROBE_SKIP_MAX);
                m->probe_skip = m->probe_skip_next;
        }
        if (m->n_missed < ARRAY_SIZE(m->missed)) /* always: no window has more probes */
                m->missed[m->n_missed++] = (struct stretch){ address, address + m->block_bytes };
}

void mover_probe_hit(struct mover *m) {
        m->probe_misses = m->probe_skip = m->probe_skip_next = 0;
}

/* pagemap */

/* Returns 1 and the entry, or 0 where there is no pagemap (any more). */
static int pagemap_entry(struct mover *m, uint64_t address, size_t ahead, uint64_t *ret) {
        if (m->pagemap_fd < 0)
                return 0;
        uint64_t i = address / m->page_bytes;
        if (i < m->pagemap_start || i - m->pagemap_start >= m->n_pagemap) {
                ssize_t n;
                m->n_pagemap = 0;
                do
                        n = pread(m->pagemap_fd, m->pagemap, ahead * sizeof(*m->pagemap), (off_t) (i * sizeof(*m->pagemap)));
                while (n < 0 && errno == EINTR);
                if (n < 0)
                        return 0;
                m->pagemap_start = i;
                m->n_pagemap = (size_t) n / sizeof(*m->pagemap);
                if (m->n_pagemap == 0) { /* the process has ended, or that is beyond its address space */
                        *ret = 0;
                        return 1;
                }
        }
        *ret = m->pagemap[i - m->pagemap_start];
        return 1;
}

/* Puts the present pages from `from` to `to` into the block. Returns how many. */
static size_t find_present(struct mover *m, const struct range *r, uint64_t from, uint64_t to) {
        size_t n = 0;
        size_t ahead = r->hugetlb ? 1 : MIN2((r->end - from) / m->page_bytes, (uint64_t) PAGEMAP_ENTRIES);
        for (uint64_t a = from; a < to; a += r->page_bytes) {
                uint64_t entry = PAGEMAP_PRESENT | PAGEMAP_EXCLUSIVE;
                (void) pagemap_entry(m, a, ahead, &entry);
                if (!(entry & PAGEMAP_PRESENT))
                        continue;
                m->block_shared[n] = !(entry & PAGEMAP_EXCLUSIVE) && !r->all;
                if (m->block_shared[n] && ++m->shared_asked > SHARED_ASKED_MAX)
                        continue;
                m->block_addresses[n++] = (void *) (uintptr_t) a;
        }
        return n;
}

/* Are these all the pages of an aligned block, nobody else's, on one node? */
static bool may_be_huge(const struct mover *m, const struct range *r, size_t n) {
        if (r->hugetlb || r->no_huge || m->block_bytes == 0 ||
            n != m->block_bytes / m->page_bytes) /* no stretch goes past the end of a block */
                return false;
        for (size_t i = 0; i < n; i++)
                if (m->block_shared[i] || m->block_status[i] != m->block_status[0])
                        return false;
        return m->block_status[0] >= 0;
}

static bool wants_probe(struct mover *m) {
        if (m->probe_skip == 0 || m->how != PAGES_HOME)
                return true;
        m->probe_skip--;
        return false;
}

/* Returns false where there is no room for it on any home node. */
static bool add_unit(struct mover *m, struct unit *u) {
        if (!mover_reserve(m, u))
                return false;
        m->window[m->n_window++] = *u;
        m->has_probes |= u->probe;
        return true;
}

/* A whole block that lies on one node, and so may be a huge page, as one unit. Returns true where that settles it. */
static bool take_block(struct mover *m, const struct range *r, uint64_t address, uint64_t *used) {
        uint32_t whole = (uint32_t) (m->block_bytes / m->page_bytes);
        struct unit u = { .address = address,
                          .pages = whole,
                          .counted_pages = whole,
                          .from = (int16_t) m->block_status[0],
                          .probe = true,
                          .all = r->all };
        bool misplaced = mover_is_misplaced(m, &u);
        if (misplaced && wants_probe(m) && add_unit(m, &u)) {
                *used += whole;
                return true;
        }
        if (m->how == PAGES_HOME)
                return false;
        /* One page of it could take all the others along, past what is to move. */
        if (misplaced)
                m->result.skipped_room_bytes += m->block_bytes;
        return true;
}

/* Looks at one stretch of a range, at most a block, and puts what must move into the window, as far as the budget goes. What is done is cut off
 * the stretch. `missed`: it was taken for a huge page, and is none. */
static int scan(struct mover *m, const struct range *r, struct stretch *stretch, bool missed, uint64_t budget_pages,
                uint64_t *used) {
        uint32_t pages = (uint32_t) (r->page_bytes / m->page_bytes);
        uint64_t from = stretch->from, to = stretch->to;

        size_t n = find_present(m, r, from, to);
        int k = n > 0 ? mover_ask(m, n, m->block_addresses, m->block_status) : 0;
        if (k < 0)
                return k;
        if (!missed && may_be_huge(m, r, n) && take_block(m, r, from, used)) {
                stretch->from = to;
                return 0;
        }
        for (size_t i = 0; i < n; i++) {
                uint64_t address = (uint64_t) (uintptr_t) m->block_addresses[i];
                struct unit u = { .address = address,
                                  .pages = pages,
                                  .from = (int16_t) m->block_status[i],
                                  .hugetlb = r->hugetlb,
                                  .all = r->all };
                u.counted_pages = missed ? (uint32_t) (m->block_bytes / m->page_bytes) : pages;
                if (!mover_is_misplaced(m, &u))
                        continue;
                if (!m->block_shared[i] && m->n_window > 0 && *used + pages > budget_pages) {
                        stretch->from = address;
                        return 0;
                }
                if (m->block_shared[i])
                        m->result.failed_shared += pages;
                else if (add_unit(m, &u))
                        *used += pages;
                else
                        m->result.skipped_room_bytes += r->page_bytes;
        }
        stretch->from = to;
        return 0;
}

/* What is to be looked at next: a block that was no huge page, or from the cursor to the end of its block. */
static int scan_next(struct mover *m, const struct range *r, uint64_t budget_pages, uint64_t *used) {
        if (m->n_missed > 0) {
                struct stretch *missed = &m->missed[m->n_missed - 1];
                int k = scan(m, r, missed, true, budget_pages, used);
                if (k >= 0 && missed->from >= missed->to)
                        m->n_missed--;
                return k;
        }
        uint64_t block = r->hugetlb ? BLOCK_PAGES * r->page_bytes : m->block_bytes ? m->block_bytes : BLOCK_PAGES * m->page_bytes;
        struct stretch stretch = { m->cursor, MIN2(m->cursor / block * block + block, r->end) };
        int k = scan(m, r, &stretch, false, budget_pages, used);
        m->cursor = stretch.from;
        return k;
}

/* Nothing of a range can go anywhere: leave it unread. */
static bool is_hopeless(struct mover *m, const struct range *r) {
        if (m->how == PAGES_INTERLEAVE) /* pages that leave make room */
                return false;
        if (r->hugetlb || mover_has_room(m))
                return false;
        m->result.skipped_room_bytes += r->off_pages * r->page_bytes;
        return true;
}

static void next_range(struct mover *m) {
        m->range++;
        m->cursor = 0;
        m->probe_misses = m->probe_skip = m->probe_skip_next = 0;
        m->n_pagemap = 0;
}

int mover_fill_window(struct mover *m, uint64_t budget_pages) {
        uint64_t used = 0;
        budget_pages = MIN2(budget_pages, (uint64_t) WINDOW_PAGES);
        while (m->range < m->n_ranges) {
                const struct range *r = &m->ranges[m->range];
                if (m->cursor < r->start) {
                        m->cursor = r->start;
                        if (r->hugetlb)
                                mover_read_pools(m, r->page_bytes);
                        if (is_hopeless(m, r))
                                m->cursor = r->end;
                }
                if (m->cursor >= r->end && m->n_missed == 0) {
                        /* Small mappings share a window. One with probes is dealt with first, as these may send us back into this range; so is
                         * one with hugetlb pages, whose pools are of this range. */
                        if (m->n_window > 0 && (m->has_probes || r->hugetlb || (m->range + 1 < m->n_ranges && r[1].hugetlb)))
                                return 0;
                        next_range(m);
                        continue;
                }
                if (m->n_window > 0 && (used >= budget_pages || m->n_window + BLOCK_PAGES > WINDOW_PAGES))
                        return 0;
                int k = scan_next(m, r, budget_pages, &used);
                if (k < 0)
                        return k;
                if (mover_time_is_up(m))
                        return 0;
        }
        return 0;
}
