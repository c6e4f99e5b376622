/* SPDX-License-Identifier: GPL-2.0-or-later */
/* numabalancectl check: what would be wrong with the configuration; needs no daemon. */
#include <stdio.h>
#include <string.h>

#include "client.h"
#include "config/config-load.h"
#include "config/config-warnings.h"
#include "described.h"
#include "host/described.h"
#include "host/host.h"
#include "host/kernel-balancing.h"
#include "out.h"
#include "report/json.h"

static struct json_object *lines_json(const struct config_errors *errors) {
        struct json_object *lines = json_object_new_array();
        for (size_t i = 0; lines && i < errors->n_lines; i++) {
                struct json_object *line = json_object_new_string(errors->lines[i]);
                if (!line || json_object_array_add(lines, line) != 0) {
                        json_object_put(line);
                        json_object_put(lines);
                        lines = NULL;
                }
        }
        return lines;
}

/* `daemons`: the file that the daemon was told to read instead of the standard ones; NULL: it was not, or another was asked for. */
static int answer(const struct config *config, const struct config_errors *errors, const struct config_errors *warnings,
                  const char *daemons, const struct options *o) {
        if (o->json != JSON_OFF) {
                _cleanup_json_ struct json_object *value = json_object_new_object();
                json_put_bool(&value, "valid", config);
                json_put_int(&value, "rules", config ? config->n_rules : 0);
                json_put(&value, "errors", lines_json(errors));
                json_put(&value, "warnings", lines_json(warnings));
                if (daemons)
                        json_put_exact(&value, "file", daemons);
                return value ? out_json(value, o) : out_error(EXIT_FAILURE, "out of memory");
        }
        for (size_t i = 0; i < errors->n_lines; i++)
                (void) fprintf(stderr, "%s\n", errors->lines[i]);
        for (size_t i = 0; i < warnings->n_lines; i++)
                (void) fprintf(stderr, "%s\n", warnings->lines[i]);
        if (config && o->legend)
                (void) printf("Configuration%s%s%s is fine: %zu rule%s%s.\n", daemons ? " of the running daemon (" : "",
                              daemons ? daemons : "", daemons ? ")" : "", config->n_rules, config->n_rules == 1 ? "" : "s",
                              warnings->n_lines > 0 ? ", with warnings" : "");
        return out_finish();
}

/* As the kernel will be set once this configuration is in force: what the daemon has switched off now it gives back where it is told to leave it. */
static int find_warnings(const struct host *host, const struct config *config, const struct topology *topology,
                         struct config_errors *warnings) {
        struct kernel_memory kernel;
        uint64_t before;
        kernel_memory_read(host, &kernel);
        if (host->live && client_balancing_before(&before))
                kernel.balancing = (unsigned) MIN2(before, (uint64_t) KERNEL_BALANCING_MODE_MAX);
        return config_warn_kernel(config, topology, &kernel, warnings);
}

static int run(char **arguments, const struct options *o) {
        _cleanup_(host_freep) struct host *host = NULL;
        _cleanup_(topology_freep) struct topology *topology = NULL;
        _cleanup_(config_freep) struct config *config = NULL;
        struct config_errors errors = { 0 }, warnings = { 0 };

        if (check_described() != EXIT_SUCCESS)
                return EXIT_FAILURE;
        /* Without a topology node numbers cannot be checked, all else can. */
        if (host_open(described_root(), &host) < 0 || topology_load(host, &topology) < 0)
                (void) out_error(0, "cannot read the topology, node numbers are not checked");
        _cleanup_free_ char *daemons = NULL;
        if (!arguments[0] && client_config_file(&daemons) < 0)
                return out_error(EXIT_FAILURE, "out of memory");
        struct config_source source = { .root = "/", .main_file = daemons ? daemons : arguments[0], .topology = topology };
        int r = config_load(&source, &config, &errors);
        if (r >= 0 && topology && !describes_another_machine())
                r = find_warnings(host, config, topology, &warnings);
        int written = r == -ENOMEM ? out_error(EXIT_FAILURE, "out of memory") : answer(config, &errors, &warnings, daemons, o);
        config_errors_done(&errors);
        config_errors_done(&warnings);
        if (r == -ENOMEM)
                return written;
        return r < 0 ? EXIT_CONFIG : written;
}

const struct verb verb_check = {
        .name = "check",
        .arguments = "[FILE]",
        .max_arguments = 1,
        .summary = "look for errors in the configuration",
        .help = "Reads the configuration as the daemon would (of one that runs with a --config of its own just that file), or "
                "just "
                "FILE, and prints each error as file:line:column with what "
                "was expected there; and a warning for each rule whose moves the kernel's own balancing would undo. Needs no "
                "daemon and changes nothing. Exit status 78: there are errors.",
        .run = run,
};
