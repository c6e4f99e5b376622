/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The machine as the planner sees it: nodes, their CPUs and memory, and the distances between them.
 * Node ids are the kernel's and can be sparse: arrays have `n_ids` entries, absent ids have `present` false. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/bitmap.h"

/* SLIT value of local access; others are relative to it (ACPI 6.5, 5.2.17). */
#define DISTANCE_LOCAL 10u
/* What we assume between two nodes when firmware says nothing. */
#define DISTANCE_REMOTE_DEFAULT 20u

struct topology_node {
        bool present;
        uint64_t bytes_total; /* 0: a node with CPUs and no memory */
        struct cpu_mask cpus; /* online and usable: isolated CPUs are left out */
        unsigned n_cpus;      /* CPUs in `cpus` */
        unsigned n_cores;     /* physical cores that have at least one CPU in `cpus` */
};

/* A device that hwloc knows the place of, for place: near. */
struct topology_device {
        char *name;            /* "net/eth0", "block/nvme0n1", "pci/0000:3b:00.0" */
        struct node_set nodes; /* closest to it; empty: not told by the firmware */
};

struct topology {
        unsigned n_ids;              /* highest node id + 1 */
        struct topology_node *nodes; /* n_ids entries */
        uint32_t *distance;          /* n_ids × n_ids, row = from (CPU), column = to (memory); 10 = local */
        /* From HMAT or measured by firmware (hwloc's memory attributes), n_ids × n_ids, row = from (CPU), column = to (memory); 0: this
         * pair is not known. NULL: nothing is known. */
        uint32_t *latency_nsec;          /* of a read */
        uint32_t *bandwidth_mibps;       /* of reading, in MiB/s */
        struct topology_device *devices; /* sorted by name */
        size_t n_devices;
        unsigned n_cpu_ids; /* highest CPU id + 1 */
        bool of_this_kernel; /* that runs: a node that it does not know any more was taken away, and is not from a picture of another machine */
        int16_t *node_of_cpu; /* n_cpu_ids entries, -1: offline or unknown; isolated CPUs have their node too */
};

/* A topology with `n_ids` absent nodes, distances 10 on the diagonal and 20 elsewhere, and no CPUs.
 * NULL when memory ran out. */
struct topology *topology_new(unsigned n_ids, unsigned n_cpu_ids);
struct topology *topology_free(struct topology *t);
static inline void topology_freep(struct topology **t) {
        topology_free(*t);
}

/* Check what a reader filled in: every CPU on a present node, counts that agree, distances ≥ 10.
 * Returns 0 or -EINVAL, with a static English reason in `*ret_why`. */
int topology_validate(const struct topology *t, const char **ret_why);

uint32_t topology_distance(const struct topology *t, unsigned from, unsigned to);
struct node_set topology_nodes(const struct topology *t);           /* all that are present */
struct node_set topology_nodes_with_cpus(const struct topology *t); /* usable CPUs */
struct node_set topology_nodes_with_memory(const struct topology *t);
unsigned topology_n_cores(const struct topology *t, const struct node_set *nodes);
/* All usable CPUs of some nodes. */
void topology_cpus_of(const struct topology *t, const struct node_set *nodes, struct cpu_mask *ret);
/* The nodes that hold at least one CPU of the mask. */
struct node_set topology_nodes_of_cpus(const struct topology *t, const struct cpu_mask *cpus);
/* NULL: no such device. */
const struct topology_device *topology_device_find(const struct topology *t, const char *name);
/* Is it the same machine but for its devices: the same nodes, CPUs and distances? */
bool topology_same_but_for_devices(const struct topology *a, const struct topology *b);
/* Exchanges the devices of two topologies. */
void topology_swap_devices(struct topology *a, struct topology *b);
/* Node of a CPU, or -1. */
int topology_node_of_cpu(const struct topology *t, unsigned cpu);
