/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Does the kernel undo our moves: its own balancing, or its demotion of unused pages to slower memory? The evidence is twofold: pages that a move had brought to their
 * place are out of it again though nothing of ours moved them and the service did not grow by so much, and the kernel has moved as much meanwhile, by its own
 * counts. */
#include "core/history.h"

#include "core/util.h"

/* The kernel counts what it moves in either direction, and misses what a huge page brings along on some versions: half of it is enough. */
#define COUNTED_SHARE 2u

static uint64_t less(uint64_t a, uint64_t b) {
        return a > b ? a - b : 0;
}

const char *undone_by_to_string(enum undone_by by) {
        return by == UNDONE_BY_DEMOTION ? "the kernel's demotion to slower memory" : "the kernel's own balancing";
}

void history_record_kept(struct history *h, const struct service_sample *s, unsigned n_ids, uint64_t off_bytes,
                         const struct machine_sample *machine) {
        struct history_entry *e = history_find(h, s->cgroup);
        if (!e)
                return;
        e->kept_known = true;
        e->kept_own = s->kernel_moved_known;
        e->kept_bytes = sum_by_node(s->bytes_by_node, n_ids);
        e->kept_off_bytes = off_bytes;
        e->kept_kernel_bytes = s->kernel_moved_known ? s->kernel_moved_bytes : machine->kernel_moved_bytes;
        e->kept_demoted_bytes = s->kernel_moved_known ? s->kernel_demoted_bytes : machine->kernel_demoted_bytes;
}

uint64_t history_undone_bytes(const struct history *h, const struct service_sample *s, unsigned n_ids, uint64_t off_bytes,
                              uint64_t tolerated_bytes, const struct machine_sample *machine, enum undone_by *ret_by) {
        const struct history_entry *e = history_find(h, s->cgroup);
        *ret_by = UNDONE_BY_NOBODY;
        /* Where the count is not of the same thing as then (it was switched on meanwhile), nothing can be said. */
        if (!e || !e->kept_known || !s->deep || e->kept_own != s->kernel_moved_known)
                return 0;
        uint64_t grown = less(sum_by_node(s->bytes_by_node, n_ids), e->kept_bytes);
        uint64_t undone = less(less(off_bytes, e->kept_off_bytes), grown), moved = 0, demoted = 0;
        if (machine->kernel_balancing != 0)
                moved = less(e->kept_own ? s->kernel_moved_bytes : machine->kernel_moved_bytes, e->kept_kernel_bytes);
        if (machine->kernel_demotes)
                demoted = less(e->kept_own ? s->kernel_demoted_bytes : machine->kernel_demoted_bytes, e->kept_demoted_bytes);
        if (undone <= tolerated_bytes || moved + demoted < undone / COUNTED_SHARE || moved + demoted == 0)
                return 0;
        *ret_by = demoted > moved ? UNDONE_BY_DEMOTION : UNDONE_BY_BALANCING;
        return undone;
}

static uint64_t wait_usec(const struct history_entry *e, uint64_t cooldown_usec) {
        return MAX2(cooldown_usec, (uint64_t) HISTORY_UNDONE_USEC) << MIN2(e->n_undone, HISTORY_UNDONE_DOUBLINGS);
}

void history_record_undone(struct history *h, const char *cgroup, uint64_t bytes, enum undone_by by, uint64_t now_usec) {
        struct history_entry *e = history_find(h, cgroup);
        if (!e)
                return;
        if (now_usec - MIN2(e->undone_usec, now_usec) > wait_usec(e, 0) + HISTORY_UNDONE_CALM_USEC)
                e->n_undone = 0;
        e->n_undone++;
        e->undone_usec = now_usec;
        e->undone_bytes = bytes;
        e->undone_by_demotion = by == UNDONE_BY_DEMOTION;
        e->kept_known = false; /* told once of each move */
}

uint64_t history_undone_wait_usec(const struct history_entry *e, uint64_t cooldown_usec, uint64_t now_usec) {
        if (!e || e->n_undone == 0)
                return 0;
        uint64_t until = e->undone_usec + wait_usec(e, cooldown_usec);
        return less(until, now_usec);
}

enum undone_by history_undone_by(const struct history_entry *e) {
        if (!e || e->n_undone == 0)
                return UNDONE_BY_NOBODY;
        return e->undone_by_demotion ? UNDONE_BY_DEMOTION : UNDONE_BY_BALANCING;
}
