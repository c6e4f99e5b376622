/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How far nodes are from each other: the firmware's SLIT, and where it has an HMAT latency and bandwidth (hwloc's memory attributes). */
#include "host/topology-load.h"

#include <stdio.h>

#include "core/util.h"
#include "host/io.h"

#define DISTANCE_LIMIT (64 * KIB)
#define DISTANCE_MAX   1000000u
#define INITIATORS_MAX 65536u /* of one node's attribute; the kernel tells one set of CPUs */

/* ACPI's scale is relative to local access = 10; other sources (a file, measured latencies) are brought to it. */
static uint32_t normalise(uint64_t value, uint64_t local) {
        uint64_t d = saturating_add(saturating_mul(value, DISTANCE_LOCAL), local / 2) / local;
        return (uint32_t) MIN2(MAX2(d, (uint64_t) DISTANCE_LOCAL), (uint64_t) DISTANCE_MAX);
}

static void set_distance(struct topology *t, unsigned from, unsigned to, uint64_t value, uint64_t local) {
        if (from < t->n_ids && to < t->n_ids && from != to && value > 0 && local > 0)
                t->distance[(size_t) from * t->n_ids + to] = normalise(value, local);
}

static bool distances_from_hwloc(struct loader *l) {
        struct hwloc_distances_s *d = NULL;
        unsigned n = 1;
        if (hwloc_distances_get_by_name(l->hwloc, "NUMALatency", &n, &d, 0) < 0 || n == 0) {
                n = 1;
                if (hwloc_distances_get_by_type(l->hwloc, HWLOC_OBJ_NUMANODE, &n, &d, HWLOC_DISTANCES_KIND_MEANS_LATENCY, 0) <
                            0 ||
                    n == 0)
                        return false;
        }
        for (unsigned i = 0; i < d->nbobjs; i++)
                for (unsigned j = 0; j < d->nbobjs; j++)
                        if (d->objs[i] && d->objs[j])
                                set_distance(l->topology, d->objs[i]->os_index, d->objs[j]->os_index,
                                             d->values[(size_t) i * d->nbobjs + j], d->values[(size_t) i * d->nbobjs + i]);
        hwloc_distances_release(l->hwloc, d);
        return true;
}

/* nodeN/distance has one number per present node, in ascending order of id. */
static void distances_from_sysfs(struct loader *l) {
        struct topology *t = l->topology;
        for (unsigned from = 0; from < t->n_ids && l->sysfs_fd >= 0; from++) {
                char path[64];
                _cleanup_free_ char *text = NULL;
                uint64_t values[NODE_ID_MAX + 1], local = 0;
                unsigned ids[NODE_ID_MAX + 1], n = 0;
                (void) snprintf(path, sizeof path, "sys/devices/system/node/node%u/distance", from);
                if (!t->nodes[from].present || read_file_at(l->sysfs_fd, path, DISTANCE_LIMIT, &text, NULL) < 0)
                        continue;
                text[strcspn(text, "\n")] = 0;
                char *rest = text;
                for (unsigned to = 0; to < t->n_ids; to++) {
                        char *word = t->nodes[to].present ? next_word(&rest) : NULL;
                        if (!word || parse_u64(word, &values[n]) < 0)
                                continue;
                        if (to == from)
                                local = values[n];
                        ids[n++] = to;
                }
                for (unsigned i = 0; i < n; i++)
                        set_distance(t, from, ids[i], values[i], local);
        }
}

void load_distances(struct loader *l) {
        if (!distances_from_hwloc(l))
                distances_from_sysfs(l);
}

/* The CPUs of an initiator; NULL: it is none that we know. */
static hwloc_const_cpuset_t initiator_cpus(const struct hwloc_location *where) {
        if (where->type == HWLOC_LOCATION_TYPE_CPUSET)
                return where->location.cpuset;
        return where->type == HWLOC_LOCATION_TYPE_OBJECT && where->location.object ? where->location.object->cpuset : NULL;
}

/* A value for all nodes that have a CPU among the initiator's. Where several speak of the same pair of nodes (parts of a node that are
 * unequally near) the worst is believed. */
static void set_attribute(const struct topology *t, uint32_t *matrix, unsigned to, hwloc_const_cpuset_t cpus, uint64_t value,
                          bool lower_is_better) {
        struct node_set from = { 0 };
        int cpu = -1;
        while ((cpu = hwloc_bitmap_next(cpus, cpu)) >= 0 && cpu < (int) t->n_cpu_ids)
                if (t->node_of_cpu[cpu] >= 0)
                        node_set_add(&from, (unsigned) t->node_of_cpu[cpu]);
        uint32_t capped = (uint32_t) MIN2(value, (uint64_t) UINT32_MAX);
        NODE_SET_FOREACH (node, &from) {
                uint32_t *at = &matrix[(size_t) node * t->n_ids + to];
                if (*at == 0 || (lower_is_better ? capped > *at : capped < *at))
                        *at = capped;
        }
}

static int load_attribute_of_node(struct loader *l, hwloc_memattr_id_t id, hwloc_obj_t node, uint32_t *matrix,
                                  bool lower_is_better, bool *ret_any) {
        unsigned n = 0;
        if (hwloc_memattr_get_initiators(l->hwloc, id, node, 0, &n, NULL, NULL) < 0 || n == 0)
                return 0;
        n = MIN2(n, INITIATORS_MAX);
        _cleanup_free_ struct hwloc_location *where = calloc(n, sizeof *where);
        _cleanup_free_ hwloc_uint64_t *values = calloc(n, sizeof *values);
        if (!where || !values)
                return -ENOMEM;
        unsigned room = n;
        if (hwloc_memattr_get_initiators(l->hwloc, id, node, 0, &n, where, values) < 0)
                return 0;
        for (unsigned i = 0; i < MIN2(n, room); i++) {
                hwloc_const_cpuset_t cpus = initiator_cpus(&where[i]);
                if (!cpus || values[i] == 0)
                        continue;
                set_attribute(l->topology, matrix, node->os_index, cpus, values[i], lower_is_better);
                *ret_any = true;
        }
        return 0;
}

/* That of reading, or where the firmware does not tell it apart that of any access. `*ret` stays NULL where neither is known. */
static int load_attribute(struct loader *l, hwloc_memattr_id_t read, hwloc_memattr_id_t either, bool lower_is_better,
                          uint32_t **ret) {
        const hwloc_memattr_id_t ids[] = { read, either };
        size_t n = (size_t) l->topology->n_ids * l->topology->n_ids;
        for (size_t i = 0; i < ARRAY_SIZE(ids) && !*ret; i++) {
                bool any = false;
                _cleanup_free_ uint32_t *matrix = calloc(n + 1, sizeof *matrix);
                int r = matrix ? 0 : -ENOMEM;
                for (hwloc_obj_t o = next_node(l, NULL); o && r == 0; o = next_node(l, o))
                        r = load_attribute_of_node(l, ids[i], o, matrix, lower_is_better, &any);
                if (r < 0)
                        return r;
                if (any)
                        *ret = TAKE_PTR(matrix);
        }
        return 0;
}

int load_memory_attributes(struct loader *l) {
        int r = load_attribute(l, HWLOC_MEMATTR_ID_READ_LATENCY, HWLOC_MEMATTR_ID_LATENCY, true, &l->topology->latency_nsec);
        if (r < 0)
                return r;
        return load_attribute(l, HWLOC_MEMATTR_ID_READ_BANDWIDTH, HWLOC_MEMATTR_ID_BANDWIDTH, false,
                              &l->topology->bandwidth_mibps);
}
