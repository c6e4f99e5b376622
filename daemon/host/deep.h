/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One deep read in progress, private to this room. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "host/host.h"
#include "host/maps.h"
#include "host/numa-maps.h"
#include "host/observe.h"
#include "host/proc.h"
#include "host/shared-files.h"

#define DEEP_BUFFER_SIZE 32768u /* the kernel returns a page of text at a time, more only where one line is longer */

struct deep_read {
        struct deep_sample *sample;
        const struct host *host;
        int proc_fd;
        char *buffer;
        struct numa_maps_parser *parser;
        struct shared_files shared, shared_hugetlb;
        struct shared_files movable, movable_hugetlb; /* of files shared within the service alone, where they may move */
        struct shared_files open; /* of mappings that others can see (MAP_SHARED), without hugetlb, the same way */
        struct deep_options options;
        struct mappers *mappers; /* NULL: shared pages stay */
        struct put_off *put_off; /* mappings of the process being read that more map than is known (deep-shared.c) */
        size_t n_put_off, put_off_capacity;
        unsigned n_looks;   /* at who maps what, after the first: */
        size_t n_looked_at; /* … at so many processes */
        size_t n_threads;

        /* Of the process being read. */
        size_t process;
        uint64_t last_start, told_below; /* told_below: mappings below this were shown by who spoke before */
        bool any_mapping;
        bool any_default; /* some mapping prints `default`: so does its task */
        uint64_t default_start;
        bool any_policy;
        char policy[256]; /* the first other than default; the stack's rather than another */
        size_t policy_length;
        struct maps_entry *entries; /* where shared pages may move: its maps, by address */
        size_t n_entries, entries_capacity, next_entry;
};

/* deep-shared.c: what processes share */

/* Looks who maps what, where shared pages may move. 0 or -ENOMEM. */
int deep_know_mappers(struct deep_read *r, const struct process_ref *processes, size_t n_processes);
/* The maps of the next process. One whose maps cannot be read shares nothing that could be moved. 0, -ENOMEM, or -ESRCH: whoever was to show them has ended. */
int deep_read_entries(struct deep_read *r, pid_t pid, pid_t speaker);
/* One of its mappings: counted where others see what is written to it, and where it may move, as far as its policy goes. 0 or negative errno. */
int deep_count_open(struct deep_read *r, const struct numa_mapping *m);
int deep_count_movable(struct deep_read *r, const struct numa_mapping *m);
/* After the last of its mappings: those that somebody unknown maps are looked at again, if somebody has come. 0 or -ENOMEM. */
int deep_look_again(struct deep_read *r, const struct process_ref *processes, size_t n_processes);
void deep_shared_done(struct deep_read *r);

void deep_add_bytes(uint64_t *into, const struct numa_mapping *m);
/* Notes the policy to be shown, if there is none yet. */
int deep_set_policy(struct deep_sample *d, const char *text, size_t length);
/* Looks which CPUs the threads of all processes may use (deep-affinity.c). Returns 0 or -ENOMEM. */
int deep_read_affinity(struct deep_read *r, const struct process_ref *processes, size_t n_processes);
/* Looks at the task policies of a process's threads; its speaker's is default, and a mapping at r->default_start shows it. Returns 0 or -ENOMEM. */
int deep_read_threads(struct deep_read *r, pid_t pid, pid_t speaker);
