/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the watcher tells of cgroups: that they come, are emptied, or are too many to be told apart. test-watch-pressure.c has the triggers. */
#include "watch-fixture.h"

#include <errno.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/wait.h>

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
                wishes[i] = (struct watch_wish) { .cgroup = cgroup, .populated = true };
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
