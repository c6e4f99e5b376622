/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Screens that do not read again what did nothing, and no more than is paid for. */
#include "host/observe.h"

#include "core/util.h"
#include "host/host.h"
#include "host/screen.h"
#include "test-host-tree.h"
#include "unit.h"

#define CG       "sys/fs/cgroup/system.slice/"
#define REDIS    "/system.slice/redis-server.service"
#define POSTGRES "/system.slice/system-postgresql.slice/postgresql@15-main.service"
#define PLAIN    "/system.slice/plain.service"
#define BOOT     (1000 * USEC_PER_SEC)

struct setup {
        struct tree tree;
        struct host *host;
        struct topology *topology;
        struct observer *observer;
        struct config *config;
        struct observation *seen;
        uint64_t now;
};

static void put_usage(struct setup *s, const char *cgroup, uint64_t usec) {
        _cleanup_free_ char *path = format_string("sys/fs/cgroup%s/cpu.stat", cgroup), *text = NULL;
        text = format_string("usage_usec %llu\nuser_usec 0\n", (unsigned long long) usec);
        tree_put(&s->tree, path, text);
}

static void setup_make(struct setup *s, bool sparing) {
        *s = (struct setup) { .now = BOOT };
        tree_make(&s->tree, "bookworm");
        /* No huge page is in use: a process can map one in no time. */
        tree_put(&s->tree, "sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "6\n");
        assert_int_equal(host_open(s->tree.root, &s->host), 0);
        assert_int_equal(topology_load(s->host, &s->topology), 0);
        assert_int_equal(observer_new(s->host, s->topology, &s->observer), 0);
        observer_set_incremental(s->observer, sparing);
        s->config = config_new();
        assert_non_null(s->config);
        put_usage(s, REDIS, 3000000);
        put_usage(s, POSTGRES, 0);
        put_usage(s, PLAIN, 0);
}

static void setup_done(struct setup *s) {
        observation_free(s->seen);
        observer_free(s->observer);
        config_free(s->config);
        topology_free(s->topology);
        host_free(s->host);
        tree_done(&s->tree);
}

static const struct service_sample *find(const struct setup *s, const char *cgroup) {
        for (size_t i = 0; i < s->seen->n_services; i++)
                if (strcmp(s->seen->services[i].cgroup, cgroup) == 0)
                        return &s->seen->services[i];
        fail_msg("%s is missing", cgroup);
        return NULL;
}

/* The next screen, so much later. Returns the service. */
static const struct service_sample *look(struct setup *s, uint64_t later_usec, const char *cgroup) {
        s->seen = observation_free(s->seen);
        s->now += later_usec;
        assert_int_equal(observer_screen(s->observer, s->config, NULL, 0, s->now, &s->seen), 0);
        return find(s, cgroup);
}

/* When its processes were read last. */
static uint64_t read_at(const struct setup *s, const char *cgroup) {
        const struct known_service *k = known_services_find(&s->observer->known, cgroup);
        assert_non_null(k);
        return k->read_usec;
}

static void assert_where(const struct service_sample *x, uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
        const uint32_t want[] = { a, b, c, d };
        assert_memory_equal(x->cpu_share_by_node, want, sizeof want);
}

static void test_idle(void **state) {
        struct setup s;
        setup_make(&s, false);
        tree_put(&s.tree, CG "redis-server.service/cpuset.cpus.effective", "0-7\n");
        look(&s, 0, REDIS);
        assert_int_equal(read_at(&s, REDIS), BOOT);

        /* Less than a tick: what its files say by now is not even looked at, memory is. */
        put_usage(&s, REDIS, 3009999);
        tree_put_thread(&s.tree, 300, 300, 9999, 2000, 6);
        tree_put(&s.tree, CG "redis-server.service/memory.numa_stat", "anon N3=4096\n");
        const struct service_sample *x = look(&s, 10 * USEC_PER_SEC, REDIS);
        assert_int_equal(read_at(&s, REDIS), BOOT);
        assert_where(x, 1000000, 0, 0, 0);
        assert_int_equal(x->n_processes, 1);
        assert_int_equal(x->processes[0].start_ticks, 2000);
        assert_int_equal(x->n_threads, 4);
        assert_int_equal(x->threads_age_usec, 0);
        assert_int_equal(x->bytes_by_node[3], 4096);
        assert_int_equal(x->cpu_total_usec, 3009999);
        assert_int_equal(sum_by_node(x->cpu_usec_by_node, 4), 9999); /* what it used is right in any case */

        /* A tick in all, since it was read: its threads are compared with what they were then. */
        put_usage(&s, REDIS, 3010000);
        x = look(&s, 10 * USEC_PER_SEC, REDIS);
        assert_int_equal(read_at(&s, REDIS), s.now);
        assert_where(x, 0, 0, 0, 1000000);
        assert_int_equal(sum_by_node(x->cpu_usec_by_node, 4), 1);
        assert_int_equal(s.seen->n_put_off, 0);
        setup_done(&s);
}

static void test_reasons_to_read(void **state) {
        struct setup s;
        setup_make(&s, false);
        look(&s, 0, REDIS);
        look(&s, USEC_PER_SEC, REDIS);
        assert_int_equal(read_at(&s, REDIS), BOOT);

        /* Other processes. */
        tree_put(&s.tree, CG "redis-server.service/cgroup.procs", "300\n610\n");
        assert_int_equal(look(&s, USEC_PER_SEC, REDIS)->n_processes, 2);
        assert_int_equal(read_at(&s, REDIS), s.now);
        /* Other CPUs: where it may run is part of what was counted. */
        tree_put(&s.tree, CG "redis-server.service/cpuset.cpus.effective", "4-5\n");
        look(&s, USEC_PER_SEC, REDIS);
        assert_int_equal(read_at(&s, REDIS), s.now);
        /* A rule asks for what was not read. */
        look(&s, USEC_PER_SEC, REDIS);
        assert_int_not_equal(read_at(&s, REDIS), s.now);
        s.config->rules = calloc(1, sizeof *s.config->rules);
        s.config->n_rules = 1;
        rule_init(&s.config->rules[0]);
        assert_int_equal(string_list_add(&s.config->rules[0].match.patterns[MATCH_COMM], "redis*"), 0);
        assert_non_null(look(&s, USEC_PER_SEC, REDIS)->rule);
        assert_int_equal(read_at(&s, REDIS), s.now);
        assert_non_null(look(&s, USEC_PER_SEC, REDIS)->rule); /* remembered */
        assert_int_not_equal(read_at(&s, REDIS), s.now);
        /* Now that names count, anything that runs can have changed its own. */
        put_usage(&s, REDIS, 3000001);
        look(&s, USEC_PER_SEC, REDIS);
        assert_int_equal(read_at(&s, REDIS), s.now);
        /* Made anew: its counter begins again. */
        put_usage(&s, REDIS, 5);
        look(&s, USEC_PER_SEC, REDIS);
        assert_int_equal(read_at(&s, REDIS), s.now);
        /* Long ago. */
        look(&s, KNOWN_TRUSTED_USEC - 1, REDIS);
        assert_int_not_equal(read_at(&s, REDIS), s.now);
        look(&s, 1, REDIS);
        assert_int_equal(read_at(&s, REDIS), s.now);
        /* What is gone is forgotten. */
        tree_remove(&s.tree, CG "redis-server.service/cgroup.procs");
        look(&s, USEC_PER_SEC, PLAIN);
        assert_null(known_services_find(&s.observer->known, REDIS));
        setup_done(&s);
}

/* Three services that all run, and a budget that pays for one. */
static void test_turns(void **state) {
        static const char *const all[] = { REDIS, POSTGRES, PLAIN };
        struct setup s;
        uint64_t usage = 4000000;
        setup_make(&s, true);
        look(&s, 0, REDIS); /* the first time everything is read */
        for (size_t i = 0; i < ARRAY_SIZE(all); i++)
                assert_int_equal(read_at(&s, all[i]), BOOT);
        for (unsigned round = 1; round <= 9; round++) {
                unsigned n_read = 0;
                s.observer->thread_nsec = 1000000000;
                usage += USEC_PER_SEC;
                for (size_t i = 0; i < ARRAY_SIZE(all); i++)
                        put_usage(&s, all[i], usage);
                look(&s, 10 * USEC_PER_SEC, REDIS);
                for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
                        const struct service_sample *x = find(&s, all[i]);
                        bool now = read_at(&s, all[i]) == s.now;
                        n_read += now;
                        assert_int_equal(x->threads_age_usec, s.now - read_at(&s, all[i]));
                        assert_true(x->threads_age_usec <= 30 * USEC_PER_SEC); /* each comes to its turn */
                        if (round > 1)
                                assert_int_equal(sum_by_node(x->cpu_usec_by_node, 4), USEC_PER_SEC);
                }
                assert_int_equal(n_read, 1);
                assert_int_equal(s.seen->n_put_off, 2);
                assert_true(s.observer->thread_nsec < 1000000000); /* what was dear once is not for good, however few are read */
        }
        /* One that did not run waits for nobody. */
        put_usage(&s, REDIS, usage + USEC_PER_SEC);
        look(&s, 10 * USEC_PER_SEC, REDIS);
        assert_true(s.seen->n_put_off <= 2);
        /* With money enough all are read. */
        s.observer->thread_nsec = 1;
        for (size_t i = 0; i < ARRAY_SIZE(all); i++)
                put_usage(&s, all[i], usage + 2 * USEC_PER_SEC);
        look(&s, 10 * USEC_PER_SEC, REDIS);
        assert_int_equal(s.seen->n_put_off, 0);
        for (size_t i = 0; i < ARRAY_SIZE(all); i++)
                assert_int_equal(find(&s, all[i])->threads_age_usec, 0);
        setup_done(&s);
}

/* Beside an observer that reads everything, as long as stat and cpu.stat tell the same story: the same is seen. */
static void test_same_as_all(void **state) {
        struct setup s;
        struct observer *other;
        unsigned seed = 7;
        uint64_t ticks = 200;
        setup_make(&s, false);
        assert_int_equal(observer_new(s.host, s.topology, &other), 0);
        for (unsigned round = 0; round < 40; round++) {
                _cleanup_(observation_freep) struct observation *all = NULL;
                seed = seed * 1103515245 + 12345;
                if (seed >> 16 & 1) {
                        ticks += 10;
                        tree_put_thread(&s.tree, 300, 300, ticks, 2000, (int) (seed >> 17 & 7));
                        put_usage(&s, REDIS, 3000000 + ticks * 10000);
                }
                look(&s, 10 * USEC_PER_SEC, REDIS);
                assert_int_equal(observer_screen(other, s.config, NULL, 0, s.now, &all), 0);
                assert_int_equal(all->n_services, s.seen->n_services);
                for (size_t i = 0; i < all->n_services; i++) {
                        const struct service_sample *a = &all->services[i], *b = &s.seen->services[i];
                        assert_string_equal(a->cgroup, b->cgroup);
                        assert_int_equal(a->n_processes, b->n_processes);
                        assert_int_equal(a->n_threads, b->n_threads);
                        for (size_t k = 0; k < a->n_processes; k++) {
                                assert_int_equal(a->processes[k].pid, b->processes[k].pid);
                                assert_int_equal(a->processes[k].start_ticks, b->processes[k].start_ticks);
                        }
                        assert_memory_equal(a->cpu_share_by_node, b->cpu_share_by_node, 4 * sizeof(uint32_t));
                        assert_memory_equal(a->cpu_usec_by_node, b->cpu_usec_by_node, 4 * sizeof(uint64_t));
                        assert_memory_equal(a->bytes_by_node, b->bytes_by_node, 4 * sizeof(uint64_t));
                        assert_true(node_set_equal(&a->effective_mems, &b->effective_mems));
                }
        }
        observer_free(other);
        setup_done(&s);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_idle),
                cmocka_unit_test(test_reasons_to_read),
                cmocka_unit_test(test_turns),
                cmocka_unit_test(test_same_as_all),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
