/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is told to the outside about services and the daemon: one description, from which D-Bus, --once and the client's JSON and
 * tables are made. The JSON field names are a contract (see numabalancectl(1)). */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/kernel-memory.h"
#include "core/plan.h"
#include "core/sample.h"

/* {unit, cgroup, rule, place, state, reason, home_nodes, bytes_total, bytes_by_node, cpu_by_node, locality, distance, owner, processes, threads}.
 * Arrays …_by_node: index = node id. cpu_by_node and locality: 0…1 with at most 4 decimals; distance: 2. home_nodes: where its memory
 * belongs, or where memory is left alone its CPUs; [] if it has no home. rule, place: null if none. Texts are cleaned (text_clean).
 * `state`/`reason` override the placement's where the manager knows better (moving); NULL reason: the placement's. `p` may be NULL (just observed).
 * The caller puts the object; NULL when memory ran out. */
struct json_object *view_service(const struct topology *t, const struct service_sample *s, const struct placement *p,
                                 enum service_state state, const char *reason);
/* The same plus `seen` (what was read in detail, self-management, what cannot be moved), `rule_detail` (where it was written), `decision`,
 * `candidates` [{nodes, cost, feasible, chosen, verdict, terms, excluded_by}] and `would_change` [text]: what would bring another decision.
 * cost and terms {distance, bandwidth, load, breadth, fill, moving} are null where they mean nothing (neither feasible nor chosen); excluded_by is
 * {constraint, rule} (rule null: its cpuset) or null. `e` may be NULL: no candidates are told. */
struct json_object *view_explain(const struct topology *t, const struct service_sample *s, const struct placement *p,
                                 const struct explanation *e, enum service_state state, const char *reason);
/* {nodes: [{id, cpus, n_cpus, n_cores, bytes_total, bytes_free, distances, latency, bandwidth, latencies, bandwidths, devices}], devices: [{name,
 * nodes}]}. cpus: list format ("0-3,8"), usable ones; distances: index = node id, null for ids that no node has. latency (ns) and bandwidth (MiB/s):
 * of reading the node's memory from its own CPUs, or where it has none from the best; latencies, bandwidths: from its CPUs, index = node that
 * has the memory; null where not known (the whole array, where no pair is). A node's devices: names of those closest to it; nodes of a device: [] if not told. `m` may be NULL:
 * bytes_free is null. */
struct json_object *view_topology(const struct topology *t, const struct machine_sample *m);

/* Adds kernel_balancing, kernel_demotion (null where this kernel has none), memory_tiers [{id, nodes}] and, where the daemon has switched the balancing off
 * (`before` not NULL), kernel_balancing_before to view_topology()'s. */
void view_put_kernel(struct json_object **topology, const struct kernel_memory *k, const uint64_t *before);

/* The array of candidates that explain and advice have. */
struct json_object *view_candidates(const struct explanation *e);

/* When something is done about a service. */
enum plan_when {
        WHEN_NONE,      /* nothing is to be done */
        WHEN_NOW,       /* with the next cycle */
        WHEN_LATER,     /* decided, and waits; the reason says for what */
        WHEN_UNDER_WAY, /* being moved */
        WHEN_BLOCKED,
        _WHEN_MAX,
};
const char *plan_when_to_string(enum plan_when w);

struct planned {
        const struct service_sample *sample;
        const struct placement *placement;
        enum service_state state;
        enum plan_when when;
        struct node_set home; /* now */
        char *reason;         /* NULL: the placement's */
};
/* {age_usec, dry_run, paused, services: [{unit, cgroup, rule, place, state, when, home_nodes, next_nodes, cpus (list format, null: left alone),
 * bytes_to_move, distance_before, distance_after, gain (0…1), reason}], totals: {services, now, later, under_way, blocked, bytes_to_move,
 * distance_before, distance_after (means weighted by memory)}}. */
struct json_object *view_plan(const struct topology *t, const struct planned *planned, size_t n, uint64_t age_usec, bool dry_run,
                              bool paused);
struct json_object *view_planned(const struct topology *t, const struct planned *planned); /* one of the services */
/* {nodes, node_list, fits, cpus, bytes, reason, candidates}. */
struct json_object *view_advice(const struct advice *a, uint64_t mcpu, uint64_t bytes);

/* D-Bus has no null: put back the null members that were left out on the way. */
void view_complete_service(struct json_object *service);
void view_complete_explain(struct json_object *explained);
void view_complete_candidates(struct json_object *o); /* explained, or advice */
void view_complete_plan(struct json_object *plan);
void view_complete_history(struct json_object *events);
void view_complete(struct json_object *o, const char *const *keys, size_t n); /* not an object: nothing */
