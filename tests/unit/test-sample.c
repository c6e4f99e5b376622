/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Locality and expected distance, by hand. */
#include "core/sample.h"

#include "core/util.h"
#include "unit.h"

static void assert_near(double value, double expected) {
        assert_true(value > expected - 1e-9 && value < expected + 1e-9);
}

static void make(struct service_sample *s, const struct topology *t) {
        service_sample_init(s);
        assert_int_equal(service_sample_alloc(s, t->n_ids), 0);
}

static void test_init(void **state) {
        struct service_sample s;
        service_sample_init(&s);
        assert_int_equal(s.memory_pressure_centipercent, -1);
        assert_int_equal(s.cpu_pressure_centipercent, -1);
        assert_int_equal(s.owner, OWNER_NONE);
        assert_null(s.rule);
        assert_int_equal(service_sample_alloc(&s, 0), 0);
        assert_int_equal(service_sample_alloc(&s, 4), 0); /* again: the old arrays are freed */
        assert_true(sum_by_node(s.bytes_by_node, 4) == 0);
        service_sample_done(&s);
        service_sample_done(&s);
        assert_string_equal(owner_to_string(OWNER_CGROUPFS), "cgroupfs");
        assert_string_equal(owner_to_string(_OWNER_INVALID), "invalid");
}

static void test_size(void **state) {
        struct service_sample s;
        service_sample_init(&s);
        assert_int_equal(service_sample_alloc(&s, 2), 0);
        s.bytes_by_node[1] = 3 * MIB;
        s.hugetlb_bytes = 2 * MIB;
        assert_true(sample_size_bytes(&s, 2) == 5 * MIB);
        s.shared_bytes = 320 * MIB; /* charged to another */
        assert_true(sample_size_bytes(&s, 2) == 320 * MIB);
        s.shared_bytes = MIB; /* its own */
        s.deep = true;        /* then hugetlb is part of the sum */
        assert_true(sample_size_bytes(&s, 2) == 3 * MIB);
        service_sample_done(&s);
}

static void test_unknown(void **state) {
        _cleanup_(topology_freep) struct topology *t = topology_new(2, 0);
        _cleanup_(service_sample_done) struct service_sample s;
        make(&s, t);
        assert_near(sample_locality(&s, 2), 0);
        assert_near(sample_distance(&s, t), 0);
        s.bytes_by_node[0] = MIB; /* no threads */
        assert_near(sample_locality(&s, 2), 0);
        assert_near(sample_distance(&s, t), 0);
        s.bytes_by_node[0] = 0; /* no memory */
        s.cpu_share_by_node[0] = 1000000;
        assert_near(sample_locality(&s, 2), 0);
        assert_near(sample_distance(&s, t), 0);
}

static void test_distance_from(void **state) {
        _cleanup_(topology_freep) struct topology *t = topology_new(3, 0);
        _cleanup_(service_sample_done) struct service_sample s;
        make(&s, t);
        t->distance[0 * 3 + 1] = 21;
        t->distance[2 * 3 + 1] = 31;
        t->nodes[0].n_cpus = 1;
        t->nodes[2].n_cpus = 3;
        struct node_set home = { 0 };
        node_set_add(&home, 0);
        assert_near(sample_distance_from(&s, t, &home), 0); /* no memory */
        s.bytes_by_node[1] = GIB;
        assert_near(sample_distance_from(&s, t, &home), 21);
        node_set_add(&home, 2);
        assert_near(sample_distance_from(&s, t, &home), (21 + 3 * 31) / 4.0);
        home = (struct node_set) { 0 };
        node_set_add(&home, 1);
        assert_near(sample_distance_from(&s, t, &home), 0); /* no CPU */
}

static void test_all_local_and_all_remote(void **state) {
        _cleanup_(topology_freep) struct topology *t = topology_new(2, 0);
        _cleanup_(service_sample_done) struct service_sample s;
        make(&s, t);
        t->distance[0 * 2 + 1] = 21;
        t->distance[1 * 2 + 0] = 31;
        s.cpu_share_by_node[0] = 1000000;
        s.bytes_by_node[0] = 3 * GIB;
        assert_near(sample_locality(&s, 2), 1);
        assert_near(sample_distance(&s, t), 10);
        s.bytes_by_node[0] = 0;
        s.bytes_by_node[1] = 1;
        assert_near(sample_locality(&s, 2), 0);
        assert_near(sample_distance(&s, t), 21); /* from the CPU's node to the memory's, not the other way */
}

static void test_mixed(void **state) {
        _cleanup_(topology_freep) struct topology *t = topology_new(6, 0); /* 1 and 5 are used: sparse ids */
        _cleanup_(service_sample_done) struct service_sample s;
        make(&s, t);
        s.cpu_share_by_node[1] = 250000;
        s.cpu_share_by_node[5] = 750000;
        s.bytes_by_node[1] = 400;
        s.bytes_by_node[5] = 600;
        assert_near(sample_locality(&s, 6), 0.25 * 0.4 + 0.75 * 0.6);
        assert_near(sample_distance(&s, t), 10 * 0.55 + 20 * 0.45);
}

static void test_shares_are_normalised(void **state) {
        _cleanup_(topology_freep) struct topology *t = topology_new(2, 0);
        _cleanup_(service_sample_done) struct service_sample s;
        make(&s, t);
        s.cpu_share_by_node[0] = 333333; /* a reader's rounding: sums to 999,999 */
        s.cpu_share_by_node[1] = 666666;
        s.bytes_by_node[1] = UINT64_C(1) << 50;
        assert_near(sample_locality(&s, 2), 666666.0 / 999999.0);
        assert_near(sample_distance(&s, t), 20 * 333333.0 / 999999.0 + 10 * 666666.0 / 999999.0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_init),
                cmocka_unit_test(test_size),
                cmocka_unit_test(test_unknown),
                cmocka_unit_test(test_distance_from),
                cmocka_unit_test(test_all_local_and_all_remote),
                cmocka_unit_test(test_mixed),
                cmocka_unit_test(test_shares_are_normalised),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
