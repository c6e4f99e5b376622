/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A daemon without a machine, for tests of the client: serves the real interface with what it finds in the directory given:
 * status.json, list.json, explain.json (of the unit it names), restore.json, plan.json (later, as an observation takes its time), advice.json,
 * history.json; a file named broken makes a reload fail with its text. Advice is given for what was asked: cpus and bytes are filled in. */
#include <stdio.h>
#include <string.h>
#include <systemd/sd-event.h>

#include "core/util.h"
#include "report/bus.h"
#include "report/format.h"

static const char *directory;
static sd_event *event;
static sd_bus_message *waiting;
static bool paused;

static struct json_object *load(const char *name) {
        _cleanup_free_ char *path = format_string("%s/%s", directory, name);
        return path ? json_object_from_file(path) : NULL;
}

static struct json_object *on_status(void *userdata) {
        struct json_object *o = load("status.json");
        if (o)
                json_object_object_add(o, "paused", json_object_new_boolean(paused));
        return o;
}

static struct json_object *on_list(void *userdata) {
        return load("list.json");
}

static struct json_object *on_explain(const char *unit, void *userdata) {
        struct json_object *o = load("explain.json"), *name;
        if (o && json_object_object_get_ex(o, "unit", &name) && text_matches(json_object_get_string(name), unit))
                return o;
        json_object_put(o);
        errno = ENOENT;
        return NULL;
}

static int on_reload(char **ret_error, void *userdata) {
        char text[1024];
        _cleanup_free_ char *path = format_string("%s/broken", directory);
        FILE *f = path ? fopen(path, "re") : NULL;
        if (!f)
                return 0;
        size_t n = fread(text, 1, sizeof(text) - 1, f);
        (void) fclose(f);
        text[n] = 0;
        *ret_error = strdup(text);
        return -EBADMSG;
}

static int on_pause(bool now, void *userdata) {
        paused = now;
        return 0;
}

/* Later, as the real one answers. */
static int on_restored(sd_event_source *source, uint64_t usec, void *userdata) {
        struct json_object *results = load("restore.json");
        int r = results ? bus_reply_restore(waiting, results) : sd_bus_reply_method_errno(waiting, -EIO, NULL);
        json_object_put(results);
        waiting = sd_bus_message_unref(waiting);
        return r;
}

static int on_restore(const char *unit, sd_bus_message *call, void *userdata) {
        if (waiting)
                return -EBUSY;
        if (strcmp(unit, "unknown.service") == 0)
                return -ENOENT;
        waiting = sd_bus_message_ref(call);
        return sd_event_add_time_relative(event, NULL, CLOCK_MONOTONIC, 20 * USEC_PER_MSEC, 0, on_restored, NULL);
}

static sd_bus_message *asking;

static int on_planned(sd_event_source *source, uint64_t usec, void *userdata) {
        struct json_object *plan = load("plan.json");
        int r = plan ? bus_reply_object(asking, plan) : bus_reply_error(asking, -EIO, "The machine could not be observed");
        asking = sd_bus_message_unref(asking);
        return r;
}

static int on_plan(sd_bus_message *call, void *userdata) {
        if (asking)
                return -EBUSY;
        asking = sd_bus_message_ref(call);
        return sd_event_add_time_relative(event, NULL, CLOCK_MONOTONIC, 20 * USEC_PER_MSEC, 0, on_planned, NULL);
}

static int on_advise(uint64_t mcpu, uint64_t bytes, sd_bus_message *call, void *userdata) {
        struct json_object *o = load("advice.json");
        if (o) {
                json_object_object_add(o, "cpus", json_object_new_double((double) mcpu / 1000));
                json_object_object_add(o, "bytes", json_object_new_int64((int64_t) bytes));
        }
        return bus_reply_object(call, o);
}

static struct json_object *on_remembered(void *userdata) {
        (void) userdata;
        return load("remembered.json");
}

static struct json_object *on_history(const char *unit, void *userdata) {
        if (strcmp(unit, "quiet.service") == 0 || strcmp(unit, "quiet") == 0)
                return json_object_new_array();
        return load("history.json");
}

static const struct bus_callbacks callbacks = { on_status,  on_list, on_explain, on_reload,  on_pause,
                                                on_restore, on_plan, on_advise,  on_history, on_remembered };

int main(int argc, char **argv) {
        sd_bus *bus = NULL;
        struct bus_service *service = NULL;
        if (argc != 2)
                return EXIT_FAILURE;
        directory = argv[1];
        int r = sd_event_new(&event);
        if (r >= 0)
                r = sd_bus_open_system(&bus);
        if (r >= 0)
                r = sd_bus_attach_event(bus, event, SD_EVENT_PRIORITY_NORMAL);
        if (r >= 0)
                r = sd_bus_set_exit_on_disconnect(bus, true); /* ends with the test's bus */
        if (r >= 0)
                r = bus_service_new(bus, &callbacks, NULL, &service);
        if (r >= 0) {
                (void) puts("ready");
                (void) fflush(stdout);
                r = sd_event_loop(event);
        } else
                (void) fprintf(stderr, "fake-daemon: %s\n", strerror(-r));
        bus_service_free(service);
        sd_bus_flush_close_unref(bus);
        sd_event_unref(event);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
