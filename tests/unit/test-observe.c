/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The screen of a captured machine: what is counted for whom, from one screen to the next. */
#include "observe-fixture.h"

#include "host/cpu-tally.h"

/* What is charged to another shows in what its processes have mapped, where the rule is about such pages. */
static void test_shared_size(void **state) {
        struct setup s;
        setup_make(&s, "bookworm");
        tree_put(&s.tree, "proc/400/status", "Name:\tpostgres\nUid:\t0\t105\t0\t0\nRssShmem:\t    2048 kB\n");
        tree_put(&s.tree, "proc/401/status", "Name:\tpostgres\nUid:\t0\t105\t0\t0\nRssShmem:\t  327680 kB\n");
        add_rule(&s, MATCH_UNIT, "postgresql*");
        s.config->rules[0].place = PLACE_COMPACT;
        screen(&s, BOOT);
        assert_true(find(&s, POSTGRES)->shared_bytes == 0);
        s.config->rules[0].shared_pages = SHARED_PAGES_MOVE;
        screen(&s, BOOT + USEC_PER_SEC);
        assert_true(find(&s, POSTGRES)->shared_bytes == 320 * MIB); /* the process with the most */
        assert_true(find(&s, REDIS)->shared_bytes == 0);
        s.config->rules[0].place = PLACE_IGNORE;
        screen(&s, BOOT + 2 * USEC_PER_SEC);
        assert_true(find(&s, POSTGRES)->shared_bytes == 0);
        setup_done(&s);
}

static void test_first_screen(void **state) {
        struct setup s;
        setup_make(&s, "bookworm");
        screen(&s, BOOT);
        assert_false(s.seen->truncated);
        assert_int_equal(s.seen->machine.nodes[1].bytes_free, 401000ULL * 1024);

        const struct service_sample *x = find(&s, REDIS);
        assert_string_equal(x->unit, "redis-server.service");
        assert_int_equal(x->owner, OWNER_SYSTEMD);
        assert_null(x->rule);
        assert_int_equal(x->n_processes, 1); /* 399 was listed, and is gone */
        assert_int_equal(x->processes[0].pid, 300);
        assert_int_equal(x->processes[0].start_ticks, 2000);
        assert_int_equal(x->n_threads, 4);
        assert_by_node(x->bytes_by_node, 104857600 + 8192, 4096, 2097152, 0);
        assert_int_equal(x->memory_pressure_centipercent, 125);
        assert_int_equal(x->cpu_pressure_centipercent, 1704);
        /* No previous screen: lifetimes, and thread 302's last CPU 6 is none of those it may use now. */
        assert_int_equal(x->cpu_window_usec, 0);
        assert_by_node(x->cpu_usec_by_node, 0, 0, 0, 0);
        assert_shares(x, 1000000, 0, 0, 0);
        _cleanup_free_ char *cpus = node_set_format(&x->effective_cpu_nodes), *mems = node_set_format(&x->effective_mems);
        assert_string_equal(cpus, "0");
        assert_string_equal(mems, "0-3");
        assert_true(x->admin_cpus);
        assert_false(x->admin_mems);
        assert_int_equal(x->hugetlb_bytes, 0);

        x = find(&s, POSTGRES);
        assert_int_equal(x->n_processes, 3);
        assert_int_equal(x->hugetlb_bytes, 12 * MIB);
        assert_shares(x, 0, 1000000, 0, 0);
        assert_int_equal(x->memory_pressure_centipercent, -1);
        assert_int_equal(x->cpu_pressure_centipercent, -1);

        x = find(&s, "/lxc.payload.web/app");
        assert_string_equal(x->unit, "/lxc.payload.web/app"); /* a plain cgroup goes by its path */
        x = find(&s, "/user.slice/user-1000.slice/user@1000.service/app.slice/web.service");
        assert_int_equal(x->owner, OWNER_NONE);
        assert_non_null(strstr(x->owner_detail, "user@1000.service"));
        x = find(&s, "/bare"); /* never ran: where its thread is */
        assert_shares(x, 0, 1000000, 0, 0);
        x = find(&s, "pid:820"); /* in the root cgroup */
        assert_string_equal(x->unit, "lone (x) y[820]");
        assert_int_equal(x->owner, OWNER_NONE);
        assert_non_null(strstr(x->owner_detail, "root cgroup"));
        assert_null(find(&s, "pid:2"));                      /* a kernel thread */
        assert_null(find(&s, "/system.slice/gone.service")); /* all its processes ended since the walk */
        setup_done(&s);
}

static void test_nested(void **state) {
        struct setup s;
        setup_make(&s, "bookworm");
        screen(&s, BOOT);
        assert_by_node(find(&s, NGINX)->bytes_by_node, 0, 0, 10001000, 0);
        assert_by_node(find(&s, DOCKER)->bytes_by_node, 0, 0, 20002000, 0); /* without nginx's */
        assert_int_equal(find(&s, NGINX)->owner, OWNER_CGROUPFS);

        /* The same for time: 60 ms in all of which 20 nginx's. */
        tree_put(&s.tree, CG "docker-0123.scope/cpu.stat", "usage_usec 760000\n");
        tree_put(&s.tree, CG "docker-0123.scope/system.slice/nginx.service/cpu.stat", "usage_usec 420000\n");
        screen(&s, BOOT + USEC_PER_SEC);
        assert_by_node(find(&s, NGINX)->cpu_usec_by_node, 0, 0, 20000, 0);
        assert_by_node(find(&s, DOCKER)->cpu_usec_by_node, 0, 0, 40000, 0);

        /* Numbers of the inner read a moment later can be larger. */
        tree_put(&s.tree, CG "docker-0123.scope/system.slice/nginx.service/memory.numa_stat", "anon N2=90000000\n");
        screen(&s, BOOT + 2 * USEC_PER_SEC);
        assert_by_node(find(&s, DOCKER)->bytes_by_node, 0, 0, 0, 0);
        setup_done(&s);
}

static void test_deltas(void **state) {
        struct setup s;
        setup_make(&s, "bookworm");
        tree_put(&s.tree, CG "redis-server.service/cpuset.cpus.effective", "0-7\n");
        screen(&s, BOOT);
        assert_shares(find(&s, REDIS), 1000000, 0, 0, 0); /* lifetimes: 302 on node 3 never ran */

        /* One ran on and was moved, one is idle, one began in the window, one ended. cpu.stat says 800 ms in all. */
        tree_put_thread(&s.tree, 300, 300, 130, 2000, 4);
        tree_put_thread(&s.tree, 300, 310, 10, 100100, 7);
        tree_remove(&s.tree, "proc/300/task/303");
        tree_put(&s.tree, CG "redis-server.service/cpu.stat", "usage_usec 3800000\n");
        screen(&s, BOOT + 10 * USEC_PER_SEC);
        const struct service_sample *x = find(&s, REDIS);
        assert_int_equal(x->cpu_window_usec, 10 * USEC_PER_SEC);
        assert_shares(x, 0, 0, 750000, 250000);
        assert_by_node(x->cpu_usec_by_node, 0, 0, 600000, 200000);
        assert_int_equal(x->n_threads, 4);

        /* Idle now: by lifetime again, and the little that the cgroup used is put there. */
        tree_put(&s.tree, CG "redis-server.service/cpu.stat", "usage_usec 3800160\n");
        screen(&s, BOOT + 20 * USEC_PER_SEC);
        x = find(&s, REDIS);
        assert_shares(x, 125000, 0, 812500, 62500);
        assert_by_node(x->cpu_usec_by_node, 20, 0, 130, 10);

        /* Without cpu.stat the threads' own time counts. */
        tree_remove(&s.tree, CG "redis-server.service/cpu.stat");
        tree_put_thread(&s.tree, 300, 300, 135, 2000, 4);
        screen(&s, BOOT + 30 * USEC_PER_SEC);
        assert_by_node(find(&s, REDIS)->cpu_usec_by_node, 0, 0, 50000, 0);

        /* Two screens at one moment: no time in which to have used any. */
        tree_put(&s.tree, CG "redis-server.service/cpu.stat", "usage_usec 5000000\n");
        screen(&s, BOOT + 30 * USEC_PER_SEC);
        tree_put(&s.tree, CG "redis-server.service/cpu.stat", "usage_usec 6000000\n");
        screen(&s, BOOT + 30 * USEC_PER_SEC);
        assert_int_equal(find(&s, REDIS)->cpu_window_usec, 0);
        assert_by_node(find(&s, REDIS)->cpu_usec_by_node, 0, 0, 0, 0);
        tree_remove(&s.tree, CG "redis-server.service/cpu.stat");

        /* The same id again, another thread: what it used before the last screen is not counted. */
        tree_put_thread(&s.tree, 300, 300, 500, 2001, 0);
        screen(&s, BOOT + 40 * USEC_PER_SEC);
        assert_by_node(find(&s, REDIS)->cpu_usec_by_node, 0, 0, 0, 0);
        /* A restart: the cgroup and its counter are new. */
        tree_put(&s.tree, CG "redis-server.service/cpu.stat", "usage_usec 9000\n");
        screen(&s, BOOT + 50 * USEC_PER_SEC);
        tree_put(&s.tree, CG "redis-server.service/cpu.stat", "usage_usec 7000\n");
        screen(&s, BOOT + 60 * USEC_PER_SEC);
        assert_int_equal(sum_by_node(find(&s, REDIS)->cpu_usec_by_node, 4), 7000);
        setup_done(&s);
}

/* A process is one record while it has one thread, and several after: neither change invents time. */
static void test_thread_count_changes(void **state) {
        struct setup s;
        setup_make(&s, "bookworm");
        screen(&s, BOOT);
        tree_put_stat(&s.tree, 610, "plain", 2, 9001, 5002, 0);
        tree_put_thread(&s.tree, 610, 610, 9000, 5002, 0);
        tree_put_thread(&s.tree, 610, 611, 1, 100050, 6);
        screen(&s, BOOT + USEC_PER_SEC);
        const struct service_sample *x = find(&s, "/system.slice/plain.service");
        assert_by_node(x->cpu_usec_by_node, 0, 0, 0, 10000);
        tree_put_stat(&s.tree, 610, "plain", 1, 9002, 5002, 0);
        screen(&s, BOOT + 2 * USEC_PER_SEC);
        x = find(&s, "/system.slice/plain.service");
        assert_by_node(x->cpu_usec_by_node, 0, 0, 0, 0);
        assert_int_equal(x->n_threads, 1);
        tree_put_stat(&s.tree, 610, "plain", 1, 9005, 5002, 2);
        screen(&s, BOOT + 3 * USEC_PER_SEC);
        assert_by_node(find(&s, "/system.slice/plain.service")->cpu_usec_by_node, 0, 30000, 0, 0);
        setup_done(&s);
}

static void test_apportion(void **state) {
        static const struct {
                uint64_t total, weights[4], want[4];
        } all[] = {
                { 1000000, { 1, 1, 1, 0 }, { 333333, 333333, 333334, 0 } },
                { 10, { 0, 0, 0, 0 }, { 0, 0, 0, 0 } },
                { 0, { 1, 2, 3, 4 }, { 0, 0, 0, 0 } },
                { 1, { 0, 5, 0, 5 }, { 0, 0, 0, 1 } },
                { 7, { 0, 0, 3, 0 }, { 0, 0, 7, 0 } },
                { UINT64_MAX, { UINT64_MAX, 0, 0, UINT64_MAX }, { UINT64_MAX / 2, 0, 0, UINT64_MAX / 2 + 1 } },
        };
        for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
                uint64_t have[4];
                apportion(all[i].total, all[i].weights, 4, have);
                for (unsigned k = 0; k < 4; k++)
                        assert_true(have[k] == all[i].want[k]);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_first_screen),
                cmocka_unit_test(test_shared_size),
                cmocka_unit_test(test_nested),
                cmocka_unit_test(test_deltas),
                cmocka_unit_test(test_thread_count_changes),
                cmocka_unit_test(test_apportion),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
