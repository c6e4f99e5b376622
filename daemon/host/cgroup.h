/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which services are there: one walk over the cgroup v2 tree (or /proc where there is none), and the small files of one cgroup. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/backoff.h"
#include "core/bitmap.h"
#include "core/rule.h"
#include "core/sample.h"
#include "host/host.h"

/* Limits of one walk: whoever can make cgroups or processes without end must not stop the daemon. */
#define CGROUP_DEPTH_MAX   64u
#define CGROUP_COUNT_MAX   20000u
#define PROCESS_COUNT_MAX  65536u
#define CGROUP_PROCS_LIMIT (4u << 20)

/* What somebody set for cgroups that are inside of a service's and have processes (or threads), where that leaves out some of what the service could have. */
struct inner_cpuset {
        struct cpu_mask cpus; /* of any of them; empty: none was given CPUs */
        bool mems;
        struct node_set mems_allowed; /* in all of those that were given memory nodes */
};

/* One service, as the tree shows it: nothing is known yet of its processes but that they were listed. */
struct found_service {
        char *cgroup; /* NULL: these processes are in no cgroup that could be a service; each is one by itself */
        char *unit, *slice;
        bool is_unit;
        enum owner owner;
        char *owner_detail; /* NULL unless OWNER_NONE; NULL too where `cgroup` is */
        pid_t *pids;        /* ascending, each once */
        size_t n_pids, pids_capacity;
        uint64_t usage_usec;        /* of its cgroup's cpu.stat, before the processes were listed; USEC_INFINITY: not read */
        struct inner_cpuset *inner; /* NULL: nothing is set inside of it */
};
struct found_services {
        struct found_service *items; /* sorted by cgroup; the one with NULL first */
        size_t n_items, capacity;
        bool truncated; /* limits were reached, the rest was left out */
};
/* Returns 0 or -ENOMEM or another failure of the machine as a whole. */
int find_services(const struct host *h, const struct config *c, struct found_services *ret);
void found_services_done(struct found_services *s);
static inline void found_services_donep(struct found_services *s) {
        found_services_done(s);
}
/* For the walk: a new, empty entry at the end (NULL when memory ran out); then, entries of the same service made one. */
struct found_service *found_services_add(struct found_services *s);
int found_services_merge(struct found_services *s);

/* Opens a service's cgroup directory (O_PATH). The fd or negative errno. */
int cgroup_open(const struct host *h, const char *cgroup);

/* systemd marks the cgroup of a unit with Delegate= by an extended attribute: trusted.delegate (seen with CAP_SYS_ADMIN only),
 * and since 251 user.delegate too. `fd` must be open for reading; `name` is the last component of the path. */
bool cgroup_is_delegated(int fd, const char *name);

/* memory.numa_stat: anonymous and mapped file bytes by node, added to `bytes_by_node`, the latter to `mapped_file_by_node` (may be NULL), too.
 * Ids ≥ n_ids are passed over. Returns 0 or negative errno (-ENOENT: no memory controller here). */
int cgroup_read_numa_stat(int cgroup_fd, unsigned n_ids, uint64_t *bytes_by_node, uint64_t *mapped_file_by_node);
/* cpu.stat usage_usec. */
int cgroup_read_cpu_usec(int cgroup_fd, uint64_t *ret);
/* memory.pressure or cpu.pressure: some avg10, in hundredths of a percent; -1 where it cannot be read. */
int cgroup_read_pressure(int cgroup_fd, const char *file);
/* The totals of "some" of both. What cannot be read (no PSI, no such cgroup, "pid:…") is marked so. */
void cgroup_read_stalls(const struct host *h, const char *cgroup, struct pressure_totals *ret);
/* Does a file like cgroup.controllers list this controller? */
bool cgroup_lists_controller(int cgroup_fd, const char *file, const char *controller);

/* What cpusets are in force for a cgroup, and whether it was narrowed by its own cpuset.* files. */
struct cgroup_cpuset {
        bool have_cpus, have_mems; /* a cpuset controller is there */
        struct cpu_mask effective_cpus;
        struct node_set effective_mems;
        bool narrows_cpus, narrows_mems; /* own cpuset.cpus/mems is set and leaves out some of what the parent has */
        /* Where they are set: what the parent has. Empty: not set, or not known. */
        struct cpu_mask parent_cpus;
        struct node_set parent_mems;
};
/* The effective sets are those of the nearest cgroup upwards that has the controller. */
void cgroup_read_cpuset(const struct host *h, const char *cgroup, struct cgroup_cpuset *ret);
/* Is the cgroup one with processes or threads that somebody gave a cpuset of its own, which leaves out some of what is in force at `above_fd`? True: `ret` says so. */
bool cgroup_read_inner_cpuset(int fd, int above_fd, struct inner_cpuset *ret);
void inner_cpuset_merge(struct inner_cpuset *into, const struct inner_cpuset *from);
