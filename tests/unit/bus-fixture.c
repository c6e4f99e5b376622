/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The daemon of bus-fixture.h: it answers what the test has told it to, counts, and takes its time where the daemon would. */
#include "bus-fixture.h"

#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "report/bus-names.h"
#include "report/json.h"
#include "unit.h"

struct fake_daemon fake;

static const char status_text[] =
        "{\"version\":\"0.1.0\",\"paused\":true,\"share\":0.1,\"third\":0.33333333333333331,\"none\":null,"
        "\"large\":9223372036854775807,\"negative\":-5,\"empty\":[],\"nested\":{\"a\":[1,[2.5,\"x\"],{}]},"
        "\"text\":\"→ é \\u0007\"}";
const char *const status_back =
        "{\"version\":\"0.1.0\",\"paused\":true,\"share\":0.1,\"third\":0.33333333333333331,"
        "\"large\":9223372036854775807,\"negative\":-5,\"empty\":[],\"nested\":{\"a\":[1,[2.5,\"x\"],{}]},"
        "\"text\":\"→ é \\u0007\"}";

static struct json_object *on_status(void *userdata) {
        return json_tokener_parse(status_text);
}

static struct json_object *on_list(void *userdata) {
        return json_object_get(fake.list);
}

/* As a plan of a very large machine does. */
static void burn(uint64_t usec) {
        struct timespec ts;
        uint64_t until = 0, now;
        do {
                assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts), 0);
                now = (uint64_t) ts.tv_sec * USEC_PER_SEC + (uint64_t) ts.tv_nsec / 1000;
                until = until > 0 ? until : now + usec;
        } while (now < until);
}

static struct json_object *on_explain(const char *unit, void *userdata) {
        if (strcmp(unit, "expensive.service") == 0) {
                /* Time for answers is earned as time passes, up to two seconds of it. Where we get little of the machine, that is as
                 * fast as we can spend it: then one that is more than can be saved up. */
                burn(fake.n_expensive++ < 60 ? 50 * USEC_PER_MSEC : 4 * USEC_PER_SEC);
                return json_object_new_object();
        }
        errno = strcmp(unit, "no-memory") == 0 ? ENOMEM : ENOENT;
        if (strcmp(unit, "known.service") != 0)
                return NULL;
        struct json_object *o = json_object_new_object();
        /* not cleaned by us, as a name from the kernel could be: D-Bus would refuse it */
        json_object_object_add(o, "unit", json_object_new_string("bad\xff"));
        return o;
}

static int on_reload(char **ret_error, void *userdata) {
        fake.n_reloads++;
        if (fake.reload_error)
                *ret_error = strdup(fake.reload_error);
        return fake.reload_result;
}

static int on_pause(bool paused, void *userdata) {
        *(paused ? &fake.n_paused : &fake.n_resumed) += 1;
        return 0;
}

static sd_bus_message *waiting;

static int on_restore(const char *unit, sd_bus_message *call, void *userdata) {
        fake.n_restores++;
        if (fake.restore_result < 0)
                return fake.restore_result;
        waiting = sd_bus_message_ref(call);
        return 0;
}

static sd_bus_message *asking;

static int on_plan(sd_bus_message *call, void *userdata) {
        fake.n_looks++;
        if (fake.plan_result < 0)
                return fake.plan_result;
        asking = sd_bus_message_ref(call);
        return 0;
}

/* At once, where the last observation serves. */
static int on_advise(uint64_t mcpu, uint64_t bytes, sd_bus_message *call, void *userdata) {
        fake.n_looks++;
        fake.mcpu = mcpu;
        fake.bytes = bytes;
        return bus_reply_object(call, json_tokener_parse("{\"nodes\":[1],\"node_list\":\"1\"}"));
}

static struct json_object *on_remembered(void *userdata) {
        (void) userdata;
        return json_tokener_parse("[{\"big\":18446744073709551614}]");
}

static struct json_object *on_history(const char *unit, void *userdata) {
        return json_tokener_parse(*unit ? "[]" : "[{\"unit\":\"a.service\",\"event\":\"moved\",\"locality_after\":null}]");
}

static const struct bus_callbacks callbacks = { on_status,  on_list, on_explain, on_reload,  on_pause,
                                                on_restore, on_plan, on_advise,  on_history, on_remembered };

/* Answers what waits, as the manager does some time after the handler returned. */
static void answer_restore(void) {
        struct json_object *results = json_tokener_parse(
                "[{\"unit\":\"a.service\",\"cgroup\":\"/a.service\",\"outcome\":\"restored\",\"detail\":\"\"}]");
        assert_true(bus_reply_restore(waiting, results) >= 0);
        json_object_put(results);
        waiting = sd_bus_message_unref(waiting);
}

static void answer_plan(void) {
        if (fake.plan_error < 0)
                assert_true(bus_reply_error(asking, fake.plan_error, "The machine could not be observed") >= 0);
        else
                assert_true(bus_reply_object(asking, fake.list ? json_object_get(fake.list) : NULL) >= 0);
        asking = sd_bus_message_unref(asking);
}

void *serve(void *arg) {
        int fd = *(int *) arg;
        sd_bus *bus = NULL;
        sd_id128_t id;
        struct bus_service *service = NULL;
        assert_true(sd_id128_randomize(&id) >= 0);
        assert_true(sd_bus_new(&bus) >= 0);
        assert_true(sd_bus_set_fd(bus, fd, fd) >= 0);
        assert_true(sd_bus_set_server(bus, true, id) >= 0);
        assert_true(sd_bus_start(bus) >= 0);
        assert_int_equal(bus_service_new(bus, &callbacks, NULL, &service), 0);
        for (;;) {
                int r = sd_bus_process(bus, NULL);
                if (r < 0)
                        break;
                if (waiting)
                        answer_restore();
                if (asking)
                        answer_plan();
                if (r == 0 && sd_bus_wait(bus, UINT64_MAX) < 0)
                        break;
        }
        bus_service_free(service);
        sd_bus_close(bus);
        sd_bus_unref(bus);
        return NULL;
}

int setup(void **state) {
        static struct fixture f;
        int fds[2];
        memset(&fake, 0, sizeof(fake));
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
        f.server_fd = fds[0];
        assert_int_equal(pthread_create(&f.thread, NULL, serve, &f.server_fd), 0);
        assert_true(sd_bus_new(&f.client) >= 0);
        assert_true(sd_bus_set_fd(f.client, fds[1], fds[1]) >= 0);
        assert_true(sd_bus_start(f.client) >= 0);
        (void) sd_bus_set_method_call_timeout(f.client, PATIENCE_USEC);
        *state = &f;
        return 0;
}

int teardown(void **state) {
        struct fixture *f = *state;
        f->client = sd_bus_flush_close_unref(f->client);
        assert_int_equal(pthread_join(f->thread, NULL), 0);
        json_object_put(fake.list);
        return 0;
}

struct json_object *call(struct fixture *f, const char *member, char error_name[static 128], const char *types, ...) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        struct json_object *value = NULL;
        va_list args;
        assert_true(sd_bus_message_new_method_call(f->client, &m, NULL, BUS_PATH, BUS_INTERFACE, member) >= 0);
        va_start(args, types);
        assert_true(!types || sd_bus_message_appendv(m, types, args) >= 0);
        va_end(args);
        int r = sd_bus_call(f->client, m, 0, &error, &reply);
        (void) snprintf(error_name, 128, "%s", r < 0 ? error.name : "");
        if (r >= 0 && !sd_bus_message_is_empty(reply))
                assert_int_equal(bus_read_json(reply, &value), 0);
        if (r >= 0)
                assert_int_equal(sd_bus_message_at_end(reply, true), 1);
        return value;
}

void assert_json(struct json_object *o, const char *expected) {
        assert_non_null(o);
        assert_string_equal(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE), expected);
        json_object_put(o);
}
