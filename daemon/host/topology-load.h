/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One topology being read, private to this room: what hwloc knows, and the sysfs tree that goes with it. */
#pragma once

#include <hwloc.h>
#include <stdbool.h>

#include "core/topology.h"
#include "host/host.h"

struct loader {
        const struct host *host;
        hwloc_topology_t hwloc;
        int sysfs_fd;      /* root of the tree that hwloc read; -1: a synthetic topology or one from a file */
        bool own_sysfs_fd; /* to be closed */
        bool host_sysfs;   /* that tree is the host's own, cgroups included */
        struct topology *topology;
        struct cpu_mask isolated;
};

static inline hwloc_obj_t next_node(const struct loader *l, hwloc_obj_t previous) {
        return hwloc_get_next_obj_by_type(l->hwloc, HWLOC_OBJ_NUMANODE, previous);
}

static inline hwloc_obj_t next_pu(const struct loader *l, hwloc_obj_t previous) {
        return hwloc_get_next_obj_by_type(l->hwloc, HWLOC_OBJ_PU, previous);
}

/* A sysfs file in the kernel's list format; false where there is none (or nonsense: some kernels print "(null)"). */
bool loader_read_cpu_list(const struct loader *l, const char *path, struct cpu_mask *ret);

/* Each fills its part of l->topology, whose nodes and CPUs are known by then. */
void load_distances(struct loader *l);
int load_memory_attributes(struct loader *l); /* latency and bandwidth; 0 or -ENOMEM */
int load_devices(struct loader *l);           /* 0 or -ENOMEM */
/* CPUs that were taken from everybody: isolcpus=, nohz_full=, cpuset partitions. */
void load_isolated(struct loader *l);
