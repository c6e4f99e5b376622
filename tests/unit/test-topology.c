/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sparse ids, nodes without CPUs and nodes without memory are ordinary; contradictions are told. */
#include "core/topology.h"

#include "core/util.h"
#include "unit.h"

static void add_cpus(struct topology *t, unsigned node, unsigned first, unsigned n, unsigned n_cores) {
        for (unsigned cpu = first; cpu < first + n; cpu++) {
                cpu_mask_add(&t->nodes[node].cpus, cpu);
                t->node_of_cpu[cpu] = (int16_t) node;
        }
        t->nodes[node].present = true;
        t->nodes[node].n_cpus = n;
        t->nodes[node].n_cores = n_cores;
}

/* Nodes 0 and 8 with 4 CPUs on 2 cores each; 3 without memory; 5 memory only; CPU 12 is node 0's, but isolated. */
static struct topology *sparse(void) {
        struct topology *t = topology_new(9, 16);
        assert_non_null(t);
        add_cpus(t, 0, 0, 4, 2);
        add_cpus(t, 8, 4, 4, 2);
        add_cpus(t, 3, 8, 2, 2);
        t->node_of_cpu[12] = 0;
        t->nodes[0].bytes_total = t->nodes[8].bytes_total = GIB;
        t->nodes[5].present = true;
        t->nodes[5].bytes_total = 4 * GIB;
        return t;
}

static void assert_nodes(struct node_set s, const char *expected) {
        _cleanup_free_ char *text = node_set_format(&s);
        assert_string_equal(text, expected);
}

static void test_new(void **state) {
        _cleanup_(topology_freep) struct topology *t = topology_new(3, 4);
        assert_non_null(t);
        assert_int_equal(topology_distance(t, 1, 1), DISTANCE_LOCAL);
        assert_int_equal(topology_distance(t, 0, 2), DISTANCE_REMOTE_DEFAULT);
        assert_int_equal(topology_distance(t, 0, 3), DISTANCE_REMOTE_DEFAULT);
        assert_int_equal(topology_node_of_cpu(t, 0), -1);
        assert_int_equal(topology_node_of_cpu(t, 4), -1);
        assert_nodes(topology_nodes(t), "");
        assert_null(topology_new(NODE_ID_MAX + 2, 1));
        assert_null(topology_new(1, CPU_ID_MAX + 2));
        assert_null(topology_free(NULL));
}

static void test_kinds_of_nodes(void **state) {
        _cleanup_(topology_freep) struct topology *t = sparse();
        const char *why = NULL;
        assert_int_equal(topology_validate(t, &why), 0);
        assert_nodes(topology_nodes(t), "0,3,5,8");
        assert_nodes(topology_nodes_with_cpus(t), "0,3,8");
        assert_nodes(topology_nodes_with_memory(t), "0,5,8");
        struct node_set some = { 0 };
        assert_int_equal(node_set_parse("0,1,5,8-20", &some), 0);
        assert_int_equal(topology_n_cores(t, &some), 4);
        struct cpu_mask cpus;
        topology_cpus_of(t, &some, &cpus);
        _cleanup_free_ char *text = cpu_mask_format(&cpus);
        assert_string_equal(text, "0-7"); /* without the isolated CPU 12 */
}

static void test_nodes_of_cpus(void **state) {
        _cleanup_(topology_freep) struct topology *t = sparse();
        struct cpu_mask cpus = { 0 };
        assert_nodes(topology_nodes_of_cpus(t, &cpus), "");
        cpu_mask_add(&cpus, 5);
        cpu_mask_add(&cpus, 12); /* isolated CPUs have their node too */
        cpu_mask_add(&cpus, 14); /* offline */
        cpu_mask_add(&cpus, 8000);
        assert_nodes(topology_nodes_of_cpus(t, &cpus), "0,8");
}

static void assert_invalid(struct topology *t, const char *part) {
        const char *why = NULL;
        assert_int_equal(topology_validate(t, &why), -EINVAL);
        assert_non_null(strstr(why, part));
        topology_free(t);
}

static void test_contradictions(void **state) {
        assert_invalid(topology_new(4, 4), "no node");
        struct topology *t = sparse();
        t->nodes[0].n_cpus = 3;
        assert_invalid(t, "number of CPUs");
        t = sparse();
        t->nodes[0].n_cores = 5;
        assert_invalid(t, "number of cores");
        t = sparse();
        t->nodes[0].n_cores = 0;
        assert_invalid(t, "number of cores");
        t = sparse();
        t->node_of_cpu[0] = 8;
        assert_invalid(t, "another node");
        t = sparse();
        t->node_of_cpu[14] = 1;
        assert_invalid(t, "not present");
        t = sparse();
        t->node_of_cpu[14] = 9;
        assert_invalid(t, "not present");
        t = sparse();
        t->nodes[1].bytes_total = 1;
        assert_invalid(t, "absent node");
        t = sparse();
        t->distance[8 * 9 + 5] = 9;
        assert_invalid(t, "distance");
}

static void test_distance_has_a_direction(void **state) {
        _cleanup_(topology_freep) struct topology *t = sparse();
        t->distance[0 * 9 + 8] = 21;
        t->distance[8 * 9 + 0] = 17;
        assert_int_equal(topology_distance(t, 0, 8), 21);
        assert_int_equal(topology_distance(t, 8, 0), 17);
}

static void test_devices_come_and_go(void **state) {
        (void) state;
        struct topology *was = topology_new(2, 2), *is = topology_new(2, 2);
        assert_non_null(was);
        assert_non_null(is);
        is->devices = calloc(1, sizeof *is->devices);
        assert_non_null(is->devices);
        is->devices[0].name = strdup("net/eth0");
        is->n_devices = 1;
        assert_true(topology_same_but_for_devices(was, is));
        topology_swap_devices(was, is);
        assert_non_null(topology_device_find(was, "net/eth0"));
        assert_null(topology_device_find(is, "net/eth0"));

        is->nodes[1].present = !is->nodes[1].present;
        assert_false(topology_same_but_for_devices(was, is));
        is->nodes[1].present = was->nodes[1].present;
        is->distance[1]++;
        assert_false(topology_same_but_for_devices(was, is));
        is->distance[1]--;
        is->node_of_cpu[1] = 1;
        assert_false(topology_same_but_for_devices(was, is));
        topology_free(was);
        topology_free(is);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_new),
                cmocka_unit_test(test_kinds_of_nodes),
                cmocka_unit_test(test_nodes_of_cpus),
                cmocka_unit_test(test_contradictions),
                cmocka_unit_test(test_distance_has_a_direction),
                cmocka_unit_test(test_devices_come_and_go),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
