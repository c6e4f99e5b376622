/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The kernel's balancing knows pages and the threads that use them. It undoes a rule where memory is to be elsewhere than the threads are, or divided
 * otherwise than they use it; where threads are restricted to the nodes that their memory is on, or the cpuset keeps the memory there, it does not. */
#include "core/kernel-memory.h"

struct node_set kernel_slow_nodes(const struct kernel_memory *k, const struct topology *t) {
        struct node_set with_cpus = topology_nodes_with_cpus(t), slow = { 0 };
        for (size_t i = k->n_tiers; i-- > 0;) {
                struct node_set here = node_set_intersect(&k->tiers[i].nodes, &with_cpus);
                if (!node_set_is_empty(&here))
                        return slow;
                slow = node_set_union(&slow, &k->tiers[i].nodes);
        }
        return (struct node_set) { 0 }; /* none that they would be slower than */
}

/* Nodes that its memory is on when all is done. Empty: not known before. */
static struct node_set memory_nodes(const struct rule *r, const struct topology *t) {
        struct node_set all = topology_nodes_with_memory(t), nodes = { 0 };
        switch (r->place) {
        case PLACE_NODES: nodes = r->nodes; break;
        case PLACE_NEAR:
                for (size_t i = 0; i < r->devices.n_items; i++) {
                        const struct topology_device *d = topology_device_find(t, r->devices.items[i]);
                        if (d)
                                nodes = node_set_union(&nodes, &d->nodes);
                }
                break;
        default:
                for (size_t i = 0; i < r->n_weights; i++)
                        node_set_add(&nodes, r->weights[i].node);
                if (r->n_weights == 0)
                        nodes = r->has_allowed ? r->allowed : all;
                nodes = node_set_subtract(&nodes, &r->avoid);
        }
        return node_set_intersect(&nodes, &all);
}

bool rule_memory_is_apart(const struct rule *r, const struct topology *t) {
        struct node_set with_cpus = topology_nodes_with_cpus(t), with_memory = topology_nodes_with_memory(t),
                        mems = memory_nodes(r, t), both = node_set_intersect(&with_cpus, &with_memory);
        bool free = r->cpus == CPUS_FREE || r->place == PLACE_INTERLEAVE; /* which touches no CPUs */
        return free && r->memory != MEMORY_STRICT && !node_set_is_empty(&mems) && !node_set_is_subset(&both, &mems);
}

/* Is it our word on which of its nodes each page is? */
static bool is_divided(const struct rule *r, const struct topology *t) {
        bool overrides = r->kernel_balancing == KERNEL_BALANCING_OVERRIDE;
        struct node_set mems = memory_nodes(r, t);
        if (r->place == PLACE_SPREAD)
                return overrides;
        return r->place == PLACE_INTERLEAVE && r->kernel_balancing != KERNEL_BALANCING_RESPECT && r->max_nodes != 1 &&
               node_set_count(&mems) > 1;
}

/* Both bring memory after threads, each after its own idea. */
static bool is_twofold(const struct rule *r) {
        return (r->place == PLACE_FOLLOW || (r->place == PLACE_COMPACT && r->cpus == CPUS_FREE)) &&
               r->kernel_balancing == KERNEL_BALANCING_OVERRIDE;
}

enum kernel_meeting rule_meets_kernel(const struct rule *r, const struct topology *t, const struct kernel_memory *k) {
        struct node_set all = topology_nodes_with_memory(t), mems = memory_nodes(r, t), slow = kernel_slow_nodes(k, t);
        bool given = r->place == PLACE_NODES || r->place == PLACE_NEAR || r->place == PLACE_INTERLEAVE;
        bool divided = is_divided(r, t), apart = given && rule_memory_is_apart(r, t);
        if (r->place == PLACE_IGNORE || node_set_count(&all) < 2)
                return MEETS_NOTHING;
        if ((k->balancing & BALANCING_THREADS) != 0 && (divided || apart || is_twofold(r)))
                return MEETS_THREADS;
        slow = node_set_intersect(&slow, &mems);
        return (k->balancing & BALANCING_TIERS) != 0 && (divided || apart) && !node_set_is_empty(&slow) ? MEETS_TIERS
                                                                                                        : MEETS_NOTHING;
}

uint64_t kernel_goes_first_usec(const struct rule *r, unsigned balancing, const struct node_set *cpus,
                                const struct node_set *mems) {
        struct node_set both = node_set_intersect(cpus, mems);
        bool sorts = (balancing & BALANCING_THREADS) != 0 && node_set_count(&both) > 1;
        return sorts && r->kernel_balancing != KERNEL_BALANCING_OVERRIDE ? KERNEL_FIRST_USEC : 0;
}
