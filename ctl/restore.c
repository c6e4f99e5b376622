/* SPDX-License-Identifier: GPL-2.0-or-later */
/* numabalancectl restore: give services the cpusets back that they had before us. */
#include <stdio.h>
#include <string.h>

#include "client.h"
#include "out.h"
#include "report/format.h"
#include "table.h"

/* The daemon reads back what the kernel has, for each unit; many units take their time. */
#define RESTORE_TIMEOUT_USEC (5 * USEC_PER_MINUTE)

static bool failed(struct json_object *row) {
        const char *outcome = get_string(row, "outcome");
        return !outcome || strcmp(outcome, "failed") == 0;
}

static const char *outcome_colour(struct json_object *row) {
        return failed(row) ? "red" : NULL;
}

static const struct column columns[] = {
        { .name = "UNIT", .key = "unit", .shrink = true },
        { .name = "OUTCOME", .key = "outcome", .colour = outcome_colour },
        { .name = "DETAIL", .key = "detail", .shrink = true },
};

/* Asks for one unit ("": all) and adds the outcomes to `all`. */
static int restore(const char *unit, struct json_object *all) {
        _cleanup_json_ struct json_object *outcomes = NULL;
        _cleanup_free_ char *clean = text_clean(unit, false); /* as the daemon prints it; D-Bus carries no other */
        if (!clean)
                return out_error(EXIT_FAILURE, "out of memory");
        int r = client_call("Restore", RESTORE_TIMEOUT_USEC, &outcomes, NULL, "s", clean);
        if (r != EXIT_SUCCESS)
                return r;
        if (!json_object_is_type(outcomes, json_type_array))
                return out_error(EXIT_FAILURE, "the daemon's answer cannot be understood");
        for (size_t i = 0; i < array_length(outcomes); i++) {
                struct json_object *row = json_object_array_get_idx(outcomes, i);
                if (failed(row))
                        r = EXIT_FAILURE;
                if (json_object_array_add(all, json_object_get(row)) != 0) {
                        json_object_put(row);
                        return out_error(EXIT_FAILURE, "out of memory");
                }
        }
        return r;
}

static int run(char **arguments, const struct options *o) {
        _cleanup_json_ struct json_object *all = json_object_new_array();
        int worst = EXIT_SUCCESS, r;
        if (!all)
                return out_error(EXIT_FAILURE, "out of memory");
        if (!*arguments)
                worst = restore("", all);
        for (char **unit = arguments; *unit; unit++) {
                r = restore(*unit, all);
                if (r == EXIT_NOT_RUNNING)
                        return r;
                if (r != EXIT_SUCCESS)
                        worst = r;
        }
        if (worst != EXIT_SUCCESS && array_length(all) == 0)
                return worst; /* said */
        if (o->json != JSON_OFF)
                r = out_json(all, o);
        else if (array_length(all) == 0) {
                (void) puts("Nothing of ours was in force, so there was nothing to restore.");
                r = out_finish();
        } else
                r = table_print(columns, ARRAY_SIZE(columns), all, o);
        if (r == EXIT_SUCCESS && o->json == JSON_OFF && o->legend) {
                (void) printf("\n%s until \"numabalancectl resume\".\n", *arguments ? "Left alone" : "The daemon is paused");
                r = out_finish();
        }
        return worst != EXIT_SUCCESS ? worst : r;
}

const struct verb verb_restore = {
        .name = "restore",
        .arguments = "[UNIT...]",
        .max_arguments = -1,
        .summary = "give services their former cpusets back",
        .help = "Gives the units named (a unit's name or a cgroup's path), or without a name all, the cpusets back that they had "
                "before the daemon's "
                "first change, reads them back from the kernel and prints what came of it. Restored units are left alone until "
                "\"resume\"; without a "
                "name the daemon pauses, and gives kernel.numa_balancing back where it has set that. Pages stay where they are. "
                "It works after a crash of the daemon too. Exit status 1: one "
                "was not restored.",
        .run = run,
};
