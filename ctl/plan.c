/* SPDX-License-Identifier: GPL-2.0-or-later */
/* numabalancectl plan: what the daemon would do next. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client.h"
#include "out.h"
#include "report/format.h"
#include "report/view.h"
#include "table.h"

/* An observation may have to wait for its CPU budget, and for a process that does not respond to being read. */
#define PLAN_TIMEOUT_USEC (60 * USEC_PER_SEC)

static char *home_text(struct json_object *row) {
        return text_of_nodes(get_array(row, "home_nodes"));
}

static char *next_text(struct json_object *row) {
        return text_of_nodes(get_array(row, "next_nodes"));
}

static char *bytes_text(struct json_object *row) {
        uint64_t bytes = get_u64(row, "bytes_to_move");
        return bytes > 0 ? format_string("%s", FORMAT_BYTES(bytes)) : strdup("-");
}

static char *gain_text(struct json_object *row) {
        double gain = get_double(row, "gain");
        return gain > 0 ? format_string("%.0f%%", gain * 100) : strdup("-");
}

static const char *when_colour(struct json_object *row) {
        return out_state_colour(get_string(row, "state"));
}

static const struct column columns[] = {
        { .name = "UNIT", .key = "unit", .shrink = true },
        { .name = "RULE", .key = "rule", .drop = 3 },
        { .name = "HOME", .text = home_text },
        { .name = "NEXT", .text = next_text },
        { .name = "TO MOVE", .text = bytes_text, .right = true },
        { .name = "CPUS", .key = "cpus", .drop = 1 },
        { .name = "GAIN", .text = gain_text, .right = true, .drop = 2 },
        { .name = "WHEN", .key = "when", .colour = when_colour },
        { .name = "REASON", .key = "reason", .shrink = true },
};

/* A new array of the rows for which something is done, or would be. NULL: out of memory. */
static struct json_object *with_something_to_do(struct json_object *rows) {
        _cleanup_json_ struct json_object *chosen = json_object_new_array();
        for (size_t i = 0; chosen && i < array_length(rows); i++) {
                struct json_object *row = json_object_array_get_idx(rows, i);
                const char *when = get_string(row, "when");
                if (when && strcmp(when, "none") == 0)
                        continue;
                if (json_object_array_add(chosen, json_object_get(row)) != 0) {
                        json_object_put(row);
                        return NULL;
                }
        }
        return TAKE_PTR(chosen);
}

static int print_totals(struct json_object *plan, size_t n_shown) {
        struct json_object *t = get_object(plan, "totals");
        uint64_t services = get_u64(t, "services"), stay = services > n_shown ? services - n_shown : 0;
        (void) printf(
                "%s%" PRIu64 " now, %" PRIu64 " later, %" PRIu64 " under way, %" PRIu64 " blocked; %s to move; %" PRIu64 " %s.\n",
                n_shown > 0 ? "\n" : "", get_u64(t, "now"), get_u64(t, "later"), get_u64(t, "under_way"), get_u64(t, "blocked"),
                FORMAT_BYTES(get_u64(t, "bytes_to_move")), stay, stay == 1 ? "stays as it is" : "stay as they are");
        if (get_double(t, "distance_before") > 0)
                (void) printf("Mean distance: %.1f now, %.1f expected (10.0 is all local).\n", get_double(t, "distance_before"),
                              get_double(t, "distance_after"));
        if (get_bool(plan, "paused"))
                (void) printf("The daemon is paused: nothing is done until \"numabalancectl resume\".\n");
        else if (get_bool(plan, "dry_run"))
                (void) printf("The daemon is in a dry run: nothing is done.\n");
        return out_finish();
}

static int run(char **arguments, const struct options *o) {
        _cleanup_json_ struct json_object *plan = NULL;
        int r = client_call("Plan", PLAN_TIMEOUT_USEC, &plan, NULL, NULL);
        if (r == EXIT_NOT_RUNNING)
                return out_error(r, "without a daemon, \"numabalanced --once --dry-run\" shows what it would do");
        if (r != EXIT_SUCCESS)
                return r;
        view_complete_plan(plan);
        if (o->json != JSON_OFF)
                return out_json(plan, o);
        _cleanup_json_ struct json_object *rows = with_something_to_do(get_array(plan, "services"));
        if (!rows)
                return out_error(EXIT_FAILURE, "out of memory");
        if (array_length(rows) > 0)
                r = table_print(columns, ARRAY_SIZE(columns), rows, o);
        return r == EXIT_SUCCESS && o->legend ? print_totals(plan, array_length(rows)) : r;
}

const struct verb verb_plan = {
        .name = "plan",
        .arguments = "",
        .summary = "what would be done next, and why not now",
        .help = "Shows the next plan without applying it: each service with a rule for which something would be done, with its "
                "home now and next, what would be moved, the gain in expected distance, and when: now (with the next cycle), "
                "later (the reason says what it waits for), under-way or blocked. The observation it rests on is younger than "
                "one "
                "interval. With --json every service with a rule is listed.",
        .run = run,
};
