/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What was seen of the machine and of one service in one cycle. Filled by host/ (or a simulation), read by the
 * planner. All per-node arrays have topology.n_ids entries, index = node id. */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/rule.h"
#include "core/topology.h"

/* Who may change the cpusets of the service's cgroup, and so by which road we go. */
enum owner {
        OWNER_SYSTEMD,  /* a unit of the host's service manager: D-Bus only */
        OWNER_CGROUPFS, /* below Delegate=, or outside systemd's tree: the cgroup's files */
        OWNER_NONE,     /* cannot be restricted: root cgroup, a user's own manager, no cgroup v2, no cpuset controller */
        _OWNER_MAX,
        _OWNER_INVALID = -EINVAL,
};
const char *owner_to_string(enum owner o);

struct process_ref {
        pid_t pid;
        uint64_t start_ticks; /* field 22 of /proc/PID/stat: together with pid unique until reboot */
};
static inline bool process_ref_equal(const struct process_ref *a, const struct process_ref *b) {
        return a->pid == b->pid && a->start_ticks == b->start_ticks;
}

/* One node's memory at this moment. */
struct node_memory {
        uint64_t bytes_total;
        uint64_t bytes_free;         /* MemFree */
        uint64_t bytes_droppable;    /* clean page cache the kernel can drop: inactive file */
        uint64_t bytes_low_mark;     /* sum of the zones' low watermarks */
        uint64_t hugetlb_bytes;      /* all pages of all hugetlb pools on the node: set aside, part of bytes_total */
        uint64_t hugetlb_free_bytes; /* of these the free ones */
};

struct machine_sample {
        struct node_memory *nodes; /* n_ids entries */
        /* The kernel's own balancing: kernel.numa_balancing, a bit mask (1: pages go to the threads that use them, 2: from slow memory to fast);
         * 0: off, or a kernel without. */
        unsigned kernel_balancing;
        bool kernel_demotes; /* reclaim takes unused pages to slower memory */
        /* How much each has moved since boot: meaningful where one of them is on. */
        uint64_t kernel_moved_bytes, kernel_demoted_bytes;
};

/* Are there pages that the kernel moves of its own accord? */
static inline bool kernel_moves_pages(const struct machine_sample *m) {
        return m->kernel_balancing != 0 || m->kernel_demotes;
}

struct service_sample {
        char *cgroup;            /* the key: "/system.slice/x.service", or "pid:1234" where there is no cgroup */
        char *unit;              /* leaf-most unit; for a plain cgroup its path; for a lone process "comm[pid]" */
        const struct rule *rule; /* NULL: unmatched. Points into the configuration of the same cycle */
        enum owner owner;
        char *owner_detail; /* why OWNER_NONE, or NULL */

        struct process_ref *processes;
        size_t n_processes, n_threads;

        /* Memory. From memory.numa_stat (anon + mapped file) plus hugetlb and what it borrows, or summed from numa_maps where there is
         * no memory controller. */
        uint64_t *bytes_by_node;
        uint64_t *
                mapped_file_by_node; /* part of bytes_by_node: mapped files and shared memory that the controller charges it with */
        /* Part of bytes_by_node: files and shared memory that it maps, charged to whoever touched them first. From numa_maps, where its rule has
         * shared pages moved; what the last deep read said, where this cycle made none. */
        uint64_t *borrowed_by_node;
        uint64_t
                shared_bytes; /* shared memory that the process with most of it has mapped, where its rule has such pages moved; else 0 */
        /* From numa_maps, where `deep`: bytes that we may move (no explicit policy, mapped by this service alone). */
        uint64_t *movable_by_node;
        uint64_t hugetlb_bytes;            /* part of bytes_by_node, or (not deep) what /proc/PID/status says in total */
        uint64_t *hugetlb_movable_by_node; /* part of movable_by_node */
        bool deep;                         /* the numa_maps of this cycle were read */

        /* CPU time used since the previous sample, by the node of each thread's last CPU, and over which time. */
        uint64_t *cpu_usec_by_node;
        uint64_t cpu_window_usec;
        uint64_t cpu_total_usec;   /* what its cgroup has used since it was made; USEC_INFINITY: not known */
        uint64_t bytes_age_usec;   /* bytes_by_node are of a memory map from so long ago, nothing else tells them; 0: from now */
        uint64_t threads_age_usec; /* where that was spent is not from this cycle, but from so long ago; 0: it is */
        /* Share of CPU by node in millionths, sums to 1,000,000 (or all 0 for a service without threads): from
         * cpu_usec_by_node; for an idle service from where its threads last ran, within what it is allowed. */
        uint32_t *cpu_share_by_node;

        /* What the kernel has in force now (cpuset.*.effective), as nodes; all nodes where there is no cpuset. */
        struct node_set effective_cpu_nodes; /* nodes with at least one allowed CPU */
        struct node_set effective_mems;
        unsigned n_effective_cpus; /* how many CPUs these are; 0: not known */
        /* The same of the cgroup above: no set of ours reaches further. Empty: nothing is set for the service itself, so it has all of that. */
        struct node_set above_cpu_nodes, above_mems;
        /* Somebody gave cgroups inside of it CPUs or memory nodes of their own (a guest's virtual CPUs, a container in a pod), which the kernel passes over
         * where the service is restricted to others. */
        struct node_set inner_cpu_nodes; /* any of these may use; empty: none was given CPUs */
        bool inner_mems;
        struct node_set inner_mems_allowed; /* what all of those that were given memory nodes may use; empty: nothing in common */
        bool holds_services;                /* other services are inside of its cgroup, and would be restricted with it */
        /* What the administrator set by itself (not by us): the planner stays inside, and leaves it alone. */
        bool admin_cpus, admin_mems;
        /* Its own cpuset leaves out CPUs of nodes that it has others of, and that the cgroup above has: where we set it, they have come since (cores that
         * were off line, SMT). */
        bool partial_cpus;
        bool whole_cpus,
                whole_mems; /* its own cpuset leaves out nothing that the cgroup above has: there is nothing to give back */

        /* What the kernel's own balancing has moved of it, ever, and its demotion: from memory.stat, where one is on and this kernel counts it there. */
        bool kernel_moved_known;
        uint64_t kernel_moved_bytes, kernel_demoted_bytes;

        /* The application's own policy. */
        bool self_managed;       /* a task policy other than default: nothing of it is moved */
        bool has_bound_mappings; /* some mapping has a policy of its own: that mapping is not moved, mems not narrowed */
        bool maps_incomplete; /* not all of its maps could be read: there may be such a mapping among them, so mems are not narrowed either */
        char *own_policy; /* e.g. "bind:0", NULL if none */
        /* Some of its threads may use fewer CPUs than its cgroup: it, or who started it, bound them (sched_setaffinity(2), taskset(1), CPUAffinity=), or they
         * are in cgroups below with cpusets of their own. A cpuset that leaves those CPUs out would have them run on any others. */
        bool binds_threads;
        struct node_set thread_nodes; /* where it does: the nodes of all CPUs that its threads may use, isolated ones too */

        /* Not running yet (plan_advise()): it takes the best place there is, whatever the gain, and so much memory is to come. */
        bool newcomer;
        uint64_t coming_bytes;

        /* memory.pressure "some avg10" in hundredths of a percent; -1: not available */
        int memory_pressure_centipercent;
        /* cpu.pressure "some avg10", the same way: tells a service that fills its CPUs from one that wants more. */
        int cpu_pressure_centipercent;
};

void service_sample_init(struct service_sample *s);
/* Allocates every per-node array, zeroed. -ENOMEM. */
int service_sample_alloc(struct service_sample *s, unsigned n_ids);
void service_sample_done(struct service_sample *s);

/* Nothing of it is placed: it has a memory policy of its own, and its rule leaves it to it. */
static inline bool sample_is_left_alone(const struct service_sample *s) {
        return s->self_managed && s->rule && s->rule->app_policy == APP_POLICY_RESPECT;
}

/* Its CPUs are the application's own business, and its rule leaves them to it. (Where cgroups inside of it were given CPUs it is gone by those.) */
static inline bool sample_binds_cpus(const struct service_sample *s) {
        return s->binds_threads && node_set_is_empty(&s->inner_cpu_nodes) && s->rule && s->rule->app_policy == APP_POLICY_RESPECT;
}

/* Would restricting it take the CPUs from cgroups inside of it that were given them? Not where its rule says nodes with all of these. */
static inline bool sample_takes_inner_cpus(const struct service_sample *s) {
        return !node_set_is_empty(&s->inner_cpu_nodes) && s->rule &&
               (s->rule->place != PLACE_NODES || !node_set_is_subset(&s->inner_cpu_nodes, &s->rule->nodes));
}

uint64_t sum_by_node(const uint64_t *by_node, unsigned n_ids);

/* What min-size is compared with: its memory, and before numa_maps was read at least what its processes have mapped of shared memory. */
uint64_t sample_size_bytes(const struct service_sample *s, unsigned n_ids);
/* The nodes that some of its memory is on. */
struct node_set sample_nodes_with_bytes(const struct service_sample *s, unsigned n_ids);
/* Locality: Σ over nodes of (CPU share × byte share), 0…1; 0 where there are no bytes or no CPU share. */
double sample_locality(const struct service_sample *s, unsigned n_ids);
/* Expected distance: Σ over pairs of CPU share × byte share × SLIT distance; 10.0 is all local; 0 if unknown. */
double sample_distance(const struct service_sample *s, const struct topology *t);
/* What that would be if its threads ran evenly on all CPUs of these nodes; 0 if there is no memory, or no CPU. */
double sample_distance_from(const struct service_sample *s, const struct topology *t, const struct node_set *cpus);

/* Which cpusets of ours are in force, by cgroup (from the record of changes): the planner must know what it may widen. */
struct applied {
        const char *cgroup;
        bool cpus, mems;
};
/* The cgroup's among `n` that are sorted by cgroup; borrowed. NULL: nothing of ours is. */
const struct applied *applied_find(const struct applied *applied, size_t n, const char *cgroup);
