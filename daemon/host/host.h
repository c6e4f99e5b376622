/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The machine to read from: an open root directory (a captured tree reads like a live one) and what was found
 * there once at start: the cgroup v2 mount, its controllers, what this kernel lacks. */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/sample.h"
#include "core/topology.h"

struct host {
        int root_fd;          /* O_PATH|O_DIRECTORY of the root */
        bool live;            /* root is "/": processes exist and can be acted upon */
        char *cgroup_mount;   /* where cgroup2 is mounted, relative to the root ("sys/fs/cgroup"); NULL: none */
        bool cgroups_renamed; /* what is mounted is (part of) another cgroup namespace's: the paths of processes are no paths there. cgroup_mount is NULL then */
        bool has_cpuset;      /* cpuset among the root's cgroup.controllers of the v2 hierarchy */
        bool has_memory_controller;
        bool has_systemd; /* /run/systemd/system exists: the host's service manager is systemd */
        bool has_psi;
        uint64_t page_bytes;    /* of the machine that runs this program; a captured one is taken to have the same */
        unsigned ticks_per_sec; /* of /proc/PID/stat */
};

/* Opens the machine below `root` and finds out what it has. Returns 0 or negative errno (no such directory, no memory):
 * a missing feature is no error but a limitation. */
int host_open(const char *root, struct host **ret);
struct host *host_free(struct host *h);
static inline void host_freep(struct host **h) {
        host_free(*h);
}
/* One line for each thing that this machine cannot do, for the start-up log and --once ("no cgroup v2: …").
 * Heap array of heap strings, NULL-terminated; NULL when memory ran out. */
char **host_limitations(const struct host *h);
void host_limitations_freep(char ***lines);

/* Reads the topology with hwloc (its environment variables work; a root other than "/" is passed to hwloc as its
 * file system root, through the environment: call it before there are threads). CPUs that were taken from the
 * scheduler (isolcpus, nohz_full) are left out of the usable ones. Returns 0 or negative errno; -EINVAL: hwloc's
 * picture contradicts itself; -ERANGE: a node or CPU id past NODE_ID_MAX, CPU_ID_MAX. */
int topology_load(const struct host *h, struct topology **ret);
/* hwloc's picture of the machine as XML, without names, serial numbers and addresses; to be freed. Below the root of a capture, in this file,
 * topology_load() reads that instead of letting hwloc look for itself. */
#define CAPTURED_TOPOLOGY "capture/topology.xml"
int topology_export(const struct host *h, char **ret);

/* Each node's memory at this moment, from sysfs and /proc/zoneinfo. A node that the running kernel does not have
 * (the topology is synthetic or from a file) is shown as empty; one that it had and that was taken away as without any memory. Fills
 * m->nodes (n_ids entries); free with machine_sample_done(). Returns 0 or -ENOMEM, -EMFILE, -ENFILE: what else cannot be read stays 0. */
int machine_sample_read(const struct host *h, const struct topology *t, struct machine_sample *m);
void machine_sample_done(struct machine_sample *m);
/* What all hugetlb pools of the machine have handed out, in bytes: the most that processes can have mapped, and 0
 * where there are none. */
uint64_t hugetlb_bytes_in_use(const struct host *h);

/* Which nodes and CPUs are online, which nodes have memory, and which CPUs are not of a partition, as the kernel lists them: a text that is another one when something was taken away or
 * added. "" where nothing can be read. Quick. Heap, NULL: no memory. */
char *host_online(const struct host *h);

/* The cgroup of a process as services are keyed: its path in the v2 hierarchy, or where there is no v2 hierarchy the path in
 * systemd's own v1 hierarchy, or "" where neither exists. Returns 0 or negative errno (host_vanished: it ended). */
int host_process_cgroup(const struct host *h, pid_t pid, char **ret);
/* Is it in this one, or below it? 1: yes; 0: no; or negative errno, as above. */
int host_process_is_in(const struct host *h, pid_t pid, const char *cgroup);
/* The same again and again, of whoever has this number now and of nobody who comes to have it later: an open file of /proc/PID is of that process, and gives
 * -ESRCH once it has ended. Costs a fifth. -EFBIG: for host_process_is_in() alone. The file descriptor, or negative errno. */
int host_process_open_cgroup(const struct host *h, pid_t pid);
int host_process_is_still_in(const struct host *h, int fd, const char *cgroup);

/* Did the thing read disappear meanwhile (process ended, cgroup removed)? Takes a negative errno. */
static inline bool host_vanished(int r) {
        return r == -ENOENT || r == -ESRCH || r == -ENODEV;
}

/* Reads a whole regular file below a directory fd; its last component is not followed where it is a link. Returns 0
 * (text is NUL-terminated, caller frees), -EFBIG past `limit`, -EINVAL for anything but a regular file, or negative
 * errno. `ret_size` may be NULL. */
int read_file_at(int dir_fd, const char *path, size_t limit_bytes, char **ret, size_t *ret_size);
/* The same into a buffer of the caller's (NUL-terminated; -EFBIG where it does not fit): for the small files that
 * are read by the thousand. Returns the length. */
ssize_t read_small_file_at(int dir_fd, const char *path, char *buffer, size_t size);
