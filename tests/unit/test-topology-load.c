/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The topology of captured, synthetic and exported machines. */
#include <hwloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/util.h"
#include "host/host.h"
#include "test-host-tree.h"
#include "unit.h"

static int load(const char *root, struct topology **ret) {
        _cleanup_(host_freep) struct host *h = NULL;
        assert_int_equal(host_open(root, &h), 0);
        return topology_load(h, ret);
}

static void assert_cpus(const struct topology *t, unsigned node, const char *list) {
        _cleanup_free_ char *have = cpu_mask_format(&t->nodes[node].cpus);
        assert_string_equal(have, list);
        assert_int_equal(t->nodes[node].n_cpus, cpu_mask_count(&t->nodes[node].cpus));
}

static void test_bookworm(void **state) {
        static const uint32_t distances[] = { 10, 16, 20, 20, 16, 10, 20, 20, 20, 20, 10, 16, 20, 20, 16, 10 };
        static const char *const cpus[] = { "0-1", "2-3", "4-5", "6-7" };
        struct tree tree;
        tree_make(&tree, "bookworm");
        _cleanup_(topology_freep) struct topology *t = NULL;
        assert_int_equal(load(tree.root, &t), 0);
        assert_int_equal(t->n_ids, 4);
        assert_int_equal(t->n_cpu_ids, 8);
        for (unsigned i = 0; i < 4; i++) {
                assert_true(t->nodes[i].present);
                assert_int_equal(t->nodes[i].n_cores, 2);
                assert_cpus(t, i, cpus[i]);
                assert_int_equal(t->nodes[i].bytes_total, (1000000ULL + i) * 1024);
        }
        assert_memory_equal(t->distance, distances, sizeof distances);
        assert_null(getenv("HWLOC_FSROOT")); /* what was passed to hwloc is taken back */
        tree_done(&tree);
}

static void test_sparse(void **state) {
        struct tree tree;
        tree_make(&tree, "sparse");
        _cleanup_(topology_freep) struct topology *t = NULL;
        assert_int_equal(load(tree.root, &t), 0);
        assert_int_equal(t->n_ids, 6);
        for (unsigned i = 0; i < 6; i++)
                assert_int_equal(t->nodes[i].present, i == 0 || i == 2 || i == 5);
        assert_cpus(t, 0, "0-2");
        assert_cpus(t, 2, "4-5,7");               /* 6 is isolated */
        assert_cpus(t, 5, "");                    /* memory only, whatever CPUs hwloc thinks near */
        assert_int_equal(t->nodes[0].n_cores, 2); /* 0+1, and 2 whose sibling 3 is offline */
        assert_int_equal(t->nodes[2].n_cores, 3);
        assert_int_equal(t->nodes[5].n_cores, 0);
        assert_int_equal(topology_node_of_cpu(t, 3), -1);
        assert_int_equal(topology_node_of_cpu(t, 6), 2); /* isolated, but there */
        assert_int_equal(topology_distance(t, 0, 2), 21);
        assert_int_equal(topology_distance(t, 2, 5), 17);
        assert_int_equal(topology_distance(t, 5, 0), 30);
        assert_int_equal(topology_distance(t, 5, 5), 10);

        /* A range instead of "(null)"; a core with an isolated sibling still counts, one with all of them does not. */
        tree_put(&tree, "sys/devices/system/cpu/isolated", "\n");
        tree_put(&tree, "sys/devices/system/cpu/nohz_full", "1-2,5\n");
        _cleanup_(topology_freep) struct topology *u = NULL;
        assert_int_equal(load(tree.root, &u), 0);
        assert_cpus(u, 0, "0");
        assert_int_equal(u->nodes[0].n_cores, 1);
        assert_cpus(u, 2, "4,6-7");

        tree_put(&tree, "sys/devices/system/cpu/isolated", "0-7\n");
        _cleanup_(topology_freep) struct topology *none = NULL;
        assert_int_equal(load(tree.root, &none), 0);
        assert_int_equal(none->nodes[0].n_cpus + none->nodes[2].n_cpus, 0);
        assert_int_equal(topology_node_of_cpu(none, 4), 2);
        tree_done(&tree);
}

/* hwloc gives a node without CPUs those nearest to it: here node 0 all that node 2 has. The kernel knows better. */
static void test_memory_first(void **state) {
        struct tree tree;
        tree_make(&tree, "sparse");
        tree_put(&tree, "sys/devices/system/node/node0/cpulist", "\n");
        tree_put(&tree, "sys/devices/system/node/node0/cpumap", "00000000\n");
        tree_put(&tree, "sys/devices/system/node/node2/cpulist", "0-2,4-7\n");
        tree_put(&tree, "sys/devices/system/node/node2/cpumap", "000000f7\n");
        _cleanup_(topology_freep) struct topology *t = NULL;
        assert_int_equal(load(tree.root, &t), 0);
        assert_cpus(t, 0, "");
        assert_cpus(t, 2, "0-2,4-5,7");
        assert_int_equal(topology_node_of_cpu(t, 0), 2);
        tree_done(&tree);
}

/* Distances that hwloc does not take (one row is missing) are read from what is there. */
static void test_distances_from_sysfs(void **state) {
        struct tree tree;
        tree_make(&tree, "sparse");
        tree_remove(&tree, "sys/devices/system/node/node5/distance");
        _cleanup_(topology_freep) struct topology *t = NULL;
        assert_int_equal(load(tree.root, &t), 0);
        assert_int_equal(topology_distance(t, 0, 2), 21);
        assert_int_equal(topology_distance(t, 0, 5), 30);
        assert_int_equal(topology_distance(t, 5, 0), DISTANCE_REMOTE_DEFAULT);
        tree_done(&tree);
}

static void test_no_nodes(void **state) {
        struct tree tree;
        tree_make(&tree, "legacy");
        _cleanup_(topology_freep) struct topology *t = NULL;
        assert_int_equal(load(tree.root, &t), 0);
        assert_int_equal(t->n_ids, 1);
        assert_cpus(t, 0, "0-1");
        tree_done(&tree);
}

static void test_synthetic(void **state) {
        (void) setenv("HWLOC_SYNTHETIC", "node:4(memory=1GB) core:2 pu:2", 1);
        _cleanup_(topology_freep) struct topology *t = NULL;
        assert_int_equal(load("/", &t), 0);
        (void) unsetenv("HWLOC_SYNTHETIC");
        assert_int_equal(t->n_ids, 4);
        for (unsigned i = 0; i < 4; i++) {
                assert_int_equal(t->nodes[i].n_cpus, 4);
                assert_int_equal(t->nodes[i].n_cores, 2);
                assert_true(t->nodes[i].bytes_total > 0);
                assert_int_equal(topology_node_of_cpu(t, 4 * i + 3), i);
        }
        assert_int_equal(topology_distance(t, 0, 3), DISTANCE_REMOTE_DEFAULT);
        assert_false(t->of_this_kernel);
}

/* One package with ordinary memory and memory beside it: the CPUs belong to the first. */
static void test_synthetic_beside(void **state) {
        (void) setenv("HWLOC_SYNTHETIC", "pack:2 [numa(memory=1GB)] [numa(memory=2GB)] core:2 pu:1", 1);
        _cleanup_(topology_freep) struct topology *t = NULL;
        assert_int_equal(load("/", &t), 0);
        (void) unsetenv("HWLOC_SYNTHETIC");
        unsigned with_cpus = 0;
        for (unsigned i = 0; i < t->n_ids; i++)
                with_cpus += t->nodes[i].n_cpus > 0;
        assert_int_equal(t->n_ids, 4);
        assert_int_equal(with_cpus, 2);

        /* Memory beside the whole machine is no CPU's own, whichever number it has. */
        (void) setenv("HWLOC_SYNTHETIC", "[numa(memory=4GB)] pack:2 [numa(memory=1GB)] core:2 pu:1", 1);
        _cleanup_(topology_freep) struct topology *u = NULL;
        assert_int_equal(load("/", &u), 0);
        (void) unsetenv("HWLOC_SYNTHETIC");
        assert_int_equal(u->n_ids, 3);
        for (unsigned i = 0; i < u->n_ids; i++)
                assert_int_equal(u->nodes[i].n_cpus, u->nodes[i].bytes_total > 2 * GIB ? 0 : 2);
}

/* A file as `lstopo` writes it, with distances in nanoseconds: brought to ACPI's scale by each node's own latency. */
static void write_xml(const char *path) {
        hwloc_topology_t t;
        assert_int_equal(hwloc_topology_init(&t), 0);
        assert_int_equal(hwloc_topology_set_synthetic(t, "node:2(memory=1GB) core:2 pu:1"), 0);
        assert_int_equal(hwloc_topology_load(t), 0);
        hwloc_obj_t nodes[2] = { hwloc_get_obj_by_type(t, HWLOC_OBJ_NUMANODE, 0),
                                 hwloc_get_obj_by_type(t, HWLOC_OBJ_NUMANODE, 1) };
        hwloc_uint64_t ns[] = { 80, 130, 150, 100 };
        hwloc_distances_add_handle_t h =
                hwloc_distances_add_create(t, "measured", HWLOC_DISTANCES_KIND_FROM_USER | HWLOC_DISTANCES_KIND_MEANS_LATENCY, 0);
        assert_non_null(h);
        assert_int_equal(hwloc_distances_add_values(t, h, 2, nodes, ns, 0), 0);
        assert_int_equal(hwloc_distances_add_commit(t, h, 0), 0);
        assert_int_equal(hwloc_topology_export_xml(t, path, 0), 0);
        hwloc_topology_destroy(t);
}

static void test_file(void **state) {
        struct tree tree;
        tree_make(&tree, "sparse");
        _cleanup_free_ char *path = format_string("%s/machine.xml", tree.root);
        write_xml(path);
        (void) setenv("HWLOC_XMLFILE", path, 1);
        _cleanup_(topology_freep) struct topology *t = NULL;
        assert_int_equal(load(tree.root, &t), 0); /* the file wins over the root */
        assert_int_equal(t->n_ids, 2);
        assert_cpus(t, 0, "0-1");
        assert_cpus(t, 1, "2-3");
        assert_int_equal(topology_distance(t, 0, 1), 16);
        assert_int_equal(topology_distance(t, 1, 0), 15);
        assert_int_equal(topology_distance(t, 1, 1), 10);

        tree_put(&tree, "machine.xml", "<no topology>");
        struct topology *bad = NULL;
        (void) setenv("HWLOC_HIDE_ERRORS", "2", 1);
        assert_true(load("/", &bad) < 0);
        assert_null(bad);
        (void) unsetenv("HWLOC_XMLFILE");
        tree_done(&tree);
}

static void test_fsroot(void **state) {
        struct tree tree;
        tree_make(&tree, "sparse");
        (void) setenv("HWLOC_FSROOT", tree.root, 1);
        _cleanup_(topology_freep) struct topology *t = NULL;
        assert_int_equal(load("/", &t), 0);
        assert_string_equal(getenv("HWLOC_FSROOT"), tree.root);
        (void) unsetenv("HWLOC_FSROOT");
        assert_int_equal(t->n_ids, 6);
        assert_cpus(t, 2, "4-5,7");
        assert_cpus(t, 5, "");
        assert_false(t->of_this_kernel);
        tree_done(&tree);
}

static void test_live(void **state) {
        _cleanup_(topology_freep) struct topology *t = NULL;
        assert_int_equal(load("/", &t), 0);
        struct node_set nodes = topology_nodes_with_cpus(t);
        assert_false(node_set_is_empty(&nodes));
        assert_true(t->of_this_kernel);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_bookworm),         cmocka_unit_test(test_sparse),
                cmocka_unit_test(test_memory_first),     cmocka_unit_test(test_distances_from_sysfs),
                cmocka_unit_test(test_no_nodes),         cmocka_unit_test(test_synthetic),
                cmocka_unit_test(test_synthetic_beside), cmocka_unit_test(test_file),
                cmocka_unit_test(test_fsroot),           cmocka_unit_test(test_live),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
