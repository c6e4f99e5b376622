/* SPDX-License-Identifier: GPL-2.0-or-later */
/* numabalancectl history: the last decisions and moves. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "client.h"
#include "out.h"
#include "report/format.h"
#include "report/view.h"
#include "table.h"

static char *time_text(struct json_object *row) {
        time_t seconds = (time_t) (get_u64(row, "time_usec") / USEC_PER_SEC);
        struct tm tm;
        char text[64];
        if (!localtime_r(&seconds, &tm) || strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm) == 0)
                return strdup("-");
        return strdup(text);
}

static char *from_to_text(struct json_object *row) {
        struct json_object *from = get_array(row, "from_nodes"), *to = get_array(row, "to_nodes");
        if (array_length(from) == 0 && array_length(to) == 0)
                return strdup("-");
        _cleanup_free_ char *a = text_of_nodes(from), *b = text_of_nodes(to);
        return a && b ? format_string("%s → %s", a, b) : NULL;
}

static char *bytes_text(struct json_object *row) {
        uint64_t bytes = get_u64(row, "bytes");
        return bytes > 0 ? format_string("%s", FORMAT_BYTES(bytes)) : strdup("-");
}

static bool is_known(struct json_object *row, const char *key) {
        struct json_object *value;
        return json_object_object_get_ex(row, key, &value) && value;
}

static char *locality_text(struct json_object *row) {
        if (!is_known(row, "locality_before"))
                return strdup("-");
        if (!is_known(row, "locality_after"))
                return format_string("%.2f", get_double(row, "locality_before"));
        return format_string("%.2f → %.2f", get_double(row, "locality_before"), get_double(row, "locality_after"));
}

/* The longest that the service was kept from its pages at a time, at most; and what it was held back. */
static char *stall_text(struct json_object *row) {
        struct json_object *e = get_object(row, "effort");
        uint64_t usec = get_u64(e, "longest_call_usec");
        return usec > 0 ? format_string("%s", FORMAT_USEC(usec)) : strdup("-");
}

static char *held_text(struct json_object *row) {
        uint64_t usec = get_u64(get_object(row, "effort"), "held_usec");
        return usec > 0 ? format_string("%s", FORMAT_USEC(usec)) : strdup("-");
}

static const char *event_colour(struct json_object *row) {
        const char *event = get_string(row, "event");
        if (!event)
                return NULL;
        return strcmp(event, "moved") == 0                                          ? "green"
               : strcmp(event, "failed") == 0 || strcmp(event, "not-restored") == 0 ? "red"
               : strcmp(event, "blocked") == 0 || strcmp(event, "undone") == 0      ? "yellow"
                                                                                    : NULL;
}

static const struct column columns[] = {
        { .name = "TIME", .text = time_text },
        { .name = "UNIT", .key = "unit", .shrink = true },
        { .name = "EVENT", .key = "event", .colour = event_colour },
        { .name = "NODES", .text = from_to_text, .drop = 5 },
        { .name = "BYTES", .text = bytes_text, .right = true, .drop = 4 },
        { .name = "LOCALITY", .text = locality_text, .drop = 3 },
        { .name = "STALL", .text = stall_text, .right = true, .drop = 2 },
        { .name = "HELD", .text = held_text, .right = true, .drop = 1 },
        { .name = "REASON", .key = "reason", .shrink = true },
};

static int run(char **arguments, const struct options *o) {
        _cleanup_json_ struct json_object *events = NULL;
        _cleanup_free_ char *unit = text_clean(arguments[0] ? arguments[0] : "", false);
        if (!unit)
                return out_error(EXIT_FAILURE, "out of memory");
        int r = client_call("History", 0, &events, NULL, "s", unit);
        if (r != EXIT_SUCCESS)
                return r;
        view_complete_history(events);
        if (o->json != JSON_OFF)
                return out_json(events, o);
        if (array_length(events) == 0 && o->legend)
                (void) printf("Nothing was decided%s%s since the daemon started%s.\n", *unit ? " about " : "", unit,
                              *unit && !strpbrk(unit, "./[") ? "; a unit's name has its type, such as .service" : "");
        return array_length(events) > 0 ? table_print(columns, ARRAY_SIZE(columns), events, o) : out_finish();
}

const struct verb verb_history = {
        .name = "history",
        .arguments = "[UNIT]",
        .max_arguments = 1,
        .summary = "the last decisions and moves",
        .help = "Lists the last 256 decisions, moves, moves that the kernel has undone, blocks and restores since the daemon "
                "started, of one unit or of all, "
                "oldest "
                "first: where memory came from and went to, how much, locality before and after, the longest call of a move, "
                "how long it "
                "was held back, and why. Older ones are in the journal.",
        .run = run,
};
