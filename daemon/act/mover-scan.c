/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which of the candidates must move, as many as the budget covers. */
#include <time.h>

#include "act/mover-internal.h"
#include "core/util.h"

uint64_t mover_now_usec(void) {
        struct timespec ts;
        (void) clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t) ts.tv_sec * USEC_PER_SEC + (uint64_t) ts.tv_nsec / 1000;
}

bool mover_time_is_up(const struct mover *m) {
        return mover_now_usec() - m->slice_began_usec > m->slice_limit_usec;
}

/* Made where it will be if it is taken: behind the last of the window, which has room. Inline, as what follows: it is done for every page. */
static inline struct unit *unit_of(struct mover *m, const struct mover_candidate *c, int node) {
        const struct range *r = &m->ranges[c->range];
        struct unit *u = &m->window[m->n_window];
        uint32_t pages = c->kind == CANDIDATE_PAGE ? r->base_pages : mover_block_pages(m);
        *u = (struct unit) { .address = c->address,
                             .range = c->range,
                             .pages = pages,
                             .n = 1,
                             .missed = c->missed,
                             .hoped = c->hoped,
                             .from = (int16_t) node,
                             .huge = c->kind == CANDIDATE_HUGE,
                             .probe = c->kind == CANDIDATE_BLOCK,
                             .hugetlb = r->hugetlb,
                             .all = r->all };
        return u;
}

/* Takes in the unit that unit_of() made. Returns false where there is no room for it on any home node. */
static inline bool add_unit(struct mover *m, struct unit *u) {
        if (!mover_reserve(m, u))
                return false;
        m->n_window++;
        m->places[m->n_addresses++] = (void *) (uintptr_t) u->address;
        m->has_probes |= u->probe;
        m->has_hugetlb |= u->hugetlb;
        return true;
}

/* Would it not move the last time? */
static bool is_stubborn(const struct mover *m, const struct unit *u) {
        return stubborn_has_all(m->stubborn, &m->processes[m->current], u->address, u->address + u->pages * m->page_bytes,
                                m->slice_began_usec);
}

/* One candidate that is on `node`, or is not there any more. */
static inline void take_candidate(struct mover *m, const struct mover_candidate *c, int node, bool any_stubborn, uint64_t *used) {
        if (m->how == PAGES_HOME && mover_is_home(m, node)) /* and need not be made a unit */
                return;
        struct unit *u = unit_of(m, c, node);
        if (!mover_is_misplaced(m, u))
                return;
        if (any_stubborn && is_stubborn(m, u)) {
                m->result.failed_busy += u->pages;
                m->result.remembered_pages += u->pages;
        } else if (c->shared)
                m->result.failed_shared += u->pages;
        else if (add_unit(m, u))
                *used += u->pages;
        else
                m->result.skipped_room_bytes += u->pages * m->page_bytes;
}

/* A block whose first and last pages are on this node, or ENDS_MIXED, or ENDS_MISSING. */
static void take_ends(struct mover *m, const struct mover_candidate *c, int node, uint64_t *used) {
        struct unit *u = unit_of(m, c, node);
        bool stubborn = stubborn_has_any(m->stubborn, &m->processes[m->current], c->address, c->address + m->block_bytes,
                                         m->slice_began_usec);
        if (!stubborn && mover_is_misplaced(m, u) && add_unit(m, u))
                *used += u->pages;
        else
                mover_go_over(m, (struct missed) { c->address, c->range, node == ENDS_MIXED, node == ENDS_MISSING });
}

/* A block, where it must be known whether all of it lies on one node, and so may be a huge page. 0 or negative errno. */
static int take_whole(struct mover *m, const struct mover_candidate *c, uint64_t *used) {
        uint32_t n = mover_block_pages(m), same = 1;
        for (uint32_t i = 0; i < n; i++)
                m->ask_addresses[i] = (void *) (uintptr_t) (c->address + i * m->page_bytes);
        int r = mover_ask(m, n, m->ask_addresses, m->ask_status);
        if (r < 0)
                return r;
        while (same < n && m->ask_status[same] == m->ask_status[0])
                same++;
        bool any_stubborn = stubborn_count(m->stubborn) > 0;
        if (same == n && m->ask_status[0] >= 0) {
                /* Where there is no room it stays: one page of it could take all the others along, past what is to move. */
                take_candidate(m, c, m->ask_status[0], any_stubborn, used);
                return 0;
        }
        for (uint32_t i = 0; i < n; i++) {
                const struct mover_candidate page = { .address = c->address + i * m->page_bytes, .range = c->range };
                take_candidate(m, &page, m->ask_status[i], any_stubborn, used);
        }
        return 0;
}

/* Deals with the first of `n` pages from `address` on that are as the last of the window was, on its node and in its block, and become part of it, or at home or gone: where
 * nothing is left to find out. How many. */
static size_t take_likewise(struct mover *m, uint32_t range, uint64_t address, const int *where, size_t n, uint64_t *used) {
        struct unit *last = m->n_window > 0 ? &m->window[m->n_window - 1] : NULL;
        if (!last || last->huge || last->probe || last->range != range || !mover_is_sticky(m, last) ||
            address - m->sticky.start >= BLOCK_PAGES * m->page_bytes)
                return 0;
        const uint64_t pages = last->pages, bytes = pages * m->page_bytes;
        const int from = last->from, target = last->target;
        void **const places = m->places + m->n_addresses, **to = places;
        const int *node = where, *const end = where + MIN2(n, m->room[target] / bytes);
        for (; node < end; node++, address += bytes)
                if (*node == from)
                        *to++ = (void *) (uintptr_t) address;
                else if (*node >= 0 && !mover_is_home(m, *node))
                        break;
        const size_t taken = (size_t) (to - places);
        last->n += (uint16_t) taken;
        m->room[target] -= taken * bytes;
        m->assigned[target] += taken * pages;
        m->n_addresses += taken;
        *used += taken * pages;
        return (size_t) (node - where);
}

/* The first `n` pages of a candidate. */
static void take_run(struct mover *m, const struct mover_candidate *c, const int *where, size_t n, bool any_stubborn,
                     uint64_t *used) {
        const uint64_t step = mover_step_bytes(m, c->range);
        const bool any_likewise = c->kind == CANDIDATE_PAGE && !c->shared && !any_stubborn;
        struct mover_candidate page = *c;
        if (c->kind == CANDIDATE_BLOCK) {
                take_ends(m, c, *where, used);
                return;
        }
        for (size_t i = 0; i < n;) {
                size_t likewise = any_likewise ? take_likewise(m, c->range, c->address + i * step, where + i, n - i, used) : 0;
                i += likewise;
                if (likewise > 0)
                        continue;
                page.address = c->address + i * step;
                take_candidate(m, &page, where[i], any_stubborn, used);
                i++;
        }
}

/* Puts those of the next candidates into the window that must move. 1; 0: no more fit; negative errno. */
static int take_some(struct mover *m, uint64_t budget_pages, uint64_t *used) {
        long n = mover_ask_next(m, budget_pages - *used);
        if (n < 0)
                return (int) n;
        if (n == 0) {
                const struct mover_candidate *c = &m->candidates[m->candidate];
                if (c->kind != CANDIDATE_BLOCK || m->how == PAGES_HOME ||
                    (m->n_window > 0 &&
                     (m->n_addresses + BLOCK_PAGES > WINDOW_PAGES || *used + mover_block_pages(m) > budget_pages)))
                        return 0;
                m->candidate++;
                int r = take_whole(m, c, used);
                return r < 0 ? r : 1;
        }
        bool any_stubborn = stubborn_count(m->stubborn) > 0;
        for (size_t i = 0; i < (size_t) n;) {
                struct mover_candidate *c = &m->candidates[m->candidate];
                size_t part = MIN2((size_t) c->n, (size_t) n - i);
                take_run(m, c, m->where + i, part, any_stubborn, used);
                i += part;
                c->address += part * mover_step_bytes(m, c->range);
                c->n -= (uint16_t) part;
                m->candidate += c->n == 0;
        }
        return 1;
}

/* Small mappings share a window. One with probes is dealt with first, as these may send us back; so is one with hugetlb pages, whose pools are of their
 * range. */
static bool is_closed(const struct mover *m) {
        return m->n_window > 0 && (m->has_probes || m->has_hugetlb || (m->range < m->n_ranges && m->ranges[m->range].hugetlb));
}

int mover_fill_window(struct mover *m, uint64_t budget_pages) {
        uint64_t used = 0;
        budget_pages = MIN2(budget_pages, (uint64_t) WINDOW_BASE_PAGES);
        while (used < budget_pages && m->n_addresses < WINDOW_PAGES) {
                if (m->candidate >= m->n_candidates) {
                        if (is_closed(m))
                                return 0;
                        mover_gather(m);
                        if (m->candidate >= m->n_candidates)
                                return 0;
                }
                int r = take_some(m, budget_pages, &used);
                if (r <= 0)
                        return r;
                if (mover_time_is_up(m))
                        return 0;
        }
        return 0;
}
