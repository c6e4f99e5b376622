/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The parts of one screen, private to this room: reading one service, and what is then computed over all of them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/plan.h"
#include "host/cgroup.h"
#include "host/cpu-tally.h"
#include "host/host.h"
#include "host/known-services.h"
#include "host/observe.h"
#include "host/proc.h"

#define THREAD_COUNT_MAX   262144u /* threads whose CPU time is looked at in one screen */
#define LONE_PROCESS_MAX   16384u  /* processes that are a service each */
#define IDENTITY_VALUE_MAX 64u     /* different users, executables, names of one service */
#define SHARED_SIZE_OF     8u      /* processes of one service that are asked how much shared memory they have mapped */

/* A cgroup's cpu.stat at the previous screen. */
struct usage_record {
        char *cgroup;
        uint64_t usage_usec;
};
struct usage_table {
        struct usage_record *records; /* sorted by cgroup */
        size_t n_records, capacity;
};
void usage_table_done(struct usage_table *t);

struct observer {
        const struct host *host;
        const struct topology *topology;
        int proc_fd;
        size_t thread_limit; /* THREAD_COUNT_MAX; less in tests */
        struct user_cache users;
        bool have_previous;
        uint64_t previous_usec;
        struct thread_table threads; /* at the previous screen, of each process as it was last read */
        struct usage_table usages;   /* at the previous screen */

        bool incremental; /* services that did nothing are not read again, */
        bool sparing;     /* and no more than scan-cpu pays for */
        struct known_services known;
        uint64_t base_usec;   /* of CPU, that the previous screen cost without reading processes */
        uint64_t thread_nsec; /* that reading one thread costs; 0: not measured yet */
};

struct screened_service {
        struct service_sample sample;
        struct cpu_tally tally;
        uint64_t *allowed_cpus; /* how many of each node's CPUs it may use */
        bool is_cgroup;
        bool have_usage;
        uint64_t usage_usec;        /* cpu.stat, since the cgroup was made */
        uint64_t window_usage_usec; /* of that in this window; USEC_INFINITY: not known */
};

/* One screen being made. */
struct screen {
        struct observer *observer;
        const struct config *config;
        const struct applied *applied;
        size_t n_applied;
        bool have_previous;
        uint64_t previous_ticks;
        uint64_t hugetlb_in_use; /* by the whole machine */
        struct cgroup_cpuset root_cpuset;
        struct thread_table threads;
        struct reading_plan plan;
        struct known_services known; /* those that were read this time */
        uint64_t now_usec, reading_nsec;
        size_t n_read; /* threads */
        struct screened_service *services;
        size_t n_services, capacity;
        bool truncated;
};
void screen_done(struct screen *s);

/* One service being read. */
struct reading {
        struct screen *screen;
        struct screened_service service;
        struct cgroup_cpuset cpuset;
        struct string_list users, exes, comms;
        size_t processes_capacity;
        uint64_t since_ticks;         /* its processes were read last */
        struct node_set mems_allowed; /* of the first process */
        bool have_mems_allowed;
};
/* Of users, executables and names, and pages in hugetlb pools: what this screen must know (KNOWN_…). */
unsigned screen_identity(const struct screen *s);
/* Puts in what is known of a service's processes; `idle`: they did nothing since. 0 or -ENOMEM. */
int reading_reuse(struct reading *r, struct known_service *k, bool idle);
/* Keeps what was read of them for the next screens. 0 or -ENOMEM. */
int reading_remember(struct reading *r, const struct found_service *f);
/* Which of the services found are to be read. 0 or -ENOMEM. */
int screen_plan_reading(struct screen *s, const struct found_services *found);

/* Reads one service, as far as `need` says, and adds it to the screen; nothing is added where none of its processes lives (any more).
 * `usage_usec`: its cpu.stat, USEC_INFINITY where it has none. Returns 0 or -ENOMEM. */
int screen_add_service(struct screen *s, const struct found_service *f, enum reading_need need, uint64_t usage_usec);
/* The same for processes that are a service each. */
int screen_add_lone(struct screen *s, pid_t pid, const char *owner_detail);
/* After all were added: sorts, takes out of each service what belongs to services inside it, and divides CPU time. */
int screen_finish(struct screen *s, uint64_t window_usec, const struct usage_table *previous);
/* What the next screen needs to know of this one. */
int screen_usages(const struct screen *s, struct usage_table *ret);
