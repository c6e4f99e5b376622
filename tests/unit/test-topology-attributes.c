/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a topology tells beyond nodes and distances: latency and bandwidth, devices, CPUs that a cpuset partition took. */
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

static void set_value(hwloc_topology_t t, hwloc_memattr_id_t id, unsigned node, const char *cpus, hwloc_uint64_t value) {
        struct hwloc_location where = { .type = HWLOC_LOCATION_TYPE_CPUSET };
        hwloc_bitmap_t set = hwloc_bitmap_alloc();
        assert_non_null(set);
        assert_int_equal(hwloc_bitmap_list_sscanf(set, cpus), 0);
        where.location.cpuset = set;
        assert_int_equal(hwloc_memattr_set_value(t, id, hwloc_get_obj_by_type(t, HWLOC_OBJ_NUMANODE, node), &where, 0, value), 0);
        hwloc_bitmap_free(set);
}

/* Two packages of two CPUs with ordinary memory, and one node of slow memory beside both. */
static void test_memory_attributes(void **state) {
        struct tree tree;
        tree_make(&tree, "");
        _cleanup_free_ char *path = format_string("%s/machine.xml", tree.root);
        hwloc_topology_t x;
        assert_int_equal(hwloc_topology_init(&x), 0);
        assert_int_equal(hwloc_topology_set_synthetic(x, "[numa(indexes=2)] pack:2 [numa(indexes=0,1)] core:2 pu:1"), 0);
        assert_int_equal(hwloc_topology_load(x), 0);
        unsigned at[3];
        for (unsigned i = 0; i < 3; i++)
                at[hwloc_get_obj_by_type(x, HWLOC_OBJ_NUMANODE, i)->os_index] = i;
        set_value(x, HWLOC_MEMATTR_ID_READ_LATENCY, at[0], "0-1", 80);
        set_value(x, HWLOC_MEMATTR_ID_READ_LATENCY, at[0], "2-3", 140);
        set_value(x, HWLOC_MEMATTR_ID_READ_LATENCY, at[1], "3", 81); /* parts of one node: the worse is believed */
        set_value(x, HWLOC_MEMATTR_ID_READ_LATENCY, at[1], "2", 90);
        set_value(x, HWLOC_MEMATTR_ID_READ_LATENCY, at[2], "0-3", 300);
        set_value(x, HWLOC_MEMATTR_ID_LATENCY, at[0], "0-1", 7); /* that of reading is preferred */
        set_value(x, HWLOC_MEMATTR_ID_BANDWIDTH, at[0], "0-1", 100000);
        set_value(x, HWLOC_MEMATTR_ID_BANDWIDTH, at[2], "2-3", UINT64_MAX);
        assert_int_equal(hwloc_topology_export_xml(x, path, 0), 0);
        hwloc_topology_destroy(x);

        (void) setenv("HWLOC_XMLFILE", path, 1);
        _cleanup_(topology_freep) struct topology *t = NULL;
        assert_int_equal(load("/", &t), 0);
        (void) unsetenv("HWLOC_XMLFILE");
        static const uint32_t latency[] = { 80, 0, 300, 140, 90, 300, 0, 0, 0 },
                              bandwidth[] = { 100000, 0, 0, 0, 0, UINT32_MAX, 0, 0, 0 };
        assert_int_equal(t->n_ids, 3);
        assert_int_equal(t->nodes[2].n_cpus, 0);
        assert_memory_equal(t->latency_nsec, latency, sizeof latency);
        assert_memory_equal(t->bandwidth_mibps, bandwidth, sizeof bandwidth);
        tree_done(&tree);

        (void) setenv("HWLOC_SYNTHETIC", "node:2 core:2 pu:1", 1);
        _cleanup_(topology_freep) struct topology *u = NULL;
        assert_int_equal(load("/", &u), 0);
        (void) unsetenv("HWLOC_SYNTHETIC");
        assert_null(u->latency_nsec);
        assert_null(u->bandwidth_mibps);
        assert_int_equal(u->n_devices, 0);
}

static void put_in(const struct tree *tree, const char *directory, const char *name, const char *text) {
        _cleanup_free_ char *path = format_string("%s/%s", directory, name);
        assert_non_null(path);
        tree_put(tree, path, text);
}

/* A PCI device as sysfs shows it. `node` as text; `cpus` the mask of those near. */
static void put_pci(const struct tree *tree, const char *address, const char *class, const char *node, const char *cpus) {
        _cleanup_free_ char *real = format_string("sys/devices/pci%.7s/%s", address, address);
        _cleanup_free_ char *link = format_string("sys/bus/pci/devices/%s", address);
        _cleanup_free_ char *target = format_string("../../../devices/pci%.7s/%s", address, address);
        put_in(tree, real, "vendor", "0x8086\n");
        put_in(tree, real, "device", "0x1572\n");
        put_in(tree, real, "class", class);
        put_in(tree, real, "numa_node", node);
        put_in(tree, real, "local_cpus", cpus);
        tree_link(tree, link, target);
}

/* A network or block device below one of them. */
static void put_class(const struct tree *tree, const char *class, const char *name, const char *address) {
        _cleanup_free_ char *real = format_string("sys/devices/pci%.7s/%s/%s/%s", address, address, class, name);
        _cleanup_free_ char *link = format_string("sys/class/%s/%s", class, name);
        _cleanup_free_ char *target = format_string("../../devices/pci%.7s/%s/%s/%s", address, address, class, name);
        _cleanup_free_ char *back = format_string("%s/device", real);
        put_in(tree, real, "size", "1000\n");
        put_in(tree, real, "address", "00:11:22:33:44:55\n");
        tree_link(tree, link, target);
        tree_link(tree, back, "../..");
}

static void assert_near(const struct topology *t, const char *name, const char *nodes) {
        const struct topology_device *d = topology_device_find(t, name);
        if (!d)
                fail_msg("no device %s", name);
        _cleanup_free_ char *have = node_set_format(&d->nodes);
        assert_string_equal(have, nodes);
}

static void test_devices(void **state) {
        struct tree tree;
        tree_make(&tree, "sparse");
        put_pci(&tree, "0000:3b:00.0", "0x020000\n", "2\n", "000000f0\n");
        put_class(&tree, "net", "eth1", "0000:3b:00.0");
        put_pci(&tree, "0000:5e:00.1", "0x010802\n", "5\n", "00000000\n"); /* behind the node without CPUs */
        put_class(&tree, "block", "nvme0n1", "0000:5e:00.1");
        put_pci(&tree, "0000:00:1f.2", "0x010601\n", "-1\n", "000000f7\n"); /* the firmware said nothing */
        put_class(&tree, "block", "sda", "0000:00:1f.2");
        put_pci(&tree, "0001:00:00.0", "0x118000\n", "0\n", "00000007\n"); /* of a kind that hwloc would leave out */
        put_pci(&tree, "0002:00:01.0", "0x020000\n", "7\n", "000000f7\n"); /* a node that is not there */
        _cleanup_(topology_freep) struct topology *t = NULL;
        assert_int_equal(load(tree.root, &t), 0);
        assert_near(t, "pci/0000:3b:00.0", "2");
        assert_near(t, "net/eth1", "2");
        assert_near(t, "pci/0000:5e:00.1", "5");
        assert_near(t, "block/nvme0n1", "5");
        assert_near(t, "pci/0000:00:1f.2", "");
        assert_near(t, "block/sda", "");
        assert_near(t, "pci/0001:00:00.0", "0");
        assert_near(t, "pci/0002:00:01.0", "");
        assert_int_equal(t->n_devices, 8);
        for (size_t i = 1; i < t->n_devices; i++)
                assert_true(strcmp(t->devices[i - 1].name, t->devices[i].name) < 0);
        assert_null(topology_device_find(t, "net/eth0"));
        tree_done(&tree);

        /* One node: everything is closest to it, whatever the firmware says. */
        tree_make(&tree, "legacy");
        put_pci(&tree, "0000:00:03.0", "0x020000\n", "-1\n", "3\n");
        put_class(&tree, "net", "ens3", "0000:00:03.0");
        _cleanup_(topology_freep) struct topology *u = NULL;
        assert_int_equal(load(tree.root, &u), 0);
        assert_near(u, "net/ens3", "0");
        tree_done(&tree);
}

static void assert_cpus(const struct topology *t, unsigned node, const char *list) {
        _cleanup_free_ char *have = cpu_mask_format(&t->nodes[node].cpus);
        assert_string_equal(have, list);
}

/* The root cgroup has what no partition took, at whatever depth that is. */
static void test_partitions(void **state) {
        struct tree tree;
        tree_make(&tree, "bookworm");
        tree_put(&tree, "sys/fs/cgroup/cpuset.cpus.effective", "0-3,6-7\n");
        _cleanup_(topology_freep) struct topology *t = NULL;
        assert_int_equal(load(tree.root, &t), 0);
        assert_cpus(t, 0, "0-1");
        assert_cpus(t, 2, "");
        assert_int_equal(t->nodes[2].n_cores, 0);
        assert_int_equal(topology_node_of_cpu(t, 4), 2);

        /* One that cannot be is not believed. */
        tree_put(&tree, "sys/fs/cgroup/cpuset.cpus.effective", "\n");
        _cleanup_(topology_freep) struct topology *u = NULL;
        assert_int_equal(load(tree.root, &u), 0);
        assert_cpus(u, 2, "4-5");

        /* Another machine's picture: its CPUs are not these. */
        tree_put(&tree, "sys/fs/cgroup/cpuset.cpus.effective", "0\n");
        (void) setenv("HWLOC_SYNTHETIC", "node:2 core:4 pu:1", 1);
        _cleanup_(topology_freep) struct topology *s = NULL;
        assert_int_equal(load(tree.root, &s), 0);
        (void) unsetenv("HWLOC_SYNTHETIC");
        assert_cpus(s, 1, "4-7");
        tree_done(&tree);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_memory_attributes),
                cmocka_unit_test(test_devices),
                cmocka_unit_test(test_partitions),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
