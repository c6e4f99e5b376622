/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rules that the kernel's own balancing would undo: one line each, at the place of the rule, with what to write. */
#include "config/config-warnings.h"

#include "test-config.h"

/* Nodes 0 and 1 with a CPU each, node 2 with memory alone, node 3 with a CPU alone. */
static struct topology *machine(void) {
        struct topology *t = topology_new(4, 4);
        assert_non_null(t);
        for (unsigned n = 0; n < 4; n++) {
                t->nodes[n] = (struct topology_node) { .present = true, .bytes_total = n < 3 ? GIB : 0 };
                t->node_of_cpu[n] = n == 2 ? -1 : (int16_t) n;
                if (n == 2)
                        continue;
                cpu_mask_add(&t->nodes[n].cpus, n);
                t->nodes[n].n_cpus = t->nodes[n].n_cores = 1;
        }
        return t;
}

static struct config_errors warn(const char *text, const struct topology *t, unsigned balancing) {
        _cleanup_(config_freep) struct config *c = parse_ok(text, t);
        struct config_errors warnings = { 0 };
        struct kernel_memory k = { .has_balancing = true, .balancing = balancing, .n_tiers = 2 };
        k.tiers[0] = (struct memory_tier) { 4, node_set_of(0) };
        node_set_add(&k.tiers[0].nodes, 1);
        k.tiers[1] = (struct memory_tier) { 22, node_set_of(2) };
        assert_int_equal(config_warn_kernel(c, t, &k, &warnings), 0);
        return warnings;
}

#define BEGIN   "rules:\n  - name: a\n    match: {unit: a.service}\n    place: "
#define MODE(n) "FILE:4:5: warning: the kernel's own balancing is on (kernel.numa_balancing=" #n ") and "
#define THREADS "brings memory to the threads that use it, away from where place: "
#define TIERS   "brings memory that is used from slow nodes to fast ones, away from where place: "
#define OFF     " here, or \"kernel-balancing: off\" below daemon:"

static void test_warnings(void **state) {
        static const struct {
                const char *rule;
                unsigned balancing;
                const char *expected; /* NULL: nothing is said */
        } cases[] = {
                { "compact", 1, NULL },
                { "nodes\n    nodes: '0'", 1, NULL },
                { "nodes\n    nodes: '0'\n    cpus: free", 0, NULL },
                { "nodes\n    nodes: '0'\n    cpus: free", 1,
                  MODE(1) THREADS "nodes puts it; write \"cpus: restrict\" or \"memory: strict\"" OFF },
                { "nodes\n    nodes: '0'\n    cpus: free\n    kernel-balancing: override", 1, NULL },
                { "nodes\n    nodes: '0'\n    cpus: free\n    memory: strict", 1, NULL },
                { "nodes\n    nodes: '2'\n    cpus: free", 3, MODE(3) THREADS "nodes puts it; write \"memory: strict\"" OFF },
                { "nodes\n    nodes: '2'\n    cpus: free", 2, MODE(2) TIERS "nodes puts it; write \"memory: strict\"" OFF },
                { "interleave\n    avoid-nodes: '1'", 1,
                  MODE(1) THREADS "interleave puts it; write \"kernel-balancing: respect\" and \"memory: strict\"" OFF },
                { "interleave\n    memory: strict", 1,
                  MODE(1) THREADS "interleave puts it; write \"kernel-balancing: respect\"" OFF },
                { "interleave\n    memory: strict\n    kernel-balancing: respect", 1, NULL },
        };
        _cleanup_(topology_freep) struct topology *t = machine();
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                _cleanup_free_ char *text = format_string(BEGIN "%s\n", cases[i].rule),
                                    *off = format_string("%sdaemon: {kernel-balancing: off}\n", text);
                struct config_errors w = warn(text, t, cases[i].balancing);
                assert_int_equal(w.n_lines, cases[i].expected != NULL);
                if (cases[i].expected)
                        assert_string_equal(w.lines[0], cases[i].expected);
                config_errors_done(&w);
                w = warn(off, t, cases[i].balancing); /* it will be switched off */
                assert_int_equal(w.n_lines, 0);
                config_errors_done(&w);
        }
}

/* It is off, and will be on, for what goes to threads; what goes between tiers stays as it is. */
static void test_switched_on(void **state) {
        _cleanup_(topology_freep) struct topology *t = machine();
        for (unsigned mode = 0; mode < 4; mode += 2) {
                _cleanup_free_ char *expected = format_string(
                        "FILE:4:5: warning: the kernel's own balancing is switched on (kernel.numa_balancing=%u) and " THREADS
                        "nodes puts it; write \"cpus: restrict\" or \"memory: strict\"" OFF,
                        mode | 1);
                struct config_errors w =
                        warn(BEGIN "nodes\n    nodes: '0'\n    cpus: free\ndaemon: {kernel-balancing: on}\n", t, mode);
                assert_int_equal(w.n_lines, 1);
                assert_string_equal(w.lines[0], expected);
                config_errors_done(&w);
        }
}

/* What the warning says to write is not warned of again. */
static void test_remedies(void **state) {
        static const char *const rules[][2] = {
                { "nodes\n    nodes: '0'\n    cpus: free", "nodes\n    nodes: '0'\n    cpus: restrict" },
                { "nodes\n    nodes: '2'\n    cpus: free", "nodes\n    nodes: '2'\n    cpus: free\n    memory: strict" },
                { "interleave", "interleave\n    kernel-balancing: respect" },
        };
        _cleanup_(topology_freep) struct topology *t = machine();
        for (unsigned mode = 1; mode < 4; mode++)
                for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
                        for (size_t k = 0; k < 2; k++) {
                                _cleanup_free_ char *text = format_string(BEGIN "%s\n", rules[i][k]);
                                struct config_errors w = warn(text, t, mode);
                                bool slow = i > 0; /* node 2 has a part in it */
                                assert_int_equal(w.n_lines, k == 0 && (mode != 2 || slow));
                                config_errors_done(&w);
                        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_warnings),
                cmocka_unit_test(test_switched_on),
                cmocka_unit_test(test_remedies),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
