/* SPDX-License-Identifier: GPL-2.0-or-later */
/* numabalancectl topology: this machine's nodes, read here and now; needs no daemon. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client.h"
#include "described.h"
#include "host/described.h"
#include "host/host.h"
#include "host/kernel-balancing.h"
#include "out.h"
#include "report/format.h"
#include "report/view.h"
#include "table.h"

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

/* What the kernel does with pages of its own accord, and whether the daemon has switched it. */
static void put_kernel(const struct host *host, struct json_object **view) {
        struct kernel_memory kernel;
        uint64_t before = 0;
        kernel_memory_read(host, &kernel);
        bool switched = host->live && client_balancing_before(&before);
        view_put_kernel(view, &kernel, switched ? &before : NULL);
}

static char *tiers_text(struct json_object *tiers) {
        struct strbuf b = { 0 };
        for (size_t i = 0; i < array_length(tiers); i++) {
                struct json_object *tier = json_object_array_get_idx(tiers, i);
                _cleanup_free_ char *nodes = text_of_nodes(get_array(tier, "nodes"));
                strbuf_printf(&b, "%stier %" PRIu64 ": nodes %s", i > 0 ? "; " : "", get_u64(tier, "id"), nodes ? nodes : "?");
        }
        return strbuf_steal(&b);
}

/* Below the table: the balancing, demotion where there is a slower tier or it is on, and the tiers where there are several. */
static int print_kernel(struct json_object *view) {
        static const char *const ways[] = { "off", "pages go to the threads that use them",
                                            "pages in use go from slow memory to fast",
                                            "pages go to the threads that use them, and from slow memory to fast" };
        struct json_object *mode, *demotion, *before, *tiers = get_array(view, "memory_tiers");
        if (json_object_object_get_ex(view, "kernel_balancing", &mode) && mode) {
                uint64_t m = get_u64(view, "kernel_balancing");
                (void) printf("\nKernel's own balancing (kernel.numa_balancing): %" PRIu64 ", %s", m, ways[m & 3]);
                if (json_object_object_get_ex(view, "kernel_balancing_before", &before) && before)
                        (void) printf("; switched %s by numabalanced, was %" PRIu64, m == 0 ? "off" : "on",
                                      get_u64(view, "kernel_balancing_before"));
                (void) printf("\n");
        }
        if (json_object_object_get_ex(view, "kernel_demotion", &demotion) && demotion &&
            (array_length(tiers) > 1 || json_object_get_boolean(demotion)))
                (void) printf("Demotion of unused pages to slower memory: %s\n",
                              json_object_get_boolean(demotion) ? "on" : "off");
        _cleanup_free_ char *text = array_length(tiers) > 1 ? tiers_text(tiers) : NULL;
        if (text)
                (void) printf("Memory, the fastest first: %s\n", text);
        return out_finish();
}

static int run(char **arguments, const struct options *o) {
        _cleanup_(host_freep) struct host *host = NULL;
        _cleanup_(topology_freep) struct topology *topology = NULL;
        struct machine_sample machine = { 0 };

        if (check_described() != EXIT_SUCCESS)
                return EXIT_FAILURE;
        int r = host_open(described_root(), &host);
        if (r >= 0)
                r = topology_load(host, &topology);
        if (r >= 0 && !describes_another_machine())
                r = machine_sample_read(host, topology, &machine);
        if (r < 0)
                return out_error(EXIT_FAILURE, "cannot read the topology: %s", strerror(-r));

        _cleanup_json_ struct json_object *view = view_topology(topology, machine.nodes ? &machine : NULL);
        if (machine.nodes)
                put_kernel(host, &view);
        machine_sample_done(&machine);
        if (!view)
                return out_error(EXIT_FAILURE, "out of memory");
        if (o->json != JSON_OFF)
                return out_json(view, o);
        int status = print_table(get_array(view, "nodes"), o);
        return status == EXIT_SUCCESS && o->legend ? print_kernel(view) : status;
}

const struct verb verb_topology = {
        .name = "topology",
        .arguments = "",
        .summary = "the machine's nodes, their CPUs, memory and distances",
        .help = "Shows the machine's NUMA nodes: CPUs (those set apart by isolcpus=, nohz_full= or a cpuset partition are left "
                "out), "
                "cores, memory, what is free of it, the distances that the firmware tells (10 is local), and where they are "
                "known "
                "latency, bandwidth and the devices closest to each node; and what the kernel does with pages of its own accord: "
                "its "
                "balancing, demotion to slower memory, tiers of memory. Needs no daemon. hwloc's environment variables work.",
        .run = run,
};
