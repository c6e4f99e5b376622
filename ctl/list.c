/* SPDX-License-Identifier: GPL-2.0-or-later */
/* numabalancectl list: every observed service, those with a rule first. */
#include "client.h"
#include "list-table.h"
#include "out.h"
#include "report/view.h"

static int run(char **arguments, const struct options *o) {
        _cleanup_json_ struct json_object *services = NULL;
        int r = client_call("List", 0, &services, NULL, NULL);
        if (r != EXIT_SUCCESS)
                return r;
        if (!json_object_is_type(services, json_type_array))
                return out_error(EXIT_FAILURE, "the daemon's answer cannot be understood");
        for (size_t i = 0; i < array_length(services); i++)
                view_complete_service(json_object_array_get_idx(services, i));
        if (o->json != JSON_OFF)
                return out_json(services, o);
        return list_table_print(services, o);
}

const struct verb verb_list = {
        .name = "list",
        .arguments = "",
        .summary = "every observed service, its place and its state",
        .help = "Lists every observed service: rule, state, home nodes, memory and CPU time by node, locality (1.00 is all "
                "local) and expected "
                "distance (10.0 is all local).",
        .run = run,
};
