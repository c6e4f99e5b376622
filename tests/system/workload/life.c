/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the workload's threads do all the time: use their part of the memory and sleep in between, grow, or have short-lived processes
 * beside them.
 */

#define _GNU_SOURCE

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "workload.h"

#define GROW_STEP_MS 100

void sleep_ms(long ms) {
        struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

        nanosleep(&t, NULL);
}

static long now_ms(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* What follows one address translation: without it a pass is little but TLB misses, which an emulated machine takes ages for. */
static void read_page(const volatile char *start, size_t bytes) {
        for (size_t i = 0; i + sizeof(uint64_t) <= bytes; i += sizeof(uint64_t))
                (void) *(const volatile uint64_t *) (start + i);
}

/* Touches a part again and again, and sleeps between; until a time by now_ms(), 0 for ever. */
static void use(volatile char *start, size_t size, const Options *o, StatsSlot *slot, long until) {
        const size_t page = (size_t) sysconf(_SC_PAGESIZE), batch = 256 * page;
        uint64_t last = stats_now_usec();
        size_t place = 0;

        while (until == 0 || now_ms() < until) {
                long end = now_ms() + o->run_ms;

                while (size > 0 && now_ms() < end) {
                        size_t n = size - place < batch ? size - place : batch;

                        for (size_t done = 0; done < n; done += page) {
                                start[place + done] = 1;
                                read_page(start + place + done, o->read);
                        }
                        stats_done(slot, &last, n, 0);
                        place = place + n < size ? place + n : 0;
                }
                if (o->sleep_ms > 0)
                        sleep_ms(o->sleep_ms);
                stats_done(slot, &last, 0, (uint64_t) o->sleep_ms * 1000);
        }
}

void *work(void *userdata) {
        const Worker *w = userdata;

        atomic_store(&w->slot->start, (uintptr_t) w->start);
        atomic_store(&w->slot->size, w->size);
        atomic_store(&w->slot->tid, (uint64_t) syscall(SYS_gettid));
        if (w->options->start_cpus) {
                run_on(w->options->start_cpus);
                if (sched_setaffinity(0, sizeof(*w->cpus), w->cpus) < 0)
                        die("sched_setaffinity");
        }
        use(w->start, w->size, w->options, w->slot, 0);
        return NULL;
}

static void short_life(const Options *o, StatsSlot *slot) {
        char *start = mmap(NULL, o->churn, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (start == MAP_FAILED)
                _exit(EXIT_FAILURE);
        use(start, o->churn, o, slot, now_ms() + o->churn_ms);
        _exit(EXIT_SUCCESS);
}

/* Has so many short-lived processes beside it, always: a new one for each that ended. */
void *churn(void *userdata) {
        const Worker *w = userdata;

        for (unsigned running = 0;;) {
                if (running == w->options->churn_count) {
                        if (waitpid(-1, NULL, 0) < 0)
                                die("waitpid");
                        running--;
                }

                pid_t pid = fork();
                if (pid < 0)
                        die("fork");
                if (pid == 0)
                        short_life(w->options, w->slot);
                running++;
        }
        return NULL;
}

void *grow(void *userdata) {
        const Options *o = userdata;
        const size_t step = o->grow * GROW_STEP_MS / 1000;

        for (size_t grown = 0; grown < o->grow_limit; grown += step) {
                char *more = mmap(NULL, step, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

                if (more == MAP_FAILED)
                        die("mmap");
                touch(more, step);
                sleep_ms(GROW_STEP_MS);
        }
        return NULL;
}
