/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The screen of other trees than a usual one: rules, an administrator's cpusets, hybrid and legacy cgroups, what vanishes while it is read, and limits. */
#include "observe-fixture.h"

#include <stdio.h>

#include "host/screen.h"

static void test_strays(void **state) {
        struct setup s;
        setup_make(&s, "bookworm");
        /* May use CPU 1 and 4-5; has slept on CPU 6 and on one that is offline: divided by the CPUs it may use. */
        tree_put(&s.tree, CG "redis-server.service/cpuset.cpus.effective", "1,4-5\n");
        tree_put_thread(&s.tree, 300, 300, 60, 2000, 6);
        tree_put_thread(&s.tree, 300, 301, 30, 2000, 99);
        tree_put_thread(&s.tree, 300, 302, 0, 2000, -1);
        tree_put_thread(&s.tree, 300, 303, 30, 2000, 1);
        screen(&s, BOOT);
        const struct service_sample *x = find(&s, REDIS);
        assert_shares(x, 500000, 0, 500000, 0);
        _cleanup_free_ char *cpus = node_set_format(&x->effective_cpu_nodes);
        assert_string_equal(cpus, "0,2");
        /* Threads that never ran, on CPUs unknown: over all that there are. */
        tree_put_stat(&s.tree, 830, "bare", 1, 0, 7003, -1);
        screen(&s, BOOT);
        assert_shares(find(&s, "/bare"), 250000, 250000, 250000, 250000);
        setup_done(&s);
}

static void test_admin(void **state) {
        struct setup s;
        setup_make(&s, "bookworm");
        tree_put(&s.tree, CG "redis-server.service/cpuset.mems", "1\n");
        tree_put(&s.tree, CG "redis-server.service/cpuset.mems.effective", "1\n");
        struct applied ours[] = { { .cgroup = "/a" }, { .cgroup = REDIS, .cpus = true }, { .cgroup = "/z", .mems = true } };
        screen_applied(&s, BOOT, ours, ARRAY_SIZE(ours));
        assert_false(find(&s, REDIS)->admin_cpus);
        assert_true(find(&s, REDIS)->admin_mems);
        assert_true(node_set_has(&find(&s, REDIS)->effective_mems, 1));
        assert_int_equal(node_set_count(&find(&s, REDIS)->effective_mems), 1);
        ours[1].cpus = false;
        ours[1].mems = true;
        screen_applied(&s, BOOT, ours, ARRAY_SIZE(ours));
        assert_true(find(&s, REDIS)->admin_cpus);
        assert_false(find(&s, REDIS)->admin_mems);
        /* Its CPUs are one of the two of each node, as after the others came. */
        assert_false(find(&s, REDIS)->partial_cpus);
        tree_put(&s.tree, CG "redis-server.service/cpuset.cpus", "0,2\n");
        tree_put(&s.tree, CG "redis-server.service/cpuset.cpus.effective", "0,2\n");
        screen_applied(&s, BOOT, ours, ARRAY_SIZE(ours));
        assert_true(find(&s, REDIS)->partial_cpus);
        /* … or are all that the slice has. */
        tree_put(&s.tree, CG "cpuset.cpus.effective", "0,2,4-7\n");
        screen_applied(&s, BOOT, ours, ARRAY_SIZE(ours));
        assert_false(find(&s, REDIS)->partial_cpus);
        tree_put(&s.tree, CG "redis-server.service/cpuset.cpus", "0-1\n");
        tree_put(&s.tree, CG "redis-server.service/cpuset.cpus.effective", "0-1\n");
        /* What it would have without: what its slice has, which somebody may have taken away since. */
        tree_put(&s.tree, CG "cpuset.cpus.effective", "4-7\n");
        tree_put(&s.tree, CG "cpuset.mems.effective", "2-3\n");
        screen_applied(&s, BOOT, ours, ARRAY_SIZE(ours));
        _cleanup_free_ char *cpus = node_set_format(&find(&s, REDIS)->above_cpu_nodes),
                            *mems = node_set_format(&find(&s, REDIS)->above_mems);
        assert_string_equal(cpus, "2-3");
        assert_string_equal(mems, "2-3");
        /* Narrowed further up: in force, and nobody's setting on the service itself. */
        const struct service_sample *x = find(&s, "/system.slice/_cpu.service");
        assert_false(x->admin_cpus || x->admin_mems);
        setup_done(&s);
}

/* What is set above it and inside of it, and services inside of it. */
static void test_around(void **state) {
        struct setup s;
        setup_make(&s, "bookworm");
        tree_put(&s.tree, CG "redis-server.service/cpuset.cpus", "0-1\n");
        tree_put(&s.tree, CG "redis-server.service/cpuset.mems", "1\n");
        tree_put(&s.tree, CG "cpuset.cpus.effective", "0-3\n");
        tree_put(&s.tree, CG "cpuset.mems.effective", "1-2\n");
        tree_put(&s.tree, CG "agent.service/worker-a/cpuset.cpus", "2-3\n");
        tree_put(&s.tree, CG "agent.service/worker-a/cpuset.mems", "1\n");
        tree_put(&s.tree, CG "agent.service/worker-a/cgroup.events", "populated 1\n");
        screen(&s, BOOT);
        const struct service_sample *x = find(&s, REDIS);
        _cleanup_free_ char *cpus = node_set_format(&x->above_cpu_nodes), *mems = node_set_format(&x->above_mems);
        assert_string_equal(cpus, "0-1");
        assert_string_equal(mems, "1-2");
        assert_false(x->inner_mems || x->holds_services);
        assert_true(node_set_is_empty(&x->inner_cpu_nodes));
        x = find(&s, "/system.slice/agent.service");
        assert_true(node_set_is_empty(&x->above_cpu_nodes)); /* not set for itself: it has all of that */
        _cleanup_free_ char *inner_cpus = node_set_format(&x->inner_cpu_nodes),
                            *inner_mems = node_set_format(&x->inner_mems_allowed);
        assert_string_equal(inner_cpus, "1");
        assert_true(x->inner_mems);
        assert_string_equal(inner_mems, "1");
        assert_int_equal(x->owner, OWNER_SYSTEMD);
        x = find(&s, DOCKER);
        assert_true(x->holds_services);
        assert_int_equal(x->owner, OWNER_NONE);
        assert_non_null(strstr(x->owner_detail, "(nginx.service)"));
        assert_int_equal(find(&s, NGINX)->owner, OWNER_CGROUPFS);
        /* What a rule makes one service holds no other. */
        add_rule(&s, MATCH_CGROUP, DOCKER);
        screen(&s, BOOT);
        assert_false(find(&s, DOCKER)->holds_services);
        assert_int_equal(find(&s, DOCKER)->owner, OWNER_SYSTEMD);
        setup_done(&s);
}

static void test_rules(void **state) {
        struct setup s;
        setup_make(&s, "bookworm");
        screen(&s, BOOT);
        tree_link(&s.tree, "proc/401/exe", "/usr/lib/postgresql/bin/postgres (deleted)");
        add_rule(&s, MATCH_UNIT, "redis-*");
        screen(&s, BOOT);
        assert_ptr_equal(find(&s, REDIS)->rule, &s.config->rules[0]);
        assert_null(find(&s, POSTGRES)->rule);
        add_rule(&s, MATCH_EXE, "*/postgres");
        add_rule(&s, MATCH_USER, "1000");
        add_rule(&s, MATCH_COMM, "lone (x) y");
        add_rule(&s, MATCH_SLICE, "machine.slice");
        add_rule(&s, MATCH_CGROUP, "/lxc.*");
        screen(&s, BOOT);
        assert_ptr_equal(find(&s, POSTGRES)->rule, &s.config->rules[1]);
        assert_ptr_equal(find(&s, "/user.slice/user-1000.slice/session-1.scope")->rule, &s.config->rules[2]);
        assert_ptr_equal(find(&s, "pid:820")->rule, &s.config->rules[3]);
        assert_ptr_equal(find(&s, "/machine.slice/foreign")->rule, &s.config->rules[4]);
        assert_ptr_equal(find(&s, "/lxc.payload.web/app")->rule, &s.config->rules[5]);
        assert_null(find(&s, DOCKER)->rule);
        setup_done(&s);
}

static void test_hugetlb_is_capped(void **state) {
        struct setup s;
        setup_make(&s, "bookworm");
        tree_put(&s.tree, "sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "9\n"); /* 3 in use: shared by all three */
        screen(&s, BOOT);
        assert_int_equal(find(&s, POSTGRES)->hugetlb_bytes, 6 * MIB);
        setup_done(&s);
}

static void test_hybrid(void **state) {
        struct setup s;
        setup_make(&s, "hybrid");
        tree_put(&s.tree, "proc/60/status", "Mems_allowed_list:\t0\n");
        screen(&s, BOOT);
        assert_int_equal(s.seen->n_services, 2);
        const struct service_sample *x = find(&s, "/system.slice/db.service");
        assert_int_equal(x->owner, OWNER_NONE);
        assert_non_null(strstr(x->owner_detail, "cpuset controller"));
        assert_int_equal(x->memory_pressure_centipercent, -1);
        assert_int_equal(x->bytes_by_node[0], 0); /* known after the deep read */
        assert_non_null(find(&s, "pid:50"));
        setup_done(&s);
}

static void test_legacy(void **state) {
        struct setup s;
        setup_make(&s, "legacy");
        screen(&s, BOOT);
        assert_int_equal(s.seen->n_services, 3);
        const struct service_sample *x = find(&s, "/system.slice/mysql.service");
        assert_int_equal(x->n_processes, 2);
        assert_string_equal(x->owner_detail, "no cgroup v2 on this machine");
        assert_string_equal(find(&s, "pid:73")->unit, "alone[73]");
        assert_string_equal(find(&s, "pid:73")->owner_detail, "no cgroup v2 on this machine");
        assert_null(find(&s, "pid:72")); /* a zombie */
        assert_non_null(find(&s, "pid:74"));
        setup_done(&s);
}

/* v1 cpusets show in what the process says of itself. */
static void test_mems_allowed(void **state) {
        struct setup s;
        setup_make(&s, "bookworm");
        s.host->has_cpuset = false;
        tree_put(&s.tree, "proc/300/status", "Mems_allowed_list:\t1,3\n");
        tree_put(&s.tree, "proc/1/status", "Mems_allowed_list:\t77\n");
        screen(&s, BOOT);
        _cleanup_free_ char *mems = node_set_format(&find(&s, REDIS)->effective_mems);
        assert_string_equal(mems, "1,3");
        assert_int_equal(node_set_count(&find(&s, "/init.scope")->effective_mems), 4);
        assert_int_equal(node_set_count(&find(&s, REDIS)->effective_cpu_nodes), 4);
        setup_done(&s);
}

static void test_everything_vanishes(void **state) {
        struct setup s;
        setup_make(&s, "bookworm");
        tree_remove(&s.tree, "proc/300");
        tree_put(&s.tree, "proc/1/stat", "garbage");
        screen(&s, BOOT);
        assert_null(find(&s, REDIS));
        assert_null(find(&s, "/init.scope"));
        tree_remove(&s.tree, "proc/401/task"); /* between its stat and its threads: it has one, so nothing is missed */
        screen(&s, BOOT + 1);
        assert_int_equal(find(&s, POSTGRES)->n_threads, 3);
        tree_remove(&s.tree, "sys/fs/cgroup");
        struct observation *o = NULL;
        assert_int_equal(observer_screen(s.observer, s.config, NULL, 0, BOOT + 2, &o), -ENOENT);
        assert_null(o);
        setup_done(&s);
}

/* Threads without end: those beyond the limit are left out, and the screen says so. */
static void test_thread_limit(void **state) {
        struct setup s;
        setup_make(&s, "bookworm");
        screen(&s, BOOT);
        size_t n = 0;
        for (size_t i = 0; i < s.seen->n_services; i++)
                n += s.seen->services[i].n_threads;
        s.observer->thread_limit = n;
        screen(&s, BOOT);
        assert_false(s.seen->truncated);
        s.observer->thread_limit = n - 2;
        screen(&s, BOOT);
        assert_true(s.seen->truncated);
        size_t fewer = 0;
        for (size_t i = 0; i < s.seen->n_services; i++)
                fewer += s.seen->services[i].n_threads;
        assert_int_equal(fewer, n - 2);
        setup_done(&s);
}

/* Redis' first thread ends. */
static void end_first_thread(struct setup *s) {
        static const char zombie[] =
                "300 (redis-server) Z 1 300 300 0 -1 4194560 100 0 0 0 160 0 0 0 20 0 4 0 2000 0 0 0 0 0 0 0 0 "
                "0 0 0 0 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n";
        tree_put(&s->tree, "proc/300/stat", zombie);
        tree_put(&s->tree, "proc/300/task/300/stat", zombie);
        tree_put(&s->tree, "proc/300/status", "Uid:\t26\t26\t26\t26\n");
        tree_put(&s->tree, "proc/300/numa_maps", "");
        tree_put(&s->tree, "proc/300/task/300/numa_maps", "");
        tree_link(&s->tree, "proc/300/task/301/exe", "/usr/bin/redis-server");
        tree_put(&s->tree, "proc/300/task/301/status", "Uid:\t26\t26\t26\t26\nHugetlbPages:\t4096 kB\n");
}

/* Its first thread has ended, and shows nothing of the process any more; the others have the same CPUs, memory and program as before. */
static void test_first_thread_ended(void **state) {
        struct setup s;
        struct deep_sample *before, *after;
        setup_make(&s, "bookworm");
        add_rule(&s, MATCH_EXE, "*/redis-server");
        tree_link(&s.tree, "proc/300/exe", "/usr/bin/redis-server");
        tree_put(&s.tree, "proc/300/status", "Uid:\t26\t26\t26\t26\nHugetlbPages:\t4096 kB\n");
        screen(&s, BOOT);
        const struct service_sample *x = find(&s, REDIS);
        assert_ptr_equal(x->rule, &s.config->rules[0]);
        assert_int_equal(x->hugetlb_bytes, 4 * MIB);
        assert_int_equal(observe_deep(s.host, s.topology->n_ids, x->processes, x->n_processes, NULL, &before), 0);

        tree_remove(&s.tree, "proc/300/exe");
        end_first_thread(&s);
        screen(&s, BOOT);
        x = find(&s, REDIS);
        assert_non_null(x);
        assert_ptr_equal(x->rule, &s.config->rules[0]);
        assert_int_equal(x->hugetlb_bytes, 4 * MIB);
        assert_int_equal(x->n_threads, 4);
        assert_shares(x, 1000000, 0, 0, 0);
        assert_int_equal(observe_deep(s.host, s.topology->n_ids, x->processes, x->n_processes, NULL, &after), 0);
        assert_int_equal(after->n_processes_read, 1);
        assert_true(sum_by_node(before->bytes_by_node, before->n_ids) > 0);
        assert_memory_equal(before->bytes_by_node, after->bytes_by_node, before->n_ids * sizeof *before->bytes_by_node);
        deep_sample_free(before);
        deep_sample_free(after);
        setup_done(&s);
}

/* Right before this is read of redis. */
static struct setup *ends_before_exe, *ends_before_status;

int __real_proc_exe_read(int proc_fd, pid_t pid, pid_t speaker, char **ret);
int __wrap_proc_exe_read(int proc_fd, pid_t pid, pid_t speaker, char **ret);
int __real_proc_status_read(int proc_fd, pid_t pid, pid_t speaker, struct proc_status *ret);
int __wrap_proc_status_read(int proc_fd, pid_t pid, pid_t speaker, struct proc_status *ret);

int __wrap_proc_exe_read(int proc_fd, pid_t pid, pid_t speaker, char **ret) {
        if (ends_before_exe && pid == 300) {
                struct setup *s = TAKE_PTR(ends_before_exe);
                tree_remove(&s->tree, "proc/300/exe");
                end_first_thread(s);
        }
        return __real_proc_exe_read(proc_fd, pid, speaker, ret);
}

/* Who spoke for it instead of the first has ended, too. */
int __wrap_proc_status_read(int proc_fd, pid_t pid, pid_t speaker, struct proc_status *ret) {
        if (ends_before_status && pid == 300) {
                struct setup *s = TAKE_PTR(ends_before_status);
                char path[64];
                (void) snprintf(path, sizeof path, "proc/300/task/%d", (int) speaker);
                tree_remove(&s->tree, path);
                tree_put(&s->tree, "proc/300/task/302/status", "Uid:\t4711\t4711\t4711\t4711\n");
        }
        return __real_proc_status_read(proc_fd, pid, speaker, ret);
}

/* The rule that its program or its user says is its rule all the same. */
static void test_ends_while_looked_at(void **state) {
        struct setup s;
        setup_make(&s, "bookworm");
        add_rule(&s, MATCH_EXE, "*/redis-server");
        tree_link(&s.tree, "proc/300/exe", "/usr/bin/redis-server");
        ends_before_exe = &s;
        screen(&s, BOOT);
        assert_null(ends_before_exe);
        assert_ptr_equal(find(&s, REDIS)->rule, &s.config->rules[0]);
        setup_done(&s);

        setup_make(&s, "bookworm");
        end_first_thread(&s);
        add_rule(&s, MATCH_USER, "4711");
        ends_before_status = &s;
        screen(&s, BOOT);
        assert_null(ends_before_status);
        assert_ptr_equal(find(&s, REDIS)->rule, &s.config->rules[0]);
        setup_done(&s);
}

/* Whoever cannot be looked at for want of descriptors is not gone, has no other memory and no other cpuset. */
static void test_no_descriptors(void **state) {
        struct setup s;
        bool failed = false, seen = false;
        setup_make(&s, "bookworm");
        screen(&s, BOOT);
        size_t n = s.seen->n_services;
        for (unsigned left = 0; left < 16; left++) {
                struct observation *o = NULL;
                leave_descriptors(left);
                int r = observer_screen(s.observer, s.config, NULL, 0, BOOT, &o);
                leave_descriptors(UINT_MAX);
                assert_true(r == 0 || r == -EMFILE);
                failed |= r < 0;
                seen |= r == 0;
                for (size_t i = 0; r == 0 && i < n; i++) {
                        const struct service_sample *x = &o->services[i], *y = &s.seen->services[i];
                        assert_int_equal(o->n_services, n);
                        assert_string_equal(x->cgroup, y->cgroup);
                        assert_int_equal(x->n_processes, y->n_processes);
                        assert_memory_equal(x->bytes_by_node, y->bytes_by_node, s.topology->n_ids * sizeof *x->bytes_by_node);
                        assert_true(x->admin_cpus == y->admin_cpus && x->admin_mems == y->admin_mems);
                        assert_int_equal(o->machine.nodes[0].bytes_free, s.seen->machine.nodes[0].bytes_free);
                }
                observation_free(o);
        }
        assert_true(failed && seen);
        setup_done(&s);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_no_descriptors),
                cmocka_unit_test(test_first_thread_ended),
                cmocka_unit_test(test_ends_while_looked_at),
                cmocka_unit_test(test_strays),
                cmocka_unit_test(test_admin),
                cmocka_unit_test(test_around),
                cmocka_unit_test(test_rules),
                cmocka_unit_test(test_hugetlb_is_capped),
                cmocka_unit_test(test_hybrid),
                cmocka_unit_test(test_legacy),
                cmocka_unit_test(test_mems_allowed),
                cmocka_unit_test(test_everything_vanishes),
                cmocka_unit_test(test_thread_limit),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
