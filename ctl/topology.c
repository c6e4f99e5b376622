/* SPDX-License-Identifier: GPL-2.0-or-later */
/* numabalancectl topology: this machine's nodes, read here and now; needs no daemon. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "host/host.h"
#include "out.h"
#include "report/format.h"
#include "report/view.h"
#include "table.h"

/* Does hwloc describe another machine than the one we run on (hwloc(7), "Environment variables")? Then its free memory is not ours to tell. */
static bool describes_another_machine(void) {
        const char *this_system = getenv("HWLOC_THISSYSTEM");
        return (getenv("HWLOC_XMLFILE") || getenv("HWLOC_SYNTHETIC")) && !(this_system && strcmp(this_system, "1") == 0);
}

static char *id_text(struct json_object *row) {
        return format_string("%" PRIu64, get_u64(row, "id"));
}

static char *cores_text(struct json_object *row) {
        return format_string("%" PRIu64, get_u64(row, "n_cores"));
}

static char *total_text(struct json_object *row) {
        return format_string("%s", FORMAT_BYTES(get_u64(row, "bytes_total")));
}

static char *free_text(struct json_object *row) {
        struct json_object *bytes;
        if (!json_object_object_get_ex(row, "bytes_free", &bytes) || !bytes)
                return strdup("-");
        return format_string("%s", FORMAT_BYTES(get_u64(row, "bytes_free")));
}

/* "0:10 1:21 3:31" */
static char *distances_text(struct json_object *row) {
        struct strbuf b = { 0 };
        struct json_object *distances = get_array(row, "distances");
        for (size_t i = 0; i < array_length(distances); i++) {
                struct json_object *d = json_object_array_get_idx(distances, i);
                if (d)
                        strbuf_printf(&b, "%s%zu:%" PRId64, b.length > 0 ? " " : "", i, json_object_get_int64(d));
        }
        return strbuf_steal(&b);
}

static const struct column columns[] = {
        { .name = "NODE", .text = id_text, .right = true },
        { .name = "CPUS", .key = "cpus", .shrink = true },
        { .name = "CORES", .text = cores_text, .right = true },
        { .name = "MEMORY", .text = total_text, .right = true },
        { .name = "FREE", .text = free_text, .right = true },
        { .name = "DISTANCE TO NODE", .text = distances_text, .shrink = true },
};

static int run(char **arguments, const struct options *o) {
        _cleanup_(host_freep) struct host *host = NULL;
        _cleanup_(topology_freep) struct topology *topology = NULL;
        struct machine_sample machine = { 0 };
        const char *root = getenv("HWLOC_FSROOT");

        int r = host_open(root && *root ? root : "/", &host);
        if (r >= 0)
                r = topology_load(host, &topology);
        if (r >= 0 && !describes_another_machine())
                r = machine_sample_read(host, topology, &machine);
        if (r < 0)
                return out_error(EXIT_FAILURE, "cannot read the topology: %s", strerror(-r));

        _cleanup_json_ struct json_object *view = view_topology(topology, machine.nodes ? &machine : NULL);
        machine_sample_done(&machine);
        if (!view)
                return out_error(EXIT_FAILURE, "out of memory");
        return o->json != JSON_OFF ? out_json(view, o) : table_print(columns, ARRAY_SIZE(columns), get_array(view, "nodes"), o);
}

const struct verb verb_topology = {
        .name = "topology",
        .arguments = "",
        .summary = "the machine's nodes, their CPUs, memory and distances",
        .help = "Shows the machine's NUMA nodes: CPUs (those set apart by isolcpus= are left out), cores, memory, what is free "
                "of it, and the distances that "
                "the firmware tells (10 is local). Needs no daemon. hwloc's environment variables work.",
        .run = run,
};
