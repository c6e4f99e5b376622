/* SPDX-License-Identifier: GPL-2.0-or-later */
/* numabalancectl capture: what a cycle reads, into an archive that can be sent to somebody. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "capture/capture.h"
#include "client.h"
#include "core/util.h"
#include "out.h"
#include "report/bus-names.h"
#include "report/json.h"

#define RECORD_FILE "/run/numabalanced/record.json"
#define PAUSE_USEC  (5 * USEC_PER_SEC)
/* Half of it for one memory map. */
#define DEEP_USEC (2 * USEC_PER_MINUTE)

/* "dir/report.tar" → "report": what it unpacks to. NULL: no such name, or no memory. */
static char *directory_name(const char *file) {
        const char *slash = strrchr(file, '/'), *name = slash ? slash + 1 : file, *end = strstr(name, ".tar");
        size_t n = end && end > name ? (size_t) (end - name) : strlen(name);
        if (n == 0 || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
                return NULL;
        return strndup(name, n);
}

/* What the daemon remembers, where one runs: without, what it would decide can differ from what it is asked for here. */
static struct json_object *ask_daemon(void) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        const char *text;
        int r = client_open_aside(&bus);
        if (r < 0 && r != -ETIMEDOUT)
                return NULL;
        if (r >= 0)
                r = sd_bus_set_method_call_timeout(bus, 0); /* it can be much: the default */
        if (r >= 0)
                r = sd_bus_call_method(bus, BUS_NAME, BUS_PATH, BUS_INTERFACE, "Remembered", &error, &reply, NULL);
        if (r >= 0)
                r = sd_bus_message_read(reply, "s", &text);
        if (r >= 0)
                return json_tokener_parse(text);
        if (!sd_bus_error_has_name(&error, SD_BUS_ERROR_SERVICE_UNKNOWN) &&
            !sd_bus_error_has_name(&error, SD_BUS_ERROR_NAME_HAS_NO_OWNER))
                (void) out_error(0, "going on without what the daemon remembers: %s",
                                 error.message ? error.message : strerror(-r));
        return NULL;
}

/* Gives a file its name, unless that is taken. */
static int give_name(const char *temporary, const char *file) {
        if (renameat2(AT_FDCWD, temporary, AT_FDCWD, file, RENAME_NOREPLACE) == 0)
                return 0;
        if (errno != EINVAL && errno != ENOSYS)
                return -errno;
        /* Not every file system has that. */
        if (link(temporary, file) < 0)
                return -errno;
        (void) unlink(temporary);
        return 0;
}

static int write_archive(const struct capture *c, const char *file, const char *directory) {
        /* Under another name until it is whole: what an interrupted or failed one leaves must not pass for a report. */
        _cleanup_free_ char *temporary = format_string("%s.part", file);
        if (!temporary)
                return out_error(EXIT_FAILURE, "out of memory");
        /* Not readable for others, and never into a file (or through a link) that is there. */
        int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0)
                return out_error(EXIT_FAILURE, "cannot make %s: %s", temporary, strerror(errno));
        int r = capture_write(c, fd, directory);
        if (r == 0 && fsync(fd) < 0)
                r = -errno;
        if (close(fd) < 0 && r == 0)
                r = -errno;
        if (r == 0)
                r = give_name(temporary, file);
        if (r == 0)
                return EXIT_SUCCESS;
        (void) unlink(temporary);
        return out_error(EXIT_FAILURE, "cannot write %s: %s", file, strerror(-r));
}

static int run(char **arguments, const struct options *o) {
        struct capture_options options = {
                .root = "/",
                .record_file = RECORD_FILE,
                .pause_usec = PAUSE_USEC,
                .deep_usec = DEEP_USEC,
        };
        struct capture capture;
        _cleanup_free_ char *why = NULL, *config_file = NULL, *directory = directory_name(arguments[0]);
        if (!directory)
                return out_error(EXIT_USAGE, "%s is no name for a file", arguments[0]);
        if (faccessat(AT_FDCWD, arguments[0], F_OK, AT_SYMLINK_NOFOLLOW) == 0)
                return out_error(EXIT_FAILURE, "%s is there already", arguments[0]);
        if (geteuid() != 0)
                return out_error(EXIT_FAILURE, "not permitted: only root may read every service's memory map");
        if (client_config_file(&config_file) < 0)
                return out_error(EXIT_FAILURE, "out of memory");
        options.config_file = config_file;
        options.history = ask_daemon();
        int r = capture_take(&options, &capture, &why);
        json_object_put(options.history);
        if (r < 0)
                return out_error(r == -EBADMSG && why ? EXIT_CONFIG : EXIT_FAILURE, "%s", why ? why : strerror(-r));
        if (capture.n_given_up > 0)
                (void) out_error(0, "%zu services' memory maps did not come in time and are left out", capture.n_given_up);
        r = write_archive(&capture, arguments[0], directory);
        if (r == EXIT_SUCCESS && o->json != JSON_OFF) {
                _cleanup_json_ struct json_object *value = json_object_new_object();
                json_put_exact(&value, "file", arguments[0]); /* as it was given: not cleaned */
                json_put_int(&value, "files", capture.n_items);
                json_put_int(&value, "services", capture.n_services);
                json_put_int(&value, "managed", capture.n_managed);
                r = value ? out_json(value, o) : out_error(EXIT_FAILURE, "%s", strerror(ENOMEM));
        } else if (r == EXIT_SUCCESS && o->legend) {
                (void) printf("%s: %zu services (%zu with a rule), %zu processes. To look at it again:\n"
                              "  tar xf %s && numabalanced --once --dry-run --root %s\n",
                              arguments[0], capture.n_services, capture.n_managed, capture.n_processes, arguments[0], directory);
                r = out_finish();
        }
        capture_done(&capture);
        return r;
}

const struct verb verb_capture = {
        .name = "capture",
        .arguments = "FILE",
        .min_arguments = 1,
        .max_arguments = 1,
        .summary = "take along what a cycle reads, for a report",
        .help = "Looks at the machine twice, five seconds apart, as the daemon does, and writes everything that was read for it "
                "into FILE, a tar "
                "archive, with the configuration and the plan that follows: numabalanced --once --dry-run --root DIRECTORY makes "
                "the same plan of it anywhere. Where the daemon runs, what it remembers comes along, and the configuration is "
                "the one that it was "
                "told to read. Command lines, "
                "environments, names of mapped files and the contents of memory are "
                "not in it; names of units, "
                "of processes and the configuration are. For root; needs no daemon and changes nothing.",
        .run = run,
};
