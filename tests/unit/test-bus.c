/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The daemon's interface over a real connection (a socket, no bus daemon): types, errors, who may do what, size. */
#include "bus-fixture.h"

#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/plan.h"
#include "core/util.h"
#include "report/bus-names.h"
#include "report/json.h"
#include "unit.h"

#define NOBODY 65534

static void test_round_trip(void **state) {
        char error[128];
        assert_json(call(*state, "Status", error, NULL), status_back);
        fake.list = json_tokener_parse("[{\"unit\":\"a\",\"rule\":null,\"cpu_by_node\":[0.25,0.75]},{}]");
        assert_json(call(*state, "List", error, NULL), "[{\"unit\":\"a\",\"cpu_by_node\":[0.25,0.75]},{}]");
        assert_json(call(*state, "Explain", error, "s", "known.service"), "{\"unit\":\"bad\\\\xff\"}");
}

/* A message as a newer (or another) daemon could send it, ready to be read. */
static sd_bus_message *foreign(struct fixture *f, const char *types, ...) {
        sd_bus_message *m = NULL;
        va_list args;
        assert_true(sd_bus_message_new_method_call(f->client, &m, NULL, "/x", "x.y", "z") >= 0);
        va_start(args, types);
        assert_true(sd_bus_message_appendv(m, types, args) >= 0);
        va_end(args);
        assert_true(sd_bus_message_seal(m, 1, 0) >= 0);
        assert_true(sd_bus_message_rewind(m, true) >= 0);
        return m;
}

static void test_foreign_types(void **state) {
        struct json_object *value = NULL;
        sd_bus_message *m =
                foreign(*state, "yqiuta{ss}asv", 1, 2, -3, 4, (uint64_t) UINT64_MAX, 1, "k", "v", 2, "a", "b", "ad", 1, 0.5);
        static const char *const expected[] = { "1",    "2", "-3", "4", "18446744073709551615", "{\"k\":\"v\"}", "[\"a\",\"b\"]",
                                                "[0.5]" };
        for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
                assert_int_equal(bus_read_json(m, &value), 0);
                assert_json(value, expected[i]);
        }
        assert_int_equal(bus_read_json(m, &value), -ENODATA);
        sd_bus_message_unref(m);

        m = foreign(*state, "a{us}", 1, 7, "v");
        assert_int_equal(bus_read_json(m, &value), -EBADMSG);
        sd_bus_message_unref(m);
        m = foreign(*state, "(ii)", 1, 2);
        assert_int_equal(bus_read_json(m, &value), -EBADMSG);
        sd_bus_message_unref(m);

        /* Nested deeper than anything of ours. */
        struct json_object *deep = json_object_new_int(1);
        for (int i = 0; i < 20; i++) {
                struct json_object *outer = json_object_new_array();
                json_object_array_add(outer, deep);
                deep = outer;
        }
        assert_true(sd_bus_message_new_method_call(((struct fixture *) *state)->client, &m, NULL, "/x", "x.y", "z") >= 0);
        assert_int_equal(bus_append_json(m, deep), -EINVAL);
        sd_bus_message_unref(m);
        json_object_put(deep);
        m = foreign(*state, "vi", "av", 1, "av", 1, "av", 1, "av", 1, "av", 1, "av", 1, "av", 1, "av", 1, "av", 1, "av", 1, "av",
                    1, "av", 1, "av", 1, "av", 1, "av", 1, "av", 1, "av", 1, "av", 1, "i", 1, 1);
        assert_int_equal(bus_read_json(m, &value), -EBADMSG);
        sd_bus_message_unref(m);
}

static void test_errors(void **state) {
        char error[128];
        assert_null(call(*state, "Explain", error, "s", "unknown.service"));
        assert_string_equal(error, BUS_ERROR_NO_SUCH_UNIT);
        assert_null(call(*state, "Explain", error, "s", "no-memory"));
        assert_string_equal(error, SD_BUS_ERROR_NO_MEMORY);
        char name[5000];
        memset(name, 'x', sizeof(name) - 1);
        name[sizeof(name) - 1] = 0;
        assert_null(call(*state, "Explain", error, "s", name));
        assert_string_equal(error, SD_BUS_ERROR_INVALID_ARGS);
        assert_null(call(*state, "Simulate", error, NULL));
        assert_string_equal(error, SD_BUS_ERROR_UNKNOWN_METHOD);
}

static struct json_object *many_services(size_t n, size_t n_nodes) {
        struct json_object *array = json_object_new_array();
        for (size_t i = 0; i < n; i++) {
                struct json_object *o = json_object_new_object(), *shares = json_object_new_array();
                json_put_string(&o, "unit", "a-service-with-a-name-of-usual-length@instance.service");
                json_put_string(&o, "reason",
                                "its memory is on nodes 0-3, where its threads do not run, and node 1 has room for all of it");
                json_put_u64s(&o, "bytes_by_node", NULL, n_nodes);
                for (size_t k = 0; k < n_nodes; k++)
                        json_object_array_add(shares, json_new_number(0.5, 4));
                json_put(&o, "cpu_by_node", shares);
                json_object_array_add(array, o);
        }
        return array;
}

static void test_plan(void **state) {
        char error[128];
        fake.list = json_tokener_parse(
                "{\"services\":[{\"unit\":\"a.service\",\"cpus\":null,\"when\":\"now\"}],\"totals\":{\"now\":1}}");
        assert_json(call(*state, "Plan", error, NULL),
                    "{\"services\":[{\"unit\":\"a.service\",\"when\":\"now\"}],\"totals\":{\"now\":1}}");
        fake.plan_error = -EIO;
        assert_null(call(*state, "Plan", error, NULL));
        assert_string_equal(error, SD_BUS_ERROR_IO_ERROR);
        fake.plan_error = 0;
        fake.plan_result = -EBUSY;
        assert_null(call(*state, "Plan", error, NULL));
        assert_string_equal(error, BUS_ERROR_BUSY);
        fake.plan_result = 0;
        /* Too large for a message: said later, too. */
        struct json_object *large = json_object_new_object();
        json_object_object_add(large, "services", many_services(2000, 1024));
        json_object_put(fake.list);
        fake.list = large;
        assert_null(call(*state, "Plan", error, NULL));
        assert_string_equal(error, BUS_ERROR_TOO_LARGE);
        json_object_put(fake.list);
        fake.list = NULL; /* no memory for an answer */
        assert_null(call(*state, "Plan", error, NULL));
        assert_string_equal(error, SD_BUS_ERROR_NO_MEMORY);
}

static void test_advise(void **state) {
        char error[128];
        assert_json(call(*state, "Advise", error, "tt", (uint64_t) 1500, (uint64_t) GIB), "{\"nodes\":[1],\"node_list\":\"1\"}");
        assert_int_equal(fake.mcpu, 1500);
        assert_int_equal(fake.bytes, GIB);
        const uint64_t wrong[][2] = {
                { 0, 0 }, { ADVISE_MCPU_MAX + 1, 0 }, { 1, ADVISE_BYTES_MAX + 1 }, { UINT64_MAX, UINT64_MAX }
        };
        for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
                assert_null(call(*state, "Advise", error, "tt", wrong[i][0], wrong[i][1]));
                assert_string_equal(error, SD_BUS_ERROR_INVALID_ARGS);
        }
        assert_int_equal(fake.n_looks, 1);
}

static void test_history(void **state) {
        char error[128];
        assert_json(call(*state, "History", error, "s", ""), "[{\"unit\":\"a.service\",\"event\":\"moved\"}]");
        assert_json(call(*state, "History", error, "s", "quiet.service"), "[]");
}

/* As text: the largest numbers arrive as they are. */
static void test_remembered(void **state) {
        char error[128];
        assert_json(call(*state, "Remembered", error, NULL), "\"[{\\\"big\\\":18446744073709551614}]\"");
}

static void test_changing(void **state) {
        char error[128];
        assert_null(call(*state, "Pause", error, "b", 1));
        assert_string_equal(error, "");
        assert_null(call(*state, "Pause", error, "b", 0));
        assert_int_equal(fake.n_paused, 1);
        assert_int_equal(fake.n_resumed, 1);
        assert_json(call(*state, "Restore", error, "s", ""),
                    "[{\"unit\":\"a.service\",\"cgroup\":\"/a.service\",\"outcome\":\"restored\",\"detail\":\"\"}]");
        static const struct {
                int result;
                const char *error;
        } failures[] = { { -ENOENT, BUS_ERROR_NO_SUCH_UNIT },
                         { -EBUSY, BUS_ERROR_BUSY },
                         { -EPERM, SD_BUS_ERROR_ACCESS_DENIED },
                         { -ENOMEM, SD_BUS_ERROR_NO_MEMORY } };
        for (size_t i = 0; i < ARRAY_SIZE(failures); i++) {
                fake.restore_result = failures[i].result;
                assert_null(call(*state, "Restore", error, "s", "x\n.service"));
                assert_string_equal(error, failures[i].error);
        }
}

static void test_reload(void **state) {
        struct fixture *f = *state;
        char name[128];
        assert_null(call(f, "Reload", name, NULL));
        assert_string_equal(name, "");
        fake.reload_result = -EBADMSG;
        fake.reload_error = "a.yaml:1:2: bad\nb.yaml:3:4: bad\xff too";
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        assert_true(sd_bus_call_method(f->client, NULL, BUS_PATH, BUS_INTERFACE, "Reload", &error, NULL, NULL) < 0);
        assert_string_equal(error.name, BUS_ERROR_INVALID_CONFIGURATION);
        assert_string_equal(error.message, "a.yaml:1:2: bad\nb.yaml:3:4: bad\\xff too");
        fake.reload_error = NULL;
        fake.reload_result = -ENOMEM;
        assert_null(call(f, "Reload", name, NULL));
        assert_string_equal(name, SD_BUS_ERROR_NO_MEMORY);
        assert_int_equal(fake.n_reloads, 3);
}

static void test_size(void **state) {
        char error[128];
        fake.list = many_services(2000, 64);
        struct json_object *list = call(*state, "List", error, NULL);
        assert_string_equal(error, "");
        assert_int_equal(json_object_array_length(list), 2000);
        json_object_put(list);
        json_object_put(fake.list);
        fake.list = many_services(2000, 1024);
        assert_null(call(*state, "List", error, NULL));
        assert_string_equal(error, BUS_ERROR_TOO_LARGE);
        json_object_put(fake.list);
        /* What fits is answered: these take 9 MiB. */
        fake.list = many_services(12000, 16);
        list = call(*state, "List", error, NULL);
        assert_string_equal(error, "");
        assert_int_equal(json_object_array_length(list), 12000);
        json_object_put(list);
        json_object_put(fake.list);
        fake.list = many_services(1, 1);
        list = call(*state, "List", error, NULL); /* the connection lives on */
        assert_int_equal(json_object_array_length(list), 1);
        json_object_put(list);
}

static void test_introspection(void **state) {
        struct fixture *f = *state;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *xml;
        assert_true(sd_bus_call_method(f->client, NULL, BUS_PATH, "org.freedesktop.DBus.Introspectable", "Introspect", NULL,
                                       &reply, NULL) >= 0);
        assert_true(sd_bus_message_read(reply, "s", &xml) >= 0);
        static const char *const wanted[] = { "Status", "List",  "Explain", "Plan",    "Advise", "History",
                                              "Reload", "Pause", "Restore", "Version", "Paused" };
        for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
                assert_non_null(strstr(xml, wanted[i]));
        _cleanup_free_ char *version = NULL;
        int paused = 0;
        assert_true(sd_bus_get_property_string(f->client, NULL, BUS_PATH, BUS_INTERFACE, "Version", NULL, &version) >= 0);
        assert_true(*version);
        assert_true(sd_bus_get_property_trivial(f->client, NULL, BUS_PATH, BUS_INTERFACE, "Paused", NULL, 'b', &paused) >= 0);
        assert_int_equal(paused, 1);
}

/* The limit is not for root (or who runs the daemon). */
static void test_root_is_answered(void **state) {
        char error[128];
        for (unsigned i = 0; i < 60; i++) {
                json_object_put(call(*state, "Explain", error, "s", "expensive.service"));
                assert_string_equal(error, "");
        }
}

static bool property_is_refused(sd_bus *bus) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        int paused;
        return sd_bus_get_property_trivial(bus, NULL, BUS_PATH, BUS_INTERFACE, "Paused", &error, 'b', &paused) < 0 &&
               sd_bus_error_has_name(&error, BUS_ERROR_BUSY);
}

/* As nobody: may read, may not change. The exit status says what went wrong. */
static int nobody(const char *path) {
        if (setgid(NOBODY) < 0 || setuid(NOBODY) < 0)
                return 10;
        sd_bus *bus = NULL;
        _cleanup_free_ char *address = format_string("unix:path=%s", path);
        if (sd_bus_new(&bus) < 0 || sd_bus_set_address(bus, address) < 0 || sd_bus_start(bus) < 0 ||
            sd_bus_set_method_call_timeout(bus, PATIENCE_USEC) < 0)
                return 11;
        struct fixture f = { .client = bus };
        char error[128];
        json_object_put(call(&f, "Status", error, NULL));
        if (*error)
                return 12;
        json_object_put(call(&f, "History", error, "s", ""));
        if (*error)
                return 13;
        json_object_put(call(&f, "Advise", error, "tt", (uint64_t) 1000, (uint64_t) 0));
        if (*error)
                return 14;
        json_object_put(call(&f, "Remembered", error, NULL));
        if (strcmp(error, SD_BUS_ERROR_ACCESS_DENIED) != 0)
                return 19;
        json_object_put(call(&f, "Reload", error, NULL));
        if (strcmp(error, SD_BUS_ERROR_ACCESS_DENIED) != 0)
                return 20;
        json_object_put(call(&f, "Pause", error, "b", 1));
        if (strcmp(error, SD_BUS_ERROR_ACCESS_DENIED) != 0)
                return 21;
        json_object_put(call(&f, "Restore", error, "s", ""));
        if (strcmp(error, SD_BUS_ERROR_ACCESS_DENIED) != 0)
                return 22;
        /* In a loop: answered at first, then turned away again and again. How soon depends on what else the machine does. */
        unsigned n_told = 0, n_busy = 0, n_busy_property = 0;
        for (unsigned i = 0; i < 600 && (n_told < 10 || n_busy < 50); i++) {
                json_object_put(call(&f, "Explain", error, "s", "expensive.service"));
                if (!*error)
                        n_told++;
                else if (strcmp(error, BUS_ERROR_BUSY) == 0) {
                        n_busy++;
                        n_busy_property += property_is_refused(bus);
                } else
                        return 31;
        }
        if (n_told < 10 || n_busy < 50)
                return 30;
        if (n_busy_property == 0)
                return 32;
        sd_bus_flush_close_unref(bus);
        return 0;
}

static void test_privilege(void **state) {
        if (getuid() != 0)
                skip(); /* cannot become somebody else */
        memset(&fake, 0, sizeof(fake));
        char directory[] = "/tmp/numabalanced-test-XXXXXX";
        assert_non_null(mkdtemp(directory));
        assert_int_equal(chown(directory, NOBODY, NOBODY), 0);
        _cleanup_free_ char *path = format_string("%s/bus", directory);
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        (void) snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
        int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(listener, (struct sockaddr *) &address, sizeof(address)), 0);
        assert_int_equal(chown(path, NOBODY, NOBODY), 0);
        assert_int_equal(listen(listener, 1), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
                _exit(nobody(path));
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), status;
        assert_true(fd >= 0);
        serve(&fd); /* until the child hangs up */
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
        assert_int_equal(fake.n_reloads + fake.n_paused + fake.n_resumed + fake.n_restores, 0);
        close(listener);
        unlink(path);
        rmdir(directory);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
                cmocka_unit_test_setup_teardown(test_foreign_types, setup, teardown),
                cmocka_unit_test_setup_teardown(test_errors, setup, teardown),
                cmocka_unit_test_setup_teardown(test_plan, setup, teardown),
                cmocka_unit_test_setup_teardown(test_advise, setup, teardown),
                cmocka_unit_test_setup_teardown(test_history, setup, teardown),
                cmocka_unit_test_setup_teardown(test_remembered, setup, teardown),
                cmocka_unit_test_setup_teardown(test_changing, setup, teardown),
                cmocka_unit_test_setup_teardown(test_reload, setup, teardown),
                cmocka_unit_test_setup_teardown(test_size, setup, teardown),
                cmocka_unit_test_setup_teardown(test_introspection, setup, teardown),
                cmocka_unit_test_setup_teardown(test_root_is_answered, setup, teardown),
                cmocka_unit_test(test_privilege),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
