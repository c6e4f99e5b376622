/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which rules the kernel's own balancing goes against, and which memory it takes for slow. */
#include "core/kernel-memory.h"

#include "core/util.h"

#include "unit.h"

/* Nodes 0 and 1 with a CPU each, nodes 2 and 3 with memory alone. */
static struct topology *machine(void) {
        struct topology *t = topology_new(4, 2);
        assert_non_null(t);
        for (unsigned n = 0; n < 4; n++) {
                t->nodes[n] = (struct topology_node) { .present = true, .bytes_total = GIB };
                if (n > 1)
                        continue;
                cpu_mask_add(&t->nodes[n].cpus, n);
                t->nodes[n].n_cpus = t->nodes[n].n_cores = 1;
                t->node_of_cpu[n] = (int16_t) n;
        }
        return t;
}

static struct node_set nodes(const char *text) {
        struct node_set s;
        assert_int_equal(node_set_parse(text, &s), 0);
        return s;
}

static void test_slow_nodes(void **state) {
        static const struct {
                const char *tiers[3], *slow;
        } cases[] = {
                { { NULL }, "" },
                { { "0-3" }, "" },
                { { "0-1", "2-3" }, "2-3" },
                { { "0-1", "2", "3" }, "2-3" },
                { { "2", "0-1", "3" }, "3" }, /* a node without CPUs may be the fastest */
                { { "0", "1-2", "3" }, "3" }, /* not slower than all with CPUs */
                { { "2", "3" }, "" },         /* nothing to compare with */
        };
        _cleanup_(topology_freep) struct topology *t = machine();
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct kernel_memory k = { .n_tiers = 0 };
                for (; k.n_tiers < 3 && cases[i].tiers[k.n_tiers]; k.n_tiers++)
                        k.tiers[k.n_tiers] = (struct memory_tier) { (unsigned) k.n_tiers * 10, nodes(cases[i].tiers[k.n_tiers]) };
                struct node_set slow = kernel_slow_nodes(&k, t), expected = nodes(cases[i].slow);
                assert_true(node_set_equal(&slow, &expected));
        }
}

#define NOTHING MEETS_NOTHING
#define THREADS MEETS_THREADS
#define TIERS   MEETS_TIERS
#define FREE    CPUS_FREE
#define AUTO    KERNEL_BALANCING_AUTO
#define RESPECT KERNEL_BALANCING_RESPECT

/* What tests/bench/README.md has measured. Setting 1, then 2, with nodes 2 and 3 as the slower tier. */
static void test_meeting(void **state) {
        static const struct {
                enum place place;
                const char *nodes; /* of the rule; NULL: none given */
                enum cpus_mode cpus;
                enum memory_mode memory;
                enum kernel_balancing balancing;
                enum kernel_meeting by_threads, by_tiers;
        } cases[] = {
                { PLACE_COMPACT, NULL, CPUS_RESTRICT, MEMORY_PREFER, AUTO, NOTHING, NOTHING },
                { PLACE_COMPACT, NULL, FREE, MEMORY_PREFER, AUTO, NOTHING, NOTHING }, /* it is left to the kernel */
                { PLACE_COMPACT, NULL, FREE, MEMORY_PREFER, KERNEL_BALANCING_OVERRIDE, THREADS, NOTHING },
                { PLACE_FOLLOW, NULL, FREE, MEMORY_PREFER, AUTO, NOTHING, NOTHING },
                { PLACE_FOLLOW, NULL, FREE, MEMORY_PREFER, KERNEL_BALANCING_OVERRIDE, THREADS, NOTHING },
                { PLACE_IGNORE, NULL, FREE, MEMORY_PREFER, AUTO, NOTHING, NOTHING },
                { PLACE_SPREAD, NULL, CPUS_RESTRICT, MEMORY_PREFER, AUTO, NOTHING, NOTHING },
                { PLACE_SPREAD, NULL, CPUS_RESTRICT, MEMORY_PREFER, KERNEL_BALANCING_OVERRIDE, THREADS, TIERS },
                { PLACE_NODES, "0", CPUS_RESTRICT, MEMORY_PREFER, AUTO, NOTHING, NOTHING },
                { PLACE_NODES, "0", FREE, MEMORY_PREFER, AUTO, THREADS, NOTHING },
                { PLACE_NODES, "0", FREE, MEMORY_PREFER, RESPECT, THREADS, NOTHING }, /* it has one node, and is brought there */
                { PLACE_NODES, "0", FREE, MEMORY_STRICT, AUTO, NOTHING, NOTHING },
                { PLACE_NODES, "0-1", FREE, MEMORY_PREFER, AUTO, NOTHING, NOTHING }, /* threads run nowhere else */
                { PLACE_NODES, "2", FREE, MEMORY_PREFER, AUTO, THREADS, TIERS },
                { PLACE_NODES, "2", FREE, MEMORY_STRICT, AUTO, NOTHING, NOTHING },
                { PLACE_NODES, "0,2", CPUS_RESTRICT, MEMORY_PREFER, AUTO, NOTHING, NOTHING },
                { PLACE_INTERLEAVE, NULL, FREE, MEMORY_PREFER, AUTO, THREADS, TIERS },
                { PLACE_INTERLEAVE, NULL, FREE, MEMORY_STRICT, AUTO, THREADS, TIERS }, /* within the cpuset */
                { PLACE_INTERLEAVE, NULL, FREE, MEMORY_PREFER, RESPECT, NOTHING, NOTHING },
                { PLACE_INTERLEAVE, "0-1", FREE, MEMORY_PREFER, AUTO, THREADS, NOTHING },
                { PLACE_INTERLEAVE, "0", FREE, MEMORY_STRICT, AUTO, NOTHING, NOTHING }, /* nothing to divide */
                { PLACE_INTERLEAVE, "2-3", FREE, MEMORY_PREFER, RESPECT, THREADS, TIERS },
        };
        _cleanup_(topology_freep) struct topology *t = machine();
        struct kernel_memory k = { .has_balancing = true, .n_tiers = 2 };
        k.tiers[0] = (struct memory_tier) { 4, nodes("0-1") };
        k.tiers[1] = (struct memory_tier) { 22, nodes("2-3") };
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct rule r;
                rule_init(&r);
                r.place = cases[i].place;
                r.cpus = cases[i].cpus;
                r.memory = cases[i].memory;
                r.kernel_balancing = cases[i].balancing;
                if (cases[i].nodes && r.place == PLACE_NODES)
                        r.nodes = nodes(cases[i].nodes);
                else if (cases[i].nodes) {
                        r.has_allowed = true;
                        r.allowed = nodes(cases[i].nodes);
                }
                static const unsigned modes[] = { 0, 1, 2, 3 };
                const enum kernel_meeting expected[] = { NOTHING, cases[i].by_threads, cases[i].by_tiers,
                                                         cases[i].by_threads != NOTHING ? THREADS : cases[i].by_tiers };
                for (size_t m = 0; m < ARRAY_SIZE(modes); m++) {
                        k.balancing = modes[m];
                        if (rule_meets_kernel(&r, t, &k) != expected[m])
                                print_error("case %zu, setting %u\n", i, modes[m]);
                        assert_int_equal(rule_meets_kernel(&r, t, &k), expected[m]);
                }
        }
}

static void test_devices(void **state) {
        _cleanup_(topology_freep) struct topology *t = machine();
        struct kernel_memory k = { .has_balancing = true, .balancing = 1 };
        struct rule r;
        rule_init(&r);
        r.place = PLACE_NEAR;
        r.cpus = CPUS_FREE;
        assert_int_equal(string_list_add(&r.devices, "net/x"), 0);
        assert_int_equal(rule_meets_kernel(&r, t, &k), MEETS_NOTHING); /* it is not there: nothing is known */
        t->devices = calloc(1, sizeof *t->devices);
        assert_non_null(t->devices);
        t->n_devices = 1;
        t->devices[0] = (struct topology_device) { .name = strdup("net/x"), .nodes = nodes("1") };
        assert_int_equal(rule_meets_kernel(&r, t, &k), MEETS_THREADS);
        rule_done(&r);
}

/* Only where it sorts: among several nodes that threads and memory are both to be on. */
static void test_kernel_goes_first(void **state) {
        static const struct {
                const char *cpus, *mems;
                unsigned balancing;
                enum kernel_balancing rule;
                bool first;
        } cases[] = {
                { "0-1", "0-1", 1, KERNEL_BALANCING_AUTO, true },      { "0-1", "0-1", 3, KERNEL_BALANCING_AUTO, true },
                { "0-1", "0-3", 1, KERNEL_BALANCING_RESPECT, true },   { "0-1", "0-1", 0, KERNEL_BALANCING_AUTO, false },
                { "0-1", "0-1", 2, KERNEL_BALANCING_AUTO, false }, /* between tiers alone */
                { "0-1", "0-1", 1, KERNEL_BALANCING_OVERRIDE, false }, { "0", "0", 1, KERNEL_BALANCING_AUTO, false },
                { "0", "0,2", 1, KERNEL_BALANCING_AUTO, false }, /* memory alone: no thread is there */
                { "", "0-1", 1, KERNEL_BALANCING_AUTO, false },  /* its CPUs are not ours */
        };
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct node_set cpus = nodes(cases[i].cpus), mems = nodes(cases[i].mems);
                struct rule r;
                rule_init(&r);
                r.kernel_balancing = cases[i].rule;
                uint64_t usec = kernel_goes_first_usec(&r, cases[i].balancing, &cpus, &mems);
                if ((usec > 0) != cases[i].first)
                        print_error("case %zu\n", i);
                assert_int_equal(usec, cases[i].first ? KERNEL_FIRST_USEC : 0);
                rule_done(&r);
        }
}

/* On one node there is nowhere to bring anything. */
static void test_one_node(void **state) {
        _cleanup_(topology_freep) struct topology *t = topology_new(1, 1);
        struct kernel_memory k = { .has_balancing = true, .balancing = 3 };
        struct rule r;
        assert_non_null(t);
        t->nodes[0] = (struct topology_node) { .present = true, .bytes_total = GIB, .n_cpus = 1, .n_cores = 1 };
        cpu_mask_add(&t->nodes[0].cpus, 0);
        rule_init(&r);
        r.place = PLACE_INTERLEAVE;
        assert_int_equal(rule_meets_kernel(&r, t, &k), MEETS_NOTHING);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_slow_nodes),        cmocka_unit_test(test_meeting),  cmocka_unit_test(test_devices),
                cmocka_unit_test(test_kernel_goes_first), cmocka_unit_test(test_one_node),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
