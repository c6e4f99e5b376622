/* SPDX-License-Identifier: GPL-2.0-or-later */
/* numabalancectl status: the daemon as a whole. */
#include <inttypes.h>
#include <stdio.h>

#include "client.h"
#include "out.h"
#include "report/format.h"

static void print_states(struct json_object *status, const struct options *o) {
        struct json_object *states = get_object(status, "states");
        (void) printf("Services:      %" PRIu64 " observed, %" PRIu64 " with a rule\n", get_u64(status, "services"),
                      get_u64(status, "managed"));
        if (!states)
                return;
        (void) printf("States:        ");
        const char *separator = "";
        json_object_object_foreach(states, state, count) {
                const char *colour = json_object_get_int64(count) > 0 ? out_state_colour(state) : NULL;
                (void) printf("%s%s%" PRId64 " %s%s", separator, out_begin_colour(colour, o), json_object_get_int64(count), state,
                              out_end_colour(colour, o));
                separator = ", ";
        }
        (void) printf("\n");
}

/* "timer 100, unit 12": only what has happened. */
static void print_reasons(struct json_object *status) {
        struct json_object *reasons = get_object(status, "cycles_by_reason");
        const char *last = get_string(status, "last_cycle_reason"), *separator = "";
        if (!reasons || !last)
                return;
        (void) printf("Woken by:      %s; so far ", last);
        json_object_object_foreach(reasons, reason, count) {
                if (json_object_get_int64(count) <= 0)
                        continue;
                (void) printf("%s%s %" PRId64, separator, reason, json_object_get_int64(count));
                separator = ", ";
        }
        (void) printf("\n");
}

static void print_watched(struct json_object *status) {
        struct json_object *w = get_object(status, "watched");
        if (!w)
                return;
        uint64_t above = get_u64(w, "memory_pressure_above"), left_out = get_u64(w, "left_out");
        (void) printf("Watched:       %" PRIu64 " services, %" PRIu64 " places for new ones, memory pressure of %" PRIu64,
                      get_u64(w, "cgroups"), get_u64(w, "directories"), get_u64(w, "memory_pressure"));
        if (above > 0)
                (void) printf(" and of %" PRIu64 " above", above);
        (void) printf(", CPU pressure of %" PRIu64, get_u64(w, "cpu_pressure"));
        if (left_out > 0)
                (void) printf("; %" PRIu64 " left out", left_out);
        (void) printf("\n");
}

static void print_status(struct json_object *s, const struct options *o) {
        const char *version = get_string(s, "version"), *config = get_string(s, "config"),
                   *mode = get_bool(s, "paused")    ? "paused: nothing is changed until \"numabalancectl resume\""
                           : get_bool(s, "dry_run") ? "dry run: nothing is changed"
                                                    : "changes are made";
        (void) printf("numabalanced %s, running for %s\n\n", version ? version : "?", FORMAT_USEC(get_u64(s, "uptime_usec")));
        (void) printf("Mode:          %s%s%s\n", out_begin_colour(get_bool(s, "paused") ? "yellow" : NULL, o), mode,
                      out_end_colour(get_bool(s, "paused") ? "yellow" : NULL, o));
        (void) printf("Configuration: %s, %" PRIu64 " %s\n", config ? config : "?", get_u64(s, "rules"),
                      get_u64(s, "rules") == 1 ? "rule" : "rules");
        print_states(s, o);
        uint64_t interval = get_u64(s, "interval_usec"), next = get_u64(s, "next_cycle_usec");
        (void) printf("Cycle:         every %s, next in %s%s, %" PRIu64 " so far\n", FORMAT_USEC(interval), FORMAT_USEC(next),
                      next > interval ? " (scan-cpu allows no more)" : "", get_u64(s, "cycles"));
        print_reasons(s);
        print_watched(s);
        (void) printf("Own CPU time:  %s for the last cycle, %s for observing so far\n",
                      FORMAT_USEC(get_u64(s, "last_cycle_cpu_usec")), FORMAT_USEC(get_u64(s, "observe_cpu_usec")));
        (void) printf("Moved:         %s in %" PRIu64 " moves, %" PRIu64 " failed\n", FORMAT_BYTES(get_u64(s, "moved_bytes")),
                      get_u64(s, "moves"), get_u64(s, "moves_failed"));
        (void) printf("Cpusets:       %" PRIu64 " changed by us and on record\n", get_u64(s, "changed_cgroups"));
        const char *balancing = get_string(s, "kernel_balancing_state");
        if (balancing)
                (void) printf("Kernel's own:  balancing %s%s\n", balancing,
                              get_bool(s, "kernel_demotion") ? "; demotion to slower memory on" : "");
        struct json_object *limits = get_array(s, "limitations");
        for (size_t i = 0; i < array_length(limits); i++)
                (void) printf("%s %s\n", i == 0 ? "Limitations:  " : "              ",
                              json_object_get_string(json_object_array_get_idx(limits, i)));
        struct json_object *stuck = get_array(s, "stuck");
        for (size_t i = 0; i < array_length(stuck); i++)
                (void) printf("%s %s\n", i == 0 ? "Stuck:        " : "              ",
                              json_object_get_string(json_object_array_get_idx(stuck, i)));
}

static int run(char **arguments, const struct options *o) {
        _cleanup_json_ struct json_object *status = NULL;
        int r = client_call("Status", 0, &status, NULL, NULL);
        if (r != EXIT_SUCCESS)
                return r;
        if (o->json != JSON_OFF)
                return out_json(status, o);
        print_status(status, o);
        return out_finish();
}

const struct verb verb_status = {
        .name = "status",
        .arguments = "",
        .summary = "the daemon: mode, services by state, what it cost and moved",
        .help = "Shows how the daemon runs: version, mode, configuration, services by state, the interval now, what is watched "
                "and what woke it, "
                "what the last "
                "cycle cost, what was moved "
                "so far, what the kernel's own balancing does, what this machine cannot do, and what does not come to an end.",
        .run = run,
};
