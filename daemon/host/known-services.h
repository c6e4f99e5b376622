/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What earlier screens found of each service's processes, and which services this one has to read again. Private to this room; reads nothing. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/rule.h"
#include "core/sample.h"
#include "host/cgroup.h"
#include "host/cpu-tally.h"

/* A service that did nothing is read again all the same after this, a few in each screen. */
#define KNOWN_TRUSTED_USEC (15 * USEC_PER_MINUTE)

struct known_service {
        char *cgroup;
        pid_t *listed; /* as the cgroup listed them: kernel threads and dead ones too */
        size_t n_listed;
        struct process_ref *processes;
        size_t n_processes;
        struct cpu_tally tally; /* as read, strays apart */
        uint64_t *allowed_cpus; /* by which strays were told */
        uint64_t hugetlb_bytes;
        struct string_list users, exes, comms;
        unsigned identity;                   /* what of a process was read, KNOWN_… */
        uint64_t read_usec, read_usage_usec; /* when its processes were read, and its cgroup's cpu.stat just before */
        bool used;                           /* in the screen being made: it goes on to the next */
};
enum { KNOWN_USERS = 1, KNOWN_EXES = 2, KNOWN_COMMS = 4, KNOWN_HUGETLB = 8 };

struct known_services {
        struct known_service *items; /* sorted by cgroup */
        size_t n_items, capacity;
};
void known_service_done(struct known_service *k);
void known_services_done(struct known_services *t);
struct known_service *known_services_find(const struct known_services *t, const char *cgroup);
/* Takes what is in `k`, whose cgroup comes after all that are there. 0 or -ENOMEM (then nothing was taken). */
int known_services_append(struct known_services *t, struct known_service *k);
/* `t` becomes what `newer` has, and of itself what was used. 0 or -ENOMEM (then `t` is empty: all is read again). */
int known_services_update(struct known_services *t, struct known_services *newer);

/* What is to be read of one service in this screen. */
enum reading_need {
        READ_ALL,     /* new, or what ran cannot be told */
        READ_NOTHING, /* it did nothing */
        READ_LATER,   /* it ran, but others were not looked at for longer */
};
struct reading_plan {
        enum reading_need *needs; /* one for each found service */
        uint64_t *usages_usec;    /* its cpu.stat; USEC_INFINITY: it has none */
        size_t n_put_off;
};
struct reading_limits {
        uint64_t now_usec;
        uint64_t slack_usec; /* CPU time that counts as nothing */
        unsigned identity;   /* what must be known of processes */
        size_t n_threads;    /* so many are read at most, beside those that must be; SIZE_MAX: no limit */
};
/* `plan` has its usages; fills in the rest. 0 or -ENOMEM. */
int reading_plan_make(const struct known_services *known, const struct found_services *found, const struct reading_limits *limits,
                      struct reading_plan *plan);
int reading_plan_alloc(struct reading_plan *p, size_t n);
void reading_plan_done(struct reading_plan *p);
