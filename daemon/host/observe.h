/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One cycle's observation in two parts. The screen walks the cgroup tree and reads what is cheap and cannot block; the deep read
 * (numa_maps, which takes the process's mmap lock) is a separate call per service, made for a worker thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/companions.h"
#include "core/rule.h"
#include "core/sample.h"
#include "core/topology.h"
#include "host/host.h"
#include "host/maps.h"

struct observer; /* remembers each thread's CPU time from one screen to the next */

int observer_new(const struct host *h, const struct topology *t, struct observer **ret);
struct observer *observer_free(struct observer *o);
static inline void observer_freep(struct observer **o) {
        observer_free(*o);
}

/* From now on, processes of services that used less CPU time than shows in their threads' stat (a tick) are not read again but taken to be as they
 * were. `sparing`: and of the others only so many as `scan-cpu` of an interval pays for, those first that were not looked at for longest; what
 * others use is still right, only where is then from an earlier screen (threads_age_usec). Not while a capture is made: it is to have all. */
void observer_set_incremental(struct observer *o, bool sparing);
/* The same machine as it was at another moment, for the next screen: a capture has a tree for each. */
int observer_set_host(struct observer *o, const struct host *h);

struct observation {
        struct machine_sample machine;
        struct service_sample *services; /* sorted by cgroup (strcmp) */
        size_t n_services;
        bool truncated;   /* more services or processes than the limits allow; the rest was left out */
        size_t n_put_off; /* services whose threads were not read, although they ran: the budget did not reach to them */
};

/* Reads everything that is cheap. Services that vanish meanwhile are left out without an error. `now_usec`:
 * CLOCK_BOOTTIME. Which of the services' cpusets are ours is passed in (sorted by cgroup) so that admin_cpus/admin_mems can
 * be told. Returns 0 or negative errno (only for failures of the machine as a whole; the next screen then goes on from the
 * last good one).
 *
 * Processes in the root cgroup, and without cgroup v2 those in no cgroup of systemd's, are services each by itself
 * ("pid:N"). A service inside another (in a container) is counted for itself alone: the outer one's numbers are
 * without it. self_managed, has_bound_mappings and the movable bytes are known only after the deep read. */
struct applied;
int observer_screen(struct observer *o, const struct config *config, const struct applied *applied, size_t n_applied,
                    uint64_t now_usec, struct observation **ret);
struct observation *observation_free(struct observation *o);
static inline void observation_freep(struct observation **o) {
        observation_free(*o);
}

/* Could the screen not tell this service's memory at all (no memory controller on the machine, or none for its cgroup)? Then only a
 * deep read does, and whoever wants to know its bytes must have one made each time, whatever its size. */
bool service_sample_needs_deep(const struct service_sample *s, unsigned n_ids);

/* Limits of one deep read; beyond them the sample is `truncated`, its bytes then a lower bound. */
#define DEEP_TEXT_LIMIT    (64u << 20) /* of one process's numa_maps: about 600,000 mappings */
#define DEEP_PROCESSES_MAX 4096u
#define DEEP_THREADS_MAX   8192u /* whose task policy is looked at */

/* The deep read of one service: numa_maps of every process, task policies of every thread. Thread-safe: touches nothing but its arguments.
 * Can block on a stuck process: call it from a worker. Processes that vanish are passed over.
 *
 * Task policy or a mapping's own? numa_maps prints for a mapping without a policy of its own that of its task. So a
 * process in which some mapping prints `default` has the default task policy, and every other policy in it is that mapping's own
 * (has_bound_mappings); one in which none does has a task policy (self_managed): the kernel's own mappings (stack, vdso) have
 * none in practice. A thread's policy is what a mapping that is `default` for the leader prints for the thread. */
struct deep_sample {
        unsigned n_ids;
        /* All resident pages seen, hugetlb included. A file that several processes map (mapmax > 1) is counted as the most that
         * one process has of it on each node; anonymous pages shared over fork are counted for each process. */
        uint64_t *bytes_by_node;
        /* Of those, without a policy of their own and mapped once only: MPOL_MF_MOVE leaves shared pages, those of the same service
         * too. numa_maps tells sharing by mapping, so one shared page in a mapping takes all of it out: a lower bound.
         * The options let in more. */
        uint64_t *movable_by_node;
        uint64_t *hugetlb_by_node, *hugetlb_movable_by_node; /* part of the two above */
        /* Part of bytes_by_node, where the options say move_shared: files and shared memory mapped so that others see what is written (MAP_SHARED),
         * hugetlb left out. All of that may be charged to another cgroup. */
        uint64_t *open_by_node;
        bool self_managed, has_bound_mappings;
        bool binds_threads; /* known where the options have a topology, and the kernel cpusets */
        struct node_set thread_nodes;
        char *own_policy; /* as printed: the task policy, or the first bound mapping's; NULL if none */
        size_t n_processes_read, n_vanished;
        bool truncated;    /* limits were reached, or text could not be understood */
        bool incomplete;   /* … so that there are mappings of which nothing was seen */
        uint64_t cpu_usec; /* what the reading cost (CLOCK_THREAD_CPUTIME_ID) */
};
/* What else the service's rule allows to move. */
struct deep_options {
        bool move_shared; /* mappings that its processes share, and nobody else as far as can be told (host/maps.h): each file once */
        const struct companions *companions; /* with move_shared: whoever may map them, too; NULL: nobody */
        /* With move_shared: where processes of its own may have come since they were listed; who maps what is looked at again where it shares more than
         * is known. NULL: nowhere. Those that are aside hang, and are not read; so they are strangers. */
        const char *cgroup;
        const struct process_ref *aside;
        size_t n_aside;
        bool override_policy; /* mappings with a policy of the application's */
        /* Which CPUs its threads are bound to is looked at, with these that may be used, where `cgroup` is given; NULL: it is not. */
        const struct topology *topology;
        struct maps_reading *
                reading; /* is told which process is being read (host/maps.h), for whoever waits for it in vain; NULL: nobody does */
};
/* `t`: the machine's, for services whose CPUs the rule restricts. Where cgroups inside of it were given CPUs, threads are bound to these and to nothing else that need
 * be known: the screen tells, and tells sooner when that is over. */
static inline struct deep_options deep_options_of(const struct service_sample *s, const struct topology *t) {
        const struct rule *r = s->rule;
        bool restricts = r && r->cpus == CPUS_RESTRICT && r->place != PLACE_FOLLOW && r->place != PLACE_INTERLEAVE &&
                         node_set_is_empty(&s->inner_cpu_nodes);
        return (struct deep_options) {
                .topology = restricts && r->app_policy == APP_POLICY_RESPECT ? t : NULL,
                .move_shared = r && r->shared_pages == SHARED_PAGES_MOVE,
                .override_policy = r && r->app_policy == APP_POLICY_OVERRIDE,
        };
}
/* Returns 0 (also when all processes vanished), -ENOMEM, -EMFILE, -ENFILE, or -EACCES when no process could be read for lack of privileges. */
int observe_deep(const struct host *h, unsigned n_ids, const struct process_ref *processes, size_t n_processes,
                 const struct deep_options *options, struct deep_sample **ret);
struct deep_sample *deep_sample_free(struct deep_sample *d);
static inline void deep_sample_freep(struct deep_sample **d) {
        deep_sample_free(*d);
}
/* Puts the deep read's findings into the sample. bytes_by_node keeps numa_stat's numbers where the sample has them, plus hugetlb (which
 * numa_stat leaves out) and what is mapped and charged elsewhere (borrowed_by_node), and movable bytes are at most that; without a memory controller it
 * is what the deep read saw. Once per sample. */
void service_sample_merge_deep(struct service_sample *s, const struct deep_sample *d, bool has_memory_controller);
