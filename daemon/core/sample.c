/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What was seen of a service, and the two numbers that say how well it sits. */
#include "core/sample.h"

#include <string.h>

#include "core/util.h"

const char *owner_to_string(enum owner o) {
        static const char *const table[_OWNER_MAX] = {
                [OWNER_SYSTEMD] = "systemd",
                [OWNER_CGROUPFS] = "cgroupfs",
                [OWNER_NONE] = "none",
        };
        return (int) o >= 0 && o < _OWNER_MAX ? table[o] : "invalid";
}

void service_sample_init(struct service_sample *s) {
        *s = (struct service_sample) {
                .owner = OWNER_NONE,
                .memory_pressure_centipercent = -1,
                .cpu_pressure_centipercent = -1,
                .cpu_total_usec = USEC_INFINITY,
        };
}

int service_sample_alloc(struct service_sample *s, unsigned n_ids) {
        uint64_t **const arrays[] = {
                &s->bytes_by_node,   &s->mapped_file_by_node,     &s->borrowed_by_node,
                &s->movable_by_node, &s->hugetlb_movable_by_node, &s->cpu_usec_by_node,
        };
        for (size_t i = 0; i < ARRAY_SIZE(arrays); i++) {
                free(*arrays[i]);
                *arrays[i] = calloc((size_t) n_ids + 1, sizeof **arrays[i]);
                if (!*arrays[i])
                        return -ENOMEM;
        }
        free(s->cpu_share_by_node);
        s->cpu_share_by_node = calloc((size_t) n_ids + 1, sizeof *s->cpu_share_by_node);
        return s->cpu_share_by_node ? 0 : -ENOMEM;
}

void service_sample_done(struct service_sample *s) {
        free(s->cgroup);
        free(s->unit);
        free(s->owner_detail);
        free(s->processes);
        free(s->bytes_by_node);
        free(s->mapped_file_by_node);
        free(s->borrowed_by_node);
        free(s->movable_by_node);
        free(s->hugetlb_movable_by_node);
        free(s->cpu_usec_by_node);
        free(s->cpu_share_by_node);
        free(s->own_policy);
        service_sample_init(s);
}

uint64_t sum_by_node(const uint64_t *by_node, unsigned n_ids) {
        uint64_t sum = 0;
        for (unsigned i = 0; i < n_ids; i++)
                sum += by_node[i];
        return sum;
}

uint64_t sample_size_bytes(const struct service_sample *s, unsigned n_ids) {
        uint64_t bytes = sum_by_node(s->bytes_by_node, n_ids) + (s->deep ? 0 : s->hugetlb_bytes);
        return MAX2(bytes, s->shared_bytes);
}

static uint64_t sum_shares(const uint32_t *share_by_node, unsigned n_ids) {
        uint64_t sum = 0;
        for (unsigned i = 0; i < n_ids; i++)
                sum += share_by_node[i];
        return sum;
}

struct node_set sample_nodes_with_bytes(const struct service_sample *s, unsigned n_ids) {
        struct node_set nodes = { 0 };
        for (unsigned i = 0; i < n_ids; i++)
                if (s->bytes_by_node[i] > 0)
                        node_set_add(&nodes, i);
        return nodes;
}

double sample_locality(const struct service_sample *s, unsigned n_ids) {
        uint64_t bytes = sum_by_node(s->bytes_by_node, n_ids), shares = sum_shares(s->cpu_share_by_node, n_ids);
        if (bytes == 0 || shares == 0)
                return 0;
        double sum = 0;
        for (unsigned i = 0; i < n_ids; i++)
                sum += (double) s->cpu_share_by_node[i] * (double) s->bytes_by_node[i];
        return sum / (double) shares / (double) bytes;
}

/* Σ over nodes of byte count × distance from one node. */
static double distance_sum(const uint64_t *bytes_by_node, const struct topology *t, unsigned from) {
        const uint32_t *distances = t->distance + (size_t) from * t->n_ids;
        double sum = 0;
        for (unsigned to = 0; to < t->n_ids; to++)
                sum += (double) bytes_by_node[to] * distances[to];
        return sum;
}

double sample_distance(const struct service_sample *s, const struct topology *t) {
        uint64_t bytes = sum_by_node(s->bytes_by_node, t->n_ids), shares = sum_shares(s->cpu_share_by_node, t->n_ids);
        if (bytes == 0 || shares == 0)
                return 0;
        double sum = 0;
        for (unsigned from = 0; from < t->n_ids; from++)
                if (s->cpu_share_by_node[from] > 0)
                        sum += distance_sum(s->bytes_by_node, t, from) * s->cpu_share_by_node[from];
        return sum / (double) shares / (double) bytes;
}

double sample_distance_from(const struct service_sample *s, const struct topology *t, const struct node_set *cpus) {
        uint64_t bytes = sum_by_node(s->bytes_by_node, t->n_ids);
        double sum = 0;
        unsigned n_cpus = 0;
        NODE_SET_FOREACH (from, cpus)
                if ((unsigned) from < t->n_ids) {
                        sum += distance_sum(s->bytes_by_node, t, from) * t->nodes[from].n_cpus;
                        n_cpus += t->nodes[from].n_cpus;
                }
        return bytes > 0 && n_cpus > 0 ? sum / n_cpus / (double) bytes : 0;
}

const struct applied *applied_find(const struct applied *applied, size_t n, const char *cgroup) {
        size_t at = FIRST_NOT_BEFORE(i, n, strcmp(applied[i].cgroup, cgroup) < 0);
        return at < n && strcmp(applied[at].cgroup, cgroup) == 0 ? &applied[at] : NULL;
}
