/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The screen of a captured machine: what is counted for whom, from one screen to the next. */
#include "host/observe.h"

#include <stdio.h>

#include "core/plan.h"
#include "core/util.h"
#include "host/cpu-tally.h"
#include "host/host.h"
#include "host/screen.h"
#include "test-host-tree.h"
#include "unit.h"

#define CG       "sys/fs/cgroup/system.slice/"
#define REDIS    "/system.slice/redis-server.service"
#define POSTGRES "/system.slice/system-postgresql.slice/postgresql@15-main.service"
#define DOCKER   "/system.slice/docker-0123.scope"
#define NGINX    DOCKER "/system.slice/nginx.service"
#define BOOT     (1000 * USEC_PER_SEC) /* time of the first screen: everything in the tree began before */

struct setup {
        struct tree tree;
        struct host *host;
        struct topology *topology;
        struct observer *observer;
        struct config *config;
        struct observation *seen;
};

static void setup_make(struct setup *s, const char *name) {
        *s = (struct setup){ 0 };
        tree_make(&s->tree, name);
        assert_int_equal(host_open(s->tree.root, &s->host), 0);
        assert_int_equal(topology_load(s->host, &s->topology), 0);
        assert_int_equal(observer_new(s->host, s->topology, &s->observer), 0);
        s->config = config_new();
        assert_non_null(s->config);
}

static void setup_done(struct setup *s) {
        observation_free(s->seen);
        observer_free(s->observer);
        config_free(s->config);
        topology_free(s->topology);
        host_free(s->host);
        tree_done(&s->tree);
}

static void screen_applied(struct setup *s, uint64_t now_usec, const struct applied *applied, size_t n_applied) {
        s->seen = observation_free(s->seen);
        assert_int_equal(observer_screen(s->observer, s->config, applied, n_applied, now_usec, &s->seen), 0);
        for (size_t i = 0; i < s->seen->n_services; i++) {
                const struct service_sample *x = &s->seen->services[i];
                assert_true(i == 0 || strcmp(x[-1].cgroup, x->cgroup) < 0);
                uint64_t shares = 0;
                for (unsigned id = 0; id < s->topology->n_ids; id++)
                        shares += x->cpu_share_by_node[id];
                assert_int_equal(shares, x->n_threads > 0 ? 1000000 : 0);
                assert_true(x->n_processes > 0);
                assert_false(x->deep || x->self_managed || x->has_bound_mappings);
                assert_false(node_set_is_empty(&x->effective_cpu_nodes));
                assert_false(node_set_is_empty(&x->effective_mems));
        }
}

static void screen(struct setup *s, uint64_t now_usec) {
        screen_applied(s, now_usec, NULL, 0);
}

static const struct service_sample *find(const struct setup *s, const char *cgroup) {
        for (size_t i = 0; i < s->seen->n_services; i++)
                if (strcmp(s->seen->services[i].cgroup, cgroup) == 0)
                        return &s->seen->services[i];
        return NULL;
}

static void assert_shares(const struct service_sample *x, uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
        const uint32_t want[] = { a, b, c, d };
        assert_non_null(x);
        assert_memory_equal(x->cpu_share_by_node, want, sizeof want);
}

static void assert_by_node(const uint64_t *have, uint64_t a, uint64_t b, uint64_t c, uint64_t d) {
        const uint64_t want[] = { a, b, c, d };
        for (unsigned i = 0; i < 4; i++)
                assert_int_equal(have[i], want[i]);
}

static void add_rule(struct setup *s, enum match_key key, const char *pattern) {
        struct config *c = s->config;
        c->rules = realloc(c->rules, (c->n_rules + 1) * sizeof *c->rules);
        rule_init(&c->rules[c->n_rules]);
        assert_int_equal(string_list_add(&c->rules[c->n_rules].match.patterns[key], pattern), 0);
        c->n_rules++;
}

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
        /* Narrowed further up: in force, and nobody's setting on the service itself. */
        const struct service_sample *x = find(&s, "/system.slice/_cpu.service");
        assert_false(x->admin_cpus || x->admin_mems);
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
                cmocka_unit_test(test_strays),
                cmocka_unit_test(test_admin),
                cmocka_unit_test(test_rules),
                cmocka_unit_test(test_hugetlb_is_capped),
                cmocka_unit_test(test_hybrid),
                cmocka_unit_test(test_legacy),
                cmocka_unit_test(test_mems_allowed),
                cmocka_unit_test(test_everything_vanishes),
                cmocka_unit_test(test_thread_limit),
                cmocka_unit_test(test_apportion),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
