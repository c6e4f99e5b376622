/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Does the kernel undo our moves: its own balancing, or its demotion of unused pages to slower memory? The evidence is twofold: pages that a move had brought to their
 * place are out of it again though nothing of ours moved them and the service did not grow by so much, and the kernel has moved as much meanwhile, by its own
 * counts. */
#include "core/history.h"

#include "core/util.h"

/* The kernel counts what it moves in either direction, and misses what a huge page brings along on some versions: half of it is enough. */
#define COUNTED_SHARE 2u
/* Of what was undone: whoever has counted so much had a part in it. */
#define PART_SHARE (2 * COUNTED_SHARE)

static uint64_t less(uint64_t a, uint64_t b) {
        return a > b ? a - b : 0;
}

const char *undone_by_to_string(enum undone_by by) {
        switch (by) {
        case UNDONE_BY_DEMOTION: return "the kernel's demotion to slower memory has";
        case UNDONE_BY_BALANCING_AND_DEMOTION: return "the kernel's own balancing and its demotion to slower memory have";
        case UNDONE_BY_DEMOTION_AND_BALANCING: return "the kernel's demotion to slower memory and its own balancing have";
        default: return "the kernel's own balancing has";
        }
}

enum undone_by undone_mostly_by(enum undone_by by) {
        return by == UNDONE_BY_DEMOTION_AND_BALANCING   ? UNDONE_BY_DEMOTION
               : by == UNDONE_BY_BALANCING_AND_DEMOTION ? UNDONE_BY_BALANCING
                                                        : by;
}

enum undone_by undone_also_by(enum undone_by by) {
        return by == UNDONE_BY_DEMOTION_AND_BALANCING   ? UNDONE_BY_BALANCING
               : by == UNDONE_BY_BALANCING_AND_DEMOTION ? UNDONE_BY_DEMOTION
                                                        : UNDONE_BY_NOBODY;
}

const char *undone_by_name(enum undone_by by) {
        return by == UNDONE_BY_DEMOTION ? "demotion" : by == UNDONE_BY_BALANCING ? "balancing" : NULL;
}

static enum undone_by put_together(bool mostly_demotion, bool both) {
        if (mostly_demotion)
                return both ? UNDONE_BY_DEMOTION_AND_BALANCING : UNDONE_BY_DEMOTION;
        return both ? UNDONE_BY_BALANCING_AND_DEMOTION : UNDONE_BY_BALANCING;
}

static bool has_part(enum undone_by whole, enum undone_by one) {
        return undone_mostly_by(whole) == one || undone_also_by(whole) == one;
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
        *ret_by = put_together(demoted > moved, MIN2(moved, demoted) > 0 && MIN2(moved, demoted) >= undone / PART_SHARE);
        return undone;
}

static uint64_t wait_usec(unsigned n_undone, uint64_t cooldown_usec) {
        return MAX2(cooldown_usec, (uint64_t) HISTORY_UNDONE_USEC) << MIN2(n_undone, HISTORY_UNDONE_DOUBLINGS);
}

/* What one of both had a part in. */
struct part {
        unsigned n;
        uint64_t last_usec;
};

static struct part part_of(const struct history_entry *e, enum undone_by by) {
        if (e->n_undone == 0)
                return (struct part) { 0 };
        if (e->n_balanced + e->n_demoted > 0)
                return by == UNDONE_BY_DEMOTION ? (struct part) { e->n_demoted, e->demoted_usec }
                                                : (struct part) { e->n_balanced, e->balanced_usec };
        return e->undone_by_demotion == (by == UNDONE_BY_DEMOTION) ? (struct part) { e->n_undone, e->undone_usec }
                                                                   : (struct part) { 0 };
}

static bool is_on(const struct machine_sample *machine, enum undone_by by) {
        return by == UNDONE_BY_DEMOTION ? machine->kernel_demotes : machine->kernel_balancing != 0;
}

void history_record_undone(struct history *h, const char *cgroup, uint64_t bytes, enum undone_by by, uint64_t cooldown_usec,
                           uint64_t now_usec) {
        struct history_entry *e = history_find(h, cgroup);
        if (!e)
                return;
        if (now_usec - MIN2(e->undone_usec, now_usec) > wait_usec(e->n_undone, cooldown_usec) + HISTORY_UNDONE_CALM_USEC)
                e->n_undone = 0;
        struct part balanced = part_of(e, UNDONE_BY_BALANCING), demoted = part_of(e, UNDONE_BY_DEMOTION);
        bool by_balancing = has_part(by, UNDONE_BY_BALANCING), by_demotion = has_part(by, UNDONE_BY_DEMOTION);
        e->n_balanced = balanced.n + by_balancing;
        e->balanced_usec = by_balancing ? now_usec : balanced.last_usec;
        e->n_demoted = demoted.n + by_demotion;
        e->demoted_usec = by_demotion ? now_usec : demoted.last_usec;
        e->n_undone++;
        e->undone_usec = now_usec;
        e->undone_bytes = bytes;
        e->undone_by_demotion = undone_mostly_by(by) == UNDONE_BY_DEMOTION;
        e->undone_by_both = undone_also_by(by) != UNDONE_BY_NOBODY;
        e->kept_known = false; /* told once of each move */
}

unsigned history_undone_times(const struct history_entry *e, const struct machine_sample *machine, enum undone_by by) {
        return e && is_on(machine, by) ? part_of(e, by).n : 0;
}

uint64_t history_undone_wait_usec(const struct history_entry *e, const struct machine_sample *machine, uint64_t cooldown_usec,
                                  uint64_t now_usec) {
        unsigned balanced = history_undone_times(e, machine, UNDONE_BY_BALANCING),
                 demoted = history_undone_times(e, machine, UNDONE_BY_DEMOTION);
        uint64_t last_usec = 0;
        if (balanced > 0)
                last_usec = part_of(e, UNDONE_BY_BALANCING).last_usec;
        if (demoted > 0)
                last_usec = MAX2(last_usec, part_of(e, UNDONE_BY_DEMOTION).last_usec);
        if (balanced + demoted == 0)
                return 0;
        /* Both at once count as one time. */
        unsigned n = balanced > 0 && demoted > 0 ? e->n_undone : balanced + demoted;
        return less(last_usec + wait_usec(n, cooldown_usec), now_usec);
}

enum undone_by history_undone_by(const struct history_entry *e) {
        if (!e || e->n_undone == 0)
                return UNDONE_BY_NOBODY;
        return put_together(e->undone_by_demotion, e->undone_by_both);
}
