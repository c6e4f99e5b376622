/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the parts of the workload (../workload.c) share: its options, one entry per thread, and what each part does with them. Whatever
 * fails ends the program.
 */
#pragma once

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>

#include "../workload-stats.h"

#define THREADS_MAX 256
#define MIB         ((size_t) 1 << 20)
#define THP_SIZE    (2 * MIB)

typedef enum PageKind {
        PAGE_KIND_SYSTEM, /* whatever transparent_hugepage/enabled says */
        PAGE_KIND_THP,
        PAGE_KIND_SMALL,
        PAGE_KIND_HUGETLB,
} PageKind;

typedef struct Options {
        size_t size;        /* bytes */
        const char *slices; /* node list, in the order of the slices; NULL: first touch decides */
        const char *task_policy;
        const char *shm;
        const char *populate_cpus;
        const char *affinity;
        const char *start_cpus;
        const char *stats;
        PageKind kind;
        bool keep_policy;
        int threads;
        long run_ms, sleep_ms; /* duty cycle of each thread */
        size_t read;           /* bytes of each page that a pass reads */
        size_t grow;           /* bytes per second */
        size_t grow_limit;     /* bytes in all */
        size_t pin_pages;      /* from the start of the region */
        unsigned exit_after;   /* seconds */
        size_t churn;          /* bytes of each short-lived process */
        unsigned churn_count;  /* of them at a time */
        long churn_ms;         /* that each lives */
        const char *hold;
} Options;

typedef struct Worker {
        pthread_t thread;
        volatile char *start;
        size_t size;
        const Options *options;
        const cpu_set_t *cpus; /* where it may run once it has begun */
        StatsSlot *slot;
} Worker;

_Noreturn void die(const char *what);

/* options.c */
void parse_options(int argc, char **argv, Options *o);
/* Calls f(number, userdata) for each member of a list in kernel format, 0-1,3, in the order given. */
void for_each_in_list(const char *list, unsigned max, void (*f)(unsigned, void *), void *userdata);

/* memory.c */
void set_task_policy(const char *text);
void run_on(const char *cpus);
void touch(volatile char *start, size_t size);
char *map_region(const Options *o);
void populate(char *start, const Options *o);
void pin(const char *start, size_t pages);

/* life.c: what threads do, from a Worker or (grow) the Options */
void sleep_ms(long ms);
void *work(void *userdata);
void *churn(void *userdata);
void *grow(void *userdata);

/* hold.c */
void hold(const char *path);
