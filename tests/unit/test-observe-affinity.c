/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The deep read: threads that are bound to fewer CPUs than their cgroup has, by whomever. */
#include "observe-deep-fixture.h"

#define REDIS "/system.slice/redis-server.service"

/* Four nodes of two CPUs; CPU 7 is taken from the scheduler. */
static struct topology *make_topology(void) {
        struct topology *t = topology_new(4, 8);
        assert_non_null(t);
        for (unsigned cpu = 0; cpu < 8; cpu++) {
                struct topology_node *n = &t->nodes[cpu / 2];
                n->present = true;
                t->node_of_cpu[cpu] = (int16_t) (cpu / 2);
                if (cpu != 7)
                        cpu_mask_add(&n->cpus, cpu);
                n->n_cpus = n->n_cores = cpu_mask_count(&n->cpus);
        }
        return t;
}

static void put_status(struct setup *s, pid_t pid, pid_t tid, const char *name, char state, const char *cpus) {
        char path[64], text[256];
        if (tid == pid)
                (void) snprintf(path, sizeof path, "proc/%d/status", (int) pid);
        else
                (void) snprintf(path, sizeof path, "proc/%d/task/%d/status", (int) pid, (int) tid);
        (void) snprintf(text, sizeof text, "Name:\t%s\nState:\t%c (x)\nUid:\t0\t0\t0\t0\n%s%s%sMems_allowed_list:\t0-3\n", name,
                        state, cpus ? "Cpus_allowed_list:\t" : "", cpus ? cpus : "", cpus ? "\n" : "");
        tree_put(&s->tree, path, text);
}

static void put_cpuset(struct setup *s, const char *cpus) {
        tree_put(&s->tree, "sys/fs/cgroup" REDIS "/cpuset.cpus.effective", cpus);
}

struct one {
        struct setup s;
        struct topology *t;
        struct deep_options options;
};

static void begin(struct one *o, const char *cpuset) {
        setup_make(&o->s);
        o->t = make_topology();
        o->options = (struct deep_options) { .topology = o->t, .cgroup = REDIS };
        o->s.options = &o->options;
        add(&o->s, 820, 7002);
        put_cpuset(&o->s, cpuset);
}

static void end(struct one *o) {
        setup_done(&o->s);
        topology_free(o->t);
}

static void expect_bound(struct one *o, const char *nodes) {
        const struct deep_sample *d = deep(&o->s);
        _cleanup_free_ char *list = node_set_format(&d->thread_nodes);
        assert_int_equal(d->binds_threads, nodes != NULL);
        assert_string_equal(list, nodes ? nodes : "");
}

static void test_process(void **state) {
        static const struct {
                const char *cpuset, *allowed, *nodes;
        } all[] = {
                { "0-7", "0-7", NULL },
                { "0-7", "2-3", "1" },
                { "0-7", "0,2,4,6", "0-3" }, /* one CPU of each node: bound all the same */
                { "0-1", "0-1", NULL },      /* of a narrowed cpuset all */
                { "0-1", "1", "0" },
                { "0-7", "0-6", NULL },   /* what nobody has who did not ask for it */
                { "0-6", "0-127", NULL }, /* CPUs that could come, and one that was taken */
                { "0-7", "7", "3" },      /* … and who did */
                { "0-7", "4-5,7", "2-3" },
                { "0-1", "2-3", "1" }, /* of a partition inside that was made after the daemon began */
                { "0-1", "1-3", "0-1" },
                { "0-3", "0-6", NULL }, /* the cpuset is just being narrowed */
                { "0-7", NULL, NULL },  /* not told */
                { "0-7", "nonsense", NULL },
        };
        for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
                struct one o;
                begin(&o, all[i].cpuset);
                put_status(&o.s, 820, 820, "redis", 'S', all[i].allowed);
                expect_bound(&o, all[i].nodes);
                end(&o);
        }
}

static void test_threads(void **state) {
        struct one o;
        begin(&o, "0-7");
        put_status(&o.s, 820, 820, "main", 'S', "0-7");
        put_status(&o.s, 820, 821, "worker", 'S', "0-7");
        expect_bound(&o, NULL);
        put_status(&o.s, 820, 822, "pinned", 'S', "5");
        expect_bound(&o, "0-3"); /* the others run anywhere */
        put_status(&o.s, 820, 820, "main", 'S', "0-1");
        put_status(&o.s, 820, 821, "worker", 'S', "0-1");
        expect_bound(&o, "0,2");
        end(&o);
}

/* What the kernel binds, and what runs no more, says nothing of the service. */
static void test_threads_that_do_not_count(void **state) {
        struct one o;
        begin(&o, "0-7");
        put_status(&o.s, 820, 820, "main", 'Z', "0-1");
        put_status(&o.s, 820, 821, "iou-wrk-820", 'S', "2-3");
        put_status(&o.s, 820, 822, "iou-sqp-820", 'S', "4");
        put_status(&o.s, 820, 823, "worker", 'S', "0-7");
        expect_bound(&o, NULL);
        end(&o);
}

static void test_several_processes(void **state) {
        struct one o;
        begin(&o, "0-7");
        add(&o.s, 810, 7001);
        put_status(&o.s, 820, 820, "one", 'S', "0-7");
        put_status(&o.s, 810, 810, "two", 'S', "6");
        expect_bound(&o, "0-3");
        add(&o.s, 999999, 1); /* has ended */
        expect_bound(&o, "0-3");
        end(&o);
}

/* Where nobody asks, or there is no cpuset to compare with. */
static void test_not_looked_at(void **state) {
        struct one o;
        begin(&o, "0-7");
        put_status(&o.s, 820, 820, "redis", 'S', "2");
        expect_bound(&o, "1");
        o.options.topology = NULL;
        expect_bound(&o, NULL);
        o.options.topology = o.t;
        o.options.cgroup = NULL;
        expect_bound(&o, NULL);
        o.options.cgroup = REDIS;
        o.s.host->has_cpuset = false;
        expect_bound(&o, NULL);
        end(&o);
}

/* Of rules that leave CPUs alone, or say that they override what the application did, nothing has to be known. */
static void test_options(void **state) {
        _cleanup_(topology_freep) struct topology *t = make_topology();
        struct rule r = { .place = PLACE_COMPACT, .cpus = CPUS_RESTRICT, .app_policy = APP_POLICY_RESPECT };
        struct service_sample s = { .rule = &r };
        assert_ptr_equal(deep_options_of(&s, t).topology, t);
        s.inner_cpu_nodes = node_set_of(1);
        assert_null(deep_options_of(&s, t).topology);
        s.inner_cpu_nodes = (struct node_set) { 0 };
        r.place = PLACE_FOLLOW;
        assert_null(deep_options_of(&s, t).topology);
        r.place = PLACE_NODES;
        r.cpus = CPUS_FREE;
        assert_null(deep_options_of(&s, t).topology);
        r.cpus = CPUS_RESTRICT;
        r.app_policy = APP_POLICY_OVERRIDE;
        assert_null(deep_options_of(&s, t).topology);
        s.rule = NULL;
        assert_null(deep_options_of(&s, t).topology);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_process),
                cmocka_unit_test(test_threads),
                cmocka_unit_test(test_threads_that_do_not_count),
                cmocka_unit_test(test_several_processes),
                cmocka_unit_test(test_not_looked_at),
                cmocka_unit_test(test_options),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
