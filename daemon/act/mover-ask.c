/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where the next candidates are: asked for right before they are moved, or told from those that were. */
#include <errno.h>
#include <limits.h>

#include "act/mover-internal.h"
#include "core/util.h"

/* Not answered yet. The kernel has no such status. */
#define UNKNOWN INT_MIN
/* A block is told from one in ASK_SHARE of its pages, and no fewer than so many. */
#define SPOTS_MIN 21u

int mover_ask(struct mover *m, size_t n, void *const *addresses, int *status) {
        const struct act *act = &m->act;
        long r = act->ops->move_pages(act->context, m->speaker, n, addresses, NULL, false, status);
        if ((r == -ESRCH || r == -EINVAL) && mover_other_speaker(m))
                r = act->ops->move_pages(act->context, m->speaker, n, addresses, NULL, false, status);
        m->result.n_calls++;
        /* A process that has just ended, or is a zombie, has no memory to ask about. */
        return r == -EINVAL ? -ESRCH : r < 0 ? (int) r : 0;
}

/* Pages of the process's own, and nothing has happened to them since they were found. */
static inline bool is_plain(const struct mover_candidate *c) {
        return c->kind == CANDIDATE_PAGE && !c->shared && !c->tried;
}

/* Where numa_maps has it; -1: that is not known, or not believed. */
static inline int known_node(const struct mover *m, const struct mover_candidate *c) {
        return m->trusts && is_plain(c) && !c->hoped && !c->mixed ? m->ranges[c->range].source : -1;
}

/* Is its node to be told from others of its block? */
static bool is_told_by_spots(const struct mover *m, const struct mover_candidate *c) {
        const struct range *r = &m->ranges[c->range];
        return m->spots && r->spots && !r->little && !c->tried && !c->mixed && (r->source < 0 || c->hoped);
}

static inline size_t add_question(struct mover *m, size_t asked, size_t page, uint64_t address) {
        m->ask_pick[asked] = page;
        m->ask_addresses[asked] = (void *) (uintptr_t) address;
        return asked + 1;
}

/* How a candidate's node is found out. */
struct way {
        uint32_t pages; /* base pages that are to move with each address */
        int node;       /* where it is, as far as is known */
        bool all;       /* each is asked for, not only one in ASK_SHARE; of what is one page alone: it is */
        bool spots;     /* the others' nodes are told from these */
};

static struct way way_of(const struct mover *m, const struct mover_candidate *c) {
        const struct range *r = &m->ranges[c->range];
        int known = known_node(m, c);
        if (c->shared) /* it is only counted, and asked for where numa_maps has not said all that is to be known */
                return (struct way) { .node = r->source >= 0 ? r->source : UNKNOWN, .all = r->source < 0 };
        if (c->kind != CANDIDATE_PAGE)
                return (struct way) { .pages = mover_block_pages(m), .node = UNKNOWN, .all = true };
        if (known >= 0)
                return (struct way) { .pages = r->base_pages, .node = known };
        bool spots = is_told_by_spots(m, c);
        return (struct way) { .pages = r->base_pages, .node = UNKNOWN, .all = !spots, .spots = spots };
}

/* The entries of a candidate's first `n` pages. NULL: there is no reading them, as the process ends. */
static const uint64_t *read_pagemap(struct mover *m, const struct mover_candidate *c, size_t n) {
        const uint64_t end = c->address + n * m->page_bytes;
        (void) mover_pagemap_entry(m, c->address, end);
        return mover_pagemap_read(m, c->address, end);
}

/* Some pages of a block are missing; pagemap tells which. The others are on `node`. One candidate is all of the block that is under way. */
static void part_missing(struct mover *m, const struct mover_candidate *c, size_t page, size_t end, int node) {
        int *where = m->where;
        const uint64_t *entries = read_pagemap(m, c, end - page);
        if (!entries) {
                for (; page < end; page++)
                        where[page] = where[page] == UNKNOWN ? node : where[page];
                return;
        }
        for (; page < end; page++, entries++)
                if (where[page] == UNKNOWN)
                        where[page] = *entries & PAGEMAP_PRESENT ? node : -ENOENT;
}

/* Which of a candidate's first `n` pages are asked for, the first of them being that of `page` in `where`: all, or where their nodes can be told otherwise one in
 * ASK_SHARE. Returns how many are asked for by now. */
static size_t choose_of_run(struct mover *m, struct mover_candidate *c, size_t n, size_t page, const struct way *way,
                            size_t asked) {
        const uint64_t bytes = mover_step_bytes(m, c->range), first = c->address / bytes;
        c->spots = way->spots;
        mover_fill(&m->where[page], n, way->node);
        if (way->all) {
                size_t *pick = m->ask_pick + asked;
                void **addresses = m->ask_addresses + asked;
                uint64_t address = c->address;
                for (size_t i = 0; i < n; i++, address += bytes) {
                        pick[i] = page + i;
                        addresses[i] = (void *) (uintptr_t) address;
                }
                return asked + n;
        }
        const uint64_t *entries = way->spots && c->holey ? read_pagemap(m, c, n) : NULL;
        for (uint64_t k = first / ASK_SHARE, spot; (spot = mover_spot(k)) < first + n; k++)
                if (spot >= first && (!entries || entries[spot - first] & PAGEMAP_PRESENT))
                        asked = add_question(m, asked, page + (spot - first), spot * bytes);
        return asked;
}

struct chosen {
        size_t n, asked;
        bool spots;  /* some of what is asked for tells more */
        bool checks; /* something is known, or a block: what is answered is not all there is to know */
};

/* How many of the next candidates' pages fit into what is left of window and budget, and the addresses to ask for first. */
static struct chosen choose(struct mover *m, uint64_t budget_pages) {
        uint64_t pages = 0;
        size_t n = 0, asked = 0, n_max = WINDOW_PAGES - m->n_addresses;
        bool any_spots = false, checks = false;
        for (size_t k = m->candidate; k < m->n_candidates && n < n_max; k++) {
                struct mover_candidate *c = &m->candidates[k];
                const struct way way = way_of(m, c);
                bool block = c->kind == CANDIDATE_BLOCK;
                if (pages + way.pages > budget_pages && (n > 0 || m->n_window > 0))
                        break;
                if (asked + (block ? 2 : 1) > WINDOW_PAGES || (block && m->how != PAGES_HOME))
                        break;
                any_spots |= way.spots;
                checks |= block || way.node != UNKNOWN;
                if (is_plain(c)) {
                        uint64_t fit = budget_pages > pages ? MAX2((budget_pages - pages) / way.pages, UINT64_C(1)) : 1;
                        size_t part = MIN2(MIN2((uint64_t) c->n, fit), MIN2(n_max - n, WINDOW_PAGES - asked));
                        if (way.spots && part < c->n &&
                            (n > 0 || m->n_window > 0)) /* a part of a block takes as many questions as all of it, or more */
                                break;
                        asked = choose_of_run(m, c, part, n, &way, asked);
                        pages += part * way.pages;
                        n += part;
                        if (part < c->n)
                                break;
                        continue;
                }
                pages += way.pages;
                m->where[n] = way.node;
                if (way.all)
                        asked = add_question(m, asked, n, c->address);
                if (block)
                        asked = add_question(m, asked, n, c->address + m->block_bytes - m->page_bytes);
                n++;
        }
        return (struct chosen) { .n = n, .asked = asked, .spots = any_spots, .checks = checks };
}

/* Asks, and notes the answers. 0 or negative errno. */
static int ask_plainly(struct mover *m, size_t asked) {
        int r = asked > 0 ? mover_ask(m, asked, m->ask_addresses, m->ask_status) : 0;
        int *where = m->where;
        const int *status = m->ask_status;
        const size_t *pick = m->ask_pick;
        for (size_t k = 0; r >= 0 && k < asked; k++)
                where[pick[k]] = status[k];
        return r;
}

static inline int node_of_ends(int first, int last) {
        if (first < 0 || last < 0)
                return ENDS_MISSING;
        return first == last ? first : ENDS_MIXED;
}

/* Asks, and notes the answers. 1: all were as they were known, or nothing was; 0: some were not; negative errno. */
static int ask_chosen(struct mover *m, const struct chosen *chosen) {
        const int *status = m->ask_status;
        const size_t *pick = m->ask_pick;
        bool as_known = true;
        if (!chosen->checks) {
                int r = ask_plainly(m, chosen->asked);
                return r < 0 ? r : 1;
        }
        int r = chosen->asked > 0 ? mover_ask(m, chosen->asked, m->ask_addresses, m->ask_status) : 0;
        for (size_t k = 0; r >= 0 && k < chosen->asked; k++) {
                int *where = &m->where[pick[k]];
                if (k > 0 && pick[k] == pick[k - 1]) { /* of a block: first and last */
                        *where = node_of_ends(*where, status[k]);
                        continue;
                }
                as_known &= *where == UNKNOWN || *where == status[k];
                *where = status[k];
        }
        return r < 0 ? r : as_known;
}

/* There is no page, or one of zeros, which some kernels do not tell apart. */
static inline bool is_missing(int status) {
        return status == -ENOENT || status == -EFAULT;
}

/* Are the pages of both told by the same spots? */
static bool are_of_one_block(const struct mover *m, const struct mover_candidate *a, const struct mover_candidate *b) {
        return a->spots && b->spots && !a->hoped && !b->hoped && a->range == b->range &&
               (a->address ^ b->address) < BLOCK_PAGES * m->page_bytes;
}

/* Which one node these answers name; UNKNOWN: not one alone that is off home, or too few of them do. Those that say that a page is missing are counted where that
 * can be. */
static int node_of_spots(const struct mover *m, const int *status, size_t n, bool may_miss, size_t *ret_missing) {
        size_t missing = 0, same = 0;
        int node = UNKNOWN;
        for (size_t k = 0; k < n; k++) {
                if (may_miss && is_missing(status[k])) {
                        missing++;
                        continue;
                }
                if (node == UNKNOWN)
                        node = status[k];
                same += status[k] == node;
        }
        *ret_missing = missing;
        return same == n - missing && same >= SPOTS_MIN && node >= 0 && !mover_is_home(m, node) ? node : UNKNOWN;
}

/* Tells where the pages of one block are, `page` to `end` in `where` and from the candidate `c` on, from `n` answers. False: they are not all on one node off home, or
 * too few were asked for; they remain UNKNOWN. */
static bool tell_block(struct mover *m, const struct mover_candidate *c, size_t page, size_t end, const int *status, size_t n) {
        size_t missing;
        int node = node_of_spots(m, status, n, c->hoped, &missing);
        if (missing > 0 || c->holey) {
                m->hole |= missing == n;
                part_missing(m, c, page, end, node);
        } else if (node != UNKNOWN)
                mover_fill(&m->where[page], end - page, node);
        return node != UNKNOWN;
}

/* Tells where the first `n` pages are, block by block, from those that were asked for. What remains UNKNOWN is of blocks that are not told so. */
static void tell_by_spots(struct mover *m, size_t n, size_t asked) {
        struct mover_candidate *c = &m->candidates[m->candidate];
        const size_t *pick = m->ask_pick;
        for (size_t page = 0, k = 0; page < n;) {
                struct mover_candidate *first = c;
                const size_t begin = page, first_k = k;
                do
                        page += c++->n;
                while (page < n && are_of_one_block(m, first, c));
                page = MIN2(page, n);
                k += FIRST_NOT_BEFORE(i, asked - k, pick[k + i] < page);
                if (!first->spots)
                        continue;
                if (tell_block(m, first, begin, page, m->ask_status + first_k, k - first_k))
                        for (; first < c; first++)
                                first->spots = false;
        }
}

/* Asks for all that is not known yet. 0 or negative errno. */
static int ask_unknown(struct mover *m, size_t n) {
        const struct mover_candidate *c = &m->candidates[m->candidate];
        const int *where = m->where;
        size_t asked = 0;
        for (size_t page = 0; page < n; page += c++->n) {
                const uint64_t bytes = mover_step_bytes(m, c->range);
                const size_t end = c->spots ? MIN2(page + c->n, n) : page;
                uint64_t address = c->address;
                for (size_t i = page; i < end; i++, address += bytes)
                        if (where[i] == UNKNOWN)
                                asked = add_question(m, asked, i, address);
        }
        return ask_plainly(m, asked);
}

long mover_ask_next(struct mover *m, uint64_t budget_pages) {
        for (;;) {
                const struct chosen chosen = choose(m, budget_pages);
                int r = ask_chosen(m, &chosen);
                if (r == 0) { /* then numa_maps is not believed any more */
                        m->trusts = m->spots = false;
                        continue;
                }
                if (r > 0 && chosen.spots) {
                        tell_by_spots(m, chosen.n, chosen.asked);
                        r = ask_unknown(m, chosen.n);
                }
                return r < 0 ? r : (long) chosen.n;
        }
}
