/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Beside the kernel's own balancing, and its demotion. The first knows pages and threads, not services: we choose the nodes, it sorts within them. Restricted to its home nodes a service's
 * threads touch its pages from there, so nothing is undone. Where threads run elsewhere than the memory is to be (memory that is interleaved, or
 * on nodes that they do not run on), each access brings a page back to the thread; that is noticed (history-undone.c), and then left. So are unused pages that
 * reclaim takes to slower memory, which it would take there again. */
#include "core/kernel-memory.h"
#include "core/plan-internal.h"

bool kernel_brings_pages(const struct planner *pl, const struct job *j) {
        return (pl->in->machine->kernel_balancing & BALANCING_THREADS) != 0 &&
               j->rule->kernel_balancing != KERNEL_BALANCING_OVERRIDE;
}

/* place: spread wants memory with the threads, which are everywhere: that is what it does, and dividing by amounts would only tear apart what it has sorted. */
bool kernel_divides(const struct planner *pl, const struct job *j) {
        return job_divides(j) && kernel_brings_pages(pl, j) &&
               (j->rule->kernel_balancing == KERNEL_BALANCING_RESPECT || j->kind == JOB_SPREAD);
}

uint64_t kernel_undone_wait(const struct planner *pl, const struct job *j) {
        if (j->rule->kernel_balancing == KERNEL_BALANCING_OVERRIDE)
                return 0;
        return history_undone_wait_usec(j->history, pl->in->machine, j->rule->cooldown_usec, pl->in->now_usec);
}

static void note_times(struct strbuf *b, unsigned n) {
        strbuf_printf(b, " %u time%s", n, n == 1 ? "" : "s");
}

/* Whichever of both is on and has, first the one that had more of it the last time. */
static void note_undone(const struct planner *pl, const struct job *j, struct strbuf *b) {
        const struct machine_sample *m = pl->in->machine;
        unsigned balanced = history_undone_times(j->history, m, UNDONE_BY_BALANCING),
                 demoted = history_undone_times(j->history, m, UNDONE_BY_DEMOTION);
        bool demotion_first =
                demoted > 0 && (balanced == 0 || undone_mostly_by(history_undone_by(j->history)) == UNDONE_BY_DEMOTION);
        if (demotion_first)
                strbuf_append(b, "; the kernel's demotion to slower memory");
        else
                strbuf_printf(b, "; the kernel's own balancing (kernel.numa_balancing=%u)", m->kernel_balancing);
        strbuf_append(b, " has taken back what was moved,");
        note_times(b, demotion_first ? demoted : balanced);
        strbuf_append(b, " of late");
        if (demotion_first && balanced > 0) {
                strbuf_printf(b, ", its own balancing (kernel.numa_balancing=%u)", m->kernel_balancing);
                note_times(b, balanced);
        } else if (!demotion_first && demoted > 0) {
                strbuf_append(b, ", its demotion to slower memory");
                note_times(b, demoted);
        }
        strbuf_append(b, ": ");
}

/* Do its threads, or some of them, run where none of its memory is to be? Only narrowed memory nodes keep the kernel from going after them. */
static bool runs_elsewhere(const struct planner *pl, const struct job *j, const struct due *d) {
        if (j->placement->narrow_mems || j->kind == JOB_FOLLOW || j->kind == JOB_TOLD)
                return false;
        if ((pl->in->machine->kernel_balancing & BALANCING_THREADS) == 0)
                return !node_set_is_subset(&d->mems, &pl->cpu_nodes);
        struct node_set all = node_set_intersect(&pl->cpu_nodes, &j->may_cpus);
        struct node_set cpus = node_set_is_empty(&d->cpus) ? all : d->cpus;
        return !node_set_is_subset(&cpus, &d->mems);
}

void kernel_note(const struct planner *pl, const struct job *j, const struct due *d, struct strbuf *b) {
        unsigned mode = pl->in->machine->kernel_balancing;
        if (!kernel_moves_pages(pl->in->machine) || !j->assigned)
                return;
        if (d->bytes_undone > 0) {
                note_undone(pl, j, b);
                text_bytes(b, d->bytes_undone);
                strbuf_append(b, " stay where it puts them for ");
                text_duration(b, d->undone_usec);
        } else if (d->left_to_kernel)
                strbuf_append(b, "; on which of them each page is, is left to the kernel's own balancing");
        else if ((mode & (BALANCING_THREADS | BALANCING_TIERS)) != 0 &&
                 (((mode & BALANCING_THREADS) != 0 && j->kind == JOB_INTERLEAVE) || runs_elsewhere(pl, j, d)))
                strbuf_printf(b,
                              "; the kernel's own balancing is on (kernel.numa_balancing=%u) and brings pages back to the "
                              "threads that use them",
                              mode);
}
