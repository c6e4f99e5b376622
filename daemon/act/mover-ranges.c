/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which process, and which of its mappings. */
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

/* What stops the parser where no more are kept. */
#define RANGES_ENOUGH     (-ECANCELED)
#define TEXT_BUFFER_BYTES (32 * KIB)

static int ended(int r) {
        return host_vanished(r) ? -ESRCH : r;
}

int mover_check_process(const struct mover *m, const struct process_ref *p) {
        struct proc_stat stat;
        char path[64];

        int member = m->cgroup ? host_process_is_in(m->host, p->pid, m->cgroup) : 1;
        if (member < 0)
                return ended(member);
        /* The start time last: if it still is the same process now, it was when the cgroup was read. */
        (void) snprintf(path, sizeof(path), "proc/%d/stat", p->pid);
        int r = proc_stat_read(m->host->root_fd, path, &stat);
        if (r < 0)
                return ended(r);
        if (stat.start_ticks != p->start_ticks || proc_stat_is_dead(&stat))
                return -ESRCH;
        return member;
}

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

static int on_mapping(const struct numa_mapping *mapping, void *userdata) {
        struct mover *m = userdata;
        if (mapping->start < m->resume_at)
                return 0;
        struct range r = { .start = mapping->start, .page_bytes = mapping->kernel_page_bytes, .mapmax = mapping->mapmax };
        r.hugetlb = mapping->is_hugetlb;
        if (!r.hugetlb || r.page_bytes == 0)
                r.page_bytes = r.hugetlb ? 2 * MIB : m->page_bytes;

        for (unsigned n = 0; n < m->topology->n_ids; n++) {
                uint64_t pages = mapping->pages_by_node[n];
                r.all_pages += pages;
                if (may_leave(m, n))
                        r.off_pages += pages;
                if (node_set_has(&m->home, n))
                        m->assigned[n] += pages * (r.page_bytes / m->page_bytes);
        }
        if (r.off_pages == 0)
                return 0;
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
        return 0;
}

static int read_numa_maps(struct mover *m, const char *path, char *buffer) {
        _cleanup_(close_fdp) int fd = open_file_at(m->host->root_fd, path);
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
        size_t next; /* the first range that is not yet passed; both are sorted by address */
};

static int on_entry(const struct maps_entry *e, void *userdata) {
        struct ends *ends = userdata;
        struct mover *m = ends->m;
        while (ends->next < m->n_ranges && m->ranges[ends->next].start < e->start)
                ends->next++;
        if (ends->next >= m->n_ranges || m->ranges[ends->next].start != e->start || e->special)
                return 0;
        struct range *r = &m->ranges[ends->next];
        r->end = e->end;
        r->no_huge = m->how != PAGES_HOME && e->huge_known && e->huge_bytes == 0;
        r->all = m->mappers && r->mapmax > 1 && r->mapmax <= mappers_count(m->mappers, e);
        return 0;
}

static int read_maps(struct mover *m, pid_t pid) {
        bool with_huge = m->how != PAGES_HOME && m->block_bytes > 0 && !m->scans;
        _cleanup_(close_fdp) int fd = maps_open(m->host, pid, with_huge);
        struct ends ends = { .m = m };
        return fd < 0 ? fd : maps_read(fd, on_entry, &ends);
}

/* A mapping that numa_maps had and maps did not, or not at this address, has changed in between: left to the next pass. */
static void drop_endless(struct mover *m) {
        size_t kept = 0;
        for (size_t i = 0; i < m->n_ranges; i++)
                if (m->ranges[i].end > 0)
                        m->ranges[kept++] = m->ranges[i];
        m->n_ranges = kept;
}

int mover_load_ranges(struct mover *m, pid_t pid) {
        char path[64];
        _cleanup_free_ char *buffer = malloc(TEXT_BUFFER_BYTES);
        if (!buffer)
                return -ENOMEM;
        m->n_ranges = m->range = 0;
        m->cursor = 0;
        mover_forget_pagemap(m);
        (void) snprintf(path, sizeof(path), "proc/%d/numa_maps", pid);
        int r = read_numa_maps(m, path, buffer);
        if (r == RANGES_ENOUGH)
                r = 0;
        else
                m->resume_at = 0;
        if (r >= 0 && m->n_ranges > 0 && m->pagemap_fd < 0) {
                (void) snprintf(path, sizeof(path), "proc/%d/pagemap", pid);
                m->pagemap_fd = open_file_at(m->host->root_fd, path);
                mover_try_scan(m);
        }
        if (r >= 0 && m->n_ranges > 0)
                r = read_maps(m, pid);
        if (r < 0)
                return ended(r);
        drop_endless(m);
        return 0;
}
