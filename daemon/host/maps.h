/* SPDX-License-Identifier: GPL-2.0-or-later */
/* /proc/PID/maps and smaps (proc(5)): where mappings begin and end, what file they are of, and what of them is in huge pages; and how many of a
 * service's processes map the same thing. All of it takes the processes' mmap locks: for worker threads. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/companions.h"
#include "core/sample.h"
#include "host/host.h"

/* One mapping. */
struct maps_entry {
        uint64_t start, end;
        uint64_t device, inode; /* 0: of no file. Shared anonymous memory is of a file, too: one that has no name */
        bool shared;            /* what is written to it reaches others (MAP_SHARED) */
        bool special;           /* the kernel's own: [vdso] and the like */
        bool huge_known;        /* from smaps: the next is told */
        uint64_t huge_bytes;    /* in transparent huge pages */
};

typedef int (*maps_callback)(const struct maps_entry *e, void *userdata); /* <0 ends the reading */

/* Opens a process's maps, or smaps, which costs three times a numa_maps, as `speaker` shows them (host/speaker.h; `pid` itself, as a rule). The fd, or
 * negative errno (host_vanished: it ended). */
int maps_open(const struct host *h, pid_t pid, pid_t speaker, bool with_huge);
/* The mapping that begins at `address` ends where? From an open maps, which is not read for it. -ENOENT: none begins there; -ENOTTY: the kernel cannot
 * tell (before 6.11; PROCMAP_QUERY, kernel: include/uapi/linux/fs.h); other negative errno. */
int maps_query_end(int fd, uint64_t address, uint64_t *ret);
/* Reads either, in order of address. Lines may be of any length. Returns 0, the callback's negative result, or negative errno. */
int maps_read(int fd, maps_callback callback, void *userdata);

/* Who maps what, within one service and its companions (may be NULL). */
struct mappers;
/* Reads the maps of these processes, and of those that have come into `cgroup` since (NULL: of none); those that ended or cannot be read count for
 * nothing, nor do companions' processes that are in their cgroup no more. `reading`, where not NULL, is told which (its index + 1; companions' follow the
 * service's own; 0: one that has come since). 0 or -ENOMEM. */
int mappers_read(const struct host *h, const char *cgroup, const struct process_ref *processes, size_t n_processes,
                 const struct companions *companions, atomic_size_t *reading, struct mappers **ret);
struct mappers *mappers_free(struct mappers *m);
/* How many of the processes map the same file; for memory of no file, which processes share after a fork, how many of the service's own map something
 * at the same address.
 * 0: none, or more different mappings than are kept (MAPPERS_MAX). */
size_t mappers_count(const struct mappers *m, const struct maps_entry *e);
#define MAPPERS_MAX 65536u
