/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One place that a service could be in, as a row of a table: what advise and explain show alike. */
#include "candidate.h"

#include <string.h>

#include "core/util.h"
#include "out.h"

char *candidate_nodes(struct json_object *row) {
        return text_of_nodes(get_array(row, "nodes"));
}

char *candidate_cost(struct json_object *row) {
        double cost = get_double(row, "cost"); /* none: it could not be in any case */
        return cost > 0 ? format_string("%.1f", cost) : strdup("-");
}

const char *candidate_colour(struct json_object *row) {
        return get_bool(row, "chosen") ? "green" : NULL;
}
