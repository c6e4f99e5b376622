/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The daemon's object on the bus. Reading is for everyone; what changes something goes through sd-bus' own privilege check (no
 * SD_BUS_VTABLE_UNPRIVILEGED) and then through ours, so that neither a flag nor a bus policy alone opens it. */
#include "config.h"

#include "report/bus.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/plan.h"
#include "core/throttle.h"
#include "core/util.h"
#include "report/bus-names.h"
#include "report/format.h"

/* Longest unit name or cgroup path that is taken (PATH_MAX). */
#define UNIT_BYTES_MAX 4096u
/* CPU time a second that answers take from the daemon for all who are not root, together; two seconds' worth can be saved up. Some answers are
 * plans, which take long on a large machine: whoever asks in a loop must not keep the daemon from its work. */
#define ANSWERS_USEC_PER_SEC (USEC_PER_SEC / 10)
/* Error texts of a configuration: config/ limits their number, this their size in a message. */
#define ERROR_BYTES_MAX (64u << 10)

struct bus_service {
        sd_bus *bus;
        sd_bus_slot *slot;
        const struct bus_callbacks *callbacks;
        void *userdata;
        bool named;
        struct throttle answers; /* CPU µs */
};

/* Root, or who the daemon itself runs as. The answer comes from the bus (or the socket), not from the message. */
static int is_root(sd_bus_message *call) {
        _cleanup_(sd_bus_creds_unrefp) sd_bus_creds *creds = NULL;
        uid_t uid;
        int r = sd_bus_query_sender_creds(call, SD_BUS_CREDS_EUID, &creds);
        if (r >= 0)
                r = sd_bus_creds_get_euid(creds, &uid);
        return r < 0 ? r : uid == 0 || uid == geteuid();
}

static int check_sender(sd_bus_message *call, sd_bus_error *error) {
        int r = is_root(call);
        if (r < 0)
                return sd_bus_error_set_errnof(error, r, "Cannot tell who is asking");
        return r > 0 ? 0 : sd_bus_error_set(error, SD_BUS_ERROR_ACCESS_DENIED, "Only root may do this");
}

static uint64_t clock_usec(clockid_t clock) {
        struct timespec ts;
        if (clock_gettime(clock, &ts) < 0)
                return 0;
        return (uint64_t) ts.tv_sec * USEC_PER_SEC + (uint64_t) ts.tv_nsec / 1000;
}

bool bus_may_answer(struct bus_service *b, sd_bus_message *call) {
        if (!b || throttle_available(&b->answers, clock_usec(CLOCK_BOOTTIME)) > 0)
                return true;
        return is_root(call) > 0;
}

uint64_t bus_answer_begin(void) {
        return clock_usec(CLOCK_THREAD_CPUTIME_ID);
}

void bus_answer_end(struct bus_service *b, uint64_t began) {
        uint64_t now = clock_usec(CLOCK_THREAD_CPUTIME_ID);
        if (b)
                throttle_take(&b->answers, now - MIN2(began, now), clock_usec(CLOCK_BOOTTIME));
}

typedef int (*append_function)(sd_bus_message *, struct json_object *);

/* Answers with a JSON value, bounded; takes the value. `append` says as what. */
static int reply_json(sd_bus_message *call, struct json_object *value, append_function append) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r;
        if (bus_json_size(value) > BUS_REPLY_BYTES_MAX)
                r = sd_bus_reply_method_errorf(call, BUS_ERROR_TOO_LARGE,
                                               "The answer does not fit into one message; ask for single services");
        else {
                r = sd_bus_message_new_method_return(call, &reply);
                if (r >= 0)
                        r = append(reply, value);
                if (r >= 0)
                        r = sd_bus_send(NULL, reply, NULL);
        }
        json_object_put(value);
        return r;
}

int bus_reply_object(sd_bus_message *call, struct json_object *object) {
        return object ? reply_json(call, object, bus_append_json_object) : sd_bus_reply_method_errno(call, -ENOMEM, NULL);
}

int bus_reply_error(sd_bus_message *call, int error, const char *text) {
        return sd_bus_reply_method_errnof(call, error, "%s", text);
}

static int tell_status(sd_bus_message *call, struct bus_service *b, sd_bus_error *error) {
        struct json_object *o = b->callbacks->status(b->userdata);
        return o ? reply_json(call, o, bus_append_json_object) : -ENOMEM;
}

static int tell_list(sd_bus_message *call, struct bus_service *b, sd_bus_error *error) {
        struct json_object *o = b->callbacks->list(b->userdata);
        return o ? reply_json(call, o, bus_append_json_objects) : -ENOMEM;
}

static int read_unit(sd_bus_message *call, const char **ret, sd_bus_error *error) {
        int r = sd_bus_message_read(call, "s", ret);
        if (r < 0)
                return r;
        if (strlen(*ret) > UNIT_BYTES_MAX)
                return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS, "The unit's name is too long");
        return 0;
}

static int no_such_unit(sd_bus_error *error, const char *unit, const char *what) {
        _cleanup_free_ char *clean = text_clean(unit, false);
        /* systemctl adds the type by itself, so people leave it out. */
        if (clean && *clean && !strpbrk(clean, "./["))
                return sd_bus_error_setf(error, BUS_ERROR_NO_SUCH_UNIT, "%s: %s; did you mean %s.service?", clean, what, clean);
        return sd_bus_error_setf(error, BUS_ERROR_NO_SUCH_UNIT, "%s: %s", clean ? clean : "unit", what);
}

static int tell_explain(sd_bus_message *call, struct bus_service *b, sd_bus_error *error) {
        const char *unit;
        int r = read_unit(call, &unit, error);
        if (r < 0)
                return r;
        errno = 0;
        struct json_object *o = b->callbacks->explain(unit, b->userdata);
        if (!o)
                return errno == ENOENT ? no_such_unit(error, unit, "no such service was seen") : -ENOMEM;
        return reply_json(call, o, bus_append_json_object);
}

static int tell_history(sd_bus_message *call, struct bus_service *b, sd_bus_error *error) {
        const char *unit;
        int r = read_unit(call, &unit, error);
        if (r < 0)
                return r;
        struct json_object *o = b->callbacks->history(unit, b->userdata);
        return o ? reply_json(call, o, bus_append_json_objects) : -ENOMEM;
}

/* As text, because its numbers must arrive as they are. */
static int on_remembered(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        struct bus_service *b = userdata;
        int r = check_sender(call, error);
        if (r < 0)
                return r;
        struct json_object *o = b->callbacks->remembered(b->userdata);
        const char *text = o ? json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN) : NULL;
        r = !text                                ? -ENOMEM
            : strlen(text) > BUS_REPLY_BYTES_MAX ? sd_bus_error_set(error, BUS_ERROR_TOO_LARGE, "Too much for a message")
                                                 : sd_bus_reply_method_return(call, "s", text);
        json_object_put(o);
        return r;
}

/* Answered now or later. */
static int later(int r, sd_bus_error *error) {
        if (r == -EBUSY)
                return sd_bus_error_set(error, BUS_ERROR_BUSY, "Too many are waiting for an answer already");
        return r < 0 ? r : 1;
}

static int tell_plan(sd_bus_message *call, struct bus_service *b, sd_bus_error *error) {
        return later(b->callbacks->plan(call, b->userdata), error);
}

static int tell_advise(sd_bus_message *call, struct bus_service *b, sd_bus_error *error) {
        uint64_t mcpu, bytes;
        int r = sd_bus_message_read(call, "tt", &mcpu, &bytes);
        if (r < 0)
                return r;
        if (mcpu == 0 || mcpu > ADVISE_MCPU_MAX || bytes > ADVISE_BYTES_MAX)
                return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS, "No machine has so much, or nothing is asked for");
        return later(b->callbacks->advise(mcpu, bytes, call, b->userdata), error);
}

static int on_question(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        static const struct {
                const char *member;
                int (*tell)(sd_bus_message *call, struct bus_service *b, sd_bus_error *error);
        } questions[] = {
                { "Status", tell_status }, { "List", tell_list },     { "Explain", tell_explain },
                { "Plan", tell_plan },     { "Advise", tell_advise }, { "History", tell_history },
        };
        struct bus_service *b = userdata;
        const char *member = sd_bus_message_get_member(call);
        if (!bus_may_answer(b, call))
                return sd_bus_error_set(error, BUS_ERROR_BUSY, BUS_BUSY_TEXT);
        uint64_t began = bus_answer_begin();
        int r = -EINVAL;
        for (size_t i = 0; i < ARRAY_SIZE(questions); i++)
                if (strcmp(questions[i].member, member) == 0)
                        r = questions[i].tell(call, b, error);
        bus_answer_end(b, began);
        return r;
}

static int on_reload(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        struct bus_service *b = userdata;
        int r = check_sender(call, error);
        if (r < 0)
                return r;
        _cleanup_free_ char *text = NULL;
        r = b->callbacks->reload(&text, b->userdata);
        if (r >= 0)
                return sd_bus_reply_method_return(call, NULL);
        if (!text || !*text)
                return sd_bus_error_set_errnof(error, r, "The configuration could not be read");
        if (strlen(text) > ERROR_BYTES_MAX)
                text[ERROR_BYTES_MAX] = 0; /* a character cut in two is cleaned next */
        _cleanup_free_ char *clean = text_clean(text, true);
        return clean ? sd_bus_error_set(error, BUS_ERROR_INVALID_CONFIGURATION, clean) : -ENOMEM;
}

static int on_pause(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        struct bus_service *b = userdata;
        int paused, r = check_sender(call, error);
        if (r >= 0)
                r = sd_bus_message_read(call, "b", &paused);
        if (r >= 0)
                r = b->callbacks->pause(paused, b->userdata);
        return r < 0 ? r : sd_bus_reply_method_return(call, NULL);
}

static int on_restore(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        struct bus_service *b = userdata;
        const char *unit;
        int r = check_sender(call, error);
        if (r >= 0)
                r = read_unit(call, &unit, error);
        if (r < 0)
                return r;
        r = b->callbacks->restore(unit, call, b->userdata);
        switch (r) {
        case -ENOENT: return no_such_unit(error, unit, "nothing of it was changed, so there is nothing to restore");
        case -EBUSY: return sd_bus_error_set(error, BUS_ERROR_BUSY, "Another restore is under way");
        case -EPERM:
                return sd_bus_error_set(error, SD_BUS_ERROR_ACCESS_DENIED,
                                        "Another numabalanced manages this machine; this one changes nothing");
        default: return r < 0 ? r : 1; /* answered by bus_reply_restore(), perhaps already */
        }
}

int bus_reply_restore(sd_bus_message *call, struct json_object *results) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r = sd_bus_message_new_method_return(call, &reply);
        if (r >= 0)
                r = bus_append_json_objects(reply, results);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int get_version(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                       void *userdata, sd_bus_error *error) {
        return sd_bus_message_append(reply, "s", PACKAGE_VERSION);
}

/* Properties take as much from the daemon as Status, so they are counted the same way. NULL: the error, or the result, says why. */
static struct json_object *status_for_property(sd_bus *bus, struct bus_service *b, sd_bus_error *error, int *ret_error) {
        sd_bus_message *call = sd_bus_get_current_message(bus);
        if (call && !bus_may_answer(b, call)) {
                *ret_error = sd_bus_error_set(error, BUS_ERROR_BUSY, BUS_BUSY_TEXT);
                return NULL;
        }
        uint64_t began = bus_answer_begin();
        struct json_object *status = b->callbacks->status(b->userdata);
        bus_answer_end(b, began);
        *ret_error = -ENOMEM;
        return status;
}

static int get_paused(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                      void *userdata, sd_bus_error *error) {
        int r;
        struct json_object *status = status_for_property(bus, userdata, error, &r), *paused;
        if (!status)
                return r;
        bool is_paused = json_object_object_get_ex(status, "paused", &paused) && json_object_get_boolean(paused);
        json_object_put(status);
        return sd_bus_message_append(reply, "b", is_paused);
}

static int get_kernel_balancing(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                                void *userdata, sd_bus_error *error) {
        int r;
        struct json_object *status = status_for_property(bus, userdata, error, &r), *state;
        if (!status)
                return r;
        bool there = json_object_object_get_ex(status, "kernel_balancing_state", &state);
        r = sd_bus_message_append(reply, "s", there ? json_object_get_string(state) : "");
        json_object_put(status);
        return r;
}

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Version", "s", get_version, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Paused", "b", get_paused, 0, 0),
        SD_BUS_PROPERTY("KernelBalancing", "s", get_kernel_balancing, 0, 0),
        SD_BUS_METHOD_WITH_ARGS("Status", SD_BUS_NO_ARGS, SD_BUS_RESULT("a{sv}", status), on_question,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("List", SD_BUS_NO_ARGS, SD_BUS_RESULT("aa{sv}", services), on_question,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Explain", SD_BUS_ARGS("s", unit), SD_BUS_RESULT("a{sv}", service), on_question,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Plan", SD_BUS_NO_ARGS, SD_BUS_RESULT("a{sv}", plan), on_question, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Advise", SD_BUS_ARGS("t", thousandths_of_cpus, "t", bytes), SD_BUS_RESULT("a{sv}", advice),
                                on_question, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("History", SD_BUS_ARGS("s", unit), SD_BUS_RESULT("aa{sv}", events), on_question,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Remembered", SD_BUS_NO_ARGS, SD_BUS_RESULT("s", json), on_remembered, 0),
        SD_BUS_METHOD_WITH_ARGS("Reload", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, on_reload, 0),
        SD_BUS_METHOD_WITH_ARGS("Pause", SD_BUS_ARGS("b", paused), SD_BUS_NO_RESULT, on_pause, 0),
        SD_BUS_METHOD_WITH_ARGS("Restore", SD_BUS_ARGS("s", unit), SD_BUS_RESULT("aa{sv}", outcomes), on_restore, 0),
        SD_BUS_VTABLE_END,
};

int bus_service_new(sd_bus *bus, const struct bus_callbacks *callbacks, void *userdata, struct bus_service **ret) {
        struct bus_service *b = calloc(1, sizeof(*b));
        if (!b)
                return -ENOMEM;
        b->bus = sd_bus_ref(bus);
        b->callbacks = callbacks;
        b->userdata = userdata;
        throttle_init(&b->answers, ANSWERS_USEC_PER_SEC, clock_usec(CLOCK_BOOTTIME));
        int r = sd_bus_add_object_vtable(bus, &b->slot, BUS_PATH, BUS_INTERFACE, vtable, b);
        if (r >= 0 && sd_bus_is_bus_client(bus) > 0) {
                r = sd_bus_request_name(bus, BUS_NAME, 0);
                b->named = r >= 0;
        }
        if (r < 0) {
                bus_service_free(b);
                return r;
        }
        *ret = b;
        return 0;
}

struct bus_service *bus_service_free(struct bus_service *b) {
        if (!b)
                return NULL;
        if (b->named)
                (void) sd_bus_release_name(b->bus, BUS_NAME); /* the connection may be closed already, with the same effect */
        sd_bus_slot_unref(b->slot);
        sd_bus_unref(b->bus);
        free(b);
        return NULL;
}
