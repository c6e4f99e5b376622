/* SPDX-License-Identifier: GPL-2.0-or-later */
/* CPU time by node: what each thread used since the previous screen, and the arithmetic from there to a service's shares.
 * Nothing here reads anything. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/sample.h"
#include "core/topology.h"

#define SHARE_TOTAL 1000000u /* cpu_share_by_node is in millionths */

/* Each thread's CPU time at one screen. A process with one thread is one record with tid 0: its time includes that of
 * threads that ended. */
struct thread_record {
        pid_t pid, tid;
        uint64_t start_ticks, cpu_ticks;
};
struct thread_table {
        struct thread_record *records; /* sorted after thread_table_sort() */
        size_t n_records, capacity;
};
int thread_table_add(struct thread_table *t, const struct thread_record *r);
void thread_table_sort(struct thread_table *t);
void thread_table_done(struct thread_table *t);

/* Ticks used since the previous screen, which was `previous_ticks` after boot. A thread that began after it used all of its
 * time since; one that we should know and don't (it was left out, or its process had a different shape) nothing. */
uint64_t thread_delta(const struct thread_table *previous, uint64_t previous_ticks, const struct thread_record *now);

/* One service's threads. Arrays have n_ids entries. */
struct cpu_tally {
        unsigned n_ids;
        uint64_t *delta_ticks, *life_ticks, *threads; /* by node of the last CPU; threads in millionths */
        /* Of threads whose last CPU is one that they may no longer use, or is unknown. */
        uint64_t stray_delta_ticks, stray_life_ticks, stray_threads;
        size_t n_threads;
};
int cpu_tally_alloc(struct cpu_tally *t, unsigned n_ids); /* zeroed; -ENOMEM */
void cpu_tally_done(struct cpu_tally *t);
/* `node` < 0: stray. */
void cpu_tally_add(struct cpu_tally *t, int node, uint64_t delta_ticks, uint64_t life_ticks);

/* Divides `total` in proportion to the weights: exact (sums to `total`), deterministic, nothing to where the weight is 0.
 * All zero where the weights are. */
void apportion(uint64_t total, const uint64_t *weights, unsigned n, uint64_t *ret);

/* Fills cpu_usec_by_node, cpu_share_by_node and cpu_window_usec. Strays are divided by `allowed_cpus` (how many CPUs of each
 * node the service may use). `usage_usec`: what the cgroup as a whole used in the window, which knows of processes that came and
 * went; the threads then tell only where. USEC_INFINITY: not known, the threads' own sum. `window_usec` 0: no previous screen.
 * Changes the tally. */
int cpu_tally_finish(struct cpu_tally *t, const uint64_t *allowed_cpus, uint64_t window_usec, uint64_t usage_usec,
                     unsigned ticks_per_sec, struct service_sample *s);
