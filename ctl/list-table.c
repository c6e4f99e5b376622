/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table of services that "numabalancectl list" and "numabalanced --once" print. */
#include "list-table.h"

#include <stdio.h>
#include <string.h>

#include "out.h"
#include "report/format.h"
#include "table.h"

static char *home_text(struct json_object *row) {
        return text_of_nodes(get_array(row, "home_nodes"));
}

/* No service has no memory, and no distance is 0: that is what is not known, for want of a memory controller or of CPU time. */
static char *memory_text(struct json_object *row) {
        uint64_t bytes = get_u64(row, "bytes_total");
        return bytes > 0 ? format_string("%s", FORMAT_BYTES(bytes)) : strdup("-");
}

static char *nodes_text(struct json_object *row) {
        return text_of_bytes_by_node(get_array(row, "bytes_by_node"));
}

static char *cpu_text(struct json_object *row) {
        return text_of_shares_by_node(get_array(row, "cpu_by_node"));
}

static char *locality_text(struct json_object *row) {
        return get_double(row, "distance") > 0 ? format_string("%.2f", get_double(row, "locality")) : strdup("-");
}

static char *distance_text(struct json_object *row) {
        double distance = get_double(row, "distance");
        return distance > 0 ? format_string("%.1f", distance) : strdup("-");
}

static const char *state_colour(struct json_object *row) {
        return out_state_colour(get_string(row, "state"));
}

static const struct column columns[] = {
        { .name = "UNIT", .key = "unit", .shrink = true },
        { .name = "RULE", .key = "rule" },
        { .name = "PLACE", .key = "place", .drop = 2 },
        { .name = "STATE", .key = "state", .colour = state_colour },
        { .name = "HOME", .text = home_text },
        { .name = "MEMORY", .text = memory_text, .right = true, .drop = 5 },
        { .name = "MEMORY BY NODE", .text = nodes_text, .drop = 4 },
        { .name = "CPU BY NODE", .text = cpu_text, .drop = 3 },
        { .name = "LOCALITY", .text = locality_text, .right = true },
        { .name = "DISTANCE", .text = distance_text, .right = true, .drop = 1 },
        { .name = "REASON", .key = "reason", .shrink = true },
};

/* A new array with the same rows: first those that have a rule, otherwise in the daemon's order. NULL: out of memory. */
static struct json_object *with_rule_first(struct json_object *rows, size_t *ret_with_rule) {
        _cleanup_json_ struct json_object *sorted = json_object_new_array();
        size_t with_rule = 0;
        for (int pass = 0; pass < 2; pass++)
                for (size_t i = 0; sorted && i < array_length(rows); i++) {
                        struct json_object *row = json_object_array_get_idx(rows, i);
                        bool has_rule = get_string(row, "rule");
                        if (has_rule != (pass == 0))
                                continue;
                        with_rule += has_rule;
                        if (json_object_array_add(sorted, json_object_get(row)) != 0) {
                                json_object_put(row);
                                return NULL;
                        }
                }
        *ret_with_rule = with_rule;
        return TAKE_PTR(sorted);
}

int list_table_print(struct json_object *services, const struct options *o) {
        size_t with_rule;
        _cleanup_json_ struct json_object *rows = with_rule_first(services, &with_rule);
        if (!rows)
                return out_error(EXIT_FAILURE, "out of memory");
        int r = table_print(columns, ARRAY_SIZE(columns), rows, o);
        if (r != EXIT_SUCCESS || !o->legend)
                return r;
        (void) printf("\n%zu %s observed, %zu with a rule.\n", array_length(rows),
                      array_length(rows) == 1 ? "service" : "services", with_rule);
        return out_finish();
}
