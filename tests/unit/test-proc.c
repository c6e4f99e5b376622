/* SPDX-License-Identifier: GPL-2.0-or-later */
/* /proc/PID/stat with every name that a process can give itself; threads and processes that are gone. */
#include "host/proc.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "core/util.h"
#include "host/host.h"
#include "test-host-tree.h"
#include "unit.h"

#define TAIL " S 1 2 3 0 -1 4194560 1 2 3 4 500 60 7 8 20 0 9 0 12345 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 17 41 0 0\n"

static void test_fields(void **state) {
        struct proc_stat s;
        assert_int_equal(proc_stat_parse("77 (redis-server)" TAIL, &s), 0);
        assert_string_equal(s.comm, "redis-server");
        assert_int_equal(s.state, 'S');
        assert_false(s.is_kernel);
        assert_int_equal(s.cpu_ticks, 560);
        assert_int_equal(s.n_threads, 9);
        assert_int_equal(s.start_ticks, 12345);
        assert_int_equal(s.last_cpu, 41);
        assert_false(proc_stat_is_dead(&s));
}

static void test_names(void **state) {
        static const struct {
                const char *text, *comm;
        } all[] = {
                { "1 ((sd-pam))" TAIL, "(sd-pam)" },
                { "1 (a) S 1 (b)" TAIL, "a) S 1 (b" },
                { "1 (a\nb)" TAIL, "a\nb" },
                { "1 ()" TAIL, "" },
                { "1 ())" TAIL, ")" },
                { "1 (x y z)" TAIL, "x y z" },
                { "1 (kworker/R-0123456789012345678901234567890123456789012345678901234567890123456789)" TAIL,
                  "kworker/R-01234567890123456789012345678901234567890123456789012" },
        };
        for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
                struct proc_stat s;
                assert_int_equal(proc_stat_parse(all[i].text, &s), 0);
                assert_string_equal(s.comm, all[i].comm);
                assert_int_equal(s.last_cpu, 41);
                assert_int_equal(s.start_ticks, 12345);
        }
}

static void test_garbage(void **state) {
        static const char *const bad[] = {
                "",
                "1",
                "1 (x",
                "1 x)",
                ") (",
                "1 (x)",
                "1 (x) ",
                "1 (x) 9 1",
                "1 (x) S",
                "1 (x) S 1 2 3 0 -1 4194560 1 2 3 4 500",
                "1 (x) S 1 2 3 0 -1 abc 1 2 3 4 500 60 7 8 20 0 9 0 12345 1",
                "1 (x) S 1 2 3 0 -1 1 1 2 3 4 500 60 7 8 20 0 9 0 ",
                "1 (x) S 1 2 3 0 -1 1 1 2 3 4 500 60 7 8 20 0 9 0 99999999999999999999999 1",
        };
        struct proc_stat s = { .last_cpu = 7 };
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                assert_int_equal(proc_stat_parse(bad[i], &s), -EBADMSG);
        assert_int_equal(s.last_cpu, 7); /* untouched by failures */
        /* As far as the start time is enough: the last CPU is then not known. */
        assert_int_equal(proc_stat_parse("1 (x) S 1 2 3 0 -1 1 1 2 3 4 500 60 7 8 20 0 9 0 12345", &s), 0);
        assert_int_equal(s.last_cpu, -1);
        assert_int_equal(s.start_ticks, 12345);
        assert_int_equal(
                proc_stat_parse("1 (x) S 1 2 3 0 -1 1 1 2 3 4 500 -60 7 8 20 0 9 0 1 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 17 -1",
                                &s),
                0);
        assert_int_equal(s.last_cpu, -1);
        assert_int_equal(s.cpu_ticks, 500);
}

static void test_kinds(void **state) {
        struct proc_stat s;
        assert_int_equal(proc_stat_parse("2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 1 0 0 20 0 1 0 1 0 0", &s), 0);
        assert_true(s.is_kernel);
        assert_int_equal(proc_stat_parse("2 (z) Z 0 0 0 0 -1 4194564 0 0 0 0 0 1 0 0 20 0 1 0 1 0 0", &s), 0);
        assert_true(proc_stat_is_dead(&s));
        /* The leader has ended, other threads go on. */
        assert_int_equal(proc_stat_parse("2 (z) Z 0 0 0 0 -1 4194564 0 0 0 0 0 1 0 0 20 0 3 0 1 0 0", &s), 0);
        assert_false(proc_stat_is_dead(&s));
}

static int count_thread(pid_t pid, pid_t tid, const struct proc_stat *s, void *userdata) {
        int *sum = userdata;
        assert_int_equal(pid, 300);
        *sum += tid + (int) s->cpu_ticks;
        return tid == 999 ? -ECANCELED : 0;
}

static void test_files(void **state) {
        struct tree t;
        struct proc_stat s;
        struct proc_status status;
        tree_make(&t, "bookworm");
        _cleanup_free_ char *proc = format_string("%s/proc", t.root);
        int fd = open(proc, O_PATH | O_CLOEXEC);
        assert_true(fd >= 0);

        assert_int_equal(proc_stat_read(fd, "300/stat", &s), 0);
        assert_string_equal(s.comm, "redis-server");
        assert_int_equal(s.n_threads, 4);
        assert_true(host_vanished(proc_stat_read(fd, "399/stat", &s)));
        tree_put(&t, "proc/11/stat", ""); /* the kernel's answer for a process that ends just now */
        assert_true(host_vanished(proc_stat_read(fd, "11/stat", &s)));
        char huge[5000];
        memset(huge, 'x', sizeof huge);
        tree_put_bytes(&t, "proc/12/stat", huge, sizeof huge);
        assert_int_equal(proc_stat_read(fd, "12/stat", &s), -EFBIG);
        tree_link(&t, "proc/13/stat", "../300/stat");
        assert_int_equal(proc_stat_read(fd, "13/stat", &s), -ELOOP);

        int sum = 0;
        tree_remove(&t, "proc/300/task/303/stat"); /* gone between the listing and the read */
        tree_put(&t, "proc/300/task/302/stat", "nonsense");
        assert_int_equal(proc_for_each_thread(fd, 300, count_thread, &sum), 0);
        assert_int_equal(sum, 300 + 100 + 301 + 20);
        tree_put_thread(&t, 300, 999, 0, 0, 0);
        assert_int_equal(proc_for_each_thread(fd, 300, count_thread, &sum), -ECANCELED);
        assert_true(host_vanished(proc_for_each_thread(fd, 399, count_thread, &sum)));

        assert_int_equal(proc_status_read(fd, 400, 400, &status), 0);
        assert_true(status.have_uid);
        assert_int_equal(status.uid, 105);
        assert_int_equal(status.hugetlb_bytes, 4096 * 1024);
        assert_true(status.have_mems && node_set_has(&status.mems_allowed, 3) && !node_set_has(&status.mems_allowed, 4));
        tree_put(&t, "proc/14/status", "Name:\tUid: 1 2\nUid:\t5\t6\t7\t8\nHugetlbPages:\t18446744073709551615 kB\n");
        assert_int_equal(proc_status_read(fd, 14, 14, &status), 0);
        assert_int_equal(status.uid, 6); /* the effective one */
        assert_true(status.hugetlb_bytes == UINT64_MAX);
        assert_false(status.have_mems);
        _cleanup_free_ char *groups = malloc(11 * 65536 + 1), *long_status = NULL;
        assert_non_null(groups);
        for (size_t i = 0; i < 65536; i++)
                memcpy(groups + 11 * i, "4294967294 ", 12);
        long_status = format_string("Uid:\t5\t7\t7\t8\nGroups:\t%s\nMems_allowed_list:\t0,3\n", groups);
        assert_non_null(long_status);
        tree_put(&t, "proc/14/status", long_status);
        assert_int_equal(proc_status_read(fd, 14, 14, &status), 0);
        assert_int_equal(status.uid, 7);
        assert_true(status.have_mems && node_set_has(&status.mems_allowed, 3));
        tree_put(&t, "proc/15/status", "Uid:\nHugetlbPages:\nUid: a b\n\n");
        assert_int_equal(proc_status_read(fd, 15, 15, &status), 0);
        assert_false(status.have_uid);

        _cleanup_free_ char *exe = NULL, *deleted = NULL, *odd = NULL;
        tree_link(&t, "proc/300/exe", "/usr/bin/redis server");
        tree_link(&t, "proc/301/exe", "/usr/bin/old (deleted)");
        tree_link(&t, "proc/302/exe", " (deleted)");
        assert_int_equal(proc_exe_read(fd, 300, 300, &exe), 0);
        assert_string_equal(exe, "/usr/bin/redis server");
        assert_int_equal(proc_exe_read(fd, 301, 301, &deleted), 0);
        assert_string_equal(deleted, "/usr/bin/old");
        assert_int_equal(proc_exe_read(fd, 302, 302, &odd), 0);
        assert_string_equal(odd, " (deleted)");
        char *none;
        assert_true(host_vanished(proc_exe_read(fd, 303, 303, &none)));
        (void) close(fd);
        tree_done(&t);
}

static void test_users(void **state) {
        struct user_cache numeric = { .captured = true, .root_fd = -1 }, live = { 0 };
        assert_string_equal(user_cache_get(&numeric, 0, 0), "0");
        assert_string_equal(user_cache_get(&numeric, 4294967294u, 0), "4294967294");
        const char *root = user_cache_get(&live, 0, 0);
        assert_string_equal(root, "root");
        assert_ptr_equal(user_cache_get(&live, 0, 0), root);
        assert_string_equal(user_cache_get(&live, 3999999999u, 0), "3999999999"); /* nobody's */
        user_cache_done(&numeric);
        user_cache_done(&live);
}

/* What knows the users may be started after us; a user can get another name, a number another user. */
static void test_users_change(void **state) {
        struct tree t;
        tree_make(&t, "bookworm");
        struct user_cache c = { .captured = true, .root_fd = open(t.root, O_PATH | O_CLOEXEC) };
        assert_true(c.root_fd >= 0);
        tree_put(&t, "etc/passwd", "root:x:0:0::/:/bin/sh\n");
        uint64_t now = 5;
        assert_string_equal(user_cache_get(&c, 61184, now), "61184");
        tree_put(&t, "etc/passwd", "alice:x:61184:0::/:/bin/sh\n");
        assert_string_equal(user_cache_get(&c, 61184, now + 59 * USEC_PER_SEC), "61184");
        assert_string_equal(user_cache_get(&c, 61184, now += USEC_PER_MINUTE), "alice");
        tree_put(&t, "etc/passwd", "bob:x:61184:0::/:/bin/sh\n");
        assert_string_equal(user_cache_get(&c, 61184, now + 59 * USEC_PER_MINUTE), "alice");
        assert_string_equal(user_cache_get(&c, 61184, now + 60 * USEC_PER_MINUTE), "bob");
        for (uid_t uid = 100000; uid < 165536; uid++) /* a container's */
                assert_non_null(user_cache_get(&c, uid, now));
        assert_true(c.n_users <= 4096);
        user_cache_done(&c);
        (void) close(c.root_fd);
        tree_done(&t);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_fields),       cmocka_unit_test(test_names), cmocka_unit_test(test_garbage),
                cmocka_unit_test(test_kinds),        cmocka_unit_test(test_files), cmocka_unit_test(test_users),
                cmocka_unit_test(test_users_change),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
