/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is told to the outside about the machine. */
#include "core/util.h"
#include "report/json.h"
#include "report/view.h"

/* Index = node id; null for ids that no node has. */
static struct json_object *view_distances(const struct topology *t, unsigned from) {
        struct json_object *array = json_object_new_array();
        for (unsigned to = 0; array && to < t->n_ids; to++)
                if (t->nodes[to].present)
                        json_append(&array, json_object_new_int64(topology_distance(t, from, to)));
                else
                        json_append_null(&array);
        return array;
}

/* The same of a matrix that may have holes: null. */
static struct json_object *view_row(const struct topology *t, const uint32_t *matrix, unsigned from) {
        struct json_object *array = json_object_new_array();
        for (unsigned to = 0; array && to < t->n_ids; to++) {
                uint32_t value = matrix[(size_t) from * t->n_ids + to];
                if (value > 0)
                        json_append(&array, json_object_new_int64(value));
                else
                        json_append_null(&array);
        }
        return array;
}

/* Of the node's memory as its own CPUs see it, or where it has none those that see it best. 0: not known. */
static uint32_t best_value(const struct topology *t, const uint32_t *matrix, unsigned to, bool lower_is_better) {
        uint32_t best = 0;
        if (!matrix)
                return 0;
        if (matrix[(size_t) to * t->n_ids + to] > 0)
                return matrix[(size_t) to * t->n_ids + to];
        for (unsigned from = 0; from < t->n_ids; from++) {
                uint32_t value = matrix[(size_t) from * t->n_ids + to];
                if (value > 0 && (best == 0 || (lower_is_better ? value < best : value > best)))
                        best = value;
        }
        return best;
}

static void put_row(struct json_object **o, const char *key, const struct topology *t, const uint32_t *matrix, unsigned from) {
        if (matrix)
                json_put(o, key, view_row(t, matrix, from));
        else
                json_put_null(o, key);
}

static void put_known(struct json_object **o, const char *key, uint32_t value) {
        if (value > 0)
                json_put_int(o, key, value);
        else
                json_put_null(o, key);
}

static struct json_object *view_devices(const struct topology *t) {
        struct json_object *array = json_object_new_array();
        for (size_t i = 0; array && i < t->n_devices; i++) {
                struct json_object *o = json_object_new_object();
                json_put_string(&o, "name", t->devices[i].name);
                json_put_nodes(&o, "nodes", &t->devices[i].nodes);
                json_append(&array, o);
        }
        return array;
}

static struct json_object *view_devices_of(const struct topology *t, unsigned id) {
        struct json_object *array = json_object_new_array();
        for (size_t i = 0; array && i < t->n_devices; i++)
                if (node_set_has(&t->devices[i].nodes, id))
                        json_append_string(&array, t->devices[i].name);
        return array;
}

static struct json_object *view_node(const struct topology *t, unsigned id, const struct node_memory *memory) {
        const struct topology_node *n = &t->nodes[id];
        struct json_object *o = json_object_new_object();
        _cleanup_free_ char *cpus = cpu_mask_format(&n->cpus);

        json_put_int(&o, "id", id);
        json_put(&o, "cpus", cpus ? json_object_new_string(cpus) : NULL);
        json_put_int(&o, "n_cpus", n->n_cpus);
        json_put_int(&o, "n_cores", n->n_cores);
        /* Without a total its memory could not be read; only a node that has none has nothing free for certain. */
        bool known = memory && memory->bytes_total > 0;
        json_put_int(&o, "bytes_total", known ? memory->bytes_total : n->bytes_total);
        if (known || n->bytes_total == 0)
                json_put_int(&o, "bytes_free", known ? memory->bytes_free : 0);
        else
                json_put_null(&o, "bytes_free");
        json_put(&o, "distances", view_distances(t, id));
        put_known(&o, "latency", best_value(t, t->latency_nsec, id, true));
        put_known(&o, "bandwidth", best_value(t, t->bandwidth_mibps, id, false));
        put_row(&o, "latencies", t, t->latency_nsec, id);
        put_row(&o, "bandwidths", t, t->bandwidth_mibps, id);
        json_put(&o, "devices", view_devices_of(t, id));
        return o;
}

struct json_object *view_topology(const struct topology *t, const struct machine_sample *m) {
        struct json_object *o = json_object_new_object(), *nodes = json_object_new_array();
        for (unsigned id = 0; nodes && id < t->n_ids; id++) {
                if (!t->nodes[id].present)
                        continue;
                json_append(&nodes, view_node(t, id, m && m->nodes ? &m->nodes[id] : NULL));
        }
        json_put(&o, "nodes", nodes);
        json_put(&o, "devices", view_devices(t));
        return o;
}

void view_put_kernel(struct json_object **topology, const struct kernel_memory *k, const uint64_t *before) {
        struct json_object *tiers = json_object_new_array();
        for (size_t i = 0; tiers && i < k->n_tiers; i++) {
                struct json_object *tier = json_object_new_object();
                json_put_int(&tier, "id", k->tiers[i].id);
                json_put_nodes(&tier, "nodes", &k->tiers[i].nodes);
                json_append(&tiers, tier);
        }
        if (k->has_balancing)
                json_put_int(topology, "kernel_balancing", k->balancing);
        else
                json_put_null(topology, "kernel_balancing");
        if (before)
                json_put_int(topology, "kernel_balancing_before", *before);
        if (k->has_demotion)
                json_put_bool(topology, "kernel_demotion", k->demotion);
        else
                json_put_null(topology, "kernel_demotion");
        json_put(topology, "memory_tiers", tiers);
}
