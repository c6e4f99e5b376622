/* SPDX-License-Identifier: GPL-2.0-or-later */
/* numabalancectl advise: where a new service should start, as a node list for scripts. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "advise-here.h"
#include "candidate.h"
#include "client.h"
#include "core/plan.h"
#include "out.h"
#include "report/format.h"
#include "report/view.h"
#include "table.h"

#define ADVISE_TIMEOUT_USEC (60 * USEC_PER_SEC)

/* "4", "0.5", "1.25": thousandths, at most three decimals. */
static int parse_thousandths(const char *text, uint64_t *ret) {
        const char *dot = strchr(text, '.');
        _cleanup_free_ char *whole = dot ? format_string("%.*s", (int) (dot - text), text) : strdup(text);
        uint64_t units, part = 0;
        if (!whole)
                return -ENOMEM;
        int r = parse_u64(whole, &units);
        if (r >= 0 && dot) {
                size_t n = strlen(dot + 1);
                r = n > 3 ? -EINVAL : parse_u64(dot + 1, &part);
                for (; n < 3; n++)
                        part *= 10;
        }
        if (r >= 0 && units > ADVISE_MCPU_MAX / 1000)
                r = -ERANGE;
        if (r >= 0)
                *ret = units * 1000 + part;
        return r;
}

/* CPUS[:MB] */
static int parse_size(const char *text, uint64_t *ret_mcpu, uint64_t *ret_bytes) {
        const char *colon = strchr(text, ':');
        _cleanup_free_ char *cpus = colon ? format_string("%.*s", (int) (colon - text), text) : strdup(text);
        uint64_t megabytes = 0;
        if (!cpus)
                return -ENOMEM;
        int r = parse_thousandths(cpus, ret_mcpu);
        if (r >= 0 && colon)
                r = parse_u64(colon + 1, &megabytes);
        if (r >= 0 && (*ret_mcpu == 0 || *ret_mcpu > ADVISE_MCPU_MAX || megabytes > ADVISE_BYTES_MAX / MIB))
                r = -ERANGE;
        *ret_bytes = megabytes * MIB;
        return r;
}

static const struct column columns[] = {
        { .name = "NODES", .text = candidate_nodes, .colour = candidate_colour },
        { .name = "COST", .text = candidate_cost, .right = true },
        { .name = "VERDICT", .key = "verdict", .colour = candidate_colour, .shrink = true },
};

static int print(struct json_object *advice, const struct options *o) {
        const char *list = get_string(advice, "node_list"), *reason = get_string(advice, "reason");
        bool none = !list || !*list;
        if (none || !get_bool(advice, "fits"))
                (void) out_error(0, "%s", reason ? reason : "no nodes were found");
        if (o->json != JSON_OFF)
                return out_json(advice, o);
        if (!none)
                (void) puts(list);
        struct json_object *candidates = get_array(advice, "candidates");
        if (!o->explain || array_length(candidates) == 0)
                return out_finish();
        if (o->legend && reason)
                (void) printf("\n%s\n\n", reason);
        return table_print(columns, ARRAY_SIZE(columns), candidates, o);
}

static int run(char **arguments, const struct options *o) {
        _cleanup_json_ struct json_object *advice = NULL;
        uint64_t mcpu, bytes;
        int r = parse_size(arguments[0], &mcpu, &bytes);
        if (r == -ENOMEM)
                return out_error(EXIT_FAILURE, "out of memory");
        if (r == -ERANGE)
                return out_error(EXIT_USAGE, "\"%s\" is not the size of a service on any machine (see --help)", arguments[0]);
        if (r < 0)
                return out_error(EXIT_USAGE, "\"%s\" is no CPUS[:MB] such as 4 or 0.5:2048 (see --help)", arguments[0]);
        if (client_is_running())
                r = client_call("Advise", ADVISE_TIMEOUT_USEC, &advice, NULL, "tt", mcpu, bytes);
        else {
                (void) out_error(0, "the daemon is not running: this is from what is seen now, and knows of no rule");
                r = advise_here(mcpu, bytes, &advice);
        }
        if (r != EXIT_SUCCESS)
                return r;
        view_complete_candidates(advice);
        const char *list = get_string(advice, "node_list");
        r = print(advice, o);
        return r == EXIT_SUCCESS && (!list || !*list) ? EXIT_FAILURE : r;
}

const struct verb verb_advise = {
        .name = "advise",
        .arguments = "CPUS[:MB]",
        .min_arguments = 1,
        .max_arguments = 1,
        .takes_explain = true,
        .summary = "where a new service of that size should start",
        .help = "Prints the nodes where a new service that will use CPUS CPUs (0.5 is half of one) and MB MiB of memory should "
                "start, as a node list (\"1\", \"0-1,3\"): the fewest and closest nodes that have it to spare, clear of what is "
                "placed, of nodes that others have for themselves, and of keep-free. With --explain the reason and the "
                "candidates "
                "follow. Nothing is reserved: until the service runs, the same question has the same answer. Without a daemon "
                "the "
                "machine is observed for a second. Exit status 1: no nodes have so much memory.",
        .run = run,
};
