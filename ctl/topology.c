/* SPDX-License-Identifier: GPL-2.0-or-later */
/* numabalancectl topology: this machine's nodes, read here and now; needs no daemon. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "described.h"
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

static char *number_text(struct json_object *row, const char *key, const char *unit) {
        uint64_t value = get_u64(row, key);
        return value > 0 ? format_string("%" PRIu64 " %s", value, unit) : strdup("-");
}

static char *latency_text(struct json_object *row) {
        return number_text(row, "latency", "ns");
}

static char *bandwidth_text(struct json_object *row) {
        return number_text(row, "bandwidth", "MiB/s");
}

/* What the system has a name for; the PCI devices behind them are in the JSON. */
static char *devices_text(struct json_object *row) {
        struct strbuf b = { 0 };
        struct json_object *devices = get_array(row, "devices");
        for (size_t i = 0; i < array_length(devices); i++) {
                const char *name = json_object_get_string(json_object_array_get_idx(devices, i));
                _cleanup_free_ char *clean = name && strncmp(name, "pci/", 4) != 0 ? text_clean(name, false) : NULL;
                if (clean)
                        strbuf_printf(&b, "%s%s", b.length > 0 ? " " : "", clean);
        }
        return strbuf_steal(&b);
}

static const struct column standard_columns[] = {
        { .name = "NODE", .text = id_text, .right = true },
        { .name = "CPUS", .key = "cpus", .shrink = true },
        { .name = "CORES", .text = cores_text, .right = true },
        { .name = "MEMORY", .text = total_text, .right = true },
        { .name = "FREE", .text = free_text, .right = true },
        { .name = "DISTANCE TO NODE", .text = distances_text, .shrink = true },
};
/* Shown where some node has them. */
static const struct column latency_column = { .name = "LATENCY", .text = latency_text, .right = true },
                           bandwidth_column = { .name = "BANDWIDTH", .text = bandwidth_text, .right = true },
                           devices_column = { .name = "DEVICES", .text = devices_text, .shrink = true };

static int print_table(struct json_object *nodes, const struct options *o) {
        struct column columns[ARRAY_SIZE(standard_columns) + 3];
        size_t n = ARRAY_SIZE(standard_columns);
        bool latency = false, bandwidth = false, devices = false;
        memcpy(columns, standard_columns, sizeof standard_columns);
        for (size_t i = 0; i < array_length(nodes); i++) {
                struct json_object *node = json_object_array_get_idx(nodes, i);
                _cleanup_free_ char *text = devices_text(node);
                latency = latency || get_u64(node, "latency") > 0;
                bandwidth = bandwidth || get_u64(node, "bandwidth") > 0;
                devices = devices || (text && *text);
        }
        if (latency)
                columns[n++] = latency_column;
        if (bandwidth)
                columns[n++] = bandwidth_column;
        if (devices)
                columns[n++] = devices_column;
        return table_print(columns, n, nodes, o);
}

static int run(char **arguments, const struct options *o) {
        _cleanup_(host_freep) struct host *host = NULL;
        _cleanup_(topology_freep) struct topology *topology = NULL;
        struct machine_sample machine = { 0 };
        const char *root = getenv("HWLOC_FSROOT");

        if (check_described() != EXIT_SUCCESS)
                return EXIT_FAILURE;
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
        return o->json != JSON_OFF ? out_json(view, o) : print_table(get_array(view, "nodes"), o);
}

const struct verb verb_topology = {
        .name = "topology",
        .arguments = "",
        .summary = "the machine's nodes, their CPUs, memory and distances",
        .help = "Shows the machine's NUMA nodes: CPUs (those set apart by isolcpus=, nohz_full= or a cpuset partition are left "
                "out), "
                "cores, memory, what is free of it, the distances that the firmware tells (10 is local), and where they are "
                "known "
                "latency, bandwidth and the devices closest to each node. Needs no daemon. hwloc's environment variables work.",
        .run = run,
};
