/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Triggers of pressure: a FIFO takes one as a pressure file does (it only never tells of pressure: that it does is seen on a real kernel). */
#include "watch-fixture.h"

#include <errno.h>

static void test_trigger(void **state) {
        char text[64];
        put("/a.slice/x.service", "memory.pressure", "");
        int fd = pressure_trigger_open(fx.host->root_fd, MOUNT "/a.slice/x.service/memory.pressure", "some 200000 2000000");
        assert_true(fd >= 0);
        /* With its NUL: the kernel overwrites the last byte that it is given. */
        assert_int_equal(pread(fd, text, sizeof(text), 0), sizeof("some 200000 2000000"));
        assert_string_equal(text, "some 200000 2000000");
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
        (void) close(fd);

        assert_int_equal(pressure_trigger_open(fx.host->root_fd, MOUNT "/gone/memory.pressure", "some 1 2"), -ENOENT);
        assert_int_equal(pressure_trigger_open(fx.host->root_fd, MOUNT "/a.slice", "some 1 2"), -EISDIR);
        tree_link(&fx.tree, MOUNT "/a.slice/link", "x.service/memory.pressure");
        assert_int_equal(pressure_trigger_open(fx.host->root_fd, MOUNT "/a.slice/link", "some 1 2"), -ELOOP);
}

/* The one and the same trigger for as long as it is wanted; gone with its cgroup, and no fault. */
static void test_pressure_kept(void **state) {
        const struct watch_wish both = { .cgroup = "/a.slice/x.service", .memory = true, .cpu = true };
        char text[256];
        put_fifo("/a.slice/x.service", "memory.pressure");
        put_fifo("/a.slice/x.service", "cpu.pressure");
        _cleanup_free_ char *path = format_string("%s/" MOUNT "/a.slice/x.service/memory.pressure", fx.tree.root);
        assert_non_null(path);
        int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
        assert_true(fd >= 0);
        set(&both, 1);
        assert_int_equal(fx.counts.n_memory, 1);
        assert_int_equal(fx.counts.n_cpu, 1);
        set(&both, 1);
        assert_int_equal(read(fd, text, sizeof(text)), sizeof("some 200000 2000000"));
        (void) close(fd);
        set(NULL, 0);
        assert_int_equal(fx.counts.n_memory + fx.counts.n_cpu, 0);
        assert_int_equal(fx.watch->n_triggers, 0);

        const struct watch_wish gone = { .cgroup = "/a.slice/gone.service", .populated = true, .memory = true, .cpu = true };
        set(&gone, 1);
        assert_int_equal(fx.counts.n_memory + fx.counts.n_cpu + fx.counts.n_populated, 0);
        assert_int_equal(fx.counts.error, 0);
        assert_true(fx.counts.memory_complete);
}

/* A file that cannot tell (epoll refuses what is no such thing): it is said that memory pressure would go unheard. */
static void test_pressure_refused(void **state) {
        const struct watch_wish wish = { .cgroup = "/a.slice/x.service", .memory = true };
        put("/a.slice/x.service", "memory.pressure", "");
        set(&wish, 1);
        assert_int_equal(fx.counts.n_memory, 0);
        assert_int_equal(fx.counts.error, -EPERM);
        assert_false(fx.counts.memory_complete);
}

static void many(unsigned n_slices, unsigned each, struct watch_wish **ret) {
        struct watch_wish *wishes = calloc((size_t) n_slices * each, sizeof(*wishes));
        assert_non_null(wishes);
        for (unsigned i = 0; i < n_slices; i++) {
                _cleanup_free_ char *slice = format_string("/s%03u.slice", i);
                put_fifo(slice, "memory.pressure");
                for (unsigned k = 0; k < each; k++) {
                        char *cgroup = format_string("%s/u%03u.service", slice, k);
                        put_fifo(cgroup, "memory.pressure");
                        put_fifo(cgroup, "cpu.pressure");
                        wishes[i * each + k] = (struct watch_wish) { .cgroup = cgroup, .memory = true, .cpu = true };
                }
        }
        *ret = wishes;
}

static void many_free(struct watch_wish *wishes, size_t n) {
        for (size_t i = 0; i < n; i++)
                free((char *) wishes[i].cgroup);
        free(wishes);
}

/* More than the limit: half have their own, the others are heard of by their slices. */
static void test_pressure_many(void **state) {
        struct watch_wish *wishes;
        put_fifo("", "memory.pressure");
        many(10, 20, &wishes);
        set(wishes, 200);
        assert_int_equal(fx.counts.n_memory, WATCH_MEMORY_MAX / 2);
        assert_int_equal(fx.counts.n_memory_above, 8); /* of the third slice, in which the limit was reached, and all after it */
        assert_true(fx.counts.memory_complete);
        assert_int_equal(fx.counts.n_cpu, WATCH_CPU_MAX);
        assert_int_equal(fx.counts.n_left_out, 200 - WATCH_CPU_MAX);
        /* Again: nothing is set anew, nothing is lost. */
        set(wishes, 200);
        assert_int_equal(fx.counts.n_memory + fx.counts.n_memory_above, WATCH_MEMORY_MAX / 2 + 8);
        assert_int_equal(fx.watch->n_triggers, WATCH_MEMORY_MAX / 2 + 8 + WATCH_CPU_MAX);
        many_free(wishes, 200);
}

/* More slices than the limit, too: the last is the whole machine. */
static void test_pressure_many_slices(void **state) {
        struct watch_wish *wishes;
        put_fifo("", "memory.pressure");
        many(150, 1, &wishes);
        set(wishes, 150);
        assert_int_equal(fx.counts.n_memory + fx.counts.n_memory_above, WATCH_MEMORY_MAX);
        bool machine = false;
        for (size_t i = 0; i < fx.watch->n_triggers; i++)
                machine |= strcmp(fx.watch->triggers[i]->cgroup, "/") == 0;
        assert_true(machine);
        assert_true(fx.counts.memory_complete);
        many_free(wishes, 150);
}

static void test_no_pressure(void **state) {
        const struct watch_wish wish = { .cgroup = "/a.slice/x.service", .memory = true };
        put_fifo("/a.slice/x.service", "memory.pressure");
        fx.host->has_psi = false;
        set(&wish, 1);
        assert_int_equal(fx.counts.n_memory, 0);
        assert_int_equal(fx.counts.error, 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_trigger, setup, teardown),
                cmocka_unit_test_setup_teardown(test_pressure_kept, setup, teardown),
                cmocka_unit_test_setup_teardown(test_pressure_refused, setup, teardown),
                cmocka_unit_test_setup_teardown(test_pressure_many, setup, teardown),
                cmocka_unit_test_setup_teardown(test_pressure_many_slices, setup, teardown),
                cmocka_unit_test_setup_teardown(test_no_pressure, setup, teardown),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
