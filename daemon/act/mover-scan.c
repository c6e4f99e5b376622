/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which of the candidates must move: asked for their nodes right before, as many as the budget covers. */
#include <errno.h>
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

int mover_ask(struct mover *m, size_t n, void *const *addresses, int *status) {
        long r = m->act.ops->move_pages(m->act.context, m->processes[m->current].pid, n, addresses, NULL, false, status);
        m->result.n_calls++;
        /* A process that has just ended, or is a zombie, has no memory to ask about. */
        return r == -EINVAL ? -ESRCH : r < 0 ? (int) r : 0;
}

static uint32_t block_pages(const struct mover *m) {
        return (uint32_t) (m->block_bytes / m->page_bytes);
}

/* Made where it will be if it is taken: behind the last of the window, which has room. Inline, as what follows: it is done for every page. */
static inline struct unit *unit_of(struct mover *m, const struct mover_candidate *c, int node) {
        const struct range *r = &m->ranges[c->range];
        struct unit *u = &m->window[m->n_window];
        uint32_t pages = c->kind == CANDIDATE_PAGE ? r->base_pages : block_pages(m);
        *u = (struct unit){ .address = c->address,
                            .range = c->range,
                            .pages = pages,
                            .counted_pages = c->missed ? block_pages(m) : pages,
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

/* A block whose first and last pages are on these nodes. */
static void take_ends(struct mover *m, const struct mover_candidate *c, int first, int last, uint64_t *used) {
        struct unit *u = unit_of(m, c, first);
        bool stubborn = stubborn_has_any(m->stubborn, &m->processes[m->current], c->address, c->address + m->block_bytes,
                                         m->slice_began_usec);
        if (!stubborn && first == last && mover_is_misplaced(m, u) && add_unit(m, u))
                *used += u->pages;
        else
                mover_go_over(m, c->address, c->range);
}

/* A block, where it must be known whether all of it lies on one node, and so may be a huge page. 0 or negative errno. */
static int take_whole(struct mover *m, const struct mover_candidate *c, uint64_t *used) {
        uint32_t n = block_pages(m), same = 1;
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

/* Nothing but a page: no block, not shared, and not from a block that was no huge page, whose first may have moved since. */
static inline bool is_plain(const struct mover_candidate *c) {
        return !(c->kind | c->shared | c->missed);
}

/* Where numa_maps has it; -1: that is not known, or not believed. The first page of a block that was tried as a huge one may have moved since. */
static inline int known_node(const struct mover *m, const struct mover_candidate *c) {
        if (!m->trusts || c->kind != CANDIDATE_PAGE || c->shared || (c->missed && c->address % m->block_bytes == 0))
                return -1;
        return m->ranges[c->range].source;
}

/* Is this page asked for, whose node is known? One in ASK_SHARE, by the fractions of multiples of the golden ratio: what has come home meanwhile may well be
 * every second page, or every 64th, and these lie evenly among such, too. */
static inline bool is_asked_again(const struct mover *m, uint64_t address) {
        return address / m->page_bytes * UINT64_C(0x9e3779b97f4a7c15) < UINT64_MAX / ASK_SHARE;
}

/* How many of the next candidates fit into what is left of window and budget, and the addresses to ask for. */
static size_t choose(struct mover *m, uint64_t budget_pages, size_t *ret_asked) {
        uint64_t pages = 0;
        size_t n = 0, asked = 0, n_max = MIN2(m->n_candidates - m->candidate, WINDOW_PAGES - m->n_window);
        struct mover_candidate *candidates = m->candidates + m->candidate;
        uint32_t range = UINT32_MAX, size = 0; /* of plain pages, mostly those of the one before */
        int node = -1;
        for (; n < n_max; n++) {
                struct mover_candidate *c = &candidates[n];
                bool block = c->kind == CANDIDATE_BLOCK;
                if (!is_plain(c) || c->range != range) {
                        size = c->shared ? 0 : c->kind == CANDIDATE_PAGE ? m->ranges[c->range].base_pages : block_pages(m);
                        node = known_node(m, c);
                        range = is_plain(c) ? c->range : UINT32_MAX;
                }
                if (pages + size > budget_pages && (n > 0 || m->n_window > 0))
                        break;
                if (asked + (block ? 2 : 1) > WINDOW_PAGES || (block && m->how != PAGES_HOME))
                        break;
                pages += size;
                c->asked = node < 0 || is_asked_again(m, c->address);
                if (!c->asked)
                        continue;
                m->ask_pick[asked] = n;
                m->ask_addresses[asked++] = (void *) (uintptr_t) c->address;
                if (block) {
                        m->ask_pick[asked] = n;
                        m->ask_addresses[asked++] = (void *) (uintptr_t) (c->address + m->block_bytes - m->page_bytes);
                }
        }
        *ret_asked = asked;
        return n;
}

/* Are those that were asked for where numa_maps had them? */
static bool are_as_known(const struct mover *m, size_t asked) {
        for (size_t k = 0; k < asked; k++) {
                int known = known_node(m, &m->candidates[m->candidate + m->ask_pick[k]]);
                if (known >= 0 && m->ask_status[k] != known)
                        return false;
        }
        return true;
}

/* Asks for the next candidates, as many as choose() takes. How many these are, or negative errno. */
static long ask_next(struct mover *m, uint64_t budget_pages) {
        for (;;) {
                size_t asked, n = choose(m, budget_pages, &asked);
                int r = asked > 0 ? mover_ask(m, asked, m->ask_addresses, m->ask_status) : 0;
                if (r < 0)
                        return r;
                if (!m->trusts || are_as_known(m, asked))
                        return (long) n;
                m->trusts = false;
        }
}

/* Deals with the first of these candidates that are as the last of the window was, on its node and in its block, or at home: where nothing is left to find
 * out. How many; `asked`: their answers, if they were asked for. */
static size_t take_likewise(struct mover *m, const struct mover_candidate *c, size_t n, const int **asked, uint64_t *used) {
        const struct unit *last = m->n_window > 0 ? &m->window[m->n_window - 1] : NULL;
        if (!last || last->huge || last->probe || last->counted_pages != last->pages || !mover_is_sticky(m, last))
                return 0;
        const struct unit like = *last;
        struct unit *u = &m->window[m->n_window];
        const uint64_t bytes = like.pages * m->page_bytes, block = BLOCK_PAGES * m->page_bytes;
        const int known = m->ranges[like.range].source;
        const int *answer = *asked;
        size_t i = 0, taken = 0, n_max = m->room[like.target] / bytes;
        for (; i < n && taken < n_max; i++, c++) {
                if (!is_plain(c) || c->range != like.range || c->address - m->sticky.start >= block)
                        break;
                int node = c->asked ? *answer : known;
                if (node == like.from) {
                        u[taken] = like;
                        u[taken++].address = c->address;
                } else if (!mover_is_home(m, node))
                        break;
                answer += c->asked;
        }
        *asked = answer;
        m->room[like.target] -= taken * bytes;
        m->assigned[like.target] += taken * like.pages;
        m->n_window += taken;
        *used += taken * like.pages;
        return i;
}

/* Puts those of the next candidates into the window that must move. 1; 0: no more fit; negative errno. */
static int take_some(struct mover *m, uint64_t budget_pages, uint64_t *used) {
        long n = ask_next(m, budget_pages - *used);
        if (n < 0)
                return (int) n;
        if (n == 0) {
                const struct mover_candidate *c = &m->candidates[m->candidate];
                if (c->kind != CANDIDATE_BLOCK || m->how == PAGES_HOME ||
                    (m->n_window > 0 && (m->n_window + BLOCK_PAGES > WINDOW_PAGES || *used + block_pages(m) > budget_pages)))
                        return 0;
                m->candidate++;
                int r = take_whole(m, c, used);
                return r < 0 ? r : 1;
        }
        const struct mover_candidate *c = &m->candidates[m->candidate], *end = c + n;
        const int *asked = m->ask_status;
        bool any_stubborn = stubborn_count(m->stubborn) > 0;
        while (c < end) {
                size_t likewise = any_stubborn ? 0 : take_likewise(m, c, (size_t) (end - c), &asked, used);
                c += likewise;
                if (likewise > 0)
                        continue;
                if (c->kind == CANDIDATE_BLOCK) {
                        take_ends(m, c, asked[0], asked[1], used);
                        asked += 2;
                } else
                        take_candidate(m, c, c->asked ? *asked++ : m->ranges[c->range].source, any_stubborn, used);
                c++;
        }
        m->candidate += (size_t) n;
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
        while (used < budget_pages && m->n_window < WINDOW_PAGES) {
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
