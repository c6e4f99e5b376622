/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Calls to the daemon over the system bus, and what their failures mean to whom calls us. */
#include "client.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <time.h>

#include "out.h"
#include "report/bus-names.h"
#include "report/bus.h"
#include "report/format.h"
#include "report/json.h"

/* A bus that takes the connection and says nothing keeps libsystemd waiting for a minute and a half. */
#define OPEN_USEC  (25 * USEC_PER_SEC) /* as long as a call is given */
#define ASIDE_USEC (2 * USEC_PER_SEC)  /* what is nice to know is not waited for */

static uint64_t clock_usec(void) {
        struct timespec ts;
        (void) clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail for this clock */
        return (uint64_t) ts.tv_sec * USEC_PER_SEC + (uint64_t) ts.tv_nsec / 1000;
}

static int wait_until_ready(sd_bus *bus, uint64_t until_usec) {
        for (;;) {
                int r = sd_bus_is_ready(bus);
                if (r != 0)
                        return MIN2(r, 0);
                r = sd_bus_process(bus, NULL);
                if (r < 0)
                        return r;
                uint64_t now = clock_usec();
                if (now >= until_usec)
                        return -ETIMEDOUT;
                if (r == 0 && (r = sd_bus_wait(bus, until_usec - now)) < 0 && r != -EINTR)
                        return r;
        }
}

static int open_bus(uint64_t limit_usec, sd_bus **ret) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        int r = sd_bus_open_system(&bus);
        if (r < 0)
                return r;
        r = wait_until_ready(bus, clock_usec() + limit_usec);
        if (r < 0) {
                sd_bus_close(bus); /* nothing is to be flushed: that would be waited for */
                return r == -ETIMEDOUT ? r : -ENOTCONN;
        }
        *ret = TAKE_PTR(bus);
        return 0;
}

int client_open_aside(sd_bus **ret) {
        int r = open_bus(ASIDE_USEC, ret);
        return r < 0 ? r : sd_bus_set_method_call_timeout(*ret, ASIDE_USEC);
}

static int fail(const sd_bus_error *error, int r, char **ret_error) {
        if (sd_bus_error_has_name(error, SD_BUS_ERROR_SERVICE_UNKNOWN) ||
            sd_bus_error_has_name(error, SD_BUS_ERROR_NAME_HAS_NO_OWNER))
                return out_error(EXIT_NOT_RUNNING, "the daemon is not running (systemctl start numabalanced)");
        /* The text is another process's: shown, not obeyed. */
        _cleanup_free_ char *text = text_clean(error->message ? error->message : strerror(-r), true);
        if (!text)
                return out_error(EXIT_FAILURE, "out of memory");
        if (sd_bus_error_has_name(error, BUS_ERROR_INVALID_CONFIGURATION)) {
                if (ret_error)
                        *ret_error = TAKE_PTR(text);
                else
                        (void) fprintf(stderr, "%s\n", text);
                return EXIT_CONFIG;
        }
        if (sd_bus_error_has_name(error, SD_BUS_ERROR_ACCESS_DENIED)) {
                /* The bus daemon's own refusal is a page of details; ours says why. */
                bool by_policy = strncmp(text, "Rejected send message", strlen("Rejected send message")) == 0;
                return out_error(EXIT_FAILURE, "not permitted: %s", by_policy ? "only root may change this" : text);
        }
        if (sd_bus_error_has_name(error, SD_BUS_ERROR_UNKNOWN_METHOD) ||
            sd_bus_error_has_name(error, SD_BUS_ERROR_UNKNOWN_INTERFACE))
                return out_error(EXIT_FAILURE, "the running daemon is of another version: %s", text);
        return out_error(EXIT_FAILURE, "%s", text);
}

int client_call(const char *member, uint64_t timeout_usec, struct json_object **ret, char **ret_error, const char *types, ...) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;

        int r = open_bus(OPEN_USEC, &bus);
        if (r == -ENOTCONN || r == -ETIMEDOUT) /* there is a socket, but no bus behind it for us */
                return out_error(EXIT_NOT_RUNNING, "the daemon cannot be asked, the system bus does not answer");
        if (r < 0)
                return out_error(EXIT_NOT_RUNNING, "the daemon is not running, nor is the system bus: %s", strerror(-r));
        r = sd_bus_message_new_method_call(bus, &call, BUS_NAME, BUS_PATH, BUS_INTERFACE, member);
        if (r >= 0 && types) {
                va_list args;
                va_start(args, types);
                r = sd_bus_message_appendv(call, types, args);
                va_end(args);
        }
        if (r >= 0)
                r = sd_bus_call(bus, call, timeout_usec, &error, &reply);
        if (r >= 0 && ret)
                r = bus_read_json(reply, ret);
        return r < 0 ? fail(&error, r, ret_error) : EXIT_SUCCESS;
}

static bool has_daemon(sd_bus *bus) {
        _cleanup_(sd_bus_creds_unrefp) sd_bus_creds *owner = NULL;
        return sd_bus_get_name_creds(bus, BUS_NAME, SD_BUS_CREDS_UNIQUE_NAME, &owner) >= 0;
}

bool client_is_running(void) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        return client_open_aside(&bus) >= 0 && has_daemon(bus);
}

/* What it says of itself, to be put; NULL: nobody can be asked. `ret_running`: there is one. */
static struct json_object *ask_status(bool *ret_running) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        struct json_object *status;
        *ret_running = client_open_aside(&bus) >= 0 && has_daemon(bus);
        if (!*ret_running || sd_bus_call_method(bus, BUS_NAME, BUS_PATH, BUS_INTERFACE, "Status", NULL, &reply, NULL) < 0 ||
            bus_read_json(reply, &status) < 0)
                return NULL;
        return status;
}

bool client_balancing_before(uint64_t *ret) {
        bool running;
        struct json_object *before;
        _cleanup_json_ struct json_object *status = ask_status(&running);
        if (!json_object_object_get_ex(status, "kernel_balancing_before", &before))
                return false;
        *ret = get_u64(status, "kernel_balancing_before");
        return true;
}

int client_config_file(char **ret) {
        bool running;
        char *file = NULL;
        _cleanup_json_ struct json_object *status = ask_status(&running);
        if (running && !status)
                (void) out_error(0, "the daemon does not answer: if it has a --config of its own, that is not what is read here");
        int r = status ? json_get_exact(status, "config_file", &file) : 0;
        if (r == -ENOMEM)
                return r;
        *ret = r < 0 ? NULL : file;
        return 0;
}
