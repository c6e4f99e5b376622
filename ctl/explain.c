/* SPDX-License-Identifier: GPL-2.0-or-later */
/* numabalancectl explain: one service: what was seen, what was decided and why, and which places lost. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "candidate.h"
#include "client.h"
#include "out.h"
#include "report/format.h"
#include "report/view.h"
#include "table.h"

static void line(const char *name, const char *text) {
        (void) printf("  %-19s %s\n", name, text && *text ? text : "-");
}

static void line_owned(const char *name, char *text) {
        line(name, text);
        free(text);
}

static void print_service(struct json_object *s, const struct options *o) {
        const char *unit = get_string(s, "unit"), *rule = get_string(s, "rule"), *place = get_string(s, "place"),
                   *state = get_string(s, "state"), *colour = out_state_colour(state);
        struct json_object *detail = get_object(s, "rule_detail");
        const char *file = get_string(detail, "file");

        (void) printf("%s: %s%s%s\n", unit ? unit : "?", out_begin_colour(colour, o), state ? state : "?",
                      out_end_colour(colour, o));
        line("Reason", get_string(s, "reason"));
        line("Cgroup", get_string(s, "cgroup"));
        if (!rule)
                line("Rule", "none matches, so it is only observed");
        else if (file)
                line_owned("Rule",
                           format_string("%s (%s), %s:%" PRIu64, rule, place ? place : "?", file, get_u64(detail, "line")));
        else
                line_owned("Rule", format_string("%s (%s)", rule, place ? place : "?"));
}

static void line_nodes(const char *name, struct json_object *ids) {
        char *nodes = text_of_nodes(ids);
        line_owned(name,
                   nodes && *nodes != '-' ? format_string("%s %s", array_length(ids) == 1 ? "node" : "nodes", nodes) : NULL);
        free(nodes);
}

static void print_seen(struct json_object *s) {
        struct json_object *seen = get_object(s, "seen");
        (void) printf("\nSeen\n");
        uint64_t bytes = get_u64(s, "bytes_total"), processes = get_u64(s, "processes"), threads = get_u64(s, "threads");
        line_owned("Memory", format_string("%s in %" PRIu64 " %s, %" PRIu64 " %s", bytes > 0 ? FORMAT_BYTES(bytes) : "not known,",
                                           processes, processes == 1 ? "process" : "processes", threads,
                                           threads == 1 ? "thread" : "threads"));
        line_owned("Memory by node", text_of_bytes_by_node(get_array(s, "bytes_by_node")));
        if (!get_bool(seen, "memory_map_read"))
                line("Movable by node", "not known, its memory map was not read this time");
        else
                line_owned("Movable by node", text_of_bytes_by_node(get_array(seen, "movable_by_node")));
        if (get_u64(seen, "unmovable_bytes") > 0)
                line_owned("Cannot be moved", format_string("%s off home (shared, pinned or bound)",
                                                            FORMAT_BYTES(get_u64(seen, "unmovable_bytes"))));
        line_owned("CPU time by node", text_of_shares_by_node(get_array(s, "cpu_by_node")));
        if (get_double(s, "distance") > 0) {
                line_owned("Locality", format_string("%.2f (1.00 is all local)", get_double(s, "locality")));
                line_owned("Distance", format_string("%.1f (10.0 is all local)", get_double(s, "distance")));
        }
        line_nodes("CPUs allowed", get_array(seen, "effective_cpu_nodes"));
        line_nodes("Memory allowed", get_array(seen, "effective_memory_nodes"));
        if (get_bool(seen, "cpus_set_by_administrator") || get_bool(seen, "memory_nodes_set_by_administrator"))
                line("Administrator", "set these limits; they are kept to");
        if (get_string(seen, "own_policy"))
                line_owned("Its own policy",
                           format_string("%s%s", get_string(seen, "own_policy"),
                                         get_bool(seen, "self_managed") ? ": manages itself, nothing of it is moved" : ""));
        if (get_bool(seen, "has_bound_mappings"))
                line("Bound mappings", "some of its memory is bound by itself and stays there");
        if (get_bool(seen, "binds_threads"))
                line_nodes("Bound threads", get_array(seen, "thread_nodes"));
        if (get_string(seen, "owner_detail"))
                line("Not restricted", get_string(seen, "owner_detail"));
}

static void print_decision(struct json_object *s) {
        struct json_object *d = get_object(s, "decision");
        if (!d || !get_string(s, "rule"))
                return;
        (void) printf("\nDecided\n");
        line_nodes("Home of its CPUs", get_array(d, "home_cpu_nodes"));
        line_nodes("Home of its memory", get_array(d, "home_memory_nodes"));
        line_owned("To be moved", format_string("%s", FORMAT_BYTES(get_u64(d, "bytes_to_move"))));
        line_owned("Distance",
                   format_string("%.1f now, %.1f expected", get_double(d, "distance_before"), get_double(d, "distance_after")));
        line("CPUs", get_bool(d, "restrict_cpus") ? "restricted to their home" : "free");
        line("Memory nodes", get_bool(d, "widen_memory_nodes")    ? "given back: memory is short"
                             : get_bool(d, "narrow_memory_nodes") ? "narrowed to their home"
                                                                  : "free");
}

/* The terms of the cost, where the daemon tells them. */
static char *term_text(struct json_object *row, const char *term) {
        struct json_object *terms = get_object(row, "terms");
        return terms ? format_string("%.1f", get_double(terms, term)) : strdup("-");
}

#define TERM(name)                                                                                                               \
        static char *name##_text(struct json_object *row) {                                                                      \
                return term_text(row, #name);                                                                                    \
        }
TERM(distance)
TERM(bandwidth)
TERM(load)
TERM(fill)
TERM(moving)
TERM(breadth)
TERM(device)

/* "exclusive (rule db)" */
static char *excluded_text(struct json_object *row) {
        struct json_object *by = get_object(row, "excluded_by");
        const char *constraint = get_string(by, "constraint"), *rule = get_string(by, "rule");
        if (!constraint)
                return strdup("-");
        return rule && *rule ? format_string("%s (rule %s)", constraint, rule) : strdup(constraint);
}

static const struct column nodes_column = { .name = "NODES", .text = candidate_nodes, .colour = candidate_colour },
                           cost_column = { .name = "COST", .text = candidate_cost, .right = true },
                           verdict_column = { .name = "VERDICT", .key = "verdict", .colour = candidate_colour, .shrink = true },
                           excluded_column = { .name = "EXCLUDED BY", .text = excluded_text, .drop = 6 };
static const struct column term_columns[] = {
        { .name = "DISTANCE", .text = distance_text, .right = true, .drop = 5 },
        { .name = "BANDWIDTH", .text = bandwidth_text, .right = true, .drop = 4 },
        { .name = "LOAD", .text = load_text, .right = true, .drop = 3 },
        { .name = "FILL", .text = fill_text, .right = true, .drop = 1 },
        { .name = "MOVING", .text = moving_text, .right = true, .drop = 2 },
};
/* Shown where a candidate has any: of a home of several nodes, and beside place: near. */
static const struct {
        const char *term;
        struct column column;
} rare_columns[] = {
        { "breadth", { .name = "BREADTH", .text = breadth_text, .right = true, .drop = 2 } },
        { "device", { .name = "DEVICE", .text = device_text, .right = true, .drop = 4 } },
};

static bool any_has(struct json_object *candidates, const char *key) {
        for (size_t i = 0; i < array_length(candidates); i++)
                if (get_object(json_object_array_get_idx(candidates, i), key))
                        return true;
        return false;
}

static bool any_costs(struct json_object *candidates, const char *term) {
        for (size_t i = 0; i < array_length(candidates); i++)
                if (get_double(get_object(json_object_array_get_idx(candidates, i), "terms"), term) > 0)
                        return true;
        return false;
}

static int print_candidates(struct json_object *candidates, const struct options *o) {
        struct column columns[4 + ARRAY_SIZE(term_columns) + ARRAY_SIZE(rare_columns)];
        size_t n = 0;
        if (array_length(candidates) == 0)
                return EXIT_SUCCESS;
        columns[n++] = nodes_column;
        columns[n++] = cost_column;
        for (size_t i = 0; i < ARRAY_SIZE(term_columns) && any_has(candidates, "terms"); i++)
                columns[n++] = term_columns[i];
        for (size_t i = 0; i < ARRAY_SIZE(rare_columns); i++)
                if (any_costs(candidates, rare_columns[i].term))
                        columns[n++] = rare_columns[i].column;
        if (any_has(candidates, "excluded_by"))
                columns[n++] = excluded_column;
        columns[n++] = verdict_column;
        (void) printf("\nCandidates\n");
        return table_print(columns, n, candidates, o);
}

static void print_would_change(struct json_object *s) {
        struct json_object *changes = get_array(s, "would_change");
        if (array_length(changes) == 0)
                return;
        (void) printf("\nAnother decision if\n");
        for (size_t i = 0; i < array_length(changes); i++)
                (void) printf("  %s\n", json_object_get_string(json_object_array_get_idx(changes, i)));
}

static void line_pressure(const char *name, struct json_object *e, const char *before, const char *during) {
        struct json_object *value;
        if (!json_object_object_get_ex(e, during, &value) || !value)
                return;
        line_owned(name,
                   format_string("stalled %.1f%% of the time, %.1f%% before", get_double(e, during), get_double(e, before)));
}

/* What the last move did to it, as far as the daemon remembers one. */
static void print_last_move(struct json_object *events) {
        struct json_object *move = NULL;
        for (size_t i = 0; i < array_length(events); i++) {
                struct json_object *row = json_object_array_get_idx(events, i);
                move = get_object(row, "effort") ? row : move;
        }
        if (!move)
                return;
        struct json_object *e = get_object(move, "effort");
        (void) printf("\nLast move\n");
        line_owned("Moved", format_string("%s in %s, %s a second", FORMAT_BYTES(get_u64(move, "bytes")),
                                          FORMAT_USEC(get_u64(e, "duration_usec")), FORMAT_BYTES(get_u64(e, "bytes_per_sec"))));
        line_owned("Longest call", format_string("%s", FORMAT_USEC(get_u64(e, "longest_call_usec"))));
        line_owned("Longest slice", format_string("%s", FORMAT_USEC(get_u64(e, "longest_slice_usec"))));
        line_owned("Narrowing", format_string("%s", FORMAT_USEC(get_u64(e, "narrow_usec"))));
        struct json_object *by = get_object(e, "held_by");
        if (by) {
                json_object_object_foreach(by, cause, usec) {
                        uint64_t held = (uint64_t) json_object_get_int64(usec);
                        line_owned("Held back", format_string("%s for %s", FORMAT_USEC(held), cause));
                }
        }
        line_pressure("Memory pressure", e, "memory_pressure_before_percent", "memory_pressure_during_percent");
        line_pressure("CPU pressure", e, "cpu_pressure_before_percent", "cpu_pressure_during_percent");
}

static int run(char **arguments, const struct options *o) {
        _cleanup_json_ struct json_object *s = NULL;
        _cleanup_free_ char *unit = text_clean(arguments[0], false); /* as the daemon prints it; D-Bus carries no other */
        if (!unit)
                return out_error(EXIT_FAILURE, "out of memory");
        int r = client_call("Explain", 0, &s, NULL, "s", unit);
        if (r != EXIT_SUCCESS)
                return r;
        view_complete_explain(s);
        if (o->json != JSON_OFF)
                return out_json(s, o);
        _cleanup_json_ struct json_object *events = NULL;
        const char *cgroup = get_string(s, "cgroup");
        r = client_call("History", 0, &events, NULL, "s", cgroup ? cgroup : unit);
        if (r != EXIT_SUCCESS)
                return r;
        print_service(s, o);
        print_seen(s);
        print_decision(s);
        print_last_move(events);
        r = print_candidates(get_array(s, "candidates"), o);
        print_would_change(s);
        return r == EXIT_SUCCESS ? out_finish() : r;
}

const struct verb verb_explain = {
        .name = "explain",
        .arguments = "UNIT",
        .min_arguments = 1,
        .max_arguments = 1,
        .summary = "one service: what was seen, decided, and why",
        .help = "Shows one service, by its unit's name or its cgroup's path: what was seen of it, what was decided and why, and "
                "each place that was "
                "considered with what was for or against it; of its last move how fast it was and what it did to the service.",
        .run = run,
};
