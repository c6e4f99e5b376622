/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The machine: nodes, CPUs, distances. Nothing is read here; host/ or a test fills it in. */
#include "core/topology.h"

#include <string.h>

#include "core/util.h"

struct topology *topology_new(unsigned n_ids, unsigned n_cpu_ids) {
        if (n_ids > NODE_ID_MAX + 1 || n_cpu_ids > CPU_ID_MAX + 1)
                return NULL;
        struct topology *t = calloc(1, sizeof *t);
        if (!t)
                return NULL;
        t->n_ids = n_ids;
        t->n_cpu_ids = n_cpu_ids;
        /* One more than needed: an empty array is then never NULL. */
        t->nodes = calloc((size_t) n_ids + 1, sizeof *t->nodes);
        t->distance = calloc((size_t) n_ids * n_ids + 1, sizeof *t->distance);
        t->node_of_cpu = calloc((size_t) n_cpu_ids + 1, sizeof *t->node_of_cpu);
        if (!t->nodes || !t->distance || !t->node_of_cpu)
                return topology_free(t);
        for (unsigned from = 0; from < n_ids; from++)
                for (unsigned to = 0; to < n_ids; to++)
                        t->distance[(size_t) from * n_ids + to] = from == to ? DISTANCE_LOCAL : DISTANCE_REMOTE_DEFAULT;
        for (unsigned cpu = 0; cpu < n_cpu_ids; cpu++)
                t->node_of_cpu[cpu] = -1;
        return t;
}

struct topology *topology_free(struct topology *t) {
        if (!t)
                return NULL;
        free(t->nodes);
        free(t->distance);
        free(t->node_of_cpu);
        free(t->latency_nsec);
        free(t->bandwidth_mibps);
        for (size_t i = 0; i < t->n_devices; i++)
                free(t->devices[i].name);
        free(t->devices);
        free(t);
        return NULL;
}

static const char *node_problem(const struct topology *t, unsigned id) {
        const struct topology_node *n = &t->nodes[id];
        if (!n->present)
                return n->n_cpus > 0 || n->n_cores > 0 || n->bytes_total > 0 || !cpu_mask_is_empty(&n->cpus)
                               ? "an absent node has CPUs or memory"
                               : NULL;
        if (cpu_mask_count(&n->cpus) != n->n_cpus)
                return "a node's number of CPUs is not that of its CPU mask";
        if (n->n_cores > n->n_cpus || (n->n_cores == 0) != (n->n_cpus == 0))
                return "a node's number of cores does not fit its number of CPUs";
        CPU_MASK_FOREACH (cpu, &n->cpus)
                if (topology_node_of_cpu(t, (unsigned) cpu) != (int) id)
                        return "a CPU of a node is said to be on another node, or on none";
        return NULL;
}

int topology_validate(const struct topology *t, const char **ret_why) {
        const char *why = NULL;
        bool any = false;
        for (unsigned id = 0; id < t->n_ids && !why; id++) {
                any = any || t->nodes[id].present;
                why = node_problem(t, id);
        }
        if (!why && !any)
                why = "there is no node";
        for (unsigned cpu = 0; cpu < t->n_cpu_ids && !why; cpu++) {
                int node = t->node_of_cpu[cpu];
                if (node >= (int) t->n_ids || (node >= 0 && !t->nodes[node].present))
                        why = "a CPU is on a node that is not present";
        }
        for (size_t i = 0; i < (size_t) t->n_ids * t->n_ids && !why; i++)
                if (t->distance[i] < DISTANCE_LOCAL)
                        why = "a distance is below 10, the distance of local memory";
        if (!why)
                return 0;
        *ret_why = why;
        return -EINVAL;
}

uint32_t topology_distance(const struct topology *t, unsigned from, unsigned to) {
        if (from >= t->n_ids || to >= t->n_ids)
                return DISTANCE_REMOTE_DEFAULT;
        return t->distance[(size_t) from * t->n_ids + to];
}

struct node_set topology_nodes(const struct topology *t) {
        struct node_set s = { 0 };
        for (unsigned id = 0; id < t->n_ids; id++)
                if (t->nodes[id].present)
                        node_set_add(&s, id);
        return s;
}

struct node_set topology_nodes_with_cpus(const struct topology *t) {
        struct node_set s = { 0 };
        for (unsigned id = 0; id < t->n_ids; id++)
                if (t->nodes[id].present && t->nodes[id].n_cpus > 0)
                        node_set_add(&s, id);
        return s;
}

struct node_set topology_nodes_with_memory(const struct topology *t) {
        struct node_set s = { 0 };
        for (unsigned id = 0; id < t->n_ids; id++)
                if (t->nodes[id].present && t->nodes[id].bytes_total > 0)
                        node_set_add(&s, id);
        return s;
}

unsigned topology_n_cores(const struct topology *t, const struct node_set *nodes) {
        unsigned n = 0;
        for (unsigned id = 0; id < t->n_ids; id++)
                if (node_set_has(nodes, id) && t->nodes[id].present)
                        n += t->nodes[id].n_cores;
        return n;
}

void topology_cpus_of(const struct topology *t, const struct node_set *nodes, struct cpu_mask *ret) {
        struct cpu_mask m = { 0 };
        for (unsigned id = 0; id < t->n_ids; id++)
                if (node_set_has(nodes, id) && t->nodes[id].present)
                        cpu_mask_or(&m, &t->nodes[id].cpus);
        *ret = m;
}

struct node_set topology_nodes_of_cpus(const struct topology *t, const struct cpu_mask *cpus) {
        struct node_set s = { 0 };
        CPU_MASK_FOREACH (cpu, cpus) {
                int node = topology_node_of_cpu(t, (unsigned) cpu);
                if (node >= 0)
                        node_set_add(&s, (unsigned) node);
        }
        return s;
}

int topology_node_of_cpu(const struct topology *t, unsigned cpu) {
        return cpu < t->n_cpu_ids ? t->node_of_cpu[cpu] : -1;
}

const struct topology_device *topology_device_find(const struct topology *t, const char *name) {
        size_t low = 0, high = t->n_devices;
        while (low < high) {
                size_t mid = low + (high - low) / 2;
                int r = strcmp(t->devices[mid].name, name);
                if (r == 0)
                        return &t->devices[mid];
                if (r < 0)
                        low = mid + 1;
                else
                        high = mid;
        }
        return NULL;
}

bool topology_same_but_for_devices(const struct topology *a, const struct topology *b) {
        if (a->n_ids != b->n_ids || a->n_cpu_ids != b->n_cpu_ids)
                return false;
        for (unsigned i = 0; i < a->n_ids; i++)
                if (a->nodes[i].present != b->nodes[i].present || !cpu_mask_equal(&a->nodes[i].cpus, &b->nodes[i].cpus) ||
                    (a->nodes[i].bytes_total > 0) != (b->nodes[i].bytes_total > 0))
                        return false;
        size_t n_pairs = (size_t) a->n_ids * a->n_ids;
        return memcmp(a->distance, b->distance, n_pairs * sizeof *a->distance) == 0 &&
               (a->n_cpu_ids == 0 || memcmp(a->node_of_cpu, b->node_of_cpu, a->n_cpu_ids * sizeof *a->node_of_cpu) == 0);
}

void topology_swap_devices(struct topology *a, struct topology *b) {
        struct topology_device *devices = a->devices;
        size_t n = a->n_devices;
        a->devices = b->devices;
        a->n_devices = b->n_devices;
        b->devices = devices;
        b->n_devices = n;
}
