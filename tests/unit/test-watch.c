/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The watcher on a tree of ordinary files: inotify tells of them as of cgroupfs, and a FIFO takes a trigger as a pressure file does (it only never tells of
 * pressure: that it does is seen on a real kernel). */
#include "watch/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/util.h"
#include "test-host-tree.h"
#include "unit.h"
#include "watch/watch-internal.h"

#define MOUNT "sys/fs/cgroup"

static struct {
        struct tree tree;
        struct host *host;
        sd_event *event;
        struct watch *watch;
        struct watch_counts counts;
        unsigned n_told, n_flood;
        char last[256];
} fx;

static void on_told(const struct watch_event *e, void *userdata) {
        assert_int_equal(e->kind, WATCH_CGROUP);
        fx.n_told++;
        fx.n_flood += !e->cgroup[0];
        (void) snprintf(fx.last, sizeof(fx.last), "%s", e->cgroup);
}

static void put(const char *cgroup, const char *file, const char *text) {
        _cleanup_free_ char *path = format_string(MOUNT "%s/%s", cgroup, file);
        assert_non_null(path);
        tree_put(&fx.tree, path, text);
}

static void put_fifo(const char *cgroup, const char *file) {
        _cleanup_free_ char *path = format_string(MOUNT "%s/%s", cgroup, file);
        assert_non_null(path);
        tree_fifo(&fx.tree, path);
}

/* What the kernel does: the file is the same one, and written to. */
static void write_events(const char *cgroup, const char *text) {
        _cleanup_free_ char *path = format_string("%s/" MOUNT "%s/cgroup.events", fx.tree.root, cgroup);
        assert_non_null(path);
        int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, text, strlen(text)), strlen(text));
        (void) close(fd);
}

static void make(const char *cgroup, bool populated) {
        put(cgroup, "cgroup.procs", "");
        put(cgroup, "cgroup.events", populated ? "populated 1\nfrozen 0\n" : "populated 0\nfrozen 0\n");
}

static void set(const struct watch_wish *wishes, size_t n) {
        assert_int_equal(watch_set(fx.watch, wishes, n, &fx.counts), 0);
}

/* Until somebody is told, and all that is there by then. */
static void run_until_told(unsigned n) {
        for (unsigned i = 0; fx.n_told < n && i < 1000; i++)
                assert_true(sd_event_run(fx.event, 100 * USEC_PER_MSEC) >= 0);
        assert_true(fx.n_told >= n);
}

/* More than a rest: whatever was held back has been told. */
static void run_out(void) {
        uint64_t now, until;
        assert_true(sd_event_now(fx.event, CLOCK_MONOTONIC, &now) >= 0);
        for (until = now + WATCH_REST_USEC * 5 / 4; now < until;) {
                assert_true(sd_event_run(fx.event, until - now) >= 0);
                assert_int_equal(sd_event_now(fx.event, CLOCK_MONOTONIC, &now), 0);
        }
}

/* All that is there already; for a watcher that does not rest. */
static void drain(void) {
        while (sd_event_run(fx.event, 0) > 0)
                ;
}

static int setup(void **state) {
        memset(&fx, 0, sizeof(fx));
        tree_make(&fx.tree, "");
        put("", "cgroup.controllers", "cpuset memory\n");
        tree_put(&fx.tree, "proc/self/mountinfo", "20 1 0:20 / /" MOUNT " rw - cgroup2 cgroup2 rw\n");
        tree_put(&fx.tree, "proc/pressure/memory", "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n");
        make("/a.slice/x.service", true);
        assert_int_equal(host_open(fx.tree.root, &fx.host), 0);
        assert_int_equal(sd_event_new(&fx.event), 0);
        assert_int_equal(watch_new(fx.event, fx.host, on_told, NULL, &fx.watch), 0);
        return 0;
}

static int teardown(void **state) {
        watch_free(fx.watch);
        sd_event_unref(fx.event);
        host_free(fx.host);
        tree_done(&fx.tree);
        return 0;
}

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
                        wishes[i * each + k] = (struct watch_wish){ .cgroup = cgroup, .memory = true, .cpu = true };
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

static void test_populated(void **state) {
        const struct watch_wish wishes[] = {
                { .cgroup = "/a.slice/other.service" },
                { .cgroup = "/a.slice/x.service", .populated = true },
                { .cgroup = "pid:77", .populated = true },
        };
        make("/a.slice/other.service", true);
        set(wishes, ARRAY_SIZE(wishes));
        assert_int_equal(fx.counts.n_populated, 1);
        assert_int_equal(fx.counts.n_directories, 2); /* the root and the slice */
        write_events("/a.slice/x.service", "populated 0\n");
        run_until_told(1);
        assert_string_equal(fx.last, "/a.slice/x.service");
        /* Of the other nobody wants to know. */
        unsigned told = fx.n_told;
        write_events("/a.slice/other.service", "populated 0\n");
        run_out();
        assert_int_equal(fx.n_told, told);
        /* Removed and made again: another file of the same name. */
        tree_remove(&fx.tree, MOUNT "/a.slice/x.service");
        make("/a.slice/x.service", true);
        set(wishes, ARRAY_SIZE(wishes));
        run_out();
        told = fx.n_told;
        write_events("/a.slice/x.service", "populated 0\n");
        run_until_told(told + 1);
        assert_string_equal(fx.last, "/a.slice/x.service");
        /* No rule is for it any more. */
        const struct watch_wish unmanaged = { .cgroup = "/a.slice/x.service" };
        set(&unmanaged, 1);
        run_out();
        told = fx.n_told;
        write_events("/a.slice/x.service", "populated 1\n");
        run_out();
        assert_int_equal(fx.n_told, told);
}

/* However often it happens there is one wake-up in a second, and few words. */
static void test_populated_often(void **state) {
        const struct watch_wish wish = { .cgroup = "/a.slice/x.service", .populated = true };
        set(&wish, 1);
        write_events("/a.slice/x.service", "populated 0\n");
        run_until_told(1);
        for (unsigned i = 0; i < 2000; i++)
                write_events("/a.slice/x.service", i % 2 ? "populated 0\n" : "populated 1\n");
        run_out();
        assert_true(fx.n_told <= 4);
}

/* A new cgroup is told of once it has processes, wherever it appears, and also in one that is new itself. */
static void test_new(void **state) {
        const struct watch_wish wish = { .cgroup = "/a.slice/x.service" };
        set(&wish, 1);
        make("/box", false);
        make("/a.slice/full.service", true);
        run_until_told(1);
        run_out();
        assert_int_equal(fx.n_told, 1);
        assert_string_equal(fx.last, "/a.slice/full.service");
        write_events("/box", "populated 1\n");
        run_until_told(2);
        assert_string_equal(fx.last, "/box");
        make("/box/inner", true);
        run_until_told(3);
        assert_string_equal(fx.last, "/box/inner");
        /* Those that are known by now, and those that are gone, are not followed any more. */
        assert_int_equal(fx.watch->n_new, 6);
        const struct watch_wish more[] = { { .cgroup = "/a.slice/full.service" }, { .cgroup = "/a.slice/x.service" } };
        set(more, ARRAY_SIZE(more));
        assert_int_equal(fx.watch->n_new, 4);
        tree_remove(&fx.tree, MOUNT "/box");
        set(&wish, 1);
        assert_int_equal(fx.watch->n_new, 0);
}

/* Short work of units that nobody cares for, all day long: those that are gone make room. */
static void test_new_come_and_go(void **state) {
        set(NULL, 0);
        for (unsigned i = 0; i < 5 * WATCH_NEW_MAX; i++) {
                _cleanup_free_ char *cgroup = format_string("/job%u.service", i),
                                    *path = format_string("%s/" MOUNT "%s", fx.tree.root, cgroup),
                                    *away = format_string("%s/away%u", fx.tree.root, i);
                assert_true(cgroup && path && away);
                make(cgroup, false);
                /* As if each had a second of its own. */
                assert_true(sd_event_source_set_ratelimit(fx.watch->inotify_source, 0, 0) >= 0);
                drain();
                /* Of a cgroup that is removed inotify does not tell its watchers, other than of a directory: it is only not there. */
                assert_int_equal(rename(path, away), 0);
        }
        assert_int_equal(fx.n_told, 0);
        make("/last.service", true);
        run_until_told(1);
        assert_string_equal(fx.last, "/last.service");
}

/* New ones that stay, and that nobody ever asks for: slices, or somebody's empty cgroups. */
static void test_new_stay(void **state) {
        for (unsigned i = 0; i < 2 * WATCH_NEW_MAX; i++) {
                _cleanup_free_ char *cgroup = format_string("/empty%u", i);
                assert_non_null(cgroup);
                set(NULL, 0);
                make(cgroup, false);
                assert_true(sd_event_source_set_ratelimit(fx.watch->inotify_source, 0, 0) >= 0);
                drain();
        }
        assert_int_equal(fx.n_told, 0);
        set(NULL, 0);
        make("/last.service", false);
        run_out();
        write_events("/last.service", "populated 1\n");
        run_until_told(1);
        assert_string_equal(fx.last, "/last.service");
        assert_true(fx.watch->n_new <= WATCH_NEW_MAX);
}

static bool write_text(const char *path, const char *text) {
        int fd = open(path, O_WRONLY | O_CLOEXEC);
        bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t) strlen(text);
        if (fd >= 0)
                (void) close(fd);
        return done;
}

/* 77: there is no such namespace to be had here; another number says what went wrong. */
static int in_a_namespace_with_few_watches(void) {
        struct watch_wish wishes[9];
        char map[64];
        (void) snprintf(map, sizeof(map), "0 %u 1", (unsigned) geteuid());
        if (unshare(CLONE_NEWUSER) < 0 || !write_text("/proc/self/uid_map", map) ||
            !write_text("/proc/sys/user/max_inotify_watches", "6"))
                return 77;
        /* The parent's loop is not for us; it keeps what it has. */
        if (sd_event_new(&fx.event) < 0 || watch_new(fx.event, fx.host, on_told, NULL, &fx.watch) < 0)
                return 1;
        for (size_t i = 0; i < ARRAY_SIZE(wishes); i++) {
                char *cgroup = format_string("/a.slice/u%zu.service", i);
                make(cgroup, true);
                wishes[i] = (struct watch_wish){ .cgroup = cgroup, .populated = true };
        }
        for (unsigned round = 0; round < 2; round++) {
                set(wishes, ARRAY_SIZE(wishes));
                if (fx.counts.n_populated != 4 || fx.counts.n_left_out != 5 || fx.counts.error != -ENOSPC)
                        return 2;
        }
        write_events("/a.slice/u0.service", "populated 0\n");
        run_until_told(1);
        return strcmp(fx.last, "/a.slice/u0.service") == 0 ? 0 : 3;
}

/* Who has lost its processes and keeps its cgroup can get others; so can what was there, and empty, from the beginning. */
static void test_emptied(void **state) {
        const struct watch_wish wishes[] = { { .cgroup = "/a.slice/x.service", .populated = true },
                                             { .cgroup = "/box/one", .populated = true } };
        make("/a.slice", true);
        make("/box", true);
        make("/box/one", true);
        make("/box/two", false);
        make("/idle", false);
        make("/idle/deep", false);
        make("/used", true);
        assert_true(sd_event_source_set_ratelimit(fx.watch->inotify_source, 0, 0) >= 0);
        set(wishes, 2);
        assert_int_equal(fx.watch->n_new, 2 * 2); /* /idle and /box/two */
        drain();
        assert_int_equal(fx.n_told, 0);
        write_events("/box/two", "populated 1\n");
        run_until_told(1);
        assert_string_equal(fx.last, "/box/two");
        write_events("/box/two", "populated 0\n");
        drain();

        /* All of /box ends. */
        write_events("/box/one", "populated 0\n");
        drain();
        set(wishes, 1);
        unsigned told = fx.n_told;
        drain();
        assert_int_equal(fx.n_told, told);
        write_events("/box/one", "populated 1\n");
        run_until_told(told + 1);
        assert_string_equal(fx.last, "/box/one");
        drain();
        told = fx.n_told;
        make("/box/three", true);
        run_until_told(told + 1);
        assert_string_equal(fx.last, "/box/three");
        drain();
        told = fx.n_told;
        make("/idle/new", true);
        run_until_told(told + 1);
        assert_string_equal(fx.last, "/idle/new");
}

/* The kernel has no more of them: said, counted, and what is watched by then still tells. In a user namespace of our own, which has a limit of its own. */
static void test_no_more_watches(void **state) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
                _exit(in_a_namespace_with_few_watches());
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        if (WEXITSTATUS(status) == 77)
                skip();
        assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_new_flood(void **state) {
        set(NULL, 0);
        for (unsigned i = 0; i < 1000; i++) {
                _cleanup_free_ char *cgroup = format_string("/flood%u", i);
                assert_non_null(cgroup);
                make(cgroup, true);
        }
        run_until_told(1);
        run_out();
        assert_true(fx.n_flood > 0);
        assert_true(fx.n_told <= WATCH_NEW_MAX);
        assert_true(fx.watch->n_new <= WATCH_NEW_MAX);
        assert_true(fx.watch->n_cgroups <= 1 + WATCH_NEW_MAX);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_trigger, setup, teardown),
                cmocka_unit_test_setup_teardown(test_pressure_kept, setup, teardown),
                cmocka_unit_test_setup_teardown(test_pressure_refused, setup, teardown),
                cmocka_unit_test_setup_teardown(test_pressure_many, setup, teardown),
                cmocka_unit_test_setup_teardown(test_pressure_many_slices, setup, teardown),
                cmocka_unit_test_setup_teardown(test_no_pressure, setup, teardown),
                cmocka_unit_test_setup_teardown(test_populated, setup, teardown),
                cmocka_unit_test_setup_teardown(test_populated_often, setup, teardown),
                cmocka_unit_test_setup_teardown(test_new, setup, teardown),
                cmocka_unit_test_setup_teardown(test_new_come_and_go, setup, teardown),
                cmocka_unit_test_setup_teardown(test_new_stay, setup, teardown),
                cmocka_unit_test_setup_teardown(test_new_flood, setup, teardown),
                cmocka_unit_test_setup_teardown(test_emptied, setup, teardown),
                cmocka_unit_test_setup_teardown(test_no_more_watches, setup, teardown),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
