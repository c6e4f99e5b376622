/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is told to the outside about services: one description for D-Bus, --once, JSON and tables. */
#include "report/view.h"

#include "core/util.h"
#include "report/json.h"

/* A share or a locality says nothing beyond its fourth decimal. A distance says nothing beyond its second, but one that were rounded here and once more in a
 * table would be a tenth beside the same in a reason. */
#define SHARE_DECIMALS    4
#define DISTANCE_DECIMALS 4

/* Where the service belongs: its memory, or where memory is left alone its CPUs. */
static struct node_set home_of(const struct placement *p) {
        if (!p)
                return (struct node_set) { 0 };
        return node_set_is_empty(&p->home_mems) ? p->home_cpus : p->home_mems;
}

static void put_shares(struct json_object **o, const char *key, const uint32_t *millionths, unsigned n) {
        struct json_object *array = json_object_new_array();
        for (unsigned i = 0; array && i < n; i++) {
                struct json_object *share = json_new_number(millionths[i] / 1e6, SHARE_DECIMALS);
                if (!share || json_object_array_add(array, share) != 0) {
                        json_object_put(share);
                        json_object_put(array);
                        array = NULL;
                }
        }
        json_put(o, key, array);
}

struct json_object *view_service(const struct topology *t, const struct service_sample *s, const struct placement *p,
                                 enum service_state state, const char *reason) {
        struct json_object *o = json_object_new_object();
        struct node_set home = home_of(p);
        uint64_t bytes = sum_by_node(s->bytes_by_node, t->n_ids);

        json_put_string(&o, "unit", s->unit);
        json_put_string(&o, "cgroup", s->cgroup);
        json_put_string(&o, "rule", s->rule ? s->rule->name : NULL);
        json_put_string(&o, "place", s->rule ? place_to_string(s->rule->place) : NULL);
        json_put_string(&o, "state", service_state_to_string(state));
        json_put_string(&o, "reason", reason ? reason : p && p->reason ? p->reason : "");
        json_put_nodes(&o, "home_nodes", &home);
        json_put_int(&o, "bytes_total", bytes);
        json_put_u64s(&o, "bytes_by_node", s->bytes_by_node, t->n_ids);
        json_put_int(&o, "bytes_by_node_age_usec", s->bytes_age_usec);
        put_shares(&o, "cpu_by_node", s->cpu_share_by_node, t->n_ids);
        json_put_int(&o, "cpu_by_node_age_usec", s->threads_age_usec);
        json_put_number(&o, "locality", sample_locality(s, t->n_ids), SHARE_DECIMALS);
        json_put_number(&o, "distance", sample_distance(s, t), DISTANCE_DECIMALS);
        json_put_string(&o, "owner", owner_to_string(s->owner));
        json_put_int(&o, "processes", s->n_processes);
        json_put_int(&o, "threads", s->n_threads);
        return o;
}

static void put_pressure(struct json_object **o, const char *key, int centipercent) {
        if (centipercent >= 0)
                json_put_number(o, key, centipercent / 100.0, 2);
        else
                json_put_null(o, key);
}

static struct json_object *view_seen(const struct topology *t, const struct service_sample *s, const struct placement *p) {
        struct json_object *o = json_object_new_object();
        json_put_bool(&o, "memory_map_read", s->deep);
        json_put_int(&o, "hugetlb_bytes", s->hugetlb_bytes);
        if (s->deep)
                json_put_u64s(&o, "movable_by_node", s->movable_by_node, t->n_ids);
        struct node_set home = home_of(p);
        if (!node_set_is_empty(&home))
                json_put_int(&o, "unmovable_bytes", p->bytes_fixed);
        json_put_u64s(&o, "cpu_usec_by_node", s->cpu_usec_by_node, t->n_ids);
        json_put_int(&o, "cpu_window_usec", s->cpu_window_usec);
        json_put_nodes(&o, "effective_cpu_nodes", &s->effective_cpu_nodes);
        json_put_nodes(&o, "effective_memory_nodes", &s->effective_mems);
        json_put_bool(&o, "cpus_set_by_administrator", s->admin_cpus);
        json_put_bool(&o, "memory_nodes_set_by_administrator", s->admin_mems);
        json_put_bool(&o, "self_managed", s->self_managed);
        json_put_bool(&o, "has_bound_mappings", s->has_bound_mappings);
        json_put_bool(&o, "maps_incomplete", s->maps_incomplete);
        json_put_bool(&o, "binds_threads", s->binds_threads);
        if (s->binds_threads)
                json_put_nodes(&o, "thread_nodes", &s->thread_nodes);
        json_put_string(&o, "own_policy", s->own_policy);
        json_put_string(&o, "owner_detail", s->owner_detail);
        put_pressure(&o, "memory_pressure_percent", s->memory_pressure_centipercent);
        put_pressure(&o, "cpu_pressure_percent", s->cpu_pressure_centipercent);
        return o;
}

static struct json_object *view_rule(const struct rule *r) {
        struct json_object *o = json_object_new_object();
        json_put_string(&o, "file", r->file);
        json_put_int(&o, "line", r->line);
        json_put_string(&o, "memory", memory_mode_to_string(r->memory));
        json_put_string(&o, "cpus", cpus_mode_to_string(r->cpus));
        json_put_int(&o, "min_size_bytes", r->min_size_bytes);
        json_put_number(&o, "min_gain", r->min_gain_permille / 1000.0, SHARE_DECIMALS);
        json_put_int(&o, "cooldown_usec", r->cooldown_usec);
        return o;
}

static struct json_object *view_decision(const struct placement *p) {
        struct json_object *o = json_object_new_object();
        json_put_bool(&o, "act", p->act);
        json_put_nodes(&o, "home_cpu_nodes", &p->home_cpus);
        json_put_nodes(&o, "home_memory_nodes", &p->home_mems);
        json_put_bool(&o, "restrict_cpus", p->restrict_cpus);
        json_put_bool(&o, "narrow_memory_nodes", p->narrow_mems);
        json_put_bool(&o, "widen_memory_nodes", p->widen_mems);
        json_put_bool(&o, "move_memory", p->move_memory);
        json_put_int(&o, "bytes_to_move", p->bytes_to_move);
        json_put_number(&o, "distance_before", p->distance_before, DISTANCE_DECIMALS);
        json_put_number(&o, "distance_after", p->distance_after, DISTANCE_DECIMALS);
        return o;
}

static struct json_object *view_terms(const struct cost_terms *t) {
        struct json_object *o = json_object_new_object();
        json_put_number(&o, "distance", t->distance, DISTANCE_DECIMALS);
        json_put_number(&o, "bandwidth", t->bandwidth, DISTANCE_DECIMALS);
        json_put_number(&o, "load", t->load, DISTANCE_DECIMALS);
        json_put_number(&o, "fill", t->fill, DISTANCE_DECIMALS);
        json_put_number(&o, "moving", t->moving, DISTANCE_DECIMALS);
        json_put_number(&o, "breadth", t->breadth, DISTANCE_DECIMALS);
        json_put_number(&o, "device", t->device, DISTANCE_DECIMALS);
        return o;
}

static struct json_object *view_exclusion(const struct exclusion *x) {
        struct json_object *o = json_object_new_object();
        json_put_string(&o, "constraint", constraint_to_string(x->constraint));
        json_put_string(&o, "rule", x->rule ? x->rule->name : NULL);
        return o;
}

static struct json_object *view_candidate(const struct candidate *c) {
        struct json_object *o = json_object_new_object();
        _cleanup_free_ char *verdict = candidate_verdict(c);
        bool meant = c->feasible || c->chosen;
        json_put_nodes(&o, "nodes", &c->nodes);
        if (meant)
                json_put_number(&o, "cost", c->cost, DISTANCE_DECIMALS);
        else
                json_put_null(&o, "cost");
        json_put_bool(&o, "feasible", c->feasible);
        json_put_bool(&o, "chosen", c->chosen);
        json_put(&o, "verdict", verdict ? json_object_new_string(verdict) : NULL);
        if (meant)
                json_put(&o, "terms", view_terms(&c->terms));
        else
                json_put_null(&o, "terms");
        if (c->excluded_by.constraint != CONSTRAINT_NONE)
                json_put(&o, "excluded_by", view_exclusion(&c->excluded_by));
        else
                json_put_null(&o, "excluded_by");
        return o;
}

struct json_object *view_candidates(const struct explanation *e) {
        struct json_object *array = json_object_new_array();
        for (size_t i = 0; array && e && i < e->n_candidates; i++) {
                struct json_object *o = view_candidate(&e->candidates[i]);
                if (!o || json_object_array_add(array, o) != 0) {
                        json_object_put(o);
                        json_object_put(array);
                        array = NULL;
                }
        }
        return array;
}

static struct json_object *view_changes(const struct explanation *e) {
        struct json_object *array = json_object_new_array();
        for (size_t i = 0; array && e && i < e->n_would_change; i++) {
                struct json_object *text = json_object_new_string(e->would_change[i]);
                if (!text || json_object_array_add(array, text) != 0) {
                        json_object_put(text);
                        json_object_put(array);
                        array = NULL;
                }
        }
        return array;
}

struct json_object *view_explain(const struct topology *t, const struct service_sample *s, const struct placement *p,
                                 const struct explanation *e, enum service_state state, const char *reason) {
        struct json_object *o = view_service(t, s, p, state, reason);
        json_put(&o, "seen", view_seen(t, s, p));
        if (s->rule)
                json_put(&o, "rule_detail", view_rule(s->rule));
        else
                json_put_null(&o, "rule_detail");
        if (p)
                json_put(&o, "decision", view_decision(p));
        else
                json_put_null(&o, "decision");
        json_put(&o, "candidates", view_candidates(e));
        json_put(&o, "would_change", view_changes(e));
        return o;
}

void view_complete(struct json_object *o, const char *const *keys, size_t n) {
        for (size_t i = 0; i < n && json_object_is_type(o, json_type_object); i++)
                if (!json_object_object_get_ex(o, keys[i], NULL))
                        (void) json_object_object_add(o, keys[i], NULL);
}

void view_complete_service(struct json_object *service) {
        static const char *const keys[] = { "rule", "place" };
        view_complete(service, keys, ARRAY_SIZE(keys));
}

static bool get_typed(struct json_object *o, const char *key, enum json_type type, struct json_object **ret) {
        return json_object_object_get_ex(o, key, ret) && json_object_is_type(*ret, type);
}

void view_complete_candidates(struct json_object *o) {
        static const char *const keys[] = { "cost", "terms", "excluded_by" }, *const exclusion_keys[] = { "rule" };
        struct json_object *candidates, *exclusion;
        if (!get_typed(o, "candidates", json_type_array, &candidates))
                return;
        for (size_t i = 0; i < json_object_array_length(candidates); i++) {
                struct json_object *c = json_object_array_get_idx(candidates, i);
                if (!json_object_is_type(c, json_type_object))
                        continue;
                view_complete(c, keys, ARRAY_SIZE(keys));
                if (get_typed(c, "excluded_by", json_type_object, &exclusion))
                        view_complete(exclusion, exclusion_keys, ARRAY_SIZE(exclusion_keys));
        }
}

void view_complete_explain(struct json_object *explained) {
        static const char *const keys[] = { "rule_detail", "decision" }, *const seen_keys[] = { "own_policy", "owner_detail",
                                                                                                "memory_pressure_percent",
                                                                                                "cpu_pressure_percent" };
        struct json_object *seen;
        view_complete_service(explained);
        view_complete(explained, keys, ARRAY_SIZE(keys));
        if (json_object_object_get_ex(explained, "seen", &seen))
                view_complete(seen, seen_keys, ARRAY_SIZE(seen_keys));
        view_complete_candidates(explained);
}
