/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading what is simulated. Files have a limit, errors are said as `check` says them. */
#include "config.h"

#include "simulate-read.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/config-private.h"
#include "described.h"
#include "host/described.h"
#include "host/host.h"
#include "out.h"

/* Returns 0 and the text, or negative errno; -EFBIG past the limit. */
static int read_text(const char *path, char **ret, size_t *ret_size) {
        _cleanup_free_ char *text = malloc(SCENARIO_FILE_BYTES_MAX + 1);
        size_t size = 0;
        int r = 0, fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
                return -errno;
        while (text && size <= SCENARIO_FILE_BYTES_MAX) {
                ssize_t n = read(fd, text + size, SCENARIO_FILE_BYTES_MAX + 1 - size);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        r = -errno;
                if (n <= 0)
                        break;
                size += (size_t) n;
        }
        (void) close(fd);
        if (!text)
                return -ENOMEM;
        if (r < 0 || size > SCENARIO_FILE_BYTES_MAX)
                return r < 0 ? r : -EFBIG;
        *ret = TAKE_PTR(text);
        *ret_size = size;
        return 0;
}

int simulate_load_topology(const char *what, struct topology **ret) {
        _cleanup_(host_freep) struct host *host = NULL;
        if (what) {
                bool is_file = access(what, F_OK) == 0;
                if (!is_topology(what, is_file))
                        return out_error(EXIT_FAILURE, "%s is neither a file of hwloc's XML nor a synthetic description", what);
                if (unsetenv(is_file ? "HWLOC_SYNTHETIC" : "HWLOC_XMLFILE") < 0 ||
                    setenv(is_file ? "HWLOC_XMLFILE" : "HWLOC_SYNTHETIC", what, 1) < 0)
                        return out_error(EXIT_FAILURE, "out of memory");
        }
        if (!what && check_described() != EXIT_SUCCESS)
                return EXIT_FAILURE;
        int r = host_open("/", &host);
        if (r >= 0)
                r = topology_load(host, ret);
        if (r < 0)
                return out_error(EXIT_FAILURE, "cannot read the topology%s%s: %s", what ? " " : "", what ? what : "",
                                 strerror(-r));
        return EXIT_SUCCESS;
}

static int say_errors(struct config_errors *errors, int r) {
        for (size_t i = 0; i < errors->n_lines; i++)
                (void) fprintf(stderr, "%s\n", errors->lines[i]);
        config_errors_done(errors);
        return r == -ENOMEM ? out_error(EXIT_FAILURE, "out of memory") : EXIT_CONFIG;
}

/* A file that cannot be read is as good as one that is wrong. */
static int unreadable(const char *path, int error) {
        return out_error(error == -ENOMEM ? EXIT_FAILURE : EXIT_CONFIG, "cannot read %s: %s", path, strerror(-error));
}

int simulate_load_scenario(const char *path, const struct topology *t, struct scenario_file **ret) {
        struct config_errors errors = { 0 };
        _cleanup_free_ char *text = NULL;
        size_t size = 0;
        int r = read_text(path, &text, &size);
        if (r < 0)
                return unreadable(path, r);
        r = scenario_parse(path, text, size, t, ret, &errors);
        return r < 0 ? say_errors(&errors, r) : EXIT_SUCCESS;
}

/* Looks for errors first, so that they are said as `check` says them; then gives the text to the simulation. */
static int set_rules(struct sim *s, const char *name, const char *text, size_t size) {
        _cleanup_(config_freep) struct config *config = NULL;
        struct config_errors errors = { 0 };
        int r = config_parse_buffer(name, text, size, sim_topology(s), &config, &errors);
        if (r < 0)
                return say_errors(&errors, r);
        config_errors_done(&errors);
        return sim_set_config(s, name, text, size) < 0 ? out_error(EXIT_FAILURE, "out of memory") : EXIT_SUCCESS;
}

int simulate_load_rules(struct sim *s, const struct simulate_options *o, const struct scenario_file *scenario) {
        if (!o->config)
                return set_rules(s, o->scenario, scenario->config_text, scenario->config_size);
        _cleanup_free_ char *text = NULL;
        size_t size = 0;
        int r = read_text(o->config, &text, &size);
        if (r < 0)
                return unreadable(o->config, r);
        return set_rules(s, o->config, text, size);
}
