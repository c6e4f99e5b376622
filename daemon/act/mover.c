/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The mover's life, and the order of its work: process after process, window after window, within a budget. */
#include "act/mover.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "act/mover-internal.h"
#include "core/util.h"

/* The size of a transparent huge page, where the kernel has them and a window can hold some. */
static uint64_t read_huge_page_bytes(const struct mover *m) {
        char text[32];
        uint64_t bytes;
        ssize_t n = read_small_file_at(m->host->root_fd, "sys/kernel/mm/transparent_hugepage/hpage_pmd_size", text, sizeof(text));
        if (n <= 0)
                return 0;
        text[strcspn(text, "\n")] = 0;
        if (parse_u64(text, &bytes) < 0 || bytes <= m->page_bytes || bytes % m->page_bytes != 0 ||
            bytes / m->page_bytes > BLOCK_PAGES || bytes / m->page_bytes < 16)
                return 0;
        return bytes;
}

/* Not cleared: that would cost more than all else that is done before the first page. */
static int alloc_window(struct mover *m) {
        m->pagemap = reallocarray(NULL, WINDOW_PAGES, sizeof(*m->pagemap));
        m->window = reallocarray(NULL, WINDOW_PAGES, sizeof(*m->window));
        m->places = reallocarray(NULL, WINDOW_PAGES, sizeof(*m->places));
        m->addresses = reallocarray(NULL, WINDOW_PAGES, sizeof(*m->addresses));
        m->nodes = reallocarray(NULL, WINDOW_PAGES, sizeof(*m->nodes));
        m->status = reallocarray(NULL, WINDOW_PAGES, sizeof(*m->status));
        m->now = reallocarray(NULL, WINDOW_PAGES, sizeof(*m->now));
        m->pick = reallocarray(NULL, WINDOW_PAGES, sizeof(*m->pick));
        m->ask_addresses = reallocarray(NULL, WINDOW_PAGES, sizeof(*m->ask_addresses));
        m->ask_status = reallocarray(NULL, WINDOW_PAGES, sizeof(*m->ask_status));
        m->ask_pick = reallocarray(NULL, WINDOW_PAGES, sizeof(*m->ask_pick));
        m->candidates = reallocarray(NULL, WINDOW_PAGES, sizeof(*m->candidates));
        m->where = reallocarray(NULL, WINDOW_PAGES, sizeof(*m->where));
        m->missed = reallocarray(NULL, WINDOW_PAGES, sizeof(*m->missed));
        m->stretches = reallocarray(NULL, STRETCHES_MAX, sizeof(*m->stretches));
        return m->pagemap && m->window && m->places && m->addresses && m->nodes && m->status && m->now && m->pick &&
                               m->ask_addresses && m->ask_status && m->ask_pick && m->candidates && m->where && m->missed &&
                               m->stretches
                       ? 0
                       : -ENOMEM;
}

int mover_new(const struct act *act, const struct host *h, const struct topology *t, const char *cgroup,
              const struct process_ref *processes, size_t n_processes, const struct move_goal *goal, struct mover **ret) {
        struct mover *m = calloc(1, sizeof(*m));
        if (!m)
                return -ENOMEM;
        m->act = *act;
        m->host = h;
        m->topology = t;
        m->page_bytes = h->page_bytes;
        m->block_bytes = read_huge_page_bytes(m);
        m->pagemap_fd = m->cgroup_fd = -EBADF;
        m->ranges_max = RANGES_MAX;
        m->slice_limit_usec = SLICE_TIME_LIMIT_USEC;
        m->load_limit_usec = LOAD_TIME_USEC;
        bool lone = strncmp(cgroup, "pid:", 4) == 0;
        m->cgroup = lone ? NULL : strdup(cgroup);
        m->processes = calloc(n_processes + 1, sizeof(*m->processes));
        m->aside = calloc(goal->n_aside + 1, sizeof(*m->aside));
        int r = m->processes && m->aside && (m->cgroup || lone) ? mover_init_targets(m, goal) : -ENOMEM;
        if (r >= 0)
                r = alloc_window(m);
        if (r >= 0)
                r = companions_copy(goal->companions, &m->companions);
        if (r >= 0)
                r = stubborn_copy(goal->stubborn, mover_now_usec(), &m->stubborn);
        if (r < 0) {
                mover_free(m);
                return r;
        }
        memcpy(m->processes, processes, n_processes * sizeof(*processes));
        m->n_processes = n_processes;
        for (; m->n_aside < goal->n_aside; m->n_aside++)
                m->aside[m->n_aside] = goal->aside[m->n_aside];
        m->result.stubborn = m->stubborn;
        *ret = m;
        return 0;
}

static void close_files(struct mover *m) {
        if (m->pagemap_fd >= 0)
                close(m->pagemap_fd);
        if (m->cgroup_fd >= 0)
                close(m->cgroup_fd);
        m->pagemap_fd = m->cgroup_fd = -EBADF;
}

struct mover *mover_free(struct mover *m) {
        if (!m)
                return NULL;
        close_files(m);
        void *const all[] = {
                m->cgroup,  m->processes, m->room,          m->assigned,   m->pool_pages, m->weight,     m->ranges, m->flow,
                m->surplus, m->deficit,   m->pattern,       m->pagemap,    m->window,     m->addresses,  m->nodes,  m->status,
                m->now,     m->pick,      m->ask_addresses, m->ask_status, m->ask_pick,   m->candidates, m->missed, m->stretches,
                m->retry,   m->where,     m->withheld,      m->aside,      m->places,
        };
        for (size_t i = 0; i < ARRAY_SIZE(all); i++)
                free(all[i]);
        companions_done(&m->companions);
        mappers_free(m->mappers);
        stubborn_free(m->stubborn);
        free(m);
        return NULL;
}

const struct move_result *mover_result(const struct mover *m) {
        return &m->result;
}

size_t mover_waits_for_companion(const struct mover *m) {
        size_t reading = atomic_load(&m->reading.number);
        return reading - MIN2(reading, m->n_processes);
}

static void leave_process(struct mover *m) {
        close_files(m);
        m->n_ranges = m->range = m->n_window = m->n_addresses = 0;
        m->n_candidates = m->candidate = m->n_gathered = m->n_missed = 0;
        m->cursor = m->resume_at = 0;
        m->has_probes = m->has_hugetlb = false;
        mover_forget_pagemap(m);
        m->n_retry = m->retry_next = m->retry_kept = m->retry_round = 0;
        m->denied = (struct node_set) { 0 };
        m->sticky.target = -1;
        m->loaded = false;
        m->current++;
}

/* What is left of a process that we may not deal with, as numa_maps had it; its window is counted already. */
static void count_refused(struct mover *m) {
        size_t first = m->range;
        uint64_t cursor = m->cursor;
        if (m->candidate < m->n_candidates) {
                first = m->candidates[m->candidate].range;
                cursor = m->candidates[m->candidate].address;
        }
        for (size_t i = first; i < m->n_ranges; i++) {
                const struct range *r = &m->ranges[i];
                uint64_t from = i == first ? MAX2(cursor, r->start) : r->start;
                m->result.failed_other += MIN2(r->off_pages, (r->end - from) / r->page_bytes) * r->base_pages;
        }
}

/* One window of the present process. 1: go on with it; 2: go on in another slice; 0: it is done; negative errno. */
static int step(struct mover *m, uint64_t budget_pages, uint64_t *ret_used) {
        *ret_used = 0;
        int r = mover_fill_window(m, budget_pages);
        if (r < 0) {
                mover_drop_window(m);
                return r;
        }
        if (m->n_window > 0) {
                r = mover_move_window(m, ret_used);
                return r < 0 ? r : 1;
        }
        if (mover_has_more(m)) /* the time was up */
                return 2;
        if (m->n_retry > 0) {
                r = mover_retry(m, budget_pages, ret_used);
                if (r != 0)
                        return r;
        }
        if (mover_has_more(m)) /* a huge page was split before it was tried again */
                return 1;
        if (m->resume_at > 0) { /* what was kept for a retry named mappings that are forgotten now */
                r = mover_load_ranges(m);
                return r < 0 ? r : 1;
        }
        return 0;
}

/* Checks the process, once in a slice, and reads its mappings, once. 1: go on; 0: it is none of ours (any more); negative errno. */
static int enter_process(struct mover *m) {
        const struct process_ref *p = &m->processes[m->current];
        int r = mover_check_process(m, p);
        if (r > 0 && m->loaded)
                mover_touch_address_space(m);
        if (r <= 0 || m->loaded)
                return r;
        r = mover_load_ranges(m);
        if (r < 0)
                return r;
        m->loaded = true;
        return 1;
}

/* A failure with one process: 0 to go on with the next, or the errno of a failure of the whole. */
static int pass_over(struct mover *m, int error) {
        switch (error) {
        case -ESRCH: m->result.process_vanished = true; break;
        case -EPERM:
        case -EACCES:
                count_refused(m);
                m->refused = error;
                break;
        case -ERANGE: /* nodes that the topology does not have: hot-plugged */
        case -EBADMSG: /* numa_maps in a form that we cannot read */ m->refused = error; break;
        default: return error;
        }
        leave_process(m);
        return 0;
}

static bool load_took_long(const struct mover *m, bool loaded_before) {
        return !loaded_before && mover_now_usec() - m->slice_began_usec > m->load_limit_usec;
}

static int run_slice(struct mover *m, uint64_t budget_pages) {
        bool entered = false;
        while (m->current < m->n_processes) {
                uint64_t used = 0;
                int r = 1;
                bool loaded_before = m->loaded;
                if (!entered)
                        r = enter_process(m);
                entered = r > 0;
                if (r > 0 && load_took_long(m, loaded_before))
                        break;
                if (r > 0)
                        r = step(m, budget_pages, &used);
                if (r < 0) {
                        r = pass_over(m, r);
                        if (r < 0)
                                return r;
                        entered = false;
                } else if (r == 0) {
                        leave_process(m);
                        entered = false;
                }
                budget_pages -= MIN2(budget_pages, used);
                /* A rest that may be less than a block is left to the next slice. */
                if (r == 2 || budget_pages == 0 || (used > 0 && budget_pages < BLOCK_PAGES && m->spots) || mover_time_is_up(m))
                        break;
        }
        if (m->current < m->n_processes)
                return 1;
        return m->refused < 0 && !m->accepted ? m->refused : 0;
}

int mover_slice(struct mover *m, uint64_t budget_bytes) {
        m->slice_began_usec = mover_now_usec();
        int r = run_slice(m, MAX2(budget_bytes / m->page_bytes, (uint64_t) 1));
        m->result.last_slice_usec = mover_now_usec() - m->slice_began_usec;
        m->result.longest_slice_usec = MAX2(m->result.longest_slice_usec, m->result.last_slice_usec);
        return r;
}
