/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is present in the process's mappings: the list of candidates, filled some thousand at a time and kept from slice to slice. */
#include <string.h>

#include "act/mover-internal.h"
#include "core/util.h"

/* Pages that others map too are asked for only to be counted; beyond this many (16 GiB) that is not worth it. */
#define SHARED_ASKED_MAX (4u << 20)
/* So many blocks in a row that turn out not to be huge pages, and then every second, every fourth … is tried, at least every 64th. */
#define PROBE_MISSES_MAX 4u
#define PROBE_SKIP_MAX   64u
/* So many blocks are tried at first; more where they are huge pages. */
#define PROBES_FIRST 4u
/* So often the time is looked at: reading a block of pagemap takes some microseconds. */
#define BLOCKS_PER_LOOK 16u
/* Where all is found that numa_maps counted, a rest of the mapping that is larger than this is not read. */
#define REST_MAX (64 * MIB)

void mover_probe_missed(struct mover *m) {
        m->probe_limit = PROBES_FIRST;
        if (++m->probe_misses < PROBE_MISSES_MAX)
                return;
        m->probe_skip_next = MIN2(MAX2(m->probe_skip_next * 2, 1u), PROBE_SKIP_MAX);
        m->probe_skip = m->probe_skip_next;
}

void mover_probe_hit(struct mover *m) {
        m->probe_limit = MIN2(m->probe_limit * 2, PROBES_MAX);
        m->probe_misses = m->probe_skip = m->probe_skip_next = 0;
}

void mover_go_over(struct mover *m, struct missed block) {
        if (m->n_missed < WINDOW_PAGES) /* always: there are no more candidates */
                m->missed[m->n_missed++] = block;
}

static bool wants_probe(struct mover *m) {
        if (m->probe_skip == 0 || m->how != PAGES_HOME)
                return true;
        m->probe_skip--;
        return false;
}

static void add_candidate(struct mover *m, struct mover_candidate c) {
        c.n = 1;
        m->candidates[m->n_candidates++] = c;
        m->n_gathered++;
}

/* `n` pages from this one on, one behind the other, at most a block. */
static void add_run(struct mover *m, struct mover_candidate c, uint64_t n) {
        if (c.missed && c.address % m->block_bytes == 0) {
                c.tried = true;
                add_candidate(m, c);
                c.tried = false;
                c.address += mover_step_bytes(m, c.range);
                n--;
        }
        if (n == 0)
                return;
        c.n = (uint16_t) n;
        m->candidates[m->n_candidates++] = c;
        m->n_gathered += n;
}

/* So far pagemap may be read ahead: small mappings that lie together are read at once. */
static uint64_t read_until(const struct mover *m, const struct range *r, uint64_t address, uint64_t end) {
        uint64_t limit = address + (uint64_t) WINDOW_PAGES * m->page_bytes;
        if (r->hugetlb)
                return address + m->page_bytes;
        if (end < r->end && m->n_stretches == 0)
                return MIN2(limit, r->end);
        if (end < r->end) { /* stretches are known */
                for (size_t i = m->stretch; i < m->n_stretches && m->stretches[i].start < limit; i++)
                        end = MAX2(end, m->stretches[i].end);
                return MIN2(end, r->end);
        }
        for (; r < m->ranges + m->n_ranges && r->start < limit && !r->hugetlb; r++) {
                if (r->start > end) /* other mappings in between cost as much as another read */
                        break;
                end = r->end;
        }
        return end;
}

/* The entries of the base pages there, read where need be. NULL: one by one. */
static const uint64_t *read_entries(struct mover *m, const struct range *r, uint64_t from, uint64_t to, bool ahead) {
        if (r->base_pages > 1)
                return NULL;
        const uint64_t *entries = mover_pagemap_read(m, from, to);
        if (entries)
                return entries;
        (void) mover_pagemap_entry(m, from, ahead ? read_until(m, r, from, to) : to);
        return mover_pagemap_read(m, from, to);
}

static bool are_all_missing(const uint64_t *entries, uint64_t n) {
        uint64_t any = 0;
        for (uint64_t i = 0; i < n; i++)
                any |= entries[i];
        return !(any & PAGEMAP_PRESENT);
}

/* All of these are there, and nobody else's: as it was told, so that pagemap need not be read. Who forks meanwhile hears of it from move_pages(). `hoped`: as far as
 * that is likely, and that they are nobody else's is certain. */
static void add_told_pages(struct mover *m, uint32_t range, uint64_t from, uint64_t to, bool hoped) {
        add_run(m, (struct mover_candidate) { .address = from, .range = range, .hoped = hoped },
                (to - from) / mover_step_bytes(m, range));
}

/* Is pagemap left unread until it shows that pages are missing? */
static bool is_hoped(const struct mover *m, const struct range *r) {
        return r->dense && r->spots && m->spots && !m->hole && !m->scans;
}

/* Adds the first pages that are present and mapped here alone, most mostly. How many. */
static uint64_t add_own_pages(struct mover *m, struct mover_candidate like, uint64_t from, const uint64_t *entries, uint64_t n) {
        const uint64_t own = PAGEMAP_PRESENT | PAGEMAP_EXCLUSIVE;
        uint64_t i = 0;
        while (i < n && (entries[i] & own) == own)
                i++;
        like.address = from;
        if (i > 0)
                add_run(m, like, i);
        m->found_pages += like.missed ? 0 : i;
        return i;
}

/* How many of the first are missing. */
static uint64_t count_missing(const uint64_t *entries, uint64_t n) {
        uint64_t i = 0;
        while (i < n && !(entries[i] & PAGEMAP_PRESENT))
                i++;
        return i;
}

/* Adds the present pages from the address of `like` to `to`, at most a block. Returns whether every one is present, and nobody else's. */
static bool add_pages(struct mover *m, const struct mover_candidate like, uint64_t to) {
        const bool missed = like.missed;
        const uint64_t from = like.address;
        const struct range *r = &m->ranges[like.range];
        const uint64_t *entries = read_entries(m, r, from, to, !missed);
        uint64_t until = entries || missed || m->pagemap_fd < 0 ? to : read_until(m, r, from, to);
        bool whole = true;
        if (entries && are_all_missing(entries, (to - from) / m->page_bytes))
                return false;
        for (uint64_t a = from; a < to; a += r->page_bytes) {
                if (entries) {
                        uint64_t own = add_own_pages(m, like, a, entries, (to - a) / r->page_bytes);
                        uint64_t gone = count_missing(entries + own, (to - a) / r->page_bytes - own);
                        whole &= gone == 0;
                        entries += own + gone;
                        a += (own + gone) * r->page_bytes;
                        if (a >= to)
                                break;
                }
                uint64_t entry = entries ? *entries++ : mover_pagemap_entry(m, a, until);
                bool exclusive = entry & PAGEMAP_EXCLUSIVE, shared = !exclusive && !r->all;
                whole &= (entry & PAGEMAP_PRESENT) && !shared;
                if (!(entry & PAGEMAP_PRESENT))
                        continue;
                m->found_pages += exclusive && !missed;
                struct mover_candidate c = like;
                c.address = a;
                c.shared = shared;
                if (!shared)
                        add_run(m, c, 1);
                else if (++m->shared_asked <= SHARED_ASKED_MAX)
                        add_candidate(m, c);
        }
        return whole;
}

static void add_huge(struct mover *m, uint32_t range, uint64_t address) {
        const struct range *r = &m->ranges[range];
        bool shared = r->mapmax > 1 && !r->all && !(mover_pagemap_entry(m, address, 0) & PAGEMAP_EXCLUSIVE);
        add_candidate(m,
                      (struct mover_candidate) { .address = address, .range = range, .kind = CANDIDATE_HUGE, .shared = shared });
}

/* Could it have huge pages, or large holes? Then it is worth a scan. */
static bool is_worth_a_scan(const struct mover *m, const struct range *r) {
        uint64_t block = m->block_bytes ? m->block_bytes : BLOCK_PAGES * m->page_bytes;
        return m->scans && r->end - r->start >= block;
}

/* Where a stretch ended at the cursor: adds the further ones that end before `end`. */
static void add_stretches(struct mover *m, uint64_t end) {
        while (m->stretch + 1 < m->n_stretches) {
                const struct page_stretch *s = &m->stretches[m->stretch + 1];
                if (s->huge || s->end > end)
                        return;
                m->stretch++;
                add_told_pages(m, (uint32_t) m->range, s->start, s->end, false);
                m->cursor = s->end;
        }
}

/* Looks at one block from the cursor on, or a part of it. */
static void gather_block(struct mover *m, const struct range *r, unsigned *n_probes) {
        uint64_t block = r->hugetlb ? BLOCK_PAGES * r->page_bytes : m->block_bytes ? m->block_bytes : BLOCK_PAGES * m->page_bytes;
        uint64_t to = MIN2(m->cursor / block * block + block, r->end);
        bool scan = is_worth_a_scan(m, r);
        if (scan) {
                uint64_t start;
                const struct page_stretch *s = mover_next_stretch(m, r, m->cursor, &start);
                m->cursor = MIN2(MAX2(m->cursor, start), r->end);
                if (!s || m->cursor >= r->end)
                        return;
                to = MIN2(MIN2(m->cursor / block * block + block, r->end), s->end);
                if (s->huge && !r->hugetlb && m->cursor % block == 0 && to == m->cursor + block && m->block_bytes > 0) {
                        add_huge(m, (uint32_t) m->range, m->cursor);
                        m->cursor = to;
                        return;
                }
        }
        size_t before = m->n_candidates, gathered_before = m->n_gathered;
        uint64_t from = m->cursor;
        bool sure = r->mapmax <= 1 && (scan ? m->scans : r->populated);
        bool may_be_huge = !scan && !r->hugetlb && !r->no_huge && m->block_bytes > 0 && from % block == 0 && to == from + block;
        bool hoped = !sure && ((r->little && !scan) || (from % block == 0 && to == from + block && is_hoped(m, r)));
        m->cursor = to;
        if (!sure && !hoped) {
                may_be_huge &= add_pages(m, (struct mover_candidate) { .address = from, .range = (uint32_t) m->range }, to);
                m->hole &= m->n_candidates == before;
        }
        if (may_be_huge && wants_probe(m)) {
                m->n_candidates = before;
                m->n_gathered = gathered_before;
                add_candidate(
                        m, (struct mover_candidate) { .address = from, .range = (uint32_t) m->range, .kind = CANDIDATE_BLOCK });
                (*n_probes)++;
        } else if (sure || hoped) {
                add_told_pages(m, (uint32_t) m->range, from, to, hoped);
                if (scan && !r->hugetlb)
                        add_stretches(m, MIN2(from / block * block + block, r->end));
        }
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

static void enter_range(struct mover *m, const struct range *r) {
        m->cursor = r->start;
        m->found_pages = 0;
        m->probe_limit = PROBES_FIRST;
        m->probe_misses = m->probe_skip = m->probe_skip_next = 0;
        m->n_stretches = m->stretch = 0;
        m->scanned_to = 0;
        m->hole = false;
        if (r->hugetlb)
                mover_read_pools(m, r->page_bytes);
        if (is_hopeless(m, r))
                m->cursor = r->end;
}

/* All that was there is found: what is left of it is not read, where that is much. */
static bool is_exhausted(const struct mover *m, const struct range *r) {
        return m->cursor >= r->end || (!m->scans && m->pagemap_fd >= 0 && !r->hugetlb && m->found_pages >= r->all_pages &&
                                       r->end - m->cursor > REST_MAX);
}

bool mover_has_more(const struct mover *m) {
        return m->candidate < m->n_candidates || m->n_missed > 0 || m->range < m->n_ranges;
}

/* Adds the pages of a block that was none. */
static void gather_missed(struct mover *m, const struct missed *b) {
        const struct range *r = &m->ranges[b->range];
        struct mover_candidate c = { .address = b->address, .range = b->range, .missed = true, .mixed = b->mixed };
        bool sure = r->populated && r->mapmax <= 1;
        if (!sure && !is_hoped(m, r)) {
                (void) add_pages(m, c, b->address + m->block_bytes);
                return;
        }
        c.hoped = !sure;
        c.holey = !sure && b->holey;
        add_run(m, c, mover_block_pages(m));
}

void mover_gather(struct mover *m) {
        unsigned n_probes = 0, n_blocks = 0;
        m->n_candidates = m->candidate = m->n_gathered = 0;
        while (m->n_missed > 0 && m->n_gathered + BLOCK_PAGES <= WINDOW_PAGES)
                gather_missed(m, &m->missed[--m->n_missed]);
        if (m->n_candidates > 0)
                return;
        while (m->range < m->n_ranges && m->n_gathered + BLOCK_PAGES <= WINDOW_PAGES && n_probes < MAX2(m->probe_limit, 1u)) {
                const struct range *r = &m->ranges[m->range];
                if (m->cursor < r->start) {
                        if (r->hugetlb && m->n_candidates > 0) /* whose pools are of this range */
                                return;
                        enter_range(m, r);
                }
                if (is_exhausted(m, r)) {
                        if (m->n_candidates > 0 && (r->hugetlb || n_probes > 0))
                                return;
                        m->range++;
                        m->cursor = 0;
                        continue;
                }
                gather_block(m, r, &n_probes);
                if (++n_blocks % BLOCKS_PER_LOOK == 0 && mover_time_is_up(m))
                        return;
        }
}
