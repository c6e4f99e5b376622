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

/* Whose maps are read at this moment: for another thread, which waits for that in vain. */
struct maps_reading {
        atomic_size_t number; /* its index + 1 among the service's own, which its companions' follow; 0: nobody's, or */
        atomic_int newcomer;  /* … those of one that has come since: its pid (0: nobody's) */
        atomic_ullong newcomer_start_ticks;
};
/* What is read there, where it is one that has come since. False: it is not. */
static inline bool maps_reading_newcomer(const struct maps_reading *r, struct process_ref *ret) {
        ret->pid = (pid_t) atomic_load(&r->newcomer);
        ret->start_ticks = atomic_load(&r->newcomer_start_ticks);
        /* Both of one, as it goes on to the next by way of nobody: in this order. */
        return ret->pid > 0 && atomic_load(&r->newcomer) == (int) ret->pid;
}

/* Who maps what, within one service and its companions. */
struct mappers;
struct mappers_of {
        const struct process_ref *processes; /* the service's own */
        size_t n_processes;
        const char
                *cgroup; /* where others of its own may have come since they were listed, which count as well; NULL: nobody has */
        const struct process_ref *aside; /* of those, who hang, and are not read */
        size_t n_aside;
        const struct companions *companions; /* NULL: none */
        struct maps_reading *reading;        /* is told whose are read; NULL: nobody wants to know */
};
/* Reads their maps. Those that ended or cannot be read count for nothing, nor do companions' processes that are in their cgroup no more. 0 or -ENOMEM. */
int mappers_read(const struct host *h, const struct mappers_of *of, struct mappers **ret);
struct mappers *mappers_free(struct mappers *m);
/* Has somebody come into the cgroup whose maps it was not read for? Of another reading nothing new is to be expected otherwise. Costs no process anything. */
bool mappers_is_outdated(const struct mappers *m, const struct host *h, const struct mappers_of *of);
size_t mappers_n_read(const struct mappers *m); /* processes */
/* How many of the processes map the same file; for memory of no file, which processes share after a fork, how many of the service's own map something
 * at the same address.
 * 0: none, or more different mappings than are kept (MAPPERS_MAX). */
size_t mappers_count(const struct mappers *m, const struct maps_entry *e);
#define MAPPERS_MAX 65536u
/* So many processes that have come since are looked at; with more, what all of them map is left alone, as it was mapped by somebody unknown. */
#define NEWCOMERS_MAX 256u
/* Beside cgroup.procs in a capture: who was there by then, as that file itself is as the screen of the same moment had it. */
#define NEWCOMERS_FILE "cgroup.procs.later"
