/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a workload says of itself, by its own clock, for measurements: a file that it maps shared, with one slot per thread. Whoever
 * reads the file may write zeros over `stall_usec`, and so learns the longest stall since. tests/bench/comparelib/sampler.py has the
 * same layout: little-endian 64-bit numbers.
 */
#pragma once

#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define STATS_SLOTS 257 /* one per thread, and one for all short-lived processes */

typedef struct StatsSlot {
        _Atomic uint64_t tid;   /* 0: unused */
        _Atomic uint64_t start; /* its part of the memory */
        _Atomic uint64_t size;
        _Atomic uint64_t touched_bytes;
        _Atomic uint64_t stall_usec; /* longest time between two pieces of work, less what it meant to sleep */
        uint64_t reserved[3];
} StatsSlot;

/* The slots, in the file or, without a path, for nobody to see. NULL with errno. Children of a fork share them. */
static inline StatsSlot *stats_map(const char *path) {
        const size_t size = STATS_SLOTS * sizeof(StatsSlot);
        int fd = -1;
        void *slots;

        if (path) {
                fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
                if (fd < 0 || ftruncate(fd, (off_t) size) < 0)
                        return NULL;
        }
        slots = mmap(NULL, size, PROT_READ | PROT_WRITE, path ? MAP_SHARED : MAP_SHARED | MAP_ANONYMOUS, fd, 0);
        if (fd >= 0)
                close(fd);
        return slots == MAP_FAILED ? NULL : slots;
}

static inline uint64_t stats_now_usec(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t) t.tv_sec * 1000000 + (uint64_t) t.tv_nsec / 1000;
}

/* A piece of work is done: so many bytes touched, since *last (which becomes now) less the sleep in between. */
static inline void stats_done(StatsSlot *slot, uint64_t *last, uint64_t bytes, uint64_t meant_usec) {
        uint64_t now = stats_now_usec(), gap = now - *last;
        uint64_t stall = gap > meant_usec ? gap - meant_usec : 0, longest = atomic_load(&slot->stall_usec);

        atomic_fetch_add(&slot->touched_bytes, bytes);
        while (stall > longest && !atomic_compare_exchange_weak(&slot->stall_usec, &longest, stall))
                ;
        *last = now;
}
