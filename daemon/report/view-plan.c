/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is told of a plan that was not applied, and of the advice where a new service should start. */
#include <string.h>

#include "core/util.h"
#include "report/json.h"
#include "report/view.h"

#define SHARE_DECIMALS    4
#define DISTANCE_DECIMALS 4

const char *plan_when_to_string(enum plan_when w) {
        static const char *const names[] = {
                [WHEN_NONE] = "none",           [WHEN_NOW] = "now",         [WHEN_LATER] = "later",
                [WHEN_UNDER_WAY] = "under-way", [WHEN_BLOCKED] = "blocked",
        };
        return names[w];
}

/* The CPUs that it would be held to, in list format; null where they are left alone. */
static void put_cpus(struct json_object **o, const struct topology *t, const struct placement *p) {
        struct cpu_mask cpus = { 0 };
        if (!p->restrict_cpus) {
                json_put_null(o, "cpus");
                return;
        }
        topology_cpus_of(t, &p->home_cpus, &cpus);
        _cleanup_free_ char *list = cpu_mask_format(&cpus);
        json_put(o, "cpus", list ? json_object_new_string(list) : NULL);
}

static double gain_of(const struct placement *p) {
        return p->distance_before > 0 && p->distance_after < p->distance_before
                       ? (p->distance_before - p->distance_after) / p->distance_before
                       : 0;
}

static bool is_wanted(enum plan_when w) {
        return w == WHEN_NOW || w == WHEN_LATER;
}

struct json_object *view_planned(const struct topology *t, const struct planned *planned) {
        const struct service_sample *s = planned->sample;
        const struct placement *p = planned->placement;
        struct json_object *o = json_object_new_object();
        struct node_set next = node_set_is_empty(&p->home_mems) ? p->home_cpus : p->home_mems;
        json_put_string(&o, "unit", s->unit);
        json_put_string(&o, "cgroup", s->cgroup);
        json_put_string(&o, "rule", s->rule ? s->rule->name : NULL);
        json_put_string(&o, "place", s->rule ? place_to_string(s->rule->place) : NULL);
        json_put_string(&o, "state", service_state_to_string(planned->state));
        json_put_string(&o, "when", plan_when_to_string(planned->when));
        json_put_nodes(&o, "home_nodes", &planned->home);
        json_put_nodes(&o, "next_nodes", &next);
        put_cpus(&o, t, p);
        json_put_int(&o, "bytes_to_move", is_wanted(planned->when) || planned->when == WHEN_UNDER_WAY ? p->bytes_to_move : 0);
        json_put_number(&o, "distance_before", p->distance_before, DISTANCE_DECIMALS);
        json_put_number(&o, "distance_after", p->distance_after, DISTANCE_DECIMALS);
        json_put_number(&o, "gain", gain_of(p), SHARE_DECIMALS);
        json_put_string(&o, "reason", planned->reason ? planned->reason : p->reason);
        return o;
}

struct totals {
        uint64_t n[_WHEN_MAX], bytes_to_move, weight;
        double before, after; /* distance × bytes */
};

static void add_up(struct totals *sum, const struct topology *t, const struct planned *planned) {
        const struct placement *p = planned->placement;
        uint64_t bytes = sum_by_node(planned->sample->bytes_by_node, t->n_ids);
        sum->n[planned->when]++;
        if (is_wanted(planned->when))
                sum->bytes_to_move += p->bytes_to_move;
        if (p->distance_before <= 0)
                return;
        sum->weight += bytes;
        sum->before += p->distance_before * (double) bytes;
        sum->after += (is_wanted(planned->when) ? p->distance_after : p->distance_before) * (double) bytes;
}

static struct json_object *view_totals(const struct totals *sum, size_t n) {
        struct json_object *o = json_object_new_object();
        double weight = sum->weight > 0 ? (double) sum->weight : 1;
        json_put_int(&o, "services", n);
        json_put_int(&o, "now", sum->n[WHEN_NOW]);
        json_put_int(&o, "later", sum->n[WHEN_LATER]);
        json_put_int(&o, "under_way", sum->n[WHEN_UNDER_WAY]);
        json_put_int(&o, "blocked", sum->n[WHEN_BLOCKED]);
        json_put_int(&o, "bytes_to_move", sum->bytes_to_move);
        json_put_number(&o, "distance_before", sum->before / weight, DISTANCE_DECIMALS);
        json_put_number(&o, "distance_after", sum->after / weight, DISTANCE_DECIMALS);
        return o;
}

struct json_object *view_plan(const struct topology *t, const struct planned *planned, size_t n, uint64_t age_usec, bool dry_run,
                              bool paused) {
        struct json_object *o = json_object_new_object(), *services = json_object_new_array();
        struct totals sum = { 0 };
        json_put_int(&o, "age_usec", age_usec);
        json_put_bool(&o, "dry_run", dry_run);
        json_put_bool(&o, "paused", paused);
        for (size_t i = 0; services && i < n; i++) {
                struct json_object *row = view_planned(t, &planned[i]);
                add_up(&sum, t, &planned[i]);
                if (!row || json_object_array_add(services, row) != 0) {
                        json_object_put(row);
                        json_object_put(services);
                        services = NULL;
                }
        }
        json_put(&o, "services", services);
        json_put(&o, "totals", view_totals(&sum, n));
        return o;
}

struct json_object *view_advice(const struct advice *a, uint64_t mcpu, uint64_t bytes) {
        struct json_object *o = json_object_new_object();
        _cleanup_free_ char *list = node_set_format(&a->nodes);
        json_put_nodes(&o, "nodes", &a->nodes);
        json_put(&o, "node_list", list ? json_object_new_string(list) : NULL);
        json_put_bool(&o, "fits", a->fits);
        json_put_number(&o, "cpus", (double) mcpu / 1000, 3);
        json_put_int(&o, "bytes", bytes);
        json_put_string(&o, "reason", a->reason);
        json_put(&o, "candidates", view_candidates(&a->explanation));
        return o;
}

static struct json_object *array_at(struct json_object *o, const char *key) {
        struct json_object *array;
        return json_object_is_type(o, json_type_object) && json_object_object_get_ex(o, key, &array) &&
                               json_object_is_type(array, json_type_array)
                       ? array
                       : NULL;
}

void view_complete_plan(struct json_object *plan) {
        static const char *const keys[] = { "rule", "place", "cpus" };
        struct json_object *services = array_at(plan, "services");
        for (size_t i = 0; services && i < json_object_array_length(services); i++)
                view_complete(json_object_array_get_idx(services, i), keys, ARRAY_SIZE(keys));
}

void view_complete_history(struct json_object *events) {
        static const char *const keys[] = {
                "rule", "locality_before", "locality_after", "effort", "undone_by", "undone_also_by"
        };
        if (!json_object_is_type(events, json_type_array))
                return;
        for (size_t i = 0; i < json_object_array_length(events); i++)
                view_complete(json_object_array_get_idx(events, i), keys, ARRAY_SIZE(keys));
}
