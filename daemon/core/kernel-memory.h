/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the kernel does with pages of its own accord, as it is set up, and which rules that goes against. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "core/rule.h"
#include "core/topology.h"
#include "core/util.h"

/* kernel.numa_balancing is a mask of these (Documentation/admin-guide/sysctl/kernel.rst). */
#define BALANCING_THREADS 1u /* pages go to the threads that use them */
#define BALANCING_TIERS   2u /* pages that are used go from slow memory to fast */

/* Nodes whose memory the kernel takes to be equally fast; the lower the id the faster (ABI/testing/sysfs-kernel-mm-memory-tiers). */
#define MEMORY_TIERS_MAX 64u
struct memory_tier {
        unsigned id;
        struct node_set nodes;
};

struct kernel_memory {
        bool has_balancing, has_demotion;           /* this kernel has them */
        unsigned balancing;                         /* kernel.numa_balancing */
        bool demotion;                              /* /sys/kernel/mm/numa/demotion_enabled */
        struct memory_tier tiers[MEMORY_TIERS_MAX]; /* ascending */
        size_t n_tiers;                             /* 0: this kernel tells none */
};

/* Nodes with memory slower than that of every node with CPUs: demotion's targets, and where pages are promoted from. */
struct node_set kernel_slow_nodes(const struct kernel_memory *k, const struct topology *t);

/* What takes pages away from where a rule has them. */
enum kernel_meeting {
        MEETS_NOTHING,
        MEETS_THREADS, /* they go to the threads that use them, … */
        MEETS_TIERS,   /* … or from slow memory to fast */
};
/* Does the kernel's balancing, set to k->balancing, bring memory of a service under this rule away from where the rule puts it? As measured in
 * tests/bench/README.md; what a service's own cpuset leaves out is not known here. */
enum kernel_meeting rule_meets_kernel(const struct rule *r, const struct topology *t, const struct kernel_memory *k);
/* A service's CPUs have just been restricted to its home, and its memory is to follow: how long, in microseconds, the kernel's balancing is left to bring
 * what its threads use before we move the rest; 0: not at all. That is so where it sorts, in homes of several nodes. Pages that both move at once it
 * fails to, and after such failures it looks at the process more and more seldom: what was moved to the wrong one of these nodes would stay there. */
#define KERNEL_FIRST_USEC (20 * USEC_PER_SEC)
uint64_t kernel_goes_first_usec(const struct rule *r, unsigned balancing, const struct node_set *cpus,
                                const struct node_set *mems);
/* Of a rule that meets it: does some of its memory belong on nodes, and its threads run on others too? Otherwise it is only that it is divided. */
bool rule_memory_is_apart(const struct rule *r, const struct topology *t);
