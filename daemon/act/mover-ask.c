/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where the next candidates are: asked for right before they are moved, or told from those that were. */
#include <errno.h>
#include <limits.h>

#include "act/mover-internal.h"
#include "core/util.h"

/* Not answered yet. The kernel has no such status. */
#define UNKNOWN INT_MIN
/* A block is told from one in ASK_SHARE of its pages, and no fewer than SPOTS_MIN. With a share f of the pages at home, evenly spread, f × (1 − f)^64 of all are then
 * taken wrongly. So that is done where numa_maps has found at home so much that it is to show (0.1 % at a sixteenth), or next to nothing. */
#define SPOTS_MIN      32u
#define SPOT_HOME_MUCH 16u
#define SPOT_HOME_LESS 256u

int mover_ask(struct mover *m, size_t n, void *const *addresses, int *status) {
        long r = m->act.ops->move_pages(m->act.context, m->speaker, n, addresses, NULL, false, status);
        m->result.n_calls++;
        /* A process that has just ended, or is a zombie, has no memory to ask about. */
        return r == -EINVAL ? -ESRCH : r < 0 ? (int) r : 0;
}

static inline bool is_own_page(const struct mover_candidate *c) {
        return c->kind == CANDIDATE_PAGE && !c->shared;
}

/* And nothing has happened to it since it was found. */
static inline bool is_plain(const struct mover_candidate *c) {
        return is_own_page(c) && !c->tried;
}

/* Where numa_maps has it; -1: that is not known, or not believed. */
static inline int known_node(const struct mover *m, const struct mover_candidate *c) {
        return m->trusts && is_plain(c) ? m->ranges[c->range].source : -1;
}

/* Is its node to be told from others of its block? */
static bool is_told_by_spots(const struct mover *m, const struct mover_candidate *c) {
        const struct range *r = &m->ranges[c->range];
        uint64_t at_home = r->all_pages - r->off_pages;
        return m->spots && r->source < 0 && r->base_pages == 1 && !c->tried &&
               (at_home >= r->all_pages / SPOT_HOME_MUCH || at_home < r->all_pages / SPOT_HOME_LESS);
}

static inline size_t add_question(struct mover *m, size_t asked, size_t candidate, uint64_t address) {
        m->ask_pick[asked] = candidate;
        m->ask_addresses[asked] = (void *) (uintptr_t) address;
        return asked + 1;
}

/* How a candidate's node is found out. */
struct way {
        uint32_t pages; /* base pages that are to move */
        int node;       /* where it is, unless it is asked for */
        unsigned share; /* one in so many is asked for; 0: none */
        bool spots;     /* these tell the others' */
};

static struct way way_of(const struct mover *m, const struct mover_candidate *c) {
        const struct range *r = &m->ranges[c->range];
        int known = known_node(m, c);
        if (c->shared) /* it is only counted, and asked for where numa_maps has not said all that is to be known */
                return (struct way) { .node = r->source >= 0 ? r->source : UNKNOWN, .share = r->source < 0 };
        if (c->kind != CANDIDATE_PAGE)
                return (struct way) { .pages = mover_block_pages(m), .node = UNKNOWN, .share = 1 };
        if (known >= 0)
                return (struct way) { .pages = r->base_pages, .node = known, .share = ASK_SHARE };
        bool spots = is_told_by_spots(m, c);
        return (struct way) { .pages = r->base_pages, .node = UNKNOWN, .share = spots ? ASK_SHARE : 1, .spots = spots };
}

/* Of up to `n_max` candidates those at the start that are plain and of the first one's mapping, which `way` is of: whether each is asked for. Where its node can be told
 * otherwise, that is one in `share`, by the fractions of multiples of the golden ratio: what has come home meanwhile may well be every second page, or every 64th, and
 * these lie evenly among such, too. How many candidates. */
static size_t choose_run(struct mover *m, size_t first, size_t n_max, const struct way *way, size_t *asked) {
        const struct mover_candidate *c = m->candidates + m->candidate + first;
        const uint64_t limit = UINT64_MAX / way->share, page_bytes = m->page_bytes;
        const uint32_t range = c->range;
        int *where = m->where + first;
        size_t i = 0, n = *asked;
        for (; i < n_max && c[i].range == range && is_plain(&c[i]); i++) {
                where[i] = way->node;
                if (c[i].address / page_bytes * UINT64_C(0x9e3779b97f4a7c15) > limit)
                        continue;
                where[i] = UNKNOWN;
                n = add_question(m, n, first + i, c[i].address);
        }
        *asked = n;
        return i;
}

/* How many of the next candidates fit into what is left of window and budget, and the addresses to ask for first. */
static size_t choose(struct mover *m, uint64_t budget_pages, size_t *ret_asked, bool *ret_spots) {
        uint64_t pages = 0;
        size_t n = 0, asked = 0, n_max = MIN2(m->n_candidates - m->candidate, WINDOW_PAGES - m->n_window);
        *ret_spots = false;
        while (n < n_max) {
                const struct mover_candidate *c = &m->candidates[m->candidate + n];
                const struct way way = way_of(m, c);
                bool block = c->kind == CANDIDATE_BLOCK;
                if (pages + way.pages > budget_pages && (n > 0 || m->n_window > 0))
                        break;
                if (asked + (block ? 2 : 1) > WINDOW_PAGES || (block && m->how != PAGES_HOME))
                        break;
                *ret_spots |= way.spots;
                if (is_plain(c)) {
                        uint64_t fit = budget_pages > pages ? MAX2((budget_pages - pages) / way.pages, UINT64_C(1)) : 1;
                        size_t run = choose_run(m, n, MIN2(MIN2(n_max - n, fit), WINDOW_PAGES - asked), &way, &asked);
                        pages += run * way.pages;
                        n += run;
                        continue;
                }
                pages += way.pages;
                m->where[n] = way.node;
                if (way.share > 0) {
                        m->where[n] = UNKNOWN;
                        asked = add_question(m, asked, n, c->address);
                        if (block)
                                asked = add_question(m, asked, n, c->address + m->block_bytes - m->page_bytes);
                }
                n++;
        }
        *ret_asked = asked;
        return n;
}

/* Asks, and notes the answers. 0 or negative errno. */
static int ask_chosen(struct mover *m, size_t asked) {
        int r = asked > 0 ? mover_ask(m, asked, m->ask_addresses, m->ask_status) : 0;
        for (size_t k = 0; r >= 0 && k < asked; k++) {
                int *where = &m->where[m->ask_pick[k]];
                *where = *where == UNKNOWN || *where == m->ask_status[k] ? m->ask_status[k] : -1; /* of a block: first and last */
        }
        return r;
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

/* The candidates from `i` on that are pages of one block; what was found out of them: -1 if they are not all on one node off home. */
static size_t look_at_block(const struct mover *m, size_t i, size_t n, int *ret_node) {
        const struct mover_candidate *all = m->candidates + m->candidate, *first = &all[i];
        const uint64_t block = BLOCK_PAGES * m->page_bytes, start = first->address / block * block;
        const int *where = m->where;
        unsigned answers = 0;
        int node = -1;
        bool same = true;
        for (; i < n && is_own_page(&all[i]) && all[i].range == first->range && all[i].address - start < block; i++) {
                if (where[i] == UNKNOWN || all[i].tried)
                        continue;
                same &= answers++ == 0 || where[i] == node;
                node = where[i];
        }
        *ret_node = same && answers >= SPOTS_MIN && !mover_is_home(m, node) ? node : -1;
        return i;
}

/* Tells the rest of each block from the pages that were asked for, or adds it to what is to be asked for. How many these are. */
static size_t tell_by_spots(struct mover *m, size_t n) {
        const struct mover_candidate *all = m->candidates + m->candidate;
        size_t asked = 0;
        for (size_t i = 0; i < n;) {
                int node, *where = m->where;
                size_t end = look_at_block(m, i, n, &node);
                for (; node >= 0 && i < end; i++)
                        if (where[i] == UNKNOWN)
                                where[i] = node;
                for (; i < end; i++)
                        if (where[i] == UNKNOWN)
                                asked = add_question(m, asked, i, all[i].address);
                i += i < n && !is_own_page(&all[i]); /* a block, or shared: asked for already */
        }
        return asked;
}

long mover_ask_next(struct mover *m, uint64_t budget_pages) {
        for (;;) {
                bool spots;
                size_t asked, n = choose(m, budget_pages, &asked, &spots);
                int r = ask_chosen(m, asked);
                if (r < 0)
                        return r;
                if (m->trusts && !are_as_known(m, asked)) {
                        m->trusts = m->spots = false;
                        continue;
                }
                r = spots ? ask_chosen(m, tell_by_spots(m, n)) : 0;
                return r < 0 ? r : (long) n;
        }
}
