/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where a service's CPU time is spent. The kernel tells of each thread how long it ran and on which CPU last: all that it ran
 * since the previous screen is put down to that CPU's node. Over a service's threads and a few screens this is close; for one thread
 * and one screen it can be wrong by the whole window. */
#include "host/cpu-tally.h"

#include <string.h>

#include "core/util.h"
#include "host/io.h"

static int compare_records(const void *a, const void *b) {
        const struct thread_record *x = a, *y = b;
        if (x->pid != y->pid)
                return x->pid < y->pid ? -1 : 1;
        if (x->tid != y->tid)
                return x->tid < y->tid ? -1 : 1;
        return (x->start_ticks > y->start_ticks) - (x->start_ticks < y->start_ticks);
}

int thread_table_add(struct thread_table *t, const struct thread_record *r) {
        int error = array_reserve(&t->records, &t->capacity, t->n_records + 1, sizeof *t->records);
        if (error < 0)
                return error;
        t->records[t->n_records++] = *r;
        return 0;
}

void thread_table_sort(struct thread_table *t) {
        if (t->n_records > 0)
                qsort(t->records, t->n_records, sizeof *t->records, compare_records);
}

void thread_table_done(struct thread_table *t) {
        free(t->records);
        *t = (struct thread_table) { 0 };
}

uint64_t thread_delta(const struct thread_table *previous, uint64_t previous_ticks, const struct thread_record *now) {
        const struct thread_record *before = previous->n_records > 0 ? bsearch(now, previous->records, previous->n_records,
                                                                               sizeof *previous->records, compare_records)
                                                                     : NULL;
        if (before)
                return saturating_sub(now->cpu_ticks, before->cpu_ticks);
        return now->start_ticks >= previous_ticks ? now->cpu_ticks : 0;
}

int cpu_tally_alloc(struct cpu_tally *t, unsigned n_ids) {
        size_t n = (size_t) n_ids + 1;
        *t = (struct cpu_tally) { .n_ids = n_ids,
                                  .delta_ticks = calloc(n, sizeof(uint64_t)),
                                  .life_ticks = calloc(n, sizeof(uint64_t)),
                                  .threads = calloc(n, sizeof(uint64_t)) };
        if (t->delta_ticks && t->life_ticks && t->threads)
                return 0;
        cpu_tally_done(t);
        return -ENOMEM;
}

void cpu_tally_done(struct cpu_tally *t) {
        free(t->delta_ticks);
        free(t->life_ticks);
        free(t->threads);
        *t = (struct cpu_tally) { 0 };
}

void cpu_tally_add(struct cpu_tally *t, int node, uint64_t delta_ticks, uint64_t life_ticks) {
        bool known = node >= 0 && (unsigned) node < t->n_ids;
        uint64_t *delta = known ? &t->delta_ticks[node] : &t->stray_delta_ticks;
        uint64_t *life = known ? &t->life_ticks[node] : &t->stray_life_ticks;
        uint64_t *threads = known ? &t->threads[node] : &t->stray_threads;
        *delta = saturating_add(*delta, delta_ticks);
        *life = saturating_add(*life, life_ticks);
        *threads += SHARE_TOTAL; /* so that a stray can be divided */
        t->n_threads++;
}

/* Each gets the part of the total up to and with its own weight, less what the ones before it got. */
void apportion(uint64_t total, const uint64_t *weights, unsigned n, uint64_t *ret) {
        unsigned __int128 sum = 0, upto = 0;
        for (unsigned i = 0; i < n; i++)
                sum += weights[i];
        unsigned shift = 0;
        while (sum >> shift > UINT64_MAX) /* only from nonsense: the product below must fit */
                shift++;
        sum >>= shift;
        uint64_t given = 0;
        for (unsigned i = 0; i < n; i++) {
                upto += weights[i];
                uint64_t due = sum > 0 ? (uint64_t) (total * (upto >> shift) / sum) : 0;
                ret[i] = due - given;
                given = due;
        }
}

static bool any(const uint64_t *values, unsigned n) {
        for (unsigned i = 0; i < n; i++)
                if (values[i] > 0)
                        return true;
        return false;
}

static void add_apportioned(uint64_t *into, uint64_t total, const uint64_t *weights, unsigned n, uint64_t *scratch) {
        apportion(total, weights, n, scratch);
        for (unsigned i = 0; i < n; i++)
                into[i] = saturating_add(into[i], scratch[i]);
}

int cpu_tally_finish(struct cpu_tally *t, const uint64_t *allowed_cpus, uint64_t window_usec, uint64_t usage_usec,
                     unsigned ticks_per_sec, struct service_sample *s) {
        _cleanup_free_ uint64_t *scratch = calloc((size_t) t->n_ids + 1, sizeof *scratch);
        if (!scratch)
                return -ENOMEM;
        add_apportioned(t->delta_ticks, t->stray_delta_ticks, allowed_cpus, t->n_ids, scratch);
        add_apportioned(t->life_ticks, t->stray_life_ticks, allowed_cpus, t->n_ids, scratch);
        add_apportioned(t->threads, t->stray_threads, allowed_cpus, t->n_ids, scratch);

        const uint64_t *where = any(t->delta_ticks, t->n_ids)  ? t->delta_ticks
                                : any(t->life_ticks, t->n_ids) ? t->life_ticks
                                                               : t->threads;
        apportion(SHARE_TOTAL, where, t->n_ids, scratch);
        for (unsigned i = 0; i < t->n_ids; i++)
                s->cpu_share_by_node[i] = (uint32_t) scratch[i];

        s->cpu_window_usec = window_usec;
        if (window_usec == 0)
                usage_usec = 0;
        else if (usage_usec == USEC_INFINITY)
                usage_usec = saturating_mul(sum_by_node(t->delta_ticks, t->n_ids), USEC_PER_SEC / ticks_per_sec);
        apportion(usage_usec, where, t->n_ids, s->cpu_usec_by_node);
        return 0;
}
