/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which of a process's mappings. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "act/mover-internal.h"
#include "core/util.h"
#include "host/io.h"
#include "host/maps.h"
#include "host/numa-maps.h"
#include "host/proc.h"
#include "host/speaker.h"

/* What stops the parser where no more are kept. */
#define RANGES_ENOUGH     (-ECANCELED)
#define TEXT_BUFFER_BYTES (32 * KIB)
/* Where no more than every so many-th mapping's end is to be found out, that is asked for it alone: a query costs as much as some lines. */
#define QUERY_SHARE 4u
/* See is_bound_to_show(). */
#define SPOT_MUCH 16u
#define SPOT_LESS 256u
/* Mappings of up to so many pages are asked for whole: where one page of pagemap is read, the kernel goes through up to 512. */
#define LITTLE_PAGES 32u

/* numa_maps */

static bool has_own_policy(const struct numa_mapping *mapping) {
        return mapping->policy != POLICY_DEFAULT;
}

/* May pages on this node have to move? */
static bool may_leave(const struct mover *m, unsigned node) {
        switch (m->how) {
        case PAGES_BALANCE: return !node_set_has(&m->home, node) || mover_surplus(m, node) > 0;
        case PAGES_INTERLEAVE: return true;
        default: return !node_set_has(&m->home, node);
        }
}

/* Are the ends of mappings all that maps could tell? */
static bool needs_ends_only(const struct mover *m) {
        return !m->move_shared && m->how == PAGES_HOME;
}

/* A mapping that is populated up to where the next begins ends there: of a process with a great many of them that is often all there is to know, and maps
 * need not be read. */
static void end_last(struct mover *m, uint64_t next_start) {
        struct range *r = m->last_is_kept ? &m->ranges[m->n_ranges - 1] : NULL;
        m->last_is_kept = false;
        if (r && needs_ends_only(m) && next_start - r->start == r->all_pages * r->page_bytes) {
                r->end = next_start;
                r->populated = true;
        }
}

static int on_mapping(const struct numa_mapping *mapping, void *userdata) {
        struct mover *m = userdata;
        end_last(m, mapping->start);
        m->n_mappings++;
        if (mapping->start < m->resume_at)
                return 0;
        struct range r = { .start = mapping->start, .page_bytes = mapping->kernel_page_bytes, .mapmax = mapping->mapmax };
        r.hugetlb = mapping->is_hugetlb;
        if (!r.hugetlb || r.page_bytes == 0)
                r.page_bytes = r.hugetlb ? 2 * MIB : m->page_bytes;
        r.base_pages = (uint32_t) (r.page_bytes / m->page_bytes);
        r.source = -1;

        for (unsigned n = mapping->first_node; n < mapping->end_node; n++) {
                uint64_t pages = mapping->pages_by_node[n];
                r.all_pages += pages;
                if (may_leave(m, n))
                        r.off_pages += pages;
                if (node_set_has(&m->home, n))
                        m->assigned[n] += pages * r.base_pages;
        }
        if (r.off_pages == 0)
                return 0;
        if (m->how == PAGES_HOME && r.off_pages == r.all_pages && r.base_pages == 1 &&
            mapping->first_node + 1 == mapping->end_node)
                r.source = (int16_t) mapping->first_node;
        if (m->respect_own_policy && has_own_policy(mapping)) {
                m->result.skipped_policy_bytes += r.off_pages * r.page_bytes;
                return 0;
        }
        if (m->n_ranges >= m->ranges_max) {
                m->resume_at = mapping->start;
                return RANGES_ENOUGH;
        }
        int k = array_reserve(&m->ranges, &m->ranges_capacity, m->n_ranges + 1, sizeof(*m->ranges));
        if (k < 0)
                return k;
        m->ranges[m->n_ranges++] = r;
        m->known_pages += r.source >= 0 ? r.off_pages : 0;
        m->small_pages += r.base_pages == 1 ? r.off_pages : 0;
        m->last_is_kept = true;
        return 0;
}

/* Of the present process. The fd, or negative errno. */
static int open_shown(const struct mover *m, const char *name) {
        _cleanup_free_ char *path = speaker_path(m->processes[m->current].pid, m->speaker, name);
        return path ? open_file_at(m->host->root_fd, path) : -ENOMEM;
}

static int read_numa_maps(struct mover *m, char *buffer) {
        _cleanup_(close_fdp) int fd = open_shown(m, "numa_maps");
        if (fd < 0)
                return fd;
        _cleanup_(numa_maps_parser_freep) struct numa_maps_parser *parser =
                numa_maps_parser_new(m->topology->n_ids, m->page_bytes, on_mapping, m);
        if (!parser)
                return -ENOMEM;
        for (;;) {
                ssize_t n = read_some(fd, buffer, TEXT_BUFFER_BYTES);
                if (n < 0)
                        return (int) n;
                int r = n == 0 ? numa_maps_parser_finish(parser) : numa_maps_parser_feed(parser, buffer, (size_t) n);
                if (r < 0 || n == 0)
                        return r;
        }
}

/* maps, for where the mappings end, or smaps, where it matters which may hold huge pages */

struct ends {
        struct mover *m;
        size_t next;  /* the first range that is not yet passed; both are sorted by address */
        size_t n_all; /* ranges behind these have their ends */
};

static int on_entry(const struct maps_entry *e, void *userdata) {
        struct ends *ends = userdata;
        struct mover *m = ends->m;
        while (ends->next < m->n_ranges && m->ranges[ends->next].start < e->start)
                ends->next++;
        if (ends->next >= ends->n_all)
                return RANGES_ENOUGH;
        if (m->ranges[ends->next].start != e->start || e->special)
                return 0;
        struct range *r = &m->ranges[ends->next];
        r->end = e->end;
        r->no_huge = m->how != PAGES_HOME && e->huge_known && e->huge_bytes == 0;
        r->all |= m->mappers && r->mapmax > 1 && r->mapmax <= mappers_count(m->mappers, e);
        m->lacks_mappers |= m->mappers && r->mapmax > 1 && !r->all && (e->shared || e->inode == 0);
        return 0;
}

/* Asks for those ends that are missing. 1: they are there, but of what has changed since; 0: they are to be read; negative errno. */
static int query_ends(struct mover *m, int fd, size_t n_missing) {
        if (!needs_ends_only(m) || n_missing > m->n_mappings / QUERY_SHARE)
                return 0;
        for (size_t i = 0; i < m->n_ranges; i++) {
                struct range *r = &m->ranges[i];
                int k = r->end > 0 ? 0 : maps_query_end(fd, r->start, &r->end);
                if (k < 0 && k != -ENOENT)
                        return k == -ENOTTY ? 0 : k;
        }
        return 1;
}

static int read_maps(struct mover *m) {
        bool with_huge = m->how != PAGES_HOME && m->block_bytes > 0 && !m->scans;
        struct ends ends = { .m = m };
        size_t n_missing = 0;
        for (size_t i = 0; i < m->n_ranges; i++)
                if (m->ranges[i].end == 0) {
                        ends.n_all = i + 1;
                        n_missing++;
                }
        if (n_missing == 0)
                return 0;
        _cleanup_(close_fdp) int fd = maps_open(m->host, m->processes[m->current].pid, m->speaker, with_huge);
        int r = fd < 0 ? fd : query_ends(m, fd, n_missing);
        if (r == 0)
                r = maps_read(fd, on_entry, &ends);
        return r == RANGES_ENOUGH || r > 0 ? 0 : r;
}

/* With a share f of a block's pages at home, or missing, f × (1 − f)^42 of them are taken wrongly on average where 42 of 512 tell the others, which is less than 0.9 % whatever f is. Where
 * they are spread over all blocks it is 0.4 % or less as this is done only where numa_maps has found so much of it that it is to show, or next to nothing. */
static bool is_bound_to_show(uint64_t part, uint64_t all) {
        return part >= all / SPOT_MUCH || part < all / SPOT_LESS;
}

/* What can be told of it once its end is known. */
static void describe_range(struct range *r) {
        uint64_t size = (r->end - r->start) / r->page_bytes;
        r->populated = r->end - r->start == r->all_pages * r->page_bytes;
        r->spots = r->base_pages == 1 && is_bound_to_show(r->all_pages - r->off_pages, r->all_pages);
        r->little = r->base_pages == 1 && r->mapmax <= 1 && !r->populated && size <= LITTLE_PAGES;
        r->dense = r->base_pages == 1 && r->mapmax <= 1 && !r->populated && r->all_pages <= size &&
                   r->all_pages >= size / 4 * 3 && is_bound_to_show(size - r->all_pages, size);
}

/* A mapping that numa_maps had and maps did not, or not at this address, has changed in between: left to the next pass. */
static void drop_endless(struct mover *m) {
        size_t kept = 0;
        for (size_t i = 0; i < m->n_ranges; i++) {
                struct range *r = &m->ranges[i];
                if (r->end == 0)
                        continue;
                describe_range(r);
                m->ranges[kept++] = *r;
        }
        m->n_ranges = kept;
}

static struct mappers_of mappers_of(struct mover *m) {
        return (struct mappers_of) {
                .processes = m->processes,
                .n_processes = m->n_processes,
                .cgroup = m->cgroup,
                .aside = m->aside,
                .n_aside = m->n_aside,
                .companions = &m->companions,
                .reading = &m->reading,
        };
}

static int know_mappers(struct mover *m) {
        if (!m->move_shared || m->mappers)
                return 0;
        const struct mappers_of of = mappers_of(m);
        int r = mappers_read(m->host, &of, &m->mappers);
        atomic_store(&m->reading.number, 0);
        return r;
}

/* Where the ranges end, and which of them nobody else maps. It was read who maps what before numa_maps counted, so that who has ended since is among
 * them; where somebody has come it is read again. As far as can be told: one that came and went is missing, and one that went may stand for a stranger. */
static int look_up_ranges(struct mover *m) {
        const struct mappers_of of = mappers_of(m);
        int r = read_maps(m);
        if (r < 0 || !m->lacks_mappers || m->n_mappers_checks == MAPPERS_CHECKS_MAX)
                return r;
        m->n_mappers_checks++;
        if (!mappers_is_outdated(m->mappers, m->host, &of))
                return r;
        if (m->n_mappers_again < MAPPERS_AGAIN_MAX) {
                m->n_mappers_again++;
                m->mappers = mappers_free(m->mappers);
                for (size_t i = 0; i < m->n_ranges; i++)
                        m->ranges[i].end = 0;
                m->lacks_mappers = false;
                r = know_mappers(m);
                if (r >= 0)
                        r = read_maps(m);
        }
        m->result.shared_unsure |= m->lacks_mappers;
        return r;
}

static int load(struct mover *m, char *buffer) {
        m->n_ranges = m->range = 0;
        m->n_mappings = 0;
        m->known_pages = m->small_pages = 0;
        m->last_is_kept = m->lacks_mappers = false;
        m->cursor = 0;
        mover_forget_pagemap(m);
        int r = know_mappers(m);
        if (r >= 0)
                r = read_numa_maps(m, buffer);
        if (r == RANGES_ENOUGH)
                r = 0;
        else
                m->resume_at = 0;
        if (r >= 0 && m->n_ranges > 0 && m->pagemap_fd < 0) {
                m->pagemap_fd = open_shown(m, "pagemap");
                mover_try_scan(m);
        }
        if (r >= 0 && m->n_ranges > 0)
                r = look_up_ranges(m);
        if (r < 0)
                return host_vanished(r) ? -ESRCH : r;
        drop_endless(m);
        m->trusts = m->pagemap_fd >= 0 && m->known_pages >= KNOWN_PAGES_MIN; /* pagemap says what is present */
        m->spots = m->pagemap_fd >= 0 && m->small_pages >= KNOWN_PAGES_MIN && m->how == PAGES_HOME;
        return 0;
}

/* Where who spoke for it has ended since, what he showed may have been nothing, or a part: all is read again from another, once, and counted once. */
int mover_load_ranges(struct mover *m) {
        const size_t size = m->topology->n_ids * sizeof(*m->assigned);
        const uint64_t resume_at = m->resume_at, skipped_policy_bytes = m->result.skipped_policy_bytes;
        _cleanup_free_ char *buffer = malloc(TEXT_BUFFER_BYTES);
        _cleanup_free_ uint64_t *assigned = malloc(size);
        if (!buffer || !assigned)
                return -ENOMEM;
        memcpy(assigned, m->assigned, size);
        int r = load(m, buffer);
        if ((r < 0 && r != -ESRCH) || !mover_other_speaker(m))
                return r;
        memcpy(m->assigned, assigned, size);
        m->resume_at = resume_at;
        m->result.skipped_policy_bytes = skipped_policy_bytes;
        if (m->pagemap_fd >= 0)
                close(m->pagemap_fd);
        m->pagemap_fd = -EBADF;
        return load(m, buffer);
}
