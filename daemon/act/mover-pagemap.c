/* SPDX-License-Identifier: GPL-2.0-or-later */
/* /proc/PID/pagemap: which pages are present and mapped here alone, and where the kernel can tell, which stretches are not worth a read. */
#include <errno.h>
#include <unistd.h>

#include "act/mover-internal.h"
#include "core/util.h"

/* Entries of pagemap read at once: 16 MiB of 4 KiB pages. */
#define PAGEMAP_ENTRIES WINDOW_PAGES
/* Before PAGEMAP_SCAN the kernel finds out so many at a time, up to a multiple of so many, however few are read (fs/proc/task_mmu.c, PAGEMAP_WALK_SIZE): so
 * the rest is taken, too, for the mappings that are there; and who wants any one of them reads the last. */
#define PAGEMAP_WALK 512u
/* So much address space is put to one scan, which holds the process's mmap lock as long as it finds something; twice as much each time that it found little. */
#define SCAN_AHEAD_MIN (64 * MIB)
#define SCAN_LITTLE    (16 * MIB)
#define SCAN_AHEAD_MAX (UINT64_C(1) << 46)

void mover_forget_pagemap(struct mover *m) {
        m->n_pagemap = 0;
        m->n_stretches = m->stretch = 0;
        m->scanned_to = 0;
        m->scan_ahead = SCAN_AHEAD_MIN;
}

uint64_t mover_pagemap_entry(struct mover *m, uint64_t address, uint64_t until) {
        const uint64_t any = PAGEMAP_PRESENT | PAGEMAP_EXCLUSIVE;
        if (m->pagemap_fd < 0)
                return any;
        uint64_t i = address / m->page_bytes;
        if (i < m->pagemap_start || i - m->pagemap_start >= m->n_pagemap) {
                uint64_t end = MAX2(until / m->page_bytes, m->scans ? i + 1 : (i / PAGEMAP_WALK + 1) * PAGEMAP_WALK);
                size_t ahead = MIN2(end - i, (uint64_t) PAGEMAP_ENTRIES);
                ssize_t n;
                m->n_pagemap = 0;
                do
                        n = pread(m->pagemap_fd, m->pagemap, ahead * sizeof(*m->pagemap), (off_t) (i * sizeof(*m->pagemap)));
                while (n < 0 && errno == EINTR);
                if (n < 0)
                        return any;
                m->pagemap_start = i;
                m->n_pagemap = (size_t) n / sizeof(*m->pagemap);
                if (m->n_pagemap == 0) /* the process has ended, or that is beyond its address space */
                        return 0;
        }
        return m->pagemap[i - m->pagemap_start];
}

void mover_touch_address_space(const struct mover *m) {
        uint64_t entry;
        if (m->pagemap_fd >= 0 && pread(m->pagemap_fd, &entry, sizeof(entry), (PAGEMAP_WALK - 1) * sizeof(entry)) < 0)
                return; /* what is wrong with it, whoever needs it will find */
}

/* Stretches from `from` on, as many as are answered. Returns how many, or negative errno. */
static long scan(struct mover *m, uint64_t from, uint64_t to, uint64_t *ret_end) {
        const struct act_ops *ops = m->act.ops;
        if (!ops->scan_pages || m->pagemap_fd < 0)
                return -ENOTTY;
        return ops->scan_pages(m->act.context, m->speaker, m->pagemap_fd, from, to, m->stretches, STRETCHES_MAX, ret_end);
}

void mover_try_scan(struct mover *m) {
        uint64_t end;
        m->scans = scan(m, m->page_bytes, 2 * m->page_bytes, &end) >= 0;
}

const struct page_stretch *mover_next_stretch(struct mover *m, const struct range *r, uint64_t address, uint64_t *ret_end) {
        for (bool first = true;; first = false) { /* at least one scan, so that each slice gets on */
                while (m->stretch < m->n_stretches && m->stretches[m->stretch].end <= address)
                        m->stretch++;
                if (m->stretch < m->n_stretches) {
                        *ret_end = m->stretches[m->stretch].start;
                        return &m->stretches[m->stretch];
                }
                uint64_t from = MAX2(address, m->scanned_to);
                *ret_end = MIN2(from, r->end);
                if (from >= r->end || (!first && mover_time_is_up(m)))
                        return NULL;
                uint64_t end = from;
                long n = scan(m, from, MIN2(r->end, from + m->scan_ahead), &end);
                if (n < 0 || end <= from) { /* ended, or not what was tried: as if all could be there */
                        m->scans = false;
                        m->stretches[0] = (struct page_stretch) { from, r->end, false };
                        n = 1;
                        end = r->end;
                }
                m->n_stretches = (size_t) n;
                m->stretch = 0;
                m->scanned_to = end;
                uint64_t found = 0;
                for (long i = 0; i < n; i++)
                        found += m->stretches[i].end - m->stretches[i].start;
                m->scan_ahead = found > SCAN_LITTLE ? SCAN_AHEAD_MIN : MIN2(m->scan_ahead * 2, SCAN_AHEAD_MAX);
        }
}
